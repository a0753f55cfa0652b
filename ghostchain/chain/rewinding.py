"""Blocks of a development chain taken back: an earlier block is the head again.

Batch by batch, newest blocks first, each batch leaving a whole chain with a lower head: state,
trie, history, headers and indices of the blocks it takes back. Where one batch does not reach the
target, the first one also notes where the way ends and what is pending there; whoever opens the
directory after a kill goes the rest of it. The records in the block files stay, before what is
written next: nobody names them any more, and who still reads them may. Only where they are many
are they cut off, after the last batch has said that they are to be.

Cost: of each block taken back its changes and its body; nothing that grows with the chain. Memory
is bounded by one batch, or by the changes of one block where those are more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ghostchain.chain import index
from ghostchain.chain.amendments import (
    Amendments,
    decode_amendments,
    delete_pending,
    encode_amendments,
    put_pending,
    read_pending,
)
from ghostchain.chain.journal import RecordJournal
from ghostchain.chain.records import BodyRecord
from ghostchain.crypto.keccak import keccak256_batch
from ghostchain.encoding.blocks import decode_early_header
from ghostchain.primitives.amendment import NO_AMENDMENTS
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32
from ghostchain.state.keys import number_bytes
from ghostchain.state.remote import ChangeLedger
from ghostchain.state.rewinding import stage_rewind
from ghostchain.state.store import StateStore
from ghostchain.state.undo import Undo
from ghostchain.storage.database import Batch, Database, Reader
from ghostchain.storage.files import FIRST, Position, SegmentLog
from ghostchain.trie.merkle import Forest

REWIND = b"mrewind"
CUT = b"mcut"
# What one batch takes back at most, but always a block.
BATCH_BLOCKS_MAX = 256
BATCH_KEYS_MAX = 20_000
# Transactions are hashed together, about so many bytes of them.
HASHED_BYTES_MAX = 1 << 20
# Fewer bytes of the block files are not worth two waits for the disk.
CUT_BYTES_MIN = 16 << 20

Progress = Callable[[int, int], None]
"""Told after each batch: how many blocks are taken back, and of how many."""


def no_progress(done: int, total: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a rewind ends, and what is pending there."""

    number: int
    amendments: Amendments


@dataclass(frozen=True, slots=True)
class Arrived:
    """The head after a rewind. cut: where the block files are to end, when they are to be cut."""

    header: Header
    hash: Hash32
    cut: Position | None = None


def read_destination(reader: Reader) -> Destination | None:
    """Where a rewind was going that a kill ended."""
    stored = reader.get(REWIND)
    if stored is None:
        return None
    return Destination(int.from_bytes(stored[:8], "big"), decode_amendments(stored[8:]))


def finish_cut(database: Database, files: SegmentLog, end: Position) -> None:
    """The block files end there, durably, as a batch has said."""
    files.cut(end)
    batch = database.batch()
    batch.delete(CUT)
    database.commit(batch)


def forget_places(batch: Batch, raws: list[bytes]) -> None:
    """Where these transactions were."""
    for transaction_hash in keccak256_batch(raws) if raws else ():
        batch.delete(index.TRANSACTION + transaction_hash)


