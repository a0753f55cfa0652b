"""Accounts and slots of a state in the order of their hashes, a page at a time.

The latest state is read as it lies. Of a past one, what was there is the union of what is there now
and of what history says has changed since; each key's value at that block is then looked up as
`HistoricalView` does.

Cost: a seek or three (about 10 microseconds each) for every key that is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.primitives.errors import StateUnavailable
from ghostchain.state import keys
from ghostchain.state.changes import expand
from ghostchain.state.store import oldest_readable
from ghostchain.storage.database import Reader, after

HASH_BYTES = 32
# Keys that were not there yet give nothing; so many of them are passed over for a page.
LOOKS_PER_ENTRY = 16
LOOKS_MIN = 1024
LAST = (1 << 256) - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Entries by hash, ascending. next: where the rest begins, None when there is none."""

    entries: tuple[tuple[bytes, bytes], ...]
    next: bytes | None


class StateRanges:
    """The state after block `number`, out of a reader at that block or later."""

    def __init__(self, reader: Reader, number: int, *, is_latest: bool) -> None:
        """Raises: StateUnavailable when that state was pruned."""
        oldest = oldest_readable(reader)
        if number < oldest:
            raise StateUnavailable(f"state of block {number} was pruned; the oldest is {oldest}")
        self._reader = reader
        self._stamp = keys.number_bytes(number + 1)
        self._is_latest = is_latest

    def accounts(self, start: bytes, count: int) -> Page:
        """Flat records (104 bytes) of at most count accounts from hash start on."""
        page = self._page(keys.ACCOUNT, keys.HISTORY_ACCOUNT, start, count)
        records = ((hashed, expand(stored)) for hashed, stored in page.entries)
        return Page(tuple((h, record) for h, record in records if record is not None), page.next)

    def slots(self, owner: bytes, start: bytes, count: int) -> Page:
        """Values (32 bytes) of at most count slots of the account with that hash."""
        page = self._page(keys.SLOT + owner, keys.HISTORY_SLOT + owner, start, count)
        values = tuple((hashed, stored.rjust(32, b"\0")) for hashed, stored in page.entries)
        return Page(values, page.next)

    def _page(self, flat: bytes, history: bytes, start: bytes, count: int) -> Page:
        entries: list[tuple[bytes, bytes]] = []
        looks = LOOKS_MIN + LOOKS_PER_ENTRY * count
        cursor = start
        while True:
            found = self._next_key(flat, history, cursor)
            if found is None:
                return Page(tuple(entries), None)
            if len(entries) == count or looks == 0:
                return Page(tuple(entries), found)
            looks -= 1
            value = self._value(flat, history, found)
            if value:
                entries.append((found, value))
            number = int.from_bytes(found, "big")
            if number == LAST:
                return Page(tuple(entries), None)
            cursor = (number + 1).to_bytes(HASH_BYTES, "big")

    def _next_key(self, flat: bytes, history: bytes, cursor: bytes) -> bytes | None:
        found = [self._first(flat, cursor)]
        if not self._is_latest:
            found.append(self._first(history, cursor))
        return min((key for key in found if key is not None), default=None)

    def _first(self, prefix: bytes, cursor: bytes) -> bytes | None:
        with self._reader.items(prefix + cursor, after(prefix)) as items:
            for key, _ in items:
                return key[len(prefix) : len(prefix) + HASH_BYTES]
        return None

    def _value(self, flat: bytes, history: bytes, key: bytes) -> bytes | None:
        if not self._is_latest:
            place = history + key
            changed = self._reader.first(place + self._stamp, place + b"\xff" * 9)
            if changed is not None:
                return changed
        return self._reader.get(flat + key)
