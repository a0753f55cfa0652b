"""State that the native core asks for: a view in Python behind the callbacks of an executor."""

from __future__ import annotations

from typing import Any, Protocol

from ghostchain._native import ffi
from ghostchain.execution.contracts import ContractRunner
from ghostchain.primitives.account import ACCOUNT_BYTES


class StateView(Protocol):
    """Where an executor finds state that it does not hold. `hashed` is keccak256 of what is
    before it. An account whose storage is not empty must not carry the empty storage root."""

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        """The flat record (104 bytes), None when there is no account."""

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        """The value (32 bytes), None for zero."""

    def code(self, code_hash: bytes) -> bytes:
        """The code with that hash, which is not the hash of nothing."""

    def block_hash(self, number: int) -> bytes | None:
        """The hash of an ancestor among the last 256, None when it is not known."""


class Door:
    """A view as the loader callbacks find it, and the first exception it raised."""

    __slots__ = ("code_buffer", "contracts", "failure", "view")

    def __init__(self, view: StateView, contracts: ContractRunner | None) -> None:
        self.view = view
        self.contracts = contracts
        self.failure: BaseException | None = None
        self.code_buffer: Any = None

    def fail(self, failure: BaseException) -> int:
        if self.failure is None:
            self.failure = failure
        return -1


def put_account(out: Any, record: bytes) -> None:
    """Raises: ValueError for what is no record of an account."""
    if len(record) != ACCOUNT_BYTES:
        raise ValueError(f"an account record has {ACCOUNT_BYTES} bytes, not {len(record)}")
    out.nonce = int.from_bytes(record[:8], "big")
    # balance, storage_root and code_hash stand together in both forms
    ffi.memmove(out.balance, record[8:], ACCOUNT_BYTES - 8)


@ffi.def_extern(error=-1)  # type: ignore[untyped-decorator]
def ghost_python_account(context: Any, address: Any, hashed: Any, out: Any) -> int:
    door: Door = ffi.from_handle(context)
    try:
        record = door.view.account(ffi.buffer(address, 20)[:], ffi.buffer(hashed, 32)[:])
        if record is None:
            return 0
        put_account(out, record)
    except BaseException as failure:  # kept, and raised again by the caller of native code
        return door.fail(failure)
    return 1


@ffi.def_extern(error=-1)  # type: ignore[untyped-decorator]
def ghost_python_accounts(
    context: Any, count: int, addresses: Any, hashed: Any, out: Any, found: Any
) -> int:
    """Coming here costs as much as finding an account does, so many are found at once."""
    door: Door = ffi.from_handle(context)
    try:
        account = door.view.account
        names, hashes = ffi.buffer(addresses, 20 * count)[:], ffi.buffer(hashed, 32 * count)[:]
        for place in range(count):
            record = account(
                names[20 * place : 20 * place + 20], hashes[32 * place : 32 * place + 32]
            )
            if record is not None:
                put_account(out[place], record)
                found[place] = 1
    except BaseException as failure:  # kept, and raised again by the caller of native code
        return door.fail(failure)
    return 0


@ffi.def_extern(error=-1)  # type: ignore[untyped-decorator]
def ghost_python_slot(
    context: Any, address: Any, hashed_address: Any, key: Any, hashed_key: Any, value: Any
) -> int:
    door: Door = ffi.from_handle(context)
    try:
        found = door.view.slot(
            ffi.buffer(address, 20)[:],
            ffi.buffer(hashed_address, 32)[:],
            ffi.buffer(key, 32)[:],
            ffi.buffer(hashed_key, 32)[:],
        )
        if found is None:
            return 0
        if len(found) != 32:
            raise ValueError(f"a slot has 32 bytes, not {len(found)}")
        ffi.memmove(value, found, 32)
    except BaseException as failure:  # kept, and raised again by the caller of native code
        return door.fail(failure)
    return 1


@ffi.def_extern(error=-1)  # type: ignore[untyped-decorator]
def ghost_python_code(context: Any, code_hash: Any, out: Any) -> int:
    door: Door = ffi.from_handle(context)
    try:
        code = door.view.code(ffi.buffer(code_hash, 32)[:])
        door.code_buffer = ffi.from_buffer(code)
        out.data = door.code_buffer
        out.length = len(code)
    except BaseException as failure:  # kept, and raised again by the caller of native code
        return door.fail(failure)
    return 1


@ffi.def_extern(error=-1)  # type: ignore[untyped-decorator]
def ghost_python_block_hash(context: Any, number: int, out: Any) -> int:
    door: Door = ffi.from_handle(context)
    try:
        found = door.view.block_hash(number)
        if found is None:
            return 0
        ffi.memmove(out, found, 32)
    except BaseException as failure:  # kept, and raised again by the caller of native code
        return door.fail(failure)
    return 1
