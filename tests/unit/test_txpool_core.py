"""The pool's rules, on the value itself: no clock, no disk, no signatures."""

from __future__ import annotations

import itertools

import pytest

from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.core import Pool, PoolLimits, SenderState, outbids
from ghostchain.txpool.effects import (
    Accepted,
    Evicted,
    PoolReason,
    PoolTransaction,
    Promoted,
    Refused,
)

GWEI = 10**9
ALICE = Address(b"\xaa" * 20)
BOB = Address(b"\xbb" * 20)
RICH = {ALICE: SenderState(0, 10**24), BOB: SenderState(0, 10**24)}
ORDER = itertools.count()


def waiting(
    sender: Address,
    nonce: int,
    *,
    fee: int = 10 * GWEI,
    tip: int | None = None,
    value: int = 0,
    size: int = 100,
    arrived_ns: int = 0,
    type: int = 2,
) -> PoolTransaction:
    order = next(ORDER)
    return PoolTransaction(
        hash=Hash32(order.to_bytes(32, "big")),
        sender=sender,
        nonce=nonce,
        type=type,
        gas_limit=21_000,
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=fee if tip is None else tip,
        max_fee_per_blob_gas=0,
        blob_count=0,
        cost=21_000 * fee + value,
        raw=bytes(size),
        arrived_ns=arrived_ns,
        order=order,
    )


def only(effects: tuple, kind: type) -> list:
    return [effect for effect in effects if isinstance(effect, kind)]


def test_the_earliest_that_could_run_are_told_first() -> None:
    """By arrival, whatever they pay; what waits behind a gap comes last."""
    pool = Pool()
    first, gapped, second = waiting(ALICE, 0, fee=2), waiting(BOB, 1, fee=9), waiting(ALICE, 1)
    for one in (first, gapped, second):
        pool.on_transactions([one], RICH)
    assert pool.earliest(10) == [first, second, gapped]
    assert pool.earliest(2) == [first, second]
    assert pool.earliest(1) == [first]
    assert pool.earliest(0) == []
    closing = waiting(BOB, 0)
    pool.on_transactions([closing], RICH)
    assert pool.earliest(10) == [first, gapped, second, closing]


def test_ready_transaction_is_pending() -> None:
    """The sender's next nonce can run at once."""
    pool = Pool()
    effects = pool.on_transactions([waiting(ALICE, 0)], RICH)
    assert [effect.pending for effect in only(effects, Accepted)] == [True]
    assert pool.next_nonce(ALICE) == 1
    assert pool.pending_count() == 1


def test_gap_waits_and_is_promoted_when_filled() -> None:
    """What waits behind a gap is queued, and pending with the missing nonce."""
    pool = Pool()
    late = [waiting(ALICE, nonce) for nonce in (2, 1)]
    effects = pool.on_transactions(late, RICH)
    assert [effect.pending for effect in only(effects, Accepted)] == [False, False]
    assert pool.next_nonce(ALICE) == 0
    effects = pool.on_transactions([waiting(ALICE, 0)], RICH)
    assert [effect.transaction.nonce for effect in only(effects, Promoted)] == [1, 2]
    assert pool.next_nonce(ALICE) == 3


def test_same_hash_is_already_known() -> None:
    pool = Pool()
    transaction = waiting(ALICE, 0)
    pool.on_transactions([transaction], RICH)
    (refused,) = only(pool.on_transactions([transaction], RICH), Refused)
    assert refused.reason is PoolReason.ALREADY_KNOWN
    assert refused.message == "already known"


def test_used_nonce_is_too_low() -> None:
    pool = Pool()
    (refused,) = pool.on_transactions([waiting(ALICE, 4)], {ALICE: SenderState(5, 10**24)})
    assert refused.reason is TransactionReason.NONCE_TOO_LOW
    assert refused.message == "nonce too low: next nonce 5, tx nonce 4"
    assert len(pool) == 0
    assert not pool.senders, "a refused transaction leaves no empty queue behind"


