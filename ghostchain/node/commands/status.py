"""`ghostd status`: how a running node stands."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

CLEAR = "\x1b[2J\x1b[H"


@click.command()
@click.option(
    "--rpc",
    "url",
    default="http://127.0.0.1:8545",
    show_default=True,
    metavar="URL",
    help="JSON-RPC of the node.",
)
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often with --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object, with --watch one a line.")
def status(url: str, watch: bool, every: float, as_json: bool) -> None:
    """Show a running node: head, round and step, who has voted, peers, sync.

    In the bar of votes `#` is power that voted for a block, `n` for none, `.` power not heard yet;
    a quorum is reached at `|`. The exit code is 1 when no node answers.
    """
    from ghostchain.node.status import node_lines
    from ghostchain.rpc.client import RpcClient, RpcFailure, RpcUnreachable

    client = RpcClient(url, timeout_s=10.0)
    while True:
        try:
            said = asked(client)
        except (RpcUnreachable, RpcFailure) as failure:
            click.echo(f"ghostd: no node answers at {url}: {failure}", err=True)
            if not watch:
                sys.exit(1)
        else:
            if as_json:
                click.echo(json.dumps(said, indent=None if watch else 2))
            else:
                lines = node_lines(url, said["status"], said["consensus"], said["peers"])
                click.echo((CLEAR if watch else "") + "\n".join(lines))
        if not watch:
            return
        time.sleep(every)


def asked(client: Any) -> dict[str, Any]:
    """The three documents, of one moment. Raises: RpcFailure, RpcUnreachable."""
    from ghostchain.rpc.client import Request, result_of

    names = ("status", "consensus", "peers")
    answers = client.batch([Request(f"ghost_{name}") for name in names])
    return {name: result_of(answer) for name, answer in zip(names, answers, strict=True)}
