"""`ghostd run`: opens what a node is made of, in order, and closes it in the opposite one.

Threads: the event loop serves JSON-RPC and wakes the sealer; one writer thread builds and commits
blocks; two admission threads feed the pool; JSON-RPC has workers of its own for slow calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import platform
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import click
import uvloop
from aiohttp.http_exceptions import HttpProcessingError

from ghostchain import __version__
from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.snapshot import holds_a_chain
from ghostchain.node import logs
from ghostchain.node.accounts import fee_state, sender_states
from ghostchain.node.backend import NodeBackend
from ghostchain.node.beginning import begin_from_snapshot
from ghostchain.node.configuration import NodeConfiguration
from ghostchain.node.development.configuration import DevelopmentConfiguration
from ghostchain.node.engines import open_engines
from ghostchain.node.following import PoolFollower
from ghostchain.node.forking import Forking, forking
from ghostchain.node.genesis import accounts_file, check_system_contracts, dev_accounts
from ghostchain.node.logs import event, speaks_json
from ghostchain.node.metrics import Metrics, Sample
from ghostchain.node.monitoring import MonitoringServer
from ghostchain.node.producing import Parts, Producer, Solo
from ghostchain.primitives.header import Header
from ghostchain.primitives.units import ETHER
from ghostchain.rpc.operator import load_secret
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.server import RpcServer
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import Effect
from ghostchain.txpool.journal import Journal

logger = logging.getLogger("ghostd")

ACCOUNTS_SHOWN_MAX = 100
JOURNAL_NAME = "pool.journal"
SOCKET_NAME = "ghostd.ipc"

# What of the data directory grows, for metrics.
DISK_PARTS = ("state", "blocks", "blooms", "places", "consensus", "snapshots", JOURNAL_NAME)


def client_version() -> str:
    """As `web3_clientVersion` says it."""
    system = f"{platform.system().lower()}-{platform.machine()}"
    return f"ghostd/v{__version__}/{system}/python{platform.python_version()}"


def run_node(configuration: NodeConfiguration, *, json_logs: bool, level: str) -> None:
    """Runs until SIGTERM or SIGINT, then stops cleanly.

    Raises: GhostError when the data directory or the genesis cannot be used, OSError when a port
        cannot be bound.
    """
    logs.configure(json=json_logs, level=level)
    logging.getLogger("aiohttp.server").addFilter(is_fault_of_ours)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave_early)
    with contextlib.ExitStack() as stack:
        data_dir = configuration.data_dir
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ghostd-")))
        fork = stack.enter_context(forking(configuration, data_dir))
        configuration, genesis = fork.configuration, fork.genesis
        if fork.state is None:
            check_system_contracts(genesis)
        if not json_logs:
            print_banner(configuration, genesis, data_dir)
        begin_if_asked(configuration, genesis, data_dir)
        # Waiting for the disk would make a directory durable that is gone at the end.
        chain = Chain.open(
            data_dir,
            genesis,
            prune=configuration.prune,
            is_durable=configuration.data_dir is not None,
            remote=fork.state,
            cache_bytes=configuration.state_cache_bytes,
        )
        stack.callback(chain.close)
        if configuration.dev:
            relax(chain, configuration.development)
        open_engines(genesis, data_dir)
        fork.replay(chain)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(configuration, chain, data_dir, fork))
    event(logger, logging.INFO, "stopped")


def relax(chain: Chain, wanted: DevelopmentConfiguration) -> None:
    """What the command line lets pass; signatures that are believed stay so. Effects: the file of
    accounts that it asks for is written. Raises: StorageError, OSError."""
    known = chain.config.leniency
    leniency = replace(wanted.leniency, signatures=known.signatures)
    if leniency != known and chain.config.consensus is None:
        chain.relax(leniency)
    if wanted.config_out is not None:
        wanted.config_out.write_bytes(accounts_file(wanted, chain.config.chain_id, chain.head))


def begin_if_asked(configuration: NodeConfiguration, genesis: Genesis, data_dir: Path) -> None:
    """The directory holds the state of a snapshot, where a checkpoint is given and no chain is
    there yet. Raises: GhostError, OSError."""
    checkpoint = configuration.p2p.checkpoint
    if checkpoint is None or genesis.config.consensus is None:
        return
    if holds_a_chain(data_dir):
        event(logger, logging.INFO, "checkpoint not needed: there are blocks already")
        return
    begin_from_snapshot(configuration, genesis, data_dir, checkpoint)


def is_fault_of_ours(record: logging.LogRecord) -> bool:
    """Whether what aiohttp reports is more than a client that speaks no proper HTTP or leaves in
    the middle of its request: that one gets its 400, if it is there, and no room in the log."""
    failure = record.exc_info[1] if record.exc_info else None
    return not isinstance(failure, HttpProcessingError | ConnectionError)


def leave_early(number: int, frame: object) -> None:
    """A signal before the node is up: what is open is closed on the way out."""
    raise SystemExit(0)


def print_banner(configuration: NodeConfiguration, genesis: Genesis, data_dir: Path) -> None:
    """Says on standard output what runs where."""
    kept = (
        str(data_dir) if configuration.data_dir else "scratch, gone at the end (--data-dir keeps)"
    )
    pace = pace_of(configuration, genesis)
    prune = configuration.prune
    history = "of every block" if prune is None else f"of the last {prune} blocks"
    lines = [
        f"GhostChain {__version__}, network {configuration.network}, "
        f"chain id {genesis.config.chain_id}",
        f"  data     {kept}",
        f"  history  {history}",
        f"  blocks   {pace}",
    ]
    if configuration.coinbase is not None:
        lines.append(f"  tips     to 0x{configuration.coinbase.hex()}")
    if configuration.dev:
        wanted = configuration.development
        lines.append(
            f"  accounts ({wanted.balance_wei // ETHER:,} GCC each; these keys are public, never "
            "use them elsewhere)"
        )
        lines += [
            f"    {account.checksum_address}  0x{account.key.hex()}"
            for account in dev_accounts(wanted)[:ACCOUNTS_SHOWN_MAX]
        ]
    click.echo("\n".join(lines))


def pace_of(configuration: NodeConfiguration, genesis: Genesis) -> str:
    """Who makes blocks, and when."""
    consensus = genesis.config.consensus
    if consensus is not None:
        heartbeat = consensus.heartbeat_ms / 1e3
        return f"by its validators, when transactions wait and every {heartbeat:g} s"
    sealing = configuration.sealing
    if sealing.eager and sealing.interval_ns:
        return f"sealed here when transactions wait, and every {sealing.interval_ns / 1e9:g} s"
    if sealing.eager:
        return "sealed here at once for every transaction"
    if sealing.interval_ns is None:
        return "sealed here when they are asked for"
    return f"sealed here every {(sealing.interval_ns or 0) / 1e9:g} s"


async def serve(
    configuration: NodeConfiguration,
    chain: Chain,
    data_dir: Path,
    fork: Forking | None = None,
) -> None:
    """The node is up until a signal asks it to stop.

    Raises: StorageFailed, or whatever else made it stop.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.asked.set)
    async with running(configuration, chain, data_dir, stop, fork) as node:
        url = f"http://{url_host(configuration.rpc.host)}:{node.rpc.port}"
        metrics = f"http://{url_host(configuration.monitoring.host)}:{node.monitoring.port}/metrics"
        if not speaks_json():
            lines = [*node.producer.banner(), f"  json-rpc {url}", f"  metrics  {metrics}"]
            click.echo("\n".join(lines))
        # A hundred thousand objects that stay as long as the node: each time the collector looked
        # through them for garbage, the event loop would stand still for up to a tenth of a second.
        gc.freeze()
        event(
            logger,
            logging.INFO,
            "json-rpc ready",
            url=url,
            head=chain.head.number,
            metrics=metrics,
        )
        await stop.asked.wait()
        event(logger, logging.INFO, "stopping")
    if stop.failure is not None:
        raise stop.failure


