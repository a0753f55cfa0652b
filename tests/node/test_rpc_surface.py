"""Every method of execution-apis' document on a chain where everything happened: results have the
shape the document demands, mistakes the code that clients expect; what is left out is left out by
name, in docs/json-rpc.md."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ghostchain.crypto.keccak import keccak256
from ghostchain.rpc.methods import METHODS
from tests.node.document import Document
from tests.node.examples import (
    ADDRESS_TAKERS,
    HASH_TAKERS,
    NO_HASH,
    NOBODY,
    NUMBER_TAKERS,
    PARAMETERLESS,
    STATE_READERS,
    Asking,
    attributes,
    examples,
    hexed,
    tag_examples,
)
from tests.node.process import Ghostd, RpcFailure
from tests.node.whole_chain import (
    ALICE,
    BOB,
    COINBASE,
    TARGET,
    WholeChain,
    runtime,
    word,
)
from tests.tidy.test_docs import rows_of

POOR = "0x" + "98" * 20


@pytest.fixture(scope="module")
def node(world: WholeChain) -> Iterator[Ghostd]:
    with Ghostd("--dev", "--genesis", str(world.genesis), data_dir=world.directory) as running:
        # Something waits: a transaction behind a gap.
        gap = {"from": hexed(ALICE), "to": hexed(BOB), "nonce": "0x50", "gas": "0x5208"}
        running.call("eth_sendTransaction", gap)
        yield running


def left_out() -> dict[str, str]:
    """Methods of the document that are not here, and why."""
    return {row[0].strip("`"): row[1] for row in rows_of("json-rpc.md", "Left out", r"`\w+`")}


@pytest.fixture(scope="module")
def asking(world: WholeChain, node: Ghostd) -> Asking:
    return Asking(world, node)


@pytest.fixture
def moved(asking: Asking) -> Iterator[Asking]:
    """For a test that moves the chain by hand: others find it as it was."""
    taken = asking.node.call("evm_snapshot")
    yield asking
    assert asking.node.call("evm_revert", taken) is True
    asking.node.call("evm_setAutomine", True)


def test_every_method_is_here_or_left_out_by_name(asking: Asking, document: Document) -> None:
    asked = set(document.methods)
    reasons = left_out()
    assert set(reasons) <= asked
    assert all(len(reason) > 20 for reason in reasons.values())
    assert asked - set(METHODS) == set(reasons)
    exercised = {method for method, _ in examples(asking)}
    assert asked - set(reasons) <= exercised, "each is exercised below"


def test_every_result_has_the_shape_of_the_document(asking: Asking, document: Document) -> None:
    for method, params in [*examples(asking), *tag_examples(asking)]:
        result = asking.node.call(method, *params)
        fault = document.judge(method, {"result": result})
        assert not fault, f"{fault} {json.dumps(params)[:200]}"


def mistakes(asking: Asking) -> list[tuple[str, list[Any], int]]:
    """Bad calls of every method, and the code that answers them."""
    call, contract = asking.call, asking.contract
    parent, told = asking.block["hash"], attributes(asking)
    tracer = {"tracer": "callTracer"}
    return [
        *((method, ["2"], -32602) for method in NUMBER_TAKERS),
        *((method, ["0x01"], -32602) for method in NUMBER_TAKERS),
        *((method, [], -32602) for method in NUMBER_TAKERS if method != "eth_getBlockReceipts"),
        *((method, ["0x1234"], -32602) for method in HASH_TAKERS),
        *((method, ["11" * 32], -32602) for method in HASH_TAKERS),
        *((method, [], -32602) for method in HASH_TAKERS),
        *((method, ["0x1"], -32602) for method in ADDRESS_TAKERS),
        *((method, [], -32602) for method in ADDRESS_TAKERS),
        *((method, [*params, "0xffffff"], -32000) for method, params in STATE_READERS),
        *((method, [*params, "newest"], -32602) for method, params in STATE_READERS),
        *((method, ["0x1"], -32602) for method in PARAMETERLESS),
        ("debug_getRawHeader", ["0xffffff"], -32000),
        ("debug_getRawBlock", ["0xffffff"], -32000),
        ("debug_getRawReceipts", ["0xffffff"], -32000),
        ("debug_traceBlockByNumber", ["0xffffff", tracer], -32000),
        ("debug_traceBlockByNumber", ["0x0", tracer], -32000),
        ("debug_traceBlockByHash", [NO_HASH, tracer], -32000),
        ("debug_traceBlockByHash", ["0x12", tracer], -32602),
        ("debug_traceTransaction", [NO_HASH, tracer], -32000),
        ("debug_traceTransaction", ["0x12", tracer], -32602),
        ("eth_getTransactionByBlockHashAndIndex", ["0x12", "0x0"], -32602),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x1", "first"], -32602),
        ("eth_call", [call | {"input": "0xab"}, "latest"], 3),
        ("eth_call", [call | {"input": "0xabcd"}, "latest"], -32000),
        ("eth_call", [{"to": "0x12"}], -32602),
        ("eth_call", [call | {"gasPrice": "0x1", "maxFeePerGas": "0x1"}], -32000),
        ("eth_estimateGas", [call | {"input": "0xab"}], 3),
        ("eth_estimateGas", [{"from": POOR, "to": contract, "value": "0x1"}], -32000),
        ("eth_createAccessList", [call | {"chainId": "0x1"}], -32000),
        ("eth_gasPrice", ["0x12"], -32602),
        ("eth_maxPriorityFeePerGas", ["0x12"], -32602),
        ("eth_feeHistory", ["0x10", "latest", [90, 10]], -32000),
        ("eth_feeHistory", ["0x10", "latest", ["a"]], -32602),
        ("eth_fillTransaction", [{"from": NOBODY}], -32000),
        ("eth_newFilter", [{"fromBlock": "2"}], -32602),
        ("eth_getFilterChanges", ["0x1"], -32000),
        ("eth_getFilterLogs", ["0x1"], -32000),
        ("eth_getFilterLogs", [asking.filter("BlockFilter")], -32000),
        ("eth_uninstallFilter", [], -32602),
        ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0x2"}], -32602),
        ("eth_getLogs", [{"blockHash": parent, "fromBlock": "0x1"}], -32602),
        ("eth_getLogs", [{"blockHash": NO_HASH}], -32000),
        ("eth_sign", [NOBODY, "0x01"], -32000),
        ("eth_sign", [hexed(ALICE), "01"], -32602),
        ("eth_signTransaction", [{"from": NOBODY, "to": NOBODY, "gas": "0x5208"}], -32000),
        ("eth_sendTransaction", [{"from": NOBODY, "to": NOBODY, "gas": "0x5208"}], -32000),
        ("eth_sendRawTransaction", ["0x"], -32000),
        ("eth_sendRawTransaction", ["0x0"], -32602),
        ("eth_getStorageAt", [contract, "0x" + "0" * 66, "latest"], -32602),
        ("eth_getStorageValues", [{}, "latest"], -32602),
        ("eth_getProof", [contract, ["xyz"], "latest"], -32602),
        ("eth_simulateV1", [{"blockStateCalls": []}], -32602),
        ("eth_simulateV1", [{"blockStateCalls": [{}] * 257}], -38026),
        *(("eth_simulateV1", [asked, "latest"], code) for asked, code in refused_simulations(call)),
        ("testing_buildBlockV1", [NO_HASH, told, []], -32000),
        ("testing_buildBlockV1", [parent, told | {"timestamp": "0x1"}, []], -32000),
        ("testing_buildBlockV1", [parent, told, ["0x1234"]], -32000),
        ("testing_buildBlockV1", [parent, told | {"prevRandao": "0x1"}, []], -32602),
        ("testing_buildBlockV1", [parent, told, [], hexed(bytes(33))], -32602),
    ]


def refused_simulations(call: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    poor = {"from": POOR, "to": NOBODY, "value": "0x1"}

    def of(*calls: dict[str, Any], **block: Any) -> dict[str, Any]:
        return {"blockStateCalls": [{"calls": list(calls)} | block]}

    late = {"blockOverrides": {"number": "0x50"}}
    early = {"blockOverrides": {"number": "0x40"}}
    checked = {"validation": True}
    return [
        ({"blockStateCalls": [late, early]}, -38020),
        (of(blockOverrides={"time": "0x1"}), -38021),
        ({"blockStateCalls": [{"blockOverrides": {"time": "0xffffffffffffffff"}}, {}]}, -38021),
        (of(blockOverrides={"number": "0xffffff"}), -38026),
        (of(poor), -38014),
        (of(call | {"gas": "0x1"}), -38013),
        (of(call) | checked, -38012),
        (of(call | {"nonce": "0x0", "maxFeePerGas": "0xffffffffff"}) | checked, -38010),
        (of(call | {"nonce": "0xfff", "maxFeePerGas": "0xffffffffff"}) | checked, -38011),
        (of(call | {"gas": "0xffffffffff"}), -38015),
        (of({"from": hexed(ALICE), "input": hexed(bytes(49_153))}), -38025),
        (of(call | {"maxPriorityFeePerGas": "0x5"}), -32602),
        (of(stateOverrides={NOBODY: {"movePrecompileToAddress": NOBODY}}), -32000),
        (of(stateOverrides={NOBODY: {"state": {}, "stateDiff": {}}}), -32000),
    ]


def test_mistakes_have_the_code_that_clients_expect(asking: Asking, document: Document) -> None:
    listed = mistakes(asking)
    asked = set(document.methods)
    assert asked - set(left_out()) <= {method for method, _, _ in listed}, "each has its mistakes"
    wrong = []
    for method, params, code in listed:
        (answer,) = asking.node.batch([(method, params)])
        error = answer.get("error") or {"code": None, "message": str(answer.get("result"))[:200]}
        if error["code"] != code:
            wrong.append((method, json.dumps(params)[:200], code, error))
    assert not wrong, "\n".join(map(str, wrong))


# ---- what simulated blocks are ----


@pytest.mark.parametrize("what", ["logs", "set code", "with withdrawals", "creation"])
def test_a_simulated_block_is_the_block(asking: Asking, what: str) -> None:
    """With the header's fields and the same calls, all that does not hang on signatures is the real
    block's: state, receipts, bloom, gas."""
    node, number = asking.node, asking.number(what)
    real = node.call("eth_getBlockByNumber", number, True)
    calls = []
    for tx in real["transactions"]:
        call = {key: tx[key] for key in ("from", "to", "gas", "value", "input", "nonce")}
        for key in ("maxFeePerGas", "maxPriorityFeePerGas", "authorizationList"):
            if key in tx:
                call[key] = tx[key]
        calls.append({key: value for key, value in call.items() if value is not None})
    override = {
        "number": number,
        "time": real["timestamp"],
        "gasLimit": real["gasLimit"],
        "feeRecipient": real["miner"],
        "prevRandao": real["mixHash"],
        "beaconRoot": real["parentBeaconBlockRoot"],
        "withdrawals": real["withdrawals"],
    }
    asked = {"blockStateCalls": [{"blockOverrides": override, "calls": calls}], "validation": True}
    (block,) = node.call("eth_simulateV1", asked, hex(int(number, 16) - 1))
    for name in (
        "parentHash",
        "stateRoot",
        "receiptsRoot",
        "logsBloom",
        "gasUsed",
        "baseFeePerGas",
        "withdrawalsRoot",
        "requestsHash",
    ):
        assert block[name] == real[name], name
    assert len(block["calls"]) == len(calls)


