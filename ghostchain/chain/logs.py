"""Finding logs: a column of block blooms is scanned first, then the receipts of what is left.

The bloom file holds 256 bytes a block, at 256 * number. It can always be made again from the
headers, so it is written without syncing; the database says up to where it is surely on disk.

What is asked again is faster: of a section of blocks whose blooms were scanned before, the bits are
kept in columns (one bit of all its blooms beside each other, as geth's bloombits), and the logs of
blocks that were read are kept as they are.

Cost: the first scan of 10,000 blocks takes a few milliseconds, the next ones some tens of
microseconds; each block that may match costs the read of its receipts, once.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ghostchain.chain.records import ReceiptsRecord
from ghostchain.crypto.keccak import keccak256, keccak256_batch
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state.changes import Column
from ghostchain.storage.files import storage_failure

BLOOM_BYTES = 256
SCAN_BLOCKS = 4096
# Blocks whose blooms are kept in columns together, and how many such sections a scan may span.
SECTION_BLOCKS = 1024
SECTION_BYTES = SECTION_BLOCKS * BLOOM_BYTES
SECTIONS_MAX = 128
# A block with more logs than this is looked through each time.
LOGS_KEPT_MAX = 1024
# Blocks between two syncs of the bloom file.
SYNC_BLOCKS = 1024

Topics = Sequence[Collection[Hash32]]


@dataclass(frozen=True, slots=True)
class LocatedLog:
    """A log and where it stands. log_index counts through the whole block. shown: room for what a
    reader makes of it, kept as long as this is."""

    log: Log
    block_number: int
    block_hash: Hash32
    block_timestamp: int
    transaction_hash: Hash32
    transaction_index: int
    log_index: int
    shown: list[bytes] = field(default_factory=list, compare=False, repr=False)

    @property
    def weight(self) -> int:
        """Bytes of memory, roughly, with what is shown."""
        return 1000 + 4 * len(self.log.data)


class BloomFile:
    """The blooms of all blocks. One writer; readers ask only for committed blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def put(self, number: int, bloom: bytes) -> None:
        """Raises: StorageFailed."""
        try:
            os.pwrite(self._file, bloom, number * BLOOM_BYTES)
        except OSError as error:
            raise storage_failure(error, self._path) from error

    def sync(self) -> None:
        """Raises: StorageFailed."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise storage_failure(error, self._path) from error

    def read(self, first: int, count: int) -> Column:
        """One row of 256 bytes a block."""
        data = os.pread(self._file, count * BLOOM_BYTES, first * BLOOM_BYTES)
        if len(data) != count * BLOOM_BYTES:
            raise StorageCorrupt(f"{self._path} ends before block {first + count}")
        return np.frombuffer(data, np.uint8).reshape(count, BLOOM_BYTES)

    def close(self) -> None:
        os.close(self._file)


def candidate_blocks(
    blooms: BloomFile,
    first: int,
    last: int,
    addresses: Collection[Address],
    topics: Topics,
    kept: Sections | None = None,
) -> Iterator[int]:
    """The blocks of first..last whose blooms do not rule a match out, ascending. kept: columns of
    blooms that do not change any more; last is committed."""
    wanted = [_bits(entries) for entries in (addresses, *topics) if entries]
    if last - first >= SECTIONS_MAX * SECTION_BLOCKS:
        kept = None
    start = first
    while start <= last:
        section = start // SECTION_BLOCKS
        end = (section + 1) * SECTION_BLOCKS
        columns = None if kept is None else kept.columns(blooms, section, last)
        if columns is not None:
            possible = _by_columns(columns, wanted)[start % SECTION_BLOCKS :]
        else:
            if kept is None:
                end = start + SCAN_BLOCKS
            count = min(end, last + 1) - start
            possible = _by_rows(blooms.read(start, count), wanted)
        for offset in np.flatnonzero(possible).tolist():
            if start + offset <= last:
                yield start + offset
        start = end


def _by_rows(matrix: Column, wanted: list[list[list[tuple[int, int]]]]) -> Column:
    """Which of the blooms, a row each, may hold one of each alternatives."""
    count = len(matrix)
    possible = np.ones(count, bool)
    for alternatives in wanted:
        found = np.zeros(count, bool)
        for bits in alternatives:
            present = np.ones(count, bool)
            for byte, mask in bits:
                present &= (matrix[:, byte] & mask) != 0
            found |= present
        possible &= found
    return possible


def _by_columns(columns: Column, wanted: list[list[list[tuple[int, int]]]]) -> Column:
    """The same of a section's columns: bit 7 of the first byte of each is its first block's."""
    possible = np.full(SECTION_BLOCKS // 8, 0xFF, np.uint8)
    for alternatives in wanted:
        found = np.zeros(SECTION_BLOCKS // 8, np.uint8)
        for bits in alternatives:
            one, two, three = (columns[8 * byte + 8 - mask.bit_length()] for byte, mask in bits)
            found |= one & two & three
        possible &= found
    return np.unpackbits(possible)


class Sections:
    """Columns of whole sections. Threads: any."""

    def __init__(self) -> None:
        self._columns: OrderedDict[int, Column] = OrderedDict()
        self._scanned: set[int] = set()
        self._lock = threading.Lock()

    def columns(self, blooms: BloomFile, section: int, committed: int) -> Column | None:
        """2,048 columns of SECTION_BLOCKS bits, or None for a section that is scanned for the
        first time or not whole yet."""
        with self._lock:
            found = self._columns.get(section)
            if found is not None:
                self._columns.move_to_end(section)
                return found
            if committed < (section + 1) * SECTION_BLOCKS - 1:
                return None
            if section not in self._scanned:
                if len(self._scanned) >= 64 * SECTIONS_MAX:
                    self._scanned.clear()
                self._scanned.add(section)
                return None
        matrix = blooms.read(section * SECTION_BLOCKS, SECTION_BLOCKS)
        bits = np.ascontiguousarray(np.unpackbits(matrix, axis=1).T)
        found = np.packbits(bits, axis=1)
        with self._lock:
            self._columns[section] = found
            while len(self._columns) > SECTIONS_MAX:
                self._columns.popitem(last=False)
        return found


def _bits(entries: Collection[bytes]) -> list[list[tuple[int, int]]]:
    """For each entry the three (byte, mask) of its bloom (Yellow Paper 4.3.1)."""
    result = []
    for digest in keccak256_batch([bytes(entry) for entry in entries]):
        places = []
        for start in (0, 2, 4):
            bit = int.from_bytes(digest[start : start + 2], "big") & 2047
            places.append((BLOOM_BYTES - 1 - bit // 8, 1 << bit % 8))
        result.append(places)
    return result


def matches(log: Log, addresses: Collection[Address], topics: Topics) -> bool:
    """Whether a log is asked for: an empty collection matches anything, but a log needs at least
    as many topics as positions are given."""
    if addresses and log.address not in addresses:
        return False
    if len(log.topics) < len(topics):
        return False
    for topic, wanted in zip(log.topics, topics, strict=False):
        if wanted and topic not in wanted:
            return False
    return True


def matching_logs(
    record: ReceiptsRecord, addresses: Collection[Address], topics: Topics
) -> Iterator[tuple[int, int, Log]]:
    """(transaction index, log index, log) of the matches in a block.

    Receipts are decoded only when the bytes of what is asked for occur in them.
    """
    asked: list[Iterable[bytes]] = [entries for entries in (addresses, *topics) if entries]
    for index in np.flatnonzero(record.log_counts).tolist():
        encoded = record.encoded(index)
        if not all(any(entry in encoded for entry in entries) for entries in asked):
            continue
        first = record.first_log_index(index)
        for offset, log in enumerate(record.receipt(index).logs):
            if matches(log, addresses, topics):
                yield index, first + offset, log


def transaction_hash(raw: bytes) -> Hash32:
    """The hash of a transaction's canonical bytes."""
    return keccak256(raw)
