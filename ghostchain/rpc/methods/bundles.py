"""Several messages, each on what those before it have left: eth_callMany of Erigon and reth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import CallFlag
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.calls import (
    Setting,
    flags_of,
    halt_error,
    message_of,
    overridden,
    unable_to_begin,
)
from ghostchain.rpc.errors import RpcError, server_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.overrides import amendments_of, precompile_moves
from ghostchain.rpc.parameters import (
    LATEST,
    BlockId,
    BlockOverride,
    CallRequest,
    Parameter,
    block_id,
    block_override,
    call_request,
    fields,
    items,
    optional,
    quantity_64,
    state_overrides,
)
from ghostchain.rpc.phantoms import Middle
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

BUNDLES_MAX = 256
CALLS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Bundle:
    """Messages in one block, which may look otherwise."""

    calls: tuple[CallRequest, ...]
    block: BlockOverride | None


@dataclass(frozen=True, slots=True)
class Place:
    """After a block, or before its transaction at index."""

    block: BlockId = LATEST
    index: int | None = None


def bundle(value: Any) -> Bundle:
    members = fields(value)
    listed = items(members.get("transactions") or [], CALLS_MAX, "transactions")
    return Bundle(
        tuple(map(call_request, listed)), optional(members, "blockOverride", block_override)
    )


def bundles(value: Any) -> tuple[Bundle, ...]:
    found = tuple(map(bundle, items(value, BUNDLES_MAX, "bundles")))
    if not any(item.calls for item in found):
        raise ValueError("empty bundles")
    total = sum(len(item.calls) for item in found)
    if total > CALLS_MAX:
        raise ValueError(f"too many transactions: {total}, at most {CALLS_MAX}")
    return found


def transaction_index(value: Any) -> int | None:
    """None for -1, which means the end of the block."""
    if value in (-1, "-1"):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return quantity_64(value)


def place(value: Any) -> Place:
    members = fields(value)
    block = optional(members, "blockNumber", block_id)
    return Place(
        LATEST if block is None else block,
        optional(members, "transactionIndex", transaction_index),
    )


def call_many(
    services: Services,
    deadline: Deadline,
    asked: tuple[Bundle, ...],
    where: Place,
    overrides: Mapping[Address, AccountOverride] | None,
) -> list[Any]:
    """For each bundle what each call gave: `value`, or `error`. Raises RpcError for the gas of all
    together, and for what is no call."""
    number = services.number_needed(where.block)
    if number == 0 and where.index:
        raise server_error("genesis has no transactions")
    middle = services.backend.middle(number, where.index if number else None)
    if where.index is not None and number and where.index > middle.count:
        raise server_error(f"transaction index {where.index} out of range for block {number}")
    if overrides:
        moves = precompile_moves(overrides, middle.environment.fork)
        middle.amend(amendments_of(overrides), moves)
    gas_left = services.options.gas_cap or 2**64 - 1
    answers = []
    for one in asked:
        environment = middle.environment
        if one.block is not None:
            environment = overridden(environment, one.block)
        fees = services.backend.fees(number)
        told = environment.blob_base_fee
        setting = Setting(number, environment, fees.blob_base_fee if told is None else told)
        shown = []
        for request in one.calls:
            deadline.check()
            answer, gas = run_one(services, middle, setting, request, gas_left)
            gas_left -= gas
            shown.append(deadline.kept(answer))
        answers.append(shown)
    return answers


def run_one(
    services: Services, middle: Middle, setting: Setting, request: CallRequest, gas_left: int
) -> tuple[dict[str, str], int]:
    """What a call gave, and the gas it used."""
    limit = min(gas_left, setting.environment.gas_limit)
    gas = limit if request.gas is None else min(request.gas, limit)
    try:
        message = message_of(services, request, setting, gas=gas)
        account = middle.account(message.sender)
        if request.nonce is None and account is not None:
            message = replace(message, nonce=account.nonce)
        flags = flags_of(message) | CallFlag.KEEP
        result = middle.call(setting.environment, message, flags=flags)
        if result.reason is not TransactionReason.OK:
            view = services.backend.state_at(setting.state_number)
            raise unable_to_begin(result, message, setting, view)
        if not result.success:
            return {"error": halt_error(result).message}, result.gas_used
    except RpcError as error:
        return {"error": error.message}, 0
    return {"value": format_data(result.output)}, result.gas_used


METHODS = (
    Method(
        "eth_callMany",
        call_many,
        (
            Parameter("bundles", bundles),
            Parameter("state context", place, required=False, default=Place()),
            Parameter("state overrides", state_overrides, required=False),
        ),
        Cost.SLOW,
    ),
)
