"""The state on disk: what the writer of blocks reads and writes.

One thread stages the changes of a block, or of several one after the other, and seals them; their
one batch is written elsewhere, perhaps while the next blocks already run; `settle` then makes them
the past. Reads here are the writer's own: of a staged block from `stage` on. Everybody else reads
snapshots (`views.py`).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ghostchain.primitives.errors import StateUnavailable, StorageCorrupt
from ghostchain.primitives.types import EMPTY_ROOT
from ghostchain.state import keys
from ghostchain.state.changes import (
    FEW_ROWS,
    TOMBSTONE,
    Changes,
    Column,
    compact_column,
    expand,
    is_small,
    rows,
    trim,
)
from ghostchain.state.undo import ZERO_SLOT, Undo, decode_undo, encode_few, encode_undo
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


@dataclass(frozen=True, slots=True)
class _StagedBlock:
    """A block that is staged, as columns: the accounts it changed, whether they existed, as they
    were before; the owners (places among the accounts) of the slots it changed, and these."""

    number: int
    hashed: Column
    existed: Column
    before: Column
    owners: Column
    slot_hashed: Column
    slot_before: Column

    def old(self) -> list[bytes]:
        """The accounts before, as they are stored."""
        return compact_column(self.before, self.existed)

    def undo(self, old: list[bytes]) -> bytes:
        return encode_undo(self.hashed, old, self.owners, self.slot_hashed, self.slot_before)

    def history(self, old: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """What history is to keep. old: the accounts before, as they are stored."""
        stamp = keys.number_bytes(self.number)
        yield from zip(_keys(keys.HISTORY_ACCOUNT, self.hashed, end=stamp), old, strict=True)
        if not len(self.owners):
            return
        owners = self.hashed[self.owners]
        names = _keys(keys.HISTORY_SLOT, owners, self.slot_hashed, end=stamp)
        values = (trim(value) for value in rows(self.slot_before))
        yield from zip(names, values, strict=True)


@dataclass(frozen=True, slots=True)
class _SmallBlock:
    """The same of a block that changed little: accounts by their hashes, as they are stored, and
    slots by the place of their account, with their hashes and values before."""

    number: int
    accounts: list[tuple[bytes, bytes]]
    slots: list[tuple[int, bytes, bytes]]

    def old(self) -> list[bytes]:
        return [before for _, before in self.accounts]

    def undo(self, old: list[bytes]) -> bytes:
        return encode_few([hashed for hashed, _ in self.accounts], old, self.slots)

    def history(self, old: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        stamp = keys.number_bytes(self.number)
        for hashed, before in self.accounts:
            yield keys.HISTORY_ACCOUNT + hashed + stamp, before
        for owner, hashed, before in self.slots:
            yield keys.HISTORY_SLOT + self.accounts[owner][0] + hashed + stamp, trim(before)


class StateStore:
    """Flat state, history, undo records, code and trie nodes of one chain."""

    def __init__(
        self,
        database: Database,
        *,
        prune_blocks: int | None = None,
        keeps_undos: bool = False,
        node_buffer_bytes_max: int = NODE_BUFFER_BYTES_MAX,
        keeps_images: bool = False,
        is_forked: bool = False,
    ) -> None:
        """prune_blocks: how many blocks behind the head stay readable; None keeps all.
        keeps_undos: undo records stay as long as history does, for rewinds.
        keeps_images: what addresses and keys hash to is kept too (`images_of`).
        is_forked: what is not here is another chain's, so absence is stored (`remote.py`)."""
        self._database = database
        self._keeps_undos = keeps_undos
        self._keeps_images = keeps_images
        self.absence = TOMBSTONE if is_forked else b""
        self._prune_blocks = prune_blocks
        self._nodes: dict[bytes, bytes] = {}
        self._nodes_max = node_buffer_bytes_max // NODE_BYTES
        # The blocks that are staged and not sealed, and what they leave: flat entries and code by
        # database key; empty bytes are absence.
        self._blocks: list[_StagedBlock | _SmallBlock] = []
        self._staged: dict[bytes, bytes] = {}
        # What is sealed and not settled: the same, and trie nodes.
        self._is_sealed = False
        self._sealed: dict[bytes, bytes] = {}
        self._sealed_nodes: dict[bytes, bytes] = {}
        self._sealed_flush = False
        self._sealed_trie = (0, bytes(EMPTY_ROOT))
        stored = database.get(keys.TRIE)
        self._trie = TRIE_VALUE.unpack(stored) if stored else (0, bytes(EMPTY_ROOT))
        self._pruned = oldest_readable(database)
        self._sealed_pruned = self._pruned
        self._undo_first = self._first_undo()

    # Reading the latest state.

    def _latest(self, key: bytes) -> bytes | None:
        for layer in (self._staged, self._sealed):
            found = layer.get(key)
            if found is not None:
                return found or None
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
        for layer in (self._staged, self._sealed):
            found = layer.get(key)
            if found is not None:
                return found
        return self._database.get(key)

    def node(self, owner: bytes | None, path: bytes) -> bytes | None:
        """The trie node at path (nibbles)."""
        key = node_key(owner, path)
        for layer in (self._sealed_nodes, self._nodes):
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
        """Whether what is sealed takes all buffered trie nodes to disk with it."""
        return self._sealed_flush

    @property
    def staged_entries(self) -> int:
        """Flat entries and code of the staged blocks."""
        return len(self._staged)

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

    # Writing blocks.

    def stage(
        self,
        number: int,
        changes: Changes,
        codes: Iterable[tuple[bytes, bytes]] = (),
        besides: Mapping[bytes, bytes] | None = None,
        wiped: Mapping[tuple[bytes, bytes], bytes] | None = None,
    ) -> None:
        """The writer reads block `number`'s state from now on; nothing of `changes` is needed any
        more.

        Shapes: codes are (hash, code); besides: flat entries by database key, where the changes do
        not name them; wiped: of a fork, what slots held before their storage was wiped, by hashes
        of owner and key. Blocks are staged in their order.
        """
        staged = self._staged
        staged.update(besides or {})
        if is_small(changes):
            self._blocks.append(self._stage_small(number, changes))
            staged.update((keys.CODE + code_hash, code) for code_hash, code in codes)
            return
        accounts = changes.accounts
        # Copies, since the columns may be views of memory that the executor takes back.
        hashed = np.ascontiguousarray(accounts["hashed"])
        existed = accounts["existed"].copy()
        before = accounts["before"].copy()
        owners, slot_hashed, slot_before, slot_after = self._slot_columns(changes, wiped or {})
        values = compact_column(accounts["after"], accounts["exists"])
        staged.update(zip(_keys(keys.ACCOUNT, hashed), values, strict=True))
        if len(owners):
            slot_keys = _keys(keys.SLOT, hashed[owners], slot_hashed)
            new_values = [trim(value) for value in rows(slot_after)]
            staged.update(zip(slot_keys, new_values, strict=True))
        staged.update((keys.CODE + code_hash, code) for code_hash, code in codes)
        if self._keeps_images and number > 0:
            staged.update(images_of(changes, whole=bool(self.absence)))
        self._blocks.append(
            _StagedBlock(number, hashed, existed, before, owners, slot_hashed, slot_before)
        )

    def _stage_small(self, number: int, changes: Changes) -> _SmallBlock:
        """As the rest of `stage`, row by row: of a few, that is several times as fast."""
        staged = self._staged
        accounts: list[tuple[bytes, bytes]] = []
        slots: list[tuple[int, bytes, bytes]] = []
        every_image = bool(self.absence)
        keeps_images = self._keeps_images and number > 0
        for place, account in enumerate(changes.small()):
            before, after = account.before, account.after
            accounts.append((account.hashed, before))
            staged[keys.ACCOUNT + account.hashed] = after
            if keeps_images and (every_image or not before):
                staged[keys.IMAGE + account.hashed] = account.address
            for key, hashed, old, new in account.slots:
                slots.append((place, hashed, old))
                staged[keys.SLOT + account.hashed + hashed] = trim(new)
                if keeps_images and (every_image or old == ZERO_SLOT):
                    staged[keys.IMAGE + hashed] = key
        return _SmallBlock(number, accounts, slots)

    def seal(self, root: bytes, nodes: Iterable[tuple[bytes, bytes]]) -> Callable[[Batch], None]:
        """The staged blocks are to be written together. Returns what puts them in a batch, once, on
        any one thread, perhaps while further blocks are staged.

        Shapes: root is of the last one; nodes are (database key, RLP or b"" for deleted), all that
        changed in the trie since the last seal.
        What was sealed before must be settled.
        """
        assert not self._is_sealed, "what was sealed before is settled first"
        assert self._blocks, "blocks are staged before they are sealed"
        self._sealed, self._staged = self._staged, {}
        blocks, self._blocks = self._blocks, []
        number = blocks[-1].number
        self._sealed_nodes = dict(nodes)
        self._sealed_trie = (number, root)
        self._sealed_flush = (
            number == 0
            or number - self._trie[0] >= FLUSH_BLOCKS_MAX
            or len(self._nodes) + len(self._sealed_nodes) > self._nodes_max
        )
        self._is_sealed = True

        def put(batch: Batch) -> None:
            # Sorted, since LevelDB takes neighbours faster.
            _put_flat(batch, sorted(self._sealed.items()), self.absence)
            if self._sealed_flush:
                # The later of two writes to a key holds; merging would copy all of them.
                _put_flat(batch, self._nodes.items())
                _put_flat(batch, self._sealed_nodes.items())
                batch.put(keys.TRIE, TRIE_VALUE.pack(number, root))
            if number > 0:
                self._put_past(batch, blocks)

        return put

    def _put_past(self, batch: Batch, blocks: Sequence[_StagedBlock | _SmallBlock]) -> None:
        """History and undo records of the blocks, and what falls out of the window with them."""
        history: list[tuple[bytes, bytes]] = []
        undos: dict[int, bytes] = {}
        for block in blocks:
            old = block.old()
            history += block.history(old)
            undos[block.number] = block.undo(old)
        history.sort()
        put = batch.put
        for name, value in history:
            put(name, value)
        for number, undo in undos.items():
            put(keys.UNDO + keys.number_bytes(number), undo)
        self._put_pruning(batch, undos)

    def _slot_columns(
        self, changes: Changes, wiped_values: Mapping[tuple[bytes, bytes], bytes]
    ) -> tuple[Column, Column, Column, Column]:
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
            hashed = changes.accounts["hashed"][owner].tobytes()
            for (holder, slot), value in wiped_values.items():
                if holder == hashed:
                    old_values[owner, slot] = value
            for slot, value in self._stored_slots(hashed):
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
        """The slots that the account has as of the last staged block."""
        prefix = keys.SLOT + owner
        with self._database.items(prefix, after(prefix)) as items:
            found = dict(items)
        for layer in (self._sealed, self._staged):
            found.update((key, value) for key, value in layer.items() if key.startswith(prefix))
        return [(key[33:], value.rjust(32, b"\0")) for key, value in found.items() if value]

    def _put_pruning(self, batch: Batch, undos: Mapping[int, bytes]) -> None:
        """Deletes history that falls out of the window, and undo records nobody needs. undos: of
        the blocks in the batch."""
        pruned = self._pruned
        number = self._sealed_trie[0]
        if self._prune_blocks is not None:
            most = pruned + PRUNE_BLOCKS_PER_COMMIT * len(undos)
            oldest = min(number - self._prune_blocks, most)
            while pruned < oldest:
                pruned += 1
                self._delete_history(batch, pruned, undos.get(pruned))
            if pruned != self._pruned:
                batch.put(keys.PRUNED, keys.number_bytes(pruned))
        self._sealed_pruned = pruned
        trie = number if self._sealed_flush else self._trie[0]
        for old in range(self._undo_first, self._undo_end(number, trie, pruned)):
            batch.delete(keys.UNDO + keys.number_bytes(old))

    def _undo_end(self, number: int, trie: int, pruned: int) -> int:
        """The first undo record that is still needed at block `number`."""
        needed = [number - PROOF_BLOCKS, trie]
        if self._prune_blocks is not None or self._keeps_undos:
            needed.append(pruned)
        return min(needed) + 1

    def _delete_history(self, batch: Batch, number: int, stored: bytes | None) -> None:
        """stored: the undo record of a block that is in the same batch."""
        stamp = keys.number_bytes(number)
        if stored is None:
            stored = self._database.get(keys.UNDO + stamp)
        if stored is None:
            raise StorageCorrupt(f"the undo record of block {number} is missing")
        undo = decode_undo(stored)
        for hashed in undo.accounts:
            batch.delete(keys.HISTORY_ACCOUNT + hashed + stamp)
        for owner, slot in undo.slots:
            batch.delete(keys.HISTORY_SLOT + owner + slot + stamp)

    def settle(self) -> None:
        """What was sealed is durable and the past of what comes next."""
        if self._sealed_flush:
            self._nodes = {}
            self._trie = self._sealed_trie
        else:
            self._nodes.update(self._sealed_nodes)
        self._sealed = {}
        self._sealed_nodes = {}
        self._is_sealed = False
        self._pruned = self._sealed_pruned
        end = self._undo_end(self._sealed_trie[0], self._trie[0], self._pruned)
        self._undo_first = max(self._undo_first, end)

    def stage_trie(
        self, batch: Batch, number: int, root: bytes, nodes: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """The trie is that of block `number`, behind the head, once the batch is written and
        `settle` called. On disk it is, too, if it was beyond that block there, or is far behind."""
        assert not self._is_sealed, "what was sealed before is settled first"
        assert not self._blocks, "no block is staged"
        self._sealed_nodes = dict(nodes)
        self._sealed_trie = (number, root)
        self._sealed_flush = (
            self._trie[0] > number or len(self._nodes) + len(self._sealed_nodes) > self._nodes_max
        )
        if self._sealed_flush:
            _put_flat(batch, self._nodes.items())
            _put_flat(batch, self._sealed_nodes.items())
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
        self._pruned = self._sealed_pruned = oldest


def oldest_readable(reader: Reader) -> int:
    """The lowest block whose state can be read."""
    stored = reader.get(keys.PRUNED)
    return int.from_bytes(stored, "big") if stored else 0


def stored_undo(reader: Reader, number: int, bytes_max: int) -> bytes:
    """The undo record of a block, undecoded; b"" where it is not kept, or larger."""
    stored = reader.get(keys.UNDO + keys.number_bytes(number))
    return b"" if stored is None or len(stored) > bytes_max else stored


def read_undo(reader: Reader, number: int) -> Undo:
    """Raises: StateUnavailable when the record is no longer (or not yet) there."""
    stored = reader.get(keys.UNDO + keys.number_bytes(number))
    if stored is None:
        raise StateUnavailable(f"the undo record of block {number} is not kept any more")
    return decode_undo(stored)


def _keys(prefix: bytes, *parts: Column, end: bytes = b"") -> list[bytes]:
    """prefix | parts | end of each row."""
    if len(parts[0]) <= FEW_ROWS:
        return [b"".join((prefix, *row, end)) for row in zip(*map(rows, parts), strict=True)]
    count = len(parts[0])
    width = len(prefix) + sum(part.shape[1] for part in parts) + len(end)
    matrix = np.empty((count, width), np.uint8)
    matrix[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    matrix[:, width - len(end) :] = np.frombuffer(end, np.uint8)
    cursor = len(prefix)
    for part in parts:
        matrix[:, cursor : cursor + part.shape[1]] = part
        cursor += part.shape[1]
    return rows(matrix)


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
    """The node writes of a forest as `StateStore.seal` takes them."""
    puts, deletes = forest.encoded_writes()
    return itertools.chain(puts, ((key, b"") for key in deletes))


def images_of(changes: Changes, *, whole: bool) -> list[tuple[bytes, bytes]]:
    """Entries that name what new accounts and slots of a block hash from; whole: those of all that
    it changed, where what was before may be another chain's."""
    accounts, slots = changes.accounts, changes.slots
    if not whole:
        accounts = accounts[accounts["existed"] == 0]
        slots = slots[~slots["before"].any(axis=1)]
    return [
        (keys.IMAGE + hashed, image)
        for column, name in ((accounts, "address"), (slots, "key"))
        for hashed, image in zip(rows(column["hashed"]), rows(column[name]), strict=True)
    ]
