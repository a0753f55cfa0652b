"""Claiming a data directory: whose it is, which chain it holds, and that we alone write to it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ghostchain.primitives.errors import (
    DirectoryLocked,
    ForeignDirectory,
    StorageCorrupt,
    StorageFailed,
    WrongGenesis,
)
from ghostchain.storage.files import storage_failure

LAYOUT = 1
IDENTITY_NAME = "IDENTITY"
LOCK_NAME = "LOCK"
# What may stand in a directory that is still free for us: file systems and editors leave these.
IGNORED_NAMES = frozenset({LOCK_NAME, IDENTITY_NAME + ".new", "lost+found", ".gitkeep"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Which chain a data directory belongs to. header: RLP of the header that the genesis hash is
    of, where it was said when the directory was made; is_loaded: that it is another chain's, whose
    blocks and state were loaded."""

    layout: int
    genesis_hash: bytes
    chain_id: int
    header: bytes = field(default=b"", compare=False)
    is_loaded: bool = field(default=False, compare=False)

    def to_json(self) -> str:
        fields: dict[str, object] = {
            "layout": self.layout,
            "genesisHash": "0x" + self.genesis_hash.hex(),
            "chainId": self.chain_id,
        }
        if self.header:
            fields["genesisHeader"] = "0x" + self.header.hex()
        if self.is_loaded:
            fields["isLoaded"] = True
        return json.dumps({"ghostchain": fields}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Identity:
        fields = json.loads(text)["ghostchain"]
        genesis_hash = bytes.fromhex(fields["genesisHash"].removeprefix("0x"))
        return cls(
            int(fields["layout"]),
            genesis_hash,
            int(fields["chainId"]),
            bytes.fromhex(fields.get("genesisHeader", "").removeprefix("0x")),
            bool(fields.get("isLoaded", False)),
        )


def read_identity(directory: Path) -> Identity | None:
    """The identity of a data directory, or None when it is absent or free.

    Raises: ForeignDirectory when it holds something else; StorageCorrupt when its identity is
        unreadable. Reads only.
    """
    if not directory.exists():
        return None
    if not directory.is_dir():
        raise ForeignDirectory(f"{directory} is not a directory")
    path = directory / IDENTITY_NAME
    if path.exists():
        try:
            return Identity.from_json(path.read_text())
        except (ValueError, KeyError, TypeError) as error:
            raise StorageCorrupt(f"{path} is unreadable ({error}); is it ours?") from error
    others = sorted(entry.name for entry in directory.iterdir() if entry.name not in IGNORED_NAMES)
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise ForeignDirectory(
            f"{directory} is not empty and not a GhostChain data directory (it holds {shown}); "
            "choose another --data-dir"
        )
    return None


def check_identity(directory: Path, wanted: Identity) -> Identity | None:
    """Refuses a directory of another layout or chain; None when it is free. Reads only.

    Raises: ForeignDirectory, StorageCorrupt, WrongGenesis.
    """
    found = read_identity(directory)
    if found is None or found == wanted:
        return found
    if found.layout != wanted.layout:
        raise ForeignDirectory(
            f"{directory} has layout {found.layout}, this program reads layout {wanted.layout}"
        )
    raise WrongGenesis(
        f"{directory} holds the chain with id {found.chain_id} and genesis "
        f"0x{found.genesis_hash.hex()}, not id {wanted.chain_id} and genesis "
        f"0x{wanted.genesis_hash.hex()}; choose another --data-dir or the genesis it was made with"
    )


class DataDirectory:
    """A claimed data directory: the lock is held until `close`."""

    def __init__(self, path: Path, identity: Identity, lock: int) -> None:
        self.path = path
        self.identity = identity
        self._lock: int | None = lock

    @classmethod
    def claim(
        cls,
        path: Path,
        *,
        genesis_hash: bytes,
        chain_id: int,
        header: bytes = b"",
        is_loaded: bool = False,
    ) -> DataDirectory:
        """Checks the directory, locks it, and marks it as ours when it was free. header, is_loaded:
        what is noted then, as of `Identity`.

        Raises: ForeignDirectory, WrongGenesis, StorageCorrupt, DirectoryLocked, StorageFailed;
            nothing has been written then (but for a lock file where there was none).
        """
        wanted = Identity(LAYOUT, genesis_hash, chain_id, header, is_loaded)
        check_identity(path, wanted)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = _lock(path)
        except OSError as error:
            raise storage_failure(error, path) from error
        try:
            if check_identity(path, wanted) is None:
                write_durably(path / IDENTITY_NAME, wanted.to_json().encode())
        except OSError as error:
            os.close(lock)
            raise storage_failure(error, path) from error
        except (ForeignDirectory, StorageCorrupt, WrongGenesis, StorageFailed):
            os.close(lock)
            raise
        return cls(path, wanted, lock)

    def close(self) -> None:
        """Gives the directory free for the next process."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Nobody has the directory open meanwhile. Raises: DirectoryLocked, StorageFailed."""
    try:
        lock = _lock(directory)
    except OSError as error:
        raise storage_failure(error, directory) from error
    try:
        yield
    finally:
        os.close(lock)


def _lock(directory: Path) -> int:
    path = directory / LOCK_NAME
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(file, 64, 0).decode(errors="replace").strip() or "unknown"
        os.close(file)
        raise DirectoryLocked(
            f"{directory} is in use by process {holder}; stop that process "
            f"(kill {holder}) or choose another --data-dir"
        ) from error
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file


def write_durably(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """The file holds exactly data after this, or is as it was before, whatever happens. mode: of a
    new file, before the process's mask."""
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    with open(scratch, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
