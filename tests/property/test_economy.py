"""Random sequences of token, staking, slashing and governance operations keep the invariants of the
four tokens (tests/property/economy_invariants.py), beside a naive model.

`python -m pytest tests/property/test_economy.py -m long` runs many more and longer sequences.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property.economy_invariants import Economy

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Economy,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=SLOW,
        ),
    )


def test_economy_keeps_its_invariants() -> None:
    run(examples=20, steps=40)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_economy_keeps_its_invariants_for_long() -> None:
    run(examples=400, steps=120)
