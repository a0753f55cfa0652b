"""A polka of an earlier round, learnt late: its block is what this validator proposes, for one that
locked on it may never see it proposed otherwise."""

from __future__ import annotations

import pytest

from ghostchain.consensus.core import Consensus
from ghostchain.consensus.effects import (
    Broadcast,
    Build,
    Built,
    Effect,
    Resume,
    StartHeight,
    Validate,
    Validated,
)
from ghostchain.consensus.messages import Certificate, Step
from ghostchain.consensus.records import decode_record, encode_record
from ghostchain.consensus.timers import Parameters
from ghostchain.consensus.votes import BEHIND_MAX, POLKAS_MAX
from ghostchain.encoding.votes import VoteKind
from tests.unit.consensus_cluster import CHAIN_ID, key_of, verify
from tests.unit.consensus_subject import (
    NIL,
    PREVOTE,
    PROPOSAL,
    A,
    B,
    Subject,
    peer_of,
)

# Validator 2 proposes in round 0, 0 in round 1, 3 in round 2, 1 in round 3.

OTHERS = (0, 2, 3)


def in_round_1(subject: Subject) -> Subject:
    """Round 0 ends with its block here, and no polka heard of."""
    subject.propose(A)
    return in_next_round(subject)


def in_next_round(subject: Subject) -> Subject:
    """The others precommit nil, and the round ends."""
    round = subject.core.round
    subject.precommits([index for index in OTHERS if index != subject.index], NIL, round)
    if subject.index in OTHERS:
        subject.precommits((1,), NIL, round)
    subject.later(subject.parameters.vote_ns(round) // 1_000_000)
    assert subject.core.round == round + 1
    return subject


def said(subject: Subject) -> list[object]:
    return [each.message for each in subject.wanted(Broadcast)]


def test_a_late_polka_is_valid_and_proposed_with_its_round() -> None:
    """It came by certificate in round 1; this validator proposes in round 3, with the polka."""
    subject = in_round_1(Subject(1))
    polka = subject.certificate(PREVOTE, A, OTHERS)
    subject.hear(polka)
    assert subject.core.valid == (A, 0)
    assert subject.core.locked is None
    in_next_round(in_next_round(subject))
    assert subject.place[0] == 3
    assert not subject.wanted(Build)
    assert subject.answer(PROPOSAL, 3) == (A, 0)
    assert subject.answer(PREVOTE, 3) == (A, 0)
    messages = said(subject)
    proposal = messages.index(subject.vote(PROPOSAL, 1, A, 3, 0))
    shown = next(one for one in messages[:proposal] if isinstance(one, Certificate))
    assert (shown.kind, shown.round, shown.block_id) == (PREVOTE, 0, A)
    assert set(polka.signers) <= set(shown.signers)


def test_a_late_polka_may_come_vote_by_vote() -> None:
    subject = in_round_1(Subject(1))
    subject.prevotes((0, 2), A)  # the third is its own
    assert subject.core.valid == (A, 0)


def test_a_late_polka_waits_for_its_block() -> None:
    """Asked of whoever showed the polka; as a block that a quorum vouches for."""
    subject = in_next_round(Subject(1))
    subject.hear(subject.certificate(PREVOTE, A, OTHERS), peer_of(3))
    assert subject.wanted(Validate) == [Validate(1, None, A, peer_of(3))]
    assert subject.core.valid is None
    in_next_round(subject)
    assert len(subject.wanted(Validate)) == 1
    subject.judge(A)
    assert subject.core.valid == (A, 0)


def test_a_late_polka_for_an_invalid_block_is_never_valid() -> None:
    subject = in_next_round(Subject(1))
    subject.hear(subject.certificate(PREVOTE, A, OTHERS))
    subject.judge(A, valid=False)
    in_next_round(in_next_round(subject))
    assert subject.core.valid is None
    assert subject.wanted(Build) == [Build(1, 3)]


def test_the_latest_polka_is_valid() -> None:
    """Whichever comes first, and an older one changes nothing."""
    for rounds in ((0, 1), (1, 0)):
        subject = in_round_1(Subject(1))
        subject.propose(B, 1)
        in_next_round(subject)
        blocks = {0: A, 1: B}
        for round in rounds:
            subject.hear(subject.certificate(PREVOTE, blocks[round], OTHERS, round))
        assert subject.core.valid == (B, 1)
        assert subject.core.locked is None


def test_no_lock_moves_by_a_late_polka() -> None:
    """Locked on A in round 0; a polka of round 1 for B comes in round 2: B is what it proposes, and
    what it is locked on stays, until it prevotes."""
    subject = Subject(1)
    subject.locked_on_a()
    subject.propose(B, 1)
    in_next_round(subject)
    subject.hear(subject.certificate(PREVOTE, B, OTHERS, 1))
    assert subject.core.valid == (B, 1)
    assert subject.core.locked == (A, 0)
    in_next_round(subject)
    assert subject.answer(PROPOSAL, 3) == (B, 1)
    assert subject.answer(PREVOTE, 3) == (B, 1)
    subject.prevotes((0, 2), B, 3, 1)
    assert subject.core.locked == subject.core.valid == (B, 3)


def test_a_polka_of_the_round_just_left_counts_for_its_next_proposer() -> None:
    """It stood in PROPOSE, where line 36 does not apply, when the others had gone on."""
    subject = Subject(0)
    subject.hear(subject.vote(PROPOSAL, 2, A))
    subject.prevotes((1, 2, 3), A)
    assert subject.place == (0, Step.PROPOSE)
    for ask in subject.wanted(Validate):
        if ask.round is None:
            subject.give(Validated(1, A, True, round=None))
    assert subject.core.valid is None
    subject.prevotes((2, 3), NIL, 1)
    assert subject.place[0] == 1
    assert subject.core.valid == (A, 0)
    assert subject.answer(PROPOSAL, 1) == (A, 0)
    assert not subject.wanted(Build)


def test_a_block_that_came_after_its_round_is_valid() -> None:
    """Line 36 waited for the block in vain while the round lasted."""
    subject = Subject(1)
    subject.later(1_000)
    subject.prevotes(OTHERS, A)
    assert subject.core.valid is None
    in_next_round(subject)
    subject.judge(A)
    assert subject.core.valid == (A, 0)
    assert subject.core.locked is None


@pytest.mark.parametrize("is_here", [True, False])
def test_the_polka_of_a_late_valid_value_is_kept(is_here: bool) -> None:
    """However many rounds pass: a proposal without its polka moves nobody. So it is for a block
    that comes long after the polka."""
    subject = in_next_round(Subject(1))
    subject.hear(subject.certificate(PREVOTE, A, OTHERS))
    if is_here:
        subject.judge(A)
    for _ in range(BEHIND_MAX + POLKAS_MAX + 3):
        in_next_round(subject)
    if not is_here:
        subject.judge(A)
    assert subject.core.valid == (A, 0)
    subject.effects.clear()
    while subject.answer(PROPOSAL, subject.core.round) is None:
        in_next_round(subject)
    assert subject.answer(PROPOSAL, subject.core.round) == (A, 0)
    shown = [one for one in said(subject) if isinstance(one, Certificate) and one.kind == PREVOTE]
    assert (shown[0].round, shown[0].block_id) == (0, A)


def test_a_polka_of_a_round_long_forgotten_is_learnt() -> None:
    """The votes of that round are no longer kept; the certificate brings them."""
    subject = in_round_1(Subject(1))
    for _ in range(BEHIND_MAX + 3):
        in_next_round(subject)
    assert subject.core._keeper.at(0) is None
    subject.hear(subject.certificate(PREVOTE, A, OTHERS))
    assert subject.core.valid == (A, 0)
    in_next_round(subject)
    assert subject.core._keeper.polka(0, A)


def test_one_that_locked_alone_is_joined() -> None:
    """Powers 100, 100, 100, 1 and one silent: all three others are needed for a quorum of 201, the
    one of power 1 is locked on A by a polka that it alone saw. It shows that to a validator that
    proposes: its proposal carries what the lock asks for."""
    proposer = Subject(0, (100, 100, 100, 1))
    locked = Subject(3, (100, 100, 100, 1))
    for subject in (proposer, locked):
        round_0 = subject.validators.proposer(1, 0)
        if subject.index != round_0:
            subject.propose(A)
        else:
            subject.give(Built(1, 0, A))
    locked.prevotes((0, 1, 2), A)
    assert locked.core.locked == (A, 0)
    for subject in (proposer, locked):
        subject.precommits((1, 2), NIL)
        subject.precommits((0,) if subject is locked else (3,), NIL)
        subject.later(500)
        assert subject.core.round == 1
    polka = locked.core._keeper.certificate(PREVOTE, 0)
    assert polka is not None
    proposer.hear(polka)
    assert proposer.core.valid == (A, 0)


def test_a_short_memory_keeps_a_late_polka() -> None:
    """Also one whose block is not here yet: what took the inputs' place must lead to the same."""
    for is_here in (True, False):
        subject = in_next_round(Subject(1))
        subject.hear(subject.certificate(PREVOTE, A, OTHERS))
        if is_here:
            subject.judge(A)
        for _ in range(4):
            in_next_round(subject)
        subject.later(subject.parameters.propose_ns(5) // 1_000_000)
        resume = subject.core.resume()
        assert resume is not None
        _, copy = decode_record(encode_record(0, resume))
        other = Consensus(CHAIN_ID, key_of(1), Parameters(), verify)
        other.apply(StartHeight(1, subject.validators, True), now_ns=0)
        assert isinstance(copy, Resume)
        wanted = other.apply(copy, now_ns=subject.now_ns)
        assert other.valid == ((A, 0) if is_here else None)
        assert other._keeper.certificate(PREVOTE, 0) is not None
        assert asks(wanted) == ([] if is_here else [Validate(1, None, A, b"")])


def asks(effects: tuple[Effect, ...]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, Validate)]


def test_a_replay_learns_the_same() -> None:
    subject = in_round_1(Subject(1))
    subject.hear(subject.certificate(PREVOTE, A, OTHERS))
    in_next_round(in_next_round(subject))
    other = Consensus(CHAIN_ID, key_of(1), Parameters(), verify)
    for entry, now_ns in subject.inputs:
        other.apply(entry, now_ns=now_ns)
    assert other.valid == (A, 0)
    assert other.digest() == subject.core.digest()
    assert (VoteKind.PROPOSAL, 3) in other.own


def test_votes_below_a_quorum_are_no_late_polka() -> None:
    subject = in_round_1(Subject(1))
    subject.prevotes((0,), A)
    assert subject.core.valid is None
    assert subject.core._keeper.polka_round == -1
    subject.hear(subject.certificate(PREVOTE, NIL, OTHERS))
    assert subject.core.valid is None
    assert subject.core._keeper.polka_round == -1
