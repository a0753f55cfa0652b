"""Options that several commands share, and what is made of them.

Heavy modules are imported where they are needed, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ghostchain.node.commands.development import DEVELOPMENT_OPTIONS

Command = TypeVar("Command", bound=Callable[..., Any])

NETWORKS = ("mainnet", "testnet", "devnet", "dev")
PORT = click.IntRange(0, 65_535)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def store_options(command: Command) -> Command:
    """The options that say which chain and where it lies."""
    options = (
        click.option(
            "--network",
            default="testnet",
            show_default=True,
            metavar="NAME|PATH",
            help=f"One of {', '.join(NETWORKS)}, or a path to a genesis file.",
        ),
        click.option(
            "--genesis",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A genesis file in geth's format, instead of the network's own.",
        ),
        click.option(
            "--data-dir",
            type=click.Path(file_okay=False, path_type=Path),
            help="Where the chain is kept; made when absent.  [default: ~/.ghostchain/<network>]",
        ),
        click.option(
            "--chain-id",
            type=click.IntRange(min=1),
            metavar="ID",
            help="A chain id instead of the genesis's own; a directory keeps the one it began "
            "with.",
        ),
        click.option(
            "--prune",
            type=click.IntRange(min=128),
            metavar="N",
            help="Keep the state of the last N blocks only. Blocks, receipts, logs always stay; "
            "what was pruned does not come back.  [default: the state of every block]",
        ),
        click.option(
            "--gas-limit",
            type=click.IntRange(min=5_000, max=(1 << 63) - 1),
            metavar="GAS",
            help="Gas limit that blocks move towards; the development chain begins with it.  "
            "[default: the genesis's; 1,000,000,000 with --dev]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def log_options(command: Command) -> Command:
    options = (
        click.option("--log-json", is_flag=True, help="Logs as one JSON object a line."),
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            default="info",
            show_default=True,
            help="The least important event shown.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def network_options(command: Command) -> Command:
    """The options of `run` about development, forks, peers, validating and metrics."""
    peers = (*PEER_OPTIONS, *VALIDATOR_OPTIONS, *SYNC_AND_METRICS_OPTIONS)
    for option in reversed((*DEVELOPMENT_OPTIONS, *peers, *FORK_OPTIONS)):
        command = option(command)
    return command


PEER_OPTIONS = (
    click.option(
        "--p2p-host",
        default="0.0.0.0",
        show_default=True,
        metavar="ADDRESS",
        help="The address peers reach this node at (UDP).",
    ),
    click.option(
        "--p2p-port",
        type=PORT,
        default=30303,
        show_default=True,
        metavar="PORT",
        help="The UDP port for peers; 0 picks a free one and prints it.",
    ),
    click.option(
        "--bootnodes",
        multiple=True,
        metavar="URL,...",
        help="Nodes to begin with, as ghost://<node key>@<host>:<port>; may be repeated. Each "
        "node prints its own URL when it starts. Without any, a node of the test networks is "
        "their bootstrap validator.",
    ),
    click.option(
        "--node-key",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The key that peers know this node by; made when absent.  [default: node.key in "
        "the data directory]",
    ),
    click.option("--no-p2p", is_flag=True, help="Speak to no other node."),
    click.option(
        "--max-peers",
        type=click.IntRange(min=1, max=1_000),
        default=50,
        show_default=True,
        metavar="N",
        help="Peers at most, both directions together.",
    ),
)

VALIDATOR_OPTIONS = (
    click.option(
        "--validator-key",
        type=FILE,
        metavar="FILE",
        help="Validate with this consensus key (made by `ghostd validator keys`), whenever it "
        "is in the set. Run one node with a key, never two.",
    ),
    click.option(
        "--validator-password-file",
        type=FILE,
        metavar="FILE",
        help="Where the password of the key file stands.  [default: asked for]",
    ),
    click.option(
        "--signer",
        metavar="unix:PATH",
        help="Validate with the key that a `ghostd signer` at this socket holds.",
    ),
    click.option(
        "--validate-at-once",
        is_flag=True,
        help="Sign without first watching for another node with the same key. Only for whoever "
        "is sure that there is none.",
    ),
)

SYNC_AND_METRICS_OPTIONS = (
    click.option(
        "--checkpoint",
        metavar="HEIGHT:HASH",
        help="A block known to be final: a new node then fetches a snapshot instead of every "
        "block. No older than half the unbonding time.",
    ),
    click.option(
        "--snapshot-interval",
        type=click.IntRange(min=0),
        metavar="BLOCKS",
        help="Write a snapshot for new nodes every so many blocks; 0: never.  [default: once "
        "an epoch]",
    ),
    click.option(
        "--metrics-host",
        default="127.0.0.1",
        show_default=True,
        metavar="ADDRESS",
        help="The address of /metrics, /health and /ready.",
    ),
    click.option(
        "--metrics-port",
        type=PORT,
        default=9545,
        show_default=True,
        metavar="PORT",
        help="Their port; 0 picks a free one and prints it.",
    ),
)


FORK_OPTIONS = (
    click.option(
        "--fork-url",
        metavar="URL",
        help="With --dev: begin where the chain behind this JSON-RPC endpoint stands (http, "
        "https, ws, wss, or a local socket's path; URL@BLOCK names a block).",
    ),
    click.option(
        "--fork-block-number",
        type=int,
        metavar="N",
        help="The block to begin at; negative: so many before the head.  [default: the head]",
    ),
    click.option(
        "--fork-transaction-hash",
        metavar="HASH",
        help="Begin just before this transaction: at its block's parent, with the transactions "
        "before it run.",
    ),
    click.option(
        "--fork-chain-id",
        type=click.IntRange(min=1),
        metavar="ID",
        help="The chain id of the endpoint, which is not asked for it then; with "
        "--fork-block-number and a filled cache nothing is asked at the start.",
    ),
    click.option(
        "--fork-header",
        multiple=True,
        metavar="NAME:VALUE",
        help="A header for each request to the endpoint. May be repeated.",
    ),
    click.option(
        "--fork-timeout",
        type=click.FloatRange(min=0.1, max=600),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="How long one lookup may take, all its retries included.",
    ),
    click.option(
        "--fork-retries",
        type=click.IntRange(min=0, max=100),
        default=5,
        show_default=True,
        metavar="N",
        help="How often a lookup is tried again.",
    ),
    click.option(
        "--fork-retry-backoff",
        type=click.IntRange(min=1, max=60_000),
        default=500,
        show_default=True,
        metavar="MS",
        help="Wait before the first retry; doubles with each.",
    ),
    click.option(
        "--compute-units-per-second",
        type=click.IntRange(min=1),
        metavar="N",
        help="What the endpoint grants.  [default: as fast as it answers; 330 for a minute after "
        "it said that this is too fast]",
    ),
    click.option(
        "--no-rate-limit", is_flag=True, help="Never pace requests, whatever the endpoint says."
    ),
    click.option(
        "--no-storage-caching", is_flag=True, help="Keep nothing of the endpoint for other runs."
    ),
    click.option(
        "--cache-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="PATH",
        help="Where answers of endpoints are kept.  [default: ~/.ghostchain/fork-cache]",
    ),
)


def log_choice(options: dict[str, Any]) -> dict[str, Any]:
    return {"json_logs": options["log_json"], "level": options["log_level"]}


def configuration_of(options: dict[str, Any]) -> Any:
    """The node's configuration out of the command line's options. Raises click.UsageError."""
    from ghostchain.node import configuration

    try:
        return configuration.from_options(options)
    except ValueError as refusal:
        raise click.UsageError(str(refusal)) from refusal
