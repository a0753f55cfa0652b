"""The core of consensus: accountable Tendermint as a state machine. It reads no clock, draws no
chance, and does nothing: inputs and the time go in, effects come out.

The rules are those of arXiv 1807.04938, with the valid round in prevotes; lines are the paper's.

    R1 start a round: propose the valid value, or a new one; await the proposal          11-21
    R2 a new proposal: prevote it if valid and not locked on another, else nil           22
    R3 a proposal with a polka of an earlier round: prevote it if that is no older
       than the lock, or it is what is locked, else nil                                  28
    R4 a quorum of any prevotes: wait for more                                           34
    R5 a polka: lock and precommit, or remember as valid                                 36
    R6 a quorum of nil prevotes: precommit nil                                           44
    R7 a quorum of any precommits: wait for more                                         47
    R8 a quorum of precommits for a block, in any round: decide                          49
    R9 validators with F1 of the power are in later rounds: go there                     55
    R10 timeouts: prevote nil, precommit nil, next round                                 57-65

Beyond the paper: a height waits for something to decide about (Step.NEW_HEIGHT); a quorum stands
for the proposal that it voted for, since an honest validator saw it; certificates carry quorums to
those who missed votes; what a stuck round said is said again. And R5 remembers as valid what it
learns late: the latest polka of an earlier round, once its block is here. Else a validator that is
locked by a polka that it alone saw in time would be joined only when it proposes, which, with
little power, takes it hundreds of rounds. It is as safe as line 16: the proposal shows its polka,
each answers by its own lock (R3), and no lock moves by it.

Invariants, asserted here: (I1) one vote of a kind and round is signed at most; (I2) a precommit for
a block follows a polka and the lock; (I3) the lock changes by R5 alone, to a later round; (I4) a
height is decided once; (I5) with a certificate of its validators.
"""

from __future__ import annotations

from collections.abc import Callable

from ghostchain.consensus.certificates import Verify, check_round, check_shape, check_voter
from ghostchain.consensus.effects import (
    Broadcast,
    Build,
    Built,
    Decide,
    Diverged,
    Doppelganger,
    Effect,
    Entered,
    Extend,
    Input,
    Peer,
    Punish,
    Received,
    Resume,
    RoundFailed,
    RoundFailure,
    Send,
    SendDecided,
    Sign,
    Signed,
    StartHeight,
    Tick,
    Validate,
    Validated,
    Work,
)
from ghostchain.consensus.laggards import Laggards, LastCommit, WaitingRoom
from ghostchain.consensus.messages import (
    Certificate,
    InvalidMessage,
    Message,
    RoundCertificate,
    Status,
    Step,
    Vote,
)
from ghostchain.consensus.timers import ROUND_TIMERS, Parameters, Timer, Timers
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.consensus.votes import BEHIND_MAX, NIL_CHOICE, RoundVotes, VoteKeeper
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Hash32

NOBODY: Peer = b""
NIL = Hash32(NIL_BLOCK)

SHARED_PEERS = 3
"""Peers that are sent all votes of a stuck round, each time that it says itself again."""

BLOCKS_MAX = 64
"""Blocks of one height of which it is remembered that they are here, and who told of them. One that
matters later is asked for again."""


