"""Who a node is to its peers: an Ed25519 key, its file, and the certificate that shows it.

The file holds the 32-byte seed as 64 hex digits and a newline, readable by its owner alone. It is
not encrypted: the key proves which node this is, it signs no votes and holds no money. Whoever
copies it can pass for the node, and no more.
"""

from __future__ import annotations

import datetime
import os
import re
import stat
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from ghostchain.primitives.errors import GhostError

KEY_BYTES = 32
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ghost node")])
# RFC 5280, 4.1.2.5: no well-defined end.
_FOREVER = datetime.datetime(9999, 12, 31, 23, 59, 59)
_BEGINNING = datetime.datetime(2020, 1, 1)


class NodeKeyReason(Enum):
    """Why a node key file cannot be used."""

    UNREADABLE = "cannot be read or written"
    MALFORMED = "is not 64 hex digits"
    OPEN_TO_OTHERS = "can be read by others: chmod 600 it, or delete it for a new one"


class InvalidNodeKey(GhostError):
    """The node key file cannot be used. Carries the reason and the path."""

    def __init__(self, reason: NodeKeyReason, path: Path, detail: str = "") -> None:
        super().__init__(f"node key file {path} {reason.value}{detail and f' ({detail})'}")
        self.reason = reason
        self.path = path


class Identity:
    """A node key and its certificate: self-signed, the same bytes at every start."""

    __slots__ = ("certificate", "key", "private_key", "seed")

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self.private_key = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = self.private_key.public_key().public_bytes_raw()
        """The public key, 32 bytes: the peer id."""
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(_NAME)
            .issuer_name(_NAME)
            .public_key(self.private_key.public_key())
            .serial_number(1)
            .not_valid_before(_BEGINNING)
            .not_valid_after(_FOREVER)
            .sign(self.private_key, None)
        )

    @classmethod
    def generate(cls) -> Identity:
        """A new one, of the system's randomness."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def load_or_create(cls, path: Path) -> Identity:
        """That of the file, made durably when it is not there. Raises: InvalidNodeKey."""
        try:
            return cls(_read(path))
        except FileNotFoundError:
            pass
        try:
            _create(path, os.urandom(KEY_BYTES))
            return cls(_read(path))
        except OSError as failure:
            raise InvalidNodeKey(NodeKeyReason.UNREADABLE, path, str(failure)) from failure


def _read(path: Path) -> bytes:
    """The seed. Raises: FileNotFoundError, InvalidNodeKey."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(2 * KEY_BYTES + 2)
    except FileNotFoundError:
        raise
    except OSError as failure:
        raise InvalidNodeKey(NodeKeyReason.UNREADABLE, path, str(failure)) from failure
    if stat.S_IMODE(mode) & 0o077:
        raise InvalidNodeKey(NodeKeyReason.OPEN_TO_OTHERS, path)
    if not re.fullmatch(rb"[0-9a-fA-F]{64}\n?", text):
        raise InvalidNodeKey(NodeKeyReason.MALFORMED, path)
    return bytes.fromhex(text.decode())


def _create(path: Path, seed: bytes) -> None:
    """The file is there with its whole content, this seed's or that of whoever came first."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, seed.hex().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