class Stop:
    """Why the node stops: it was asked to, or something failed that it cannot go on without."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.failure: BaseException | None = None
        self.on_failure: Callable[[str], None] = lambda reason: None

    def fail(self, failure: BaseException) -> None:
        """The node must not go on answering as if it could still write. Event loop only."""
        if self.failure is None:
            self.failure = failure
            self.on_failure(str(failure) or type(failure).__name__)
        self.asked.set()


def url_host(host: str) -> str:
    """The host as a URL has it: the wildcard as loopback, IPv6 in brackets."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


@contextlib.asynccontextmanager
async def running(
    configuration: NodeConfiguration,
    chain: Chain,
    data_dir: Path,
    stop: Stop,
    fork: Forking | None = None,
) -> AsyncIterator[RunningNode]:
    """Pool, producer of blocks, metrics and JSON-RPC over an open chain, started in this order and
    stopped in the opposite one. stop is told what fails meanwhile."""
    loop = asyncio.get_running_loop()
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        # One for each lane of rpc/submission.py.
        admission = ThreadPoolExecutor(2, thread_name_prefix="admission")
        # First of the chain's listeners: the pool knows of a block before any client hears of it.
        follower = PoolFollower(
            chain, lambda failure: loop.call_soon_threadsafe(stop.fail, failure)
        )
        chain.subscribe(lambda header: observe_head(metrics, header))
        backend = backend_of(configuration, chain, admission, fork)
        listeners: list[Callable[[Sequence[Effect]], None]] = [backend.on_pool_effects]
        driver = open_pool(configuration, chain, data_dir, backend, listeners)
        stack.callback(driver.close)
        stack.callback(admission.shutdown)
        stack.callback(writer.shutdown)
        if fork is not None:
            stack.callback(fork.fall_silent)
        follower.attach(driver)
        await restore(driver, admission)
        parts = Parts(
            configuration, chain, driver, data_dir, writer, admission, metrics, stop.fail, fork
        )
        producer = open_producer(parts)
        listeners.append(producer.on_pool_effects)
        backend.attach(driver, producer, stop.fail)
        metrics.watch(lambda: chain_samples(chain, driver, data_dir))
        stack.push_async_callback(producer.stop)
        await producer.start()
        monitoring = MonitoringServer(
            metrics,
            configuration.monitoring.host,
            configuration.monitoring.port,
            ready=producer.ready,
        )
        stop.on_failure = monitoring.fail
        stack.push_async_callback(monitoring.stop)
        await listen_for_monitoring(monitoring, configuration)
        server = RpcServer(backend, rpc_options(configuration, data_dir))
        stack.push_async_callback(server.stop)
        await listen(server, configuration)
        yield RunningNode(server, monitoring, producer)


