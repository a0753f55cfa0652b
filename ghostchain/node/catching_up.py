"""Catching up beside consensus: when others are ahead, sync moves the chain, and consensus waits.

    a peer says a height ──▶ SyncDriver ── Started ──▶ consensus pauses, the writer becomes free
                                 │                      blocks are proven and imported
                                 └──── Done ──────────▶ consensus goes on above the new head

While it waits, what peers say of consensus is not looked at, nothing is signed, and JSON-RPC
answers from the head that grows. Implements `sync.ports.Handover`, `Network` and `Watcher`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ghostchain.chain.snapshot import SnapshotFolder
from ghostchain.node import logs
from ghostchain.node.clock import Alarm, SteadyClock
from ghostchain.node.judging import BlockRules
from ghostchain.node.logs import event
from ghostchain.node.metrics import Metrics, Sample
from ghostchain.node.networking import Networking
from ghostchain.node.syncing import Attachments, LoopTasks, SyncPort
from ghostchain.p2p.messages import Channel
from ghostchain.p2p.scoring import Offence
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import SyncProgress
from ghostchain.sync.driver import SyncDriver
from ghostchain.sync.effects import Peer, Progress

logger = logging.getLogger(__name__)

LOG_EVERY_NS = 5_000_000_000
BAR_WIDTH = 20


class Voting(Protocol):
    """Whoever decides while nobody catches up."""

    def pause(self) -> None:
        """Nothing is decided from here on."""

    def resume(self) -> None:
        """Deciding goes on above the head."""


class CatchingUp:
    """Sync on the event loop. start() comes after the network's."""

    def __init__(
        self,
        rules: BlockRules,
        writer: ThreadPoolExecutor,
        clock: SteadyClock,
        network: Networking,
        voting: Voting,
        metrics: Metrics,
        *,
        snapshots: SnapshotFolder | None = None,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._chain = rules.chain
        self._writer = writer
        self._clock = clock
        self._network = network
        self._voting = voting
        self._on_failure = on_failure
        self._tasks = LoopTasks(on_failure, self._guarded)
        self._alarm = Alarm(clock, lambda: self._guarded(self._driver.on_time))
        port = SyncPort(rules.chain, rules.validators, rules.verify, Attachments(rules))
        self._driver = SyncDriver(clock, self, self._tasks, port, self, self, snapshots=snapshots)
        self._starting = 0
        self._logged_ns = 0
        metrics.watch(self._samples)

    def close(self) -> None:
        self._alarm.stop()
        self._tasks.close()

    @property
    def is_active(self) -> bool:
        """Whether sync moves the chain now."""
        return self._driver.is_active

    def progress(self) -> SyncProgress | None:
        """How far it is; None when it does not catch up."""
        progress = self._driver.progress
        if not self._driver.is_active or progress is None:
            return None
        return SyncProgress(self._starting, self._chain.head.number, progress.target)

    # ---- from the network and the chain ----

    def on_frame(self, peer: Peer, frame: bytes) -> None:
        self._guarded(lambda: self._driver.on_message(peer, frame))

    def on_peer_head(self, peer: Peer, height: int) -> None:
        self._guarded(lambda: self._driver.on_peer_height(peer, height))

    def on_peer_gone(self, peer: Peer) -> None:
        self._guarded(lambda: self._driver.on_closed(peer))

    def on_drained(self, peer: Peer, channel: int) -> None:
        if channel == Channel.SYNC:
            self._guarded(lambda: self._driver.on_drained(peer))

    def on_head(self, height: int, block_hash: Hash32) -> None:
        """A block is committed, by whomever."""
        self._guarded(lambda: self._driver.on_head(height, block_hash))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as failure:
            logger.exception("sync failed")
            self._on_failure(failure)
            return
        self._alarm.set(self._driver.deadline_ns())

    # ---- sync.ports.Network ----

    def send(self, peer: Peer, payload: bytes) -> bool:
        return self._network.send_frame(peer, Channel.SYNC, payload)

    def punish(self, peer: Peer, reason: str) -> None:
        self._network.punish(peer, reason, Offence.SYNC)

    # ---- sync.ports.Handover ----

    def pause(self, ready: Callable[[], None]) -> None:
        """What the writer has begun of consensus ends first."""
        self._voting.pause()
        future = self._writer.submit(lambda: None)
        future.add_done_callback(lambda _: self._tasks.call(ready))

    def resume(self, height: int) -> None:
        self._voting.resume()

    # ---- sync.ports.Watcher ----

    def started(self, height: int, target: int) -> None:
        self._starting = height
        event(logger, logging.INFO, "catching up", height=height, target=target)

    def progressed(self, progress: Progress) -> None:
        if self._driver.is_active:
            logs.stand(line_of(progress))
        now_ns = self._clock.now_ns()
        if now_ns - self._logged_ns < LOG_EVERY_NS or not self._driver.is_active:
            return
        self._logged_ns = now_ns
        event(
            logger,
            logging.INFO,
            "catching up",
            height=progress.height,
            target=progress.target,
            blocks_per_s=round(progress.blocks_per_s, 1),
            transactions_per_s=round(progress.transactions_per_s, 1),
            eta_s=None if progress.eta_s is None else round(progress.eta_s, 1),
            peers=progress.peers,
        )

    def done(self, height: int) -> None:
        logs.stand("")
        event(logger, logging.INFO, "caught up", height=height)

    def stuck(self, height: int, reason: str) -> None:
        logs.stand("")
        event(logger, logging.ERROR, "no peer has a good block", height=height, reason=reason)

    def _samples(self) -> Iterable[Sample]:
        progress = self._driver.progress if self._driver.is_active else None
        yield Sample("ghost_syncing", "1 while this node catches up.", progress is not None)
        if progress is None:
            return
        yield Sample("ghost_sync_target", "The height it catches up with.", progress.target)
        yield Sample("ghost_sync_blocks_per_second", "Blocks imported.", progress.blocks_per_s)


def line_of(progress: Progress) -> str:
    """How far it is, for people who watch."""
    share = progress.height / progress.target if progress.target else 1
    filled = round(BAR_WIDTH * share)
    bar = "━" * filled + "╌" * (BAR_WIDTH - filled)
    left = "" if progress.eta_s is None else f", {duration(progress.eta_s)} left"
    return (
        f"catching up {bar} {share:.1%}, block {progress.height:,} of {progress.target:,}, "
        f"{progress.blocks_per_s:,.0f} blocks/s, {progress.transactions_per_s:,.0f} tx/s{left}, "
        f"peers {progress.peers}"
    )


def duration(seconds: float) -> str:
    """In the two largest units that say something."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
