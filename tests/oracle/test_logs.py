"""Logs read, chosen and shown natively, against the Python that decodes and renders them."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

import numpy as np
import orjson
import pytest

from ghostchain.chain.logs import LocatedLog, matches, matching_logs
from ghostchain.chain.records import BodyRecord, ReceiptsRecord, body_parts, receipts_parts
from ghostchain.crypto.hashes import bloom_may_contain, logs_bloom
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_header, encode_receipt
from ghostchain.encoding.logs import LogChoice, LogsBound, log_page, select_logs
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.render import located_log_json
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
