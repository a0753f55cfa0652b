"""Claiming a data directory: refusals say why and leave the directory as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ghostchain.primitives.errors import (
    DirectoryLocked,
    ForeignDirectory,
    StorageCorrupt,
    WrongGenesis,
)
from ghostchain.storage.database import Database, after
from ghostchain.storage.directory import DataDirectory

GENESIS = b"\xaa" * 32


def claim(path: Path, genesis: bytes = GENESIS, chain_id: int = 7) -> DataDirectory:
    return DataDirectory.claim(path, genesis_hash=genesis, chain_id=chain_id)


def listing(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_claim_marks_and_reopens(tmp_path: Path) -> None:
    """A free directory becomes ours, and opens again for the same chain."""
    path = tmp_path / "deep" / "data"
    claim(path).close()
    directory = claim(path)
    assert directory.identity.chain_id == 7
    assert (path / "LOCK").read_text() == f"{os.getpid()}\n"
    directory.close()


def test_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    """The message names the holder's pid and what to do; the holder is not disturbed."""
    directory = claim(tmp_path)
    script = f"""
from pathlib import Path
from ghostchain.primitives.errors import DirectoryLocked
from ghostchain.storage.directory import DataDirectory
try:
    DataDirectory.claim(Path({str(tmp_path)!r}), genesis_hash=bytes({list(GENESIS)}), chain_id=7)
except DirectoryLocked as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"in use by process {os.getpid()}" in run.stdout
    assert "--data-dir" in run.stdout
    with pytest.raises(DirectoryLocked):
        claim(tmp_path)
    directory.close()
    claim(tmp_path).close()


def test_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    """A directory with other things in it is refused and not touched."""
    (tmp_path / "geth").mkdir()
    (tmp_path / "nodekey").write_bytes(b"secret")
    before = listing(tmp_path)
    with pytest.raises(ForeignDirectory, match="geth, nodekey"):
        claim(tmp_path)
    assert listing(tmp_path) == before
    with pytest.raises(ForeignDirectory, match="not a directory"):
        claim(tmp_path / "nodekey")


def test_wrong_genesis_is_left_alone(tmp_path: Path) -> None:
    """Another genesis or chain id is refused with both names."""
    claim(tmp_path).close()
    before = listing(tmp_path)
    with pytest.raises(WrongGenesis, match="0xbbbb"):
        claim(tmp_path, genesis=b"\xbb" * 32)
    with pytest.raises(WrongGenesis, match="id 8"):
        claim(tmp_path, chain_id=8)
    assert listing(tmp_path) == before


def test_unreadable_identity_and_other_layout(tmp_path: Path) -> None:
    """A damaged identity is corruption; one of a newer layout is not ours to open."""
    claim(tmp_path).close()
    identity = tmp_path / "IDENTITY"
    text = identity.read_text()
    identity.write_text(text.replace('"layout": 1', '"layout": 99'))
    with pytest.raises(ForeignDirectory, match="layout 99"):
        claim(tmp_path)
    identity.write_text(text[:20])
    with pytest.raises(StorageCorrupt, match="unreadable"):
        claim(tmp_path)


def test_database_reads_snapshots_and_reopens(tmp_path: Path) -> None:
    """A batch is all or nothing, a snapshot does not move, and data is there after reopening."""
    database = Database.open(tmp_path / "state")
    batch = database.batch()
    batch.put(b"a1", b"one")
    batch.put(b"a2", b"two")
    assert database.get(b"a1") is None
    database.commit(batch)
    snapshot = database.snapshot()
    batch = database.batch()
    batch.delete(b"a1")
    database.commit(batch)
    assert database.get(b"a1") is None
    assert snapshot.get(b"a1") == b"one"
    with snapshot.items(b"a", after(b"a")) as items:
        assert list(items) == [(b"a1", b"one"), (b"a2", b"two")]
    with database.items(b"a", after(b"a"), reverse=True) as items:
        assert [key for key, _ in items] == [b"a2"]
    del snapshot
    database.close()
    database = Database.open(tmp_path / "state")
    assert database.get(b"a2") == b"two"
    assert database.memory() > 0
    database.close()


def test_damaged_database_is_named(tmp_path: Path) -> None:
    """A manifest that is gone or damaged is corruption with the path in the message."""
    path = tmp_path / "state"
    database = Database.open(path)
    batch = database.batch()
    batch.put(b"a", b"b")
    database.commit(batch)
    database.close()
    for manifest in path.glob("MANIFEST-*"):
        manifest.write_bytes(b"nonsense" * 100)
    with pytest.raises(StorageCorrupt, match="state cannot be opened"):
        Database.open(path)


def test_after_is_the_next_prefix() -> None:
    assert after(b"a") == b"b"
    assert after(b"a\xff") == b"b"
