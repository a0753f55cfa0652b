"""When a block is due: the three policies, on a clock of the test's own."""

from __future__ import annotations

import pytest

from ghostchain.node.sealing import HEARTBEAT, INSTANT, NANOSECONDS, Sealing, every


def seal(sealing: Sealing, *, now_ns: int, more_waits: bool = False) -> None:
    sealing.on_started()
    sealing.on_sealed(now_ns=now_ns, more_waits=more_waits)


def test_instant_waits_for_a_transaction() -> None:
    sealing = Sealing(INSTANT, now_ns=0)
    assert sealing.deadline_ns() is None
    sealing.on_pending(now_ns=5)
    assert sealing.deadline_ns() == 5
    seal(sealing, now_ns=9)
    assert sealing.deadline_ns() is None


def test_what_comes_while_a_block_is_made_is_not_forgotten() -> None:
    """A transaction that arrives during a seal makes the next block due at once."""
    sealing = Sealing(INSTANT, now_ns=0)
    sealing.on_pending(now_ns=1)
    sealing.on_started()
    sealing.on_pending(now_ns=2)
    sealing.on_sealed(now_ns=3, more_waits=False)
    assert sealing.deadline_ns() == 2


def test_what_did_not_fit_makes_another_block_due() -> None:
    sealing = Sealing(INSTANT, now_ns=0)
    sealing.on_pending(now_ns=1)
    seal(sealing, now_ns=4, more_waits=True)
    assert sealing.deadline_ns() == 4


def test_heartbeat_comes_without_transactions() -> None:
    sealing = Sealing(HEARTBEAT, now_ns=0)
    assert sealing.deadline_ns() == 6 * NANOSECONDS
    sealing.on_pending(now_ns=NANOSECONDS)
    assert sealing.deadline_ns() == NANOSECONDS
    seal(sealing, now_ns=2 * NANOSECONDS)
    assert sealing.deadline_ns() == 8 * NANOSECONDS


def test_fixed_pace_does_not_drift_nor_rush() -> None:
    """Blocks stay on the beat; after a long pause the beat starts anew."""
    sealing = Sealing(every(2), now_ns=0)
    sealing.on_pending(now_ns=1)
    assert sealing.deadline_ns() == 2 * NANOSECONDS
    seal(sealing, now_ns=2 * NANOSECONDS + 300)
    assert sealing.deadline_ns() == 4 * NANOSECONDS
    seal(sealing, now_ns=11 * NANOSECONDS)
    assert sealing.deadline_ns() == 13 * NANOSECONDS


def test_block_time_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        every(0)


def test_only_the_clock_asks_for_empty_blocks() -> None:
    """What waits may pay too little for the next block: that is no reason for an empty one."""
    assert not Sealing(INSTANT, now_ns=0).paces(now_ns=10**18)
    sealing = Sealing(HEARTBEAT, now_ns=0)
    sealing.on_pending(now_ns=1)
    assert not sealing.paces(now_ns=1)
    assert sealing.paces(now_ns=6 * NANOSECONDS)
