"""A network of peers that serve blocks, in memory and in virtual time, for the tests of sync.

Everything is decided by the seed: delays, order, what peers do. `World.run` steps events in order
of time until nothing is left to happen or the time is over.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import encode_header
from ghostchain.primitives.types import (
    Hash32,
)
from ghostchain.sync.core import SyncCore
from ghostchain.sync.effects import (
    Done,
    Effect,
    Import,
    Progress,
    Punish,
    Request,
    Started,
    Stuck,
    Verify,
)
from ghostchain.sync.messages import (
    GetBlocks,
    InvalidSyncMessage,
    Part,
    Refusal,
    Refused,
    SyncBlock,
    decode_message,
    encode_blocks,
    encode_message,
    encoded_size,
)
from tests.samples import HEADER

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
GENESIS_HASH = Hash32(bytes([7]) * 32)

Item = tuple[bytes, bytes, bytes]


def certificate_of(block_hash: bytes) -> bytes:
    """What the tests take for a quorum's signatures."""
    return b"certificate" + block_hash


def blocks_of(count: int, *, body_bytes: int = 100, salt: bytes = b"") -> list[Item]:
    """A chain from height 1: (block, certificate, attachment) each."""
    items = []
    parent = GENESIS_HASH
    for number in range(1, count + 1):
        header = encode_header(replace(HEADER, number=number, parent_hash=parent, extra_data=salt))
        parent = keccak256(header)
        body = rlp.encode_bytes(bytes(body_bytes))
        block = rlp.list_of([header, rlp.list_of([body]), b"\xc0", b"\xc0"])
        items.append((block, certificate_of(parent), b"beside %d" % number))
    return items


class Peer:
    """An honest one; others override what they do differently. chain[i] has height i + 1."""

    claims: int | None = None
    delay_ns = 5 * MILLISECOND_NS

    def __init__(self, name: str, chain: Sequence[Item]) -> None:
        self.key = name.encode().ljust(32, b".")
        self.chain = chain
        self.asked: list[GetBlocks] = []

    @property
    def height(self) -> int:
        return len(self.chain) if self.claims is None else self.claims

    def answer(self, request: GetBlocks) -> list[bytes]:
        """The payloads that it sends."""
        self.asked.append(request)
        if request.first > len(self.chain):
            return [self.refuse(request)]
        return parts_of(request, encode_blocks(self.items(request)))

    def refuse(self, request: GetBlocks) -> bytes:
        return encode_message(Refused(request.request, Refusal.ABSENT, 1, len(self.chain)))

    def items(self, request: GetBlocks) -> list[Item]:
        items: list[Item] = []
        size = 0
        for item in self.chain[request.first - 1 : request.first - 1 + request.count]:
            size += encoded_size(*item)
            if items and size > request.bytes_max:
                break
            items.append(item)
        return items


def parts_of(request: GetBlocks, body: bytes, *, part_bytes: int = 64 << 10) -> list[bytes]:
    return [
        encode_message(Part(request.request, len(body), start, body[start : start + part_bytes]))
        for start in range(0, len(body), part_bytes)
    ]


@dataclass(order=True)
class Event:
    time_ns: int
    order: int
    act: Callable[[], None] = field(compare=False)


