"""What other engines ask of the world against the EVM's instructions: the same steps as EVM code
and as a contract in Python cost the same gas, give back the same and change the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.execution.contracts import ContractHost, Halt
from ghostchain.execution.executor import CallFlag, CallResult, Executor, Exit, Message
from ghostchain.execution.traces import CallFrame, FrameEngine, recording
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import Address
from tests.engines import ENVIRONMENT, address_of, assemble, code_of, word
from tests.hybrid import MessageBatch

SENDER = Address(b"\x11" * 20)
PYTHON = address_of(FrameEngine.CONTRACT, "caller")
# What an instruction's operands cost, which only the EVM has.
PUSH, PUSH_ZERO = 3, 2
# Two words of memory, made usable in the beginning.
BEGIN, BEGIN_GAS = "0 32 mstore", PUSH_ZERO + PUSH + 3 + 2 * 3

STOPPER = Address(b"\x51" * 20)
REVERTER = Address(b"\x52" * 20)
HALTER = Address(b"\x53" * 20)
RICH = Address(b"\x54" * 20)
DELEGATED = Address(b"\x55" * 20)
NOBODY = Address(b"\x56" * 20)
IDENTITY = Address(bytes(19) + b"\x04")
PLACES = (STOPPER, REVERTER, HALTER, RICH, DELEGATED, NOBODY, IDENTITY)


def push_gas(number: int) -> int:
    return PUSH if number else PUSH_ZERO


class Step:
    """One thing to do: as EVM code, and with a host. extra: gas of operands."""

    def __init__(self, code: str, extra: int, act: Callable[[ContractHost], object]) -> None:
        self.code = code
        self.extra = extra
        self.act = act

    def __repr__(self) -> str:
        return self.code


def shown(code: str, extra: int, ask: Callable[[ContractHost], int]) -> Step:
    """A step with a result, which is logged: a word at the beginning of memory."""
    mstore = PUSH_ZERO + 3 + PUSH + PUSH_ZERO
    return Step(
        f"{code} 0 mstore 32 0 log0", extra + mstore, lambda host: host.log([], word(ask(host)))
    )


def load(key: int) -> Step:
    return shown(f"{key} sload", push_gas(key), lambda host: host.load(key))


def store(key: int, value: int) -> Step:
    extra = push_gas(key) + push_gas(value)
    return Step(f"{value} {key} sstore", extra, lambda host: host.store(key, value))


def load_transient(key: int) -> Step:
    return shown(f"{key} tload", push_gas(key), lambda host: host.load_transient(key))


def store_transient(key: int, value: int) -> Step:
    extra = push_gas(key) + push_gas(value)
    return Step(f"{value} {key} tstore", extra, lambda host: host.store_transient(key, value))


def balance(address: Address) -> Step:
    return shown(f"0x{address.hex()} balance", PUSH, lambda host: host.balance(address))


def code(address: Address) -> Step:
    return shown(f"0x{address.hex()} extcodesize", PUSH, lambda host: len(host.code(address)))


def block_hash(number: int) -> Step:
    return shown(
        f"{number} blockhash",
        push_gas(number),
        lambda host: int.from_bytes(host.block_hash(number), "big"),
    )


def log(topics: int, length: int) -> Step:
    """Of the memory's second word, which is zero."""
    operands = f"{'0 ' * topics}{length} 32"
    extra = topics * PUSH_ZERO + push_gas(length) + PUSH
    return Step(
        f"{operands} log{topics}", extra, lambda host: host.log([bytes(32)] * topics, bytes(length))
    )


def call(address: Address, value: int, gas: int, is_static: bool) -> Step:
    value = 0 if is_static else value
    operands = "0 0 0 0" + ("" if is_static else f" {value}")
    name = "staticcall" if is_static else "call"
    extra = 4 * PUSH_ZERO + (0 if is_static else push_gas(value)) + PUSH + push_gas(gas)

    def ask(host: ContractHost) -> int:
        return host.call(address, b"", value=value, gas=gas, is_static=is_static)[0]

    return shown(f"{operands} 0x{address.hex()} {gas} {name}", extra, ask)


KEYS, VALUES, ADDRESSES = st.integers(0, 3), st.integers(0, 2), st.sampled_from(PLACES)
STEPS = st.lists(
    st.one_of(
        st.builds(load, KEYS),
        st.builds(store, KEYS, VALUES),
        st.builds(load_transient, KEYS),
        st.builds(store_transient, KEYS, VALUES),
        st.builds(balance, ADDRESSES),
        st.builds(code, ADDRESSES),
        st.builds(block_hash, st.sampled_from((0, 43, 44, 299, 300, 2**64, 2**255))),
        st.builds(log, st.integers(0, 4), st.integers(0, 32)),
        st.builds(call, ADDRESSES, VALUES, st.sampled_from((0, 100, 5_000)), st.booleans()),
    ),
    max_size=12,
)


