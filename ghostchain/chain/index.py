"""Headers, hashes, transactions and the head in the database.

H | block 8         hash 32 | body locator 16 | receipts locator 16 | header RLP
B | block hash 32   block 8
t | tx hash 32      block 8 | index 4
A | block 8         locator 16 of what travels beside the block, on a chain with consensus
T | block 8         other hashes 32 each by which transactions of a loaded block are asked for
r | block 8         root 32 of a loaded block's state, where its header names another one
d | block 8         locator 16 of what a block made by hand began with, on a development chain
m | head            block 8 | hash 32 | end of the block files 12
m | certificate     block 8 | certificate that committed the head, as this node has it
m | blooms          block 8: the bloom file is on disk up to there
m | rewind          block 8 | amendments: where a rewind goes on to (`chain/rewinding.py`)
m | cut             the block files are to be cut where the head says that they end
p | address 20 ...  what is pending for the next block (`chain/amendments.py`)
m | begin           block 8: blocks up to there are not kept but for genesis (a snapshot's)
m | chain ids       (block 8, chain id from there on 8) ..., of a development chain
m | leniency        JSON of what is let pass (`primitives/leniency.py`), of a development chain
m | fork            description of the block of another chain where this one begins
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ghostchain.chain.config import ChainConfig
from ghostchain.encoding.blocks import decode_early_header
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.header import Header
from ghostchain.primitives.leniency import STRICT, Leniency
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state.changes import Column, rows
from ghostchain.state.keys import number_bytes
from ghostchain.storage.database import Batch, Reader
from ghostchain.storage.files import LOCATOR, POSITION, Locator, Position

HEADER = b"H"
BLOCK = b"B"
TRANSACTION = b"t"
ATTACHMENT = b"A"
BY_HAND = b"d"
STATE_ROOT = b"r"
NAMES = b"T"
HEAD = b"mhead"
CERTIFICATE = b"mcertificate"
BLOOMS = b"mblooms"
BEGIN = b"mbegin"
CHAIN_IDS = b"mchain ids"
CHAIN_ID = struct.Struct(">QQ")
LENIENCY = b"mleniency"
FORK = b"mfork"
JOURNAL = b"j"
HEAD_VALUE = struct.Struct(">Q32s12s")
PLACE = struct.Struct(">QI")
LOCATORS_AT = 32
HEADER_AT = 32 + 2 * LOCATOR.size
assert POSITION.size == 12


@dataclass(frozen=True, slots=True)
class Head:
    """The latest committed block, and where its records end."""

    number: int
    hash: Hash32
    end: Position


@dataclass(frozen=True, slots=True)
class HeaderEntry:
    """A block of the chain as indexed. Locators are None for genesis, which has no records."""

    hash: Hash32
    header: bytes
    body: Locator | None
    receipts: Locator | None


_NO_LOCATOR = Locator(0, 0, 0)
_NO_LOCATOR_FIELDS = (0, 0, 0)


def put_header(
    batch: Batch,
    number: int,
    block_hash: bytes,
    header: bytes,
    locators: tuple[Locator, Locator] | None,
) -> None:
    """The block is indexed, once the batch is written."""
    body, receipts = locators or (_NO_LOCATOR, _NO_LOCATOR)
    stamp = number_bytes(number)
    batch.put(HEADER + stamp, block_hash + body.encode() + receipts.encode() + header)
    batch.put(BLOCK + block_hash, stamp)


def put_head(batch: Batch, number: int, block_hash: bytes, end: Position) -> None:
    """This block, which is indexed, is the head. end: of the block files."""
    batch.put(HEAD, HEAD_VALUE.pack(number, block_hash, end.encode()))


def put_transactions(batch: Batch, blocks: Iterable[tuple[int, Sequence[bytes] | Column]]) -> None:
    """blocks: by number, the hashes of their transactions, or a column of 32 bytes each, in block
    order. Cost: about 1.5 microseconds each."""
    pairs: list[tuple[bytes, bytes]] = []
    for number, hashes in blocks:
        pairs += _places(number, hashes)
    # Sorted, since LevelDB takes neighbours faster.
    pairs.sort()
    put = batch.put
    for name, place in pairs:
        put(name, place)


def _places(number: int, hashes: Sequence[bytes] | Column) -> Iterable[tuple[bytes, bytes]]:
    """Keys and values of one block's transactions."""
    if not isinstance(hashes, np.ndarray):
        return [(TRANSACTION + one, PLACE.pack(number, at)) for at, one in enumerate(hashes)]
    count = len(hashes)
    names = np.empty((count, 33), np.uint8)
    names[:, 0] = TRANSACTION[0]
    names[:, 1:] = hashes
    places = np.empty((count, PLACE.size), np.uint8)
    places[:, :8] = np.frombuffer(number_bytes(number), np.uint8)
    places[:, 8:] = np.arange(count, dtype=">u4").view(np.uint8).reshape(count, 4)
    return zip(rows(names), rows(places), strict=True)


