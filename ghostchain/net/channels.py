"""The classes of traffic: what goes first, how large a message may be, how much may wait, and how
much a peer may say in a second.

Each channel is one unidirectional QUIC stream per direction that lives as long as the connection.
Its number is the ordinal of that stream, so both ends know what a stream is for without a word.
Votes take a stream too: a DATAGRAM frame costs an eighth less, and is lost for good (measured in
benchmarks/bench_net.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

KIB = 1 << 10
MIB = 1 << 20


class Channel(IntEnum):
    """Who may speak of what. The number is the ordinal of the stream."""

    VOTES = 0
    PROPOSALS = 1
    BLOCKS = 2
    EVIDENCE = 3
    TRANSACTIONS = 4
    SYNC = 5
    CONTROL = 6


CHANNELS = len(Channel)

PRIORITY = (
    Channel.CONTROL,
    Channel.VOTES,
    Channel.PROPOSALS,
    Channel.BLOCKS,
    Channel.EVIDENCE,
    Channel.TRANSACTIONS,
    Channel.SYNC,
)
"""First to last: whatever waits in an earlier one leaves before anything of a later one."""


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """What one connection may use of one channel.

    frame_bytes_max     the longest message, both ways
    queue_bytes_max     what waits here to be sent; beyond it `send` says False
    window_bytes        what the peer may send before this node has taken it (flow control)
    receive_bytes       a second that are taken from the peer, and a burst of as much
    receive_messages    a second that are taken from the peer, and a burst of twice as many
    stall_seconds       a peer that takes nothing of a waiting queue for so long is closed
    """

    frame_bytes_max: int
    queue_bytes_max: int
    window_bytes: int
    receive_bytes: int
    receive_messages: int
    stall_seconds: int = 20


LIMITS: tuple[ChannelLimits, ...] = (
    # A certificate of a hundred validators has about ten kilobytes.
    ChannelLimits(64 * KIB, 1 * MIB, 256 * KIB, 4 * MIB, 4_000, 10),
    # A compact block of ten thousand transactions has a third of a megabyte.
    ChannelLimits(4 * MIB, 16 * MIB, 1 * MIB, 16 * MIB, 200),
    # A whole block has at most ten (EIP-7934).
    ChannelLimits(12 * MIB, 24 * MIB, 2 * MIB, 32 * MIB, 1_000),
    ChannelLimits(64 * KIB, 1 * MIB, 64 * KIB, 1 * MIB, 200),
    # The sidecar of a blob transaction has up to about one.
    ChannelLimits(2 * MIB, 8 * MIB, 1 * MIB, 16 * MIB, 5_000),
    ChannelLimits(12 * MIB, 24 * MIB, 4 * MIB, 64 * MIB, 2_000),
    ChannelLimits(64 * KIB, 256 * KIB, 64 * KIB, 1 * MIB, 200, 10),
)
"""The usual limits, by the number of the channel."""

assert len(LIMITS) == CHANNELS
