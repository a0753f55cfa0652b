"""Tracers that collect: geth's 4byteTracer, keccak256PreimageTracer and noopTracer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.traces import FrameKind
from ghostchain.rpc.tracers.failures import is_precompile
from ghostchain.rpc.tracers.runs import Run


def selectors_trace(run: Run, settings: None) -> dict[str, int]:
    """How often each function was called with how many bytes of arguments: `0x27dc297e-128`."""
    found: Counter[str] = Counter()
    for frame in run.trace.frames:
        if frame.kind > FrameKind.STATICCALL or is_precompile(frame):
            continue
        data = frame.input or b""
        if len(data) >= 4:
            found[f"{format_data(data[:4])}-{len(data) - 4}"] += 1
    return dict(found)


def preimages_trace(run: Run, settings: None) -> dict[str, str]:
    """What was hashed, by its hash."""
    return {
        format_data(keccak256(preimage)): format_data(preimage)
        for preimage in dict.fromkeys(run.trace.hashes)
    }


def nothing_trace(run: Run, settings: None) -> dict[str, Any]:
    return {}
