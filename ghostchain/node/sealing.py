"""When the local validator seals, as a value: events and time in, the next moment out.

Three ways, one record: at once when something waits (`--dev`), at a fixed pace (`--block-time`),
or when something waits and otherwise as a heartbeat (`--network testnet`, until consensus decides).
"""

from __future__ import annotations

from dataclasses import dataclass

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SealingPolicy:
    """eager: a waiting transaction is reason enough. interval_ns: a block is due this long after
    the last one, whatever waits; None: never without a transaction. gather_ns: how long an eager
    seal lets more transactions come before it begins."""

    eager: bool
    interval_ns: int | None
    gather_ns: int = 0


INSTANT = SealingPolicy(eager=True, interval_ns=None)
HEARTBEAT = SealingPolicy(eager=True, interval_ns=6 * NANOSECONDS)


def every(seconds: float) -> SealingPolicy:
    """One block each so many seconds, empty ones too. Raises ValueError unless positive."""
    if seconds <= 0:
        raise ValueError(f"the block time must be positive, not {seconds}")
    return SealingPolicy(eager=False, interval_ns=int(seconds * NANOSECONDS))


class Sealing:
    """Tells when to seal next. Not for two threads at once."""

    def __init__(self, policy: SealingPolicy, *, now_ns: int) -> None:
        self.policy = policy
        self.last_sealed_ns = now_ns
        self.waiting_since_ns: int | None = None

    def set_policy(self, policy: SealingPolicy, *, now_ns: int) -> None:
        """This holds from now on, its interval too; what waits goes on waiting."""
        self.policy = policy
        self.last_sealed_ns = now_ns

    def on_pending(self, *, now_ns: int) -> None:
        """Something waits that could be included."""
        if self.waiting_since_ns is None:
            self.waiting_since_ns = now_ns

    def on_started(self) -> None:
        """A block is being made of what waits now; what comes from here on waits for the next."""
        self.waiting_since_ns = None

    def on_sealed(self, *, now_ns: int, more_waits: bool) -> None:
        """The block is made; more_waits: what did not fit is still pending."""
        if self.policy.eager or self.policy.interval_ns is None:
            self.last_sealed_ns = now_ns
        else:
            # A fixed pace does not drift by the time that sealing takes, nor does it rush to
            # catch up after a pause.
            due = self.last_sealed_ns + self.policy.interval_ns
            late = now_ns - due >= self.policy.interval_ns
            self.last_sealed_ns = now_ns if late else due
        if more_waits:
            self.on_pending(now_ns=now_ns)

    def paces(self, *, now_ns: int) -> bool:
        """Whether a block is due by the clock alone, an empty one too."""
        interval = self.policy.interval_ns
        return interval is not None and now_ns >= self.last_sealed_ns + interval

    def deadline_ns(self) -> int | None:
        """When to seal if nothing else happens; None: not before something waits."""
        moments = []
        if self.policy.interval_ns is not None:
            moments.append(self.last_sealed_ns + self.policy.interval_ns)
        if self.policy.eager and self.waiting_since_ns is not None:
            moments.append(self.waiting_since_ns + self.policy.gather_ns)
        return min(moments) if moments else None
