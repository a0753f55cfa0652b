"""A small share of what tests/live does to real processes; `make chaos` does the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import namespace

FAULTS = 6


@pytest.mark.timeout(900)
def test_a_network_under_load_outlives_faults(tmp_path: Path) -> None:
    """Kills, pauses, cuts and losses under load: one chain, nobody signed twice, every database is
    whole, and after each fault the network goes on by itself."""
    why = namespace.missing()
    if why is not None:
        pytest.skip(f"no network namespace: {why}")
    argv = [sys.executable, "-m", "tests.live.chaos", "--faults", str(FAULTS)]
    argv += ["--seed", "7", "--directory", str(tmp_path / "net"), "--rpc-nodes", "0"]
    finished = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=800)
    assert finished.returncode == 0, finished.stderr[-4_000:]
    outcome = json.loads(finished.stdout)
    assert outcome["faults"] == FAULTS
    assert outcome["height"] > FAULTS
    assert outcome["transactions"] > 0
