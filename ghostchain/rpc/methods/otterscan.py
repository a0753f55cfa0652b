"""What the explorer Otterscan asks (`ots_*`, level 8 of its API, as Erigon and anvil serve it).

An address is searched by running blocks again, so a search is bounded by the request's time: it
says how far it came, and where to go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import FRAMES, CallFrame, FrameKind
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address, Hash32
from ghostchain.rpc.blocks import BlockRecord
from ghostchain.rpc.calls import account_at
from ghostchain.rpc.errors import RpcError, server_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.methods.debug import record_of
from ghostchain.rpc.methods.parity import block_runs, number_traced, transaction_run, whole_number
from ghostchain.rpc.methods.transactions import included_by_nonce
from ghostchain.rpc.parameters import BlockId, Parameter, address, block_id, hash32
from ghostchain.rpc.services import Services
from ghostchain.rpc.tracers.runs import Run
from ghostchain.rpc.workers import Deadline

Json = dict[str, Any]

API_LEVEL = 8
PAGE_MAX = 1000
INPUT_BYTES_SHOWN = 4
TRANSFER, SELF_DESTRUCT, CREATION, CREATION2 = range(4)
OPERATIONS = {
    FrameKind.CALL: TRANSFER,
    FrameKind.SELFDESTRUCT: SELF_DESTRUCT,
    FrameKind.CREATE: CREATION,
    FrameKind.CREATE2: CREATION2,
}
CREATIONS = (FrameKind.CREATE, FrameKind.CREATE2)
VALUELESS = (FrameKind.STATICCALL, FrameKind.DELEGATECALL)


def api_level(services: Services) -> int:
    return API_LEVEL


def has_code(services: Services, deadline: Deadline, account: Address, block: BlockId) -> bool:
    view = services.backend.state_at(services.number_needed(block))
    return account_at(view, account).code_hash != EMPTY_CODE_HASH


# ---- one transaction ----


def needed(run: Run | None) -> Run:
    if run is None:
        raise server_error("transaction not found")
    return run


def internal_operations(services: Services, deadline: Deadline, transaction_hash: Hash32) -> Any:
    """Coins that moved in calls, contracts that came and went; no more than what succeeded."""
    run = needed(transaction_run(services, deadline, transaction_hash, FRAMES))
    return [
        {
            "type": OPERATIONS[frame.kind],
            "from": format_data(frame.sender),
            "to": format_data(frame.to),
            "value": hex(frame.value),
        }
        for frame in run.trace.frames
        if is_internal_operation(frame)
    ]


def is_internal_operation(frame: CallFrame) -> bool:
    if frame.kind not in OPERATIONS or frame.exit is not Exit.SUCCESS:
        return False
    return frame.kind is not FrameKind.CALL or (frame.depth > 0 and frame.value > 0)


def transaction_error(services: Services, deadline: Deadline, transaction_hash: Hash32) -> Any:
    """What a transaction that was reverted gave as its reason; `0x` for any other."""
    run = needed(transaction_run(services, deadline, transaction_hash, FRAMES))
    output = next((top.output for top in run.roots if top.exit is Exit.REVERT), b"")
    return format_data(output or b"")


def trace_transaction(services: Services, deadline: Deadline, transaction_hash: Hash32) -> Any:
    run = needed(transaction_run(services, deadline, transaction_hash, FRAMES))
    return [
        {
            "type": frame.kind.name,
            "depth": frame.depth,
            "from": format_data(frame.sender),
            "to": format_data(frame.to),
            "value": None if frame.kind in VALUELESS else hex(frame.value),
            "input": format_data(frame.input or b""),
            "output": format_data(frame.output or b""),
        }
        for frame in run.trace.frames
    ]


def by_sender_and_nonce(
    services: Services, deadline: Deadline, sender: Address, nonce: int
) -> str | None:
    found = included_by_nonce(services, deadline, sender, nonce)
    return None if found is None else format_data(found[0].transaction_hash(found[1]))


def contract_creator(services: Services, deadline: Deadline, account: Address) -> Any:
    """By a search for the block after which the account has code. Cost: one state read for each
    halving of the chain, and one block run once more."""
    backend = services.backend
    high, low = backend.head().number, backend.oldest_state()

    def is_there(number: int) -> bool:
        deadline.check()
        return account_at(backend.state_at(number), account).code_hash != EMPTY_CODE_HASH

    if not is_there(high) or is_there(low):
        return None
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_there(middle) else (middle, high)
    for run in block_runs(services, deadline, high, FRAMES):
        for frame in run.trace.frames:
            if frame.kind in CREATIONS and frame.to == account and frame.exit is Exit.SUCCESS:
                return {
                    "hash": format_data(run.around.transaction_hash or b""),
                    "creator": format_data(frame.sender),
                }
    return None


# ---- blocks ----


def details(services: Services, record: BlockRecord) -> Json:
    """The block without its transactions, and what its makers got."""
    block = record.block_json(hydrated=False)
    block["transactionCount"] = len(block.pop("transactions"))
    fees = sum(
        record.gas_used(index) * int(record.receipt_json(index)["effectiveGasPrice"], 16)
        for index in range(len(record))
    )
    nothing = {"blockReward": "0x0", "uncleReward": "0x0", "issuance": "0x0"}
    return {"block": block, "issuance": nothing, "totalFees": hex(fees)}


def block_details(services: Services, deadline: Deadline, block: BlockId) -> Any:
    record = services.blocks.record(number_traced(services, block))
    return None if record is None else details(services, record)


def block_details_by_hash(services: Services, deadline: Deadline, block_hash: Hash32) -> Any:
    number = services.backend.number_of(block_hash)
    if number is None:
        raise server_error("block not found")
    return details(services, record_needed(services, number))


def record_needed(services: Services, number: int) -> BlockRecord:
    record = services.blocks.record(number)
    if record is None:
        raise server_error(f"block #{number} not found")
    return record


def block_transactions(
    services: Services, deadline: Deadline, block: BlockId, page: int, size: int
) -> Any:
    """A page of a block's transactions, with as much of their input as names a method."""
    record = record_needed(services, number_traced(services, block))
    size = checked_size(size)
    indices = range(len(record))[page * size : (page + 1) * size]
    shown = record.block_json(hydrated=False)
    shown["transactions"] = [short_transaction(record, index) for index in indices]
    shown["transactionCount"] = len(indices)
    return {"fullblock": shown, "receipts": [dated_receipt(record, index) for index in indices]}


