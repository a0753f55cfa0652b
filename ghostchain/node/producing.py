"""Whoever brings the next blocks: one node alone, or many validators that agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ghostchain.chain.chain import Chain
from ghostchain.node.configuration import NodeConfiguration
from ghostchain.node.development import controller as development
from ghostchain.node.development.configuration import DevelopmentConfiguration
from ghostchain.node.development.controller import Controller
from ghostchain.node.development.loading import DUMP_BYTES_MAX
from ghostchain.node.development.settings import NodeSettings
from ghostchain.node.forking import Forking
from ghostchain.node.genesis import bootstrap_validator
from ghostchain.node.metrics import Metrics
from ghostchain.node.monitoring import Check
from ghostchain.node.presence import Alone, Presence
from ghostchain.node.sealer import BlockMaker, Sealer, usual_terms
from ghostchain.primitives.errors import InvalidGenesis
from ghostchain.primitives.types import Address
from ghostchain.rpc.development import Impossible
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import Effect

HEAD_AGE_S_MAX = 60
"""A head older than this is not that of a chain which makes progress."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a producer works with. writer: the chain's one writing thread. admission: the pool's
    threads. on_failure: told, on the event loop, of what the node cannot go on after."""

    configuration: NodeConfiguration
    chain: Chain
    pool: PoolDriver
    data_dir: Path
    writer: ThreadPoolExecutor
    admission: ThreadPoolExecutor
    metrics: Metrics
    on_failure: Callable[[BaseException], None]
    forking: Forking | None = None


class Producer(Protocol):
    """Started before JSON-RPC, stopped after it."""

    @property
    def presence(self) -> Presence: ...

    @property
    def coinbase(self) -> Address: ...

    @property
    def development(self) -> Controller | None:
        """The hand on a development chain; None on every other chain."""

    def on_pending(self) -> None:
        """Something waits that could be included now. Any thread."""

    def on_pool_effects(self, effects: Sequence[Effect]) -> None:
        """What the pool took, durably. Any thread."""

    def ready(self) -> list[Check]:
        """What must hold before clients should be sent here. Event loop."""

    def banner(self) -> list[str]:
        """Lines for whoever starts the node, once started."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Solo:
    """One node seals alone: development chains, and chains of a foreign genesis."""

    def __init__(self, parts: Parts) -> None:
        configuration, chain = parts.configuration, parts.chain
        self._coinbase = coinbase = configuration.coinbase or bootstrap_validator()
        self._development = open_development(parts, coinbase) if configuration.dev else None
        if self._development is not None:
            self._sealer = self._development.sealer
        else:
            maker = BlockMaker(
                chain, parts.pool, lambda: usual_terms(chain, coinbase, configuration.gas_limit)
            )
            self._sealer = Sealer(maker, parts.pool, configuration.sealing, parts.writer)
        self._chain = chain
        self._wanted = configuration.development
        self._alone = Alone(lambda: len(parts.pool.pool))
        self._on_failure = parts.on_failure
        self._task: asyncio.Task[None] | None = None
        self._dumping: asyncio.Task[None] | None = None

    @property
    def presence(self) -> Presence:
        return self._alone

    @property
    def coinbase(self) -> Address:
        return self._coinbase

    @property
    def development(self) -> Controller | None:
        return self._development

    def on_pending(self) -> None:
        self._sealer.on_pending()

    def on_pool_effects(self, effects: Sequence[Effect]) -> None:
        """Nobody else is to know."""

    def ready(self) -> list[Check]:
        return []

    def banner(self) -> list[str]:
        return []

    async def start(self) -> None:
        if self._development is not None:
            self._development.warming.start()
        is_fresh = self._chain.head.number == self._chain.begin
        if self._development is not None and is_fresh and not self._development.is_loaded:
            await load_state(self._development, self._wanted)
        self._task = asyncio.create_task(self._sealer.run(), name="sealer")
        self._task.add_done_callback(self._on_end)
        if self._development is not None and self._wanted.state_interval_s is not None:
            dumping = dump_regularly(self._development, self._wanted)
            self._dumping = asyncio.create_task(dumping, name="state dumps")
            self._dumping.add_done_callback(self._on_end)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            # Its failure, if any, is what stopped the node; here only its end is awaited.
            await asyncio.gather(self._task, return_exceptions=True)
        if self._dumping is not None:
            self._dumping.cancel()
            await asyncio.gather(self._dumping, return_exceptions=True)
        if self._development is not None:
            await self._development.warming.stop()
            if self._wanted.dump_state is not None:
                await dump_state(
                    self._development,
                    self._wanted.dump_state,
                    with_history=self._wanted.dumps_history,
                )
            self._development.close()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._on_failure(failure)


async def load_state(hand: Controller, wanted: DevelopmentConfiguration) -> None:
    """The chain begins with the dump that was asked for. Raises: OSError, InvalidGenesis."""
    path = wanted.load_state
    if path is None or (wanted.is_optional and not path.exists()):
        return
    if path.stat().st_size > DUMP_BYTES_MAX:
        raise InvalidGenesis(f"{path} is larger than {DUMP_BYTES_MAX} bytes")
    try:
        await hand.load(await asyncio.to_thread(path.read_bytes))
    except Impossible as refused:
        raise InvalidGenesis(f"{path}: {refused}") from refused


async def dump_regularly(hand: Controller, wanted: DevelopmentConfiguration) -> None:
    """Until cancelled. Raises: OSError."""
    assert wanted.state_interval_s is not None
    while wanted.dump_state is not None:
        await asyncio.sleep(wanted.state_interval_s)
        await dump_state(hand, wanted.dump_state, with_history=wanted.dumps_history)


async def dump_state(hand: Controller, path: Path, *, with_history: bool) -> None:
    """The state is in the file, whole or as it was before. Raises: OSError."""
    dumped = await hand.dump(with_history=with_history)

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(path.name + ".new")
        scratch.write_bytes(dumped)
        scratch.replace(path)

    await asyncio.to_thread(write)


def open_development(parts: Parts, coinbase: Address) -> Controller:
    """The controller of a development chain. Raises: StorageError."""
    configuration = parts.configuration
    interval_ns = configuration.sealing.interval_ns
    interval_ms = None if interval_ns is None else max(interval_ns // 1_000_000, 1)
    return Controller(
        development.Parts(
            chain=parts.chain,
            pool=parts.pool,
            writer=parts.writer,
            coinbase=coinbase,
            gas_limit=configuration.gas_limit,
            node=NodeSettings(
                automine=configuration.sealing.eager,
                interval_ms=None if interval_ms is None else (interval_ms, interval_ms),
                order=configuration.development.order,
                impersonates_all=configuration.development.auto_impersonate,
            ),
            transactions_max=configuration.development.transactions_max,
            node_is_given=configuration.development.is_driven,
            is_own_time=configuration.fork is not None
            or configuration.development.timestamp is not None,
            diary_path=None if configuration.data_dir is None else parts.data_dir,
            forking=parts.forking,
        )
    )


def head_check(chain: Chain) -> Check:
    """Whether the head is young."""
    age = max(int(time.time()) - chain.head.timestamp, 0)
    return Check("head", age <= HEAD_AGE_S_MAX, age)
