"""Native contracts as execution sees them, code `ef 47 id` that Python runs: the door to
`native/contracts`.

The executor knows no contract. It is given a runner, which runs the contract with an id against a
host; the host is the contract's only way to the world. `NativeHost` is the host inside the native
executor; `ghostchain/contracts/framework/testing.py` has one in memory.

Threads: what a contract asks for is short, so the interpreter lock is kept meanwhile; giving it up
a dozen times in a call would let other threads in a dozen times, for 5 milliseconds each. Calls to
other contracts do give it up.

Oracle: the contracts in Python against the kernel in C, in tests/oracle/test_contracts.py.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ghostchain._native import ffi, lib
from ghostchain.primitives.types import Address, Hash32

FRAMES_MAX = 64
"""Native contracts in one stack of calls; a deeper one is refused as a call that is too deep."""

# All of them together must never meet Python's own limit, which depends on who called and would end
# a block on one node and not on another: forty Python frames for each, and room for the caller.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 3_000))


class ContractMessage(NamedTuple):
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

    def hash(self, data: bytes, gas: int) -> int:
        """KECCAK256 as a number, for that much gas."""

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
        alone. The source has as much. Price: as BALANCE of both; unless the amount is 0, CALL's
        of value (9,000) and of a new account (25,000 when the target is none yet)."""

    def burn_balance(self, source: Address, amount: int) -> None:
        """Destroys native balance: for the contract of the native coin alone. The source has as
        much. Price: as BALANCE."""


ContractRunner = Callable[[int, ContractHost], tuple[int, bytes]]
"""Runs the contract with that id: the exit, and what was returned or reverted with."""


# ---- the host inside the native executor ----

# Of `executor.Exit`, which is above.
_SUCCESS, _OUT_OF_GAS, _ABORT = 0, 2, 18
_ALL_GAS = 2**64 - 1
_COPY_WORD = 3  # what a contract pays for a word of its call data


def _short(name: str, *arguments: Any) -> Callable[..., int]:
    """A function of the native core that is called with the interpreter lock held."""
    address = int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))
    return ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, *arguments)(address)


_BYTES = ctypes.c_char_p
_load = _short("ghost_contract_load", _BYTES)
_store = _short("ghost_contract_store", _BYTES, _BYTES)
_hash = _short("ghost_contract_hash", ctypes.c_uint64, _BYTES, ctypes.c_size_t)
_load_transient = _short("ghost_contract_load_transient", _BYTES)
_store_transient = _short("ghost_contract_store_transient", _BYTES, _BYTES)
_log = _short("ghost_contract_log", _BYTES, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t)
_balance = _short("ghost_contract_balance", _BYTES)
_code = _short("ghost_contract_code", _BYTES)
_block_hash = _short("ghost_contract_block_hash", ctypes.c_uint64)
_move_balance = _short("ghost_contract_move_balance", _BYTES, _BYTES, _BYTES)
_burn_balance = _short("ghost_contract_burn_balance", _BYTES, _BYTES)


def _address(pointer: Any) -> Address:
    return Address(ffi.buffer(pointer)[:])


def _integer(pointer: Any) -> int:
    return int.from_bytes(ffi.buffer(pointer), "big")


