"""Beginning from a snapshot: what is trusted, what is asked of whom, what is checked. A value, like
the core by blocks.

Trust comes from outside: the hash of one block, the checkpoint. From it downwards each header
vouches for its parent, so that no signature is needed, down to the block of a snapshot and the 256
below it, whose hashes execution may ask for. The header of the snapshot's block names the state
root; chunks are held against the manifest as they come, and the state that they make against that
root. A manifest is believed in nothing else: whoever gave one that leads elsewhere is punished, and
the next is tried.

1. the header of the checkpoint, which must have its hash and not be too old
2. manifests of all peers: the newest at or below the checkpoint, of those the one that most give
3. headers from the checkpoint downwards
4. chunks, from all peers that gave the manifest
5. `Install`; block by block from there on is `core.py`'s

A checkpoint older than half the unbonding time is refused: validators that have unbonded meanwhile
could have signed another chain without losing anything.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ghostchain.crypto.hashes import manifest_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.manifests import (
    MANIFEST_BYTES_MAX,
    PACKED_BYTES_MAX,
    Manifest,
    decode_manifest,
    unpack_chunk,
)
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.primitives.types import Hash32
from ghostchain.sync.effects import (
    Choose,
    Install,
    Peer,
    Punish,
    Refuse,
    Request,
    SnapshotEffect,
    SnapshotEffects,
    SnapshotProgress,
    Store,
)
from ghostchain.sync.messages import (
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    Answer,
    GetChunk,
    GetHeaders,
    GetManifest,
    InvalidSyncMessage,
    Refusal,
    Refused,
    SyncReason,
    decode_headers,
    encode_message,
)
from ghostchain.sync.requests import BUSY_NS, SECOND_NS, Asked, Requests

ANCESTORS = 256
"""Headers below the snapshot's block that execution may ask for (BLOCKHASH)."""
SPAN_MAX = 1 << 17
"""Blocks between snapshot and checkpoint at most."""
CHOICE_NS = SECOND_NS
"""How long manifests are waited for after the first came."""
RENEW_NS = 5 * SECOND_NS
"""After this time those who had no snapshot, or another, are asked again."""
ABANDON_NS = 15 * SECOND_NS
"""A snapshot that nobody has any more is given up after this time."""
PROGRESS_NS = SECOND_NS
DISAGREEING_MAX = 3
FIRST_REQUEST = 1 << 31
"""Numbers of requests begin here, so that they are told from those for blocks."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The block that is trusted. age_s_max: how old it may be."""

    height: int
    hash: Hash32
    age_s_max: int


class Kind(Enum):
    """What may be asked for."""

    ANCHOR = "the header of the checkpoint"
    MANIFEST = "a manifest"
    HEADERS = "headers"
    CHUNK = "a chunk"


@dataclass(frozen=True, slots=True)
class What:
    """What was asked: of HEADERS first to last, of a CHUNK its number and manifest."""

    kind: Kind
    first: int = 0
    last: int = 0
    manifest: Hash32 | None = None