def open_pool(
    configuration: NodeConfiguration,
    chain: Chain,
    data_dir: Path,
    backend: NodeBackend,
    listeners: Sequence[Callable[[Sequence[Effect]], None]],
) -> PoolDriver:
    """The pool over the chain's head. Raises: OSError."""
    return PoolDriver(
        Pool(),
        Journal(data_dir / JOURNAL_NAME, durable=configuration.data_dir is not None),
        rules=backend.next_rules,
        accounts=lambda addresses: sender_states(chain.state_at(chain.head.number), addresses),
        fees=lambda purses: fee_state(chain.state_at(chain.head.number), purses),
        listener=lambda effects: tell(listeners, effects),
        now_ns=time.time_ns,
        is_development=configuration.dev,
    )


def backend_of(
    configuration: NodeConfiguration,
    chain: Chain,
    admission: ThreadPoolExecutor,
    fork: Forking | None,
) -> NodeBackend:
    accounts = dev_accounts(configuration.development) if configuration.dev else ()
    return NodeBackend(chain, client_version(), admission, accounts=accounts, forking=fork)


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that serves."""

    rpc: RpcServer
    monitoring: MonitoringServer
    producer: Producer


def tell(
    listeners: Sequence[Callable[[Sequence[Effect]], None]], effects: Sequence[Effect]
) -> None:
    for listener in listeners:
        listener(effects)


def observe_head(metrics: Metrics, header: Header) -> None:
    """On the writer's thread."""
    metrics.height.set(header.number)


