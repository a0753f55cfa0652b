"""The economy of a new chain: who has what, who validates, at which rates and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ghostchain.contracts import feemarket, staking
from ghostchain.contracts.addresses import FEE_MARKET, GOVERNANCE, SLASHING, SPIRIT, STAKING
from ghostchain.contracts.genesis import storage_after, system_alloc
from ghostchain.contracts.governance import Governance
from ghostchain.contracts.governed import write_parameters
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking.genesis import EPOCH_BLOCKS, GenesisValidator
from ghostchain.contracts.staking.genesis import write_genesis as write_staking
from ghostchain.execution.views import Allocation
from ghostchain.primitives.types import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Economy:
    """What block zero decides. Units: wei of the tokens; rates as in the fee market.

    balances: of SPIRIT, MANA and GHOST by token and holder, the validators' stake not included.
    rates: of tokens that pay for gas besides GCC. parameters: by contract and name; what is not
    named has its default.
    """

    balances: Mapping[Address, Mapping[Address, int]] = field(default_factory=dict)
    validators: Sequence[GenesisValidator] = ()
    rates: Mapping[Address, int] = field(default_factory=dict)
    parameters: Mapping[Address, Mapping[str, int]] = field(default_factory=dict)
    epoch_blocks: int = EPOCH_BLOCKS


def economy_alloc(native_supply: int, economy: Economy) -> dict[Address, Allocation]:
    """The accounts of the protocol's contracts, for a genesis's alloc.

    native_supply: the sum of all native balances, in wei.
    Raises: ValueError for an economy that the contracts would refuse, caps among the rest.
    """
    parameters = {address: dict(values) for address, values in economy.parameters.items()}
    balances = {token: dict(holders) for token, holders in economy.balances.items()}
    bonded = sum(validator.self_bond for validator in economy.validators)
    if bonded:
        holders = balances.setdefault(SPIRIT, {})
        holders[STAKING] = holders.get(STAKING, 0) + bonded
    storage = {
        STAKING: storage_after(
            staking.Staking,
            lambda contract: write_staking(
                contract,
                parameters.pop(STAKING, {}),
                economy.validators,
                epoch_blocks=economy.epoch_blocks,
            ),
        ),
        FEE_MARKET: storage_after(
            feemarket.FeeMarket,
            lambda contract: feemarket.write_genesis(
                contract, dict(economy.rates), parameters.pop(FEE_MARKET, {})
            ),
        ),
        SLASHING: storage_after(
            Slashing, lambda contract: write_parameters(contract, parameters.pop(SLASHING, {}))
        ),
        GOVERNANCE: storage_after(
            Governance, lambda contract: write_parameters(contract, parameters.pop(GOVERNANCE, {}))
        ),
    }
    if parameters:
        raise ValueError(f"0x{min(parameters).hex()} is no contract with parameters")
    return system_alloc(native_supply, balances, storage)
