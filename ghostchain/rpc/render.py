"""Our records as the JSON objects of the Ethereum JSON-RPC (execution-apis), field for field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.transaction import (
    AccessEntry,
    Authorization,
    Call,
    SchemeSignature,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import LocatedLog, PooledTransaction, ShownLogs, SyncProgress

Json = dict[str, Any]


def header_json(header: Header, block_hash: Hash32) -> Json:
    """The header's own fields, as `newHeads` sends them."""
    fields: Json = {
        "number": hex(header.number),
        "hash": format_data(block_hash),
        "parentHash": format_data(header.parent_hash),
        "nonce": format_data(header.nonce),
        "mixHash": format_data(header.prev_randao),
        "sha3Uncles": format_data(header.ommers_hash),
        "logsBloom": format_data(header.bloom),
        "stateRoot": format_data(header.state_root),
        "miner": format_data(header.coinbase),
        "difficulty": hex(header.difficulty),
        "extraData": format_data(header.extra_data),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "transactionsRoot": format_data(header.transactions_root),
        "receiptsRoot": format_data(header.receipts_root),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "withdrawalsRoot": format_data(header.withdrawals_root),
        "blobGasUsed": hex(header.blob_gas_used),
        "excessBlobGas": hex(header.excess_blob_gas),
        "parentBeaconBlockRoot": format_data(header.parent_beacon_block_root),
    }
    if header.requests_hash is not None:
        fields["requestsHash"] = format_data(header.requests_hash)
    return fields


def sync_json(progress: SyncProgress) -> Json:
    """How far a node is that is behind."""
    return {
        "startingBlock": hex(progress.starting_block),
        "currentBlock": hex(progress.current_block),
        "highestBlock": hex(progress.highest_block),
    }


def withdrawal_json(withdrawal: Withdrawal) -> Json:
    return {
        "index": hex(withdrawal.index),
        "validatorIndex": hex(withdrawal.validator_index),
        "address": format_data(withdrawal.address),
        "amount": hex(withdrawal.amount_gwei),
    }


def access_list_json(entries: tuple[AccessEntry, ...]) -> list[Json]:
    return [
        {
            "address": format_data(entry.address),
            "storageKeys": [format_data(key) for key in entry.keys],
        }
        for entry in entries
    ]


def authorization_json(item: Authorization) -> Json:
    return {
        "chainId": hex(item.chain_id),
        "address": format_data(item.address),
        "nonce": hex(item.nonce),
        "yParity": hex(item.y_parity),
        "r": hex(item.r),
        "s": hex(item.s),
    }


def address_json(address: Address | None) -> str | None:
    return None if address is None else format_data(address)


def calls_of(tx: Transaction) -> tuple[Call, ...]:
    """What the transaction does; all but a GhostTx have one call."""
    return tx.calls or (Call(tx.to, tx.value, tx.data),)


def call_json(call: Call) -> Json:
    return {
        "to": address_json(call.to),
        "value": hex(call.value),
        "input": format_data(call.data),
    }


def signature_json(signature: SchemeSignature | None) -> Json | None:
    if signature is None:
        return None
    return {
        "scheme": hex(signature.scheme),
        "publicKey": format_data(signature.key),
        "signature": format_data(signature.signature),
    }


def effective_gas_price(tx: Transaction, base_fee: int) -> int:
    """What a unit of gas cost (EIP-1559); the plain price for the types before it. base_fee: in
    what the transaction pays its fee in."""
    return min(tx.max_fee_per_gas, base_fee + tx.max_priority_fee_per_gas)


def legacy_v(tx: Transaction) -> int:
    if tx.chain_id is None:
        return 27 + tx.y_parity
    return 35 + tx.y_parity + 2 * tx.chain_id


