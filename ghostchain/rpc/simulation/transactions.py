"""The calls of a simulation as messages, and as the transactions that stand in its blocks."""

from __future__ import annotations

from dataclasses import replace

from ghostchain.encoding.transactions import encode_transaction, signing_payload
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import Transaction, TransactionType
from ghostchain.primitives.types import ZERO_ADDRESS
from ghostchain.rpc.accounts import with_empty_signatures
from ghostchain.rpc.calls import is_ghost, request_calls
from ghostchain.rpc.errors import (
    BASE_FEE_TOO_LOW,
    BLOCK_GAS_LIMIT_REACHED,
    INITCODE_TOO_LARGE,
    INSUFFICIENT_FUNDS,
    INTERNAL_ERROR,
    INTRINSIC_GAS,
    INVALID_PARAMS,
    NONCE_TOO_HIGH,
    NONCE_TOO_LOW,
    SENDER_NOT_EOA,
)
from ghostchain.rpc.parameters import CallRequest

# What a transaction that cannot begin answers; anything else is INTERNAL_ERROR, as geth has it.
CODES = {
    TransactionReason.NONCE_TOO_LOW: NONCE_TOO_LOW,
    TransactionReason.NONCE_TOO_HIGH: NONCE_TOO_HIGH,
    TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS: BASE_FEE_TOO_LOW,
    TransactionReason.INTRINSIC_GAS_TOO_LOW: INTRINSIC_GAS,
    TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS: INSUFFICIENT_FUNDS,
    TransactionReason.GASLIMIT_PRICE_PRODUCT_OVERFLOW: INSUFFICIENT_FUNDS,
    TransactionReason.INSUFFICIENT_FEE_TOKEN: INSUFFICIENT_FUNDS,
    TransactionReason.PAYER_FUNDS: INSUFFICIENT_FUNDS,
    TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE: INVALID_PARAMS,
    TransactionReason.GAS_ALLOWANCE_EXCEEDED: BLOCK_GAS_LIMIT_REACHED,
    TransactionReason.FEE_TOKEN_UNKNOWN: INVALID_PARAMS,
    TransactionReason.FEE_TOKEN_CLOSED: INVALID_PARAMS,
    TransactionReason.SENDER_NOT_EOA: SENDER_NOT_EOA,
    TransactionReason.INITCODE_SIZE_EXCEEDED: INITCODE_TOO_LARGE,
}


def code_of(reason: TransactionReason) -> int:
    return CODES.get(reason, INTERNAL_ERROR)


def phantom_type(request: CallRequest) -> int:
    """The type that a call becomes: 2, unless what it says belongs to another."""
    if request.authorizations is not None:
        return TransactionType.SET_CODE
    if request.blob_versioned_hashes is not None:
        return TransactionType.BLOB
    if is_ghost(request):
        return TransactionType.GHOST
    if request.fee_currency is not None:
        return TransactionType.FEE_CURRENCY
    if request.gas_price is not None:
        return TransactionType.LEGACY
    return TransactionType.DYNAMIC_FEE


def phantom_transaction(
    request: CallRequest, *, chain_id: int, nonce: int, gas: int
) -> tuple[Transaction, bytes]:
    """The unsigned transaction, and its canonical bytes with zeros where signatures belong."""
    kind = phantom_type(request)
    price = request.gas_price
    ghost = kind == TransactionType.GHOST
    legacy = kind == TransactionType.LEGACY
    tx = Transaction(
        type=kind,
        chain_id=None if legacy else chain_id,
        nonce=nonce,
        max_fee_per_gas=(request.max_fee_per_gas or 0) if price is None else price,
        max_priority_fee_per_gas=(
            (request.max_priority_fee_per_gas or 0) if price is None else price
        ),
        gas_limit=gas,
        to=None if ghost else request.to,
        value=0 if ghost else request.value or 0,
        data=b"" if ghost else request.data or b"",
        access_list=() if legacy else request.access_list or (),
        max_fee_per_blob_gas=request.max_fee_per_blob_gas or 0,
        blob_versioned_hashes=request.blob_versioned_hashes or (),
        authorizations=request.authorizations or (),
        calls=request_calls(request) if ghost else (),
        fee_token=request.fee_token or request.fee_currency,
        fee_payer=request.fee_payer,
    )
    if legacy:
        # Three zeros after the fields, which is what a replay-protected payload ends with too.
        return tx, signing_payload(replace(tx, chain_id=0))
    return tx, encode_transaction(with_empty_signatures(tx))


def sender_of(request: CallRequest) -> bytes:
    return request.sender or ZERO_ADDRESS
