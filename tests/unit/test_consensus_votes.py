"""Hostile votes: forged, doubled, forgotten, flooded. Each is named, punished or proven, and keeps
no honest vote from counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ghostchain.consensus.certificates import SignatureItem
from ghostchain.consensus.effects import Decide, Doppelganger, Punish, Received, Report, StartHeight
from ghostchain.consensus.messages import (
    Certificate,
    Message,
    MessageReason,
    RoundCertificate,
    Step,
    Vote,
)
from ghostchain.consensus.votes import AHEAD_MAX, BEHIND_MAX, is_amnesia
from tests.unit.consensus_cluster import key_of, validator_set, verify
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

FORGER = peer_of(77)


def forged(vote: Vote, filler: int = 0) -> Vote:
    return replace(vote, signature=bytes([filler]) * 64)


class Counter:
    """Verifies, and notes how many signatures each batch had."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, items: Sequence[SignatureItem]) -> list[bool]:
        self.batches.append(len(items))
        return verify(items)


# ---- verified late, in batches ----


def test_votes_are_verified_in_one_batch_once_they_could_be_a_quorum() -> None:
    """Of ten: the proposal, then six prevotes beside the own at once; the other three never."""
    count = Counter()
    subject = Subject(0, (1,) * 10, verify=count)
    subject.propose(A)
    assert count.batches == [1]
    subject.prevotes(range(1, 6), A)
    assert count.batches == [1]
    subject.prevotes(range(6, 7), A)
    assert count.batches == [1, 6]
    assert subject.answer(PRECOMMIT) == (A, -1)
    subject.prevotes(range(7, 10), A)
    assert count.batches == [1, 6]


def test_a_bad_signature_in_the_batch_is_found_and_its_bringer_punished() -> None:
    subject = Subject()
    subject.propose(A)
    subject.hear(forged(subject.vote(PREVOTE, 0, A)), FORGER)
    assert subject.punished() == []
    subject.prevotes((3,), A)
    assert subject.punished() == [FORGER]
    assert subject.wanted(Punish)[0].reason == MessageReason.INVALID_SIGNATURE
    assert subject.answer(PRECOMMIT) is None
    subject.prevotes((0,), A)
    assert subject.answer(PRECOMMIT) == (A, -1)


@pytest.mark.parametrize("same", [True, False], ids=["same block", "another block"])
def test_forged_votes_that_come_first_crowd_no_real_one_out(same: bool) -> None:
    """For every place in the round; each forger is punished as soon as the real vote comes."""
    subject = Subject(1, (1,) * 10)
    for number, validator in enumerate((0, *range(2, 10))):
        for kind in (PREVOTE, PRECOMMIT):
            block = A if same else B
            subject.hear(forged(subject.vote(kind, validator, block)), peer_of(100 + number))
    subject.propose(A)
    others = [index for index in range(10) if index != 1]
    subject.prevotes(others, A)
    subject.precommits(others, A)
    assert subject.decision is not None
    assert set(subject.punished()) <= {peer_of(100 + number) for number in range(9)}
    assert len(set(subject.punished())) >= 6


def test_a_forger_that_comes_second_changes_nothing() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0,), A)
    subject.hear(forged(subject.vote(PREVOTE, 0, B)), FORGER)
    subject.hear(forged(subject.vote(PREVOTE, 0, A)), FORGER)
    subject.prevotes((3,), A)
    assert subject.answer(PRECOMMIT) == (A, -1)
    assert set(subject.punished()) == {FORGER}
    assert subject.wanted(Report) == []


def test_an_echo_costs_nothing() -> None:
    count = Counter()
    subject = Subject(verify=count)
    subject.propose(A)
    vote = subject.vote(PREVOTE, 0, A)
    for _ in range(5):
        subject.hear(vote)
    subject.prevotes((3,), A)
    batches = list(count.batches)
    for peer in range(5):
        subject.hear(vote, peer_of(peer))
    assert count.batches == batches
    assert not subject.core.must_log(vote)


