"""ghost_status and its sisters: what they show is what the node says, in the documented shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.methods import ghost
from ghostchain.rpc.standing import (
    CommitCertificate,
    ConsensusStanding,
    FailedRound,
    PeerStanding,
    ValidatorStanding,
    Voter,
)
from tests.unit.memory_backend import MemoryBackend
from tests.unit.rpc_harness import RunningServer

BLOCK, NIL = Hash32(b"\x0b" * 32), Hash32(bytes(32))
SCHEMAS = {entry["name"]: entry["result"]["schema"] for entry in ghost.openrpc()["methods"]}


@pytest.fixture
def node() -> Iterator[RunningServer]:
    with RunningServer(MemoryBackend()) as server:
        yield server


def asked(node: RunningServer, method: str, *params: Any) -> Any:
    """The answer, which must be of the documented shape."""
    answer = node.ask(method, *params)
    jsonschema.validate(answer, SCHEMAS[method])
    return answer


def deciding() -> ConsensusStanding:
    voters = tuple(
        Voter(
            index, Address(bytes([index]) * 20), bytes([index]) * 32, 10 * (index + 1), said, None
        )
        for index, said in enumerate((BLOCK, NIL, None))
    )
    failed = (FailedRound(6, 0, "no proposal came in time", 2, (2,)),)
    return ConsensusStanding(7, 1, "prevote", 0.25, 1, BLOCK, 60, 41, voters, failed)


def test_a_chain_that_one_node_seals(node: RunningServer) -> None:
    status = asked(node, "ghost_status")
    assert status["seals"] == "solo"
    assert status["validator"] is status["consensus"] is status["syncing"] is None
    assert asked(node, "ghost_consensus") is None
    assert asked(node, "ghost_voters") is None
    assert asked(node, "ghost_certificate") is None
    assert asked(node, "ghost_peers") == []
    assert node.ask("net_listening") is True


def test_votes_of_the_round(node: RunningServer) -> None:
    """A block, nil, and nothing said yet are three different things."""
    node.backend.deciding = deciding()
    shown = asked(node, "ghost_consensus")
    assert (shown["height"], shown["round"], shown["step"]) == ("0x7", 1, "prevote")
    said = [voter["prevote"] for voter in shown["validators"]]
    assert said == ["0x" + BLOCK.hex(), "0x" + NIL.hex(), None]
    assert shown["failed"][0]["reason"] == "no proposal came in time"
    assert asked(node, "ghost_status")["consensus"] == {
        "height": "0x7",
        "round": 1,
        "step": "prevote",
    }
    voters = asked(node, "ghost_voters", "0x7")
    assert [voter["power"] for voter in voters["validators"]] == ["0xa", "0x14", "0x1e"]
    assert node.ask("net_listening") is True


def test_why_a_validator_is_silent(node: RunningServer) -> None:
    node.backend.validator = ValidatorStanding(
        b"\x05" * 32, None, None, "its key is not in the set"
    )
    validator = asked(node, "ghost_status")["validator"]
    assert validator["silent"] == "its key is not in the set"
    assert validator["index"] is None


def test_peers_are_counted_and_shown(node: RunningServer) -> None:
    node.backend.connected.append(
        PeerStanding(b"\x01" * 32, "127.0.0.1:30303", True, "ghostd/v1", 3)
    )
    assert asked(node, "ghost_peers")[0]["address"] == "127.0.0.1:30303"
    assert node.ask("net_peerCount") == "0x1"


def test_a_certificate_by_number_and_tag(node: RunningServer) -> None:
    found = CommitCertificate(0, 0, BLOCK, 3, (0, 2), (b"\x01" * 64, b"\x02" * 64), b"\x04")
    node.backend.certificates[0] = found
    for block in ("0x0", "latest"):
        shown = asked(node, "ghost_certificate", block)
        assert shown["signers"] == [0, 2]
        assert shown["blockHash"] == "0x" + BLOCK.hex()
    assert asked(node, "ghost_certificate", "0x9") is None
