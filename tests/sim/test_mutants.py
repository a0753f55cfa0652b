"""The simulation finds faults: each that is planted in the code under test is found in time."""

from __future__ import annotations

import inspect

import pytest

from tests.sim.mutants import MUTANTS, SEEDS_MAX, Edit, hunt, kind_of, mutated, planted
from tests.sim.world import run_seed


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 10


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name: str) -> None:
    """Within SEEDS_MAX seeds, by a seed that holds without it."""
    kill = hunt(name)
    assert kill is not None, f"{SEEDS_MAX} seeds do not find: {name}"
    print(f"{name}: {kill.seeds} seeds, {kill.seconds:.2f} s, {kill.outcome.detail}")
    clean = run_seed(kill.outcome.seed, kind_of(name))
    assert clean.is_good, clean.detail


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_taken_back(name: str) -> None:
    """After the hunt the functions are the ones that are in the files."""

    def functions() -> list[object]:
        return [inspect.getattr_static(edit.owner, edit.name) for edit in MUTANTS[name]]

    before = functions()
    with planted(name):
        assert functions() != before
    assert functions() == before


def test_an_edit_of_nothing_is_refused() -> None:
    """A mutant whose line has gone from the source must not pass for one that was found."""
    edit = next(iter(MUTANTS.values()))[0]
    with pytest.raises(AssertionError, match="not there once"):
        mutated(Edit(edit.owner, edit.name, "no such line", ""))
