"""Each rule of accountable Tendermint, by its lines in arXiv 1807.04938, on one core."""

from __future__ import annotations

import pytest

from ghostchain.consensus.effects import (
    Broadcast,
    Build,
    Built,
    Diverged,
    Entered,
    RoundFailed,
    RoundFailure,
    Send,
    StartHeight,
    Validate,
    Validated,
    Work,
)
from ghostchain.consensus.messages import Certificate, RoundCertificate, Status, Step
from tests.unit.consensus_cluster import MILLISECOND
from tests.unit.consensus_subject import (
    NIL,
    PRECOMMIT,
    PREVOTE,
    PROPOSAL,
    A,
    B,
    Subject,
    peer_of,
)

# Validator 2 proposes in round 0, 0 in round 1, 3 in round 2, 1 in round 3.

# ---- R1, lines 11 to 21 ----


def test_line_14_the_proposer_builds_and_proposes_a_new_value() -> None:
    subject = Subject(2)
    assert subject.wanted(Build) == [Build(1, 0)]
    subject.give(Built(1, 0, A))
    assert subject.own[:2] == [(PROPOSAL, 0, A, -1), (PREVOTE, 0, A, -1)]
    assert [each.message.kind for each in subject.wanted(Broadcast)] == [PROPOSAL, PREVOTE]  # type: ignore[union-attr]


def test_line_16_the_proposer_proposes_its_valid_value_with_its_valid_round() -> None:
    """With the polka, for whoever missed it."""
    subject = Subject(0)
    subject.propose(A)
    subject.prevotes((1, 2), A)
    subject.precommits((1, 3), NIL)
    subject.later(500)
    assert subject.place == (1, Step.PREVOTE)
    assert not subject.wanted(Build)
    assert subject.answer(PROPOSAL, 1) == (A, 0)
    assert subject.answer(PREVOTE, 1) == (A, 0)
    said = [each.message for each in subject.wanted(Broadcast)]
    polka = next(index for index, each in enumerate(said) if isinstance(each, Certificate))
    proposal = said.index(subject.vote(PROPOSAL, 0, A, 1, 0))
    assert polka < proposal


def test_line_21_the_others_await_the_proposal() -> None:
    subject = Subject(1)
    assert not subject.wanted(Build)
    assert subject.core.deadline_ns() == 1_000 * MILLISECOND


def test_a_proposer_that_cannot_build_prevotes_nil_at_once() -> None:
    subject = Subject(2)
    subject.give(Built(1, 0, None, "no room"))
    assert subject.answer(PROPOSAL) is None
    assert subject.answer(PREVOTE) == (NIL, -1)


def test_a_block_built_too_late_is_not_proposed() -> None:
    subject = Subject(2)
    subject.later(1_000)
    subject.give(Built(1, 0, A))
    assert subject.own == [(PREVOTE, 0, NIL, -1)]


def test_a_block_is_built_once_for_a_round() -> None:
    subject = Subject(2)
    subject.later(900)
    subject.give(Work())
    assert subject.wanted(Build) == [Build(1, 0)]


# ---- R2, line 22 ----


def test_line_23_a_valid_proposal_is_prevoted() -> None:
    subject = Subject()
    subject.hear(subject.vote(PROPOSAL, 2, A))
    assert subject.wanted(Validate) == [Validate(1, 0, A, peer_of(2))]
    assert subject.answer(PREVOTE) is None
    subject.give(Validated(1, A, True, round=0))
    assert subject.answer(PREVOTE) == (A, -1)


def test_line_25_an_invalid_proposal_is_answered_by_nil() -> None:
    subject = Subject()
    subject.propose(A, valid=False)
    assert subject.answer(PREVOTE) == (NIL, -1)


def test_line_23_locked_on_another_it_prevotes_nil() -> None:
    subject = Subject()
    subject.locked_on_a()
    subject.propose(B, 1)
    assert subject.answer(PREVOTE, 1) == (NIL, -1)
    assert subject.core.locked == (A, 0)


