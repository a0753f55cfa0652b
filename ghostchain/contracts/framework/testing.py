"""Native contracts without a chain: a world in dictionaries, for tests of many steps.

    world = World({STAKING: Staking, SPIRIT: Spirit})
    alice = world.person("alice", balance=10**18)
    world.send(alice, STAKING, Staking.delegate, validator, 5)      # what the function returned
    with pytest.raises(Reverted) as refusal: ...                    # refusal.value.name, .values
    world.read(STAKING, Staking.sharesOf, alice)                    # a call whose changes go away
    world.block = replace(world.block, timestamp=...)               # time is the test's
    world.logs                                                      # of the last send, decoded

Contracts of the world call each other; a failed call undoes what it did. Gas is counted as on the
chain (EIP-2929, EIP-2200) up to what refunds give back, so `world.gas_used` is a good estimate;
intrinsic gas is left out. It is no oracle: the native executor is what counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ghostchain.contracts.framework import gas as prices
from ghostchain.contracts.framework.contract import Error, Event, Method, NativeContract
from ghostchain.contracts.framework.running import EXIT_REVERT, EXIT_SUCCESS, run_contract
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.contracts import FRAMES_MAX, ContractBlock, ContractMessage, Halt
from ghostchain.primitives.types import ZERO_ADDRESS, ZERO_HASH, Address, Hash32

GAS_LIMIT = 30_000_000
_OUT_OF_GAS, _STATIC_VIOLATION = 2, 8


class Reverted(Exception):
    """A call reverted. name and values of its custom error, `Error` with the reason, `Panic` with
    the code; name is "" when there was no data, or none that is known."""

    def __init__(self, name: str, values: tuple[Any, ...], data: bytes) -> None:
        super().__init__(name, values, data.hex())
        self.name, self.values, self.data = name, values, data


class Halted(Exception):
    """A call ended exceptionally; exit as `ghostchain.execution.executor.Exit`."""

    def __init__(self, exit: int) -> None:
        super().__init__(exit)
        self.exit = exit


@dataclass(frozen=True, slots=True)
class Entry:
    """A log: who wrote it, its event's name and values; raw where the event is not known."""

    address: Address
    name: str
    values: dict[str, Any]
    topics: tuple[bytes, ...]
    data: bytes


_STANDARD_ERRORS = (Error("Error(string reason)"), Error("Panic(uint256 code)"))


