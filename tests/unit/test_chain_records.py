"""Bodies, receipts, logs: what is stored comes back, and searches find what filtering would."""

from __future__ import annotations

import gc
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from ghostchain.chain.columns import own_batch
from ghostchain.chain.logs import BloomFile, candidate_blocks, matches, matching_logs
from ghostchain.chain.records import BodyRecord, ReceiptsRecord, body_parts, receipts_parts
from ghostchain.crypto.hashes import logs_bloom
from ghostchain.encoding.blocks import decode_header, encode_header, encode_receipt
from ghostchain.encoding.logs import LogChoice
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.types import EMPTY_BLOOM, Address, Hash32
from tests.samples import HEADER


def make_receipts(count: int, seed: int) -> list[Receipt]:
    """Receipts of which two in three have logs of a few addresses and topics."""
    chance = random.Random(seed)
    receipts, total = [], 0
    for _ in range(count):
        total += chance.randrange(21000, 90000)
        logs = tuple(
            Log(
                Address(bytes(19) + bytes([chance.randrange(4)])),
                tuple(
                    Hash32(bytes(31) + bytes([chance.randrange(6)]))
                    for _ in range(chance.randrange(5))
                ),
                chance.randbytes(chance.randrange(40)),
            )
            for _ in range(chance.randrange(3))
        )
        bloom = logs_bloom(logs) if logs else EMPTY_BLOOM
        receipts.append(Receipt(chance.randrange(5), chance.random() < 0.9, total, bloom, logs))
    return receipts


def record_of(receipts: list[Receipt]) -> ReceiptsRecord:
    parts = receipts_parts(
        np.array([receipt.type for receipt in receipts]),
        np.array([receipt.success for receipt in receipts]),
        np.array([receipt.cumulative_gas_used for receipt in receipts]),
        np.array([len(receipt.logs) for receipt in receipts]),
        [encode_receipt(receipt) for receipt in receipts if receipt.logs],
    )
    return ReceiptsRecord.parse(b"".join(parts))


def test_bodies_come_back() -> None:
    raws = [b"\x02" + bytes([i]) * i for i in range(5)]
    senders = b"".join(bytes([i]) * 20 for i in range(5))
    paid = [Withdrawal(1, 2, Address(b"\x09" * 20), 3), Withdrawal(4, 5, Address(bytes(20)), 6)]
    data = b"".join(body_parts(encode_header(HEADER), paid, raws, senders))
    record = BodyRecord.parse(data)
    assert len(record) == 5
    assert [record.raw(i) for i in range(5)] == raws
    assert record.sender(3) == b"\x03" * 20
    block = record.block()
    assert block.header == HEADER == decode_header(record.header)
    assert block.transactions == tuple(raws)
    assert block.withdrawals == tuple(paid)
    empty = BodyRecord.parse(b"".join(body_parts(encode_header(HEADER), [], [], b"")))
    assert empty.block().transactions == ()
    with pytest.raises(StorageCorrupt):
        BodyRecord.parse(data[:-1])


def test_a_batch_is_lent_while_it_lives() -> None:
    """Who decodes a whole block lets others look at what was decoded, as long as it is there."""
    parts = body_parts(b"", (), [b"\x02\xc0", b"\x02\xc0"], bytes(40))
    body = BodyRecord.parse(b"".join(parts))
    part = own_batch(body, 1)
    assert body.lent_batch() is None
    batch = own_batch(body)
    assert body.lent_batch() is batch
    del part, batch
    gc.collect()
    assert body.lent_batch() is None


def test_receipts_come_back() -> None:
    receipts = make_receipts(40, seed=1)
    record = record_of(receipts)
    assert list(record.receipts()) == receipts
    assert record.first_log_index(7) == sum(len(receipt.logs) for receipt in receipts[:7])
    assert record_of([]).receipts() == ()
    with pytest.raises(StorageCorrupt):
        ReceiptsRecord.parse(record.data + b"x")


def test_fee_rates_come_back() -> None:
    """Those of the transactions that paid in a token; a record without any is as it always was."""
    receipts = make_receipts(5, seed=2)
    plain = record_of(receipts)
    rates = {1: 7, 4: 2**255}
    packed = [
        struct.pack(">I32s", index, rate.to_bytes(32, "big")) for index, rate in rates.items()
    ]
    record = ReceiptsRecord.parse(plain.data + b"".join(packed))
    assert (plain.fee_rates, record.fee_rates) == ({}, rates)
    assert record.receipts() == plain.receipts()
    for wrong in (packed[0][:-1], struct.pack(">I32s", 5, b"\1" * 32), bytes(36)):
        with pytest.raises(StorageCorrupt):
            ReceiptsRecord.parse(plain.data + wrong)


@pytest.mark.parametrize("seed", range(8))
def test_searches_find_what_filtering_would(tmp_path: Path, seed: int) -> None:
    """Bloom scan and byte search leave out no match and let no mismatch through."""
    chance = random.Random(seed)
    blocks = [make_receipts(chance.randrange(4), seed=100 * seed + i) for i in range(60)]
    blooms = BloomFile(tmp_path / "blooms")
    for number, receipts in enumerate(blocks):
        blooms.put(number, logs_bloom([log for receipt in receipts for log in receipt.logs]))
    blooms.sync()
    addresses = {Address(bytes(19) + bytes([n])) for n in chance.sample(range(4), seed % 3)}
    topics = [
        {Hash32(bytes(31) + bytes([n])) for n in chance.sample(range(6), chance.randrange(3))}
        for _ in range(chance.randrange(4))
    ]
    expected = []
    for number, receipts in enumerate(blocks):
        position = 0
        for index, receipt in enumerate(receipts):
            for log in receipt.logs:
                if number >= 5 and matches(log, addresses, topics):
                    expected.append((number, index, position, log))
                position += 1
    found = [
        (number, *match)
        for number in candidate_blocks(blooms, 5, 59, LogChoice(addresses, topics))
        for match in matching_logs(record_of(blocks[number]), addresses, topics)
    ]
    blooms.close()
    assert found == expected


def test_matching_follows_positions() -> None:
    log = Log(Address(bytes(20)), (Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)), b"")
    one, two = log.topics
    assert matches(log, (), ())
    assert matches(log, {log.address}, [{one}])
    assert matches(log, (), [(), {two, one}])
    assert not matches(log, (), [{two}])
    assert not matches(log, (), [(), (), ()])
    assert not matches(log, {Address(b"\x01" * 20)}, ())
