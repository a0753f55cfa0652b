"""The validator of contract modules against wasmtime's: it never takes what wasmtime refuses, and
what it refuses for breaking WebAssembly's own rules, wasmtime refuses too. What contracts may not
use besides, and every limit, is tested by name."""

from __future__ import annotations

import itertools
import os
from random import Random

import pytest
import wasmtime

from ghostchain.execution.wasm import host_functions, ink_of, inspect
from ghostchain.primitives.errors import InvalidModule, ModuleReason
from tests.oracle.wasm_generator import generate, name, section, sized, unsigned, vector

I32, I64 = b"\x7f", b"\x7e"
MAGIC = b"\0asm\1\0\0\0"
RESTRICTIONS = 50

SHELL = """(module {imports}
  (memory (export "memory") 1)
  {definitions}
  (func (export "user_entrypoint") (param i32) (result i32) {body}))"""


def contract(body: str = "(i32.const 0)", *, definitions: str = "", imports: str = "") -> bytes:
    """A module with all that a contract needs, from text."""
    return binary(SHELL.format(body=body, definitions=definitions, imports=imports))


def binary(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def wasmtime_takes(module: bytes) -> bool:
    try:
        wasmtime.Module.validate(wasmtime.Engine(), module)
    except wasmtime.WasmtimeError:
        return False
    return True


def judge(module: bytes) -> InvalidModule | None:
    try:
        inspect(module)
    except InvalidModule as refusal:
        return refusal
    return None


def verdict(module: bytes) -> ModuleReason:
    """OK, or the reason, after asking wasmtime about the module and about its rewritten form."""
    refusal = judge(module)
    if refusal is None:
        report = inspect(module)
        assert wasmtime_takes(module)
        assert wasmtime_takes(report.code)
        assert report.weight >= len(report.code)
        return ModuleReason.OK
    assert str(refusal).isprintable()
    assert 0 <= refusal.offset <= len(module)
    if refusal.reason < RESTRICTIONS:
        assert not wasmtime_takes(module), refusal
    return refusal.reason


# ---- modules in binary


def raw(
    code: bytes,
    *,
    parameters: bytes = I32,
    results: bytes = I32,
    types: list[bytes] | None = None,
    memory: bytes = b"\x01\x00\x01",
    table: bytes = b"",
    globals_: bytes = b"",
    locals_: bytes = b"\x00",
    data_count: bytes = b"",
    data: bytes = b"",
    elements: bytes = b"",
    start: bytes = b"",
    exports: bytes | None = None,
) -> bytes:
    """A module whose second function has this code before its last end; the first is the entry.

    Arguments that are sections' contents are left out when empty.
    """
    kinds = [
        b"\x60" + sized(I32) + sized(I32),
        b"\x60" + sized(parameters) + sized(results),
        *(types or []),
    ]
    entry = sized(b"\x00\x41\x00\x0b")
    parts = [
        (1, vector(kinds)),
        (3, b"\x02\x00\x01"),
        (4, table),
        (5, memory),
        (6, globals_),
        (7, vector([name("user_entrypoint") + b"\0\0", name("memory") + b"\2\0"])),
        (8, start),
        (9, elements),
        (12, data_count),
        (10, b"\x02" + entry + sized(locals_ + code + b"\x0b")),
        (11, data),
    ]
    if exports is not None:
        parts[5] = (7, exports)
    return MAGIC + b"".join(section(number, inside) for number, inside in parts if inside)


IMMEDIATES = {
    **dict.fromkeys((0x02, 0x03, 0x04), b"\x40"),
    **dict.fromkeys((0x0C, 0x0D, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24), b"\x00"),
    **dict.fromkeys((0x3F, 0x40, 0x41, 0x42, 0xFC09, 0xFC0B), b"\x00"),
    **dict.fromkeys((0x0E, 0x11, 0xFC08, 0xFC0A), b"\x00\x00"),
    **dict.fromkeys(range(0x28, 0x3F), b"\x00\x00"),
    0x1C: b"\x01\x7f",
}
CONSTANTS = {I32: b"\x41\x00", I64: b"\x42\x00"}


def opcode_bytes(opcode: int) -> bytes:
    if opcode < 256:
        return bytes([opcode])
    return bytes([opcode >> 8]) + unsigned(opcode & 255)


@pytest.mark.parametrize("opcode", [*range(256), *range(0xFC00, 0xFC20)], ids=hex)
def test_every_instruction_takes_and_gives_what_wasmtime_says(opcode: int) -> None:
    """Each opcode after up to three operands of each type, in functions of each result. An
    instruction that has a price is taken exactly when wasmtime takes it; others never are."""
    operands = [c for n in range(4) for c in itertools.product((I32, I64), repeat=n)]
    ends = b"\x0b" if opcode in (0x02, 0x03, 0x04) else b""
    instruction = opcode_bytes(opcode) + IMMEDIATES.get(opcode, b"") + ends
    taken = 0
    for brought, results in itertools.product(operands, (b"", I32, I64)):
        code = b"".join(CONSTANTS[kind] for kind in brought) + instruction
        module = raw(
            code,
            results=results,
            table=b"\x01\x70\x00\x01",
            globals_=b"\x01\x7f\x01\x41\x00\x0b",
            data_count=b"\x01",
            data=b"\x01\x01\x00",
        )
        reason = verdict(module)
        if ink_of(opcode) is None:
            assert reason != ModuleReason.OK
        else:
            assert reason < RESTRICTIONS
        taken += reason == ModuleReason.OK
    assert (taken > 0) == (ink_of(opcode) is not None and opcode not in (0x05, 0x0B))


@pytest.mark.parametrize("seed", range(4))
def test_random_instructions_are_judged_as_wasmtime_does(seed: int) -> None:
    """Sequences that hardly ever are valid: whichever rule they break first, both refuse them."""
    chance = Random(seed)
    pool = [opcode for opcode in range(0x45) if ink_of(opcode) is not None]
    pool += [0x6A, 0x7C, 0xA7, 0xAC, 0x45, 0x50]
    for _ in range(3_000):
        code = bytearray()
        for _ in range(chance.randint(1, 12)):
            opcode = chance.choice(pool)
            immediates = bytearray(IMMEDIATES.get(opcode, b""))
            if opcode in (2, 3, 4):
                immediates[:] = chance.choice((b"\x40", I32, I64, b"\x02", b"\x03"))
            elif immediates and opcode not in (0x3F, 0x40) and chance.random() < 0.4:
                immediates[0] = chance.randint(0, 3)
            if opcode == 0x0E:
                immediates[:] = b"\x02" + bytes(chance.randint(0, 3) for _ in range(3))
            code += bytes([opcode]) + immediates
        code += b"\x0b" * chance.randint(0, 3)
        verdict(
            raw(
                bytes(code),
                results=chance.choice((b"", I32, I32 + I64)),
                locals_=b"\x01\x02\x7e",
                types=[b"\x60" + sized(I32) + sized(I64), b"\x60" + sized(I64 + I32) + sized(I32)],
                globals_=b"\x02\x7f\x01\x41\x00\x0b\x7e\x00\x42\x00\x0b",
                table=b"\x01\x70\x00\x01",
            )
        )


# ---- what contracts may not use, and what no module may be

HOSTILE = {
    "empty": (b"", "MAGIC"),
    "text": (b"(module)", "MAGIC"),
    "version 2": (b"\0asm\2\0\0\0", "MAGIC"),
    "component": (b"\0asm\x0d\0\1\0", "COMPONENT"),
    "nothing inside": (MAGIC, "MEMORY_MISSING"),
    "f64.add": (contract("unreachable f64.add drop"), "FLOAT"),
    "float constant": (contract("(drop (f32.const 1)) (i32.const 0)"), "FLOAT"),
    "float load": (contract("(drop (f64.load (i32.const 0))) (i32.const 0)"), "FLOAT"),
    "float truncation": (contract("unreachable i32.trunc_sat_f32_s"), "FLOAT"),
    "float parameter": (contract(definitions="(func (param f32))"), "FLOAT"),
    "float local": (contract("(local f64) (i32.const 0)"), "FLOAT"),
    "float block": (contract("(drop (block (result f32) unreachable)) i32.const 0"), "FLOAT"),
    "float global": (contract(definitions="(global f64 (f64.const 1))"), "FLOAT"),
    "vector": (contract("(drop (v128.const i64x2 0 0)) (i32.const 0)"), "SIMD"),
    "vector local": (contract("(local v128) (i32.const 0)"), "SIMD"),
    "atomic": (
        contract("(i32.atomic.load (i32.const 0))"),
        "THREADS",
    ),
    "shared memory": (
        binary('(module (memory (export "memory") 1 1 shared))'),
        "THREADS",
    ),
    "exceptions": (
        contract("(try_table (throw 0)) (i32.const 0)", definitions="(tag)"),
        "EXCEPTIONS",
    ),
    "throw": (raw(b"\x08\x00"), "EXCEPTIONS"),
    "tail call": (contract("(return_call 0 (local.get 0))"), "TAIL_CALL"),
    "funcref local": (contract("(local funcref) (i32.const 0)"), "REFERENCES"),
    "ref.null": (contract("(drop (ref.null func)) (i32.const 0)"), "REFERENCES"),
    "table.get": (
        contract("(drop (table.get (i32.const 0))) (i32.const 0)", definitions="(table 1 funcref)"),
        "REFERENCES",
    ),
    "table.copy": (
        contract(
            "(table.copy (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 0)",
            definitions="(table 1 funcref)",
        ),
        "REFERENCES",
    ),
    "passive elements": (
        contract(definitions="(func $f) (table 1 funcref) (elem func $f)"),
        "REFERENCES",
    ),
    "externref table": (contract(definitions="(table 1 externref)"), "REFERENCES"),
    "struct type": (contract(definitions="(type (struct))"), "GC"),
    "64-bit memory": (binary('(module (memory (export "memory") i64 1))'), "MEMORY64"),
    "two memories": (contract(definitions="(memory 1)"), "MULTI_MEMORY"),
    "two tables": (contract(definitions="(table 1 funcref) (table 1 funcref)"), "MULTI_TABLE"),
    "computed constant": (
        contract(definitions="(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
        "EXTENDED_CONSTANT",
    ),
    "constant of a global": (
        contract(definitions="(global $a i32 (i32.const 1)) (global i32 (global.get $a))"),
        "EXTENDED_CONSTANT",
    ),
    "page size": (raw(b"\x41\x00", memory=b"\x01\x08\x01\x00"), "PAGE_SIZE"),
    "128-bit arithmetic": (
        raw(b"\x42\x00" * 4 + b"\xfc\x13\x1a\x1a\x41\x00"),
        "WIDE_ARITHMETIC",
    ),
    "start": (contract(definitions="(func $s) (start $s)"), "START"),
    "import from elsewhere": (
        contract(imports='(import "env" "msg_value" (func (param i32)))'),
        "IMPORT_MODULE",
    ),
    "console": (
        contract(imports='(import "console" "log_txt" (func (param i32 i32)))'),
        "IMPORT_MODULE",
    ),
    "unknown import": (
        contract(imports='(import "vm_hooks" "selfdestruct" (func))'),
        "IMPORT_NAME",
    ),
    "import with another type": (
        contract(imports='(import "vm_hooks" "msg_value" (func (param i64)))'),
        "IMPORT_TYPE",
    ),
    "import without its result": (
        contract(imports='(import "vm_hooks" "chainid" (func))'),
        "IMPORT_TYPE",
    ),
    "imported memory": (
        binary('(module (import "vm_hooks" "memory" (memory 1)))'),
        "IMPORT_KIND",
    ),
    "imported global": (
        contract(imports='(import "vm_hooks" "msg_value" (global i32))'),
        "IMPORT_KIND",
    ),
    "no memory": (
        binary('(module (func (export "user_entrypoint") (param i32) (result i32) local.get 0))'),
        "MEMORY_MISSING",
    ),
    "memory bomb": (raw(b"\x41\x00", memory=b"\x01\x00" + unsigned(65_536)), "MEMORY_PAGES"),
    "memory beyond addresses": (raw(b"\x41\x00", memory=b"\x01\x00" + unsigned(65_537)), "LIMITS"),
    "huge table": (contract(definitions="(table 10000000 funcref)"), "TABLE_SIZE"),
    "elements outside": (
        contract(definitions="(func $f) (table 2 funcref) (elem (i32.const 1) $f $f)"),
        "ELEMENT_BOUNDS",
    ),
    "elements far outside": (
        contract(definitions="(func $f) (table 2 funcref) (elem (i32.const -1) $f)"),
        "ELEMENT_BOUNDS",
    ),
    "data outside": (contract(definitions='(data (i32.const 65535) "ab")'), "DATA_BOUNDS"),
    "data far outside": (contract(definitions='(data (i32.const -1) "a")'), "DATA_BOUNDS"),
    "no entry": (binary('(module (memory (export "memory") 1))'), "ENTRYPOINT"),
    "entry of another type": (
        binary('(module (memory (export "memory") 1) (func (export "user_entrypoint")))'),
        "ENTRYPOINT",
    ),
    "imported entry": (
        binary(
            '(module (import "vm_hooks" "account_code_size" (func $f (param i32) (result i32)))'
            ' (memory (export "memory") 1) (export "user_entrypoint" (func $f)))'
        ),
        "ENTRYPOINT",
    ),
    "entry that is a global": (
        binary(
            '(module (memory (export "memory") 1)'
            ' (global (export "user_entrypoint") i32 (i32.const 0)))'
        ),
        "ENTRYPOINT",
    ),
    "memory by another name": (
        binary(
            '(module (memory (export "ram") 1)'
            ' (func (export "user_entrypoint") (param i32) (result i32) local.get 0))'
        ),
        "MEMORY_EXPORT",
    ),
    "memory that is a function": (
        binary('(module (memory 1) (func (export "memory")))'),
        "MEMORY_EXPORT",
    ),
    "name that is not UTF-8": (raw(b"\x41\x00", exports=b"\x01\x02\xc0\x80\x00\x00"), "NAME_UTF8"),
    "name with a surrogate": (
        raw(b"\x41\x00", exports=b"\x01\x03\xed\xa0\x80\x00\x00"),
        "NAME_UTF8",
    ),
    "two exports of a name": (
        raw(b"\x41\x00", exports=vector([name("a") + b"\0\0", name("a") + b"\2\0"])),
        "EXPORT_TWICE",
    ),
    "export of nothing": (raw(b"\x41\x00", exports=b"\x01\x01a\x00\x07"), "FUNCTION_INDEX"),
    "overlong integer": (MAGIC + b"\x01\x81\x80\x80\x80\x80\x00\x00", "LEB"),
    "integer too large": (MAGIC + b"\x01\xff\xff\xff\xff\x1f\x00", "LEB"),
    "constant of 33 bits": (raw(b"\x41\xff\xff\xff\xff\x0f"), "LEB"),
    "cut section": (MAGIC + b"\x01\x05\x01", "TRUNCATED"),
    "section too long": (MAGIC + section(1, b"\x00\x00"), "SECTION_SIZE"),
    "unknown section": (MAGIC + section(14, b""), "SECTION_UNKNOWN"),
    "section twice": (MAGIC + section(1, b"\x00") * 2, "SECTION_ORDER"),
    "memory before table": (
        MAGIC + section(5, b"\x01\x00\x01") + section(4, b"\x01\x70\x00\x01"),
        "SECTION_ORDER",
    ),
    "tag section": (MAGIC + section(13, b"\x00"), "EXCEPTIONS"),
    "no bodies": (MAGIC + section(1, b"\x01\x60\0\0") + section(3, b"\x01\0"), "FUNCTION_COUNT"),
    "data without its count": (raw(b"\xfc\x09\x00\x41\x00", data=b"\x01\x01\x00"), "DATA_COUNT"),
    "count without data": (raw(b"\x41\x00", data_count=b"\x01"), "DATA_COUNT"),
    "unknown opcode": (raw(b"\xff"), "OPCODE"),
    "else without if": (raw(b"\x05\x41\x00"), "BLOCKS"),
    "body without end": (raw(b"\x02\x40\x41\x00"), "STACK_LEFTOVER"),
    "bytes after the end": (raw(b"\x41\x00\x0b\x01"), "BODY_SIZE"),
    "multi-byte memory index": (raw(b"\x3f\x80\x00"), "STACK_LEFTOVER"),
    "unknown label": (raw(b"\x0c\x05"), "LABEL_INDEX"),
    "constant global set": (
        raw(b"\x41\x00\x24\x00\x41\x00", globals_=b"\x01\x7f\x00\x41\x00\x0b"),
        "GLOBAL_IMMUTABLE",
    ),
    "alignment": (raw(b"\x41\x00\x28\x03\x00"), "ALIGNMENT"),
    "if of a value without else": (raw(b"\x41\x00\x04\x7f\x41\x00\x0b"), "TYPE_MISMATCH"),
    "address taken in multi-memory form": (raw(b"\x41\x00\x28\x42\x00\x00"), "MULTI_MEMORY"),
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_hostile_modules_are_refused_with_the_reason(case: str) -> None:
    module, wanted = HOSTILE[case]
    reason = verdict(module)
    if case == "multi-byte memory index":
        assert reason != ModuleReason.OK
        return
    assert reason.name == wanted


def test_every_reason_is_met() -> None:
    """Each has a case above or among the limits, so none is only a word."""
    met = {wanted for _, wanted in HOSTILE.values()} | {reason for _, reason in LIMITS.values()}
    met |= {"OK", "FORM", "TYPE_INDEX", "TABLE_INDEX", "MEMORY_INDEX", "GLOBAL_INDEX"}
    met |= {"LOCAL_INDEX", "DATA_INDEX", "STACK_UNDERFLOW", "CONSTANT"}
    assert {reason.name for reason in ModuleReason} - met == set()


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        (raw(b"\x41\x00", types=[b"\x61"]), "FORM"),
        (raw(b"\x02\x05\x0b\x41\x00"), "TYPE_INDEX"),
        (raw(b"\x41\x00\x11\x00\x00"), "TABLE_INDEX"),
        (raw(b"\x23\x00"), "GLOBAL_INDEX"),
        (raw(b"\x20\x07"), "LOCAL_INDEX"),
        (raw(b"\xfc\x09\x02\x41\x00", data_count=b"\x01", data=b"\x01\x01\x00"), "DATA_INDEX"),
        (raw(b"\x6a"), "STACK_UNDERFLOW"),
        (raw(b"\x41\x00", globals_=b"\x01\x7f\x00\x01\x0b"), "CONSTANT"),
        (raw(b"\x41\x00\x28\x02\x00", memory=b""), "MEMORY_INDEX"),
    ],
)
def test_broken_rules_have_their_reasons(module: bytes, wanted: str) -> None:
    if wanted == "MEMORY_INDEX":
        module = raw(b"\x41\x00\x28\x02\x00", memory=b"", exports=b"\x00")
    assert verdict(module).name == wanted


def test_messages_say_where_and_what() -> None:
    with pytest.raises(InvalidModule) as caught:
        inspect(contract("unreachable f64.add drop"))
    assert str(caught.value) == (
        "floating point is not available to contracts: compile without it "
        "(function 0, byte 61: f64.add)"
    )
    assert caught.value.offset == 61
    with pytest.raises(InvalidModule, match=r"msg_value is \(i32\) -> \(\)"):
        inspect(contract(imports='(import "vm_hooks" "msg_value" (func (param i64)))'))


# ---- limits: the largest that is taken and the smallest that is not


def _deep(levels: int) -> str:
    return "(block " * levels + ")" * levels + "(i32.const 0)"


def _operands(count: int) -> str:
    return "i32.const 0 " * count + "i32.add " * (count - 1)


def _storm(branches: int, values: int) -> str:
    sets = "(local.set $x (i64.const 1))" * values
    jumps = "(br_if 0 (local.get 0))" * branches
    return f"(local $x i64) (block {jumps} {sets}) (i32.const 0)"


def _padded(length: int) -> bytes:
    """A contract of exactly so many bytes, the rest in a custom section."""
    module = contract()
    inside = length - len(module) - 1 - len(unsigned(length - len(module) - 4))
    padded = module + section(0, b"\x01a" + bytes(inside - 2))
    assert len(padded) == length
    return padded


def _body_of(length: int) -> bytes:
    """A function whose body has exactly so many bytes."""
    return raw(b"\x01" * (length - 4) + b"\x41\x00")


def _indexes(targets: int) -> str:
    return f"(block (br_table {'0 ' * targets} (local.get 0))) (i32.const 0)"


def _many(count: int, text: str) -> str:
    return "".join(text.replace("#", str(i)) for i in range(count))


def _limit(limit: int, make: object) -> tuple[bytes, bytes]:
    assert callable(make)
    return make(limit), make(limit + 1)


CHAIN_ID = '(import "vm_hooks" "chainid" (func (result i64)))'
LIMITS = {
    "bytes": (_limit(262_144, _padded), "TOO_LARGE"),
    "body": (_limit(65_536, _body_of), "BODY_TOO_LARGE"),
    "types": (
        _limit(1_024, lambda n: contract(definitions=_many(n - 1, "(type (func))"))),
        "TOO_MANY",
    ),
    "parameters": (
        _limit(32, lambda n: contract(definitions=f"(func (param {'i32 ' * n}))")),
        "TOO_MANY",
    ),
    "results": (
        _limit(16, lambda n: contract(definitions=f"(func (result {'i32 ' * n}) unreachable)")),
        "TOO_MANY",
    ),
    "functions": (
        _limit(4_096, lambda n: contract(definitions=_many(n - 1, "(func)"))),
        "TOO_MANY",
    ),
    "imports": (
        _limit(63, lambda n: contract(imports=CHAIN_ID * n)),
        "TOO_MANY",
    ),
    "locals": (
        _limit(1_024, lambda n: contract(f"(local {'i64 ' * (n - 1)}) (i32.const 0)")),
        "TOO_MANY",
    ),
    "globals": (
        _limit(1_024, lambda n: contract(definitions="(global i32 (i32.const 0))" * n)),
        "TOO_MANY",
    ),
    "exports": (
        _limit(1_024, lambda n: contract(definitions=_many(n - 2, '(func (export "f#"))'))),
        "TOO_MANY",
    ),
    "name": (
        _limit(1_024, lambda n: contract(definitions=f'(func (export "{"x" * n}"))')),
        "NAME_LENGTH",
    ),
    "nesting": (_limit(511, lambda n: contract(_deep(n))), "TOO_DEEP"),
    "operands": (_limit(1_024, lambda n: contract(_operands(n))), "OPERANDS"),
    "branch targets": (_limit(4_095, lambda n: contract(_indexes(n + 1))), "TOO_MANY"),
    "pages": (
        _limit(128, lambda n: raw(b"\x41\x00", memory=b"\x01\x00" + unsigned(n))),
        "MEMORY_PAGES",
    ),
    "table": (
        _limit(8_192, lambda n: contract(definitions=f"(table {n} funcref)")),
        "TABLE_SIZE",
    ),
    "element segments": (
        _limit(
            1_024,
            lambda n: contract(definitions="(table 1 funcref)" + "(elem (i32.const 0))" * n),
        ),
        "TOO_MANY",
    ),
    "data segments": (
        _limit(4_096, lambda n: contract(definitions='(data (i32.const 0) "")' * n)),
        "TOO_MANY",
    ),
    "weight": ((contract(_storm(3_000, 5)), contract(_storm(12_000, 5))), "TOO_COMPLEX"),
}


@pytest.mark.parametrize("limit", sorted(LIMITS))
def test_limits_hold_to_the_unit(limit: str) -> None:
    (largest, beyond), wanted = LIMITS[limit]
    assert verdict(largest) == ModuleReason.OK
    assert verdict(beyond).name == wanted
    assert wasmtime_takes(beyond), "the limit is ours, not the format's"


# ---- what is taken


def test_encodings_of_newer_compilers_are_taken() -> None:
    """A table index of several bytes, a select with its type, several values from a block."""
    indirect = raw(b"\x41\x00\x41\x00\x11\x00\x80\x80\x80\x80\x00", table=b"\x01\x70\x00\x01")
    assert verdict(indirect) == ModuleReason.OK
    assert verdict(raw(b"\x41\x00\x41\x01\x41\x00\x1c\x01\x7f")) == ModuleReason.OK
    assert verdict(raw(b"\x41\x80\x80\x80\x80\x00")) == ModuleReason.OK
    pair = contract("(block (result i32 i32) (i32.const 1) (i32.const 2)) i32.add")
    assert verdict(pair) == ModuleReason.OK


def test_rewritten_modules_export_four_things_and_drop_the_rest() -> None:
    module = contract(
        definitions='(func (export "other")) (global (export "g") (mut i32) (i32.const 1))'
        '(table (export "t") 1 funcref) (@custom "name" "\\00")'
    )
    report = inspect(module)
    rewritten = wasmtime.Module(wasmtime.Engine(), report.code)
    exported = [export.name for export in rewritten.exports]
    assert exported == ["user_entrypoint", "memory", "ghost_ink", "ghost_stack"]
    assert inspect(module).code == report.code
    (memory,) = (e.type for e in rewritten.exports if isinstance(e.type, wasmtime.MemoryType))
    assert memory.limits.max == 128


def test_every_host_function_can_be_imported_with_its_types_and_no_others() -> None:
    letters = {"i": "i32", "l": "i64"}
    for host in host_functions():
        parameters = " ".join(letters[letter] for letter in host.parameters)
        results = " ".join(letters[letter] for letter in host.results)
        text = '(import "vm_hooks" "{}" (func (param {}) (result {})))'
        good = text.format(host.name, parameters, results)
        assert inspect(contract(imports=good)).imports == (host.name,)
        for wrong in (("i64 i64", results), (parameters, "i32 i32"), (parameters + " i32", "")):
            module = contract(imports=text.format(host.name, *wrong))
            assert verdict(module) == ModuleReason.IMPORT_TYPE


# ---- modules that chance made

MODULES = int(os.environ.get("GHOSTCHAIN_WASM_MODULES", "40"))


def test_generated_modules_are_taken() -> None:
    for seed in range(4 * MODULES):
        assert verdict(generate(seed, budget=150)) == ModuleReason.OK, seed


def test_cut_modules_are_refused() -> None:
    """At every byte but where what is missing is only data that nothing counts."""
    for seed in range(3):
        module = generate(seed)
        assert all(verdict(module[:end]) != ModuleReason.OK for end in range(len(module)))


@pytest.mark.parametrize("seed", range(4))
def test_mutated_modules_are_judged_as_wasmtime_does(seed: int) -> None:
    chance = Random(seed)
    seen = set()
    for number in range(25 * MODULES):
        module = bytearray(generate(number % 50))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(8, len(module))
            if chance.random() < 0.7:
                module[at] = chance.choice((0, 1, 0x40, 0x7F, 0x80, chance.randrange(256)))
            elif chance.random() < 0.5:
                del module[at]
            else:
                module.insert(at, chance.randrange(256))
        seen.add(verdict(bytes(module)))
    assert len(seen) > 15, seen


def test_numbers_of_any_width_are_read_as_wasmtime_reads_them() -> None:
    """LEB128 of every length, with and without bits beyond the type's."""
    chance = Random(5)
    for opcode in (b"\x41", b"\x42"):
        results = I32 if opcode == b"\x41" else I64
        for _ in range(2_000):
            length = chance.randint(1, 11)
            digits = bytearray(chance.choice((0x80, 0xFF, 0xC1)) for _ in range(length - 1))
            digits.append(chance.choice((0, 1, 7, 8, 0x0F, 0x3F, 0x40, 0x70, 0x78, 0x7F, 0x80)))
            verdict(raw(opcode + bytes(digits), results=results))
