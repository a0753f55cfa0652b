"""Contract modules before they run: checking and rewriting beside wasmtime's validation alone, and
what rewritten instructions take, for which the ink in `native/wasm/limits.h` has to stand.

Each instruction is measured where it is slowest: every operation waits for the one before it, loads
miss the caches, branches cannot be predicted. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import os
import time

import pytest
import wasmtime

from ghostchain.execution.wasm import INK_PER_GAS, inspect
from tests.oracle.wasm_generator import generate

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
ROUNDS = 1_000 if FULL else 20
# Copies of the measured text in one round of the loop.
COPIES = 64
PLENTY = 1 << 62


def best_ns(run: object, rounds: int) -> int:
    assert callable(run)
    best = 1 << 62
    for _ in range(rounds):
        start_ns = time.perf_counter_ns()
        run()
        best = min(best, time.perf_counter_ns() - start_ns)
    return best


def large_module() -> bytes:
    """The largest of the generator's modules, all kinds of instructions in it."""
    return max((generate(seed, budget=4_000) for seed in range(60)), key=len)


def test_preparing(benchmark) -> None:
    """Checking and rewriting; the peer only checks, several functions at a time."""
    module = large_module()
    engine = wasmtime.Engine()
    own = best_ns(lambda: inspect(module), 30)
    peer = best_ns(lambda: wasmtime.Module.validate(engine, module), 30)
    benchmark.pedantic(lambda: inspect(module), rounds=3)
    benchmark.extra_info.update(
        peer="wasmtime's validation",
        ratio=round(peer / own, 2),
        bytes=len(module),
        microseconds=round(own / 1e3, 1),
        peer_microseconds=round(peer / 1e3, 1),
        megabytes_per_second=round(len(module) * 1e3 / own, 1),
        result=hashlib.sha256(inspect(module).code).hexdigest()[:16],
    )
    print(f"\n{len(module) * 1e3 / own:,.0f} MB/s, {peer / own:.2f} times wasmtime's validation")


NEXT = "(local.set $a (i32.add (i32.mul (local.get $a) (i32.const 1664525)) (i32.const 12345)))"
ADDRESS = "(i32.and (i32.shr_u (local.get $a) (i32.const 7)) (i32.const 0x7ffffc))"
INSTRUCTIONS = {
    "add": "(local.set $a (i32.add (i32.xor (local.get $a) (local.get $b)) (i32.const 3)))",
    "multiply": "(local.set $x (i64.mul (i64.add (local.get $x) (i64.const 3)) (local.get $x)))",
    "compare": "(local.set $a (i32.lt_s (local.get $a) (local.get $b)))",
    "select": "(local.set $a (select (local.get $a) (local.get $b) (i32.and (local.get $a)"
    " (i32.const 1))))",
    "count": "(local.set $x (i64.add (i64.clz (local.get $x)) (local.get $y)))",
    "divide i32": "(local.set $a (i32.or (i32.div_u (i32.const -5) (local.get $a)) (i32.const 3)))",
    "divide i64": "(local.set $x (i64.or (i64.div_s (i64.const -9000000000000000001)"
    " (local.get $x)) (i64.const 3)))",
    "load in 4 KiB": "(local.set $a (i32.load (i32.and (local.get $a) (i32.const 4092))))",
    "load in 8 MiB": f"{NEXT} (local.set $a (i32.add (local.get $a) (i32.load {ADDRESS})))",
    "store in 8 MiB": f"{NEXT} (i32.store {ADDRESS} (local.get $a))",
    "global": "(global.set $g (i64.add (global.get $g) (local.get $x)))",
    "call": "(local.set $a (call $leaf (local.get $a)))",
    "call of a caller": "(local.set $a (call $caller (local.get $a)))",
    "call_indirect": "(local.set $a (call_indirect (param i32) (result i32) (local.get $a)"
    " (i32.and (local.get $b) (i32.const 1))))",
    "branch, foreseen": "(block (br_if 0 (i32.eqz (local.get $b))) (local.set $a (i32.add"
    " (local.get $a) (i32.const 3))))",
    "branch, not foreseen": f"{NEXT} (block (br_if 0 (i32.and (i32.shr_u (local.get $a)"
    " (i32.const 30)) (i32.const 1))) (local.set $b (i32.mul (local.get $b) (i32.const 7))))",
    "br_table, not foreseen": f"{NEXT} (block (block (block (br_table 0 1 2 (i32.shr_u"
    " (local.get $a) (i32.const 30))) (local.set $b (i32.const 3))) (local.set $x (i64.const 8))))",
    "copy of 8 bytes": "(memory.copy (i32.const 0) (i32.const 64) (i32.const 8))",
    "fill of 64 KiB": "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))",
    "copy of 4 MiB": "(memory.copy (i32.const 0) (i32.const 4194304) (i32.const 4194304))",
}
LONG = {"fill of 64 KiB": 40, "copy of 4 MiB": 1}


def loop(text: str) -> bytes:
    return bytes(
        wasmtime.wat2wasm(f"""(module (memory (export "memory") 128)
          (table 2 funcref) (elem (i32.const 0) $leaf $leaf)
          (global $g (mut i64) (i64.const 5))
          (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 3)))
          (func $caller (param i32) (result i32) (call $leaf (local.get 0)))
          (func (export "user_entrypoint") (param $n i32) (result i32)
            (local $i i32) (local $a i32) (local $b i32) (local $x i64) (local $y i64)
            (local.set $a (i32.const 12345)) (local.set $b (i32.const 77))
            (local.set $x (i64.const 1234567)) (local.set $y (i64.const 99991))
            (loop $again {text}
              (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                (local.get $n))))
            (i32.add (i32.add (local.get $a) (local.get $b)) (i32.wrap_i64 (local.get $x)))))""")
    )


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions(benchmark, name: str) -> None:
    """Computing takes at most 5 ns for its gas; waiting for memory or a wrong guess some 25."""
    copies = 1 if name in LONG else COPIES
    rounds = LONG.get(name, ROUNDS)
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, inspect(loop(INSTRUCTIONS[name] * copies)).code)
    exports = wasmtime.Instance(store, module, []).exports(store)
    exports["ghost_stack"].set_value(store, 1_000)
    best = 1 << 62
    for _ in range(5):
        exports["ghost_ink"].set_value(store, PLENTY)
        best = min(best, best_ns(lambda: exports["user_entrypoint"](store, rounds), 1))
    gas = (PLENTY - exports["ghost_ink"].value(store)) / INK_PER_GAS
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(
        nanoseconds=round(best / rounds / copies, 3),
        gas=round(gas / rounds / copies, 3),
        ns_per_gas=round(best / gas, 2),
    )
    print(f"\n{best / rounds / copies:,.2f} ns for {gas / rounds / copies:,.2f} gas")
