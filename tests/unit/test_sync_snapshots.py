"""Beginning from a snapshot among peers of every sort, in virtual time; and once for real."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.snapshot import SnapshotDownload, SnapshotFolder, SnapshotKeeper
from ghostchain.chain.verify import verify_state
from ghostchain.crypto.hashes import manifest_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import encode_header
from ghostchain.encoding.manifests import (
    Manifest,
    encode_manifest,
    pack_chunk,
    unpack_chunk,
)
from ghostchain.node.syncing import DownloadPort, SyncPort
from ghostchain.primitives.errors import ForeignDirectory
from ghostchain.primitives.types import EMPTY_ROOT, Hash32
from ghostchain.sync.beginning import SnapshotDriver
from ghostchain.sync.driver import answer_to
from ghostchain.sync.effects import Peer, SnapshotProgress
from ghostchain.sync.messages import (
    GetChunk,
    GetHeaders,
    GetManifest,
    Item,
    Part,
    Refusal,
    Refused,
    Request,
    decode_headers,
    decode_message,
    encode_headers,
    encode_message,
)
from ghostchain.sync.ports import InstallFailed
from ghostchain.sync.snapshots import Checkpoint
from tests.sync_world import HEADER, MILLISECOND_NS, SECOND_NS, blocks_of
from tests.unit.test_sync_state_snapshot import GENESIS, seal

CHAIN = blocks_of(1_500)
NOW_S = HEADER.timestamp + 1_000
AGE_S = 2_000
SEEDS = range(4)


def header_of(item: Item) -> bytes:
    _, start, _ = rlp.span(item[0])
    _, _, end = rlp.span(item[0], start)
    return item[0][start:end]


HEADERS = [header_of(item) for item in CHAIN]


def chunks_at(height: int, count: int = 40) -> list[bytes]:
    """What the state after that block is in these tests."""
    return [Random(height * 1_000 + number).randbytes(5_000) for number in range(count)]


def manifest_of(height: int, chunks: Sequence[bytes], block_hash: bytes | None = None) -> Manifest:
    return Manifest(
        height,
        Hash32(block_hash or keccak256(HEADERS[height - 1])),
        EMPTY_ROOT,
        1,
        2,
        3,
        sum(map(len, chunks)),
        tuple(keccak256(chunk) for chunk in chunks),
    )


class Source:
    """An honest peer that serves snapshots; others override what they do differently."""

    headers: Sequence[bytes] = HEADERS

    def __init__(self, name: str, *heights: int) -> None:
        self.key = name.encode().ljust(32, b".")
        self.snapshots = {height: chunks_at(height) for height in heights}
        self.asked: list[Request] = []

    def manifest(self, height_max: int) -> Manifest | None:
        heights = [height for height in self.snapshots if height <= height_max]
        return manifest_of(max(heights), self.snapshots[max(heights)]) if heights else None

    def chunk(self, name: bytes, number: int) -> bytes | None:
        for height, chunks in self.snapshots.items():
            if manifest_hash(manifest_of(height, chunks)) == name and number < len(chunks):
                return pack_chunk(chunks[number])
        return None

    def body(self, request: Request) -> bytes | None:
        if isinstance(request, GetHeaders):
            headers = self.headers[request.first - 1 : request.first - 1 + request.count]
            return encode_headers(headers) if len(headers) == request.count else None
        if isinstance(request, GetManifest):
            manifest = self.manifest(request.height)
            return None if manifest is None else encode_manifest(manifest)
        assert isinstance(request, GetChunk)
        return self.chunk(request.manifest, request.number)

    def answer(self, request: Request) -> list[bytes]:
        self.asked.append(request)
        body = self.body(request)
        if body is None:
            return [encode_message(Refused(request.request, Refusal.ABSENT, 1, 1_500))]
        return [encode_message(Part(request.request, len(body), 0, body))]

    def chunks_asked(self) -> int:
        return sum(isinstance(request, GetChunk) for request in self.asked)


class Beginner:
    """A node without a chain, with its doors."""

    def __init__(
        self, checkpoint: Checkpoint, *, saved: tuple[Manifest | None, list[int]] = (None, [])
    ) -> None:
        self.now = SECOND_NS
        self.peers: dict[Peer, Source] = {}
        self.log: list[tuple[Any, ...]] = []
        self.progress: list[SnapshotProgress] = []
        self.manifest, stored = saved
        self.chunks = dict.fromkeys(stored, b"stored")
        self.chance = Random(1)
        self._saved = saved
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.driver = SnapshotDriver(checkpoint, self, self, self, self, self, now_s=lambda: NOW_S)

    # The doors.

    def now_ns(self) -> int:
        return self.now

    def send(self, peer: Peer, payload: bytes) -> bool:
        source = self.peers.get(peer)
        if source is not None:
            message = decode_message(payload)
            assert not isinstance(message, Part | Refused)
            for answer in source.answer(message):
                self.at(
                    self.chance.randrange(10**7), lambda answer=answer: self._hear(peer, answer)
                )
        return True

    def _hear(self, peer: Peer, payload: bytes) -> None:
        if peer in self.peers:
            self.driver.on_message(peer, payload)

    def punish(self, peer: Peer, reason: str) -> None:
        self.log.append(("punished", peer.rstrip(b".").decode(), reason))
        self.peers.pop(peer, None)

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.at(MILLISECOND_NS, lambda: done(work()))

    def call(self, act: Callable[[], None]) -> None:
        self.at(0, act)

    def saved(self) -> tuple[Manifest | None, list[int]]:
        return self._saved

    def choose(self, manifest: Manifest) -> None:
        self.log.append(("chosen", manifest.height))
        self.manifest, self.chunks = manifest, {}

    def store(self, number: int, packed: bytes) -> None:
        assert number not in self.chunks, "each chunk comes once"
        self.chunks[number] = packed

    def install(self, manifest: Manifest, headers: Sequence[bytes]) -> None:
        assert manifest == self.manifest
        assert headers[-1] == HEADERS[manifest.height - 1]
        first = max(1, manifest.height - 256)
        assert list(headers) == HEADERS[first - 1 : manifest.height]
        true = chunks_at(manifest.height)
        for number in range(len(manifest.chunks)):
            packed = self.chunks[number]
            chunk = true[number] if packed == b"stored" else unpack_chunk(packed)
            if number >= len(true) or chunk != true[number]:
                raise InstallFailed("the state has another root")

    def progressed(self, progress: SnapshotProgress) -> None:
        self.progress.append(progress)

    def installed(self, height: int) -> None:
        self.log.append(("installed", height))

    def refused(self, reason: str) -> None:
        self.log.append(("refused", reason))

    # Time.

    def at(self, delay_ns: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_ns, next(self._order), act))

    def join(self, *sources: Source, delay_ns: int = 0) -> None:
        for source in sources:

            def come(source: Source = source) -> None:
                self.peers[source.key] = source
                self.driver.on_peer(source.key)

            self.at(delay_ns + self.chance.randrange(10**7), come)

    def go(self, seconds: float) -> None:
        end = self.now + int(seconds * SECOND_NS)
        while True:
            deadline = self.driver.deadline_ns()
            due = end if deadline is None else max(deadline, self.now + 1)
            if self._events and self._events[0][0] <= due:
                if self._events[0][0] > end:
                    return
                self.now, _, act = heapq.heappop(self._events)
                act()
            elif due >= end:
                return
            else:
                self.now = due
                self.driver.on_time()

    def reasons(self) -> dict[str, str]:
        return {entry[1]: entry[2].split(":")[0] for entry in self.log if entry[0] == "punished"}

    def events(self) -> list[tuple[Any, ...]]:
        return [entry for entry in self.log if entry[0] != "punished"]


def checkpoint(height: int = 1_450, *, age_s_max: int = AGE_S) -> Checkpoint:
    return Checkpoint(height, keccak256(HEADERS[height - 1]), age_s_max)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("height", [1_000, 1_200, 1_450])
def test_a_snapshot_below_the_checkpoint_is_fetched_from_all_who_have_it(
    seed: int, height: int
) -> None:
    """The newest that fits; headers from the checkpoint down; chunks from several peers."""
    node = Beginner(checkpoint())
    node.chance = Random(seed)
    sources = [Source(f"source {number}", 600, height, 1_490) for number in range(3)]
    node.join(*sources)
    node.go(30)
    assert node.events() == [("chosen", height), ("installed", height)]
    assert not node.reasons()
    assert all(source.chunks_asked() for source in sources)
    assert sum(source.chunks_asked() for source in sources) == 40


def test_a_checkpoint_that_is_too_old_is_refused_in_words() -> None:
    node = Beginner(checkpoint(age_s_max=999))
    node.join(Source("source", 1_000))
    node.go(30)
    assert [entry[0] for entry in node.log] == ["refused"]
    assert "is 1000 s old, and at most 999 s (half the unbonding time) are safe" in node.log[0][1]


def test_a_checkpoint_of_another_chain_is_refused_by_three_peers() -> None:
    """Nobody is punished for it: it is the operator's word against theirs."""
    node = Beginner(Checkpoint(1_450, Hash32(bytes(32)), AGE_S))
    node.join(*(Source(f"source {number}", 1_000) for number in range(3)))
    node.go(30)
    assert [entry[0] for entry in node.log] == ["refused"]
    assert "3 peers have another block at height 1450" in node.log[0][1]


