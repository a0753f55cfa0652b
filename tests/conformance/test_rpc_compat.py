"""Cases of execution-apis, compared field by field and word for word with what they demand.

The set `execution_apis` of the fixtures holds `chain.rlp`, `headstate.json` and the directories of
the methods with their `.io` files, from `tests/` and `tools/chain/` of ethereum/execution-apis. Its
chain begins before Cancun, so its head stands here with its state, from the dump, and the headers
and transactions of its blocks from Cancun on. What is left out is listed below, with reasons.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from ghostchain.chain.config import ChainConfig
from ghostchain.chain.environments import environment_of
from ghostchain.chain.fees import blob_base_fee
from ghostchain.chain.records import BodyRecord, ReceiptsRecord, body_parts
from ghostchain.chain.validation import child_fees
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import block_end, decode_block, encode_header
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, CallResult, Executor, Message
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.steps import BlockEnd, Steps
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import EMPTY_ROOT, Address, Hash32
from ghostchain.rpc.backend import BlockFees, PoolContent
from ghostchain.rpc.blocks import NO_RECEIPTS
from ghostchain.rpc.errors import RpcError
from ghostchain.rpc.method import Cost
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.parameters import bind
from ghostchain.rpc.phantoms import ChildFees
from ghostchain.rpc.services import Services, make_services
from ghostchain.rpc.workers import Deadline, Workers
from ghostchain.state.proofs import AccountProof, SlotProof
from ghostchain.state.views import OverlaidView
from ghostchain.trie.merkle import ChangeSet, Forest, node_key, verify_proof

CHAIN_ID = 3503995874084926
CONFIG = ChainConfig(
    CHAIN_ID,
    ((0, Fork.CANCUN), (450, Fork.PRAGUE), (480, Fork.OSAKA)),
    (
        (0, BLOB_SCHEDULES["Cancun"]),
        (450, BLOB_SCHEDULES["Prague"]),
        (510, BLOB_SCHEDULES["BPO1"]),
        (540, BLOB_SCHEDULES["BPO2"]),
    ),
    deposit_contract=Address(bytes(20)),
)
# Methods whose cases ask about the head, and how many there are at least.
COMPARED = {
    "eth_simulateV1": 85,
    "eth_call": 6,
    "eth_estimateGas": 6,
    "eth_createAccessList": 3,
    "testing_buildBlockV1": 3,
}
# geth moves the gas limit towards one of its own, whatever the parent's; so the hash is another.
OWN_CHOICE = ("gasLimit", "blockHash")
# Their base is not the head, of which alone the state is known.
OTHER_BASES = {
    "ethSimulate-blockhash-start-before-head",
    "ethSimulate-empty-with-block-num-set-firstblock",
    "ethSimulate-empty-with-block-num-set-minusone",
}


class HeadPhantoms:
    """`Phantoms` over a state in memory."""

    def __init__(self, view: MemoryView, forest: Forest) -> None:
        self.view = view
        self.forest = forest
        self.steps = Steps(Executor(view))

    def fees(self, parent: Header, timestamp: int) -> ChildFees:
        found = child_fees(CONFIG, parent, timestamp)
        return ChildFees(found.base_fee, found.excess_blob_gas)

    def environment(self, header: Header) -> BlockEnvironment:
        return environment_of(CONFIG, header)

    def begin(
        self,
        environment: BlockEnvironment,
        amendments: Amendments,
        precompiles: Mapping[Address, Address | None],
    ) -> None:
        self.steps.move_precompiles(precompiles)
        self.steps.begin(environment, amendments=amendments)

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        return self.steps.call(environment, message, flags=flags)

    def transaction(self, batch: TransactionBatch, index: int) -> CallResult:
        return self.steps.transaction(batch, index)

    def end(self, withdrawals: Sequence[Withdrawal]) -> BlockEnd:
        return self.steps.end(withdrawals)

    def account(self, address: Address) -> Account | None:
        return self.steps.account(address)

    def state_root(self) -> Hash32:
        try:
            return self.forest.apply(self.steps.changes())
        finally:
            self.forest.discard()

    def learn_hash(self, number: int, block_hash: Hash32) -> None:
        self.view.block_hashes[number] = block_hash


class Head:
    """What eth_simulateV1 asks of a backend, at the head of the set's chain."""

    chain_id = CHAIN_ID

    def __init__(self, directory: Path) -> None:
        exported = (directory / "chain.rlp").read_bytes()
        self.hashes: dict[int, Hash32] = {}
        start, number = 0, 1
        while start < len(exported):
            end = block_end(exported, start)
            last = exported[start:end]
            _, inner, _ = rlp.span(last, 0)
            _, _, header_end = rlp.span(last, inner)
            self.hashes[number] = keccak256(last[inner:header_end])
            start, number = end, number + 1
        self.block = decode_block(last)
        dump = json.loads((directory / "headstate.json").read_text())
        self.allocation = {
            bytes.fromhex(address[2:]): Allocation(
                nonce=item["nonce"],
                balance=int(item["balance"]),
                code=bytes.fromhex(item.get("code", "0x")[2:]),
                storage={
                    bytes.fromhex(key[2:]): bytes.fromhex(value).rjust(32, b"\0")
                    for key, value in item.get("storage", {}).items()
                },
            )
            for address, item in dump["accounts"].items()
        }
        self.nodes: dict[bytes, bytes] = {}
        forest = self.forest(EMPTY_ROOT)
        view = MemoryView(self.allocation)
        root = forest.apply(
            ChangeSet.from_accounts(
                {
                    address: (
                        item.nonce,
                        item.balance,
                        Account.decode(view.accounts[address]).code_hash,
                        {key: int.from_bytes(value, "big") for key, value in item.storage.items()},
                    )
                    for address, item in self.allocation.items()
                }
            )
        )
        assert root == self.block.header.state_root, "the dump is the head's state"
        self.nodes.update((node_key(o, p), node) for o, p, node in forest.writes() if node)

    def forest(self, root: bytes) -> Forest:
        return Forest(lambda owner, path: self.nodes.get(node_key(owner, path)), root, 1 << 24)

    def head(self) -> Header:
        return self.block.header

    def header(self, number: int) -> Header | None:
        return self.block.header if number == self.block.header.number else None

    def hash_of(self, number: int) -> Hash32 | None:
        return self.hashes.get(number)

    def number_of(self, block_hash: bytes) -> int | None:
        return next((number for number, own in self.hashes.items() if own == block_hash), None)

    def state_at(self, number: int) -> MemoryView:
        view = MemoryView(self.allocation)
        view.block_hashes.update(self.hashes)
        return view

    def environment(self, number: int) -> BlockEnvironment:
        head = self.block.header
        if number == head.number:
            return environment_of(CONFIG, head)
        fees = child_fees(CONFIG, head, head.timestamp + 1)
        child = replace(
            head,
            number=number,
            timestamp=head.timestamp + 1,
            base_fee_per_gas=fees.base_fee,
            excess_blob_gas=fees.excess_blob_gas,
        )
        return environment_of(CONFIG, child)

    def fees(self, number: int) -> BlockFees:
        environment = self.environment(number)
        schedule = CONFIG.blob_schedule_at(environment.timestamp)
        fee = blob_base_fee(environment.excess_blob_gas, schedule)
        return BlockFees(environment.base_fee, fee, schedule.max * 131_072)

    @contextmanager
    def simulation(self, number: int, overrides: Any, precompiles: Any) -> Iterator[Executor]:
        view = (
            OverlaidView(self.state_at(number), overrides) if overrides else self.state_at(number)
        )
        yield Executor(view)

    def phantoms(self, number: int) -> HeadPhantoms:
        return HeadPhantoms(self.state_at(number), self.forest(self.block.header.state_root))


