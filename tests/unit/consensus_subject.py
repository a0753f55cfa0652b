"""One core of consensus under test, with the votes of everybody else in the test's hands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from ghostchain.consensus.certificates import Verify, certificate_of
from ghostchain.consensus.core import Consensus
from ghostchain.consensus.effects import (
    Decide,
    Effect,
    Entered,
    Input,
    Punish,
    Received,
    Sign,
    Signed,
    StartHeight,
    Tick,
    Validate,
    Validated,
)
from ghostchain.consensus.messages import Certificate, Message, Step, Vote
from ghostchain.consensus.timers import Parameters
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Hash32
from tests.unit.consensus_cluster import CHAIN_ID, key_of, signed, validator_set, verify

PROPOSAL, PREVOTE, PRECOMMIT = VoteKind.PROPOSAL, VoteKind.PREVOTE, VoteKind.PRECOMMIT
NIL = Hash32(NIL_BLOCK)
A, B, C = (Hash32(keccak256(name)) for name in (b"a", b"b", b"c"))

Kind = TypeVar("Kind")


def peer_of(validator: int) -> bytes:
    return bytes([validator + 1]) * 32


class Subject:
    """A core at height 1, of validators with equal power unless said otherwise. Their proposers at
    height 1 are, from round 0 on, 2, 0, 3, 1, 0, 2, 1, 3. What it wants signed is signed at once,
    unless `signs` is taken from it."""

    def __init__(
        self,
        index: int | None = 1,
        powers: Sequence[int] = (1, 1, 1, 1),
        *,
        has_work: bool = True,
        parameters: Parameters | None = None,
        verify: Verify = verify,
    ) -> None:
        self.validators: ValidatorSet = validator_set(powers)
        self.parameters = parameters or Parameters()
        key = None if index is None else key_of(index)
        self.core = Consensus(CHAIN_ID, key, self.parameters, verify)
        self.index = index
        self.now_ns = 0
        self.signs = True
        self.effects: list[Effect] = []
        self.inputs: list[tuple[Input, int]] = []
        self.give(StartHeight(1, self.validators, has_work))

    # ---- what goes in ----

    def give(self, input: Input) -> list[Effect]:
        """All that it wants because of the input, and of the signatures that it wants."""
        self.inputs.append((input, self.now_ns))
        effects = list(self.core.apply(input, now_ns=self.now_ns))
        self.effects += effects
        for effect in list(effects):
            if isinstance(effect, Sign) and self.signs:
                effects += self.give(Signed(signed(effect.vote, key_of(effect.vote.validator))))
        return effects

    def hear(self, message: Message, peer: bytes | None = None) -> list[Effect]:
        if peer is None:
            peer = peer_of(message.validator) if isinstance(message, Vote) else peer_of(99)
        return self.give(Received(message, peer))

    def vote(
        self,
        kind: VoteKind,
        validator: int,
        block_id: Hash32,
        round: int = 0,
        valid_round: int = NO_ROUND,
        height: int = 1,
    ) -> Vote:
        vote = Vote(kind, height, round, block_id, valid_round, validator)
        return signed(vote, self.validators[validator].key)

    def propose(
        self, block_id: Hash32, round: int = 0, valid_round: int = NO_ROUND, *, valid: bool = True
    ) -> list[Effect]:
        """The proposer's proposal, and the application's judgement."""
        proposer = self.validators.proposer(1, round)
        effects = self.hear(self.vote(PROPOSAL, proposer, block_id, round, valid_round))
        return effects + self.judge(block_id, valid=valid)

    def judge(self, block_id: Hash32, *, valid: bool = True) -> list[Effect]:
        """Answer whatever was asked of the block and is not answered."""
        effects = []
        answered = {
            (entry.block_id, entry.round)
            for entry, _ in self.inputs
            if isinstance(entry, Validated)
        }
        for ask in self.wanted(Validate):
            if ask.block_id == block_id and (block_id, ask.round) not in answered:
                effects += self.give(Validated(1, block_id, valid, round=ask.round))
        return effects

    def prevotes(
        self, validators: Iterable[int], block_id: Hash32, round: int = 0, valid_round: int = -1
    ) -> list[Effect]:
        effects = []
        for validator in validators:
            effects += self.hear(self.vote(PREVOTE, validator, block_id, round, valid_round))
        return effects

    def precommits(
        self, validators: Iterable[int], block_id: Hash32, round: int = 0
    ) -> list[Effect]:
        effects = []
        for validator in validators:
            effects += self.hear(self.vote(PRECOMMIT, validator, block_id, round))
        return effects

    def later(self, milliseconds: int) -> list[Effect]:
        """Time passes, with a tick at each deadline."""
        effects = []
        end_ns = self.now_ns + milliseconds * 1_000_000
        while (due_ns := self.core.deadline_ns()) is not None and due_ns <= end_ns:
            self.now_ns = max(due_ns, self.now_ns)
            effects += self.give(Tick())
        self.now_ns = end_ns
        return effects

    def time_out(self) -> list[Effect]:
        """What happens within a quarter more than the longest timeout of the first rounds."""
        return self.later(2_500)

    def certificate(
        self,
        kind: VoteKind,
        block_id: Hash32,
        validators: Iterable[int],
        round: int = 0,
        height: int = 1,
    ) -> Certificate:
        votes = [self.vote(kind, index, block_id, round, height=height) for index in validators]
        return certificate_of(votes, len(self.validators))

    # ---- what came out ----

    def wanted(self, kind: type[Kind]) -> list[Kind]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def own(self) -> list[tuple[VoteKind, int, Hash32, int]]:
        """What it signed: kind, round, block, valid round."""
        return [
            (sign.vote.kind, sign.vote.round, sign.vote.block_id, sign.vote.valid_round)
            for sign in self.wanted(Sign)
        ]

    def answer(self, kind: VoteKind, round: int = 0) -> tuple[Hash32, int] | None:
        """The block, and valid round, of what it signed there."""
        votes = [vote[2:] for vote in self.own if vote[:2] == (kind, round)]
        assert len(votes) <= 1
        return votes[0] if votes else None

    @property
    def place(self) -> tuple[int, Step]:
        return self.core.round, self.core.step

    @property
    def decision(self) -> Decide | None:
        decisions = self.wanted(Decide)
        assert len(decisions) <= 1
        return decisions[0] if decisions else None

    def entered(self) -> list[tuple[int, Step]]:
        return [(effect.round, effect.step) for effect in self.wanted(Entered)]

    def punished(self) -> list[bytes]:
        return [effect.peer for effect in self.wanted(Punish)]

    def locked_on_a(self) -> None:
        """Round 0 ends with this validator locked on A and nothing decided; round 1 begins."""
        self.propose(A)
        self.prevotes((0, 2), A)
        assert self.core.locked == (A, 0)
        self.precommits((0, 3), NIL)
        self.later(500)
        assert self.place == (1, Step.PROPOSE)
