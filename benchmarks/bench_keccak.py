"""Batches of short messages hashed through the door, beside a loop over pycryptodome.

`ratio` is pycryptodome's time by ours, for messages that are Python bytes and digests that become
Python bytes; `kernel_ratio` leaves that conversion out on our side, as native callers do. Runs
small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable

import pytest
from Crypto.Hash import keccak as pycryptodome_keccak

from ghostchain._native import ffi, lib
from ghostchain.crypto import keccak

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 50_000 if FULL else 2_000
ROUNDS = 7 if FULL else 2

LENGTHS = {
    "address": [20],
    "slot": [32],
    "mapping": [64],
    "transaction": [110, 115, 120, 180, 250],
    "node": [532, 532, 110, 83],
}


def seconds(run: Callable[[], object]) -> float:
    """The best of a few runs, so that neither side pays for a neighbour's noise."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def kernel_seconds(messages: list[bytes]) -> float:
    ends = [0]
    for message in messages:
        ends.append(ends[-1] + len(message))
    sizes = ffi.new("size_t[]", ends)
    joined = ffi.from_buffer(b"".join(messages))
    digests = ffi.new("uint8_t[]", 32 * len(messages))
    return seconds(lambda: lib.ghost_keccak256_batch(digests, joined, sizes, len(messages)))


def peer_digests(messages: list[bytes]) -> list[bytes]:
    new = pycryptodome_keccak.new
    return [new(digest_bits=256, data=message).digest() for message in messages]


@pytest.mark.parametrize("level", [0, 1, 2], ids=["portable", "avx2", "avx512"])
@pytest.mark.parametrize("kind", LENGTHS)
def test_batch(benchmark, kind: str, level: int) -> None:
    """Every level, for what a chain hashes most."""
    before = keccak.level()
    if keccak.set_level(level) != level:
        keccak.set_level(before)
        pytest.skip("this CPU has no such level")
    chance = random.Random(kind)
    messages = [chance.randbytes(chance.choice(LENGTHS[kind])) for _ in range(COUNT)]
    try:
        digests = benchmark.pedantic(
            keccak.keccak256_batch, args=(messages,), rounds=ROUNDS, warmup_rounds=1
        )
        own = seconds(lambda: keccak.keccak256_batch(messages))
        kernel = kernel_seconds(messages)
    finally:
        keccak.set_level(before)
    assert digests == peer_digests(messages)
    peer = seconds(lambda: peer_digests(messages))
    benchmark.extra_info.update(
        peer="pycryptodome",
        messages=COUNT,
        nanoseconds_each=round(own / COUNT * 1e9, 1),
        kernel_nanoseconds_each=round(kernel / COUNT * 1e9, 1),
        peer_nanoseconds_each=round(peer / COUNT * 1e9, 1),
        kernel_ratio=round(peer / kernel, 1),
        ratio=round(peer / own, 1),
        result=hashlib.sha256(b"".join(digests)).hexdigest()[:16],
    )
