"""The door: HTTP POST and WebSocket on one port, and WebSocket on a second one if wished.

HTTP says 200 whenever it carries a JSON-RPC answer, errors included; the refusals of HTTP itself
(400, 401, 403, 405, 408, 413, 415, 429, 431, 503) carry a JSON-RPC error body too, so that a client
that looks only at the body still understands. `http.py` and `websocket.py` are the two kinds of
connections, `access.py` says who may come; why these libraries parse is in `benchmarks/NOTES.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from ghostchain.rpc.backend import Backend
from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.http import HttpConnection
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.methods.admin import OPERATOR_METHODS
from ghostchain.rpc.operator import LocalDoor
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.reception import Reception
from ghostchain.rpc.services import make_services
from ghostchain.rpc.subscriptions import Broker
from ghostchain.rpc.workers import Workers

STOP_TIMEOUT_S = 5.0
CHECK_S_MAX = 1.0
BACKLOG = 1024
# libuv takes one new connection of a listener in each round of the loop. While rounds are long,
# so many listeners on one socket let newcomers in.
ACCEPTED_A_ROUND = 8


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
        self.broker = Broker(self.services)
        self.reception = Reception(self.dispatcher, self.broker, options)
        self.listeners: list[asyncio.Server] = []
        self.checker: asyncio.TimerHandle | None = None
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
            path = self.options.local_socket
            self.local_door = LocalDoor(path, self.dispatcher, self.broker, self.options)
            await self.local_door.start()

    async def bind(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: HttpConnection(self.reception), self.options.host, port, backlog=BACKLOG
        )
        self.listeners.append(listener)
        # A host name may stand for several addresses; the first of them names the port.
        self.ports.append(listener.sockets[0].getsockname()[1])
        for heard in listener.sockets:
            for _ in range(ACCEPTED_A_ROUND - 1):
                again = socket.socket(fileno=os.dup(heard.fileno()))
                self.listeners.append(
                    await loop.create_server(
                        lambda: HttpConnection(self.reception), sock=again, backlog=BACKLOG
                    )
                )

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
        under_way = [client.finish() for client in self.reception.everyone()]
        tasks = [task for task in under_way if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                while self.reception.everyone():
                    await asyncio.sleep(0.005)
        for client in self.reception.everyone():
            client.transport.abort()
        await self.services.submission.stop()
        self.workers.stop()

    def check(self) -> None:
        """Looks after connections that hold up, and calls itself again."""
        loop = asyncio.get_running_loop()
        self.reception.check(loop.time())
        options = self.options
        soonest = min(options.body_timeout_s, options.head_timeout_s, options.send_timeout_s)
        self.checker = loop.call_later(min(CHECK_S_MAX, soonest / 4), self.check)
