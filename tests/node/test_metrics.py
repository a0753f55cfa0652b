"""What Prometheus, a supervisor and a load balancer see of a node."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from ghostchain.node.metrics import OPERATORS_MAX, Metrics, Sample
from ghostchain.node.monitoring import LAG_S_MAX, Check, MonitoringServer


def samples(metrics: Metrics) -> dict[str, float]:
    """Name with labels to value, of everything exposed."""
    lines = metrics.exposition().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_readings_are_taken_at_each_scrape() -> None:
    """A watched function is asked again every time, and samples of one name share a family."""
    metrics, size = Metrics(), [1]
    metrics.watch(
        lambda: [
            Sample("ghost_peers", "Peers.", size[0], (("direction", "in"),)),
            Sample("ghost_peers", "Peers.", 2, (("direction", "out"),)),
            Sample("ghost_sent_bytes", "Sent.", 3, counts=True),
        ]
    )
    assert samples(metrics)['ghost_peers{direction="in"}'] == 1
    size[0] = 5
    seen = samples(metrics)
    assert seen['ghost_peers{direction="in"}'] == 5
    assert seen['ghost_peers{direction="out"}'] == 2
    assert seen["ghost_sent_bytes_total"] == 3


def test_two_nodes_of_a_process_do_not_share_numbers() -> None:
    first, second = Metrics(), Metrics()
    first.observe_block(3, 63_000)
    assert samples(first)["ghost_transactions_total"] == 3
    assert samples(second)["ghost_transactions_total"] == 0


def test_validators_have_a_bounded_number_of_series() -> None:
    metrics = Metrics()
    for number in range(OPERATORS_MAX + 7):
        metrics.count_missed(number.to_bytes(20, "big"))
    seen = samples(metrics)
    series = [name for name in seen if name.startswith("ghost_missed_blocks_total{")]
    assert len(series) == OPERATORS_MAX + 1
    assert seen['ghost_missed_blocks_total{operator="others"}'] == 7


def test_execution_speed_is_of_the_latest_block_with_gas() -> None:
    metrics = Metrics()
    metrics.observe_execution(30_000_000, 0.01)
    assert samples(metrics)["ghost_execution_mgas_per_second"] == pytest.approx(3_000)
    metrics.observe_execution(0, 0.01)
    assert samples(metrics)["ghost_execution_mgas_per_second"] == pytest.approx(3_000)


async def get(port: int, path: str) -> tuple[int, str, bytes]:
    """(status, content type, body), asked from a thread while the loop serves."""

    def ask() -> tuple[int, str, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return response.status, response.headers["content-type"], response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read()

    return await asyncio.get_running_loop().run_in_executor(None, ask)


def test_pages() -> None:
    """/metrics is Prometheus' text; /ready adds the node's own checks to those of /health."""

    async def scenario() -> None:
        checks: list[Check] = [Check("peers", True, 3)]
        server = MonitoringServer(Metrics(), "127.0.0.1", 0, ready=lambda: checks)
        await server.start()
        try:
            status, kind, body = await get(server.port, "/metrics")
            assert status == 200
            assert kind.startswith("text/plain; version=0.0.4")
            assert b"# TYPE ghost_step_seconds histogram" in body
            assert (await page(server, "/health"))[0] == 200
            assert await page(server, "/ready") == (
                200,
                {"loop": True, "storage": True, "peers": True},
            )
            checks[0] = Check("peers", False, 0)
            assert (await page(server, "/ready"))[0] == 503
            assert (await page(server, "/health"))[0] == 200
            server.fail("no space left")
            status, seen = await page(server, "/health")
            assert status == 503
            assert seen["storage"] is False
            assert (await get(server.port, "/elsewhere"))[0] == 404
        finally:
            await server.stop()

    asyncio.run(scenario())


async def page(server: MonitoringServer, path: str) -> tuple[int, dict[str, Any]]:
    status, _, body = await get(server.port, path)
    document = json.loads(body)
    assert document["ok"] == (status == 200)
    return status, {name: check["ok"] for name, check in document["checks"].items()}


def test_a_loop_that_hangs_is_late() -> None:
    """What blocks the loop shows as lag, while it lasts and after."""

    async def scenario() -> None:
        server = MonitoringServer(Metrics(), "127.0.0.1", 0, ready=list)
        await server.start()
        try:
            assert server.health()[0].holds
            loop = asyncio.get_running_loop()
            timer = server._lag._timer
            assert timer is not None
            # As if the sample had been due long ago: no real hang is needed to see one.
            late = loop.call_at(loop.time() - LAG_S_MAX - 1, lambda: None)
            server._lag._timer = late
            assert not server.health()[0].holds
            timer.cancel()
        finally:
            await server.stop()

    started = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - started < LAG_S_MAX
