"""A state with WASM contracts in it, and contracts written as the host calls they make."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from wasmtime import wat2wasm

from ghostchain.chain.config import BLOB_SCHEDULES
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallFlag,
    CallResult,
    Executor,
    Message,
)
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import Address

ROOT = Path(__file__).resolve().parents[2]
SENDER = Address(b"\x11" * 20)
CONTRACT = Address(b"\xcc" * 20)
OTHER = Address(b"\xdd" * 20)
# Where a script lies in the memory of the contract that follows it, and the data beside it.
SCRIPT = 0x1000
DATA = 0x3000
PAGE = 0x10000

ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    hybrid=True,
    chain_id=31337,
    number=300,
    timestamp=1_000,
    gas_limit=1_000_000_000,
    base_fee=7,
    coinbase=Address(b"\x05" * 20),
    prev_randao=bytes([3] * 32),
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
)


def host_table() -> dict[str, tuple[str, str]]:
    """The parameters and results of every host function, from the header that declares them."""
    text = (ROOT / "native" / "wasm" / "hosts.h").read_text()
    rows = re.findall(r'^    HOST\((\w+), "([il]*)", "([il]*)"\)', text, re.M)
    return {name: (parameters, results) for name, parameters, results in rows}


HOSTS = host_table()
_TYPES = {"i": "i32", "l": "i64"}


def _import(name: str) -> str:
    parameters, results = HOSTS[name]
    types = "".join(f" (param {_TYPES[letter]})" for letter in parameters)
    types += "".join(f" (result {_TYPES[letter]})" for letter in results)
    return f'(import "vm_hooks" "{name}" (func ${name}{types}))'


@cache
def assembled(text: str) -> bytes:
    return bytes(wat2wasm(text))


def module(body: str, *, pages: int = 1, pages_max: int | None = None, fields: str = "") -> bytes:
    """A contract whose entry point is body: instructions that leave the status, an i32. Host
    functions that it names by `$name` are imported; $length is the call data's."""
    names = dict.fromkeys(re.findall(r"\$(\w+)", body + fields))
    lines = [_import(name) for name in names if name in HOSTS]
    maximum = "" if pages_max is None else f" {pages_max}"
    return assembled(
        f"(module {' '.join(lines)} "
        f'(memory (export "memory") {pages}{maximum}) {fields} '
        f'(func (export "user_entrypoint") (param $length i32) (result i32) {body}))'
    )


# ---- a contract that makes the host calls which its call data lists ----

_HEADER = struct.Struct("<III52x")
_CALL = struct.Struct("<II6Q8x")
_CALLS_AT = SCRIPT + _HEADER.size
_CALLS_MAX = (DATA - _CALLS_AT) // _CALL.size


def _case(name: str) -> str:
    parameters, results = HOSTS[name]
    operands = " ".join(
        f"({_TYPES[letter]}.load offset={8 + 8 * index} (local.get $at))"
        for index, letter in enumerate(parameters)
    )
    text = f"(call ${name} {operands})"
    if results == "i":
        text = f"(i64.extend_i32_u {text})"
    if results:
        text = f"(i64.store (i32.load offset=4 (local.get $at)) {text})"
    return text


@cache
def interpreter(pages: int = 1) -> bytes:
    """See `script`."""
    names = list(HOSTS)
    table = " ".join(f"${index}" for index in range(len(names)))
    text = f"(br_table {table} (i32.load (local.get $at)))"
    for index, name in enumerate(names):
        text = f"(block ${index} {text}) {_case(name)} (br $next)"
    body = f"""
        (local $at i32) (local $end i32)
        (call $read_args (i32.const {SCRIPT}))
        (local.set $at (i32.const {_CALLS_AT}))
        (local.set $end (i32.add (local.get $at)
            (i32.mul (i32.load (i32.const {SCRIPT})) (i32.const {_CALL.size}))))
        (block $done (loop $again
            (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
            (block $next {text})
            (local.set $at (i32.add (local.get $at) (i32.const {_CALL.size})))
            (br $again)))
        (call $write_result (i32.const {DATA}) (i32.load offset=4 (i32.const {SCRIPT})))
        (i32.load offset=8 (i32.const {SCRIPT}))"""
    return module(body, pages=pages)


def call(name: str, *arguments: int, keep: int = 0) -> bytes:
    """One host call for `script`. keep: where its result goes, as 8 bytes little-endian."""
    parameters, _ = HOSTS[name]
    assert len(arguments) == len(parameters), name
    padded = [*arguments, *[0] * (6 - len(arguments))]
    return _CALL.pack(list(HOSTS).index(name), keep, *padded)


def script(
    calls: Sequence[bytes], data: bytes = b"", *, length: int = 0x200, status: int = 0
) -> bytes:
    """Call data for `interpreter`: data lies at DATA, then the calls are made, then what lies there
    (length bytes) is returned with the status."""
    assert len(calls) <= _CALLS_MAX
    head = _HEADER.pack(len(calls), length, status) + b"".join(calls)
    return head.ljust(DATA - SCRIPT, b"\0") + data


class World:
    """An executor over accounts in memory; what calls change is kept."""

    def __init__(self, codes: Mapping[bytes, bytes], *, balance: int = 10**18) -> None:
        allocation = {SENDER: Allocation(balance=10**30)}
        for address, code in codes.items():
            allocation[address] = Allocation(nonce=1, balance=balance, code=code)
        self.view = MemoryView(allocation)
        self.executor = Executor(self.view)

    def send(
        self,
        to: bytes | None,
        data: bytes = b"",
        *,
        value: int = 0,
        gas: int = 10_000_000,
        environment: BlockEnvironment = ENVIRONMENT,
        keep: bool = True,
        price: int = 0,
    ) -> CallResult:
        """What the message does. Fees are not taken."""
        message = Message(
            sender=SENDER,
            to=None if to is None else Address(to),
            gas_limit=gas,
            data=data,
            value=value,
            max_fee_per_gas=price,
            max_priority_fee_per_gas=price,
        )
        flags = (
            CallFlag.NO_BALANCE_CHECK
            | CallFlag.NO_NONCE_CHECK
            | CallFlag.NO_GAS_CAP
            | (CallFlag(0) if price else CallFlag.NO_BASE_FEE)
            | (CallFlag.KEEP if keep else CallFlag(0))
        )
        return self.executor.call(environment, message, flags=flags)


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def number(bytes_: bytes) -> int:
    """A result that `call` kept."""
    return int.from_bytes(bytes_[:8], "little")


def evm_call(kind: str, to: bytes, *, data: bytes = b"", value: int = 0) -> bytes:
    """EVM code that calls once, with data, and returns success ‖ what came back."""
    opcode = {"call": 0xF1, "callcode": 0xF2, "delegatecall": 0xF4, "staticcall": 0xFA}[kind]
    code = bytearray()
    for index in range(0, len(data), 32):
        code += b"\x7f" + data[index : index + 32].ljust(32, b"\0")
        code += b"\x61" + index.to_bytes(2, "big") + b"\x52"
    code += b"\x5f\x5f" + b"\x61" + len(data).to_bytes(2, "big") + b"\x5f"
    if kind in ("call", "callcode"):
        code += b"\x7f" + word(value)
    code += b"\x73" + to + b"\x5a" + bytes([opcode])
    # MSTORE(0, success), RETURNDATACOPY(32, 0, size), RETURN(0, 32 + size)
    return bytes(code) + bytes.fromhex("5f523d5f60203e3d6020015ff3")
