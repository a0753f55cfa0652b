"""Raw transactions on their way to the pool: one admission at a time in each of two lanes, as
large as what waits.

Decoding, sender recovery and the journal cost far less a transaction in one native batch than one
by one, so the items of a JSON-RPC batch go together, and so do requests that arrive while an
admission is under way. Signatures of a GhostTx may take ten times as long to verify as others, so
these go in a lane of their own, where they hold up nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ghostchain.primitives.transaction import TransactionType
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import Backend, Refusal
from ghostchain.rpc.errors import LIMIT_EXCEEDED, RpcError


class RemoteReason(Enum):
    """Why a fork did not take what its pool had taken."""

    FAILED = "the remote did not give what it needs"


SLOW_TYPE = bytes((TransactionType.GHOST,))

Answers = Sequence[Hash32 | Refusal]


@dataclass(frozen=True, slots=True)
class Waiting:
    raws: Sequence[bytes]
    answers: asyncio.Future[Answers]


class Submitter:
    """Sends each transaction down its lane. Order of arrival is kept within a lane."""

    def __init__(self, backend: Backend, *, batch_max: int, queue_max: int) -> None:
        self.backend = backend
        self.ordinary = Lane(backend, batch_max=batch_max, queue_max=queue_max)
        self.slow = Lane(backend, batch_max=batch_max, queue_max=queue_max)

    @property
    def queued(self) -> int:
        """Transactions that wait for an admission."""
        return self.ordinary.queued + self.slow.queued

    async def submit(self, raws: Sequence[bytes]) -> Answers:
        """One answer for each transaction, in order; where automine says so, those that were taken
        are in a block by then.

        Raises RpcError LIMIT_EXCEEDED when too many wait already.
        """
        return await self.settle(await self.admit(raws))

    async def settle(self, answers: Answers) -> Answers:
        """What was admitted is in a block, where automine says so; or refused after all, where a
        fork's remote did not give what it needs."""
        hand = self.backend.development
        if hand is None:
            return answers
        failures = await hand.settle([one for one in answers if not isinstance(one, Refusal)])
        if not failures:
            return answers
        return [
            answer
            if isinstance(answer, Refusal) or answer not in failures
            else Refusal(RemoteReason.FAILED, str(failures[answer]))
            for answer in answers
        ]

    async def admit(self, raws: Sequence[bytes]) -> Answers:
        """As submit, and no block is waited for."""
        is_slow = [raw[:1] == SLOW_TYPE for raw in raws]
        if not any(is_slow):
            return await self.ordinary.submit(raws)
        if all(is_slow):
            return await self.slow.submit(raws)
        lanes = []
        for lane, wanted in ((self.ordinary, False), (self.slow, True)):
            chosen = [raw for raw, slow in zip(raws, is_slow, strict=True) if slow == wanted]
            lanes.append(lane.submit(chosen))
        ordinary, slow = map(iter, await asyncio.gather(*lanes))
        return [next(slow if item else ordinary) for item in is_slow]

    async def stop(self) -> None:
        """What is being admitted is finished; what waits is refused."""
        await asyncio.gather(self.ordinary.stop(), self.slow.stop())


class Lane:
    """Groups submissions; their order of arrival is kept."""

    def __init__(self, backend: Backend, *, batch_max: int, queue_max: int) -> None:
        self.backend = backend
        self.batch_max = batch_max
        self.queue_max = queue_max
        self.queue: deque[Waiting] = deque()
        self.queued = 0
        self.task: asyncio.Task[None] | None = None

    async def submit(self, raws: Sequence[bytes]) -> Answers:
        """One answer for each transaction, in order.

        Raises RpcError LIMIT_EXCEEDED when too many wait already.
        """
        if self.queued + len(raws) > self.queue_max:
            raise RpcError(LIMIT_EXCEEDED, "too many transactions are being submitted")
        waiting = Waiting(raws, asyncio.get_running_loop().create_future())
        self.queue.append(waiting)
        self.queued += len(raws)
        if self.task is None:
            self.task = asyncio.create_task(self.drain())
        return await waiting.answers

    async def drain(self) -> None:
        try:
            while self.queue:
                group = self.next_group()
                raws = [raw for waiting in group for raw in waiting.raws]
                self.queued -= len(raws)
                await self.admit(group, raws)
        finally:
            self.task = None

    def next_group(self) -> list[Waiting]:
        """The longest head of the queue that fits one batch, and at least its first."""
        group = [self.queue.popleft()]
        size = len(group[0].raws)
        while self.queue and size + len(self.queue[0].raws) <= self.batch_max:
            group.append(self.queue.popleft())
            size += len(group[-1].raws)
        return group

    async def admit(self, group: list[Waiting], raws: list[bytes]) -> None:
        try:
            answers = await self.backend.submit(raws)
        except BaseException as error:
            # The waiters report it; only a cancellation is this task's own affair.
            cause = error if isinstance(error, Exception) else RuntimeError("node is stopping")
            for waiting in group:
                if not waiting.answers.done():
                    waiting.answers.set_exception(cause)
            if not isinstance(error, Exception):
                raise
            return
        start = 0
        for waiting in group:
            end = start + len(waiting.raws)
            if not waiting.answers.done():
                waiting.answers.set_result(answers[start:end])
            start = end

    async def stop(self) -> None:
        """What is being admitted is finished; what waits is refused."""
        for waiting in self.queue:
            if not waiting.answers.done():
                waiting.answers.set_exception(RpcError(LIMIT_EXCEEDED, "the node is stopping"))
        self.queue.clear()
        self.queued = 0
        if self.task is not None:
            await asyncio.gather(self.task, return_exceptions=True)
