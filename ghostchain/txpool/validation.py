"""The checks on a transaction that need rules but no state, with the wording of Ethereum's tools.

The executor checks all of this again when the transaction runs; here it is refused early, before
it takes room, and with a message that says by how much it misses.
"""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.chain.fees import (
    GAS_AUTHORIZATION,
    GAS_PAYER_SECP256K1,
    GAS_SIGNATURE,
    GAS_TRANSACTION,
)
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.leniency import INIT_CODE_BYTES_MAX
from ghostchain.primitives.transaction import SignatureScheme
from ghostchain.primitives.types import WASM_MAGIC, Address
from ghostchain.txpool.effects import PoolReason

# Bytes of one transaction as it stands in a block; blobs travel beside it.
SIZE_MAX = 128 * 1024
# Of a creation where code of any size is let pass; within a record of the journal.
LENIENT_SIZE_MAX = 1_000_000

# A creation with this in front of its data deploys a WASM module. It may be longer (the module, and
# room for the rest of a transaction with two signatures of ML-DSA-65), and needs more gas than
# EIP-7825 allows, because compiling is paid by the byte.
WASM_BYTES_MAX = 256 * 1024
WASM_SIZE_MAX = WASM_BYTES_MAX + 16 * 1024

GCC = Address(bytes.fromhex("0000000000000000000000000000000000474301"))
"""The face of the native coin: as a fee token it stands for no token."""

