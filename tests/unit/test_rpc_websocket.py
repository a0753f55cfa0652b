"""WebSocket: requests, subscriptions and the bounds of a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import BlockEnvironment, Message
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import SyncProgress
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.server import RpcServer
from tests.unit.memory_backend import CHAIN_ID, MemoryBackend, Ran

TOKEN = Address(b"\x70" * 20)
TOPIC = keccak256(b"Transfer")
PATIENCE_S = 5.0
QUIET_S = 0.15


def token(message: Message, environment: BlockEnvironment) -> Ran:
    return Ran(gas=30_000, logs=(Log(TOKEN, (TOPIC, Hash32(bytes(32))), message.data),))


class Client:
    """One WebSocket to the server under test."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.last_id = 0

    async def receive(self) -> Any:
        message = await self.socket.receive(PATIENCE_S)
        assert message.type is WSMsgType.TEXT, message
        return json.loads(message.data)

    async def ask(self, method: str, *params: Any) -> Any:
        self.last_id += 1
        call = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        await self.socket.send_str(json.dumps(call))
        answer = await self.receive()
        assert answer["id"] == self.last_id
        return answer.get("result", answer.get("error"))

    async def event(self, subscription: str) -> Any:
        message = await self.receive()
        assert message["method"] == "eth_subscription"
        assert message["params"]["subscription"] == subscription
        return message["params"]["result"]

    async def is_quiet(self) -> bool:
        try:
            await self.socket.receive(QUIET_S)
        except TimeoutError:
            return True
        return False


Scenario = Callable[[Client, MemoryBackend, RpcServer], Awaitable[None]]


def play(scenario: Scenario, **options: Any) -> None:
    """Runs a scenario against a fresh chain and server."""

    async def main() -> None:
        backend = MemoryBackend(automine=False)
        backend.install(TOKEN, token)
        server = RpcServer(backend, RpcOptions(**{"port": 0, **options}))
        await server.start()
        url = f"http://127.0.0.1:{server.port}"
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
                await scenario(Client(socket), backend, server)
        finally:
            await server.stop()

    asyncio.run(main())


def test_requests_are_answered_as_over_http() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        assert await client.ask("eth_chainId") == hex(CHAIN_ID)
        assert (await client.ask("no_such"))["code"] == -32601
        for body, code in (("{", -32700), ("[]", -32600), ("1", -32600)):
            await client.socket.send_str(body)
            assert (await client.receive())["error"]["code"] == code
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
        await client.socket.send_bytes(json.dumps([call, call]).encode())
        assert len(await client.receive()) == 2

    play(scenario)


def test_new_heads_arrive_in_order() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        heads = await client.ask("eth_subscribe", "newHeads")
        for _ in range(3):
            backend.seal()
        numbers = [(await client.event(heads))["number"] for _ in range(3)]
        assert numbers == ["0x1", "0x2", "0x3"]

    play(scenario)


def test_logs_are_filtered_and_follow_their_head() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        heads = await client.ask("eth_subscribe", "newHeads")
        logs = await client.ask("eth_subscribe", "logs", {"topics": ["0x" + TOPIC.hex()]})
        await client.ask("eth_subscribe", "logs", {"address": "0x" + "11" * 20})
        await client.ask("eth_subscribe", "logs", {"topics": [None, None, None]})
        backend.admit(backend.signed(to=TOKEN, data=b"\x07", gas_limit=50_000))
        backend.seal()
        head = await client.event(heads)
        log = await client.event(logs)
        assert (log["data"], log["blockHash"]) == ("0x07", head["hash"])
        assert await client.is_quiet()

    play(scenario)


def test_pending_transactions_as_hashes_and_whole() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        hashes = await client.ask("eth_subscribe", "newPendingTransactions")
        whole = await client.ask("eth_subscribe", "newPendingTransactions", True)
        answer = backend.admit(backend.signed())
        assert isinstance(answer, bytes)
        assert await client.event(hashes) == "0x" + answer.hex()
        assert (await client.event(whole))["hash"] == "0x" + answer.hex()

    play(scenario)


