"""Logs read, chosen and shown natively, against the Python that decodes and renders them."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from ghostchain.chain.logs import LocatedLog, matches, matching_logs
from ghostchain.chain.places import ROW_BYTES, PlaceFile, row_of
from ghostchain.chain.records import (
    ATTACHMENT,
    BODY,
    RECEIPTS,
    BodyRecord,
    ReceiptsRecord,
    body_parts,
    receipts_parts,
    tag_of,
)
from ghostchain.crypto.hashes import bloom_may_contain, logs_bloom
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_header, encode_receipt
from ghostchain.encoding.logs import LogChoice, LogsBound, log_page, read_pages, select_logs
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.render import located_log_json
from ghostchain.storage.files import Locator, SegmentLog
from tests.unit.test_chain_records import HEADER

ALL = LogsBound()


def address(chance: random.Random) -> Address:
    return Address(bytes(19) + bytes([chance.randrange(5)]))


def topic(chance: random.Random) -> Hash32:
    return Hash32(bytes(31) + bytes([chance.randrange(6)]))


class Block:
    """Some transactions, a few of them with logs."""

    def __init__(self, chance: random.Random) -> None:
        self.number = chance.choice([1, 15, 16, 10_000, 2**40])
        self.hash = Hash32(chance.randbytes(32))
        header = replace(HEADER, timestamp=chance.choice([0, 127, 128, 2**63]))
        self.timestamp = header.timestamp
        self.header = encode_header(header)
        count = chance.randrange(6)
        self.raws = [chance.randbytes(chance.randrange(1, 300)) for _ in range(count)]
        paid = [Withdrawal(i, i, Address(bytes(20)), i) for i in range(chance.randrange(3))]
        self.body = b"".join(body_parts(self.header, paid, self.raws, chance.randbytes(20 * count)))
        self.receipts = b"".join(self.receipts_of(chance, count))

    def receipts_of(self, chance: random.Random, count: int) -> list[bytes]:
        receipts = []
        for index in range(count):
            logs = tuple(
                Log(
                    address(chance),
                    tuple(topic(chance) for _ in range(chance.randrange(5))),
                    chance.randbytes(chance.choice([0, 1, 32, 55, 56, 700])),
                )
                for _ in range(chance.choice([0, 0, 1, 3]))
            )
            kind = chance.choice([0, 1, 2, 4, 0x7B, 0x47])
            receipts.append(Receipt(kind, True, 21_000 * index, logs_bloom(logs), logs))
        columns = (
            np.array([item.type for item in receipts], np.uint8),
            np.array([item.success for item in receipts], np.uint8),
            np.array([item.cumulative_gas_used for item in receipts], np.uint64),
            np.array([len(item.logs) for item in receipts], np.uint32),
        )
        encoded = [encode_receipt(item) for item in receipts if item.logs]
        rates = [(0, (5).to_bytes(32, "big"))] if count and chance.random() < 0.3 else []
        return receipts_parts(*columns, encoded, rates)

    def page(self, choice: LogChoice | None = None) -> bytes:
        return log_page(self.number, self.hash, self.header, self.body, self.receipts, choice)

    def expected(self, addresses: set[Address], topics: list[set[Hash32]]) -> list[bytes]:
        body, record = BodyRecord.parse(self.body), ReceiptsRecord.parse(self.receipts)
        return [
            orjson.dumps(
                located_log_json(
                    LocatedLog(
                        log=log,
                        block_number=self.number,
                        block_hash=self.hash,
                        block_timestamp=self.timestamp,
                        transaction_hash=keccak256(body.raw(index)),
                        transaction_index=index,
                        log_index=position,
                    )
                )
            )
            for index, position, log in matching_logs(record, (), ())
            if matches(log, addresses, topics)
        ]


@pytest.mark.parametrize("seed", range(60))
def test_pages_show_what_python_would(seed: int) -> None:
    """Whether the page was made whole and chosen from, or made of what is chosen."""
    chance = random.Random(seed)
    blocks = [Block(chance) for _ in range(8)]
    addresses = {address(chance) for _ in range(seed % 3)}
    topics = [
        {topic(chance) for _ in range(chance.randrange(4))} for _ in range(chance.randrange(5))
    ]
    choice = LogChoice(addresses, topics)
    expected = [block.expected(addresses, topics) for block in blocks]
    flat = b",".join(item for found in expected for item in found)
    counts = [len(found) for found in expected]
    for pages in ([block.page() for block in blocks], [block.page(choice) for block in blocks]):
        text, found, ends = select_logs(pages, choice, ALL)
        assert (text, found) == (flat, counts)
        parts = [b",".join(item) for item in expected]
        spans = zip((0, *ends), ends, strict=False)
        assert [text[start:end].removeprefix(b",") for start, end in spans] == parts


def test_reading_ends_behind_the_page_that_is_too_much() -> None:
    chance = random.Random(5)
    blocks = [Block(chance) for _ in range(40)]
    pages = [block.page() for block in blocks]
    choice = LogChoice((), ())
    text, whole, ends = select_logs(pages, choice, ALL)
    assert sum(whole) > 10
    _, counts, _ = select_logs(pages, choice, LogsBound(logs_max=5))
    assert sum(counts[:-1]) <= 5 < sum(counts)
    assert counts == whole[: len(counts)]
    half = len(text) // 2
    cut, _, few = select_logs(pages, choice, LogsBound(bytes_max=half))
    assert text.startswith(cut)
    assert few == ends[: len(few)]
    assert few[-2] <= half < few[-1]


@pytest.mark.parametrize("seed", range(300))
def test_damage_is_refused_or_harmless(seed: int) -> None:
    """Whatever stands in the records, nothing is read beyond them."""
    chance = random.Random(seed)
    block = Block(random.Random(11))
    name = chance.choice(["header", "body", "receipts"])
    data = bytearray(getattr(block, name))
    for _ in range(chance.randrange(1, 5)):
        match chance.randrange(3):
            case 0:
                data[chance.randrange(len(data))] = chance.randrange(256)
            case 1:
                data = data[: chance.randrange(1, len(data) + 1)]
            case _:
                data += chance.randbytes(3)
    setattr(block, name, bytes(data))
    with contextlib.suppress(StorageCorrupt):
        select_logs([block.page()], LogChoice((), ()), ALL)


@pytest.mark.parametrize("seed", range(20))
def test_scans_find_every_bloom_that_may_hold_it(seed: int) -> None:
    chance = random.Random(seed)
    logs = [
        [
            Log(address(chance), (topic(chance), topic(chance)), b"")
            for _ in range(chance.randrange(3))
        ]
        for _ in range(200)
    ]
    blooms = [logs_bloom(found) for found in logs]
    addresses = {address(chance) for _ in range(seed % 3)}
    topics = [{topic(chance) for _ in range(chance.randrange(3))} for _ in range(2)]

    def may_hold(bloom: bytes) -> bool:
        return all(
            not group or any(bloom_may_contain(bloom, entry) for entry in group)
            for group in (addresses, *topics)
        )

    found = LogChoice(addresses, topics).scan(b"".join(blooms))
    assert found == [index for index, bloom in enumerate(blooms) if may_hold(bloom)]


class Stored:
    """Blocks in files as a chain writes them. is_apart: other records come between a block's."""

    def __init__(self, folder: Path, blocks: list[Block], *, segment_bytes: int, is_apart: bool):
        self.folder = folder
        self.files = SegmentLog(
            folder, "blocks", identity=bytes(16), segment_bytes_max=segment_bytes, is_durable=False
        )
        self.files.set_end(self.files.end)
        self.places = PlaceFile(folder / "places")
        self.located: dict[int, tuple[Locator, Locator]] = {}
        for block in blocks:
            records = [(tag_of(block.number, BODY), [block.body])]
            if is_apart:
                records.append((tag_of(block.number, ATTACHMENT), [bytes(block.number % 50)]))
            records.append((tag_of(block.number, RECEIPTS), [block.receipts]))
            body, *_, receipts = self.files.append(records)
            self.located[block.number] = body, receipts
            self.places.put(block.number, [row_of(block.number, body, receipts)])

    def read(
        self, numbers: list[int], choice: LogChoice, whole_max: int = 1 << 20
    ) -> list[tuple[bytes, bool] | None]:
        with self.files.lent() as lend:
            return read_pages(self.places.file, lend, numbers, choice, whole_max=whole_max)

    def close(self) -> None:
        self.files.close()
        self.places.close()


