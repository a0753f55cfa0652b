"""Recorded call frames: who called whom, with what, and how it ended."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

import pytest

from ghostchain.execution.executor import Executor, Exit, Message
from ghostchain.execution.traces import FrameEngine, FrameKind, recording
from ghostchain.execution.views import Allocation
from ghostchain.primitives.types import Address
from tests.unit.test_hybrid_blocks import ENVIRONMENT, SENDERS, WITNESS, batch, signed, world

OUTER = Address(b"\x01" + bytes(19))
INNER = Address(b"\x02" + bytes(19))
SHA256 = Address(bytes(19) + b"\x02")

# Calls what the push names with 5 bytes of input (zeros) and value 3, by the given instruction.
PUSH_INNER = bytes.fromhex("73") + INNER


def calls(*parts: str) -> bytes:
    return b"".join(PUSH_INNER if part == "INNER" else bytes.fromhex(part) for part in parts)


CALL = ("5f5f60055f6003", "INNER", "62030000f150")
CALLCODE = ("5f5f60055f6003", "INNER", "62030000f250")
DELEGATECALL = ("5f5f60055f", "INNER", "62030000f450")
STATICCALL = ("5f5f60055f", "INNER", "62030000fa50")
HASH = ("60205f60055f600262010000fa50",)
# Init code 60015ff3 (returns one zero byte) by CREATE and CREATE2.
CREATE = ("6360015ff35f526004601c5ff050",)
CREATE2 = ("6360015ff35f5260076004601c5ff550",)
MESSAGE = Message(sender=SENDERS[0], to=OUTER, gas_limit=2_000_000, max_fee_per_gas=7, data=b"hey")


def run(outer: bytes, inner: bytes = b"", **fields: object):
    view = world()
    view.put(OUTER, Allocation(nonce=1, balance=100, code=outer))
    view.put(INNER, Allocation(nonce=1, code=inner))
    executor = Executor(view)
    with recording(executor) as recorder:
        result = executor.call(ENVIRONMENT, replace(MESSAGE, **fields))
        trace = recorder.trace()
    assert not trace.is_cut
    return result, trace.frames


def test_each_kind_of_frame() -> None:
    """Kinds, senders, targets and values, in the order in which they began."""
    outer = calls(*CALL, *CALLCODE, *DELEGATECALL, *STATICCALL, *HASH, *CREATE, *CREATE2, "60aaff")
    result, frames = run(outer, bytes.fromhex("60015f5260205ff3"))
    assert result.success
    assert [frame.kind for frame in frames] == [
        FrameKind.CALL,
        FrameKind.CALL,
        FrameKind.CALLCODE,
        FrameKind.DELEGATECALL,
        FrameKind.STATICCALL,
        FrameKind.STATICCALL,
        FrameKind.CREATE,
        FrameKind.CREATE2,
        FrameKind.SELFDESTRUCT,
    ]
    assert [frame.depth for frame in frames] == [0] + [1] * 8
    top, called, coded, delegated, static, hashed, created, salted, destroyed = frames
    assert (top.sender, top.to, top.input) == (SENDERS[0], OUTER, b"hey")
    assert top.gas_used == result.gas_used + result.gas_refunded - (2_000_000 - top.gas)
    one = (1).to_bytes(32, "big")
    for frame in (called, coded, delegated, static):
        assert (frame.sender, frame.to, frame.engine) == (OUTER, INNER, FrameEngine.EVM)
        assert (frame.input, frame.output) == (bytes(5), one)
        assert frame.exit is Exit.SUCCESS
    assert [frame.value for frame in (called, coded, delegated, static)] == [3, 3, 0, 0]
    assert [frame.is_static for frame in frames[:6]] == [False] * 4 + [True] * 2
    assert called.gas == 0x30000 + 2_300
    assert (hashed.to, hashed.engine, len(hashed.output or b"")) == (
        SHA256,
        FrameEngine.PRECOMPILE,
        32,
    )
    for frame in (created, salted):
        assert (frame.input, frame.output) == (bytes.fromhex("60015ff3"), b"\0")
        assert frame.sender == OUTER
    assert created.to != salted.to
    assert (destroyed.sender, destroyed.to[-1], destroyed.value) == (OUTER, 0xAA, 97)


def test_frames_that_fail() -> None:
    """Reverts keep their data, halts take all gas, frames of no code succeed."""
    _, frames = run(calls(*CALL), bytes.fromhex("60015f5260205ffd"))
    assert (frames[1].exit, frames[1].output) == (Exit.REVERT, (1).to_bytes(32, "big"))
    assert frames[1].gas_used < frames[1].gas
    _, frames = run(calls(*CALL), bytes.fromhex("fe"))
    assert frames[1].exit is Exit.INVALID_OPCODE
    assert frames[1].gas_used == frames[1].gas
    _, frames = run(calls(*CALL))
    assert (frames[1].engine, frames[1].exit) == (FrameEngine.NOTHING, Exit.SUCCESS)


def test_deep_frames_name_their_parents() -> None:
    """A contract that calls itself down to the gas' end: depths rise by one, and never more."""
    result, frames = run(bytes.fromhex("5f5f5f5f5f305af1"), gas_limit=10_000_000)
    assert result.success
    assert [frame.depth for frame in frames] == list(range(len(frames)))
    assert len(frames) > 200


def test_frames_of_a_block() -> None:
    """Each frame knows its transaction; those of system calls have none."""
    view = world(staking=WITNESS)
    executor = Executor(view)
    with recording(executor) as recorder:
        executor.run_block(ENVIRONMENT, batch(signed(0, 0, value=1), signed(1, 0, value=2)))
        frames = recorder.trace().frames
    transfers = [frame for frame in frames if frame.transaction is not None]
    assert [(frame.transaction, frame.value) for frame in transfers] == [(0, 1), (1, 2)]
    assert frames[-1].transaction is None
    assert frames[-1].input is not None
    assert frames[-1].engine is FrameEngine.EVM
    executor.discard()


def test_recording_ends_and_changes_nothing() -> None:
    """The same result with and without, and no frames afterwards."""
    view = world()
    view.put(OUTER, Allocation(nonce=1, balance=100, code=calls(*CALL, *CREATE)))
    executor = Executor(view)
    plain = executor.call(ENVIRONMENT, MESSAGE)
    with recording(executor) as recorder:
        assert executor.call(ENVIRONMENT, MESSAGE) == plain
        assert len(recorder.trace().frames) == 3
    assert recorder.trace().frames == ()
    assert executor.call(ENVIRONMENT, MESSAGE) == plain


def test_a_trace_that_grows_too_large_is_cut() -> None:
    """Calls with a megabyte of input each: beyond 128 MiB the data is left out, and it says so."""
    loop = bytes.fromhex("5b5f5f620fffff5f5f73") + INNER + bytes.fromhex("5af1505f56")
    view = world()
    view.put(OUTER, Allocation(nonce=1, code=loop))
    executor = Executor(view)
    with recording(executor) as recorder:
        executor.call(ENVIRONMENT, replace(MESSAGE, gas_limit=3_000_000))
        trace = recorder.trace()
    assert trace.is_cut
    assert any(frame.input is None for frame in trace.frames)


@pytest.mark.parametrize("kind", [FrameKind, FrameEngine, Exit])
def test_numbers_of_the_native_core_are_places(kind: type[IntEnum]) -> None:
    """Members are looked up by their place, which must be their number."""
    assert [member.value for member in kind] == list(range(len(kind)))
