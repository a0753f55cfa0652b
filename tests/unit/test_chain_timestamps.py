"""Blocks may share a second where the genesis says so, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import pytest

from ghostchain.chain.config import parse_config
from ghostchain.chain.networks import network
from ghostchain.chain.validation import check_header
from ghostchain.crypto.hashes import header_hash
from ghostchain.primitives.errors import BlockReason, InvalidBlock, InvalidGenesis
from ghostchain.primitives.header import Header


def child_of(parent: Header, timestamp: int) -> Header:
    return replace(
        parent,
        parent_hash=header_hash(parent),
        number=parent.number + 1,
        timestamp=timestamp,
        base_fee_per_gas=parent.base_fee_per_gas * 7 // 8,
    )


@pytest.mark.parametrize(("name", "shares"), [("testnet", True), ("dev", False)])
def test_sharing_a_second(name: str, shares: bool) -> None:
    """The networks made for many blocks a second allow equal timestamps, the others do not."""
    genesis = network(name)
    parent = genesis.header
    later = child_of(parent, parent.timestamp + 1)
    check_header(genesis.config, later, parent, header_hash(parent))
    same = child_of(parent, parent.timestamp)
    if shares:
        check_header(genesis.config, same, parent, header_hash(parent))
        return
    with pytest.raises(InvalidBlock) as refusal:
        check_header(genesis.config, same, parent, header_hash(parent))
    assert refusal.value.reason is BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT


def test_an_earlier_timestamp_is_refused_everywhere() -> None:
    genesis = network("testnet")
    parent = replace(genesis.header, timestamp=100)
    with pytest.raises(InvalidBlock) as refusal:
        check_header(genesis.config, child_of(parent, 99), parent, header_hash(parent))
    assert refusal.value.reason is BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT


@pytest.mark.parametrize("value", [2, -1, "x", {}])
def test_other_steps_are_refused(value: object) -> None:
    text = files("ghostchain.chain").joinpath("genesis", "testnet.json").read_text()
    fields = json.loads(text)["config"]
    fields["ghost"]["timestampStepMin"] = value
    with pytest.raises(InvalidGenesis, match="timestampStepMin"):
        parse_config(fields, 0)
