"""A node that begins from a snapshot: before there is a chain to open, peers are asked for the
state at or below a checkpoint, as `--checkpoint` names it. When it is there the node starts as
ever.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ghostchain import __version__
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.snapshot import SnapshotDownload
from ghostchain.chain.validators import staking_at
from ghostchain.net.identity import Identity as NodeIdentity
from ghostchain.node.clock import Alarm, SteadyClock
from ghostchain.node.configuration import NodeConfiguration
from ghostchain.node.logs import event
from ghostchain.node.metrics import Metrics
from ghostchain.node.networking import Networking, NodeDoors
from ghostchain.node.syncing import DownloadPort, LoopTasks
from ghostchain.p2p.core import Identity
from ghostchain.p2p.effects import Verdict
from ghostchain.p2p.messages import Channel
from ghostchain.p2p.scoring import Offence
from ghostchain.primitives.errors import GhostError
from ghostchain.primitives.types import Hash32
from ghostchain.state.views import BlockHashes
from ghostchain.sync.beginning import SnapshotDriver
from ghostchain.sync.effects import Peer, SnapshotProgress
from ghostchain.sync.snapshots import Checkpoint

logger = logging.getLogger(__name__)

LOG_EVERY_NS = 5_000_000_000


class SnapshotRefused(GhostError):
    """No snapshot will come, whoever is asked; the message says why."""


class _GenesisView:
    """The state of a genesis, as far as reading contracts goes."""

    block_hash: BlockHashes = staticmethod(lambda number: None)

    def __init__(self, genesis: Genesis) -> None:
        self._alloc = genesis.alloc

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        raise AssertionError("only slots are read")

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        for known, account in self._alloc.items():
            if known == address:
                return None if account.storage is None else account.storage.get(key)
        return None

    def code(self, code_hash: bytes) -> bytes:
        raise AssertionError("only slots are read")


def checkpoint_age_s_max(genesis: Genesis) -> int:
    """Half of the shortest time in which a validator can unbond: its epochs, with blocks that come
    as fast as they may, by the parameters of genesis. Units: seconds."""
    given = genesis.config.consensus
    assert given is not None, "only a chain that many decide about has checkpoints"
    limits = staking_at(_GenesisView(genesis), 0).limits
    blocks = limits.epoch_blocks * limits.unbonding_epochs
    return blocks * given.block_interval_min_ms // 2_000


def begin_from_snapshot(
    configuration: NodeConfiguration,
    genesis: Genesis,
    data_dir: Path,
    checkpoint: tuple[int, bytes],
) -> None:
    """Returns when the directory holds the chain that begins from a snapshot. What was fetched
    stays when it is interrupted, and is not fetched again.

    Raises: SnapshotRefused, StorageError; OSError when the port is taken.
    """
    download = SnapshotDownload(data_dir, genesis)
    try:
        asyncio.run(_fetch(configuration, genesis, data_dir, download, checkpoint))
    finally:
        download.close()


async def _fetch(
    configuration: NodeConfiguration,
    genesis: Genesis,
    data_dir: Path,
    download: SnapshotDownload,
    checkpoint: tuple[int, bytes],
) -> None:
    wanted = Checkpoint(checkpoint[0], Hash32(checkpoint[1]), checkpoint_age_s_max(genesis))
    beginner = Beginner(configuration, genesis, data_dir, download, wanted)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, beginner.stop)
    try:
        await beginner.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class Beginner:
    """Peers, and nothing else yet. Implements `sync.ports.Network` and `SnapshotWatcher`."""

    def __init__(
        self,
        configuration: NodeConfiguration,
        genesis: Genesis,
        data_dir: Path,
        download: SnapshotDownload,
        checkpoint: Checkpoint,
    ) -> None:
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._clock = SteadyClock()
        self._logged_ns = 0
        self._tasks = LoopTasks(self._fail, self._guarded)
        self._alarm = Alarm(self._clock, lambda: self._guarded(self._driver.on_time))
        path = configuration.p2p.key_file or data_dir / "node.key"
        node_identity = NodeIdentity.load_or_create(path)
        self._network = Networking(
            configuration.p2p,
            node_identity,
            Identity(
                node_identity.key,
                genesis.config.chain_id,
                genesis.hash,
                f"ghostd/v{__version__}",
            ),
            self._clock,
            self._doors(),
            Metrics(),
            data_dir / "peers",
        )
        self._driver = SnapshotDriver(
            checkpoint,
            self._clock,
            self,
            self._tasks,
            DownloadPort(download),
            self,
            now_s=time.time,
        )
        event(
            logger,
            logging.INFO,
            "beginning from a snapshot",
            checkpoint=checkpoint.height,
            age_s_max=checkpoint.age_s_max,
        )

    def _doors(self) -> NodeDoors:
        def nothing(hashes: Sequence[Hash32]) -> Sequence[bytes | None]:
            return [None] * len(hashes)

        return NodeDoors(
            find_transactions=nothing,
            find_waiting=lambda count_max: (),
            find_block=lambda block_id: None,
            matches=lambda block: True,
            submit=lambda transactions, done: done([Verdict.REFUSED] * len(transactions)),
            on_consensus=lambda message, peer, body: None,
            on_sync=lambda peer, frame: self._guarded(lambda: self._driver.on_message(peer, frame)),
            on_peer=lambda peer: self._guarded(lambda: self._driver.on_peer(peer)),
            on_peer_gone=lambda peer: self._guarded(lambda: self._driver.on_closed(peer)),
            on_peer_head=lambda peer, head: None,
            on_drained=lambda peer, channel: None,
            on_evidence=lambda evidence: False,
            on_failure=self._fail,
        )

    async def run(self) -> None:
        """Until the state is there. Raises: as `begin_from_snapshot`."""
        await self._network.start()
        try:
            self._guarded(lambda: None)
            await self._done
        finally:
            self._alarm.stop()
            self._network.stop()
            await asyncio.get_running_loop().run_in_executor(None, self._tasks.close)

    def stop(self) -> None:
        """Somebody asks the node to stop."""
        self._fail(SystemExit(0))

    def _guarded(self, action: Callable[[], None]) -> None:
        if self._done.done():
            return
        try:
            action()
        except Exception as failure:
            self._fail(failure)
            return
        self._alarm.set(self._driver.deadline_ns())

    def _fail(self, failure: BaseException) -> None:
        if not self._done.done():
            self._done.set_exception(failure)

    # ---- sync.ports.Network ----

    def send(self, peer: Peer, payload: bytes) -> bool:
        return self._network.send_frame(peer, Channel.SYNC, payload)

    def punish(self, peer: Peer, reason: str) -> None:
        self._network.punish(peer, reason, Offence.SYNC)

    # ---- sync.ports.SnapshotWatcher ----

    def progressed(self, progress: SnapshotProgress) -> None:
        now_ns = self._clock.now_ns()
        if now_ns - self._logged_ns < LOG_EVERY_NS:
            return
        self._logged_ns = now_ns
        event(
            logger,
            logging.INFO,
            progress.doing,
            height=progress.height,
            chunks=f"{progress.chunks} of {progress.chunks_total}",
            peers=progress.peers,
        )

    def installed(self, height: int) -> None:
        event(logger, logging.INFO, "state complete", height=height)
        if not self._done.done():
            self._done.set_result(None)

    def refused(self, reason: str) -> None:
        self._fail(SnapshotRefused(f"--checkpoint: {reason}"))
