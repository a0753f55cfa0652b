"""Good calls of every method of execution-apis' document, on a chain where everything happened."""

from __future__ import annotations

import itertools
from typing import Any

from tests.node.process import Ghostd
from tests.node.whole_chain import ALICE, BOB, CAROL, DAVE, WholeChain, word

NOBODY = "0x" + "99" * 20
NO_HASH = "0x" + "00" * 32

NUMBER_TAKERS = (
    "eth_getBlockByNumber",
    "eth_getBlockTransactionCountByNumber",
    "eth_getBlockReceipts",
    "debug_getRawHeader",
    "debug_getRawBlock",
    "debug_getRawReceipts",
)
HASH_TAKERS = (
    "eth_getBlockByHash",
    "eth_getBlockTransactionCountByHash",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "debug_getRawTransaction",
)
ADDRESS_TAKERS = (
    "eth_getBalance",
    "eth_getCode",
    "eth_getTransactionCount",
    "txpool_contentFrom",
)
STATE_READERS = (
    ("eth_getBalance", [NOBODY]),
    ("eth_getCode", [NOBODY]),
    ("eth_getTransactionCount", [NOBODY]),
    ("eth_getStorageAt", [NOBODY, "0x0"]),
    ("eth_getStorageValues", [{NOBODY: ["0x0"]}]),
    ("eth_getProof", [NOBODY, []]),
    ("eth_call", [{"to": NOBODY}]),
    ("eth_estimateGas", [{"to": NOBODY}]),
    ("eth_createAccessList", [{"to": NOBODY}]),
    ("eth_simulateV1", [{"blockStateCalls": [{}]}]),
)
TAGS = ("earliest", "safe", "finalized", "latest", "pending")
PARAMETERLESS = (
    "debug_getBadBlocks",
    "eth_capabilities",
    "eth_chainId",
    "eth_syncing",
    "eth_coinbase",
    "eth_accounts",
    "eth_blockNumber",
    "eth_config",
    "net_version",
    "eth_baseFee",
    "eth_blobBaseFee",
    "eth_newBlockFilter",
    "eth_newPendingTransactionFilter",
    "txpool_status",
    "txpool_content",
)


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


class Asking:
    """The chain's parts as parameters."""

    def __init__(self, world: WholeChain, node: Ghostd) -> None:
        self.world, self.node = world, node
        self.head = hex(max(world.blocks.values()))
        self.block = node.call("eth_getBlockByNumber", self.head, False)
        self.contract = hexed(world.contract)
        self.call = {"from": hexed(ALICE), "to": self.contract, "input": hexed(word(43))}

    def number(self, what: str) -> str:
        return hex(self.world.blocks[what])

    def hash(self, what: str) -> str:
        found: str = self.node.call("eth_getBlockByNumber", self.number(what), False)["hash"]
        return found

    def filter(self, kind: str, *params: Any) -> str:
        found: str = self.node.call(f"eth_new{kind}", *params)
        return found

    def ripe(self, kind: str, *params: Any) -> str:
        """A filter, and after it a block with a log."""
        identity = self.filter(kind, *params)
        sent = self.node.call("eth_sendTransaction", self.call | {"from": hexed(BOB)})
        self.node.wait_for_receipt(sent)
        return identity


def block_examples(asking: Asking) -> list[tuple[str, list[Any]]]:
    """Of blocks, transactions and traces."""
    world, every = asking.world, sorted(set(asking.world.blocks.values()))
    numbers = [hex(number) for number in every]
    tracer = {"tracer": "callTracer"}
    return [
        *(("eth_getBlockByNumber", [number, True]) for number in ["0x0", *numbers]),
        *(("eth_getBlockReceipts", [number]) for number in ["0x0", *numbers]),
        *(("eth_getTransactionByHash", [sent]) for sent in world.hashes.values()),
        *(("eth_getTransactionReceipt", [sent]) for sent in world.hashes.values()),
        *(("debug_getRawTransaction", [sent]) for sent in world.hashes.values()),
        *(("debug_getRawHeader", [number]) for number in numbers),
        *(("debug_getRawBlock", [number]) for number in numbers),
        *(("debug_getRawReceipts", [number]) for number in numbers),
        *(("debug_traceTransaction", [sent, tracer]) for sent in world.hashes.values()),
        *(("debug_traceBlockByNumber", [number, tracer]) for number in numbers),
        *(("debug_traceTransaction", [sent]) for sent in world.hashes.values()),
        *(("debug_traceBlockByNumber", [number]) for number in numbers),
        ("debug_traceBlockByHash", [asking.hash("ghost")]),
        ("debug_traceBlockByHash", [asking.hash("ghost"), {"tracer": "prestateTracer"}]),
        ("debug_traceBlockByHash", [asking.hash("ghost"), tracer]),
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_getBlockByNumber", ["0xffffff", False]),
        ("eth_getBlockByHash", [asking.hash("blob"), True]),
        ("eth_getBlockByHash", [NO_HASH, False]),
        ("eth_getBlockTransactionCountByHash", [asking.hash("reverted")]),
        ("eth_getBlockTransactionCountByNumber", [asking.number("reverted")]),
        ("eth_getTransactionByBlockHashAndIndex", [asking.hash("ghost"), "0x1"]),
        ("eth_getTransactionByBlockNumberAndIndex", [asking.number("ghost"), "0x0"]),
        ("eth_getTransactionByBlockNumberAndIndex", [asking.number("ghost"), "0x9"]),
    ]


