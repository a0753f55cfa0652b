"""`ghostd`: the command line. Each command reads its options, checks them and calls one function.

Heavy modules are imported by the command that needs them, so that `--help` and `version` answer
at once.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from ghostchain import __version__
from ghostchain.node.commands.carried_over import CarriedOver
from ghostchain.node.commands.devnet import devnet
from ghostchain.node.commands.options import (
    configuration_of,
    log_choice,
    log_options,
    network_options,
    store_options,
)
from ghostchain.node.commands.signer import signer
from ghostchain.node.commands.status import status
from ghostchain.node.commands.validator import validator
from ghostchain.primitives.errors import GhostError

EPILOG = """
\b
Examples:
  ghostd --dev                          development chain, instant blocks, ten funded accounts
  ghostd --network testnet              the test network; alone, without bootnodes
  ghostd --genesis my.json --block-time 2 --data-dir ./data
  ghostd export chain.rlp.gz            all blocks of the test network, in geth's format
  ghostd import chain.rlp.gz --data-dir ./copy
  ghostd db verify                      does the state on disk match the head?

\b
JSON-RPC answers on http://127.0.0.1:8545 unless told otherwise. Chains are kept in
~/.ghostchain/<network> (or $GHOSTCHAIN_HOME/<network>). SIGTERM or Ctrl-C stops cleanly.

\b
Exit codes: 0 done, 1 refused or not verified, 2 wrong usage, 3 the data directory cannot be
used, 4 the system refused (a port that is taken, for example).
"""


class DefaultToRun(click.Group):
    """`ghostd --dev` means `ghostd run --dev`: without a command's name, `run` is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=DefaultToRun,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ghostd")
def cli() -> None:
    """GhostChain's node: it agrees with others on blocks, executes them and answers JSON-RPC.

    Without a command it runs, so `ghostd --dev` is `ghostd run --dev`; `ghostd run --help` lists
    the options. `ghostd COMMAND --help` tells about each command.
    """


@cli.command(cls=CarriedOver)
@store_options
@click.option(
    "--dev",
    is_flag=True,
    help="Development chain: chain id 31337, ten funded accounts, a block at once for every "
    "transaction. Its chain is gone when it stops, unless --data-dir keeps it.",
)
@click.option(
    "--rpc-host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address JSON-RPC listens on; 0.0.0.0 for all of this machine's.",
)
@click.option(
    "--rpc-port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    default=8545,
    show_default=True,
    help="JSON-RPC's port, for HTTP and WebSocket; 0 picks a free one and prints it.",
)
@click.option(
    "--ws-port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="A second port that serves WebSocket too.  [default: none]",
)
@click.option(
    "--rpc-cors",
    multiple=True,
    metavar="ORIGIN",
    help="An origin whose web pages may call, as https://app.example; '*' for any. May be repeated."
    "  [default: none; any with --dev]",
)
@click.option(
    "--rpc-allowed-host",
    multiple=True,
    default=("localhost",),
    show_default=True,
    metavar="NAME",
    help="A name that this node is called by, besides its IP addresses; '*' for any. May be "
    "repeated; replaces the default.",
)
@click.option(
    "--rpc-jwt-secret",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="64 hex digits: whoever makes tokens (JWT, HS256) with them may call admin methods over "
    "HTTP and WebSocket. Made when it is not there.  [default: only through ghostd.ipc in the "
    "data directory]",
)
@click.option(
    "--block-time",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="A block every so many seconds, empty ones too.  [default: at once with --dev, else when "
    "transactions wait and every 6 s]",
)
@click.option(
    "--coinbase", metavar="ADDRESS", help="Who gets the tips.  [default: the network's validator]"
)
@network_options
@log_options
def run(**options: Any) -> None:
    """Run a node. This is what `ghostd` does without a command."""
    from ghostchain.node.running import run_node

    run_node(configuration_of(options), json_logs=options["log_json"], level=options["log_level"])


