"""How large code may be: modules up to 256 KiB, all else as Ethereum has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ghostchain.execution.executor import CallFlag, CallResult, Executor, Exit, Message
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address
from tests.engines import assemble
from tests.oracle.wasm_world import ENVIRONMENT, module

SENDER = Address(b"\x11" * 20)
FACTORY = Address(b"\xfa" * 20)
MODULE_MAX = 256 * 1024
INIT_CODE_MAX = 49_152
CAP = 1 << 24
# Creates what its call data is, and returns the address.
FACTORY_CODE = assemble(
    """calldatasize 0 0 calldatacopy calldatasize 0 0 create
    0 mstore 32 0 return"""
)


def leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def module_of(size: int) -> bytes:
    """A valid module of exactly so many bytes, most of them in a section that means nothing."""
    code = module("(i32.const 0)")
    content = size - len(code) - 1
    for width in range(1, 5):
        if len(leb(content - width)) == width:
            body = content - width
            padded = code + b"\0" + leb(body) + b"\1x" + bytes(body - 2)
            assert len(padded) == size
            return padded
    raise AssertionError(size)


def call(
    to: Address | None, data: bytes, *, gas: int = CAP, hybrid: bool = True, fork: Fork = Fork.OSAKA
) -> CallResult:
    view = MemoryView({SENDER: Allocation(balance=10**30)})
    view.put(FACTORY, Allocation(nonce=1, code=FACTORY_CODE))
    message = Message(sender=SENDER, to=to, gas_limit=gas, data=data, max_fee_per_gas=7)
    environment = replace(ENVIRONMENT, hybrid=hybrid, fork=fork)
    return Executor(view).call(environment, message)


def test_a_module_of_256_kib_deploys_and_no_larger() -> None:
    """As a transaction's init code: one byte more is refused before it pays."""
    deployed = call(None, module_of(MODULE_MAX), gas=900_000_000)
    assert deployed.success
    refused = call(None, module_of(MODULE_MAX + 1), gas=900_000_000)
    assert refused.reason is TransactionReason.INITCODE_SIZE_EXCEEDED


def test_a_module_from_a_contract_has_the_same_limit() -> None:
    """CREATE with a module in memory; one byte more ends the creating frame (EIP-3860)."""
    made = call(FACTORY, module_of(MODULE_MAX), gas=900_000_000, fork=Fork.PRAGUE)
    assert made.success
    assert any(made.output)
    refused = call(FACTORY, module_of(MODULE_MAX + 1), gas=900_000_000, fork=Fork.PRAGUE)
    assert refused.exit is Exit.CODE_SIZE


def returning(code: bytes) -> bytes:
    head = assemble(f"0x{len(code):06x} 0x1111 0 codecopy 0x{len(code):06x} 0 return")
    return head.replace(b"\x11\x11", len(head).to_bytes(2, "big")) + code


@pytest.mark.parametrize(("size", "fits"), [(24_576, True), (24_577, True), (49_000, True)])
def test_returned_modules_may_pass_the_limit_of_code(size: int, fits: bool) -> None:
    """24,576 bytes bind EVM code only (EIP-170); the init code around it keeps its own limit."""
    assert call(None, returning(module_of(size)), gas=CAP).success is fits
    plain = call(None, returning(b"\1" * size), gas=CAP)
    assert plain.exit is (Exit.SUCCESS if size <= 24_576 else Exit.CODE_SIZE)


@pytest.mark.parametrize("prefix", [b"\0asm\2\0\0\0", b"\0asm\1\0\1", b"\0\0asm\1\0\0\0", b""])
def test_other_init_code_keeps_ethereum_s_limit(prefix: bytes) -> None:
    """What only resembles a module is EVM code."""
    padded = prefix.ljust(INIT_CODE_MAX + 1, b"\0")
    assert call(None, padded).reason is TransactionReason.INITCODE_SIZE_EXCEEDED
    assert call(None, padded[:-1]).reason is TransactionReason.OK


def test_only_a_module_may_ask_for_more_than_the_cap() -> None:
    """EIP-7825 binds all but creations that begin with a module; the block's limit binds all."""
    small = module_of(1_000)
    assert call(None, small, gas=CAP + 1).success
    for to, data in ((None, b"\0" + small), (FACTORY, small), (None, b"")):
        result = call(to, data, gas=CAP + 1)
        assert result.reason is TransactionReason.GAS_LIMIT_ABOVE_CAP
    above = ENVIRONMENT.gas_limit + 1
    assert call(None, small, gas=above).reason is TransactionReason.GAS_ALLOWANCE_EXCEEDED


def test_ethereum_knows_no_modules() -> None:
    """Without the flag a module is init code of the EVM, with the EVM's limits and cap."""
    small = module_of(1_000)
    result = call(None, small, hybrid=False)
    assert result.success
    assert result.gas_used < 100_000, "STOP is its first instruction: no code, no price for it"
    assert call(None, small, gas=CAP + 1, hybrid=False).reason is (
        TransactionReason.GAS_LIMIT_ABOVE_CAP
    )
    large = module_of(INIT_CODE_MAX + 1)
    assert call(None, large, hybrid=False).reason is TransactionReason.INITCODE_SIZE_EXCEEDED


def test_a_refused_module_says_why_and_pays_all() -> None:
    """The reason is there after this call, and gone after the next."""
    floating = bytes.fromhex("0061736d010000000105016000017d030201000a09010700430000803f0b")
    view = MemoryView({SENDER: Allocation(balance=10**30)})
    executor = Executor(view)
    message = Message(sender=SENDER, to=None, gas_limit=CAP, data=floating, max_fee_per_gas=7)
    result = executor.call(ENVIRONMENT, message)
    assert (result.exit, result.gas_used) == (Exit.WASM_INVALID, CAP)
    assert result.exit_reason
    fine = executor.call(ENVIRONMENT, replace(message, data=module_of(100)))
    assert (fine.exit, fine.exit_reason) == (Exit.SUCCESS, "")
    flags = CallFlag.NO_GAS_CAP
    assert executor.call(ENVIRONMENT, message, flags=flags).exit_reason == result.exit_reason
