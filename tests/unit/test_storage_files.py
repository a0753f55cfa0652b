"""Segment files: what was synced is read back, what is torn dropped, what is damaged named."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ghostchain.primitives.errors import StorageCorrupt, StorageFailed, StorageFull
from ghostchain.storage.files import FIRST, Locator, Position, SegmentLog

IDENTITY = b"\x11" * 32


def open_log(directory: Path, **options: int) -> SegmentLog:
    return SegmentLog(directory, "blocks", identity=IDENTITY, **options)


def test_records_come_back(tmp_path: Path) -> None:
    """Records are read by locator and found by scanning, over several segments."""
    log = open_log(tmp_path, segment_bytes_max=200)
    payloads = [bytes([i]) * (20 * i) for i in range(10)]
    locators = [
        log.append([(i, [payload[:5], payload[5:]])])[0] for i, payload in enumerate(payloads)
    ]
    log.sync()
    assert [log.read(locator) for locator in locators] == payloads
    assert max(locator.segment for locator in locators) > 2
    records = list(log.scan(FIRST))
    assert [(record.tag, record.payload) for record in records] == list(enumerate(payloads))
    assert records[-1].end == log.end
    assert Locator.decode(locators[3].encode()) == locators[3]
    assert Position.decode(log.end.encode()) == log.end
    log.close()


def test_reopened_log_goes_on_at_the_recorded_end(tmp_path: Path) -> None:
    """What stands beyond the end that the database names is cut off, whole segments too."""
    log = open_log(tmp_path, segment_bytes_max=100)
    first = log.append([(1, [b"kept"])])[0]
    end = log.end
    for i in range(5):
        log.append([(2, [bytes(50 + i)])])
    log.close()
    log = open_log(tmp_path, segment_bytes_max=100)
    log.set_end(end)
    assert [record.payload for record in log.scan(FIRST)] == [b"kept"]
    again = log.append([(3, [b"new"])])[0]
    assert log.read(first) == b"kept"
    assert log.read(again) == b"new"
    assert len(list(tmp_path.iterdir())) == 1
    log.close()


@pytest.mark.parametrize("cut", [1, 8, 15, 16, 17, 40])
def test_torn_tail_is_not_a_record(tmp_path: Path, cut: int) -> None:
    """A record cut at any byte is not found by a scan; those before it are."""
    log = open_log(tmp_path)
    log.append([(1, [b"whole"]), (2, [bytes(30)])])
    log.close()
    path = tmp_path / "blocks-000000.seg"
    path.write_bytes(path.read_bytes()[:-cut])
    log = open_log(tmp_path)
    assert [record.payload for record in log.scan(FIRST)] == [b"whole"]
    log.close()


def test_bytes_are_restored(tmp_path: Path) -> None:
    """What was appended and lost again is written back at its place, over whatever is there."""
    log = open_log(tmp_path)
    log.append([(1, [b"kept"])])
    start = log.end
    log.append([(2, [b"lost"]), (3, [b"lost too"])])
    end, data = log.end, log.bytes_from(start)
    log.close()
    path = tmp_path / "blocks-000000.seg"
    whole = path.read_bytes()
    for rest in (
        whole[: start.offset],
        whole[: start.offset + 3],
        whole[: start.offset] + b"?" * 99,
    ):
        path.write_bytes(rest)
        log = open_log(tmp_path)
        log.restore(start, data)
        log.set_end(end)
        log.close()
        assert path.read_bytes() == whole
    path.unlink()
    log = open_log(tmp_path)
    log.restore(FIRST, whole[FIRST.offset :])
    log.set_end(end)
    log.close()
    assert path.read_bytes() == whole


def test_damage_is_named(tmp_path: Path) -> None:
    """A flipped bit, a missing tail and a foreign segment raise, saying where."""
    log = open_log(tmp_path)
    locator = log.append([(1, [b"payload"])])[0]
    end = log.end
    log.close()
    path = tmp_path / "blocks-000000.seg"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    log = open_log(tmp_path)
    with pytest.raises(StorageCorrupt, match="fails its checksum"):
        log.read(locator)
    log.close()
    path.write_bytes(data[:-3])
    log = open_log(tmp_path)
    with pytest.raises(StorageCorrupt, match="cut short"):
        log.read(locator)
    with pytest.raises(StorageCorrupt, match="names records up to"):
        log.set_end(end)
    log.close()
    with pytest.raises(StorageCorrupt, match="bad header"):
        SegmentLog(tmp_path, "blocks", identity=b"other")


def test_full_disk_is_fatal_and_named(tmp_path: Path) -> None:
    """After a write that found no space the log refuses further ones; a reopened one goes on."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from ghostchain.primitives.errors import StorageFailed, StorageFull
from ghostchain.storage.files import SegmentLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = SegmentLog(Path({str(tmp_path)!r}), "blocks", identity=bytes(32))
log.append([(1, [b"kept"])])
log.sync()
print(*(log.end.segment, log.end.offset), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    log.append([(2, [bytes(8192)])])
except StorageFull as error:
    print(error, flush=True)
try:
    log.append([(3, [b"small"])])
except StorageFailed as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    position, full, refused = run.stdout.splitlines()
    assert "no space left" in full
    assert "restart to recover" in refused
    log = SegmentLog(tmp_path, "blocks", identity=bytes(32))
    log.set_end(Position(*map(int, position.split())))
    assert [record.payload for record in log.scan(FIRST)] == [b"kept"]
    log.append([(2, [b"again"])])
    log.close()
    assert issubclass(StorageFull, StorageFailed)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096
