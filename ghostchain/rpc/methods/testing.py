"""testing_buildBlockV1 of execution-apis: a block as a payload, made of what one is told and kept
nowhere. On development chains only, as its page asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ghostchain.chain.fee_tokens import is_coin
from ghostchain.crypto.hashes import header_hash, logs_bloom
from ghostchain.encoding.blocks import encode_receipt, encode_withdrawal
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import CallResult
from ghostchain.execution.forks import Fork
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import InvalidBlock, TransactionReason
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import EMPTY_OMMERS_HASH, EMPTY_ROOT, Address, Hash32
from ghostchain.rpc.dispatch import Cost, Door, Method
from ghostchain.rpc.errors import RpcError, invalid_params, reason_message, server_error
from ghostchain.rpc.parameters import (
    Parameter,
    address,
    data,
    fields,
    hash32,
    items,
    needed,
    quantity_64,
    withdrawals,
)
from ghostchain.rpc.phantoms import Phantoms
from ghostchain.rpc.render import Json, effective_gas_price, withdrawal_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline
from ghostchain.trie.merkle import ordered_root

TRANSACTIONS_MAX = 10_000
EXTRA_DATA_MAX = 32
BLOB_GAS = 131_072
TRANSACTION_GAS_CAP = 1 << 24  # EIP-7825


@dataclass(frozen=True, slots=True)
class PayloadAttributes:
    """What consensus would say of the block."""

    timestamp: int
    prev_randao: Hash32
    fee_recipient: Address
    withdrawals: tuple[Withdrawal, ...]
    parent_beacon_block_root: Hash32


@dataclass(frozen=True, slots=True)
class Included:
    tx: Transaction
    raw: bytes
    result: CallResult


def payload_attributes(value: Any) -> PayloadAttributes:
    members = fields(value)
    return PayloadAttributes(
        timestamp=needed(members, "timestamp", quantity_64),
        prev_randao=needed(members, "prevRandao", hash32),
        fee_recipient=needed(members, "suggestedFeeRecipient", address),
        withdrawals=needed(members, "withdrawals", withdrawals),
        parent_beacon_block_root=needed(members, "parentBeaconBlockRoot", hash32),
    )


def raw_transactions(value: Any) -> list[bytes]:
    return [data(item) for item in items(value, TRANSACTIONS_MAX, "transactions")]


def build_block(
    services: Services,
    deadline: Deadline,
    parent_hash: Hash32,
    attributes: PayloadAttributes,
    raws: list[bytes] | None,
    extra_data: bytes,
) -> Json:
    """The payload on that parent; raws None: of what waits in the pool, as far as it holds."""
    number = services.backend.number_of(parent_hash)
    parent = None if number is None else services.backend.header(number)
    if number is None or parent is None:
        raise server_error("unknown parent block")
    if len(extra_data) > EXTRA_DATA_MAX:
        raise invalid_params(f"extra data longer than {EXTRA_DATA_MAX} bytes")
    if attributes.timestamp <= parent.timestamp:
        raise server_error(
            f"invalid timestamp: {attributes.timestamp} is not after {parent.timestamp}"
        )
    phantoms = services.backend.phantoms(number)
    header = preliminary(phantoms, parent, parent_hash, attributes, extra_data)
    environment = phantoms.environment(header)
    phantoms.begin(environment, {}, {})
    batch = waiting(services) if raws is None else TransactionBatch.decode(raws)
    batch.recover()
    included = run_all(services, deadline, phantoms, header, batch, skips=raws is None)
    try:
        end = phantoms.end(attributes.withdrawals)
    except InvalidBlock as error:
        raise server_error(f"the block cannot end: {error}") from error
    receipts, gas_used = receipts_of(included)
    sealed = replace(
        header,
        state_root=phantoms.state_root(),
        transactions_root=ordered_root([item.raw for item in included]),
        receipts_root=ordered_root(list(map(encode_receipt, receipts))),
        bloom=logs_bloom(log for receipt in receipts for log in receipt.logs),
        gas_used=gas_used,
        blob_gas_used=BLOB_GAS * sum(len(item.tx.blob_versioned_hashes) for item in included),
        withdrawals_root=ordered_root(list(map(encode_withdrawal, attributes.withdrawals))),
        requests_hash=end.requests_hash if environment.fork >= Fork.PRAGUE else None,
    )
    return envelope(sealed, attributes, included, end.requests)


def waiting(services: Services) -> TransactionBatch:
    """What the pool would give a block, sender after sender, with the senders that it knows."""
    content = services.backend.pool_content().pending
    items = [item for found in content.values() for item in found][:TRANSACTIONS_MAX]
    batch = TransactionBatch.decode([item.raw for item in items], allows_unsigned=True)
    batch.recover(senders=[item.sender for item in items])
    return batch


def preliminary(
    phantoms: Phantoms,
    parent: Header,
    parent_hash: Hash32,
    attributes: PayloadAttributes,
    extra_data: bytes,
) -> Header:
    fees = phantoms.fees(parent, attributes.timestamp)
    return Header(
        parent_hash=parent_hash,
        ommers_hash=EMPTY_OMMERS_HASH,
        coinbase=attributes.fee_recipient,
        state_root=EMPTY_ROOT,
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        bloom=bytes(256),
        difficulty=0,
        number=parent.number + 1,
        gas_limit=parent.gas_limit,
        gas_used=0,
        timestamp=attributes.timestamp,
        extra_data=extra_data,
        prev_randao=attributes.prev_randao,
        nonce=bytes(8),
        base_fee_per_gas=fees.base_fee,
        withdrawals_root=EMPTY_ROOT,
        blob_gas_used=0,
        excess_blob_gas=fees.excess_blob_gas,
        parent_beacon_block_root=attributes.parent_beacon_block_root,
    )


def run_all(
    services: Services,
    deadline: Deadline,
    phantoms: Phantoms,
    header: Header,
    batch: TransactionBatch,
    *,
    skips: bool,
) -> list[Included]:
    """The transactions that hold, in order. Without skips each must: raises RpcError."""
    included: list[Included] = []
    gas_used = 0
    cap = TRANSACTION_GAS_CAP if phantoms.environment(header).fork >= Fork.OSAKA else None
    for index in range(len(batch)):
        deadline.check()
        try:
            if batch.reason(index) is not TransactionReason.OK:
                raise refused(batch.reason(index), {})
            tx = batch.transaction(index)
            if cap is not None and tx.gas_limit > cap:
                values: dict[str, int | bytes] = {"limit": cap, "gas": tx.gas_limit}
                raise refused(TransactionReason.GAS_LIMIT_ABOVE_CAP, values)
            left = header.gas_limit - gas_used
            if tx.gas_limit > left:
                raise server_error("gas limit reached: the block has no room for the transaction")
            result = phantoms.transaction(batch, index)
            if result.reason is not TransactionReason.OK:
                raise refused(
                    result.reason, values_of(phantoms, batch.sender(index), tx, header, result)
                )
        except RpcError:
            if skips:
                continue
            raise
        gas_used += result.gas_used
        included.append(Included(tx, batch.raw(index), result))
    return included


def values_of(
    phantoms: Phantoms, sender: Address, tx: Transaction, header: Header, result: CallResult
) -> dict[str, int | bytes]:
    account = phantoms.account(sender)
    return {
        "address": sender,
        "tx_nonce": tx.nonce,
        "state_nonce": 0 if account is None else account.nonce,
        "have": 0 if account is None else account.balance,
        "want": tx.value + tx.gas_limit * tx.max_fee_per_gas,
        "max_fee": tx.max_fee_per_gas,
        "base_fee": header.base_fee_per_gas,
        "gas": tx.gas_limit,
        "floor": result.gas_intrinsic,
    }


def refused(reason: TransactionReason, values: dict[str, int | bytes]) -> RpcError:
    return server_error(reason_message(reason, values))


def receipts_of(included: list[Included]) -> tuple[list[Receipt], int]:
    receipts, cumulative = [], 0
    for item in included:
        cumulative += item.result.gas_used
        logs = item.result.logs
        receipts.append(
            Receipt(item.tx.type, item.result.success, cumulative, logs_bloom(logs), logs)
        )
    return receipts, cumulative


def tip_of(item: Included, base_fee: int) -> int:
    """What the proposer gets of it, in wei of GCC; nothing of fees in tokens."""
    if not is_coin(item.tx.fee_token):
        return 0
    return (effective_gas_price(item.tx, base_fee) - base_fee) * item.result.gas_used


def envelope(
    header: Header,
    attributes: PayloadAttributes,
    included: list[Included],
    requests: tuple[bytes, ...],
) -> Json:
    """engine_getPayloadV4's answer. Blobs travel beside transactions, and none were given."""
    value = sum(tip_of(item, header.base_fee_per_gas) for item in included)
    return {
        "executionPayload": {
            "parentHash": format_data(header.parent_hash),
            "feeRecipient": format_data(header.coinbase),
            "stateRoot": format_data(header.state_root),
            "receiptsRoot": format_data(header.receipts_root),
            "logsBloom": format_data(header.bloom),
            "prevRandao": format_data(header.prev_randao),
            "blockNumber": hex(header.number),
            "gasLimit": hex(header.gas_limit),
            "gasUsed": hex(header.gas_used),
            "timestamp": hex(header.timestamp),
            "extraData": format_data(header.extra_data),
            "baseFeePerGas": hex(header.base_fee_per_gas),
            "blockHash": format_data(header_hash(header)),
            "transactions": [format_data(item.raw) for item in included],
            "withdrawals": [withdrawal_json(item) for item in attributes.withdrawals],
            "blobGasUsed": hex(header.blob_gas_used),
            "excessBlobGas": hex(header.excess_blob_gas),
        },
        "blockValue": hex(value),
        "blobsBundle": {"commitments": [], "proofs": [], "blobs": []},
        "executionRequests": [format_data(item) for item in requests],
        "shouldOverrideBuilder": False,
    }


METHODS = (
    Method(
        "testing_buildBlockV1",
        build_block,
        (
            Parameter("parent block hash", hash32),
            Parameter("payload attributes", payload_attributes),
            Parameter("transactions", raw_transactions, required=False),
            Parameter("extra data", data, required=False, default=b""),
        ),
        Cost.SLOW,
        door=Door.DEVELOPMENT,
    ),
)