def put_names(batch: Batch, number: int, names: Sequence[tuple[bytes, int]]) -> None:
    """Other hashes of transactions of a block, with their places in it."""
    for name, place in names:
        batch.put(TRANSACTION + name, PLACE.pack(number, place))
    if names:
        batch.put(NAMES + number_bytes(number), b"".join(name for name, _ in names))


def forget_names(batch: Batch, reader: Reader, number: int) -> None:
    """What `put_names` put is gone, once the batch is written."""
    joined = reader.get(NAMES + number_bytes(number)) or b""
    for start in range(0, len(joined), 32):
        batch.delete(TRANSACTION + joined[start : start + 32])
    batch.delete(NAMES + number_bytes(number))


def put_attachment(batch: Batch, number: int, attachment: Locator) -> None:
    batch.put(ATTACHMENT + number_bytes(number), attachment.encode())


def put_certificate(batch: Batch, number: int, certificate: bytes) -> None:
    """The block, which is the head, was committed by this certificate."""
    batch.put(CERTIFICATE, number_bytes(number) + certificate)


def put_by_hand(batch: Batch, number: int, amendments: Locator) -> None:
    """The block was made by hand, with these amendments."""
    batch.put(BY_HAND + number_bytes(number), amendments.encode())


def read_by_hand(reader: Reader, number: int) -> Locator | None:
    stored = reader.get(BY_HAND + number_bytes(number))
    return None if stored is None else Locator.decode(stored)


def read_attachment(reader: Reader, number: int) -> Locator | None:
    stored = reader.get(ATTACHMENT + number_bytes(number))
    return None if stored is None else Locator.decode(stored)


def read_certificate(reader: Reader, number: int) -> bytes | None:
    """The certificate of a block if it was the head when the last one was kept."""
    stored = reader.get(CERTIFICATE)
    if stored is None or int.from_bytes(stored[:8], "big") != number:
        return None
    return stored[8:]


def put_root(batch: Batch, number: int, root: bytes) -> None:
    """The state of the block has this root, whatever its header says."""
    batch.put(STATE_ROOT + number_bytes(number), root)


def read_root(reader: Reader, header: Header) -> Hash32:
    """The root of the state that is kept of a block: of one that was loaded from another node's
    dump not always the one that its header names, since what was changed by hand after the block
    is in the state already."""
    stored = reader.get(STATE_ROOT + number_bytes(header.number))
    return header.state_root if stored is None else Hash32(stored)


def read_head(reader: Reader) -> Head | None:
    stored = reader.get(HEAD)
    if stored is None:
        return None
    number, block_hash, end = HEAD_VALUE.unpack(stored)
    return Head(number, Hash32(block_hash), Position.decode(end))


def read_begin(reader: Reader) -> int:
    """The block after which all blocks are kept: 0, or that of the snapshot it began from."""
    stored = reader.get(BEGIN)
    return 0 if stored is None else int.from_bytes(stored, "big")


