"""The rest of the machine: votes, calls in one transaction that fail in the middle, and what holds
after every step."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from ghostchain.contracts.addresses import (
    FEE_MARKET,
    GCC,
    GHOST,
    GOVERNANCE,
    MANA,
    SPIRIT,
    STAKING,
)
from ghostchain.contracts.feemarket import FeeMarket
from ghostchain.contracts.framework.testing import Halted, Reverted
from ghostchain.contracts.governance import Governance
from ghostchain.contracts.governance.storage import State
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import Staking, exits, pool, rewards
from ghostchain.contracts.staking.storage import REWARD_TOKENS
from ghostchain.contracts.tokens import GHOST_CAP, SPIRIT_CAP, Spirit
from ghostchain.primitives.types import Address
from tests.economy_world import BATCH, GOVERNANCE_PARAMETERS, TOKEN_CLASSES, Batch
from tests.property.economy_machine import (
    HOLDERS,
    OPERATORS,
    PEOPLE,
    EconomyMachine,
    amounts,
    operators,
    people,
)
from tests.property.economy_model import Vote

DEPOSIT = GOVERNANCE_PARAMETERS["minDeposit"]
NO_CODE = PEOPLE[4]

Call = tuple[Address, int, bytes]
ids = st.one_of(st.integers(0, 3), st.sampled_from([-1, -1, -2, -3]))  # negative: the newest


class Economy(EconomyMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: dict[int, tuple[str, int]] = {}
        self.prices: dict[tuple[Address, int], tuple[int, Fraction]] = {}

    # ---- governance ----

    @rule(
        who=people,
        plan=st.sampled_from(["mana", "unbonding", "rate", "spend", "spend", "broken"]),
        number=st.integers(0, 5),
    )
    def propose(self, who: Address, plan: str, number: int) -> None:
        calls = self._calls_of(plan, number)
        columns = [list(column) for column in zip(*calls, strict=True)]
        short = self.wallets[SPIRIT][who] < DEPOSIT
        must = self.due((short, "ERC20InsufficientBalance"))
        arguments = (*columns, bytes(32))
        ok, id = self.attempt(who, GOVERNANCE, Governance.propose, *arguments, must=must)
        if ok:
            limits, now = GOVERNANCE_PARAMETERS, self.model.number
            starts = now + limits["votingDelay"]
            ends = starts + limits["votingPeriod"] - 1
            ready = ends + 1 + limits["timelock"]
            expires = ready + limits["grace"] - 1
            self.model.proposals[id] = Vote(who, starts, ends, ready, expires, DEPOSIT)
            self.plans[id] = (plan, number)
            self.move(SPIRIT, who, GOVERNANCE, DEPOSIT)

    def _calls_of(self, plan: str, number: int) -> list[Call]:
        set_mana = Staking.method("setParameter").encode_call(["manaPerBlock", number * WAD])
        epochs = Staking.method("setParameter").encode_call(["unbondingEpochs", 1 + number])
        rate = FeeMarket.method("setRate").encode_call([GHOST, number * WAD])
        spend = Spirit.method("transfer").encode_call([PEOPLE[3], number * 20 * WAD])
        calls: dict[str, list[Call]] = {
            "mana": [(STAKING, 0, set_mana)],
            "unbonding": [(STAKING, 0, epochs)],
            "rate": [(FEE_MARKET, 0, rate), (STAKING, 0, set_mana)],
            "spend": [(SPIRIT, 0, spend)],
            "broken": [(STAKING, 0, set_mana), (SPIRIT, 0, spend), (NO_CODE, 0, b"\x01")],
        }
        return calls[plan]

    def id_of(self, id: int) -> int:
        return id if id >= 0 else max(0, len(self.model.proposals) + 1 + id)

    @rule(who=people, id=ids, choice=st.integers(0, 4), is_short=st.booleans())
    def vote(self, who: Address, id: int, choice: int, is_short: bool) -> None:
        id = self.id_of(id)
        known = self.model.proposals.get(id)
        exact = Fraction(0)
        if known is not None and known.snapshot is not None:
            exact = known.snapshot.get(who, Fraction(0))
        must = self.due(
            (known is None, "UnknownProposal"),
            (known is not None and self._state(id) != "ACTIVE", "WrongState"),
            (choice > 3, "UnknownChoice"),
            (known is not None and who in known.weights, "AlreadyVoted"),
            (exact == 0, "NoVotes"),
        )
        may = ("NoVotes",) if is_short or exact <= self._slack_of_stake() else ()
        if must == "NoVotes":
            must, may = None, ("NoVotes",)
        if is_short:
            arguments: tuple[object, ...] = (id, choice)
            ok, weight = self.attempt(
                who, GOVERNANCE, Governance.vote, *arguments, must=must, may=may
            )
        else:
            arguments = (id, choice, sorted(self.model.validators))
            ok, weight = self.attempt(
                who, GOVERNANCE, Governance.voteWith, *arguments, must=must, may=may
            )
        if ok and known is not None:
            assert weight <= exact + self._slack_of_stake()
            if not is_short:
                self.near(exact, weight, self._slack_of_stake(), "votes")
            known.weights[who] = (choice, weight)

    def _state(self, id: int) -> str:
        starts = self.model.proposals[id].starts
        bonded = 0
        if self.model.number >= starts:
            bonded = self.world.read(STAKING, Staking.bondedAt, starts - 1)
        return self.model.state(id, bonded)

    @rule(who=people, id=ids)
    def execute(self, who: Address, id: int) -> None:
        id = self.id_of(id)
        known = self.model.proposals.get(id)
        plan, number = self.plans.get(id, ("", 0))
        held = self.wallets[SPIRIT][GOVERNANCE] - DEPOSIT
        locked = sum(vote.deposit for vote in self.model.proposals.values()) - DEPOSIT
        amount = number * 20 * WAD if plan in ("spend", "broken") else 0
        is_rate_bound = plan == "rate" and number > 0
        must = self.due(
            (known is None, "UnknownProposal"),
            (known is not None and self._state(id) != "READY", "WrongState"),
            (amount > held, "CallFailed"),
            (plan == "broken", "NoCode"),
            (held - amount < locked, "DepositsSpent"),
        )
        may = ("CallFailed",) if is_rate_bound else ()
        ok, _ = self.attempt(who, GOVERNANCE, Governance.execute, id, must=must, may=may)
        if ok and known is not None:
            known.is_executed, known.deposit = True, 0
            self.move(SPIRIT, GOVERNANCE, known.proposer, DEPOSIT)
            self.move(SPIRIT, GOVERNANCE, PEOPLE[3], amount)
            if plan in ("mana", "rate"):
                self.model.parameters["manaPerBlock"] = number * WAD
            if plan == "unbonding":
                self.model.parameters["unbondingEpochs"] = 1 + number

    @rule(who=people, id=ids, is_cancel=st.booleans())
    def close_or_cancel(self, who: Address, id: int, is_cancel: bool) -> None:
        id = self.id_of(id)
        known = self.model.proposals.get(id)
        who = known.proposer if known is not None and who in OPERATORS else who
        state = "" if known is None else self._state(id)
        if is_cancel:
            must = self.due(
                (known is None, "UnknownProposal"),
                (known is not None and known.proposer != who, "OnlyProposer"),
                (state not in ("PENDING", "ACTIVE"), "WrongState"),
            )
        else:
            final = ("DEFEATED", "EXPIRED", "WITHOUT_QUORUM", "VETOED")
            must = self.due(
                (known is None, "UnknownProposal"),
                (state not in final, "WrongState"),
                (known is not None and known.deposit == 0, "NothingHeld"),
            )
        function = Governance.cancel if is_cancel else Governance.close
        ok, _ = self.attempt(who, GOVERNANCE, function, id, must=must)
        if ok and known is not None:
            known.deposit, known.is_cancelled = 0, is_cancel
            if state in ("PENDING", "DEFEATED", "EXPIRED"):
                self.move(SPIRIT, GOVERNANCE, known.proposer, DEPOSIT)
            else:
                self.burn(SPIRIT, GOVERNANCE, DEPOSIT)

    @rule(
        who=people,
        plan=st.sampled_from(["mana", "unbonding", "rate", "spend", "spend", "broken"]),
        number=st.integers(0, 5),
        votes=st.lists(st.integers(0, 3), min_size=len(PEOPLE), max_size=len(PEOPLE)),
        wait=st.integers(2, 14),
        is_agreed=st.booleans(),
    )
    def govern(
        self, who: Address, plan: str, number: int, votes: list[int], wait: int, is_agreed: bool
    ) -> None:
        """A proposal goes its whole way, or stops somewhere on it."""
        self.propose(who, plan, number)
        if not self.model.proposals:
            return
        id = max(self.model.proposals)
        if wait == 13:
            self.pass_blocks(number)
            self.close_or_cancel(self.model.proposals[id].proposer, id, True)
        self.decide(votes, wait, is_agreed)
        if wait < 8:
            self.close_or_cancel(who, id, False)

    def decide(self, votes: list[int], wait: int, is_agreed: bool) -> None:
        """The newest proposal is voted on by everybody, and time passes towards or past its end."""
        id = max(self.model.proposals)
        known = self.model.proposals[id]
        if self.model.number < known.starts:
            self.pass_blocks(known.starts - self.model.number)
        for who, choice in zip(PEOPLE, votes, strict=True):
            is_short = who == PEOPLE[wait % 2]
            self.vote(who, id, 1 if is_agreed else choice, is_short)
        self.vote(PEOPLE[wait % len(PEOPLE)], id, 1, False)  # once more
        self.pass_blocks(max(1, known.ends + wait - 3 - self.model.number))
        if wait > 8:
            self.execute(PEOPLE[3], id)

    # ---- several calls in one transaction ----

    @rule(who=people, operator=operators, amount=amounts)
    def batch_undone(self, who: Address, operator: Address, amount: int) -> None:
        """What was done before a failure in the middle, or a revert at the end, is undone."""
        delegate = Staking.method("delegate").encode_call([operator, max(1, amount)])
        claim = Staking.method("claimRewards").encode_call([[]])
        targets, datas = [STAKING, STAKING], [claim, delegate]
        # Why it fails depends on the amount and the validator; that it does is certain.
        errors = ("ERC20InsufficientBalance", "ExchangeRateTooLow", "UnknownValidator")
        may = (*errors, "ValidatorTombstoned")
        ok, _ = self.attempt(who, BATCH, Batch.run, targets, datas, True, must="Wanted", may=may)
        assert not ok

    @rule(who=people, operator=operators, amount=st.integers(1, 50 * WAD))
    def batch_in_part(self, who: Address, operator: Address, amount: int) -> None:
        """Of three calls the second fails: it alone leaves nothing."""
        known = self.model.validators.get(operator)
        if known is None or known.is_tombstoned or known.slashes:
            return
        if self.wallets[SPIRIT][BATCH] < 2 * amount:
            return
        delegate = Staking.method("delegate").encode_call([operator, amount])
        undelegate = Staking.method("undelegate").encode_call([operator, 2**127])
        datas = [delegate, undelegate, delegate]
        ok, outcomes = self.attempt(who, BATCH, Batch.attempt, [STAKING] * 3, datas)
        assert (ok, outcomes) == (True, [True, False, True])
        self.take_burns()
        for _ in range(2):
            self.model.delegate(BATCH, operator, amount)
            self.move(SPIRIT, BATCH, STAKING, amount)

    @rule(who=people, operator=operators, amount=amounts, gas=st.integers(26_000, 80_000))
    def starve(self, who: Address, operator: Address, amount: int, gas: int) -> None:
        """Running out of gas anywhere on the way leaves nothing behind either."""
        calls: list[tuple[Any, tuple[Any, ...]]] = [
            (Staking.delegate, (operator, amount)),
            (Staking.undelegate, (operator, amount)),
            (Staking.redelegate, (operator, OPERATORS[0], amount)),
        ]
        for function, arguments in calls:
            before = self.world.dump()
            with pytest.raises((Halted, Reverted)):
                self.world.send(who, STAKING, function, *arguments, gas=gas)
            assert self.world.dump() == before

    # ---- what holds after every step ----

    @invariant()
    def supplies_are_conserved(self) -> None:
        """Each balance is what the steps made it; the balances are the supply; caps hold."""
        for token, kind in TOKEN_CLASSES.items():
            contract = self.world.look(kind)
            if token == GCC:
                # Its supply is kept by the executor, at the end of each block.
                found = {who: self.world.balance(GCC, who) for who in HOLDERS}
            else:
                found = {who: contract.balances[who] for who in HOLDERS}
                assert contract.supply == self.supplies[token], kind.NAME
            assert found == self.wallets[token], kind.NAME
            assert sum(found.values()) == self.supplies[token], kind.NAME
        assert self.supplies[SPIRIT] <= SPIRIT_CAP
        assert self.supplies[GHOST] <= GHOST_CAP

    @invariant()
    def shares_and_tokens_agree(self) -> None:
        """Delegations sum up to validators, validators and exits to the contract's SPIRIT."""
        staking = self.world.look(Staking)
        bonded = unbonding = 0
        for operator in OPERATORS:
            record = staking.records[operator]
            shares = [staking.stakes[who][operator].shares for who in PEOPLE]
            assert sum(shares) == record.shares
            assert record.tokens <= record.shares
            assert (record.tokens == 0) or record.shares > 0
            bonded += record.tokens
            entries = [entry for who in PEOPLE for entry in staking.queues[who]]
            for epoch in record.exit_epochs:
                exit = staking.exits[operator][epoch]
                own = [
                    entry.shares
                    for entry in entries
                    if entry.validator == operator and entry.epoch == epoch
                ]
                assert sum(own) == exit.shares
                unbonding += exit.tokens
        assert staking.totals.bonded == bonded
        assert staking.totals.unbonding == unbonding
        assert self.wallets[SPIRIT][STAKING] == bonded + unbonding

    @invariant()
    def a_share_loses_value_by_slashes_alone(self) -> None:
        """Of a validator, and of an exit: so no rounding favours who asks."""
        staking = self.world.look(Staking)
        for operator, known in self.model.validators.items():
            record = staking.records[operator]
            pools = [(-1, record.tokens, record.shares)]
            for epoch in record.exit_epochs:
                exit = staking.exits[operator][epoch]
                pools.append((epoch, exit.tokens, exit.shares))
            for place, amount, shares in pools:
                slashes, price = self.prices.pop((operator, place), (-1, Fraction(0)))
                if shares:
                    assert slashes != known.slashes or Fraction(amount, shares) >= price
                    self.prices[operator, place] = known.slashes, Fraction(amount, shares)

    @invariant()
    def positions_are_what_the_model_has(self) -> None:
        """Each stake, moved stake and unbonding within its dust, each list what it lists."""
        staking, slack = self.world.look(Staking), self._slack_of_stake()
        for operator, known in self.model.validators.items():
            record = staking.records[operator]
            for who in PEOPLE:
                stake = staking.stakes[who][operator]
                value = pool.value_of(stake.shares, record)
                self.near(known.stakes[who], value, self.model.dust(operator), "stake")
                moved = sum(pool.value_of(move.shares, record) for move in stake.moves)
                exact = self.model.moved[who, operator].values()
                total = sum((move.amount for move in exact), Fraction(0))
                self.near(total, moved, slack, "moved")
                assert (stake.place > 0) == (stake.shares > 0)
        for who in PEOPLE:
            held = list(staking.held[who])
            assert sorted(held) == sorted(
                operator for operator in OPERATORS if staking.stakes[who][operator].shares
            )
            waiting = sum(
                exits.unbonding_value(entry, staking.exits[entry.validator][entry.epoch])
                for entry in staking.queues[who]
            )
            leaving = self.model.leaving.items()
            exact_waiting = sum((e.amount for key, e in leaving if key[0] == who), Fraction(0))
            self.near(exact_waiting, waiting, slack, "unbonding")

    @invariant()
    def rewards_are_backed(self) -> None:
        """Owed is what the model owes but for dust, and never more than the contract holds."""
        staking = self.world.look(Staking)
        for token in REWARD_TOKENS:
            owed = 0
            for who in PEOPLE:
                earned = staking.credit[who][token]
                for operator in self.model.validators:
                    earned += rewards.pending(staking, who, operator, token)
                self.near(self.model.owed(who, token), earned, self.model.slack(token), "reward")
                owed += earned
            for operator in self.model.validators:
                commission = staking.pools[operator][token].commission
                exact = self.model.commissions[operator, token]
                self.near(exact, commission, self.model.slack(token), "commission")
                owed += commission
            held = self.wallets[token][STAKING]
            assert owed <= held
            assert held - owed <= 4 * self.model.operations + len(PEOPLE) * self.shared + 4

    @invariant()
    def sets_are_stable_and_follow_stake(self) -> None:
        """An epoch's set never changes once it began, and is by power, then address."""
        now = self.model.epoch
        current = self.world.read(STAKING, Staking.activeSet)
        assert self.sets.setdefault(now, current) == current
        following = self.world.read(STAKING, Staking.validatorSet, now + 1)
        assert [(-one.power, one.operator) for one in following] == sorted(
            (-one.power, one.operator) for one in following
        )
        powers = {one.operator: one.power for one in following}
        staking = self.world.look(Staking)
        for operator in self.model.validators:
            least, most = self.model.power(operator)
            stale = staking.stakes[operator][operator].moves
            if len(stale) == 0:
                assert least <= powers.get(operator, 0) <= most

    @invariant()
    def proposals_stand_where_the_model_has_them(self) -> None:
        governance = self.world.look(Governance)
        held = sum(vote.deposit for vote in self.model.proposals.values())
        assert governance.deposits == held <= self.wallets[SPIRIT][GOVERNANCE]
        for id, vote in self.model.proposals.items():
            assert State(self.world.read(GOVERNANCE, Governance.state, id)).name == self._state(id)
            tallies = [
                sum(weight for chosen, weight in vote.weights.values() if chosen == choice)
                for choice in range(4)
            ]
            record = governance.records[id]
            assert tallies == [record.no, record.yes, record.abstain, record.veto]
            if vote.snapshot is not None and self.model.number >= vote.starts:
                bonded = self.world.read(STAKING, Staking.bondedAt, vote.starts - 1)
                exact = sum(vote.snapshot.values(), Fraction(0))
                self.near(exact, bonded, len(PEOPLE) * self._slack_of_stake(), "bonded")

    @invariant()
    def mana_rate_is_kept(self) -> None:
        found = {one.name: one.value for one in self.world.read(STAKING, Staking.parameters)}
        assert found["manaPerBlock"] == self.model.parameters["manaPerBlock"]
        assert self.supplies[MANA] >= 0
