"""Reads over JSON-RPC: `ghostd --dev` beside anvil, over the same chain, with the same prepared
bytes from the same generator (`requests.c`), in turns on the same cores.

The chain: BLOCKS blocks, every tenth of them with a transfer of one of five ERC-20 in turn and the
rest empty, so that the logs of each token are in 200 of 10,000 blocks; and FULL_BLOCKS blocks of a
hundred transactions. Each row is a method, asked alone (one request under way on each of 8
keep-alive connections) or 100 in a batch, 20 of what is large. `ratio`: answers a second, ours by
anvil's, the median of the turns. `processor_us`: processor time of the server for one answer, which
says the same on a machine that others use too. Absent anvil, the figures stand alone. Runs small
unless GHOSTCHAIN_BENCH is "full".

The second table asks nothing twice: each request is sent once, about what nobody has asked for
before; "restarted": ours has just been started, and has nothing of the chain in its memory. The
third asks over 64 connections, over WebSocket, and while blocks are made.

Both chains are made at the same time, and no turn of a row begins after ROW_S: the whole takes
about four minutes on two free cores. More than one of them is the peer's, whose blocks cost more
with each block before them (0.6 ms of processor time each at first, 4 ms after 3,000).

    python -m benchmarks.bench_rpc_reads [--blocks N] [--seconds S] [--turns N] [--rows a,b]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from benchmarks.peers import Load, anvil, framed, load, prepared
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

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full" or __name__ == "__main__"
BLOCKS = 10_000 if FULL else 150
SECONDS = 1.0 if FULL else 0.05
TURNS = 3 if FULL else 1
BATCH = 100
# Of what takes the peer tens of milliseconds each.
LARGE_BATCH = 20
LARGE = ("full block", "logs")
CONNECTIONS = 8
ROW_S = 12.0
CHAIN_ID = 31337
LOGS_EVERY = 10
TOKENS = 5
BLOCK_TRANSACTIONS = 100
# Of a hundred transactions, most of which are read once and never again.
FULL_BLOCKS = 41 if FULL else 3
ONCE = 4_000 if FULL else 40
# The peer has forgotten the states of blocks that are more than some 4,000 back.
TRACED_BLOCKS = 3_000

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
ADDRESSES = [contract_address(OWNER, nonce) for nonce in range(TOKENS)]


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

    def token(self, which: Address = TOKEN) -> str:
        receiver = Address(b"\x70" + self.nonce.to_bytes(19, "big"))
        data = TRANSFER + word(receiver) + (1000 + self.nonce).to_bytes(32, "big")
        return self.sign(which, data, gas=100_000)

    def creation(self) -> str:
        return self.sign(None, TOKEN_CODE, gas=1_000_000)

    def one_by_one(self, blocks: int) -> list[str]:
        """One for each LOGS_EVERY blocks, after the creations."""
        made = [self.creation() for _ in ADDRESSES]
        turns = range(blocks // LOGS_EVERY - len(made))
        return [*made, *(self.token(ADDRESSES[turn % TOKENS]) for turn in turns)]

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
    full_blocks: list[str] = field(default_factory=list)
    traced: str = ""
    transfers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = RpcClient(self.url, timeout_s=60.0)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def prepare(self, singles: list[str], *fulls: list[str], automine: bool) -> None:
        """The chain is there. automine: it must be told to wait for the blocks of a hundred."""
        for raw in singles:
            self.client.call("anvil_mine", hex(LOGS_EVERY - 1))
            receipt = self.client.call("eth_sendRawTransactionSync", raw)
            if receipt["logs"]:
                self.traced = receipt["transactionHash"]
                self.transfers.append(self.traced)
        for raws in fulls:
            self.seal_together(raws, automine=automine)
        self.full_block = self.full_blocks[-1]

    def seal_together(self, raws: list[str], *, automine: bool) -> None:
        if automine:
            self.client.call("evm_setAutomine", False)
        answers = self.client.batch([Request("eth_sendRawTransaction", (raw,)) for raw in raws])
        assert all(isinstance(answer, str) for answer in answers), answers[:3]
        if automine:
            self.client.call("evm_mine")
            self.client.call("evm_setAutomine", True)
        receipt = None
        while receipt is None:
            receipt = self.client.call("eth_getTransactionReceipt", answers[-1])
        number = receipt["blockNumber"]
        count = int(self.client.call("eth_getBlockTransactionCountByNumber", number), 16)
        assert count >= BLOCK_TRANSACTIONS * 9 // 10, f"the pool was sealed in pieces: {count}"
        self.full_blocks.append(number)


def recipients(count: int = 100) -> list[str]:
    return ["0x" + (b"\x70" + nonce.to_bytes(19, "big")).hex() for nonce in range(count)]


def logs_filter(node: Node, token: Address = TOKEN, *, inwards: int = 0) -> dict[str, Any]:
    """Of the 10,000 blocks before those of a hundred transactions, `inwards` fewer on both ends."""
    last = int(node.full_blocks[0], 16) - 1
    return {
        "fromBlock": hex(max(0, last - 9_999) + inwards),
        "toBlock": hex(last - inwards),
        "address": "0x" + token.hex(),
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


def strangers(seed: int, count: int) -> list[str]:
    """Addresses that nobody has asked about."""
    chance = random.Random(seed)
    return ["0x" + chance.randbytes(20).hex() for _ in range(count)]


def halves(items: list[Any]) -> tuple[list[Any], list[Any]]:
    """What is asked alone, and what in batches."""
    return items[: len(items) // 2], items[len(items) // 2 :]


@dataclass(frozen=True, slots=True)
class Once:
    """Requests that are sent once each. parameters: of a node, all of them different; some alone,
    the others in batches of that many."""

    method: str
    parameters: Callable[[Node], list[list[Any]]]
    batch: int


def transfers(node: Node, part: int, *options: Any) -> list[list[Any]]:
    """A quarter of the transfers in the newest blocks."""
    found = node.transfers[-TRACED_BLOCKS // LOGS_EVERY :][part::4]
    return [[item, *options] for item in found]


ONCE_ROWS: dict[str, Once] = {
    "balance": Once(
        "eth_getBalance", lambda node: [[who, "latest"] for who in strangers(1, 2 * ONCE)], BATCH
    ),
    "call": Once(
        "eth_call",
        lambda node: [[balance_call(who), "latest"] for who in strangers(2, 2 * ONCE)],
        BATCH,
    ),
    "full block": Once(
        "eth_getBlockByNumber",
        lambda node: [[number, True] for number in node.full_blocks[:-1]],
        max(1, FULL_BLOCKS // 8),
    ),
    "logs": Once("eth_getLogs", lambda node: [[logs_filter(node, it)] for it in ADDRESSES[1:]], 2),
    "logs, new ranges": Once(
        "eth_getLogs",
        lambda node: [[logs_filter(node, inwards=i + 1)] for i in range(min(BLOCKS // 10, 160))],
        20,
    ),
    "trace": Once("debug_traceTransaction", lambda node: transfers(node, 0), 10),
    "trace of calls": Once(
        "debug_traceTransaction", lambda node: transfers(node, 2, {"tracer": "callTracer"}), 10
    ),
}


def body(method: str, params: list[Any], identity: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def bodies_of(method: str, parameters: list[list[Any]], batch: int) -> list[bytes]:
    """As single calls (batch 0), or as batches."""
    calls = [body(method, params, index) for index, params in enumerate(parameters)]
    if not batch:
        return [json.dumps(call).encode() for call in calls]
    parts = [calls[start : start + batch] for start in range(0, len(calls), batch)]
    return [json.dumps(part).encode() for part in parts]


def requests_of(node: Node, row: str, *, batched: bool) -> list[bytes]:
    method, parameters = ROWS[row]
    wanted = [parameters(node, who) for who in recipients(BATCH)]
    return bodies_of(method, wanted, batch_of(row) if batched else 0)


def batch_of(row: str) -> int:
    return LARGE_BATCH if row in LARGE else BATCH


@dataclass(slots=True)
class Figure:
    """What a row gave, of one node."""

    rates: list[float] = field(default_factory=list)
    processor_us: list[float] = field(default_factory=list)
    p99_us: list[int] = field(default_factory=list)

    def add(self, found: Load, items: float) -> None:
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
    nodes: list[Node],
    row: str,
    *,
    batched: bool,
    seconds: float,
    turns: int,
    connections: int = CONNECTIONS,
    websocket: bool = False,
) -> list[Figure]:
    """Of each node in turns. Raises: AssertionError when a node refuses."""
    figures = [Figure() for _ in nodes]
    write = framed if websocket else prepared
    requests = [write(requests_of(node, row, batched=batched)) for node in nodes]
    items = batch_of(row) if batched else 1
    end = time.monotonic() + ROW_S
    for turn in range(turns + 1):
        if turn > 1 and time.monotonic() > end:
            break
        for node, figure, wanted in zip(nodes, figures, requests, strict=True):
            found = load(
                node.port,
                node.pid,
                wanted,
                connections=connections,
                seconds=seconds if turn else seconds / 5,
                websocket=websocket,
            )
            assert found.refused == 0, f"{node.url} refused {found.refused} of {row}"
            if turn:
                figure.add(found, items)
    return figures


def measure_once(
    nodes: list[Node], row: str, *, batched: bool, is_whole: bool = False
) -> list[Figure]:
    """Of each node, every request sent once, half of them alone and half in batches (is_whole: all
    of them), over no more connections than there are requests, since opening one costs more than
    most of them. Raises: AssertionError when a node refuses."""
    figures = []
    for node in nodes:
        asked = ONCE_ROWS[row]
        wanted = asked.parameters(node)
        if not is_whole:
            wanted = halves(wanted)[batched]
        requests = bodies_of(asked.method, wanted, asked.batch if batched else 0)
        connections = min(CONNECTIONS, len(requests))
        found = load(node.port, node.pid, prepared(requests), connections=connections, seconds=None)
        if found.refused:
            print(f"{node.url} refused {found.refused} of {len(requests)}: {row}")
        assert found.answered == len(requests)
        figures.append(Figure())
        figures[-1].add(found, len(wanted) / len(requests))
    return figures


@contextmanager
def sealing(nodes: list[Node]) -> Iterator[None]:
    """Meanwhile each node makes about ten blocks a second."""
    is_over = threading.Event()

    def work(node: Node) -> None:
        client = RpcClient(node.url, timeout_s=60.0)
        while not is_over.wait(0.1):
            client.call("evm_mine")

    threads = [threading.Thread(target=work, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


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


def open_nodes(own: ExitStack, others: ExitStack, data_dir: Path | None, blocks: int) -> list[Node]:
    """Ours, then anvil if it is here, both with the chain, which they make at the same time. What
    has to be closed goes to one stack each."""
    wallet = Wallet()
    singles = wallet.one_by_one(blocks)
    fulls = [wallet.together() for _ in range(FULL_BLOCKS)]
    ours = own.enter_context(Ghostd("--dev", data_dir=data_dir))
    nodes = [Node(ours.url, ours.process.pid)]
    if has_peer():
        peer = others.enter_context(anvil("--steps-tracing"))
        nodes.append(Node(peer.url, peer.pid))
    with ThreadPoolExecutor(len(nodes)) as pool:
        makings = [
            pool.submit(node.prepare, singles, *fulls, automine=node is not nodes[0])
            for node in nodes
        ]
    for making in makings:
        making.result()
    assert len({outcome(node) for node in nodes}) == 1, "the chains differ"
    return nodes


def restarted(stack: ExitStack, nodes: list[Node], data_dir: Path) -> list[Node]:
    """The same, but ours was just started again, and has answered a few requests about nothing, so
    that its threads are there. stack: what holds ours alone."""
    stack.close()
    ours = stack.enter_context(Ghostd("--dev", data_dir=data_dir))
    own = replace(nodes[0], url=ours.url, pid=ours.process.pid)
    nothing = [[{"fromBlock": "0x0", "toBlock": "0x0"}]] * 100
    requests = prepared(bodies_of("eth_getLogs", nothing, 0))
    found = load(own.port, own.pid, requests, connections=CONNECTIONS, seconds=None)
    assert found.answered == len(nothing)
    assert not found.refused
    return [own, *nodes[1:]]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        yield open_nodes(stack, stack, tmp_path_factory.mktemp("reads"), BLOCKS)


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


@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("row", ONCE_ROWS)
def test_first_readings(benchmark: Any, nodes: list[Node], row: str, batched: bool) -> None:
    figures = benchmark.pedantic(measure_once, (nodes, row), {"batched": batched}, rounds=1)
    benchmark.extra_info.update(
        row=f"{row}, first reading",
        batched=batched,
        answers_per_second=round(figures[0].rate),
        processor_us=round(figures[0].processor, 1),
        peer="anvil" if len(figures) > 1 else "anvil is absent",
    )
    for peer in figures[1:]:
        benchmark.extra_info["anvil_per_second"] = round(peer.rate)
        benchmark.extra_info["anvil_processor_us"] = round(peer.processor, 1)
        benchmark.extra_info["ratio"] = round(figures[0].rate / peer.rate, 2)


HEADING = f"{'a second':>10} {'anvil':>9} {'ratio':>6}  cpu us   anvil   ratio    p99 us     anvil"


def show(name: str, found: list[Figure]) -> None:
    own, peer = found[0], found[-1]
    print(
        f"{name:34} {own.rate:9,.0f} {peer.rate:9,.0f} {own.rate / peer.rate:6.2f} "
        f"{own.processor:8.1f} {peer.processor:8.1f} "
        f"{peer.processor / max(own.processor, 0.01):6.2f} "
        f"{max(own.p99_us):9,} {max(peer.p99_us):9,}",
        flush=True,
    )


def show_others(nodes: list[Node], timing: dict[str, Any]) -> None:
    """Rows that ask as others do."""
    print(f"{'asked otherwise':34}{HEADING}")
    for row in ("balance", "call"):
        for batched in (False, True):
            suffix = " batched" if batched else ""
            many = measure(nodes, row, batched=batched, connections=64, **timing)
            show(f"{row}{suffix}, 64 connections", many)
            socket = measure(nodes, row, batched=batched, websocket=True, **timing)
            show(f"{row}{suffix}, WebSocket", socket)
            with sealing(nodes):
                show(f"{row}{suffix}, blocks made", measure(nodes, row, batched=batched, **timing))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--tables", default="often,once,others")
    chosen = parser.parse_args()
    rows, tables = chosen.rows.split(","), chosen.tables.split(",")
    timing = {"seconds": chosen.seconds, "turns": chosen.turns}
    with TemporaryDirectory() as folder, ExitStack() as stack:
        own, data_dir = stack.enter_context(ExitStack()), Path(folder)
        nodes = open_nodes(own, stack, data_dir, chosen.blocks)
        # First readings first: afterwards somebody has asked.
        if "once" in tables:
            print(f"{'each request sent once':34}{HEADING}")
            for row in ONCE_ROWS:
                for batched in (False, True):
                    suffix = " batched" if batched else ""
                    show(row + suffix, measure_once(nodes, row, batched=batched))
            for batched in (False, True):
                suffix = " batched" if batched else ""
                nodes = restarted(own, nodes, data_dir)
                found = measure_once(nodes, "logs", batched=batched, is_whole=True)
                show(f"logs, restarted{suffix}", found)
        if "often" in tables:
            print(f"{'asked again and again':34}{HEADING}")
            for row in rows:
                for batched in (False, True):
                    suffix = " batched" if batched else ""
                    show(row + suffix, measure(nodes, row, batched=batched, **timing))
        if "others" in tables:
            show_others(nodes, timing)


if __name__ == "__main__":
    main()
