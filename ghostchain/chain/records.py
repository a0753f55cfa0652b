"""What the block files hold: a body and a receipts record for each block; on a chain with
consensus what travels beside it (`encoding/attachments.py`), on a development chain, before them,
what it began with (`chain/amendments.py`) when the block was made by hand.

    body      counts: transactions u32, header bytes u32, withdrawals u32
              header RLP | withdrawals: index u64, validator u64, address 20, gwei u64 each
              | lengths u32 each | senders 20 each | raw transactions
    receipts  count u32
              types u8 each | statuses u8 each | cumulative gas u64 each | log counts u32 each
              | lengths u32 each | canonical receipts of those with logs
              | index u32, rate 32 of those whose fee was paid in a token
    group     blocks u32: before the records of so many, more than one, that one batch names

Integers are big-endian. A receipt without logs is its first three columns: its bloom is empty, so
a plain transfer takes 18 bytes instead of 270. Senders are kept because recovering them costs more
than 20 bytes do. Columns are read and written whole, never transaction by transaction.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np

from ghostchain.encoding.blocks import decode_early_header, decode_receipt
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.types import EMPTY_BLOOM, Address
from ghostchain.state.changes import Column

BODY = 0
RECEIPTS = 1
ATTACHMENT = 1 << 63
AMENDMENTS = 1 << 62
GROUP = 1 << 61
"""The whole tag of a group's record."""
BODY_COUNTS = struct.Struct(">III")
WITHDRAWAL = struct.Struct(">QQ20sQ")
COUNT = struct.Struct(">I")
# So many are faster without numpy.
FEW_ITEMS = 64
RECEIPT_COLUMN_BYTES = 1 + 1 + 8 + 4 + 4
FEE_RATE = struct.Struct(">I32s")


def tag_of(number: int, kind: int) -> int:
    """The tag of a record in the block files."""
    return number << 1 | kind


def group_size(payload: bytes) -> int:
    """How many blocks the record of a group announces. Raises: StorageCorrupt."""
    if len(payload) != COUNT.size:
        raise StorageCorrupt("the record of a group of blocks is damaged")
    return int(COUNT.unpack(payload)[0])


def body_parts(
    header: bytes, withdrawals: Sequence[Withdrawal], raws: Sequence[bytes], senders: bytes
) -> list[bytes]:
    """The parts of a body record. senders: 20 bytes each, joined."""
    counts = BODY_COUNTS.pack(len(raws), len(header), len(withdrawals))
    paid = [
        WITHDRAWAL.pack(item.index, item.validator_index, item.address, item.amount_gwei)
        for item in withdrawals
    ]
    lengths = struct.pack(f">{len(raws)}I", *map(len, raws))
    return [counts, header, *paid, lengths, senders, *raws]


def ends_of(data: bytes, count: int, start: int) -> list[int]:
    """Where each of `count` items ends whose lengths, u32, stand from start on. Raises: ValueError,
    struct.error where the data is shorter."""
    if count > FEW_ITEMS:
        lengths = np.frombuffer(data, ">u4", count, start)
        ends: list[int] = lengths.astype(np.int64).cumsum().tolist()
        return ends
    return list(accumulate(struct.unpack_from(f">{count}I", data, start)))


@dataclass(frozen=True, slots=True)
class BodyRecord:
    """A body as stored; transactions are sliced out of it on demand."""

    data: bytes
    header: bytes
    withdrawals: bytes
    ends: Sequence[int]
    senders_at: int
    raws_at: int
    lent: list[weakref.ref[TransactionBatch]] = field(default_factory=list, compare=False)

    def lend_batch(self, batch: TransactionBatch) -> None:
        """All transactions of the block, which somebody has decoded and will not change: whoever
        wants to look at them may as well look at these, while they are there."""
        self.lent[:] = [weakref.ref(batch)]

    def lent_batch(self) -> TransactionBatch | None:
        """What was lent, if it is still there."""
        for one in self.lent:
            return one()
        return None

    @classmethod
    def parse(cls, data: bytes) -> BodyRecord:
        """Raises: StorageCorrupt when the record does not add up."""
        try:
            count, header_bytes, withdrawal_count = BODY_COUNTS.unpack_from(data)
            cursor = BODY_COUNTS.size
            header = data[cursor : cursor + header_bytes]
            cursor += header_bytes
            withdrawals = data[cursor : cursor + WITHDRAWAL.size * withdrawal_count]
            cursor += len(withdrawals)
            ends = ends_of(data, count, cursor)
            cursor += 4 * count
            raws_at = cursor + 20 * count
            if raws_at + (ends[-1] if count else 0) != len(data):
                raise ValueError("length")
        except (ValueError, struct.error) as error:
            raise StorageCorrupt(f"a body record is damaged: {error}") from error
        return cls(data, header, withdrawals, ends, cursor, raws_at)

    def __len__(self) -> int:
        return len(self.ends)

    def raw(self, index: int) -> bytes:
        start = self.ends[index - 1] if index else 0
        return self.data[self.raws_at + start : self.raws_at + self.ends[index]]

    def raws(self) -> tuple[bytes, ...]:
        data, base = self.data, self.raws_at
        starts = [base, *(base + end for end in self.ends)]
        return tuple([data[start:end] for start, end in pairwise(starts)])

    def sender(self, index: int) -> Address:
        start = self.senders_at + 20 * index
        return Address(self.data[start : start + 20])

    def senders(self) -> list[Address]:
        """Of each transaction, in order."""
        joined = self.data[self.senders_at : self.raws_at]
        return [Address(joined[start : start + 20]) for start in range(0, len(joined), 20)]

    def paid(self) -> tuple[Withdrawal, ...]:
        """The withdrawals, decoded."""
        return tuple(
            Withdrawal(index, validator, Address(address), amount)
            for index, validator, address, amount in WITHDRAWAL.iter_unpack(self.withdrawals)
        )

    def block(self) -> Block:
        return Block(decode_early_header(self.header), self.raws(), self.paid())


