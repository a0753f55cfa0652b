"""Runs every benchmark at full size and writes `RESULTS.md`: machine, commit, figures, ratios.

    make bench-full

Each benchmark compares itself with its peer in the same run and leaves what it found in
pytest-benchmark's `extra_info` (`ratio`, `peer`, `result` ...); this file only collects. The bars
are those of the design; what is missed is shown as missed.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
JSON = ROOT / "build" / "benchmarks.json"
NOTES = ROOT / "benchmarks" / "NOTES.md"


def machine() -> str:
    """Processor, cores, memory, kernel, Python: what a figure is worth nothing without."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return (
        f"{model}, {os.cpu_count()} cores, {memory_kib >> 20} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def commit() -> str:
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


def run_benchmarks() -> int:
    JSON.parent.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "benchmarks",
        "-o",
        "addopts=--import-mode=importlib",
    ]
    command += ["-o", "python_files=bench_*.py", "-p", "no:cacheprovider", "-s"]
    command += [f"--benchmark-json={JSON}", "-o", "timeout=3600"]
    environment = dict(os.environ, GHOSTCHAIN_BENCH="full")
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def row(entry: dict[str, Any]) -> str:
    """One line of the table."""
    info = dict(entry["extra_info"])
    ratio = info.pop("ratio", None)
    result = info.pop("result", info.pop("result_hash", ""))
    peer = info.pop("peer", "")
    rest = ", ".join(f"{name} {shown(value)}" for name, value in info.items())
    module = Path(entry["fullname"].split("::")[0]).stem.removeprefix("bench_")
    best_ms = entry["stats"]["min"] * 1e3
    times = "" if ratio is None else f"{ratio:.2f}×"
    result_text = f"`{str(result)[:16]}`" if result else ""
    cells = (module, entry["name"], f"{best_ms:.4g}", peer, times, rest, result_text)
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that the design asks for: of the benchmarks whose name begins so, the least."""

    what: str
    benchmarks: str
    figure: str
    bar: float
    goal: str


BARS = (
    Bar("EVM beside revm, geometric mean", "bench_evm.py::test_geometric", "ratio", 0.8, "2"),
    Bar("EVM beside revm, the worst contract", "bench_evm.py::test_contract", "ratio", 0.5, "2"),
    Bar(
        "sender recovery beside coincurve on the same cores",
        f"bench_secp256k1.py::test_recover_batch[ifma-{os.cpu_count()}]",
        "ratio",
        1.5,
        "4",
    ),
    Bar(
        "keccak of short inputs beside PyPI's best, AVX-512",
        "bench_keccak.py::test_batch[address-avx512",
        "ratio",
        5,
        "20",
    ),
    Bar(
        "import of transfers a second",
        "bench_import.py::test_import[transfers",
        "transactions_per_second",
        30_000,
        "100,000",
    ),
    Bar(
        "token transfers a second through a native face, in blocks",
        "bench_contracts.py::test_token_transfers[spirit",
        "per_second",
        20_000,
        "100,000",
    ),
    Bar(
        "calls of a WASM counter a second, in blocks",
        "bench_wasm.py::test_counter_calls",
        "calls_per_second",
        10_000,
        "50,000",
    ),
    Bar(
        "computing in WASM beside the same in EVM bytecode, the lesser of keccak and sort",
        "bench_wasm.py::test_computing",
        "ratio",
        5,
        "10",
    ),
    Bar(
        "gas a microsecond of compiling a module, the worst",
        "bench_wasm.py::test_deploying",
        "gas_per_microsecond",
        50,
        "100",
    ),
    Bar("raw transactions to inclusion beside anvil", "bench_rpc.py::", "ratio", 1.5, "4"),
)


def bar_row(bar: Bar, entries: list[dict[str, Any]]) -> str:
    """One line of the table of bars; a figure that was not measured says so."""
    figures = [
        entry["extra_info"][bar.figure]
        for entry in entries
        if entry["fullname"].split("/")[-1].startswith(bar.benchmarks)
        and bar.figure in entry["extra_info"]
    ]
    if not figures:
        return f"| {bar.what} | {shown(bar.bar)} | {bar.goal} | not measured | |"
    least = min(figures)
    verdict = "met" if least >= bar.bar else f"missed by {1 - least / bar.bar:.0%}"
    return f"| {bar.what} | {shown(bar.bar)} | {bar.goal} | {shown(least)} | {verdict} |"


def write(entries: list[dict[str, Any]], exit_code: int) -> None:
    lines = [
        "# Results of the last full run",
        "",
        f"{time.strftime('%Y-%m-%d')}, commit {commit()}, {machine()}.",
        "",
        "Written by `make bench-full`. A ratio above 1 means that GhostChain is faster than the",
        "peer; both were measured in the same run. `result` is the start of a hash of what was",
        "computed.",
        "",
    ]
    if exit_code:
        lines += [f"**The run did not end cleanly (exit code {exit_code}).**", ""]
    lines += ["| what | bar | goal | measured | |", "|---|---|---|---|---|"]
    lines += [*(bar_row(bar, entries) for bar in BARS), ""]
    if NOTES.exists():
        lines += [NOTES.read_text().rstrip(), ""]
    lines += [
        "| kernel | benchmark | best, ms | peer | ratio | more | result |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [row(entry) for entry in entries]
    RESULTS.write_text("\n".join(lines) + "\n")


def main() -> int:
    JSON.unlink(missing_ok=True)
    exit_code = run_benchmarks()
    if not JSON.exists():
        print("no benchmark ran", file=sys.stderr)
        return exit_code or 1
    entries = json.loads(JSON.read_text())["benchmarks"]
    write(sorted(entries, key=lambda entry: entry["fullname"]), exit_code)
    print(f"{len(entries)} benchmarks, written to {RESULTS.relative_to(ROOT)}")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
