"""Rows of methods that carry their own documentation, and the OpenRPC document made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import Parameter

Argument = tuple[Parameter, dict[str, Any]]
"""A parameter and its schema."""


@dataclass(frozen=True, slots=True)
class Row:
    """A method and what the OpenRPC document says of it. schemas: of the parameters, in order."""

    method: Method
    summary: str
    schemas: tuple[dict[str, Any], ...]
    result_name: str
    result: dict[str, Any]


def row(
    name: str,
    run: Callable[..., Any],
    summary: str,
    arguments: Sequence[Argument],
    result_name: str,
    result: dict[str, Any],
    cost: Cost = Cost.SLOW,
) -> Row:
    """A row, its parameters and their schemas taken apart."""
    parameters = tuple(parameter for parameter, _ in arguments)
    schemas = tuple(schema for _, schema in arguments)
    return Row(Method(name, run, parameters, cost), summary, schemas, result_name, result)


def document(rows: Iterable[Row]) -> dict[str, Any]:
    """The OpenRPC document (1.3) of these methods."""
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "GhostChain",
            "version": "1.0.0",
            "description": "Methods beside Ethereum's, whose document is that of execution-apis.",
            "license": {"name": "Apache-2.0"},
        },
        "methods": [_entry(row) for row in rows],
    }


def _entry(row: Row) -> dict[str, Any]:
    return {
        "name": row.method.name,
        "summary": row.summary,
        "params": [
            {"name": parameter.name, "required": parameter.required, "schema": schema}
            for parameter, schema in zip(row.method.parameters, row.schemas, strict=True)
        ],
        "paramStructure": "by-position",
        "result": {"name": row.result_name, "schema": row.result},
    }
