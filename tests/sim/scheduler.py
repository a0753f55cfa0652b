"""Virtual time: what happens when, in one order that the seed alone decides."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

MS = 1_000_000
SECOND = 1_000_000_000


class Scheduler:
    """Events by time, and by who asked first among those of the same nanosecond."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.events = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._asked = 0

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """The action happens at the time, or now if that has passed."""
        self._asked += 1
        time_ns = max(time_ns, self.now_ns)
        heapq.heappush(self._heap, (time_ns, self._asked, action, arguments))

    def after(self, delay_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now_ns + delay_ns, action, *arguments)

    def run(self, until_ns: int, is_done: Callable[[], bool], events_max: int) -> bool:
        """Whether is_done became true before the time, or events_max events, were over."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until_ns and self.events < events_max:
            self.now_ns, _, action, arguments = pop(heap)
            self.events += 1
            action(*arguments)
            if is_done():
                return True
        return is_done()
