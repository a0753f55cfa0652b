"""Datagrams into an endpoint: as they come from anybody, and with frames of QUIC that a peer past
the handshake encrypted.

Whatever comes, another peer's connection works, tables stay small, and what a stream may hold stays
within its window. The first byte chooses: even, the rest is a datagram; odd, the rest is the
payload of a packet of a peer.
"""

from __future__ import annotations

import asyncio
import atexit
import time

from aioquic.quic.packet import QuicFrameType
from aioquic.tls import Epoch

from ghostchain.net.channels import LIMITS, Channel
from ghostchain.net.connection import Connection
from ghostchain.net.endpoint import Address, Endpoint, EndpointSettings
from ghostchain.net.frames import encode_frame
from ghostchain.net.limits import GateLimits
from tests.fuzz.harness import fuzz
from tests.unit.net_peers import ALPN, Recorder, identity
from tests.unit.test_net_tls import make

SERVER = ("127.0.0.1", 2)
PEER = ("127.0.0.1", 3)
FRIEND = ("127.0.0.1", 4)
LINKS_MAX = 60


class Caught(Endpoint):
    """An endpoint whose datagrams go to whoever is asked for, and nowhere else."""

    def _transmit(self, data: bytes, address: Address) -> None:
        outbox.setdefault(address, []).append(data)


outbox: dict[Address, list[bytes]] = {}


