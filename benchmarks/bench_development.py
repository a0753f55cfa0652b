"""What a development chain costs that is written to: `ghostd --dev`, the same with a data
directory, and anvil, with the same transactions from the same generator (`requests.c`), in turns.

Each row counts operations: a transaction in a block of its own (automine), one of many in the block
that `evm_mine` makes, an empty block, a snapshot with its way back. `processor_us`: processor time
of the server for one operation, which says the same on a machine that others use too; `ratio`:
anvil's by ours. `rate`: operations a second. "25 at once": as many connections, each with a sender
of its own. What a server took and has in no block five seconds later shows as stuck. Runs small
unless GHOSTCHAIN_BENCH is "full".

    python -m benchmarks.bench_development [--turns N] [--scale F] [--rows "a;b"]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench_rpc_reads import (
    CHAIN_ID,
    TOKEN,
    TOKEN_CODE,
    TRANSFER,
    bodies_of,
    has_peer,
    word,
)
from benchmarks.peers import Meter, anvil, load, prepared
from ghostchain.chain.networks import TEST_MNEMONIC
from ghostchain.crypto.hierarchical import keys_of
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import Request, RpcClient
from tests.node.process import Ghostd

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full" or __name__ == "__main__"
SCALE = 1.0 if FULL else 0.002
TURNS = 3 if FULL else 1
MANY = 25 if FULL else 3
BATCH = 100
STUCK_SECONDS = 5.0


@dataclass(slots=True)
class Sender:
    """A funded account. nonce: of the next transaction of the row that is being made."""

    key: bytes
    nonce: int = 0

    @property
    def address(self) -> Address:
        return address_of(self.key)

    def sign(self, to: Address | None, data: bytes = b"", *, gas: int = 21_000) -> str:
        transaction = Transaction(
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
        return "0x" + encode_transaction(sign_transaction(transaction, self.key)).hex()

    def receiver(self) -> Address:
        """One of a few, since what anvil's blocks cost grows with the accounts that there are."""
        return Address(bytes((self.nonce % 4,)) + self.address[1:])


def transfer(sender: Sender) -> str:
    return sender.sign(sender.receiver())


def token_transfer(sender: Sender) -> str:
    return sender.sign(TOKEN, token_call(sender.receiver(), 1), gas=100_000)


def token_call(to: Address, amount: int) -> bytes:
    return TRANSFER + word(to) + amount.to_bytes(32, "big")


def deploy(sender: Sender) -> str:
    return sender.sign(None, TOKEN_CODE, gas=1_000_000)


@dataclass(slots=True)
class Node:
    """A server under test."""

    name: str
    url: str
    pid: int
    is_peer: bool = False
    client: RpcClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = RpcClient(self.url, timeout_s=600.0)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def send_all(self, raws: list[str]) -> None:
        for start in range(0, len(raws), BATCH):
            part = raws[start : start + BATCH]
            answers = self.client.batch([Request("eth_sendRawTransaction", (raw,)) for raw in part])
            assert all(isinstance(answer, str) for answer in answers), answers[:3]

    def nonces(self, senders: list[Sender]) -> int:
        """How many of their transactions are in blocks."""
        calls = [
            Request("eth_getTransactionCount", ("0x" + one.address.hex(), "latest"))
            for one in senders
        ]
        return sum(int(str(answer), 16) for answer in self.client.batch(calls))


@dataclass(frozen=True, slots=True)
class Work:
    """A row, ready to be done on each node alike. run: what is measured; prepare: what is not,
    before it. senders: whose transactions must be in blocks afterwards."""

    operations: int
    run: Callable[[Node], None]
    prepare: Callable[[Node], None] = lambda node: None
    senders: list[Sender] = field(default_factory=list)


# Of these senders, and about so many operations.
Row = Callable[[list[Sender], int], Work]


def requests(method: str, parameters: list[list[Any]], connections: int) -> Callable[[Node], None]:
    """Each of them once, those of a connection in their order."""
    bodies = prepared(bodies_of(method, parameters, 0))

    def run(node: Node) -> None:
        found = load(
            node.port, node.pid, bodies, connections=connections, seconds=None, in_order=True
        )
        assert found.refused == 0, f"{node.name} refused {found.refused} of {method}"

    return run


