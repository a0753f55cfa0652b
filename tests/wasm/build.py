"""The contracts of docs/examples, built as docs/wasm-contracts.md says. A toolchain that is not
here makes the test that needs it skip, with the name of what is missing."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.node.clients import modules_folder, require_modules

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SECONDS_MAX = 300
RUST_TARGET = "wasm32-unknown-unknown"


def run(*command: str, folder: Path, **environment: str) -> str:
    """What a command that must succeed prints."""
    finished = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env=os.environ | environment,
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def require_tool(name: str, package: str) -> str:
    """The path of a program. Skips when it is absent."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed ({package})")
    return found


@functools.cache
def scratch() -> Path:
    """Where built modules lie until the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="ghostchain-wasm-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def c(name: str) -> bytes:
    """docs/examples/wasm/c/<name>.c as a module."""
    clang = require_tool("clang", "apt-get install clang")
    linker = require_tool("wasm-ld", "apt-get install lld")
    source = EXAMPLES / "wasm" / "c" / f"{name}.c"
    made, module = scratch() / f"{name}.o", scratch() / f"{name}.c.wasm"
    flags = "--target=wasm32 -Os -mbulk-memory -ffreestanding -fvisibility=hidden"
    warnings = "-Wall -Wextra -Werror"
    run(clang, *flags.split(), *warnings.split(), "-c", "-o", str(made), str(source), folder=ROOT)
    link = "--no-entry --stack-first -z stack-size=16384 --strip-all"
    run(linker, *link.split(), "-o", str(module), str(made), folder=ROOT)
    return module.read_bytes()


def assembled(text: str) -> bytes:
    """WebAssembly text as a module."""
    return bytes(wasmtime.wat2wasm(text))


@functools.cache
def wat(name: str) -> bytes:
    """docs/examples/wasm/wat/<name>.wat as a module; needs nothing but wasmtime."""
    return assembled((EXAMPLES / "wasm" / "wat" / f"{name}.wat").read_text())


@functools.cache
def assemblyscript(name: str) -> bytes:
    """docs/examples/wasm/assemblyscript/<name>.ts as a module."""
    require_modules("assemblyscript")
    module = scratch() / f"{name}.ts.wasm"
    folder = EXAMPLES / "wasm" / "assemblyscript"
    flags = "--runtime stub --use abort= -O3 --shrinkLevel 2 --converge"
    compiler = modules_folder() / "assemblyscript" / "bin" / "asc.js"
    run("node", str(compiler), f"{name}.ts", *flags.split(), "-o", str(module), folder=folder)
    return module.read_bytes()


@functools.cache
def rust(name: str) -> bytes:
    """docs/examples/wasm/rust/<name>.rs as a module."""
    compiler = require_tool("rustc", "https://rustup.rs")
    library = Path(run(compiler, "--print", "target-libdir", "--target", RUST_TARGET, folder=ROOT))
    if not list(Path(str(library).strip()).glob("libcore-*")):
        pytest.skip(f"rustc has no {RUST_TARGET} (rustup target add {RUST_TARGET})")
    source = EXAMPLES / "wasm" / "rust" / f"{name}.rs"
    module = scratch() / f"{name}.rs.wasm"
    flags = f"--edition 2021 --crate-type cdylib --target {RUST_TARGET} -D warnings"
    codegen = (
        "opt-level=s panic=abort lto=yes codegen-units=1 strip=symbols link-arg=-zstack-size=16384"
    )
    options = [word for option in codegen.split() for word in ("-C", option)]
    run(compiler, *flags.split(), *options, "-o", str(module), str(source), folder=ROOT)
    return module.read_bytes()


@functools.cache
def stylus() -> bytes:
    """docs/examples/wasm/rust/stylus as a module: kept in build/, since it takes a minute."""
    cargo = require_tool("cargo", "https://rustup.rs")
    rust("counter")  # skips where rustc lacks the target
    folder = EXAMPLES / "wasm" / "rust" / "stylus"
    built = ROOT / "build" / "stylus"
    present = subprocess.run(
        [cargo, "fetch", "--locked", "--offline", "--target", RUST_TARGET],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    if present.returncode:
        pytest.skip(f"the crates of the Stylus SDK are not here (cargo fetch in {folder})")
    options = f"build --release --lib --locked --offline --target {RUST_TARGET}"
    run(cargo, *options.split(), folder=folder, CARGO_TARGET_DIR=str(built))
    return (built / RUST_TARGET / "release" / "stylus_counter.wasm").read_bytes()


BUILDERS = {"c": c, "assemblyscript": assemblyscript, "wat": wat, "rust": rust}


@functools.cache
def solidity() -> dict[str, Any]:
    """{name: {abi, bytecode, code}} of docs/examples/solidity. Skips without solc."""
    require_modules("solc", "@openzeppelin/contracts")
    script = Path(__file__).parent / "solidity.cjs"
    return dict(json.loads(run("node", str(script), folder=ROOT, NODE_PATH=str(modules_folder()))))
