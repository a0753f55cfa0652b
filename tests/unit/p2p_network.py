"""Peer drivers on one thread, joined by queues: a virtual network and clock.

Frames of one channel between two peers keep their order; different channels may overtake each
other when the network is told to shuffle. Dialling asks who listens at the address.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ghostchain.crypto.ed25519 import public_key_of, sign
from ghostchain.crypto.keccak import keccak256, keccak256_batch
from ghostchain.encoding import rlp
from ghostchain.p2p.compact import whole_block
from ghostchain.p2p.connections import PeerLimits
from ghostchain.p2p.core import Identity
from ghostchain.p2p.driver import PeerDriver, Ports
from ghostchain.p2p.effects import Effect, Verdict, WholeBlock
from ghostchain.p2p.messages import Channel
from ghostchain.primitives.types import Hash32

CHAIN_ID = 7
GENESIS = Hash32(b"\x07" * 32)
SECOND_NS = 1_000_000_000
START_NS = 1_800_000_000 * SECOND_NS
FOREIGN = (Channel.VOTES, Channel.PROPOSALS, Channel.EVIDENCE, Channel.SYNC)

REFUSALS = {1: Verdict.INVALID, 2: Verdict.REFUSED}


def seed_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def commitment(transactions: tuple[bytes, ...], withdrawals: bytes, attachment: bytes) -> Hash32:
    """What the test headers commit with."""
    parts = b"".join(keccak256_batch(transactions)) + keccak256(withdrawals)
    return keccak256(parts + keccak256(attachment))


def block_of(
    transactions: tuple[bytes, ...], *, attachment: bytes = b"attachment", number: int = 1
) -> WholeBlock:
    """A block whose header commits to its parts as `matches` looks at it."""
    withdrawals = b"\xc0"
    root = commitment(transactions, withdrawals, attachment)
    header = rlp.encode([root, rlp.integer_bytes(number)])
    return whole_block(header, transactions, withdrawals, attachment)


def matches(block: WholeBlock) -> bool:
    decoded = rlp.decode(block.header)
    return decoded[0] == commitment(block.transactions, block.withdrawals, block.attachment)


@dataclass
class Wire:
    """The frames on their way from one peer to another, by channel."""

    channels: dict[int, deque[bytes]] = field(default_factory=dict)


class Node:
    """A driver with a pool that is a dictionary."""

    def __init__(self, network: Network, number: int, **options: Any) -> None:
        self.network = network
        self.seed = seed_of(number)
        self.key = public_key_of(self.seed)
        self.pool: dict[Hash32, bytes] = {}
        self.blocks: dict[Hash32, WholeBlock] = {}
        self.heard: list[tuple[bytes, Channel, bytes]] = []
        self.effects: list[Effect] = []
        self.listener: Callable[[Effect], None] = self.effects.append
        self.submitted: list[bytes] = []
        self.books: list[bytes] = []
        self.host = options.get("host") or "127.0.0.1"
        self.port = 30_000 + number
        self.make_driver(number, **options)

    def make_driver(self, number: int, **options: Any) -> None:
        chain_id = options.pop("chain_id", CHAIN_ID)
        genesis = options.pop("genesis", GENESIS)
        options.setdefault("host", self.host)
        options.setdefault("port", self.port)
        options.setdefault("limits", PeerLimits(outbound_target=0))
        ports = Ports(
            transport=self,
            now_ns=lambda: self.network.now_ns,
            sign=lambda data: sign(self.seed, data),
            find_transactions=lambda hashes: [self.pool.get(one) for one in hashes],
            find_waiting=lambda count_max: list(self.pool)[:count_max],
            find_block=self.blocks.get,
            matches=matches,
            submit=self.submit,
            handlers={channel: self.hear(channel) for channel in FOREIGN},
            listener=lambda effect: self.listener(effect),
            keep_book=self.books.append,
        )
        identity = Identity(self.key, chain_id, genesis, f"test {number}")
        self.driver = PeerDriver(identity, ports, chance=Random(number), **options)

    def submit(self, raws: tuple[bytes, ...], done: Callable[[Any], None]) -> None:
        """The pool: whatever begins with a 1 can never be valid, with a 2 is not wanted now."""
        verdicts = [REFUSALS.get(raw[0], Verdict.ACCEPTED) for raw in raws]
        accepted = [
            raw for raw, verdict in zip(raws, verdicts, strict=True) if verdict is Verdict.ACCEPTED
        ]
        self.submitted.extend(raws)
        self.accept(accepted)
        done(verdicts)

    def accept(self, raws: list[bytes]) -> None:
        """These wait in the pool now."""
        self.pool.update(zip(keccak256_batch(raws), raws, strict=True))
        self.driver.submit_transactions(raws)

    def hear(self, channel: Channel) -> Callable[[bytes, bytes], None]:
        return lambda peer, payload: self.heard.append((peer, channel, payload))

    def of(self, kind: type) -> list[Any]:
        """What the listener was told of one kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    # ---- the transport of the driver ----

    def dial(self, peer: bytes, host: str, port: int) -> None:
        self.network.dial(self, peer, host, port)

    def send(self, peer: bytes, channel: int, payload: bytes) -> bool:
        return self.network.carry(self.key, peer, channel, payload)

    def close(self, peer: bytes, reason: str) -> None:
        self.network.disconnect(self.key, peer, reason)


