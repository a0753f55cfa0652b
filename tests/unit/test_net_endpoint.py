"""Endpoints over loopback: who may connect, what arrives, which connection is kept."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from ghostchain.net.channels import CHANNELS, LIMITS, Channel
from ghostchain.net.endpoint import DialFailed
from tests.unit.net_peers import ALPN, Node, nodes, run


def test_three_endpoints_exchange_messages_on_all_channels() -> None:
    """Whatever is sent arrives whole, once, in the order of its channel, from the right peer."""

    async def work() -> None:
        async with nodes(1, 2, 3) as (first, second, third):
            await first.dial(second)
            await third.dial(first)
            await second.dial(third)
            everyone = (first, second, third)
            for node in everyone:
                assert len(node.endpoint.peers) == 2
                for peer in node.endpoint.peers:
                    for channel in Channel:
                        for number in range(20):
                            payload = bytes([channel, number]) * (1 + 97 * number)
                            assert node.endpoint.send(peer, channel, payload)
            for node in everyone:
                await node.handler.until(lambda seen: len(seen.messages) == 2 * CHANNELS * 20)
                for peer in node.endpoint.peers:
                    for channel in Channel:
                        got = [
                            payload
                            for sender, where, payload in node.handler.messages
                            if (sender, where) == (peer, channel)
                        ]
                        assert got == [bytes([channel, n]) * (1 + 97 * n) for n in range(20)]
                    assert node.endpoint.traffic(peer)[0].received_messages == 20
                assert not node.handler.closed

    run(work)


def test_large_messages_arrive_both_ways_at_once() -> None:
    """Larger than any window, so that flow control has to follow what was taken."""

    async def work() -> None:
        async with nodes(1, 2) as (first, second):
            await first.dial(second)
            size = LIMITS[Channel.SYNC].frame_bytes_max
            assert first.endpoint.send(second.key, Channel.SYNC, b"s" * size)
            assert second.endpoint.send(first.key, Channel.BLOCKS, b"b" * size)
            await second.handler.until(lambda seen: seen.messages)
            await first.handler.until(lambda seen: seen.messages)
            assert second.handler.messages == [(first.key, Channel.SYNC, b"s" * size)]
            assert first.handler.messages == [(second.key, Channel.BLOCKS, b"b" * size)]

    run(work)


def test_a_dial_expects_a_key() -> None:
    """Who answers with another key is not connected, and both learn why."""

    async def work() -> None:
        async with nodes(1, 2) as (first, second):
            host, port = second.endpoint.local_address
            with pytest.raises(DialFailed, match="the peer is"):
                await first.endpoint.dial(host, port, bytes(32))
            assert await first.endpoint.dial(host, port) == second.key

    run(work)


def test_a_node_does_not_connect_to_itself() -> None:
    async def work() -> None:
        async with nodes(1) as (node,):
            host, port = node.endpoint.local_address
            with pytest.raises(DialFailed, match="to itself"):
                await node.endpoint.dial(host, port)
            with pytest.raises(DialFailed, match="to itself"):
                await node.endpoint.dial(host, port, node.key)
            assert not node.handler.connected

    run(work)


def test_other_networks_are_told_which_this_is() -> None:
    async def work() -> None:
        async with nodes(1) as (first,), nodes(2, alpn="ghost/1/00000000/1") as (other,):
            host, port = first.endpoint.local_address
            with pytest.raises(DialFailed, match=f"this is {ALPN}.*no_application_protocol"):
                await other.endpoint.dial(host, port)

    run(work)


def test_both_dial_and_one_connection_is_kept() -> None:
    """Whatever the order in which the handshakes end, both keep the same, and it works."""

    async def work() -> None:
        async with nodes(1, 2, 3, 4) as everyone:
            pairs = [(a, b) for a in everyone for b in everyone if a is not b]
            await asyncio.gather(
                *(a.endpoint.dial(*b.endpoint.local_address, b.key) for a, b in pairs)
            )
            for node in everyone:
                others = {other.key for other in everyone if other is not node}
                await node.handler.until(lambda seen, n=node, o=others: set(n.endpoint.peers) == o)
            # Whoever lost is closed by now or within a round trip: a message on what is left.
            await asyncio.sleep(0.3)
            for a, b in pairs:
                assert a.endpoint.send(b.key, Channel.VOTES, a.key)
            for node in everyone:
                await node.handler.until(lambda seen: len(seen.messages) == 3)
                assert len(node.endpoint._links) == 3
                for link in node.endpoint._links:
                    assert link.is_inbound == (link.peer < node.key)

    run(work)


def test_what_is_said_on_a_connection_stays_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When connections take each other's place, whoever greets each new one is heard once on each:
    nothing meant for one that is over is said on the next."""

    async def work() -> None:
        async with nodes(*range(1, 9)) as everyone:
            greeted: dict[tuple[bytes, bytes], int] = {}
            for node in everyone:
                follow(node, greeted, monkeypatch)
            pairs = [(a, b) for a in everyone for b in everyone if a is not b]
            await asyncio.gather(
                *(a.endpoint.dial(*b.endpoint.local_address, b.key) for a, b in pairs)
            )
            await asyncio.sleep(0.5)
            assert greeted == dict.fromkeys(((a.key, b.key) for a, b in pairs), 1)

    run(work)


