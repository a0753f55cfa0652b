"""How long the core of consensus waits for what, and what it waits for now.

Timeouts grow by a step each round, so that rounds get long enough for any network, and stop at a
cap, so that a network that comes back is not waited out for hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

MILLISECOND_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Parameters:
    """The waiting times of consensus. Units: nanoseconds."""

    heartbeat_ns: int = 6_000 * MILLISECOND_NS
    block_interval_min_ns: int = 50 * MILLISECOND_NS
    timeout_propose_ns: int = 1_000 * MILLISECOND_NS
    timeout_vote_ns: int = 500 * MILLISECOND_NS
    timeout_step_ns: int = 250 * MILLISECOND_NS
    timeout_propose_max_ns: int = 10_000 * MILLISECOND_NS
    timeout_vote_max_ns: int = 5_000 * MILLISECOND_NS
    rebroadcast_ns: int = 1_000 * MILLISECOND_NS

    def propose_ns(self, round: int) -> int:
        """How long a round waits for its proposal."""
        return min(
            self.timeout_propose_ns + round * self.timeout_step_ns, self.timeout_propose_max_ns
        )

    def vote_ns(self, round: int) -> int:
        """How long a round waits for more votes when a quorum voted, but not the same."""
        return min(self.timeout_vote_ns + round * self.timeout_step_ns, self.timeout_vote_max_ns)


class Timer(IntEnum):
    """What the core waits for. When several are due, this is their order."""

    START = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    REBROADCAST = 4


ROUND_TIMERS = (Timer.START, Timer.PROPOSE, Timer.PREVOTE, Timer.PRECOMMIT)
"""Those of one round: none of them outlives it."""


class Timers:
    """When what is due. At most one moment of each kind."""

    def __init__(self) -> None:
        self._due: dict[Timer, int] = {}

    def arm(self, timer: Timer, at_ns: int) -> None:
        self._due[timer] = at_ns

    def disarm(self, *timers: Timer) -> None:
        for timer in timers:
            self._due.pop(timer, None)

    def at(self, timer: Timer) -> int | None:
        """When it is due, None when it is not armed."""
        return self._due.get(timer)

    def deadline_ns(self) -> int | None:
        """When the next of them is due."""
        return min(self._due.values(), default=None)

    def take_due(self, now_ns: int) -> Timer | None:
        """One that is due, and is not armed any more."""
        due = min((timer for timer, at_ns in self._due.items() if at_ns <= now_ns), default=None)
        if due is not None:
            del self._due[due]
        return due
