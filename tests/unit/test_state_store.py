"""The state store against plain dictionaries: latest reads, history, pruning, undo, node buffer."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import StateUnavailable, StorageCorrupt
from ghostchain.primitives.types import EMPTY_ROOT, Hash32
from ghostchain.state import keys
from ghostchain.state import store as store_module
from ghostchain.state.changes import ACCOUNT_CHANGES, SLOT_CHANGES, Changes, compact, expand
from ghostchain.state.store import NODE_BYTES, PROOF_BLOCKS, StateStore
from ghostchain.state.undo import changes_between, decode_undo, merge_undos
from ghostchain.state.views import HistoricalView, LatestView, OverlaidView
from ghostchain.storage.database import Database, after
from ghostchain.trie.merkle import node_key

ROOT = bytes(32)
NO_ADDRESS = bytes(20)


def hashed(number: int) -> bytes:
    return random.Random(number).randbytes(32)


def record(nonce: int, balance: int = 5, storage: bool = False) -> bytes:
    root = Hash32(b"\x77" * 32) if storage else EMPTY_ROOT
    return Account(nonce=nonce, balance=balance, storage_root=root).encode()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "state")
    yield opened
    opened.close()


def changes_of(
    accounts: dict[bytes, tuple[bytes | None, bytes | None]],
    slots: dict[tuple[bytes, bytes], tuple[int, int]] | None = None,
    wiped: frozenset[bytes] = frozenset(),
) -> Changes:
    """Columns from flat records and slot numbers, as the executor would give them."""
    changes = changes_between(
        {
            key: (compact(before) if before else b"", compact(after) if after else b"")
            for key, (before, after) in accounts.items()
        },
        {
            key: (before.to_bytes(32, "big"), after.to_bytes(32, "big"))
            for key, (before, after) in (slots or {}).items()
        },
    )
    for index, row in enumerate(changes.accounts["hashed"]):
        changes.accounts["storage_wiped"][index] = row.tobytes() in wiped
    return changes


def commit(store: StateStore, database: Database, number: int, changes: Changes) -> None:
    batch = database.batch()
    store.stage(number, changes)
    store.seal(ROOT, [])(batch)
    database.commit(batch)
    store.settle()


def no_hash(_: int) -> None:
    return None


def read(view: HistoricalView | LatestView, key: bytes) -> bytes | None:
    return view.account(NO_ADDRESS, key)


def test_stored_records_round_trip() -> None:
    """Plain accounts are stored in 24 bytes, all others whole."""
    for flat, size in (
        (record(1), 24),
        (record(2**64 - 1, 2**128 - 1), 24),
        (record(0, 2**128), 104),
        (record(3, storage=True), 104),
    ):
        assert len(compact(flat)) == size
        assert expand(compact(flat)) == flat
    assert expand(b"") is None
    assert ACCOUNT_CHANGES.itemsize == 280
    assert SLOT_CHANGES.itemsize == 128


def test_staged_block_is_the_writers_alone(database: Database) -> None:
    """From staging on the writer reads the block; everybody else does once the batch is written."""
    store = StateStore(database)
    key = hashed(1)
    batch = database.batch()
    store.stage(0, changes_of({key: (None, record(1))}), [(b"\x01" * 32, b"code")])
    put = store.seal(ROOT, [(node_key(None, b""), b"root node")])
    assert read(LatestView(database, no_hash), key) is None
    assert StateStore(database).node(None, b"") is None
    for step in (lambda: put(batch), lambda: database.commit(batch), store.settle):
        step()
        assert store.account(key) == record(1)
        assert store.code(b"\x01" * 32) == b"code"
        assert store.node(None, b"") == b"root node"
    assert read(LatestView(database, no_hash), key) == record(1)


def test_wiped_storage_is_gone_now_and_there_before(database: Database) -> None:
    """Slots that a block did not touch but whose storage it wiped have their history too."""
    store = StateStore(database)
    key, slots = hashed(1), [hashed(10 + i) for i in range(4)]
    commit(store, database, 0, changes_of({}))
    first = {(key, slot): (0, 7 + i) for i, slot in enumerate(slots)}
    commit(store, database, 1, changes_of({key: (None, record(1, storage=True))}, first))
    again = {(key, slots[0]): (0, 99)}
    both = {key: (record(1, storage=True), record(2, storage=True))}
    commit(store, database, 2, changes_of(both, again, frozenset({key})))
    commit(
        store,
        database,
        3,
        changes_of({key: (record(2, storage=True), None)}, wiped=frozenset({key})),
    )
    expected = {
        0: [None] * 4,
        1: [7, 8, 9, 10],
        2: [99, None, None, None],
        3: [None] * 4,
    }
    for number, values in expected.items():
        view = HistoricalView(database, no_hash, number)
        found = [view.slot(NO_ADDRESS, key, bytes(32), slot) for slot in slots]
        assert [value and int.from_bytes(value, "big") for value in found] == values, number
    assert store.account(key) is None
    merged = merge_undos(store.undo(number) for number in (3, 2))
    assert {int.from_bytes(value, "big") for value in merged.slots.values()} == {7, 8, 9, 10}


def test_pruned_blocks_are_refused_and_gone(database: Database) -> None:
    """With prune_blocks = 5 reads reach 5 blocks back; older history is deleted."""
    store = StateStore(database, prune_blocks=5)
    key = hashed(1)
    commit(store, database, 0, changes_of({key: (None, record(0))}))
    for number in range(1, 21):
        commit(store, database, number, changes_of({key: (record(number - 1), record(number))}))
    assert store.oldest_readable == 15
    for number in range(15, 21):
        assert read(HistoricalView(database, no_hash, number), key) == record(number)
    with pytest.raises(StateUnavailable, match="state of block 14 was pruned; the oldest is 15"):
        HistoricalView(database, no_hash, 14)
    with database.items(keys.HISTORY, after(keys.HISTORY)) as items:
        assert len(list(items)) == 5


def test_archive_becomes_pruned(database: Database) -> None:
    """Opening an archive with a window sweeps what is older, even without undo records."""
    store = StateStore(database)
    key = hashed(1)
    commit(store, database, 0, changes_of({key: (None, record(0))}))
    total = PROOF_BLOCKS * 2
    store.flush_nodes(0, ROOT)
    for number in range(1, total + 1):
        store.flush_nodes(number - 1, ROOT)
        commit(store, database, number, changes_of({key: (record(number - 1), record(number))}))
    assert read(HistoricalView(database, no_hash, 3), key) == record(3)
    store = StateStore(database, prune_blocks=10)
    store.catch_up_pruning(total)
    assert store.oldest_readable == total - 10
    assert read(HistoricalView(database, no_hash, total - 10), key) == record(total - 10)
    with database.items(keys.HISTORY, after(keys.HISTORY)) as items:
        assert len(list(items)) == 10
    commit(store, database, total + 1, changes_of({key: (record(total), record(total + 1))}))
    assert store.oldest_readable == total - 9


def test_undo_records_live_as_long_as_needed(database: Database) -> None:
    """They stay for proofs of recent blocks, and until the trie on disk has passed them."""
    store = StateStore(database)
    key = hashed(1)
    commit(store, database, 0, changes_of({key: (None, record(0))}))
    for number in range(1, PROOF_BLOCKS + 12):
        commit(store, database, number, changes_of({key: (record(number - 1), record(number))}))
    assert store.trie_block[0] == 0
    assert store.undo(1).accounts == {key: compact(record(0))}
    head = PROOF_BLOCKS + 11
    store.flush_nodes(head, ROOT)
    commit(store, database, head + 1, changes_of({key: (record(head), record(head + 1))}))
    with pytest.raises(StateUnavailable):
        store.undo(head + 1 - PROOF_BLOCKS)
    assert store.undo(head + 2 - PROOF_BLOCKS).accounts


def test_trie_nodes_gather_and_flush(database: Database) -> None:
    """Nodes stay in memory up to the bound, then reach disk with the block's own batch."""
    store = StateStore(database, node_buffer_bytes_max=5 * NODE_BYTES)
    path = bytes([1, 2])
    for number in range(12):
        batch = database.batch()
        nodes = [(node_key(None, path), b"node %d" % number)]
        nodes += [(node_key(bytes(32), bytes([number])), bytes(100))]
        store.stage(number, changes_of({}))
        store.seal(bytes([number]) * 32, nodes)(batch)
        database.commit(batch)
        store.settle()
        assert store.node(None, path) == b"node %d" % number
        assert store.memory() <= 5 * NODE_BYTES
        on_disk = database.get(node_key(None, path))
        assert on_disk == b"node %d" % store.trie_block[0]
    assert 0 < store.trie_block[0] < 12
    assert StateStore(database).trie_block == store.trie_block
    batch = database.batch()
    store.stage(12, changes_of({}))
    store.seal(ROOT, [(node_key(None, path), b"")])(batch)
    database.commit(batch)
    store.settle()
    assert store.node(None, path) is None
    store.flush_nodes(12, ROOT)
    assert database.get(node_key(None, path)) is None


