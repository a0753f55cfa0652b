"""The endpoint: one UDP socket over which a node dials and is dialled, under asyncio or uvloop.

Datagrams are read in batches and given to their links by connection id; what the links have to say
then leaves once, after all of a batch was taken in, or once in a turn of the loop however often
`send` was called. One timer serves all connections.

Of two connections with one peer one is kept. If both sides dialled each other within
`SIMULTANEOUS_SECONDS`, it is that which the smaller key began: both sides choose the same. Else it
is the newer: a peer that lost its state by a crash comes back at once.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import hmac
import itertools
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from ghostchain.net.channels import CHANNELS, LIMITS, ChannelLimits
from ghostchain.net.connection import Connection
from ghostchain.net.identity import Identity
from ghostchain.net.limits import (
    SECOND_NS,
    Gate,
    GateLimits,
    TokenBucket,
    Verdict,
    is_loopback,
)
from ghostchain.net.link import Budget, CloseCode, Link, Traffic
from ghostchain.net.packets import (
    LONG_HEADER,
    Tokens,
    connection_id_of,
    is_reset_by,
    parse_initial,
    stateless_reset,
    version_answer,
)
from ghostchain.primitives.errors import GhostError

Address = tuple[str, int]

READS_MAX = 64
"""Datagrams that are read before others get their turn."""
DATAGRAM_BYTES = 1_200
LOOPBACK_DATAGRAM_BYTES = 8_900
RECEIVED_DATAGRAM_BYTES_MAX = 16_384
SOCKET_BUFFER_BYTES = 4 << 20
UNSENT_DATAGRAMS_MAX = 1_024
SIMULTANEOUS_SECONDS = 5.0
SOON_SECONDS = 1.5
"""More than a second: what is later is seen again before it is due."""
STRAYS_PER_SECOND = 200
"""Answers to datagrams of no connection: resets, versions."""
RESET_TRIALS_PER_SECOND = 2_000


class DialFailed(GhostError):
    """No connection came about. The text says why, in the peer's words when it refused."""


