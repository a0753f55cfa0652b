"""The state of an earlier block on disk again: what blocks changed is put back, newest first.

Undo records give the values before each block. Merged, each key is written once however many
blocks changed it; applied to the trie, the root must be that of the block to which it goes back.

Cost: some 10 microseconds for each account or slot that changed, and the records of the blocks
that are taken back; nothing that grows with the chain.
"""

from __future__ import annotations

from collections.abc import Sequence

from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.state import keys
from ghostchain.state.changes import change_set, trim
from ghostchain.state.remote import RINGS, ChangeLedger
from ghostchain.state.store import StateStore, nodes_of
from ghostchain.state.undo import Undo, changes_between, merge_undos
from ghostchain.storage.database import Batch
from ghostchain.trie.merkle import Forest


def stage_rewind(
    state: StateStore,
    forest: Forest | ChangeLedger,
    batch: Batch,
    taken: Sequence[tuple[int, Undo]],
    root: bytes,
) -> None:
    """The batch puts the state back to before the blocks `taken` (number and undo record, newest
    first, up to the head). root: of the state that there was then; the forest has it pending.

    `state.settle` and `forest.commit` follow once the batch is written.
    Raises: StorageCorrupt when the records lead to another root; the forest is as before.
    """
    target = taken[-1][0] - 1
    old = merge_undos(undo for _, undo in taken)
    accounts = {key: (state.stored_account(key), before) for key, before in old.accounts.items()}
    slots = {
        (owner, slot): (state.slot(owner, slot) or bytes(32), before)
        for (owner, slot), before in old.slots.items()
    }
    found = forest.apply(change_set(changes_between(accounts, slots)))
    if isinstance(forest, ChangeLedger):
        forest.go_back(root)
    elif found != root:
        forest.discard()
        raise StorageCorrupt(
            f"the undo records lead to state root 0x{found.hex()} at block {target}, its header "
            f"says 0x{root.hex()}; run `ghostd db verify`"
        )
    for key, before in old.accounts.items():
        _put(batch, keys.ACCOUNT + key, before or state.absence)
    for (owner, slot), before in old.slots.items():
        absence = b"" if owner in RINGS else state.absence
        _put(batch, keys.SLOT + owner + slot, trim(before) or absence)
    for number, undo in taken:
        stamp = keys.number_bytes(number)
        for key in undo.accounts:
            batch.delete(keys.HISTORY_ACCOUNT + key + stamp)
        for owner, slot in undo.slots:
            batch.delete(keys.HISTORY_SLOT + owner + slot + stamp)
        batch.delete(keys.UNDO + stamp)
    state.stage_trie(batch, target, root, nodes_of(forest))


def _put(batch: Batch, key: bytes, value: bytes) -> None:
    if value:
        batch.put(key, value)
    else:
        batch.delete(key)
