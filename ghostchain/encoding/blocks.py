"""Headers, blocks, withdrawals and receipts as RLP (Yellow Paper 4.3; EIPs 1559, 2718, 4844,
4788, 4895, 7685).

A block is [header, transactions, ommers, withdrawals]; a legacy transaction is a list in it, a
typed one a byte string. What is inside a transaction is not looked at here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ghostchain.encoding import rlp
from ghostchain.encoding.rlp import Decoded
from ghostchain.encoding.transactions import split_transactions
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import (
    BlockReason,
    EncodingReason,
    InvalidBlock,
    InvalidEncoding,
)
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.transaction import TransactionType
from ghostchain.primitives.types import Address, Hash32

BLOCK_SIZE_MAX = 128 << 20
"""Bytes of the largest block that is looked at. What the protocol allows (EIP-7934) is far less,
and is the chain's to check."""

HEADER_FIELDS = 20
"""Cancun; Prague appends requests_hash."""

EARLY_FIELDS = frozenset({15, 16, 17})
"""Since the merge or before, with London's base fee, with Shanghai's withdrawals root."""

# The fields before the difficulty with the heads that they have, and those heads.
_FIXED_HEADER_FIELDS = struct.Struct(">3xc32sc32sc20sc32sc32sc32s3s256s")
_FIXED_HEADER_MARKS = (b"\xa0", b"\xa0", b"\x94", b"\xa0", b"\xa0", b"\xa0", b"\xb9\x01\x00")
HEADER_BYTES_MIN = _FIXED_HEADER_FIELDS.size + 13
# How many fields there are from the difficulty on, and which are integers of how many bytes.
HEADER_TAIL_MIN = HEADER_FIELDS - 7
HEADER_TAIL_COUNTS = (HEADER_TAIL_MIN, HEADER_TAIL_MIN + 1)
_INTEGER_FIELDS = ((0, 32), (1, 8), (2, 8), (3, 8), (4, 8), (8, 32), (10, 8), (11, 8))

# From the base fee on, as the fields of a header that has not got them.
ZERO_FIELDS = (b"", bytes(32), b"", b"", bytes(32))


def encode_header(header: Header) -> bytes:
    """The bytes of a header: 20 fields, or 21 with a requests hash."""
    if header.field_count is None:
        usual = _usual_bytes(header)
        if usual is not None:
            return usual
    integers = rlp.encode_integer
    fixed = rlp.encode_bytes
    fields = [
        fixed(header.parent_hash),
        fixed(header.ommers_hash),
        fixed(header.coinbase),
        fixed(header.state_root),
        fixed(header.transactions_root),
        fixed(header.receipts_root),
        fixed(header.bloom),
        integers(header.difficulty),
        integers(header.number),
        integers(header.gas_limit),
        integers(header.gas_used),
        integers(header.timestamp),
        fixed(header.extra_data),
        fixed(header.prev_randao),
        fixed(header.nonce),
        integers(header.base_fee_per_gas),
        fixed(header.withdrawals_root),
        integers(header.blob_gas_used),
        integers(header.excess_blob_gas),
        fixed(header.parent_beacon_block_root),
    ]
    if header.requests_hash is not None:
        fields.append(fixed(header.requests_hash))
    return rlp.list_of(fields[: header.field_count])


def _usual_bytes(header: Header) -> bytes | None:
    """The bytes of a header whose fixed fields have their lengths, as in every block; None of
    another. Cost: a third of what it takes field by field."""
    integers = rlp.encode_integer
    requests = (b"\xa0", header.requests_hash) if header.requests_hash is not None else ()
    first = b"".join(
        (
            b"\xa0",
            header.parent_hash,
            b"\xa0",
            header.ommers_hash,
            b"\x94",
            header.coinbase,
            b"\xa0",
            header.state_root,
            b"\xa0",
            header.transactions_root,
            b"\xa0",
            header.receipts_root,
            b"\xb9\x01\x00",
            header.bloom,
        )
    )
    middle = b"".join((b"\xa0", header.prev_randao, b"\x88", header.nonce))
    last = b"".join((b"\xa0", header.parent_beacon_block_root, *requests))
    lengths = len(first), len(middle), len(last)
    if lengths != (_FIXED_HEADER_FIELDS.size - 3, 33 + 9, 33 + 33 * bool(requests)):
        return None
    return rlp.list_of(
        (
            first,
            integers(header.difficulty),
            integers(header.number),
            integers(header.gas_limit),
            integers(header.gas_used),
            integers(header.timestamp),
            rlp.encode_bytes(header.extra_data),
            middle,
            integers(header.base_fee_per_gas),
            rlp.encode_bytes(header.withdrawals_root),
            integers(header.blob_gas_used),
            integers(header.excess_blob_gas),
            last,
        )
    )