def test_simulated_blocks_know_each_other(asking: Asking) -> None:
    """BLOCKHASH of a phantom is its hash, and each block's parent is the one before."""
    code = "0x6001430340" + "5f5260205ff3"  # blockhash(number - 1)
    asked = {
        "blockStateCalls": [
            {"stateOverrides": {NOBODY: {"code": code}}},
            {"calls": [{"to": NOBODY}]},
            {
                "blockOverrides": {"number": hex(int(asking.head, 16) + 8)},
                "calls": [{"to": NOBODY}],
            },
        ]
    }
    blocks = asking.node.call("eth_simulateV1", asked, asking.head)
    assert len(blocks) == 8
    for before, after in itertools.pairwise(blocks):
        assert after["parentHash"] == before["hash"]
    assert blocks[1]["calls"][0]["returnData"] == blocks[0]["hash"]
    assert blocks[7]["calls"][0]["returnData"] == blocks[6]["hash"]


def test_ghost_and_fee_currency_calls_are_simulated(asking: Asking) -> None:
    ghost = {
        "from": hexed(ALICE),
        "calls": [
            {"to": NOBODY, "value": "0x5"},
            {"to": asking.contract, "input": "0x" + "11" * 32},
        ],
    }
    asked = {"blockStateCalls": [{"calls": [ghost]}], "returnFullTransactions": True}
    (block,) = asking.node.call("eth_simulateV1", asked | {"traceTransfers": True})
    (tx,) = block["transactions"]
    assert (tx["type"], len(tx["calls"])) == ("0x47", 2)
    (call,) = block["calls"]
    assert call["status"] == "0x1"
    assert [log["address"] for log in call["logs"]] == ["0x" + "ee" * 20, asking.contract]


