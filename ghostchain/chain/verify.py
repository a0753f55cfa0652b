"""`db verify`: the flat state leads to the state root in the head's header, from scratch.

Nothing of the stored trie is used. Flat entries come sorted by hash; each storage and the account
trie are hashed in groups that share the first byte of the key, whose 256 subtrees are then joined
by hand, so that memory holds one group and not the whole state.

Cost: about 10 microseconds an account or slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostchain.chain import index
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.opening import STATE_NAME
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_early_header
from ghostchain.encoding.rlp import encode_bytes, list_of
from ghostchain.primitives.account import ACCOUNT_BYTES, Account
from ghostchain.primitives.errors import ForeignDirectory, StorageCorrupt
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Hash32
from ghostchain.state import keys
from ghostchain.state.changes import expand
from ghostchain.storage.database import Database, Reader, after
from ghostchain.storage.directory import DataDirectory, read_identity
from ghostchain.trie.merkle import root_of

# Below this many leaves a trie is hashed in one call.
WHOLE_LEAVES_MAX = 1 << 16
PROGRESS_ACCOUNTS = 10_000
MISMATCHES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. mismatches: in words, at most some; none means that all agrees."""

    block: int
    accounts: int
    slots: int
    state_root: Hash32
    mismatches: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        return not self.mismatches


def _ignore_progress(accounts: int, slots: int) -> None:
    return


def verify_state(
    reader: Reader, progress: Callable[[int, int], None] = _ignore_progress
) -> Verification:
    """Recomputes the state root of the head from the flat state of a reader.

    progress: told accounts and slots so far, now and then.
    Raises: StorageCorrupt when there is no head.
    """
    head = index.read_head(reader)
    entry = None if head is None else index.read_entry(reader, head.number)
    if head is None or entry is None:
        raise StorageCorrupt("the database holds no chain")
    walk = _Walk(reader, progress)
    with reader.items(keys.SLOT, after(keys.SLOT)) as slots:
        walk.slots = _Peekable(slots)
        root = streamed_root(walk.leaves(), lambda: _Walk(reader, progress).records())
        walk.report_stray_slots(None)
    wanted = index.read_root(reader, decode_early_header(entry.header))
    if root != wanted:
        walk.report(f"state root 0x{root.hex()}, the head's header says 0x{wanted.hex()}")
    return Verification(
        head.number, walk.account_count, walk.slot_count, root, tuple(walk.mismatches)
    )


def verify_directory(
    data_dir: Path,
    genesis: Genesis,
    progress: Callable[[int, int], None] = _ignore_progress,
) -> Verification:
    """`verify_state` of a data directory that no node is using, also of one that does not open as
    a chain because its trie is damaged.

    Raises: StorageError.
    """
    if read_identity(data_dir) is None:
        raise ForeignDirectory(f"{data_dir} holds no chain")
    if not (data_dir / STATE_NAME / "CURRENT").exists():
        # LevelDB would begin an empty database here and sweep away what is left of the old one.
        raise StorageCorrupt(f"{data_dir / STATE_NAME} is missing or incomplete")
    directory = DataDirectory.claim(
        data_dir, genesis_hash=genesis.hash, chain_id=genesis.config.chain_id
    )
    try:
        database = Database.open(data_dir / STATE_NAME)
        try:
            return verify_state(database, progress)
        finally:
            database.close()
    finally:
        directory.close()


class _Peekable:
    """The stored slots in order, one ahead."""

    def __init__(self, items: Iterator[tuple[bytes, bytes]]) -> None:
        self._items = items
        self.next = next(items, None)

    def take(self) -> tuple[bytes, bytes]:
        taken = self.next
        assert taken is not None, "looked before taken"
        self.next = next(self._items, None)
        return taken


