"""Every past height reads as it was: random blocks against dictionaries, with pruning and
reopening at random."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostchain.primitives.account import Account
from ghostchain.primitives.types import EMPTY_ROOT, Hash32
from ghostchain.state.changes import compact
from ghostchain.state.store import StateStore
from ghostchain.state.undo import changes_between
from ghostchain.state.views import HistoricalView, LatestView
from ghostchain.storage.database import Database

ACCOUNTS = [bytes([i]) * 31 + b"\0" for i in range(6)]
SLOTS = [bytes([i]) + bytes(31) for i in range(4)]

# One block: for some accounts the new nonce (0 deletes the account and wipes its storage) and new
# values of some slots.
BLOCK = st.dictionaries(
    st.sampled_from(ACCOUNTS),
    st.tuples(
        st.integers(0, 3),
        st.dictionaries(st.sampled_from(SLOTS), st.integers(0, 300), max_size=4),
    ),
    max_size=4,
)
State = tuple[dict[bytes, bytes], dict[tuple[bytes, bytes], int]]


def apply(state: State, block: dict[bytes, tuple[int, dict[bytes, int]]], number: int) -> State:
    accounts, slots = dict(state[0]), dict(state[1])
    for owner, (nonce, values) in block.items():
        if nonce == 0:
            accounts.pop(owner, None)
            slots = {key: value for key, value in slots.items() if key[0] != owner}
            continue
        slots.update({(owner, slot): value for slot, value in values.items()})
        has_storage = any(value for key, value in slots.items() if key[0] == owner)
        root = Hash32(b"\x66" * 32) if has_storage else EMPTY_ROOT
        flat = Account(nonce=nonce, balance=number << 120, storage_root=root).encode()
        accounts[owner] = compact(flat)
    return accounts, {key: value for key, value in slots.items() if value}


def stage_block(
    store: StateStore,
    number: int,
    before: State,
    after: State,
    block: dict[bytes, tuple[int, dict[bytes, int]]],
) -> None:
    """Stages the net changes as an executor would: wiped storage is a flag, not its slots."""
    slots = {
        (owner, slot): (
            before[1].get((owner, slot), 0).to_bytes(32, "big"),
            after[1].get((owner, slot), 0).to_bytes(32, "big"),
        )
        for owner, (nonce, values) in block.items()
        if nonce > 0
        for slot in values
    }
    changes = changes_between(
        {owner: (before[0].get(owner, b""), after[0].get(owner, b"")) for owner in block}, slots
    )
    store.stage(number, changes)


def write(store: StateStore, database: Database) -> None:
    """All that is staged goes to disk in one batch."""
    batch = database.batch()
    store.seal(bytes(32), [])(batch)
    database.commit(batch)
    store.settle()


def check(view: HistoricalView | LatestView, state: State) -> None:
    for owner in ACCOUNTS:
        found = view.account(bytes(20), owner)
        assert (compact(found) if found else b"") == state[0].get(owner, b"")
        for slot in SLOTS:
            value = view.slot(bytes(20), owner, bytes(32), slot)
            assert int.from_bytes(value or b"", "big") == state[1].get((owner, slot), 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    blocks=st.lists(BLOCK, min_size=1, max_size=12),
    window=st.none() | st.integers(1, 6),
    reopen_every=st.integers(2, 9),
    together=st.integers(1, 5),
)
def test_every_kept_height_equals_the_model(
    blocks: list[dict[bytes, tuple[int, dict[bytes, int]]]],
    window: int | None,
    reopen_every: int,
    together: int,
) -> None:
    """All heights in the window, and the latest, equal the model's, however many blocks are written
    together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        database = Database.open(path, write_buffer_bytes=1 << 16)
        store = StateStore(database, prune_blocks=window)
        states: list[State] = [({}, {})]
        for number, block in enumerate(blocks, start=1):
            states.append(apply(states[-1], block, number))
            stage_block(store, number, states[-2], states[-1], block)
            if number % together == 0 or number % reopen_every == 0 or number == len(blocks):
                write(store, database)
            if number % reopen_every == 0:
                database.close()
                database = Database.open(path, write_buffer_bytes=1 << 16)
                store = StateStore(database, prune_blocks=window)
        snapshot = database.snapshot()
        check(LatestView(snapshot, lambda _: None), states[-1])
        oldest = store.oldest_readable
        assert oldest == (0 if window is None else max(0, len(blocks) - window))
        for number in range(oldest, len(states)):
            check(HistoricalView(snapshot, lambda _: None, number), states[number])
        del snapshot
        database.close()
