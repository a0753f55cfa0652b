"""Events of the node on the event loop: one subscription to the backend, many listeners here.

Most blocks and transactions nobody waits to hear of, and waking the event loop for one costs as
much as a tenth of a small block. So each listener also says whether it cares for an event, to the
thread on which that happens; who begins to care looks himself at what there was before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import Backend, Event, NewHead

logger = logging.getLogger(__name__)

Listener = Callable[[Event], None]
Cares = Callable[[Event], bool]


class EventHub:
    """Hands the events of the backend for which somebody cares, in order, to all its listeners on
    the event loop."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.listeners: list[Listener] = []
        self.cares: list[Cares] = []
        self.unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def receive(event: Event) -> None:
            if any(cares(event) for cares in self.cares) and not loop.is_closed():
                loop.call_soon_threadsafe(self.hand_out, event)

        self.unsubscribe = self.backend.subscribe(receive)

    def stop(self) -> None:
        if self.unsubscribe is not None:
            self.unsubscribe()
            self.unsubscribe = None

    def add(self, listener: Listener, cares: Cares) -> None:
        """cares: asked on any thread whether the listener is to be told of an event, which it may
        be in any case."""
        self.listeners.append(listener)
        self.cares.append(cares)

    def hand_out(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


class InclusionWaiter:
    """Wakes those who wait until a transaction stands in a block (EIP-7966)."""

    def __init__(self, backend: Backend, *, waiting_max: int) -> None:
        self.backend = backend
        self.waiting_max = waiting_max
        self.waiting: dict[Hash32, list[asyncio.Future[None]]] = {}

    def cares(self, event: Event) -> bool:
        """Any thread."""
        return isinstance(event, NewHead) and bool(self.waiting)

    def on_event(self, event: Event) -> None:
        if not isinstance(event, NewHead):
            return
        for transaction_hash in list(self.waiting):
            if self.backend.transaction_location(transaction_hash) is not None:
                for future in self.waiting.pop(transaction_hash):
                    if not future.done():
                        future.set_result(None)

    async def wait(self, transaction_hash: Hash32, timeout_s: float) -> bool:
        """Whether it was included in time; at once when it already is, or too many wait."""
        if self.backend.transaction_location(transaction_hash) is not None:
            return True
        if len(self.waiting) >= self.waiting_max:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(transaction_hash, []).append(future)
        try:
            # A block that came in between was told to nobody.
            if self.backend.transaction_location(transaction_hash) is not None:
                return True
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return False
        finally:
            futures = self.waiting.get(transaction_hash)
            if futures is not None and future in futures:
                futures.remove(future)
                if not futures:
                    del self.waiting[transaction_hash]
        return True
