"""Any bytes as a contract module: refused with a reason, or valid for wasmtime too, and rewritten
to a module that is; what breaks WebAssembly's own rules wasmtime refuses as well."""

from __future__ import annotations

import sys
from pathlib import Path

import wasmtime

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ghostchain.execution.wasm import MAGIC, PAGES_MAX, inspect
from ghostchain.primitives.errors import InvalidModule
from tests.oracle.wasm_generator import generate

# From this reason on a module may be WebAssembly, though no contract.
RESTRICTIONS = 50

SEEDS = [MAGIC, *(generate(seed, budget=20) for seed in range(12))]


def is_valid(module: bytes) -> bool:
    try:
        wasmtime.Module.validate(wasmtime.Engine(), module)
    except wasmtime.WasmtimeError:
        return False
    return True


def check(data: bytes) -> None:
    try:
        report = inspect(data)
    except InvalidModule as refusal:
        if refusal.reason < RESTRICTIONS and is_valid(data):
            raise AssertionError(f"wasmtime takes what was refused: {refusal}") from refusal
        return
    assert is_valid(data)
    assert is_valid(report.code)
    assert report.memory_initial_pages <= report.memory_maximum_pages <= PAGES_MAX
    assert len(report.imports) <= 64


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
