"""docs/wasm-contracts.md: its commands, run as they stand against a running node, and its tables
against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ghostchain.execution.wasm import host_functions
from ghostchain.primitives.errors import ModuleReason
from tests.node.clients import require_modules
from tests.node.process import Ghostd
from tests.node.test_clients import solc_executable
from tests.wasm import build
from tests.wasm.build import ROOT, require_tool
from tests.wasm.page import Page

PAGE = Page("wasm-contracts.md")


def test_c(ghostd: Ghostd, tmp_path: Path) -> None:
    build.c("counter")
    assert PAGE.run(ghostd, tmp_path, "C") == ["42", "2"]


def test_assemblyscript(ghostd: Ghostd, tmp_path: Path) -> None:
    require_modules("assemblyscript", "viem")
    lines = PAGE.run(ghostd, tmp_path, "AssemblyScript")
    assert lines[:2] == ["transfer success", "bob has 7n"]
    assert "ERC20InsufficientBalance" in "".join(lines[2:])


def test_wat(ghostd: Ghostd, tmp_path: Path) -> None:
    assert PAGE.run(ghostd, tmp_path, "WebAssembly text") == ["1"]


def test_rust(ghostd: Ghostd, tmp_path: Path) -> None:
    build.rust("counter")
    lines = PAGE.run(ghostd, tmp_path, "Rust")
    assert lines[0] == "5"
    assert "flow" in lines[1]


def test_stylus(ghostd: Ghostd, tmp_path: Path) -> None:
    build.stylus()
    built = str(ROOT / "build" / "stylus")
    assert PAGE.run(ghostd, tmp_path, "Stylus SDK", CARGO_TARGET_DIR=built) == ["8"]


def test_deployer(ghostd: Ghostd, tmp_path: Path) -> None:
    require_modules("solc")
    solc = str(solc_executable(tmp_path))
    lines = PAGE.run(ghostd, tmp_path, "Deployed and initialized at once", FOUNDRY_SOLC=solc)
    assert lines[-1].startswith("1000")


def test_check(ghostd: Ghostd, tmp_path: Path) -> None:
    require_tool("bash", "apt-get install bash")
    refused, *told = PAGE.run(ghostd, tmp_path, "What a module is")
    assert refused.startswith("bad.wat: refused: FLOAT: ")
    assert [line.split()[0] for line in told][:2] == ["bytes", "rewritten"]


def test_page_lists_every_host_function() -> None:
    listed = [
        (row[0].strip("`"), row[1], row[2])
        for row in PAGE.rows("What the host offers")
        if row[0].startswith("`")
    ]
    assert sorted(listed) == sorted(
        (host.name, host.parameters, host.results) for host in host_functions()
    )


def test_page_lists_every_reason_that_contracts_meet() -> None:
    listed = [
        name
        for row in PAGE.rows("What a module is")
        for name in re.findall(r"`([A-Z]\w+)`", row[0])
    ]
    assert sorted(listed) == sorted(reason.name for reason in ModuleReason if reason >= 50)


def constants(name: str) -> dict[str, int]:
    text = (ROOT / "native" / "wasm" / name).read_text()
    return {key: int(value) for key, value in re.findall(r"(\w+) = (\d+)[,\s]", text)}


def test_page_has_the_prices_and_limits_of_the_code() -> None:
    price, limit, module = (constants(name) for name in ("prices.h", "limits.h", "module.h"))
    gas = module["GHOST_WASM_INK_PER_GAS"]
    wanted = {
        "deployment, checking it": [price["GAS_ACTIVATION"], price["GAS_CHECK_BYTE"]],
        "deployment, compiling it": [price["GAS_COMPILE_WEIGHT"]],
        "a call": [price["GAS_LOAD"], 1, price["GAS_LOAD_BYTES"]],
        "the first of a module in a block, more": [
            price["GAS_LOAD_COLD"],
            1,
            price["GAS_LOAD_COLD_WEIGHT"],
        ],
        "a page of memory (64 KiB)": [price["GAS_PAGE"], price["GAS_PAGE_SQUARED"]],
        "a slot that comes into the cache": [price["INK_SLOT_NEW"] // gas],
        "bytes of a module": [module["GHOST_WASM_BYTES_MAX"]],
        "pages of memory": [module["GHOST_WASM_PAGES_MAX"]],
        "stack slots of nested calls within a call": [module["GHOST_WASM_STACK_SLOTS"]],
        "imported functions": [module["GHOST_WASM_IMPORTS_MAX"] - 1],
        "functions": [limit["WASM_FUNCTIONS_MAX"]],
        "types": [limit["WASM_TYPES_MAX"]],
        "parameters, results of a function": [
            limit["WASM_PARAMETERS_MAX"],
            limit["WASM_RESULTS_MAX"],
        ],
        "locals of a function": [limit["WASM_LOCALS_MAX"]],
        "globals": [limit["WASM_GLOBALS_MAX"]],
        "elements of the table": [limit["WASM_TABLE_ELEMENTS_MAX"]],
        "bytes of a function's body": [limit["WASM_BODY_BYTES_MAX"]],
        "blocks inside each other": [limit["WASM_NESTING_MAX"]],
        "operands at once": [limit["WASM_OPERANDS_MAX"]],
        "targets of a `br_table`": [limit["WASM_BRANCH_TARGETS_MAX"]],
        "bytes of a name": [limit["WASM_NAME_BYTES_MAX"]],
        "weight of a module": [limit["WASM_WEIGHT_MAX"]],
        "element segments": [limit["WASM_ELEMENT_SEGMENTS_MAX"]],
        "data segments": [limit["WASM_DATA_SEGMENTS_MAX"]],
        "exports": [limit["WASM_EXPORTS_MAX"]],
    }
    listed = {
        row[0]: [int(number) for number in re.findall(r"\b\d+\b", row[1].replace(",", ""))]
        for row in PAGE.rows("What it costs")
    }
    for name, numbers in wanted.items():
        if len(listed[name]) == len(numbers):
            assert listed[name] == numbers, name
        else:
            assert [number for number in listed[name] if number in numbers] == numbers, name
    hosts = {row[0].strip("`"): row[4] for row in PAGE.rows("What the host offers")}
    assert f"Each call of a function costs {price['INK_HOST'] // gas} gas" in PAGE.text
    assert f"{price['INK_KECCAK_BLOCK'] // gas} for every 136" in hosts["native_keccak256"]
    assert hosts["math_div"] == str(price["INK_MATH"] // gas)
    assert f"{price['INK_POW_BYTE'] // gas} a byte" in hosts["math_pow"]
    assert f"{price['INK_SLOT_CACHED'] / gas} a slot" in hosts["storage_flush_cache"]
    assert hosts["read_args"] == f"{price['INK_COPY_BYTE'] / gas} a byte"
    assert hosts["write_result"] == f"{price['INK_RESULT_BYTE'] / gas} a byte"


@pytest.mark.parametrize(
    ("instruction", "gas"),
    [("LOAD", "load 1,"), ("STORE", "store 0.4,"), ("BRANCH", "branch 0.4,"), ("CALL", "call 0.6")],
)
def test_page_has_the_prices_of_instructions(instruction: str, gas: str) -> None:
    ink = constants("limits.h")[f"WASM_INK_{instruction}"]
    assert gas in re.sub(r"\s+", " ", PAGE.text)
    assert float(gas.strip(",").split()[1]) == ink / 10_000