def test_line_23_locked_on_the_same_it_prevotes_it() -> None:
    """The one proposed as new again is asked about again, for its round is another."""
    subject = Subject()
    subject.locked_on_a()
    subject.propose(A, 1)
    assert subject.answer(PREVOTE, 1) == (A, -1)


def test_line_22_only_in_propose() -> None:
    subject = Subject()
    subject.later(1_000)
    subject.propose(A)
    assert subject.own == [(PREVOTE, 0, NIL, -1)]


def test_the_second_proposal_of_a_round_is_not_answered() -> None:
    subject = Subject()
    subject.propose(A)
    subject.propose(B)
    assert subject.answer(PREVOTE) == (A, -1)


# ---- R3, line 28 ----


def test_line_29_a_polka_later_than_the_lock_frees_from_it() -> None:
    """Locked on A in round 0; a quorum without this validator prevoted B in round 1."""
    subject = Subject(0, (1,) * 7)
    others = range(1, 7)
    subject.propose(A)
    subject.prevotes((1, 2, 3, 4), A)
    assert subject.core.locked == (A, 0)
    subject.precommits(others, NIL)
    subject.later(500)
    subject.later(1_250)
    assert subject.answer(PREVOTE, 1) == (NIL, -1)
    subject.prevotes((1, 2, 3), NIL, 1)
    subject.precommits(others, NIL, 1)
    subject.later(750)
    assert subject.place == (2, Step.PROPOSE)
    subject.hear(subject.certificate(PREVOTE, B, (2, 3, 4, 5, 6), 1))
    assert subject.core.locked == (A, 0)
    subject.propose(B, 2, 1)
    assert subject.answer(PREVOTE, 2) == (B, 1)
    subject.prevotes((2, 3, 4, 5), B, 2, 1)
    assert subject.core.locked == (B, 2)
    assert subject.answer(PRECOMMIT, 2) == (B, -1)


def test_line_29_equal_rounds_suffice() -> None:
    subject = Subject()
    subject.locked_on_a()
    subject.propose(A, 1, 0)
    assert subject.answer(PREVOTE, 1) == (A, 0)


def test_line_29_an_older_polka_does_not_free() -> None:
    """Locked in round 1 on B: a polka of round 0 for A is too old."""
    subject = Subject()
    subject.propose(A, valid=False)
    subject.prevotes((0, 2, 3), A)
    subject.precommits((0, 2, 3), NIL)
    subject.later(500)
    assert subject.core.round == 1
    subject.propose(B, 1)
    subject.prevotes((0, 2), B, 1)
    assert subject.core.locked == (B, 1)
    subject.precommits((0, 2, 3), NIL, 1)
    subject.later(750)
    assert subject.place == (2, Step.PROPOSE)
    subject.propose(A, 2, 0)
    assert subject.answer(PREVOTE, 2) == (NIL, -1)


def test_line_28_without_the_polka_it_waits() -> None:
    subject = Subject()
    subject.precommits((0, 2, 3), NIL)
    subject.later(500)
    assert subject.core.round == 1
    subject.propose(A, 1, 0)
    assert subject.answer(PREVOTE, 1) is None
    subject.prevotes((0, 2), A)
    assert subject.answer(PREVOTE, 1) is None
    subject.prevotes((3,), A)
    subject.judge(A)
    assert subject.answer(PREVOTE, 1) == (A, 0)


def test_line_28_a_polka_certificate_is_as_good_as_its_votes() -> None:
    subject = Subject()
    subject.precommits((0, 2, 3), NIL)
    subject.later(500)
    subject.propose(A, 1, 0)
    subject.hear(subject.certificate(PREVOTE, A, (0, 2, 3)))
    assert subject.wanted(Validate)[-1].round is None
    subject.judge(A)
    assert subject.answer(PREVOTE, 1) == (A, 0)


