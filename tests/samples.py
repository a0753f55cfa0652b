"""A header and a transaction, for tests and benchmarks to which others would do as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.header import Header
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import (
    EMPTY_BLOOM,
    EMPTY_OMMERS_HASH,
    EMPTY_ROOT,
    ZERO_ADDRESS,
    ZERO_HASH,
    Address,
)

# Of a block without anything in it, as of Cancun.
HEADER = Header(
    parent_hash=ZERO_HASH,
    ommers_hash=EMPTY_OMMERS_HASH,
    coinbase=ZERO_ADDRESS,
    state_root=EMPTY_ROOT,
    transactions_root=EMPTY_ROOT,
    receipts_root=EMPTY_ROOT,
    bloom=EMPTY_BLOOM,
    difficulty=0,
    number=1,
    gas_limit=30_000_000,
    gas_used=0,
    timestamp=1_700_000_000,
    extra_data=b"",
    prev_randao=ZERO_HASH,
    nonce=bytes(8),
    base_fee_per_gas=7,
    withdrawals_root=EMPTY_ROOT,
    blob_gas_used=0,
    excess_blob_gas=0,
    parent_beacon_block_root=ZERO_HASH,
)

TRANSFER = Transaction(
    type=2,
    chain_id=31_337,
    nonce=0,
    max_fee_per_gas=10**11,
    max_priority_fee_per_gas=1,
    gas_limit=21_000,
    to=Address(b"\x77" * 20),
    value=1,
)


def transfer(nonce: int, *, key: bytes = TEST_KEYS[0], **fields: Any) -> bytes:
    """One wei on a development chain, or what the fields say, signed and encoded."""
    return encode_transaction(sign_transaction(replace(TRANSFER, nonce=nonce, **fields), key))
