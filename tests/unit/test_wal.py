"""The write-ahead log keeps what was flushed, through torn writes, damage and a refusing disk."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ghostchain.primitives.errors import DirectoryLocked, StorageFailed, StorageFull
from ghostchain.storage.disk import RealDisk, RealFile
from ghostchain.storage.wal import (
    FIRST_CHECK,
    RECORD_BYTES_MAX,
    WriteAheadLog,
    decode_records,
    encode_record,
)

# The child of a fork here only ever runs what it was forked for.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

RECORDS = [bytes([index + 1]) * (3 * index + 1) for index in range(10)]


def encoded(records: list[bytes]) -> bytes:
    data, check = b"", FIRST_CHECK
    for record in records:
        more, check = encode_record(record, check)
        data += more
    return data


def reopened(directory: Path) -> list[bytes]:
    log = WriteAheadLog(RealDisk(directory))
    log.close()
    return log.records()


def test_flushed_records_come_back_and_go_on(tmp_path: Path) -> None:
    log = WriteAheadLog(RealDisk(tmp_path))
    assert log.records() == []
    for record in RECORDS[:5]:
        log.append(record)
    log.flush()
    log.append(b"never flushed")
    log.close()
    log = WriteAheadLog(RealDisk(tmp_path))
    assert (log.records(), log.bytes_lost) == (RECORDS[:5], 0)
    for record in RECORDS[5:]:
        log.append(record)
        log.flush()
    assert log.size == len(encoded(RECORDS)) == (tmp_path / "wal").stat().st_size
    log.close()
    assert reopened(tmp_path) == RECORDS
    assert (tmp_path / "wal").read_bytes() == encoded(RECORDS)
    assert (tmp_path / "wal").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("size", range(len(encoded(RECORDS[:4]))))
def test_torn_at_every_byte(tmp_path: Path, size: int) -> None:
    """Whole records before the cut stay, the rest is counted, and appending goes on."""
    whole = encoded(RECORDS[:4])
    (tmp_path / "wal").write_bytes(whole[:size])
    log = WriteAheadLog(RealDisk(tmp_path))
    kept = log.records()
    assert kept == RECORDS[: len(kept)]
    assert len(kept) < 4
    assert log.bytes_lost == size - len(encoded(kept))
    log.append(b"new")
    log.flush()
    log.close()
    assert reopened(tmp_path) == [*kept, b"new"]


def test_every_flipped_bit_ends_the_log_there() -> None:
    """No record is ever read changed, nor one behind a changed one."""
    whole = encoded(RECORDS[:4])
    ends = [len(encoded(RECORDS[:count])) for count in range(5)]
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        payloads, end, _ = decode_records(bytes(data))
        before = sum(1 for place in ends[1:] if place <= bit // 8)
        assert payloads == RECORDS[:before], bit
        assert end == ends[before]


def test_a_hole_of_unwritten_blocks_ends_the_log() -> None:
    """The disk may keep the later of two blocks that were written without a sync between."""
    whole = encoded([bytes([7]) * 3000, b"after"])
    holed = whole[:512] + bytes(512) + whole[1024:]
    assert decode_records(holed)[0] == []
    assert decode_records(bytes(8192)) == ([], 0, FIRST_CHECK)
    assert decode_records(encoded(RECORDS) + bytes(100))[0] == RECORDS


def test_records_of_an_earlier_height_do_not_come_back() -> None:
    """A record only counts behind the one that it was written behind."""
    old, new = encoded([b"old 1", b"old 2", b"old 3"]), encoded([b"new 1"])
    assert decode_records(new + old[len(new) :])[0] == [b"new 1"]


def test_oversized_length_is_not_believed() -> None:
    assert decode_records(b"\xff" * 64) == ([], 0, FIRST_CHECK)
    assert decode_records((RECORD_BYTES_MAX + 1).to_bytes(4, "big") + bytes(99))[0] == []


def test_restart_empties(tmp_path: Path) -> None:
    log = WriteAheadLog(RealDisk(tmp_path))
    log.append(b"decided")
    log.flush()
    log.append(b"pending")
    log.restart()
    assert log.size == 0
    assert (tmp_path / "wal").read_bytes() == b""
    log.append(b"next height")
    log.flush()
    log.close()
    assert reopened(tmp_path) == [b"next height"]


def test_a_rewritten_log_holds_the_new_records_and_goes_on(tmp_path: Path) -> None:
    log = WriteAheadLog(RealDisk(tmp_path))
    for record in RECORDS:
        log.append(record)
    log.flush()
    log.append(b"never flushed")
    log.rewrite(RECORDS[3:5])
    assert log.size == len(encoded(RECORDS[3:5]))
    log.append(b"after")
    log.flush()
    log.close()
    assert reopened(tmp_path) == [*RECORDS[3:5], b"after"]
    assert (tmp_path / "wal.next").stat().st_size == 0


class PowerCut(Exception):
    """Raised by the operation before which the power goes."""


class CutDisk(RealDisk):
    """A directory whose files work for so many operations; a write that is cut is half done."""

    def __init__(self, directory: Path, operations: int) -> None:
        super().__init__(directory)
        self.left = operations
        self.files: list[RealFile] = []

    def open(self, name: str) -> RealFile:
        file = super().open(name)
        self.files.append(file)
        for operation in ("write", "truncate", "sync"):
            setattr(file, operation, self._counted(getattr(file, operation)))
        return file

    def _counted(self, call: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: object) -> None:
            self.left -= 1
            if self.left >= 0:
                call(*arguments)
                return
            if self.left == -1 and arguments and isinstance(arguments[0], bytes):
                call(arguments[0][: len(arguments[0]) // 2], *arguments[1:])
            raise PowerCut

        return counted


def test_a_rewrite_cut_at_any_operation_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """And so does one whose completion is cut again, at any operation."""
    outcomes = set()
    for first in range(7):
        for second in range(6):
            directory = tmp_path / f"{first} {second}"
            log = WriteAheadLog(RealDisk(directory))
            for record in RECORDS:
                log.append(record)
            log.flush()
            log.close()
            for number, operations in enumerate((first, second)):
                disk = CutDisk(directory, operations)
                with contextlib.suppress(PowerCut):
                    log = WriteAheadLog(disk)
                    if number == 0:
                        log.rewrite(RECORDS[3:5])
                for file in disk.files:
                    file.close()
            kept = reopened(directory)
            assert kept in (RECORDS, RECORDS[3:5]), (first, second)
            outcomes.add(len(kept))
    assert outcomes == {10, 2}


def test_records_without_content_or_bound_are_refused(tmp_path: Path) -> None:
    log = WriteAheadLog(RealDisk(tmp_path), bytes_max=100)
    with pytest.raises(ValueError):
        log.append(b"")
    with pytest.raises(ValueError):
        log.append(bytes(RECORD_BYTES_MAX + 1))
    log.append(bytes(80))
    with pytest.raises(StorageFull, match="100 bytes"):
        log.append(bytes(5))
    with pytest.raises(StorageFailed, match="restart to recover"):
        log.flush()


def test_two_processes_cannot_share_a_log(tmp_path: Path) -> None:
    log = WriteAheadLog(RealDisk(tmp_path))
    with pytest.raises(DirectoryLocked, match="another process"):
        WriteAheadLog(RealDisk(tmp_path))
    log.close()
    WriteAheadLog(RealDisk(tmp_path)).close()


@pytest.mark.parametrize("operation", ["write", "sync", "truncate"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_refusing_disk_is_fatal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, code: int
) -> None:
    """After a failed write or sync nobody knows what is on disk: the log says nothing more, even
    if the disk works again."""
    log = WriteAheadLog(RealDisk(tmp_path))
    log.append(b"acknowledged")
    log.flush()

    def refuse(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(RealFile, operation, refuse)
        log.append(b"not acknowledged")
        with pytest.raises(StorageFull if code == errno.ENOSPC else StorageFailed):
            log.restart() if operation == "truncate" else log.flush()
    for act in (log.flush, log.restart, lambda: log.append(b"more")):
        with pytest.raises(StorageFailed, match="restart to recover"):
            act()
    log.close()
    assert reopened(tmp_path)[0] == b"acknowledged"


@pytest.mark.parametrize("seed", range(10))
def test_killed_while_writing(tmp_path: Path, seed: int) -> None:
    """A process killed at any moment finds again everything whose flush returned."""
    chance = random.Random(seed)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # says each number once it is flushed, until it is killed
        try:
            log = WriteAheadLog(RealDisk(tmp_path))
            for number in range(1, 1_000_000):
                log.append(number.to_bytes(4, "big") * (number % 50 + 1))
                log.flush()
                os.write(writer, number.to_bytes(4, "big"))
        finally:
            os._exit(1)
    os.close(writer)
    told = b""
    while len(told) < 4 * chance.randint(1, 200):
        told += os.read(reader, 4096)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reader, 4096):
        told += more
    os.close(reader)
    records = reopened(tmp_path)
    acknowledged = len(told) // 4
    assert acknowledged <= len(records) <= acknowledged + 1
    assert [record[:4] for record in records] == [
        number.to_bytes(4, "big") for number in range(1, len(records) + 1)
    ]
