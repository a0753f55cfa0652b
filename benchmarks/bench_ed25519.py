"""Votes verified in a batch, beside libsodium one by one.

`ratio` is against libsodium's own verification alone, `ratio_to_the_same_rule` against `verify`,
which asks libsodium also whether R has prime order, as the batch does. Runs small unless
GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable

import pytest
from nacl.bindings import crypto_sign_open

from ghostchain.crypto import ed25519

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
ROUNDS = 200 if FULL else 3

Item = tuple[bytes, bytes, bytes]


def votes(count: int) -> list[Item]:
    """Of as many validators, 73 bytes each."""
    chance = random.Random(count)
    items = []
    for _ in range(count):
        seed, message = chance.randbytes(32), chance.randbytes(73)
        items.append((ed25519.public_key_of(seed), message, ed25519.sign(seed, message)))
    return items


def best_seconds(runs: list[Callable[[], object]]) -> list[float]:
    """The best of a few turns of each, taken in alternation so that a neighbour's noise falls on
    all alike."""
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


@pytest.mark.parametrize("bad", [0, 1, 67], ids=["good", "one-bad", "all-bad"])
@pytest.mark.parametrize("count", [3, 67])
@pytest.mark.parametrize("level", [0, 1], ids=["portable", "ifma"])
def test_verify_batch(benchmark, level: int, count: int, bad: int) -> None:
    """A quorum of 4 and of 100 validators; with a vote that does not hold, or none that does."""
    if ed25519.set_level(level) != level:
        pytest.skip("this CPU has no AVX-512 IFMA")
    items = votes(count)
    opened = [(signature + message, key) for key, message, signature in items]
    items = [
        (key, message + b"\0" * (place < bad), signature)
        for place, (key, message, signature) in enumerate(items)
    ]

    def run() -> list[bool]:
        return ed25519.verify_batch(items)

    try:
        held = benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
        own, alone, strict = best_seconds(
            [
                run,
                lambda: [crypto_sign_open(*each) for each in opened],
                lambda: [ed25519.verify(*item) for item in items],
            ]
        )
    finally:
        ed25519.set_level(99)
    assert held == [place >= bad for place in range(count)]
    benchmark.extra_info.update(
        signatures=count,
        microseconds_each=round(own / count * 1e6, 2),
        peer_microseconds_each=round(alone / count * 1e6, 2),
        same_rule_microseconds_each=round(strict / count * 1e6, 2),
        peer="libsodium, one by one",
        ratio=round(alone / own, 2),
        ratio_to_the_same_rule=round(strict / own, 2),
        result=hashlib.sha256(bytes(held)).hexdigest()[:16],
    )