def receipts_parts(
    types: Column,
    statuses: Column,
    cumulative: Column,
    log_counts: Column,
    receipts: Sequence[bytes],
    fee_rates: Sequence[tuple[int, bytes]] = (),
) -> list[bytes]:
    """The parts of a receipts record. receipts: the canonical bytes of those with logs. fee_rates:
    index and 32-byte rate of those whose fee was paid in a token, indices ascending."""
    lengths = np.zeros(len(types), ">u4")
    lengths[log_counts > 0] = np.fromiter(map(len, receipts), np.uint32, len(receipts))
    return [
        COUNT.pack(len(types)),
        types.astype(np.uint8).tobytes(),
        statuses.astype(np.uint8).tobytes(),
        cumulative.astype(">u8").tobytes(),
        log_counts.astype(">u4").tobytes(),
        lengths.tobytes(),
        *receipts,
        *(FEE_RATE.pack(index, rate) for index, rate in fee_rates),
    ]


def _fee_rates(data: bytes, start: int, count: int) -> Mapping[int, int]:
    """Raises: ValueError, struct.error."""
    if start > len(data):
        raise ValueError("length")
    if start == len(data):
        return {}
    rates = {
        index: int.from_bytes(rate, "big") for index, rate in FEE_RATE.iter_unpack(data[start:])
    }
    if max(rates) >= count or 0 in rates.values():
        raise ValueError("fee rates")
    return rates


@dataclass(frozen=True, slots=True)
class ReceiptsRecord:
    """The receipts of a block as stored. fee_rates: by index, wei of the token in which a fee was
    paid for 10^18 wei of GCC."""

    data: bytes
    types: Column
    statuses: Column
    cumulative: Column
    log_counts: Column
    ends: Column
    receipts_at: int
    fee_rates: Mapping[int, int]

    @classmethod
    def parse(cls, data: bytes) -> ReceiptsRecord:
        """Raises: StorageCorrupt when the record does not add up."""
        try:
            (count,) = COUNT.unpack_from(data)
            cursor = COUNT.size
            columns = []
            for kind in ("u1", "u1", ">u8", ">u4", ">u4"):
                columns.append(np.frombuffer(data, kind, count, cursor))
                cursor += columns[-1].nbytes
            ends = columns[4].astype(np.int64).cumsum()
            rates = _fee_rates(data, cursor + (int(ends[-1]) if count else 0), count)
        except (ValueError, struct.error) as error:
            raise StorageCorrupt(f"a receipts record is damaged: {error}") from error
        types, statuses, cumulative, log_counts = columns[:4]
        return cls(data, types, statuses, cumulative, log_counts, ends, cursor, rates)

    def __len__(self) -> int:
        return len(self.types)

    def encoded(self, index: int) -> bytes:
        """The canonical bytes of a receipt with logs; b"" for one without."""
        start = int(self.ends[index - 1]) if index else 0
        return self.data[self.receipts_at + start : self.receipts_at + int(self.ends[index])]

    def receipt(self, index: int) -> Receipt:
        encoded = self.encoded(index)
        if encoded:
            return decode_receipt(encoded)
        return Receipt(
            int(self.types[index]),
            bool(self.statuses[index]),
            int(self.cumulative[index]),
            EMPTY_BLOOM,
            (),
        )

    def receipts(self) -> tuple[Receipt, ...]:
        return tuple(self.receipt(index) for index in range(len(self)))

    def first_log_index(self, index: int) -> int:
        """How many logs of the block come before those of this transaction."""
        return int(self.log_counts[:index].sum())