class World:
    """A node that catches up among peers. What became of it stands in the lists."""

    def __init__(
        self,
        peers: Sequence[Peer],
        *,
        seed: int = 1,
        head: int = 0,
        head_hash: Hash32 = GENESIS_HASH,
        import_ns: int = MILLISECOND_NS,
        import_failure: Callable[[SyncBlock], str] = lambda block: "",
        unknown_above: Callable[[int], int] | None = None,
    ) -> None:
        self.now_ns = SECOND_NS
        self.chance = Random(seed)
        self.core = SyncCore(head, head_hash, now_ns=self.now_ns)
        self.peers = {peer.key: peer for peer in peers}
        self.imported: list[SyncBlock] = []
        self.head = head
        self.punished: list[Punish] = []
        self.done: list[int] = []
        self.started: list[Started] = []
        self.stuck: list[Stuck] = []
        self.progress: list[Progress] = []
        self.requests = 0
        self.held_bytes_max = 0
        self._import_ns = import_ns
        self._import_failure = import_failure
        # The highest height whose validators are known at a head.
        self._known = unknown_above or (lambda head: 2**63)
        self._queue: list[SyncBlock] = []
        self._is_importing = False
        self._events: list[Event] = []
        self._order = itertools.count()
        self._tick_ns: int | None = None
        for peer in peers:
            self.at(self.delay(), lambda peer=peer: self.say_height(peer))

    def delay(self) -> int:
        return self.chance.randrange(MILLISECOND_NS, 20 * MILLISECOND_NS)

    def at(self, delay_ns: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, Event(self.now_ns + delay_ns, next(self._order), act))

    def run(self, *, seconds: float = 120, until: Callable[[], bool] = lambda: False) -> None:
        end = self.now_ns + int(seconds * SECOND_NS)
        while self._events and self._events[0].time_ns <= end and not until():
            event = heapq.heappop(self._events)
            self.now_ns = event.time_ns
            event.act()
            self.held_bytes_max = max(self.held_bytes_max, self.core.held_bytes)
            self._plan_tick()

    def _plan_tick(self) -> None:
        deadline = self.core.deadline_ns(self.now_ns)
        if deadline is None or (self._tick_ns is not None and self._tick_ns <= deadline):
            return
        self._tick_ns = max(deadline, self.now_ns + 1)
        self.at(self._tick_ns - self.now_ns, lambda due=self._tick_ns: self._tick(due))

    def _tick(self, due: int) -> None:
        if self._tick_ns == due:
            self._tick_ns = None
        self.act(self.core.on_tick(now_ns=self.now_ns))

    def say_height(self, peer: Peer) -> None:
        if peer.key in self.peers:
            self.act(self.core.on_peer_height(peer.key, peer.height, now_ns=self.now_ns))

    def close(self, peer: Peer) -> None:
        self.peers.pop(peer.key, None)
        self.act(self.core.on_closed(peer.key, now_ns=self.now_ns))

    def act(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Request):
                self._request(effect)
            elif isinstance(effect, Verify):
                self._verify(effect)
            elif isinstance(effect, Import):
                self._queue += effect.blocks
                self._import_next()
            elif isinstance(effect, Punish):
                self.punished.append(effect)
                self.peers.pop(effect.peer, None)
            elif isinstance(effect, Started):
                self.started.append(effect)
            elif isinstance(effect, Done):
                self.done.append(effect.height)
            elif isinstance(effect, Stuck):
                self.stuck.append(effect)
            else:
                self.progress.append(effect)

    def _request(self, effect: Request) -> None:
        peer = self.peers.get(effect.peer)
        message = decode_message(effect.payload)
        assert isinstance(message, GetBlocks)
        self.requests += 1
        if peer is None:
            return
        delay = peer.delay_ns
        for payload in peer.answer(message):
            delay += self.chance.randrange(MILLISECOND_NS // 2)
            self.at(delay, lambda payload=payload: self._receive(effect.peer, payload))

    def _receive(self, peer: bytes, payload: bytes) -> None:
        if peer not in self.peers:
            return
        try:
            message = decode_message(payload)
        except InvalidSyncMessage as failure:
            self.punished.append(Punish(peer, failure.reason))
            self.close(self.peers[peer])
            return
        assert not isinstance(message, GetBlocks)
        self.act(self.core.on_message(peer, message, now_ns=self.now_ns))

    def _verify(self, effect: Verify) -> None:
        def answer() -> None:
            verdicts: list[bool | None] = []
            for block in effect.blocks:
                if block.height > self._known(self.head):
                    verdicts.append(None)
                else:
                    verdicts.append(block.certificate == certificate_of(block.hash))
            self.act(self.core.on_verified(effect.batch, verdicts, now_ns=self.now_ns))

        self.at(self.chance.randrange(2 * MILLISECOND_NS), answer)

    def _import_next(self) -> None:
        if self._is_importing or not self._queue:
            return
        self._is_importing = True
        self.at(self._import_ns, self._import)

    def _import(self) -> None:
        self._is_importing = False
        block = self._queue.pop(0)
        assert block.height == self.head + 1, "imports follow each other"
        # A body that one peer alone has was changed by it.
        having = [peer for peer in self.peers.values() if _has(peer, block)]
        peer = having[0] if len(having) == 1 else None
        reason = self._import_failure(block)
        if reason:
            self._queue.clear()
            self.act(
                self.core.on_import_failed(
                    block.height, reason, is_changed=peer is not None, now_ns=self.now_ns
                )
            )
            return
        self.imported.append(block)
        self.head = block.height
        self.act(self.core.on_imported(block.height, block.hash, now_ns=self.now_ns))
        self._import_next()

    @property
    def reasons(self) -> dict[bytes, str]:
        """Why each punished peer was."""
        return {punish.peer: punish.reason.name for punish in self.punished}


def _has(peer: Peer, block: SyncBlock) -> bool:
    return any(item[0] == block.block and item[2] == block.attachment for item in peer.chain)