@pytest.fixture(scope="module")
def directory(fixtures: Path) -> Path:
    found = fixtures / "execution_apis"
    if not found.exists():
        pytest.skip(f"fixture set execution_apis is not here ({fixtures})")
    return found


def without_messages(value: Any) -> Any:
    """As the suite compares: what errors say is free, their code and data are not."""
    if isinstance(value, dict):
        return {
            key: without_messages(item)
            for key, item in value.items()
            if not (key == "message" and "code" in value)
        }
    return [without_messages(item) for item in value] if isinstance(value, list) else value


def answer(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    method = METHODS[request["method"]]
    try:
        arguments = bind(method.parameters, request["params"])
        deadline = Deadline(time.monotonic_ns() + 60 * 10**9)
        before = (services, deadline) if method.cost is Cost.SLOW else (services,)
        return {"result": method.run(*before, *arguments)}
    except RpcError as error:
        return {"error": error.as_json()}


def differences(path: str, wanted: Any, found: Any) -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            line
            for key in sorted(wanted.keys() | found.keys())
            for line in differences(f"{path}.{key}", wanted.get(key), found.get(key))
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            line
            for place, pair in enumerate(zip(wanted, found, strict=True))
            for line in differences(f"{path}[{place}]", *pair)
        ]
    # The suite's own document demands this beginning, which its cases lack.
    if isinstance(found, str) and found.removeprefix("vm execution error: ") == wanted:
        return []
    return [] if wanted == found else [f"{path}: {str(wanted)[:200]} != {str(found)[:200]}"]