@pytest.mark.parametrize(("percent", "replaces"), [(109, False), (110, True), (200, True)])
def test_replacement_needs_ten_percent(percent: int, replaces: bool) -> None:
    """Both the fee cap and the tip must be at least 10 % above what they replace."""
    pool = Pool()
    standing = waiting(ALICE, 0, fee=100 * GWEI)
    pool.on_transactions([standing], RICH)
    effects = pool.on_transactions([waiting(ALICE, 0, fee=percent * GWEI)], RICH)
    if replaces:
        assert only(effects, Evicted) == [Evicted(standing, PoolReason.REPLACED)]
    else:
        (refused,) = only(effects, Refused)
        assert refused.reason is PoolReason.REPLACEMENT_UNDERPRICED
    assert len(pool) == 1


def test_replacement_needs_the_tip_too() -> None:
    pool = Pool()
    pool.on_transactions([waiting(ALICE, 0, fee=100 * GWEI, tip=GWEI)], RICH)
    (refused,) = pool.on_transactions([waiting(ALICE, 0, fee=200 * GWEI, tip=GWEI)], RICH)
    assert refused.reason is PoolReason.REPLACEMENT_UNDERPRICED


@pytest.mark.parametrize("tip", [0, 1, 9, 10, 11, GWEI, GWEI + 1])
def test_the_tip_that_replaces_is_the_least_that_does(tip: int) -> None:
    pool = Pool()
    assert pool.replacing_tip(ALICE, 0) is None
    pool.on_transactions([waiting(ALICE, 0, fee=100 * GWEI, tip=tip)], RICH)
    assert pool.replacing_tip(ALICE, 1) is None
    least = pool.replacing_tip(ALICE, 0)
    assert least is not None
    (refused,) = pool.on_transactions([waiting(ALICE, 0, fee=200 * GWEI, tip=least - 1)], RICH)
    assert refused.reason is PoolReason.REPLACEMENT_UNDERPRICED
    effects = pool.on_transactions([waiting(ALICE, 0, fee=200 * GWEI, tip=least)], RICH)
    assert len(only(effects, Evicted)) == 1


def test_replacement_of_a_free_transaction_needs_a_price() -> None:
    """10 % of nothing is nothing; it must still be more."""
    assert not outbids(0, 0, 10)
    assert outbids(1, 0, 10)


def test_funds_must_cover_all_that_waits() -> None:
    """A second transaction is refused when both together exceed the balance."""
    pool = Pool()
    poor = {ALICE: SenderState(0, 21_000 * GWEI * 10 + 5)}
    pool.on_transactions([waiting(ALICE, 0)], poor)
    (refused,) = pool.on_transactions([waiting(ALICE, 1)], poor)
    assert refused.reason is TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS
    assert refused.message.startswith("insufficient funds for gas * price + value: balance ")
    (refused,) = pool.on_transactions([waiting(BOB, 0)], {BOB: SenderState(0, 1)})
    assert refused.message.endswith(f"overshot {21_000 * 10 * GWEI - 1}")


def test_one_sender_cannot_fill_the_pool() -> None:
    pool = Pool(PoolLimits(sender_count_max=2))
    effects = pool.on_transactions([waiting(ALICE, nonce) for nonce in range(3)], RICH)
    assert only(effects, Refused)[0].reason is PoolReason.SENDER_LIMIT
    assert len(pool) == 2


def test_nonce_far_ahead_is_refused() -> None:
    pool = Pool(PoolLimits(nonce_gap_max=10))
    (refused,) = pool.on_transactions([waiting(ALICE, 11)], RICH)
    assert refused.reason is PoolReason.NONCE_GAP_LIMIT
    assert "nonce too high" in refused.message


