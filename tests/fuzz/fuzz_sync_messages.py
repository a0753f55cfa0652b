"""Any bytes as a message of sync, as an answer to one, and said to a node that waits for answers:
read and written back unchanged, or refused with a reason; never another exception, and a node that
hears nonsense goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.manifests import (
    CHUNK_BYTES_MAX,
    Manifest,
    decode_manifest,
    encode_manifest,
    pack_chunk,
    unpack_chunk,
)
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.primitives.types import EMPTY_ROOT, Hash32
from ghostchain.sync.core import SyncCore
from ghostchain.sync.effects import Punish
from ghostchain.sync.messages import (
    GetBlocks,
    GetChunk,
    GetHeaders,
    GetManifest,
    InvalidSyncMessage,
    Part,
    Refusal,
    Refused,
    decode_blocks,
    decode_headers,
    decode_message,
    encode_blocks,
    encode_headers,
    encode_message,
)
from ghostchain.sync.serving import ServeCore
from ghostchain.sync.snapshots import FIRST_REQUEST, Checkpoint, SnapshotCore
from tests.sync_world import GENESIS_HASH, blocks_of


def header_of(block: bytes) -> bytes:
    _, start, _ = rlp.span(block)
    _, _, end = rlp.span(block, start)
    return block[start:end]


BLOCKS = blocks_of(3)
BODY = encode_blocks(BLOCKS)
HEADERS = [header_of(block) for block, _, _ in BLOCKS]
MANIFEST = Manifest(1, Hash32(bytes(32)), EMPTY_ROOT, 1, 2, 3, 4, (keccak256(b"chunk"),))
PEER, OTHER = b"\x01" * 32, b"\x02" * 32

SEEDS = [
    b"",
    *map(
        encode_message,
        (
            GetBlocks(1, 2, 3, 4),
            GetHeaders(1, 2, 3),
            GetManifest(1, 2),
            GetChunk(1, Hash32(bytes(32)), 3),
            Part(0, len(BODY), 0, BODY),
            Part(0, len(BODY), 0, BODY[:100]),
            Part(FIRST_REQUEST, 5, 0, b"chunk"),
            Refused(0, Refusal.ABSENT, 1, 2),
            Refused(FIRST_REQUEST, Refusal.BUSY, 1, 2),
        ),
    ),
    BODY,
    encode_headers(HEADERS),
    encode_manifest(MANIFEST),
    pack_chunk(bytes(200)),
    pack_chunk(b"chunk"),
]


def check(data: bytes) -> None:
    holds(decode_message, encode_message, data)
    holds(lambda body: decode_blocks(body, 1, 3), written_blocks, data)
    holds(lambda body: decode_headers(body, 1, 3), written_headers, data)
    holds(decode_manifest, encode_manifest, data)
    unpacked = tried(unpack_chunk, data)
    assert unpacked is None or len(unpacked) <= CHUNK_BYTES_MAX
    said(data)


def written_blocks(blocks: Any) -> bytes:
    return encode_blocks((block.block, block.certificate, block.attachment) for block in blocks)


def written_headers(headers: Any) -> bytes:
    return encode_headers(header.encoded for header in headers)


def tried(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """What the bytes are, None when they are refused."""
    try:
        return decode(data)
    except (InvalidSyncMessage, InvalidEncoding):
        return None


def holds(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], data: bytes) -> None:
    value = tried(decode, data)
    if value is not None:
        assert encode(value) == data


def said(data: bytes) -> None:
    """To cores that have asked: they hold no more than an answer, and still ask the other peer."""
    message = tried(decode_message, data)
    if message is None:
        return
    if not isinstance(message, Part | Refused):
        ServeCore().on_request(PEER, message, now_ns=0)
        return
    core = SyncCore(0, GENESIS_HASH, now_ns=0)
    core.on_peer_height(PEER, 100, now_ns=0)
    effects = core.on_message(PEER, message, now_ns=1)
    assert core.held_bytes <= len(data)
    assert core.deadline_ns(1) is not None or any(isinstance(one, Punish) for one in effects)
    assert core.on_peer_height(OTHER, 1_000, now_ns=2)
    beginning = SnapshotCore(Checkpoint(100, GENESIS_HASH, 10), now_ns=0)
    beginning.on_peer(PEER, now_ns=0)
    beginning.on_message(PEER, message, now_ns=1, now_s=1.0)
    beginning.on_tick(now_ns=10**10)
    assert beginning.on_peer(OTHER, now_ns=10**10)


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
