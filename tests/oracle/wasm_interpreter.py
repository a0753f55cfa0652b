"""A small WebAssembly interpreter that counts the ink which the instructions it runs cost: the
oracle of rewriting. It reads the original module with its own decoder, trusts it to be valid, and
knows nothing of stretches, globals or limits."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

PAGE = 65_536
I32, I64 = 0x7F, 0x7E
BLOCK, LOOP, IF, ELSE, END, BR, BR_IF, BR_TABLE, RETURN = 2, 3, 4, 5, 11, 12, 13, 14, 15
CALL, CALL_INDIRECT = 16, 17

Prices = Callable[[int], int]


class Trap(Exception):
    """The program ended by a fault."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices besides those of opcodes, in ink."""

    entry: int
    declared: int
    argument: int
    bulk_byte: int


@dataclass
class Function:
    """One of the module's own. code holds (opcode, immediates); ends maps openings to their ends,
    elses ifs to their elses."""

    parameters: tuple[int, ...]
    results: tuple[int, ...]
    declared: list[int] = field(default_factory=list)
    code: list[tuple[int, Any]] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    elses: dict[int, int] = field(default_factory=dict)


class Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value - (1 << shift) if byte & 64 else value

    def bytes(self) -> bytes:
        length = self.unsigned()
        self.at += length
        return self.data[self.at - length : self.at]

    def items(self) -> Iterator[int]:
        return iter(range(self.unsigned()))


