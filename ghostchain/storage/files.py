"""Append-only segment files of checksummed records.

A segment is a 32-byte header followed by records:

    header   magic 8 | layout u32 | segment number u32 | identity 16
    record   length u32 | CRC-32 u32 | tag u64 | payload

Integers are big-endian. The CRC covers length, tag and payload. A record never spans segments.
Who appends keeps the `Locator`s and the `Position` of the end elsewhere (in the LevelDB batch),
after `sync`.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ghostchain.primitives.errors import StorageCorrupt, StorageFailed, StorageFull

MAGIC = b"GHOSTSEG"
LAYOUT = 1
SEGMENT_HEADER = struct.Struct(">8sII16s")
RECORD_HEADER = struct.Struct(">IIQ")
CHECKED = struct.Struct(">IQ")
LOCATOR = struct.Struct(">IQI")
POSITION = struct.Struct(">IQ")
SEGMENT_BYTES_MAX = 256 << 20
RECORD_BYTES_MAX = 1 << 30
OPEN_FILES_MAX = 16
# Records that are together no larger are copied once more, to be written at once.
APPENDED_TOGETHER_MAX = 64 << 10

Part = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Locator:
    """Where one record stands: `length` is of its payload, in bytes."""

    segment: int
    offset: int
    length: int

    def encode(self) -> bytes:
        return LOCATOR.pack(self.segment, self.offset, self.length)

    @classmethod
    def decode(cls, data: bytes) -> Locator:
        return cls(*LOCATOR.unpack(data))

    @property
    def end(self) -> Position:
        """Where the next record stands."""
        return Position(self.segment, self.offset + RECORD_HEADER.size + self.length)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two records."""

    segment: int
    offset: int

    def encode(self) -> bytes:
        return POSITION.pack(self.segment, self.offset)

    @classmethod
    def decode(cls, data: bytes) -> Position:
        return cls(*POSITION.unpack(data))


FIRST = Position(0, SEGMENT_HEADER.size)


@dataclass(frozen=True, slots=True)
class Record:
    """One record as found by `SegmentLog.scan`; `end` is the position after it."""

    tag: int
    payload: bytes
    locator: Locator
    end: Position


def _ignore_step(_: str) -> None:
    return


