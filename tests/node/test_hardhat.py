"""A Hardhat 3 project against a running `ghostd --dev`: OpenZeppelin's tokens, Uniswap v2, Safe and
ERC-4337 deployed and used, nonces, Hardhat's network helpers, Ignition (tests/clients/hardhat)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.clients import CLIENTS
from tests.node.forked import Remote, prepared
from tests.node.process import Ghostd

PROJECT = CLIENTS / "hardhat"
NODE_MIN = (22, 13)
TESTS = 9
FORK_TESTS = 6


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


def hardhat_tests(folder: Path, network: str, *files: str, **variables: str) -> str:
    """What `hardhat test nodejs` says of the project on that network. Skips without Hardhat."""
    packages = modules()
    node = node_program(packages)
    project = folder / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("node_modules"))
    (project / "node_modules").symlink_to(packages.resolve())
    command = [node, packages / "hardhat/dist/src/cli.js", "test", "nodejs", *files]
    finished = subprocess.run(
        [*command, "--network", network],
        cwd=project,
        env=os.environ
        | {
            "SOLC": str(packages.resolve() / "solc" / "soljson.js"),
            "HOME": str(folder),
            "CI": "true",
        }
        | variables,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]
    return finished.stdout


def test_a_hardhat_project_works_unchanged(ghostd: Ghostd, tmp_path: Path) -> None:
    said = hardhat_tests(tmp_path, "ghost", GHOST_URL=ghostd.url)
    assert f"{TESTS} passing" in said, said[-2000:]


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    with Ghostd("--dev") as node:
        yield prepared(node)


@pytest.mark.parametrize("network", ["ghost", "simulated"])
def test_a_hardhat_project_works_on_a_fork(remote: Remote, network: str, tmp_path: Path) -> None:
    """On a ghostd that forks another, and on Hardhat's own chain that forks a ghostd."""
    flags = ("--fork-url", remote.url, "--fork-block-number", str(remote.block))
    with Ghostd("--dev", *flags, "--cache-dir", str(tmp_path / "cache")) as fork:
        variables = {"COUNTER": remote.counter, "FORK_BLOCK": str(remote.block)}
        said = hardhat_tests(
            tmp_path,
            network,
            "forks/fork.ts",
            GHOST_URL=fork.url,
            REMOTE_URL=remote.url,
            **variables,
        )
    assert f"{FORK_TESTS} passing" in said, said[-2000:]


def test_a_whole_project_works_on_a_fork(remote: Remote, tmp_path: Path) -> None:
    """As on a chain of its own."""
    with Ghostd("--dev", "--fork-url", remote.url, "--cache-dir", str(tmp_path / "cache")) as fork:
        said = hardhat_tests(tmp_path, "ghost", GHOST_URL=fork.url)
    assert f"{TESTS} passing" in said, said[-2000:]