class Program:
    """A decoded module. Host functions take the program and their arguments and give a result."""

    def __init__(
        self,
        module: bytes,
        prices: Prices,
        tariff: Tariff,
        hosts: dict[str, Callable[..., int | None]],
    ) -> None:
        self.prices, self.tariff, self.hosts = prices, tariff, hosts
        self.types: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.functions: list[Any] = []
        self.table: list[Any] = []
        self.memory = bytearray()
        self.pages_max = 128
        self.globals: list[int] = []
        self.exports: dict[str, int] = {}
        self.data: list[bytes] = []
        self.ink = 0
        self.steps = 0
        self.steps_max = 200_000
        self._decode(module)

    # ---- decoding

    def _decode(self, module: bytes) -> None:
        whole = Reader(module, 8)
        while whole.at < len(module):
            section = whole.byte()
            inside = Reader(whole.bytes())
            reader = getattr(self, f"_section_{section}", None)
            if reader is not None:
                reader(inside)

    def _section_1(self, reader: Reader) -> None:
        for _ in reader.items():
            reader.byte()
            self.types.append((tuple(reader.bytes()), tuple(reader.bytes())))

    def _section_2(self, reader: Reader) -> None:
        for _ in reader.items():
            reader.bytes()
            name = reader.bytes().decode()
            reader.byte()
            self.functions.append((name, self.types[reader.unsigned()]))

    def _section_3(self, reader: Reader) -> None:
        for _ in reader.items():
            self.functions.append(Function(*self.types[reader.unsigned()]))

    def _section_4(self, reader: Reader) -> None:
        for _ in reader.items():
            reader.byte()
            bounded = reader.byte()
            self.table = [None] * reader.unsigned()
            if bounded:
                reader.unsigned()

    def _section_5(self, reader: Reader) -> None:
        for _ in reader.items():
            bounded = reader.byte()
            self.memory = bytearray(PAGE * reader.unsigned())
            if bounded:
                self.pages_max = min(128, reader.unsigned())

    def _constant(self, reader: Reader) -> int:
        bits = 32 if reader.byte() == 0x41 else 64
        value = reader.signed() % (1 << bits)
        reader.byte()
        return value

    def _section_6(self, reader: Reader) -> None:
        for _ in reader.items():
            reader.byte()
            reader.byte()
            self.globals.append(self._constant(reader))

    def _section_7(self, reader: Reader) -> None:
        for _ in reader.items():
            name = reader.bytes().decode()
            kind = reader.byte()
            index = reader.unsigned()
            if kind == 0:
                self.exports[name] = index

    def _section_9(self, reader: Reader) -> None:
        for _ in reader.items():
            if reader.unsigned() == 2:
                raise AssertionError("the generator writes no such segments")
            offset = self._constant(reader)
            for place in reader.items():
                self.table[offset + place] = self.functions[reader.unsigned()]

    def _section_10(self, reader: Reader) -> None:
        own = [function for function in self.functions if isinstance(function, Function)]
        for index in reader.items():
            body = Reader(reader.bytes())
            function = own[index]
            for _ in body.items():
                count = body.unsigned()
                function.declared += [body.byte()] * count
            self._decode_body(function, body)

    def _section_11(self, reader: Reader) -> None:
        for _ in reader.items():
            is_passive = reader.unsigned() == 1
            offset = 0 if is_passive else self._constant(reader)
            data = reader.bytes()
            if not is_passive:
                self.memory[offset : offset + len(data)] = data
            self.data.append(data if is_passive else b"")

    def _decode_body(self, function: Function, body: Reader) -> None:
        opened: list[int] = []
        while body.at < len(body.data):
            opcode = body.byte()
            if opcode == 0xFC:
                opcode = 0xFC00 | body.unsigned()
            place = len(function.code)
            if opcode in (BLOCK, LOOP, IF):
                opened.append(place)
            elif opcode == ELSE:
                function.elses[opened[-1]] = place
            elif opcode == END and opened:
                function.ends[opened.pop()] = place
            function.code.append((opcode, self._immediate(opcode, body)))

    def _immediate(self, opcode: int, body: Reader) -> Any:
        if opcode in (BLOCK, LOOP, IF):
            kind = body.signed()
            if kind >= 0:
                return tuple(map(len, self.types[kind]))
            return (0, 0) if kind == -64 else (0, 1)
        if opcode in (BR, BR_IF, CALL, 0x20, 0x21, 0x22, 0x23, 0x24, 0xFC09):
            return body.unsigned()
        if opcode == BR_TABLE:
            return [body.unsigned() for _ in range(body.unsigned() + 1)]
        if opcode == CALL_INDIRECT or 0x28 <= opcode <= 0x3E:
            return body.unsigned(), body.unsigned()
        if opcode in (0x41, 0x42):
            return body.signed() % (1 << (32 if opcode == 0x41 else 64))
        if opcode in (0x3F, 0x40, 0xFC0B):
            return body.byte()
        if opcode == 0xFC08:
            return body.unsigned(), body.byte()
        if opcode == 0xFC0A:
            return body.byte(), body.byte()
        if opcode == 0x1C:
            return body.bytes()
        return None

    # ---- running

    def call(self, name: str, *arguments: int) -> list[int]:
        return self._call(self.functions[self.exports[name]], list(arguments))

    def _call(self, function: Any, arguments: list[int]) -> list[int]:
        if isinstance(function, tuple):
            name, (_, results) = function
            value = self.hosts[name](self, *arguments)
            return [value or 0] if results else []
        self.ink += self.tariff.entry + self.tariff.declared * len(function.declared)
        return _Activation(self, function, arguments).run()