class SegmentLog:
    """Records in segment files `<stem>-NNNNNN.seg` of one directory.

    Appending is for one thread at a time; reading is safe from any thread meanwhile.
    `on_step` is told the name of each step that reaches the disk, after it.
    """

    def __init__(
        self,
        directory: Path,
        stem: str,
        *,
        identity: bytes,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        is_durable: bool = True,
        on_step: Callable[[str], None] = _ignore_step,
    ) -> None:
        """Opens the log as it is on disk; call `set_end` before appending.

        is_durable: whether `sync` waits for the disk.
        Raises: StorageCorrupt when a segment's header is not ours.
        """
        self._directory = directory
        self._stem = stem
        self._identity = identity[:16].ljust(16, b"\0")
        self._segment_bytes_max = segment_bytes_max
        self._is_durable = is_durable
        self._on_step = on_step
        self._files: dict[int, int] = {}
        self._files_lock = threading.Lock()
        self._end = FIRST
        self._failed = False
        directory.mkdir(exist_ok=True)
        if self._path(0).exists():
            self._check_header(0)

    @property
    def end(self) -> Position:
        return self._end

    @property
    def is_durable(self) -> bool:
        """Whether `sync` waits for the disk."""
        return self._is_durable

    def bytes_after(self, start: Position) -> int:
        """About how many bytes there are from start to the end."""
        segments = self._end.segment - start.segment
        return segments * self._segment_bytes_max + self._end.offset - start.offset

    def _path(self, segment: int) -> Path:
        return self._directory / f"{self._stem}-{segment:06d}.seg"

    def _header(self, segment: int) -> bytes:
        return SEGMENT_HEADER.pack(MAGIC, LAYOUT, segment, self._identity)

    def _check_header(self, segment: int) -> None:
        path = self._path(segment)
        with path.open("rb") as file:
            header = file.read(SEGMENT_HEADER.size)
        if len(header) < SEGMENT_HEADER.size:
            return  # cut while it was being created: it holds no record
        if header != self._header(segment):
            raise StorageCorrupt(f"{path} is not a segment file of this chain (bad header)")

    def set_end(self, end: Position) -> None:
        """Makes `end` the place where the next record goes; what stands after it is cut off.

        Raises: StorageCorrupt when the files are shorter than `end`.
        """
        path = self._path(end.segment)
        size = path.stat().st_size if path.exists() else 0
        if size < end.offset and end != FIRST:
            raise StorageCorrupt(
                f"{path} ends at byte {size}, but the database names records up to {end.offset}"
            )
        segment = end.segment + 1
        while self._path(segment).exists():
            self._forget_file(segment)
            self._path(segment).unlink()
            segment += 1
        if size > end.offset:
            os.truncate(path, end.offset)
            self._on_step("truncate")
        if path.exists():
            self._check_header(end.segment)
        self._end = end

    def cut(self, end: Position) -> None:
        """What stands after `end` is gone, durably; who still reads there finds it cut short, or
        what was written there since. Raises: StorageFailed."""
        try:
            self.set_end(end)
            if self._is_durable and self._path(end.segment).exists():
                self._sync_file(end.segment)
                _sync_directory(self._directory)
        except OSError as error:
            raise self._failure(error) from error

    def _file(self, segment: int) -> int:
        """The descriptor of a segment, opened on first use; the oldest are closed beyond a bound.

        Descriptors of old segments are only used under `_files_lock`, so closing one is safe.
        """
        file = self._files.get(segment)
        if file is None:
            if len(self._files) >= OPEN_FILES_MAX:
                oldest = next(number for number in self._files if number != self._end.segment)
                os.close(self._files.pop(oldest))
            file = os.open(self._path(segment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._files[segment] = file
        return file

    def _forget_file(self, segment: int) -> None:
        with self._files_lock:
            file = self._files.pop(segment, None)
            if file is not None:
                os.close(file)

    def append(
        self, records: Sequence[tuple[int, Sequence[bytes | bytearray | memoryview]]]
    ) -> list[Locator]:
        """Writes records (tag, parts of the payload) at the end; durable after `sync`.

        Raises: StorageFull or StorageFailed; the log then refuses all further writes, and what
            was written is beyond the end that anyone has recorded.
        """
        self._refuse_if_failed()
        pieces: list[bytes] = []
        for tag, parts in records:
            payload = b"".join(parts)
            assert len(payload) <= RECORD_BYTES_MAX
            check = zlib.crc32(payload, zlib.crc32(CHECKED.pack(len(payload), tag)))
            pieces.append(RECORD_HEADER.pack(len(payload), check, tag) + payload)
        try:
            room = min(APPENDED_TOGETHER_MAX, self._segment_bytes_max - self._end.offset)
            if not self._is_durable and sum(map(len, pieces)) <= room:
                return self._append_together(pieces)
            return [self._append_record(one, len(one) - RECORD_HEADER.size) for one in pieces]
        except OSError as error:
            raise self._failure(error) from error

    def _append_together(self, pieces: Sequence[bytes]) -> list[Locator]:
        """Small records in one write, where no kill has to find the first of them whole."""
        segment, offset = self._end.segment, self._end.offset
        self._append_record(b"".join(pieces), 0)
        locators = []
        for one in pieces:
            locators.append(Locator(segment, offset, len(one) - RECORD_HEADER.size))
            offset += len(one)
        return locators

    def _append_record(self, record: bytes, length: int) -> Locator:
        end = self._end
        if end.offset > SEGMENT_HEADER.size and end.offset + len(record) > self._segment_bytes_max:
            self._sync_file(end.segment)
            end = Position(end.segment + 1, SEGMENT_HEADER.size)
        with self._files_lock:
            file = self._file(end.segment)
        if end.offset == SEGMENT_HEADER.size:
            _write_all(file, self._header(end.segment), 0)
            if self._is_durable:
                os.fsync(file)
                _sync_directory(self._directory)
            self._on_step("segment")
        _write_all(file, record, end.offset)
        self._on_step("append")
        self._end = Position(end.segment, end.offset + len(record))
        return Locator(end.segment, end.offset, length)

    def sync(self) -> None:
        """Everything appended before is durable now.

        Raises: StorageFull or StorageFailed.
        """
        self.sync_segment(self._end.segment)

    def sync_segment(self, segment: int) -> None:
        """What is in this segment, and in those before it, is durable now.

        Raises: StorageFull or StorageFailed.
        """
        self._refuse_if_failed()
        try:
            self._sync_file(segment)
        except OSError as error:
            raise self._failure(error) from error

    def bytes_from(self, start: Position) -> bytes:
        """The bytes from start to the end, which is in the same segment."""
        assert start.segment == self._end.segment
        with self._files_lock:
            file = self._file(start.segment)
            return os.pread(file, self._end.offset - start.offset, start.offset)

    def restore(self, start: Position, data: bytes) -> None:
        """The bytes from start on are data: what was appended once but perhaps never synced.

        To be followed by `set_end`. Raises: StorageFull or StorageFailed.
        """
        try:
            with self._files_lock:
                file = self._file(start.segment)
                if start.offset == SEGMENT_HEADER.size:
                    _write_all(file, self._header(start.segment), 0)
                if os.pread(file, len(data), start.offset) != data:
                    _write_all(file, data, start.offset)
            self._on_step("restore")
        except OSError as error:
            raise self._failure(error) from error

    def _sync_file(self, segment: int) -> None:
        with self._files_lock:
            file = self._file(segment)
        if self._is_durable:
            os.fdatasync(file)
        self._on_step("sync")

    def _refuse_if_failed(self) -> None:
        if self._failed:
            raise StorageFailed("a write to the block files has failed before; restart to recover")

    def _failure(self, error: OSError) -> StorageFailed:
        self._failed = True
        return storage_failure(error, self._path(self._end.segment))

    @contextmanager
    def lent(self) -> Iterator[Callable[[int], int | None]]:
        """Descriptors of segments by their numbers, for native code to read from, for as long as
        the context lasts; None of a segment that is not there."""
        files: list[int] = []

        def lend(segment: int) -> int | None:
            with self._files_lock:
                if segment > self._end.segment:
                    return None
                files.append(os.dup(self._file(segment)))
            return files[-1]

        try:
            yield lend
        finally:
            for file in files:
                os.close(file)

    def read(self, locator: Locator) -> bytes:
        """The payload of a record.

        Raises: StorageCorrupt when it is cut or its checksum fails.
        """
        data = self._bytes_at(locator, RECORD_HEADER.size + locator.length)
        return self._payload(locator, data)

    def read_two(self, first: Locator, second: Locator) -> tuple[bytes, bytes]:
        """The payloads of two records, in one reading where they are neighbours.

        Raises: as `read`.
        """
        if first.end != Position(second.segment, second.offset):
            return self.read(first), self.read(second)
        size = RECORD_HEADER.size + first.length
        data = self._bytes_at(first, size + RECORD_HEADER.size + second.length)
        return self._payload(first, data[:size]), self._payload(second, data[size:])

    def _bytes_at(self, locator: Locator, size: int) -> bytes:
        with self._files_lock:
            return os.pread(self._file(locator.segment), size, locator.offset)

    def _payload(self, locator: Locator, data: bytes) -> bytes:
        """data: of the record, its head included."""
        if len(data) < RECORD_HEADER.size + locator.length:
            path = self._path(locator.segment)
            raise StorageCorrupt(f"{path}: the record at byte {locator.offset} is cut short")
        length, check, tag = RECORD_HEADER.unpack_from(data)
        payload = data[RECORD_HEADER.size :]
        checked = struct.pack(">IQ", length, tag)
        if length != locator.length or zlib.crc32(payload, zlib.crc32(checked)) != check:
            path = self._path(locator.segment)
            raise StorageCorrupt(f"{path}: the record at byte {locator.offset} fails its checksum")
        return payload

    def scan(self, start: Position) -> Iterator[Record]:
        """The whole records from `start` on; stops at the first that is torn or absent."""
        position = start
        while True:
            record = self._record_at(position)
            if record is None and position.offset > SEGMENT_HEADER.size:
                position = Position(position.segment + 1, SEGMENT_HEADER.size)
                record = self._record_at(position)
            if record is None:
                return
            yield record
            position = record.end

    def _record_at(self, position: Position) -> Record | None:
        path = self._path(position.segment)
        if not path.exists():
            return None
        with path.open("rb") as file:
            file.seek(position.offset)
            header = file.read(RECORD_HEADER.size)
            if len(header) < RECORD_HEADER.size:
                return None
            length, check, tag = RECORD_HEADER.unpack(header)
            if length > RECORD_BYTES_MAX:
                return None
            payload = file.read(length)
        checked = struct.pack(">IQ", length, tag)
        if len(payload) < length or zlib.crc32(payload, zlib.crc32(checked)) != check:
            return None
        end = Position(position.segment, position.offset + RECORD_HEADER.size + length)
        return Record(tag, payload, Locator(position.segment, position.offset, length), end)

    def close(self) -> None:
        with self._files_lock:
            for file in self._files.values():
                os.close(file)
            self._files.clear()


def storage_failure(error: OSError, path: Path) -> StorageFailed:
    """The named failure that an operating system error on writing `path` amounts to."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(f"no space left to write {path}: free some space and start again")
    return StorageFailed(f"writing {path} failed: {error.strerror or error}")


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view = view[written:]
        offset += written


def _sync_directory(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
