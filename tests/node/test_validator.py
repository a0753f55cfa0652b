"""A validator's life by the commands of docs/validator.md: keys, a node that follows, a bond,
votes, proposals, jail for being away, and the way back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.contracts.addresses import SPIRIT
from ghostchain.contracts.tokens import Spirit
from ghostchain.crypto.signing import Secp256k1Signer
from ghostchain.node import operator as operators
from ghostchain.node.keystore import KeystoreFailure, read_operator_key, write_operator_key
from ghostchain.primitives.transaction import Call
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import RpcClient
from tests.node.process import Ghostd, invoke, run_ghostd

SECONDS_MAX = 120.0
BOND = 900_000


class Place:
    """Files of one operator, and the network it joins."""

    def __init__(self, network: dict[str, Any], directory: Path) -> None:
        self.network = network
        self.directory = directory
        self.key = directory / "validator.json"
        self.operator = directory / "operator.json"
        self.password = directory / "password"
        self.password.touch(0o600)
        self.password.write_text("correct horse\n")
        self.rpc = network["nodes"][0]["rpc"]
        self.client = RpcClient(self.rpc)

    def operate(self, *arguments: str) -> Any:
        """`ghostd validator` with the operator's account."""
        return invoke(
            "validator",
            *arguments,
            "--operator",
            str(self.operator),
            "--operator-password-file",
            str(self.password),
            "--rpc",
            self.rpc,
        )

    def status(self) -> dict[str, Any]:
        """As the command prints it."""
        done = invoke(
            "validator", "status", "--operator", str(self.operator), "--rpc", self.rpc, "--json"
        )
        document: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if document["voter"] else 1)
        return document

    def node(self) -> Ghostd:
        """A node of this operator."""
        return Ghostd(
            f"--genesis={self.network['genesis']}",
            "--p2p-host=127.0.0.1",
            f"--bootnodes={','.join(node['p2p'] for node in self.network['nodes'])}",
            f"--validator-key={self.key}",
            f"--validator-password-file={self.password}",
            data_dir=self.directory / "data",
        )

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while not holds():
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A network whose epochs and jails are short."""
    directory = tmp_path_factory.mktemp("validator")
    base = directory / "net"
    parameters = ("downtimeWindow=12", "downtimeMissedMax=6", "jailBlocks=8")
    done = run_ghostd(
        "devnet",
        "up",
        f"--base-dir={base}",
        "--heartbeat-ms=200",
        "--epoch-blocks=10",
        *(f"--parameter=slashing.{parameter}" for parameter in parameters),
    )
    try:
        assert done.returncode == 0, done.stderr
        yield Place(json.loads(done.stdout), directory)
    finally:
        run_ghostd("devnet", "down", f"--base-dir={base}")


def test_a_validators_life(place: Place) -> None:
    """From keys to a validator that proposes, is jailed for downtime, and leaves jail."""
    address = make_keys(place)
    fund(place, address)
    with place.node() as node:
        place.until("the node follows", lambda: is_level(node, place.client))
        assert node.call("ghost_status")["validator"]["index"] is None
        register(place)
        place.until("it votes", lambda: place.status()["voter"] is not None)
        place.until("its node signs", lambda: is_signing(node))
        place.until("it proposed a block", lambda: address in proposers(place.client))
        shown = invoke("validator", "status", "0x" + address.hex(), "--rpc", place.rpc)
        assert "votes, as number" in shown.stdout
    # Its node is away: blocks without its vote are counted, and then it is jailed.
    place.until("it is in jail", lambda: int(jailed_until(place), 16) > 0)
    early = place.operate("unjail")
    if early.returncode:
        assert "refused by Slashing: JailedUntil" in early.stderr
    with place.node() as node:
        place.until("the node is back", lambda: is_level(node, place.client))
        place.until("its jail is over", lambda: head(place.client) >= int(jailed_until(place), 16))
        done = place.operate("unjail")
        assert done.returncode == 0 or not early.returncode, done.stderr
        place.until("it votes again", lambda: place.status()["voter"] is not None)
        place.until("its node signs again", lambda: is_signing(node))
        voted = head(node)
        place.until("its votes count", lambda: signs_a_block(place, address, voted))


def make_keys(place: Place) -> Address:
    made = invoke(
        "validator",
        "keys",
        f"--key={place.key}",
        f"--operator={place.operator}",
        f"--password-file={place.password}",
    )
    assert made.returncode == 0, made.stderr
    assert place.key.stat().st_mode & 0o777 == place.operator.stat().st_mode & 0o777 == 0o600
    again = invoke("validator", "keys", f"--key={place.key}", f"--password-file={place.password}")
    assert again.returncode == 1
    assert "never written over" in again.stderr
    key = read_operator_key(place.operator, "correct horse")
    return Secp256k1Signer(key).address


def fund(place: Place, address: Address) -> None:
    transfer = Spirit.method("transfer").encode_call((address, BOND * 10**18))
    place.client.send_ghost(
        Secp256k1Signer(TEST_KEYS[0]),
        [Call(SPIRIT, 0, transfer), Call(address, 10 * 10**18, b"")],
    )


def register(place: Place) -> None:
    arguments = (
        "register",
        f"--key={place.key}",
        f"--password-file={place.password}",
        f"--bond={BOND}",
    )
    wrong = place.operate(*arguments, "--commission", "200%")
    assert wrong.returncode == 2
    done = place.operate(*arguments)
    assert done.returncode == 0, done.stderr
    assert "included in block" in done.stdout
    twice = place.operate(*arguments)
    assert twice.returncode == 1
    assert "refused by" in twice.stderr


def head(node: RpcClient | Ghostd) -> int:
    return int(node.call("eth_blockNumber"), 16)


def is_level(node: Ghostd, other: RpcClient) -> bool:
    return head(node) >= head(other) - 1


def is_signing(node: Ghostd) -> bool:
    validator = node.call("ghost_status")["validator"]
    return validator["index"] is not None and validator["silent"] == ""


def proposers(client: RpcClient) -> set[bytes]:
    """Of the latest blocks."""
    last = head(client)
    return {
        bytes.fromhex(client.call("eth_getBlockByNumber", hex(number), False)["miner"][2:])
        for number in range(max(last - 5, 1), last + 1)
    }


def jailed_until(place: Place) -> str:
    found: str = place.status()["validator"]["jailedUntil"]
    return found


def signs_a_block(place: Place, address: Address, after: int) -> bool:
    """Whether a certificate beyond that height has the validator's precommit."""
    for number in range(after + 1, head(place.client)):
        certificate = place.client.call("ghost_certificate", hex(number))
        voters = place.client.call("ghost_voters", hex(number))
        if certificate is None or voters is None:
            continue
        operators_of = {voter["index"]: voter["operator"] for voter in voters["validators"]}
        if "0x" + address.hex() in {operators_of.get(one) for one in certificate["signers"]}:
            return True
    return False


