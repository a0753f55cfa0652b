"""A fork, moved by hand: its clock, going back to where it began, and asking another endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.process import Ghostd, RpcFailure

BOB = "0x" + "b0" * 20


@pytest.fixture(scope="module")
def remote() -> Iterator[Ghostd]:
    with Ghostd("--dev", "--timestamp", "1700000000") as node:
        node.call("anvil_setBalance", BOB, "0x7b")
        node.call("anvil_mine", 3)
        yield node


@pytest.fixture
def fork(remote: Ghostd, tmp_path: Path) -> Iterator[Ghostd]:
    with Ghostd("--dev", "--fork-url", remote.url, "--cache-dir", str(tmp_path)) as node:
        yield node


def test_the_clock_goes_on_from_the_block_forked_from(fork: Ghostd) -> None:
    began = int(fork.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    fork.call("evm_mine")
    later = int(fork.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert began < later <= began + 60


def test_a_snapshot_and_a_revert_are_as_on_any_chain(fork: Ghostd) -> None:
    taken = fork.call("evm_snapshot")
    fork.call("anvil_setBalance", BOB, "0x1")
    fork.call("anvil_mine", 2)
    assert fork.call("evm_revert", taken) is True
    assert fork.call("eth_getBalance", BOB, "latest") == "0x7b"
    assert fork.call("eth_blockNumber") == "0x3"


def test_a_reset_goes_back_to_where_the_fork_began(fork: Ghostd, remote: Ghostd) -> None:
    fork.call("anvil_setBalance", BOB, "0x1")
    fork.call("anvil_mine", 2)
    fork.call("hardhat_reset", {"forking": {"jsonRpcUrl": remote.url, "blockNumber": 3}})
    assert fork.call("eth_blockNumber") == "0x3"
    assert fork.call("eth_getBalance", BOB, "latest") == "0x7b"
    forked = fork.call("anvil_metadata")["forkedNetwork"]
    assert (forked["chainId"], forked["forkBlockNumber"]) == (31337, 3)
    fork.call("anvil_reset", {"forking": {"blockNumber": 2}})
    assert fork.call("eth_blockNumber") == "0x2"
    assert fork.call("anvil_metadata")["forkedNetwork"]["forkBlockNumber"] == 2


def test_another_endpoint_of_the_same_chain_is_asked(remote: Ghostd, tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    with Ghostd("--dev", "--fork-url", remote.url, "--cache-dir", str(cache)) as fork:
        with Ghostd("--dev", data_dir=data) as other, pytest.raises(RpcFailure, match="another"):
            fork.call("anvil_setRpcUrl", other.url)
        with pytest.raises(RpcFailure, match="does not answer"):
            fork.call("anvil_setRpcUrl", "http://127.0.0.1:1")
        fork.call("anvil_setRpcUrl", remote.url.replace("127.0.0.1", "localhost"))
        assert fork.call("eth_getBalance", BOB, "latest") == "0x7b"
        assert "localhost" in fork.call("anvil_nodeInfo")["forkConfig"]["forkUrl"]


def test_a_chain_that_is_no_fork_says_so(remote: Ghostd) -> None:
    for method, parameter in (
        ("anvil_setRpcUrl", "http://127.0.0.1:1"),
        ("anvil_reset", {"forking": {"blockNumber": 1}}),
    ):
        with pytest.raises(RpcFailure, match="no fork") as caught:
            remote.call(method, parameter)
        assert caught.value.code == -32602
