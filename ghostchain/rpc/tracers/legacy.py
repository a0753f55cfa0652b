"""geth's callTracerLegacy and prestateTracerLegacy (eth/tracers/js/internal/tracers): what older
tools know. The first sees calls as instructions: no calls of precompiles, no gas for calls of
accounts without code, and `internal failure` where a call came back with nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import Access, CallFrame, FaultKind, FrameKind, Step
from ghostchain.primitives.types import Address
from ghostchain.rpc.overrides import is_precompile as is_precompile_at
from ghostchain.rpc.tracers.calls import shown_data
from ghostchain.rpc.tracers.failures import REVERTED, failure_of, halt_text
from ghostchain.rpc.tracers.runs import Run

CREATIONS = {0xF0: "CREATE", 0xF5: "CREATE2"}
CALLS = {0xF1: "CALL", 0xF2: "CALLCODE", 0xF4: "DELEGATECALL", 0xFA: "STATICCALL"}
WITHOUT_VALUE = frozenset({0xF4, 0xFA})
REVERT, SELFDESTRUCT = 0xFD, 0xFF
INTERNAL = "internal failure"
# A creation whose code was refused: its init code itself ran to its end.
REFUSED_CODE = frozenset({Exit.CODE_PREFIX, Exit.CODE_STORE_OUT_OF_GAS})
NEVER_RAN = frozenset({Exit.CALL_DEPTH, Exit.INSUFFICIENT_BALANCE, Exit.NONCE_OVERFLOW})
STACK_WORDS = 7

Json = dict[str, Any]


@dataclass(slots=True)
class Open:
    """A call that runs. gas: None until its first instruction is seen. Units: gas."""

    shown: Json = field(default_factory=dict)
    calls: list[bytes] = field(default_factory=list)
    gas: int | None = None
    gas_before: int = 0
    cost: int = 0
    out_start: int = 0
    out_length: int = 0
    error: str | None = None
    frame: CallFrame | None = None

    def close(self) -> bytes:
        shown = dict(self.shown)
        if self.gas is not None:
            shown["gas"] = hex(self.gas)
        if self.error is not None:
            shown["error"] = self.error
        return with_calls(shown, self.calls)


def with_calls(shown: Json, calls: list[bytes]) -> bytes:
    """Written from the inside out, for calls nest deeper than JSON writers go."""
    text = orjson.dumps(shown)
    if calls:
        text = b"".join((text[:-1], b',"calls":[', b",".join(calls), b"]}"))
    return text


def legacy_call_trace(run: Run, settings: None) -> orjson.Fragment:
    top = LegacyCalls(run).follow()
    frames = run.trace.frames
    if not frames:
        return orjson.Fragment(b"{}")
    root, around = frames[0], run.around
    shown: Json = {
        "type": root.kind.name,
        "from": format_data(root.sender),
        "to": format_data(root.to),
        "value": hex(root.value),
        "gas": hex(around.gas_limit),
        "gasUsed": hex(around.gas_used),
        "input": shown_data(root.input),
    }
    error = top.error if top.error is not None else failure_of(root)
    output = root.output if root.exit in (Exit.SUCCESS, Exit.REVERT) else b""
    if error is None or (error == REVERTED and output):
        shown["output"] = shown_data(output)
    if error is not None:
        shown["error"] = error
    return orjson.Fragment(with_calls(shown, top.calls))


class LegacyCalls:
    """Follows the steps of a run, with a stack of calls of its own."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.open = [Open()]
        self.has_descended = False
        self.last_step = {step.frame: index for index, step in enumerate(run.trace.steps)}
        self.children = children_of(run.trace.frames)

    def follow(self) -> Open:
        """The top call, with all others in it."""
        frames = self.run.trace.frames
        for index, step in enumerate(self.run.trace.steps):
            self.on_step(step)
            if self.last_step[step.frame] == index and step.exit is Exit.SUCCESS:
                self.on_end(frames[step.frame])
        return self.open[0]

    def on_end(self, frame: CallFrame) -> None:
        """After the last instruction of a frame, when that failed."""
        is_refused_code = frame.exit in REFUSED_CODE or frame.fault.kind is FaultKind.CODE
        failure = failure_of(frame)
        if failure is not None and not is_refused_code:
            self.fault(failure)

    def on_step(self, step: Step) -> None:
        if step.exit is not Exit.SUCCESS:
            self.fault(halt_text(step.exit, step.fault))
            return
        opcode = step.opcode
        if opcode in CREATIONS:
            self.begin_creation(step)
            return
        if opcode == SELFDESTRUCT:
            self.destruct(step)
            return
        if opcode in CALLS:
            to, frame = address_of(step.stack[-2]), self.frame_of(step)
            if not is_precompile_at(to, self.run.around.fork):
                self.begin_call(step, to, frame)
            return
        if self.has_descended:
            if step.depth + 1 >= len(self.open):
                self.open[-1].gas = step.gas
            self.has_descended = False
        if opcode == REVERT:
            self.open[-1].error = REVERTED
            return
        if step.depth + 1 == len(self.open) - 1:
            self.finish(step)

    def frame_of(self, step: Step) -> CallFrame:
        """The frame that a step's call, creation or destruction makes."""
        return self.run.trace.frames[next(self.children[step.frame], step.frame)]

    def begin_creation(self, step: Step) -> None:
        frame = self.frame_of(step)
        shown = {
            "type": CREATIONS[step.opcode],
            "from": format_data(frame.sender),
            "input": shown_data(frame.input),
            "value": hex(step.stack[-1]),
        }
        self.push(step, shown, frame)

    def begin_call(self, step: Step, to: Address, frame: CallFrame) -> None:
        first = 2 if step.opcode in WITHOUT_VALUE else 3
        shown = {
            "type": CALLS[step.opcode],
            "from": format_data(frame.sender),
            "to": format_data(to),
            "input": shown_data(frame.input),
        }
        if step.opcode not in WITHOUT_VALUE:
            shown["value"] = hex(step.stack[-3])
        self.push(step, shown, frame)
        self.open[-1].out_start = step.stack[-1 - (first + 2)]
        self.open[-1].out_length = step.stack[-1 - (first + 3)]

    def push(self, step: Step, shown: Json, frame: CallFrame) -> None:
        self.open.append(Open(shown, frame=frame, gas_before=step.gas, cost=step.cost))
        self.has_descended = True

    def destruct(self, step: Step) -> None:
        frame = self.frame_of(step)
        shown = {
            "type": "SELFDESTRUCT",
            "from": format_data(frame.sender),
            "to": format_data(frame.to),
            "value": hex(frame.value),
        }
        self.open[-1].calls.append(orjson.dumps(shown))

    def finish(self, step: Step) -> None:
        """The call above has come back: this is its caller's next instruction."""
        call = self.open.pop()
        frame = call.frame
        assert frame is not None, "but for the top, each call has one"
        is_creation = call.shown["type"] in CREATIONS.values()
        result = step.stack[-1] if step.stack else 0
        spent = call.gas_before - call.cost - step.gas
        if is_creation:
            call.shown["gasUsed"] = hex(spent)
        elif call.gas is not None:
            call.shown["gasUsed"] = hex(spent + call.gas)
        if result == 0:
            call.error = call.error or INTERNAL
        elif is_creation:
            call.shown["to"] = format_data(frame.to)
            call.shown["output"] = shown_data(frame.output)
        else:
            end = call.out_start + call.out_length
            memory = step.memory or b""
            kept = memory[call.out_start : end].ljust(min(call.out_length, len(memory)), b"\0")
            call.shown["output"] = format_data(kept)
        self.open[-1].calls.append(call.close())

    def fault(self, failure: str) -> None:
        """The call on top failed; the transaction's own stays, to be shown."""
        call = self.open[-1]
        if call.error is not None:
            return
        call.error = failure
        if len(self.open) == 1:
            return
        self.open.pop()
        if call.gas is not None:
            call.shown["gasUsed"] = hex(call.gas)
        self.open[-1].calls.append(call.close())


