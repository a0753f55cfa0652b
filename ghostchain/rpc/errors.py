"""JSON-RPC errors: codes, and the wording that clients parse.

ethers, viem, web3.py and Foundry tell failures apart by regular expressions over these messages,
so each is geth's, word for word, and stands in one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ghostchain.crypto.hashes import checksummed
from ghostchain.primitives.errors import TransactionReason

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
TIMEOUT = -32002
RESPONSE_TOO_LARGE = -32003
LIMIT_EXCEEDED = -32005
EXECUTION_REVERTED = 3
NOT_INCLUDED_IN_TIME = 4  # EIP-7966
PRUNED_HISTORY = 4444
# eth_simulateV1, as execution-apis lists them
NONCE_TOO_LOW = -38010
NONCE_TOO_HIGH = -38011
BASE_FEE_TOO_LOW = -38012
INTRINSIC_GAS = -38013
INSUFFICIENT_FUNDS = -38014
BLOCK_GAS_LIMIT_REACHED = -38015
BLOCK_NUMBER_INVALID = -38020
BLOCK_TIMESTAMP_INVALID = -38021
SENDER_NOT_EOA = -38024
INITCODE_TOO_LARGE = -38025
CLIENT_LIMIT_EXCEEDED = -38026
VM_ERROR = -32015

MESSAGE_CHARACTERS_MAX = 4096


class RpcError(Exception):
    """An answer that is an error: code, message and, where clients look for it, data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:MESSAGE_CHARACTERS_MAX]
        self.data = data

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def invalid_params(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


def server_error(message: str) -> RpcError:
    return RpcError(SERVER_ERROR, message)


def pruned_history() -> RpcError:
    """geth's, where a block is one of the chain's and is not kept here."""
    return RpcError(PRUNED_HISTORY, "pruned history unavailable")


# What each reason says. A template whose values are missing is cut at its colon.
REASONS: Mapping[TransactionReason, str] = {
    TransactionReason.RLP_MALFORMED: "rlp: malformed transaction",
    TransactionReason.TYPE_UNKNOWN: "transaction type not supported",
    TransactionReason.TYPE_NOT_YET: "transaction type not supported",
    TransactionReason.TRAILING_BYTES: "rlp: input contains more than one value",
    TransactionReason.FIELD_COUNT: "rlp: wrong number of fields in transaction",
    TransactionReason.FIELD_WIDTH: "rlp: transaction field has the wrong size",
    TransactionReason.LEADING_ZERO: "rlp: non-canonical integer (leading zero bytes)",
    TransactionReason.SIGNATURE_RANGE: "invalid transaction v, r, s values",
    TransactionReason.HIGH_S: "invalid transaction v, r, s values: s above half of the curve order",
    TransactionReason.Y_PARITY: "invalid transaction v, r, s values: bad recovery value",
    TransactionReason.SIGNATURE_INVALID: "invalid sender",
    TransactionReason.SIZE: "oversized data: transaction size {size}, limit {size_max}",
    TransactionReason.CHAIN_ID: "invalid chain id for signer: have {tx_chain_id} want {chain_id}",
    TransactionReason.NONCE_TOO_LOW: (
        "nonce too low: address {address}, tx: {tx_nonce} state: {state_nonce}"
    ),
    TransactionReason.NONCE_TOO_HIGH: (
        "nonce too high: address {address}, tx: {tx_nonce} state: {state_nonce}"
    ),
    TransactionReason.NONCE_IS_MAX: "nonce has max value: address {address}, nonce: {tx_nonce}",
    TransactionReason.SENDER_NOT_EOA: "sender not an eoa: address {address}",
    TransactionReason.INTRINSIC_GAS_TOO_LOW: "intrinsic gas too low: have {gas}, want {want}",
    TransactionReason.INTRINSIC_GAS_BELOW_FLOOR: (
        "insufficient gas for floor data gas cost: have {gas}, want {floor}"
    ),
    TransactionReason.GAS_LIMIT_ABOVE_CAP: (
        "transaction gas limit too high: cap {limit}, tx {gas}"
    ),
    TransactionReason.GAS_ALLOWANCE_EXCEEDED: "exceeds block gas limit: have {gas}, limit {limit}",
    TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS: (
        "insufficient funds for gas * price + value: address {address} have {have} want {want}"
    ),
    TransactionReason.GASLIMIT_PRICE_PRODUCT_OVERFLOW: (
        "insufficient funds for gas * price + value: the required balance exceeds 256 bits"
    ),
    TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS: (
        "max fee per gas less than block base fee: "
        "address {address}, maxFeePerGas: {max_fee}, baseFee: {base_fee}"
    ),
    TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE: (
        "max priority fee per gas higher than max fee per gas: "
        "address {address}, maxPriorityFeePerGas: {priority_fee}, maxFeePerGas: {max_fee}"
    ),
    TransactionReason.INITCODE_SIZE_EXCEEDED: (
        "max initcode size exceeded: code size {size}, limit {size_max}"
    ),
    TransactionReason.BLOB_CREATE: "blob transaction of type create",
    TransactionReason.BLOB_ZERO: "blob transaction missing blob hashes",
    TransactionReason.BLOB_COUNT_EXCEEDED: "too many blobs in transaction",
    TransactionReason.BLOB_ALLOWANCE_EXCEEDED: "blob gas limit reached",
    TransactionReason.BLOB_VERSIONED_HASH: "blob has invalid hash version",
    TransactionReason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS: (
        "max fee per blob gas less than block blob gas fee: "
        "address {address} blobGasFeeCap: {blob_fee}, blobBaseFee: {blob_base_fee}"
    ),
    TransactionReason.SET_CODE_CREATE: "EIP-7702 transaction cannot be used to create contract",
    TransactionReason.SET_CODE_EMPTY: "EIP-7702 transaction with empty auth list",
    TransactionReason.CALL_COUNT: "a ghost transaction has 1 to 256 calls",
    TransactionReason.CALL_CREATES: "a contract creation must be the only call",
    TransactionReason.SIGNATURE_SCHEME: "unknown signature scheme",
    TransactionReason.SIGNATURE_LENGTH: "key or signature of the wrong length for its scheme",
    TransactionReason.PAYER_FORM: "a fee payer needs a signature, and a signature a fee payer",
    TransactionReason.PAYER_SIGNATURE: "invalid fee payer signature",
    TransactionReason.FEE_TOKEN_UNKNOWN: "unknown fee token: {token}",
    TransactionReason.FEE_TOKEN_CLOSED: "fee token not accepted now: {token}",
    TransactionReason.INSUFFICIENT_FEE_TOKEN: (
        "insufficient funds for gas * price in the fee token: "
        "address {payer} have {payer_have} want {payer_want} of {token}"
    ),
    TransactionReason.PAYER_FUNDS: (
        "insufficient funds for gas * price of the fee payer: "
        "address {payer} have {payer_have} want {payer_want} of {token}"
    ),
}


def reason_message(reason: TransactionReason, values: Mapping[str, int | bytes]) -> str:
    """The clients' words for a reason.

    values, where the reason has them (all int unless said): address (bytes), have, want,
    tx_nonce, state_nonce, max_fee, priority_fee, base_fee, gas, limit, floor, chain_id,
    tx_chain_id, size, size_max, blob_fee, blob_base_fee, token and payer (bytes), payer_have,
    payer_want.
    """
    template = REASONS.get(reason, reason.name.lower().replace("_", " "))
    shown = {
        name: checksummed(value) if isinstance(value, bytes) else value
        for name, value in values.items()
    }
    try:
        return template.format_map(shown)
    except KeyError:
        return template.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A raw transaction that was not taken, and why.

    reason: a TransactionReason, or the pool's own. message: the pool's words, as geth says them;
    where it is empty the table above words the reason out of values.
    """

    reason: Enum
    message: str = ""
    values: Mapping[str, int | bytes] = field(default_factory=dict)


def refusal_error(refusal: Refusal) -> RpcError:
    """The answer to a transaction that the pool did not take."""
    if not refusal.message and isinstance(refusal.reason, TransactionReason):
        return server_error(reason_message(refusal.reason, refusal.values))
    return server_error(refusal.message or refusal.reason.name.lower().replace("_", " "))


ERROR_STRING_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)
PANICS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}


def revert_reason(output: bytes) -> str | None:
    """What Solidity's Error(string) or Panic(uint256) says; None for anything else."""
    selector, body = output[:4], output[4:]
    if selector == ERROR_STRING_SELECTOR:
        text = first_bytes(body)
        return None if text is None else text.decode("utf-8", errors="replace")
    if selector == PANIC_SELECTOR and len(body) >= 32:
        code = int.from_bytes(body[:32], "big")
        return PANICS.get(code, f"unknown panic code: {code:#x}")
    return None


def first_bytes(body: bytes) -> bytes | None:
    """The one argument of type bytes or string in ABI-encoded call data; None when its offset or
    length points outside. Oracle: eth-abi, in tests/unit/test_rpc_errors.py."""
    start = int.from_bytes(body[:32], "big")
    if len(body) < 64 or start > len(body) - 32:
        return None
    length = int.from_bytes(body[start : start + 32], "big")
    if length > len(body) - start - 32:
        return None
    return body[start + 32 : start + 32 + length]


def revert_error(output: bytes) -> RpcError:
    """Code 3, `execution reverted: reason`, and the revert data."""
    reason = revert_reason(output)
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return RpcError(EXECUTION_REVERTED, message, "0x" + output.hex())
