"""One machine's application: builds, gets, judges and commits blocks of the ledger, as
`node/application.py` does with blocks of the chain.

Implements `ghostchain.consensus.ports.Application`. Nothing here outlives a crash but the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ghostchain.consensus.effects import StartHeight
from ghostchain.consensus.messages import Certificate, Vote
from ghostchain.consensus.ports import Offer
from ghostchain.encoding.blocks import join_block
from ghostchain.p2p.effects import BlockFailure, WholeBlock
from ghostchain.primitives.types import Hash32
from tests.sim.checkers import WHOLE, Violation
from tests.sim.ledger import Block, block_id_of, decode_block
from tests.sim.scheduler import MS

if TYPE_CHECKING:
    from tests.sim.node import Machine


Judged = Callable[[bytes | None, str], None]


class LedgerApplication:
    """The blocks that a machine has, is asked for, and looks for."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._chain = machine.chain
        self._bodies: dict[Hash32, bytes] = {}
        self._fetching: set[Hash32] = set()
        self.committing: tuple[bytes, Certificate] | None = None

    # ---- ports.Application ----

    def build(self, height: int, round: int, done: Callable[[Offer | None, str], None]) -> None:
        machine = self._machine
        if height != self._chain.height + 1:
            self._answer(done, None, "that is not the height after the head")
            return
        if machine.chance(machine.mix.unbuildable):
            self._answer(done, None, "nothing can be built")
            return
        is_sound = machine.sin is None or not machine.sin.is_unsound()
        offer = self.make(round, is_sound)
        self._answer(done, offer, "")

    def make(self, round: int, is_sound: bool) -> Offer:
        """A new block on top of the head."""
        machine = self._machine
        salt, transfers = machine.random.randbytes(16), machine.traffic.best()
        if not is_sound and transfers and machine.chance(0.5):
            is_sound, transfers = True, [*transfers, transfers[0]]
        body = self._chain.draft(round, is_sound, salt, transfers)
        block = decode_block(body)
        assert block is not None
        self._bodies[block.block_id] = body
        machine.world.judge.built(block.block_id, body)
        return Offer(block.block_id, machine.traffic.keep(block), body)

    def validate(
        self,
        height: int,
        round: int | None,
        block_id: Hash32,
        body: bytes | None,
        peer: bytes,
        done: Judged,
    ) -> None:
        if block_id in self._bodies:
            self._judge(height, round, block_id, done)
        else:
            self._fetch(height, round, block_id, body, peer, done)

    def _fetch(
        self,
        height: int,
        round: int | None,
        block_id: Hash32,
        body: bytes | None,
        peer: bytes,
        done: Judged,
    ) -> None:
        """The block is had from peers, as long as its height is the next, and judged."""

        def got(whole: WholeBlock | None, failure: BlockFailure | None) -> None:
            self._fetching.discard(block_id)
            if height != self._chain.height + 1:
                return
            if whole is not None:
                if self.joined(whole) is None and self._machine.is_honest:
                    raise Violation(WHOLE, f"{self._machine.name}: {block_id.hex()[:8]}")
                self._bodies[block_id] = join_whole(whole)
                self._judge(height, round, block_id, done)
            elif failure == BlockFailure.NOT_FOUND:
                self._fetch(height, round, block_id, None, b"", done)

        self._fetching.add(block_id)
        self._machine.traffic.fetch(block_id, peer or None, body, got)

    def restore(self, height: int, block_id: Hash32, record: bytes) -> None:
        assert block_id_of(record) == block_id
        self._bodies[block_id] = record

    def commit(
        self,
        height: int,
        block_id: Hash32,
        certificate: Certificate,
        done: Callable[[StartHeight], None],
    ) -> None:
        assert height == self._chain.height + 1, "commits come in order"
        if self._machine.is_honest:
            self._machine.world.judge.committed(height, block_id, certificate)
        self.committing = self._bodies[block_id], certificate
        if self._machine.mix.is_instant:
            done(self._commit())
        else:
            self._machine.later(self._duration_ns(), lambda: done(self._commit()))

    def extend(self, certificate: Certificate) -> None:
        machine = self._machine
        assert certificate.height == self._chain.height, "only the head's certificate grows"
        if machine.is_honest:
            machine.world.judge.committed(certificate.height, certificate.block_id, certificate)
        self._chain.certificates[-1] = certificate

    def certificate(self, height: int) -> Certificate | None:
        certificates = self._chain.certificates
        return certificates[height] if height < len(certificates) else None

    def report(self, key: bytes, first: Vote, second: Vote) -> None:
        if self._machine.is_honest:
            self._machine.world.judge.reported(key, first, second)

    # ---- among machines ----

    def body_of(self, block_id: Hash32) -> bytes | None:
        """The block for a peer that asks, if it is here."""
        return self._bodies.get(block_id) or self._chain.body_of(block_id)

    def joined(self, whole: WholeBlock) -> Block | None:
        """The block of these parts; None when they do not belong together."""
        block = decode_block(join_whole(whole))
        return block if block is not None and block.block_id == whole.block_id else None

    def forget(self) -> None:
        """The head has moved on: what was below is no longer looked for, nor kept beside it."""
        height = self._chain.height
        for block_id in list(self._fetching):
            self._machine.traffic.cancel(block_id)
        self._bodies = {
            block_id: body
            for block_id, body in self._bodies.items()
            if (block := decode_block(body)) is not None and block.height > height
        }

    def next_height(self) -> StartHeight:
        """What comes after the head."""
        height = self._chain.height + 1
        has_work = self._machine.chance(self._machine.mix.busy)
        has_work = has_work or self._machine.traffic.has_pending()
        return StartHeight(height, self._chain.validators(height), has_work)

    def _commit(self) -> StartHeight:
        assert self.committing is not None
        self._machine.extend(*self.committing)
        self.committing = None
        self.forget()
        start = self.next_height()
        self._machine.committed(start)
        return start

    def _judge(self, height: int, round: int | None, block_id: Hash32, done: Judged) -> None:
        if height <= self._chain.height:
            return  # decided meanwhile
        body = self._bodies[block_id]
        refusal = self._chain.refusal(body, round)
        sin = self._machine.sin
        if refusal and not (sin is not None and sin.overlooks(refusal)):
            self._answer(done, None, refusal)
        else:
            self._answer(done, body, "")

    def _answer(self, done: Callable[..., None], *answer: object) -> None:
        if self._machine.mix.is_instant:
            self._machine.when_deciding(done, *answer)
        else:
            self._machine.later(self._duration_ns(), self._machine.when_deciding, done, *answer)

    def _duration_ns(self) -> int:
        return self._machine.random.randint(MS // 10, 20 * MS)


def join_whole(whole: WholeBlock) -> bytes:
    """The body of a block whose parts are here."""
    return join_block(whole.header, whole.transactions, whole.withdrawals)
