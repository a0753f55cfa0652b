"""Requests and answers as bytes: taken back as they were, or refused with the reason."""

from __future__ import annotations

import struct

import pytest

from ghostchain.sync.messages import (
    BLOCKS_MAX,
    HEIGHT_MAX,
    MESSAGE_BYTES_MAX,
    PART_BYTES_MAX,
    GetBlocks,
    InvalidSyncMessage,
    Message,
    Part,
    Refusal,
    Refused,
    SyncReason,
    decode_blocks,
    decode_message,
    encode_blocks,
    encode_message,
)
from tests.sync_world import blocks_of

MESSAGES = [
    GetBlocks(1, 2, 3, 4),
    GetBlocks(2**32 - 1, HEIGHT_MAX - BLOCKS_MAX, BLOCKS_MAX, 2**32 - 1),
    Part(5, 3, 0, b"abc"),
    Part(5, 2**32 - 1, 7, bytes(PART_BYTES_MAX)),
    Refused(6, Refusal.ABSENT, 7, 8),
    Refused(6, Refusal.BUSY, 0, HEIGHT_MAX),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_come_back_as_they_were(message: Message) -> None:
    encoded = encode_message(message)
    assert len(encoded) <= MESSAGE_BYTES_MAX
    assert decode_message(encoded) == message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", SyncReason.MALFORMED),
        (b"\x00", SyncReason.UNKNOWN_KIND),
        (b"\xff" * 20, SyncReason.UNKNOWN_KIND),
        (bytes(MESSAGE_BYTES_MAX + 1), SyncReason.TOO_LARGE),
        (encode_message(MESSAGES[0])[:-1], SyncReason.MALFORMED),
        (encode_message(MESSAGES[0]) + b"\0", SyncReason.MALFORMED),
        (encode_message(GetBlocks(1, 0, 1, 1)), SyncReason.MALFORMED),
        (encode_message(GetBlocks(1, 1, 0, 1)), SyncReason.MALFORMED),
        (encode_message(GetBlocks(1, 1, BLOCKS_MAX + 1, 1)), SyncReason.MALFORMED),
        (encode_message(GetBlocks(1, HEIGHT_MAX, 1, 1)), SyncReason.MALFORMED),
        (encode_message(Part(1, 5, 0, b"")), SyncReason.MALFORMED),
        (encode_message(Part(1, 5, 3, b"abc")), SyncReason.MALFORMED),
        (encode_message(MESSAGES[4])[:-1], SyncReason.MALFORMED),
        (struct.pack(">BIBQQ", 6, 1, 3, 0, 0), SyncReason.MALFORMED),
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes, reason: SyncReason) -> None:
    with pytest.raises(InvalidSyncMessage) as caught:
        decode_message(data)
    assert caught.value.reason is reason


def test_blocks_come_back_as_they_were() -> None:
    items = blocks_of(20)
    blocks = decode_blocks(encode_blocks(items[4:]), 5, 16)
    assert [(block.block, block.certificate, block.attachment) for block in blocks] == items[4:]
    assert [block.height for block in blocks] == list(range(5, 21))
    assert [block.parent_hash for block in blocks[1:]] == [block.hash for block in blocks[:-1]]


ITEMS = blocks_of(5)
OTHERS = blocks_of(5, salt=b"other")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", SyncReason.WRONG_BLOCKS),
        (encode_blocks(ITEMS), SyncReason.WRONG_BLOCKS),
        (encode_blocks(ITEMS[1:]), SyncReason.WRONG_BLOCKS),
        (encode_blocks([ITEMS[0], ITEMS[2]]), SyncReason.WRONG_BLOCKS),
        (encode_blocks([ITEMS[0], OTHERS[1]]), SyncReason.NOT_LINKED),
        (encode_blocks(ITEMS[:3])[:-1], SyncReason.MALFORMED),
        (encode_blocks(ITEMS[:3]) + b"\0", SyncReason.MALFORMED),
        (encode_blocks([(b"\x80", b"", b"")]), SyncReason.MALFORMED),
        (encode_blocks([(b"\xc0", b"", b"")]), SyncReason.MALFORMED),
        (encode_blocks([(ITEMS[0][0] + b"\0", b"", b"")]), SyncReason.MALFORMED),
        (struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1), SyncReason.MALFORMED),
    ],
)
def test_answers_that_are_not_the_blocks_asked_for_are_refused(
    data: bytes, reason: SyncReason
) -> None:
    with pytest.raises(InvalidSyncMessage) as caught:
        decode_blocks(data, 1, 4)
    assert caught.value.reason is reason
