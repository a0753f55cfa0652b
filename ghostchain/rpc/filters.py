"""Filters that clients poll: eth_newFilter and its family.

No block is ever taken back, so a filter is a position: a poll reads the blocks after it. Only
pending transactions need a buffer, shared by all filters and bounded. (A development chain's blocks
can be taken back by hand; a filter's position goes back with them.)
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import Event, NewPending, Rewound
from ghostchain.rpc.errors import LIMIT_EXCEEDED, RpcError, server_error
from ghostchain.rpc.parameters import LogFilter

# So many hashes of pending transactions wait before it is asked who still wants them.
PENDING_UNCHECKED = 1024


class FilterKind(Enum):
    LOGS = "logs"
    BLOCKS = "blocks"
    PENDING = "pending"


@dataclass(slots=True)
class Filter:
    """position: the next block to report, or the next pending hash's sequence number."""

    kind: FilterKind
    position: int
    last_used_ns: int
    logs: LogFilter | None = None


class FilterBook:
    """The installed filters. Threads: any.

    Raises RpcError `filter not found` for an unknown id, LIMIT_EXCEEDED above filters_max.
    """

    def __init__(
        self,
        *,
        filters_max: int,
        idle_s: float,
        pending_hashes_max: int,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.filters_max = filters_max
        self.idle_ns = int(idle_s * 1e9)
        self.clock = clock
        self.filters: dict[str, Filter] = {}
        self.pending_readers: dict[str, Filter] = {}
        self.pending: deque[Hash32] = deque(maxlen=pending_hashes_max)
        self.pending_end = 0
        self.pending_checked_at = PENDING_UNCHECKED
        self.lock = threading.Lock()

    def cares(self, event: Event) -> bool:
        """Whether a filter's answers depend on it: positions follow blocks by themselves."""
        if not isinstance(event, NewPending):
            return isinstance(event, Rewound)
        return bool(self.pending_readers)

    def on_event(self, event: Event) -> None:
        if isinstance(event, Rewound):
            self.rewind(event.number)
        if not isinstance(event, NewPending):
            return
        with self.lock:
            self.pending.extend(item.hash for item in event.transactions)
            self.pending_end += len(event.transactions)
            if len(self.pending) >= self.pending_checked_at:
                self.forget_idle(self.clock())
                self.forget_pending()

    def rewind(self, head: int) -> None:
        """Other blocks come after this one: whoever saw those that went is told of them too."""
        with self.lock:
            for item in self.filters.values():
                if item.kind is not FilterKind.PENDING:
                    item.position = min(item.position, head + 1)

    def install(self, kind: FilterKind, position: int, logs: LogFilter | None = None) -> str:
        """The id of a new filter. position is ignored for PENDING: it starts now."""
        now_ns = self.clock()
        with self.lock:
            self.forget_idle(now_ns)
            if len(self.filters) >= self.filters_max:
                raise RpcError(LIMIT_EXCEEDED, "too many filters")
            if kind is FilterKind.PENDING:
                position = self.pending_end
            identity = hex(secrets.randbits(127) | 1 << 127)
            made = self.filters[identity] = Filter(kind, position, now_ns, logs)
            if kind is FilterKind.PENDING:
                self.pending_readers[identity] = made
        return identity

    def forget_pending(self) -> None:
        """Keeps the hashes that some filter has yet to report, and looks again when there are twice
        as many."""
        positions = (item.position for item in self.pending_readers.values())
        wanted = self.pending_end - min(positions, default=self.pending_end)
        while len(self.pending) > wanted:
            self.pending.popleft()
        most = self.pending.maxlen or 0
        self.pending_checked_at = min(max(PENDING_UNCHECKED, 2 * len(self.pending)), most)

    def forget_idle(self, now_ns: int) -> None:
        oldest_ns = now_ns - self.idle_ns
        for identity in [
            key for key, item in self.filters.items() if item.last_used_ns < oldest_ns
        ]:
            self.remove(identity)

    def uninstall(self, identity: str) -> bool:
        with self.lock:
            return self.remove(identity)

    def remove(self, identity: str) -> bool:
        """With the lock held."""
        if self.pending_readers.pop(identity, None) is not None:
            self.forget_pending()
        return self.filters.pop(identity, None) is not None

    def find(self, identity: str) -> Filter:
        now_ns = self.clock()
        with self.lock:
            self.forget_idle(now_ns)
            found = self.filters.get(identity)
            if found is None:
                raise server_error("filter not found")
            found.last_used_ns = now_ns
            return found

    def advance(self, found: Filter, head: int) -> range:
        """The block numbers since the last poll; the filter stands after them now."""
        with self.lock:
            numbers = range(found.position, head + 1)
            found.position = max(found.position, head + 1)
            return numbers

    def go_back(self, found: Filter, number: int) -> None:
        """The blocks from this one on were not reported after all."""
        with self.lock:
            found.position = min(found.position, number)

    def take_pending(self, found: Filter) -> list[Hash32]:
        """The hashes since the last poll, oldest first; those beyond the buffer are lost."""
        with self.lock:
            missed = min(self.pending_end - found.position, len(self.pending))
            found.position = self.pending_end
            return list(self.pending)[len(self.pending) - missed :] if missed else []
