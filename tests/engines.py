"""One contract written for each engine: EVM code, a WASM module, and a contract in Python.

All three understand the same call data and mean the same by it, so that what one engine's
contract does to another's can be told by one model (tests/oracle/test_engines.py).

The first byte says what to do, the second how:

    0  act    0 succeed, 1 revert, 2 halt, 3 run out of gas, 4 succeed and change nothing.
              All but 4 first set slot 3 to 1 + CALLVALUE and log one byte, the second, under topic
              0x77. Success returns CALLER, CALLVALUE, ADDRESS as words; a revert carries REFUSAL.
    1  call   sets slot 1 to 1, makes a call or a creation, sets slot 2 to 1 + whether it succeeded,
              and returns whether it did (a creation: the address) and what came back. The second
              byte's low bits are the kind (`FrameKind`); 0x80: reverts in the end with the same
              data; 0x40: halts; 0x20: leaves the slots alone. Then: address (20 bytes), value (32),
              gas (8), input or init code.
    3  touch  one change: 0 storage, 1 log, 2 a call with value, 3 a creation, 4 transient storage.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ghostchain.execution.contracts import ContractHost, Halt
from ghostchain.execution.executor import Exit
from ghostchain.execution.forks import Fork
from ghostchain.execution.traces import FrameEngine, FrameKind
from ghostchain.primitives.types import Address
from tests.oracle.wasm_world import ENVIRONMENT as WASM_ENVIRONMENT
from tests.oracle.wasm_world import module

ROOT = Path(__file__).resolve().parents[1]
# Before Osaka nothing caps a transaction's gas, so that frames can nest to the end.
ENVIRONMENT = replace(WASM_ENVIRONMENT, fork=Fork.PRAGUE, gas_limit=1 << 50)
REFUSAL = (0xDEAD).to_bytes(32, "big")
NOT_DELEGABLE = bytes.fromhex("fcf8d929")
ALL_GAS = 2**64 - 1

SUCCEED, REVERT, HALT, SPIN, READ = range(5)


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def act(outcome: int) -> bytes:
    return bytes((0, outcome))


def call(
    kind: FrameKind,
    to: bytes,
    data: bytes,
    *,
    value: int = 0,
    gas: int = ALL_GAS,
    then: int = 0,
) -> bytes:
    return bytes((1, kind | then)) + to + word(value) + gas.to_bytes(8, "big") + data


THEN_REVERT, THEN_HALT, QUIETLY = 0x80, 0x40, 0x20


def touch(what: int) -> bytes:
    return bytes((3, what))


# ---- for the EVM ----


def _opcodes() -> dict[str, int]:
    text = (ROOT / "native" / "evm" / "opcodes.h").read_text()
    rows = re.findall(r"X\(0x([0-9a-f]{2}), (\w+),", text)
    return {name.lower(): int(code, 16) for code, name in rows}


def assemble(text: str) -> bytes:
    """Mnemonics, numbers (pushed), `label:` and `@label` (pushed as two bytes)."""
    opcodes = _opcodes()
    code = bytearray()
    labels: dict[str, int] = {}
    holes: list[tuple[int, str]] = []
    for token in re.sub(r";.*", "", text).split():
        if token.endswith(":"):
            labels[token[:-1]] = len(code)
            code.append(opcodes["jumpdest"])
        elif token.startswith("@"):
            code += b"\x61\0\0"
            holes.append((len(code) - 2, token[1:]))
        elif token[0].isdigit():
            number = int(token, 0)
            length = (number.bit_length() + 7) // 8
            code += bytes((0x5F + length,)) + number.to_bytes(length, "big")
        else:
            code.append(opcodes[token])
    for place, label in holes:
        code[place : place + 2] = labels[label].to_bytes(2, "big")
    return bytes(code)


EVM = assemble(
    """
    calldatasize 0 0 calldatacopy
    0 calldataload 1 byte           ; how
    0 calldataload 0 byte           ; what
    dup1 1 eq @call jumpi
    dup1 3 eq @touch jumpi
    pop

    dup1 4 eq @answer jumpi
    callvalue 1 add 3 sstore
    0x77 1 1 log1
    dup1 0 eq @answer jumpi
    dup1 1 eq @refuse jumpi
    dup1 2 eq @halt jumpi
    spin: @spin jump
    answer: caller 0 mstore callvalue 32 mstore address 64 mstore 96 0 return
    refuse: 0xdead 0 mstore 32 0 revert
    halt: invalid

    call: pop
    dup1 0x20 and @quiet jumpi
    1 1 sstore
    quiet: 7 and
    dup1 1 eq @callcode jumpi
    dup1 2 eq @delegatecall jumpi
    dup1 3 eq @staticcall jumpi
    dup1 4 eq @create jumpi
    dup1 5 eq @create2 jumpi
    0 0 62 calldatasize sub 62 22 calldataload
    2 calldataload 96 shr 54 calldataload 192 shr call @after jump
    callcode: 0 0 62 calldatasize sub 62 22 calldataload
    2 calldataload 96 shr 54 calldataload 192 shr callcode @after jump
    delegatecall: 0 0 62 calldatasize sub 62
    2 calldataload 96 shr 54 calldataload 192 shr delegatecall @after jump
    staticcall: 0 0 62 calldatasize sub 62
    2 calldataload 96 shr 54 calldataload 192 shr staticcall @after jump
    create: 62 calldatasize sub 62 22 calldataload create @after jump
    create2: 7 62 calldatasize sub 62 22 calldataload create2 @after jump
    after:
    0 calldataload 1 byte 0x20 and @silent jumpi
    dup1 iszero iszero 1 add 2 sstore
    silent: 0 mstore
    returndatasize 0 32 returndatacopy
    0 calldataload 1 byte
    dup1 0x80 and @revert jumpi
    0x40 and @halt jumpi
    returndatasize 32 add 0 return
    revert: returndatasize 32 add 0 revert

    touch: pop
    dup1 0 eq @storage jumpi
    dup1 1 eq @log jumpi
    dup1 2 eq @pay jumpi
    dup1 3 eq @make jumpi
    1 1 tstore stop
    storage: 1 9 sstore stop
    log: 0 0 log0 stop
    pay: 0 0 0 0 1 0x99 gas call stop
    make: 0 0 0 create stop
    """
)


# ---- for WASM ----

# 0: arguments (to 0x20000); 0x20000: a key, 0x20020: a value, 0x20040: data of a log,
# 0x20100: what is returned.
_STORE = """
    (i32.store8 (i32.const 0x2001f) (i32.const {key}))
    (i64.store (i32.const 0x20020) (i64.const 0)) (i64.store (i32.const 0x20028) (i64.const 0))
    (i64.store (i32.const 0x20030) (i64.const 0)) (i64.store (i32.const 0x20038) (i64.const 0))
    (i32.store8 (i32.const 0x2003f) {value})
    (call $storage_cache_bytes32 (i32.const 0x20000) (i32.const 0x20020))
    (call $storage_flush_cache (i32.const 0))
