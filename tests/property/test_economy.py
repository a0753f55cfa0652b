"""Random sequences of token, staking, slashing and governance operations keep the invariants of the
four tokens (tests/property/economy_invariants.py), beside a naive model.

`python -m pytest tests/property/test_economy.py -m long` runs many more and longer sequences.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from ghostchain.contracts.addresses import GCC
from ghostchain.contracts.tokens import Gcc
from tests.economy_native import NativeEconomyWorld
from tests.economy_world import EconomyWorld, economy_of
from tests.property.economy_invariants import Economy
from tests.property.economy_machine import PEOPLE

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


class NativeEconomy(Economy):
    """On the native executor: frames, gas, logs and undoing are the real ones."""

    def make_world(self) -> EconomyWorld:
        return NativeEconomyWorld(PEOPLE, economy_of(PEOPLE))

    @invariant()
    def the_coins_supply_is_kept(self) -> None:
        """By the executor, which sees burns of every kind."""
        assert self.world.look(Gcc).supply == self.supplies[GCC]


def run(machine: type[Economy], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=SLOW,
        ),
    )


def test_economy_keeps_its_invariants() -> None:
    run(Economy, examples=60, steps=50)


def test_economy_keeps_its_invariants_on_the_executor() -> None:
    run(NativeEconomy, examples=15, steps=40)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_economy_keeps_its_invariants_for_long() -> None:
    run(Economy, examples=400, steps=120)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_economy_keeps_its_invariants_on_the_executor_for_long() -> None:
    run(NativeEconomy, examples=60, steps=80)
