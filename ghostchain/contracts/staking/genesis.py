"""Staking as it stands in block zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ghostchain.contracts.governed import WAD, write_parameters
from ghostchain.contracts.staking import pool, validators
from ghostchain.contracts.staking.contract import Staking
from ghostchain.primitives.types import Address

EPOCH_BLOCKS = 7_200
"""Four hours of blocks of two seconds."""


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A validator of block zero, which needs no proof of its key. self_bond in wei of SPIRIT."""

    operator: Address
    consensus_key: bytes
    self_bond: int
    commission: int = WAD // 20
    max_commission: int = WAD // 5
    max_daily_change: int = WAD // 100


def write_genesis(
    staking: Staking,
    parameters: Mapping[str, int],
    initial: Sequence[GenesisValidator],
    *,
    epoch_blocks: int = EPOCH_BLOCKS,
) -> None:
    """The parameters, and the validators with their stake, which this contract must be given as
    its balance of SPIRIT.

    Raises: ValueError for what the contract would refuse.
    """
    if epoch_blocks < 1:
        raise ValueError(f"an epoch has {epoch_blocks} blocks")
    staking.limits.epoch_blocks = epoch_blocks
    write_parameters(staking, dict(parameters))
    for one in initial:
        where = f"validator 0x{one.operator.hex()}"
        if len(one.consensus_key) != 32 or one.consensus_key == bytes(32):
            raise ValueError(f"{where}: the consensus key is not 32 bytes of an Ed25519 key")
        if one.self_bond < staking.limits.min_self_bond:
            raise ValueError(f"{where}: a stake of {one.self_bond} is below the minimum")
        if not 0 <= max(one.commission, one.max_daily_change) <= one.max_commission <= WAD:
            raise ValueError(f"{where}: the commission is out of bounds")
        if staking.records[one.operator].shares or staking.key_operators[one.consensus_key] != (
            Address(bytes(20))
        ):
            raise ValueError(f"{where}: the operator or the key is there twice")
        terms = (one.commission, one.max_commission, one.max_daily_change)
        validators.create(staking, one.operator, one.consensus_key, terms)
        pool.enter(staking, one.operator, one.operator, one.self_bond)
