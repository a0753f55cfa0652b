"""WebAssembly contracts: the door to `native/wasm`.

A module becomes a contract when `inspect` takes it. What is compiled is its rewritten form, which
pays ink for the instructions it runs and ends when calls nest too deeply; the original stays the
account's code.

Units: ink, 10,000 to the gas; memory in pages of 64 KiB; offsets in bytes.
Spec: WebAssembly core specification 2.0, chapters 3 and 5, less what `ModuleReason` lists from 50
on; the host's functions are those of Arbitrum Stylus.
Oracle: wasmtime's validation, and an interpreter that counts, in tests/oracle/test_wasm.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain._native import ffi, lib
from ghostchain.primitives.errors import InvalidModule, ModuleReason

__all__ = [
    "BYTES_MAX",
    "INK_ARGUMENT",
    "INK_BULK_BYTE",
    "INK_DECLARED",
    "INK_ENTRY",
    "INK_PER_GAS",
    "PAGES_MAX",
    "STACK_SLOTS",
    "HostFunction",
    "ModuleReport",
    "host_functions",
    "ink_of",
    "inspect",
]

MAGIC = b"\0asm\1\0\0\0"
BYTES_MAX = int(lib.GHOST_WASM_BYTES_MAX)
PAGES_MAX = int(lib.GHOST_WASM_PAGES_MAX)
STACK_SLOTS = int(lib.GHOST_WASM_STACK_SLOTS)
INK_PER_GAS = int(lib.GHOST_WASM_INK_PER_GAS)

# Besides what opcodes cost: entering a function, each local that it declares, each parameter and
# result of a call, each byte that memory.copy, fill and init are asked for.
INK_ENTRY = int(lib.GHOST_WASM_INK_ENTRY)
INK_DECLARED = int(lib.GHOST_WASM_INK_DECLARED)
INK_ARGUMENT = int(lib.GHOST_WASM_INK_ARGUMENT)
INK_BULK_BYTE = int(lib.GHOST_WASM_INK_BULK_BYTE)


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function of the module vm_hooks. Types are letters: i for i32, l for i64."""

    name: str
    parameters: str
    results: str


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """What a module that may be a contract holds.

    code is its rewritten form; imports are the names that form imports from vm_hooks, in order;
    slots_max the largest frame in stack slots; weight what compiling takes, at least its bytes;
    activation_gas what deploying costs besides what it does for any code.
    The counts are of the module's own.
    """

    code: bytes
    imports: tuple[str, ...]
    functions: int
    globals: int
    table_elements: int
    memory_initial_pages: int
    memory_maximum_pages: int
    body_bytes: int
    data_bytes: int
    slots_max: int
    weight: int
    activation_gas: int


def inspect(module: bytes) -> ModuleReport:
    """What the module holds, once it is known that it may be a contract.

    Raises: InvalidModule with the first fault in the order of its bytes; MemoryError.
    Cost: linear in its size, about 10 ms for the largest; the interpreter lock is free meanwhile.
    """
    out = ffi.new("ghost_wasm_module *")
    status = lib.ghost_wasm_prepare(out, ffi.from_buffer(module), len(module))
    if status == lib.GHOST_REFUSED:
        message = ffi.string(out.message).decode()
        raise InvalidModule(ModuleReason(out.reason), message, int(out.offset))
    if status != lib.GHOST_OK:
        raise MemoryError(f"wasm module of {len(module)} bytes")
    code = bytes(ffi.buffer(out.code.data, out.code.length))
    lib.free(out.code.data)
    return ModuleReport(
        code=code,
        imports=tuple(_HOSTS[out.imports[i]].name for i in range(out.import_count)),
        functions=int(out.functions),
        globals=int(out.globals),
        table_elements=int(out.table_elements),
        memory_initial_pages=int(out.memory_initial),
        memory_maximum_pages=int(out.memory_maximum),
        body_bytes=int(out.body_bytes),
        data_bytes=int(out.data_bytes),
        slots_max=int(out.slots_max),
        weight=int(out.weight),
        activation_gas=int(out.activation_gas),
    )


def host_functions() -> tuple[HostFunction, ...]:
    """The functions of vm_hooks, in the order of the native table."""
    return _HOSTS


def ink_of(opcode: int) -> int | None:
    """The ink that an instruction costs each time; None when contracts may not use it.

    Instructions after the prefix 0xfc are 0xfc00 and their number. Calls pay for each parameter and
    result, functions at their entry, and copies for each byte, besides.
    """
    ink = int(lib.ghost_wasm_ink(opcode))
    return None if ink < 0 else ink


def _host_functions() -> tuple[HostFunction, ...]:
    count = ffi.new("size_t *")
    table = lib.ghost_wasm_host_table(count)
    return tuple(
        HostFunction(
            *(ffi.string(text).decode() for text in (row.name, row.parameters, row.results))
        )
        for row in (table[i] for i in range(count[0]))
    )


_HOSTS = _host_functions()