def tag_examples(asking: Asking) -> list[tuple[str, list[Any]]]:
    """Of every tag, and of blocks as EIP-1898 names them."""
    number, block_hash = asking.number("logs"), asking.hash("logs")
    named: list[Any] = [{"blockNumber": number}, {"blockHash": block_hash}, block_hash, number]
    named.append({"blockHash": block_hash, "requireCanonical": True})
    return [
        *((method, [tag]) for method in NUMBER_TAKERS for tag in TAGS),
        *(("eth_getBlockByNumber", [tag, True]) for tag in TAGS),
        *((method, [*params, tag]) for method, params in STATE_READERS for tag in TAGS),
        *((method, [*params, block]) for method, params in STATE_READERS for block in named),
        *(("eth_getBlockReceipts", [block]) for block in named),
        *(("eth_getTransactionByBlockNumberAndIndex", [tag, "0x0"]) for tag in TAGS),
        *(("eth_feeHistory", ["0x2", tag, [50]]) for tag in TAGS),
        *(
            ("eth_getLogs", [{"fromBlock": first, "toBlock": last}])
            for first, last in itertools.product(("earliest", "latest"), ("safe", "finalized"))
            if first == "earliest"
        ),
    ]


def examples(asking: Asking) -> list[tuple[str, list[Any]]]:
    """Good calls, at least one of every method."""
    call, contract = asking.call, asking.contract
    listed: list[tuple[str, list[Any]]] = [
        *block_examples(asking),
        *((method, []) for method in PARAMETERLESS),
        ("eth_call", [call, "latest"]),
        ("eth_call", [call]),
        ("eth_estimateGas", [call]),
        ("eth_createAccessList", [call, "latest"]),
        ("eth_createAccessList", [call | {"input": "0xab"}, "latest"]),
        ("eth_gasPrice", []),
        ("eth_maxPriorityFeePerGas", []),
        ("eth_feeHistory", ["0x10", "latest", [10, 50, 90]]),
        ("eth_fillTransaction", [call]),
        ("eth_newFilter", [{"fromBlock": "0x1"}]),
        # The document takes no empty list, which could be of logs or of hashes.
        ("eth_getFilterChanges", [asking.ripe("BlockFilter")]),
        ("eth_getFilterChanges", [asking.ripe("Filter", {"fromBlock": "0x1"})]),
        ("eth_getFilterChanges", [asking.ripe("PendingTransactionFilter")]),
        ("eth_getFilterLogs", [asking.filter("Filter", {"fromBlock": "0x1"})]),
        ("eth_uninstallFilter", [asking.filter("BlockFilter")]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest"}]),
        ("eth_getLogs", [{"blockHash": asking.hash("logs"), "address": contract}]),
        ("eth_sign", [hexed(ALICE), "0x0102"]),
        ("eth_signTransaction", [call]),
        ("eth_sendTransaction", [{"from": hexed(BOB), "to": NOBODY, "value": "0x1"}]),
        ("eth_getBalance", [hexed(ALICE), "latest"]),
        ("eth_getStorageAt", [contract, "0x0", asking.number("logs")]),
        ("eth_getStorageValues", [{contract: ["0x0"]}, "latest"]),
        ("eth_getTransactionCount", [hexed(ALICE), "pending"]),
        ("eth_getCode", [contract, "latest"]),
        ("eth_getCode", [hexed(DAVE)]),
        ("eth_getProof", [contract, ["0x0"], "latest"]),
        ("eth_getProof", [contract, ["0x0"], asking.number("logs")]),
        ("eth_getProof", [NOBODY, [], "latest"]),
        ("eth_simulateV1", [simulation(call), "latest"]),
        ("testing_buildBlockV1", [asking.block["hash"], attributes(asking), [], "0x01"]),
        ("testing_buildBlockV1", [asking.block["hash"], attributes(asking), None]),
        ("txpool_contentFrom", [hexed(ALICE)]),
    ]
    raw = asking.node.call("eth_signTransaction", call | {"from": hexed(CAROL), "gas": "0x30d40"})
    return [*listed, ("eth_sendRawTransaction", [raw["raw"]])]


def simulation(call: dict[str, Any]) -> dict[str, Any]:
    failing = call | {"input": "0xab"}
    halting = call | {"input": "0xabcd", "gas": "0x30d40"}
    created = {"from": hexed(BOB), "input": "0x6001600055"}
    return {
        "blockStateCalls": [
            {"calls": [call, failing, halting]},
            {"blockOverrides": {"number": "0x20"}, "calls": [created, call | {"value": "0x1"}]},
        ],
        "traceTransfers": True,
        "returnFullTransactions": True,
    }


def attributes(asking: Asking) -> dict[str, Any]:
    return {
        "timestamp": hex(int(asking.block["timestamp"], 16) + 100),
        "prevRandao": NO_HASH,
        "suggestedFeeRecipient": NOBODY,
        "withdrawals": [
            {"index": "0x1", "validatorIndex": "0x2", "address": NOBODY, "amount": "0x3"}
        ],
        "parentBeaconBlockRoot": NO_HASH,
    }