"""


def _store(key: int, value: str) -> str:
    return _STORE.format(key=key, value=value)


_ANSWER = """
    (call $msg_sender (i32.const 0x2010c))
    (call $msg_value (i32.const 0x20120))
    (call $contract_address (i32.const 0x2014c))
    (call $write_result (i32.const 0x20100) (i32.const 96))
    (return (i32.const 0))
"""

_ACT = f"""
    (if (i32.eq (local.get $how) (i32.const 4)) (then {_ANSWER}))
    (call $msg_value (i32.const 0x20120))
    (i32.store8 (i32.const 0x2001f) (i32.const 3))
    (local.set $at (i32.const 31))
    (local.set $sum (i32.const 1))
    (loop $add
        (local.set $sum (i32.add (local.get $sum)
            (i32.load8_u offset=0x20120 (local.get $at))))
        (i32.store8 offset=0x20020 (local.get $at) (local.get $sum))
        (local.set $sum (i32.shr_u (local.get $sum) (i32.const 8)))
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (br_if $add (i32.ge_s (local.get $at) (i32.const 0))))
    (call $storage_cache_bytes32 (i32.const 0x20000) (i32.const 0x20020))
    (call $storage_flush_cache (i32.const 0))
    (i32.store8 (i32.const 0x2005f) (i32.const 0x77))
    (i32.store8 (i32.const 0x20060) (local.get $how))
    (call $emit_log (i32.const 0x20040) (i32.const 33) (i32.const 1))
    (if (i32.eqz (local.get $how)) (then {_ANSWER}))
    (if (i32.eq (local.get $how) (i32.const 1)) (then
        (i32.store16 (i32.const 0x2011e) (i32.const 0xadde))
        (i64.store (i32.const 0x20100) (i64.const 0)) (i64.store (i32.const 0x20108) (i64.const 0))
        (i64.store (i32.const 0x20110) (i64.const 0)) (i32.store (i32.const 0x20118) (i32.const 0))
        (call $write_result (i32.const 0x20100) (i32.const 32))
        (return (i32.const 1))))
    (if (i32.eq (local.get $how) (i32.const 2)) (then unreachable))
    (loop $spin (br $spin))
