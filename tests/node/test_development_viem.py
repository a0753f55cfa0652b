"""A development chain, and a fork, moved by viem's test client in the modes of anvil and of
Hardhat."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.clients import require_modules, run_script
from tests.node.forked import Remote, prepared
from tests.node.process import Ghostd


@pytest.mark.parametrize("mode", ["anvil", "hardhat"])
def test_every_action_of_the_test_client(mode: str) -> None:
    require_modules("viem")
    with Ghostd("--dev") as node:
        finished = run_script("viem-test.cjs", node.url, mode)
    assert passed(finished) == 14


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    with Ghostd("--dev") as node:
        yield prepared(node)


@pytest.mark.parametrize("mode", ["anvil", "hardhat"])
def test_every_action_of_the_test_client_on_a_fork(
    mode: str, remote: Remote, tmp_path: Path
) -> None:
    require_modules("viem")
    flags = ("--fork-url", remote.url, "--fork-block-number", str(remote.block))
    with Ghostd("--dev", *flags, "--cache-dir", str(tmp_path)) as fork:
        arguments = (fork.url, remote.url, mode, remote.counter, str(remote.block))
        finished = run_script("viem-fork.cjs", *arguments)
    assert passed(finished) == 14


def passed(finished: subprocess.CompletedProcess[str]) -> int:
    """How many checks did, all of them."""
    outcomes = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    failed = [f"{item['name']}: {item['reason']}" for item in outcomes if not item["pass"]]
    assert not failed, "\n".join(failed)
    assert finished.returncode == 0, finished.stderr
    return len(outcomes)
