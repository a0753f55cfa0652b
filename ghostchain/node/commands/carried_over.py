"""Anvil's flags that `ghostd` has under another name, does not need, or has not.

Whoever comes from anvil brings a command line along: what means the same is taken by its name
there, what has nothing to do here is left aside and told, and what this node does not do is refused
with what does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

# Anvil's name: ours, which takes as many values.
RENAMED: Mapping[str, str] = {
    "-a": "--accounts",
    "-b": "--block-time",
    "--blockTime": "--block-time",
    "-m": "--mnemonic",
    "-p": "--rpc-port",
    "--port": "--rpc-port",
    "--host": "--rpc-host",
    "--allow-origin": "--rpc-cors",
    "--init": "--genesis",
    "-s": "--state-interval",
    "--no-mine": "--no-mining",
    "--block-base-fee-per-gas": "--base-fee",
    "--block-gas-limit": "--gas-limit",
    "--disable-gas-limit": "--disable-block-gas-limit",
    "--tx-gas-limit": "--enable-tx-gas-limit",
    "--chain": "--chain-id",
    "--auto-unlock": "--auto-impersonate",
    "-f": "--fork-url",
    "--rpc-url": "--fork-url",
    "--retries": "--fork-retries",
    "--cups": "--compute-units-per-second",
    "--no-rpc-rate-limit": "--no-rate-limit",
    "--cache-path": "--cache-dir",
}
# In milliseconds there, in seconds here.
IN_MILLISECONDS: Mapping[str, str] = {"--timeout": "--fork-timeout"}
# Without a value, and with one (or none: what follows begins with a dash).
IDLE: Mapping[str, str] = {
    "--steps-tracing": "every transaction can be traced, at no cost until somebody asks",
    "--tracing": "every transaction can be traced, at no cost until somebody asks",
    "--disable-console-log": "console.log is not printed",
    "--no-console-log": "console.log is not printed",
    "--no-request-size-limit": "bodies of requests have the limits of docs/json-rpc.md",
    "--disable-min-priority-fee": "any tip is taken",
    "--no-priority-fee": "any tip is taken",
    "--disable-default-create2-deployer": "the deployer is part of genesis, as on our networks",
    "--no-create2": "the deployer is part of genesis, as on our networks",
    "--md": "logs are text, or JSON with --log-json",
}
IDLE_WITH_VALUE: Mapping[str, str] = {
    "--threads": "threads are as many as the machine has use for",
    "--jobs": "threads are as many as the machine has use for",
    "-j": "threads are as many as the machine has use for",
    "--max-persisted-states": "states lie on disk, and memory is bounded",
    "--transaction-block-keeper": "blocks lie on disk, and memory is bounded",
    "--prune-history": "states lie on disk, and memory is bounded; --prune N keeps the last N",
    "--memory-limit": "a call's memory is bounded by its gas",
    "--slots-in-an-epoch": "every block is final at once",
    "--gas-price": "EIP-1559's base fee decides, see --base-fee",
    "--color": "logs have no colours",
}
REFUSED: Mapping[str, str] = {
    "--number": "genesis is block 0; anvil_mine makes blocks, --fork-url begins at a block",
    "--mnemonic-random": "give --mnemonic a phrase; `cast wallet new-mnemonic` makes one",
    "--mnemonic-seed-unsafe": "give --mnemonic a phrase; `cast wallet new-mnemonic` makes one",
    "--disable-pool-balance-checks": "anvil_setBalance gives an account what it spends",
    "--print-traces": "ask debug_traceTransaction, or `cast run`",
    "--enable-trace-printing": "ask debug_traceTransaction, or `cast run`",
    "--ipc": "the socket is ghostd.ipc in the data directory",
    "--ipcpath": "the socket is ghostd.ipc in the data directory",
    "--celo": "blocks follow Ethereum's rules, and GhostChain's own",
    "--optimism": "blocks follow Ethereum's rules, and GhostChain's own",
}
QUIET = ("--log-level", "error")
VERBOSE = ("--log-level", "debug")


def translated(arguments: Sequence[str]) -> list[str]:
    """The arguments of `run` for a development chain, in our own words.

    Effects: tells on standard error what was left aside. Raises: click.UsageError.
    """
    if "--dev" not in arguments:
        return list(arguments)
    made: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            return [*made, word, *waiting]
        if not word.startswith("--") and len(word) > 2 and word[0] == "-":
            # -p8545, as anvil's parser takes it; -vvv.
            name, equals, value = word[:2], "=" if word[1] not in "vq" else "", word[2:]
        if name in REFUSED:
            raise click.UsageError(f"{name} is not here: {REFUSED[name]}")
        if name in RENAMED:
            made += [RENAMED[name], value.removeprefix("=")] if equals else [RENAMED[name]]
        elif name in IN_MILLISECONDS:
            given = value if equals else waiting.pop(0) if waiting else ""
            made += [IN_MILLISECONDS[name], seconds_of(name, given)]
        elif name in IDLE or name in IDLE_WITH_VALUE:
            reason = IDLE.get(name) or IDLE_WITH_VALUE[name]
            if name in IDLE_WITH_VALUE and not equals and waiting and waiting[0][:1] != "-":
                waiting.pop(0)
            click.echo(f"ghostd: {name} has nothing to do here: {reason}", err=True)
        elif word in ("-q", "--quiet"):
            made += QUIET
        elif word == "--no-cors":
            made += ["--rpc-cors", "null"]
        elif word == "--verbosity" or (name == "-v" and not equals):
            made += VERBOSE
        elif word == "--json":
            made.append("--log-json")
        else:
            made.append(word)
    return made


def seconds_of(name: str, milliseconds: str) -> str:
    if not milliseconds.isdecimal():
        raise click.UsageError(f"{name}: expected milliseconds, not {milliseconds!r}")
    return str(int(milliseconds) / 1000)


class CarriedOver(click.Command):
    """A command that also understands anvil's flags."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[Any]:
        return super().parse_args(ctx, translated(args))