def test_calls_see_the_blob_fee_and_precompiles_they_are_told(asking: Asking) -> None:
    code = {NOBODY: {"code": "0x4a5f5260205ff3"}}  # BLOBBASEFEE
    told = asking.node.call("eth_call", {"to": NOBODY}, "latest", code, {"blobBaseFee": "0x4d"})
    assert int(told, 16) == 0x4D
    identity = "0x" + "04".rjust(40, "0")
    moved = {identity: {"movePrecompileToAddress": NOBODY}}
    assert (
        asking.node.call("eth_call", {"to": NOBODY, "input": "0x1234"}, "latest", moved) == "0x1234"
    )
    assert (
        asking.node.call("eth_call", {"to": identity, "input": "0x1234"}, "latest", moved) == "0x"
    )
    blobs = {"from": POOR, "to": NOBODY, "blobVersionedHashes": ["0x01" + "11" * 31]}
    # Blobs whose fee nobody named cost a call nothing, and BLOBBASEFEE reads so.
    assert int(asking.node.call("eth_call", blobs, "latest", code), 16) == 0
    assert int(asking.node.call("eth_estimateGas", blobs), 16) == 21_000
    with pytest.raises(RpcFailure, match="insufficient funds"):
        asking.node.call("eth_call", blobs | {"maxFeePerBlobGas": "0xffff"}, "latest", code)


