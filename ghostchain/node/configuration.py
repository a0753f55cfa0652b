"""What a node is told, checked once: the records that the command line fills."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ghostchain.chain.opening import STATE_CACHE_BYTES
from ghostchain.fork.client import RemoteSettings
from ghostchain.fork.endpoints import check_url
from ghostchain.fork.opening import ForkSettings
from ghostchain.node.development.configuration import (
    GAS_LIMIT_MAX,
    DevelopmentConfiguration,
    development_of,
)
from ghostchain.node.sealing import HEARTBEAT, INSTANT, SealingPolicy, every
from ghostchain.primitives.types import Address

DEV_NETWORK = "dev"
DEV_GAS_LIMIT = 1_000_000_000
# A development node is one of many programs of its machine: a quarter of what others keep.
DEV_CACHE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class RpcConfiguration:
    """Where JSON-RPC listens. port 0 lets the system pick one, which the start-up then prints."""

    host: str = "127.0.0.1"
    port: int = 8545
    ws_port: int | None = None
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ("localhost",)
    jwt_secret: Path | None = None


@dataclass(frozen=True, slots=True)
class Bootnode:
    """A node to begin with: `ghost://<node key, 64 hex digits>@<host>:<port>`."""

    key: bytes
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Bootnode:
        """Raises: ValueError, in words for whoever typed it."""
        parts = urlsplit(text)
        try:
            key, port = bytes.fromhex(parts.username or ""), parts.port
        except ValueError as failure:
            raise ValueError(f"--bootnodes {text}: {failure}") from failure
        if parts.scheme != "ghost" or len(key) != 32 or not parts.hostname or not port:
            raise ValueError(
                f"--bootnodes {text}: expected ghost://<node key, 64 hex digits>@<host>:<port>"
            )
        return cls(key, parts.hostname, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ghost://{self.key.hex()}@{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class P2pConfiguration:
    """How peers reach this node and it them. port 0 lets the system pick one. enabled False: it
    speaks to nobody."""

    host: str = "0.0.0.0"
    port: int = 30303
    bootnodes: tuple[Bootnode, ...] = ()
    max_peers: int = 50
    enabled: bool = True
    checkpoint: tuple[int, bytes] | None = None
    snapshot_interval: int | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ValidatorConfiguration:
    """Where this node's consensus key is: in an encrypted file, or with a signer at a socket."""

    key_file: Path | None = None
    password_file: Path | None = None
    signer: str | None = None
    starts_at_once: bool = False

    @property
    def is_given(self) -> bool:
        return self.key_file is not None or self.signer is not None


@dataclass(frozen=True, slots=True)
class MonitoringConfiguration:
    """Where metrics are served. port 0 lets the system pick one."""

    host: str = "127.0.0.1"
    port: int = 9545


