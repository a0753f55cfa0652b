"""What a node answers after it has loaded a dump: what the chain that was dumped answered."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.anvil import Anvil
from tests.node.process import Ghostd, RpcFailure, invoke

ETHER = 10**18
BOB = "0x" + "b0" * 20
WHALE = "0x" + "3f" * 20
LOGGER = "0x" + "c0" * 20
# Slot 0 goes up by one, and its new value is logged.
LOGGING = "0x5f54600101805f555f52600160205fa1"
CALLS = {"tracer": "callTracer"}
# Anvil says more of a block and of a receipt, and reckons the size of a block otherwise.
ANVILS_OWN = {"totalDifficulty", "size", "blobGasPrice", "blockTimestamp"}


def live(chain: Any) -> list[str]:
    """Transactions of several kinds, accounts changed by hand, blocks; returns their hashes."""
    first, second = chain.call("eth_accounts")[:2]
    chain.call("anvil_setCode", LOGGER, LOGGING)
    price = {"gasPrice": hex(3 * 10**9)}
    sent = [
        {"from": first, "to": BOB, "value": "0x7"},
        {"from": first, "to": LOGGER, "gas": "0x30d40"},
        {"from": second, "to": LOGGER, "gas": "0x30d40", **price},
        {"from": first, "data": "0x60015f5560015ff3", "gas": "0x30d40", "accessList": [], **price},
        {"from": first, "to": LOGGER, "gas": "0x5308"},
    ]
    hashes = [chain.call("eth_sendTransaction", one) for one in sent]
    chain.call("anvil_impersonateAccount", WHALE)
    chain.call("anvil_setBalance", WHALE, hex(ETHER))
    hashes.append(chain.call("eth_sendTransaction", {"from": WHALE, "to": BOB, "value": "0x1"}))
    chain.call("evm_setAutomine", False)
    for place in range(3):
        request = {"from": first, "to": LOGGER, "gas": "0x30d40", "value": hex(place * 0)}
        hashes.append(chain.call("eth_sendTransaction", request))
    chain.call("evm_mine")
    chain.call("evm_setAutomine", True)
    chain.call("anvil_mine", "0x3")
    return hashes


def answer(chain: Any, method: str, *parameters: Any) -> Any:
    """The result, or that there was none."""
    try:
        return plain(chain.call(method, *parameters))
    except RpcFailure as failure:
        if "storage failed" in failure.message:
            raise
    except AssertionError:
        # Anvil refused.
        return "failed"
    return "failed"


def plain(value: Any) -> Any:
    """Without what anvil alone says."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in ANVILS_OWN}
    return [plain(one) for one in value] if isinstance(value, list) else value


def blocks_of(chain: Any, hashes: list[str]) -> list[Any]:
    """All that is said of blocks, transactions, receipts and logs."""
    height = int(chain.call("eth_blockNumber"), 16)
    said = [answer(chain, "eth_getBlockByNumber", hex(n), True) for n in range(height + 2)]
    said += [answer(chain, "eth_getBlockReceipts", hex(n)) for n in range(1, height + 1)]
    for one in hashes:
        said.append(answer(chain, "eth_getTransactionByHash", one))
        said.append(answer(chain, "eth_getTransactionReceipt", one))
    for one in hashes[:5] + hashes[6:]:
        said.append(answer(chain, "eth_getRawTransactionByHash", one))
    for block in said[: height + 1]:
        said.append(answer(chain, "eth_getBlockByHash", block["hash"], False))
    wanted = {"fromBlock": "0x0", "toBlock": "latest", "address": LOGGER}
    said.append(answer(chain, "eth_getLogs", wanted))
    said.append(answer(chain, "eth_getLogs", {"blockHash": said[3]["hash"]}))
    return said


def hashes_seen(chain: Any) -> list[Any]:
    """The hashes of blocks, as contracts see them."""
    numbers = range(int(chain.call("eth_blockNumber"), 16))
    codes = [f"0x60{number:02x}405f5260205ff3" for number in numbers]
    return [answer(chain, "eth_call", {"data": code}) for code in codes]


def states_of(chain: Any, first: int = 0) -> list[Any]:
    said = []
    for number in range(first, int(chain.call("eth_blockNumber"), 16) + 1):
        which = hex(number)
        said += [answer(chain, "eth_getBalance", who, which) for who in (BOB, WHALE)]
        said.append(answer(chain, "eth_getCode", LOGGER, which))
        said.append(answer(chain, "eth_getStorageAt", LOGGER, "0x0", which))
        said.append(answer(chain, "eth_getTransactionCount", WHALE, which))
        said.append(answer(chain, "eth_call", {"to": LOGGER, "data": "0x"}, which))
    return said