# ---- R4, line 34 ----


def test_line_34_any_quorum_of_prevotes_waits_once() -> None:
    subject = Subject()
    subject.propose(A)
    subject.later(100)
    subject.prevotes((0,), B)
    assert subject.core.deadline_ns() == 1_000 * MILLISECOND
    subject.prevotes((2,), NIL)
    assert subject.core.deadline_ns() == 600 * MILLISECOND
    subject.later(100)
    subject.prevotes((3,), B)
    assert subject.core.deadline_ns() == 600 * MILLISECOND


# ---- R5, line 36 ----


def test_line_37_a_polka_locks_and_precommits() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0,), A)
    assert subject.core.locked is None
    subject.prevotes((3,), A)
    assert subject.core.locked == subject.core.valid == (A, 0)
    assert subject.answer(PRECOMMIT) == (A, -1)


def test_line_42_after_a_nil_precommit_a_polka_is_only_remembered() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), NIL)
    subject.later(500)
    assert subject.answer(PRECOMMIT) == (NIL, -1)
    subject.hear(subject.certificate(PREVOTE, A, (0, 2, 3)))
    assert subject.core.valid == (A, 0)
    assert subject.core.locked is None
    assert len(subject.own) == 2


def test_line_36_waits_for_the_block() -> None:
    subject = Subject()
    subject.later(1_000)
    subject.prevotes((0, 2, 3), A)
    assert subject.answer(PRECOMMIT) is None
    subject.judge(A)
    assert subject.answer(PRECOMMIT) == (A, -1)


def test_line_36_an_invalid_block_is_never_locked() -> None:
    subject = Subject()
    subject.propose(A, valid=False)
    subject.prevotes((0, 2, 3), A)
    subject.judge(A, valid=False)
    assert subject.core.locked is None
    subject.later(500)
    assert subject.answer(PRECOMMIT) == (NIL, -1)


def test_line_36_prevotes_of_different_valid_rounds_are_no_polka() -> None:
    """The accountable addition: a polka is Q prevotes with one valid round."""
    subject = Subject()
    subject.locked_on_a()
    subject.propose(A, 1)
    subject.hear(subject.vote(PREVOTE, 0, A, 1, 0))
    subject.hear(subject.vote(PREVOTE, 2, A, 1, 0))
    assert subject.answer(PRECOMMIT, 1) is None
    subject.hear(subject.vote(PREVOTE, 3, A, 1, 0))
    assert subject.answer(PRECOMMIT, 1) == (A, -1)


def test_line_38_a_lock_moves_only_to_a_later_round() -> None:
    subject = Subject()
    subject.locked_on_a()
    subject.hear(subject.certificate(PREVOTE, B, (0, 2, 3)))
    subject.judge(B)
    assert subject.core.locked == (A, 0)
    subject.propose(B, 1)
    subject.prevotes((0, 2, 3), B, 1)
    assert subject.core.locked == (B, 1)
    assert subject.answer(PRECOMMIT, 1) == (B, -1)


def test_no_proposal_talks_an_honest_validator_into_evidence_against_itself() -> None:
    """It precommitted A, then B. A liar proposes B as if it were new: a prevote for that, with no
    valid round, would together with the precommit for A be evidence of amnesia."""
    for valid_round, answer in ((-1, (NIL, -1)), (1, (B, 1))):
        subject = Subject()
        subject.locked_on_a()
        subject.propose(B, 1)
        subject.prevotes((0, 2, 3), B, 1)
        assert subject.answer(PRECOMMIT, 1) == (B, -1)
        subject.precommits((0, 2, 3), NIL, 1)
        subject.later(750)
        assert subject.place == (2, Step.PROPOSE)
        subject.propose(B, 2, valid_round)
        assert subject.answer(PREVOTE, 2) == answer


# ---- R6, line 44 ----


