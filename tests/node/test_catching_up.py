"""Nodes that come later: by all blocks, and from a snapshot that a checkpoint vouches for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.signing import Secp256k1Signer
from ghostchain.primitives.types import Address
from tests.node.process import Ghostd, RpcFailure, run_ghostd
from tests.samples import transfer

SENDER = Secp256k1Signer(TEST_KEYS[0]).address
RECIPIENT = Address(b"\x77" * 20)
INTERVAL = 20
BLOCKS = 50
SECONDS_MAX = 120.0
NETWORK = ("--network", "devnet", "--p2p-host", "127.0.0.1")


def hexed_transfer(nonce: int, chain_id: int) -> str:
    return "0x" + transfer(nonce, chain_id=chain_id, to=RECIPIENT).hex()


def height_of(node: Ghostd) -> int:
    return int(node.call("eth_blockNumber"), 16)


def await_height(node: Ghostd, height: int) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while height_of(node) < height:
        assert time.monotonic() < deadline, f"at {height_of(node)}: {list(node.events)[-10:]}"
        time.sleep(0.1)


def bootnode(node: Ghostd) -> str:
    status = node.call("ghost_status")
    return f"ghost://{status['nodeKey'][2:]}@{status['p2p']}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ghostd]:
    """The bootstrap validator of a network of its own, some blocks high, with snapshots."""
    data_dir = tmp_path_factory.mktemp("source")
    with Ghostd(*NETWORK, "--snapshot-interval", str(INTERVAL), data_dir=data_dir) as node:
        chain_id = int(node.call("eth_chainId"), 16)
        for nonce in range(BLOCKS):
            node.call("eth_sendRawTransactionSync", hexed_transfer(nonce, chain_id), hex(30_000))
        yield node


def test_a_new_node_fetches_all_blocks(source: Ghostd, tmp_path: Path) -> None:
    head = height_of(source)
    with Ghostd(*NETWORK, "--bootnodes", bootnode(source), data_dir=tmp_path / "new") as node:
        await_height(node, head)
        for number in (1, head // 2, head):
            mine, theirs = (
                one.call("eth_getBlockByNumber", hex(number), True) for one in (node, source)
            )
            assert mine == theirs
        assert any(event.get("message") == "caught up" for event in node.events)
        assert node.call("eth_syncing") is False
    verified = run_ghostd(
        "db", "verify", "--network", "devnet", "--data-dir", str(tmp_path / "new")
    )
    assert verified.returncode == 0, verified.stderr


def test_what_waited_before_there_were_peers_spreads(source: Ghostd, tmp_path: Path) -> None:
    """Taken by a node that reached nobody, kept by its journal, told to the peer that it meets at
    last: the validator puts it into a block."""
    nonce = int(source.call("eth_getTransactionCount", "0x" + SENDER.hex(), "latest"), 16)
    raw = hexed_transfer(nonce, int(source.call("eth_chainId"), 16))
    nobody = f"{bootnode(source).rpartition(':')[0]}:1"
    with Ghostd(*NETWORK, "--bootnodes", nobody, data_dir=tmp_path / "new") as node:
        sent = node.call("eth_sendRawTransaction", raw)
        assert node.call("net_peerCount") == "0x0"
    assert source.call("eth_getTransactionByHash", sent) is None
    with Ghostd(*NETWORK, "--bootnodes", bootnode(source), data_dir=tmp_path / "new"):
        receipt = source.wait_for_receipt(sent)
    assert receipt["status"] == "0x1"


def test_a_new_node_begins_from_a_snapshot(source: Ghostd, tmp_path: Path) -> None:
    """The checkpoint is a later block than the snapshot's; old blocks are absent, the state is
    there, and the next blocks follow."""
    head = height_of(source)
    block = source.call("eth_getBlockByNumber", hex(head), False)
    with Ghostd(
        *NETWORK,
        "--bootnodes",
        bootnode(source),
        "--checkpoint",
        f"{head}:{block['hash']}",
        data_dir=tmp_path / "new",
    ) as node:
        await_height(node, head)
        begun = [event for event in node.events if event.get("message") == "state complete"]
        assert [event["height"] % INTERVAL for event in begun] == [0]
        assert node.call("eth_getBlockByNumber", hex(head), False) == block
        with pytest.raises(RpcFailure, match="pruned history unavailable") as caught:
            node.call("eth_getBlockByNumber", "0x1", False)
        assert caught.value.code == 4444
        assert node.call("eth_getBlockByNumber", "0x0", False) is not None
        balance = node.call("eth_getBalance", "0x" + RECIPIENT.hex(), "latest")
        assert balance == source.call("eth_getBalance", "0x" + RECIPIENT.hex(), hex(head))
        with pytest.raises(RpcFailure):
            node.call("eth_getBalance", "0x" + RECIPIENT.hex(), "0x1")
    verified = run_ghostd(
        "db", "verify", "--network", "devnet", "--data-dir", str(tmp_path / "new")
    )
    assert verified.returncode == 0, verified.stderr
