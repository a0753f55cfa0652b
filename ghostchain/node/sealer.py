"""The only node of a chain takes what waits, builds a block, makes it the head.

Where no validators decide (`--dev`, a foreign genesis), one node seals; `sealing.py` says when,
this module does it, one block at a time on the chain's writer thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ghostchain.chain.chain import Chain
from ghostchain.crypto.keccak import keccak256
from ghostchain.node.candidates import best_candidates, drop_refused
from ghostchain.node.logs import event
from ghostchain.node.sealing import Sealing, SealingPolicy
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import ZERO_HASH, Address, Hash32
from ghostchain.txpool.driver import PoolDriver

logger = logging.getLogger(__name__)

EXTRA_DATA = b"ghostchain"


@dataclass(frozen=True, slots=True)
class SealerSettings:
    """gas_limit: where the gas limit moves to, None to leave it."""

    coinbase: Address
    gas_limit: int | None = None


class Sealer:
    """Seals blocks until stopped. `on_pending` may be called from any thread."""

    def __init__(
        self,
        chain: Chain,
        pool: PoolDriver,
        policy: SealingPolicy,
        settings: SealerSettings,
        writer: ThreadPoolExecutor,
    ) -> None:
        self._chain = chain
        self._pool = pool
        self._settings = settings
        self._writer = writer
        self._sealing = Sealing(policy, now_ns=time.monotonic_ns())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    def on_pending(self) -> None:
        """Something waits that could be included now."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._sealing.on_pending(now_ns=time.monotonic_ns())
        self._woken.set()

    async def run(self) -> None:
        """Seals whenever it is time, until cancelled (never in the middle of a block)."""
        self._loop = asyncio.get_running_loop()
        if self._pool.pool.pending_count():
            self._wake()
        while True:
            await self._until_due()
            paced = self._sealing.paces(now_ns=time.monotonic_ns())
            self._sealing.on_started()
            building = self._loop.run_in_executor(self._writer, self._seal, paced)
            more_waits = await asyncio.shield(building)
            if more_waits is not None:
                self._sealing.on_sealed(now_ns=time.monotonic_ns(), more_waits=more_waits)

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

    # ---- on the writer thread ----

    def _seal(self, paced: bool) -> bool | None:
        """The next block is the head, with what of the pool goes in. Returns whether more waits.

        paced: an empty block is due too. None: nothing that waits pays, so no block was made.
        """
        started_ns = time.monotonic_ns()
        parent = self._chain.head
        candidates = best_candidates(self._chain, self._pool)
        if not candidates.transactions and not paced:
            return None
        sealed = self._chain.build_block(
            candidates.batch(),
            timestamp=self._timestamp(parent),
            coinbase=self._settings.coinbase,
            prev_randao=randomness(parent),
            extra_data=EXTRA_DATA,
            withdrawals=(),
            parent_beacon_block_root=ZERO_HASH,
            gas_limit=self._settings.gas_limit,
        )
        left_out = drop_refused(self._chain, self._pool, candidates.transactions, sealed.outcomes)
        event(
            logger,
            logging.INFO if sealed.block.transactions else logging.DEBUG,
            "sealed block",
            number=sealed.block.header.number,
            hash=sealed.hash[:6],
            transactions=len(sealed.block.transactions),
            gas=sealed.block.header.gas_used,
            ms=(time.monotonic_ns() - started_ns) / 1e6,
        )
        # Without a single inclusion, trying again at once would find the same.
        return bool(sealed.block.transactions) and (candidates.is_cut or left_out > 0)

    def _timestamp(self, parent: Header) -> int:
        return max(int(time.time()), parent.timestamp + self._chain.config.timestamp_step_min)


def randomness(parent: Header) -> Hash32:
    """`prevRandao` while one validator seals alone: a hash chain from the genesis value.

    It is the same for whoever recomputes it, and as good as known to the validator; verifiable
    randomness needs a proposer's proof, which belongs to consensus.
    """
    return keccak256(parent.prev_randao + parent.number.to_bytes(8, "big"))
