"""Random lives of a development chain: blocks, changes by hand, transactions of anybody, ways back,
kills and restarts. What is left is what a model of plain dictionaries has, and bit for bit the
chain that only ever made the blocks that were not taken back."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ghostchain.chain import rewinding
from ghostchain.chain.amendments import Amendments, merge_amendments
from ghostchain.chain.chain import Chain
from ghostchain.chain.verify import verify_state
from ghostchain.state import store
from tests.property.lives import DEV, Life, make

MOVES = 1_000_000  # more than any process makes before it is killed


@pytest.mark.parametrize("seed", range(24))
def test_random_lives(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step leaves what the model has; in the end a fresh chain of the same blocks has the
    same hashes, so the same roots."""
    chance = random.Random(seed)
    monkeypatch.setattr(store, "FLUSH_BLOCKS_MAX", chance.choice([1, 2, 5, 1024]))
    monkeypatch.setattr(rewinding, "BATCH_BLOCKS_MAX", chance.choice([1, 3, 256]))
    monkeypatch.setattr(rewinding, "BATCH_KEYS_MAX", chance.choice([1, 8, 20_000]))
    monkeypatch.setattr(rewinding, "CUT_BYTES_MIN", chance.choice([0, 3_000, 1 << 24]))
    life = Life(tmp_path, seed, prune=chance.choice([None, None, 4]))
    moves = [life.build] * 6 + [life.amend] * 3 + [life.rewind, life.reopen, life.kill]
    for _ in range(60):
        chance.choice(moves)()
        life.check()
    assert verify_state(life.chain.storage.database).agrees
    fresh = Chain.open(tmp_path / "fresh", DEV, is_durable=False)
    for step in life.steps:
        make(fresh, step)
    assert life.chain.head_hash == fresh.head_hash
    expected: Amendments = {}
    for one in life.pending:
        expected = merge_amendments(expected, one)
    assert life.chain.pending_amendments == expected
    fresh.close()
    life.chain.close()


def settled(chain: Chain) -> tuple[object, ...]:
    return chain.head_hash, dict(chain.pending_amendments)


@pytest.mark.skipif("GHOSTCHAIN_SANITIZED" in os.environ, reason="starts other processes")
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    """A process killed in the middle of a move leaves the chain before it or after it, never
    something between, and never before a move that it has said is made."""
    killed, model = tmp_path / "killed", tmp_path / "model"
    killed.mkdir()
    model.mkdir()
    command = [sys.executable, "-m", "tests.property.lives", str(killed), str(seed), str(MOVES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        time.sleep(random.Random(seed).uniform(0.05, 1.5))
        child.kill()
        said = child.stdout.read().split()
    made = int(said[-1]) if said else 0
    assert made < MOVES
    chain = Chain.open(killed / "data", DEV, is_durable=False)
    assert verify_state(chain.storage.database).agrees
    life = Life(model, seed, prune=None)
    for _ in range(made):
        life.move()
    before = settled(life.chain)
    life.move()
    assert settled(chain) in (before, settled(life.chain))
    chain.close()
    life.chain.close()
