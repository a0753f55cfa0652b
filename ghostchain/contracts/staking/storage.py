"""What staking remembers, what it tells, and why it refuses: the declarations of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ghostchain.contracts.addresses import GCC, MANA, STAKING_ID
from ghostchain.contracts.framework import (
    Address,
    Array,
    Bytes32,
    Error,
    Event,
    Mapping,
    Record,
    Slot,
    UInt32,
    UInt64,
    UInt128,
    UInt256,
)
from ghostchain.contracts.governed import WAD, Governed, Parameter
from ghostchain.contracts.staking import traces
from ghostchain.primitives.types import ZERO_ADDRESS

REWARD_TOKENS = (GCC, MANA)
"""What delegators may earn."""

INDEX_SHIFT = 128
"""Rewards for a share are counted in units of 2**-128 of a token's wei."""

POWER_UNIT = 10**18
"""One unit of consensus power: a whole SPIRIT."""

REWARDED_TOKENS_MIN = 10**18
"""A validator with less stake gets no rewards: the index could outgrow a word."""

SHARES_PER_TOKEN_MAX = 10**5
"""A validator slashed below one part in this takes no more stake: its shares could outgrow
their field."""

DELEGATIONS_MAX = 64
UNBONDINGS_MAX = 24
MOVES_MAX = 16
"""Bounds of one account: validators it delegates to, stakes that unbond, stakes moved to one
validator whose source can still be slashed."""

PAGE_MAX = 256
COMMISSION_PERIOD = 86_400
PROOF_GAS = 4_000
"""Of an Ed25519 signature, as where a transaction carries one."""


class StakingParameters(Record):
    """The governed numbers, and the length of an epoch, which genesis sets for ever."""

    min_self_bond: UInt128
    mana_per_block: UInt128
    epoch_blocks: UInt64
    min_power: UInt64
    unbonding_epochs: UInt32
    active_max: UInt32
    listed_max: UInt32
    reward_per_second: UInt128


class Totals(Record):
    """SPIRIT that this contract holds, in wei: bonded with validators, and on its way out."""

    bonded: UInt128
    unbonding: UInt128


class Validator(Record):
    """A validator, by its operator's address.

    rates, by block: tokens << 104 | shares. powers, by the epoch from which they count.
    exit_epochs: those in which stake left, rising. place: in the list of validators, from 1; 0 when
    it is not listed. since: of the last change of commission, in seconds. jailed_until: a block
    number, 0 when it is not jailed.
    """

    consensus_key: Bytes32
    tokens: UInt128
    shares: UInt128
    commission: UInt64
    max_commission: UInt64
    max_daily_change: UInt64
    commission_since: UInt64
    coinbase: Address
    created: UInt64
    is_tombstoned: bool
    jailed_until: UInt64
    place: UInt32
    rates: Array[UInt256]
    powers: Array[UInt256]
    exit_epochs: Array[UInt64]


class RewardPool(Record):
    """Rewards of a validator in one token. index: what one share has earned since the beginning."""

    index: UInt256
    commission: UInt256


class Move(Record):
    """Stake that came from another validator and still answers for it.

    shares: here. lost: of the source's exit when last looked at. matures: the epoch from which on
    it is free.
    """

    source: Address
    epoch: UInt64
    shares: UInt128
    lost: UInt64
    matures: UInt64


class Delegation(Record):
    """What one account has with one validator.

    place: of the validator in the account's list, from 1. paid: by token, the index up to which
    rewards are credited. history, by block: shares.
    """

    shares: UInt128
    place: UInt32
    history: Array[UInt256]
    moves: Array[Move]
    paid: Mapping[Address, UInt256]


class Exit(Record):
    """Stake that left a validator in one epoch.

    tokens and shares: of what unbonds. lost: the part that slashes took of every stake that left,
    in units of 1e-18.
    """

    tokens: UInt128
    shares: UInt128
    lost: UInt64


class Unbonding(Record):
    """An account's part of an exit. matures: the epoch from which on it can be withdrawn."""

    validator: Address
    epoch: UInt64
    shares: UInt128
    matures: UInt64


