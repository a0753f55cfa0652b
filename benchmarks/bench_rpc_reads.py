"""Reads over JSON-RPC: `ghostd --dev` beside anvil, over the same chain, with the same prepared
bytes from the same generator (`requests.c`), in turns on the same cores.

The chain: BLOCKS blocks, every fiftieth of them with a transfer of an ERC-20 and the rest empty,
and one block of a hundred transactions. Each row is a method, asked alone (one request under
way on each of 8 keep-alive connections) or 100 in a batch. `ratio`: answers a second, ours by
anvil's, the median of the turns. `processor_us`: processor time of the server for one answer, which
says the same on a machine that others use too. Absent anvil, the figures stand alone. Runs small
unless GHOSTCHAIN_BENCH is "full".

    python -m benchmarks.bench_rpc_reads [--blocks N] [--seconds S] [--turns N] [--rows a,b]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import Load, anvil, load, prepared
from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import Request, RpcClient
from tests.node.clients import tool
from tests.node.process import Ghostd

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
BLOCKS = 10_000 if FULL else 60
SECONDS = 1.0 if FULL else 0.05
TURNS = 3 if FULL else 1
BATCH = 100
CONNECTIONS = 8
CHAIN_ID = 31337
LOGS_EVERY = 50
BLOCK_TRANSACTIONS = 100

# contract Token { mapping(address => uint256) public balanceOf; event Transfer(address indexed
# from, address indexed to, uint256 value); function transfer(address to, uint256 value) ... },
# 10**24 to its creator; solc 0.8.37, optimized.
TOKEN_CODE = bytes.fromhex(
    "6080604052348015600f57600080fd5b5033600090815260208190526040902069d3c21bcecceda100000090556101"
    "d28061003b6000396000f3fe608060405234801561001057600080fd5b50600436106100365760003560e01c806370"
    "a082311461003b578063a9059cbb1461006e575b600080fd5b61005b61004936600461014a565b6000602081905290"
    "8152604090205481565b6040519081526020015b60405180910390f35b61008161007c36600461016c565b61009156"
    "5b6040519015158152602001610065565b336000908152602081905260408120805483919083906100b29084906101"
    "ac565b90915550506001600160a01b038316600090815260208190526040812080548492906100df9084906101bf56"
    "5b90915550506040518281526001600160a01b0384169033907fddf252ad1be2c89b69c2b068fc378daa952ba7f163"
    "c4a11628f55a4df523b3ef9060200160405180910390a35060015b92915050565b80356001600160a01b0381168114"
    "61014557600080fd5b919050565b60006020828403121561015c57600080fd5b6101658261012e565b939250505056"
    "5b6000806040838503121561017f57600080fd5b6101888361012e565b946020939093013593505050565b634e487b"
    "7160e01b600052601160045260246000fd5b8181038181111561012857610128610196565b80820180821115610128"
    "5761012861019656"
)
BALANCE_OF, TRANSFER = bytes.fromhex("70a08231"), bytes.fromhex("a9059cbb")
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

OWNER = address_of(TEST_KEYS[0])
TOKEN = contract_address(OWNER, 0)


def word(address: Address) -> bytes:
    return bytes(12) + address


@dataclass(slots=True)
class Wallet:
    """The owner's transactions, the same for each node."""

    nonce: int = 0

    def sign(self, to: Address | None, data: bytes = b"", *, gas: int = 21_000) -> str:
        tx = Transaction(
            type=2,
            chain_id=CHAIN_ID,
            nonce=self.nonce,
            max_fee_per_gas=100 * 10**9,
            max_priority_fee_per_gas=10**9,
            gas_limit=gas,
            to=to,
            value=0 if data else 1,
            data=data,
        )
        self.nonce += 1
        return "0x" + encode_transaction(sign_transaction(tx, TEST_KEYS[0])).hex()

    def plain(self) -> str:
        return self.sign(Address(self.nonce.to_bytes(20, "big")[::-1]))

    def token(self) -> str:
        receiver = Address(b"\x70" + self.nonce.to_bytes(19, "big"))
        data = TRANSFER + word(receiver) + (1000 + self.nonce).to_bytes(32, "big")
        return self.sign(TOKEN, data, gas=100_000)

    def creation(self) -> str:
        return self.sign(None, TOKEN_CODE, gas=1_000_000)

    def one_by_one(self, blocks: int) -> list[str]:
        """One for each LOGS_EVERY blocks."""
        return [self.creation(), *(self.token() for _ in range(blocks // LOGS_EVERY))]

    def together(self) -> list[str]:
        half = BLOCK_TRANSACTIONS // 2
        return [self.token() if index < half else self.plain() for index in range(half * 2)]


@dataclass(slots=True)
class Node:
    """A server under test."""

    url: str
    pid: int
    client: RpcClient = field(init=False)
    full_block: str = ""
    traced: str = ""

    def __post_init__(self) -> None:
        self.client = RpcClient(self.url, timeout_s=60.0)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def prepare(self, singles: list[str], together: list[str], *, automine: bool) -> None:
        """The chain is there. automine: it must be told to wait for the block of a hundred."""
        for raw in singles:
            self.client.call("anvil_mine", hex(LOGS_EVERY - 1))
            receipt = self.client.call("eth_sendRawTransactionSync", raw)
            if receipt["logs"]:
                self.traced = receipt["transactionHash"]
        if automine:
            self.client.call("evm_setAutomine", False)
        answers = self.client.batch([Request("eth_sendRawTransaction", (raw,)) for raw in together])
        assert all(isinstance(answer, str) for answer in answers), answers[:3]
        if automine:
            self.client.call("evm_mine")
            self.client.call("evm_setAutomine", True)
        last = int(self.client.call("eth_blockNumber"), 16)
        receipt = None
        while receipt is None:
            receipt = self.client.call("eth_getTransactionReceipt", answers[-1])
        last = int(receipt["blockNumber"], 16)
        count = int(self.client.call("eth_getBlockTransactionCountByNumber", hex(last)), 16)
        assert count >= BLOCK_TRANSACTIONS * 9 // 10, f"the pool was sealed in pieces: {count}"
        self.full_block = hex(last)


def recipients(count: int = 100) -> list[str]:
    return ["0x" + (b"\x70" + nonce.to_bytes(19, "big")).hex() for nonce in range(count)]


def logs_filter(node: Node) -> dict[str, Any]:
    last = int(node.full_block, 16) - 1
    return {
        "fromBlock": hex(max(0, last - 9_999)),
        "toBlock": hex(last),
        "address": "0x" + TOKEN.hex(),
        "topics": [TRANSFER_TOPIC],
    }


def balance_call(who: str) -> dict[str, str]:
    return {"to": "0x" + TOKEN.hex(), "data": "0x" + (BALANCE_OF + bytes(12)).hex() + who[2:]}


Parameters = Callable[[Node, str], list[Any]]
# name -> (method, parameters for a node and one of a hundred addresses)
ROWS: dict[str, tuple[str, Parameters]] = {
    "block number": ("eth_blockNumber", lambda node, who: []),
    "balance": ("eth_getBalance", lambda node, who: [who, "latest"]),
    "call": ("eth_call", lambda node, who: [balance_call(who), "latest"]),
    "full block": ("eth_getBlockByNumber", lambda node, who: [node.full_block, True]),
    "logs": ("eth_getLogs", lambda node, who: [logs_filter(node)]),
    "trace": ("debug_traceTransaction", lambda node, who: [node.traced]),
    "trace of calls": (
        "debug_traceTransaction",
        lambda node, who: [node.traced, {"tracer": "callTracer"}],
    ),
}


def body(method: str, params: list[Any], identity: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def requests_of(node: Node, row: str, *, batched: bool) -> bytes:
    method, parameters = ROWS[row]
    calls = [
        body(method, parameters(node, who), index) for index, who in enumerate(recipients(BATCH))
    ]
    if batched:
        return prepared([json.dumps(calls).encode()])
    return prepared([json.dumps(call).encode() for call in calls])


@dataclass(slots=True)
class Figure:
    """What a row gave, of one node."""

    rates: list[float] = field(default_factory=list)
    processor_us: list[float] = field(default_factory=list)
    p99_us: list[int] = field(default_factory=list)

    def add(self, found: Load, items: int) -> None:
        self.rates.append(found.answered * items / found.seconds)
        self.processor_us.append(1e6 * found.processor_s / max(1, found.answered * items))
        self.p99_us.append(found.p99_us)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def processor(self) -> float:
        return statistics.median(self.processor_us)


def measure(
    nodes: list[Node], row: str, *, batched: bool, seconds: float, turns: int
) -> list[Figure]:
    """Of each node in turns. Raises: AssertionError when a node refuses."""
    figures = [Figure() for _ in nodes]
    requests = [requests_of(node, row, batched=batched) for node in nodes]
    items = BATCH if batched else 1
    for turn in range(turns + 1):
        for node, figure, wanted in zip(nodes, figures, requests, strict=True):
            found = load(
                node.port,
                node.pid,
                wanted,
                connections=CONNECTIONS,
                seconds=seconds if turn else seconds / 5,
            )
            assert found.refused == 0, f"{node.url} refused {found.refused} of {row}"
            if turn:
                figure.add(found, items)
    return figures


def outcome(node: Node) -> str:
    """A hash of what reads answer that does not depend on the node."""
    balances = [node.client.call("eth_getBalance", who, "latest") for who in recipients(20)]
    held = [node.client.call("eth_call", balance_call(who), "latest") for who in recipients(20)]
    logs = node.client.call("eth_getLogs", logs_filter(node))
    block = node.client.call("eth_getBlockByNumber", node.full_block, True)
    found = [
        balances,
        held,
        [(log["data"], log["topics"], log["logIndex"]) for log in logs],
        [tx["hash"] for tx in block["transactions"]],
    ]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def has_peer() -> bool:
    try:
        tool("anvil")
    except pytest.skip.Exception:
        return False
    return True


def open_nodes(stack: ExitStack, data_dir: Path | None, blocks: int) -> list[Node]:
    """Ours, then anvil if it is here, both with the chain."""
    wallet = Wallet()
    singles, together = wallet.one_by_one(blocks), wallet.together()
    ours = stack.enter_context(Ghostd("--dev", data_dir=data_dir))
    nodes = [Node(ours.url, ours.process.pid)]
    nodes[0].prepare(singles, together, automine=False)
    if has_peer():
        peer = stack.enter_context(anvil("--steps-tracing"))
        nodes.append(Node(peer.url, peer.pid))
        nodes[1].prepare(singles, together, automine=True)
        assert outcome(nodes[0]) == outcome(nodes[1])
    return nodes


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        yield open_nodes(stack, tmp_path_factory.mktemp("reads"), BLOCKS)


@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("row", ROWS)
def test_reads(benchmark: Any, nodes: list[Node], row: str, batched: bool) -> None:
    figures = benchmark.pedantic(
        measure,
        (nodes, row),
        {"batched": batched, "seconds": SECONDS, "turns": TURNS},
        rounds=1,
    )
    own = figures[0]
    benchmark.extra_info.update(
        row=row,
        batched=batched,
        answers_per_second=round(own.rate),
        processor_us=round(own.processor, 1),
        peer="anvil" if len(figures) > 1 else "anvil is absent",
        result=outcome(nodes[0]),
    )
    for peer in figures[1:]:
        benchmark.extra_info["anvil_per_second"] = round(peer.rate)
        benchmark.extra_info["anvil_processor_us"] = round(peer.processor, 1)
        benchmark.extra_info["ratio"] = round(own.rate / peer.rate, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rows", default=",".join(ROWS))
    chosen = parser.parse_args()
    print(f"{'row':24} {'a second':>9} {'anvil':>9} {'ratio':>6}  cpu us   anvil   ratio    p99 us")
    with ExitStack() as stack:
        nodes = open_nodes(stack, None, chosen.blocks)
        for row in chosen.rows.split(","):
            for batched in (False, True):
                found = measure(
                    nodes, row, batched=batched, seconds=chosen.seconds, turns=chosen.turns
                )
                own, peer = found[0], found[-1]
                print(
                    f"{row + (' batched' if batched else ''):24} {own.rate:9,.0f} "
                    f"{peer.rate:9,.0f} {own.rate / peer.rate:6.2f} {own.processor:8.1f} "
                    f"{peer.processor:8.1f} {peer.processor / max(own.processor, 0.01):6.2f} "
                    f"{max(own.p99_us):9,}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
