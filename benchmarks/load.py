"""How soon, and how many: transfers sent to a running network at a rate.

    python -m benchmarks.load --base-dir ./net --rate 100 --seconds 60
    python -m benchmarks.load --rpc http://127.0.0.1:8545 --rate 1000 --seconds 300 --senders 40

Transfers are signed before the clock starts, and go to the nodes in turn, each sender's always to
the same. A share of them (--probe a second) are sent by eth_sendRawTransactionSync, and the time
until its receipt is the latency: from submission to a final block, as a client sees it. The rest
goes by eth_sendRawTransaction, in batches for each tick of the clock.

Printed: a JSON object with percentiles in milliseconds, transactions a second that were included,
blocks, and whether all nodes have the same state root at the last common block.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import AsyncRpcClient, RpcFailure
from ghostchain.rpc.sending import Request

TICK_S = 0.05
FUNDS_WEI = 50 * 10**18
MAX_FEE_WEI = 100 * 10**9
SIGN_CHUNK = 500
SETTLE_S_MAX = 60.0
INCLUSION_MS_MAX = 30_000


@dataclass(slots=True)
class Measured:
    """What was seen. latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    sent: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, words: str) -> None:
        self.refused[words] = self.refused.get(words, 0) + 1


def signed(key: bytes, chain_id: int, first: int, count: int) -> list[str]:
    """Transfers with rising nonces, as 0x strings."""
    raws = []
    for nonce in range(first, first + count):
        unsigned = Transaction(
            type=2,
            chain_id=chain_id,
            nonce=nonce,
            max_fee_per_gas=MAX_FEE_WEI,
            max_priority_fee_per_gas=1,
            gas_limit=21_000,
            to=Address(keccak256(key + nonce.to_bytes(8, "big"))[:20]),
            value=1,
        )
        raws.append("0x" + encode_transaction(sign_transaction(unsigned, key)).hex())
    return raws


def sender_key(index: int) -> bytes:
    """The key of a sender of this script's own: worthless, like those of the test mnemonic."""
    return bytes(keccak256(b"load sender %d" % index))


