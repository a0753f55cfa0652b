"""Transactions and authorizations with private keys: signing, and who signed.

One at a time, for wallets, tests and readers; a block's senders are recovered together by
`TransactionBatch.recover`.

    payer = Secp256k1Signer.generate()
    signer = MlDsa65Signer.from_seed(seed)
    tx = sign_ghost(replace(draft, fee_payer=payer.address), signer, payer)

Spec: EIP-155, EIP-2, EIP-2718, EIP-7702, CIP-64; `docs/transactions.md` for 0x47.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Protocol

from ghostchain.crypto import ed25519, mldsa
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.schemes import key_address, verify
from ghostchain.crypto.secp256k1 import GROUP_ORDER, address_of, recover, sign
from ghostchain.encoding.codec import (
    SIGNATURE_ORDER,
    authorization_payload,
    payer_payload,
    signature_numbers,
    signing_payload,
)
from ghostchain.primitives.errors import InvalidTransaction, TransactionReason
from ghostchain.primitives.transaction import (
    Authorization,
    SchemeSignature,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32

__all__ = [
    "Ed25519Signer",
    "MlDsa65Signer",
    "Secp256k1Signer",
    "Signer",
    "authority_of",
    "check_payer",
    "payer_signing_hash",
    "sender_of",
    "sign_authorization",
    "sign_ghost",
    "sign_ghost_as_payer",
    "sign_transaction",
    "signing_hash",
]


# ---- who signs ----


class Signer(Protocol):
    """Whoever can sign a GhostTx. Key material is never in its repr."""

    @property
    def address(self) -> Address:
        """The account that the signatures are for."""

    @property
    def scheme(self) -> SignatureScheme: ...

    def sign(self, digest: bytes) -> SchemeSignature:
        """The signature over 32 bytes. Raises: ValueError when there are more or fewer."""


class Secp256k1Signer:
    """A key of Ethereum's scheme; `from_seed` takes the 32-byte private key itself."""

    scheme = SignatureScheme.SECP256K1
    __slots__ = ("_private_key", "address")

    def __init__(self, private_key: bytes) -> None:
        self.address = address_of(private_key)
        self._private_key = private_key

    @classmethod
    def generate(cls) -> Secp256k1Signer:
        return cls((secrets.randbelow(GROUP_ORDER - 1) + 1).to_bytes(32, "big"))

    @classmethod
    def from_seed(cls, seed: bytes) -> Secp256k1Signer:
        """Raises: ValueError when the seed is no private key."""
        return cls(seed)

    def sign(self, digest: bytes) -> SchemeSignature:
        r, s, y_parity = sign(digest, self._private_key)
        joined = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
        return SchemeSignature(SignatureScheme.SECP256K1, b"", joined)

    def reveal_seed(self) -> bytes:
        """What `from_seed` takes. Whoever knows it signs for the account."""
        return self._private_key

    def __repr__(self) -> str:
        return f"Secp256k1Signer(0x{self.address.hex()})"


class Ed25519Signer:
    """A key of RFC 8032."""

    scheme = SignatureScheme.ED25519
    __slots__ = ("_seed", "address", "public_key")

    def __init__(self, seed: bytes) -> None:
        self.public_key = ed25519.public_key_of(seed)
        self.address = key_address(SignatureScheme.ED25519, self.public_key)
        self._seed = seed

    @classmethod
    def generate(cls) -> Ed25519Signer:
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_seed(cls, seed: bytes) -> Ed25519Signer:
        """Raises: ValueError when the seed is not 32 bytes."""
        return cls(seed)

    def sign(self, digest: bytes) -> SchemeSignature:
        signature = ed25519.sign(self._seed, _checked(digest))
        return SchemeSignature(SignatureScheme.ED25519, self.public_key, signature)

    def reveal_seed(self) -> bytes:
        """What `from_seed` takes. Whoever knows it signs for the account."""
        return self._seed

    def __repr__(self) -> str:
        return f"Ed25519Signer(0x{self.address.hex()})"


class MlDsa65Signer:
    """A key of FIPS 204, which quantum computers are not known to break."""

    scheme = SignatureScheme.ML_DSA_65
    __slots__ = ("_seed", "address", "public_key")

    def __init__(self, seed: bytes) -> None:
        self.public_key = mldsa.public_key_of(seed)
        self.address = key_address(SignatureScheme.ML_DSA_65, self.public_key)
        self._seed = seed

    @classmethod
    def generate(cls) -> MlDsa65Signer:
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_seed(cls, seed: bytes) -> MlDsa65Signer:
        """Raises: ValueError when the seed is not 32 bytes."""
        return cls(seed)

    def sign(self, digest: bytes) -> SchemeSignature:
        signature = mldsa.sign(self._seed, _checked(digest))
        return SchemeSignature(SignatureScheme.ML_DSA_65, self.public_key, signature)

    def reveal_seed(self) -> bytes:
        """What `from_seed` takes. Whoever knows it signs for the account."""
        return self._seed

    def __repr__(self) -> str:
        return f"MlDsa65Signer(0x{self.address.hex()})"