@pytest.mark.parametrize("method", COMPARED)
def test_every_case_answers_as_the_suite_says(directory: Path, method: str) -> None:
    head = Head(directory)
    services: Any = SimpleNamespace(backend=head, options=RpcOptions())
    services.number_needed = lambda block: Services.number_needed(services, block)
    services.number_of = lambda block: Services.number_of(services, block)
    wrong, count = {}, 0
    cases = sorted((directory / method).glob("*.io"))
    if not cases:
        pytest.skip(f"the set has no cases of {method}")
    for case in cases:
        lines = case.read_text().splitlines()
        request = next(json.loads(line[3:]) for line in lines if line.startswith(">>"))
        wanted = next(json.loads(line[3:]) for line in lines if line.startswith("<<"))
        if case.stem in OTHER_BASES or request["method"] != method:
            continue
        count += 1
        kept = {key: wanted[key] for key in ("result", "error") if key in wanted}
        found = orjson.loads(orjson.dumps(answer(services, request)))
        lines = differences("", kept, found)
        if method == "testing_buildBlockV1":
            lines = [line for line in lines if not any(name in line for name in OWN_CHOICE)]
        if lines:
            wrong[case.stem] = lines[:6]
    assert not wrong, json.dumps(wrong, indent=1)
    assert count >= COMPARED[method]


FIRST_CANCUN = 42


class Recent(Head):
    """The same, with what is known of the blocks from Cancun on: headers, transactions, and at the
    head the state. Receipts nobody has, since they come of running older blocks."""

    development = object()
    remote = None
    client_version = "test"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        exported = (directory / "chain.rlp").read_bytes()
        self.blocks: dict[int, Block] = {}
        self.places: dict[bytes, tuple[int, int]] = {}
        start, number = 0, 1
        while start < len(exported):
            end = block_end(exported, start)
            if number >= FIRST_CANCUN:
                block = self.blocks[number] = decode_block(exported[start:end])
                for index, raw in enumerate(block.transactions):
                    self.places[keccak256(raw)] = (number, index)
            start, number = end, number + 1

    def earliest(self) -> int:
        return FIRST_CANCUN

    def oldest_state(self) -> int:
        return self.block.header.number

    oldest_proof = oldest_state

    def header(self, number: int) -> Header | None:
        block = self.blocks.get(number)
        return None if block is None else block.header

    def body(self, number: int) -> BodyRecord | None:
        block = self.blocks.get(number)
        if block is None:
            return None
        batch = TransactionBatch.decode(list(block.transactions))
        batch.recover()
        senders = b"".join(batch.sender(index) for index in range(len(batch)))
        header = encode_header(block.header)
        parts = body_parts(header, block.withdrawals, block.transactions, senders)
        return BodyRecord.parse(b"".join(parts))

    def receipts(self, number: int) -> ReceiptsRecord | None:
        return NO_RECEIPTS if number in self.blocks else None

    def transaction_location(self, transaction_hash: bytes) -> tuple[int, int] | None:
        return self.places.get(transaction_hash)

    def fees(self, number: int) -> BlockFees:
        block = self.blocks.get(number)
        if block is None:
            return super().fees(number)
        header = block.header
        schedule = CONFIG.blob_schedule_at(header.timestamp)
        fee = blob_base_fee(header.excess_blob_gas, schedule)
        return BlockFees(header.base_fee_per_gas, fee, schedule.max * 131_072)

    def head_account(self, address: Address) -> Account:
        found = self.state_at(self.block.header.number).accounts.get(address)
        return EMPTY if found is None else Account.decode(found)

    def pool_transaction(self, transaction_hash: bytes) -> None:
        return None

    def pool_nonce(self, address: Address) -> None:
        return None

    def replacing_tip(self, address: Address, nonce: int) -> None:
        return None

    def pool_content(self) -> PoolContent:
        return PoolContent({}, {})

    def pool_counts(self) -> tuple[int, int]:
        return 0, 0

    def syncing(self) -> None:
        return None

    def prove(self, address: Address, keys: Sequence[Hash32], number: int) -> AccountProof:
        root, hashed = self.block.header.state_root, keccak256(address)
        forest = self.forest(root)
        nodes = forest.prove(None, root, hashed)
        record = verify_proof(root, hashed, nodes)
        account = EMPTY if record is None else account_of(record)
        view, slots = self.state_at(number), []
        for key in keys:
            value = view.slot(address, hashed, key, keccak256(key))
            proof = forest.prove(hashed, account.storage_root, keccak256(key))
            slots.append(SlotProof(key, int.from_bytes(value or b"", "big"), tuple(proof)))
        return AccountProof(account, tuple(nodes), tuple(slots))