class _Activation:
    """One call of a function."""

    def __init__(self, program: Program, function: Function, arguments: list[int]) -> None:
        self.program, self.function = program, function
        self.locals = arguments + [0] * len(function.declared)
        self.stack: list[int] = []
        # Of open blocks: where a branch goes, how many operands it keeps, what lay below.
        self.labels: list[tuple[int, int, int]] = []

    def run(self) -> list[int]:
        function, program = self.function, self.program
        arity = len(function.results)
        self.labels.append((len(function.code), arity, 0))
        at = 0
        while at < len(function.code):
            program.steps += 1
            if program.steps > program.steps_max:
                raise TimeoutError("too many steps")
            opcode, immediate = function.code[at]
            program.ink += program.prices(opcode)
            at = self._step(opcode, immediate, at)
        return self.stack[len(self.stack) - arity :]

    def _branch(self, label: int) -> int:
        target, arity, height = self.labels[len(self.labels) - 1 - label]
        kept = self.stack[len(self.stack) - arity :]
        self.stack[height:] = kept
        del self.labels[len(self.labels) - 1 - label :]
        return target

    def _open(self, opcode: int, types: tuple[int, int], at: int) -> int:
        end = self.function.ends[at]
        if opcode == IF and not self.stack.pop():
            otherwise = self.function.elses.get(at)
            if otherwise is None:
                return end + 1
            following = otherwise + 1
        else:
            following = at + 1
        height = len(self.stack) - types[0]
        if opcode == LOOP:
            # A branch comes back to the instruction itself, which opens the block anew.
            self.labels.append((at, types[0], height))
        else:
            self.labels.append((end + 1, types[1], height))
        return following

    def _step(self, opcode: int, immediate: Any, at: int) -> int:
        if opcode in (BLOCK, LOOP, IF):
            return self._open(opcode, immediate, at)
        if opcode == ELSE:
            return self._branch(0)
        if opcode == END:
            self.labels.pop()
        elif opcode == BR:
            return self._branch(immediate)
        elif opcode == BR_IF:
            if self.stack.pop():
                return self._branch(immediate)
        elif opcode == BR_TABLE:
            return self._branch(immediate[min(self.stack.pop(), len(immediate) - 1)])
        elif opcode == RETURN:
            return self._branch(len(self.labels) - 1)
        elif opcode in (CALL, CALL_INDIRECT):
            self._call(opcode, immediate)
        elif 0x20 <= opcode <= 0x24:
            self._variable(opcode, immediate)
        elif opcode in (0x41, 0x42):
            self.stack.append(immediate)
        elif opcode == 0x1A:
            self.stack.pop()
        elif opcode in (0x1B, 0x1C):
            choice, second, first = self.stack.pop(), self.stack.pop(), self.stack.pop()
            self.stack.append(first if choice else second)
        elif opcode == 0:
            raise Trap("unreachable")
        elif 0x28 <= opcode <= 0x40 or opcode >= 0xFC00:
            self._memory(opcode, immediate)
        elif opcode != 1:
            self._number(opcode)
        return at + 1

    def _call(self, opcode: int, immediate: Any) -> None:
        program = self.program
        if opcode == CALL:
            function = program.functions[immediate]
        else:
            place = self.stack.pop()
            function = program.table[place] if place < len(program.table) else None
        if isinstance(function, tuple):
            types = function[1]
        else:
            types = (function.parameters, function.results) if function else None
        if types is None or (opcode == CALL_INDIRECT and types != program.types[immediate[0]]):
            raise Trap("indirect call")
        count = len(types[0])
        program.ink += program.tariff.argument * (count + len(types[1]))
        arguments = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        self.stack += program._call(function, arguments)

    def _variable(self, opcode: int, index: int) -> None:
        if opcode == 0x20:
            self.stack.append(self.locals[index])
        elif opcode == 0x21:
            self.locals[index] = self.stack.pop()
        elif opcode == 0x22:
            self.locals[index] = self.stack[-1]
        elif opcode == 0x23:
            self.stack.append(self.program.globals[index])
        else:
            self.program.globals[index] = self.stack.pop()

    # ---- memory

    def _memory(self, opcode: int, immediate: Any) -> None:
        program = self.program
        if opcode == 0x3F:
            self.stack.append(len(program.memory) // PAGE)
        elif opcode == 0x40:
            pages, before = self.stack.pop(), len(program.memory) // PAGE
            program.hosts["pay_for_memory_grow"](program, pages)
            fits = before + pages <= program.pages_max
            if fits:
                program.memory += bytes(PAGE * pages)
            self.stack.append(before if fits else 0xFFFF_FFFF)
        elif opcode == 0xFC09:
            program.data[immediate] = b""
        elif opcode >= 0xFC00:
            self._bulk(opcode, immediate)
        else:
            self._access(opcode, immediate[1])

    def _access(self, opcode: int, offset: int) -> None:
        signed, size, bits = {
            0x28: ("I", 4, 32), 0x29: ("Q", 8, 64), 0x2C: ("b", 1, 32), 0x2D: ("B", 1, 32),
            0x2E: ("h", 2, 32), 0x2F: ("H", 2, 32), 0x30: ("b", 1, 64), 0x31: ("B", 1, 64),
            0x32: ("h", 2, 64), 0x33: ("H", 2, 64), 0x34: ("i", 4, 64), 0x35: ("I", 4, 64),
            0x36: ("I", 4, 0), 0x37: ("Q", 8, 0), 0x3A: ("B", 1, 0), 0x3B: ("H", 2, 0),
            0x3C: ("B", 1, 0), 0x3D: ("H", 2, 0), 0x3E: ("I", 4, 0),
        }[opcode]  # fmt: skip
        value = self.stack.pop() % (1 << 8 * size) if bits == 0 else 0
        place = self.stack.pop() + offset
        if place + size > len(self.program.memory):
            raise Trap("out of bounds")
        if bits == 0:
            struct.pack_into("<" + signed, self.program.memory, place, value)
        else:
            (value,) = struct.unpack_from("<" + signed, self.program.memory, place)
            self.stack.append(value % (1 << bits))

    def _bulk(self, opcode: int, immediate: Any) -> None:
        program = self.program
        length, source, target = self.stack.pop(), self.stack.pop(), self.stack.pop()
        program.ink += program.tariff.bulk_byte * length
        if target + length > len(program.memory):
            raise Trap("out of bounds")
        if opcode == 0xFC0B:
            program.memory[target : target + length] = bytes([source & 255]) * length
            return
        data = program.memory if opcode == 0xFC0A else program.data[immediate[0]]
        if source + length > len(data):
            raise Trap("out of bounds")
        program.memory[target : target + length] = bytes(data[source : source + length])

    # ---- numbers

    def _number(self, opcode: int) -> None:
        if opcode in (0xA7, 0xAC, 0xAD) or opcode >= 0xC0:
            value = self.stack.pop()
            width = {0xA7: 32, 0xAC: 32, 0xAD: 64, 0xC0: 8, 0xC1: 16, 0xC2: 8, 0xC3: 16, 0xC4: 32}
            if opcode not in (0xA7, 0xAD):
                value = _as_signed(value, width[opcode])
            bits = 32 if opcode in (0xA7, 0xC0, 0xC1) else 64
            self.stack.append(value % (1 << bits))
            return
        is_wide = 0x50 <= opcode <= 0x5A or opcode >= 0x79
        bits = 64 if is_wide else 32
        if opcode in (0x45, 0x50):
            self.stack.append(int(self.stack.pop() == 0))
        elif opcode <= 0x5A:
            right, left = self.stack.pop(), self.stack.pop()
            self.stack.append(
                int(_compare(opcode - (0x51 if is_wide else 0x46), left, right, bits))
            )
        elif opcode - (0x79 if is_wide else 0x67) < 3:
            count = (_leading, _trailing, _ones)[opcode - (0x79 if is_wide else 0x67)]
            self.stack.append(count(self.stack.pop(), bits))
        else:
            right, left = self.stack.pop(), self.stack.pop()
            value = _calculate(opcode - (0x7C if is_wide else 0x6A), left, right, bits)
            self.stack.append(value % (1 << bits))


def _as_signed(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def _leading(value: int, bits: int) -> int:
    return bits - value.bit_length()


def _trailing(value: int, bits: int) -> int:
    return (value & -value).bit_length() - 1 if value else bits


def _ones(value: int, _bits: int) -> int:
    return value.bit_count()


def _compare(which: int, left: int, right: int, bits: int) -> bool:
    if which < 2:
        return (left == right) == (which == 0)
    if which % 2 == 0:
        left, right = _as_signed(left, bits), _as_signed(right, bits)
    return (left < right, left > right, left <= right, left >= right)[(which - 2) // 2]


def _divide(which: int, left: int, right: int, bits: int) -> int:
    if right == 0:
        raise Trap("division by zero")
    if which in (3, 5):
        left, right = _as_signed(left, bits), _as_signed(right, bits)
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    if which == 3 and quotient == 1 << (bits - 1):
        raise Trap("overflow")
    return quotient if which < 5 else left - quotient * right


def _calculate(which: int, left: int, right: int, bits: int) -> int:
    turn = right % bits
    if 3 <= which <= 6:
        return _divide(which, left, right, bits)
    return (
        left + right,
        left - right,
        left * right,
        0,
        0,
        0,
        0,
        left & right,
        left | right,
        left ^ right,
        left << turn,
        _as_signed(left, bits) >> turn,
        left >> turn,
        left << turn | left >> (bits - turn),
        left >> turn | left << (bits - turn),
    )[which]
