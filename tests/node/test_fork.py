"""A development chain that is a fork of another node's, both on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd, RpcFailure

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
STRANGER = "0x" + "11" * 20
# Counts in slot 0: tells it without data, else adds the word given.
COUNTER = "0x60158060095f395ff336600c575f545f5260205ff35b5f355f54015f5500"
TOPIC = "0x" + "5a" * 32
# Logs the word that it is given under that topic.
LOGGER = "0x602a8060095f395ff35f355f527f" + "5a" * 32 + "60205fa100"


@pytest.fixture(scope="module")
def remote() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        send(node, ALICE, STRANGER, value=123)
        yield node


def send(
    node: Ghostd, sender: str, to: str | None, value: int = 0, data: str = "0x"
) -> dict[str, Any]:
    request = {"from": sender, "value": hex(value), "data": data}
    if to is not None:
        request["to"] = to
    return node.wait_for_receipt(node.call("eth_sendTransaction", request))


def fork_of(remote: Ghostd, cache: Path, *more: str, data_dir: Path | None = None) -> Ghostd:
    return Ghostd(
        "--dev", "--fork-url", remote.url, "--cache-dir", str(cache), *more, data_dir=data_dir
    )


def test_a_fork_reads_the_remote_and_writes_here(remote: Ghostd, tmp_path: Path) -> None:
    with fork_of(remote, tmp_path) as fork:
        head = int(remote.call("eth_blockNumber"), 16)
        assert int(fork.call("eth_blockNumber"), 16) == head
        assert fork.call("eth_chainId") == remote.call("eth_chainId")
        before = int(remote.call("eth_getBalance", STRANGER, "latest"), 16)
        assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == before >= 123
        receipt = send(fork, BOB, STRANGER, value=7)
        assert int(receipt["blockNumber"], 16) == head + 1
        assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == before + 7
        assert int(fork.call("eth_getBalance", STRANGER, hex(head)), 16) == before
        assert int(remote.call("eth_getBalance", STRANGER, "latest"), 16) == before


def test_a_second_run_asks_nothing_of_the_state(remote: Ghostd, tmp_path: Path) -> None:
    """Chain id and block are what it still asks, to know which cache is good."""
    asked = []
    for _ in range(2):
        with fork_of(remote, tmp_path) as fork:
            fork.call("eth_getBalance", STRANGER, "latest")
            send(fork, BOB, STRANGER, value=7)
            opened = [e for e in fork.events if e.get("message") == "fork opened"]
            asked.append(opened[0]["requests"])
    assert asked[0] > 40
    assert asked[1] == 2


def test_a_fork_goes_on_after_a_restart(remote: Ghostd, tmp_path: Path) -> None:
    with fork_of(remote, tmp_path / "cache", data_dir=tmp_path / "data") as fork:
        counter = send(fork, ALICE, None, data=COUNTER)["contractAddress"]
        send(fork, ALICE, counter, data="0x" + (5).to_bytes(32, "big").hex())
        head = fork.call("eth_blockNumber")
    with fork_of(remote, tmp_path / "other", data_dir=tmp_path / "data") as fork:
        assert fork.call("eth_blockNumber") == head
        assert int(fork.call("eth_call", {"to": counter}, "latest"), 16) == 5
        send(fork, ALICE, counter, data="0x" + (0).to_bytes(32, "big").hex())
        assert int(fork.call("eth_getStorageAt", counter, "0x0", "latest"), 16) == 5


def test_what_was_before_the_fork_is_the_remotes(remote: Ghostd, tmp_path: Path) -> None:
    """Blocks, transactions, receipts, logs and traces, by number, tag and hash."""
    counter = send(remote, ALICE, None, data=LOGGER)["contractAddress"]
    logged = send(remote, ALICE, counter, data="0x" + "ab" * 32)
    with fork_of(remote, tmp_path) as fork:
        head = remote.call("eth_blockNumber")
        block_hash, tx_hash = logged["blockHash"], logged["transactionHash"]
        same: list[tuple[str, list[Any]]] = [
            ("eth_getBlockByNumber", [head, True]),
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_getBlockByNumber", ["0x0", True]),
            ("eth_getBlockByNumber", ["earliest", False]),
            ("eth_getBlockByNumber", [hex(int(head, 16) + 1), False]),
            ("eth_getBlockByHash", [block_hash, True]),
            ("eth_getBlockByHash", ["0x" + "12" * 32, True]),
            ("eth_getHeaderByHash", [block_hash]),
            ("eth_getBlockReceipts", [head]),
            ("eth_getBlockReceipts", [block_hash]),
            ("eth_getBlockTransactionCountByHash", [block_hash]),
            ("eth_getTransactionByHash", [tx_hash]),
            ("eth_getTransactionByHash", ["0x" + "12" * 32]),
            ("eth_getTransactionReceipt", [tx_hash]),
            ("eth_getRawTransactionByHash", [tx_hash]),
            ("eth_getTransactionByBlockNumberAndIndex", [head, "0x0"]),
            ("eth_getLogs", [{"fromBlock": "earliest", "toBlock": "latest"}]),
            ("eth_getLogs", [{"blockHash": block_hash}]),
            ("eth_getLogs", [{"fromBlock": "0x0", "address": counter, "topics": [TOPIC]}]),
            ("eth_getLogs", [{"fromBlock": "0x0", "address": ALICE}]),
            ("eth_getBalance", [BOB, "0x0"]),
            ("eth_getProof", [counter, ["0x0"], head]),
            ("eth_getProof", [STRANGER, [], "0x1"]),
            ("eth_call", [{"to": counter, "data": "0x01"}, "0x1"]),
            ("eth_feeHistory", ["0x2", "latest", [50]]),
            ("debug_traceTransaction", [tx_hash, {"tracer": "callTracer"}]),
            ("debug_traceBlockByNumber", [head, {"tracer": "callTracer"}]),
            ("debug_getRawBlock", [head]),
        ]
        for method, params in same:
            there, here = ask(remote, method, params), ask(fork, method, params)
            assert here == there, (method, params)
        mine = send(fork, BOB, counter, data="0x" + "cd" * 32)
        logs = fork.call("eth_getLogs", {"fromBlock": "0x0", "topics": [TOPIC]})
        assert [log["transactionHash"] for log in logs] == [tx_hash, mine["transactionHash"]]
        assert fork.call("eth_getBlockByNumber", "latest", False)["parentHash"] == block_hash
        fees = fork.call("eth_feeHistory", "0x3", "latest", [50])
        assert int(fees["oldestBlock"], 16) == int(head, 16) - 1
        assert [len(fees[name]) for name in ("baseFeePerGas", "gasUsedRatio", "reward")] == [
            4,
            3,
            3,
        ]


def test_later_blocks_of_the_remote_are_not_ours(remote: Ghostd, tmp_path: Path) -> None:
    with fork_of(remote, tmp_path) as fork:
        later = send(remote, ALICE, STRANGER, value=1)
        for method, params in (
            ("eth_getTransactionByHash", [later["transactionHash"]]),
            ("eth_getTransactionReceipt", [later["transactionHash"]]),
            ("eth_getBlockByHash", [later["blockHash"], False]),
            ("eth_getBlockByNumber", [later["blockNumber"], False]),
        ):
            assert fork.call(method, *params) is None, method
        assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) < int(
            remote.call("eth_getBalance", STRANGER, "latest"), 16
        )


def ask(node: Ghostd, method: str, params: list[Any]) -> Any:
    """The result, or code and message of the error."""
    try:
        return node.call(method, *params)
    except RpcFailure as failure:
        return failure.code, failure.message


def test_a_reset_goes_back_or_elsewhere(remote: Ghostd, tmp_path: Path) -> None:
    head = int(remote.call("eth_blockNumber"), 16)
    with fork_of(remote, tmp_path / "cache", data_dir=tmp_path / "data") as fork:
        send(fork, BOB, STRANGER, value=7)
        fork.call("evm_snapshot")
        fork.call("anvil_reset", {})
        assert int(fork.call("eth_blockNumber"), 16) == head
        before = int(fork.call("eth_getBalance", STRANGER, "latest"), 16)
        assert before == int(remote.call("eth_getBalance", STRANGER, "latest"), 16)
        fork.call("anvil_reset", {"forking": {"blockNumber": 1}})
        assert fork.call("eth_blockNumber") == "0x1"
        assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == 123
        assert fork.call("eth_getBlockByNumber", "0x2", False) is None
        info = fork.call("anvil_nodeInfo")["forkConfig"]
        assert info["forkUrl"] == remote.url
        assert info["forkBlockNumber"] == 1
        assert int(send(fork, BOB, STRANGER, value=7)["blockNumber"], 16) == 2
        with pytest.raises(RpcFailure, match="did not answer"):
            fork.call("hardhat_reset", {"forking": {"jsonRpcUrl": "http://127.0.0.1:9"}})
        assert fork.call("eth_blockNumber") == "0x2"
    with fork_of(remote, tmp_path / "cache", data_dir=tmp_path / "data") as fork:
        assert fork.call("eth_blockNumber") == "0x2"
        assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == 130


def test_a_development_chain_becomes_a_fork(remote: Ghostd, tmp_path: Path) -> None:
    with Ghostd("--dev", "--chain-id", "31337") as node:
        send(node, ALICE, BOB, value=1)
        forking = {"jsonRpcUrl": remote.url, "blockNumber": 1}
        node.call("anvil_reset", {"forking": forking})
        assert int(node.call("eth_getBalance", STRANGER, "latest"), 16) == 123
        assert node.call("eth_getBlockByNumber", "0x1", True) == remote.call(
            "eth_getBlockByNumber", "0x1", True
        )
        node.call("anvil_setRpcUrl", remote.url.replace("127.0.0.1", "localhost"))
        assert int(node.call("eth_getBalance", "0x" + "22" * 20, "latest"), 16) == 0
        with pytest.raises(RpcFailure, match="expected an http"):
            node.call("anvil_setRpcUrl", "nonsense")


def test_the_clock_goes_on_from_the_block(tmp_path: Path) -> None:
    """Of a block of long ago too: the fork's blocks are seconds younger, not years."""
    with Ghostd("--dev", "--timestamp", "1000000000") as remote:
        remote.call("evm_mine")
        block = int(remote.call("eth_getBlockByNumber", "0x1", False)["timestamp"], 16)
        with fork_of(remote, tmp_path) as fork:
            receipt = send(fork, BOB, STRANGER, value=7)
            sealed = fork.call("eth_getBlockByHash", receipt["blockHash"], False)
            assert block < int(sealed["timestamp"], 16) < block + 600


def test_a_fork_begins_before_a_transaction(tmp_path: Path) -> None:
    """What came before it in its block has happened, itself and what came after has not."""
    with Ghostd("--dev", "--no-mining") as remote:
        remote.call("anvil_mine", 1)
        hashes = [
            remote.call(
                "eth_sendTransaction",
                {"from": ALICE, "to": STRANGER, "value": hex(value), "nonce": hex(nonce)},
            )
            for nonce, value in enumerate((1, 10, 100))
        ]
        remote.call("anvil_mine", 1)
        block = remote.call("eth_getBlockByNumber", "latest", False)
        assert block["transactions"] == hashes
        with fork_of(remote, tmp_path, "--fork-transaction-hash", hashes[2]) as fork:
            assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == 11
            ours = fork.call("eth_getBlockByNumber", "latest", False)
            assert ours["transactions"] == hashes[:2]
            for name in ("number", "timestamp", "miner", "mixHash", "baseFeePerGas", "gasLimit"):
                assert ours[name] == block[name], name
        with fork_of(remote, tmp_path, "--fork-transaction-hash", hashes[0]) as fork:
            assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == 0
            assert fork.call("eth_blockNumber") == "0x1"
