"""The state in chunks and out of them again, and a chain that begins there."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis, GenesisAccount, state_root
from ghostchain.chain.networks import network
from ghostchain.chain.snapshot import (
    ANCESTORS,
    SnapshotFolder,
    SnapshotKeeper,
    install_snapshot,
)
from ghostchain.chain.transfer import export_file
from ghostchain.chain.verify import verify_state
from ghostchain.crypto.hashes import manifest_hash
from ghostchain.encoding.blocks import encode_block
from ghostchain.encoding.manifests import (
    CHUNK_BYTES_MAX,
    Manifest,
    decode_manifest,
    encode_manifest,
    pack_chunk,
    unpack_chunk,
)
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.errors import (
    ForeignDirectory,
    InvalidEncoding,
    StateUnavailable,
    StorageFailed,
)
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state import keys
from ghostchain.state import snapshot as state_snapshot
from ghostchain.state.snapshot import Counts, chunk_hash, state_chunks
from ghostchain.storage.database import after

DEV = network("dev")
# LOG0 with nothing, then the number of the block before into slot 0: it asks for block hashes.
CODE = bytes.fromhex("6001430340600055")


def large_genesis(seed: int) -> Genesis:
    """The development chain with many accounts more, some with many slots, some with one code."""
    chance = random.Random(seed)
    alloc = dict(DEV.alloc)
    for number in range(3_000):
        alloc[Address(chance.randbytes(20))] = GenesisAccount(balance=number + 1)
    for slots in (1, 2, 700, 5_000):
        storage = {chance.randbytes(32): chance.randbytes(chance.randint(1, 32)).rjust(32, b"\0")
                   for _ in range(slots)}  # fmt: skip
        storage = {key: value for key, value in storage.items() if any(value)}
        alloc[Address(chance.randbytes(20))] = GenesisAccount(
            nonce=1, balance=2**200, code=CODE, storage=storage
        )
    return replace(DEV, header=replace(DEV.header, state_root=state_root(alloc)), alloc=alloc)


GENESIS = large_genesis(1)


def seal(chain: Chain, count: int) -> None:
    for _ in range(count):
        chain.build_block(
            TransactionBatch.decode([]),
            timestamp=chain.head.timestamp + 12,
            coinbase=Address(b"\xcb" * 20),
            prev_randao=Hash32(bytes(32)),
        )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A chain of 300 blocks."""
    chain = Chain.open(tmp_path_factory.mktemp("source"), GENESIS)
    seal(chain, 300)
    return chain


def headers_of(chain: Chain) -> list[Header]:
    first = max(1, chain.head.number - ANCESTORS)
    headers = [chain.header(number) for number in range(first, chain.head.number + 1)]
    assert all(headers)
    return [header for header in headers if header is not None]


def chunks_of(chain: Chain) -> list[bytes]:
    return list(state_chunks(chain.latest()[2], Counts()))


def flat(chain: Chain) -> dict[bytes, bytes]:
    """All of the flat state, and the codes that accounts name."""
    reader = chain.latest()[2]
    found = {}
    for room in (keys.ACCOUNT, keys.SLOT, keys.CODE):
        with reader.items(room, after(room)) as items:
            found.update(items)
    return found


@pytest.mark.parametrize("batch_keys", [10, 777, 50_000])
def test_a_chain_begins_from_a_snapshot(
    source: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_keys: int
) -> None:
    """The state is the same to the byte, whatever is written at once; the next blocks follow."""
    monkeypatch.setattr(state_snapshot, "BATCH_KEYS", batch_keys)
    monkeypatch.setattr(state_snapshot, "CHUNK_BYTES_MAX", 20_000)
    chunks = chunks_of(source)
    assert len(chunks) > 5
    install_snapshot(tmp_path, GENESIS, headers_of(source), chunks)
    chain = Chain.open(tmp_path, GENESIS, prune=8)
    assert chain.head == source.head
    assert chain.begin == 300
    assert flat(chain) == flat(source)
    assert verify_state(chain.latest()[2]).agrees
    for block in range(2):
        sealed = source_block(source, tmp_path / f"longer {block}", 20)
        for one in sealed[chain.head.number - 300 :][:10]:
            chain.import_block(one)
    assert chain.head.number == 320
    chain.close()
    again = Chain.open(tmp_path, GENESIS, prune=8)
    assert again.head.number == 320
    assert verify_state(again.latest()[2]).agrees
    again.close()


