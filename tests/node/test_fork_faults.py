"""A fork whose remote node errs: nothing freezes, nothing is made up, errors say whose it was."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd, RpcFailure, run_ghostd
from tests.unit import fork_remote as faults
from tests.unit.fork_remote import FaultyRemote, Handler, RpcRefusal

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
COUNTER = "0x60158060095f395ff336600c575f545f5260205ff35b5f355f54015f5500"
QUICK = ("--fork-timeout", "3", "--fork-retries", "3", "--fork-retry-backoff", "20")


@pytest.fixture(scope="module")
def origin() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        request = {"from": ALICE, "to": "0x" + "11" * 20, "value": "0x7b"}
        node.wait_for_receipt(node.call("eth_sendTransaction", request))
        yield node


@pytest.fixture
def proxy(origin: Ghostd) -> Iterator[FaultyRemote]:
    def answer(method: str, params: list[Any]) -> Any:
        try:
            return origin.call(method, *params)
        except RpcFailure as failure:
            raise RpcRefusal(failure.code, failure.message) from None

    with FaultyRemote(answer) as server:
        yield server


def fork_of(proxy: FaultyRemote, cache: Path, *more: str) -> Ghostd:
    return Ghostd("--dev", "--fork-url", proxy.url, "--cache-dir", str(cache), *QUICK, *more)


def fresh() -> Iterator[str]:
    for number in range(1, 1 << 16):
        yield "0x" + f"{number:04x}" * 10


def test_nothing_freezes_while_lookups_hang(proxy: FaultyRemote, tmp_path: Path) -> None:
    """Cheap methods, blocks, and calls on what is here all answer, within 50 ms in the median,
    while 40 lookups wait for a remote node that says nothing; they fail in time, by name."""
    addresses = fresh()
    with fork_of(proxy, tmp_path) as fork:
        fork.call("eth_getBalance", BOB, "latest")
        send(fork, BOB, ALICE)
        proxy.faults = [faults.silence]
        failures: list[str] = []

        def hang(method: str, *params: Any) -> None:
            try:
                fork.call(method, *params)
            except RpcFailure as failure:
                failures.append(failure.message)

        with ThreadPoolExecutor(40) as threads:
            for address in (next(addresses) for _ in range(20)):
                threads.submit(hang, "eth_getBalance", address, "latest")
                threads.submit(hang, "eth_call", {"to": address, "from": BOB}, "latest")
            time.sleep(0.3)
            waits = []
            while len(waits) < 120 and not failures:
                for method, params in (
                    ("eth_chainId", []),
                    ("eth_blockNumber", []),
                    ("eth_getBalance", [BOB, "latest"]),
                    ("eth_getTransactionCount", [BOB, "pending"]),
                    ("eth_getBlockByNumber", ["latest", False]),
                    ("eth_call", [{"to": ALICE, "from": BOB}, "latest"]),
                ):
                    before = time.monotonic()
                    fork.call(method, *params)
                    waits.append(time.monotonic() - before)
            assert len(waits) >= 12, "the lookups hang meanwhile"
        assert statistics.median(waits) < 0.05
        assert len(failures) == 40
        host = proxy.url.removeprefix("http://")
        assert all(host in message for message in failures), failures[:3]
        proxy.faults = []
        proxy.released.set()
        time.sleep(1.1)
        assert fork.call("eth_getBalance", "0x" + "11" * 20, "latest") == "0x7b"


def test_blocks_are_sealed_while_the_remote_is_silent(proxy: FaultyRemote, tmp_path: Path) -> None:
    """What needs nothing of the remote goes in; what does is refused when its time is over, with
    the reason and as if it had never been sent, and goes in when the remote is back."""
    with fork_of(proxy, tmp_path) as fork:
        counter = send(fork, ALICE, None, data=COUNTER)["contractAddress"]
        proxy.faults = [faults.silence]
        send(fork, ALICE, counter, data="0x" + "01".rjust(64, "0"), gas="0x186a0")
        assert int(fork.call("eth_call", {"to": counter, "from": ALICE}, "latest"), 16) == 1
        request = {"from": BOB, "to": "0x" + "77" * 20, "value": "0x1", "gas": "0x186a0"}
        with pytest.raises(RpcFailure, match="did not answer") as refused:
            fork.call("eth_sendTransaction", request)
        assert refused.value.code == -32000
        assert fork.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}
        proxy.faults = []
        proxy.released.set()
        time.sleep(1.1)
        assert fork.call("eth_getTransactionCount", BOB, "pending") == "0x0"
        assert fork.wait_for_receipt(fork.call("eth_sendTransaction", request))["status"] == "0x1"


@pytest.mark.parametrize(
    "fault", [faults.too_many, faults.not_json, faults.wrong_ids, faults.truncated, faults.hang_up]
)
def test_a_fault_is_an_error_and_never_a_zero(
    proxy: FaultyRemote, tmp_path: Path, fault: faults.Fault
) -> None:
    rich = "0x" + "11" * 20
    with fork_of(proxy, tmp_path) as fork:
        proxy.faults = [fault]
        for method, params in (
            ("eth_getBalance", [rich, "latest"]),
            ("eth_getStorageAt", [rich, "0x5", "latest"]),
            ("eth_call", [{"to": rich, "from": rich}, "latest"]),
            ("eth_getBlockByNumber", ["0x1", True]),
        ):
            with pytest.raises(RpcFailure, match="fork: 127"):
                fork.call(method, *params)
        proxy.faults = [fault, None]
        time.sleep(1.1)
        assert fork.call("eth_getBalance", rich, "latest") == "0x7b"


def changed(change: Callable[[Any], None]) -> faults.Fault:
    """The right answer, but for what change does to each result."""

    def answer(handler: Handler, body: Any, right: bytes) -> bool:
        parsed = json.loads(right)
        for item in parsed if isinstance(parsed, list) else [parsed]:
            change(item)
        handler.reply(200, json.dumps(parsed).encode())
        return True

    return answer


def lie_about_hash(item: Any) -> None:
    if isinstance(item.get("result"), dict):
        item["result"]["hash"] = "0x" + "ab" * 32


def lie_about_state_root(item: Any) -> None:
    if isinstance(item.get("result"), dict):
        item["result"]["stateRoot"] = "0x" + "ab" * 32


@pytest.mark.parametrize("lie", [lie_about_hash, lie_about_state_root])
def test_a_block_that_is_not_what_its_hash_says_is_refused(
    proxy: FaultyRemote, tmp_path: Path, lie: Callable[[Any], None]
) -> None:
    proxy.faults = [changed(lie)]
    ended = run_ghostd("--dev", "--fork-url", proxy.url, "--cache-dir", str(tmp_path), *QUICK)
    assert ended.returncode == 1
    assert "its state cannot be trusted" in ended.stderr


@pytest.mark.parametrize(
    "value", [None, 5, "", "0x", "0xzz", "5", "0x" + "1" * 65, ["0x1"], {"balance": "0x1"}]
)
def test_values_of_the_wrong_form_are_refused(
    proxy: FaultyRemote, tmp_path: Path, value: Any
) -> None:
    def garble(item: Any) -> None:
        item["result"] = value

    with fork_of(proxy, tmp_path) as fork:
        proxy.faults = [changed(garble)]
        with pytest.raises(RpcFailure, match="nonsense"):
            fork.call("eth_getBalance", "0x" + "11" * 20, "latest")
        proxy.faults = []
        assert fork.call("eth_getBalance", "0x" + "11" * 20, "latest") == "0x7b"


def test_a_remote_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    url = "http://u:secret@127.0.0.1:9/key"
    ended = run_ghostd("--dev", "--fork-url", url, "--cache-dir", str(tmp_path), *QUICK)
    assert ended.returncode == 1
    assert "127.0.0.1:9 did not answer" in ended.stderr
    assert "secret" not in ended.stderr
    assert "key" not in ended.stderr


def test_ten_thousand_lookups_from_many_threads(proxy: FaultyRemote, tmp_path: Path) -> None:
    """Each account is asked for once, however many ask for it."""
    with fork_of(proxy, tmp_path, "--fork-timeout", "60") as fork:
        before = proxy.asked["eth_getBalance"]
        addresses = [f"0x{number:040x}" for number in range(0x1000, 0x1000 + 500)]
        body = [
            {"jsonrpc": "2.0", "id": i, "method": "eth_getBalance", "params": [address, "latest"]}
            for i, address in enumerate(addresses * 2)
        ]
        found: list[Any] = []

        def ask() -> None:
            found.extend(fork.post(json.dumps(body).encode()))

        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 10_000
        assert {item.get("result") for item in found} == {"0x0"}
        assert proxy.asked["eth_getBalance"] - before == 500


def send(
    node: Ghostd, sender: str, to: str | None, data: str = "0x", gas: str | None = None
) -> dict[str, Any]:
    request = {"from": sender, "data": data}
    if to is not None:
        request["to"] = to
    if gas is not None:
        request["gas"] = gas
    return node.wait_for_receipt(node.call("eth_sendTransaction", request))
