"""Blocks of the chain run once more, for what tracers want to know of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ghostchain.chain.chain import Chain
from ghostchain.chain.replaying import Replay
from ghostchain.contracts import registry
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import (
    BlockEnvironment,
    BlockResult,
    CallFlag,
    CallResult,
    ExecutionStopped,
    Executor,
    Message,
    StateView,
    TraceTooLarge,
)
from ghostchain.execution.steps import Steps
from ghostchain.execution.traces import (
    FRAMES,
    Recorder,
    StructLog,
    StructLogWatch,
    Trace,
    Watch,
    recording,
    struct_log,
)
from ghostchain.execution.views import MemoryView
from ghostchain.node.warming import warmed
from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.rpc.backend import Made, QuickBounds, Simulation, TracedOne

EXECUTOR_CACHE_BYTES = 8 * 1024 * 1024
# Several may be of one block: as many as threads that trace at a time, or all but one would start
# over for each of its transactions.
READY_MAX = 5
# Larger blocks are decoded as far as they are asked for, and are not kept.
TRANSACTIONS_KEPT_MAX = 1_000
# What the event loop can show without others noticing.
LIGHT_ITEMS_MAX = 256
LIGHT_BYTES_MAX = 1 << 20
# Of a block that is read and decoded there: some hundred transfers, a tenth of a millisecond.
LIGHT_BODY_BYTES_MAX = 32 << 10


NO_STATE = MemoryView()


def new_executor(view: StateView) -> Executor:
    return Executor(view, contracts=registry.RUN, cache_bytes_max=EXECUTOR_CACHE_BYTES)


@dataclass(frozen=True, slots=True)
class Warm:
    """A block of the chain and an executor on the state before it, which has read what it needs."""

    replay: Replay
    executor: Executor

    def trace(self, watch: Watch) -> Trace:
        """Raises: ExecutionStopped, TraceTooLarge where one transaction alone is watched."""
        with recording(self.executor, watch) as recorder:
            try:
                self._run(watch)
            except (ExecutionStopped, TraceTooLarge) as failure:
                return until_failure(recorder, watch, failure)
            finally:
                self.executor.discard()
            return recorder.trace()

    def trace_one(self, watch: Watch, *, is_light: bool = False) -> TracedOne | None:
        """Of the one transaction that is watched; is_light: None where it would take long to show.
        Raises: as `trace`."""
        assert watch.transaction is not None, "one transaction is watched"
        with recording(self.executor, watch) as recorder:
            try:
                gas_used = self._run(watch).gas_used_by(watch.transaction)
            finally:
                self.executor.discard()
            items, data_bytes = recorder.weight()
            is_heavy = items > LIGHT_ITEMS_MAX or data_bytes > LIGHT_BYTES_MAX
            if is_light and is_heavy:
                return None
            replay = self.replay
            return TracedOne(
                recorder.trace(), gas_used, replay.hash, replay.environment, replay.batch
            )

    def struct_log(
        self, index: int, steps: StructLogWatch, *, bytes_max: int, deadline_ns: int
    ) -> StructLog:
        """Of one transaction. Raises: as `traces.struct_log`."""
        replay = self.replay
        return struct_log(
            self.executor,
            replay.native,
            replay.batch,
            steps,
            transaction=index,
            bytes_max=bytes_max,
            deadline_ns=deadline_ns,
            amendments=replay.amendments,
        )

    def _run(self, watch: Watch) -> BlockResult:
        only, replay = watch.transaction, self.replay
        return self.executor.run_block(
            replay.environment,
            replay.batch,
            replay.withdrawals,
            first=None if only is None else only + 1,
            amendments=replay.amendments,
        )


class Replays:
    """Runs blocks once more, and keeps the last few ready: who traces one transaction of a block
    often asks for the next. Threads: an executor is lent to one at a time."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._lock = threading.Lock()
        # With its block's number; what came last stands last.
        self._idle: list[tuple[int, Warm]] = []
        # Of no block, and without a state: making one takes longer than many a block.
        self._spare = [new_executor(NO_STATE) for _ in range(READY_MAX)]
        self._generation = 0

    def forget(self) -> None:
        """The chain moved: what is idle is dropped, what is lent will not come back."""
        with self._lock:
            for _, warm in self._idle:
                warm.executor.reset(NO_STATE)
                self._spare.append(warm.executor)
            self._idle.clear()
            del self._spare[READY_MAX:]
            self._generation += 1

    def trace(self, number: int, watch: Watch) -> Trace:
        """As `Backend.trace_block`."""
        warm, generation = self._lend(number, watch.transaction)
        trace = warm.trace(watch)
        self._give_back(number, warm, generation)
        return trace

    def trace_one(self, number: int, watch: Watch) -> TracedOne:
        """As `Backend.trace_one`."""
        warm, generation = self._lend(number, watch.transaction)
        traced = warm.trace_one(watch)
        assert traced is not None, "only what should be light can be too heavy"
        self._give_back(number, warm, generation)
        return traced

    def struct_log(
        self, number: int, index: int, steps: StructLogWatch, deadline_ns: int
    ) -> StructLog:
        """As `Backend.struct_log`."""
        warm, generation = self._lend(number, index)
        found = warm.struct_log(index, steps, bytes_max=steps.bytes_max, deadline_ns=deadline_ns)
        self._give_back(number, warm, generation)
        return found

    def _lend(self, number: int, only: int | None) -> tuple[Warm, int]:
        warm, generation = self._take(number)
        return warm or self._prepare(number, only), generation

    def _take(self, number: int) -> tuple[Warm | None, int]:
        """One that is ready, if there is one, and the generation of the chain that it is of."""
        with self._lock:
            idle = self._idle
            for place in range(len(idle) - 1, -1, -1):
                if idle[place][0] == number:
                    return idle.pop(place)[1], self._generation
            return None, self._generation

    def trace_at_once(self, number: int, watch: Watch, gas_max: int) -> TracedOne | None:
        """As `Backend.trace_at_once`."""
        assert watch.transaction is not None, "one transaction is watched"
        lent = self._lend_at_once(number, watch.transaction, gas_max)
        if lent is None:
            return None
        try:
            return lent[0].trace_one(watch, is_light=True)
        except (ExecutionStopped, TraceTooLarge):
            return None
        finally:
            self._give_back(number, *lent)

    def struct_log_at_once(
        self, number: int, index: int, steps: StructLogWatch, bounds: QuickBounds
    ) -> StructLog | None:
        """As `Backend.struct_log_at_once`."""
        lent = self._lend_at_once(number, index, bounds.gas_max)
        if lent is None:
            return None
        try:
            found = lent[0].struct_log(
                index, steps, bytes_max=bounds.bytes_max, deadline_ns=bounds.deadline_ns
            )
        except (ExecutionStopped, TraceTooLarge):
            return None
        finally:
            self._give_back(number, *lent)
        return None if found.is_cut or found.byte_count > LIGHT_BYTES_MAX else found

    def _lend_at_once(self, number: int, index: int, gas_max: int) -> tuple[Warm, int] | None:
        """As `_lend`, where that and running the block up to a transaction takes next to nothing;
        else None."""
        warm, generation = self._take(number)
        if warm is None:
            size = self._chain.body_bytes(number)
            if size is None or size > LIGHT_BODY_BYTES_MAX:
                return None
            warm = self._prepare(number, index)
        if self._is_heavy(number, warm, index, gas_max):
            self._give_back(number, warm, generation)
            return None
        return warm, generation

    def _is_heavy(self, number: int, warm: Warm, index: int, gas_max: int) -> bool:
        """Whether the transactions up to this one used more gas."""
        if warm.replay.gas_used <= gas_max:
            return False
        receipts = self._chain.receipts_record(number)
        return receipts is None or int(receipts.cumulative[index]) > gas_max

    def _prepare(self, number: int, only: int | None) -> Warm:
        """only: the place of the one transaction that is asked for, if it is one."""
        body = self._chain.body(number)
        is_large = body is not None and len(body) > TRANSACTIONS_KEPT_MAX
        count = only + 1 if is_large and only is not None else None
        replay = self._chain.replay(number, count)
        executor = new_executor(replay.view) if is_large else self._executor(replay.view)
        executor.know(replay.changed)
        return Warm(replay, executor)

    def _executor(self, view: StateView) -> Executor:
        """A spare one, or that of the block which would be forgotten for the next; a new one while
        there is room."""
        with self._lock:
            if self._spare:
                executor = self._spare.pop()
            elif len(self._idle) < READY_MAX:
                return new_executor(view)
            else:
                executor = self._idle.pop(0)[1].executor
        executor.reset(view)
        return executor

    def _give_back(self, number: int, warm: Warm, generation: int) -> None:
        with self._lock:
            is_current = generation == self._generation
            if not is_current or len(warm.replay.batch) > TRANSACTIONS_KEPT_MAX:
                return
            self._idle.append((number, warm))
            if len(self._idle) > READY_MAX:
                del self._idle[0]


