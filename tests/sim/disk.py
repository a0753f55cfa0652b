"""A disk that keeps after a crash what was synced, and of the rest whatever chance leaves.

Implements `ghostchain.storage.disk`. A write that was not synced may be lost, whole, or torn in the
middle, each by itself: a disk orders nothing that it was not told to. A name that was not synced
may be gone, too.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

Touch = Callable[[str], None]
"""Told of every step to a machine's edge, before it; may raise, then it does not happen."""


def _torn(data: bytes, random: Random) -> bytes:
    """A beginning of the data; sometimes the file is as long as if all of it were there."""
    cut = random.randrange(len(data))
    return data[:cut] if random.random() < 0.5 else data[:cut].ljust(len(data), b"\0")


class VirtualFile:
    """What a file holds now, and how to take back what is not durable yet."""

    def __init__(self, touch: Touch) -> None:
        self._touch = touch
        self.data = bytearray()
        self.is_named = False
        self._unsynced: list[tuple[int, bytes | None, bytes, int]] = []
        """Of each change: where, what (None: cut there), what stood there, the size before."""

    @property
    def is_durable(self) -> bool:
        """Whether all that was written would survive a crash now."""
        return not self._unsynced

    def read(self) -> bytes:
        return bytes(self.data)

    def write(self, data: bytes, offset: int) -> None:
        self._touch("write")
        self._change(offset, data)

    def truncate(self, size: int) -> None:
        self._touch("truncate")
        self._change(size, None)

    def sync(self) -> None:
        self._touch("sync")
        self._unsynced.clear()

    def close(self) -> None:
        return

    def _change(self, offset: int, data: bytes | None) -> None:
        size = len(self.data)
        if data is None:
            old = bytes(self.data[offset:])
            del self.data[offset:]
        else:
            end = offset + len(data)
            old = bytes(self.data[offset:end])
            if offset > size:
                self.data.extend(bytes(offset - size))
            self.data[offset:end] = data
        self._unsynced.append((offset, data, old, size))

    def lose(self, random: Random) -> int:
        """The power goes; how many changes did not make it whole."""
        unsynced, self._unsynced = self._unsynced, []
        for offset, _, old, size in reversed(unsynced):
            self.data[offset : offset + len(old)] = old
            del self.data[size:]
        damaged = 0
        for offset, data, _, _ in unsynced:
            chance = random.random()
            if data is not None and chance < 0.4:
                data = _torn(data, random)
            elif chance < 0.7:
                damaged += 1
                continue
            self._change(offset, data)
            damaged += chance < 0.4
        self._unsynced.clear()
        return damaged

    def flip(self, random: Random, start: int, end: int) -> bool:
        """One bit of a range, as far as the file has it, is another; whether there was one."""
        end = min(end, len(self.data))
        if start >= end:
            return False
        self.data[random.randrange(start, end)] ^= 1 << random.randrange(8)
        return True


class VirtualDisk:
    """The directory of one machine's safety files."""

    def __init__(self, touch: Touch) -> None:
        self._touch = touch
        self.files: dict[str, VirtualFile] = {}

    def open(self, name: str) -> VirtualFile:
        self._touch("open")
        return self.files.setdefault(name, VirtualFile(self._touch))

    def sync_names(self) -> None:
        self._touch("sync names")
        for file in self.files.values():
            file.is_named = True

    def lose(self, random: Random) -> int:
        """The power goes; how many changes did not make it whole."""
        for name, file in list(self.files.items()):
            if not file.is_named and random.random() < 0.5:
                del self.files[name]
        return sum(file.lose(random) for file in self.files.values())


def disk_error() -> OSError:
    """What a dying disk answers."""
    return OSError(errno.EIO, "the disk does not answer")
