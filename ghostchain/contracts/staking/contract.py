"""The staking contract: its functions. What they do stands in the modules beside this one."""

from __future__ import annotations

from ghostchain.contracts.addresses import GCC, SLASHING, SPIRIT, STAKING, SYSTEM
from ghostchain.contracts.framework import (
    Address,
    Bytes32,
    UInt64,
    UInt128,
    UInt256,
    external,
    view,
)
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import exits, pool, rewards, traces, validators
from ghostchain.contracts.staking.storage import (
    PAGE_MAX,
    REWARD_TOKENS,
    DelegationView,
    LiabilityView,
    MoveView,
    PowerView,
    StakingStorage,
    UnbondingView,
    ValidatorView,
)
from ghostchain.contracts.tokens import Spirit

_SHARES = (1 << pool.SHARE_BITS) - 1


class Staking(StakingStorage):
    """Stake in SPIRIT, with validators; rewards in GCC and MANA.

    Amounts are wei. Fractions (commission, slashes) are in units of 1e-18. Functions that take
    SPIRIT need the sender's allowance for this contract.
    """

    # -- validators --

    @external
    def createValidator(
        self,
        consensusKey: Bytes32,
        proof: bytes,
        commission: UInt256,
        maxCommission: UInt256,
        maxDailyChange: UInt256,
        selfBond: UInt128,
    ) -> None:
        """The sender operates a validator with that Ed25519 key, and has bonded selfBond with it.

        proof: the key's signature of `key_claim_bytes(chain id, sender)`.
        Raises: ConsensusKeyUnproven, ValidatorExists, ConsensusKeyTaken, CommissionOutOfBounds,
        SelfBondTooSmall; TooManyValidators when the list is full.
        """
        operator = self.msg.sender
        validators.check_proof(self, consensusKey, proof)
        terms = (commission, maxCommission, maxDailyChange)
        validators.create(self, operator, consensusKey, terms)
        if selfBond < self.limits.min_self_bond:
            raise self.SelfBondTooSmall(selfBond, self.limits.min_self_bond)
        self.emit(self.ValidatorCreated, operator, consensusKey, commission)
        self.delegate(operator, selfBond)

    @external
    def editValidator(self, commission: UInt256, coinbase: Address) -> None:
        """The sender's validator takes this commission, and is known by this coinbase.

        Raises: UnknownValidator, CommissionOutOfBounds, CommissionChangeTooLarge,
        CommissionChangeTooSoon (one change in 86,400 seconds), CoinbaseTaken.
        """
        validators.edit(self, self.msg.sender, commission, coinbase)

    @external
    def refreshValidator(self, validator: Address) -> None:
        """The validator's power follows the parameters as they are now. For anybody."""
        pool.changed(self, validator, self.known(validator))

    @external
    def pruneValidator(self, validator: Address) -> None:
        """A validator that has had no power for long is off the list. For anybody.

        Raises: ValidatorInUse with the first epoch in which this can succeed.
        """
        validators.prune(self, validator)

    # -- stake --

    @external
    def delegate(self, validator: Address, amount: UInt128) -> UInt256:
        """The sender's SPIRIT is bonded with the validator: the shares that it got.

        Raises: ZeroAmount, UnknownValidator, ValidatorTombstoned, ExchangeRateTooLow,
        TooManyDelegations; the token's errors.
        """
        sender = self.msg.sender
        shares = pool.enter(self, sender, validator, amount)
        self.at(Spirit, SPIRIT).transfer_from(sender, STAKING, amount)
        self.emit(self.Delegated, sender, validator, amount, shares)
        return shares

    @external
    def undelegate(self, validator: Address, amount: UInt128) -> UInt64:
        """The amount unbonds: the epoch from which on `withdraw` pays it.

        Raises: ZeroAmount, UnknownValidator, InsufficientStake, TooManyUnbondings.
        """
        matures = exits.begin(self, self.msg.sender, validator, amount)
        epoch = self.epoch()
        self.emit(self.Undelegated, self.msg.sender, validator, amount, epoch, matures)
        return matures

    @external
    def cancelUnbonding(self, validator: Address, epoch: UInt64, amount: UInt128) -> UInt256:
        """Of what unbonds since that epoch, the amount is bonded again: the shares that it got.

        Raises: ZeroAmount, UnknownUnbonding, InsufficientStake, ValidatorTombstoned,
        ExchangeRateTooLow.
        """
        shares = exits.cancel(self, self.msg.sender, validator, epoch, amount)
        self.emit(self.UnbondingCancelled, self.msg.sender, validator, epoch, amount)
        return shares

    @external
    def redelegate(self, source: Address, target: Address, amount: UInt128) -> UInt64:
        """The amount is with another validator at once. Until the epoch returned it answers for the
        source too, and cannot be moved or unbonded.

        Raises: SameValidator, TooManyMoves; as undelegate and delegate.
        """
        sender = self.msg.sender
        matures = exits.move(self, sender, source, target, amount)
        self.emit(self.Redelegated, sender, source, target, amount, matures)
        return matures

    @external
    def withdraw(self) -> UInt256:
        """Pays the sender everything that has matured: the sum. Raises: NothingMatured."""
        amount = exits.withdraw(self, self.msg.sender)
        self.emit(self.Withdrawn, self.msg.sender, amount)
        return amount

    @external
    def settle(self, delegator: Address, validator: Address) -> None:
        """Rewards are credited, and slashes that follow moved stake are taken. For anybody."""
        self.known(validator)
        pool.settled(self, delegator, validator)

    # -- rewards --

    @external(payable=True)
    def distribute(self, validator: Address) -> None:
        """The GCC sent along is shared out by the validator: its commission, the rest by shares.

        Raises: UnknownValidator, ValidatorTombstoned, StakeTooSmall.
        """
        rewards.share_out(self, validator, GCC, self.msg.value)

    @external(returns=("gcc", "mana"))
    def claimRewards(self, fromValidators: list[Address]) -> tuple[UInt256, UInt256]:
        """Pays the sender what it earned with these validators, and what was credited before."""
        for validator in fromValidators:
            pool.settled(self, self.msg.sender, validator)
        gcc, mana = rewards.claim(self, self.msg.sender)
        return gcc, mana

    @external(returns=("gcc", "mana"))
    def withdrawCommission(self) -> tuple[UInt256, UInt256]:
        """Pays the sender its validator's commission. Raises: UnknownValidator."""
        self.known(self.msg.sender)
        gcc, mana = rewards.claim_commission(self, self.msg.sender)
        return gcc, mana

    # -- the protocol --

    @external
    def onBlock(self, gccReward: UInt256) -> None:
        """The end of a block: GCC and MANA for its proposer's validator. Only the system address.

        gccReward: what the protocol has paid this contract for the block, in wei.
        """
        if self.msg.sender != SYSTEM:
            raise self.OnlySystem(self.msg.sender)
        rewards.reward_proposer(self, gccReward)

    @external
    def slash(self, validator: Address, fraction: UInt256, epoch: UInt64) -> UInt256:
        """Burns that part of what backed the validator since the epoch: how much at once.

        Only the slashing contract. Raises: OnlySlashing, FractionOutOfBounds, UnknownValidator.
        """
        self._require_slashing()
        if fraction > WAD:
            raise self.FractionOutOfBounds(fraction)
        return exits.slash(self, validator, fraction, epoch)

    @external
    def jail(self, validator: Address, until: UInt64) -> None:
        """No power from the next epoch on. Only the slashing contract."""
        self._require_slashing()
        validators.jail(self, validator, until)

    @external
    def tombstone(self, validator: Address) -> None:
        """No power ever again. Only the slashing contract."""
        self._require_slashing()
        validators.tombstone(self, validator)

    @external
    def release(self, validator: Address) -> None:
        """Out of jail. Only the slashing contract. Raises: ValidatorNotJailed,
        ValidatorTombstoned."""
        self._require_slashing()
        validators.release(self, validator)

    def _require_slashing(self) -> None:
        if self.msg.sender != SLASHING:
            raise self.OnlySlashing(self.msg.sender)

    # -- views: validators --

    @view
    def currentEpoch(self) -> UInt64:
        """The epoch of this block."""
        return self.epoch()

    @view
    def epochBlocks(self) -> UInt64:
        """Blocks in an epoch; epoch e begins with block e times as many."""
        return self.limits.epoch_blocks

    @view
    def validatorSet(self, epoch: UInt64) -> list[PowerView]:
        """Who votes in an epoch, the most powerful first. Raises: EpochOutOfRange.

        The set of the next epoch is final when this one's last block is.
        """
        return validators.set_of(self, epoch)

    @view
    def activeSet(self) -> list[PowerView]:
        """Who votes in this epoch."""
        return validators.set_of(self, self.epoch())

    @view
    def validator(self, operator: Address) -> ValidatorView:
        """Raises: UnknownValidator."""
        return validators.view_of(self, operator)

    @view(returns=("page", "total"))
    def validators(self, offset: UInt256, limit: UInt256) -> tuple[list[ValidatorView], UInt256]:
        """A page of the list, and how many it has. The order changes when one is taken off."""
        total = len(self.listed)
        stop = min(total, offset + min(limit, PAGE_MAX))
        page = [validators.view_of(self, self.listed[place]) for place in range(offset, stop)]
        return page, total

    @view
    def operatorOfKey(self, consensusKey: Bytes32) -> Address:
        """Zero when no validator has the key."""
        return self.key_operators[consensusKey]

    @view
    def operatorOfCoinbase(self, coinbase: Address) -> Address:
        """Zero when no validator has the coinbase."""
        return rewards.operator_of(self, coinbase)

    @view
    def liability(self, operator: Address) -> LiabilityView:
        """What a slash needs to know. Raises: UnknownValidator."""
        validator, limits = self.known(operator), self.limits
        return LiabilityView(
            operator,
            validator.created,
            validator.jailed_until,
            validator.is_tombstoned,
            limits.epoch_blocks,
            limits.unbonding_epochs,
        )

    @view(returns=("bonded", "unbonding"))
    def totalStake(self) -> tuple[UInt256, UInt256]:
        """SPIRIT that this contract holds for its users, in wei."""
        return self.totals.bonded, self.totals.unbonding

    # -- views: accounts --

    @view
    def delegation(self, delegator: Address, validator: Address) -> DelegationView:
        """What the account has with the validator, slashes that are not yet taken included."""
        stake, record = self.stakes[delegator][validator], self.records[validator]
        locked = pool.locked_of(self, stake)
        return DelegationView(
            validator,
            stake.shares,
            pool.value_of(stake.shares, record),
            pool.value_of(locked, record),
        )

    @view
    def delegations(self, delegator: Address) -> list[DelegationView]:
        """Everything the account has bonded."""
        return [self.delegation(delegator, validator) for validator in self.held[delegator]]

    @view
    def unbondings(self, delegator: Address) -> list[UnbondingView]:
        """Everything of the account on its way out."""
        return exits.unbondings_of(self, delegator)

    @view
    def redelegations(self, delegator: Address, validator: Address) -> list[MoveView]:
        """What the account has moved to the validator, as when last settled."""
        record = self.records[validator]
        return [
            MoveView(move.source, move.epoch, pool.value_of(move.shares, record), move.matures)
            for move in self.stakes[delegator][validator].moves
        ]

    @view(returns=("gcc", "mana"))
    def pendingRewards(self, delegator: Address, validator: Address) -> tuple[UInt256, UInt256]:
        """Earned with the validator and not yet credited."""
        gcc, mana = (rewards.pending(self, delegator, validator, token) for token in REWARD_TOKENS)
        return gcc, mana

    @view(returns=("gcc", "mana"))
    def credited(self, delegator: Address) -> tuple[UInt256, UInt256]:
        """Credited to the account and not yet paid."""
        gcc, mana = (self.credit[delegator][token] for token in REWARD_TOKENS)
        return gcc, mana

    @view(returns=("gcc", "mana"))
    def pendingCommission(self, validator: Address) -> tuple[UInt256, UInt256]:
        """The validator's commission that is not yet paid."""
        gcc, mana = (self.pools[validator][token].commission for token in REWARD_TOKENS)
        return gcc, mana

    # -- views: history, for votes --

    @view
    def votesAt(self, delegator: Address, withValidators: list[Address], number: UInt64) -> UInt256:
        """What the account had bonded with these validators at the end of a past block, in wei.

        withValidators: rising, so that none counts twice. Raises: BlockNotPast, NotAscending.
        """
        self._require_past(number)
        total, before = 0, b""
        for index, validator in enumerate(withValidators):
            if validator <= before:
                raise self.NotAscending(index)
            before = validator
            shares = traces.read(self.stakes[delegator][validator].history, number)
            if shares:
                rate = traces.read(self.records[validator].rates, number)
                total += shares * (rate >> pool.SHARE_BITS) // (rate & _SHARES)
        return total

    @view
    def bondedAt(self, number: UInt64) -> UInt256:
        """All that was bonded at the end of a past block, in wei. Raises: BlockNotPast."""
        self._require_past(number)
        return traces.read(self.bonded_history, number)

    @view
    def validatorsOf(self, delegator: Address) -> list[Address]:
        """With whom the account has stake now, rising."""
        return sorted(self.held[delegator])

    def _require_past(self, number: int) -> None:
        if number >= self.block.number:
            raise self.BlockNotPast(number)
