"""What is known of a connection, and the limits of how many there are."""

from __future__ import annotations

from dataclasses import dataclass, field

from ghostchain.p2p.effects import Peer
from ghostchain.p2p.messages import Channel, Hello


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """How many peers of which sort.

    inbound_max: that dialled us. outbound_target: how many this node dials on its own account,
    validators that it needs beside them. dialing_max: dials under way. near_max: of one network
    (/24, /48), with public addresses; near_private_max: with private ones; those of this machine
    are not counted. spare: connections above inbound_max that may say hello: a validator shows
    itself and takes the place of another, others are told of peers and leave.
    """

    inbound_max: int = 40
    outbound_target: int = 10
    dialing_max: int = 16
    near_max: int = 8
    near_private_max: int = 64
    spare: int = 8


@dataclass(slots=True)
class Allowance:
    """What a peer may still send on a channel: buckets of bytes and of messages."""

    bytes_left: float
    messages_left: float
    at_ns: int


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