def test_forged_votes_of_later_rounds_are_punished_at_once() -> None:
    subject = Subject()
    subject.hear(forged(subject.vote(PREVOTE, 0, A, 9)), FORGER)
    assert subject.punished() == [FORGER]
    subject.prevotes((0,), NIL, 9)
    assert subject.core.round == 0


@pytest.mark.parametrize("round", [0, 3])
def test_strangers_and_wrong_proposers_are_punished(round: int) -> None:
    subject = Subject()
    stranger = replace(subject.vote(PREVOTE, 0, A, round), validator=4)
    usurper = subject.vote(PROPOSAL, 3 if round == 0 else 2, A, round)
    subject.hear(stranger, FORGER)
    subject.hear(usurper, FORGER)
    assert [punish.reason for punish in subject.wanted(Punish)] == [
        MessageReason.UNKNOWN_VALIDATOR,
        MessageReason.NOT_THE_PROPOSER,
    ]
    assert subject.own == []


def test_a_vote_signed_for_another_chain_or_height_counts_nowhere() -> None:
    subject = Subject()
    subject.propose(A)
    elsewhere = replace(subject.vote(PREVOTE, 0, A, height=2), height=1)
    subject.hear(elsewhere, FORGER)
    subject.prevotes((3,), A)
    assert subject.punished() == [FORGER]
    assert subject.answer(PRECOMMIT) is None


# ---- evidence ----


@pytest.mark.parametrize("kind", [PREVOTE, PRECOMMIT])
def test_a_double_vote_is_reported_once_and_counts_once(kind: int) -> None:
    subject = Subject()
    first, second, third = (subject.vote(kind, 0, block) for block in (A, B, C))  # type: ignore[arg-type]
    subject.hear(first)
    subject.hear(second)
    subject.hear(third)
    assert subject.wanted(Report) == [Report(first, second, key_of(0))]
    assert subject.punished() == []
    subject.hear(subject.vote(kind, 3, A))  # type: ignore[arg-type]
    votes = subject.core._keeper.at(0)
    assert votes is not None
    ballot = votes.ballots[kind]  # type: ignore[index]
    assert ballot.power + ballot.pending == 2


def test_a_double_proposal_is_reported() -> None:
    subject = Subject()
    subject.propose(A)
    subject.hear(subject.vote(PROPOSAL, 2, B))
    report = subject.wanted(Report)[0]
    assert (report.first.block_id, report.second.block_id, report.key) == (A, B, key_of(2))


def test_a_double_vote_does_not_help_the_forger_of_it() -> None:
    """Only what the validator signed twice is evidence."""
    subject = Subject()
    subject.hear(subject.vote(PRECOMMIT, 0, A))
    subject.hear(forged(subject.vote(PRECOMMIT, 0, B)), FORGER)
    assert subject.wanted(Report) == []
    assert subject.punished() == [FORGER]


def test_both_votes_of_an_equivocator_count_for_their_blocks() -> None:
    """A quorum for B forms of its second vote; the power of any votes counts it once."""
    subject = Subject()
    subject.prevotes((0,), A)
    subject.propose(B)
    subject.prevotes((0, 3), B)
    assert subject.answer(PRECOMMIT) == (B, -1)


def test_amnesia_is_reported_in_either_order() -> None:
    """Precommitted A in round 0, prevoted B in round 1 without a polka since."""
    for is_reversed in (False, True):
        subject = Subject()
        first, second = subject.vote(PRECOMMIT, 0, A), subject.vote(PREVOTE, 0, B, 1)
        subject.precommits((2, 3), NIL)
        subject.hear(second if is_reversed else first)
        subject.later(500)
        subject.prevotes((2, 3), B, 1)
        subject.hear(first if is_reversed else second)
        subject.hear(subject.certificate(PRECOMMIT, A, (0, 1, 2)))
        assert Report(first, second, key_of(0)) in subject.wanted(Report)


