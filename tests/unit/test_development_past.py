"""Bounds of what snapshots keep, over a chain and a pool in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import network
from ghostchain.node.accounts import sender_states
from ghostchain.node.backend import pool_rules
from ghostchain.node.development import past as module
from ghostchain.node.development.diary import Diary
from ghostchain.node.development.past import Past
from ghostchain.node.development.settings import ChainSettings
from ghostchain.rpc.development import Impossible
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.journal import Journal
from tests.unit.test_node_sealer import raw

NOW_S = 1_900_000_000


class World:
    """A development chain without blocks, its pool and its past."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chain.open(folder / "data", network("dev"), is_durable=False)
        self.pool = PoolDriver(
            Pool(),
            Journal(folder / "pool.journal", durable=False),
            rules=lambda: pool_rules(self.chain, self.chain.next_environment()),
            accounts=lambda who: sender_states(self.chain.state_at(self.chain.head.number), who),
        )
        self.pool.restore()
        self.past = Past(self.chain, self.pool, Diary(None))

    def take(self) -> int:
        return self.past.take(ChainSettings(), now_s=NOW_S)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.pool.close()
    made.chain.close()


def test_the_oldest_snapshots_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SNAPSHOTS_MAX", 3)
    taken = [world.take() for _ in range(5)]
    assert list(world.past.snapshots()) == taken[2:]
    assert world.past.revert(taken[0], now_s=NOW_S) is None
    assert world.past.revert(taken[2], now_s=NOW_S) == ChainSettings()


def test_snapshots_of_a_full_pool_crowd_out_the_oldest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = raw(0)
    assert world.pool.submit([one])[0].refusal is None
    monkeypatch.setattr(module, "ALL_WAITING_BYTES_MAX", 2 * len(one))
    taken = [world.take() for _ in range(4)]
    assert list(world.past.snapshots()) == taken[2:]


def test_a_pool_too_full_is_mined_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.pool.submit([raw(0)])[0].refusal is None
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 10)
    with pytest.raises(Impossible, match="mined first"):
        world.take()
    assert not world.past.snapshots()
    # Beginning anew needs nothing of the pool.
    world.past.reset(now_s=NOW_S)
    assert len(world.pool.pool) == 0
