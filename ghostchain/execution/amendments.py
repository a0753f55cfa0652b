"""Amendments as the native core takes them: the door to `native/executor/amend.c`."""

from __future__ import annotations

from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.primitives.amendment import Amendments


def native_amendments(amendments: Amendments, kept: list[Any]) -> Any:
    """A `ghost_amendment[]`; kept collects what must outlive it."""
    native = ffi.new("ghost_amendment[]", len(amendments))
    for item, (address, one) in zip(native, amendments.items(), strict=True):
        code = ffi.from_buffer(one.code or b"")
        slots = ffi.from_buffer(b"".join(key + value for key, value in one.slots.items()))
        kept += [code, slots]
        item.address = address
        item.fields = (
            (0 if one.nonce is None else lib.GHOST_AMEND_NONCE)
            | (0 if one.balance is None else lib.GHOST_AMEND_BALANCE)
            | (0 if one.code is None else lib.GHOST_AMEND_CODE)
            | (lib.GHOST_AMEND_CLEAR_STORAGE if one.clear_storage else 0)
        )
        item.nonce = one.nonce or 0
        item.balance = (one.balance or 0).to_bytes(32, "big")
        item.code = code
        item.code_length = len(one.code or b"")
        item.slots = slots
        item.slot_count = len(one.slots)
    kept.append(native)
    return native
