"""What a fork keeps on disk: there after a kill, for several processes, within its bounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ghostchain.fork.cache import ForkCache, known_hashes, path_of, shrink, size_of

HASH = bytes(range(32))


def test_what_was_put_is_there_again(tmp_path: Path) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    cache = ForkCache(path)
    cache.put("slots", b"key", b"value")
    cache.put("accounts", b"key", b"")
    assert cache.get("slots", b"key") == b"value"
    assert cache.get("accounts", b"key") == b""
    assert cache.get("codes", b"key") is None
    cache.close()
    again = ForkCache(path)
    assert again.get("slots", b"key") == b"value"
    assert again.get("accounts", b"key") == b""
    again.close()
    assert known_hashes(tmp_path, 1, 5) == [HASH]


def test_two_at_once_see_each_other(tmp_path: Path) -> None:
    path = path_of(tmp_path, 1, 5, HASH)
    first, second = ForkCache(path), ForkCache(path)
    for number in range(2_500):
        first.put("slots", number.to_bytes(4, "big"), b"a")
        second.put("slots", b"b" + number.to_bytes(4, "big"), b"b")
    first.flush()
    second.flush()
    assert first.count("slots") == second.count("slots") == 5_000
    first.close()
    second.close()


def test_a_kill_leaves_a_cache_that_is_whole(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from ghostchain.fork.cache import ForkCache
cache = ForkCache(Path({str(tmp_path / "a.sqlite")!r}))
number = 0
while True:
    cache.put("slots", number.to_bytes(8, "big"), number.to_bytes(32, "big"))
    number += 1
    if number == 5000:
        print("going", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    reader = ForkCache(tmp_path / "a.sqlite")
    deadline = time.monotonic() + 30
    while not reader.count("slots") and time.monotonic() < deadline:
        time.sleep(0.02)
    reader.close()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    cache = ForkCache(tmp_path / "a.sqlite")
    count = cache.count("slots")
    assert count > 0
    for number in range(0, count, 97):
        assert cache.get("slots", number.to_bytes(8, "big")) in (None, number.to_bytes(32, "big"))
    cache.close()


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"this is no database at all" * 500)
    cache = ForkCache(path)
    cache.put("slots", b"key", b"value")
    cache.flush()
    assert cache.count("slots") == 1
    cache.close()


def test_a_full_file_takes_no_more(tmp_path: Path) -> None:
    cache = ForkCache(tmp_path / "a.sqlite", bytes_max=300_000)
    for number in range(400):
        cache.put("codes", number.to_bytes(4, "big"), os.urandom(10_000))
        if number % 20 == 0:
            cache.flush()
    cache.flush()
    assert size_of(tmp_path / "a.sqlite") < 2_000_000
    cache.close()


def test_the_oldest_files_make_room_and_used_ones_stay(tmp_path: Path) -> None:
    paths = [path_of(tmp_path, 1, number, HASH) for number in range(4)]
    for age, path in enumerate(paths):
        cache = ForkCache(path)
        cache.put("codes", b"key", os.urandom(100_000))
        cache.close()
        os.utime(path, (1_000 + age, 1_000 + age))
    old = tmp_path / "v0" / "1" / "1-00.sqlite"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"another format")
    used = ForkCache(paths[0])
    os.utime(paths[0], (1_000, 1_000))
    deleted = shrink(tmp_path, bytes_max=size_of(paths[0]) * 2 + 50_000)
    assert deleted == [old, paths[1], paths[2]]
    assert paths[0].exists()
    assert paths[3].exists()
    used.close()
