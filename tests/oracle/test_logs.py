"""Logs read, chosen and shown natively, against the Python that decodes and renders them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from ghostchain.chain.logs import BloomFile, LocatedLog, matches, matching_logs
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
from ghostchain.encoding.logs import (
    LogChoice,
    LogFiles,
    LogsBound,
    LogSearch,
    LogStore,
    choice_of,
    log_page,
)
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
        self.bloom = bytes(256)
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
        self.bloom = logs_bloom([log for item in receipts for log in item.logs])
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


def store_of(pages: int = 10_000, size: int = 1 << 26, sections: int = 8) -> LogStore:
    return LogStore(pages_max=pages, page_bytes_max=size, sections_max=sections)


def nothing(number: int) -> bytes:
    raise AssertionError(f"block {number} is asked for elsewhere")


NO_FILES = LogFiles(-1, -1, lambda segment: None, nothing)


def select(pages: list[bytes], choice: LogChoice, bound: LogsBound = ALL) -> tuple[bytes, int, int]:
    """What a search finds in these pages: text, logs, and where it stopped. No bloom is known, so
    none is asked."""
    store = store_of()
    store.leave()
    for number, page in enumerate(pages):
        store.put(number, page)
    search = LogSearch(choice, range(len(pages)), len(pages), bound, whole_max=0, work_max=1 << 40)
    text, is_much = search.read(store, NO_FILES)
    assert is_much is not search.is_done
    return text, search.count, search.next


def some_choice(chance: random.Random, width: int) -> tuple[set[Address], list[set[Hash32]]]:
    addresses = {address(chance) for _ in range(width)}
    topics = [
        {topic(chance) for _ in range(chance.randrange(4))} for _ in range(chance.randrange(5))
    ]
    return addresses, topics


@pytest.mark.parametrize("seed", range(60))
def test_pages_show_what_python_would(seed: int) -> None:
    """Whether the page was made whole and chosen from, or made of what is chosen."""
    chance = random.Random(seed)
    blocks = [Block(chance) for _ in range(8)]
    addresses, topics = some_choice(chance, seed % 3)
    choice = LogChoice(addresses, topics)
    expected = [block.expected(addresses, topics) for block in blocks]
    flat = b",".join(item for found in expected for item in found)
    count = sum(map(len, expected))
    for pages in ([block.page() for block in blocks], [block.page(choice) for block in blocks]):
        assert select(pages, choice) == (flat, count, 8)


def test_a_search_ends_with_the_block_that_is_too_much() -> None:
    chance = random.Random(5)
    blocks = [Block(chance) for _ in range(40)]
    pages = [block.page() for block in blocks]
    choice = LogChoice((), ())
    found = [select(pages[: end + 1], choice) for end in range(40)]
    whole, total, _ = found[-1]
    assert total > 10
    for most in (*range(total + 2), 1 << 62):
        text, count, reached = select(pages, choice, LogsBound(logs_max=most))
        first = next((at for at, item in enumerate(found) if item[1] > most), 40)
        assert reached == first
        assert (text, count) == found[min(first, 39)][:2]
    for size in (0, 1, len(found[7][0]), len(whole) // 2, len(whole), len(whole) + 1):
        text, _, reached = select(pages, choice, LogsBound(bytes_max=size))
        first = next(
            (at for at, item in enumerate(found) if item[0] and len(item[0]) + 1 > size), 40
        )
        assert (text, reached) == (found[min(first, 39)][0], first)


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
        select([block.page()], LogChoice((), ()))


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
        self.blocks = {block.number: block for block in blocks}
        self.files = SegmentLog(
            folder, "blocks", identity=bytes(16), segment_bytes_max=segment_bytes, is_durable=False
        )
        self.files.set_end(self.files.end)
        self.places, self.blooms = PlaceFile(folder / "places"), BloomFile(folder / "blooms")
        self.located: dict[int, tuple[Locator, Locator]] = {}
        self.head = 0
        for block in blocks:
            self.append(block, is_apart=is_apart)
        # What was not read natively.
        self.elsewhere: list[int] = []

    def append(self, block: Block, *, is_apart: bool = False) -> None:
        records = [(tag_of(block.number, BODY), [block.body])]
        if is_apart:
            records.append((tag_of(block.number, ATTACHMENT), [bytes(block.number % 50)]))
        records.append((tag_of(block.number, RECEIPTS), [block.receipts]))
        body, *_, receipts = self.files.append(records)
        self.located[block.number] = body, receipts
        self.places.put(block.number, [row_of(block.number, body, receipts)])
        self.blooms.put(block.number, block.bloom)
        self.blocks[block.number] = block
        self.head = block.number

    def search(
        self,
        store: LogStore,
        choice: LogChoice,
        span: range | None = None,
        *,
        whole_max: int = 1 << 20,
        work_max: int = 1 << 40,
    ) -> bytes:
        """The JSON of all that is found, in as many pieces as it takes."""

        def page(number: int) -> bytes:
            self.elsewhere.append(number)
            block = self.blocks.get(number)
            return b"" if block is None else block.page(choice)

        span = range(self.head + 1) if span is None else span
        search = LogSearch(choice, span, self.head, ALL, whole_max=whole_max, work_max=work_max)
        texts = []
        with self.files.lent() as lend:
            files = LogFiles(self.blooms.file, self.places.file, lend, page)
            while not search.is_done:
                text, is_much = search.read(store, files)
                assert not is_much
                texts.append(text)
        return b",".join(filter(None, texts))

    def at_once(self, store: LogStore, choice: LogChoice, span: range) -> bytes | None:
        search = LogSearch(choice, span, self.head, ALL, whole_max=1 << 20, work_max=1 << 40)
        return search.in_memory(store)

    def expected(
        self, addresses: set[Address], topics: list[set[Hash32]], span: range | None = None
    ) -> bytes:
        numbers = sorted(self.blocks) if span is None else span
        found = (self.blocks[n].expected(addresses, topics) for n in numbers if n in self.blocks)
        return b",".join(item for items in found for item in items)

    def close(self) -> None:
        self.files.close()
        self.places.close()
        self.blooms.close()


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
    asked: tuple[set[Address], list[set[Hash32]]]
    asked = {address(chance)}, [{topic(chance), topic(chance)}]
    choice = LogChoice(*asked)
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=segment_bytes, is_apart=is_apart)
    for whole_max in (1 << 20, 2_000, 0):
        store = store_of()
        for work_max in (1, 100, 1 << 40):
            found = stored.search(store, choice, whole_max=whole_max, work_max=work_max)
            assert found == stored.expected(*asked)
        kept = {block.number: store.get(block.number) for block in blocks}
        assert any(kept.values()) is (whole_max > 0)
        for block in blocks:
            is_whole = len(block.receipts) <= whole_max
            assert kept[block.number] in (None, block.page() if is_whole else None)
        everything = LogChoice((), ())
        assert stored.search(store, everything, whole_max=whole_max) == stored.expected(set(), [])
        for block in blocks:
            is_whole = len(block.receipts) <= whole_max
            assert store.get(block.number) == (block.page() if is_whole else None)
    assert stored.elsewhere == list(range(blocks[0].number)) * 3
    stored.close()


def test_blocks_without_a_place_are_read_elsewhere(tmp_path: Path) -> None:
    """A row that was never written, is another block's, or leads nowhere; a file that is gone."""
    blocks = chain_of(random.Random(3), 40)
    first, choice = blocks[0].number, LogChoice((), ())
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=4_000, is_apart=False)
    span = range(first, stored.head + 1)
    body, receipts = stored.located[first + 5]
    stored.places.put(first + 3, [bytes(ROW_BYTES)])
    stored.places.put(first + 4, [row_of(first + 5, body, receipts)])
    stored.places.put(first + 6, [row_of(first + 6, body, receipts)])
    stored.places.put(first + 7, [row_of(first + 7, replace(body, segment=9_999), receipts)])
    stored.places.put(first + 8, [row_of(first + 8, replace(body, offset=2**63), receipts)])
    stored.places.put(first + 9, [row_of(first + 9, replace(body, length=2**32 - 1), receipts)])
    store = store_of()
    assert stored.search(store, choice, span) == stored.expected(set(), [])
    assert stored.elsewhere == [first + place for place in (3, 4, 6, 7, 8, 9)]
    assert store.get(first + 5) == blocks[5].page()
    stored.elsewhere.clear()
    os.truncate(tmp_path / "blocks" / "places", ROW_BYTES * (first + 20) + 5)
    assert stored.search(store_of(), choice, span) == stored.expected(set(), [])
    assert stored.elsewhere[-20:] == list(range(first + 20, first + 40))
    stored.close()


