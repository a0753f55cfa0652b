"""Chains of calls through all engines, in random order and with failures anywhere, beside a model
of a few lines that knows no engines: what they leave, log, move and return."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ghostchain.execution.executor import Executor, Message
from ghostchain.execution.traces import FrameEngine, FrameKind
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32
from tests.engines import (
    ADDRESSES,
    ENVIRONMENT,
    HALT,
    NOT_DELEGABLE,
    QUIETLY,
    READ,
    REFUSAL,
    REVERT,
    SUCCEED,
    THEN_HALT,
    THEN_REVERT,
    act,
    call,
    code_of,
    run_python,
    touch,
    word,
)
from tests.hybrid import MessageBatch

SENDER = Address(b"\x11" * 20)
BALANCE = 10
ENGINE_AT = {address: engine for (engine, _), address in ADDRESSES.items()}
PLACES = sorted(ENGINE_AT)
# A module has no CALLCODE, a contract in Python no delegate calls either.
KINDS = {
    FrameEngine.EVM: (0, 1, 2, 3),
    FrameEngine.WASM: (0, 2, 3),
    FrameEngine.CONTRACT: (0, 3),
}


# ---- the model ----


@dataclass
class State:
    slots: dict[tuple[bytes, int], int] = field(default_factory=dict)
    logs: list[Log] = field(default_factory=list)
    balances: dict[bytes, int] = field(default_factory=lambda: dict.fromkeys(PLACES, BALANCE))


@dataclass(frozen=True)
class Context:
    own: bytes
    sender: bytes
    value: int
    is_static: bool


class Failed(Exception):
    """The frame's changes are undone. data: what it reverted with."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data)
        self.data = data


class Model:
    def __init__(self) -> None:
        self.state = State()

    def change(self, context: Context) -> None:
        if context.is_static:
            raise Failed

    def store(self, context: Context, key: int, value: int) -> None:
        self.change(context)
        self.state.slots[context.own, key] = value

    def enter(self, context: Context, data: bytes) -> bytes:
        if data[0] == 1:
            return self.call(context, data)
        if data[0] == 3:
            self.store(context, 9, 1)
            return b""
        if data[1] != READ:
            self.store(context, 3, 1 + context.value)
            topics = (Hash32(word(0x77)),)
            self.state.logs.append(Log(Address(context.own), topics, data[1:2]))
        if data[1] in (SUCCEED, READ):
            parts = (context.sender, context.value.to_bytes(32, "big"), context.own)
            return b"".join(part.rjust(32, b"\0") for part in parts)
        raise Failed(REFUSAL if data[1] == REVERT else b"")

    def call(self, context: Context, data: bytes) -> bytes:
        is_quiet = bool(data[1] & QUIETLY)
        if not is_quiet:
            self.store(context, 1, 1)
        kind, target = FrameKind(data[1] & 7), data[2:22]
        value = int.from_bytes(data[22:54], "big")
        if kind is FrameKind.CALL and value:
            self.change(context)
        succeeded, output = self.make(context, kind, target, value, data[62:])
        if not is_quiet:
            self.store(context, 2, 1 + succeeded)
        answer = word(succeeded) + output
        if data[1] & THEN_REVERT:
            raise Failed(answer)
        if data[1] & THEN_HALT:
            raise Failed
        return answer

    def make(
        self, context: Context, kind: FrameKind, target: bytes, value: int, data: bytes
    ) -> tuple[bool, bytes]:
        has_value = kind in (FrameKind.CALL, FrameKind.CALLCODE)
        if has_value and self.state.balances[context.own] < value:
            return False, b""
        inner = Context(target, context.own, value if has_value else 0, context.is_static)
        if kind is FrameKind.CALLCODE:
            inner = Context(context.own, context.own, value, context.is_static)
        elif kind is FrameKind.DELEGATECALL:
            inner = Context(context.own, context.sender, context.value, context.is_static)
        elif kind is FrameKind.STATICCALL:
            inner = Context(target, context.own, 0, True)
        before = deepcopy(self.state)
        try:
            if kind is FrameKind.CALL:
                self.state.balances[context.own] -= value
                self.state.balances[target] += value
            is_python = ENGINE_AT[target] is FrameEngine.CONTRACT
            if is_python and kind in (FrameKind.CALLCODE, FrameKind.DELEGATECALL):
                raise Failed(NOT_DELEGABLE)
            return True, self.enter(inner, data)
        except Failed as failed:
            self.state = before
            return False, failed.data


# ---- both ----


@st.composite
def chains(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Whom to call first, and with what."""
    data = draw(st.sampled_from([*(act(n) for n in (SUCCEED, REVERT, HALT, READ)), touch(0)]))
    target = draw(st.sampled_from(PLACES))
    for _ in range(draw(st.integers(0, 9))):
        caller = draw(st.sampled_from(PLACES))
        kind = draw(st.sampled_from(KINDS[ENGINE_AT[caller]]))
        value = 0 if kind > 1 else draw(st.sampled_from([0, 0, 1, 7, BALANCE + 5]))
        then = draw(st.sampled_from([0, 0, 0, 0, THEN_REVERT, THEN_HALT]))
        quiet = draw(st.sampled_from([0, 0, 0, QUIETLY]))
        data = call(FrameKind(kind), target, data, value=value, then=then | quiet)
        target = caller
    return target, data


@given(chains(), st.integers(0, 3))
def test_chains_of_calls_do_what_the_model_says(chain: tuple[bytes, bytes], value: int) -> None:
    """Output, slots, logs and balances after one transaction."""
    target, data = chain
    model = Model()
    model.state.balances[SENDER] = value
    sender = Context(SENDER, SENDER, 0, False)
    succeeded, output = model.make(sender, FrameKind.CALL, target, value, data)

    view = MemoryView({SENDER: Allocation(balance=10**30)})
    for (engine, role), address in ADDRESSES.items():
        view.put(address, Allocation(nonce=1, balance=BALANCE, code=code_of(engine, role)))
    executor = Executor(view, contracts=run_python)
    message = Message(
        sender=SENDER,
        to=Address(target),
        gas_limit=1 << 40,
        data=data,
        value=value,
        max_fee_per_gas=7,
    )
    result = executor.call(ENVIRONMENT, message)
    assert (result.success, result.output) == (succeeded, output)
    assert list(result.logs) == model.state.logs
    view.apply(executor.run_block(ENVIRONMENT, MessageBatch([message]), system_calls=False))  # type: ignore[arg-type]
    slots = {
        (address, int.from_bytes(key, "big")): int.from_bytes(value, "big")
        for address, storage in view.storage.items()
        for key, value in storage.items()
    }
    assert slots == model.state.slots
    for place in PLACES:
        balance = int.from_bytes(view.accounts[place][8:40], "big")
        assert balance == model.state.balances[place]
