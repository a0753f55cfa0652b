"""What a transaction left behind: its logs and the receipt that commits to them."""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.primitives.types import Address, Hash32


@dataclass(frozen=True, slots=True)
class Log:
    """One LOG0 to LOG4: the emitting account, zero to four topics, and data."""

    address: Address
    topics: tuple[Hash32, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """The consensus fields of a receipt (EIP-658, EIP-2718).

    cumulative_gas_used counts from the start of the block. bloom is 256 bytes over logs.
    """

    type: int
    success: bool
    cumulative_gas_used: int
    bloom: bytes
    logs: tuple[Log, ...]
