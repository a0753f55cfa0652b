"""The HTTP door: every body has a JSON-RPC answer, limits hold, browsers are kept where allowed."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ghostchain.primitives.types import Address
from ghostchain.rpc.client import Request, RpcFailure
from ghostchain.rpc.protocol import Limits
from tests.unit.memory_backend import ACCOUNTS, CHAIN_ID, MemoryBackend, Ran
from tests.unit.rpc_harness import RunningServer

SMALL = Limits(body_bytes_max=20_000, batch_items_max=10, response_bytes_max=3_000)
CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}


@pytest.fixture(scope="module")
def node() -> Iterator[RunningServer]:
    with RunningServer(MemoryBackend(), limits=SMALL) as running:
        yield running


def test_call_is_answered(node: RunningServer) -> None:
    assert node.post(CALL) == {"jsonrpc": "2.0", "id": 1, "result": hex(CHAIN_ID)}


MALFORMED: list[tuple[bytes, int]] = [
    (b"", -32700),
    (b"not json", -32700),
    (b"\x00\xff", -32700),
    (b"[" * 9_000, -32700),
    (b"[" * 9_000 + b"]" * 9_000, -32700),
    (b"[]", -32600),
    (b"42", -32600),
    (b'{"jsonrpc":"2.0","id":1}', -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":"no_such"}', -32601),
    (b'{"jsonrpc":"2.0","id":1,"method":"__class__"}', -32601),
    (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance"}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x1"]}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"a":1}}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}', -32601),
    (json.dumps([CALL] * 11).encode(), -32600),
]


@pytest.mark.parametrize(("body", "code"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_body_is_a_json_rpc_error(node: RunningServer, body: bytes, code: int) -> None:
    """HTTP 200 and an error object; the server answers the next request as before."""
    assert node.post(body)["error"]["code"] == code
    assert node.post(CALL)["result"] == hex(CHAIN_ID)


def test_oversized_body_is_413_with_a_json_rpc_error(node: RunningServer) -> None:
    for body in (b" " * 20_001, b" " * 3_000_000):
        status, _, answer = node.http(body)
        assert status == 413
        assert json.loads(answer)["error"] == {
            "code": -32600,
            "message": "request entity too large",
        }


def test_compressed_body_is_not_inflated(node: RunningServer) -> None:
    """As geth: bodies are read as they come, so a small one cannot unfold into a large one."""
    for body in (gzip.compress(b" " * 5_000_000), gzip.compress(b"{}"), b"not gzip"):
        status, _, answer = node.http(body, Content_Encoding="gzip")
        assert status == 200
        assert json.loads(answer)["error"]["code"] == -32700


def test_batch_answers_in_order_and_by_id(node: RunningServer) -> None:
    calls: list[Any] = [CALL | {"id": "a"}, 7, CALL | {"id": 2, "method": "nope"}]
    answers = node.post(calls)
    assert [answer["id"] for answer in answers] == ["a", None, 2]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32600, -32601]


def test_notifications_are_not_answered(node: RunningServer) -> None:
    quiet = {"jsonrpc": "2.0", "method": "eth_chainId"}
    assert node.post(quiet) is None
    assert node.post([quiet, quiet]) is None
    assert [answer["id"] for answer in node.post([quiet, CALL])] == [1]


def test_batch_response_is_bounded(node: RunningServer) -> None:
    """What comes after the limit is answered by an error, each item by its own."""
    block = {"method": "eth_getBlockByNumber", "params": ["0x0", False]}
    answers = node.post([CALL | block | {"id": number} for number in range(5)])
    assert [answer["id"] for answer in answers] == list(range(5))
    assert "result" in answers[0]
    assert answers[-1]["error"] == {"code": -32003, "message": "response too large"}


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("text/plain", 200),
        ("application/x-www-form-urlencoded", 415),
        ("text/html", 415),
    ],
)
def test_content_types(node: RunningServer, content_type: str, status: int) -> None:
    body = json.dumps(CALL).encode()
    found, _, answer = node.http(body, Content_Type=content_type)
    assert found == status
    assert ("error" in json.loads(answer)) == (status != 200)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8545", 200),
        ("127.0.0.1", 200),
        ("[::1]:8545", 200),
        ("10.0.0.7", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("[", 403),
    ],
)
def test_host_header_is_checked(node: RunningServer, host: str, status: int) -> None:
    """Names that are not ours are refused: a page cannot rebind its name to this node."""
    found, _, answer = node.http(json.dumps(CALL).encode(), Host=host)
    assert found == status
    assert ("error" in json.loads(answer)) == (status != 200)


def test_get_says_the_node_is_up(node: RunningServer) -> None:
    status, _, body = node.http(b"", verb="GET", path="/health")
    assert status == 200
    assert json.loads(body)["status"] == "ok"


def test_other_verbs_are_refused(node: RunningServer) -> None:
    assert node.http(b"", verb="PUT")[0] == 405


def test_cors_is_off_by_default(node: RunningServer) -> None:
    _, headers, _ = node.http(json.dumps(CALL).encode(), Origin="http://app.example")
    assert "access-control-allow-origin" not in headers
    body = json.dumps(CALL).encode()
    status, _, _ = node.http(body, Origin="http://app.example", Content_Type="text/plain")
    assert status == 403, "a foreign page could post without asking first"


def test_allowed_origin_may_call() -> None:
    with RunningServer(MemoryBackend(), allowed_origins=("http://app.example",)) as node:
        status, headers, _ = node.http(b"", verb="OPTIONS", Origin="http://app.example")
        assert status == 204
        assert headers["access-control-allow-origin"] == "http://app.example"
        assert "POST" in headers["access-control-allow-methods"]
        _, headers, _ = node.http(json.dumps(CALL).encode(), Origin="http://app.example")
        assert headers["access-control-allow-origin"] == "http://app.example"
        _, headers, _ = node.http(b"", verb="OPTIONS", Origin="http://other.example")
        assert "access-control-allow-origin" not in headers


def test_second_port_serves_too() -> None:
    with RunningServer(MemoryBackend(), websocket_port=0) as node:
        first, second = node.server.ports
        assert first != second


def test_raw_transactions_of_a_batch_enter_the_pool_together() -> None:
    """Neighbours are one admission; a read between them splits it and sees what came before."""
    backend = MemoryBackend(automine=False)
    with RunningServer(backend) as node:
        raws = [backend.signed(nonce=nonce) for nonce in range(4)]
        send = [Request("eth_sendRawTransaction", ("0x" + raw.hex(),)) for raw in raws]
        ask = Request("eth_getTransactionCount", ("0x" + ACCOUNTS[0].hex(), "pending"))
        answers = node.client.batch([*send[:3], ask, send[3], send[0]])
    assert backend.submissions == [3, 2]
    assert answers[3] == "0x3"
    assert isinstance(answers[5], RpcFailure)
    assert answers[5].message == "already known"


def test_concurrent_submissions_coalesce() -> None:
    """What arrives during an admission forms the next one."""
    backend = MemoryBackend(automine=False)
    raws = [backend.signed(nonce=nonce) for nonce in range(40)]
    plain = backend.submit

    async def slow(batch: Any) -> Any:
        import asyncio

        await asyncio.sleep(0.05)
        return await plain(batch)

    backend.submit = slow  # type: ignore[method-assign]
    with RunningServer(backend) as node:
        threads = [
            threading.Thread(target=node.ask, args=("eth_sendRawTransaction", "0x" + raw.hex()))
            for raw in raws
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(backend.submissions) == 40
    assert len(backend.submissions) < 20
    assert len(backend.pool) == 40


def test_fault_of_ours_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    """No traceback leaves the node; the log has it."""
    backend = MemoryBackend()

    def broken(address: Any) -> Any:
        raise RuntimeError("secret")

    backend.pool_nonce = broken  # type: ignore[method-assign]
    with RunningServer(backend) as node, caplog.at_level(logging.ERROR):
        failure = node.refuse("eth_getTransactionCount", "0x" + "11" * 20, "pending")
    assert (failure.code, failure.message) == (-32603, "internal error")
    assert "secret" in caplog.text


def test_slow_call_times_out_and_the_queue_is_bounded() -> None:
    backend = MemoryBackend()
    contract = Address(b"\x77" * 20)
    release = threading.Event()

    def stuck(message: Any, environment: Any) -> Ran:
        release.wait(10)
        return Ran()

    backend.install(contract, stuck)
    call = ("eth_call", {"to": "0x" + contract.hex()})
    options: dict[str, Any] = {
        "call_timeout_s": 0.2,
        "worker_threads": 1,
        "worker_queue_max": 1,
    }
    with RunningServer(backend, **options) as node:
        failures: list[RpcFailure] = []

        def ask() -> None:
            failures.append(node.refuse(*call))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        full = node.refuse(*call)
        for thread in threads:
            thread.join()
        release.set()
        assert full.code == -32005
        assert {failure.code for failure in failures} == {-32002}
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                assert node.ask(*call) == "0x"
                break
            except RpcFailure:
                time.sleep(0.02)
        else:
            pytest.fail("the worker never came back")


def test_failed_admission_is_an_internal_error_and_the_next_works() -> None:
    """A pool that cannot write its journal, say: nothing is acknowledged, nothing hangs."""
    backend = MemoryBackend(automine=False)
    plain = backend.submit

    async def failing(batch: Any) -> Any:
        raise OSError("no space left on device")

    raw = "0x" + backend.signed().hex()
    with RunningServer(backend) as node:
        backend.submit = failing  # type: ignore[method-assign]
        answers = node.client.batch([Request("eth_sendRawTransaction", (raw,))] * 2)
        assert [getattr(answer, "code", None) for answer in answers] == [-32603, -32603]
        backend.submit = plain  # type: ignore[method-assign]
        assert node.ask("eth_sendRawTransaction", raw).startswith("0x")


def test_submissions_are_bounded() -> None:
    backend = MemoryBackend(automine=False)
    raw = "0x" + backend.signed().hex()
    with RunningServer(backend, submission_queue_max=1) as node:
        answers = node.client.batch([Request("eth_sendRawTransaction", (raw,))] * 2)
        assert [getattr(answer, "code", None) for answer in answers] == [-32005, -32005]
        assert node.ask("eth_sendRawTransaction", raw).startswith("0x")


def test_body_that_never_ends_is_given_up() -> None:
    """A client that stops in the middle does not hold a request for ever."""
    with RunningServer(MemoryBackend(), body_timeout_s=0.1) as node:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", node.server.port), 5) as client:
            client.sendall(head + b"Content-Length: 100\r\n\r\n{")
            answer = client.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"took too long" in answer
        assert node.post(CALL)["result"] == hex(CHAIN_ID)
