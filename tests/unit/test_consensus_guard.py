"""The start-up guard: a validator watches for its own key before it signs."""

from __future__ import annotations

import pytest

from ghostchain.consensus.guard import Guard, GuardState
from ghostchain.consensus.messages import Message, Vote
from ghostchain.encoding.votes import VoteKind
from tests.unit.consensus_cluster import MILLISECOND, SECOND, Cluster, Node, key_of, signed
from tests.unit.consensus_subject import A, peer_of


def votes_of(node: Node) -> list[Vote]:
    return [message for message in node.said if isinstance(message, Vote)]


def running_without(late: int) -> Cluster:
    """Four validators, of which three finalise since a while."""
    cluster = Cluster([1, 1, 1, 1])
    cluster.start([index for index in range(4) if index != late])
    others = [index for index in range(4) if index != late]
    cluster.run_to(5, others)
    return cluster


def catch_up(node: Node) -> None:
    """As sync does: the chain has what the others decided."""
    source = node.cluster.nodes[(node.index + 1) % 4]
    node.chain.blocks = list(source.chain.blocks)


@pytest.mark.parametrize("quiet_heights", [1, 2, 5])
def test_it_signs_after_exactly_as_many_heights_as_asked(quiet_heights: int) -> None:
    """Cometbft 5668: a loop from 1 to below the number watched none when asked for one."""
    cluster = running_without(1)
    node = cluster.nodes[1]
    catch_up(node)
    start = node.height
    node.start(Guard(quiet_heights=quiet_heights, quiet_ns=1_000 * SECOND))
    cluster.run_to(start + quiet_heights + 4, range(4))
    signed_heights = sorted({height for height, _, _ in node.signer.signed})
    assert signed_heights[0] == start + quiet_heights + 1


def test_a_guard_of_no_heights_is_open() -> None:
    assert Guard(quiet_heights=0).is_open


def test_a_network_that_starts_together_signs_after_the_quiet_time() -> None:
    """Nothing can be decided while all watch; so time opens the guard, once peers were heard."""
    cluster = Cluster([1, 1, 1, 1])
    for node in cluster.nodes:
        node.start(Guard())
    cluster.world.run_for(1_900 * MILLISECOND)
    assert not any(votes_of(node) for node in cluster.nodes)
    cluster.run_to(3, range(4), limit_ns=8 * SECOND)


def test_a_node_that_hears_nobody_does_not_sign() -> None:
    cluster = Cluster([1, 1, 1, 1])
    cluster.nodes[0].start(Guard())
    cluster.world.run_for(60 * SECOND)
    assert cluster.nodes[0].signer.signed == {}


def test_a_node_that_is_a_quorum_alone_does_not_wait() -> None:
    cluster = Cluster([5, 1])
    cluster.nodes[0].start(Guard())
    assert cluster.nodes[0].height == 1


def test_the_second_holder_of_a_key_never_signs() -> None:
    """The first goes on; the second shuts, and says so."""
    cluster = running_without(1)
    twin = Node(cluster, 1)
    twin.name = bytes([200]) * 32
    cluster.nodes[1].start()
    cluster.nodes.append(twin)
    catch_up(twin)
    cluster.nodes[1].chain.blocks = list(twin.chain.blocks)
    cluster.nodes[1].crash()
    cluster.nodes[1].start()
    twin.start(Guard(quiet_heights=10))
    cluster.world.run_for(5 * SECOND)
    assert twin.driver.guard is not None
    assert twin.driver.guard.state == GuardState.SHUT
    assert twin.signer.signed == {}
    assert twin.notebook.doppelgangers
    cluster.run_to(cluster.nodes[0].height + 3, [0, 1, 2, 3])


def test_a_guard_that_is_open_shuts_when_its_key_shows_up_elsewhere() -> None:
    cluster = Cluster([1, 1, 1, 1])
    node = cluster.nodes[1]
    node.start(Guard(quiet_heights=0))
    vote = signed(Vote(VoteKind.PRECOMMIT, 1, 0, A, -1, 1), key_of(1))
    node.driver.on_message(vote, peer_of(0))
    node.watch_time()
    cluster.world.run_for(3 * SECOND)
    assert node.signer.signed == {}
    assert node.notebook.doppelgangers == [vote]


def test_a_message_that_only_claims_its_key_opens_and_shuts_nothing() -> None:
    cluster = Cluster([1, 1, 1, 1])
    node = cluster.nodes[1]
    node.start(Guard())
    node.driver.on_message(Vote(VoteKind.PREVOTE, 1, 0, A, -1, 1, bytes(64)), peer_of(0))
    node.watch_time()
    assert node.driver.guard is not None
    assert node.driver.guard.state == GuardState.WATCHING
    assert node.punished
    cluster.world.run_for(2_100 * MILLISECOND)
    assert node.driver.guard.state == GuardState.OPEN


def test_votes_held_back_are_signed_when_the_guard_opens_unless_the_height_is_over() -> None:
    cluster = Cluster([1, 1, 1, 1])
    node = cluster.nodes[1]
    node.start(Guard())
    node.driver.on_message(signed(Vote(VoteKind.PREVOTE, 1, 0, A, -1, 0), key_of(0)), peer_of(0))
    node.watch_time()
    cluster.world.run_for(1_990 * MILLISECOND)
    assert node.signer.signed == {}
    cluster.world.run_for(20 * MILLISECOND)
    assert [place[2] for place in node.signer.signed] == [VoteKind.PREVOTE]


def test_what_a_restart_decides_again_is_not_counted_as_watched() -> None:
    """The decision was made before the crash, perhaps with this node's vote."""
    cluster = Cluster([1, 1, 1, 1])
    node = cluster.nodes[1]
    cluster.start()
    commit = node.chain.commit
    node.chain.commit = lambda *arguments: None  # type: ignore[method-assign,assignment]
    cluster.world.run(lambda: node.driver.core.decided is not None)
    node.chain.commit = commit  # type: ignore[method-assign]
    node.log.flush()
    node.crash()
    node.start(Guard(quiet_heights=1, quiet_ns=1_000 * SECOND))
    assert node.height == 1
    assert node.driver.guard is not None
    assert node.driver.guard.state == GuardState.WATCHING
    said = len(votes_of(node))
    cluster.run_to(5, range(4))
    assert all(vote.height > 2 for vote in votes_of(node)[said:])


def test_a_guarded_node_says_only_where_it_is() -> None:
    cluster = running_without(1)
    node = cluster.nodes[1]
    node.start(Guard(quiet_heights=1_000, quiet_ns=1_000 * SECOND))
    cluster.world.run_for(3 * SECOND)
    kinds: set[type[Message]] = {type(message) for message in node.said}
    assert Vote not in kinds