def read_entry(reader: Reader, number: int) -> HeaderEntry | None:
    stored = reader.get(HEADER + number_bytes(number))
    return None if stored is None else _entry(stored)


def read_entries(reader: Reader, first: int, last: int) -> Iterator[tuple[int, HeaderEntry]]:
    """Those of blocks first to last that are indexed, ascending. Cost: half of asking for each."""
    start, stop = HEADER + number_bytes(first), HEADER + number_bytes(last + 1)
    with reader.items(start, stop) as items:
        for key, stored in items:
            yield int.from_bytes(key[1:], "big"), _entry(stored)


def _entry(stored: bytes) -> HeaderEntry:
    body, receipts = (
        None if found == _NO_LOCATOR_FIELDS else Locator(*found)
        for found in LOCATOR.iter_unpack(stored[LOCATORS_AT:HEADER_AT])
    )
    return HeaderEntry(Hash32(stored[:32]), stored[HEADER_AT:], body, receipts)


def read_header(reader: Reader, number: int) -> Header | None:
    entry = read_entry(reader, number)
    return None if entry is None else decode_early_header(entry.header)


def read_hash(reader: Reader, number: int) -> Hash32 | None:
    if number < 0:
        return None
    stored = reader.get(HEADER + number_bytes(number))
    return None if stored is None else Hash32(stored[:32])


def read_number(reader: Reader, block_hash: bytes) -> int | None:
    stored = reader.get(BLOCK + block_hash)
    return None if stored is None else int.from_bytes(stored, "big")


def read_place(reader: Reader, transaction_hash: bytes) -> tuple[int, int] | None:
    """(block, index) of a transaction."""
    stored = reader.get(TRANSACTION + transaction_hash)
    if stored is None:
        return None
    if len(stored) != PLACE.size:
        raise StorageCorrupt("an entry of the transaction index is damaged")
    number, index = PLACE.unpack(stored)
    return number, index


def put_chain_ids(batch: Batch, chain_ids: Sequence[tuple[int, int]]) -> None:
    """(block, chain id from there on), ascending."""
    batch.put(CHAIN_IDS, b"".join(CHAIN_ID.pack(*one) for one in chain_ids))


def read_chain_ids(reader: Reader) -> tuple[tuple[int, int], ...]:
    """What `put_chain_ids` put; empty where nothing was. Raises: StorageCorrupt."""
    stored = reader.get(CHAIN_IDS) or b""
    if len(stored) % CHAIN_ID.size:
        raise StorageCorrupt("the chain ids of blocks are cut off")
    return tuple((first, chain_id) for first, chain_id in CHAIN_ID.iter_unpack(stored))


def put_config(batch: Batch, config: ChainConfig) -> None:
    """What of it can be changed."""
    put_chain_ids(batch, config.chain_ids)
    put_leniency(batch, config.leniency)


def read_config(reader: Reader, config: ChainConfig) -> ChainConfig:
    """With what was changed. Raises: StorageCorrupt."""
    return replace(config, chain_ids=read_chain_ids(reader), leniency=read_leniency(reader))


def put_leniency(batch: Batch, leniency: Leniency) -> None:
    signatures = [[one.hex(), address.hex()] for one, address in leniency.signatures]
    stored = [leniency.code_bytes_max, signatures]
    batch.put(LENIENCY, json.dumps(stored).encode())


def read_leniency(reader: Reader) -> Leniency:
    """What `put_leniency` put; STRICT where nothing was. Raises: StorageCorrupt."""
    stored = reader.get(LENIENCY)
    if stored is None:
        return STRICT
    try:
        code_bytes_max, pairs = json.loads(stored)
        signatures = [
            (bytes.fromhex(one), Address(bytes.fromhex(address))) for one, address in pairs
        ]
    except (ValueError, TypeError) as error:
        raise StorageCorrupt("what is let pass here is damaged") from error
    return Leniency(code_bytes_max, tuple(signatures))