def test_trie_on_disk_follows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few nodes change, recovery has a bounded number of blocks to replay."""
    monkeypatch.setattr(store_module, "FLUSH_BLOCKS_MAX", 10)
    store = StateStore(database)
    for number in range(35):
        commit(store, database, number, changes_of({}))
        assert number - store.trie_block[0] < 10
    assert store.trie_block[0] == 30


def test_damaged_undo_record_is_named() -> None:
    with pytest.raises(StorageCorrupt):
        decode_undo(b"\0\0\0\1\0\0\0\0short")


@dataclass(frozen=True)
class Override:
    nonce: int | None = None
    balance: int | None = None
    code: bytes | None = None
    state: dict[bytes, bytes] | None = None
    state_diff: dict[bytes, bytes] | None = None


def test_overlaid_view(database: Database) -> None:
    """Overrides replace what they name and leave the rest."""
    store = StateStore(database)
    key, slot, address = hashed(1), hashed(2), b"\x05" * 20
    commit(
        store,
        database,
        0,
        changes_of({key: (None, record(3, storage=True))}, {(key, slot): (0, 8)}),
    )
    base = LatestView(database, no_hash)
    name = b"\x09" * 32
    value = bytes(31) + b"\x2a"
    view = OverlaidView(
        base, {address: Override(balance=77, code=b"\x60", state_diff={name: value})}
    )
    account = Account.decode(view.account(address, key) or b"")
    assert (account.nonce, account.balance) == (3, 77)
    assert view.code(account.code_hash) == b"\x60"
    assert view.slot(address, key, name, hashed(3)) == value
    assert int.from_bytes(view.slot(address, key, bytes(32), slot) or b"", "big") == 8
    view = OverlaidView(base, {address: Override(nonce=9, state={name: value})})
    assert view.slot(address, key, bytes(32), slot) is None
    assert view.slot(address, key, name, hashed(3)) == value
    empty = OverlaidView(base, {address: Override(state={})})
    assert Account.decode(empty.account(address, key) or b"").storage_root == EMPTY_ROOT
    other = b"\x06" * 20
    assert view.account(other, hashed(5)) is None
    created = OverlaidView(base, {other: Override(balance=1)}).account(other, hashed(5))
    assert Account.decode(created or b"") == Account(balance=1)


def test_columns_of_changes() -> None:
    """Slots are grouped under their accounts in hash order."""
    first, second = sorted((hashed(1), hashed(2)))
    changes = changes_of(
        {second: (None, record(1)), first: (record(1), record(2))},
        {(second, hashed(3)): (1, 2), (second, hashed(4)): (0, 2), (first, hashed(5)): (3, 0)},
    )
    assert changes.accounts["slot_count"].tolist() == [1, 2]
    assert changes.slot_owners().tolist() == [0, 1, 1]
    assert changes.accounts["existed"].tolist() == [1, 0]
    assert np.array_equal(changes.slots["after"][0], np.zeros(32))


def test_the_first_key_of_a_span(database: Database) -> None:
    """A snapshot finds the value of the lowest key in a span, or none, as it was: asked again and
    again, by several threads at a time, while others write."""
    chance = random.Random(7)
    stored = {chance.randbytes(chance.randrange(1, 4)): b"%d" % at for at in range(3_000)}
    batch = database.batch()
    for key, value in stored.items():
        batch.put(key, value)
    database.commit(batch)
    snapshot, ordered = database.snapshot(), sorted(stored)

    def look(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(400):
            start, stop = (own.randbytes(own.randrange(0, 4)) for _ in range(2))
            at = bisect_left(ordered, start)
            is_there = at < len(ordered) and ordered[at] < stop
            assert snapshot.first(start, stop) == (stored[ordered[at]] if is_there else None)

    with ThreadPoolExecutor(3) as pool:
        looks = [pool.submit(look, seed) for seed in range(6)]
        for at in range(50):
            batch = database.batch()
            batch.put(ordered[at * 7], b"later")
            database.commit(batch)
        for one in looks:
            one.result()


def test_a_damaged_table_is_named_where_a_span_is_looked_through(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "state", write_buffer_bytes=64 << 10)
    for start in range(0, 20_000, 1_000):
        batch = database.batch()
        for at in range(start, start + 1_000):
            batch.put(b"k%08d" % at, b"v" * 50)
        database.commit(batch)
    database.close()
    for table in (tmp_path / "state").glob("*.ldb"):
        data = bytearray(table.read_bytes())
        for at in range(100, len(data) * 9 // 10, 2_000):
            data[at] ^= 0xFF
        table.write_bytes(data)
    database = Database.open(tmp_path / "state")
    snapshot = database.snapshot()
    for _ in range(2):
        with pytest.raises(StorageCorrupt, match="damaged"):
            snapshot.first(b"k00000500", b"k00000501")
    database.close()
