"""What a snapshot of the state is made of: the record that names its chunks by their hashes.

    version 1 | height 8 | block hash 32 | state root 32
    | accounts 8 | slots 8 | codes 8 | bytes 8 | chunks 4 | hash of each chunk 32

All integers are big-endian. What is in a chunk is `state/snapshot.py`'s. It is kept and sent
packed: one byte, 1 for zlib or 0 for none where that is not smaller, and the data. Hashes are of
what is unpacked, so that two versions of zlib make one snapshot. A manifest is nobody's word for
the state: that is the root in the header of its block, and nothing else.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from ghostchain.primitives.errors import EncodingReason, InvalidEncoding
from ghostchain.primitives.types import Hash32

VERSION = 1
RAW, ZLIB = 0, 1
ZLIB_LEVEL = 1
CHUNKS_MAX = 1 << 16
CHUNK_BYTES_MAX = 1 << 20
"""Bytes of a chunk, not compressed, at most."""
_HEAD = struct.Struct(">BQ32s32sQQQQI")
PACKED_BYTES_MAX = 1 + CHUNK_BYTES_MAX
MANIFEST_BYTES_MAX = _HEAD.size + 32 * CHUNKS_MAX


@dataclass(frozen=True, slots=True)
class Manifest:
    """The state after block `height` in chunks. bytes_total: of all chunks, not compressed."""

    height: int
    block_hash: Hash32
    state_root: Hash32
    accounts: int
    slots: int
    codes: int
    bytes_total: int
    chunks: tuple[Hash32, ...]


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest."""
    head = _HEAD.pack(
        VERSION,
        manifest.height,
        manifest.block_hash,
        manifest.state_root,
        manifest.accounts,
        manifest.slots,
        manifest.codes,
        manifest.bytes_total,
        len(manifest.chunks),
    )
    return head + b"".join(manifest.chunks)


def decode_manifest(data: bytes) -> Manifest:
    """The manifest of these bytes.

    Raises: InvalidEncoding (TRUNCATED, TRAILING_BYTES, TOO_LONG, TYPE_UNKNOWN, FIELD_WIDTH for
    counts that cannot be).
    """
    if len(data) > MANIFEST_BYTES_MAX:
        raise InvalidEncoding(EncodingReason.TOO_LONG, f"a manifest of {len(data)} bytes")
    if len(data) < _HEAD.size:
        raise InvalidEncoding(EncodingReason.TRUNCATED, f"a manifest of {len(data)} bytes")
    version, height, block, root, accounts, slots, codes, size, count = _HEAD.unpack_from(data)
    if version != VERSION:
        raise InvalidEncoding(EncodingReason.TYPE_UNKNOWN, f"a manifest of version {version}")
    if not 1 <= count <= CHUNKS_MAX:
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH, f"{count} chunks")
    if len(data) != _HEAD.size + 32 * count:
        reason = EncodingReason.TRAILING_BYTES
        if len(data) < _HEAD.size + 32 * count:
            reason = EncodingReason.TRUNCATED
        raise InvalidEncoding(reason, f"{len(data)} bytes for {count} chunks")
    if size > count * CHUNK_BYTES_MAX:
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH, f"{size} bytes in {count} chunks")
    chunks = tuple(Hash32(data[start : start + 32]) for start in range(_HEAD.size, len(data), 32))
    return Manifest(height, Hash32(block), Hash32(root), accounts, slots, codes, size, chunks)


def pack_chunk(chunk: bytes) -> bytes:
    """A chunk as it is kept and sent. Cost: about 15 milliseconds of zlib a megabyte."""
    packed = zlib.compress(chunk, ZLIB_LEVEL)
    if len(packed) < len(chunk):
        return bytes((ZLIB,)) + packed
    return bytes((RAW,)) + chunk


def unpack_chunk(packed: bytes) -> bytes:
    """The chunk. Raises: InvalidEncoding; at most CHUNK_BYTES_MAX bytes are ever unpacked."""
    if packed[:1] == bytes((RAW,)):
        chunk = packed[1:]
        if len(chunk) > CHUNK_BYTES_MAX:
            raise InvalidEncoding(EncodingReason.TOO_LONG, f"a chunk of {len(chunk)} bytes")
        return chunk
    if packed[:1] != bytes((ZLIB,)):
        raise InvalidEncoding(EncodingReason.TYPE_UNKNOWN, "a chunk of no known form")
    inflating = zlib.decompressobj()
    try:
        chunk = inflating.decompress(packed[1:], CHUNK_BYTES_MAX + 1)
    except zlib.error as failure:
        raise InvalidEncoding(EncodingReason.TRUNCATED, f"a chunk: {failure}") from failure
    if len(chunk) > CHUNK_BYTES_MAX:
        raise InvalidEncoding(EncodingReason.TOO_LONG, "a chunk that unpacks to too much")
    if not inflating.eof or inflating.unused_data:
        raise InvalidEncoding(EncodingReason.TRAILING_BYTES, "a chunk that does not end well")
    return chunk
