"""A chain cut at every step of its writing comes back with every block it acknowledged."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ghostchain.chain import journal, writer
from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.chain.verify import verify_state
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.types import Address, Hash32
from tests.samples import transfer

DEV = network("dev")
BLOCKS = 5


def extend(chain: Chain, seed: int) -> None:
    """One block of a few transfers; the same seed on the same head gives the same block."""
    chance = random.Random(seed)
    parent = chain.head
    raws = []
    for sender in range(3):
        address = address_of(TEST_KEYS[sender])
        record = chain.state_at(parent.number).account(address, keccak256(address))
        nonce = int.from_bytes((record or b"")[:8], "big")
        to = Address(chance.randbytes(20))
        raws.append(transfer(nonce, key=TEST_KEYS[sender], to=to))
    batch = TransactionBatch.decode(raws)
    batch.recover()
    chain.build_block(
        batch,
        timestamp=parent.timestamp + 1,
        coinbase=Address(b"\x0c" * 20),
        prev_randao=Hash32(bytes(32)),
    )


class Cutter:
    """Copies the data directory at each step, as a kill there would leave it.

    acknowledged: the height that a caller has been told of at that moment.
    """

    def __init__(self, data: Path, copies: Path) -> None:
        self.data = data
        self.copies = copies
        self.acknowledged = 0
        self.cuts: list[tuple[str, Path, int]] = []

    def on_step(self, name: str) -> None:
        copy = self.copies / f"{len(self.cuts):03d}-{name}"
        shutil.copytree(self.data, copy)
        self.cuts.append((name, copy, self.acknowledged))


def tear(path: Path, count: int, synced: int = 0) -> None:
    """Cuts bytes off the end of a file, as a kill in the middle of a write would.

    synced: bytes that no kill takes any more.
    """
    data = path.read_bytes()
    path.write_bytes(data[: max(synced, len(data) - count)])


def check(copy: Path, acknowledged: int, hashes: list[bytes]) -> None:
    """The copy opens, has what was acknowledged, agrees with its own state, and goes on."""
    chain = Chain.open(copy, DEV)
    head = chain.head.number
    assert head >= acknowledged
    for number in range(min(head, len(hashes) - 1) + 1):
        assert chain.hash_of(number) == hashes[number]
        assert chain.block(number) is not None
        assert number == 0 or len(chain.receipts(number) or ()) == 3
    assert verify_state(chain.storage.database).agrees
    for number in range(head, BLOCKS):
        extend(chain, seed=number)
    assert chain.head_hash == hashes[BLOCKS]
    chain.close()
    chain = Chain.open(copy, DEV)
    assert chain.head_hash == hashes[BLOCKS]
    chain.close()


@pytest.fixture
def cut(tmp_path: Path) -> tuple[Cutter, list[bytes]]:
    """A chain of a few blocks with a copy from each step, and the hashes of its blocks."""
    data = tmp_path / "data"
    cutter = Cutter(data, tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(data, DEV, on_step=cutter.on_step)
    hashes: list[bytes] = [chain.head_hash]
    for number in range(BLOCKS):
        extend(chain, seed=number)
        cutter.acknowledged = chain.head.number
        hashes.append(chain.head_hash)
    chain.close()
    return cutter, hashes


def test_cut_at_every_step(cut: tuple[Cutter, list[bytes]]) -> None:
    """Between any two steps that reach the disk, closing included."""
    cutter, hashes = cut
    names = [name for name, _, _ in cutter.cuts]
    assert names.count("append") == 2 * BLOCKS
    assert names.count("sync") == 1  # small blocks: only at closing
    assert names.count("batch") == BLOCKS + 3  # genesis; trie and journal at closing
    for _, copy, acknowledged in cutter.cuts:
        check(copy, acknowledged, hashes)


@pytest.mark.parametrize("count", [1, 7, 40, 300])
def test_cut_inside_a_write(cut: tuple[Cutter, list[bytes]], count: int) -> None:
    """Records and the database's log torn at a byte: what was whole before stays.

    A torn batch is one whose block nobody was told of; its records are whole, so it comes back.
    """
    cutter, hashes = cut
    for name, copy, acknowledged in cutter.cuts:
        if name == "append":
            tear(copy / "blocks" / "blocks-000000.seg", count)
            check(copy, acknowledged, hashes)
        elif name == "batch" and 0 < acknowledged < BLOCKS:
            for log in (copy / "state").glob("*.log"):
                tear(log, count)
            check(copy, acknowledged, hashes)


def test_cut_while_recovering(cut: tuple[Cutter, list[bytes]], tmp_path: Path) -> None:
    """A second kill during the recovery from the first changes nothing."""
    cutter, hashes = cut
    _, copy, acknowledged = [
        found for found in cutter.cuts if found[0] == "append" and found[2] == 2
    ][-1]
    again = Cutter(copy, tmp_path / "again")
    again.copies.mkdir()
    Chain.open(copy, DEV, on_step=again.on_step).close()
    assert len(again.cuts) >= 4
    for _, second, _ in again.cuts:
        check(second, acknowledged, hashes)


@pytest.mark.parametrize("copies_max", [0, 2, 256])
def test_unsynced_records_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies_max: int
) -> None:
    """A power cut may take all that was appended since the last sync of the block files."""
    monkeypatch.setattr(journal, "COPIES_MAX", copies_max)
    cutter = Cutter(tmp_path / "data", tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, DEV, on_step=cutter.on_step)
    hashes: list[bytes] = [chain.head_hash]
    for number in range(BLOCKS):
        extend(chain, seed=number)
        cutter.acknowledged = chain.head.number
        hashes.append(chain.head_hash)
    chain.close()
    synced = 32
    for name, copy, acknowledged in cutter.cuts:
        segment = copy / "blocks" / "blocks-000000.seg"
        if name == "sync":
            synced = segment.stat().st_size
        elif name == "batch" and segment.exists():
            with segment.open("r+b") as file:
                file.truncate(synced)
            check(copy, acknowledged, hashes)
    assert [name for name, _, _ in cutter.cuts].count("sync") == BLOCKS // (copies_max + 1) + 1


@pytest.mark.parametrize("together", [2, 3, 32])
def test_cut_at_every_step_of_an_import(
    cut: tuple[Cutter, list[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    together: int,
) -> None:
    """Blocks that are written together: those whose records are whole are run again."""
    monkeypatch.setattr(writer, "GROUP_BLOCKS_MAX", together)
    source, hashes = cut
    chain = Chain.open(source.data, DEV)
    blocks = [chain.block(number) for number in range(1, BLOCKS + 1)]
    chain.close()
    cutter = Cutter(tmp_path / "imported", tmp_path / "cuts")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, DEV, on_step=cutter.on_step)
    for sealed in chain.import_blocks(block for block in blocks if block is not None):
        cutter.acknowledged = max(cutter.acknowledged, sealed.block.header.number)
    chain.close()
    synced = 0
    for name, copy, acknowledged in cutter.cuts:
        segment = copy / "blocks" / "blocks-000000.seg"
        if name == "sync":
            synced = segment.stat().st_size
        if name == "append":
            torn = copy.with_name(copy.name + "-torn")
            shutil.copytree(copy, torn)
            tear(torn / "blocks" / "blocks-000000.seg", 40, synced)
            check(torn, acknowledged, hashes)
        check(copy, acknowledged, hashes)


@pytest.mark.parametrize("together", [1, 2])
def test_lost_batch_is_told_from_an_unwritten_one(
    cut: tuple[Cutter, list[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    together: int,
) -> None:
    """Blocks of more than one batch beyond the database can only mean that it lost one."""
    monkeypatch.setattr(writer, "GROUP_BLOCKS_MAX", together)
    source, _ = cut
    chain = Chain.open(source.data, DEV)
    blocks = [block for block in map(chain.block, range(1, BLOCKS + 1)) if block is not None]
    chain.close()
    chain = Chain.open(tmp_path / "imported", DEV)
    list(chain.import_blocks(blocks[:together]))
    shutil.copytree(tmp_path / "imported" / "state", tmp_path / "state")
    list(chain.import_blocks(blocks[together : 3 * together]))
    chain.close()
    shutil.rmtree(tmp_path / "imported" / "state")
    shutil.copytree(tmp_path / "state", tmp_path / "imported" / "state")
    with pytest.raises(StorageCorrupt, match="it lost blocks that it had acknowledged"):
        Chain.open(tmp_path / "imported", DEV)


def test_blooms_are_made_again(cut: tuple[Cutter, list[bytes]]) -> None:
    """The bloom file is never synced on the way; losing it costs nothing but time."""
    cutter, hashes = cut
    (cutter.data / "blooms").unlink()
    check(cutter.data, BLOCKS, hashes)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from ghostchain.chain import journal, writer
from ghostchain.chain.chain import Chain
from ghostchain.primitives.errors import StorageFailed
from tests.unit.test_chain_crash import DEV, extend
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
chain = Chain.open(Path({data!r}), DEV)
extend(chain, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    for number in range(1, 1000):
        extend(chain, number)
        print("acknowledged", chain.head.number, chain.head_hash.hex(), flush=True)
except StorageFailed as error:
    print("failed:", error, flush=True)
try:
    extend(chain, 1)
except StorageFailed as error:
    print("again:", error, flush=True)
try:
    chain.close()
except StorageFailed as error:
    print("closing:", error, flush=True)
"""


@pytest.mark.parametrize("limit", [90_000, 120_000])
def test_full_disk_is_fatal_and_loses_nothing(tmp_path: Path, limit: int) -> None:
    """The first write without room ends the writing with a clear message; after a restart with
    room all acknowledged blocks are there. limit: bytes that a file may grow to."""
    root = Path(__file__).resolve().parents[2]
    script = FULL_DISK.format(root=str(root), data=str(tmp_path / "data"), limit=limit)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    acknowledged = [line.split()[1:] for line in lines if line.startswith("acknowledged")]
    assert acknowledged
    failures = [line for line in lines if not line.startswith("acknowledged")]
    assert "no space left" in failures[0]
    assert "restart to recover" in failures[1]
    chain = Chain.open(tmp_path / "data", DEV)
    for number, block_hash in acknowledged:
        assert (chain.hash_of(int(number)) or b"").hex() == block_hash
    assert verify_state(chain.storage.database).agrees
    extend(chain, 5)
    chain.close()
