"""geth's erc7562Tracer (eth/tracers/native/erc7562.go): what a bundler must know of the validation
of a UserOperation: per frame the slots, opcodes and contracts it used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import Access, CallFrame, Step, TracedAccess
from ghostchain.rpc.tracers.calls import frame_json, frame_tree, logs_by_frame
from ghostchain.rpc.tracers.failures import failure_of
from ghostchain.rpc.tracers.runs import Run

ISZERO, KECCAK256, SLOAD, SSTORE, GAS, TLOAD, TSTORE = 0x15, 0x20, 0x54, 0x55, 0x5A, 0x5C, 0x5D
EXTCODESIZE, EXTCODECOPY, EXTCODEHASH = 0x3B, 0x3C, 0x3F
RETURN, REVERT = 0xF3, 0xFD
CALLS = frozenset({0xF1, 0xF2, 0xF4, 0xFA})
EXTERNAL = frozenset({EXTCODESIZE, EXTCODECOPY, EXTCODEHASH})
# PUSHn, DUPn, SWAPn, POP, arithmetic and comparisons.
IGNORED = frozenset(range(0x5F, 0xA0)) | frozenset(
    (0x50, 0x01, 0x03, 0x02, 0x04, 0x14, 0x10, 0x11, 0x12, 0x13, 0x1B, 0x1C, 0x16, 0x17, 0x19, 0x15)
)
OUT_OF_GAS = "out of gas"
CODE_STORE = "contract creation code storage out of gas"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UserOperationSettings:
    """erc7562Tracer's tracerConfig. stack_words: how many upper words it looks at."""

    stack_words: int = 3
    ignored: frozenset[int] = IGNORED
    with_log: bool = False


@dataclass(slots=True)
class Used:
    """What one frame used. Keys of slots and addresses as they are shown."""

    reads: dict[str, list[str]] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    transient_reads: Counter[str] = field(default_factory=Counter)
    transient_writes: Counter[str] = field(default_factory=Counter)
    external: list[str] = field(default_factory=list)
    opcodes: Counter[int] = field(default_factory=Counter)
    sizes: dict[str, Json] = field(default_factory=dict)

    def json(self) -> Json:
        return {
            "accessedSlots": {
                "reads": self.reads,
                "writes": dict(self.writes),
                "transientReads": dict(self.transient_reads),
                "transientWrites": dict(self.transient_writes),
            },
            "extCodeAccessInfo": self.external,
            "usedOpcodes": {hex(opcode): count for opcode, count in sorted(self.opcodes.items())},
            "contractSize": self.sizes,
        }


def user_operation_trace(run: Run, settings: UserOperationSettings) -> orjson.Fragment:
    frames = run.trace.frames
    used = Follower(run, settings).follow()
    logs = logs_by_frame(run) if settings.with_log else {}
    preimages = sorted(set(run.trace.hashes))

    def show(index: int, frame: CallFrame) -> Json:
        json = frame_json(frame) | used[index].json()
        failure = failure_of(frame) or ""
        is_short = failure.startswith(OUT_OF_GAS) or failure == CODE_STORE
        json["outOfGas"] = is_short and frame.depth > 0
        if index == 0 and preimages:
            json["keccak"] = [format_data(preimage) for preimage in preimages]
        if index in logs:
            json["logs"] = logs[index]
        return json

    return frame_tree(tuple(enumerate(frames)), run.around, show)


class Follower:
    """Follows the steps of a run."""

    def __init__(self, run: Run, settings: UserOperationSettings) -> None:
        self.run = run
        self.settings = settings
        self.used = [Used() for _ in run.trace.frames]
        self.read_values = values_read(run.trace.accesses, len(run.trace.frames))
        self.last: tuple[int, tuple[int, ...]] | None = None

    def follow(self) -> list[Used]:
        for step in self.run.trace.steps:
            self.on_step(step)
        return self.used

    def on_step(self, step: Step) -> None:
        opcode, used = step.opcode, self.used[step.frame]
        if opcode in (RETURN, REVERT):
            self.last = None
        if self.last is not None:
            before, words = self.last
            is_emptiness_check = before == EXTCODESIZE and opcode == ISZERO
            if before in EXTERNAL and words and not is_emptiness_check:
                used.external.append(shown_address(words[-1]))
        self.note_size(step, used)
        if self.last is not None and self.last[0] == GAS and opcode not in CALLS:
            used.opcodes[GAS] += 1
        if opcode != GAS and opcode not in self.settings.ignored:
            used.opcodes[opcode] += 1
        self.note_slot(step, used)
        count = self.settings.stack_words
        self.last = (opcode, step.stack[-count:] if count else ())

    def note_size(self, step: Step, used: Used) -> None:
        place = 1 if step.opcode in EXTERNAL else 2 if step.opcode in CALLS else 0
        if not place or len(step.stack) < place:
            return
        shown = shown_address(step.stack[-place])
        if shown not in used.sizes:
            used.sizes[shown] = {"contractSize": step.code_size, "opcode": step.opcode}

    def note_slot(self, step: Step, used: Used) -> None:
        if step.opcode not in (SLOAD, SSTORE, TLOAD, TSTORE) or not step.stack:
            return
        slot = f"0x{step.stack[-1]:064x}"
        match step.opcode:
            case 0x54:
                value = self.value_read(step)
                if slot not in used.reads and slot not in used.writes:
                    used.reads[slot] = [value]
            case 0x55:
                used.writes[slot] += 1
            case 0x5C:
                used.transient_reads[slot] += 1
            case _:
                used.transient_writes[slot] += 1

    def value_read(self, step: Step) -> str:
        """Of a read that succeeded; of one that did not, zero."""
        if step.exit is not Exit.SUCCESS:
            return format_data(bytes(32))
        return format_data(next(self.read_values[step.frame], bytes(32)))


def values_read(accesses: Sequence[TracedAccess], frames: int) -> list[Iterator[bytes]]:
    """By frame: the values of its reads, in order."""
    values: list[list[bytes]] = [[] for _ in range(frames)]
    for item in accesses:
        if item.access is Access.READ:
            values[item.frame].append(item.value)
    return [iter(items) for items in values]


def shown_address(word: int) -> str:
    return f"0x{word & (1 << 160) - 1:040x}"
