"""LevelDB behind one door: reads, iteration, snapshots, and synchronous batches.

Keys start with one byte that names their room; `state/store.py` and `chain/index.py` list theirs.
Every block that LevelDB reads from disk is held against its checksum: what the disk has changed is
damage, not data.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import plyvel

from ghostchain.primitives.errors import StorageCorrupt, StorageFailed, StorageFull

WRITE_BUFFER_BYTES = 32 << 20
BLOCK_CACHE_BYTES = 16 << 20
BLOOM_BITS_PER_KEY = 10
# Tables are mapped while they are open, so this bounds resident memory too (2 MB each).
OPEN_FILES_MAX = 96


class Batch(Protocol):
    """What is written at once. Keys and values are bytes."""

    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...


class Reader(Protocol):
    """A consistent place to read from: the database itself, or a snapshot of it."""

    def get(self, key: bytes) -> bytes | None: ...
    def items(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> contextlib.AbstractContextManager[Iterator[tuple[bytes, bytes]]]: ...
    def first(self, start: bytes, stop: bytes) -> bytes | None: ...


def _ignore_step(_: str) -> None:
    return


class Snapshot:
    """The database as it was at one moment, for as long as this object lives.

    Raises: StorageFailed from reads after the database was closed.
    """

    def __init__(self, snapshot: Any) -> None:
        self._snapshot = snapshot
        # An iterator for whoever comes first, since making one takes longer than the seek.
        self._seeker: Any = None
        self._seeking = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._snapshot.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise _read_failure(error) from error
        return value

    def items(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> contextlib.AbstractContextManager[Iterator[tuple[bytes, bytes]]]:
        """Pairs with start <= key < stop in order; use it in a `with`."""
        return _iterate(self._snapshot, start, stop, reverse)

    def first(self, start: bytes, stop: bytes) -> bytes | None:
        """The value of the first key with start <= key < stop; None where there is none."""
        if not self._seeking.acquire(blocking=False):
            return _first(self._snapshot, start, stop)
        try:
            if self._seeker is None:
                self._seeker = self._snapshot.raw_iterator(verify_checksums=True)
            seeker = self._seeker
            seeker.seek(start)
            if not seeker.valid():
                return None
            key, value = seeker.item()
            return value if key < stop else None
        except (plyvel.Error, RuntimeError) as error:
            self._seeker = None
            raise _read_failure(error) from error
        finally:
            self._seeking.release()


class Database:
    """One LevelDB. Reads are safe from any thread; one thread at a time writes."""

    def __init__(
        self, handle: Any, path: Path, on_step: Callable[[str], None], *, is_durable: bool
    ) -> None:
        self._handle = handle
        self._is_durable = is_durable
        self._path = path
        self._on_step = on_step
        self._failed = False

    @classmethod
    def open(
        cls,
        path: Path,
        write_buffer_bytes: int = WRITE_BUFFER_BYTES,
        *,
        is_durable: bool = True,
        on_step: Callable[[str], None] = _ignore_step,
    ) -> Database:
        """Opens or creates the database in `path`; its log is replayed by LevelDB.

        is_durable: whether commits wait for the disk; not in a directory that nobody will open
        again.
        Raises: StorageCorrupt, StorageFull, StorageFailed.
        """
        options = {
            "create_if_missing": True,
            "write_buffer_size": write_buffer_bytes,
            "lru_cache_size": BLOCK_CACHE_BYTES,
            "bloom_filter_bits": BLOOM_BITS_PER_KEY,
            "max_open_files": OPEN_FILES_MAX,
            # Nearly all that is kept are hashes and balances: compressing saves a quarter of the
            # room, and took a sixth of a syncing node's time.
            "compression": None,
        }
        try:
            handle = plyvel.DB(str(path), **options)
        except (plyvel.Error, OSError) as error:
            raise _open_failure(error, path) from error
        on_step("open")
        return cls(handle, path, on_step, is_durable=is_durable)

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._handle.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise _read_failure(error) from error
        return value

    def items(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> contextlib.AbstractContextManager[Iterator[tuple[bytes, bytes]]]:
        """Pairs with start <= key < stop in order, as of now; use it in a `with`."""
        return _iterate(self._handle, start, stop, reverse)

    def first(self, start: bytes, stop: bytes) -> bytes | None:
        """As `Snapshot.first`, as of now."""
        return _first(self._handle, start, stop)

    def snapshot(self) -> Snapshot:
        return Snapshot(self._handle.snapshot())

    def batch(self, *, is_durable: bool = True) -> Any:
        """A new batch (`put`, `delete`) for `commit`. is_durable: False leaves it to a later batch
        to make this one durable; after a power cut the disk has all batches up to some one."""
        return self._handle.write_batch(sync=self._is_durable and is_durable)

    def commit(self, batch: Any) -> None:
        """Writes the batch, all of it or nothing, durably.

        Raises: StorageFull or StorageFailed; the database refuses all writes from then on, since
            whether the batch survives a restart is unknown.
        """
        if self._failed:
            raise StorageFailed("a write to the database has failed before; restart to recover")
        try:
            batch.write()
        except (plyvel.Error, OSError, RuntimeError) as error:
            self._failed = True
            raise _write_failure(error, self._path) from error
        self._on_step("batch")

    def memory(self) -> int:
        """Bytes that LevelDB says it holds in memory."""
        return int(self._handle.get_property(b"leveldb.approximate-memory-usage") or 0)

    def close(self) -> None:
        self._handle.close()


@contextlib.contextmanager
def _iterate(
    handle: Any, start: bytes, stop: bytes, reverse: bool
) -> Iterator[Iterator[tuple[bytes, bytes]]]:
    try:
        iterator = handle.iterator(start=start, stop=stop, reverse=reverse, verify_checksums=True)
    except (plyvel.Error, RuntimeError) as error:
        raise _read_failure(error) from error
    try:
        yield iterator
    except plyvel.Error as error:
        raise _read_failure(error) from error
    finally:
        iterator.close()


def _first(handle: Any, start: bytes, stop: bytes) -> bytes | None:
    try:
        iterator = handle.iterator(start=start, stop=stop, include_key=False, verify_checksums=True)
    except (plyvel.Error, RuntimeError) as error:
        raise _read_failure(error) from error
    try:
        value: bytes | None = next(iterator, None)
    except plyvel.Error as error:
        raise _read_failure(error) from error
    finally:
        iterator.close()
    return value


def after(prefix: bytes) -> bytes:
    """The smallest key above every key that starts with prefix."""
    stripped = prefix.rstrip(b"\xff")
    assert stripped, "a prefix of 0xff bytes has no successor"
    return stripped[:-1] + bytes([stripped[-1] + 1])


def _read_failure(error: Exception) -> StorageFailed | StorageCorrupt:
    if isinstance(error, plyvel.CorruptionError):
        return StorageCorrupt(f"the database is damaged: {_text(error)}")
    if "Invalid argument" in _text(error):
        # A read beyond the end of a table: it has been cut.
        return StorageCorrupt(f"the database is cut short: {_text(error)}")
    return StorageFailed(f"reading the database failed: {_text(error)}")


def _open_failure(error: Exception, path: Path) -> StorageFailed | StorageCorrupt:
    text = _text(error)
    if "No space left" in text:
        return StorageFull(f"no space left to open {path}: free some space and start again")
    if "Resource temporarily unavailable" in text or "already held" in text:
        return StorageFailed(f"{path} is held by another process: {text}")
    if isinstance(error, plyvel.CorruptionError | plyvel.IOError):
        return StorageCorrupt(f"{path} cannot be opened: {text}")
    return StorageFailed(f"opening {path} failed: {text}")


def _write_failure(error: Exception, path: Path) -> StorageFailed:
    text = _text(error)
    if "No space left" in text or "File too large" in text or "quota" in text.lower():
        return StorageFull(f"no space left to write {path}: free some space and start again")
    return StorageFailed(f"writing {path} failed: {text}")


def _text(error: Exception) -> str:
    """The message of a plyvel error, which holds bytes."""
    argument = error.args[0] if error.args else ""
    return argument.decode(errors="replace") if isinstance(argument, bytes) else str(argument)
