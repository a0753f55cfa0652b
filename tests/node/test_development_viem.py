"""A development chain, moved by viem's test client in the modes of anvil and of Hardhat."""

from __future__ import annotations

import json

import pytest

from tests.node.clients import require_modules, run_script
from tests.node.process import Ghostd


@pytest.mark.parametrize("mode", ["anvil", "hardhat"])
def test_every_action_of_the_test_client(mode: str) -> None:
    require_modules("viem")
    with Ghostd("--dev") as node:
        finished = run_script("viem-test.cjs", node.url, mode)
    outcomes = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    failed = [f"{item['name']}: {item['reason']}" for item in outcomes if not item["pass"]]
    assert not failed, "\n".join(failed)
    assert finished.returncode == 0, finished.stderr
    assert len(outcomes) == 14
