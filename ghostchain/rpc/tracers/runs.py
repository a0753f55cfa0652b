"""A recorded transaction as tracers see it: what it did, and what stood around it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ghostchain.execution.executor import Exit
from ghostchain.execution.forks import Fork
from ghostchain.execution.traces import CallFrame, Step, Trace, TracedAccess
from ghostchain.primitives.types import Address, Hash32

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Around:
    """What a tracer knows of a transaction besides its trace. Units: gas, as in its receipt.

    fork: the rules it ran under. coinbase: who got its tips. is_settled: empty accounts that it
    touched are gone (EIP-161), as a node has it; in geth's test cases they are not yet. A call has
    no block, hash or place.
    """

    sender: Address
    gas_limit: int
    gas_used: int
    fork: Fork
    coinbase: Address
    block_hash: Hash32 | None = None
    block_number: int | None = None
    transaction_hash: Hash32 | None = None
    transaction_index: int = 0
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One transaction's part of a trace; indices of frames count from its first.

    struct_logs: of its steps, when they were watched as JSON.
    """

    trace: Trace
    around: Around
    struct_logs: bytes | memoryview = b""

    @property
    def roots(self) -> list[CallFrame]:
        """One, or those of a GhostTx with several calls."""
        return [frame for frame in self.trace.frames if frame.depth == 0]

    @property
    def has_failed(self) -> bool:
        return any(frame.exit is not Exit.SUCCESS for frame in self.roots)


class StepSlice(Sequence[Step]):
    """Steps of one transaction, their frames counted from its first."""

    __slots__ = ("_first", "_start", "_steps", "_stop")

    def __init__(self, steps: Sequence[Step], first: int, count: int) -> None:
        """first, count: of the transaction's frames."""
        self._steps = steps
        self._first = first
        # Frames of one transaction are all before those of the next, and so are steps.
        self._start = bisect_left(steps, first, key=lambda step: step.frame)
        self._stop = bisect_left(steps, first + count, key=lambda step: step.frame)

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        step = self._steps[self._start + index % len(self)]
        return replace(step, frame=step.frame - self._first)


def runs_of(trace: Trace, arounds: Sequence[Around]) -> Iterator[Run]:
    """The part of each transaction, of which arounds has one for each, in order."""
    parts = Parts(trace)
    for index, around in enumerate(arounds):
        yield parts.run(index, around)


class Parts:
    """A trace taken apart by transaction."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.frames = spans(trace.frames)
        self.logs = spans(trace.logs)
        self.accounts = spans(trace.accounts)
        self.slots = spans(trace.slots)

    def run(self, transaction: int, around: Around) -> Run:
        trace = self.trace
        frames = self.frames.get(transaction, range(0))
        first = frames.start

        def accesses() -> tuple[TracedAccess, ...]:
            return tuple(
                replace(item, frame=item.frame - first)
                for item in trace.accesses
                if item.frame in frames
            )

        part = Trace(
            frames=trace.frames[frames.start : frames.stop],
            is_cut=trace.is_cut,
            logs=tuple(
                replace(log, frame=log.frame - first)
                for log in taken(trace.logs, self.logs.get(transaction))
            ),
            accounts=taken(trace.accounts, self.accounts.get(transaction)),
            slots=taken(trace.slots, self.slots.get(transaction)),
            accesses=accesses() if trace.accesses else (),
            hashes=trace.hashes,
            steps=StepSlice(trace.steps, first, len(frames)) if trace.steps else (),
        )
        return Run(part, around, trace.struct_logs.get(transaction, b""))


def spans(items: Sequence[Any]) -> dict[int, range]:
    """Where the items of each transaction stand, which are neighbours."""
    found: dict[int, range] = {}
    for index, item in enumerate(items):
        if item.transaction is not None:
            start = found[item.transaction].start if item.transaction in found else index
            found[item.transaction] = range(start, index + 1)
    return found


def taken(items: tuple[Item, ...], span: range | None) -> tuple[Item, ...]:
    return () if span is None else items[span.start : span.stop]
