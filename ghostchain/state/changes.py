"""The net changes of a block as columns: numpy views of the native core's arrays.

`ACCOUNT_CHANGES` and `SLOT_CHANGES` mirror `ghost_account_change` and `ghost_slot_change` of
`native/merkle/merkle.h` byte for byte. Everything here works on whole columns, since a block of
transfers changes tens of thousands of accounts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ghostchain._native import ffi
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT
from ghostchain.trie.merkle import ChangeSet

Column = npt.NDArray[Any]

RECORD = np.dtype(
    [
        ("nonce", "<u8"),
        ("balance", "u1", 32),
        ("storage_root", "u1", 32),
        ("code_hash", "u1", 32),
    ]
)
ACCOUNT_CHANGES = np.dtype(
    [
        ("address", "u1", 20),
        ("hashed", "u1", 32),
        ("existed", "u1"),
        ("exists", "u1"),
        ("storage_wiped", "u1"),
        ("code_changed", "u1"),
        ("before", RECORD),
        ("after", RECORD),
        ("slot_first", "<u8"),
        ("slot_count", "<u8"),
    ]
)
SLOT_CHANGES = np.dtype(
    [("key", "u1", 32), ("hashed", "u1", 32), ("before", "u1", 32), ("after", "u1", 32)]
)
assert ACCOUNT_CHANGES.itemsize == 280
assert SLOT_CHANGES.itemsize == 128

# The same as structures: what is not looked at in a small block (whether its storage was wiped and
# its code changed, and its first slot) is left out.
ACCOUNT_CHANGE = struct.Struct("<20s32s??2x104s104s8xQ")
SLOT_CHANGE = struct.Struct("32s32s32s32s")
STORAGE_WIPED_AT = struct.calcsize("<20s32s??")
assert ACCOUNT_CHANGE.size == ACCOUNT_CHANGES.itemsize
assert SLOT_CHANGE.size == SLOT_CHANGES.itemsize

# Stored where an account or a slot is absent, on a chain that was forked from another (there, what
# is not in the database is the other chain's). No stored value looks so.
TOMBSTONE = b"\0"
FULL_BYTES = 104
# So few rows are faster taken one by one than as a column: what numpy takes to begin costs more.
FEW_ROWS = 32
PLAIN_BYTES = 24
_EMPTY_TAIL = bytes(EMPTY_ROOT) + bytes(EMPTY_CODE_HASH)
_EMPTY_TAIL_COLUMN = np.frombuffer(_EMPTY_TAIL, np.uint8)
_ZERO_16 = bytes(16)


class SmallChange(NamedTuple):
    """An account that a block changed. before and after: as they are stored, b"" for absence.
    slots: (key, hashed, before, after) of 32 bytes each."""

    address: bytes
    hashed: bytes
    before: bytes
    after: bytes
    slots: Iterable[tuple[bytes, bytes, bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one block changed. Accounts are sorted by hash; each names its range of slots."""

    accounts: Column
    slots: Column

    @classmethod
    def none(cls) -> Changes:
        return cls(np.zeros(0, ACCOUNT_CHANGES), np.zeros(0, SLOT_CHANGES))

    def slot_owners(self) -> Column:
        """For each slot the index of its account."""
        counts = self.accounts["slot_count"].astype(np.int64)
        return np.repeat(np.arange(len(self.accounts)), counts)

    def small(self) -> Iterator[SmallChange]:
        """The accounts one by one, their slots with them. For a few of them."""
        accounts, slots = self.accounts.tobytes(), self.slots.tobytes()
        cursor = 0
        for start in range(0, len(accounts), ACCOUNT_CHANGE.size):
            found = ACCOUNT_CHANGE.unpack_from(accounts, start)
            address, hashed, existed, exists, before, after, count = found
            end = cursor + count * SLOT_CHANGE.size
            own = SLOT_CHANGE.iter_unpack(slots[cursor:end]) if count else ()
            cursor = end
            yield SmallChange(
                address,
                hashed,
                compact(_stored(before)) if existed else b"",
                compact(_stored(after)) if exists else b"",
                own,
            )


def is_small(changes: Changes) -> bool:
    """Whether a block changed little, and no storage of an account that was there is gone."""
    accounts = changes.accounts
    if len(accounts) > FEW_ROWS or len(changes.slots) > FEW_ROWS:
        return False
    return not any(accounts.tobytes()[STORAGE_WIPED_AT :: ACCOUNT_CHANGE.size])


