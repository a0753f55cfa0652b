"""Key files: what is kept comes back to who has the password, and to nobody else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ghostchain.crypto.ed25519 import public_key_of
from ghostchain.node.signing import keyfiles
from ghostchain.node.signing.keyfiles import (
    KeyFileRefused,
    create_key_file,
    load_key_file,
    load_or_create_node_key,
    public_key_in,
    read_password,
    write_key_file,
)

SEED = bytes(range(32))


@pytest.fixture(autouse=True)
def _cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfiles, "SCRYPT_N", 1 << 4)


def test_keys_come_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.json"
    public_key = create_key_file(path, "pässword")
    seed = load_key_file(path, "pa\u0308ssword")  # the same letters in another normal form
    assert public_key_of(seed) == public_key == public_key_in(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["key.json"]
    assert seed.hex() not in path.read_text()
    assert create_key_file(tmp_path / "other.json", "pässword") != public_key


def test_a_file_of_full_strength_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = tmp_path / "key.json"
    write_key_file(path, SEED, "password")
    assert json.loads(path.read_text())["scrypt"]["n"] == 65536
    assert load_key_file(path, "password") == SEED


def test_wrong_passwords_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    create_key_file(path, "password")
    for password in ("Password", "password ", "x" * 1025, ""):
        with pytest.raises(KeyFileRefused, match="password"):
            load_key_file(path, password)
    with pytest.raises(KeyFileRefused, match="a password has"):
        create_key_file(tmp_path / "other.json", "")
    assert not (tmp_path / "other.json").exists()


def test_no_key_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    public_key = create_key_file(path, "password")
    with pytest.raises(KeyFileRefused, match="never written over"):
        create_key_file(path, "password")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyFileRefused, match="never written over"):
        create_key_file(tmp_path / "link.json", "password")
    assert public_key_in(path) == public_key
    assert sorted(os.listdir(tmp_path)) == ["key.json", "link.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_files_that_others_read_are_refused(tmp_path: Path, mode: int) -> None:
    key, node, password = tmp_path / "key", tmp_path / "node", tmp_path / "password"
    create_key_file(key, "password")
    load_or_create_node_key(node)
    password.write_text("password\n")
    for path in (key, node, password):
        path.chmod(mode)
    for read in (
        lambda: load_key_file(key, "password"),
        lambda: load_or_create_node_key(node),
        lambda: read_password(password),
    ):
        with pytest.raises(KeyFileRefused, match="chmod 600"):
            read()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """Every field missing, of another type, or with one digit changed."""
    path = tmp_path / "key.json"
    write_key_file(path, SEED, "password")
    record = json.loads(path.read_text())
    spoiled: list[object] = [[], "text", None, 7]
    for name, value in record.items():
        spoiled.append({key: entry for key, entry in record.items() if key != name})
        spoiled += [{**record, name: other} for other in (None, [], 7, "zz", {})]
        for inner, content in value.items() if isinstance(value, dict) else ():
            spoiled.append({**record, name: {k: v for k, v in value.items() if k != inner}})
            others: list[object] = [None, "zz", -1, 3, 1 << 40]
            if isinstance(content, str):
                others.append(("1" if content[0] == "0" else "0") + content[1:])
            spoiled += [{**record, name: {**value, inner: other}} for other in others]
    digit = "1" if record["publicKey"][0] == "0" else "0"
    spoiled.append({**record, "publicKey": digit + record["publicKey"][1:]})
    for entry in spoiled:
        path.write_text(json.dumps(entry))
        with pytest.raises(KeyFileRefused):
            load_key_file(path, "password")
    for text in ("", "{", "[" * 5000, "x" * 20_000, "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(KeyFileRefused):
            load_key_file(path, "password")
        with pytest.raises(KeyFileRefused):
            public_key_in(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "missing", "."):
        with pytest.raises(KeyFileRefused):
            load_key_file(tmp_path / name, "password")


def test_node_keys_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "nodekey"
    seed = load_or_create_node_key(path)
    assert len(seed) == 32
    assert load_or_create_node_key(path) == seed
    assert path.stat().st_mode & 0o777 == 0o600
    for text in ("", "zz", "00" * 31, "00" * 33):
        path.write_text(text)
        with pytest.raises(KeyFileRefused, match="damaged"):
            load_or_create_node_key(path)


def test_passwords_in_files(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.touch(0o600)
    for data, password in ((b"a b\n", "a b"), (b"a b", "a b"), (b"a\r\n", "a"), (b"", "")):
        path.write_bytes(data)
        assert read_password(path) == password
    for data in (b"two\nlines\n", b"\xff", b"x" * 1025):
        path.write_bytes(data)
        with pytest.raises(KeyFileRefused):
            read_password(path)
