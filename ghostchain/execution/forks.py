"""The forks that are known, and how many blobs a block carries at each.

Spec: EIP-4844 (Cancun), EIP-7691 (Prague), EIP-7892 (blob-parameter-only forks).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Fork(IntEnum):
    """Rule sets, oldest first; numbers as `enum ghost_fork` of the native core."""

    CANCUN = 0
    PRAGUE = 1
    OSAKA = 2


TRANSACTION_GAS_CAP = 1 << 24
"""From Osaka on (EIP-7825), in gas."""


@dataclass(frozen=True, slots=True)
class BlobSchedule:
    """Blobs a block aims at and may carry, and how fast the blob base fee moves."""

    target: int
    max: int
    base_fee_update_fraction: int


BLOB_SCHEDULES: Mapping[str, BlobSchedule] = {
    "Cancun": BlobSchedule(3, 6, 3_338_477),
    "Prague": BlobSchedule(6, 9, 5_007_716),
    "Osaka": BlobSchedule(6, 9, 5_007_716),
    "BPO1": BlobSchedule(10, 15, 8_346_193),
    "BPO2": BlobSchedule(14, 21, 11_684_671),
    "BPO3": BlobSchedule(21, 32, 20_609_697),
    "BPO4": BlobSchedule(14, 21, 13_739_630),
}
"""By the names that the official test suites use; BPO forks change nothing but these figures."""

RULES: Mapping[str, Fork] = {
    "Cancun": Fork.CANCUN,
    "Prague": Fork.PRAGUE,
    "Osaka": Fork.OSAKA,
    "BPO1": Fork.OSAKA,
    "BPO2": Fork.OSAKA,
    "BPO3": Fork.OSAKA,
    "BPO4": Fork.OSAKA,
    "BPO5": Fork.OSAKA,
}

_TRANSITION = re.compile(r"(\w+?)To(\w+?)AtTime(\d+)(k?)")


@dataclass(frozen=True, slots=True)
class ForkStep:
    """What holds from a timestamp (seconds) on. name: as in the test suites."""

    time: int
    name: str
    fork: Fork
    blobs: BlobSchedule


def parse_network(
    name: str, schedules: Mapping[str, BlobSchedule] = BLOB_SCHEDULES
) -> tuple[ForkStep, ...] | None:
    """The steps that a test suite's network name stands for, ascending; None when one is not known.

    Examples: "Prague", "BPO1", "CancunToPragueAtTime15k", "PragueToOsakaAtTime15k".
    schedules: blob figures by fork name, before the well-known ones.
    """
    transition = _TRANSITION.fullmatch(name)
    if transition is None:
        steps = [(0, name)]
    else:
        before, after, time, thousands = transition.groups()
        steps = [(0, before), (int(time) * (1000 if thousands else 1), after)]
    known = []
    for time, fork_name in steps:
        blobs = schedules.get(fork_name) or BLOB_SCHEDULES.get(fork_name)
        if fork_name not in RULES or blobs is None:
            return None
        known.append(ForkStep(time, fork_name, RULES[fork_name], blobs))
    return tuple(known)