def children_of(frames: tuple[CallFrame, ...]) -> list[Any]:
    """By frame: those that it made, in order."""
    made: list[list[int]] = [[] for _ in frames]
    path: list[int] = []
    for index, frame in enumerate(frames):
        del path[frame.depth :]
        if path:
            made[path[-1]].append(index)
        path.append(index)
    return [iter(items) for items in made]


def address_of(word: int) -> Address:
    return Address((word & (1 << 160) - 1).to_bytes(20, "big"))


# ---- the state before ----


def legacy_prestate_trace(run: Run, settings: None) -> Json:
    """Accounts that code named and slots that it used, the sender and the recipient; no coinbase,
    no heirs of destroyed contracts."""
    frames = run.trace.frames
    if not frames:
        return {}
    named = [frames[0].to]
    named += [frame.to for frame in frames[1:] if frame.kind is not FrameKind.SELFDESTRUCT]
    named += [
        item.address for item in run.trace.accesses if item.access in (Access.BALANCE, Access.CODE)
    ]
    named.append(run.around.sender)
    accounts = {account.address: account.before for account in run.trace.accounts}
    shown: Json = {}
    for address in dict.fromkeys(named):
        if address in accounts:
            state = accounts[address]
            shown[format_data(address)] = {
                "balance": hex(state.balance),
                "nonce": state.nonce,
                "code": format_data(state.code or b""),
                "storage": {},
            }
    for slot in run.trace.slots:
        holder = shown.get(format_data(slot.address))
        if holder is not None:
            holder["storage"][format_data(slot.key)] = format_data(slot.before)
    if frames[0].kind in (FrameKind.CREATE, FrameKind.CREATE2):
        shown.pop(format_data(frames[0].to), None)
    return shown