class World:
    """Accounts, storage and contracts in memory. contracts: by address.

    A plain Python callable in place of a contract class stands for any other code: it is called
    with (message) and returns output, or raises Revert.
    """

    def __init__(self, contracts: Mapping[Address, type[NativeContract] | Callable[..., bytes]]):
        self.contracts = dict(contracts)
        self.balances: dict[Address, int] = {}
        self.storage: dict[tuple[Address, int], int] = {}
        self.transient: dict[tuple[Address, int], int] = {}
        self.block_hashes: dict[int, Hash32] = {}
        self.block = ContractBlock(
            number=1,
            timestamp=1_700_000_000,
            gas_limit=GAS_LIMIT,
            chain_id=31337,
            coinbase=ZERO_ADDRESS,
            base_fee=10**9,
            prev_randao=ZERO_HASH,
        )
        self.raw_logs: list[tuple[Address, tuple[bytes, ...], bytes]] = []
        self.gas_used = 0
        self.originals: dict[tuple[Address, int], int] = {}
        self.warm: set[Any] = set()
        self.undo: list[Callable[[], object]] = []
        self.frames = 0

    def person(self, name: str, *, balance: int = 0) -> Address:
        """The account of a name, with that balance."""
        address = Address(keccak256(name.encode())[12:])
        self.balances[address] = balance
        return address

    def send(
        self,
        sender: Address,
        to: Address,
        function: Any,
        *arguments: Any,
        value: int = 0,
        gas: int = GAS_LIMIT,
    ) -> Any:
        """A transaction that calls a function of a contract class: what it returned.

        Raises: Reverted, Halted; then nothing has changed.
        """
        method = self._method(to, function)
        output = self.transact(sender, to, method.encode_call(arguments), value=value, gas=gas)
        return method.decode_result(output)

    def read(
        self, to: Address, function: Any, *arguments: Any, sender: Address = ZERO_ADDRESS
    ) -> Any:
        """As send, from a static call."""
        method = self._method(to, function)
        data = method.encode_call(arguments)
        return method.decode_result(self.transact(sender, to, data, is_static=True))

    def transact(
        self,
        sender: Address,
        to: Address,
        data: bytes,
        *,
        value: int = 0,
        gas: int = GAS_LIMIT,
        is_static: bool = False,
    ) -> bytes:
        """A transaction with raw data: its output. Raises: Reverted, Halted."""
        self.originals.clear()
        self.transient.clear()
        self.undo.clear()
        self.raw_logs.clear()
        self.warm = {sender, to, self.block.coinbase}
        message = ContractMessage(to, sender, value, data, is_static, sender)
        exit, output, left = self.run(message, gas)
        self.gas_used = gas - left
        if exit == EXIT_REVERT:
            raise self._reverted(output)
        if exit != EXIT_SUCCESS:
            raise Halted(exit)
        return output

    @property
    def logs(self) -> list[Entry]:
        """Of the last transaction."""
        return [self._entry(*log) for log in self.raw_logs]

    def run(self, message: ContractMessage, gas: int) -> tuple[int, bytes, int]:
        """One frame: exit, output, gas left."""
        mark, log_count = len(self.undo), len(self.raw_logs)
        if message.value:
            if self.balances.get(message.sender, 0) < message.value:
                return 16, b"", gas
            self.add_balance(message.sender, -message.value)
            self.add_balance(message.address, message.value)
        contract: Any = self.contracts.get(message.address)
        if contract is None:
            return EXIT_SUCCESS, b"", gas
        host = MemoryHost(self, message, gas)
        if inspect.isclass(contract) and issubclass(contract, NativeContract):
            if self.frames >= FRAMES_MAX:
                exit, output = 15, b""
            else:
                self.frames += 1
                exit, output = run_contract(contract, host)
                self.frames -= 1
        else:
            exit, output = EXIT_SUCCESS, contract(message)
        if exit == EXIT_SUCCESS:
            return exit, output, host.gas
        while len(self.undo) > mark:
            self.undo.pop()()
        del self.raw_logs[log_count:]
        return exit, output, host.gas if exit in (EXIT_REVERT, 15) else 0

    def add_balance(self, address: Address, amount: int) -> None:
        before = self.balances.get(address, 0)
        assert before + amount >= 0, "a balance below zero"
        self.balances[address] = before + amount
        self.undo.append(lambda: self.balances.__setitem__(address, before))

    def _method(self, to: Address, function: Any) -> Method:
        contract: Any = self.contracts[to]
        methods: dict[bytes, Method] = contract.METHODS
        return next(m for m in methods.values() if m.function is function)

    def _classes(self) -> list[Any]:
        return [contract for contract in self.contracts.values() if inspect.isclass(contract)]

    def _reverted(self, data: bytes) -> Reverted:
        known = [error for contract in self._classes() for error in contract.ERRORS.values()]
        for error in (*_STANDARD_ERRORS, *known):
            values = error.decode(data)
            if values is not None:
                return Reverted(error.signature.name, values, data)
        return Reverted("", (), data)

    def _entry(self, address: Address, topics: tuple[bytes, ...], data: bytes) -> Entry:
        contract: Any = self.contracts.get(address)
        events: dict[str, Event] = getattr(contract, "EVENTS", {})
        for event in events.values():
            if topics and event.topic == topics[0]:
                return Entry(
                    address, event.signature.name, event.decode(topics, data), topics, data
                )
        return Entry(address, "", {}, topics, data)


