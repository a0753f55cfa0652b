"""The engine of `ghostd evm blocktest`: official blockchain tests, one file at a time.

A blockchain test gives a genesis with its accounts, blocks as RLP (those with expectException must
be refused for a reason that it names), and the last valid block's hash and accounts afterwards.
Blocks are imported in memory, through the same header rules, executor and tries as the chain's.

Spec: execution-spec-tests, "Blockchain Tests" fixture format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostchain.chain.config import DEPOSIT_CONTRACT, ChainConfig
from ghostchain.chain.validation import check_block_size, check_header, check_outcome
from ghostchain.crypto.hashes import header_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_block
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, BlockResult, Executor, ExecutorFailed
from ghostchain.execution.forks import parse_network
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.node.cases import CaseResult
from ghostchain.node.statetest import (
    MALFORMED,
    compare_refusal,
    data,
    describe_difference,
    number,
    read_allocation,
    read_schedules,
    read_tests,
)
from ghostchain.primitives.errors import BlockReason, InvalidBlock
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import EMPTY_ROOT
from ghostchain.trie.merkle import ChangeSet, Forest

CACHE_BYTES_MAX = 16 << 20
# So little that nodes are asked of the store again and again, as in a state beyond memory.
NODE_CACHE_BYTES_MAX = 1 << 12


def run_block_test_file(name: str, content: bytes, *, hybrid: bool = False) -> list[CaseResult]:
    """Every test of a file, in its order. name: of the file, for the line of a broken one.

    hybrid: under the rules of a hybrid chain, which change nothing of what Ethereum has.
    """
    tests = read_tests(content)
    if isinstance(tests, str):
        return [CaseResult(name, "", False, tests)]
    results = []
    for test_name, test in tests.items():
        network = test.get("network") if isinstance(test, dict) else None
        if not isinstance(network, str):
            results.append(CaseResult(test_name, "", False, "not a blockchain test"))
            continue
        try:
            reason = _difference(test, network, hybrid)
        except MALFORMED as failure:
            reason = f"the test cannot be read: {failure!r}"
        results.append(CaseResult(test_name, network, not reason, reason))
    return results


def _difference(test: Mapping[str, Any], network: str, hybrid: bool) -> str:
    """What differs from the expected, "" when nothing does."""
    fields = test.get("config", {})
    steps = parse_network(network, read_schedules(fields))
    if steps is None:
        return f"network {network} is not supported"
    config = ChainConfig(
        chain_id=number(fields.get("chainid", "0x1")),
        forks=tuple((step.time, step.fork) for step in steps),
        blobs=tuple((step.time, step.blobs) for step in steps),
        deposit_contract=DEPOSIT_CONTRACT,
        hybrid_time=0 if hybrid else None,
    )
    try:
        chain = MemoryChain(config, test)
    except InvalidBlock as refusal:
        return f"the genesis is refused: {refusal}"
    for index, block in enumerate(test["blocks"]):
        difference = _import(chain, data(block["rlp"]), block.get("expectException"))
        if difference:
            return f"block {index}: {difference}"
    if chain.head_hash != data(test["lastblockhash"]):
        return f"last block 0x{chain.head_hash.hex()}, expected {test['lastblockhash']}"
    if "postState" in test:
        wanted_state = read_allocation(test["postState"])
        if chain.head.state_root != MemoryView(wanted_state).state_root():
            return describe_difference(chain.view, wanted_state)
    return ""


def _import(chain: MemoryChain, encoded: bytes, wanted: str | None) -> str:
    """Imports a block, which must be refused when something is wanted. What differs, or ""."""
    try:
        chain.import_block(encoded)
    except ExecutorFailed as failure:
        return str(failure)
    except InvalidBlock as refusal:
        return compare_refusal(refusal, wanted)
    return f"valid, expected {wanted}" if wanted else ""


class MemoryChain:
    """A chain in memory: one head, tries over a dictionary of nodes, no disk."""

    def __init__(self, config: ChainConfig, test: Mapping[str, Any]) -> None:
        """Starts at the test's genesis. Raises: InvalidBlock when its parts disagree."""
        allocation = read_allocation(test["pre"])
        genesis = decode_block(data(test["genesisRLP"]))
        self.config = config
        self.view = MemoryView(allocation)
        self.head: Header = genesis.header
        self.head_hash = header_hash(genesis.header)
        if self.head_hash != data(test["genesisBlockHeader"]["hash"]):
            raise InvalidBlock(BlockReason.INVALID_BLOCK_HASH)
        self.view.block_hashes[self.head.number] = self.head_hash
        self.executor = Executor(self.view, cache_bytes_max=CACHE_BYTES_MAX)
        self._nodes: dict[tuple[bytes | None, bytes], bytes] = {}
        self._forest = Forest(self._node, EMPTY_ROOT, NODE_CACHE_BYTES_MAX)
        if self._forest.apply(_changes(allocation)) != self.head.state_root:
            raise InvalidBlock(BlockReason.INVALID_STATE_ROOT)
        self._keep_nodes()

    def import_block(self, encoded: bytes) -> None:
        """Makes the block the head. Raises: InvalidBlock; then nothing has changed."""
        block = decode_block(encoded)
        header = block.header
        check_block_size(self.config, header.timestamp, len(encoded))
        check_header(self.config, header, self.head, self.head_hash)
        batch = TransactionBatch.decode(block.transactions)
        batch.recover(threads=1)
        result = self.executor.run_block(self._environment(header), batch, block.withdrawals)
        try:
            check_outcome(self.config, header, result)
            self._check_root(header, result)
        except InvalidBlock:
            self.executor.discard()
            raise
        self._keep_nodes()
        self.view.apply(result, has_roots=True)
        self.executor.commit()
        self.head = header
        self.head_hash = header_hash(header)
        self.view.block_hashes[header.number] = self.head_hash

    def _check_root(self, header: Header, result: BlockResult) -> None:
        """Raises: InvalidBlock INVALID_STATE_ROOT; then the tries are as before."""
        root = self._forest.apply(result.changes)
        if root != header.state_root:
            self._forest.discard()
            message = f"state root 0x{root.hex()}, the header says 0x{header.state_root.hex()}"
            raise InvalidBlock(BlockReason.INVALID_STATE_ROOT, message)

    def _node(self, owner: bytes | None, path: bytes) -> bytes | None:
        return self._nodes.get((owner, path))

    def _keep_nodes(self) -> None:
        """Adopts the pending tries."""
        for owner, path, node in self._forest.writes():
            if node:
                self._nodes[owner, path] = node
            else:
                self._nodes.pop((owner, path), None)
        self._forest.commit()

    def _environment(self, header: Header) -> BlockEnvironment:
        blobs = self.config.blob_schedule_at(header.timestamp)
        return BlockEnvironment(
            fork=self.config.fork_at(header.timestamp),
            hybrid=self.config.hybrid_at(header.timestamp),
            chain_id=self.config.chain_id,
            number=header.number,
            timestamp=header.timestamp,
            gas_limit=header.gas_limit,
            base_fee=header.base_fee_per_gas,
            coinbase=header.coinbase,
            prev_randao=header.prev_randao,
            excess_blob_gas=header.excess_blob_gas,
            blob_base_fee_update_fraction=blobs.base_fee_update_fraction,
            blobs_per_block_max=blobs.max,
            parent_hash=header.parent_hash,
            parent_beacon_block_root=header.parent_beacon_block_root,
            deposit_contract=self.config.deposit_contract,
        )


def _changes(allocation: Mapping[bytes, Allocation]) -> ChangeSet:
    """The accounts of a genesis as the changes of a block on the empty state."""
    return ChangeSet.from_accounts(
        {
            address: (
                account.nonce,
                account.balance,
                keccak256(account.code),
                {key: int.from_bytes(value, "big") for key, value in account.storage.items()},
            )
            for address, account in allocation.items()
        }
    )
