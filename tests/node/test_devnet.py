"""`ghostd devnet`: validators in processes of their own that agree, and commands that look after
them and after nobody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.node import devnet
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import RpcClient
from ghostchain.rpc.methods import ghost
from tests.node.process import Ghostd, invoke, run_ghostd
from tests.samples import transfer

RECIPIENT = Address(b"\x77" * 20)
SECONDS_MAX = 60.0


def hexed_transfer(index: int, nonce: int, chain_id: int) -> str:
    return "0x" + transfer(nonce, key=TEST_KEYS[index], chain_id=chain_id, to=RECIPIENT).hex()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Four validators and a node that follows, started by the command."""
    base = tmp_path_factory.mktemp("devnet") / "net"
    done = run_ghostd(
        "devnet", "up", "--base-dir", str(base), "--rpc-nodes", "1", "--heartbeat-ms", "500"
    )
    try:
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)
    finally:
        ended = run_ghostd("devnet", "down", "--base-dir", str(base))
        assert ended.returncode == 0, ended.stderr


def clients(network: dict[str, Any]) -> list[RpcClient]:
    return [RpcClient(node["rpc"]) for node in network["nodes"]]


def test_transactions_sent_to_any_node_are_final_on_all(network: dict[str, Any]) -> None:
    """Each node takes a transfer; all nodes have the same block with it."""
    nodes = clients(network)
    receipts = [
        node.call(
            "eth_sendRawTransactionSync",
            hexed_transfer(index, 0, network["chainId"]),
            hex(int(SECONDS_MAX * 1e3)),
        )
        for index, node in enumerate(nodes)
    ]
    assert all(receipt["status"] == "0x1" for receipt in receipts)
    height = max(int(receipt["blockNumber"], 16) for receipt in receipts)
    devnet.await_height(devnet.Devnet.load(Path(network["baseDir"])), height, SECONDS_MAX)
    for receipt in receipts:
        blocks = {
            node.call("eth_getBlockByNumber", receipt["blockNumber"], False)["hash"]
            for node in nodes
        }
        assert blocks == {receipt["blockHash"]}
    balances = [node.call("eth_getBalance", "0x" + RECIPIENT.hex(), "latest") for node in nodes]
    assert set(balances) == {hex(len(nodes))}


def test_blocks_carry_certificates_of_a_quorum(network: dict[str, Any]) -> None:
    node = clients(network)[0]
    head = int(node.call("eth_blockNumber"), 16)
    for number in range(1, head + 1):
        certificate = node.call("ghost_certificate", hex(number))
        block = node.call("eth_getBlockByNumber", hex(number), False)
        assert certificate["blockHash"] == block["hash"]
        assert len(certificate["signers"]) >= 3
        assert certificate["size"] == 4


def test_every_node_shows_how_it_stands(network: dict[str, Any]) -> None:
    """Shapes as documented; validators have their index, the follower none."""
    schemas = {entry["name"]: entry["result"]["schema"] for entry in ghost.openrpc()["methods"]}
    for node, entry in zip(clients(network), network["nodes"], strict=True):
        for name in ("ghost_status", "ghost_consensus", "ghost_peers", "ghost_voters"):
            jsonschema.validate(node.call(name), schemas[name])
        status = node.call("ghost_status")
        assert status["seals"] == "consensus"
        assert "0x" + entry["node_key"] == status["nodeKey"]
        assert node.call("net_listening") is True
        assert int(node.call("net_peerCount"), 16) >= 1
        if entry["is_validator"]:
            assert status["validator"]["operator"] == entry["operator"].lower()
            assert status["validator"]["silent"] == ""
        else:
            assert status["validator"] is None


def test_status_for_people(network: dict[str, Any]) -> None:
    table = invoke("devnet", "status", "--base-dir", network["baseDir"])
    assert table.returncode == 0, table.stderr
    assert table.stdout.count("validator") == 4
    assert table.stdout.count("follower") == 1
    view = invoke("status", "--rpc", network["nodes"][0]["rpc"])
    assert view.returncode == 0
    assert "prevotes   [" in view.stdout
    assert "peers" in view.stdout
    document = json.loads(invoke("status", "--json", "--rpc", network["nodes"][0]["rpc"]).stdout)
    assert set(document) == {"status", "consensus", "peers"}


def test_a_validator_that_was_killed_comes_back(network: dict[str, Any]) -> None:
    """SIGKILL; the others go on; `up` starts it again and it votes in the same chain."""
    base = Path(network["baseDir"])
    victim = devnet.Devnet.load(base).nodes[1]
    os.kill(victim.pid, signal.SIGKILL)
    others = [node for node in clients(network) if node.url != victim.rpc]
    before = int(others[0].call("eth_blockNumber"), 16)
    devnet_await(others, before + 3)
    assert "not running" in invoke("devnet", "status", "--base-dir", str(base)).stdout
    again = run_ghostd("devnet", "up", "--base-dir", str(base))
    assert again.returncode == 0, again.stderr
    back = RpcClient(victim.rpc)
    head = int(others[0].call("eth_blockNumber"), 16)
    devnet_await([back], head)
    at = hex(head)
    assert (
        back.call("eth_getBlockByNumber", at, False)["hash"]
        == others[0].call("eth_getBlockByNumber", at, False)["hash"]
    )


