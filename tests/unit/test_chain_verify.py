"""Verification of the flat state: streamed roots equal whole ones, and damage is named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ghostchain.chain import verify
from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import network
from ghostchain.chain.verify import streamed_root, verify_directory, verify_state
from ghostchain.encoding.rlp import encode_bytes
from ghostchain.primitives.errors import ForeignDirectory, StorageCorrupt, WrongGenesis
from ghostchain.primitives.types import EMPTY_ROOT
from ghostchain.state import keys
from ghostchain.storage.database import Database
from ghostchain.trie.merkle import node_key, root_of

DEV = network("dev")


def leaves_of(count: int, allowed: range, seed: int) -> list[tuple[bytes, bytes]]:
    """Sorted random leaves whose keys begin with one of the allowed bytes."""
    chance = random.Random(seed)
    keys = {bytes([chance.choice(allowed)]) + chance.randbytes(31) for _ in range(count)}
    return sorted((key, encode_bytes(chance.randbytes(1 + key[1] % 32))) for key in keys)


@pytest.mark.parametrize(
    ("count", "allowed"),
    [
        (0, range(256)),
        (1, range(256)),
        (50, range(256)),
        (3000, range(256)),
        (3000, range(7, 256)),
        (3000, range(32, 48)),
        (3000, range(5, 6)),
        (3000, range(15, 34, 2)),
    ],
)
def test_streamed_root_is_the_root(
    monkeypatch: pytest.MonkeyPatch, count: int, allowed: range
) -> None:
    """However the keys are spread: full groups, missing ones, groups that stand alone."""
    monkeypatch.setattr(verify, "WHOLE_LEAVES_MAX", 100)
    leaves = leaves_of(count, allowed, seed=count)
    expected = root_of(dict(leaves)) if leaves else EMPTY_ROOT
    assert streamed_root(iter(leaves), lambda: iter(leaves)) == expected


def damage(path: Path, key: bytes, value: bytes | None) -> None:
    database = Database.open(path / "state")
    batch = database.batch()
    if value is None:
        batch.delete(key)
    else:
        batch.put(key, value)
    database.commit(batch)
    database.close()


def first(path: Path, prefix: bytes) -> tuple[bytes, bytes]:
    database = Database.open(path / "state")
    with database.items(prefix, prefix + b"\xff") as items:
        found = next(items)
    database.close()
    return found


@pytest.mark.parametrize(
    ("prefix", "value", "message"),
    [
        (keys.ACCOUNT, bytes(23) + b"\x07", "state root"),
        (keys.ACCOUNT, b"short", "record is damaged"),
        (keys.ACCOUNT, None, "state root"),
        (keys.SLOT, b"\x07", "storage root"),
        (keys.SLOT + b"\xff" * 64, b"\x07", "which is no account"),
        (keys.CODE, b"\x07", "code is missing or damaged"),
    ],
)
def test_damage_is_named(tmp_path: Path, prefix: bytes, value: bytes | None, message: str) -> None:
    """Any entry of the flat state that is changed, gone or too many."""
    Chain.open(tmp_path, DEV).close()
    assert verify_directory(tmp_path, DEV).agrees
    key = prefix if len(prefix) > 32 else first(tmp_path, prefix)[0]
    damage(tmp_path, key, value)
    found = verify_directory(tmp_path, DEV)
    assert not found.agrees
    assert any(message in text for text in found.mismatches), found.mismatches


def test_damaged_trie_does_not_open_but_verifies(tmp_path: Path) -> None:
    """The trie is not the state: opening refuses, and verification tells that the state is well."""
    Chain.open(tmp_path, DEV).close()
    damage(tmp_path, node_key(None, b""), b"nonsense")
    with pytest.raises(StorageCorrupt, match="run `ghostd db verify`"):
        Chain.open(tmp_path, DEV)
    found = verify_directory(tmp_path, DEV)
    assert found.agrees
    assert found.accounts == len(DEV.alloc)
    assert found.slots == sum(len(entry.storage or {}) for entry in DEV.alloc.values()) > 0


def test_directories_without_this_chain(tmp_path: Path) -> None:
    with pytest.raises(ForeignDirectory, match="holds no chain"):
        verify_directory(tmp_path, DEV)
    Chain.open(tmp_path, network("devnet")).close()
    with pytest.raises(WrongGenesis):
        verify_directory(tmp_path, DEV)
    empty = Database.open(tmp_path / "empty")
    with pytest.raises(StorageCorrupt, match="holds no chain"):
        verify_state(empty)
    empty.close()
