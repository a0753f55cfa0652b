"""Steps say beforehand what instructions then do: their cost, and whether gas or stack fail them.
Random programs, of which each step is held against the next and against the frame's end."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ghostchain.execution.executor import Executor, Exit, Message
from ghostchain.execution.forks import Fork
from ghostchain.execution.traces import (
    CallFrame,
    FaultKind,
    FrameEngine,
    FrameKind,
    Step,
    StepWatch,
    StructLogWatch,
    Trace,
    Watch,
    recording,
)
from ghostchain.execution.views import Allocation
from ghostchain.primitives.types import Address, Hash32
from tests.unit.test_hybrid_blocks import ENVIRONMENT, SENDERS, world

PLACES = [Address(bytes([number]) * 20) for number in (1, 2, 3)]
CREATIONS, CALLS = (0xF0, 0xF5), (0xF1, 0xF2, 0xF4, 0xFA)
HALTS = (Exit.OUT_OF_GAS, Exit.STACK_UNDERFLOW, Exit.STACK_OVERFLOW)
# Halts that steps tell as a lack of gas, since geth finds them while it prices.
PRICED = {FaultKind.STATIC: Exit.STATIC_VIOLATION, FaultKind.INIT_CODE: Exit.CODE_SIZE}
DEPOSIT_HALTS = (Exit.CODE_PREFIX, Exit.CODE_STORE_OUT_OF_GAS)

small = st.integers(0, 70).map(lambda n: bytes([0x60, n]))
wide = st.sampled_from(
    [
        b"\x5f\x19",
        bytes.fromhex("67ffffffffffffff00"),
        bytes.fromhex("641fffffffe1"),
        b"\x62\x00\xff\xff",
    ]
)
place = st.sampled_from(PLACES).map(lambda address: b"\x73" + address)
opcode = st.integers(0, 255).map(lambda n: bytes([n]))
costly = st.sampled_from(
    bytes.fromhex("0a203137393b3c3e3f51525354555c5d5ea0a2a4f0f1f2f3f4f5fafdff")
).map(lambda n: bytes([n]))


def call(kind: int, value: int, address: Address, gas: bytes) -> bytes:
    words = bytes.fromhex("6020600060206000") + (
        bytes([0x60, value]) if kind in (0xF1, 0xF2) else b""
    )
    return words + b"\x73" + address + gas + bytes([kind])


calls = st.builds(
    call,
    st.sampled_from(CALLS),
    st.integers(0, 3),
    st.sampled_from([*PLACES, Address(bytes(19) + b"\x04"), Address(b"\x77" * 20)]),
    st.sampled_from([b"\x5a", b"\x60\xff", b"\x61\x27\x10"]),
)
programs = st.lists(st.one_of(small, small, small, wide, place, opcode, costly, calls)).map(
    b"".join
)


@given(
    st.tuples(programs, programs, programs),
    st.integers(21_000, 300_000),
    st.sampled_from(list(Fork)),
)
def test_steps_foretell(codes: tuple[bytes, ...], gas_limit: int, fork: Fork) -> None:
    view = world()
    for address, code in zip(PLACES, codes, strict=True):
        slots = {Hash32(bytes(32)): Hash32(bytes(31) + b"\5")}
        view.put(address, Allocation(nonce=1, balance=2, code=code, storage=slots))
    executor = Executor(view)
    environment = replace(ENVIRONMENT, fork=fork, hybrid=False)
    message = Message(sender=SENDERS[0], to=PLACES[0], gas_limit=gas_limit, max_fee_per_gas=7)
    plain = executor.call(environment, message)
    with recording(executor, Watch(steps=StepWatch(), touches=True, logs=True)) as recorder:
        assert executor.call(environment, message) == plain
        check(recorder.trace())
    watch = Watch(steps=StructLogWatch(memory=True, return_data=True))
    with recording(executor, watch) as recorder:
        assert executor.call(environment, message) == plain
        check_json(bytes(recorder.trace().struct_logs.get(0, b"")))


def check(trace: Trace) -> None:
    steps: dict[int, list[Step]] = {}
    for step in trace.steps:
        steps.setdefault(step.frame, []).append(step)
    children = children_of(trace.frames)
    for index, frame in enumerate(trace.frames):
        if frame.engine is FrameEngine.EVM and index in steps:
            check_frame(frame, steps[index], [trace.frames[child] for child in children[index]])


def check_frame(frame: CallFrame, steps: list[Step], children: list[CallFrame]) -> None:
    made = iter(children)
    left = frame.gas
    for step in steps:
        assert step.gas == left, step
        assert (step.exit is Exit.SUCCESS) or step is steps[-1]
        if step.exit is not Exit.SUCCESS:
            break
        left -= step.cost
        if step.opcode in CALLS:
            child = next(made)
            left += child.gas - child.gas_used
        elif step.opcode in CREATIONS:
            left -= next(made).gas_used
    check_end(frame, steps[-1], left)


def check_end(frame: CallFrame, last: Step, left: int) -> None:
    if last.exit is not Exit.SUCCESS:
        assert frame.exit is PRICED.get(last.fault.kind, last.exit)
        kinds = (frame.fault.kind, frame.fault.have, frame.fault.want)
        assert kinds == (last.fault.kind, last.fault.have, last.fault.want)
    elif frame.exit is Exit.REVERT or (
        frame.exit is Exit.SUCCESS and frame.kind not in (FrameKind.CREATE, FrameKind.CREATE2)
    ):
        assert frame.gas_used == frame.gas - left
    else:
        assert frame.exit not in HALTS


def children_of(frames: tuple[CallFrame, ...]) -> list[list[int]]:
    made: list[list[int]] = [[] for _ in frames]
    path: list[int] = []
    for index, frame in enumerate(frames):
        del path[frame.depth :]
        if path and frame.kind is not FrameKind.SELFDESTRUCT:
            made[path[-1]].append(index)
        path.append(index)
    return made


def check_json(text: bytes) -> None:
    """JSON with what geth has of each step."""
    for step in json.loads(b"[" + text + b"]"):
        assert {"pc", "op", "gas", "gasCost", "depth", "stack"} <= set(step)
        assert all(item == hex(int(item, 16)) for item in step["stack"])
        assert all(len(item) == 66 for item in step.get("memory", ()))
        slots = step.get("storage", {})
        assert list(slots) == sorted(slots)
