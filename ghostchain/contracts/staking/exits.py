"""Stake that leaves: unbonding, moves to another validator, and the slashes that follow it.

Time is counted in epochs, so that whether stake still answers for a vote is one comparison. Stake
that leaves in epoch e has backed the validator's votes until the end of e (a set holds for a whole
epoch). Evidence of epoch i is taken until epoch i + u, u being `unbondingEpochs`; stake that left
in e is out of reach from epoch e + u + 1 on, which is when it matures.

All that leaves a validator in one epoch shares a record, the exit. What unbonds has shares of the
exit's tokens, so a slash costs one step for each epoch with an exit, however many accounts left:
it takes its part from the exit's tokens. Moved stake is the target's already; the exit's `lost`
says which part of it is forfeit, and it is taken when the account next does anything with the
target, or when anybody calls `settle`; before that nobody can move it on.
"""

from __future__ import annotations

from ghostchain.contracts.addresses import SPIRIT
from ghostchain.contracts.framework import Address
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import pool
from ghostchain.contracts.staking.storage import (
    MOVES_MAX,
    UNBONDINGS_MAX,
    Exit,
    StakingStorage,
    Unbonding,
    UnbondingView,
)
from ghostchain.contracts.tokens import Spirit


def exit_of(staking: StakingStorage, operator: Address, epoch: int) -> Exit:
    """The validator's exit of the current epoch, known to slashes from now on."""
    epochs = staking.records[operator].exit_epochs
    count = len(epochs)
    if count == 0 or epochs[count - 1] != epoch:
        epochs.append(epoch)
    return staking.exits[operator][epoch]


def begin(staking: StakingStorage, delegator: Address, operator: Address, amount: int) -> int:
    """The amount unbonds: the epoch from which on it can be withdrawn.

    Raises: as `pool.leave`; TooManyUnbondings.
    """
    pool.leave(staking, delegator, operator, amount)
    epoch = staking.epoch()
    matures = epoch + staking.limits.unbonding_epochs + 1
    exit = exit_of(staking, operator, epoch)
    tokens, total = exit.tokens, exit.shares
    if total and not tokens:
        raise staking.ExchangeRateTooLow(operator)
    shares = amount * total // tokens if total else amount
    exit.tokens = tokens + amount
    exit.shares = total + shares
    entry = _entry_for(staking, delegator, operator, epoch)
    entry.shares += shares
    entry.matures = max(entry.matures, matures)
    staking.totals.unbonding += amount
    return matures


def _entry_for(
    staking: StakingStorage, delegator: Address, operator: Address, epoch: int
) -> Unbonding:
    queue = staking.queues[delegator]
    index = _find(staking, delegator, operator, epoch)
    if index is not None:
        return queue[index]
    if len(queue) >= UNBONDINGS_MAX:
        raise staking.TooManyUnbondings(UNBONDINGS_MAX)
    entry = queue.add()
    entry.validator, entry.epoch = operator, epoch
    return entry


def _find(staking: StakingStorage, delegator: Address, operator: Address, epoch: int) -> int | None:
    queue = staking.queues[delegator]
    for index in reversed(range(len(queue))):
        entry = queue[index]
        if entry.epoch == epoch and entry.validator == operator:
            return index
    return None


