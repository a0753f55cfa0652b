"""What catching up wants done, as values. Their order is the order in which the driver acts."""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.encoding.manifests import Manifest
from ghostchain.sync.messages import SyncBlock, SyncReason

Peer = bytes
"""A node key, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """Send the payload to the peer."""

    peer: Peer
    payload: bytes


@dataclass(frozen=True, slots=True)
class Punish:
    """The peer said what no honest one says, or does not do what it claims. The core has forgotten
    it already; it is known again when it says a height again."""

    peer: Peer
    reason: SyncReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verify:
    """For each of these blocks, rising and linked: does its certificate prove it, and does what
    stands beside it belong to it? Answer with `on_verified` and the same batch number. True, False,
    or None while that cannot be told, because earlier blocks have not been executed."""

    batch: int
    blocks: tuple[SyncBlock, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The node is behind, and proven blocks above its head are here: from now on only `Import`
    moves the chain, until `Done`. Stop deciding before acting on what follows."""

    height: int
    target: int


@dataclass(frozen=True, slots=True)
class Import:
    """Execute and commit these proven blocks, which follow what was given before. Answer with
    `on_imported` for each, or `on_import_failed` for the first that fails, after which nothing of
    what was given is imported any more."""

    blocks: tuple[SyncBlock, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the node is. Rates are of the last seconds; eta_s is None while none is known."""

    height: int
    target: int
    blocks_per_s: float
    transactions_per_s: float
    bytes_per_s: float
    eta_s: float | None
    peers: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """A proven block of that height, with the body of its header, does not hold here. That is
    nobody's fault who sent it; syncing waits before it tries again."""

    height: int
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """Everything that was given is imported and no peer known to deliver is more than one block
    ahead: consensus goes on above height."""

    height: int


@dataclass(frozen=True, slots=True)
class Choose:
    """This snapshot is being fetched from now on. Keep its manifest, and forget what was stored of
    another."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Store:
    """Keep this chunk of the chosen snapshot. It is the one that the manifest names. packed: as it
    came."""

    number: int
    packed: bytes


@dataclass(frozen=True, slots=True)
class Install:
    """All chunks are stored: make the state of them, and hold it against the state root of the last
    header. Answer with `on_installed` or `on_install_failed`. headers: RLP, linked and rising; the
    checkpoint vouches for them."""

    manifest: Manifest
    headers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """There will be no state, for this reason, whoever is asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class SnapshotProgress:
    """What is being done, in words, and how far: chunks of chunks_total."""

    doing: str
    height: int
    chunks: int
    chunks_total: int
    peers: int


Effect = Request | Punish | Verify | Started | Import | Progress | Stuck | Done
Effects = tuple[Effect, ...]

SnapshotEffect = Request | Punish | Choose | Store | Install | Refuse | SnapshotProgress
SnapshotEffects = tuple[SnapshotEffect, ...]