def account_of(leaf: bytes) -> Account:
    nonce, balance, root, code_hash = (bytes(item) for item in rlp.decode(leaf))
    return Account(
        int.from_bytes(nonce, "big"),
        int.from_bytes(balance, "big"),
        Hash32(root),
        Hash32(code_hash),
    )


# Cases that ask about blocks from before Cancun, whose rules are not here, or about what comes of
# running them: receipts and logs of any block, and the states below the head.
BEFORE_CANCUN = {
    "debug_getRawBlock": {"get-block-n", "get-genesis"},
    "debug_getRawHeader": {"get-block-n", "get-genesis"},
    "debug_getRawReceipts": {"get-block-n", "get-genesis"},
    "debug_getRawTransaction": {"get-tx"},
    "debug_traceBlockByHash": {"trace-block-with-transactions", "trace-genesis"},
    "debug_traceBlockByNumber": {
        "trace-block-memory-encoding",
        "trace-block-return-data-behavior",
        "trace-block-storage-encoding",
        "trace-block-storage-snapshot-timing",
        "trace-block-with-transactions",
        "trace-genesis",
    },
    "debug_traceTransaction": {"trace-contract-call", "trace-legacy-transfer"},
    "eth_feeHistory": {"fee-history"},
    "eth_getBalance": {"get-balance-blockhash"},
    "eth_getBlockByHash": {"get-block-by-hash"},
    "eth_getBlockByNumber": {
        "get-block-london-fork",
        "get-block-merge-fork",
        "get-block-shanghai-fork",
        "get-genesis",
    },
    "eth_getBlockReceipts": {
        "get-block-receipts-0",
        "get-block-receipts-by-hash",
        "get-block-receipts-earliest",
        "get-block-receipts-latest",
        "get-block-receipts-n",
    },
    "eth_getBlockTransactionCountByHash": {"get-block-n", "get-genesis"},
    "eth_getBlockTransactionCountByNumber": {"get-block-n", "get-genesis"},
    "eth_getLogs": {
        "contract-addr",
        "filter-with-blockHash",
        "filter-with-blockHash-and-topics",
        "no-topics",
        "topic-exact-match",
        "topic-null-wildcard",
        "topic-wildcard",
    },
    "eth_getTransactionByBlockHashAndIndex": {"get-block-n"},
    "eth_getTransactionByBlockNumberAndIndex": {"get-block-n"},
    "eth_getTransactionByHash": {
        "get-access-list",
        "get-dynamic-fee",
        "get-legacy-create",
        "get-legacy-input",
        "get-legacy-tx",
    },
    "eth_getTransactionReceipt": {
        "get-access-list",
        "get-blob-tx",
        "get-dynamic-fee",
        "get-legacy-contract",
        "get-legacy-input",
        "get-legacy-receipt",
        "get-setcode-tx",
    },
}
# What is another node's own: its client, pool and pruning, forks that began by block numbers.
OF_THE_NODE = {
    "eth_capabilities": "which blocks that node keeps",
    "eth_config": "fork ids are of forks before Cancun too",
    "eth_sendRawTransaction": "a pool, which tests/node has",
    "txpool_status": "what was sent to it before",
    "txpool_content": "the same; senders in lower case, as anvil and reth",
}
# Refusals of parameters, which every client words in its own way.
OWN_WORDS = {"get-invalid-number", "get-invalid-hash", "trace-block-invalid-number"}


def test_every_other_case_answers_as_the_suite_says(directory: Path) -> None:
    """All methods' cases about the head and the blocks from Cancun on, messages too."""
    backend: Any = Recent(directory)
    workers = Workers(threads=1, queue_max=1, timeout_s=60.0)
    services = make_services(backend, RpcOptions(), workers)
    wrong: dict[str, list[str]] = {}
    count = 0
    for case in sorted(directory.glob("*/*.io")):
        method = case.parent.name
        is_left = case.stem in BEFORE_CANCUN.get(method, ()) or method in OF_THE_NODE
        if method in COMPARED or is_left:
            continue
        lines = case.read_text().splitlines()
        requests = [json.loads(line[3:]) for line in lines if line.startswith(">>")]
        wanted = [json.loads(line[3:]) for line in lines if line.startswith("<<")]
        for request, answered in zip(requests, wanted, strict=True):
            count += 1
            kept = {key: answered[key] for key in ("result", "error") if key in answered}
            found = orjson.loads(orjson.dumps(answer(services, {"params": [], **request})))
            if case.stem in OWN_WORDS:
                kept, found = without_messages(kept), without_messages(found)
            if lines := differences("", kept, found):
                wrong[f"{method}/{case.stem}"] = lines[:6]
    workers.stop()
    assert not wrong, json.dumps(wrong, indent=1)
    assert count >= 40
