"""WASM contracts: calls in blocks, computing beside the same algorithm in the EVM, and what loading
and compiling take, for which the prices in `native/wasm/prices.h` have to stand.

The contracts are those of docs/examples, compiled here (clang with lld; solc from npm, see
tests/clients); a comparison whose compiler is not installed is left out. Runs small unless
GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from wasmtime import wat2wasm

from benchmarks.bench_executor import COUNT, ENVIRONMENT, prepared, transfer
from benchmarks.bench_executor import TOKEN as CONTRACT
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import CallFlag, Executor, Message, PreparedCall
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.execution.wasm_engine import EngineSettings, forget_modules, open_engine
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address
from tests.wasm import build

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
SECONDS = 2.0 if FULL else 0.05
ROUNDS = 10 if FULL else 1
HYBRID = replace(ENVIRONMENT, hybrid=True)
SENDER = Address(b"\x11" * 20)
FLAGS = CallFlag.NO_GAS_CAP | CallFlag.NO_BASE_FEE | CallFlag.NO_BALANCE_CHECK

# Slot 0, plus one: loaded, stored, flushed.
COUNTER = bytes(
    wat2wasm("""(module
    (import "vm_hooks" "storage_load_bytes32" (func $load (param i32 i32)))
    (import "vm_hooks" "storage_cache_bytes32" (func $cache (param i32 i32)))
    (import "vm_hooks" "storage_flush_cache" (func $flush (param i32)))
    (memory (export "memory") 1)
    (func (export "user_entrypoint") (param i32) (result i32)
        (call $load (i32.const 0) (i32.const 32))
        (i32.store8 offset=63 (i32.const 0)
            (i32.add (i32.load8_u offset=63 (i32.const 0)) (i32.const 1)))
        (call $cache (i32.const 0) (i32.const 32))
        (call $flush (i32.const 0))
        (i32.const 0)))""")
)
# SLOAD, ADD, SSTORE
EVM_COUNTER = bytes.fromhex("5f546001015f5500")


def counter_call(index: int) -> Transaction:
    return replace(transfer(index), to=CONTRACT, value=0, gas_limit=100_000)


def block_seconds(code: bytes) -> tuple[float, bytes]:
    """The best time of a block of calls, and its receipts root."""
    executor, batch = prepared(counter_call, code)
    best = float("inf")
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        result = executor.run_block(HYBRID, batch, system_calls=False)
        best = min(best, time.perf_counter() - start)
        assert all(result.outcomes[i].success for i in (0, COUNT // 2, COUNT - 1))
        root = result.receipts_root
        executor.discard()
    return best, root


def test_counter_calls(benchmark) -> None:
    """Calls of a counter a second, in a block: the bar is 10,000, the goal 50,000."""
    seconds, root = block_seconds(COUNTER)
    evm_seconds, _ = block_seconds(EVM_COUNTER)
    benchmark.pedantic(lambda: block_seconds(COUNTER), rounds=1)
    benchmark.extra_info.update(
        calls_per_second=round(COUNT / seconds),
        microseconds=round(seconds / COUNT * 1e6, 2),
        peer="the same counter in the EVM",
        peer_microseconds=round(evm_seconds / COUNT * 1e6, 2),
        ratio=round(evm_seconds / seconds, 2),
        result=root.hex()[:16],
    )
    print(f"\ncounter {COUNT / seconds:,.0f} calls/s; in the EVM {COUNT / evm_seconds:,.0f}")


# ---- computing ----


def best_ns(run: Callable[[], int]) -> int:
    best, runs = run(), 1
    deadline = time.perf_counter() + SECONDS
    while runs < 3 or time.perf_counter() < deadline:
        best, runs = min(best, run()), runs + 1
    return best


def processor_ns(run: Callable[[], object]) -> int:
    """Processor time, which is the same on a busy machine."""
    start_ns = time.process_time_ns()
    run()
    return time.process_time_ns() - start_ns


Called = tuple[int, int, bytes]


def prepared_call(code: bytes, data: bytes) -> PreparedCall:
    view = MemoryView({SENDER: Allocation(balance=10**30), CONTRACT: Allocation(1, 0, code)})
    message = Message(sender=SENDER, to=CONTRACT, gas_limit=10**10, data=data)
    call = Executor(view).prepare(replace(HYBRID, base_fee=0), message, flags=FLAGS)
    result = call.run()
    assert result.success, result.exit
    return call


def called(code: bytes, data: bytes) -> Called:
    """Nanoseconds, gas and output of a call of code with data, the whole transaction included."""
    call = prepared_call(code, data)
    result = call.run()
    return best_ns(call.time_ns), result.gas_used, result.output


def selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def beside(code: bytes, peer_code: bytes, data: bytes) -> tuple[Called, Called]:
    """The same call of both, in turns, so that a busy machine is busy for both; the medians."""
    calls = [prepared_call(code, data), prepared_call(peer_code, data)]
    times: list[list[int]] = [[], []]
    deadline = time.perf_counter() + SECONDS
    while len(times[0]) < 3 or time.perf_counter() < deadline:
        for call, taken in zip(calls, times, strict=True):
            taken.append(processor_ns(call.run))
    own, peer = (
        (round(median(taken)), result.gas_used, result.output)
        for taken, result in zip(times, [call.run() for call in calls], strict=True)
    )
    return own, peer


KECCAK_ROUNDS = 200 if FULL else 5
SORTED = 20_000 if FULL else 300
COMPUTING = {
    "keccak": ("keccak", "Keccak", selector("loop(uint32)") + word(KECCAK_ROUNDS)),
    "sort": ("sort", "Sorter", selector("sortRandom(uint32,uint32)") + word(SORTED) + word(1)),
}


@pytest.mark.parametrize("name", COMPUTING)
def test_computing(benchmark, name: str) -> None:
    """The same algorithm, from C to WASM and from Solidity to EVM bytecode: the bar is 5."""
    source, peer, data = COMPUTING[name]
    code, peer_code = build.c(source), bytes.fromhex(build.solidity()[peer]["code"][2:])
    (own_ns, gas, output), (peer_ns, peer_gas, peer_output) = beside(code, peer_code, data)
    assert output == peer_output
    benchmark.pedantic(lambda: called(code, data), rounds=1)
    benchmark.extra_info.update(
        microseconds=round(own_ns / 1e3, 1),
        gas_used=gas,
        ns_per_gas=round(own_ns / gas, 2),
        peer="the same in Solidity, on our EVM",
        peer_microseconds=round(peer_ns / 1e3, 1),
        peer_gas=peer_gas,
        gas_ratio=round(peer_gas / gas, 1),
        ratio=round(peer_ns / own_ns, 2),
        result=hashlib.sha256(output).hexdigest()[:16],
    )
    print(
        f"\n{name}: {own_ns / 1e3:.0f} us, {gas:,} gas; EVM {peer_ns / 1e3:.0f} us, "
        f"{peer_gas:,} gas: {peer_ns / own_ns:.1f} x faster, {peer_gas / gas:.1f} x cheaper"
    )


@pytest.mark.parametrize("setting", ["none", "spectre-off"])
def test_settings(benchmark, setting: str) -> None:
    """What the engine's settings cost: the keccak loop, ratio to the settings of the node."""
    code, data = build.c("keccak"), COMPUTING["keccak"][2]
    settings = {
        "none": EngineSettings(optimisation="none"),
        "spectre-off": EngineSettings(flags="enable_heap_access_spectre_mitigation=false"),
    }[setting]
    own_ns, gas, output = called(code, data)
    try:
        open_engine(settings)
        other_ns, other_gas, other_output = called(code, data)
    finally:
        open_engine()
    assert (gas, output) == (other_gas, other_output)
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(
        microseconds=round(own_ns / 1e3, 1),
        peer=f"the same with {setting}",
        peer_microseconds=round(other_ns / 1e3, 1),
        ratio=round(other_ns / own_ns, 2),
        result=hashlib.sha256(output).hexdigest()[:16],
    )
    print(f"\nkeccak with {setting}: {other_ns / own_ns:.2f} of the time")


