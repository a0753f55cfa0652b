"""The start-up guard: a validator that starts watches first, and signs once it is sure that nobody
else signs with its key.

Two machines with one key is how validators are slashed in practice: the old one was thought dead.
The guard opens when as many heights as asked were decided without this node's vote, or when peers
were heard for as long as a stuck network takes to say everything again; in that time nothing signed
by this key came. It shuts for good when something did that this node did not sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class GuardState(Enum):
    """Whether this node may sign."""

    WATCHING = "watching for its own key before it signs"
    OPEN = "signs"
    SHUT = "somebody else signs with its key"


@dataclass(slots=True)
class Guard:
    """quiet_heights: heights that others must decide first; 0: it need not watch at all. quiet_ns:
    how long to hear peers instead, when nothing is decided; two rebroadcasts are enough."""

    quiet_heights: int = 2
    quiet_ns: int = 2_000_000_000
    state: GuardState = GuardState.WATCHING
    _decided: int = 0
    _heard_ns: int | None = None

    def __post_init__(self) -> None:
        if self.quiet_heights <= 0 and self.state == GuardState.WATCHING:
            self.state = GuardState.OPEN

    @property
    def is_open(self) -> bool:
        return self.state == GuardState.OPEN

    def on_alone(self) -> None:
        """This node's vote is a quorum: there is nobody to hear the key from."""
        self._open()

    def on_heard(self, now_ns: int) -> None:
        """A peer said something."""
        if self._heard_ns is None:
            self._heard_ns = now_ns

    def on_decided(self) -> None:
        """Others decided a height."""
        self._decided += 1
        if self._decided >= self.quiet_heights:
            self._open()

    def on_time(self, now_ns: int) -> None:
        if self._heard_ns is not None and now_ns - self._heard_ns >= self.quiet_ns:
            self._open()

    def on_doppelganger(self) -> None:
        """The key signed something that this node did not."""
        self.state = GuardState.SHUT

    def deadline_ns(self) -> int | None:
        """When it may open by itself."""
        if self.state != GuardState.WATCHING or self._heard_ns is None:
            return None
        return self._heard_ns + self.quiet_ns

    def _open(self) -> None:
        if self.state == GuardState.WATCHING:
            self.state = GuardState.OPEN
