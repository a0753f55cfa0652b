"""The state on disk: what the writer of blocks reads and writes.

One thread stages the changes of a block into the block's batch; the batch is written elsewhere,
perhaps while the next block already runs; `settle` then makes it the past. Reads here are the
writer's own: of the staged block from `stage` on. Everybody else reads snapshots (`views.py`).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np

from ghostchain.primitives.errors import StateUnavailable, StorageCorrupt
from ghostchain.primitives.types import EMPTY_ROOT
from ghostchain.state import keys
from ghostchain.state.changes import (
    TOMBSTONE,
    Changes,
    Column,
    compact_column,
    expand,
    rows,
    trim,
)
from ghostchain.state.undo import Undo, decode_undo, encode_undo
from ghostchain.storage.database import Batch, Database, Reader, after
from ghostchain.trie.merkle import node_key

# Small blocks change the same upper nodes over and over, for which this is plenty. Large ones have
# few nodes in common, and holding more of them would only make the batch that flushes them large.
NODE_BUFFER_BYTES_MAX = 12 << 20
# What an entry of the node buffer takes, about: key, node of a state of many accounts, dictionary.
NODE_BYTES = 400
# The trie on disk is at most so many blocks behind: what recovery has to replay.
FLUSH_BLOCKS_MAX = 1024
# Proofs are answered for this many blocks behind the head.
PROOF_BLOCKS = 128
# Pruning catches up by this many blocks with each new one.
PRUNE_BLOCKS_PER_COMMIT = 4
SWEEP_BATCH = 10_000
TRIE_VALUE = struct.Struct(">Q32s")


class StateStore:
    """Flat state, history, undo records, code and trie nodes of one chain."""

    def __init__(
        self,
        database: Database,
        *,
        prune_blocks: int | None = None,
        keeps_undos: bool = False,
        node_buffer_bytes_max: int = NODE_BUFFER_BYTES_MAX,
        is_forked: bool = False,
    ) -> None:
        """prune_blocks: how many blocks behind the head stay readable; None keeps all.
        keeps_undos: undo records stay as long as history does, for rewinds.
        is_forked: what is not here is another chain's, so absence is stored (`remote.py`)."""
        self._database = database
        self._keeps_undos = keeps_undos
        self.absence = TOMBSTONE if is_forked else b""
        self._prune_blocks = prune_blocks
        self._nodes: dict[bytes, bytes] = {}
        self._nodes_max = node_buffer_bytes_max // NODE_BYTES
        # The staged block: flat entries and code by database key, and trie nodes; empty bytes are
        # absence.
        self._is_staged = False
        self._staged: dict[bytes, bytes] = {}
        self._staged_nodes: dict[bytes, bytes] = {}
        self._staged_flush = False
        self._staged_trie = (0, bytes(EMPTY_ROOT))
        self._staged_pruned = 0
        stored = database.get(keys.TRIE)
        self._trie = TRIE_VALUE.unpack(stored) if stored else (0, bytes(EMPTY_ROOT))
        self._pruned = oldest_readable(database)
        self._staged_pruned = self._pruned
        self._undo_first = self._first_undo()

    # Reading the latest state.

    def _latest(self, key: bytes) -> bytes | None:
        staged = self._staged.get(key)
        if staged is not None:
            return staged or None
        return self._database.get(key)

    def account(self, hashed: bytes) -> bytes | None:
        """The flat record (104 bytes) of the account, or None."""
        stored = self._latest(keys.ACCOUNT + hashed)
        return None if stored is None else expand(stored)

    def stored_account(self, hashed: bytes) -> bytes:
        """The account as it is stored; empty for absence."""
        return self._latest(keys.ACCOUNT + hashed) or b""

    def slot(self, owner: bytes, hashed: bytes) -> bytes | None:
        """The 32-byte value of a slot, or None for zero."""
        stored = self._latest(keys.SLOT + owner + hashed)
        return None if stored is None else stored.rjust(32, b"\0")

    def code(self, code_hash: bytes) -> bytes | None:
        return self._latest(keys.CODE + code_hash)

    def raw(self, key: bytes) -> bytes | None:
        """What stands under a key of the database: empty or TOMBSTONE where it is known to be
        absent, None where nothing is known."""
        staged = self._staged.get(key)
        return self._database.get(key) if staged is None else staged

    def node(self, owner: bytes | None, path: bytes) -> bytes | None:
        """The trie node at path (nibbles)."""
        key = node_key(owner, path)
        for layer in (self._staged_nodes, self._nodes):
            buffered = layer.get(key)
            if buffered is not None:
                return buffered or None
        return self._database.get(key)

    @property
    def trie_block(self) -> tuple[int, bytes]:
        """Number and root of the block that the trie on disk belongs to."""
        return self._trie

    @property
    def is_flushing(self) -> bool:
        """Whether the staged block takes all buffered trie nodes to disk with it."""
        return self._staged_flush

    @property
    def oldest_readable(self) -> int:
        return self._pruned

    @property
    def oldest_undo(self) -> int:
        """The lowest block of which there is an undo record, or the next where there is none."""
        return self._undo_first

    def buffered_nodes(self) -> dict[bytes, bytes]:
        """A copy of the settled trie nodes that are newer than those on disk (b"" is deleted)."""
        return self._nodes.copy()

    def memory(self) -> int:
        """Bytes of the node buffer, about."""
        return len(self._nodes) * NODE_BYTES

    # Writing a block.

    def stage(
        self,
        number: int,
        root: bytes,
        changes: Changes,
        codes: Iterable[tuple[bytes, bytes]],
        nodes: Iterable[tuple[bytes, bytes]],
        besides: Mapping[bytes, bytes] | None = None,
    ) -> Callable[[Batch], None]:
        """The writer reads block `number`'s state from now on. Returns what puts it in a batch,
        once, on any one thread, with nothing of `changes` needed any more.

        Shapes: codes are (hash, code); nodes are (database key, RLP or b"" for deleted); besides:
        flat entries by database key, where the changes do not name them.
        What was staged before must be settled.
        """
        assert not self._is_staged, "one block is staged at a time"
        accounts = changes.accounts
        # Copies, since the columns may be views of memory that the executor takes back.
        hashed = np.ascontiguousarray(accounts["hashed"])
        existed = accounts["existed"].copy()
        before = accounts["before"].copy()
        owners, slot_hashed, slot_before, slot_after = self._slot_columns(changes)
        slot_keys = (hashed[owners], slot_hashed)
        values = compact_column(accounts["after"], accounts["exists"])
        new_values = [trim(value) for value in rows(slot_after)]
        staged = dict(besides or {})
        staged.update(zip(rows(_keys(keys.ACCOUNT, hashed)), values, strict=True))
        staged.update(zip(rows(_keys(keys.SLOT, *slot_keys)), new_values, strict=True))
        staged.update((keys.CODE + code_hash, code) for code_hash, code in codes)
        self._staged = staged
        self._staged_nodes = dict(nodes)
        self._staged_trie = (number, root)
        self._staged_flush = (
            number == 0
            or number - self._trie[0] >= FLUSH_BLOCKS_MAX
            or len(self._nodes) + len(self._staged_nodes) > self._nodes_max
        )
        self._is_staged = True

        def put(batch: Batch) -> None:
            _put_flat(batch, staged.items(), self.absence)
            if self._staged_flush:
                # The later of two writes to a key holds; merging would copy all of them.
                _put_flat(batch, self._nodes.items())
                _put_flat(batch, self._staged_nodes.items())
                batch.put(keys.TRIE, TRIE_VALUE.pack(number, root))
            if number > 0:
                old = compact_column(before, existed)
                self._put_history(batch, number, hashed, old, slot_keys, slot_before)
                undo = encode_undo(hashed, old, owners, slot_hashed, slot_before)
                batch.put(keys.UNDO + keys.number_bytes(number), undo)
                self._put_pruning(batch, number)

        return put

    def _put_history(
        self,
        batch: Batch,
        number: int,
        hashed: Column,
        before: list[bytes],
        slot_keys: tuple[Column, Column],
        slot_before: Column,
    ) -> None:
        stamp = np.frombuffer(keys.number_bytes(number), np.uint8)
        _put_all(batch, rows(_keys(keys.HISTORY_ACCOUNT, hashed, stamp)), before)
        trimmed = [trim(value) for value in rows(slot_before)]
        _put_all(batch, rows(_keys(keys.HISTORY_SLOT, *slot_keys, stamp)), trimmed)

    def _slot_columns(self, changes: Changes) -> tuple[Column, Column, Column, Column]:
        """Owners, hashed keys, values before and after of all slots that the block changed,
        those that went with a wiped storage included."""
        owners = changes.slot_owners()
        columns = [
            np.ascontiguousarray(changes.slots[name]) for name in ("hashed", "before", "after")
        ]
        wiped = changes.accounts["storage_wiped"] & changes.accounts["existed"]
        if not wiped.any():
            return owners, columns[0], columns[1], columns[2]
        new_values = {
            (owner, key): value
            for owner, key, value in zip(
                owners.tolist(), rows(columns[0]), rows(columns[2]), strict=True
            )
        }
        old_values = {
            (owner, key): value
            for owner, key, value in zip(
                owners.tolist(), rows(columns[0]), rows(columns[1]), strict=True
            )
        }
        for owner in np.flatnonzero(wiped).tolist():
            for key in [key for key in old_values if key[0] == owner]:
                old_values[key] = bytes(32)
            for slot, value in self._stored_slots(changes.accounts["hashed"][owner].tobytes()):
                old_values[owner, slot] = value
        ordered = sorted(old_values)
        matrices = [
            np.frombuffer(b"".join(column), np.uint8).reshape(len(ordered), 32)
            for column in (
                [key for _, key in ordered],
                [old_values[key] for key in ordered],
                [new_values.get(key, bytes(32)) for key in ordered],
            )
        ]
        all_owners = np.array([owner for owner, _ in ordered], np.int64)
        return all_owners, matrices[0], matrices[1], matrices[2]

    def _stored_slots(self, owner: bytes) -> list[tuple[bytes, bytes]]:
        prefix = keys.SLOT + owner
        with self._database.items(prefix, after(prefix)) as items:
            return [(key[33:], value.rjust(32, b"\0")) for key, value in items]

    def _put_pruning(self, batch: Batch, number: int) -> None:
        """Deletes history that falls out of the window, and undo records nobody needs."""
        pruned = self._pruned
        if self._prune_blocks is not None:
            oldest = min(number - self._prune_blocks, pruned + PRUNE_BLOCKS_PER_COMMIT)
            while pruned < oldest:
                pruned += 1
                self._delete_history(batch, pruned)
            if pruned != self._pruned:
                batch.put(keys.PRUNED, keys.number_bytes(pruned))
        self._staged_pruned = pruned
        trie = number if self._staged_flush else self._trie[0]
        for old in range(self._undo_first, self._undo_end(number, trie, pruned)):
            batch.delete(keys.UNDO + keys.number_bytes(old))

    def _undo_end(self, number: int, trie: int, pruned: int) -> int:
        """The first undo record that is still needed at block `number`."""
        needed = [number - PROOF_BLOCKS, trie]
        if self._prune_blocks is not None or self._keeps_undos:
            needed.append(pruned)
        return min(needed) + 1

    def _delete_history(self, batch: Batch, number: int) -> None:
        stamp = keys.number_bytes(number)
        stored = self._database.get(keys.UNDO + stamp)
        if stored is None:
            raise StorageCorrupt(f"the undo record of block {number} is missing")
        undo = decode_undo(stored)
        for hashed in undo.accounts:
            batch.delete(keys.HISTORY_ACCOUNT + hashed + stamp)
        for owner, slot in undo.slots:
            batch.delete(keys.HISTORY_SLOT + owner + slot + stamp)

    def settle(self) -> None:
        """What was staged is durable and the past of what comes next."""
        if self._staged_flush:
            self._nodes = {}
            self._trie = self._staged_trie
        else:
            self._nodes.update(self._staged_nodes)
        self._staged = {}
        self._staged_nodes = {}
        self._is_staged = False
        self._pruned = self._staged_pruned
        end = self._undo_end(self._staged_trie[0], self._trie[0], self._pruned)
        self._undo_first = max(self._undo_first, end)

    def stage_trie(
        self, batch: Batch, number: int, root: bytes, nodes: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """The trie is that of block `number`, behind the head, once the batch is written and
        `settle` called. On disk it is, too, if it was beyond that block there, or is far behind."""
        assert not self._is_staged, "a block is staged"
        self._staged_nodes = dict(nodes)
        self._staged_trie = (number, root)
        self._staged_flush = (
            self._trie[0] > number or len(self._nodes) + len(self._staged_nodes) > self._nodes_max
        )
        if self._staged_flush:
            _put_flat(batch, self._nodes.items())
            _put_flat(batch, self._staged_nodes.items())
            batch.put(keys.TRIE, TRIE_VALUE.pack(number, root))

    def adopt_nodes(self, nodes: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes nodes that recovery computed again; they go to disk with a later flush."""
        self._nodes.update(nodes)

    def flush_nodes(self, number: int, root: bytes) -> None:
        """Writes all buffered trie nodes; the trie on disk is then that of the head."""
        batch = self._database.batch()
        _put_flat(batch, self._nodes.items())
        batch.put(keys.TRIE, TRIE_VALUE.pack(number, root))
        self._database.commit(batch)
        self._nodes = {}
        self._trie = (number, root)

    # The past.

    def undo(self, number: int) -> Undo:
        return read_undo(self._database, number)

    def _first_undo(self) -> int:
        with self._database.items(keys.UNDO, after(keys.UNDO)) as items:
            for key, _ in items:
                return int.from_bytes(key[1:], "big")
        return self._pruned + 1

    def catch_up_pruning(self, head: int) -> None:
        """Brings a chain that kept more history than wanted into the window, in batches.

        Cost: one pass over the history when undo records for it are gone, else nothing.
        """
        if self._prune_blocks is None:
            return
        oldest = head - self._prune_blocks
        if oldest <= self._pruned or self._undo_first <= self._pruned + 1:
            return
        batch, count = self._database.batch(), 0
        batch.put(keys.PRUNED, keys.number_bytes(oldest))
        with self._database.items(keys.HISTORY, after(keys.HISTORY)) as items:
            for key, _ in items:
                if int.from_bytes(key[-8:], "big") <= oldest:
                    batch.delete(key)
                    count += 1
                    if count % SWEEP_BATCH == 0:
                        self._database.commit(batch)
                        batch = self._database.batch()
        self._database.commit(batch)
        self._pruned = self._staged_pruned = oldest


def oldest_readable(reader: Reader) -> int:
    """The lowest block whose state can be read."""
    stored = reader.get(keys.PRUNED)
    return int.from_bytes(stored, "big") if stored else 0


def read_undo(reader: Reader, number: int) -> Undo:
    """Raises: StateUnavailable when the record is no longer (or not yet) there."""
    stored = reader.get(keys.UNDO + keys.number_bytes(number))
    if stored is None:
        raise StateUnavailable(f"the undo record of block {number} is not kept any more")
    return decode_undo(stored)


def _keys(prefix: bytes, *parts: Column) -> Column:
    """Rows prefix | parts; a one-dimensional part is the same in each row."""
    count = len(parts[0])
    width = len(prefix) + sum(part.shape[-1] for part in parts)
    matrix = np.empty((count, width), np.uint8)
    matrix[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    cursor = len(prefix)
    for part in parts:
        matrix[:, cursor : cursor + part.shape[-1]] = part
        cursor += part.shape[-1]
    return matrix


def _put_all(batch: Batch, names: list[bytes], values: list[bytes]) -> None:
    put = batch.put
    for name, value in zip(names, values, strict=True):
        put(name, value)


def _put_flat(batch: Batch, items: Iterable[tuple[bytes, bytes]], absence: bytes = b"") -> None:
    """Empty values are absence, and stored as such: not at all, unless there is a word for it."""
    put, delete = batch.put, batch.delete
    for name, value in items:
        if value or absence:
            put(name, value or absence)
        else:
            delete(name)


class NodeWrites(Protocol):
    """A `Forest`, or what stands where one does."""

    def encoded_writes(self) -> tuple[Iterable[tuple[bytes, bytes]], Iterable[bytes]]: ...


def nodes_of(forest: NodeWrites) -> Iterable[tuple[bytes, bytes]]:
    """The node writes of the pending apply as `StateStore.stage` takes them."""
    puts, deletes = forest.encoded_writes()
    return itertools.chain(puts, ((key, b"") for key in deletes))
