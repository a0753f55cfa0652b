"""Drivers and cores together, on a virtual clock: alone, as four, and with one silent."""

from __future__ import annotations

import pytest

from tests.unit.consensus_cluster import MILLISECOND, SECOND, Cluster


def test_a_lone_validator_decides_at_once() -> None:
    """No timeout is waited for, and a block follows after the interval."""
    cluster = Cluster([5])
    cluster.start()
    assert cluster.nodes[0].height == 1
    cluster.run_to(20, [0], limit_ns=2 * SECOND)
    assert cluster.world.now_ns() == 19 * 50 * MILLISECOND
    assert not cluster.nodes[0].notebook.failures


def test_four_validators_finalise_twenty_heights() -> None:
    cluster = Cluster([1, 1, 1, 1])
    cluster.start()
    cluster.run_to(20, range(4), limit_ns=2 * SECOND)
    assert all(not node.notebook.failures for node in cluster.nodes)
    assert all(not node.punished for node in cluster.nodes)
    assert all(
        len(set(certificate.signers)) >= 3 for _, certificate in cluster.nodes[0].chain.blocks
    )


@pytest.mark.parametrize("silent", range(4))
def test_three_of_four_finalise_without_the_silent_one(silent: int) -> None:
    cluster = Cluster([1, 1, 1, 1])
    others = [index for index in range(4) if index != silent]
    cluster.start(others)
    cluster.run_to(20, others, limit_ns=60 * SECOND)


def test_two_of_four_finalise_nothing() -> None:
    cluster = Cluster([1, 1, 1, 1])
    cluster.start([0, 1])
    cluster.world.run_for(30 * SECOND)
    assert [node.height for node in cluster.nodes] == [0, 0, 0, 0]