# ---- states as a whole, and in the middle of blocks ----


def every_account(node: Ghostd, block: str, page: int) -> dict[str, Any]:
    """By hash, a page after the other."""
    found: dict[str, Any] = {}
    start = "0x"
    while True:
        dump = node.call("debug_accountRange", block, start, page, False, False, True)
        assert len(dump["accounts"]) <= page
        for item in dump["accounts"].values():
            assert item["key"] not in found
            found[item["key"]] = item
        if "next" not in dump:
            return found
        start = hexed(base64.b64decode(dump["next"]))


@pytest.mark.parametrize("what", ["creation", "blob", "ghost"])
def test_account_range_is_the_state(asking: Asking, what: str) -> None:
    """At a past block, whatever has come since; page after page gives what one page gives."""
    node, number = asking.node, asking.number(what)
    found = every_account(node, number, 5)
    assert found == every_account(node, number, 256)
    for who in (ALICE, BOB, COINBASE, asking.world.contract, TARGET):
        item = found.get(hexed(keccak256(who)))
        account = node.call("eth_getAccount", hexed(who), number)
        if account is None:
            assert item is None
            continue
        assert item is not None
        assert int(item["balance"]) == int(account["balance"], 16)
        assert item["nonce"] == int(account["nonce"], 16)
        assert item["root"] == account["storageRoot"]
    contract = found[hexed(keccak256(asking.world.contract))]
    assert contract["code"] == hexed(runtime())
    slot = node.call("eth_getStorageAt", asking.contract, "0x0", number)
    assert int(contract.get("storage", {}).get(NO_HASH, "0"), 16) == int(slot, 16)
    dump = node.call("debug_dumpBlock", number)
    assert dump["root"] == node.call("eth_getBlockByNumber", number, False)["stateRoot"][2:]
    assert dump["accounts"][hexed(ALICE)]["key"] == hexed(keccak256(ALICE))


def test_storage_in_the_middle_of_a_block(asking: Asking) -> None:
    """The slot that the block's transactions write one after another."""
    node, block = asking.node, asking.hash("logs")
    key = hexed(keccak256(bytes(32)))
    before = node.call("debug_storageRangeAt", block, 0, asking.contract, "0x", 10)
    assert before["storage"][key] == {"key": NO_HASH, "value": hexed(word(42))}
    ghost = asking.hash("ghost")
    for index, value in ((0, 42), (1, 42), (2, 9)):
        page = node.call("debug_storageRangeAt", ghost, index, asking.contract, NO_HASH, 10)
        assert page["storage"][key]["value"] == hexed(word(value))
        assert page["nextKey"] is None
    spirit = "0x" + "474302".rjust(40, "0")
    seen: dict[str, Any] = {}
    start = NO_HASH
    while start is not None:
        page = node.call("debug_storageRangeAt", ghost, 2, spirit, start, 3)
        seen |= page["storage"]
        start = page["nextKey"]
    whole = node.call("debug_storageRangeAt", ghost, 2, spirit, NO_HASH, 1000)
    assert seen == whole["storage"]
    assert len(seen) > 3
    with pytest.raises(RpcFailure) as caught:
        node.call("debug_storageRangeAt", ghost, 9, spirit, NO_HASH, 3)
    assert caught.value.code == -32000