@pytest.mark.parametrize(
    ("block", "round", "valid_round", "guilty"),
    [
        (B, 2, -1, True),
        (B, 2, 0, True),
        (B, 2, 1, False),
        (B, 1, 0, False),
        (B, 0, -1, False),
        (A, 2, -1, False),
        (NIL, 2, -1, False),
    ],
)
def test_what_amnesia_is(block: bytes, round: int, valid_round: int, guilty: bool) -> None:
    """After a precommit for A in round 1; a nil prevote, or a later polka, is honest."""
    subject = Subject()
    first = subject.vote(PRECOMMIT, 0, A, 1)
    second = subject.vote(PREVOTE, 0, block, round, valid_round)  # type: ignore[arg-type]
    assert is_amnesia(first, second) == guilty


def test_a_double_precommit_after_the_decision_is_reported() -> None:
    subject = Subject()
    certificate = subject.certificate(PRECOMMIT, A, (0, 2, 3))
    next_set = validator_set((1, 1, 1, 1))
    subject.give(
        StartHeight(2, next_set, False, 0, last=certificate, last_validators=subject.validators)
    )
    second = subject.vote(PRECOMMIT, 0, B)
    for _ in range(2):
        subject.hear(second)
    assert subject.wanted(Report) == [Report(subject.vote(PRECOMMIT, 0, A), second, key_of(0))]


# ---- this node's key in other hands ----


def test_an_echo_of_its_own_vote_is_no_doppelganger() -> None:
    subject = Subject()
    subject.propose(A)
    subject.hear(subject.vote(PREVOTE, 1, A), peer_of(0))
    subject.hear(subject.certificate(PREVOTE, A, (0, 1, 2)), peer_of(0))
    assert subject.wanted(Doppelganger) == []


@pytest.mark.parametrize("how", ["vote", "certificate", "round", "late"])
def test_its_key_in_other_hands_is_noticed(how: str) -> None:
    subject = Subject()
    own = subject.vote(PREVOTE, 1, B)
    messages: dict[str, Message] = {
        "vote": own,
        "certificate": subject.certificate(PREVOTE, B, (0, 1, 2)),
        "round": RoundCertificate(1, 0, (own, subject.vote(PREVOTE, 3, NIL))),
        "late": subject.vote(PRECOMMIT, 1, B, 4),
    }
    subject.hear(messages[how], peer_of(0))
    assert subject.wanted(Doppelganger)
    assert subject.punished() == []


def test_its_own_old_votes_said_again_by_a_peer_are_no_doppelganger() -> None:
    """Else whoever kept one could silence a validator in a long height."""
    subject = Subject()
    subject.later(1_000)
    for round in range(1, 40):
        subject.precommits((0, 2, 3), NIL, round - 1)
        subject.later(10_000)
    assert subject.core.round == 39
    for kind, round, block, valid_round in subject.own:
        subject.hear(subject.vote(kind, 1, block, round, valid_round), FORGER)
    assert subject.wanted(Doppelganger) == []


def test_a_forged_doppelganger_is_punished_and_frightens_nobody() -> None:
    subject = Subject()
    subject.hear(forged(subject.vote(PREVOTE, 1, B)), FORGER)
    assert subject.wanted(Doppelganger) == []
    assert subject.punished() == [FORGER]


# ---- certificates ----


def bad_certificates(subject: Subject) -> dict[MessageReason, Certificate]:
    good = subject.certificate(PRECOMMIT, A, (0, 2, 3))
    one_bad = (*good.signatures[:2], bytes(64))
    return {
        MessageReason.INVALID_SIGNATURE: replace(good, signatures=one_bad),
        MessageReason.BELOW_QUORUM: replace(
            good, signers=good.signers[:2], signatures=good.signatures[:2]
        ),
        MessageReason.DUPLICATE_SIGNER: replace(good, signers=(0, 2, 2)),
        MessageReason.UNKNOWN_VALIDATOR: replace(good, signers=(0, 2, 4)),
        MessageReason.CONTRADICTORY: replace(good, size=5),
    }


@pytest.mark.parametrize("reason", list(bad_certificates(Subject())), ids=lambda each: each.name)
def test_a_bad_certificate_is_refused_whole(reason: MessageReason) -> None:
    """Malachite 961fa4e0: one bad signature spoils it, although three of four would do of five."""
    subject = Subject()
    subject.hear(bad_certificates(subject)[reason], FORGER)
    assert [punish.reason for punish in subject.wanted(Punish)] == [reason]
    subject.judge(A)
    assert subject.decision is None
    votes = subject.core._keeper.at(0)
    assert votes is None or not votes.precommits.first


