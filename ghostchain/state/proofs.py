"""Proofs of the state at a recent block, without keeping old trie nodes.

The trie on disk and in the node buffer is that of the head. For a block some way behind it, the
undo records of the blocks in between give the old values of all that changed since; applied to a
forest in memory they rewind the trie, and its root must be the one in the block's header. The
forest stands on a snapshot, so the chain goes on meanwhile, and is kept for further proofs.

Cost: rewinding takes about 5 microseconds for each account or slot changed since the block.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.errors import StateUnavailable, StorageCorrupt
from ghostchain.primitives.types import EMPTY_ROOT, Address, Hash32
from ghostchain.state import keys
from ghostchain.state.changes import change_set
from ghostchain.state.store import PROOF_BLOCKS, nodes_of, read_undo
from ghostchain.state.undo import changes_between, merge_undos
from ghostchain.state.views import View
from ghostchain.storage.database import Snapshot
from ghostchain.trie.merkle import ChangeSet, Forest, node_key

FORESTS_KEPT = 2
# A forest goes when the head is so many blocks beyond it: its snapshot keeps the database from
# dropping what was overwritten since.
BLOCKS_KEPT = 16
CACHE_BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class SlotProof:
    """A slot's value and the trie nodes from the storage root down, RLP each."""

    key: Hash32
    value: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AccountProof:
    """EIP-1186. account is EMPTY where there is none; nodes go from the root down, RLP each."""

    account: Account
    nodes: tuple[bytes, ...]
    slots: tuple[SlotProof, ...]


@dataclass(frozen=True, slots=True)
class TrieBase:
    """The trie of one block: a snapshot of the database at it, and the nodes not yet on disk."""

    number: int
    root: Hash32
    snapshot: Snapshot
    nodes: Mapping[bytes, bytes]


class _RewoundForest:
    """The forest of one block; its nodes are the rewound ones, else those of the base."""

    def __init__(self, base: TrieBase, number: int, root: Hash32) -> None:
        self.lock = threading.Lock()
        self._base = base
        self._nodes: dict[bytes, bytes] = {}
        self._forest = Forest(self._load, base.root, CACHE_BYTES_MAX)
        self.root = root
        if number < base.number:
            self._rewind(number)

    def _load(self, owner: bytes | None, path: bytes) -> bytes | None:
        key = node_key(owner, path)
        for layer in (self._nodes, self._base.nodes):
            node = layer.get(key)
            if node is not None:
                return node or None
        return self._base.snapshot.get(key)

    def _rewind(self, number: int) -> None:
        snapshot = self._base.snapshot
        old = merge_undos(read_undo(snapshot, n) for n in range(self._base.number, number, -1))
        accounts = {
            key: (snapshot.get(keys.ACCOUNT + key) or b"", before)
            for key, before in old.accounts.items()
        }
        slots = {}
        for (owner, slot), before in old.slots.items():
            now = snapshot.get(keys.SLOT + owner + slot) or b""
            slots[owner, slot] = (now.rjust(32, b"\0"), before)
        root = self._forest.apply(change_set(changes_between(accounts, slots)))
        if root != self.root:
            raise StorageCorrupt(
                f"the undo records lead to state root 0x{root.hex()} at block {number}, "
                f"its header says 0x{self.root.hex()}; run `ghostd db verify`"
            )
        self._nodes.update(nodes_of(self._forest))
        self._forest.commit()

    def prove(self, view: View, address: Address, slots: Sequence[Hash32]) -> AccountProof:
        hashed = keccak256(address)
        record = view.account(address, hashed)
        account = EMPTY if record is None else Account.decode(record)
        with self.lock:
            nodes = self._forest.prove(None, self.root, hashed)
            proofs = [self._prove_slot(view, address, hashed, account, slot) for slot in slots]
        return AccountProof(account, tuple(nodes), tuple(proofs))

    def root_after(self, changes: ChangeSet) -> Hash32:
        with self.lock:
            try:
                return self._forest.apply(changes)
            finally:
                self._forest.discard()

    def _prove_slot(
        self, view: View, address: Address, hashed: Hash32, account: Account, slot: Hash32
    ) -> SlotProof:
        if account.storage_root == EMPTY_ROOT:
            return SlotProof(slot, 0, ())
        hashed_slot = keccak256(slot)
        value = view.slot(address, hashed, slot, hashed_slot)
        nodes = self._forest.prove(hashed, account.storage_root, hashed_slot)
        return SlotProof(slot, int.from_bytes(value or b"", "big"), tuple(nodes))


class ProofService:
    """Answers proofs for the head and the 128 blocks behind it. Safe from any thread."""

    def __init__(self, base: Callable[[], TrieBase]) -> None:
        """base: gives the trie of the head, consistent in itself."""
        self._take_base = base
        self._lock = threading.Lock()
        self._forests: OrderedDict[int, tuple[int, _RewoundForest]] = OrderedDict()

    def prove(
        self,
        view: View,
        number: int,
        root: Hash32,
        address: Address,
        slots: Sequence[Hash32],
    ) -> AccountProof:
        """Proofs against root, the state root of block `number`; view is the state there.

        Raises: StateUnavailable when the block is too far behind the head.
        """
        return self._forest_at(number, root).prove(view, address, slots)

    def root_after(self, number: int, root: Hash32, changes: ChangeSet) -> Hash32:
        """The root that the state of block `number`, whose root is given, has after changes.

        Raises: StateUnavailable when the block is too far behind the head.
        """
        return self._forest_at(number, root).root_after(changes)

    def _forest_at(self, number: int, root: Hash32) -> _RewoundForest:
        with self._lock:
            kept = self._forests.get(number)
            if kept is not None:
                self._forests.move_to_end(number)
                return kept[1]
            base = self._take_base()
            if base.number - number > PROOF_BLOCKS:
                raise StateUnavailable(
                    f"proofs reach {PROOF_BLOCKS} blocks back; block {number} is "
                    f"{base.number - number} behind the head"
                )
            forest = _RewoundForest(base, number, root)
            self._forests[number] = (base.number, forest)
            while len(self._forests) > FORESTS_KEPT:
                self._forests.popitem(last=False)
            return forest

    def forget_all(self) -> None:
        """Drops all that was kept: blocks were taken back. Waits for proofs that begin now."""
        with self._lock:
            self._forests.clear()

    def forget_old(self, head: int) -> None:
        """Drops what was kept for blocks long ago. Never waits."""
        if not self._forests or not self._lock.acquire(blocking=False):
            return
        try:
            for number, (base, _) in list(self._forests.items()):
                if head - base > BLOCKS_KEPT:
                    del self._forests[number]
        finally:
            self._lock.release()