def without_unsigned(said: list[Any], unsigned: str) -> list[Any]:
    """Without the block in which the transaction stands that nobody signed, and without itself:
    its hash, and what stands for its signature, are each program's own."""
    return [one for one in said if unsigned not in json.dumps(one)]


@pytest.fixture(scope="module")
def node() -> Iterator[Ghostd]:
    with Ghostd("--dev") as running:
        yield running


def test_a_dump_of_this_node_is_told_again_in_full(node: Ghostd, tmp_path: Path) -> None:
    """Blocks, receipts, logs, older states and traces; after a kill too; and it goes on from
    there."""
    hashes = live(node)
    dumped = node.call("anvil_dumpState", True)
    blocks, head = blocks_of(node, hashes), node.call("eth_getBlockByNumber", "latest", False)
    traces = [answer(node, "debug_traceTransaction", one) for one in hashes]
    assert all(trace != "failed" for trace in traces)
    other = Ghostd("--dev", data_dir=tmp_path)
    own = other.call("eth_getBlockByNumber", "0x0", False)["hash"]
    other.call("anvil_mine", "0x2")
    assert other.call("anvil_loadState", dumped) is True
    after_load = states_of(other)
    for _ in range(2):
        assert blocks_of(other, hashes) == blocks
        # Anvil's contracts see other ones after a load than its blocks have.
        assert hashes_seen(other) == [block["hash"] for block in blocks[: len(hashes_seen(node))]]
        assert other.call("eth_getBlockByHash", own, False) is None
        # Of a block after which something was changed by hand, the changed state is told.
        ours, theirs = states_of(node), after_load
        assert sum(a != b for a, b in zip(ours, theirs, strict=True)) <= 6
        assert ours[-6:] == theirs[-6:]
        assert [answer(other, "debug_traceTransaction", one) for one in hashes] == traces
        other.kill()
        other = Ghostd("--dev", data_dir=tmp_path)
        after_load = states_of(other)
    with other:
        sender = other.call("eth_accounts")[2]
        sent = other.call("eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x1"})
        found = other.wait_for_receipt(sent)
        assert int(found["blockNumber"], 16) == int(head["number"], 16) + 1
        block = other.call("eth_getBlockByNumber", "latest", False)
        assert block["parentHash"] == head["hash"]
        assert (block["gasLimit"], block["miner"]) == (head["gasLimit"], head["miner"])
        assert int(block["timestamp"], 16) > int(head["timestamp"], 16)
        proof = other.call("eth_getProof", BOB, [], "latest")
        assert proof["balance"] == other.call("eth_getBalance", BOB, "latest")
        other.call("anvil_rollback", 3)
        assert other.call("eth_blockNumber") == hex(int(head["number"], 16) - 2)
        other.call("evm_mine")
    verified = invoke("db", "verify", "--network", "dev", "--data-dir", str(tmp_path), "--log-json")
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize("has_history", [False, True])
def test_a_dump_of_anvil_is_answered_as_anvil_answers_it(has_history: bool) -> None:
    """Anvil that loads it, and this node: the same blocks, receipts, logs, and states where they
    are known; who made blocks makes the next one."""
    with Anvil() as anvil:
        hashes = live(anvil)
        anvil.call("anvil_setCoinbase", WHALE)
        anvil.call("evm_setBlockGasLimit", hex(20_000_000))
        anvil.call("evm_mine")
        dumped = anvil.call("anvil_dumpState", has_history)
    with Anvil() as anvil, Ghostd("--dev") as other:
        assert anvil.call("anvil_loadState", dumped) is True
        assert other.call("anvil_loadState", dumped) is True
        first = 0 if has_history else int(other.call("eth_blockNumber"), 16)
        assert states_of(other, first) == states_of(anvil, first)
        told, found = blocks_of(anvil, hashes), blocks_of(other, hashes)
        unsigned = hashes[5]
        receipt = other.call("eth_getTransactionReceipt", unsigned)
        assert (
            receipt["blockHash"] == anvil.call("eth_getTransactionReceipt", unsigned)["blockHash"]
        )
        assert without_unsigned(found, receipt["transactionHash"]) == without_unsigned(
            told, unsigned
        )
        # Of a block's later transactions anvil adds up the gas of those before.
        for one in hashes[:7] if has_history else []:
            ours, theirs = (c.call("debug_traceTransaction", one, CALLS) for c in (other, anvil))
            # Anvil shows the gas of the first frame without what the transaction itself costs.
            assert {**ours, "gas": 0} == {**theirs, "gas": 0}
        for chain in (other, anvil):
            chain.call("evm_mine")
        ours, theirs = (c.call("eth_getBlockByNumber", "latest", False) for c in (other, anvil))
        for name in ("parentHash", "number", "gasLimit", "miner", "baseFeePerGas"):
            assert ours[name] == theirs[name], name
        assert abs(int(ours["timestamp"], 16) - int(theirs["timestamp"], 16)) <= 10