"""

# The gas of a call, whose bytes stand most significant first.
_GAS = """
    (local.set $at (i32.const 54))
    (loop $more
        (local.set $gas (i64.or (i64.shl (local.get $gas) (i64.const 8))
            (i64.load8_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 62))))
"""
_INPUT = "(i32.const 62) (i32.sub (local.get $length) (i32.const 62))"
_SENT = f"(i32.const 2) {_INPUT}"

_CALL = f"""
    (if (i32.eqz (i32.and (local.get $how) (i32.const 0x20)))
        (then {_store(1, "(i32.const 1)")}))
    {_GAS}
    (block $after
      (block $create2 (block $create (block $static (block $delegate (block $call
        (br_table $call $call $delegate $static $create $create2
            (i32.and (local.get $how) (i32.const 7))))
        (local.set $failed (call $call_contract {_SENT}
            (i32.const 22) (local.get $gas) (i32.const 0x20080)))
        (br $after))
        (local.set $failed (call $delegate_call_contract {_SENT}
            (local.get $gas) (i32.const 0x20080)))
        (br $after))
        (local.set $failed (call $static_call_contract {_SENT}
            (local.get $gas) (i32.const 0x20080)))
        (br $after))
        (call $create1 {_INPUT} (i32.const 22) (i32.const 0x2010c) (i32.const 0x20080))
        (local.set $created (i32.const 1))
        (br $after))
      (i32.store8 (i32.const 0x200bf) (i32.const 7))
      (call $create2 {_INPUT} (i32.const 22) (i32.const 0x200a0) (i32.const 0x2010c)
        (i32.const 0x20080))
      (local.set $created (i32.const 1)))
    (if (local.get $created)
        (then (local.set $failed (i64.eqz (i64.or (i64.load (i32.const 0x2010c))
            (i64.load (i32.const 0x20114))))))
        (else (i32.store8 (i32.const 0x2011f) (i32.eqz (local.get $failed)))))
    (if (i32.eqz (i32.and (local.get $how) (i32.const 0x20))) (then
        {_store(2, "(i32.sub (i32.const 2) (i32.ne (local.get $failed) (i32.const 0)))")}))
    (local.set $at (i32.add (i32.const 32) (call $read_return_data (i32.const 0x20120)
        (i32.const 0) (call $return_data_size))))
    (call $write_result (i32.const 0x20100) (local.get $at))
    (if (i32.and (local.get $how) (i32.const 0x80)) (then (return (i32.const 1))))
    (if (i32.and (local.get $how) (i32.const 0x40)) (then unreachable))
    (return (i32.const 0))
"""

_TOUCH = f"""
    (if (i32.eqz (local.get $how)) (then {_store(9, "(i32.const 1)")} (return (i32.const 0))))
    (if (i32.eq (local.get $how) (i32.const 1)) (then
        (call $emit_log (i32.const 0x20040) (i32.const 0) (i32.const 0)) (return (i32.const 0))))
    (if (i32.eq (local.get $how) (i32.const 2)) (then
        (i32.store8 (i32.const 0x200d3) (i32.const 0x99))
        (i32.store8 (i32.const 0x200ff) (i32.const 1))
        (drop (call $call_contract (i32.const 0x200c0) (i32.const 0) (i32.const 0)
            (i32.const 0x200e0) (i64.const -1) (i32.const 0x20080)))
        (return (i32.const 0))))
    (if (i32.eq (local.get $how) (i32.const 3)) (then
        (call $create1 (i32.const 0) (i32.const 0) (i32.const 0x20040) (i32.const 0x2010c)
            (i32.const 0x20080))
        (return (i32.const 0))))
    (i32.store8 (i32.const 0x2003f) (i32.const 1))
    (call $transient_store_bytes32 (i32.const 0x20000) (i32.const 0x20020))
    (return (i32.const 0))
