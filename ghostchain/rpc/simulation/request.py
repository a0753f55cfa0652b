"""What a caller of eth_simulateV1 asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ghostchain.primitives.types import Address
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.errors import CLIENT_LIMIT_EXCEEDED, RpcError, invalid_params
from ghostchain.rpc.parameters import (
    BlockOverride,
    CallRequest,
    block_override,
    boolean,
    call_request,
    fields,
    optional,
    state_overrides,
)

# As geth bounds them.
BLOCKS_MAX: Final = 256
BLOCK_CALLS_MAX: Final = 5_000
CALLS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class BlockCalls:
    """A block by what is different in it, and its calls."""

    block: BlockOverride = field(default_factory=BlockOverride)
    state: Mapping[Address, AccountOverride] = field(default_factory=dict)
    calls: tuple[CallRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """validation: nonces and fees are checked as in real blocks. full_transactions: whole ones in
    the answer, not hashes."""

    blocks: tuple[BlockCalls, ...]
    trace_transfers: bool = False
    validation: bool = False
    full_transactions: bool = False


def too_many(what: str) -> RpcError:
    return RpcError(CLIENT_LIMIT_EXCEEDED, what)


def entries(members: Mapping[str, Any], name: str) -> list[Any]:
    """A list that may be left out; longer ones than allowed are refused by who counts them."""
    found = members.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{name}: expected an array")
    return found


def simulation_request(value: Any) -> SimulationRequest:
    """The first parameter. Raises ValueError, and RpcError for the limits."""
    members = fields(value)
    listed = entries(members, "blockStateCalls")
    if not listed:
        raise invalid_params("empty input")
    if len(listed) > BLOCKS_MAX:
        raise too_many("too many blocks")
    total = 0
    for item in listed:
        count = len(entries(fields(item), "calls"))
        total += count
        if count > BLOCK_CALLS_MAX:
            raise too_many(f"too many calls in block: {count} > {BLOCK_CALLS_MAX}")
        if total > CALLS_MAX:
            raise too_many(f"too many calls: {total} > {CALLS_MAX}")
    return SimulationRequest(
        blocks=tuple(map(block_calls, listed)),
        trace_transfers=bool(optional(members, "traceTransfers", boolean)),
        validation=bool(optional(members, "validation", boolean)),
        full_transactions=bool(optional(members, "returnFullTransactions", boolean)),
    )


def block_calls(value: Any) -> BlockCalls:
    members = fields(value)
    return BlockCalls(
        block=optional(members, "blockOverrides", block_override) or BlockOverride(),
        state=optional(members, "stateOverrides", state_overrides) or {},
        calls=tuple(map(call_request, entries(members, "calls"))),
    )