def test_anvil_tells_a_dump_of_this_node_in_full(node: Ghostd) -> None:
    """Transactions by its hashes, older states, and traces, for which it runs them again."""
    hashes = live(node)
    dumped = node.call("anvil_dumpState", True)
    document = json.loads(gzip.decompress(bytes.fromhex(dumped[2:])))
    by_hand = next(
        entry["transaction"]
        for block in document["blocks"]
        for entry in block["transactions"]
        if entry["impersonated_sender"] is not None
    )
    assert (by_hand["r"], by_hand["s"]) == ("0x0", "0x0")
    with Anvil() as anvil:
        assert anvil.call("anvil_loadState", dumped) is True
        ours, theirs = states_of(node)[-60:], states_of(anvil)[-60:]
        assert sum(a != b for a, b in zip(ours, theirs, strict=True)) <= 2, "what was set by hand"
        for one in hashes[:5]:
            ours, theirs = (c.call("debug_traceTransaction", one, CALLS) for c in (node, anvil))
            assert {**ours, "gas": 0} == {**theirs, "gas": 0}
        height = int(node.call("eth_getTransactionReceipt", hashes[5])["blockNumber"], 16)
        (name,) = anvil.call("eth_getBlockByNumber", hex(height), False)["transactions"]
        assert anvil.call("eth_getTransactionReceipt", name)["from"] == WHALE
        assert anvil.call("debug_traceTransaction", name, CALLS)["from"] == WHALE
        back = anvil.call("anvil_dumpState", True)
    with Ghostd("--dev") as other:
        assert other.call("anvil_loadState", back) is True
        assert blocks_of(other, hashes) == blocks_of(node, hashes)
        assert other.call("eth_getTransactionReceipt", name)["from"] == WHALE


def test_what_only_this_node_has_words_for_comes_back(tmp_path: Path) -> None:
    """Transactions of its own types, by a file."""
    file = tmp_path / "state.json"
    with Ghostd("--dev", "--state", str(file), "--preserve-historical-states") as node:
        hashes = live(node)
        token = "0x" + "00" * 17 + "474302"
        first = node.call("eth_accounts")[0]
        request = {"from": first, "to": BOB, "value": "0x9", "feeCurrency": token, "type": "0x7b"}
        sent = answer(node, "eth_sendTransaction", request)
        if sent != "failed":
            hashes.append(sent)
        blocks, states = blocks_of(node, hashes), states_of(node, 9)
    with Ghostd("--dev", "--state", str(file)) as node:
        assert blocks_of(node, hashes) == blocks
        assert states_of(node, 9) == states


def test_a_chain_stands_over_what_was_there(node: Ghostd) -> None:
    """As in anvil: accounts that the dump does not name stay, nonces never go back, and what waits
    goes on waiting; a reset leads back to a chain of one's own."""
    dumped = node.call("anvil_dumpState")
    with Ghostd("--dev") as other:
        stranger = "0x" + "5e" * 20
        sender = other.call("eth_accounts")[9]
        for _ in range(3):
            other.call("eth_sendTransaction", {"from": sender, "to": stranger, "value": "0x5"})
        snapshot = other.call("evm_snapshot")
        other.call("evm_setAutomine", False)
        waiting = other.call(
            "eth_sendTransaction", {"from": sender, "to": stranger, "value": "0x1"}
        )
        assert other.call("anvil_loadState", dumped) is True
        assert other.call("eth_getBalance", stranger, "latest") == "0xf"
        assert other.call("eth_getTransactionCount", sender, "latest") == "0x3"
        assert other.call("evm_revert", snapshot) is False
        other.call("evm_mine")
        assert other.wait_for_receipt(waiting)["status"] == "0x1"
        other.call("anvil_reset")
        assert other.call("eth_blockNumber") == "0x0"
        assert other.call("eth_getBalance", stranger, "latest") == "0x0"
        head = other.call("eth_getBlockByNumber", "latest", False)
        assert abs(int(head["timestamp"], 16) - time.time()) < 60


