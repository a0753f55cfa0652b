"""Out of what a block is made: the best of the pool, and what becomes of what did not go in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ghostchain.chain.chain import Chain
from ghostchain.chain.columns import CandidateOutcomes
from ghostchain.encoding.transactions import TransactionBatch, unwrap
from ghostchain.node.accounts import sender_states
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import TransactionType
from ghostchain.primitives.types import Hash32
from ghostchain.txpool.blobs import SIDECAR_BYTES_MAX
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import PoolTransaction

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
class Candidates:
    """What a block is tried with, in its order. is_cut: more waits that pays."""

    transactions: tuple[PoolTransaction, ...]
    is_cut: bool

    def batch(self) -> TransactionBatch:
        """Decoded, with the senders that the pool knows."""
        raws = [one.raw for one in self.transactions]
        # What the pool has admitted: where a key must have signed, it held that against it.
        batch = TransactionBatch.decode(raws, allows_unsigned=True)
        batch.recover(senders=[one.sender for one in self.transactions])
        return batch

    def without(self, is_held: Callable[[Hash32], bool]) -> Candidates:
        """Those that are not held back."""
        left = tuple(one for one in self.transactions if not is_held(one.hash))
        return self if len(left) == len(self.transactions) else replace(self, transactions=left)


def best_candidates(
    chain: Chain,
    pool: PoolDriver,
    *,
    base_fee: int | None = None,
    gas_limit: int | None = None,
    by_arrival: bool = False,
    count_max: int | None = None,
) -> Candidates:
    """The best of what pays in the block after the head.

    base_fee and gas_limit: of that block, where they are not what the head demands. by_arrival:
    what came first goes first, whatever it tips. count_max: so many at most.
    """
    fees = chain.next_fees()
    if base_fee is None:
        base_fee = fees.base_fee
    count_max = CANDIDATE_COUNT_MAX if count_max is None else count_max
    chosen: list[PoolTransaction] = []
    size = 0
    gas = 0
    gas_max = 2 * (chain.head.gas_limit if gas_limit is None else gas_limit)
    with pool.lock:
        best = pool.pool.best(base_fee, fees.blob_base_fee, by_arrival=by_arrival)
        for transaction in best:
            size += len(transaction.raw)
            # Limits are promises, not use: twice the block's gas of promises is tried.
            if size > CANDIDATE_BYTES_MAX or gas > gas_max or len(chosen) >= count_max:
                return Candidates(tuple(chosen), True)
            chosen.append(transaction)
            gas += transaction.gas_limit
    return Candidates(tuple(chosen), False)


def canonical_of(transaction: PoolTransaction) -> bytes:
    """As it stands in a block: blobs travel beside it."""
    if transaction.type != TransactionType.BLOB:
        return transaction.raw
    return unwrap(transaction.raw, size_max=SIDECAR_BYTES_MAX).canonical


def has_candidates(chain: Chain, pool: PoolDriver) -> bool:
    """Whether anything waits that pays in the block after the head."""
    if not len(pool.pool):
        return False
    fees = chain.next_fees()
    with pool.lock:
        return next(iter(pool.pool.best(fees.base_fee, fees.blob_base_fee)), None) is not None


def drop_refused(
    chain: Chain,
    pool: PoolDriver,
    candidates: Sequence[PoolTransaction],
    outcomes: CandidateOutcomes,
) -> int:
    """What can never go in no longer waits (what went in is gone, see `following.py`). Returns how
    many of the candidates can still go in a later block."""
    if outcomes.are_all_included:
        return 0
    refused: dict[TransactionReason, list[PoolTransaction]] = {}
    waiting = 0
    for candidate, outcome in zip(candidates, outcomes, strict=True):
        if outcome.included:
            continue
        if outcome.reason in TRANSIENT:
            waiting += 1
        else:
            refused.setdefault(outcome.reason, []).append(candidate)
    for reason, transactions in refused.items():
        pool.drop([transaction.hash for transaction in transactions], reason)
    if refused:
        # Their senders are not where the pool thinks they are: others moved them (EIP-7702).
        senders = {one.sender for transactions in refused.values() for one in transactions}
        pool.on_head((), sender_states(chain.state_at(chain.head.number), senders))
    return waiting
