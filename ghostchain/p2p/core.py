"""The peers as a value: connections, frames and time go in, effects come out.

Hellos come first. Both sides send theirs at once; whoever has looked at the other's answers with
Welcome, and only who is welcome sends on other channels, so that nothing can overtake the hello
that it depends on (channels are streams of their own). What comes on another channel between hello
and welcome is kept, within bounds, and delivered when the peer is up.

Time is Unix time in nanoseconds that only goes forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ghostchain.p2p.compact import Blocks
from ghostchain.p2p.connections import Connection, PeerLimits
from ghostchain.p2p.discovery import Discovery
from ghostchain.p2p.effects import (
    Banned,
    Blame,
    Chance,
    Close,
    CloseReason,
    Deliver,
    Effect,
    Effects,
    FindBlock,
    FindTransactions,
    FindWaiting,
    Heard,
    Matches,
    Offended,
    Peer,
    PeerDown,
    PeerInfo,
    PeerUp,
    Send,
)
from ghostchain.p2p.gossip import Gossip
from ghostchain.p2p.messages import (
    CHANNEL_LIMITS,
    VERSION_MAX,
    VERSION_MIN,
    Channel,
    GetPeers,
    Hello,
    InvalidMessage,
    Message,
    Peers,
    Ping,
    Pong,
    Welcome,
    channel_of,
    decode_message,
    encode_message,
)
from ghostchain.p2p.records import Scope, Signer, scope_of
from ghostchain.p2p.scoring import (
    BAN_NS_MAX,
    ENDS_CONNECTION,
    SECOND_NS,
    VALIDATOR_BAN_NS_MAX,
    Bans,
    Offence,
    Standings,
)
from ghostchain.primitives.types import Hash32

OWN_CHANNELS = frozenset((Channel.CONTROL, Channel.TRANSACTIONS, Channel.BLOCKS))
"""Those whose messages are ours (messages.py); the others are delivered as they are."""

HELLO_NS_MAX = 5 * SECOND_NS
PING_NS = 15 * SECOND_NS
PONG_NS_MAX = 30 * SECOND_NS
EARLY_FRAMES_MAX = 64
EARLY_BYTES_MAX = 1 << 20
"""Of what one peer says between hello and welcome."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is. key: its node key. software: name and version, printable ASCII."""

    key: Peer
    chain_id: int
    genesis: Hash32
    software: str


