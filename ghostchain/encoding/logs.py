"""Logs from the records of blocks to JSON: the door to `native/reads/logs.h`, where a page is told.

Threads: any. The interpreter lock is free while native code runs.

Oracle: the logs as `chain/logs.py` decodes them and `rpc/render.py` shows them, in
tests/oracle/test_logs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.crypto.keccak import keccak256_batch
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.types import Address, Hash32

Topics = Sequence[Collection[Hash32]]
BLOOM_BYTES = 256


@dataclass(frozen=True, slots=True)
class LogsBound:
    """How many logs, and how many bytes of them, are wanted at most."""

    logs_max: int = 1 << 62
    bytes_max: int = 1 << 62


class LogChoice:
    """Which logs are asked for: an empty collection matches anything, and a log needs as many
    topics as positions are given."""

    __slots__ = ("_kept", "_scan", "native")

    def __init__(self, addresses: Collection[Address], topics: Topics) -> None:
        lists = [sorted(map(bytes, entries)) for entries in (addresses, *topics)]
        self.native = ffi.new("ghost_log_filter *")
        self._kept = b"".join(lists[0]), b"".join(b"".join(item) for item in lists[1:])
        self.native.addresses = ffi.from_buffer(self._kept[0])
        self.native.address_count = len(lists[0])
        self.native.topics = ffi.from_buffer(self._kept[1])
        self.native.positions = len(topics)
        for position, item in enumerate(lists[1:]):
            self.native.topic_counts[position] = len(item)
        groups = [item for item in lists if item]
        bits = [bit for item in groups for digest in keccak256_batch(item) for bit in three(digest)]
        self._scan: tuple[Any, Any, int] = (
            ffi.new("uint16_t[]", bits),
            ffi.new("size_t[]", [len(item) for item in groups]),
            len(groups),
        )

    def scan(self, blooms: bytes | memoryview) -> list[int]:
        """Which of the blooms, 256 bytes each, do not rule a match out, ascending.

        Cost: some tens of nanoseconds a bloom.
        """
        count = len(blooms) // BLOOM_BYTES
        found = ffi.new("uint32_t[]", count)
        bits, alternatives, groups = self._scan
        total = lib.ghost_blooms_scan(
            found, ffi.from_buffer(blooms), count, bits, alternatives, groups
        )
        return list(ffi.unpack(found, total)) if total else []


def three(digest: bytes) -> list[int]:
    """The bits of a bloom that stand for what has this hash (Yellow Paper 4.3.1)."""
    return [int.from_bytes(digest[start : start + 2], "big") & 2047 for start in (0, 2, 4)]


def _taken(out: Any) -> bytes:
    """Native bytes, which are freed."""
    found = bytes(ffi.buffer(out.data, out.length)) if out.length else b""
    lib.free(out.data)
    return found


def log_page(
    number: int,
    block_hash: bytes,
    header: bytes,
    body: bytes,
    receipts: bytes,
    choice: LogChoice | None = None,
) -> bytes:
    """The page of a block's logs, or of those that are chosen. Records as stored.

    Cost: about a microsecond a log. Raises: StorageCorrupt.
    """
    block = ffi.new("ghost_log_block *")
    block.number = number
    kept = [ffi.from_buffer(item) for item in (block_hash, header, body, receipts)]
    block.hash = kept[0]
    for view, data in zip((block.header, block.body, block.receipts), kept[1:], strict=True):
        view.data, view.length = data, len(data)
    out = ffi.new("ghost_bytes *")
    status = lib.ghost_logs_page(out, block, ffi.NULL if choice is None else choice.native)
    if status == lib.GHOST_OUT_OF_MEMORY:
        raise MemoryError("the native core found no memory for logs")
    if status != lib.GHOST_OK:
        raise StorageCorrupt(f"the records of block {number} are damaged")
    return _taken(out)


def read_pages(
    places: int,
    lend: Callable[[int], int | None],
    numbers: Sequence[int],
    choice: LogChoice,
    *,
    whole_max: int,
) -> list[tuple[bytes, bool] | None]:
    """The pages of blocks (ascending) as they are on disk, and whether each has all logs of its
    block; those whose receipts are larger than whole_max have what is chosen alone. None of a block
    that is not read here: what is missing or damaged, whoever asked finds out the ordinary way.

    places: descriptor of the column of places (`chain/places.py`). lend: of a segment of the block
    files, None where there is none. Cost: about 5 microseconds a block, and one a log.
    """
    files: dict[int, int] = {}
    found: list[tuple[bytes, bool] | None] = []
    while len(found) < len(numbers):
        segment = _read_more(found, places, files, numbers[len(found) :], choice, whole_max)
        if segment is not None:
            file = lend(segment)
            if file is None:
                found.append(None)
            else:
                files[segment] = file
    return found


def _read_more(
    found: list[tuple[bytes, bool] | None],
    places: int,
    files: dict[int, int],
    numbers: Sequence[int],
    choice: LogChoice,
    whole_max: int,
) -> int | None:
    """Pages of the next blocks are found; the segment that has to be open to go on."""
    count = len(numbers)
    source = ffi.new("ghost_log_files *")
    kept = ffi.new("uint32_t[]", list(files)), ffi.new("int[]", list(files.values()))
    source.places, source.count = places, len(files)
    source.segments, source.files = kept
    out, read, segment = ffi.new("ghost_bytes *"), ffi.new("size_t *"), ffi.new("uint32_t *")
    ends, readings = ffi.new("uint64_t[]", count), ffi.new("uint8_t[]", count)
    status = lib.ghost_logs_read(
        out, ends, readings, read, segment, source, numbers, count, choice.native, whole_max
    )
    if status == lib.GHOST_OUT_OF_MEMORY:
        raise MemoryError("the native core found no memory for logs")
    text, start = _taken(out), 0
    for end, reading in zip(ends[0 : read[0]], readings[0 : read[0]], strict=True):
        if reading == lib.GHOST_PAGE_ELSEWHERE:
            found.append(None)
        else:
            found.append((text[start:end], reading == lib.GHOST_PAGE_WHOLE))
        start = end
    return int(segment[0]) if status == lib.GHOST_MISSING else None


def select_logs(
    pages: Sequence[bytes], choice: LogChoice, bound: LogsBound
) -> tuple[bytes, list[int], list[int]]:
    """The JSON of the chosen logs, joined by commas; how many each page gave, and where in it they
    end. Pages after the one with which the bound is exceeded are not read.

    Cost: some tens of nanoseconds a log, and what is copied.
    """
    views = ffi.new("ghost_view[]", len(pages))
    kept = [ffi.from_buffer(page) for page in pages]
    for view, data in zip(views, kept, strict=True):
        view.data, view.length = data, len(data)
    out, read = ffi.new("ghost_bytes *"), ffi.new("size_t *")
    counts, ends = ffi.new("uint32_t[]", len(pages)), ffi.new("uint64_t[]", len(pages))
    status = lib.ghost_logs_select(
        out,
        counts,
        ends,
        read,
        views,
        len(pages),
        choice.native,
        bound.logs_max,
        min(bound.bytes_max, 1 << 62),
    )
    if status != lib.GHOST_OK:
        raise MemoryError("the native core found no memory for logs")
    total = read[0]
    return _taken(out), ffi.unpack(counts, total), ffi.unpack(ends, total)