GAS_CREATE = 32_000
GAS_ZERO_BYTE = 4
GAS_NONZERO_BYTE = 16
GAS_ACCESS_ADDRESS = 2_400
GAS_ACCESS_KEY = 1_900
GAS_INITCODE_WORD = 2
GAS_FLOOR_TOKEN = 10
GAS_FURTHER_CALL = 2_600
GAS_FEE_TOKEN = 15_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What the next block allows.

    types: transaction types that exist; gas_cap: EIP-7825 or None; floor: EIP-7623 holds;
    blobs_max: blobs one transaction may carry (0: none); cell_proofs: sidecars as of EIP-7594;
    wasm: WASM modules can be deployed. initcode_size_max: of EVM code; beyond EIP-3860's limit,
    a transaction may be as large as it takes.
    """

    chain_id: int
    block_gas_limit: int
    types: frozenset[int]
    gas_cap: int | None
    floor: bool
    blobs_max: int
    cell_proofs: bool
    tip_min_wei: int = 0
    wasm: bool = False
    initcode_size_max: int = INIT_CODE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Shape:
    """What the stateless rules look at. data is the call data (of all calls) or the init code;
    signature_gas is for what verification costs beyond one signature of secp256k1."""

    type: int
    chain_id: int | None
    gas_limit: int
    is_create: bool
    data: bytes
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    access_addresses: int
    access_keys: int
    authorizations: int
    blob_count: int
    size: int
    further_calls: int = 0
    signature_gas: int = 0
    pays_in_token: bool = False


def signature_gas(sender: int, payer: int | None) -> int:
    """Gas for the signatures of a GhostTx, by scheme; payer None when there is no fee payer."""
    gas = GAS_SIGNATURE[SignatureScheme(sender)]
    if payer is not None:
        gas += GAS_SIGNATURE[SignatureScheme(payer)] or GAS_PAYER_SECP256K1
    return gas


def deploys_wasm(shape: Shape, rules: Rules) -> bool:
    """Whether the data is a WASM module, for which other limits hold."""
    return rules.wasm and shape.is_create and shape.data.startswith(WASM_MAGIC)


def intrinsic_gas(shape: Shape) -> int:
    """Gas taken before the first instruction (Yellow Paper g0, EIP-2930, EIP-3860, EIP-7702; and
    what fee tokens, further calls and other signatures add, see `docs/transactions.md`)."""
    zeros = shape.data.count(0)
    gas = GAS_TRANSACTION + zeros * GAS_ZERO_BYTE
    gas += (len(shape.data) - zeros) * GAS_NONZERO_BYTE
    gas += shape.access_addresses * GAS_ACCESS_ADDRESS + shape.access_keys * GAS_ACCESS_KEY
    gas += shape.authorizations * GAS_AUTHORIZATION
    gas += shape.further_calls * GAS_FURTHER_CALL + shape.signature_gas
    if shape.pays_in_token:
        gas += GAS_FEE_TOKEN
    if shape.is_create:
        gas += GAS_CREATE + GAS_INITCODE_WORD * ((len(shape.data) + 31) // 32)
    return gas


def floor_gas(shape: Shape) -> int:
    """The least a transaction pays for its data (EIP-7623)."""
    zeros = shape.data.count(0)
    tokens = zeros + (len(shape.data) - zeros) * 4
    return GAS_TRANSACTION + GAS_FLOOR_TOKEN * tokens


def stateless_refusal(
    shape: Shape, rules: Rules
) -> tuple[TransactionReason | PoolReason, str] | None:
    """Why the transaction cannot wait, or None."""
    return _form_refusal(shape, rules) or _gas_refusal(shape, rules)


def _form_refusal(shape: Shape, rules: Rules) -> tuple[TransactionReason | PoolReason, str] | None:
    if shape.type not in rules.types:
        return TransactionReason.TYPE_NOT_YET, "transaction type not supported"
    is_wasm = deploys_wasm(shape, rules)
    size_max = WASM_SIZE_MAX if is_wasm else SIZE_MAX
    if shape.is_create and rules.initcode_size_max > INIT_CODE_BYTES_MAX:
        size_max = LENIENT_SIZE_MAX
    if shape.size > size_max:
        message = f"oversized data: transaction size {shape.size}, limit {size_max}"
        return PoolReason.OVERSIZED, message
    if shape.chain_id is not None and shape.chain_id != rules.chain_id:
        message = f"invalid chain id for signer: have {shape.chain_id} want {rules.chain_id}"
        return TransactionReason.CHAIN_ID, message
    code_max = WASM_BYTES_MAX if is_wasm else rules.initcode_size_max
    if shape.is_create and len(shape.data) > code_max:
        message = f"max initcode size exceeded: code size {len(shape.data)}, limit {code_max}"
        return TransactionReason.INITCODE_SIZE_EXCEEDED, message
    if shape.type == 3:
        if shape.is_create:
            return TransactionReason.BLOB_CREATE, "blob transaction of type create"
        if shape.blob_count == 0:
            return TransactionReason.BLOB_ZERO, "blob transaction missing blob hashes"
        if shape.blob_count > rules.blobs_max:
            message = (
                f"too many blobs in transaction: have {shape.blob_count}, "
                f"permitted {rules.blobs_max}"
            )
            return TransactionReason.BLOB_COUNT_EXCEEDED, message
    if shape.type == 4:
        if shape.is_create:
            return (
                TransactionReason.SET_CODE_CREATE,
                "EIP-7702 transaction cannot be used to create contract",
            )
        if shape.authorizations == 0:
            return TransactionReason.SET_CODE_EMPTY, "EIP-7702 transaction with empty auth list"
    return None


def _gas_refusal(shape: Shape, rules: Rules) -> tuple[TransactionReason | PoolReason, str] | None:
    if shape.gas_limit > rules.block_gas_limit:
        message = f"exceeds block gas limit: have {shape.gas_limit}, limit {rules.block_gas_limit}"
        return TransactionReason.GAS_ALLOWANCE_EXCEEDED, message
    cap = None if deploys_wasm(shape, rules) else rules.gas_cap
    if cap is not None and shape.gas_limit > cap:
        message = f"transaction gas limit too high (cap: {cap}, tx: {shape.gas_limit})"
        return TransactionReason.GAS_LIMIT_ABOVE_CAP, message
    if shape.max_priority_fee_per_gas > shape.max_fee_per_gas:
        message = (
            "max priority fee per gas higher than max fee per gas: "
            f"maxPriorityFeePerGas: {shape.max_priority_fee_per_gas}, "
            f"maxFeePerGas: {shape.max_fee_per_gas}"
        )
        return TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE, message
    if not shape.pays_in_token and shape.max_priority_fee_per_gas < rules.tip_min_wei:
        message = (
            f"transaction underpriced: gas tip cap {shape.max_priority_fee_per_gas}, "
            f"minimum needed {rules.tip_min_wei}"
        )
        return PoolReason.UNDERPRICED, message
    needed = intrinsic_gas(shape)
    if shape.gas_limit < needed:
        message = f"intrinsic gas too low: gas {shape.gas_limit}, minimum needed {needed}"
        return TransactionReason.INTRINSIC_GAS_TOO_LOW, message
    if rules.floor and shape.gas_limit < (floor := floor_gas(shape)):
        message = (
            f"insufficient gas for floor data gas cost: gas {shape.gas_limit}, "
            f"minimum needed {floor}"
        )
        return TransactionReason.INTRINSIC_GAS_BELOW_FLOOR, message
    return None
