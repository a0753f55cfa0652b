"""On a fork: what transactions and calls need of the remote node is brought here before they run.

Run one after another, each thing that is not here would cost a round trip. So they are run with
what is here, the rest taken for absent and noted; what was noted is asked for together, and they
are run again, until nothing is missing. A swap that reads twenty slots in eight accounts takes a
few round trips so; where the remote lists what a call touches (eth_createAccessList), two.

Whoever makes blocks never waits for the remote. A transaction that needs it is held back with the
later ones of its sender, while it is made ready here, and all others go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from ghostchain.chain.chain import Chain
from ghostchain.contracts import registry
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, Executor, Message
from ghostchain.execution.steps import Steps
from ghostchain.node.candidates import Candidates
from ghostchain.primitives.errors import GhostError, RemoteError, RemoteNeeded
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state.remote import ForkedView, Missed, RemoteView, forked_beneath
from ghostchain.txpool.effects import PoolTransaction

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# So often something is run without waiting; after that it is run once more, and waits for each.
ROUNDS_MAX = 64
THREADS = 2
EXECUTOR_CACHE_BYTES = 8 * 1024 * 1024


# ---- one call ----


def ready(
    forked: ForkedView, run: Callable[[], Result], forget: Callable[[], None], message: Message
) -> Result:
    """What run gives when all that it needs is here. forget: drops what run has read; run leaves
    nothing behind. Worker threads. Raises: RemoteError, RemoteNeeded where the thread must not
    wait, and what run raises."""
    remote = forked.remote
    for number in range(ROUNDS_MAX):
        with forked.guessing() as missed:
            try:
                result = run()
            except Exception:
                if not missed:
                    raise
            else:
                if not missed:
                    return result
        forget()
        if number == 0:
            hint(forked, message)
            missed |= named_by(message)
        remote.wait_for(remote.fetched(missed))
    return run()


def hint(forked: ForkedView, message: Message) -> None:
    """The remote is asked what the message touches, where it has the code that would run."""
    to = message.to
    if not message.data or (to is not None and forked.is_local(to)):
        return
    call = {"from": "0x" + message.sender.hex(), "data": "0x" + message.data.hex()}
    if to is not None:
        call["to"] = "0x" + to.hex()
    if message.value:
        call["value"] = hex(message.value)
    forked.remote.hint(call)


def named_by(message: Message) -> Missed:
    """The accounts and slots that a message names."""
    named: Missed = {("accounts", message.sender): None}
    if message.to is not None:
        named["accounts", message.to] = None
    for entry in message.access_list:
        named["accounts", entry.address] = None
        named |= {("slots", entry.address + key): None for key in entry.keys}
    return named


def warmed(view: object, environment: BlockEnvironment, message: Message, *, flags: int) -> None:
    """What the message needs on that state, as far as it can be told without what came before it,
    is here. Raises: RemoteError."""
    forked = forked_beneath(view)
    if forked is None:
        return
    executor = fresh_executor(view)
    ready(
        forked,
        lambda: executor.call(environment, message, flags=flags),
        executor.reset,
        message,
    )


def fresh_executor(view: object) -> Executor:
    return Executor(
        view,  # type: ignore[arg-type]
        contracts=registry.RUN,
        cache_bytes_max=EXECUTOR_CACHE_BYTES,
    )


async def when_here(
    remote: RemoteView | None,
    run: Callable[[Callable[[], Result]], Awaitable[Result]],
    job: Callable[[], Result],
) -> Result:
    """What the job gives on a thread that may not wait (it may hold a lock): where it finds that
    something of the remote is not here it ends, and is run again when it is. It changes nothing
    before it has all that it needs. remote: None where there is no fork.

    Raises: RemoteError, and what the job raises.
    """
    if remote is None:
        return await run(job)

    def impatiently() -> Result:
        with remote.impatient():
            return job()

    for _ in range(ROUNDS_MAX):
        try:
            return await run(impatiently)
        except RemoteNeeded as need:
            await asyncio.wrap_future(need.answer)
    return await run(job)


# ---- transactions that wait for a block ----


@dataclass(eq=False, slots=True)
class Held:
    """Transactions of one sender that are held back, in order. done: no longer; with the failure
    where the remote did not give what they need."""

    transactions: tuple[PoolTransaction, ...]
    missed: Missed
    done: asyncio.Future[RemoteError | None] | None = None

    @property
    def hashes(self) -> set[Hash32]:
        return {one.hash for one in self.transactions}


@dataclass(slots=True)
class Judged:
    """What running candidates without waiting has shown: by sender those that need the remote."""

    cold: dict[Address, list[PoolTransaction]] = field(default_factory=dict)
    missed: dict[Address, Missed] = field(default_factory=dict)


class Warming:
    """Which transactions are held back, and making them ready. `hold` is for the thread that writes
    the chain, `hashes` and `is_held` for any, the rest for the event loop."""

    def __init__(
        self,
        chain: Chain,
        environment: Callable[[], BlockEnvironment],
        on_done: Callable[[Held, RemoteError | None], None],
    ) -> None:
        """environment: of the next block. on_done: told on the event loop."""
        self._chain = chain
        self._environment = environment
        self._on_done = on_done
        self._held: dict[Hash32, Held] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="warming")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved_at = time.monotonic()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Nothing is made ready any more."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_held(self, transaction_hash: Hash32) -> bool:
        return transaction_hash in self._held

    def holds_any(self, hashes: Collection[Hash32]) -> bool:
        return any(one in self._held for one in hashes)

    @property
    def is_idle(self) -> bool:
        return not self._held

    # ---- on the writer's thread ----

    def hold(self, candidates: Candidates, batch: TransactionBatch) -> bool:
        """Those of the candidates that need the remote are held back from here on. False: none does
        by itself; what a block needs is not here, or this chain is no fork."""
        judged = self._judge(candidates.transactions, batch)
        for sender, transactions in judged.cold.items():
            held = Held(tuple(transactions), judged.missed[sender])
            for one in transactions:
                self._held[one.hash] = held
            assert self._loop is not None, "blocks are made after the start"
            self._loop.call_soon_threadsafe(self._begin, held)
        return bool(judged.cold)

    def _judge(self, candidates: Sequence[PoolTransaction], batch: TransactionBatch) -> Judged:
        """Runs the candidates as the next block would. After the first that needs the remote what
        follows may be misjudged, which the next block that is tried puts right."""
        judged = Judged()
        view, amendments = self._chain.start_of_child(self._chain.head.number)
        forked = forked_beneath(view)
        if forked is None:
            return judged
        with forked.guessing() as missed:
            steps = Steps(fresh_executor(view))
            try:
                steps.begin(self._environment(), amendments=amendments)
                missed.clear()  # which the block needs, whatever is in it
                for place, candidate in enumerate(candidates):
                    failed = self._step(steps, batch, place)
                    if missed or candidate.sender in judged.cold:
                        judged.cold.setdefault(candidate.sender, []).append(candidate)
                        judged.missed.setdefault(candidate.sender, {}).update(missed)
                    missed.clear()
                    if failed:
                        break
            except GhostError:
                return judged
        return judged

    def _step(self, steps: Steps, batch: TransactionBatch, place: int) -> bool:
        """Whether the run cannot go on: what it lacks nothing can stand for."""
        try:
            steps.transaction(batch, place)
        except RemoteNeeded:
            return True
        return False

    # ---- on the event loop ----

    def _begin(self, held: Held) -> None:
        assert self._loop is not None
        held.done = self._loop.create_future()
        task = self._loop.create_task(self._warm(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm(self, held: Held) -> None:
        """The held transactions can run, or the remote does not give what they need."""
        assert self._loop is not None
        failure: RemoteError | None = None
        missed = held.missed
        try:
            for _ in range(ROUNDS_MAX):
                if not missed:
                    break
                await self._fetched(missed)
                missed = await self._loop.run_in_executor(self._threads, self._lacks, held)
        except RemoteError as error:
            failure = error
        finally:
            for one in held.hashes:
                self._held.pop(one, None)
        assert held.done is not None
        held.done.set_result(failure)
        self._on_done(held, failure)

    async def _fetched(self, missed: Missed) -> None:
        forked = forked_beneath(self._chain.state_at(self._chain.head.number))
        if forked is not None:
            await asyncio.wrap_future(forked.remote.fetched(missed))
        self._moved_at = time.monotonic()

    def _lacks(self, held: Held) -> Missed:
        """What the held transactions still need, run one after another on the head's state."""
        view, amendments = self._chain.start_of_child(self._chain.head.number)
        forked = forked_beneath(view)
        if forked is None:
            return {}
        batch = Candidates(held.transactions, is_cut=False).batch()
        with forked.guessing() as missed:
            steps = Steps(fresh_executor(view))
            try:
                steps.begin(self._environment(), amendments=amendments)
                missed.clear()
                for place in range(len(held.transactions)):
                    if self._step(steps, batch, place):
                        break
            except GhostError as error:
                logger.debug("a held transaction cannot be tried: %s", error)
        return dict(missed)

    async def settled(self, patience_s: float) -> bool:
        """All that is held now is ready, or has failed; False: the remote gave nothing for so long,
        and is waited for no more."""
        self._moved_at = time.monotonic()
        while waiting := {one.done for one in self._held.values() if one.done is not None}:
            left = self._moved_at + patience_s - time.monotonic()
            if left <= 0:
                return False
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return True
