"""What was learned of a remote chain at one block, on disk.

    <folder>/v1/<chain id>/<block number>-<block hash>.sqlite

The state after a block and the answers about blocks up to it never change, so a file is good for
ever, for any number of processes at once, and may be deleted at any time that none uses it. What is
written together is there after a crash together (SQLite's write-ahead log); what was not written is
asked again. A file that cannot be read is thrown away.

Bounds: the folder, by deleting the files that were not opened for the longest; a single file, by
taking nothing more when it has half of that.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

FORMAT = 1
BYTES_MAX = 2 << 30
FLUSH_S = 0.5
PENDING_MAX = 2_000
TABLES = ("accounts", "slots", "codes", "answers")
SUFFIX = ".sqlite"


class ForkCache:
    """One file of the cache: bytes by bytes in a few tables. Any thread.

    Reads see what was put before, on disk or not. A disk that refuses costs the cache, not the
    fork: it then holds what is in memory, which is bounded.
    """

    def __init__(self, path: Path, *, bytes_max: int = BYTES_MAX // 2) -> None:
        """Raises: OSError when the folder cannot be made."""
        self.path = path
        self._bytes_max = bytes_max
        path.parent.mkdir(parents=True, exist_ok=True)
        self._claim = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(self._claim, fcntl.LOCK_SH)
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._pending: dict[tuple[str, bytes], bytes] = {}
        self._writing: dict[tuple[str, bytes], bytes] = {}
        self._is_full = False
        self._is_closed = False
        self._wanted = threading.Event()
        try:
            self._reader, self._writer = self._open()
        except sqlite3.Error:
            self._throw_away()
            self._reader, self._writer = self._open()
        os.utime(path)
        self._thread = threading.Thread(target=self._flush_often, name="fork-cache", daemon=True)
        self._thread.start()

    def _open(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        writer = sqlite3.connect(self.path, timeout=5.0, check_same_thread=False)
        try:
            writer.execute("PRAGMA journal_mode=WAL")
            writer.execute("PRAGMA synchronous=NORMAL")
            for table in TABLES:
                writer.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} (name BLOB PRIMARY KEY, value BLOB) "
                    "WITHOUT ROWID"
                )
                writer.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
            writer.commit()
            reader = sqlite3.connect(self.path, timeout=1.0, check_same_thread=False)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    def _throw_away(self) -> None:
        logger.warning("fork cache %s is damaged; it is made anew", self.path)
        for name in files_of(self.path):
            name.unlink(missing_ok=True)

    def get(self, table: str, name: bytes) -> bytes | None:
        """Cost: 10 microseconds where it is on disk."""
        key = (table, name)
        found = self._pending.get(key)
        if found is None:
            found = self._writing.get(key)
        if found is not None or self._is_closed:
            return found
        try:
            with self._lock:
                row = self._reader.execute(
                    f"SELECT value FROM {table} WHERE name=?",
                    (name,),
                ).fetchone()
        except sqlite3.Error as failure:
            logger.warning("fork cache %s cannot be read: %s", self.path, failure)
            return None
        return None if row is None else bytes(row[0])

    def put(self, table: str, name: bytes, value: bytes) -> None:
        """It is there from now on, and on disk soon."""
        if self._is_full or self._is_closed:
            return
        self._pending[table, name] = value
        if len(self._pending) >= PENDING_MAX:
            self._wanted.set()

    def count(self, table: str) -> int:
        """Entries on disk."""
        self.flush()
        with self._lock:
            row = self._reader.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(row[0])

    def flush(self) -> None:
        """What was put is on disk, if the disk takes it."""
        with self._write_lock:
            # In this order, so that a reader finds an entry in one of the two.
            self._writing, self._pending = self._pending, {}
            if not self._writing:
                return
            try:
                for table in TABLES:
                    self._writer.executemany(
                        f"INSERT OR REPLACE INTO {table} VALUES (?,?)",
                        [
                            (key[1], value)
                            for key, value in self._writing.items()
                            if key[0] == table
                        ],
                    )
                self._writer.commit()
            except sqlite3.Error as failure:
                logger.warning("fork cache %s cannot be written: %s", self.path, failure)
                with contextlib.suppress(sqlite3.Error):
                    self._writer.rollback()
            self._writing = {}
            self._is_full = size_of(self.path) > self._bytes_max

    def _flush_often(self) -> None:
        while not self._is_closed:
            self._wanted.wait(FLUSH_S)
            self._wanted.clear()
            if not self._is_closed:
                self.flush()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._wanted.set()
        self._thread.join()
        self.flush()
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._reader.close()
            self._writer.close()
        os.close(self._claim)


def path_of(folder: Path, chain_id: int, number: int, block_hash: bytes) -> Path:
    """The file of a block."""
    return folder / f"v{FORMAT}" / str(chain_id) / f"{number}-{block_hash.hex()}{SUFFIX}"


def known_hashes(folder: Path, chain_id: int, number: int) -> list[bytes]:
    """The hashes of the blocks with that number of which something is cached."""
    names = (folder / f"v{FORMAT}" / str(chain_id)).glob(f"{number}-*{SUFFIX}")
    return [bytes.fromhex(name.stem.partition("-")[2]) for name in names]


def files_of(path: Path) -> tuple[Path, ...]:
    """All that belongs to one file of the cache, but for its lock."""
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def size_of(path: Path) -> int:
    """Bytes on disk."""
    total = 0
    for name in files_of(path):
        with contextlib.suppress(OSError):
            total += name.stat().st_size
    return total


def shrink(folder: Path, *, bytes_max: int = BYTES_MAX) -> list[Path]:
    """The folder holds at most so many bytes, as far as nobody uses the rest; those that were
    opened last stay. Returns what was deleted. Files of other formats go first."""
    current = folder / f"v{FORMAT}"
    paths = folder.glob(f"v*/*/*{SUFFIX}")
    found = sorted(paths, key=lambda path: (current in path.parents, age(path)))
    total = sum(map(size_of, found))
    deleted = []
    for path in found:
        if total <= bytes_max and current in path.parents:
            break
        size = size_of(path)
        with claimed(path) as is_free:
            if is_free:
                for name in (*files_of(path), path.with_suffix(".lock")):
                    name.unlink(missing_ok=True)
                total -= size
                deleted.append(path)
    return deleted


def age(path: Path) -> float:
    """When it was opened last; 0 for what is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether nobody uses the file, and nobody does meanwhile."""
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
