"""geth's flatCallTracer (eth/tracers/native/call_flat.go): frames as Parity lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import NO_FAULT, CallFrame, FrameEngine, FrameKind
from ghostchain.rpc.tracers.calls import CREATIONS, ENGINES, shown_data
from ghostchain.rpc.tracers.failures import REVERTED, failure_of, is_precompile
from ghostchain.rpc.tracers.runs import Run

# geth leaves these calls of precompiles out, and no others.
PLAIN_CALLS = (FrameKind.CALL, FrameKind.STATICCALL)

PARITY_ERRORS = {
    "contract creation code storage out of gas": "Out of gas",
    "out of gas": "Out of gas",
    "gas uint64 overflow": "Out of gas",
    "max code size exceeded": "Out of gas",
    "invalid jump destination": "Bad jump destination",
    REVERTED: "Reverted",
    "return data out of bounds": "Out of bounds",
    "stack limit reached 1024 (1023)": "Out of stack",
    "precompiled failed": "Built-in failed",
    "invalid input length": "Built-in failed",
}
PARITY_BEGINNINGS = {
    "out of gas:": "Out of gas",
    "invalid opcode:": "Bad instruction",
    "stack underflow": "Stack underflow",
}


@dataclass(frozen=True, slots=True)
class FlatSettings:
    """flatCallTracer's tracerConfig."""

    parity_errors: bool = False
    include_precompiles: bool = False


@dataclass(frozen=True, slots=True)
class FlatFrame:
    """A frame and its way down from the top; children: those that are shown."""

    frame: CallFrame
    address: tuple[int, ...]
    children: int


def is_plain_call_of_precompile(frame: CallFrame) -> bool:
    return frame.kind in PLAIN_CALLS and is_precompile(frame)


def flat_frames(
    run: Run, is_hidden: Callable[[CallFrame], bool] = lambda frame: False
) -> list[FlatFrame]:
    """All frames that are shown, parents first. Those of a GhostTx with several calls are below a
    call of the sender by itself: whoever makes a tree of the list needs one top.

    is_hidden: of a frame below the top, one that calls nothing, whether it is left out."""
    roots = run.roots
    base = 1 if len(roots) > 1 else 0
    frames = [batch_of(roots, run), *run.trace.frames] if base else run.trace.frames
    shown: list[tuple[CallFrame, tuple[int, ...], list[int]]] = []
    ways: list[tuple[tuple[int, ...], list[int]]] = []
    for index, frame in enumerate(frames):
        if frame.depth > 0 and is_hidden(frame):
            continue
        level = frame.depth + base if index else 0
        del ways[level:]
        way: tuple[int, ...] = ()
        if ways:
            above, count = ways[-1]
            way = (*above, count[0])
            count[0] += 1
        children = [0]
        ways.append((way, children))
        shown.append((frame, way, children))
    return [FlatFrame(frame, way, children[0]) for frame, way, children in shown]


def batch_of(roots: Sequence[CallFrame], run: Run) -> CallFrame:
    """What stands above the calls of a GhostTx: all or none of them hold."""
    sender = run.around.sender
    return replace(
        roots[-1],
        kind=FrameKind.CALL,
        engine=FrameEngine.EVM,
        exit=Exit.REVERT if run.has_failed else Exit.SUCCESS,
        sender=sender,
        to=sender,
        value=0,
        gas=roots[0].gas,
        gas_used=sum(frame.gas_used for frame in roots),
        input=b"",
        fault=NO_FAULT,
    )


def flat_trace(run: Run, settings: FlatSettings) -> list[dict[str, Any]]:
    around = run.around
    place = {
        "blockHash": None if around.block_hash is None else format_data(around.block_hash),
        "blockNumber": around.block_number or 0,
        "transactionHash": (
            None if around.transaction_hash is None else format_data(around.transaction_hash)
        ),
        "transactionPosition": around.transaction_index,
    }
    items = []
    if settings.include_precompiles:
        frames = flat_frames(run)
    else:
        frames = flat_frames(run, is_plain_call_of_precompile)
    for index, item in enumerate(frames):
        shown = flat_json(item, parity_errors=settings.parity_errors)
        if index == 0:
            shown["action"]["gas"] = hex(around.gas_limit)
            if "result" in shown:
                shown["result"]["gasUsed"] = hex(around.gas_used)
        items.append(shown | place)
    return items


def flat_json(item: FlatFrame, *, parity_errors: bool) -> dict[str, Any]:
    """One frame; where it stands is for the caller to say."""
    frame = item.frame
    if frame.kind is FrameKind.SELFDESTRUCT:
        kind, action, result = "suicide", destruction(frame), None
    elif frame.kind in CREATIONS:
        kind, action, result = "create", creation(frame), created(frame)
    else:
        kind, action, result = "call", call(frame), called(frame)
    shown: dict[str, Any] = {"action": action, "type": kind}
    if frame.engine in ENGINES:
        shown["engine"] = ENGINES[frame.engine]
    failure = failure_of(frame)
    if failure is not None:
        shown["error"] = parity_error(failure) if parity_errors else failure
    if result is not None and failure in (None, REVERTED):
        shown["result"] = result
    shown["subtraces"] = item.children
    shown["traceAddress"] = list(item.address)
    return shown


def call(frame: CallFrame) -> dict[str, Any]:
    return {
        "callType": frame.kind.name.lower(),
        "from": format_data(frame.sender),
        "gas": hex(frame.gas),
        "input": shown_data(frame.input),
        "to": format_data(frame.to),
        "value": hex(0 if frame.kind is FrameKind.STATICCALL else frame.value),
    }


def called(frame: CallFrame) -> dict[str, Any]:
    return {"gasUsed": hex(frame.gas_used), "output": shown_data(frame.output)}


def creation(frame: CallFrame) -> dict[str, Any]:
    return {
        "creationMethod": frame.kind.name.lower(),
        "from": format_data(frame.sender),
        "gas": hex(frame.gas),
        "init": shown_data(frame.input),
        "value": hex(frame.value),
    }


def created(frame: CallFrame) -> dict[str, Any]:
    result = {"gasUsed": hex(frame.gas_used), "code": shown_data(frame.output)}
    if frame.exit is Exit.SUCCESS:
        result["address"] = format_data(frame.to)
    return result


def destruction(frame: CallFrame) -> dict[str, Any]:
    return {
        "address": format_data(frame.sender),
        "balance": hex(frame.value),
        "refundAddress": format_data(frame.to),
    }


def parity_error(failure: str) -> str:
    """A failure in Parity's words where it has some."""
    found = PARITY_ERRORS.get(failure)
    if found is not None:
        return found
    for beginning, text in PARITY_BEGINNINGS.items():
        if failure.startswith(beginning):
            return text
    return failure
