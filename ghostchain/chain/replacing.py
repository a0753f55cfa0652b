"""Another chain in a data directory, instead of the one that it holds (`anvil_reset` into a fork,
or out of it; `anvil_loadState`).

    next/       the new chain, prepared while the old one runs
    REPLACING   from its writing on, the directory holds the new chain; the old one's files are
                taken away, the new one's put in their places, and it goes when all of that is done

A kill leaves the old chain whole, or the new one: `finish_replacing`, before a directory is opened,
does again what a kill has cut short, since each step may be done twice. Beside the chain, what a
node keeps of it (its pool, its diary) must go too; names are given by whoever knows them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ghostchain.chain.fork import ForkStart, begin_fork
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.opening import BLOCKS_NAME, BLOOMS_NAME, PLACES_NAME, STATE_NAME, claim
from ghostchain.storage.directory import IDENTITY_NAME, locked, write_durably
from ghostchain.storage.files import storage_failure

NEXT_NAME = "next"
MARK_NAME = "REPLACING"
# Where the chain's fork is read, if it is one (fork/record.py).
REMOTE_NAME = "REMOTE"


def prepare_next(data_dir: Path, genesis: Genesis, start: ForkStart | None) -> None:
    """The new chain is beside the old one, of which nothing has changed. start None: it begins with
    its genesis when it is opened. Raises: StorageError."""
    beside = data_dir / NEXT_NAME
    try:
        shutil.rmtree(beside, ignore_errors=True)
        if start is not None:
            begin_fork(beside, genesis, start)
        else:
            claim(beside, genesis).close()
            (beside / STATE_NAME).mkdir()
    except OSError as error:
        raise storage_failure(error, beside) from error


def prepare_loaded(data_dir: Path, build: Callable[[Path], None]) -> None:
    """As `prepare_next`, of a chain that build puts together in the directory that it is given.
    Raises: StorageError, and as build does."""
    beside = data_dir / NEXT_NAME
    try:
        shutil.rmtree(beside, ignore_errors=True)
        build(beside)
    except OSError as error:
        raise storage_failure(error, beside) from error
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def begin_replacing(data_dir: Path) -> None:
    """From here on the directory holds what `prepare_next` made. Raises: StorageError."""
    try:
        write_durably(data_dir / MARK_NAME, b"")
    except OSError as error:
        raise storage_failure(error, data_dir) from error


def put_in_place(data_dir: Path) -> None:
    """The files of the new chain are where they belong; nobody has the directory open.

    Raises: StorageError.
    """
    beside = data_dir / NEXT_NAME
    try:
        if (beside / IDENTITY_NAME).exists():
            if (beside / REMOTE_NAME).exists():  # copied, so that this may be done twice
                remote = (beside / REMOTE_NAME).read_bytes()
                write_durably(data_dir / REMOTE_NAME, remote, mode=0o600)
            else:
                (data_dir / REMOTE_NAME).unlink(missing_ok=True)
            if (beside / STATE_NAME).exists():  # else it has been moved already
                shutil.rmtree(data_dir / BLOCKS_NAME, ignore_errors=True)
                for name in (BLOOMS_NAME, PLACES_NAME):
                    (data_dir / name).unlink(missing_ok=True)
                shutil.rmtree(data_dir / STATE_NAME, ignore_errors=True)
                (beside / STATE_NAME).rename(data_dir / STATE_NAME)
                # On disk before the blocks are, which would else be taken for the old chain's.
                sync(beside)
                sync(data_dir)
            if (beside / BLOCKS_NAME).exists():  # which a chain that was loaded brings
                shutil.rmtree(data_dir / BLOCKS_NAME, ignore_errors=True)
                (beside / BLOCKS_NAME).rename(data_dir / BLOCKS_NAME)
            sync(data_dir)
            (beside / IDENTITY_NAME).rename(data_dir / IDENTITY_NAME)
            sync(data_dir)
        shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise storage_failure(error, data_dir) from error


def end_replacing(data_dir: Path) -> None:
    """It is done. Raises: StorageError."""
    try:
        (data_dir / MARK_NAME).unlink(missing_ok=True)
        sync(data_dir)
    except OSError as error:
        raise storage_failure(error, data_dir) from error


def finish_replacing(data_dir: Path, beside: Iterable[str]) -> None:
    """What a kill has cut short is finished, or was never begun. beside: patterns of the names of
    what belonged to the old chain too.

    Raises: StorageError; DirectoryLocked while a node runs on it.
    """
    if not (data_dir / MARK_NAME).exists() and not (data_dir / NEXT_NAME).exists():
        return
    with locked(data_dir):
        if not (data_dir / MARK_NAME).exists():
            shutil.rmtree(data_dir / NEXT_NAME, ignore_errors=True)
            return
        put_in_place(data_dir)
        for pattern in beside:
            for path in data_dir.glob(pattern):
                path.unlink(missing_ok=True)
        end_replacing(data_dir)


def sync(directory: Path) -> None:
    """What was renamed in it stays so."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