"""

WASM = module(
    f"""
    (local $what i32) (local $how i32) (local $at i32) (local $sum i32) (local $failed i32)
    (local $created i32) (local $gas i64)
    (call $read_args (i32.const 0))
    (local.set $what (i32.load8_u (i32.const 0)))
    (local.set $how (i32.load8_u (i32.const 1)))
    (if (i32.eq (local.get $what) (i32.const 1)) (then {_CALL}))
    (if (i32.eq (local.get $what) (i32.const 3)) (then {_TOUCH}))
    {_ACT}
    unreachable
    """,
    pages=4,
)


# ---- for contracts in Python ----


def _python_act(host: ContractHost, how: int) -> tuple[int, bytes]:
    message = host.message
    if how != READ:
        host.store(3, 1 + message.value)
        host.log([word(0x77)], bytes((how,)))
    if how in (SUCCEED, READ):
        parts = (message.sender.rjust(32, b"\0"), word(message.value))
        return Exit.SUCCESS, b"".join(parts) + message.address.rjust(32, b"\0")
    if how == REVERT:
        return Exit.REVERT, REFUSAL
    if how == SPIN:
        while True:
            host.charge(100_000)
    return Exit.PRECOMPILE_FAILED, b""


def _python_call(host: ContractHost, data: bytes) -> tuple[int, bytes]:
    kind = FrameKind(data[1] & 7)
    is_quiet = bool(data[1] & QUIETLY)
    if not is_quiet:
        host.store(1, 1)
    succeeded, output = host.call(
        Address(data[2:22]),
        data[62:],
        value=int.from_bytes(data[22:54], "big"),
        gas=int.from_bytes(data[54:62], "big"),
        is_static=kind is FrameKind.STATICCALL,
    )
    if not is_quiet:
        host.store(2, 1 + succeeded)
    if data[1] & THEN_HALT:
        return Exit.PRECOMPILE_FAILED, b""
    return Exit.REVERT if data[1] & THEN_REVERT else Exit.SUCCESS, word(succeeded) + output


def _python_touch(host: ContractHost, what: int) -> tuple[int, bytes]:
    if what == 0:
        host.store(9, 1)
    elif what == 1:
        host.log([], b"")
    elif what == 2:
        host.call(Address(bytes(19) + b"\x99"), b"", value=1, gas=None, is_static=False)
    else:
        host.store_transient(1, 1)
    return Exit.SUCCESS, b""


def run_python(contract_id: int, host: ContractHost) -> tuple[int, bytes]:
    """A `ContractRunner` that runs the contract whatever the id."""
    data = host.message.data
    try:
        if data[0] == 1:
            return _python_call(host, data)
        if data[0] == 3:
            return _python_touch(host, data[1])
        return _python_act(host, data[1])
    except Halt as halt:
        return halt.exit, b""


# ---- the three ----

HALT_EXITS: dict[FrameEngine, Exit] = {
    FrameEngine.EVM: Exit.INVALID_OPCODE,
    FrameEngine.WASM: Exit.WASM_TRAP,
    FrameEngine.CONTRACT: Exit.PRECOMPILE_FAILED,
}
# A contract in Python lives where its id says, so each role has an id of its own.
PYTHON_IDS = {"caller": 0x7D, "callee": 0x7E}


def address_of(engine: FrameEngine, role: str) -> Address:
    if engine is FrameEngine.CONTRACT:
        return Address(bytes(17) + bytes((0x47, 0x43, PYTHON_IDS[role])))
    return Address(bytes((0xE0 + engine,)) + role.encode().rjust(19, b"\0"))


def code_of(engine: FrameEngine, role: str) -> bytes:
    if engine is FrameEngine.CONTRACT:
        return bytes((0xEF, 0x47, PYTHON_IDS[role]))
    return {FrameEngine.EVM: EVM, FrameEngine.WASM: WASM}[engine]


ENGINES = (FrameEngine.EVM, FrameEngine.WASM, FrameEngine.CONTRACT)
ADDRESSES: dict[tuple[FrameEngine, str], Address] = {
    (engine, role): address_of(engine, role) for engine in ENGINES for role in PYTHON_IDS
}
