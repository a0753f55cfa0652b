"""The door: HTTP POST and WebSocket on one port, and WebSocket on a second one if wished.

HTTP says 200 whenever it carries a JSON-RPC answer, errors included; the refusals of HTTP itself
(400, 401, 403, 405, 408, 413, 415, 429, 431, 503) carry a JSON-RPC error body too, so that a client
that looks only at the body still understands. `http.py` and `websocket.py` are the two kinds of
connections, `access.py` says who may come; why these libraries parse is in `benchmarks/NOTES.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from email.utils import formatdate
from typing import Any

from ghostchain.rpc.access import Access
from ghostchain.rpc.backend import Backend
from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.http import HttpConnection, KnownHead
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.methods.admin import OPERATOR_METHODS
from ghostchain.rpc.operator import LocalDoor, token_fault
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.services import make_services
from ghostchain.rpc.subscriptions import Broker
from ghostchain.rpc.websocket import Connection, accept
from ghostchain.rpc.workers import Workers

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 5.0
CHECK_S_MAX = 1.0


class RpcServer:
    """JSON-RPC of one node. start() binds, stop() finishes what is being answered."""

    def __init__(self, backend: Backend, options: RpcOptions) -> None:
        self.backend = backend
        self.options = options
        self.workers = Workers(
            threads=options.worker_threads,
            queue_max=options.worker_queue_max,
            timeout_s=options.call_timeout_s,
            remote=lambda: backend.remote,
        )
        self.services = make_services(backend, options, self.workers)
        self.dispatcher = Dispatcher(
            self.services, METHODS, self.workers, options.limits, OPERATOR_METHODS
        )
        self.local_door: LocalDoor | None = None
        self.access = Access(options.allowed_hosts, options.allowed_origins)
        self.broker = Broker(self.services)
        self.known_heads: dict[bytes, KnownHead] = {}
        self.plain: set[HttpConnection] = set()
        self.connections: set[Connection] = set()
        self.addresses: Counter[str] = Counter()
        self.listeners: list[asyncio.Server] = []
        self.checker: asyncio.TimerHandle | None = None
        self.date = b""
        self.ports: list[int] = []

    @property
    def port(self) -> int:
        """The port of HTTP and WebSocket, once started."""
        return self.ports[0]

    async def start(self) -> None:
        """Raises OSError when a port is taken."""
        self.services.events.start()
        self.broker.start()
        self.check()
        ports = [self.options.port]
        if self.options.websocket_port is not None:
            ports.append(self.options.websocket_port)
        try:
            for port in ports:
                await self.bind(port)
        except OSError:
            await self.stop()
            raise
        if self.options.local_socket is not None:
            limit = self.options.limits.body_bytes_max
            self.local_door = LocalDoor(self.options.local_socket, self.dispatcher, limit)
            await self.local_door.start()

    async def bind(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: HttpConnection(self), self.options.host, port, backlog=1024
        )
        self.listeners.append(listener)
        # A host name may stand for several addresses; the first of them names the port.
        self.ports.append(listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Nothing is accepted any more; WebSocket clients are told that the server goes away."""
        await self.broker.stop()
        self.services.events.stop()
        for listener in self.listeners:
            listener.close()
        if self.local_door is not None:
            self.local_door.stop()
        if self.checker is not None:
            self.checker.cancel()
        for connection in tuple(self.connections):
            connection.close(1001, "server is stopping")
        under_way = [item.finish() for item in tuple(self.plain)]
        tasks = [task for task in under_way if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                while self.connections or self.plain:
                    await asyncio.sleep(0.005)
        for item in self.everyone():
            item.transport.abort()
        await self.services.submission.stop()
        self.workers.stop()

    # ---- connections ----

    def admit(self, connection: HttpConnection) -> str | None:
        """Takes a new connection, or says why it is too many."""
        reason = None
        if len(self.plain) + len(self.connections) >= self.options.connections_max:
            reason = "too many connections"
        elif self.addresses[connection.address] >= self.options.connections_per_address_max:
            reason = "too many connections from this address"
        self.plain.add(connection)
        self.addresses[connection.address] += 1
        return reason

    def everyone(self) -> tuple[HttpConnection | Connection, ...]:
        return (*self.plain, *self.connections)

    def forget(self, connection: HttpConnection) -> None:
        self.plain.discard(connection)
        self.release(connection.address)

    def release(self, address: str) -> None:
        self.addresses[address] -= 1
        if self.addresses[address] <= 0:
            del self.addresses[address]

    def open_websocket(self, plain: HttpConnection, data: bytes) -> None:
        """Hands a connection over whose client asked for an upgrade; data came after its head."""
        origin = plain.incoming.origin
        plain.phase = plain.phase.IDLE
        if origin is not None and not self.access.origin_is_allowed(origin):
            plain.end_with(403, "origin not allowed")
            return
        frames = accept(plain.incoming.headers, self.options)
        if frames is None:
            plain.end_with(400, "bad WebSocket handshake")
            return
        self.plain.discard(plain)
        plain.asker.is_operator = plain.incoming.is_operator
        connection = Connection(self, plain.transport, frames, plain.asker, plain.address)
        self.connections.add(connection)
        plain.transport.set_protocol(connection)
        connection.data_received(data)

    def forget_websocket(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.release(connection.address)

    def check(self) -> None:
        """Looks after connections that hold up, and calls itself again."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.date = formatdate(time.time(), usegmt=True).encode()
        for item in self.everyone():
            item.check(now)
        self.bound_unread()
        options = self.options
        soonest = min(options.body_timeout_s, options.head_timeout_s, options.send_timeout_s)
        self.checker = loop.call_later(min(CHECK_S_MAX, soonest / 4), self.check)

    def bound_unread(self) -> None:
        """What all clients together have not read stays within bounds: those go that keep most."""
        stuck = [item for item in self.everyone() if item.is_stuck]
        sizes = {item: item.transport.get_write_buffer_size() for item in stuck}
        total = sum(sizes.values())
        for item in sorted(stuck, key=lambda item: sizes[item], reverse=True):
            if total <= self.options.unread_bytes_max:
                return
            logger.info("closed a client that keeps %d unread bytes", sizes[item])
            item.transport.abort()
            total -= sizes[item]

    def judge_token(self, header: bytes) -> str | None:
        """Why an Authorization header opens no door, or None. Without a secret there is no door,
        and what proxies put there is none of our business."""
        kind, _, token = header.partition(b" ")
        secret = self.options.jwt_secret
        if secret is None or kind.lower() != b"bearer":
            return "no bearer token"
        return token_fault(token.strip(), secret, now=time.time())

    def health(self) -> dict[str, Any]:
        """What a plain GET is answered."""
        head = self.backend.head()
        return {"status": "ok", "block": head.number, "chainId": self.backend.chain_id}
