"""Snapshots, reverts, other pasts and impersonation on a real node, as anvil, Hardhat and viem ask
for them; and that a kill loses nothing of it."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd, RpcFailure

BOB = "0x" + "b0" * 20
WHALE = "0x" + "3f" * 20
# CALLVALUE SELFBALANCE ... of no interest: any contract can be impersonated.
CONTRACT = "0x" + "c0" * 20
COUNTER = "0x5f546001015f5500"  # slot 0 goes up by one


@pytest.fixture(scope="module")
def shared() -> Iterator[Ghostd]:
    with Ghostd("--dev") as running:
        yield running


@pytest.fixture
def node(shared: Ghostd) -> Ghostd:
    shared.call("anvil_reset")
    shared.call("anvil_autoImpersonateAccount", False)
    for address in (WHALE, CONTRACT):
        shared.call("anvil_stopImpersonatingAccount", address)
    shared.call("evm_setAutomine", True)
    return shared


def send(node: Ghostd, **members: Any) -> str:
    sender = node.call("eth_accounts")[0]
    sent: str = node.call(
        "eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x1", **members}
    )
    return sent


def number(node: Ghostd) -> int:
    return int(node.call("eth_blockNumber"), 16)


def balance(node: Ghostd, address: str) -> int:
    return int(node.call("eth_getBalance", address, "latest"), 16)


def refused(node: Ghostd, method: str, *parameters: Any) -> RpcFailure:
    with pytest.raises(RpcFailure) as caught:
        node.call(method, *parameters)
    return caught.value


def seen(node: Ghostd) -> dict[str, Any]:
    """What a revert must bring back, as clients see it."""
    accounts = [*node.call("eth_accounts")[:3], BOB, WHALE, CONTRACT]
    return {
        "block": node.call("eth_getBlockByNumber", "latest", True),
        "balances": [balance(node, one) for one in accounts],
        "nonces": [node.call("eth_getTransactionCount", one, "latest") for one in accounts],
        "next nonces": [node.call("eth_getTransactionCount", one, "pending") for one in accounts],
        "code": node.call("eth_getCode", CONTRACT, "latest"),
        "slot": node.call("eth_getStorageAt", CONTRACT, "0x0", "latest"),
        "pool": node.call("txpool_content"),
        "history": [node.call("eth_getBlockByNumber", hex(n), False) for n in range(3)],
        "logs": node.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}),
        "fee": node.call("eth_baseFee"),
    }


# ---- snapshots ----


def test_a_revert_brings_back_chain_state_and_pool(node: Ghostd) -> None:
    send(node)
    node.call("evm_setAutomine", False)
    waiting = send(node)
    node.call("anvil_setBalance", WHALE, "0x64")
    before = seen(node)
    taken = node.call("evm_snapshot")
    node.call("evm_mine")
    gone = node.call("eth_getBlockByNumber", "latest", False)["hash"]
    assert node.call("eth_getTransactionReceipt", waiting) is not None
    node.call("anvil_setBalance", WHALE, "0x0")
    node.call("anvil_mine", 5)
    assert node.call("evm_revert", taken) is True
    assert seen(node) == before
    assert node.call("eth_getTransactionReceipt", waiting) is None
    assert node.call("eth_getBlockByHash", gone, False) is None
    assert node.call("evm_revert", taken) is False


def test_later_snapshots_go_with_a_revert_and_earlier_ones_stay(node: Ghostd) -> None:
    taken = []
    for _ in range(4):
        taken.append(node.call("anvil_snapshot"))
        send(node)
    assert len(set(taken)) == 4
    assert node.call("anvil_revert", taken[2]) is True
    assert number(node) == 2
    assert node.call("anvil_revert", taken[3]) is False
    assert node.call("anvil_revert", taken[0]) is True
    assert number(node) == 0
    assert node.call("anvil_revert", taken[1]) is False
    assert node.call("evm_revert", "0xffffffff") is False
    # Numbers are never given twice: an old one must not mean a new moment.
    assert int(node.call("evm_snapshot"), 16) > int(taken[3], 16)


def test_two_snapshots_of_one_moment_are_two(node: Ghostd) -> None:
    one, two = node.call("evm_snapshot"), node.call("evm_snapshot")
    assert one != two
    assert node.call("evm_revert", two) is True
    assert node.call("evm_revert", one) is True


def test_the_clock_comes_back(node: Ghostd) -> None:
    taken = node.call("evm_snapshot")
    shown = int(node.call("eth_getBlockByNumber", "pending", False)["timestamp"], 16)
    node.call("evm_increaseTime", 1_000_000)
    node.call("evm_mine")
    node.call("evm_setNextBlockTimestamp", shown + 9_000_000)
    node.call("evm_revert", taken)
    node.call("evm_mine")
    back = int(node.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert shown <= back <= shown + 60


def test_settings_of_the_next_block_come_back_and_the_nodes_own_stay(node: Ghostd) -> None:
    node.call("anvil_setCoinbase", BOB)
    node.call("anvil_setNextBlockBaseFeePerGas", "0x4d")
    taken = node.call("evm_snapshot")
    node.call("anvil_setCoinbase", WHALE)
    node.call("evm_setBlockGasLimit", 7_000_000)
    node.call("anvil_impersonateAccount", WHALE)
    node.call("evm_setAutomine", False)
    node.call("evm_mine")
    node.call("evm_revert", taken)
    assert node.call("anvil_getAutomine") is False
    node.call("evm_mine")
    block = node.call("eth_getBlockByNumber", "latest", False)
    assert (block["miner"], block["baseFeePerGas"]) == (BOB, "0x4d")
    assert block["gasLimit"] != hex(7_000_000)
    node.call("anvil_setBalance", WHALE, hex(10**18))
    send(node, **{"from": WHALE})


def test_what_waited_is_mined_after_a_revert_where_automine_says_so(node: Ghostd) -> None:
    node.call("evm_setAutomine", False)
    waiting = send(node)
    taken = node.call("evm_snapshot")
    node.call("anvil_dropAllTransactions")
    node.call("evm_setAutomine", True)
    node.call("evm_revert", taken)
    node.wait_for_receipt(waiting)


def test_filters_go_back_with_the_chain(node: Ghostd) -> None:
    filtered = node.call("eth_newBlockFilter")
    taken = node.call("evm_snapshot")
    node.call("anvil_mine", 3)
    assert len(node.call("eth_getFilterChanges", filtered)) == 3
    node.call("evm_revert", taken)
    node.call("evm_mine")
    latest = node.call("eth_getBlockByNumber", "latest", False)["hash"]
    assert node.call("eth_getFilterChanges", filtered) == [latest]


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_comes_back(node: Ghostd, seed: int) -> None:
    """Random moves, snapshots and reverts; whatever a snapshot saw is seen again after its revert.

    Seeds; a failure names its own.
    """
    random_of = random.Random(seed)
    accounts = node.call("eth_accounts")
    node.call("anvil_setCode", CONTRACT, COUNTER)
    taken: list[tuple[str, dict[str, Any]]] = []

    def cheat() -> None:
        match random_of.randrange(4):
            case 0:
                node.call("anvil_setBalance", WHALE, random_of.randrange(1 << 60))
            case 1:
                node.call("anvil_setStorageAt", CONTRACT, "0x0", random_of.randrange(1 << 60))
            case 2:
                node.call("anvil_setNonce", WHALE, random_of.randrange(1 << 20))
            case 3:
                node.call("anvil_setNextBlockBaseFeePerGas", random_of.randrange(1, 10**9))

    for _ in range(30):
        match random_of.randrange(8):
            case 0 | 1:
                send(node, **{"from": random_of.choice(accounts[:3])})
            case 2:
                send(node, to=CONTRACT, value="0x0", gas="0x30d40")
            case 3:
                node.call("anvil_mine", random_of.randrange(4))
            case 4:
                cheat()
            case 5:
                node.call("evm_setAutomine", random_of.random() < 0.5)
            case 6:
                # Automine off first, so that nothing is sealed between looking and taking.
                node.call("evm_setAutomine", False)
                taken.append((node.call("evm_snapshot"), seen(node)))
            case 7 if taken:
                node.call("evm_setAutomine", False)
                place = random_of.randrange(len(taken))
                identity, before = taken[place]
                assert node.call("evm_revert", identity) is True
                assert seen(node) == before
                del taken[place:]


# ---- other pasts ----


@pytest.mark.parametrize("after", ["head", "mined", "reopened"])
def test_accounts_changed_by_hand_are_of_the_block_that_was_the_head(
    tmp_path: Path, after: str
) -> None:
    """Whoever compares what an account had before a block and after it (Hardhat's
    changeEtherBalance does) finds the block's own change and no other; in anvil too."""
    data = tmp_path / "data"
    with Ghostd("--dev", data_dir=data) as node:
        node.call("anvil_mine", "0x2")
        node.call("anvil_setBalance", BOB, "0x64")
        node.call("anvil_setNonce", CONTRACT, "0x7")
        node.call("anvil_setCode", CONTRACT, COUNTER)
        node.call("anvil_setStorageAt", CONTRACT, "0x0", "0x" + f"{41:064x}")
        if after != "head":
            send(node, value="0x2a")
            send(node, to=CONTRACT, value="0x0")
            assert [balance(node, BOB), number(node)] == [142, 4]
        if after != "reopened":
            judge_changes_by_hand(node)
    if after == "reopened":
        with Ghostd("--dev", data_dir=data) as node:
            judge_changes_by_hand(node)