# ---- without a network ----


@pytest.mark.parametrize(
    ("text", "wei"), [("5%", 5 * 10**16), ("0.05", 5 * 10**16), ("1", 10**18), ("0", 0)]
)
def test_fractions_are_exact(text: str, wei: int) -> None:
    assert operators.fraction(text) == wei


@pytest.mark.parametrize("text", ["", "x", "101%", "-1", "nan", "inf", "0.0000000000000000001"])
def test_fractions_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|is not"):
        operators.fraction(text)


@pytest.mark.parametrize(("text", "wei"), [("10000", 10**22), ("1_000.5", 10005 * 10**17)])
def test_amounts_are_exact(text: str, wei: int) -> None:
    assert operators.amount(text) == wei


@pytest.mark.parametrize("text", ["", "0", "-5", "inf", "1e40"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        operators.amount(text)


def test_keystores_are_ethereums(tmp_path: Path) -> None:
    """Written once, opened by the password alone, and by nobody else's file."""
    path = tmp_path / "operator.json"
    write_operator_key(path, TEST_KEYS[3], "secret")
    assert read_operator_key(path, "secret") == TEST_KEYS[3]
    with pytest.raises(KeystoreFailure, match="does not open"):
        read_operator_key(path, "other")
    with pytest.raises(KeystoreFailure, match="never overwritten"):
        write_operator_key(path, TEST_KEYS[4], "secret")
    path.write_text("{}")
    with pytest.raises(KeystoreFailure, match="version 3"):
        read_operator_key(path, "secret")


def test_nothing_to_edit(tmp_path: Path) -> None:
    path = tmp_path / "operator.json"
    path.write_text("{}")
    done = invoke("validator", "edit", "--operator", str(path))
    assert done.returncode == 2
    assert "nothing to change" in done.stderr
