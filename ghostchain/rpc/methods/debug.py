"""Call frames of transactions, blocks and messages, of every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import CallFlag
from ghostchain.execution.traces import CallFrame, Trace
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.blocks import BlockRecord
from ghostchain.rpc.calls import flags_of, message_of, setting_of, unable_to_begin
from ghostchain.rpc.dispatch import Cost, Method
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.parameters import (
    BlockId,
    BlockOverride,
    CallRequest,
    Parameter,
    block_id,
    block_number,
    block_override,
    boolean,
    call_request,
    fields,
    hash32,
    optional,
    state_overrides,
)
from ghostchain.rpc.services import Services
from ghostchain.rpc.tracing import Whole, call_trace
from ghostchain.rpc.workers import Deadline

CALL_TRACER = "callTracer"


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """What a tracer is told. The overrides are for calls."""

    only_top: bool = False
    state: dict[Any, AccountOverride] | None = None
    block: BlockOverride | None = None


def trace_options(value: Any) -> TraceOptions:
    """geth's TraceConfig, for the tracer that there is."""
    members = fields(value)
    tracer = members.get("tracer")
    if tracer != CALL_TRACER:
        asked = "the struct logger (no tracer named)" if tracer is None else f"{tracer!r}"
        raise ValueError(f"{asked[:100]} is not available; the tracer here is {CALL_TRACER}")
    settings = fields(members.get("tracerConfig") or {})
    if optional(settings, "withLog", boolean):
        raise ValueError(f"{CALL_TRACER} is not available with withLog")
    return TraceOptions(
        only_top=bool(optional(settings, "onlyTopCall", boolean)),
        state=optional(members, "stateOverrides", state_overrides),
        block=optional(members, "blockOverrides", block_override),
    )


def trace_call(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    block: BlockId,
    options: TraceOptions,
) -> Any:
    setting = setting_of(services, block, options.block)
    cap = services.options.gas_cap or setting.environment.gas_limit
    gas = cap if request.gas is None else min(request.gas, cap)
    message = message_of(services, request, setting, gas=gas)
    backend = services.backend
    with backend.simulation(setting.state_number, options.state or {}) as simulation:
        flags = CallFlag(flags_of(message))
        result, trace = simulation.trace(setting.environment, message, flags=flags)
    if result.reason is not TransactionReason.OK:
        view = backend.state_at(setting.state_number)
        raise unable_to_begin(result, message, setting, view)
    whole = Whole(message.sender, gas, result.gas_used)
    return call_trace(complete(trace), whole, only_top=options.only_top)


def trace_transaction(
    services: Services, deadline: Deadline, transaction_hash: Hash32, options: TraceOptions
) -> Any:
    found = services.backend.transaction_location(transaction_hash)
    if found is None:
        raise server_error("transaction not found")
    number, index = found
    return traces_of(services, number, options)[index]["result"]


def trace_block_by_number(
    services: Services, deadline: Deadline, block: BlockId, options: TraceOptions
) -> Any:
    return traces_of(services, services.number_needed(block), options)


def trace_block_by_hash(
    services: Services, deadline: Deadline, block_hash: Hash32, options: TraceOptions
) -> Any:
    number = services.backend.number_of(block_hash)
    if number is None:
        raise server_error(f"block {format_data(block_hash)} not found")
    return traces_of(services, number, options)


def traces_of(services: Services, number: int, options: TraceOptions) -> list[dict[str, Any]]:
    """The trace of each transaction of a block, with its hash. Cost: the block runs once more."""
    if number == 0:
        raise server_error("genesis is not traceable")
    record = services.blocks.record(number)
    if record is None:
        raise server_error(f"block {number} is not kept")
    frames: list[list[CallFrame]] = [[] for _ in range(len(record))]
    for frame in complete(services.backend.trace_block(number)):
        if frame.transaction is not None:
            frames[frame.transaction].append(frame)
    return [
        {
            "txHash": format_data(record.transaction_hash(index)),
            "result": call_trace(own, whole_of(record, index), only_top=options.only_top),
        }
        for index, own in enumerate(frames)
    ]


def whole_of(record: BlockRecord, index: int) -> Whole:
    gas_limit = record.transaction(index).gas_limit
    return Whole(record.sender(index), gas_limit, record.gas_used(index))


def complete(trace: Trace) -> tuple[CallFrame, ...]:
    """The frames. Raises RpcError when there were more than are kept."""
    if trace.is_cut:
        raise server_error(f"the trace is too large: more than {len(trace.frames)} frames")
    return trace.frames


OPTIONS = Parameter("options", trace_options)
BLOCK = Parameter("block", block_id, required=False, default="latest")

METHODS = (
    Method(
        "debug_traceCall",
        trace_call,
        (Parameter("transaction", call_request), BLOCK, OPTIONS),
        Cost.SLOW,
    ),
    Method(
        "debug_traceTransaction",
        trace_transaction,
        (Parameter("transaction hash", hash32), OPTIONS),
        Cost.SLOW,
    ),
    Method(
        "debug_traceBlockByNumber",
        trace_block_by_number,
        (Parameter("block", block_number), OPTIONS),
        Cost.SLOW,
    ),
    Method(
        "debug_traceBlockByHash",
        trace_block_by_hash,
        (Parameter("block hash", hash32), OPTIONS),
        Cost.SLOW,
    ),
)
