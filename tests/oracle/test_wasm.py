"""The validator of contract modules against wasmtime's, and what rewriting does to them."""

from __future__ import annotations

import pytest
import wasmtime

from ghostchain.execution.wasm import ModuleReport, host_functions, inspect
from ghostchain.primitives.errors import InvalidModule, ModuleReason

SHELL = """(module {imports}
  (memory (export "memory") 1)
  {definitions}
  (func (export "user_entrypoint") (param i32) (result i32) {body}))"""


def contract(body: str = "(i32.const 0)", *, definitions: str = "", imports: str = "") -> bytes:
    """A module with all that a contract needs, in binary."""
    text = SHELL.format(body=body, definitions=definitions, imports=imports)
    return bytes(wasmtime.wat2wasm(text))


def refusal(module: bytes) -> ModuleReason:
    with pytest.raises(InvalidModule) as caught:
        inspect(module)
    return caught.value.reason


def test_a_contract_is_rewritten_to_a_valid_module() -> None:
    report = inspect(
        contract(
            "(call $f (i32.const 1))",
            definitions="(func $f (param i32) (result i32) (local.get 0))",
        )
    )
    assert isinstance(report, ModuleReport)
    module = wasmtime.Module(wasmtime.Engine(), report.code)
    assert [export.name for export in module.exports] == [
        "user_entrypoint",
        "memory",
        "ghost_ink",
        "ghost_stack",
    ]


def test_every_host_function_can_be_imported_with_its_types() -> None:
    """And with no others."""
    letters = {"i": "i32", "l": "i64"}
    for host in host_functions():
        parameters = " ".join(letters[letter] for letter in host.parameters)
        results = " ".join(letters[letter] for letter in host.results)
        imports = (
            f'(import "vm_hooks" "{host.name}" (func (param {parameters}) (result {results})))'
        )
        assert inspect(contract(imports=imports)).imports == (host.name,)
        wrong = f'(import "vm_hooks" "{host.name}" (func (param i64 i64) (result {results})))'
        assert refusal(contract(imports=wrong)) == ModuleReason.IMPORT_TYPE


def test_floats_are_refused_by_name() -> None:
    with pytest.raises(InvalidModule, match=r"f64\.add"):
        inspect(contract("(unreachable) (drop (f64.add))"))