def test_line_44_a_quorum_of_nil_precommits_nil() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), NIL)
    assert subject.answer(PRECOMMIT) is None
    subject.prevotes((3,), NIL)
    assert subject.answer(PRECOMMIT) == (NIL, -1)


def test_line_44_only_in_prevote() -> None:
    subject = Subject()
    subject.prevotes((0, 2, 3), NIL)
    assert subject.answer(PRECOMMIT) is None
    subject.propose(A)
    assert subject.own == [(PREVOTE, 0, A, -1), (PRECOMMIT, 0, NIL, -1)]


# ---- R7, line 47 ----


def test_line_47_any_quorum_of_precommits_waits_once() -> None:
    subject = Subject()
    subject.later(100)
    subject.precommits((0, 2), A)
    subject.precommits((3,), NIL)
    assert subject.core.deadline_ns() == 600 * MILLISECOND
    effects = subject.later(500)
    assert Entered(1, 1, Step.PROPOSE) in effects


# ---- R8, line 49 ----


def test_line_49_a_quorum_of_precommits_decides() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), A)
    subject.precommits((0,), A)
    assert subject.decision is None
    subject.precommits((3,), A)
    assert subject.decision is not None
    assert (subject.decision.block_id, subject.decision.round) == (A, 0)
    assert subject.decision.certificate.signers == (0, 1, 3)
    assert subject.core.deadline_ns() is None


def test_line_49_in_any_round() -> None:
    """Votes of round 0 decide although this validator is in round 1 by then."""
    subject = Subject()
    subject.locked_on_a()
    subject.precommits((2,), A)
    assert subject.decision is None
    subject.hear(subject.certificate(PRECOMMIT, A, (0, 1, 2)))
    assert subject.decision is not None
    assert subject.decision.round == 0


def test_line_49_waits_for_the_block() -> None:
    subject = Subject()
    subject.precommits((0, 2, 3), A)
    assert subject.wanted(Validate) == [Validate(1, None, A, b"")]
    assert subject.decision is None
    subject.judge(A)
    assert subject.decision is not None


def test_a_commit_certificate_alone_decides() -> None:
    """For one that waits, and knows of nothing."""
    subject = Subject(has_work=False)
    subject.hear(subject.certificate(PRECOMMIT, A, (0, 2, 3)))
    assert subject.wanted(Validate) == [Validate(1, None, A, peer_of(99))]
    subject.judge(A)
    assert subject.decision is not None


def test_a_committed_block_that_is_invalid_here_stops_the_node_loudly() -> None:
    subject = Subject()
    subject.hear(subject.certificate(PRECOMMIT, A, (0, 2, 3)))
    effects = subject.give(Validated(1, A, False, "another state root"))
    assert effects == [Diverged(1, A, "another state root")]
    assert subject.decision is None


def test_line_49_nil_is_never_decided() -> None:
    subject = Subject()
    subject.precommits((0, 2, 3), NIL)
    assert subject.decision is None


def test_line_53_locks_are_cleared_by_deciding() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), A)
    subject.precommits((0, 2), A)
    assert subject.decision is not None
    subject.give(StartHeight(2, subject.validators, True))
    assert subject.core.locked is None
    assert subject.core.valid is None
    assert subject.core.own == {}


# ---- R9, line 55 ----


def test_line_55_f_plus_one_in_a_later_round_bring_it_there() -> None:
    subject = Subject()
    subject.prevotes((0,), NIL, 5)
    assert subject.core.round == 0
    effects = subject.prevotes((3,), NIL, 5)
    assert subject.place == (5, Step.PROPOSE)
    failed = next(effect for effect in effects if isinstance(effect, RoundFailed))
    assert failed.reason == RoundFailure.SKIPPED


def test_line_55_power_counts_not_heads() -> None:
    subject = Subject(1, (1, 4, 1, 1, 5))
    subject.prevotes((0, 2, 3), NIL, 3)
    assert subject.core.round == 0
    subject.prevotes((4,), NIL, 3)
    assert subject.core.round == 3


