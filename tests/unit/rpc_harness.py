"""A running RpcServer over a backend, for tests that speak to it from outside."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Coroutine
from typing import Any

from ghostchain.rpc.backend import Backend
from ghostchain.rpc.client import RpcClient, RpcFailure
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.server import RpcServer

START_SECONDS_MAX = 10.0


class RunningServer:
    """Serves from a thread of its own on a free port; a context manager."""

    def __init__(self, backend: Backend, **options: Any) -> None:
        self.backend = backend
        self.options = RpcOptions(**{"port": 0, **options})
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> RunningServer:
        self.thread.start()
        self.server = self.wait(self.start())
        self.client = RpcClient(self.url)
        return self

    def __exit__(self, *exception: object) -> None:
        self.wait(self.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def start(self) -> RpcServer:
        server = RpcServer(self.backend, self.options)
        await server.start()
        return server

    async def stop(self) -> None:
        await self.server.stop()
        # Connections that were just closed still have a few lines to run.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:
            await asyncio.wait(rest, timeout=2.0)

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(START_SECONDS_MAX)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def ask(self, method: str, *params: Any) -> Any:
        """The result. Raises RpcFailure."""
        return self.client.call(method, *params)

    def refuse(self, method: str, *params: Any) -> RpcFailure:
        """The error that this call must give."""
        try:
            result = self.ask(method, *params)
        except RpcFailure as failure:
            return failure
        raise AssertionError(f"{method} answered {result!r}")

    def http(
        self, body: bytes, *, verb: str = "POST", path: str = "/", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """(status, headers in lower case, body) of a request as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            sent = {"Content-Type": "application/json"}
            sent.update({name.replace("_", "-"): value for name, value in headers.items()})
            connection.request(verb, path, body=body, headers=sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def post(self, document: Any) -> Any:
        """The JSON that answers a JSON document, or bytes sent as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        status, _, answer = self.http(body)
        assert status == 200, (status, answer)
        return json.loads(answer) if answer else None
