"""What the pool is told of the next block is what that block's environment shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import network
from ghostchain.execution.forks import Fork
from ghostchain.node.backend import NodeBackend, pool_rules
from ghostchain.primitives.leniency import Leniency
from tests.unit.test_chain import build

DEV = network("dev")
START = DEV.header.timestamp
CONFIGS = {
    "as it is": DEV.config,
    "Cancun": replace(DEV.config, forks=((0, Fork.CANCUN),)),
    "forks to come": replace(
        DEV.config, forks=((0, Fork.CANCUN), (START + 3, Fork.PRAGUE), (START + 5, Fork.OSAKA))
    ),
    "no hybrid": replace(DEV.config, hybrid_time=None),
    "its own gas cap": replace(DEV.config, transaction_gas_max=1 << 40),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_rules_and_fees(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every block, across forks, for another chain id and for code of any size."""
    chain = Chain.open(tmp_path, DEV)
    backend = NodeBackend(chain, "test", ThreadPoolExecutor(1))
    seen = set()
    try:
        for number in range(8):
            config = replace(CONFIGS[name], leniency=Leniency(number), chain_ids=((5, 77),))
            monkeypatch.setattr(chain, "config", config)
            for now in (0, chain.head.timestamp, chain.head.timestamp + 4):
                monkeypatch.setattr("time.time", lambda now=now: now)
                rules = backend.next_rules()
                assert rules == pool_rules(chain, backend.next_environment())
                seen.add(rules)
            assert chain.next_fees() == chain.fees_in(chain.next_environment())
            monkeypatch.setattr(chain, "config", DEV.config)
            build(chain, [])
    finally:
        chain.close()
    assert {31337, 77} == {rules.chain_id for rules in seen}
