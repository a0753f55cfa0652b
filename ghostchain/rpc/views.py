"""The protocol's contracts as JSON-RPC reads them: a view function run, its answer as JSON, and the
JSON schema of that answer, all from the function's types.

Numbers are quantities (`0x1f`), addresses and bytes are data, structs are objects with the names of
their fields, several results are an object with the names of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ghostchain.contracts.addresses import address_of
from ghostchain.contracts.framework import NativeContract
from ghostchain.contracts.framework.abi import (
    AbiType,
    AddressType,
    Array,
    Boolean,
    Bytes,
    FixedBytes,
    Signed,
    Text,
    Tuple,
)
from ghostchain.contracts.framework.contract import Method
from ghostchain.contracts.framework.errors import MalformedCall, Panic
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import CallFlag, CallResult, Message
from ghostchain.primitives.types import ZERO_ADDRESS
from ghostchain.rpc.calls import SIMULATION_FLAGS, setting_of
from ghostchain.rpc.errors import EXECUTION_REVERTED, RpcError, invalid_params, server_error
from ghostchain.rpc.parameters import BlockId
from ghostchain.rpc.services import Services

VIEW_GAS_MAX = 50_000_000

QUANTITY = {"type": "string", "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$"}
ADDRESS = {"type": "string", "pattern": "^0x[0-9a-f]{40}$"}
HASH = {"type": "string", "pattern": "^0x[0-9a-f]{64}$"}
DATA = {"type": "string", "pattern": "^0x([0-9a-f]{2})*$"}
TEXT = {"type": "string"}
BOOLEAN = {"type": "boolean"}

Read = Callable[..., Any]
"""read(contract, "function", *arguments): the decoded answer."""


@contextmanager
def reading(services: Services, block: BlockId) -> Iterator[Read]:
    """Runs view functions on the state after a block, all on the same.

    read raises RpcError: code 3 with a contract's own error, by name; a server error when the
    chain has no such contract; invalid parameters for numbers that its types do not hold.
    """
    setting = setting_of(services, block, None)
    with services.backend.simulation(setting.state_number, {}) as simulation:

        def read(contract: type[NativeContract], function: str, *arguments: Any) -> Any:
            method = contract.method(function)
            try:
                data = method.encode_call(arguments)
            except Panic:
                raise invalid_params("a number is too large for its type") from None
            message = Message(
                sender=ZERO_ADDRESS,
                to=address_of(contract.ID),
                gas_limit=VIEW_GAS_MAX,
                data=data,
                max_fee_per_gas=setting.environment.base_fee,
            )
            flags = SIMULATION_FLAGS | CallFlag.NO_BALANCE_CHECK
            result = simulation.call(setting.environment, message, flags=flags)
            return decoded(contract, method, result)

        yield read


def decoded(contract: type[NativeContract], method: Method, result: CallResult) -> Any:
    """What a view function answered. Raises RpcError."""
    if not result.success:
        raise failure_of(contract, result)
    try:
        return method.decode_result(result.output)
    except MalformedCall:
        name = contract.__name__
        raise server_error(f"this chain has no contract {name} in that block") from None


def failure_of(contract: type[NativeContract], result: CallResult) -> RpcError:
    """A revert, with the name and the values of the contract's error."""
    for error in contract.ERRORS.values():
        values = error.decode(result.output)
        if values is not None:
            shown = ", ".join(
                str(to_json(kind, value))
                for kind, value in zip(error.signature.types, values, strict=True)
            )
            message = f"execution reverted: {error.signature.name}({shown})"
            return RpcError(EXECUTION_REVERTED, message, format_data(result.output))
    return RpcError(EXECUTION_REVERTED, "execution reverted", format_data(result.output))


def to_json(kind: AbiType, value: Any) -> Any:
    """A decoded value as JSON."""
    if isinstance(kind, Array):
        return [to_json(kind.item, item) for item in value]
    if isinstance(kind, Tuple):
        return struct_json(kind, value)
    if isinstance(kind, Boolean | Text):
        return value
    if isinstance(kind, AddressType | FixedBytes | Bytes):
        return format_data(value)
    return hex(value)


def struct_json(kind: Tuple, value: Any) -> Any:
    """A struct, or several results given as a sequence."""
    if not isinstance(value, list | tuple):
        value = [getattr(value, name) for name in kind.names]
    items = [to_json(item, part) for item, part in zip(kind.items, value, strict=True)]
    return dict(zip(kind.names, items, strict=True)) if any(kind.names) else items


def result_json(method: Method, value: Any) -> Any:
    """What a function answered: its one result, or an object of several."""
    if method.is_single:
        return to_json(method.outputs.items[0], value)
    return struct_json(method.outputs, value)


def schema_of(kind: AbiType) -> dict[str, Any]:
    """The JSON schema of what `to_json` gives."""
    if isinstance(kind, Array):
        return {"type": "array", "items": schema_of(kind.item)}
    if isinstance(kind, Tuple):
        return object_schema(
            {name: schema_of(item) for name, item in zip(kind.names, kind.items, strict=True)}
        )
    if isinstance(kind, Boolean):
        return BOOLEAN
    if isinstance(kind, Text):
        return TEXT
    if isinstance(kind, AddressType):
        return ADDRESS
    if isinstance(kind, FixedBytes | Bytes):
        return DATA
    if isinstance(kind, Signed):
        return {"type": "string", "pattern": "^-?0x(0|[1-9a-f][0-9a-f]*)$"}
    return QUANTITY


def result_schema(method: Method) -> dict[str, Any]:
    """The JSON schema of what `result_json` gives."""
    return schema_of(method.outputs.items[0] if method.is_single else method.outputs)


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with just these members, all of them there."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
