"""Consensus nodes in memory, on one virtual clock: real cores and drivers, doors of the test."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from ghostchain.consensus.certificates import SignatureItem
from ghostchain.consensus.core import Consensus
from ghostchain.consensus.driver import LOG_BYTES_MAX, Driver
from ghostchain.consensus.effects import Peer, RoundFailed, StartHeight
from ghostchain.consensus.guard import Guard
from ghostchain.consensus.messages import (
    Certificate,
    Message,
    Step,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.consensus.ports import Offer
from ghostchain.consensus.timers import Parameters
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.types import Address, Hash32

CHAIN_ID = 44678
PARAMETERS = Parameters()
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


def key_of(index: int) -> bytes:
    return hashlib.sha256(b"key %d" % index).digest()


def sign(key: bytes, message: bytes) -> bytes:
    """A signature that nothing but this process trusts: 64 bytes that depend on both."""
    return hashlib.sha512(key + message).digest()


def verify(items: Sequence[SignatureItem]) -> list[bool]:
    return [sign(key, message) == signature for key, message, signature in items]


def signed(vote: Vote, key: bytes) -> Vote:
    return Vote(
        vote.kind,
        vote.height,
        vote.round,
        vote.block_id,
        vote.valid_round,
        vote.validator,
        sign(key, vote.sign_bytes(CHAIN_ID)),
    )


def validator_set(powers: Sequence[int]) -> ValidatorSet:
    return ValidatorSet(
        Validator(Address(bytes(18) + index.to_bytes(2, "big")), key_of(index), power)
        for index, power in enumerate(powers)
    )


class World:
    """Virtual time, and what happens in it, in order."""

    def __init__(self, seed: int = 0) -> None:
        self.now_ns_ = 0
        self.chance = Random(seed)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        return self.now_ns_

    def at(self, at_ns: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (max(at_ns, self.now_ns_), self._count, action))

    def after(self, wait_ns: int, action: Callable[[], None]) -> None:
        self.at(self.now_ns_ + wait_ns, action)

    def run(self, until: Callable[[], bool], limit_ns: int = 60 * SECOND) -> None:
        """Until it holds. Raises: AssertionError when it never does within the limit."""
        end_ns = self.now_ns_ + limit_ns
        while not until():
            assert self._events, "nothing happens any more"
            at_ns, _, action = heapq.heappop(self._events)
            assert at_ns <= end_ns, f"not within {limit_ns / SECOND} s"
            self.now_ns_ = at_ns
            action()

    def run_for(self, wait_ns: int) -> None:
        is_over: list[bool] = []
        self.after(wait_ns, lambda: is_over.append(True))
        self.run(lambda: bool(is_over), wait_ns + SECOND)


class MemoryLog:
    """A log whose unflushed records are lost in a crash."""

    def __init__(self) -> None:
        self.durable: list[bytes] = []
        self.volatile: list[bytes] = []
        self.flushes = 0

    def records(self) -> Iterable[bytes]:
        return list(self.durable)

    def append(self, record: bytes) -> None:
        self.volatile.append(record)

    def flush(self) -> None:
        self.durable += self.volatile
        self.volatile = []
        self.flushes += 1

    def restart(self) -> None:
        self.durable, self.volatile = [], []

    def rewrite(self, records: Sequence[bytes]) -> None:
        self.durable, self.volatile = list(records), []

    def crash(self) -> None:
        self.volatile = []


class MemorySigner:
    """Signs one vote of a kind, height and round, and never an earlier one: durable at once."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.signed: dict[tuple[int, int, int], Vote] = {}
        self.refuses = False
        self.refusals: list[str] = []

    @property
    def public_key(self) -> bytes:
        return self.key

    def sign(self, vote: Vote, done: Callable[[bytes, str], None]) -> None:
        place = (vote.height, vote.round, int(vote.kind))
        known = self.signed.get(place)
        if self.refuses:
            done(b"", "told to refuse")
        elif known is not None and known != vote:
            self.refusals.append("signed otherwise")
            done(b"", "signed otherwise")
        elif known is None and self.signed and max(self.signed) > place:
            done(b"", "signed a later one")
        else:
            self.signed[place] = vote
            done(sign(self.key, vote.sign_bytes(CHAIN_ID)), "")