def world(contract: bytes) -> MemoryView:
    storage = {word(key): word(key) for key in (1, 2)}
    view = MemoryView({SENDER: Allocation(balance=10**30), RICH: Allocation(balance=1)})
    view.put(PYTHON, Allocation(nonce=1, balance=100, code=contract, storage=storage))
    view.put(STOPPER, Allocation(nonce=1, code=b"\0"))
    view.put(REVERTER, Allocation(nonce=1, code=assemble("0 0 revert")))
    view.put(HALTER, Allocation(nonce=1, code=assemble("invalid")))
    view.put(DELEGATED, Allocation(nonce=1, code=b"\xef\x01\x00" + STOPPER))
    view.block_hashes = {number: word(number + 1) for number in range(300)}
    return view


@dataclass
class Ran:
    result: CallResult
    frames: tuple[CallFrame, ...]
    state: tuple[object, ...]


def run(contract: bytes, act: Callable[[ContractHost], object], gas: int = 5_000_000) -> Ran:
    """One transaction to the contract; in Python it does what act does."""

    def answer(_: int, host: ContractHost) -> tuple[int, bytes]:
        try:
            act(host)
        except Halt as halt:
            return halt.exit, b""
        return Exit.SUCCESS, b""

    view = world(contract)
    executor = Executor(view, contracts=answer)
    message = Message(sender=SENDER, to=PYTHON, gas_limit=gas, max_fee_per_gas=7)
    with recording(executor) as recorder:
        result = executor.call(ENVIRONMENT, message, flags=CallFlag.RECORD_ACCESS)
        frames = recorder.trace().frames
    view.apply(executor.run_block(ENVIRONMENT, MessageBatch([message]), system_calls=False))
    records = {place: view.accounts.get(place) for place in (PYTHON, *PLACES)}
    balances = {place: record and record[8:40] for place, record in records.items()}
    return Ran(result, frames, (view.storage[PYTHON], balances))


def in_evm(steps: list[Step]) -> Ran:
    text = f"{BEGIN} {' '.join(step.code for step in steps)} stop"
    return run(assemble(text), lambda host: None)


def in_python(steps: list[Step], gas: int = 5_000_000) -> Ran:
    def act(host: ContractHost) -> None:
        for step in steps:
            step.act(host)

    return run(code_of(FrameEngine.CONTRACT, "caller"), act, gas)


# Gas that is gone, so that a fifth of all is more than any refund.
BURN = call(HALTER, 0, 2_000_000, is_static=False)


@given(STEPS)
def test_steps_cost_and_do_what_instructions_do(steps: list[Step]) -> None:
    """Gas to the unit, refunds, results, logs, accesses, state, and every frame below."""
    evm, python = in_evm([BURN, *steps]), in_python([BURN, *steps])
    extra = BEGIN_GAS + sum(step.extra for step in (BURN, *steps))
    assert evm.result.exit is python.result.exit is Exit.SUCCESS
    assert evm.frames[0].gas_used - extra == python.frames[0].gas_used
    assert evm.result.gas_refunded == python.result.gas_refunded
    assert evm.result.logs == python.result.logs
    assert evm.result.accessed_accounts == python.result.accessed_accounts
    assert evm.result.accessed_slots == python.result.accessed_slots
    assert evm.frames[1:] == python.frames[1:]
    assert evm.state == python.state


@pytest.mark.parametrize(
    "step", [load(1), store(3, 1), load_transient(1), log(2, 5), balance(RICH)]
)
def test_a_unit_less_is_out_of_gas(step: Step) -> None:
    """Each price is taken whole or not at all."""
    enough = in_python([step]).frames[0].gas_used
    intrinsic = 21_000
    assert in_python([step], intrinsic + enough).result.success
    short = in_python([step], intrinsic + enough - 1)
    assert short.result.exit is Exit.OUT_OF_GAS
    assert short.frames[0].gas_used == enough - 1
    assert short.result.logs == ()


def test_a_stipend_stores_nothing() -> None:
    """EIP-2200: not with 2,300 gas or less, whatever the store would cost."""
    warm = [load(1), store(1, 1)]
    before_store = in_python([load(1)]).frames[0].gas_used
    assert in_python(warm, 21_000 + before_store + 2_301).result.success
    refused = in_python(warm, 21_000 + before_store + 2_300)
    assert refused.result.exit is Exit.OUT_OF_GAS