def test_a_quorum_with_one_bad_signature_beyond_it_is_refused() -> None:
    subject = Subject()
    good = subject.certificate(PRECOMMIT, A, (0, 1, 2, 3))
    subject.hear(replace(good, signatures=(*good.signatures[:3], bytes(64))), FORGER)
    subject.judge(A)
    assert subject.decision is None
    assert subject.punished() == [FORGER]


def test_a_round_certificate_below_f_plus_one_is_refused() -> None:
    subject = Subject()
    subject.hear(RoundCertificate(1, 7, (subject.vote(PREVOTE, 0, NIL, 7),)), FORGER)
    assert subject.wanted(Punish)[0].reason == MessageReason.BELOW_QUORUM
    assert subject.core.round == 0


def test_a_round_certificate_with_a_bad_signature_is_refused_whole() -> None:
    subject = Subject()
    votes = tuple(subject.vote(PREVOTE, index, NIL, 7) for index in (0, 2, 3))
    subject.hear(RoundCertificate(1, 7, (*votes[:2], forged(votes[2]))), FORGER)
    assert subject.punished() == [FORGER]
    assert subject.core.round == 0


def test_a_certificate_replaces_forged_votes_that_wait() -> None:
    subject = Subject()
    subject.hear(forged(subject.vote(PRECOMMIT, 0, B)), FORGER)
    subject.hear(subject.certificate(PRECOMMIT, A, (0, 2, 3)))
    subject.judge(A)
    assert subject.decision is not None
    assert subject.punished() == [FORGER]


def test_the_decision_has_the_certificate_of_its_block_whatever_else_has_a_quorum() -> None:
    """Beyond the bound of faults: a quorum precommits nil, and then the block."""
    subject = Subject()
    subject.precommits((0, 2, 3), NIL)
    subject.hear(subject.certificate(PRECOMMIT, A, (0, 2, 3)))
    subject.judge(A)
    assert subject.decision is not None
    assert subject.decision.certificate.block_id == A


def test_a_certificate_said_again_is_not_logged_again() -> None:
    """Else a peer could fill the log with one."""
    subject = Subject()
    polka = subject.certificate(PREVOTE, A, (0, 2, 3))
    entry = RoundCertificate(1, 0, tuple(polka.votes()))
    assert subject.core.must_log(polka)
    assert subject.core.must_log(entry)
    subject.hear(polka)
    before = subject.core.digest()
    assert not subject.core.must_log(polka)
    assert not subject.core.must_log(entry)
    subject.hear(polka)
    subject.hear(entry)
    assert subject.core.digest() == before
    assert subject.core.must_log(subject.certificate(PREVOTE, A, (0, 1, 3)))


# ---- floods ----


def test_one_validator_fills_only_a_few_later_rounds() -> None:
    subject = Subject()
    for round in range(1, 200):
        for kind in (PREVOTE, PRECOMMIT):
            subject.hear(subject.vote(kind, 0, A, round))
    assert len(subject.core._keeper.rounds) <= AHEAD_MAX
    assert subject.core.round == 0


def test_a_validator_that_floods_still_counts_where_it_is_highest() -> None:
    subject = Subject()
    for round in range(1, 50):
        subject.prevotes((0,), NIL, round)
    subject.prevotes((3,), NIL, 49)
    assert subject.core.round == 49


def test_old_rounds_are_forgotten_but_not_the_valid_value_s() -> None:
    subject = Subject()
    subject.locked_on_a()
    for round in range(1, 60):
        subject.prevotes((0, 2), NIL, round)
        subject.precommits((0, 2, 3), NIL, round)
        subject.later(5_000)
    assert subject.core.round >= 59
    keeper = subject.core._keeper
    assert len(keeper.rounds) <= BEHIND_MAX + AHEAD_MAX + 6
    assert keeper.polka(0, A)
    assert len(subject.core.own) <= 3 * (BEHIND_MAX + 2)
    assert subject.core.locked == (A, 0)


