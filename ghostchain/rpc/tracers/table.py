"""The tracers there are: a row says what one is told, what is to be recorded for it, and how it
shows a run. A new one is a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ghostchain.execution.traces import StepWatch, StructLogWatch, Watch
from ghostchain.rpc.parameters import boolean, fields, items, optional, quantity_64
from ghostchain.rpc.tracers.calls import CallSettings, call_trace
from ghostchain.rpc.tracers.counting import nothing_trace, preimages_trace, selectors_trace
from ghostchain.rpc.tracers.flat import FlatSettings, flat_trace
from ghostchain.rpc.tracers.legacy import (
    STACK_WORDS as LEGACY_WORDS,
)
from ghostchain.rpc.tracers.legacy import (
    legacy_call_trace,
    legacy_prestate_trace,
)
from ghostchain.rpc.tracers.prestate import PrestateSettings, prestate_trace
from ghostchain.rpc.tracers.runs import Run
from ghostchain.rpc.tracers.structs import struct_trace
from ghostchain.rpc.tracers.userops import IGNORED, UserOperationSettings, user_operation_trace

MUX = "muxTracer"
MUX_TRACERS_MAX = 16
MUX_DEPTH_MAX = 4
STACK_WORDS_MAX = 1024

Members = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tracer:
    """parse: its settings out of its tracerConfig (raises ValueError). watch: what must be
    recorded. show: its answer, as JSON or as a fragment of it."""

    parse: Callable[[Members], Any]
    watch: Callable[[Any], Watch]
    show: Callable[[Run, Any], Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A tracer and what it was told."""

    tracer: Tracer
    settings: Any

    def watch(self) -> Watch:
        return self.tracer.watch(self.settings)

    def show(self, run: Run) -> Any:
        return self.tracer.show(run, self.settings)


def is_set(members: Members, name: str) -> bool:
    return bool(optional(members, name, boolean))


MEMBERS = {
    name.lower(): name
    for name in (
        *("tracer", "tracerConfig", "timeout", "stateOverrides", "blockOverrides", "txIndex"),
        *("disableStack", "disableStorage", "enableMemory", "enableReturnData", "limit"),
        *("onlyTopCall", "withLog", "convertParityErrors", "includePrecompiles"),
        *("diffMode", "disableCode", "includeEmpty", "ignoredOpcodes", "stackTopItemsSize"),
    )
}


def named(members: Members) -> Members:
    """The options under the names that they have here, however their letters are written: Go reads
    names without regard to case, and gethclient writes `Tracer` and `EnableMemory`. Of two
    spellings the last counts."""
    return {MEMBERS.get(name.lower(), name): value for name, value in members.items()}


