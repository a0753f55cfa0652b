"""Traces of one transaction over JSON-RPC: `ghostd --dev` beside anvil with `--steps-tracing`, the
same transactions, in turns on the same cores.

A transfer of an ERC-20, alone in its block and at the 40th place of a block of a hundred, and a
loop of 10,000 rounds that hashes and writes memory (841,009 gas, 150,002 steps). `ratio`: anvil's
best time for an answer by ours; the best, since both share the machine with whatever else runs.
Absent anvil, the figures stand alone. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from benchmarks.bench_rpc_reads import Node, Wallet, has_peer
from benchmarks.peers import anvil
from ghostchain.primitives.types import Address
from tests.node.process import Ghostd

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
SECONDS = 3.0 if FULL else 0.1
TURNS = 3 if FULL else 1
PLACE = 40

# Counts to 10,000: MSTORE of the count, KECCAK256 of the word, POP.
LOOP = bytes.fromhex("5f5b80600052602060002050600101806127101160015700")
LOOP_INIT = bytes.fromhex(f"60{len(LOOP):02x}600c60003960{len(LOOP):02x}6000f3") + LOOP
CALL_TRACER = {"tracer": "callTracer"}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "transfer, struct log": ("transfer", {}),
    "transfer, calls": ("transfer", CALL_TRACER),
    "transfer, prestate": ("transfer", {"tracer": "prestateTracer"}),
    "in a block, struct log": ("in a block", {}),
    "in a block, calls": ("in a block", CALL_TRACER),
    "loop, struct log": ("loop", {}),
    "loop, calls": ("loop", CALL_TRACER),
}


@dataclass(frozen=True, slots=True)
class Traced:
    """A node and the transactions to trace, by name."""

    port: int
    transactions: dict[str, str]

    def seconds(self, row: str, seconds: float) -> tuple[float, bytes]:
        """The best time of an answer, and the answer."""
        name, options = ROWS[row]
        params = [self.transactions[name], options]
        body = orjson.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "debug_traceTransaction", "params": params}
        )
        best, answer = float("inf"), b""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            end = time.perf_counter() + seconds
            runs = 0
            while runs < 3 or time.perf_counter() < end:
                start = time.perf_counter()
                connection.request("POST", "/", body, {"content-type": "application/json"})
                answer = connection.getresponse().read()
                best, runs = min(best, time.perf_counter() - start), runs + 1
        return best, answer


def prepare(node: Node, *, automine: bool) -> Traced:
    wallet = Wallet()
    call = node.client.call
    call("eth_sendRawTransactionSync", wallet.creation())
    made = call("eth_sendRawTransactionSync", wallet.sign(None, LOOP_INIT, gas=1_000_000))
    place = Address(bytes.fromhex(made["contractAddress"][2:]))
    loop = call("eth_sendRawTransactionSync", wallet.sign(place, b"\0", gas=8_000_000))
    assert loop["status"] == "0x1"
    transfer = call("eth_sendRawTransactionSync", wallet.token())
    node.prepare([], wallet.together(), automine=automine)
    block = call("eth_getBlockByNumber", node.full_block, False)
    return Traced(
        node.port,
        {
            "transfer": transfer["transactionHash"],
            "loop": loop["transactionHash"],
            "in a block": block["transactions"][PLACE],
        },
    )


@pytest.fixture(scope="module")
def traced() -> Iterator[list[Traced]]:
    with ExitStack() as stack:
        ours = stack.enter_context(Ghostd("--dev"))
        nodes = [prepare(Node(ours.url, ours.process.pid), automine=False)]
        if has_peer():
            peer = stack.enter_context(anvil("--steps-tracing"))
            nodes.append(prepare(Node(peer.url, peer.pid), automine=True))
        yield nodes


def measure(nodes: list[Traced], row: str) -> tuple[list[float], bytes]:
    best = [float("inf")] * len(nodes)
    own = b""
    for _ in range(TURNS):
        for index, node in enumerate(nodes):
            found, answer = node.seconds(row, SECONDS)
            best[index] = min(best[index], found)
            own = answer if index == 0 else own
    return best, own


@pytest.mark.parametrize("row", ROWS)
def test_trace(benchmark: Any, traced: list[Traced], row: str) -> None:
    best, answer = benchmark.pedantic(measure, (traced, row), rounds=1)
    result = orjson.loads(answer)["result"]
    steps = len(result.get("structLogs", ())) if isinstance(result, dict) else 0
    gas = result.get("gas", result.get("gasUsed", ""))
    benchmark.extra_info.update(
        row=row,
        milliseconds=round(best[0] * 1e3, 3),
        answer_bytes=len(answer),
        steps=steps,
        peer="anvil" if len(best) > 1 else "anvil is absent",
        result=hashlib.sha256(f"{row} {steps} {gas}".encode()).hexdigest()[:16],
    )
    for peer in best[1:]:
        benchmark.extra_info["anvil_milliseconds"] = round(peer * 1e3, 3)
        benchmark.extra_info["ratio"] = round(peer / best[0], 2)
