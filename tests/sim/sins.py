"""Nodes that lie, each class in the one way it is named after, around the real driver.

A sin changes what leaves a machine, and says things of its own now and then. It holds one key, as
any validator does: it can sign whatever it likes with it, and nothing with another's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from ghostchain.consensus.messages import (
    Certificate,
    Message,
    RoundCertificate,
    Status,
    Step,
    Vote,
    encode_message,
)
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.p2p.messages import decode_compact, encode_compact
from ghostchain.primitives.types import Hash32
from tests.sim.scheduler import MS

if TYPE_CHECKING:
    from tests.sim.node import Machine

Lie = tuple[Message | bytes, bytes | None]
"""A message, or bytes that are perhaps none, and the body that goes with it."""

NIL = Hash32(NIL_BLOCK)


class Sin:
    """What all of them can do; by itself it is honest."""

    names: ClassVar[dict[str, type[Sin]]] = {}
    gives_bodies = True
    idle_ns = 200 * MS

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.random = machine.random

    def __init_subclass__(cls) -> None:
        Sin.names[cls.__name__.lower()] = cls

    @staticmethod
    def named(name: str, machine: Machine) -> Sin:
        return Sin.names[name](machine)

    def says(self, place: int, message: Message, body: bytes | None) -> Iterable[Lie]:
        """What goes to the peer in place of the message."""
        return ((message, body),)

    def hears(self, message: Message, source: int) -> None:
        """An honest reaction follows this one."""

    def serves(self, payload: bytes) -> bytes:
        """What goes to somebody who catches up, or asks; nothing: nothing goes."""
        return payload

    def idles(self) -> None:
        """Comes every idle_ns."""

    def is_unsound(self) -> bool:
        """Whether the next block it builds is invalid."""
        return self.machine.chance(self.machine.mix.unsound)

    def overlooks(self, refusal: str) -> bool:
        """Whether it takes an invalid block for a valid one."""
        return refusal == "unsound"

    # ---- means ----

    def sign(self, vote: Vote) -> Vote:
        """The vote as of this machine's own validator, signed, whatever was signed before."""
        from tests.sim.node import CHAIN_ID

        validators = self.machine.world.sets.of(vote.height)
        index = validators.index_of(self.machine.key.public)
        vote = replace(vote, validator=0 if index is None else index)
        return replace(vote, signature=self.machine.key.sign(vote.sign_bytes(CHAIN_ID)))

    def is_own(self, message: Message) -> bool:
        if not isinstance(message, Vote):
            return False
        validators = self.machine.world.sets.of(message.height)
        return validators.index_of(self.machine.key.public) == message.validator

    def anybody(self) -> int:
        return self.random.choice(self.machine.peers)

    def some_block(self) -> Hash32:
        """A block that somebody made, or none has."""
        bodies = self.machine.world.judge.bodies
        if bodies and self.random.random() < 0.8:
            return list(bodies)[-1 - self.random.randrange(min(4, len(bodies)))]
        return Hash32(self.random.randbytes(32))