def count(value: Any) -> int:
    """A number that is not negative, as JSON has numbers."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("expected a number that is not negative")
    return value


# ---- what each is told ----


def struct_settings(members: Members) -> StructLogWatch:
    return StructLogWatch(
        stack=not is_set(members, "disableStack"),
        storage=not is_set(members, "disableStorage"),
        memory=is_set(members, "enableMemory"),
        return_data=is_set(members, "enableReturnData"),
        limit=optional(members, "limit", count) or 0,
    )


def call_settings(members: Members) -> CallSettings:
    return CallSettings(is_set(members, "onlyTopCall"), is_set(members, "withLog"))


def flat_settings(members: Members) -> FlatSettings:
    return FlatSettings(
        is_set(members, "convertParityErrors"), is_set(members, "includePrecompiles")
    )


def prestate_settings(members: Members) -> PrestateSettings:
    settings = PrestateSettings(
        diff=is_set(members, "diffMode"),
        code=not is_set(members, "disableCode"),
        storage=not is_set(members, "disableStorage"),
        include_empty=is_set(members, "includeEmpty"),
    )
    if settings.diff and settings.include_empty:
        raise ValueError("cannot use diffMode with includeEmpty")
    return settings


def opcodes(value: Any) -> frozenset[int]:
    return frozenset(quantity_64(item) & 0xFF for item in items(value, 256, "opcodes"))


def user_operation_settings(members: Members) -> UserOperationSettings:
    ignored = optional(members, "ignoredOpcodes", opcodes)
    return UserOperationSettings(
        stack_words=min(optional(members, "stackTopItemsSize", count) or 3, STACK_WORDS_MAX),
        ignored=IGNORED if ignored is None else ignored,
        with_log=is_set(members, "withLog"),
    )


def no_settings(members: Members) -> None:
    return None


# ---- several at once ----


def mux_settings(members: Members, depth: int = 1) -> dict[str, Chosen]:
    if len(members) > MUX_TRACERS_MAX:
        raise ValueError(f"too many tracers: {len(members)}, at most {MUX_TRACERS_MAX}")
    if depth > MUX_DEPTH_MAX:
        raise ValueError(f"{MUX} nested too deep, at most {MUX_DEPTH_MAX}")
    return {name: chosen(name, config, depth) for name, config in members.items()}


def mux_watch(settings: dict[str, Chosen]) -> Watch:
    watch = Watch()
    for item in settings.values():
        watch = both(watch, item.watch())
    return watch


def both(one: Watch, other: Watch) -> Watch:
    """What satisfies two watches, neither of which asks for steps as JSON."""
    steps = one.steps or other.steps
    if isinstance(one.steps, StepWatch) and isinstance(other.steps, StepWatch):
        steps = StepWatch(
            max(one.steps.stack_words, other.steps.stack_words),
            one.steps.memory or other.steps.memory,
            one.steps.return_data or other.steps.return_data,
        )
    return Watch(
        logs=one.logs or other.logs,
        touches=one.touches or other.touches,
        codes=one.codes or other.codes,
        accesses=one.accesses or other.accesses,
        hashes=one.hashes or other.hashes,
        exact=one.exact or other.exact,
        steps=steps,
    )


def mux_trace(run: Run, settings: dict[str, Chosen]) -> dict[str, Any]:
    return {name: item.show(run) for name, item in settings.items()}


# ---- the table ----

STRUCT_LOGGER = Tracer(struct_settings, lambda settings: Watch(steps=settings), struct_trace)

TRACERS: Mapping[str, Tracer] = {
    "callTracer": Tracer(
        call_settings, lambda settings: Watch(logs=settings.with_log, exact=True), call_trace
    ),
    "flatCallTracer": Tracer(flat_settings, lambda settings: Watch(exact=True), flat_trace),
    "prestateTracer": Tracer(
        prestate_settings,
        lambda settings: Watch(touches=True, codes=settings.code),
        prestate_trace,
    ),
    "4byteTracer": Tracer(no_settings, lambda settings: Watch(), selectors_trace),
    "noopTracer": Tracer(no_settings, lambda settings: Watch(), nothing_trace),
    "keccak256PreimageTracer": Tracer(
        no_settings, lambda settings: Watch(hashes=True), preimages_trace
    ),
    "erc7562Tracer": Tracer(
        user_operation_settings,
        lambda settings: Watch(
            logs=settings.with_log,
            touches=True,
            codes=True,
            accesses=True,
            hashes=True,
            steps=StepWatch(stack_words=max(settings.stack_words, 2)),
        ),
        user_operation_trace,
    ),
    "callTracerLegacy": Tracer(
        no_settings,
        lambda settings: Watch(steps=StepWatch(stack_words=LEGACY_WORDS, memory=True)),
        legacy_call_trace,
    ),
    "prestateTracerLegacy": Tracer(
        no_settings,
        lambda settings: Watch(touches=True, codes=True, accesses=True),
        legacy_prestate_trace,
    ),
    MUX: Tracer(mux_settings, mux_watch, mux_trace),
}


def chosen(name: str, config: Any, depth: int = 0) -> Chosen:
    """A tracer by its name and tracerConfig. Raises ValueError."""
    tracer = TRACERS.get(name)
    if tracer is None:
        names = ", ".join(TRACERS)
        raise ValueError(f"tracer {name[:100]!r} is not available; there are {names}")
    members = fields({} if config is None else config)
    if name == MUX:
        return Chosen(tracer, mux_settings(members, depth + 1))
    return Chosen(tracer, tracer.parse(named(members)))
