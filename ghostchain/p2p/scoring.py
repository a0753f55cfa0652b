"""What peers do wrong, what it weighs, and for how long they are not spoken to.

An offence costs points; points fade with time; whoever reaches POINTS_MAX is banned. What no honest
peer does costs all points at once. What an honest peer may do when it is slow, or when two messages
cross, costs few, so that only who keeps doing it is banned. Points are kept by key beyond the
connection: coming again does not wipe them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

SECOND_NS = 1_000_000_000
POINTS_MAX = 100
POINT_FADES_NS = SECOND_NS
"""One point is forgiven in this time."""

BAN_STEP_NS = 600 * SECOND_NS
BAN_NS_MAX = 24 * 3_600 * SECOND_NS
"""The n-th ban of a key lasts n steps, up to the maximum."""

VALIDATOR_BAN_NS_MAX = 60 * SECOND_NS
"""Of the node of a validator of now: a network whose validators fell out with each other over a
fault in one of them would stand still for as long."""

STANDINGS_MAX = 4_096
HOST_STRIKES_MAX = 4
"""Banned keys of one public address that make the address itself banned: keys are free to make."""


class Offence(Enum):
    """What a peer did, with its points."""

    MALFORMED = "a malformed message"
    OUT_OF_ORDER = "a message that cannot come at this point"
    FORGED_RECORD = "an address record that its key did not sign"
    WRONG_ANSWER = "an answer with what was not asked for"
    INVALID_BLOCK = "a block body that its header does not commit to"
    CONSENSUS = "a message of consensus that no honest validator sends"
    SYNC = "an answer of sync that contradicts what is certified"
    INVALID_TRANSACTION = "a transaction that can never be valid"
    UNSOLICITED = "an answer to nothing that was asked"
    SILENT = "no hello, or no sign of life, in time"
    SLOW = "no answer in time"
    FLOOD = "more than its share of a channel"


POINTS = {
    Offence.MALFORMED: 100,
    Offence.OUT_OF_ORDER: 40,
    Offence.FORGED_RECORD: 100,
    Offence.WRONG_ANSWER: 100,
    Offence.INVALID_BLOCK: 100,
    Offence.CONSENSUS: 50,
    Offence.SYNC: 50,
    Offence.INVALID_TRANSACTION: 25,
    Offence.UNSOLICITED: 20,
    Offence.SILENT: 20,
    Offence.SLOW: 5,
    Offence.FLOOD: 2,
}

ENDS_CONNECTION = frozenset((Offence.OUT_OF_ORDER,))
"""Offences after which the two do not understand each other, until they begin anew."""


@dataclass(frozen=True, slots=True)
class Ban:
    """Until when (Unix nanoseconds), why, and which it is of this key or host."""

    until_ns: int
    reason: str
    count: int


@dataclass(slots=True)
class Standing:
    """A key's points as they were at a time."""

    points: float
    at_ns: int


class Standings:
    """The points of peers, by key; at most STANDINGS_MAX, the oldest forgotten first."""

    def __init__(self) -> None:
        self._standings: dict[bytes, Standing] = {}

    def points(self, peer: bytes, *, now_ns: int) -> float:
        """What is not forgiven yet."""
        standing = self._standings.get(peer)
        if standing is None:
            return 0.0
        return max(0.0, standing.points - (now_ns - standing.at_ns) / POINT_FADES_NS)

    def charge(self, peer: bytes, offence: Offence, *, now_ns: int) -> bool:
        """The offence counts. Returns whether the peer is to be banned; its points start anew
        then."""
        points = self.points(peer, now_ns=now_ns) + POINTS[offence]
        self._standings.pop(peer, None)
        if points >= POINTS_MAX:
            return True
        if len(self._standings) >= STANDINGS_MAX:
            del self._standings[next(iter(self._standings))]
        self._standings[peer] = Standing(points, now_ns)
        return False


class Bans:
    """Who is not spoken to: keys, and public addresses whose keys keep being banned. At most
    STANDINGS_MAX of each; those that end first are forgotten first."""

    def __init__(self) -> None:
        self.keys: dict[bytes, Ban] = {}
        self.hosts: dict[str, Ban] = {}
        self._strikes: dict[str, list[int]] = {}

    def ban(
        self,
        peer: bytes,
        host: str | None,
        reason: str,
        *,
        now_ns: int,
        ban_ns_max: int = BAN_NS_MAX,
    ) -> Ban:
        """The key is banned; host (None: not a public one) too when it was too often.

        Returns: the key's ban.
        """
        ban = self.keys[peer] = _next(self.keys.get(peer), reason, now_ns, ban_ns_max)
        _shorten(self.keys)
        if host is not None:
            strikes = [at for at in self._strikes.pop(host, []) if now_ns - at < BAN_STEP_NS]
            strikes.append(now_ns)
            if len(strikes) >= HOST_STRIKES_MAX:
                self.hosts[host] = _next(self.hosts.get(host), reason, now_ns, BAN_NS_MAX)
                _shorten(self.hosts)
            else:
                if len(self._strikes) >= STANDINGS_MAX:
                    del self._strikes[next(iter(self._strikes))]
                self._strikes[host] = strikes
        return ban

    def lift(self, peer: bytes) -> None:
        """The key may come again."""
        self.keys.pop(peer, None)

    def of(self, peer: bytes, host: str, *, now_ns: int) -> Ban | None:
        """The ban in force, of the key or else of the host."""
        for ban in (self.keys.get(peer), self.hosts.get(host)):
            if ban is not None and now_ns < ban.until_ns:
                return ban
        return None


def _next(last: Ban | None, reason: str, now_ns: int, ban_ns_max: int) -> Ban:
    count = last.count + 1 if last is not None else 1
    return Ban(now_ns + min(count * BAN_STEP_NS, ban_ns_max), reason, count)


def _shorten(bans: dict[Any, Ban]) -> None:
    if len(bans) > STANDINGS_MAX:
        del bans[min(bans, key=lambda name: bans[name].until_ns)]
