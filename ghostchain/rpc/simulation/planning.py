"""Numbers and times of the blocks of a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ghostchain.primitives.header import Header
from ghostchain.rpc.errors import BLOCK_NUMBER_INVALID, BLOCK_TIMESTAMP_INVALID, RpcError
from ghostchain.rpc.parameters import BlockOverride
from ghostchain.rpc.simulation.request import BLOCKS_MAX, BlockCalls, too_many

# Seconds between blocks whose time nobody says.
TIMESTAMP_INCREMENT = 12
TIMESTAMP_MAX = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """A block of which number and time are known."""

    number: int
    timestamp: int
    asked: BlockCalls


def planned(blocks: Sequence[BlockCalls], base: Header) -> list[PlannedBlock]:
    """Every block to run after base, empty ones in the gaps; both number and time rise.

    Raises: RpcError BLOCK_NUMBER_INVALID, BLOCK_TIMESTAMP_INVALID, CLIENT_LIMIT_EXCEEDED.
    """
    plan: list[PlannedBlock] = []
    number, time = base.number, base.timestamp
    for asked in blocks:
        wanted = number + 1 if asked.block.number is None else asked.block.number
        if wanted <= number:
            raise RpcError(
                BLOCK_NUMBER_INVALID, f"block numbers must be in order: {wanted} <= {number}"
            )
        if wanted - base.number > BLOCKS_MAX:
            raise too_many("too many blocks")
        for gap in range(number + 1, wanted):
            time += TIMESTAMP_INCREMENT
            plan.append(PlannedBlock(gap, time, BlockCalls()))
        moment = time + TIMESTAMP_INCREMENT if asked.block.time is None else asked.block.time
        if moment <= time:
            raise RpcError(
                BLOCK_TIMESTAMP_INVALID, f"block timestamps must be in order: {moment} <= {time}"
            )
        if moment > TIMESTAMP_MAX:
            raise RpcError(BLOCK_TIMESTAMP_INVALID, f"block timestamp beyond 64 bits: {moment}")
        number, time = wanted, moment
        settled: BlockOverride = replace(asked.block, number=number, time=time)
        plan.append(PlannedBlock(number, time, replace(asked, block=settled)))
    return plan
