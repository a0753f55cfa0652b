"""A contract as a Python class: its functions, events and errors, and how a call finds its way in.

A call goes: price of entry, function by the first four bytes, value and static guards, arguments
decoded (each word paid for), the method, its result encoded. See the package for an example.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import (
    Any,
    ClassVar,
    Literal,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from ghostchain.contracts.framework import gas as prices
from ghostchain.contracts.framework.abi import (
    AbiType,
    Array,
    Bytes,
    Tuple,
    parse_signature,
    type_of,
)
from ghostchain.contracts.framework.errors import MalformedCall, Revert
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.contracts import ContractBlock, ContractHost, ContractMessage, Halt
from ghostchain.primitives.types import Address

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound="NativeContract")

EXIT_STATIC_VIOLATION = 8

# Transient words of the framework: far from any that a contract would name.
_LOCK = int.from_bytes(keccak256(b"ghostchain.contracts.lock"), "big")


def selector_of(canonical: str) -> bytes:
    """The first four bytes of keccak256 of a canonical signature."""
    return keccak256(canonical.encode())[:4]


# ---- events and errors ----


class Event:
    """`Transfer = Event("Transfer(address indexed from, address indexed to, uint256 value)")`,
    then `self.emit(self.Transfer, source, target, amount)`."""

    def __init__(self, text: str) -> None:
        self.signature = parse_signature(text)
        if sum(self.signature.indexed) > 3:
            raise ValueError(f"{text!r}: at most three parameters are indexed")
        self.topic = keccak256(self.signature.canonical.encode())
        pairs = list(zip(self.signature.types, self.signature.indexed, strict=True))
        self._data = Tuple([kind for kind, indexed in pairs if not indexed])

    def encode(self, values: Sequence[Any]) -> tuple[list[bytes], bytes]:
        """The topics and the data. Indexed bytes, text and arrays show as their hash."""
        signature, topics, plain = self.signature, [bytes(self.topic)], []
        if len(values) != len(signature.types):
            raise TypeError(f"{signature.canonical} is not an event of {len(values)} values")
        for kind, indexed, value in zip(signature.types, signature.indexed, values, strict=True):
            if not indexed:
                plain.append(value)
            elif isinstance(kind, Bytes):
                topics.append(keccak256(value.encode() if isinstance(value, str) else value))
            elif isinstance(kind, Array):
                topics.append(keccak256(kind.encode(value)[32:]))
            else:
                topics.append(kind.encode(value))
        return topics, self._data.encode(plain)

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """The values by name; of what is indexed as its hash, the hash."""
        signature, found, plain = self.signature, list(topics[1:]), {}
        values = iter(self._data.decode_items(data, 0, _free))
        rows = zip(signature.types, signature.names, signature.indexed, strict=True)
        for kind, name, indexed in rows:
            if not indexed:
                plain[name] = next(values)
            else:
                topic = found.pop(0)
                plain[name] = kind.decode(topic, 0, _free) if not kind.is_dynamic else topic
        return plain

    def abi(self) -> dict[str, Any]:
        """Its entry in the JSON ABI."""
        signature = self.signature
        rows = zip(signature.types, signature.names, signature.indexed, strict=True)
        inputs = [{**kind.component(name), "indexed": indexed} for kind, name, indexed in rows]
        return {"type": "event", "name": signature.name, "inputs": inputs, "anonymous": False}


class Error:
    """`TooLittle = Error("TooLittle(uint256 given, uint256 needed)")`, then
    `raise self.TooLittle(given, needed)`: undoes the call, and tells its caller why."""

    def __init__(self, text: str) -> None:
        self.signature = parse_signature(text)
        self.selector = selector_of(self.signature.canonical)
        self._data = Tuple(self.signature.types, self.signature.names)

    def __call__(self, *values: Any) -> Revert:
        return Revert(self.selector + self._data.encode(values))

    def decode(self, data: bytes) -> tuple[Any, ...] | None:
        """The values in revert data; None when the data is another error."""
        if data[:4] != self.selector:
            return None
        return tuple(self._data.decode_items(data[4:], 0, _free))

    def abi(self) -> dict[str, Any]:
        """Its entry in the JSON ABI."""
        inputs = self._data.component("")["components"]
        return {"type": "error", "name": self.signature.name, "inputs": inputs}


def _free(words: int) -> None:
    """Decoding that nobody pays for: of what is our own."""


# ---- functions ----

Mutability = Literal["view", "nonpayable", "payable"]


@dataclass(frozen=True, slots=True)
class _Declaration:
    """What a decorator was told."""

    mutability: Mutability
    name: str | None
    price: int | None
    is_locked: bool
    returns: tuple[str, ...]


class Method:
    """A function of a contract as callers see it. price: all that its call costs besides what it
    does to the world; None for the prices of the table."""

    def __init__(self, declaration: _Declaration, function: Callable[..., Any]) -> None:
        hints = get_type_hints(function, include_extras=True)
        names = list(inspect.signature(function).parameters)[1:]
        self.function = function
        self.name = declaration.name or function.__name__
        self.mutability = declaration.mutability
        self.price = declaration.price
        self.is_locked = declaration.is_locked
        self.inputs = Tuple([type_of(hints[name]) for name in names], names)
        self.outputs = Tuple(_outputs(hints["return"]), declaration.returns)
        self.is_single = not _is_several(hints["return"])
        self.signature = self.name + self.inputs.name
        self.selector = selector_of(self.signature)

    def encode_call(self, arguments: Sequence[Any]) -> bytes:
        """Call data. Raises: Panic, TypeError or ValueError for what the types do not hold."""
        return self.selector + self.inputs.encode(list(arguments))

    def encode_result(self, result: Any) -> bytes:
        """What the function's result is on the wire."""
        if not self.outputs.items:
            return b""
        return self.outputs.encode((result,) if self.is_single else result)

    def decode_result(self, output: bytes) -> Any:
        """The inverse. Raises: MalformedCall when the output is not of the function's type."""
        values = self.outputs.decode_items(output, 0, _free)
        if not self.outputs.items:
            return None
        return values[0] if self.is_single else tuple(values)

    def abi(self) -> dict[str, Any]:
        """Its entry in the JSON ABI."""
        return {
            "type": "function",
            "name": self.name,
            "inputs": self.inputs.component("")["components"],
            "outputs": self.outputs.component("")["components"],
            "stateMutability": self.mutability,
        }


