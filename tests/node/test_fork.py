"""A development chain that is a fork of another node's, both on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
STRANGER = "0x" + "11" * 20
# Counts in slot 0: tells it without data, else adds the word given.
COUNTER = "0x60158060095f395ff336600c575f545f5260205ff35b5f355f54015f5500"


@pytest.fixture(scope="module")
def remote() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        send(node, ALICE, STRANGER, value=123)
        yield node


def send(
    node: Ghostd, sender: str, to: str | None, value: int = 0, data: str = "0x"
) -> dict[str, Any]:
    request = {"from": sender, "value": hex(value), "data": data}
    if to is not None:
        request["to"] = to
    return node.wait_for_receipt(node.call("eth_sendTransaction", request))


def fork_of(remote: Ghostd, cache: Path, *more: str, data_dir: Path | None = None) -> Ghostd:
    return Ghostd(
        "--dev", "--fork-url", remote.url, "--cache-dir", str(cache), *more, data_dir=data_dir
    )


def test_a_fork_reads_the_remote_and_writes_here(remote: Ghostd, tmp_path: Path) -> None:
    with fork_of(remote, tmp_path) as fork:
        head = int(remote.call("eth_blockNumber"), 16)
        assert int(fork.call("eth_blockNumber"), 16) == head
        assert fork.call("eth_chainId") == remote.call("eth_chainId")
        assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == 123
        receipt = send(fork, BOB, STRANGER, value=7)
        assert int(receipt["blockNumber"], 16) == head + 1
        assert int(fork.call("eth_getBalance", STRANGER, "latest"), 16) == 130
        assert int(fork.call("eth_getBalance", STRANGER, hex(head)), 16) == 123
        assert int(remote.call("eth_getBalance", STRANGER, "latest"), 16) == 123


def test_a_second_run_asks_nothing_of_the_state(remote: Ghostd, tmp_path: Path) -> None:
    """Chain id and block are what it still asks, to know which cache is good."""
    asked = []
    for _ in range(2):
        with fork_of(remote, tmp_path) as fork:
            fork.call("eth_getBalance", STRANGER, "latest")
            send(fork, BOB, STRANGER, value=7)
            opened = [e for e in fork.events if e.get("message") == "fork opened"]
            asked.append(opened[0]["requests"])
    assert asked[0] > 40
    assert asked[1] == 2


def test_a_fork_goes_on_after_a_restart(remote: Ghostd, tmp_path: Path) -> None:
    with fork_of(remote, tmp_path / "cache", data_dir=tmp_path / "data") as fork:
        counter = send(fork, ALICE, None, data=COUNTER)["contractAddress"]
        send(fork, ALICE, counter, data="0x" + (5).to_bytes(32, "big").hex())
        head = fork.call("eth_blockNumber")
    with fork_of(remote, tmp_path / "other", data_dir=tmp_path / "data") as fork:
        assert fork.call("eth_blockNumber") == head
        assert int(fork.call("eth_call", {"to": counter}, "latest"), 16) == 5
        send(fork, ALICE, counter, data="0x" + (0).to_bytes(32, "big").hex())
        assert int(fork.call("eth_getStorageAt", counter, "0x0", "latest"), 16) == 5
