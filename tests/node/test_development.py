"""Sealing, clock, accounts and blocks of a development chain, moved by hand: a real node, asked as
anvil, Hardhat and viem's test client ask."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.node.clients import compiled_token
from tests.node.process import Ghostd, RpcFailure

ETHER = 10**18
BOB = "0x" + "b0" * 20


@pytest.fixture(scope="module")
def shared() -> Iterator[Ghostd]:
    with Ghostd("--dev") as running:
        yield running


@pytest.fixture
def node(shared: Ghostd) -> Ghostd:
    """Automining, no interval, nothing that waits."""
    shared.call("evm_setAutomine", True)
    shared.call("anvil_dropAllTransactions")
    shared.call("anvil_removeBlockTimestampInterval")
    return shared


def send(node: Ghostd, **members: Any) -> str:
    sender = node.call("eth_accounts")[0]
    sent: str = node.call(
        "eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x1", **members}
    )
    return sent


def latest(node: Ghostd) -> dict[str, Any]:
    block: dict[str, Any] = node.call("eth_getBlockByNumber", "latest", False)
    return block


def number(node: Ghostd) -> int:
    return int(node.call("eth_blockNumber"), 16)


def timestamp(node: Ghostd) -> int:
    return int(latest(node)["timestamp"], 16)


def refused(node: Ghostd, method: str, *parameters: Any) -> RpcFailure:
    with pytest.raises(RpcFailure) as caught:
        node.call(method, *parameters)
    return caught.value


# ---- sealing ----


def test_the_receipt_is_there_when_the_transaction_is_answered(node: Ghostd) -> None:
    for _ in range(20):
        assert node.call("eth_getTransactionReceipt", send(node)) is not None


def test_so_it_is_for_many_at_once(node: Ghostd) -> None:
    accounts = node.call("eth_accounts")

    def play(sender: str) -> list[bool]:
        hashes = [
            node.call("eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x1"})
            for _ in range(10)
        ]
        return [node.call("eth_getTransactionReceipt", one) is not None for one in hashes]

    with ThreadPoolExecutor(len(accounts)) as pool:
        assert all(all(found) for found in pool.map(play, accounts))


def test_a_transaction_that_reverts_is_included_and_an_estimate_says_why(node: Ghostd) -> None:
    reverting = "0x" + "e4" * 20
    # revert(0, 4) with the first four bytes of memory set
    node.call("anvil_setCode", reverting, "0x63deadbeef60e01b60005260046000fd")
    sent = send(node, to=reverting, value="0x0", gas="0x30d40")
    assert node.call("eth_getTransactionReceipt", sent)["status"] == "0x0"
    failure = refused(
        node, "eth_sendTransaction", {"from": node.call("eth_accounts")[0], "to": reverting}
    )
    assert (failure.code, failure.data) == (3, "0xdeadbeef")


def test_a_nonce_gap_waits(node: Ghostd) -> None:
    sender = node.call("eth_accounts")[3]
    nonce = int(node.call("eth_getTransactionCount", sender, "latest"), 16)
    late = send(node, **{"from": sender, "nonce": hex(nonce + 1)})
    assert node.call("eth_getTransactionReceipt", late) is None
    assert node.call("txpool_status") == {"pending": "0x0", "queued": "0x1"}
    send(node, **{"from": sender, "nonce": hex(nonce)})
    assert node.call("eth_getTransactionReceipt", late) is not None


def test_what_waits_is_sped_up_by_a_higher_price_alone(node: Ghostd) -> None:
    """The node chooses the tip, and so chooses one that replaces; a price that does not, or no word
    of one, replaces nothing."""
    node.call("evm_setAutomine", False)
    sender = node.call("eth_accounts")[4]
    nonce = node.call("eth_getTransactionCount", sender, "latest")
    said = {"from": sender, "nonce": nonce, "maxFeePerGas": hex(10 * 10**9)}
    first = send(node, **said)
    for price in ({}, {"maxFeePerGas": hex(10 * 10**9 + 1)}):
        failure = refused(
            node, "eth_sendTransaction", {"from": sender, "to": BOB, "nonce": nonce, **price}
        )
        assert failure.message == "replacement transaction underpriced"
    second = send(node, **said | {"maxFeePerGas": hex(20 * 10**9)})
    found = node.call("eth_getTransactionByHash", second)
    assert int(found["maxPriorityFeePerGas"], 16) < 2 * 10**9
    node.call("evm_mine")
    assert node.call("eth_getTransactionReceipt", first) is None
    assert node.call("eth_getTransactionReceipt", second)["status"] == "0x1"


def test_without_automine_blocks_come_when_asked_for(node: Ghostd) -> None:
    assert node.call("anvil_getAutomine") is True
    node.call("evm_setAutomine", False)
    assert node.call("hardhat_getAutomine") is False
    before = number(node)
    sent = [send(node), send(node)]
    assert number(node) == before
    assert node.call("evm_mine") == "0x0"
    assert [node.call("eth_getTransactionReceipt", one)["blockNumber"] for one in sent] == [
        hex(before + 1)
    ] * 2


def test_automine_takes_what_waits_when_it_comes_back(node: Ghostd) -> None:
    node.call("evm_setAutomine", False)
    sent = send(node)
    node.call("evm_setAutomine", True)
    node.wait_for_receipt(sent)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_many_blocks_are_mined_at_once(node: Ghostd, count: int) -> None:
    before = number(node)
    node.call("anvil_mine", hex(count))
    assert number(node) == before + count


def test_an_interval_lies_before_each_mined_block(node: Ghostd) -> None:
    node.call("hardhat_mine", "0x1")
    before, first = max(timestamp(node), int(time.time())), number(node)
    node.call("hardhat_mine", "0x3", "0x3c")
    times = [
        int(node.call("eth_getBlockByNumber", hex(first + n), False)["timestamp"], 16)
        for n in (1, 2, 3)
    ]
    assert 60 <= times[0] - before <= 70
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [60, 60]


def test_blocks_come_at_an_interval(node: Ghostd) -> None:
    node.call("evm_setIntervalMining", 1)
    assert node.call("anvil_getIntervalMining") == 1
    assert node.call("anvil_getAutomine") is False
    node.wait_for_receipt(send(node))
    node.call("evm_setIntervalMining", [20, 40])
    node.wait_for_receipt(send(node), seconds=2)
    node.call("evm_setIntervalMining", 0)
    assert node.call("anvil_getIntervalMining") is None
    assert node.call("anvil_getAutomine") is False


def test_mined_blocks_are_shown_whole(node: Ghostd) -> None:
    node.call("evm_setAutomine", False)
    sent = send(node)
    blocks = node.call("anvil_mine_detailed", {"blocks": "0x2", "timestamp": timestamp(node) + 9})
    assert [one["hash"] for one in blocks[0]["transactions"]] == [sent]
    assert blocks[1]["parentHash"] == blocks[0]["hash"]


# ---- the clock ----


def test_time_jumps_and_stays_ahead(node: Ghostd) -> None:
    node.call("evm_mine")
    before = max(timestamp(node), int(time.time()))
    ahead = node.call("evm_increaseTime", "0x15180")
    assert ahead >= 86_400
    node.call("evm_mine")
    assert 86_400 <= timestamp(node) - before <= 86_410


def test_one_block_has_the_time_that_was_set(node: Ghostd) -> None:
    wanted = timestamp(node) + 1_000
    node.call("evm_setNextBlockTimestamp", wanted)
    assert int(node.call("eth_getBlockByNumber", "pending", False)["timestamp"], 16) == wanted
    send(node)
    assert timestamp(node) == wanted
    node.call("evm_mine")
    assert wanted < timestamp(node) <= wanted + 10
    failure = refused(node, "evm_setNextBlockTimestamp", wanted - 1)
    assert failure.code == -32602
    assert "lower than previous block's timestamp" in failure.message


def test_evm_mine_takes_a_time(node: Ghostd) -> None:
    wanted = timestamp(node) + 500
    node.call("evm_mine", hex(wanted))
    assert timestamp(node) == wanted
    node.call("evm_mine", {"timestamp": wanted + 500, "blocks": 2})
    assert timestamp(node) >= wanted + 501


def test_blocks_stand_a_fixed_time_apart(node: Ghostd) -> None:
    node.call("anvil_setBlockTimestampInterval", 17)
    before = timestamp(node)
    node.call("anvil_mine", 4)
    assert timestamp(node) == before + 4 * 17
    assert node.call("anvil_removeBlockTimestampInterval") is True
    assert node.call("anvil_removeBlockTimestampInterval") is False


def test_the_clock_can_be_set_back(node: Ghostd) -> None:
    node.call("evm_increaseTime", 10_000)
    node.call("evm_mine")
    wanted = timestamp(node) - 5_000
    assert node.call("evm_setTime", wanted) == 0
    node.call("evm_mine")
    assert wanted <= timestamp(node) <= wanted + 5
    node.call("evm_mine")


# ---- accounts ----


def test_an_account_is_changed_at_once_and_for_good(node: Ghostd) -> None:
    address = "0x" + "ac" * 20
    node.call("hardhat_setBalance", address, "0x7b")
    node.call("tenderly_addBalance", address, 7)
    node.call("anvil_setNonce", address, "0x5")
    node.call("anvil_setCode", address, "0x6001600055")
    assert node.call("anvil_setStorageAt", address, "0x0", "0x" + "00" * 31 + "2a") is True

    def seen() -> tuple[Any, ...]:
        return (
            node.call("eth_getBalance", address, "latest"),
            node.call("eth_getTransactionCount", address, "latest"),
            node.call("eth_getCode", address, "latest"),
            node.call("eth_getStorageAt", address, "0x0", "latest"),
        )

    wanted = ("0x82", "0x5", "0x6001600055", "0x" + "00" * 31 + "2a")
    assert seen() == wanted
    node.call("evm_mine")
    assert seen() == wanted
    assert node.call("eth_getProof", address, ["0x0"], "latest")["balance"] == "0x82"


def test_a_balance_saturates(node: Ghostd) -> None:
    node.call("anvil_setBalance", BOB, hex((1 << 256) - 1))
    node.call("anvil_addBalance", BOB, 1)
    assert node.call("eth_getBalance", BOB, "latest") == hex((1 << 256) - 1)
    node.call("anvil_setBalance", BOB, "0x0")


def test_a_nonce_set_by_hand_moves_what_waits(node: Ghostd) -> None:
    sender = node.call("eth_accounts")[4]
    nonce = int(node.call("eth_getTransactionCount", sender, "latest"), 16)
    sent = send(node, **{"from": sender, "nonce": hex(nonce + 5)})
    node.call("anvil_setNonce", sender, hex(nonce + 5))
    node.call("evm_mine")
    assert node.call("eth_getTransactionReceipt", sent) is not None


def test_tokens_are_dealt_and_allowed(node: Ghostd) -> None:
    token = compiled_token()
    owner, spender = node.call("eth_accounts")[:2]
    code = token["bytecode"] + f"{ETHER:064x}"
    sent = node.call("eth_sendTransaction", {"from": owner, "data": code})
    address = node.call("eth_getTransactionReceipt", sent)["contractAddress"]
    node.call("anvil_dealERC20", BOB, address, hex(1_234 * ETHER))
    balance_of = "0x70a08231" + BOB[2:].rjust(64, "0")
    answer = node.call("eth_call", {"to": address, "data": balance_of}, "latest")
    assert int(answer, 16) == 1_234 * ETHER
    node.call("anvil_setERC20Allowance", BOB, spender, address, 99)
    allowance = "0xdd62ed3e" + BOB[2:].rjust(64, "0") + spender[2:].rjust(64, "0")
    assert int(node.call("eth_call", {"to": address, "data": allowance}, "latest"), 16) == 99
    failure = refused(node, "anvil_dealERC20", BOB, spender, 1)
    assert failure.message == "Unable to set ERC20 balance, no slot found"


# ---- blocks ----


def test_the_next_block_is_made_as_said(node: Ghostd) -> None:
    node.call("anvil_setCoinbase", BOB)
    node.call("anvil_setNextBlockBaseFeePerGas", "0x4d")
    node.call("hardhat_setPrevRandao", "0x" + "5a" * 32)
    assert node.call("evm_setBlockGasLimit", 12_345_678) is True
    pending = node.call("eth_getBlockByNumber", "pending", False)
    assert (pending["baseFeePerGas"], pending["gasLimit"]) == ("0x4d", hex(12_345_678))
    assert node.call("eth_baseFee") == "0x4d"
    send(node, maxFeePerGas="0x4d", maxPriorityFeePerGas="0x0")
    block = latest(node)
    assert block["baseFeePerGas"] == "0x4d"
    assert block["gasLimit"] == hex(12_345_678)
    assert block["miner"] == BOB
    assert block["mixHash"] == "0x" + "5a" * 32
    node.call("evm_mine")
    assert latest(node)["mixHash"] != "0x" + "5a" * 32
    assert latest(node)["gasLimit"] == hex(12_345_678)
    node.call("evm_setBlockGasLimit", 1_000_000_000)
    node.call("anvil_setNextBlockBaseFeePerGas", 10**9)
    node.call("evm_mine")


def test_a_lowest_price_is_refused_as_elsewhere(node: Ghostd) -> None:
    failure = refused(node, "hardhat_setMinGasPrice", "0x1")
    assert failure.code == -32602
    assert "not supported when EIP-1559 is active" in failure.message


# ---- the pool ----


def test_what_waits_is_dropped(node: Ghostd) -> None:
    node.call("evm_setAutomine", False)
    one, two, three = send(node), send(node), send(node)
    assert node.call("anvil_dropTransaction", three) == three
    assert node.call("anvil_dropTransaction", three) is None
    node.call("anvil_removePoolTransactions", node.call("eth_accounts")[0])
    assert node.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}
    node.call("evm_mine")
    assert [node.call("eth_getTransactionReceipt", sent) for sent in (one, two)] == [None, None]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("anvil_mine", ["-1"]),
        ("anvil_mine", [hex(1 << 64)]),
        ("anvil_mine", [10**7]),
        ("anvil_setBalance", [BOB, hex(1 << 256)]),
        ("anvil_setBalance", ["0xb0", "0x1"]),
        ("anvil_setNonce", [BOB, hex(1 << 64)]),
        ("anvil_setStorageAt", [BOB, "0x0", "0x" + "00" * 33]),
        ("evm_setBlockGasLimit", ["0x0"]),
        ("evm_setIntervalMining", [[5, 1]]),
        ("evm_increaseTime", [hex((1 << 64) - 1)]),
        ("evm_mine", [True]),
        ("anvil_setAutomine", ["yes"]),
    ],
)
def test_what_cannot_be_is_refused(node: Ghostd, method: str, parameters: list[Any]) -> None:
    assert refused(node, method, *parameters).code == -32602
