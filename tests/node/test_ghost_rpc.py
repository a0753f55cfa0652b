"""ghost_* on a live chain: every answer fits docs/openrpc.json, and says what the contracts say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ghostchain.contracts.addresses import GOVERNANCE, SPIRIT, STAKING, address_of
from ghostchain.contracts.framework import NativeContract
from ghostchain.contracts.governance import Governance
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Spirit
from ghostchain.crypto.keccak import keccak256
from tests.node.process import Ghostd, RpcFailure

ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
NOBODY = "0x" + "99" * 20
UNIT = 10**18
DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "docs" / "openrpc.json").read_text())
RESULTS = {entry["name"]: entry["result"]["schema"] for entry in DOCUMENT["methods"]}


class Economy:
    """A chain on which Alice has delegated to the one validator and made a proposal."""

    def __init__(self, node: Ghostd) -> None:
        self.node = node
        self.validator = self.ask("ghost_validators")["page"][0]["operator"]
        operator = bytes.fromhex(self.validator[2:])
        for spender in (STAKING, GOVERNANCE):
            self.send(Spirit, "approve", spender, 2**256 - 1)
        self.send(Staking, "delegate", operator, 500 * UNIT)
        self.send(Staking, "undelegate", operator, 100 * UNIT)
        self.deposit = self.parameter("Governance", "minDeposit")
        self.send(Governance, "propose", [SPIRIT], [0], [b"\x01\x02"], keccak256(b"a test"))

    def parameter(self, contract: str, name: str) -> int:
        return int(self.ask("ghost_parameters")[contract][name]["value"], 16)

    def ask(self, method: str, *params: Any) -> Any:
        answer = self.node.call(method, *params)
        jsonschema.validate(answer, RESULTS[method])
        return answer

    def send(self, contract: type[NativeContract], function: str, *arguments: Any) -> None:
        data = "0x" + contract.method(function).encode_call(arguments).hex()
        to = "0x" + address_of(contract.ID).hex()
        sent = self.node.call("eth_sendTransaction", {"from": ALICE, "to": to, "data": data})
        assert self.node.wait_for_receipt(sent)["status"] == "0x1", function


@pytest.fixture(scope="module")
def economy() -> Iterator[Economy]:
    with Ghostd("--dev") as node:
        yield Economy(node)


def test_tokens_and_supplies(economy: Economy) -> None:
    tokens = {token["symbol"]: token for token in economy.ask("ghost_tokens")}
    assert list(tokens) == ["GCC", "SPIRIT", "MANA", "GHOST"]
    assert int(tokens["SPIRIT"]["cap"], 16) == 100_000_000 * UNIT
    assert tokens["GCC"]["cap"] is None
    assert int(tokens["GCC"]["feeRate"], 16) == UNIT
    supplies = economy.ask("ghost_supplies")
    assert supplies == {symbol: token["totalSupply"] for symbol, token in tokens.items()}
    assert economy.ask("ghost_feeRates") == {
        symbol: token["feeRate"] for symbol, token in tokens.items()
    }
    first = economy.ask("ghost_supplies", "earliest")
    assert int(first["GCC"], 16) == 100_000 * UNIT > int(supplies["GCC"], 16)


def test_balances(economy: Economy) -> None:
    found = economy.ask("ghost_balances", ALICE)
    assert found["GCC"] == economy.node.call("eth_getBalance", ALICE, "latest")
    assert int(found["SPIRIT"], 16) == (1_000_000 - 500) * UNIT - economy.deposit
    assert economy.ask("ghost_balances", NOBODY) == dict.fromkeys(found, "0x0")


def test_quotes(economy: Economy) -> None:
    block = economy.node.call("eth_getBlockByNumber", "latest", False)
    quoted = economy.ask("ghost_quoteFee", hex(21_000), "SPIRIT")
    rate = int(economy.ask("ghost_feeRates")["SPIRIT"], 16)
    base = -(-int(block["baseFeePerGas"], 16) * rate // UNIT)
    assert quoted == {"baseFee": hex(base), "fee": hex(21_000 * base)}
    assert economy.ask("ghost_quoteFee", hex(21_000), "0x" + SPIRIT.hex()) == quoted
    with pytest.raises(RpcFailure, match="no token that pays fees"):
        economy.node.call("ghost_quoteFee", hex(21_000), NOBODY)
    with pytest.raises(RpcFailure, match="invalid argument 0"):
        economy.node.call("ghost_quoteFee", "21000", "SPIRIT")


def test_engines(economy: Economy) -> None:
    def engine(address: str) -> tuple[str, str | None]:
        answer = economy.ask("ghost_engine", address)
        return answer["engine"], answer["contract"]

    assert engine(NOBODY) == ("none", None)
    assert engine("0x" + STAKING.hex()) == ("native", "Staking")
    assert engine("0xca11bde05977b3631167028862be2a173976ca11") == ("evm", None)
    assert economy.ask("ghost_engine", "0x" + STAKING.hex())["codeSize"] == "0x3"
    names = {entry["name"] for entry in economy.ask("ghost_contracts")}
    assert {"Gcc", "Spirit", "Mana", "Ghost", "Staking", "Governance", "Multicall3"} <= names


def test_validators_and_stake(economy: Economy) -> None:
    listed = economy.ask("ghost_validators")
    assert listed["total"] == "0x1"
    assert economy.ask("ghost_validators", "0x1")["page"] == []
    one = economy.ask("ghost_validator", economy.validator)
    assert one == listed["page"][0]
    assert int(one["tokens"], 16) == (1_000_000 + 400) * UNIT
    (member,) = economy.ask("ghost_validatorSet")
    assert member["operator"] == economy.validator
    assert economy.ask("ghost_validatorSet", "0x0") == [member]
    assert economy.ask("ghost_stake") == {
        "bonded": hex(1_000_400 * UNIT),
        "unbonding": hex(100 * UNIT),
    }
    with pytest.raises(RpcFailure, match=r"UnknownValidator\(0x9999"):
        economy.node.call("ghost_validator", NOBODY)
    with pytest.raises(RpcFailure, match="EpochOutOfRange"):
        economy.node.call("ghost_validatorSet", hex(10**6))


def test_delegations(economy: Economy) -> None:
    (delegation,) = economy.ask("ghost_delegations", ALICE)
    assert delegation["validator"] == economy.validator
    assert int(delegation["tokens"], 16) == 400 * UNIT
    (unbonding,) = economy.ask("ghost_unbondings", ALICE)
    assert int(unbonding["tokens"], 16) == 100 * UNIT
    assert economy.ask("ghost_delegations", NOBODY) == []
    earned = economy.ask("ghost_rewards", ALICE, economy.validator)
    assert set(earned) == {"pending", "credited"}


def test_proposals_and_parameters(economy: Economy) -> None:
    listed = economy.ask("ghost_proposals")
    assert listed == {"page": [economy.ask("ghost_proposal", "0x1")], "total": "0x1"}
    (proposal,) = listed["page"]
    assert proposal["proposer"] == ALICE
    assert int(proposal["deposit"], 16) == economy.deposit
    assert proposal["calls"] == [{"target": "0x" + SPIRIT.hex(), "value": "0x0", "data": "0x0102"}]
    with pytest.raises(RpcFailure, match="UnknownProposal"):
        economy.node.call("ghost_proposal", "0x7")
    assert economy.parameter("Staking", "minSelfBond") == 10_000 * UNIT


def test_a_chain_that_one_node_seals_has_no_consensus(economy: Economy) -> None:
    """What these methods say where validators decide: tests/node/test_devnet.py."""
    status = economy.ask("ghost_status")
    assert status["seals"] == "solo"
    assert status["consensus"] is None
    assert economy.ask("ghost_consensus") is None
    assert economy.ask("ghost_peers") == []
    assert economy.ask("ghost_certificate", "latest") is None
    assert economy.ask("ghost_voters") is None


def test_discover_gives_the_document(economy: Economy) -> None:
    assert economy.node.call("rpc.discover") == DOCUMENT


def test_every_method_is_asked_here() -> None:
    """By these tests' own text, since several processes may share them out."""
    asked = re.findall(r'\bask\("(\w+)"', Path(__file__).read_text())
    assert set(asked) == set(RESULTS)
