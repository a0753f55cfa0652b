"""Opening a chain's data directory: claim it, make block zero, or bring disk and trie together.

After a kill four things may differ, and each has one way back:

- the block files lack the latest small blocks: their records stand in the database too and are
  written again (`journal.py`).
- the block files hold more than the database names: the records of a block, or of blocks that were
  imported together, whose batch was not written. They are run again; a torn record is cut off. On a
  chain with consensus they are cut off too: whoever decided them has them in a log, or gets them
  again with their certificates.
- the trie on disk is that of an earlier block: the changes since are applied again.
- the bloom file lacks the latest blocks: they are copied from the headers.

Anything else contradicts the order in which blocks are written, and is corruption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ghostchain.chain import index
from ghostchain.chain.genesis import Genesis, GenesisAccount, genesis_changes
from ghostchain.chain.journal import restore_records
from ghostchain.chain.logs import BloomFile
from ghostchain.chain.places import PlaceFile, row_of
from ghostchain.chain.records import AMENDMENTS, BODY, GROUP, BodyRecord, group_size, tag_of
from ghostchain.chain.rewinding import CUT, finish_cut
from ghostchain.crypto.hashes import header_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_early_header, encode_header
from ghostchain.primitives.errors import ForeignDirectory, StorageCorrupt
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import EMPTY_ROOT, Address, Hash32
from ghostchain.state import keys
from ghostchain.state.changes import change_set
from ghostchain.state.remote import RemoteView
from ghostchain.state.store import StateStore, nodes_of
from ghostchain.state.undo import changes_between, merge_undos
from ghostchain.storage.database import WRITE_BUFFER_BYTES, Batch, Database
from ghostchain.storage.directory import DataDirectory
from ghostchain.storage.files import FIRST, SegmentLog
from ghostchain.storage.memory import return_large_allocations
from ghostchain.trie.merkle import Forest

STATE_NAME = "state"
BLOCKS_NAME = "blocks"
BLOOMS_NAME = "blooms"
PLACES_NAME = "places"
RECOVERY_CACHE_BYTES = 64 << 20
# Of the state that the executor keeps between blocks, and as many of the trie's nodes.
STATE_CACHE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """A block to be run again. by_hand: the amendments record, of a block made by hand."""

    body: BodyRecord
    by_hand: bytes | None


@dataclass(slots=True)
class OpenedStorage:
    """An open data directory and its head. unacknowledged: blocks to be run again. cache_bytes:
    about how much of the state its writer keeps, and as many of the trie; and at most as many of
    what the database has not yet sorted into its tables, once or, for a moment, twice."""

    directory: DataDirectory
    database: Database
    files: SegmentLog
    blooms: BloomFile
    places: PlaceFile
    state: StateStore
    head: Header
    head_hash: Hash32
    unacknowledged: list[Unacknowledged]
    remote: RemoteView | None = None
    cache_bytes: int = STATE_CACHE_BYTES

    def close(self) -> None:
        self.database.close()
        self.files.close()
        self.blooms.close()
        self.places.close()
        self.directory.close()


def _ignore_step(_: str) -> None:
    return


def claim(data_dir: Path, genesis: Genesis, *, is_loaded: bool = False) -> DataDirectory:
    """The directory, for this chain alone. is_loaded: as of `Identity`, of a new one. Raises: as
    `DataDirectory.claim`."""
    return DataDirectory.claim(
        data_dir,
        genesis_hash=genesis.hash,
        chain_id=genesis.config.chain_id,
        header=encode_header(genesis.header),
        is_loaded=is_loaded,
    )


def open_storage(
    data_dir: Path,
    genesis: Genesis,
    *,
    prune: int | None,
    is_durable: bool = True,
    on_step: Callable[[str], None] | None = None,
    remote: RemoteView | None = None,
    cache_bytes: int = STATE_CACHE_BYTES,
) -> OpenedStorage:
    """remote: of a directory that `fork.begin_fork` made. cache_bytes: as in OpenedStorage.

    Raises: StorageError; nothing has been written into a directory that is not ours.
    """
    return_large_allocations()
    step = on_step or _ignore_step
    directory = claim(data_dir, genesis)
    opened: list[Callable[[], None]] = [directory.close]
    try:
        _refuse_lost_database(data_dir)
        buffer = min(cache_bytes, WRITE_BUFFER_BYTES)
        database = Database.open(data_dir / STATE_NAME, buffer, is_durable=is_durable, on_step=step)
        opened.append(database.close)
        files = SegmentLog(
            data_dir / BLOCKS_NAME,
            "blocks",
            identity=genesis.hash,
            is_durable=is_durable,
            on_step=step,
        )
        opened.append(files.close)
        blooms, places = BloomFile(data_dir / BLOOMS_NAME), PlaceFile(data_dir / PLACES_NAME)
        opened += [blooms.close, places.close]
        _refuse_other_kind(database, is_forked=remote is not None)
        is_decided = genesis.config.consensus is not None
        state = StateStore(
            database,
            prune_blocks=prune,
            keeps_undos=not is_decided,
            keeps_images=not is_decided,
            is_forked=remote is not None,
        )
        head, header = _restored_head(database, files, state, genesis)
        unacknowledged = _unacknowledged(files, head)
        if is_decided:
            unacknowledged = []
        files.set_end(head.end)
        _restore_columns(database, blooms, places, head.number)
        if remote is None:
            _restore_trie(state, header.number, index.read_root(database, header))
        state.catch_up_pruning(head.number)
    except BaseException:
        for close in reversed(opened):
            close()
        raise
    return OpenedStorage(
        directory,
        database,
        files,
        blooms,
        places,
        state,
        header,
        head.hash,
        unacknowledged,
        remote,
        cache_bytes,
    )


def _restored_head(
    database: Database, files: SegmentLog, state: StateStore, genesis: Genesis
) -> tuple[index.Head, Header]:
    """The head, genesis where there was none, with the records as they were when it became that."""
    head = index.read_head(database)
    if head is None:
        head = _write_genesis(database, state, genesis)
    header = _checked_head(database, head)
    restore_records(database, files)
    if database.get(CUT) is not None:
        finish_cut(database, files, head.end)
    return head, header


def _refuse_lost_database(data_dir: Path) -> None:
    """LevelDB would silently start afresh where its own directory is gone."""
    first_segment = data_dir / BLOCKS_NAME / "blocks-000000.seg"
    has_blocks = first_segment.exists() and first_segment.stat().st_size > FIRST.offset
    if has_blocks and not (data_dir / STATE_NAME / "CURRENT").exists():
        raise StorageCorrupt(
            f"{data_dir / STATE_NAME} is missing or incomplete, but there are blocks; "
            "restore it, or export and import the blocks into an empty directory"
        )


def _refuse_other_kind(database: Database, *, is_forked: bool) -> None:
    """Without the chain that it was forked from, a state has holes; over another, it lies."""
    if (database.get(index.FORK) is not None) != is_forked:
        raise ForeignDirectory(
            "the data directory holds a chain of its own, no fork; choose another --data-dir"
            if is_forked
            else "the data directory holds a fork of another chain; give --dev and --fork-url"
        )


def _write_genesis(database: Database, state: StateStore, genesis: Genesis) -> index.Head:
    """Block zero is the head: one batch."""
    changes, codes = genesis_changes(genesis.alloc)
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, RECOVERY_CACHE_BYTES)
    root = forest.apply(change_set(changes))
    assert root == genesis.header.state_root, "two ways to one root"
    batch = database.batch()
    state.stage(0, changes, codes)
    state.seal(root, nodes_of(forest))(batch)
    if genesis.config.consensus is None:
        put_images(batch, genesis.alloc)
    encoded = encode_header(genesis.header)
    index.put_header(batch, 0, genesis.hash, encoded, None)
    index.put_head(batch, 0, genesis.hash, FIRST)
    database.commit(batch)
    state.settle()
    return index.Head(0, genesis.hash, FIRST)


def put_images(batch: Batch, alloc: Mapping[Address, GenesisAccount]) -> None:
    """What the hashes of genesis's accounts and slots are of, whose changes name hashes alone."""
    for address, entry in alloc.items():
        for image in (address, *(entry.storage or {})):
            batch.put(keys.IMAGE + keccak256(image), bytes(image))


