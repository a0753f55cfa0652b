"""The contract ABI: types, strict decoding that is paid for word by word, encoding.

Decoding here, and not with a general library, because call data is hostile: a thousand pointers to
one large array are a thousand arrays once decoded. Each word is charged before it is decoded, so
the gas of the call bounds the work. What Solidity refuses is refused: words that do not fit their
type, offsets and lengths past the end. Bytes after the arguments are allowed, as there; text that
is not UTF-8 is refused, which Solidity leaves to the contract.

Spec: the Contract ABI Specification of Solidity.
Oracle: eth-abi, in tests/unit/test_contract_abi.py.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, get_args, get_origin, get_type_hints

from ghostchain.contracts.framework.errors import PANIC_OVERFLOW, MalformedCall, Panic
from ghostchain.primitives.types import Address, Hash32

Charge = Callable[[int], None]
"""Pays for that many words."""

_OFFSET_MAX = 1 << 64


class AbiType:
    """A type of the ABI. `name` is canonical, as in signatures.

    words: of its head where it is static. is_dynamic: the head is an offset.
    """

    name: str
    words = 1
    is_dynamic = False

    def decode(self, data: bytes, place: int, charge: Charge) -> Any:
        """The value whose encoding begins at place. Raises: MalformedCall."""
        raise AssertionError(self.name)

    def encode(self, value: Any) -> bytes:
        """Raises: Panic when a number does not fit; TypeError or ValueError for a wrong value."""
        raise AssertionError(self.name)

    def component(self, name: str) -> dict[str, Any]:
        """As the JSON ABI has a parameter."""
        return {"name": name, "type": self.name}


class Word(AbiType):
    """A type of one word. size: the bytes it needs in storage."""

    size = 32

    def number(self, value: Any) -> int:
        """What stands in storage, at the low end."""
        raise AssertionError(self.name)

    def value(self, number: int) -> Any:
        """The inverse, for numbers of `size` bytes."""
        raise AssertionError(self.name)

    def decode(self, data: bytes, place: int, charge: Charge) -> Any:
        word = data[place : place + 32]
        if len(word) != 32:
            raise MalformedCall
        return self.of_word(int.from_bytes(word, "big"))

    def of_word(self, word: int) -> Any:
        """Raises: MalformedCall when the word does not fit the type."""
        if word >> (8 * self.size):
            raise MalformedCall
        return self.value(word)

    def encode(self, value: Any) -> bytes:
        return self.number(value).to_bytes(32, "big")


class Unsigned(Word):
    def __init__(self, bits: int) -> None:
        self.name, self.size, self.limit = f"uint{bits}", bits // 8, 1 << bits

    def number(self, value: Any) -> int:
        if not 0 <= value < self.limit:
            raise Panic(PANIC_OVERFLOW)
        return int(value)

    def value(self, number: int) -> int:
        return number


class Signed(Word):
    def __init__(self, bits: int) -> None:
        self.name, self.size, self.half = f"int{bits}", bits // 8, 1 << (bits - 1)

    def number(self, value: Any) -> int:
        if not -self.half <= value < self.half:
            raise Panic(PANIC_OVERFLOW)
        return int(value) % (2 * self.half)

    def value(self, number: int) -> int:
        return number - 2 * self.half if number >= self.half else number

    def of_word(self, word: int) -> int:
        signed = word - (1 << 256) if word >> 255 else word
        if not -self.half <= signed < self.half:
            raise MalformedCall
        return signed

    def encode(self, value: Any) -> bytes:
        self.number(value)
        return int(value).to_bytes(32, "big", signed=True)


class Boolean(Word):
    name, size = "bool", 1

    def number(self, value: Any) -> int:
        return int(bool(value))

    def value(self, number: int) -> bool:
        if number > 1:
            raise MalformedCall
        return number == 1


class AddressType(Word):
    name, size = "address", 20

    def number(self, value: Any) -> int:
        if len(value) != 20:
            raise ValueError(f"an address has 20 bytes, not {len(value)}")
        return int.from_bytes(value, "big")

    def value(self, number: int) -> Address:
        return Address(number.to_bytes(20, "big"))


class FixedBytes(Word):
    def __init__(self, size: int) -> None:
        self.name, self.size = f"bytes{size}", size

    def number(self, value: Any) -> int:
        if len(value) != self.size:
            raise ValueError(f"{self.name} has {self.size} bytes, not {len(value)}")
        return int.from_bytes(value, "big")

    def value(self, number: int) -> bytes:
        return number.to_bytes(self.size, "big")

    def of_word(self, word: int) -> bytes:
        shift = 8 * (32 - self.size)
        if word & ((1 << shift) - 1):
            raise MalformedCall
        return self.value(word >> shift)

    def encode(self, value: Any) -> bytes:
        self.number(value)
        return bytes(value).ljust(32, b"\0")


class Bytes(AbiType):
    name, is_dynamic = "bytes", True

    def decode(self, data: bytes, place: int, charge: Charge) -> Any:
        length = _read_size(data, place)
        charge(-(-length // 32))
        value = data[place + 32 : place + 32 + length]
        if len(value) != length:
            raise MalformedCall
        return value

    def encode(self, value: Any) -> bytes:
        return len(value).to_bytes(32, "big") + bytes(value).ljust(-(-len(value) // 32) * 32, b"\0")


class Text(Bytes):
    name = "string"

    def decode(self, data: bytes, place: int, charge: Charge) -> str:
        raw: bytes = super().decode(data, place, charge)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise MalformedCall from None

    def encode(self, value: Any) -> bytes:
        return super().encode(value.encode())


class Tuple(AbiType):
    """Several values one after the other: arguments, results, or a struct.

    make: what a struct's values become; names: of its components.
    """

    def __init__(
        self,
        items: Sequence[AbiType],
        names: Sequence[str] = (),
        make: Callable[..., Any] | None = None,
    ) -> None:
        self.items = tuple(items)
        self.names = tuple(names)
        self.make = make
        self.name = f"({','.join(item.name for item in items)})"
        self.is_dynamic = any(item.is_dynamic for item in items)
        self.head = sum(1 if item.is_dynamic else item.words for item in items)
        self.words = self.head

    def decode(self, data: bytes, place: int, charge: Charge) -> Any:
        values = self.decode_items(data, place, charge)
        return self.make(*values) if self.make is not None else tuple(values)

    def decode_items(self, data: bytes, place: int, charge: Charge) -> list[Any]:
        charge(self.head)
        if len(data) < place + 32 * self.head:
            raise MalformedCall
        values, base = [], place
        for item in self.items:
            if item.is_dynamic:
                values.append(item.decode(data, base + _read_size(data, place), charge))
                place += 32
            else:
                values.append(item.decode(data, place, charge))
                place += 32 * item.words
        return values

    def encode(self, value: Any) -> bytes:
        if self.make is not None:
            value = [getattr(value, name) for name in self.names]
        if len(value) != len(self.items):
            raise TypeError(f"{self.name} is not the type of {len(value)} values")
        if not self.is_dynamic:
            parts = zip(self.items, value, strict=True)
            return b"".join([item.encode(part) for item, part in parts])
        heads, tails, offset = [], [], 32 * self.head
        for item, part in zip(self.items, value, strict=True):
            encoded = item.encode(part)
            if item.is_dynamic:
                heads.append(offset.to_bytes(32, "big"))
                tails.append(encoded)
                offset += len(encoded)
            else:
                heads.append(encoded)
        return b"".join(heads + tails)

    def component(self, name: str) -> dict[str, Any]:
        names = self.names or ("",) * len(self.items)
        parts = [item.component(part) for item, part in zip(self.items, names, strict=True)]
        return {"name": name, "type": "tuple", "components": parts}


class Array(AbiType):
    """T[]: as many as the value has."""

    is_dynamic = True

    def __init__(self, item: AbiType) -> None:
        self.item = item
        self.name = f"{item.name}[]"

    def decode(self, data: bytes, place: int, charge: Charge) -> list[Any]:
        count = _read_size(data, place)
        base = place + 32
        words = 1 if self.item.is_dynamic else self.item.words
        if count * words * 32 > len(data) - base:
            raise MalformedCall
        charge(count * words)
        if self.item.is_dynamic:
            return [
                self.item.decode(data, base + _read_size(data, base + 32 * index), charge)
                for index in range(count)
            ]
        return [self.item.decode(data, base + 32 * words * index, charge) for index in range(count)]

    def encode(self, value: Any) -> bytes:
        return len(value).to_bytes(32, "big") + Tuple((self.item,) * len(value)).encode(value)

    def component(self, name: str) -> dict[str, Any]:
        inner = self.item.component(name)
        return {**inner, "type": inner["type"] + "[]"}


def _read_size(data: bytes, place: int) -> int:
    word = data[place : place + 32]
    size = int.from_bytes(word, "big")
    if len(word) != 32 or size >= _OFFSET_MAX:
        raise MalformedCall
    return size


ADDRESS, BOOL, BYTES, STRING = AddressType(), Boolean(), Bytes(), Text()
UINT256 = Unsigned(256)

# The names contracts write in annotations. For type checkers each is its Python type.
UInt8: TypeAlias = Annotated[int, Unsigned(8)]
UInt16: TypeAlias = Annotated[int, Unsigned(16)]
UInt32: TypeAlias = Annotated[int, Unsigned(32)]
UInt64: TypeAlias = Annotated[int, Unsigned(64)]
UInt96: TypeAlias = Annotated[int, Unsigned(96)]
UInt128: TypeAlias = Annotated[int, Unsigned(128)]
UInt256: TypeAlias = Annotated[int, UINT256]
Int256: TypeAlias = Annotated[int, Signed(256)]
Bytes1: TypeAlias = Annotated[bytes, FixedBytes(1)]
Bytes4: TypeAlias = Annotated[bytes, FixedBytes(4)]
Bytes32: TypeAlias = Annotated[bytes, FixedBytes(32)]

_PLAIN: tuple[tuple[Any, AbiType], ...] = (
    (int, UINT256),
    (bool, BOOL),
    (bytes, BYTES),
    (str, STRING),
    (Address, ADDRESS),
    (Hash32, FixedBytes(32)),
)


def type_of(annotation: Any) -> AbiType:
    """The ABI type of a Python annotation.

    The aliases above, int (uint256), bool, bytes, str, Address, Hash32; list[T] and
    tuple[T, ...] (T[]); tuple[A, B]; a dataclass (a struct).
    Raises: TypeError for anything else.
    """
    for plain, abi_type in _PLAIN:
        if annotation is plain:
            return abi_type
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated and isinstance(arguments[1], AbiType):
        return arguments[1]
    if origin is list:
        return Array(type_of(arguments[0]))
    if origin is tuple and arguments[1:] == (...,):
        return Array(type_of(arguments[0]))
    if origin is tuple:
        return Tuple([type_of(argument) for argument in arguments])
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        names = [field.name for field in dataclasses.fields(annotation)]
        return Tuple([type_of(hints[name]) for name in names], names, annotation)
    raise TypeError(f"{annotation!r} is not a type of the ABI")


def parse_type(text: str) -> AbiType:
    """The type with a canonical name, tuples left out. Raises: ValueError."""
    if text.endswith("[]"):
        return Array(parse_type(text[:-2]))
    for plain in (ADDRESS, BOOL, BYTES, STRING):
        if plain.name == text:
            return plain
    match = re.fullmatch(r"(uint|int|bytes)([1-9]\d*)", text)
    if match:
        size = int(match[2])
        if match[1] == "bytes" and size <= 32:
            return FixedBytes(size)
        if match[1] != "bytes" and size <= 256 and size % 8 == 0:
            return Unsigned(size) if match[1] == "uint" else Signed(size)
    raise ValueError(f"{text!r} is not a type of the ABI")


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """An event or an error, as written: `Name(type name, type indexed name ...)`."""

    name: str
    types: tuple[AbiType, ...]
    names: tuple[str, ...]
    indexed: tuple[bool, ...]

    @property
    def canonical(self) -> str:
        return f"{self.name}({','.join(item.name for item in self.types)})"


def parse_signature(text: str) -> Signature:
    """Raises: ValueError when the text is not a signature."""
    match = re.fullmatch(r"(\w+)\((.*)\)", text.strip(), re.S)
    if match is None:
        raise ValueError(f"{text!r} is not a signature")
    found, names, indexed = [], [], []
    for number, part in enumerate(filter(None, (part.split() for part in match[2].split(",")))):
        found.append(parse_type(part[0]))
        is_indexed = part[1:2] == ["indexed"]
        rest = part[2:] if is_indexed else part[1:]
        if len(rest) > 1:
            raise ValueError(f"{text!r}: {' '.join(part)!r} is not a parameter")
        names.append(rest[0] if rest else f"value{number}")
        indexed.append(is_indexed)
    return Signature(match[1], tuple(found), tuple(names), tuple(indexed))