class Rewinder:
    """Takes blocks back. For the one thread that writes, with nothing pending or staged."""

    def __init__(
        self,
        database: Database,
        files: SegmentLog,
        journal: RecordJournal,
        state: StateStore,
        forest: Forest | ChangeLedger,
    ) -> None:
        self._database = database
        self._files = files
        self._journal = journal
        self._state = state
        self._forest = forest

    def rewind(self, head: int, to: Destination, progress: Progress = no_progress) -> Arrived:
        """Block `to.number`, which is not above the head, is the head, durably.

        Raises: StorageError; how far it came is then seen when the directory is opened again.
        """
        total = head - to.number
        is_first = True
        while True:
            batch = self._database.batch()
            taken = list(self._next_undos(head, to.number))
            reached = head - len(taken)
            if taken:
                self._take_back(batch, taken)
            is_last = reached == to.number
            cut = self._cut(batch, reached) if is_last and taken else None
            if is_last:
                self._arrive(batch, to)
            elif is_first:
                batch.put(REWIND, number_bytes(to.number) + encode_amendments(to.amendments))
            arrived = self._put_head(batch, reached, cut)
            self._database.commit(batch)
            if taken:
                self._forest.commit()
                self._forest.saved()
                self._state.settle()
            is_first, head = False, reached
            progress(total - (reached - to.number), total)
            if is_last:
                return arrived

    def _next_undos(self, head: int, target: int) -> Iterator[tuple[int, Undo]]:
        """The undo records of the next blocks to be taken back, as many as make a batch."""
        key_count = 0
        for number in range(head, max(target, head - BATCH_BLOCKS_MAX), -1):
            undo = self._state.undo(number)
            key_count += len(undo.accounts) + len(undo.slots)
            if number < head and key_count > BATCH_KEYS_MAX:
                return
            yield number, undo

    def _take_back(self, batch: Batch, taken: list[tuple[int, Undo]]) -> None:
        target = taken[-1][0] - 1
        root = index.read_root(self._database, self._header(target).header)
        stage_rewind(self._state, self._forest, batch, taken, root)
        self._forget_blocks(batch, target + 1, taken[0][0])

    def _forget_blocks(self, batch: Batch, first: int, last: int) -> None:
        """Their headers, the places of their transactions, and what is kept beside them."""
        start, stop = number_bytes(first), number_bytes(last + 1)
        beside = [
            room
            for room in (index.ATTACHMENT, index.BY_HAND, index.STATE_ROOT)
            if self._database.first(room + start, room + stop) is not None
        ]
        has_names = self._database.first(index.NAMES + start, index.NAMES + stop) is not None
        expected, raws, raw_bytes = first, list[bytes](), 0
        for number, entry in index.read_entries(self._database, first, last):
            if number != expected or entry.body is None:
                break
            expected += 1
            body = BodyRecord.parse(self._files.read(entry.body))
            raws += body.raws() if len(body) else ()
            raw_bytes += len(body.data)
            if raw_bytes > HASHED_BYTES_MAX:
                forget_places(batch, raws)
                raws, raw_bytes = [], 0
            if has_names:
                index.forget_names(batch, self._database, number)
            batch.delete(index.BLOCK + entry.hash)
            for room in (index.HEADER, *beside):
                batch.delete(room + number_bytes(number))
        if expected != last + 1:
            raise StorageCorrupt(f"block {expected} is missing")
        forget_places(batch, raws)

    def _header(self, number: int) -> Arrived:
        entry = index.read_entry(self._database, number)
        if entry is None:
            raise StorageCorrupt(f"the header of block {number} is missing")
        return Arrived(decode_early_header(entry.header), entry.hash)

    def _cut(self, batch: Batch, number: int) -> Position | None:
        """Where the files are to be cut, which the batch then says."""
        entry = index.read_entry(self._database, number)
        last = None if entry is None else entry.receipts
        end = FIRST if last is None else last.end
        if self._files.bytes_after(end) < CUT_BYTES_MIN:
            return None
        batch.put(CUT, b"")
        return end

    def _put_head(self, batch: Batch, number: int, cut: Position | None) -> Arrived:
        arrived = replace(self._header(number), cut=cut)
        index.put_head(batch, number, arrived.hash, cut or self._files.end)
        stored = self._database.get(index.BLOOMS)
        if stored is not None and int.from_bytes(stored, "big") > number:
            batch.put(index.BLOOMS, number_bytes(number))
        return arrived

    def _arrive(self, batch: Any, to: Destination) -> None:
        # Copies of records must not come back behind the new head, and where the files end, which
        # the head names, must be on disk.
        self._journal.release(batch)
        delete_pending(batch, read_pending(self._database))
        put_pending(batch, NO_AMENDMENTS, to.amendments)
        batch.delete(REWIND)
