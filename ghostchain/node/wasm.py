"""`ghostd wasm`: what a developer asks of a contract module before sending it."""

from __future__ import annotations

from pathlib import Path

import click

from ghostchain.execution.wasm import INK_PER_GAS, MAGIC, ModuleReport, inspect
from ghostchain.primitives.errors import InvalidModule

__all__ = ["check_file", "deployment_gas"]

# A creation's intrinsic gas (Yellow Paper, appendix G; EIP-2028, 3860), its floor (EIP-7623), and
# what every deployed byte costs.
TRANSACTION_GAS = 21_000
CREATION_GAS = 32_000
ZERO_BYTE_GAS, BYTE_GAS = 4, 16
INIT_CODE_WORD_GAS = 2
FLOOR_ZERO_BYTE_GAS, FLOOR_BYTE_GAS = 10, 40
DEPOSIT_BYTE_GAS = 200


def deployment_gas(module: bytes, report: ModuleReport) -> int:
    """What a creation transaction takes whose data is the module itself."""
    zeroes = module.count(0)
    others = len(module) - zeroes
    data = ZERO_BYTE_GAS * zeroes + BYTE_GAS * others
    words = -(-len(module) // 32)
    intrinsic = TRANSACTION_GAS + CREATION_GAS + data + INIT_CODE_WORD_GAS * words
    spent = intrinsic + report.activation_gas + DEPOSIT_BYTE_GAS * len(module)
    floor = TRANSACTION_GAS + FLOOR_ZERO_BYTE_GAS * zeroes + FLOOR_BYTE_GAS * others
    return max(spent, floor)


def check_file(path: Path) -> int:
    """Prints what the module holds, or why it cannot be a contract. Returns the exit code."""
    content = path.read_bytes()
    try:
        module = content if content[:4] == MAGIC[:4] else assembled(content, path)
        report = inspect(module)
    except InvalidModule as refusal:
        click.echo(f"{path}: refused: {refusal.reason.name}: {refusal}", err=True)
        return 1
    for line in lines_of(module, report):
        click.echo(line)
    return 0


def assembled(content: bytes, path: Path) -> bytes:
    """The binary of a module in text; any other content as it is, for the checker to refuse."""
    if path.suffix != ".wat":
        return content
    import wasmtime

    try:
        return bytes(wasmtime.wat2wasm(content))
    except wasmtime.WasmtimeError as failure:
        raise click.ClickException(f"{path}: {failure}") from failure


def lines_of(module: bytes, report: ModuleReport) -> list[str]:
    """What `ghostd wasm check` prints: a name and a value a line."""
    memory = f"{report.memory_initial_pages} to {report.memory_maximum_pages} pages of 64 KiB"
    return [
        f"bytes              {len(module):,}",
        f"rewritten bytes    {len(report.code):,}",
        f"functions          {report.functions:,} of {report.body_bytes:,} bytes",
        f"data bytes         {report.data_bytes:,}",
        f"memory             {memory}",
        f"table elements     {report.table_elements:,}",
        f"globals            {report.globals:,}",
        f"largest frame      {report.slots_max:,} stack slots",
        f"compile weight     {report.weight:,}",
        f"gas to deploy      {deployment_gas(module, report):,}",
        f"ink for a gas      {INK_PER_GAS:,}",
        f"imports            {', '.join(report.imports) or 'none'}",
    ]
