"""Accounts of operators on disk: Ethereum's encrypted keystore files (version 3), as geth, cast and
wallets read and write them. Consensus keys are another kind, see `signing/keyfiles.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ghostchain.primitives.errors import GhostError
from ghostchain.primitives.types import Address

KEYSTORE_BYTES_MAX = 64 * 1024


class KeystoreFailure(GhostError):
    """A keystore file cannot be read, written or opened; the message says why."""


def write_operator_key(path: Path, private_key: bytes, password: str) -> None:
    """The key is in a new file of mode 0600, encrypted.

    Raises: KeystoreFailure when the file exists; OSError.
    Cost: about half a second (scrypt, 2**18 rounds as geth's).
    """
    from eth_account import Account

    document = Account.encrypt(private_key, password)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeystoreFailure(f"{path} is there already; a key is never overwritten") from None
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def read_operator_key(path: Path, password: str) -> bytes:
    """The 32-byte private key.

    Raises: KeystoreFailure for a file or a password that does not do.
    """
    from eth_account import Account

    document = _read(path)
    try:
        key = Account.decrypt(document, password)
    except (ValueError, KeyError, TypeError) as failure:
        raise KeystoreFailure(f"{path} does not open: {failure}") from failure
    return bytes(key)


def address_in(path: Path) -> Address:
    """Whose key the file says it holds; no password is needed. Raises: KeystoreFailure."""
    text = _read(path).get("address")
    try:
        address = bytes.fromhex(str(text).removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise KeystoreFailure(f"{path} does not say whose key it holds")
    return Address(address)


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document: Any = json.loads(file.read(KEYSTORE_BYTES_MAX))
    except (OSError, ValueError) as failure:
        raise KeystoreFailure(f"{path} is no keystore file: {failure}") from failure
    if not isinstance(document, dict) or document.get("version") != 3:
        raise KeystoreFailure(f"{path} is no keystore file of version 3")
    return document