def judge_changes_by_hand(node: Ghostd) -> None:
    block = node.call("eth_getBlockByNumber", "0x2", False)
    for name in ("0x2", {"blockHash": block["hash"]}):
        assert node.call("eth_getBalance", BOB, name) == "0x64"
        assert node.call("eth_getTransactionCount", CONTRACT, name) == "0x7"
        assert node.call("eth_getCode", CONTRACT, name) == COUNTER
        assert int(node.call("eth_getStorageAt", CONTRACT, "0x0", name), 16) == 41
        read = {"to": WHALE, "data": "0x"}
        reader = {WHALE: {"code": "0x73" + BOB[2:] + "315f5260205ff3"}}  # its balance, returned
        assert int(node.call("eth_call", read, name, reader), 16) == 100
    simulated = node.call(
        "eth_simulateV1",
        {"blockStateCalls": [{"stateOverrides": reader, "calls": [read]}]},
        "0x2",
    )
    assert int(simulated[0]["calls"][0]["returnData"], 16) == 100
    assert node.call("eth_getBalance", BOB, "0x1") == "0x0"
    assert node.call("eth_getProof", BOB, [], "0x1")["balance"] == "0x0"
    if number(node) > 2:
        assert node.call("eth_getProof", BOB, [], "0x2")["balance"] == "0x0"
        traced = node.call("debug_traceBlockByNumber", "0x3", {"tracer": "prestateTracer"})
        assert traced[0]["result"][BOB]["balance"] == "0x64"


