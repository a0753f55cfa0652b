"""The port for whoever watches a node: `/metrics` for Prometheus, `/health` and `/ready` for
whoever restarts or routes.

`/health`: the process does its work: the event loop answers in time and storage has not failed. A
node that is not healthy should be restarted. `/ready`: it also follows the chain: enough peers, no
sync under way, and a head that is young. A node that is not ready should not be sent requests. Both
answer 200 or 503 with a JSON object that has every check with its figure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from aiohttp import web

from ghostchain.node.metrics import CONTENT_TYPE, Metrics

LAG_INTERVAL_S = 1.0
LAG_S_MAX = 5.0
"""A loop that is this late does not serve anybody."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition, whether it holds, and the figure it was judged by."""

    name: str
    holds: bool
    figure: object


Checks = Callable[[], list[Check]]


class LoopLag:
    """How late the event loop is, sampled once a second."""

    def __init__(self, metrics: Metrics) -> None:
        self.latest_s = 0.0
        self._metrics = metrics
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._arm(loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def now_s(self) -> float:
        """The latest lag, or how late the sample that is due already is."""
        if self._timer is None:
            return self.latest_s
        overdue = asyncio.get_running_loop().time() - self._timer.when()
        return max(self.latest_s, overdue)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LAG_INTERVAL_S, self._sample, loop)

    def _sample(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._timer is not None
        self.latest_s = max(loop.time() - self._timer.when(), 0.0)
        self._metrics.loop_lag.observe(self.latest_s)
        self._arm(loop)


class MonitoringServer:
    """Serves the three pages; start() binds, stop() closes."""

    def __init__(self, metrics: Metrics, host: str, port: int, *, ready: Checks) -> None:
        """ready: the checks beyond those of health."""
        self._metrics = metrics
        self._host = host
        self._port = port
        self._ready = ready
        self._lag = LoopLag(metrics)
        self._failure: str | None = None
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port, once started."""
        assert self._runner is not None
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    def fail(self, reason: str) -> None:
        """Something happened after which this node cannot be healthy again."""
        self._failure = reason

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        app = web.Application(client_max_size=0)
        app.router.add_get("/metrics", self._on_metrics)
        app.router.add_get("/health", self._on_health)
        app.router.add_get("/ready", self._on_ready)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self.stop()
            raise
        self._lag.start()

    async def stop(self) -> None:
        self._lag.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def health(self) -> list[Check]:
        lag = self._lag.now_s()
        return [
            Check("loop", lag <= LAG_S_MAX, round(lag, 6)),
            Check("storage", self._failure is None, self._failure or "ok"),
        ]

    async def _on_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _on_health(self, request: web.Request) -> web.Response:
        return answer(self.health())

    async def _on_ready(self, request: web.Request) -> web.Response:
        return answer(self.health() + self._ready())


def answer(checks: list[Check]) -> web.Response:
    """200 when all hold, 503 otherwise, with each check's figure."""
    holds = all(check.holds for check in checks)
    document = {
        "ok": holds,
        "checks": {check.name: {"ok": check.holds, "figure": check.figure} for check in checks},
    }
    return web.Response(
        body=orjson.dumps(document, default=str),
        status=200 if holds else 503,
        content_type="application/json",
    )
