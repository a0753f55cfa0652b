"""Parity's trace module (`trace_*`), as reth and Erigon serve it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import CallFlag, Message
from ghostchain.execution.traces import FRAMES, Trace, Watch
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import Simulation
from ghostchain.rpc.calls import Setting, capped_message, flags_of, setting_of
from ghostchain.rpc.errors import invalid_params, server_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.methods.debug import around_of, record_of, stopped, traced_message
from ghostchain.rpc.parameters import (
    BlockId,
    CallRequest,
    Parameter,
    address,
    block_id,
    call_request,
    data,
    fields,
    hash32,
    items,
    optional,
    quantity_64,
)
from ghostchain.rpc.services import Services
from ghostchain.rpc.tracers.parity import (
    KINDS,
    full_trace,
    located_calls,
    watch_for,
)
from ghostchain.rpc.tracers.runs import Around, Parts, Run
from ghostchain.rpc.workers import Deadline

Kinds = tuple[str, ...]

CALLS_MAX = 1000
ADDRESSES_MAX = 1000
FILTER_BLOCKS_MAX = 1000
FILTER_TRACES_MAX = 100_000


# ---- what all share ----


def complete(trace: Trace) -> Trace:
    """Raises RpcError when there was more than is kept."""
    if trace.failure is not None:
        raise server_error(f"the trace ended early: {trace.failure}")
    if trace.is_cut:
        raise server_error(f"the trace is too large: more than {len(trace.frames)} frames or steps")
    return trace


def block_runs(
    services: Services, deadline: Deadline, number: int, watch: Watch, only: int | None = None
) -> Iterator[Run]:
    """The transactions of a block, run once more; of genesis none. only: the one that is wanted."""
    if number == 0:
        return
    record = record_of(services, number)
    if len(record) == 0:
        return
    asked = replace(watch, transaction=only, deadline_ns=deadline.at_ns)
    trace = complete(stopped(lambda: services.backend.trace_block(number, asked)))
    parts = Parts(trace)
    for index in range(len(record)) if only is None else (only,):
        yield parts.run(index, around_of(services, record, index))


def transaction_run(
    services: Services, deadline: Deadline, transaction_hash: Hash32, watch: Watch
) -> Run | None:
    found = services.backend.transaction_location(transaction_hash)
    if found is None:
        return None
    number, index = found
    return next(block_runs(services, deadline, number, watch, index))


def number_traced(services: Services, block: BlockId) -> int:
    """The block's number. Raises RpcError."""
    number = services.number_of(block)
    if number is None or block == "pending":
        raise server_error("block not found")
    return number


# ---- what happened ----


def trace_transaction(services: Services, deadline: Deadline, transaction_hash: Hash32) -> Any:
    run = transaction_run(services, deadline, transaction_hash, FRAMES)
    return None if run is None else located_calls(run)


def trace_get(
    services: Services, deadline: Deadline, transaction_hash: Hash32, place: tuple[int, ...]
) -> Any:
    run = transaction_run(services, deadline, transaction_hash, FRAMES)
    calls = [] if run is None else located_calls(run)
    return next((call for call in calls if call["traceAddress"] == list(place)), None)


def trace_block(services: Services, deadline: Deadline, block: BlockId) -> Any:
    runs = block_runs(services, deadline, number_traced(services, block), FRAMES)
    return [call for run in runs for call in located_calls(run)]


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What trace_filter looks for. Empty addresses match all; with both, either is enough
    (`mode` intersection: both are needed)."""

    first: BlockId = "latest"
    last: BlockId = "latest"
    senders: frozenset[str] = frozenset()
    receivers: frozenset[str] = frozenset()
    needs_both: bool = False
    after: int = 0
    count: int | None = None

    def takes(self, call: dict[str, Any]) -> bool:
        """Whether one call is looked for."""
        action, result = call["action"], call["result"] or {}
        sender = action.get("from") or action.get("address")
        receiver = action.get("to") or action.get("refundAddress") or result.get("address")
        if not self.senders and not self.receivers:
            return True
        is_from, is_to = sender in self.senders, receiver in self.receivers
        if self.needs_both:
            return (not self.senders or is_from) and (not self.receivers or is_to)
        return is_from or is_to


def addresses(value: Any) -> frozenset[str]:
    listed = items(value, ADDRESSES_MAX, "addresses")
    return frozenset(format_data(address(item)) for item in listed)


def whole_number(value: Any) -> int:
    """Of 64 bits, as a number or as hex."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    return quantity_64(value)


