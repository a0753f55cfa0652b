"""What the core of the peers wants done, as values; their order is the order in which the driver
acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from ghostchain.p2p.messages import Channel
from ghostchain.p2p.scoring import Offence
from ghostchain.primitives.types import Hash32

Peer = bytes
"""A node's key: its Ed25519 public key, 32 bytes, which the transport has authenticated."""

Item = TypeVar("Item")


class Chance(Protocol):
    """Random choices; `random.Random` of an injected seed."""

    def random(self) -> float:
        """At least 0, below 1."""

    def sample(self, population: Sequence[Item], k: int) -> list[Item]:
        """k different ones."""


class CloseReason(Enum):
    """Why this node ends a connection; the other side is told."""

    WRONG_CHAIN = "another chain id"
    WRONG_GENESIS = "another genesis"
    NO_COMMON_VERSION = "no common version of the protocol"
    SELF = "this is myself"
    BANNED = "banned"
    TOO_MANY_PEERS = "too many peers"
    TOO_MANY_NEAR = "too many peers of one network"
    MADE_ROOM = "made room for a validator"
    TURNED_AWAY = "has no room for me"
    SILENT = "no hello, or no sign of life, in time"
    MISBEHAVED = "misbehaved"
    UNWANTED = "no longer wanted"


@dataclass(frozen=True, slots=True)
class WholeBlock:
    """A block and what travels beside it. header and withdrawals are RLP, transactions canonical
    bytes, attachment opaque. hashes: of the transactions; listing: of these (`listing_of`)."""

    block_id: Hash32
    header: bytes
    transactions: tuple[bytes, ...]
    withdrawals: bytes
    attachment: bytes
    hashes: tuple[Hash32, ...]
    listing: Hash32


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """Who a peer is, to whoever asks. host, port: the remote end of the connection. validator: the
    consensus key that it has proven, None without. points: not forgiven yet."""

    peer: Peer
    host: str
    port: int
    inbound: bool
    software: str
    version: int
    head: int
    validator: bytes | None
    latency_ns: int | None
    connected_ns: int
    points: float


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to the peer there; the answer is a connection, or that dialling failed."""

    peer: Peer
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection. The core knows it as ended already."""

    peer: Peer
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame. What does not fit into the peer's queue is lost."""

    peer: Peer
    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """A frame of a channel that others understand."""

    peer: Peer
    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerUp:
    """Hellos were exchanged: frames go both ways from now on."""

    info: PeerInfo


@dataclass(frozen=True, slots=True)
class PeerDown:
    """It is a peer no longer."""

    peer: Peer
    reason: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The peer says that its chain has this height."""

    peer: Peer
    head: int


@dataclass(frozen=True, slots=True)
class Offended:
    """For whoever watches: the peer did this."""

    peer: Peer
    offence: Offence
    detail: str


@dataclass(frozen=True, slots=True)
class Banned:
    """For whoever watches: the peer is not spoken to until then (Unix nanoseconds)."""

    peer: Peer
    until_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Transactions that came from a peer, for the pool; answer with on_verdicts."""

    peer: Peer
    raws: tuple[bytes, ...]
    hashes: tuple[Hash32, ...]


class Verdict(Enum):
    """What the pool made of a transaction."""

    ACCEPTED = 1
    REFUSED = 2
    INVALID = 3
    """It can never be valid on this chain: whoever passed it on did not look at it."""


class BlockFailure(Enum):
    """Why a block could not be had."""

    TOO_MANY = "too many blocks are being fetched"
    NOT_FOUND = "no peer gave it in time"
    CANCELLED = "no longer wanted"


@dataclass(frozen=True, slots=True)
class BlockReady:
    """The block is whole, and its header commits to all of it."""

    block: WholeBlock


@dataclass(frozen=True, slots=True)
class BlockFailed:
    """The block could not be had; ask again if it is still wanted."""

    block_id: Hash32
    reason: BlockFailure


@dataclass(frozen=True, slots=True)
class BookChanged:
    """The peer book is worth keeping again."""


@dataclass(frozen=True, slots=True)
class Blame:
    """Inside the core: one of its parts found a peer guilty."""

    peer: Peer
    offence: Offence
    detail: str = ""


Effect = (
    Dial
    | Close
    | Send
    | Deliver
    | PeerUp
    | PeerDown
    | Heard
    | Offended
    | Banned
    | Submit
    | BlockReady
    | BlockFailed
    | BookChanged
    | Blame
)
Effects = tuple[Effect, ...]

FindTransactions = Callable[[Sequence[Hash32]], Sequence[bytes | None]]
"""The canonical bytes of those that are at hand, in the order asked; None for the others."""

FindWaiting = Callable[[int], Sequence[Hash32]]
"""Hashes of transactions that wait, at most so many, those that could be in the next block first.
Those with blobs are left out."""

FindBlock = Callable[[Hash32], WholeBlock | None]
"""A block that is being decided, or was."""

Matches = Callable[[WholeBlock], bool]
"""Whether transactions, withdrawals and attachment are what the header commits to."""
