"""A part of the official blockchain tests on a chain that is on disk: valid blocks import, invalid
ones are refused and leave nothing, and the flat state, the trie and the proofs agree after
reopening. `ghostd evm blocktest` runs all of them in memory."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.config import ChainConfig
from ghostchain.chain.genesis import Genesis, encode_account, parse_genesis
from ghostchain.chain.verify import verify_state
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.forks import parse_network
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import InvalidBlock
from ghostchain.primitives.types import Address, Hash32
from ghostchain.trie.merkle import verify_proof

FIXTURES = Path(
    os.environ.get(
        "GHOSTCHAIN_FIXTURES", Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"
    )
)
FILES_MAX = 60


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """One test of each of the first files of the archive."""
    archive = FIXTURES / "blockchain_tests.tar.xz"
    if not archive.exists():
        pytest.skip("fixtures absent: blockchain_tests.tar.xz")
    count = 0
    with tarfile.open(archive) as files:
        for member in files:
            file = files.extractfile(member) if member.name.endswith(".json") else None
            if file is None:
                continue
            yield next(iter(json.load(file).items()))
            count += 1
            if count == FILES_MAX:
                return


def genesis_of(case: dict[str, Any]) -> Genesis:
    steps = parse_network(case["network"])
    assert steps is not None, case["network"]
    header = case["genesisBlockHeader"]
    chain_id = int(case["config"]["chainid"], 16)
    fields = {**header, "config": {"chainId": chain_id, "cancunTime": 0}, "alloc": case["pre"]}
    parsed = parse_genesis(fields)
    requests = header.get("requestsHash")
    requests_hash = None if requests is None else Hash32(bytes.fromhex(requests[2:]))
    return Genesis(
        ChainConfig.from_steps(chain_id, steps),
        replace(parsed.header, requests_hash=requests_hash),
        parsed.alloc,
    )


def check_state(chain: Chain, case: dict[str, Any]) -> None:
    """What the test says of the accounts in the end, through views and proofs."""
    head = chain.head
    for name, expected in case["postState"].items():
        address = Address(bytes.fromhex(name[2:]))
        record = chain.state_at(head.number).account(address, keccak256(address))
        account = Account.decode(record or b"")
        assert account.balance == int(expected["balance"], 16)
        assert account.nonce == int(expected["nonce"], 16)
        slots = [Hash32(int(key, 16).to_bytes(32)) for key in expected["storage"]]
        proof = chain.prove(address, slots, head.number)
        leaf = verify_proof(head.state_root, keccak256(address), proof.nodes)
        assert leaf == encode_account(account)
        wanted = [int(value, 16) for value in expected["storage"].values()]
        assert [slot.value for slot in proof.slots] == wanted


def test_official_blocks_on_disk(tmp_path: Path) -> None:
    for position, (name, case) in enumerate(cases()):
        path = tmp_path / str(position)
        genesis = genesis_of(case)
        chain = Chain.open(path, genesis)
        for block in case["blocks"]:
            data = bytes.fromhex(block["rlp"][2:])
            if block.get("expectException"):
                head = chain.head_hash
                with pytest.raises(InvalidBlock):
                    chain.import_block(data)
                assert chain.head_hash == head
            else:
                chain.import_block(data)
        assert chain.head_hash.hex() == case["lastblockhash"][2:], name
        chain.close()
        chain = Chain.open(path, genesis)
        check_state(chain, case)
        verification = verify_state(chain.storage.database)
        assert verification.agrees, (name, verification.mismatches)
        for number in range(chain.head.number):
            chain.prove(next(iter(genesis.alloc)), [], number)
        chain.close()
