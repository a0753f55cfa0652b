"""What hostile bytes may do at the port: shapes that two readers of HTTP would read differently,
WebSocket clients that never read, never answer or send pieces without end, answers too large."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.protocol import Limits
from tests.unit.memory_backend import MemoryBackend, Ran
from tests.unit.rpc_harness import RunningServer

CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
SIZE = len(CALL)
LINE = b"POST / HTTP/1.1\r\n"
HEAD = LINE + b"Host: localhost\r\nContent-Type: application/json\r\n"
PLAIN = b"Content-Length: %d\r\n\r\n%b" % (SIZE, CALL)
CHUNKS = b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (SIZE, CALL)
TOKEN = Address(b"\x70" * 20)
TOPIC = Hash32(b"\x07" * 32)
# Which is not answered at once.
CALL_WITH_GAS = {"to": "0x" + TOKEN.hex(), "gas": "0x100000"}


def exchange(node: RunningServer, sent: bytes, seconds: float = 0.3) -> bytes:
    """All that comes back, until the end or for so long."""
    with socket.create_connection(("127.0.0.1", node.server.port), 5) as client:
        client.settimeout(seconds)
        client.sendall(sent)
        found = b""
        try:
            while part := client.recv(65_536):
                found += part
        except TimeoutError:
            found += b"<open>"
        except ConnectionError:
            pass
        return found


# ---- HTTP ----

TWO_READINGS = {
    "both lengths": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" + CHUNKS,
    "both lengths, the other way": HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % SIZE
    + CHUNKS,
    "two lengths": HEAD + b"Content-Length: 0\r\n" + PLAIN,
    "two lengths that agree": HEAD + b"Content-Length: %d\r\n" % SIZE + PLAIN,
    "a list of lengths": HEAD + b"Content-Length: %d, 0\r\n\r\n" % SIZE + CALL,
    "a length with a sign": HEAD + b"Content-Length: +%d\r\n\r\n" % SIZE + CALL,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + CALL,
    "a length in hex": HEAD + b"Content-Length: 0x2f\r\n\r\n" + CALL,
    "a length beyond 64 bits": HEAD + b"Content-Length: %d\r\n\r\n" % 10**30 + CALL,
    "a space before the colon": HEAD + b"Content-Length : %d\r\n\r\n" % SIZE + CALL,
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n" + CHUNKS,
    "chunks within another coding": HEAD + b"Transfer-Encoding: chunked, identity\r\n" + CHUNKS,
    "two codings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + CHUNKS,
    "a chunk of negative size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + CALL,
    "a chunk size of 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2f\r\n" + CALL,
    "a chunk beyond 64 bits": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
    "a chunk longer than it says": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%bXX0\r\n\r\n" % (SIZE, CALL),
    "lines without CR": (HEAD + PLAIN).replace(b"\r\n", b"\n"),
    "a bare CR": HEAD + b"X: a\rContent-Length: 3\r\n" + PLAIN,
    "a folded line": HEAD + b"X: a\r\n b\r\n" + PLAIN,
    "NUL in a value": HEAD + b"X: a\0b\r\n" + PLAIN,
    "a line without colon": HEAD + b"garbage\r\n" + PLAIN,
    "two hosts": HEAD + b"Host: localhost\r\n" + PLAIN,
    "another version": HEAD.replace(b"1.1", b"9.9") + PLAIN,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("160301020001") + bytes(60),
}


@pytest.mark.parametrize("shape", TWO_READINGS)
def test_what_can_be_read_in_two_ways_is_refused(shape: str) -> None:
    """One 400, then the end: nothing after it is taken for a request."""
    with RunningServer(MemoryBackend()) as node:
        found = exchange(node, TWO_READINGS[shape] + HEAD + PLAIN)
        assert found.startswith(b"HTTP/1.1 400")
        assert found.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in found
        assert not found.endswith(b"<open>")
        assert json.loads(found.partition(b"\r\n\r\n")[2])["error"]["code"] == -32600


def test_chunked_bodies_are_read_and_bounded() -> None:
    with RunningServer(MemoryBackend(), limits=Limits(body_bytes_max=1000)) as node:
        found = exchange(node, HEAD + b"Transfer-Encoding: chunked\r\n" + CHUNKS + HEAD + PLAIN)
        assert found.count(b'"result"') == 2
        chunk = b"100\r\n" + b" " * 256 + b"\r\n"
        found = exchange(node, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 10)
        assert found.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("other", [b"h2c", b"websocket", b"TLS/1.3"])
def test_a_protocol_that_is_not_spoken_is_passed_over(other: bytes) -> None:
    """As clients that try HTTP/2 on their first request ask: the body is still a call."""
    asks = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAA\r\n" % other
    with RunningServer(MemoryBackend()) as node:
        for body in (PLAIN, b"Transfer-Encoding: chunked\r\n" + CHUNKS):
            found = exchange(node, (HEAD + asks + body) * 2 + HEAD + PLAIN)
            assert found.count(b'"result":"0x7a69"') == 3, found
        halves = HEAD + asks + PLAIN
        with socket.create_connection(("127.0.0.1", node.server.port), 5) as client:
            client.sendall(halves[:-20])
            time.sleep(0.05)
            client.sendall(halves[-20:])
            assert b"0x7a69" in client.recv(65_536)


def test_depth_is_bounded() -> None:
    with RunningServer(MemoryBackend()) as node:
        for depth, code in ((1_000, -32601), (1_030, -32700), (2_000_000, -32700)):
            call = b'{"jsonrpc":"2.0","id":1,"method":"nope","params":%b%b}'
            status, _, answer = node.http(call % (b"[" * depth, b"]" * depth))
            assert (status, json.loads(answer)["error"]["code"]) == (200, code)


# ---- how large an answer gets ----


def speaker(size: int) -> Callable[..., Ran]:
    def run(message: Any, environment: Any) -> Ran:
        return Ran(gas=30_000, output=bytes(size), logs=(Log(TOKEN, (TOPIC,), bytes(size)),))

    return run


def test_one_answer_is_bounded() -> None:
    backend = MemoryBackend()
    backend.install(TOKEN, speaker(50_000))
    call = CALL_WITH_GAS
    with RunningServer(backend, limits=Limits(answer_bytes_max=90_000)) as node:
        error = alone(node, "eth_call", call)["error"]
        assert error == {"code": -32003, "message": "response too large"}
        backend.install(TOKEN, speaker(40_000))
        assert len(alone(node, "eth_call", call)["result"]) == 80_002


def test_logs_that_are_too_large_say_what_would_do() -> None:
    """Before they are gathered; the range that is named does."""
    chain = MemoryBackend(automine=False)
    chain.install(TOKEN, speaker(10_000))
    for _ in range(8):
        asyncio.run(chain.submit([chain.signed(to=TOKEN, gas_limit=50_000)]))
        chain.seal()
    with RunningServer(chain, limits=Limits(answer_bytes_max=100_000)) as node:
        error = alone(node, "eth_getLogs", {"fromBlock": "0x1"})["error"]
        assert error["code"] == -32003
        assert error["message"] == "response too large: try fromBlock 0x1, toBlock 0x4"
        wanted = {"fromBlock": "0x1", "toBlock": "0x4"}
        assert len(alone(node, "eth_getLogs", wanted)["result"]) == 4
        kept = node.ask("eth_newFilter", {"fromBlock": "0x1"})
        assert alone(node, "eth_getFilterLogs", kept)["error"]["code"] == -32003


def test_slow_items_of_a_batch_do_not_run_once_it_is_full() -> None:
    backend = MemoryBackend()
    rounds: list[int] = []

    def run(message: Any, environment: Any) -> Ran:
        rounds.append(1)
        return Ran(output=bytes(10_000))

    backend.install(TOKEN, run)
    call = {"jsonrpc": "2.0", "method": "eth_call", "params": [CALL_WITH_GAS]}
    with RunningServer(backend, limits=Limits(response_bytes_max=50_000)) as node:
        answers = node.post([call | {"id": index} for index in range(100)])
    assert [answer["id"] for answer in answers] == list(range(100))
    assert ["result" in answer for answer in answers] == [True] * 2 + [False] * 98
    assert all(answer["error"]["code"] == -32003 for answer in answers[2:])
    assert len(rounds) <= 4


# ---- WebSocket ----


class RawSocket:
    """A WebSocket client made of bytes, which can be as rude as it likes."""

    def __init__(self, node: RunningServer, *lines: bytes) -> None:
        self.client = socket.create_connection(("127.0.0.1", node.server.port), 5)
        key = base64.b64encode(os.urandom(16))
        head = [b"GET / HTTP/1.1", b"Host: localhost", b"Connection: Upgrade"]
        head += [b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"]
        head += [b"Sec-WebSocket-Key: " + key, *lines, b"", b""]
        self.client.sendall(b"\r\n".join(head))
        self.answer = b""
        while b"\r\n\r\n" not in self.answer and (part := self.client.recv(4096)):
            self.answer += part

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()

    def frame(self, opcode: int, data: bytes, *, first_bits: int = 0x80) -> bytes:
        """A masked frame; first_bits: FIN and what extensions use."""
        size = len(data)
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 65_536:
            length = b"\xfe" + struct.pack(">H", size)
        else:
            length = b"\xff" + struct.pack(">Q", size)
        return bytes([first_bits | opcode]) + length + bytes(4) + data

    def close_code(self, seconds: float = 10.0) -> int | None:
        """Of the close frame that comes, whatever comes before; None: the end came without."""
        self.client.settimeout(seconds)
        found = self.answer.partition(b"\r\n\r\n")[2]
        while True:
            while len(found) >= 2:
                size, start = found[1] & 0x7F, 2
                if size >= 126:
                    start += 2 if size == 126 else 8
                    size = int.from_bytes(found[2:start], "big")
                if len(found) < start + size:
                    break
                if found[0] & 0x0F == 8:
                    return int.from_bytes(found[start : start + 2], "big")
                found = found[start + size :]
            try:
                part = self.client.recv(65_536)
            except ConnectionError:
                return None
            if not part:
                return None
            found += part


def gone(node: RunningServer, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while node.server.reception.websockets and time.monotonic() < deadline:
        time.sleep(0.02)
    return not node.server.reception.websockets


def test_host_is_checked_for_sockets_too() -> None:
    """A page that lets its own name point here sends that name."""
    with RunningServer(MemoryBackend()) as node:
        found = exchange(
            node,
            b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        )
        assert found.startswith(b"HTTP/1.1 403")
        assert not node.server.reception.websockets


def test_pieces_without_end_are_ended() -> None:
    """Empty ones, which no limit of bytes counts; and full ones beyond the limit."""
    with RunningServer(MemoryBackend(), limits=Limits(body_bytes_max=10_000)) as node:
        with RawSocket(node) as client:
            client.client.sendall(client.frame(1, b"", first_bits=0))
            flooding(client, client.frame(0, b"", first_bits=0) * 20_000)
            assert client.close_code() == 1008
        with RawSocket(node) as client:
            pieces = client.frame(1, b" " * 5000, first_bits=0)
            flooding(client, pieces + client.frame(0, b" " * 5000, first_bits=0) * 10)
            assert client.close_code() == 1009
        assert gone(node)


def flooding(client: RawSocket, sent: bytes) -> None:
    """Sends from a thread of its own, as long as somebody takes it."""

    def run() -> None:
        with contextlib.suppress(OSError):
            client.client.sendall(sent)

    threading.Thread(target=run, daemon=True).start()


def test_compression_is_not_spoken() -> None:
    """None is agreed on, so nothing unfolds; a frame that claims it is an error."""
    with RunningServer(MemoryBackend()) as node:
        with RawSocket(node, b"Sec-WebSocket-Extensions: permessage-deflate") as client:
            assert b"101 Switching" in client.answer
            assert b"sec-websocket-extensions" not in client.answer.lower()
            bomb = zlib.compressobj(wbits=-15)
            packed = bomb.compress(bytes(50_000_000)) + bomb.flush()
            client.client.sendall(client.frame(1, packed, first_bits=0xC0))
            assert client.close_code() == 1002
        with RawSocket(node) as client:
            client.client.sendall(client.frame(1, b"\xff\xfe"))
            assert client.close_code() == 1007


def test_client_that_answers_no_pings_is_let_go() -> None:
    options = {"heartbeat_s": 0.3, "send_timeout_s": 0.2}
    with RunningServer(MemoryBackend(), **options) as node, RawSocket(node) as client:
        assert b"101 Switching" in client.answer
        assert gone(node, 5)
        assert client.close_code() is None


def test_subscriber_that_never_reads_is_let_go() -> None:
    """Its events fill the queue that is kept for it."""
    chain = MemoryBackend(automine=False)
    with (
        RunningServer(chain, connection_queue_bytes_max=100_000) as node,
        RawSocket(node) as client,
    ):
        client.client.sendall(client.frame(1, asked("eth_subscribe", "newHeads")))
        deadline = time.monotonic() + 30
        while node.server.reception.websockets and time.monotonic() < deadline:
            node.loop.call_soon_threadsafe(chain.seal)
            time.sleep(0.0005)
        assert not node.server.reception.websockets


def test_socket_whose_answers_nobody_reads_is_let_go() -> None:
    chain = MemoryBackend()
    chain.install(TOKEN, speaker(500_000))
    with RunningServer(chain, send_timeout_s=0.3) as node, RawSocket(node) as client:
        call = client.frame(1, asked("eth_call", {"to": "0x" + TOKEN.hex()}))
        flooding(client, call * 20)
        assert gone(node, 10)


def test_an_answer_larger_than_the_queue_reaches_who_reads() -> None:
    chain = MemoryBackend()
    chain.install(TOKEN, speaker(1_000_000))
    with RunningServer(chain, connection_queue_bytes_max=100_000) as node, RawSocket(node) as one:
        for _ in range(2):
            one.client.sendall(one.frame(1, asked("eth_call", CALL_WITH_GAS)))
            found = b""
            while not found.endswith(b'"}'):
                found += one.client.recv(1 << 20)
            assert len(found) > 2_000_000
        one.client.sendall(one.frame(8, b"\x03\xe8"))
        assert one.close_code() == 1000


def test_pings_of_a_client_that_never_reads_do_not_pile_up() -> None:
    with RunningServer(MemoryBackend(), send_timeout_s=0.5) as node, RawSocket(node) as client:
        flooding(client, client.frame(9, bytes(125)) * 200_000)
        most = 0
        deadline = time.monotonic() + 15
        while node.server.reception.websockets and time.monotonic() < deadline:
            for item in tuple(node.server.reception.websockets):
                most = max(most, item.transport.get_write_buffer_size())
            time.sleep(0.005)
        assert not node.server.reception.websockets
        assert 0 < most < 2_000_000


def alone(node: RunningServer, method: str, *params: Any) -> Any:
    """The answer to a call that is not in a batch."""
    return json.loads(node.http(asked(method, *params))[2])


def asked(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
