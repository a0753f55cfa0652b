"""A core that is told anything, in any order: it never raises, never grows without bound, and never
signs what a validator of accountable Tendermint must not. The others may all be Byzantine, so that
every branch is reached; what it signs is judged by a model that only knows what it was told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ghostchain.consensus.effects import (
    Build,
    Built,
    Decide,
    Sign,
    StartHeight,
    Validate,
    Validated,
    Work,
)
from ghostchain.consensus.messages import RoundCertificate, Status, Step, Vote
from ghostchain.encoding.votes import VoteKind
from ghostchain.primitives.types import Hash32
from tests.unit.consensus_subject import (
    NIL,
    PRECOMMIT,
    PREVOTE,
    PROPOSAL,
    A,
    B,
    C,
    Subject,
    peer_of,
)

KINDS = st.sampled_from([PREVOTE, PRECOMMIT])
BLOCKS = st.sampled_from([A, B, C])
OTHERS = (0, 2, 3)
FEW = st.integers(0, 3)


class Consensus(RuleBasedStateMachine):
    @initialize(index=st.sampled_from([0, 1, 2, None]), has_work=st.booleans())
    def begin(self, index: int | None, has_work: bool) -> None:
        self.subject = Subject(index, has_work=has_work)
        self.height = 1
        self.told: set[tuple[VoteKind, int, Hash32, int, int]] = set()
        self.valid: set[Hash32] = set()
        self.judged = 0
        self.own: dict[tuple[VoteKind, int], Vote] = {}
        self.decided: Hash32 | None = None

    # ---- what it is told ----

    def say(self, vote: Vote) -> None:
        if vote.height == self.height:
            self.note(vote)
        self.subject.hear(vote)

    def note(self, vote: Vote) -> None:
        place = (vote.kind, vote.round, vote.block_id, vote.valid_round, vote.validator)
        self.told.add(place)

    def vote(
        self, kind: VoteKind, validator: int, block: Hash32, round: int, valid_round: int
    ) -> Vote:
        if kind == PRECOMMIT or block == NIL or valid_round >= round:
            valid_round = -1
        return self.subject.vote(kind, validator, block, round, valid_round, self.height)

    @rule(block=BLOCKS, ahead=st.integers(-2, 2), valid_round=st.integers(-1, 4))
    def proposal(self, block: Hash32, ahead: int, valid_round: int) -> None:
        round = max(0, self.subject.core.round + ahead)
        proposer = self.subject.validators.proposer(self.height, round)
        self.say(self.vote(PROPOSAL, proposer, block, round, valid_round))

    @rule(
        kind=KINDS,
        voters=st.sets(st.sampled_from(OTHERS), min_size=1),
        block=st.sampled_from([A, A, B, NIL]),
        ahead=st.integers(-1, 1),
        valid_round=st.sampled_from([-1, -1, -1, 0, 1]),
    )
    def votes(
        self, kind: VoteKind, voters: set[int], block: Hash32, ahead: int, valid_round: int
    ) -> None:
        round = max(0, self.subject.core.round + ahead)
        for validator in sorted(voters):
            self.say(self.vote(kind, validator, block, round, valid_round))

    @rule(
        kind=KINDS,
        validator=st.integers(0, 5),
        block=BLOCKS,
        round=st.sampled_from([0, 1, 2, 5, 2**31, 2**32 - 1]),
        height=st.integers(0, 4),
        peer=st.integers(0, 9),
    )
    def forged(
        self, kind: VoteKind, validator: int, block: Hash32, round: int, height: int, peer: int
    ) -> None:
        vote = Vote(kind, height, round, block, -1, validator, bytes(64))
        self.subject.hear(vote, peer_of(peer))

    @rule(
        kind=KINDS,
        block=BLOCKS,
        voters=st.sets(st.integers(0, 3), min_size=1),
        round=FEW,
        is_broken=st.booleans(),
    )
    def certificate(
        self, kind: VoteKind, block: Hash32, voters: set[int], round: int, is_broken: bool
    ) -> None:
        whole = self.subject.certificate(kind, block, voters, round, self.height)
        if is_broken:
            whole = replace(whole, signatures=(*whole.signatures[1:], bytes(64)))
        elif len(voters) >= 3:
            for vote in whole.votes():
                self.note(vote)
        self.subject.hear(whole)

    @rule(kind=KINDS, voters=st.sets(st.integers(0, 3), min_size=1), ahead=FEW)
    def round_certificate(self, kind: VoteKind, voters: set[int], ahead: int) -> None:
        round = self.subject.core.round + ahead
        votes = tuple(self.vote(kind, each, NIL, round, -1) for each in sorted(voters))
        if len(voters) >= 2:
            for vote in votes:
                self.note(vote)
        self.subject.hear(RoundCertificate(self.height, round, votes))

    @rule(height=st.integers(0, 2**64 - 1), round=FEW, peer=st.integers(0, 9))
    def status(self, height: int, round: int, peer: int) -> None:
        self.subject.hear(Status(height, round, Step.PREVOTE), peer_of(peer))

    @precondition(lambda self: self.subject.wanted(Validate))
    @rule(is_valid=st.booleans(), place=st.integers(0, 5))
    def judge(self, is_valid: bool, place: int) -> None:
        asked = self.subject.wanted(Validate)
        ask = asked[-1 - place % len(asked)]
        if is_valid and ask.height == self.height:
            self.valid.add(ask.block_id)
        self.subject.give(Validated(ask.height, ask.block_id, is_valid, round=ask.round))

    @precondition(lambda self: self.subject.wanted(Build))
    @rule(block=st.sampled_from([A, B, C, None]))
    def built(self, block: Hash32 | None) -> None:
        build = self.subject.wanted(Build)[-1]
        if block is not None and build.height == self.height:
            self.valid.add(block)
        self.subject.give(Built(build.height, build.round, block))

    @rule(milliseconds=st.sampled_from([1, 100, 1_000, 10_000]))
    def wait(self, milliseconds: int) -> None:
        self.subject.later(milliseconds)

    @rule()
    def work(self) -> None:
        self.subject.give(Work())

    @precondition(lambda self: self.decided is not None)
    @rule(has_work=st.booleans())
    def next_height(self, has_work: bool) -> None:
        decision = self.subject.wanted(Decide)[-1]
        kept = self.subject.core.take_kept()
        self.height += 1
        self.told, self.valid, self.own, self.decided = set(), set(), {}, None
        self.judged = len(self.subject.effects)
        start = StartHeight(
            self.height,
            self.subject.validators,
            has_work,
            self.subject.now_ns,
            decision.certificate,
            self.subject.validators,
        )
        self.subject.give(start)
        for received in kept:
            self.subject.give(received)

    # ---- what it may do ----

    def has_quorum(self, kind: VoteKind, round: int, block: Hash32) -> bool:
        """Whether three signed for the block there, all with one valid round."""
        own = self.own.get((kind, round))
        places = [each for each in self.told if each[:3] == (kind, round, block)]
        if own is not None and own.block_id == block:
            places.append((kind, round, block, own.valid_round, own.validator))
        return any(
            len({each[4] for each in places if each[3] == valid_round}) >= 3
            for valid_round in {each[3] for each in places}
        )

    @invariant()
    def every_signature_is_allowed(self) -> None:
        for effect in self.subject.effects[self.judged :]:
            if isinstance(effect, Sign):
                self.check_vote(effect.vote)
            elif isinstance(effect, Decide):
                assert self.decided is None, "I4"
                self.decided = effect.block_id
                assert self.has_quorum(PRECOMMIT, effect.round, effect.block_id), "I5"
                assert effect.block_id in self.valid
        self.judged = len(self.subject.effects)

    def check_vote(self, vote: Vote) -> None:
        place = (vote.kind, vote.round)
        assert vote.height == self.height
        assert place not in self.own, "I1"
        if vote.kind == PRECOMMIT and not vote.is_nil:
            assert self.has_quorum(PREVOTE, vote.round, vote.block_id), "I2"
        if vote.kind != PRECOMMIT and not vote.is_nil:
            assert vote.block_id in self.valid
            if vote.valid_round >= 0:
                assert self.has_quorum(PREVOTE, vote.valid_round, vote.block_id), "line 28"
        if vote.kind == PREVOTE and not vote.is_nil:
            locks = [
                own for (kind, _), own in self.own.items() if kind == PRECOMMIT and not own.is_nil
            ]
            lock = max(locks, key=lambda own: own.round, default=None)
            assert (
                lock is None or lock.block_id == vote.block_id or lock.round <= vote.valid_round
            ), "I3"
        self.own[place] = vote

    @invariant()
    def memory_is_bounded(self) -> None:
        core = self.subject.core
        assert len(core._keeper.rounds) <= 40
        assert len(core._waiting_room) <= 20 * 10
        assert len(core._laggards) <= 20
        assert len(core._asked) + len(core._judged) + len(core._at_hand) <= 100

    @invariant()
    def time_goes_on(self) -> None:
        """It waits for a moment, unless a decision waits to be committed."""
        deadline_ns = self.subject.core.deadline_ns()
        assert (deadline_ns is None) == (self.decided is not None)


Consensus.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestConsensus = Consensus.TestCase
