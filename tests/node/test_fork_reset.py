"""Forks begun anew while they run: into another block, endpoint or no fork, whatever is killed."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import urllib.error
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd, RpcFailure

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x" + "b0" * 20
KILLS = int(os.environ.get("GHOSTCHAIN_RESET_KILLS", "6"))


@pytest.fixture(scope="module")
def remote() -> Iterator[Ghostd]:
    with Ghostd("--dev", "--timestamp", "1700000000") as node:
        for _ in range(6):
            sent = node.call("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
            node.wait_for_receipt(sent)
        yield node


@pytest.fixture(scope="module")
def second() -> Iterator[Ghostd]:
    with Ghostd("--dev", "--chain-id", "4242", "--timestamp", "1700000000") as node:
        node.call("anvil_setBalance", BOB, "0x63")
        node.call("anvil_mine")
        yield node


def to(block: int, url: str | None = None) -> dict[str, Any]:
    forking: dict[str, Any] = {"blockNumber": block}
    if url is not None:
        forking["jsonRpcUrl"] = url
    return {"forking": forking}


def test_a_kill_at_any_moment_of_a_reset_leaves_a_fork_that_opens(
    remote: Ghostd, tmp_path: Path
) -> None:
    """It stands at the block before the reset or after it, has that block's state, nothing of the
    other's pool, and goes on."""
    seed = int(os.environ.get("GHOSTCHAIN_SEED", "0")) or random.randrange(1 << 32)
    chance = random.Random(seed)
    data, cache = tmp_path / "data", tmp_path / "cache"
    flags = ("--dev", "--fork-url", remote.url, "--cache-dir", str(cache))
    ends = set()
    with Ghostd(*flags, "--fork-block-number", "5", data_dir=data) as node:
        node.call("anvil_reset", to(3))
        node.call("anvil_reset", to(4))  # what resets need is in the cache by now
    for round in range(KILLS):
        node = Ghostd(*flags, data_dir=data)
        try:
            node.call("evm_setAutomine", False)
            before = int(node.call("eth_blockNumber"), 16)
            wanted = 3 if before != 3 else 4
            request = {"from": ALICE, "to": BOB, "value": "0x1", "gas": "0x5208"}
            node.call("eth_sendTransaction", request)

            def reset(node: Ghostd = node, wanted: int = wanted) -> None:
                with contextlib.suppress(urllib.error.URLError, HTTPException, OSError):
                    node.call("anvil_reset", to(wanted))

            thread = threading.Thread(target=reset)
            thread.start()
            time.sleep(chance.uniform(0, 0.12))
        finally:
            node.kill()
        thread.join()
        with Ghostd(*flags, data_dir=data) as again:
            number = int(again.call("eth_blockNumber"), 16)
            assert number in (before, wanted), f"round {round} of seed {seed}"
            ends.add(number == wanted)
            if number == wanted:
                assert again.call("eth_getBalance", BOB, "latest") == hex(number)
                assert again.call("txpool_status")["pending"] == "0x0", f"seed {seed}"
            again.call("evm_setAutomine", True)
            again.call("anvil_mine")
            again.call("anvil_reset", to(number if number in (3, 4) else 4))
    assert ends, "at least one round"


def test_a_kill_leaves_a_chain_and_the_endpoint_that_it_forks(
    remote: Ghostd, second: Ghostd, tmp_path: Path
) -> None:
    """Resets from one endpoint to the other, and to no fork, cut short: the directory opens by
    itself, and asks where its own chain is."""
    seed = int(os.environ.get("GHOSTCHAIN_SEED", "0")) or random.randrange(1 << 32)
    chance = random.Random(seed)
    data, flags = tmp_path / "data", ("--dev", "--cache-dir", str(tmp_path / "cache"))
    ends: dict[str, tuple[Any, str]] = {
        "0x3": (to(3, remote.url), "0x3"),
        "0x1": (to(1, second.url), "0x63"),
        "0x0": (None, "0x0"),
    }
    with Ghostd(*flags, data_dir=data) as node:
        for options, _ in ends.values():
            node.call("anvil_reset", *filter(None, [options]))
    for round in range(KILLS):
        node = Ghostd(*flags, data_dir=data)
        before = node.call("eth_blockNumber")
        wanted = chance.choice([number for number in ends if number != before])

        def reset(node: Ghostd = node, options: Any = ends[wanted][0]) -> None:
            with contextlib.suppress(urllib.error.URLError, HTTPException, OSError):
                node.call("anvil_reset", *filter(None, [options]))

        thread = threading.Thread(target=reset)
        thread.start()
        time.sleep(chance.uniform(0, 0.15))
        node.kill()
        thread.join()
        with Ghostd(*flags, data_dir=data) as again:
            number = again.call("eth_blockNumber")
            assert number in (before, wanted), f"round {round} of seed {seed}"
            balance = again.call("eth_getBalance", BOB, "latest")
            assert balance == ends[number][1], f"round {round} of seed {seed}"