@dataclass(frozen=True, slots=True)
class NodeConfiguration:
    """One node.

    data_dir None: a scratch directory, gone when the node stops. genesis_path overrides the
    network's own genesis, chain_id and gas_limit override that genesis's. prune keeps the state
    history of the last so many blocks (None: all of it). fork_manner: how a fork is asked and kept
    that the directory or a reset names, not the command line; its URL is empty.
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
    p2p: P2pConfiguration = field(default_factory=P2pConfiguration)
    validator: ValidatorConfiguration = field(default_factory=ValidatorConfiguration)
    monitoring: MonitoringConfiguration = field(default_factory=MonitoringConfiguration)
    fork: ForkSettings | None = None
    fork_manner: ForkSettings = field(default_factory=lambda: ForkSettings(RemoteSettings("")))
    development: DevelopmentConfiguration = field(default_factory=DevelopmentConfiguration)

    @property
    def dev(self) -> bool:
        """Whether this is the development chain, whose keys everybody knows."""
        return self.network == DEV_NETWORK

    @property
    def state_cache_bytes(self) -> int:
        """As in `Chain.open`."""
        return DEV_CACHE_BYTES if self.dev else STATE_CACHE_BYTES


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
    fork = fork_of(options, is_dev=network == DEV_NETWORK and genesis_path is None)
    if gas_limit is None and network == DEV_NETWORK and genesis_path is None and fork is None:
        gas_limit = DEV_GAS_LIMIT
    if options.get("disable_block_gas_limit"):
        gas_limit = GAS_LIMIT_MAX
    return NodeConfiguration(
        network=network,
        data_dir=data_dir,
        sealing=sealing_of(network, options),
        rpc=rpc_of(options, dev=network == DEV_NETWORK),
        genesis_path=genesis_path,
        chain_id=options.get("chain_id"),
        gas_limit=gas_limit,
        prune=options.get("prune"),
        coinbase=address_of(options.get("coinbase")),
        fork=fork,
        fork_manner=fork_manner(options),
        development=development_of(
            options, is_dev=network == DEV_NETWORK, has_genesis=genesis_path is not None
        ),
        p2p=p2p_of(options),
        validator=validator_of(options),
        monitoring=MonitoringConfiguration(options["metrics_host"], options["metrics_port"])
        if "metrics_port" in options
        else MonitoringConfiguration(),
    )


def p2p_of(options: Mapping[str, Any]) -> P2pConfiguration:
    """Raises: ValueError for a bootnode or a checkpoint that is none."""
    if "p2p_port" not in options:
        return P2pConfiguration()
    given = [one for text in options["bootnodes"] for one in text.split(",") if one]
    return P2pConfiguration(
        host=options["p2p_host"],
        port=options["p2p_port"],
        bootnodes=tuple(Bootnode.parse(one) for one in given),
        max_peers=options["max_peers"],
        enabled=not options["no_p2p"],
        checkpoint=checkpoint_of(options["checkpoint"]),
        snapshot_interval=options["snapshot_interval"],
        key_file=options["node_key"],
    )


def fork_of(options: Mapping[str, Any], *, is_dev: bool) -> ForkSettings | None:
    """What is forked, if anything. Raises: ValueError."""
    url = options.get("fork_url")
    others = [
        "--" + name.replace("_", "-")
        for name in ("fork_block_number", "fork_transaction_hash", "fork_chain_id")
        if options.get(name) is not None
    ]
    if url is None:
        if others:
            raise ValueError(f"{others[0]} says nothing without --fork-url")
        return None
    if not is_dev:
        raise ValueError("--fork-url: only a development chain (--dev) can be a fork")
    # As anvil takes it: the block behind the URL.
    base, at, suffix = url.rpartition("@")
    block = options["fork_block_number"]
    if at and suffix.isdecimal() and "/" in base.partition("://")[2] + "/":
        if block is not None:
            raise ValueError("--fork-url names a block, and --fork-block-number another")
        url, block = base, int(suffix)
    transaction = options["fork_transaction_hash"]
    if transaction is not None and block is not None:
        raise ValueError("--fork-transaction-hash and --fork-block-number: one of them says where")
    manner = fork_manner(options)
    return replace(
        manner,
        remote=replace(manner.remote, url=check_url(url)),
        block=block,
        transaction=None if transaction is None else hash_of(transaction),
        remote_chain_id=options["fork_chain_id"],
    )


def fork_manner(options: Mapping[str, Any]) -> ForkSettings:
    """How a fork is asked and kept, wherever it is. Raises: ValueError."""
    if "fork_timeout" not in options:
        return ForkSettings(RemoteSettings(""), cache_dir=cache_dir_of(None))
    remote = RemoteSettings(
        url="",
        headers=tuple(header_of(text) for text in options["fork_header"]),
        timeout_s=options["fork_timeout"],
        retries=options["fork_retries"],
        backoff_s=options["fork_retry_backoff"] / 1e3,
        units_per_second=options["compute_units_per_second"],
        is_paced=not options["no_rate_limit"],
    )
    is_kept = not options["no_storage_caching"]
    return ForkSettings(remote, cache_dir=cache_dir_of(options["cache_dir"]) if is_kept else None)


def header_of(text: str) -> tuple[str, str]:
    """`Name: value`. Raises: ValueError, which does not repeat what may be a secret."""
    name, colon, value = text.partition(":")
    is_clean = text.isprintable() and name.strip() and not set(name.strip()) & set(' ()<>@,;"')
    if not colon or not is_clean:
        raise ValueError("--fork-header: expected 'Name: value'")
    return name.strip(), value.strip()


def hash_of(text: str) -> bytes:
    """Raises: ValueError."""
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ValueError(f"--fork-transaction-hash {text}: expected 64 hexadecimal digits")
    return found


def cache_dir_of(given: Path | None) -> Path:
    return default_data_dir("fork-cache") if given is None else given


def checkpoint_of(text: str | None) -> tuple[int, bytes] | None:
    """`height:hash`. Raises: ValueError."""
    if text is None:
        return None
    height, _, digits = text.partition(":")
    try:
        number, block_hash = int(height), bytes.fromhex(digits.removeprefix("0x"))
    except ValueError:
        number, block_hash = -1, b""
    if number < 0 or len(block_hash) != 32:
        raise ValueError(f"--checkpoint {text}: expected <height>:<block hash, 64 hex digits>")
    return number, block_hash


def validator_of(options: Mapping[str, Any]) -> ValidatorConfiguration:
    """Raises: ValueError when two keys are given."""
    if "validator_key" not in options:
        return ValidatorConfiguration()
    key_file, signer = options["validator_key"], options["signer"]
    if key_file is not None and signer is not None:
        raise ValueError("--validator-key and --signer: a node has one consensus key")
    if options["validator_password_file"] is not None and key_file is None:
        raise ValueError("--validator-password-file: there is no --validator-key to open with it")
    if signer is not None and not signer.startswith("unix:/"):
        raise ValueError(f"--signer {signer}: expected unix:/path/of/the/socket")
    return ValidatorConfiguration(
        key_file=key_file,
        password_file=options["validator_password_file"],
        signer=signer,
        starts_at_once=options["validate_at_once"],
    )


def sealing_of(network: str, options: Mapping[str, Any]) -> SealingPolicy:
    block_time: float | None = options.get("block_time")
    if block_time is not None:
        return replace(every(block_time), eager=bool(options.get("mixed_mining")))
    if options.get("no_mining"):
        return SealingPolicy(eager=False, interval_ns=None)
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
        jwt_secret=options.get("rpc_jwt_secret"),
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
