"""The one writer of a chain: runs a block, compares or seals it, makes it durable.

A block goes: decoded and recovered (`prepare`, on any thread) → executed → the trie's new root →
header compared or made → `stage`: its state is what the next block runs on → `seal`: it, and what
was staged with it, is to be written → `write`: records appended (`journal.py`), one batch written
synchronously. `write` may run on another thread while the next blocks execute and are staged;
`settle` comes after it. Any failure before `stage` discards what is pending and leaves nothing
behind; a failed `write` is fatal to the storage, which then refuses all further ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ghostchain.chain import index
from ghostchain.chain.amendments import Amendments, delete_pending, encode_amendments
from ghostchain.chain.columns import (
    CandidateOutcomes,
    Included,
    any_unsigned,
    candidate_outcomes,
    included_columns,
    included_in,
    lengths_of,
    outcome_columns,
    raw_transactions,
    receipts_record,
    touched_by,
    transaction_columns,
)
from ghostchain.chain.config import ChainConfig
from ghostchain.chain.environments import environment_of, unexecuted_header
from ghostchain.chain.fees import BASE_FEE_END, GAS_LIMIT_MAX, next_gas_limit
from ghostchain.chain.journal import RecordJournal
from ghostchain.chain.logs import (
    RECEIPTS_PAGED_BYTES_MAX,
    SYNC_BLOCKS,
)
from ghostchain.chain.opening import OpenedStorage
from ghostchain.chain.places import row_of
from ghostchain.chain.preparing import WITHDRAWAL_BYTES_MAX, Checked, Prepared
from ghostchain.chain.records import AMENDMENTS, ATTACHMENT, BODY, RECEIPTS, body_parts, tag_of
from ghostchain.chain.rewinding import Arrived, Destination, Progress, Rewinder, finish_cut
from ghostchain.chain.validation import (
    BLOCK_BYTES_MAX,
    EXTRA_DATA_BYTES_MAX,
    check_header,
    check_next,
    check_outcome,
    check_place,
    child_fees,
)
from ghostchain.contracts import registry
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_header
from ghostchain.encoding.logs import LogStore, log_page
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, BlockResult, Executor
from ghostchain.execution.forks import Fork
from ghostchain.primitives.amendment import NO_AMENDMENTS
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import BlockReason, InvalidBlock, RemoteNeeded
from ghostchain.primitives.header import Header
from ghostchain.primitives.leniency import STRICT
from ghostchain.primitives.types import EMPTY_BLOOM, ZERO_HASH, Address, Hash32
from ghostchain.state.changes import columns_of
from ghostchain.state.keys import number_bytes
from ghostchain.state.remote import (
    ChangeLedger,
    ForkedView,
    Missed,
    RemoteView,
    foreign_codes,
    ring_slots,
    wiped_values,
    zeroed_by,
)
from ghostchain.state.store import nodes_of
from ghostchain.state.views import View, WriterView
from ghostchain.storage.files import Position
from ghostchain.storage.memory import return_free_memory
from ghostchain.trie.merkle import Forest

# Blocks that follow one another at once are written in groups, of at most so many blocks. Above
# these sizes waiting for the disk is little beside the rest, and what is held in memory much.
GROUP_BLOCKS_MAX = 32
GROUP_BYTES_MAX = 1 << 20
GROUP_ENTRIES_MAX = 1 << 14
# A block of a fork is run so often without waiting, each time with what the last run missed.
REMOTE_ROUNDS_MAX = 64
# By hand: a blob base fee that can still be computed at once.
EXCESS_BLOB_GAS_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block that was run: committed, or a draft.

    outcomes: of each candidate it was built from (of each transaction, when somebody else made it).
    """

    block: Block
    hash: Hash32
    outcomes: CandidateOutcomes


@dataclass(frozen=True, slots=True)
class Draft:
    """A block that was run on the head and found valid, and is not committed.

    sealed.outcomes: of each candidate where it was built. senders: of its transactions, in order.
    """

    sealed: SealedBlock
    senders: tuple[Address, ...]

    @property
    def block(self) -> Block:
        return self.sealed.block

    @property
    def hash(self) -> Hash32:
        return self.sealed.hash


