"""What a fork keeps on disk when the disk, or somebody, has changed it: each entry is what was put,
or is not there; nothing hangs, nothing fails but the cache."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ghostchain.fork.cache import ForkCache, files_of, known_hashes, path_of, shrink

HASH = bytes(range(32))
PAGE = 4096
ENTRIES = {
    **{("slots", n.to_bytes(52, "big")): hashlib.sha256(b"%d" % n).digest() for n in range(300)},
    **{("accounts", n.to_bytes(20, "big")): b"account %d" % n * 8 for n in range(150)},
    ("accounts", b"\xff" * 20): b"",
    ("codes", b"c" * 32): b"\x60\x01" * 9_000,
    ("answers", b"a" * 32): b'{"hash":"0x12"}' * 400,
}


def filled(path: Path) -> None:
    cache = ForkCache(path)
    for (table, name), value in ENTRIES.items():
        cache.put(table, name, value)
    cache.close()


def with_a_log(path: Path) -> None:
    """As a kill leaves it: all of it is in the write-ahead log."""
    script = f"""
import os
from pathlib import Path
from ghostchain.fork.cache import ForkCache
from tests.unit.test_fork_cache_damage import ENTRIES
cache = ForkCache(Path({str(path)!r}))
for (table, name), value in ENTRIES.items():
    cache.put(table, name, value)
cache.flush()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def found_in(path: Path) -> int:
    """How many entries are there still; that no other is, and that it can be gone on with."""
    cache = ForkCache(path)
    try:
        found = 0
        for (table, name), value in ENTRIES.items():
            got = cache.get(table, name)
            assert got in (None, value), (table, name)
            found += got is not None
        assert cache.get("codes", b"never put") is None
        cache.put("slots", b"new", b"value")
        assert cache.get("slots", b"new") in (None, b"value")
        cache.flush()
        assert cache.get("slots", b"new") in (None, b"value")
        return found
    finally:
        cache.close()


def copied(source: Path, folder: Path) -> Path:
    """The file, with its log, alone and under the same name."""
    shutil.rmtree(folder, ignore_errors=True)
    target = folder / source.parent.name / source.name
    target.parent.mkdir(parents=True)
    for name, copy in zip(files_of(source), files_of(target), strict=True):
        if name.exists():
            shutil.copyfile(name, copy)
    return target


def flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))


def test_the_whole_file_is_read_again(tmp_path: Path) -> None:
    for make in (filled, with_a_log):
        path = path_of(tmp_path / make.__name__, 1, 5, HASH)
        make(path)
        assert found_in(copied(path, tmp_path / "copy")) == len(ENTRIES)


@pytest.mark.parametrize("make", [filled, with_a_log])
def test_bits_that_flip_are_never_served(make: Callable[[Path], None], tmp_path: Path) -> None:
    """Of the header, of each page's head, and of any place, in the file and in its log."""
    path = path_of(tmp_path, 1, 5, HASH)
    make(path)
    chance = random.Random(5)
    left = []
    for index, name in enumerate(files_of(path)):
        size = name.stat().st_size if name.exists() else 0
        if size == 0:
            continue
        heads = [start + at for start in range(0, size, PAGE) for at in (0, 3, 5, 9)]
        places = [*range(0, min(100, size), 3), *chance.sample(heads, min(25, len(heads)))]
        places += [chance.randrange(size) for _ in range(80)]
        for place in filter(lambda place: place < size, places):
            target = copied(path, tmp_path / "copy")
            flip(files_of(target)[index], place, chance.randrange(8))
            left.append(found_in(target))
    assert min(left) < len(ENTRIES), "no flip was of any consequence"
    assert max(left) == len(ENTRIES), "a flip costs what it hits"


