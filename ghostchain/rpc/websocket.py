"""WebSocket connections: requests in, answers and notifications out, through one bounded queue.

A client that reads too slowly is told so and closed; it never makes the node keep more than
connection_queue_bytes_max for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque

from aiohttp import WSCloseCode, WSMsgType, web

from ghostchain.primitives.types import Hash32
from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.errors import LIMIT_EXCEEDED, RpcError
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.parameters import LogFilter
from ghostchain.rpc.subscriptions import Broker, Subscription, Topic

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0


class Connection:
    """One client. Its subscriptions live and die with it."""

    def __init__(self, socket: web.WebSocketResponse, broker: Broker, options: RpcOptions) -> None:
        self.socket = socket
        self.broker = broker
        self.options = options
        self.subscriptions: dict[str, Subscription] = {}
        self.queue: deque[bytes] = deque()
        self.queue_bytes = 0
        self.readable = asyncio.Event()
        self.overflowed = asyncio.Event()
        self.calls: set[asyncio.Task[None]] = set()

    # ---- sending ----

    def send(self, message: bytes) -> None:
        """Queues a message; a client whose queue is full is closed instead."""
        if self.overflowed.is_set():
            return
        if self.queue_bytes + len(message) > self.options.connection_queue_bytes_max:
            self.queue.clear()
            self.overflowed.set()
            return
        self.queue.append(message)
        self.queue_bytes += len(message)
        self.readable.set()

    async def write(self) -> None:
        while True:
            await self.readable.wait()
            self.readable.clear()
            while self.queue:
                message = self.queue.popleft()
                await self.socket.send_frame(message, WSMsgType.TEXT)
                self.queue_bytes -= len(message)

    # ---- receiving ----

    async def read(self, dispatcher: Dispatcher) -> None:
        """Answers what the client sends, until it leaves."""
        async for message in self.socket:
            if message.type is WSMsgType.TEXT:
                body = message.data.encode("utf-8", "surrogatepass")
            elif message.type is WSMsgType.BINARY:
                body = message.data
            else:
                break
            if len(self.calls) >= self.options.connection_calls_max:
                # The client runs ahead of us: read no further until something is answered.
                await asyncio.wait(self.calls, return_when=asyncio.FIRST_COMPLETED)
            call = asyncio.create_task(self.answer(dispatcher, body))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)
        # What was asked before the client closed its side is still carried out.
        if self.calls:
            await asyncio.wait(self.calls)

    async def answer(self, dispatcher: Dispatcher, body: bytes) -> None:
        turn = Turn(self)
        response = await dispatcher.answer(body, turn)
        if response:
            self.send(response)
        turn.activate()

    async def run(self, dispatcher: Dispatcher) -> None:
        """Serves the client until either side ends it."""
        tasks = [
            asyncio.create_task(self.read(dispatcher)),
            asyncio.create_task(self.write()),
            asyncio.create_task(self.overflowed.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for subscription in self.subscriptions.values():
                self.broker.remove(subscription)
            tasks.extend(self.calls)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        if self.overflowed.is_set():
            logger.info("closed a WebSocket client that reads too slowly")
            code, reason = WSCloseCode.POLICY_VIOLATION, b"client reads too slowly"
        else:
            code, reason = WSCloseCode.GOING_AWAY, b"server is stopping"
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.socket.close(code=code, message=reason)


class Turn:
    """One request of a connection. Subscriptions it makes begin after its answer is queued, so
    that no client hears of a subscription it does not know yet."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.started: list[Subscription] = []

    def subscribe(
        self,
        topic: Topic,
        logs: LogFilter | None = None,
        *,
        full: bool = False,
        hashes: frozenset[Hash32] = frozenset(),
    ) -> str:
        """The id of a new subscription. Raises RpcError LIMIT_EXCEEDED."""
        connection = self.connection
        if len(connection.subscriptions) >= connection.options.subscriptions_per_connection_max:
            raise RpcError(LIMIT_EXCEEDED, "too many subscriptions")
        identity = hex(secrets.randbits(127) | 1 << 127)
        subscription = Subscription(identity, topic, connection.send, logs, full, hashes)
        connection.subscriptions[identity] = subscription
        self.started.append(subscription)
        return identity

    def unsubscribe(self, identity: str) -> bool:
        subscription = self.connection.subscriptions.pop(identity, None)
        if subscription is None:
            return False
        self.connection.broker.remove(subscription)
        if subscription in self.started:
            self.started.remove(subscription)
        return True

    def activate(self) -> None:
        for subscription in self.started:
            if subscription.id in self.connection.subscriptions:
                self.connection.broker.add(subscription)
