"""The write-ahead log: records that are durable before anything that follows from them is said.

    record   length 4 | check 4 | payload

Integers are big-endian. The check is the CRC-32 of length and payload, begun with the check of the
record before, so that no record counts behind another than it was written behind: neither what an
earlier height left there, nor anything after a damaged place. A payload is never empty, so that a
tail of zeros, as some file systems leave it, holds no record.

On opening, the log ends where the first torn or damaged record begins. What is cut off was either
never flushed, so nothing followed from it, or the disk has changed it; `bytes_lost` says how much.

A log that has grown long is written anew, shorter, by `rewrite`: first whole into a second file
that ends with END, then over the first. So at any moment one of the two is whole, and on opening
the second counts if it is.

Invariants: what was flushed comes back, in order, until `restart`; after a failed write or sync the
log refuses all further ones, since nobody knows then what the disk holds.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ghostchain.primitives.errors import StorageFailed, StorageFull
from ghostchain.storage.disk import Disk
from ghostchain.storage.files import storage_failure

RECORD_HEAD = struct.Struct(">II")
RECORD_BYTES_MAX = 64 << 20
LOG_BYTES_MAX = 1 << 30
FIRST_CHECK = zlib.crc32(b"GhostChain WAL 1")
END = b"GhostChain WAL end"


def encode_record(payload: bytes, previous_check: int) -> tuple[bytes, int]:
    """(the record, its check), to stand behind the record with that check, or FIRST_CHECK."""
    length = len(payload).to_bytes(4, "big")
    check = zlib.crc32(payload, zlib.crc32(length, previous_check))
    return RECORD_HEAD.pack(len(payload), check) + payload, check


def decode_records(data: bytes) -> tuple[list[bytes], int, int]:
    """(payloads of the whole records, where the last of them ends, its check)."""
    payloads: list[bytes] = []
    offset, last_check = 0, FIRST_CHECK
    while offset + RECORD_HEAD.size <= len(data):
        length, check = RECORD_HEAD.unpack_from(data, offset)
        end = offset + RECORD_HEAD.size + length
        if not 1 <= length <= RECORD_BYTES_MAX or end > len(data):
            break
        payload = data[offset + RECORD_HEAD.size : end]
        if zlib.crc32(payload, zlib.crc32(data[offset : offset + 4], last_check)) != check:
            break
        payloads.append(payload)
        offset, last_check = end, check
    return payloads, offset, last_check


def encode_records(records: Iterable[bytes]) -> tuple[bytes, int]:
    """(the records as they begin a log, the check of the last)."""
    check = FIRST_CHECK
    parts = []
    for record in records:
        part, check = encode_record(record, check)
        parts.append(part)
    return b"".join(parts), check


class WriteAheadLog:
    """The log as a file, open for appending. Implements `consensus.ports.Log`. For one thread."""

    def __init__(self, disk: Disk, name: str = "wal", *, bytes_max: int = LOG_BYTES_MAX) -> None:
        """Opens the log and cuts off its torn tail.

        bytes_max: of the file; beyond it the log is refused as if the disk were full.
        Raises: StorageFailed, DirectoryLocked.
        """
        self._name = name
        self._bytes_max = bytes_max
        self._failed = False
        self._pending: list[bytes] = []
        try:
            self._file = disk.open(name)
            self._next = disk.open(f"{name}.next")
            self._finish_rewrite()
            data = self._file.read()
            self._records, self._end, self._check = decode_records(data)
            self.bytes_lost = len(data) - self._end
            if self.bytes_lost:
                self._file.truncate(self._end)
            # What a killed process wrote may be read and not be durable yet: a signature that
            # follows from it must not outlive it.
            self._file.sync()
            disk.sync_names()
        except OSError as error:
            raise storage_failure(error, Path(name)) from error
        self._size = self._end

    @property
    def size(self) -> int:
        """Bytes of the log, with those that are appended but not flushed yet."""
        return self._size

    def records(self) -> list[bytes]:
        """What the log held when it was opened, in order; once, to hold it in memory no longer."""
        records, self._records = self._records, []
        return records

    def append(self, record: bytes) -> None:
        """The record comes after all others; not durable yet.

        Raises: ValueError for a record that is empty or too long, StorageFull, StorageFailed.
        """
        self._refuse_if_failed()
        if not 1 <= len(record) <= RECORD_BYTES_MAX:
            raise ValueError(f"a record of {len(record)} bytes")
        if self._size + RECORD_HEAD.size + len(record) > self._bytes_max:
            self._failed = True
            raise StorageFull(f"{self._name} would grow beyond {self._bytes_max} bytes")
        data, self._check = encode_record(record, self._check)
        self._pending.append(data)
        self._size += len(data)

    def flush(self) -> None:
        """All that was appended is durable. Cost: one write and one fdatasync, or nothing.

        Raises: StorageFull, StorageFailed.
        """
        self._refuse_if_failed()
        if not self._pending:
            return
        try:
            self._file.write(b"".join(self._pending), self._end)
            self._file.sync()
        except OSError as error:
            raise self._failure(error) from error
        self._pending.clear()
        self._end = self._size

    def restart(self) -> None:
        """Everything before is no longer needed; the log is empty, durably.

        Raises: StorageFailed.
        """
        self._refuse_if_failed()
        try:
            self._file.truncate(0)
            self._file.sync()
        except OSError as error:
            raise self._failure(error) from error
        self._pending.clear()
        self._records = []
        self._end = self._size = 0
        self._check = FIRST_CHECK

    def rewrite(self, records: Sequence[bytes]) -> None:
        """The log holds these records alone, durably; a crash before the end leaves what was
        flushed before, or these. Cost: four syncs.

        Raises: ValueError for a record that is empty or too long, StorageFull, StorageFailed.
        """
        self._refuse_if_failed()
        if not all(1 <= len(record) <= RECORD_BYTES_MAX for record in records):
            raise ValueError("a record that is empty or too long")
        data, check = encode_records(records)
        whole, _ = encode_records([*records, END])
        if len(whole) > self._bytes_max:
            self._failed = True
            raise StorageFull(f"{self._name} would grow beyond {self._bytes_max} bytes")
        try:
            self._next.write(whole, 0)
            self._next.sync()
            self._replace(data)
        except OSError as error:
            raise self._failure(error) from error
        self._pending.clear()
        self._records = []
        self._end = self._size = len(data)
        self._check = check

    def _replace(self, data: bytes) -> None:
        """The second file is whole: the first becomes what it says, and then it is empty."""
        self._file.truncate(0)
        self._file.sync()
        self._file.write(data, 0)
        self._file.sync()
        self._next.truncate(0)
        self._next.sync()

    def _finish_rewrite(self) -> None:
        """What a crash left of a rewrite is completed if the second file is whole, else dropped."""
        data = self._next.read()
        # A killed process may have left it as it is read here and not on the disk: whole, and it
        # must stay so until the first is; empty, and it must never come back.
        self._next.sync()
        if not data:
            return
        records, _, _ = decode_records(data)
        if records[-1:] == [END]:
            self._replace(encode_records(records[:-1])[0])
        else:
            self._next.truncate(0)
            self._next.sync()

    def close(self) -> None:
        """What was not flushed is dropped."""
        self._failed = True
        self._file.close()
        self._next.close()

    def _refuse_if_failed(self) -> None:
        if self._failed:
            raise StorageFailed(f"a write to {self._name} has failed before; restart to recover")

    def _failure(self, error: OSError) -> StorageFailed:
        self._failed = True
        return storage_failure(error, Path(self._name))
