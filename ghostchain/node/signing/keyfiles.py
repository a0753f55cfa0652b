"""Keys on disk: consensus keys behind a password, the node's own key without one.

A consensus key file is JSON: scrypt (RFC 7914) makes a key of the password, AES-256-GCM encrypts
the seed with it, and the public key, readable without the password, is authenticated along. A node
key file is its seed in hexadecimal: it only proves to peers that the node is the one they met.

Both are written whole or not at all, for their owner alone (0600), never over another file, and
are refused when others could read them.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import unicodedata
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ghostchain.crypto.ed25519 import public_key_of
from ghostchain.primitives.errors import GhostError

KIND = "ghostchain consensus key"
VERSION = 1
SEED_BYTES = 32
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 16, 8, 1
"""64 MiB and about 0.2 seconds for each guess of the password."""
SCRYPT_BYTES_MAX = 512 << 20
FILE_BYTES_MAX = 16_384
PASSWORD_BYTES_MAX = 1_024


class KeyFileRefused(GhostError):
    """A key file that cannot be used or made; the message says why and what to do."""


def create_key_file(path: Path, password: str) -> bytes:
    """Makes a new consensus key. Returns its public key, 32 bytes.

    Raises: KeyFileRefused when there is a file already, or the password is empty.
    Cost: about 0.2 seconds, 64 MiB for that time.
    """
    return write_key_file(path, secrets.token_bytes(SEED_BYTES), password)


def write_key_file(path: Path, seed: bytes, password: str) -> bytes:
    """Keeps the key with this 32-byte seed. Otherwise as `create_key_file`."""
    public_key = public_key_of(seed)
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    key = _stretched(_password_bytes(password), salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    text = AESGCM(key).encrypt(nonce, seed, _authenticated(public_key))
    record = {
        "kind": KIND,
        "version": VERSION,
        "publicKey": public_key.hex(),
        "scrypt": {"n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P, "salt": salt.hex()},
        "aes-256-gcm": {"nonce": nonce.hex(), "text": text.hex()},
    }
    _write_new(path, json.dumps(record, indent=2).encode() + b"\n")
    return public_key


def load_key_file(path: Path, password: str) -> bytes:
    """The 32-byte seed in a consensus key file.

    Raises: KeyFileRefused for a wrong password, a damaged file, or one that others can read.
    """
    record = _record(path)
    try:
        public_key = bytes.fromhex(record["publicKey"])
        scrypt, cipher = record["scrypt"], record["aes-256-gcm"]
        salt, nonce = bytes.fromhex(scrypt["salt"]), bytes.fromhex(cipher["nonce"])
        text = bytes.fromhex(cipher["text"])
        n, r, p = int(scrypt["n"]), int(scrypt["r"]), int(scrypt["p"])
    except (KeyError, TypeError, ValueError) as error:
        raise KeyFileRefused(f"{path} is damaged: {error!r}") from error
    is_possible = n > 1 and n & (n - 1) == 0 and r > 0 and 0 < p <= 16 and len(nonce) == 12
    if not is_possible or 128 * n * r > SCRYPT_BYTES_MAX:
        raise KeyFileRefused(f"{path} is damaged: it asks for n={n}, r={r}, p={p}")
    key = _stretched(_password_bytes(password), salt, n, r, p)
    try:
        seed = AESGCM(key).decrypt(nonce, text, _authenticated(public_key))
    except InvalidTag as error:
        raise KeyFileRefused(f"{path}: the password is wrong, or the file is damaged") from error
    if len(seed) != SEED_BYTES or public_key_of(seed) != public_key:
        raise KeyFileRefused(f"{path} is damaged: the key is not the one that it names")
    return seed


def public_key_in(path: Path) -> bytes:
    """The public key that a consensus key file names, without its password.

    Raises: KeyFileRefused.
    """
    try:
        public_key = bytes.fromhex(_record(path)["publicKey"])
    except (KeyError, TypeError, ValueError) as error:
        raise KeyFileRefused(f"{path} is damaged: {error!r}") from error
    if len(public_key) != 32:
        raise KeyFileRefused(f"{path} is damaged: a public key has 32 bytes")
    return public_key


def read_password(path: Path) -> str:
    """The password in a file: its first line, which is all of it.

    Raises: KeyFileRefused for a file that others can read, or of more than one line.
    """
    data = _read_private(path, PASSWORD_BYTES_MAX)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise KeyFileRefused(f"{path} holds no password in UTF-8") from error
    password = text.removesuffix("\n").removesuffix("\r")
    if "\n" in password:
        raise KeyFileRefused(f"{path} holds more than one line: a password is one")
    return password


def load_or_create_node_key(path: Path) -> bytes:
    """The 32-byte seed of the node's own Ed25519 key; made where there is none.

    Raises: KeyFileRefused for a damaged file, or one that others can read.
    """
    if not os.path.lexists(path):
        seed = secrets.token_bytes(SEED_BYTES)
        _write_new(path, seed.hex().encode() + b"\n")
        return seed
    try:
        seed = bytes.fromhex(_read_private(path, FILE_BYTES_MAX).decode().strip())
    except ValueError as error:
        raise KeyFileRefused(f"{path} is damaged: no seed in hexadecimal") from error
    if len(seed) != SEED_BYTES:
        raise KeyFileRefused(f"{path} is damaged: {len(seed)} bytes are no seed")
    return seed


def _authenticated(public_key: bytes) -> bytes:
    return KIND.encode() + bytes((VERSION,)) + public_key


def _password_bytes(password: str) -> bytes:
    """NFC, so that the same password typed on another machine is the same."""
    data = unicodedata.normalize("NFC", password).encode()
    if not 1 <= len(data) <= PASSWORD_BYTES_MAX:
        raise KeyFileRefused(f"a password has 1 to {PASSWORD_BYTES_MAX} bytes, not {len(data)}")
    return data


def _stretched(password: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(password)


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(_read_private(path, FILE_BYTES_MAX))
    except (ValueError, RecursionError) as error:
        raise KeyFileRefused(f"{path} is no key file: {error}") from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise KeyFileRefused(f"{path} is no consensus key file")
    if record.get("version") != VERSION:
        raise KeyFileRefused(f"{path} is of version {record.get('version')!r}, not {VERSION}")
    return record


def _read_private(path: Path, bytes_max: int) -> bytes:
    """What a file holds that nobody but its owner, who is us, can read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileRefused(f"{path} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileRefused(f"{path} is not a file")
        if status.st_mode & 0o077:
            raise KeyFileRefused(f"{path} can be read by others: chmod 600 {path}")
        if status.st_uid != os.geteuid():
            raise KeyFileRefused(f"{path} belongs to another user")
        data = os.read(file, bytes_max + 1)
    except OSError as error:
        raise KeyFileRefused(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(file)
    if len(data) > bytes_max:
        raise KeyFileRefused(f"{path} is too large: more than {bytes_max} bytes")
    return data


def _write_new(path: Path, data: bytes) -> None:
    """The file is there, whole and durable, where none was; or none is."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(file)
            os.link(scratch, path)  # unlike a rename, this refuses to replace
        finally:
            os.unlink(scratch)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError as error:
        raise KeyFileRefused(f"{path} is there already; a key is never written over") from error
    except OSError as error:
        raise KeyFileRefused(f"{path} cannot be written: {error.strerror}") from error
