"""The door: HTTP POST and WebSocket on one port, and WebSocket on a second one if wished.

HTTP says 200 whenever it carries a JSON-RPC answer, errors included; 413, 415 and 403 carry a
JSON-RPC error body too, so that a client that looks only at the body still understands.

Browsers: a page may call from an allowed origin only (CORS). A Host header that is neither an IP
address nor an allowed name is refused, which stops DNS rebinding; a body type that browsers send
without asking first is refused from foreign origins, which stops forged posts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, web

from ghostchain.rpc.backend import Backend
from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.errors import INVALID_REQUEST, LIMIT_EXCEEDED, RpcError
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.protocol import encode_error
from ghostchain.rpc.services import make_services
from ghostchain.rpc.subscriptions import Broker
from ghostchain.rpc.websocket import Connection
from ghostchain.rpc.workers import Workers

logger = logging.getLogger(__name__)

JSON = "application/json"
# Asked for by a preflight; the other accepted ones are sent by browsers without one.
PREFLIGHTED_TYPES = frozenset({JSON, "application/json-rpc", "application/jsonrequest"})
SIMPLE_TYPES = frozenset({"", "text/plain", "application/octet-stream"})
STOP_TIMEOUT_S = 5.0


class RpcServer:
    """JSON-RPC of one node. start() binds, stop() finishes what is being answered."""

    def __init__(self, backend: Backend, options: RpcOptions) -> None:
        self.backend = backend
        self.options = options
        self.workers = Workers(
            threads=options.worker_threads,
            queue_max=options.worker_queue_max,
            timeout_s=options.call_timeout_s,
        )
        self.services = make_services(backend, options, self.workers)
        self.dispatcher = Dispatcher(self.services, METHODS, self.workers, options.limits)
        self.broker = Broker(self.services)
        self.connections: set[Connection] = set()
        self.runner: web.AppRunner | None = None
        self.ports: list[int] = []

    @property
    def port(self) -> int:
        """The port of HTTP and WebSocket, once started."""
        return self.ports[0]

    async def start(self) -> None:
        """Raises OSError when a port is taken."""
        app = web.Application(client_max_size=self.options.limits.body_bytes_max)
        app.router.add_route("POST", "/{path:.*}", self.on_post)
        app.router.add_route("GET", "/{path:.*}", self.on_get)
        app.router.add_route("OPTIONS", "/{path:.*}", self.on_options)
        # Compressed bodies are not inflated: nothing small may become large in here.
        self.runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=STOP_TIMEOUT_S,
            auto_decompress=False,
        )
        await self.runner.setup()
        self.services.events.start()
        self.broker.start()
        ports = [self.options.port]
        if self.options.websocket_port is not None:
            ports.append(self.options.websocket_port)
        try:
            for port in ports:
                await self.bind(port)
        except OSError:
            await self.stop()
            raise

    async def bind(self, port: int) -> None:
        assert self.runner is not None
        # A host name may stand for several addresses; the first of them names the port.
        before = len(self.runner.addresses)
        site = web.TCPSite(self.runner, self.options.host, port, backlog=1024)
        await site.start()
        self.ports.append(self.runner.addresses[before][1])

    async def stop(self) -> None:
        """Nothing is accepted any more; WebSocket clients are told that the server goes away."""
        await self.broker.stop()
        self.services.events.stop()
        for connection in list(self.connections):
            with contextlib.suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(
                    connection.socket.close(
                        code=WSCloseCode.GOING_AWAY, message=b"server is stopping"
                    ),
                    STOP_TIMEOUT_S,
                )
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None
        await self.services.submission.stop()
        self.workers.stop()

    # ---- HTTP ----

    async def on_post(self, request: web.Request) -> web.Response:
        refusal = self.refuse(request)
        if refusal is not None:
            return refusal
        headers = self.cors_headers(request)
        limit = self.options.limits.body_bytes_max
        try:
            if (request.content_length or 0) > limit:
                raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
            async with asyncio.timeout(self.options.body_timeout_s):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self.fault(413, "request entity too large", headers)
        except TimeoutError:
            return self.fault(408, "the request took too long to arrive", headers)
        answer = await self.dispatcher.answer(body)
        return web.Response(body=answer, content_type=JSON, headers=headers)

    async def on_get(self, request: web.Request) -> web.StreamResponse:
        refusal = self.refuse_host(request)
        if refusal is not None:
            return refusal
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.on_websocket(request)
        head = self.backend.head()
        status = {"status": "ok", "block": head.number, "chainId": self.backend.chain_id}
        return web.json_response(status, headers=self.cors_headers(request))

    async def on_options(self, request: web.Request) -> web.Response:
        """CORS preflight."""
        headers = self.cors_headers(request)
        if headers:
            headers["Access-Control-Allow-Methods"] = "POST, GET, OPTIONS"
            headers["Access-Control-Allow-Headers"] = "*"
            headers["Access-Control-Max-Age"] = "600"
        return web.Response(status=204, headers=headers)

    async def on_websocket(self, request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and not self.origin_is_allowed(origin):
            return self.fault(403, "origin not allowed", {})
        if len(self.connections) >= self.options.connections_max:
            return self.fault(503, "too many connections", {}, code=LIMIT_EXCEEDED)
        # Bodies somewhat above the limit still get a JSON-RPC error; far above it the frame is
        # refused by the protocol's own code 1009.
        socket = web.WebSocketResponse(
            heartbeat=self.options.heartbeat_s,
            max_msg_size=4 * self.options.limits.body_bytes_max,
            compress=False,
        )
        if not socket.can_prepare(request).ok:
            return self.fault(400, "bad WebSocket handshake", {})
        await socket.prepare(request)
        connection = Connection(socket, self.broker, self.options)
        self.connections.add(connection)
        try:
            await connection.run(self.dispatcher)
        finally:
            self.connections.discard(connection)
        return socket

    # ---- who may ask ----

    def refuse(self, request: web.Request) -> web.Response | None:
        """Why a POST is not read at all, or None."""
        refusal = self.refuse_host(request)
        if refusal is not None:
            return refusal
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type in PREFLIGHTED_TYPES:
            return None
        if content_type not in SIMPLE_TYPES:
            message = "invalid content type, only application/json is supported"
            return self.fault(415, message, self.cors_headers(request))
        origin = request.headers.get("Origin")
        if origin is not None and not self.origin_is_allowed(origin):
            return self.fault(403, "origin not allowed", {})
        return None

    def refuse_host(self, request: web.Request) -> web.Response | None:
        if self.host_is_allowed(request.headers.get("Host", "")):
            return None
        return self.fault(403, "invalid host specified", {})

    def host_is_allowed(self, header: str) -> bool:
        allowed = self.options.allowed_hosts
        if "*" in allowed or not header:
            return True
        try:
            name = (urlsplit(f"//{header}").hostname or "").lower()
        except ValueError:
            return False
        if name in allowed:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def origin_is_allowed(self, origin: str) -> bool:
        allowed = self.options.allowed_origins
        return "*" in allowed or origin.lower() in allowed

    def cors_headers(self, request: web.Request) -> dict[str, str]:
        origin = request.headers.get("Origin")
        if origin is None or not self.origin_is_allowed(origin):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def fault(
        self, status: int, message: str, headers: dict[str, str], *, code: int = INVALID_REQUEST
    ) -> web.Response:
        """A refusal of HTTP that is a JSON-RPC error too."""
        body = encode_error(None, RpcError(code, message))
        return web.Response(status=status, body=body, content_type=JSON, headers=headers)
