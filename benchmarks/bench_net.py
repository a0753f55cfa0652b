"""Nodes on loopback, all in one process and so on one core, beside plain aioquic (the asyncio shell
that it ships, one bidirectional stream, no client certificate, its own key exchange) in the same
run. `ratio` is aioquic's time by ours.

A vote is 200 bytes. `cpu_us` is the processor's time of both ends together, the turns of the loop
taken off where they are said to be.

`test_stream_or_datagram` is what decided how votes travel: aioquic's three ways and ours, without
sockets, sent, received and acknowledged. On the machine of RESULTS.md, in microseconds: a frame on
a long-lived stream 150, a DATAGRAM frame 130, a stream for each 170; a long-lived stream as
`ghostchain/net/connection.py` drives it 65. A datagram saves an eighth, and is lost for good, comes
in any order and is held back by no window: what consensus would have to add costs more. Votes take
a stream. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import pytest
from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import DatagramFrameReceived, QuicEvent, StreamDataReceived

from ghostchain.net.channels import Channel
from ghostchain.net.connection import Connection
from ghostchain.net.identity import Identity
from tests.unit.net_peers import Node, nodes
from tests.unit.test_net_tls import make, server_for

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
MEGABYTES = 100 if FULL else 10
ECHOES = 5_000 if FULL else 300
VOTES = 2_000 if FULL else 100
HANDSHAKES = 100 if FULL else 5
IDLE_SECONDS = 20.0 if FULL else 0.5
Ends = Callable[[], tuple[QuicConnection, QuicConnection]]
VOTE = bytes(200)
MEGABYTE = bytes(1 << 20)
PEER = "aioquic 1.7's asyncio shell"


def peer_settings(*, is_client: bool) -> QuicConfiguration:
    who = Identity(bytes([7]) * 32)
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=["bench"],
        certificate=who.certificate,
        private_key=who.private_key,
        verify_mode=0,
        max_datagram_frame_size=65_535,
    )


class Plain(QuicConnectionProtocol):
    """aioquic's shell; tells `on_data` what comes."""

    on_data: Callable[[Plain, int, bytes], None] | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived) and self.on_data is not None:
            self.on_data(self, event.stream_id, event.data)


async def plain_pair(work: Callable[[Plain, Plain], Awaitable[Any]]) -> Any:
    """A client and its server, connected."""
    served: list[Plain] = []

    def make(*arguments: Any, **more: Any) -> Plain:
        served.append(Plain(*arguments, **more))
        return served[-1]

    server = await serve(
        "127.0.0.1", 0, configuration=peer_settings(is_client=False), create_protocol=make
    )
    port = server._transport.get_extra_info("sockname")[1]
    settings = peer_settings(is_client=True)
    async with connect(
        "127.0.0.1", port, configuration=settings, create_protocol=Plain, local_port=0
    ) as client:
        assert isinstance(client, Plain)
        result = await work(client, served[0])
    server.close()
    return result


async def own_throughput(**changes: Any) -> float:
    """Seconds for MEGABYTES from one node to another."""
    async with nodes(1, 2, **changes) as (sender, receiver):
        await sender.dial(receiver)
        left = MEGABYTES
        start = time.perf_counter()

        def fill() -> None:
            nonlocal left
            while left and sender.endpoint.send(receiver.key, Channel.SYNC, MEGABYTE):
                left -= 1

        fill()
        sender.handler.on_drained = lambda *_: fill()  # type: ignore[method-assign]
        got = 0
        done = asyncio.Event()

        def on_message(*_: Any) -> None:
            nonlocal got
            got += 1
            if got == MEGABYTES:
                done.set()

        receiver.handler.on_message = on_message  # type: ignore[method-assign,assignment]
        await done.wait()
        return time.perf_counter() - start


async def peer_throughput() -> float:
    async def work(client: Plain, server: Plain) -> float:
        got = 0
        done = asyncio.Event()

        def on_data(_: Plain, __: int, data: bytes) -> None:
            nonlocal got
            got += len(data)
            if got == MEGABYTES << 20:
                done.set()

        server.on_data = on_data
        start = time.perf_counter()
        for _ in range(MEGABYTES):
            client._quic.send_stream_data(0, MEGABYTE)
        client.transmit()
        await done.wait()
        return time.perf_counter() - start

    seconds = await plain_pair(work)
    assert isinstance(seconds, float)
    return seconds


def test_throughput(benchmark: Any) -> None:
    own = benchmark.pedantic(lambda: asyncio.run(own_throughput()), rounds=1)
    small = asyncio.run(own_throughput(loopback_datagram_bytes=1_200))
    peer = asyncio.run(peer_throughput())
    bits = 8.388608 * MEGABYTES
    benchmark.extra_info.update(
        megabits_per_second=round(bits / own),
        megabits_per_second_at_1200=round(bits / small),
        peer=PEER,
        peer_megabits_per_second=round(bits / peer),
        ratio=round(peer / own, 2),
        ratio_at_1200=round(peer / small, 2),
    )


