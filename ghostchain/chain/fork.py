"""A chain that begins at a block of another chain, whose state stays where it is.

The block's header is the head of a new directory, verbatim; a few accounts may begin otherwise than
they are there. What was before the block, and what was not written since, is the other chain's.
See `state/remote.py` for the state, `ghostchain/fork/` for how the other chain is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ghostchain.chain import index
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.opening import STATE_NAME
from ghostchain.chain.snapshot import holds_a_chain
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_header
from ghostchain.primitives.errors import ForeignDirectory
from ghostchain.primitives.types import Address
from ghostchain.state import keys
from ghostchain.state.changes import compact
from ghostchain.state.keys import number_bytes
from ghostchain.storage.database import Database
from ghostchain.storage.directory import DataDirectory, locked
from ghostchain.storage.files import FIRST


@dataclass(frozen=True, slots=True)
class ForkStart:
    """What is written at the beginning. accounts: flat records by address, codes by hash;
    description: told again by `fork_description` when the chain is opened another time."""

    accounts: Mapping[Address, bytes]
    codes: Mapping[bytes, bytes]
    description: bytes


def begin_fork(data_dir: Path, genesis: Genesis, start: ForkStart) -> None:
    """The directory holds the chain that begins with genesis.header, a header of another chain.

    Raises: ForeignDirectory when there is a chain already; StorageError.
    """
    directory = DataDirectory.claim(
        data_dir, genesis_hash=genesis.hash, chain_id=genesis.config.chain_id
    )
    try:
        if holds_a_chain(data_dir):
            raise ForeignDirectory(
                f"{data_dir} holds a chain that is no fork: start it without --fork-url, or choose "
                "another --data-dir"
            )
        database = Database.open(data_dir / STATE_NAME)
        try:
            _write(database, genesis, start)
        finally:
            database.close()
    finally:
        directory.close()


def _write(database: Database, genesis: Genesis, start: ForkStart) -> None:
    header = genesis.header
    batch = database.batch()
    for address, record in start.accounts.items():
        batch.put(keys.ACCOUNT + keccak256(address), compact(record))
    for code_hash, code in start.codes.items():
        batch.put(keys.CODE + code_hash, code)
    index.put_header(batch, header.number, genesis.hash, encode_header(header), None)
    index.put_head(batch, header.number, genesis.hash, FIRST)
    # The bloom file is filled from the headers after this one on opening.
    batch.put(index.BLOOMS, number_bytes(max(header.number - 1, 0)))
    batch.put(index.BEGIN, number_bytes(header.number))
    batch.put(keys.PRUNED, number_bytes(header.number))
    batch.put(index.FORK, start.description)
    database.commit(batch)


def fork_description(data_dir: Path) -> bytes | None:
    """What was written of the fork that the directory holds; None when it holds none.

    Raises: StorageError; DirectoryLocked while a node runs on it.
    """
    if not (data_dir / STATE_NAME / "CURRENT").exists():
        return None
    with locked(data_dir):
        database = Database.open(data_dir / STATE_NAME)
        try:
            return database.get(index.FORK)
        finally:
            database.close()