def test_a_rollback_takes_blocks_and_keeps_what_waits(node: Ghostd) -> None:
    node.call("anvil_mine", 3)
    sent = send(node)
    assert number(node) == 4
    node.call("anvil_rollback")
    assert number(node) == 3
    assert node.call("eth_getTransactionByHash", sent) is None
    node.call("anvil_rollback", 3)
    assert number(node) == 0
    node.call("anvil_mine", 3)
    for height in (3, 1):
        node.call("debug_setHead", hex(height))
        assert number(node) == height
    assert "is not known" in refused(node, "debug_setHead", "0x2").message
    node.call("debug_setHead", "0x0")
    failure = refused(node, "anvil_rollback", 1)
    assert failure.code == -32602
    assert "current height 0, depth 1" in failure.message


def test_a_reorganisation_makes_other_blocks(node: Ghostd) -> None:
    node.call("anvil_mine", 2)
    old = [send(node), send(node)]
    before = node.call("eth_getBlockByNumber", "0x4", False)["hash"]
    raw = node.call(
        "eth_signTransaction",
        {"from": node.call("eth_accounts")[1], "to": BOB, "value": "0x5", "nonce": "0x0"},
    )["raw"]
    request = {"from": node.call("eth_accounts")[0], "to": BOB, "value": "0x7"}
    node.call("anvil_reorg", 2, [[raw, 0], [request, 1], [request, 1]])
    assert number(node) == 4
    assert node.call("eth_getBlockByNumber", "0x4", False)["hash"] != before
    assert [node.call("eth_getTransactionReceipt", one) for one in old] == [None, None]
    assert len(node.call("eth_getBlockByNumber", "0x3", False)["transactions"]) == 1
    assert len(node.call("eth_getBlockByNumber", "0x4", False)["transactions"]) == 2
    assert balance(node, BOB) == 5 + 14


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([9], "Reorg depth must not exceed current chain height"),
        ([1, [["0x01", 1]]], "must not exceed (depth-1) 0"),
        ([1, [["0x01", 0]]], "Failed to decode signed transaction"),
        ([{"tx_block_pairs": []}], "missing field depth"),
    ],
)
def test_a_reorganisation_that_cannot_be(node: Ghostd, parameters: list[Any], message: str) -> None:
    node.call("evm_mine")
    failure = refused(node, "anvil_reorg", *parameters)
    assert (failure.code, message in failure.message) == (-32602, True)
    assert number(node) == 1


