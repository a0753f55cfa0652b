"""`ghostd evm statetest|blocktest`: the official suites, a line a case, over all cores."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import click
import orjson

from ghostchain.node.cases import CaseResult

# What is in flight at once: enough to keep the cores busy, little enough to stay in memory.
FILES_IN_FLIGHT = 64

Runner = Callable[[str, bytes], list[CaseResult]]


def test_files(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every .json in files, folders (in order of name) and .tar archives."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*.json")):
                yield str(file), file.read_bytes()
        elif path.suffix == ".json":
            yield str(path), path.read_bytes()
        elif tarfile.is_tarfile(path):
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    if content is not None and member.name.endswith(".json"):
                        yield f"{path}:{member.name}", content.read()
        else:
            raise click.UsageError(f"{path} is neither .json, a folder, nor a tar archive")


def results(runner: Runner, paths: Sequence[Path], jobs: int | None) -> Iterator[CaseResult]:
    """Every case's result, in the order of the files, whatever core ran it."""
    files = test_files(paths)
    workers = jobs or os.cpu_count() or 1
    if workers == 1:
        for name, content in files:
            yield from runner(name, content)
        return
    with ProcessPoolExecutor(workers) as pool:
        waiting = [pool.submit(runner, *file) for file in islice(files, FILES_IN_FLIGHT)]
        while waiting:
            yield from waiting.pop(0).result()
            waiting.extend(pool.submit(runner, *file) for file in islice(files, 1))


def report(cases: Iterable[CaseResult], *, fork: str | None, as_json: bool) -> int:
    """Prints a line a case (only failures unless as_json) and the closing line.

    Returns the exit code: 1 when a case failed, or when there was none.
    """
    passed = failed = 0
    for case in cases:
        # What could not be read has no fork and is nobody's to leave out.
        if fork is not None and case.fork and case.fork.lower() != fork.lower():
            continue
        passed += case.passed
        failed += not case.passed
        if as_json:
            line = {
                "name": case.name,
                "fork": case.fork,
                "pass": case.passed,
                "reason": case.reason,
            }
            click.echo(orjson.dumps(line).decode())
        elif not case.passed:
            click.echo(f"FAILED {case.name} [{case.fork}]: {case.reason}")
    click.echo(f"{passed} passed, {failed} failed")
    if passed + failed == 0:
        click.echo("no case was found", err=True)
    return 1 if failed or not passed else 0


def run_statetests(
    paths: Sequence[Path], *, fork: str | None, hybrid: bool, as_json: bool, jobs: int | None
) -> int:
    """Runs and reports state tests. Returns the exit code."""
    from ghostchain.node.statetest import run_state_test_file

    runner = partial(run_state_test_file, hybrid=hybrid)
    return report(results(runner, paths, jobs), fork=fork, as_json=as_json)


def run_blocktests(
    paths: Sequence[Path], *, fork: str | None, hybrid: bool, as_json: bool, jobs: int | None
) -> int:
    """Runs and reports blockchain tests. Returns the exit code."""
    from ghostchain.node.blocktest import run_block_test_file

    runner = partial(run_block_test_file, hybrid=hybrid)
    return report(results(runner, paths, jobs), fork=fork, as_json=as_json)
