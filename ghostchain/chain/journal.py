"""The records of blocks, made durable by the batch that names them.

A block's records must be on disk before its batch says so. Syncing the files and then the database
costs two waits for the disk, which for a small block is nearly all the time it takes. So a small
block's records also travel inside the batch; the files are synced only now and then, after which
the copies are dropped. On opening, the copies that are still there are written into the files
again. Blocks that are imported together have one batch, and the files are synced before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ghostchain.chain.index import JOURNAL
from ghostchain.chain.records import COUNT, GROUP
from ghostchain.state.keys import number_bytes
from ghostchain.storage.database import Batch, Database, after
from ghostchain.storage.files import POSITION, Locator, Position, SegmentLog

# A larger block has its records synced at once: writing them twice would cost more than waiting.
BLOCK_BYTES_MAX = 64 << 10
COPIES_BYTES_MAX = 4 << 20
COPIES_MAX = 256

Record = tuple[int, Sequence[bytes]]


class RecordJournal:
    """Appends records to the block files, and keeps them safe until those are synced."""

    def __init__(self, files: SegmentLog) -> None:
        self._files = files
        self._numbers: list[int] = []
        self._bytes = 0

    def append_group(
        self, batch: Batch, blocks: Sequence[tuple[int, Sequence[Record]]]
    ) -> list[list[Locator]]:
        """The records of these blocks (by number) are durable once the batch is.

        Several blocks share one wait for the files, so their records travel in no batch.
        Raises: StorageFailed.
        """
        if len(blocks) == 1:
            number, records = blocks[0]
            return [self.append(batch, number, records)]
        self._files.append([(GROUP, [COUNT.pack(len(blocks))])])
        locators = [self._files.append(records) for _, records in blocks]
        self.release(batch)
        return locators

    def append(self, batch: Batch, number: int, records: Sequence[Record]) -> list[Locator]:
        """The block's records are durable once the batch is.

        Raises: StorageFailed.
        """
        start = self._files.end
        locators = self._files.append(records)
        if not self._files.is_durable:
            return locators  # which nobody waits for: a copy would be no safer
        end = self._files.end
        size = end.offset - start.offset
        if (
            start.segment == end.segment
            and size <= BLOCK_BYTES_MAX
            and self._bytes + size <= COPIES_BYTES_MAX
            and len(self._numbers) < COPIES_MAX
        ):
            batch.put(
                JOURNAL + number_bytes(number), start.encode() + self._files.bytes_from(start)
            )
            self._numbers.append(number)
            self._bytes += size
        else:
            self.release(batch)
        return locators

    def release(self, batch: Batch) -> bool:
        """The files are synced, and the batch drops the copies. Returns whether there were any.

        Raises: StorageFailed.
        """
        self._files.sync()
        for number in self._numbers:
            batch.delete(JOURNAL + number_bytes(number))
        had_copies = bool(self._numbers)
        self._numbers = []
        self._bytes = 0
        return had_copies


def restore_records(database: Database, files: SegmentLog) -> None:
    """The block files hold, and have synced, all that the database names.

    Raises: StorageFailed.
    """
    batch = database.batch()
    last = None
    with database.items(JOURNAL, after(JOURNAL)) as items:
        for key, value in items:
            last = Position.decode(value[: POSITION.size])
            files.restore(last, value[POSITION.size :])
            batch.delete(key)
    if last is not None:
        files.sync_segment(last.segment)
        database.commit(batch)
