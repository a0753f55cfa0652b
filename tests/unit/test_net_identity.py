"""The node key file: made once, durably, for its owner alone; refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ghostchain.net.identity import Identity, InvalidNodeKey, NodeKeyReason


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    made = Identity.load_or_create(path)
    assert Identity.load_or_create(path).key == made.key
    assert path.read_text() == made.seed.hex() + "\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.key"]
    assert Identity.generate().key != made.key


def test_who_comes_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes the file between the look and the making."""
    path = tmp_path / "node.key"
    other = Identity(bytes(32))
    import ghostchain.net.identity as module

    create = module._create

    def create_late(at: Path, seed: bytes) -> None:
        create(at, other.seed)
        create(at, seed)

    monkeypatch.setattr(module, "_create", create_late)
    assert Identity.load_or_create(path).key == other.key


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "00" * 32 + "\n\n"])
def test_a_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InvalidNodeKey, match="64 hex digits") as refusal:
        Identity.load_or_create(path)
    assert refusal.value.reason is NodeKeyReason.MALFORMED
    assert path.read_text() == text


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    Identity.load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(InvalidNodeKey, match="chmod 600") as refusal:
        Identity.load_or_create(path)
    assert refusal.value.reason is NodeKeyReason.OPEN_TO_OTHERS


def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidNodeKey) as refusal:
        Identity.load_or_create(tmp_path / "nowhere" / "node.key")
    assert refusal.value.reason is NodeKeyReason.UNREADABLE
    with pytest.raises(InvalidNodeKey) as refusal:
        Identity.load_or_create(tmp_path)
    assert refusal.value.reason is NodeKeyReason.UNREADABLE


def test_the_certificate_is_the_same_at_every_start() -> None:
    """Ed25519 is deterministic, and nothing else in it changes."""
    first, second = (Identity(b"k" * 32).certificate for _ in range(2))
    assert first.public_bytes(Encoding.DER) == second.public_bytes(Encoding.DER)
    assert first.public_key().public_bytes_raw() == Identity(b"k" * 32).key  # type: ignore[union-attr]
    first.verify_directly_issued_by(first)
    assert len(first.public_bytes(Encoding.DER)) < 300
