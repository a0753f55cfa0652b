"""The shell of beginning from a snapshot, while there is no chain yet: like driver.py, it feeds the
core and does what it wants, and knows no event loop.

    driver = SnapshotDriver(checkpoint, clock, network, tasks, download, watcher)
    driver.on_peer(peer)              a peer is there
    driver.on_message(peer, payload)  from the channel of sync
    driver.on_closed(peer)
    driver.on_time()                  at or after deadline_ns()

When the watcher hears `installed`, the chain can be opened, and goes on block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ghostchain.sync.effects import (
    Choose,
    Install,
    Peer,
    Punish,
    Refuse,
    Request,
    SnapshotEffect,
    Store,
)
from ghostchain.sync.messages import (
    InvalidSyncMessage,
    Part,
    Refusal,
    Refused,
    decode_message,
    encode_message,
)
from ghostchain.sync.ports import Clock, Download, InstallFailed, Network, SnapshotWatcher, Tasks
from ghostchain.sync.snapshots import Checkpoint, SnapshotCore


class SnapshotDriver:
    """See the module. now_s: Unix time, against which the checkpoint's age is held."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        clock: Clock,
        network: Network,
        tasks: Tasks,
        download: Download,
        watcher: SnapshotWatcher,
        *,
        now_s: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._network = network
        self._tasks = tasks
        self._download = download
        self._watcher = watcher
        self._now_s = now_s
        saved, stored = download.saved()
        self.core = SnapshotCore(checkpoint, saved=saved, stored=stored, now_ns=clock.now_ns())

    def on_peer(self, peer: Peer) -> None:
        self._act(self.core.on_peer(peer, now_ns=self._clock.now_ns()))

    def on_closed(self, peer: Peer) -> None:
        self._act(self.core.on_closed(peer, now_ns=self._clock.now_ns()))

    def on_message(self, peer: Peer, payload: bytes) -> None:
        try:
            message = decode_message(payload)
        except InvalidSyncMessage as failure:
            self.on_closed(peer)
            self._network.punish(peer, str(failure))
            return
        if isinstance(message, Part | Refused):
            self._act(
                self.core.on_message(
                    peer, message, now_ns=self._clock.now_ns(), now_s=self._now_s()
                )
            )
        else:
            # There is nothing here yet.
            refused = Refused(message.request, Refusal.ABSENT, 1, 0)
            self._network.send(peer, encode_message(refused))

    def on_time(self) -> None:
        self._act(self.core.on_tick(now_ns=self._clock.now_ns()))

    def deadline_ns(self) -> int | None:
        """When to call on_time, by the clock given."""
        return self.core.deadline_ns(self._clock.now_ns())

    def _act(self, effects: Sequence[SnapshotEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Request):
                self._network.send(effect.peer, effect.payload)
            elif isinstance(effect, Punish):
                detail = f": {effect.detail}" if effect.detail else ""
                self._network.punish(effect.peer, effect.reason.value + detail)
            elif isinstance(effect, Choose):
                self._download.choose(effect.manifest)
            elif isinstance(effect, Store):
                self._download.store(effect.number, effect.packed)
            elif isinstance(effect, Install):
                self._install(effect)
            elif isinstance(effect, Refuse):
                self._watcher.refused(effect.reason)
            else:
                self._watcher.progressed(effect)

    def _install(self, effect: Install) -> None:
        def work() -> str:
            try:
                self._download.install(effect.manifest, effect.headers)
            except InstallFailed as failure:
                return str(failure) or "it is not the state"
            return ""

        def done(reason: str) -> None:
            now_ns = self._clock.now_ns()
            if reason:
                self._act(self.core.on_install_failed(reason, now_ns=now_ns))
                return
            self._act(self.core.on_installed())
            self._watcher.installed(effect.manifest.height)

        self._tasks.run(work, done)
