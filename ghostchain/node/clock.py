"""Time for the parts of a node that take it as an argument, and alarms at moments that move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class SteadyClock:
    """Unix time in nanoseconds that only goes forward, at the pace of real time: where the system's
    clock is set while the node runs, this one goes on as before."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns


class Alarm:
    """Calls back on the event loop when a moment has come that may move meanwhile.

    There is at most one timer under way. A moment that moves away lets it ring early and sets it
    again, so that one that keeps moving away costs nothing.
    """

    def __init__(self, clock: SteadyClock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._deadline_ns: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0

    def set(self, deadline_ns: int | None) -> None:
        """Ring then; None: not at all."""
        self._deadline_ns = deadline_ns
        if deadline_ns is None or (self._timer is not None and self._timer_ns <= deadline_ns):
            return
        self._arm(deadline_ns)

    def stop(self) -> None:
        self._deadline_ns = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, deadline_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = deadline_ns
        seconds = max(deadline_ns - self._clock.now_ns(), 0) / 1e9
        self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline_ns is None:
            return
        # Timers of the loop count in milliseconds, and may ring one early.
        if self._deadline_ns > self._clock.now_ns():
            self._arm(self._deadline_ns)
            return
        self._deadline_ns = None
        self._ring()
