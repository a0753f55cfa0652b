"""Which class runs at which id. What is not listed reverts with a reason, ids that are kept for
later (names, identity, the bridge) among them."""

from __future__ import annotations

from ghostchain.contracts.feemarket import FeeMarket
from ghostchain.contracts.framework import NativeContract, runner
from ghostchain.contracts.governance import Governance
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Gcc, Ghost, Mana, Spirit

_ALL: tuple[type[NativeContract], ...] = (
    Gcc,
    Spirit,
    Mana,
    Ghost,
    Staking,
    Slashing,
    Governance,
    FeeMarket,
)

NATIVE_CONTRACTS: dict[int, type[NativeContract]] = {contract.ID: contract for contract in _ALL}

RUN = runner(NATIVE_CONTRACTS)
"""What an `Executor` of a chain is given as its contracts."""