def chain_of(chance: random.Random, count: int) -> list[Block]:
    blocks = [Block(chance) for _ in range(count)]
    for number, block in enumerate(blocks, chance.choice([1, 250])):
        block.number, block.hash = number, keccak256(block.header)
    return blocks


@pytest.mark.parametrize("segment_bytes", [1 << 20, 4_000])
@pytest.mark.parametrize("is_apart", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_pages_read_from_disk_are_those_of_the_records(
    tmp_path: Path, seed: int, is_apart: bool, segment_bytes: int
) -> None:
    """Of any of the blocks, whether they are in one segment or in many."""
    chance = random.Random(seed)
    blocks = chain_of(chance, 300)
    choice = LogChoice({address(chance)}, [{topic(chance), topic(chance)}])
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=segment_bytes, is_apart=is_apart)
    chosen = [block for block in blocks if chance.random() < (0.1, 0.5, 1)[seed]]
    for whole_max in (1 << 20, 300, 0):
        found = stored.read([block.number for block in chosen], choice, whole_max)
        for block, one in zip(chosen, found, strict=True):
            is_whole = len(block.receipts) <= whole_max
            assert one == (block.page(None if is_whole else choice), is_whole)
    stored.close()


def test_blocks_without_a_place_are_read_elsewhere(tmp_path: Path) -> None:
    """A row that was never written, is another block's, or leads nowhere; a file that is gone."""
    blocks = chain_of(random.Random(3), 40)
    first, choice = blocks[0].number, LogChoice((), ())
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=4_000, is_apart=False)
    numbers = [block.number for block in blocks]
    body, receipts = stored.located[first + 5]
    stored.places.put(first + 3, [bytes(ROW_BYTES)])
    stored.places.put(first + 4, [row_of(first + 5, body, receipts)])
    stored.places.put(first + 6, [row_of(first + 6, body, receipts)])
    stored.places.put(first + 7, [row_of(first + 7, replace(body, segment=9_999), receipts)])
    stored.places.put(first + 8, [row_of(first + 8, replace(body, offset=2**63), receipts)])
    stored.places.put(first + 9, [row_of(first + 9, replace(body, length=2**32 - 1), receipts)])
    absent = {first + place for place in (3, 4, 6, 7, 8, 9)}
    found = stored.read(numbers, choice)
    assert {number for number, one in zip(numbers, found, strict=True) if one is None} == absent
    assert found[5] == (blocks[5].page(), True)
    assert stored.read([0, numbers[-1] + 1, 2**40, 2**63], choice) == [None] * 4
    os.truncate(tmp_path / "blocks" / "places", ROW_BYTES * (first + 20) + 5)
    found = stored.read(numbers[20:], choice)
    assert found == [None] * len(found)
    stored.close()


@pytest.fixture(scope="module")
def damaged_folder(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[list[Block], Stored]]:
    blocks = chain_of(random.Random(7), 30)
    folder = tmp_path_factory.mktemp("damaged") / "blocks"
    stored = Stored(folder, blocks, segment_bytes=1 << 20, is_apart=False)
    yield blocks, stored
    stored.close()


@pytest.mark.parametrize("seed", range(200))
def test_damage_on_disk_is_seen(damaged_folder: tuple[list[Block], Stored], seed: int) -> None:
    """Bytes that changed in either file, or are gone, give no other page than the right one."""
    blocks, stored = damaged_folder
    chance = random.Random(seed)
    path = stored.folder / chance.choice(["places", "blocks-000000.seg"])
    sound = path.read_bytes()
    data = bytearray(sound)
    for _ in range(chance.randrange(1, 4)):
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
            break
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    found = stored.read([block.number for block in blocks], LogChoice((), ()))
    path.write_bytes(sound)
    for block, one in zip(blocks, found, strict=True):
        assert one in (None, (block.page(), True))
