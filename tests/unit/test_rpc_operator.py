"""The operator's door: a socket that only its owner opens, and tokens."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ghostchain.rpc.operator import load_secret, make_token, token_fault
from tests.unit.memory_backend import MemoryBackend
from tests.unit.rpc_harness import RunningServer

SECRET = bytes(range(32))
ASK = b'{"jsonrpc":"2.0","id":1,"method":"admin_nodeInfo"}'
NOW = 1_800_000_000.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningServer]:
    options = {
        "local_socket": tmp_path / "ghostd.ipc",
        "jwt_secret": SECRET,
        "data_dir": str(tmp_path),
    }
    with RunningServer(MemoryBackend(), **options) as running:
        yield running


class Local:
    """A client of the socket."""

    def __init__(self, node: RunningServer) -> None:
        assert node.options.local_socket is not None
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(node.options.local_socket))
        self.lines = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Any:
        return json.loads(self.lines.readline())

    def ask(self, method: str, *params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.send(json.dumps(call).encode())
        answer = self.receive()
        return answer.get("result", answer.get("error"))

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@pytest.fixture
def local(node: RunningServer) -> Iterator[Local]:
    client = Local(node)
    yield client
    client.close()


def test_everybody_else_is_refused_and_told_why(node: RunningServer) -> None:
    failure = node.refuse("admin_nodeInfo")
    assert failure.code == -32601
    assert "ghostd.ipc" in failure.message
    assert "admin" not in node.ask("rpc_modules")


def test_socket_is_its_owners(node: RunningServer, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "ghostd.ipc").stat().st_mode) == 0o600


def test_socket_is_gone_at_the_end(tmp_path: Path) -> None:
    """And one that a crash left is replaced."""
    path = tmp_path / "ghostd.ipc"
    path.touch()
    with RunningServer(MemoryBackend(), local_socket=path):
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()


def test_a_path_too_long_for_a_socket_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with RunningServer(MemoryBackend(), local_socket=folder / "ghostd.ipc") as node:
        assert node.ask("eth_chainId")


def test_operator_is_answered_through_the_socket(
    node: RunningServer, local: Local, tmp_path: Path
) -> None:
    info = local.ask("admin_nodeInfo")
    assert info["protocols"]["ghost"]["number"] == "0x0"
    assert local.ask("admin_peers") == []
    assert local.ask("admin_datadir") == str(tmp_path)
    assert local.ask("rpc_modules")["admin"] == "1.0"
    assert local.ask("admin_exportChain", "blocks.rlp", 0, "0x0") is True
    assert (tmp_path / "blocks.rlp").exists()
    again = local.ask("admin_exportChain", "blocks.rlp")
    assert again["message"] == "location would overwrite an existing file"
    for wrong in ("../blocks.rlp", "/tmp/blocks.rlp", "a/b.rlp", "blocks", "", "ghostd.key"):
        assert local.ask("admin_exportChain", wrong)["code"] == -32602
    assert "no block from 9" in local.ask("admin_exportChain", "more.rlp", 9)["message"]
    assert local.ask("eth_chainId") == node.ask("eth_chainId")
    peer = f"ghost://{'ab' * 32}@127.0.0.1:30303"
    assert local.ask("admin_addPeer", peer)["message"] == "this node speaks to no peers"
    assert local.ask("admin_removePeer", peer) is False
    for wrong in ("enode://x", f"ghost://{'ab' * 31}@h:1", f"ghost://{'ab' * 32}@h", 7):
        assert local.ask("admin_addPeer", wrong)["code"] == -32602


def test_documents_may_come_in_pieces_and_together(local: Local) -> None:
    for piece in (ASK[:10], ASK[10:30], ASK[30:]):
        local.send(piece)
        time.sleep(0.02)
    assert local.receive()["id"] == 1
    local.send(ASK + b"\n\n" + ASK.replace(b"1,", b"2,") + b"\n[" + ASK + b"]\n")
    assert [local.receive() for _ in range(3)][2][0]["id"] == 1
    spread = json.dumps(json.loads(ASK), indent=2).encode()
    local.send(spread)
    assert local.receive()["id"] == 1


def test_what_never_becomes_a_document_is_ended(tmp_path: Path) -> None:
    from ghostchain.rpc.protocol import Limits

    options = {"local_socket": tmp_path / "ghostd.ipc", "limits": Limits(body_bytes_max=10_000)}
    with RunningServer(MemoryBackend(), **options) as node:
        client = Local(node)
        client.send(b"{" * 20_000)
        assert client.receive()["error"]["code"] == -32700
        assert client.lines.readline() == b""
        client.close()


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def subscribers(node: RunningServer) -> int:
    return sum(map(len, node.server.broker.active.values()))


def test_subscriptions_are_told_through_the_socket(tmp_path: Path) -> None:
    """As geth's IPC does; the answer comes first, and they end with the connection."""
    chain = MemoryBackend(automine=False)
    options = {"local_socket": tmp_path / "ghostd.ipc", "subscriptions_per_connection_max": 2}
    with RunningServer(chain, **options) as node:
        client = Local(node)
        heads = client.ask("eth_subscribe", "newHeads")
        other = client.ask("eth_subscribe", "newHeads")
        assert client.ask("eth_subscribe", "newHeads")["code"] == -32005
        assert client.ask("eth_unsubscribe", other) is True
        for number in ("0x1", "0x2"):
            node.loop.call_soon_threadsafe(chain.seal)
            told = client.receive()["params"]
            assert (told["subscription"], told["result"]["number"]) == (heads, number)
        assert client.ask("eth_chainId") == node.ask("eth_chainId")
        assert subscribers(node) == 1
        client.close()
        assert until(lambda: not subscribers(node))


