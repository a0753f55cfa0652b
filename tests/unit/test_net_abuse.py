"""What hostile or broken peers do to an endpoint: each thing named, refused or bounded, counted,
and without effect on others."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from aioquic.quic.connection import QuicConnection
from aioquic.tls import Epoch

from ghostchain.net.channels import LIMITS, Channel, ChannelLimits
from ghostchain.net.connection import Connection
from ghostchain.net.endpoint import DialFailed
from ghostchain.net.frames import encode_frame
from ghostchain.net.limits import GateLimits, Verdict
from tests.unit.net_peers import Node, identity, nodes, run
from tests.unit.test_net_tls import make, stock

STRICT = GateLimits(spare_loopback=False)


_SOCKETS: list[socket.socket] = []


def udp_socket() -> socket.socket:
    """One that is closed after the test."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    _SOCKETS.append(made)
    return made


@pytest.fixture(autouse=True)
def _close_sockets() -> Iterator[None]:
    yield
    while _SOCKETS:
        _SOCKETS.pop().close()


class Raw:
    """A peer made of a socket and one connection, which does whatever a test tells it."""

    def __init__(self, connection: QuicConnection, node: Node) -> None:
        self.connection = connection
        self.target = node.endpoint.local_address
        self.socket = udp_socket()
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))
        self.reads = True
        self.connection.connect(self.target, time.monotonic())

    def flush(self) -> None:
        for data, address in self.connection.datagrams_to_send(time.monotonic()):
            self.socket.sendto(data, address)

    def turn(self) -> None:
        """Takes in what came and says what is due."""
        while self.reads:
            try:
                data, address = self.socket.recvfrom(65_535)
            except BlockingIOError:
                break
            self.connection.receive_datagram(data, address, time.monotonic())
        timer = self.connection.get_timer()
        if timer is not None and timer <= time.monotonic():
            self.connection.handle_timer(time.monotonic())
        self.flush()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.turn()
                await asyncio.sleep(0.002)

    async def ready(self) -> Raw:
        """The handshake is done and confirmed."""
        await self.until(lambda: self.connection._handshake_confirmed)
        return self

    @property
    def refusal(self) -> str:
        ending = self.connection._close_event
        return ending.reason_phrase if ending is not None else ""


def own(number: int = 9) -> Connection:
    """A client of this network's kind."""
    return make(True, identity(number))


async def still_works(node: Node) -> None:
    """Another peer connects and is heard, within a second."""
    async with nodes(8) as (other,):
        async with asyncio.timeout(5):
            await other.dial(node)
            assert other.endpoint.send(node.key, Channel.VOTES, b"are you there")
            await node.handler.until(
                lambda seen: (other.key, Channel.VOTES, b"are you there") in seen.messages
            )


def test_garbage_has_no_effect() -> None:
    """Random bytes, cut and flipped packets, of all lengths."""

    async def work() -> None:
        chance = Random(44678)
        async with nodes(1) as (node,):
            sender = Raw(own(), node)
            good = [data for data, _ in sender.connection.datagrams_to_send(time.monotonic())]
            for _ in range(3_000):
                data = bytearray(chance.choice(good) if chance.random() < 0.5 else b"")
                if data:
                    del data[chance.randrange(len(data)) :]
                    for _ in range(chance.randint(0, 3)):
                        if data:
                            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                else:
                    data = bytearray(chance.randbytes(chance.randrange(1_500)))
                sender.socket.sendto(data, node.endpoint.local_address)
                if chance.random() < 0.02:
                    await asyncio.sleep(0)
            await still_works(node)
            assert not node.handler.closed
            assert node.endpoint.counts["errors"] == 0

    run(work)


