"""A directory whose chain is exchanged for another one, killed at any step: it holds one of the
two, whole, and opens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain import replacing
from ghostchain.chain.chain import Chain
from ghostchain.chain.fork import ForkStart, begin_fork, fork_description
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.networks import network
from ghostchain.chain.replacing import (
    begin_replacing,
    end_replacing,
    finish_replacing,
    prepare_next,
    put_in_place,
)
from ghostchain.storage.directory import read_identity

STEPS_MAX = 40


class Killed(BaseException):
    """Nothing after this happens."""


class Reaper:
    """Lets so many steps happen, and kills before the next."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return step(*arguments, **named)

        return run


def start_of(name: bytes) -> ForkStart:
    return ForkStart({}, {}, name)


def other(genesis: Genesis, chain_id: int) -> Genesis:
    config = genesis.config
    return Genesis(type(config)(chain_id, config.forks, config.blobs), genesis.header, {}, "fork")


@pytest.mark.parametrize("into_fork", [True, False])
def test_a_kill_at_any_step_leaves_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, into_fork: bool
) -> None:
    first = other(network("dev"), 5)
    second = other(network("dev"), 6) if into_fork else network("dev")
    seen = set()
    for steps in range(STEPS_MAX):
        data_dir = tmp_path / str(steps)
        begin_fork(data_dir, first, start_of(b"first"))
        journal = data_dir / "pool.journal"
        journal.write_bytes(b"of the old chain")
        reaper = Reaper(steps)
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "rmtree", reaper.before(shutil.rmtree))
            patched.setattr(Path, "rename", reaper.before(Path.rename))
            patched.setattr(Path, "unlink", reaper.before(Path.unlink))
            patched.setattr(replacing, "sync", reaper.before(replacing.sync))
            patched.setattr(replacing, "write_durably", reaper.before(replacing.write_durably))
            try:
                prepare_next(data_dir, second, start_of(b"second") if into_fork else None)
                begin_replacing(data_dir)
                journal.write_bytes(b"")  # as the node that runs empties its pool
                put_in_place(data_dir)
                end_replacing(data_dir)
                is_over = True
            except Killed:
                is_over = False
        finish_replacing(data_dir, ("pool.journal*",))
        identity = read_identity(data_dir)
        assert identity is not None
        seen.add(identity.chain_id)
        if identity.chain_id == 5:
            assert fork_description(data_dir) == b"first"
            assert journal.exists(), "the old chain is whole"
        elif into_fork:
            assert fork_description(data_dir) == b"second"
        else:
            Chain.open(data_dir, second).close()
        assert not (data_dir / "next").exists()
        assert not (data_dir / "REPLACING").exists()
        if identity.chain_id != 5:
            assert not journal.exists() or not journal.read_bytes()
        if is_over:
            assert identity.chain_id == second.config.chain_id
            break
    else:
        raise AssertionError("it never ended")
    assert seen == {5, second.config.chain_id}
    assert steps >= 6
