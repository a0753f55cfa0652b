"""geth's callTracer (eth/tracers/native/call.go): the tree of frames, those of WASM and native
contracts included.

A frame of another engine than the EVM says so in a member `engine` (`wasm`, `native`); all else is
geth's, so that tools read it. Frames nest 1,024 deep, deeper than JSON writers go: the tree is
written frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import CallFrame, FrameEngine, FrameKind, TracedLog
from ghostchain.rpc.errors import revert_reason
from ghostchain.rpc.tracers.failures import failure_of
from ghostchain.rpc.tracers.runs import Around, Run

ENGINES = {FrameEngine.WASM: "wasm", FrameEngine.CONTRACT: "native"}
CREATIONS = (FrameKind.CREATE, FrameKind.CREATE2)
# These show no value of their own.
VALUELESS = (FrameKind.STATICCALL,)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallSettings:
    """callTracer's tracerConfig."""

    only_top: bool = False
    with_log: bool = False


def call_trace(run: Run, settings: CallSettings) -> orjson.Fragment:
    """The tree of one transaction's frames.

    A GhostTx of several calls has a root of its own, of type `GHOST`, above them.
    """
    frames = run.trace.frames
    logs = logs_by_frame(run) if settings.with_log else {}
    shown = [
        (index, frame)
        for index, frame in enumerate(frames)
        if not (settings.only_top and frame.depth > 0)
    ]

    def show(index: int, frame: CallFrame) -> Json:
        json = frame_json(frame)
        if index in logs:
            json["logs"] = logs[index]
            if settings.only_top:  # before no call that is shown
                for log in logs[index]:
                    log["position"] = "0x0"
        return json

    return frame_tree(shown, run.around, show)


def frame_tree(
    frames: Sequence[tuple[int, CallFrame]],
    around: Around,
    show: Callable[[int, CallFrame], Json],
) -> orjson.Fragment:
    """Frames, each as `show` has it, the children of each in its `calls`. The top frame's gas is
    the transaction's."""
    tops = [frame for _, frame in frames if frame.depth == 0]
    is_one = len(tops) == 1
    whole = {"gas": hex(around.gas_limit), "gasUsed": hex(around.gas_used)}
    parts: list[bytes] = []
    base, depth = 0, -1
    if not is_one:
        parts.append(orjson.dumps(ghost_root(tops, around) | whole)[:-1])
        base, depth = 1, 0
    for index, frame in frames:
        json = show(index, frame)
        level = frame.depth + base
        if level > depth:
            if parts:
                parts.append(b',"calls":[')
        else:
            parts.append(b"}" + b"]}" * (depth - level) + b",")
        if is_one and frame.depth == 0:
            json |= whole
        parts.append(orjson.dumps(json)[:-1])
        depth = level
    parts.append(b"}" + b"]}" * depth)
    return orjson.Fragment(b"".join(parts))


def ghost_root(tops: Sequence[CallFrame], around: Around) -> Json:
    root: Json = {"type": "GHOST", "from": format_data(around.sender), "input": "0x"}
    failures = [failure_of(frame) for frame in tops]
    if failures and failures[-1] is not None:
        root["error"] = failures[-1]
    return root


def frame_json(frame: CallFrame) -> Json:
    """One frame, without those it made."""
    shown: Json = {
        "type": frame.kind.name,
        "from": format_data(frame.sender),
        "to": format_data(frame.to),
        "gas": hex(frame.gas),
        "gasUsed": hex(frame.gas_used),
        "input": shown_data(frame.input),
    }
    if frame.kind not in VALUELESS:
        shown["value"] = hex(frame.value)
    if frame.engine in ENGINES:
        shown["engine"] = ENGINES[frame.engine]
    if frame.exit is Exit.SUCCESS:
        if frame.output != b"":
            shown["output"] = shown_data(frame.output)
        return shown
    if frame.kind in CREATIONS:
        del shown["to"]
    shown["error"] = failure_of(frame)
    if frame.exit is Exit.REVERT and frame.output != b"":
        shown["output"] = shown_data(frame.output)
        reason = revert_reason(frame.output or b"")
        if reason:
            shown["revertReason"] = reason
    return shown


def logs_by_frame(run: Run) -> Mapping[int, list[Json]]:
    """The logs of each frame, without those that were undone."""
    undone = undone_frames(run.trace.frames)
    found: dict[int, list[Json]] = {}
    for log in run.trace.logs:
        if log.frame not in undone:
            found.setdefault(log.frame, []).append(log_json(log))
    return found


def undone_frames(frames: Sequence[CallFrame]) -> set[int]:
    """Indices of frames that failed, or one above which did."""
    undone: set[int] = set()
    failed_depth: int | None = None
    for index, frame in enumerate(frames):
        if failed_depth is not None and frame.depth <= failed_depth:
            failed_depth = None
        if failed_depth is None and frame.exit is not Exit.SUCCESS:
            failed_depth = frame.depth
        if failed_depth is not None:
            undone.add(index)
    return undone


def log_json(traced: TracedLog) -> Json:
    return {
        "address": format_data(traced.log.address),
        "topics": [format_data(topic) for topic in traced.log.topics],
        "data": format_data(traced.log.data),
        "index": hex(traced.index),
        "position": hex(traced.position),
    }


def shown_data(data: bytes | None) -> str | None:
    """None: left out, for the whole trace had grown too large."""
    return None if data is None else format_data(data)
