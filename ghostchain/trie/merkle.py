"""Merkle-Patricia tries: the door to `native/merkle`.

Spec: Yellow Paper, appendix D (tries), appendix C (hex-prefix encoding), appendix B (RLP).
Oracle: a small trie in plain Python and the TrieTests of ethereum/tests, in
tests/oracle/test_merkle.py; random histories in tests/property/test_trie.py.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.crypto.keccak import keccak256_batch
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.types import Hash32
from ghostchain.trie.proofs import split_nodes, verify_proof

__all__ = ["ChangeSet", "Forest", "node_key", "ordered_root", "root_of", "verify_proof"]

# (nonce, balance in wei, code hash, storage by 32-byte key as integers)
AccountState = tuple[int, int, bytes, Mapping[bytes, int]]
NodeLoader = Callable[[bytes | None, bytes], bytes | None]


def _views(items: Sequence[bytes]) -> tuple[Any, Any]:
    """A C array of views of items, and the buffer that must outlive it."""
    joined = ffi.from_buffer("uint8_t[]", b"".join(items) or b"\0")
    views = ffi.new("ghost_view[]", len(items))
    position = 0
    for i, item in enumerate(items):
        view = views[i]
        view.data = joined + position
        view.length = len(item)
        position += len(item)
    return views, joined


def _check(status: int) -> None:
    if status == lib.GHOST_OUT_OF_MEMORY:
        raise MemoryError("the native core found no memory for a trie")
    assert status == lib.GHOST_OK, status


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """The root of the trie that maps RLP(index) to items[index].

    Block headers commit so to transactions, receipts and withdrawals. Empty items are absent.
    """
    views, joined = _views(items)
    root = ffi.new("uint8_t[32]")
    _check(lib.ghost_merkle_ordered_root(root, views, len(items)))
    del joined
    return Hash32(bytes(ffi.buffer(root)))


def root_of(mapping: Mapping[bytes, bytes]) -> Hash32:
    """The root of the trie that holds mapping; keys of any lengths, empty values are absent."""
    keys, joined_keys = _views(list(mapping.keys()))
    values, joined_values = _views(list(mapping.values()))
    root = ffi.new("uint8_t[32]")
    _check(lib.ghost_merkle_root(root, keys, values, len(mapping)))
    del joined_keys, joined_values
    return Hash32(bytes(ffi.buffer(root)))


def node_key(owner: bytes | None, path: bytes) -> bytes:
    """The key of a node in an ordered store, as `Forest.encoded_writes` gives it.

    `na` for the account trie, or `ns` and the 32-byte owner for a storage trie; then the path, a
    nibble a byte. So a node stands before all that is below it, and an owner's nodes together.
    """
    return b"na" + path if owner is None else b"ns" + owner + path


class ChangeSet:
    """What a block changed: accounts sorted by hashed address, each with its slots sorted by hashed
    key, in the memory of the native core.

    `accounts` and `slots` are cffi pointers to `ghost_account_change` and `ghost_slot_change`.
    `owner` is whatever keeps that memory alive (an executor result, or the arrays themselves).
    `Forest.apply` writes `after.storage_root` of the accounts.
    """

    __slots__ = ("account_count", "accounts", "owner", "slot_count", "slots")

    def __init__(
        self, *, accounts: Any, account_count: int, slots: Any, slot_count: int, owner: object
    ) -> None:
        self.accounts = accounts
        self.account_count = account_count
        self.slots = slots
        self.slot_count = slot_count
        self.owner = owner

    @classmethod
    def from_accounts(
        cls,
        accounts: Mapping[bytes, AccountState | None],
        *,
        wiped: Collection[bytes] = (),
    ) -> ChangeSet:
        """The changes that give each address this state; None removes the account.

        Slots that are not named keep their values, zero removes one; the addresses in `wiped` lose
        all slots that are not named. Keys are 32 bytes.
        """
        addresses = list(accounts)
        keys = [key for state in accounts.values() if state is not None for key in state[3]]
        hashes = dict(zip(addresses, keccak256_batch(addresses), strict=True))
        hashes |= dict(zip(keys, keccak256_batch(keys), strict=True))
        return cls.from_hashed(accounts, hashes, wiped=wiped)

    @classmethod
    def from_hashed(
        cls,
        accounts: Mapping[bytes, AccountState | None],
        hashes: Mapping[bytes, bytes],
        *,
        wiped: Collection[bytes] = (),
    ) -> ChangeSet:
        """The same, where hashes gives the place in the trie of each address and key."""
        changes = ffi.new("ghost_account_change[]", max(1, len(accounts)))
        slots_max = sum(len(state[3]) for state in accounts.values() if state is not None)
        slots = ffi.new("ghost_slot_change[]", max(1, slots_max))
        slot_count = 0
        for i, address in enumerate(sorted(accounts, key=lambda item: hashes[item])):
            state = accounts[address]
            change = changes[i]
            change.address = address
            change.hashed = hashes[address]
            change.storage_wiped = address in wiped
            change.slot_first = slot_count
            if state is None:
                change.existed = 1
                continue
            nonce, balance, code_hash, storage = state
            change.exists = 1
            change.after.nonce = nonce
            change.after.balance = balance.to_bytes(32, "big")
            change.after.code_hash = code_hash
            change.slot_count = len(storage)
            for key in sorted(storage, key=lambda item: hashes[item]):
                slot = slots[slot_count]
                slot.key = key
                slot.hashed = hashes[key]
                slot.after = storage[key].to_bytes(32, "big")
                slot_count += 1
        return cls(
            accounts=changes,
            account_count=len(accounts),
            slots=slots,
            slot_count=slot_count,
            owner=(changes, slots),
        )


class _Loading:
    """A node loader as the native core calls it: keeps the last node alive and any exception."""

    __slots__ = ("failure", "load", "node")

    def __init__(self, load: NodeLoader) -> None:
        self.load = load
        self.node: Any = None
        self.failure: BaseException | None = None


@ffi.def_extern(name="ghost_python_node", error=-1)  # type: ignore[untyped-decorator]
def _node_of_store(context: Any, owner: Any, path: Any, path_length: int, out: Any) -> int:
    loading: _Loading = ffi.from_handle(context)
    try:
        found = loading.load(
            None if owner == ffi.NULL else ffi.buffer(owner, 32)[:],
            ffi.buffer(path, path_length)[:],
        )
        if found is None:
            return 0
        loading.node = ffi.from_buffer("uint8_t[]", found)
    except BaseException as failure:  # given back by Forest, at the call that led here
        loading.failure = failure
        return -1
    out.data = loading.node
    out.length = len(found)
    return 1


class Forest:
    """The account trie and the storage tries of one state, kept incrementally.

    `load_node(owner, path)` gives the RLP of a node from the store (owner: hashed address, None for
    the account trie; path: nibbles, one a byte), or None. What it gives is believed only if it has
    the hash that the parent holds.

    One `apply` may be pending; `commit` adopts it, `discard` forgets it. Between blocks at most
    about cache_bytes_max bytes of nodes stay in memory, the most recently used.

    With deferred, what changes stays in memory, beyond that bound if need be, until the store asks:
    `encoded_writes` then gives all that it lacks to have the latest state, and `saved`, once that
    is durable and committed, lets go of it. Many blocks change the same nodes near the root, which
    are so written once. The store is then of an older state than the forest, and after a crash the
    changes since must be applied again.

    Calls from several threads take turns; `prove` may be called from any thread at any time and
    speaks of the committed state.
    """

    def __init__(
        self, load_node: NodeLoader, root: bytes, cache_bytes_max: int, *, deferred: bool = False
    ) -> None:
        self._loading = _Loading(load_node)
        self._handle = ffi.new_handle(self._loading)
        loader = ffi.new("ghost_node_loader *")
        loader.context = self._handle
        loader.node = lib.ghost_python_node
        forest = lib.ghost_forest_new(loader, ffi.from_buffer(root), cache_bytes_max)
        if forest == ffi.NULL:
            raise MemoryError("the native core found no memory for a forest")
        self._forest = ffi.gc(forest, lib.ghost_forest_free)
        self._deferred = deferred
        if deferred:
            lib.ghost_forest_defer(forest)
        self._turn = threading.Lock()

    @property
    def memory(self) -> int:
        """Bytes that the forest holds."""
        return int(lib.ghost_forest_memory(self._forest))

    def apply(self, changes: ChangeSet) -> Hash32:
        """The state root after changes, which are pending from now on.

        Raises: StorageCorrupt when the store lacks a node of this state or has another in its
        place; ValueError when changes are not sorted or an apply is pending; whatever load_node
        raised. After any of these nothing is pending that was not before.
        Effects: fills after.storage_root of every account in changes that exists.
        Cost: about a microsecond for each changed key while their nodes are in memory.
        """
        root = ffi.new("uint8_t[32]")
        with self._turn:
            status = lib.ghost_forest_apply(
                self._forest,
                changes.accounts,
                changes.account_count,
                changes.slots,
                changes.slot_count,
                root,
            )
            self._check(status)
        return Hash32(bytes(ffi.buffer(root)))

    def writes(self) -> Iterator[tuple[bytes | None, bytes, bytes]]:
        """(owner, path, node) for each node that the pending apply changes in the store; an empty
        node is to be deleted. No path occurs twice. Not of a deferred forest."""
        assert not self._deferred
        count = ffi.new("size_t *")
        writes = lib.ghost_forest_writes(self._forest, count)
        for i in range(count[0]):
            write = writes[i]
            yield (
                None if write.owner == ffi.NULL else ffi.buffer(write.owner, 32)[:],
                ffi.buffer(write.path, write.path_length)[:],
                ffi.buffer(write.data, write.length)[:] if write.length else b"",
            )

    def encoded_writes(self) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
        """The same for an ordered store: pairs of key and node to put, and keys to delete.

        Of a deferred forest: all that the store lacks, or has and must lose, to have the latest
        state: the pending one, else the committed one.
        Keys are those of `node_key`. No key occurs twice.
        Cost: about a third of a microsecond for each.
        """
        data = ffi.new("uint8_t **")
        ends = ffi.new("size_t **")
        counts = ffi.new("size_t[2]")
        with self._turn:
            self._check(
                lib.ghost_forest_encoded_writes(self._forest, data, ends, counts, counts + 1)
            )
            puts, deletes = counts
            pieces = 2 * puts + deletes
            if pieces == 0:
                return [], []
            bounds = array("Q")
            bounds.frombytes(ffi.buffer(ends[0], 8 * pieces))
            joined = ffi.buffer(data[0], bounds[-1])[:]
        cuts = [0, *bounds]
        ends_of_puts = iter(cuts[1 : 2 * puts + 1])
        pairs = []
        start = 0
        for middle, end in zip(ends_of_puts, ends_of_puts, strict=True):
            pairs.append((joined[start:middle], joined[middle:end]))
            start = end
        rest = cuts[2 * puts :]
        return pairs, [joined[start:end] for start, end in pairwise(rest)]

    def commit(self) -> None:
        """Adopts the pending apply, then drops nodes until the cache is within its bound."""
        with self._turn:
            lib.ghost_forest_commit(self._forest)

    def saved(self) -> None:
        """The store durably has what the last `encoded_writes` gave, and the state of that is
        the committed one. Only of a deferred forest.

        Raises: ValueError while an apply is pending.
        """
        with self._turn:
            self._check(lib.ghost_forest_saved(self._forest))

    def unsaved(self, interest: int) -> int:
        """Bytes that `encoded_writes` would give: never fewer, and about so many when the answer is
        more than interest. Of a deferred forest.

        Cost: next to nothing up to interest; beyond it, now and then, a walk over what is unsaved.
        """
        with self._turn:
            return int(lib.ghost_forest_unsaved(self._forest, interest))

    def discard(self) -> None:
        """Forgets the pending apply; the state is as before it."""
        with self._turn:
            lib.ghost_forest_discard(self._forest)

    def reset(self, root: bytes) -> None:
        """Forgets all that is in memory, pending or not, and starts again from this root."""
        with self._turn:
            lib.ghost_forest_reset(self._forest, ffi.from_buffer(root))

    def prove(self, owner: bytes | None, root: bytes, key_hash: bytes) -> list[bytes]:
        """The nodes from root down to where key_hash is or would be, for `verify_proof`.

        Without owner in the account trie, else in the storage trie of that hashed address.
        Raises: StorageCorrupt, also when root is not of the committed state.
        """
        found = ffi.new("ghost_bytes *")
        with self._turn:
            status = lib.ghost_forest_prove(
                self._forest,
                ffi.NULL if owner is None else ffi.from_buffer(owner),
                ffi.from_buffer(root),
                ffi.from_buffer(key_hash),
                found,
            )
            self._check(status)
        joined = ffi.buffer(found.data, found.length)[:] if found.length else b""
        lib.ghost_bytes_free(found)
        return split_nodes(joined)

    def _check(self, status: int) -> None:
        failure, self._loading.failure = self._loading.failure, None
        self._loading.node = None
        if status == lib.GHOST_LOADER_FAILED:
            assert failure is not None
            raise failure
        if status == lib.GHOST_MISSING:
            raise StorageCorrupt("the store lacks a trie node of this state")
        if status == lib.GHOST_MALFORMED:
            raise ValueError("changes are not sorted by hashed address and key")
        if status == lib.GHOST_REFUSED:
            raise ValueError("an apply is pending: commit or discard it first")
        _check(status)