def decode_header(data: bytes) -> Header:
    """The header of these bytes. Raises: InvalidBlock RLP_STRUCTURES_ENCODING."""
    usual = _usual_header(data)
    if usual is not None:
        return usual
    with _block_structure("header"):
        return _header(rlp.decode(data, size_max=BLOCK_SIZE_MAX, depth_max=1))


def decode_early_header(data: bytes) -> Header:
    """As decode_header, and the headers before Cancun too, for where a fork of another chain
    begins. Raises: InvalidBlock RLP_STRUCTURES_ENCODING."""
    usual = _usual_header(data)
    if usual is not None:
        return usual
    with _block_structure("header"):
        return _header(rlp.decode(data, size_max=BLOCK_SIZE_MAX, depth_max=1), is_early=True)


def _usual_header(data: bytes) -> Header | None:
    """The header of these bytes, where all is as in every block since Cancun; None where it is not,
    which is judged field by field. Cost: 8 microseconds, a quarter of what that takes."""
    if len(data) < HEADER_BYTES_MIN or data[0] != 0xF9:
        return None
    if len(data) != 3 + (data[1] << 8 | data[2]):
        return None
    fixed = _FIXED_HEADER_FIELDS.unpack_from(data)
    parent, ommers, coinbase, state, transactions, receipts, bloom = fixed[1::2]
    items = _short_items(data, _FIXED_HEADER_FIELDS.size)
    if fixed[::2] != _FIXED_HEADER_MARKS or items is None:
        return None
    widths = tuple(map(len, items))
    is_well_formed = (
        len(items) in HEADER_TAIL_COUNTS
        and not any(widths[at] > most or items[at][:1] == b"\0" for at, most in _INTEGER_FIELDS)
        and all(widths[at] == 32 for at in (6, 9, 12))
        and widths[7] == 8
        and widths[13:] in ((), (32,))
    )
    if not is_well_formed:
        return None
    number = int.from_bytes
    return Header(
        parent_hash=Hash32(parent),
        ommers_hash=Hash32(ommers),
        coinbase=Address(coinbase),
        state_root=Hash32(state),
        transactions_root=Hash32(transactions),
        receipts_root=Hash32(receipts),
        bloom=bloom,
        difficulty=number(items[0], "big"),
        number=number(items[1], "big"),
        gas_limit=number(items[2], "big"),
        gas_used=number(items[3], "big"),
        timestamp=number(items[4], "big"),
        extra_data=items[5],
        prev_randao=Hash32(items[6]),
        nonce=items[7],
        base_fee_per_gas=number(items[8], "big"),
        withdrawals_root=Hash32(items[9]),
        blob_gas_used=number(items[10], "big"),
        excess_blob_gas=number(items[11], "big"),
        parent_beacon_block_root=Hash32(items[12]),
        requests_hash=Hash32(items[13]) if len(items) > HEADER_TAIL_MIN else None,
    )


def _short_items(data: bytes, start: int) -> list[bytes] | None:
    """The byte strings from start on, where all are canonical and of at most 55 bytes."""
    items = []
    end = len(data)
    while start < end:
        first = data[start]
        if first < 0x80:
            stop = start + 1
        elif first <= 0xB7:
            start += 1
            stop = start + first - 0x80
            if first == 0x81 and start < end and data[start] < 0x80:
                return None
        else:
            return None
        items.append(data[start:stop])
        start = stop
    return items if start == end else None


