"""Data directories in bad hands: each start gives back every acknowledged block, or refuses with
exit code 3 and a line that says what to do."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.encoding.blocks import encode_block
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.journal import Journal, encode_records
from tests.node.process import Ghostd, RpcFailure, invoke, run_ghostd
from tests.samples import transfer

BLOCKS = 12
DEV = ("--network", "dev", "--data-dir")
SENDER = address_of(TEST_KEYS[0])
# Init code that emits one log: PUSH1 1 PUSH1 0 PUSH1 0 LOG1 STOP.
EMITTER = bytes.fromhex("600160006000a100")


def raw(nonce: int, *, to: Address | None = None, data: bytes = b"", gas: int = 100_000) -> bytes:
    return transfer(nonce, to=to, data=data, gas_limit=gas, value=0)


def extend(chain: Chain, blocks: int) -> None:
    """Blocks of one transaction each, which emits a log."""
    for nonce in range(chain.head.number, chain.head.number + blocks):
        batch = TransactionBatch.decode([raw(nonce, data=EMITTER)])
        batch.recover()
        chain.build_block(
            batch,
            timestamp=chain.head.timestamp + 1,
            coinbase=Address(b"\x0c" * 20),
            prev_randao=Hash32(bytes(32)),
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain that was opened and closed several times, so that LevelDB has tables and a log."""
    directory = tmp_path_factory.mktemp("made") / "data"
    for _ in range(3):
        chain = Chain.open(directory, network("dev"))
        extend(chain, BLOCKS // 3)
        chain.close()
    return directory


@pytest.fixture(scope="module")
def blocks(made: Path) -> list[bytes]:
    """What is in it."""
    chain = Chain.open(made, network("dev"))
    try:
        found = [chain.block(number) for number in range(BLOCKS + 1)]
        return [encode_block(block) for block in found if block is not None]
    finally:
        chain.close()


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else b""
        for path in directory.rglob("*")
    }


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 3, one line for people with these words, no traceback."""
    assert result.returncode == 3, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert result.stderr.startswith("ghostd: "), result.stderr
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr, result.stderr


# ---- whose it is ----


def test_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    """And the first goes on as if nothing had happened."""
    data = str(tmp_path / "data")
    with Ghostd("--dev", data_dir=Path(data)) as node:
        holder = str(node.process.pid)
        refused(run_ghostd("--dev", "--data-dir", data, "--rpc-port", "0"), holder, "--data-dir")
        for command in (
            ["init"],
            ["db", "verify"],
            ["export", str(tmp_path / "x.rlp")],
        ):
            refused(
                invoke(*command, *DEV, data), f"in use by process {holder}", "stop that process"
            )
        receipt = node.wait_for_receipt(
            node.call("eth_sendRawTransaction", "0x" + raw(0, data=EMITTER).hex())
        )
        assert receipt["status"] == "0x1"
        assert node.stop() == 0
    assert invoke("db", "verify", *DEV, data).returncode == 0


def test_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    """Whatever the command, nothing is written where other things lie."""
    (tmp_path / "geth").mkdir()
    (tmp_path / "geth" / "nodekey").write_bytes(b"secret")
    before = contents(tmp_path)
    for command in (["init"], ["db", "verify"], ["export", "/nowhere/x.rlp"]):
        refused(invoke(*command, *DEV, str(tmp_path)), "not empty", "geth", "--data-dir")
    refused(run_ghostd("--dev", "--data-dir", str(tmp_path), "--rpc-port", "0"), "not empty")
    assert contents(tmp_path) == before


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """Below a file, and where not even root may write."""
    (tmp_path / "file").write_bytes(b"")
    places = [tmp_path / "file" / "data"]
    if Path("/sys/kernel").is_dir():
        places.append(Path("/sys/kernel/ghostd-test"))
    for place in places:
        refused(invoke("init", *DEV, str(place)), str(place))


def test_wrong_genesis_is_left_alone(made: Path) -> None:
    before = contents(made)
    refused(
        run_ghostd("--network", "testnet", "--data-dir", str(made), "--rpc-port", "0"),
        "31337",
        "446781",
        "choose another --data-dir",
    )
    for command in (["init"], ["db", "verify"], ["export", "/nowhere/x.rlp"]):
        refused(invoke(*command, "--network", "testnet", "--data-dir", str(made)), "446781")
    assert {k: v for k, v in contents(made).items() if k != "LOCK"} == {
        k: v for k, v in before.items() if k != "LOCK"
    }


# ---- damage ----


def flip(path: Path, where: float) -> None:
    """One bit of the byte at this share of the file."""
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * where)] ^= 0x10
    path.write_bytes(data)


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "first byte flipped": lambda path: flip(path, 0.0),
    "early byte flipped": lambda path: flip(path, 0.2),
    "middle byte flipped": lambda path: flip(path, 0.5),
    "last byte flipped": lambda path: flip(path, 1.0),
    "cut in half": lambda path: cut(path, 0.5),
    "cut by a little": lambda path: cut(path, 0.98),
    "emptied": lambda path: cut(path, 0.0),
    "deleted": lambda path: path.unlink(),
}


def look_at_everything(directory: Path, blocks: list[bytes]) -> None:
    """Every block that was acknowledged reads as it was, or as damaged; no other one is made up."""
    chain = Chain.open(directory, network("dev"))
    try:
        assert chain.head.number == BLOCKS
        for number, wanted in enumerate(blocks):
            try:
                block = chain.block(number)
                assert block is not None
                assert encode_block(block) == wanted
                assert len(chain.receipts(number) or ()) == len(block.transactions)
            except StorageCorrupt:
                continue
        with contextlib.suppress(StorageCorrupt):
            extend(chain, 1)
    finally:
        chain.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_recovered_or_refused(
    tmp_path: Path, made: Path, blocks: list[bytes], damage: str
) -> None:
    """Each file of the directory, one at a time. `db verify` must not be fooled either."""
    files = [path for path in sorted(made.rglob("*")) if path.is_file() and path.stat().st_size]
    assert len(files) >= 7
    outcomes = {}
    for path in files:
        name = str(path.relative_to(made))
        data = tmp_path / name.replace("/", "-")
        shutil.copytree(made, data)
        DAMAGES[damage](data / name)
        damaged = contents(data)
        verified = invoke("db", "verify", *DEV, str(data))
        assert verified.returncode in (0, 1, 3), (name, verified.stderr)
        if verified.returncode == 3:
            tables = {name for name in damaged if name.endswith(".ldb")}
            assert tables <= contents(data).keys(), f"{name}: verifying swept tables away"
        assert "Traceback" not in verified.stderr
        result = invoke("init", *DEV, str(data))
        outcomes[name] = result.returncode
        if result.returncode == 0:
            look_at_everything(data, blocks)
        else:
            advice = "choose another --data-dir" if name == "IDENTITY" else "restore the directory"
            assert advice in result.stderr or "restore the directory" in result.stderr
            refused(result)
        shutil.rmtree(data)
    print(damage, outcomes)


def test_blooms_are_made_again(tmp_path: Path, made: Path) -> None:
    """Logs are found although the file that leads to them was lost or cut."""
    for damage in (DAMAGES["deleted"], DAMAGES["emptied"], DAMAGES["cut in half"]):
        data = tmp_path / "data"
        shutil.copytree(made, data)
        damage(data / "blooms")
        chain = Chain.open(data, network("dev"))
        try:
            topic = Hash32((1).to_bytes(32, "big"))
            assert len(list(chain.logs(0, BLOCKS, (), ((topic,),)))) == BLOCKS
        finally:
            chain.close()
        shutil.rmtree(data)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_journal_does_not_stop_the_node(tmp_path: Path, damage: str) -> None:
    """The blocks are there, and every record of the journal that is whole."""
    raws = [raw(nonce, data=EMITTER) for nonce in range(1, 21)]
    journal = tmp_path / "pool.journal"
    journal.write_bytes(encode_records(raws))
    DAMAGES[damage](journal)
    opened = Journal(journal, durable=False)
    found = opened.load()
    opened.close()
    assert set(found) <= set(raws)
    if damage in ("middle byte flipped", "last byte flipped"):
        assert len(found) == len(raws) - 1, "one bit costs one record"
        assert opened.bytes_lost > 0


def test_node_with_a_damaged_journal_says_so(tmp_path: Path, made: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(made, data)
    waiting = [raw(nonce, data=EMITTER) for nonce in range(BLOCKS + 1, BLOCKS + 6)]
    (data / "pool.journal").write_bytes(encode_records(waiting))
    flip(data / "pool.journal", 0.5)
    with Ghostd("--dev", data_dir=data) as node:
        (said,) = [event for event in node.events if event["level"] == "warning"]
        assert said["message"] == "pool journal cut or damaged"
        assert said["bytes_lost"] > 100
        # They wait behind the missing nonce, so none of them is in a block.
        assert node.call("txpool_status") == {"pending": "0x0", "queued": "0x4"}


# ---- no room ----


class Filler:
    """Sends large transactions until the node gives up; remembers what it acknowledged."""

    def __init__(self, node: Ghostd) -> None:
        self.node = node
        self.sent: list[str] = []
        self.blocks: dict[int, str] = {}
        self.errors: list[str] = []

    def run(self, count_max: int) -> None:
        data = random.Random(7).randbytes(100_000)
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError):
            for nonce in range(count_max):
                transaction = raw(nonce, to=SENDER, data=data, gas=5_000_000)
                try:
                    self.sent.append(
                        self.node.call("eth_sendRawTransaction", "0x" + transaction.hex())
                    )
                except RpcFailure as failure:
                    self.errors.append(failure.message)
                    break
                block = self.node.call("eth_getBlockByNumber", "latest", False)
                self.blocks[int(block["number"], 16)] = block["hash"]

    def expect_stop(self) -> None:
        """The node said why and ended by itself with code 3."""
        assert self.node.process.wait(30) == 3
        self.node.stop()
        events = list(self.node.events)
        assert events[-1]["level"] == "critical", events[-3:]
        assert "no space left" in events[-1]["message"]
        assert not [event for event in events if event["level"] == "raw" or "exception" in event]
        assert len(self.sent) > 3
        assert set(self.errors) <= {"the node's storage failed"}

    def expect_all(self, data: Path) -> None:
        """With room again, nothing that was acknowledged is missing."""
        with Ghostd("--dev", data_dir=data) as node:
            for number, block_hash in self.blocks.items():
                assert node.call("eth_getBlockByNumber", hex(number), False)["hash"] == block_hash
            for sent in self.sent:
                assert node.call("eth_getTransactionByHash", sent) is not None
            node.wait_for_receipt(self.sent[-1])
        assert invoke("db", "verify", *DEV, str(data)).returncode == 0


def test_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes writes fail as a quota does."""
    data = tmp_path / "data"
    node = Ghostd("--dev", data_dir=data)
    filler = Filler(node)
    try:
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
        filler.run(count_max=100)
        filler.expect_stop()
    finally:
        node.kill()
    filler.expect_all(data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB, made larger with `mount -o remount,size=`."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "ghostd-test", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no small disk: mounting a tmpfs needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_loses_nothing(small_disk: Path) -> None:
    data = small_disk / "data"
    node = Ghostd("--dev", data_dir=data)
    filler = Filler(node)
    try:
        filler.run(count_max=300)
        filler.expect_stop()
    finally:
        node.kill()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    filler.expect_all(data)