def devnet_await(nodes: list[RpcClient], height: int) -> None:
    """All have the block, within a bound."""
    deadline = time.monotonic() + SECONDS_MAX
    while any(int(node.call("eth_blockNumber"), 16) < height for node in nodes):
        assert time.monotonic() < deadline, f"not at {height}"
        time.sleep(0.05)


# ---- without processes ----


def test_nothing_is_made_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("of somebody's")
    done = invoke("devnet", "up", "--base-dir", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty and holds no network" in done.stderr
    assert invoke("devnet", "status", "--base-dir", str(tmp_path)).returncode == 1


def test_keys_and_password_are_their_owners_alone(tmp_path: Path) -> None:
    network = devnet.make(tmp_path / "net", devnet.Plan(validators=1))
    directory = tmp_path / "net"
    for name in ("password", "node-0/validator.json", "node-0/operator.json", "node-0/node.key"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600, name
    assert [node.is_validator for node in network.nodes] == [True]
    document = json.loads((directory / "genesis.json").read_text())
    spirit = sum(int(amount) for amount in document["ghost"]["tokens"]["SPIRIT"].values())
    bonded = sum(int(entry["selfBond"]) for entry in document["ghost"]["validators"])
    assert spirit + bonded == 100_000_000 * 10**18


def test_ports_are_as_asked(tmp_path: Path) -> None:
    plan = devnet.Plan(validators=1, rpc_nodes=1, base_port=27_000)
    network = devnet.make(tmp_path / "net", plan)
    assert network.nodes[1].rpc == "http://127.0.0.1:27011"
    assert network.nodes[1].p2p.endswith("@127.0.0.1:27010")
    assert network.nodes[1].metrics == "http://127.0.0.1:27012/metrics"
    with pytest.raises(devnet.DevnetFailure, match="beyond 65535"):
        devnet.port_numbers(65_530, 2)


def test_down_leaves_strangers_alone(tmp_path: Path) -> None:
    """A process with the number of a node, but not started by `up`, is not signalled."""
    network = devnet.make(tmp_path / "net", devnet.Plan(validators=1))
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        node = network.nodes[0]
        node.pid = stranger.pid
        node.started = devnet.start_time(stranger.pid) or 0
        assert devnet.stop(network) == {"node-0": "not running"}
        assert stranger.poll() is None
        node.pid, node.started = stranger.pid, 1
        assert not devnet.is_running(node)
    finally:
        assert stranger.stdin is not None
        stranger.stdin.close()
        stranger.wait(10)


def test_parameters_of_the_genesis(tmp_path: Path) -> None:
    bad = invoke("devnet", "up", "--base-dir", str(tmp_path), "--parameter", "jailBlocks=3")
    assert bad.returncode == 2
    assert "expected contract.name=number" in bad.stderr
    plan = devnet.Plan(epoch_blocks=10, parameters={"slashing": {"jailBlocks": 20}})
    document = devnet.genesis_document(plan)
    assert document["ghost"]["epochBlocks"] == 10
    assert document["ghost"]["parameters"] == {"slashing": {"jailBlocks": 20}}
    assert document["config"]["ghost"]["consensus"]["heartbeatMs"] == 2_000


def test_operators_are_funded(tmp_path: Path) -> None:
    devnet.make(tmp_path / "net", devnet.Plan(validators=1))
    document = json.loads((tmp_path / "net" / "genesis.json").read_text())
    operator = document["ghost"]["validators"][0]["operator"]
    assert int(document["alloc"][operator]["balance"], 16) == 10_000 * 10**18
    rich = {address.lower() for address in document["alloc"]}
    assert "0x" + address_of(TEST_KEYS[0]).hex() in rich


def test_a_new_node_begins_from_a_snapshot(tmp_path: Path) -> None:
    """Vouched for by a checkpoint; what follows comes block by block, and the state is right."""
    base = tmp_path / "net"
    flags = ("--base-dir", str(base), "--validators", "1", "--heartbeat-ms", "300")
    done = run_ghostd("devnet", "up", *flags, "--run-flag=--snapshot-interval=30")
    try:
        assert done.returncode == 0, done.stderr
        network = json.loads(done.stdout)
        (source,) = clients(network)
        log = Path(network["nodes"][0]["log"])
        deadline = time.monotonic() + SECONDS_MAX
        while "snapshot written" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()[-2_000:]
            time.sleep(0.1)
        head = source.call("eth_getBlockByNumber", "latest", False)
        checkpoint = f"--checkpoint={int(head['number'], 16)}:{head['hash']}"
        data = tmp_path / "data"
        arguments = (f"--genesis={network['genesis']}", "--p2p-host=127.0.0.1", checkpoint)
        with Ghostd(*arguments, f"--bootnodes={network['nodes'][0]['p2p']}", data_dir=data) as node:
            assert any(event["message"] == "state complete" for event in node.events)
            wanted = int(head["number"], 16) + 3
            deadline = time.monotonic() + SECONDS_MAX
            while int(node.call("eth_blockNumber"), 16) < wanted:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            own = node.call("eth_getBlockByNumber", hex(wanted), False)
            assert own == source.call("eth_getBlockByNumber", hex(wanted), False)
        verified = run_ghostd(
            "db", "verify", f"--genesis={network['genesis']}", f"--data-dir={data}"
        )
        assert verified.returncode == 0, verified.stderr
    finally:
        run_ghostd("devnet", "down", "--base-dir", str(base))
