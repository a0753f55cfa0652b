"""Frames of the peers: each kind there and back, and everything that a decoder refuses."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgpack
import pytest

from ghostchain.p2p.compact import bitmap_of
from ghostchain.p2p.messages import (
    ATTACHMENT_BYTES_MAX,
    BLOCK_TRANSACTIONS_MAX,
    CHANNEL_LIMITS,
    COMPACT_BYTES_MAX,
    HASHES_MAX,
    HEADER_BYTES_MAX,
    KINDS,
    PEERS_MAX,
    RECORD_BYTES_MAX,
    SCHEMAS,
    TRANSACTION_BYTES_MAX,
    TRANSACTIONS_MAX,
    WITHDRAWALS_BYTES_MAX,
    BlockMissing,
    BlockTransactions,
    Channel,
    CompactBlock,
    CompactBody,
    GetBlock,
    GetBlockTransactions,
    GetPeers,
    GetTransactions,
    Hello,
    InvalidMessage,
    Message,
    MessageReason,
    Peers,
    Ping,
    Pong,
    TransactionHashes,
    Transactions,
    Welcome,
    channel_of,
    decode_compact,
    decode_envelope,
    decode_message,
    encode_compact,
    encode_envelope,
    encode_message,
)
from ghostchain.primitives.types import Hash32

ONE, TWO = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)
MESSAGES: tuple[Message, ...] = (
    Hello(1, 1, 44678, ONE, "ghostd 0.1", b"record", 2**64 - 1, "203.0.113.7"),
    Welcome(1),
    Ping(2**64 - 1, 5),
    Pong(0, 0),
    GetPeers(PEERS_MAX),
    Peers((b"one", b"two")),
    TransactionHashes((ONE, TWO)),
    GetTransactions(7, (ONE,)),
    Transactions(0, (b"\x02abc", b"\xf8")),
    GetBlock(ONE),
    CompactBlock(ONE, b"body"),
    GetBlockTransactions(ONE, TWO, bitmap_of([0, 9])),
    BlockTransactions(ONE, (b"raw",)),
    BlockMissing(TWO),
)
EMPTY = (Peers(()), Transactions(3, ()), BlockTransactions(ONE, ()))
BODY = CompactBody(b"header", b"\xc0", b"", (ONE, TWO))


def refusal(decode: Any, *arguments: Any) -> MessageReason:
    with pytest.raises(InvalidMessage) as caught:
        decode(*arguments)
    reason = caught.value.reason
    assert isinstance(reason, MessageReason)
    return reason


def packed(kind: type, *fields: Any) -> bytes:
    return bytes(msgpack.packb((KINDS[kind], *fields)))


def test_every_kind_is_tried() -> None:
    assert [type(message) for message in MESSAGES] == [record for record, _, _ in SCHEMAS]


@pytest.mark.parametrize("message", [*MESSAGES, *EMPTY], ids=lambda one: type(one).__name__)
def test_messages_come_back(message: Message) -> None:
    frame = encode_message(message)
    assert decode_message(channel_of(message), frame) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_cut_and_prolonged_frames_are_refused(message: Message) -> None:
    frame = encode_message(message)
    channel = channel_of(message)
    for length in range(1, len(frame)):
        assert refusal(decode_message, channel, frame[:length]) in (
            MessageReason.MALFORMED,
            MessageReason.FIELD_COUNT,
        )
    assert refusal(decode_message, channel, frame + b"\0") is MessageReason.TRAILING_BYTES
    assert refusal(decode_message, channel, frame + frame) is MessageReason.TRAILING_BYTES
    assert refusal(decode_message, channel, b"") is MessageReason.EMPTY


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_messages_belong_to_one_channel(message: Message) -> None:
    frame = encode_message(message)
    for channel in Channel:
        if channel != channel_of(message):
            assert refusal(decode_message, channel, frame) is MessageReason.WRONG_CHANNEL


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_fields_have_their_types(message: Message) -> None:
    """Each field in turn replaced by what msgpack also knows: nothing of it gets through."""
    fields = msgpack.unpackb(encode_message(message))
    wrong_values = (None, True, 1.5, -1, {}, {1: 2}, [[]], [[1]], msgpack.ExtType(5, b""), "é")
    for place in range(1, len(fields)):
        for wrong in (*wrong_values, msgpack.Timestamp(1), [], 1, b"", "text"):
            if type(wrong) is type(fields[place]):
                continue
            frame = msgpack.packb([*fields[:place], wrong, *fields[place + 1 :]])
            reason = refusal(decode_message, channel_of(message), frame)
            assert reason in (
                MessageReason.FIELD_TYPE,
                MessageReason.FIELD_RANGE,
                MessageReason.MALFORMED,
            )


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_field_counts_are_exact(message: Message) -> None:
    fields = msgpack.unpackb(encode_message(message))
    for changed in (fields[:-1], [*fields, 1]):
        reason = refusal(decode_message, channel_of(message), msgpack.packb(changed))
        assert reason is MessageReason.FIELD_COUNT


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x90", MessageReason.UNKNOWN_KIND),
        (b"\x91\x00", MessageReason.UNKNOWN_KIND),
        (b"\x91\x0f", MessageReason.UNKNOWN_KIND),
        (b"\x91\xc3", MessageReason.UNKNOWN_KIND),
        (b"\x91\xcf" + b"\xff" * 8, MessageReason.UNKNOWN_KIND),
        (b"\x91\x91\x01", MessageReason.MALFORMED),
        (b"\x01", MessageReason.MALFORMED),
        (b"\x81\x01\x02", MessageReason.MALFORMED),
        (b"\xc1", MessageReason.MALFORMED),
        (b"\xdd\xff\xff\xff\xff", MessageReason.MALFORMED),
        (b"\xdd\xff\xff\xff\xff\x03\x01\x01", MessageReason.FIELD_COUNT),
        (bytes(CHANNEL_LIMITS[Channel.CONTROL].frame_bytes_max + 1), MessageReason.OVERSIZED),
    ],
)
def test_frames_that_are_no_message(frame: bytes, reason: MessageReason) -> None:
    assert refusal(decode_message, Channel.CONTROL, frame) is reason


@pytest.mark.parametrize(
    ("channel", "frame", "reason"),
    [
        (6, packed(GetPeers, 0), MessageReason.FIELD_RANGE),
        (6, packed(GetPeers, PEERS_MAX + 1), MessageReason.FIELD_RANGE),
        (6, packed(Peers, [b"r"] * (PEERS_MAX + 1)), MessageReason.TOO_MANY),
        (6, packed(Peers, [bytes(RECORD_BYTES_MAX + 1)]), MessageReason.FIELD_RANGE),
        (6, packed(Peers, [b""]), MessageReason.FIELD_RANGE),
        (6, packed(Welcome, 256), MessageReason.FIELD_RANGE),
        (4, packed(TransactionHashes, b""), MessageReason.FIELD_RANGE),
        (4, packed(TransactionHashes, bytes(33)), MessageReason.FIELD_RANGE),
        (4, packed(TransactionHashes, bytes(64)), MessageReason.DUPLICATE),
        (4, packed(TransactionHashes, bytes(32 * HASHES_MAX + 32)), MessageReason.TOO_MANY),
        (4, packed(GetTransactions, 0, ONE), MessageReason.FIELD_RANGE),
        (4, packed(Transactions, 0, [b"r"] * (TRANSACTIONS_MAX + 1)), MessageReason.TOO_MANY),
        (4, packed(Transactions, 0, [b""]), MessageReason.FIELD_RANGE),
        (
            4,
            packed(Transactions, 0, [bytes(TRANSACTION_BYTES_MAX + 1)]),
            MessageReason.FIELD_RANGE,
        ),
        (2, packed(GetBlock, bytes(31)), MessageReason.FIELD_RANGE),
        (2, packed(GetBlockTransactions, ONE, TWO, b""), MessageReason.FIELD_RANGE),
        (2, packed(GetBlockTransactions, ONE, TWO, b"\x01\x00"), MessageReason.FIELD_RANGE),
        (2, packed(GetBlockTransactions, ONE, bytes(31), b"\x01"), MessageReason.FIELD_RANGE),
        (
            2,
            packed(GetBlockTransactions, ONE, TWO, b"\x01" * (BLOCK_TRANSACTIONS_MAX // 8 + 1)),
            MessageReason.FIELD_RANGE,
        ),
        (2, packed(CompactBlock, ONE, b""), MessageReason.FIELD_RANGE),
        (2, packed(CompactBlock, ONE, bytes(COMPACT_BYTES_MAX + 1)), MessageReason.FIELD_RANGE),
    ],
)
def test_limits_are_named(channel: int, frame: bytes, reason: MessageReason) -> None:
    assert refusal(decode_message, channel, frame) is reason


@pytest.mark.parametrize("software", ["a" * 65, "bell\x07", "two\nlines", "grüße"])
def test_texts_are_printable(software: str) -> None:
    """They are logged and shown."""
    fields = msgpack.unpackb(encode_message(MESSAGES[0]))
    fields[5] = software
    reason = refusal(decode_message, Channel.CONTROL, msgpack.packb(fields))
    assert reason is MessageReason.FIELD_RANGE


@pytest.mark.parametrize(
    "frame",
    [
        b"\x93\x09\x00\xdd\x7f\xff\xff\xff",
        b"\x93\x09\x00\xdd\x00\x00\x10\x00",
        b"\x93\x09\x00" + b"\xdd\x00\x00\x10\x00" * 900,
        b"\x93\x09\x00\x91" + b"\xdc\x10\x00" * 900,
        b"\x93\x09\x00\x91\xc6\x7f\xff\xff\xff",
        b"\x93\x09\x00" + b"\x91" * 100_000,
    ],
)
def test_lying_counts_make_no_room(frame: bytes) -> None:
    """A few bytes that claim millions of items are refused before any room is made for them."""
    tracemalloc.start()
    try:
        reason = refusal(decode_message, Channel.TRANSACTIONS, frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reason in (MessageReason.TOO_MANY, MessageReason.MALFORMED)
    assert peak < 10 * len(frame) + 50_000


# ---- envelopes and compact bodies ----


@pytest.mark.parametrize("body", [None, b"body"])
def test_envelopes_come_back(body: bytes | None) -> None:
    assert decode_envelope(encode_envelope(b"vote", body)) == (b"vote", body)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", MessageReason.EMPTY),
        (b"\x91\xc4\x01a", MessageReason.FIELD_COUNT),
        (b"\x93\xc4\x01a\xc0\xc0", MessageReason.FIELD_COUNT),
        (b"\x92\xc4\x01a", MessageReason.MALFORMED),
        (b"\x92\xc0\xc0", MessageReason.FIELD_TYPE),
        (b"\x92\xa1a\xc0", MessageReason.FIELD_TYPE),
        (b"\x92\xc4\x01a\x90", MessageReason.FIELD_TYPE),
        (b"\x92\xc4\x00\xc0", MessageReason.FIELD_RANGE),
        (b"\x92\xc4\x01a\xc4\x00", MessageReason.FIELD_RANGE),
        (b"\x92\xc4\x01a\xc0\xc0", MessageReason.TRAILING_BYTES),
        (bytes(CHANNEL_LIMITS[Channel.PROPOSALS].frame_bytes_max + 1), MessageReason.OVERSIZED),
    ],
)
def test_envelopes_are_exact(frame: bytes, reason: MessageReason) -> None:
    assert refusal(decode_envelope, frame) is reason


def test_compact_bodies_come_back() -> None:
    assert decode_compact(encode_compact(BODY)) == BODY
    assert decode_compact(encode_compact(CompactBody(b"h", b"\xc0", b"a", ()))).hashes == ()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((b"h", b"w", b"a"), MessageReason.FIELD_COUNT),
        ((b"", b"w", b"a", b""), MessageReason.FIELD_RANGE),
        ((b"h", b"", b"a", b""), MessageReason.FIELD_RANGE),
        ((b"h", b"w", None, b""), MessageReason.FIELD_TYPE),
        ((b"h", b"w", b"a", bytes(31)), MessageReason.FIELD_RANGE),
        ((b"h", b"w", b"a", bytes(64)), MessageReason.DUPLICATE),
        ((b"h", b"w", b"a", [ONE]), MessageReason.MALFORMED),
        ((bytes(HEADER_BYTES_MAX + 1), b"w", b"a", b""), MessageReason.FIELD_RANGE),
        ((b"h", bytes(WITHDRAWALS_BYTES_MAX + 1), b"a", b""), MessageReason.FIELD_RANGE),
        ((b"h", b"w", bytes(ATTACHMENT_BYTES_MAX + 1), b""), MessageReason.FIELD_RANGE),
        ((b"h", b"w", b"a", bytes(32 * BLOCK_TRANSACTIONS_MAX + 32)), MessageReason.TOO_MANY),
    ],
)
def test_compact_bodies_are_exact(fields: tuple[Any, ...], reason: MessageReason) -> None:
    assert refusal(decode_compact, msgpack.packb(fields)) is reason


def test_the_largest_body_fits_its_frames() -> None:
    """A block at every limit can be proposed and asked for."""
    largest = CompactBody(
        bytes(HEADER_BYTES_MAX),
        bytes(WITHDRAWALS_BYTES_MAX),
        bytes(ATTACHMENT_BYTES_MAX),
        tuple(Hash32(number.to_bytes(32, "big")) for number in range(BLOCK_TRANSACTIONS_MAX)),
    )
    body = encode_compact(largest)
    assert decode_compact(body) == largest
    assert decode_envelope(encode_envelope(bytes(256 * 1024), body))[1] == body
    frame = encode_message(CompactBlock(ONE, body))
    assert decode_message(Channel.BLOCKS, frame) == CompactBlock(ONE, body)