def follow(
    node: Node, greeted: dict[tuple[bytes, bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node greets each peer when it connects, and counts the greetings on each connection."""

    def connected(peer: bytes, *rest: object) -> None:
        greeted[node.key, peer] = 0
        node.endpoint.send(peer, Channel.CONTROL, b"hello")

    def message(peer: bytes, *rest: object) -> None:
        greeted[node.key, peer] += 1
        assert greeted[node.key, peer] == 1, "greeted twice on one connection"

    monkeypatch.setattr(node.handler, "on_connected", connected)
    monkeypatch.setattr(node.handler, "on_message", message)


def test_a_peer_that_comes_back_takes_its_place() -> None:
    """After a crash the peer has a new connection at once, not when the old one times out."""

    async def work() -> None:
        async with nodes(1) as (first,), nodes(2) as (second,):
            await second.dial(first)
            # As if it was killed: nothing is said.
            second.endpoint._loop.remove_reader(second.endpoint._socket.fileno())
            async with nodes(2) as (again,):
                await again.dial(first)
                await first.handler.until(lambda seen: len(seen.connected) == 2)
                assert [event for event, _ in first.handler.events] == [
                    "connected",
                    "closed",
                    "connected",
                ]
                assert first.handler.closed == [(second.key, "another connection is kept")]
                assert first.endpoint.send(second.key, Channel.VOTES, b"hello")
                await again.handler.until(lambda seen: seen.messages)

    run(work)


def test_closing_tells_the_reason_to_both() -> None:
    async def work() -> None:
        async with nodes(1, 2) as (first, second):
            await first.dial(second)
            first.endpoint.close(second.key, "you know why")
            await second.handler.until(lambda seen: seen.closed)
            await first.handler.until(lambda seen: seen.closed)
            assert first.handler.closed == [(second.key, "you know why")]
            assert second.handler.closed == [(first.key, "closed by the peer: you know why")]
            assert not first.endpoint.send(second.key, Channel.VOTES, b"x")

    run(work)


def test_a_stopping_node_says_so() -> None:
    async def work() -> None:
        async with nodes(1) as (first,):
            async with nodes(2) as (second,):
                await second.dial(first)
            assert second.handler.closed == [(first.key, "the node is stopping")]
            await first.handler.until(lambda seen: seen.closed)
            assert first.handler.closed == [
                (second.key, "closed by the peer: the node is stopping")
            ]

    run(work)


def test_it_works_under_uvloop() -> None:
    """The loop of `ghostd`."""

    async def work() -> None:
        async with nodes(1, 2) as (first, second):
            await first.dial(second)
            second.handler.respond = second.endpoint.send  # type: ignore[assignment]
            for number in range(100):
                assert first.endpoint.send(second.key, Channel.VOTES, bytes([number]) * 200)
            assert first.endpoint.send(second.key, Channel.SYNC, bytes(3 << 20))
            await first.handler.until(lambda seen: len(seen.messages) == 101)
            first.endpoint.close(second.key, "done")
            await second.handler.until(lambda seen: seen.closed)

    uvloop.run(work())


def test_it_works_over_ipv6_and_takes_ipv4_there_too() -> None:
    async def work() -> None:
        async with (
            nodes(1, host="::") as (first,),
            nodes(2, host="::1") as (second,),
            nodes(3) as (third,),
        ):
            _, port = first.endpoint.local_address
            await second.endpoint.dial("::1", port, first.key)
            await third.endpoint.dial("localhost", port, first.key)
            await first.handler.until(lambda seen: len(seen.connected) == 2)
            addresses = {peer: address[0] for peer, address, _ in first.handler.connected}
            assert addresses == {second.key: "::1", third.key: "::ffff:127.0.0.1"}
            _, port = third.endpoint.local_address
            first.endpoint.close(third.key, "again, from here")
            await third.handler.until(lambda seen: seen.closed)
            await first.endpoint.dial("127.0.0.1", port, third.key)
            assert first.endpoint.send(third.key, Channel.VOTES, b"x")
            await third.handler.until(lambda seen: seen.messages)

    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    run(work)


def test_a_dial_that_is_given_up_leaves_nothing() -> None:
    async def work() -> None:
        async with nodes(1) as (first,):
            nobody = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            nobody.bind(("127.0.0.1", 0))
            host, port = nobody.getsockname()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await first.endpoint.dial(host, port)
            await asyncio.sleep(0)
            assert first.endpoint.connections == 0
            assert not first.endpoint._dials
            assert not first.endpoint._routes
            with pytest.raises(DialFailed, match="is not known"):
                await first.endpoint.dial("nowhere.invalid", port)
            nobody.close()

    run(work)


def test_a_peer_that_is_connected_is_not_dialled_again() -> None:
    async def work() -> None:
        async with nodes(1, 2) as (first, second):
            await first.dial(second)
            assert await first.endpoint.dial("192.0.2.1", 1, second.key) == second.key
            assert first.endpoint.counts["outbound"] == 1

    run(work)


def test_traffic_is_counted_also_of_those_who_left() -> None:
    async def work() -> None:
        async with nodes(1, 2) as (first, second):
            for number in range(2):
                await first.dial(second)
                assert first.endpoint.send(second.key, Channel.VOTES, b"12345")
                await second.handler.until(lambda seen, n=number: len(seen.messages) > n)
                first.endpoint.close(second.key, "for now")
                await second.handler.until(lambda seen, n=number: len(seen.closed) > n)
                await first.handler.until(lambda seen, n=number: len(seen.closed) > n)
            votes = first.endpoint.traffic()[Channel.VOTES]
            assert (votes.sent_messages, votes.sent_bytes) == (2, 18)
            votes = second.endpoint.traffic()[Channel.VOTES]
            assert (votes.received_messages, votes.received_bytes) == (2, 18)
            assert first.endpoint.traffic(second.key)[Channel.VOTES].sent_messages == 0

    run(work)