def test_first_datagrams_that_cannot_be_read_leave_nothing_behind() -> None:
    """They look like the begin of a connection, and are none."""

    async def work() -> None:
        async with nodes(1) as (node,):
            sender = Raw(own(), node)
            first = sender.connection.datagrams_to_send(time.monotonic())[0][0]
            for number in range(70):
                data = bytearray(first)
                data[6:14] = struct.pack(">Q", number)
                sender.socket.sendto(data, node.endpoint.local_address)
            await asyncio.sleep(0.2)
            assert node.endpoint.counts["inbound"] == 70
            assert node.endpoint.connections == 0
            assert not node.endpoint._routes
            await still_works(node)

    run(work)


def test_a_flood_of_handshakes_from_one_address_is_slowed() -> None:
    """Each is a whole hello of a client that never answers: some are tried, then proof of address
    is asked for, and nobody who proves it is shut out."""

    async def work() -> None:
        async with nodes(1, gate=STRICT, handshake_seconds=1.0) as (node,):
            flooders = [Raw(own(), node) for _ in range(60)]
            for flooder in flooders:
                flooder.flush()
            await asyncio.sleep(0.3)
            counts = node.endpoint.counts
            assert counts["inbound"] <= 9
            assert counts["retries"] >= 45
            assert node.endpoint.connections <= 9
            await still_works(node)
            # What was half open is given up.
            async with asyncio.timeout(10):
                while node.endpoint.connections:
                    await asyncio.sleep(0.05)
            assert counts["handshakes failed"] >= 8

    run(work)


def test_a_proof_of_address_works_once_it_is_asked_for_and_no_forgery_does() -> None:
    async def work() -> None:
        strict = replace(STRICT, half_open_for_retry=0)
        async with nodes(1, gate=strict) as (node,), nodes(2) as (other,):
            await other.dial(node)
            # A hello has two datagrams.
            assert 1 <= node.endpoint.counts["retries"] <= 2
            forger = Raw(own(), node)
            forger.connection._peer_token = os.urandom(80)
            forger.flush()
            await asyncio.sleep(0.1)
            assert node.endpoint.counts["tokens refused"] >= 1
            assert node.endpoint.connections == 1

    run(work)


def test_one_address_has_so_many_connections() -> None:
    async def work() -> None:
        strict = replace(STRICT, per_prefix_max=3, half_open_for_retry=0)
        async with (
            nodes(1, gate=strict) as (node,),
            nodes(2, 3, 4, 5, handshake_seconds=1.0) as others,
        ):
            for other in others[:3]:
                await other.dial(node)
            host, port = node.endpoint.local_address
            with pytest.raises(DialFailed, match="took too long"):
                await others[3].endpoint.dial(host, port, node.key)
            assert node.endpoint.counts[Verdict.DROP_PREFIX_FULL.value] >= 1
            assert len(node.endpoint.peers) == 3

    run(work)


def test_a_full_node_takes_nobody_in_until_there_is_room() -> None:
    async def work() -> None:
        full = GateLimits(connections_max=2)
        async with nodes(1, gate=full) as (node,), nodes(2, 3, 4, handshake_seconds=1.0) as others:
            for other in others[:2]:
                await other.dial(node)
            with pytest.raises(DialFailed):
                await others[2].endpoint.dial(*node.endpoint.local_address, node.key)
            with pytest.raises(DialFailed, match="no room"):
                await node.endpoint.dial(*others[2].endpoint.local_address)
            node.endpoint.close(others[0].key, "make room")
            await others[0].handler.until(lambda seen: seen.closed)
            await others[2].dial(node)

    run(work)


def test_a_client_without_ml_kem_is_told_and_forgotten() -> None:
    async def work() -> None:
        async with nodes(1) as (node,):
            peer = Raw(stock(True), node)
            await peer.until(lambda: peer.refusal)
            assert "requires key exchange X25519MLKEM768 (0x11ec)" in peer.refusal
            assert node.endpoint.connections == 0
            assert not node.handler.connected

    run(work)


def test_a_client_without_a_certificate_is_told_and_forgotten() -> None:
    async def work() -> None:
        async with nodes(1) as (node,):
            peer = Raw(own(), node)
            peer.connection.tls.certificate = None
            await peer.until(lambda: peer.refusal)
            assert peer.refusal == "a certificate is required"
            assert node.endpoint.connections == 0
            assert not node.handler.connected

    run(work)