def test_answer_comes_before_the_first_event() -> None:
    """Also where the subscription stands in a batch beside something slow."""

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        batch = [
            {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]},
            {"jsonrpc": "2.0", "id": 2, "method": "eth_gasPrice"},
        ]
        await client.socket.send_str(json.dumps(batch))
        for _ in range(20):
            backend.seal()
            await asyncio.sleep(0.001)
        first = await client.receive()
        assert isinstance(first, list)

    play(scenario)


def test_unsubscribe_ends_it() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        heads = await client.ask("eth_subscribe", "newHeads")
        assert await client.ask("eth_unsubscribe", heads) is True
        assert (await client.ask("eth_unsubscribe", heads))["message"] == "subscription not found"
        backend.seal()
        assert await client.is_quiet()

    play(scenario)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (["nothing"], -32601),
        ([], -32602),
        ([7], -32602),
        (["logs", {"address": "0x1"}], -32602),
        (["newPendingTransactions", "yes"], -32602),
        (["transactionReceipts", {"transactionHashes": "0x1"}], -32602),
        (["transactionReceipts", {"transactionHashes": ["0x1"]}], -32602),
    ],
)
def test_bad_subscriptions_are_refused(params: list[Any], code: int) -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        assert (await client.ask("eth_subscribe", *params))["code"] == code

    play(scenario)


def test_receipts_arrive_by_block_for_those_who_asked() -> None:
    """All of a block at once, or those of the hashes asked for; nothing of other blocks."""

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        first, second = backend.signed(value=1), backend.signed(nonce=1, to=TOKEN, gas_limit=50_000)
        wanted = {"transactionHashes": ["0x" + keccak256(second).hex()]}
        every = await client.ask("eth_subscribe", "transactionReceipts")
        some = await client.ask("eth_subscribe", "transactionReceipts", wanted)
        for raw in (first, second):
            backend.admit(raw)
        backend.seal()
        receipts = await client.event(every)
        assert [int(item["transactionIndex"], 16) for item in receipts] == [0, 1]
        assert await client.event(some) == receipts[1:]
        backend.seal()
        assert await client.is_quiet()

    play(scenario)


def test_too_many_hashes_of_receipts_are_refused() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        many = {"transactionHashes": ["0x" + "11" * 32] * 201}
        answer = await client.ask("eth_subscribe", "transactionReceipts", many)
        assert answer["code"] == -32602
        assert answer["message"].startswith("exceed max number of transaction hashes")

    play(scenario)


def test_syncing_tells_how_it_is_and_what_changes() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        identity = await client.ask("eth_subscribe", "syncing")
        assert await client.event(identity) is False
        backend.progress = SyncProgress(1, 2, 9)
        assert await client.event(identity) == {
            "syncing": True,
            "status": {"startingBlock": "0x1", "currentBlock": "0x2", "highestBlock": "0x9"},
        }
        backend.progress = None
        assert await client.event(identity) is False

    play(scenario)


def test_subscriptions_of_a_connection_are_bounded() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        for _ in range(2):
            assert isinstance(await client.ask("eth_subscribe", "newHeads"), str)
        assert (await client.ask("eth_subscribe", "newHeads"))["code"] == -32005

    play(scenario, subscriptions_per_connection_max=2)


def test_subscriptions_die_with_their_connection() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        await client.ask("eth_subscribe", "newHeads")
        await client.socket.close()
        for _ in range(100):
            if not server.reception.websockets:
                break
            await asyncio.sleep(0.01)
        assert not server.reception.websockets
        assert not any(server.broker.active.values())

    play(scenario)


def test_who_left_is_not_subscribed_any_more() -> None:
    """Though the subscription stands in a batch behind what takes its time."""

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        waits = ["0x" + backend.signed().hex(), 300]
        batch = [
            {"id": 1, "method": "eth_sendRawTransactionSync", "params": waits},
            {"id": 2, "method": "eth_subscribe", "params": ["newHeads"]},
        ]
        await client.socket.send_str(json.dumps([{"jsonrpc": "2.0", **item} for item in batch]))
        await asyncio.sleep(0.05)
        await client.socket.close()
        await asyncio.sleep(0.5)
        assert not server.reception.websockets
        assert not any(server.broker.active.values())

    play(scenario)


