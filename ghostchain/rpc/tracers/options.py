"""geth's TraceConfig and TraceCallConfig: which tracer, and what a run is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ghostchain.primitives.types import Address
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.parameters import (
    BlockOverride,
    block_override,
    fields,
    optional,
    quantity_64,
    state_overrides,
    text,
)
from ghostchain.rpc.tracers.table import STRUCT_LOGGER, Chosen, chosen, named

TIMEOUT_NS = 5_000_000_000
NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
DURATION_PART = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|ms|s|m|h)", re.ASCII)
DURATION_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """The overrides and the place in the block are for calls. Units: timeout in nanoseconds."""

    chosen: Chosen
    timeout_ns: int = TIMEOUT_NS
    state: Mapping[Address, AccountOverride] = field(default_factory=dict)
    block: BlockOverride | None = None
    transaction_index: int | None = None


def trace_options(value: Any) -> TraceOptions:
    members = named(fields(value))
    name = optional(members, "tracer", text)
    config = members.get("tracerConfig")
    if name:
        tracer = chosen(name, config)
    else:
        tracer = Chosen(STRUCT_LOGGER, STRUCT_LOGGER.parse(members))
    timeout = optional(members, "timeout", duration_ns)
    return TraceOptions(
        tracer,
        TIMEOUT_NS if timeout is None else timeout,
        optional(members, "stateOverrides", state_overrides) or {},
        optional(members, "blockOverrides", block_override),
        optional(members, "txIndex", quantity_64),
    )


def duration_ns(value: Any) -> int:
    """A duration as Go writes them: `300ms`, `1.5h`, `2h45m`."""
    shown = text(value)
    if shown == "0":
        return 0
    total, at = 0.0, 0
    while len(shown) <= DURATION_LENGTH_MAX and at < len(shown):
        part = DURATION_PART.match(shown, at)
        if part is None:
            break
        total += float(part[1]) * NANOSECONDS[part[2]]
        at = part.end()
    if not shown or at != len(shown):
        raise ValueError(f"time: invalid duration {shown[:DURATION_LENGTH_MAX]!r}")
    return int(total)


DEFAULT_OPTIONS = trace_options({})
