"""Random valid contract modules, in binary, that mostly end by themselves: typed operands, blocks
of several values, branches of all kinds, calls, tables, memory, and code that nothing reaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

I32, I64 = 0x7F, 0x7E
TYPES = (I32, I64)

COMPARISONS = {I32: range(0x46, 0x50), I64: range(0x51, 0x5B)}
BINARY = {I32: range(0x6A, 0x79), I64: range(0x7C, 0x8B)}
UNARY = {I32: (0x67, 0x68, 0x69, 0xC0, 0xC1), I64: (0x79, 0x7A, 0x7B, 0xC2, 0xC3, 0xC4)}
LOADS = {I32: (0x28, 0x2C, 0x2D, 0x2E, 0x2F), I64: (0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35)}
STORES = {I32: (0x36, 0x3A, 0x3B), I64: (0x37, 0x3C, 0x3D, 0x3E)}

Signature = tuple[tuple[int, ...], tuple[int, ...]]


def unsigned(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def signed(value: int) -> bytes:
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value & 127])


def vector(items: list[bytes]) -> bytes:
    return unsigned(len(items)) + b"".join(items)


def sized(data: bytes) -> bytes:
    return unsigned(len(data)) + data


def section(number: int, data: bytes) -> bytes:
    return bytes([number]) + sized(data)


def name(text: str) -> bytes:
    return sized(text.encode())


def encode_type(signature: Signature) -> bytes:
    return b"\x60" + sized(bytes(signature[0])) + sized(bytes(signature[1]))


@dataclass
class Label:
    """An open block: the types that a branch to it brings."""

    types: tuple[int, ...]
    is_loop: bool


@dataclass
class Plan:
    """What all functions of a module may refer to."""

    types: list[Signature]
    imports: list[int]
    functions: list[int]
    globals: list[tuple[int, bool]]
    table: list[int]
    passive_segments: int
    grows: bool
    chance: Random = field(repr=False, default_factory=Random)

    def signature(self, function: int) -> Signature:
        return self.types[(self.imports + self.functions)[function]]


class Body:
    """Writes one function. budget is how many instructions it may still begin."""

    def __init__(self, plan: Plan, index: int, budget: int) -> None:
        self.plan, self.index, self.chance = plan, index, plan.chance
        self.signature = plan.signature(index)
        declared = [self.chance.choice(TYPES) for _ in range(self.chance.randint(0, 4))]
        # The last local counts how often loops of this call went round.
        self.locals = [*self.signature[0], *declared, I32]
        self.counter = len(self.locals) - 1
        self.declared = [*declared, I32]
        self.out = bytearray()
        self.stack: list[int] = []
        self.labels = [Label(self.signature[1], False)]
        self.budget = budget

    def write(self) -> bytes:
        self.sequence(self.signature[1], 0)
        self.out.append(0x0B)
        groups = [unsigned(1) + bytes([kind]) for kind in self.declared]
        return sized(vector(groups) + bytes(self.out))

    # ---- operands

    def constant(self, kind: int) -> None:
        chance = self.chance
        value = chance.choice((0, 1, -1, chance.randint(-300, 300), chance.getrandbits(31)))
        if kind == I64 and chance.random() < 0.3:
            value = chance.getrandbits(63) - (1 << 62)
        self.out.append(0x41 if kind == I32 else 0x42)
        self.out += signed(value)
        self.stack.append(kind)

    def operand(self, kind: int) -> None:
        """Pushes a value of the type: a local, a global or a constant."""
        places = [index for index in range(self.counter) if self.locals[index] == kind]
        shared = [i for i, (other, _) in enumerate(self.plan.globals) if other == kind]
        draw = self.chance.random()
        if places and draw < 0.6:
            self.out += b"\x20" + unsigned(self.chance.choice(places))
            self.stack.append(kind)
        elif shared and draw < 0.75:
            self.out += b"\x23" + unsigned(self.chance.choice(shared))
            self.stack.append(kind)
        else:
            self.constant(kind)

    def bring(self, types: tuple[int, ...], floor: int) -> None:
        """Makes the operands above floor end with the types, of which some may be there."""
        have = self.stack[floor:]
        if len(have) < len(types) or (types and tuple(have[-len(types) :]) != types):
            for kind in types:
                self.operand(kind)

    def settle(self, types: tuple[int, ...], floor: int) -> None:
        """Leaves exactly the types above floor."""
        if tuple(self.stack[floor:]) == types:
            return
        while len(self.stack) > floor:
            self.out.append(0x1A)
            self.stack.pop()
        for kind in types:
            self.operand(kind)

    # ---- statements

    def sequence(self, results: tuple[int, ...], floor: int) -> None:
        """Instructions that end with results above floor, or are left by a branch."""
        for _ in range(self.chance.randint(1, 8)):
            if self.budget <= 0:
                break
            self.budget -= 1
            if not self.statement(floor):
                del self.stack[floor:]
                self.unreached()
                self.stack += results
                return
        self.settle(results, floor)

    def unreached(self) -> None:
        """Code after a branch, valid because operands may be of any type there."""
        for _ in range(self.chance.randint(0, 3)):
            self.out += self.chance.choice(
                (
                    b"\x6a\x1a",
                    b"\x1b\x1a",
                    b"\x02\x40\x0b",
                    b"\x04\x40\x01\x05\x0c\x00\x0b",
                    b"\x03\x7f\x41\x01\x0b\x1a",
                    b"\x42\x05\x1a",
                    b"\x1a",
                    b"\x02\x40\x00\x0f\x0b",
                    b"\x0d\x00" if not self.labels[-1].types else b"\x01",
                )
            )

    def statement(self, floor: int) -> bool:
        """Writes something. Returns whether what follows it can be reached."""
        actions = (
            (self.number, 8),
            (self.variable, 5),
            (self.memory, 4),
            (self.block, 4),
            (self.call, 3),
            (self.again, 2),
            (self.branch_if, 3),
            (self.choose, 1),
            (self.bulk, 1),
            (self.leave, 1),
        )
        action = self.chance.choices([a for a, _ in actions], [weight for _, weight in actions])[0]
        return action(floor)

    def number(self, floor: int) -> bool:
        kind = self.chance.choice(TYPES)
        draw = self.chance.random()
        if draw < 0.2:
            self.bring((kind,), floor)
            self.stack.pop()
            self.out.append(self.chance.choice(UNARY[kind]))
            self.stack.append(kind)
        elif draw < 0.3:
            self.bring((kind,), floor)
            self.stack.pop()
            self.out.append(self.chance.choice((0xAC, 0xAD)) if kind == I32 else 0xA7)
            self.stack.append(I64 if kind == I32 else I32)
        else:
            self.bring((kind, kind), floor)
            del self.stack[-2:]
            compares = draw < 0.5
            table = COMPARISONS if compares else BINARY
            self.out.append(self.chance.choice(table[kind]))
            self.stack.append(I32 if compares else kind)
        return True

    def variable(self, floor: int) -> bool:
        if self.counter == 0 or self.chance.random() < 0.3:
            changing = [i for i, (_, is_mutable) in enumerate(self.plan.globals) if is_mutable]
            if not changing:
                return True
            index = self.chance.choice(changing)
            self.bring((self.plan.globals[index][0],), floor)
            self.stack.pop()
            self.out += b"\x24" + unsigned(index)
            return True
        index = self.chance.randrange(self.counter)
        self.bring((self.locals[index],), floor)
        if self.chance.random() < 0.5:
            self.out += b"\x22" + unsigned(index)
        else:
            self.stack.pop()
            self.out += b"\x21" + unsigned(index)
        return True

    def address(self) -> None:
        self.operand(I32)
        if self.chance.random() < 0.98:
            self.out += b"\x41" + signed(0x3FFF) + b"\x71"

    def memory(self, floor: int) -> bool:
        kind = self.chance.choice(TYPES)
        is_load = self.chance.random() < 0.5
        self.address()
        if is_load:
            self.stack.pop()
            self.out.append(self.chance.choice(LOADS[kind]))
            self.stack.append(kind)
        else:
            self.operand(kind)
            del self.stack[-2:]
            self.out.append(self.chance.choice(STORES[kind]))
        self.out += bytes([0]) + unsigned(self.chance.choice((0, 3, 200)))
        return True

    def block(self, floor: int) -> bool:
        plan = self.plan
        opcode = self.chance.choice((0x02, 0x02, 0x03, 0x04))
        draw = self.chance.random()
        if draw < 0.4:
            types, form = ((), ()), b"\x40"
        elif draw < 0.6:
            kind = self.chance.choice(TYPES)
            types, form = ((), (kind,)), bytes([kind])
        else:
            index = self.chance.randrange(len(plan.types))
            types, form = plan.types[index], signed(index)
        self.bring(types[0], floor)
        if opcode == 0x04:
            self.operand(I32)
            self.stack.pop()
        self.out += bytes([opcode]) + form
        inner = len(self.stack) - len(types[0])
        self.labels.append(Label(types[0] if opcode == 0x03 else types[1], opcode == 0x03))
        self.sequence(types[1], inner)
        if opcode == 0x04 and (types[0] != types[1] or self.chance.random() < 0.5):
            self.out.append(0x05)
            self.stack[inner:] = types[0]
            self.sequence(types[1], inner)
        self.labels.pop()
        self.out.append(0x0B)
        return True

    def call(self, floor: int) -> bool:
        plan = self.plan
        count = len(plan.imports) + len(plan.functions)
        callable_ = [*range(len(plan.imports)), *range(self.index + 1, count)]
        if plan.table and self.index < min(plan.table) and self.chance.random() < 0.3:
            place = self.chance.randrange(len(plan.table))
            types = plan.signature(plan.table[place])
            self.bring(types[0], floor)
            self.out += b"\x41" + signed(place) + b"\x11"
            kind = (plan.imports + plan.functions)[plan.table[place]]
            self.out += unsigned(kind) + b"\x00"
        elif callable_:
            function = self.chance.choice(callable_)
            types = plan.signature(function)
            self.bring(types[0], floor)
            self.out += b"\x10" + unsigned(function)
        else:
            return True
        del self.stack[len(self.stack) - len(types[0]) :]
        self.stack += types[1]
        return True

    def again(self, floor: int) -> bool:
        """A branch back to a loop that is taken a few times."""
        loops = [depth for depth, label in enumerate(reversed(self.labels)) if label.is_loop]
        if not loops:
            return True
        depth = self.chance.choice(loops)
        types = self.labels[-1 - depth].types
        self.bring(types, floor)
        counter = unsigned(self.counter)
        self.out += b"\x20" + counter + b"\x41\x01\x6a\x22" + counter
        self.out += b"\x41" + signed(self.chance.randint(1, 6)) + b"\x49"
        self.out += b"\x0d" + unsigned(depth)
        return True

    def forward(self) -> list[int]:
        return [depth for depth, label in enumerate(reversed(self.labels)) if not label.is_loop]

    def branch_if(self, floor: int) -> bool:
        depth = self.chance.choice(self.forward())
        self.bring(self.labels[-1 - depth].types, floor)
        self.operand(I32)
        self.stack.pop()
        self.out += b"\x0d" + unsigned(depth)
        return True

    def choose(self, floor: int) -> bool:
        kind = self.chance.choice(TYPES)
        self.bring((kind, kind), floor)
        self.operand(I32)
        del self.stack[-2:]
        self.out += self.chance.choice((b"\x1b", b"\x1c\x01" + bytes([kind])))
        return True

    def bulk(self, floor: int) -> bool:
        draw = self.chance.random()
        if draw < 0.2:
            self.out += b"\x3f\x00"
            self.stack.append(I32)
            return True
        if draw < 0.3 and self.plan.grows:
            self.out += b"\x41" + signed(self.chance.randint(0, 2)) + b"\x40\x00"
            self.stack.append(I32)
            return True
        self.address()
        self.address()
        self.out += b"\x41" + signed(self.chance.randint(0, 8))
        del self.stack[-2:]
        if draw < 0.5 and self.plan.passive_segments:
            self.out += b"\xfc\x08" + unsigned(self.chance.randrange(self.plan.passive_segments))
            self.out.append(0)
        else:
            self.out += self.chance.choice((b"\xfc\x0a\x00\x00", b"\xfc\x0b\x00"))
        return True

    def leave(self, floor: int) -> bool:
        draw = self.chance.random()
        if draw < 0.05:
            self.out.append(0x00)
            return False
        if draw < 0.3:
            self.bring(self.signature[1], floor)
            self.out.append(0x0F)
            return False
        depth = self.chance.choice(self.forward())
        types = self.labels[-1 - depth].types
        self.bring(types, floor)
        if draw < 0.6:
            self.out += b"\x0c" + unsigned(depth)
            return False
        same = [other for other in self.forward() if self.labels[-1 - other].types == types]
        targets = [self.chance.choice(same) for _ in range(self.chance.randint(0, 5))]
        self.operand(I32)
        self.out += b"\x41\x07\x71\x0e" + vector([unsigned(target) for target in targets])
        self.out += unsigned(depth)
        return False


def _plan(chance: Random) -> Plan:
    def some(count: int) -> tuple[int, ...]:
        return tuple(chance.choice(TYPES) for _ in range(chance.randint(0, count)))

    types: list[Signature] = [((I32,), (I32,)), ((), ())]
    types += [(some(3), some(3)) for _ in range(chance.randint(0, 5))]
    grows = chance.random() < 0.5
    imports = [1] if chance.random() < 0.5 else []
    functions = [0, *(chance.randrange(len(types)) for _ in range(chance.randint(0, 5)))]
    kinds = [(chance.choice(TYPES), chance.random() < 0.8) for _ in range(chance.randint(0, 3))]
    count = len(imports) + len(functions)
    table = [count - 1 for _ in range(chance.randint(0, 3))] if len(functions) > 1 else []
    return Plan(types, imports, functions, kinds, table, chance.randint(0, 2), grows, chance)


# What a contract of the generator imports: a getter without operands that gives an i32.
IMPORTED = "msg_reentrant"


def generate(seed: int, *, budget: int = 60) -> bytes:
    """A module that is valid and exports what a contract has to. Equal for equal seeds."""
    chance = Random(seed)
    plan = _plan(chance)
    plan.types.append(((), (I32,)))
    plan.imports = [len(plan.types) - 1] * len(plan.imports)
    first = len(plan.imports)
    bodies = [Body(plan, first + i, budget).write() for i in range(len(plan.functions))]
    reading = [name("vm_hooks") + name(IMPORTED) + b"\0" + unsigned(kind) for kind in plan.imports]
    kinds = [
        bytes([kind, is_mutable])
        + bytes([0x41 if kind == I32 else 0x42])
        + signed(chance.randint(-99, 99))
        + b"\x0b"
        for kind, is_mutable in plan.globals
    ]
    entrypoint = name("user_entrypoint") + b"\0" + unsigned(first)
    parts = [
        b"\0asm\1\0\0\0",
        section(1, vector([encode_type(kind) for kind in plan.types])),
        section(2, vector(reading)),
        section(3, vector([unsigned(kind) for kind in plan.functions])),
        section(4, b"\x01\x70\x00" + unsigned(len(plan.table))) if plan.table else b"",
        section(5, b"\x01\x00\x01" if chance.random() < 0.5 else b"\x01\x01\x01\x03"),
        section(6, vector(kinds)),
        section(7, vector([entrypoint, name("memory") + b"\x02\x00"])),
    ]
    if plan.table:
        elements = vector([unsigned(function) for function in plan.table])
        parts.append(section(9, b"\x01\x00\x41\x00\x0b" + elements))
    segments = [b"\x01" + sized(chance.randbytes(9)) for _ in range(plan.passive_segments)]
    segments.append(b"\x00\x41\x10\x0b" + sized(chance.randbytes(40)))
    parts.append(section(12, unsigned(len(segments))))
    parts.append(section(10, vector(bodies)))
    parts.append(section(11, vector(segments)))
    return b"".join(parts)