class Network:
    """Everybody, and what is on its way. Two that are connected have a Wire each way."""

    def __init__(self, seed: int = 0, *, shuffles: bool = False) -> None:
        self.now_ns = START_NS
        self.nodes: dict[bytes, Node] = {}
        self.wires: dict[tuple[bytes, bytes], Wire] = {}
        self.pending: deque[tuple[bytes, bytes, int]] = deque()
        self.calls: deque[Callable[[], None]] = deque()
        self.bytes_by_channel: Counter[int] = Counter()
        self.frames_by_channel: Counter[int] = Counter()
        self.lost: Callable[[bytes, bytes, int, bytes], bool] = lambda *frame: False
        self.chance = Random(seed)
        self.shuffles = shuffles

    def add(self, number: int, **options: Any) -> Node:
        node = Node(self, number, **options)
        self.nodes[node.key] = node
        return node

    def connect(self, one: Node, other: Node) -> None:
        """one has dialled other."""
        if (one.key, other.key) in self.wires or one is other:
            return
        self.wires[one.key, other.key] = Wire()
        self.wires[other.key, one.key] = Wire()
        one.driver.on_connected(other.key, other.host, other.port, False)
        other.driver.on_connected(one.key, one.host, 50_000, True)

    def dial(self, node: Node, peer: bytes, host: str, port: int) -> None:
        def answer() -> None:
            other = self.nodes.get(peer)
            if other is None or (other.host, other.port) != (host, port):
                node.driver.on_dial_failed(peer, "nobody listens there")
            else:
                self.connect(node, other)

        self.calls.append(answer)

    def disconnect(self, one: bytes, other: bytes, reason: str) -> None:
        if self.wires.pop((one, other), None) is None:
            return
        self.wires.pop((other, one), None)
        for end, peer in ((one, other), (other, one)):
            if end in self.nodes:
                driver = self.nodes[end].driver
                self.calls.append(lambda driver=driver, peer=peer: driver.on_closed(peer, reason))

    def carry(self, sender: bytes, receiver: bytes, channel: int, payload: bytes) -> bool:
        wire = self.wires.get((sender, receiver))
        if wire is None:
            return False
        self.bytes_by_channel[channel] += len(payload)
        self.frames_by_channel[channel] += 1
        if not self.lost(sender, receiver, channel, payload):
            wire.channels.setdefault(channel, deque()).append(payload)
            self.pending.append((sender, receiver, channel))
        return True

    # ---- time ----

    def settle(self, frames_max: int = 1_000_000) -> None:
        """Everything that is on its way arrives."""
        for _ in range(frames_max):
            if self.calls:
                self.calls.popleft()()
            elif self.pending:
                if self.shuffles:
                    self.pending.rotate(self.chance.randrange(len(self.pending)))
                sender, receiver, channel = self.pending.popleft()
                wire = self.wires.get((sender, receiver))
                node = self.nodes.get(receiver)
                if wire is not None and node is not None and wire.channels.get(channel):
                    payload = wire.channels[channel].popleft()
                    node.driver.on_message(sender, channel, payload)
            else:
                return
        raise AssertionError("the network does not come to rest")

    def run(self, seconds: float) -> None:
        """Time passes; whoever has a deadline is called at it."""
        self.settle()
        end_ns = self.now_ns + round(seconds * SECOND_NS)
        while True:
            due = [
                deadline
                for node in self.nodes.values()
                if (deadline := node.driver.deadline_ns()) is not None
            ]
            next_ns = min(due, default=end_ns)
            if next_ns > end_ns:
                break
            self.now_ns = max(self.now_ns, next_ns)
            for node in list(self.nodes.values()):
                deadline = node.driver.deadline_ns()
                if deadline is not None and deadline <= self.now_ns:
                    node.driver.on_time()
            self.settle()
            if next_ns == end_ns:
                break
        self.now_ns = end_ns


class Stranger:
    """A peer made by hand: says exactly what a test tells it to, and keeps what it hears."""

    def __init__(self, network: Network, number: int, *, host: str = "127.0.0.1") -> None:
        self.network = network
        self.seed = seed_of(number)
        self.key = public_key_of(self.seed)
        self.host, self.port = host, 40_000 + number
        self.heard: list[tuple[int, bytes]] = []
        self.closed: list[str] = []
        self.driver = self
        network.nodes[self.key] = self  # type: ignore[assignment]

    def on_connected(self, peer: bytes, host: str, port: int, inbound: bool) -> None:
        pass

    def on_message(self, peer: bytes, channel: int, payload: bytes) -> None:
        self.heard.append((channel, payload))

    def on_closed(self, peer: bytes, reason: str) -> None:
        self.closed.append(reason)

    def on_time(self) -> None:
        pass

    def deadline_ns(self) -> int | None:
        return None

    def say(self, node: Node, channel: int, payload: bytes) -> None:
        """A frame, delivered at once."""
        self.network.carry(self.key, node.key, channel, payload)
        self.network.settle()
