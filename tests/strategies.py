"""Hypothesis strategies for the records of the chain and for broken bytes of them, and how the
suites ask what became of the bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ghostchain.encoding.transactions import SIGNATURE_ORDER
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import InvalidBlock, InvalidEncoding, InvalidTransaction
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.transaction import (
    SCHEME_LENGTHS,
    AccessEntry,
    Authorization,
    Call,
    SchemeSignature,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32


def answer(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """What decode makes of the bytes: a value, or the reason of its refusal. Any other exception
    passes through, since input must never cause one."""
    try:
        return decode(data)
    except (InvalidEncoding, InvalidBlock, InvalidTransaction) as refusal:
        return refusal.reason


def edged_integers(bits: int) -> st.SearchStrategy[int]:
    """Integers below 2**bits, often at the edges of byte lengths."""
    edges = sorted({0, 1, 0x7F, 0x80, 0xFF, 0x100, (1 << bits) - 1, 1 << (bits - 1)})
    return st.one_of(
        st.sampled_from([edge for edge in edges if edge < 1 << bits]),
        st.integers(0, (1 << bits) - 1),
    )


uint8s = edged_integers(8)
uint64s = edged_integers(64)
uint256s = edged_integers(256)
addresses = st.binary(min_size=20, max_size=20).map(Address)
hashes = st.binary(min_size=32, max_size=32).map(Hash32)
# Around the lengths at which the form of an RLP head changes.
payloads = st.one_of(
    st.binary(max_size=70),
    st.integers(250, 260).map(lambda size: b"\x5b" * size),
    st.just(b"\x00"),
)

rlp_items = st.recursive(
    st.one_of(payloads, st.binary(max_size=3)),
    lambda children: st.lists(children, max_size=5),
    max_leaves=20,
)

access_lists = st.lists(
    st.builds(AccessEntry, addresses, st.lists(hashes, max_size=3).map(tuple)), max_size=3
).map(tuple)

authorizations = st.builds(
    Authorization,
    chain_id=uint256s,
    address=addresses,
    nonce=uint64s,
    y_parity=uint8s,
    r=uint256s,
    s=uint256s,
)


@st.composite
def scheme_signatures(draw: st.DrawFn) -> SchemeSignature:
    """Signatures with lengths and numbers in range by nobody in particular."""
    scheme = draw(st.sampled_from(SignatureScheme))
    if scheme == SignatureScheme.SECP256K1:
        r = draw(st.integers(1, SIGNATURE_ORDER - 1))
        s = draw(st.integers(1, SIGNATURE_ORDER // 2))
        joined = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([draw(st.integers(0, 1))])
        return SchemeSignature(scheme, b"", joined)
    # Long ones are one byte over and over, since a drawn kilobyte says no more and costs much.
    key, signature = (bytes([draw(uint8s)]) * length for length in SCHEME_LENGTHS[scheme])
    return SchemeSignature(scheme, key, signature)


@st.composite
def call_lists(draw: st.DrawFn) -> tuple[Call, ...]:
    """The calls of a GhostTx, whose values together fit 256 bits; or one creation."""
    if draw(st.booleans()):
        return (Call(draw(st.one_of(st.none(), addresses)), draw(uint256s), draw(payloads)),)
    call = st.builds(Call, addresses, edged_integers(248), payloads)
    return tuple(draw(st.lists(call, min_size=1, max_size=4)))


@st.composite
def ghost_transactions(draw: st.DrawFn) -> Transaction:
    """Well-formed GhostTx, with signatures in range by nobody in particular."""
    payer = draw(st.one_of(st.none(), addresses))
    return Transaction(
        type=0x47,
        chain_id=draw(uint64s),
        nonce=draw(uint64s),
        max_fee_per_gas=draw(uint256s),
        max_priority_fee_per_gas=draw(uint256s),
        gas_limit=draw(uint64s),
        to=None,
        calls=draw(call_lists()),
        access_list=draw(access_lists),
        fee_token=draw(st.one_of(st.none(), addresses)),
        fee_payer=payer,
        sender_signature=draw(scheme_signatures()),
        payer_signature=None if payer is None else draw(scheme_signatures()),
    )


@st.composite
def transactions(draw: st.DrawFn, types: tuple[int, ...] = (0, 1, 2, 3, 4, 0x7B)) -> Transaction:
    """Well-formed transactions of the types with one call, with a signature in range by nobody in
    particular."""
    kind = draw(st.sampled_from(types))
    chain_id = draw(st.one_of(st.none(), uint64s)) if kind == 0 else draw(uint64s)
    max_fee = draw(uint256s)
    blob = kind == 3
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=draw(uint64s),
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=draw(uint256s) if kind > 1 else max_fee,
        gas_limit=draw(uint64s),
        to=draw(st.one_of(st.none(), addresses)),
        value=draw(uint256s),
        data=draw(payloads),
        access_list=draw(access_lists) if kind else (),
        max_fee_per_blob_gas=draw(uint256s) if blob else 0,
        blob_versioned_hashes=tuple(draw(st.lists(hashes, max_size=3))) if blob else (),
        authorizations=tuple(draw(st.lists(authorizations, max_size=3))) if kind == 4 else (),
        fee_token=draw(st.one_of(st.none(), addresses)) if kind == 0x7B else None,
        y_parity=draw(st.integers(0, 1)),
        r=draw(st.integers(1, SIGNATURE_ORDER - 1)),
        s=draw(st.integers(1, SIGNATURE_ORDER // 2)),
    )


private_keys = st.integers(1, SIGNATURE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))

# Bytes that mean something at the head of an item, more telling than chance.
_HEADS = st.sampled_from(
    list(bytes.fromhex("00 01 02 03 04 47 7b 7f 80 81 94 a0 a1 b7 b8 b9 bf c0 c1 f7 f8 f9 ff"))
)


@st.composite
def mutations(draw: st.DrawFn, valid: bytes) -> bytes:
    """valid with one to three bytes changed, left out or put in, mostly near the front."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 3))):
        limit = len(data) if draw(st.booleans()) else min(16, len(data))
        at = draw(st.integers(0, limit))
        byte = draw(st.one_of(_HEADS, st.integers(0, 255)))
        action = draw(st.sampled_from(["change", "change", "drop", "insert", "cut"]))
        if action == "insert":
            data.insert(at, byte)
        elif action == "cut":
            del data[at + 1 :]
        elif at < len(data) and action == "drop":
            del data[at]
        elif at < len(data):
            data[at] = byte
    return bytes(data)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Headers of Cancun (no requests hash) and later."""
    return Header(
        parent_hash=draw(hashes),
        ommers_hash=draw(hashes),
        coinbase=draw(addresses),
        state_root=draw(hashes),
        transactions_root=draw(hashes),
        receipts_root=draw(hashes),
        bloom=draw(st.binary(min_size=256, max_size=256)),
        difficulty=draw(uint256s),
        number=draw(uint64s),
        gas_limit=draw(uint64s),
        gas_used=draw(uint64s),
        timestamp=draw(uint64s),
        extra_data=draw(st.binary(max_size=32)),
        prev_randao=draw(hashes),
        nonce=draw(st.binary(min_size=8, max_size=8)),
        base_fee_per_gas=draw(uint256s),
        withdrawals_root=draw(hashes),
        blob_gas_used=draw(uint64s),
        excess_blob_gas=draw(uint64s),
        parent_beacon_block_root=draw(hashes),
        requests_hash=draw(st.one_of(st.none(), hashes)),
    )


withdrawals = st.builds(
    Withdrawal,
    index=uint64s,
    validator_index=uint64s,
    address=addresses,
    amount_gwei=uint64s,
)


@st.composite
def blocks(draw: st.DrawFn, raw_transactions: st.SearchStrategy[bytes]) -> Block:
    """Blocks around the given canonical transactions."""
    return Block(
        header=draw(headers()),
        transactions=tuple(draw(st.lists(raw_transactions, max_size=4))),
        withdrawals=tuple(draw(st.lists(withdrawals, max_size=3))),
    )


logs = st.builds(
    Log, address=addresses, topics=st.lists(hashes, max_size=4).map(tuple), data=payloads
)

receipts = st.builds(
    Receipt,
    type=st.sampled_from(TransactionType).map(int),
    success=st.booleans(),
    cumulative_gas_used=uint64s,
    bloom=st.binary(min_size=256, max_size=256),
    logs=st.lists(logs, max_size=3).map(tuple),
)
