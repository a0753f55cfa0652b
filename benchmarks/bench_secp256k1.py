"""Senders recovered in a batch, beside a loop over libsecp256k1 (coincurve) on the same cores.

The peer is measured twice, in one thread and in one thread for each core (coincurve releases the
interpreter lock inside the library); `ratio` is against the better of the two. Runs small unless
GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import coincurve
import pytest

from ghostchain.crypto import secp256k1

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 5_000 if FULL else 500
ROUNDS = 12 if FULL else 2
CORES = os.cpu_count() or 1

Item = tuple[bytes, int, int, int]


def signatures(count: int) -> list[Item]:
    chance = random.Random(count)
    items = []
    for _ in range(count):
        digest = chance.randbytes(32)
        private_key = chance.randrange(1, secp256k1.GROUP_ORDER).to_bytes(32)
        items.append((digest, *secp256k1.sign(digest, private_key)))
    return items


def peer_keys(prepared: list[tuple[bytes, bytes]]) -> list[bytes]:
    recover = coincurve.PublicKey.from_signature_and_message
    return [
        recover(signature, digest, hasher=None).format(compressed=False)[1:]
        for signature, digest in prepared
    ]


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


@pytest.mark.parametrize("threads", [1, CORES])
@pytest.mark.parametrize("level", [0, 1], ids=["portable", "ifma"])
def test_recover_batch(benchmark, level: int, threads: int) -> None:
    """Recovers every signer, on each level, in one thread and on all cores."""
    if secp256k1.set_level(level) != level:
        pytest.skip("this CPU has no AVX-512 IFMA")
    items = signatures(COUNT)
    prepared = [
        (r.to_bytes(32) + s.to_bytes(32) + bytes([y_parity]), digest)
        for digest, r, s, y_parity in items
    ]
    shares = [prepared[i * COUNT // CORES : (i + 1) * COUNT // CORES] for i in range(CORES)]

    def run() -> list[bytes | None]:
        return secp256k1.recover_public_keys(items, threads=threads)

    pool = ThreadPoolExecutor(CORES)
    try:
        keys = benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
        own, alone, together = best_seconds(
            [run, lambda: peer_keys(prepared), lambda: list(pool.map(peer_keys, shares))]
        )
    finally:
        pool.shutdown()
        secp256k1.set_level(99)
    assert keys == peer_keys(prepared)
    benchmark.extra_info.update(
        signatures=COUNT,
        microseconds_each=round(own / COUNT * 1e6, 3),
        peer_one_thread_microseconds_each=round(alone / COUNT * 1e6, 3),
        peer_all_cores_microseconds_each=round(together / COUNT * 1e6, 3),
        ratio_to_one_thread=round(alone / own, 2),
        ratio_to_all_cores=round(together / own, 2),
        ratio=round(min(alone, together) / own, 2),
        result=hashlib.sha256(b"".join(key or b"" for key in keys)).hexdigest()[:16],
    )