def checked_size(size: int) -> int:
    if not 0 < size <= PAGE_MAX:
        raise server_error(f"page size {size} is not between 1 and {PAGE_MAX}")
    return size


def short_transaction(record: BlockRecord, index: int) -> Json:
    shown = record.transaction_json(index)
    shown["input"] = shown["input"][: 2 + 2 * INPUT_BYTES_SHOWN]
    return shown


def dated_receipt(record: BlockRecord, index: int) -> Json:
    return record.receipt_json(index) | {"timestamp": hex(record.header.timestamp)}


# ---- searches ----


def appearances(
    services: Services, deadline: Deadline, number: int, account: Address
) -> list[tuple[BlockRecord, int]]:
    """The transactions of a block in which an account made a call, was called, created, destroyed
    or paid."""
    if number == 0:
        return []
    record = record_of(services, number)
    if not len(record):
        return []
    found = {
        run.around.transaction_index
        for run in block_runs(services, deadline, number, FRAMES)
        if run.around.sender == account
        or any(account in (frame.sender, frame.to) for frame in run.trace.frames)
    }
    return [(record, index) for index in sorted(found)]


def page_of(
    found: Iterator[tuple[int, list[tuple[BlockRecord, int]]]], size: int
) -> tuple[list[tuple[BlockRecord, int]], bool]:
    """Whole blocks until the page is full, as the API wants them; whether more may follow."""
    shown: list[tuple[BlockRecord, int]] = []
    reached = None
    try:
        for number, places in found:
            reached = number
            shown.extend(places)
            if len(shown) >= size:
                return shown, True
    except RpcError as error:
        where = "" if reached is None else f" at block {reached}"
        raise server_error(f"{error.message}; the search came to an end{where}") from None
    return shown, False