def test_delegated_account_has_one_in_flight() -> None:
    """EIP-7702: others can empty such an account, so it may not occupy many places."""
    pool = Pool()
    states = {ALICE: SenderState(0, 10**24, delegated=True)}
    pool.on_transactions([waiting(ALICE, 0)], states)
    (refused,) = pool.on_transactions([waiting(ALICE, 1)], states)
    assert refused.reason is PoolReason.DELEGATION_LIMIT


def test_count_limit_evicts_the_worst_with_a_reason() -> None:
    """The pool goes down to its low-water mark; the cheapest leave, the last nonces first."""
    pool = Pool(PoolLimits(count_max=20, low_water_percent=90))
    cheap = [waiting(ALICE, nonce, fee=GWEI) for nonce in range(10)]
    dear = [waiting(BOB, nonce, fee=50 * GWEI) for nonce in range(11)]
    pool.on_transactions(cheap, RICH)
    effects = pool.on_transactions(dear, RICH)
    evicted = only(effects, Evicted)
    assert {effect.reason for effect in evicted} == {PoolReason.POOL_FULL}
    assert [effect.transaction.nonce for effect in evicted] == [9, 8, 7]
    assert len(pool) == 18
    assert pool.next_nonce(ALICE) == 7
    assert pool.next_nonce(BOB) == 11


def test_byte_limit_holds() -> None:
    pool = Pool(PoolLimits(bytes_max=1_000))
    pool.on_transactions([waiting(ALICE, nonce, size=300) for nonce in range(4)], RICH)
    assert pool.bytes_total <= 1_000
    assert pool.bytes_total == sum(len(item.raw) for item in pool.by_hash.values())


def test_gapped_go_before_pending_when_the_pool_is_full() -> None:
    pool = Pool(PoolLimits(count_max=2, low_water_percent=100))
    pool.on_transactions([waiting(ALICE, 5, fee=90 * GWEI), waiting(BOB, 0, fee=GWEI)], RICH)
    effects = pool.on_transactions([waiting(BOB, 1, fee=GWEI)], RICH)
    (evicted,) = only(effects, Evicted)
    assert evicted.transaction.sender == ALICE


def test_best_is_by_effective_tip_and_nonce_order() -> None:
    """A dear later nonce cannot jump over its own cheap predecessor."""
    pool = Pool()
    pool.on_transactions(
        [
            waiting(ALICE, 0, fee=100 * GWEI, tip=GWEI),
            waiting(ALICE, 1, fee=100 * GWEI, tip=50 * GWEI),
            waiting(BOB, 0, fee=100 * GWEI, tip=5 * GWEI),
        ],
        RICH,
    )
    order = [(item.sender, item.nonce) for item in pool.best(base_fee=GWEI)]
    assert order == [(BOB, 0), (ALICE, 0), (ALICE, 1)]


def test_best_leaves_out_what_does_not_pay_the_base_fee() -> None:
    pool = Pool()
    pool.on_transactions([waiting(ALICE, 0, fee=GWEI), waiting(ALICE, 1, fee=9 * GWEI)], RICH)
    assert list(pool.best(base_fee=2 * GWEI)) == []


def test_head_removes_the_included_and_the_stale() -> None:
    """Included ones vanish silently, those whose nonce was used by another say so."""
    pool = Pool()
    mine = [waiting(ALICE, nonce) for nonce in range(4)]
    pool.on_transactions(mine, RICH)
    effects = pool.on_head([mine[0].hash], {ALICE: SenderState(2, 10**24)}, now_ns=0)
    assert effects == (Evicted(mine[1], TransactionReason.NONCE_TOO_LOW),)
    assert pool.next_nonce(ALICE) == 4
    assert [item.nonce for item in pool.best(0)] == [2, 3]