class World:
    """An endpoint, a peer that misbehaves, and one that does not."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.endpoint = self.loop.run_until_complete(self.open())
        self.handler = self.endpoint._handler
        self.friend = self.connect(FRIEND, 4)
        self.peer = self.connect(PEER, 3)
        atexit.register(self.close)

    def close(self) -> None:
        self.endpoint._socket.close()
        self.loop.close()

    async def open(self) -> Caught:
        # The peer is closed and comes back as fast as the machine can.
        gate = GateLimits(handshakes_per_second=1_000_000, handshakes_burst=1_000_000)
        settings = EndpointSettings(identity(1), ALPN, gate=gate)
        endpoint = await Caught.open(settings, Recorder())
        assert isinstance(endpoint, Caught)
        endpoint._loop.remove_reader(endpoint._socket.fileno())
        endpoint._loop.set_exception_handler(lambda *_: None)
        return endpoint

    def give(self, data: bytes, address: Address) -> None:
        self.endpoint._route(data, address, time.monotonic())
        self.endpoint._flush()

    def exchange(self, connection: Connection, address: Address) -> None:
        now = time.monotonic()
        for _ in range(20):
            sent = connection.datagrams_to_send(now)
            for data, _ in sent:
                self.give(data, address)
            answers = outbox.pop(address, [])
            for data in answers:
                connection.receive_datagram(data, SERVER, now)
            if not sent and not answers:
                break

    def connect(self, address: Address, number: int) -> Connection:
        connection = make(True, identity(number))
        connection.connect(SERVER, time.monotonic())
        self.exchange(connection, address)
        connection.open_channels()
        return connection

    def payload(self, plain: bytes) -> None:
        """A packet of the peer with these frames."""
        if self.endpoint._peers.get(identity(3).key) is None:
            self.peer = self.connect(PEER, 3)
        peer = self.peer
        number = peer._packet_number
        peer._packet_number += 1
        header = b"\x41" + peer._peer_cid.cid + (number & 0xFFFF).to_bytes(2, "big")
        crypto = peer._cryptos[Epoch.ONE_RTT]
        self.give(crypto.encrypt_packet(header, plain + bytes(4), number), PEER)
        outbox.pop(PEER, None)

    def check(self) -> None:
        endpoint = self.endpoint
        assert endpoint.connections <= LINKS_MAX
        assert len(endpoint._routes) <= 8 * LINKS_MAX
        for link in endpoint._links:
            for stream_id, stream in link.connection._streams.items():
                window = LIMITS[stream_id >> 2].window_bytes
                assert len(stream.receiver._buffer) <= window
                assert len(stream.receiver._ranges) < 1_000
        handler = self.handler
        assert isinstance(handler, Recorder)
        handler.messages.clear()
        stream_of_votes = self.friend._channel_streams[1]
        stream_of_votes.sender.write(encode_frame(b"still here"))
        self.exchange(self.friend, FRIEND)
        assert handler.messages == [(identity(4).key, Channel.VOTES, b"still here")]
        for past in (handler.closed, handler.connected, handler.events):
            del past[1:]


world: World | None = None


def check(data: bytes) -> None:
    global world
    if world is None:
        world = World()
    if not data:
        return
    if data[0] & 1:
        world.payload(data[1:])
    else:
        world.give(data[1:], ("127.0.0.1", 5 + data[0]))
        outbox.clear()
        # What was begun and not finished is given up after a while.
        if world.endpoint.connections > LINKS_MAX // 2:
            for link in tuple(world.endpoint._links):
                if not link.is_established:
                    link.opened_at -= 60.0
            world.endpoint._on_second()
    world.check()


def hello() -> list[bytes]:
    """The two datagrams with which a dial begins."""
    connection = make(True, identity(3))
    connection.connect(SERVER, 0.0)
    return [data for data, _ in connection.datagrams_to_send(0.0)]


def frame(kind: int, *values: int, data: bytes = b"") -> bytes:
    """A frame with values of less than 64, or of two bytes."""
    encoded = b"".join(
        bytes([value]) if value < 64 else (0x4000 | value).to_bytes(2, "big") for value in values
    )
    return b"\x01" + bytes([kind]) + encoded + data


VOTE = encode_frame(b"vote")

SEEDS = [
    *(b"\x00" + data for data in hello()),
    b"\x00\x40" + bytes(30),
    b"\x00\xc0\x0a\x0a\x0a\x0a\x08" + bytes(1_300),
    frame(QuicFrameType.STREAM_BASE | 2, 2, 8, data=VOTE),
    frame(QuicFrameType.STREAM_BASE | 6, 2, 8, 8, data=VOTE) + b"\x0a\x02\x08" + VOTE,
    frame(QuicFrameType.STREAM_BASE | 6, 6, 100, 8, data=VOTE),
    frame(QuicFrameType.STREAM_BASE | 7, 26, 0, 8, data=VOTE),
    frame(QuicFrameType.RESET_STREAM, 2, 0, 0),
    frame(QuicFrameType.STOP_SENDING, 3, 0),
    frame(QuicFrameType.ACK, 2, 0, 1, 0, 0, 0),
    frame(QuicFrameType.CRYPTO, 0, 4, data=b"\x04\x00\x00\x00"),
    frame(QuicFrameType.NEW_TOKEN, 2, data=b"ab"),
    frame(QuicFrameType.MAX_DATA, 1_000),
    frame(QuicFrameType.MAX_STREAM_DATA, 3, 1_000),
    frame(QuicFrameType.MAX_STREAMS_UNI, 9),
    frame(QuicFrameType.DATA_BLOCKED, 9),
    frame(QuicFrameType.STREAM_DATA_BLOCKED, 2, 9),
    frame(QuicFrameType.STREAMS_BLOCKED_UNI, 9),
    frame(QuicFrameType.NEW_CONNECTION_ID, 2, 0, 8, data=bytes(24)),
    frame(QuicFrameType.NEW_CONNECTION_ID, 3, 3, 8, data=bytes(24)),
    frame(QuicFrameType.RETIRE_CONNECTION_ID, 0),
    frame(QuicFrameType.PATH_CHALLENGE, data=bytes(8)),
    frame(QuicFrameType.PATH_RESPONSE, data=bytes(8)),
    frame(QuicFrameType.TRANSPORT_CLOSE, 0, 0, 2, data=b"by"),
    frame(QuicFrameType.APPLICATION_CLOSE, 0, 2, data=b"by"),
    frame(QuicFrameType.HANDSHAKE_DONE),
    frame(QuicFrameType.DATAGRAM_WITH_LENGTH, 2, data=b"ab"),
    frame(QuicFrameType.PING),
]


if __name__ == "__main__":
    fuzz(check, SEEDS)
