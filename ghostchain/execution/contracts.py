"""Native contracts as execution sees them: code `ef 47 id` that Python runs.

The executor knows no contract. It is given a runner, which runs the contract with an id against a
host; the host is the contract's only way to the world. `NativeHost` is the host inside the native
executor; `ghostchain/contracts/framework/testing.py` has one in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ghostchain.primitives.types import Address, Hash32

FRAMES_MAX = 64
"""Native contracts in one stack of calls; a deeper one is refused as a call that is too deep."""


@dataclass(frozen=True, slots=True)
class ContractMessage:
    """The call that a contract answers. Units: value in wei.

    origin: who signed the transaction. is_static: nothing may change.
    """

    address: Address
    sender: Address
    value: int
    data: bytes
    is_static: bool
    origin: Address


@dataclass(frozen=True, slots=True)
class ContractBlock:
    """The block in which a contract runs. Units: timestamp in seconds, base_fee in wei per gas."""

    number: int
    timestamp: int
    gas_limit: int
    chain_id: int
    coinbase: Address
    base_fee: int
    prev_randao: Hash32


class Halt(Exception):
    """The frame ends at once, by the exit (`ghostchain.execution.executor.Exit`) it carries.

    All its gas is gone. A contract never catches it.
    """

    def __init__(self, exit: int) -> None:
        super().__init__(exit)
        self.exit = exit


class ContractHost(Protocol):
    """What a native contract may ask of the world, with the EVM's meaning and price.

    Keys and values of storage are 256-bit integers. Every method may raise Halt (out of gas, a
    change in a static call, or the node cannot go on).
    """

    @property
    def message(self) -> ContractMessage: ...

    @property
    def block(self) -> ContractBlock: ...

    @property
    def gas(self) -> int:
        """Gas left."""

    def charge(self, gas: int) -> None:
        """Takes gas."""

    def load(self, key: int) -> int:
        """SLOAD."""

    def store(self, key: int, value: int) -> None:
        """SSTORE."""

    def load_transient(self, key: int) -> int:
        """TLOAD."""

    def store_transient(self, key: int, value: int) -> None:
        """TSTORE."""

    def log(self, topics: Sequence[bytes], data: bytes) -> None:
        """LOG0 to LOG4; topics have 32 bytes."""

    def balance(self, address: Address) -> int:
        """BALANCE, in wei."""

    def code(self, address: Address) -> bytes:
        """EXTCODECOPY of all of it."""

    def block_hash(self, number: int) -> Hash32:
        """BLOCKHASH; zero when it is not one of the last 256."""

    def call(
        self, address: Address, data: bytes, *, value: int, gas: int | None, is_static: bool
    ) -> tuple[bool, bytes]:
        """CALL or STATICCALL: whether it succeeded, and what it returned or reverted with.

        gas: the most to give; None for all but a 64th.
        """

    def move_balance(self, source: Address, target: Address, amount: int) -> None:
        """Moves native balance between any two accounts: for the contract of the native coin
        alone, which has looked at the source's balance. Price: access of the target as BALANCE;
        unless the amount is 0, 6,700 (CALL's price of value less the stipend) and 25,000 when the
        target is a new account."""

    def burn_balance(self, source: Address, amount: int) -> None:
        """Destroys native balance: for the contract of the native coin alone, which has looked at
        the source's balance. Price: 6,700 unless the amount is 0."""


ContractRunner = Callable[[int, ContractHost], tuple[int, bytes]]
"""Runs the contract with that id: the exit, and what was returned or reverted with."""
