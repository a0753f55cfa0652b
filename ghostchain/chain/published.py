"""What readers of a chain see: one immutable object, replaced after each commit."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ghostchain.chain import index
from ghostchain.chain.records import BodyRecord, ReceiptsRecord
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32
from ghostchain.state.views import PendingState
from ghostchain.storage.database import Snapshot

Value = TypeVar("Value")

HEADERS_KEPT = 1024
# Bytes of bodies kept for readers, and as many of receipts.
RECORD_BYTES_KEPT = 16 << 20


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


class Kept:
    """Blocks that were read. All that is published between two rewinds shares one of these, so
    that whoever still reads what was taken back puts it where nobody else looks."""

    __slots__ = ("bodies", "headers", "receipts")

    def __init__(self) -> None:
        self.headers: Recent[tuple[Hash32, Header]] = Recent(size_max=HEADERS_KEPT)
        self.bodies: Recent[BodyRecord] = Recent(size_max=RECORD_BYTES_KEPT)
        self.receipts: Recent[ReceiptsRecord] = Recent(size_max=RECORD_BYTES_KEPT)


@dataclass(frozen=True, slots=True)
class Published:
    """The head, the database as of it, and what waits for the next block of a development chain
    (None: nothing)."""

    header: Header
    hash: Hash32
    snapshot: Snapshot
    pending: PendingState | None = None
    kept: Kept = field(default_factory=Kept)

    def block_hash(self, number: int) -> bytes | None:
        return index.read_hash(self.snapshot, number)
