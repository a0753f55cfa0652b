"""Twenty nodes that know one bootnode find each other, and a thousand transactions reach everybody,
for a fraction of what flooding costs.

GHOSTCHAIN_P2P_SEED chooses another seed.
"""

from __future__ import annotations

import os
from random import Random

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
