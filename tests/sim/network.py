"""The wires: what is sent may be lost, late, twice or in another order, and not all reach all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.sim.scheduler import Scheduler

Deliver = Callable[..., None]


@dataclass(slots=True)
class Weather:
    """How the wires are now. Chances are of 1; times in nanoseconds."""

    delay_min_ns: int
    delay_mean_ns: int
    loss: float
    duplication: float
    body_loss: float
    late: float
    """Chance of a message that takes twenty times as long as others: it comes after many."""


class Network:
    """Carries anything between machines, by their places."""

    def __init__(self, scheduler: Scheduler, random: Random, weather: Weather) -> None:
        self._scheduler = scheduler
        self._random = random
        self.weather = weather
        self.blocked: set[tuple[int, int]] = set()
        self.slow: dict[tuple[int, int], int] = {}
        self._streams: dict[tuple[int, int], int] = {}
        self.carried = 0
        self.lost = 0
        self.doubled = 0

    def carry(
        self, source: int, target: int, leaves_ns: int, deliver: Deliver, *arguments: Any
    ) -> None:
        """deliver(*arguments) happens later: once, never or twice."""
        weather, random = self.weather, self._random.random
        self.carried += 1
        if self.blocked and (source, target) in self.blocked:
            self.lost += 1
            return
        if weather.loss and random() < weather.loss:
            self.lost += 1
            return
        self._scheduler.at(leaves_ns + self._delay_ns(source, target), deliver, *arguments)
        if weather.duplication and random() < weather.duplication:
            self.doubled += 1
            self._scheduler.at(leaves_ns + 3 * self._delay_ns(source, target), deliver, *arguments)

    def stream(
        self, source: int, target: int, leaves_ns: int, deliver: Deliver, *arguments: Any
    ) -> None:
        """As a stream: in the order of what was sent, and nothing is lost but to who is cut off."""
        self.carried += 1
        link = source, target
        if link in self.blocked:
            self.lost += 1
            return
        due_ns = max(leaves_ns + self._delay_ns(source, target), self._streams.get(link, 0))
        self._streams[link] = due_ns
        self._scheduler.at(due_ns, deliver, *arguments)

    def loses_body(self) -> bool:
        """Whether the block that goes with a proposal is lost on its way to somebody."""
        return self.weather.body_loss > 0 and self._random.random() < self.weather.body_loss

    def _delay_ns(self, source: int, target: int) -> int:
        weather, random = self.weather, self._random.random
        delay_ns = weather.delay_min_ns + int(weather.delay_mean_ns * 2 * random())
        if weather.late and random() < weather.late:
            delay_ns *= 20
        if self.slow:
            delay_ns += self.slow.get((source, target), 0)
        return delay_ns
