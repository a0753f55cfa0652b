"""Storage as attributes: slots, mappings, records, arrays and queues over ordinary 256-bit words.

Everything lies where Solidity would put it (Layout of State Variables in Storage), so explorers and
proofs need to know nothing new:

    total = Slot[UInt256](0)                      word 0
    shares = Mapping[Address, UInt256](1)         keccak256(key . 1)
    allowances = Mapping[Address, Mapping[Address, UInt256]](2)
    validators = Mapping[Address, Validator](3)   a Record: its fields from keccak256(key . 3) on
    names = Array[Bytes32](4)                     the length in word 4, items from keccak256(4) on
    unbonding = Mapping[Address, Queue[Unbonding]](5)

Nothing is read before it is asked for, and nothing is cached: each read is an SLOAD, each
assignment an SSTORE, at their price. Fields of a record that are narrower than a word share one, in
order, as in a Solidity struct; `del` clears. Numbers that do not fit their type are a Panic(0x11).

Two deviations: items of an Array always begin a word (Solidity packs small ones), and a Queue has
no counterpart there (its word holds the number of the first item in the low 128 bits and of the one
after the last in the high; items lie from keccak256(slot) on).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import (
    Any,
    ClassVar,
    Generic,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from ghostchain.contracts.framework import gas
from ghostchain.contracts.framework.abi import BOOL, Bytes, Text, Word, type_of
from ghostchain.contracts.framework.errors import PANIC_BOUNDS, PANIC_EMPTY_POP, Panic
from ghostchain.execution.contracts import ContractHost

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_WORDS = 1 << 256
_HALF = (1 << 128) - 1


class Owner(Protocol):
    """What storage belongs to: a contract in a call."""

    _host: ContractHost
    _is_metered: bool


def hashed(owner: Owner, data: bytes) -> int:
    """keccak256 as the number of a word, paid for."""
    return owner._host.hash(data, gas.HASH if owner._is_metered else 0)


# ---- what may lie at a place ----


class Cell:
    """How one kind of value lies in storage. words: how many it takes there."""

    words = 1

    def get(self, owner: Owner, key: int) -> Any:
        raise AssertionError(type(self))

    def set(self, owner: Owner, key: int, value: Any) -> None:
        raise TypeError("only values are assigned: set a record's fields, a mapping's entries")

    def clear(self, owner: Owner, key: int) -> None:
        raise TypeError("a mapping or a queue cannot be cleared as a whole")


class _WordCell(Cell):
    def __init__(self, kind: Word) -> None:
        self.kind = kind

    def get(self, owner: Owner, key: int) -> Any:
        return self.kind.value(owner._host.load(key))

    def set(self, owner: Owner, key: int, value: Any) -> None:
        owner._host.store(key, self.kind.number(value))

    def clear(self, owner: Owner, key: int) -> None:
        owner._host.store(key, 0)


class _BytesCell(Cell):
    """bytes and str: up to 31 in place with twice the length in the last byte; longer ones from
    keccak256(slot) on, with twice the length plus one in place."""

    def __init__(self, is_text: bool) -> None:
        self.is_text = is_text

    def get(self, owner: Owner, key: int) -> Any:
        word = owner._host.load(key)
        if word & 1:
            length, first = word >> 1, hashed(owner, key.to_bytes(32, "big"))
            words = [owner._host.load((first + i) % _WORDS) for i in range(-(-length // 32))]
            data = b"".join(word.to_bytes(32, "big") for word in words)[:length]
        else:
            data = word.to_bytes(32, "big")[: (word & 0xFF) >> 1]
        return data.decode() if self.is_text else data

    def set(self, owner: Owner, key: int, value: Any) -> None:
        data: bytes = value.encode() if self.is_text else value
        self._cut(owner, key, -(-len(data) // 32) if len(data) > 31 else 0)
        if len(data) <= 31:
            owner._host.store(
                key, int.from_bytes(data.ljust(31, b"\0"), "big") << 8 | 2 * len(data)
            )
            return
        owner._host.store(key, 2 * len(data) + 1)
        first = hashed(owner, key.to_bytes(32, "big"))
        for start in range(0, len(data), 32):
            word = int.from_bytes(data[start : start + 32].ljust(32, b"\0"), "big")
            owner._host.store((first + start // 32) % _WORDS, word)

    def clear(self, owner: Owner, key: int) -> None:
        self._cut(owner, key, 0)
        owner._host.store(key, 0)

    def _cut(self, owner: Owner, key: int, kept: int) -> None:
        """Zeroes the words of a longer value that was here."""
        word = owner._host.load(key)
        if word & 1:
            first = hashed(owner, key.to_bytes(32, "big"))
            for index in range(kept, -(-(word >> 1) // 32)):
                owner._host.store((first + index) % _WORDS, 0)


class _BoundCell(Cell):
    """A record, mapping, array or queue: reading it costs nothing, using it does."""

    def __init__(self, bind: Any, clear: Any = None, words: int = 1) -> None:
        self.bind, self.clear_at, self.words = bind, clear, words

    def get(self, owner: Owner, key: int) -> Any:
        return self.bind(owner, key)

    def clear(self, owner: Owner, key: int) -> None:
        if self.clear_at is None:
            super().clear(owner, key)
        self.clear_at(owner, key)


def cell_of(annotation: Any) -> Cell:
    """Raises: TypeError when nothing in storage has this type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Mapping:
        entries = _MappingLayout(*arguments)
        return _BoundCell(lambda owner, key: Mapping._bound(entries, owner, key))
    if origin is Array:
        item = cell_of(arguments[0])
        return _BoundCell(lambda owner, key: Array._bound(item, owner, key))
    if origin is Queue:
        item = cell_of(arguments[0])
        return _BoundCell(lambda owner, key: Queue._bound(item, owner, key))
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return _BoundCell(annotation, annotation._clear, annotation._words)
    kind = type_of(annotation)
    if isinstance(kind, Word):
        return _WordCell(kind)
    if isinstance(kind, Bytes):
        return _BytesCell(isinstance(kind, Text))
    raise TypeError(f"{annotation!r} is not stored: use a Record, Mapping, Array or Queue")


