"""Random sequences of what users, validators and the protocol do with the four tokens, beside the
naive model, with the invariants after each step. The world underneath is a parameter: a dictionary,
or the native executor."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ghostchain.contracts.addresses import (
    FEE_MARKET,
    GCC,
    GOVERNANCE,
    MANA,
    SLASHING,
    SPIRIT,
    STAKING,
    SYSTEM,
)
from ghostchain.contracts.framework.testing import Reverted
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.staking.storage import REWARD_TOKENS, UNBONDINGS_MAX
from ghostchain.primitives.types import Address
from tests.economy_world import (
    BATCH,
    EPOCH_BLOCKS,
    SLASHING_PARAMETERS,
    STAKING_PARAMETERS,
    TOKEN_CLASSES,
    EconomyWorld,
    account,
    economy_of,
    evidence_of,
    key_of,
    proof_of,
)
from tests.property.economy_model import Model, Pair

OPERATORS = [account(f"operator {number}") for number in range(4)]
PEOPLE = [*OPERATORS, account("delegator"), account("other"), BATCH]
HOLDERS = [*PEOPLE, STAKING, SLASHING, GOVERNANCE, FEE_MARKET]

people = st.sampled_from(PEOPLE)
operators = st.sampled_from(OPERATORS)
tokens = st.sampled_from(list(TOKEN_CLASSES))
amounts = st.one_of(
    st.sampled_from([0, 1, 2, 3, WAD, 10 * WAD, 100 * WAD, 12_345 * WAD + 678]),
    st.integers(1, 5_000 * WAD),
)
# Of what there is: nothing, a wei, some, nearly all, all, a wei or much more than that.
portions = st.sampled_from(
    ["third", "most", "all", "wei", "third", "more", "zero", "much", "locked too"]
)
# Most often something that is there, by its place; sometimes (None) whatever was drawn besides.
places = st.one_of(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.none())


def portion_of(whole: int, portion: str) -> int:
    return {
        "zero": 0,
        "wei": min(1, whole),
        "third": whole // 3,
        "most": max(0, whole - 1),
        "all": whole,
        "locked too": whole,
        "more": whole + 1,
        "much": 2 * whole + WAD,
    }[portion]


class EconomyMachine(RuleBasedStateMachine):
    """Steps and their checks. `check_*` are run by `everything_holds` after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.world = self.make_world()
        self.model = Model(EPOCH_BLOCKS, STAKING_PARAMETERS)
        self.wallets = {
            token: {who: self.world.balance(token, who) for who in HOLDERS}
            for token in TOKEN_CLASSES
        }
        self.supplies = {token: sum(self.wallets[token].values()) for token in TOKEN_CLASSES}
        self.sets: dict[int, Any] = {}
        self.shared = 0  # how often something was shared out

    def make_world(self) -> EconomyWorld:
        return EconomyWorld(PEOPLE, economy_of(PEOPLE))

    # ---- how a step is made ----

    def attempt(
        self,
        sender: Address,
        to: Address,
        function: Any,
        *arguments: Any,
        must: str | None = None,
        may: tuple[str, ...] = (),
        value: int = 0,
    ) -> tuple[bool, Any]:
        """Sends: whether it succeeded, and what it returned. must: the error that is due; may:
        errors that dust can decide about. What fails leaves nothing behind."""
        before = self.world.dump()
        refusal: Reverted | None = None
        try:
            result = self.world.send(sender, to, function, *arguments, value=value)
        except Reverted as failure:
            refusal = failure
        if refusal is not None:
            name = refusal.name
            assert name == must or name in may, f"{name}{refusal.values}, not {must or 'success'}"
            assert self.world.dump() == before, f"{name} left something behind"
            return False, None
        assert must is None, f"{function.__name__} succeeded, not {must}"
        return True, result

    def move(self, token: Address, source: Address, target: Address, amount: int) -> None:
        self.wallets[token][source] -= amount
        self.wallets[token][target] += amount

    def burn(self, token: Address, holder: Address, amount: int) -> None:
        self.wallets[token][holder] -= amount
        self.supplies[token] -= amount

    def take_burns(self) -> None:
        """Stake that the last transaction burnt, by its logs: moved stake is slashed when it is
        next touched."""
        for log in self.world.logs:
            if log.name == "MoveSlashed":
                self.burn(SPIRIT, STAKING, log.values["amount"])

    def due(self, *conditions: tuple[bool, str]) -> str | None:
        """The first error whose condition holds."""
        return next((name for condition, name in conditions if condition), None)

    def is_unknown(self, operator: Address) -> bool:
        return operator not in self.model.validators

    def is_tombstoned(self, operator: Address) -> bool:
        return not self.is_unknown(operator) and self.model.validators[operator].is_tombstoned

    def pair(self, place: int | None, who: Address, operator: Address) -> Pair:
        """An account and a validator with whom it has stake; those given when place is None."""
        found = sorted(
            (delegator, validator)
            for validator, known in self.model.validators.items()
            for delegator, amount in known.stakes.items()
            if amount
        )
        if place is None or not found:
            return who, operator
        moved = sorted(pair for pair, moves in self.model.moved.items() if moves)
        if moved and place % 3 == 0:  # what came from elsewhere has rules of its own
            return moved[place // 3 % len(moved)]
        return found[place % len(found)]

    def rate_errors(self, operator: Address) -> tuple[str, ...]:
        """A pool that was emptied to dust before a slash may refuse for its rate."""
        known = self.model.validators.get(operator)
        return ("ExchangeRateTooLow",) if known is not None and known.slashes else ()

    def near(self, exact: Fraction, given: int, slack: Fraction, what: str) -> None:
        assert abs(exact - given) <= slack, f"{what}: {given}, exactly {float(exact)} ± {slack}"

    # ---- tokens ----

    @rule(token=tokens, source=people, to=st.sampled_from([*PEOPLE, GOVERNANCE]), portion=portions)
    def transfer(self, token: Address, source: Address, to: Address, portion: str) -> None:
        held = self.wallets[token][source]
        amount = portion_of(held // 10 if portion != "more" else held, portion)
        must = self.due((amount > held, "ERC20InsufficientBalance"))
        kind = TOKEN_CLASSES[token]
        if self.attempt(source, token, kind.transfer, to, amount, must=must)[0]:
            self.move(token, source, to, amount)

    @rule(token=tokens, owner=people, spender=people, to=people, allowed=amounts, amount=amounts)
    def spend(
        self,
        token: Address,
        owner: Address,
        spender: Address,
        to: Address,
        allowed: int,
        amount: int,
    ) -> None:
        kind = TOKEN_CLASSES[token]
        self.attempt(owner, token, kind.approve, spender, allowed)
        must = self.due(
            (amount > allowed, "ERC20InsufficientAllowance"),
            (amount > self.wallets[token][owner], "ERC20InsufficientBalance"),
        )
        arguments = (owner, to, amount)
        if self.attempt(spender, token, kind.transfer_from, *arguments, must=must)[0]:
            self.move(token, owner, to, amount)

    @rule(token=tokens, holder=people, amount=amounts)
    def burn_tokens(self, token: Address, holder: Address, amount: int) -> None:
        must = self.due((amount > self.wallets[token][holder], "ERC20InsufficientBalance"))
        if self.attempt(holder, token, TOKEN_CLASSES[token].burn, amount, must=must)[0]:
            self.burn(token, holder, amount)

    # ---- validators ----

    @initialize(fees=st.tuples(*[st.integers(0, 5)] * 3))
    def begin(self, fees: tuple[int, int, int]) -> None:
        """Three validators and some delegations are there from the start."""
        for operator, fee in zip(OPERATORS[:3], fees, strict=True):
            self.create_validator(operator, fee, 500 * WAD)
        for number, who in enumerate(PEOPLE[3:]):
            self.delegate(who, OPERATORS[number % 3], (number + 1) * 111 * WAD + 7)

    @rule(operator=operators, fee=st.integers(0, 6), bond=amounts)
    def register(self, operator: Address, fee: int, bond: int) -> None:
        missing = [one for one in OPERATORS if self.is_unknown(one)]
        self.create_validator(missing[0] if missing and fee else operator, fee, bond)

    def create_validator(self, operator: Address, fee: int, bond: int) -> None:
        commission = fee * WAD // 10
        terms = (key_of(operator), proof_of(operator), commission, WAD // 2, WAD // 100, bond)
        must = self.due(
            (not self.is_unknown(operator), "ValidatorExists"),
            (fee == 6, "CommissionOutOfBounds"),
            (bond < STAKING_PARAMETERS["minSelfBond"], "SelfBondTooSmall"),
            (bond > self.wallets[SPIRIT][operator], "ERC20InsufficientBalance"),
        )
        if self.attempt(operator, STAKING, Staking.createValidator, *terms, must=must)[0]:
            self.model.create(operator, Fraction(commission, WAD), bond)
            self.move(SPIRIT, operator, STAKING, bond)

    @rule(operator=operators, fee=st.integers(-1, 2), coinbase=people)
    def edit_validator(self, operator: Address, fee: int, coinbase: Address) -> None:
        known = self.model.validators.get(operator)
        commission = WAD // 10
        if known is not None:
            commission = int(known.commission * WAD) + fee * WAD // 100
        arguments = (max(0, commission), coinbase)
        may = ("CommissionOutOfBounds", "CommissionChangeTooLarge", "CommissionChangeTooSoon")
        must = self.due((known is None, "UnknownValidator"))
        edit = Staking.editValidator
        ok, _ = self.attempt(
            operator, STAKING, edit, *arguments, must=must, may=(*may, "CoinbaseTaken")
        )
        if ok and known is not None:
            known.commission, known.coinbase = Fraction(arguments[0], WAD), coinbase

    @rule(operator=operators, is_prune=st.booleans())
    def refresh_or_prune(self, operator: Address, is_prune: bool) -> None:
        function = Staking.pruneValidator if is_prune else Staking.refreshValidator
        may = ("ValidatorInUse",) if is_prune else ()
        must = self.due((self.is_unknown(operator), "UnknownValidator"))
        self.attempt(OPERATORS[0], STAKING, function, operator, must=must, may=may)

    # ---- stake ----

    @rule(who=people, operator=operators, amount=amounts)
    def delegate(self, who: Address, operator: Address, amount: int) -> None:
        must = self.due(
            (amount == 0, "ZeroAmount"),
            (self.is_unknown(operator), "UnknownValidator"),
            (self.is_tombstoned(operator), "ValidatorTombstoned"),
            (amount > self.wallets[SPIRIT][who], "ERC20InsufficientBalance"),
        )
        may = self.rate_errors(operator)
        arguments = (operator, amount)
        if self.attempt(who, STAKING, Staking.delegate, *arguments, must=must, may=may)[0]:
            self.take_burns()
            self.model.delegate(who, operator, amount)
            self.move(SPIRIT, who, STAKING, amount)

    def _leave_terms(
        self, who: Address, operator: Address, portion: str
    ) -> tuple[int, str | None, tuple[str, ...]]:
        """An amount to take away; the error that is due; those that are possible."""
        if not self.is_unknown(operator):
            self.attempt(who, STAKING, Staking.settle, who, operator)
            self.take_burns()
            self.model.settle(who, operator)
        view = self.world.read(STAKING, Staking.delegation, who, operator)
        is_all = portion == "locked too"
        amount = view.tokens if is_all else portion_of(view.tokens - view.locked, portion)
        free = self.model.free(who, operator)
        slack = Fraction(0) if self.is_unknown(operator) else 2 * self.model.dust(operator)
        must = self.due(
            (amount == 0, "ZeroAmount"),
            (self.is_unknown(operator), "UnknownValidator"),
            (amount > free + slack, "InsufficientStake"),
        )
        return amount, must, ("InsufficientStake",) if amount > free - slack else ()

    @rule(place=places, who=people, operator=operators, portion=portions)
    def undelegate(self, place: int | None, who: Address, operator: Address, portion: str) -> None:
        who, operator = self.pair(place, who, operator)
        self.begin_unbonding(who, operator, portion)

    def begin_unbonding(self, who: Address, operator: Address, portion: str) -> None:
        amount, must, may = self._leave_terms(who, operator, portion)
        keys = [key for key in self.model.leaving if key[0] == who]
        if len(keys) >= UNBONDINGS_MAX - 1:
            may = (*may, "TooManyUnbondings")
        arguments = (operator, amount)
        if self.attempt(who, STAKING, Staking.undelegate, *arguments, must=must, may=may)[0]:
            self.model.undelegate(who, operator, amount)

    @rule(place=places, who=people, source=operators, to=operators, portion=portions)
    def redelegate(
        self, place: int | None, who: Address, source: Address, to: Address, portion: str
    ) -> None:
        who, source = self.pair(place, who, source)
        if place is not None:
            others = sorted(set(self.model.validators) - {source})
            to = others[place % len(others)]
        self.move_stake(who, source, to, portion)

    def move_stake(self, who: Address, source: Address, to: Address, portion: str) -> None:
        amount, must, may = self._leave_terms(who, source, portion)
        same, lost = self.is_unknown(to), self.is_tombstoned(to)
        if source == to:
            must, may = "SameValidator", ()
        elif must is None and (same or lost):
            must = "UnknownValidator" if same else "ValidatorTombstoned"
        may = (*may, "TooManyMoves", *self.rate_errors(to))
        arguments = (source, to, amount)
        if self.attempt(who, STAKING, Staking.redelegate, *arguments, must=must, may=may)[0]:
            self.take_burns()
            self.model.redelegate(who, source, to, amount)

    @rule(
        place=st.integers(0, 30),
        epochs=st.integers(0, 4),
        age=st.integers(0, 50),
        portion=portions,
        is_slashed=st.booleans(),
    )
    def run_away(self, place: int, epochs: int, age: int, portion: str, is_slashed: bool) -> None:
        """Stake is moved, unbonds in part, its source double signs, and it tries to move on."""
        who, source = self.pair(place, PEOPLE[0], OPERATORS[0])
        others = sorted(set(self.model.validators) - {source})
        first, second = others[place % len(others)], others[age % len(others)]
        self.begin_unbonding(who, source, "third")
        self.move_stake(who, source, first, portion)
        self.pass_blocks(epochs * EPOCH_BLOCKS + 1)
        if is_slashed and place % 3 == 0:
            self.double_sign(source, age, who, 0)
        elif is_slashed:
            for _ in range(5):
                self.go_missing({source}, 1)
        self.move_stake(who, first, second, "locked too")
        self.begin_unbonding(who, first, "locked too")

    @rule(place=places, who=people, data=st.data(), portion=portions)
    def cancel_unbonding(
        self, place: int | None, who: Address, data: st.DataObject, portion: str
    ) -> None:
        who = self.waiting(place, who)
        entries = self.world.read(STAKING, Staking.unbondings, who)
        if not entries:
            arguments = (OPERATORS[0], self.model.epoch, 1)
            self.attempt(who, STAKING, Staking.cancelUnbonding, *arguments, must="UnknownUnbonding")
            return
        entry = data.draw(st.sampled_from(sorted(entries, key=lambda e: (e.validator, e.epoch))))
        amount = portion_of(entry.tokens, portion)
        must = self.due(
            (amount > entry.tokens, "InsufficientStake"),
            (amount == 0, "ZeroAmount"),
            (self.is_tombstoned(entry.validator), "ValidatorTombstoned"),
        )
        may = self.rate_errors(entry.validator)
        arguments = (entry.validator, entry.epoch, amount)
        ok, _ = self.attempt(who, STAKING, Staking.cancelUnbonding, *arguments, must=must, may=may)
        if ok:
            self.take_burns()
            self.model.cancel(who, entry.validator, entry.epoch, amount)

    def waiting(self, place: int | None, who: Address) -> Address:
        """An account whose stake unbonds; the one given when place is None."""
        found = sorted({key[0] for key in self.model.leaving})
        return who if place is None or not found else found[place % len(found)]

    @rule(place=places, who=people, epochs=st.integers(0, 5))
    def withdraw(self, place: int | None, who: Address, epochs: int) -> None:
        """At once, or after some epochs."""
        self.pass_blocks(epochs * EPOCH_BLOCKS)
        who = self.waiting(place, who)
        found, count = self.model.withdraw(who)
        must = self.due((count == 0, "NothingMatured"))
        # Entries that the model has cancelled down to nothing may still hold a wei.
        may = ("NothingMatured",)
        ok, paid = self.attempt(who, STAKING, Staking.withdraw, must=None, may=may)
        if ok:
            self.near(found, paid, self._slack_of_stake(), "withdrawn")
            self.move(SPIRIT, STAKING, who, paid)
        else:
            assert must or found < self._slack_of_stake()

    def _slack_of_stake(self) -> Fraction:
        dusts = (self.model.dust(operator) for operator in self.model.validators)
        return sum(dusts, Fraction(2 + self.model.operations))

    @rule(place=places, caller=people, who=people, operator=operators)
    def settle(self, place: int | None, caller: Address, who: Address, operator: Address) -> None:
        who, operator = self.pair(place, who, operator)
        must = self.due((self.is_unknown(operator), "UnknownValidator"))
        if self.attempt(caller, STAKING, Staking.settle, who, operator, must=must)[0]:
            self.take_burns()
            self.model.settle(who, operator)

    # ---- rewards ----

    @rule(who=people, operator=operators, amount=amounts)
    def share_out(self, who: Address, operator: Address, amount: int) -> None:
        with_stake = sorted(self.model.validators)
        self.distribute(who, operator, amount)
        if with_stake:
            self.distribute(who, with_stake[amount % len(with_stake)], amount)

    def distribute(self, who: Address, operator: Address, amount: int) -> None:
        amount = min(amount, self.wallets[GCC][who])
        known = self.model.validators.get(operator)
        must = self.due(
            (known is None, "UnknownValidator"),
            (self.is_tombstoned(operator), "ValidatorTombstoned"),
            (known is not None and known.total < WAD - self._slack_of_stake(), "StakeTooSmall"),
        )
        may = ("StakeTooSmall",) if known and known.total < WAD + self._slack_of_stake() else ()
        ok, _ = self.attempt(
            who, STAKING, Staking.distribute, operator, must=must, may=may, value=amount
        )
        if ok:
            self.model.share_out(operator, GCC, amount)
            self.shared += 1
            self.move(GCC, who, STAKING, amount)

    @rule(who=people, chosen=st.sets(operators))
    def claim(self, who: Address, chosen: set[Address]) -> None:
        known = sorted(operator for operator in chosen if not self.is_unknown(operator))
        ok, paid = self.attempt(who, STAKING, Staking.claimRewards, known)
        assert ok
        self.take_burns()
        owed = self.model.claim(who, known, REWARD_TOKENS)
        for token, exact, amount in zip(REWARD_TOKENS, owed, paid, strict=True):
            self.near(exact, amount, self.model.slack(token), "claimed")
            # What the contract rounded away is not owed twice, what it paid early not again.
            self.move(token, STAKING, who, amount)

    @rule(operator=operators)
    def withdraw_commission(self, operator: Address) -> None:
        must = self.due((self.is_unknown(operator), "UnknownValidator"))
        ok, paid = self.attempt(operator, STAKING, Staking.withdrawCommission, must=must)
        if ok:
            for token, amount in zip(REWARD_TOKENS, paid, strict=True):
                exact = self.model.commissions.pop((operator, token), Fraction(0))
                self.near(exact, amount, self.model.slack(token), "commission")
                self.move(token, STAKING, operator, amount)

    # ---- time and the protocol ----

    @rule(
        coinbase=st.sampled_from([*OPERATORS, *PEOPLE]),
        blocks=st.integers(1, 3),
        reward_gwei=st.one_of(st.just(0), st.integers(1, 10**10)),
    )
    def end_block(self, coinbase: Address, blocks: int, reward_gwei: int) -> None:
        supply = self.world.supply(MANA)
        self.world.end_block(coinbase, reward_gwei)
        reward = reward_gwei * 10**9
        self.supplies[GCC] += reward
        operator = self.model.operator_of(coinbase)
        minted = self.world.supply(MANA) - supply
        amount = self.model.parameters["manaPerBlock"]
        if operator is not None and self.model.earns(operator):
            assert minted == amount
            self.model.share_out(operator, MANA, amount)
            self.model.share_out(operator, GCC, reward)
            self.wallets[GCC][STAKING] += reward
            self.shared += 2
            self.wallets[MANA][STAKING] += amount
            self.supplies[MANA] += amount
        else:
            assert minted == 0, "no validator, no stake or in jail: no MANA"
            self.wallets[GCC][GOVERNANCE] += reward
        self.pass_blocks(blocks)

    @rule(epochs=st.integers(0, 2), blocks=st.integers(1, EPOCH_BLOCKS))
    def wait(self, epochs: int, blocks: int) -> None:
        self.pass_blocks(epochs * EPOCH_BLOCKS + blocks)

    @rule(days=st.integers(1, 2))
    def wait_days(self, days: int) -> None:
        self.world.skip(1, seconds=days * 86_400)
        self.model.skip(1)

    def pass_blocks(self, blocks: int) -> None:
        self.world.skip(blocks)
        self.model.skip(blocks)

    # ---- slashing ----

    @rule(chosen=st.sets(operators, min_size=1), blocks=st.integers(1, 6))
    def go_missing(self, chosen: set[Address], blocks: int) -> None:
        known = sorted(operator for operator in chosen if not self.is_unknown(operator))
        limits = SLASHING_PARAMETERS
        for _ in range(blocks):
            self.attempt(SYSTEM, SLASHING, Slashing.onMissed, known)
            for operator in known:
                height = self.model.number - 1
                window, most = limits["downtimeWindow"], limits["downtimeMissedMax"]
                if self.model.miss(operator, height, window, most):
                    until = self.model.number + limits["jailBlocks"]
                    self.model.validators[operator].jailed_until = until
                    self._slashed(operator, Fraction(limits["downtimeFraction"], WAD))
            self.pass_blocks(1)

    def _slashed(self, operator: Address, fraction: Fraction, epoch: int | None = None) -> None:
        """The contract burnt what its log says, and the model as much but for dust."""
        (log,) = [
            one
            for one in self.world.logs
            if one.name == "Slashed" and one.values["validator"] == operator
        ]
        burnt = log.values["bonded"] + log.values["unbonding"]
        since = self.model.epoch if epoch is None else epoch
        exact = self.model.slash(operator, fraction, since)
        self.near(exact, burnt, self._slack_of_stake(), "slashed")
        self.burn(SPIRIT, STAKING, burnt)

    @rule(operator=operators, age=st.integers(-1, 45), reporter=people, odds=st.integers(0, 5))
    def double_sign(self, operator: Address, age: int, reporter: Address, odds: int) -> None:
        if odds:  # else no validator is left after a few steps
            return
        height, known = self.model.number - age, self.model.validators.get(operator)
        if height < 0:
            return
        window = self.model.parameters["unbondingEpochs"]
        oldest = max(0, self.model.epoch - window) * EPOCH_BLOCKS + 1
        must = self.due(
            (known is None, "UnknownKey"),
            (self.is_tombstoned(operator), "AlreadyTombstoned"),
            (age < 0 or height < oldest, "HeightOutOfRange"),
            (known is not None and height < known.created, "HeightOutOfRange"),
        )
        evidence = evidence_of(operator, height)
        ok, _ = self.attempt(reporter, SLASHING, Slashing.submitEvidence, *evidence, must=must)
        if ok and known is not None:
            fraction = Fraction(SLASHING_PARAMETERS["doubleSignFraction"], WAD)
            self._slashed(operator, fraction, (height - 1) // EPOCH_BLOCKS)
            known.is_tombstoned = True

    @rule(operator=operators, blocks=st.integers(0, 10))
    def unjail(self, operator: Address, blocks: int) -> None:
        jailed = [one for one, known in self.model.validators.items() if known.jailed_until]
        operator = sorted(jailed)[0] if jailed else operator
        self.pass_blocks(blocks)
        known = self.model.validators.get(operator)
        must = self.due(
            (known is None, "UnknownValidator"),
            (self.is_tombstoned(operator), "AlreadyTombstoned"),
            (known is not None and known.jailed_until == 0, "NotJailed"),
            (known is not None and self.model.number < known.jailed_until, "JailedUntil"),
        )
        if self.attempt(operator, SLASHING, Slashing.unjail, must=must)[0] and known:
            known.jailed_until, known.misses = 0, []
