"""The state of a chain that was forked from another one: what was written here lies over what the
remote chain had at the block of the fork, which is asked for piece by piece.

What was never written here is not in the database, and is the remote's. What was deleted here is
there, as the tombstone, or the remote's would shine through. Of a storage only the slots that were
written are here; whether the others are the remote's, the root in its account says, which is no
root: there is no trie of a state that lies elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np

from ghostchain._native import ffi
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Address, Hash32
from ghostchain.state import keys
from ghostchain.state.changes import ACCOUNT_CHANGES, SLOT_CHANGES, TOMBSTONE, expand
from ghostchain.state.views import View, checked_code
from ghostchain.trie.merkle import ChangeSet

REMOTE_ROOT = b"\xfe" * 32
"""Stands for the root of a storage whose slots, but for those written here, are the remote's."""
LOCAL_ROOT = b"\xfd" * 32
"""Stands for the root of a storage that began here."""

HISTORY_STORAGE = Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
BEACON_ROOTS = Address(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02"))
RINGS = frozenset({bytes(keccak256(HISTORY_STORAGE)), bytes(keccak256(BEACON_ROOTS))})
RING = 8191
"""Slots of the rings of EIP-2935 and EIP-4788; the latter has a second one behind the first."""


class RemoteView(View, Protocol):
    """The remote chain's state after the block of the fork."""

    def prefetch(
        self, addresses: Collection[bytes], slots: Collection[tuple[bytes, bytes]] = ()
    ) -> None:
        """These accounts, and slots by (address, key), are on their way, together."""

    def guessing(self, missed: Missed) -> AbstractContextManager[None]:
        """Within, on this thread, nobody waits: what is not here is taken for absent and noted, so
        that what was run may be run again when it is. Of code and hashes that are not here
        RemoteNeeded is raised."""

    def impatient(self) -> AbstractContextManager[None]:
        """Within, on this thread, RemoteNeeded is raised for what is not here."""

    def fetched(self, missed: Missed) -> Future[None]:
        """Done when all of it is here, asked for together, or with the first failure."""

    def wait_for(self, answer: Future[None]) -> None:
        """It is done well. Raises: RemoteError; RemoteNeeded where this thread must not wait."""

    def hint(self, call: Mapping[str, Any]) -> None:
        """What a call, as eth_createAccessList takes it, would touch on the remote chain is on its
        way, where the remote can tell."""


Missed = dict[tuple[str, bytes], None]
"""What was not here, in order: (table, name)."""


AS_EVER = nullcontext()


class Stored(Protocol):
    """What is stored here; None where nothing is, TOMBSTONE or b"" for what is absent."""

    @property
    def block_hash(self) -> Any: ...
    def raw_account(self, hashed: bytes) -> bytes | None: ...
    def raw_slot(self, hashed_address: bytes, hashed_key: bytes) -> bytes | None: ...
    def raw_code(self, code_hash: bytes) -> bytes | None: ...


class ForkedView:
    """A view of what is stored here, over the remote's."""

    __slots__ = ("_local", "_missed", "_remote", "_rings")

    def __init__(
        self,
        local: Stored,
        remote: RemoteView,
        rings: frozenset[tuple[bytes, bytes]] = frozenset(),
        missed: Missed | None = None,
    ) -> None:
        """rings: slots that need not be asked for, since they are about to be overwritten. missed:
        as of `guessing`, for all its time."""
        self._local = local
        self._remote = remote
        self._rings = rings
        self._missed = missed

    @property
    def remote(self) -> RemoteView:
        """What lies beneath."""
        return self._remote

    def is_local(self, address: bytes) -> bool:
        """Whether the account was written here."""
        return self._local.raw_account(keccak256(address)) is not None

    @contextmanager
    def guessing(self) -> Iterator[Missed]:
        """As `RemoteView.guessing`, for whoever reads this view meanwhile on whatever thread (an
        executor may run on one of its own), and for this thread. One user at a time."""
        missed: Missed = {}
        self._missed = missed
        try:
            with self._remote.guessing(missed):
                yield missed
        finally:
            self._missed = None

    def _manner(self) -> AbstractContextManager[None]:
        return AS_EVER if self._missed is None else self._remote.guessing(self._missed)

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        stored = self._local.raw_account(hashed)
        if stored is not None:
            return expand(stored)
        with self._manner():
            return self._remote.account(address, hashed)

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        stored = self._local.raw_slot(hashed_address, hashed_key)
        if stored:
            return None if stored == TOMBSTONE else stored.rjust(32, b"\0")
        if stored is not None and hashed_address not in RINGS:
            return None
        if stored is None and (address, key) in self._rings:
            return None
        if not self._is_remote(hashed_address):
            return None
        with self._manner():
            return self._remote.slot(address, hashed_address, key, hashed_key)

    def prefetch(
        self, addresses: Collection[bytes], slots: Collection[tuple[bytes, bytes]] = ()
    ) -> None:
        """These are here, as far as the remote can tell: asked for together where they were never
        written here. What fails is asked for again when it is needed."""
        raw = self._local.raw_account
        wanted = [address for address in addresses if raw(keccak256(address)) is None]
        self._remote.prefetch(
            wanted,
            [
                (address, key)
                for address, key in slots
                if self._local.raw_slot(keccak256(address), keccak256(key)) is None
                and self._is_remote(keccak256(address))
            ],
        )

    def _is_remote(self, hashed_address: bytes) -> bool:
        """Whether slots that are not here are the remote's."""
        account = self._local.raw_account(hashed_address)
        return account is None or account[40:72] == REMOTE_ROOT

    def code(self, code_hash: bytes) -> bytes:
        stored = self._local.raw_code(code_hash)
        if stored is None and code_hash != EMPTY_CODE_HASH:
            with self._manner():
                return self._remote.code(code_hash)
        return checked_code(stored, code_hash)

    def block_hash(self, number: int) -> bytes | None:
        found: bytes | None = self._local.block_hash(number)
        if found is not None:
            return found
        with self._manner():
            return self._remote.block_hash(number)


def forked_beneath(view: object) -> ForkedView | None:
    """The forked view that this one is, or lies over; None where there is none."""
    while view is not None and not isinstance(view, ForkedView):
        view = getattr(view, "_base", None)
    return view


def ring_slots(number: int, timestamp: int) -> frozenset[tuple[bytes, bytes]]:
    """The slots that the system calls of a block overwrite without looking at them.

    A block would else begin with three questions to the remote node whose answers do not matter.
    What was in them before is not kept in history then: a read of an earlier state finds nothing
    there, and asks the remote, which is right but for a slot that was set to zero here and written
    again a whole ring later.
    """
    beacon = timestamp % RING
    return frozenset(
        {
            (bytes(HISTORY_STORAGE), ((number - 1) % RING).to_bytes(32, "big")),
            (bytes(BEACON_ROOTS), beacon.to_bytes(32, "big")),
            (bytes(BEACON_ROOTS), (beacon + RING).to_bytes(32, "big")),
        }
    )


def zeroed_by(timestamp: int, beacon_root: bytes) -> dict[bytes, bytes]:
    """What a block writes beside its changes, by database key: of the slots that were not asked
    for, the one that it set to zero, which looks like no change."""
    if any(beacon_root):
        return {}
    key = (timestamp % RING + RING).to_bytes(32, "big")
    return {keys.SLOT + keccak256(BEACON_ROOTS) + keccak256(key): b""}


class ChangeLedger:
    """Stands where a trie does: the "state root" of a block is keccak256 of its parent's and of all
    that the block changed. Methods as `trie.merkle.Forest` has them."""

    def __init__(self, root: bytes) -> None:
        self._root = Hash32(bytes(root))
        self._pending = self._root

    @property
    def memory(self) -> int:
        return 0

    def apply(self, changes: ChangeSet) -> Hash32:
        """The root after the changes, pending; each changed account's storage root says where its
        slots are."""
        accounts = _writable(changes.accounts, changes.account_count, ACCOUNT_CHANGES)
        slots = _writable(changes.slots, changes.slot_count, SLOT_CHANGES)
        for account in accounts:
            if account["exists"]:
                first = int(account["slot_first"])
                written = slots["after"][first : first + int(account["slot_count"])]
                _mark(account["after"]["storage_root"], bool(written.any()))
        self._pending = keccak256(self._root + canonical(accounts, slots))
        return self._pending

    def go_back(self, root: bytes) -> None:
        """The root of an earlier block is pending, whatever was applied."""
        self._pending = Hash32(bytes(root))

    def commit(self) -> None:
        self._root = self._pending

    def discard(self) -> None:
        self._pending = self._root

    def encoded_writes(self) -> tuple[Iterable[tuple[bytes, bytes]], Iterable[bytes]]:
        """There are no nodes."""
        return (), ()

    def saved(self) -> None:
        """Nothing is kept for the store."""


def _mark(root: Any, has_slots: bool) -> None:
    """root: the column of a storage root, holding the one before the block, or the empty one when
    the storage was wiped."""
    before = root.tobytes()
    if before == EMPTY_ROOT and has_slots:
        root[:] = np.frombuffer(LOCAL_ROOT, np.uint8)


def _writable(pointer: Any, count: int, kind: np.dtype[Any]) -> Any:
    if count == 0:
        return np.zeros(0, kind)
    return np.frombuffer(ffi.buffer(pointer, count * kind.itemsize), kind)


def canonical(accounts: Any, slots: Any) -> bytes:
    """A change set as bytes, the same whoever made it: accounts by hash (exists, wiped, nonce,
    balance, code hash, number of slots), then the slots of all of them."""
    after = accounts["after"]
    parts = [len(accounts).to_bytes(8, "big")]
    for index in range(len(accounts)):
        record = after[index]
        exists = bool(accounts["exists"][index])
        parts.append(accounts["hashed"][index].tobytes())
        parts.append(bytes([exists, bool(accounts["storage_wiped"][index])]))
        if exists:
            parts.append(int(record["nonce"]).to_bytes(8, "big"))
            parts.append(record["balance"].tobytes())
            parts.append(record["code_hash"].tobytes())
        parts.append(int(accounts["slot_count"][index]).to_bytes(8, "big"))
    parts.append(slots["hashed"].tobytes())
    parts.append(slots["after"].tobytes())
    return b"".join(parts)


def wiped_values(accounts: Any, slots: Any, view: View) -> dict[tuple[bytes, bytes], bytes]:
    """What the slots held that a block wrote after it had wiped their storage, by hashes of owner
    and key. view: the state before the block; execution has not looked."""
    found = {}
    for index in np.flatnonzero(accounts["storage_wiped"] & accounts["existed"]).tolist():
        account = accounts[index]
        address, hashed = account["address"].tobytes(), account["hashed"].tobytes()
        first = int(account["slot_first"])
        for slot in slots[first : first + int(account["slot_count"])]:
            key, hashed_key = slot["key"].tobytes(), slot["hashed"].tobytes()
            value = view.slot(address, hashed, key, hashed_key)
            found[hashed, hashed_key] = value or bytes(32)
    return found


def foreign_codes(
    accounts: Any, local: Stored, remote: View, own: Iterable[tuple[bytes, bytes]]
) -> list[tuple[Hash32, bytes]]:
    """(hash, code) of all that the accounts of a change name and that is not kept here yet, so that
    what is stored here never depends on a cache."""
    known = {bytes(code_hash) for code_hash, _ in own} | {bytes(EMPTY_CODE_HASH)}
    found = []
    for side, present in (("before", "existed"), ("after", "exists")):
        for index in np.flatnonzero(accounts[present]).tolist():
            code_hash = accounts[side][index]["code_hash"].tobytes()
            if code_hash not in known:
                known.add(code_hash)
                if local.raw_code(code_hash) is None:
                    found.append((Hash32(code_hash), remote.code(code_hash)))
    return found
