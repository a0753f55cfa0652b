"""Logs, and the filters that clients poll."""

from __future__ import annotations

from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.rpc.backend import LogsBound
from ghostchain.rpc.errors import (
    LIMIT_EXCEEDED,
    PRUNED_HISTORY,
    TIMEOUT,
    RpcError,
    invalid_params,
    pruned_history,
    server_error,
)
from ghostchain.rpc.filters import FilterKind
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import BlockId, LogFilter, Parameter, log_filter, quantity, text
from ghostchain.rpc.protocol import Rendered
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline, too_large

BLOCKS_BETWEEN_CHECKS = 16_384
# What is answered on the event loop: more takes too long to hash, or to copy.
QUICK_CHOICES_MAX = 16
QUICK_LOGS_MAX = 4_000
QUICK_BYTES_MAX = 512 * 1024


def get_logs(services: Services, deadline: Deadline, wanted: LogFilter) -> Rendered:
    return read_logs(services, deadline, wanted, numbers_of(services, wanted))


def get_logs_quickly(services: Services, wanted: LogFilter) -> Rendered | None:
    return kept_logs(services, wanted, numbers_of(services, wanted))


def kept_logs(services: Services, wanted: LogFilter, numbers: range) -> Rendered | None:
    """As `read_logs`, where memory has what it takes, and little of it."""
    if len(wanted.addresses) + sum(map(len, wanted.topics)) > QUICK_CHOICES_MAX:
        return None
    bound = LogsBound(min(QUICK_LOGS_MAX, services.options.logs_max), QUICK_BYTES_MAX)
    found = services.backend.kept_logs(
        numbers.start, numbers.stop - 1, wanted.addresses, wanted.topics, bound
    )
    return None if found is None else Rendered((found,))


def numbers_of(services: Services, wanted: LogFilter) -> range:
    """The blocks a filter spans. Raises RpcError for what geth refuses."""
    if wanted.block_hash is not None:
        number = services.backend.number_of(wanted.block_hash)
        if number is None:
            raise server_error("unknown block")
        return range(number, number + 1)
    if "pending" in (wanted.first, wanted.last):
        raise invalid_params("pending logs are not supported")
    head = services.backend.head().number
    first, last = (number_in(bound, head) for bound in (wanted.first, wanted.last))
    if first > last:
        raise invalid_params("invalid block range params")
    if first > head or last > head:
        raise invalid_params("block range extends beyond current head block")
    if first < (earliest := services.backend.earliest()) and last > 0:
        raise RpcError(PRUNED_HISTORY, pruned_history().message + since(earliest))
    if last - first >= services.options.log_blocks_max:
        most = services.options.log_blocks_max
        text = f"exceed maximum block range: {most}"
        raise invalid_params(text + fitting(range(first, last + 1), first + most))
    return range(first, last + 1)


def number_in(block: BlockId | None, head: int) -> int:
    """A bound of a range; numbers beyond the head stay as they are, and other tags mean the head
    that is given: another may come at any time."""
    if isinstance(block, int):
        return block
    return 0 if block == "earliest" else head


def read_logs(
    services: Services, deadline: Deadline, wanted: LogFilter, numbers: range
) -> Rendered:
    """The logs of these blocks, as JSON. Raises RpcError TIMEOUT, LIMIT_EXCEEDED or
    RESPONSE_TOO_LARGE, which say what range would do."""
    most, room = services.options.logs_max, deadline.room
    texts: list[bytes] = []
    count = 0
    for start in range(numbers.start, numbers.stop, BLOCKS_BETWEEN_CHECKS):
        if deadline.has_passed():
            raise RpcError(TIMEOUT, "request timed out" + fitting(numbers, start))
        last = min(start + BLOCKS_BETWEEN_CHECKS, numbers.stop) - 1
        bound = LogsBound(most - count, max(0, room.left))
        for found in services.backend.shown_logs(
            start, last, wanted.addresses, wanted.topics, bound
        ):
            count += found.count
            if count > most:
                text = f"query returned more than {most} results"
                raise RpcError(LIMIT_EXCEEDED, text + fitting(numbers, found.reached))
            if found.text:
                if not room.take(len(found.text) + 1):
                    raise too_large(fitting(numbers, found.reached))
                texts.append(found.text)
            if deadline.has_passed():
                text = "request timed out" + fitting(numbers, found.reached)
                raise RpcError(TIMEOUT, text)
    return Rendered((b"[%b]" % b",".join(texts),))


