"""What gas costs."""

from __future__ import annotations

from typing import Any

from ghostchain.primitives.types import Address
from ghostchain.rpc.fees import fee_history, next_base_fee, suggest_fees
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import (
    BlockId,
    Parameter,
    address,
    block_count,
    block_number,
    percentiles,
)
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


def gas_price(services: Services, deadline: Deadline, token: Address | None) -> str:
    """In wei of the fee token, where one is given, as Celo's nodes answer."""
    return hex(sum(suggest_fees(services, token)))


def priority_fee(services: Services, deadline: Deadline, token: Address | None) -> str:
    return hex(suggest_fees(services, token)[1])


def base_fee(services: Services) -> str:
    return hex(next_base_fee(services))


def blob_base_fee(services: Services) -> str:
    return hex(services.backend.fees(services.backend.head().number + 1).blob_base_fee)


def history(
    services: Services, deadline: Deadline, count: int, newest: BlockId, wanted: list[float] | None
) -> Any:
    return fee_history(services, deadline, count, newest, wanted or [])


TOKEN = Parameter("fee token", address, required=False)

METHODS = (
    Method("eth_gasPrice", gas_price, (TOKEN,), Cost.SLOW),
    Method("eth_maxPriorityFeePerGas", priority_fee, (TOKEN,), Cost.SLOW),
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
