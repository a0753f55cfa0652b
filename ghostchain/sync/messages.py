"""What is said to catch up, as records and as bytes.

Fixed-width fields, big-endian, after one byte that tells the kind. A decoder takes exactly one
message. An answer of any size travels as parts in order, so that no message is large and others
get their turn in between.

    1 get blocks    request 4 | first height 8 | count 2 | bytes 4
    2 get headers   request 4 | first height 8 | count 2
    3 get manifest  request 4 | height 8
    4 get chunk     request 4 | hash of the manifest 32 | number 4
    5 part          request 4 | bytes of the whole answer 4 | offset of this part 4 | data
    6 refused       request 4 | refusal 1 | lowest height 8 | highest height 8

The answer to `get blocks` is one to count blocks from first on, as many as fit into bytes, but at
least one. Of each:

    block 4 | certificate 4 | attachment 4    lengths
    block RLP | certificate | attachment

To `get headers`: all of them, each as length 2 | header RLP. To `get manifest`: that of the newest
snapshot not above the height. To `get chunk`: the chunk, packed (`encoding/manifests.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import decode_header
from ghostchain.encoding.manifests import CHUNKS_MAX
from ghostchain.primitives.errors import InvalidBlock, InvalidEncoding
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32

GET_BLOCKS_TAG, GET_HEADERS_TAG, GET_MANIFEST_TAG, GET_CHUNK_TAG, PART_TAG, REFUSED_TAG = range(
    1, 7
)

MESSAGE_BYTES_MAX = 1 << 20
PART_HEAD = struct.Struct(">BIII")
PART_BYTES_MAX = MESSAGE_BYTES_MAX - PART_HEAD.size
BLOCKS_MAX = 128
"""Blocks in an answer at most."""
ANSWER_BYTES_MAX = 1 << 20
"""Bytes of an answer of more than one block, at most."""
BLOCK_ANSWER_BYTES_MAX = (8 << 20) + (128 << 10)
"""Bytes of an answer of one block: what EIP-7934 allows, with certificates and evidence."""
HEADER_BYTES_MAX = 1_024
HEADERS_MAX = 512
"""Headers in an answer at most."""

Item = tuple[bytes, bytes, bytes]
"""A block as it is served: its RLP, its commit certificate, its attachment."""

_GET_BLOCKS = struct.Struct(">BIQHI")
_GET_HEADERS = struct.Struct(">BIQH")
_GET_MANIFEST = struct.Struct(">BIQ")
_GET_CHUNK = struct.Struct(">BI32sI")
_LENGTH = struct.Struct(">H")
_REFUSED = struct.Struct(">BIBQQ")
_LENGTHS = struct.Struct(">III")
HEIGHT_MAX = 2**64 - 1


class SyncReason(Enum):
    """Why a peer is punished."""

    MALFORMED = "not the bytes of a message"
    UNKNOWN_KIND = "no such kind of message"
    TOO_LARGE = "an answer that is larger than what was asked for"
    UNASKED = "an answer that nobody asked for"
    OUT_OF_ORDER = "parts of an answer that do not follow each other"
    WRONG_BLOCKS = "blocks that were not asked for"
    NOT_LINKED = "blocks that do not follow each other"
    NOT_PROVEN = "a block that nothing proves, or with parts beside it that are not its own"
    WRONG_BODY = "a body that is not the one of its header"
    WRONG_HEADERS = "headers that were not asked for"
    FALSE_MANIFEST = "a manifest of a snapshot that is not what it says"
    WRONG_CHUNK = "a chunk that is not the one asked for"
    STALLING = "claims blocks that it does not deliver"
    FLOODING = "more requests than one peer may have waiting"


class InvalidSyncMessage(Exception):
    """A message that no honest peer sends. The peer that sent it answers for it."""

    def __init__(self, reason: SyncReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


class Refusal(IntEnum):
    """Why there is no answer."""

    ABSENT = 1
    """Not among lowest to highest, which is what the peer has."""
    BUSY = 2
    """The peer has answered enough for now."""


@dataclass(frozen=True, slots=True)
class GetBlocks:
    """Asks for count blocks from first on, as many as fit into bytes_max, at least one."""

    request: int
    first: int
    count: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class GetHeaders:
    """Asks for the headers first to first + count - 1, all of them."""

    request: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class GetManifest:
    """Asks for the manifest of the newest snapshot not above height."""

    request: int
    height: int


@dataclass(frozen=True, slots=True)
class GetChunk:
    """Asks for a chunk of the snapshot with that manifest."""

    request: int
    manifest: Hash32
    number: int


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an answer of `total` bytes, at `offset`."""

    request: int
    total: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """There will be no (more of an) answer. The peer has the blocks lowest to highest."""

    request: int
    refusal: Refusal
    lowest: int
    highest: int


Request = GetBlocks | GetHeaders | GetManifest | GetChunk
Answer = Part | Refused
Message = Request | Answer


