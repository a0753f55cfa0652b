"""Rewritten modules do what the originals do and pay what an interpreter counts; they end where
ink or stack slots end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest
import wasmtime

from ghostchain.execution import wasm
from tests.oracle.wasm_generator import generate
from tests.oracle.wasm_interpreter import Program, Tariff, Trap

INK = 10**15
TARIFF = Tariff(wasm.INK_ENTRY, wasm.INK_DECLARED, wasm.INK_ARGUMENT, wasm.INK_BULK_BYTE)
ENGINE = wasmtime.Engine()

# What imported functions answer, by name: the interpreter and wasmtime ask the same.
ANSWERS = {"msg_reentrant": 7, "pay_for_memory_grow": None}


@dataclass(frozen=True)
class Outcome:
    """results is None when the run trapped, and then the rest is not compared."""

    results: list[int] | None
    memory: bytes
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    outcome: Outcome
    ink: int
    slots: int
    trap: str


def run_in_wasmtime(
    module: bytes, argument: int, *, ink: int = INK, slots: int = wasm.STACK_SLOTS
) -> Run:
    """Enters the contract, original or rewritten, with stubs for what it imports."""
    store = wasmtime.Store(ENGINE)
    compiled = wasmtime.Module(ENGINE, module)
    asked: list[str] = []

    def stub(name: str) -> Any:
        def answer(*_: int) -> int | None:
            if name != "pay_for_memory_grow":
                asked.append(name)
            return ANSWERS[name]

        return answer

    imports = [wasmtime.Func(store, kind.type, stub(kind.name)) for kind in compiled.imports]
    exports = wasmtime.Instance(store, compiled, imports).exports(store)
    metered = "ghost_ink" in exports
    if metered:
        exports["ghost_ink"].set_value(store, ink)
        exports["ghost_stack"].set_value(store, slots)
    results, trap = None, ""
    try:
        results = [exports["user_entrypoint"](store, argument) % (1 << 32)]
    except wasmtime.Trap as caught:
        trap = str(caught)
    memory = bytes(exports["memory"].read(store)) if results is not None else b""
    outcome = Outcome(results, memory, tuple(asked) if results is not None else ())
    if not metered:
        return Run(outcome, 0, 0, trap)
    left = exports["ghost_ink"].value(store)
    return Run(outcome, ink - left, exports["ghost_stack"].value(store), trap)


def run_in_interpreter(module: bytes, argument: int) -> tuple[Outcome, int]:
    asked: list[str] = []

    def stub(name: str) -> Any:
        def answer(_program: Program, *_: int) -> int | None:
            if name != "pay_for_memory_grow":
                asked.append(name)
            return ANSWERS[name]

        return answer

    prices = {opcode: ink for opcode in OPCODES if (ink := wasm.ink_of(opcode)) is not None}
    program = Program(module, prices.__getitem__, TARIFF, {name: stub(name) for name in ANSWERS})
    try:
        results = program.call("user_entrypoint", argument)
    except Trap:
        return Outcome(None, b"", ()), program.ink
    return Outcome(results, bytes(program.memory), tuple(asked)), program.ink


OPCODES = [*range(256), *range(0xFC00, 0xFC20)]


def check(module: bytes, argument: int) -> str:
    """Compares the three runs. Returns how they ended."""
    rewritten = wasm.inspect(module).code
    try:
        wanted, ink = run_in_interpreter(module, argument)
    except TimeoutError:
        return "long"
    original = run_in_wasmtime(module, argument)
    metered = run_in_wasmtime(rewritten, argument)
    assert original.outcome == wanted
    assert metered.outcome == wanted
    if wanted.results is None:
        return "trap"
    assert metered.ink == ink
    assert metered.slots == wasm.STACK_SLOTS
    return "result"


@pytest.mark.parametrize("batch", range(8))
def test_random_modules_pay_what_the_interpreter_counts(batch: int) -> None:
    """The sum of the prices of the instructions run, to the last ink, whenever a call returns."""
    count = int(os.environ.get("GHOSTCHAIN_WASM_MODULES", "40"))
    ends: list[str] = []
    for seed in range(batch * count, (batch + 1) * count):
        try:
            ends.append(check(generate(seed), seed % 7))
        except Exception as failure:
            raise AssertionError(f"module {seed}: {failure!r}") from failure
    assert ends.count("result") > count // 2, ends