async def fund(client: AsyncRpcClient, chain_id: int, senders: int) -> None:
    """Every sender has enough for its fees, from the accounts of the test mnemonic."""
    keys = [sender_key(index) for index in range(senders)]
    balances = await client.batch(
        [Request("eth_getBalance", ("0x" + address_of(key).hex(), "latest")) for key in keys]
    )
    poor = [key for key, held in zip(keys, balances, strict=True) if int(held, 16) < FUNDS_WEI // 2]
    for place, rich in enumerate(TEST_KEYS):
        mine = poor[place :: len(TEST_KEYS)]
        if not mine:
            continue
        account = "0x" + address_of(rich).hex()
        nonce = int(await client.call("eth_getTransactionCount", account, "pending"), 16)
        requests = []
        for offset, key in enumerate(mine):
            unsigned = Transaction(
                type=2,
                chain_id=chain_id,
                nonce=nonce + offset,
                max_fee_per_gas=MAX_FEE_WEI,
                max_priority_fee_per_gas=1,
                gas_limit=21_000,
                to=address_of(key),
                value=FUNDS_WEI,
            )
            raw = encode_transaction(sign_transaction(unsigned, rich))
            requests.append(Request("eth_sendRawTransaction", ("0x" + raw.hex(),)))
        await client.batch(requests)
    for key in poor:
        await until_funded(client, key)


async def until_funded(client: AsyncRpcClient, key: bytes) -> None:
    deadline = time.monotonic() + SETTLE_S_MAX
    while int(await client.call("eth_getBalance", "0x" + address_of(key).hex(), "latest"), 16) == 0:
        if time.monotonic() > deadline:
            raise SystemExit("the senders were not funded in time")
        await asyncio.sleep(0.2)


async def prepare(
    client: AsyncRpcClient, chain_id: int, senders: int, count: int
) -> list[list[str]]:
    """Signed transfers by sender. Cost: about 4,000 a second and process."""
    loop = asyncio.get_running_loop()
    each = -(-count // senders)
    with ProcessPoolExecutor() as pool:
        chunks = []
        for index in range(senders):
            key = sender_key(index)
            account = "0x" + address_of(key).hex()
            first = int(await client.call("eth_getTransactionCount", account, "pending"), 16)
            chunks.append(
                [
                    loop.run_in_executor(
                        pool, signed, key, chain_id, first + start, min(SIGN_CHUNK, each - start)
                    )
                    for start in range(0, each, SIGN_CHUNK)
                ]
            )
        return [[raw for part in parts for raw in await part] for parts in chunks]


async def probe(client: AsyncRpcClient, raw: str, measured: Measured) -> None:
    """One transfer, from its submission to its receipt."""
    started = time.monotonic()
    try:
        receipt = await client.call("eth_sendRawTransactionSync", raw, hex(INCLUSION_MS_MAX))
    except RpcFailure as failure:
        measured.refuse(failure.message[:60])
        return
    if receipt["status"] == "0x1":
        measured.latencies.append(time.monotonic() - started)
    else:
        measured.refuse("failed")


async def push(client: AsyncRpcClient, raws: list[str], measured: Measured) -> None:
    """Many transfers, not waited for."""
    answers = await client.batch([Request("eth_sendRawTransaction", (raw,)) for raw in raws])
    for answer in answers:
        if isinstance(answer, RpcFailure):
            measured.refuse(answer.message[:60])


async def send_all(
    clients: list[AsyncRpcClient], by_sender: list[list[str]], options: argparse.Namespace
) -> Measured:
    """Ticks of the clock: in each as many transfers as are due, some of them probes."""
    measured = Measured()
    total = options.rate * options.seconds
    cursors = [0] * len(by_sender)
    tasks: set[asyncio.Task[None]] = set()
    started, probes = time.monotonic(), 0.0
    while measured.sent < total:
        due = min(int((time.monotonic() - started) * options.rate), total) - measured.sent
        lots: list[list[str]] = [[] for _ in clients]
        for _ in range(due):
            sender = measured.sent % len(by_sender)
            raw = by_sender[sender][cursors[sender]]
            cursors[sender] += 1
            measured.sent += 1
            probes += min(options.probe / options.rate, 1.0)
            node = sender % len(clients)
            if probes >= 1.0:
                probes -= 1.0
                # What goes before it of the same sender must not come after it.
                if lots[node]:
                    tasks.add(asyncio.create_task(push(clients[node], lots[node], measured)))
                    lots[node] = []
                tasks.add(asyncio.create_task(probe(clients[node], raw, measured)))
            else:
                lots[node].append(raw)
        for client, raws in zip(clients, lots, strict=True):
            if raws:
                tasks.add(asyncio.create_task(push(client, raws, measured)))
        for task in [task for task in tasks if task.done()]:
            tasks.discard(task)
            task.result()
        await asyncio.sleep(TICK_S if options.rate >= 200 else 1 / options.rate)
    await asyncio.gather(*tasks)
    return measured


async def settle(client: AsyncRpcClient) -> None:
    """Nothing waits any more, or the time for it is over."""
    deadline = time.monotonic() + SETTLE_S_MAX
    while time.monotonic() < deadline:
        status = await client.call("txpool_status")
        if int(status["pending"], 16) == 0:
            return
        await asyncio.sleep(0.2)


async def blocks_between(client: AsyncRpcClient, first: int, last: int) -> list[dict[str, Any]]:
    """The blocks after first, up to last."""
    found = []
    for start in range(first + 1, last + 1, 100):
        numbers = range(start, min(start + 100, last + 1))
        found += await client.batch(
            [Request("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
        )
    return found


async def state_roots(clients: list[AsyncRpcClient]) -> dict[str, Any]:
    """Of the last block that all nodes have."""
    heads = [int(await client.call("eth_blockNumber"), 16) for client in clients]
    number = min(heads)
    roots = {
        (await client.call("eth_getBlockByNumber", hex(number), False))["stateRoot"]
        for client in clients
    }
    return {"number": number, "heads": heads, "same": len(roots) == 1}


def percentiles(values: list[float]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        f"p{part}": round(ordered[min(len(ordered) * part // 100, len(ordered) - 1)] * 1e3, 1)
        for part in (50, 90, 99)
    } | {"max": round(ordered[-1] * 1e3, 1)}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    urls = list(options.rpc)
    if options.base_dir is not None:
        document = json.loads((options.base_dir / "devnet.json").read_text())
        urls += [node["rpc"] for node in document["nodes"]]
    clients = [
        await AsyncRpcClient(url, timeout_s=120.0).__aenter__() for url in urls[: options.nodes]
    ]
    first = clients[0]
    chain_id = int(await first.call("eth_chainId"), 16)
    await fund(first, chain_id, options.senders)
    by_sender = await prepare(first, chain_id, options.senders, options.rate * options.seconds)
    before = int(await first.call("eth_blockNumber"), 16)
    started = time.monotonic()
    measured = await send_all(clients, by_sender, options)
    sending = time.monotonic() - started
    await settle(first)
    elapsed = time.monotonic() - started
    after = int(await first.call("eth_blockNumber"), 16)
    blocks = await blocks_between(first, before, after)
    included = sum(len(block["transactions"]) for block in blocks)
    roots = await state_roots(clients)
    for client in clients:
        await client.__aexit__(None, None, None)
    return {
        "rate": options.rate,
        "sent": measured.sent,
        "sending_s": round(sending, 2),
        "included": included,
        "included_per_s": round(included / elapsed, 1),
        "elapsed_s": round(elapsed, 2),
        "latency_ms": percentiles(measured.latencies),
        "probes": len(measured.latencies),
        "refused": measured.refused,
        "blocks": len(blocks),
        "block_interval_ms": round(elapsed / max(len(blocks), 1) * 1e3, 1),
        "transactions_a_block_max": max(
            (len(block["transactions"]) for block in blocks), default=0
        ),
        "nodes": len(clients),
        "state_root": roots,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rpc", action="append", default=[], help="a node; may be repeated")
    parser.add_argument("--base-dir", type=Path, help="a network of `ghostd devnet up`")
    parser.add_argument("--nodes", type=int, help="use only the first so many")
    parser.add_argument("--rate", type=int, default=100, help="transfers a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--senders", type=int, default=20)
    parser.add_argument("--probe", type=float, default=100.0, help="transfers a second timed")
    print(json.dumps(asyncio.run(run(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