def encode_message(message: Message) -> bytes:
    """The bytes of a message. Raises: struct.error for fields that do not fit."""
    if isinstance(message, GetBlocks):
        return _GET_BLOCKS.pack(
            GET_BLOCKS_TAG, message.request, message.first, message.count, message.bytes_max
        )
    if isinstance(message, Part):
        head = PART_HEAD.pack(PART_TAG, message.request, message.total, message.offset)
        return head + message.data
    if isinstance(message, GetHeaders):
        return _GET_HEADERS.pack(GET_HEADERS_TAG, message.request, message.first, message.count)
    if isinstance(message, GetManifest):
        return _GET_MANIFEST.pack(GET_MANIFEST_TAG, message.request, message.height)
    if isinstance(message, GetChunk):
        return _GET_CHUNK.pack(GET_CHUNK_TAG, message.request, message.manifest, message.number)
    return _REFUSED.pack(
        REFUSED_TAG, message.request, message.refusal, message.lowest, message.highest
    )


def decode_message(data: bytes) -> Message:
    """One message out of all of data.

    Raises: InvalidSyncMessage (MALFORMED, UNKNOWN_KIND, TOO_LARGE).
    Cost: constant, and a copy of a part's data.
    """
    if not data:
        raise InvalidSyncMessage(SyncReason.MALFORMED, "no bytes")
    if len(data) > MESSAGE_BYTES_MAX:
        raise InvalidSyncMessage(SyncReason.TOO_LARGE, f"{len(data)} bytes")
    decode = _DECODERS.get(data[0])
    if decode is None:
        raise InvalidSyncMessage(SyncReason.UNKNOWN_KIND, str(data[0]))
    try:
        return decode(data)
    except struct.error as failure:
        raise InvalidSyncMessage(SyncReason.MALFORMED, str(failure)) from failure


def _decode_get_blocks(data: bytes) -> GetBlocks:
    _, request, first, count, bytes_max = _GET_BLOCKS.unpack(data)
    if not 1 <= count <= BLOCKS_MAX or not 1 <= first <= HEIGHT_MAX - BLOCKS_MAX:
        raise InvalidSyncMessage(SyncReason.MALFORMED, f"{count} blocks from {first} on")
    return GetBlocks(request, first, count, bytes_max)


def _decode_get_headers(data: bytes) -> GetHeaders:
    _, request, first, count = _GET_HEADERS.unpack(data)
    if not 1 <= count <= HEADERS_MAX or not 1 <= first <= HEIGHT_MAX - HEADERS_MAX:
        raise InvalidSyncMessage(SyncReason.MALFORMED, f"{count} headers from {first} on")
    return GetHeaders(request, first, count)


def _decode_get_manifest(data: bytes) -> GetManifest:
    _, request, height = _GET_MANIFEST.unpack(data)
    return GetManifest(request, height)


def _decode_get_chunk(data: bytes) -> GetChunk:
    _, request, manifest, number = _GET_CHUNK.unpack(data)
    if number >= CHUNKS_MAX:
        raise InvalidSyncMessage(SyncReason.MALFORMED, f"chunk {number}")
    return GetChunk(request, Hash32(manifest), number)


def _decode_part(data: bytes) -> Part:
    _, request, total, offset = PART_HEAD.unpack_from(data)
    part = data[PART_HEAD.size :]
    if not part or offset + len(part) > total:
        raise InvalidSyncMessage(SyncReason.MALFORMED, f"{len(part)} bytes at {offset} of {total}")
    return Part(request, total, offset, part)


def _decode_refused(data: bytes) -> Refused:
    _, request, refusal, lowest, highest = _REFUSED.unpack(data)
    if refusal not in (Refusal.ABSENT, Refusal.BUSY):
        raise InvalidSyncMessage(SyncReason.MALFORMED, f"refusal {refusal}")
    return Refused(request, Refusal(refusal), lowest, highest)


_DECODERS: dict[int, Callable[[bytes], Message]] = {
    GET_BLOCKS_TAG: _decode_get_blocks,
    GET_HEADERS_TAG: _decode_get_headers,
    GET_MANIFEST_TAG: _decode_get_manifest,
    GET_CHUNK_TAG: _decode_get_chunk,
    PART_TAG: _decode_part,
    REFUSED_TAG: _decode_refused,
}


@dataclass(frozen=True, slots=True)
class SyncBlock:
    """A block as it travels: its RLP, its commit certificate, and what stands beside it."""

    header: Header
    hash: Hash32
    block: bytes
    certificate: bytes
    attachment: bytes

    @property
    def height(self) -> int:
        return self.header.number

    @property
    def parent_hash(self) -> Hash32:
        return self.header.parent_hash

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.block) + len(self.certificate) + len(self.attachment)


def encode_blocks(blocks: Iterable[Item]) -> bytes:
    """The body of an answer."""
    parts: list[bytes] = []
    for block, certificate, attachment in blocks:
        parts.append(_LENGTHS.pack(len(block), len(certificate), len(attachment)))
        parts += (block, certificate, attachment)
    return b"".join(parts)


def encoded_size(block: bytes, certificate: bytes, attachment: bytes) -> int:
    """Bytes that one block takes in an answer."""
    return _LENGTHS.size + len(block) + len(certificate) + len(attachment)


