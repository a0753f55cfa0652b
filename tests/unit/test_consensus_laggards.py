"""Who is behind is brought forward, by certificates and not by votes; whoever asks too often is not
answered."""

from __future__ import annotations

from ghostchain.consensus.effects import Effect, Punish, Send, SendDecided, StartHeight
from ghostchain.consensus.messages import Certificate, Message, RoundCertificate, Status, Step, Vote
from tests.unit.consensus_cluster import MILLISECOND, SECOND, Cluster
from tests.unit.consensus_subject import NIL, PRECOMMIT, PREVOTE, A, Subject, peer_of

PEER = peer_of(50)


def answers(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, (Send, SendDecided))]


def at_height_five() -> Subject:
    subject = Subject()
    subject.give(StartHeight(5, subject.validators, False))
    subject.effects.clear()
    return subject


def test_a_validator_cut_off_rejoins_by_itself() -> None:
    """Forty heights behind, it is level within two seconds of the healing, without sync."""
    cluster = Cluster([1, 1, 1, 1])
    is_cut = [True]
    cluster.hears = lambda source, target, message: not (is_cut[0] and 3 in (source, target))
    cluster.start()
    cluster.run_to(40, [0, 1, 2])
    assert cluster.nodes[3].height == 0
    is_cut[0] = False
    healed_ns = cluster.world.now_ns()
    cluster.world.run(lambda: cluster.nodes[3].height >= cluster.nodes[0].height - 1, 30 * SECOND)
    assert cluster.world.now_ns() - healed_ns <= 2 * SECOND
    cluster.run_to(cluster.nodes[0].height + 5, range(4))
    assert any(
        isinstance(message, Vote) and message.height > 40 for message in cluster.nodes[3].said
    )


def test_halves_that_find_together_go_on() -> None:
    cluster = Cluster([1, 1, 1, 1])
    is_cut = [False]
    cluster.hears = lambda source, target, message: not is_cut[0] or (source < 2) == (target < 2)
    cluster.start()
    cluster.run_to(3, range(4))
    is_cut[0] = True
    cluster.world.run_for(60 * SECOND)
    stuck = max(node.height for node in cluster.nodes)
    assert stuck <= 4
    is_cut[0] = False
    cluster.run_to(stuck + 3, range(4), limit_ns=10 * SECOND)


def test_votes_reach_all_where_nobody_hears_more_than_two() -> None:
    """Seven in a ring: nobody hears a quorum, and still they decide."""
    cluster = Cluster([1] * 7)
    cluster.hears = lambda source, target, message: (source - target) % 7 in (1, 6)
    cluster.start()
    cluster.run_to(3, range(7), limit_ns=120 * SECOND)


def test_a_stuck_round_s_votes_go_to_other_peers_each_time() -> None:
    subject = Subject(1, (1,) * 10)
    for peer in range(9):
        subject.hear(Status(1, 0, Step.PROPOSE), peer_of(peer))
    subject.prevotes(range(2, 5), NIL)
    for _ in range(6):
        subject.later(1_000)
    sent = [
        effect.peer
        for effect in subject.wanted(Send)
        if isinstance(effect.message, RoundCertificate)
    ]
    assert len(sent) >= 15
    assert set(sent) == {peer_of(peer) for peer in range(9)}
    assert len(sent[:9]) == len(set(sent[:9]))


def test_a_follower_of_one_validator_learns_each_decision_at_once() -> None:
    """It hears nobody else, and is told of decisions instead of asking for each."""
    cluster = Cluster([1, 1, 1, 1], followers=1)
    cluster.hears = lambda source, target, message: (
        4 not in (source, target)
        or 0
        in (
            source,
            target,
        )
    )
    cluster.start()
    cluster.run_to(30, range(4))
    assert cluster.nodes[4].height >= 28
    times = cluster.nodes[4].notebook.times_ns[5:28]
    others = cluster.nodes[0].notebook.times_ns[5:28]
    assert max(own - other for own, other in zip(times, others, strict=True)) <= 5 * MILLISECOND


def test_validators_are_not_told_what_they_hear_anyway() -> None:
    cluster = Cluster([1, 1, 1, 1])
    cluster.start()
    cluster.run_to(20, range(4))
    certificates = [
        message
        for node in cluster.nodes
        for message in node.said
        if isinstance(message, Certificate)
    ]
    assert len(certificates) <= 4