@dataclass(frozen=True, slots=True)
class Pending:
    """A block that was run and checked, its changes pending in executor and trie. by_hand: as of
    `Prepared`."""

    sealed: SealedBlock
    encoded: bytes
    batch: TransactionBatch
    result: BlockResult
    by_hand: Amendments | None = None

    def draft(self) -> Draft:
        columns = transaction_columns(self.batch)
        if len(self.batch) > len(self.sealed.block.transactions):
            columns = columns[outcome_columns(self.result.native)["included"] != 0]
        joined = columns["sender"].tobytes()
        senders = tuple(Address(joined[start : start + 20]) for start in range(0, len(joined), 20))
        return Draft(self.sealed, senders)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a chain with consensus keeps beside a block: the commit certificate of it, and the
    attachment that came with it. The chain looks into neither."""

    certificate: bytes
    attachment: bytes


@dataclass(frozen=True, slots=True)
class _Staged:
    """A block on its way to disk. records: of the block files; included: its transactions."""

    sealed: SealedBlock
    encoded: bytes
    records: list[tuple[int, list[bytes]]]
    seal: Seal | None
    included: Included
    by_hand: Amendments | None

    @property
    def header(self) -> Header:
        return self.sealed.block.header

    @property
    def number(self) -> int:
        return self.sealed.block.header.number


def page_of(block: _Staged) -> bytes:
    """The page of the logs of a block that was written; b"" where there are none, or very many."""
    if block.header.bloom == EMPTY_BLOOM:
        return b""
    number, records = block.number, dict(block.records)
    receipts = b"".join(records[tag_of(number, RECEIPTS)])
    if len(receipts) > RECEIPTS_PAGED_BYTES_MAX:
        return b""
    body = b"".join(records[tag_of(number, BODY)])
    return log_page(number, block.sealed.hash, block.encoded, body, receipts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a builder decides about a block. gas_limit: where the limit moves to, None to stay.

    On a development chain also (`Chain.build_block`): amendments, base_fee, excess_blob_gas; and
    is_free, that time and gas limit are as said, whatever the parent's. waits: on a fork, for what
    is not here; else RemoteNeeded is raised, which has asked for it.
    """

    timestamp: int
    coinbase: Address
    prev_randao: Hash32
    extra_data: bytes = b""
    withdrawals: tuple[Withdrawal, ...] = ()
    parent_beacon_block_root: Hash32 = ZERO_HASH
    gas_limit: int | None = None
    amendments: Amendments = field(default_factory=lambda: NO_AMENDMENTS)
    base_fee: int | None = None
    excess_blob_gas: int | None = None
    is_free: bool = False
    waits: bool = True

    @property
    def is_by_hand(self) -> bool:
        """Whether anything is asked that only a development chain allows."""
        settings = (self.base_fee, self.excess_blob_gas)
        return self.is_free or bool(self.amendments) or any(one is not None for one in settings)


def check_by_hand(proposal: Proposal) -> None:
    """Raises: ValueError for what no header can say, or nobody can reckon with."""
    if not 0 <= proposal.timestamp < 1 << 64:
        raise ValueError("a timestamp is below 2^64")
    if proposal.gas_limit is not None and not 0 < proposal.gas_limit <= GAS_LIMIT_MAX:
        raise ValueError(f"a gas limit is between 1 and {GAS_LIMIT_MAX}")
    if proposal.base_fee is not None and not 0 <= proposal.base_fee < BASE_FEE_END:
        raise ValueError("a base fee is below 2^128")
    excess = proposal.excess_blob_gas
    if excess is not None and not 0 <= excess <= EXCESS_BLOB_GAS_MAX:
        raise ValueError(f"excess blob gas is at most {EXCESS_BLOB_GAS_MAX}")