def until_failure(
    recorder: Recorder, watch: Watch, failure: ExecutionStopped | TraceTooLarge
) -> Trace:
    """What was recorded of a block's earlier transactions. Raises failure where only one was
    asked for."""
    if watch.transaction is not None:
        raise failure
    return replace(recorder.trace(), failure=failure)


def trace_made(chain: Chain, block: Block, watch: Watch) -> Made:
    """As `Backend.trace_made`."""
    header = block.header
    if chain.hash_of(header.number - 1) != header.parent_hash:
        raise StateUnavailable(f"parent of block {header.number} is not known")
    batch = TransactionBatch.decode(block.transactions)
    batch.recover()
    executor = new_executor(chain.state_at(header.number - 1))
    with recording(executor, watch) as recorder:
        result = executor.run_block(
            chain.environment_for(header), batch, block.withdrawals, first=len(batch)
        )
        gas_used = tuple(outcome.gas_used for outcome in result.outcomes)
        return Made(recorder.trace(), batch, gas_used)


class MiddleOfBlock:
    """A simulation on the state in the middle of a block."""

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        warmed(self._executor.view, environment, message, flags=flags & ~CallFlag.KEEP)
        return self._executor.call(environment, message, flags=flags)

    def trace(
        self,
        environment: BlockEnvironment,
        message: Message,
        *,
        flags: int,
        watch: Watch = FRAMES,
    ) -> tuple[CallResult, Trace]:
        warmed(self._executor.view, environment, message, flags=flags & ~CallFlag.KEEP)
        with recording(self._executor, watch) as recorder:
            return self._executor.call(environment, message, flags=flags), recorder.trace()


@contextmanager
def middle_of_block(
    chain: Chain, number: int, count: int, amendments: Amendments
) -> Iterator[Simulation]:
    """As `Backend.within`, before the block's end."""
    block = chain.replay(number, count)
    executor = new_executor(block.view)
    executor.know(block.changed)
    steps = Steps(executor)
    try:
        steps.begin(block.environment, amendments=block.amendments)
        for index in range(len(block.batch)):
            steps.transaction(block.batch, index)
        if amendments:
            steps.begin(block.environment, amendments=amendments, system_calls=False)
        yield MiddleOfBlock(executor)
    finally:
        steps.discard()


@contextmanager
def end_of_block(
    view: StateView, environment: BlockEnvironment, amendments: Amendments
) -> Iterator[Simulation]:
    """As `Backend.within`, after the block's end."""
    executor = new_executor(view)
    steps = Steps(executor)
    try:
        steps.begin(environment, amendments=amendments, system_calls=False)
        yield MiddleOfBlock(executor)
    finally:
        steps.discard()
