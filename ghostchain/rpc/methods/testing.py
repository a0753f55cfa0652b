"""testing_buildBlockV1 of execution-apis: a block as a payload, made of what one is told and kept
nowhere. On development chains only, as its page asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ghostchain.chain.environments import unexecuted_header
from ghostchain.chain.fee_tokens import is_coin
from ghostchain.crypto.hashes import header_hash
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.building import TRANSACTIONS_MAX, Included, build, waiting
from ghostchain.rpc.errors import invalid_params, server_error
from ghostchain.rpc.method import Cost, Door, Method
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

EXTRA_DATA_MAX = 32


@dataclass(frozen=True, slots=True)
class PayloadAttributes:
    """What consensus would say of the block."""

    timestamp: int
    prev_randao: Hash32
    fee_recipient: Address
    withdrawals: tuple[Withdrawal, ...]
    parent_beacon_block_root: Hash32


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
    if raws is None:
        batch = waiting(services)
    else:
        batch = TransactionBatch.decode(raws)
        batch.recover()
    built = build(deadline, phantoms, header, batch, attributes.withdrawals, skips=raws is None)
    return envelope(built.header, attributes, built.included, built.requests)


def preliminary(
    phantoms: Phantoms,
    parent: Header,
    parent_hash: Hash32,
    attributes: PayloadAttributes,
    extra_data: bytes,
) -> Header:
    fees = phantoms.fees(parent, attributes.timestamp)
    return unexecuted_header(
        parent_hash=parent_hash,
        number=parent.number + 1,
        coinbase=attributes.fee_recipient,
        gas_limit=parent.gas_limit,
        timestamp=attributes.timestamp,
        extra_data=extra_data,
        prev_randao=attributes.prev_randao,
        base_fee=fees.base_fee,
        excess_blob_gas=fees.excess_blob_gas,
        parent_beacon_block_root=attributes.parent_beacon_block_root,
    )


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
