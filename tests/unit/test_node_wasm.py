"""`ghostd wasm check`: what it prints is what deploying then does and costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ghostchain.execution.wasm import inspect
from ghostchain.node.cli import cli
from ghostchain.node.wasm import deployment_gas
from tests.oracle.wasm_generator import generate
from tests.oracle.wasm_world import World, module

GOOD = '(module (memory (export "memory") 1) {} (func (export "user_entrypoint") (param i32) '
GOOD += "(result i32) i32.const 0))"


def run(path: Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["wasm", "check", str(path)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("suffix", [".wasm", ".wat"])
def test_a_contract_is_described(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"contract{suffix}"
    if suffix == ".wat":
        path.write_text(GOOD.format(""))
    else:
        path.write_bytes(module("(drop (call $chainid)) (i32.const 0)"))
    code, out, _ = run(path)
    assert code == 0
    shown = dict(
        line.split(maxsplit=1) for line in out.splitlines() if line.startswith(("imp", "mem"))
    )
    assert shown["imports"] == ("chainid" if suffix == ".wasm" else "none")
    assert shown["memory"] == "1 to 128 pages of 64 KiB"


def test_a_refusal_names_reason_and_place(tmp_path: Path) -> None:
    path = tmp_path / "float.wat"
    path.write_text(GOOD.format("(func (drop (f32.const 1)))"))
    code, out, err = run(path)
    assert (code, out) == (1, "")
    assert "refused: FLOAT: floating point is not available to contracts" in err
    assert "function 0, byte" in err
    assert "f32.const" in err


def test_text_that_does_not_parse_is_shown_where(tmp_path: Path) -> None:
    path = tmp_path / "wrong.wat"
    path.write_text("(module (func")
    code, _, err = run(path)
    assert code == 1
    assert "wrong.wat" in err


def test_any_other_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.wasm"
    path.write_bytes(b"\x89PNG" * 9)
    code, _, err = run(path)
    assert code == 1
    assert "MAGIC" in err


@pytest.mark.parametrize("seed", range(5))
def test_deploying_takes_exactly_the_gas_that_is_shown(seed: int) -> None:
    """To the unit, and one less is not enough."""
    contract = generate(seed, budget=200)
    gas = deployment_gas(contract, inspect(contract))
    assert World({}).send(None, contract, gas=gas - 1).exit != 0
    result = World({}).send(None, contract, gas=gas)
    assert result.exit == 0
    assert result.gas_used == gas
