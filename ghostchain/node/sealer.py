"""The local validator: takes what waits, builds a block, makes it the head.

Until consensus decides who proposes, one node of a chain seals; `sealing.py` says when, this module
does it, one block at a time on the chain's writer thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ghostchain.chain.chain import Chain, SealedBlock
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.node.accounts import sender_states
from ghostchain.node.logs import event
from ghostchain.node.sealing import Sealing, SealingPolicy
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import ZERO_HASH, Address, Hash32
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import PoolTransaction

logger = logging.getLogger(__name__)

EXTRA_DATA = b"ghostchain"

# What one block tries at most: bytes of transactions (EIP-7934 bounds a block at 8 MiB of RLP), and
# a count that bounds the time of one build.
CANDIDATE_BYTES_MAX = 7 * 1024 * 1024
CANDIDATE_COUNT_MAX = 20_000

# A candidate left out for these reasons can go in a later block; for any other it never will.
TRANSIENT = frozenset(
    {
        TransactionReason.OK,
        TransactionReason.GAS_ALLOWANCE_EXCEEDED,
        TransactionReason.NONCE_TOO_HIGH,
        TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS,
        TransactionReason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS,
        TransactionReason.BLOB_ALLOWANCE_EXCEEDED,
    }
)


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
        environment = self._chain.next_fees()
        candidates, is_cut = self._candidates(environment.base_fee, environment.blob_base_fee)
        if not candidates and not paced:
            return None
        batch = TransactionBatch.decode([candidate.raw for candidate in candidates])
        batch.recover(senders=[candidate.sender for candidate in candidates])
        sealed = self._chain.build_block(
            batch,
            timestamp=self._timestamp(parent),
            coinbase=self._settings.coinbase,
            prev_randao=randomness(parent),
            extra_data=EXTRA_DATA,
            withdrawals=(),
            parent_beacon_block_root=ZERO_HASH,
            gas_limit=self._settings.gas_limit,
        )
        left_out = self._drop_refused(sealed, candidates)
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
        return bool(sealed.block.transactions) and (is_cut or left_out > 0)

    def _candidates(self, base_fee: int, blob_base_fee: int) -> tuple[list[PoolTransaction], bool]:
        """The best of the pool, and whether the pool has more that pays."""
        chosen: list[PoolTransaction] = []
        size = 0
        gas = 0
        gas_max = 2 * self._chain.head.gas_limit
        with self._pool.lock:
            for transaction in self._pool.pool.best(base_fee, blob_base_fee):
                size += len(transaction.raw)
                # Limits are promises, not use: twice the block's gas of promises is tried.
                if (
                    size > CANDIDATE_BYTES_MAX
                    or gas > gas_max
                    or len(chosen) >= CANDIDATE_COUNT_MAX
                ):
                    return chosen, True
                chosen.append(transaction)
                gas += transaction.gas_limit
        return chosen, False

    def _timestamp(self, parent: Header) -> int:
        return max(int(time.time()), parent.timestamp + self._chain.config.timestamp_step_min)

    def _drop_refused(self, sealed: SealedBlock, candidates: Sequence[PoolTransaction]) -> int:
        """What can never go in no longer waits (what went in is gone, see `following.py`). Returns
        how many candidates can still go in a later block."""
        refused: dict[TransactionReason, list[PoolTransaction]] = {}
        waiting = 0
        for candidate, outcome in zip(candidates, sealed.outcomes, strict=True):
            if outcome.included:
                continue
            if outcome.reason in TRANSIENT:
                waiting += 1
            else:
                refused.setdefault(outcome.reason, []).append(candidate)
        for reason, transactions in refused.items():
            self._pool.drop([transaction.hash for transaction in transactions], reason)
        if refused:
            # Their senders are not where the pool thinks they are: others moved them (EIP-7702).
            senders = {one.sender for transactions in refused.values() for one in transactions}
            view = self._chain.state_at(sealed.block.header.number)
            self._pool.on_head((), sender_states(view, senders))
        return waiting


def randomness(parent: Header) -> Hash32:
    """`prevRandao` while one validator seals alone: a hash chain from the genesis value.

    It is the same for whoever recomputes it, and as good as known to the validator; verifiable
    randomness needs a proposer's proof, which belongs to consensus.
    """
    return keccak256(parent.prev_randao + parent.number.to_bytes(8, "big"))
