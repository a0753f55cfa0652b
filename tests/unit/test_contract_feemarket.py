"""The fee market: rates within bounds, and the layout that the executor reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ghostchain.contracts.addresses import FEE_MARKET, GCC, GHOST, GOVERNANCE, MANA, SPIRIT, STAKING
from ghostchain.contracts.economy import Economy, economy_alloc
from ghostchain.contracts.feemarket import DAY, RATE_MAX, RATE_MIN, FeeMarket, base_fee_in
from ghostchain.contracts.framework.testing import Reverted
from ghostchain.contracts.governed import WAD
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.types import Address
from tests.economy_world import EconomyWorld, account

ALICE = account("alice")


@pytest.fixture
def world() -> EconomyWorld:
    return EconomyWorld([ALICE])


def set_rate(world: EconomyWorld, token: Address, rate: int) -> None:
    world.send(GOVERNANCE, FEE_MARKET, FeeMarket.setRate, token, rate)


def refusal(world: EconomyWorld, token: Address, rate: int) -> str:
    with pytest.raises(Reverted) as failure:
        set_rate(world, token, rate)
    return failure.value.name


def test_rates_lie_where_the_executor_reads_them(world: EconomyWorld) -> None:
    """Word 0 is a mapping by token, as Solidity lays it out."""
    for token, rate in ((GCC, WAD), (SPIRIT, WAD // 2), (MANA, 3 * WAD), (GHOST, 0)):
        place = keccak256(token.rjust(32, b"\0") + bytes(32))
        assert world.storage.get((FEE_MARKET, int.from_bytes(place, "big")), 0) == rate
        assert world.read(FEE_MARKET, FeeMarket.rate, token) == rate
    assert world.read(FEE_MARKET, FeeMarket.acceptedTokens) == [GCC, SPIRIT, MANA]


def test_only_governance_sets_rates_of_tokens_that_have_one(world: EconomyWorld) -> None:
    for function, arguments in (
        (FeeMarket.setRate, (MANA, WAD)),
        (FeeMarket.setParameter, ("maxDailyChange", WAD // 10)),
    ):
        with pytest.raises(Reverted) as failure:
            world.send(ALICE, FEE_MARKET, function, *arguments)
        assert (failure.value.name, failure.value.values) == ("OnlyGovernance", (ALICE,))
    assert refusal(world, GCC, 2 * WAD) == "RateFixed"
    assert refusal(world, STAKING, WAD) == "UnknownToken"
    assert refusal(world, GHOST, RATE_MIN - 1) == "RateOutOfBounds"
    assert refusal(world, GHOST, RATE_MAX + 1) == "RateOutOfBounds"


def test_a_rate_changes_by_a_fifth_a_day_at_most(world: EconomyWorld) -> None:
    """From where it was when the day began, however often it is set, closed or opened."""
    world.skip(seconds=DAY)
    set_rate(world, MANA, 3 * WAD * 6 // 5)
    assert world.logs[0].values == {"token": MANA, "before": 3 * WAD, "rate": 3 * WAD * 6 // 5}
    assert refusal(world, MANA, 3 * WAD * 6 // 5 + 1) == "RateOutOfBounds"
    set_rate(world, MANA, 3 * WAD * 4 // 5)
    assert refusal(world, MANA, 3 * WAD * 4 // 5 - 1) == "RateOutOfBounds"
    set_rate(world, MANA, 0)
    assert refusal(world, MANA, 4 * WAD) == "RateOutOfBounds"
    world.skip(seconds=DAY - 1)
    assert refusal(world, MANA, 2 * WAD) == "RateOutOfBounds"
    world.skip(seconds=1)
    set_rate(world, MANA, 2 * WAD)


def test_the_first_rate_of_a_token_is_free_within_the_bounds(world: EconomyWorld) -> None:
    set_rate(world, GHOST, RATE_MIN)
    world.skip(seconds=DAY)
    set_rate(world, GHOST, RATE_MIN * 6 // 5)
    assert refusal(world, GHOST, WAD) == "RateOutOfBounds"


def test_the_daily_change_is_a_parameter_with_bounds(world: EconomyWorld) -> None:
    set_parameter = FeeMarket.setParameter
    world.send(GOVERNANCE, FEE_MARKET, set_parameter, "maxDailyChange", WAD // 2)
    world.skip(seconds=DAY)
    set_rate(world, MANA, 3 * WAD * 3 // 2)
    for name, value, error in (
        ("maxDailyChange", WAD // 2 + 1, "OutOfBounds"),
        ("noSuchThing", 1, "UnknownParameter"),
    ):
        with pytest.raises(Reverted) as failure:
            world.send(GOVERNANCE, FEE_MARKET, set_parameter, name, value)
        assert failure.value.name == error
    (shown,) = world.read(FEE_MARKET, FeeMarket.parameters)
    assert (shown.name, shown.value, shown.high) == ("maxDailyChange", WAD // 2, WAD // 2)


def test_a_quote_rounds_the_base_fee_up(world: EconomyWorld) -> None:
    world.block = replace(world.block, base_fee=7)
    assert world.read(FEE_MARKET, FeeMarket.quote, 21_000, SPIRIT) == (4, 84_000)
    assert world.read(FEE_MARKET, FeeMarket.quote, 21_000, GCC) == (7, 147_000)
    with pytest.raises(Reverted) as failure:
        world.read(FEE_MARKET, FeeMarket.quote, 21_000, GHOST)
    assert failure.value.name == "TokenNotAccepted"
    assert base_fee_in(RATE_MIN, 1) == 1
    assert base_fee_in(WAD, 0) == 0


@pytest.mark.parametrize(
    "economy",
    [
        Economy(rates={GCC: WAD}),
        Economy(rates={STAKING: WAD}),
        Economy(rates={MANA: RATE_MAX + 1}),
        Economy(parameters={FEE_MARKET: {"maxDailyChange": WAD}}),
        Economy(parameters={FEE_MARKET: {"noSuchThing": 1}}),
        Economy(parameters={GCC: {}}),
        Economy(epoch_blocks=0),
        Economy(balances={SPIRIT: {ALICE: 100_000_001 * WAD}}),
    ],
)
def test_a_genesis_that_the_contracts_would_refuse_is_refused(economy: Economy) -> None:
    with pytest.raises(ValueError):
        economy_alloc(0, economy)
