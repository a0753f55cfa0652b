"""What the pool decides, as values; their order is the order in which the driver acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
    DELEGATION_LIMIT = "in-flight transaction limit reached for delegated accounts"


@dataclass(frozen=True, slots=True)
class PoolTransaction:
    """A decoded transaction as it waits. Amounts in wei; raw are the canonical bytes of a block.

    cost is the most that the sender may lose: gas, blob gas and value. order counts arrivals and
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

    def effective_tip(self, base_fee: int) -> int:
        """What the proposer gets a unit of gas at this base fee; negative when below it."""
        return min(self.max_priority_fee_per_gas, self.max_fee_per_gas - base_fee)


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
