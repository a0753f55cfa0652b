"""A whole state in dictionaries: for tests, vectors and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ghostchain._native import ffi
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.execution.executor import BlockResult
from ghostchain.primitives.account import Account
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Hash32
from ghostchain.trie.merkle import root_of


@dataclass(frozen=True, slots=True)
class Allocation:
    """An account as a genesis or a test vector gives it. storage: 32-byte words, none zero."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: Mapping[bytes, bytes] = field(default_factory=dict)


class MemoryView:
    """A `StateView` over dictionaries, by address. Roots are computed from scratch."""

    __slots__ = ("accounts", "block_hashes", "codes", "storage")

    def __init__(self, allocation: Mapping[bytes, Allocation] | None = None) -> None:
        """allocation: by address."""
        self.accounts: dict[bytes, bytes] = {}
        self.storage: dict[bytes, dict[bytes, bytes]] = {}
        self.codes: dict[bytes, bytes] = {}
        self.block_hashes: dict[int, bytes] = {}
        for address, account in (allocation or {}).items():
            self.put(address, account)

    def put(self, address: bytes, allocation: Allocation) -> None:
        """Adds an account."""
        code_hash = EMPTY_CODE_HASH
        if allocation.code:
            code_hash = keccak256(allocation.code)
            self.codes[code_hash] = allocation.code
        if allocation.storage:
            self.storage[address] = dict(allocation.storage)
        self.accounts[address] = Account(
            nonce=allocation.nonce,
            balance=allocation.balance,
            storage_root=self.storage_root(address),
            code_hash=code_hash,
        ).encode()

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        return self.accounts.get(address)

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        storage = self.storage.get(address)
        return None if storage is None else storage.get(key)

    def code(self, code_hash: bytes) -> bytes:
        return self.codes[code_hash]

    def block_hash(self, number: int) -> bytes | None:
        return self.block_hashes.get(number)

    def apply(self, result: BlockResult, *, has_roots: bool = False) -> None:
        """Makes the block's net changes here.

        Storage roots are those that `Forest.apply` wrote into the result (has_roots), or are
        computed here and written there, so that the executor may commit.
        """
        native = result.native
        self.codes.update(result.codes)
        for index in range(native.account_count):
            change = native.accounts[index]
            address = ffi.buffer(change.address, 20)[:]
            if change.storage_wiped or not change.exists:
                self.storage.pop(address, None)
            if not change.exists:
                self.accounts.pop(address, None)
                continue
            first = change.slot_first
            for place in range(first, first + change.slot_count):
                slot = native.slots[place]
                self._set(address, ffi.buffer(slot.key, 32)[:], ffi.buffer(slot.after, 32)[:])
            if change.slot_count and not has_roots:
                ffi.memmove(change.after.storage_root, self.storage_root(address), 32)
            self.accounts[address] = (
                int(change.after.nonce).to_bytes(8, "big")
                + ffi.buffer(change.after.balance, 32)[:]
                + ffi.buffer(change.after.storage_root, 32)[:]
                + ffi.buffer(change.after.code_hash, 32)[:]
            )

    def _set(self, address: bytes, key: bytes, value: bytes) -> None:
        storage = self.storage.setdefault(address, {})
        if any(value):
            storage[key] = value
        else:
            storage.pop(key, None)

    def storage_root(self, address: bytes) -> Hash32:
        """The root of one account's storage trie. Cost: linear in its slots."""
        storage = self.storage.get(address)
        if not storage:
            return EMPTY_ROOT
        return root_of(
            {
                keccak256(key): rlp.encode_bytes(value.lstrip(b"\0"))
                for key, value in storage.items()
            }
        )

    def state_root(self) -> Hash32:
        """The root of the account trie. Cost: linear in the accounts."""
        return root_of(
            {keccak256(address): _leaf(record) for address, record in self.accounts.items()}
        )


def _leaf(record: bytes) -> bytes:
    """An account as the trie holds it (Yellow Paper, section 4.1)."""
    return rlp.list_of(
        (
            rlp.encode_bytes(record[:8].lstrip(b"\0")),
            rlp.encode_bytes(record[8:40].lstrip(b"\0")),
            rlp.encode_bytes(record[40:72]),
            rlp.encode_bytes(record[72:104]),
        )
    )
