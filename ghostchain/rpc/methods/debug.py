"""Traces of transactions, blocks and calls, of every engine (geth's debug_trace*, and reth's
debug_traceCallMany)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ghostchain.crypto.hashes import header_hash
from ghostchain.encoding.blocks import decode_block
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import (
    CallFlag,
    CallResult,
    ExecutionStopped,
    Message,
    TraceTooLarge,
)
from ghostchain.execution.traces import StructLogWatch, Trace, Watch
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import GhostError, InvalidBlock, TransactionReason
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import QuickBounds, Simulation, TracedOne
from ghostchain.rpc.blocks import BlockRecord
from ghostchain.rpc.calls import (
    Setting,
    capped_message,
    flags_of,
    overridden,
    setting_of,
    why_not_begun,
)
from ghostchain.rpc.errors import invalid_params, server_error
from ghostchain.rpc.method import Cost, Door, Method
from ghostchain.rpc.overrides import amendments_of, precompile_moves
from ghostchain.rpc.parameters import (
    BlockId,
    BlockOverride,
    CallRequest,
    Parameter,
    block_id,
    block_number,
    block_override,
    call_request,
    data,
    fields,
    hash32,
    items,
    optional,
    text,
)
from ghostchain.rpc.protocol import Rendered
from ghostchain.rpc.services import Services
from ghostchain.rpc.tracers.options import DEFAULT_OPTIONS, TraceOptions, trace_options
from ghostchain.rpc.tracers.runs import Around, Parts
from ghostchain.rpc.workers import Deadline

BUNDLES_MAX = 100
BLOCK_FILE_BYTES_MAX = 16 << 20
BUNDLE_CALLS_MAX = 1000
# What is traced on the event loop: so much gas up to its end, in so much time and JSON.
QUICK_GAS = 2_200_000
QUICK_NS = 25_000_000
QUICK_BYTES = 1 << 20


# ---- what all share ----


def watch_of(options: TraceOptions, deadline: Deadline) -> Watch:
    """What the tracer wants recorded, until its timeout or the request's deadline."""
    return replace(options.chosen.watch(), deadline_ns=until(options, deadline))


def until(options: TraceOptions, deadline: Deadline) -> int:
    """When a trace is stopped, as a moment of the monotonic clock."""
    return min(deadline.at_ns, time.monotonic_ns() + options.timeout_ns)


def failure_text(failure: GhostError) -> str:
    return "execution timeout" if isinstance(failure, ExecutionStopped) else str(failure)


def stopped(run: Callable[[], Any]) -> Any:
    """What run returns. Raises RpcError where it was stopped for time or size."""
    try:
        return run()
    except (ExecutionStopped, TraceTooLarge) as failure:
        raise server_error(failure_text(failure)) from None


def complete(trace: Trace, options: TraceOptions) -> Trace:
    """The trace. Raises RpcError when there was more than is kept."""
    is_json = isinstance(options.chosen.settings, StructLogWatch)
    if trace.is_cut and not is_json:
        raise server_error(f"the trace is too large: more than {len(trace.frames)} frames or steps")
    return trace


# ---- transactions and blocks ----


def record_of(services: Services, number: int) -> BlockRecord:
    if number == 0:
        raise server_error("genesis is not traceable")
    record = services.blocks.record(number)
    if record is None:
        raise server_error(f"block #{number} not found")
    return record


def around_of(services: Services, record: BlockRecord, index: int) -> Around:
    header = record.header
    return Around(
        sender=record.sender(index),
        gas_limit=record.batch.gas_limit(index),
        gas_used=record.gas_used(index),
        fork=services.backend.fork_at(header.timestamp),
        coinbase=header.coinbase,
        block_hash=record.hash,
        block_number=header.number,
        transaction_hash=record.transaction_hash(index),
        transaction_index=index,
        is_settled=True,
    )


