"""What a block costs by the number of validators: time of one node, and bytes that it sends.

    python -m tests.sim.figures              # N = 4, 10, 31, 100
    python -m tests.sim.figures --sizes 4,10 --heights 5

A quiet network where everybody reaches everybody, with Ed25519 signatures. The time is that of the
driver, the core, the log, the mark and the signer, measured around each step; the simulation's own
wires are left out, and so is what the real ones cost (QUIC, and the disk's answer to fdatasync).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.sim.mix import Mix
from tests.sim.network import Weather
from tests.sim.scheduler import MS, SECOND
from tests.sim.world import World

SIZES = (4, 10, 31, 100)
HEIGHTS = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one block and one node, on average."""

    size: int
    blocks: int
    cpu_ns: int
    messages: float
    bytes_sent: dict[str, float]

    def row(self) -> str:
        """A row of a table in Markdown."""
        votes = self.bytes_sent.get("Vote", 0)
        rest = sum(self.bytes_sent.values()) - votes
        return (
            f"| {self.size} | {self.blocks} | {self.cpu_ns / 1e6:.2f} ms | {self.messages:.0f} |"
            f" {votes / 1000:.1f} kB | {rest / 1000:.1f} kB |"
        )


class Stopwatch:
    """Counts processor time, but for what is inside `paused`."""

    def __init__(self) -> None:
        self.total_ns = 0
        self._paused_ns = 0

    def timed(self, action: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            self._paused_ns = 0
            started = time.process_time_ns()
            action(*arguments)
            self.total_ns += time.process_time_ns() - started - self._paused_ns

        return run

    def paused(self, action: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            started = time.process_time_ns()
            action(*arguments)
            self._paused_ns += time.process_time_ns() - started

        return run


def measure(size: int, heights: int = HEIGHTS) -> Cost:
    """What a block costs among that many equal validators, over that many heights."""
    mix = Mix(
        seed=size,
        size=size,
        powers=dict.fromkeys(range(size), 1),
        weather=Weather(20 * MS, 5 * MS, 0.0, 0.0, 0.0, 0.0),
        storm_ns=10 * MS,
        heights=heights,
        interval_ns=1 * SECOND,
        is_edwards=True,
    )
    world = World(mix)
    world.counts_bytes = True
    stopwatch = Stopwatch()
    for machine in world.machines:
        machine.step = stopwatch.timed(machine.step)  # type: ignore[method-assign]
        machine.post = stopwatch.paused(machine.post)  # type: ignore[method-assign]
    outcome = world.run()
    assert outcome.is_good, outcome.detail
    assert outcome.counts["failed rounds"] == 0
    blocks = outcome.height
    shares = size * blocks
    sent: Counter[str] = world.bytes_sent
    return Cost(
        size,
        blocks,
        stopwatch.total_ns // shares,
        outcome.counts["messages"] / shares,
        {kind: count / shares for kind, count in sent.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--heights", type=int, default=HEIGHTS)
    options = parser.parse_args()
    print("| validators | blocks | CPU per block | messages sent | votes sent | the rest |")
    print("|---|---|---|---|---|---|")
    for size in map(int, options.sizes.split(",")):
        print(measure(size, options.heights).row(), flush=True)


if __name__ == "__main__":
    main()
