"""A network of several nodes on this machine: made, started, watched, stopped.

    base/genesis.json        devnet's genesis with validators of its own
    base/password            opens all keys here; mode 0600, made at random
    base/devnet.json         what runs: endpoints, process ids, commands
    base/node-N/             a data directory, keys, and ghostd.log

Nodes are ordinary `ghostd run` processes in sessions of their own, so they outlive the command that
started them. A process id is believed only together with the time at which that process started,
so `down` never signals a stranger that has inherited the number.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from ghostchain.crypto import ed25519
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.node.keystore import write_operator_key
from ghostchain.node.signing import keyfiles
from ghostchain.primitives.errors import GhostError
from ghostchain.rpc.client import RpcClient, RpcFailure, RpcUnreachable

STATE_NAME = "devnet.json"
GENESIS_NAME = "genesis.json"
PASSWORD_NAME = "password"
NODES_MAX = 40
PORTS_EACH = 10
"""With a base port, node i has base + 10 i for peers, + 1 for JSON-RPC, + 2 for metrics."""

OWN_PORTS = (30303, 8545, 9545)
"""Of a node that has its machine to itself: for peers, JSON-RPC, metrics."""

SELF_BOND_SPIRIT = 1_000_000
OPERATOR_GCC = 10_000
WEI = 10**18
FOUNDATION = "0x0000000000000000000000000000000000474312"
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0
READY_HEIGHT = 3
POLL_SECONDS = 0.1


class DevnetFailure(GhostError):
    """The network could not be made, started or stopped; the message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make. Units: milliseconds. epoch_blocks None: the chain's own.

    host: None for processes of this machine; otherwise each node has a machine of its own, a
    container for example, reached under this name, in which {index} is the node's number.
    """

    validators: int = 4
    rpc_nodes: int = 0
    base_port: int = 0
    block_interval_ms: int = 50
    heartbeat_ms: int = 2_000
    epoch_blocks: int | None = None
    parameters: dict[str, dict[str, int]] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    host: str | None = None


@dataclass(slots=True)
class Node:
    """One node: where it is reached, and the process that is it (pid 0: none)."""

    name: str
    is_validator: bool
    operator: str | None
    node_key: str
    rpc: str
    ws: str
    p2p: str
    metrics: str
    data_dir: str
    log: str
    command: list[str]
    pid: int = 0
    started: int = 0


@dataclass(slots=True)
class Devnet:
    """A network under a base directory. made_in: what that directory's name was at first."""

    base_dir: Path
    chain_id: int
    nodes: list[Node]
    made_in: str = ""

    @classmethod
    def load(cls, base_dir: Path) -> Devnet:
        """Raises: DevnetFailure when there is none."""
        path = base_dir / STATE_NAME
        try:
            document = json.loads(path.read_text())
            nodes = [Node(**fields) for fields in document["nodes"]]
            return cls(base_dir, int(document["chainId"]), nodes, document["baseDir"])
        except FileNotFoundError:
            raise DevnetFailure(
                f"there is no network in {base_dir}; `ghostd devnet up` makes one"
            ) from None
        except (ValueError, KeyError, TypeError) as failure:
            raise DevnetFailure(f"{path} cannot be read: {failure}") from failure

    def save(self) -> None:
        """What is running is known to the next command, whenever this one ends."""
        path = self.base_dir / STATE_NAME
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(self.document(), indent=2) + "\n")
        partial.replace(path)

    def document(self) -> dict[str, Any]:
        """As it is printed and kept."""
        return {
            "baseDir": str(self.base_dir),
            "chainId": self.chain_id,
            "genesis": str(self.base_dir / GENESIS_NAME),
            "nodes": [asdict(node) for node in self.nodes],
        }


# ---- making ----