# ---- what the prices stand for ----


def wat(body: str, *, imports: str = "", fields: str = "", pages: int = 1) -> bytes:
    return bytes(
        wat2wasm(
            f'(module {imports} (memory (export "memory") {pages}) {fields} '
            f'(func (export "user_entrypoint") (param i32) (result i32) {body} (i32.const 0)))'
        )
    )


def repeated(count: int, function: str) -> str:
    return " ".join([function] * count)


SLOW_TO_COMPILE = {
    "functions": lambda: wat("", fields=repeated(2000, "(func)")),
    "accesses": lambda: wat(
        "", fields=f"(func (drop {'(i32.load8_u ' * 400}(i32.const 0){')' * 400}))" * 25
    ),
    "loops": lambda: wat("", fields=f"(func {repeated(400, '(loop)')})" * 25),
    "indirect calls": lambda: wat(
        "",
        fields="(type $t (func)) (table 1 funcref)"
        + f"(func {repeated(400, '(call_indirect (type $t) (i32.const 0))')})" * 8,
    ),
    "divisions": lambda: wat(
        "",
        fields=f"(func (param i64) i64.const 7 {repeated(2000, 'local.get 0 i64.div_s')} drop)" * 5,
    ),
    "erc20": lambda: build.c("erc20"),
}