def block_of(height: int, round: int, name: str) -> Hash32:
    return keccak256(f"{height} {round} {name}".encode())


@dataclass
class MemoryChain:
    """The application: blocks are their ids. They pass from node to node by the id alone, once the
    node that made it offered it."""

    world: World
    name: str
    validators: ValidatorSet
    blocks: list[tuple[Hash32, Certificate]] = field(default_factory=list)
    evidence: list[tuple[bytes, Vote, Vote]] = field(default_factory=list)
    restored: set[Hash32] = field(default_factory=set)
    extended: list[Certificate] = field(default_factory=list)
    builds: bool = True
    has_work: bool = True
    judge: Callable[[Hash32, int | None], bool] = lambda block_id, round: True
    latency_ns: int = 0
    wanted: list[Hash32] = field(default_factory=list)

    def start(self) -> StartHeight:
        return StartHeight(len(self.blocks) + 1, self.validators, self.has_work)

    def _answer(self, answer: Callable[[], None]) -> None:
        if self.latency_ns:
            self.world.after(self.latency_ns, answer)
        else:
            answer()

    def build(self, height: int, round: int, done: Callable[[Offer | None, str], None]) -> None:
        if not self.builds:
            done(None, "told not to build")
            return
        block_id = block_of(height, round, self.name)
        self._answer(lambda: done(Offer(block_id, bytes(block_id), bytes(block_id)), ""))

    def validate(
        self,
        height: int,
        round: int | None,
        block_id: Hash32,
        body: bytes | None,
        peer: Peer,
        done: Callable[[bytes | None, str], None],
    ) -> None:
        self.wanted.append(block_id)
        if self.judge(block_id, round):
            self._answer(lambda: done(bytes(block_id), ""))
        else:
            self._answer(lambda: done(None, "told that it is invalid"))

    def restore(self, height: int, block_id: Hash32, record: bytes) -> None:
        assert record == block_id
        self.restored.add(block_id)

    def commit(
        self,
        height: int,
        block_id: Hash32,
        certificate: Certificate,
        done: Callable[[StartHeight], None],
    ) -> None:
        assert height == len(self.blocks) + 1
        self.blocks.append((block_id, certificate))
        self._answer(lambda: done(self.start()))

    def extend(self, certificate: Certificate) -> None:
        self.extended.append(certificate)

    def certificate(self, height: int) -> Certificate | None:
        return self.blocks[height - 1][1] if 0 < height <= len(self.blocks) else None

    def report(self, key: bytes, first: Vote, second: Vote) -> None:
        self.evidence.append((key, first, second))


@dataclass
class Notebook:
    """The watcher: what happened to a node."""

    failures: list[RoundFailed] = field(default_factory=list)
    steps: list[tuple[int, int, Step]] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    doppelgangers: list[Vote] = field(default_factory=list)
    divergences: list[int] = field(default_factory=list)

    def entered(self, height: int, round: int, step: Step, now_ns: int) -> None:
        self.steps.append((height, round, step))

    def round_failed(self, failure: RoundFailed, now_ns: int) -> None:
        self.failures.append(failure)

    def decided(self, height: int, round: int, block_id: Hash32, now_ns: int) -> None:
        self.times_ns.append(now_ns)

    def doppelganger(self, vote: Vote) -> None:
        self.doppelgangers.append(vote)

    def diverged(self, height: int, block_id: Hash32, reason: str) -> None:
        self.divergences.append(height)


