"""Nothing that a client may ask holds the event loop for 50 ms: each case is about the heaviest
that the limits let through.

The lag is how late the loop's next turn is, of the time in which this process had a processor, so
that other work on the machine does not count; a case passes if one of three runs does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import orjson
import pytest
import uvloop

from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import load_genesis
from ghostchain.node.backend import NodeBackend
from tests.node.whole_chain import ALICE, TARGET, WholeChain, make
from tests.unit.rpc_harness import RunningServer

LAG_S_MAX = 0.05
RUNS = 3
INTERVAL_S = 0.001
WORD = "0x" + "22" * 32
PLACES = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[%b]}'


class Served:
    """A node's server on the loop that nodes run on, and the chain behind it."""

    def __init__(self, world: WholeChain, chain: Chain, stack: ExitStack) -> None:
        self.world = world
        admission = stack.enter_context(ThreadPoolExecutor(1))
        backend = NodeBackend(chain, "test", admission)
        self.server = RunningServer(backend, connection_calls_per_s=0.0)
        self.server.loop.close()
        self.server.loop = uvloop.new_event_loop()
        self.server.thread._target = self.server.loop.run_forever  # type: ignore[attr-defined]
        stack.enter_context(self.server)

    def worst_lag(self, body: bytes) -> float:
        """Seconds, while the body is answered."""
        return self.server.wait(self._ask(body))  # type: ignore[no-any-return]

    async def _ask(self, body: bytes) -> float:
        asked = asyncio.get_running_loop().run_in_executor(None, self.server.http, body)
        worst = 0.0
        last = time.perf_counter(), time.process_time()
        while not asked.done():
            await asyncio.sleep(INTERVAL_S)
            now = time.perf_counter(), time.process_time()
            worst = max(worst, min(now[0] - last[0], now[1] - last[1]) - INTERVAL_S)
            last = now
        status, _, answer = asked.result()
        assert status == 200
        assert answer
        return worst


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    world = make(tmp_path_factory.mktemp("loop"))
    with ExitStack() as stack:
        chain = Chain.open(world.directory, load_genesis(world.genesis))
        stack.callback(chain.close)
        yield Served(world, chain, stack)


def call(method: str, *params: Any, identity: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def many(count: int, method: str, *params: Any) -> bytes:
    return orjson.dumps([call(method, *params, identity=index) for index in range(count)])


def shown(data: bytes) -> str:
    return "0x" + data.hex()


def overrides() -> bytes:
    slots = {f"0x{index:064x}": WORD for index in range(35_000)}
    return orjson.dumps(
        call("eth_call", {"to": shown(TARGET)}, "latest", {shown(TARGET): {"stateDiff": slots}})
    )


def access_list() -> bytes:
    entry = {"address": shown(TARGET), "storageKeys": [WORD] * 7}
    request = {"to": shown(TARGET), "accessList": [entry] * 8_000}
    return orjson.dumps(call("eth_call", request, "latest"))


def filters() -> bytes:
    wanted = {"address": [f"0x{index:040x}" for index in range(100)], "fromBlock": "latest"}
    return many(1000, "eth_getLogs", wanted)


def first_traces(world: WholeChain) -> bytes:
    """Of each transaction, tracers in turn, so that each block is read again."""
    tracers: list[dict[str, Any]] = [{}, {"tracer": "callTracer"}, {"tracer": "prestateTracer"}]
    items = [
        call("debug_traceTransaction", one, options, identity=index)
        for index, options in enumerate(tracers * 20)
        for one in world.hashes.values()
    ]
    return orjson.dumps(items[:1000])


# Of bodies that have about 5 MB or a thousand items.
BODIES: dict[str, Callable[[], bytes]] = {
    "numbers": lambda: PLACES % b",".join([b"0"] * 2_480_000),
    "objects": lambda: PLACES % b",".join([b"{}"] * 1_600_000),
    "members": lambda: PLACES % (b"{%b}" % b",".join(b'"%d":0' % i for i in range(450_000))),
    "arrays": lambda: PLACES % b",".join([b"[" * 1000 + b"]" * 1000] * 2_400),
    "deep arrays": lambda: b"[" * 2_500_000 + b"]" * 2_500_000,
    "as many values as may be": lambda: PLACES % b",".join([b'"%d"' % i for i in range(119_000)]),
    "long text": lambda: PLACES % (b'"%b"' % (b"ab" * 2_500_000)),
    "no items": lambda: b"[%b]" % b",".join([b"0"] * 1000),
    "overrides": overrides,
    "an access list": access_list,
    "filters": filters,
    "a long message": lambda: orjson.dumps(
        call("eth_call", {"to": shown(TARGET), "data": "0x" + "ab" * 2_480_000}, "latest")
    ),
    "hashing": lambda: orjson.dumps(call("web3_sha3", "0x" + "ab" * 2_480_000)),
    "blocks": lambda: many(1000, "eth_getBlockByNumber", "0x2", True),
    "receipts": lambda: many(1000, "eth_getBlockReceipts", "0x2"),
    "headers": lambda: many(1000, "eth_getHeaderByNumber", "0x2"),
    "codes": lambda: many(1000, "eth_getCode", shown(ALICE), "latest"),
    "balances": lambda: many(1000, "eth_getBalance", shown(ALICE), "latest"),
    "calls": lambda: many(1000, "eth_call", {"to": shown(TARGET), "data": "0x01"}, "latest"),
    "logs": lambda: many(1000, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}),
    "fees": lambda: many(1000, "eth_feeHistory", "0x400", "latest", list(range(100))),
    "traces": lambda: many(1000, "debug_traceBlockByNumber", "0x2", {"enableMemory": True}),
    "parity's traces": lambda: many(1000, "trace_block", "0x2"),
    "proofs": lambda: many(
        100, "eth_getProof", shown(TARGET), [f"0x{i:064x}" for i in range(500)], "latest"
    ),
    "simulations": lambda: orjson.dumps(
        call("eth_simulateV1", {"blockStateCalls": [{} for _ in range(256)]}, "latest")
    ),
}


@pytest.mark.parametrize("case", [*BODIES, "first traces"])
def test_the_loop_goes_on(served: Served, case: str) -> None:
    body = first_traces(served.world) if case == "first traces" else BODIES[case]()
    lags = []
    for _ in range(RUNS):
        lags.append(served.worst_lag(body))
        if lags[-1] < LAG_S_MAX:
            return
    pytest.fail(f"the event loop was held for {min(lags) * 1000:.0f} ms")
