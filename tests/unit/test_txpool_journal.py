"""The journal keeps what was acknowledged, through torn writes, damage and rewriting."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghostchain.txpool.journal import Journal, decode_records, encode_records

RAWS = [bytes([index]) * (index + 1) for index in range(10)]


def test_records_come_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "pool.journal")
    assert journal.load() == []
    journal.append(RAWS[:5])
    journal.append(RAWS[5:])
    journal.close()
    assert Journal(tmp_path / "pool.journal").load() == RAWS


@pytest.mark.parametrize("cut", range(1, 30))
def test_torn_tail_is_cut_off(tmp_path: Path, cut: int) -> None:
    """However the last write was torn, whole records before it stay and appending goes on."""
    path = tmp_path / "pool.journal"
    path.write_bytes(encode_records(RAWS)[:-cut])
    journal = Journal(path)
    kept = journal.load()
    assert kept == RAWS[: len(kept)]
    journal.append([b"new"])
    journal.close()
    assert Journal(path).load() == [*kept, b"new"]


def test_damaged_record_ends_the_reading() -> None:
    data = bytearray(encode_records(RAWS))
    data[20] ^= 1
    raws, end = decode_records(bytes(data))
    assert raws == RAWS[: len(raws)]
    assert len(raws) < len(RAWS)
    assert end < len(data)


def test_oversized_length_is_not_believed() -> None:
    assert decode_records(b"\xff" * 64) == ([], 0)


def test_rewrite_replaces_all(tmp_path: Path) -> None:
    path = tmp_path / "pool.journal"
    journal = Journal(path)
    journal.load()
    journal.append(RAWS)
    journal.rewrite(RAWS[:2])
    journal.append([b"later"])
    journal.close()
    assert Journal(path).load() == [*RAWS[:2], b"later"]


def test_refused_write_acknowledges_nothing(tmp_path: Path) -> None:
    """A full disk leaves the journal as it was before the batch."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is not here")
    journal = Journal(tmp_path / "pool.journal", durable=False)
    journal.load()
    journal.append(RAWS[:1])
    (tmp_path / "link.new").symlink_to(full)
    other = Journal(tmp_path / "link")
    other.load()
    with pytest.raises(OSError, match="No space left"):
        other.rewrite(RAWS)
    journal.close()
    other.close()
