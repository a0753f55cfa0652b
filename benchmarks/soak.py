"""Everything at once for a long time, and whether the node's memory stays flat.

    python -m benchmarks.soak --seconds 3600 [--warm-up 1500] [--rate 300] [--data-dir D] [--json F]

A `ghostd --dev` that makes a block for each transaction, under a mixed load at a steady rate: reads
of accounts and blocks, calls, estimates, logs, traces, batches, filters installed and polled and
forgotten, WebSocket clients that subscribe, listen and leave, transactions to few and to ever new
addresses. Once a second its memory is read, and how long a request for the block's number
took: that is what a blocked event loop would delay.

Printed: the memory each minute, on the error stream, and at the end a JSON object.
Memory is what the process holds for itself (RssAnon); pages of files that it has mapped, which the
system takes back when somebody needs them, are told beside it (`mapped_mib_at_end`).
`slope_mib_per_hour` is that of a line through the memory after the warm-up, which comes before the
`--seconds` that are judged; memory is flat when it grows by less than FLAT_SHARE of what it was
then. What grows with the chain and is bounded (caches) fills during the warm-up, or shows as what
it is. Exit code 1 when memory was not flat or a request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.bench_rpc_reads import (
    TOKEN,
    TRANSFER_TOPIC,
    Wallet,
    balance_call,
    recipients,
)
from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.secp256k1 import address_of
from tests.node.process import Ghostd

FLAT_SHARE = 0.05
# Until the caches are full at this load: the last are LevelDB's indices of its tables.
WARM_UP_S = 1500.0
# The memory goes up and down by a memtable of the database, every two minutes or so.
WARM_SAMPLES = 120
CLIENTS = 4
LISTENERS = 4
LISTENER_S = 20.0
BLOCKS_BACK = 2_000

ACCOUNTS = tuple("0x" + address_of(key).hex() for key in TEST_KEYS)


@dataclass(slots=True)
class Seen:
    """What the load met. memory: (seconds, MiB); lag_ms: of a request for the block's number."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    lag_ms: list[float] = field(default_factory=list)
    events: int = 0


class Client:
    """One connection's worth of load."""

    def __init__(self, url: str, session: aiohttp.ClientSession, seen: Seen, seed: int) -> None:
        self.url = url
        self.session = session
        self.seen = seen
        self.chance = random.Random(seed)
        self.hashes: list[str] = []
        self.head = 0

    async def post(self, body: Any) -> Any:
        async with self.session.post(self.url, json=body) as response:
            return await response.json()

    async def call(self, method: str, *params: Any) -> Any:
        answer = await self.post(body(method, *params))
        if "error" in answer:
            self.seen.failed[f"{method}: {answer['error'].get('message')}"[:160]] += 1
            return None
        self.seen.answered[method] += 1
        return answer["result"]

    # ---- the kinds of load ----

    async def read(self) -> None:
        who = self.chance.choice((*ACCOUNTS, *recipients()))
        method = self.chance.choice(("eth_getBalance", "eth_getTransactionCount", "eth_getCode"))
        await self.call(method, who, "latest")
        self.head = int(await self.call("eth_blockNumber") or "0x0", 16)

    async def block(self) -> None:
        number = hex(self.chance.randint(max(0, self.head - BLOCKS_BACK), self.head))
        await self.call("eth_getBlockByNumber", number, self.chance.random() < 0.5)
        await self.call("eth_getBlockReceipts", number)

    async def execute(self) -> None:
        request = balance_call(self.chance.choice(recipients()))
        method = self.chance.choice(("eth_call", "eth_estimateGas", "eth_createAccessList"))
        await self.call(method, request, "latest")

    async def logs(self) -> None:
        span = {"fromBlock": hex(max(0, self.head - BLOCKS_BACK)), "toBlock": "latest"}
        wanted = {"address": "0x" + TOKEN.hex(), "topics": [TRANSFER_TOPIC]}
        await self.call("eth_getLogs", {**span, **wanted})

    async def trace(self) -> None:
        if self.hashes:
            await self.call(
                "debug_traceTransaction",
                self.chance.choice(self.hashes),
                {"tracer": "callTracer"},
            )

    async def batch(self) -> None:
        calls = [
            body("eth_getBalance", who, "latest") for who in self.chance.choices(recipients(), k=50)
        ]
        answers = await self.post(calls)
        self.seen.answered["batch"] += 1
        if any("error" in answer for answer in answers):
            self.seen.failed["batch"] += 1

    async def poll(self) -> None:
        kind = self.chance.choice(("eth_newBlockFilter", "eth_newPendingTransactionFilter"))
        identity = await self.call(kind)
        logs = await self.call("eth_newFilter", {"address": "0x" + TOKEN.hex()})
        for installed in (identity, logs):
            if installed is not None:
                await self.call("eth_getFilterChanges", installed)
                if self.chance.random() < 0.9:
                    await self.call("eth_uninstallFilter", installed)

    async def step(self) -> None:
        kinds: tuple[tuple[int, Callable[[], Awaitable[None]]], ...] = (
            (30, self.read),
            (15, self.block),
            (20, self.execute),
            (5, self.logs),
            (8, self.trace),
            (5, self.batch),
            (5, self.poll),
        )
        weights = [weight for weight, _ in kinds]
        (chosen,) = self.chance.choices([kind for _, kind in kinds], weights)
        await chosen()


