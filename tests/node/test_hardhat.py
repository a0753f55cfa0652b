"""A Hardhat 3 project against a running `ghostd --dev`: OpenZeppelin's tokens, Uniswap v2, Safe and
ERC-4337 deployed and used, nonces, Hardhat's network helpers, Ignition (tests/clients/hardhat)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.node.clients import CLIENTS
from tests.node.process import Ghostd

PROJECT = CLIENTS / "hardhat"
NODE_MIN = (22, 13)
TESTS = 9


def modules() -> Path:
    """GHOSTCHAIN_HARDHAT_MODULES, or node_modules of the project (`make clients`)."""
    found = Path(os.environ.get("GHOSTCHAIN_HARDHAT_MODULES") or PROJECT / "node_modules")
    if not (found / "hardhat").is_dir():
        pytest.skip(f"npm package hardhat is not in {found}; run `make clients`")
    return found


def node_program(folder: Path) -> Path:
    """A Node.js that Hardhat 3 runs on: the npm package `node`, or the machine's own."""
    for candidate in (folder / "node" / "bin" / "node", Path(shutil.which("node") or "/nowhere")):
        if candidate.is_file():
            shown = subprocess.run([candidate, "--version"], capture_output=True, text=True)
            version = tuple(int(part) for part in re.findall(r"\d+", shown.stdout)[:2])
            if shown.returncode == 0 and version >= NODE_MIN:
                return candidate
    pytest.skip(f"no Node.js of {NODE_MIN[0]}.{NODE_MIN[1]} or newer, which Hardhat 3 asks for")


def test_a_hardhat_project_works_unchanged(ghostd: Ghostd, tmp_path: Path) -> None:
    packages = modules()
    node = node_program(packages)
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("node_modules"))
    (project / "node_modules").symlink_to(packages.resolve())
    finished = subprocess.run(
        [node, packages / "hardhat/dist/src/cli.js", "test", "nodejs", "--network", "ghost"],
        cwd=project,
        env=os.environ
        | {
            "GHOST_URL": ghostd.url,
            "SOLC": str(packages.resolve() / "solc" / "soljson.js"),
            "HOME": str(tmp_path),
            "CI": "true",
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]
    assert f"{TESTS} passing" in finished.stdout, finished.stdout[-2000:]
