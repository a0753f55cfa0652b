"""One machine's catching up: the real driver and cores of `sync`, over the same wires and chain.

Implements the doors in `ghostchain.sync.ports`. As in the node, consensus stands still while sync
moves the chain: messages to it are dropped, and answers that it waits for come when it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ghostchain.consensus.certificates import check_commit
from ghostchain.consensus.messages import (
    Certificate,
    InvalidMessage,
    decode_message,
    encode_message,
)
from ghostchain.p2p.messages import Channel
from ghostchain.primitives.types import Hash32
from ghostchain.sync.driver import SyncDriver
from ghostchain.sync.effects import Progress
from ghostchain.sync.messages import Item, SyncBlock
from ghostchain.sync.ports import ImportFailed
from tests.sim.ledger import block_id_of
from tests.sim.scheduler import MS

if TYPE_CHECKING:
    from tests.sim.node import Machine

AHEAD = 2
"""Heights above the head whose validators are known."""


class Catcher:
    """See the module. One for each life of a machine."""

    def __init__(self, machine: Machine, chain_id: int) -> None:
        self._machine = machine
        self._chain_id = chain_id
        self._chain = machine.chain
        self._ready: Callable[[], None] | None = None
        self._held_back: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.is_paused = False
        self._deadline_ns: int | None = None
        self._is_touched = True
        self.driver = SyncDriver(self, self, self, self, self, self, linger_s=0)

    def touch(self) -> SyncDriver:
        """The driver, which is given something to do: its deadline may be another then."""
        self._is_touched = True
        return self.driver

    def deadline_ns(self) -> int | None:
        if self._is_touched:
            self._is_touched = False
            self._deadline_ns = self.driver.deadline_ns()
        return self._deadline_ns

    def when_deciding(self, action: Callable[..., None], *arguments: Any) -> None:
        """Now, or when consensus goes on."""
        if self.is_paused:
            self._held_back.append((action, arguments))
        else:
            action(*arguments)

    def on_committed(self) -> None:
        """Consensus has moved the chain; perhaps sync waited for that."""
        self.touch().on_head(*self.head)
        if self._ready is not None:
            ready, self._ready = self._ready, None
            ready()

    # ---- Clock, Tasks ----

    def now_ns(self) -> int:
        return self._machine.now_ns()

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        delay_ns = self._machine.random.randint(MS // 10, 10 * MS)
        self._machine.later(delay_ns, self._run, lambda: done(work()))

    def call(self, act: Callable[[], None]) -> None:
        self._machine.later(0, self._run, act)

    def _run(self, act: Callable[[], None]) -> None:
        self.touch()
        act()

    # ---- Network ----

    def send(self, peer: bytes, payload: bytes) -> bool:
        machine = self._machine
        place = machine.world.place_of(peer)
        assert place is not None
        if machine.world.is_stormy and machine.chance(0.02):
            machine.later(50 * MS, lambda: self.touch().on_drained(peer))
            return False
        if machine.sin is not None:
            payload = machine.sin.serves(payload)
        if payload:
            machine.stream(place, Channel.SYNC, payload)
        return True

    def punish(self, peer: bytes, reason: str) -> None:
        self._machine.punish(peer, reason)

    # ---- Handover ----

    def pause(self, ready: Callable[[], None]) -> None:
        self.is_paused = True
        if self._machine.application.committing is None:
            ready()
        else:
            self._ready = ready

    def resume(self, height: int) -> None:
        machine = self._machine
        assert height == self._chain.height, "consensus goes on above the head"
        self.is_paused = False
        machine.application.forget()
        machine.driver.on_synced(machine.application.next_height())
        held_back, self._held_back = self._held_back, []
        for action, arguments in held_back:
            action(*arguments)

    # ---- SyncChain ----

    @property
    def head(self) -> tuple[int, Hash32]:
        return self._chain.height, self._chain.ids[-1]

    def verify(self, blocks: Sequence[SyncBlock]) -> list[bool | None]:
        return [self._is_proven(block) for block in blocks]

    def _is_proven(self, block: SyncBlock) -> bool | None:
        if block.height > self._chain.height + AHEAD:
            return None
        if block_id_of(block.block) != block.hash:
            return False
        try:
            certificate = decode_message(block.certificate)
            if not isinstance(certificate, Certificate):
                return False
            check_commit(
                certificate,
                self._chain.validators(block.height),
                chain_id=self._chain_id,
                height=block.height,
                block_id=block.hash,
                verify=self._machine.world.verify,
            )
        except InvalidMessage:
            return False
        return True

    def import_blocks(self, blocks: Iterator[SyncBlock]) -> Iterator[tuple[int, Hash32, int]]:
        machine = self._machine
        for block in blocks:
            refusal = self._chain.refusal(block.block, None)
            if refusal:
                raise ImportFailed(refusal)
            certificate = decode_message(block.certificate)
            assert isinstance(certificate, Certificate)
            if machine.is_honest:
                machine.world.judge.committed(block.height, block.hash, certificate)
            machine.extend(block.block, certificate)
            machine.committed_silently()
            machine.world.synced += 1
            yield block.height, block.hash, 0

    def range(self) -> tuple[int, int]:
        return 1, self._chain.height

    def read(self, height: int) -> Item | None:
        if not 1 <= height <= self._chain.height:
            return None
        certificate = self._chain.certificates[height]
        assert certificate is not None
        return self._chain.bodies[height - 1], encode_message(certificate), b""

    # ---- Watcher ----

    def started(self, height: int, target: int) -> None:
        self._machine.world.say(self._machine, "syncs from %d towards %d", height, target)

    def progressed(self, progress: Progress) -> None:
        return

    def done(self, height: int) -> None:
        self._machine.world.say(self._machine, "has synced to %d", height)

    def stuck(self, height: int, reason: str) -> None:
        self._machine.world.say(self._machine, "cannot sync %d: %s", height, reason)
