"""One at a time for each sender: so that two requests do not take the same nonce, and none waits
for another's account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ghostchain.primitives.types import Address


class Turns:
    """Event loop. As many entries as requests that wait or have their turn."""

    def __init__(self) -> None:
        self._locks: dict[Address | None, asyncio.Lock] = {}
        self._users: dict[Address | None, int] = {}

    @asynccontextmanager
    async def turn_of(self, sender: Address | None) -> AsyncIterator[None]:
        """Nobody else has this sender's turn meanwhile; first come, first served."""
        lock = self._locks.setdefault(sender, asyncio.Lock())
        self._users[sender] = self._users.get(sender, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._users[sender] -= 1
            if not self._users[sender]:
                del self._users[sender], self._locks[sender]