def test_one_peer_of_another_chain_is_not_asked_for_more() -> None:
    class Stranger(Source):
        headers = tuple(header_of(item) for item in blocks_of(1_500, salt=b"other"))

    node = Beginner(checkpoint())
    strange = Stranger("strange", 1_000)
    node.join(strange)
    node.join(Source("source", 1_000), delay_ns=SECOND_NS)
    node.go(30)
    assert node.events() == [("chosen", 1_000), ("installed", 1_000)]
    assert len(strange.asked) == 1


class Spoiler(Source):
    """Sends chunks that are not the manifest's."""

    def chunk(self, name: bytes, number: int) -> bytes | None:
        found = super().chunk(name, number)
        return None if found is None else pack_chunk(b"spoilt" + unpack_chunk(found))


class Bomber(Source):
    """Sends chunks that unpack to far too much."""

    def chunk(self, name: bytes, number: int) -> bytes | None:
        return pack_chunk(bytes(2 << 20))


class Inventor(Source):
    """Makes up a state for a block that is there."""

    def __init__(self, name: str, *heights: int) -> None:
        super().__init__(name, *heights)
        self.snapshots = {height: chunks_at(height + 7) for height in heights}


class Forker(Source):
    """Makes up a block for its state."""

    def manifest(self, height_max: int) -> Manifest | None:
        return manifest_of(1_300, chunks_at(1_300), block_hash=b"\x01" * 32)


