"""What was learned of a remote chain at one block, on disk.

    <folder>/v2/<chain id>/<block number>-<block hash>.sqlite

The state after a block and the answers about blocks up to it never change, so a file is good for
ever, for any number of processes at once, and may be deleted at any time that none uses it. What is
written together is there after a crash together (SQLite's write-ahead log); what was not written is
asked again.

Nothing of a file is believed for its place alone: each entry carries a digest of itself, of its
name and table, and of the file's own name. An entry that a disk has changed, that stands under
another name, or in another chain's file is as good as none. A file that is damaged as a whole is
made anew where nobody else uses it; where somebody does, and where a disk refuses, a process goes
on without.

Bounds: the folder, by deleting the files that were not opened for the longest; a single file, by
taking nothing more when it has half of that; what waits to be written, by taking nothing more.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

logger = logging.getLogger(__name__)

FORMAT = 2
BYTES_MAX = 2 << 30
FLUSH_S = 0.5
PENDING_MAX = 2_000
# Not taken any more: the disk is slower than the remote.
WAITING_MAX = 20 * PENDING_MAX
TABLES = ("accounts", "slots", "codes", "answers")
SUFFIX = ".sqlite"
DIGEST_BYTES = 16
# After a disk refused, it is left alone for so long.
REST_S = 30.0
# What says nothing of the file's content: locks, rights, a full disk, a place where no file can be.
NOT_THE_FILES_FAULT = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)

Connections = tuple[sqlite3.Connection, sqlite3.Connection]


class ForkCache:
    """One file of the cache: bytes by bytes in a few tables. Any thread.

    Reads see what was put before, on disk or not. A disk that refuses, or a file that turns out to
    be damaged, costs the cache, not the fork: nothing of it is read any more, and nothing is kept.
    """

    def __init__(self, path: Path, *, bytes_max: int = BYTES_MAX // 2) -> None:
        """Raises: OSError when the folder cannot be made or written."""
        self.path = path
        self._bytes_max = bytes_max
        self._digest = blake2b(
            f"{path.parent.name}/{path.name}".encode(), digest_size=DIGEST_BYTES, person=b"fork"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._claim = shared_claim(path.with_suffix(".lock"))
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._pending: dict[tuple[str, bytes], bytes] = {}
        self._writing: dict[tuple[str, bytes], bytes] = {}
        self._is_full = False
        self._is_closed = False
        self._rests_until = 0.0
        self._wanted = threading.Event()
        self._given_up: Connections | None = None
        self._connections = self._opened()
        with contextlib.suppress(OSError):
            os.utime(path)
        self._thread = threading.Thread(target=self._flush_often, name="fork-cache", daemon=True)
        self._thread.start()

    # ---- the file ----

    def _opened(self) -> Connections | None:
        """Its connections; None where it is to be done without."""
        for is_second in (False, True):
            try:
                return connections_to(self.path)
            except sqlite3.Error as failure:
                if is_second or is_innocent(failure) or not self._throw_away():
                    logger.warning(
                        "fork cache %s cannot be used, nothing is kept: %s", self.path, failure
                    )
                    return None
        return None

    def _throw_away(self) -> bool:
        """The file is gone, unless others use it: they would go on writing to what has no name."""
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            logger.warning("fork cache %s is damaged; it is made anew", self.path)
            for name in files_of(self.path):
                name.unlink(missing_ok=True)
        except OSError:
            return False
        finally:
            # A lock that could not be converted is lost.
            fcntl.flock(self._claim, fcntl.LOCK_SH)
        return True

    def _give_up(self, failure: sqlite3.Error) -> None:
        """Nothing is read or written any more, for a while or for good. self._lock is held."""
        if is_innocent(failure):
            self._rests_until = time.monotonic() + REST_S
            logger.warning("fork cache %s is left alone for a while: %s", self.path, failure)
            return
        logger.warning("fork cache %s is damaged, and used no more: %s", self.path, failure)
        # Closed at the end: another thread may be at it.
        self._given_up, self._connections = self._connections, None

    @property
    def _is_resting(self) -> bool:
        return time.monotonic() < self._rests_until

    def _sealed(self, table: str, name: bytes, value: bytes) -> bytes:
        """What of an entry lies on disk: the digest, and the value."""
        digest = self._digest.copy()
        digest.update(b"%b %d %b" % (table.encode(), len(name), name))
        digest.update(value)
        return digest.digest() + value

    # ---- entries ----

    def get(self, table: str, name: bytes) -> bytes | None:
        """What was put; None also for what cannot be read, or is not what was put.

        Cost: 12 microseconds where it is on disk.
        """
        key = (table, name)
        found = self._pending.get(key)
        if found is None:
            found = self._writing.get(key)
        if found is not None or self._is_closed or self._is_resting:
            return found
        with self._lock:
            if self._connections is None:
                return None
            try:
                row = (
                    self._connections[0]
                    .execute(f"SELECT value FROM {table} WHERE name=?", (name,))
                    .fetchone()
                )
            except sqlite3.Error as failure:
                self._give_up(failure)
                return None
        if row is None or not isinstance(row[0], bytes):
            return None
        value = row[0][DIGEST_BYTES:]
        return value if self._sealed(table, name, value) == row[0] else None

    def put(self, table: str, name: bytes, value: bytes) -> None:
        """It is there from now on, and on disk soon."""
        if self._is_full or self._is_closed or self._connections is None:
            return
        if len(self._pending) >= WAITING_MAX:
            return
        self._pending[table, name] = value
        if len(self._pending) >= PENDING_MAX:
            self._wanted.set()

    def count(self, table: str) -> int:
        """Entries on disk."""
        self.flush()
        with self._lock:
            if self._connections is None:
                return 0
            row = self._connections[0].execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(row[0])

    def flush(self) -> None:
        """What was put is on disk, if the disk takes it."""
        with self._write_lock:
            # In this order, so that a reader finds an entry in one of the two.
            self._writing, self._pending = self._pending, {}
            connections = self._connections
            if self._writing and connections is not None and not self._is_resting:
                try:
                    self._write(connections[1])
                except sqlite3.Error as failure:
                    with contextlib.suppress(sqlite3.Error):
                        connections[1].rollback()
                    with self._lock:
                        self._give_up(failure)
            self._writing = {}
            self._is_full = size_of(self.path) > self._bytes_max

    def _write(self, writer: sqlite3.Connection) -> None:
        for table in TABLES:
            rows = [
                (name, self._sealed(table, name, value))
                for (kind, name), value in self._writing.items()
                if kind == table
            ]
            writer.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?,?)", rows)
        writer.commit()

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
        with self._lock:
            connections, self._connections = self._connections, None
            for connection in connections or self._given_up or ():
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        os.close(self._claim)


def connections_to(path: Path) -> Connections:
    """One to read with, one to write with; the tables are there. Raises: sqlite3.Error."""
    writer = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        writer.execute("PRAGMA trusted_schema=OFF")
        writer.execute("PRAGMA cell_size_check=ON")
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA synchronous=NORMAL")
        for table in TABLES:
            writer.execute(
                f"CREATE TABLE IF NOT EXISTS {table} (name BLOB PRIMARY KEY, value BLOB) "
                "WITHOUT ROWID"
            )
            writer.execute(f"SELECT name, value FROM {table} LIMIT 1").fetchall()
        writer.commit()
        reader = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    except BaseException:
        writer.close()
        raise
    return reader, writer


def is_innocent(failure: sqlite3.Error) -> bool:
    """Whether the file may be whole in spite of it."""
    # The low byte is the kind of error, the others tell more of it.
    return getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in NOT_THE_FILES_FAULT


def shared_claim(path: Path) -> int:
    """A descriptor of the lock file, which says as long as it is open that somebody uses what the
    lock is for. Raises: OSError."""
    while True:
        claim = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(claim, fcntl.LOCK_SH)
        # Whoever held it alone may have deleted it with the file.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(claim), path.stat()):
                return claim
        os.close(claim)


def path_of(folder: Path, chain_id: int, number: int, block_hash: bytes) -> Path:
    """The file of a block."""
    return folder / f"v{FORMAT}" / str(chain_id) / f"{number}-{block_hash.hex()}{SUFFIX}"


def known_hashes(folder: Path, chain_id: int, number: int) -> list[bytes]:
    """The hashes of the blocks with that number of which something is cached."""
    names = (folder / f"v{FORMAT}" / str(chain_id)).glob(f"{number}-*{SUFFIX}")
    found = []
    for name in names:
        with contextlib.suppress(ValueError):
            found.append(bytes.fromhex(name.stem.partition("-")[2]))
    return found


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
    opened last stay. Returns what was deleted. Files of other formats go first.

    Raises: OSError.
    """
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