@pytest.mark.parametrize("make", [filled, with_a_log])
def test_files_that_end_early_are_never_served(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    make(path)
    for index, name in enumerate(files_of(path)):
        size = name.stat().st_size if name.exists() else 0
        ends = {0, 1, 15, 16, 99, 100, PAGE - 1, PAGE, PAGE + 1, size // 2, size - PAGE, size - 1}
        for end in sorted(end for end in ends if 0 <= end < size):
            target = copied(path, tmp_path / "copy")
            os.truncate(files_of(target)[index], end)
            found_in(target)


def test_pages_of_noise_and_of_zeros_are_never_served(tmp_path: Path) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    filled(path)
    for page in range(path.stat().st_size // PAGE):
        for noise in (bytes(PAGE), random.Random(page).randbytes(PAGE)):
            target = copied(path, tmp_path / "copy")
            with target.open("r+b") as file:
                file.seek(page * PAGE)
                file.write(noise)
            found_in(target)


def test_the_file_of_another_block_or_chain_is_as_good_as_none(tmp_path: Path) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    filled(path)
    for other in (path_of(tmp_path, 2, 5, HASH), path_of(tmp_path, 1, 5, bytes(32))):
        other.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, other)
        assert found_in(other) == 0
    moved = path_of(tmp_path / "elsewhere", 1, 5, HASH)
    moved.parent.mkdir(parents=True)
    shutil.copyfile(path, moved)
    assert found_in(moved) == len(ENTRIES)


def test_entries_under_other_names_are_as_good_as_none(tmp_path: Path) -> None:
    """Moved to another name, to another table, and of another kind than bytes."""
    path = path_of(tmp_path, 1, 5, HASH)
    filled(path)
    one, two = (b"\0" * 51 + b"\1", b"\0" * 51 + b"\2")
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE slots SET value=(SELECT value FROM slots WHERE name=?) WHERE name=?", (one, two)
        )
        database.execute(
            "INSERT OR REPLACE INTO accounts SELECT name, value FROM slots WHERE name=?", (one,)
        )
        database.execute("UPDATE codes SET value='text'")
        database.execute("UPDATE answers SET value=NULL")
    database.close()
    cache = ForkCache(path)
    assert cache.get("slots", one) == ENTRIES["slots", one]
    assert cache.get("slots", two) is None
    assert cache.get("accounts", one) is None
    assert cache.get("codes", b"c" * 32) is None
    assert cache.get("answers", b"a" * 32) is None
    cache.put("slots", two, b"again")
    cache.flush()
    assert cache.get("slots", two) == b"again"
    cache.close()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE accounts (other TEXT)",
        "CREATE VIEW slots AS SELECT 1 AS name, 2 AS value",
        "PRAGMA user_version=7",
    ],
)
def test_a_database_of_somebody_else(made: str, tmp_path: Path) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute(made)
    database.close()
    assert found_in(path) == 0


def test_one_that_is_damaged_is_not_taken_from_others(tmp_path: Path) -> None:
    """Who opens it second goes on without; the first keeps what it can read."""
    path = path_of(tmp_path, 1, 5, HASH)
    filled(path)
    first = ForkCache(path)
    assert first.get("codes", b"c" * 32) == ENTRIES["codes", b"c" * 32]
    flip(path, 0, 0)
    inode = path.stat().st_ino
    assert found_in(path) in (0, len(ENTRIES))
    assert path.stat().st_ino == inode
    for (table, name), value in ENTRIES.items():
        assert first.get(table, name) in (None, value)
    first.close()
    assert found_in(path) in (0, len(ENTRIES))


def test_one_that_somebody_has_locked_is_left_alone(tmp_path: Path) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    filled(path)
    holder = sqlite3.connect(path)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("DELETE FROM codes")
    inode = path.stat().st_ino
    assert found_in(path) == 0
    holder.rollback()
    holder.close()
    assert path.stat().st_ino == inode
    assert found_in(path) == len(ENTRIES)


def test_a_disk_that_is_full_costs_what_is_new(tmp_path: Path) -> None:
    """Files of this process may not grow any more, which to SQLite is a disk that is full."""
    path = path_of(tmp_path, 1, 5, HASH)
    filled(path)
    script = f"""
import os, resource, signal
from pathlib import Path
from ghostchain.fork.cache import ForkCache
from tests.unit.test_fork_cache_damage import ENTRIES
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
cache = ForkCache(Path({str(path)!r}))
assert all(cache.get(table, name) == value for (table, name), value in ENTRIES.items())
for number in range(100):
    cache.put("codes", b"%d" % number, os.urandom(10_000))
cache.flush()
cache.put("slots", b"later", b"value")
cache.flush()
assert cache.get("codes", b"1") is None
cache.close()
"""
    finished = subprocess.run(
        [sys.executable, "-c", script], timeout=60, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert found_in(path) == len(ENTRIES)


def test_something_else_where_the_file_should_be(tmp_path: Path) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    path.mkdir(parents=True)
    assert found_in(path) == 0
    assert known_hashes(tmp_path, 1, 5) == [HASH]
    (path.parent / "5-nonsense.sqlite").write_bytes(b"")
    assert known_hashes(tmp_path, 1, 5) == [HASH]
    other = path_of(tmp_path / "file", 1, 5, HASH)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        ForkCache(other)
    path.with_suffix(".lock").unlink()
    path.with_suffix(".lock").mkdir()
    with pytest.raises(OSError, match="lock"):
        ForkCache(path)


def test_whoever_waits_for_a_file_that_is_deleted_has_the_new_one(tmp_path: Path) -> None:
    """Its claim is on the lock that others see, not on one that was deleted with the file."""
    path = path_of(tmp_path, 1, 5, HASH)
    filled(path)
    assert shrink(tmp_path, bytes_max=0) == [path]
    used = ForkCache(path)
    assert shrink(tmp_path, bytes_max=0) == []
    used.put("slots", b"key", b"value")
    used.close()
    assert shrink(tmp_path, bytes_max=0) == [path]
