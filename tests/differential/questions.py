"""What ghostd and anvil are both asked about one chain: every common method, good and bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.differential.anvil import Pair, accounts, call_data, transfer_data

Question = tuple[str, tuple[Any, ...]]

HEAD = 12
ALICE, BOB, CAROL = (account.address for account in accounts()[:3])
NOBODY = "0x00000000000000000000000000000000000000aa"
ZERO = "0x" + "00" * 20
UNKNOWN_HASH = "0x" + "11" * 32
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
ALICE_TOPIC = "0x" + ALICE[2:].lower().rjust(64, "0")
BALANCE_OF = call_data("balanceOf(address)", ALICE)
# NUMBER PUSH1 0 MSTORE, returned
SHOW_NUMBER = "0x4360005260206000f3"

OF_THE_NODE: tuple[Question, ...] = tuple(
    (method, ())
    for method in (
        *("eth_chainId", "eth_blockNumber", "eth_accounts", "eth_syncing", "eth_gasPrice"),
        *("eth_maxPriorityFeePerGas", "eth_blobBaseFee", "eth_coinbase"),
        *("net_version", "net_listening", "txpool_status", "txpool_content", "txpool_inspect"),
        *("anvil_nodeInfo", "anvil_getAutomine", "hardhat_getAutomine"),
        *("anvil_getIntervalMining", "ots_getApiLevel"),
        *("eth_protocolVersion", "eth_hashrate", "eth_networkId"),
    )
)
OF_A_BLOCK = (
    *("eth_getBlockTransactionCountByNumber", "eth_getUncleCountByBlockNumber"),
    *("eth_getBlockReceipts", "trace_block", "ots_getBlockDetails", "erigon_getHeaderByNumber"),
)
OF_A_TRANSACTION = (
    *("eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getRawTransactionByHash"),
    *("debug_getRawTransaction", "trace_transaction", "ots_getInternalOperations"),
    *("ots_getTransactionError", "ots_traceTransaction", "debug_traceTransaction"),
)
BY_HASH = (
    *("eth_getBlockTransactionCountByHash", "eth_getUncleCountByBlockHash"),
    *("eth_getBlockReceipts", "ots_getBlockDetailsByHash"),
)
BY_INDEX = (*("eth_getTransactionBy", "eth_getRawTransactionBy", "eth_getUncleBy"),)
OF_AN_ACCOUNT = ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")
CALL_TRACER = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
TRACERS: tuple[dict[str, Any], ...] = (
    CALL_TRACER,
    {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}},
    {"tracer": "prestateTracer"},
    {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}},
    {"tracer": "4byteTracer"},
    {"tracer": "noopTracer"},
    {"tracer": "muxTracer", "tracerConfig": {"callTracer": {}, "4byteTracer": {}}},
    {"enableMemory": True, "enableReturnData": True},
    {"disableStack": True, "disableStorage": True},
)
MALFORMED: tuple[Question, ...] = (
    ("eth_getBalance", ("0x12", "latest")),
    ("eth_getBalance", ()),
    ("eth_getBlockByNumber", ("0xzz", False)),
    ("eth_getBlockByHash", ("0x12", False)),
    ("eth_getTransactionByHash", ("nonsense",)),
    ("eth_sendRawTransaction", ("0x",)),
    ("eth_sendRawTransaction", ("0x02c0",)),
    ("eth_unknownMethod", ()),
    ("eth_getFilterChanges", ("0x1234",)),
    ("eth_uninstallFilter", ("0x1234",)),
)


def questions(pair: Pair) -> Iterator[Question]:
    """All of them."""
    token = pair.addresses["token"]
    yield from OF_THE_NODE
    yield "web3_sha3", ("0x68656c6c6f",)
    yield "debug_codeByHash", (UNKNOWN_HASH,)
    yield "debug_dbGet", ("0x12",)
    tags = ("latest", "earliest", "safe", "finalized", "pending", "0x40")
    for block in (*map(hex, range(HEAD + 1)), *tags):
        yield from of_block(block, token)
    for sent in (*pair.transactions.values(), UNKNOWN_HASH):
        for method in OF_A_TRANSACTION:
            yield method, (sent,)
        for options in TRACERS:
            yield "debug_traceTransaction", (sent, options)
    for number in (0, 1, HEAD, 77):
        yield from of_hash(f"hash of block {number}" if number <= HEAD else UNKNOWN_HASH, number)
    yield from of_accounts(token)
    yield from of_messages(token)
    yield from of_logs(token)
    yield from of_history(token)
    yield from MALFORMED


def of_block(block: str, token: str) -> Iterator[Question]:
    """A block, and the state after it."""
    for hydrated in (False, True):
        yield "eth_getBlockByNumber", (block, hydrated)
    for method in OF_A_BLOCK:
        yield method, (block,)
    for index in ("0x0", "0x4", "0x9"):
        yield "eth_getTransactionByBlockNumberAndIndex", (block, index)
    for address in (ALICE, token, CAROL, NOBODY):
        for method in OF_AN_ACCOUNT:
            yield method, (address, block)
        yield "eth_getStorageAt", (address, "0x2", block)
    yield "eth_call", ({"to": token, "data": BALANCE_OF}, block)
    yield (
        "eth_estimateGas",
        ({"from": ALICE, "to": token, "data": transfer_data(NOBODY, 5)}, block),
    )
    yield "eth_feeHistory", ("0x3", block, [10.0, 50.0])
    yield "debug_traceBlockByNumber", (block, CALL_TRACER)
    for kind in ("trace", "stateDiff", "vmTrace"):
        yield "trace_replayBlockTransactions", (block, [kind])


def of_hash(block: str, number: int) -> Iterator[Question]:
    """A block by its hash, and the state after it by EIP-1898."""
    for hydrated in (False, True):
        yield "eth_getBlockByHash", (block, hydrated)
    for method in BY_HASH:
        yield method, (block,)
    yield "debug_traceBlockByHash", (block, CALL_TRACER)
    for method in BY_INDEX:
        for index in ("0x0", "0x3", "0x77"):
            yield f"{method}BlockHashAndIndex", (block, index)
            yield f"{method}BlockNumberAndIndex", (hex(number), index)
    for id in ({"blockHash": block}, {"blockHash": block, "requireCanonical": True}, block):
        yield "eth_getBalance", (ALICE, id)
        yield "eth_getTransactionCount", (ALICE, id)
        yield "eth_call", ({"to": ALICE}, id)
    yield "eth_getBalance", (ALICE, {"blockNumber": hex(number)})
    yield "eth_getLogs", ({"blockHash": block},)


def of_accounts(token: str) -> Iterator[Question]:
    """What says several things at once."""
    for address in (ALICE, CAROL, token, NOBODY):
        for block in ("0x0", "0x3", "latest"):
            yield "eth_getAccount", (address, block)
            yield "eth_getAccountInfo", (address, block)
    yield "eth_getStorageValues", ({token: ["0x" + f"{slot:064x}" for slot in range(4)]}, "latest")
    for nonce in ("0x0", "0x2", "0x70"):
        yield "eth_getTransactionBySenderAndNonce", (ALICE, nonce)


def of_messages(token: str) -> Iterator[Question]:
    """Messages that succeed and that fail in each way."""
    to_token, to_bob = {"from": ALICE, "to": token}, {"from": ALICE, "to": BOB}
    messages: tuple[dict[str, Any], ...] = (
        {"to": token, "data": BALANCE_OF},
        to_bob | {"value": "0x1"},
        {"from": NOBODY, "to": BOB, "value": "0x1"},
        to_token | {"data": transfer_data(ZERO, 5)},
        to_token | {"from": NOBODY, "data": transfer_data(BOB, 5)},
        to_token | {"data": call_data("failWithPanic()")},
        to_token | {"data": call_data("failWithError(uint256)", 7)},
        to_token | {"data": call_data("failWithoutReason()")},
        to_token | {"data": call_data("nested(uint256)", 3)},
        {"from": ALICE, "data": "0xfe"},
        {"from": ALICE, "data": "0x600160015500"},
        {"from": ALICE, "data": "0x5f5ffd"},
        to_token | {"data": BALANCE_OF, "gas": "0x5300"},
        to_bob | {"gasPrice": "0x1"},
        to_bob | {"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"},
        to_bob | {"gasPrice": "0x1", "maxFeePerGas": "0x1"},
    )
    for message in messages:
        for method in ("eth_call", "eth_estimateGas", "eth_createAccessList"):
            yield method, (message, "latest")
        yield "debug_traceCall", (message, "latest", CALL_TRACER)
        yield "debug_traceCall", (message, "latest", {})
    supply = {"to": token, "data": call_data("totalSupply()")}
    slot = {"0x" + f"{2:064x}": "0x" + f"{7:064x}"}
    yield "eth_call", (supply, "latest", {token: {"stateDiff": slot}})
    show = {NOBODY: {"code": SHOW_NUMBER}}
    yield "eth_call", ({"to": NOBODY}, "latest", show, {"number": "0x99"})
    calls = [{"to": token, "data": BALANCE_OF}, to_bob | {"value": "0x1"}]
    simulated = {"blockStateCalls": [{"calls": calls}, {"calls": calls[:1]}]}
    yield "eth_simulateV1", (simulated, "latest")
    yield "eth_simulateV1", (simulated | {"traceTransfers": True}, "latest")
    yield "eth_simulateV1", (simulated | {"returnFullTransactions": True}, "latest")
    yield "eth_getProof", (token, ["0x" + f"{2:064x}"], "latest")
    yield "eth_getProof", (NOBODY, [], "latest")


def of_logs(token: str) -> Iterator[Question]:
    """Logs in every way of asking."""
    whole = {"fromBlock": "0x0", "toBlock": "latest"}
    for wanted in (
        whole,
        whole | {"address": token},
        whole | {"toBlock": "0x3", "address": [token, NOBODY], "topics": [TRANSFER_TOPIC]},
        {"fromBlock": "0x2", "topics": [None, [ALICE_TOPIC]]},
        {"fromBlock": "0x5", "toBlock": "0x2"},
        {"fromBlock": "0x40", "toBlock": "0x50"},
        {"address": NOBODY},
        {"blockHash": "0x" + "22" * 32},
    ):
        yield "eth_getLogs", (wanted,)


def of_history(token: str) -> Iterator[Question]:
    """What explorers look for."""
    whole = {"fromBlock": "0x0", "toBlock": hex(HEAD)}
    for wanted in (
        whole,
        whole | {"fromAddress": [BOB]},
        whole | {"toAddress": [token], "after": 1, "count": 2},
    ):
        yield "trace_filter", (wanted,)
    for address in (token, ALICE):
        yield "ots_hasCode", (address, "latest")
        yield "ots_getContractCreator", (address,)
    yield "ots_getTransactionBySenderAndNonce", (ALICE, 1)
    yield "ots_getTransactionBySenderAndNonce", (ALICE, 99)
    for block in (0, 4, 8):
        yield "ots_searchTransactionsBefore", (BOB, block, 2)
        yield "ots_searchTransactionsAfter", (BOB, block, 2)
    for page in (0, 1, 5):
        yield "ots_getBlockTransactions", (HEAD, page, 3)
