"""A validator's pool of stake: tokens and shares, what enters and what leaves.

A delegation is a number of shares; a share is worth tokens / shares of its validator. A slash
lowers tokens and touches no delegation. With T tokens and S shares before, all divisions against
whoever asks, and what they leave staying in the pool:

    enter a tokens     mints floor(a * S / T) shares (a when the pool is empty)
    leave with a       burns ceil(a * S / T) shares (all that are free when a is their whole value)
    slash by f         T falls by ceil(T * f)
    value of s         floor(s * T / S)

So T <= S always, a token never buys less than a share, S is zero only when T is, and nobody gets
out more than went in.
"""

from __future__ import annotations

from ghostchain.contracts.addresses import SPIRIT
from ghostchain.contracts.framework import Address
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import rewards, traces
from ghostchain.contracts.staking.storage import (
    DELEGATIONS_MAX,
    POWER_UNIT,
    SHARES_PER_TOKEN_MAX,
    Delegation,
    StakingStorage,
    Validator,
)
from ghostchain.contracts.tokens import Spirit

SHARE_BITS = 104


def value_of(shares: int, validator: Validator) -> int:
    """What that many shares are worth, in wei of SPIRIT."""
    return shares * validator.tokens // validator.shares if shares else 0


def locked_of(staking: StakingStorage, stake: Delegation) -> int:
    """Shares that came from elsewhere and cannot move yet."""
    epoch = staking.epoch()
    return sum(move.shares for move in stake.moves if move.matures > epoch)


def enter(staking: StakingStorage, delegator: Address, operator: Address, amount: int) -> int:
    """The account has amount more with the validator: the shares that it got.

    Raises: ZeroAmount, UnknownValidator, ValidatorTombstoned, ExchangeRateTooLow,
    TooManyDelegations.
    """
    if amount == 0:
        raise staking.ZeroAmount()
    validator = staking.known(operator)
    if validator.is_tombstoned:
        raise staking.ValidatorTombstoned(operator)
    stake = settled(staking, delegator, operator)
    tokens, total = validator.tokens, validator.shares
    if total > tokens * SHARES_PER_TOKEN_MAX:
        raise staking.ExchangeRateTooLow(operator)
    shares = amount * total // tokens if total else amount
    validator.tokens = tokens + amount
    validator.shares = total + shares
    set_shares(staking, delegator, operator, stake, stake.shares + shares)
    change_bonded(staking, amount)
    changed(staking, operator, validator)
    return shares