@dataclass(frozen=True, slots=True)
class ValidatorView:
    """A validator. power: of the next epoch, in whole SPIRIT. jailedUntil: a block number."""

    operator: Address
    consensusKey: Bytes32
    coinbase: Address
    tokens: UInt256
    shares: UInt256
    selfBond: UInt256
    power: UInt256
    commission: UInt256
    maxCommission: UInt256
    maxDailyChange: UInt256
    commissionSince: UInt64
    created: UInt64
    jailedUntil: UInt64
    isTombstoned: bool


@dataclass(frozen=True, slots=True)
class DelegationView:
    """A delegation. locked: the part of its tokens that came from elsewhere and cannot move yet."""

    validator: Address
    shares: UInt256
    tokens: UInt256
    locked: UInt256


@dataclass(frozen=True, slots=True)
class UnbondingView:
    """A stake on its way out. matures: an epoch."""

    validator: Address
    epoch: UInt64
    tokens: UInt256
    matures: UInt64


@dataclass(frozen=True, slots=True)
class MoveView:
    """A redelegated stake that still answers for its source. matures: an epoch."""

    source: Address
    epoch: UInt64
    tokens: UInt256
    matures: UInt64


@dataclass(frozen=True, slots=True)
class LiabilityView:
    """What the slashing contract asks of a validator. created, jailedUntil: block numbers.
    unbondingEpochs: for how many epochs evidence is taken."""

    operator: Address
    created: UInt64
    jailedUntil: UInt64
    isTombstoned: bool
    epochBlocks: UInt64
    unbondingEpochs: UInt64


@dataclass(frozen=True, slots=True)
class PowerView:
    """A member of a validator set. power: in whole SPIRIT."""

    operator: Address
    consensusKey: Bytes32
    power: UInt256


