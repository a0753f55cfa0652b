"""Every method on a small chain: results validate against the OpenRPC schemas of execution-apis,
and answers and errors are those that clients expect."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from eth_abi.abi import encode
from eth_account import Account as Wallet
from eth_account.messages import encode_defunct
from eth_utils.address import to_checksum_address

from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.transactions import decode_transaction
from ghostchain.execution.executor import BlockEnvironment, Exit, Message
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.transaction import AccessEntry
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import SyncProgress
from ghostchain.rpc.method import Door
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.methods.network import DEVELOPMENT_NAMESPACES, NAMESPACES
from tests.unit.memory_backend import (
    ACCOUNTS,
    BASE_FEE,
    CHAIN_ID,
    COINBASE,
    KEYS,
    MemoryBackend,
    Ran,
)
from tests.unit.rpc_harness import RunningServer

ALICE, BOB = ("0x" + address.hex() for address in ACCOUNTS[:2])
NOBODY = "0x" + "99" * 20
TOKEN = Address(b"\x70" * 20)
REVERTER = Address(b"\x71" * 20)
HALTER = Address(b"\x72" * 20)
TOUCHER = Address(b"\x73" * 20)
BURNER = Address(b"\x74" * 20)
TOPIC = keccak256(b"Transfer(address,address,uint256)")
REASON = b"\x08\xc3\x79\xa0" + encode(["string"], ["no money"])


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def token(message: Message, environment: BlockEnvironment) -> Ran:
    """Logs what it is given, returns the block number and the caller."""
    topics = (TOPIC, Hash32(message.sender.rjust(32, b"\0")))
    output = encode(["uint256", "address"], [environment.number, hexed(message.sender)])
    return Ran(output=output, gas=30_000, logs=(Log(TOKEN, topics, message.data),))


def toucher(message: Message, environment: BlockEnvironment) -> Ran:
    return Ran(gas=40_000, gas_needed=60_000, accessed=((TOUCHER, Hash32(b"\x05" * 32)),))


@pytest.fixture
def backend() -> MemoryBackend:
    """Blocks: 1 transfer, 2 token log, 3 a revert and a creation, 4 empty, 5 all types."""
    chain = MemoryBackend(automine=False)
    chain.install(TOKEN, token, b"\x60\x00")
    chain.install(REVERTER, lambda message, environment: Ran(Exit.REVERT, REASON))
    chain.install(HALTER, lambda message, environment: Ran(Exit.INVALID_OPCODE))
    chain.install(TOUCHER, toucher)
    chain.install(BURNER, lambda message, environment: Ran(Exit.OUT_OF_GAS, gas=message.gas_limit))
    chain.store(TOKEN, Hash32(bytes(31) + b"\x01"), bytes(31) + b"\x2a")
    mine(chain, chain.signed(value=5))
    mine(chain, chain.signed(to=TOKEN, data=b"\x01\x02", gas_limit=50_000))
    nonce = chain.states[-1].accounts[ACCOUNTS[0]].nonce
    mine(
        chain,
        chain.signed(to=REVERTER, gas_limit=50_000),
        chain.signed(nonce=nonce + 1, to=None, data=b"\x00", gas_limit=60_000),
    )
    mine(chain)
    nonce += 2
    price = 2 * BASE_FEE
    legacy = {"type": 0, "max_fee_per_gas": price, "max_priority_fee_per_gas": price}
    entry = AccessEntry(TOKEN, (Hash32(bytes(32)),))
    mine(
        chain,
        chain.signed(nonce=nonce, **legacy),
        chain.signed(nonce=nonce + 1, chain_id=None, **legacy),
        chain.signed(nonce=nonce + 2, **legacy | {"type": 1}, access_list=(entry,)),
        chain.signed(nonce=nonce + 3, to=TOKEN, gas_limit=50_000),
    )
    chain.admit(chain.signed(nonce=nonce + 4))
    return chain


def mine(chain: MemoryBackend, *raws: bytes) -> None:
    for raw in raws:
        answer = chain.admit(raw)
        assert isinstance(answer, bytes), answer
    chain.seal()


@pytest.fixture
def node(backend: MemoryBackend) -> Iterator[RunningServer]:
    with RunningServer(backend) as running:
        yield running


def hash_of(backend: MemoryBackend, number: int, index: int = 0) -> str:
    return hexed(keccak256(backend.blocks[number].transactions[index]))


CALL_TOKEN = {"from": ALICE, "to": hexed(TOKEN), "input": "0x0102"}


def examples(backend: MemoryBackend) -> list[tuple[str, list[Any]]]:
    """At least one good call of every method of the schema that we answer."""
    block = hexed(backend.hashes[5])
    pending = hexed(next(iter(backend.pool)))
    return [
        ("eth_getBlockByHash", [block, True]),
        ("eth_getBlockByHash", [block, False]),
        ("eth_getBlockByHash", ["0x" + "00" * 32, False]),
        ("eth_getBlockByNumber", ["0x0", True]),
        ("eth_getBlockByNumber", ["0x5", True]),
        ("eth_getBlockByNumber", ["earliest", False]),
        ("eth_getBlockByNumber", ["latest", True]),
        ("eth_getBlockByNumber", ["0xffff", True]),
        ("eth_getBlockTransactionCountByHash", [block]),
        ("eth_getBlockTransactionCountByNumber", ["0x5"]),
        ("eth_getBlockReceipts", ["0x5"]),
        ("eth_getBlockReceipts", ["0x3"]),
        ("eth_getBlockReceipts", [block]),
        ("eth_getBlockReceipts", ["earliest"]),
        ("eth_capabilities", []),
        ("eth_chainId", []),
        ("eth_syncing", []),
        ("eth_coinbase", []),
        ("eth_accounts", []),
        ("eth_blockNumber", []),
        ("eth_config", []),
        ("net_version", []),
        ("eth_call", [CALL_TOKEN, "latest"]),
        ("eth_estimateGas", [CALL_TOKEN]),
        ("eth_createAccessList", [CALL_TOKEN, "latest"]),
        ("eth_gasPrice", []),
        ("eth_baseFee", []),
        ("eth_blobBaseFee", []),
        ("eth_maxPriorityFeePerGas", []),
        ("eth_feeHistory", ["0x4", "latest", [5, 50, 95]]),
        ("eth_fillTransaction", [CALL_TOKEN]),
        ("eth_newFilter", [{"fromBlock": "0x1"}]),
        ("eth_newBlockFilter", []),
        ("eth_newPendingTransactionFilter", []),
        ("eth_uninstallFilter", ["0x1"]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest"}]),
        ("eth_sign", [ALICE, "0x0102"]),
        ("eth_signTransaction", [CALL_TOKEN]),
        ("eth_getBalance", [ALICE, "latest"]),
        ("eth_getStorageAt", [hexed(TOKEN), "0x1", "latest"]),
        ("eth_getStorageValues", [{hexed(TOKEN): ["0x1", "0x2"]}, "latest"]),
        ("eth_getTransactionCount", [ALICE, "pending"]),
        ("eth_getCode", [hexed(TOKEN), "latest"]),
        ("eth_getProof", [ALICE, ["0x1", "0x" + "00" * 32], "latest"]),
        ("eth_getTransactionByHash", [hash_of(backend, 1)]),
        ("eth_getTransactionByHash", [hash_of(backend, 5, 1)]),
        ("eth_getTransactionByHash", ["0x" + "00" * 32]),
        ("eth_getTransactionByBlockHashAndIndex", [block, "0x2"]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x5", "0x0"]),
        ("eth_getTransactionReceipt", [hash_of(backend, 2)]),
        ("eth_getTransactionReceipt", [pending]),
        ("debug_getRawHeader", ["0x5"]),
        ("debug_getRawBlock", ["0x5"]),
        ("debug_getRawReceipts", ["0x5"]),
        ("debug_getRawReceipts", ["earliest"]),
        ("debug_getRawTransaction", [hash_of(backend, 5, 1)]),
        ("debug_getRawTransaction", ["0x" + "00" * 32]),
        ("debug_getBadBlocks", []),
        ("txpool_status", []),
        ("txpool_content", []),
        ("txpool_contentFrom", [ALICE]),
    ]


def test_results_validate_against_the_schemas(
    node: RunningServer, backend: MemoryBackend, openrpc: dict[str, Any]
) -> None:
    """Every result of every method has the shape that execution-apis demands."""
    schemas = {item["name"]: item["result"]["schema"] for item in openrpc["methods"]}
    for method, params in examples(backend):
        result = node.ask(method, *params)
        schema = {"components": openrpc["components"], **schemas[method]}
        try:
            jsonschema.Draft202012Validator(schema).validate(result)
        except jsonschema.ValidationError as failure:
            pytest.fail(f"{method}{params}: {failure.message} at {list(failure.path)}")


def test_all_methods_of_the_schema_are_answered(openrpc: dict[str, Any]) -> None:
    """What is left out is left out by name."""
    asked = {item["name"] for item in openrpc["methods"]}
    left_out = {"eth_getBlockAccessList", "debug_getRawBlockAccessList"}
    assert asked - set(METHODS) == left_out


# ---- blocks and transactions ----


def test_block_has_hashes_or_transactions(node: RunningServer, backend: MemoryBackend) -> None:
    short = node.ask("eth_getBlockByNumber", "0x5", False)
    whole = node.ask("eth_getBlockByNumber", "0x5", True)
    assert short["transactions"] == [item["hash"] for item in whole["transactions"]]
    assert short["hash"] == hexed(backend.hashes[5])
    assert [item["type"] for item in whole["transactions"]] == ["0x0", "0x0", "0x1", "0x2"]
    protected, bare = whole["transactions"][:2]
    assert int(protected["v"], 16) in (35 + 2 * CHAIN_ID, 36 + 2 * CHAIN_ID)
    assert int(bare["v"], 16) in (27, 28)
    assert "chainId" not in bare
    assert whole["transactions"][3]["gasPrice"] == hex(BASE_FEE + 1)
    assert node.ask("eth_getBlockByNumber", "0x6", False) is None


def test_tags_mean_the_head(node: RunningServer) -> None:
    """Every committed block is final."""
    blocks = [
        node.ask("eth_getBlockByNumber", tag, False) for tag in ("latest", "safe", "finalized")
    ]
    assert blocks[0] == blocks[1] == blocks[2]


def test_receipts_count_gas_and_logs_through_the_block(
    node: RunningServer, backend: MemoryBackend
) -> None:
    reverted, created = node.ask("eth_getBlockReceipts", "0x3")
    assert (reverted["status"], created["status"]) == ("0x0", "0x1")
    nonce = decode_transaction(backend.blocks[3].transactions[1]).nonce
    assert created["contractAddress"] == hexed(contract_address(ACCOUNTS[0], nonce))
    assert created["to"] is None
    total = int(reverted["gasUsed"], 16) + int(created["gasUsed"], 16)
    assert int(created["cumulativeGasUsed"], 16) == total
    receipt = node.ask("eth_getTransactionReceipt", hash_of(backend, 2))
    (log,) = receipt["logs"]
    assert log["topics"][0] == hexed(TOPIC)
    assert (log["logIndex"], log["removed"], log["data"]) == ("0x0", False, "0x0102")


def test_pending_transaction_is_found_without_a_place(
    node: RunningServer, backend: MemoryBackend
) -> None:
    waiting = next(iter(backend.pool))
    found = node.ask("eth_getTransactionByHash", hexed(waiting))
    assert (found["blockHash"], found["blockNumber"], found["from"]) == (None, None, ALICE)
    assert node.ask("eth_getTransactionReceipt", hexed(waiting)) is None
    assert node.ask("eth_getRawTransactionByHash", hexed(waiting)) == hexed(
        backend.pool[waiting].raw
    )


def test_transaction_by_sender_and_nonce(node: RunningServer, backend: MemoryBackend) -> None:
    for number, index in ((1, 0), (3, 1), (5, 2)):
        nonce = decode_transaction(backend.blocks[number].transactions[index]).nonce
        found = node.ask("eth_getTransactionBySenderAndNonce", ALICE, hex(nonce))
        assert found["hash"] == hash_of(backend, number, index)
    assert node.ask("eth_getTransactionBySenderAndNonce", ALICE, "0x99") is None
    assert node.ask("eth_getTransactionBySenderAndNonce", NOBODY, "0x0") is None
    pending = node.ask("eth_getTransactionBySenderAndNonce", ALICE, "0x8")
    assert pending["blockHash"] is None


def test_uncles_are_none(node: RunningServer, backend: MemoryBackend) -> None:
    assert node.ask("eth_getUncleCountByBlockNumber", "latest") == "0x0"
    assert node.ask("eth_getUncleCountByBlockHash", hexed(backend.hashes[1])) == "0x0"
    assert node.ask("eth_getUncleByBlockNumberAndIndex", "latest", "0x0") is None


# ---- state ----


def test_state_at_past_blocks(node: RunningServer, backend: MemoryBackend) -> None:
    """By number, tag, hash and EIP-1898 object, and latest when left out."""
    assert node.ask("eth_getTransactionCount", ALICE, "0x1") == "0x1"
    assert node.ask("eth_getTransactionCount", ALICE, hexed(backend.hashes[2])) == "0x2"
    by_object = {"blockHash": hexed(backend.hashes[3]), "requireCanonical": True}
    assert node.ask("eth_getTransactionCount", ALICE, by_object) == "0x4"
    assert node.ask("eth_getTransactionCount", ALICE) == "0x8"
    assert node.ask("eth_getTransactionCount", ALICE, "pending") == "0x9"
    assert node.ask("eth_getBalance", NOBODY) == "0x0"
    assert node.ask("eth_getCode", hexed(TOKEN)) == "0x6000"
    assert node.ask("eth_getStorageAt", hexed(TOKEN), "0x1") == "0x" + "00" * 31 + "2a"
    assert node.ask("eth_getStorageAt", hexed(TOKEN), "0x2", "latest") == "0x" + "00" * 32


def test_missing_block_is_header_not_found(node: RunningServer) -> None:
    for method, params in (
        ("eth_getBalance", [ALICE, "0xff"]),
        ("eth_call", [CALL_TOKEN, "0xff"]),
        ("eth_getProof", [ALICE, [], {"blockHash": "0x" + "11" * 32}]),
    ):
        failure = node.refuse(method, *params)
        assert (failure.code, failure.message) == (-32000, "header not found")


def test_proof_echoes_its_keys(node: RunningServer) -> None:
    proof = node.ask("eth_getProof", hexed(TOKEN), ["0x01", "0x" + "00" * 32], "latest")
    assert [item["key"] for item in proof["storageProof"]] == ["0x1", "0x" + "00" * 32]
    assert proof["storageProof"][0]["value"] == "0x2a"


# ---- execution ----


def test_call_runs_in_the_block_asked_for(node: RunningServer) -> None:
    for block, number in (("0x2", 2), ("latest", 5), ("pending", 6)):
        output = node.ask("eth_call", CALL_TOKEN, block)
        assert int(output[2:66], 16) == number
        assert output[-40:] == ALICE[2:]


def test_block_and_state_overrides(node: RunningServer) -> None:
    output = node.ask("eth_call", CALL_TOKEN, "latest", {}, {"number": "0x99"})
    assert int(output[2:66], 16) == 0x99
    poor = {"from": NOBODY, "to": BOB, "value": "0x1"}
    assert "insufficient funds" in node.refuse("eth_call", poor).message
    assert node.ask("eth_call", poor, "latest", {NOBODY: {"balance": "0x1"}}) == "0x"


def test_revert_is_code_3_with_reason_and_data(node: RunningServer) -> None:
    """The same from eth_call and from eth_estimateGas."""
    for method in ("eth_call", "eth_estimateGas"):
        failure = node.refuse(method, {"to": hexed(REVERTER)})
        assert failure.code == 3
        assert failure.message == "execution reverted: no money"
        assert failure.data == hexed(REASON)


def test_halts_have_geths_words(node: RunningServer) -> None:
    assert node.refuse("eth_call", {"to": hexed(HALTER)}).message == "invalid opcode: INVALID"
    assert node.refuse("eth_call", {"to": hexed(BURNER)}).message == "out of gas"
    failure = node.refuse("eth_estimateGas", {"to": hexed(BURNER)})
    assert failure.message == "gas required exceeds allowance (16777216)"


def test_estimate_is_enough_and_tight(node: RunningServer) -> None:
    """A callee that needs more than it uses (63/64) is found by the search."""
    assert node.ask("eth_estimateGas", {"from": ALICE, "to": BOB}) == "0x5208"
    gas = int(node.ask("eth_estimateGas", {"from": ALICE, "to": hexed(TOUCHER)}), 16)
    assert 60_000 <= gas <= 60_000 * 1.02


def test_estimate_runs_in_the_next_block(node: RunningServer, backend: MemoryBackend) -> None:
    """Where no block is named, or the head by a tag: what costs more once time went on is paid."""
    head = backend.head().number

    def costs_more_later(message: Message, environment: BlockEnvironment) -> Ran:
        return Ran(gas=90_000 if environment.number > head else 40_000)

    backend.install(Address(b"\x75" * 20), costs_more_later)
    request = {"from": ALICE, "to": hexed(b"\x75" * 20)}
    for block in ([], ["latest"], ["pending"]):
        assert int(node.ask("eth_estimateGas", request, *block), 16) >= 90_000
    assert int(node.ask("eth_estimateGas", request, hex(head)), 16) < 90_000


def test_estimate_is_bounded_by_what_the_sender_can_pay(node: RunningServer) -> None:
    request = {"from": ALICE, "to": hexed(BURNER), "maxFeePerGas": hex(10**21 // 50)}
    failure = node.refuse("eth_estimateGas", request)
    assert failure.message.startswith("gas required exceeds allowance (")
    assert int(failure.message.split("(")[1][:-1]) < 1000
    request = {"from": NOBODY, "to": BOB, "value": "0x1", "gasPrice": hex(BASE_FEE)}
    assert node.refuse("eth_estimateGas", request).message == "insufficient funds for transfer"


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, "both gasPrice and"),
    ({"chainId": "0x1"}, "chainId does not match node's (have=1, want=31337)"),
    ({"from": ALICE, "maxFeePerGas": "0x1"}, "max fee per gas less than block base fee"),
    (
        {"from": ALICE, "maxFeePerGas": hex(BASE_FEE), "maxPriorityFeePerGas": hex(BASE_FEE + 1)},
        "max priority fee per gas higher than max fee per gas",
    ),
    ({"gas": "0x1"}, "intrinsic gas too low: have 1, want 21000"),
    ({"from": NOBODY, "value": "0x1"}, "insufficient funds for gas * price + value: address"),
]


@pytest.mark.parametrize(("members", "message"), CONTRADICTIONS, ids=range(len(CONTRADICTIONS)))
def test_call_that_cannot_begin_says_why(
    node: RunningServer, members: dict[str, Any], message: str
) -> None:
    failure = node.refuse("eth_call", {"to": BOB} | members)
    assert failure.code == -32000
    assert message in failure.message


def test_access_list_names_slots_and_leaves_out_what_is_warm(node: RunningServer) -> None:
    answer = node.ask("eth_createAccessList", {"from": ALICE, "to": hexed(TOUCHER)})
    assert answer["accessList"] == [{"address": hexed(TOUCHER), "storageKeys": ["0x" + "05" * 32]}]
    failed = node.ask("eth_createAccessList", {"from": ALICE, "to": hexed(REVERTER)})
    assert failed["error"] == "execution reverted"


# ---- fees ----


def test_fee_history_covers_the_blocks_asked_for(node: RunningServer) -> None:
    history = node.ask("eth_feeHistory", 3, "latest", [0, 50, 100])
    assert history["oldestBlock"] == "0x3"
    assert len(history["baseFeePerGas"]) == len(history["baseFeePerBlobGas"]) == 4
    assert len(history["gasUsedRatio"]) == len(history["reward"]) == 3
    assert history["reward"][1] == ["0x0"] * 3
    assert history["reward"][2] == ["0x1", hex(BASE_FEE), hex(BASE_FEE)]
    assert "reward" not in node.ask("eth_feeHistory", "0x1", "latest")
    assert node.ask("eth_feeHistory", "0x400", "0x1", [])["oldestBlock"] == "0x0"


def test_fee_history_refuses_bad_percentiles(node: RunningServer) -> None:
    for percentiles in ([-1], [101], [50, 10]):
        assert (
            "reward percentile" in node.refuse("eth_feeHistory", 1, "latest", percentiles).message
        )
    assert "beyond head" in node.refuse("eth_feeHistory", 1, "0xff", []).message


def test_gas_price_is_base_fee_and_tip(node: RunningServer) -> None:
    tip = int(node.ask("eth_maxPriorityFeePerGas"), 16)
    assert int(node.ask("eth_gasPrice"), 16) == BASE_FEE + tip


# ---- logs and filters ----


def test_logs_are_filtered(node: RunningServer, backend: MemoryBackend) -> None:
    everything = node.ask("eth_getLogs", {"fromBlock": "earliest"})
    assert [log["blockNumber"] for log in everything] == ["0x2", "0x5"]
    assert node.ask("eth_getLogs", {}) == everything[1:]
    for members, count in (
        ({"address": hexed(TOKEN)}, 2),
        ({"address": [BOB]}, 0),
        ({"topics": [hexed(TOPIC)]}, 2),
        ({"topics": [None, "0x" + ALICE[2:].rjust(64, "0")]}, 2),
        ({"topics": [[hexed(TOPIC), "0x" + "00" * 32]]}, 2),
        ({"topics": [None, None, None]}, 0),
        ({"toBlock": "0x3"}, 1),
    ):
        assert len(node.ask("eth_getLogs", {"fromBlock": "0x0"} | members)) == count
    assert node.ask("eth_getLogs", {"blockHash": hexed(backend.hashes[2])}) == everything[:1]


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        ({"fromBlock": "0x3", "toBlock": "0x2"}, -32602, "invalid block range params"),
        ({"fromBlock": "0x1", "toBlock": "0xff"}, -32602, "beyond current head"),
        ({"fromBlock": "pending"}, -32602, "pending logs are not supported"),
        ({"blockHash": "0x" + "11" * 32}, -32000, "unknown block"),
        ({"blockHash": "0x" + "11" * 32, "toBlock": "0x1"}, -32602, "cannot specify both"),
        ({"topics": [None] * 5}, -32000, "exceed max topics"),
    ],
)
def test_bad_ranges_are_refused(
    node: RunningServer, wanted: dict[str, Any], code: int, message: str
) -> None:
    failure = node.refuse("eth_getLogs", wanted)
    assert failure.code == code
    assert message in failure.message


def test_results_of_a_log_search_are_bounded() -> None:
    chain = MemoryBackend(automine=False)
    chain.install(TOKEN, token)
    mine(
        chain, chain.signed(to=TOKEN, gas_limit=50_000), chain.signed(1, to=TOKEN, gas_limit=50_000)
    )
    with RunningServer(chain, logs_max=1, log_blocks_max=2) as node:
        failure = node.refuse("eth_getLogs", {})
        assert (failure.code, failure.message) == (-32005, "query returned more than 1 results")
        chain.seal()
        assert node.refuse("eth_getLogs", {"fromBlock": "0x0"}).code == -32602


def test_filters_report_what_is_new_and_only_that() -> None:
    chain = MemoryBackend(automine=False)
    chain.install(TOKEN, token)
    with RunningServer(chain) as node:
        logs = node.ask("eth_newFilter", {"address": hexed(TOKEN)})
        blocks = node.ask("eth_newBlockFilter")
        pending = node.ask("eth_newPendingTransactionFilter")
        for identity in (logs, blocks, pending):
            assert node.ask("eth_getFilterChanges", identity) == []
        sent = node.ask("eth_sendRawTransaction", hexed(chain.signed(to=TOKEN, gas_limit=50_000)))
        chain.seal()
        assert node.ask("eth_getFilterChanges", blocks) == [hexed(chain.hashes[1])]
        assert node.ask("eth_getFilterChanges", pending) == [sent]
        (log,) = node.ask("eth_getFilterChanges", logs)
        assert log["transactionHash"] == sent
        for identity in (logs, blocks, pending):
            assert node.ask("eth_getFilterChanges", identity) == []
        assert node.ask("eth_getFilterLogs", logs) == [log]
        assert node.refuse("eth_getFilterLogs", blocks).message == "filter not found"
        assert node.ask("eth_uninstallFilter", logs) is True
        assert node.ask("eth_uninstallFilter", logs) is False
        assert node.refuse("eth_getFilterChanges", logs).message == "filter not found"


def test_filters_are_bounded_and_forgotten() -> None:
    with RunningServer(MemoryBackend(), filters_max=2, filter_idle_s=0.3) as node:
        first = node.ask("eth_newBlockFilter")
        node.ask("eth_newBlockFilter")
        assert node.refuse("eth_newBlockFilter").code == -32005
        time.sleep(0.4)
        assert node.refuse("eth_getFilterChanges", first).message == "filter not found"
        assert node.ask("eth_newBlockFilter")


# ---- sending ----


def test_node_sends_for_its_accounts() -> None:
    """Gas, fees, nonce and chain id are filled in; a second one does not wait for the first."""
    chain = MemoryBackend(automine=False)
    with RunningServer(chain) as node:
        hashes = [
            node.ask("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x7"})
            for _ in range(3)
        ]
        chain.seal()
        receipts = [node.ask("eth_getTransactionReceipt", item) for item in hashes]
        assert [item["status"] for item in receipts] == ["0x1"] * 3
        sent = node.ask("eth_getTransactionByHash", hashes[2])
        assert (sent["nonce"], sent["value"], sent["gas"]) == ("0x2", "0x7", "0x5208")
        assert sent["type"] == "0x2"
        assert int(sent["maxFeePerGas"], 16) >= 2 * BASE_FEE


def test_node_does_not_send_for_others(node: RunningServer) -> None:
    for method in ("eth_sendTransaction", "eth_signTransaction"):
        for sender in ({"from": NOBODY}, {}):
            failure = node.refuse(method, {"to": BOB} | sender)
            assert (failure.code, failure.message) == (-32000, "unknown account")
    assert node.refuse("eth_sign", NOBODY, "0x").message == "unknown account"


def test_creation_needs_code(node: RunningServer) -> None:
    failure = node.refuse("eth_sendTransaction", {"from": ALICE})
    assert failure.message == "contract creation without any data provided"


def test_tip_above_the_fee_is_refused_before_signing(node: RunningServer) -> None:
    fees = {"maxFeePerGas": hex(BASE_FEE), "maxPriorityFeePerGas": hex(BASE_FEE + 1)}
    failure = node.refuse("eth_sendTransaction", {"from": ALICE, "to": BOB} | fees)
    assert failure.message.startswith("max priority fee per gas higher than max fee per gas: ")


def test_types_follow_the_members(node: RunningServer) -> None:
    for members, kind in (
        ({}, "0x2"),
        ({"gasPrice": hex(BASE_FEE)}, "0x0"),
        ({"gasPrice": hex(BASE_FEE), "accessList": []}, "0x1"),
        ({"maxFeePerGas": hex(BASE_FEE), "accessList": []}, "0x2"),
    ):
        filled = node.ask("eth_fillTransaction", {"from": ALICE, "to": BOB} | members)
        assert filled["tx"]["type"] == kind


def test_signatures_are_the_accounts(node: RunningServer) -> None:
    """As eth-account makes them."""
    wallet = Wallet.from_key(KEYS[0])
    expected = "0x" + wallet.sign_message(encode_defunct(b"hello")).signature.hex()
    assert node.ask("eth_sign", ALICE, hexed(b"hello")) == expected
    assert node.ask("personal_sign", hexed(b"hello"), ALICE) == expected
    document = {
        "types": {"EIP712Domain": [], "A": [{"name": "x", "type": "uint256"}]},
        "primaryType": "A",
        "domain": {},
        "message": {"x": 5},
    }
    signed = "0x" + wallet.sign_typed_data(full_message=document).signature.hex()
    assert node.ask("eth_signTypedData_v4", ALICE, document) == signed
    assert node.ask("eth_signTypedData_v4", ALICE, json.dumps(document)) == signed
    assert node.refuse("eth_signTypedData_v4", ALICE, {}).code == -32602
    raw = node.ask("eth_signTransaction", {"from": ALICE, "to": BOB})["raw"]
    assert Wallet.recover_transaction(raw) == wallet.address


def test_refusals_of_the_pool_have_their_words(backend: MemoryBackend, node: RunningServer) -> None:
    mined = hexed(backend.blocks[1].transactions[0])
    assert node.refuse("eth_sendRawTransaction", mined).message == "already known"
    stale = hexed(backend.signed(nonce=0, value=1))
    assert node.refuse("eth_sendRawTransaction", stale).message == (
        f"nonce too low: address {to_checksum_address(ALICE)}, tx: 0 state: 8"
    )
    costly = hexed(backend.signed(nonce=20, value=10**30))
    assert node.refuse("eth_sendRawTransaction", costly).message.startswith(
        f"insufficient funds for gas * price + value: address {to_checksum_address(ALICE)} have "
    )
    for junk in ("0x", "0x00", "0xc0", "0x05c0", "0xf8", mined + "00"):
        failure = node.refuse("eth_sendRawTransaction", junk)
        assert failure.code == -32000
        assert failure.message
    assert node.refuse("eth_sendRawTransaction", "0x0").code == -32602


def test_send_sync_waits_for_the_receipt() -> None:
    chain = MemoryBackend()
    with RunningServer(chain) as node:
        receipt = node.ask("eth_sendRawTransactionSync", hexed(chain.signed()))
        assert receipt["status"] == "0x1"
        receipt = node.ask("eth_sendTransactionSync", {"from": ALICE, "to": BOB})
        assert receipt["blockNumber"] == "0x2"
        chain.automine = False
        failure = node.refuse("eth_sendRawTransactionSync", hexed(chain.signed()), 50)
        assert failure.message.endswith("wasn't processed in 50ms")
        chain.pool.clear()
        failure = node.refuse("eth_sendRawTransactionSync", hexed(chain.signed()), "0x32")
        assert failure.code == 4
        assert failure.data == hexed(next(iter(chain.pool)))


# ---- the node ----


def test_pool_is_shown(node: RunningServer, backend: MemoryBackend) -> None:
    assert node.ask("txpool_status") == {"pending": "0x1", "queued": "0x0"}
    content = node.ask("txpool_content")
    assert content["pending"][ALICE]["8"]["hash"] == hexed(next(iter(backend.pool)))
    assert node.ask("txpool_contentFrom", ALICE)["pending"] == content["pending"][ALICE]
    assert "wei + 21000 gas" in node.ask("txpool_inspect")["pending"][ALICE]["8"]


def test_node_describes_itself(node: RunningServer, backend: MemoryBackend) -> None:
    assert node.ask("eth_chainId") == hex(CHAIN_ID)
    assert node.ask("net_version") == str(CHAIN_ID)
    assert node.ask("net_listening") is True
    assert node.ask("net_peerCount") == "0x0"
    assert node.ask("web3_clientVersion") == "memory/v1"
    assert node.ask("web3_sha3", "0x") == hexed(keccak256(b""))
    assert node.ask("eth_coinbase") == hexed(COINBASE)
    assert node.ask("eth_accounts") == [hexed(item) for item in ACCOUNTS]
    assert node.ask("eth_mining") is False
    named = {"jsonrpc": "2.0", "id": 1, "params": {"chainId": "0x1"}}
    unknown = node.post({**named, "method": "wallet_switchEthereumChain"})
    assert unknown["error"]["code"] == -32601
    assert node.post({**named, "method": "eth_chainId"})["error"]["code"] == -32602
    assert node.ask("eth_syncing") is False
    backend.progress = SyncProgress(1, 2, 3)
    assert node.ask("eth_syncing")["highestBlock"] == "0x3"
    backend.progress = None


def namespaces(*doors: Door) -> set[str]:
    return {re.split("[._]", name)[0] for name, row in METHODS.items() if row.door in doors}


def test_every_namespace_is_told(node: RunningServer) -> None:
    assert set(node.ask("rpc_modules")) == namespaces(Door.PUBLIC)
    assert {*NAMESPACES, *DEVELOPMENT_NAMESPACES} == namespaces(Door.PUBLIC, Door.DEVELOPMENT)


def test_pruned_state_says_so() -> None:
    chain = MemoryBackend()
    with RunningServer(chain) as node:
        node.ask("eth_sendTransaction", {"from": ALICE, "to": BOB})
        chain.pruned_below = 1
        failure = node.refuse("eth_getBalance", ALICE, "0x0")
        assert failure.code == -32000
        assert "not available" in failure.message


def test_blocks_from_before_the_node_began_say_so() -> None:
    """A number that the chain has is no block that never was; genesis everybody has."""
    chain = MemoryBackend()
    with RunningServer(chain) as node:
        for _ in range(3):
            node.ask("eth_sendTransaction", {"from": ALICE, "to": BOB})
        chain.begins = 3
        node.server.services.blocks.records.clear()
        number = "0x2"
        for method, params in (
            ("eth_getBlockByNumber", [number, True]),
            ("eth_getHeaderByNumber", [number]),
            ("eth_getBlockReceipts", [number]),
            ("eth_getBlockTransactionCountByNumber", [number]),
            ("eth_getTransactionByBlockNumberAndIndex", [number, "0x0"]),
            ("eth_getLogs", [{"fromBlock": "0x0"}]),
            ("eth_getLogs", [{"fromBlock": number, "toBlock": number}]),
        ):
            failure = node.refuse(method, *params)
            assert failure.code == 4444
            assert failure.message.startswith("pruned history unavailable")
        assert node.refuse("eth_getLogs", {"fromBlock": "0x0"}).message.endswith("block 0x3 on")
        assert node.ask("eth_getLogs", {"fromBlock": "0x3"}) == []
        assert node.ask("eth_getBlockByNumber", "0x0", False)["number"] == "0x0"
        assert node.ask("eth_getBlockByNumber", "0x3", False)["number"] == "0x3"
        assert node.ask("eth_getBlockByNumber", "0x4", False) is None
        assert node.ask("eth_capabilities")["blocks"]["oldestBlock"] == "0x3"


def test_capabilities_say_what_was_pruned(node: RunningServer, backend: MemoryBackend) -> None:
    """State and proofs begin where the node can read them, blocks at the first."""
    backend.pruned_below = 2
    found = node.ask("eth_capabilities")
    assert found["state"]["oldestBlock"] == "0x2"
    assert found["stateproofs"]["oldestBlock"] == "0x2"
    assert found["blocks"]["oldestBlock"] == "0x0"