def leave(staking: StakingStorage, delegator: Address, operator: Address, amount: int) -> None:
    """The account has amount less with the validator.

    Raises: ZeroAmount, UnknownValidator, InsufficientStake.
    """
    if amount == 0:
        raise staking.ZeroAmount()
    validator = staking.known(operator)
    stake = settled(staking, delegator, operator)
    free = stake.shares - locked_of(staking, stake)
    worth = value_of(free, validator)
    if amount > worth:
        raise staking.InsufficientStake(worth, amount)
    tokens, total = validator.tokens, validator.shares
    shares = free if amount == worth else -(-amount * total // tokens)
    validator.tokens = tokens - amount
    validator.shares = total - shares
    set_shares(staking, delegator, operator, stake, stake.shares - shares)
    change_bonded(staking, -amount)
    changed(staking, operator, validator)


def settled(staking: StakingStorage, delegator: Address, operator: Address) -> Delegation:
    """The delegation, its rewards credited and the slashes of moved stake taken."""
    stake = staking.stakes[delegator][operator]
    rewards.settle(staking, delegator, operator, stake)
    settle_moves(staking, delegator, operator, stake)
    return stake


def settle_moves(
    staking: StakingStorage, delegator: Address, operator: Address, stake: Delegation
) -> None:
    """Stake that was moved here has lost what slashes took of it at its source; what is free of
    its source is no longer counted as moved."""
    count = len(stake.moves)
    if count == 0:
        return
    epoch, cut_total = staking.epoch(), 0
    for index in reversed(range(count)):
        move = stake.moves[index]
        lost = staking.exits[move.source][move.epoch].lost
        if lost != move.lost:
            before = move.lost
            cut = -(-move.shares * (lost - before) // (WAD - before))
            tokens = value_of(cut, staking.records[operator])
            _burn_shares(staking, operator, cut, tokens)
            move.shares -= cut
            move.lost = lost
            cut_total += cut
            staking.emit(staking.MoveSlashed, delegator, move.source, operator, tokens)
        if move.matures <= epoch or move.shares == 0:
            _drop_move(stake, index)
    if cut_total:
        set_shares(staking, delegator, operator, stake, stake.shares - cut_total)
        changed(staking, operator, staking.records[operator])


def _burn_shares(staking: StakingStorage, operator: Address, shares: int, tokens: int) -> None:
    validator = staking.records[operator]
    validator.tokens -= tokens
    validator.shares -= shares
    change_bonded(staking, -tokens)
    if tokens:
        staking.at(Spirit, SPIRIT).burn(tokens)


def _drop_move(stake: Delegation, index: int) -> None:
    last = len(stake.moves) - 1
    if index != last:
        kept, other = stake.moves[index], stake.moves[last]
        kept.source, kept.epoch, kept.shares = other.source, other.epoch, other.shares
        kept.lost, kept.matures = other.lost, other.matures
    stake.moves.pop()


def set_shares(
    staking: StakingStorage,
    delegator: Address,
    operator: Address,
    stake: Delegation,
    shares: int,
) -> None:
    """The delegation has that many shares, and the account's list says with whom it has any.

    Raises: TooManyDelegations.
    """
    held = staking.held[delegator]
    place = stake.place
    if shares and not place:
        count = len(held)
        if count >= DELEGATIONS_MAX:
            raise staking.TooManyDelegations(DELEGATIONS_MAX)
        held.append(operator)
        stake.place = count + 1
    elif place and not shares:
        last = held[len(held) - 1]
        if last != operator:
            held[place - 1] = last
            staking.stakes[delegator][last].place = place
        held.pop()
        stake.place = 0
    stake.shares = shares
    traces.write(stake.history, staking.block.number, shares)


def change_bonded(staking: StakingStorage, amount: int) -> None:
    """That much more SPIRIT is bonded; less when it is negative."""
    bonded = staking.totals.bonded + amount
    staking.totals.bonded = bonded
    traces.write(staking.bonded_history, staking.block.number, bonded)


def changed(staking: StakingStorage, operator: Address, validator: Validator) -> None:
    """The histories know the validator's exchange rate, and its power from the next epoch on."""
    rate = validator.tokens << SHARE_BITS | validator.shares
    traces.write(validator.rates, staking.block.number, rate)
    power = power_of(staking, operator, validator)
    epoch = staking.next_epoch()
    if power != traces.read(validator.powers, epoch):
        if power and validator.place == 0:
            _list(staking, operator, validator)
        traces.write(validator.powers, epoch, power)
        staking.emit(staking.PowerChanged, operator, epoch, power)


def power_of(staking: StakingStorage, operator: Address, validator: Validator) -> int:
    """What the validator would weigh in the next epoch, in whole SPIRIT: nothing when it is jailed,
    its own stake is below the minimum, or the whole is below the least power."""
    if validator.is_tombstoned or validator.jailed_until:
        return 0
    own = value_of(staking.stakes[operator][operator].shares, validator)
    if own < staking.limits.min_self_bond:
        return 0
    power = validator.tokens // POWER_UNIT
    return power if power >= staking.limits.min_power else 0


def _list(staking: StakingStorage, operator: Address, validator: Validator) -> None:
    count = len(staking.listed)
    if count >= staking.limits.listed_max:
        raise staking.TooManyValidators(staking.limits.listed_max)
    staking.listed.append(operator)
    validator.place = count + 1
