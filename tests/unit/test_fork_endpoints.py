"""Ways to a remote node, and remotes that err in each way that their transport allows: an error in
time, in words that help, and never an answer that is none."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from ghostchain.fork import endpoints
from ghostchain.fork.client import RemoteClient, RemoteSettings
from ghostchain.fork.endpoints import host_of
from ghostchain.primitives.errors import RemoteFailed
from tests.unit.fork_remote import FaultyRemote, Handler

Answerer = Callable[[Any], Any]


def echoed(body: str | bytes) -> str:
    """What a right node says: each request's first parameter."""
    asked = json.loads(body)
    items = asked if isinstance(asked, list) else [asked]
    answers = [{"jsonrpc": "2.0", "id": one["id"], "result": one["params"][0]} for one in items]
    return json.dumps(answers if isinstance(asked, list) else answers[0])


@contextlib.contextmanager
def serving(door: contextlib.AbstractAsyncContextManager[Any]) -> Iterator[Any]:
    """What the door yields, on an event loop that runs meanwhile."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def leave() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await door.__aexit__(None, None, None)
        await asyncio.sleep(0.05)  # transports close

    try:
        yield asyncio.run_coroutine_threadsafe(door.__aenter__(), loop).result(10)  # type: ignore[arg-type]
    finally:
        asyncio.run_coroutine_threadsafe(leave(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def websocket(answer: Callable[[web.WebSocketResponse, str], Awaitable[None]]) -> Iterator[str]:
    async def handler(request: web.Request) -> web.WebSocketResponse:
        if request.headers.get("x-key", "k") != "k":
            raise web.HTTPForbidden
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        async for message in connection:
            if message.type == WSMsgType.TEXT:
                await answer(connection, message.data)
        return connection

    @contextlib.asynccontextmanager
    async def door() -> AsyncIterator[int]:
        application = web.Application()
        application.router.add_get("/", handler)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield int(runner.addresses[0][1])
        await runner.cleanup()

    with serving(door()) as port:
        yield f"ws://127.0.0.1:{port}"


@contextlib.contextmanager
def client_of(url: str, **changes: Any) -> Iterator[RemoteClient]:
    settings = {"timeout_s": 3.0, "retries": 1, "backoff_s": 0.01} | changes
    client = RemoteClient(RemoteSettings(url, **settings))
    client.start()
    try:
        yield client
    finally:
        client.close()


def test_a_websocket_is_asked_like_any_other() -> None:
    async def answer(connection: web.WebSocketResponse, text: str) -> None:
        await asyncio.sleep(0.01)
        await connection.send_str(echoed(text))

    with websocket(answer) as url, client_of(url) as client:
        futures = [client.ask("echo", [number]) for number in range(500)]
        assert [future.result(10) for future in futures] == list(range(500))
    with (
        websocket(answer) as url,
        client_of(url, headers=(("x-key", "wrong"),)) as client,
        pytest.raises(RemoteFailed, match="403: it wants a key"),
    ):
        client.call("echo", [1])


def test_a_websocket_that_errs_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "ANSWER_BYTES_MAX", 10_000)

    async def silent(connection: web.WebSocketResponse, text: str) -> None:
        await asyncio.sleep(60)

    async def closing(connection: web.WebSocketResponse, text: str) -> None:
        await connection.close()

    async def babbling(connection: web.WebSocketResponse, text: str) -> None:
        await connection.send_str("x" * 20_000)

    async def nonsense(connection: web.WebSocketResponse, text: str) -> None:
        await connection.send_str("{]")

    async def another(connection: web.WebSocketResponse, text: str) -> None:
        await connection.send_str('{"jsonrpc":"2.0","method":"eth_subscription","params":{}}')

    for fault, words in (
        (silent, "nothing within"),
        (closing, "closed the connection"),
        (babbling, "longer than"),
        (nonsense, "no answer"),
        (another, "no answer"),
    ):
        with websocket(fault) as url, client_of(url, timeout_s=1.0) as client:
            start = time.monotonic()
            with pytest.raises(RemoteFailed, match=words):
                client.call("echo", [1])
            assert time.monotonic() - start < 3


def test_a_late_answer_is_nobody_elses() -> None:
    """What comes after its question was given up answers no other one."""
    calls = 0

    async def answer(connection: web.WebSocketResponse, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(1.5)
        await connection.send_str(echoed(text))

    with websocket(answer) as url, client_of(url, timeout_s=3.0, retries=0) as client:
        with pytest.raises(RemoteFailed):
            client.call("echo", ["first"])
        time.sleep(1.1)
        assert client.call("echo", ["second"]) == "second"
        time.sleep(0.5)
        assert client.call("echo", ["third"]) == "third"


def test_a_local_socket_is_asked_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "node.ipc"

    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while line := await reader.readline():
            answer = echoed(line).encode()
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(answer[len(answer) // 2 :])  # no line feed, as some write it

    @contextlib.asynccontextmanager
    async def door() -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(serve, str(path), limit=1 << 22)
        yield
        server.close()
        for writer in writers:
            writer.close()

    for url in (str(path), f"ipc://{path}"):
        assert host_of(url) == "node.ipc"
        with serving(door()), client_of(url) as client:
            futures = [client.ask("echo", [[number, "}"]]) for number in range(200)]
            assert [future.result(10) for future in futures] == [[n, "}"] for n in range(200)]
        path.unlink(missing_ok=True)
    nowhere = str(tmp_path / "nowhere")
    with client_of(nowhere) as client, pytest.raises(RemoteFailed, match="no connection"):
        client.call("echo", [1])


# ---- HTTP ----


def packed(pack: Callable[[bytes], bytes], name: str) -> Any:
    def fault(handler: Handler, body: Any, right: bytes) -> bool:
        handler.reply(200, pack(right), content_encoding=name)
        return True

    return fault


@functools.cache
def gigabyte() -> bytes:
    """In a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(1 << 10)) + packer.flush()


