"""The pool against a plain dictionary: random submissions, heads, drops and time, and after every
step all that the package's docstring promises."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.core import Pool, PoolLimits, SenderState
from ghostchain.txpool.effects import (
    RATE_UNIT,
    Accepted,
    Effect,
    Evicted,
    PoolReason,
    PoolTransaction,
    Promoted,
    Purse,
    Refused,
)
from ghostchain.txpool.purses import FeeState

SENDERS = [Address(bytes([letter]) * 20) for letter in b"ABCD"]
# Two tokens that may pay fees, and one that may not; a payer that sends too, one that only pays.
TOKENS = [Address(bytes([letter]) * 20) for letter in b"tuv"]
PAYERS = [SENDERS[0], Address(b"P" * 20)]
FEE_REASONS = (
    TransactionReason.FEE_TOKEN_CLOSED,
    TransactionReason.INSUFFICIENT_FEE_TOKEN,
    TransactionReason.PAYER_FUNDS,
)
LIMITS = PoolLimits(
    count_max=12,
    bytes_max=1_500,
    sender_count_max=6,
    purse_count_max=4,
    nonce_gap_max=7,
    queued_lifetime_ns=100,
    low_water_percent=75,
)
GAS = 100

OFFER = st.fixed_dictionaries(
    {
        "sender": st.sampled_from(SENDERS),
        "nonce": st.integers(-2, 9),
        "fee": st.integers(0, 40),
        "tip": st.integers(0, 40),
        "value": st.sampled_from([0, 0, 500, 5_000]),
        "size": st.integers(50, 300),
        "blob_fee": st.sampled_from([None, None, None, 1, 2, 5]),
        "token": st.sampled_from([None, None, None, *TOKENS]),
        "payer": st.sampled_from([None, None, *PAYERS]),
    }
)


class PoolMachine(RuleBasedStateMachine):
    """`waiting` is the model: what waits by (sender, nonce). `told` holds what listeners were told
    is ready to run and has not left or fallen behind a gap since."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool(LIMITS)
        self.states: dict[Address, SenderState] = {}
        # What the chain says of these and the pool has not been told.
        self.unheard: dict[Address, SenderState] = {}
        self.waiting: dict[tuple[Address, int], PoolTransaction] = {}
        self.told: set[Hash32] = set()
        # The chain's rates and purses, and the rates that the pool has heard of.
        self.rates = {TOKENS[0]: RATE_UNIT * 2, TOKENS[1]: RATE_UNIT // 2}
        self.rates_heard: dict[Address, int] = {}
        self.held: dict[Purse, int] = {}
        self.now_ns = 0
        self.orders = itertools.count()

    @initialize(
        nonces=st.lists(st.integers(0, 5), min_size=4, max_size=4),
        balances=st.lists(st.integers(0, 60_000), min_size=4, max_size=4),
    )
    def begin(self, nonces: list[int], balances: list[int]) -> None:
        for sender, nonce, balance in zip(SENDERS, nonces, balances, strict=True):
            self.states[sender] = SenderState(nonce, balance)

    # ---- the model ----

    def of(self, sender: Address) -> dict[int, PoolTransaction]:
        return {nonce: tx for (owner, nonce), tx in self.waiting.items() if owner == sender}

    def pending_end(self, sender: Address) -> int:
        """The first nonce from the state's on that nothing waits with."""
        end = self.states[sender].nonce
        while (sender, end) in self.waiting:
            end += 1
        return end

    def pending(self) -> set[Hash32]:
        return {
            tx.hash
            for (sender, nonce), tx in self.waiting.items()
            if nonce < self.pending_end(sender)
        }

    def rate(self, tx: PoolTransaction) -> int:
        return RATE_UNIT if tx.fee_token is None else self.rates_heard.get(tx.fee_token, 0)

    def in_purse(self, purse: Purse) -> int:
        """What the chain says is in it."""
        if purse.token is None and purse.holder in self.states:
            return (self.unheard.get(purse.holder) or self.states[purse.holder]).balance
        return self.held.get(purse, 20_000)

    def claims(self, purse: Purse) -> list[PoolTransaction]:
        return [tx for tx in self.waiting.values() if tx.fee_purse == purse]

    def fees_of(self, txs: list[PoolTransaction]) -> FeeState | None:
        """What the pool is told of these transactions' purses; nothing when none has one."""
        purses = {tx.fee_purse for tx in txs if tx.fee_purse is not None}
        if not purses:
            return None
        return self.fees(purses)

    def fees(self, purses: set[Purse]) -> FeeState:
        self.rates_heard = dict(self.rates)
        return FeeState(self.rates_heard, {purse: self.in_purse(purse) for purse in purses})

    def fee_refusal(self, tx: PoolTransaction) -> object:
        """Why its purse cannot pay it beside all that waits for the same purse, or None."""
        purse = tx.fee_purse
        if purse is None:
            return None
        others = [
            one for one in self.claims(purse) if (one.sender, one.nonce) != (tx.sender, tx.nonce)
        ]
        own = self.of(purse.holder).values() if purse.token is None else ()
        taken = sum(one.fee_cost for one in others) + sum(one.cost for one in own)
        if taken + tx.fee_cost <= self.in_purse(purse):
            return None
        if purse.holder == tx.sender:
            return TransactionReason.INSUFFICIENT_FEE_TOKEN
        return TransactionReason.PAYER_FUNDS

    def expected_refusal(self, tx: PoolTransaction) -> object:
        """Why the rules refuse it as things stand, or None."""
        queue, state = self.of(tx.sender), self.states[tx.sender]
        standing = queue.get(tx.nonce)
        if any(tx.hash == other.hash for other in self.waiting.values()):
            return PoolReason.ALREADY_KNOWN
        if tx.fee_token is not None and not self.rates.get(tx.fee_token):
            known = tx.fee_token in self.rates
            closed, unknown = (
                TransactionReason.FEE_TOKEN_CLOSED,
                TransactionReason.FEE_TOKEN_UNKNOWN,
            )
            return closed if known else unknown
        if tx.nonce < state.nonce:
            return TransactionReason.NONCE_TOO_LOW
        if standing is not None:
            if (standing.type == 3) != (tx.type == 3) or not self.pays_more(tx, standing):
                return PoolReason.REPLACEMENT_UNDERPRICED
        elif state.delegated and queue:
            return PoolReason.DELEGATION_LIMIT
        elif len(queue) >= LIMITS.sender_count_max:
            return PoolReason.SENDER_LIMIT
        elif tx.nonce - self.pending_end(tx.sender) > LIMITS.nonce_gap_max:
            return PoolReason.NONCE_GAP_LIMIT
        purse = tx.fee_purse
        is_new_claim = purse is not None and (standing is None or standing.fee_purse != purse)
        if is_new_claim and len(self.claims(purse)) >= LIMITS.purse_count_max:
            return PoolReason.PURSE_LIMIT
        others = sum(other.cost for nonce, other in queue.items() if nonce != tx.nonce)
        if others + tx.cost > state.balance:
            return TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS
        return self.fee_refusal(tx)

    def pays_more(self, offer: PoolTransaction, standing: PoolTransaction) -> bool:
        """+10 % in cap and tip; +100 % in cap, tip and blob fee for blob transactions (as geth).
        Between two tokens it is counted in GCC."""

        def bids(tx: PoolTransaction) -> list[int]:
            amounts = [tx.max_fee_per_gas, tx.max_priority_fee_per_gas]
            if offer.fee_token == standing.fee_token:
                return amounts
            rate = self.rate(tx)
            return [amount * RATE_UNIT // rate if rate else 0 for amount in amounts]

        percent = 200 if offer.type == 3 else 110
        pairs = list(zip(bids(offer), bids(standing), strict=True))
        if offer.type == 3:
            pairs.append((offer.max_fee_per_blob_gas, standing.max_fee_per_blob_gas))
        return all(new > old and 100 * new >= percent * old for new, old in pairs)

    def evict_for_fees(self, effect: Evicted) -> None:
        """The purse of it holds too little for all that waits for it, or its token is closed."""
        tx = effect.transaction
        assert tx.fee_purse is not None
        if effect.reason is TransactionReason.FEE_TOKEN_CLOSED:
            assert tx.fee_token is not None
            assert not self.rates_heard.get(tx.fee_token)
        else:
            claims = self.claims(tx.fee_purse)
            own = self.of(tx.fee_purse.holder).values() if tx.fee_purse.token is None else ()
            taken = sum(one.fee_cost for one in claims) + sum(one.cost for one in own)
            assert taken > self.in_purse(tx.fee_purse)
            assert tx.order == max(one.order for one in claims), "an earlier claim had to go"
            assert (effect.reason is TransactionReason.PAYER_FUNDS) == (
                tx.fee_purse.holder != tx.sender
            )
        self.evict(effect)

    def evict(self, effect: Evicted) -> None:
        tx = effect.transaction
        assert self.waiting.pop((tx.sender, tx.nonce)) == tx, "left without having waited"

    def hear(self, tx: PoolTransaction) -> None:
        assert tx.hash not in self.told, "told twice that it is ready"
        self.told.add(tx.hash)

    def follow(self, effects: tuple[Effect, ...]) -> None:
        """Leavings and promotions of a step that admits nothing."""
        for effect in effects:
            if isinstance(effect, Evicted) and effect.reason in FEE_REASONS:
                self.evict_for_fees(effect)
            elif isinstance(effect, Evicted):
                self.evict(effect)
            else:
                assert isinstance(effect, Promoted)
        self.told &= self.pending()
        for effect in effects:
            if isinstance(effect, Promoted):
                self.hear(effect.transaction)

    # ---- the rules ----

    @rule(offers=st.lists(OFFER, min_size=1, max_size=5))
    def submit(self, offers: list[dict]) -> None:
        """Each candidate is answered once, as the rules say; then limits hold again."""
        self.admit([self.transaction(offer) for offer in offers])

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), percent=st.integers(100, 220))
    def bid(self, data: st.DataObject, percent: int) -> None:
        """Something that waits is offered again for more."""
        standing = data.draw(st.sampled_from(sorted(self.waiting.values(), key=lambda t: t.order)))
        order = next(self.orders)
        fee = standing.max_fee_per_gas * percent // 100
        more = GAS * (fee - standing.max_fee_per_gas)
        in_purse = standing.fee_purse is not None
        offer = replace(
            standing,
            hash=Hash32(order.to_bytes(32, "big")),
            max_fee_per_gas=fee,
            max_priority_fee_per_gas=standing.max_priority_fee_per_gas * percent // 100,
            max_fee_per_blob_gas=standing.max_fee_per_blob_gas * 2,
            cost=standing.cost if in_purse else standing.cost + more,
            fee_cost=standing.fee_cost + more if in_purse else 0,
            order=order,
            arrived_ns=self.now_ns,
        )
        self.admit([offer])

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        known = data.draw(st.sampled_from(sorted(self.waiting.values(), key=lambda t: t.order)))
        self.admit([known])

    def admit(self, candidates: list[PoolTransaction]) -> None:
        for sender in {tx.sender for tx in candidates} & self.unheard.keys():
            self.states[sender] = self.unheard.pop(sender)
        accounts = {tx.sender: self.states[tx.sender] for tx in candidates}
        effects = self.pool.on_transactions(candidates, accounts, self.fees_of(candidates))
        expected = iter(candidates)
        full = False
        for effect in effects:
            if isinstance(effect, Promoted):
                self.hear(effect.transaction)
            elif isinstance(effect, Refused):
                tx = next(expected)
                assert effect.hash == tx.hash
                assert effect.reason is self.expected_refusal(tx)
                assert effect.message
            elif isinstance(effect, Accepted):
                tx = next(expected)
                assert effect.transaction is tx
                assert self.expected_refusal(tx) is None, "the pool took what the rules refuse"
                self.waiting[tx.sender, tx.nonce] = tx
                assert effect.pending == (tx.hash in self.pending())
                if effect.pending:
                    self.hear(tx)
            elif effect.reason is PoolReason.REPLACED:
                # Stands before the Accepted of what replaces it.
                tx = effect.transaction
                assert (tx.sender, tx.nonce) in self.waiting
                self.told.discard(tx.hash)
            elif effect.reason is TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS:
                # Found out before the candidates are looked at.
                assert overspent(self, effect.transaction.sender)
                self.evict(effect)
                self.told &= self.pending()
            elif effect.reason in FEE_REASONS:
                # As well.
                self.evict_for_fees(effect)
                self.told &= self.pending()
            else:
                assert effect.reason is PoolReason.POOL_FULL
                assert full or self.exceeds(), "evicted though there was room"
                full = True
                self.evict(effect)
        assert next(expected, None) is None, "a candidate was not answered"
        self.told &= self.pending()

    def exceeds(self) -> bool:
        size = sum(len(tx.raw) for tx in self.waiting.values())
        return len(self.waiting) > LIMITS.count_max or size > LIMITS.bytes_max

    def transaction(self, offer: dict) -> PoolTransaction:
        order = next(self.orders)
        blob_fee = offer["blob_fee"]
        sender, token = offer["sender"], offer["token"]
        payer = offer["payer"] or sender
        purse = None if token is None and payer == sender else Purse(token, payer)
        if blob_fee is not None:
            # Blob transactions have neither.
            token = purse = None
        fee_cost = GAS * max(offer["fee"], offer["tip"])
        return PoolTransaction(
            hash=Hash32(order.to_bytes(32, "big")),
            sender=sender,
            nonce=max(0, self.states[offer["sender"]].nonce + offer["nonce"]),
            type=2 if blob_fee is None else 3,
            gas_limit=GAS,
            max_fee_per_gas=max(offer["fee"], offer["tip"]),
            max_priority_fee_per_gas=offer["tip"],
            max_fee_per_blob_gas=blob_fee or 0,
            blob_count=0 if blob_fee is None else 1,
            cost=offer["value"] + (fee_cost if purse is None else 0),
            raw=bytes(offer["size"]),
            arrived_ns=self.now_ns,
            order=order,
            fee_token=token,
            fee_purse=purse,
            fee_cost=0 if purse is None else fee_cost,
        )

    @rule(
        count=st.integers(0, 6),
        skip=st.integers(0, 3),
        sender=st.sampled_from(SENDERS),
        balance=st.integers(0, 60_000),
        delegated=st.booleans(),
        base_fee=st.integers(0, 20),
        passed_ns=st.integers(0, 60),
    )
    def head(
        self,
        count: int,
        skip: int,
        sender: Address,
        balance: int,
        delegated: bool,
        base_fee: int,
        passed_ns: int,
    ) -> None:
        """A block includes the first of the best; an authorization (EIP-7702) or a transfer moves
        one account by itself."""
        self.now_ns += passed_ns
        included = list(itertools.islice(self.pool.best(base_fee), count))
        accounts: dict[Address, SenderState] = {}
        for tx in included:
            before = accounts.get(tx.sender, self.states[tx.sender])
            accounts[tx.sender] = replace(
                before, nonce=tx.nonce + 1, balance=max(0, before.balance - tx.cost)
            )
            del self.waiting[tx.sender, tx.nonce]
            if tx.fee_purse is not None and tx.fee_purse.holder not in self.states:
                left = max(0, self.in_purse(tx.fee_purse) - tx.fee_cost // 2)
                self.held[tx.fee_purse] = left
        moved = accounts.get(sender, self.states[sender])
        accounts[sender] = SenderState(moved.nonce + skip, balance, delegated)
        for address in accounts:
            self.unheard.pop(address, None)
        self.unheard = {
            address: replace(state, nonce=self.states[address].nonce)
            for address, state in self.unheard.items()
        }
        self.states |= accounts
        fees = None
        if len(self.pool.purses):
            fees = self.fees({tx.fee_purse for tx in included if tx.fee_purse is not None})
        hashes = [tx.hash for tx in included]
        effects = self.pool.on_head(hashes, accounts, now_ns=self.now_ns, fees=fees)
        self.follow(effects)
        for effect in effects:
            if isinstance(effect, Evicted):
                tx, state = effect.transaction, self.states[effect.transaction.sender]
                if tx.nonce < state.nonce:
                    assert effect.reason is TransactionReason.NONCE_TOO_LOW
                else:
                    assert effect.reason in (
                        TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS,
                        PoolReason.EXPIRED,
                        *FEE_REASONS,
                    )

    @rule(
        token=st.sampled_from(TOKENS[:2]),
        rate=st.sampled_from([0, 1, RATE_UNIT // 3, RATE_UNIT, 5 * RATE_UNIT]),
    )
    def vote(self, token: Address, rate: int) -> None:
        """A rate is another: the pool learns it with the next head, or of whoever pays so."""
        self.rates = {**self.rates, token: rate}

    @rule(
        token=st.sampled_from([None, *TOKENS[:2]]),
        holder=st.sampled_from([*SENDERS, PAYERS[1]]),
        balance=st.integers(0, 60_000),
    )
    def fill(self, token: Address | None, holder: Address, balance: int) -> None:
        """Somebody's transfer: the pool learns of it when the purse pays or is to pay."""
        if token is not None or holder not in self.states:
            self.held[Purse(token, holder)] = balance

    @rule(sender=st.sampled_from(SENDERS), balance=st.integers(0, 60_000), delegated=st.booleans())
    def transfer(self, sender: Address, balance: int, delegated: bool) -> None:
        """Another's transaction changes an account: the pool learns it when that one submits."""
        self.unheard[sender] = SenderState(self.states[sender].nonce, balance, delegated)

    @rule(passed_ns=st.integers(0, 200))
    def tick(self, passed_ns: int) -> None:
        """What waits behind a gap for longer than its lifetime goes, nothing else does."""
        self.now_ns += passed_ns
        ready = self.pending()
        late = {
            tx.hash
            for tx in self.waiting.values()
            if tx.hash not in ready and tx.arrived_ns < self.now_ns - LIMITS.queued_lifetime_ns
        }
        effects = self.pool.on_tick(now_ns=self.now_ns)
        assert {effect.transaction.hash for effect in effects} == late
        assert {effect.reason for effect in effects} <= {PoolReason.EXPIRED}
        self.follow(effects)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Exactly what is named goes, for the reason that is given."""
        some = st.sampled_from(sorted(tx.hash for tx in self.waiting.values()))
        hashes = data.draw(st.lists(some, min_size=1, max_size=3))
        effects = self.pool.drop([*hashes, Hash32(b"\xff" * 32)], PoolReason.DROPPED)
        assert {effect.transaction.hash for effect in effects} == set(hashes)
        assert {effect.reason for effect in effects} == {PoolReason.DROPPED}
        self.follow(effects)

    # ---- the invariants ----

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        held = {tx.hash: tx for tx in self.waiting.values()}
        assert self.pool.by_hash == held
        assert len(self.pool) == len(held)

    @invariant()
    def queues_are_in_order(self) -> None:
        """A queue begins at the state's nonce, its run has no gap, its sums are true."""
        for address, queue in self.pool.senders.items():
            assert queue.by_nonce == self.of(address)
            assert queue.by_nonce, "an empty queue is kept"
            assert queue.state == self.states[address]
            assert min(queue.by_nonce) >= queue.state.nonce
            assert queue.pending_end == self.pending_end(address)
            assert queue.cost_total == sum(tx.cost for tx in queue.by_nonce.values())
            assert queue.cost_total <= queue.state.balance
        for sender in SENDERS:
            known = self.pending_end(sender) if self.of(sender) else None
            assert self.pool.next_nonce(sender) == known

    @invariant()
    def purses_are_claimed_once(self) -> None:
        """Every claim is of one that waits, sums are true, and no purse was promised twice."""
        purses = {tx.fee_purse for tx in self.waiting.values() if tx.fee_purse is not None}
        assert set(self.pool.purses.filled) == purses
        for purse, filled in self.pool.purses.filled.items():
            assert filled.claims == {tx.hash: tx for tx in self.claims(purse)}
            assert filled.cost_total == sum(tx.fee_cost for tx in self.claims(purse))
            assert filled.cost_total <= filled.balance
            assert purse.token is None or self.rates_heard[purse.token]

    @invariant()
    def limits_hold(self) -> None:
        assert self.pool.bytes_total == sum(len(tx.raw) for tx in self.waiting.values())
        assert self.pool.bytes_total <= LIMITS.bytes_max
        assert len(self.pool) <= LIMITS.count_max
        for sender in SENDERS:
            assert len(self.of(sender)) <= LIMITS.sender_count_max

    @invariant()
    def whoever_is_ready_was_announced_once(self) -> None:
        assert self.told == self.pending()
        assert self.pool.pending_count() == len(self.told)

    @invariant()
    def content_is_all_of_it(self) -> None:
        pending, queued = self.pool.content()
        assert {tx.hash for side in pending.values() for tx in side} == self.pending()
        shown = [tx for side in (pending, queued) for queue in side.values() for tx in queue]
        assert {tx.hash for tx in shown} == set(self.pool.by_hash)
        for side in (pending, queued):
            for queue in side.values():
                assert [tx.nonce for tx in queue] == sorted(tx.nonce for tx in queue)

    @invariant()
    def best_is_greedy(self) -> None:
        """Each next one pays the most of all that could come next."""
        for base_fee in (0, 7):
            ready = {sender: self.states[sender].nonce for sender in SENDERS}
            for chosen in self.pool.best(base_fee):
                fronts = [
                    self.waiting[sender, nonce]
                    for sender, nonce in ready.items()
                    if (sender, nonce) in self.waiting
                ]
                paying = [tx for tx in fronts if self.tip(tx, base_fee) >= 0]
                assert chosen == max(paying, key=lambda tx: (self.tip(tx, base_fee), -tx.order))
                ready[chosen.sender] += 1
            left = [
                self.waiting[sender, nonce]
                for sender, nonce in ready.items()
                if (sender, nonce) in self.waiting
            ]
            assert all(self.tip(tx, base_fee) < 0 for tx in left)

    def tip(self, tx: PoolTransaction, base_fee: int) -> int:
        return tx.effective_tip(base_fee, self.rate(tx))


def overspent(machine: PoolMachine, sender: Address) -> bool:
    queue = machine.of(sender)
    return sum(tx.cost for tx in queue.values()) > machine.states[sender].balance


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
