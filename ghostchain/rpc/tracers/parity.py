"""What Parity's trace module shows of a transaction (`trace_*`): its calls in a list, what it
changed, and what each instruction did; in the forms of reth and Erigon, who serve it today.

Gas is that of execution alone: without the transaction's intrinsic gas and refunds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import (
    AccountState,
    CallFrame,
    FaultKind,
    FrameKind,
    Step,
    StepWatch,
    TouchedAccount,
    TouchedSlot,
    Watch,
)
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address
from ghostchain.rpc.tracers.calls import CREATIONS
from ghostchain.rpc.tracers.failures import is_precompile
from ghostchain.rpc.tracers.flat import flat_frames, flat_json
from ghostchain.rpc.tracers.runs import Run

Json = dict[str, Any]

TRACE, STATE_DIFF, VM_TRACE = "trace", "stateDiff", "vmTrace"
KINDS = (TRACE, STATE_DIFF, VM_TRACE)
SAME = "="
ZERO = bytes(32)
DELEGATION = b"\xef\x01\x00"


def watch_for(kinds: Iterable[str]) -> Watch:
    """What must be recorded for these kinds."""
    asked = set(kinds)
    is_stepped = VM_TRACE in asked
    return Watch(
        touches=bool(asked & {STATE_DIFF, VM_TRACE}),
        codes=bool(asked & {STATE_DIFF, VM_TRACE}),
        steps=StepWatch(memory=True) if is_stepped else None,
    )


def full_trace(run: Run, kinds: Iterable[str]) -> Json:
    """A transaction's output, and of each kind what was asked for, else null."""
    asked = set(kinds)
    roots = run.roots
    return {
        "output": format_data((roots[-1].output if roots else b"") or b""),
        "stateDiff": state_diff(run) if STATE_DIFF in asked else None,
        "trace": call_list(run) if TRACE in asked else [],
        "vmTrace": instructions(run) if VM_TRACE in asked else None,
    }


# ---- calls ----


# Why a frame failed, as Parity says it. What it has no words for is said as elsewhere.
FAILURES: Mapping[Exit, str] = {
    Exit.REVERT: "Reverted",
    Exit.OUT_OF_GAS: "Out of gas",
    Exit.CODE_STORE_OUT_OF_GAS: "Out of gas",
    Exit.CODE_SIZE: "Out of gas",
    Exit.CODE_PREFIX: "Invalid code",
    Exit.UNDEFINED_OPCODE: "Bad instruction",
    Exit.INVALID_OPCODE: "Bad instruction",
    Exit.STACK_UNDERFLOW: "Stack underflow",
    Exit.STACK_OVERFLOW: "Out of stack",
    Exit.BAD_JUMP: "Bad jump destination",
    Exit.STATIC_VIOLATION: "Mutable Call In Static Context",
    Exit.RETURN_DATA_BOUNDS: "Out of bounds",
    Exit.PRECOMPILE_FAILED: "Built-in failed",
    Exit.WASM_TRAP: "Wasm runtime error",
}


def is_worthless_call_of_precompile(frame: CallFrame) -> bool:
    """Left out, of whatever kind the call is, as by Erigon and reth; of a DELEGATECALL the value is
    the caller's. Parity lists DELEGATECALL and CALLCODE in any case, and geth's flatCallTracer
    those two alone."""
    return frame.value == 0 and is_precompile(frame)


def call_list(run: Run) -> list[Json]:
    """The calls, parents first, but for what `is_worthless_call_of_precompile`."""
    listed = []
    for item in flat_frames(run, is_worthless_call_of_precompile):
        shown = {"result": None} | flat_json(item, parity_errors=True)
        if "error" in shown:
            is_static = item.frame.fault.kind is FaultKind.STATIC
            exit = Exit.STATIC_VIOLATION if is_static else item.frame.exit
            shown["error"] = FAILURES.get(exit, shown["error"])
        listed.append(shown)
    return listed


def located_calls(run: Run) -> list[Json]:
    """The calls with where the transaction stands."""
    around = run.around
    assert around.block_hash is not None
    assert around.transaction_hash is not None
    place = {
        "blockHash": format_data(around.block_hash),
        "blockNumber": around.block_number,
        "transactionHash": format_data(around.transaction_hash),
        "transactionPosition": around.transaction_index,
    }
    return [item | place for item in call_list(run)]


# ---- what changed ----


def state_diff(run: Run) -> Json:
    """Every account that the transaction changed: each member `=`, or `+`, `-` or `*` with what
    it was and is. A new account has `+` throughout, one that is gone `-`."""
    slots: dict[Address, list[TouchedSlot]] = {}
    for slot in run.trace.slots:
        if slot.before != slot.after:
            slots.setdefault(slot.address, []).append(slot)
    shown = {}
    for account in run.trace.accounts:
        changed = slots.get(account.address, [])
        if account.before != account.after or changed:
            shown[format_data(account.address)] = account_diff(account, changed)
    return shown


def account_diff(account: TouchedAccount, slots: Sequence[TouchedSlot]) -> Json:
    was, now = account.before, account.after
    sign = None
    if is_nothing(was) and not is_nothing(now):
        sign = "+"
    elif is_nothing(now) and not is_nothing(was):
        sign = "-"

    def member(before: str, after: str) -> Any:
        if sign is not None:
            return {sign: after if sign == "+" else before}
        return SAME if before == after else {"*": {"from": before, "to": after}}

    return {
        "balance": member(hex(was.balance), hex(now.balance)),
        "code": member(code_text(was), code_text(now)),
        "nonce": member(hex(was.nonce), hex(now.nonce)),
        "storage": {
            format_data(slot.key): member(format_data(slot.before), format_data(slot.after))
            for slot in slots
        },
    }