Found = Iterator[tuple[int, list[tuple[BlockRecord, int]]]]


def going_back(
    services: Services, deadline: Deadline, account: Address, start: int, stop: int
) -> Found:
    """An account's transactions in the blocks from start down to the one after stop."""
    for number in range(start, stop, -1):
        deadline.check()
        yield number, appearances(services, deadline, number, account)[::-1]


def going_on(
    services: Services, deadline: Deadline, account: Address, start: int, last: int
) -> Found:
    """An account's transactions in the blocks from start to last."""
    for number in range(start, last + 1):
        deadline.check()
        yield number, appearances(services, deadline, number, account)


def search_before(
    services: Services, deadline: Deadline, account: Address, block: int, size: int
) -> Any:
    """Transactions before a block (0: from the head on), newest first."""
    head = services.backend.head().number
    start = head if block == 0 else min(block - 1, head)
    found = going_back(services, deadline, account, start, 0)
    places, has_more = page_of(found, checked_size(size))
    return shown_page(places, first=start == head, last=not has_more)


def search_after(
    services: Services, deadline: Deadline, account: Address, block: int, size: int
) -> Any:
    """Transactions after a block (0: from the first on), newest first as well."""
    head = services.backend.head().number
    found = going_on(services, deadline, account, block + 1, head)
    places, has_more = page_of(found, checked_size(size))
    return shown_page(places[::-1], first=not has_more, last=block == 0)


def shown_page(places: list[tuple[BlockRecord, int]], *, first: bool, last: bool) -> Json:
    return {
        "txs": [record.transaction_json(index) for record, index in places],
        "receipts": [dated_receipt(record, index) for record, index in places],
        "firstPage": first,
        "lastPage": last,
    }


def numbered_block(value: Any) -> BlockId:
    """Otterscan sends plain numbers, other tools hex or a tag."""
    if isinstance(value, int) and not isinstance(value, bool):
        return whole_number(value)
    return block_id(value)


HASH = Parameter("transaction hash", hash32)
ACCOUNT = Parameter("address", address)
NUMBER = Parameter("block", numbered_block)
AT = Parameter("block number", whole_number)
SIZE = Parameter("page size", whole_number)
ON_BLOCK = Parameter("block", block_id, required=False, default="latest")

METHODS = (
    Method("ots_getApiLevel", api_level),
    Method("ots_hasCode", has_code, (ACCOUNT, ON_BLOCK), Cost.SLOW),
    Method("ots_getInternalOperations", internal_operations, (HASH,), Cost.SLOW),
    Method("ots_getTransactionError", transaction_error, (HASH,), Cost.SLOW),
    Method("ots_traceTransaction", trace_transaction, (HASH,), Cost.SLOW),
    Method("ots_getBlockDetails", block_details, (NUMBER,), Cost.SLOW),
    Method(
        "ots_getBlockDetailsByHash",
        block_details_by_hash,
        (Parameter("block hash", hash32),),
        Cost.SLOW,
    ),
    Method(
        "ots_getBlockTransactions",
        block_transactions,
        (NUMBER, Parameter("page", whole_number), SIZE),
        Cost.SLOW,
    ),
    Method("ots_searchTransactionsBefore", search_before, (ACCOUNT, AT, SIZE), Cost.SLOW),
    Method("ots_searchTransactionsAfter", search_after, (ACCOUNT, AT, SIZE), Cost.SLOW),
    Method(
        "ots_getTransactionBySenderAndNonce",
        by_sender_and_nonce,
        (ACCOUNT, Parameter("nonce", whole_number)),
        Cost.SLOW,
    ),
    Method("ots_getContractCreator", contract_creator, (ACCOUNT,), Cost.SLOW),
)
