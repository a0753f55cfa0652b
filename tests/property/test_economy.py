"""Random sequences of token, staking, slashing and governance operations keep the invariants of the
four tokens (tests/property/economy_invariants.py), beside a naive model.

`make economy` (tests/property/economy_run.py) runs many more and longer sequences.
"""

from __future__ import annotations

from tests.property.economy_run import MACHINES, run


def test_economy_keeps_its_invariants() -> None:
    run(MACHINES["memory"], examples=60, steps=50)


def test_economy_keeps_its_invariants_on_the_executor() -> None:
    run(MACHINES["executor"], examples=15, steps=40)