class StakingStorage(Governed):
    """The declarations; `contract.Staking` adds the functions."""

    ID = STAKING_ID
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "minSelfBond": Parameter("min_self_bond", 10_000 * WAD, WAD, 1_000_000 * WAD),
        "manaPerBlock": Parameter("mana_per_block", WAD, 0, 10_000 * WAD),
        "minPower": Parameter("min_power", 10_000, 1, 1_000_000),
        "unbondingEpochs": Parameter("unbonding_epochs", 126, 1, 1_024),
        "activeMax": Parameter("active_max", 100, 1, 200),
        "listedMax": Parameter("listed_max", 512, 1, 1_024),
        "rewardPerSecond": Parameter("reward_per_second", WAD // 10, 0, 100 * WAD),
    }

    limits = Slot[StakingParameters](0)
    totals = Slot[Totals](3)
    bonded_history = Array[UInt256](4)
    active_max_history = Array[UInt256](5)
    listed = Array[Address](6)
    records = Mapping[Address, Validator](7)
    key_operators = Mapping[Bytes32, Address](8)
    coinbase_operators = Mapping[Address, Address](9)
    pools = Mapping[Address, Mapping[Address, RewardPool]](10)
    stakes = Mapping[Address, Mapping[Address, Delegation]](11)
    held = Mapping[Address, Array[Address]](12)
    exits = Mapping[Address, Mapping[UInt64, Exit]](13)
    queues = Mapping[Address, Array[Unbonding]](14)
    credit = Mapping[Address, Mapping[Address, UInt256]](15)

    ValidatorCreated = Event(
        "ValidatorCreated(address indexed validator, bytes32 consensusKey, uint256 commission)"
    )
    ValidatorEdited = Event(
        "ValidatorEdited(address indexed validator, uint256 commission, address coinbase)"
    )
    PowerChanged = Event("PowerChanged(address indexed validator, uint64 epoch, uint256 power)")
    Delegated = Event(
        "Delegated(address indexed delegator, address indexed validator, uint256 amount,"
        " uint256 shares)"
    )
    Undelegated = Event(
        "Undelegated(address indexed delegator, address indexed validator, uint256 amount,"
        " uint64 epoch, uint64 matures)"
    )
    UnbondingCancelled = Event(
        "UnbondingCancelled(address indexed delegator, address indexed validator, uint64 epoch,"
        " uint256 amount)"
    )
    Redelegated = Event(
        "Redelegated(address indexed delegator, address indexed source, address indexed validator,"
        " uint256 amount, uint64 matures)"
    )
    Withdrawn = Event("Withdrawn(address indexed delegator, uint256 amount)")
    Distributed = Event(
        "Distributed(address indexed validator, address indexed token, uint256 amount,"
        " uint256 commission)"
    )
    RewardsClaimed = Event(
        "RewardsClaimed(address indexed delegator, address indexed token, uint256 amount)"
    )
    CommissionWithdrawn = Event(
        "CommissionWithdrawn(address indexed validator, address indexed token, uint256 amount)"
    )
    Slashed = Event(
        "Slashed(address indexed validator, uint256 fraction, uint64 epoch, uint256 bonded,"
        " uint256 unbonding)"
    )
    MoveSlashed = Event(
        "MoveSlashed(address indexed delegator, address indexed source, address indexed validator,"
        " uint256 amount)"
    )
    Jailed = Event("Jailed(address indexed validator, uint64 until)")
    Tombstoned = Event("Tombstoned(address indexed validator)")
    Released = Event("Released(address indexed validator)")

    OnlySlashing = Error("OnlySlashing(address sender)")
    OnlySystem = Error("OnlySystem(address sender)")
    UnknownValidator = Error("UnknownValidator(address validator)")
    ValidatorExists = Error("ValidatorExists(address validator)")
    ConsensusKeyTaken = Error("ConsensusKeyTaken(bytes32 consensusKey)")
    ConsensusKeyUnproven = Error("ConsensusKeyUnproven(bytes32 consensusKey)")
    CoinbaseTaken = Error("CoinbaseTaken(address coinbase)")
    CommissionOutOfBounds = Error("CommissionOutOfBounds(uint256 commission, uint256 high)")
    CommissionChangeTooLarge = Error("CommissionChangeTooLarge(uint256 change, uint256 high)")
    CommissionChangeTooSoon = Error("CommissionChangeTooSoon(uint256 time)")
    SelfBondTooSmall = Error("SelfBondTooSmall(uint256 given, uint256 needed)")
    TooManyValidators = Error("TooManyValidators(uint256 high)")
    TooManyDelegations = Error("TooManyDelegations(uint256 high)")
    TooManyUnbondings = Error("TooManyUnbondings(uint256 high)")
    TooManyMoves = Error("TooManyMoves(uint256 high)")
    ValidatorTombstoned = Error("ValidatorTombstoned(address validator)")
    ValidatorNotJailed = Error("ValidatorNotJailed(address validator)")
    ValidatorInUse = Error("ValidatorInUse(address validator, uint64 epoch)")
    ExchangeRateTooLow = Error("ExchangeRateTooLow(address validator)")
    StakeTooSmall = Error("StakeTooSmall(address validator)")
    ZeroAmount = Error("ZeroAmount()")
    SameValidator = Error("SameValidator(address validator)")
    InsufficientStake = Error("InsufficientStake(uint256 free, uint256 needed)")
    UnknownUnbonding = Error("UnknownUnbonding(address validator, uint64 epoch)")
    NothingMatured = Error("NothingMatured()")
    FractionOutOfBounds = Error("FractionOutOfBounds(uint256 fraction)")
    EpochOutOfRange = Error("EpochOutOfRange(uint64 epoch, uint64 low, uint64 high)")
    BlockNotPast = Error("BlockNotPast(uint256 number)")
    NotAscending = Error("NotAscending(uint256 index)")

    def parameter_record(self) -> Any:
        return self.limits

    def parameter_changed(self, name: str, value: int) -> None:
        """The size of the active set holds from the next epoch on."""
        if name == "activeMax":
            traces.write(self.active_max_history, self.next_epoch(), value)

    def epoch(self) -> int:
        """The epoch of this block."""
        return self.block.number // self.limits.epoch_blocks

    def next_epoch(self) -> int:
        """From when this block's changes of power count: the next epoch; at genesis the first."""
        return self.epoch() + 1 if self.block.number else 0

    def known(self, operator: Address) -> Validator:
        """Raises: UnknownValidator."""
        validator = self.records[operator]
        if validator.coinbase == ZERO_ADDRESS:
            raise self.UnknownValidator(operator)
        return validator