class _Walk:
    """One pass over accounts and, in step, their slots."""

    slots: _Peekable

    def __init__(self, reader: Reader, progress: Callable[[int, int], None]) -> None:
        self._reader = reader
        self._progress = progress
        self._codes: set[bytes] = set()
        self.account_count = 0
        self.slot_count = 0
        self.mismatches: list[str] = []

    def report(self, text: str) -> None:
        if len(self.mismatches) < MISMATCHES_SHOWN:
            self.mismatches.append(text)

    def leaves(self) -> Iterator[tuple[bytes, bytes]]:
        """Hashed address and leaf of every account; storage roots are those computed here."""
        with self._reader.items(keys.ACCOUNT, after(keys.ACCOUNT)) as items:
            for key, stored in items:
                hashed = key[1:]
                self.report_stray_slots(hashed)
                record = expand(stored)
                if record is None or len(record) != ACCOUNT_BYTES:
                    self.report(f"account 0x{hashed.hex()}: the record is damaged")
                    continue
                account = Account.decode(record)
                root = self._storage_root(hashed)
                if root != account.storage_root:
                    self.report(
                        f"account 0x{hashed.hex()}: storage root 0x{root.hex()}, the record "
                        f"says 0x{account.storage_root.hex()}"
                    )
                self._check_code(hashed, account.code_hash)
                self.account_count += 1
                if self.account_count % PROGRESS_ACCOUNTS == 0:
                    self._progress(self.account_count, self.slot_count)
                yield hashed, account_leaf(record, root)

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """The leaves with storage roots as the records have them."""
        with self._reader.items(keys.ACCOUNT, after(keys.ACCOUNT)) as items:
            for key, stored in items:
                record = expand(stored)
                if record is not None and len(record) == ACCOUNT_BYTES:
                    yield key[1:], account_leaf(record, record[40:72])

    def _storage_root(self, owner: bytes) -> Hash32:
        prefix = keys.SLOT + owner

        def again() -> Iterator[tuple[bytes, bytes]]:
            with self._reader.items(prefix, after(prefix)) as items:
                for key, value in items:
                    yield key[33:], encode_bytes(value)

        return streamed_root(self._slot_leaves(owner), again)

    def _slot_leaves(self, owner: bytes) -> Iterator[tuple[bytes, bytes]]:
        prefix = keys.SLOT + owner
        while self.slots.next is not None and self.slots.next[0].startswith(prefix):
            key, value = self.slots.take()
            self.slot_count += 1
            yield key[33:], encode_bytes(value)

    def report_stray_slots(self, before: bytes | None) -> None:
        """Slots whose owner sorts before this account belong to none."""
        while self.slots.next is not None:
            owner = self.slots.next[0][1:33]
            if before is not None and owner >= before:
                return
            self.report(f"a slot of 0x{owner.hex()}, which is no account")
            self.slots.take()

    def _check_code(self, hashed: bytes, code_hash: bytes) -> None:
        if code_hash == EMPTY_CODE_HASH or code_hash in self._codes:
            return
        code = self._reader.get(keys.CODE + code_hash)
        if code is None or keccak256(code) != code_hash:
            self.report(f"account 0x{hashed.hex()}: its code is missing or damaged")
        self._codes.add(code_hash)


def account_leaf(record: bytes, storage_root: bytes) -> bytes:
    """The RLP of an account in the trie, from its flat record."""
    return list_of(
        (
            encode_bytes(record[:8].lstrip(b"\0")),
            encode_bytes(record[8:40].lstrip(b"\0")),
            encode_bytes(storage_root),
            encode_bytes(record[72:104]),
        )
    )


def streamed_root(
    leaves: Iterator[tuple[bytes, bytes]], again: Callable[[], Iterator[tuple[bytes, bytes]]]
) -> Hash32:
    """The root of the trie of these leaves: 32-byte keys, ascending, no empty values.

    again: gives the leaves once more. Needed only for a large storage whose slots were chosen so
    that some group stands alone, which must then be hashed as a whole.
    """
    held: dict[bytes, bytes] = {}
    for key, value in leaves:
        held[key] = value
        if len(held) > WHOLE_LEAVES_MAX:
            root = _join(_group_roots(held, leaves))
            return root_of(dict(again())) if root is None else root
    return root_of(held) if held else EMPTY_ROOT


def _group_roots(
    held: dict[bytes, bytes], leaves: Iterator[tuple[bytes, bytes]]
) -> dict[int, Hash32]:
    """The roots of the subtrees below each first byte. held: the first of the leaves; emptied."""
    roots: dict[int, Hash32] = {}
    group: dict[bytes, bytes] = {}
    current = 0
    for source in (iter(sorted(held.items())), leaves):
        held.clear()
        for key, value in source:
            if key[0] != current and group:
                roots[current] = root_of(group)
                group.clear()
            current = key[0]
            group[key[1:]] = value
    roots[current] = root_of(group)
    return roots


def _join(roots: dict[int, Hash32]) -> Hash32 | None:
    """The root over subtrees, which are at least 32 bytes of RLP each and so referred to by hash.

    None when a nibble has a single subtree below it, since that one would then begin higher.
    """
    branches = []
    for high in range(16):
        children = [roots.get(high << 4 | low) for low in range(16)]
        present = 16 - children.count(None)
        if present == 1:
            return None
        branches.append(_branch(children) if present else None)
    return None if branches.count(None) >= 15 else _branch(branches)


def _branch(children: list[Hash32 | None]) -> Hash32:
    parts = [b"\x80" if child is None else encode_bytes(child) for child in children]
    return keccak256(list_of([*parts, b"\x80"]))