def trickle(handler: Handler, body: Any, right: bytes) -> bool:
    handler.send_response(200)
    handler.send_header("content-length", str(len(right)))
    handler.end_headers()
    with contextlib.suppress(OSError):
        for byte in right:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.3)
    handler.close_connection = True
    return True


def redirect(handler: Handler, body: Any, right: bytes) -> bool:
    handler.reply(307, b"", location=handler.server.url + "/elsewhere")
    return True


def endless(handler: Handler, body: Any, right: bytes) -> bool:
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" " * (1 << 20))
    handler.close_connection = True
    return True


def http(fault: Any) -> FaultyRemote:
    remote = FaultyRemote(lambda method, params: params[0])
    remote.faults = [fault]
    return remote


@pytest.mark.parametrize("pack", [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
def test_what_is_packed_is_unpacked(pack: tuple[Callable[[bytes], bytes], str]) -> None:
    with http(packed(*pack)) as remote, client_of(remote.url) as client:
        assert client.call("echo", ["x" * 100_000]) == "x" * 100_000


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (packed(lambda right: gigabyte(), "gzip"), "longer than"),
        (packed(lambda right: gzip.compress(right)[:-12], "gzip"), "ends too early"),
        (packed(lambda right: right, "gzip"), "connection broke"),
        (packed(lambda right: right, "br"), "not offered"),
        (trickle, "nothing within"),
        (redirect, "307, which sends elsewhere"),
        (endless, "longer than|nothing within"),
    ],
)
def test_hostile_answers_are_errors_in_time(fault: Any, words: str) -> None:
    with http(fault) as remote, client_of(remote.url, timeout_s=2.0) as client:
        gigabyte()
        start = time.monotonic()
        with pytest.raises(RemoteFailed, match=words):
            client.call("echo", [1])
        assert time.monotonic() - start < 6
        assert all("elsewhere" not in str(body) for body in remote.bodies)


def test_retry_after_is_kept_to() -> None:
    def later(handler: Handler, body: Any, right: bytes) -> bool:
        handler.reply(429, b"", retry_after="1")
        return True

    with http(later) as remote, client_of(remote.url, timeout_s=6.0) as client:
        remote.faults = [later, None]
        start = time.monotonic()
        assert client.call("echo", [1]) == 1
        assert 0.9 < time.monotonic() - start < 5
        assert remote.posts == 2