def test_a_reset_begins_anew(node: Ghostd) -> None:
    taken = node.call("evm_snapshot")
    send(node)
    node.call("anvil_setBalance", WHALE, "0x1")
    before = node.call("anvil_metadata")["instanceId"]
    node.call("hardhat_reset", {"forking": {"blockNumber": None}})
    assert number(node) == 0
    assert balance(node, BOB) == balance(node, WHALE) == 0
    assert node.call("evm_revert", taken) is False
    assert node.call("anvil_metadata")["instanceId"] != before


# ---- impersonation ----


def test_an_impersonated_account_sends(node: Ghostd) -> None:
    before = node.call("eth_accounts")
    node.call("anvil_setBalance", WHALE, hex(10**18))
    assert (
        "unknown account"
        in refused(node, "eth_sendTransaction", {"from": WHALE, "to": BOB}).message
    )
    node.call("hardhat_impersonateAccount", WHALE)
    assert node.call("eth_accounts") == before
    sent = send(node, **{"from": WHALE})
    receipt = node.call("eth_getTransactionReceipt", sent)
    assert (receipt["from"], receipt["status"]) == (WHALE, "0x1")
    assert node.call("eth_getTransactionByHash", sent)["from"] == WHALE
    traced = node.call("debug_traceTransaction", sent, {"tracer": "callTracer"})
    assert traced["from"] == WHALE
    node.call("hardhat_stopImpersonatingAccount", WHALE)
    assert (
        "unknown account"
        in refused(node, "eth_sendTransaction", {"from": WHALE, "to": BOB}).message
    )


def test_a_contract_is_impersonated_like_any_account(node: Ghostd) -> None:
    node.call("anvil_setCode", CONTRACT, COUNTER)
    node.call("anvil_setBalance", CONTRACT, hex(10**18))
    node.call("anvil_impersonateAccount", CONTRACT)
    sent = send(node, **{"from": CONTRACT})
    assert node.call("eth_getTransactionReceipt", sent)["status"] == "0x1"


def test_everybody_can_be_impersonated(node: Ghostd) -> None:
    stranger = "0x" + "57" * 20
    node.call("anvil_setBalance", stranger, hex(10**18))
    node.call("anvil_autoImpersonateAccount", True)
    node.call("eth_getTransactionReceipt", send(node, **{"from": stranger}))["status"]
    node.call("anvil_autoImpersonateAccount", False)
    failure = refused(node, "eth_sendTransaction", {"from": stranger, "to": BOB})
    assert "unknown account" in failure.message


def test_anybody_can_be_sent_for_unsigned(node: Ghostd) -> None:
    node.call("anvil_setBalance", WHALE, hex(10**18))
    sent = node.call("eth_sendUnsignedTransaction", {"from": WHALE, "to": BOB, "value": "0x3"})
    assert node.call("eth_getTransactionReceipt", sent)["from"] == WHALE
    raw = node.call("eth_getRawTransactionByHash", sent)
    assert refused(node, "eth_sendRawTransaction", raw).code == -32000


