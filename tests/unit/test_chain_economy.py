"""The economy of a genesis file: what people write is what the contracts hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.genesis import parse_genesis
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.contracts.addresses import (
    FEE_MARKET,
    GCC,
    GHOST,
    GOVERNANCE,
    MANA,
    SPIRIT,
    STAKING,
)
from ghostchain.contracts.customary import DEPLOYMENT_PROXY, MULTICALL3
from ghostchain.crypto.ed25519 import public_key_of
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.node.genesis import bootstrap_consensus_seed, bootstrap_validator
from ghostchain.primitives.errors import InvalidGenesis
from ghostchain.primitives.types import Address

UNIT = 10**18
HOLDER = Address(bytes(19) + b"\xaa")
TIMES = {"shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0}


def fields(section: Any = None, **alloc: Any) -> dict[str, Any]:
    config = {"chainId": 5, **TIMES, "ghost": {"hybridTime": 0}}
    found: dict[str, Any] = {"config": config, "alloc": alloc, "gasLimit": "0x1c9c380"}
    return found if section is None else found | {"ghost": section}


def entry(holder: bytes, slot: int) -> bytes:
    """Where a mapping by address has its word."""
    return keccak256(bytes(12) + holder + slot.to_bytes(32, "big"))


def word(genesis: Any, contract: Address, key: bytes | int) -> int:
    name = key.to_bytes(32, "big") if isinstance(key, int) else bytes(key)
    return int.from_bytes(genesis.alloc[contract].storage.get(name, b""), "big")


def test_what_is_written_is_what_the_contracts_hold() -> None:
    section = {
        "tokens": {"SPIRIT": {"0x" + HOLDER.hex(): "5"}, "GHOST": {HOLDER.hex(): "0x7"}},
        "feeRates": {"MANA": "2000000000000000000"},
    }
    genesis = parse_genesis(fields(section, **{"0x" + "bb" * 20: {"balance": "9"}}))
    assert word(genesis, SPIRIT, entry(HOLDER, 0)) == word(genesis, SPIRIT, 2) == 5
    assert word(genesis, GHOST, entry(HOLDER, 0)) == word(genesis, GHOST, 2) == 7
    assert word(genesis, MANA, 2) == 0
    assert word(genesis, GCC, 2) == 9
    assert word(genesis, FEE_MARKET, entry(MANA, 0)) == 2 * UNIT
    assert word(genesis, FEE_MARKET, entry(SPIRIT, 0)) == 0
    assert genesis.alloc[SPIRIT].code == bytes.fromhex("ef4702")
    assert genesis.alloc[MULTICALL3].code
    assert genesis.alloc[DEPLOYMENT_PROXY].code


def test_without_hybrid_rules_nothing_is_added() -> None:
    plain = fields()
    del plain["config"]["ghost"]
    assert parse_genesis(plain).alloc == {}
    with pytest.raises(InvalidGenesis, match=r"config\.ghost\.hybridTime is not"):
        parse_genesis(plain | {"ghost": {}})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ([], "ghost must be an object"),
        ({"coins": {}}, r"ghost\.coins is not known"),
        ({"tokens": {"GCC": {}}}, r"ghost\.tokens\.GCC is not one of SPIRIT, MANA, GHOST"),
        ({"tokens": {"SPIRIT": {"0x12": "1"}}}, r"ghost\.tokens\.SPIRIT: 0x12 has 1 bytes"),
        ({"tokens": {"SPIRIT": {"0x" + "11" * 20: "much"}}}, "is not a number"),
        ({"tokens": {"GHOST": {"0x" + "11" * 20: str(1_000_001 * UNIT)}}}, "cap"),
        ({"feeRates": {"SPIRIT": "1"}}, "a rate of 1 is not within"),
        ({"validators": {}}, "must be a list"),
        ({"validators": [{"operator": "0x" + "11" * 20}]}, r"validators\[0\]\.consensusKey"),
        ({"validators": [{"stake": 1}]}, r"ghost\.validators\[0\]\.stake is not known"),
        ({"parameters": {"names": {}}}, r"ghost\.parameters\.names is not one of"),
        ({"parameters": {"staking": {"colour": 1}}}, "has no parameter colour"),
        ({"epochBlocks": 0}, "an epoch has 0 blocks"),
    ],
)
def test_what_cannot_hold_is_refused_by_name(section: Any, message: str) -> None:
    with pytest.raises(InvalidGenesis, match=message):
        parse_genesis(fields(section))


def test_the_contracts_addresses_are_theirs() -> None:
    with pytest.raises(InvalidGenesis, match="is where a contract of the protocol stands"):
        parse_genesis(fields(None, **{"0x" + STAKING.hex(): {"balance": "1"}}))
    own = parse_genesis(fields(None, **{"0x" + MULTICALL3.hex(): {"balance": "0", "code": "0x00"}}))
    assert own.alloc[MULTICALL3].code == b"\0"


@pytest.mark.parametrize("name", ["dev", "devnet", "testnet", "mainnet"])
def test_named_networks_share_out_all_that_is_capped(name: str) -> None:
    genesis = network(name)
    assert genesis.config.hybrid_at(genesis.header.timestamp)
    assert word(genesis, SPIRIT, 2) == 100_000_000 * UNIT
    assert word(genesis, GHOST, 2) == 1_000_000 * UNIT
    assert word(genesis, GCC, 2) == sum(account.balance for account in genesis.alloc.values())
    for token in (SPIRIT, MANA, GHOST):
        assert word(genesis, FEE_MARKET, entry(token, 0)) > 0
    treasury = word(genesis, SPIRIT, entry(GOVERNANCE, 0))
    if name == "mainnet":
        assert treasury == 100_000_000 * UNIT
        return
    for key in TEST_KEYS:
        assert word(genesis, SPIRIT, entry(address_of(key), 0)) == 1_000_000 * UNIT
    assert word(genesis, SPIRIT, entry(STAKING, 0)) == 1_000_000 * UNIT
    public = public_key_of(bootstrap_consensus_seed())
    words = genesis.alloc[STAKING].storage.values()
    assert public in words
    assert any(bootstrap_validator() in value for value in words)


def test_example_of_the_operators_page() -> None:
    """What docs/operating.md shows is a genesis."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text()
    (example,) = re.findall(r"```json\n(\{.*?\n\})\n```", page, re.DOTALL)
    genesis = parse_genesis(json.loads(example))
    assert genesis.config.chain_id == 4711
    assert word(genesis, SPIRIT, 2) == 6_000_000 * UNIT
    assert word(genesis, FEE_MARKET, entry(MANA, 0)) == 10 * UNIT
