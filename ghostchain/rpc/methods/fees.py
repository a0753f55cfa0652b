"""What gas costs."""

from __future__ import annotations

from typing import Any

from ghostchain.rpc.dispatch import Cost, Method
from ghostchain.rpc.fees import fee_history, next_base_fee, suggest_tip
from ghostchain.rpc.parameters import (
    BlockId,
    Parameter,
    block_count,
    block_number,
    percentiles,
)
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


def gas_price(services: Services, deadline: Deadline) -> str:
    return hex(next_base_fee(services) + suggest_tip(services))


def priority_fee(services: Services, deadline: Deadline) -> str:
    return hex(suggest_tip(services))


def base_fee(services: Services) -> str:
    return hex(next_base_fee(services))


def blob_base_fee(services: Services) -> str:
    return hex(services.backend.fees(services.backend.head().number + 1).blob_base_fee)


def history(
    services: Services, deadline: Deadline, count: int, newest: BlockId, wanted: list[float] | None
) -> Any:
    return fee_history(services, deadline, count, newest, wanted or [])


METHODS = (
    Method("eth_gasPrice", gas_price, (), Cost.SLOW),
    Method("eth_maxPriorityFeePerGas", priority_fee, (), Cost.SLOW),
    Method("eth_baseFee", base_fee),
    Method("eth_blobBaseFee", blob_base_fee),
    Method(
        "eth_feeHistory",
        history,
        (
            Parameter("block count", block_count),
            Parameter("newest block", block_number),
            Parameter("reward percentiles", percentiles, required=False),
        ),
        Cost.SLOW,
    ),
)