class Unlinker(Source):
    """Sends headers of another chain below the checkpoint."""

    headers = (*map(header_of, blocks_of(1_449, salt=b"other")), HEADERS[1_449])


class Future(Source):
    """Gives a manifest beyond what was asked for."""

    def manifest(self, height_max: int) -> Manifest | None:
        return manifest_of(1_480, chunks_at(1_480))


class Mute(Source):
    """Gives a manifest, and no chunk."""

    def answer(self, request: Request) -> list[bytes]:
        return [] if isinstance(request, GetChunk) else super().answer(request)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "heights", "reason"),
    [
        (Spoiler, (1_000,), "a chunk that is not the one asked for"),
        (Bomber, (1_000,), "a chunk that is not the one asked for"),
        (Inventor, (1_200,), "a manifest of a snapshot that is not what it says"),
        (Forker, (1_300,), "a manifest of a snapshot that is not what it says"),
        (Unlinker, (1_000,), "blocks that do not follow each other"),
        (Future, (1_000,), "a manifest of a snapshot that is not what it says"),
        (Mute, (1_000,), None),
    ],
)
def test_dishonest_peers_are_named_and_the_snapshot_comes_all_the_same(
    kind: type[Source], heights: tuple[int, ...], reason: str | None, seed: int
) -> None:
    node = Beginner(checkpoint())
    node.chance = Random(seed)
    node.join(Source("a", 1_000), kind("bad", *heights), Source("b", 1_000))
    node.go(60)
    assert node.events()[-1] == ("installed", 1_000)
    allowed = {"bad": reason} if reason else {}
    assert node.reasons() in ([allowed, {}] if kind is Unlinker else [allowed])


def test_an_attempt_goes_on_with_what_it_has() -> None:
    """After a kill only the missing chunks are asked for."""
    saved = manifest_of(1_000, chunks_at(1_000))
    node = Beginner(checkpoint(), saved=(saved, list(range(30))))
    sources = [Source("a", 1_000, 1_400), Source("b", 1_000)]
    node.join(*sources)
    node.go(60)
    assert node.events() == [("installed", 1_000)]
    assert sum(source.chunks_asked() for source in sources) == 10


def test_a_snapshot_that_nobody_has_any_more_is_given_up_for_another() -> None:
    saved = manifest_of(500, chunks_at(500))
    node = Beginner(checkpoint(), saved=(saved, list(range(30))))
    node.join(Source("a", 1_000), Source("b", 1_000))
    node.go(60)
    assert node.events() == [("chosen", 1_000), ("installed", 1_000)]


