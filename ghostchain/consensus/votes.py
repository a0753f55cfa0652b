"""The vote keeper: what was said at one height, by whom, and which of it is proven.

Votes of the current and of earlier rounds wait unverified until their power, with what is proven,
could make a quorum; then they are verified in one batch. So most heights cost two batches, and
votes beyond the quorum cost nothing. Votes of later rounds, proposals, and whatever differs from
what the same validator said before are verified at once.

Whoever delivered a bad signature is punished, and only the validator's own signature fills its
place: two different claims of what it said are settled when the second comes, so that a forger
crowds nobody out. Memory is bounded by the set: two votes of a kind, round and validator, and
AHEAD_MAX later rounds of each validator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ghostchain.consensus.certificates import (
    SignatureItem,
    Verify,
    certificate_of,
    check_signatures,
)
from ghostchain.consensus.effects import Effect, Peer, Punish, Report
from ghostchain.consensus.messages import Certificate, MessageReason, RoundCertificate, Vote
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Hash32

AHEAD_MAX = 4
"""Later rounds of which the votes of one validator are kept."""

BEHIND_MAX = 8
"""Earlier rounds of which votes are kept and taken."""

POLKAS_MAX = 4
"""Rounds before those that are kept for the quorum they had."""

Choice = tuple[Hash32, int]
"""What a vote is for: block id and valid round."""

NIL_CHOICE: Choice = (Hash32(NIL_BLOCK), NO_ROUND)


class Tally:
    """The votes of a ballot for one choice. pending: power of those not verified yet."""

    __slots__ = ("message", "pending", "power", "votes")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.votes: dict[int, Vote] = {}
        self.power = 0
        self.pending = 0


class Ballot:
    """The votes of one kind in one round.

    first: of each validator the first that was verified; second: another of the same validator,
    which proves it guilty; waiting: not verified yet, with who delivered it. quorum: the choice
    that a quorum made, once one did.
    """

    __slots__ = ("first", "pending", "power", "quorum", "second", "tallies", "waiting")

    def __init__(self) -> None:
        self.first: dict[int, Vote] = {}
        self.second: dict[int, Vote] = {}
        self.waiting: dict[int, tuple[Vote, Peer]] = {}
        self.tallies: dict[Choice, Tally] = {}
        self.power = 0
        self.pending = 0
        self.quorum: Choice | None = None

    def power_for(self, choice: Choice) -> int:
        tally = self.tallies.get(choice)
        return 0 if tally is None else tally.power

    def heard(self) -> Iterable[int]:
        """Whose votes are here, verified or not."""
        return self.first.keys() | self.waiting.keys()


class RoundVotes:
    """The ballots of one round."""

    __slots__ = ("ballots",)

    def __init__(self) -> None:
        self.ballots = {kind: Ballot() for kind in VoteKind}

    @property
    def proposals(self) -> Ballot:
        return self.ballots[VoteKind.PROPOSAL]

    @property
    def prevotes(self) -> Ballot:
        return self.ballots[VoteKind.PREVOTE]

    @property
    def precommits(self) -> Ballot:
        return self.ballots[VoteKind.PRECOMMIT]

    @property
    def proposal(self) -> Vote | None:
        """What the proposer said first."""
        return next(iter(self.proposals.first.values()), None)

    @property
    def polka(self) -> Choice | None:
        """The block, and its valid round, that a quorum prevoted."""
        choice = self.prevotes.quorum
        return None if choice is None or choice[0] == NIL_BLOCK else choice


class VoteKeeper:
    """The votes of one height. What it finds out about peers and validators is in `findings`, for
    the core to take; `round` is the core's, votes above it are of later rounds. polka_round: the
    latest with a polka, which is never forgotten; commit_round: the one that decides."""

    def __init__(
        self, height: int, validators: ValidatorSet, chain_id: int, verify: Verify
    ) -> None:
        self.height = height
        self.validators = validators
        self.chain_id = chain_id
        self.round = 0
        self.rounds: dict[int, RoundVotes] = {}
        self.ahead: dict[int, int] = {}
        self.commit: Choice | None = None
        self.commit_round = NO_ROUND
        self.polka_round = NO_ROUND
        self.findings: list[Effect] = []
        self._ahead_rounds: dict[int, list[int]] = {}
        self._verify = verify

    # ---- what is known ----

    def at(self, round: int) -> RoundVotes | None:
        return self.rounds.get(round)

    def polka(self, round: int, block_id: Hash32) -> bool:
        """Whether a quorum prevoted the block in that round."""
        votes = self.rounds.get(round)
        return votes is not None and votes.polka is not None and votes.polka[0] == block_id

    def certificate(self, kind: VoteKind, round: int) -> Certificate | None:
        """The quorum of that kind in that round, of all votes that are verified."""
        votes = self.rounds.get(round)
        if votes is None or votes.ballots[kind].quorum is None:
            return None
        ballot = votes.ballots[kind]
        assert ballot.quorum is not None
        return certificate_of(ballot.tallies[ballot.quorum].votes.values(), len(self.validators))

    def commit_certificate(self) -> Certificate | None:
        """The quorum of precommits for a block, in whatever round it was."""
        if self.commit is None:
            return None
        tally = self.rounds[self.commit_round].precommits.tallies[self.commit]
        return certificate_of(tally.votes.values(), len(self.validators))

    def round_votes(self, round: int) -> tuple[Vote, ...]:
        """What is verified of a round, one of a kind and validator, in the order of both."""
        votes = self.rounds.get(round)
        if votes is None:
            return ()
        return tuple(
            vote
            for ballot in votes.ballots.values()
            for _, vote in sorted(ballot.first.items(), key=lambda item: item[0])
        )

    def proven(self, round: int) -> tuple[Vote, ...]:
        """All that is verified of a round: first `round_votes`, then what the same validators said
        besides, which is part of the quorums too."""
        first = self.round_votes(round)
        votes = self.rounds.get(round)
        if votes is None:
            return first
        counted = {
            vote
            for ballot in votes.ballots.values()
            for tally in ballot.tallies.values()
            for vote in tally.votes.values()
        }
        others = counted.difference(first)
        return (
            *first,
            *sorted(others, key=lambda each: (each.kind, each.validator, each.block_id)),
        )

    def entry(self) -> RoundCertificate | None:
        """The least that brings others to this round: votes of F1 in it, or the quorum of
        precommits that ended the round before (R7). None for the first round, and while this node
        has neither."""
        now = self.round_votes(self.round)
        before = tuple(
            vote for vote in self.round_votes(self.round - 1) if vote.kind == VoteKind.PRECOMMIT
        )
        choices = ((now, self.validators.honest_part), (before, self.validators.quorum))
        for votes, needed in choices:
            chosen: dict[int, Vote] = {}
            power = 0
            for vote in votes:
                if vote.validator not in chosen and power < needed:
                    chosen[vote.validator] = vote
                    power += self.validators[vote.validator].power
            if power >= needed and self.round:
                return RoundCertificate(self.height, votes[0].round, tuple(chosen.values()))
        return None

    def everything(self) -> RoundCertificate | None:
        """All that is verified of this round, once it is of F1."""
        votes = self.round_votes(self.round)
        power = self.validators.power_of(vote.validator for vote in votes)
        if power < self.validators.honest_part:
            return None
        return RoundCertificate(self.height, self.round, votes)

    def settle(self) -> None:
        """Whatever waits in this round is verified."""
        votes = self.rounds.get(self.round)
        if votes is not None:
            for ballot in votes.ballots.values():
                self._settle(ballot, list(ballot.waiting))

    def knows(self, vote: Vote) -> bool:
        """Whether taking the vote would change nothing."""
        if vote.round < self.round - BEHIND_MAX:
            return True
        votes = self.rounds.get(vote.round)
        if votes is None:
            return False
        ballot = votes.ballots[vote.kind]
        first = ballot.first.get(vote.validator)
        if first is None:
            waiting = ballot.waiting.get(vote.validator)
            return waiting is not None and waiting[0] == vote
        return vote.validator in ballot.second or choice_of(first) == choice_of(vote)

    def counts_all(self, certificate: Certificate | RoundCertificate) -> bool:
        """Whether every vote of it counts already."""
        if isinstance(certificate, RoundCertificate):
            return all(map(self.is_counted, certificate.votes))
        votes = self.rounds.get(certificate.round)
        if votes is None:
            return False
        choice = (certificate.block_id, certificate.valid_round)
        tally = votes.ballots[certificate.kind].tallies.get(choice)
        return tally is not None and all(signer in tally.votes for signer in certificate.signers)

    def skip_target(self) -> int | None:
        """The highest round, above the current one, that validators with F1 of the power have
        reached (R9, line 55): an honest one is among them."""
        power = 0
        for round, validator in sorted(
            ((round, index) for index, round in self.ahead.items()), reverse=True
        ):
            power += self.validators[validator].power
            if power >= self.validators.honest_part:
                return round
        return None

    def state(self) -> tuple[object, ...]:
        """All of it, in an order that does not depend on when it came, but for who came first."""
        ballots = [
            (
                *(number, int(kind), ballot.power, ballot.pending, ballot.quorum),
                *(sorted(ballot.first.items()), sorted(ballot.second.items())),
                sorted(ballot.waiting.items()),
            )
            for number, votes in sorted(self.rounds.items())
            for kind, ballot in votes.ballots.items()
        ]
        return self.round, sorted(self.ahead.items()), self.commit, self.commit_round, ballots

    # ---- what comes in ----

    def add(self, vote: Vote, peer: Peer) -> None:
        """A vote that `check_voter` lets pass."""
        if self.knows(vote):
            return
        if vote.round > self.round:
            self._add_ahead(vote, peer)
            return
        ballot = self._ballot(vote)
        if vote.validator in ballot.first:
            if self.holds(vote, peer):
                self.admit(vote)
            return
        if vote.validator in ballot.waiting:
            self._settle(ballot, [vote.validator])
            self.add(vote, peer)
            return
        self._wait(ballot, vote, peer)

    def admit(self, vote: Vote) -> None:
        """A vote whose signature holds counts, once; a second one that differs is evidence."""
        ballot = self._ballot(vote)
        first = ballot.first.get(vote.validator)
        choice = choice_of(vote)
        if first is None:
            waiting = ballot.waiting.get(vote.validator)
            if waiting is not None:
                self._unwait(ballot, vote.validator)
            ballot.first[vote.validator] = vote
            ballot.power += self.validators[vote.validator].power
            self._count(ballot, vote, choice)
            self._check_amnesia(vote)
            if waiting is not None and choice_of(waiting[0]) != choice:
                self.add(*waiting)
            if ballot.waiting and vote.kind != VoteKind.PROPOSAL:
                # What waited for this vote, an own one perhaps, may make a quorum with it.
                self._settle_if_decisive(ballot, ballot.tallies[choice])
        elif choice_of(first) != choice:
            if vote.validator not in ballot.second:
                ballot.second[vote.validator] = vote
                self._report(first, vote)
            self._count(ballot, vote, choice)

    def admit_all(self, votes: Sequence[Vote]) -> bool:
        """All of the votes count, if all their signatures hold. Raises: InvalidMessage
        (INVALID_SIGNATURE). Returns: whether any of them was new."""
        new = [vote for vote in votes if not self.is_counted(vote)]
        check_signatures(new, self.validators, chain_id=self.chain_id, verify=self._verify)
        for vote in new:
            self.admit(vote)
            self._note_ahead(vote)
        return bool(new)

    def enter(self, round: int, keep: int) -> None:
        """The core is in that round; what is far behind is forgotten, but for the latest polkas and
        the round `keep`."""
        self.round = round
        for index in [index for index, ahead in self.ahead.items() if ahead <= round]:
            del self.ahead[index]
        for index in list(self._ahead_rounds):
            left = [ahead for ahead in self._ahead_rounds[index] if ahead > round]
            self._ahead_rounds[index] = left
            if not left:
                del self._ahead_rounds[index]
        old = sorted(number for number in self.rounds if number < round - BEHIND_MAX)
        polkas = [number for number in old if self.rounds[number].polka is not None][-POLKAS_MAX:]
        for number in old:
            if number not in (*polkas, keep, self.commit_round):
                del self.rounds[number]

    # ---- inside ----

    def _ballot(self, vote: Vote) -> Ballot:
        votes = self.rounds.get(vote.round)
        if votes is None:
            votes = self.rounds[vote.round] = RoundVotes()
        return votes.ballots[vote.kind]

    def _tally(self, ballot: Ballot, vote: Vote, choice: Choice) -> Tally:
        tally = ballot.tallies.get(choice)
        if tally is None:
            tally = ballot.tallies[choice] = Tally(vote.sign_bytes(self.chain_id))
        return tally

    def is_counted(self, vote: Vote) -> bool:
        votes = self.rounds.get(vote.round)
        if votes is None:
            return False
        tally = votes.ballots[vote.kind].tallies.get(choice_of(vote))
        return tally is not None and vote.validator in tally.votes

    def _wait(self, ballot: Ballot, vote: Vote, peer: Peer) -> None:
        power = self.validators[vote.validator].power
        tally = self._tally(ballot, vote, choice_of(vote))
        ballot.waiting[vote.validator] = (vote, peer)
        ballot.pending += power
        tally.pending += power
        if vote.kind == VoteKind.PROPOSAL:
            self._settle(ballot, [vote.validator])
        else:
            self._settle_if_decisive(ballot, tally)

    def _unwait(self, ballot: Ballot, validator: int) -> None:
        vote, _ = ballot.waiting.pop(validator)
        choice = choice_of(vote)
        power = self.validators[validator].power
        ballot.pending -= power
        tally = ballot.tallies[choice]
        tally.pending -= power
        if not tally.pending and not tally.votes:
            del ballot.tallies[choice]

    def _settle_if_decisive(self, ballot: Ballot, tally: Tally) -> None:
        """Verify what waits if it could make a quorum: of any votes, or for the tally's choice."""
        quorum = self.validators.quorum
        if ballot.power < quorum <= ballot.power + ballot.pending:
            self._settle(ballot, list(ballot.waiting))
        elif tally.power < quorum <= tally.power + tally.pending:
            message = tally.message
            self._settle(
                ballot,
                [
                    validator
                    for validator, (vote, _) in ballot.waiting.items()
                    if ballot.tallies[choice_of(vote)].message is message
                ],
            )

    def _settle(self, ballot: Ballot, validators: Sequence[int]) -> None:
        """These votes no longer wait: they count, or whoever delivered them is punished."""
        if not validators:
            return
        taken = [ballot.waiting[validator] for validator in validators]
        items: list[SignatureItem] = [
            (
                self.validators[vote.validator].key,
                ballot.tallies[choice_of(vote)].message,
                vote.signature,
            )
            for vote, _ in taken
        ]
        for validator in validators:
            self._unwait(ballot, validator)
        for (vote, peer), is_valid in zip(taken, self._verify(items), strict=True):
            if is_valid:
                self.admit(vote)
            else:
                self._punish(vote, peer)

    def holds(self, vote: Vote, peer: Peer) -> bool:
        """Whether the signature does; whoever delivered it is punished if not."""
        key = self.validators[vote.validator].key
        if self._verify([(key, vote.sign_bytes(self.chain_id), vote.signature)])[0]:
            return True
        self._punish(vote, peer)
        return False

    def _add_ahead(self, vote: Vote, peer: Peer) -> None:
        """A vote of a later round: verified at once, for it may bring this node there."""
        if self.holds(vote, peer) and self._note_ahead(vote):
            self.admit(vote)

    def _note_ahead(self, vote: Vote) -> bool:
        """The validator is seen in that round. Returns: whether its votes there are kept."""
        if vote.round <= self.round:
            return True
        self.ahead[vote.validator] = max(vote.round, self.ahead.get(vote.validator, 0))
        rounds = self._ahead_rounds.setdefault(vote.validator, [])
        if vote.round not in rounds:
            if len(rounds) >= AHEAD_MAX:
                return False
            rounds.append(vote.round)
        return True

    def _count(self, ballot: Ballot, vote: Vote, choice: Choice) -> None:
        tally = self._tally(ballot, vote, choice)
        if vote.validator in tally.votes:
            return
        tally.votes[vote.validator] = vote
        tally.power += self.validators[vote.validator].power
        if tally.power < self.validators.quorum or vote.kind == VoteKind.PROPOSAL:
            return
        if ballot.quorum is None:
            ballot.quorum = choice
            if vote.kind == VoteKind.PREVOTE and choice[0] != NIL_BLOCK:
                self.polka_round = max(self.polka_round, vote.round)
        if vote.kind == VoteKind.PRECOMMIT and choice != NIL_CHOICE and self.commit is None:
            self.commit, self.commit_round = choice, vote.round

    def _check_amnesia(self, vote: Vote) -> None:
        """A precommit for a block, and a later prevote for another that no polka since allowed."""
        if len(self.rounds) < 2 or vote.is_nil or vote.kind == VoteKind.PROPOSAL:
            return
        other = VoteKind.PRECOMMIT if vote.kind == VoteKind.PREVOTE else VoteKind.PREVOTE
        for round in sorted(self.rounds):
            against = self.rounds[round].ballots[other].first.get(vote.validator)
            if against is None:
                continue
            first, second = (vote, against) if other == VoteKind.PREVOTE else (against, vote)
            if is_amnesia(first, second):
                self._report(first, second)
                return

    def _report(self, first: Vote, second: Vote) -> None:
        self.findings.append(Report(first, second, self.validators[first.validator].key))

    def _punish(self, vote: Vote, peer: Peer) -> None:
        detail = f"{vote.kind.name.lower()} of validator {vote.validator}"
        self.findings.append(Punish(peer, MessageReason.INVALID_SIGNATURE, detail))


def choice_of(vote: Vote) -> Choice:
    return vote.block_id, vote.valid_round


def is_amnesia(first: Vote, second: Vote) -> bool:
    """Whether a validator that precommitted the first forgot it when it prevoted the second: it was
    locked, and no polka of that round or later let it go (line 28)."""
    return (
        first.kind == VoteKind.PRECOMMIT
        and second.kind == VoteKind.PREVOTE
        and not first.is_nil
        and not second.is_nil
        and first.block_id != second.block_id
        and first.round < second.round
        and second.valid_round < first.round
    )
