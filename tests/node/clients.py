"""Where the JavaScript libraries and Foundry's tools are, for the tests that drive a node with
them; a test that needs one that is absent skips with its name."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
SECONDS_MAX = 240


def modules_folder() -> Path:
    """GHOSTCHAIN_NODE_MODULES, or node_modules beside the scripts (`make clients`)."""
    return Path(os.environ.get("GHOSTCHAIN_NODE_MODULES") or CLIENTS / "node_modules")


def require_modules(*names: str) -> None:
    """Skips unless Node.js and these packages are here."""
    if shutil.which("node") is None:
        pytest.skip("node (Node.js) is not installed")
    for name in names:
        if not (modules_folder() / name).is_dir():
            pytest.skip(f"npm package {name} is not in {modules_folder()}; run `make clients`")


def tool(name: str) -> str:
    """The path of cast, forge or anvil. Skips when it is absent."""
    for found in sorted((modules_folder() / "@foundry-rs").glob(f"{name}-*/bin/{name}*")):
        return str(found)
    found_on_path = shutil.which(name)
    if found_on_path is None:
        pytest.skip(f"{name} is not here (npm package @foundry-rs/{name}); run `make clients`")
    return found_on_path


def run_script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script of tests/clients, finished, output captured."""
    return subprocess.run(
        ["node", str(CLIENTS / name), *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env=os.environ | {"NODE_PATH": str(modules_folder())},
    )


@functools.cache
def compiled_token() -> dict[str, Any]:
    """{abi, bytecode} of tests/clients/Token.sol. Skips without solc and OpenZeppelin."""
    require_modules("solc", "@openzeppelin/contracts")
    finished = run_script("compile.cjs")
    assert finished.returncode == 0, finished.stderr
    token: dict[str, Any] = json.loads(finished.stdout)
    return token