@cli.command()
@click.argument(
    "genesis_file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@store_options
@log_options
def init(genesis_file: Path | None, **options: Any) -> None:
    """Make a data directory and print its genesis hash.

    The genesis is GENESIS_FILE (in geth's format), or else the network's own.

    Running a node does this by itself; `init` is for preparing one, or for reading the genesis
    hash before anything runs.
    """
    from ghostchain.node.maintenance import initialise

    options["genesis"] = genesis_file or options["genesis"]
    initialise(configuration_of(options), **log_choice(options))


@cli.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@store_options
@log_options
def import_(files: tuple[Path, ...], **options: Any) -> None:
    """Import blocks from chain files.

    FILES hold the RLP of blocks one after the other, as `geth export` writes them; .gz is read too.

    Every block is executed and checked. Blocks that are already here are skipped; the first
    invalid one ends the import, with what came before it kept.
    """
    from ghostchain.node.maintenance import import_files

    import_files(configuration_of(options), files, **log_choice(options))


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("first", required=False, type=click.IntRange(min=0))
@click.argument("last", required=False, type=click.IntRange(min=0))
@store_options
@log_options
def export(file: Path, first: int | None, last: int | None, **options: Any) -> None:
    """Export blocks to a chain file.

    Writes blocks FIRST to LAST (all by default) to FILE, as `geth export` does; a name that ends in
    .gz is compressed. The file appears when it is complete.
    """
    from ghostchain.node.maintenance import export_file

    export_file(configuration_of(options), file, first, last, **log_choice(options))


@cli.group()
def db() -> None:
    """Look after a data directory (no node may be running on it)."""


@db.command()
@store_options
@log_options
def verify(**options: Any) -> None:
    """Check the state on disk against the head.

    Recomputes the state root from every account and slot, without the stored trie, and compares it
    with the head's header. Exit code 0 when they agree, 1 when not.
    """
    from ghostchain.node.maintenance import verify_database

    sys.exit(verify_database(configuration_of(options), **log_choice(options)))


@cli.command()
def version() -> None:
    """Show versions, and the SIMD levels of this CPU."""
    from ghostchain.node.maintenance import version_lines

    for line in version_lines():
        click.echo(line)


@cli.group()
def evm() -> None:
    """Check and time the executor with the official formats."""


PATHS = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)


@evm.command()
@PATHS
@click.option("--fork", help="Only this fork (Cancun, Prague, Osaka).")
@click.option("--hybrid", is_flag=True, help="Under the rules of a hybrid chain.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a case, passed ones too.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
def statetest(
    paths: tuple[Path, ...], fork: str | None, hybrid: bool, as_json: bool, jobs: int | None
) -> None:
    """Run official state tests.

    PATHS are files, folders or .tar.xz archives. A line for each failed case; the last
    line is `N passed, M failed`; the exit code is 1 when anything failed.
    """
    from ghostchain.node.conformance import run_statetests

    sys.exit(run_statetests(paths, fork=fork, hybrid=hybrid, as_json=as_json, jobs=jobs))


@evm.command()
@PATHS
@click.option("--fork", help="Only this network (Cancun, Prague, Osaka, or a transition).")
@click.option("--hybrid", is_flag=True, help="Under the rules of a hybrid chain.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a case, passed ones too.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
def blocktest(
    paths: tuple[Path, ...], fork: str | None, hybrid: bool, as_json: bool, jobs: int | None
) -> None:
    """Run official blockchain tests.

    PATHS are files, folders or .tar.xz archives. A line for each failed case; the last
    line is `N passed, M failed`; the exit code is 1 when anything failed.
    """
    from ghostchain.node.conformance import run_blocktests

    sys.exit(run_blocktests(paths, fork=fork, hybrid=hybrid, as_json=as_json, jobs=jobs))


@evm.command()
@PATHS
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="How long each contract's last transaction is repeated, at least.",
)
def bench(paths: tuple[Path, ...], seconds: float) -> None:
    """Time contracts (revmc's format).

    All transactions but the last run once; the last runs many times on the same state. A JSON line
    each: name, gas_used, time_ns of the best run, mgas_per_s.
    """
    from ghostchain.node.evmbench import run_benchmarks

    sys.exit(run_benchmarks(paths, seconds=seconds))


@cli.group()
def wasm() -> None:
    """Look at WebAssembly contracts before they are sent."""


@wasm.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a contract module.

    FILE is a module in binary, or in text when its name ends in .wat. Prints what it holds and the
    gas that deploying it takes; or why it cannot be a contract, and the exit code is 1.
    """
    from ghostchain.node.wasm import check_file

    sys.exit(check_file(file))


for command in (devnet, validator, signer, status):
    cli.add_command(command)


def main() -> None:
    """The console script: a failure with a name ends in one line and an exit code."""
    try:
        cli.main(prog_name="ghostd", standalone_mode=True)
    except GhostError as failure:
        report(failure)
        sys.exit(exit_code_of(failure))
    except OSError as failure:
        report(failure)
        sys.exit(4)


def report(failure: Exception) -> None:
    """One line on standard error, in the form of the logs there."""
    from ghostchain.node.logs import event, speaks_json

    words = str(failure) + advice_for(failure)
    if speaks_json():
        event(logging.getLogger("ghostd"), logging.CRITICAL, words)
    else:
        click.echo(f"ghostd: {words}", err=True)


def advice_for(failure: Exception) -> str:
    """What to do, where every failure of a kind has the same way out."""
    from ghostchain.primitives.errors import StorageCorrupt

    if isinstance(failure, StorageCorrupt):
        return "; restore the directory from a copy, or import an export into an empty one"
    return ""


def exit_code_of(failure: GhostError) -> int:
    """3 for a data directory that cannot be used, 1 for everything else with a name."""
    from ghostchain.primitives.errors import StorageError

    return 3 if isinstance(failure, StorageError) else 1


if __name__ == "__main__":
    main()
