"""Buckets and the gate: how much is let in, of whom, and that their tables are bounded."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from ghostchain.net.limits import (
    SECOND_NS,
    Gate,
    GateLimits,
    TokenBucket,
    Verdict,
    is_loopback,
    prefix_of,
)

LIMITS = GateLimits(
    connections_max=20,
    inbound_max=15,
    half_open_max=10,
    half_open_for_retry=5,
    per_prefix_max=4,
    handshakes_per_second=10,
    handshakes_burst=20,
    prefix_handshakes_per_second=1,
    prefix_handshakes_burst=3,
    retries_per_second=50,
    prefixes_max=16,
)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 5, 0)
    assert [bucket.take_whole(1, 0) for _ in range(6)] == [True] * 5 + [False]
    assert not bucket.take_whole(1, SECOND_NS // 10 - 1)
    assert bucket.take_whole(1, SECOND_NS // 10)
    # Never more than the burst, however long it was quiet.
    assert [bucket.take_whole(1, 100 * SECOND_NS) for _ in range(6)] == [True] * 5 + [False]


def test_what_is_larger_than_the_rest_is_paid_off_before_the_next() -> None:
    bucket = TokenBucket(100, 50, 0)
    assert bucket.take(250, 0)
    assert not bucket.take(1, 0)
    assert bucket.wait_ns(0) == 2 * SECOND_NS + 1
    assert not bucket.take(1, 2 * SECOND_NS)
    assert bucket.take(1, 2 * SECOND_NS + SECOND_NS // 100)


@pytest.mark.parametrize("seed", range(20))
def test_a_bucket_never_exceeds_its_rate(seed: int) -> None:
    """In any span, no more than the burst, the rate times the span, and one last taking."""
    chance = Random(seed)
    rate, burst = chance.randint(1, 1_000), chance.randint(1, 1_000)
    bucket = TokenBucket(rate, burst, 0)
    now_ns = taken = 0
    largest = 0
    for _ in range(500):
        now_ns += chance.randrange(SECOND_NS // 50)
        count = chance.randint(1, 2 * burst)
        if bucket.take(count, now_ns):
            taken += count
            largest = max(largest, count)
        assert taken <= burst + rate * now_ns / SECOND_NS + largest
        # After the wait that it names, it gives.
        again = TokenBucket(rate, burst, 0)
        again._level, again._filled_ns = bucket._level, bucket._filled_ns
        assert again.take(1, now_ns + bucket.wait_ns(now_ns))


@pytest.mark.parametrize(
    ("host", "same", "other"),
    [
        ("10.1.2.3", "::ffff:10.1.2.3", "10.1.2.4"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ("fe80::1%eth0", "fe80::2", "fe81::1"),
    ],
)
def test_one_place_is_one_prefix(host: str, same: str, other: str) -> None:
    assert prefix_of(host) == prefix_of(same) != prefix_of(other)


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("10.0.0.1", "::2", "::ffff:10.0.0.1")))


def gate(**changes: int) -> Gate:
    return Gate(replace(LIMITS, **changes), 0)  # type: ignore[arg-type]


def admit(gate: Gate, host: str, *, has_token: bool = False, now_ns: int = 0) -> Verdict:
    verdict = gate.judge(host, has_token=has_token, now_ns=now_ns)
    if verdict is Verdict.ACCEPT:
        gate.opened(host, inbound=True, now_ns=now_ns)
    return verdict


def test_a_prefix_must_prove_itself_and_then_wait() -> None:
    """Its unproven burst, then Retry; its proven burst, then nothing."""
    door = gate(per_prefix_max=100, half_open_for_retry=100)
    assert [admit(door, "10.0.0.1") for _ in range(4)] == [Verdict.ACCEPT] * 3 + [Verdict.RETRY]
    tokens = [admit(door, "10.0.0.1", has_token=True) for _ in range(4)]
    assert tokens == [Verdict.ACCEPT] * 3 + [Verdict.DROP_PREFIX_RATE]
    assert admit(door, "10.0.0.2") is Verdict.ACCEPT
    assert admit(door, "10.0.0.1", has_token=True, now_ns=SECOND_NS) is Verdict.ACCEPT


def test_forged_addresses_do_not_lock_out_their_owner() -> None:
    """Whoever floods in the name of an address spends its unproven bucket only."""
    door = gate()
    for _ in range(1_000):
        admit(door, "10.0.0.1")
    assert admit(door, "10.0.0.1", has_token=True, now_ns=SECOND_NS) is Verdict.ACCEPT


def test_many_unfinished_handshakes_make_all_prove_themselves() -> None:
    door = gate()
    for index in range(5):
        assert admit(door, f"10.0.1.{index}") is Verdict.ACCEPT
    assert admit(door, "10.0.2.1") is Verdict.RETRY
    assert admit(door, "10.0.2.1", has_token=True) is Verdict.ACCEPT
    door.established(inbound=True)
    door.established(inbound=True)
    assert admit(door, "10.0.2.2") is Verdict.ACCEPT


def test_caps_hold() -> None:
    door = gate(half_open_for_retry=100, prefix_handshakes_burst=100, handshakes_burst=100)
    for _ in range(4):
        assert admit(door, "10.0.0.1") is Verdict.ACCEPT
    assert admit(door, "10.0.0.1", has_token=True) is Verdict.DROP_PREFIX_FULL
    for index in range(6):
        assert admit(door, f"10.0.1.{index}") is Verdict.ACCEPT
    assert admit(door, "10.0.2.1", has_token=True) is Verdict.DROP_HALF_OPEN
    for _ in range(10):
        door.established(inbound=True)
    for index in range(5):
        assert admit(door, f"10.0.3.{index}") is Verdict.ACCEPT
    assert admit(door, "10.0.4.1", has_token=True) is Verdict.DROP_FULL
    door.closed("10.0.0.1", inbound=True, was_established=True)
    assert admit(door, "10.0.0.1") is Verdict.ACCEPT


def test_outbound_connections_count_in_the_total() -> None:
    door = gate()
    for _ in range(20):
        door.opened("10.9.9.9", inbound=False, now_ns=0)
    assert admit(door, "10.0.0.1") is Verdict.DROP_FULL
    door.closed("10.9.9.9", inbound=False, was_established=False)
    assert admit(door, "10.0.0.1") is Verdict.ACCEPT


def test_the_whole_node_has_a_rate() -> None:
    door = gate(
        half_open_for_retry=100,
        half_open_max=100,
        inbound_max=100,
        connections_max=100,
        prefixes_max=200,
    )
    verdicts = [admit(door, f"10.0.{index}.1") for index in range(25)]
    assert verdicts == [Verdict.ACCEPT] * 20 + [Verdict.DROP_RATE] * 5


def test_asking_for_proof_has_a_rate_too() -> None:
    door = gate(half_open_for_retry=0)
    verdicts = [admit(door, f"10.0.{index}.1") for index in range(60)]
    assert verdicts == [Verdict.RETRY] * 50 + [Verdict.DROP_RETRY_RATE] * 10


def test_loopback_may_be_spared() -> None:
    """A devnet of many nodes on one machine is no flood."""
    door = gate(per_prefix_max=1, half_open_for_retry=0)
    assert [admit(door, "127.0.0.1") for _ in range(5)] == [Verdict.ACCEPT] * 5
    assert [admit(door, "::1") for _ in range(5)] == [Verdict.ACCEPT] * 5
    strict = gate(spare_loopback=False, half_open_for_retry=0)
    assert admit(strict, "127.0.0.1") is Verdict.RETRY


@pytest.mark.parametrize("seed", range(10))
def test_the_table_of_prefixes_is_bounded_and_counts_stay_right(seed: int) -> None:
    """However many addresses come and go, and those with connections are never forgotten."""
    chance = Random(seed)
    door = gate(handshakes_burst=1_000_000_000, half_open_for_retry=1_000_000_000)
    alive: list[tuple[str, bool]] = []
    now_ns = 0
    for _ in range(3_000):
        now_ns += chance.randrange(SECOND_NS // 10)
        host = f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
        if admit(door, host, has_token=chance.random() < 0.5, now_ns=now_ns) is Verdict.ACCEPT:
            alive.append((host, False))
        if alive and chance.random() < 0.4:
            index = chance.randrange(len(alive))
            host, was_established = alive.pop(index)
            if not was_established and chance.random() < 0.5:
                door.established(inbound=True)
                alive.append((host, True))
            else:
                door.closed(host, inbound=True, was_established=was_established)
        assert door.prefixes <= 16
        assert door.inbound == len(alive)
        assert door.half_open == sum(not established for _, established in alive)
