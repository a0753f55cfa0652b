"""A data directory that holds a fork opens by itself, from what it records of its remote: which is
the node's user's alone, shown nowhere, and told clearly where it is away or another chain's."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd, RpcFailure
from tests.unit.fork_remote import FaultyRemote, RpcRefusal

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x" + "b0" * 20
PAYMENT = {"from": ALICE, "to": BOB, "value": "0x1"}
UNREAD = "0x" + "c0" * 20
SECRET = "dontsayit"
IMPATIENT = ("--fork-timeout", "2", "--fork-retries", "1", "--fork-retry-backoff", "10")


def chain() -> Ghostd:
    node = Ghostd("--dev", "--chain-id", "4242", "--timestamp", "1700000000")
    for _ in range(6):
        node.wait_for_receipt(node.call("eth_sendTransaction", PAYMENT))
    node.call("anvil_setBalance", UNREAD, "0x9")
    node.call("anvil_mine")
    return node


@pytest.fixture(scope="module")
def remote() -> Iterator[Ghostd]:
    with chain() as node:
        yield node


@pytest.fixture
def guarded(remote: Ghostd) -> Iterator[FaultyRemote]:
    """The remote behind a path and a header that are secret."""

    def answer(method: str, params: list[Any]) -> Any:
        try:
            return remote.call(method, *params)
        except RpcFailure as failure:
            raise RpcRefusal(failure.code, failure.message) from None

    with FaultyRemote(answer) as server:
        yield server


def to(block: int, url: str) -> dict[str, Any]:
    return {"forking": {"blockNumber": block, "jsonRpcUrl": url}}


def said(node: Ghostd) -> str:
    return "\n".join(json.dumps(event) for event in node.events)


def refused(*arguments: str) -> str:
    """What a start says that fails."""
    command = [sys.executable, "-m", "ghostchain.node.cli", "run", "--rpc-port", "0", "--log-json"]
    command += ["--metrics-port", "0", "--p2p-port", "0", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert finished.returncode not in (0, -9), finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stderr


def test_a_directory_that_was_reset_into_a_fork_opens_by_itself(
    remote: Ghostd, tmp_path: Path
) -> None:
    """And goes on there; what was not read before is still the remote's."""
    data, flags = tmp_path / "data", ("--dev", "--cache-dir", str(tmp_path / "cache"))
    with Ghostd(*flags, data_dir=data) as node:
        node.call("anvil_mine", "0x3")
        node.call("anvil_reset", to(5, remote.url))
        node.wait_for_receipt(node.call("eth_sendTransaction", PAYMENT))
    for _ in range(2):
        with Ghostd(*flags, data_dir=data) as node:
            assert node.call("eth_chainId") == hex(4242)
            assert node.call("eth_blockNumber") == "0x6"
            assert node.call("eth_getBalance", BOB, "latest") == "0x6"
            assert node.call("eth_getBalance", BOB, "0x3") == "0x3"
            assert node.call("anvil_nodeInfo")["forkConfig"]["forkBlockNumber"] == 5
    with Ghostd(*flags, data_dir=data) as node:
        node.call("anvil_reset", to(6, remote.url))
        node.call("anvil_setBalance", BOB, "0x77")
        node.call("anvil_mine")
    with Ghostd(*flags, data_dir=data) as node:
        assert node.call("eth_blockNumber") == "0x7"
        assert node.call("eth_getBalance", BOB, "latest") == "0x77"
        node.call("anvil_reset")
        assert not (data / "REMOTE").exists()
    with Ghostd(*flags, data_dir=data) as node:
        assert node.call("eth_blockNumber") == "0x0"
        assert node.call("anvil_nodeInfo")["forkConfig"]["forkBlockNumber"] is None


def test_one_that_began_as_a_fork_opens_by_itself(remote: Ghostd, tmp_path: Path) -> None:
    """With the chain id and the gas limit that it had."""
    data, flags = tmp_path / "data", ("--dev", "--cache-dir", str(tmp_path / "cache"))
    with Ghostd(*flags, "--fork-url", remote.url + "@4", "--chain-id", "99", data_dir=data) as node:
        node.call("anvil_mine")
        limit = node.call("eth_getBlockByNumber", "latest", False)["gasLimit"]
    with Ghostd(*flags, data_dir=data) as node:
        assert node.call("eth_chainId") == hex(99)
        node.call("anvil_mine")
        assert node.call("eth_getBlockByNumber", "latest", False)["gasLimit"] == limit
        assert node.call("eth_blockNumber") == "0x6"
        assert node.call("eth_getBalance", BOB, "latest") == "0x4"


