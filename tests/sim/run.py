"""The command line: one seed with its trace, or many on all cores."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from tests.sim.mutants import MUTANTS, hunt
from tests.sim.scheduler import SECOND
from tests.sim.world import Outcome, run_seed

CHUNK = 50
TRACE_LINES = 80


def run_seeds(first: int, end: int, kind: str = "mixed") -> tuple[Counter[str], list[Outcome], int]:
    """(counts of everything, runs that went wrong, longest time to recover in nanoseconds)."""
    counts: Counter[str] = Counter()
    wrong = []
    calm_ns = 0
    gc.freeze()  # a run leaves circles behind, all at once when it ends; all else stays
    gc.disable()
    for seed in range(first, end):
        outcome = run_seed(seed, kind)
        if seed % 10 == 0:
            gc.collect()
        counts.update(outcome.counts)
        counts["virtual milliseconds"] += outcome.virtual_ns // 1_000_000
        calm_ns = max(calm_ns, outcome.calm_ns)
        if not outcome.is_good:
            wrong.append(outcome)
    gc.enable()
    gc.unfreeze()
    return counts, wrong, calm_ns


def explain(seed: int, kind: str, is_whole: bool) -> Outcome:
    """Runs the seed with its trace on standard output: all of it, or its end if it goes wrong."""
    lines: deque[str] = deque(maxlen=None if is_whole else TRACE_LINES)
    outcome = run_seed(seed, kind, print if is_whole else lines.append)
    if not outcome.is_good:
        print(*lines, sep="\n")
    verdict = "holds" if outcome.is_good else f"violates {outcome.detail}"
    print(
        f"seed {seed} ({kind}): {verdict}; height {outcome.height}, "
        f"{outcome.virtual_ns / SECOND:.1f} virtual seconds"
    )
    return outcome


def campaign(first: int, end: int, kind: str, jobs: int) -> bool:
    """Runs the seeds on that many cores; whether all is well."""
    started = time.monotonic()
    counts: Counter[str] = Counter()
    calm_ns = 0
    wrong: list[Outcome] = []
    starts = range(first, end, CHUNK)
    ends = [min(start + CHUNK, end) for start in starts]
    with ProcessPoolExecutor(jobs) as pool:
        for number, (some, bad, slowest_ns) in enumerate(
            pool.map(run_seeds, starts, ends, repeat(kind)), 1
        ):
            counts.update(some)
            calm_ns = max(calm_ns, slowest_ns)
            for outcome in bad:
                print(f"seed {outcome.seed} ({kind}): {outcome.detail}", flush=True)
            wrong.extend(bad)
            if number % 100 == 0:
                speed = counts["runs"] / (time.monotonic() - started)
                print(f"{counts['runs']} seeds, {speed:.1f} a second", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    print(f"{counts['runs']} seeds in {seconds:.0f} s: {counts['runs'] / seconds:.1f} a second")
    for name, count in sorted(counts.items()):
        print(f"  {name:28} {count:,}")
    print(f"  slowest recovery: {calm_ns / SECOND:.1f} virtual seconds after faults stopped")
    print(f"  violations: {len(wrong)}")
    return not wrong


def mutants() -> bool:
    """Hunts every planted fault, one after the other; whether all are found."""
    kills = {name: hunt(name) for name in MUTANTS}
    for name, kill in kills.items():
        found = (
            f"{kill.seeds} seeds, {kill.seconds:.2f} s, {kill.outcome.rule}" if kill else "never"
        )
        print(f"  {name:48} {found}")
    return all(kills.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="one run, with the end of its trace if it fails")
    parser.add_argument("--trace", action="store_true", help="with --seed: everything")
    parser.add_argument("--seeds", metavar="FIRST:END", default="0:2000")
    parser.add_argument(
        "--kind", choices=("mixed", "twins", "duel", "runt", "spoilt", "trade"), default="mixed"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mutants", action="store_true", help="how soon each is found")
    options = parser.parse_args()
    if options.mutants:
        return not mutants()
    if options.seed is not None:
        return not explain(options.seed, options.kind, options.trace).is_good
    first, _, end = options.seeds.partition(":")
    return not campaign(int(first), int(end), options.kind, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