def body(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}


async def keep_asking(client: Client, rate: float, end: float) -> None:
    """Steps at a steady pace; when late, without a pause."""
    due = time.monotonic()
    while time.monotonic() < end:
        try:
            await client.step()
        except (aiohttp.ClientError, TimeoutError) as failure:
            client.seen.failed[repr(failure)[:160]] += 1
            await asyncio.sleep(0.1)
        due = max(due + 1 / rate, time.monotonic() - 1.0)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def keep_sending(client: Client, clients: list[Client], rate: float, end: float) -> None:
    """Transactions, a block each; the others trace the last hundred of them."""
    wallet = Wallet()
    await client.call("eth_sendRawTransactionSync", wallet.creation())
    due = time.monotonic()
    while time.monotonic() < end:
        raw = wallet.token() if wallet.nonce % 3 == 0 else wallet.plain()
        receipt = await client.call("eth_sendRawTransactionSync", raw)
        if receipt is not None:
            for other in clients:
                other.hashes = [*other.hashes[-99:], receipt["transactionHash"]]
        due = max(due + 1 / rate, time.monotonic() - 1.0)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def keep_listening(client: Client, end: float) -> None:
    """A WebSocket that subscribes, listens for a while and leaves, again and again."""
    while time.monotonic() < end:
        async with client.session.ws_connect(client.url, max_msg_size=0) as socket:
            for topic in (
                ["newHeads"],
                ["logs", {"address": "0x" + TOKEN.hex()}],
                ["newPendingTransactions"],
            ):
                await socket.send_json(body("eth_subscribe", *topic))
            until = min(end, time.monotonic() + LISTENER_S * client.chance.uniform(0.5, 1.5))
            while (left := until - time.monotonic()) > 0:
                try:
                    await socket.receive_json(timeout=left)
                    client.seen.events += 1
                except TimeoutError:
                    break


async def keep_watching(client: Client, pid: int, start: float, end: float) -> None:
    """Memory and delay, once a second."""
    while time.monotonic() < end:
        before = time.monotonic()
        await client.call("eth_chainId")
        now = time.monotonic()
        client.seen.lag_ms.append((now - before) * 1e3)
        memory = client.seen.memory
        memory.append((now - start, held_mib(pid)))
        if len(memory) % 60 == 1:
            print(f"{memory[-1][0]:6.0f} s  {memory[-1][1]:7.1f} MiB", file=sys.stderr, flush=True)
        await asyncio.sleep(1.0)


def held_mib(pid: int, name: str = "RssAnon") -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"the system tells no {name} of process {pid}")


