"""The only node of a chain takes what waits, builds a block, makes it the head.

Where no validators decide (`--dev`, a foreign genesis), one node seals; `sealing.py` says when,
this module does it, one block at a time on the chain's writer thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from ghostchain.chain.chain import Chain, SealedBlock
from ghostchain.chain.environments import SOLO_EXTRA_DATA
from ghostchain.chain.writer import Proposal
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.node.candidates import Candidates, best_candidates, drop_refused
from ghostchain.node.logs import event
from ghostchain.node.sealing import Sealing, SealingPolicy
from ghostchain.node.warming import Held, Warming
from ghostchain.primitives.errors import RemoteError, RemoteNeeded
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import ZERO_HASH, Address, Hash32
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import PoolReason

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

# After a fork's remote node failed, sealing is tried again.
REMOTE_RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a block is made with. gas_limit: where the limit moves to, None to leave it. On a
    development chain also base_fee instead of what the parent demands, and is_free: time and gas
    limit are as said, whatever the parent's. by_arrival: the order of its transactions.
    count_max: of them."""

    timestamp: int
    coinbase: Address
    prev_randao: Hash32
    gas_limit: int | None = None
    base_fee: int | None = None
    is_free: bool = False
    by_arrival: bool = False
    count_max: int | None = None


def usual_terms(chain: Chain, coinbase: Address, gas_limit: int | None) -> Terms:
    """Those of the block after the head where nobody moves anything by hand."""
    parent = chain.head
    return Terms(
        timestamp=max(int(time.time()), parent.timestamp + chain.config.timestamp_step_min),
        coinbase=coinbase,
        prev_randao=randomness(parent),
        gas_limit=gas_limit,
    )


def proposal_of(terms: Terms) -> Proposal:
    return Proposal(
        timestamp=terms.timestamp,
        coinbase=terms.coinbase,
        prev_randao=terms.prev_randao,
        extra_data=SOLO_EXTRA_DATA,
        gas_limit=terms.gas_limit,
        base_fee=terms.base_fee,
        is_free=terms.is_free,
    )


class BlockMaker:
    """Makes blocks out of the pool, on the writer's thread."""

    def __init__(
        self,
        chain: Chain,
        pool: PoolDriver,
        terms: Callable[[], Terms],
        on_sealed: Callable[[SealedBlock], None] = lambda sealed: None,
        is_told: Callable[[], bool] = lambda: True,
        warming: Warming | None = None,
    ) -> None:
        """terms: of the next block. on_sealed: told of each block, on the writer's thread.
        is_told: whether the log tells of blocks with transactions. warming: of a chain that may be
        a fork, where what needs the remote is made ready."""
        self._warming = warming
        self._is_told = is_told
        self._chain = chain
        self._pool = pool
        self._terms = terms
        self._on_sealed = on_sealed

    def make(self, *, empty_too: bool) -> bool | None:
        """The next block is the head, with what of the pool goes in. Returns whether more waits.

        empty_too: an empty block is due too. None: nothing that waits pays, so no block was made.
        Raises: RemoteNeeded where not even a block without them can be made; nothing is done then.
        """
        started_ns = time.monotonic_ns()
        terms = self._terms()
        while True:
            candidates = self._candidates(terms)
            if not candidates.transactions and not empty_too:
                return None
            batch = candidates.batch()
            try:
                sealed = self._build(batch, terms)
                break
            except RemoteNeeded:
                if not self._hold(candidates, batch):
                    raise
        left_out = drop_refused(self._chain, self._pool, candidates.transactions, sealed.outcomes)
        self._on_sealed(sealed)
        event(
            logger,
            logging.INFO if sealed.block.transactions and self._is_told() else logging.DEBUG,
            "sealed block",
            number=sealed.block.header.number,
            hash=sealed.hash[:6],
            transactions=len(sealed.block.transactions),
            gas=sealed.block.header.gas_used,
            ms=(time.monotonic_ns() - started_ns) / 1e6,
        )
        # Without a single inclusion, trying again at once would find the same.
        return bool(sealed.block.transactions) and (candidates.is_cut or left_out > 0)

    def make_empty(self, count: int, terms: Callable[[Header], Terms]) -> None:
        """So many blocks without transactions, in groups that wait for the disk together. terms: of
        the block after that one. Not of a fork."""
        for sealed in self._chain.build_empty(count, lambda parent: proposal_of(terms(parent))):
            self._on_sealed(sealed)
            header = sealed.block.header
            event(logger, logging.DEBUG, "sealed block", number=header.number, hash=sealed.hash[:6])

    def _candidates(self, terms: Terms) -> Candidates:
        """What waits and pays, but for what is held back."""
        found = best_candidates(
            self._chain,
            self._pool,
            base_fee=terms.base_fee,
            gas_limit=terms.gas_limit if terms.is_free else None,
            by_arrival=terms.by_arrival,
            count_max=terms.count_max,
        )
        return found if self._warming is None else found.without(self._warming.is_held)

    def _build(self, batch: TransactionBatch, terms: Terms) -> SealedBlock:
        return self._chain.build_block(
            batch,
            timestamp=terms.timestamp,
            coinbase=terms.coinbase,
            prev_randao=terms.prev_randao,
            extra_data=SOLO_EXTRA_DATA,
            withdrawals=(),
            parent_beacon_block_root=ZERO_HASH,
            gas_limit=terms.gas_limit,
            base_fee=terms.base_fee,
            is_free=terms.is_free,
            waits=False,
        )

    def _hold(self, candidates: Candidates, batch: TransactionBatch) -> bool:
        return self._warming is not None and self._warming.hold(candidates, batch)

    def holds_any(self, hashes: Collection[Hash32]) -> bool:
        """Whether one of these is held back."""
        return self._warming is not None and self._warming.holds_any(hashes)

    def hold_cold(self) -> None:
        """What waits and needs the remote is held back, and made ready."""
        candidates = self._candidates(self._terms())
        if candidates.transactions:
            self._hold(candidates, candidates.batch())