class BlockWriter:
    """Executor, trie and disk of a chain at its head. One thread at a time."""

    def __init__(self, config: ChainConfig, storage: OpenedStorage) -> None:
        head, state, remote = storage.head, storage.state, storage.remote
        self.config = config
        self._database = storage.database
        self._files = storage.files
        self._journal = RecordJournal(storage.files)
        self._state = state
        self._blooms = storage.blooms
        self._places = storage.places
        self._staged: list[_Staged] = []
        self._staged_bytes = 0
        # The block that was written last, if it was alone.
        self._unshown: _Staged | None = None
        # The transactions of blocks that were written and of which nobody was told yet.
        self._fresh: dict[int, Included] = {}
        # The last block that was sealed, and the hashes of those that are perhaps not on disk yet.
        self._sealed = head.number
        self._recent: dict[int, Hash32] = {}
        self._remote = remote
        # What a block that is tried without waiting lacks of it.
        self._missed: Missed | None = None
        self._local = WriterView(state, self._ancestor_hash)
        self._executor = Executor(
            self._view(), contracts=registry.RUN, cache_bytes_max=storage.cache_bytes
        )
        self._forest: Forest | ChangeLedger = (
            Forest(state.node, self._root_of(head), storage.cache_bytes, deferred=True)
            if remote is None
            else ChangeLedger(head.state_root)
        )

    def _view(self, environment: BlockEnvironment | None = None) -> View:
        """What a block runs on; of a fork, with the remote's state beneath."""
        if self._remote is None:
            return self._local
        rings = environment and ring_slots(environment.number, environment.timestamp)
        return ForkedView(self._local, self._remote, rings or frozenset(), self._missed)

    def _run(
        self,
        environment: BlockEnvironment,
        batch: TransactionBatch,
        withdrawals: Sequence[Withdrawal],
        *,
        skip_invalid: bool = False,
        amendments: Amendments = NO_AMENDMENTS,
    ) -> BlockResult:
        if self._remote is not None:
            view = self._view(environment)
            self._executor.reset(view)
            addresses, slots = touched_by(batch)
            if isinstance(view, ForkedView):
                view.prefetch(addresses | {environment.coinbase} | amendments.keys(), slots)
        return self._executor.run_block(
            environment,
            batch,
            withdrawals,
            skip_invalid=skip_invalid,
            amendments=amendments,
        )

    def _root_of(self, header: Header) -> Hash32:
        return index.read_root(self._database, header)

    def _ancestor_hash(self, number: int) -> bytes | None:
        recent = self._recent.get(number)
        return index.read_hash(self._database, number) if recent is None else recent

    def import_block(self, prepared: Prepared, parent: Header, parent_hash: Hash32) -> Pending:
        """Checks and runs the block.

        Raises: InvalidBlock; nothing is pending then.
        """
        block = prepared.block
        header = block.header
        known = prepared.checked
        if known is None or known.parent_hash != parent_hash:
            check = check_next if prepared.by_hand is None else check_place
            check(self.config, header, parent, parent_hash)
        result = self._run(
            environment_of(self.config, header),
            prepared.batch,
            block.withdrawals,
            amendments=prepared.by_hand or NO_AMENDMENTS,
        )
        try:
            check_outcome(self.config, header, result)
            state_root = self._forest.apply(result.changes)
            if state_root != header.state_root:
                raise InvalidBlock(
                    BlockReason.INVALID_STATE_ROOT,
                    f"state root 0x{header.state_root.hex()}, not 0x{state_root.hex()}",
                )
            pending = self._pending(block, prepared.batch, result, len(prepared.batch), known)
            return replace(pending, by_hand=prepared.by_hand) if prepared.by_hand else pending
        except BaseException:
            self.discard()
            raise

    def build_block(
        self,
        batch: TransactionBatch,
        proposal: Proposal,
        parent: Header,
        parent_hash: Hash32,
    ) -> Pending:
        """Runs what fits of the candidates and makes the header.

        Raises: InvalidBlock when the proposal itself cannot hold (its timestamp, extra data, a
            failing system contract); RemoteError, or RemoteNeeded, as the proposal says. Nothing is
            pending then.
        """
        if self._remote is None:
            return self._built(batch, proposal, parent, parent_hash)
        for _ in range(REMOTE_ROUNDS_MAX):
            try:
                return self._guessed(self._remote, batch, proposal, parent, parent_hash)
            except RemoteNeeded as need:
                if not proposal.waits:
                    raise
                need.answer.result()
        return self._built(batch, proposal, parent, parent_hash)

    def _guessed(
        self,
        remote: RemoteView,
        batch: TransactionBatch,
        proposal: Proposal,
        parent: Header,
        parent_hash: Hash32,
    ) -> Pending:
        """As _built, without waiting: one miss alone would hold up the next, so all that such a
        run misses is asked for together. Raises: RemoteNeeded."""
        missed = self._missed = {}
        try:
            with remote.guessing(missed):
                pending = self._built(batch, proposal, parent, parent_hash)
        except Exception as failure:
            if not missed:
                raise
            raise RemoteNeeded(remote.fetched(missed)) from failure
        finally:
            self._missed = None
        if missed:
            self.discard()
            raise RemoteNeeded(remote.fetched(missed))
        return pending

    def _built(
        self,
        batch: TransactionBatch,
        proposal: Proposal,
        parent: Header,
        parent_hash: Hash32,
    ) -> Pending:
        self._check_proposal(proposal, parent)
        draft = self._draft(proposal, parent, parent_hash)
        candidate_count = len(batch)
        batch = _within_block_size(batch, len(proposal.withdrawals))
        result = self._run(
            environment_of(self.config, draft),
            batch,
            proposal.withdrawals,
            skip_invalid=True,
            amendments=proposal.amendments,
        )
        try:
            header = self._seal(draft, result)
            included = included_in(result.native)
            transactions = raw_transactions(batch, included)
            block = Block(header, transactions, tuple(proposal.withdrawals))
            pending = self._pending(block, batch, result, candidate_count)
            if self._uses_leniency(batch, included) or (
                proposal.is_by_hand and self._is_by_hand(proposal, header, parent, parent_hash)
            ):
                pending = replace(pending, by_hand=proposal.amendments)
            return pending
        except BaseException:
            self.discard()
            raise

    def _uses_leniency(self, batch: TransactionBatch, included: list[int]) -> bool:
        """Whether transactions are in the block that no other chain would take, or could be."""
        if any_unsigned(batch, included):
            return True
        return self.config.leniency != STRICT and bool(included)

    def _is_by_hand(
        self, proposal: Proposal, header: Header, parent: Header, parent_hash: Hash32
    ) -> bool:
        """Whether the block could not be imported as any other."""
        if proposal.amendments:
            return True
        try:
            check_header(self.config, header, parent, parent_hash)
        except InvalidBlock:
            return True
        return False

    def _check_proposal(self, proposal: Proposal, parent: Header) -> None:
        earliest = parent.timestamp + self.config.timestamp_step_min
        if proposal.timestamp < earliest and not proposal.is_free:
            raise InvalidBlock(
                BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT,
                f"timestamp {proposal.timestamp} after {parent.timestamp}",
            )
        if len(proposal.extra_data) > EXTRA_DATA_BYTES_MAX:
            raise InvalidBlock(BlockReason.EXTRA_DATA_TOO_BIG)

    def _draft(self, proposal: Proposal, parent: Header, parent_hash: Hash32) -> Header:
        """The header before execution."""
        demanded = child_fees(self.config, parent, proposal.timestamp)
        base_fee, excess = proposal.base_fee, proposal.excess_blob_gas
        wanted = parent.gas_limit if proposal.gas_limit is None else proposal.gas_limit
        gas_limit = wanted if proposal.is_free else next_gas_limit(parent.gas_limit, wanted)
        return unexecuted_header(
            parent_hash=parent_hash,
            number=parent.number + 1,
            coinbase=proposal.coinbase,
            gas_limit=gas_limit,
            timestamp=proposal.timestamp,
            extra_data=proposal.extra_data,
            prev_randao=proposal.prev_randao,
            base_fee=demanded.base_fee if base_fee is None else base_fee,
            excess_blob_gas=demanded.excess_blob_gas if excess is None else excess,
            parent_beacon_block_root=proposal.parent_beacon_block_root,
        )

    def _seal(self, draft: Header, result: BlockResult) -> Header:
        """The header with what execution yielded."""
        has_requests = self.config.fork_at(draft.timestamp) >= Fork.PRAGUE
        return replace(
            draft,
            state_root=self._forest.apply(result.changes),
            transactions_root=result.transactions_root,
            receipts_root=result.receipts_root,
            bloom=result.bloom,
            gas_used=result.gas_used,
            withdrawals_root=result.withdrawals_root,
            blob_gas_used=result.blob_gas_used,
            requests_hash=result.requests_hash if has_requests else None,
        )

    def _pending(
        self,
        block: Block,
        batch: TransactionBatch,
        result: BlockResult,
        candidate_count: int,
        known: Checked | None = None,
    ) -> Pending:
        encoded = encode_header(block.header) if known is None else known.encoded
        block_hash = keccak256(encoded) if known is None else known.hash
        outcomes = candidate_outcomes(outcome_columns(result.native), candidate_count)
        return Pending(SealedBlock(block, block_hash, outcomes), encoded, batch, result)

    def stage(self, pending: Pending, seal: Seal | None = None) -> None:
        """The block is what the next one runs on, and is written with the next `seal`, and what is
        kept beside it too."""
        sealed, native = pending.sealed, pending.result.native
        header, number = sealed.block.header, sealed.block.header.number
        included = included_columns(pending.batch, native)
        body = body_parts(
            pending.encoded,
            sealed.block.withdrawals,
            sealed.block.transactions,
            included.senders,
        )
        receipts = receipts_record(native, included.types)
        records = [(tag_of(number, BODY), body), (tag_of(number, RECEIPTS), receipts)]
        if pending.by_hand is not None:
            # First: where the body is found after a kill, what it needs to be run again is too.
            began = encode_amendments(pending.by_hand)
            records.insert(0, (tag_of(number, AMENDMENTS), [began]))
        if seal is not None:
            records.append((tag_of(number, ATTACHMENT), [seal.attachment]))
        changes, codes = columns_of(native), list(pending.result.codes)
        besides = wiped = None
        if self._remote is not None:
            besides = zeroed_by(header.timestamp, header.parent_beacon_block_root)
            wiped = wiped_values(changes.accounts, changes.slots, self._view())
            codes += foreign_codes(changes.accounts, self._local, self._remote, codes)
        self._state.stage(number, changes, codes, besides, wiped)
        self._executor.commit()
        self._forest.commit()
        self._staged.append(
            _Staged(sealed, pending.encoded, records, seal, included, pending.by_hand)
        )
        self._staged_bytes += sum(map(len, body))
        self._recent[number] = sealed.hash

    @property
    def is_full(self) -> bool:
        """Whether what is staged is enough for one batch."""
        return (
            len(self._staged) >= GROUP_BLOCKS_MAX
            or self._staged_bytes >= GROUP_BYTES_MAX
            or self._state.staged_entries >= GROUP_ENTRIES_MAX
        )

    def seal(self) -> Callable[[], None]:
        """Takes what is staged. Returns `write`, which makes it durable, all of it or nothing.

        `write` is for any one thread, perhaps while further blocks are staged, and raises
        StorageFailed. What was sealed before must be settled.
        """
        staged, self._staged = self._staged, []
        self._staged_bytes = 0
        self._sealed = staged[-1].number
        put_state = self._state.seal(staged[-1].header.state_root, nodes_of(self._forest))
        # What the forest lets go of here is in memory until it is on disk.
        self._forest.saved()

        def write() -> None:
            batch = self._database.batch()
            put_state(batch)
            index.put_transactions(
                batch, [(block.number, block.included.hashes) for block in staged]
            )
            self._write(batch, staged)
            del batch
            if self._state.is_flushing:
                # A good moment: the largest of all batches has just been freed.
                return_free_memory()

        return write

    def _write(self, batch: Any, staged: Sequence[_Staged]) -> None:
        """Records, then the batch that names them: after this the blocks are durable."""
        records = [(block.number, block.records) for block in staged]
        rows = []
        for block, locators in zip(staged, self._journal.append_group(batch, records), strict=True):
            if block.by_hand is not None:
                index.put_by_hand(batch, block.number, locators.pop(0))
                delete_pending(batch, block.by_hand)
            body, receipts, *attachment = locators
            if block.seal is not None:
                index.put_attachment(batch, block.number, attachment[0])
            self._blooms.put(block.number, block.header.bloom)
            rows.append(row_of(block.number, body, receipts))
            index.put_header(
                batch, block.number, block.sealed.hash, block.encoded, (body, receipts)
            )
        self._places.put(staged[0].number, rows)
        self._unshown = None
        if len(staged) == 1:
            self._unshown = staged[0]
            self._fresh = {staged[0].number: staged[0].included}
        last = staged[-1]
        if last.number // SYNC_BLOCKS > (staged[0].number - 1) // SYNC_BLOCKS:
            self._blooms.sync()
            self._places.sync()
            batch.put(index.BLOOMS, number_bytes(last.number))
        if last.seal is not None:
            index.put_certificate(batch, last.number, last.seal.certificate)
        index.put_head(batch, last.number, last.sealed.hash, self._files.end)
        self._database.commit(batch)

    def settle(self) -> None:
        """What was sealed is durable."""
        self._state.settle()
        for number in [number for number in self._recent if number <= self._sealed]:
            del self._recent[number]

    def fresh(self, number: int) -> Included | None:
        """The transactions of a block that was just written."""
        return self._fresh.get(number)

    def forget_fresh(self) -> None:
        """Whoever is to know of the blocks that were written does."""
        self._fresh = {}

    def show(self, logs: LogStore) -> None:
        """Keeps the logs of a block that was written alone: clients ask for the newest first, and
        the records are at hand. Of many at once, nobody asks while they are caught up with."""
        block, self._unshown = self._unshown, None
        if block is None:
            return
        page = page_of(block)
        if page:
            logs.put(block.number, page)
        logs.follow(block.number, block.header.bloom)

    def discard(self) -> None:
        """Forgets what is pending."""
        self._executor.discard()
        self._forest.discard()

    def rewind(self, head: int, to: Destination, progress: Progress) -> Arrived:
        """Block `to.number` is what the next one runs on, durably. Nothing is pending.

        Raises: as `Rewinder.rewind`.
        """
        rewinder = Rewinder(self._database, self._files, self._journal, self._state, self._forest)
        arrived = rewinder.rewind(head, to, progress)
        self._executor.reset()
        return arrived

    def cut(self, end: Position) -> None:
        """What a rewind has left in the block files is gone. Raises: StorageFailed."""
        finish_cut(self._database, self._files, end)

    def flush(self, head: Header) -> None:
        """Trie and block files on disk are the head's, so that the next start has nothing to do."""
        if self._state.trie_block[0] != head.number:
            self._state.flush_nodes(head.number, self._root_of(head))
        batch = self._database.batch()
        if self._journal.release(batch):
            self._database.commit(batch)

    def memory(self) -> dict[str, int]:
        """Bytes held by what."""
        return {
            "executor": self._executor.memory,
            "trie": self._forest.memory,
            "trie nodes to be written": self._state.memory(),
            "database": self._database.memory(),
        }


def _within_block_size(batch: TransactionBatch, withdrawal_count: int) -> TransactionBatch:
    """As many of the first candidates as surely make a block that is not too large (EIP-7934)."""
    room = BLOCK_BYTES_MAX - 1024 - WITHDRAWAL_BYTES_MAX * withdrawal_count
    lengths = lengths_of(batch)
    if sum(lengths) + 4 * len(batch) <= room:
        return batch
    sizes = (np.array(lengths) + 4).cumsum()
    fitting = int(np.searchsorted(sizes, room, "right"))
    return batch if fitting == len(batch) else batch.select(range(fitting))