def test_line_55_one_validator_counts_once() -> None:
    subject = Subject()
    subject.prevotes((0,), NIL, 5)
    subject.precommits((0,), NIL, 5)
    subject.precommits((0,), NIL, 6)
    assert subject.core.round == 0


def test_line_55_different_later_rounds_bring_it_to_the_lower() -> None:
    subject = Subject()
    subject.prevotes((0,), NIL, 9)
    subject.prevotes((3,), NIL, 4)
    assert subject.core.round == 4


def test_a_round_certificate_brings_it_there() -> None:
    subject = Subject()
    votes = (subject.vote(PREVOTE, 0, NIL, 7), subject.vote(PRECOMMIT, 3, NIL, 7))
    subject.hear(RoundCertificate(1, 7, votes))
    assert subject.core.round == 7


def test_a_skipped_rounds_timeouts_are_stale() -> None:
    """Malachite 9aa00970: the timeout of the round left does nothing to the round entered."""
    subject = Subject()
    subject.later(900)
    subject.prevotes((0, 3), NIL, 1)
    assert subject.place == (1, Step.PROPOSE)
    subject.later(200)
    assert subject.place == (1, Step.PROPOSE)
    assert subject.own == []
    subject.later(1_050)
    assert subject.answer(PREVOTE, 1) == (NIL, -1)


def test_a_skip_arms_the_waits_of_its_round_anew() -> None:
    subject = Subject()
    subject.precommits((0, 2, 3), NIL)
    subject.prevotes((0, 3), NIL, 1)
    subject.precommits((0, 2, 3), NIL, 1)
    assert subject.core.round == 1
    subject.later(749)
    assert subject.core.round == 1
    subject.later(1)
    assert subject.core.round == 2


# ---- R10, lines 57 to 65 ----


def test_line_57_no_proposal_prevotes_nil() -> None:
    subject = Subject()
    subject.later(999)
    assert subject.own == []
    subject.later(1)
    assert subject.answer(PREVOTE) == (NIL, -1)


def test_line_61_no_agreement_precommits_nil() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), NIL)
    subject.later(499)
    assert subject.answer(PRECOMMIT) is None
    subject.later(1)
    assert subject.answer(PRECOMMIT) == (NIL, -1)


def test_line_65_no_decision_enters_the_next_round() -> None:
    subject = Subject()
    subject.precommits((0, 2, 3), NIL)
    subject.later(500)
    assert subject.place == (1, Step.PROPOSE)


@pytest.mark.parametrize(
    ("round", "propose_ms", "vote_ms"),
    [(0, 1_000, 500), (1, 1_250, 750), (18, 5_500, 5_000), (36, 10_000, 5_000), (10**6,) * 3],
)
def test_timeouts_grow_by_a_step_and_are_capped(round: int, propose_ms: int, vote_ms: int) -> None:
    parameters = Subject().parameters
    assert parameters.propose_ns(round) == min(propose_ms, 10_000) * MILLISECOND
    assert parameters.vote_ns(round) == min(vote_ms, 5_000) * MILLISECOND


# ---- why a round failed ----


def failure_of(subject: Subject) -> RoundFailed:
    return subject.wanted(RoundFailed)[0]


def test_a_failed_round_says_that_no_proposal_came_and_who_was_silent() -> None:
    subject = Subject()
    subject.later(1_000)
    subject.prevotes((0, 3), NIL)
    subject.precommits((0, 3), NIL)
    subject.later(500)
    assert failure_of(subject) == RoundFailed(1, 0, RoundFailure.NO_PROPOSAL, 2, (2,))


def test_a_failed_round_says_that_the_block_was_missing() -> None:
    subject = Subject()
    subject.hear(subject.vote(PROPOSAL, 2, A))
    subject.precommits((0, 2, 3), NIL)
    subject.time_out()
    assert failure_of(subject).reason == RoundFailure.BLOCK_MISSING


