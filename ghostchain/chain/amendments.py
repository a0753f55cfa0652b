"""What was changed by hand on a development chain: its bytes, its limits, and where it waits.

A cheat (`anvil_setBalance`, `anvil_setCode` ...) is pending from the moment it was accepted: it is
durable, and whoever reads the head's state sees it (`state/views.py`, `AmendedView`). The next
block begins with it, so that the block's change set, undo record and state root cover it, and
keeps it beside its body, so that running the block once more gives the same.

    amendments   RLP: [ [address, nonce?, balance?, code?, clear, [ [key, value] ... ]] ... ]

in ascending order of addresses and keys; a field that may be left out is a list of none or one.
In the database pending ones stand apart, so that another cheat costs only itself:

    p | address 20             RLP: [nonce?, balance?, code?, clear]
    p | address 20 | key 32    value 32
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from ghostchain.encoding import rlp
from ghostchain.primitives.amendment import NO_AMENDMENTS, AccountAmendment, Amendments
from ghostchain.primitives.errors import EncodingReason, InvalidEncoding
from ghostchain.primitives.types import Address, Hash32
from ghostchain.storage.database import Batch, Reader, after

__all__ = [
    "AMENDMENT_BYTES_MAX",
    "NO_AMENDMENTS",
    "AccountAmendment",
    "Amendments",
    "check_amendments",
    "decode_amendments",
    "encode_amendments",
    "merge_amendments",
    "put_pending",
    "read_pending",
    "refuse_too_many",
]

PENDING = b"p"
# Of all that waits for one block: a dumped state may be large, a record of the files is bounded.
AMENDMENT_BYTES_MAX = 120 << 20
CODE_BYTES_MAX = 16 << 20
SLOT_BYTES = 67
ACCOUNT_BYTES = 80


def size_of(amendments: Amendments) -> int:
    """Bytes of the encoding, or a few more."""
    return sum(
        ACCOUNT_BYTES + len(one.code or b"") + SLOT_BYTES * len(one.slots)
        for one in amendments.values()
    )


def check_amendments(amendments: Amendments) -> None:
    """Raises: ValueError for what no account can have."""
    for address, one in amendments.items():
        if len(address) != 20:
            raise ValueError(f"an address has 20 bytes, not {len(address)}")
        if one.nonce is not None and not 0 <= one.nonce < 1 << 64:
            raise ValueError("a nonce is below 2^64")
        if one.balance is not None and not 0 <= one.balance < 1 << 256:
            raise ValueError("a balance is below 2^256")
        if one.code is not None and len(one.code) > CODE_BYTES_MAX:
            raise ValueError(f"code of {len(one.code)} bytes, at most {CODE_BYTES_MAX} are taken")
        if any(len(key) != 32 or len(value) != 32 for key, value in one.slots.items()):
            raise ValueError("keys and values of slots have 32 bytes")


def refuse_too_many(amendments: Amendments) -> None:
    """Raises: ValueError for more than a block can begin with."""
    if (size := size_of(amendments)) > AMENDMENT_BYTES_MAX:
        raise ValueError(f"amendments of {size} bytes, at most {AMENDMENT_BYTES_MAX} are taken")


def merge_amendments(first: Amendments, second: Amendments) -> Amendments:
    """The first and then the second, as one. Cost: a copy of the first, by accounts."""
    merged = dict(first)
    for address, one in second.items():
        before = merged.get(address)
        merged[address] = one if before is None else before.followed_by(one)
    return merged


# ---- bytes ----


def _optional(encoded: bytes | None) -> bytes:
    return rlp.list_of(() if encoded is None else (encoded,))


def _fields(one: AccountAmendment) -> list[bytes]:
    return [
        _optional(None if one.nonce is None else rlp.encode_integer(one.nonce)),
        _optional(None if one.balance is None else rlp.encode_integer(one.balance)),
        _optional(None if one.code is None else rlp.encode_bytes(one.code)),
        rlp.encode_integer(int(one.clear_storage)),
    ]


def _account(address: Address, one: AccountAmendment) -> bytes:
    slots = [
        rlp.list_of((rlp.encode_bytes(key), rlp.encode_bytes(one.slots[key])))
        for key in sorted(one.slots)
    ]
    return rlp.list_of([rlp.encode_bytes(address), *_fields(one), rlp.list_of(slots)])


def encode_amendments(amendments: Amendments) -> bytes:
    """The canonical bytes: equal amendments have equal bytes."""
    return rlp.list_of([_account(Address(key), amendments[key]) for key in sorted(amendments)])


def _optional_integer(item: Any, bytes_max: int) -> int | None:
    parts = rlp.as_list(item)
    if len(parts) > 1:
        raise InvalidEncoding(EncodingReason.FIELD_COUNT)
    return rlp.integer(parts[0], bytes_max=bytes_max) if parts else None


def _optional_bytes(item: Any) -> bytes | None:
    parts = rlp.as_list(item)
    if len(parts) > 1:
        raise InvalidEncoding(EncodingReason.FIELD_COUNT)
    return rlp.as_bytes(parts[0]) if parts else None


def _amendment(fields: list[Any], slots: Mapping[Hash32, Hash32]) -> AccountAmendment:
    clear = rlp.integer(fields[3], bytes_max=1)
    if clear > 1:
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH)
    return AccountAmendment(
        nonce=_optional_integer(fields[0], 8),
        balance=_optional_integer(fields[1], 32),
        code=_optional_bytes(fields[2]),
        slots=slots,
        clear_storage=clear == 1,
    )


def _refuse_disorder(names: Iterable[bytes]) -> None:
    ordered = list(names)
    if any(left >= right for left, right in itertools.pairwise(ordered)):
        raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "amendments are not in order")


def decode_amendments(data: bytes) -> Amendments:
    """Raises: InvalidEncoding for anything but what `encode_amendments` gives."""
    if len(data) > AMENDMENT_BYTES_MAX:
        raise InvalidEncoding(EncodingReason.TOO_LONG)
    found: dict[Address, AccountAmendment] = {}
    items = [rlp.as_list(item, length=6) for item in rlp.as_list(rlp.decode(data))]
    _refuse_disorder(rlp.fixed(item[0], 20) for item in items)
    for item in items:
        pairs = [rlp.as_list(pair, length=2) for pair in rlp.as_list(item[5])]
        slots = {Hash32(rlp.fixed(key, 32)): Hash32(rlp.fixed(value, 32)) for key, value in pairs}
        _refuse_disorder(rlp.fixed(key, 32) for key, _ in pairs)
        found[Address(rlp.fixed(item[0], 20))] = _amendment(item[1:5], slots)
    return found


# ---- where pending ones wait ----


def put_pending(batch: Batch, before: Amendments, added: Amendments) -> None:
    """The batch makes `added` pending beside what was pending before."""
    for address, one in added.items():
        name = PENDING + address
        kept = before.get(address, AccountAmendment())
        if one.clear_storage:
            for key in kept.slots:
                batch.delete(name + key)
        batch.put(name, rlp.list_of(_fields(kept.followed_by(one))))
        for key, value in one.slots.items():
            batch.put(name + key, value)


def delete_pending(batch: Batch, pending: Amendments) -> None:
    """The batch makes nothing of this pending any more."""
    for address, one in pending.items():
        batch.delete(PENDING + address)
        for key in one.slots:
            batch.delete(PENDING + address + key)


def read_pending(reader: Reader) -> Amendments:
    """What waits for the next block. Raises: InvalidEncoding when it is damaged."""
    fields: dict[Address, list[Any]] = {}
    slots: dict[Address, dict[Hash32, Hash32]] = {}
    with reader.items(PENDING, after(PENDING)) as items:
        for key, value in items:
            address = Address(key[1:21])
            if len(key) == 21:
                fields[address] = rlp.as_list(rlp.decode(value), length=4)
            else:
                slots.setdefault(address, {})[Hash32(key[21:])] = Hash32(value)
    return {address: _amendment(found, slots.get(address, {})) for address, found in fields.items()}