def is_nothing(state: AccountState) -> bool:
    return state.nonce == 0 and state.balance == 0 and state.code_hash == EMPTY_CODE_HASH


def code_text(state: AccountState) -> str:
    """Code that was left out of the trace for its size shows as its hash."""
    if state.code_hash == EMPTY_CODE_HASH:
        return "0x"
    return format_data(state.code_hash if state.code is None else state.code)


# ---- instructions ----


@dataclass(slots=True)
class Instructions:
    """What ran in one frame. children: what the frames that it made show."""

    frame: CallFrame
    shown: Json
    steps: list[Step] = field(default_factory=list)
    children: list[Json] = field(default_factory=list)


def instructions(run: Run) -> Json | None:
    """The tree of frames with their instructions; of a GhostTx with several calls the first one's.
    None when nothing ran."""
    codes = codes_of(run)
    frames = [Instructions(frame, frame_of(frame, codes)) for frame in run.trace.frames]
    path: list[Instructions] = []
    for item in frames:
        del path[item.frame.depth :]
        if path and item.frame.kind is not FrameKind.SELFDESTRUCT:
            path[-1].children.append(item.shown)
        path.append(item)
    for step in run.trace.steps:
        frames[step.frame].steps.append(step)
    for item in frames:
        item.shown["ops"] = list(operations(item))
    return frames[0].shown if frames else None


def frame_of(frame: CallFrame, codes: Mapping[Address, bytes]) -> Json:
    code = frame.input if frame.kind in CREATIONS else codes.get(frame.to, b"")
    return {"code": format_data(code or b""), "ops": []}


def codes_of(run: Run) -> dict[Address, bytes]:
    """The code of each account while the transaction ran; of one that delegates, its delegate's."""
    held = {
        account.address: account.before.code or account.after.code or b""
        for account in run.trace.accounts
    }
    for frame in run.trace.frames:
        if frame.kind in CREATIONS and frame.exit is Exit.SUCCESS and frame.output:
            held[frame.to] = frame.output
    return {
        address: held.get(Address(code[3:]), b"") if code[:3] == DELEGATION else code
        for address, code in held.items()
    }


def operations(item: Instructions) -> Iterator[Json]:
    """The frame's instructions, each with what it left behind."""
    children = iter(item.children)
    steps = item.steps
    for index, step in enumerate(steps):
        after = steps[index + 1] if index + 1 < len(steps) else None
        sub = None
        if step.opcode in CALLING and step.exit is Exit.SUCCESS:
            sub = next(children, None)
        yield {
            "cost": step.cost,
            "ex": effect(item.frame, step, after),
            "pc": step.pc,
            "sub": sub,
        }


CALLING = frozenset((0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA))
STORE = 0x55
ENDING = frozenset((0x00, 0xF3, 0xFD, 0xFE, 0xFF))
PUSHES_NOTHING = frozenset(
    (
        *(0x00, 0x37, 0x39, 0x3C, 0x3E, 0x50, 0x52, 0x53, 0x55, 0x56, 0x57, 0x5B, 0x5D, 0x5E),
        *range(0xA0, 0xA5),
        *(0xF3, 0xFD, 0xFE, 0xFF),
    )
)


def pushed(opcode: int) -> int:
    """How many of the stack's upper words an instruction is said to have pushed."""
    if 0x80 <= opcode <= 0x8F:
        return opcode - 0x80 + 2
    if 0x90 <= opcode <= 0x9F:
        return opcode - 0x90 + 2
    return 0 if opcode in PUSHES_NOTHING else 1


def effect(frame: CallFrame, step: Step, after: Step | None) -> Json | None:
    """None for an instruction that failed."""
    if step.exit is not Exit.SUCCESS:
        return None
    if after is None and (frame.exit is not Exit.SUCCESS and step.opcode not in ENDING):
        return None
    store = None
    if step.opcode == STORE and len(step.stack) >= 2:
        store = {"key": hex(step.stack[-1]), "val": hex(step.stack[-2])}
    count = pushed(step.opcode)
    words = after.stack[-count:] if after is not None and count else ()
    return {
        "mem": memory_written(step, after),
        "push": [hex(word) for word in words],
        "store": store,
        "used": step.gas - step.cost if after is None else after.gas,
    }


def third(stack: Sequence[int]) -> tuple[int, int]:
    return stack[-1], stack[-3]


WRITES: Mapping[int, tuple[int, Callable[[Sequence[int]], tuple[int, int]]]] = {
    0x37: (3, third),
    0x39: (3, third),
    0x3C: (4, lambda stack: (stack[-2], stack[-4])),
    0x3E: (3, third),
    0x51: (1, lambda stack: (stack[-1], 32)),
    0x52: (2, lambda stack: (stack[-1], 32)),
    0x53: (2, lambda stack: (stack[-1], 1)),
    0x5E: (3, third),
    0xF1: (7, lambda stack: (stack[-6], stack[-7])),
    0xF2: (7, lambda stack: (stack[-6], stack[-7])),
    0xF4: (6, lambda stack: (stack[-5], stack[-6])),
    0xFA: (6, lambda stack: (stack[-5], stack[-6])),
}
"""opcode: words it takes from the stack, and where it writes: (offset, length) of memory."""


def memory_written(step: Step, after: Step | None) -> Json | None:
    rule = WRITES.get(step.opcode)
    if rule is None or after is None or after.memory is None or len(step.stack) < rule[0]:
        return None
    offset, length = rule[1](step.stack)
    if length == 0 or offset + length > len(after.memory):
        return None
    return {"data": format_data(after.memory[offset : offset + length]), "off": offset}
