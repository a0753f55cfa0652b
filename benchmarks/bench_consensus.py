"""What deciding one height costs one validator: processor time of driver, core and log records,
with every message encoded once for each hearer and decoded by it, as between processes. Signatures
cost next to nothing here (a keyed hash); how many of them a height verifies is counted beside, and
what one costs is measured in bench_ed25519.py.

All validators run in this process, on virtual time, without loss: the figure is the time of all of
them divided by their number. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import pytest

from ghostchain.consensus.certificates import SignatureItem
from tests.unit import consensus_cluster
from tests.unit.consensus_cluster import SECOND, Cluster

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
HEIGHTS = {4: 400, 10: 120, 31: 24, 100: 6} if FULL else {4: 20, 10: 6, 31: 2, 100: 1}
MILLISECONDS_MAX = {4: 3.0, 100: 60.0}
"""Bars, of one height and node."""


@pytest.mark.parametrize("validators", list(HEIGHTS))
def test_height(benchmark: Any, monkeypatch: pytest.MonkeyPatch, validators: int) -> None:
    verified = [0]
    verify = consensus_cluster.verify

    def counted(items: Sequence[SignatureItem]) -> list[bool]:
        verified[0] += len(items)
        return verify(items)

    monkeypatch.setattr(consensus_cluster, "verify", counted)
    cluster = Cluster([1] * validators)
    heights = HEIGHTS[validators]
    spent = []

    def decide() -> None:
        start = time.process_time()
        cluster.start()
        cluster.run_to(heights, range(validators), limit_ns=600 * SECOND)
        spent.append(time.process_time() - start)

    benchmark.pedantic(decide, rounds=1, iterations=1)
    milliseconds = spent[0] / heights / validators * 1e3
    benchmark.extra_info.update(
        validators=validators,
        milliseconds=round(milliseconds, 2),
        signatures=round(verified[0] / heights / validators, 1),
        result=cluster.nodes[0].chain.blocks[0][0].hex()[:16],
    )
    assert not any(node.notebook.failures for node in cluster.nodes)
    assert milliseconds < MILLISECONDS_MAX.get(validators, float("inf"))
