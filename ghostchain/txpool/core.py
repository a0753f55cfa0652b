"""The pool as a value: transactions, heads and time go in, effects come out."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import filterfalse, islice

from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.effects import (
    Accepted,
    Effect,
    Evicted,
    PoolReason,
    PoolTransaction,
    Promoted,
    Refused,
)
from ghostchain.txpool.purses import HEAD, NO_FEES, FeeState, Purses

BLOB_TYPE = 3
BLOB_GAS = 131_072


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of the pool. Replacement follows geth: +10 %, blobs +100 %.

    purse_count_max: unlike a sender's own GCC, a purse can be emptied by others, a token's by
    whoever has an allowance, so what one such transaction makes worthless at a stroke is bounded.
    """

    count_max: int = 50_000
    bytes_max: int = 64 * 1024 * 1024
    sender_count_max: int = 4_096
    purse_count_max: int = 1_024
    nonce_gap_max: int = 4_096
    queued_lifetime_ns: int = 3 * 3_600 * 1_000_000_000
    replacement_percent: int = 10
    blob_replacement_percent: int = 100
    tip_min_wei: int = 0

    # Evicting goes down to this share of a limit at once, so that a full pool sorts rarely.
    low_water_percent: int = 95


@dataclass(frozen=True, slots=True)
class SenderState:
    """What the head says of a sender. delegated: it carries an EIP-7702 designator."""

    nonce: int
    balance: int
    delegated: bool = False


@dataclass(slots=True)
class SenderQueue:
    """One sender's waiting transactions. pending_end is the first nonce not ready to run."""

    state: SenderState
    pending_end: int
    by_nonce: dict[int, PoolTransaction] = field(default_factory=dict)
    cost_total: int = 0


