"""The pool on disk: accepted transactions as records in one append-only file.

A record is `length (4 bytes, big-endian) | crc32 (4) | canonical bytes`. A torn tail ends the
reading: what stands before it was acknowledged, nothing after it was. A record whose bytes the disk
has changed is left out alone.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

RECORD_HEAD = struct.Struct(">II")
RECORD_BYTES_MAX = 1 << 20


def encode_records(raws: Iterable[bytes]) -> bytes:
    """The records of these transactions, one after the other."""
    return b"".join(RECORD_HEAD.pack(len(raw), zlib.crc32(raw)) + raw for raw in raws)


def decode_records(data: bytes) -> tuple[list[bytes], int]:
    """(the whole records, where the last of them ends)."""
    raws: list[bytes] = []
    offset = whole_end = 0
    while offset + RECORD_HEAD.size <= len(data):
        length, checksum = RECORD_HEAD.unpack_from(data, offset)
        end = offset + RECORD_HEAD.size + length
        if length > RECORD_BYTES_MAX or end > len(data):
            break
        raw = data[offset + RECORD_HEAD.size : end]
        if zlib.crc32(raw) == checksum:
            raws.append(raw)
            whole_end = end
        offset = end
    return raws, whole_end


class Journal:
    """The file, open for appending. Not for two threads at once."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self.durable = durable
        self.records = 0
        self.bytes_lost = 0
        self._file = -1

    def load(self) -> list[bytes]:
        """The acknowledged transactions; the torn tail, if any, is cut off. Opens for appending.

        Effects: bytes_lost is what the file held beside whole records.
        """
        data = self.path.read_bytes() if self.path.exists() else b""
        raws, end = decode_records(data)
        self.bytes_lost = len(data) - sum(RECORD_HEAD.size + len(raw) for raw in raws)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, end)
        os.lseek(self._file, end, os.SEEK_SET)
        self.records = len(raws)
        return raws

    def append(self, raws: list[bytes]) -> None:
        """These are on disk. Raises OSError when the disk refuses: nothing was acknowledged."""
        if not raws:
            return
        start = os.lseek(self._file, 0, os.SEEK_CUR)
        try:
            write_all(self._file, encode_records(raws))
            if self.durable:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, start)
            os.lseek(self._file, start, os.SEEK_SET)
            raise
        self.records += len(raws)

    def rewrite(self, raws: list[bytes]) -> None:
        """The file holds exactly these; at every instant the old or the new file is whole."""
        if not raws and self._file >= 0:
            self._empty()
            return
        scratch = self.path.with_suffix(".new")
        file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(file, encode_records(raws))
            if self.durable:
                os.fdatasync(file)
            os.replace(scratch, self.path)
            if self.durable:
                # What is appended from now on is only found again if the new name is kept.
                sync_directory(self.path.parent)
        except OSError:
            os.close(file)
            scratch.unlink(missing_ok=True)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self.records = len(raws)

    def _empty(self) -> None:
        """The file holds nothing, which needs no other file. Cost: nothing where it is so."""
        if self.records:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            if self.durable:
                os.fdatasync(self._file)
        self.records = 0

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def sync_directory(path: Path) -> None:
    """The names in a directory are on disk."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_all(file: int, data: bytes) -> None:
    """All of data is written, however often the kernel takes only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
