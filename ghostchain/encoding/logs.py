"""Logs from the records of blocks to JSON: the door to `native/reads/logs.h`, where a page is told,
and `native/reads/search.h`.

Threads: any. The interpreter lock is free while native code runs.

Oracle: the logs as `chain/logs.py` decodes them and `rpc/render.py` shows them, in
tests/oracle/test_logs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.crypto.keccak import keccak256_batch
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.types import Address, Hash32

Topics = Sequence[Collection[Hash32]]
BLOOM_BYTES = 256
# Choices that are made once for many searches: how many, and of how many addresses and topics.
CHOICES_KEPT = 256
CHOICE_WIDTH_KEPT = 16


@dataclass(frozen=True, slots=True)
class LogsBound:
    """How many logs, and how many bytes of them with a comma each, are wanted at most."""

    logs_max: int = 1 << 62
    bytes_max: int = 1 << 62

    def less(self, logs: int, size: int) -> LogsBound:
        """What is left of it."""
        return LogsBound(max(0, self.logs_max - logs), max(0, self.bytes_max - size))


class LogChoice:
    """Which logs are asked for: an empty collection matches anything, and a log needs as many
    topics as positions are given."""

    __slots__ = ("_kept", "bits", "native")

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
        self.bits: tuple[Any, Any, int] = (
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
        bits, alternatives, groups = self.bits
        total = lib.ghost_blooms_scan(
            found, ffi.from_buffer(blooms), count, bits, alternatives, groups
        )
        return list(ffi.unpack(found, total)) if total else []


@lru_cache(maxsize=CHOICES_KEPT)
def _kept_choice(addresses: frozenset[Address], topics: tuple[frozenset[Hash32], ...]) -> LogChoice:
    return LogChoice(addresses, topics)


def choice_of(addresses: Collection[Address], topics: Topics) -> LogChoice:
    """The choice of a filter, which clients ask with again and again."""
    if len(addresses) + sum(map(len, topics)) > CHOICE_WIDTH_KEPT:
        return LogChoice(addresses, topics)
    return _kept_choice(frozenset(addresses), tuple(map(frozenset, topics)))


def three(digest: bytes) -> list[int]:
    """The bits of a bloom that stand for what has this hash (Yellow Paper 4.3.1)."""
    return [int.from_bytes(digest[start : start + 2], "big") & 2047 for start in (0, 2, 4)]


def _taken(out: Any, before: bytes = b"", after: bytes = b"") -> bytes:
    """Native bytes, which are freed, between others."""
    data: Any = ffi.buffer(out.data, out.length) if out.length else b""
    found = b"".join((before, data, after))
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


class LogStore:
    """What was read of the blocks of one chain: pages of logs and columns of blooms, bounded; where
    there are too many pages, the oldest go. What is in a block never changes, so nothing here is
    ever stale."""

    __slots__ = ("native",)

    def __init__(self, *, pages_max: int, page_bytes_max: int, sections_max: int) -> None:
        """sections_max: of 256 blooms, 4 to 70 KB each."""
        made = lib.ghost_log_store_new(pages_max, page_bytes_max, sections_max)
        if made == ffi.NULL:
            raise MemoryError("the native core found no memory for logs")
        self.native = ffi.gc(made, lib.ghost_log_store_free)

    def put(self, number: int, page: bytes) -> None:
        """Keeps the page of a block, which has all its logs."""
        lib.ghost_log_store_put(self.native, number, ffi.from_buffer(page), len(page))

    def follow(self, number: int, bloom: bytes) -> None:
        """Keeps the bloom of a block, if those before it are known."""
        lib.ghost_log_store_follow(self.native, number, ffi.from_buffer(bloom))

    def learn(self, blooms: int, head: int, sections: int) -> None:
        """Keeps so many sections of blooms up to that of the head, out of their file.

        Cost: of a section 10 microseconds, 100 where all bits occur, and the reading of 64 KiB.
        """
        lib.ghost_logs_learn(self.native, blooms, head, sections)

    def get(self, number: int) -> bytes | None:
        """The page of a block that is kept."""
        out = ffi.new("ghost_bytes *")
        status = lib.ghost_log_store_get(out, self.native, number)
        if status == lib.GHOST_OUT_OF_MEMORY:
            raise MemoryError("the native core found no memory for logs")
        return None if status == lib.GHOST_MISSING else _taken(out)

    def leave(self) -> None:
        """What is on disk may be of another chain from now on."""
        lib.ghost_log_store_leave(self.native)

    @property
    def memory(self) -> int:
        """Bytes held."""
        return int(lib.ghost_log_store_memory(self.native))


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Where blocks stand on disk. blooms, places: descriptors of the columns (`chain/logs.py`,
    `chain/places.py`). lend: of a segment of the block files, None where there is none. page: of a
    block that is not read natively, all that is chosen of its logs."""

    blooms: int
    places: int
    lend: Callable[[int], int | None]
    page: Callable[[int], bytes]


