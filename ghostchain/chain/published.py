"""What readers of a chain see: one immutable object, replaced after each commit."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from ghostchain.chain import index
from ghostchain.chain.amendments import (
    AMENDMENT_BYTES_MAX,
    NO_AMENDMENTS,
    AccountAmendment,
    Amendments,
    decode_amendments,
    read_pending,
)
from ghostchain.chain.index import HeaderEntry
from ghostchain.chain.logs import (
    RECEIPTS_PAGED_BYTES_MAX,
    BloomFile,
    LocatedLog,
    ShownLogs,
    Topics,
    candidate_blocks,
    matches,
    matching_logs,
    transaction_hash,
)
from ghostchain.chain.opening import OpenedStorage
from ghostchain.chain.records import BodyRecord, ReceiptsRecord
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_early_header
from ghostchain.encoding.logs import (
    LogChoice,
    LogFiles,
    LogsBound,
    LogSearch,
    LogStore,
    log_page,
)
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import StateUnavailable, StorageCorrupt
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state.ranges import StateRanges
from ghostchain.state.remote import ForkedView, RemoteView
from ghostchain.state.store import stored_undo
from ghostchain.state.views import HistoricalView, LatestView, PendingState, View
from ghostchain.storage.database import Snapshot
from ghostchain.storage.files import Locator, SegmentLog

Value = TypeVar("Value")

HEADERS_KEPT = 1024
# So many blocks back, records and pages are kept for readers; fewer where they are large.
RECORDS_KEPT = 4_096
PAGES_KEPT = 12_288
# Bytes of bodies kept for readers, and as many of receipts.
RECORD_BYTES_KEPT = 16 << 20
LOG_BYTES_KEPT = 32 << 20
# Columns of blooms of 256 blocks, 4 to 70 KB each: of 32,768 blocks.
BLOOM_SECTIONS_KEPT = 128
# Of these are read when a directory is opened: what clients ask for first, of 16,384 blocks.
BLOOM_SECTIONS_LEARNT = 64
# Of a search, about in microseconds: between two pieces, and on the event loop.
PIECE_WORK = 20_000
QUICK_WORK = 1_000
# What so many blocks began with by hand is kept for readers; fewer where it is much.
BY_HAND_KEPT = 64
# What a record takes beside its bytes: its columns and what they are made of.
RECORD_OVERHEAD_BYTES = 2_000
# Larger undo records may take longer to read than what a run asks of them.
UNDO_BYTES_MAX = 64 << 10


class Recent(Generic[Value]):
    """A bounded cache by block number for many threads; the oldest entries go first. What is in
    a block never changes, so nothing here is ever stale."""

    def __init__(self, *, count_max: int, size_max: int) -> None:
        """size_max: of all entries together, in the unit of `put`."""
        self._count_max = count_max
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
            if number not in self._entries and size <= self._size_max:
                self._put(number, value, size)

    def _put(self, number: int, value: Value, size: int) -> None:
        while self._size + size > self._size_max or len(self._entries) >= self._count_max:
            self._size -= self._entries.pop(next(iter(self._entries)))[1]
        self._entries[number] = value, size
        self._size += size


class KnownBlock:
    """What the index says of a block, its header decoded when it is first asked for."""

    __slots__ = ("_header", "entry")

    def __init__(self, entry: HeaderEntry) -> None:
        self.entry = entry
        self._header: Header | None = None

    @property
    def header(self) -> Header:
        """Threads: two that ask at once make the same header."""
        header = self._header
        if header is None:
            header = self._header = decode_early_header(self.entry.header)
        return header


class Kept:
    """Blocks that were read. All that is published between two rewinds shares one of these, so
    that whoever still reads what was taken back puts it where nobody else looks.

    is_cut: the records of what was taken back are no longer in the block files."""

    __slots__ = ("bodies", "by_hand", "headers", "is_cut", "logs", "receipts")

    def __init__(self) -> None:
        self.is_cut = False
        self.headers: Recent[KnownBlock] = Recent(count_max=HEADERS_KEPT, size_max=HEADERS_KEPT)
        self.bodies: Recent[BodyRecord] = Recent(count_max=RECORDS_KEPT, size_max=RECORD_BYTES_KEPT)
        self.receipts: Recent[ReceiptsRecord] = Recent(
            count_max=RECORDS_KEPT, size_max=RECORD_BYTES_KEPT
        )
        self.by_hand: Recent[PendingState] = Recent(
            count_max=BY_HAND_KEPT, size_max=AMENDMENT_BYTES_MAX
        )
        self.logs = LogStore(
            pages_max=PAGES_KEPT, page_bytes_max=LOG_BYTES_KEPT, sections_max=BLOOM_SECTIONS_KEPT
        )

    def leave(self, *, is_cut: bool) -> None:
        """Blocks were taken back."""
        self.logs.leave()
        self.is_cut = is_cut


@dataclass(frozen=True, slots=True)
class Published:
    """The head, the database as of it, and what waits for the next block of a development chain
    (None: nothing). What is asked here is answered of one chain, whatever is written meanwhile."""

    header: Header
    hash: Hash32
    snapshot: Snapshot
    files: SegmentLog
    pending: PendingState | None = None
    kept: Kept = field(default_factory=Kept)
    remote: RemoteView | None = None

    def block_hash(self, number: int) -> bytes | None:
        return index.read_hash(self.snapshot, number)

    def entry(self, number: int) -> tuple[Hash32, Header] | None:
        """Hash and header of a block; None for what is not known."""
        if not 0 <= number <= self.header.number:
            return None
        if number == self.header.number:
            return self.hash, self.header
        kept = self._known(number)
        return None if kept is None else (kept.entry.hash, kept.header)

    def known(self, number: int) -> KnownBlock | None:
        """A block after genesis as it is indexed; None for what is not known."""
        return self._known(number) if 0 < number <= self.header.number else None

    def _known(self, number: int) -> KnownBlock | None:
        kept = self.kept.headers.get(number)
        if kept is None:
            found = index.read_entry(self.snapshot, number)
            if found is None:
                return None
            kept = KnownBlock(found)
            self.kept.headers.put(number, kept)
        return kept

    def _entry(self, number: int) -> HeaderEntry | None:
        """What the index says of a block after genesis."""
        kept = self.kept.headers.get(number)
        if kept is not None:
            return kept.entry
        return index.read_entry(self.snapshot, number) if number > 0 else None

    def root_of(self, header: Header) -> Hash32:
        """The root of the state that is kept of a block."""
        return index.read_root(self.snapshot, header)

    def body(self, number: int) -> BodyRecord | None:
        kept = self.kept.bodies.get(number)
        if kept is not None:
            return kept
        entry = self._entry(number)
        if entry is None or entry.body is None:
            return None
        data = self._read(entry.body)
        if data is None:
            return None
        record = BodyRecord.parse(data)
        self.kept.bodies.put(number, record, len(record.data) + RECORD_OVERHEAD_BYTES)
        return record

    def receipts_record(self, number: int) -> ReceiptsRecord | None:
        kept = self.kept.receipts.get(number)
        if kept is not None:
            return kept
        entry = self._entry(number)
        if entry is None or entry.receipts is None:
            return None
        data = self._read(entry.receipts)
        if data is None:
            return None
        record = ReceiptsRecord.parse(data)
        self.kept.receipts.put(number, record, len(record.data) + RECORD_OVERHEAD_BYTES)
        return record

    def _read_two(self, first: Locator, second: Locator) -> tuple[bytes, bytes] | None:
        """As `_read`, of two records."""
        try:
            data = self.files.read_two(first, second)
        except StorageCorrupt:
            if self.kept.is_cut:
                return None
            raise
        return None if self.kept.is_cut else data

    def _read(self, locator: Locator) -> bytes | None:
        """A record; None once those of this past are cut off, and others perhaps in their place."""
        try:
            data = self.files.read(locator)
        except StorageCorrupt:
            if self.kept.is_cut:
                return None
            raise
        return None if self.kept.is_cut else data

    def settled_state(self, number: int) -> View:
        """The state that the block's state root is of. Raises: StateUnavailable."""
        if number == self.header.number:
            return self._over_remote(LatestView(self.snapshot, self.block_hash))
        if not 0 <= number < self.header.number:
            raise StateUnavailable(f"block {number} is not known")
        return self._over_remote(HistoricalView(self.snapshot, self.block_hash, number))

    def changed_by_hand(self, number: int) -> PendingState | None:
        """What the state after a block was changed to by hand while that block was the head: what
        waits for the next block, or what that began with; None: nothing. It is part of the block's
        state for whoever reads that, before and after the next block, as in anvil and Hardhat.
        Cost: of an older block one look into the index, and its record where it has one."""
        if number >= self.header.number:
            return self.pending
        child = number + 1
        changed = self.kept.by_hand.get(child)
        if changed is None:
            locator = index.read_by_hand(self.snapshot, child)
            data = None if locator is None else self._read(locator)
            if data is None:
                return None
            changed = PendingState(decode_amendments(data))
            self.kept.by_hand.put(child, changed, len(data))
        return changed if changed.amendments else None

    def state_before(self, number: int) -> tuple[View, bytes]:
        """The settled state before a block that is to run again, and what that changed of it, as
        `Executor.know` takes it; nothing on a fork, whose absent values are the other chain's, or
        where it is much. Raises: StateUnavailable."""
        if not 0 < number <= self.header.number:
            raise StateUnavailable(f"block {number} is not known")
        view = HistoricalView(self.snapshot, self.block_hash, number - 1)
        if self.remote is not None:
            return ForkedView(view, self.remote), b""
        return view, stored_undo(self.snapshot, number, UNDO_BYTES_MAX)

    def ranges(self, number: int) -> StateRanges:
        """The state after a block in the order of its hashes. Raises: StateUnavailable."""
        if self.remote is not None:
            raise StateUnavailable("a fork has not all of its state, so it cannot be listed")
        if not 0 <= number <= self.header.number:
            raise StateUnavailable(f"block {number} is not known")
        is_latest = number == self.header.number
        return StateRanges(self.snapshot, number, is_latest=is_latest)

    def amendments_of_child(self) -> Amendments:
        """What the next block begins with: what is pending. An account that is empty and whose
        slots all become zero has its storage cleared, so that it is gone (EIP-161): its slots'
        values alone do not tell the executor that there are no others. Of a fork, whose slots
        cannot be listed, such an account stays. Cost: of an empty account one page of as many
        slots as the amendment names."""
        if self.pending is None:
            return NO_AMENDMENTS
        if self.remote is not None:
            return self.pending.amendments
        return {
            address: replace(one, clear_storage=True) if self._empties(address, one) else one
            for address, one in self.pending.amendments.items()
        }

    def _empties(self, address: Address, one: AccountAmendment) -> bool:
        """Whether neither a field nor a slot of an account that has slots is left."""
        if self.pending is None or one.clear_storage or not one.slots:
            return False
        if any(map(any, one.slots.values())):
            return False
        owner = keccak256(address)
        before = LatestView(self.snapshot, self.block_hash).account(address, owner)
        after = self.pending.account(address, before)
        if before is None or after is None or not Account.decode(after).is_empty:
            return False
        zeroed = {keccak256(key) for key in one.slots}
        page = self.ranges(self.header.number).slots(owner, bytes(32), len(zeroed))
        return page.next is None and all(hashed in zeroed for hashed, _ in page.entries)

    def _over_remote(self, view: LatestView | HistoricalView) -> View:
        return view if self.remote is None else ForkedView(view, self.remote)

    def logs(
        self,
        blooms: BloomFile,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Topics,
    ) -> Iterator[LocatedLog]:
        """As `Chain.logs`."""
        last = min(last, self.header.number)
        choice = LogChoice(addresses, topics)
        for number in candidate_blocks(blooms, max(first, 0), last, choice):
            record = self.receipts_record(number)
            if record is None:
                continue
            for found in self.locate(number, record, addresses, topics):
                if matches(found.log, addresses, topics):
                    yield found

    def shown_logs(
        self, storage: OpenedStorage, span: range, choice: LogChoice, bound: LogsBound
    ) -> Iterator[ShownLogs]:
        """As `Chain.shown_logs`."""
        search = self._search(span, choice, bound, PIECE_WORK)
        with self.files.lent() as lend:
            files = LogFiles(
                storage.blooms.file,
                storage.places.file,
                lend,
                lambda number: self.page(number, choice),
            )
            is_much, count = False, 0
            while not (is_much or search.is_done):
                text, is_much = search.read(self.kept.logs, files)
                yield ShownLogs(search.next, search.count - count, text)
                count = search.count

    def kept_logs(self, span: range, choice: LogChoice, bound: LogsBound) -> bytes | None:
        """As `Chain.kept_logs`."""
        return self._search(span, choice, bound, QUICK_WORK).in_memory(self.kept.logs)

    def _search(self, span: range, choice: LogChoice, bound: LogsBound, work_max: int) -> LogSearch:
        return LogSearch(
            choice,
            range(max(span.start, 0), span.stop),
            self.header.number,
            bound,
            whole_max=RECEIPTS_PAGED_BYTES_MAX,
            work_max=work_max,
        )

    def page(self, number: int, choice: LogChoice) -> bytes:
        """The logs of a block, with all that are chosen among them."""
        if number == 0:
            self.kept.logs.put(0, b"")
            return b""
        entry = index.read_entry(self.snapshot, number)
        if entry is None or entry.body is None or entry.receipts is None:
            return b""
        records = self._read_two(entry.body, entry.receipts)
        if records is None:
            return b""
        body, receipts = records
        if len(receipts) > RECEIPTS_PAGED_BYTES_MAX:
            return log_page(number, entry.hash, entry.header, body, receipts, choice)
        page = log_page(number, entry.hash, entry.header, body, receipts)
        self.kept.logs.put(number, page)
        return page

    def locate(
        self,
        number: int,
        record: ReceiptsRecord,
        addresses: Collection[Address],
        topics: Topics,
    ) -> Iterator[LocatedLog]:
        """The matching logs of a block, decoded."""
        entry, body = self.entry(number), self.body(number)
        if body is None and self.kept.is_cut:
            return
        assert entry is not None, "a block with receipts has a header"
        assert body is not None, "a block with receipts has a body"
        for position, log_index, log in matching_logs(record, addresses, topics):
            yield LocatedLog(
                log=log,
                block_number=number,
                block_hash=entry[0],
                block_timestamp=entry[1].timestamp,
                transaction_hash=transaction_hash(body.raw(position)),
                transaction_index=position,
                log_index=log_index,
            )


def first_published(storage: OpenedStorage) -> Published:
    """What readers see of a directory that was just opened."""
    amendments = read_pending(storage.database)
    published = Published(
        storage.head,
        storage.head_hash,
        storage.database.snapshot(),
        storage.files,
        PendingState(amendments) if amendments else None,
        remote=storage.remote,
    )
    published.kept.logs.learn(storage.blooms.file, storage.head.number, BLOOM_SECTIONS_LEARNT)
    return published
