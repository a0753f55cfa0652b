"""What a node is told, checked once: the records that the command line fills."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostchain.node.sealing import HEARTBEAT, INSTANT, SealingPolicy, every
from ghostchain.primitives.types import Address

DEV_NETWORK = "dev"
DEV_GAS_LIMIT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RpcConfiguration:
    """Where JSON-RPC listens. port 0 lets the system pick one, which the start-up then prints."""

    host: str = "127.0.0.1"
    port: int = 8545
    ws_port: int | None = None
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ("localhost",)


@dataclass(frozen=True, slots=True)
class NodeConfiguration:
    """One node.

    data_dir None: a scratch directory, gone when the node stops. genesis_path overrides the
    network's own genesis, chain_id and gas_limit override that genesis's. prune keeps the state
    history of the last so many blocks (None: all of it).
    """

    network: str
    data_dir: Path | None
    sealing: SealingPolicy
    rpc: RpcConfiguration
    genesis_path: Path | None = None
    chain_id: int | None = None
    gas_limit: int | None = None
    prune: int | None = None
    coinbase: Address | None = None

    @property
    def dev(self) -> bool:
        """Whether this is the development chain, whose keys everybody knows."""
        return self.network == DEV_NETWORK


def default_data_dir(network: str) -> Path:
    """`$GHOSTCHAIN_HOME/<network>`, else `~/.ghostchain/<network>`."""
    home = os.environ.get("GHOSTCHAIN_HOME")
    return (Path(home) if home else Path.home() / ".ghostchain") / network


def from_options(options: Mapping[str, Any]) -> NodeConfiguration:
    """The configuration behind a command's options (those it lacks take their defaults).

    Raises: ValueError, in words for whoever typed them.
    """
    network: str = options["network"]
    genesis_path: Path | None = options.get("genesis")
    if options.get("dev"):
        network = DEV_NETWORK
    elif os.sep in network or network.endswith(".json"):
        if genesis_path is not None:
            raise ValueError("--network names a genesis file, and --genesis another")
        genesis_path = Path(network)
        if not genesis_path.is_file():
            raise ValueError(f"--network {network}: no such genesis file")
        network = genesis_path.stem
    data_dir: Path | None = options["data_dir"]
    if data_dir is None and not (options.get("dev") or network == DEV_NETWORK):
        data_dir = default_data_dir(network)
    gas_limit = options.get("gas_limit")
    if gas_limit is None and network == DEV_NETWORK and genesis_path is None:
        gas_limit = DEV_GAS_LIMIT
    return NodeConfiguration(
        network=network,
        data_dir=data_dir,
        sealing=sealing_of(network, options.get("block_time")),
        rpc=rpc_of(options, dev=network == DEV_NETWORK),
        genesis_path=genesis_path,
        chain_id=options.get("chain_id"),
        gas_limit=gas_limit,
        prune=options.get("prune"),
        coinbase=address_of(options.get("coinbase")),
    )


def sealing_of(network: str, block_time: float | None) -> SealingPolicy:
    if block_time is not None:
        return every(block_time)
    return INSTANT if network == DEV_NETWORK else HEARTBEAT


def rpc_of(options: Mapping[str, Any], *, dev: bool) -> RpcConfiguration:
    """Where JSON-RPC listens. A development chain, whose keys protect nothing, answers web pages of
    any origin unless told which; other chains answer none unless told."""
    if "rpc_port" not in options:
        return RpcConfiguration()
    return RpcConfiguration(
        host=options["rpc_host"],
        port=options["rpc_port"],
        ws_port=options["ws_port"],
        cors_origins=tuple(options["rpc_cors"]) or (("*",) if dev else ()),
        allowed_hosts=tuple(options["rpc_allowed_host"]),
    )


def address_of(text: str | None) -> Address | None:
    """20 bytes out of 40 hexadecimal digits. Raises ValueError."""
    if text is None:
        return None
    digits = text.removeprefix("0x")
    if len(digits) != 40:
        raise ValueError(f"--coinbase {text}: an address has 40 hexadecimal digits")
    try:
        return Address(bytes.fromhex(digits))
    except ValueError as failure:
        raise ValueError(f"--coinbase {text}: not hexadecimal") from failure
