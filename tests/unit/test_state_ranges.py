"""Pages of a state at any block are what a plain dictionary of that block has, in order."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.primitives.errors import StateUnavailable
from ghostchain.state import keys
from ghostchain.state.ranges import LOOKS_MIN, StateRanges

OWNER = b"\xaa" * 32
# The hashes at both ends, and neighbours.
HASHES = [bytes(32), bytes(31) + b"\x01", b"\x7f" * 32, b"\xfe" * 32, b"\xff" * 31 + b"\xfe"]
HASHES.append(b"\xff" * 32)


class Store:
    """A reader over a dictionary, filled as the state store fills the database."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.data.get(key)

    @contextmanager
    def items(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[Iterator[tuple[bytes, bytes]]]:
        ordered = sorted(self.data)
        found = ordered[bisect.bisect_left(ordered, start) : bisect.bisect_left(ordered, stop)]
        yield iter([(key, self.data[key]) for key in found])

    def first(self, start: bytes, stop: bytes) -> bytes | None:
        with self.items(start, stop) as found:
            return next((value for _, value in found), None)

    def write(self, number: int, changes: dict[bytes, bytes]) -> None:
        for hashed, value in changes.items():
            flat = keys.SLOT + OWNER + hashed
            place = keys.HISTORY_SLOT + OWNER + hashed + keys.number_bytes(number)
            self.data[place] = self.data.get(flat, b"")
            if value:
                self.data[flat] = value
            else:
                self.data.pop(flat, None)


def pages(ranges: StateRanges, count: int) -> list[tuple[bytes, bytes]]:
    """All slots, a page after the other."""
    found: list[tuple[bytes, bytes]] = []
    start: bytes | None = bytes(32)
    while start is not None:
        page = ranges.slots(OWNER, start, count)
        assert len(page.entries) <= count
        found.extend(page.entries)
        assert page.next is None or page.next > start
        start = page.next
    return found


CHANGES = st.dictionaries(st.sampled_from(HASHES), st.sampled_from([b"", b"\x01", b"\x02"]))


@given(st.lists(CHANGES, max_size=6), st.integers(1, 4))
def test_pages_are_the_state_of_their_block(blocks: list[dict[bytes, bytes]], count: int) -> None:
    store = Store()
    models: list[dict[bytes, bytes]] = [{}]
    for number, changes in enumerate(blocks, 1):
        kept = {key: value for key, value in changes.items() if value != models[-1].get(key, b"")}
        store.write(number, kept)
        after = {key: value for key, value in {**models[-1], **kept}.items() if value}
        models.append(after)
    # Of somebody else, and none of our business.
    store.data[keys.SLOT + b"\xab" * 32 + bytes(32)] = b"\x09"
    for number, model in enumerate(models):
        ranges = StateRanges(store, number, is_latest=number == len(blocks))
        wanted = [(key, value.rjust(32, b"\0")) for key, value in sorted(model.items())]
        assert pages(ranges, count) == wanted


def test_a_page_ends_after_so_many_keys_that_were_not_there_yet() -> None:
    """A past state among keys that came later costs a page no more than its bound."""
    store = Store()
    many = LOOKS_MIN * 2
    store.write(1, {number.to_bytes(32, "big"): b"\x01" for number in range(many)})
    store.write(2, {b"\xff" * 32: b"\x02"})
    page = StateRanges(store, 0, is_latest=False).slots(OWNER, bytes(32), 5)
    assert page.entries == ()
    assert page.next is not None
    assert LOOKS_MIN <= int.from_bytes(page.next, "big") < many


def test_pruned_states_are_not_listed() -> None:
    store = Store()
    store.data[keys.PRUNED] = keys.number_bytes(4)
    with pytest.raises(StateUnavailable, match="pruned"):
        StateRanges(store, 3, is_latest=False)