def test_intermediate_roots_and_modified_accounts(asking: Asking) -> None:
    node = asking.node
    roots = node.call("debug_intermediateRoots", asking.hash("reverted"))
    assert len(set(roots)) == 3
    with pytest.raises(RpcFailure, match="genesis is not traceable"):
        node.call(
            "debug_intermediateRoots", node.call("eth_getBlockByNumber", "0x0", False)["hash"]
        )
    number = asking.world.blocks["with withdrawals"]
    changed = node.call("debug_getModifiedAccountsByNumber", number)
    assert {hexed(BOB), hexed(TARGET), hexed(COINBASE)} <= set(changed)
    assert hexed(ALICE) not in changed
    assert changed == node.call("debug_getModifiedAccountsByHash", asking.hash("with withdrawals"))
    hashes = [keccak256(bytes.fromhex(who[2:])) for who in changed]
    assert hashes == sorted(hashes)
    many = node.call("debug_getModifiedAccountsByNumber", 1, number)
    assert set(changed) <= set(many)
    for params in ([number, 1], [0], [1, 0xFFFF]):
        with pytest.raises(RpcFailure) as caught:
            node.call("debug_getModifiedAccountsByNumber", *params)
        assert caught.value.code == -32000


def test_calls_one_after_another(asking: Asking) -> None:
    """Each on what those before it left; in the middle of a block; with accounts and blocks that
    look otherwise."""
    node, contract = asking.node, asking.contract
    put = {"to": contract, "input": hexed(word(5))}
    calls = [{"transactions": [put, put, {"to": contract, "input": "0xab"}]}]
    ((first, second, failed),) = node.call("eth_callMany", calls)
    assert int(second["value"], 16) == 5
    assert failed == {"error": "execution reverted"}
    ((again, *_),) = node.call("eth_callMany", calls, {"blockNumber": "latest"})
    assert again == first
    middle = {"blockNumber": asking.number("ghost"), "transactionIndex": 1}
    ((before, *_),) = node.call("eth_callMany", calls, middle)
    assert int(before["value"], 16) == 42
    ((after, *_),) = node.call("eth_callMany", calls, middle | {"transactionIndex": -1})
    assert int(after["value"], 16) == 9
    slots = {contract: {"stateDiff": {NO_HASH: hexed(word(77))}}}
    ((told, *_),) = node.call("eth_callMany", calls, middle, slots)
    assert int(told["value"], 16) == 77
    code = {NOBODY: {"code": "0x435f5260205ff3"}}  # NUMBER
    seen = [{"transactions": [{"to": NOBODY}], "blockOverride": {"number": "0x123"}}]
    (((shown),),) = node.call("eth_callMany", seen, None, code)
    assert int(shown["value"], 16) == 0x123
    for params, fault in (([[]], -32602), ([calls, middle | {"transactionIndex": 9}], -32000)):
        with pytest.raises(RpcFailure) as caught:
            node.call("eth_callMany", *params)
        assert caught.value.code == fault


def test_a_payload_is_the_block_that_would_be(asking: Asking) -> None:
    """Built again from its parent and its transactions, a block of the chain has the same hash."""
    node, number = asking.node, asking.number("more logs")
    real = node.call("eth_getBlockByNumber", number, True)
    raws = [node.call("eth_getRawTransactionByHash", tx["hash"]) for tx in real["transactions"]]
    told = {
        "timestamp": real["timestamp"],
        "prevRandao": real["mixHash"],
        "suggestedFeeRecipient": real["miner"],
        "withdrawals": real["withdrawals"],
        "parentBeaconBlockRoot": real["parentBeaconBlockRoot"],
    }
    before = node.call("eth_blockNumber")
    built = node.call("testing_buildBlockV1", real["parentHash"], told, raws, real["extraData"])
    assert built["executionPayload"]["blockHash"] == real["hash"]
    assert int(built["blockValue"], 16) > 0
    with pytest.raises(RpcFailure, match="nonce too high"):
        node.call("testing_buildBlockV1", real["parentHash"], told, later(asking))
    assert node.call("eth_blockNumber") == before


def later(asking: Asking) -> list[str]:
    """A transaction of Alice's that comes later in the chain."""
    sent = asking.world.hashes["set code"]
    return [asking.node.call("eth_getRawTransactionByHash", sent)]