async def restore(driver: PoolDriver, admission: ThreadPoolExecutor) -> None:
    """What the pool's journal holds waits again."""
    restored = await asyncio.get_running_loop().run_in_executor(admission, driver.restore)
    if driver.bytes_lost:
        event(logger, logging.WARNING, "pool journal cut or damaged", bytes_lost=driver.bytes_lost)
    if restored:
        event(logger, logging.INFO, "pool restored", transactions=restored)


def chain_samples(chain: Chain, driver: PoolDriver, data_dir: Path) -> Iterable[Sample]:
    """What is merely looked at when somebody asks: the pool and the memory of the chain."""
    yield Sample("ghost_pool_transactions", "Transactions that wait.", len(driver.pool))
    yield Sample("ghost_pool_bytes", "Their bytes.", driver.pool.bytes_total)
    for part, count in chain.memory().items():
        label = (("part", part.replace(" ", "_")),)
        yield Sample("ghost_memory_bytes", "Bytes held natively, by what.", count, label)
    for part in DISK_PARTS:
        count = disk_bytes(data_dir / part)
        yield Sample("ghost_disk_bytes", "Bytes on disk, by what.", count, (("part", part),))


def disk_bytes(path: Path) -> int:
    """Of a file, or of the files in a folder; files that vanish meanwhile count as nothing."""
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(entry.stat().st_size for entry in os.scandir(path))
    except OSError:
        return 0


async def listen_for_monitoring(
    monitoring: MonitoringServer, configuration: NodeConfiguration
) -> None:
    """Raises: OSError with words for whoever chose the port."""
    try:
        await monitoring.start()
    except OSError as failure:
        where = configuration.monitoring
        raise OSError(
            f"metrics cannot be served on {where.host}, port {where.port}: "
            f"{failure.strerror or failure}; choose another with --metrics-port (0 picks a free "
            "one)"
        ) from failure


async def listen(server: RpcServer, configuration: NodeConfiguration) -> None:
    """Raises: OSError with words for whoever chose the port."""
    try:
        await server.start()
    except OSError as failure:
        rpc = configuration.rpc
        ports = f"{rpc.port}" + ("" if rpc.ws_port is None else f" or {rpc.ws_port}")
        raise OSError(
            f"JSON-RPC cannot listen on {rpc.host}, port {ports}: {failure.strerror or failure}; "
            "choose another with --rpc-port (0 picks a free one)"
        ) from failure


def rpc_options(configuration: NodeConfiguration, data_dir: Path) -> RpcOptions:
    """Raises: OSError for a secret that cannot be read."""
    rpc = configuration.rpc
    return RpcOptions(
        host=rpc.host,
        port=rpc.port,
        websocket_port=rpc.ws_port,
        allowed_hosts=rpc.allowed_hosts,
        allowed_origins=tuple(origin.lower() for origin in rpc.cors_origins),
        data_dir=str(data_dir.resolve()),
        local_socket=data_dir / SOCKET_NAME,
        jwt_secret=None if rpc.jwt_secret is None else load_secret(rpc.jwt_secret),
    )


def open_producer(parts: Parts) -> Producer:
    """Validators that agree where the genesis has `config.ghost.consensus`; one node elsewhere."""
    if parts.chain.config.consensus is None:
        return Solo(parts)
    from ghostchain.node.validating import Validating

    return Validating(parts)