class Equivocator(Sin):
    """Tells each peer what that peer wants to hear: two proposals, votes for both."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._other: dict[tuple[int, int], tuple[Vote, bytes]] = {}

    def says(self, place: int, message: Message, body: bytes | None) -> Iterable[Lie]:
        if not self.is_own(message):
            return ((message, body),)
        assert isinstance(message, Vote)
        if message.kind == VoteKind.PROPOSAL:
            lie = self._other_proposal(message)
            if lie is None:
                return ((message, body),)
            return (lie,) if place % 2 else ((message, body),)
        if self.random.random() < 0.3:
            other = NIL if not message.is_nil else self.some_block()
            return ((message, body), (self.sign(replace(message, block_id=other)), None))
        return ((message, body),)

    def _other_proposal(self, vote: Vote) -> Lie | None:
        where = vote.height, vote.round
        if vote.valid_round != NO_ROUND or vote.height != self.machine.chain.height + 1:
            return None
        if where not in self._other:
            offer = self.machine.application.make(vote.round, is_sound=True)
            self._other[where] = self.sign(replace(vote, block_id=offer.block_id)), offer.body
        return self._other[where]

    def hears(self, message: Message, source: int) -> None:
        if not isinstance(message, Vote) or message.kind == VoteKind.PROPOSAL:
            return
        if message.is_nil or not self.machine.world.machines[source].is_honest:
            return  # two that echo each other would never end
        if self.random.random() < 0.3:
            return
        valid_round = message.valid_round
        if message.round and self.random.random() < 0.3:
            valid_round = self.random.randrange(-1, message.round)
        prevote = replace(message, kind=VoteKind.PREVOTE, valid_round=valid_round)
        precommit = replace(message, kind=VoteKind.PRECOMMIT, valid_round=NO_ROUND)
        for vote in (prevote, precommit):
            self.machine.post(source, self.sign(vote))


class Withholder(Sin):
    """Says too little, and to few: proposals without their blocks, votes to one half."""

    gives_bodies = False

    def says(self, place: int, message: Message, body: bytes | None) -> Iterable[Lie]:
        if self.random.random() < 0.5:
            return ()
        return ((message, body if self.random.random() < 0.3 else None),)

    def serves(self, payload: bytes) -> bytes:
        return payload if self.random.random() < 0.5 else b""


class Nuller(Sin):
    """Votes for nothing, whatever is proposed."""

    def says(self, place: int, message: Message, body: bytes | None) -> Iterable[Lie]:
        if isinstance(message, Vote) and message.kind != VoteKind.PROPOSAL:
            if self.is_own(message):
                message = self.sign(replace(message, block_id=NIL, valid_round=NO_ROUND))
            return ((message, None),)
        return ((message, body),)


HEIGHT_MAX = 100_000
"""Far beyond the height that any run comes to."""


class Forger(Sin):
    """Signs for others, makes certificates out of nothing, breaks bytes."""

    def hears(self, message: Message, source: int) -> None:
        # A height that another forger broke has no set of validators to lie in the name of.
        if self.random.random() < 0.7 or message.height > HEIGHT_MAX:
            return
        place = self.anybody()
        if isinstance(message, Vote):
            lie: Message = self.random.choice((self._vote, self._certificate, self._round))(message)
        elif isinstance(message, Certificate):
            lie = self._damaged(message)
        else:
            return
        data = encode_message(lie)
        if self.random.random() < 0.2:
            spot = self.random.randrange(len(data))
            data = (
                data[:spot]
                + bytes((data[spot] ^ 1 << self.random.randrange(8),))
                + data[spot + 1 :]
            )
        self.machine.post(place, data)

    def serves(self, payload: bytes) -> bytes:
        return payload if self.random.random() < 0.7 else self._flipped(payload)

    def _flipped(self, data: bytes) -> bytes:
        spot = self.random.randrange(len(data))
        return data[:spot] + bytes((data[spot] ^ 1 << self.random.randrange(8),)) + data[spot + 1 :]

    def _others(self, vote: Vote) -> int:
        return self.random.randrange(len(self.machine.world.sets.of(vote.height)))

    def _vote(self, vote: Vote) -> Vote:
        kind = self.random.choice(tuple(VoteKind))
        block_id = self.some_block()
        return Vote(
            kind,
            vote.height,
            vote.round + self.random.choice((0, 0, 1)),
            block_id,
            NO_ROUND,
            self._others(vote),
            self.random.choice((vote.signature, self.random.randbytes(64))),
        )

    def _certificate(self, vote: Vote) -> Certificate:
        """A quorum by name; of signatures, its own."""
        block_id = self.some_block() if vote.is_nil else vote.block_id
        size = len(self.machine.world.sets.of(vote.height))
        kind = self.random.choice((VoteKind.PREVOTE, VoteKind.PRECOMMIT))
        mine = self.sign(Vote(kind, vote.height, vote.round, block_id, NO_ROUND, 0))
        signers = tuple(range(size)) if self.random.random() < 0.8 else (mine.validator,)
        return Certificate(
            kind,
            vote.height,
            vote.round,
            block_id,
            NO_ROUND,
            size,
            signers,
            (mine.signature,) * len(signers),
        )

    def _round(self, vote: Vote) -> RoundCertificate:
        round = vote.round + self.random.randint(0, 3)
        size = len(self.machine.world.sets.of(vote.height))
        votes = tuple(
            Vote(VoteKind.PREVOTE, vote.height, round, NIL, NO_ROUND, index, vote.signature)
            for index in range(size)
        )
        return RoundCertificate(vote.height, round, votes)

    def _damaged(self, certificate: Certificate) -> Certificate:
        if self.random.random() < 0.5 and len(certificate.signers) > 1:
            keep = self.random.randrange(1, len(certificate.signers))
            return replace(
                certificate,
                signers=certificate.signers[:keep],
                signatures=certificate.signatures[:keep],
            )
        return replace(
            certificate,
            signatures=(*certificate.signatures[:-1], certificate.signatures[0]),
        )


class Flooder(Sin):
    """Says more than anybody can keep: far rounds, far heights, again and again."""

    def idles(self) -> None:
        height, round, _ = self.machine.place_in_height
        place = self.anybody()
        for _ in range(15):
            vote = Vote(
                self.random.choice((VoteKind.PREVOTE, VoteKind.PRECOMMIT)),
                height + self.random.choice((0, 0, 0, 1)),
                round + self.random.randint(0, 200),
                self.some_block(),
                NO_ROUND,
                0,
            )
            self.machine.post(place, self.sign(vote))
        self.machine.post(place, Status(height, round + 1, Step.PROPOSE))


class Outdated(Sin):
    """Says again what was said long ago, and what is meant for another chain."""

    KEPT_MAX = 300

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._heard: list[Message] = []

    def hears(self, message: Message, source: int) -> None:
        if len(self._heard) < self.KEPT_MAX:
            self._heard.append(message)
        else:
            self._heard[self.random.randrange(self.KEPT_MAX)] = message

    def idles(self) -> None:
        if not self._heard:
            return
        place = self.anybody()
        for _ in range(4):
            self.machine.post(place, self.random.choice(self._heard))
        old = next((vote for vote in reversed(self._heard) if isinstance(vote, Vote)), None)
        if old is not None and self.random.random() < 0.1:
            elsewhere = self.machine.key.sign(old.sign_bytes(1))
            self.machine.post(place, replace(self.sign(old), signature=elsewhere))


class Liar(Sin):
    """Says it is where it is not: far ahead, far behind, with certificates to prove it."""

    def idles(self) -> None:
        height, round, _ = self.machine.place_in_height
        ahead = self.random.choice((-3, -1, 1, 2, 1_000_000))
        status = Status(max(height + ahead, 1), round + self.random.choice((0, 5)), Step.PREVOTE)
        self.machine.post(self.anybody(), status)
        if self.random.random() < 0.2:
            vote = Vote(VoteKind.PRECOMMIT, height + 1, 0, self.some_block(), NO_ROUND, 0)
            self.machine.post(self.anybody(), self.sign(vote))


class Amnesiac(Sin):
    """Forgets, now and then, everything that it promised."""

    idle_ns = 1_500 * MS

    def idles(self) -> None:
        machine = self.machine
        machine.die("it forgets", 50 * MS)
        machine.disk.files.clear()


class Spoiler(Sin):
    """Proposes blocks that are none, and votes for them; says other transfers than are in them."""

    def says(self, place: int, message: Message, body: bytes | None) -> Iterable[Lie]:
        if body is None or not self.is_own(message) or self.random.random() < 0.5:
            return ((message, body),)
        compact = decode_compact(body)
        other = Hash32(self.random.randbytes(32))
        hashes = self.random.choice((compact.hashes[1:], compact.hashes[::-1], (other,)))
        return ((message, encode_compact(replace(compact, hashes=hashes))),)

    def is_unsound(self) -> bool:
        return self.random.random() < 0.7
