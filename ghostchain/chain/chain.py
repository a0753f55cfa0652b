"""A chain on disk: its head, its past, and the two ways to a next block.

One thread at a time writes (`build_block`, `import_block`, `import_blocks`; where many decide,
`draft`, `check`, `commit`, `import_certified`); any number read. What
readers see is one immutable object, replaced after each commit: the head's header and a snapshot
of the database at it. So no answer mixes two blocks, and no reader waits for the writer (but for
proofs, which wait for a commit that is under way).
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ghostchain.chain import index
from ghostchain.chain.columns import outcome_columns, transaction_columns
from ghostchain.chain.fees import GAS_PER_BLOB, blob_base_fee
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.logs import (
    LocatedLog,
    Topics,
    candidate_blocks,
    matching_logs,
    transaction_hash,
)
from ghostchain.chain.opening import OpenedStorage, open_storage
from ghostchain.chain.records import BodyRecord, ReceiptsRecord
from ghostchain.chain.validation import child_fees
from ghostchain.chain.writer import (
    BlockWriter,
    KnownSenders,
    Pending,
    Prepared,
    Preparer,
    Proposal,
    Seal,
    SealedBlock,
    environment_of,
)
from ghostchain.encoding.attachments import decode_attachment
from ghostchain.encoding.blocks import decode_header
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import InvalidEncoding, StateUnavailable, StorageFailed
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.types import ZERO_HASH, Address, Hash32
from ghostchain.state.proofs import AccountProof, ProofService, TrieBase
from ghostchain.state.views import HistoricalView, LatestView, View
from ghostchain.storage.database import Snapshot

__all__ = ["BlockFees", "Chain", "Draft", "SealedBlock"]

Value = TypeVar("Value")

HEADERS_KEPT = 1024
# Bytes of bodies kept for readers, and as many of receipts.
RECORD_BYTES_KEPT = 16 << 20
# Blocks decoded and recovered ahead of the one that runs.
PREPARED_AHEAD = 1


@dataclass(frozen=True, slots=True)
class BlockFees:
    """Fees inside one block, in wei per (blob) gas, and the gas and blob gas it may use."""

    base_fee: int
    blob_base_fee: int
    gas_limit: int
    blob_gas_max: int


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
class Published:
    """What readers see: the head, and the database as of it."""

    header: Header
    hash: Hash32
    snapshot: Snapshot

    def block_hash(self, number: int) -> bytes | None:
        return index.read_hash(self.snapshot, number)


class Recent(Generic[Value]):
    """A bounded cache by block number for many threads; the oldest entries go first. What is in
    a block never changes, so nothing here is ever stale."""

    def __init__(self, *, size_max: int) -> None:
        """size_max: of all entries together, in the unit of `put`."""
        self._entries: dict[int, tuple[Value, int]] = {}
        self._size = 0
        self._size_max = size_max
        self._lock = threading.Lock()

    def get(self, number: int) -> Value | None:
        found = self._entries.get(number)
        return None if found is None else found[0]

    def put(self, number: int, value: Value, size: int = 1) -> None:
        """An entry larger than the whole cache is not kept."""
        with self._lock:
            if number in self._entries or size > self._size_max:
                return
            while self._size + size > self._size_max:
                self._size -= self._entries.pop(next(iter(self._entries)))[1]
            self._entries[number] = value, size
            self._size += size


class Chain:
    """The blocks and states of one chain. Open with `Chain.open`."""

    def __init__(self, genesis: Genesis, storage: OpenedStorage) -> None:
        self.genesis = genesis
        self.config = genesis.config
        self._storage = storage
        # Held through a whole build or import.
        self._writing = threading.Lock()
        # Held while what is settled and what is published move to the next block.
        self._committing = threading.Lock()
        self._published = Published(storage.head, storage.head_hash, storage.database.snapshot())
        self._begin = index.read_begin(self._published.snapshot)
        self._writer = BlockWriter(
            self.config,
            storage.database,
            storage.files,
            storage.state,
            storage.blooms,
            storage.head,
        )
        self._proofs = ProofService(self._trie_base)
        self._headers: Recent[tuple[Hash32, Header]] = Recent(size_max=HEADERS_KEPT)
        self._bodies: Recent[BodyRecord] = Recent(size_max=RECORD_BYTES_KEPT)
        self._receipts: Recent[ReceiptsRecord] = Recent(size_max=RECORD_BYTES_KEPT)
        self._listeners: list[Callable[[Header], None]] = []
        # The draft whose changes stand in executor and trie.
        self._drafted: tuple[Draft, Pending] | None = None
        self._closed = False
        self._failed = False

    @classmethod
    def open(
        cls,
        data_dir: Path,
        genesis: Genesis,
        *,
        prune: int | None = None,
        is_durable: bool = True,
        on_step: Callable[[str], None] | None = None,
    ) -> Chain:
        """The chain in data_dir, created from genesis when the directory is free, recovered when
        the last process was killed.

        prune: keep the state of that many blocks behind the head; None keeps all.
        is_durable: False only for a directory that goes with this process; a commit then does not
        wait for the disk.
        on_step: told of each step that reaches the disk (tests cut there).
        Raises: StorageError.
        """
        storage = open_storage(
            data_dir, genesis, prune=prune, is_durable=is_durable, on_step=on_step
        )
        try:
            chain = cls(genesis, storage)
            # Blocks whose records were written but whose batch was not: decided, so run again.
            for block in storage.unacknowledged:
                chain.import_block(block)
        except BaseException:
            storage.close()
            raise
        return chain

    def close(self) -> None:
        """Waits for the writer, writes what is buffered, gives the directory free."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            try:
                if not self._failed:
                    self._writer.flush(self._published.header)
            finally:
                self._storage.close()

    # ---- the head ----

    @property
    def head(self) -> Header:
        """The latest committed block."""
        return self._published.header

    @property
    def head_hash(self) -> Hash32:
        return self._published.hash

    @property
    def begin(self) -> int:
        """The block after which all blocks are here: 0, or that of the snapshot from which this
        chain began. Up to it there are a few headers at most, and genesis."""
        return self._begin

    def latest(self) -> tuple[Header, Hash32, Snapshot]:
        """The head, and the database as of it, unmoved by later blocks."""
        published = self._published
        return published.header, published.hash, published.snapshot

    def subscribe(self, listener: Callable[[Header], None]) -> Callable[[], None]:
        """Calls listener with each new head, on the writer's thread, after it is durable and
        readable. It must not raise and must return soon. Returns what ends the subscription."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # ---- reading blocks ----

    def header(self, key: int | bytes) -> Header | None:
        """The header of a block by number or hash; None when it is not of this chain."""
        number = self.number_of(key) if isinstance(key, bytes) else key
        found = None if number is None else self._entry(number)
        return None if found is None else found[1]

    def hash_of(self, number: int) -> Hash32 | None:
        found = self._entry(number)
        return None if found is None else found[0]

    def number_of(self, block_hash: bytes) -> int | None:
        return index.read_number(self._published.snapshot, block_hash)

    def _entry(self, number: int) -> tuple[Hash32, Header] | None:
        published = self._published
        if not 0 <= number <= published.header.number:
            return None
        if number == published.header.number:
            return published.hash, published.header
        kept = self._headers.get(number)
        if kept is None:
            entry = index.read_entry(published.snapshot, number)
            if entry is None:
                assert number < self.begin, "every number after the beginning has a header"
                return None
            kept = entry.hash, decode_header(entry.header)
            self._headers.put(number, kept)
        return kept

    def block(self, key: int | bytes) -> Block | None:
        """A block by number or hash; None when it is not of this chain."""
        number = self.number_of(key) if isinstance(key, bytes) else key
        if number is None:
            return None
        if number == 0:
            return Block(self.genesis.header)
        record = self.body(number)
        return None if record is None else record.block()

    def body(self, number: int) -> BodyRecord | None:
        """The body of a block after genesis: transactions and senders one by one."""
        kept = self._bodies.get(number)
        if kept is not None:
            return kept
        entry = index.read_entry(self._published.snapshot, number) if number > 0 else None
        if entry is None or entry.body is None:
            return None
        record = BodyRecord.parse(self._storage.files.read(entry.body))
        self._bodies.put(number, record, len(record.data))
        return record

    def receipts_record(self, number: int) -> ReceiptsRecord | None:
        """The receipts of a block after genesis: one by one, and their columns."""
        kept = self._receipts.get(number)
        if kept is not None:
            return kept
        entry = index.read_entry(self._published.snapshot, number) if number > 0 else None
        if entry is None or entry.receipts is None:
            return None
        record = ReceiptsRecord.parse(self._storage.files.read(entry.receipts))
        self._receipts.put(number, record, len(record.data))
        return record

    def attachment(self, number: int) -> bytes | None:
        """What travelled beside a block (`encoding/attachments.py`); None where none was kept."""
        locator = index.read_attachment(self._published.snapshot, number)
        return None if locator is None else self._storage.files.read(locator)

    def certificate(self, number: int) -> bytes | None:
        """The commit certificate of a block, as the next block brought it; of the head, as this
        node has it. None where none was kept."""
        attachment = self.attachment(number + 1)
        if attachment is not None:
            with contextlib.suppress(InvalidEncoding):
                return decode_attachment(attachment).certificate
        return index.read_certificate(self._published.snapshot, number)

    def receipts(self, number: int) -> tuple[Receipt, ...] | None:
        """One for each transaction of the block, in order."""
        if number == 0:
            return ()
        record = self.receipts_record(number)
        return None if record is None else record.receipts()

    def transaction_location(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """(block number, index in the block) of an included transaction."""
        return index.read_place(self._published.snapshot, transaction_hash)

    def logs(
        self, first: int, last: int, addresses: Collection[Address], topics: Topics
    ) -> Iterator[LocatedLog]:
        """The matching logs of blocks first..last (both included, bounded by the head), in order.

        An empty collection matches anything; a log with fewer topics than asked does not match.
        """
        last = min(last, self.head.number)
        blooms = self._storage.blooms
        for number in candidate_blocks(blooms, max(first, 0), last, addresses, topics):
            record = self.receipts_record(number)
            if record is None:
                continue
            for position, log_index, log in matching_logs(record, addresses, topics):
                entry, body = self._entry(number), self.body(number)
                assert entry is not None, "a block with receipts has a header"
                assert body is not None, "a block with receipts has a body"
                yield LocatedLog(
                    log=log,
                    block_number=number,
                    block_hash=entry[0],
                    block_timestamp=entry[1].timestamp,
                    transaction_hash=transaction_hash(body.raw(position)),
                    transaction_index=position,
                    log_index=log_index,
                )

    # ---- reading state ----

    def state_at(self, number: int) -> View:
        """The state after block `number`, unmoved by later blocks.

        Raises: StateUnavailable.
        """
        published = self._published
        if number == published.header.number:
            return LatestView(published.snapshot, published.block_hash)
        if not 0 <= number < published.header.number:
            raise StateUnavailable(f"block {number} is not known")
        return HistoricalView(published.snapshot, published.block_hash, number)

    @property
    def oldest_state(self) -> int:
        """The lowest block whose state can be read."""
        return self._storage.state.oldest_readable

    def prove(self, address: Address, slots: Sequence[Hash32], number: int) -> AccountProof:
        """Merkle proofs of an account and some of its slots after block `number` (EIP-1186).

        Raises: StateUnavailable for more than 128 blocks behind the head.
        """
        view = self.state_at(number)
        entry = self._entry(number)
        assert entry is not None, "a readable state has a header"
        return self._proofs.prove(view, number, entry[1].state_root, address, slots)

    def _trie_base(self) -> TrieBase:
        with self._committing:
            published = self._published
            return TrieBase(
                published.header.number,
                published.header.state_root,
                published.snapshot,
                self._storage.state.buffered_nodes(),
            )

    # ---- what blocks look like from inside ----

    def environment_for(self, header: Header) -> BlockEnvironment:
        """What the block with this header shows to its transactions."""
        return environment_of(self.config, header)

    def next_environment(self, *, timestamp: int | None = None) -> BlockEnvironment:
        """What the block after the head would show; its time is the earliest possible, unless
        given."""
        parent, parent_hash = self._published.header, self._published.hash
        time = parent.timestamp + self.config.timestamp_step_min
        time = time if timestamp is None else max(timestamp, time)
        demanded = child_fees(self.config, parent, time)
        schedule = self.config.blob_schedule_at(time)
        return BlockEnvironment(
            fork=self.config.fork_at(time),
            hybrid=self.config.hybrid_at(time),
            chain_id=self.config.chain_id,
            number=parent.number + 1,
            timestamp=time,
            gas_limit=parent.gas_limit,
            base_fee=demanded.base_fee,
            coinbase=parent.coinbase,
            prev_randao=parent.prev_randao,
            excess_blob_gas=demanded.excess_blob_gas,
            blob_base_fee_update_fraction=schedule.base_fee_update_fraction,
            blobs_per_block_max=schedule.max,
            parent_hash=parent_hash,
            parent_beacon_block_root=ZERO_HASH,
            deposit_contract=self.config.deposit_contract,
        )

    def next_fees(self) -> BlockFees:
        """The fees of the block after the head."""
        return self._fees(self.next_environment())

    def fees_of(self, header: Header) -> BlockFees:
        """The fees of the block with this header."""
        return self._fees(self.environment_for(header))

    def _fees(self, environment: BlockEnvironment) -> BlockFees:
        schedule = self.config.blob_schedule_at(environment.timestamp)
        return BlockFees(
            base_fee=environment.base_fee,
            blob_base_fee=blob_base_fee(environment.excess_blob_gas, schedule),
            gas_limit=environment.gas_limit,
            blob_gas_max=schedule.max * GAS_PER_BLOB,
        )

    # ---- the next block ----

    def build_block(
        self,
        batch: TransactionBatch,
        *,
        timestamp: int,
        coinbase: Address,
        prev_randao: Hash32,
        extra_data: bytes = b"",
        withdrawals: Sequence[Withdrawal] = (),
        parent_beacon_block_root: Hash32 = ZERO_HASH,
        gas_limit: int | None = None,
    ) -> SealedBlock:
        """The next block holds what is valid and fits of the batch (recovered), in its order, and
        is committed. gas_limit: where the limit moves to.

        Raises: InvalidBlock when no block can be made so; StorageFailed.
        """
        proposal = Proposal(
            timestamp=timestamp,
            coinbase=coinbase,
            prev_randao=prev_randao,
            extra_data=extra_data,
            withdrawals=tuple(withdrawals),
            parent_beacon_block_root=parent_beacon_block_root,
            gas_limit=gas_limit,
        )
        with self._writing:
            pending = self._build(batch, proposal)
            self._commit(pending.sealed, self._stage(pending))
        return pending.sealed

    def import_block(self, block: Block | bytes) -> SealedBlock:
        """The block is checked in full, run, and committed as the next one.

        Raises: InvalidBlock with the reason, nothing changed; StorageFailed.
        """
        prepared = self._prepare(block)
        with self._writing:
            pending = self._run(prepared, self.head, self.head_hash)
            self._commit(pending.sealed, self._stage(pending))
        return pending.sealed

    def import_blocks(self, blocks: Iterable[Block | bytes]) -> Iterator[SealedBlock]:
        """Imports a stream: while one block runs, the next are decoded and recovered and the one
        before is written.

        Yields each block when it is committed. The chain takes no other block until the iterator
        ends or is closed. Raises as `import_block` at the first bad block; those before it are
        committed, though the last of them may not have been yielded.
        """
        return self._import((block, None) for block in blocks)

    def import_certified(
        self, blocks: Iterable[tuple[bytes, bytes, bytes]]
    ) -> Iterator[SealedBlock]:
        """As `import_blocks`, of (block, commit certificate, attachment). Each block is run; that
        its certificate and its attachment hold is for the caller to know."""
        return self._import(
            (block, Seal(certificate, attachment)) for block, certificate, attachment in blocks
        )

    def _import(self, blocks: Iterable[tuple[Block | bytes, Seal | None]]) -> Iterator[SealedBlock]:
        with (
            self._writing,
            ThreadPoolExecutor(1, thread_name_prefix="prepare") as preparing,
            ThreadPoolExecutor(1, thread_name_prefix="write") as writing,
        ):
            parent, parent_hash = self.head, self.head_hash
            prepare = Preparer(self.config, parent, parent_hash).prepare
            ahead = _prefetch(blocks, lambda block: preparing.submit(prepare, block))
            flight: tuple[SealedBlock, Future[None]] | None = None
            try:
                for prepared, seal in ahead:
                    pending = self._run(prepared.result(), parent, parent_hash)
                    landed, flight = self._land(flight), None
                    flight = pending.sealed, writing.submit(self._stage(pending, seal))
                    parent, parent_hash = pending.sealed.block.header, pending.sealed.hash
                    if landed is not None:
                        yield landed
            finally:
                last = self._land(flight)
            if last is not None:
                yield last

    # ---- the next block where many decide ----

    def draft(
        self,
        batch: TransactionBatch,
        *,
        timestamp: int,
        coinbase: Address,
        prev_randao: Hash32,
        extra_data: bytes = b"",
        withdrawals: Sequence[Withdrawal] = (),
        parent_beacon_block_root: Hash32 = ZERO_HASH,
        gas_limit: int | None = None,
    ) -> Draft:
        """What `build_block` would commit, not committed: the head stays.

        Raises: InvalidBlock when no block can be made so.
        """
        proposal = Proposal(
            timestamp=timestamp,
            coinbase=coinbase,
            prev_randao=prev_randao,
            extra_data=extra_data,
            withdrawals=tuple(withdrawals),
            parent_beacon_block_root=parent_beacon_block_root,
            gas_limit=gas_limit,
        )
        with self._writing:
            return self._keep(self._build(batch, proposal))

    def check(self, block: Block | bytes, *, senders: KnownSenders | None = None) -> Draft:
        """The block is checked in full and run on the head, not committed.

        senders: of transactions, by hash, whose signatures were verified before; None for others.
        Raises: InvalidBlock with the reason.
        """
        prepared = self._prepare(block, senders)
        with self._writing:
            return self._keep(self._run(prepared, self.head, self.head_hash))

    def commit(self, draft: Draft, *, certificate: bytes, attachment: bytes) -> SealedBlock:
        """The draft is the head, durably, with what is to be kept beside it.

        Of the drafts of a head, the last one is still in the executor; another one is run again.
        Raises: InvalidBlock when it does not follow the head (any more); StorageFailed.
        """
        with self._writing:
            if self._drafted is not None and self._drafted[0] is draft:
                self._refuse_if_failed()
                pending = self._drafted[1]
            else:
                batch = TransactionBatch.decode(draft.block.transactions)
                batch.recover(senders=draft.senders)
                pending = self._run(Prepared(draft.block, batch), self.head, self.head_hash)
            self._drafted = None
            self._commit(pending.sealed, self._stage(pending, Seal(certificate, attachment)))
        return pending.sealed

    def _keep(self, pending: Pending) -> Draft:
        columns = transaction_columns(pending.batch)
        if len(pending.batch) > len(pending.sealed.block.transactions):
            columns = columns[outcome_columns(pending.result.native)["included"] != 0]
        joined = columns["sender"].tobytes()
        senders = tuple(Address(joined[start : start + 20]) for start in range(0, len(joined), 20))
        draft = Draft(pending.sealed, senders)
        self._drafted = draft, pending
        return draft

    # ---- both ----

    def _prepare(self, block: Block | bytes, senders: KnownSenders | None = None) -> Prepared:
        """Outside the writer's lock: what follows the head now is looked at again inside."""
        published = self._published
        preparer = Preparer(self.config, published.header, published.hash, senders=senders)
        return preparer.prepare(block)

    def _land(self, flight: tuple[SealedBlock, Future[None]] | None) -> SealedBlock | None:
        """Waits until the block is written, and publishes it."""
        if flight is None:
            return None
        sealed, written = flight
        self._commit(sealed, written.result)
        return sealed

    def _commit(self, sealed: SealedBlock, write: Callable[[], None]) -> None:
        """The staged block is durable and what readers see.

        Raises: StorageFailed; memory is then ahead of the disk, so nothing is written any more.
        """
        try:
            write()
        except BaseException:
            self._failed = True
            raise
        with self._committing:
            self._writer.settle()
            self._published = Published(
                sealed.block.header, sealed.hash, self._storage.database.snapshot()
            )
        self._proofs.forget_old(sealed.block.header.number)
        for listener in tuple(self._listeners):
            listener(sealed.block.header)

    def _refuse_if_failed(self) -> None:
        if self._failed:
            raise StorageFailed("a block could not be written before; restart to recover")

    def _build(self, batch: TransactionBatch, proposal: Proposal) -> Pending:
        self._forget_draft()
        return self._writer.build_block(batch, proposal, self.head, self.head_hash)

    def _run(self, prepared: Prepared, parent: Header, parent_hash: Hash32) -> Pending:
        self._forget_draft()
        return self._writer.import_block(prepared, parent, parent_hash)

    def _forget_draft(self) -> None:
        """Executor and trie are free for the next run."""
        self._refuse_if_failed()
        if self._drafted is not None:
            self._drafted = None
            self._writer.discard()

    def _stage(self, pending: Pending, seal: Seal | None = None) -> Callable[[], None]:
        try:
            return self._writer.stage(pending, seal)
        except BaseException:
            self._writer.discard()
            raise

    # ---- for operators ----

    def memory(self) -> dict[str, int]:
        """Bytes held by what."""
        return self._writer.memory()

    @property
    def storage(self) -> OpenedStorage:
        """What lies beneath, for maintenance."""
        return self._storage


def _prefetch(
    blocks: Iterable[tuple[Block | bytes, Seal | None]],
    submit: Callable[[Block | bytes], Future[Prepared]],
) -> Iterator[tuple[Future[Prepared], Seal | None]]:
    """The blocks being prepared, a few ahead of the one that is asked for."""
    ahead: deque[tuple[Future[Prepared], Seal | None]] = deque()
    try:
        for block, seal in blocks:
            ahead.append((submit(block), seal))
            if len(ahead) > PREPARED_AHEAD:
                yield ahead.popleft()
    except Exception:
        # The source ends badly, and what it gave before is whole.
        yield from ahead
        raise
    yield from ahead
