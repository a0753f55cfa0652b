"""Raw transactions over JSON-RPC, in batches of 100, until all of them are included: `ghostd --dev`
beside anvil, with the same transactions, the same driver and the same cores.

anvil is measured in three manners: as it comes (a block for each transaction), with a block each
second, and with one block on request after all is sent. `ratio` is against the best of those that
included everything: as it comes, anvil 1.7 often leaves some transactions waiting for ever, which
shows as 0 a second. Absent anvil, the figure stands alone. Runs small unless GHOSTCHAIN_BENCH is
"full".
"""

from __future__ import annotations

import hashlib
import http.client
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from benchmarks.peers import anvil
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import RpcClient
from tests.node.clients import tool
from tests.node.process import Ghostd

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
PER_SENDER = 2_000 if FULL else 100
BATCH = 100
CONNECTIONS = 2
CHAIN_ID = 31337
SECONDS_MAX = 30.0
ANVIL = {
    "automine": (),
    "block_each_second": ("--block-time", "1"),
    "block_on_request": ("--no-mining",),
}
MNEMONIC = "test test test test test test test test test test test junk"
SENDERS = 10


@dataclass(frozen=True, slots=True)
class Load:
    """Bodies ready to post, one list for each connection, and who sends how many."""

    bodies: tuple[tuple[bytes, ...], ...]
    senders: tuple[str, ...]
    recipients: tuple[str, ...]


def prepare() -> Load:
    """PER_SENDER transfers of each development account. A connection carries whole senders, so
    that nonces arrive in order."""
    Account.enable_unaudited_hdwallet_features()
    accounts = [
        Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
        for index in range(SENDERS)
    ]
    recipients = [Address(bytes([0x60 + index]) * 20) for index in range(SENDERS)]
    lanes: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
    for index, account in enumerate(accounts):
        raws = [signed(bytes(account.key), nonce, recipients[index]) for nonce in range(PER_SENDER)]
        lane = lanes[index % CONNECTIONS]
        lane.extend(
            batch_body(raws[start : start + BATCH]) for start in range(0, PER_SENDER, BATCH)
        )
    return Load(
        bodies=tuple(map(tuple, lanes)),
        senders=tuple(account.address for account in accounts),
        recipients=tuple("0x" + item.hex() for item in recipients),
    )


def signed(key: bytes, nonce: int, to: Address) -> bytes:
    tx = Transaction(
        type=2,
        chain_id=CHAIN_ID,
        nonce=nonce,
        max_fee_per_gas=100 * 10**9,
        max_priority_fee_per_gas=10**9,
        gas_limit=21_000,
        to=to,
        value=1,
    )
    return encode_transaction(sign_transaction(tx, key))


def batch_body(raws: list[bytes]) -> bytes:
    calls = [
        {
            "jsonrpc": "2.0",
            "id": index,
            "method": "eth_sendRawTransaction",
            "params": ["0x" + raw.hex()],
        }
        for index, raw in enumerate(raws)
    ]
    return json.dumps(calls).encode()


def post_all(port: int, bodies: tuple[bytes, ...]) -> None:
    """Posts the bodies one after another on one connection; every answer must be a hash."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_MAX)
    with closing(connection):
        for body in bodies:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer = connection.getresponse().read()
            if b'"error"' in answer:
                raise AssertionError(answer[:500])


class NotIncluded(Exception):
    """Some transactions were still waiting when the patience ended."""


def until_included(client: RpcClient, load: Load) -> None:
    """Raises NotIncluded."""
    deadline = time.monotonic() + SECONDS_MAX
    for sender in load.senders:
        while int(client.call("eth_getTransactionCount", sender, "latest"), 16) < PER_SENDER:
            if time.monotonic() > deadline:
                raise NotIncluded
            time.sleep(0.002)


def send_and_wait(url: str, load: Load, *, mine: bool = False) -> float:
    """Seconds from the first byte sent to the last transaction included.

    mine: ask for a block when all is sent.
    """
    client = RpcClient(url, timeout_s=SECONDS_MAX)
    port = int(url.rsplit(":", 1)[1])
    start = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda bodies: post_all(port, bodies), load.bodies))
    if mine:
        client.call("evm_mine")
    until_included(client, load)
    return time.perf_counter() - start


def outcome(url: str, load: Load) -> str:
    """A hash of what the recipients have, which must not depend on the node."""
    client = RpcClient(url)
    balances = [client.call("eth_getBalance", item, "latest") for item in load.recipients]
    return hashlib.sha256(json.dumps(balances).encode()).hexdigest()


def peer_seconds(load: Load, expected: str) -> dict[str, float]:
    """Seconds of anvil in each manner, infinite where it did not include everything; empty where
    it is absent."""
    try:
        tool("anvil")
    except pytest.skip.Exception:
        return {}
    found = {}
    for name, arguments in ANVIL.items():
        with anvil("--gas-limit", "1000000000", *arguments) as peer:
            url = peer.url
            try:
                found[name] = send_and_wait(url, load, mine=name == "block_on_request")
            except (NotIncluded, TimeoutError):
                found[name] = math.inf
                continue
            assert outcome(url, load) == expected
    return found


def test_raw_transactions_to_inclusion(benchmark: Any, tmp_path: Path) -> None:
    load = prepare()
    count = PER_SENDER * SENDERS
    with Ghostd("--dev", data_dir=tmp_path / "data") as node:
        own = benchmark.pedantic(send_and_wait, (node.url, load), rounds=1)
        result = outcome(node.url, load)
        blocks = int(node.call("eth_blockNumber"), 16)
    peers = peer_seconds(load, result)
    benchmark.extra_info.update(
        transactions=count,
        batch=BATCH,
        blocks=blocks,
        transactions_per_second=round(count / own),
        peer="anvil" if peers else "anvil is absent",
        result=result,
    )
    for name, seconds in peers.items():
        benchmark.extra_info[f"anvil_{name}_per_second"] = round(count / seconds)
    if peers:
        benchmark.extra_info["ratio"] = round(min(peers.values()) / own, 2)
