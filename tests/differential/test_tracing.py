"""Random transactions under every tracer, beside geth's own tracers."""

from __future__ import annotations

import json
import os
import random

import pytest

from tests.differential.tracing import (
    RECORD,
    TRACERS,
    compare,
    digest,
    geth_program,
    our_answers,
    question_of,
)

CASES = int(os.environ.get("GHOSTCHAIN_DIFFERENTIAL_CASES", "60"))


def test_recorded_answers_of_geth() -> None:
    """Each answer is, to the last field, what geth answered of the same transaction."""
    differing = []
    for seed, recorded in json.loads(RECORD.read_text()).items():
        ours = our_answers(question_of(int(seed)))
        theirs = recorded.split() or None
        if ours is None or theirs is None:
            assert ours is theirs, f"{seed}: one of them refuses it"
            continue
        differing += [
            f"{seed} {name} {config}"
            for (name, config), one, other in zip(TRACERS, ours, theirs, strict=True)
            if digest(one) != other
        ]
    assert not differing, "\n".join(differing)


def test_random_transactions_beside_geth() -> None:
    program = geth_program()
    if program is None:
        pytest.skip("geth's tracers are not here (GHOSTCHAIN_GETH_TRACERS, geth/main.go)")
    seed = int(os.environ.get("GHOSTCHAIN_SEED", random.SystemRandom().randrange(1 << 40)))
    print(f"GHOSTCHAIN_SEED={seed}")
    differing = compare(range(seed, seed + CASES), program)
    assert not differing, "\n".join(differing)