def make(base_dir: Path, plan: Plan) -> Devnet:
    """Keys, genesis and commands of a new network; nothing runs yet.

    Raises: DevnetFailure when the directory is in use or the numbers make no network.
    """
    count = plan.validators + plan.rpc_nodes
    if plan.validators < 1 or count > NODES_MAX:
        raise DevnetFailure(f"{count} nodes; a network here has 1 to {NODES_MAX}")
    base_dir = base_dir.absolute()
    base_dir.mkdir(parents=True, exist_ok=True)
    if any(base_dir.iterdir()):
        raise DevnetFailure(f"{base_dir} is not empty and holds no network")
    password = secrets.token_urlsafe(24)
    write_private(base_dir / PASSWORD_NAME, password + "\n")
    ports = [OWN_PORTS] * count if plan.host else port_numbers(plan.base_port, count)
    document = genesis_document(plan)
    chain_id = int(document["config"]["chainId"])
    nodes = []
    for index, (p2p, rpc, metrics) in enumerate(ports):
        is_validator = index < plan.validators
        directory = base_dir / f"node-{index}"
        directory.mkdir(mode=0o700)
        host = "127.0.0.1" if plan.host is None else plan.host.replace("{index}", str(index))
        node_key = ed25519.public_key_of(keyfiles.load_or_create_node_key(directory / "node.key"))
        operator = None
        if is_validator:
            operator = make_validator(directory, document, password)
        nodes.append(
            Node(
                name=f"node-{index}",
                is_validator=is_validator,
                operator=operator,
                node_key=node_key.hex(),
                rpc=f"http://{host}:{rpc}",
                ws=f"ws://{host}:{rpc}",
                p2p=f"ghost://{node_key.hex()}@{host}:{p2p}",
                metrics=f"http://{host}:{metrics}/metrics",
                data_dir=str(directory / "data"),
                log=str(directory / "ghostd.log"),
                command=[],
            )
        )
    (base_dir / GENESIS_NAME).write_text(json.dumps(document, indent=2) + "\n")
    for node in nodes:
        node.command = command_of(base_dir, node, nodes, plan)
    network = Devnet(base_dir, chain_id, nodes)
    network.save()
    return network


def genesis_document(plan: Plan) -> dict[str, Any]:
    """Devnet's own genesis, without validators yet, that begins now."""
    text = files("ghostchain.chain").joinpath("genesis", "devnet.json").read_text()
    document: dict[str, Any] = json.loads(text)
    document["timestamp"] = hex(int(time.time()))
    consensus = dict(document["config"]["ghost"].get("consensus", {}))
    consensus |= {"blockIntervalMinMs": plan.block_interval_ms, "heartbeatMs": plan.heartbeat_ms}
    document["config"]["ghost"]["consensus"] = consensus
    economy = document["ghost"]
    economy["validators"] = []
    if plan.epoch_blocks is not None:
        economy["epochBlocks"] = plan.epoch_blocks
    if plan.parameters:
        economy["parameters"] = plan.parameters
    # The supply of SPIRIT is fixed: what validators bond here comes from what devnet's own
    # genesis leaves with the foundation.
    spirit = economy["tokens"]["SPIRIT"]
    spare = (plan.validators - 1) * SELF_BOND_SPIRIT * WEI
    spirit[FOUNDATION] = str(int(spirit[FOUNDATION]) - spare)
    return document


def make_validator(directory: Path, document: dict[str, Any], password: str) -> str:
    """The keys of a validator, which stands in the genesis then. Returns its operator."""
    key = keyfiles.create_key_file(directory / "validator.json", password)
    operator_key = secrets.token_bytes(32)
    write_operator_key(directory / "operator.json", operator_key, password)
    operator = to_checksum_address(address_of(operator_key))
    document["ghost"]["validators"].append(
        {
            "operator": operator,
            "consensusKey": "0x" + key.hex(),
            "selfBond": str(SELF_BOND_SPIRIT * WEI),
        }
    )
    document["alloc"][operator] = {"balance": hex(OPERATOR_GCC * WEI)}
    return operator


def command_of(base_dir: Path, node: Node, nodes: Sequence[Node], plan: Plan) -> list[str]:
    """How the node is started, without the program's own name."""
    directory = base_dir / node.name
    listen = ["--p2p-host=127.0.0.1"]
    if plan.host is not None:
        name = node.rpc.removeprefix("http://").rpartition(":")[0]
        listen = [
            "--p2p-host=0.0.0.0",
            "--rpc-host=0.0.0.0",
            "--metrics-host=0.0.0.0",
            "--rpc-allowed-host=localhost",
            f"--rpc-allowed-host={name}",
        ]
    arguments = [
        "run",
        f"--genesis={base_dir / GENESIS_NAME}",
        f"--data-dir={node.data_dir}",
        f"--node-key={directory / 'node.key'}",
        *listen,
        f"--p2p-port={node.p2p.rpartition(':')[2]}",
        f"--rpc-port={node.rpc.rpartition(':')[2]}",
        f"--metrics-port={node.metrics.removesuffix('/metrics').rpartition(':')[2]}",
        "--log-json",
        *(f"--bootnodes={other.p2p}" for other in nodes if other is not node),
    ]
    if node.is_validator:
        arguments.append(f"--validator-key={directory / 'validator.json'}")
        arguments.append(f"--validator-password-file={base_dir / PASSWORD_NAME}")
    return [*arguments, *plan.flags]


