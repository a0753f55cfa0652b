"""What the pool decides, as values; their order is the order in which the driver acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address, Hash32


class PoolReason(Enum):
    """Why the pool, rather than the chain's rules, refuses or drops a transaction."""

    ALREADY_KNOWN = "already known"
    REPLACEMENT_UNDERPRICED = "replacement transaction underpriced"
    UNDERPRICED = "transaction underpriced"
    POOL_FULL = "txpool is full"
    SENDER_LIMIT = "too many transactions of one sender"
    NONCE_GAP_LIMIT = "nonce too far ahead of the account"
    OVERSIZED = "oversized data"
    SIDECAR_MISSING = "missing sidecar in blobs transaction"
    SIDECAR_INVALID = "invalid blobs sidecar"
    EXPIRED = "waited too long behind a nonce gap"
    REPLACED = "replaced by a better paying transaction"
    DROPPED = "dropped by the operator"
    PURSE_LIMIT = "too many transactions of one fee payer, or of one holder of a fee token"
    DELEGATION_LIMIT = "in-flight transaction limit reached for delegated accounts"


RATE_UNIT = 10**18
"""The rate of a token that is worth as much as GCC."""


class Purse(NamedTuple):
    """A holder's balance of a token (None: GCC)."""

    token: Address | None
    holder: Address


@dataclass(frozen=True, slots=True)
class PoolTransaction:
    """A decoded transaction as it waits. Amounts in wei; raw are the canonical bytes of a block.

    cost is the most that the sender may lose of its GCC: value, and gas and blob gas where it pays
    them so. fee_token is the unit of the fees (None: GCC), fee_purse where they come from when that
    is not the sender's GCC, fee_cost the most that is taken from it. order counts arrivals and
    breaks ties between equal tips.
    """

    hash: Hash32
    sender: Address
    nonce: int
    type: int
    gas_limit: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    max_fee_per_blob_gas: int
    blob_count: int
    cost: int
    raw: bytes
    arrived_ns: int
    order: int
    fee_token: Address | None = None
    fee_purse: Purse | None = None
    fee_cost: int = 0

    def effective_tip(self, base_fee: int, rate: int = RATE_UNIT) -> int:
        """What the proposer gets a unit of gas at this base fee, in GCC wei, rounded down; negative
        when below it, or when the rate of the fee token is 0."""
        if rate == RATE_UNIT:
            return min(self.max_priority_fee_per_gas, self.max_fee_per_gas - base_fee)
        if rate == 0:
            return -1
        base = -(-base_fee * rate // RATE_UNIT)
        tip = min(self.max_priority_fee_per_gas, self.max_fee_per_gas - base)
        return tip * RATE_UNIT // rate


@dataclass(frozen=True, slots=True)
class Accepted:
    """The transaction waits now. pending: it can run as things stand (no nonce gap)."""

    transaction: PoolTransaction
    pending: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not wait. message has the wording that Ethereum tools parse."""

    hash: Hash32
    reason: TransactionReason | PoolReason
    message: str


@dataclass(frozen=True, slots=True)
class Promoted:
    """It waited behind a gap and can run now."""

    transaction: PoolTransaction


@dataclass(frozen=True, slots=True)
class Evicted:
    """It left without being included."""

    transaction: PoolTransaction
    reason: TransactionReason | PoolReason


Effect = Accepted | Refused | Promoted | Evicted