def _checked_head(database: Database, head: index.Head) -> Header:
    entry = index.read_entry(database, head.number)
    if entry is None or entry.hash != head.hash:
        raise StorageCorrupt(f"the database names block {head.number} as its head but lacks it")
    header = decode_early_header(entry.header)
    if header_hash(header) != head.hash or header.number != head.number:
        raise StorageCorrupt(f"the header of the head, block {head.number}, is damaged")
    return header


def _unacknowledged(files: SegmentLog, head: index.Head) -> list[Unacknowledged]:
    """Whole blocks in the files beyond the head.

    Raises: StorageCorrupt when there are more than one kill can leave.
    """
    blocks: list[Unacknowledged] = []
    expected = head.number + 1
    # A batch is synced before the next blocks' records are written, so no more blocks than are in
    # one batch stand beyond the database; more means that it lost what it had acknowledged.
    batched = 1
    by_hand: bytes | None = None
    for record in files.scan(head.end):
        if record.tag == GROUP and not blocks:
            batched = group_size(record.payload)
        if record.tag == tag_of(expected, AMENDMENTS):
            by_hand = record.payload
        if record.tag & 1 != BODY or record.tag >> 1 != expected:
            continue
        if len(blocks) == batched:
            raise StorageCorrupt(
                f"the database ends at block {head.number}, but the block files go on beyond "
                f"block {expected - 1}: it lost blocks that it had acknowledged"
            )
        blocks.append(Unacknowledged(BodyRecord.parse(record.payload), by_hand))
        by_hand = None
        expected += 1
    return blocks