class _MappingLayout:
    def __init__(self, key: Any, value: Any) -> None:
        self.key = type_of(key)
        self.is_word = isinstance(self.key, Word)
        if not self.is_word and not isinstance(self.key, Bytes):
            raise TypeError(f"{key!r} is not the key of a mapping")
        self.value = cell_of(value)

    def place(self, owner: Owner, key: Any, slot: bytes) -> int:
        if self.is_word:
            return hashed(owner, self.key.encode(key) + slot)
        raw = key.encode() if isinstance(self.key, Text) else key
        if owner._is_metered:
            owner._host.charge(6 * (len(raw) // 32))
        return hashed(owner, raw + slot)


# ---- descriptors of a contract ----


class _Declared:
    """A declaration in a contract's class: `Kind[types](slot)`."""

    slot: int
    _cell: Cell

    def __init__(self, slot: int) -> None:
        self.slot = slot

    def __set_name__(self, owner: type, name: str) -> None:
        alias = getattr(self, "__orig_class__", None)
        if alias is None:
            raise TypeError(f"{owner.__name__}.{name} names no type: {type(self).__name__}[...]")
        self._cell = self._cell_of(alias)

    def _cell_of(self, alias: Any) -> Cell:
        return cell_of(alias)


class Slot(_Declared, Generic[T]):
    """A value in a fixed word: `total = Slot[UInt256](0)`, then `self.total += 1`."""

    def _cell_of(self, alias: Any) -> Cell:
        return cell_of(get_args(alias)[0])

    @overload
    def __get__(self, instance: None, owner: type) -> Slot[T]: ...
    @overload
    def __get__(self, instance: Any, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self._cell.get(instance, self.slot)

    def __set__(self, instance: Any, value: T) -> None:
        self._cell.set(instance, self.slot, value)


class _Bound(_Declared):
    _layout: Any
    _owner: Owner
    _key: int

    @classmethod
    def _bound(cls, layout: Any, owner: Owner, key: int) -> Any:
        bound = object.__new__(cls)
        bound._layout, bound._owner, bound._key = layout, owner, key
        return bound

    def __set__(self, instance: Any, value: Any) -> None:
        raise TypeError("only values are assigned: set the entries")


class Mapping(_Bound, Generic[K, V]):
    """`shares = Mapping[Address, UInt256](1)`, then `self.shares[who] += 1`. What was never set
    reads as zero. Values: whatever a Slot has, records, and mappings, arrays and queues."""

    def __get__(self, instance: Any, owner: type) -> Mapping[K, V]:
        if instance is None:
            return self
        return cast("Mapping[K, V]", self._cell.get(instance, self.slot))

    def place(self, key: K) -> int:
        """The number of the word where the entry begins."""
        return int(self._layout.place(self._owner, key, self._key.to_bytes(32, "big")))

    def __getitem__(self, key: K) -> V:
        return cast(V, self._layout.value.get(self._owner, self.place(key)))

    def __setitem__(self, key: K, value: V) -> None:
        self._layout.value.set(self._owner, self.place(key), value)

    def __delitem__(self, key: K) -> None:
        self._layout.value.clear(self._owner, self.place(key))


class Array(_Bound, Generic[T]):
    """A list that grows and shrinks at its end. An index outside is a Panic(0x32)."""

    def __get__(self, instance: Any, owner: type) -> Array[T]:
        return self if instance is None else cast("Array[T]", self._cell.get(instance, self.slot))

    def __len__(self) -> int:
        return int(self._owner._host.load(self._key))

    def _place(self, index: int) -> int:
        first = hashed(self._owner, self._key.to_bytes(32, "big"))
        return int((first + index * self._layout.words) % _WORDS)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise Panic(PANIC_BOUNDS)
        return self._place(index)

    def __getitem__(self, index: int) -> T:
        return cast(T, self._layout.get(self._owner, self._checked(index)))

    def __setitem__(self, index: int, value: T) -> None:
        self._layout.set(self._owner, self._checked(index), value)

    def __iter__(self) -> Iterator[T]:
        for index in range(len(self)):
            yield cast(T, self._layout.get(self._owner, self._place(index)))

    def append(self, value: T) -> None:
        self._layout.set(self._owner, self._extend(), value)

    def add(self) -> T:
        """One more record at the end, to be filled."""
        return cast(T, self._layout.get(self._owner, self._extend()))

    def _extend(self) -> int:
        length = len(self)
        self._owner._host.store(self._key, length + 1)
        return self._place(length)

    def pop(self) -> None:
        """Clears the last item. Raises: Panic(0x31) when there is none."""
        length = len(self)
        if length == 0:
            raise Panic(PANIC_EMPTY_POP)
        self._layout.clear(self._owner, self._place(length - 1))
        self._owner._host.store(self._key, length - 1)


class Queue(_Bound, Generic[T]):
    """First in, first out; each operation costs the same at any length."""

    def __get__(self, instance: Any, owner: type) -> Queue[T]:
        return self if instance is None else cast("Queue[T]", self._cell.get(instance, self.slot))

    def _bounds(self) -> tuple[int, int]:
        word = self._owner._host.load(self._key)
        return word & _HALF, word >> 128

    def _place(self, number: int) -> int:
        first = hashed(self._owner, self._key.to_bytes(32, "big"))
        return int((first + number * self._layout.words) % _WORDS)

    def __len__(self) -> int:
        first, after = self._bounds()
        return after - first

    def __getitem__(self, index: int) -> T:
        """The item with that many before it. Raises: Panic(0x32)."""
        first, after = self._bounds()
        if not 0 <= index < after - first:
            raise Panic(PANIC_BOUNDS)
        return cast(T, self._layout.get(self._owner, self._place(first + index)))

    def append(self, value: T) -> None:
        self._layout.set(self._owner, self._extend(), value)

    def add(self) -> T:
        """One more record at the end, to be filled."""
        return cast(T, self._layout.get(self._owner, self._extend()))

    def _extend(self) -> int:
        first, after = self._bounds()
        self._owner._host.store(self._key, (after + 1) << 128 | first)
        return self._place(after)

    def drop(self) -> None:
        """Clears the first item. Raises: Panic(0x31) when there is none."""
        first, after = self._bounds()
        if first == after:
            raise Panic(PANIC_EMPTY_POP)
        self._layout.clear(self._owner, self._place(first))
        self._owner._host.store(self._key, after << 128 | (first + 1))


# ---- records ----


class _Field:
    """A field of a record: a whole cell, or some bytes of a word that it shares."""

    def __init__(self, cell: Cell, word: int, byte: int) -> None:
        self.cell, self.word, self.byte = cell, word, byte
        kind = cell.kind if isinstance(cell, _WordCell) and cell.kind.size < 32 else None
        self.kind = kind
        self.shift = 8 * byte
        self.mask = 0 if kind is None else (1 << (8 * kind.size)) - 1

    def __get__(self, record: Any, owner: type) -> Any:
        if record is None:
            return self
        key = (record._key + self.word) % _WORDS
        if self.kind is None:
            return self.cell.get(record._owner, key)
        number = record._owner._host.load(key) >> self.shift & self.mask
        return bool(number) if self.kind is BOOL else self.kind.value(number)

    def __set__(self, record: Any, value: Any) -> None:
        key = (record._key + self.word) % _WORDS
        if self.kind is None:
            self.cell.set(record._owner, key, value)
            return
        host = record._owner._host
        kept = host.load(key) & ~(self.mask << self.shift)
        host.store(key, kept | self.kind.number(value) << self.shift)


class Record:
    """A struct in storage. Subclass it with annotated fields, in order:

        class Validator(Record):
            tokens: UInt256             # word 0
            operator: Address           # 20 bytes of word 1
            jailed_until: UInt64        # 8 more bytes of word 1
            delegations: Mapping[Address, UInt256]

    A record is a view: each field is loaded when it is read and stored when it is assigned.
    """

    __slots__ = ("_key", "_owner")
    _words: ClassVar[int] = 0
    _fields: ClassVar[tuple[_Field, ...]] = ()

    def __init__(self, owner: Any, key: int) -> None:
        self._owner = owner
        self._key = key

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        word = byte = 0
        fields = []
        for name in inspect.get_annotations(cls):
            cell = cell_of(hints[name])
            size = cell.kind.size if isinstance(cell, _WordCell) else 32
            if byte and byte + size > 32:
                word, byte = word + 1, 0
            field = _Field(cell, word, byte)
            setattr(cls, name, field)
            fields.append(field)
            byte += size
            if byte >= 32:
                word, byte = word + cell.words, 0
        cls._words, cls._fields = word + (byte > 0), tuple(fields)

    @classmethod
    def _clear(cls, owner: Owner, key: int) -> None:
        """Zeroes every word. Raises: TypeError when a field is a mapping or a queue."""
        done = set()
        for field in cls._fields:
            if field.word not in done:
                done.add(field.word)
                field.cell.clear(owner, (key + field.word) % _WORDS)