def decode_blocks(data: bytes, first: int, count: int) -> tuple[SyncBlock, ...]:
    """The blocks of an answer: at most count, from height first on, each the next one's parent.

    Only headers are looked at: nothing here tells whether a body belongs to its header.
    Raises: InvalidSyncMessage (MALFORMED, WRONG_BLOCKS, NOT_LINKED).
    Cost: about 30 microseconds a block.
    """
    blocks: list[SyncBlock] = []
    cursor = 0
    while cursor < len(data):
        if len(blocks) == count:
            raise InvalidSyncMessage(SyncReason.WRONG_BLOCKS, f"more than {count} blocks")
        if cursor + _LENGTHS.size > len(data):
            raise InvalidSyncMessage(SyncReason.MALFORMED, "ends inside lengths")
        lengths = _LENGTHS.unpack_from(data, cursor)
        cursor += _LENGTHS.size
        if sum(lengths) > len(data) - cursor:
            raise InvalidSyncMessage(SyncReason.MALFORMED, "ends inside a block")
        pieces = []
        for length in lengths:
            pieces.append(data[cursor : cursor + length])
            cursor += length
        block = _sync_block(*pieces)
        if block.height != first + len(blocks):
            raise InvalidSyncMessage(
                SyncReason.WRONG_BLOCKS, f"block {block.height}, not {first + len(blocks)}"
            )
        if blocks and block.parent_hash != blocks[-1].hash:
            raise InvalidSyncMessage(SyncReason.NOT_LINKED, f"block {block.height}")
        blocks.append(block)
    if not blocks:
        raise InvalidSyncMessage(SyncReason.WRONG_BLOCKS, "no blocks")
    return tuple(blocks)


def _sync_block(block: bytes, certificate: bytes, attachment: bytes) -> SyncBlock:
    """Raises: InvalidSyncMessage MALFORMED."""
    try:
        is_list, start, end = rlp.span(block)
        if not is_list or end != len(block):
            raise InvalidSyncMessage(SyncReason.MALFORMED, "a block that is no list")
        _, _, header_end = rlp.span(block, start, end)
        if header_end - start > HEADER_BYTES_MAX:
            raise InvalidSyncMessage(SyncReason.MALFORMED, "a header too large")
        encoded = block[start:header_end]
        header = decode_header(encoded)
    except (InvalidEncoding, InvalidBlock) as failure:
        raise InvalidSyncMessage(SyncReason.MALFORMED, str(failure)) from failure
    return SyncBlock(header, keccak256(encoded), block, certificate, attachment)


@dataclass(frozen=True, slots=True)
class SyncHeader:
    """A header as it travels."""

    height: int
    hash: Hash32
    parent_hash: Hash32
    state_root: Hash32
    timestamp: int
    encoded: bytes


def encode_headers(headers: Iterable[bytes]) -> bytes:
    """The body of an answer. headers: RLP of each."""
    return b"".join(_LENGTH.pack(len(header)) + header for header in headers)


def decode_headers(data: bytes, first: int, count: int) -> tuple[SyncHeader, ...]:
    """The headers of an answer: count, from height first on, each the next one's parent.

    Raises: InvalidSyncMessage (MALFORMED, WRONG_HEADERS, NOT_LINKED).
    Cost: about 25 microseconds a header.
    """
    headers: list[SyncHeader] = []
    cursor = 0
    while cursor < len(data):
        if len(headers) == count:
            raise InvalidSyncMessage(SyncReason.WRONG_HEADERS, f"more than {count}")
        if cursor + _LENGTH.size > len(data):
            raise InvalidSyncMessage(SyncReason.MALFORMED, "ends inside a length")
        (length,) = _LENGTH.unpack_from(data, cursor)
        cursor += _LENGTH.size
        encoded = data[cursor : cursor + length]
        if len(encoded) < length or length > HEADER_BYTES_MAX:
            raise InvalidSyncMessage(SyncReason.MALFORMED, f"a header of {length} bytes")
        cursor += length
        header = _sync_header(encoded)
        if header.height != first + len(headers):
            detail = f"header {header.height}, not {first + len(headers)}"
            raise InvalidSyncMessage(SyncReason.WRONG_HEADERS, detail)
        if headers and header.parent_hash != headers[-1].hash:
            raise InvalidSyncMessage(SyncReason.NOT_LINKED, f"header {header.height}")
        headers.append(header)
    if len(headers) != count:
        raise InvalidSyncMessage(SyncReason.WRONG_HEADERS, f"{len(headers)} of {count}")
    return tuple(headers)


def _sync_header(encoded: bytes) -> SyncHeader:
    """Raises: InvalidSyncMessage MALFORMED."""
    try:
        header = decode_header(encoded)
    except InvalidBlock as failure:
        raise InvalidSyncMessage(SyncReason.MALFORMED, str(failure)) from failure
    return SyncHeader(
        header.number,
        keccak256(encoded),
        header.parent_hash,
        header.state_root,
        header.timestamp,
        encoded,
    )
