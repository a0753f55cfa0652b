"""Recorded frames as geth's callTracer shows them, those of WASM and native contracts included.

A frame of another engine than the EVM says so in a member `engine` (`wasm`, `native`); all else is
geth's (eth/tracers/native/call.go), so that tools read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import CallFrame, FrameEngine, FrameKind
from ghostchain.primitives.types import Address
from ghostchain.rpc.calls import HALTS
from ghostchain.rpc.errors import revert_reason

ENGINES = {FrameEngine.WASM: "wasm", FrameEngine.CONTRACT: "native"}
CREATIONS = (FrameKind.CREATE, FrameKind.CREATE2)
# These show no value of their own.
VALUELESS = (FrameKind.STATICCALL,)


@dataclass(frozen=True, slots=True)
class Whole:
    """A transaction around its frames. Units: gas, as in its receipt."""

    sender: Address
    gas_limit: int
    gas_used: int


def call_trace(frames: Sequence[CallFrame], whole: Whole, *, only_top: bool) -> dict[str, Any]:
    """The tree of one transaction's frames.

    A GhostTx of several calls has a root of its own, of type `GHOST`, above them.
    """
    roots = _trees(frames, only_top=only_top)
    if len(roots) == 1:
        root = roots[0]
    else:
        root = {"type": "GHOST", "from": format_data(whole.sender), "input": "0x"}
        if not only_top:
            root["calls"] = roots
        error = roots[-1].get("error") if roots else None
        if error is not None:
            root["error"] = error
    root["gas"], root["gasUsed"] = hex(whole.gas_limit), hex(whole.gas_used)
    return root


def _trees(frames: Iterable[CallFrame], *, only_top: bool) -> list[dict[str, Any]]:
    path: list[dict[str, Any]] = []
    roots: list[dict[str, Any]] = []
    for frame in frames:
        if only_top and frame.depth > 0:
            continue
        shown = frame_json(frame)
        del path[frame.depth :]
        if path:
            path[-1].setdefault("calls", []).append(shown)
        else:
            roots.append(shown)
        path.append(shown)
    return roots


def frame_json(frame: CallFrame) -> dict[str, Any]:
    """One frame, without those it made."""
    shown: dict[str, Any] = {
        "type": frame.kind.name,
        "from": format_data(frame.sender),
        "to": format_data(frame.to),
        "gas": hex(frame.gas),
        "gasUsed": hex(frame.gas_used),
        "input": _shown(frame.input),
    }
    if frame.kind not in VALUELESS:
        shown["value"] = hex(frame.value)
    if frame.engine in ENGINES:
        shown["engine"] = ENGINES[frame.engine]
    if frame.exit is Exit.SUCCESS:
        if frame.output != b"":
            shown["output"] = _shown(frame.output)
        return shown
    if frame.kind in CREATIONS:
        del shown["to"]
    if frame.exit is not Exit.REVERT:
        shown["error"] = HALTS.get(frame.exit, "execution failed")
        return shown
    shown["error"] = "execution reverted"
    if frame.output != b"":
        shown["output"] = _shown(frame.output)
        reason = revert_reason(frame.output or b"")
        if reason is not None:
            shown["revertReason"] = reason
    return shown


def _shown(data: bytes | None) -> str | None:
    """None: left out, for the whole trace had grown too large."""
    return None if data is None else format_data(data)
