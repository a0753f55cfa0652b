"""Requests whose head is known from before are answered as if it was parsed anew."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ghostchain.rpc.http import KNOWN_HEADS_MAX
from tests.unit.memory_backend import MemoryBackend
from tests.unit.rpc_harness import RunningServer

HEAD = "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{more}"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer(MemoryBackend(), allowed_origins=("https://a.example",)) as running:
        yield running


def request(identity: int, *, host: str = "127.0.0.1", more: str = "") -> bytes:
    call = {"jsonrpc": "2.0", "id": identity, "method": "eth_blockNumber", "params": []}
    body = json.dumps(call).encode()
    head = HEAD.format(host=host, more=more) + f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def answer(self) -> tuple[int, dict[str, str], dict[str, object]]:
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, json.loads(self.file.read(int(headers["content-length"])))

    def ask(self, sent: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
        self.socket.sendall(sent)
        return self.answer()


@contextmanager
def client(server: RunningServer) -> Iterator[Client]:
    found = Client(server.server.port)
    try:
        yield found
    finally:
        found.file.close()
        found.socket.close()


def test_a_repeated_head_is_known(server: RunningServer) -> None:
    with client(server) as one, client(server) as other:
        for identity in range(1, 6):
            assert one.ask(request(identity))[2]["id"] == identity
        assert len(server.server.reception.known_heads) == 1
        assert other.ask(request(7))[2]["id"] == 7


def test_requests_behind_one_another_and_in_pieces_keep_their_order(
    server: RunningServer,
) -> None:
    with client(server) as one:
        one.ask(request(1))
        one.socket.sendall(request(2) + request(3) + request(4)[:30])
        assert [one.answer()[2]["id"] for _ in range(2)] == [2, 3]
        assert one.ask(request(4)[30:])[2]["id"] == 4
        one.socket.sendall(request(5)[:-4])
        one.socket.sendall(request(5)[-4:])
        assert one.answer()[2]["id"] == 5
        assert one.ask(request(6))[2]["id"] == 6


def test_what_is_refused_is_not_known(server: RunningServer) -> None:
    with client(server) as one:
        assert one.ask(request(1))[0] == 200
        for _ in range(2):
            assert one.ask(request(2, host="evil.example"))[0] == 403
        assert one.ask(request(3))[0] == 200
        assert len(server.server.reception.known_heads) == 1


def test_origins_are_answered_to_each_time(server: RunningServer) -> None:
    more = "Origin: https://a.example\r\n"
    with client(server) as one:
        for identity in range(3):
            headers = one.ask(request(identity, more=more))[1]
            assert headers["access-control-allow-origin"] == "https://a.example"


@pytest.mark.parametrize(
    "more",
    [
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "Authorization: Bearer x\r\n",
    ],
)
def test_unusual_heads_are_not_known(server: RunningServer, more: str) -> None:
    with client(server) as one:
        one.socket.sendall(request(1, more=more))
        one.file.readline()
    assert not server.server.reception.known_heads


def test_protocols_that_are_not_spoken_are_passed_over_each_time(server: RunningServer) -> None:
    more = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with client(server) as one:
        for identity in range(3):
            assert one.ask(request(identity, more=more))[2]["id"] == identity


def test_known_heads_are_bounded(server: RunningServer) -> None:
    with client(server) as one:
        for index in range(KNOWN_HEADS_MAX + 10):
            one.ask(request(1, more=f"X-Trace: {index}\r\n"))
        assert 0 < len(server.server.reception.known_heads) <= KNOWN_HEADS_MAX
