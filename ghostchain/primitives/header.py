"""A block header, Cancun to Osaka."""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.primitives.types import Address, Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The 20 fields of Cancun, or 21 since Prague, in the order in which they are encoded.

    Units: base_fee_per_gas in wei, timestamp in seconds. nonce is 8 bytes and bloom 256.
    requests_hash is None before Prague (EIP-7685). field_count: of a block before Cancun, which is
    never run here but may be where a fork begins, how many of the fields there are (15, 16 with
    London, 17 with Shanghai); the others are zero. None for all.
    """

    parent_hash: Hash32
    ommers_hash: Hash32
    coinbase: Address
    state_root: Hash32
    transactions_root: Hash32
    receipts_root: Hash32
    bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    prev_randao: Hash32
    nonce: bytes
    base_fee_per_gas: int
    withdrawals_root: Hash32
    blob_gas_used: int
    excess_blob_gas: int
    parent_beacon_block_root: Hash32
    requests_hash: Hash32 | None = None
    field_count: int | None = None