def fitting(numbers: range, reached: int) -> str:
    """The range that would have done, which ends before the block that was reached."""
    if reached <= numbers.start:
        return ""
    return f": try fromBlock {hex(numbers.start)}, toBlock {hex(reached - 1)}"


def since(earliest: int) -> str:
    return f": logs are kept from block {hex(earliest)} on"


def new_filter(services: Services, wanted: LogFilter) -> str:
    """The filter reports logs of blocks from now on, not below its fromBlock. One that names a
    block has that block's logs for eth_getFilterLogs, and reports new ones as geth's does."""
    if "pending" in (wanted.first, wanted.last):
        raise invalid_params("pending logs are not supported")
    head = services.backend.head().number
    first = wanted.first if isinstance(wanted.first, int) else 0
    if isinstance(wanted.last, int) and wanted.last < first:
        raise invalid_params("invalid block range params")
    start = max(head + 1, first)
    return services.filters.install(FilterKind.LOGS, start, wanted)


def new_block_filter(services: Services) -> str:
    return services.filters.install(FilterKind.BLOCKS, services.backend.head().number + 1)


def new_pending_filter(services: Services) -> str:
    return services.filters.install(FilterKind.PENDING, 0)


def uninstall(services: Services, identity: str) -> bool:
    return services.filters.uninstall(identity)


def changes(services: Services, deadline: Deadline, identity: str) -> Any:
    """What is new since the last poll."""
    found = services.filters.find(identity)
    if found.kind is FilterKind.PENDING:
        return [format_data(item) for item in services.filters.take_pending(found)]
    numbers = services.filters.advance(found, services.backend.head().number)
    if found.kind is FilterKind.BLOCKS:
        hashes = (services.backend.hash_of(number) for number in numbers)
        return [format_data(item) for item in hashes if item is not None]
    assert found.logs is not None
    try:
        return read_logs(services, deadline, found.logs, told_of(found.logs, numbers))
    except RpcError:
        # What could not be told now is told at the next poll.
        services.filters.go_back(found, numbers.start)
        raise


def changes_quickly(services: Services, identity: str) -> Any:
    """That nothing is new, or logs of new blocks that are at hand."""
    found, head = services.filters.find(identity), services.backend.head().number
    if found.kind is FilterKind.PENDING:
        return None
    if found.position > head:
        return []
    if found.logs is None:
        return None
    numbers = services.filters.advance(found, head)
    told = None
    try:
        told = kept_logs(services, found.logs, told_of(found.logs, numbers))
    finally:
        if told is None:
            services.filters.go_back(found, numbers.start)
    return told


def told_of(wanted: LogFilter, numbers: range) -> range:
    """New blocks as far as a filter's range goes."""
    last = wanted.last
    return range(numbers.start, min(numbers.stop, last + 1)) if isinstance(last, int) else numbers


def filter_logs(services: Services, deadline: Deadline, identity: str) -> Rendered:
    """All logs of a filter's range."""
    return get_logs(services, deadline, log_filter_of(services, identity))


def filter_logs_quickly(services: Services, identity: str) -> Rendered | None:
    return get_logs_quickly(services, log_filter_of(services, identity))


def log_filter_of(services: Services, identity: str) -> LogFilter:
    """What a filter asks for. Raises RpcError."""
    found = services.filters.find(identity)
    if found.logs is None:
        raise server_error("filter not found")
    return found.logs


def identity_text(value: Any) -> str:
    """A filter's id: a quantity, of which only its digits matter."""
    quantity(value)
    return text(value).lower()


FILTER = Parameter("filter", log_filter)
IDENTITY = Parameter("filter id", identity_text)

METHODS = (
    Method("eth_getLogs", get_logs, (FILTER,), Cost.SLOW, quick=get_logs_quickly),
    Method("eth_newFilter", new_filter, (FILTER,)),
    Method("eth_newBlockFilter", new_block_filter),
    Method("eth_newPendingTransactionFilter", new_pending_filter),
    Method("eth_uninstallFilter", uninstall, (IDENTITY,)),
    Method("eth_getFilterChanges", changes, (IDENTITY,), Cost.SLOW, quick=changes_quickly),
    Method("eth_getFilterLogs", filter_logs, (IDENTITY,), Cost.SLOW, quick=filter_logs_quickly),
)
