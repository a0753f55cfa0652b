"""Validators: how one comes to be, its commission, the list, and the set of an epoch.

The list holds every validator that has, or lately had, power; it is bounded, and a validator that
has had none for longer than evidence lives may be taken off by anybody. The set of an epoch is
found from the list and from what each validator's power was when the epoch began, so nothing is
stored or sorted when one begins.
"""

from __future__ import annotations

from ghostchain.contracts.framework import Address
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import pool, traces
from ghostchain.contracts.staking.storage import (
    COMMISSION_PERIOD,
    PROOF_GAS,
    PowerView,
    StakingStorage,
    Validator,
    ValidatorView,
)
from ghostchain.crypto import ed25519
from ghostchain.encoding.votes import key_claim_bytes
from ghostchain.primitives.types import ZERO_ADDRESS


def create(
    staking: StakingStorage,
    operator: Address,
    consensus_key: bytes,
    commission: tuple[int, int, int],
) -> Validator:
    """The record of a new validator without stake. commission: now, at most, change a day at most.

    Raises: ValidatorExists, ConsensusKeyTaken, CommissionOutOfBounds.
    """
    validator = staking.records[operator]
    if validator.coinbase != ZERO_ADDRESS:
        raise staking.ValidatorExists(operator)
    if staking.key_operators[consensus_key] != ZERO_ADDRESS:
        raise staking.ConsensusKeyTaken(consensus_key)
    now, high, change = commission
    if high > WAD:
        raise staking.CommissionOutOfBounds(high, WAD)
    if now > high or change > high:
        raise staking.CommissionOutOfBounds(max(now, change), high)
    validator.consensus_key = consensus_key
    validator.commission, validator.max_commission = now, high
    validator.max_daily_change = change
    validator.commission_since = staking.block.timestamp
    validator.coinbase, validator.created = operator, staking.block.number
    staking.key_operators[consensus_key] = operator
    return validator


def check_proof(staking: StakingStorage, consensus_key: bytes, proof: bytes) -> None:
    """Raises: ConsensusKeyUnproven unless the key's holder signed that the sender may have it."""
    staking.charge(PROOF_GAS)
    claim = key_claim_bytes(staking.block.chain_id, staking.msg.sender)
    if not ed25519.verify(consensus_key, claim, proof):
        raise staking.ConsensusKeyUnproven(consensus_key)


def edit(staking: StakingStorage, operator: Address, commission: int, coinbase: Address) -> None:
    """The validator has this commission and this coinbase from now on.

    Raises: UnknownValidator, CommissionOutOfBounds, CommissionChangeTooLarge,
    CommissionChangeTooSoon, CoinbaseTaken.
    """
    validator = staking.known(operator)
    before = validator.commission
    if commission != before:
        if commission > validator.max_commission:
            raise staking.CommissionOutOfBounds(commission, validator.max_commission)
        free = validator.commission_since + COMMISSION_PERIOD
        if staking.block.timestamp < free:
            raise staking.CommissionChangeTooSoon(free)
        change = abs(commission - before)
        if change > validator.max_daily_change:
            raise staking.CommissionChangeTooLarge(change, validator.max_daily_change)
        validator.commission = commission
        validator.commission_since = staking.block.timestamp
    if coinbase != validator.coinbase:
        _set_coinbase(staking, operator, validator, coinbase)
    staking.emit(staking.ValidatorEdited, operator, commission, coinbase)


def _set_coinbase(
    staking: StakingStorage, operator: Address, validator: Validator, coinbase: Address
) -> None:
    is_taken = (
        coinbase == ZERO_ADDRESS
        or staking.coinbase_operators[coinbase] != ZERO_ADDRESS
        or (coinbase != operator and staking.records[coinbase].coinbase != ZERO_ADDRESS)
    )
    if is_taken:
        raise staking.CoinbaseTaken(coinbase)
    if validator.coinbase != operator:
        staking.coinbase_operators[validator.coinbase] = ZERO_ADDRESS
    if coinbase != operator:
        staking.coinbase_operators[coinbase] = operator
    validator.coinbase = coinbase


def jail(staking: StakingStorage, operator: Address, until: int) -> None:
    """The validator has no power from the next epoch on, until it is released; not before the block
    `until`."""
    validator = staking.known(operator)
    validator.jailed_until = max(until, validator.jailed_until)
    pool.changed(staking, operator, validator)
    staking.emit(staking.Jailed, operator, until)


def tombstone(staking: StakingStorage, operator: Address) -> None:
    """The validator never has power again."""
    validator = staking.known(operator)
    validator.is_tombstoned = True
    pool.changed(staking, operator, validator)
    staking.emit(staking.Tombstoned, operator)


def release(staking: StakingStorage, operator: Address) -> None:
    """The validator is out of jail. Raises: ValidatorNotJailed, ValidatorTombstoned."""
    validator = staking.known(operator)
    if validator.is_tombstoned:
        raise staking.ValidatorTombstoned(operator)
    if validator.jailed_until == 0:
        raise staking.ValidatorNotJailed(operator)
    validator.jailed_until = 0
    pool.changed(staking, operator, validator)
    staking.emit(staking.Released, operator)


def prune(staking: StakingStorage, operator: Address) -> None:
    """The validator is off the list. Raises: ValidatorInUse while a set that can still be asked for
    might hold it."""
    validator = staking.known(operator)
    place = validator.place
    free = traces.last_key(validator.powers) + staking.limits.unbonding_epochs + 1
    power = traces.read(validator.powers, staking.next_epoch())
    if place == 0 or power or staking.epoch() < free:
        raise staking.ValidatorInUse(operator, free)
    last = staking.listed[len(staking.listed) - 1]
    if last != operator:
        staking.listed[place - 1] = last
        staking.records[last].place = place
    staking.listed.pop()
    validator.place = 0


def set_of(staking: StakingStorage, epoch: int) -> list[PowerView]:
    """Who votes in an epoch: the most powerful, by power and then by address.

    Raises: EpochOutOfRange for one before the last `unbondingEpochs`, or after the next.
    Cost: two words and more for each validator on the list.
    """
    now = staking.epoch()
    low, high = max(0, now - staking.limits.unbonding_epochs), now + 1
    if not low <= epoch <= high:
        raise staking.EpochOutOfRange(epoch, low, high)
    powers = []
    for operator in staking.listed:
        power = traces.read(staking.records[operator].powers, epoch)
        if power:
            powers.append((-power, operator))
    powers.sort()
    seats = traces.read(staking.active_max_history, epoch)
    return [
        PowerView(operator, staking.records[operator].consensus_key, -power)
        for power, operator in powers[:seats]
    ]


def view_of(staking: StakingStorage, operator: Address) -> ValidatorView:
    """Raises: UnknownValidator."""
    validator = staking.known(operator)
    return ValidatorView(
        operator=operator,
        consensusKey=validator.consensus_key,
        coinbase=validator.coinbase,
        tokens=validator.tokens,
        shares=validator.shares,
        selfBond=pool.value_of(staking.stakes[operator][operator].shares, validator),
        power=traces.read(validator.powers, staking.next_epoch()),
        commission=validator.commission,
        maxCommission=validator.max_commission,
        maxDailyChange=validator.max_daily_change,
        commissionSince=validator.commission_since,
        created=validator.created,
        jailedUntil=validator.jailed_until,
        isTombstoned=validator.is_tombstoned,
    )