def filter_mode(value: Any) -> bool:
    if value not in ("union", "intersection"):
        raise ValueError("expected union or intersection")
    return bool(value == "intersection")


def trace_filter_of(value: Any) -> TraceFilter:
    members = fields(value)
    found = {
        "first": optional(members, "fromBlock", block_id),
        "last": optional(members, "toBlock", block_id),
        "senders": optional(members, "fromAddress", addresses),
        "receivers": optional(members, "toAddress", addresses),
        "needs_both": optional(members, "mode", filter_mode),
        "after": optional(members, "after", whole_number),
        "count": optional(members, "count", whole_number),
    }
    return TraceFilter(**{name: item for name, item in found.items() if item is not None})


def filtered_range(services: Services, wanted: TraceFilter) -> tuple[int, int]:
    """The first block and the last. Raises RpcError."""
    first, last = number_traced(services, wanted.first), number_traced(services, wanted.last)
    if last < first:
        raise invalid_params("invalid block range params")
    if last - first >= FILTER_BLOCKS_MAX:
        raise invalid_params(
            f"block range too large: {last - first + 1} blocks, at most {FILTER_BLOCKS_MAX}; "
            f"ask from {first:#x} to {first + FILTER_BLOCKS_MAX - 1:#x} first"
        )
    return first, last


def trace_filter(services: Services, deadline: Deadline, wanted: TraceFilter) -> Any:
    """Cost: every block of the range runs once more, until enough is found."""
    first, last = filtered_range(services, wanted)

    def found() -> Iterator[dict[str, Any]]:
        for number in range(first, last + 1):
            deadline.check()
            for run in block_runs(services, deadline, number, FRAMES):
                yield from filter(wanted.takes, located_calls(run))

    stop = None if wanted.count is None else wanted.after + wanted.count
    chosen = islice(found(), wanted.after, min(stop or FILTER_TRACES_MAX + 1, 1 << 62))
    shown = list(map(deadline.kept, chosen))
    if len(shown) > FILTER_TRACES_MAX:
        raise server_error(f"more than {FILTER_TRACES_MAX} traces; use after and count")
    return shown if stop != 0 else []


# ---- what would happen, and what did in full ----


def kinds(value: Any) -> Kinds:
    listed = items(value, len(KINDS), "kinds of traces")
    for item in listed:
        if item not in KINDS:
            raise ValueError(f"no kind of trace: expected {', '.join(KINDS)}")
    return tuple(dict.fromkeys(listed))


def replay_transaction(
    services: Services, deadline: Deadline, transaction_hash: Hash32, asked: Kinds
) -> Any:
    run = transaction_run(services, deadline, transaction_hash, watch_for(asked))
    if run is None:
        raise server_error("transaction not found")
    return full_trace(run, asked)


def replay_block(services: Services, deadline: Deadline, block: BlockId, asked: Kinds) -> Any:
    number = number_traced(services, block)
    return [
        deadline.kept(
            full_trace(run, asked)
            | {"transactionHash": format_data(run.around.transaction_hash or b"")}
        )
        for run in block_runs(services, deadline, number, watch_for(asked))
    ]


def message_trace(
    services: Services,
    deadline: Deadline,
    simulation: Simulation,
    message: Message,
    setting: Setting,
    asked: Kinds,
    flags: int,
) -> dict[str, Any]:
    """What a message would do. Raises RpcError when it cannot begin."""
    watch = replace(watch_for(asked), deadline_ns=deadline.at_ns)
    result, trace = traced_message(services, simulation, message, setting, watch, flags)
    environment = setting.environment
    around = Around(
        message.sender,
        message.gas_limit,
        result.gas_used,
        environment.fork,
        environment.coinbase,
    )
    return full_trace(Parts(complete(trace)).run(0, around), asked)


def trace_call(
    services: Services, deadline: Deadline, request: CallRequest, asked: Kinds, block: BlockId
) -> Any:
    setting = setting_of(services, block)
    message = capped_message(services, request, setting)
    with services.backend.simulation(setting.state_number, {}) as simulation:
        return message_trace(
            services, deadline, simulation, message, setting, asked, flags_of(message)
        )


