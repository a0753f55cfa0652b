"""Blocks as readers want them: bodies decoded, senders recovered and receipts located once, then
kept while there is room.

Waiting for receipts is what clients do most, all of them in the newest blocks; so a block is
decoded on its first reading and the next ten thousand readings find it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cached_property
from typing import Any

import orjson

from ghostchain.chain.fee_tokens import RATE_UNIT, in_coin, in_token
from ghostchain.chain.records import BodyRecord, ReceiptsRecord, body_parts
from ghostchain.crypto.hashes import contract_address
from ghostchain.encoding.blocks import encode_block, encode_header
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.block import Block
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.transaction import Transaction, TransactionType
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import Backend
from ghostchain.rpc.errors import pruned_history
from ghostchain.rpc.render import (
    Json,
    address_json,
    calls_of,
    effective_gas_price,
    header_json,
    log_json,
    signed_json,
    withdrawal_json,
)

BLOB_GAS = 131_072
# What a transaction and a header weigh as JSON, beside the transaction's data.
SHOWN_BYTES = 1000
HEADER_SHOWN_BYTES = 3000
# What a natively decoded transaction weighs beside its raw bytes, roughly.
ENTRY_BYTES = 900
# What a block weighs beside its bytes: header, columns, the native batch.
RECORD_BYTES = 8_000

NO_RECEIPTS = ReceiptsRecord.parse(bytes(4))


class BlockRecord:
    """One block. Transactions are decoded together, natively, when the first of them is asked for;
    receipts one by one. Read-only, so threads share it."""

    def __init__(
        self,
        header: Header,
        block_hash: Hash32,
        body: BodyRecord,
        receipts: ReceiptsRecord,
        blob_base_fee: int,
    ) -> None:
        self.header = header
        self.hash = block_hash
        self.body = body
        self.receipts = receipts
        self.blob_base_fee = blob_base_fee
        # What was shown, by whether transactions were whole.
        self.shown: dict[bool, bytes] = {}
        self.weight = (
            RECORD_BYTES
            + 2 * len(body.data)
            + len(receipts.data)
            + len(body) * ENTRY_BYTES
            + 3 * len(body.data)
            + len(body) * SHOWN_BYTES
            + HEADER_SHOWN_BYTES
        )

    def __len__(self) -> int:
        return len(self.body)

    @cached_property
    def batch(self) -> TransactionBatch:
        lent = self.body.lent_batch()
        if lent is not None:
            return lent
        return TransactionBatch.decode(self.body.raws(), allows_unsigned=True)

    @cached_property
    def block(self) -> Block:
        return self.body.block()

    @cached_property
    def size(self) -> int:
        """Bytes of the block in RLP."""
        return len(encode_block(self.block))

    def raw(self, index: int) -> bytes:
        return self.body.raw(index)

    def transaction(self, index: int) -> Transaction:
        return self.batch.transaction(index)

    def transaction_hash(self, index: int) -> Hash32:
        return self.batch.hash(index)

    def sender(self, index: int) -> Address:
        return self.body.sender(index)

    def gas_used(self, index: int) -> int:
        cumulative = self.receipts.cumulative
        return int(cumulative[index]) - (int(cumulative[index - 1]) if index else 0)

    def base_fee(self, index: int) -> int:
        """The base fee in what the transaction paid its fee in."""
        rate = self.receipts.fee_rates.get(index)
        base_fee = self.header.base_fee_per_gas
        return base_fee if rate is None else in_token(base_fee, rate)

    @cached_property
    def tips(self) -> list[tuple[int, int]]:
        """(effective tip in wei of GCC, gas used) of every transaction, cheapest tip first."""
        batch, rates = self.batch, self.receipts.fee_rates
        found = []
        for index in range(len(self)):
            room = batch.max_fee_per_gas(index) - self.base_fee(index)
            tip = min(room, batch.max_priority_fee_per_gas(index))
            found.append((in_coin(tip, rates.get(index, RATE_UNIT)), self.gas_used(index)))
        return sorted(found)

    # ---- JSON ----

    def block_bytes(self, *, hydrated: bool) -> bytes:
        """The JSON of the block, made once."""
        found = self.shown.get(hydrated)
        if found is None:
            found = self.shown[hydrated] = orjson.dumps(self.block_json(hydrated=hydrated))
        return found

    def block_json(self, *, hydrated: bool) -> Json:
        fields = header_json(self.header, self.hash)
        fields["size"] = hex(self.size)
        fields["uncles"] = []
        fields["withdrawals"] = [withdrawal_json(item) for item in self.block.withdrawals]
        indices = range(len(self))
        if hydrated:
            fields["transactions"] = [self.transaction_json(index) for index in indices]
        else:
            fields["transactions"] = [
                format_data(self.transaction_hash(index)) for index in indices
            ]
        return fields

    def transaction_json(self, index: int) -> Json:
        tx = self.transaction(index)
        fields = signed_json(tx)
        fields["gasPrice"] = hex(effective_gas_price(tx, self.base_fee(index)))
        fields["hash"] = format_data(self.transaction_hash(index))
        fields["from"] = format_data(self.sender(index))
        fields["blockHash"] = format_data(self.hash)
        fields["blockNumber"] = hex(self.header.number)
        fields["blockTimestamp"] = hex(self.header.timestamp)
        fields["transactionIndex"] = hex(index)
        return fields

    def receipt_json(self, index: int) -> Json:
        receipt, tx = self.receipts.receipt(index), self.transaction(index)
        sender, to = self.sender(index), calls_of(tx)[0].to
        fields: Json = {
            "type": hex(receipt.type),
            "status": "0x1" if receipt.success else "0x0",
            "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
            "gasUsed": hex(self.gas_used(index)),
            "effectiveGasPrice": hex(effective_gas_price(tx, self.base_fee(index))),
            "logsBloom": format_data(receipt.bloom),
            "logs": self.logs_json(index, receipt),
            "transactionHash": format_data(self.transaction_hash(index)),
            "transactionIndex": hex(index),
            "blockHash": format_data(self.hash),
            "blockNumber": hex(self.header.number),
            "from": format_data(sender),
            "to": address_json(to),
            "contractAddress": None,
        }
        if to is None:
            fields["contractAddress"] = format_data(contract_address(sender, tx.nonce))
        if tx.type == TransactionType.BLOB:
            fields["blobGasUsed"] = hex(len(tx.blob_versioned_hashes) * BLOB_GAS)
            fields["blobGasPrice"] = hex(self.blob_base_fee)
        if tx.type == TransactionType.FEE_CURRENCY:
            fields["feeCurrency"] = address_json(tx.fee_token)
        if tx.type == TransactionType.GHOST:
            fields["feeToken"] = address_json(tx.fee_token)
            fields["feePayer"] = address_json(tx.fee_payer)
        if index in self.receipts.fee_rates:
            # As Celo's nodes say it: in wei of the token.
            fields["baseFee"] = hex(self.base_fee(index))
        return fields

    def logs_json(self, index: int, receipt: Receipt) -> list[Json]:
        if not receipt.logs:
            return []
        first = self.receipts.first_log_index(index)
        transaction_hash = self.transaction_hash(index)
        return [
            log_json(
                log,
                block_hash=self.hash,
                block_number=self.header.number,
                block_timestamp=self.header.timestamp,
                transaction_hash=transaction_hash,
                transaction_index=index,
                log_index=first + position,
            )
            for position, log in enumerate(receipt.logs)
        ]


def genesis_body(header: Header) -> BodyRecord:
    """Genesis has no transactions, and no record on disk."""
    return BodyRecord.parse(b"".join(body_parts(encode_header(header), (), (), b"")))


class BlockReader:
    """Decoded blocks by number, so many and so many bytes, the least recently read forgotten first.

    Threads: any. Two threads that miss the same block both decode it; one result stays.
    """

    def __init__(self, backend: Backend, *, blocks_max: int, bytes_max: int) -> None:
        self.backend = backend
        self.blocks_max = blocks_max
        self.bytes_max = bytes_max
        self.bytes = 0
        self.records: OrderedDict[int, BlockRecord] = OrderedDict()
        self.lock = threading.Lock()

    def record(self, number: int) -> BlockRecord | None:
        """The block, or None where there is none. Raises RpcError PRUNED_HISTORY where it is one of
        the chain's from before this node began."""
        with self.lock:
            record = self.records.get(number)
            if record is not None and self.is_current(number, record):
                self.records.move_to_end(number)
                return record
        record = self.read(number)
        if record is not None:
            self.keep(number, record)
        return record

    def shown(self, number: int, *, hydrated: bool) -> bytes | None:
        """The JSON of a block that was shown before."""
        with self.lock:
            record = self.records.get(number)
        if record is None or not self.is_current(number, record):
            return None
        return record.shown.get(hydrated)

    def read(self, number: int) -> BlockRecord | None:
        backend = self.backend
        header, block_hash = backend.header(number), backend.hash_of(number)
        if 0 < number < backend.earliest():
            raise pruned_history()
        if header is None or block_hash is None:
            return None
        # Only transactions with blobs show it.
        blob_base_fee = backend.fees(number).blob_base_fee if header.blob_gas_used else 0
        if number == 0:
            body = genesis_body(header)
            return BlockRecord(header, block_hash, body, NO_RECEIPTS, blob_base_fee)
        stored, receipts = backend.body(number), backend.receipts(number)
        if stored is None or receipts is None:
            return None
        return BlockRecord(header, block_hash, stored, receipts, blob_base_fee)

    def is_current(self, number: int, record: BlockRecord) -> bool:
        """Whether the block still stands there, which only a development chain's may not."""
        backend = self.backend
        return backend.development is None or backend.hash_of(number) == record.hash

    def keep(self, number: int, record: BlockRecord) -> None:
        with self.lock:
            before = self.records.pop(number, None)
            if before is not None:
                self.bytes -= before.weight
            self.records[number] = record
            self.bytes += record.weight
            # The newest reading stays even when it alone is above the bound.
            while len(self.records) > 1 and (
                self.bytes > self.bytes_max or len(self.records) > self.blocks_max
            ):
                _, forgotten = self.records.popitem(last=False)
                self.bytes -= forgotten.weight

    def transaction(self, transaction_hash: bytes) -> tuple[BlockRecord, int] | None:
        """Where an included transaction stands."""
        location = self.backend.transaction_location(transaction_hash)
        if location is None:
            return None
        record = self.record(location[0])
        return None if record is None else (record, location[1])

    def receipt(self, transaction_hash: bytes) -> dict[str, Any] | None:
        found = self.transaction(transaction_hash)
        if found is None:
            return None
        record, index = found
        return record.receipt_json(index)
