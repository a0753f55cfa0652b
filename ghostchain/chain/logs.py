"""Finding logs: a column of block blooms is scanned first, then the receipts of what is left.

The bloom file holds 256 bytes a block, at 256 * number. It can always be made again from the
headers, so it is written without syncing; the database says up to where it is surely on disk.

Cost: the scan of 10,000 blocks takes a few milliseconds; each block that may match costs the read
of its receipts.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
# Blocks between two syncs of the bloom file.
SYNC_BLOCKS = 1024

Topics = Sequence[Collection[Hash32]]


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
    blooms: BloomFile, first: int, last: int, addresses: Collection[Address], topics: Topics
) -> Iterator[int]:
    """The blocks of first..last whose blooms do not rule a match out, ascending."""
    wanted = [_bits(entries) for entries in (addresses, *topics) if entries]
    for start in range(first, last + 1, SCAN_BLOCKS):
        count = min(SCAN_BLOCKS, last + 1 - start)
        matrix = blooms.read(start, count)
        possible = np.ones(count, bool)
        for alternatives in wanted:
            found = np.zeros(count, bool)
            for bits in alternatives:
                present = np.ones(count, bool)
                for byte, mask in bits:
                    present &= (matrix[:, byte] & mask) != 0
                found |= present
            possible &= found
        for offset in np.flatnonzero(possible).tolist():
            yield start + offset


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
    return all(
        not wanted or topic in wanted for topic, wanted in zip(log.topics, topics, strict=False)
    )


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
