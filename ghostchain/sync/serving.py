"""Answering others: whose turn it is, and how much of it.

Requests of a peer are answered in order, one at a time, and peers take turns slice by slice. What
is read is bounded by a message's limits, so a turn takes a bounded time. A peer that asks for more
than its share of bytes waits; one that has too many requests waiting is flooding.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ghostchain.sync.effects import Peer, Punish
from ghostchain.sync.effects import Request as Send
from ghostchain.sync.messages import (
    Part,
    Refusal,
    Refused,
    Request,
    SyncReason,
    encode_message,
)

WAITING_MAX = 16
"""Requests of one peer that wait or are being answered."""
SLICE_BYTES = 64 << 10
"""Of an answer, sent at once."""
BYTES_PER_S = 32 << 20
BURST_BYTES = 16 << 20
PEERS_MAX = 256
READS_MAX = 2
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Read:
    """Look up what the peer asks for; answer with `on_read`."""

    peer: Peer
    request: Request


@dataclass(slots=True)
class _Client:
    """A peer that asks. allowance: bytes that it may be sent now."""

    waiting: deque[Request] = field(default_factory=deque)
    is_reading: bool = False
    answer: bytes = b""
    offset: int = 0
    is_blocked: bool = False
    allowance: float = BURST_BYTES
    counted_ns: int = 0


ServeEffect = Read | Send | Punish
ServeEffects = tuple[ServeEffect, ...]


class ServeCore:
    """Who asked for what, and what has been sent of it; a value like the other cores."""

    def __init__(self) -> None:
        self._clients: dict[Peer, _Client] = {}
        self._turns: deque[Peer] = deque()
        self._reads = 0

    def on_request(self, peer: Peer, request: Request, *, now_ns: int) -> ServeEffects:
        """A peer asks."""
        client = self._clients.get(peer)
        if client is None:
            if len(self._clients) >= PEERS_MAX:
                return (Send(peer, _refused(request, Refusal.BUSY, 0, 0)),)
            client = self._clients[peer] = _Client(counted_ns=now_ns)
            self._turns.append(peer)
        if len(client.waiting) >= WAITING_MAX:
            self.on_closed(peer)
            return (Punish(peer, SyncReason.FLOODING, f"{WAITING_MAX} requests wait"),)
        client.waiting.append(request)
        return self._reads_due()

    def on_read(
        self, peer: Peer, request: Request, answer: bytes | None, lowest: int, highest: int
    ) -> ServeEffects:
        """The answer to `Read`: its whole body, or None with the heights that there are."""
        self._reads -= 1
        client = self._clients.get(peer)
        if client is None or not client.is_reading or client.waiting[0] is not request:
            return self._reads_due()
        client.is_reading = False
        if answer is None:
            client.waiting.popleft()
            refusal = _refused(request, Refusal.ABSENT, lowest, highest)
            return (Send(peer, refusal), *self._reads_due())
        client.answer, client.offset = answer, 0
        return self._reads_due()

    def on_closed(self, peer: Peer) -> None:
        """The peer is gone, and what it asked for with it."""
        if self._clients.pop(peer, None) is not None:
            self._turns.remove(peer)

    def on_drained(self, peer: Peer) -> None:
        """What could not be sent to the peer can be now."""
        client = self._clients.get(peer)
        if client is not None:
            client.is_blocked = False

    def next_slice(self, *, now_ns: int) -> Send | None:
        """What to send now; say `on_sent` or `on_blocked` of it before asking again."""
        for _ in range(len(self._turns)):
            peer = self._turns[0]
            self._turns.rotate(-1)
            client = self._clients[peer]
            if not client.answer or client.is_blocked:
                continue
            self._allow(client, now_ns)
            if client.allowance <= 0:
                continue
            data = client.answer[client.offset : client.offset + SLICE_BYTES]
            number = client.waiting[0].request
            part = Part(number, len(client.answer), client.offset, data)
            return Send(peer, encode_message(part))
        return None

    def on_sent(self, peer: Peer) -> ServeEffects:
        """The last slice is on its way."""
        client = self._clients[peer]
        sent = min(SLICE_BYTES, len(client.answer) - client.offset)
        client.offset += sent
        client.allowance -= sent
        if client.offset == len(client.answer):
            client.answer, client.offset = b"", 0
            client.waiting.popleft()
            return self._reads_due()
        return ()

    def on_blocked(self, peer: Peer) -> None:
        """The last slice could not be sent: the peer's queue is full until `on_drained`."""
        self._clients[peer].is_blocked = True

    def deadline_ns(self, now_ns: int) -> int | None:
        """When a peer that has had its share may be sent more."""
        times = [
            now_ns + int((1 - client.allowance) * SECOND_NS / BYTES_PER_S)
            for client in self._clients.values()
            if client.answer and not client.is_blocked and client.allowance <= 0
        ]
        return min(times, default=None)

    def _allow(self, client: _Client, now_ns: int) -> None:
        earned = (now_ns - client.counted_ns) * BYTES_PER_S / SECOND_NS
        client.allowance = min(float(BURST_BYTES), client.allowance + earned)
        client.counted_ns = now_ns

    def _reads_due(self) -> ServeEffects:
        """Starts to read for those whose turn it is, a few at a time."""
        effects: list[ServeEffect] = []
        for peer in self._turns:
            if self._reads >= READS_MAX:
                break
            client = self._clients[peer]
            if client.waiting and not client.is_reading and not client.answer:
                client.is_reading = True
                self._reads += 1
                effects.append(Read(peer, client.waiting[0]))
        return tuple(effects)


def _refused(request: Request, refusal: Refusal, lowest: int, highest: int) -> bytes:
    return encode_message(Refused(request.request, refusal, lowest, highest))
