"""What a contract pays does not depend on how its module is compiled, nor on the processor: every
example, under each optimisation level and with its vector and bit instructions taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostchain.execution.executor import Exit
from ghostchain.execution.wasm_engine import (
    OPTIMISATION_LEVELS,
    EngineSettings,
    engine_fingerprint,
    open_engine,
)
from tests.wasm.machines import ALICE, BOB, CONTRACT, GAS, OTHER, OnExecutor, Step
from tests.wasm.test_examples import LANGUAGES, encoded, module

PLAIN = (
    "has_avx512vl=false,has_avx512dq=false,has_avx512f=false,has_avx512bitalg=false,"
    "has_avx512vbmi=false,has_avx2=false,has_avx=false,has_fma=false,has_bmi1=false,"
    "has_bmi2=false,has_lzcnt=false,has_popcnt=false"
)
SETTINGS = {
    **{level: EngineSettings(optimisation=level) for level in OPTIMISATION_LEVELS},
    "plain processor": EngineSettings(flags=PLAIN),
    "plain processor, no optimisation": EngineSettings(optimisation="none", flags=PLAIN),
}

STEPS = {
    "counter": [
        Step(0, encoded("increment()")),
        Step(0, encoded("add(uint256)", 2**255)),
        Step(1, encoded("add(uint256)", 2**255)),
        Step(1, encoded("number()")),
        Step(2, b"\x00"),
    ],
    "erc20": [
        Step(0, encoded("initialize(address,uint256)", ALICE, 100)),
        Step(0, encoded("transfer(address,uint256)", BOB, 40)),
        Step(1, encoded("approve(address,uint256)", ALICE, 30)),
        Step(0, encoded("transferFrom(address,address,uint256)", BOB, ALICE, 20)),
        Step(0, encoded("transferFrom(address,address,uint256)", BOB, ALICE, 20)),
        Step(2, encoded("transfer(address,uint256)", BOB, 1)),
        Step(2, encoded("name()")),
    ],
    "keccak": [
        Step(0, encoded("loop(uint32)", 3)),
        Step(0, encoded("hash(bytes)", 32, 3, 2**255)),
        Step(0, encoded("loop(uint32)", 2**31)),
    ],
    "payer": [
        Step(0, encoded("initialize(address,uint256)", ALICE, 100), to=OTHER),
        Step(0, encoded("approve(address,uint256)", CONTRACT, 60), to=OTHER),
        Step(0, encoded("pay(address,address,uint256)", OTHER, BOB, 40)),
        Step(0, encoded("pay(address,address,uint256)", OTHER, BOB, 40)),
        Step(0, encoded("holding(address,address)", OTHER, BOB)),
    ],
}


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    """Whatever a test opened, the next finds the ordinary engine."""
    yield
    open_engine()


def ran(codes: dict, steps: list[Step]) -> list[tuple]:
    """Everything that a receipt or a caller could show, and the gas at the edge of failing."""
    executor = OnExecutor(codes)
    seen = []
    for step in steps:
        result = executor.call(step)
        needed = result.gas_used + result.gas_refunded
        short = executor.call(step, gas=max(needed - 1, result.gas_intrinsic))
        output = (result.exit, result.output, result.gas_used, result.gas_refunded, result.logs)
        created = executor.send(step.sender, to=step.to, data=step.data)
        seen.append((output, short.exit, short.gas_used, created, executor.storage(step.to)))
    return seen


@pytest.mark.parametrize("name", sorted(STEPS))
@pytest.mark.parametrize("language", LANGUAGES)
def test_gas_is_the_same_on_every_path(language: str, name: str) -> None:
    codes = {CONTRACT: module(language, name)}
    if name == "payer":
        codes[OTHER] = module(language, "erc20")
    fingerprints, seen = set(), {}
    for label, settings in SETTINGS.items():
        open_engine(settings)
        fingerprints.add(engine_fingerprint())
        seen[label] = ran(codes, STEPS[name])
    assert len(fingerprints) == len(SETTINGS), "the engine was opened in different ways"
    wanted = seen.pop("none")
    assert all(other == wanted for other in seen.values())
    if name == "keccak":
        assert wanted[-1][0][0] == Exit.OUT_OF_GAS
        assert wanted[-1][0][2] == GAS


@pytest.mark.parametrize("language", LANGUAGES)
def test_deployment_costs_the_same_on_every_path(language: str, tmp_path: Path) -> None:
    """Also from compiled code that an earlier run left on disk."""
    code = module(language, "counter")
    used = set()
    settings = [*SETTINGS.values(), EngineSettings(cache_directory=tmp_path)]
    for setting in [*settings, settings[-1]]:
        open_engine(setting)
        executor = OnExecutor({})
        ended, gas_used, made = executor.send(0, to=None, data=code)
        assert ended == Exit.SUCCESS
        assert made is not None
        used.add((gas_used, made, executor.call(Step(0, encoded("increment()"), to=made)).gas_used))
    assert len(used) == 1
