"""Clients that are older than today's, or stand on others, against a running `ghostd --dev`: a
Hardhat 2 project, ethers v5, web3.js v4, Uniswap v3, Safe's own kit (tests/clients/further)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.clients import CLIENTS
from tests.node.process import Ghostd

PROJECT = CLIENTS / "further"
SECONDS_MAX = 300


def packages(*names: str) -> Path:
    """GHOSTCHAIN_FURTHER_MODULES, or node_modules of the folder (`make clients`)."""
    found = Path(os.environ.get("GHOSTCHAIN_FURTHER_MODULES") or PROJECT / "node_modules")
    if shutil.which("node") is None:
        pytest.skip("node (Node.js) is not installed")
    for name in ("solc", "@openzeppelin/contracts", *names):
        if not (found / name).is_dir():
            pytest.skip(f"npm package {name} is not in {found}; run `make clients`")
    return found.resolve()


@pytest.fixture
def own() -> Iterator[Ghostd]:
    """A node without blocks."""
    with Ghostd("--dev") as node:
        yield node


@pytest.mark.parametrize(
    ("script", "names", "checks"),
    [
        ("ethers5", ("ethers5",), 6),
        ("web3", ("web3",), 5),
        ("protocols", ("ethers", "@uniswap/v3-periphery", "@safe-global/protocol-kit"), 2),
    ],
)
def test_a_script_passes(own: Ghostd, script: str, names: tuple[str, ...], checks: int) -> None:
    finished = subprocess.run(
        ["node", str(PROJECT / f"{script}.cjs"), own.url],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env=os.environ | {"NODE_PATH": str(packages(*names))},
    )
    outcomes = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    failed = [f"{item['name']}: {item['reason']}" for item in outcomes if not item["pass"]]
    assert not failed, "\n".join(failed)
    assert finished.returncode == 0, finished.stderr
    assert len(outcomes) == checks


def test_a_hardhat_2_project_works_unchanged(own: Ghostd, tmp_path: Path) -> None:
    """Its sample project is the first that it sends to a chain without blocks."""
    modules = packages("hardhat", "@nomicfoundation/hardhat-ethers", "chai")
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("node_modules", "*3.cjs"))
    (project / "node_modules").symlink_to(modules)
    command = ["node", modules / "hardhat/internal/cli/cli.js", "test", "--network", "localhost"]
    finished = subprocess.run(
        [*command, "test/project.cjs"],
        cwd=project,
        env=os.environ
        | {
            "GHOST_URL": own.url,
            "SOLC": str(modules / "solc" / "soljson.js"),
            "HOME": str(tmp_path),
            "CI": "true",
            "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]
    assert "6 passing" in finished.stdout, finished.stdout[-2000:]
