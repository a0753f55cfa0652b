"""The doors through which the driver of consensus acts. The node implements them with sockets,
files, threads and the chain; the simulation with a virtual network, disk and clock.

Calls return at once. An answer that takes time comes through the `done` given, on the thread of the
driver, at most once, perhaps before the call returns. A failure to write is fatal: it is raised,
and the driver says nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ghostchain.consensus.effects import Peer, RoundFailed, StartHeight
from ghostchain.consensus.messages import Certificate, Message, Step, Vote
from ghostchain.primitives.types import Hash32


class Clock(Protocol):
    """Time that only goes forward, in nanoseconds."""

    def now_ns(self) -> int: ...


class Log(Protocol):
    """The write-ahead log of the height being decided. Raises: StorageFailed."""

    def records(self) -> Iterable[bytes]:
        """What was durable when it was opened, in order."""

    def append(self, record: bytes) -> None:
        """The record comes after all others; not durable yet."""

    def flush(self) -> None:
        """All that was appended is durable."""

    def restart(self) -> None:
        """Everything before is no longer needed; the log is empty, durably."""

    def rewrite(self, records: Sequence[bytes]) -> None:
        """The log holds these records alone, durably; a crash meanwhile leaves them, or what was
        durable before."""


class Signer(Protocol):
    """The holder of the consensus key and of the memory of what it signed."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, vote: Vote, done: Callable[[bytes, str], None]) -> None:
        """done(signature, ""), once the high-water mark is durable; done(b"", reason) when the vote
        would contradict, or come before, one that was signed."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A block as it is proposed: body is what travels with the proposal, for the application alone
    to understand; record is what the log keeps, enough to have the block again after a restart."""

    block_id: Hash32
    body: bytes
    record: bytes


class Application(Protocol):
    """What consensus decides about."""

    def build(self, height: int, round: int, done: Callable[[Offer | None, str], None]) -> None:
        """Makes a block on top of the head. done(None, reason) when none can be made."""

    def validate(
        self,
        height: int,
        round: int | None,
        block_id: Hash32,
        body: bytes | None,
        peer: Peer,
        done: Callable[[bytes | None, str], None],
    ) -> None:
        """Completes the block (body is what came with its proposal, None: ask peer and others, as
        long as it takes or until the height is left) and judges it. done(record, "") when valid;
        done(None, reason) when it never can be. round: as in effects.Validate: None asks only what
        is true forever. One block may be asked for twice, with and without a round."""

    def restore(self, height: int, block_id: Hash32, record: bytes) -> None:
        """The block of an Offer or of a validation before a restart is at hand again."""

    def commit(
        self,
        height: int,
        block_id: Hash32,
        certificate: Certificate,
        done: Callable[[StartHeight], None],
    ) -> None:
        """Makes the block the durable head, and says what comes next."""

    def extend(self, certificate: Certificate) -> None:
        """The certificate of the head has more signatures now: the next block that is built carries
        this one. Called before build."""

    def certificate(self, height: int) -> Certificate | None:
        """That committed the block of the height, if it is still known."""

    def report(self, key: bytes, first: Vote, second: Vote) -> None:
        """Evidence against a validator, for a later block."""


class Network(Protocol):
    """The peers."""

    def broadcast(self, message: Message, body: bytes | None = None) -> None:
        """To all of them. body: goes with a proposal."""

    def send(self, peer: Peer, message: Message, body: bytes | None = None) -> None: ...

    def punish(self, peer: Peer, reason: str) -> None: ...


class Watcher(Protocol):
    """Whoever measures and shows."""

    def entered(self, height: int, round: int, step: Step, now_ns: int) -> None: ...

    def round_failed(self, failure: RoundFailed, now_ns: int) -> None: ...

    def decided(self, height: int, round: int, block_id: Hash32, now_ns: int) -> None: ...

    def doppelganger(self, vote: Vote) -> None:
        """Somebody else signs with this node's key: it does not sign any more. Say so loudly."""

    def diverged(self, height: int, block_id: Hash32, reason: str) -> None:
        """A quorum committed a block that is invalid here: the node is stuck. Say so loudly."""