def test_who_reads_nothing_of_the_socket_is_let_go(tmp_path: Path) -> None:
    """What it was told lies in memory until then, and no more than is allowed."""
    chain = MemoryBackend(automine=False)
    options = {"local_socket": tmp_path / "ghostd.ipc", "connection_queue_bytes_max": 100_000}
    with RunningServer(chain, **options) as node:
        client = Local(node)
        client.ask("eth_subscribe", "newHeads")
        deadline = time.monotonic() + 30
        while subscribers(node) and time.monotonic() < deadline:
            node.loop.call_soon_threadsafe(chain.seal)
            time.sleep(0.0005)
        assert not subscribers(node)
        client.close()


def test_answers_that_nobody_reads_stop_the_questions(tmp_path: Path) -> None:
    """And when they are read, all of them are there."""
    with RunningServer(MemoryBackend(), local_socket=tmp_path / "ghostd.ipc") as node:
        client = Local(node)
        asked = 20_000
        feeding = threading.Thread(target=client.send, args=((ASK + b"\n") * asked,), daemon=True)
        feeding.start()
        time.sleep(0.2)
        found = sum(client.receive()["id"] == 1 for _ in range(asked))
        assert found == asked
        feeding.join(10)
        client.close()


def test_token_opens_the_door(node: RunningServer) -> None:
    bearer = f"Bearer {make_token(SECRET)}"
    status, _, body = node.http(ASK, Authorization=bearer)
    assert status == 200
    assert "result" in json.loads(body)
    assert "error" in node.post(json.loads(ASK)), "and only for the request that carries it"


def test_wrong_token_is_401(node: RunningServer) -> None:
    """Also for what everybody may ask: whoever sends a token means it."""
    for token in ("Bearer x", "Basic eDp5", f"Bearer {make_token(bytes(32))}"):
        status, headers, body = node.http(ASK, Authorization=token)
        assert status == 401
        assert headers["www-authenticate"] == "Bearer"
        assert json.loads(body)["error"]["code"] == -32600


def test_websocket_with_a_token_is_the_operators(node: RunningServer) -> None:
    async def play(headers: dict[str, str]) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(node.url, headers=headers) as one,
        ):
            await one.send_bytes(ASK)
            return await one.receive_json(timeout=10)

    assert "result" in asyncio.run(play({"Authorization": f"Bearer {make_token(SECRET)}"}))
    assert "error" in asyncio.run(play({}))
    with pytest.raises(aiohttp.WSServerHandshakeError):
        asyncio.run(play({"Authorization": "Bearer x.y.z"}))


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (make_token(SECRET, now=NOW), None),
        (make_token(SECRET, now=NOW - 60), None),
        (make_token(SECRET, now=NOW + 60), None),
        (make_token(SECRET, now=NOW - 62), "iat"),
        (make_token(SECRET, now=NOW + 62), "iat"),
        (make_token(b"\1" * 32, now=NOW), "signature"),
        ("", "malformed"),
        ("a.b.c", "malformed"),
        ("..", "malformed"),
        ("x" * 5000, "too long"),
        # {"alg":"none"}
        ("eyJhbGciOiJub25lIn0." + make_token(SECRET, now=NOW).split(".")[1] + ".", "HS256"),
    ],
)
def test_tokens(token: str, why: str | None) -> None:
    fault = token_fault(token.encode(), SECRET, now=NOW)
    assert fault is None if why is None else why in (fault or "")


def test_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "jwt.hex"
    made = load_secret(path)
    assert len(made) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secret(path) == made
    path.write_text("0x" + SECRET.hex())
    assert load_secret(path) == SECRET
    for wrong in ("", "00", "zz" * 32, SECRET.hex() + "00"):
        path.write_text(wrong)
        with pytest.raises(OSError, match="64 hex digits"):
            load_secret(path)
