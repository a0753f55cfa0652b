"""The fee market: base fee per gas and blob gas, from a parent header to its child.

Pure functions of integers. Units: gas, wei per gas, blob gas.
"""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.execution.forks import BlobSchedule
from ghostchain.primitives.transaction import SignatureScheme

ELASTICITY = 2
BASE_FEE_CHANGE_DENOMINATOR = 8
INITIAL_BASE_FEE = 1_000_000_000
# By hand: hundreds of full blocks below where the next one no longer fits a header.
BASE_FEE_END = 1 << 128

GAS_LIMIT_BOUND_DIVISOR = 1024
GAS_LIMIT_MIN = 5000
GAS_LIMIT_MAX = (1 << 63) - 1

GAS_TRANSACTION = 21_000
GAS_AUTHORIZATION = 25_000
# EIP-3529: of the gas used, at most one part in so many is given back.
REFUND_DIVISOR = 5
GAS_PAYER_SECP256K1 = 3_000
GAS_SIGNATURE = {
    SignatureScheme.SECP256K1: 0,
    SignatureScheme.ED25519: 4_000,
    SignatureScheme.ML_DSA_65: 90_000,
}
"""Gas of a signature beyond the one of secp256k1 that every transaction has paid for."""

GAS_PER_BLOB = 1 << 17
BLOB_BASE_FEE_MIN = 1
# EIP-7918: execution gas that a blob costs its carrier, the floor of the blob price.
BLOB_BASE_COST = 1 << 13


@dataclass(frozen=True, slots=True)
class BlockFees:
    """Fees inside one block, in wei per (blob) gas, and the gas and blob gas it may use."""

    base_fee: int
    blob_base_fee: int
    gas_limit: int
    blob_gas_max: int


def next_base_fee(*, gas_limit: int, gas_used: int, base_fee: int) -> int:
    """The base fee of the child of a block with these figures.

    Spec: EIP-1559.
    """
    target = gas_limit // ELASTICITY
    if gas_used == target:
        return base_fee
    if gas_used > target:
        rise = base_fee * (gas_used - target) // target // BASE_FEE_CHANGE_DENOMINATOR
        return base_fee + max(rise, 1)
    return base_fee - base_fee * (target - gas_used) // target // BASE_FEE_CHANGE_DENOMINATOR


def next_gas_limit(parent: int, wanted: int) -> int:
    """The gas limit nearest to wanted that the child of a block with limit parent may have.

    Spec: Yellow Paper, equation for the gas limit: the step is below parent / 1024.
    """
    step = max(parent // GAS_LIMIT_BOUND_DIVISOR - 1, 0)
    bounded = min(max(wanted, parent - step), parent + step)
    return min(max(bounded, GAS_LIMIT_MIN), GAS_LIMIT_MAX)


def is_gas_limit_allowed(parent: int, child: int) -> bool:
    """Whether a child may have that gas limit."""
    bound = parent // GAS_LIMIT_BOUND_DIVISOR
    return abs(child - parent) < bound and GAS_LIMIT_MIN <= child <= GAS_LIMIT_MAX


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """factor * e ** (numerator / denominator), as the EIP's integer Taylor series.

    Spec: EIP-4844.
    """
    step, output, term = 1, 0, factor * denominator
    while term > 0:
        output += term
        term = term * numerator // (denominator * step)
        step += 1
    return output // denominator


def blob_base_fee(excess_blob_gas: int, schedule: BlobSchedule) -> int:
    """Wei per blob gas in a block with that excess.

    Spec: EIP-4844; EIP-7691 for the update fraction.
    """
    return fake_exponential(BLOB_BASE_FEE_MIN, excess_blob_gas, schedule.base_fee_update_fraction)


def next_excess_blob_gas(
    *,
    excess_blob_gas: int,
    blob_gas_used: int,
    base_fee: int,
    schedule: BlobSchedule,
    has_reserve_price: bool,
) -> int:
    """The excess blob gas of the child of a block with the first three figures.

    schedule: the child's. has_reserve_price: whether EIP-7918 holds for the child (Osaka).
    Spec: EIP-4844, EIP-7918.
    """
    total = excess_blob_gas + blob_gas_used
    target = schedule.target * GAS_PER_BLOB
    if total < target:
        return 0
    if has_reserve_price:
        price = GAS_PER_BLOB * blob_base_fee(excess_blob_gas, schedule)
        if BLOB_BASE_COST * base_fee > price:
            share = blob_gas_used * (schedule.max - schedule.target) // schedule.max
            return excess_blob_gas + share
    return total - target
