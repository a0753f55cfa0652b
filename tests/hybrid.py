"""A hybrid chain's state for tests: the four tokens, their rates, blocks of unsigned messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ghostchain._native import ffi
from ghostchain.contracts.addresses import FEE_MARKET, GCC, GHOST, MANA, SPIRIT
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import BlockEnvironment, Message
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.native_values import native_message
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import Address

TOKENS = (SPIRIT, MANA, GHOST)
# EIP-7002, EIP-7251
REQUEST_CONTRACTS = (
    Address(bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002")),
    Address(bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251")),
)
SUPPLY_SLOT = (2).to_bytes(32, "big")


def environment(base_fee: int, coinbase: Address, **fields: Any) -> BlockEnvironment:
    return BlockEnvironment(
        fork=Fork.OSAKA,
        hybrid=True,
        chain_id=1,
        number=10,
        timestamp=1_000,
        gas_limit=30_000_000,
        base_fee=base_fee,
        coinbase=coinbase,
        blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
        blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
        **fields,
    )


def mapping_key(address: bytes, slot: int) -> bytes:
    """Where Solidity puts the entry of an address in the mapping at a slot."""
    return keccak256(address.rjust(32, b"\0") + slot.to_bytes(32, "big"))


def words(values: Mapping[bytes, int]) -> dict[bytes, bytes]:
    return {key: value.to_bytes(32, "big") for key, value in values.items() if value}


def place_tokens(
    view: MemoryView,
    balances: Mapping[Address, Mapping[Address, int]],
    rates: Mapping[Address, int],
    coin_supply: int = 0,
) -> None:
    """balances: of all tokens but GCC, by token and holder; what is there of each is its supply.
    Places what Ethereum's system calls need, too."""
    for address in REQUEST_CONTRACTS:
        view.put(address, Allocation(nonce=1, code=b"\0"))
    for token in (GCC, *TOKENS):
        held = balances.get(token, {})
        storage = {mapping_key(holder, 0): amount for holder, amount in held.items()}
        storage[SUPPLY_SLOT] = coin_supply if token == GCC else sum(held.values())
        code = bytes((0xEF, 0x47, token[19]))
        view.put(token, Allocation(nonce=1, code=code, storage=words(storage)))
    storage = {mapping_key(token, 0): rate for token, rate in rates.items()}
    view.put(FEE_MARKET, Allocation(nonce=1, code=b"\xef\x47\x13", storage=words(storage)))


def slot(view: MemoryView, address: Address, key: bytes) -> int:
    return int.from_bytes(view.storage.get(address, {}).get(key, b""), "big")


def token_balance(view: MemoryView, token: Address, holder: bytes) -> int:
    return slot(view, token, mapping_key(holder, 0))


def supply(view: MemoryView, token: Address) -> int:
    return slot(view, token, SUPPLY_SLOT)


def balance(view: MemoryView, address: bytes) -> int:
    record = view.accounts.get(address)
    return int.from_bytes(record[8:40], "big") if record else 0


class MessageBatch:
    """Messages as a recovered batch: what the executor asks of a `TransactionBatch`."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._kept: list[Any] = []
        self.pointer = ffi.new("ghost_tx[]", len(messages))
        raw = ffi.from_buffer(b"\x7b")
        self._kept.append(raw)
        for index, message in enumerate(messages):
            native = native_message(message, self._kept)
            native.raw, native.raw_length = raw, 1
            self.pointer[index] = native[0]
        self._count = len(messages)

    def __len__(self) -> int:
        return self._count
