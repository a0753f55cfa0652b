"""Hostile clients on a raw socket: always an error in the protocol's own words, never a traceback,
and the node answers the next one. The seed of what is random is printed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.rpc.methods import METHODS
from tests.node.process import Ghostd
from tests.samples import transfer

MEMORY_GROWTH_MAX = 300 << 20
# A few answers of 12 MB, each while it is made and while it is sent.
SLOW_READER_GROWTH_MAX = 150 << 20
BODY_MAX = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def node() -> Iterator[Ghostd]:
    """A node that outlives everything here, with nothing to be ashamed of in its log."""
    with Ghostd("--dev") as running:
        before = memory(running)
        yield running
        assert memory(running) - before < MEMORY_GROWTH_MAX
        assert running.stop() == 0
        bad = ("error", "critical", "raw")
        assert not [event for event in running.events if event["level"] in bad]
        assert not [event for event in running.events if "exception" in event]


@pytest.fixture(autouse=True)
def still_answers(node: Ghostd) -> Iterator[None]:
    yield
    start = time.monotonic()
    assert node.call("eth_chainId") == "0x7a69"
    assert time.monotonic() - start < 10
    bad = [event for event in node.events if event["level"] in ("error", "critical", "raw")]
    for event in bad:
        node.events.remove(event)
    assert not bad, json.dumps(bad[:3])[:3_000]


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("GHOSTCHAIN_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"GHOSTCHAIN_SEED={seed}")
    return random.Random(seed)


def memory(node: Ghostd) -> int:
    """Resident bytes."""
    with open(f"/proc/{node.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def connect(node: Ghostd) -> socket.socket:
    url = urlsplit(node.url)
    assert url.hostname is not None
    return socket.create_connection((url.hostname, url.port or 0), timeout=20)


def request(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "POST / HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_response(stream: Any) -> tuple[int, bytes]:
    """(status, body) of the next response; (0, b"") when the connection ended instead."""
    line = stream.readline()
    if not line:
        return 0, b""
    status = int(line.split()[1])
    length = 0
    while (header := stream.readline()) not in (b"\r\n", b""):
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, stream.read(length)


def exchange(node: Ghostd, data: bytes) -> tuple[int, bytes]:
    """The response to raw bytes."""
    with connect(node) as client, client.makefile("rb") as stream:
        client.sendall(data)
        return read_response(stream)


def refusal(node: Ghostd, body: bytes) -> int:
    """The code of the one JSON-RPC error that a body is answered with."""
    status, answer = exchange(node, request(body))
    assert status == 200, answer[:200]
    return json.loads(answer)["error"]["code"]


# ---- bodies ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\x00" * 1000, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":["\xff\xfe"]}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}', -32700),
        (b"[" * 100_000, -32700),
        (b"[" * 100_000 + b"]" * 100_000, -32700),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, -32700),
        (b"NaN", -32700),
        (b"1e400", -32700),
        (b"null", -32600),
        (b"[]", -32600),
        (b'"eth_chainId"', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":["eth_chainId"]}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":""}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":"x"}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{"a":1}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"__class__"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainID"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 1_000_000 + b'"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}', -32601),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value),
)
def test_malformed_body_is_an_error_of_json_rpc(node: Ghostd, body: bytes, code: int) -> None:
    assert refusal(node, body) == code


def test_nested_parameters_are_refused(node: Ghostd) -> None:
    """As deep as the parser lets through, in a place that expects something flat."""
    for depth in (10, 500, 1_000):
        deep = b"[" * depth + b"]" * depth
        body = b'{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[%b]}' % deep
        assert refusal(node, body) in (-32602, -32700)


def test_huge_bodies(node: Ghostd) -> None:
    """Announced, chunked, or simply sent: 413 with an error, or a closed connection; not read."""
    before = memory(node)
    status, answer = exchange(node, request(b"", length=1 << 40))
    assert status == 413
    assert json.loads(answer)["error"]["code"] == -32600
    head = request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with connect(node) as client, client.makefile("rb") as stream:
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            client.sendall(head)
            for _ in range(2_000):
                client.sendall(chunk)
        except OSError:
            status = 413
        else:
            status, _ = read_response(stream)
    assert status == 413
    assert memory(node) - before < 100 << 20
    padded = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    status, answer = exchange(node, request(padded.ljust(BODY_MAX)))
    assert (status, json.loads(answer)["result"]) == (200, "0x7a69")
    status, _ = exchange(node, request(padded.ljust(BODY_MAX + 1)))
    assert status == 413


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),  # TLS
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\n5",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nBroken header\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"PATCH / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=lambda data: repr(data[:50]),
)
def test_malformed_http_is_a_clean_refusal(node: Ghostd, data: bytes) -> None:
    """A status of 4xx, or the connection closed; never 500."""
    with connect(node) as client, client.makefile("rb") as stream:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        status, _ = read_response(stream)
    assert status == 0 or 400 <= status < 500


def test_random_bytes(node: Ghostd, chance: random.Random) -> None:
    for _ in range(100):
        with connect(node) as client, client.makefile("rb") as stream:
            client.sendall(chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            try:
                status, _ = read_response(stream)
            except ConnectionResetError:
                continue
            assert status == 0 or 400 <= status < 500


def test_slow_and_abandoned_bodies_hold_up_nobody(node: Ghostd) -> None:
    """Hundreds of requests that never end, whole headers missing, chunks cut: others are served."""
    chunked = request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    beginnings = [
        request(b"{", length=50),
        request(b"", length=50)[:40],
        chunked + b"40\r\n" + b"{" * 10,
        chunked + b"4",
        b"P",
    ]
    clients = [connect(node) for _ in range(200)]
    try:
        for index, client in enumerate(clients):
            client.sendall(beginnings[index % len(beginnings)])
        start = time.monotonic()
        for _ in range(20):
            assert node.call("eth_chainId") == "0x7a69"
        assert time.monotonic() - start < 10
    finally:
        for client in clients:
            client.close()


def test_pipelined_requests_are_answered_in_order(node: Ghostd) -> None:
    methods = ["eth_chainId", "eth_blockNumber", "no_such", "eth_gasPrice"]
    bodies = [
        b'{"jsonrpc":"2.0","id":%d,"method":"%b"}' % (index, methods[index % 4].encode())
        for index in range(300)
    ]
    with connect(node) as client, client.makefile("rb") as stream:
        client.sendall(b"".join(map(request, bodies)))
        for index in range(300):
            status, answer = read_response(stream)
            assert status == 200
            decoded = json.loads(answer)
            assert decoded["id"] == index
            assert ("error" in decoded) == (index % 4 == 2)


def test_ids_come_back_as_they_were_sent(node: Ghostd) -> None:
    """Whatever JSON allows for them; a thousand at once, but no more."""
    odd: list[Any] = ["", "x" * 10_000, 0, -1, 1.5, 2**53, None, "\u0000", "\U0001f47b", '"']
    batch = [
        {"jsonrpc": "2.0", "id": odd[index] if index < len(odd) else index, "method": "eth_chainId"}
        for index in range(1_000)
    ]
    _, answer = exchange(node, request(json.dumps(batch).encode()))
    assert [item["id"] for item in json.loads(answer)] == [item["id"] for item in batch]
    assert refusal(node, json.dumps([*batch, batch[0]]).encode()) == -32600


# ---- every method, every wrong type ----

WRONG: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**64,
    -(2**63),
    "",
    "0x",
    "0x0",
    "0x01",
    "0xg",
    "0x" + "f" * 64,
    "0x" + "1" * 65,
    "0x" + "00" * 20,
    "0x" + "00" * 32,
    "0x" + "ab" * 4_000,
    "latest",
    "pending",
    "earliest",
    "l\u0301atest",
    [],
    [[]],
    [None],
    ["0x0"],
    [{}],
    {},
    {"a": 1},
    {"blockHash": "0x" + "00" * 32},
    {"blockNumber": "0x0", "blockHash": 5},
    {"from": 5, "to": []},
    {"from": "0x" + "00" * 20, "data": "0x"},
    {"to": "0x" + "00" * 20, "value": "0x" + "f" * 64, "gas": "0x" + "f" * 16},
    {"from": "0x" + "11" * 20, "gasPrice": "0x1", "maxFeePerGas": "0x1"},
    {"fromBlock": "0x10", "toBlock": "0x1"},
    {"fromBlock": "latest", "toBlock": {}, "topics": [[[]]]},
    {"address": ["0x" + "00" * 20, 7], "topics": [None, "0x"]},
    {"0x" + "00" * 20: {"balance": -1}},
    {"0x" + "00" * 20: {"code": "0x60", "state": {}, "nonce": "0x0"}},
    {"types": {}, "domain": {}, "primaryType": "", "message": {}},
]
CODES = {-32700, -32600, -32601, -32602, -32000, -32001, -32002, -32003, -32005, 3, 4}


@pytest.fixture
def moved() -> Iterator[Ghostd]:
    """A node that calls may move by hand: some of them end mining, or set the time."""
    with Ghostd("--dev") as running:
        yield running
        assert running.stop() == 0
        bad = [event for event in running.events if event["level"] in ("error", "critical", "raw")]
        assert not bad, json.dumps(bad[:3])[:3_000]


def test_wrong_parameters_of_every_method(moved: Ghostd, chance: random.Random) -> None:
    """Each method of the table with each value in each place, and with random companions: a result
    or an error of a known kind, and none of them an internal one."""
    calls: list[tuple[str, list[Any]]] = []
    for name, method in METHODS.items():
        places = max(1, len(method.parameters))
        for value in WRONG:
            calls.append((name, [value]))
            calls.append((name, [value] * places))
            for place in range(places):
                values = [chance.choice(WRONG) for _ in range(places)]
                values[place] = value
                calls.append((name, values))
        calls.append((name, []))
        calls.append((name, [None] * (places + 1)))
    assert len(calls) > 3_000
    chance.shuffle(calls)
    for start in range(0, len(calls), 250):
        part = calls[start : start + 250]
        for (name, values), answer in zip(part, moved.batch(part), strict=True):
            shown = f"{name} {json.dumps(values)[:300]} -> {json.dumps(answer)[:300]}"
            if "error" in answer:
                assert answer["error"]["code"] in CODES, shown
                assert answer["error"]["message"], shown
            else:
                assert "result" in answer, shown


# ---- WebSocket ----


def handshake(node: Ghostd) -> socket.socket:
    """A raw socket after a good handshake."""
    client = connect(node)
    key = base64.b64encode(bytes(16)).decode()
    client.sendall(
        (
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    return client


def frame(opcode: int, payload: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    """A client's frame with a mask of zeros."""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([opcode, bit | size])
    elif size < 1 << 16:
        head = bytes([opcode, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([opcode, bit | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if masked else b"") + payload


def close_code(client: socket.socket) -> int | None:
    """The code of the close frame that ends the connection; None when it just ends."""
    received = b""
    try:
        while part := client.recv(1 << 16):
            received += part
            if len(received) >= 4 and received[0] == 0x88:
                return int(struct.unpack(">H", received[2:4])[0])
    except ConnectionResetError:
        return None
    return None


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (frame(0x81, b"", length=1 << 40), {1009, None}),
        (frame(0x81, b"\xff\xfe"), {1007}),
        (frame(0x83, b"x"), {1002}),
        (frame(0xF1, b"x"), {1002}),
        (frame(0x89, b"x" * 126), {1002}),
        (frame(0x80, b"x"), {1002}),
        (frame(0x01, b"x") + frame(0x01, b"x"), {1002}),
        (frame(0x88, b"\x00"), {1002}),
        (b"\x00" * 100, {1002}),
        (b"GET / HTTP/1.1\r\n\r\n" * 10, {1002}),
    ],
    ids=[
        "huge",
        "utf-8",
        "opcode",
        "reserved",
        "long ping",
        "stray",
        "twice",
        "close",
        "0",
        "http",
    ],
)
def test_broken_frames_end_only_their_connection(
    node: Ghostd, data: bytes, codes: set[int | None]
) -> None:
    """With the code that RFC 6455 has for it."""
    with closing(handshake(node)) as client:
        client.sendall(data)
        assert close_code(client) in codes


def test_random_frames(node: Ghostd, chance: random.Random) -> None:
    for _ in range(50):
        with closing(handshake(node)) as client:
            client.sendall(chance.randbytes(chance.randrange(1, 300)))
            client.shutdown(socket.SHUT_WR)
            close_code(client)


def test_messages_that_are_too_large(node: Ghostd) -> None:
    """Somewhat too large is an error, and the connection lives."""

    async def play() -> None:
        async with aiohttp.ClientSession() as session:
            one = await session.ws_connect(node.url, max_msg_size=0)
            await one.send_bytes(b" " * (BODY_MAX + 1))
            answer = await one.receive_json(timeout=20)
            assert answer["error"]["code"] == -32600
            await one.send_str('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')
            assert (await one.receive_json(timeout=20))["result"] == "0x7a69"
            await one.close()

    asyncio.run(play())


def test_subscription_flood_is_bounded(node: Ghostd) -> None:
    """256 a connection; the rest are refused, and all of them end with the connection."""

    async def play() -> None:
        async with aiohttp.ClientSession() as session:
            one = await session.ws_connect(node.url)
            kinds = (["newHeads"], ["logs", {}], ["newPendingTransactions"], ["nonsense"], [7])
            for index in range(1_000):
                call = {"jsonrpc": "2.0", "id": index, "method": "eth_subscribe"}
                await one.send_json({**call, "params": kinds[index % len(kinds)]})
            made, refused = set(), 0
            for _ in range(1_000):
                answer = await one.receive_json(timeout=20)
                if "result" in answer:
                    made.add(answer["result"])
                else:
                    assert answer["error"]["code"] in (-32601, -32602, -32005)
                    refused += 1
            assert len(made) == 256
            assert refused == 744
            await one.close()

    asyncio.run(play())


def test_slow_reader_costs_little(node: Ghostd) -> None:
    """A client that asks for hundreds of megabytes and reads none of them: others are served all
    the while, and the node makes only what the client takes; all of it, once it reads."""
    sender = address_of(TEST_KEYS[3])
    nonce = int(node.call("eth_getTransactionCount", "0x" + sender.hex(), "latest"), 16)
    fields = {"gas_limit": 6_000_000, "to": sender, "value": 0, "data": b"\x01" * 120_000}
    raw = transfer(nonce, key=TEST_KEYS[3], **fields)
    receipt = node.wait_for_receipt(node.call("eth_sendRawTransaction", "0x" + raw.hex()))
    batch = [
        {
            "jsonrpc": "2.0",
            "id": index,
            "method": "eth_getBlockByNumber",
            "params": [receipt["blockNumber"], True],
        }
        for index in range(50)
    ]
    before = most = memory(node)
    with closing(handshake(node)) as client:
        message = frame(0x81, json.dumps(batch).encode())
        for _ in range(30):
            client.sendall(message)
        for _ in range(200):
            assert node.call("eth_chainId") == "0x7a69"
            most = max(most, memory(node))
            time.sleep(0.005)
        client.settimeout(20)
        received = 0
        while received < 30 * 50 * 240_000:
            part = client.recv(1 << 20)
            assert part, "the connection was ended"
            received += len(part)
            most = max(most, memory(node))
    assert most - before < SLOW_READER_GROWTH_MAX
