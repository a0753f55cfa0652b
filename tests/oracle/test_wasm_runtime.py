"""Running WASM contracts: hostile ones leave the node unharmed, and what a contract does and pays
is the same however it was compiled and wherever that came from."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution import wasm_engine
from ghostchain.execution.executor import Exit
from ghostchain.execution.views import Allocation
from ghostchain.execution.wasm_engine import (
    EngineSettings,
    WasmUnavailable,
    close_engine,
    engine_fingerprint,
    engine_statistics,
    forget_modules,
    library_path,
    open_engine,
)
from ghostchain.primitives.transaction import Transaction
from tests.oracle.wasm_world import (
    CONTRACT,
    DATA,
    ENVIRONMENT,
    HOSTS,
    OTHER,
    PAGE,
    World,
    call,
    evm_call,
    interpreter,
    module,
    number,
    script,
    word,
)

GAS = 3_000_000
# Calls outside of blocks may have more gas than any block: enough for 1,024 frames.
MUCH_GAS = 10**14


@pytest.fixture
def engine() -> Iterator[None]:
    """Puts the ordinary engine back."""
    yield
    open_engine()


def stopped(code: bytes, data: bytes = b"", gas: int = GAS) -> Exit:
    """How a contract ends that loses all its gas; the executor works as before."""
    there = World({CONTRACT: code, OTHER: interpreter()})
    result = there.send(CONTRACT, data, gas=gas)
    assert not result.success
    assert result.gas_used == gas
    assert there.send(OTHER, script([], length=1)).exit == Exit.SUCCESS
    return result.exit


# ---- contracts that do not want to end ----


@pytest.mark.parametrize(
    "body",
    [
        "(loop $again (br $again)) (i32.const 0)",
        "(loop $again (br_if $again (i32.const 1))) (i32.const 0)",
        "(block $out (loop $again (br_table $again $again (i32.const 0)))) (i32.const 0)",
        "(loop $again (call $chainid) drop (br $again)) (i32.const 0)",
        "(loop $again (call $write_result (i32.const 0) (i32.const 65536)) (br $again))"
        "(i32.const 0)",
        "(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $again))"
        "(i32.const 0)",
    ],
    ids=["br", "br_if", "br_table", "host", "results", "fill"],
)
def test_infinite_loops_end_without_gas(body: str) -> None:
    assert stopped(module(body)) == Exit.OUT_OF_GAS


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("(call $f) (i32.const 0)", "(func $f (call $f))"),
        ("(call $f) (i32.const 0)", "(func $f (call $g)) (func $g (call $f))"),
        (
            "(call_indirect (type $t) (i32.const 0)) (i32.const 0)",
            "(type $t (func)) (table 1 funcref) (elem (i32.const 0) $f)"
            "(func $f (call_indirect (type $t) (i32.const 0)))",
        ),
        (
            "(drop (call $f (i64.const 1))) (i32.const 0)",
            f"(func $f (param i64) (result i64) {'(local i64)' * 900} (call $f (local.get 0)))",
        ),
    ],
    ids=["one", "two", "indirect", "locals"],
)
def test_recursion_ends_by_the_counted_stack(body: str, fields: str) -> None:
    assert stopped(module(body, fields=fields)) == Exit.WASM_TRAP


@pytest.mark.parametrize(
    "body",
    [
        "unreachable",
        "(i32.load (i32.const -1))",
        "(i32.load (i32.const 65533))",
        "(i32.store8 (i32.const 65536) (i32.const 1)) (i32.const 0)",
        "(i64.load offset=4294967295 (i32.const -1)) drop (i32.const 0)",
        "(i32.div_s (i32.const 1) (i32.const 0))",
        "(i32.div_s (i32.const -2147483648) (i32.const -1))",
        "(i32.rem_u (i32.const 1) (i32.const 0))",
        "(memory.fill (i32.const 65535) (i32.const 1) (i32.const 2)) (i32.const 0)",
        "(memory.copy (i32.const 0) (i32.const 65535) (i32.const 2)) (i32.const 0)",
    ],
)
def test_traps_take_all_gas(body: str) -> None:
    assert stopped(module(body)) == Exit.WASM_TRAP


def test_an_indirect_call_of_nothing_or_of_another_type_traps() -> None:
    fields = "(type $t (func (result i32))) (table 3 funcref) (elem (i32.const 0) $f) (func $f)"
    for index in (0, 1, 3, 0xFFFFFFFF):
        assert stopped(module(f"(call_indirect (type $t) (i32.const {index}))", fields=fields)) == (
            Exit.WASM_TRAP
        )


# ---- memory ----


def test_memory_grows_to_its_bound_for_a_price_and_no_further() -> None:
    """128 pages, the maximum that the module declares, and -1 for more, without a trap."""
    body = (
        "(i32.store (i32.const 0) (memory.grow (i32.const 100)))"
        "(i32.store (i32.const 4) (memory.grow (i32.const 100)))"
        "(i32.store (i32.const 8) (memory.grow (i32.const -1)))"
        "(i32.store (i32.const 12) (memory.grow (i32.const 27)))"
        "(i32.store (i32.const 16) (memory.grow (i32.const 1)))"
        "(i32.store8 (i32.const 8388607) (i32.const 1))"
        "(call $write_result (i32.const 0) (i32.const 20)) (i32.const 0)"
    )
    result = World({CONTRACT: module(body)}).send(CONTRACT, gas=GAS)
    pages = [int.from_bytes(result.output[i : i + 4], "little") for i in range(0, 20, 4)]
    assert pages == [1, 0xFFFFFFFF, 0xFFFFFFFF, 101, 0xFFFFFFFF]
    assert result.gas_used > 128 * 1000 + 4 * 128**2
    limited = module(body.replace("8388607", "0"), pages_max=50)
    output = World({CONTRACT: limited}).send(CONTRACT, gas=GAS).output
    assert [int.from_bytes(output[i : i + 4], "little") for i in range(0, 20, 4)][3] == 1


def test_growing_without_the_price_ends_the_frame() -> None:
    assert stopped(module("(drop (memory.grow (i32.const 127))) (i32.const 0)"), gas=150_000) == (
        Exit.OUT_OF_GAS
    )


def test_memory_is_zero_for_the_next_contract() -> None:
    """Whatever the last one left in the memory that is used again."""
    dirty = module(
        "(drop (memory.grow (i32.const 20)))"
        "(memory.fill (i32.const 0) (i32.const 255) (i32.const 1300000)) (i32.const 0)"
    )
    look = module(
        "(local $at i32) (drop (memory.grow (i32.const 20)))"
        "(loop $again (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))"
        "(local.set $at (i32.add (local.get $at) (i32.const 8)))"
        "(br_if $again (i32.lt_u (local.get $at) (i32.const 1300000)))) (i32.const 0)"
    )
    there = World({CONTRACT: dirty, OTHER: look})
    for _ in range(5):
        assert there.send(CONTRACT).exit == Exit.SUCCESS
        assert there.send(OTHER).exit == Exit.SUCCESS


def recursive(pages: int = 1, to: bytes = CONTRACT) -> bytes:
    """Calls `to` with all its gas; returns one more than the 4 bytes that it gets back."""
    body = """
        (call $read_args (i32.const 0))
        (if (i32.eqz (call $call_contract (i32.const 512) (i32.const 0) (i32.const 0)
                (i32.const 544) (i64.const -1) (i32.const 600)))
            (then (drop (call $read_return_data (i32.const 0) (i32.const 0) (i32.const 4)))))
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (call $write_result (i32.const 0) (i32.const 4)) (i32.const 0)"""
    text = "".join(f"\\{byte:02x}" for byte in to)
    return module(body, fields=f'(data (i32.const 512) "{text}")', pages=pages)


# CALLDATASIZE 0 0 CALLDATACOPY, CALL(gas, to, 0, 0, 0, 0, 0), returns what came back.
def forwarder(to: bytes) -> bytes:
    return bytes.fromhex("5f5f5f5f5f73") + to + bytes.fromhex("5af13d5f5f3e3d5ff3")


def test_calls_nest_to_the_depth_of_the_evm() -> None:
    """1,025 frames: a contract that calls itself, and one that goes through the EVM each time."""
    there = World({CONTRACT: recursive()})
    result = there.send(CONTRACT, gas=MUCH_GAS)
    assert result.exit == Exit.SUCCESS
    assert int.from_bytes(result.output, "little") == 1025
    mixed = World({CONTRACT: recursive(to=OTHER), OTHER: forwarder(CONTRACT)})
    result = mixed.send(CONTRACT, gas=MUCH_GAS)
    assert result.exit == Exit.SUCCESS
    assert int.from_bytes(result.output, "little") == 513


def test_frames_pay_for_the_memory_of_those_around_them() -> None:
    """With 128 pages each: 16.7 million gas hold less than 2,000 pages at once."""
    result = World({CONTRACT: recursive(pages=128)}).send(CONTRACT, gas=1 << 24)
    assert result.exit == Exit.SUCCESS
    assert 3 < int.from_bytes(result.output, "little") < 16


def test_deep_native_stacks_of_nested_frames_fit() -> None:
    """Frames that first use much of their own stack, then call: the stacks add up."""
    fields = (
        "(func $down (param $n i32) (result i32) (if (result i32) (i32.eqz (local.get $n))"
        "(then (call $call_contract (i32.const 512) (i32.const 0) (i32.const 0) (i32.const 544)"
        "(i64.const -1) (i32.const 600)))"
        "(else (call $down (i32.sub (local.get $n) (i32.const 1))))))"
        '(data (i32.const 512) "' + "\\cc" * 20 + '")'
    )
    there = World(
        {CONTRACT: module("(drop (call $down (i32.const 1500))) (i32.const 0)", fields=fields)}
    )
    assert there.send(CONTRACT, gas=MUCH_GAS).exit == Exit.SUCCESS


# ---- bad pointers ----

# Which parameters of each host function are addresses in the contract's memory.
POINTERS = {
    "read_args": (0,),
    "write_result": (0,),
    "storage_load_bytes32": (0, 1),
    "storage_cache_bytes32": (0, 1),
    "transient_load_bytes32": (0, 1),
    "transient_store_bytes32": (0, 1),
    "call_contract": (0, 1, 3, 5),
    "delegate_call_contract": (0, 1, 4),
    "static_call_contract": (0, 1, 4),
    "create1": (0, 2, 3, 4),
    "create2": (0, 2, 3, 4, 5),
    "read_return_data": (0,),
    "emit_log": (0,),
    "account_balance": (0, 1),
    "account_code": (0, 3),
    "account_code_size": (0,),
    "account_codehash": (0, 1),
    "block_basefee": (0,),
    "block_coinbase": (0,),
    "contract_address": (0,),
    "math_div": (0, 1),
    "math_mod": (0, 1),
    "math_pow": (0, 1),
    "math_add_mod": (0, 1, 2),
    "math_mul_mod": (0, 1, 2),
    "msg_sender": (0,),
    "msg_value": (0,),
    "native_keccak256": (0, 2),
    "tx_gas_price": (0,),
    "tx_origin": (0,),
}
NO_POINTERS = {
    "exit_early",
    "storage_flush_cache",
    "return_data_size",
    "block_gas_limit",
    "block_number",
    "block_timestamp",
    "chainid",
    "evm_gas_left",
    "evm_ink_left",
    "msg_reentrant",
    "tx_ink_price",
    "pay_for_memory_grow",
}


def test_every_host_function_is_in_the_table_of_pointers() -> None:
    assert set(POINTERS) | NO_POINTERS == set(HOSTS)


def good_arguments(name: str) -> list[int]:
    """Arguments with which the call does not trap; lengths are 40."""
    arguments = []
    for index, letter in enumerate(HOSTS[name][0]):
        if letter == "l":
            arguments.append(1000)
        elif index in POINTERS.get(name, ()):
            arguments.append(DATA + 64 * index)
        else:
            arguments.append(40)
    if name == "emit_log":
        arguments[2] = 1
    if name in ("read_return_data", "account_code"):
        arguments[1] = 0
    return arguments


@pytest.mark.parametrize(
    ("name", "index"), [(name, index) for name, places in POINTERS.items() for index in places]
)
def test_pointers_out_of_memory_trap(name: str, index: int) -> None:
    """At the end, a byte before it, and where 32 bits wrap; after a call that returned 32 bytes."""
    there = World({CONTRACT: interpreter(), OTHER: evm_call("call", b"\0" * 20)})
    data = OTHER * 10 + bytes(200)
    before = [call("static_call_contract", DATA, 0, 0, 2**62, DATA + 100)]
    good = there.send(CONTRACT, script([*before, call(name, *good_arguments(name))], data))
    assert good.exit == Exit.SUCCESS
    for bad in (PAGE, PAGE - 1, PAGE + 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFE0):
        arguments = good_arguments(name)
        arguments[index] = bad
        result = there.send(CONTRACT, script([*before, call(name, *arguments)], data), gas=GAS)
        assert result.exit == Exit.WASM_TRAP, hex(bad)
        assert result.gas_used == GAS


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_any_numbers_leave_the_node_unharmed(name: str) -> None:
    """Every host function with edges and chance for all arguments."""
    chance = random.Random(name)
    edges = (0, 1, 31, 32, 33, DATA, PAGE - 32, PAGE - 1, PAGE, 2**31 - 1, 2**31, 2**32 - 1)
    there = World({CONTRACT: interpreter(), OTHER: evm_call("call", CONTRACT)})
    ends = {
        Exit.SUCCESS,
        Exit.REVERT,
        Exit.OUT_OF_GAS,
        Exit.WASM_TRAP,
        Exit.CODE_SIZE,
    }
    for _ in range(60):
        arguments = [
            chance.choice(edges) if chance.random() < 0.8 else chance.getrandbits(32)
            for _ in HOSTS[name][0]
        ]
        data = chance.randbytes(300)
        result = there.send(CONTRACT, script([call(name, *arguments)], data), gas=GAS, keep=False)
        assert result.exit in ends, (name, arguments)


@pytest.mark.parametrize("name", ["write_result", "native_keccak256", "emit_log"])
def test_huge_lengths_trap_or_cost(name: str) -> None:
    there = World({CONTRACT: interpreter()})
    for length in (2**32 - 1, 2**31, PAGE - DATA + 1):
        arguments = [DATA, length, 0][: len(HOSTS[name][0])]
        result = there.send(CONTRACT, script([call(name, *arguments)]), gas=GAS)
        assert result.exit == Exit.WASM_TRAP
    arguments = [0, PAGE, 0][: len(HOSTS[name][0])]
    calls = [call("evm_gas_left", keep=DATA), call(name, *arguments)]
    calls += [call("evm_gas_left", keep=DATA + 8)]
    result = there.send(CONTRACT, script(calls), gas=10_000_000)
    assert result.exit == Exit.SUCCESS
    first, last = (number(result.output[at : at + 8]) for at in (0, 8))
    assert first - last > 6_500


# ---- storms and leaks ----


def storm(to: bytes, gas: int) -> bytes:
    """Calls `to` until the gas is gone."""
    text = "".join(f"\\{byte:02x}" for byte in to)
    return module(
        "(loop $again (drop (call $call_contract (i32.const 0) (i32.const 0) (i32.const 0)"
        f"(i32.const 32) (i64.const {gas}) (i32.const 64))) (br $again)) (i32.const 0)",
        fields=f'(data (i32.const 0) "{text}")',
    )


@pytest.mark.parametrize(
    "body",
    ["(i32.const 0)", "(i32.const 1)", "unreachable", "(loop $again (br $again)) (i32.const 0)"],
)
def test_call_storms_end_without_gas(body: str) -> None:
    there = World({CONTRACT: storm(OTHER, 30_000), OTHER: module(body)})
    result = there.send(CONTRACT, gas=10_000_000)
    assert (result.exit, result.gas_used) == (Exit.OUT_OF_GAS, 10_000_000)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(
    "GHOSTCHAIN_SANITIZED" in os.environ, reason="the sanitizer keeps what is freed for a while"
)
def test_nothing_leaks_over_ten_thousand_calls() -> None:
    """Of contracts that succeed, revert, trap and run out, with storage, results and memory."""
    codes = [
        "(call $write_result (i32.const 0) (i32.const 60000)) (i32.const 0)",
        "(i32.const 1)",
        "unreachable",
        "(drop (memory.grow (i32.const 3))) (loop $again (br $again)) (i32.const 0)",
    ]
    there = World(
        {bytes([i + 1]) * 20: module(code) for i, code in enumerate(codes)}
        | {CONTRACT: interpreter()}
    )

    def some(count: int) -> None:
        for index in range(count):
            there.send(bytes([index % 4 + 1]) * 20, gas=60_000, keep=False)
            if index % 16 == 0:
                calls = [call("storage_cache_bytes32", DATA + 32 * i, DATA) for i in range(12)]
                there.send(CONTRACT, script(calls, bytes(range(250))), keep=False)

    some(2_000)
    before = resident_bytes()
    some(10_000)
    assert resident_bytes() - before < 4 << 20


# ---- the same however it was compiled ----

SETTINGS = {
    "none": EngineSettings(optimisation="none"),
    "size": EngineSettings(optimisation="speed_and_size"),
    "single pass": EngineSettings(optimisation="none", flags="regalloc_algorithm=single_pass"),
    "old processor": EngineSettings(
        flags="has_avx=false,has_avx2=false,has_bmi1=false,has_bmi2=false,has_lzcnt=false,"
        "has_popcnt=false,has_sse42=false,has_sse41=false,has_ssse3=false,has_fma=false"
    ),
}


def behaviour() -> list[tuple[Exit, int, bytes]]:
    """Exit, gas and output of many contracts, each with gas for all of it and for parts."""
    chance = random.Random(20)
    outcomes = []
    calls = [call("math_mul_mod", DATA, DATA + 32, DATA + 64), call("evm_ink_left", keep=DATA)]
    calls += [call("storage_cache_bytes32", DATA, DATA + 32), call("storage_flush_cache", 1)]
    runs = [
        (interpreter(), script(calls, chance.randbytes(200))),
        (module("(call $f) (i32.const 0)", fields="(func $f (call $f))"), b""),
        (recursive(), b""),
        (module(ARITHMETIC), b""),
        (module("(drop (memory.grow (i32.const 5))) (i32.load (i32.const 393215))"), b""),
    ]
    for code, data in runs:
        there = World({CONTRACT: code})
        for gas in (200_000, 40_000, 55_555, 61_111, 99_999, 10_000_000):
            result = there.send(CONTRACT, data, gas=gas, keep=False)
            outcomes.append((result.exit, result.gas_used, result.output))
    return outcomes


# Every operation that processors have instructions of their own for.
ARITHMETIC = """
    (local $n i64) (local $x i64) (local $y i32)
    (local.set $x (i64.const 0x9e3779b97f4a7c15))
    (loop $again
        (local.set $x (i64.mul (i64.xor (local.get $x) (i64.rotl (local.get $x) (local.get $n)))
            (i64.const 0xff51afd7ed558ccd)))
        (local.set $x (i64.add (local.get $x) (i64.popcnt (local.get $x))))
        (local.set $x (i64.add (local.get $x) (i64.clz (i64.shr_u (local.get $x) (local.get $n)))))
        (local.set $x (i64.sub (local.get $x) (i64.ctz (i64.shl (local.get $x) (local.get $n)))))
        (local.set $x (i64.add (local.get $x) (i64.rem_s (local.get $x) (i64.const 1000003))))
        (local.set $x (i64.xor (local.get $x) (i64.div_u (local.get $x)
            (i64.or (local.get $n) (i64.const 1)))))
        (local.set $y (i32.add (local.get $y) (i32.rotr (i32.wrap_i64 (local.get $x))
            (i32.extend8_s (local.get $y)))))
        (i64.store (i32.and (local.get $y) (i32.const 0xff0)) (local.get $x))
        (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br_if $again (i64.lt_u (local.get $n) (i64.const 1000))))
    (i32.store (i32.const 0) (local.get $y))
    (call $native_keccak256 (i32.const 0) (i32.const 4096) (i32.const 0))
    (call $write_result (i32.const 0) (i32.const 32)) (i32.const 0)"""


@pytest.mark.parametrize("name", SETTINGS)
def test_results_and_gas_do_not_depend_on_the_compiler(engine: None, name: str) -> None:
    open_engine()
    expected, fingerprint = behaviour(), engine_fingerprint()
    open_engine(SETTINGS[name])
    assert engine_fingerprint() != fingerprint
    assert behaviour() == expected
    assert {exit for exit, _, _ in expected} >= {Exit.SUCCESS, Exit.OUT_OF_GAS, Exit.WASM_TRAP}


# ---- compiled modules in memory and on disk ----


def counted(index: int) -> bytes:
    return module(
        f"(i32.store (i32.const 0) (i32.const {index}))"
        "(call $write_result (i32.const 0) (i32.const 4)) (i32.const 0)"
    )


def test_memory_keeps_the_modules_used_last(engine: None) -> None:
    open_engine(EngineSettings(cache_modules_max=4))
    there = World({bytes([i + 1]) * 20: counted(i) for i in range(12)})
    for index in [*range(12), *range(12)]:
        output = there.send(bytes([index + 1]) * 20).output
        assert int.from_bytes(output, "little") == index
    seen = engine_statistics()
    assert (seen.modules, seen.compiled, seen.evicted) == (4, 24, 20)
    small = EngineSettings(cache_bytes_max=100_000)
    open_engine(small)
    for index in range(12):
        there.send(bytes([index + 1]) * 20)
    assert engine_statistics().bytes <= small.cache_bytes_max


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != "key")


def test_disk_serves_the_next_process(engine: None, tmp_path: Path) -> None:
    """Written once, for the owner alone, loaded by whoever has the key and the same engine."""
    folder = tmp_path / "modules"
    settings = EngineSettings(cache_directory=folder)
    open_engine(settings)
    there = World({CONTRACT: counted(7)})
    first = there.send(CONTRACT, keep=False)
    (file,) = files_of(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    forget_modules()
    assert there.send(CONTRACT, keep=False) == first
    assert (engine_statistics().compiled, engine_statistics().loaded) == (1, 1)
    open_engine(settings)
    assert there.send(CONTRACT, keep=False) == first
    assert (engine_statistics().compiled, engine_statistics().loaded) == (0, 1)
    open_engine(EngineSettings(cache_directory=folder, optimisation="none"))
    assert there.send(CONTRACT, keep=False) == first
    assert engine_statistics().compiled == 1
    assert len(files_of(folder)) == 2


def test_damaged_and_foreign_files_are_compiled_anew(engine: None, tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    settings = EngineSettings(cache_directory=folder)
    open_engine(settings)
    there = World({CONTRACT: counted(7), OTHER: counted(8)})
    first = there.send(CONTRACT, keep=False)
    (file,) = files_of(folder)
    there.send(OTHER, keep=False)
    (other,) = [path for path in files_of(folder) if path != file]
    good = file.read_bytes()
    chance = random.Random(1)
    broken = [b"", good[:20], good[:40], good[:-1], good + b"\0", other.read_bytes()]
    for place in (0, 35, 41, len(good) // 2, len(good) - 1, chance.randrange(len(good))):
        broken.append(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    for count, content in enumerate(broken, 1):
        file.write_bytes(content)
        forget_modules()
        assert there.send(CONTRACT, keep=False) == first
        assert engine_statistics().refused_files == count
        assert file.read_bytes()[32:] == good[32:], "and written again"
    file.unlink()
    file.symlink_to(other)
    forget_modules()
    assert there.send(CONTRACT, keep=False) == first
    (folder / "key").write_bytes(bytes(32))
    open_engine(settings)
    assert there.send(CONTRACT, keep=False) == first
    assert engine_statistics().refused_files == 1


def test_what_is_no_contract_fails_each_time_alike() -> None:
    """Code with the magic that nobody checked, as an account's before the rules began."""
    magic = b"\0asm\1\0\0\0"
    for code in (magic, magic + b"\xff", magic + bytes(100)):
        there = World({CONTRACT: code})
        results = [there.send(CONTRACT, gas=GAS, keep=False) for _ in range(3)]
        assert all(result == results[0] for result in results)
        assert (results[0].exit, results[0].gas_used) == (Exit.WASM_INVALID, GAS)


