"""How much an address or a peer may ask for, decided before anything costly. Sans-IO: time comes in
as nanoseconds of a clock that never goes back.

A datagram that would begin a connection meets `Gate.judge`:

1. No room for one more connection, or no handshake left in this second for the whole node: dropped.
2. With a token that a Retry of this node gave the same address (RFC 9000, 8.1.2): the address is
   real, its prefix pays with its bucket of proven handshakes, and is dropped when that is empty.
3. Without one: the prefix pays with its bucket of unproven handshakes. When that is empty, or many
   handshakes are half open, it is told to prove itself by a Retry. A forger of addresses thus
   spends what nobody else needs: whoever can receive at his address is served from the other
   bucket. Retries too have a rate, for the whole node.

Every table is bounded: the prefix that was quiet for longest is forgotten first.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

SECOND_NS = 1_000_000_000


class TokenBucket:
    """So many a second, and a burst. What is larger than what is left may be taken as long as
    anything is left, and is paid off before the next."""

    __slots__ = ("_burst", "_filled_ns", "_level", "_rate")

    def __init__(self, per_second: int, burst: int, now_ns: int) -> None:
        # A billionth of a token is what one a second gives in a nanosecond: all stays whole.
        self._rate = per_second
        self._burst = burst * SECOND_NS
        self._level = self._burst
        self._filled_ns = now_ns

    def _fill(self, now_ns: int) -> int:
        passed_ns = now_ns - self._filled_ns
        if passed_ns > 0:
            self._level = min(self._burst, self._level + passed_ns * self._rate)
            self._filled_ns = now_ns
        return self._level

    def take(self, count: int, now_ns: int) -> bool:
        """Whether anything was left; if so, count of it is taken."""
        if self._fill(now_ns) <= 0:
            return False
        self._level -= count * SECOND_NS
        return True

    def take_whole(self, count: int, now_ns: int) -> bool:
        """Whether all of count was left; if so, it is taken."""
        if self._fill(now_ns) < count * SECOND_NS:
            return False
        self._level -= count * SECOND_NS
        return True

    def wait_ns(self, now_ns: int) -> int:
        """Until something is left; 0 when it is."""
        level = self._fill(now_ns)
        return 0 if level > 0 else -level // self._rate + 1


def prefix_of(host: str) -> bytes:
    """What is counted as one place: an IPv4 address, the first 64 bits of an IPv6 address."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return address.packed[:8]
        address = address.ipv4_mapped
    return address.packed


def is_loopback(host: str) -> bool:
    """Whether the address is of this machine alone."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Of the whole node, if not said otherwise."""

    connections_max: int = 128
    inbound_max: int = 96
    half_open_max: int = 48
    """Inbound connections whose handshake is not done."""
    half_open_for_retry: int = 12
    """From so many on, addresses must prove themselves."""
    per_prefix_max: int = 12
    """Inbound connections from one prefix."""
    handshakes_per_second: int = 40
    handshakes_burst: int = 80
    prefix_handshakes_per_second: int = 1
    """Of one prefix: proven ones; unproven ones have a bucket as large beside it."""
    prefix_handshakes_burst: int = 8
    retries_per_second: int = 500
    prefixes_max: int = 4_096
    """Prefixes that are remembered."""
    spare_loopback: bool = True
    """Peers on the same machine are not counted by prefix, and need no proof of address."""


class Verdict(Enum):
    """What happens to a datagram that would begin a connection."""

    ACCEPT = "accepted"
    RETRY = "told to prove its address"
    DROP_FULL = "dropped: no room for another connection"
    DROP_HALF_OPEN = "dropped: too many unfinished handshakes"
    DROP_PREFIX_FULL = "dropped: too many connections of the address"
    DROP_PREFIX_RATE = "dropped: too many handshakes of the address"
    DROP_RATE = "dropped: too many handshakes"
    DROP_RETRY_RATE = "dropped: too many addresses to prove"