def test_the_valid_value_s_polka_is_kept_whatever_polkas_come_after() -> None:
    """Of blocks that never arrive here: the proposal of the valid value needs its own polka."""
    subject = Subject()
    subject.locked_on_a()
    for round in range(1, 30):
        if round < 12:
            block = type(A)(round.to_bytes(32, "big"))
            subject.hear(subject.certificate(PREVOTE, block, (0, 2, 3), round))
        subject.precommits((0, 2, 3), NIL, round)
        subject.later(10_000)
    assert subject.core.valid == (A, 0)
    assert subject.core._keeper.polka(0, A)


def test_many_blocks_proposed_at_one_height_are_not_all_remembered() -> None:
    subject = Subject()
    for round in range(300):
        name = round.to_bytes(32, "big")
        subject.propose(type(A)(name) if round else A, round)
        subject.precommits((0, 2, 3), NIL, round)
        subject.later(10_000)
    core = subject.core
    assert core.round >= 300
    for kept in (core._at_hand, core._from, core._asked, core._judged):
        assert len(kept) <= 160  # type: ignore[arg-type]


def test_early_messages_are_bounded_by_peer() -> None:
    subject = Subject()
    for round in range(1_000):
        subject.hear(subject.vote(PREVOTE, 0, A, round, height=2), FORGER)
    for peer in range(10):
        subject.hear(subject.vote(PREVOTE, 2, A, height=2), peer_of(peer))
    assert len(subject.core._waiting_room) == 8 + 10


def test_a_flood_of_peers_is_bounded() -> None:
    subject = Subject()
    for number in range(2_000):
        subject.hear(subject.vote(PREVOTE, 0, A), number.to_bytes(32, "big"))
    assert len(subject.core._laggards) <= 512


# ---- one height does not leak into the next ----


def test_nothing_of_a_height_leaks_into_the_next() -> None:
    """Malachite 67806306: answers, votes and signatures that come late act on nothing."""
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), A)
    late = list(subject.inputs[1:])
    subject.precommits((0, 2), A)
    assert subject.decision is not None
    subject.give(StartHeight(2, subject.validators, False))
    subject.effects.clear()
    before = subject.core.digest()
    for input, _ in late:
        subject.give(input)
    assert subject.core.digest() == before
    assert subject.effects == []


def test_what_came_early_is_given_back_for_the_next_height() -> None:
    subject = Subject()
    proposer = subject.validators.proposer(2, 0)
    early = subject.vote(PROPOSAL, proposer, B, height=2)
    subject.hear(early)
    subject.propose(A)
    subject.prevotes((0, 2), A)
    subject.precommits((0, 2), A)
    kept = subject.core.take_kept()
    assert kept == (Received(early, peer_of(proposer)),)
    subject.give(StartHeight(2, subject.validators, True))
    assert subject.place == (0, Step.PROPOSE)
    subject.give(kept[0])
    assert subject.core.take_kept() == ()
    assert subject.wanted(Decide)[0].height == 1


def test_late_precommits_join_the_certificate() -> None:
    """Whoever is only late is not missing from the certificate that the next block carries."""
    subject = Subject(0)
    subject.propose(A)
    subject.prevotes((1, 2), A)
    subject.precommits((1, 2), A)
    assert subject.decision is not None
    certificate = subject.decision.certificate
    assert certificate.signers == (0, 1, 2)
    late = subject.vote(PRECOMMIT, 3, A)
    subject.hear(late)
    kept = subject.core.take_kept()
    assert kept == (Received(late, peer_of(3)),)
    assert subject.validators.proposer(2, 0) == 0
    subject.give(StartHeight(2, subject.validators, False, 0, certificate, subject.validators))
    subject.hear(forged(late), FORGER)
    subject.give(kept[0])
    effects = subject.later(6_000)
    extended = [effect for effect in effects if type(effect).__name__ == "Extend"]
    assert extended[0].certificate.signers == (0, 1, 2, 3)  # type: ignore[union-attr]
    assert FORGER in subject.punished()