class NativeHost:
    """A `ContractHost` for one call inside the native executor. Not to be kept."""

    __slots__ = ("_block", "_call", "_pointer", "message")

    def __init__(self, call: Any) -> None:
        """call: a ghost_contract_call."""
        self._call = call
        self._pointer = int(ffi.cast("uintptr_t", call))
        self._block: ContractBlock | None = None
        # No more is copied than the gas pays for; a word more, so that paying fails.
        length = min(call.input_length, 32 * (call.gas // _COPY_WORD + 1))
        # Three addresses and the value stand together.
        who = ffi.buffer(call.address, 3 * 20 + 32)[:]
        self.message = ContractMessage(
            Address(who[:20]),
            Address(who[20:40]),
            int.from_bytes(who[60:], "big"),
            ffi.buffer(call.input, length)[:] if length else b"",
            bool(call.is_static),
            Address(who[40:60]),
        )

    @property
    def block(self) -> ContractBlock:
        if self._block is None:
            call = self._call
            self._block = ContractBlock(
                number=call.number,
                timestamp=call.timestamp,
                gas_limit=call.gas_limit,
                chain_id=call.chain_id,
                coinbase=_address(call.coinbase),
                base_fee=_integer(call.base_fee),
                prev_randao=Hash32(ffi.buffer(call.prev_randao)[:]),
            )
        return self._block

    @property
    def gas(self) -> int:
        return int(self._call.gas)

    def charge(self, gas: int) -> None:
        left = self._call.gas - gas
        if left < 0:
            raise Halt(_OUT_OF_GAS)
        self._call.gas = left

    def load(self, key: int) -> int:
        exit = _load(self._pointer, key.to_bytes(32, "big"))
        if exit:
            raise Halt(exit)
        return int.from_bytes(ffi.buffer(self._call.word), "big")

    def store(self, key: int, value: int) -> None:
        exit = _store(self._pointer, key.to_bytes(32, "big"), value.to_bytes(32, "big"))
        if exit:
            raise Halt(exit)

    def hash(self, data: bytes, gas: int) -> int:
        exit = _hash(self._pointer, gas, data, len(data))
        if exit:
            raise Halt(exit)
        return int.from_bytes(ffi.buffer(self._call.word), "big")

    def load_transient(self, key: int) -> int:
        exit = _load_transient(self._pointer, key.to_bytes(32, "big"))
        if exit:
            raise Halt(exit)
        return _integer(self._call.word)

    def store_transient(self, key: int, value: int) -> None:
        exit = _store_transient(self._pointer, key.to_bytes(32, "big"), value.to_bytes(32, "big"))
        if exit:
            raise Halt(exit)

    def log(self, topics: Sequence[bytes], data: bytes) -> None:
        exit = _log(self._pointer, b"".join(topics), len(topics), data, len(data))
        if exit:
            raise Halt(exit)

    def balance(self, address: Address) -> int:
        exit = _balance(self._pointer, address)
        if exit:
            raise Halt(exit)
        return _integer(self._call.word)

    def code(self, address: Address) -> bytes:
        exit = _code(self._pointer, address)
        if exit:
            raise Halt(exit)
        return self._returned()

    def block_hash(self, number: int) -> Hash32:
        # A number that no block has is the hash of none: so is the largest of 64 bits.
        exit = _block_hash(self._pointer, min(number, _ALL_GAS))
        if exit:
            raise Halt(exit)
        return Hash32(ffi.buffer(self._call.word)[:])

    def call(
        self, address: Address, data: bytes, *, value: int, gas: int | None, is_static: bool
    ) -> tuple[bool, bytes]:
        ended = ffi.new("int *")
        exit = lib.ghost_contract_send(
            self._call,
            address,
            value.to_bytes(32, "big"),
            _ALL_GAS if gas is None else min(gas, _ALL_GAS),
            is_static,
            ffi.from_buffer(data),
            len(data),
            ended,
        )
        if exit:
            raise Halt(exit)
        return ended[0] == _SUCCESS, self._returned()

    def move_balance(self, source: Address, target: Address, amount: int) -> None:
        exit = _move_balance(self._pointer, source, target, amount.to_bytes(32, "big"))
        if exit:
            raise Halt(exit)

    def burn_balance(self, source: Address, amount: int) -> None:
        exit = _burn_balance(self._pointer, source, amount.to_bytes(32, "big"))
        if exit:
            raise Halt(exit)

    def _returned(self) -> bytes:
        call = self._call
        length = call.returned_length
        return ffi.buffer(call.returned, length)[:] if length else b""


class ContractDoor(Protocol):
    """What an executor keeps for the callback below."""

    contracts: ContractRunner | None

    def fail(self, failure: BaseException) -> int:
        """Keeps what stopped the node, to be raised when native code has returned."""


@ffi.def_extern(error=_ABORT)  # type: ignore[untyped-decorator]
def ghost_python_contract(context: Any, call: Any) -> int:
    door: ContractDoor = ffi.from_handle(context)
    try:
        assert door.contracts is not None
        exit, output = door.contracts(call.id, NativeHost(call))
        if output and lib.ghost_contract_output(call, output, len(output)):
            return _ABORT
    except BaseException as failure:  # kept, and raised again by the caller of native code
        door.fail(failure)
        return _ABORT
    return exit


def plug(executor: Any, context: Any, *, with_kernel: bool = True) -> None:
    """Makes a native executor call the door behind a handle for its native contracts.

    with_kernel: the calls that the kernels in `native/contracts/` know never reach Python; False in
    tests that compare both. Raises: MemoryError.
    """
    runner = ffi.new("ghost_contract_runner *")
    runner.context = context
    runner.run = lib.ghost_python_contract
    runner.with_kernel = with_kernel
    if lib.ghost_contracts_plug(executor, runner) != lib.GHOST_OK:
        raise MemoryError("the native core found no memory for native contracts")