def trace_transaction(
    services: Services, deadline: Deadline, transaction_hash: Hash32, options: TraceOptions
) -> Any:
    """Cost: the transactions before it in its block run once more, unwatched."""
    found = services.backend.transaction_location(transaction_hash)
    if found is None:
        raise server_error("transaction not found")
    number, index = found
    if number == 0:
        raise server_error("genesis is not traceable")
    steps = options.chosen.settings
    if isinstance(steps, StructLogWatch):
        at_ns = until(options, deadline)
        log = stopped(lambda: services.backend.struct_log(number, index, steps, at_ns))
        return Rendered(log.parts, log)
    watch = replace(watch_of(options, deadline), transaction=index)
    traced = stopped(lambda: services.backend.trace_one(number, watch))
    complete(traced.trace, options)
    return shown_one(traced, index, options)


def shown_one(traced: TracedOne, index: int, options: TraceOptions) -> Any:
    """The transaction at index of its block as the tracer shows it."""
    batch, environment = traced.batch, traced.environment
    around = Around(
        sender=batch.sender(index),
        gas_limit=batch.gas_limit(index),
        gas_used=traced.gas_used,
        fork=environment.fork,
        coinbase=environment.coinbase,
        block_hash=traced.block_hash,
        block_number=environment.number,
        transaction_hash=batch.hash(index),
        transaction_index=index,
        is_settled=True,
    )
    return options.chosen.show(Parts(traced.trace).run(index, around))


def quick_transaction(services: Services, transaction_hash: Hash32, options: TraceOptions) -> Any:
    """The trace of a light transaction near the beginning of a block that is small or was traced
    lately; None for any other."""
    found = services.backend.transaction_location(transaction_hash)
    if found is None or found[0] == 0:
        return None
    number, index = found
    at_ns = time.monotonic_ns() + min(QUICK_NS, options.timeout_ns)
    steps = options.chosen.settings
    if isinstance(steps, StructLogWatch):
        bounds = QuickBounds(QUICK_GAS, QUICK_BYTES, at_ns)
        log = services.backend.struct_log_at_once(number, index, steps, bounds)
        return None if log is None else Rendered(log.parts, log)
    watch = options.chosen.watch()
    if watch.steps is not None:
        return None
    watch = replace(watch, transaction=index, deadline_ns=at_ns)
    traced = services.backend.trace_at_once(number, watch, gas_max=QUICK_GAS)
    if traced is None or traced.trace.is_cut:
        return None
    return shown_one(traced, index, options)


def trace_block_by_number(
    services: Services, deadline: Deadline, block: BlockId, options: TraceOptions
) -> Any:
    number = services.number_of(block)
    if number is None:
        shown = block if isinstance(block, int) else services.backend.head().number
        raise server_error(f"block #{shown} not found")
    return traces_of(services, deadline, number, options)


def trace_block_by_hash(
    services: Services, deadline: Deadline, block_hash: Hash32, options: TraceOptions
) -> Any:
    number = services.backend.number_of(block_hash)
    if number is None:
        raise server_error(f"block {format_data(block_hash)} not found")
    return traces_of(services, deadline, number, options)


def traces_of(
    services: Services, deadline: Deadline, number: int, options: TraceOptions
) -> list[dict[str, Any]]:
    """The trace of each transaction of a block, with its hash. Cost: the block runs once more."""
    record = record_of(services, number)
    trace = services.backend.trace_block(number, watch_of(options, deadline))
    arounds = [around_of(services, record, index) for index in range(len(record))]
    return envelopes(trace, arounds, options)


def envelopes(
    trace: Trace, arounds: Sequence[Around], options: TraceOptions
) -> list[dict[str, Any]]:
    """One for each transaction; where the run was stopped, those it did not finish say why."""
    parts = Parts(complete(trace, options))
    finished = len(arounds) if trace.failure is None else max(parts.frames, default=0)
    answers = []
    for index, around in enumerate(arounds):
        answer: dict[str, Any] = {}
        if around.transaction_hash is not None:
            answer["txHash"] = format_data(around.transaction_hash)
        if index < finished or trace.failure is None:
            answer["result"] = options.chosen.show(parts.run(index, around))
        else:
            answer["error"] = failure_text(trace.failure)
        answers.append(answer)
    return answers


