"""`ghostd run`: opens what a node is made of, in order, and closes it in the opposite one.

Threads: the event loop serves JSON-RPC and wakes the sealer; one writer thread builds and commits
blocks; two admission threads feed the pool; JSON-RPC has workers of its own for slow calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import uvloop
from aiohttp.http_exceptions import HttpProcessingError

from ghostchain import __version__
from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis
from ghostchain.node import logs
from ghostchain.node.accounts import fee_state, sender_states
from ghostchain.node.backend import NodeBackend, pool_rules
from ghostchain.node.configuration import NodeConfiguration
from ghostchain.node.engines import open_engines
from ghostchain.node.following import PoolFollower
from ghostchain.node.genesis import bootstrap_validator, dev_accounts, genesis_of
from ghostchain.node.logs import event
from ghostchain.node.presence import Alone
from ghostchain.node.sealer import Sealer, SealerSettings
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.server import RpcServer
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.journal import Journal

logger = logging.getLogger("ghostd")

JOURNAL_NAME = "pool.journal"


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
    genesis = genesis_of(configuration)
    with contextlib.ExitStack() as stack:
        data_dir = configuration.data_dir
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ghostd-")))
        if not json_logs:
            print_banner(configuration, genesis, data_dir)
        # Waiting for the disk would make a directory durable that is gone at the end.
        chain = Chain.open(
            data_dir,
            genesis,
            prune=configuration.prune,
            is_durable=configuration.data_dir is not None,
        )
        stack.callback(chain.close)
        open_engines(genesis, data_dir)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(configuration, chain, data_dir))
    event(logger, logging.INFO, "stopped")


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
    sealing = configuration.sealing
    if sealing.eager and sealing.interval_ns:
        pace = f"when transactions wait, and every {sealing.interval_ns / 1e9:g} s"
    elif sealing.eager:
        pace = "at once for every transaction"
    else:
        pace = f"every {(sealing.interval_ns or 0) / 1e9:g} s"
    prune = configuration.prune
    history = "of every block" if prune is None else f"of the last {prune} blocks"
    lines = [
        f"GhostChain {__version__}, network {configuration.network}, "
        f"chain id {genesis.config.chain_id}",
        f"  data     {kept}",
        f"  history  {history}",
        f"  blocks   sealed here {pace}",
    ]
    if configuration.coinbase is not None:
        lines.append(f"  tips     to 0x{configuration.coinbase.hex()}")
    elif configuration.network == "testnet":
        lines.append("  tips     to the bootstrap validator, whose key is published and worthless")
    if configuration.dev:
        lines.append(
            "  accounts (10,000 GCC each; these keys are public, never use them elsewhere)"
        )
        lines += [
            f"    {account.checksum_address}  0x{account.key.hex()}" for account in dev_accounts()
        ]
    click.echo("\n".join(lines))


async def serve(configuration: NodeConfiguration, chain: Chain, data_dir: Path) -> None:
    """The node is up until a signal asks it to stop.

    Raises: StorageFailed, or whatever else made it stop.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.asked.set)
    async with running(configuration, chain, data_dir, stop) as server:
        url = f"http://{url_host(configuration.rpc.host)}:{server.port}"
        event(logger, logging.INFO, "json-rpc ready", url=url, head=chain.head.number)
        await stop.asked.wait()
        event(logger, logging.INFO, "stopping")
    if stop.failure is not None:
        raise stop.failure


class Stop:
    """Why the node stops: it was asked to, or something failed that it cannot go on without."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.failure: BaseException | None = None

    def fail(self, failure: BaseException) -> None:
        """The node must not go on answering as if it could still write. Event loop only."""
        if self.failure is None:
            self.failure = failure
        self.asked.set()

    def follow(self, task: asyncio.Task[None]) -> None:
        """A task that the node needs has ended."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.fail(failure)


def url_host(host: str) -> str:
    """The host as a URL has it: the wildcard as loopback, IPv6 in brackets."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


@contextlib.asynccontextmanager
async def running(
    configuration: NodeConfiguration, chain: Chain, data_dir: Path, stop: Stop
) -> AsyncIterator[RpcServer]:
    """Pool, sealer and JSON-RPC over an open chain. stop is told what fails meanwhile."""
    writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
    # One for each lane of rpc/submission.py.
    admission = ThreadPoolExecutor(2, thread_name_prefix="admission")
    loop = asyncio.get_running_loop()
    # First of the chain's listeners: the pool knows of a block before any client hears of it.
    follower = PoolFollower(chain, lambda failure: loop.call_soon_threadsafe(stop.fail, failure))
    backend = NodeBackend(chain, client_version(), admission, dev=configuration.dev)
    driver = PoolDriver(
        Pool(),
        Journal(data_dir / JOURNAL_NAME),
        rules=lambda: pool_rules(chain),
        accounts=lambda addresses: sender_states(chain.state_at(chain.head.number), addresses),
        fees=lambda purses: fee_state(chain.state_at(chain.head.number), purses),
        listener=backend.on_pool_effects,
        now_ns=time.time_ns,
    )
    follower.attach(driver)
    restored = await loop.run_in_executor(admission, driver.restore)
    if driver.bytes_lost:
        event(logger, logging.WARNING, "pool journal cut or damaged", bytes_lost=driver.bytes_lost)
    if restored:
        event(logger, logging.INFO, "pool restored", transactions=restored)
    settings = SealerSettings(
        configuration.coinbase or bootstrap_validator(), configuration.gas_limit
    )
    sealer = Sealer(chain, driver, configuration.sealing, settings, writer)
    presence = Alone(lambda: len(driver.pool))
    backend.attach(driver, settings.coinbase, sealer.on_pending, stop.fail, presence)
    server = RpcServer(backend, rpc_options(configuration))
    sealing = asyncio.create_task(sealer.run(), name="sealer")
    sealing.add_done_callback(stop.follow)
    try:
        await listen(server, configuration)
        yield server
    finally:
        await server.stop()
        sealing.cancel()
        # Its failure, if any, is what stopped the node; here only its end is awaited.
        await asyncio.gather(sealing, return_exceptions=True)
        writer.shutdown()
        admission.shutdown()
        driver.close()


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


def rpc_options(configuration: NodeConfiguration) -> RpcOptions:
    rpc = configuration.rpc
    return RpcOptions(
        host=rpc.host,
        port=rpc.port,
        websocket_port=rpc.ws_port,
        allowed_hosts=rpc.allowed_hosts,
        allowed_origins=tuple(origin.lower() for origin in rpc.cors_origins),
    )