def priced(benchmark, nanoseconds: int, gas: int, **more: object) -> None:
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(
        microseconds=round(nanoseconds / 1e3, 2),
        gas=gas,
        gas_per_microsecond=round(gas * 1e3 / nanoseconds, 1),
        ns_per_gas=round(nanoseconds / gas, 2),
        **more,
    )
    print(f"\n{nanoseconds / 1e3:,.2f} us for {gas:,} gas: {nanoseconds / gas:.2f} ns a gas")


def message(to: Address | None, data: bytes = b"") -> Message:
    return Message(sender=SENDER, to=to, gas_limit=10**10, data=data)


FREE = replace(HYBRID, base_fee=0)


@pytest.mark.parametrize("name", SLOW_TO_COMPILE)
def test_deploying(benchmark, name: str) -> None:
    """Nothing that compiles takes more than 20 ns of processor time for its gas; goal 10."""
    code = SLOW_TO_COMPILE[name]()
    executor = Executor(MemoryView({SENDER: Allocation(balance=10**30)}))
    best, gas = 1 << 62, 0
    for _ in range(3 if FULL else 1):
        forget_modules()
        call = executor.prepare(FREE, message(None, code), flags=FLAGS)
        best = min(best, processor_ns(call.run))
        result = call.run()
        assert result.success, result.exit_reason
        gas = result.gas_used - result.gas_intrinsic - 200 * len(code)
    priced(benchmark, best, gas, bytes=len(code))


@pytest.mark.parametrize("name", ["functions", "accesses", "erc20"])
def test_loading(benchmark, tmp_path: Path, name: str) -> None:
    """The first call in a block, its module on disk: loading it is in the price."""
    code = SLOW_TO_COMPILE[name]()
    view = MemoryView({SENDER: Allocation(balance=10**30), CONTRACT: Allocation(1, 0, code)})
    executor = Executor(view)
    call = executor.prepare(FREE, message(CONTRACT), flags=FLAGS)
    best = 1 << 62
    try:
        open_engine(EngineSettings(cache_directory=tmp_path / "modules"))
        result = call.run()
        for _ in range(10):
            forget_modules()
            best = min(best, call.time_ns())
    finally:
        open_engine()
    priced(benchmark, best, result.gas_used - 21_000, bytes=len(code))


HOST_CALLS = {
    "msg_sender": ("i", "", (0,)),
    "math_mul_mod": ("iii", "", (0, 32, 64)),
    "math_pow": ("ii", "", (0, 64)),
    "native_keccak256": ("iii", "", (0, 135, 0)),
    "storage_load_bytes32": ("ii", "", (0, 32)),
    "storage_cache_bytes32": ("ii", "", (0, 32)),
    "evm_gas_left": ("", "l", ()),
    "account_balance": ("ii", "", (0, 64)),
}


def loop_of(call: str, imports: str, count: int) -> bytes:
    fill = "(memory.fill (i32.const 0) (i32.const 255) (i32.const 256))"
    return wat(
        f"(local $i i32) {fill} (loop $again {call}"
        "(local.set $i (i32.add (local.get $i) (i32.const 1)))"
        f"(br_if $again (i32.lt_u (local.get $i) (i32.const {count}))))",
        imports=imports,
    )


@pytest.mark.parametrize("name", HOST_CALLS)
def test_host_call(benchmark, name: str) -> None:
    """One call of a host function, less the loop around it."""
    parameters, results, arguments = HOST_CALLS[name]
    count = 10_000 if FULL else 500
    types = {"i": "i32", "l": "i64"}
    signature = "".join(f" (param {types[letter]})" for letter in parameters)
    signature += "".join(f" (result {types[letter]})" for letter in results)
    operands = " ".join(f"(i32.const {argument})" for argument in arguments)
    call = f"(call $host {operands})"
    call = f"(drop {call})" if results else call
    imports = f'(import "vm_hooks" "{name}" (func $host{signature}))'
    idle_ns, idle_gas, _ = called(loop_of("", "", count), b"")
    nanoseconds, gas, _ = called(loop_of(call, imports, count), b"")
    spent = max(1, round((nanoseconds - idle_ns) / count))
    priced(benchmark, spent, max(1, round((gas - idle_gas) / count)))