def write_private(path: Path, text: str) -> None:
    """A file that only its owner can read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def port_numbers(base: int, count: int) -> list[tuple[int, int, int]]:
    """(peers, JSON-RPC, metrics) of each node; free ones when base is 0."""
    if base:
        if base + PORTS_EACH * count > 65_535:
            raise DevnetFailure(f"{count} nodes from port {base} need ports beyond 65535")
        return [
            (start, start + 1, start + 2)
            for start in range(base, base + PORTS_EACH * count, PORTS_EACH)
        ]
    with contextlib.ExitStack() as stack:
        # Held all at once, so that no number is picked twice.
        picked = []
        for _ in range(count):
            kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_STREAM)
            sockets = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for kind in kinds]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            p2p, rpc, metrics = (int(one.getsockname()[1]) for one in sockets)
            picked.append((p2p, rpc, metrics))
        return picked


# ---- running ----


def start(network: Devnet, names: Sequence[str] = ()) -> list[Node]:
    """The nodes that do not run are started; those named, or all. Returns what was started."""
    begun = []
    for node in network.nodes:
        if (names and node.name not in names) or is_running(node):
            continue
        with open(node.log, "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ghostchain.node.cli", *node.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        node.pid, node.started = process.pid, start_time(process.pid) or 0
        begun.append(node)
        network.save()
    return begun


def foreground_command(base_dir: Path, name: str) -> list[str]:
    """What runs a node of the network, wherever its directory has been moved to.

    Raises: DevnetFailure when there is no such node.
    """
    base_dir = base_dir.absolute()
    network = Devnet.load(base_dir)
    for node in network.nodes:
        if node.name == name:
            made = f"={network.made_in}/"
            return [argument.replace(made, f"={base_dir}/", 1) for argument in node.command]
    names = ", ".join(node.name for node in network.nodes)
    raise DevnetFailure(f"no {name} in {base_dir}; there are {names}")


def is_running(node: Node) -> bool:
    """Whether the process that was started is still that process, and alive."""
    return node.pid > 0 and start_time(node.pid) == node.started and is_ours(node)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since the system did; None for none, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def is_ours(node: Node) -> bool:
    """Whether the process runs the node's data directory."""
    try:
        arguments = Path(f"/proc/{node.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"--data-dir={node.data_dir}".encode() in arguments


def await_height(network: Devnet, height: int, seconds: float) -> None:
    """All nodes that run have made that block final.

    Raises: DevnetFailure with the last lines of the log of whoever ended or did not get there.
    """
    deadline = time.monotonic() + seconds
    waiting = {node.name: node for node in network.nodes}
    while waiting:
        for node in list(waiting.values()):
            if not is_running(node):
                raise DevnetFailure(f"{node.name} has ended:\n{log_end(node)}")
            if (head_of(node) or 0) >= height:
                del waiting[node.name]
        if waiting and time.monotonic() > deadline:
            node = next(iter(waiting.values()))
            raise DevnetFailure(
                f"{', '.join(waiting)}: not at block {height} after {seconds:g} s; {node.name}'s "
                f"log ends with\n{log_end(node)}"
            )
        if waiting:
            time.sleep(POLL_SECONDS)


def head_of(node: Node) -> int | None:
    """The number of its latest block; None when it does not answer."""
    try:
        return int(RpcClient(node.rpc, timeout_s=5.0).call("eth_blockNumber"), 16)
    except (RpcUnreachable, RpcFailure):
        return None


def log_end(node: Node, lines: int = 10) -> str:
    try:
        with open(node.log, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 16_384, 0))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError as failure:
        return str(failure)


def statuses(network: Devnet) -> list[dict[str, Any] | None]:
    """What each node says of itself; None for one that does not answer."""

    def ask(node: Node) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = RpcClient(node.rpc, timeout_s=5.0).call("ghost_status")
        except (RpcUnreachable, RpcFailure):
            return None
        return answer

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, network.nodes))


# ---- stopping ----


def stop(network: Devnet, seconds: float = STOP_SECONDS_MAX) -> dict[str, str]:
    """Every node that runs gets SIGTERM, and SIGKILL when it has not ended in time. Returns by name
    how each ended."""
    ends = {}
    asked = [node for node in network.nodes if is_running(node)]
    for node in network.nodes:
        ends[node.name] = "not running" if node not in asked else "stopped"
    for node in asked:
        signal_node(node, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for node in asked:
        while is_running(node) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if is_running(node):
            signal_node(node, signal.SIGKILL)
            ends[node.name] = f"killed: it had not ended after {seconds:g} s"
    for node in network.nodes:
        node.pid = node.started = 0
    network.save()
    return ends


def signal_node(node: Node, number: signal.Signals) -> None:
    """Sends the signal, unless the process has ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(node.pid, number)