def unsigned_json(tx: Transaction) -> Json:
    """The members that do not depend on signature or block."""
    calls = calls_of(tx)
    fields: Json = {
        "type": hex(tx.type),
        "nonce": hex(tx.nonce),
        "gas": hex(tx.gas_limit),
        **call_json(calls[0]),
        "value": hex(sum(call.value for call in calls)),
    }
    if tx.chain_id is not None:
        fields["chainId"] = hex(tx.chain_id)
    # For the newer types the most that may be paid, until a block decides.
    fields["gasPrice"] = hex(tx.max_fee_per_gas)
    if tx.type not in (TransactionType.LEGACY, TransactionType.ACCESS_LIST):
        fields["maxFeePerGas"] = hex(tx.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(tx.max_priority_fee_per_gas)
    if tx.type != TransactionType.LEGACY:
        fields["accessList"] = access_list_json(tx.access_list)
    if tx.type == TransactionType.BLOB:
        fields["maxFeePerBlobGas"] = hex(tx.max_fee_per_blob_gas)
        fields["blobVersionedHashes"] = [format_data(item) for item in tx.blob_versioned_hashes]
    if tx.type == TransactionType.SET_CODE:
        fields["authorizationList"] = [authorization_json(item) for item in tx.authorizations]
    if tx.type == TransactionType.FEE_CURRENCY:
        fields["feeCurrency"] = address_json(tx.fee_token)
    if tx.type == TransactionType.GHOST:
        fields["calls"] = [call_json(call) for call in calls]
        fields["feeToken"] = address_json(tx.fee_token)
        fields["feePayer"] = address_json(tx.fee_payer)
    return fields


def signed_json(tx: Transaction) -> Json:
    fields = unsigned_json(tx)
    r, s, y_parity = tx.r, tx.s, tx.y_parity
    if tx.type == TransactionType.GHOST:
        fields["senderSignature"] = signature_json(tx.sender_signature)
        fields["payerSignature"] = signature_json(tx.payer_signature)
        r, s, y_parity = signature_of_key(tx.sender_signature)
    fields["r"], fields["s"] = hex(r), hex(s)
    if tx.type == TransactionType.LEGACY:
        fields["v"] = hex(legacy_v(tx))
    else:
        fields["v"] = fields["yParity"] = hex(y_parity)
    return fields


def signature_of_key(signature: SchemeSignature | None) -> tuple[int, int, int]:
    """r, s and y parity, which clients look for; zeros for other schemes than secp256k1."""
    if signature is None or signature.scheme != SignatureScheme.SECP256K1:
        return 0, 0, 0
    r, s, y_parity = (signature.signature[i:j] for i, j in ((0, 32), (32, 64), (64, 65)))
    return int.from_bytes(r, "big"), int.from_bytes(s, "big"), y_parity[0]


def pending_transaction_json(waiting: PooledTransaction, tx: Transaction) -> Json:
    """A transaction of the pool: the members of its place are null."""
    fields = signed_json(tx)
    fields["hash"], fields["from"] = format_data(waiting.hash), format_data(waiting.sender)
    fields["blockHash"] = fields["blockNumber"] = fields["transactionIndex"] = None
    fields["blockTimestamp"] = None
    return fields


def log_json(
    log: Log,
    *,
    block_hash: Hash32,
    block_number: int,
    block_timestamp: int,
    transaction_hash: Hash32,
    transaction_index: int,
    log_index: int,
) -> Json:
    return {
        "address": format_data(log.address),
        "topics": [format_data(topic) for topic in log.topics],
        "data": format_data(log.data),
        "blockNumber": hex(block_number),
        "transactionHash": format_data(transaction_hash),
        "transactionIndex": hex(transaction_index),
        "blockHash": format_data(block_hash),
        "blockTimestamp": hex(block_timestamp),
        "logIndex": hex(log_index),
        "removed": False,
    }


def located_log_json(located: LocatedLog) -> Json:
    return log_json(
        located.log,
        block_hash=located.block_hash,
        block_number=located.block_number,
        block_timestamp=located.block_timestamp,
        transaction_hash=located.transaction_hash,
        transaction_index=located.transaction_index,
        log_index=located.log_index,
    )


def shown_one_by_one(located: Iterable[LocatedLog]) -> Iterator[ShownLogs]:
    """Decoded logs as those are that are shown natively."""
    for item in located:
        text = orjson.dumps(located_log_json(item))
        yield ShownLogs(item.block_number, 1, text)