def trace_block_of(
    services: Services, deadline: Deadline, raw: bytes, options: TraceOptions
) -> list[dict[str, Any]]:
    """A block as its bytes: of this chain, or any other on one of its states."""
    try:
        block = decode_block(raw)
    except InvalidBlock as error:
        raise invalid_params(f"could not decode block: {error}") from None
    number = services.backend.number_of(header_hash(block.header))
    if number is not None:
        return traces_of(services, deadline, number, options)
    return traces_of_made(services, deadline, block, options)


def traces_of_made(
    services: Services, deadline: Deadline, block: Block, options: TraceOptions
) -> list[dict[str, Any]]:
    header, backend = block.header, services.backend
    if header.number == 0:
        raise server_error("genesis is not traceable")
    if backend.number_of(header.parent_hash) != header.number - 1:
        raise server_error(f"block {format_data(header.parent_hash)} not found")
    watch = watch_of(options, deadline)
    try:
        made = stopped(lambda: backend.trace_made(block, watch))
    except InvalidBlock as error:
        raise server_error(f"tracing failed: {error}") from None
    arounds = [
        Around(
            sender=made.batch.sender(index),
            gas_limit=made.batch.transaction(index).gas_limit,
            gas_used=made.gas_used[index],
            fork=backend.environment(header.number - 1).fork,
            coinbase=header.coinbase,
            block_hash=header_hash(header),
            block_number=header.number,
            transaction_hash=made.batch.hash(index),
            transaction_index=index,
            is_settled=True,
        )
        for index in range(len(made.batch))
    ]
    return envelopes(made.trace, arounds, options)


