"""What is traded in a run: transfers between a few accounts, signed by a keyed hash.

Formats and execution are the simulation's own; what happens to transfers before they are in a block
is the real thing (`traffic.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import Struct

from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.core import SenderState
from ghostchain.txpool.effects import PoolTransaction

USERS = 6
PROBES = 2
"""Accounts beside those of users, each for one transfer that must find its way."""

BALANCE = 1_000
TYPE = 2
GAS = 21_000
_FORM = Struct(">BBHHI")
_MAC_BYTES = 8
_SECRET = b"those who own the accounts"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer of a value to the next account. tip: what the proposer likes it for."""

    raw: bytes
    hash: Hash32
    sender: Address
    recipient: Address
    nonce: int
    tip: int
    value: int

    def waiting(self, arrived_ns: int, order: int) -> PoolTransaction:
        """As it waits in a pool."""
        return PoolTransaction(
            hash=self.hash,
            sender=self.sender,
            nonce=self.nonce,
            type=TYPE,
            gas_limit=GAS,
            max_fee_per_gas=self.tip,
            max_priority_fee_per_gas=self.tip,
            max_fee_per_blob_gas=0,
            blob_count=0,
            cost=self.value,
            raw=self.raw,
            arrived_ns=arrived_ns,
            order=order,
        )


def address_of(number: int) -> Address:
    return Address(bytes((number,)).rjust(20, b"\xaa"))


def genesis_accounts() -> dict[Address, SenderState]:
    return {address_of(number): SenderState(0, BALANCE) for number in range(USERS + PROBES)}


def sign_transfer(number: int, nonce: int, tip: int, value: int) -> bytes:
    """The bytes of a transfer, as the account of that number signs it."""
    head = _FORM.pack(TYPE, number, nonce, tip, value)
    return head + _mac(head)


@lru_cache(maxsize=4_096)
def open_transfer(raw: bytes) -> Transfer | None:
    """The transfer of these bytes; None when they are none, or nobody signed them."""
    if len(raw) != _FORM.size + _MAC_BYTES:
        return None
    head = raw[: _FORM.size]
    kind, number, nonce, tip, value = _FORM.unpack(head)
    if kind != TYPE or number >= USERS + PROBES or raw[_FORM.size :] != _mac(head):
        return None
    recipient = address_of((number + 1) % USERS)
    return Transfer(raw, keccak256(raw), address_of(number), recipient, nonce, tip, value)


def _mac(head: bytes) -> bytes:
    return blake2b(head, key=_SECRET, digest_size=_MAC_BYTES).digest()
