"""What is known of a connection, and the limits of how many there are."""

from __future__ import annotations

from dataclasses import dataclass, field

from ghostchain.p2p.effects import Peer
from ghostchain.p2p.messages import CHANNEL_LIMITS, Channel, ChannelLimits, Hello
from ghostchain.p2p.scoring import SECOND_NS


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """How many peers of which sort.

    inbound_max: that dialled us; more only when all are validators. outbound_target: how many this
    node dials on its own account, validators that it needs beside them. dialing_max: dials under
    way. near_max: of one network (/24, /48), with public addresses; near_private_max: with private
    ones; those of this machine are not counted. spare: connections above inbound_max that may say
    hello: a validator shows itself and takes the place of another, others are told of peers and
    leave.
    """

    inbound_max: int = 40
    outbound_target: int = 10
    dialing_max: int = 16
    near_max: int = 8
    near_private_max: int = 64
    spare: int = 8


class Budget:
    """So many a second, twice that at once, full at first."""

    __slots__ = ("_at_ns", "_left", "_most", "_rate")

    def __init__(self, per_second: int, now_ns: int) -> None:
        self._rate = per_second / SECOND_NS
        self._most = self._left = 2.0 * per_second
        self._at_ns = now_ns

    def left(self, now_ns: int) -> float:
        """What may be used now."""
        self._left = min(self._most, self._left + (now_ns - self._at_ns) * self._rate)
        self._at_ns = now_ns
        return self._left

    def take(self, count: int, now_ns: int) -> bool:
        """Whether so much was left; it is used then."""
        if self.left(now_ns) < count:
            return False
        self._left -= count
        return True


SLACK = 2
"""The transport shapes each channel to its limits already; what comes at more than so many times
that rate was not shaped, and is punished."""


class Allowance:
    """What a peer may still send on a channel: buckets of bytes and of messages, full at first."""

    __slots__ = (
        "_at_ns",
        "_byte_rate",
        "_bytes",
        "_bytes_max",
        "_message_rate",
        "_messages",
        "_messages_max",
    )

    def __init__(self, limits: ChannelLimits, now_ns: int) -> None:
        self._byte_rate = limits.bytes_per_second * SLACK / SECOND_NS
        self._message_rate = limits.messages_per_second * SLACK / SECOND_NS
        self._bytes_max = self._bytes = (
            float(limits.bytes_per_second) * limits.burst_seconds * SLACK
        )
        self._messages_max = self._messages = (
            float(limits.messages_per_second) * limits.burst_seconds * SLACK
        )
        self._at_ns = now_ns

    def take(self, size: int, now_ns: int) -> bool:
        """Whether a message of that size fits; it uses up its share then."""
        elapsed = now_ns - self._at_ns
        if elapsed > 0:
            self._at_ns = now_ns
            bytes_left = self._bytes + elapsed * self._byte_rate
            messages_left = self._messages + elapsed * self._message_rate
            self._bytes = bytes_left if bytes_left < self._bytes_max else self._bytes_max
            self._messages = (
                messages_left if messages_left < self._messages_max else self._messages_max
            )
        if self._messages < 1 or self._bytes < size:
            return False
        self._messages -= 1
        self._bytes -= size
        return True


@dataclass(slots=True)
class Connection:
    """One connected peer.

    hello: what it said, None before. is_guest: there is no room for it; it was told of others and
    is expected to leave. is_up: hellos were exchanged and it welcomed us. validator:
    the consensus key that it has proven to speak for. early: frames to deliver when it is up.
    """

    peer: Peer
    host: str
    port: int
    inbound: bool
    connected_ns: int
    hello: Hello | None = None
    is_guest: bool = False
    version: int = 0
    is_welcome: bool = False
    is_up: bool = False
    head: int = 0
    validator: bytes | None = None
    early: list[tuple[Channel, bytes]] = field(default_factory=list)
    early_bytes: int = 0
    allowances: dict[int, Allowance] = field(default_factory=dict)
    pings: int = 0
    pinged_ns: int = 0
    is_pong_due: bool = False
    latency_ns: int | None = None

    def takes(self, channel: int, size: int, now_ns: int) -> bool:
        """Whether a frame is within the peer's share of the channel, which it uses up."""
        allowance = self.allowances.get(channel)
        if allowance is None:
            allowance = Allowance(CHANNEL_LIMITS[Channel(channel)], now_ns)
            self.allowances[channel] = allowance
        return allowance.take(size, now_ns)