class Node:
    """One validator, or a follower (index beyond the set), with what survives its crashes."""

    def __init__(self, cluster: Cluster, index: int) -> None:
        self.cluster = cluster
        self.index = index
        self.name = bytes([index]) * 32
        self.log = MemoryLog()
        self.signer = MemorySigner(key_of(index))
        self.chain = MemoryChain(cluster.world, str(index), cluster.validators)
        self.notebook = Notebook()
        self.punished: list[tuple[Peer, str]] = []
        self.said: list[Message] = []
        self.is_up = False
        self.life = 0
        self.driver: Driver

    def start(self, guard: Guard | None = None) -> None:
        core = Consensus(CHAIN_ID, self.signer.key, self.cluster.parameters, verify)
        self.driver = Driver(
            core,
            self.cluster.world,
            self.log,
            self.signer,
            self.chain,
            self,
            self.notebook,
            guard=guard,
            log_bytes_max=self.cluster.log_bytes_max,
        )
        self.is_up = True
        self.life += 1
        self.driver.start(self.chain.start())
        for other in self.cluster.nodes:
            if other is not self and other.is_up:
                self.driver.on_peer(other.name)
        self.watch_time()

    def crash(self) -> None:
        self.is_up = False
        self.log.crash()

    @property
    def height(self) -> int:
        return len(self.chain.blocks)

    @property
    def refusals(self) -> list[str]:
        return self.signer.refusals

    def watch_time(self) -> None:
        """Wake at the deadline, whatever it is by then."""
        deadline_ns = self.driver.deadline_ns()
        life = self.life

        def wake() -> None:
            if self.is_up and life == self.life:
                due_ns = self.driver.deadline_ns()
                if due_ns is not None and due_ns <= self.cluster.world.now_ns():
                    self.driver.on_time()
                    self.watch_time()

        if deadline_ns is not None:
            self.cluster.world.at(deadline_ns, wake)

    # ---- the network door ----

    def broadcast(self, message: Message, body: bytes | None = None) -> None:
        self.said.append(message)
        for other in self.cluster.nodes:
            if other is not self:
                self.cluster.carry(self, other, message, body)

    def send(self, peer: Peer, message: Message, body: bytes | None = None) -> None:
        self.said.append(message)
        for other in self.cluster.nodes:
            if other.name == peer:
                self.cluster.carry(self, other, message, body)

    def punish(self, peer: Peer, reason: str) -> None:
        self.punished.append((peer, reason))


class Cluster:
    """Nodes that hear each other after a latency, unless `hears` says otherwise."""

    def __init__(
        self,
        powers: Sequence[int],
        *,
        followers: int = 0,
        seed: int = 0,
        parameters: Parameters = PARAMETERS,
        latency_ns: int = MILLISECOND,
    ) -> None:
        self.world = World(seed)
        self.validators = validator_set(powers)
        self.parameters = parameters
        self.latency_ns = latency_ns
        self.jitter_ns = 0
        self.log_bytes_max = LOG_BYTES_MAX
        self.hears: Callable[[int, int, Message], bool] = lambda source, target, message: True
        self.nodes: list[Node] = []
        self.nodes = [Node(self, index) for index in range(len(powers) + followers)]

    def start(self, indices: Iterable[int] | None = None) -> None:
        for index in range(len(self.nodes)) if indices is None else indices:
            self.nodes[index].start()

    def carry(self, source: Node, target: Node, message: Message, body: bytes | None) -> None:
        if not self.hears(source.index, target.index, message):
            return
        data = encode_message(message)
        wait_ns = self.latency_ns + self.world.chance.randint(0, self.jitter_ns)

        def arrive() -> None:
            if target.is_up:
                target.driver.on_message(decode_message(data), source.name, body)
                target.watch_time()

        self.world.after(wait_ns, arrive)

    def run_to(self, height: int, indices: Iterable[int], limit_ns: int = 60 * SECOND) -> None:
        """Until these nodes decided that height, and all of them the same."""
        nodes = [self.nodes[index] for index in indices]
        self.world.run(lambda: all(node.height >= height for node in nodes), limit_ns)
        self.check_agreement()

    def check_agreement(self) -> None:
        """No two nodes decided differently, and each decision has a quorum's certificate."""
        longest = max(self.nodes, key=lambda node: node.height)
        for node in self.nodes:
            for place, (block_id, certificate) in enumerate(node.chain.blocks):
                assert block_id == longest.chain.blocks[place][0], place + 1
                assert certificate.block_id == block_id
                assert certificate.height == place + 1
                assert self.validators.power_of(certificate.signers) >= self.validators.quorum
