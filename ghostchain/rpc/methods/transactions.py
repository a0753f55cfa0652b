"""Transactions: looking them up, and sending signed ones."""

from __future__ import annotations

from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.unsigned import decode_admitted
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import Refusal
from ghostchain.rpc.blocks import BlockRecord
from ghostchain.rpc.calls import account_at
from ghostchain.rpc.errors import NOT_INCLUDED_IN_TIME, RpcError, refusal_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import (
    BlockId,
    Parameter,
    address,
    block_number,
    data,
    hash32,
    quantity_64,
)
from ghostchain.rpc.pending import pending_transaction, raw_pending_transaction
from ghostchain.rpc.render import pending_transaction_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


def by_hash(services: Services, deadline: Deadline, transaction_hash: bytes) -> Any:
    found = services.blocks.transaction(transaction_hash)
    if found is not None:
        record, index = found
        return record.transaction_json(index)
    waiting = services.backend.pool_transaction(transaction_hash)
    if waiting is None:
        return None
    return pending_transaction_json(waiting, decode_admitted(waiting.raw))


def raw_by_hash(services: Services, deadline: Deadline, transaction_hash: bytes) -> Any:
    found = services.blocks.transaction(transaction_hash)
    if found is not None:
        record, index = found
        return format_data(record.raw(index))
    waiting = services.backend.pool_transaction(transaction_hash)
    return None if waiting is None else format_data(waiting.raw)


def receipt(services: Services, deadline: Deadline, transaction_hash: bytes) -> Any:
    return services.blocks.receipt(transaction_hash)


def by_block_number(services: Services, deadline: Deadline, block: BlockId, index: int) -> Any:
    if block == "pending":
        return pending_transaction(services, deadline, index)
    return at(services, services.number_of(block), index)


def by_block_hash(services: Services, deadline: Deadline, block_hash: bytes, index: int) -> Any:
    return at(services, services.backend.number_of(block_hash), index)


def at(services: Services, number: int | None, index: int) -> Any:
    record = None if number is None else services.blocks.record(number)
    if record is None or index >= len(record):
        return None
    return record.transaction_json(index)


def raw_by_block_number(services: Services, deadline: Deadline, block: BlockId, index: int) -> Any:
    if block == "pending":
        return raw_pending_transaction(services, deadline, index)
    return raw_at(services, services.number_of(block), index)


def raw_by_block_hash(services: Services, deadline: Deadline, block_hash: bytes, index: int) -> Any:
    return raw_at(services, services.backend.number_of(block_hash), index)


def raw_at(services: Services, number: int | None, index: int) -> Any:
    record = None if number is None else services.blocks.record(number)
    return None if record is None or index >= len(record) else format_data(record.raw(index))


def by_sender_and_nonce(services: Services, deadline: Deadline, sender: Address, nonce: int) -> Any:
    """The pool's, or the included one."""
    for waiting in waiting_of(services, sender):
        if waiting.nonce == nonce:
            return pending_transaction_json(waiting, decode_admitted(waiting.raw))
    found = included_by_nonce(services, deadline, sender, nonce)
    return None if found is None else found[0].transaction_json(found[1])


def included_by_nonce(
    services: Services, deadline: Deadline, sender: Address, nonce: int
) -> tuple[BlockRecord, int] | None:
    """The block and place of a sender's transaction, found by a search for the block in which the
    sender's nonce passed it. Cost: one state read for each halving of the chain."""
    backend = services.backend

    def nonce_after(number: int) -> int:
        deadline.check()
        return account_at(backend.state_at(number), sender).nonce

    high, low = backend.head().number, backend.oldest_state()
    if nonce_after(high) <= nonce:
        return None
    while low < high:
        middle = (low + high) // 2
        if nonce_after(middle) > nonce:
            high = middle
        else:
            low = middle + 1
    record = services.blocks.record(high)
    for index in range(len(record) if record is not None else 0):
        assert record is not None
        if record.sender(index) == sender and record.transaction(index).nonce == nonce:
            return record, index
    return None


def waiting_of(services: Services, sender: Address) -> list[Any]:
    content = services.backend.pool_content()
    return [*content.pending.get(sender, ()), *content.queued.get(sender, ())]


async def send_raw_sync(services: Services, raw: bytes, timeout_ms: int | None) -> Any:
    """EIP-7966: the receipt once the transaction is included."""
    (answer,) = await services.submission.submit([raw])
    if isinstance(answer, Refusal):
        raise refusal_error(answer)
    return await receipt_when_included(services, answer, timeout_ms)


async def receipt_when_included(
    services: Services, transaction_hash: Hash32, timeout_ms: int | None
) -> Any:
    options = services.options
    wanted = timeout_ms or options.inclusion_timeout_ms
    wanted = min(wanted, options.inclusion_timeout_ms_max)
    if not await services.inclusion.wait(transaction_hash, wanted / 1000):
        message = (
            "The transaction was added to the transaction pool but wasn't processed in "
            f"{duration(wanted)}"
        )
        raise RpcError(NOT_INCLUDED_IN_TIME, message, format_data(transaction_hash))
    return services.blocks.receipt(transaction_hash)


def not_run(services: Services, raw: bytes) -> Any:
    """Raw transactions go to the pool together; the dispatcher does it (Cost.SUBMISSION)."""
    raise AssertionError("the dispatcher submits raw transactions itself")


HASH = Parameter("transaction hash", hash32)
BLOCK_HASH = Parameter("block hash", hash32)
NUMBER = Parameter("block", block_number)
INDEX = Parameter("transaction index", quantity_64)
RAW = Parameter("transaction", data)


def milliseconds(value: Any) -> int:
    """A plain number, as EIP-7966 and geth have it, or a quantity; 0 is as if nothing was said."""
    if type(value) is int and 0 <= value < 1 << 64:
        return value
    return quantity_64(value)


def duration(time_ms: int) -> str:
    """As Go words it, which clients of geth read: 50ms, 1.5s, 1m0s."""
    if time_ms < 1000:
        return f"{time_ms}ms"
    minutes, rest_ms = divmod(time_ms, 60_000)
    seconds = f"{rest_ms / 1000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds


TIMEOUT = Parameter("timeout in milliseconds", milliseconds, required=False)

METHODS = (
    Method("eth_getTransactionByHash", by_hash, (HASH,), Cost.SLOW),
    Method("eth_getTransactionReceipt", receipt, (HASH,), Cost.SLOW),
    Method("eth_getRawTransactionByHash", raw_by_hash, (HASH,), Cost.SLOW),
    Method("eth_getTransactionByBlockNumberAndIndex", by_block_number, (NUMBER, INDEX), Cost.SLOW),
    Method("eth_getTransactionByBlockHashAndIndex", by_block_hash, (BLOCK_HASH, INDEX), Cost.SLOW),
    Method(
        "eth_getRawTransactionByBlockNumberAndIndex",
        raw_by_block_number,
        (NUMBER, INDEX),
        Cost.SLOW,
    ),
    Method(
        "eth_getRawTransactionByBlockHashAndIndex",
        raw_by_block_hash,
        (BLOCK_HASH, INDEX),
        Cost.SLOW,
    ),
    Method(
        "eth_getTransactionBySenderAndNonce",
        by_sender_and_nonce,
        (Parameter("sender", address), Parameter("nonce", quantity_64)),
        Cost.SLOW,
    ),
    Method("eth_sendRawTransaction", not_run, (RAW,), Cost.SUBMISSION),
    Method("eth_sendRawTransactionSync", send_raw_sync, (RAW, TIMEOUT), Cost.AWAITED),
)