def test_large_blocks_are_not_read_together(tmp_path: Path) -> None:
    """Small ones between blocks of hundreds of kilobytes, whatever is read with what."""
    chance = random.Random(12)
    blocks = chain_of(chance, 60)
    for block in blocks:
        if block.raws and chance.random() < 0.5:
            block.raws[-1] = chance.randbytes(chance.choice([100_000, 600_000, 1_200_000]))
            senders = bytes(20 * len(block.raws))
            block.body = b"".join(body_parts(block.header, [], block.raws, senders))
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=1 << 22, is_apart=False)
    span = range(blocks[0].number, stored.head + 1)
    for work_max in (1, 1 << 40):
        found = stored.search(store_of(), LogChoice((), ()), span, work_max=work_max)
        assert found == stored.expected(set(), [])
    assert stored.elsewhere == []
    stored.close()


def test_blooms_that_are_cut_off_are_damage(tmp_path: Path) -> None:
    blocks = chain_of(random.Random(3), 40)
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=1 << 20, is_apart=False)
    os.truncate(tmp_path / "blocks" / "blooms", 256 * stored.head + 255)
    with pytest.raises(StorageCorrupt, match="blooms"):
        stored.search(store_of(), LogChoice((), ()))
    stored.close()


def sparse_chain(chance: random.Random, count: int) -> list[Block]:
    """From block 0 on; most blocks are empty."""
    empty = Block(random.Random(1))
    while empty.bloom != bytes(256):
        empty = Block(chance)
    blocks = []
    for number in range(count):
        block = Block(chance) if chance.random() < 0.1 else Block(random.Random(1))
        header = replace(HEADER, timestamp=number)
        block.header, block.timestamp, block.number = encode_header(header), number, number
        senders = bytes(20 * len(block.raws))
        block.body = b"".join(body_parts(block.header, [], block.raws, senders))
        block.hash = keccak256(block.header)
        blocks.append(block)
    return blocks


