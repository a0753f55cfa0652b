"""Undo records: what a block changed, with the values before it.

    account count u32 | slot count u32
    accounts: hashed 32 each | length of the stored value u8 each | stored values
    slots: index of the account u32 each | hashed 32 each | value before 32 each

Every account whose storage changed is among the accounts. Slots of an account whose storage was
wiped are all listed, so that walking back needs no other source.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.state.changes import (
    ACCOUNT_CHANGES,
    FEW_ROWS,
    SLOT_CHANGES,
    Changes,
    Column,
    record_column,
    rows,
)

COUNTS = struct.Struct(">II")
ZERO_SLOT = bytes(32)


@dataclass(frozen=True, slots=True)
class Undo:
    """A decoded undo record: stored values before the block (b"" is absence), by hashed key."""

    accounts: dict[bytes, bytes]
    slots: dict[tuple[bytes, bytes], bytes]


def encode_undo(
    hashed: Column, before: list[bytes], owners: Column, slot_hashed: Column, slot_before: Column
) -> bytes:
    """One record from columns; owners index into hashed."""
    return b"".join(
        (
            COUNTS.pack(len(hashed), len(owners)),
            hashed.tobytes(),
            bytes(map(len, before)),
            *before,
            owners.astype(">u4").tobytes(),
            slot_hashed.tobytes(),
            slot_before.tobytes(),
        )
    )


def encode_few(
    hashed: list[bytes], before: list[bytes], slots: list[tuple[int, bytes, bytes]]
) -> bytes:
    """The same of a few. slots: the index of the account, hashed key, value before."""
    return b"".join(
        (
            COUNTS.pack(len(hashed), len(slots)),
            *hashed,
            bytes(map(len, before)),
            *before,
            struct.pack(f">{len(slots)}I", *(owner for owner, _, _ in slots)),
            *(key for _, key, _ in slots),
            *(value for _, _, value in slots),
        )
    )


def decode_undo(data: bytes) -> Undo:
    """Raises: StorageCorrupt when the record does not add up."""
    try:
        account_count, slot_count = COUNTS.unpack_from(data)
        cursor = COUNTS.size
        hashed = _fixed(data, cursor, account_count)
        cursor += 32 * account_count
        lengths = data[cursor : cursor + account_count]
        cursor += account_count
        accounts = {}
        for key, length in zip(hashed, lengths, strict=True):
            accounts[key] = data[cursor : cursor + length]
            cursor += length
        owners = (
            struct.unpack_from(f">{slot_count}I", data, cursor)
            if slot_count <= FEW_ROWS
            else np.frombuffer(data, ">u4", slot_count, cursor).tolist()
        )
        cursor += 4 * slot_count
        keys = _fixed(data, cursor, slot_count)
        values = _fixed(data, cursor + 32 * slot_count, slot_count)
        if cursor + 64 * slot_count != len(data):
            raise ValueError("length")
    except (ValueError, struct.error) as error:
        raise StorageCorrupt(f"an undo record is damaged: {error}") from error
    slots = {
        (hashed[owner], key): value for owner, key, value in zip(owners, keys, values, strict=True)
    }
    return Undo(accounts, slots)


def _fixed(data: bytes, offset: int, count: int) -> list[bytes]:
    if count <= FEW_ROWS:
        return [data[start : start + 32] for start in range(offset, offset + 32 * count, 32)]
    return rows(np.frombuffer(data, np.uint8, 32 * count, offset).reshape(count, 32))


def merge_undos(records: Iterable[Undo]) -> Undo:
    """The values before the oldest of these blocks. records: newest block first."""
    accounts: dict[bytes, bytes] = {}
    slots: dict[tuple[bytes, bytes], bytes] = {}
    for record in records:
        accounts.update(record.accounts)
        slots.update(record.slots)
    return Undo(accounts, slots)


def changes_between(
    accounts: Mapping[bytes, tuple[bytes, bytes]],
    slots: Mapping[tuple[bytes, bytes], tuple[bytes, bytes]],
) -> Changes:
    """Columns for the trie from stored values (before, after) of accounts and 32-byte values of
    slots. Addresses and plain keys stay zero: the trie works on hashes."""
    hashes = sorted(accounts)
    account_column = np.zeros(len(hashes), ACCOUNT_CHANGES)
    slot_keys = sorted(slots)
    slot_column = np.zeros(len(slot_keys), SLOT_CHANGES)
    if slot_keys:
        slot_column["hashed"] = _matrix([key for _, key in slot_keys])
        slot_column["before"] = _matrix([slots[key][0] for key in slot_keys])
        slot_column["after"] = _matrix([slots[key][1] for key in slot_keys])
    if not hashes:
        return Changes(account_column, slot_column)
    account_column["hashed"] = _matrix(hashes)
    before, existed = record_column([accounts[key][0] for key in hashes])
    after, exists = record_column([accounts[key][1] for key in hashes])
    account_column["before"], account_column["existed"] = before, existed
    account_column["after"], account_column["exists"] = after, exists
    account_column["storage_wiped"] = (existed == 1) & (exists == 0)
    owners = np.array([owner for owner, _ in slot_keys], "S32") if slot_keys else None
    if owners is not None:
        wanted = np.array(hashes, "S32")
        account_column["slot_first"] = np.searchsorted(owners, wanted, "left")
        last = np.searchsorted(owners, wanted, "right")
        account_column["slot_count"] = last - account_column["slot_first"]
    return Changes(account_column, slot_column)


def _matrix(values: list[bytes]) -> Column:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), 32)