class LogSearch:
    """A search through the blocks of a span, piece by piece."""

    __slots__ = ("_choice", "_given", "_native", "_segments")

    def __init__(
        self,
        choice: LogChoice,
        span: range,
        head: int,
        bound: LogsBound,
        *,
        whole_max: int,
        work_max: int,
    ) -> None:
        """head: the last block on disk, where the span ends at the latest. whole_max: of larger
        receipts a page has what is chosen alone. work_max: of one piece, about in microseconds."""
        self._choice = choice
        self._segments: dict[int, int] = {}
        self._given: Any = None
        native = self._native = ffi.new("ghost_log_search *")
        native.filter = choice.native
        native.bits, native.alternatives, native.groups = choice.bits
        last = min(span.stop - 1, head)
        # Of no block, the next one is behind the last one in any case.
        native.next, native.last = (span.start, last) if span.start <= last else (1, 0)
        native.head = head
        native.logs_max = bound.logs_max
        native.bytes_max = min(bound.bytes_max, 1 << 62)
        native.whole_max, native.work_max = whole_max, work_max

    @property
    def is_done(self) -> bool:
        return bool(self._native.next > self._native.last)

    @property
    def next(self) -> int:
        """The block to look at next; in the end the one with which the bound is exceeded, if one
        is."""
        return int(self._native.next)

    @property
    def count(self) -> int:
        """Logs found so far."""
        return int(self._native.logs)

    def in_memory(self, store: LogStore) -> bytes | None:
        """The whole answer as a JSON array, if memory has all that it takes and work_max is enough,
        else None. Never waits."""
        out = ffi.new("ghost_bytes *")
        status = lib.ghost_logs_search(out, self._native, store.native, ffi.NULL)
        is_whole = status == lib.GHOST_OK and self.is_done
        text = _taken(out, b"[", b"]")
        return text if is_whole else None

    def read(self, store: LogStore, files: LogFiles) -> tuple[bytes, bool]:
        """The next logs as JSON, joined by commas, and whether the bound is exceeded with those of
        block `next`: nothing is to be found after that.

        Cost: of a block that nobody has read about 5 microseconds, and one a log; of others, some
        tens of nanoseconds a log, and what is copied. Raises: StorageCorrupt.
        """
        native, out = self._native, ffi.new("ghost_bytes *")
        source = ffi.new("ghost_log_files *")
        source.blooms, source.places, source.count = files.blooms, files.places, len(self._segments)
        kept = (
            ffi.new("uint32_t[]", list(self._segments)),
            ffi.new("int[]", list(self._segments.values())),
        )
        source.segments, source.files = kept
        status = lib.ghost_logs_search(out, native, store.native, source)
        if status == lib.GHOST_OUT_OF_MEMORY:
            raise MemoryError("the native core found no memory for logs")
        if status == lib.GHOST_MALFORMED:
            raise StorageCorrupt(f"the blooms of blocks end before block {native.head}")
        text = _taken(out)
        if status == lib.GHOST_MISSING:
            self._bring(files)
        return text, bool(status == lib.GHOST_LIMIT)

    def _bring(self, files: LogFiles) -> None:
        """What the search lacks is here."""
        native = self._native
        if native.need == lib.GHOST_NEEDS_SEGMENT:
            file = files.lend(native.segment)
            if file is not None:
                self._segments[native.segment] = file
                return
        page = files.page(native.next)
        self._given = ffi.from_buffer(page)
        native.given.data, native.given.length = self._given, len(page)
        native.is_given = 1
