"""What the executor reads: the latest state, the state at a past block, and either with changes
laid over it for one call. Each is a `StateView` of `ghostchain.execution.executor`.

Views for readers stand on a snapshot, so all their answers belong to one block while the writer
goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.amendment import AccountAmendment, Amendments
from ghostchain.primitives.errors import StateUnavailable, StorageCorrupt
from ghostchain.primitives.types import (
    EMPTY_CODE_HASH,
    EMPTY_ROOT,
    UNSETTLED_ROOT,
    Address,
    Hash32,
)
from ghostchain.state import keys
from ghostchain.state.changes import expand
from ghostchain.state.store import StateStore, oldest_readable
from ghostchain.storage.database import Reader

BlockHashes = Callable[[int], bytes | None]

_ABSENT = bytes(40) + bytes(EMPTY_ROOT) + bytes(EMPTY_CODE_HASH)
_HISTORY_END = b"\xff" * 9


class View(Protocol):
    """A `StateView`; restated here because state stands below execution."""

    def account(self, address: bytes, hashed: bytes) -> bytes | None: ...
    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None: ...
    def code(self, code_hash: bytes) -> bytes: ...
    def block_hash(self, number: int) -> bytes | None: ...


class LatestView:
    """The flat state of a reader: of its latest block."""

    __slots__ = ("_get", "block_hash")

    def __init__(self, reader: Reader, block_hash: BlockHashes) -> None:
        self._get = reader.get
        self.block_hash = block_hash

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        stored = self._get(keys.ACCOUNT + hashed)
        return None if stored is None else expand(stored)

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        stored = self._get(keys.SLOT + hashed_address + hashed_key)
        return None if stored is None else stored.rjust(32, b"\0")

    def code(self, code_hash: bytes) -> bytes:
        return read_code(self._get, code_hash)

    def raw_account(self, hashed: bytes) -> bytes | None:
        return self._get(keys.ACCOUNT + hashed)

    def raw_slot(self, hashed_address: bytes, hashed_key: bytes) -> bytes | None:
        return self._get(keys.SLOT + hashed_address + hashed_key)

    def raw_code(self, code_hash: bytes) -> bytes | None:
        return self._get(keys.CODE + code_hash)


class WriterView:
    """The state that the next block runs on: the latest, though it may not be on disk yet."""

    __slots__ = ("_state", "block_hash")

    def __init__(self, state: StateStore, block_hash: BlockHashes) -> None:
        self._state = state
        self.block_hash = block_hash

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        return self._state.account(hashed)

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        return self._state.slot(hashed_address, hashed_key)

    def code(self, code_hash: bytes) -> bytes:
        return checked_code(self._state.code(code_hash), code_hash)

    def raw_account(self, hashed: bytes) -> bytes | None:
        return self._state.raw(keys.ACCOUNT + hashed)

    def raw_slot(self, hashed_address: bytes, hashed_key: bytes) -> bytes | None:
        return self._state.raw(keys.SLOT + hashed_address + hashed_key)

    def raw_code(self, code_hash: bytes) -> bytes | None:
        return self._state.code(code_hash)


class HistoricalView:
    """The state after block `number`, out of a reader at that block or later.

    Cost: one seek (about 10 microseconds) more than the latest state for each read.
    """

    __slots__ = ("_first_after", "_number", "_reader", "block_hash")

    def __init__(self, reader: Reader, block_hash: BlockHashes, number: int) -> None:
        """Raises: StateUnavailable when that state was pruned."""
        oldest = oldest_readable(reader)
        if number < oldest:
            raise StateUnavailable(f"state of block {number} was pruned; the oldest is {oldest}")
        self._reader = reader
        self._number = number
        self._first_after = keys.number_bytes(number + 1)
        self.block_hash = block_hash

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        stored = self.raw_account(hashed)
        return None if stored is None else expand(stored)

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        stored = self.raw_slot(hashed_address, hashed_key)
        return stored.rjust(32, b"\0") if stored else None

    def raw_account(self, hashed: bytes) -> bytes | None:
        changed = self._before_next_change(keys.HISTORY_ACCOUNT + hashed)
        return self._reader.get(keys.ACCOUNT + hashed) if changed is None else changed

    def raw_slot(self, hashed_address: bytes, hashed_key: bytes) -> bytes | None:
        place = hashed_address + hashed_key
        changed = self._before_next_change(keys.HISTORY_SLOT + place)
        return self._reader.get(keys.SLOT + place) if changed is None else changed

    def raw_code(self, code_hash: bytes) -> bytes | None:
        return self._reader.get(keys.CODE + code_hash)

    def _before_next_change(self, prefix: bytes) -> bytes | None:
        """The value before the first change after our block; None when none came."""
        return self._reader.first(prefix + self._first_after, prefix + _HISTORY_END)

    def code(self, code_hash: bytes) -> bytes:
        return read_code(self._reader.get, code_hash)


class Override(Protocol):
    """How one account looks instead; None leaves a field as it is. `state` replaces the whole
    storage, `state_diff` single slots."""

    @property
    def nonce(self) -> int | None: ...
    @property
    def balance(self) -> int | None: ...
    @property
    def code(self) -> bytes | None: ...
    @property
    def state(self) -> Mapping[bytes, bytes] | None: ...
    @property
    def state_diff(self) -> Mapping[bytes, bytes] | None: ...


class OverlaidView:
    """A view with some accounts replaced, for eth_call with state overrides."""

    __slots__ = ("_base", "_codes", "_overrides", "block_hash")

    def __init__(self, base: View, overrides: Mapping[bytes, Override]) -> None:
        """overrides: by address."""
        self._base = base
        self._overrides = {bytes(address): override for address, override in overrides.items()}
        self._codes = {
            bytes(keccak256(override.code)): override.code
            for override in overrides.values()
            if override.code is not None
        }
        self.block_hash = base.block_hash

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        record = self._base.account(address, hashed)
        override = self._overrides.get(address)
        if override is None:
            return record
        record = record or _ABSENT
        nonce, balance, root, code_hash = record[:8], record[8:40], record[40:72], record[72:]
        if override.nonce is not None:
            nonce = override.nonce.to_bytes(8, "big")
        if override.balance is not None:
            balance = override.balance.to_bytes(32, "big")
        if override.code is not None:
            code_hash = bytes(keccak256(override.code))
        if override.state is not None:
            root = UNSETTLED_ROOT if override.state else bytes(EMPTY_ROOT)
        elif override.state_diff:
            root = UNSETTLED_ROOT
        return nonce + balance + root + code_hash

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        override = self._overrides.get(address)
        if override is not None:
            if override.state is not None:
                return override.state.get(key)
            if override.state_diff is not None and key in override.state_diff:
                return override.state_diff[key]
        return self._base.slot(address, hashed_address, key, hashed_key)

    def code(self, code_hash: bytes) -> bytes:
        overridden = self._codes.get(code_hash)
        return self._base.code(code_hash) if overridden is None else overridden


class PendingState:
    """Amendments made ready for reading. Not to be changed; `with_more` gives another."""

    __slots__ = ("_code_hashes", "_codes", "amendments")

    def __init__(self, amendments: Amendments) -> None:
        self.amendments = dict(amendments)
        self._code_hashes = {
            bytes(address): bytes(keccak256(one.code))
            for address, one in amendments.items()
            if one.code is not None
        }
        self._codes = {
            self._code_hashes[address]: one.code
            for address, one in amendments.items()
            if one.code is not None
        }

    def with_more(self, merged: Amendments, added: Amendments) -> PendingState:
        """The state after `added` too; merged: this one's amendments and those. Cost: one copy of
        the names, and a hash of each code that is new."""
        more = PendingState({address: merged[address] for address in added})
        more.amendments = dict(merged)
        more._code_hashes = {**self._code_hashes, **more._code_hashes}
        more._codes = {**self._codes, **more._codes}
        return more

    def code(self, code_hash: bytes) -> bytes | None:
        return self._codes.get(code_hash)

    def account(self, address: bytes, record: bytes | None) -> bytes | None:
        """The flat record, where `record` is what stands beneath; as the native core will have it
        (`native/executor/amend.c`)."""
        one = self.amendments.get(Address(address))
        if one is None:
            return record
        beneath = record or _ABSENT
        nonce, balance, root, code_hash = beneath[:8], beneath[8:40], beneath[40:72], beneath[72:]
        if one.nonce is not None:
            nonce = one.nonce.to_bytes(8, "big")
        if one.balance is not None:
            balance = one.balance.to_bytes(32, "big")
        if one.code is not None:
            code_hash = self._code_hashes[address]
        if one.clear_storage:
            root = bytes(EMPTY_ROOT)
        if any(map(any, one.slots.values())):
            root = UNSETTLED_ROOT
        amended = nonce + balance + root + code_hash
        return None if amended == _ABSENT else amended


class AmendedView:
    """The state of a block with what was changed by hand while it was the head."""

    __slots__ = ("_base", "_pending", "block_hash")

    def __init__(self, base: View, pending: PendingState) -> None:
        self._base = base
        self._pending = pending
        self.block_hash = base.block_hash

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        return self._pending.account(address, self._base.account(address, hashed))

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        one: AccountAmendment | None = self._pending.amendments.get(Address(address))
        if one is not None:
            value = one.slots.get(Hash32(key))
            if value is not None or one.clear_storage:
                return value
        return self._base.slot(address, hashed_address, key, hashed_key)

    def code(self, code_hash: bytes) -> bytes:
        pending = self._pending.code(code_hash)
        return self._base.code(code_hash) if pending is None else pending


def read_code(get: Callable[[bytes], bytes | None], code_hash: bytes) -> bytes:
    """The code with that hash."""
    return checked_code(get(keys.CODE + code_hash), code_hash)


def checked_code(stored: bytes | None, code_hash: bytes) -> bytes:
    """The stored code; an account that names it exists, so it must be there."""
    if code_hash == EMPTY_CODE_HASH:
        return b""
    if stored is None:
        raise StorageCorrupt(f"code 0x{code_hash.hex()} is missing from the database")
    return stored