# ---- deploying ----


def test_a_module_deploys_itself_and_runs() -> None:
    there = World({})
    code = counted(9)
    created = there.send(None, code)
    assert created.exit == Exit.SUCCESS
    assert created.contract_address is not None
    assert there.send(created.contract_address).output == (9).to_bytes(4, "little")
    # CODECOPY(0, 12, size), RETURN(0, size)
    init = bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600b5f395ff3")
    init = init.ljust(11, b"\0") + code
    created = there.send(None, init)
    assert created.exit == Exit.SUCCESS
    assert there.send(created.contract_address).output == (9).to_bytes(4, "little")


def test_a_refused_module_says_why_and_takes_all_gas() -> None:
    result = World({}).send(None, module("(i32.const 0)") + b"\0", gas=GAS)
    assert (result.exit, result.gas_used) == (Exit.WASM_INVALID, GAS)
    assert result.exit_reason


def test_deploying_without_the_price_compiles_nothing(engine: None) -> None:
    open_engine()
    code = module("(i32.const 0)", fields="(func)" * 2000)
    assert World({}).send(None, code, gas=GAS).exit == Exit.OUT_OF_GAS
    assert engine_statistics().compiled == 0


def test_a_contract_can_create_contracts_of_either_kind() -> None:
    """create1 with a module, which deploys itself, then a call of what it made."""
    code = counted(6)
    at, address = DATA + 256, DATA + 32
    calls = [
        call("create1", at, len(code), DATA, address, DATA + 64),
        call("call_contract", address, 0, 0, DATA, 2**62, DATA + 64, keep=DATA + 72),
        call("read_return_data", DATA + 80, 0, 4),
    ]
    there = World({CONTRACT: interpreter()})
    output = there.send(CONTRACT, script(calls, bytes(256) + code)).output
    assert number(output[72:80]) == 0
    assert output[80:84] == (6).to_bytes(4, "little")


