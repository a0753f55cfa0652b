"""Runs the economy's random sequences, as many and as long as one likes:

python -m tests.property.economy_run --machine executor --examples 60 --steps 80
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

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


MACHINES = {"memory": Economy, "executor": NativeEconomy}


def run(machine: type[Economy], *, examples: int, steps: int) -> None:
    """That many sequences of at most that many steps. Raises: what failed, shrunk."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=SLOW,
        ),
    )


def main() -> None:
    """Prints how often each function was called with success and without, and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machine", choices=MACHINES, default="memory")
    parser.add_argument("--examples", type=int, default=400)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    calls: Counter[tuple[str, bool]] = Counter()

    class Counted(MACHINES[options.machine]):  # type: ignore[misc]
        def attempt(self, *arguments: Any, **rest: Any) -> tuple[bool, Any]:
            answer: tuple[bool, Any] = super().attempt(*arguments, **rest)
            calls[arguments[2].__name__, answer[0]] += 1
            return answer

    begun = time.perf_counter()
    run(Counted, examples=options.examples, steps=options.steps)
    seconds = time.perf_counter() - begun
    for name in sorted({name for name, _ in calls}):
        print(f"{name:24} {calls[name, True]:7} succeeded {calls[name, False]:7} refused")
    print(
        f"{options.machine}: {options.examples} sequences of up to {options.steps} steps,"
        f" {sum(calls.values())} transactions, {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
