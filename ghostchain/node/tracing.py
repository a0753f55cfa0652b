"""Blocks of the chain run once more, for what tracers want to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ghostchain.chain.chain import Chain
from ghostchain.contracts import registry
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallResult,
    ExecutionStopped,
    Executor,
    Message,
    StateView,
    TraceTooLarge,
)
from ghostchain.execution.steps import Steps
from ghostchain.execution.traces import FRAMES, Recorder, Trace, Watch, recording
from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.rpc.backend import Made, Simulation

EXECUTOR_CACHE_BYTES = 8 * 1024 * 1024


def new_executor(view: StateView) -> Executor:
    return Executor(view, contracts=registry.RUN, cache_bytes_max=EXECUTOR_CACHE_BYTES)


def trace_block(chain: Chain, number: int, watch: Watch) -> Trace:
    """As `Backend.trace_block`."""
    only = watch.transaction
    block = chain.replay(number, None if only is None else only + 1)
    executor = new_executor(block.view)
    with recording(executor, watch) as recorder:
        try:
            executor.run_block(
                block.environment,
                block.batch,
                block.withdrawals,
                partial=only is not None,
                amendments=block.amendments,
            )
        except (ExecutionStopped, TraceTooLarge) as failure:
            return until_failure(recorder, watch, failure)
        return recorder.trace()


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
            chain.environment_for(header), batch, block.withdrawals, partial=True
        )
        gas_used = tuple(outcome.gas_used for outcome in result.outcomes)
        return Made(recorder.trace(), batch, gas_used)


class MiddleOfBlock:
    """A simulation on the state in the middle of a block."""

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        return self._executor.call(environment, message, flags=flags)

    def trace(
        self,
        environment: BlockEnvironment,
        message: Message,
        *,
        flags: int,
        watch: Watch = FRAMES,
    ) -> tuple[CallResult, Trace]:
        with recording(self._executor, watch) as recorder:
            return self.call(environment, message, flags=flags), recorder.trace()


@contextmanager
def middle_of_block(
    chain: Chain, number: int, count: int, amendments: Amendments
) -> Iterator[Simulation]:
    """As `Backend.within`, before the block's end."""
    block = chain.replay(number, count)
    executor = new_executor(block.view)
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
