"""What waits for the polls of filters, and how much of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import NewPending
from ghostchain.rpc.errors import RpcError
from ghostchain.rpc.filters import PENDING_UNCHECKED, FilterBook, FilterKind
from tests.unit.memory_backend import MemoryBackend
from tests.unit.rpc_harness import RunningServer

HASHES_MAX = 4 * PENDING_UNCHECKED
IDLE_S = 300.0


class Book:
    def __init__(self) -> None:
        self.now_ns = 0
        self.told = 0
        self.filters = FilterBook(
            filters_max=8,
            idle_s=IDLE_S,
            pending_hashes_max=HASHES_MAX,
            clock=lambda: self.now_ns,
        )

    def install(self) -> str:
        return self.filters.install(FilterKind.PENDING, 0)

    def tell(self, count: int) -> list[Hash32]:
        hashes = [Hash32((self.told + index).to_bytes(32, "big")) for index in range(count)]
        self.told += count
        for item in hashes:
            event = NewPending(cast(Any, [SimpleNamespace(hash=item)]))
            if self.filters.cares(event):
                self.filters.on_event(event)
        return hashes

    def poll(self, identity: str) -> list[Hash32]:
        return self.filters.take_pending(self.filters.find(identity))


def test_every_filter_is_told_each_hash_once() -> None:
    book = Book()
    book.tell(3)
    first = book.install()
    some = book.tell(5)
    second = book.install()
    more = book.tell(2 * PENDING_UNCHECKED)
    assert book.poll(second) == more
    last = book.tell(PENDING_UNCHECKED)
    assert book.poll(first) == some + more + last
    assert book.poll(second) == last
    assert book.poll(first) == book.poll(second) == []


def test_nothing_waits_that_nobody_wants() -> None:
    book = Book()
    book.tell(10 * PENDING_UNCHECKED)
    assert len(book.filters.pending) <= PENDING_UNCHECKED
    reader = book.install()
    for _ in range(20):
        told = book.tell(PENDING_UNCHECKED // 2)
        assert book.poll(reader) == told
        assert len(book.filters.pending) <= PENDING_UNCHECKED


def test_a_filter_that_is_not_polled_holds_so_many_and_no_longer_than_it_lives() -> None:
    book = Book()
    forgotten = book.install()
    told = book.tell(2 * HASHES_MAX)
    assert len(book.filters.pending) == HASHES_MAX
    assert book.poll(forgotten) == told[-HASHES_MAX:]
    book.tell(HASHES_MAX)
    book.now_ns += int((IDLE_S + 1) * 1e9)
    with pytest.raises(RpcError, match="filter not found"):
        book.poll(forgotten)
    assert not book.filters.pending


class Hurried(MemoryBackend):
    """Has another head each time it is asked for one."""

    def head(self) -> Header:
        if self.is_hurried:
            self.seal()
        return super().head()

    is_hurried = False


@pytest.mark.parametrize("tag", ["latest", "safe", "finalized", None])
def test_the_latest_block_of_a_range_is_one_block(tag: str | None) -> None:
    """However many come while the request is looked at."""
    chain = Hurried()
    with RunningServer(chain) as node:
        chain.is_hurried = True
        for wanted in ({"fromBlock": "0x0"}, {"fromBlock": tag or "latest"}, {}):
            given = {**wanted, "toBlock": tag} if tag else wanted
            assert node.ask("eth_getLogs", given) == []
        chain.is_hurried = False
