"""The economy, naively: every delegator's stake as an exact fraction, every reward and slash walked
through one by one. It shares no formula with the contracts, which count in shares and indices.

Amounts that a user names are whole wei and move exactly; what results from divisions is a Fraction
here, and the contracts may be off by the dust that `Model.dust` bounds: each operation on a
validator leaves or takes at most two wei of each position, and a repeated slash of stake that has
left rounds to 1e-18 of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from ghostchain.primitives.types import Address

WAD = 10**18
ZERO = Fraction(0)


@dataclass
class Validator:
    """A validator and what its delegators have with it."""

    commission: Fraction
    coinbase: Address
    created: int
    stakes: dict[Address, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    is_tombstoned: bool = False
    jailed_until: int = 0
    operations: int = 0
    slashes: int = 0
    misses: list[int] = field(default_factory=list)

    @property
    def total(self) -> Fraction:
        return sum(self.stakes.values(), ZERO)


@dataclass
class Leaving:
    """Stake on its way out."""

    amount: Fraction
    matures: int


@dataclass
class Moved:
    """Stake that came from another validator. kept: the part of it that slashes there have left
    since this was last settled."""

    amount: Fraction
    matures: int
    kept: Fraction = Fraction(1)


@dataclass
class Vote:
    """A proposal: when it is voted on, what is bonded by whom at its snapshot, and who voted."""

    proposer: Address
    starts: int
    ends: int
    ready: int
    expires: int
    deposit: int
    snapshot: dict[Address, Fraction] | None = None
    weights: dict[Address, tuple[int, int]] = field(default_factory=dict)
    is_executed: bool = False
    is_cancelled: bool = False
    is_closed: bool = False


Pair = tuple[Address, Address]


class Model:
    """Staking, slashing and the votes. Time is a block number that the test sets.

    rewards and credit: by delegator, validator and token; by delegator and token. error: how far
    rewards may be off, by the same keys as rewards, in wei.
    """

    def __init__(self, epoch_blocks: int, parameters: dict[str, int]) -> None:
        self.epoch_blocks = epoch_blocks
        self.parameters = dict(parameters)
        self.number = 1
        self.validators: dict[Address, Validator] = {}
        self.leaving: dict[tuple[Address, Address, int], Leaving] = {}
        self.moved: dict[Pair, dict[tuple[Address, int, int], Moved]] = defaultdict(dict)
        self.rewards: dict[tuple[Address, Address, Address], Fraction] = defaultdict(Fraction)
        self.credit: dict[tuple[Address, Address], Fraction] = defaultdict(Fraction)
        self.commissions: dict[tuple[Address, Address], Fraction] = defaultdict(Fraction)
        self.error: dict[Address, Fraction] = defaultdict(Fraction)
        self.operations = 0
        self.proposals: dict[int, Vote] = {}

    # -- time --

    @property
    def epoch(self) -> int:
        return self.number // self.epoch_blocks

    def skip(self, blocks: int) -> None:
        """Blocks pass; what was bonded at the end of each block that a vote looks at is noted."""
        for vote in self.proposals.values():
            if self.number <= vote.starts - 1 < self.number + blocks:
                vote.snapshot = self.bonded_by_account()
        self.number += blocks

    def bonded_by_account(self) -> dict[Address, Fraction]:
        found: dict[Address, Fraction] = defaultdict(Fraction)
        for validator in self.validators.values():
            for delegator, amount in validator.stakes.items():
                found[delegator] += amount
        return found

    # -- what may be off --

    def dust(self, operator: Address) -> Fraction:
        """By how much a position with the validator may differ from the contract's, in wei."""
        one = self.validators[operator]
        slashes = sum(other.slashes for other in self.validators.values())
        return 2 * one.operations + 2 + one.total * 10 * slashes / WAD

    # -- stake --

    def create(self, operator: Address, commission: Fraction, bond: int) -> None:
        self.validators[operator] = Validator(commission, operator, self.number)
        self.delegate(operator, operator, bond)

    def settle(self, delegator: Address, operator: Address) -> None:
        """What was earned is credited; moved stake loses what its source lost; what is free of its
        source is forgotten."""
        for key in [key for key in self.rewards if key[:2] == (delegator, operator)]:
            self.credit[delegator, key[2]] += self.rewards.pop(key)
        one = self.validators[operator]
        moves = self.moved[delegator, operator]
        for key, move in list(moves.items()):
            cut = move.amount * (1 - move.kept)
            one.stakes[delegator] -= cut
            move.amount -= cut
            move.kept = Fraction(1)
            if move.matures <= self.epoch:
                del moves[key]
        self._count(operator)

    def _count(self, operator: Address) -> None:
        self.validators[operator].operations += 1
        self.operations += 1

    def delegate(self, delegator: Address, operator: Address, amount: int | Fraction) -> None:
        self.settle(delegator, operator)
        self.validators[operator].stakes[delegator] += amount

    def locked(self, delegator: Address, operator: Address) -> Fraction:
        return sum(
            (
                move.amount * move.kept
                for move in self.moved[delegator, operator].values()
                if move.matures > self.epoch
            ),
            ZERO,
        )

    def free(self, delegator: Address, operator: Address) -> Fraction:
        """What can leave or move now, once slashes of moved stake are taken."""
        if operator not in self.validators:
            return ZERO
        forfeit = sum(
            (m.amount * (1 - m.kept) for m in self.moved[delegator, operator].values()), ZERO
        )
        stake = self.validators[operator].stakes[delegator]
        return stake - forfeit - self.locked(delegator, operator)

    def _take(self, delegator: Address, operator: Address, amount: int) -> None:
        self.settle(delegator, operator)
        one = self.validators[operator]
        one.stakes[delegator] -= amount
        # All of it by the contract's count: what is left here is the dust between the two.
        if abs(one.stakes[delegator]) <= self.dust(operator):
            one.stakes[delegator] = max(ZERO, one.stakes[delegator])

    def undelegate(self, delegator: Address, operator: Address, amount: int) -> None:
        self._take(delegator, operator, amount)
        matures = self.epoch + self.parameters["unbondingEpochs"] + 1
        entry = self.leaving.setdefault((delegator, operator, self.epoch), Leaving(ZERO, matures))
        entry.amount += amount
        entry.matures = max(entry.matures, matures)

    def cancel(self, delegator: Address, operator: Address, epoch: int, amount: int) -> None:
        entry = self.leaving[delegator, operator, epoch]
        entry.amount -= amount
        if entry.amount <= self.dust(operator):
            del self.leaving[delegator, operator, epoch]
        self.delegate(delegator, operator, amount)

    def withdraw(self, delegator: Address) -> tuple[Fraction, int]:
        """What has matured, and of how many entries."""
        keys = [
            key
            for key, entry in self.leaving.items()
            if key[0] == delegator and entry.matures <= self.epoch
        ]
        return sum((self.leaving.pop(key).amount for key in keys), ZERO), len(keys)

    def redelegate(self, delegator: Address, source: Address, target: Address, amount: int) -> None:
        self._take(delegator, source, amount)
        self.delegate(delegator, target, amount)
        matures = self.epoch + self.parameters["unbondingEpochs"] + 1
        key = (source, self.epoch, matures)
        move = self.moved[delegator, target].setdefault(key, Moved(ZERO, matures))
        move.amount += amount

    def slash(self, operator: Address, fraction: Fraction, epoch: int) -> Fraction:
        """Everybody who backed the validator since that epoch loses that part: how much of what is
        bonded with it and unbonds from it."""
        one, kept = self.validators[operator], 1 - fraction
        lost = one.total * fraction
        for delegator in one.stakes:
            one.stakes[delegator] *= kept
        for (_, target), moves in self.moved.items():
            for (source, left, _), move in moves.items():
                if target == operator:
                    move.amount *= kept
                if source == operator and left >= epoch:
                    move.kept *= kept
        for (_, source, left), entry in self.leaving.items():
            if source == operator and left >= epoch:
                lost += entry.amount * fraction
                entry.amount *= kept
        one.slashes += 1
        self._count(operator)
        return lost

    # -- power --

    def power(self, operator: Address) -> tuple[int, int]:
        """The least and the most that the validator's power may be, given the dust."""
        one = self.validators[operator]
        if one.is_tombstoned or one.jailed_until:
            return 0, 0
        dust, own = self.dust(operator), one.stakes[operator]
        total, minimum = one.total, self.parameters["minSelfBond"]
        most = int((total + dust * len(one.stakes)) // WAD)
        least = int((total - dust * len(one.stakes)) // WAD)
        if own + dust < minimum or most < self.parameters["minPower"]:
            return 0, 0
        if own - dust < minimum or least < self.parameters["minPower"]:
            return 0, most
        return least, most

    # -- rewards --

    def operator_of(self, coinbase: Address) -> Address | None:
        if coinbase in self.validators:
            return coinbase
        found = [op for op, one in self.validators.items() if one.coinbase == coinbase]
        return found[0] if found else None

    def earns(self, operator: Address | None) -> bool:
        """Whether the validator gets MANA for a block."""
        if operator is None:
            return False
        one = self.validators[operator]
        return not (one.is_tombstoned or one.jailed_until) and one.total >= WAD

    def share_out(self, operator: Address, token: Address, amount: int) -> None:
        """The commission to the validator; the rest to everybody by stake."""
        one = self.validators[operator]
        commission = amount * one.commission
        self.commissions[operator, token] += commission
        total = one.total
        for delegator, stake in one.stakes.items():
            if stake:
                part = (amount - commission) * stake / total
                self.rewards[delegator, operator, token] += part
        self.error[token] += amount * self.dust(operator) * 3 / total + 3

    def owed(self, delegator: Address, token: Address) -> Fraction:
        """Earned and credited together."""
        earned = (
            amount
            for (who, _, kind), amount in self.rewards.items()
            if who == delegator and kind == token
        )
        return self.credit[delegator, token] + sum(earned, ZERO)

    def claim(
        self, delegator: Address, operators: Iterable[Address], tokens: Iterable[Address]
    ) -> list[Fraction]:
        for operator in operators:
            self.settle(delegator, operator)
        return [self.credit.pop((delegator, token), ZERO) for token in tokens]

    def slack(self, token: Address) -> Fraction:
        """By how much rewards may differ from the contract's, in the token's wei."""
        return self.error[token] + 2 * self.operations + 2

    # -- being there --

    def miss(self, operator: Address, height: int, window: int, most: int) -> bool:
        """A block without the validator's signature: whether that is one too many. Nobody signs
        block 0."""
        if height == 0:
            return False
        one = self.validators[operator]
        if height not in one.misses:
            one.misses.append(height)
        one.misses = [at for at in one.misses if at > height - window]
        if len(one.misses) <= most:
            return False
        one.misses = []
        return not (one.is_tombstoned or one.jailed_until)

    # -- votes --

    def state(self, id: int, bonded: int) -> str:
        """Where a proposal stands. bonded: at its snapshot, as the contract counted it."""
        vote, number = self.proposals[id], self.number
        if vote.is_executed or vote.is_cancelled:
            return "EXECUTED" if vote.is_executed else "CANCELLED"
        if number < vote.starts:
            return "PENDING"
        if number <= vote.ends:
            return "ACTIVE"
        sums = [sum(w for c, w in vote.weights.values() if c == choice) for choice in range(4)]
        no, yes, _, veto = sums
        turnout = sum(sums)
        if turnout == 0 or Fraction(turnout, max(1, bonded)) < Fraction(334, 1000):
            return "WITHOUT_QUORUM"
        if Fraction(veto, turnout) > Fraction(334, 1000):
            return "VETOED"
        if not yes or Fraction(yes, yes + no + veto) <= Fraction(1, 2):
            return "DEFEATED"
        if number < vote.ready:
            return "QUEUED"
        return "READY" if number <= vote.expires else "EXPIRED"
