"""Contracts of the protocol, written in Python.

A contract is a class. Its storage, events and errors are attributes, its functions are methods
whose annotations are their ABI:

    class Counter(NativeContract):
        ID = 0x7F
        count = Slot[UInt256](0)
        last = Mapping[Address, UInt64](1)

        Counted = Event("Counted(address indexed who, uint256 count)")
        TooSoon = Error("TooSoon(uint256 until)")

        @external
        def increment(self, by: UInt256) -> UInt256:
            until = self.last[self.msg.sender] + 60
            if self.block.timestamp < until:
                raise self.TooSoon(until)
            self.last[self.msg.sender] = self.block.timestamp
            self.count += by
            self.emit(self.Counted, self.msg.sender, self.count)
            return self.count

        @view(name="count")
        def read_count(self) -> UInt256:
            return self.count

To its callers, of any engine, it is an ordinary contract: ABI, custom errors, logs, storage slots
in Solidity's layout, reverts that undo everything, gas for everything.

    abi.py        types, decoding of hostile call data, encoding
    storage.py    Slot, Mapping, Record, Array, Queue
    contract.py   NativeContract, external, view, receive, Event, Error, calls to other contracts
    errors.py     Revert, Panic, require
    gas.py        what Python's time costs
    running.py    one call from a host to an exit
    testing.py    a world in memory for tests

Invariants:
- A call decides by the message, the block and the storage alone: the same on every node. There are
  no floats, no clocks, no randomness, and nothing that depends on the order of a set.
- The world is reached through the host only (`execution/contracts.py`); every access is charged.
- A failed call changes nothing: the executor undoes it, whether it reverted, ran out of gas or hit
  a bug.
- What a number is stored in, passed to or returned as decides its range; leaving it is Panic(0x11).
"""

from ghostchain.contracts.framework import gas
from ghostchain.contracts.framework.abi import (
    Bytes1,
    Bytes4,
    Bytes32,
    Int256,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    UInt96,
    UInt128,
    UInt256,
)
from ghostchain.contracts.framework.contract import (
    Error,
    Event,
    Method,
    NativeContract,
    external,
    receive,
    view,
)
from ghostchain.contracts.framework.errors import Panic, Revert, require
from ghostchain.contracts.framework.running import run_contract, runner
from ghostchain.contracts.framework.storage import Array, Mapping, Queue, Record, Slot
from ghostchain.primitives.types import Address, Hash32

__all__ = [
    "Address",
    "Array",
    "Bytes1",
    "Bytes4",
    "Bytes32",
    "Error",
    "Event",
    "Hash32",
    "Int256",
    "Mapping",
    "Method",
    "NativeContract",
    "Panic",
    "Queue",
    "Record",
    "Revert",
    "Slot",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UInt96",
    "UInt128",
    "UInt256",
    "external",
    "gas",
    "receive",
    "require",
    "run_contract",
    "runner",
    "view",
]
