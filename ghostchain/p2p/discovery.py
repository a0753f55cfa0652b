"""Whom to be connected to: whom to dial, whom to let in, and how nodes learn of each other.

A node tells its signed address in its hello. It asks a peer for others when that peer comes up, and
now and then while it has too few. It dials until it has its number of outbound peers; a validator
dials every other validator besides. Who dials in is let in up to a number; a validator, known by
the claim in its record, also beyond it, in the place of one that is none as long as there is such.
Whoever finds no room is a guest: it is told of others, and goes.

A node that was not told its public host believes what two of its peers, or one of this machine or
network, see it as.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ghostchain.p2p.book import Book, Entry
from ghostchain.p2p.connections import Connection, PeerLimits
from ghostchain.p2p.effects import (
    Blame,
    BookChanged,
    Chance,
    CloseReason,
    Dial,
    Effect,
    Effects,
    Peer,
    Send,
)
from ghostchain.p2p.messages import (
    PEERS_MAX,
    GetPeers,
    InvalidMessage,
    Message,
    Peers,
    channel_of,
    encode_message,
)
from ghostchain.p2p.records import (
    AddressRecord,
    Claim,
    Scope,
    Signer,
    decode_record,
    group_of,
    is_address,
    make_record,
    scope_of,
    verify_record,
)
from ghostchain.p2p.scoring import SECOND_NS, Offence

LOOK_NS = SECOND_NS // 2
"""Between two looks at whom to dial, while somebody is wanted."""

REST_NS = 5 * SECOND_NS
"""The same while nobody is."""

DIAL_NS_LIMIT = 15 * SECOND_NS
"""A dial that was not answered by then has failed."""

ASK_NS = 60 * SECOND_NS
"""Between two questions for peers to the same peer."""

ASK_SOMEBODY_NS = 10 * SECOND_NS
"""Between two questions for peers, while too few are known."""

ANSWER_EVERY_NS = 10 * SECOND_NS
"""A peer that asks more often gets no answer, and nothing worse."""

NEWS_MAX = 8
"""Records of its own that a peer may say in ASK_NS."""

SIGN_ANEW_NS = 24 * 3_600 * SECOND_NS
BOOK_NS = 60 * SECOND_NS
"""Between two times that the book is kept."""

FOREIGN_NS = 3_600 * SECOND_NS
"""Until a node of another chain is dialled again."""


@dataclass(slots=True)
class Exchange:
    """What was asked of a peer, and by it."""

    asked_ns: int = 0
    is_asked: bool = False
    answered_ns: int = 0
    news_ns: int = 0
    news: int = 0


class Discovery:
    """The peer book and what follows from it.

    sign: with the node key. host: where peers reach this node, None: what they see it as.
    port: None when it does not listen.
    """

    def __init__(
        self,
        key: Peer,
        chain_id: int,
        *,
        sign: Signer,
        host: str | None,
        port: int | None,
        limits: PeerLimits,
        chance: Chance,
        connections: Mapping[Peer, Connection],
    ) -> None:
        self._key = key
        self._chain_id = chain_id
        self._sign = sign
        self._told_host = host
        self._port = port
        self._chance = chance
        self._connections = connections
        self.limits = limits
        self.book = Book(key)
        self.validators: frozenset[bytes] = frozenset()
        self.claim: Claim | None = None
        self.own: AddressRecord | None = None
        self.dialing: dict[Peer, int] = {}
        self._seen_hosts: dict[str, set[Peer]] = {}
        self._exchanges: dict[Peer, Exchange] = {}
        self._look_ns = 0
        self._asked_ns = 0
        self._signed_ns = 0
        self._kept_ns = 0
        self._is_changed = False

    # ---- this node's own address ----

    def set_claim(self, claim: Claim | None, *, now_ns: int) -> Effects:
        """This node speaks for a consensus key; its peers are told."""
        self.claim = claim
        return self._sign_own(now_ns)

    def set_validators(self, keys: Iterable[bytes], *, now_ns: int) -> None:
        """Those whose votes count now."""
        self.validators = frozenset(keys)
        self._look_ns = now_ns

    def own_raw(self, *, now_ns: int) -> bytes:
        """The record for a hello; empty when this node cannot be dialled, or does not know its
        host."""
        if self.own is None or now_ns - self._signed_ns > SIGN_ANEW_NS:
            self._sign_own(now_ns)
        return self.own.raw if self.own is not None else b""

    def _sign_own(self, now_ns: int) -> Effects:
        host = self._host()
        if host is None or self._port is None:
            return ()
        sequence = now_ns // 1_000_000
        if self.own is not None:
            sequence = max(sequence, self.own.sequence + 1)
        self.own = make_record(
            self._sign,
            chain_id=self._chain_id,
            key=self._key,
            host=host,
            port=self._port,
            sequence=sequence,
            claim=self.claim,
        )
        self._signed_ns = now_ns
        return tuple(
            _said(peer, Peers((self.own.raw,)))
            for peer, connection in self._connections.items()
            if connection.is_up and scope_of(host) >= scope_of(connection.host)
        )

    def _host(self) -> str | None:
        if self._told_host is not None:
            return self._told_host
        believed = [
            host
            for host, peers in self._seen_hosts.items()
            if len(peers) >= (2 if scope_of(host) == Scope.PUBLIC else 1)
        ]
        return max(
            believed,
            key=lambda host: (scope_of(host), len(self._seen_hosts[host])),
            default=None,
        )

    def _see(self, connection: Connection, now_ns: int) -> Effects:
        """A peer says under which address it sees this node."""
        assert connection.hello is not None
        host = connection.hello.seen_host
        if self._told_host is not None or not is_address(host):
            return ()
        if scope_of(host) != scope_of(connection.host):
            return ()
        for peers in self._seen_hosts.values():
            peers.discard(connection.peer)
        self._seen_hosts = {seen: peers for seen, peers in self._seen_hosts.items() if peers}
        if len(self._seen_hosts) < 64:
            self._seen_hosts.setdefault(host, set()).add(connection.peer)
        if self._host() != (self.own.host if self.own is not None else None):
            return self._sign_own(now_ns)
        return ()

    # ---- who may come and stay ----

    def reason_to_refuse(self, peer: Peer, host: str, *, inbound: bool) -> CloseReason | None:
        """Why there is no room for one more connection; None when there is. The node of a validator
        that is known as such is not counted with its neighbours."""
        others = self._connections.values()
        if inbound and self.is_full() and self.oldest_guest() is None:
            return CloseReason.TOO_MANY_PEERS
        scope = scope_of(host)
        if scope == Scope.LOOPBACK or not inbound or self._is_node_of_validator(peer):
            return None
        most = self.limits.near_max if scope == Scope.PUBLIC else self.limits.near_private_max
        group = group_of(host)
        if sum(group_of(other.host) == group for other in others) >= most:
            return CloseReason.TOO_MANY_NEAR
        return None

    def is_full(self) -> bool:
        """Whether not even a guest can come. Validators find room however many they are, so beside
        them there is always some to say hello."""
        inbound = [other for other in self._connections.values() if other.inbound]
        validators = sum(self.is_validator(other) for other in inbound)
        room = max(self.limits.inbound_max - validators, 0) + self.limits.spare
        return len(inbound) - validators >= room

    def oldest_guest(self) -> Connection | None:
        """Who has to go first when somebody comes."""
        guests = [other for other in self._connections.values() if other.is_guest]
        return min(guests, key=lambda other: other.connected_ns, default=None)

    def _staying(self) -> list[Connection]:
        """Inbound peers that have said hello and may stay."""
        return [
            other
            for other in self._connections.values()
            if other.inbound and other.hello is not None and not other.is_guest
        ]

    def on_hello(self, connection: Connection, *, now_ns: int) -> Effects:
        """The peer's own record is looked at, and whether it may stay or is a guest."""
        assert connection.hello is not None
        effects: list[Effect] = [*self._see(connection, now_ns)]
        raw = connection.hello.record
        if raw:
            try:
                record = decode_record(raw)
            except InvalidMessage as failure:
                return (Blame(connection.peer, Offence.MALFORMED, str(failure)),)
            blame = self._take_own_record(connection, record, now_ns)
            if blame is not None:
                return (blame,)
        if connection.inbound and not self.is_validator(connection):
            others = [other for other in self._staying() if other is not connection]
            connection.is_guest = len(others) >= self.limits.inbound_max
        if connection.is_guest:
            effects.extend(self._answer(connection, PEERS_MAX))
        return tuple(effects)

    def on_turned_away(self, connection: Connection, message: Peers, *, now_ns: int) -> Effects:
        """A peer that was dialled has no room, and tells of others."""
        try:
            records = [decode_record(raw) for raw in message.records]
        except InvalidMessage as failure:
            return (Blame(connection.peer, Offence.MALFORMED, str(failure)),)
        return self._take(connection, records, now_ns)

    def _take_own_record(
        self, connection: Connection, record: AddressRecord, now_ns: int
    ) -> Blame | None:
        """What a peer says of itself: it must be signed by it."""
        peer = connection.peer
        if record.key != peer or not verify_record(self._chain_id, record):
            return Blame(peer, Offence.FORGED_RECORD, "of itself")
        if record.claim is not None:
            connection.validator = record.claim.key
        if scope_of(record.host) < scope_of(connection.host):
            return None
        if self.book.wants(record, peer, now_ns=now_ns):
            self.book.add(record, peer, now_ns=now_ns)
            self._is_changed = True
        return None

    def is_validator(self, connection: Connection) -> bool:
        """Whether it is the node that speaks for a validator of now."""
        key = connection.validator
        return (
            key is not None
            and key in self.validators
            and self.book.node_of(key) in (None, connection.peer)
        )

    def _is_node_of_validator(self, peer: Peer) -> bool:
        """Whether the book knows the key as the node of a validator of now."""
        entry = self.book.entries.get(peer)
        claim = entry.record.claim if entry is not None and entry.record is not None else None
        return (
            claim is not None
            and claim.key in self.validators
            and self.book.node_of(claim.key) == peer
        )

    def to_make_room_for(self, connection: Connection) -> Connection | None:
        """Who has to go when a validator came beyond the number: the newest inbound peer that is
        none."""
        inbound = self._staying()
        if len(inbound) <= self.limits.inbound_max:
            return None
        ordinary = [
            other for other in inbound if other is not connection and not self.is_validator(other)
        ]
        return max(ordinary, key=lambda other: other.connected_ns, default=None)

    # ---- what happens ----

    def on_connected(self, peer: Peer) -> None:
        """The transport reached it, or it reached us."""
        self.dialing.pop(peer, None)

    def on_up(self, connection: Connection, *, now_ns: int) -> Effects:
        """Hellos were exchanged. It is asked for others."""
        peer = connection.peer
        self.book.on_up(peer, now_ns=now_ns)
        self._exchanges[peer] = Exchange()
        self._is_changed = True
        if connection.inbound and len(self.book.entries) > self.limits.outbound_target:
            return ()
        return self._ask(peer, now_ns)

    def on_closed(self, connection: Connection, *, now_ns: int) -> None:
        """It is gone; it is dialled again when it is wanted."""
        peer = connection.peer
        self._exchanges.pop(peer, None)
        if connection.is_up:
            self.book.on_up(peer, now_ns=now_ns)
        else:
            self._failed(peer, now_ns)
        self._look_ns = min(self._look_ns, now_ns + LOOK_NS)

    def on_dial_failed(self, peer: Peer, *, now_ns: int) -> None:
        """Nobody with that key answered there."""
        if self.dialing.pop(peer, None) is not None:
            self._failed(peer, now_ns)
            self._look_ns = min(self._look_ns, now_ns + LOOK_NS)

    def on_foreign(self, peer: Peer, *, now_ns: int) -> None:
        """It is of another chain."""
        self.book.postpone(peer, now_ns + FOREIGN_NS)

    def _failed(self, peer: Peer, now_ns: int) -> None:
        self.book.on_failed(
            peer, is_wanted=self._is_wanted(peer), chance=self._chance, now_ns=now_ns
        )

    def on_message(self, connection: Connection, message: Message, *, now_ns: int) -> Effects:
        """GetPeers or Peers, of a peer that is up."""
        exchange = self._exchanges.setdefault(connection.peer, Exchange())
        if isinstance(message, GetPeers):
            if now_ns < exchange.answered_ns + ANSWER_EVERY_NS:
                return (Blame(connection.peer, Offence.FLOOD, "questions for peers"),)
            exchange.answered_ns = now_ns
            return self._answer(connection, message.count)
        assert isinstance(message, Peers), message
        try:
            records = [decode_record(raw) for raw in message.records]
        except InvalidMessage as failure:
            return (Blame(connection.peer, Offence.MALFORMED, str(failure)),)
        if len(records) == 1 and records[0].key == connection.peer:
            return self._on_news(connection, exchange, records[0], now_ns)
        if not exchange.is_asked:
            return (Blame(connection.peer, Offence.UNSOLICITED, "peers"),)
        exchange.is_asked = False
        return self._take(connection, records, now_ns)

    def _on_news(
        self, connection: Connection, exchange: Exchange, record: AddressRecord, now_ns: int
    ) -> Effects:
        """The peer's own address changed, or it became a validator's."""
        if now_ns >= exchange.news_ns + ASK_NS:
            exchange.news_ns, exchange.news = now_ns, 0
        exchange.news += 1
        if exchange.news > NEWS_MAX:
            return (Blame(connection.peer, Offence.FLOOD, "addresses"),)
        blame = self._take_own_record(connection, record, now_ns)
        if blame is None:
            self.book.on_up(connection.peer, now_ns=now_ns)
        return (blame,) if blame is not None else ()

    def _answer(self, connection: Connection, count: int) -> Effects:
        first = {self.book.node_of(key) for key in self.validators} - {None}
        records = self.book.sample(
            min(count, PEERS_MAX),
            scope_of(connection.host),
            first,  # type: ignore[arg-type]
            connection.peer,
            self._chance,
        )
        return (_said(connection.peer, Peers(tuple(records))),)

    def _take(self, connection: Connection, records: list[AddressRecord], now_ns: int) -> Effects:
        """What a peer says of others. Whoever passes a forged record on did not verify it."""
        peer = connection.peer
        near = scope_of(connection.host)
        for record in records:
            if scope_of(record.host) < near:
                continue
            if not self.book.wants(record, peer, now_ns=now_ns):
                continue
            if not verify_record(self._chain_id, record):
                return (Blame(peer, Offence.FORGED_RECORD, record.key.hex()),)
            self.book.add(record, peer, now_ns=now_ns)
            self._is_changed = True
            self._look_ns = min(self._look_ns, now_ns + LOOK_NS // 5)
        return ()

    # ---- time ----

    def deadline_ns(self) -> int:
        return self._look_ns

    def on_tick(self, *, now_ns: int) -> Effects:
        """Dials who is wanted, asks for more when too few are known."""
        if now_ns < self._look_ns:
            return ()
        for peer in [peer for peer, since in self.dialing.items() if _is_late(since, now_ns)]:
            self.on_dial_failed(peer, now_ns=now_ns)
        dials = self._dials(now_ns)
        effects: list[Effect] = [*dials, *self._ask_somebody(now_ns)]
        if self._is_changed and now_ns >= self._kept_ns + BOOK_NS:
            self.book.expire(now_ns=now_ns)
            self._kept_ns, self._is_changed = now_ns, False
            effects.append(BookChanged())
        if self.own is not None and now_ns - self._signed_ns > SIGN_ANEW_NS:
            effects.extend(self._sign_own(now_ns))
        is_resting = not self.dialing and self._missing_outbound() <= 0 and not self._absent()
        self._look_ns = now_ns + (REST_NS if is_resting else LOOK_NS)
        return tuple(effects)

    def _missing_outbound(self) -> int:
        outbound = sum(
            not other.inbound and not self.is_validator(other)
            for other in self._connections.values()
        )
        return self.limits.outbound_target - outbound

    def _absent(self) -> list[Peer]:
        """Nodes of validators that this node, being one, is not connected to."""
        if self.claim is None or self.claim.key not in self.validators:
            return []
        nodes = [self.book.node_of(key) for key in self.validators if key != self.claim.key]
        return [node for node in nodes if node is not None and node not in self._connections]

    def _is_wanted(self, peer: Peer) -> bool:
        return peer in self._absent()

    def _dials(self, now_ns: int) -> list[Dial]:
        room = self.limits.dialing_max - len(self.dialing)
        missing = self._missing_outbound() - len(self.dialing)
        absent = self._absent()
        if room <= 0 or (missing <= 0 and not absent):
            return []
        ready = [
            entry
            for entry in self.book.to_dial(now_ns=now_ns)
            if entry.key not in self._connections and entry.key not in self.dialing
        ]
        wanted = [entry for entry in ready if entry.key in absent]
        others = [entry for entry in ready if entry.key not in absent]
        others = self._chance.sample(others, len(others))
        others.sort(key=lambda entry: entry.failures)
        near = [group_of(other.host) for other in self._connections.values()]
        chosen = wanted[:room]
        for entry in others:
            if missing <= 0 or len(chosen) >= room:
                break
            group = group_of(entry.host)
            if scope_of(entry.host) == Scope.PUBLIC and near.count(group) >= self.limits.near_max:
                continue
            near.append(group)
            chosen.append(entry)
            missing -= 1
        return [self._dial(entry, now_ns) for entry in chosen]

    def _dial(self, entry: Entry, now_ns: int) -> Dial:
        self.dialing[entry.key] = now_ns
        return Dial(entry.key, entry.host, entry.port)

    def _ask(self, peer: Peer, now_ns: int) -> Effects:
        exchange = self._exchanges[peer]
        exchange.is_asked, exchange.asked_ns = True, now_ns
        self._asked_ns = now_ns
        return (_said(peer, GetPeers(PEERS_MAX)),)

    def _ask_somebody(self, now_ns: int) -> Effects:
        """While there are too few to dial, or validators whose node is not known."""
        if now_ns < self._asked_ns + ASK_SOMEBODY_NS:
            return ()
        is_one = self.claim is not None and self.claim.key in self.validators
        is_short = self._missing_outbound() > 0 or (
            is_one
            and any(
                self.book.node_of(key) is None
                for key in self.validators
                if self.claim is not None and key != self.claim.key
            )
        )
        if not is_short:
            return ()
        due = [
            peer
            for peer, exchange in self._exchanges.items()
            if now_ns >= exchange.asked_ns + ASK_NS and self._connections[peer].is_up
        ]
        return self._ask(self._chance.sample(due, 1)[0], now_ns) if due else ()


def _is_late(since_ns: int, now_ns: int) -> bool:
    return now_ns >= since_ns + DIAL_NS_LIMIT


def _said(peer: Peer, message: Message) -> Send:
    return Send(peer, channel_of(message), encode_message(message))
