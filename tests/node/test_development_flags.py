"""Anvil's flags, on real nodes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.node.process import Ghostd, RpcFailure, invoke

PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"
FIRST = "0x58a57ed9d8d624cbd12e2c467d34787555bb1b25"
ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x" + "b0" * 20


def test_clients_that_begin_with_the_heads_time_and_with_much_gas_find_both() -> None:
    """Hardhat 2 signs with 30,000,000 gas on every network named localhost; its sample project
    reckons from the time of the block before its first."""
    much = {"from": ALICE, "to": BOB, "gas": hex(30_000_000)}
    with Ghostd("--dev") as node:
        began = int(node.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        assert abs(time.time() - began) < 60
        node.wait_for_receipt(node.call("eth_sendTransaction", much))
        loop = {"from": ALICE, "to": None, "data": "0x5b600056", "gas": hex(20_000_000)}
        spent = node.wait_for_receipt(node.call("eth_sendTransaction", loop))
        assert (spent["status"], spent["gasUsed"]) == ("0x0", hex(20_000_000))
    with (
        Ghostd("--dev", "--enable-tx-gas-limit") as node,
        pytest.raises(RpcFailure, match="gas limit too high"),
    ):
        node.call("eth_sendTransaction", much)


def test_accounts_mining_and_genesis_are_as_said() -> None:
    flags = ["--accounts", "3", "--balance", "7", "--mnemonic", PHRASE, "--base-fee", "5"]
    flags += ["--timestamp", "1000000", "--no-mining", "--order", "fifo", "--auto-impersonate"]
    with Ghostd("--dev", *flags) as node:
        accounts = node.call("eth_accounts")
        assert (len(accounts), accounts[0]) == (3, FIRST)
        assert int(node.call("eth_getBalance", accounts[2], "latest"), 16) == 7 * 10**18
        assert node.call("anvil_getAutomine") is False
        genesis = node.call("eth_getBlockByNumber", "0x0", False)
        assert (genesis["baseFeePerGas"], genesis["timestamp"]) == ("0x5", hex(1_000_000))
        node.call("anvil_setBalance", BOB, hex(10**18))
        price = {"maxFeePerGas": hex(10**9)}
        first = node.call(
            "eth_sendTransaction",
            {"from": BOB, "to": FIRST, "maxPriorityFeePerGas": "0x1", **price},
        )
        second = node.call(
            "eth_sendTransaction",
            {"from": FIRST, "to": BOB, "maxPriorityFeePerGas": hex(10**6), **price},
        )
        node.call("evm_mine")
        block = node.call("eth_getBlockByNumber", "0x1", False)
        assert block["transactions"] == [first, second]
        assert 1_000_000 < int(block["timestamp"], 16) < 1_000_100


def test_the_best_payer_goes_first_unless_told() -> None:
    with Ghostd("--dev", "--no-mining") as node:
        accounts = node.call("eth_accounts")
        sent = [
            node.call(
                "eth_sendTransaction",
                {"from": who, "to": BOB, "maxPriorityFeePerGas": tip, "maxFeePerGas": "0xee6b2800"},
            )
            for who, tip in zip(accounts, ["0x1", "0x77359400"], strict=False)
        ]
        node.call("evm_mine")
        assert node.call("eth_getBlockByNumber", "0x1", False)["transactions"] == sent[::-1]


@pytest.mark.parametrize("fork", ["cancun", "prague", "osaka"])
def test_the_rules_are_those_of_a_fork(fork: str) -> None:
    with Ghostd("--dev", "--hardfork", fork, "--disable-block-gas-limit") as node:
        assert node.call("anvil_nodeInfo")["hardFork"] == fork.capitalize()
        who = node.call("eth_accounts")[0]
        sent = node.call("eth_sendTransaction", {"from": who, "to": BOB, "value": "0x1"})
        assert node.call("eth_getTransactionReceipt", sent)["status"] == "0x1"
        block = node.call("eth_getBlockByNumber", "latest", False)
        assert int(block["gasLimit"], 16) == (1 << 63) - 1
        assert ("requestsHash" in block) is (fork != "cancun")


def test_mixed_mining_is_both() -> None:
    with Ghostd("--dev", "--block-time", "0.2", "--mixed-mining") as node:
        assert node.call("anvil_getAutomine") is True
        who = node.call("eth_accounts")[0]
        sent = node.call("eth_sendTransaction", {"from": who, "to": BOB, "value": "0x1"})
        height = int(node.call("eth_getTransactionReceipt", sent)["blockNumber"], 16)
        later = node.call("eth_newBlockFilter")
        for _ in range(1000):
            if node.call("eth_getFilterChanges", later):
                break
        assert int(node.call("eth_blockNumber"), 16) > height


def test_state_goes_from_one_run_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    with Ghostd("--dev", "--state", str(path)) as node:
        node.call("anvil_setBalance", BOB, "0x7b")
        node.call("anvil_mine", 3)
    assert json.loads(path.read_bytes())["best_block_number"] == 3
    with Ghostd("--dev", "--load-state", str(path)) as node:
        assert node.call("eth_getBalance", BOB, "latest") == "0x7b"
        assert node.call("eth_blockNumber") == "0x3"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--network", "testnet", "--accounts", "3"], "--accounts says something of --dev alone"),
        (["--dev", "--genesis", __file__, "--balance", "3"], "--balance: that stands in"),
        (["--dev", "--mnemonic", "too short"], "12, 15, 18, 21 or 24 words"),
        (["--dev", "--no-mining", "--block-time", "1"], "one of them says when"),
        (["--dev", "--mixed-mining"], "--mixed-mining needs --block-time"),
        (["--dev", "--state", "a", "--load-state", "b"], "give it or them"),
    ],
)
def test_flags_that_contradict_are_refused(flags: list[str], words: str) -> None:
    finished = invoke("run", *flags)
    assert finished.returncode == 2
    assert words in " ".join(finished.stderr.split())


def test_a_dump_that_is_none_ends_the_start(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("{}")
    finished = invoke(
        "run", "--dev", "--rpc-port", "0", "--metrics-port", "0", "--load-state", str(path)
    )
    assert finished.returncode == 1
    assert "no accounts in it" in finished.stderr


def test_what_was_set_survives_unless_flags_say_otherwise(tmp_path: Path) -> None:
    with Ghostd("--dev", "--no-mining", data_dir=tmp_path) as node:
        node.call("anvil_impersonateAccount", BOB)
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert node.call("anvil_getAutomine") is False
    with Ghostd("--dev", "--block-time", "60", data_dir=tmp_path) as node:
        assert node.call("anvil_getIntervalMining") == 60
        node.call("anvil_setBalance", BOB, hex(10**18))
        assert node.call("eth_sendTransaction", {"from": BOB, "to": BOB})
