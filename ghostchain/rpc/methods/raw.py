"""Blocks, headers, receipts and transactions as their canonical bytes (geth's debug_getRaw*), and
headers as Erigon's clients ask for them."""

from __future__ import annotations

from typing import Any

from ghostchain.encoding.blocks import encode_block, encode_header, encode_receipt
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.rpc.blocks import BlockRecord
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.methods.blocks import header_fields
from ghostchain.rpc.methods.transactions import raw_by_hash
from ghostchain.rpc.parameters import BlockId, Parameter, block_id, block_number, hash32
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


def record_needed(services: Services, block: BlockId) -> BlockRecord:
    """The block. Raises RpcError where there is none, or its body is not kept."""
    record = services.blocks.record(services.number_needed(block))
    if record is None:
        raise server_error("block not found")
    return record


def raw_header(services: Services, deadline: Deadline, block: BlockId) -> str:
    header = services.backend.header(services.number_needed(block))
    if header is None:
        raise server_error("header not found")
    return format_data(encode_header(header))


def raw_block(services: Services, deadline: Deadline, block: BlockId) -> str:
    return format_data(encode_block(record_needed(services, block).block))


def raw_receipts(services: Services, deadline: Deadline, block: BlockId) -> list[str]:
    record = record_needed(services, block)
    receipts = record.receipts
    return [
        format_data(receipts.encoded(index) or encode_receipt(receipts.receipt(index)))
        for index in range(len(record))
    ]


def raw_transaction(services: Services, deadline: Deadline, transaction_hash: bytes) -> str:
    """As geth, no bytes for a transaction that is not known."""
    return raw_by_hash(services, deadline, transaction_hash) or "0x"


def made_header(services: Services, block: BlockId) -> Any:
    """As Erigon, none for the block that is not made yet."""
    return None if block == "pending" else header_fields(services, services.number_of(block))


def bad_blocks(services: Services) -> list[Any]:
    """None: what does not hold is refused before it has a place, and is not kept."""
    return []


BLOCK = Parameter("block", block_id)
HASH = Parameter("transaction hash", hash32)

METHODS = (
    Method("debug_getRawHeader", raw_header, (BLOCK,), Cost.SLOW),
    Method("debug_getRawBlock", raw_block, (BLOCK,), Cost.SLOW),
    Method("debug_getRawReceipts", raw_receipts, (BLOCK,), Cost.SLOW),
    Method("debug_getRawTransaction", raw_transaction, (HASH,), Cost.SLOW),
    Method("debug_getBadBlocks", bad_blocks),
    Method("erigon_getHeaderByNumber", made_header, (Parameter("block", block_number),)),
)
