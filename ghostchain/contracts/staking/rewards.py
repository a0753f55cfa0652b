"""Who earned what: rewards by share, found out lazily.

A validator has one index for each reward token: what one share has earned since the beginning, in
units of 2**-128 wei. A reward raises the index, whatever the number of delegators; a delegation
remembers the index up to which it was credited. Since a slash changes what shares are worth but
not how many there are, and everybody of a validator loses the same part, periods between slashes
need no account of their own: shares divide rewards rightly before and after.

`reward_proposer` runs in `native/contracts/staking.c` where a block asks for it; what stands here
defines it, and is its oracle: the same gas, logs, errors and output, access for access.

What divisions leave stays in this contract: less than one wei for each reward and each crediting.
"""

from __future__ import annotations

from ghostchain.contracts.addresses import GCC, GOVERNANCE, MANA, STAKING
from ghostchain.contracts.framework import Address
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking.storage import (
    INDEX_SHIFT,
    REWARD_TOKENS,
    REWARDED_TOKENS_MIN,
    Delegation,
    StakingStorage,
    Validator,
)
from ghostchain.contracts.tokens import Gcc, Mana, Token
from ghostchain.primitives.types import ZERO_ADDRESS


def settle(
    staking: StakingStorage, delegator: Address, operator: Address, stake: Delegation
) -> None:
    """What the delegation has earned is credited to the account."""
    shares = stake.shares
    for token in REWARD_TOKENS:
        index, paid = staking.pools[operator][token].index, stake.paid[token]
        if index == paid:
            continue
        earned = shares * (index - paid) >> INDEX_SHIFT
        if earned:
            staking.credit[delegator][token] += earned
        stake.paid[token] = index


def pending(staking: StakingStorage, delegator: Address, operator: Address, token: Address) -> int:
    """What settling would credit, in the token's wei."""
    stake = staking.stakes[delegator][operator]
    return stake.shares * (staking.pools[operator][token].index - stake.paid[token]) >> INDEX_SHIFT


def share_out(staking: StakingStorage, operator: Address, token: Address, amount: int) -> None:
    """The amount, which this contract holds already, is the validator's: its commission, and the
    rest for its shares.

    Raises: UnknownValidator, ValidatorTombstoned, StakeTooSmall.
    """
    validator = staking.known(operator)
    if validator.is_tombstoned:
        raise staking.ValidatorTombstoned(operator)
    if validator.tokens < REWARDED_TOKENS_MIN:
        raise staking.StakeTooSmall(operator)
    commission = amount * validator.commission // WAD
    pool = staking.pools[operator][token]
    if commission:
        pool.commission += commission
    pool.index += ((amount - commission) << INDEX_SHIFT) // validator.shares
    staking.emit(staking.Distributed, operator, token, amount, commission)


def reward_proposer(staking: StakingStorage, gcc: int) -> None:
    """The validator behind the block's coinbase has this block's GCC, which this contract holds
    already, and its MANA. Without one, or when it is jailed or has next to no stake, no MANA is
    minted and the GCC are the treasury's.

    Cost: the same whatever the number of validators and delegators.
    """
    mana = staking.limits.mana_per_block
    operator = operator_of(staking, staking.block.coinbase)
    if operator == ZERO_ADDRESS or not _earns(staking.records[operator]):
        if gcc:
            staking.at(Gcc, GCC).transfer(GOVERNANCE, gcc)
        return
    if gcc:
        share_out(staking, operator, GCC, gcc)
    if mana:
        staking.at(Mana, MANA).mint(STAKING, mana)
        share_out(staking, operator, MANA, mana)


def _earns(validator: Validator) -> bool:
    return not (
        validator.is_tombstoned or validator.jailed_until or validator.tokens < REWARDED_TOKENS_MIN
    )


def operator_of(staking: StakingStorage, coinbase: Address) -> Address:
    """The operator of the validator with that coinbase; zero when there is none. An operator's own
    address is always its own."""
    if staking.records[coinbase].coinbase != ZERO_ADDRESS:
        return coinbase
    return staking.coinbase_operators[coinbase]


def claim(staking: StakingStorage, delegator: Address) -> list[int]:
    """Pays an account's whole credit: by token, as REWARD_TOKENS."""
    paid = []
    for token in REWARD_TOKENS:
        amount = staking.credit[delegator][token]
        if amount:
            staking.credit[delegator][token] = 0
            staking.at(Token, token).transfer(delegator, amount)
            staking.emit(staking.RewardsClaimed, delegator, token, amount)
        paid.append(amount)
    return paid


def claim_commission(staking: StakingStorage, operator: Address) -> list[int]:
    """Pays a validator's whole commission: by token, as REWARD_TOKENS."""
    paid = []
    for token in REWARD_TOKENS:
        pool = staking.pools[operator][token]
        amount = pool.commission
        if amount:
            pool.commission = 0
            staking.at(Token, token).transfer(operator, amount)
            staking.emit(staking.CommissionWithdrawn, operator, token, amount)
        paid.append(amount)
    return paid
