"""Any bytes as a transaction: the native decoder and the Python one agree on accept or reject, on
the reason, and on every field; recovery takes whatever decodes."""

from __future__ import annotations

from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.signing import (
    authority_of,
    check_payer,
    sender_of,
    sign_authorization,
    sign_transaction,
)
from ghostchain.encoding import rlp
from ghostchain.encoding.transactions import (
    TransactionBatch,
    decode_transaction,
    encode_transaction,
)
from ghostchain.primitives.errors import InvalidTransaction, TransactionReason
from ghostchain.primitives.transaction import AccessEntry, Transaction
from ghostchain.primitives.types import Address, Hash32

KEY = bytes(31) + b"\x07"
RECIPIENT = Address(b"\x11" * 20)
KEYS = (Hash32(b"\x22" * 32), Hash32(b"\x33" * 32))


def example(kind: int, *, chain_id: int | None = 44678, data: bytes = b"") -> bytes:
    tx = Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=1,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=10**9,
        gas_limit=100_000,
        to=RECIPIENT,
        value=10**18,
        data=data,
        access_list=(AccessEntry(RECIPIENT, KEYS), AccessEntry(RECIPIENT)) if kind else (),
        max_fee_per_blob_gas=5 if kind == 3 else 0,
        blob_versioned_hashes=KEYS if kind == 3 else (),
        authorizations=(sign_authorization(KEY, chain_id=0, address=RECIPIENT, nonce=1),) * 2
        if kind == 4
        else (),
    )
    return encode_transaction(sign_transaction(tx, KEY))


SIDECAR = [rlp.encode([bytes(40)]), rlp.encode([bytes(48)]), rlp.encode([bytes(48)])]
SEEDS = [
    example(0),
    example(0, chain_id=None, data=bytes(60)),
    *(example(kind, data=b"\x01" * 4) for kind in (1, 2, 3, 4)),
    b"\x03" + rlp.list_of([example(3)[1:], *SIDECAR]),
    b"\x03" + rlp.list_of([example(3)[1:], b"\x01", *SIDECAR]),
]


def oracle(raw: bytes) -> Transaction | TransactionReason:
    try:
        return decode_transaction(raw)
    except InvalidTransaction as refusal:
        return refusal.reason


def signer(tx: Transaction) -> tuple[Address | None, TransactionReason]:
    """Who signed, and what recovery says of it; a fee payer that did not sign is told apart."""
    sender = None
    try:
        sender = sender_of(tx)
        check_payer(tx, sender)
    except InvalidTransaction as refusal:
        return sender, refusal.reason
    return sender, TransactionReason.OK


def check(data: bytes) -> None:
    batch = TransactionBatch.decode([data])
    wanted = oracle(data)
    if isinstance(wanted, TransactionReason):
        assert batch.reason(0) == wanted
        assert batch.hash(0) == keccak256(data)
        return
    canonical = encode_transaction(wanted)
    assert batch.transaction(0) == wanted
    assert batch.raw(0) == canonical
    assert batch.hash(0) == keccak256(canonical)
    assert len(canonical) + batch.sidecar_length(0) == len(data)
    batch.recover(threads=1)
    sender, reason = signer(wanted)
    assert batch.reason(0) == reason
    if sender is not None:
        assert batch.sender(0) == sender
    item = batch.pointer[0]
    for index, authorization in enumerate(wanted.authorizations):
        authority = authority_of(authorization)
        assert item.authorizations[index].authority_ok == (authority is not None)


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
