"""What gas costs and what to bid: suggestions and history, out of the last blocks."""

from __future__ import annotations

import math
from typing import Any

from ghostchain.chain.fee_tokens import in_token
from ghostchain.primitives.types import Address
from ghostchain.primitives.units import GWEI
from ghostchain.rpc.blocks import BlockRecord
from ghostchain.rpc.calls import fee_rate
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.parameters import BlockId
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

# As geth's gas price oracle: the 60th percentile over the three lowest tips of each of the last
# twenty blocks, tips below 2 wei left out.
SAMPLE_BLOCKS = 20
SAMPLES_PER_BLOCK = 3
PERCENTILE = 60
TIP_IGNORED_BELOW = 2
TIP_DEFAULT = GWEI
TIP_MAX = 500 * GWEI


def suggest_tip(services: Services) -> int:
    """A priority fee in wei that the last blocks would have taken."""
    head = services.backend.head().number
    samples: list[int] = []
    for number in range(head, max(head - SAMPLE_BLOCKS, 0), -1):
        header = services.backend.header(number)
        if header is None or header.gas_used == 0:
            continue
        record = services.blocks.record(number)
        if record is not None:
            good = [tip for tip, _ in record.tips if tip >= TIP_IGNORED_BELOW]
            samples += good[:SAMPLES_PER_BLOCK]
    if not samples:
        return TIP_DEFAULT
    samples.sort()
    return min(samples[(len(samples) - 1) * PERCENTILE // 100], TIP_MAX)


def next_base_fee(services: Services) -> int:
    return services.backend.fees(services.backend.head().number + 1).base_fee


def suggest_fees(services: Services, token: Address | None) -> tuple[int, int]:
    """Base fee of the next block and suggested tip, in wei of the token (None: GCC) for a unit of
    gas. Raises RpcError for a token that pays no fees."""
    rate = fee_rate(services, token, services.backend.head().number)
    return in_token(next_base_fee(services), rate), in_token(suggest_tip(services), rate)


def fee_history(
    services: Services, deadline: Deadline, count: int, newest: BlockId, percentiles: list[float]
) -> dict[str, Any]:
    """eth_feeHistory. Raises RpcError for percentiles out of order or a block beyond the head."""
    check_percentiles(percentiles)
    head = services.backend.head().number
    if isinstance(newest, int) and newest > head:
        raise server_error(f"request beyond head block: requested {newest}, head {head}")
    last = services.number_needed(newest)
    count = min(count, services.options.fee_history_blocks_max, last + 1)
    if count < 1:
        return {"oldestBlock": "0x0", "gasUsedRatio": [], "baseFeePerGas": []}
    first = max(last - count + 1, services.backend.earliest())
    answer: dict[str, Any] = {
        "oldestBlock": hex(first),
        "baseFeePerGas": [],
        "gasUsedRatio": [],
        "baseFeePerBlobGas": [],
        "blobGasUsedRatio": [],
    }
    if percentiles:
        answer["reward"] = []
    for number in range(first, last + 1):
        deadline.check()
        header = services.backend.header(number)
        if header is None:
            raise server_error("header not found")
        fees = services.backend.fees(number)
        answer["baseFeePerGas"].append(hex(fees.base_fee))
        answer["baseFeePerBlobGas"].append(hex(fees.blob_base_fee))
        answer["gasUsedRatio"].append(ratio(header.gas_used, header.gas_limit))
        answer["blobGasUsedRatio"].append(ratio(header.blob_gas_used, fees.blob_gas_max))
        if percentiles:
            record = services.blocks.record(number) if header.gas_used else None
            answer["reward"].append(rewards(record, percentiles))
    following = services.backend.fees(last + 1)
    answer["baseFeePerGas"].append(hex(following.base_fee))
    answer["baseFeePerBlobGas"].append(hex(following.blob_base_fee))
    return answer


def ratio(used: int, limit: int) -> float:
    return used / limit if limit else 0.0


def check_percentiles(percentiles: list[float]) -> None:
    before = 0.0
    for index, percentile in enumerate(percentiles):
        if not 0 <= percentile <= 100 or math.isnan(percentile):
            raise server_error(f"invalid reward percentile: {percentile:f}")
        if index and percentile < before:
            raise server_error(
                f"invalid reward percentile: #{index - 1}:{before:f} >= #{index}:{percentile:f}"
            )
        before = percentile


def rewards(record: BlockRecord | None, percentiles: list[float]) -> list[str]:
    """The tip at each percentile of the block's gas, cheapest first."""
    if record is None or not record.tips:
        return ["0x0"] * len(percentiles)
    found = []
    tips = iter(record.tips)
    tip, gas = next(tips)
    for percentile in percentiles:
        threshold = record.header.gas_used * percentile / 100
        while gas < threshold:
            following = next(tips, None)
            if following is None:
                break
            tip, gas = following[0], gas + following[1]
        found.append(hex(tip))
    return found