def test_a_failed_round_says_that_the_block_was_invalid() -> None:
    subject = Subject()
    subject.propose(A, valid=False)
    subject.precommits((0, 2, 3), NIL)
    subject.time_out()
    assert failure_of(subject).reason == RoundFailure.BLOCK_INVALID


def test_a_failed_round_says_which_votes_were_split() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), NIL)
    subject.precommits((0, 2, 3), NIL)
    subject.time_out()
    assert failure_of(subject).reason == RoundFailure.PREVOTES_SPLIT
    subject = Subject()
    subject.locked_on_a()
    assert failure_of(subject).reason == RoundFailure.PRECOMMITS_SPLIT


# ---- waiting for something to decide about ----


def test_an_idle_height_waits_for_the_heartbeat() -> None:
    subject = Subject(has_work=False)
    subject.later(5_999)
    assert subject.core.step == Step.NEW_HEIGHT
    subject.later(1)
    assert subject.place == (0, Step.PROPOSE)


def test_work_wakes_an_idle_height() -> None:
    subject = Subject(has_work=False)
    subject.later(3_000)
    subject.give(Work())
    assert subject.place == (0, Step.PROPOSE)


def test_a_vote_wakes_an_idle_height_and_a_forged_one_does_not() -> None:
    subject = Subject(has_work=False)
    forged = subject.vote(PREVOTE, 0, NIL)
    forged = type(forged)(PREVOTE, 1, 0, NIL, -1, 0, bytes(64))
    subject.hear(forged, peer_of(3))
    assert subject.core.step == Step.NEW_HEIGHT
    assert subject.punished() == [peer_of(3)]
    subject.hear(subject.vote(PREVOTE, 0, NIL))
    assert subject.place == (0, Step.PROPOSE)


def test_a_block_follows_the_last_after_the_interval() -> None:
    subject = Subject()
    subject.now_ns = 10_030 * MILLISECOND
    subject.give(StartHeight(2, subject.validators, True, decided_ns=10_000 * MILLISECOND))
    assert subject.core.step == Step.NEW_HEIGHT
    assert subject.core.deadline_ns() == 10_050 * MILLISECOND
    subject.later(20)
    assert subject.place == (0, Step.PROPOSE)


# ---- said again ----


def test_a_stuck_round_says_again_what_it_said() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), A)
    subject.effects.clear()
    subject.later(1_000)
    said = [each.message for each in subject.wanted(Broadcast)]
    assert said[0] == Status(1, 0, Step.PRECOMMIT)
    assert subject.vote(PREVOTE, 1, A) in said
    assert subject.vote(PRECOMMIT, 1, A) in said
    assert subject.certificate(PREVOTE, A, (0, 1, 2)) in said


def test_an_idle_node_says_only_where_it_is() -> None:
    subject = Subject(has_work=False)
    effects = subject.later(1_000)
    assert effects == [Broadcast(Status(1, 0, Step.NEW_HEIGHT))]


def test_a_peer_of_an_earlier_round_is_sent_what_brings_it_here() -> None:
    subject = Subject()
    subject.prevotes((0, 3), NIL, 5)
    effects = subject.hear(Status(1, 2, Step.PROPOSE), peer_of(2))
    assert len(effects) == 1
    assert isinstance(effects[0], Send)
    other = Subject(2)
    other.hear(effects[0].message)
    assert other.core.round == 5


def test_after_a_round_that_ended_its_precommits_bring_others_on() -> None:
    """Line 47 for one that missed them."""
    subject = Subject()
    subject.precommits((0, 2, 3), NIL)
    subject.later(500)
    effects = subject.hear(Status(1, 0, Step.PREVOTE), peer_of(0))
    assert isinstance(effects[0], Send)
    other = Subject(0)
    other.hear(effects[0].message)
    other.later(500)
    assert other.core.round == 1
