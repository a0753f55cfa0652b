"""Snapshots of the state on disk, and a chain that begins from one instead of from genesis.

    snapshots/<height>/manifest       `encoding/manifests.py`
    snapshots/<height>/chunk-000000   packed, as there

A snapshot is written beside the running chain, from a LevelDB snapshot of the database, under
another name first; the newest two are kept.

A chain that begins from a snapshot of block H has the state from H on, the headers of the 256
blocks up to H (BLOCKHASH, EIP-2935), and no block, receipt or log up to H but genesis. It is put
together in `state.new` and becomes `state` when it is whole and its root is that of H's header.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ghostchain.chain import index
from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.opening import STATE_NAME
from ghostchain.crypto.hashes import manifest_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_header, encode_header
from ghostchain.encoding.manifests import (
    CHUNKS_MAX,
    MANIFEST_BYTES_MAX,
    PACKED_BYTES_MAX,
    Manifest,
    decode_manifest,
    encode_manifest,
    pack_chunk,
    unpack_chunk,
)
from ghostchain.primitives.errors import (
    EncodingReason,
    ForeignDirectory,
    InvalidEncoding,
    StorageError,
)
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32
from ghostchain.state.keys import number_bytes
from ghostchain.state.snapshot import Counts, StateLoader, chunk_hash, state_chunks
from ghostchain.storage.database import Batch, Database, Reader
from ghostchain.storage.directory import DataDirectory
from ghostchain.storage.files import FIRST, storage_failure

SNAPSHOTS_NAME = "snapshots"
DOWNLOAD_NAME = "snapshot.download"
MANIFEST_NAME = "manifest"
SNAPSHOTS_KEPT = 2
ANCESTORS = 256
"""Headers below the block of a snapshot that execution may ask for."""


class SnapshotFolder:
    """The snapshots of a data directory, for whoever serves them. Reads are safe on any thread."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / SNAPSHOTS_NAME
        self._manifests: dict[int, Manifest] = {}
        self._names: dict[int, Hash32] = {}
        if self.path.is_dir():
            for folder in self.path.iterdir():
                self._load(folder)

    def _load(self, folder: Path) -> None:
        """What is not whole was being written or deleted, and goes."""
        try:
            with (folder / MANIFEST_NAME).open("rb") as file:
                manifest = decode_manifest(file.read(MANIFEST_BYTES_MAX + 1))
            if folder.name != str(manifest.height):
                raise InvalidEncoding(EncodingReason.NOT_CANONICAL, folder.name)
        except (OSError, InvalidEncoding):
            shutil.rmtree(folder, ignore_errors=True)
            return
        self._keep(manifest)

    def _keep(self, manifest: Manifest) -> None:
        self._names[manifest.height] = manifest_hash(manifest)
        self._manifests[manifest.height] = manifest

    @property
    def heights(self) -> list[int]:
        """Of the snapshots there are, rising."""
        return sorted(self._manifests)

    def manifest(self, height_max: int) -> Manifest | None:
        """That of the newest snapshot not above height_max."""
        fitting = [height for height in self.heights if height <= height_max]
        return self._manifests.get(fitting[-1]) if fitting else None

    def chunk(self, name: bytes, number: int) -> bytes | None:
        """A chunk of the snapshot with that name, as it is kept; None when there is no such one
        (any more)."""
        for manifest in tuple(self._manifests.values()):
            if self._names.get(manifest.height) == name and number < len(manifest.chunks):
                try:
                    return self._chunk_path(str(manifest.height), number).read_bytes()
                except OSError:
                    return None
        return None

    def _chunk_path(self, folder: str, number: int) -> Path:
        return self.path / folder / f"chunk-{number:06d}"

    def write(
        self,
        header: Header,
        block_hash: Hash32,
        reader: Reader,
        go_on: Callable[[], bool] = lambda: True,
    ) -> Manifest | None:
        """Writes the snapshot of a reader that stands at this block, then lets go of old ones.

        go_on: asked before each chunk; False gives up, as does a state of too many chunks.
        Returns None when given up.
        Raises: StorageError.
        Cost: a pass over the flat state; see `state_chunks` and `pack_chunk`.
        """
        scratch = f"{header.number}.new"
        counts = Counts()
        hashes: list[Hash32] = []
        try:
            shutil.rmtree(self.path / scratch, ignore_errors=True)
            (self.path / scratch).mkdir(parents=True)
            for chunk in state_chunks(reader, counts):
                if not go_on() or len(hashes) == CHUNKS_MAX:
                    shutil.rmtree(self.path / scratch, ignore_errors=True)
                    return None
                self._chunk_path(scratch, len(hashes)).write_bytes(pack_chunk(chunk))
                hashes.append(chunk_hash(chunk))
            manifest = Manifest(
                header.number,
                block_hash,
                header.state_root,
                counts.accounts,
                counts.slots,
                counts.codes,
                counts.bytes_total,
                tuple(hashes),
            )
            (self.path / scratch / MANIFEST_NAME).write_bytes(encode_manifest(manifest))
            (self.path / scratch).rename(self.path / str(header.number))
        except OSError as error:
            shutil.rmtree(self.path / scratch, ignore_errors=True)
            raise storage_failure(error, self.path) from error
        self._keep(manifest)
        for height in self.heights[:-SNAPSHOTS_KEPT]:
            del self._manifests[height], self._names[height]
            shutil.rmtree(self.path / str(height), ignore_errors=True)
        return manifest


