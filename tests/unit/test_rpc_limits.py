"""What one client may take: calls a second, connections, time for a head, unread answers, and the
work of somebody who has left."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest

from ghostchain.primitives.types import Address
from ghostchain.rpc.asking import Asker
from tests.unit.memory_backend import MemoryBackend, Ran
from tests.unit.rpc_harness import RunningServer

CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(CALL), CALL)


def connect(node: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", node.server.port), 10)


def test_calls_beyond_the_rate_are_429_with_a_time_to_wait() -> None:
    with RunningServer(
        MemoryBackend(), connection_calls_per_s=1.0, connection_calls_burst=3.0
    ) as node:
        batch = json.dumps([json.loads(CALL)] * 3).encode()
        with connect(node) as client:
            body = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(batch), batch)
            client.sendall(body)
            assert client.recv(65_536).startswith(b"HTTP/1.1 200")
            client.sendall(REQUEST)
            answer = client.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 429")
            assert b"Retry-After: 1\r\n" in answer
            assert b"-32005" in answer
        assert node.http(CALL)[0] == 200, "another connection has a bucket of its own"


def test_bucket_fills_again() -> None:
    asker = Asker(rate=1000.0, burst=2.0)
    assert asker.wait_s(2) == 0.0
    assert 0.0 < asker.wait_s(1) <= 0.001
    time.sleep(0.005)
    assert asker.wait_s(1) == 0.0


@pytest.mark.parametrize("option", ["connections_max", "connections_per_address_max"])
def test_connections_are_bounded(option: str) -> None:
    limit: dict[str, Any] = {option: 2}
    with RunningServer(MemoryBackend(), **limit) as node:
        held = [connect(node) for _ in range(2)]
        for client in held:
            client.sendall(REQUEST)
            assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        with connect(node) as third:
            answer = third.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"too many connections" in answer
        for client in held:
            client.close()
        deadline = time.monotonic() + 5
        while node.server.reception.plain and time.monotonic() < deadline:
            time.sleep(0.01)
        assert node.http(CALL)[0] == 200


def test_head_that_comes_drop_by_drop_is_given_up() -> None:
    with RunningServer(MemoryBackend(), head_timeout_s=0.2) as node, connect(node) as client:
        client.sendall(HEAD)
        assert client.recv(65_536).startswith(b"HTTP/1.1 408")


def test_idle_connection_is_closed() -> None:
    with (
        RunningServer(MemoryBackend(), idle_timeout_s=0.2, body_timeout_s=0.4) as node,
        connect(node) as client,
    ):
        assert client.recv(10) == b""


def test_head_too_large_is_431() -> None:
    with RunningServer(MemoryBackend()) as node:
        for piece in (b"X: " + b"a" * 40_000 + b"\r\n\r\n", b"X: " + b"a" * 70_000):
            with connect(node) as client:
                client.sendall(HEAD + piece)
                assert client.recv(65_536).startswith(b"HTTP/1.1 431")


def test_requests_in_one_piece_are_answered_in_order() -> None:
    with RunningServer(MemoryBackend()) as node, connect(node) as client:
        bodies = [CALL.replace(b"1,", b"%d," % index) for index in range(20)]
        client.sendall(
            b"".join(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(one), one) for one in bodies)
        )
        found = b""
        while found.count(b'"result"') < 20:
            found += client.recv(65_536)
        places = [found.index(b'"id":%d,' % index) for index in range(20)]
        assert places == sorted(places)


def test_client_that_reads_nothing_is_let_go() -> None:
    backend = MemoryBackend()
    contract = Address(b"\x77" * 20)
    backend.install(contract, lambda message, environment: Ran(output=bytes(4_000_000)))
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": "0x" + "77" * 20}]}
    body = json.dumps(call).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with RunningServer(backend, send_timeout_s=0.2) as node, connect(node) as client:
        client.sendall(request * 4)
        deadline = time.monotonic() + 10
        while not node.server.reception.plain and time.monotonic() < deadline:
            time.sleep(0.01)
        while node.server.reception.plain and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not node.server.reception.plain


def test_what_a_client_asked_for_ends_when_it_leaves() -> None:
    backend = MemoryBackend()
    contract = Address(b"\x77" * 20)
    release = threading.Event()
    rounds: list[int] = []

    def long(message: Any, environment: Any) -> Ran:
        rounds.append(1)
        release.wait(0.05)
        return Ran()

    backend.install(contract, long)
    call = {"jsonrpc": "2.0", "method": "eth_call", "params": [{"to": "0x" + "77" * 20}]}
    body = json.dumps([call | {"id": index} for index in range(200)]).encode()
    with RunningServer(backend, worker_threads=1) as node:
        with connect(node) as client:
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            while not rounds:
                time.sleep(0.01)
        time.sleep(0.3)
        seen = len(rounds)
        time.sleep(0.3)
        release.set()
        assert len(rounds) <= seen + 1, "nobody reads the rest"
