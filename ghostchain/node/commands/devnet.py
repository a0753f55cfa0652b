"""`ghostd devnet`: a network of several nodes on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ghostchain.node import devnet as nodes

Command = TypeVar("Command", bound=Callable[..., Any])

BASE_DIR = click.option(
    "--base-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the network lies; made when absent.",
)


def plan_options(command: Command) -> Command:
    """The options that say what to make."""
    options = (
        click.option(
            "--validators",
            type=click.IntRange(1, 31),
            default=4,
            show_default=True,
            help="Nodes that decide. One of four may fail; two of seven; none of three.",
        ),
        click.option(
            "--rpc-nodes",
            type=click.IntRange(0, 16),
            default=0,
            show_default=True,
            help="Nodes that follow and answer, without deciding.",
        ),
        click.option(
            "--base-port",
            type=click.IntRange(0, 65_000),
            default=0,
            show_default=True,
            help="Node i uses this + 10 i for peers, + 1 for JSON-RPC, + 2 for metrics; 0: free "
            "ones.",
        ),
        click.option(
            "--block-interval-ms",
            type=click.IntRange(0, 60_000),
            default=50,
            show_default=True,
            help="From one block to the next at least, while transactions wait.",
        ),
        click.option(
            "--heartbeat-ms",
            type=click.IntRange(100, 600_000),
            default=2_000,
            show_default=True,
            help="An empty block after so long without a transaction.",
        ),
        click.option(
            "--epoch-blocks",
            type=click.IntRange(min=1),
            help="Blocks after which the set of validators changes.  [default: the chain's, 7200]",
        ),
        click.option(
            "--parameter",
            "parameters",
            multiple=True,
            metavar="CONTRACT.NAME=NUMBER",
            help="A parameter of staking, slashing, governance or feeMarket, as "
            "slashing.jailBlocks=20. May be repeated.",
        ),
        click.option(
            "--run-flag",
            "flags",
            multiple=True,
            metavar="FLAG",
            help="A flag of `ghostd run` for every node, as --run-flag=--snapshot-interval=100. "
            "May be repeated.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def devnet() -> None:
    """Run a network of several validators on this machine.

    \b
    ghostd devnet up --validators 4 --base-dir ./net    make it, start it, wait for block 3
    ghostd devnet status --base-dir ./net               who is at which block
    ghostd devnet down --base-dir ./net                 stop it; `up` goes on where it stopped

    The ten accounts of the test mnemonic are funded with all four tokens. Every node is a process
    of its own with its own JSON-RPC, keys, data directory and log under the base directory.
    """


@devnet.command()
@BASE_DIR
@plan_options
def up(base_dir: Path, parameters: tuple[str, ...], **options: Any) -> None:
    """Make a network and start it, or start what of it does not run.

    Ends when every node has block 3, with a JSON object of all endpoints on standard output. A
    network that is there already keeps its keys, ports and chain, and all options but --base-dir
    are ignored.
    """
    from ghostchain.node import devnet as nodes

    network = made(base_dir, parameters, options)
    for node in nodes.start(network):
        click.echo(f"{node.name}: process {node.pid}, {node.rpc}", err=True)
    nodes.await_height(network, nodes.READY_HEIGHT, nodes.START_SECONDS_MAX)
    click.echo(json.dumps(network.document(), indent=2))


@devnet.command()
@BASE_DIR
@plan_options
@click.option(
    "--host",
    metavar="NAME",
    help="Each node has a machine of its own (a container, a pod) with this name, in which "
    "{index} stands for the node's number. It listens on all addresses, on ports 30303, 8545 "
    "and 9545.",
)
def init(base_dir: Path, parameters: tuple[str, ...], **options: Any) -> None:
    """Make a network's genesis, keys and commands, and start nothing.

    A network that is there already is left as it is. `ghostd devnet run` starts one of its nodes.
    """
    network = made(base_dir, parameters, options)
    for node in network.nodes:
        click.echo(f"{node.name}: {node.p2p}")


@devnet.command()
@click.argument("name")
@BASE_DIR
def run(name: str, base_dir: Path) -> None:
    """Run one node of a network in the foreground, as containers want it.

    \b
    ghostd devnet run node-0 --base-dir ./net
    """
    from ghostchain.node import devnet as nodes

    command = nodes.foreground_command(base_dir, name)
    os.execv(sys.executable, [sys.executable, "-m", "ghostchain.node.cli", *command])


def made(base_dir: Path, parameters: tuple[str, ...], options: dict[str, Any]) -> nodes.Devnet:
    """The network in the directory: the one that is there, or a new one."""
    from ghostchain.node import devnet as nodes

    try:
        chosen = parameters_of(parameters)
    except ValueError as failure:
        raise click.UsageError(str(failure)) from failure
    if (base_dir / nodes.STATE_NAME).exists():
        return nodes.Devnet.load(base_dir)
    return nodes.make(base_dir, nodes.Plan(parameters=chosen, **options))


def parameters_of(texts: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """By contract and name. Raises: ValueError, in words for whoever typed it."""
    chosen: dict[str, dict[str, int]] = {}
    for text in texts:
        where, _, value = text.partition("=")
        contract, _, name = where.partition(".")
        if not name or not value.isdecimal():
            raise ValueError(f"--parameter {text}: expected contract.name=number")
        chosen.setdefault(contract, {})[name] = int(value)
    return chosen


@devnet.command()
@BASE_DIR
@click.option("--json", "as_json", is_flag=True, help="A JSON object instead of a table.")
def status(base_dir: Path, as_json: bool) -> None:
    """Show every node's height, round, peers and process.

    The exit code is 1 when a node does not answer.
    """
    from ghostchain.node import devnet as nodes
    from ghostchain.node.status import devnet_table

    network = nodes.Devnet.load(base_dir)
    said = nodes.statuses(network)
    if as_json:
        document = network.document()
        for entry, node, answer in zip(document["nodes"], network.nodes, said, strict=True):
            entry["running"], entry["status"] = nodes.is_running(node), answer
        click.echo(json.dumps(document, indent=2))
    else:
        running = [nodes.is_running(node) for node in network.nodes]
        click.echo(devnet_table(network, running, said), nl=False)
    sys.exit(1 if None in said else 0)


@devnet.command()
@BASE_DIR
def down(base_dir: Path) -> None:
    """Stop every node. The chain stays; delete the directory to be rid of it.

    Only processes that `up` started are signalled: one that has inherited the number of a node that
    is gone is left alone.
    """
    from ghostchain.node import devnet as nodes

    for name, end in nodes.stop(nodes.Devnet.load(base_dir)).items():
        click.echo(f"{name}: {end}")
