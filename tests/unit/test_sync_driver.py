"""Whole nodes in one process and in virtual time: each serves and catches up through its driver."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.primitives.types import Hash32
from ghostchain.sync.driver import SyncDriver
from ghostchain.sync.effects import Peer, Progress
from ghostchain.sync.messages import GetBlocks, Item, SyncBlock, encode_message
from ghostchain.sync.ports import ImportFailed
from tests.sync_world import (
    GENESIS_HASH,
    MILLISECOND_NS,
    SECOND_NS,
    blocks_of,
    certificate_of,
)

SEEDS = range(4)


class Memory:
    """A chain in memory. Blocks may be refused on import by name."""

    def __init__(self, items: Sequence[Item] = (), *, lowest: int = 1) -> None:
        self.items = list(items)
        self.lowest = lowest
        self.refused: set[bytes] = set()

    @property
    def head(self) -> tuple[int, Hash32]:
        return len(self.items), hash_of(self.items[-1]) if self.items else GENESIS_HASH

    def verify(self, blocks: Sequence[SyncBlock]) -> list[bool | None]:
        return [block.certificate == certificate_of(block.hash) for block in blocks]

    def import_blocks(self, blocks: Iterator[SyncBlock]) -> Iterator[tuple[int, Hash32, int]]:
        for block in blocks:
            assert (block.height, block.parent_hash) == (self.head[0] + 1, self.head[1])
            if block.attachment in self.refused:
                raise ImportFailed("another body", is_changed=True)
            self.items.append((block.block, block.certificate, block.attachment))
            yield block.height, block.hash, 3

    def range(self) -> tuple[int, int]:
        return self.lowest, len(self.items)

    def read(self, height: int) -> Item | None:
        return self.items[height - 1] if self.lowest <= height <= len(self.items) else None


def hash_of(item: Item) -> Hash32:
    _, start, _ = rlp.span(item[0])
    _, _, end = rlp.span(item[0], start)
    return keccak256(item[0][start:end])


class Node:
    """A driver, its chain, and the doors of the driver."""

    def __init__(self, town: Town, name: str, chain: Memory, *, queue_max: int = 1 << 20) -> None:
        self.town = town
        self.key = name.encode().ljust(32, b".")
        self.chain = chain
        self.log: list[tuple[Any, ...]] = []
        self.queued: dict[Peer, int] = {}
        self.queue_max = queue_max
        self.is_deciding = True
        self.driver = SyncDriver(self, self, self, chain, self, self, linger_s=0)
        town.nodes[self.key] = self

    def log_of(self, kind: str) -> list[tuple[Any, ...]]:
        return [entry for entry in self.log if entry[0] == kind]

    def now_ns(self) -> int:
        return self.town.now_ns

    def send(self, peer: Peer, payload: bytes) -> bool:
        waiting = self.queued.get(peer, 0)
        if peer not in self.town.nodes or waiting + len(payload) > self.queue_max:
            return False
        self.queued[peer] = waiting + len(payload)
        self.town.deliver(self, peer, payload)
        return True

    def punish(self, peer: Peer, reason: str) -> None:
        self.log.append(("punished", peer.rstrip(b".").decode(), reason))

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.town.at(MILLISECOND_NS, lambda: done(work()))

    def call(self, act: Callable[[], None]) -> None:
        self.town.at(0, act)

    def pause(self, ready: Callable[[], None]) -> None:
        def stop() -> None:
            self.is_deciding = False
            ready()

        self.town.at(3 * MILLISECOND_NS, stop)

    def resume(self, height: int) -> None:
        assert self.chain.head[0] == height
        self.is_deciding = True
        self.log.append(("resumed", height))

    def started(self, height: int, target: int) -> None:
        self.log.append(("started", height))

    def progressed(self, progress: Progress) -> None:
        self.log.append(("progress", progress.height, progress.transactions_per_s > 0))

    def done(self, height: int) -> None:
        self.log.append(("done", height))

    def stuck(self, height: int, reason: str) -> None:
        self.log.append(("stuck", height, reason))


class Town:
    """Nodes that know each other, on one clock."""

    def __init__(self, seed: int) -> None:
        self.now_ns = SECOND_NS
        self.nodes: dict[Peer, Node] = {}
        self._chance = Random(seed)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._arrivals: dict[tuple[Peer, Peer], int] = {}

    def at(self, delay_ns: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_ns + delay_ns, next(self._order), act))

    def deliver(self, sender: Node, receiver: Peer, payload: bytes) -> None:
        """In order between two, after a while."""
        way = sender.key, receiver
        due = max(self._arrivals.get(way, 0), self.now_ns + self._chance.randrange(10**7))
        self._arrivals[way] = due

        def arrive() -> None:
            sender.queued[receiver] -= len(payload)
            sender.driver.on_drained(receiver)
            if receiver in self.nodes:
                self.nodes[receiver].driver.on_message(sender.key, payload)

        self.at(due - self.now_ns, arrive)

    def introduce(self) -> None:
        """Everybody tells everybody where it is."""
        for node in self.nodes.values():
            for other in self.nodes.values():
                if other is not node:
                    node.driver.on_peer_height(other.key, other.chain.head[0])

    def run(self, seconds: float) -> None:
        end = self.now_ns + int(seconds * SECOND_NS)
        while True:
            due = [
                (deadline, node)
                for node in self.nodes.values()
                if (deadline := node.driver.deadline_ns()) is not None
            ]
            first = min((deadline for deadline, _ in due), default=end)
            if self._events and self._events[0][0] <= max(first, self.now_ns):
                if self._events[0][0] > end:
                    return
                self.now_ns, _, act = heapq.heappop(self._events)
                act()
                continue
            if first >= end:
                return
            self.now_ns = max(self.now_ns + 1, first)
            for deadline, node in due:
                if deadline <= self.now_ns:
                    node.driver.on_time()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_new_node_catches_up_and_hands_over(seed: int) -> None:
    """Consensus is stopped before the first import and goes on after the last."""
    chain = blocks_of(2_500, body_bytes=4_000)
    town = Town(seed)
    new = Node(town, "new", Memory())
    for name in ("a", "b", "c"):
        Node(town, name, Memory(chain))
    town.introduce()
    town.run(60)
    assert new.chain.items == chain
    assert [entry for entry in new.log if entry[0] != "progress"] == [
        ("started", 0),
        ("done", 2_500),
        ("resumed", 2_500),
    ]
    assert new.is_deciding
    assert all(entry[2] for entry in new.log if entry[0] == "progress")
    assert not any(node.log for node in town.nodes.values() if node is not new)


def test_a_node_serves_while_it_catches_up_itself() -> None:
    """What a node has imported another may have of it."""
    chain = blocks_of(1_000)
    town = Town(1)
    first = Node(town, "first", Memory(chain[:500]))
    last = Node(town, "last", Memory())
    Node(town, "full", Memory(chain))
    last.driver.on_peer_height(first.key, 500)
    first.driver.on_peer_height(b"full".ljust(32, b"."), 1_000)
    town.run(60)
    assert first.chain.items == chain
    assert last.chain.items == chain[:500]


def test_a_narrow_connection_only_slows() -> None:
    """A queue that is full is waited for, and nothing is lost."""
    chain = blocks_of(300, body_bytes=20_000)
    town = Town(2)
    new = Node(town, "new", Memory())
    Node(town, "narrow", Memory(chain), queue_max=100_000)
    town.introduce()
    town.run(60)
    assert new.chain.items == chain
    assert not any(entry[0] == "punished" for entry in new.log)


def test_bytes_that_are_no_message_are_punished() -> None:
    town = Town(3)
    node = Node(town, "node", Memory(blocks_of(5)))
    other = Node(town, "other", Memory())
    node.driver.on_message(other.key, b"\xff\x00")
    assert node.log == [("punished", "other", "no such kind of message: 255")]


def test_blocks_that_are_not_there_are_refused_with_what_is() -> None:
    """A node without the old blocks says so; the asker goes to another without blame."""
    chain = blocks_of(400)
    town = Town(4)
    new = Node(town, "new", Memory())
    young = Node(town, "young", Memory(chain, lowest=200))
    Node(town, "old", Memory(chain))
    town.introduce()
    town.run(30)
    assert new.chain.items == chain
    assert not new.log_of("punished")
    assert not young.log


def test_a_changed_body_is_fetched_again_from_another() -> None:
    chain = blocks_of(200)
    spoilt = [*chain[:99], (*chain[99][:2], b"spoilt"), *chain[100:]]
    town = Town(5)
    new = Node(town, "new", Memory())
    new.chain.refused = {b"spoilt"}
    Node(town, "bad", Memory(spoilt))
    town.introduce()
    town.run(1)
    assert new.log_of("punished") == [
        ("punished", "bad", "a body that is not the one of its header: block 100: another body")
    ]  # fmt: skip
    assert new.chain.items == chain[:99]
    assert new.is_deciding, "nobody is left to ask, so consensus goes on"
    del town.nodes[b"bad".ljust(32, b".")]
    Node(town, "good", Memory(chain))
    town.introduce()
    town.run(30)
    assert new.chain.items == chain
    assert len(new.log_of("punished")) == 1


def test_a_flood_of_requests_is_punished() -> None:
    town = Town(6)
    node = Node(town, "node", Memory(blocks_of(100)))
    for number in range(40):
        node.driver.on_message(bytes(32), encode_message(GetBlocks(number, 1, 100, 1 << 20)))
    assert node.log
    assert "more requests than one peer may have waiting" in node.log[0][2]