def test_there_and_back_again(remote: Ghostd, second: Ghostd, tmp_path: Path) -> None:
    """From no fork into one, to another block, another chain, and to no fork; each time all of the
    old chain is gone and snapshots are the new chain's."""
    with Ghostd("--dev", "--cache-dir", str(tmp_path)) as node:
        node.call("anvil_mine", "0x2")
        kept = node.call("evm_snapshot")
        for block in (6, 2, 5):
            node.call("anvil_reset", to(block, remote.url))
            assert node.call("eth_blockNumber") == hex(block)
            assert node.call("eth_getBalance", BOB, "latest") == hex(block)
            assert node.call("eth_getBalance", BOB, "0x1") == "0x1"
        assert node.call("evm_revert", kept) is False
        taken = node.call("evm_snapshot")
        node.call("anvil_setBalance", BOB, "0x0")
        node.call("anvil_mine")
        assert node.call("evm_revert", taken) is True
        assert node.call("eth_getBalance", BOB, "latest") == "0x5"
        node.call("anvil_reset", {"forking": {"jsonRpcUrl": second.url}})
        assert node.call("eth_getBalance", BOB, "latest") == "0x63"
        assert int(node.call("anvil_metadata")["forkedNetwork"]["chainId"]) == 4242
        request = {"from": ALICE, "to": BOB, "value": "0x1"}
        node.wait_for_receipt(node.call("eth_sendTransaction", request))
        dumped = node.call("anvil_dumpState")
        node.call("anvil_reset")
        assert node.call("eth_blockNumber") == "0x0"
        assert node.call("eth_getBalance", BOB, "latest") == "0x0"
        assert node.call("anvil_metadata").get("forkedNetwork") is None
        with pytest.raises(RpcFailure, match="no fork"):
            node.call("anvil_reset", {"forking": {"blockNumber": 1}})
        node.wait_for_receipt(node.call("eth_sendTransaction", request))
        assert node.call("eth_getBalance", BOB, "latest") == "0x1"
        node.call("anvil_loadState", dumped)
        assert node.call("eth_getBalance", BOB, "latest") == "0x64"
        node.call("hardhat_reset", to(4, remote.url))
        node.call("anvil_loadState", dumped)
        assert node.call("eth_getBalance", BOB, "latest") == "0x64"


def test_a_reset_that_fails_changes_nothing(remote: Ghostd, tmp_path: Path) -> None:
    flags = ("--fork-timeout", "2", "--fork-retries", "1", "--fork-retry-backoff", "10")
    where = ("--fork-url", remote.url, "--fork-block-number", "3", "--cache-dir", str(tmp_path))
    with Ghostd("--dev", *where, *flags) as node:
        node.call("anvil_setBalance", BOB, "0x77")
        node.call("anvil_mine")
        for options in (to(99), to(1, "http://127.0.0.1:9"), to(1, "ftp://127.0.0.1/")):
            with pytest.raises(RpcFailure):
                node.call("anvil_reset", options)
            assert node.call("eth_blockNumber") == "0x4"
            assert node.call("eth_getBalance", BOB, "latest") == "0x77"


def test_a_fork_at_block_zero_opens_again(second: Ghostd, tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    flags = ("--dev", "--fork-url", second.url, "--cache-dir", str(cache))
    for _ in range(2):
        with Ghostd(*flags, "--fork-block-number", "0", data_dir=data) as node:
            assert node.call("eth_blockNumber") == "0x0"
    with Ghostd(*flags, data_dir=data) as node:
        assert node.call("eth_blockNumber") == "0x0"