def sent(kind: Callable[[Sender], str], count: int, method: str = "eth_sendRawTransaction") -> Row:
    """Signed transactions of `count` senders at once."""

    def row(everybody: list[Sender], operations: int) -> Work:
        senders = everybody[:count]
        turns = max(operations // count, 1)
        raws = [kind(one) for _ in range(turns) for one in senders]
        run = requests(method, [[raw] for raw in raws], count)
        return Work(len(raws), run, senders=senders)

    return row


def sent_by_node(count: int) -> Row:
    """Transactions that the node fills in and signs."""

    def row(everybody: list[Sender], operations: int) -> Work:
        senders = everybody[:count]
        turns = max(operations // count, 1)
        wanted = []
        for _ in range(turns):
            for one in senders:
                to = one.receiver().hex()
                one.nonce += 1
                call = {"from": "0x" + one.address.hex(), "to": "0x" + to, "value": "0x1"}
                wanted.append([call])
        return Work(len(wanted), requests("eth_sendTransaction", wanted, count), senders=senders)

    return row


def sent_and_asked(senders: list[Sender], operations: int) -> Work:
    """Sent, and asked for its receipt until it is there, as clients do that know no other way."""
    senders = senders[:1]
    raws = [transfer(senders[0]) for _ in range(operations)]

    def run(node: Node) -> None:
        for raw in raws:
            name = node.client.call("eth_sendRawTransaction", raw)
            while node.client.call("eth_getTransactionReceipt", name) is None:
                pass

    return Work(operations, run, senders=senders)


def mined_together(senders: list[Sender], operations: int) -> Work:
    """Waiting in the pool, a batch a hundred of them, and in one block when it is asked for."""
    turns = max(operations // MANY, 1)
    raws = [transfer(one) for _ in range(turns) for one in senders]

    def run(node: Node) -> None:
        node.client.call("evm_setAutomine", False)
        node.send_all(raws)
        node.client.call("evm_mine")
        node.client.call("evm_setAutomine", True)

    return Work(len(raws), run, senders=senders)


def mined_at_once(senders: list[Sender], operations: int) -> Work:
    return Work(operations, lambda node: node.client.call("anvil_mine", hex(operations)))


def mined_one_by_one(senders: list[Sender], operations: int) -> Work:
    return Work(operations, requests("evm_mine", [[] for _ in range(operations)], 1))


def come_back_at_once(senders: list[Sender], operations: int) -> Work:
    """A test's way: a snapshot, three transactions, and back."""
    senders = senders[:1]
    before = senders[0].nonce
    raws = [transfer(senders[0]) for _ in range(3)]
    senders[0].nonce = before

    def run(node: Node) -> None:
        for _ in range(operations):
            moment = node.client.call("evm_snapshot")
            for raw in raws:
                node.client.call(RAW_SYNC, raw)
            assert node.client.call("evm_revert", moment)

    return Work(operations, run, senders=senders)


def come_back_over_many(senders: list[Sender], operations: int) -> Work:
    """Back over as many blocks, each with a transaction; only the way back is measured."""
    senders = senders[:1]
    before = senders[0].nonce
    raws = [transfer(senders[0]) for _ in range(operations)]
    senders[0].nonce = before
    moments: dict[str, Any] = {}

    def prepare(node: Node) -> None:
        moments[node.url] = node.client.call("evm_snapshot")
        for raw in raws:
            node.client.call(RAW_SYNC, raw)

    def run(node: Node) -> None:
        assert node.client.call("evm_revert", moments[node.url])

    return Work(operations, run, prepare, senders)


RAW_SYNC = "eth_sendRawTransactionSync"
ROWS: dict[str, tuple[Row, int]] = {
    "transfer": (sent(transfer, 1), 500),
    "transfer, 25 at once": (sent(transfer, MANY), 1_000),
    "token transfer": (sent(token_transfer, 1), 500),
    "token transfer, 25 at once": (sent(token_transfer, MANY), 1_000),
    "transfer of the node's account": (sent_by_node(1), 250),
    "the same, 25 at once": (sent_by_node(MANY), 500),
    "transfer with its receipt": (sent(transfer, 1, RAW_SYNC), 500),
    "transfer, then its receipt": (sent_and_asked, 250),
    "many in one block": (mined_together, 1_000),
    "anvil_mine of many": (mined_at_once, 10_000),
    "evm_mine": (mined_one_by_one, 500),
    "snapshot, three transfers, revert": (come_back_at_once, 100),
    "revert over many blocks": (come_back_over_many, 500),
    # Last, since what anvil's blocks cost grows with the contracts that there are.
    "deploy": (sent(deploy, 1), 250),
    "deploy, 25 at once": (sent(deploy, MANY), 500),
}


@dataclass(slots=True)
class Figure:
    """What a row gave, of one node. stuck: transactions that no block has."""

    processor_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    stuck: int = 0

    @property
    def processor(self) -> float:
        return statistics.median(self.processor_us)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


@dataclass(slots=True)
class Bench:
    """Nodes with the same accounts."""

    nodes: list[Node]
    senders: list[Sender]

    def measure(self, row: str, *, turns: int, scale: float) -> list[Figure]:
        """Of each node. Raises: AssertionError when one refuses, or a ghostd lets anything wait."""
        make, operations = ROWS[row]
        figures = [Figure() for _ in self.nodes]
        for _ in range(turns):
            work = make(self.senders, max(int(operations * scale), 4))
            for node, figure in zip(self.nodes, figures, strict=True):
                work.prepare(node)
                meter, started = Meter(node.pid), time.perf_counter()
                work.run(node)
                seconds, used_s = time.perf_counter() - started, meter.used()
                figure.processor_us.append(1e6 * used_s / work.operations)
                figure.rates.append(work.operations / seconds)
                figure.stuck += stuck(node, work.senders)
        own = [figure for node, figure in zip(self.nodes, figures, strict=True) if not node.is_peer]
        assert not any(figure.stuck for figure in own), f"{row}: transactions are stuck"
        return figures


def stuck(node: Node, senders: list[Sender]) -> int:
    """How many of their transactions no block has after a while. The peer is helped on then, so
    that the next row finds it as the others."""
    wanted = sum(one.nonce for one in senders)

    def missing() -> int:
        deadline = time.monotonic() + STUCK_SECONDS
        while (found := node.nonces(senders)) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        return wanted - found

    count = missing() if senders else 0
    if count and node.is_peer:
        node.client.call("evm_mine")
        node.client.call("anvil_dropAllTransactions")
        for one in senders:
            node.client.call("anvil_setNonce", "0x" + one.address.hex(), hex(one.nonce))
    return count


def open_bench(stack: ExitStack, folder: Path) -> Bench:
    """ghostd without and with a data directory, and anvil if it is here; each with the token."""
    owner, *senders = (Sender(key) for key in keys_of(TEST_MNEMONIC, MANY + 1))
    arguments = ("--accounts", str(MANY + 1))

    def own(name: str, data_dir: Path | None) -> Node:
        ghostd = stack.enter_context(Ghostd("--dev", *arguments, data_dir=data_dir))
        return Node(name, ghostd.url, ghostd.process.pid)

    def peer() -> Node:
        found = stack.enter_context(anvil(*arguments))
        return Node("anvil", found.url, found.pid, is_peer=True)

    starts = [partial(own, "ghostd", None), partial(own, "ghostd, kept", folder / "chain")]
    starts += [peer] * has_peer()
    # All at once: a node takes seconds to start where others use the machine too.
    with ThreadPoolExecutor(len(starts)) as starting:
        nodes = list(starting.map(lambda start: start(), starts))
    raws = [deploy(owner)]
    raws += [owner.sign(TOKEN, token_call(one.address, 10**9), gas=100_000) for one in senders]
    for node in nodes:
        for raw in raws:
            assert node.client.call(RAW_SYNC, raw)["status"] == "0x1"
    return Bench(nodes, senders)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield open_bench(stack, tmp_path_factory.mktemp("development"))


@pytest.mark.parametrize("row", ROWS)
def test_development(benchmark: Any, bench: Bench, row: str) -> None:
    figures = benchmark.pedantic(bench.measure, (row,), {"turns": TURNS, "scale": SCALE}, rounds=1)
    own, kept = figures[:2]
    benchmark.extra_info.update(
        row=row,
        processor_us=round(own.processor, 1),
        processor_us_kept=round(kept.processor, 1),
        rate=round(own.rate),
        peer="anvil" if len(figures) > 2 else "anvil is absent",
    )
    for peer in figures[2:]:
        benchmark.extra_info["anvil_processor_us"] = round(peer.processor, 1)
        benchmark.extra_info["anvil_rate"] = round(peer.rate)
        benchmark.extra_info["anvil_stuck"] = peer.stuck
        benchmark.extra_info["ratio"] = round(peer.processor / max(own.processor, 0.01), 2)


def show(name: str, figures: list[Figure]) -> None:
    own, kept, peer = figures[0], figures[1], figures[-1]
    print(
        f"{name:36}{own.processor:9,.0f}{kept.processor:9,.0f}{peer.processor:9,.0f}"
        f"{peer.processor / max(own.processor, 0.01):7.2f}"
        f"{own.rate:11,.0f}{kept.rate:9,.0f}{peer.rate:9,.0f}{peer.stuck:7}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--scale", type=float, default=SCALE)
    parser.add_argument("--rows", default=";".join(ROWS), help="names between semicolons")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = open_bench(stack, folder)
        print(
            f"{'':36}{'us: own':>9}{'kept':>9}{'anvil':>9}{'ratio':>7}"
            f"{'rate: own':>11}{'kept':>9}{'anvil':>9}{'stuck':>7}"
        )
        for row in chosen.rows.split(";"):
            show(row, bench.measure(row, turns=chosen.turns, scale=chosen.scale))


if __name__ == "__main__":
    main()
