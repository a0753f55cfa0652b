"""Twenty nodes that know one bootnode find each other, and a thousand transactions reach everybody,
for a fraction of what flooding costs.

GHOSTCHAIN_P2P_SEED chooses another seed.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from ghostchain.p2p.connections import PeerLimits
from ghostchain.p2p.effects import Offended
from ghostchain.p2p.messages import Channel
from tests.unit.p2p_network import Network, Node

SEED = int(os.environ.get("GHOSTCHAIN_P2P_SEED", "44678"))
LIMITS = PeerLimits(inbound_max=12, outbound_target=6)
NODES, TRANSACTIONS = 20, 1_000


def found(
    seed: int, *, count: int = NODES, limits: PeerLimits = LIMITS
) -> tuple[Network, list[Node]]:
    """So many nodes that were told of the first one alone, after half a minute."""
    network = Network(seed, shuffles=True)
    nodes = [network.add(number, limits=limits) for number in range(1, count + 1)]
    for node in nodes:
        node.driver.add_bootnode(nodes[0].key, nodes[0].host, nodes[0].port)
    network.run(30)
    return network, nodes


def reached(node: Node, network: Network) -> set[bytes]:
    """Everybody that the node can reach over peers that are up."""
    known, open_ends = {node.key}, [node]
    while open_ends:
        for peer in open_ends.pop().driver.core.up:
            if peer not in known:
                known.add(peer)
                open_ends.append(network.nodes[peer])
    return known


def spread(network: Network, nodes: list[Node], seed: int) -> list[bytes]:
    """A thousand transactions, of ordinary sizes, come to random nodes within ten seconds."""
    chance = Random(seed)
    raws = [
        b"\x03\xff"[1:] + chance.randbytes(chance.choice((109, 110, 111, 300)))
        for _ in range(TRANSACTIONS)
    ]
    for start in range(0, TRANSACTIONS, 10):
        for raw in raws[start : start + 10]:
            chance.choice(nodes).accept([raw])
        network.run(0.1)
    network.run(5)
    return raws


def test_nodes_find_each_other_and_transactions_reach_all() -> None:
    """And limits hold, nobody is blamed, and each node is handed each transaction once."""
    print(f"seed {SEED}")
    network, nodes = found(SEED)
    for node in nodes:
        infos = node.driver.peers()
        assert len(reached(node, network)) == NODES
        assert sum(info.inbound for info in infos) <= LIMITS.inbound_max
        assert sum(not info.inbound for info in infos) <= LIMITS.outbound_target
        assert len(infos) >= LIMITS.outbound_target
    network.bytes_by_channel.clear()
    network.frames_by_channel.clear()
    raws = spread(network, nodes, SEED)
    for node in nodes:
        assert set(node.pool.values()) >= set(raws)
        assert len(node.submitted) == len(set(node.submitted))
        assert not node.of(Offended)
        assert not node.driver.core.gossip.wants
    size = sum(map(len, raws)) / TRANSACTIONS
    links = sum(len(node.driver.core.up) for node in nodes) / 2
    each = network.bytes_by_channel[Channel.TRANSACTIONS] / TRANSACTIONS / (NODES - 1)
    flooding = size * (2 * links - NODES + 1) / (NODES - 1)
    print(
        f"{links:.0f} links; a transaction of {size:.0f} bytes costs each node {each:.0f} bytes, "
        f"{each / size:.2f} times its size; flooding {flooding:.0f}, {flooding / size:.2f} times; "
        f"{network.frames_by_channel[Channel.TRANSACTIONS]} frames"
    )
    assert each < flooding / 2


def check_limits(nodes: list[Node]) -> None:
    """What a node was told of peers holds at any moment (others have exceeded theirs)."""
    for node in nodes:
        up = node.driver.core.up.values()
        assert sum(one.inbound for one in up) <= LIMITS.inbound_max
        assert sum(not one.inbound for one in up) <= LIMITS.outbound_target
        connections = node.driver.core.connections.values()
        inbound = sum(one.inbound for one in connections)
        assert inbound <= LIMITS.inbound_max + LIMITS.spare


def restarted(network: Network, node: Node, number: int) -> Node:
    """The node comes back with its key and its book, and finds everybody gone."""
    for peer in list(node.driver.core.connections):
        network.disconnect(node.key, peer, "killed")
    book = node.driver.book()
    again = network.add(number, limits=LIMITS)
    again.driver.load_book(book)
    again.pool.update(node.pool)
    return again


@pytest.mark.parametrize("seed", range(SEED, SEED + 6))
def test_a_network_that_is_torn_again_and_again_heals(seed: int) -> None:
    """Nodes are killed and come back, with their books and without bootnodes, and connections
    break: limits hold all the time, nobody is blamed for being killed, and in the end everybody is
    reached by everything."""
    network, nodes = found(seed, count=12)
    chance = Random(seed)
    for _ in range(40):
        number = chance.randrange(len(nodes))
        if chance.random() < 0.3:
            nodes[number] = restarted(network, nodes[number], number + 1)
        for _ in range(chance.randrange(6)):
            one, other = chance.sample(nodes, 2)
            network.disconnect(one.key, other.key, "torn")
        chance.choice(nodes).accept([b"\x05" + chance.randbytes(100)])
        network.run(chance.choice((0.01, 0.5, 3)))
        check_limits(nodes)
    network.run(60)
    check_limits(nodes)
    raws = [b"\x05" + chance.randbytes(100) for _ in range(50)]
    for raw in raws:
        chance.choice(nodes).accept([raw])
    network.run(10)
    for node in nodes:
        assert len(reached(node, network)) == len(nodes)
        assert set(node.pool.values()) >= set(raws)
        assert not node.of(Offended)
        assert not node.driver.core.gossip.wants
        assert all(talk.wanted == 0 for talk in node.driver.core.gossip.talks.values())
        assert node.driver.core.gossip._backlog == 0


def crowd(seed: int) -> tuple[Network, Node, list[Node]]:
    """One node that everybody else dials at once."""
    network = Network(seed, shuffles=True)
    node = network.add(1, limits=LIMITS)
    others = [network.add(number, limits=PeerLimits(outbound_target=1)) for number in range(2, 61)]
    for other in others:
        other.driver.add_bootnode(node.key, node.host, node.port)
    return network, node, others


def test_a_crowd_does_not_get_more_than_there_is_room_for() -> None:
    """Sixty nodes want in at once and go on wanting: the limit holds, the others are told of
    somebody else, and are not punished for asking."""
    network, node, others = crowd(SEED)
    for _ in range(60):
        network.run(0.5)
        check_limits([node])
    assert sum(info.inbound for info in node.driver.peers()) == LIMITS.inbound_max
    assert not node.of(Offended)
    assert sum(bool(other.driver.core.up) for other in others) == len(others)