@pytest.mark.parametrize(
    ("stream", "data", "reason"),
    [
        (2, (64 * 1024 + 1).to_bytes(4, "big"), "VOTES: a message longer than its channel allows"),
        (2 + 4 * 5, b"\xff\xff\xff\xff", "SYNC: a message longer than its channel allows"),
        (2 + 4 * 6, bytes(4), "CONTROL: a message of no bytes"),
    ],
)
def test_bad_lengths_close_the_connection(stream: int, data: bytes, reason: str) -> None:
    async def work() -> None:
        async with nodes(1) as (node,):
            peer = await Raw(own(), node).ready()
            streams = peer.connection.open_channels()  # type: ignore[attr-defined]
            streams[stream >> 2].sender.write(
                encode_frame(b"fine")[: 0 if stream > 2 else 8] + data
            )
            await peer.until(lambda: peer.refusal)
            assert peer.refusal.startswith(reason)
            await node.handler.until(lambda seen: seen.closed)
            assert node.handler.closed[0][1].startswith(reason)
            await still_works(node)

    run(work)


@pytest.mark.parametrize(
    ("stream_id", "reason"),
    [(2 + 4 * 7, "Too many streams open"), (0, "Too many streams open")],
)
def test_no_stream_beyond_the_channels_can_be_opened(stream_id: int, reason: str) -> None:
    """One more of one direction, or any of both."""

    async def work() -> None:
        async with nodes(1) as (node,):
            peer = await Raw(own(), node).ready()
            # The peer does not mind its limits.
            peer.connection._remote_max_streams_uni = 100
            peer.connection._remote_max_streams_bidi = 100
            peer.connection._remote_max_stream_data_bidi_remote = 1_000
            peer.connection.send_stream_data(stream_id, b"hello")
            await peer.until(lambda: peer.refusal)
            assert peer.refusal == reason
            await node.handler.until(lambda seen: seen.closed)
            assert node.handler.closed[0][1] == reason

    run(work)


@pytest.mark.parametrize(
    ("sin", "reason"),
    [
        (lambda peer: peer.connection.send_stream_data(2, b"", end_stream=True), "was ended"),
        (lambda peer: peer.connection.reset_stream(2, 7), "was reset"),
        (lambda peer: peer.connection.stop_stream(3, 7), "was reset"),
    ],
)
def test_channels_do_not_end(sin: Any, reason: str) -> None:
    async def work() -> None:
        async with nodes(1) as (node,):
            peer = await Raw(own(), node).ready()
            node.endpoint.send(identity(9).key, Channel.VOTES, b"so that stream 3 is there")
            await peer.until(lambda: 3 in peer.connection._streams)
            sin(peer)
            await peer.until(lambda: peer.refusal)
            assert peer.refusal == f"a channel {reason}"

    run(work)


def test_a_stream_cut_up_fine_closes_the_connection() -> None:
    """Every second byte, so that each is a gap: what it costs stays bounded."""

    async def work() -> None:
        async with nodes(1) as (node,):
            peer = await Raw(own(), node).ready()
            sender = peer.connection.open_channels()[Channel.SYNC].sender  # type: ignore[attr-defined]
            sender.write(bytes(3_000))
            sender._pending.subtract(0, 1)
            for start in range(1, 3_000, 2):
                sender._pending.subtract(start, start + 1)
            await peer.until(lambda: peer.refusal)
            assert peer.refusal == "a stream is cut up too fine"

    run(work)