def test_keys_are_kept_for_the_user_alone_and_never_shown(
    guarded: FaultyRemote, remote: Ghostd, tmp_path: Path
) -> None:
    url = guarded.url.replace("http://", f"http://user:{SECRET}@") + f"/v3/{SECRET}?key={SECRET}"
    data, flags = tmp_path / "data", ("--dev", "--cache-dir", str(tmp_path / "cache"))
    header = ("--fork-header", f"X-Key: {SECRET}")
    with Ghostd(*flags, "--fork-url", url, *header, data_dir=data) as node:
        node.call("eth_getBalance", BOB, "latest")
        assert SECRET not in said(node)
    assert stat.S_IMODE((data / "REMOTE").stat().st_mode) == 0o600
    guarded.seen_headers.clear()
    with Ghostd(*flags, data_dir=data) as node:
        assert node.call("eth_getBalance", UNREAD, "latest") == "0x9"
        assert SECRET not in said(node)
        assert SECRET not in json.dumps(node.call("anvil_nodeInfo"))
        # To another block of the same endpoint the header goes too; to another host it does not.
        node.call("anvil_reset", {"forking": {"blockNumber": 3}})
    assert all(headers.get("X-Key") == SECRET for headers in guarded.seen_headers)
    with Ghostd(*flags, data_dir=data) as node:
        assert node.call("eth_getBalance", BOB, "latest") == "0x3"
        node.call("anvil_setRpcUrl", remote.url)
    assert SECRET not in (data / "REMOTE").read_text()
    assert stat.S_IMODE((data / "REMOTE").stat().st_mode) == 0o600
    before = guarded.posts
    with Ghostd(*flags, data_dir=data) as node:
        assert node.call("eth_getBalance", UNREAD, "latest") == "0x0"
        assert guarded.posts == before


def test_a_remote_that_is_away_is_told_clearly(tmp_path: Path) -> None:
    """What is here is answered, what is not is an error, and it goes on when the remote is back, or
    another endpoint of the chain is given."""
    data, flags = tmp_path / "data", ("--dev", "--cache-dir", str(tmp_path / "cache"), *IMPATIENT)
    with chain() as remote:
        with Ghostd(*flags, data_dir=data) as node:
            node.call("anvil_reset", to(7, remote.url))
            assert node.call("eth_getBalance", BOB, "latest") == "0x6"
            node.wait_for_receipt(node.call("eth_sendTransaction", PAYMENT))
        address = remote.url
    with Ghostd(*flags, data_dir=data) as node:
        words = said(node)
        assert "did not answer" in words
        assert "--fork-url" in words
        assert node.call("eth_blockNumber") == "0x8"
        assert node.call("eth_getBalance", BOB, "latest") == "0x7"
        with pytest.raises(RpcFailure, match="did not answer"):
            node.call("eth_getBalance", UNREAD, "latest")
        node.wait_for_receipt(node.call("eth_sendTransaction", PAYMENT))
        assert node.call("eth_getBalance", BOB, "latest") == "0x8"
    with chain() as again:
        assert again.url != address
        with Ghostd(*flags, "--fork-url", again.url, data_dir=data) as node:
            assert node.call("eth_getBalance", UNREAD, "latest") == "0x9"
        with Ghostd(*flags, data_dir=data) as node:
            assert node.call("eth_getBalance", BOB, "latest") == "0x8"
            assert "did not answer" not in said(node)


def test_another_chain_at_the_same_address_is_refused(tmp_path: Path) -> None:
    data, flags = tmp_path / "data", ("--dev", "--cache-dir", str(tmp_path / "cache"), *IMPATIENT)
    with chain() as remote:
        port = remote.url.rsplit(":", 1)[1]
        with Ghostd(*flags, data_dir=data) as node:
            node.call("anvil_reset", to(5, remote.url))
    with Ghostd("--dev", "--rpc-port", port, "--timestamp", "1600000000") as other:
        other.call("anvil_mine", "0x9")
        words = refused(*flags, "--data-dir", str(data))
    assert "another chain" in words


def test_a_record_that_is_gone_or_damaged_is_told_clearly(remote: Ghostd, tmp_path: Path) -> None:
    data, flags = tmp_path / "data", ("--dev", "--cache-dir", str(tmp_path / "cache"))
    with Ghostd(*flags, "--fork-url", remote.url + "@5", data_dir=data):
        pass
    whole = (data / "REMOTE").read_bytes()
    for content in (None, b"", whole[:-9], b'{"url": "ftp://x", "headers": [], "gasLimit": null}'):
        (data / "REMOTE").unlink()
        if content is not None:
            (data / "REMOTE").write_bytes(content)
        words = refused(*flags, "--data-dir", str(data))
        assert "--fork-url" in words
        with Ghostd(*flags, "--fork-url", remote.url, data_dir=data) as node:
            assert node.call("eth_getBalance", BOB, "latest") == "0x5"
        assert (data / "REMOTE").read_bytes() == whole
