"""The client that services use, against a running server and against things that are none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ghostchain.rpc.client import AsyncRpcClient, Request, RpcClient, RpcFailure, RpcUnreachable
from tests.unit.memory_backend import CHAIN_ID, MemoryBackend
from tests.unit.rpc_harness import RunningServer


@pytest.fixture(scope="module")
def node() -> Iterator[RunningServer]:
    with RunningServer(MemoryBackend()) as running:
        yield running


def test_call_and_failure(node: RunningServer) -> None:
    client = RpcClient(node.url)
    assert client.call("eth_chainId") == hex(CHAIN_ID)
    with pytest.raises(RpcFailure, match="does not exist") as caught:
        client.call("no_such")
    assert caught.value.code == -32601


def test_batch_returns_failures_in_place(node: RunningServer) -> None:
    answers = RpcClient(node.url).batch([Request("eth_chainId"), Request("nope")])
    assert answers[0] == hex(CHAIN_ID)
    assert isinstance(answers[1], RpcFailure)


def test_batch_refused_as_a_whole_raises(node: RunningServer) -> None:
    with pytest.raises(RpcFailure, match="batch too large"):
        RpcClient(node.url).batch([Request("eth_chainId")] * 1001)


def test_async_client(node: RunningServer) -> None:
    async def main() -> None:
        async with AsyncRpcClient(node.url) as client:
            assert await client.call("eth_chainId") == hex(CHAIN_ID)
            answers = await client.batch([Request("eth_blockNumber"), Request("nope")])
            assert answers[0] == "0x0"
            assert isinstance(answers[1], RpcFailure)
            with pytest.raises(RpcFailure):
                await client.call("nope")

    asyncio.run(main())


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(RpcUnreachable):
        RpcClient("http://127.0.0.1:9").call("eth_chainId")

    async def main() -> None:
        async with AsyncRpcClient("http://127.0.0.1:9") as client:
            await client.call("eth_chainId")

    with pytest.raises(RpcUnreachable):
        asyncio.run(main())


class Impostor(BaseHTTPRequestHandler):
    """Answers everything with the server's `body`."""

    def do_POST(self) -> None:
        body: bytes = self.server.body  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Silence."""


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b"[]", b"[7]", b'[{"id":99}]'])
def test_answer_that_is_no_json_rpc_is_unreachable(body: bytes) -> None:
    server = HTTPServer(("127.0.0.1", 0), Impostor)
    server.body = body  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(RpcUnreachable):
            RpcClient(f"http://127.0.0.1:{server.server_port}").call("eth_chainId")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