class Consensus:
    """One node's part in deciding one height after another.

    chain_id: in what is signed. key: this node's public key; None, or one outside the set: it
    follows and says nothing. verify: see certificates.Verify.

    Give it inputs by `apply`, first a StartHeight; a Tick once the time is `deadline_ns()`. Not
    safe for threads. Memory is bounded by the validators and the peers.
    """

    def __init__(
        self, chain_id: int, key: bytes | None, parameters: Parameters, verify: Verify
    ) -> None:
        self.chain_id = chain_id
        self.key = key
        self.parameters = parameters
        self.height = 0
        self.validators: ValidatorSet | None = None
        self.index: int | None = None
        self.round = 0
        self.step = Step.NEW_HEIGHT
        self.locked: tuple[Hash32, int] | None = None
        self.valid: tuple[Hash32, int] | None = None
        self.decided: Certificate | None = None
        self.own: dict[tuple[VoteKind, int], Vote] = {}
        self._verify = verify
        self._timers = Timers()
        self._laggards = Laggards()
        self._waiting_room = WaitingRoom()
        self._last = LastCommit(None, None, chain_id, verify)
        self._clear_height()
        self._now_ns = 0
        self._effects: list[Effect] = []
        self._handlers: dict[type, Callable[..., None]] = {
            StartHeight: self._on_start_height,
            Received: self._on_received,
            Built: self._on_built,
            Validated: self._on_validated,
            Signed: self._on_signed,
            Work: self._on_work,
            Tick: self._on_tick,
            Resume: self._on_resume,
        }

    # ---- the verbs ----

    def apply(self, input: Input, *, now_ns: int) -> tuple[Effect, ...]:
        """What the input makes this node want, in order. Cost: microseconds, and a batch of
        signatures where votes could make a quorum."""
        self._now_ns = now_ns
        self._handlers[type(input)](input)
        effects, self._effects = tuple(self._effects), []
        return effects

    def deadline_ns(self) -> int | None:
        """When it wants a Tick; None: not before another input."""
        return self._timers.deadline_ns()

    def must_log(self, message: Message) -> bool:
        """Whether the message could change what a restart must know. Applying any other message
        leads to effects at most, or is kept for the next height and given back by `take_kept`."""
        if isinstance(message, Status) or message.height != self.height or self.decided:
            return False
        if isinstance(message, Vote):
            return not self._keeper.knows(message)
        return not self._keeper.counts_all(message)

    def take_kept(self) -> tuple[Received, ...]:
        """What came too early for the height just decided, or too late for its certificate: to be
        applied again, and logged, after the next StartHeight."""
        late: list[Received] = []
        if self.decided is not None:
            late = self._last.late(self._keeper, self.decided)
        return (*late, *self._waiting_room.take(self.height + 1))

    @property
    def awaits_work(self) -> bool:
        """Whether a Work would change anything."""
        return self.step == Step.NEW_HEIGHT and not self._is_woken and self.decided is None

    def is_alone(self) -> bool:
        """Whether this node's own vote is a quorum."""
        assert self.validators is not None
        return (
            self.index is not None and self.validators[self.index].power >= self.validators.quorum
        )

    def said(self, kind: VoteKind) -> dict[int, Hash32]:
        """The blocks that validators voted for in this round, by index, verified or not."""
        ballot = self._votes().ballots[kind]
        waiting = {index: vote for index, (vote, _) in ballot.waiting.items()}
        return {index: vote.block_id for index, vote in (waiting | ballot.first).items()}

    def status(self) -> Status:
        """Where this node is."""
        return Status(self.height, self.round, self.step)

    def digest(self) -> Hash32:
        """A hash of all that decides how this node goes on with the height: two cores with the same
        digest do the same from here on. For tests, and for whoever compares a replay."""
        state = (
            self.height,
            self.validators.hash if self.validators else b"",
            (self.round, int(self.step), self._is_woken, self._built_round),
            (self.locked, self.valid, self.decided),
            sorted(self.own.items()),
            sorted(self._judged.items(), key=repr),
            sorted(self._asked, key=repr),
            list(self._at_hand),
            sorted(self._quorum_waits),
            [self._timers.at(timer) for timer in Timer],
            self._keeper.state() if self.height and self.decided is None else (),
        )
        return keccak256(repr(state).encode())

    # ---- a height ----

    def _clear_height(self) -> None:
        self.round = 0
        self.step = Step.NEW_HEIGHT
        self.locked = None
        self.valid = None
        self.decided = None
        self.own = {}
        self._is_woken = False
        self._earliest_ns = 0
        self._quorum_waits: set[Timer] = set()
        self._asked: set[tuple[Hash32, int | None]] = set()
        self._judged: dict[tuple[Hash32, int | None], bool] = {}
        self._at_hand: dict[Hash32, None] = {}
        self._from: dict[Hash32, Peer] = {}
        self._built_round = NO_ROUND

    def _on_start_height(self, start: StartHeight) -> None:
        """Everything of the height before is forgotten, so that nothing of it leaks."""
        self._clear_height()
        self.height = start.height
        self.validators = start.validators
        self.index = None if self.key is None else start.validators.index_of(self.key)
        self._keeper = VoteKeeper(start.height, start.validators, self.chain_id, self._verify)
        self._last = LastCommit(start.last, start.last_validators, self.chain_id, self._verify)
        self._timers = Timers()
        decided_ns = self._now_ns if start.decided_ns is None else start.decided_ns
        self._earliest_ns = self._now_ns
        if start.decided_ns is not None:
            self._earliest_ns = decided_ns + self.parameters.block_interval_min_ns
        self._timers.arm(Timer.START, decided_ns + self.parameters.heartbeat_ns)
        self._arm(Timer.REBROADCAST, self.parameters.rebroadcast_ns)
        self._say_entered()
        helper = self._laggards.take_helper()
        if helper:
            self._effects.append(Send(helper, self.status()))
        if start.has_work:
            self._wake()

    def _on_work(self, _: Work) -> None:
        if self.awaits_work:
            self._wake()

    def _wake(self) -> None:
        """Something is to be decided: round 0 begins as soon as a block may follow."""
        self._is_woken = True
        if self._now_ns >= self._earliest_ns:
            self._start_round(0)
            self._advance()
        else:
            self._timers.arm(Timer.START, self._earliest_ns)

    # ---- a short memory of a long height ----

    def resume(self) -> Resume | None:
        """What would be as good as all inputs of the height, except for votes that their validators
        say again; None while this node waits for an answer of its own, or for nothing yet."""
        is_asking = any(
            not vote.signature and round == self.round for (_, round), vote in self.own.items()
        )
        if self.decided is not None or self.step == Step.NEW_HEIGHT or is_asking:
            return None
        if self._built_round == self.round:
            return None
        rounds = {self.round, self.round - 1}
        rounds |= {held[1] for held in (self.locked, self.valid) if held is not None}
        rounds |= {self._keeper.commit_round, self._keeper.polka_round}
        votes = [vote for round in sorted(rounds) for vote in self._keeper.proven(round)]
        mattering = {vote.block_id for vote in votes}
        return Resume(
            self.height,
            self.round,
            self.step,
            self.locked,
            self.valid,
            tuple(vote for vote in self.own.values() if vote.signature),
            tuple(votes),
            tuple(block_id for block_id in self._at_hand if block_id in mattering),
            tuple(
                (block_id, round, is_valid)
                for (block_id, round), is_valid in self._judged.items()
                if block_id in mattering
            ),
        )

    def _on_resume(self, resume: Resume) -> None:
        assert self.validators is not None
        assert resume.height == self.height
        self.round, self.step = resume.round, resume.step
        self.locked, self.valid = resume.locked, resume.valid
        self.own = {(vote.kind, vote.round): vote for vote in resume.own}
        self._at_hand = dict.fromkeys(resume.at_hand)
        self._judged = {(block_id, round): valid for block_id, round, valid in resume.judged}
        self._asked = set(self._judged)
        self._built_round = NO_ROUND
        self._quorum_waits = set()
        self._from = {}
        self._keeper = VoteKeeper(self.height, self.validators, self.chain_id, self._verify)
        self._keeper.enter(self.round, NO_ROUND)
        for vote in resume.votes:
            self._keeper.admit(vote)
        self._keeper.findings.clear()
        self._timers = Timers()
        if self.step == Step.PROPOSE:
            self._arm(Timer.PROPOSE, self.parameters.propose_ns(self.round))
        self._arm(Timer.REBROADCAST, self.parameters.rebroadcast_ns)
        self._advance()

    # ---- rounds: R1, R9, R10 ----

    def _start_round(self, round: int) -> None:
        """R1."""
        assert self.validators is not None
        assert self.decided is None
        assert round > self.round or self.step == Step.NEW_HEIGHT
        self.round = round
        self._timers.disarm(*ROUND_TIMERS)
        self._quorum_waits = set()
        self._learn_late_polka()
        self._keeper.enter(round, self.valid[1] if self.valid else NO_ROUND)
        self._forget_rounds()
        self._enter(Step.PROPOSE)
        self._arm(Timer.PROPOSE, self.parameters.propose_ns(round))
        if self.index != self.validators.proposer(self.height, round):
            return
        if self.valid is not None:
            block_id, valid_round = self.valid
            polka = self._keeper.certificate(VoteKind.PREVOTE, valid_round)
            if polka is not None:
                self._effects.append(Broadcast(polka))
            self._sign(VoteKind.PROPOSAL, block_id, valid_round)
        elif self._built_round < round:
            self._built_round = round
            extended = self._last.extended()
            self._take_findings(self._last.findings)
            if extended is not None:
                self._effects.append(Extend(extended))
            self._effects.append(Build(self.height, round))

    def _forget_rounds(self) -> None:
        """What only earlier rounds needed."""
        oldest = self.round - BEHIND_MAX
        self.own = {
            (kind, round): vote
            for (kind, round), vote in self.own.items()
            if round >= oldest or (kind == VoteKind.PRECOMMIT and not vote.is_nil)
        }
        for context in [each for each in self._asked if each[1] is not None and each[1] < oldest]:
            self._asked.discard(context)
            self._judged.pop(context, None)
        while len(self._from) > BLOCKS_MAX:
            del self._from[next(iter(self._from))]
        while len(self._at_hand) > BLOCKS_MAX:
            block_id = next(iter(self._at_hand))
            del self._at_hand[block_id]
            self._asked.discard((block_id, None))
            self._judged.pop((block_id, None), None)

    def _enter(self, step: Step) -> None:
        self.step = step
        self._arm(Timer.REBROADCAST, self.parameters.rebroadcast_ns)
        self._say_entered()

    def _say_entered(self) -> None:
        self._effects.append(Entered(self.height, self.round, self.step))

    def _leave_round(self, round: int, failure: RoundFailure | None) -> None:
        """On to another round, saying why this one failed. failure None: find out."""
        if self.step != Step.NEW_HEIGHT:
            assert self.validators is not None
            reason = self._failure() if failure is None else failure
            proposer = self.validators.proposer(self.height, self.round)
            missing = self._missing()
            self._effects.append(RoundFailed(self.height, self.round, reason, proposer, missing))
        self._start_round(round)

    def _failure(self) -> RoundFailure:
        votes = self._votes()
        proposal = votes.proposal
        if votes.polka is not None:
            return RoundFailure.PRECOMMITS_SPLIT
        if proposal is None:
            return RoundFailure.NO_PROPOSAL
        if proposal.block_id not in self._at_hand:
            judged = self._judged.get(self._context(proposal))
            is_missing = judged is None
            return RoundFailure.BLOCK_MISSING if is_missing else RoundFailure.BLOCK_INVALID
        return RoundFailure.PREVOTES_SPLIT

    def _missing(self) -> tuple[int, ...]:
        assert self.validators is not None
        votes = self._votes()
        heard = {*votes.prevotes.heard(), *votes.precommits.heard()}
        return tuple(index for index in range(len(self.validators)) if index not in heard)

    def _on_tick(self, _: Tick) -> None:
        """R10: each moment that has come, once. Rounds forget those of other rounds."""
        while (timer := self._timers.take_due(self._now_ns)) is not None:
            if timer == Timer.START:
                self._start_round(0)
            elif timer == Timer.PROPOSE and self.step == Step.PROPOSE:
                self._prevote(NIL, NO_ROUND)
            elif timer == Timer.PREVOTE and self.step == Step.PREVOTE:
                self._precommit(NIL)
            elif timer == Timer.PRECOMMIT:
                self._leave_round(self.round + 1, None)
            elif timer == Timer.REBROADCAST:
                self._rebroadcast()
            self._advance()

    def _arm(self, timer: Timer, wait_ns: int) -> None:
        self._timers.arm(timer, self._now_ns + wait_ns)

    # ---- the rules on votes: R2 to R9 ----

    def _votes(self) -> RoundVotes:
        """Of the current round."""
        return self._keeper.at(self.round) or RoundVotes()

    def _advance(self) -> None:
        """Apply the rules until none applies."""
        while self.decided is None and self._apply_a_rule():
            pass
        self._take_findings(self._keeper.findings)

    def _apply_a_rule(self) -> bool:
        if self._keeper.commit is not None and self._decide():
            return True
        target = self._keeper.skip_target() if self._keeper.ahead else None
        if target is not None:
            self._leave_round(target, RoundFailure.SKIPPED)
            return True
        self._learn_late_polka()
        votes = self._keeper.at(self.round)
        if self.step == Step.NEW_HEIGHT or votes is None:
            return False
        if self.step == Step.PROPOSE and self._answer_proposal(votes):
            return True
        if self._follow_prevotes(votes):
            return True
        if votes.precommits.power >= self._quorum:
            self._await_more(Timer.PRECOMMIT)
        return False

    @property
    def _quorum(self) -> int:
        assert self.validators is not None
        return self.validators.quorum

    def _answer_proposal(self, votes: RoundVotes) -> bool:
        """R2 and R3: prevote, if all is here that the answer needs."""
        proposal = votes.proposal
        if proposal is None:
            return False
        block_id, valid_round = proposal.block_id, proposal.valid_round
        if valid_round != NO_ROUND and not self._keeper.polka(valid_round, block_id):
            return False
        is_free = (
            self.locked is None
            or self.locked[0] == block_id
            or (valid_round != NO_ROUND and self.locked[1] <= valid_round)
        ) and not self._would_prove_amnesia(block_id, valid_round)
        is_valid = self._judgement(proposal)
        if not is_free:
            self._prevote(NIL, NO_ROUND)
            return True
        if is_valid is None:
            return False
        if is_valid:
            self._prevote(block_id, valid_round)
        else:
            self._prevote(NIL, NO_ROUND)
        return True

    def _would_prove_amnesia(self, block_id: Hash32, valid_round: int) -> bool:
        """Whether a precommit for another block and this prevote would convict an honest validator.

        The paper lets it prevote what it is locked on, however that is justified; but it may have
        precommitted something else before that lock, and a proposer that lies leaves the
        justification out.
        """
        return any(
            kind == VoteKind.PRECOMMIT
            and own.block_id not in (block_id, NIL)
            and round > valid_round
            for (kind, round), own in self.own.items()
        )

    def _follow_prevotes(self, votes: RoundVotes) -> bool:
        """R4, R5 and R6."""
        polka = votes.polka
        if polka is not None and self.step != Step.PROPOSE:
            block_id = polka[0]
            is_news = self.valid is None or self.valid[1] < self.round
            if is_news and self._has_block(block_id):
                self.valid = (block_id, self.round)
                if self.step == Step.PREVOTE:
                    self._lock(block_id)
                    self._precommit(block_id)
                return True
        elif polka is not None:
            self._has_block(polka[0])
        if self.step != Step.PREVOTE:
            return False
        if votes.prevotes.quorum == NIL_CHOICE:
            self._precommit(NIL)
            return True
        if votes.prevotes.power >= self._quorum:
            self._await_more(Timer.PREVOTE)
        return False

    def _learn_late_polka(self) -> None:
        """R5 for the latest polka, when its round has gone by: its block is valid from then on."""
        round = self._keeper.polka_round
        known = NO_ROUND if self.valid is None else self.valid[1]
        if not known < round < self.round:
            return
        votes = self._keeper.at(round)
        assert votes is not None, "the latest polka is kept"
        assert votes.polka is not None, "a quorum stays one"
        if self._has_block(votes.polka[0]):
            self.valid = (votes.polka[0], round)

    def _await_more(self, timer: Timer) -> None:
        """R4 and R7: the first time in this round that a quorum voted at all."""
        if timer not in self._quorum_waits:
            self._quorum_waits.add(timer)
            self._arm(timer, self.parameters.vote_ns(self.round))

    def _lock(self, block_id: Hash32) -> None:
        assert self.locked is None or self.locked[1] < self.round, "I3"
        self.locked = (block_id, self.round)

    def _decide(self) -> bool:
        """R8."""
        assert self._keeper.commit is not None
        block_id, round = self._keeper.commit[0], self._keeper.commit_round
        if not self._has_block(block_id):
            return False
        certificate = self._keeper.commit_certificate()
        assert self.decided is None, "I4"
        assert certificate is not None, "I5"
        assert (certificate.block_id, certificate.round) == (block_id, round), "I5"
        check_shape(certificate, self._keeper.validators)
        self.decided = certificate
        self._timers = Timers()
        self._effects.append(Decide(self.height, round, block_id, certificate))
        listeners = self._laggards.listeners(self.height)
        self._effects.extend(Send(peer, certificate) for peer in listeners)
        self._laggards.told(listeners, self.height)
        return True

    # ---- blocks ----

    def _context(self, proposal: Vote) -> tuple[Hash32, int | None]:
        """What the block of a proposal is judged for: as new, or as one that a quorum saw."""
        is_new = proposal.valid_round == NO_ROUND
        return proposal.block_id, proposal.round if is_new else None

    def _judgement(self, proposal: Vote) -> bool | None:
        """Whether a proposed block is valid; None: not known yet, and asked for."""
        block_id, round = self._context(proposal)
        if round is None:
            return self._has_block(block_id) or self._judged.get((block_id, None))
        if (block_id, round) not in self._judged:
            self._ask(block_id, round)
        return self._judged.get((block_id, round))

    def _has_block(self, block_id: Hash32) -> bool:
        """Whether a block that a quorum vouches for is here; if not it is asked for."""
        if block_id not in self._at_hand:
            self._ask(block_id, None)
        return block_id in self._at_hand

    def _ask(self, block_id: Hash32, round: int | None) -> None:
        if (block_id, round) not in self._asked:
            self._asked.add((block_id, round))
            peer = self._from.get(block_id, NOBODY)
            self._effects.append(Validate(self.height, round, block_id, peer))

    def _on_built(self, built: Built) -> None:
        if built.height != self.height or self.decided is not None:
            return
        if built.block_id is not None:
            self._at_hand[built.block_id] = None
            self._asked.add((built.block_id, built.round))
            self._judged[(built.block_id, built.round)] = True
        if built.round != self.round or self.step != Step.PROPOSE:
            return
        if built.block_id is not None:
            self._sign(VoteKind.PROPOSAL, built.block_id, NO_ROUND)
        else:
            self._prevote(NIL, NO_ROUND)
        self._advance()

    def _on_validated(self, validated: Validated) -> None:
        if validated.height != self.height or self.decided is not None:
            return
        if validated.is_valid:
            self._at_hand[validated.block_id] = None
        self._judged[(validated.block_id, validated.round)] = validated.is_valid
        self._advance()
        commit = self._keeper.commit
        if commit is not None and commit[0] == validated.block_id and self.decided is None:
            self._effects.append(Diverged(self.height, validated.block_id, validated.reason))

    # ---- this node's own votes ----

    def _prevote(self, block_id: Hash32, valid_round: int) -> None:
        self._enter(Step.PREVOTE)
        self._timers.disarm(Timer.PROPOSE)
        self._sign(VoteKind.PREVOTE, block_id, valid_round)

    def _precommit(self, block_id: Hash32) -> None:
        assert block_id == NIL or self.locked == (block_id, self.round), "I2"
        self._enter(Step.PRECOMMIT)
        self._timers.disarm(Timer.PREVOTE)
        self._sign(VoteKind.PRECOMMIT, block_id, NO_ROUND)

    def _sign(self, kind: VoteKind, block_id: Hash32, valid_round: int) -> None:
        if self.index is None:
            return
        assert (kind, self.round) not in self.own, "I1"
        vote = Vote(kind, self.height, self.round, block_id, valid_round, self.index)
        self.own[(kind, self.round)] = vote
        self._effects.append(Sign(vote))

    def _on_signed(self, signed: Signed) -> None:
        vote = signed.vote
        asked = self.own.get((vote.kind, vote.round))
        if vote.height != self.height or asked is None or not vote.signature:
            return
        assert (asked.block_id, asked.valid_round) == (vote.block_id, vote.valid_round), "I1"
        self.own[(vote.kind, vote.round)] = vote
        self._effects.append(Broadcast(vote))
        if self.decided is None:
            self._keeper.admit(vote)
            self._advance()

    def _rebroadcast(self) -> None:
        """What a stuck round said is said again, and what brings others to it; a signer that was
        away is asked again.

        All that is proven of the round goes to a few peers, others each time: where not everybody
        hears everybody, votes still reach all.
        """
        self._arm(Timer.REBROADCAST, self.parameters.rebroadcast_ns)
        self._effects.append(Broadcast(self.status()))
        if self.step == Step.NEW_HEIGHT:
            return
        for kind in VoteKind:
            vote = self.own.get((kind, self.round))
            if vote is not None:
                self._effects.append(Broadcast(vote) if vote.signature else Sign(vote))
        polka_round = self.round if self._votes().polka is not None else None
        if polka_round is None and self.valid is not None:
            polka_round = self.valid[1]
        polka = None
        if polka_round is not None:
            polka = self._keeper.certificate(VoteKind.PREVOTE, polka_round)
        if polka is not None:
            self._effects.append(Broadcast(polka))
        commit = self._keeper.commit_certificate()
        if commit is not None:
            self._effects.append(Broadcast(commit))
        entry = self._keeper.entry()
        if entry is not None:
            self._effects.append(Broadcast(entry))
        self._keeper.settle()
        everything = self._keeper.everything()
        if everything is not None:
            peers = self._laggards.next_peers(SHARED_PEERS)
            self._effects.extend(Send(peer, everything) for peer in peers)

    # ---- what others say ----

    def _on_received(self, received: Received) -> None:
        message, peer = received.message, received.peer
        try:
            if isinstance(message, Status):
                self._on_status(message, peer)
            elif message.height != self.height or self.decided is not None:
                self._on_elsewhere(message, peer)
            elif isinstance(message, Vote):
                self._on_vote(message, peer)
            elif isinstance(message, Certificate):
                self._on_certificate(message, peer)
            else:
                self._on_round_certificate(message, peer)
        except InvalidMessage as refusal:
            self._effects.append(Punish(peer, refusal.reason, str(refusal)))
        if self.decided is None:
            self._advance_or_wake()
        self._take_findings(self._keeper.findings)

    def _advance_or_wake(self) -> None:
        """A height that waits is woken by what somebody is proven to have said in it."""
        self._advance()
        if self.awaits_work and self._keeper.rounds:
            self._wake()

    def _take_findings(self, findings: list[Effect]) -> None:
        self._effects.extend(findings)
        findings.clear()

    def _on_vote(self, vote: Vote, peer: Peer) -> None:
        assert self.validators is not None
        check_voter(vote, self.validators)
        if vote.validator == self.index:
            self._watch_own_key((vote,), peer)
            return
        if self.awaits_work:
            self._keeper.admit_all((vote,))
        else:
            self._keeper.add(vote, peer)
        self._laggards.heard(peer, self.height)
        if vote.kind == VoteKind.PROPOSAL and self._keeper.is_counted(vote):
            self._from.setdefault(vote.block_id, peer)

    def _on_own_key(self, vote: Vote, peer: Peer) -> None:
        """An echo of what this node said, or somebody who holds its key."""
        own = self.own.get((vote.kind, vote.round))
        if own is not None and (own.block_id, own.valid_round) == (
            vote.block_id,
            vote.valid_round,
        ):
            return
        if self._keeper.holds(vote, peer):
            self._effects.append(Doppelganger(vote))

    def _on_certificate(self, certificate: Certificate, peer: Peer) -> None:
        assert self.validators is not None
        check_shape(certificate, self.validators)
        votes = certificate.votes()
        if self._keeper.admit_all(votes):
            self._from[certificate.block_id] = peer
            if certificate.kind == VoteKind.PRECOMMIT:
                self._laggards.helped(peer)
        self._watch_own_key(votes, peer)

    def _on_round_certificate(self, certificate: RoundCertificate, peer: Peer) -> None:
        assert self.validators is not None
        check_round(certificate, self.validators)
        if certificate.round >= self.round - 1:
            if self._keeper.admit_all(certificate.votes):
                for vote in certificate.votes:
                    if vote.kind == VoteKind.PROPOSAL:
                        self._from.setdefault(vote.block_id, peer)
            self._watch_own_key(certificate.votes, peer)

    def _watch_own_key(self, votes: tuple[Vote, ...], peer: Peer) -> None:
        for vote in votes:
            if vote.validator == self.index and vote.round >= self.round - BEHIND_MAX:
                self._on_own_key(vote, peer)

    def _on_status(self, status: Status, peer: Peer) -> None:
        """A peer says where it is: if behind, it is sent what brings it forward."""
        self._laggards.seen(peer, status.height)
        if not self._may_answer(peer, status.height):
            return
        if status.height > self.height:
            self._effects.append(Send(peer, self.status()))
        elif status.height < self.height:
            self._effects.append(SendDecided(peer, status.height))
        elif self.decided is not None:
            self._effects.append(Send(peer, self.decided))
        elif status.round < self.round:
            entry = self._keeper.entry()
            if entry is not None:
                self._effects.append(Send(peer, entry))

    def _may_answer(self, peer: Peer, height: int) -> bool:
        interval_ns = self.parameters.rebroadcast_ns // 2
        return self._laggards.may_answer(peer, height, self._now_ns, interval_ns)

    def _on_elsewhere(self, message: Vote | Certificate | RoundCertificate, peer: Peer) -> None:
        """Of another height, or of this one when it is decided."""
        if message.height == self.height + 1:
            self._waiting_room.keep(message, peer)
        elif message.height > self.height:
            if self._may_answer(peer, message.height):
                self._effects.append(Send(peer, self.status()))
        elif not isinstance(message, Vote):
            return
        elif message.height == self.height:
            check_voter(message, self._keeper.validators)
            if message.validator != self.index:
                self._keeper.add(message, peer)
        elif message.height == self.height - 1:
            self._last.add(message, peer)
            self._take_findings(self._last.findings)