class MemoryHost:
    """A `ContractHost` on a World."""

    def __init__(self, world: World, message: ContractMessage, gas: int) -> None:
        self._world, self._message, self._gas = world, message, gas

    @property
    def message(self) -> ContractMessage:
        return self._message

    @property
    def block(self) -> ContractBlock:
        return self._world.block

    @property
    def gas(self) -> int:
        return self._gas

    def charge(self, gas: int) -> None:
        if gas > self._gas:
            raise Halt(_OUT_OF_GAS)
        self._gas -= gas

    def _is_cold(self, what: Any) -> bool:
        world = self._world
        if what in world.warm:
            return False
        world.warm.add(what)
        world.undo.append(lambda: world.warm.discard(what))
        return True

    def _change(self) -> None:
        if self._message.is_static:
            raise Halt(_STATIC_VIOLATION)

    def load(self, key: int) -> int:
        place = (self._message.address, key)
        self.charge(prices.COLD_SLOT if self._is_cold(place) else prices.WARM_ACCESS)
        return self._world.storage.get(place, 0)

    def store(self, key: int, value: int) -> None:
        self._change()
        if self._gas <= prices.STORE_SENTRY:
            raise Halt(_OUT_OF_GAS)
        world, place = self._world, (self._message.address, key)
        before = world.storage.get(place, 0)
        original = world.originals.setdefault(place, before)
        cost = prices.COLD_SLOT + prices.WARM_ACCESS if self._is_cold(place) else 0
        if before == value or original != before:
            cost += prices.WARM_ACCESS
        else:
            cost += prices.STORE_CHANGE if original else prices.STORE_SET
        self.charge(cost)
        world.storage[place] = value
        world.undo.append(lambda: world.storage.__setitem__(place, before))

    def hash(self, data: bytes, gas: int) -> int:
        self.charge(gas)
        return int.from_bytes(keccak256(data), "big")

    def load_transient(self, key: int) -> int:
        self.charge(prices.WARM_ACCESS)
        return self._world.transient.get((self._message.address, key), 0)

    def store_transient(self, key: int, value: int) -> None:
        self._change()
        self.charge(prices.WARM_ACCESS)
        world, place = self._world, (self._message.address, key)
        before = world.transient.get(place, 0)
        world.transient[place] = value
        world.undo.append(lambda: world.transient.__setitem__(place, before))

    def log(self, topics: Sequence[bytes], data: bytes) -> None:
        self._change()
        self.charge(prices.LOG + prices.LOG_TOPIC * len(topics) + prices.LOG_BYTE * len(data))
        self._world.raw_logs.append((self._message.address, tuple(topics), data))

    def _touch(self, address: Address) -> None:
        self.charge(prices.COLD_ACCOUNT if self._is_cold(address) else prices.WARM_ACCESS)

    def balance(self, address: Address) -> int:
        self._touch(address)
        return self._world.balances.get(address, 0)

    def code(self, address: Address) -> bytes:
        self._touch(address)
        return b"\xef\x47" if address in self._world.contracts else b""

    def block_hash(self, number: int) -> Hash32:
        self.charge(20)
        return self._world.block_hashes.get(number, ZERO_HASH)

    def call(
        self, address: Address, data: bytes, *, value: int, gas: int | None, is_static: bool
    ) -> tuple[bool, bytes]:
        if value:
            self._change()
        self._touch(address)
        stipend = 0
        if value:
            self.charge(prices.CALL_VALUE)
            stipend = prices.CALL_STIPEND
            if not self._world.balances.get(address) and address not in self._world.contracts:
                self.charge(prices.NEW_ACCOUNT)
        most = self._gas - self._gas // 64
        given = most if gas is None else min(gas, most)
        self.charge(given)
        message = ContractMessage(
            address,
            self._message.address,
            value,
            data,
            self._message.is_static or is_static,
            self._message.origin,
        )
        exit, output, left = self._world.run(message, given + stipend)
        self._gas += left
        return exit == EXIT_SUCCESS, output

    def move_balance(self, source: Address, target: Address, amount: int) -> None:
        self._change()
        self._touch(source)
        self._touch(target)
        if amount:
            self.charge(prices.CALL_VALUE)
            if not self._world.balances.get(target) and target not in self._world.contracts:
                self.charge(prices.NEW_ACCOUNT)
        self._world.add_balance(source, -amount)
        self._world.add_balance(target, amount)

    def burn_balance(self, source: Address, amount: int) -> None:
        self._change()
        self._touch(source)
        self._world.add_balance(source, -amount)