def test_windows_follow_what_was_taken_not_what_came() -> None:
    """A peer that leaves out the first byte cannot make the node hold more than one window."""

    async def work() -> None:
        async with nodes(1) as (node,):
            peer = await Raw(own(), node).ready()
            streams = peer.connection.open_channels()  # type: ignore[attr-defined]
            sender = streams[Channel.BLOCKS].sender
            sender.write(bytes(16 << 20))
            sender._pending.subtract(0, 1)
            window = LIMITS[Channel.BLOCKS].window_bytes
            end = time.monotonic() + 3
            while time.monotonic() < end and not peer.refusal:
                # It may also ignore what it was allowed.
                peer.turn()
                await asyncio.sleep(0.001)
            assert not peer.refusal
            (link,) = node.endpoint._links
            receiver = link.connection._streams[2 + 4 * Channel.BLOCKS].receiver
            assert 0 < len(receiver._buffer) <= window
            streams[Channel.BLOCKS].max_stream_data_remote = 16 << 20
            peer.connection._remote_max_data = 1 << 30
            await peer.until(lambda: peer.refusal)
            assert peer.refusal == "Over stream data limit"

    run(work)


SLOW = (ChannelLimits(1 << 16, 1 << 20, 1 << 18, 1_000, 50, 2), *LIMITS[1:])


def test_who_sends_too_much_is_slowed_down_and_loses_nothing() -> None:
    """Two hundred messages where fifty a second, and a burst of a hundred, are taken; another
    channel does not feel it."""

    async def work() -> None:
        limits = (replace(SLOW[0], receive_bytes=1 << 20), *LIMITS[1:])
        async with nodes(1, limits=limits) as (node,), nodes(2) as (sender,):
            await sender.dial(node)
            started = time.monotonic()
            for number in range(200):
                assert sender.endpoint.send(node.key, Channel.VOTES, struct.pack(">I", number))
            await node.handler.until(lambda seen: len(seen.messages) >= 100)
            await asyncio.sleep(0.2)
            taken = len(node.handler.messages)
            assert taken <= 101 + 50 * (time.monotonic() - started)
            sender.endpoint.send(node.key, Channel.TRANSACTIONS, b"not held up")
            await node.handler.until(lambda seen: seen.messages[-1][2] == b"not held up")
            assert len(node.handler.messages) < 201
            await node.handler.until(lambda seen: len(seen.messages) == 201)
            assert time.monotonic() - started > 1.8
            votes = [data for _, channel, data in node.handler.messages if channel == Channel.VOTES]
            assert votes == [struct.pack(">I", number) for number in range(200)]

    run(work)


def test_a_peer_whose_node_takes_too_little_has_its_queue_refused() -> None:
    """`send` says False at the limit, `on_drained` comes when there is room, and what was taken
    arrives."""

    async def work() -> None:
        limits = tuple(replace(limit, receive_bytes=4 << 20) for limit in LIMITS)
        async with nodes(1, limits=limits) as (node,), nodes(2) as (sender,):
            await sender.dial(node)
            message = bytes(1 << 20)
            taken = 0
            while sender.endpoint.send(node.key, Channel.TRANSACTIONS, message):
                taken += 1
            assert taken == 7
            assert not sender.endpoint.send(node.key, Channel.TRANSACTIONS, message)
            assert sender.endpoint.send(node.key, Channel.VOTES, b"another channel")
            await sender.handler.until(lambda seen: seen.drained)
            assert sender.handler.drained == [(node.key, Channel.TRANSACTIONS)]
            await node.handler.until(lambda seen: len(seen.messages) == taken + 1)
            traffic = sender.endpoint.traffic(node.key)[Channel.TRANSACTIONS]
            assert (traffic.sent_messages, traffic.refused_messages) == (taken, 2)
            assert sender.endpoint._budget.used_bytes == 0

    run(work)


def test_a_peer_that_reads_nothing_is_closed() -> None:
    """It keeps the connection alive but never takes a byte of the channel."""

    async def work() -> None:
        limits = tuple(replace(limit, stall_seconds=2) for limit in LIMITS)
        async with nodes(1, limits=limits) as (node,):
            peer = await Raw(own(), node).ready()
            # No more room is ever given.
            peer.connection.consume = lambda *_: None  # type: ignore[attr-defined]
            key = identity(9).key
            while node.endpoint.send(key, Channel.SYNC, bytes(1 << 20)):
                pass
            await peer.until(lambda: peer.refusal)
            assert peer.refusal == "SYNC: nothing of the queue was taken in time"
            assert node.handler.closed == [(key, peer.refusal)]
            assert node.endpoint._budget.used_bytes == 0

    run(work)