class _Prefix:
    __slots__ = ("connections", "proven", "unproven")

    def __init__(self, limits: GateLimits, now_ns: int) -> None:
        rate, burst = limits.prefix_handshakes_per_second, limits.prefix_handshakes_burst
        self.proven = TokenBucket(rate, burst, now_ns)
        self.unproven = TokenBucket(rate, burst, now_ns)
        self.connections = 0


class Gate:
    """Who may begin a connection. Whoever is accepted is told of by `opened` at once, and later by
    `established` and `closed`."""

    def __init__(self, limits: GateLimits, now_ns: int) -> None:
        # Else there might be none to forget.
        assert limits.prefixes_max > limits.inbound_max
        self.limits = limits
        self.inbound = 0
        self.outbound = 0
        self.half_open = 0
        self._prefixes: OrderedDict[bytes, _Prefix] = OrderedDict()
        self._handshakes = TokenBucket(
            limits.handshakes_per_second, limits.handshakes_burst, now_ns
        )
        self._retries = TokenBucket(limits.retries_per_second, limits.retries_per_second, now_ns)

    def judge(self, host: str, *, has_token: bool, now_ns: int) -> Verdict:
        """What to do with the first datagram of a connection from there."""
        limits = self.limits
        if (
            self.inbound >= limits.inbound_max
            or self.inbound + self.outbound >= limits.connections_max
        ):
            return Verdict.DROP_FULL
        if self.half_open >= limits.half_open_max:
            return Verdict.DROP_HALF_OPEN
        if not (limits.spare_loopback and is_loopback(host)):
            verdict = self._judge_prefix(host, has_token, now_ns)
            if verdict is not Verdict.ACCEPT:
                return verdict
        if not self._handshakes.take_whole(1, now_ns):
            return Verdict.DROP_RATE
        return Verdict.ACCEPT

    def _judge_prefix(self, host: str, has_token: bool, now_ns: int) -> Verdict:
        prefix = self._prefix(prefix_of(host), now_ns)
        if prefix.connections >= self.limits.per_prefix_max:
            return Verdict.DROP_PREFIX_FULL
        if has_token:
            if prefix.proven.take_whole(1, now_ns):
                return Verdict.ACCEPT
            return Verdict.DROP_PREFIX_RATE
        if self.half_open < self.limits.half_open_for_retry and prefix.unproven.take_whole(
            1, now_ns
        ):
            return Verdict.ACCEPT
        if self._retries.take_whole(1, now_ns):
            return Verdict.RETRY
        return Verdict.DROP_RETRY_RATE

    def _prefix(self, key: bytes, now_ns: int) -> _Prefix:
        prefix = self._prefixes.get(key)
        if prefix is None:
            if len(self._prefixes) >= self.limits.prefixes_max:
                self._forget_one()
            prefix = self._prefixes[key] = _Prefix(self.limits, now_ns)
        else:
            self._prefixes.move_to_end(key)
        return prefix

    def _forget_one(self) -> None:
        """The quietest prefix that has no connection goes: those that have are few."""
        key = next(key for key, prefix in self._prefixes.items() if not prefix.connections)
        del self._prefixes[key]

    @property
    def prefixes(self) -> int:
        """How many are remembered."""
        return len(self._prefixes)

    def opened(self, host: str, *, inbound: bool, now_ns: int) -> None:
        """A connection from or to there has begun."""
        if not inbound:
            self.outbound += 1
            return
        self.inbound += 1
        self.half_open += 1
        self._prefix(prefix_of(host), now_ns).connections += 1

    def established(self, *, inbound: bool) -> None:
        """Its handshake is done."""
        if inbound:
            self.half_open -= 1

    def closed(self, host: str, *, inbound: bool, was_established: bool) -> None:
        """It is gone."""
        if not inbound:
            self.outbound -= 1
            return
        self.inbound -= 1
        if not was_established:
            self.half_open -= 1
        # A prefix with a connection is never forgotten.
        self._prefixes[prefix_of(host)].connections -= 1
        assert self.inbound >= 0
        assert self.half_open >= 0
