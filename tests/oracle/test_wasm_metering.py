"""Rewritten modules do what the originals do and pay what an interpreter counts; they end where
ink or stack slots end."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import wasmtime

from ghostchain.execution import wasm
from tests.oracle.machine_frames import frames_of
from tests.oracle.test_wasm import contract
from tests.oracle.wasm_generator import generate
from tests.oracle.wasm_interpreter import Program, Tariff, Trap

INK = 10**15
TARIFF = Tariff(wasm.INK_ENTRY, wasm.INK_DECLARED, wasm.INK_ARGUMENT, wasm.INK_BULK_BYTE)

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
    store = wasmtime.Store()
    compiled = wasmtime.Module(store.engine, module)
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


PARTS = """
  (global $g (mut i32) (i32.const 3))
  (table 3 funcref) (elem (i32.const 0) $half $half)
  (func $half (param i32) (result i32) (i32.shr_u (local.get 0) (i32.const 1)))
  (func $pair (param i32) (result i32 i64)
    (if (i32.eq (local.get 0) (i32.const 2)) (then (return (i32.const 7) (i64.const 8))))
    (local.get 0) (i64.const 1))
  (func $sum (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (local.get 0) (call $sum (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0))))
"""
BODIES = {
    "straight": "(i32.mul (i32.add (local.get 0) (i32.const 3)) (i32.const 5))",
    "loop": """(local $i i32)
      (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (local.get 0)))) (local.get $i)""",
    "nested loops": """(local $i i32) (local $j i32) (local $n i32)
      (loop $a (local.set $j (i32.const 0))
        (loop $b (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $b (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 3))))
        (br_if $a (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 0))))
      (local.get $n)""",
    "loop left in the middle": """(local $i i32)
      (block $out (loop $l (br_if $out (i32.ge_u (local.get $i) (local.get 0)))
        (global.set $g (i32.add (global.get $g) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $l))
        (global.set $g (i32.const 99)))
      (global.get $g)""",
    "continue": """(local $i i32) (local $n i32)
      (loop $l (block $next
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $next (i32.and (local.get $i) (i32.const 1)))
        (local.set $n (i32.add (local.get $n) (local.get $i))))
        (br_if $l (i32.lt_u (local.get $i) (local.get 0)))) (local.get $n)""",
    "a block left before its first instruction": """
      (block $x (br_if $x (i32.eq (local.get 0) (i32.const 5)))
        (block $o (loop (br_if $o (local.get 0))) (global.set $g (i32.const 1)))
        (global.set $g (i32.add (global.get $g) (i32.const 8))))
      (global.get $g)""",
    "blocks that begin with blocks": """
      (block $a (br_if $a (i32.eqz (local.get 0)))
        (block $b (block $c (block $d (br_if $b (i32.eq (local.get 0) (i32.const 1)))
          (br_if $d (i32.eq (local.get 0) (i32.const 2))) (global.set $g (i32.const 5)))
          (br_if $a (i32.eq (local.get 0) (i32.const 3))))
          (global.set $g (i32.add (global.get $g) (i32.const 1))))
        (global.set $g (i32.mul (global.get $g) (i32.const 3))))
      (global.get $g)""",
    "if and else": """(if (result i32) (i32.and (local.get 0) (i32.const 1))
      (then (i32.const 1) (i32.const 2) i32.add) (else (local.get 0)))""",
    "if alone": """(if (local.get 0) (then (global.set $g (i32.const 8)) (br 0)))
      (global.get $g)""",
    "early return": """(if (i32.gt_u (local.get 0) (i32.const 2)) (then (return (i32.const 1))))
      (global.set $g (i32.const 4)) (i32.const 2)""",
    "branch table": """(block $a (block $b (block $c
      (br_table $a $b $c (local.get 0))) (return (i32.const 11)))
      (global.set $g (i32.const 1)) (return (i32.const 22))) (i32.const 33)""",
    "calls": "(i32.add (call $half (local.get 0)) (call $half (call $half (i32.const 40))))",
    "several values": """(call $pair (local.get 0)) (i32.wrap_i64) (i32.add)
      (block (param i32) (result i32 i32) (i32.const 2)) (i32.sub)""",
    "recursion": "(call $sum (local.get 0))",
    "indirect": "(call_indirect (param i32) (result i32) (local.get 0) (i32.const 1))",
    "indirect of nothing": "(call_indirect (param i32) (result i32) (local.get 0) (i32.const 2))",
    "indirect of another type": "(call_indirect (result i32) (i32.const 1))",
    "bulk": """(memory.fill (i32.const 10) (i32.const 7) (local.get 0))
      (memory.copy (i32.const 40) (i32.const 10) (i32.const 4)) (i32.load (i32.const 40))""",
    "growth": """(i32.add (memory.grow (local.get 0)) (i32.mul (memory.size) (i32.const 16)))""",
    "division by the argument": "(i32.div_u (i32.const 100) (local.get 0))",
    "code behind a branch": """(block (br 0) (global.set $g (i32.const 1)) (loop (br 0)))
      (global.get $g) (return) (drop (i32.const 1)) (if (then (unreachable)))""",
    "unreachable": "(if (i32.eq (local.get 0) (i32.const 3)) (then unreachable)) (i32.const 1)",
}


@pytest.mark.parametrize("body", sorted(BODIES))
def test_each_construct_pays_what_the_interpreter_counts(body: str) -> None:
    module = contract(BODIES[body], definitions=PARTS)
    for argument in range(7):
        assert check(module, argument) in ("result", "trap")


def test_a_sum_by_hand() -> None:
    """entry + local.get + i32.const + i32.add + local.set + local.get, and one declared local."""
    module = contract(
        "(local i32) (local.set 1 (i32.add (local.get 0) (i32.const 1))) (local.get 1)"
    )
    ink = [wasm.ink_of(opcode) or 0 for opcode in (0x20, 0x41, 0x6A, 0x21, 0x20)]
    wanted = wasm.INK_ENTRY + wasm.INK_DECLARED + sum(ink)
    assert run_in_wasmtime(wasm.inspect(module).code, 4).ink == wanted


# ---- where it ends


def test_ink_ends_a_run_exactly_where_it_is_spent() -> None:
    """What a run needs is enough; one less ends it, with the marker that says so."""
    exhausted = 0
    for seed in range(60):
        module = wasm.inspect(generate(seed)).code
        whole = run_in_wasmtime(module, 3)
        if whole.outcome.results is None:
            continue
        enough = run_in_wasmtime(module, 3, ink=whole.ink)
        assert enough.outcome == whole.outcome
        assert enough.ink == whole.ink
        for ink in {whole.ink - 1, whole.ink // 2, 0}:
            less = run_in_wasmtime(module, 3, ink=ink)
            assert less.outcome.results is None
            assert "unreachable" in less.trap
            assert less.ink > ink, "negative ink is left"
            exhausted += 1
    assert exhausted > 100


@pytest.mark.parametrize(
    "body",
    [
        "(loop (br 0)) unreachable",
        "(loop $a (loop $b (br $a))) unreachable",
        "(loop (br_if 0 (i32.const 1))) (i32.const 0)",
        "(loop $l (br_table $l $l (i32.const 0))) (i32.const 0)",
        "(loop (memory.fill (i32.const 0) (i32.const 0) (i32.const 60000)) (br 0)) unreachable",
        "(loop (drop (memory.grow (i32.const 0))) (br 0)) unreachable",
    ],
)
def test_endless_loops_end(body: str) -> None:
    run = run_in_wasmtime(wasm.inspect(contract(body)).code, 0, ink=10**10)
    assert run.outcome.results is None
    assert run.ink > 10**10
    assert run.slots == wasm.STACK_SLOTS


def test_calls_that_nest_too_deeply_end_with_the_marker() -> None:
    module = wasm.inspect(contract("(call 0 (local.get 0))"))
    run = run_in_wasmtime(module.code, 1)
    assert run.outcome.results is None
    assert "unreachable" in run.trap
    assert run.slots == -1
    assert run.ink <= INK


def test_stack_slots_are_counted_exactly() -> None:
    """A recursion n deep takes n frames and gives them back; one slot less is not enough."""
    report = wasm.inspect(contract("(call $sum (local.get 0))", definitions=PARTS))
    program = Program(report.code, lambda _: 0, TARIFF, {})
    own = [slots_of(function) for function in program.functions]
    entry, total = own[-1], own[-2]
    needed = entry + 101 * total
    run = run_in_wasmtime(report.code, 100, slots=needed)
    assert run.outcome.results == [5050]
    assert run.slots == needed
    short = run_in_wasmtime(report.code, 100, slots=needed - 1)
    assert short.outcome.results is None
    assert short.slots == -1


def slots_of(function: Any) -> int:
    """What a rewritten function asks for: the constant after its two blocks and ghost_stack."""
    opcodes = [opcode for opcode, _ in function.code[:4]]
    assert opcodes == [0x02, 0x02, 0x23, 0x41]
    return int(function.code[3][1])


# ---- the native stack


LEAF = "(func $g (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))"
WIDE = f"(func $h {'(param i64)' * 16} (result {'i64 ' * 16}) {'(local.get 3)' * 16})"


def crowded(chance: Random) -> bytes:
    """A function that keeps many values alive across calls: locals that are made anew in no order,
    one or sixteen at a time, while operands wait."""
    count, operands = chance.choice((40, 120, 400, 900)), chance.choice((0, 0, 500))
    text = [f"(local {'i64 ' * (count + 1)})"]
    text += [f"(local.set {n} (call $g (i64.const {n})))" for n in range(1, count + 1)]
    text += [f"(call $g (i64.const {n}))" for n in range(operands)]
    is_wide = chance.random() < 0.5
    for _ in range(chance.randint(0, 500 if is_wide else 5_000)):
        chosen = chance.sample(range(1, count + 1), 16 if is_wide else 1)
        text += [f"(local.get {n})" for n in chosen]
        text.append("(call $h)" if is_wide else "(call $g)")
        text += [f"(local.set {n})" for n in chosen]
    text += ["i64.add"] * (operands - 1) + ["(local.set 1)"] * (operands > 0)
    text += [f"(i64.store (i32.const 8) (local.get {n}))" for n in range(1, count + 1)]
    return contract(" ".join(text) + "(i32.const 0)", definitions=LEAF + WIDE)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 machine code")
def test_frames_stay_within_the_slots_they_pay_for() -> None:
    """No compiled function takes more native stack than 16 bytes for each slot it asks for, so
    32,768 slots are at most 512 KiB. The closest is printed."""
    chance = Random(7)
    modules = [generate(seed, budget=300) for seed in range(40)]
    modules += [crowded(chance) for _ in range(12)]
    closest = 0.0
    for module in modules:
        code = wasm.inspect(module).code
        functions = Program(code, lambda _: 0, TARIFF, {}).functions
        frames = frames_of(bytes(wasmtime.Module(wasmtime.Engine(), code).serialize()))
        imported = sum(isinstance(function, tuple) for function in functions)
        for index, frame in frames.items():
            if index >= imported:
                room = 16 * slots_of(functions[index])
                closest = max(closest, frame / room)
                assert frame <= room, (index, frame, room)
    print(f"the fullest frame takes {closest:.0%} of its slots")