class Broken(Exception):
    """What a state that cannot be read raises."""


def test_a_state_that_cannot_be_read_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the view raises reaches the caller from frames of both engines, and nothing is left."""
    load = script([call("storage_load_bytes32", DATA, DATA)], word(5))
    there = World({CONTRACT: evm_call("call", OTHER, data=load), OTHER: interpreter()})
    good = there.send(CONTRACT, keep=False)

    def fail(*_: bytes) -> bytes:
        raise Broken

    there = World({CONTRACT: evm_call("call", OTHER, data=load), OTHER: interpreter()})
    there.view.put(OTHER, Allocation(1, 10**18, interpreter(), {word(5): word(1)}))
    with monkeypatch.context() as patch:
        patch.setattr(type(there.view), "slot", fail)
        for _ in range(3):
            with pytest.raises(Broken):
                there.send(CONTRACT, keep=False)
    assert there.send(CONTRACT, keep=False).gas_used == good.gas_used


# ---- prices of loading ----


def test_a_block_pays_the_cold_price_once_and_is_the_same_again() -> None:
    """The first transaction that runs the module; also when the block is run a second time."""
    keys = [bytes(31) + bytes([index]) for index in (1, 2, 3)]
    there = World({CONTRACT: counted(1)})
    for key in keys:
        there.view.put(address_of(key), Allocation(balance=10**20))
    transaction = Transaction(
        type=2,
        chain_id=ENVIRONMENT.chain_id,
        nonce=0,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=100,
        gas_limit=100_000,
        to=CONTRACT,
    )
    batch = TransactionBatch.decode(
        [encode_transaction(sign_transaction(transaction, key)) for key in keys]
    )
    batch.recover()
    seen = []
    for _ in range(3):
        forget_modules()
        result = there.executor.run_block(ENVIRONMENT, batch, system_calls=False)
        seen.append([outcome.gas_used for outcome in result.outcomes])
        there.executor.discard()
    assert seen[0] == seen[1] == seen[2]
    first, second, third = seen[0]
    assert first > second + 10_000
    assert second == third


def test_a_module_is_cold_once_in_a_block() -> None:
    """The second call of one transaction pays for the instance alone; another one begins anew."""
    calls = [
        call("evm_gas_left", keep=DATA + 64),
        call("static_call_contract", DATA, 0, 0, 2**62, DATA + 32),
        call("evm_gas_left", keep=DATA + 72),
        call("static_call_contract", DATA, 0, 0, 2**62, DATA + 32),
        call("evm_gas_left", keep=DATA + 80),
    ]
    there = World({CONTRACT: interpreter(), OTHER: counted(1)})
    for _ in range(2):
        output = there.send(CONTRACT, script(calls, OTHER), keep=False).output
        left = [int.from_bytes(output[i : i + 8], "little") for i in (64, 72, 80)]
        assert left[0] - left[1] > 12_600, "2,600 for the account, 10,000 and more for the module"
        assert left[1] - left[2] < 2_000


# ---- opening ----


def test_executors_of_many_threads_share_modules(engine: None) -> None:
    open_engine(EngineSettings(cache_modules_max=3))
    wrong: list[int] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        there = World({bytes([i + 1]) * 20: counted(i) for i in range(8)})
        for _ in range(60):
            index = chance.randrange(8)
            output = there.send(bytes([index + 1]) * 20, keep=False).output
            if int.from_bytes(output, "little") != index:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_another_version_or_library_is_refused(
    engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wasm_engine, "version", lambda name: "51.0.0")
    with pytest.raises(WasmUnavailable, match=r"wasmtime 51\.0\.0 is installed"):
        library_path()
    monkeypatch.setattr(wasm_engine, "library_path", lambda: Path("/nowhere/library.so"))
    with pytest.raises(WasmUnavailable, match="cannot be loaded"):
        open_engine()
    monkeypatch.setattr(wasm_engine, "library_path", lambda: Path("libm.so.6"))
    with pytest.raises(WasmUnavailable, match="it lacks wasm_config_new"):
        open_engine()


def test_settings_that_cannot_be_used_say_so(engine: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WasmUnavailable, match="must be a directory"):
        open_engine(EngineSettings(cache_directory=tmp_path / "file"))
    with pytest.raises(WasmUnavailable, match="cannot be made"):
        open_engine(EngineSettings(cache_directory=tmp_path / "not" / "there"))
    close_engine()
    assert engine_fingerprint() == bytes(32)
    assert World({CONTRACT: counted(3)}).send(CONTRACT).output == b"\3\0\0\0"