def trace_block_from_file(
    services: Services, deadline: Deadline, path: str, options: TraceOptions
) -> list[dict[str, Any]]:
    """A block whose bytes stand in a file of the node's machine; for its operator."""
    try:
        with open(path, "rb") as file:
            raw = file.read(BLOCK_FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise server_error(f"could not read file: {error}") from None
    if len(raw) > BLOCK_FILE_BYTES_MAX:
        raise server_error(f"could not read file: more than {BLOCK_FILE_BYTES_MAX} bytes")
    return trace_block_of(services, deadline, raw, options)


def trace_bad_block(
    services: Services, deadline: Deadline, block_hash: Hash32, options: TraceOptions
) -> Any:
    """Blocks that do not hold are not kept."""
    raise server_error(f"bad block {format_data(block_hash)} not found")


# ---- calls ----


def trace_call(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    block: BlockId,
    options: TraceOptions,
) -> Any:
    """On the state after a block, or with txIndex on that before one of its transactions."""
    setting = setting_of(services, block, options.block)
    environment, index = setting.environment, options.transaction_index
    if index is None:
        moves = precompile_moves(options.state, environment.fork)
        simulated = services.backend.simulation(setting.state_number, options.state, moves)
    else:
        count = transactions_before(services, setting.state_number, index)
        changes = amendments_of(options.state)
        simulated = services.backend.within(setting.state_number, count, changes)
    with simulated as simulation:
        return call_trace(services, deadline, simulation, request, setting, options)


def transactions_before(services: Services, number: int, index: int) -> int:
    record = record_of(services, number)
    if index >= len(record):
        raise server_error(
            f"transaction index {index} out of range for block {format_data(record.hash)}"
        )
    return index


def traced_message(
    services: Services,
    simulation: Simulation,
    message: Message,
    setting: Setting,
    watch: Watch,
    flags: int,
) -> tuple[CallResult, Trace]:
    """What a message did. Raises RpcError when it cannot begin."""
    environment = setting.environment
    result, trace = stopped(
        lambda: simulation.trace(environment, message, flags=flags, watch=watch)
    )
    if result.reason is not TransactionReason.OK:
        view = services.backend.state_at(setting.state_number)
        raise server_error(f"tracing failed: {why_not_begun(result, message, setting, view)}")
    return result, trace


def call_trace(
    services: Services,
    deadline: Deadline,
    simulation: Simulation,
    request: CallRequest,
    setting: Setting,
    options: TraceOptions,
    *,
    keeps: bool = False,
) -> Any:
    message = capped_message(services, request, setting)
    flags = flags_of(message) | (CallFlag.KEEP if keeps else 0)
    watch = watch_of(options, deadline)
    result, trace = traced_message(services, simulation, message, setting, watch, flags)
    environment = setting.environment
    around = Around(
        message.sender,
        message.gas_limit,
        result.gas_used,
        environment.fork,
        environment.coinbase,
        is_settled=True,
    )
    return options.chosen.show(Parts(complete(trace, options)).run(0, around))


@dataclass(frozen=True, slots=True)
class Bundle:
    """Calls in one block."""

    calls: tuple[CallRequest, ...]
    block: BlockOverride | None


@dataclass(frozen=True, slots=True)
class StateContext:
    """Where bundles begin: before a transaction of a block, None for after all of them."""

    block: BlockId = "latest"
    index: int | None = None


def bundles(value: Any) -> tuple[Bundle, ...]:
    return tuple(
        Bundle(
            tuple(map(call_request, items(members.get("transactions"), BUNDLE_CALLS_MAX, "calls"))),
            optional(members, "blockOverride", block_override),
        )
        for members in map(fields, items(value, BUNDLES_MAX, "bundles"))
    )


def place_in_block(value: Any) -> int | None:
    """reth's transactionIndex: a number, -1 or "all" for the end of the block."""
    if value in (-1, "all"):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("expected a number or -1")
    return value


def state_context(value: Any) -> StateContext:
    members = fields(value)
    block = optional(members, "blockNumber", block_id)
    index = optional(members, "transactionIndex", place_in_block)
    return StateContext("latest" if block is None else block, index)


def trace_call_many(
    services: Services,
    deadline: Deadline,
    asked: tuple[Bundle, ...],
    context: StateContext,
    options: TraceOptions,
) -> list[list[Any]]:
    """Bundles of calls, each on what those before it left."""
    number = services.number_needed(context.block)
    count = context.index
    if count is not None:
        count = transactions_before(services, number, count)
    answers = []
    setting = setting_of(services, context.block, options.block)
    with services.backend.within(number, count, amendments_of(options.state)) as simulation:
        for bundle in asked:
            place = setting
            if bundle.block is not None:
                environment = overridden(setting.environment, bundle.block)
                place = replace(setting, environment=environment)
            traces = (
                call_trace(services, deadline, simulation, call, place, options, keeps=True)
                for call in bundle.calls
            )
            answers.append(list(map(deadline.kept, traces)))
    return answers


OPTIONS = Parameter("options", trace_options, required=False, default=DEFAULT_OPTIONS)
BLOCK = Parameter("block", block_id, required=False, default="latest")
CONTEXT = Parameter("state context", state_context, required=False, default=StateContext())

METHODS = (
    Method(
        "debug_traceCall",
        trace_call,
        (Parameter("transaction", call_request), BLOCK, OPTIONS),
        Cost.SLOW,
    ),
    Method(
        "debug_traceCallMany",
        trace_call_many,
        (Parameter("bundles", bundles), CONTEXT, OPTIONS),
        Cost.SLOW,
    ),
    Method(
        "debug_traceTransaction",
        trace_transaction,
        (Parameter("transaction hash", hash32), OPTIONS),
        Cost.SLOW,
        quick=quick_transaction,
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
    Method(
        "debug_traceBlock",
        trace_block_of,
        (Parameter("block", data), OPTIONS),
        Cost.SLOW,
    ),
    Method(
        "debug_traceBlockFromFile",
        trace_block_from_file,
        (Parameter("file", text), OPTIONS),
        Cost.SLOW,
        Door.ADMIN,
    ),
    Method(
        "debug_traceBadBlock",
        trace_bad_block,
        (Parameter("block hash", hash32), OPTIONS),
        Cost.SLOW,
    ),
)