# ---- restarts ----


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_everything_survives_the_end_of_the_process(tmp_path: Path, end: str) -> None:
    with Ghostd("--dev", data_dir=tmp_path) as node:
        send(node)
        node.call("evm_setAutomine", False)
        node.call("anvil_impersonateAccount", WHALE)
        node.call("anvil_setBalance", WHALE, hex(10**18))
        node.call("evm_increaseTime", 100_000)
        node.call("anvil_setCoinbase", BOB)
        send(node)
        before = seen(node)
        taken = node.call("evm_snapshot")
        node.call("anvil_mine", 4)
        send(node, **{"from": WHALE})
        dropped = send(node)
        node.call("anvil_dropTransaction", dropped)
        node.call("anvil_setNextBlockBaseFeePerGas", "0x4d")
        after = seen(node)
        ahead = int(node.call("eth_getBlockByNumber", "pending", False)["timestamp"], 16)
        getattr(node, end)()
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert seen(node) == after
        assert node.call("anvil_getAutomine") is False
        shown = int(node.call("eth_getBlockByNumber", "pending", False)["timestamp"], 16)
        assert ahead <= shown <= ahead + 60
        assert node.call("evm_revert", taken) is True
        assert seen(node) == before
        node.call("evm_mine")
        assert node.call("eth_getBlockByNumber", "latest", False)["miner"] == BOB


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_in_the_middle_of_a_revert_leaves_the_moment_or_all_of_it(
    tmp_path: Path, seed: int
) -> None:
    random_of = random.Random(seed)
    with Ghostd("--dev", data_dir=tmp_path) as node:
        node.call("anvil_setBalance", WHALE, "0x64")
        send(node)
        before = seen(node)
        taken = node.call("evm_snapshot")
        node.call("anvil_mine", 200)
        node.call("anvil_setBalance", WHALE, "0x0")
        after = number(node)

        def revert() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                node.call("evm_revert", taken)

        asking = threading.Thread(target=revert)
        asking.start()
        time.sleep(random_of.random() * 0.05)
        node.kill()
        asking.join()
    with Ghostd("--dev", data_dir=tmp_path) as node:
        if number(node) == after:
            assert balance(node, WHALE) == 0
            assert node.call("evm_revert", taken) is True
        assert seen(node) == before
        assert node.call("evm_revert", taken) is False
        send(node)


def test_the_chain_id_is_of_blocks_after_the_head(tmp_path: Path) -> None:
    """CHAINID, the node's own signatures, traces of older blocks, reverts and restarts."""
    # Returns the chain id and stores it in slot 0.
    teller = "0x465f55465f5260205ff3"

    def told(node: Ghostd) -> int:
        return int(node.call("eth_call", {"to": CONTRACT}, "pending"), 16)

    with Ghostd("--dev", data_dir=tmp_path) as node:
        node.call("anvil_setCode", CONTRACT, teller)
        first = send(node, to=CONTRACT, value="0x0")
        taken = node.call("evm_snapshot")
        node.call("anvil_setChainId", 4242)
        assert node.call("eth_chainId") == hex(4242)
        assert (node.call("net_version"), told(node)) == ("4242", 4242)
        second = send(node, to=CONTRACT, value="0x0")
        assert node.call("eth_getStorageAt", CONTRACT, "0x0", "latest")[-4:] == "1092"
        traced = [
            int(node.call("debug_traceTransaction", one, {"tracer": "callTracer"})["output"], 16)
            for one in (first, second)
        ]
        assert traced == [31337, 4242]
        node.kill()
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert node.call("eth_chainId") == hex(4242)
        send(node)
        assert node.call("evm_revert", taken) is True
        assert (node.call("eth_chainId"), told(node)) == (hex(31337), 31337)
        node.call("anvil_mine", 4)
        send(node)
        assert told(node) == 31337
        assert refused(node, "anvil_setChainId", 0).code == -32602