class Pool:
    """The transactions that wait, by hash and by sender.

    Cost: admission is constant a transaction; an eviction round sorts the pool once and frees at
    least one part in twenty; `best` is a heap over senders.
    """

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self.limits = limits or PoolLimits()
        self.by_hash: dict[Hash32, PoolTransaction] = {}
        self.senders: dict[Address, SenderQueue] = {}
        self.purses = Purses()
        self.bytes_total = 0

    def __len__(self) -> int:
        return len(self.by_hash)

    def pending_count(self) -> int:
        """How many could run as things stand. Cost: one step a sender."""
        return sum(queue.pending_end - queue.state.nonce for queue in self.senders.values())

    # ---- inputs ----

    def on_transactions(
        self,
        candidates: Sequence[PoolTransaction],
        accounts: Mapping[Address, SenderState],
        fees: FeeState | None = None,
    ) -> tuple[Effect, ...]:
        """Every candidate is in the pool or refused with a reason; limits hold again.

        accounts: the state at the head of each candidate's sender. fees: of each candidate's purse,
        needed only where one has a purse. Exactly one Accepted or Refused comes back for each
        candidate, in their order, with what follows from it around it.
        """
        effects: list[Effect] = []
        for address in {transaction.sender: None for transaction in candidates}:
            effects.extend(self._refresh(address, accounts[address]))
        if fees is not None:
            effects.extend(self._refresh_fees(fees))
        for transaction in candidates:
            queue = self._queue_of(transaction.sender, accounts)
            refusal = self._refusal(transaction, queue, fees or NO_FEES)
            if refusal is not None:
                effects.append(refusal)
                self._drop_queue_if_empty(transaction.sender)
                continue
            replaced = queue.by_nonce.get(transaction.nonce)
            if replaced is not None:
                self._remove(replaced)
                effects.append(Evicted(replaced, PoolReason.REPLACED))
            self._insert(queue, transaction, fees or NO_FEES)
            promoted = self._extend_pending(queue)
            effects.append(Accepted(transaction, transaction.nonce < queue.pending_end))
            effects.extend(Promoted(other) for other in promoted if other is not transaction)
        effects.extend(self._enforce_limits())
        return tuple(effects)

    def on_head(
        self,
        included: Iterable[Hash32],
        accounts: Mapping[Address, SenderState],
        *,
        now_ns: int,
        fees: FeeState | None = None,
    ) -> tuple[Effect, ...]:
        """Included transactions are gone, senders stand where the head has them.

        accounts: the new state of senders that the block changed: of all whose transactions it
            tried and of whom something waits still, at least. What it did to the balances of others
            is learnt when they submit again.
        fees: the rates, and the balances of purses that the block paid from, at least.
        """
        for transaction_hash in included:
            transaction = self.by_hash.get(transaction_hash)
            if transaction is not None:
                self._remove(transaction)
                self._drop_queue_if_empty(transaction.sender)
        effects: list[Effect] = []
        for address, state in accounts.items():
            queue = self.senders.get(address)
            if queue is None:
                continue
            queue.state = state
            for nonce in sorted(nonce for nonce in queue.by_nonce if nonce < state.nonce):
                stale = queue.by_nonce[nonce]
                self._remove(stale)
                effects.append(Evicted(stale, TransactionReason.NONCE_TOO_LOW))
            effects.extend(self._drop_unaffordable(queue))
            effects.extend(self._restart_pending(queue))
            self._drop_queue_if_empty(address)
        if fees is not None:
            effects.extend(self._refresh_fees(fees))
        effects.extend(self._expire(now_ns))
        return tuple(effects)

    def on_tick(self, *, now_ns: int) -> tuple[Effect, ...]:
        """What waited too long behind a gap is gone."""
        return tuple(self._expire(now_ns))

    def drop(
        self, hashes: Iterable[Hash32], reason: TransactionReason | PoolReason
    ) -> tuple[Effect, ...]:
        """These are gone, for this reason; what followed them waits behind the gap."""
        effects: list[Effect] = []
        for transaction_hash in hashes:
            transaction = self.by_hash.get(transaction_hash)
            if transaction is None:
                continue
            queue = self.senders[transaction.sender]
            self._remove(transaction)
            self._restart_pending(queue)
            self._drop_queue_if_empty(transaction.sender)
            effects.append(Evicted(transaction, reason))
        return tuple(effects)

    # ---- questions ----

    def best(
        self, base_fee: int, blob_base_fee: int = 0, *, by_arrival: bool = False
    ) -> Iterator[PoolTransaction]:
        """Pending transactions by effective tip, earlier arrivals first among equals, or by arrival
        alone; each sender's in nonce order. What does not pay the base fee (and what follows it) is
        left out."""
        heap: list[tuple[int, int, PoolTransaction, SenderQueue]] = []

        def push(queue: SenderQueue, nonce: int) -> None:
            if nonce >= queue.pending_end:
                return
            transaction = queue.by_nonce[nonce]
            tip = transaction.effective_tip(base_fee, self.purses.rate(transaction.fee_token))
            if tip < 0:
                return
            if transaction.type == BLOB_TYPE and transaction.max_fee_per_blob_gas < blob_base_fee:
                return
            rank = 0 if by_arrival else -tip
            heapq.heappush(heap, (rank, transaction.order, transaction, queue))

        for queue in self.senders.values():
            push(queue, queue.state.nonce)
        while heap:
            _, _, transaction, queue = heapq.heappop(heap)
            yield transaction
            push(queue, transaction.nonce + 1)

    def earliest(self, count_max: int) -> list[PoolTransaction]:
        """What waits, at most so many: pending before gapped, each by arrival. Cost: linear in what
        waits."""

        def is_pending(one: PoolTransaction) -> bool:
            return one.nonce < self.senders[one.sender].pending_end

        everything = self.by_hash.values()
        chosen = list(islice(filter(is_pending, everything), count_max))
        chosen.extend(islice(filterfalse(is_pending, everything), count_max - len(chosen)))
        return chosen

    def next_nonce(self, sender: Address) -> int | None:
        """The nonce after the sender's pending run; None when the pool knows nothing of it."""
        queue = self.senders.get(sender)
        return None if queue is None else queue.pending_end

    def replacing_tip(self, sender: Address, nonce: int) -> int | None:
        """The least tip of a transaction that takes the place of the one that waits; None where
        none does."""
        queue = self.senders.get(sender)
        standing = None if queue is None else queue.by_nonce.get(nonce)
        if standing is None:
            return None
        is_blob = standing.type == BLOB_TYPE
        limits = self.limits
        percent = limits.blob_replacement_percent if is_blob else limits.replacement_percent
        tip = standing.max_priority_fee_per_gas
        return max(tip + 1, -(-tip * (100 + percent) // 100))

    def content(
        self,
    ) -> tuple[dict[Address, list[PoolTransaction]], dict[Address, list[PoolTransaction]]]:
        """(pending, queued) by sender, in nonce order, as `txpool_content` shows them."""
        pending: dict[Address, list[PoolTransaction]] = {}
        queued: dict[Address, list[PoolTransaction]] = {}
        for address, queue in self.senders.items():
            for nonce in sorted(queue.by_nonce):
                side = pending if nonce < queue.pending_end else queued
                side.setdefault(address, []).append(queue.by_nonce[nonce])
        return pending, queued

    # ---- admission ----

    def _queue_of(self, sender: Address, accounts: Mapping[Address, SenderState]) -> SenderQueue:
        queue = self.senders.get(sender)
        if queue is None:
            state = accounts[sender]
            queue = self.senders[sender] = SenderQueue(state, state.nonce)
        return queue

    def _refresh(self, sender: Address, state: SenderState) -> list[Effect]:
        """The balance that others' blocks gave or took is known. While the nonce is another than
        the pool's, the sender's own block is still to be told, and tells all of it."""
        queue = self.senders.get(sender)
        if queue is None or state.nonce != queue.state.nonce:
            return []
        queue.state = state
        effects = self._drop_unaffordable(queue)
        self._restart_pending(queue)
        self._drop_queue_if_empty(sender)
        return effects

    def _refresh_fees(self, fees: FeeState) -> list[Effect]:
        """What cannot be paid for at these rates and out of these purses is gone."""
        reserved = {
            purse.holder: queue.cost_total
            for purse in fees.balances
            if purse.token is None and (queue := self.senders.get(purse.holder)) is not None
        }
        effects: list[Effect] = []
        for leaving in self.purses.refresh(fees, reserved):
            effects.extend(self.drop([leaving.hash], leaving.reason))
        return effects

    def _refusal(
        self, transaction: PoolTransaction, queue: SenderQueue, fees: FeeState
    ) -> Refused | None:
        if transaction.hash in self.by_hash:
            return Refused(transaction.hash, PoolReason.ALREADY_KNOWN, "already known")
        refusal = self.purses.token_refusal(transaction)
        if refusal is not None:
            return refusal
        state = queue.state
        if transaction.nonce < state.nonce:
            return Refused(
                transaction.hash,
                TransactionReason.NONCE_TOO_LOW,
                f"nonce too low: next nonce {state.nonce}, tx nonce {transaction.nonce}",
            )
        replaced = queue.by_nonce.get(transaction.nonce)
        if replaced is not None and not self._outbids(transaction, replaced):
            return Refused(
                transaction.hash,
                PoolReason.REPLACEMENT_UNDERPRICED,
                "replacement transaction underpriced",
            )
        if replaced is None:
            refusal = self._crowding_refusal(transaction, queue)
            if refusal is not None:
                return refusal
        if self._crowds_purse(transaction, replaced):
            message = f"{PoolReason.PURSE_LIMIT.value}: limit {self.limits.purse_count_max}"
            return Refused(transaction.hash, PoolReason.PURSE_LIMIT, message)
        return self._funds_refusal(transaction, queue, replaced) or self.purses.funds_refusal(
            transaction, replaced, fees, self._reserved(transaction)
        )

    def _crowds_purse(self, transaction: PoolTransaction, replaced: PoolTransaction | None) -> bool:
        purse = transaction.fee_purse
        if purse is None or (replaced is not None and replaced.fee_purse == purse):
            return False
        return self.purses.count(purse) >= self.limits.purse_count_max

    def _reserved(self, transaction: PoolTransaction) -> int:
        """What of a fee payer's GCC its own transactions may take."""
        purse = transaction.fee_purse
        if purse is None or purse.token is not None:
            return 0
        queue = self.senders.get(purse.holder)
        return queue.cost_total if queue is not None else 0

    def _outbids(self, transaction: PoolTransaction, replaced: PoolTransaction) -> bool:
        percent = self.limits.replacement_percent
        if BLOB_TYPE in (transaction.type, replaced.type):
            if transaction.type != replaced.type:
                return False
            percent = self.limits.blob_replacement_percent
            if not outbids(
                transaction.max_fee_per_blob_gas, replaced.max_fee_per_blob_gas, percent
            ):
                return False
        return all(
            outbids(offer, standing, percent)
            for offer, standing in zip(
                self._bid(transaction, replaced), self._bid(replaced, transaction), strict=True
            )
        )

    def _bid(self, transaction: PoolTransaction, other: PoolTransaction) -> tuple[int, int]:
        """Price and tip as they compare with the other's: in GCC when the tokens differ."""
        price, tip = transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas
        token = transaction.fee_token
        if token == other.fee_token:
            return price, tip
        return self.purses.in_gcc(price, token), self.purses.in_gcc(tip, token)

    def _crowding_refusal(self, transaction: PoolTransaction, queue: SenderQueue) -> Refused | None:
        limits = self.limits
        if queue.state.delegated and queue.by_nonce:
            # A delegated account can be drained by others' transactions at any time, so it may
            # hold one transaction at once (as geth does since EIP-7702).
            return Refused(
                transaction.hash, PoolReason.DELEGATION_LIMIT, PoolReason.DELEGATION_LIMIT.value
            )
        if len(queue.by_nonce) >= limits.sender_count_max:
            return Refused(
                transaction.hash,
                PoolReason.SENDER_LIMIT,
                f"{PoolReason.SENDER_LIMIT.value}: limit {limits.sender_count_max}",
            )
        if transaction.nonce - queue.pending_end > limits.nonce_gap_max:
            return Refused(
                transaction.hash,
                PoolReason.NONCE_GAP_LIMIT,
                f"nonce too high: next nonce {queue.pending_end}, tx nonce {transaction.nonce}",
            )
        return None

    def _funds_refusal(
        self,
        transaction: PoolTransaction,
        queue: SenderQueue,
        replaced: PoolTransaction | None,
    ) -> Refused | None:
        balance, head = queue.state.balance, HEAD
        if transaction.cost > balance:
            return Refused(
                transaction.hash,
                TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS,
                f"{head}: balance {balance}, tx cost {transaction.cost}, "
                f"overshot {transaction.cost - balance}",
            )
        queued_cost = queue.cost_total - (replaced.cost if replaced is not None else 0)
        overshot = queued_cost + transaction.cost - balance
        if overshot > 0:
            return Refused(
                transaction.hash,
                TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS,
                f"{head}: balance {balance}, queued cost {queued_cost}, "
                f"tx cost {transaction.cost}, overshot {overshot}",
            )
        return None

    # ---- bookkeeping ----

    def _insert(self, queue: SenderQueue, transaction: PoolTransaction, fees: FeeState) -> None:
        if transaction.fee_purse is not None:
            self.purses.add(transaction, self.purses.balance(transaction.fee_purse, fees))
        queue.by_nonce[transaction.nonce] = transaction
        queue.cost_total += transaction.cost
        self.by_hash[transaction.hash] = transaction
        self.bytes_total += len(transaction.raw)

    def _remove(self, transaction: PoolTransaction) -> None:
        queue = self.senders[transaction.sender]
        del queue.by_nonce[transaction.nonce]
        queue.cost_total -= transaction.cost
        self.purses.remove(transaction)
        del self.by_hash[transaction.hash]
        self.bytes_total -= len(transaction.raw)

    def _extend_pending(self, queue: SenderQueue) -> list[PoolTransaction]:
        promoted = []
        while (transaction := queue.by_nonce.get(queue.pending_end)) is not None:
            promoted.append(transaction)
            queue.pending_end += 1
        return promoted

    def _restart_pending(self, queue: SenderQueue) -> list[Effect]:
        """The run is counted again from the state nonce up to its first gap. Returns what became
        ready by it: what waited behind a gap that the state has passed."""
        before, end = queue.pending_end, queue.state.nonce
        while end in queue.by_nonce:
            end += 1
        queue.pending_end = end
        first = max(before, queue.state.nonce)
        return [Promoted(queue.by_nonce[nonce]) for nonce in range(first, end)]

    def _drop_queue_if_empty(self, sender: Address) -> None:
        queue = self.senders.get(sender)
        if queue is not None and not queue.by_nonce:
            del self.senders[sender]

    def _drop_unaffordable(self, queue: SenderQueue) -> list[Effect]:
        effects: list[Effect] = []
        for nonce in sorted(queue.by_nonce, reverse=True):
            if queue.cost_total <= queue.state.balance:
                break
            transaction = queue.by_nonce[nonce]
            self._remove(transaction)
            effects.append(Evicted(transaction, TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS))
        return effects

    def _expire(self, now_ns: int) -> list[Effect]:
        oldest_ns = now_ns - self.limits.queued_lifetime_ns
        expired = [
            transaction
            for queue in self.senders.values()
            if len(queue.by_nonce) > queue.pending_end - queue.state.nonce
            for nonce, transaction in queue.by_nonce.items()
            if nonce >= queue.pending_end and transaction.arrived_ns < oldest_ns
        ]
        return list(self.drop([item.hash for item in expired], PoolReason.EXPIRED))

    def _enforce_limits(self) -> Sequence[Effect]:
        limits = self.limits
        if len(self.by_hash) <= limits.count_max and self.bytes_total <= limits.bytes_max:
            return ()
        count_goal = limits.count_max * limits.low_water_percent // 100
        bytes_goal = limits.bytes_max * limits.low_water_percent // 100
        effects: list[Effect] = []
        touched: set[Address] = set()
        for transaction in self._worst_first():
            if len(self.by_hash) <= count_goal and self.bytes_total <= bytes_goal:
                break
            self._remove(transaction)
            effects.append(Evicted(transaction, PoolReason.POOL_FULL))
            touched.add(transaction.sender)
        for address in touched:
            self._restart_pending(self.senders[address])
            self._drop_queue_if_empty(address)
        return effects

    def _worst_first(self) -> list[PoolTransaction]:
        """Gapped before pending, low fees before high ones; never a transaction before those of
        the same sender that follow it (a queue is only cut at its end)."""
        keyed: list[tuple[bool, int, int, PoolTransaction]] = []
        for queue in self.senders.values():
            floor: int | None = None
            for nonce in sorted(queue.by_nonce):
                transaction = queue.by_nonce[nonce]
                tip = self.purses.in_gcc(
                    transaction.max_priority_fee_per_gas, transaction.fee_token
                )
                floor = tip if floor is None else min(floor, tip)
                keyed.append((nonce < queue.pending_end, floor, -transaction.order, transaction))
        keyed.sort(key=lambda entry: (entry[0], entry[1], -entry[3].nonce, entry[2]))
        return [entry[3] for entry in keyed]


def outbids(offer: int, standing: int, percent: int) -> bool:
    """Whether offer exceeds standing by at least percent (rounded up) and by at least 1 wei."""
    return offer > standing and offer * 100 >= standing * (100 + percent)
