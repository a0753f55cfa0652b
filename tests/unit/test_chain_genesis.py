"""Genesis files: what geth writes is read, what cannot hold is refused with the field's name, and
the official fixtures' block zero comes out with its hash."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.config import ChainConfig
from ghostchain.chain.genesis import Genesis, load_genesis, parse_genesis
from ghostchain.chain.networks import NETWORKS, TEST_KEYS, network
from ghostchain.contracts.addresses import address_of as address_of_contract
from ghostchain.contracts.customary import customary_codes
from ghostchain.contracts.registry import NATIVE_CONTRACTS
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.execution.forks import BlobSchedule, Fork
from ghostchain.primitives.errors import InvalidGenesis
from ghostchain.primitives.types import Address

FIXTURES = Path(
    os.environ.get(
        "GHOSTCHAIN_FIXTURES", Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"
    )
)
FIXTURE_FILES_MAX = 120


def genesis_fields(**config: Any) -> dict[str, Any]:
    times = {"shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0}
    return {"config": {"chainId": 5, **times, **config}, "alloc": {}, "gasLimit": "0x1c9c380"}


def test_geth_forms_of_numbers_and_defaults() -> None:
    """Decimal strings, hex strings and numbers; absent fields take geth's values."""
    fields = genesis_fields()
    fields["alloc"] = {
        "00000000000000000000000000000000000000aa": {"balance": "1000000000000000000"},
        "0x00000000000000000000000000000000000000BB": {
            "balance": "0x10",
            "nonce": "0x2",
            "code": "0x6001",
            "storage": {"0x01": "0x2a", "0x" + "00" * 31 + "02": "0x" + "00" * 32},
        },
    }
    genesis = parse_genesis(fields)
    first = genesis.alloc[Address(bytes(19) + b"\xaa")]
    second = genesis.alloc[Address(bytes(19) + b"\xbb")]
    assert first.balance == 10**18
    assert (second.balance, second.nonce, second.code) == (16, 2, b"\x60\x01")
    assert second.storage == {bytes(31) + b"\x01": bytes(31) + b"\x2a"}
    assert genesis.header.base_fee_per_gas == 10**9
    assert genesis.header.gas_limit == 30_000_000
    assert genesis.header.difficulty == 0
    assert genesis.header.requests_hash is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cancunTime": None}, "starts before Cancun"),
        ({"cancunTime": 10}, "starts before Cancun"),
        ({"londonBlock": 5}, "londonBlock is after genesis"),
        ({"terminalTotalDifficulty": 7}, "terminalTotalDifficulty"),
        ({"verkleTime": 100}, "verkleTime names a fork"),
        ({"pragueTime": None}, "earlier fork"),
        ({"pragueTime": 9, "osakaTime": 5}, "must ascend"),
        ({"bpo1Time": 9}, "no blobSchedule.bpo1"),
        ({"chainId": "five"}, "config.chainId is not a number"),
        ({"depositContractAddress": "0x12"}, "20 bytes"),
    ],
)
def test_config_that_cannot_hold(change: dict[str, Any], message: str) -> None:
    fields = genesis_fields()
    fields["config"].update(change)
    with pytest.raises(InvalidGenesis, match=message):
        parse_genesis(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alloc": {"0x12": {}}}, "not 20"),
        ({"alloc": {"aa" * 20: {"balance": "-1"}}}, "balance is not a number"),
        ({"alloc": []}, "alloc must be an object"),
        ({"number": 3}, "block 0"),
        ({"mixHash": "0x12"}, "mixHash has 1 bytes"),
        ({"config": 3}, "config is missing"),
        ({"extraData": "0xzz"}, "extraData is not hex"),
    ],
)
def test_genesis_that_cannot_hold(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidGenesis, match=message):
        parse_genesis(genesis_fields() | change)


def test_files_that_are_no_genesis(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    with pytest.raises(InvalidGenesis, match="cannot be read"):
        load_genesis(path)
    path.write_text("{")
    with pytest.raises(InvalidGenesis, match="is not JSON"):
        load_genesis(path)
    path.write_text("[]")
    with pytest.raises(InvalidGenesis, match="a JSON object"):
        load_genesis(path)
    with pytest.raises(InvalidGenesis, match="mainnet, testnet"):
        network("moon")


def test_forks_and_blob_schedules_by_time() -> None:
    fields = genesis_fields(
        pragueTime=10,
        osakaTime=20,
        bpo1Time=30,
        blobSchedule={
            "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477},
            "bpo1": {"target": 10, "max": 15, "baseFeeUpdateFraction": 8346193},
        },
    )
    config = parse_genesis(fields).config
    assert [config.fork_at(time) for time in (0, 9, 10, 20, 99)] == [
        Fork.CANCUN,
        Fork.CANCUN,
        Fork.PRAGUE,
        Fork.OSAKA,
        Fork.OSAKA,
    ]
    assert config.blob_schedule_at(9).max == 6
    assert config.blob_schedule_at(29).max == 9
    assert config.blob_schedule_at(30) == BlobSchedule(10, 15, 8346193)
    assert (config.blobs_per_transaction_max(15), config.blobs_per_transaction_max(40)) == (9, 6)


def test_networks_are_themselves() -> None:
    """Names, ids and block zero are constants of the project."""
    assert {name: network(name).config.chain_id for name in NETWORKS} == NETWORKS
    hashes = {network(name).hash for name in NETWORKS}
    assert len(hashes) == len(NETWORKS)
    dev = network("dev")
    funded = [address_of(key) for key in TEST_KEYS]
    assert funded[0].hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert all(dev.alloc[address].balance == 10_000 * 10**18 for address in funded)
    assert dev.header.gas_limit == 10**9
    assert dev.config.fork_at(0) == Fork.OSAKA
    contracts = {address for address, entry in network("mainnet").alloc.items() if entry.code}
    protocol = {address_of_contract(number) for number in NATIVE_CONTRACTS}
    assert len(contracts - protocol - customary_codes().keys()) == 5
    assert protocol | customary_codes().keys() < contracts
    assert sum(entry.balance for entry in network("mainnet").alloc.values()) == 0


def genesis_of_fixture(case: dict[str, Any]) -> Genesis:
    """A blockchain test's block zero in geth's form."""
    header = case["genesisBlockHeader"]
    times = {"Cancun": 0, "Prague": 1, "Osaka": 2}[case["network"]]
    config = {"chainId": case["config"]["chainid"]}
    for fork in ("cancunTime", "pragueTime", "osakaTime")[: times + 1]:
        config[fork] = 0
    return parse_genesis({**header, "config": config, "alloc": case["pre"]})


def test_block_zero_of_the_official_fixtures() -> None:
    """Alloc to state root, header to hash."""
    archive = FIXTURES / "blockchain_tests.tar.xz"
    if not archive.exists():
        pytest.skip("fixtures absent: blockchain_tests.tar.xz")
    checked = 0
    with tarfile.open(archive) as files:
        for member in files:
            if checked == FIXTURE_FILES_MAX:
                break
            file = files.extractfile(member) if member.name.endswith(".json") else None
            if file is None:
                continue
            case = next(iter(json.load(file).values()))
            if case["network"] not in ("Cancun", "Prague", "Osaka"):
                continue
            genesis = genesis_of_fixture(case)
            assert genesis.header.state_root.hex() == case["genesisBlockHeader"]["stateRoot"][2:]
            assert genesis.hash.hex() == case["genesisBlockHeader"]["hash"][2:], member.name
            assert isinstance(genesis.config, ChainConfig)
            checked += 1
    assert checked == FIXTURE_FILES_MAX
