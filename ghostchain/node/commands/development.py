"""The options of `run` that say something of a development chain alone: anvil's, by its names."""

from __future__ import annotations

from pathlib import Path

import click

from ghostchain.primitives.leniency import CODE_BYTES_UNBOUND

STATE_FILE = click.Path(path_type=Path)

DEVELOPMENT_OPTIONS = (
    click.option(
        "--accounts",
        type=click.IntRange(0, 10_000),
        metavar="N",
        help="With --dev: how many accounts are funded.  [default: 10]",
    ),
    click.option(
        "--balance",
        type=click.IntRange(min=0, max=10**40),
        metavar="GCC",
        help="With --dev: what each of them holds.  [default: 10000]",
    ),
    click.option(
        "--mnemonic",
        metavar="PHRASE",
        help="With --dev: the phrase whose accounts m/44'/60'/0'/0/i they are.  [default: the test "
        "phrase of all Ethereum tools]",
    ),
    click.option(
        "--derivation-path",
        metavar="PATH",
        help="With --dev: of these accounts, to which the account's number is added.  [default: "
        "m/44'/60'/0'/0/]",
    ),
    click.option(
        "--config-out",
        type=STATE_FILE,
        metavar="FILE",
        help="With --dev: write accounts, keys and genesis's values there, as JSON.",
    ),
    click.option(
        "--no-mining",
        is_flag=True,
        help="With --dev: blocks are made when they are asked for, not by themselves.",
    ),
    click.option(
        "--mixed-mining",
        is_flag=True,
        help="With --dev and --block-time: a block at once for every transaction too.",
    ),
    click.option(
        "--order",
        type=click.Choice(["fees", "fifo"]),
        help="With --dev: what goes first in a block: what pays most, or what came first.  "
        "[default: fees]",
    ),
    click.option(
        "--base-fee",
        type=click.IntRange(0, (1 << 64) - 1),
        metavar="WEI",
        help="With --dev: the base fee of genesis.  [default: 1000000000]",
    ),
    click.option(
        "--timestamp",
        type=click.IntRange(0, (1 << 63) - 1),
        metavar="SECONDS",
        help="With --dev: the time of genesis, where the chain's clock begins.  [default: now, "
        "when the chain is new; and the clock is the wall's]",
    ),
    click.option(
        "--hardfork",
        type=click.Choice(["cancun", "prague", "osaka"]),
        help="With --dev: whose rules hold.  [default: osaka]",
    ),
    click.option(
        "--auto-impersonate",
        is_flag=True,
        help="With --dev: eth_sendTransaction sends for every account.",
    ),
    click.option(
        "--disable-block-gas-limit",
        is_flag=True,
        help="With --dev: blocks hold any amount of gas.",
    ),
    click.option(
        "--code-size-limit",
        type=click.IntRange(1, CODE_BYTES_UNBOUND),
        metavar="BYTES",
        help="With --dev: the most code a contract may have, instead of EIP-170's; init code may "
        "have twice as much.  [default: 24576]",
    ),
    click.option(
        "--disable-code-size-limit",
        is_flag=True,
        help="With --dev: contracts of any size (EIP-170 and EIP-3860 do not hold).",
    ),
    click.option(
        "--enable-tx-gas-limit",
        is_flag=True,
        help="With --dev: no transaction has more than 16,777,216 gas (EIP-7825 holds, as on every "
        "other chain).",
    ),
    click.option(
        "--max-transactions",
        type=click.IntRange(min=1),
        metavar="N",
        help="With --dev: so many transactions in a block at most.",
    ),
    click.option(
        "--state",
        type=STATE_FILE,
        metavar="FILE",
        help="With --dev: --load-state, where the file is there, and --dump-state.",
    ),
    click.option(
        "--load-state",
        type=STATE_FILE,
        metavar="FILE",
        help="With --dev: begin with this state dump, anvil's or one of this node's, unless there "
        "are blocks already.",
    ),
    click.option(
        "--dump-state",
        type=STATE_FILE,
        metavar="FILE",
        help="With --dev: write the state there at the end, in anvil's format.",
    ),
    click.option(
        "--preserve-historical-states",
        is_flag=True,
        help="With --dev: the state dump holds the states of older blocks too.",
    ),
    click.option(
        "--state-interval",
        type=click.IntRange(min=1),
        metavar="SECONDS",
        help="With --dev: write the state dump every so often as well as at the end.",
    ),
)