def source_block(source: Chain, path: Path, count: int) -> list[bytes]:
    """The blocks that would follow the source's head, made on a copy of it."""
    copy = Chain.open(path, GENESIS)
    blocks = []
    for number in range(1, 301):
        block = source.block(number)
        assert block is not None
        blocks.append(block)
    for _ in copy.import_blocks(blocks):
        pass
    seal(copy, count)
    found = [copy.block(number) for number in range(301, 301 + count)]
    copy.close()
    return [encode_block(block) for block in found if block is not None]


def test_what_is_before_the_beginning_is_absent_and_says_so(source: Chain, tmp_path: Path) -> None:
    """No block, receipt, log or state before it; genesis, and the headers that execution needs."""
    install_snapshot(tmp_path, GENESIS, headers_of(source), chunks_of(source))
    chain = Chain.open(tmp_path, GENESIS)
    genesis_block = chain.block(0)
    assert genesis_block is not None
    assert genesis_block.header == GENESIS.header
    assert chain.number_of(GENESIS.hash) == 0
    for number in (1, 10, 43):
        assert chain.header(number) is None
        assert chain.hash_of(number) is None
        assert chain.block(number) is None
    for number in (44, 299, 300):
        assert chain.header(number) == source.header(number)
        assert chain.block(number) is None
        assert chain.receipts(number) is None
    assert list(chain.logs(0, 300, (), ())) == []
    with pytest.raises(StateUnavailable, match="block 299 was pruned; the oldest is 300"):
        chain.state_at(299)
    with pytest.raises(StorageFailed, match="began from a snapshot; it can be exported from block"):
        export_file(chain, tmp_path / "blocks.rlp")
    chain.close()


@pytest.mark.parametrize("change", ["balance", "slot", "code", "less", "order", "root"])
def test_a_state_that_is_not_the_headers_is_refused(
    source: Chain, tmp_path: Path, change: str
) -> None:
    """Whatever was changed, nothing is installed, and the directory can be used again."""
    chunks = chunks_of(source)
    spoilt = spoil(chunks, change)
    with pytest.raises(InvalidEncoding):
        install_snapshot(tmp_path, GENESIS, headers_of(source), spoilt)
    install_snapshot(tmp_path, GENESIS, headers_of(source), chunks)
    chain = Chain.open(tmp_path, GENESIS)
    assert chain.head == source.head
    chain.close()


def spoil(chunks: Sequence[bytes], change: str) -> list[bytes]:
    """The chunks with one thing changed, all else well formed."""
    joined = b"".join(chunks)
    if change == "balance":
        at = joined.index((5).to_bytes(16, "big"))
        joined = joined[: at + 15] + b"\x06" + joined[at + 16 :]
    elif change == "slot":
        joined = joined[:-1] + bytes([joined[-1] ^ 1])
    elif change == "code":
        joined = joined.replace(CODE, CODE[:-1] + b"\x56", 1)
    elif change == "less":
        joined = joined[: joined.index(b"a", 33 + 1)]
    elif change == "order":
        joined = joined + joined[: 34 + joined[33]]
    else:
        at = joined.index((2**200).to_bytes(32, "big")) + 32
        joined = joined[:at] + bytes(32) + joined[at + 32 :]
    return [joined[at : at + CHUNK_BYTES_MAX] for at in range(0, len(joined), CHUNK_BYTES_MAX)]


def test_a_directory_with_blocks_is_left_alone(source: Chain, tmp_path: Path) -> None:
    chain = Chain.open(tmp_path, GENESIS)
    seal(chain, 1)
    chain.close()
    with pytest.raises(ForeignDirectory, match="holds blocks already"):
        install_snapshot(tmp_path, GENESIS, headers_of(source), chunks_of(source))