def _header(decoded: Decoded, *, is_early: bool = False) -> Header:
    item = rlp.as_list(decoded)
    count = len(item)
    if is_early and count in EARLY_FIELDS:
        item = [*item, *ZERO_FIELDS[count - HEADER_FIELDS :]]
    if len(item) not in (HEADER_FIELDS, HEADER_FIELDS + 1):
        message = f"a header of {len(item)} fields, not {HEADER_FIELDS} or {HEADER_FIELDS + 1}"
        raise InvalidEncoding(EncodingReason.FIELD_COUNT, message)
    return Header(
        parent_hash=_hash(item[0]),
        ommers_hash=_hash(item[1]),
        coinbase=_address(item[2]),
        state_root=_hash(item[3]),
        transactions_root=_hash(item[4]),
        receipts_root=_hash(item[5]),
        bloom=rlp.fixed(item[6], 256),
        difficulty=rlp.integer(item[7]),
        number=_uint64(item[8]),
        gas_limit=_uint64(item[9]),
        gas_used=_uint64(item[10]),
        timestamp=_uint64(item[11]),
        extra_data=rlp.as_bytes(item[12]),
        prev_randao=_hash(item[13]),
        nonce=rlp.fixed(item[14], 8),
        base_fee_per_gas=rlp.integer(item[15]),
        withdrawals_root=_hash(item[16]),
        blob_gas_used=_uint64(item[17]),
        excess_blob_gas=_uint64(item[18]),
        parent_beacon_block_root=_hash(item[19]),
        requests_hash=_hash(item[20]) if len(item) > HEADER_FIELDS else None,
        field_count=None if count >= HEADER_FIELDS else count,
    )


def encode_block(block: Block) -> bytes:
    """The bytes of a block. Cost: linear."""
    return join_block(
        encode_header(block.header), block.transactions, encode_withdrawals(block.withdrawals)
    )


def join_block(header: bytes, transactions: tuple[bytes, ...], withdrawals: bytes) -> bytes:
    """The bytes of a block whose header and withdrawals are encoded already."""
    return rlp.list_of((header, _encode_transactions(transactions), b"\xc0", withdrawals))


def _encode_transactions(raws: tuple[bytes, ...]) -> bytes:
    """Legacy lists as they are, typed ones as strings. Many have the same length, and so the same
    head."""
    heads: dict[int, bytes] = {1: b""}
    parts = []
    for raw in raws:
        if raw[:1] < b"\xc0":
            length = len(raw)
            if length not in heads:
                heads[length] = rlp.encode_bytes(raw)[:-length]
            parts.append(heads[length])
        parts.append(raw)
    return rlp.list_of(parts)


def decode_block(data: bytes, *, size_max: int = BLOCK_SIZE_MAX) -> Block:
    """The block of these bytes; transactions keep their canonical bytes, undecoded.

    Raises: InvalidBlock RLP_STRUCTURES_ENCODING; IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS.
    """
    with _block_structure("block"):
        if len(data) > size_max:
            message = f"a block of {len(data)} bytes, at most {size_max} are allowed"
            raise InvalidEncoding(EncodingReason.TOO_LONG, message)
        is_list, start, end = rlp.span(data)
        if not is_list:
            raise InvalidEncoding(EncodingReason.NOT_A_LIST)
        if end != len(data):
            raise InvalidEncoding(EncodingReason.TRAILING_BYTES)
        parts = rlp.spans(data, start, end)
        if len(parts) != 4:
            message = f"a block of {len(parts)} parts, not 4"
            raise InvalidEncoding(EncodingReason.FIELD_COUNT, message)
        header, transactions, ommers, withdrawals = parts
        if not (transactions[0] and ommers[0] and withdrawals[0]):
            raise InvalidEncoding(EncodingReason.NOT_A_LIST)
        if ommers[2] != ommers[3]:
            raise InvalidBlock(BlockReason.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS)
        return Block(
            header=_header(rlp.decode(data[header[1] : header[3]], depth_max=1)),
            transactions=split_transactions(data[transactions[2] : transactions[3]]),
            withdrawals=tuple(
                _withdrawal(item)
                for item in rlp.as_list(rlp.decode(data[withdrawals[1] : withdrawals[3]]))
            ),
        )


def block_end(data: bytes, offset: int) -> int:
    """Where the block that starts at offset ends, in a file of blocks one after the other.

    Raises: InvalidEncoding TRUNCATED, NOT_CANONICAL, NOT_A_LIST.
    """
    is_list, _, end = rlp.span(data, offset)
    if not is_list:
        raise InvalidEncoding(EncodingReason.NOT_A_LIST)
    return end