class PeerCore:
    """Everybody this node is connected to, and wants to be.

    sign: with the node key. host, port: where peers reach this node; host None: what they see it
    as; port None: nowhere. For the other functions and chance see effects.py.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        sign: Signer,
        host: str | None,
        port: int | None,
        chance: Chance,
        find_transactions: FindTransactions,
        find_waiting: FindWaiting,
        find_block: FindBlock,
        matches: Matches,
        limits: PeerLimits | None = None,
    ) -> None:
        self.identity = identity
        self.head = 0
        self.connections: dict[Peer, Connection] = {}
        self.up: dict[Peer, Connection] = {}
        self.standings = Standings()
        self.bans = Bans()
        self.blocks = Blocks(
            find_transactions=find_transactions,
            find_block=find_block,
            matches=matches,
            peers=lambda: tuple(self.up),
        )
        self.gossip = Gossip(
            find_transactions=find_transactions, find_waiting=find_waiting, chance=chance
        )
        self.discovery = Discovery(
            identity.key,
            identity.chain_id,
            sign=sign,
            host=host,
            port=port,
            limits=limits or PeerLimits(),
            chance=chance,
            connections=self.connections,
        )
        self._silence_ns: int | None = None

    # ---- inputs ----

    def on_connected(
        self, peer: Peer, host: str, port: int, *, inbound: bool, now_ns: int
    ) -> Effects:
        """The transport has authenticated the peer. It is greeted, or sent away."""
        effects: list[Effect] = []
        if peer in self.connections:
            effects.extend(self._forget(peer, "connected anew", now_ns))
        self.discovery.on_connected(peer)
        reason = self._reason_to_refuse(peer, host, inbound, now_ns)
        if reason is not None:
            return (*effects, Close(peer, reason))
        if inbound and self.discovery.is_full():
            guest = self.discovery.oldest_guest()
            assert guest is not None, "else the peer was refused"
            effects.extend(self._close(guest.peer, CloseReason.TOO_MANY_PEERS.value, now_ns))
        connection = self.connections[peer] = Connection(peer, host, port, inbound, now_ns)
        self._silence_ns = _earlier(self._silence_ns, _silence_deadline(connection))
        hello = Hello(
            VERSION_MIN,
            VERSION_MAX,
            self.identity.chain_id,
            self.identity.genesis,
            self.identity.software,
            self.discovery.own_raw(now_ns=now_ns),
            self.head,
            host.partition("%")[0],
        )
        return (*effects, _said(peer, hello))

    def on_message(self, peer: Peer, channel: int, payload: bytes, *, now_ns: int) -> Effects:
        """A frame came. Its rate and its size are looked at first, then its shape."""
        connection = self.connections.get(peer)
        if connection is None:
            return ()
        if channel not in CHANNEL_LIMITS:
            return self.charge(peer, Offence.MALFORMED, f"channel {channel}", now_ns=now_ns)
        if not connection.takes(channel, len(payload), now_ns):
            return self.charge(peer, Offence.FLOOD, f"channel {channel}", now_ns=now_ns)
        if channel not in OWN_CHANNELS:
            return self._on_foreign(connection, channel, payload, now_ns)
        if len(payload) > CHANNEL_LIMITS[Channel(channel)].frame_bytes_max:
            return self.charge(peer, Offence.MALFORMED, "an oversized frame", now_ns=now_ns)
        if channel != Channel.CONTROL and not connection.is_up:
            return self._on_foreign(connection, channel, payload, now_ns)
        try:
            message = decode_message(channel, payload)
        except InvalidMessage as failure:
            return self.charge(peer, Offence.MALFORMED, str(failure), now_ns=now_ns)
        return self.settle(self._on_decoded(connection, message, now_ns), now_ns)

    def on_closed(self, peer: Peer, reason: str, *, now_ns: int) -> Effects:
        """The connection has ended."""
        if peer not in self.connections:
            return ()
        return self.settle(self._forget(peer, reason, now_ns), now_ns)

    def on_dial_failed(self, peer: Peer, *, now_ns: int) -> Effects:
        """Nobody with that key answered there."""
        self.discovery.on_dial_failed(peer, now_ns=now_ns)
        return ()

    def on_tick(self, *, now_ns: int) -> Effects:
        """What was due is done."""
        effects: list[Effect] = []
        if self._silence_ns is not None and now_ns >= self._silence_ns:
            for connection in list(self.connections.values()):
                effects.extend(self._on_silence(connection, now_ns))
            deadlines = [_silence_deadline(connection) for connection in self.connections.values()]
            self._silence_ns = min(deadlines, default=None)
        effects.extend(self.gossip.on_tick(now_ns=now_ns))
        effects.extend(self.blocks.on_tick(now_ns=now_ns))
        effects.extend(self.discovery.on_tick(now_ns=now_ns))
        return self.settle(effects, now_ns)

    def deadline_ns(self) -> int:
        """When on_tick has something to do. Cost: constant."""
        deadline = self.discovery.deadline_ns()
        for other in (self._silence_ns, self.gossip.deadline_ns(), self.blocks.deadline_ns()):
            if other is not None and other < deadline:
                deadline = other
        return deadline

    def charge(self, peer: Peer, offence: Offence, detail: str, *, now_ns: int) -> Effects:
        """The peer did this; it is banned when it was enough."""
        return self.settle((Blame(peer, offence, detail),), now_ns)

    # ---- questions ----

    def info(self, peer: Peer, *, now_ns: int) -> PeerInfo | None:
        """Who the peer is; None when it is not up."""
        connection = self.up.get(peer)
        return self._info(connection, now_ns) if connection is not None else None

    def infos(self, *, now_ns: int) -> tuple[PeerInfo, ...]:
        """All that are up."""
        return tuple(self._info(connection, now_ns) for connection in self.up.values())

    def _info(self, connection: Connection, now_ns: int) -> PeerInfo:
        assert connection.hello is not None
        return PeerInfo(
            connection.peer,
            connection.host,
            connection.port,
            connection.inbound,
            connection.hello.software,
            connection.version,
            connection.head,
            connection.validator,
            connection.latency_ns,
            connection.connected_ns,
            self.standings.points(connection.peer, now_ns=now_ns),
        )

    def book(self) -> bytes:
        """What is worth keeping on disk: see book.py."""
        return self.discovery.book.to_bytes(self.bans.keys)

    def load_book(self, data: bytes, *, now_ns: int) -> None:
        """What was kept is known again. Raises: ValueError when it is damaged."""
        bans = self.discovery.book.load(data, now_ns=now_ns)
        for peer, ban in bans.items():
            if now_ns < ban.until_ns:
                self.bans.keys[peer] = ban
                self.discovery.book.postpone(peer, ban.until_ns)

    # ---- hello ----

    def _reason_to_refuse(self, peer: Peer, host: str, inbound: bool, now_ns: int) -> str | None:
        if peer == self.identity.key:
            return CloseReason.SELF.value
        ban = self.bans.of(peer, host, now_ns=now_ns)
        if ban is not None:
            return f"{CloseReason.BANNED.value}: {ban.reason}"
        refusal = self.discovery.reason_to_refuse(peer, host, inbound=inbound)
        return refusal.value if refusal is not None else None

    def _on_hello(self, connection: Connection, hello: Hello, now_ns: int) -> Iterable[Effect]:
        peer = connection.peer
        if connection.hello is not None:
            return (Blame(peer, Offence.OUT_OF_ORDER, "a second hello"),)
        reason = None
        if hello.chain_id != self.identity.chain_id:
            reason = f"{CloseReason.WRONG_CHAIN.value}: {hello.chain_id}"
        elif hello.genesis != self.identity.genesis:
            reason = f"{CloseReason.WRONG_GENESIS.value}: {hello.genesis.hex()}"
        version = min(hello.version_max, VERSION_MAX)
        if reason is None and version < max(hello.version_min, VERSION_MIN):
            versions = f"{hello.version_min} to {hello.version_max}"
            reason = f"{CloseReason.NO_COMMON_VERSION.value}: {versions}"
        if reason is not None:
            effects = tuple(self._close(peer, reason, now_ns))
            self.discovery.on_foreign(peer, now_ns=now_ns)
            return effects
        connection.hello = hello
        connection.version = version
        connection.head = hello.head
        effects = self.discovery.on_hello(connection, now_ns=now_ns)
        if connection.is_guest or any(isinstance(effect, Blame) for effect in effects):
            return effects
        other = self.discovery.to_make_room_for(connection)
        if other is not None:
            effects = (*effects, *self._close(other.peer, CloseReason.MADE_ROOM.value, now_ns))
        return (*effects, _said(peer, Welcome(version)), *self._raise(connection, now_ns))

    def _on_welcome(
        self, connection: Connection, message: Welcome, now_ns: int
    ) -> Iterable[Effect]:
        if connection.is_welcome:
            return (Blame(connection.peer, Offence.OUT_OF_ORDER, "a second welcome"),)
        if not VERSION_MIN <= message.version <= VERSION_MAX:
            return (Blame(connection.peer, Offence.OUT_OF_ORDER, f"version {message.version}"),)
        connection.is_welcome = True
        return self._raise(connection, now_ns)

    def _raise(self, connection: Connection, now_ns: int) -> Iterable[Effect]:
        """The peer is up, once both sides know each other."""
        if connection.hello is None or not connection.is_welcome or connection.is_guest:
            return ()
        connection.is_up = True
        connection.pinged_ns = now_ns
        self.up[connection.peer] = connection
        self.gossip.on_up(connection.peer, now_ns=now_ns)
        effects: list[Effect] = [PeerUp(self._info(connection, now_ns))]
        effects.extend(self.discovery.on_up(connection, now_ns=now_ns))
        early, connection.early, connection.early_bytes = connection.early, [], 0
        for channel, payload in early:
            if channel not in OWN_CHANNELS:
                effects.append(Deliver(connection.peer, channel, payload))
                continue
            try:
                message = decode_message(channel, payload)
            except InvalidMessage as failure:
                return (*effects, Blame(connection.peer, Offence.MALFORMED, str(failure)))
            effects.extend(self._on_decoded(connection, message, now_ns))
        return effects

    def _on_foreign(
        self, connection: Connection, channel: int, payload: bytes, now_ns: int
    ) -> Effects:
        """A frame that is not ours to understand, or comes before the peer is up."""
        peer = connection.peer
        if connection.is_up:
            return (Deliver(peer, Channel(channel), payload),)
        if connection.hello is None:
            return self.charge(peer, Offence.OUT_OF_ORDER, "before its hello", now_ns=now_ns)
        connection.early_bytes += len(payload)
        if len(connection.early) < EARLY_FRAMES_MAX and connection.early_bytes <= EARLY_BYTES_MAX:
            connection.early.append((Channel(channel), payload))
        return ()

    def _on_decoded(
        self, connection: Connection, message: Message, now_ns: int
    ) -> Iterable[Effect]:
        peer = connection.peer
        if isinstance(message, Hello):
            return self._on_hello(connection, message, now_ns)
        if connection.hello is None:
            return (Blame(peer, Offence.OUT_OF_ORDER, "before its hello"),)
        if isinstance(message, Welcome):
            return self._on_welcome(connection, message, now_ns)
        if isinstance(message, Ping):
            return (*self._heard(connection, message.head), self._pong(peer, message.number))
        if isinstance(message, Pong):
            return self._on_pong(connection, message, now_ns)
        if not connection.is_up:
            if isinstance(message, Peers) and not connection.inbound:
                taken = self.discovery.on_turned_away(connection, message, now_ns=now_ns)
                return (*taken, *self._close(peer, CloseReason.TURNED_AWAY.value, now_ns))
            return (Blame(peer, Offence.OUT_OF_ORDER, "before its welcome"),)
        if isinstance(message, GetPeers | Peers):
            return self.discovery.on_message(connection, message, now_ns=now_ns)
        if channel_of(message) == Channel.TRANSACTIONS:
            return self.gossip.on_message(peer, message, now_ns=now_ns)
        return self.blocks.on_message(peer, message, now_ns=now_ns)

    # ---- signs of life ----

    def _pong(self, peer: Peer, number: int) -> Effect:
        return _said(peer, Pong(number, self.head))

    def _on_pong(self, connection: Connection, message: Pong, now_ns: int) -> Iterable[Effect]:
        if not connection.is_pong_due or message.number != connection.pings:
            return (Blame(connection.peer, Offence.UNSOLICITED, "a pong"),)
        connection.is_pong_due = False
        connection.latency_ns = now_ns - connection.pinged_ns
        return self._heard(connection, message.head)

    def _heard(self, connection: Connection, head: int) -> Iterable[Effect]:
        if head == connection.head:
            return ()
        connection.head = head
        return (Heard(connection.peer, head),)

    def _on_silence(self, connection: Connection, now_ns: int) -> Iterable[Effect]:
        """Pings who was not heard of for a while; leaves who does not answer."""
        if now_ns < _silence_deadline(connection):
            return ()
        peer = connection.peer
        if connection.is_guest:
            return self._close(peer, CloseReason.TOO_MANY_PEERS.value, now_ns)
        if not connection.is_up or connection.is_pong_due:
            blame = Blame(peer, Offence.SILENT, "no answer")
            return (blame, *self._close(peer, CloseReason.SILENT.value, now_ns))
        connection.pings += 1
        connection.pinged_ns = now_ns
        connection.is_pong_due = True
        return (_said(peer, Ping(connection.pings, self.head)),)

    # ---- endings ----

    def settle(self, effects: Iterable[Effect], now_ns: int) -> Effects:
        """Blame becomes points, and a ban where they are enough; nothing else is done for a peer
        that was banned on the way."""
        settled: list[Effect] = []
        gone: set[Peer] = set()
        for effect in effects:
            if not isinstance(effect, Blame):
                if not (isinstance(effect, Send) and effect.peer in gone):
                    settled.append(effect)
                continue
            peer, offence, detail = effect.peer, effect.offence, effect.detail
            if peer in gone:
                continue
            settled.append(Offended(peer, offence, detail))
            if self.standings.charge(peer, offence, now_ns=now_ns):
                gone.add(peer)
                settled.extend(self.ban(peer, f"{offence.value}: {detail}", now_ns=now_ns))
            elif offence in ENDS_CONNECTION and peer in self.connections:
                gone.add(peer)
                reason = f"{CloseReason.MISBEHAVED.value}: {detail}"
                settled.extend(self.settle(self._close(peer, reason, now_ns), now_ns))
        return tuple(settled)

    def ban(self, peer: Peer, reason: str, *, now_ns: int) -> Effects:
        """The peer is sent away and not spoken to for a while."""
        connection = self.connections.get(peer)
        host = connection.host if connection is not None else None
        if host is not None and scope_of(host) != Scope.PUBLIC:
            host = None
        ban_ns_max = BAN_NS_MAX
        if connection is not None and self.discovery.is_validator(connection):
            host, ban_ns_max = None, VALIDATOR_BAN_NS_MAX
        ban = self.bans.ban(peer, host, reason, now_ns=now_ns, ban_ns_max=ban_ns_max)
        effects: list[Effect] = [Banned(peer, ban.until_ns, reason)]
        if connection is not None:
            effects.extend(self._close(peer, f"{CloseReason.MISBEHAVED.value}: {reason}", now_ns))
        self.discovery.book.postpone(peer, ban.until_ns)
        return self.settle(effects, now_ns)

    def _close(self, peer: Peer, reason: str, now_ns: int) -> Iterable[Effect]:
        return (*self._forget(peer, reason, now_ns), Close(peer, reason))

    def _forget(self, peer: Peer, reason: str, now_ns: int) -> Iterable[Effect]:
        """The peer is gone."""
        connection = self.connections.pop(peer)
        self.discovery.on_closed(connection, now_ns=now_ns)
        if not connection.is_up:
            return ()
        del self.up[peer]
        self.gossip.on_closed(peer, now_ns=now_ns)
        return (PeerDown(peer, reason), *self.blocks.on_closed(peer, now_ns=now_ns))


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def _silence_deadline(connection: Connection) -> int:
    if not connection.is_up:
        return connection.connected_ns + HELLO_NS_MAX
    return connection.pinged_ns + (PONG_NS_MAX if connection.is_pong_due else PING_NS)


def _said(peer: Peer, message: Message) -> Send:
    return Send(peer, channel_of(message), encode_message(message))
