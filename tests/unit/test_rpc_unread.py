"""Answers that nobody reads: they are few, whoever asks for however many, and all of them reach a
client that does read."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp

from ghostchain.primitives.types import Address
from ghostchain.rpc.protocol import Limits
from tests.unit.memory_backend import MemoryBackend, Ran
from tests.unit.rpc_harness import RunningServer

SPEAKER = Address(b"\x77" * 20)
# Of the output, two characters a byte.
BYTES = 500_000
QUICK = {"to": "0x" + SPEAKER.hex()}
# Which is not answered at once.
SLOW = {**QUICK, "gas": "0x100000"}
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Speaker(MemoryBackend):
    """Counts how often it spoke."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.install(SPEAKER, self.speak)

    def speak(self, message: Any, environment: Any) -> Ran:
        self.runs += 1
        return Ran(output=bytes(BYTES))


def calls(count: int, *messages: dict[str, str]) -> Iterator[dict[str, Any]]:
    for index in range(count):
        message = messages[index % len(messages)]
        yield {"jsonrpc": "2.0", "id": index, "method": "eth_call", "params": [message]}


def test_who_asks_ahead_and_reads_gets_everything() -> None:
    """However small the room for notifications is."""

    async def play(url: str) -> list[int]:
        async with aiohttp.ClientSession() as session:
            client = await session.ws_connect(url, max_msg_size=0)
            await client.send_json({"jsonrpc": "2.0", "id": "s", "method": "eth_subscribe"})
            await client.receive_json()
            for call in calls(60, QUICK, SLOW):
                await client.send_json(call)
            found = []
            while len(found) < 60:
                answer = await client.receive_json(timeout=20)
                assert len(answer["result"]) == 2 * BYTES + 2
                found.append(answer["id"])
            await client.close()
            return found

    with RunningServer(Speaker(), connection_queue_bytes_max=100_000) as node:
        assert sorted(asyncio.run(play(node.url))) == list(range(60))


def test_nothing_more_is_made_for_a_socket_that_does_not_read() -> None:
    """200 MB are asked for; what the kernel takes and little more is made, until they are read."""

    async def play(node: RunningServer, backend: Speaker) -> tuple[int, int]:
        async with aiohttp.ClientSession() as session:
            client = await session.ws_connect(node.url, max_msg_size=0)
            # What comes lies where it came, as with a process that does not run.
            client._response.connection.transport.pause_reading()  # type: ignore[union-attr]
            for call in calls(200, QUICK, SLOW):
                await client.send_json(call)
            seen = -1
            while seen != backend.runs:
                seen = backend.runs
                await asyncio.sleep(0.5)
            most = max(item.unread() for item in node.server.reception.websockets)
            client._response.connection.transport.resume_reading()  # type: ignore[union-attr]
            for _ in range(200):
                assert "result" in await client.receive_json(timeout=20)
            await client.close()
            return seen, most

    backend = Speaker()
    with RunningServer(backend) as node:
        seen, most = asyncio.run(play(node, backend))
    assert seen < 40
    assert 0 < most < 10 * 2 * BYTES
    assert backend.runs == 200


def test_batches_under_way_have_a_bound_together() -> None:
    """What comes after it is told to come again; the next batch has room."""
    last = {"jsonrpc": "2.0", "id": 7, "method": "eth_chainId"}
    one = {"jsonrpc": "2.0", "id": 8, "method": "eth_call", "params": [SLOW]}
    limits = Limits(unfinished_bytes_max=3 * BYTES)
    with RunningServer(Speaker(), limits=limits) as node:
        for _ in range(2):
            answers = node.post([one, last, one, last])
            assert [set(answer) >= {"result"} for answer in answers] == [True, True, True, False]
            assert answers[3]["error"] == {
                "code": -32005,
                "message": "too many large answers are being made, try again later",
            }
        assert node.server.dispatcher.unfinished_bytes == 0


def test_who_keeps_most_unread_goes_at_once() -> None:
    """Not when somebody comes to look: memory fills faster."""
    with RunningServer(Speaker(), unread_bytes_max=40_000_000) as node, ExitStack() as stack:
        node.loop.call_soon_threadsafe(node.server.checker.cancel)
        clients = []
        for _ in range(6):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            client.connect(("127.0.0.1", node.server.port))
            clients.append(stack.enter_context(client))
        reception = node.server.reception
        wait_until(lambda: len(reception.plain) == 6)
        for client, count in zip(clients, (1, 24, 1, 1, 24, 1), strict=True):
            body = json.dumps(list(calls(count, SLOW, QUICK))).encode()
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        wait_until(lambda: len(reception.plain) < 6)
        assert len(reception.plain) == 5
        assert sum(client.unread() for client in reception.everyone()) < 40_000_000


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