async def run(node: Ghostd, seconds: float, rate: float, seed: int) -> Seen:
    seen = Seen()
    start = time.monotonic()
    end = start + seconds
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        clients = [Client(node.url, session, seen, seed + index) for index in range(CLIENTS)]
        sender, watcher = (Client(node.url, session, seen, seed + 100 + index) for index in (0, 1))
        listeners = [
            Client(node.url, session, seen, seed + 200 + index) for index in range(LISTENERS)
        ]
        await asyncio.gather(
            *(keep_asking(client, rate / CLIENTS, end) for client in clients),
            keep_sending(sender, clients, rate / 10, end),
            *(keep_listening(client, end) for client in listeners),
            keep_watching(watcher, node.process.pid, start, end),
        )
    return seen


def slope(points: list[tuple[float, float]]) -> float:
    """MiB a second of the line through the points (least squares)."""
    if len(points) < 2:
        return 0.0
    fit = statistics.linear_regression(*zip(*points, strict=True))
    return fit.slope


def summary(seen: Seen, seconds: float, warm_up: float, blocks: int) -> dict[str, Any]:
    later = [point for point in seen.memory if point[0] >= warm_up]
    per_s = slope(later)
    warm = statistics.median(size for _, size in later[:WARM_SAMPLES]) if later else 0.0
    grown = per_s * seconds
    lags = sorted(seen.lag_ms)
    return {
        "seconds": round(seconds),
        "warm_up_seconds": round(warm_up),
        "blocks": blocks,
        "answers": sum(seen.answered.values()),
        "events": seen.events,
        "failed": dict(seen.failed.most_common(20)),
        "memory_mib_after_warm_up": round(warm, 1),
        "memory_mib_at_end": round(seen.memory[-1][1], 1),
        "memory_mib_max": round(max(size for _, size in seen.memory), 1),
        "slope_mib_per_hour": round(per_s * 3600, 2),
        "is_flat": grown < FLAT_SHARE * warm,
        "delay_ms_p50": round(lags[len(lags) // 2], 2),
        "delay_ms_p99": round(lags[len(lags) * 99 // 100], 2),
        "delay_ms_max": round(lags[-1], 2),
        "memory_mib_each_minute": [round(size, 1) for _, size in seen.memory[::60]],
    }


def loop_lags(node: Ghostd) -> dict[str, int]:
    """How late the node's event loop was, from its own metrics: samples up to each bound."""
    with urllib.request.urlopen(node.metrics_url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    name = "ghost_loop_lag_seconds_bucket"
    return {
        line.split('le="')[1].split('"')[0]: int(float(line.split()[-1]))
        for line in lines
        if line.startswith(name)
    }


def soak(
    seconds: float, rate: float, seed: int, data_dir: Path, warm_up: float = 0.0
) -> dict[str, Any]:
    with Ghostd("--dev", data_dir=data_dir) as node:
        seen = asyncio.run(run(node, warm_up + seconds, rate, seed))
        blocks = int(node.call("eth_blockNumber"), 16)
        mapped = held_mib(node.process.pid, "RssFile")
        lags = loop_lags(node)
        faults = list(node.faults)
    found = summary(seen, seconds, warm_up, blocks)
    found["mapped_mib_at_end"] = round(mapped, 1)
    found["loop_lag_samples_up_to_s"] = lags
    found["faults_logged"] = [str(event)[:300] for event in faults[:20]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S, help="seconds before them")
    parser.add_argument("--rate", type=float, default=300.0, help="steps of the load a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", type=Path, help="also written here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ghostchain-soak-") as scratch:
        data_dir = chosen.data_dir or Path(scratch) / "data"
        found = soak(chosen.seconds, chosen.rate, chosen.seed, data_dir, chosen.warm_up)
    text = json.dumps(found, indent=1)
    print(text)
    if chosen.json is not None:
        chosen.json.write_text(text + "\n")
    failed = found["failed"] or found["faults_logged"] or not found["is_flat"]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