def test_a_node_that_commits_slowly_misses_nothing_of_the_next_height() -> None:
    """What comes meanwhile is kept: no round fails, although its vote is needed for each."""
    cluster = Cluster([1, 1, 1, 1])
    cluster.start([0, 1, 2])
    cluster.nodes[1].chain.latency_ns = 200 * MILLISECOND
    cluster.run_to(20, [0, 1, 2])
    failures = cluster.nodes[0].notebook.failures
    assert all(failure.proposer == 3 for failure in failures)


def test_a_peer_at_a_lower_height_is_sent_that_height_s_certificate() -> None:
    subject = at_height_five()
    assert subject.hear(Status(3, 7, Step.PREVOTE), PEER) == [SendDecided(PEER, 3)]


def test_a_peer_at_a_higher_height_is_told_where_this_node_is() -> None:
    subject = at_height_five()
    status = Status(5, 0, Step.NEW_HEIGHT)
    assert subject.hear(Status(9, 0, Step.PROPOSE), PEER) == [Send(PEER, status)]
    far: list[Message] = [
        subject.vote(PREVOTE, 0, A, height=8),
        subject.certificate(PRECOMMIT, A, (0, 2, 3), height=9),
    ]
    for number, message in enumerate(far):
        peer = peer_of(60 + number)
        assert subject.hear(message, peer) == [Send(peer, status)]


def test_a_peer_that_asks_too_often_is_answered_once_an_interval() -> None:
    subject = at_height_five()
    count = 0
    for _ in range(1_000):
        count += len(answers(subject.hear(Status(3, 0, Step.PREVOTE), PEER)))
        subject.now_ns += MILLISECOND
    assert count <= 2


def test_a_peer_that_comes_forward_is_answered_for_each_height() -> None:
    """So that it need not wait for the interval at each."""
    subject = at_height_five()
    effects = [subject.hear(Status(height, 0, Step.PREVOTE), PEER) for height in (1, 2, 3, 4)]
    assert effects == [[SendDecided(PEER, height)] for height in (1, 2, 3, 4)]


def test_a_node_brought_forward_asks_its_helper_for_more() -> None:
    subject = Subject(has_work=False)
    subject.hear(subject.certificate(PRECOMMIT, A, (0, 2, 3)), PEER)
    subject.judge(A)
    assert subject.decision is not None
    effects = subject.give(StartHeight(2, subject.validators, False))
    assert Send(PEER, Status(2, 0, Step.NEW_HEIGHT)) in effects
    assert not answers(subject.give(StartHeight(3, subject.validators, False)))


def test_a_peer_of_this_height_is_sent_a_decision_not_committed_yet() -> None:
    subject = Subject()
    subject.propose(A)
    subject.prevotes((0, 2), A)
    subject.precommits((0, 2), A)
    assert subject.decision is not None
    effects = subject.hear(Status(1, 0, Step.PRECOMMIT), PEER)
    assert effects == [Send(PEER, subject.decision.certificate)]


def test_a_peer_that_is_level_is_not_answered() -> None:
    subject = Subject()
    assert subject.hear(Status(1, 0, Step.PREVOTE), PEER) == []
    assert subject.hear(Status(1, 4, Step.PREVOTE), peer_of(51)) == []


def test_a_lie_about_height_costs_the_liar_nothing_and_this_node_less() -> None:
    """A Status is not signed: it moves nothing here, whatever height it claims."""
    subject = at_height_five()
    before = subject.core.digest()
    for height in (2**64 - 1, 6, 0):
        subject.hear(Status(height, 2**32 - 1, Step.PRECOMMIT), PEER)
    assert subject.core.digest() == before
    assert subject.wanted(Punish) == []


def test_a_peer_of_a_round_far_behind_gets_a_certificate_that_it_can_use() -> None:
    subject = Subject()
    subject.prevotes((0, 3), NIL, 20)
    assert subject.core.round == 20
    (effect,) = subject.hear(Status(1, 0, Step.PREVOTE), PEER)
    assert isinstance(effect, Send)
    assert isinstance(effect.message, RoundCertificate)
    other = Subject(2)
    other.hear(effect.message)
    assert other.core.round == 20