def test_slow_client_is_closed_with_a_reason() -> None:
    """A client that does not read never makes the node keep more than its bound."""

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        await client.ask("eth_subscribe", "newHeads")
        for _ in range(2_000):
            backend.seal()
        code = None
        while code is None:
            message = await client.socket.receive(PATIENCE_S)
            if message.type is WSMsgType.CLOSE:
                code = message.data
                assert message.extra == "client reads too slowly"
            else:
                assert message.type is WSMsgType.TEXT, message
        assert code == 1008

    play(scenario, connection_queue_bytes_max=100_000)


def test_oversized_message_is_refused() -> None:
    """Above the body limit by an error; far above it by the protocol's own close code."""

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        await client.socket.send_str(" " * 15_000)
        assert (await client.receive())["error"]["message"] == "request entity too large"
        await client.socket.send_str(" " * 50_000)
        message = await client.socket.receive(PATIENCE_S)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)

    from ghostchain.rpc.protocol import Limits

    play(scenario, limits=Limits(body_bytes_max=10_000))


def test_foreign_origin_cannot_connect() -> None:
    """Browsers send no preflight for WebSocket, so the origin itself is checked."""

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        url = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(url, headers={"Origin": "http://evil.example"})

    play(scenario)


def test_stop_tells_clients() -> None:
    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        stopping = asyncio.create_task(server.stop())
        message = await client.socket.receive(PATIENCE_S)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await stopping

    play(scenario)


def test_frames_come_whole_in_pieces_and_together() -> None:
    """Whatever the pieces in which they come, messages are answered in order."""

    def frame(text: bytes, *, first: int = 0x81, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
        head = bytes([first, 0x80 | min(len(text), 126)])
        if len(text) > 125:
            head += len(text).to_bytes(2, "big")
        return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))

    def asked(identity: int, more: str = "") -> bytes:
        call = {"jsonrpc": "2.0", "id": identity, "method": "eth_chainId", "params": []}
        return json.dumps(call | {"more": more}, ensure_ascii=False).encode()

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        transport = client.socket._conn.transport  # type: ignore[attr-defined]
        wanted = []

        async def send(*pieces: bytes, answers: list[int]) -> None:
            for piece in pieces:
                transport.write(piece)
                await asyncio.sleep(0.01)
            wanted.extend(answers)
            for identity in answers:
                assert (await client.receive())["id"] == identity

        await send(frame(asked(1)), answers=[1])
        await send(frame(asked(2)) + frame(asked(3)), answers=[2, 3])
        await send(frame(asked(4))[:1], frame(asked(4))[1:9], frame(asked(4))[9:], answers=[4])
        await send(frame(asked(5, "x" * 300)), answers=[5])
        await send(frame(asked(6, "ü")), answers=[6])
        half = asked(7)
        pieces = frame(half[:20], first=0x01), frame(b"", first=0x89), frame(half[20:], first=0x80)
        await send(*pieces, answers=[7])
        await send(frame(asked(8)) + frame(asked(9))[:7], answers=[8])
        await send(frame(asked(9))[7:], answers=[9])
        await send(frame(asked(10), first=0x82), answers=[10])

    play(scenario)


def test_a_text_within_another_is_refused() -> None:
    """A message that begins before the one before it has ended."""

    async def scenario(client: Client, backend: MemoryBackend, server: RpcServer) -> None:
        transport = client.socket._conn.transport  # type: ignore[attr-defined]
        transport.write(b"\x01\x81\0\0\0\0{")
        await asyncio.sleep(0.01)
        transport.write(b"\x81\x82\0\0\0\0{}")
        message = await client.socket.receive(PATIENCE_S)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1002)

    play(scenario)
