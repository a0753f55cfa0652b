"""Threads for slow reads: a bounded number, a bounded queue, a deadline for each job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from ghostchain.primitives.errors import RemoteNeeded
from ghostchain.rpc.asking import Asker
from ghostchain.rpc.errors import LIMIT_EXCEEDED, RESPONSE_TOO_LARGE, TIMEOUT, RpcError
from ghostchain.rpc.remote import RemoteChain

# On a fork: so often a job is run anew with what it lacked; then it waits on its thread. And so
# many may wait.
REMOTE_ROUNDS_MAX = 64
WAITING_MAX = 10_000

Result = TypeVar("Result")


def timed_out() -> RpcError:
    return RpcError(TIMEOUT, "request timed out")


def too_large(hint: str = "") -> RpcError:
    return RpcError(RESPONSE_TOO_LARGE, "response too large" + hint)


@dataclass(slots=True)
class Room:
    """Bytes that an answer may still have."""

    left: int = 1 << 62

    def take(self, size: int) -> bool:
        """Whether so many more bytes have room."""
        self.left -= size
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class Deadline:
    """What a request may still take. A moment of the monotonic clock, or that in which the client
    leaves: loops ask it between steps. room: of its answer, asked by whoever makes long ones
    before all of it is there."""

    at_ns: int
    asker: Asker | None = None
    room: Room = field(default_factory=Room)

    def has_passed(self) -> bool:
        if self.asker is not None and self.asker.gone:
            return True
        return time.monotonic_ns() >= self.at_ns

    def check(self) -> None:
        """Raises RpcError TIMEOUT once it has passed."""
        if self.has_passed():
            raise timed_out()

    def kept(self, part: Any) -> orjson.Fragment:
        """A part of an answer as JSON, a step made. Raises RpcError RESPONSE_TOO_LARGE once the
        parts are too large together, and TIMEOUT."""
        self.check()
        shown = orjson.dumps(part)
        if not self.room.take(len(shown)):
            raise too_large()
        return orjson.Fragment(shown)


class Workers:
    """A thread pool that refuses rather than queues without end."""

    def __init__(
        self,
        *,
        threads: int,
        queue_max: int,
        timeout_s: float,
        remote: Callable[[], RemoteChain | None] = lambda: None,
    ) -> None:
        """remote: of a fork, what a job may have to wait for; it holds no thread meanwhile."""
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="rpc")
        self.jobs_max = threads + queue_max
        self.jobs = 0
        self.usual_timeout_s = timeout_s
        self.remote = remote
        self.waiting = 0

    @property
    def timeout_s(self) -> float:
        """What a job may take; on a fork with what a lookup may."""
        remote = self.remote()
        spare = 0.0 if remote is None else remote.timeout_s
        return self.usual_timeout_s + spare

    def deadline(self, asker: Asker | None = None) -> Deadline:
        return Deadline(time.monotonic_ns() + int(self.timeout_s * 1e9), asker)

    async def run(self, job: Callable[[Deadline], Result], asker: Asker | None = None) -> Result:
        """What job returns, on a thread of the pool, once the asker may have another long answer.

        The wait ends at the deadline; the thread itself ends when the job asks the deadline or
        its gas runs out, and counts as busy until then. On a fork, a job that finds that it needs
        what only the remote has ends, and is run again when that is here: it only reads.

        Raises: RpcError LIMIT_EXCEEDED (queue full) or TIMEOUT; RemoteError.
        """
        if self.remote() is not None:
            return await self.run_on_fork(job, self.deadline(asker))
        if asker is None:
            return await self.run_once(job, self.deadline())
        await asker.take_turn()
        try:
            return await self.run_once(job, self.deadline(asker))
        finally:
            asker.turns.release()

    async def run_on_fork(self, job: Callable[[Deadline], Result], deadline: Deadline) -> Result:
        """As run. Any number of one asker's jobs may wait for the remote together."""
        for _ in range(REMOTE_ROUNDS_MAX):
            remote = self.remote()
            if remote is None:
                break
            try:
                return await self.run_once(impatient(job, remote), deadline)
            except RemoteNeeded as need:
                await self.wait_for(need, deadline)
        return await self.run_once(job, deadline)

    async def wait_for(self, need: RemoteNeeded, deadline: Deadline) -> None:
        """It is here. Raises: RpcError, RemoteError."""
        if self.waiting >= WAITING_MAX:
            raise RpcError(LIMIT_EXCEEDED, "too many requests are waiting, try again later")
        self.waiting += 1
        answer = asyncio.wrap_future(need.answer)
        try:
            left = (deadline.at_ns - time.monotonic_ns()) / 1e9
            done, _ = await asyncio.wait([answer], timeout=max(left, 0.0))
        finally:
            self.waiting -= 1
            answer.add_done_callback(forget)
        if not done or deadline.has_passed():
            raise timed_out()
        answer.result()

    async def run_once(self, job: Callable[[Deadline], Result], deadline: Deadline) -> Result:
        """As run, for what needs no remote, or waits for it on its thread."""
        if self.jobs >= self.jobs_max:
            raise RpcError(LIMIT_EXCEEDED, "too many requests are waiting, try again later")
        self.jobs += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self.pool, job, deadline)
        future.add_done_callback(self.finished)
        try:
            # A grace beyond the deadline lets a job that asks it answer by itself.
            left = (deadline.at_ns - time.monotonic_ns()) / 1e9
            return await asyncio.wait_for(asyncio.shield(future), max(left, 0.0) + 1.0)
        except TimeoutError:
            future.add_done_callback(forget)
            raise timed_out() from None

    def finished(self, future: asyncio.Future[Result]) -> None:
        self.jobs -= 1

    def stop(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)


def impatient(
    job: Callable[[Deadline], Result], remote: RemoteChain
) -> Callable[[Deadline], Result]:
    """The job, which raises RemoteNeeded rather than wait."""

    def run(deadline: Deadline) -> Result:
        with remote.impatient():
            return job(deadline)

    return run


def forget(future: asyncio.Future[Result]) -> None:
    """Reads the outcome nobody waits for, so that asyncio does not report it as lost."""
    if not future.cancelled():
        future.exception()