def test_what_was_changed_by_hand_is_in_simulated_blocks(moved: Asking) -> None:
    """The next block begins with it, and so does the simulated one: their state roots are one."""
    node, rich = moved.node, "0x" + "97" * 20
    node.call("anvil_setBalance", rich, hex(10**18))
    paid = {"from": rich, "to": NOBODY, "value": hex(10**17), "gas": "0x5208"}
    latest = node.call("eth_getBlockByNumber", "latest", False)
    time = hex(int(latest["timestamp"], 16) + 1000)
    node.call("evm_setNextBlockTimestamp", time)
    empty = {"blockStateCalls": [{"blockOverrides": {"time": time}}, {"calls": [paid]}]}
    first, second = node.call("eth_simulateV1", empty)
    assert second["calls"][0]["status"] == "0x1"
    node.call("evm_mine")
    mined = node.call("eth_getBlockByNumber", "latest", False)
    assert (mined["timestamp"], mined["parentHash"]) == (time, latest["hash"])
    assert first["stateRoot"] == mined["stateRoot"]


def test_a_payload_of_what_waits(moved: Asking) -> None:
    """Impersonated senders too; and it goes on waiting."""
    node, whale = moved.node, "0x" + "96" * 20
    node.call("evm_setAutomine", False)
    node.call("anvil_setBalance", whale, hex(10**18))
    node.call("evm_mine")
    node.call("anvil_impersonateAccount", whale)
    fees = {"gas": "0x5208", "maxFeePerGas": hex(10**11), "maxPriorityFeePerGas": "0x1"}
    waiting = {
        node.call("eth_sendTransaction", {"from": who, "to": NOBODY, "value": "0x1"} | fees)
        for who in (whale, hexed(BOB))
    }
    latest = node.call("eth_getBlockByNumber", "latest", False)
    told = attributes(moved) | {"timestamp": hex(int(latest["timestamp"], 16) + 1)}
    built = node.call("testing_buildBlockV1", latest["hash"], told, None)
    raws = built["executionPayload"]["transactions"]
    assert {hexed(keccak256(bytes.fromhex(raw[2:]))) for raw in raws} >= waiting
    assert int(node.call("txpool_status")["pending"], 16) >= 2


def test_mistakes_in_methods_beside_the_document(asking: Asking) -> None:
    who, late = hexed(ALICE), "0xffffff"
    unsent = {"from": NOBODY, "to": NOBODY, "nonce": "0x0", "gas": "0x5208"}
    listed: list[tuple[str, list[Any], int]] = [
        ("eth_callMany", [{}], -32602),
        ("eth_callMany", [[{"transactions": [{"to": "0x1"}]}]], -32602),
        ("eth_callMany", [[{"transactions": [{"to": who}]}], {"blockNumber": late}], -32000),
        ("debug_accountRange", ["2"], -32602),
        ("debug_accountRange", [late], -32000),
        ("debug_accountRange", ["latest", hexed(bytes(33))], -32000),
        ("debug_dumpBlock", [late], -32000),
        ("debug_storageRangeAt", ["latest", "x", who], -32602),
        ("debug_storageRangeAt", ["latest", 0], -32602),
        ("debug_storageRangeAt", [NO_HASH, 0, who], -32000),
        ("debug_storageRangeAt", ["0x0", 1, who], -32000),
        ("debug_intermediateRoots", [NO_HASH], -32000),
        ("debug_getModifiedAccountsByHash", [NO_HASH], -32000),
        ("debug_getModifiedAccountsByNumber", [-1], -32602),
        ("debug_getModifiedAccountsByNumber", ["2"], -32602),
        ("eth_getAccount", ["0x1"], -32602),
        ("eth_getAccount", [who, late], -32000),
        ("eth_getAccountInfo", [who, late], -32000),
        ("eth_pendingTransactions", [1], -32602),
        ("eth_resend", [{"from": who}], -32000),
        ("eth_resend", [unsent, "0x1"], -32000),
        ("erigon_getHeaderByNumber", ["2"], -32602),
        ("debug_preimage", [NO_HASH], -32601),
    ]
    wrong = []
    for method, params, code in listed:
        (answer,) = asking.node.batch([(method, params)])
        error = answer.get("error") or {"code": None, "message": str(answer.get("result"))[:200]}
        if error["code"] != code:
            wrong.append((method, params, code, error))
    assert not wrong, "\n".join(map(str, wrong))