def cancel(
    staking: StakingStorage, delegator: Address, operator: Address, epoch: int, amount: int
) -> int:
    """The amount, which unbonds since that epoch, is bonded again: the shares that it got.

    Raises: UnknownUnbonding, InsufficientStake; as `pool.enter`.
    """
    index = _find(staking, delegator, operator, epoch)
    if index is None:
        raise staking.UnknownUnbonding(operator, epoch)
    entry = staking.queues[delegator][index]
    exit = staking.exits[operator][epoch]
    worth = unbonding_value(entry, exit)
    if amount > worth:
        raise staking.InsufficientStake(worth, amount)
    shares = entry.shares if amount == worth else -(-amount * exit.shares // exit.tokens)
    _take(staking, exit, shares, amount)
    if shares == entry.shares:
        _drop(staking, delegator, index)
    else:
        entry.shares -= shares
    return pool.enter(staking, delegator, operator, amount)


def withdraw(staking: StakingStorage, delegator: Address) -> int:
    """Everything of the account that has matured is paid out: the sum.

    Cost: one step for each entry, of which an account has a bounded number.
    """
    queue, epoch, total = staking.queues[delegator], staking.epoch(), 0
    found = False
    for index in reversed(range(len(queue))):
        entry = queue[index]
        if entry.matures > epoch:
            continue
        found = True
        exit = staking.exits[entry.validator][entry.epoch]
        amount = unbonding_value(entry, exit)
        _take(staking, exit, entry.shares, amount)
        _drop(staking, delegator, index)
        total += amount
    if not found:
        raise staking.NothingMatured()
    if total:
        staking.at(Spirit, SPIRIT).transfer(delegator, total)
    return total


def unbonding_value(entry: Unbonding, exit: Exit) -> int:
    """What an entry is worth now, in wei of SPIRIT."""
    return entry.shares * exit.tokens // exit.shares


def _take(staking: StakingStorage, exit: Exit, shares: int, amount: int) -> None:
    exit.tokens -= amount
    exit.shares -= shares
    staking.totals.unbonding -= amount


def _drop(staking: StakingStorage, delegator: Address, index: int) -> None:
    queue = staking.queues[delegator]
    last = len(queue) - 1
    if index != last:
        kept, other = queue[index], queue[last]
        kept.validator, kept.epoch = other.validator, other.epoch
        kept.shares, kept.matures = other.shares, other.matures
    queue.pop()


def unbondings_of(staking: StakingStorage, delegator: Address) -> list[UnbondingView]:
    """An account's entries, in no particular order."""
    return [
        UnbondingView(
            entry.validator,
            entry.epoch,
            unbonding_value(entry, staking.exits[entry.validator][entry.epoch]),
            entry.matures,
        )
        for entry in staking.queues[delegator]
    ]


def move(
    staking: StakingStorage, delegator: Address, source: Address, target: Address, amount: int
) -> int:
    """The amount is with the target, and answers for the source until the epoch returned.

    Raises: SameValidator, TooManyMoves; as `pool.leave` and `pool.enter`.
    """
    if source == target:
        raise staking.SameValidator(source)
    pool.leave(staking, delegator, source, amount)
    epoch = staking.epoch()
    matures = epoch + staking.limits.unbonding_epochs + 1
    exit = exit_of(staking, source, epoch)
    shares = pool.enter(staking, delegator, target, amount)
    moves = staking.stakes[delegator][target].moves
    lost = exit.lost
    for index in range(len(moves)):
        entry = moves[index]
        if entry.source == source and entry.epoch == epoch and entry.matures == matures:
            entry.shares += shares
            return matures
    if len(moves) >= MOVES_MAX:
        raise staking.TooManyMoves(MOVES_MAX)
    entry = moves.add()
    entry.source, entry.epoch, entry.shares = source, epoch, shares
    entry.lost, entry.matures = lost, matures
    return matures


def slash(staking: StakingStorage, operator: Address, fraction: int, infraction_epoch: int) -> int:
    """That part of what backed the validator since the infraction is burnt: how much at once.

    Bonded stake, and what unbonds since that epoch, loses its part now; what moved away since then
    has forfeited its part (see the module).

    Cost: one step for each epoch since the infraction in which stake left.
    """
    validator = staking.known(operator)
    bonded = -(-validator.tokens * fraction // WAD)
    validator.tokens -= bonded
    unbonding, epochs = 0, validator.exit_epochs
    for index in reversed(range(len(epochs))):
        epoch = epochs[index]
        if epoch < infraction_epoch:
            break
        exit = staking.exits[operator][epoch]
        cut = -(-exit.tokens * fraction // WAD)
        if cut:
            exit.tokens -= cut
            unbonding += cut
        exit.lost = WAD - (WAD - exit.lost) * (WAD - fraction) // WAD
    if unbonding:
        staking.totals.unbonding -= unbonding
    if bonded:
        pool.change_bonded(staking, -bonded)
    pool.changed(staking, operator, validator)
    if bonded + unbonding:
        staking.at(Spirit, SPIRIT).burn(bonded + unbonding)
    staking.emit(staking.Slashed, operator, fraction, infraction_epoch, bonded, unbonding)
    return bonded + unbonding