def told(seconds: list[float]) -> dict[str, int]:
    seconds.sort()
    return {
        "p50_us": round(1e6 * seconds[len(seconds) // 2]),
        "p99_us": round(1e6 * seconds[len(seconds) * 99 // 100]),
    }


async def own_echo() -> tuple[list[float], float]:
    """Round trips in seconds, and the processor's time of all."""
    async with nodes(1, 2) as (one, other):
        await one.dial(other)
        took: list[float] = []
        done = asyncio.Event()
        other.handler.on_message = (  # type: ignore[method-assign]
            lambda peer, channel, data: other.endpoint.send(peer, channel, data)
        )

        def ask() -> None:
            nonlocal start
            start = time.perf_counter()
            one.endpoint.send(other.key, Channel.VOTES, VOTE)

        def on_message(*_: Any) -> None:
            took.append(time.perf_counter() - start)
            done.set() if len(took) == ECHOES else ask()

        start = 0.0
        one.handler.on_message = on_message  # type: ignore[method-assign,assignment]
        cpu = time.process_time()
        ask()
        await done.wait()
        return took, time.process_time() - cpu


async def peer_echo() -> tuple[list[float], float]:
    async def work(client: Plain, server: Plain) -> tuple[list[float], float]:
        took: list[float] = []
        done = asyncio.Event()
        start = 0.0

        def say(end: Plain) -> None:
            end._quic.send_stream_data(0, VOTE)
            end._transmit_soon()

        def ask() -> None:
            nonlocal start
            start = time.perf_counter()
            say(client)

        def on_answer(*_: Any) -> None:
            took.append(time.perf_counter() - start)
            done.set() if len(took) == ECHOES else ask()

        server.on_data = lambda end, *_: say(end)
        client.on_data = on_answer
        cpu = time.process_time()
        ask()
        await done.wait()
        return took, time.process_time() - cpu

    took, cpu = await plain_pair(work)
    return took, cpu


def test_echo(benchmark: Any) -> None:
    own, cpu = benchmark.pedantic(lambda: asyncio.run(own_echo()), rounds=1)
    peer, peer_cpu = asyncio.run(peer_echo())
    figures, peer_figures = told(own), told(peer)
    benchmark.extra_info.update(
        **figures,
        cpu_us=round(1e6 * cpu / ECHOES),
        peer=PEER,
        **{f"peer_{name}": value for name, value in peer_figures.items()},
        peer_cpu_us=round(1e6 * peer_cpu / ECHOES),
        ratio=round(peer_figures["p50_us"] / figures["p50_us"], 2),
    )


async def turns(say: Callable[[], None], settle: Callable[[], Awaitable[Any]]) -> float:
    """The processor's time of VOTES turns of two milliseconds, the bare turns taken off."""
    cpu = time.process_time()
    for _ in range(VOTES):
        say()
        await asyncio.sleep(0.002)
    await settle()
    cpu = time.process_time() - cpu
    bare = time.process_time()
    for _ in range(VOTES):
        await asyncio.sleep(0.002)
    return cpu - (time.process_time() - bare)


async def own_votes(count: int, says: bool) -> float:
    """Seconds of processor for a vote from one node to another. says: of all to all, else of one
    to another that is silent."""
    async with nodes(*range(1, count + 1)) as everyone:
        for index, node in enumerate(everyone):
            for other in everyone[:index]:
                await node.dial(other)
        await asyncio.sleep(0.3)
        speakers: list[Node] = everyone if says else everyone[:1]

        def say() -> None:
            for node in speakers:
                for peer in node.endpoint.peers:
                    node.endpoint.send(peer, Channel.VOTES, VOTE)

        each = VOTES * (count - 1)

        async def settle() -> None:
            for node in everyone if says else everyone[1:]:
                await node.handler.until(lambda seen: len(seen.messages) >= each)

        return await turns(say, settle) / (each * len(speakers))


async def peer_votes(says: bool) -> float:
    async def work(client: Plain, server: Plain) -> float:
        ends = (client, server) if says else (client,)
        client._quic.send_stream_data(0, VOTE)
        client.transmit()
        await asyncio.sleep(0.1)

        def say() -> None:
            for end in ends:
                end._quic.send_stream_data(0, VOTE)
                end._transmit_soon()

        return await turns(say, lambda: asyncio.sleep(0.05)) / (VOTES * len(ends))

    seconds = await plain_pair(work)
    assert isinstance(seconds, float)
    return seconds


@pytest.mark.parametrize("says", [True, False], ids=["both_speak", "one_speaks"])
def test_votes(benchmark: Any, says: bool) -> None:
    """Sent and received, with acknowledgements and system calls."""
    own = benchmark.pedantic(lambda: asyncio.run(own_votes(2, says)), rounds=1)
    peer = asyncio.run(peer_votes(says))
    benchmark.extra_info.update(
        cpu_us=round(1e6 * own),
        peer=PEER,
        peer_cpu_us=round(1e6 * peer),
        ratio=round(peer / own, 2),
    )
    if says:
        four = asyncio.run(own_votes(4, True))
        benchmark.extra_info["cpu_us_of_four"] = round(1e6 * four)


async def own_handshakes() -> list[float]:
    took = []
    for _ in range(HANDSHAKES):
        async with nodes(1, 2) as (one, other):
            start = time.perf_counter()
            await one.dial(other)
            took.append(time.perf_counter() - start)
    return took


async def peer_handshakes() -> list[float]:
    async def connected(client: Plain, server: Plain) -> float:
        return time.perf_counter()

    took = []
    for _ in range(HANDSHAKES):
        start = time.perf_counter()
        took.append(await plain_pair(connected) - start)
    return took


def test_handshake(benchmark: Any) -> None:
    """Dial to connected on both sides, with two certificates and ML-KEM; aioquic's with one, and
    without."""
    cpu = time.process_time()
    own = benchmark.pedantic(lambda: asyncio.run(own_handshakes()), rounds=1)
    cpu = (time.process_time() - cpu) / HANDSHAKES
    peer_cpu = time.process_time()
    peer = asyncio.run(peer_handshakes())
    peer_cpu = (time.process_time() - peer_cpu) / HANDSHAKES
    benchmark.extra_info.update(
        milliseconds=round(1e3 * median(own), 2),
        cpu_ms=round(1e3 * cpu, 2),
        peer=PEER,
        peer_milliseconds=round(1e3 * median(peer), 2),
        peer_cpu_ms=round(1e3 * peer_cpu, 2),
        ratio=round(median(peer) / median(own), 2),
    )


def plain_ends() -> tuple[QuicConnection, QuicConnection]:
    client = QuicConnection(configuration=peer_settings(is_client=True))
    return client, QuicConnection(
        configuration=peer_settings(is_client=False),
        original_destination_connection_id=client.original_destination_connection_id,
    )


def own_ends() -> tuple[QuicConnection, QuicConnection]:
    client = make(True, Identity(bytes([1]) * 32))
    return client, server_for(client, Identity(bytes([2]) * 32))


def one_way(ends: Ends, send: Callable[[QuicConnection, int], None], rounds: int) -> float:
    """Seconds of processor for one vote from a client to a server, with its acknowledgement, and
    without sockets."""
    client, server = ends()
    now = 0.0
    client.connect(("server", 1), now)

    def exchange() -> None:
        nonlocal now
        for _ in range(8):
            sent = 0
            for one, other, address in ((client, server, "client"), (server, client, "server")):
                if one._network_paths:
                    for data, _ in one.datagrams_to_send(now):
                        other.receive_datagram(data, (address, 1), now)
                        sent += 1
            now += 0.002
            if not sent:
                break

    exchange()
    for end in (client, server):
        if isinstance(end, Connection):
            end.open_channels()
    client.send_stream_data(2, VOTE)
    exchange()
    received = 0
    start = time.process_time()
    for number in range(rounds):
        send(client, number)
        exchange()
        while (event := server.next_event()) is not None:
            received += isinstance(event, DatagramFrameReceived | StreamDataReceived)
            if isinstance(server, Connection) and isinstance(event, StreamDataReceived):
                server.consume(0, len(event.data))
        while client.next_event() is not None:
            pass
    seconds = (time.process_time() - start) / rounds
    assert received >= rounds
    return seconds


def test_stream_or_datagram(benchmark: Any) -> None:
    def on_one(client: QuicConnection, number: int) -> None:
        client.send_stream_data(2, VOTE)

    def on_its_own(client: QuicConnection, number: int) -> None:
        stream = client.get_next_available_stream_id(is_unidirectional=True)
        client.send_stream_data(stream, VOTE, end_stream=True)

    def as_datagram(client: QuicConnection, number: int) -> None:
        client.send_datagram_frame(VOTE)

    rounds = 1_000 if FULL else 50
    ways = {
        "own_stream_us": (own_ends, on_one),
        "stream_us": (plain_ends, on_one),
        "datagram_us": (plain_ends, as_datagram),
        "stream_each_us": (plain_ends, on_its_own),
    }

    def in_turns() -> dict[str, float]:
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(7 if FULL else 2):
            for name, (ends, way) in ways.items():
                best[name] = min(best[name], one_way(ends, way, rounds))
        return best

    best = benchmark.pedantic(in_turns, rounds=1)
    benchmark.extra_info.update(
        {name: round(1e6 * seconds) for name, seconds in best.items()},
        peer="a DATAGRAM frame each",
        ratio=round(best["datagram_us"] / best["own_stream_us"], 2),
    )


async def idle() -> float:
    """The share of a core that four connected nodes need together while nothing is said."""
    async with nodes(1, 2, 3, 4) as everyone:
        for index, node in enumerate(everyone):
            for other in everyone[:index]:
                await node.dial(other)
        await asyncio.sleep(0.5)
        cpu = time.process_time()
        await asyncio.sleep(IDLE_SECONDS)
        return (time.process_time() - cpu) / IDLE_SECONDS


def test_idle(benchmark: Any) -> None:
    share = benchmark.pedantic(lambda: asyncio.run(idle()), rounds=1)
    benchmark.extra_info["percent_of_a_core_for_four"] = round(100 * share, 2)
    assert share < 0.03
