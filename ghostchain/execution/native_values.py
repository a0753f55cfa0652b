"""Values as the records of the native core: blocks, messages and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.crypto.signing import authority_of
from ghostchain.execution.environment import BlockEnvironment, Message
from ghostchain.execution.wasm_engine import ensure_engine
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.leniency import STRICT, Leniency
from ghostchain.primitives.transaction import AccessEntry, Authorization, Call
from ghostchain.primitives.types import ZERO_ADDRESS


def fill_environment(native: Any, env: BlockEnvironment) -> None:
    # One by one, since a loop over their names takes three times as long.
    native.number = env.number
    native.timestamp = env.timestamp
    native.gas_limit = env.gas_limit
    native.excess_blob_gas = env.excess_blob_gas
    native.coinbase = env.coinbase
    native.prev_randao = env.prev_randao
    native.parent_hash = env.parent_hash
    native.parent_beacon_block_root = env.parent_beacon_block_root
    fill_rules(
        native,
        fork=env.fork,
        hybrid=env.hybrid,
        chain_id=env.chain_id,
        transaction_gas_max=env.transaction_gas_max,
        blob_base_fee_update_fraction=env.blob_base_fee_update_fraction,
        blobs_per_block_max=env.blobs_per_block_max,
        deposit_contract=env.deposit_contract,
        leniency=env.leniency,
    )
    native.base_fee = env.base_fee.to_bytes(32, "big")
    native.has_blob_base_fee = env.blob_base_fee is not None
    native.blob_base_fee = (env.blob_base_fee or 0).to_bytes(32, "big")


def header_environment(header: bytes) -> tuple[Any, int] | None:
    """A ghost_block_env of what a header (RLP) says, and the gas that its block used; `fill_rules`
    has to follow. None where the header is not as in every block since Cancun. Cost: a microsecond,
    where decoding the header and filling an environment from it takes twenty."""
    native, gas_used = ffi.new("ghost_block_env *"), ffi.new("uint64_t *")
    status = lib.ghost_header_environment(header, len(header), native, gas_used)
    return (native, gas_used[0]) if status == lib.GHOST_OK else None


def fill_rules(
    native: Any,
    *,
    fork: int,
    hybrid: bool,
    chain_id: int,
    transaction_gas_max: int,
    blob_base_fee_update_fraction: int,
    blobs_per_block_max: int,
    deposit_contract: bytes,
    leniency: Leniency,
) -> None:
    """What of a block's environment is not in its header."""
    if hybrid:
        ensure_engine()
    native.fork = fork
    native.hybrid = hybrid
    native.chain_id = chain_id
    native.transaction_gas_max = transaction_gas_max
    native.blob_base_fee_update_fraction = blob_base_fee_update_fraction
    native.blobs_per_block_max = blobs_per_block_max
    native.deposit_contract = deposit_contract
    fill_leniency(native, leniency)


def fill_leniency(native: Any, leniency: Leniency) -> None:
    if leniency is STRICT:
        native.code_bytes_max = native.signature_count = 0
        return
    native.code_bytes_max = leniency.code_bytes_max or 0
    native.signature_count = len(leniency.signatures)
    for index, (signature, address) in enumerate(leniency.signatures):
        native.signatures[index].signature = signature
        native.signatures[index].address = address


def native_withdrawals(withdrawals: Sequence[Withdrawal]) -> Any:
    native = ffi.new("ghost_withdrawal[]", len(withdrawals))
    for item, withdrawal in zip(native, withdrawals, strict=True):
        item.index = withdrawal.index
        item.validator_index = withdrawal.validator_index
        item.address = withdrawal.address
        item.amount_gwei = withdrawal.amount_gwei
    return native


def _native_access_list(entries: Sequence[AccessEntry], kept: list[Any]) -> Any:
    native = ffi.new("ghost_access_entry[]", len(entries))
    for item, entry in zip(native, entries, strict=True):
        keys = ffi.from_buffer(b"".join(entry.keys))
        kept.append(keys)
        item.address = entry.address
        item.keys = keys
        item.key_count = len(entry.keys)
    kept.append(native)
    return native


def _native_authorizations(authorizations: Sequence[Authorization], kept: list[Any]) -> Any:
    native = ffi.new("ghost_authorization[]", len(authorizations))
    for item, authorization in zip(native, authorizations, strict=True):
        item.chain_id = authorization.chain_id.to_bytes(32, "big")
        item.address = authorization.address
        item.nonce = authorization.nonce
        authority = authority_of(authorization)
        item.authority_ok = authority is not None
        item.authority = authority or ZERO_ADDRESS
    kept.append(native)
    return native


def _native_calls(calls: Sequence[Call], kept: list[Any]) -> Any:
    native = ffi.new("ghost_tx_call[]", len(calls))
    for item, call in zip(native, calls, strict=True):
        data = ffi.from_buffer(call.data)
        kept.append(data)
        item.to = call.to or ZERO_ADDRESS
        item.is_create = call.to is None
        item.value = call.value.to_bytes(32, "big")
        item.data = data
        item.data_length = len(call.data)
    kept.append(native)
    return native


def native_message(message: Message, kept: list[Any]) -> Any:
    """A ghost_tx; kept collects what must outlive it."""
    native = ffi.new("ghost_tx *")
    to, value, payload = message.to, message.value, message.data
    if message.calls:
        to, payload = message.calls[0].to, message.calls[0].data
        value = sum(call.value for call in message.calls)
    data = ffi.from_buffer(payload)
    hashes = ffi.from_buffer(b"".join(message.blob_versioned_hashes))
    kept += [data, hashes]
    native.type = message.type
    native.nonce = message.nonce
    native.gas_limit = message.gas_limit
    native.sender = message.sender
    native.is_create = to is None
    native.to = to or ZERO_ADDRESS
    native.value = value.to_bytes(32, "big")
    native.max_fee_per_gas = message.max_fee_per_gas.to_bytes(32, "big")
    native.max_priority_fee_per_gas = message.max_priority_fee_per_gas.to_bytes(32, "big")
    native.max_fee_per_blob_gas = message.max_fee_per_blob_gas.to_bytes(32, "big")
    native.data = data
    native.data_length = len(payload)
    native.access_list = _native_access_list(message.access_list, kept)
    native.access_count = len(message.access_list)
    native.blob_hashes = hashes
    native.blob_count = len(message.blob_versioned_hashes)
    native.authorizations = _native_authorizations(message.authorizations, kept)
    native.authorization_count = len(message.authorizations)
    native.has_fee_token = message.fee_token is not None
    native.fee_token = message.fee_token or ZERO_ADDRESS
    native.has_fee_payer = message.fee_payer is not None
    native.fee_payer = message.fee_payer or ZERO_ADDRESS
    native.signature.scheme = message.signature_scheme
    native.payer_signature.scheme = message.payer_scheme
    if message.calls:
        native.calls = _native_calls(message.calls, kept)
        native.call_count = len(message.calls)
    return native
