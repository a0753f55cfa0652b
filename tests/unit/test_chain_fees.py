"""The fee market: figures of the EIPs' own examples and the bounds around them."""

from __future__ import annotations

import pytest

from ghostchain.chain import fees
from ghostchain.execution.forks import BlobSchedule

CANCUN = BlobSchedule(3, 6, 3_338_477)
OSAKA = BlobSchedule(6, 9, 5_007_716)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (10_000_000, 1_000_000_000),
        (9_000_000, 987_500_000),
        (11_000_000, 1_012_500_000),
        (20_000_000, 1_125_000_000),
        (0, 875_000_000),
    ],
)
def test_base_fee_follows_use(used: int, expected: int) -> None:
    """EIP-1559: at the target it stays, else it moves by at most an eighth."""
    assert (
        fees.next_base_fee(gas_limit=20_000_000, gas_used=used, base_fee=1_000_000_000) == expected
    )


def test_base_fee_rises_by_one_at_least_and_rests_at_seven() -> None:
    assert fees.next_base_fee(gas_limit=100, gas_used=51, base_fee=7) == 8
    assert fees.next_base_fee(gas_limit=100, gas_used=0, base_fee=7) == 7
    assert fees.next_base_fee(gas_limit=100, gas_used=0, base_fee=0) == 0


def test_gas_limit_steps() -> None:
    """Less than a 1024th of the parent's at a time, never below 5000."""
    assert fees.next_gas_limit(1_024_000, 2_000_000) == 1_024_999
    assert fees.next_gas_limit(1_024_000, 0) == 1_023_001
    assert fees.next_gas_limit(1_024_000, 1_024_500) == 1_024_500
    assert fees.next_gas_limit(5_000, 0) == 5_000
    assert fees.is_gas_limit_allowed(1_024_000, 1_024_999)
    assert not fees.is_gas_limit_allowed(1_024_000, 1_025_000)
    assert not fees.is_gas_limit_allowed(5_000, 4_999)


def test_blob_base_fee() -> None:
    """EIP-4844's curve: 1 wei without excess, doubling about every 0.69 update fractions."""
    assert fees.blob_base_fee(0, CANCUN) == 1
    assert fees.blob_base_fee(2_314_057, CANCUN) == 1
    assert fees.blob_base_fee(2_314_058, CANCUN) == 2
    assert fees.blob_base_fee(10 * 1024 * 1024, CANCUN) == 23


@pytest.mark.parametrize(
    ("excess", "used", "expected"),
    [
        (0, 0, 0),
        (0, 3 << 17, 0),
        (0, 6 << 17, 3 << 17),
        (1, 3 << 17, 1),
        (5 << 17, 0, 2 << 17),
    ],
)
def test_excess_blob_gas_of_cancun(excess: int, used: int, expected: int) -> None:
    assert (
        fees.next_excess_blob_gas(
            excess_blob_gas=excess,
            blob_gas_used=used,
            base_fee=10**12,
            schedule=CANCUN,
            has_reserve_price=False,
        )
        == expected
    )


def test_reserve_price_keeps_excess_from_falling() -> None:
    """EIP-7918: while execution costs dominate, the target is not subtracted."""
    options = {"excess_blob_gas": 6 << 17, "blob_gas_used": 3 << 17, "schedule": OSAKA}
    dear = fees.next_excess_blob_gas(**options, base_fee=10**9, has_reserve_price=True)
    assert dear == (6 << 17) + (3 << 17) * 3 // 9
    cheap = fees.next_excess_blob_gas(**options, base_fee=1, has_reserve_price=True)
    assert cheap == 3 << 17
    before = fees.next_excess_blob_gas(**options, base_fee=10**9, has_reserve_price=False)
    assert before == 3 << 17