def call_of_many(value: Any) -> tuple[CallRequest, Kinds]:
    listed = items(value, 2, "members")
    if len(listed) != 2:
        raise ValueError("expected an array of a transaction object and kinds of traces")
    return call_request(listed[0]), kinds(listed[1])


def calls_of_many(value: Any) -> tuple[tuple[CallRequest, Kinds], ...]:
    return tuple(map(call_of_many, items(value, CALLS_MAX, "calls")))


def trace_call_many(
    services: Services,
    deadline: Deadline,
    calls: tuple[tuple[CallRequest, Kinds], ...],
    block: BlockId,
) -> Any:
    """Calls one after another, each on what those before it left."""
    setting = setting_of(services, block)
    answers = []
    with services.backend.within(setting.state_number, None, {}) as simulation:
        for request, asked in calls:
            message = capped_message(services, request, setting)
            flags = CallFlag(flags_of(message)) | CallFlag.KEEP
            shown = message_trace(services, deadline, simulation, message, setting, asked, flags)
            answers.append(deadline.kept(shown))
    return answers


def trace_raw(
    services: Services, deadline: Deadline, raw: bytes, asked: Kinds, block: BlockId
) -> Any:
    """A signed transaction, on the state of a block, not sent. Raises InvalidTransaction."""
    setting = setting_of(services, block)
    batch = TransactionBatch.decode([raw])
    batch.recover()
    tx, sender = batch.transaction(0), batch.sender(0)
    if tx.chain_id not in (None, services.backend.chain_id):
        raise invalid_params("invalid chain id for signer")
    message = signed_message(tx, sender)
    with services.backend.simulation(setting.state_number, {}) as simulation:
        return message_trace(services, deadline, simulation, message, setting, asked, 0)


def signed_message(tx: Any, sender: Address) -> Message:
    own, payer = tx.sender_signature, tx.payer_signature
    schemes = {} if own is None else {"signature_scheme": own.scheme}
    if payer is not None:
        schemes["payer_scheme"] = payer.scheme
    return Message(
        sender=sender,
        to=tx.to,
        gas_limit=tx.gas_limit,
        type=tx.type,
        nonce=tx.nonce,
        value=tx.value,
        data=tx.data,
        max_fee_per_gas=tx.max_fee_per_gas,
        max_priority_fee_per_gas=tx.max_priority_fee_per_gas,
        access_list=tx.access_list,
        max_fee_per_blob_gas=tx.max_fee_per_blob_gas,
        blob_versioned_hashes=tx.blob_versioned_hashes,
        authorizations=tx.authorizations,
        fee_token=tx.fee_token,
        calls=tx.calls,
        fee_payer=tx.fee_payer,
        **schemes,
    )


def place_of(value: Any) -> tuple[int, ...]:
    return tuple(whole_number(item) for item in items(value, 1025, "indices"))


HASH = Parameter("transaction hash", hash32)
BLOCK = Parameter("block", block_id)
ON_BLOCK = Parameter("block", block_id, required=False, default="latest")
ASKED = Parameter("kinds of traces", kinds)

METHODS = (
    Method("trace_transaction", trace_transaction, (HASH,), Cost.SLOW),
    Method("trace_get", trace_get, (HASH, Parameter("indices", place_of)), Cost.SLOW),
    Method("trace_block", trace_block, (BLOCK,), Cost.SLOW),
    Method("trace_filter", trace_filter, (Parameter("filter", trace_filter_of),), Cost.SLOW),
    Method("trace_replayTransaction", replay_transaction, (HASH, ASKED), Cost.SLOW),
    Method("trace_replayBlockTransactions", replay_block, (BLOCK, ASKED), Cost.SLOW),
    Method(
        "trace_call",
        trace_call,
        (Parameter("transaction", call_request), ASKED, ON_BLOCK),
        Cost.SLOW,
    ),
    Method(
        "trace_callMany",
        trace_call_many,
        (Parameter("calls", calls_of_many), ON_BLOCK),
        Cost.SLOW,
    ),
    Method(
        "trace_rawTransaction",
        trace_raw,
        (Parameter("transaction", data), ASKED, ON_BLOCK),
        Cost.SLOW,
    ),
)
