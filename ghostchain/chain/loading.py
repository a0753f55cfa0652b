"""A chain put together from what another node says of itself: blocks verbatim, the states that it
knows of them, and the one after the last.

Nothing is run. Headers follow one another by their hashes; beside them stand the bodies and
receipts that came along, and states as flat records, history and undo records, as if the blocks had
been made here. So all that reads a chain reads this one, and what follows is an ordinary chain.

A state need not have the root that its header names (what was changed by hand after a block is in
it already); then its own root is noted (`index.put_root`). Blocks are marked as made by hand: they
cannot be exported, since nobody else could run them from genesis on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostchain.chain import index
from ghostchain.chain.amendments import NO_AMENDMENTS, encode_amendments
from ghostchain.chain.genesis import Genesis, GenesisAccount, genesis_changes
from ghostchain.chain.opening import (
    BLOCKS_NAME,
    RECOVERY_CACHE_BYTES,
    STATE_NAME,
    claim,
    put_images,
)
from ghostchain.chain.records import AMENDMENTS, BODY, RECEIPTS, tag_of
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_header
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Address, Hash32
from ghostchain.state import keys
from ghostchain.state.changes import Changes, change_set, compact, expand
from ghostchain.state.keys import number_bytes
from ghostchain.state.store import StateStore, nodes_of
from ghostchain.state.undo import changes_between
from ghostchain.storage.database import Batch, Database
from ghostchain.storage.files import FIRST, SegmentLog
from ghostchain.trie.merkle import Forest

State = Mapping[Address, GenesisAccount]


@dataclass(frozen=True, slots=True)
class LoadedBody:
    """What came with a header. body, receipts: records as of `records.py`; hashes: of the
    transactions, in order; names: other hashes by which they are asked for, with their places."""

    body: bytes
    receipts: bytes
    hashes: Sequence[bytes]
    names: Sequence[tuple[bytes, int]] = ()


@dataclass(frozen=True, slots=True)
class LoadedBlock:
    """A block of the other chain. body None: only its header is known."""

    header: Header
    hash: Hash32
    body: LoadedBody | None


@dataclass(frozen=True, slots=True)
class LoadedChain:
    """blocks: linked, rising, not empty; those after the first have bodies. oldest: the lowest
    block whose state is known, as that of all after it is. chain_ids: as of `ChainConfig`."""

    blocks: Sequence[LoadedBlock]
    oldest: int
    chain_ids: tuple[tuple[int, int], ...] = ()


def put_together(
    path: Path, genesis: Genesis, loaded: LoadedChain, states: Iterator[State]
) -> None:
    """The directory, which was not there, holds the chain. genesis: its header is the first
    block's. states: whole, from `loaded.oldest` on; consumed one by one.

    Cost: of the first state all, of each further one a comparison with the one before it; about 20
    microseconds for an account or slot that differs. Raises: StorageError, and as states does.
    """
    directory = claim(path, genesis, is_loaded=True)
    try:
        database = Database.open(path / STATE_NAME)
        try:
            files = SegmentLog(path / BLOCKS_NAME, "blocks", identity=genesis.hash)
            try:
                files.set_end(FIRST)
                _Loader(database, files).load(loaded, states)
            finally:
                files.close()
        finally:
            database.close()
    finally:
        directory.close()


class _Loader:
    """Writes into an empty database and empty block files."""

    def __init__(self, database: Database, files: SegmentLog) -> None:
        self._database = database
        self._files = files
        self._state = StateStore(database, keeps_undos=True)
        self._forest = Forest(self._state.node, EMPTY_ROOT, RECOVERY_CACHE_BYTES, deferred=True)

    def load(self, loaded: LoadedChain, states: Iterator[State]) -> None:
        blocks = loaded.blocks
        first, last = blocks[0].header.number, blocks[-1].header
        for block in blocks:
            batch = self._database.batch(is_durable=False)
            self._put_block(batch, block, is_first=block is blocks[0])
            self._database.commit(batch)
        before: State = {}
        root: bytes = EMPTY_ROOT
        oldest = loaded.oldest
        for number, state in enumerate(states, oldest):
            batch = self._database.batch(is_durable=False)
            root = self._put_state(batch, number, before, state, is_first=number == oldest)
            if root != blocks[number - first].header.state_root:
                index.put_root(batch, number, root)
            self._database.commit(batch)
            self._forest.saved()
            self._state.settle()
            before = state
        self._state.flush_nodes(last.number, root)
        self._files.sync()
        batch = self._database.batch()
        batch.put(keys.PRUNED, number_bytes(oldest))
        if first > 0:
            # The bloom file is filled from the headers after this one on opening.
            batch.put(index.BLOOMS, number_bytes(first - 1))
            batch.put(index.BEGIN, number_bytes(first))
        if loaded.chain_ids:
            index.put_chain_ids(batch, loaded.chain_ids)
        index.put_head(batch, last.number, blocks[-1].hash, self._files.end)
        self._database.commit(batch)

    def _put_block(self, batch: Batch, block: LoadedBlock, *, is_first: bool) -> None:
        header, body = block.header, block.body
        number, locators = header.number, None
        if not is_first and body is not None:
            records = [
                (tag_of(number, AMENDMENTS), [encode_amendments(NO_AMENDMENTS)]),
                (tag_of(number, BODY), [body.body]),
                (tag_of(number, RECEIPTS), [body.receipts]),
            ]
            by_hand, *two = self._files.append(records)
            locators = two[0], two[1]
            index.put_by_hand(batch, number, by_hand)
            index.put_names(batch, number, body.names)
            if body.hashes:
                joined = np.frombuffer(b"".join(body.hashes), np.uint8)
                index.put_transactions(batch, [(number, joined.reshape(-1, 32))])
        index.put_header(batch, number, block.hash, encode_header(header), locators)

    def _put_state(
        self, batch: Batch, number: int, before: State, state: State, *, is_first: bool
    ) -> Hash32:
        changes, codes = genesis_changes(state) if is_first else self._between(before, state)
        root = self._forest.apply(change_set(changes))
        self._forest.commit()
        # The first state has no past, like that of a genesis.
        self._state.stage(0 if is_first else number, changes, codes)
        self._state.seal(root, nodes_of(self._forest))(batch)
        put_images(batch, {a: one for a, one in state.items() if before.get(a) != one})
        return root

    def _between(self, before: State, state: State) -> tuple[Changes, list[tuple[bytes, bytes]]]:
        """What leads from one state to the next, and codes by hash."""
        accounts: dict[bytes, tuple[bytes, bytes]] = {}
        slots: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        codes: dict[bytes, bytes] = {}
        for address in before.keys() | state.keys():
            old, new = before.get(address), state.get(address)
            if old == new:
                continue
            hashed = bytes(keccak256(address))
            stored = self._state.stored_account(hashed)
            if new is None:
                accounts[hashed] = stored, b""
                continue
            record = expand(stored)
            account = EMPTY if record is None else Account.decode(record)
            code_hash = keccak256(new.code) if new.code else EMPTY_CODE_HASH
            changed = Account(new.nonce, new.balance, account.storage_root, code_hash)
            accounts[hashed] = stored, compact(changed.encode())
            if new.code:
                codes[bytes(code_hash)] = new.code
            were, are = (old.storage if old else None) or {}, new.storage or {}
            for key in were.keys() | are.keys():
                values = were.get(key, bytes(32)), are.get(key, bytes(32))
                if values[0] != values[1]:
                    slots[hashed, bytes(keccak256(key))] = values
        return changes_between(accounts, slots), sorted(codes.items())