def test_all_queues_together_have_a_limit_that_votes_do_not_feel() -> None:
    async def work() -> None:
        async with nodes(1, queued_bytes_max=3 << 20) as (node,), nodes(2, 3) as others:
            for other in others:
                await other.dial(node)
            message = bytes(1 << 20)
            first, second = (other.key for other in others)
            assert node.endpoint.send(first, Channel.BLOCKS, message)
            assert node.endpoint.send(first, Channel.SYNC, message)
            assert not node.endpoint.send(second, Channel.SYNC, message)
            assert node.endpoint.send(second, Channel.VOTES, b"a vote")
            await node.handler.until(lambda seen: seen.drained)
            assert node.handler.drained == [(second, Channel.SYNC)]
            assert node.endpoint.send(second, Channel.SYNC, message)
            await others[1].handler.until(lambda seen: len(seen.messages) == 2)

    run(work)


def test_who_hoards_most_of_what_is_unread_is_closed() -> None:
    async def work() -> None:
        async with nodes(1, unread_bytes_max=1 << 20) as (node,), nodes(2) as (other,):
            await other.dial(node)
            peer = await Raw(own(), node).ready()
            sender = peer.connection.open_channels()[Channel.BLOCKS].sender  # type: ignore[attr-defined]
            sender.write(struct.pack(">I", 12 << 20) + bytes(2 << 20))
            await peer.until(lambda: peer.refusal)
            assert peer.refusal == "too much is unread from all peers"
            assert node.endpoint.peers == (other.key,)

    run(work)


def test_a_peer_that_lost_its_state_says_so_at_once() -> None:
    """A stateless reset (RFC 9000, 10.3), in both directions of the dial: no waiting for the idle
    timeout after a crash."""

    async def work() -> None:
        for dials_in in (True, False):
            async with nodes(1) as (node,), nodes(2) as (dead,):
                await (dead.dial(node) if dials_in else node.dial(dead))
                host, port = dead.endpoint.local_address
                # Long enough for the node to use an id whose token it knows.
                await asyncio.sleep(1.3)
                dead.endpoint._loop.remove_reader(dead.endpoint._socket.fileno())
                dead.endpoint._socket.close()
                dead.endpoint._is_closed = True
                async with nodes(2, host=host, port=port) as (_again,):
                    started = time.monotonic()
                    node.endpoint.send(dead.key, Channel.VOTES, b"are you there")
                    await node.handler.until(lambda seen: seen.closed)
                    reason = "the peer has lost the connection"
                    assert node.handler.closed == [(dead.key, reason)]
                    # Not by the idle timeout, which is many times as long.
                    assert time.monotonic() - started < 10.0

    run(work)


def test_nobody_else_can_reset_a_connection() -> None:
    async def work() -> None:
        async with nodes(1, 2) as (node, other):
            await other.dial(node)
            forger = udp_socket()
            for _ in range(50):
                forger.sendto(b"\x40" + os.urandom(40), node.endpoint.local_address)
            # Nor can a datagram to no connection make two nodes answer each other for ever.
            await asyncio.sleep(0.2)
            answers = 0
            forger.setblocking(False)
            while True:
                try:
                    assert len(forger.recv(2_000)) < 41
                    answers += 1
                except BlockingIOError:
                    break
            assert answers == 50
            assert node.endpoint.peers == (other.key,)

    run(work)


