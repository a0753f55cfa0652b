"""The state root after a block, and roots of lists, beside py-trie (the Ethereum Foundation's trie
in Python, from PyPI as `trie`).

The peer inserts the same leaves one by one, on fewer of them, since it takes that much longer;
`ratio` compares times for each leaf. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import rlp
from trie import HexaryTrie

from ghostchain._native import ffi, lib
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT
from ghostchain.state.changes import ACCOUNT_CHANGES
from ghostchain.trie.merkle import ChangeSet, Forest, ordered_root

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
ACCOUNTS = 1_000_000 if FULL else 20_000
ROUNDS = 9 if FULL else 2
PEER_COUNT = 2_000 if FULL else 200


def change_set(places: Any, nonce: int) -> ChangeSet:
    """Plain accounts at these places of the trie."""
    order = np.lexsort(tuple(places[:, i] for i in range(31, -1, -1)))
    changes = np.zeros(len(places), ACCOUNT_CHANGES)
    changes["hashed"] = places[order]
    changes["exists"] = 1
    changes["after"]["nonce"] = nonce
    changes["after"]["balance"][:, 24:] = changes["hashed"][:, :8]
    changes["after"]["code_hash"] = np.frombuffer(EMPTY_CODE_HASH, np.uint8)
    assert ACCOUNT_CHANGES.itemsize == ffi.sizeof("ghost_account_change")
    return ChangeSet(
        accounts=ffi.cast("ghost_account_change *", ffi.from_buffer(changes)),
        account_count=len(places),
        slots=ffi.NULL,
        slot_count=0,
        owner=changes,
    )


def leaf_of(place: bytes, nonce: int) -> bytes:
    balance = int.from_bytes(place[:8], "big")
    return rlp.encode([nonce, balance, bytes(EMPTY_ROOT), bytes(EMPTY_CODE_HASH)])


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peer_root(places: list[bytes], nonce: int) -> bytes:
    trie = HexaryTrie({}, prune=True)
    for place in places:
        trie[place] = leaf_of(place, nonce)
    return bytes(trie.root_hash)


def write_count(forest: Forest) -> int:
    count = ffi.new("size_t *")
    lib.ghost_forest_writes(forest._forest, count)
    return int(count[0])


@pytest.fixture(scope="module")
def state() -> tuple[Forest, Any]:
    """A forest of ACCOUNTS accounts, all in memory, and their places."""
    chance = np.random.default_rng(7)
    places = chance.integers(0, 256, (ACCOUNTS, 32), dtype=np.uint8)
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, 1 << 30)
    forest.apply(change_set(places, 1))
    forest.commit()
    return forest, places


@pytest.fixture(scope="module")
def peer_seconds_each() -> float:
    """What the peer takes for a leaf in a trie that is as small as PEER_COUNT."""
    chance = np.random.default_rng(8)
    places = [bytes(p) for p in chance.integers(0, 256, (PEER_COUNT, 32), dtype=np.uint8)]
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, 1 << 30)
    expected = forest.apply(change_set(np.array([list(p) for p in places], np.uint8), 3))
    start = time.perf_counter()
    assert peer_root(places, 3) == expected
    return (time.perf_counter() - start) / PEER_COUNT


@pytest.mark.parametrize("changed", [2_000, 100_000])
def test_update(
    benchmark, state: tuple[Forest, Any], peer_seconds_each: float, changed: int
) -> None:
    """A block that changes so many accounts of a state that is in memory: structure, hashes and
    node writes."""
    forest, places = state
    changed = min(changed, ACCOUNTS // 4)
    chance = np.random.default_rng(changed)
    roots, times, processor_times, writes = [], [], [], 0

    def block() -> tuple[tuple[ChangeSet], dict[str, Any]]:
        forest.commit()
        picked = places[chance.choice(ACCOUNTS, changed, replace=False)]
        return (change_set(picked, 2 + len(roots)),), {}

    def apply(changes: ChangeSet) -> None:
        nonlocal writes
        processor, start = time.process_time(), time.perf_counter()
        roots.append(forest.apply(changes))
        times.append(time.perf_counter() - start)
        processor_times.append(time.process_time() - processor)
        writes = write_count(forest)

    benchmark.pedantic(apply, setup=block, rounds=ROUNDS)
    encoding = seconds(forest.encoded_writes)
    forest.commit()
    benchmark.extra_info.update(
        peer="py-trie",
        accounts=ACCOUNTS,
        changed=changed,
        node_writes=writes,
        milliseconds=round(min(times) * 1e3, 3),
        processor_milliseconds=round(min(processor_times) * 1e3, 3),
        encoded_writes_milliseconds=round(encoding * 1e3, 3),
        memory_mib=round(forest.memory / 2**20, 1),
        peer_microseconds_each=round(peer_seconds_each * 1e6, 1),
        ratio=round(peer_seconds_each * changed / min(times), 1),
        result=hashlib.sha256(b"".join(roots)).hexdigest()[:16],
    )


def test_insert_all(benchmark, peer_seconds_each: float) -> None:
    """A state from nothing, as genesis makes it, and its discard."""
    chance = np.random.default_rng(9)
    places = chance.integers(0, 256, (ACCOUNTS, 32), dtype=np.uint8)
    changes = change_set(places, 1)
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, 1 << 30)
    times = []
    start = time.perf_counter()
    root = benchmark.pedantic(forest.apply, args=(changes,), rounds=1)
    times.append(time.perf_counter() - start)
    discard = seconds(forest.discard)
    benchmark.extra_info.update(
        peer="py-trie",
        accounts=ACCOUNTS,
        milliseconds=round(times[0] * 1e3, 1),
        discard_milliseconds=round(discard * 1e3, 3),
        ratio=round(peer_seconds_each * ACCOUNTS / times[0], 1),
        result=hashlib.sha256(root).hexdigest()[:16],
    )


def test_ordered_root(benchmark) -> None:
    """The transactions root of a block of transfers."""
    chance = np.random.default_rng(10)
    count = 10_000 if FULL else 200
    items = [chance.bytes(112) for _ in range(count)]
    root = benchmark.pedantic(ordered_root, args=(items,), rounds=ROUNDS, warmup_rounds=1)
    own = min(seconds(lambda: ordered_root(items)) for _ in range(ROUNDS))

    def peer() -> None:
        trie = HexaryTrie({}, prune=True)
        for index, item in enumerate(items):
            trie[rlp.encode(index)] = item
        assert trie.root_hash == root

    other = seconds(peer)
    benchmark.extra_info.update(
        peer="py-trie",
        items=count,
        milliseconds=round(own * 1e3, 3),
        peer_milliseconds=round(other * 1e3, 1),
        ratio=round(other / own, 1),
        result=hashlib.sha256(root).hexdigest()[:16],
    )