def compact(record: bytes) -> bytes:
    """A flat record (104 bytes) as it is stored: an account without code and storage, and with
    less than 2^128 wei, takes 24 bytes (nonce 8 | balance 16)."""
    if record[40:] == _EMPTY_TAIL and record[8:24] == _ZERO_16:
        return record[:8] + record[24:40]
    return record


def expand(stored: bytes) -> bytes | None:
    """The flat record of a stored value; None for the empty value and the tombstone, which are
    absence."""
    if len(stored) == PLAIN_BYTES:
        return stored[:8] + _ZERO_16 + stored[8:] + _EMPTY_TAIL
    return None if stored in (b"", TOMBSTONE) else stored


def compact_column(records: Column, present: Column) -> list[bytes]:
    """`compact` of each record of a RECORD column; b"" where it is not present."""
    count = len(records)
    if count <= FEW_ROWS:
        packed = records.tobytes()
        return [
            compact(_big_endian(packed, place)) if is_present else b""
            for place, is_present in enumerate(present.tolist())
        ]
    full = np.empty((count, FULL_BYTES), np.uint8)
    full[:, :8] = records["nonce"].astype(">u8").view(np.uint8).reshape(count, 8)
    full[:, 8:40] = records["balance"]
    full[:, 40:72] = records["storage_root"]
    full[:, 72:] = records["code_hash"]
    plain = (full[:, 40:] == _EMPTY_TAIL_COLUMN).all(axis=1) & ~full[:, 8:24].any(axis=1)
    short = np.empty((count, PLAIN_BYTES), np.uint8)
    short[:, :8] = full[:, :8]
    short[:, 8:] = full[:, 24:40]
    values = rows(short)
    for index in np.flatnonzero(~plain).tolist():
        values[index] = full[index].tobytes()
    for index in np.flatnonzero(present == 0).tolist():
        values[index] = b""
    return values


def _big_endian(records: bytes, place: int) -> bytes:
    """One of packed records, with its nonce as it is stored."""
    start = place * FULL_BYTES
    end = start + FULL_BYTES
    return records[start : start + 8][::-1] + records[start + 8 : end]


def _stored(record: bytes) -> bytes:
    """A packed record with its nonce as it is stored."""
    return record[7::-1] + record[8:]


def record_column(stored: list[bytes]) -> tuple[Column, Column]:
    """The reverse of `compact_column`: a RECORD column and which of it are present."""
    records = np.zeros(len(stored), RECORD)
    present = np.zeros(len(stored), np.uint8)
    joined = b"".join(expand(value) or bytes(FULL_BYTES) for value in stored)
    full = np.frombuffer(joined, np.uint8).reshape(len(stored), FULL_BYTES)
    records["nonce"] = np.ascontiguousarray(full[:, :8]).view(">u8").ravel()
    records["balance"] = full[:, 8:40]
    records["storage_root"] = full[:, 40:72]
    records["code_hash"] = full[:, 72:]
    present[:] = [len(value) > 0 for value in stored]
    return records, present


def rows(matrix: Column) -> list[bytes]:
    """The rows of a two-dimensional byte column, each as bytes."""
    width = matrix.shape[1]
    if len(matrix) == 0:
        return []
    values: list[bytes] = np.ascontiguousarray(matrix).view(f"V{width}").ravel().tolist()
    return values


def trim(value: bytes) -> bytes:
    """A slot value as it is stored: without leading zeros, so zero is the empty value."""
    return value.lstrip(b"\0")


def change_set(changes: Changes) -> ChangeSet:
    """The columns as the trie takes them; it writes the new storage roots into them."""
    return ChangeSet(
        accounts=ffi.from_buffer("ghost_account_change[]", changes.accounts),
        account_count=len(changes.accounts),
        slots=ffi.from_buffer("ghost_slot_change[]", changes.slots),
        slot_count=len(changes.slots),
        owner=changes,
    )


def columns_of(native: Any) -> Changes:
    """The changes of a ghost_block_result, as views of native memory."""
    return Changes(
        _column(native.accounts, native.account_count, ACCOUNT_CHANGES),
        _column(native.slots, native.slot_count, SLOT_CHANGES),
    )


def _column(pointer: Any, count: int, kind: np.dtype[Any]) -> Column:
    if count == 0:
        return np.zeros(0, kind)
    return np.frombuffer(ffi.buffer(pointer, count * kind.itemsize), kind)
