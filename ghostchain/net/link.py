"""One connection with its channels: what waits to be sent, and what has come. Sans-IO: datagrams
and time go in, datagrams come out, and the owner is told what happened.

Sending: each channel has a queue with a limit in bytes. Only a little of it is handed to aioquic at
a time, by priority, so that a vote never waits behind more than that of a block. A queue out of
which a peer takes nothing for `stall_seconds` closes the connection.

Receiving: a message is handed on when its channel's buckets of bytes and messages allow. When they
do not, it waits, the peer's window is not moved on, and so the peer waits too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from aioquic.quic import events
from aioquic.quic.connection import NetworkAddress, QuicConnectionState
from aioquic.quic.packet import QuicErrorCode
from aioquic.quic.stream import QuicStreamSender
from aioquic.tls import AlertDescription

from ghostchain.net.channels import CHANNELS, PRIORITY, Channel, ChannelLimits
from ghostchain.net.connection import Connection
from ghostchain.net.frames import FrameDecoder, InvalidFrame, encode_length
from ghostchain.net.limits import SECOND_NS, TokenBucket

HANDOVER_PACKETS = 16
"""What aioquic is given ahead of sending, of each channel, in packets."""
HANDSHAKE_DATAGRAMS_MAX = 64
"""From the peer; five or six are usual."""
REASON_CHARACTERS_MAX = 200


class CloseCode(IntEnum):
    """The application error code of CONNECTION_CLOSE."""

    NONE = 0
    DUPLICATE = 1
    """Another connection to the same peer is kept."""
    NO_ROOM = 2
    PROTOCOL = 3
    """The peer said what no honest one says."""
    SLOW = 4
    """The peer does not take what it is sent."""
    SHUTDOWN = 5
    UNWANTED = 6
    """Whoever uses the network wants this peer no more."""


@dataclass(slots=True)
class Traffic:
    """What went through a channel. bytes: of messages with their lengths."""

    sent_bytes: int = 0
    sent_messages: int = 0
    received_bytes: int = 0
    received_messages: int = 0
    refused_messages: int = 0
    """That `send` refused, its queue being full."""


class LinkOwner(Protocol):
    """Who is told."""

    def on_established(self, link: Link) -> None: ...

    def on_message(self, link: Link, channel: int, payload: bytes) -> None: ...

    def on_drained(self, link: Link, channel: int) -> None: ...

    def on_ended(self, link: Link, reason: str) -> None: ...

    def on_connection_id(self, link: Link, connection_id: bytes, *, is_issued: bool) -> None: ...


@dataclass(slots=True)
class Budget:
    """Bytes that wait to be sent to all peers together. Votes and what keeps connections in order
    are never refused for it."""

    bytes_max: int
    used_bytes: int = 0


_UNBUDGETED = frozenset({Channel.VOTES, Channel.CONTROL})
# Shorter ones are copied behind their length; longer ones are shared by all who are sent them.
_COPIED_BYTES_MAX = 2_048


class _Outgoing:
    """The queue of one channel."""

    __slots__ = ("is_awaited", "limits", "queue", "queued_bytes", "sender", "stalled_seconds")

    def __init__(self, limits: ChannelLimits) -> None:
        self.limits = limits
        self.queue: deque[bytes | memoryview] = deque()
        self.queued_bytes = 0
        self.sender: QuicStreamSender | None = None
        self.is_awaited = False
        self.stalled_seconds = 0


class _Incoming:
    """The stream of one channel from the peer."""

    __slots__ = ("bytes_bucket", "decoder", "messages_bucket", "resume_ns", "withheld")

    def __init__(self, limits: ChannelLimits, now_ns: int) -> None:
        self.decoder = FrameDecoder(limits.frame_bytes_max)
        self.bytes_bucket = TokenBucket(limits.receive_bytes, limits.receive_bytes, now_ns)
        self.messages_bucket = TokenBucket(
            limits.receive_messages, 2 * limits.receive_messages, now_ns
        )
        self.resume_ns = 0
        """When it may go on; 0: it is not held up."""
        self.withheld = 0
        """Bytes that have come and for which no new window was given."""


class Link:
    """A connection and its channels. Driven like aioquic's: `receive`, `transmit`, `on_time`,
    `deadline`; times are seconds of the monotonic clock."""

    __slots__ = (
        "_budget",
        "_handshake_datagrams",
        "_incoming",
        "_is_told",
        "_outgoing",
        "_owner",
        "_queued_bytes",
        "_ranked",
        "_resume_ns",
        "address",
        "armed",
        "connection",
        "connection_ids",
        "established_at",
        "expected_key",
        "is_established",
        "is_inbound",
        "opened_at",
        "peer",
        "received_at",
        "traffic",
    )

    def __init__(
        self,
        owner: LinkOwner,
        connection: Connection,
        address: NetworkAddress,
        limits: Sequence[ChannelLimits],
        budget: Budget,
        *,
        is_inbound: bool,
        expected_key: bytes | None,
        now: float,
    ) -> None:
        self._owner = owner
        self.connection = connection
        self.address = address
        self.is_inbound = is_inbound
        self.expected_key = expected_key
        self.opened_at = now
        self.received_at = now
        self.established_at = 0.0
        self.is_established = False
        self.peer = b""
        self.armed = float("inf")
        """The owner's: when the timer for this link goes off."""
        self.connection_ids: set[bytes] = set()
        """The owner's: by which the link is found."""
        self.traffic = [Traffic() for _ in range(CHANNELS)]
        self._is_told = False
        self._handshake_datagrams = 0
        self._budget = budget
        self._queued_bytes = 0
        self._outgoing = [_Outgoing(limit) for limit in limits]
        self._ranked = [(channel, self._outgoing[channel]) for channel in PRIORITY]
        now_ns = int(now * SECOND_NS)
        self._incoming = [_Incoming(limit, now_ns) for limit in limits]
        self._resume_ns = 0

    # ---- sending ----

    def send(self, channel: int, payload: bytes) -> bool:
        """Whether the message waits to be sent now. Raises: ValueError for a message that is empty
        or longer than the channel allows."""
        outgoing = self._outgoing[channel]
        size = len(payload)
        if not 0 < size <= outgoing.limits.frame_bytes_max:
            raise ValueError(f"a message of {size} bytes on {Channel(channel).name}")
        traffic = self.traffic[channel]
        budget = self._budget
        if outgoing.queued_bytes + size > outgoing.limits.queue_bytes_max or (
            budget.used_bytes + size > budget.bytes_max and channel not in _UNBUDGETED
        ):
            outgoing.is_awaited = True
            traffic.refused_messages += 1
            return False
        if size > _COPIED_BYTES_MAX:
            outgoing.queue.append(encode_length(size))
            outgoing.queue.append(payload)
        else:
            outgoing.queue.append(encode_length(size) + payload)
        outgoing.queued_bytes += size + 4
        self._queued_bytes += size + 4
        budget.used_bytes += size + 4
        traffic.sent_bytes += size + 4
        traffic.sent_messages += 1
        return True

    def waiting_bytes(self, channel: int) -> int:
        """Of the channel, not handed to the connection yet."""
        return self._outgoing[channel].queued_bytes

    @property
    def has_begun(self) -> bool:
        """Whether anything from the peer could be decrypted."""
        return self.connection._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def unread_bytes(self) -> int:
        """That the peer sent and nobody was handed."""
        return sum(incoming.decoder.waiting_bytes for incoming in self._incoming)

    def transmit(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        """The datagrams that leave now."""
        connection = self.connection
        self._hand_over()
        datagrams = connection.datagrams_to_send(now)
        # What is handed over at a time is less than a fast path takes at a time.
        for _ in range(8):
            if not datagrams or not self._hand_over():
                break
            more = connection.datagrams_to_send(now)
            if not more:
                break
            datagrams += more
        if connection._events:
            self._take_events(now)
        return datagrams

    def _hand_over(self) -> bool:
        """Whether anything more was given to the connection."""
        if not self._queued_bytes or not self.is_established or self.connection.is_over:
            return False
        handed = False
        ahead = HANDOVER_PACKETS * self.connection._max_datagram_size
        for channel, outgoing in self._ranked:
            if not outgoing.queue:
                continue
            sender = outgoing.sender
            assert sender is not None
            room = ahead - (sender._buffer_stop - sender.highest_offset)
            if room <= 0:
                continue
            handed = True
            outgoing.stalled_seconds = 0
            moved = _move(outgoing.queue, sender, room)
            outgoing.queued_bytes -= moved
            self._queued_bytes -= moved
            self._budget.used_bytes -= moved
            self._tell_of_room(channel, outgoing)
        return handed

    def _tell_of_room(self, channel: int, outgoing: _Outgoing) -> None:
        if (
            outgoing.is_awaited
            and outgoing.queued_bytes <= outgoing.limits.queue_bytes_max >> 1
            and self._budget.used_bytes <= self._budget.bytes_max >> 1
        ):
            outgoing.is_awaited = False
            self._owner.on_drained(self, channel)

    # ---- receiving ----

    def receive(self, data: bytes, address: NetworkAddress, now: float) -> None:
        """A datagram for this connection."""
        self.received_at = now
        connection = self.connection
        if not self.is_established:
            self._handshake_datagrams += 1
            if self._handshake_datagrams > HANDSHAKE_DATAGRAMS_MAX:
                self.close(CloseCode.PROTOCOL, "a handshake of too many datagrams", now)
                return
        connection.receive_datagram(data, address, now)
        if connection._events or connection._close_event is not None:
            self._take_events(now)

    def _take_events(self, now: float) -> None:
        queue = self.connection._events
        while queue:
            event = queue.popleft()
            if isinstance(event, events.StreamDataReceived):
                if event.end_stream:
                    self.close(CloseCode.PROTOCOL, "a channel was ended", now)
                else:
                    self._take_data(event.stream_id >> 2, event.data, now)
            elif isinstance(event, events.ConnectionIdIssued):
                self._owner.on_connection_id(self, event.connection_id, is_issued=True)
            elif isinstance(event, events.ConnectionIdRetired):
                self._owner.on_connection_id(self, event.connection_id, is_issued=False)
            elif isinstance(event, events.HandshakeCompleted):
                self._establish(now)
            elif isinstance(event, events.StreamReset | events.StopSendingReceived):
                self.close(CloseCode.PROTOCOL, "a channel was reset", now)
        ending = self.connection._close_event
        if ending is not None and not self._is_told:
            words = _words(ending)
            if self.connection._state is QuicConnectionState.DRAINING:
                words = f"closed by the peer: {words}"
            self._end(words)

    def _establish(self, now: float) -> None:
        self.is_established = True
        self.established_at = now
        self.peer = self.connection.peer_key
        for outgoing, stream in zip(self._outgoing, self.connection.open_channels(), strict=True):
            outgoing.sender = stream.sender
        self._owner.on_established(self)

    def _take_data(self, channel: int, data: bytes, now: float) -> None:
        incoming = self._incoming[channel]
        incoming.decoder.feed(data)
        incoming.withheld += len(data)
        if not incoming.resume_ns:
            self._take_messages(channel, incoming, now)

    def _take_messages(self, channel: int, incoming: _Incoming, now: float) -> None:
        """Hands on what is whole and allowed, and lets the peer send as much again."""
        now_ns = int(now * SECOND_NS)
        decoder = incoming.decoder
        traffic = self.traffic[channel]
        try:
            while not self._is_told and decoder.next_length() is not None:
                wait_ns = max(
                    incoming.bytes_bucket.wait_ns(now_ns), incoming.messages_bucket.wait_ns(now_ns)
                )
                if wait_ns:
                    incoming.resume_ns = now_ns + wait_ns
                    self._resume_ns = min(self._resume_ns or incoming.resume_ns, incoming.resume_ns)
                    break
                payload = decoder.next_frame()
                if payload is None:
                    break
                size = len(payload) + 4
                incoming.bytes_bucket.take(size, now_ns)
                incoming.messages_bucket.take(1, now_ns)
                traffic.received_bytes += size
                traffic.received_messages += 1
                self._owner.on_message(self, channel, payload)
        except InvalidFrame as refusal:
            self.close(CloseCode.PROTOCOL, f"{Channel(channel).name}: {refusal}", now)
            return
        kept = decoder.waiting_bytes if incoming.resume_ns else 0
        if incoming.withheld > kept:
            self.connection.consume(channel, incoming.withheld - kept)
            incoming.withheld = kept

    # ---- time ----

    def deadline(self) -> float:
        """When `on_time` should be called, in seconds."""
        deadline = self.connection.get_timer()
        if deadline is None:
            return float("inf")
        if self._resume_ns:
            return min(deadline, self._resume_ns / SECOND_NS)
        return deadline

    def on_time(self, now: float) -> None:
        """The deadline has come."""
        timer = self.connection.get_timer()
        if timer is not None and timer <= now:
            self.connection.handle_timer(now)
            self._take_events(now)
        now_ns = int(now * SECOND_NS)
        if self._resume_ns and self._resume_ns <= now_ns:
            self._resume_ns = 0
            for channel, incoming in enumerate(self._incoming):
                if incoming.resume_ns and incoming.resume_ns <= now_ns:
                    incoming.resume_ns = 0
                    self._take_messages(channel, incoming, now)
                elif incoming.resume_ns:
                    self._resume_ns = min(self._resume_ns or incoming.resume_ns, incoming.resume_ns)

    def on_second(self, now: float, keep_alive_seconds: float) -> bool:
        """Once a second: whether there is something to transmit now."""
        if self.connection.is_over or not self.is_established:
            return False
        for channel, outgoing in enumerate(self._outgoing):
            self._tell_of_room(channel, outgoing)
            if not outgoing.queue:
                continue
            outgoing.stalled_seconds += 1
            if outgoing.stalled_seconds > outgoing.limits.stall_seconds:
                words = f"{Channel(channel).name}: nothing of the queue was taken in time"
                self.close(CloseCode.SLOW, words, now)
                return True
        if now - self.received_at >= keep_alive_seconds:
            self.connection.send_ping(0)
            return True
        return False

    # ---- the end ----

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """The peer is told on the next `transmit`, the owner at once."""
        self.connection.close(error_code=code, reason_phrase=reason)
        self._end(reason)

    def _end(self, reason: str) -> None:
        if not self._is_told:
            self._is_told = True
            self._budget.used_bytes -= self._queued_bytes
            self._queued_bytes = 0
            for outgoing in self._outgoing:
                outgoing.queue.clear()
                outgoing.queued_bytes = 0
            self._owner.on_ended(self, reason)


def _move(queue: deque[bytes | memoryview], sender: QuicStreamSender, room: int) -> int:
    """Moves up to room bytes; returns how many."""
    moved = 0
    pieces = []
    while queue and moved < room:
        piece = queue.popleft()
        size = len(piece)
        if moved + size > room:
            rest = memoryview(piece)[room - moved :]
            piece = memoryview(piece)[: room - moved]
            queue.appendleft(rest)
            size = len(piece)
        pieces.append(piece)
        moved += size
    sender.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))  # type: ignore[arg-type]
    return moved


def _words(event: events.ConnectionTerminated) -> str:
    """Why a connection ended, for people; what comes from the peer is cut and cleaned."""
    text = "".join(
        character if character.isascii() and character.isprintable() else "?"
        for character in event.reason_phrase[:REASON_CHARACTERS_MAX]
    )
    if event.frame_type is None:
        return text or f"closed with code {event.error_code}"
    code = event.error_code
    if code >= QuicErrorCode.CRYPTO_ERROR:
        try:
            name = AlertDescription(code - QuicErrorCode.CRYPTO_ERROR).name
        except ValueError:
            name = f"alert {code - QuicErrorCode.CRYPTO_ERROR}"
        return f"{text or 'the handshake was refused'} ({name})"
    return text or f"closed with transport error {code:#x}"