def test_a_silent_peer_is_given_up_and_a_quiet_one_is_kept() -> None:
    async def work() -> None:
        settings = {"idle_seconds": 2.5, "keep_alive_seconds": 1.0}
        async with nodes(1, **settings) as (node,), nodes(2, 3, **settings) as (quiet, silent):
            await quiet.dial(node)
            await silent.dial(node)
            silent.endpoint._loop.remove_reader(silent.endpoint._socket.fileno())
            await node.handler.until(lambda seen: seen.closed)
            assert node.handler.closed == [(silent.key, "Idle timeout")]
            await asyncio.sleep(1.5)
            assert node.endpoint.peers == (quiet.key,)
            silent.endpoint._loop.add_reader(
                silent.endpoint._socket.fileno(), silent.endpoint._on_readable
            )

    run(work)


def test_reasons_from_peers_are_cleaned() -> None:
    """They end in logs: no line breaks, no colours, not endless."""

    async def work() -> None:
        async with nodes(1) as (node,):
            peer = await Raw(own(), node).ready()
            peer.connection.close(error_code=1, reason_phrase="\x1b[31mred\n" + "ä" * 400)
            peer.flush()
            await node.handler.until(lambda seen: seen.closed)
            assert node.handler.closed[0][1] == f"closed by the peer: ?[31mred?{'?' * 191}"

    run(work)


def test_a_handler_that_fails_ends_one_connection_only() -> None:
    async def work() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with nodes(1, 2, 3) as (node, bad, good):
            await bad.dial(node)
            await good.dial(node)

            def fail(peer: bytes, channel: int, payload: bytes) -> None:
                if peer == bad.key:
                    raise RuntimeError("a bug")

            node.handler.respond = fail
            bad.endpoint.send(node.key, Channel.VOTES, b"x")
            await node.handler.until(lambda seen: seen.closed)
            good.endpoint.send(node.key, Channel.VOTES, b"y")
            await node.handler.until(lambda seen: (good.key, 0, b"y") in seen.messages)
            assert node.endpoint.peers == (good.key,)
            assert [str(context["exception"]) for context in told] == ["a bug"]
            assert node.endpoint.counts["errors"] == 1

    asyncio.run(work())


def test_other_versions_of_quic_are_told_which_this_is() -> None:
    async def work() -> None:
        async with nodes(1) as (node,):
            asker = udp_socket()
            asker.settimeout(5)
            hello = b"\xc0" + b"\x0a\x0a\x0a\x0a" + b"\x08" + b"d" * 8 + b"\x04ssss"
            asker.sendto(hello + bytes(1_300), node.endpoint.local_address)
            await asyncio.sleep(0.1)
            answer = asker.recv(2_000)
            assert answer[1:5] == bytes(4)
            assert answer[5:] == b"\x04ssss" + b"\x08" + b"d" * 8 + b"\x00\x00\x00\x01"
            # Too short to answer: it could be used to flood somebody.
            asker.setblocking(False)
            asker.sendto(hello, node.endpoint.local_address)
            asker.sendto(answer + bytes(1_300), node.endpoint.local_address)
            await asyncio.sleep(0.1)
            with pytest.raises(BlockingIOError):
                asker.recv(2_000)

    run(work)


def test_streams_do_not_grow_with_messages() -> None:
    """aioquic 1.3 kept a stream per message for ever; channels are seven streams each way."""

    async def work() -> None:
        async with nodes(1, 2) as (first, second):
            await first.dial(second)
            for number in range(2_000):
                assert first.endpoint.send(second.key, number % 7, bytes(100))
                if number % 100 == 0:
                    await asyncio.sleep(0.06)
            await second.handler.until(lambda seen: len(seen.messages) == 2_000)
            for node in (first, second):
                (link,) = node.endpoint._links
                assert 7 <= len(link.connection._streams) <= 14
                assert len(link.connection._streams_queue) <= 14
                await asyncio.sleep(0.1)
                # Bare acknowledgements are known until windows move: a quarter of one at most.
                assert len(link.connection._spaces[Epoch.ONE_RTT].sent_packets) < 50
                assert len(node.endpoint._routes) <= 4
                assert len(node.endpoint._timers) < 10

    run(work)
