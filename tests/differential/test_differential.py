"""A few fresh random blocks in every run; `make differential` runs thousands."""

from __future__ import annotations

import os
import random

import pytest

from tests.differential.harness import run_cases, specification_python

CASES = int(os.environ.get("GHOSTCHAIN_DIFFERENTIAL_CASES", "60"))


def test_random_blocks_agree_with_the_specification() -> None:
    """State root, receipts, gas, bloom, requests and refusals are those of the specification."""
    python = specification_python()
    if python is None:
        pytest.skip("the executable specification is not here (make eels, PyPI ethereum-execution)")
    seed = int(os.environ.get("GHOSTCHAIN_SEED", random.SystemRandom().randrange(1 << 40)))
    print(f"GHOSTCHAIN_SEED={seed}")
    failures = run_cases(seed, CASES, python)
    assert not failures, "\n".join(failures)