def _is_several(annotation: Any) -> bool:
    """tuple[A, B], which is several results; tuple[T, ...] is one."""
    return get_origin(annotation) is tuple and get_args(annotation)[1:] != (...,)


def _outputs(annotation: Any) -> list[AbiType]:
    if annotation is type(None):
        return []
    if _is_several(annotation):
        return [type_of(argument) for argument in get_args(annotation)]
    return [type_of(annotation)]


def _declare(declaration: _Declaration) -> Callable[[F], F]:
    def mark(function: F) -> F:
        function.__dict__["_declaration"] = declaration
        return function

    return mark


@overload
def external(function: F) -> F: ...
@overload
def external(
    *,
    payable: bool = False,
    name: str | None = None,
    price: int | None = None,
    locked: bool = False,
    returns: tuple[str, ...] = (),
) -> Callable[[F], F]: ...
def external(
    function: Any = None,
    *,
    payable: bool = False,
    name: str | None = None,
    price: int | None = None,
    locked: bool = False,
    returns: tuple[str, ...] = (),
) -> Any:
    """A function that callers may call and that may change things.

    payable: takes native value (else a call with value reverts). name: when it differs from the
    method's (overloads have one name and different arguments). price: a flat one, see Method.
    locked: refused while another locked function of the contract is running (reentrancy); costs
    200 to 300 gas. returns: names of the results, for the JSON ABI.
    """
    mutability: Mutability = "payable" if payable else "nonpayable"
    mark = _declare(_Declaration(mutability, name, price, locked, returns))
    return mark if function is None else mark(function)


@overload
def view(function: F) -> F: ...
@overload
def view(
    *, name: str | None = None, price: int | None = None, returns: tuple[str, ...] = ()
) -> Callable[[F], F]: ...
def view(
    function: Any = None,
    *,
    name: str | None = None,
    price: int | None = None,
    returns: tuple[str, ...] = (),
) -> Any:
    """A function that callers may call and that changes nothing."""
    mark = _declare(_Declaration("view", name, price, False, returns))
    return mark if function is None else mark(function)


