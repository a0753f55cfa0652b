"""Links over a virtual network with a virtual clock: loss, delay, reordering and duplication change
when messages come, never which or in what order."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from ghostchain.net.channels import LIMITS, Channel
from ghostchain.net.link import Budget, Link
from tests.unit.net_peers import identity
from tests.unit.test_net_tls import CLIENT, SERVER, make, server_for


@dataclass
class Owner:
    """Remembers what its link told it."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    drained: list[int] = field(default_factory=list)
    ids: set[bytes] = field(default_factory=set)
    now: float = 0.0

    def on_established(self, link: Link) -> None: ...

    def on_message(self, link: Link, channel: int, payload: bytes) -> None:
        self.messages.append((channel, payload))
        self.times.append(self.now)

    def on_drained(self, link: Link, channel: int) -> None:
        self.drained.append(channel)

    def on_ended(self, link: Link, reason: str) -> None:
        self.ended.append(reason)

    def on_connection_id(self, link: Link, connection_id: bytes, *, is_issued: bool) -> None:
        if is_issued:
            self.ids.add(connection_id)
        else:
            self.ids.remove(connection_id)


class Wire:
    """Two links and what is between them. Times in seconds."""

    def __init__(
        self,
        seed: int,
        *,
        loss: float = 0.0,
        copies: float = 0.0,
        delay: tuple[float, float] = (0.01, 0.01),
        bytes_per_second: float = float("inf"),
        limits: tuple = LIMITS,
    ) -> None:
        self.chance = Random(seed)
        self.loss, self.copies, self.delay = loss, copies, delay
        self.bytes_per_second = bytes_per_second
        self.free_at = [0.0, 0.0]
        self.now = 0.0
        self.is_cut = False
        self.order = itertools.count()
        self.flying: list[tuple[float, int, int, bytes]] = []
        self.owners = (Owner(), Owner())
        client = make(True, identity(1))
        server = server_for(client, identity(2))
        self.links = tuple(
            Link(
                owner,
                connection,
                address,
                limits,
                Budget(1 << 30),
                is_inbound=connection is server,
                expected_key=None,
                now=0.0,
            )
            for owner, connection, address in zip(
                self.owners, (client, server), (SERVER, CLIENT), strict=True
            )
        )
        for owner, connection in zip(self.owners, (client, server), strict=True):
            owner.ids.add(connection.host_cid)
        client.connect(SERVER, 0.0)
        self.flush(0)

    def flush(self, side: int) -> None:
        link = self.links[side]
        if not link.connection._network_paths:
            return
        for data, _ in link.transmit(self.now):
            start = max(self.now, self.free_at[side])
            self.free_at[side] = start + len(data) / self.bytes_per_second
            for _ in range(2 if self.chance.random() < self.copies else 1):
                if not self.is_cut and self.chance.random() >= self.loss:
                    at = self.free_at[side] + self.chance.uniform(*self.delay)
                    heapq.heappush(self.flying, (at, next(self.order), 1 - side, data))

    def next_at(self) -> float:
        """When something happens."""
        timers = [link.deadline() for link in self.links if link.connection._network_paths]
        return min(self.flying[0][0] if self.flying else float("inf"), *timers)

    def step(self) -> None:
        """To the next thing that happens."""
        # A clock that stands still would let rounding decide that a deadline is due and not due.
        self.now = max(self.now + 1e-7, self.next_at())
        for owner in self.owners:
            owner.now = self.now
        if self.flying and self.flying[0][0] <= self.now:
            _, _, side, data = heapq.heappop(self.flying)
            self.links[side].receive(data, (SERVER, CLIENT)[side], self.now)
            self.flush(side)
        for side, link in enumerate(self.links):
            if link.connection._network_paths and link.deadline() <= self.now:
                link.on_time(self.now)
                self.flush(side)

    def wait(self, seconds: float) -> None:
        """So much time passes."""
        end = self.now + seconds
        while self.next_at() <= end:
            self.step()
        self.now = max(self.now, end)

    def until(self, condition: object, seconds: float = 120.0) -> None:
        end = self.now + seconds
        while not condition():  # type: ignore[operator]
            assert self.now < end, "too late"
            assert not any(owner.ended for owner in self.owners), self.owners
            self.step()

    def establish(self) -> Wire:
        self.until(lambda: all(link.is_established for link in self.links))
        return self


def of_channel(owner: Owner, channel: int) -> list[bytes]:
    return [payload for where, payload in owner.messages if where == channel]


