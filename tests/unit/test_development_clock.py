"""The clock of a development chain, against the rules that anvil's users know."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ghostchain.chain.networks import network
from ghostchain.node.development.clock import after_block, next_timestamp, set_to
from ghostchain.node.development.settings import ChainSettings, NodeSettings
from ghostchain.primitives.types import Address, Hash32

HEADER = network("dev").header
times = st.integers(0, 1 << 40)


@given(parent=times, now=times, offset=st.integers(-(1 << 40), 1 << 40))
def test_left_alone_each_block_is_younger_than_its_parent(
    parent: int, now: int, offset: int
) -> None:
    settings = ChainSettings(offset_s=offset)
    found = next_timestamp(settings, parent, now_s=now, step_min=1)
    assert found == max(now + offset, parent + 1)


@given(parent=times, now=times, ahead=st.integers(0, 1 << 20), later=st.integers(0, 1 << 20))
def test_an_exact_time_is_for_one_block_and_the_clock_goes_on_from_it(
    parent: int, now: int, ahead: int, later: int
) -> None:
    settings = ChainSettings(next_timestamp=parent + ahead)
    found = next_timestamp(settings, parent, now_s=now, step_min=1)
    assert found == parent + ahead
    after = after_block(settings, replace(HEADER, timestamp=found), now_s=now)
    assert after.next_timestamp is None
    following = next_timestamp(after, found, now_s=now + later, step_min=1)
    assert following == max(found + later, found + 1)


@given(parent=times, now=times, step=st.integers(0, 1 << 20))
def test_an_interval_is_from_block_to_block(parent: int, now: int, step: int) -> None:
    settings = ChainSettings(offset_s=now, timestamp_interval_s=step)
    assert next_timestamp(settings, parent, now_s=now, step_min=1) == parent + step
    assert after_block(settings, HEADER, now_s=now) is settings


@given(parent=st.integers(1, 1 << 40), now=times, back=st.integers(1, 1 << 20))
def test_a_clock_that_is_set_back_gives_one_older_block(parent: int, now: int, back: int) -> None:
    wanted = max(parent - back, 0)
    settings = set_to(ChainSettings(), wanted, parent, now_s=now)
    found = next_timestamp(settings, parent, now_s=now, step_min=1)
    assert found == wanted
    after = after_block(settings, replace(HEADER, timestamp=found), now_s=now)
    assert next_timestamp(after, found, now_s=now, step_min=1) == found + 1


words = st.integers(0, (1 << 256) - 1)
addresses = st.binary(min_size=20, max_size=20).map(Address)
chain_settings = st.builds(
    ChainSettings,
    offset_s=st.integers(-(1 << 62), 1 << 62),
    timestamp_interval_s=st.none() | times,
    next_timestamp=st.none() | st.integers(0, (1 << 64) - 1),
    next_oldest=st.none() | times,
    next_base_fee=st.none() | words,
    next_prev_randao=st.none() | st.binary(min_size=32, max_size=32).map(Hash32),
    gas_limit=st.none() | st.integers(1, (1 << 63) - 1),
    coinbase=st.none() | addresses,
    chain_id=st.none() | st.integers(1, (1 << 64) - 1),
)
node_settings = st.builds(
    NodeSettings,
    automine=st.booleans(),
    interval_ms=st.none() | st.tuples(times, times),
    order=st.sampled_from(["fees", "fifo"]),
    impersonated=st.frozensets(addresses, max_size=4),
    impersonates_all=st.booleans(),
    logging=st.booleans(),
)


@given(chain_settings)
def test_settings_of_the_chain_come_back_from_json(settings: ChainSettings) -> None:
    assert ChainSettings.from_json(settings.as_json()) == settings


@given(node_settings)
def test_settings_of_the_node_come_back_from_json(settings: NodeSettings) -> None:
    assert NodeSettings.from_json(settings.as_json()) == settings
