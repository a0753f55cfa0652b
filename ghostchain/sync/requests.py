"""What was asked of whom: answers put together from parts, speeds, silence, strikes.

A peer that does not answer in time, or denies what it claimed, gets a strike: it is asked no more
for a while, longer with each strike, and after STRIKES_MAX it is reported. An answer takes the
strikes away. Like the cores that use it, this is a value: time comes in as an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ghostchain.sync.effects import Peer
from ghostchain.sync.messages import InvalidSyncMessage, Part, SyncReason

SECOND_NS = 1_000_000_000
STALL_NS = 2 * SECOND_NS
"""Silence of a peer that was asked, after which others are asked instead."""
ANSWER_NS_MAX = 60 * SECOND_NS
"""How long an answer may take in all."""
PENALTY_NS = 3 * SECOND_NS
"""How long a peer is not asked after its first strike; as much more for each further one."""
BUSY_NS = SECOND_NS // 2
STRIKES_MAX = 3
WINDOW_MAX = 4
WINDOW_NS = SECOND_NS // 2
"""A peer is asked for as much at once as it delivers in this time, and for two answers at least."""
FORGOTTEN_MAX = 64
PEERS_MAX = 256
REQUESTS_MAX = 2**32

What = TypeVar("What")


@dataclass(slots=True)
class PeerState:
    """A peer that may be asked. height: the highest block that it claims; low: the lowest that it
    has. rate: bytes a second, 0 while unknown. blocked_until_ns: it is not asked before."""

    height: int = 0
    low: int = 1
    rate: float = 0.0
    window: int = 1
    in_flight: int = 0
    strikes: int = 0
    blocked_until_ns: int = 0
    heard_ns: int = 0
    answered_ns: int = 0
    forgotten: deque[int] = field(default_factory=lambda: deque(maxlen=FORGOTTEN_MAX))

    @property
    def is_worn_out(self) -> bool:
        """Whether it has failed often enough to be reported."""
        return self.strikes >= STRIKES_MAX

    def is_credible(self, now_ns: int) -> bool:
        return now_ns >= self.blocked_until_ns


@dataclass(slots=True)
class Asked(Generic[What]):
    """A request under way. bytes_max: of the answer; data: what has come of it."""

    request: int
    peer: Peer
    what: What
    bytes_max: int
    asked_ns: int
    total: int = 0
    data: bytearray = field(default_factory=bytearray)
    is_hedged: bool = False


class Requests(Generic[What]):
    """The peers and what was asked of them."""

    def __init__(self, first: int = 0) -> None:
        """first: the lowest request number; two users of one connection take different ranges."""
        self.peers: dict[Peer, PeerState] = {}
        self.asked: dict[int, Asked[What]] = {}
        self._next = first

    # ---- peers ----

    def claim(self, peer: Peer, height: int) -> None:
        """The peer says that it has blocks up to that height."""
        state = self.peers.get(peer)
        if state is None:
            if len(self.peers) >= PEERS_MAX:
                return
            state = self.peers[peer] = PeerState()
        state.height = max(state.height, height)

    def forget(self, peer: Peer) -> list[Asked[What]]:
        """The peer is gone. Returns what it still owed."""
        self.peers.pop(peer, None)
        owed = [asked for asked in self.asked.values() if asked.peer == peer]
        for asked in owed:
            del self.asked[asked.request]
        return owed

    def target(self, now_ns: int) -> int:
        """The highest block that a credible peer claims."""
        return max(
            (state.height for state in self.peers.values() if state.is_credible(now_ns)), default=0
        )

    def idle(self, now_ns: int) -> list[tuple[Peer, PeerState]]:
        """Who may be asked for more, the fastest first; untried peers come before all."""
        free = [
            (peer, state)
            for peer, state in self.peers.items()
            if state.is_credible(now_ns) and state.in_flight < state.window
        ]
        free.sort(key=lambda entry: (entry[1].rate > 0, -entry[1].rate))
        return free

    # ---- requests ----

    def ask(self, peer: Peer, what: What, bytes_max: int, now_ns: int) -> int:
        """Notes a request that is about to be sent. Returns its number."""
        number = self._next
        self._next = (self._next + 1) % REQUESTS_MAX
        self.asked[number] = Asked(number, peer, what, bytes_max, now_ns)
        state = self.peers[peer]
        if state.in_flight == 0:
            state.heard_ns = now_ns
        state.in_flight += 1
        return number

    def on_part(self, peer: Peer, part: Part, now_ns: int) -> Asked[What] | None:
        """Adds a part. Returns the request when its answer is complete.

        Raises: InvalidSyncMessage (UNASKED, TOO_LARGE, OUT_OF_ORDER).
        """
        asked = self._asked_of(peer, part.request)
        if asked is None:
            return None
        if not asked.data:
            if part.total > asked.bytes_max:
                raise InvalidSyncMessage(
                    SyncReason.TOO_LARGE, f"{part.total} bytes, at most {asked.bytes_max} asked for"
                )
            asked.total = part.total
        if part.total != asked.total or part.offset != len(asked.data):
            raise InvalidSyncMessage(
                SyncReason.OUT_OF_ORDER, f"offset {part.offset} after {len(asked.data)} bytes"
            )
        asked.data += part.data
        state = self.peers[peer]
        state.heard_ns = now_ns
        if len(asked.data) < asked.total:
            return None
        self._close(asked)
        self._measure(state, asked, now_ns)
        return asked

    def _measure(self, state: PeerState, asked: Asked[What], now_ns: int) -> None:
        elapsed = max(1, now_ns - max(asked.asked_ns, state.answered_ns))
        rate = asked.total * SECOND_NS / elapsed
        state.rate = rate if state.rate == 0 else 0.7 * state.rate + 0.3 * rate
        wanted = state.rate * WINDOW_NS / SECOND_NS / max(asked.total, 1)
        state.window = max(2, min(WINDOW_MAX, int(wanted)))
        state.answered_ns = now_ns
        state.strikes = 0

    def on_refused(self, peer: Peer, request: int) -> Asked[What] | None:
        """The request will not be answered. Raises: InvalidSyncMessage UNASKED."""
        asked = self._asked_of(peer, request)
        if asked is not None:
            self._close(asked)
        return asked

    def _asked_of(self, peer: Peer, request: int) -> Asked[What] | None:
        """The request as it was asked of this peer; None for one that is not waited for any more.

        Raises: InvalidSyncMessage UNASKED.
        """
        asked = self.asked.get(request)
        if asked is not None and asked.peer == peer:
            return asked
        state = self.peers.get(peer)
        if state is None or request in state.forgotten:
            return None
        raise InvalidSyncMessage(SyncReason.UNASKED, f"request {request}")

    def _close(self, asked: Asked[What]) -> None:
        del self.asked[asked.request]
        state = self.peers.get(asked.peer)
        if state is not None:
            state.in_flight -= 1

    def overdue(self, now_ns: int) -> list[Asked[What]]:
        """Takes out what has waited too long; each of the peers has a strike then, one for all that
        it let wait."""
        late = [asked for asked in self.asked.values() if now_ns >= self._due(asked)]
        for peer in {asked.peer for asked in late}:
            state = self.peers[peer]
            late += [
                asked for asked in self.asked.values() if asked.peer == peer and asked not in late
            ]
            self.strike(state, now_ns)
        for asked in late:
            self._close(asked)
            self.peers[asked.peer].forgotten.append(asked.request)
        return late

    def strike(self, state: PeerState, now_ns: int) -> None:
        """The peer did not do what it claimed."""
        state.strikes += 1
        state.window = 1
        state.blocked_until_ns = now_ns + state.strikes * PENALTY_NS

    def _due(self, asked: Asked[What]) -> int:
        heard = max(asked.asked_ns, self.peers[asked.peer].heard_ns)
        return min(heard + STALL_NS, asked.asked_ns + ANSWER_NS_MAX)

    def deadline_ns(self, now_ns: int) -> int | None:
        """When something becomes overdue, or a peer may be asked again."""
        times = [self._due(asked) for asked in self.asked.values()]
        times += [
            state.blocked_until_ns
            for state in self.peers.values()
            if state.blocked_until_ns > now_ns
        ]
        return min(times, default=None)