def test_an_unfinished_installation_is_made_again(
    source: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves in the scratch folder is not taken for a state."""
    monkeypatch.setattr(state_snapshot, "BATCH_KEYS", 10)
    chunks = chunks_of(source)

    def torn() -> list[bytes]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install_snapshot(
            tmp_path, GENESIS, headers_of(source), chunks, progress=lambda *counts: torn()
        )
    install_snapshot(tmp_path, GENESIS, headers_of(source), chunks)
    chain = Chain.open(tmp_path, GENESIS)
    assert verify_state(chain.latest()[2]).agrees
    chain.close()


def test_the_same_state_gives_the_same_chunks(source: Chain, tmp_path: Path) -> None:
    """Also from a chain that itself began from a snapshot."""
    chunks = chunks_of(source)
    install_snapshot(tmp_path, GENESIS, headers_of(source), chunks)
    chain = Chain.open(tmp_path, GENESIS)
    assert chunks_of(chain) == chunks
    chain.close()


def test_snapshots_are_written_beside_the_chain_and_two_are_kept(tmp_path: Path) -> None:
    """Each is of the block it names, though the chain has gone on."""
    chain = Chain.open(tmp_path, GENESIS)
    folder = SnapshotFolder(tmp_path)
    written: list[Manifest] = []
    keeper = SnapshotKeeper(
        chain, folder, 4, on_written=lambda manifest, seconds: written.append(manifest)
    )
    for _ in range(3):
        seal(chain, 4)
        seal(chain, 1)
        keeper.wait(60)
        seal(chain, 3)
    keeper.wait(60)
    keeper.close()
    heights = [manifest.height for manifest in written]
    assert heights == sorted(set(heights))
    assert len(heights) >= 3
    assert all(height % 4 == 0 for height in heights)
    assert folder.heights == heights[-2:]
    assert SnapshotFolder(tmp_path).heights == heights[-2:]
    for manifest in written[-2:]:
        assert manifest.block_hash == chain.hash_of(manifest.height)
        packed = [
            folder.chunk(manifest_hash(manifest), number) for number in range(len(manifest.chunks))
        ]
        unpacked = [unpack_chunk(chunk) for chunk in packed if chunk is not None]
        assert [chunk_hash(chunk) for chunk in unpacked] == list(manifest.chunks)
        assert sum(map(len, unpacked)) == manifest.bytes_total
    newest = written[-1]
    assert folder.manifest(10**9) == newest
    assert folder.manifest(newest.height - 1) == written[-2]
    assert folder.manifest(3) is None
    assert folder.chunk(manifest_hash(newest), len(newest.chunks)) is None
    assert folder.chunk(bytes(32), 0) is None
    chain.close()


def test_what_is_left_of_a_snapshot_goes(tmp_path: Path) -> None:
    """A folder without a manifest, or with that of another height, is not served."""
    for name, content in (("8.new", b""), ("16", b"no manifest")):
        folder = tmp_path / "snapshots" / name
        folder.mkdir(parents=True)
        (folder / "manifest").write_bytes(content)
    found = SnapshotFolder(tmp_path)
    assert found.heights == []
    assert not list(found.path.iterdir())


def test_a_keeper_that_is_closed_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping a node does not wait for a whole snapshot."""
    monkeypatch.setattr(state_snapshot, "CHUNK_BYTES_MAX", 1_000)
    chain = Chain.open(tmp_path, GENESIS)
    folder = SnapshotFolder(tmp_path)
    keeper = SnapshotKeeper(chain, folder, 1)
    seal(chain, 1)
    keeper.close()
    assert folder.heights == []
    assert not list(folder.path.iterdir())
    chain.close()


MANIFEST = Manifest(7, Hash32(b"\x01" * 32), Hash32(b"\x02" * 32), 1, 2, 3, 4, (Hash32(bytes(32)),))


def test_manifests_come_back_as_they_were() -> None:
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode_manifest(MANIFEST)[:-1],
        encode_manifest(MANIFEST) + b"\0",
        b"\x02" + encode_manifest(MANIFEST)[1:],
        encode_manifest(replace(MANIFEST, chunks=())),
        encode_manifest(replace(MANIFEST, bytes_total=CHUNK_BYTES_MAX + 1)),
    ],
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        decode_manifest(data)


@pytest.mark.parametrize("chunk", [b"", b"x", bytes(1_000), random.Random(1).randbytes(5_000)])
def test_chunks_are_packed_and_unpacked(chunk: bytes) -> None:
    assert unpack_chunk(pack_chunk(chunk)) == chunk


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\x02abc",
        b"\x01abc",
        b"\x01" + zlib.compress(bytes(100)) + b"x",
        b"\x01" + zlib.compress(bytes(100))[:-1],
        b"\x01" + zlib.compress(bytes(CHUNK_BYTES_MAX + 1)),
        b"\x00" + bytes(CHUNK_BYTES_MAX + 1),
    ],
)
def test_chunks_that_do_not_unpack_are_refused(packed: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        unpack_chunk(packed)