class SnapshotKeeper:
    """Writes a snapshot every so many blocks, on a thread of its own, while the chain goes on.

    on_written: told of each, on that thread. on_failure: told when one could not be written; the
    chain is not concerned.
    """

    def __init__(
        self,
        chain: Chain,
        folder: SnapshotFolder,
        interval_blocks: int,
        *,
        on_written: Callable[[Manifest, float], object] = lambda manifest, seconds: None,
        on_failure: Callable[[StorageError], object] = lambda failure: None,
    ) -> None:
        if interval_blocks < 1:
            raise ValueError("a snapshot is due every so many blocks, at least one")
        self.folder = folder
        self._chain = chain
        self._interval = interval_blocks
        self._on_written = on_written
        self._on_failure = on_failure
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._unsubscribe = chain.subscribe(self._on_head, every=interval_blocks)

    def _on_head(self, header: Header) -> None:
        """On the thread that writes the chain, so that the database stands at this block."""
        if header.number % self._interval or self._is_closed:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        latest, block_hash, reader = self._chain.latest()
        assert latest.number == header.number, "the chain stands at each multiple when it is told"
        self._thread = threading.Thread(
            target=self._write, args=(latest, block_hash, reader), name="snapshot", daemon=True
        )
        self._thread.start()

    def _write(self, header: Header, block_hash: Hash32, reader: Reader) -> None:
        start = last = time.monotonic()

        def go_on() -> bool:
            """Rests as long as it works, so that blocks are not held up."""
            nonlocal last
            time.sleep(min(0.2, time.monotonic() - last))
            last = time.monotonic()
            return not self._is_closed

        try:
            manifest = self.folder.write(header, block_hash, reader, go_on)
        except StorageError as failure:
            self._on_failure(failure)
            return
        if manifest is not None:
            self._on_written(manifest, time.monotonic() - start)

    def wait(self, timeout_s: float) -> None:
        """Until the snapshot that is being written is there, or for that time."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def close(self) -> None:
        """Gives up what is being written. To be called before the chain is closed."""
        self._is_closed = True
        self._unsubscribe()
        self.wait(60)


def holds_a_chain(data_dir: Path) -> bool:
    """Whether the directory has a chain beyond genesis. The directory must not be open."""
    if not (data_dir / STATE_NAME / "CURRENT").exists():
        return False
    database = Database.open(data_dir / STATE_NAME)
    try:
        head = index.read_head(database)
        return head is not None and head.number > 0
    finally:
        database.close()


def install_snapshot(
    data_dir: Path,
    genesis: Genesis,
    headers: Sequence[Header],
    chunks: Iterable[bytes],
    progress: Callable[[int, int], None] = lambda accounts, slots: None,
) -> None:
    """The directory holds the chain that begins after the last of these headers, with the state of
    the chunks. Open it with `Chain.open` then.

    headers: linked, rising, the last one's hash believed by the caller; at least ANCESTORS before
    the last, or all from block 1 on. chunks: unpacked, in order.
    Raises: InvalidEncoding when the chunks are not the state that the last header names, nothing
    changed; ForeignDirectory when there is a chain already; StorageError.
    """
    last = headers[-1]
    assert len(headers) > min(ANCESTORS, last.number - 1), "execution needs the hashes before"
    directory = DataDirectory.claim(
        data_dir, genesis_hash=genesis.hash, chain_id=genesis.config.chain_id
    )
    try:
        _install(data_dir, genesis, headers, chunks, progress)
    finally:
        directory.close()


def _install(
    data_dir: Path,
    genesis: Genesis,
    headers: Sequence[Header],
    chunks: Iterable[bytes],
    progress: Callable[[int, int], None],
) -> None:
    """`install_snapshot` of a directory that is claimed."""
    last = headers[-1]
    assert len(headers) > min(ANCESTORS, last.number - 1), "execution needs the hashes before"
    if holds_a_chain(data_dir):
        raise ForeignDirectory(
            f"{data_dir} holds blocks already; a snapshot needs an empty directory"
        )
    scratch = data_dir / f"{STATE_NAME}.new"
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        database = Database.open(scratch)
        try:
            loader = StateLoader(database)
            for chunk in chunks:
                loader.add(chunk)
                progress(loader.counts.accounts, loader.counts.slots)
            put_state = loader.finish(last.number, last.state_root)
            batch = database.batch()
            put_state(batch)
            _put_headers(batch, genesis, headers)
            database.commit(batch)
        finally:
            database.close()
        shutil.rmtree(data_dir / STATE_NAME, ignore_errors=True)
        scratch.rename(data_dir / STATE_NAME)
    except OSError as error:
        raise storage_failure(error, data_dir) from error


class SnapshotDownload:
    """A snapshot that comes from others, in the data directory that its chain will be in. It holds
    the directory until `close`, and goes on after a kill with the chunks that it has."""

    def __init__(self, data_dir: Path, genesis: Genesis) -> None:
        """Raises: ForeignDirectory when there is a chain already; StorageError."""
        self._data_dir = data_dir
        self._genesis = genesis
        self._path = data_dir / DOWNLOAD_NAME
        self._directory = DataDirectory.claim(
            data_dir, genesis_hash=genesis.hash, chain_id=genesis.config.chain_id
        )
        try:
            if holds_a_chain(data_dir):
                raise ForeignDirectory(
                    f"{data_dir} holds blocks already: start without --checkpoint to go on from "
                    "them, or choose an empty --data-dir"
                )
        except BaseException:
            self._directory.close()
            raise

    def _chunk_path(self, number: int) -> Path:
        return self._path / f"chunk-{number:06d}"

    def saved(self) -> tuple[Manifest | None, list[int]]:
        """What an earlier attempt has left: the manifest, and which of its chunks are whole."""
        try:
            with (self._path / MANIFEST_NAME).open("rb") as file:
                manifest = decode_manifest(file.read(MANIFEST_BYTES_MAX + 1))
        except (OSError, InvalidEncoding):
            return None, []
        found = []
        for number in range(len(manifest.chunks)):
            try:
                self._chunk(manifest, number)
            except (OSError, InvalidEncoding):
                continue
            found.append(number)
        return manifest, found

    def _chunk(self, manifest: Manifest, number: int) -> bytes:
        """Raises: OSError, InvalidEncoding."""
        with self._chunk_path(number).open("rb") as file:
            chunk = unpack_chunk(file.read(PACKED_BYTES_MAX + 1))
        if chunk_hash(chunk) != manifest.chunks[number]:
            raise InvalidEncoding(EncodingReason.NOT_CANONICAL, f"chunk {number} is another one")
        return chunk

    def choose(self, manifest: Manifest) -> None:
        """Keeps the manifest, forgets the chunks of another. Raises: StorageFailed."""
        try:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path.mkdir()
            (self._path / MANIFEST_NAME).write_bytes(encode_manifest(manifest))
        except OSError as error:
            raise storage_failure(error, self._path) from error

    def store(self, number: int, packed: bytes) -> None:
        """Raises: StorageFailed."""
        try:
            self._chunk_path(number).write_bytes(packed)
        except OSError as error:
            raise storage_failure(error, self._path) from error

    def install(
        self,
        manifest: Manifest,
        headers: Sequence[bytes],
        progress: Callable[[int, int], None] = lambda accounts, slots: None,
    ) -> None:
        """The chain begins after the last of these headers. The chunks are let go of.

        Raises: as `install_snapshot`.
        """
        chunks = (self._chunk(manifest, number) for number in range(len(manifest.chunks)))
        try:
            _install(
                self._data_dir, self._genesis, [*map(decode_header, headers)], chunks, progress
            )
        except OSError as error:
            raise storage_failure(error, self._path) from error
        shutil.rmtree(self._path, ignore_errors=True)

    def close(self) -> None:
        """Gives the directory free, for the chain to be opened."""
        self._directory.close()


def _put_headers(batch: Batch, genesis: Genesis, headers: Sequence[Header]) -> None:
    """Genesis and these are indexed; the last one is the head, and what follows has bodies."""
    index.put_header(batch, 0, genesis.hash, encode_header(genesis.header), None)
    for header in headers:
        encoded = encode_header(header)
        assert decode_header(encoded) == header
        index.put_header(batch, header.number, keccak256(encoded), encoded, None)
    index.put_head(batch, headers[-1].number, keccak256(encode_header(headers[-1])), FIRST)
    # The bloom file is filled from the headers after this one on opening.
    batch.put(index.BLOOMS, number_bytes(headers[-1].number - 1))
    batch.put(index.BEGIN, number_bytes(headers[-1].number))