@dataclass(slots=True, eq=False)
class Settling:
    """Who waits until these transactions are in a block, or were tried for one. failures: of those
    for which the remote gave out."""

    hashes: Collection[Hash32]
    failures: dict[Hash32, RemoteError] = field(default_factory=dict)
    done: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Sealer:
    """Seals blocks until stopped. `on_pending` may be called from any thread, the rest is for the
    event loop."""

    def __init__(
        self,
        maker: BlockMaker,
        pool: PoolDriver,
        policy: SealingPolicy,
        writer: ThreadPoolExecutor,
        renewed: Callable[[], SealingPolicy | None] = lambda: None,
    ) -> None:
        """renewed: asked after each block for another policy; None to keep it."""
        self._maker = maker
        self._renewed = renewed
        self._pool = pool
        self._writer = writer
        self._sealing = Sealing(policy, now_ns=time.monotonic_ns())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._settling: list[Settling] = []
        self._is_running = False
        # The thread that admits, and seals right after that.
        self._sealing_thread: int | None = None
        self._failure: BaseException | None = None

    @property
    def policy(self) -> SealingPolicy:
        return self._sealing.policy

    def set_policy(self, policy: SealingPolicy) -> None:
        """When to seal from here on; an interval begins anew."""
        self._sealing.set_policy(policy, now_ns=time.monotonic_ns())
        if policy.eager:
            if self._pool.pool.pending_count():
                self._wake()
        else:
            self._finish(self._settling)
        self._woken.set()

    def on_pending(self) -> None:
        """Something waits that could be included now."""
        if self._loop is not None and self._sealing_thread != threading.get_ident():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._sealing.on_pending(now_ns=time.monotonic_ns())
        self._woken.set()

    @property
    def seals_at_once(self) -> bool:
        """Whether nothing but a waiting transaction says when the next block is made."""
        policy = self.policy
        is_paced = policy.interval_ns is not None or policy.gather_ns > 0
        return self._is_running and policy.eager and not is_paced

    async def admit(self, bring: Callable[[], Value]) -> Value:
        """What `bring` returns, which brings transactions to the pool; and what waits then is in a
        block. Both in one go on the writer's thread, so that neither has to be woken for the other.
        For a chain that seals at once. Raises: as bring does."""

        def job() -> tuple[Value, bool]:
            self._sealing_thread = threading.get_ident()
            try:
                brought = bring()
            finally:
                self._sealing_thread = None
            return brought, self._seal_here()

        brought, is_left = await asyncio.get_running_loop().run_in_executor(self._writer, job)
        if is_left:
            self._wake()
        self._finish_settled()
        return brought

    def _seal_here(self) -> bool:
        """Whether something waits for `run` to look after it: what did not fit, what a fork has to
        fetch, or a failure that ends sealing."""
        try:
            if not self.seals_at_once or not self._pool.pool.pending_count():
                return False
            return bool(self._maker.make(empty_too=False))
        except (RemoteNeeded, RemoteError):
            return True
        except BaseException as failure:
            self._failure = failure
            return True

    async def settle(self, hashes: Collection[Hash32]) -> Mapping[Hash32, RemoteError]:
        """These are in a block, or do not pay for one, where a waiting transaction is reason enough
        for a block; elsewhere, and once sealing has ended, at once. Whoever waits together is
        served by one block. Returns those for which a fork's remote did not give what they need,
        and why; they wait no more, as if they had never been sent."""
        if not self._is_running or not self.policy.eager or not self._still_wait(hashes):
            return {}
        settling = Settling(hashes)
        self._settling.append(settling)
        self._wake()
        await settling.done
        return settling.failures

    def on_warmed(self, held: Held, failure: RemoteError | None) -> None:
        """What was held back can be tried again. Where the remote gave out, whoever waits for it
        is told, and it is gone; what nobody waits for goes on waiting."""
        waiting = [
            one
            for one in self._settling
            if not one.done.done() and held.hashes.intersection(one.hashes)
        ]
        if failure is None or not waiting:
            if failure is not None:
                event(logger, logging.WARNING, "no block", reason=str(failure))
            self._later(0.0 if failure is None else REMOTE_RETRY_S)
            return
        gone = {name for one in waiting for name in one.hashes if name in held.hashes}
        for one in waiting:
            one.failures |= dict.fromkeys(gone.intersection(one.hashes), failure)
        self._drop_failed()

    def _drop_failed(self) -> None:
        """What somebody is told has failed is gone before he is told, so that nothing comes of it
        later; unless it is in a block by then."""
        failed = {name for one in self._settling for name in one.failures}
        assert self._loop is not None, "settled while it runs"

        def drop() -> set[Hash32]:
            still = {name for name in failed if name in self._pool.pool.by_hash}
            self._pool.drop(still, PoolReason.DROPPED, durably=True)
            return still

        def dropped(done: asyncio.Future[set[Hash32]]) -> None:
            for one in self._settling:
                for name in failed.difference(done.result()):
                    one.failures.pop(name, None)
            self._finish_settled()

        self._loop.run_in_executor(self._writer, drop).add_done_callback(dropped)

    def _later(self, seconds: float) -> None:
        if self._loop is not None and self.policy.eager:
            self._loop.call_later(seconds, self._wake)

    def _finish_settled(self) -> None:
        """Whoever waits for nothing that still does."""
        self._finish([one for one in self._settling if not self._still_wait(one.hashes)])

    def _still_wait(self, hashes: Collection[Hash32]) -> bool:
        """One look-up each, whole without the pool's lock."""
        by_hash = self._pool.pool.by_hash
        return any(one in by_hash for one in hashes)

    async def run(self) -> None:
        """Seals whenever it is time, until cancelled (never in the middle of a block)."""
        self._loop = asyncio.get_running_loop()
        if self._pool.pool.pending_count():
            self._wake()
        self._is_running = True
        try:
            while True:
                await self._until_due()
                if self._failure is not None:
                    raise self._failure
                await self._seal_once(self._loop)
        finally:
            self._is_running = False
            self._finish(self._settling)

    async def _seal_once(self, loop: asyncio.AbstractEventLoop) -> None:
        paced = self._sealing.paces(now_ns=time.monotonic_ns())
        self._sealing.on_started()
        tried = list(self._settling)
        building = loop.run_in_executor(self._writer, lambda: self._maker.make(empty_too=paced))
        try:
            more_waits = await asyncio.shield(building)
        except RemoteNeeded as need:
            # On a fork: no block can be made before that is here.
            need.answer.add_done_callback(lambda answer: self._on_needed(loop, answer))
            self._sealing.on_sealed(now_ns=time.monotonic_ns(), more_waits=False)
            return
        except RemoteError as failure:
            self._on_failure(loop, failure)
            self._sealing.on_sealed(now_ns=time.monotonic_ns(), more_waits=False)
            return
        if more_waits is not None:
            self._sealing.on_sealed(now_ns=time.monotonic_ns(), more_waits=more_waits)
            policy = self._renewed()
            if policy is not None:
                self._sealing.set_policy(policy, now_ns=time.monotonic_ns())
        if not more_waits:
            self._finish([one for one in tried if not self._maker.holds_any(one.hashes)])
        # Whoever came while the block was made may be in it already.
        self._finish_settled()

    def _on_failure(self, loop: asyncio.AbstractEventLoop, failure: RemoteError) -> None:
        """The remote did not give what every block needs: whoever waits for one is told."""
        event(logger, logging.WARNING, "no block", reason=str(failure))
        for one in self._settling:
            one.failures |= dict.fromkeys(one.hashes, failure)
        self._drop_failed()
        loop.call_later(REMOTE_RETRY_S, self._wake)

    def _on_needed(self, loop: asyncio.AbstractEventLoop, answer: Future[None]) -> None:
        """What every block needs is here, or is not to be had. Any thread."""
        failure = answer.exception()

        def tell() -> None:
            if isinstance(failure, RemoteError):
                self._on_failure(loop, failure)
            else:
                self._wake()

        with contextlib.suppress(RuntimeError):  # the node has stopped meanwhile
            loop.call_soon_threadsafe(tell)

    def _finish(self, settled: list[Settling]) -> None:
        for one in list(settled):
            if one in self._settling:
                self._settling.remove(one)
            one.finish()

    async def _until_due(self) -> None:
        while True:
            self._woken.clear()
            deadline = self._sealing.deadline_ns()
            seconds = None if deadline is None else (deadline - time.monotonic_ns()) / 1e9
            if seconds is not None and seconds <= 0:
                return
            try:
                await asyncio.wait_for(self._woken.wait(), seconds)
            except TimeoutError:
                return


def randomness(parent: Header) -> Hash32:
    """`prevRandao` while one validator seals alone: a hash chain from the genesis value.

    It is the same for whoever recomputes it, and as good as known to the validator; verifiable
    randomness needs a proposer's proof, which belongs to consensus.
    """
    return keccak256(parent.prev_randao + parent.number.to_bytes(8, "big"))