def changed(document: dict[str, Any], *path: Any, to: Any) -> bytes:
    """The document with one value another one."""
    copy = json.loads(json.dumps(document))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(copy).encode()


def test_a_dump_that_is_wrong_somewhere_changes_nothing(node: Ghostd) -> None:
    """Said with its reason; the chain is as it was, in memory and on disk."""
    live(node)
    document = json.loads(gzip.decompress(bytes.fromhex(node.call("anvil_dumpState", True)[2:])))
    height = next(i for i, block in enumerate(document["blocks"]) if block["transactions"])
    entry = ("blocks", height, "transactions", 0, "transaction")
    state = ("historical_states", 0, 1)
    some = next(iter(document["historical_states"][0][1]["accounts"]))
    wrong = [
        changed(document, "blocks", height, "header", "stateRoot", to="0x12"),
        changed(document, "blocks", height, "header", "number", to=[]),
        changed(document, "blocks", height, "transactions", to=7),
        changed(document, *entry, "s", to="0x1"),
        changed(document, *entry, "value", to="0x" + "ff" * 33),
        changed(document, *entry, "nonce", to="0x77"),
        changed(document, "transactions", 0, "receipt", "logs", to={"a": 1}),
        changed(document, "transactions", 0, "info", to=None),
        changed(document, "best_block_number", to="0x" + "f" * 40),
        changed(document, *state, "accounts", to=[]),
        changed(document, *state, "accounts", some, "code_hash", to="0x" + "11" * 32),
        changed(document, *state, "storage", to={some: {"0x0": "zz"}}),
        changed(document, "historical_states", to=[["0x11"]]),
        changed(document, "ghostchain", to={"blocks": {"0x" + "00" * 32: {"body": "0x"}}}),
    ]
    with Ghostd("--dev") as other:
        other.call("anvil_mine", "0x2")
        other.call("anvil_setBalance", BOB, "0x5")
        before = other.call("eth_getBlockByNumber", "latest", False)
        for dumped in wrong:
            with pytest.raises(RpcFailure) as caught:
                other.call("anvil_loadState", "0x" + dumped.hex())
            assert caught.value.code == -32602
            assert caught.value.message.startswith("Failed to decode state dump")
            assert other.call("eth_getBlockByNumber", "latest", False) == before
        assert other.call("eth_getBalance", BOB, "latest") == "0x5"
        other.call("evm_mine")
        assert not other.faults


@pytest.mark.parametrize("kind", ["without blocks", "with older headers", "on a fork"])
def test_accounts_and_the_height_are_taken_of_what_gives_no_chain(node: Ghostd, kind: str) -> None:
    """Of older dumps of anvil's, and on a fork, whose past is another chain's."""
    live(node)
    document = json.loads(gzip.decompress(bytes.fromhex(node.call("anvil_dumpState")[2:])))
    head = node.call("eth_getBlockByNumber", "latest", False)
    if kind == "without blocks":
        document["blocks"], document["transactions"] = [], []
    for block in document["blocks"] if kind == "with older headers" else []:
        del block["header"]["withdrawalsRoot"], block["header"]["parentBeaconBlockRoot"]
    dumped = "0x" + json.dumps(document).encode().hex()
    with Ghostd("--dev") as origin:
        flags = ["--fork-url", origin.url, "--no-storage-caching"] if kind == "on a fork" else []
        with Ghostd("--dev", *flags) as other:
            assert other.call("anvil_loadState", dumped) is True
            assert other.call("eth_blockNumber") == head["number"]
            for who in (BOB, WHALE):
                balances = [c.call("eth_getBalance", who, "latest") for c in (other, node)]
                assert balances[0] == balances[1]
            slots = [c.call("eth_getStorageAt", LOGGER, "0x0", "latest") for c in (other, node)]
            assert slots[0] == slots[1]
            found = other.call("eth_getBlockByNumber", "latest", False)
            if kind != "without blocks":
                assert found["timestamp"] == head["timestamp"]
            other.call("evm_mine")