def _restore_columns(database: Database, blooms: BloomFile, places: PlaceFile, head: int) -> None:
    stored = database.get(index.BLOOMS)
    first = int.from_bytes(stored, "big") + 1 if stored else 0
    for number in range(first, head + 1):
        entry = index.read_entry(database, number)
        if entry is None:
            raise StorageCorrupt(f"the header of block {number} is missing")
        blooms.put(number, decode_early_header(entry.header).bloom)
        if entry.body is not None and entry.receipts is not None:
            places.put(number, [row_of(number, entry.body, entry.receipts)])


def _restore_trie(state: StateStore, head: int, wanted: Hash32) -> None:
    """The trie is the head's: nodes that were only in memory are computed again.

    Raises: StorageCorrupt when the root does not come out as wanted.
    """
    number, root = state.trie_block
    if number > head:
        raise StorageCorrupt(f"the trie belongs to block {number}, beyond the head {head}")
    if number < head:
        old = merge_undos(state.undo(n) for n in range(head, number, -1))
        accounts = {
            key: (before, state.stored_account(key)) for key, before in old.accounts.items()
        }
        slots = {
            (owner, slot): (before, state.slot(owner, slot) or bytes(32))
            for (owner, slot), before in old.slots.items()
        }
        forest = Forest(state.node, Hash32(root), RECOVERY_CACHE_BYTES)
        root = forest.apply(change_set(changes_between(accounts, slots)))
        state.adopt_nodes(nodes_of(forest))
    top = state.node(None, b"")
    found = EMPTY_ROOT if top is None else keccak256(top)
    if root != wanted or found != wanted:
        raise StorageCorrupt(
            f"the trie has root 0x{found.hex()}, the head's header says "
            f"0x{wanted.hex()}; run `ghostd db verify`"
        )
