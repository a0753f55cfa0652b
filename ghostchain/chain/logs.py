"""Finding logs: a column of block blooms is scanned first, then the receipts of what is left.

The bloom file holds 256 bytes a block, at 256 * number. It can always be made again from the
headers, so it is written without syncing; the database says up to where it is surely on disk.

Native code looks for what is asked for in blooms that it keeps as columns, and chooses and shows
logs out of pages, which it keeps of blocks that were read (`encoding/logs.py`).

Cost: 10,000 blocks whose blooms are kept take some microseconds, others half a millisecond once;
each block that may match costs the read of its records, once: about 5 microseconds, since a second
column says where they are (`places.py`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostchain.chain.records import ReceiptsRecord
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.logs import BLOOM_BYTES
from ghostchain.encoding.logs import LogChoice as LogChoice
from ghostchain.encoding.logs import LogsBound as LogsBound
from ghostchain.encoding.logs import Topics as Topics
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32
from ghostchain.storage.files import storage_failure

SCAN_BLOCKS = 1024
# The page of a block whose receipts are larger than this has what is asked for alone, each time.
RECEIPTS_PAGED_BYTES_MAX = 1 << 20
# Blocks between two syncs of the bloom file.
SYNC_BLOCKS = 1024


@dataclass(frozen=True, slots=True)
class LocatedLog:
    """A log and where it stands. log_index counts through the whole block."""

    log: Log
    block_number: int
    block_hash: Hash32
    block_timestamp: int
    transaction_hash: Hash32
    transaction_index: int
    log_index: int


@dataclass(frozen=True, slots=True)
class ShownLogs:
    """Some logs as JSON, joined by commas. reached: the block after those that were looked at, or
    the one with whose logs these are more than the bound says."""

    reached: int
    count: int
    text: bytes


class BloomFile:
    """The blooms of all blocks. One writer; readers ask only for committed blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rooms = threading.local()
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

    def read(self, first: int, count: int) -> memoryview:
        """256 bytes a block, SCAN_BLOCKS at most; valid until this thread reads again, since memory
        that is always the same costs a tenth of fresh memory."""
        room: memoryview | None = getattr(self._rooms, "room", None)
        if room is None:
            room = self._rooms.room = memoryview(bytearray(SCAN_BLOCKS * BLOOM_BYTES))
        wanted = room[: count * BLOOM_BYTES]
        if os.preadv(self._file, [wanted], first * BLOOM_BYTES) != len(wanted):
            raise StorageCorrupt(f"{self._path} ends before block {first + count}")
        return wanted

    @property
    def file(self) -> int:
        """The descriptor, for reading."""
        return self._file

    def close(self) -> None:
        os.close(self._file)


def candidate_blocks(blooms: BloomFile, first: int, last: int, choice: LogChoice) -> Iterator[int]:
    """The blocks of first..last whose blooms do not rule a match out, ascending."""
    for start in range(first, last + 1, SCAN_BLOCKS):
        count = min(SCAN_BLOCKS, last + 1 - start)
        for offset in choice.scan(blooms.read(start, count)):
            yield start + offset


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
