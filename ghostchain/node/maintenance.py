"""The commands that look after a chain without running a node."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ghostchain import __version__
from ghostchain.chain.chain import Chain
from ghostchain.chain.transfer import beginning_of, import_file
from ghostchain.chain.transfer import export_file as export_blocks
from ghostchain.chain.verify import verify_directory
from ghostchain.crypto import keccak, secp256k1
from ghostchain.node import logs
from ghostchain.node.configuration import NodeConfiguration, default_data_dir
from ghostchain.node.engines import open_engines
from ghostchain.node.genesis import genesis_of
from ghostchain.node.logs import event
from ghostchain.primitives.errors import ForeignDirectory
from ghostchain.storage.directory import read_identity

logger = logging.getLogger("ghostd")

LIBRARIES = ("aiohttp", "cffi", "ckzg", "coincurve", "numpy", "plyvel", "wasmtime")


def directory_of(configuration: NodeConfiguration) -> Path:
    """Where the chain lies; the development chain's default lies among the others here."""
    return configuration.data_dir or default_data_dir(configuration.network)


def existing(configuration: NodeConfiguration) -> Path:
    """The directory, which holds a chain. Raises: StorageError."""
    directory = directory_of(configuration)
    if read_identity(directory) is None:
        raise ForeignDirectory(
            f"{directory}: there is no chain here; name another with --data-dir or --network, or "
            "make one with `ghostd init`"
        )
    return directory


@contextmanager
def opened(
    configuration: NodeConfiguration, *, create: bool, time_s: int | None = None
) -> Iterator[Chain]:
    """The chain, open for this process alone. time_s: as of `genesis_of`.

    Raises: StorageError; ForeignDirectory when there is none and create is not set.
    """
    directory = directory_of(configuration) if create else existing(configuration)
    genesis = genesis_of(configuration, directory, time_s=time_s)
    chain = Chain.open(directory, genesis, prune=configuration.prune)
    try:
        open_engines(genesis, directory)
        yield chain
    finally:
        chain.close()


@contextmanager
def progress_display(label: str, total: int | None, unit: str) -> Iterator[Progress]:
    """A bar on standard error while it is a terminal; silent in files, where logs speak."""
    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(
        *columns,
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        progress.add_task(label, total=total)
        yield progress


def counter(bar: Progress) -> Callable[[int, int], None]:
    """Shows how many are done; the second figure that long work tells is not shown."""

    def show(done: int, _: int) -> None:
        bar.update(bar.task_ids[0], completed=done)

    return show


def initialise(configuration: NodeConfiguration, *, json_logs: bool, level: str) -> None:
    """The data directory holds the genesis."""
    logs.configure(json=json_logs, level=level)
    with opened(configuration, create=True) as chain:
        event(
            logger,
            logging.INFO,
            "chain ready",
            directory=directory_of(configuration),
            chain_id=chain.config.chain_id,
            genesis=bytes(chain.genesis.hash),
            head=chain.head.number,
        )


def import_files(
    configuration: NodeConfiguration, files: Sequence[Path], *, json_logs: bool, level: str
) -> None:
    """The blocks of the files follow the head."""
    logs.configure(json=json_logs, level=level)
    time_s = next(map(beginning_of, files), None)
    with opened(configuration, create=True, time_s=time_s) as chain:
        for file in files:
            before = chain.head.number
            try:
                with progress_display(f"importing {file.name}", None, "blocks") as bar:
                    import_file(chain, file, counter(bar))
            finally:
                # Also when a bad block ends it: what came before is kept.
                head = chain.head.number
                event(logger, logging.INFO, "imported", file=file, blocks=head - before, head=head)


def export_file(
    configuration: NodeConfiguration,
    file: Path,
    first: int | None,
    last: int | None,
    *,
    json_logs: bool,
    level: str,
) -> None:
    """The blocks are in the file."""
    logs.configure(json=json_logs, level=level)
    with opened(configuration, create=False) as chain:
        begin = first or 0
        end = chain.head.number if last is None else min(last, chain.head.number)
        if begin > end:
            raise click.UsageError(f"there is no block from {begin} to {end}")
        with progress_display(f"exporting {file.name}", end - begin + 1, "blocks") as bar:
            count = export_blocks(chain, file, begin, end, counter(bar))
        event(logger, logging.INFO, "exported", file=file, blocks=count)


def verify_database(configuration: NodeConfiguration, *, json_logs: bool, level: str) -> int:
    """Tells whether the flat state has the root that the head names. Returns the exit code.

    Works on a directory that does not open as a chain, too: the stored trie is not looked at.
    """
    logs.configure(json=json_logs, level=level)
    directory = existing(configuration)
    genesis = genesis_of(configuration, directory)
    with progress_display("verifying", None, "accounts") as bar:
        found = verify_directory(directory, genesis, counter(bar))
    event(
        logger,
        logging.INFO if found.agrees else logging.ERROR,
        "state verified" if found.agrees else "state does not agree with the head",
        block=found.block,
        accounts=found.accounts,
        slots=found.slots,
        root=bytes(found.state_root),
    )
    for mismatch in found.mismatches:
        event(logger, logging.ERROR, mismatch)
    return 0 if found.agrees else 1


def version_lines() -> Iterator[str]:
    """What `ghostd version` prints."""
    yield f"ghostd {__version__}"
    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    levels = ("portable", "AVX2 (4 lanes)", "AVX-512 (8 lanes)")
    yield f"keccak {levels[keccak.level()]}"
    yield f"secp256k1 {('portable', 'AVX-512 IFMA (8 lanes)')[secp256k1.level()]}"
    for name in LIBRARIES:
        try:
            yield f"{name} {package_version(name)}"
        except PackageNotFoundError:
            yield f"{name} is not installed"