class Handler(Protocol):
    """Who uses the network. Called on the loop's thread, never inside a call to the endpoint other
    than `shut`.

    For each peer on_connected and on_closed alternate, and messages come only in between. When a
    connection takes another's place, the peer is closed and connected again.
    """

    def on_connected(self, peer: bytes, address: Address, inbound: bool) -> None: ...

    def on_message(self, peer: bytes, channel: int, payload: bytes) -> None: ...

    def on_closed(self, peer: bytes, reason: str) -> None: ...

    def on_drained(self, peer: bytes, channel: int) -> None:
        """A queue that refused a message is half empty again."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """identity: the node key. alpn: names the network, see `network_name`. port 0: any free one."""

    identity: Identity
    alpn: str
    host: str = "127.0.0.1"
    port: int = 0
    limits: Sequence[ChannelLimits] = LIMITS
    gate: GateLimits = field(default_factory=GateLimits)
    idle_seconds: float = 30.0
    keep_alive_seconds: float = 10.0
    handshake_seconds: float = 5.0
    queued_bytes_max: int = 256 << 20
    """Of all peers together, waiting to be sent."""
    unread_bytes_max: int = 256 << 20
    """Of all peers together, come but not whole or not due: whoever holds most is closed."""
    datagram_bytes: int = DATAGRAM_BYTES
    loopback_datagram_bytes: int = LOOPBACK_DATAGRAM_BYTES


def network_name(chain_id: int, genesis_hash: bytes) -> str:
    """The ALPN of a chain: nodes of another one, or of another protocol, part in the handshake."""
    return f"ghost/{chain_id}/{genesis_hash[:4].hex()}/1"


class Endpoint:
    """A node's door to its peers; made by `await Endpoint.open(settings, handler)`."""

    def __init__(
        self, settings: EndpointSettings, handler: Handler, endpoint_socket: socket.socket
    ) -> None:
        assert len(settings.limits) == CHANNELS
        self._settings = settings
        self._handler = handler
        self._socket = endpoint_socket
        self._loop = asyncio.get_running_loop()
        self._clock = time.monotonic
        now_ns = int(self._clock() * SECOND_NS)
        self._gate = Gate(settings.gate, now_ns)
        self._tokens = Tokens()
        self._reset_key = hmac.digest(settings.identity.seed, b"stateless reset", sha256)
        self._strays = TokenBucket(STRAYS_PER_SECOND, STRAYS_PER_SECOND, now_ns)
        self._reset_trials = TokenBucket(RESET_TRIALS_PER_SECOND, RESET_TRIALS_PER_SECOND, now_ns)
        self._windows = tuple(limit.window_bytes for limit in settings.limits)
        self._routes: dict[bytes, Link] = {}
        self._links: dict[Link, None] = {}
        self._peers: dict[bytes, Link] = {}
        # The connections that the handler knows of: it is told a moment later, and what it says
        # until then is not for a connection that took the place of another.
        self._told: dict[bytes, Link] = {}
        self._dials: dict[Link, asyncio.Future[bytes]] = {}
        self._dirty: dict[Link, None] = {}
        self._notices: deque[Callable[[], None]] = deque()
        self._is_flush_due = False
        self._is_telling = False
        self._timers: list[tuple[float, int, Link]] = []
        self._timer_order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._second: asyncio.TimerHandle | None = None
        self._unsent: deque[tuple[bytes, Address]] = deque()
        self._is_closed = False
        self._budget = Budget(settings.queued_bytes_max)
        self._past = [Traffic() for _ in range(CHANNELS)]
        self.counts: Counter[str] = Counter()
        """What happened, by name: connections, refusals by reason, datagrams."""

    @classmethod
    async def open(cls, settings: EndpointSettings, handler: Handler) -> Endpoint:
        """An endpoint that listens. Raises: OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        endpoint_socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            endpoint_socket.setblocking(False)
            if family == socket.AF_INET6:
                endpoint_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                endpoint_socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            endpoint_socket.bind(address)
        except OSError:
            endpoint_socket.close()
            raise
        endpoint = cls(settings, handler, endpoint_socket)
        loop.add_reader(endpoint_socket.fileno(), endpoint._on_readable)
        endpoint._second = loop.call_later(1.0, endpoint._on_second)
        return endpoint

    # ---- what the user asks ----

    @property
    def key(self) -> bytes:
        """Who this node is to its peers, 32 bytes."""
        return self._settings.identity.key

    @property
    def local_address(self) -> Address:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def peers(self) -> tuple[bytes, ...]:
        """Whoever is connected."""
        return tuple(self._peers)

    @property
    def connections(self) -> int:
        """Of all kinds, also those whose handshake is not done."""
        return len(self._links)

    def traffic(self, peer: bytes | None = None) -> tuple[Traffic, ...]:
        """By channel: of a peer since it connected, or of all peers since the start."""
        if peer is not None:
            link = self._peers.get(peer)
            return tuple(link.traffic) if link else tuple(Traffic() for _ in range(CHANNELS))
        sums = [_sum_of(past) for past in ([traffic] for traffic in self._past)]
        for link in self._links:
            sums = [_sum_of(pair) for pair in zip(sums, link.traffic, strict=True)]
        return tuple(sums)

    def waiting_bytes(self, peer: bytes, channel: int) -> int:
        """What `send` took for the peer and has not left the queue."""
        link = self._peers.get(peer)
        return link.waiting_bytes(channel) if link else 0

    def round_trip_seconds(self, peer: bytes) -> float:
        """Smoothed; 0 for a peer that is not connected."""
        link = self._peers.get(peer)
        return link.connection.round_trip_seconds if link else 0.0

    async def dial(self, host: str, port: int, expected_key: bytes | None = None) -> bytes:
        """The key of the peer that is connected now: expected_key, when given. A peer that is
        connected already is not dialled again.

        Raises: DialFailed.
        """
        if expected_key is not None and expected_key in self._peers:
            return expected_key
        if expected_key == self.key:
            raise DialFailed("a connection of the node to itself")
        if self._is_closed:
            raise DialFailed("the endpoint is closed")
        address = await self._resolve(host, port)
        limits = self._settings.gate
        if self._gate.inbound + self._gate.outbound >= limits.connections_max:
            raise DialFailed("no room for another connection")
        now = self._clock()
        link = self._open_link(address, now, is_inbound=False, expected_key=expected_key)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._dials[link] = future
        link.connection.connect(address, now)
        self._touch(link)
        try:
            return await future
        except asyncio.CancelledError:
            if self._dials.pop(link, None) is not None:
                link.close(CloseCode.UNWANTED, "the dial was given up", self._clock())
            raise

    def send(self, peer: bytes, channel: int, payload: bytes) -> bool:
        """Whether the message waits to be sent now: False when the peer is not connected or the
        channel's queue is full (`on_drained` tells when there is room again).

        Raises: ValueError for a message that is empty or longer than the channel allows.
        Cost: about two microseconds here; see benchmarks/bench_net.py for the whole.
        """
        link = self._peers.get(peer)
        if link is None or self._told.get(peer, link) is not link:
            return False
        if not link.send(channel, payload):
            return False
        self._touch(link)
        return True

    def close(self, peer: bytes, reason: str) -> None:
        """The peer is told the reason and gone; `on_closed` follows. Nothing when it is not
        connected."""
        link = self._peers.get(peer)
        if link is not None and self._told.get(peer, link) is link:
            link.close(CloseCode.UNWANTED, reason, self._clock())

    def shut(self) -> None:
        """All peers are told, the socket is closed. `on_closed` is called for each."""
        if self._is_closed:
            return
        now = self._clock()
        for link in tuple(self._links):
            link.close(CloseCode.SHUTDOWN, "the node is stopping", now)
        self._flush()
        self._is_closed = True
        self._loop.remove_reader(self._socket.fileno())
        if self._unsent:
            self._loop.remove_writer(self._socket.fileno())
        for handle in (self._timer, self._second):
            if handle is not None:
                handle.cancel()
        self._socket.close()

    async def _resolve(self, host: str, port: int) -> Address:
        family = self._socket.family
        flags = socket.AI_V4MAPPED if family == socket.AF_INET6 else 0
        try:
            found = await self._loop.getaddrinfo(
                host, port, family=family, type=socket.SOCK_DGRAM, flags=flags
            )
        except OSError as failure:
            raise DialFailed(f"{host} is not known: {failure}") from failure
        address = found[0][4]
        assert isinstance(address[0], str)
        return address  # type: ignore[return-value]

    # ---- links ----

    def _open_link(
        self,
        address: Address,
        now: float,
        *,
        is_inbound: bool,
        expected_key: bytes | None = None,
        original_id: bytes | None = None,
        retry_id: bytes | None = None,
    ) -> Link:
        settings = self._settings
        connection = Connection(
            is_client=not is_inbound,
            identity=settings.identity,
            alpn=settings.alpn,
            windows=self._windows,
            idle_seconds=settings.idle_seconds,
            reset_key=self._reset_key,
            datagram_bytes=settings.datagram_bytes,
            expected_key=expected_key,
            original_destination_connection_id=original_id,
            retry_source_connection_id=retry_id,
        )
        link = Link(
            self,
            connection,
            address,
            settings.limits,
            self._budget,
            is_inbound=is_inbound,
            expected_key=expected_key,
            now=now,
        )
        self._links[link] = None
        self.on_connection_id(link, connection.host_cid, is_issued=True)
        self._gate.opened(address[0], inbound=is_inbound, now_ns=int(now * SECOND_NS))
        self.counts["inbound" if is_inbound else "outbound"] += 1
        return link

    def on_connection_id(self, link: Link, connection_id: bytes, *, is_issued: bool) -> None:
        """The link is found by this id from now on, or no longer."""
        if is_issued:
            self._routes.setdefault(connection_id, link)
            link.connection_ids.add(connection_id)
        else:
            link.connection_ids.discard(connection_id)
            if self._routes.get(connection_id) is link:
                del self._routes[connection_id]

    def on_established(self, link: Link) -> None:
        """Its handshake is done: the peer is who it says."""
        self._gate.established(inbound=link.is_inbound)
        if is_loopback(link.address[0]):
            link.connection.use_datagrams_of(self._settings.loopback_datagram_bytes)
        other = self._peers.get(link.peer)
        if other is not None:
            # The user hears of the other one first: what it says then must not leave on this one.
            self._tell()
            kept = self._kept_of(other, link)
            lost = link if kept is other else other
            future = self._dials.pop(link, None)
            if future is not None and not future.done():
                future.set_result(link.peer)
            lost.close(CloseCode.DUPLICATE, "another connection is kept", self._clock())
            if lost is link:
                return
        self._peers[link.peer] = link
        future = self._dials.pop(link, None)
        if future is not None and not future.done():
            future.set_result(link.peer)
        self._notify(lambda: self._tell_connected(link))

    def _kept_of(self, old: Link, new: Link) -> Link:
        is_simultaneous = new.established_at - old.established_at < SIMULTANEOUS_SECONDS
        if old.is_inbound == new.is_inbound or not is_simultaneous:
            return new
        # The smaller key's dial stays: inbound here when the peer's is smaller.
        return old if old.is_inbound == (old.peer < self.key) else new

    def on_message(self, link: Link, channel: int, payload: bytes) -> None:
        """One whole message, within all limits."""
        if self._peers.get(link.peer) is not link:
            return
        if self._notices:
            self._tell()
        try:
            self._handler.on_message(link.peer, channel, payload)
        except Exception as failure:
            self._report("on_message failed", failure)
            link.close(CloseCode.UNWANTED, "an error of this node", self._clock())

    def on_drained(self, link: Link, channel: int) -> None:
        """There is room in a queue again."""
        peer = link.peer
        self._notify(lambda: self._handler.on_drained(peer, channel))

    def on_ended(self, link: Link, reason: str) -> None:
        """It is over; the peer is told on the next flush."""
        self._gate.closed(
            link.address[0], inbound=link.is_inbound, was_established=link.is_established
        )
        del self._links[link]
        for past, traffic in zip(self._past, link.traffic, strict=True):
            _add(past, traffic)
        self.counts["closed"] += 1
        if not link.is_established:
            self.counts["handshakes failed"] += 1
        future = self._dials.pop(link, None)
        if future is not None and not future.done():
            future.set_exception(DialFailed(reason))
        if self._peers.get(link.peer) is link:
            del self._peers[link.peer]
            self._notify(lambda: self._tell_closed(link, reason))
        self._touch(link)

    def _bury(self, link: Link) -> None:
        """The link has said its last: nothing leads to it any more."""
        for connection_id in link.connection_ids:
            if self._routes.get(connection_id) is link:
                del self._routes[connection_id]
        link.connection_ids.clear()

    # ---- reading ----

    def _on_readable(self) -> None:
        receive = self._socket.recvfrom
        for _ in range(READS_MAX):
            try:
                data, address = receive(65_535)
            except BlockingIOError:
                break
            except OSError:
                # What the system tells of earlier datagrams (ICMP): timers see to that.
                self.counts["receive errors"] += 1
                continue
            self._route(data, address, self._clock())
        self._flush()

    def _route(self, data: bytes, address: Address, now: float) -> None:
        connection_id = connection_id_of(data)
        if connection_id is None or len(data) > RECEIVED_DATAGRAM_BYTES_MAX:
            self.counts["datagrams not QUIC"] += 1
            return
        link = self._routes.get(connection_id)
        if link is None:
            if data[0] & LONG_HEADER:
                link = self._admit(data, address, now)
            else:
                self._on_stray(data, address, now)
            if link is None:
                return
            self._give(link, data, address, now)
            if not link.has_begun:
                # Nothing of it could be decrypted: as if it had never come.
                link.close(CloseCode.NONE, "the first datagram cannot be read", now)
                self._dirty.pop(link, None)
                self._bury(link)
            return
        self._give(link, data, address, now)

    def _give(self, link: Link, data: bytes, address: Address, now: float) -> None:
        self._dirty[link] = None
        if link not in self._links:
            return
        try:
            link.receive(data, address, now)
        except Exception as failure:
            self._break(link, failure, now)

    def _break(self, link: Link, failure: Exception, now: float) -> None:
        """aioquic stumbled over what a peer sent: only its own connection ends."""
        self._report("a connection broke", failure)
        link.close(CloseCode.PROTOCOL, "a datagram that cannot be handled", now)

    def _admit(self, data: bytes, address: Address, now: float) -> Link | None:
        """A link for the datagram, when it may begin a connection."""
        now_ns = int(now * SECOND_NS)
        initial = parse_initial(data)
        if initial is None:
            answer = version_answer(data)
            if answer is not None and self._strays.take_whole(1, now_ns):
                self._transmit(answer, address)
            self.counts["datagrams of no connection"] += 1
            return None
        original_id: bytes | None = initial.destination_id
        retry_id = None
        if initial.token:
            original_id = self._tokens.original_id(initial, address, now)
            retry_id = initial.destination_id
            if original_id is None:
                self.counts["tokens refused"] += 1
                return None
        verdict = self._gate.judge(address[0], has_token=retry_id is not None, now_ns=now_ns)
        if verdict is Verdict.RETRY:
            self.counts["retries"] += 1
            self._transmit(self._tokens.retry(initial, address, now), address)
            return None
        if verdict is not Verdict.ACCEPT:
            self.counts[verdict.value] += 1
            return None
        link = self._open_link(
            address, now, is_inbound=True, original_id=original_id, retry_id=retry_id
        )
        self.on_connection_id(link, initial.destination_id, is_issued=True)
        return link

    def _on_stray(self, data: bytes, address: Address, now: float) -> None:
        """A packet of a connection that is not known: perhaps a peer's reset, else reset it."""
        now_ns = int(now * SECOND_NS)
        self.counts["datagrams of no connection"] += 1
        if self._reset_trials.take_whole(1, now_ns):
            for link in self._links:
                if link.address == address and is_reset_by(data, link.connection.peer_reset_token):
                    link.close(CloseCode.NONE, "the peer has lost the connection", now)
                    return
        if self._strays.take_whole(1, now_ns):
            answer = stateless_reset(data, self._reset_key)
            if answer is not None:
                self._transmit(answer, address)

    # ---- writing ----

    def _touch(self, link: Link) -> None:
        """The link may have something to transmit: once in this turn of the loop."""
        self._dirty[link] = None
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        now = self._clock()
        dirty = self._dirty
        while dirty:
            link, _ = dirty.popitem()
            self._transmit_link(link, now)
        if self._notices:
            self._tell()

    def _transmit_link(self, link: Link, now: float) -> None:
        try:
            for data, address in link.transmit(now):
                self._transmit(data, address)
        except Exception as failure:
            if link in self._links:
                self._break(link, failure, now)
        if link in self._links:
            self._arm(link, now)
        else:
            self._bury(link)

    def _transmit(self, data: bytes, address: Address) -> None:
        if self._unsent:
            self._keep_unsent(data, address)
            return
        try:
            self._socket.sendto(data, address)
        except BlockingIOError:
            self._keep_unsent(data, address)
            self._loop.add_writer(self._socket.fileno(), self._on_writable)
        except OSError as failure:
            # As good as lost on the way: QUIC sends it again, or gives up in time.
            self.counts[f"send errors: {errno.errorcode.get(failure.errno or 0, '?')}"] += 1

    def _keep_unsent(self, data: bytes, address: Address) -> None:
        if len(self._unsent) >= UNSENT_DATAGRAMS_MAX:
            self.counts["datagrams dropped"] += 1
            return
        self._unsent.append((data, address))

    def _on_writable(self) -> None:
        while self._unsent:
            data, address = self._unsent[0]
            try:
                self._socket.sendto(data, address)
            except BlockingIOError:
                return
            except OSError:
                self.counts["send errors"] += 1
            self._unsent.popleft()
        self._loop.remove_writer(self._socket.fileno())

    # ---- time ----

    def _arm(self, link: Link, now: float) -> None:
        """The timer goes off when the link wants it to, or earlier: a deadline that moved away is
        looked at again then, which costs less than moving the timer with each datagram. Deadlines
        beyond SOON_SECONDS are left to `_on_second`."""
        deadline = link.deadline()
        if deadline >= link.armed or deadline > now + SOON_SECONDS:
            return
        link.armed = deadline
        heapq.heappush(self._timers, (deadline, next(self._timer_order), link))
        if deadline < self._timer_at:
            self._set_timer(deadline, now)

    def _set_timer(self, deadline: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        now = self._clock()
        timers = self._timers
        while timers and timers[0][0] <= now:
            deadline, _, link = heapq.heappop(timers)
            if deadline != link.armed or link not in self._links:
                continue
            link.armed = float("inf")
            if link.deadline() > now:
                self._arm(link, now)
                continue
            self._dirty[link] = None
            try:
                link.on_time(now)
            except Exception as failure:
                self._break(link, failure, now)
        self._flush()
        if timers and timers[0][0] < self._timer_at:
            self._set_timer(timers[0][0], now)

    def _on_second(self) -> None:
        self._second = self._loop.call_later(1.0, self._on_second)
        now = self._clock()
        settings = self._settings
        for link in tuple(self._links):
            if not link.is_established:
                if now - link.opened_at > settings.handshake_seconds:
                    link.close(CloseCode.NONE, "the handshake took too long", now)
                continue
            link.connection.use_spare_connection_id()
            if link.on_second(now, settings.keep_alive_seconds):
                self._dirty[link] = None
            else:
                self._arm(link, now)
        self._drop_hoarders(now)
        self._flush()

    def _drop_hoarders(self, now: float) -> None:
        unread = {link: link.unread_bytes for link in self._links}
        total = sum(unread.values())
        while total > self._settings.unread_bytes_max:
            link = max(unread, key=unread.__getitem__)
            total -= unread.pop(link)
            link.close(CloseCode.NO_ROOM, "too much is unread from all peers", now)

    # ---- telling ----

    def _notify(self, notice: Callable[[], None]) -> None:
        self._notices.append(notice)
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _tell_connected(self, link: Link) -> None:
        """Nothing is told of a connection that is over already."""
        if self._peers.get(link.peer) is link:
            self._told[link.peer] = link
            self._handler.on_connected(link.peer, link.address[:2], link.is_inbound)

    def _tell_closed(self, link: Link, reason: str) -> None:
        if self._told.get(link.peer) is link:
            del self._told[link.peer]
            self._handler.on_closed(link.peer, reason)

    def _tell(self) -> None:
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._notices:
                notice = self._notices.popleft()
                try:
                    notice()
                except Exception as failure:
                    self._report("a handler failed", failure)
        finally:
            self._is_telling = False

    def _report(self, message: str, failure: Exception) -> None:
        self.counts["errors"] += 1
        self._loop.call_exception_handler({"message": f"net: {message}", "exception": failure})


def _add(total: Traffic, more: Traffic) -> None:
    total.sent_bytes += more.sent_bytes
    total.sent_messages += more.sent_messages
    total.received_bytes += more.received_bytes
    total.received_messages += more.received_messages
    total.refused_messages += more.refused_messages


def _sum_of(parts: Sequence[Traffic]) -> Traffic:
    total = Traffic()
    for part in parts:
        _add(total, part)
    return total