@pytest.mark.parametrize("sections", [1, 2, 8])
@pytest.mark.parametrize("seed", range(4))
def test_memory_answers_as_disk_does(tmp_path: Path, seed: int, sections: int) -> None:
    """Any span of a chain that grows, whatever is kept of it: from disk, and from memory where
    memory has it."""
    chance = random.Random(seed)
    blocks = sparse_chain(chance, 1_100)
    stored = Stored(tmp_path / "blocks", blocks[:700], segment_bytes=1 << 16, is_apart=False)
    store = store_of(pages=chance.choice([10, 10_000]), sections=sections)
    answered = 0
    for block in blocks[700:]:
        stored.append(block)
        if chance.random() < 0.9:
            store.follow(block.number, block.bloom)
        if chance.random() < 0.9:
            store.put(block.number, block.page())
        if chance.random() < 0.8:
            continue
        start = chance.choice([0, 255, 256, chance.randrange(1_100)])
        span = range(start, chance.choice([start, start + 1, 511, 512, 2_000]))
        asked = some_choice(chance, chance.randrange(3))
        choice, expected = LogChoice(*asked), stored.expected(*asked, span=span)
        before = stored.at_once(store, choice, span)
        assert before in (None, b"[%b]" % expected)
        assert stored.search(store, choice, span, work_max=chance.choice([1, 50, 1 << 40])) == (
            expected
        )
        after = stored.at_once(store, choice, span)
        assert after in (None, b"[%b]" % expected)
        answered += after is not None
    assert stored.elsewhere == []
    assert answered > (30 if sections == 8 else 5)
    stored.close()


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("density", [0.02, 0.5, 1.0])
def test_columns_say_what_rows_do(tmp_path: Path, density: float, follows: bool) -> None:
    """Of blooms with few bits, with many, and with all of them, read together or one by one. Each
    page matches, so that what is found is what the blooms let through."""
    chance = random.Random(int(100 * density))
    block = Block(chance)
    while len(block.expected(set(), [])) != 1:
        block = Block(chance)
    log = json.loads(block.expected(set(), [])[0])
    wanted = {Address(bytes.fromhex(log["address"][2:])), Address(chance.randbytes(20))}
    topics = [{Hash32(bytes.fromhex(one[2:])), Hash32(bytes(32))} for one in log["topics"]]
    blooms = [
        bytes(sum((chance.random() < density) << bit for bit in range(8)) for _ in range(256))
        for _ in range(600)
    ]
    for hole in range(3):
        blooms[200 * hole + 7] = block.bloom
    file, store, choice = BloomFile(tmp_path / "blooms"), store_of(), LogChoice(wanted, topics)
    files = replace(NO_FILES, blooms=file.file)

    def found(span: range, head: int) -> int:
        search = LogSearch(choice, span, head, ALL, whole_max=0, work_max=1 << 40)
        search.read(store, files)
        assert search.is_done
        return search.count

    store.learn(file.file, 0, 3)
    for number, bloom in enumerate(blooms):
        file.put(number, bloom)
        store.put(number, block.page())
        if number == 0 or not follows:
            assert found(range(number, number + 1), number) == len(choice.scan(bloom))
        if follows:
            store.follow(number, bloom)
    if follows:
        file.close()
    for start, end in ((0, 600), (255, 257), (7, 8), (100, 513), (599, 600)):
        assert found(range(start, end), 599) == len(choice.scan(b"".join(blooms[start:end])))
    if follows:
        return
    store, files = store_of(), NO_FILES
    store.learn(file.file, 599, 2)
    for number in range(600):
        store.put(number, block.page())
    expected = len(choice.scan(b"".join(blooms[256:])))
    file.close()
    assert found(range(256, 600), 599) == expected
    with pytest.raises(StorageCorrupt):
        found(range(255, 600), 599)


