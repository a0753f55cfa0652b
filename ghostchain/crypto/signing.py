"""Transactions and authorizations with private keys: signing, and who signed.

One at a time, for wallets, tests and readers; a block's senders are recovered together by
`TransactionBatch.recover`.

Spec: EIP-155, EIP-2, EIP-2718, EIP-7702.
"""

from __future__ import annotations

from dataclasses import replace

from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import recover, sign
from ghostchain.encoding.transactions import (
    SIGNATURE_ORDER,
    authorization_payload,
    signing_payload,
)
from ghostchain.primitives.errors import InvalidTransaction, TransactionReason
from ghostchain.primitives.transaction import Authorization, Transaction
from ghostchain.primitives.types import Address, Hash32

__all__ = [
    "authority_of",
    "sender_of",
    "sign_authorization",
    "sign_transaction",
    "signing_hash",
]


def signing_hash(tx: Transaction) -> Hash32:
    """What the sender signs."""
    return keccak256(signing_payload(tx))


def sign_transaction(tx: Transaction, private_key: bytes) -> Transaction:
    """The transaction with the key's signature, s in the lower half (deterministic, RFC 6979).

    A legacy transaction is protected against replay when its chain_id is not None.
    Raises: ValueError when the key is no private key.
    """
    r, s, y_parity = sign(signing_hash(tx), private_key)
    return replace(tx, r=r, s=s, y_parity=y_parity)


def sender_of(tx: Transaction) -> Address:
    """Who signed. Raises: InvalidTransaction SIGNATURE_INVALID when nobody can have."""
    sender = recover(signing_hash(tx), tx.r, tx.s, tx.y_parity)
    if sender is None:
        raise InvalidTransaction(
            TransactionReason.SIGNATURE_INVALID, "the signature recovers to no key", r=tx.r, s=tx.s
        )
    return sender


def sign_authorization(
    private_key: bytes, *, chain_id: int, address: Address, nonce: int
) -> Authorization:
    """The key's authorization to run the code of address (EIP-7702); chain_id 0 is any chain.

    Raises: ValueError when the key is no private key.
    """
    r, s, y_parity = sign(keccak256(authorization_payload(chain_id, address, nonce)), private_key)
    return Authorization(
        chain_id=chain_id, address=address, nonce=nonce, y_parity=y_parity, r=r, s=s
    )


def authority_of(authorization: Authorization) -> Address | None:
    """Whose authorization it is; None when it must be skipped for its signature: y_parity not 0 or
    1, s above n/2, or no key."""
    if authorization.y_parity > 1 or authorization.s > SIGNATURE_ORDER // 2:
        return None
    digest = keccak256(
        authorization_payload(authorization.chain_id, authorization.address, authorization.nonce)
    )
    return recover(digest, authorization.r, authorization.s, authorization.y_parity)
