"""The flat state in chunks, for nodes that begin from it, and the state out of such chunks.

A chunk is a run of entries. Accounts come in the order of their hashed addresses, each followed by
its code, where no account before it had the same, and by its slots in the order of their hashed
keys; chunks are cut between entries, anywhere:

    a | hashed address 32 | length 1 | record as it is stored (24 or 104 bytes)
    c | length 4 | code
    s | hashed key 32 | length 1 | value without leading zeros

The same state gives the same chunks on every node. Whoever loads them computes all storage roots
and the state root anew, so that nothing in a chunk is believed which the root does not say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.manifests import CHUNK_BYTES_MAX
from ghostchain.primitives.errors import EncodingReason, InvalidEncoding
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Hash32
from ghostchain.state import keys
from ghostchain.state.changes import FULL_BYTES, PLAIN_BYTES, change_set, compact, expand
from ghostchain.state.store import TRIE_VALUE, nodes_of
from ghostchain.state.undo import changes_between
from ghostchain.storage.database import Batch, Database, Reader, after
from ghostchain.trie.merkle import Forest, node_key

CODE_BYTES_MAX = 256 << 10
ACCOUNT_ENTRY = struct.Struct(">c32sB")
CODE_ENTRY = struct.Struct(">cI")
BATCH_KEYS = 50_000
"""Accounts and slots that are put into the trie and the database at once."""
LOADING_CACHE_BYTES = 64 << 20


@dataclass(slots=True)
class Counts:
    """What chunks hold, so far."""

    accounts: int = 0
    slots: int = 0
    codes: int = 0
    bytes_total: int = 0


def state_chunks(reader: Reader, counts: Counts) -> Iterator[bytes]:
    """The chunks of the flat state of a reader, at least one. counts is kept up to date.

    Cost: one pass over accounts and slots, about a microsecond an entry; memory for one chunk and
    the hashes of all codes.
    """
    parts: list[bytes] = []
    size = 0
    for entry in _entries(reader, counts):
        if size + len(entry) > CHUNK_BYTES_MAX:
            counts.bytes_total += size
            yield b"".join(parts)
            parts, size = [], 0
        parts.append(entry)
        size += len(entry)
    counts.bytes_total += size
    yield b"".join(parts)


def _entries(reader: Reader, counts: Counts) -> Iterator[bytes]:
    codes: set[bytes] = {bytes(EMPTY_CODE_HASH)}
    with (
        reader.items(keys.ACCOUNT, after(keys.ACCOUNT)) as accounts,
        reader.items(keys.SLOT, after(keys.SLOT)) as slots,
    ):
        slot = next(slots, None)
        for key, record in accounts:
            counts.accounts += 1
            yield ACCOUNT_ENTRY.pack(b"a", key[1:], len(record)) + record
            if len(record) == PLAIN_BYTES:
                continue
            code_hash = record[72:]
            if code_hash not in codes:
                codes.add(code_hash)
                code = reader.get(keys.CODE + code_hash)
                assert code is not None, "an account's code is in the database"
                counts.codes += 1
                yield CODE_ENTRY.pack(b"c", len(code)) + code
            owner = key[1:]
            while slot is not None and slot[0][1:33] == owner:
                counts.slots += 1
                yield ACCOUNT_ENTRY.pack(b"s", slot[0][33:], len(slot[1])) + slot[1]
                slot = next(slots, None)


class StateLoader:
    """Makes the state of chunks, given in order, in an empty database.

    Flat entries, codes and the trie are written as the chunks come, not durably; the caller's batch
    with what `finish` puts there must be.
    """

    def __init__(self, database: Database) -> None:
        self.counts = Counts()
        self._database = database
        self._forest = Forest(self._node, EMPTY_ROOT, LOADING_CACHE_BYTES)
        self._root = EMPTY_ROOT
        self._accounts: dict[bytes, tuple[bytes, bytes]] = {}
        self._slots: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._codes: dict[bytes, bytes] = {}
        self._known_codes: set[bytes] = {bytes(EMPTY_CODE_HASH)}
        # The latest account, which more slots may follow, and whether it lacks its code yet.
        self._owner = b""
        self._record = b""
        self._slot = b""
        self._is_code_due = False

    def _node(self, owner: bytes | None, path: bytes) -> bytes | None:
        return self._database.get(node_key(owner, path))

    def add(self, chunk: bytes) -> None:
        """The next chunk.

        Raises: InvalidEncoding for what no chunk of a state is; StorageFailed.
        Cost: a few microseconds an entry.
        """
        if len(chunk) > CHUNK_BYTES_MAX:
            raise InvalidEncoding(EncodingReason.TOO_LONG, f"a chunk of {len(chunk)} bytes")
        self.counts.bytes_total += len(chunk)
        cursor = 0
        try:
            while cursor < len(chunk):
                cursor = _READERS[chunk[cursor]](self, chunk, cursor)
        except (struct.error, KeyError, IndexError) as failure:
            raise InvalidEncoding(EncodingReason.TRUNCATED, f"a chunk: {failure!r}") from failure
        if len(self._accounts) + len(self._slots) >= BATCH_KEYS:
            self._write()

    def _add_account(self, chunk: bytes, cursor: int) -> int:
        hashed, length = _named(chunk, cursor)
        start = cursor + ACCOUNT_ENTRY.size
        stored = _slice(chunk, start, length)
        if hashed <= self._owner and self.counts.accounts:
            raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "accounts out of order")
        if length not in (PLAIN_BYTES, FULL_BYTES):
            raise InvalidEncoding(EncodingReason.FIELD_WIDTH, f"an account of {length} bytes")
        record = expand(stored)
        assert record is not None
        if compact(record) != stored:
            raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "an account in a longer form")
        self._refuse_missing_code()
        self._owner, self._record, self._slot = hashed, record, b""
        self._is_code_due = record[72:] not in self._known_codes
        self._accounts[hashed] = b"", stored
        self.counts.accounts += 1
        return start + length

    def _add_code(self, chunk: bytes, cursor: int) -> int:
        length: int = CODE_ENTRY.unpack_from(chunk, cursor)[1]
        if not self._is_code_due or not 0 < length <= CODE_BYTES_MAX:
            raise InvalidEncoding(EncodingReason.NOT_CANONICAL, f"a code of {length} bytes here")
        start = cursor + CODE_ENTRY.size
        code = _slice(chunk, start, length)
        code_hash = self._record[72:]
        if keccak256(code) != code_hash:
            raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "a code that is not the account's")
        self._codes[code_hash] = code
        self._known_codes.add(code_hash)
        self._is_code_due = False
        self.counts.codes += 1
        return start + length

    def _add_slot(self, chunk: bytes, cursor: int) -> int:
        hashed, length = _named(chunk, cursor)
        start = cursor + ACCOUNT_ENTRY.size
        value = _slice(chunk, start, length)
        if not 1 <= length <= 32 or value[0] == 0:
            raise InvalidEncoding(EncodingReason.FIELD_WIDTH, f"a slot of {length} bytes")
        if not self.counts.accounts or (self._slot and hashed <= self._slot):
            raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "slots out of order")
        self._refuse_missing_code()
        self._slot = hashed
        self._slots[self._owner, hashed] = bytes(32), value.rjust(32, b"\0")
        self.counts.slots += 1
        return start + length

    def _refuse_missing_code(self) -> None:
        if self._is_code_due:
            raise InvalidEncoding(EncodingReason.TRUNCATED, "an account without its code")

    def _write(self, *, is_last: bool = False) -> None:
        """What was gathered goes into the trie and to disk.

        Raises: InvalidEncoding when a record has another storage root than its slots.
        """
        changes = changes_between(self._accounts, self._slots)
        self._root = self._forest.apply(change_set(changes))
        roots = changes.accounts["after"]["storage_root"]
        for hashed, computed in zip(sorted(self._accounts), roots, strict=True):
            record = expand(self._accounts[hashed][1])
            assert record is not None
            is_whole = is_last or hashed != self._owner
            if is_whole and record[40:72] != computed.tobytes():
                raise InvalidEncoding(
                    EncodingReason.NOT_CANONICAL,
                    f"account 0x{hashed.hex()}: its slots have another root than it says",
                )
        batch = self._database.batch(is_durable=False)
        for key, node in nodes_of(self._forest):
            batch.put(key, node) if node else batch.delete(key)
        for hashed, (_, stored) in self._accounts.items():
            batch.put(keys.ACCOUNT + hashed, stored)
        for (owner, hashed), (_, value) in self._slots.items():
            batch.put(keys.SLOT + owner + hashed, value.lstrip(b"\0"))
        for code_hash, code in self._codes.items():
            batch.put(keys.CODE + code_hash, code)
        self._database.commit(batch)
        self._forest.commit()
        # An account that goes on in the next chunk is held against its root when it is whole.
        unfinished = self._accounts.get(self._owner)
        self._accounts = {}
        if unfinished is not None and not is_last:
            self._accounts[self._owner] = unfinished[1], unfinished[1]
        self._slots, self._codes = {}, {}

    def finish(self, height: int, state_root: bytes) -> Callable[[Batch], None]:
        """All chunks were given. Returns what says in a batch that the trie is that of this block,
        and that the state of no earlier one can be read.

        Raises: InvalidEncoding when the state has another root; StorageFailed.
        """
        self._refuse_missing_code()
        self._write(is_last=True)
        if self._root != state_root:
            raise InvalidEncoding(
                EncodingReason.NOT_CANONICAL,
                f"the state has root 0x{self._root.hex()}, not 0x{state_root.hex()}",
            )

        def put(batch: Batch) -> None:
            batch.put(keys.TRIE, TRIE_VALUE.pack(height, state_root))
            batch.put(keys.PRUNED, keys.number_bytes(height))

        return put


def _named(chunk: bytes, cursor: int) -> tuple[bytes, int]:
    """The key and the length of a value, of the entry at cursor. Raises: struct.error."""
    _, hashed, length = ACCOUNT_ENTRY.unpack_from(chunk, cursor)
    return hashed, length


def _slice(chunk: bytes, start: int, length: int) -> bytes:
    if start + length > len(chunk):
        raise InvalidEncoding(EncodingReason.TRUNCATED, "a chunk ends inside an entry")
    return chunk[start : start + length]


_READERS: dict[int, Callable[[StateLoader, bytes, int], int]] = {
    ord("a"): StateLoader._add_account,
    ord("c"): StateLoader._add_code,
    ord("s"): StateLoader._add_slot,
}


def chunk_hash(chunk: bytes) -> Hash32:
    """What a manifest names a chunk by: keccak256 of it, not compressed."""
    return keccak256(chunk)