def test_sections_that_memory_lacks_are_not_guessed(tmp_path: Path) -> None:
    """A bloom that does not follow on those that are known is not taken for the next one."""
    blocks = sparse_chain(random.Random(9), 600)
    stored = Stored(tmp_path / "blocks", blocks[:500], segment_bytes=1 << 20, is_apart=False)
    store, choice = store_of(), LogChoice((), ())
    stored.search(store, choice)
    for block in blocks[500:]:
        stored.append(block)
        store.put(block.number, block.page())
        if block.number != 505:
            store.follow(block.number, block.bloom)
        answer = stored.at_once(store, choice, range(block.number, block.number + 1))
        assert (answer is None) is (block.number >= 505)
    stored.close()


def test_a_chain_that_was_left_is_not_read_from_disk(tmp_path: Path) -> None:
    """What memory has of it stays, all else is asked for elsewhere, whatever the columns say."""
    blocks = sparse_chain(random.Random(4), 600)
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=1 << 20, is_apart=False)
    store = store_of()
    asked: tuple[set[Address], list[set[Hash32]]] = {address(random.Random(1))}, []
    choice = LogChoice(*asked)
    stored.search(store, choice, range(256))
    store.leave()
    for number in range(600):
        stored.blooms.put(number, bytes(256))
        stored.places.put(number, [bytes(ROW_BYTES)])
    assert stored.search(store, choice) == stored.expected(*asked) != b""
    assert stored.elsewhere == list(range(256, 600))
    assert stored.at_once(store, choice, range(256)) is not None
    assert stored.at_once(store, choice, range(257)) is None
    stored.close()


def test_what_is_kept_is_bounded() -> None:
    chance = random.Random(2)
    pages = [block.page() for block in chain_of(chance, 400)]
    few = store_of(pages=50)
    small = store_of(size=20_000)
    for number, page in enumerate(pages):
        for store in (few, small):
            store.put(number, page)
            store.put(number, b"")
    assert [number for number in range(400) if few.get(number) is not None] == list(range(350, 400))
    kept = [number for number in range(400) if small.get(number) is not None]
    assert kept == list(range(kept[0], 400))
    assert all(small.get(number) == pages[number] for number in kept)
    assert sum(len(pages[number]) for number in kept) <= 20_000
    assert sum(len(pages[number]) for number in kept) > 10_000
    empty = store_of().memory
    assert empty < few.memory < empty + sum(map(len, pages)) + 50 * 100
    few.put(400, bytes(1 << 27))
    assert few.get(400) is None
    assert store_of(pages=0).put(1, b"") is None


def test_many_threads_share_a_store(tmp_path: Path) -> None:
    """While pages and sections come and go."""
    blocks = sparse_chain(random.Random(6), 900)
    stored = Stored(tmp_path / "blocks", blocks, segment_bytes=1 << 14, is_apart=False)
    store = store_of(pages=20, sections=2)
    asked = [some_choice(random.Random(seed), 1) for seed in range(8)]
    expected = [stored.expected(*item) for item in asked]
    wrong: list[int] = []

    def work(seed: int) -> None:
        choice = LogChoice(*asked[seed])
        for turn in range(30):
            if stored.search(store, choice, work_max=1 + 40 * turn) != expected[seed]:
                wrong.append(seed)
            if stored.at_once(store, choice, range(900)) not in (None, b"[%b]" % expected[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    stored.close()


def test_choices_are_kept_by_what_they_are_of() -> None:
    chance = random.Random(8)
    first, second = Address(chance.randbytes(20)), Address(chance.randbytes(20))
    assert choice_of({first, second}, []) is choice_of([second, first], ())
    assert choice_of({first}, []) is not choice_of({second}, [])
    assert choice_of({first}, [set()]) is not choice_of({first}, [])
    many = [Address(chance.randbytes(20)) for _ in range(17)]
    assert choice_of(many, []) is not choice_of(many, [])


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
    store, numbers = store_of(), range(blocks[0].number, stored.head + 1)
    assert stored.search(store, LogChoice((), ()), numbers) == stored.expected(set(), [])
    path.write_bytes(sound)
    for block in blocks:
        assert store.get(block.number) in (None, block.page())
    stored.elsewhere.clear()