def receive(function: F) -> F:
    """The method that takes plain transfers of native value (calls without data). Without one
    they revert."""
    function.__dict__["_is_receive"] = True
    return function


# ---- contracts ----


class NativeContract:
    """A contract that lives at the protocol's address for ID (`addresses.address_of`).

    One instance answers one call. Its attributes are declarations of storage, events, errors and
    constants; nothing else outlives a call. All arithmetic is Python's, exact; a number that does
    not fit where it goes (a word of storage, an argument, a result) is a Panic(0x11), so a negative
    balance never arises. It must decide by its inputs alone: no floats, no clock, no randomness, no
    iteration over sets.
    """

    ID: ClassVar[int]
    METHODS: ClassVar[dict[bytes, Method]] = {}
    EVENTS: ClassVar[dict[str, Event]] = {}
    ERRORS: ClassVar[dict[str, Error]] = {}
    _receive: ClassVar[Callable[[Any], None] | None] = None

    ReentrantCall = Error("ReentrancyGuardReentrantCall()")

    def __init_subclass__(cls) -> None:
        methods: dict[bytes, Method] = {}
        events, errors = dict(cls.EVENTS), dict(cls.ERRORS)
        for name in sorted({name for base in cls.__mro__ for name in vars(base)}):
            member = inspect.getattr_static(cls, name)
            if isinstance(member, Event):
                events[member.signature.canonical] = member
            elif isinstance(member, Error):
                errors[member.signature.canonical] = member
            elif getattr(member, "_is_receive", False):
                cls._receive = member
            elif hasattr(member, "_declaration"):
                method = Method(member._declaration, member)
                other = methods.setdefault(method.selector, method)
                if other is not method:
                    raise TypeError(f"{cls.__name__}: {method.signature} and {other.signature}")
        if not any(method.is_locked for method in methods.values()):
            errors.pop(cls.ReentrantCall.signature.canonical, None)
        cls.METHODS, cls.EVENTS, cls.ERRORS = methods, events, errors

    def __init__(self, host: ContractHost) -> None:
        self._host = host
        self._is_metered = True
        self.msg: ContractMessage = host.message

    @property
    def block(self) -> ContractBlock:
        return self._host.block

    @property
    def address(self) -> Address:
        return self.msg.address

    # -- the way in --

    def answer(self) -> bytes:
        """Answers the call: what it returns. Raises: Revert, Halt."""
        data = self.msg.data
        method = self.METHODS.get(data[:4])
        price = None if method is None else method.price
        self._is_metered = price is None
        if price is None:
            price = prices.DISPATCH + prices.COPY_WORD * (-(-len(data) // 32))
        self._host.charge(price)
        if method is None:
            return self._answer_plain()
        if self.msg.value and method.mutability != "payable":
            raise Revert
        if self.msg.is_static and method.mutability != "view":
            raise Halt(EXIT_STATIC_VIOLATION)
        arguments = method.inputs.decode_items(data[4:], 0, self._charge_words)
        if method.is_locked:
            self._lock()
        result = method.encode_result(method.function(self, *arguments))
        if method.is_locked:
            self._host.store_transient(_LOCK, 0)
        self._charge_words(len(result) // 32)
        return result

    def _answer_plain(self) -> bytes:
        """No function: a plain transfer, or nothing that is known."""
        if self.msg.data or self._receive is None:
            raise Revert
        if self.msg.is_static:
            raise Halt(EXIT_STATIC_VIOLATION)
        type(self)._receive(self)  # type: ignore[misc]
        return b""

    def _lock(self) -> None:
        if self._host.load_transient(_LOCK):
            raise self.ReentrantCall()
        self._host.store_transient(_LOCK, 1)

    def _charge_words(self, words: int) -> None:
        if self._is_metered and words:
            self._host.charge(prices.WORD * words)

    # -- what a method may do --

    def charge(self, gas: int) -> None:
        """Pays for work that nothing else pays for (see `gas.STEP`)."""
        self._host.charge(gas)

    @property
    def gas_left(self) -> int:
        return self._host.gas

    def emit(self, event: Event, *values: Any) -> None:
        """Writes a log, with the event's parameters in order."""
        topics, data = event.encode(values)
        self._charge_words(len(topics) + len(data) // 32)
        self._host.log(topics, data)

    def balance_of(self, address: Address) -> int:
        """Native balance, in wei."""
        return self._host.balance(address)

    def code_of(self, address: Address) -> bytes:
        """The code of an account, empty when it has none."""
        return self._host.code(address)

    def block_hash(self, number: int) -> bytes:
        """Of one of the last 256 blocks, else zero."""
        return self._host.block_hash(number)

    def send(self, address: Address, amount: int) -> None:
        """Sends native value, with all gas but a 64th. Raises: Revert with the receiver's data."""
        self.call(address, b"", value=amount)

    def call(
        self, address: Address, data: bytes, *, value: int = 0, gas: int | None = None
    ) -> bytes:
        """Calls a contract of any engine: what it returned.

        gas: the most to give; None for all but a 64th. Raises: Revert with what it reverted with.
        """
        success, output = self.try_call(address, data, value=value, gas=gas)
        if not success:
            raise Revert(output)
        return output

    def static_call(self, address: Address, data: bytes, *, gas: int | None = None) -> bytes:
        """As call, but nothing may change."""
        success, output = self.try_call(address, data, gas=gas, is_static=True)
        if not success:
            raise Revert(output)
        return output

    def try_call(
        self,
        address: Address,
        data: bytes,
        *,
        value: int = 0,
        gas: int | None = None,
        is_static: bool = False,
    ) -> tuple[bool, bytes]:
        """As call, but a failure is an answer: whether it succeeded, and its output."""
        self._charge_words(-(-len(data) // 32))
        success, output = self._host.call(address, data, value=value, gas=gas, is_static=is_static)
        self._charge_words(-(-len(output) // 32))
        return success, output

    def at(self, interface: type[C], address: Address) -> C:
        """A contract elsewhere, of any engine, with the functions of a class:
        `self.at(Token, SPIRIT).transfer(to, amount)`. View functions are called statically. A
        function takes `value=` and `gas=` besides its arguments.

        Raises, when called: Revert with the other's data; Revert without data when it has no code
        or answers something else than the function's type.
        """
        return cast(C, _Remote(self, interface, address))

    @classmethod
    def method(cls, name: str) -> Method:
        """The function with this name or signature. Raises: LookupError unless there is one."""
        found = [m for m in cls.METHODS.values() if name in (m.name, m.signature)]
        if len(found) != 1:
            raise LookupError(f"{cls.__name__} has {len(found)} functions {name}")
        return found[0]

    @classmethod
    def abi(cls) -> list[dict[str, Any]]:
        """The JSON ABI: functions, then events, then errors, each by name."""
        entries: list[dict[str, Any]] = [
            method.abi() for method in sorted(cls.METHODS.values(), key=lambda m: m.signature)
        ]
        if cls._receive is not None:
            entries.append({"type": "receive", "stateMutability": "payable"})
        entries += [cls.EVENTS[name].abi() for name in sorted(cls.EVENTS)]
        entries += [cls.ERRORS[name].abi() for name in sorted(cls.ERRORS)]
        return entries


class _Remote:
    """Calls go out as the functions of an interface."""

    __slots__ = ("_address", "_caller", "_interface")

    def __init__(
        self, caller: NativeContract, interface: type[NativeContract], address: Address
    ) -> None:
        self._caller, self._interface, self._address = caller, interface, address

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = inspect.getattr_static(self._interface, name)
        method = next(m for m in self._interface.METHODS.values() if m.function is function)

        def call(*arguments: Any, value: int = 0, gas: int | None = None) -> Any:
            data = method.encode_call(arguments)
            if method.mutability == "view":
                output = self._caller.static_call(self._address, data, gas=gas)
            else:
                output = self._caller.call(self._address, data, value=value, gas=gas)
            try:
                result = method.decode_result(output)
            except MalformedCall:
                raise Revert from None
            if not method.outputs.items and not self._caller.code_of(self._address):
                raise Revert
            return result

        return call
