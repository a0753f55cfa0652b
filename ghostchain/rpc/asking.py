"""Who asks: whether the client is still there, how fast it may go on asking, and how much of what
it asked for is made at a time."""

from __future__ import annotations

import asyncio
import time

# Of the answers to one connection that are more than a moment's work.
MADE_AT_ONCE_MAX = 4


class Asker:
    """One connection's side of a request. Threads: work in a worker reads `gone`. is_operator: it
    came through the operator's door, or with a token.

    A bucket of `burst` calls fills with `rate` calls a second; rate 0 is without limit. Every call
    counts one, each item of a batch too.

    turns: taken by each of its long answers while that is made. reads: set while nothing that was
    answered lies unread; nothing long is begun before.
    """

    __slots__ = ("at", "burst", "gone", "is_operator", "rate", "reads", "tokens", "turns")

    def __init__(self, *, rate: float = 0.0, burst: float = 0.0, is_operator: bool = False) -> None:
        self.gone = False
        self.is_operator = is_operator
        self.rate = rate
        self.burst = self.tokens = burst
        self.at = time.monotonic()
        self.turns = asyncio.Semaphore(MADE_AT_ONCE_MAX)
        self.reads = asyncio.Event()
        self.reads.set()

    def leave(self) -> None:
        """What it asked for and nobody will read may stop."""
        self.gone = True
        self.reads.set()

    async def take_turn(self) -> None:
        """Waits until a long answer may be made; `turns` is to be released after it."""
        await self.turns.acquire()
        try:
            await self.reads.wait()
        except BaseException:
            self.turns.release()
            raise

    def wait_s(self, calls: int) -> float:
        """Takes so many calls out of the bucket: 0.0. Where they are not in there, nothing is
        taken, and the answer is for how many seconds to wait."""
        if self.rate <= 0:
            return 0.0
        if self.tokens < calls:
            now = time.monotonic()
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
            self.at = now
            if self.tokens < calls:
                return (calls - self.tokens) / self.rate
        self.tokens -= calls
        return 0.0
