"""Who waits for a fork's remote node, and for how many round trips: only whoever needs it, and as
few as the depth of what his transaction reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd, RpcFailure
from tests.unit import fork_remote as faults
from tests.unit.fork_remote import FaultyRemote, RpcRefusal

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
CAROL = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
TIMES = ("--fork-timeout", "6", "--fork-retries", "2", "--fork-retry-backoff", "20")
SLOTS = 30


def deployment(runtime: str) -> str:
    """Code that leaves runtime behind."""
    return f"0x61{len(runtime) // 2:04x}80600a3d393df3" + runtime


def reader() -> str:
    """Returns the sum of so many slots, and keeps it in one more."""
    body = "5f" + "".join(f"60{slot:02x}5401" for slot in range(SLOTS))
    return body + "8060ff55" + "5f5260205ff3"


def chain_of_slots() -> str:
    """Follows eight pointers: each slot says where the next one is."""
    return "5f35" + "54" * 8 + "5f5260205ff3"


class Upstream:
    """A chain with contracts, and a door to it that errs as told."""

    def __init__(self, node: Ghostd, proxy: FaultyRemote, wide: str, deep: str) -> None:
        self.node = node
        self.proxy = proxy
        self.wide = wide
        self.deep = deep
        self.refused: set[str] = set()

    def answer(self, method: str, params: list[Any]) -> Any:
        if method in self.refused:
            raise RpcRefusal(-32601, f"the method {method} does not exist/is not available")
        try:
            return self.node.call(method, *params)
        except RpcFailure as failure:
            raise RpcRefusal(failure.code, failure.message) from None


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Ghostd, str, str]]:
    with Ghostd("--dev") as node:
        places = []
        for runtime in (reader(), chain_of_slots()):
            request = {"from": ALICE, "data": deployment(runtime)}
            receipt = node.wait_for_receipt(node.call("eth_sendTransaction", request))
            places.append(receipt["contractAddress"])
        wide, deep = places
        for slot in range(SLOTS):
            node.call("anvil_setStorageAt", wide, hex(slot), f"0x{slot + 1:064x}")
            node.call("anvil_setStorageAt", deep, hex(slot), f"0x{slot + 1:064x}")
        node.call("anvil_mine")
        yield node, wide, deep


@pytest.fixture
def upstream(node: tuple[Ghostd, str, str]) -> Iterator[Upstream]:
    with FaultyRemote(lambda method, params: found.answer(method, params)) as proxy:
        found = Upstream(node[0], proxy, node[1], node[2])
        yield found


def fork_of(upstream: Upstream, cache: Path, *more: str) -> Ghostd:
    url = upstream.proxy.url
    return Ghostd("--dev", "--fork-url", url, "--cache-dir", str(cache), *TIMES, *more)


def test_only_the_one_request_waits(upstream: Upstream, tmp_path: Path) -> None:
    """A transaction hangs, and 150 calls, since the remote says nothing: reads, blocks and the
    transactions of others are answered at once; it fails in time, and nothing of it is left."""
    with fork_of(upstream, tmp_path) as fork, ThreadPoolExecutor(151) as threads:
        for who in (BOB, CAROL):
            send(fork, who, ALICE)
        upstream.proxy.faults = [faults.silence]
        start = time.monotonic()
        hanging = threads.submit(send, fork, ALICE, upstream.wide, gas="0x100000", data="0x01")
        calls = [
            threads.submit(fork.call, "eth_call", {"to": f"0x{place:040x}", "from": BOB}, "latest")
            for place in range(0x5000, 0x5000 + 150)
        ]
        time.sleep(0.5)
        longest = 0.0
        for _ in range(5):
            for ask in (
                lambda: send(fork, BOB, CAROL, gas="0x5208"),
                lambda: send(fork, CAROL, BOB),
                lambda: fork.call("anvil_mine", "0x2"),
                lambda: fork.call("eth_getBalance", CAROL, "latest"),
                lambda: fork.call("eth_call", {"from": BOB, "to": CAROL}, "latest"),
                lambda: fork.call("eth_getBlockByNumber", "latest", True),
                lambda: fork.call("evm_revert", fork.call("evm_snapshot")),
                lambda: fork.call("anvil_setBalance", CAROL, "0xde0b6b3a7640000"),
            ):
                before = time.monotonic()
                ask()
                longest = max(longest, time.monotonic() - before)
        assert not hanging.done(), "it still hangs meanwhile"
        assert longest < 1.0
        assert refusal_of(hanging).code == -32000
        assert time.monotonic() - start < 30
        for call in calls:
            assert "fork: 127.0.0.1" in refusal_of(call).message
        assert fork.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}
        nonce = fork.call("eth_getTransactionCount", ALICE, "pending")
        upstream.proxy.faults = []
        upstream.proxy.released.set()
        time.sleep(1.1)
        receipt = send(fork, ALICE, upstream.wide, gas="0x100000", data="0x01")
        assert receipt["status"] == "0x1"
        sent = fork.call("eth_getTransactionByHash", receipt["transactionHash"])
        assert sent["nonce"] == nonce


def test_a_block_by_hand_waits_for_what_it_can_have(upstream: Upstream, tmp_path: Path) -> None:
    """Without automine, what waits is in the next block though it needs the remote; where that
    says nothing, the block is made without it, soon, and the next one has it."""
    with fork_of(upstream, tmp_path, "--no-mining") as fork:
        upstream.proxy.faults = [faults.slow(0.2)]
        request = {"from": ALICE, "to": upstream.wide, "gas": "0x100000", "data": "0x01"}
        first = fork.call("eth_sendTransaction", request)
        fork.call("anvil_mine")
        assert fork.call("eth_getTransactionReceipt", first)["status"] == "0x1"
        upstream.proxy.faults = [faults.silence]
        elsewhere = {"from": ALICE, "to": upstream.deep, "gas": "0x100000", "data": "0x01"}
        second = fork.call("eth_sendTransaction", elsewhere)
        before = time.monotonic()
        fork.call("anvil_mine")
        assert time.monotonic() - before < 15
        assert fork.call("eth_getTransactionReceipt", second) is None
        upstream.proxy.faults = []
        upstream.proxy.released.set()
        deadline = time.monotonic() + 20
        while fork.call("eth_getTransactionReceipt", second) is None:
            assert time.monotonic() < deadline
            fork.call("anvil_mine")
            time.sleep(0.2)


@pytest.mark.parametrize("lists", [True, False])
def test_slots_are_asked_for_together(upstream: Upstream, tmp_path: Path, lists: bool) -> None:
    """30 slots cost a few round trips, whether or not the remote can tell which will be read, and
    the call is right; eight pointers, one after the other, cost as many where it cannot."""
    if not lists:
        upstream.refused = {"eth_createAccessList"}
    with fork_of(upstream, tmp_path) as fork:
        send(fork, ALICE, BOB)  # what every block needs is here then
        before = upstream.proxy.posts
        call = {"to": upstream.wide, "from": ALICE, "data": "0x01"}
        assert int(fork.call("eth_call", call, "latest"), 16) == SLOTS * (SLOTS + 1) // 2
        assert upstream.proxy.posts - before <= 4
        before = upstream.proxy.posts
        call = {"to": upstream.deep, "from": ALICE, "data": "0x" + "00" * 32}
        assert int(fork.call("eth_call", call, "latest"), 16) == 8
        assert upstream.proxy.posts - before <= (4 if lists else 11)
        before = upstream.proxy.asked["eth_getStorageAt"]
        assert send(fork, ALICE, upstream.wide, data="0x01")["status"] == "0x1"
        assert upstream.proxy.asked["eth_getStorageAt"] - before <= 1, "the slot it writes"


def test_a_hint_that_lies_changes_nothing(upstream: Upstream, tmp_path: Path) -> None:
    """What the remote lists as touched is but fetched; nonsense in it is left out."""
    lies: list[Any] = [
        None,
        "0x",
        {"accessList": 7},
        {"accessList": [{"address": "0x12", "storageKeys": []}]},
        {"accessList": [{"address": "0x" + "99" * 20, "storageKeys": ["0x1", "zz", 5]}, None]},
        {"accessList": [{"address": "0x" + "98" * 20, "storageKeys": "0x1"}]},
    ]

    answer = upstream.answer

    def lying(method: str, params: list[Any]) -> Any:
        if method == "eth_createAccessList":
            return lies[0]
        return answer(method, params)

    upstream.answer = lying  # type: ignore[method-assign]
    while lies:
        with fork_of(upstream, tmp_path / str(len(lies))) as fork:
            call = {"to": upstream.wide, "from": ALICE, "data": "0x01"}
            assert int(fork.call("eth_call", call, "latest"), 16) == SLOTS * (SLOTS + 1) // 2
        lies.pop(0)


def refusal_of(call: Future[Any]) -> RpcFailure:
    failure = call.exception(20)
    assert isinstance(failure, RpcFailure), failure
    return failure


def send(
    node: Ghostd, sender: str, to: str, gas: str | None = None, data: str = "0x"
) -> dict[str, Any]:
    request = {"from": sender, "to": to, "data": data}
    if gas is not None:
        request["gas"] = gas
    return node.wait_for_receipt(node.call("eth_sendTransaction", request))
