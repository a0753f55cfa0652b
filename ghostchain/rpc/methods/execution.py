"""Running code without sending a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.types import Address
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.calls import create_access_list, estimate_gas, peek, run_call
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import (
    BlockId,
    BlockOverride,
    CallRequest,
    Parameter,
    block_id,
    block_override,
    call_request,
    is_plain,
    state_overrides,
)
from ghostchain.rpc.render import access_list_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

Overrides = Mapping[Address, AccountOverride]


def call(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    block: BlockId,
    overrides: Overrides | None,
    environment: BlockOverride | None,
) -> str:
    return format_data(run_call(services, request, block, overrides or {}, environment))


def call_quickly(
    services: Services,
    request: CallRequest,
    block: BlockId,
    overrides: Overrides | None,
    environment: BlockOverride | None,
) -> str | None:
    """The answer of a short call, or None."""
    if overrides or environment is not None or block != "latest" or not is_plain(request):
        return None
    output = peek(services, request)
    return None if output is None else format_data(output)


def estimate(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    block: BlockId,
    overrides: Overrides | None,
    environment: BlockOverride | None,
) -> str:
    return hex(estimate_gas(services, deadline, request, block, overrides or {}, environment))


def access_list(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    block: BlockId,
    overrides: Overrides | None,
) -> Any:
    outcome = create_access_list(services, deadline, request, block, overrides or {})
    answer: dict[str, Any] = {
        "accessList": access_list_json(outcome.entries),
        "gasUsed": hex(outcome.gas_used),
    }
    if outcome.error is not None:
        answer["error"] = outcome.error
    return answer


REQUEST = Parameter("transaction", call_request)
BLOCK = Parameter("block", block_id, required=False, default="latest")
STATE = Parameter("state overrides", state_overrides, required=False)
ENVIRONMENT = Parameter("block overrides", block_override, required=False)

METHODS = (
    Method("eth_call", call, (REQUEST, BLOCK, STATE, ENVIRONMENT), Cost.SLOW, quick=call_quickly),
    Method("eth_estimateGas", estimate, (REQUEST, BLOCK, STATE, ENVIRONMENT), Cost.SLOW),
    Method("eth_createAccessList", access_list, (REQUEST, BLOCK, STATE), Cost.SLOW),
)
