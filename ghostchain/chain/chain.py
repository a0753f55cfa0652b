"""A chain on disk: its head, its past, and the two ways to a next block.

One thread writes (`build_block`, `import_blocks`; where many decide, `draft`, `check`, `commit`);
any number read: one immutable object, replaced after each commit, the head's header and a snapshot
of the database at it. So no answer mixes blocks, and nobody waits (but for proofs, for a commit).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ghostchain.chain import index
from ghostchain.chain.amendments import (
    NO_AMENDMENTS,
    Amendments,
    check_amendments,
    decode_amendments,
    merge_amendments,
    put_pending,
    refuse_too_many,
)
from ghostchain.chain.columns import Included, own_batch
from ghostchain.chain.config import ChainConfig
from ghostchain.chain.environments import (
    child_block_fees,
    child_environment,
    environment_of,
    fees_in,
)
from ghostchain.chain.fees import BlockFees
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.growing import Growth, Propose, grow
from ghostchain.chain.importing import Steps, overlapped
from ghostchain.chain.listeners import Listeners
from ghostchain.chain.logs import LocatedLog, LogChoice, LogsBound, ShownLogs, Topics
from ghostchain.chain.opening import STATE_CACHE_BYTES, OpenedStorage, Unacknowledged, open_storage
from ghostchain.chain.preparing import KnownSenders, Prepared, Preparer
from ghostchain.chain.proving import Prover
from ghostchain.chain.published import Published, first_published
from ghostchain.chain.records import BodyRecord, ReceiptsRecord
from ghostchain.chain.replaying import Replay, replay_of
from ghostchain.chain.rewinding import Destination, Progress, no_progress, read_destination
from ghostchain.chain.writer import (
    BlockWriter,
    Draft,
    Pending,
    Proposal,
    Seal,
    SealedBlock,
    check_by_hand,
)
from ghostchain.encoding.attachments import decode_attachment
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import (
    InvalidEncoding,
    StateUnavailable,
    StorageFailed,
)
from ghostchain.primitives.header import Header
from ghostchain.primitives.leniency import Leniency
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.types import ZERO_HASH, Address, Hash32
from ghostchain.state.proofs import AccountProof, ProofService, TrieBase
from ghostchain.state.ranges import StateRanges
from ghostchain.state.remote import RemoteView
from ghostchain.state.views import AmendedView, PendingState, View
from ghostchain.storage.database import Snapshot
from ghostchain.trie.merkle import ChangeSet

__all__ = ["BlockFees", "Chain", "Draft", "Replay", "SealedBlock"]


class Chain:
    """The blocks and states of one chain. Open with `Chain.open`."""

    def __init__(self, genesis: Genesis, storage: OpenedStorage) -> None:
        self.genesis = genesis
        self._storage = storage
        self.config = index.read_config(storage.database, genesis.config)
        # Held through a whole build or import.
        self._writing = threading.Lock()
        # Held while what is settled and what is published move to the next block.
        self._committing = threading.Lock()
        self._published = first_published(storage)
        self._begin = index.read_begin(self._published.snapshot)
        self._writer = BlockWriter(self.config, storage)
        self._proofs = ProofService(self._trie_base)
        self._prover = Prover(self._proofs, lambda: self._published)
        self._listeners = Listeners()
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
        remote: RemoteView | None = None,
        cache_bytes: int = STATE_CACHE_BYTES,
    ) -> Chain:
        """The chain in data_dir, created from genesis when the directory is free, recovered when
        the last process was killed.

        prune: keep the state of that many blocks behind the head; None keeps all.
        is_durable: False only for a directory that goes with this process; a commit then does not
        wait for the disk.
        on_step: told of each step that reaches the disk (tests cut there).
        remote: of a fork (`fork.py`), the state of the chain that it was forked from.
        cache_bytes: as in OpenedStorage.
        Raises: StorageError.
        """
        storage = open_storage(
            data_dir,
            genesis,
            prune=prune,
            is_durable=is_durable,
            on_step=on_step,
            remote=remote,
            cache_bytes=cache_bytes,
        )
        try:
            chain = cls(genesis, storage)
            # Blocks whose records were written but whose batch was not: decided, so run again.
            for found in storage.unacknowledged:
                chain._run_again(found)
            chain._resume_rewind()
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

    def begin_again(self, genesis: Genesis, reopen: Callable[[], OpenedStorage]) -> None:
        """Another chain from here on, with the same listeners: what reopen opens once the directory
        is free. For development chains. Raises: as reopen does, and is closed then."""
        with self._writing:
            self._closed = True
            self._storage.close()
            storage, listeners = reopen(), self._listeners
            Chain.__init__(self, genesis, storage)
            self._listeners = listeners
        listeners.on_rewind(self.head)

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

    def subscribe(
        self,
        listener: Callable[[Header], None],
        *,
        every: int | None = None,
        on_rewind: Callable[[Header], None] | None = None,
        on_amend: Callable[[], None] | None = None,
    ) -> Callable[[], None]:
        """Calls listener with each new block, on the writer's thread, after it is durable and
        readable: one after the other, though of those that are imported several may become visible
        at once. It must not raise and must return soon. Returns what ends the subscription.
        every: at multiples of so many blocks the chain stands at the block while it is called.

        Of a development chain also: on_rewind with the head to which blocks were taken back,
        on_amend after the head's state was changed by hand.
        """
        return self._listeners.add(listener, on_rewind, on_amend, every)

    # ---- reading blocks ----

    def header(self, key: int | bytes) -> Header | None:
        """The header of a block by number or hash; None when it is not of this chain."""
        number = self.number_of(key) if isinstance(key, bytes) else key
        found = None if number is None else self._published.entry(number)
        return None if found is None else found[1]

    def hash_of(self, number: int) -> Hash32 | None:
        found = self._published.entry(number)
        return None if found is None else found[0]

    def number_of(self, block_hash: bytes) -> int | None:
        return index.read_number(self._published.snapshot, block_hash)

    def block(self, key: int | bytes) -> Block | None:
        """A block by number or hash; None when it is not of this chain."""
        number = self.number_of(key) if isinstance(key, bytes) else key
        if number is None:
            return None
        if number == 0 and self.genesis.header.number == 0:
            return Block(self.genesis.header)
        record = self.body(number)
        return None if record is None else record.block()

    def body(self, number: int) -> BodyRecord | None:
        """The body of a block after genesis: transactions and senders one by one."""
        return self._published.body(number)

    def receipts_record(self, number: int) -> ReceiptsRecord | None:
        """The receipts of a block after genesis: one by one, and their columns."""
        return self._published.receipts_record(number)

    def fresh(self, number: int) -> Included | None:
        """The transactions of a block that listeners are just being told of."""
        return self._writer.fresh(number)

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
        """The matching logs of blocks first..last, in order. Nothing listed matches anything."""
        return self._published.logs(self._storage.blooms, first, last, addresses, topics)

    def shown_logs(self, span: range, choice: LogChoice, bound: LogsBound) -> Iterator[ShownLogs]:
        """The chosen logs of a span of blocks as JSON, some at a time, up to the block with which
        the bound is exceeded, if it is: the last of them is that block's then."""
        return self._published.shown_logs(self._storage, span, choice, bound)

    def kept_logs(self, span: range, choice: LogChoice, bound: LogsBound) -> bytes | None:
        """The same, all of it as a JSON array, where memory has it and a millisecond is enough,
        else None."""
        return self._published.kept_logs(span, choice, bound)

    # ---- reading state ----

    def state_at(self, number: int) -> View:
        """The state after block `number`, unmoved by later blocks. On a development chain it has
        what was changed by hand while the block was the head.

        Raises: StateUnavailable.
        """
        published = self._published
        view, changed = published.settled_state(number), published.changed_by_hand(number)
        return view if changed is None else AmendedView(view, changed)

    def start_of_child(self, number: int) -> tuple[View, Amendments]:
        """The state that the block's state root is of, and what its child begins with.

        Raises: StateUnavailable.
        """
        published = self._published
        view, changed = published.settled_state(number), published.changed_by_hand(number)
        return view, NO_AMENDMENTS if changed is None else changed.amendments

    @property
    def oldest_state(self) -> int:
        """The lowest block whose state can be read."""
        return self._storage.state.oldest_readable

    def prove(self, address: Address, slots: Sequence[Hash32], number: int) -> AccountProof:
        """Merkle proofs of an account and some of its slots after block `number` (EIP-1186).

        Raises: StateUnavailable for more than 128 blocks behind the head, and on a fork.
        """
        return self._prover.prove(address, slots, number)

    def root_after(self, number: int, changes: ChangeSet) -> Hash32:
        """The state root of block `number` with changes made to it, which leave no trace; of a
        fork, what stands for it.

        Raises: StateUnavailable for more than 128 blocks behind the head.
        """
        return self._prover.root_after(number, changes)

    def ranges_at(self, number: int) -> StateRanges:
        """Accounts and slots after block `number` in the order of their hashes. Raises:
        StateUnavailable, on a fork too."""
        return self._published.ranges(number)

    def _trie_base(self) -> TrieBase:
        with self._committing:
            published = self._published
            return TrieBase(
                published.header.number,
                published.root_of(published.header),
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
        published = self._published
        return child_environment(self.config, published.header, published.hash, timestamp)

    def next_fees(self) -> BlockFees:
        """The fees of the block after the head."""
        return child_block_fees(self.config, self.head)

    def fees_of(self, header: Header) -> BlockFees:
        """The fees of the block with this header."""
        return self.fees_in(self.environment_for(header))

    def fees_in(self, environment: BlockEnvironment) -> BlockFees:
        """The fees of the block with this environment."""
        return fees_in(self.config, environment)

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
        base_fee: int | None = None,
        excess_blob_gas: int | None = None,
        is_free: bool = False,
        waits: bool = True,
    ) -> SealedBlock:
        """The next block holds what is valid and fits of the batch (recovered), in its order, and
        is committed. gas_limit: where the limit moves to.

        On a development chain the block begins with the pending amendments, and may be made by
        hand: base_fee (wei per gas) and excess_blob_gas as given instead of what the parent
        demands; with is_free any timestamp, the parent's and earlier ones too, and gas_limit in
        one step. A block by hand cannot be exported.
        Raises: InvalidBlock when no block can be made so; StorageFailed; ValueError for what only a
        development chain allows, or values out of range; RemoteError, or RemoteNeeded (not waits).
        """
        proposal = Proposal(
            timestamp=timestamp,
            coinbase=coinbase,
            prev_randao=prev_randao,
            extra_data=extra_data,
            withdrawals=tuple(withdrawals),
            parent_beacon_block_root=parent_beacon_block_root,
            gas_limit=gas_limit,
            base_fee=base_fee,
            excess_blob_gas=excess_blob_gas,
            is_free=is_free,
            waits=waits,
        )
        if proposal.is_by_hand:
            self._refuse_by_hand()
            check_by_hand(proposal)
        with self._writing:
            changes = self._published.amendments_of_child()
            if changes:
                proposal = replace(proposal, amendments=changes)
            pending = self._build(batch, proposal)
            self._stage(pending)
            self._commit_own((pending.sealed,))
        return pending.sealed

    def build_empty(self, count: int, propose: Propose) -> Sequence[SealedBlock]:
        """So many blocks without transactions, of no fork, are committed: some of them at a time,
        which wait for the disk together. Raises: as `build_block`."""
        self._refuse_by_hand()
        with self._writing:
            self._forget_draft()
            steps = Growth(self._writer.build_block, self._stage, self._is_due, self._commit_own)
            return grow(count, propose, steps, self._published)

    # ---- by hand, on a development chain ----

    @property
    def pending_amendments(self) -> Amendments:
        """What the head's state has been changed to by hand, and the next block begins with."""
        pending = self._published.pending
        return NO_AMENDMENTS if pending is None else pending.amendments

    def amend(self, amendments: Amendments) -> None:
        """The head's state is changed so, durably: readers see it now, the next block begins with
        it. Cost: one synchronous batch of these amendments, and a copy of the pending ones' names.

        Raises: ValueError on a chain with consensus, or for what no account can have;
        StorageFailed.
        """
        self._refuse_by_hand()
        with self._writing:
            self._refuse_if_failed()
            before = self.pending_amendments
            merged = merge_amendments(before, amendments)
            check_amendments(amendments)
            refuse_too_many(merged)
            batch = self._storage.database.batch()
            put_pending(batch, before, amendments)
            self._storage.database.commit(batch)
            state = self._published.pending or PendingState({})
            with self._committing:
                self._published = replace(
                    self._published, pending=state.with_more(merged, amendments)
                )
        self._listeners.on_amend()

    def is_by_hand(self, number: int) -> bool:
        """Whether a block could not be imported elsewhere: made with changed accounts, unsigned
        transactions, or a header that does not follow its parent's."""
        return index.read_by_hand(self._published.snapshot, number) is not None

    def amendments_of(self, number: int) -> Amendments | None:
        """What a block that was made by hand began with; None for all other blocks."""
        locator = index.read_by_hand(self._published.snapshot, number)
        return None if locator is None else decode_amendments(self._storage.files.read(locator))

    def replay(self, number: int, count: int | None = None) -> Replay:
        """What running a block after genesis once more takes; with its first `count` transactions
        alone where that is given.

        Raises: StateUnavailable when the block, or the state before it, is not kept.
        """
        amendments = self.amendments_of(number) or NO_AMENDMENTS
        return replay_of(self._published, self.config, number, count, amendments)

    def body_bytes(self, number: int) -> int | None:
        """How long the record of a block's body is; None where there is none."""
        known = self._published.known(number)
        return None if known is None or known.entry.body is None else known.entry.body.length

    @property
    def oldest_rewind(self) -> int:
        """The lowest block that `rewind` can make the head."""
        return max(self.begin, self.oldest_state, self._storage.state.oldest_undo - 1)

    def rewind(
        self,
        number: int,
        *,
        amendments: Amendments = NO_AMENDMENTS,
        progress: Progress = no_progress,
    ) -> None:
        """Block `number` is the head again, durably, and these amendments are what is pending; the
        blocks after it never were. A kill at any moment leaves the head where it was or, once the
        directory is opened again, where it was to go.

        progress: told of a long way (`chain/rewinding.py`). Readers go on with the old head until
        the end, but for proofs, which wait. Cost: what the blocks changed, as of that module.
        Raises: StateUnavailable for a block that is not behind the head, or below `oldest_rewind`;
        ValueError on a chain with consensus; StorageError, after which nothing is written any more.
        """
        self._refuse_by_hand()
        check_amendments(amendments)
        refuse_too_many(amendments)
        with self._writing:
            head = self.head.number
            if not self.oldest_rewind <= number <= head:
                raise StateUnavailable(
                    f"block {number} cannot be the head again: blocks {self.oldest_rewind} to "
                    f"{head} can"
                )
            self._rewind(Destination(number, amendments), progress)

    def _rewind(self, to: Destination, progress: Progress = no_progress) -> None:
        self._forget_draft()
        with self._committing:
            with self._fatal():
                arrived = self._writer.rewind(self.head.number, to, progress)
            left = self._published
            self._published = Published(
                arrived.header,
                arrived.hash,
                self._storage.database.snapshot(),
                self._storage.files,
                PendingState(to.amendments) if to.amendments else None,
                remote=self._storage.remote,
            )
            left.kept.leave(is_cut=arrived.cut is not None)
            if arrived.cut is not None:
                with self._fatal():
                    self._writer.cut(arrived.cut)
        self._proofs.forget_all()
        self._listeners.on_rewind(arrived.header)

    @contextlib.contextmanager
    def _fatal(self) -> Iterator[None]:
        """Nothing is written any more after what fails in here."""
        try:
            yield
        except BaseException:
            self._failed = True
            raise

    def _resume_rewind(self) -> None:
        """A rewind that a kill ended goes on."""
        to = read_destination(self._storage.database)
        if to is not None:
            with self._writing:
                self._rewind(to)

    def _run_again(self, found: Unacknowledged) -> None:
        """A block of this node's own records is the head. Only what was made by hand is believed to
        follow its parent; what it yields is compared with its header in any case."""
        if found.by_hand is None:
            self.import_block(found.body.block())
            return
        by_hand = decode_amendments(found.by_hand)
        prepared = Prepared(found.body.block(), own_batch(found.body), by_hand)
        with self._writing:
            pending = self._run(prepared, self.head, self.head_hash)
            self._stage(pending)
            self._commit_own((pending.sealed,))

    @property
    def chain_id(self) -> int:
        """Of the block after the head."""
        return self.config.chain_id_at(self.head.number + 1)

    def set_chain_id(self, chain_id: int) -> None:
        """Blocks after the head have this chain id, durably; those up to it keep theirs.

        Raises: ValueError on a chain with consensus, or for none of 1 to 2^64 - 1; StorageFailed.
        """
        self._refuse_by_hand()
        with self._writing:
            self._configure(self.config.with_chain_id(self.head.number + 1, chain_id))

    def relax(self, leniency: Leniency) -> None:
        """This is let pass from here on, durably. Raises: as `set_chain_id`."""
        self._refuse_by_hand()
        with self._writing:
            self._configure(replace(self.config, leniency=leniency))

    def _configure(self, config: ChainConfig) -> None:
        self._refuse_if_failed()
        batch = self._storage.database.batch()
        index.put_config(batch, config)
        self._storage.database.commit(batch)
        self.config = self._writer.config = config

    def _refuse_by_hand(self) -> None:
        if self.config.consensus is not None:
            raise ValueError("only a development chain, without consensus, is changed by hand")

    def import_block(self, block: Block | bytes) -> SealedBlock:
        """The block is checked in full, run, and committed as the next one.

        Raises: InvalidBlock with the reason, nothing changed; StorageFailed.
        """
        prepared = self._prepare(block)
        with self._writing:
            pending = self._run(prepared, self.head, self.head_hash)
            self._stage(pending)
            self._commit((pending.sealed,), self._seal())
        return pending.sealed

    def import_blocks(self, blocks: Iterable[Block | bytes]) -> Iterator[SealedBlock]:
        """Imports a stream: while one block runs, the next are decoded and recovered and those
        before are written, several at once.

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
        steps = Steps(
            self._run, self._stage, self._is_due, self._seal, self._commit, lambda: self._failed
        )
        with self._writing:
            preparer = Preparer(self.config, self.head, self.head_hash)
            yield from overlapped(blocks, preparer, steps, self.head, self.head_hash)

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
            self._stage(pending, Seal(certificate, attachment))
            self._commit((pending.sealed,), self._seal())
        return pending.sealed

    def _keep(self, pending: Pending) -> Draft:
        draft = pending.draft()
        self._drafted = draft, pending
        return draft

    # ---- both ----

    def _prepare(self, block: Block | bytes, senders: KnownSenders | None = None) -> Prepared:
        """Outside the writer's lock: what follows the head now is looked at again inside."""
        published = self._published
        preparer = Preparer(self.config, published.header, published.hash, senders=senders)
        return preparer.prepare(block)

    def _commit(
        self,
        blocks: Sequence[SealedBlock],
        write: Callable[[], None],
        *,
        takes_pending: bool = False,
    ) -> None:
        """The sealed blocks are durable and what readers see. takes_pending: they began with what
        was pending; what others made leaves it pending.

        Raises: StorageFailed; memory is then ahead of the disk, so nothing is written any more.
        """
        last = blocks[-1]
        with self._fatal():
            write()
        with self._committing:
            self._writer.settle()
            self._published = Published(
                last.block.header,
                last.hash,
                self._storage.database.snapshot(),
                self._storage.files,
                None if takes_pending else self._published.pending,
                self._published.kept,
                remote=self._storage.remote,
            )
        self._writer.show(self._published.kept.logs)
        self._proofs.forget_old(last.block.header.number)
        for sealed in blocks:
            self._listeners.on_head(sealed.block.header)
        self._writer.forget_fresh()

    def _commit_own(self, blocks: Sequence[SealedBlock]) -> None:
        self._commit(blocks, self._seal(), takes_pending=True)

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

    def _stage(self, pending: Pending, seal: Seal | None = None) -> None:
        try:
            self._writer.stage(pending, seal)
        except BaseException:
            self._writer.discard()
            raise

    def _is_due(self, number: int) -> bool:
        """Whether what is staged up to that height is to be written."""
        return self._writer.is_full or self._listeners.is_awaited(number)

    def _seal(self) -> Callable[[], None]:
        """What is staged is to be written: executor and trie cannot go back any more."""
        with self._fatal():
            return self._writer.seal()

    # ---- for operators ----

    def memory(self) -> dict[str, int]:
        """Bytes held by what."""
        return self._writer.memory()

    @property
    def storage(self) -> OpenedStorage:
        """What lies beneath, for maintenance."""
        return self._storage
