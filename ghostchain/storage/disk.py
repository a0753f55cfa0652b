"""The few operations on files that what must survive a power cut is made of.

`wal.py` and `highwater.py` reach the disk through these alone, so that the simulation can give them
a disk that tears writes, forgets what was not synced, flips bits and runs full. Names are those of
files in one directory. All raise OSError when the operating system refuses; after that nobody knows
what the disk holds, and the caller writes no more.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol

from ghostchain.primitives.errors import DirectoryLocked, StorageFailed


class File(Protocol):
    """One file, open, and nobody else's meanwhile."""

    def read(self) -> bytes:
        """All of it."""

    def write(self, data: bytes, offset: int) -> None:
        """All of data stands at offset; durable after `sync`, until then perhaps in part."""

    def truncate(self, size: int) -> None:
        """The file ends there; durable after `sync`."""

    def sync(self) -> None:
        """What the file holds, and its size, is durable."""

    def close(self) -> None: ...


class Disk(Protocol):
    """One directory."""

    def open(self, name: str) -> File:
        """The file, made empty where there was none. Its name is durable after `sync_names`.

        Raises: DirectoryLocked when another has it open.
        """

    def sync_names(self) -> None:
        """The names in the directory are durable."""


class RealFile:
    """A file of the operating system, claimed with flock while it is open."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise DirectoryLocked(f"{path} is in use by another process") from error

    def read(self) -> bytes:
        size = os.fstat(self._file).st_size
        parts = []
        offset = 0
        while offset < size:
            part = os.pread(self._file, size - offset, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, offset)
            view = view[written:]
            offset += written

    def truncate(self, size: int) -> None:
        os.ftruncate(self._file, size)

    def sync(self) -> None:
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


class RealDisk:
    """A directory of the operating system, made when it is missing, for its owner alone."""

    def __init__(self, directory: Path) -> None:
        """Raises: StorageFailed when there can be no such directory."""
        self.directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"{directory} cannot be made: {error.strerror or error}") from error

    def open(self, name: str) -> RealFile:
        return RealFile(self.directory / name)

    def sync_names(self) -> None:
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