def test_without_a_snapshot_it_waits_and_says_so() -> None:
    node = Beginner(checkpoint())
    late = Source("late", 1_000)
    node.join(Source("none"), Source("too new", 1_480))
    node.join(late, delay_ns=20 * SECOND_NS)
    node.go(10)
    assert node.progress[-1].doing == "looking for a snapshot at or below block 1450"
    node.go(60)
    assert node.events()[-1] == ("installed", 1_000)


def test_peers_that_leave_owe_nothing() -> None:
    node = Beginner(checkpoint())
    leaving, staying = Mute("leaving", 1_000), Source("staying", 1_000)
    node.join(leaving, staying)

    def leave() -> None:
        del node.peers[leaving.key]
        node.driver.on_closed(leaving.key)

    node.at(500 * MILLISECOND_NS, leave)
    node.go(10)
    assert node.events()[-1] == ("installed", 1_000)
    assert not node.reasons()


def test_requests_are_refused_while_there_is_no_chain() -> None:
    node = Beginner(checkpoint())
    sent: list[bytes] = []
    node.send = lambda peer, payload: sent.append(payload) is None  # type: ignore[method-assign]
    node.driver.on_message(bytes(32), encode_message(GetHeaders(9, 1, 5)))
    assert [decode_message(payload) for payload in sent] == [Refused(9, Refusal.ABSENT, 1, 0)]


class RealSource(Source):
    """A peer with a chain on disk."""

    def __init__(self, name: str, chain: Chain, folder: SnapshotFolder) -> None:
        super().__init__(name)
        self._port = SyncPort(chain, lambda height: None, lambda items: [])
        self._folder = folder

    def body(self, request: Request) -> bytes | None:
        return answer_to(request, self._port, self._folder)


class RealBeginner(Beginner):
    """A node whose download is in a directory."""

    def __init__(self, checkpoint: Checkpoint, download: DownloadPort, *, kill_after: int) -> None:
        self._download = download
        self._kill_after = kill_after
        super().__init__(checkpoint, saved=download.saved())

    def choose(self, manifest: Manifest) -> None:
        self._download.choose(manifest)

    def store(self, number: int, packed: bytes) -> None:
        if self._kill_after == 0:
            raise KeyboardInterrupt
        self._kill_after -= 1
        self._download.store(number, packed)

    def install(self, manifest: Manifest, headers: Sequence[bytes]) -> None:
        self._download.install(manifest, headers)


def test_a_chain_begins_from_other_chains_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On real chains, with a kill in between: the state is the source's, to the root."""
    monkeypatch.setattr("ghostchain.state.snapshot.CHUNK_BYTES_MAX", 30_000)
    source = Chain.open(tmp_path / "source", GENESIS)
    folder = SnapshotFolder(tmp_path / "source")
    keeper = SnapshotKeeper(source, folder, 20)
    seal(source, 20)
    keeper.wait(60)
    seal(source, 7)
    trusted = Checkpoint(25, source.hash_of(25) or Hash32(bytes(32)), int(time.time()))
    for kill_after in (5, 10**9):
        download = SnapshotDownload(tmp_path / "new", GENESIS)
        node = RealBeginner(trusted, DownloadPort(download), kill_after=kill_after)
        node.join(RealSource("source", source, folder))
        if kill_after == 5:
            with pytest.raises(KeyboardInterrupt):
                node.go(30)
        else:
            assert len(node.saved()[1]) == 5
            node.go(30)
            assert node.log == [("installed", 20)]
        download.close()
    chain = Chain.open(tmp_path / "new", GENESIS)
    assert (chain.head.number, chain.head_hash) == (20, source.hash_of(20))
    assert verify_state(chain.latest()[2]).agrees
    for number in range(21, 28):
        block = source.block(number)
        assert block is not None
        chain.import_block(block)
    assert chain.head == source.head
    chain.close()
    with pytest.raises(ForeignDirectory, match="start without --checkpoint"):
        SnapshotDownload(tmp_path / "new", GENESIS)
    keeper.close()
    source.close()


def test_headers_come_back_as_they_were() -> None:
    headers = decode_headers(encode_headers(HEADERS[9:50]), 10, 41)
    assert [header.encoded for header in headers] == HEADERS[9:50]
    assert headers[0].hash == keccak256(HEADERS[9])
    assert encode_header(replace(HEADER, number=10)) != HEADERS[9]
