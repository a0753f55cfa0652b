"""A live chain's answers: every result has the shape that execution-apis demands, and execution
shows through JSON-RPC as Ethereum has it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.primitives.types import Address
from ghostchain.trie.merkle import verify_proof
from tests.node.examples import PARAMETERLESS
from tests.node.process import Ghostd, RpcFailure
from tests.node.whole_chain import init_code

ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
BOB = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
EMPTY = "0x" + "99" * 20


class Live:
    """A node with a deployed contract and a few blocks."""

    def __init__(self, node: Ghostd) -> None:
        self.node = node
        deployed = self.send({"data": "0x" + init_code().hex()})
        self.contract = deployed["contractAddress"]
        self.deployed = deployed
        self.stored = self.send({"to": self.contract, "data": "0x" + "2a".rjust(64, "0")})

    def ask(self, method: str, *params: Any) -> Any:
        return self.node.call(method, *params)

    def send(self, members: dict[str, Any]) -> dict[str, Any]:
        sent = self.ask("eth_sendTransaction", {"from": ALICE} | members)
        return self.node.wait_for_receipt(sent)


@pytest.fixture(scope="module")
def live(ghostd: Ghostd) -> Live:
    return Live(ghostd)


def calls_of(live: Live) -> list[tuple[str, list[Any]]]:
    block, number = live.stored["blockHash"], live.stored["blockNumber"]
    sent, contract = live.stored["transactionHash"], live.contract
    call = {"from": ALICE, "to": contract, "input": "0x" + "2b".rjust(64, "0")}
    return [
        ("eth_getBlockByHash", [block, True]),
        ("eth_getBlockByHash", [block, False]),
        ("eth_getBlockByNumber", ["0x0", True]),
        ("eth_getBlockByNumber", [number, True]),
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_getBlockByNumber", ["0xffffff", False]),
        ("eth_getBlockTransactionCountByHash", [block]),
        ("eth_getBlockTransactionCountByNumber", [number]),
        ("eth_getBlockReceipts", [number]),
        ("eth_getBlockReceipts", ["0x0"]),
        *((method, []) for method in PARAMETERLESS),
        ("eth_call", [call, "latest"]),
        ("eth_estimateGas", [call]),
        ("eth_createAccessList", [call, "latest"]),
        ("eth_gasPrice", []),
        ("eth_maxPriorityFeePerGas", []),
        ("eth_feeHistory", ["0x10", "latest", [10, 50, 90]]),
        ("eth_fillTransaction", [call]),
        ("eth_newFilter", [{"fromBlock": "0x1"}]),
        ("eth_uninstallFilter", ["0x1"]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest", "address": contract}]),
        ("eth_sign", [ALICE, "0x0102"]),
        ("eth_signTransaction", [call]),
        ("eth_getBalance", [ALICE, "latest"]),
        ("eth_getStorageAt", [contract, "0x0", "latest"]),
        ("eth_getStorageValues", [{contract: ["0x0"]}, "latest"]),
        ("eth_getTransactionCount", [ALICE, "latest"]),
        ("eth_getCode", [contract, "latest"]),
        ("eth_getProof", [contract, ["0x0"], "latest"]),
        ("eth_getTransactionByHash", [sent]),
        ("eth_getTransactionByBlockHashAndIndex", [block, "0x0"]),
        ("eth_getTransactionByBlockNumberAndIndex", [number, "0x0"]),
        ("eth_getTransactionReceipt", [sent]),
        ("txpool_contentFrom", [ALICE]),
    ]


def test_results_validate_against_the_schemas(live: Live, openrpc: dict[str, Any]) -> None:
    schemas = {item["name"]: item["result"]["schema"] for item in openrpc["methods"]}
    for method, params in calls_of(live):
        schema = {"components": openrpc["components"], **schemas[method]}
        try:
            jsonschema.Draft202012Validator(schema).validate(live.ask(method, *params))
        except jsonschema.ValidationError as failure:
            pytest.fail(f"{method}{params}: {failure.message} at {list(failure.path)}")


def test_receipt_block_and_log_agree(live: Live) -> None:
    nonce = int(live.ask("eth_getTransactionByHash", live.deployed["transactionHash"])["nonce"], 16)
    alice = Address(bytes.fromhex(ALICE[2:]))
    assert live.contract == "0x" + contract_address(alice, nonce).hex()
    block = live.ask("eth_getBlockByHash", live.stored["blockHash"], False)
    assert live.stored["transactionHash"] in block["transactions"]
    assert block["gasUsed"] == live.stored["cumulativeGasUsed"]
    (log,) = live.ask("eth_getLogs", {"blockHash": live.stored["blockHash"]})
    assert [log] == live.stored["logs"]
    assert int(log["topics"][0], 16) == 7
    assert int(log["data"], 16) == 0x2A


def test_state_is_there_before_and_after(live: Live) -> None:
    after = live.stored["blockNumber"]
    before = hex(int(after, 16) - 1)
    assert int(live.ask("eth_getStorageAt", live.contract, "0x0", after), 16) == 0x2A
    assert int(live.ask("eth_getStorageAt", live.contract, "0x0", before), 16) == 0
    probe = {"to": live.contract, "data": "0x" + "00" * 32}
    assert int(live.ask("eth_call", probe, after), 16) == 0x2A
    assert int(live.ask("eth_call", probe, before), 16) == 0
    assert live.ask("eth_getCode", live.contract, "0x0") == "0x"
    # A call leaves nothing behind.
    assert int(live.ask("eth_getStorageAt", live.contract, "0x0", "latest"), 16) == 0x2A


def test_reverts_and_halts(live: Live) -> None:
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(RpcFailure) as caught:
            live.ask(method, {"to": live.contract, "data": "0xab"})
        assert (caught.value.code, caught.value.data) == (3, "0xab")
        assert caught.value.message == "execution reverted"
        with pytest.raises(RpcFailure, match="invalid opcode"):
            live.ask(method, {"to": live.contract, "data": "0xabcd"})


def test_overrides(live: Live) -> None:
    probe = {"to": live.contract, "data": "0x" + "00" * 32}
    slot = "0x" + "00" * 32
    for override, expected in (
        ({"stateDiff": {slot: "0x" + "05".rjust(64, "0")}}, 5),
        ({"state": {}}, 0),
        ({"state": {slot: "0x" + "06".rjust(64, "0")}}, 6),
    ):
        answer = live.ask("eth_call", probe, "latest", {live.contract: override})
        assert int(answer, 16) == expected
    code = "0x4360005260206000f3"  # return block.number
    answer = live.ask(
        "eth_call", {"to": EMPTY}, "latest", {EMPTY: {"code": code}}, {"number": "0x1234"}
    )
    assert int(answer, 16) == 0x1234
    answer = live.ask("eth_call", {"to": EMPTY}, "pending", {EMPTY: {"code": code}})
    assert int(answer, 16) == int(live.ask("eth_blockNumber"), 16) + 1


def test_estimate_suffices_exactly(live: Live) -> None:
    """A transaction with the estimated gas succeeds."""
    data = "0x" + "77".rjust(64, "0")
    estimated = live.ask("eth_estimateGas", {"from": ALICE, "to": live.contract, "data": data})
    receipt = live.send({"to": live.contract, "data": data, "gas": estimated})
    assert receipt["status"] == "0x1"
    assert int(estimated, 16) <= int(receipt["gasUsed"], 16) * 1.2
    back = live.send({"to": live.contract, "data": "0x" + "2a".rjust(64, "0")})
    assert back["status"] == "0x1"


def test_access_list_spares_the_cold_reads(live: Live) -> None:
    call = {"from": ALICE, "to": live.contract, "data": "0x" + "2a".rjust(64, "0")}
    answer = live.ask("eth_createAccessList", call)
    (entry,) = answer["accessList"]
    assert entry == {"address": live.contract, "storageKeys": ["0x" + "00" * 32]}


def test_proof_verifies(live: Live) -> None:
    block = live.ask("eth_getBlockByNumber", "latest", False)
    proof = live.ask("eth_getProof", live.contract, ["0x0"], block["number"])
    root = bytes.fromhex(block["stateRoot"][2:])
    address = bytes.fromhex(live.contract[2:])
    nodes = [bytes.fromhex(node[2:]) for node in proof["accountProof"]]
    account = verify_proof(root, keccak256(address), nodes)
    assert account is not None
    fields = rlp.decode(account)
    assert "0x" + bytes(fields[2]).hex() == proof["storageHash"]
    (slot,) = proof["storageProof"]
    nodes = [bytes.fromhex(node[2:]) for node in slot["proof"]]
    value = verify_proof(bytes(fields[2]), keccak256(bytes(32)), nodes)
    assert value is not None
    assert int.from_bytes(bytes(rlp.decode(value)), "big") == int(slot["value"], 16)


def test_every_fault_has_an_answer(live: Live) -> None:
    """A table of nonsense against the running node; it answers the next call as before."""
    for body in (b"", b"{", b"[]", b"[" * 100_000, b"\xff", b"1", b'{"jsonrpc":"2.0"}'):
        assert "error" in live.node.post(body)
    for method, params in (
        ("eth_getBalance", ["0x1"]),
        ("eth_getBlockByNumber", ["latest", "yes"]),
        ("eth_call", [{"to": "0x", "data": "zz"}]),
        ("eth_sendRawTransaction", ["0x"]),
        ("eth_sendRawTransaction", ["0x" + "ff" * 1000]),
        ("eth_sendTransaction", [{"from": EMPTY}]),
        ("no_such_method", []),
    ):
        with pytest.raises(RpcFailure) as caught:
            live.ask(method, *params)
        assert caught.value.code != -32603
    assert live.ask("eth_chainId") == "0x7a69"
