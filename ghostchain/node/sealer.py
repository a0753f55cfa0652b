"""The only node of a chain takes what waits, builds a block, makes it the head.

Where no validators decide (`--dev`, a foreign genesis), one node seals; `sealing.py` says when,
this module does it, one block at a time on the chain's writer thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ghostchain.chain.chain import Chain, SealedBlock
from ghostchain.chain.environments import SOLO_EXTRA_DATA
from ghostchain.crypto.keccak import keccak256
from ghostchain.node.candidates import CANDIDATE_COUNT_MAX, best_candidates, drop_refused
from ghostchain.node.logs import event
from ghostchain.node.sealing import Sealing, SealingPolicy
from ghostchain.primitives.errors import RemoteError
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import ZERO_HASH, Address, Hash32
from ghostchain.txpool.driver import PoolDriver

logger = logging.getLogger(__name__)

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
    count_max: int = CANDIDATE_COUNT_MAX


def usual_terms(chain: Chain, coinbase: Address, gas_limit: int | None) -> Terms:
    """Those of the block after the head where nobody moves anything by hand."""
    parent = chain.head
    return Terms(
        timestamp=max(int(time.time()), parent.timestamp + chain.config.timestamp_step_min),
        coinbase=coinbase,
        prev_randao=randomness(parent),
        gas_limit=gas_limit,
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
    ) -> None:
        """terms: of the next block. on_sealed: told of each block, on the writer's thread.
        is_told: whether the log tells of blocks with transactions."""
        self._is_told = is_told
        self._chain = chain
        self._pool = pool
        self._terms = terms
        self._on_sealed = on_sealed

    def make(self, *, empty_too: bool) -> bool | None:
        """The next block is the head, with what of the pool goes in. Returns whether more waits.

        empty_too: an empty block is due too. None: nothing that waits pays, so no block was made.
        """
        started_ns = time.monotonic_ns()
        terms = self._terms()
        candidates = best_candidates(
            self._chain,
            self._pool,
            base_fee=terms.base_fee,
            gas_limit=terms.gas_limit if terms.is_free else None,
            by_arrival=terms.by_arrival,
            count_max=terms.count_max,
        )
        if not candidates.transactions and not empty_too:
            return None
        sealed = self._chain.build_block(
            candidates.batch(),
            timestamp=terms.timestamp,
            coinbase=terms.coinbase,
            prev_randao=terms.prev_randao,
            extra_data=SOLO_EXTRA_DATA,
            withdrawals=(),
            parent_beacon_block_root=ZERO_HASH,
            gas_limit=terms.gas_limit,
            base_fee=terms.base_fee,
            is_free=terms.is_free,
        )
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


@dataclass(slots=True, eq=False)
class Settling:
    """Who waits until these transactions are in a block, or were tried for one."""

    hashes: Collection[Hash32]
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
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._sealing.on_pending(now_ns=time.monotonic_ns())
        self._woken.set()

    async def settle(self, hashes: Collection[Hash32]) -> None:
        """These are in a block, or do not pay for one, where a waiting transaction is reason enough
        for a block; elsewhere, and once sealing has ended, at once. Whoever waits together is
        served by one block."""
        if not self._is_running or not self.policy.eager or not self._still_wait(hashes):
            return
        settling = Settling(hashes)
        self._settling.append(settling)
        self._wake()
        await settling.done

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
        except RemoteError as failure:
            # On a fork: what waits goes on waiting, and who sent it is not kept waiting.
            event(logger, logging.WARNING, "no block", reason=str(failure))
            loop.call_later(REMOTE_RETRY_S, self._wake)
            more_waits = False
        if more_waits is not None:
            self._sealing.on_sealed(now_ns=time.monotonic_ns(), more_waits=more_waits)
            policy = self._renewed()
            if policy is not None:
                self._sealing.set_policy(policy, now_ns=time.monotonic_ns())
        if not more_waits:
            self._finish(tried)
        # Whoever came while the block was made may be in it already.
        self._finish([one for one in self._settling if not self._still_wait(one.hashes)])

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
