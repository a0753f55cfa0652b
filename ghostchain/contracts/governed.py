"""Contracts whose numbers governance sets: a table of parameters with bounds, one setter.

A parameter has a name, a default, and bounds that governance cannot leave. The numbers lie in one
record, packed, so that reading several costs one cold slot. A genesis writes every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ghostchain.contracts.addresses import GOVERNANCE
from ghostchain.contracts.framework import (
    Error,
    Event,
    NativeContract,
    UInt256,
    external,
    view,
)

WAD = 10**18
"""One, for fractions and rates: they are integers in units of 1e-18."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that governance sets. field: of the record; low and high are inclusive."""

    field: str
    default: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A parameter as `parameters()` tells it."""

    name: str
    value: UInt256
    low: UInt256
    high: UInt256


class Governed(NativeContract):
    """A contract with parameters. A subclass gives the table and says where the record is."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}

    ParameterSet = Event("ParameterSet(string name, uint256 before, uint256 value)")

    OnlyGovernance = Error("OnlyGovernance(address sender)")
    UnknownParameter = Error("UnknownParameter(string name)")
    OutOfBounds = Error("OutOfBounds(string name, uint256 value, uint256 low, uint256 high)")

    def parameter_record(self) -> Any:
        """The record in storage whose fields the table names."""
        raise AssertionError(type(self))

    def parameter_changed(self, name: str, value: int) -> None:
        """What else a new value means for the contract."""

    def require_governance(self) -> None:
        """Raises: OnlyGovernance unless the governance contract calls."""
        if self.msg.sender != GOVERNANCE:
            raise self.OnlyGovernance(self.msg.sender)

    @external
    def setParameter(self, name: str, value: UInt256) -> None:
        """The named parameter is `value` from now on. Only governance.

        Raises: OnlyGovernance, UnknownParameter, OutOfBounds.
        """
        self.require_governance()
        parameter = self.PARAMETERS.get(name)
        if parameter is None:
            raise self.UnknownParameter(name)
        if not parameter.low <= value <= parameter.high:
            raise self.OutOfBounds(name, value, parameter.low, parameter.high)
        record = self.parameter_record()
        before = getattr(record, parameter.field)
        setattr(record, parameter.field, value)
        self.parameter_changed(name, value)
        self.emit(self.ParameterSet, name, before, value)

    @view
    def parameters(self) -> list[ParameterValue]:
        """Every parameter with its value and its bounds, in the order of the table."""
        record = self.parameter_record()
        return [
            ParameterValue(name, getattr(record, entry.field), entry.low, entry.high)
            for name, entry in self.PARAMETERS.items()
        ]


def write_parameters(contract: Governed, values: dict[str, int]) -> None:
    """Genesis: every parameter has its value in `values`, or its default.

    Raises: ValueError for a name that is unknown or a value outside its bounds.
    """
    unknown = sorted(set(values) - set(contract.PARAMETERS))
    if unknown:
        raise ValueError(f"{type(contract).__name__} has no parameter {', '.join(unknown)}")
    record = contract.parameter_record()
    for name, entry in contract.PARAMETERS.items():
        value = values.get(name, entry.default)
        if not entry.low <= value <= entry.high:
            raise ValueError(f"{name} is {value}, not within {entry.low} and {entry.high}")
        setattr(record, entry.field, value)
        contract.parameter_changed(name, value)


__all__ = ["WAD", "Governed", "Parameter", "ParameterValue", "write_parameters"]
