"""Blocks and their receipts."""

from __future__ import annotations

from typing import Any

import orjson

from ghostchain.crypto.hashes import header_hash
from ghostchain.rpc.errors import pruned_history
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import (
    BlockId,
    Parameter,
    block_id,
    block_number,
    boolean,
    hash32,
    quantity_64,
)
from ghostchain.rpc.pending import build_pending, pending_block
from ghostchain.rpc.render import header_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


def by_number(services: Services, deadline: Deadline, block: BlockId, hydrated: bool) -> Any:
    if block == "pending":
        return pending_block(services, deadline, hydrated=hydrated)
    return block_json(services, services.number_of(block), hydrated=hydrated)


def by_hash(services: Services, deadline: Deadline, block_hash: bytes, hydrated: bool) -> Any:
    return block_json(services, services.backend.number_of(block_hash), hydrated=hydrated)


def block_json(services: Services, number: int | None, *, hydrated: bool) -> Any:
    record = None if number is None else services.blocks.record(number)
    return None if record is None else orjson.Fragment(record.block_bytes(hydrated=hydrated))


def by_number_quickly(services: Services, block: BlockId, hydrated: bool) -> Any:
    if block == "pending":
        return None
    return shown(services, services.number_of(block), hydrated=hydrated)


def by_hash_quickly(services: Services, block_hash: bytes, hydrated: bool) -> Any:
    return shown(services, services.backend.number_of(block_hash), hydrated=hydrated)


def shown(services: Services, number: int | None, *, hydrated: bool) -> Any:
    """The JSON of a block that was asked for before, else None."""
    found = None if number is None else services.blocks.shown(number, hydrated=hydrated)
    return None if found is None else orjson.Fragment(found)


def header_by_number(services: Services, deadline: Deadline, block: BlockId) -> Any:
    if block == "pending":
        header = build_pending(services, deadline).header
        return header_json(header, header_hash(header))
    return header_fields(services, services.number_of(block))


def header_by_number_quickly(services: Services, block: BlockId) -> Any:
    return None if block == "pending" else header_fields(services, services.number_of(block))


def header_by_hash(services: Services, block_hash: bytes) -> Any:
    return header_fields(services, services.backend.number_of(block_hash))


def header_fields(services: Services, number: int | None) -> Any:
    if number is None:
        return None
    if 0 < number < services.backend.earliest():
        raise pruned_history()
    header, block_hash = services.backend.header(number), services.backend.hash_of(number)
    return None if header is None or block_hash is None else header_json(header, block_hash)


def count_by_number(services: Services, deadline: Deadline, block: BlockId) -> Any:
    if block == "pending":
        return hex(len(build_pending(services, deadline).included))
    return transaction_count(services, services.number_of(block))


def count_by_hash(services: Services, deadline: Deadline, block_hash: bytes) -> Any:
    return transaction_count(services, services.backend.number_of(block_hash))


def transaction_count(services: Services, number: int | None) -> Any:
    record = None if number is None else services.blocks.record(number)
    return None if record is None else hex(len(record))


def receipts(services: Services, deadline: Deadline, block: BlockId) -> Any:
    number = services.number_of(block)
    record = None if number is None or block == "pending" else services.blocks.record(number)
    if record is None:
        return None
    return [record.receipt_json(index) for index in range(len(record))]


def uncle_count_by_number(services: Services, block: BlockId) -> Any:
    return None if services.number_of(block) is None else "0x0"


def uncle_count_by_hash(services: Services, block_hash: bytes) -> Any:
    return None if services.backend.number_of(block_hash) is None else "0x0"


def uncle(services: Services, block: Any, index: int) -> Any:
    """There are none since the merge."""


NUMBER = Parameter("block", block_number)
HASH = Parameter("block hash", hash32)
HYDRATED = Parameter("hydrated transactions", boolean, required=False, default=False)
INDEX = Parameter("index", quantity_64)
LATEST = Parameter("block", block_id, required=False, default="latest")

METHODS = (
    Method(
        "eth_getBlockByNumber", by_number, (NUMBER, HYDRATED), Cost.SLOW, quick=by_number_quickly
    ),
    Method("eth_getBlockByHash", by_hash, (HASH, HYDRATED), Cost.SLOW, quick=by_hash_quickly),
    Method(
        "eth_getHeaderByNumber",
        header_by_number,
        (NUMBER,),
        Cost.SLOW,
        quick=header_by_number_quickly,
    ),
    Method("eth_getHeaderByHash", header_by_hash, (HASH,)),
    Method("eth_getBlockTransactionCountByNumber", count_by_number, (NUMBER,), Cost.SLOW),
    Method("eth_getBlockTransactionCountByHash", count_by_hash, (HASH,), Cost.SLOW),
    Method("eth_getBlockReceipts", receipts, (LATEST,), Cost.SLOW),
    Method("eth_getUncleCountByBlockNumber", uncle_count_by_number, (NUMBER,)),
    Method("eth_getUncleCountByBlockHash", uncle_count_by_hash, (HASH,)),
    Method("eth_getUncleByBlockNumberAndIndex", uncle, (NUMBER, INDEX)),
    Method("eth_getUncleByBlockHashAndIndex", uncle, (HASH, INDEX)),
)
