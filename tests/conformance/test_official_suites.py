"""All official state and blockchain tests that the fixtures hold, through the same code as
`ghostd evm statetest|blocktest`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ghostchain.node.blocktest import run_block_test_file
from ghostchain.node.cases import CaseResult
from ghostchain.node.conformance import results
from ghostchain.node.statetest import run_state_test_file

Fixture = Callable[[str], Path]


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("hybrid", [False, True], ids=["ethereum", "hybrid"])
@pytest.mark.parametrize(
    ("archive", "runner"),
    [
        ("state_tests.tar.xz", run_state_test_file),
        ("blockchain_tests.tar.xz", run_block_test_file),
    ],
)
def test_official_suite(
    archive: str, runner: Callable[..., list[CaseResult]], hybrid: bool, fixture_archive: Fixture
) -> None:
    """Every case of every fork passes, and there are cases of each fork; under the rules of a
    hybrid chain no less, for they change nothing of what Ethereum has."""
    cases: Counter[str] = Counter()
    failures = []
    for case in results(partial(runner, hybrid=hybrid), [fixture_archive(archive)], jobs=None):
        cases[case.fork] += 1
        if not case.passed:
            failures.append(f"{case.name} [{case.fork}]: {case.reason}")
    print(dict(cases))
    assert not failures, f"{len(failures)} failed, first: " + "\n".join(failures[:10])
    assert {"Cancun", "Prague", "Osaka"} <= set(cases)