def test_head_drops_what_can_no_longer_be_paid() -> None:
    pool = Pool()
    mine = [waiting(ALICE, nonce) for nonce in range(3)]
    pool.on_transactions(mine, RICH)
    effects = pool.on_head([], {ALICE: SenderState(0, mine[0].cost)}, now_ns=0)
    assert [effect.transaction.nonce for effect in only(effects, Evicted)] == [2, 1]
    assert pool.next_nonce(ALICE) == 1


def test_gapped_transactions_expire() -> None:
    pool = Pool(PoolLimits(queued_lifetime_ns=1_000))
    pool.on_transactions([waiting(ALICE, 1, arrived_ns=0), waiting(BOB, 0)], RICH)
    assert pool.on_tick(now_ns=1_000) == ()
    (evicted,) = pool.on_tick(now_ns=1_001)
    assert (evicted.transaction.sender, evicted.reason) == (ALICE, PoolReason.EXPIRED)
    assert len(pool) == 1, "a pending transaction waits as long as it likes"


def test_dropping_leaves_a_gap_behind() -> None:
    pool = Pool()
    mine = [waiting(ALICE, nonce) for nonce in range(3)]
    pool.on_transactions(mine, RICH)
    pool.drop([mine[1].hash], PoolReason.DROPPED)
    assert pool.next_nonce(ALICE) == 1
    pending, queued = pool.content()
    assert [item.nonce for item in pending[ALICE]] == [0]
    assert [item.nonce for item in queued[ALICE]] == [2]


def test_head_that_passes_a_gap_promotes_what_waited_behind_it() -> None:
    """An authorization (EIP-7702) uses up the missing nonce: whoever seals must hear of it."""
    pool = Pool()
    late = [waiting(ALICE, nonce) for nonce in (2, 3)]
    pool.on_transactions(late, RICH)
    effects = pool.on_head([], {ALICE: SenderState(2, 10**24)}, now_ns=0)
    assert effects == (Promoted(late[0]), Promoted(late[1]))
    assert pool.on_head([], {ALICE: SenderState(2, 10**24)}, now_ns=0) == ()


def test_funds_that_came_meanwhile_count() -> None:
    """A transfer to a sender that waits is known when it submits again."""
    pool = Pool()
    first, second = waiting(ALICE, 0), waiting(ALICE, 1)
    pool.on_transactions([first], {ALICE: SenderState(0, first.cost)})
    effects = pool.on_transactions([second], {ALICE: SenderState(0, first.cost + second.cost)})
    assert effects == (Accepted(second, pending=True),)


def test_funds_that_left_meanwhile_do_not_count() -> None:
    pool = Pool()
    first, second, third = (waiting(ALICE, nonce) for nonce in range(3))
    pool.on_transactions([first, second], RICH)
    effects = pool.on_transactions([third], {ALICE: SenderState(0, first.cost)})
    assert effects[0] == Evicted(second, TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS)
    assert only(effects, Refused)[0].reason is TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS
    assert pool.next_nonce(ALICE) == 1


def test_head_that_the_pool_has_not_heard_of_changes_nothing_yet() -> None:
    """Between a commit and `on_head` the account shows a later nonce; what it includes must leave
    as included, not as stale."""
    pool = Pool()
    first, second = waiting(ALICE, 0), waiting(ALICE, 1)
    pool.on_transactions([first], RICH)
    after = {ALICE: SenderState(1, 10**24)}
    assert pool.on_transactions([second], after) == (Accepted(second, pending=True),)
    assert pool.on_head([first.hash], after, now_ns=0) == ()
    assert pool.next_nonce(ALICE) == 2


def test_included_transaction_is_refused_by_its_nonce() -> None:
    """As geth: known is only what waits."""
    pool = Pool()
    transaction = waiting(ALICE, 0)
    pool.on_transactions([transaction], RICH)
    after = {ALICE: SenderState(1, 10**24)}
    pool.on_head([transaction.hash], after, now_ns=0)
    (refused,) = pool.on_transactions([transaction], after)
    assert refused.message == "nonce too low: next nonce 1, tx nonce 0"
