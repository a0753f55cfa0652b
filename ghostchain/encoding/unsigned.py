"""Transactions that nobody signed: what a development chain sends for accounts whose keys it lacks.

In the place of the signature stands a marker: r is the sender as a number, s and the parity are
zero. No signature looks so (s is never zero), whence decoding refuses it wherever it is not asked
for: only a development chain's own pool and blocks may hold such bytes. The hash is that of these
bytes as ever, and tells senders apart because r does.
"""

from __future__ import annotations

from dataclasses import replace

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.codec import decode_transaction, encode_transaction
from ghostchain.primitives.transaction import (
    SchemeSignature,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32


def encode_unsigned(tx: Transaction, sender: Address) -> bytes:
    """The canonical bytes of a transaction sent for somebody; a signature it has is left out. The
    fee payer of a GhostTx signs as ever."""
    r = int.from_bytes(sender, "big")
    if tx.type != TransactionType.GHOST:
        return encode_transaction(replace(tx, r=r, s=0, y_parity=0))
    marker = SchemeSignature(SignatureScheme.SECP256K1, b"", r.to_bytes(32, "big") + bytes(33))
    return encode_transaction(replace(tx, sender_signature=marker))


def hash_elsewhere(tx: Transaction, sender: Address) -> Hash32:
    """The hash that anvil gives a transaction that nobody signed: of its bytes with zeros for a
    signature, as an item of a block's list (EIP-2718: a string, unless it is a legacy one), and of
    the sender."""
    raw = encode_transaction(replace(tx, r=0, s=0, y_parity=0))
    return keccak256((rlp.encode_bytes(raw) if tx.type else raw) + sender)


def decode_admitted(raw: bytes) -> Transaction:
    """The transaction of bytes that this node's own pool or blocks hold. Raises: as
    `decode_transaction`."""
    return decode_transaction(raw, allows_unsigned=True)
