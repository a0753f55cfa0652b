"""A block: its header, its transactions in canonical bytes, its withdrawals."""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A payment by the protocol (EIP-4895). amount_gwei is in gwei, as in its encoding."""

    index: int
    validator_index: int
    address: Address
    amount_gwei: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it stands on the wire.

    transactions are canonical bytes (EIP-2718: type byte and payload, or a legacy list), kept
    undecoded because decoding is done natively for the whole block at once. Ommers are always
    empty and so not kept.
    """

    header: Header
    transactions: tuple[bytes, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