@pytest.mark.parametrize("seed", range(12))
def test_bad_networks_change_nothing_but_time(seed: int) -> None:
    chance = Random(seed)
    wire = Wire(
        seed,
        loss=chance.choice((0.0, 0.02, 0.1)),
        copies=chance.choice((0.0, 0.1)),
        delay=(0.005, chance.choice((0.005, 0.02, 0.08))),
    ).establish()
    sent: list[list[tuple[int, bytes]]] = [[], []]
    for turn in range(60):
        for side, link in enumerate(wire.links):
            for _ in range(chance.randint(0, 3)):
                channel = chance.randrange(7)
                size = chance.choice((1, 200, 1_300, 30_000))
                payload = turn.to_bytes(2, "big") + chance.randbytes(size)
                if link.send(channel, payload):
                    sent[side].append((channel, payload))
            wire.flush(side)
        wire.wait(chance.choice((0.0, 0.001, 0.05)))
    for side, owner in enumerate(wire.owners):
        wire.until(lambda owner=owner, side=side: len(owner.messages) == len(sent[1 - side]))
        for channel in Channel:
            expected = [payload for where, payload in sent[1 - side] if where == channel]
            assert of_channel(owner, channel) == expected
    assert all(link._budget.used_bytes == 0 for link in wire.links)


@pytest.mark.parametrize("seed", range(4))
def test_windows_move_on_although_their_frames_are_lost(seed: int) -> None:
    """Many times the window, with every tenth datagram lost both ways."""
    wire = Wire(seed, loss=0.1, delay=(0.001, 0.001)).establish()
    size = 200_000
    for number in range(20):
        assert wire.links[0].send(Channel.TRANSACTIONS, bytes([number]) * size)
        assert wire.links[0].send(Channel.CONTROL, bytes([number]) * 60_000) or number > 3
    wire.flush(0)
    wire.until(lambda: len(of_channel(wire.owners[1], Channel.TRANSACTIONS)) == 20)
    assert len(of_channel(wire.owners[1], Channel.CONTROL)) == 4


def test_votes_overtake_what_waits() -> None:
    """On a line of ten megabits, with twelve megabytes of sync and blocks queued, a vote and a
    word of control come within what is in flight, and each class goes before the next."""
    wire = Wire(1, delay=(0.01, 0.01), bytes_per_second=1.25e6).establish()
    for channel in (Channel.SYNC, Channel.TRANSACTIONS, Channel.BLOCKS):
        assert wire.links[0].send(channel, bytes(2 << 20))
    wire.flush(0)
    wire.wait(1.0)
    said_at = wire.now
    assert wire.links[0].send(Channel.VOTES, b"vote")
    assert wire.links[0].send(Channel.CONTROL, b"word")
    wire.flush(0)
    wire.until(lambda: len(wire.owners[1].messages) >= 2)
    assert wire.owners[1].messages[:2] == [(Channel.CONTROL, b"word"), (Channel.VOTES, b"vote")]
    # A round trip of a filled line, not the five seconds that the queues need.
    assert wire.now - said_at < 0.5
    wire.until(lambda: len(wire.owners[1].messages) == 5)
    order = [channel for channel, _ in wire.owners[1].messages[2:]]
    assert order == [Channel.BLOCKS, Channel.TRANSACTIONS, Channel.SYNC]


def test_votes_do_not_wait_for_windows_of_others() -> None:
    """A peer that takes no sync at all still gets votes: the connection's window is the sum."""
    limits = tuple(
        replace(limit, receive_bytes=1, receive_messages=1) if channel == Channel.SYNC else limit
        for channel, limit in enumerate(LIMITS)
    )
    wire = Wire(1, limits=limits).establish()
    for _ in range(3):
        assert wire.links[0].send(Channel.SYNC, bytes(6 << 20))
    wire.flush(0)
    wire.wait(5.0)
    taken = sum(len(payload) for payload in of_channel(wire.owners[1], Channel.SYNC))
    window = LIMITS[Channel.SYNC].window_bytes
    receiver = wire.links[1].connection._streams[2 + 4 * Channel.SYNC].receiver
    assert receiver.highest_offset <= taken + 100 + (6 << 20) + window
    for number in range(50):
        assert wire.links[0].send(Channel.VOTES, bytes([number]) * 20_000)
    wire.flush(0)
    wire.until(lambda: len(of_channel(wire.owners[1], Channel.VOTES)) == 50, 20.0)


def test_acknowledgements_ride_on_answers() -> None:
    """Votes that are answered cost one datagram each; alone, fewer than two in three."""
    wire = Wire(1, delay=(0.0001, 0.0001)).establish()
    wire.wait(1.0)
    datagrams = wire.order.__next__()
    for number in range(100):
        for side in (0, 1):
            assert wire.links[side].send(Channel.VOTES, bytes([number]))
            wire.flush(side)
            wire.until(lambda s=side, n=number: len(wire.owners[1 - s].messages) > n)
    assert wire.order.__next__() - datagrams <= 210