def _checked(digest: bytes) -> bytes:
    if len(digest) != 32:
        raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
    return digest


# ---- signing ----


def signing_hash(tx: Transaction) -> Hash32:
    """What the sender signs."""
    return keccak256(signing_payload(tx))


def payer_signing_hash(tx: Transaction, sender: Address) -> Hash32:
    """What the fee payer of a GhostTx by this sender signs."""
    return keccak256(payer_payload(tx, sender))


def sign_transaction(tx: Transaction, private_key: bytes) -> Transaction:
    """The transaction with the key's signature, s in the lower half (deterministic, RFC 6979).

    A legacy transaction is protected against replay when its chain_id is not None.
    Raises: ValueError when the key is no private key, or for a GhostTx (see sign_ghost).
    """
    if tx.type == TransactionType.GHOST:
        raise ValueError("a GhostTx is signed by sign_ghost")
    r, s, y_parity = sign(signing_hash(tx), private_key)
    return replace(tx, r=r, s=s, y_parity=y_parity)


def sign_ghost(tx: Transaction, signer: Signer, payer: Signer | None = None) -> Transaction:
    """The GhostTx with its sender's signature, and with its fee payer's where payer is given.

    A payer names itself as fee_payer when the transaction names none. When the fee payer signs
    elsewhere, leave payer out and pass what comes back to `sign_ghost_as_payer` there.
    Raises: ValueError when it is no GhostTx, or names another fee payer.
    """
    if tx.type != TransactionType.GHOST:
        raise ValueError(f"type {tx.type} is signed by sign_transaction")
    if payer is not None and tx.fee_payer is None:
        tx = replace(tx, fee_payer=payer.address)
    signed = replace(tx, sender_signature=signer.sign(signing_hash(tx)), payer_signature=None)
    return signed if payer is None else sign_ghost_as_payer(signed, signer.address, payer)


def sign_ghost_as_payer(tx: Transaction, sender: Address, payer: Signer) -> Transaction:
    """The GhostTx with its fee payer's signature, which holds for this sender alone.

    Raises: ValueError when payer is not the transaction's fee payer.
    """
    if tx.fee_payer != payer.address:
        raise ValueError("the transaction names another fee payer, or none")
    return replace(tx, payer_signature=payer.sign(payer_signing_hash(tx, sender)))


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


# ---- who signed ----


def sender_of(tx: Transaction) -> Address:
    """Who signed; of a GhostTx with a fee payer, see also `check_payer`.

    Raises: InvalidTransaction SIGNATURE_INVALID when nobody can have.
    """
    digest = signing_hash(tx)
    if tx.type == TransactionType.GHOST:
        signature = tx.sender_signature
        sender = None if signature is None else _signer_of(signature, digest)
    else:
        sender = recover(digest, tx.r, tx.s, tx.y_parity)
    if sender is None:
        raise InvalidTransaction(
            TransactionReason.SIGNATURE_INVALID, "the signature recovers to no key", r=tx.r, s=tx.s
        )
    return sender


def check_payer(tx: Transaction, sender: Address) -> None:
    """The fee payer, where there is one, signed for this sender.

    Raises: InvalidTransaction PAYER_SIGNATURE.
    """
    if tx.fee_payer is None:
        return
    signature = tx.payer_signature
    digest = payer_signing_hash(tx, sender)
    if signature is None or _signer_of(signature, digest) != tx.fee_payer:
        message = "the fee payer did not sign for this sender and these fields"
        raise InvalidTransaction(
            TransactionReason.PAYER_SIGNATURE, message, fee_payer=tx.fee_payer, sender=sender
        )


def _signer_of(signature: SchemeSignature, digest: bytes) -> Address | None:
    """Whose signature over the digest it is; None when nobody's."""
    if signature.scheme == SignatureScheme.SECP256K1:
        return recover(digest, *signature_numbers(signature))
    if not verify(signature, digest):
        return None
    return key_address(signature.scheme, signature.key)


def authority_of(authorization: Authorization) -> Address | None:
    """Whose authorization it is; None when it must be skipped for its signature: y_parity not 0 or
    1, s above n/2, or no key."""
    if authorization.y_parity > 1 or authorization.s > SIGNATURE_ORDER // 2:
        return None
    digest = keccak256(
        authorization_payload(authorization.chain_id, authorization.address, authorization.nonce)
    )
    return recover(digest, authorization.r, authorization.s, authorization.y_parity)