def encode_withdrawal(withdrawal: Withdrawal) -> bytes:
    """[index, validator index, address, amount in gwei] (EIP-4895)."""
    return rlp.list_of(
        (
            rlp.encode_integer(withdrawal.index),
            rlp.encode_integer(withdrawal.validator_index),
            rlp.encode_bytes(withdrawal.address),
            rlp.encode_integer(withdrawal.amount_gwei),
        )
    )


def encode_withdrawals(withdrawals: Iterable[Withdrawal]) -> bytes:
    """The list of them, as it stands in a block."""
    return rlp.list_of([encode_withdrawal(withdrawal) for withdrawal in withdrawals])


def decode_withdrawals(data: bytes) -> tuple[Withdrawal, ...]:
    """The list that these bytes are. Raises: InvalidBlock RLP_STRUCTURES_ENCODING."""
    with _block_structure("withdrawals"):
        items = rlp.as_list(rlp.decode(data, size_max=BLOCK_SIZE_MAX, depth_max=2))
        return tuple(_withdrawal(item) for item in items)


def _withdrawal(decoded: Decoded) -> Withdrawal:
    item = rlp.as_list(decoded, length=4)
    return Withdrawal(
        index=_uint64(item[0]),
        validator_index=_uint64(item[1]),
        address=_address(item[2]),
        amount_gwei=_uint64(item[3]),
    )


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes that the receipts root commits to: the type byte unless legacy, then
    [status, cumulative gas used, bloom, logs]."""
    payload = rlp.list_of(
        (
            rlp.encode_integer(int(receipt.success)),
            rlp.encode_integer(receipt.cumulative_gas_used),
            rlp.encode_bytes(receipt.bloom),
            rlp.list_of([encode_log(log) for log in receipt.logs]),
        )
    )
    return bytes((receipt.type,)) + payload if receipt.type else payload


def encode_log(log: Log) -> bytes:
    """[address, topics, data]."""
    topics = rlp.list_of([rlp.encode_bytes(topic) for topic in log.topics])
    return rlp.list_of((rlp.encode_bytes(log.address), topics, rlp.encode_bytes(log.data)))


_TYPES = frozenset(map(int, TransactionType))


def decode_receipt(data: bytes) -> Receipt:
    """The receipt of these bytes. Raises: InvalidEncoding."""
    if not data:
        raise InvalidEncoding(EncodingReason.TRUNCATED)
    kind = 0
    payload = data
    if data[0] < 0x80:
        kind, payload = data[0], data[1:]
        if kind == TransactionType.LEGACY or kind not in _TYPES:
            raise InvalidEncoding(EncodingReason.TYPE_UNKNOWN, f"a receipt of type {kind}")
    item = rlp.as_list(rlp.decode(payload, depth_max=4), length=4)
    status = rlp.integer(item[0])
    if status > 1:
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH, "a status that is neither 0 nor 1")
    return Receipt(
        type=kind,
        success=bool(status),
        cumulative_gas_used=_uint64(item[1]),
        bloom=rlp.fixed(item[2], 256),
        logs=tuple(_log(log) for log in rlp.as_list(item[3])),
    )


def _log(decoded: Decoded) -> Log:
    address, topics, data = rlp.as_list(decoded, length=3)
    hashes = tuple(_hash(topic) for topic in rlp.as_list(topics))
    if len(hashes) > 4:
        raise InvalidEncoding(EncodingReason.FIELD_COUNT, f"a log of {len(hashes)} topics")
    return Log(address=_address(address), topics=hashes, data=rlp.as_bytes(data))


def _hash(item: Decoded) -> Hash32:
    return Hash32(rlp.fixed(item, 32))


def _address(item: Decoded) -> Address:
    return Address(rlp.fixed(item, 20))


def _uint64(item: Decoded) -> int:
    return rlp.integer(item, bytes_max=8)


@contextmanager
def _block_structure(what: str) -> Iterator[None]:
    """Turns a broken encoding into an invalid block."""
    try:
        yield
    except InvalidEncoding as failure:
        raise InvalidBlock(BlockReason.RLP_STRUCTURES_ENCODING, f"{what}: {failure}") from failure