def test_an_idle_link_says_next_to_nothing() -> None:
    wire = Wire(1).establish()
    wire.wait(1.0)
    datagrams = wire.order.__next__()
    for _ in range(40):
        wire.wait(1.0)
        for side, link in enumerate(wire.links):
            if link.on_second(wire.now, 10.0):
                wire.flush(side)
    assert 0 < wire.order.__next__() - datagrams <= 20
    assert not wire.owners[0].ended


@pytest.mark.parametrize("seed", range(3))
def test_connection_ids_change_and_are_given_up(seed: int) -> None:
    """An id is known from before its first use until it is retired, and few are known at a time."""
    wire = Wire(seed, loss=0.05).establish()
    wire.wait(2.0)
    for number in range(20):
        for side, link in enumerate(wire.links):
            link.connection.change_connection_id()
            assert link.send(Channel.VOTES, bytes([number]))
            wire.flush(side)
        wire.until(lambda n=number: all(len(owner.messages) > n for owner in wire.owners))
        for side, owner in enumerate(wire.owners):
            assert wire.links[1 - side].connection._peer_cid.cid in owner.ids
            assert len(owner.ids) <= 4


def test_the_server_uses_an_id_with_a_reset_token() -> None:
    wire = Wire(1).establish()
    server = wire.links[1].connection
    assert not server.peer_reset_token
    wire.wait(1.0)
    server.use_spare_connection_id()
    wire.links[1].send(Channel.VOTES, b"x")
    wire.flush(1)
    wire.until(lambda: wire.owners[0].messages)
    assert len(server.peer_reset_token) == 16
    client = wire.links[0].connection
    assert len(client.peer_reset_token) == 16


@pytest.mark.parametrize("cut_seconds", [1.0, 9.0, 25.0])
@pytest.mark.parametrize("chatter", [0, 500, 20_000], ids=["silent", "votes", "full"])
def test_a_line_that_is_mended_is_used_at_once(cut_seconds: float, chatter: int) -> None:
    """Whatever was said meanwhile, and although more than the congestion window is under way."""
    wire = Wire(1, delay=(0.02, 0.02)).establish()
    wire.wait(1.0)
    assert wire.links[0].send(Channel.VOTES, b"before")
    wire.is_cut = True
    wire.flush(0)
    said = 1
    for _ in range(int(cut_seconds)):
        if chatter:
            assert wire.links[0].send(Channel.VOTES, bytes(chatter))
            wire.flush(0)
            said += 1
        wire.wait(1.0)
    wire.is_cut = False
    mended_at = wire.now
    wire.until(lambda: len(wire.owners[1].messages) == said, 10.0)
    assert wire.now - mended_at < 3.0


@pytest.mark.parametrize("milliseconds", [4, 25])
def test_late_acknowledgements_do_not_slow_what_follows(milliseconds: int) -> None:
    """After a minute of votes, each acknowledged late, two megabytes go as fast as right after the
    handshake: a delay that is meant is not taken for a queue on the way."""
    taken = []
    for votes in (0, 300):
        delay = milliseconds / 1_000
        wire = Wire(1, delay=(delay, delay), bytes_per_second=20e6).establish()
        for number in range(votes):
            assert wire.links[0].send(Channel.VOTES, bytes(200))
            wire.flush(0)
            wire.wait((0.003, 0.02, 0.2)[number % 3])
        start = wire.now
        assert wire.links[0].send(Channel.BLOCKS, bytes(2 << 20))
        wire.flush(0)
        wire.until(lambda wire=wire: of_channel(wire.owners[1], Channel.BLOCKS))
        taken.append(wire.now - start)
    assert taken[1] < 1.2 * taken[0] + 0.05


def test_a_gap_is_told_at_once() -> None:
    """What is lost is sent again after a round trip and little more, not after a late
    acknowledgement."""
    wire = Wire(1, delay=(0.01, 0.01)).establish()
    wire.wait(1.0)
    assert wire.links[0].send(Channel.VOTES, b"lost")
    wire.is_cut = True
    wire.flush(0)
    wire.is_cut = False
    start = wire.now
    for number in range(3):
        assert wire.links[0].send(Channel.VOTES, bytes([number]))
        wire.flush(0)
    wire.until(lambda: len(wire.owners[1].messages) == 4)
    assert wire.now - start < 0.035