class SnapshotCore:
    """See the module. saved, stored: the manifest and chunks of an earlier attempt."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        saved: Manifest | None = None,
        stored: Iterable[int] = (),
        now_ns: int,
    ) -> None:
        self._checkpoint = checkpoint
        self._requests: Requests[What] = Requests(FIRST_REQUEST)
        self._is_anchored = False
        self._disagreeing: set[Peer] = set()
        # Who gave which manifest; None: has none that fits. When each was asked last.
        self._offers: dict[Peer, Hash32 | None] = {}
        self._manifests: dict[Hash32, Manifest] = {}
        self._false: set[Hash32] = set()
        self._asked_ns: dict[Peer, int] = {}
        self._first_offer_ns: int | None = None
        self._chosen: Hash32 | None = None
        self._missing: list[int] = []
        self._served_ns = now_ns
        # The lowest header that the checkpoint vouches for, and the hash that its parent must have.
        self._lowest = 0
        self._wanted_hash = checkpoint.hash
        self._headers: list[bytes] = []
        self._installing = False
        self._is_over = False
        self._progress_ns = now_ns + PROGRESS_NS
        if saved is not None and self._fits(saved):
            self._pursue(saved, now_ns, have=set(stored))

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do: installed, or refused for good."""
        return self._is_over

    # ---- inputs ----

    def on_peer(self, peer: Peer, *, now_ns: int) -> SnapshotEffects:
        """A peer is there."""
        self._requests.claim(peer, self._checkpoint.height)
        return self._next(now_ns)

    def on_closed(self, peer: Peer, *, now_ns: int) -> SnapshotEffects:
        """The peer is gone."""
        self._forget(peer)
        return self._next(now_ns)

    def on_message(
        self, peer: Peer, message: Answer, *, now_ns: int, now_s: float
    ) -> SnapshotEffects:
        """A peer answers. now_s: Unix time."""
        effects: list[SnapshotEffect] = []
        try:
            if isinstance(message, Refused):
                self._on_refused(peer, message, now_ns)
            else:
                asked = self._requests.on_part(peer, message, now_ns)
                if asked is not None:
                    effects += self._on_answer(asked, now_ns, now_s)
        except InvalidSyncMessage as failure:
            effects += self._blame((peer,), failure.reason, str(failure))
        return (*effects, *self._next(now_ns))

    def on_installed(self) -> SnapshotEffects:
        """The answer to `Install`: the state is there, and is the right one."""
        self._is_over = True
        return ()

    def on_install_failed(self, reason: str, *, now_ns: int) -> SnapshotEffects:
        """The answer to `Install`: the chunks are not the state that the header names."""
        self._installing = False
        return (*self._reject(reason), *self._next(now_ns))

    def on_tick(self, *, now_ns: int) -> SnapshotEffects:
        """A moment that `deadline_ns` named has come."""
        effects: list[SnapshotEffect] = []
        late = self._requests.overdue(now_ns)
        self._give_back(late)
        for peer in sorted({asked.peer for asked in late}):
            state = self._requests.peers.get(peer)
            if state is not None and state.is_worn_out:
                effects += self._blame((peer,), SyncReason.STALLING, "")
        effects += self._next(now_ns)
        if now_ns >= self._progress_ns and not self._is_over:
            self._progress_ns = now_ns + PROGRESS_NS
            effects.append(self._progress())
        return tuple(effects)

    def deadline_ns(self, now_ns: int) -> int | None:
        """When `on_tick` is to be called next; there is always something to wait for."""
        if self._is_over:
            return None
        overdue = self._requests.deadline_ns(now_ns)
        return self._progress_ns if overdue is None else min(overdue, self._progress_ns)

    # ---- answers ----

    def _on_refused(self, peer: Peer, message: Refused, now_ns: int) -> None:
        asked = self._requests.on_refused(peer, message.request)
        if asked is None:
            return
        self._give_back((asked,))
        state = self._requests.peers[peer]
        if message.refusal == Refusal.BUSY:
            state.blocked_until_ns = now_ns + BUSY_NS
        elif asked.what.kind in (Kind.MANIFEST, Kind.CHUNK):
            # It has none, or no longer that one.
            self._offers[peer] = None
        else:
            # It does not have these headers: somebody else is asked first.
            state.blocked_until_ns = now_ns + RENEW_NS

    def _on_answer(self, asked: Asked[What], now_ns: int, now_s: float) -> list[SnapshotEffect]:
        """Raises: InvalidSyncMessage."""
        data = bytes(asked.data)
        try:
            if asked.what.kind is Kind.ANCHOR:
                return self._on_anchor(asked.peer, data, now_s)
            if asked.what.kind is Kind.MANIFEST:
                self._on_manifest(asked.peer, data, now_ns)
                return []
            if asked.what.kind is Kind.HEADERS:
                return self._on_headers(asked.what, data)
            return self._on_chunk(asked, data, now_ns)
        except InvalidSyncMessage:
            self._give_back((asked,))
            raise

    def _on_anchor(self, peer: Peer, data: bytes, now_s: float) -> list[SnapshotEffect]:
        (header,) = decode_headers(data, self._checkpoint.height, 1)
        if self._is_anchored:
            return []
        if header.hash != self._checkpoint.hash:
            # Which of the two is wrong, one peer cannot tell.
            self._disagreeing.add(peer)
            if len(self._disagreeing) >= DISAGREEING_MAX:
                return self._refuse(
                    f"{len(self._disagreeing)} peers have another block at height "
                    f"{header.height} than the checkpoint 0x{self._checkpoint.hash.hex()}: it is "
                    "not of their chain; check it"
                )
            return []
        age = int(now_s) - header.timestamp
        if age > self._checkpoint.age_s_max:
            return self._refuse(
                f"the checkpoint at height {header.height} is {age} s old, and at most "
                f"{self._checkpoint.age_s_max} s (half the unbonding time) are safe; take a newer "
                "block's hash from somebody you trust"
            )
        self._is_anchored = True
        return []

    def _on_manifest(self, peer: Peer, data: bytes, now_ns: int) -> None:
        try:
            manifest = decode_manifest(data)
        except InvalidEncoding as failure:
            raise InvalidSyncMessage(SyncReason.MALFORMED, str(failure)) from failure
        if manifest.height > self._checkpoint.height:
            raise InvalidSyncMessage(SyncReason.FALSE_MANIFEST, f"of height {manifest.height}")
        name = manifest_hash(manifest)
        if name in self._false:
            raise InvalidSyncMessage(SyncReason.FALSE_MANIFEST, f"0x{name.hex()}, known as false")
        if not self._fits(manifest):
            self._offers[peer] = None
            return
        self._offers[peer] = name
        self._manifests.setdefault(name, manifest)
        if self._first_offer_ns is None:
            self._first_offer_ns = now_ns

    def _fits(self, manifest: Manifest) -> bool:
        return 1 <= manifest.height <= self._checkpoint.height <= manifest.height + SPAN_MAX

    def _on_headers(self, what: What, data: bytes) -> list[SnapshotEffect]:
        headers = decode_headers(data, what.first, what.last - what.first + 1)
        if what.last != self._lowest - 1:
            return []
        if headers[-1].hash != self._wanted_hash:
            detail = f"header {what.last} is not that of the checkpoint's chain"
            raise InvalidSyncMessage(SyncReason.NOT_LINKED, detail)
        self._lowest, self._wanted_hash = headers[0].height, headers[0].parent_hash
        manifest = self._manifest
        if manifest is None:
            return []
        kept = [header.encoded for header in headers if header.height <= manifest.height]
        self._headers = kept + self._headers
        for header in headers:
            if header.height == manifest.height and (header.hash, header.state_root) != (
                manifest.block_hash,
                manifest.state_root,
            ):
                return self._reject(f"block {header.height} of the chain is another one")
        return []

    def _on_chunk(self, asked: Asked[What], data: bytes, now_ns: int) -> list[SnapshotEffect]:
        manifest, number = self._manifest, asked.what.first
        if manifest is None or asked.what.manifest != self._chosen:
            return []
        try:
            chunk = unpack_chunk(data)
        except InvalidEncoding as failure:
            raise InvalidSyncMessage(SyncReason.WRONG_CHUNK, str(failure)) from failure
        if keccak256(chunk) != manifest.chunks[number]:
            raise InvalidSyncMessage(SyncReason.WRONG_CHUNK, f"chunk {number}")
        self._served_ns = now_ns
        return [Store(number, data)]

    def _give_back(self, requests: Iterable[Asked[What]]) -> None:
        for asked in requests:
            if asked.what.kind is Kind.CHUNK and asked.what.manifest == self._chosen:
                bisect.insort(self._missing, asked.what.first)

    def _forget(self, peer: Peer) -> None:
        self._offers.pop(peer, None)
        self._asked_ns.pop(peer, None)
        self._give_back(self._requests.forget(peer))

    def _blame(
        self, peers: Iterable[Peer], reason: SyncReason, detail: str
    ) -> list[SnapshotEffect]:
        effects: list[SnapshotEffect] = []
        for peer in sorted(peers):
            self._forget(peer)
            effects.append(Punish(peer, reason, detail))
        return effects

    # ---- choosing ----

    @property
    def _manifest(self) -> Manifest | None:
        return None if self._chosen is None else self._manifests[self._chosen]

    def _pursue(self, manifest: Manifest, now_ns: int, have: set[int]) -> None:
        """This is the snapshot to be fetched. have: chunks of it that are stored."""
        name = manifest_hash(manifest)
        self._manifests[name] = manifest
        self._chosen = name
        self._missing = [number for number in range(len(manifest.chunks)) if number not in have]
        self._served_ns = now_ns
        self._lowest, self._wanted_hash = self._checkpoint.height + 1, self._checkpoint.hash
        self._headers = []

    def _reject(self, reason: str) -> list[SnapshotEffect]:
        """The chosen manifest is false, and so is whoever gave it."""
        assert self._chosen is not None
        name, self._chosen = self._chosen, None
        self._false.add(name)
        del self._manifests[name]
        self._missing, self._headers = [], []
        liars = [peer for peer, offer in self._offers.items() if offer == name]
        return self._blame(liars, SyncReason.FALSE_MANIFEST, reason)

    def _choose(self, now_ns: int) -> list[SnapshotEffect]:
        """The newest of the snapshots offered, and of those the one that most peers have."""
        if self._chosen is not None:
            has_peer = self._chosen in self._offers.values()
            if self._missing and not has_peer and now_ns >= self._served_ns + ABANDON_NS:
                self._manifests.pop(self._chosen)
                self._chosen = None
            else:
                return []
        offered = [name for name in self._offers.values() if name is not None]
        waiting = any(asked.what.kind is Kind.MANIFEST for asked in self._requests.asked.values())
        if not offered or self._first_offer_ns is None:
            return []
        if waiting and now_ns < self._first_offer_ns + CHOICE_NS:
            return []
        name = max(
            sorted(set(offered)),
            key=lambda name: (self._manifests[name].height, offered.count(name)),
        )
        manifest = self._manifests[name]
        self._pursue(manifest, now_ns, set())
        return [Choose(manifest)]

    def _refuse(self, reason: str) -> list[SnapshotEffect]:
        self._is_over = True
        return [Refuse(reason)]

    # ---- asking ----

    def _next(self, now_ns: int) -> SnapshotEffects:
        """What follows from where things are."""
        if self._is_over or self._installing:
            return ()
        if not self._is_anchored:
            return tuple(self._ask_anchor(now_ns))
        effects = self._ask_manifests(now_ns)
        effects += self._choose(now_ns)
        manifest = self._manifest
        if manifest is None:
            return tuple(effects)
        bottom = max(1, manifest.height - ANCESTORS)
        if self._lowest > bottom:
            effects += self._ask_headers(bottom, now_ns)
        # Chunks wait until the manifest's block is known to be of the chain.
        if self._lowest <= manifest.height:
            effects += self._ask_chunks(manifest, now_ns)
        fetching = any(asked.what.kind is Kind.CHUNK for asked in self._requests.asked.values())
        if self._lowest == bottom and not self._missing and not fetching:
            self._installing = True
            effects.append(Install(manifest, tuple(self._headers)))
        return tuple(effects)

    def _ask_anchor(self, now_ns: int) -> list[SnapshotEffect]:
        """The header of the checkpoint, of several at once: it is small."""
        asked = {one.peer for one in self._requests.asked.values()}
        height = self._checkpoint.height
        return [
            self._request(peer, What(Kind.ANCHOR, height, height), now_ns)
            for peer, _ in self._requests.idle(now_ns)
            if peer not in asked and peer not in self._disagreeing
        ]

    def _ask_manifests(self, now_ns: int) -> list[SnapshotEffect]:
        """Everybody once, and again now and then who does not have the one that is fetched."""
        effects: list[SnapshotEffect] = []
        for peer, _ in self._requests.idle(now_ns):
            has_it = peer in self._offers and self._offers[peer] == self._chosen is not None
            if peer in self._disagreeing or has_it:
                continue
            if now_ns >= self._asked_ns.get(peer, now_ns - RENEW_NS) + RENEW_NS:
                self._asked_ns[peer] = now_ns
                effects.append(self._request(peer, What(Kind.MANIFEST), now_ns))
        return effects

    def _ask_headers(self, bottom: int, now_ns: int) -> list[SnapshotEffect]:
        """The next run of headers downwards, of one peer at a time."""
        if any(asked.what.kind is Kind.HEADERS for asked in self._requests.asked.values()):
            return []
        for peer, _ in self._requests.idle(now_ns):
            if peer not in self._disagreeing:
                last = self._lowest - 1
                first = max(bottom, last - HEADERS_MAX + 1)
                return [self._request(peer, What(Kind.HEADERS, first, last), now_ns)]
        return []

    def _ask_chunks(self, manifest: Manifest, now_ns: int) -> list[SnapshotEffect]:
        effects: list[SnapshotEffect] = []
        for peer, state in self._requests.idle(now_ns):
            if self._offers.get(peer) != self._chosen:
                continue
            while self._missing and state.in_flight < state.window:
                number = self._missing.pop(0)
                what = What(Kind.CHUNK, number, number, self._chosen)
                effects.append(self._request(peer, what, now_ns))
        return effects

    def _request(self, peer: Peer, what: What, now_ns: int) -> Request:
        bytes_max = {
            Kind.MANIFEST: MANIFEST_BYTES_MAX,
            Kind.CHUNK: PACKED_BYTES_MAX,
        }.get(what.kind, (what.last - what.first + 1) * (2 + HEADER_BYTES_MAX))
        number = self._requests.ask(peer, what, bytes_max, now_ns)
        message: GetManifest | GetChunk | GetHeaders
        if what.kind is Kind.MANIFEST:
            message = GetManifest(number, self._checkpoint.height)
        elif what.kind is Kind.CHUNK:
            assert what.manifest is not None
            message = GetChunk(number, what.manifest, what.first)
        else:
            message = GetHeaders(number, what.first, what.last - what.first + 1)
        return Request(peer, encode_message(message))

    # ---- progress ----

    def _progress(self) -> SnapshotProgress:
        manifest, total = self._manifest, 0
        if not self._is_anchored:
            doing = f"asking for block {self._checkpoint.height}, the checkpoint"
            if self._disagreeing:
                doing += f" ({len(self._disagreeing)} peers have another block there)"
        elif manifest is None:
            doing = f"looking for a snapshot at or below block {self._checkpoint.height}"
        elif self._installing:
            doing = "building the state and computing its root"
        elif self._lowest > manifest.height:
            doing = "fetching headers"
        else:
            doing = "fetching the state"
        if manifest is not None:
            total = len(manifest.chunks)
        under_way = sum(asked.what.kind is Kind.CHUNK for asked in self._requests.asked.values())
        done = total - len(self._missing) - under_way if manifest is not None else 0
        height = self._checkpoint.height if manifest is None else manifest.height
        return SnapshotProgress(doing, height, done, total, len(self._requests.peers))
