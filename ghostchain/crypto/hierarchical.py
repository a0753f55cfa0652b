"""Keys out of a phrase: BIP-39's seed, BIP-32's derivation, along Ethereum's path.

Spec: BIP-32, BIP-39, BIP-44. Oracle: the test keys that every Ethereum tool publishes
(`chain/networks.py`), and eth-account, in tests/unit/test_hierarchical.py.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Sequence

from ghostchain.crypto.secp256k1 import public_key_of

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
HARDENED = 1 << 31
ETHEREUM_PATH = (44 + HARDENED, 60 + HARDENED, HARDENED, 0)
SEED_ROUNDS = 2_048
STEPS_MAX = 16
WORD_COUNTS = (12, 15, 18, 21, 24)


def keys_of(phrase: str, count: int, path: Sequence[int] = ETHEREUM_PATH) -> tuple[bytes, ...]:
    """The first private keys below the path (m/44'/60'/0'/0) under the phrase (32 bytes each).

    The words are taken as they are: their list and checksum are not looked at. Raises: ValueError
    for another number of words than BIP-39 has. Cost: a millisecond, and 50 microseconds a key.
    """
    words = unicodedata.normalize("NFKD", phrase).split()
    if len(words) not in WORD_COUNTS:
        raise ValueError(f"a phrase has 12, 15, 18, 21 or 24 words, not {len(words)}")
    joined = " ".join(words).encode()
    seed = hashlib.pbkdf2_hmac("sha512", joined, b"mnemonic", SEED_ROUNDS)
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    for index in path:
        node = child_of(node, index)
    return tuple(child_of(node, index)[:32] for index in range(count))


def path_of(text: str) -> tuple[int, ...]:
    """Of `m/44'/60'/0'/0/`, to which a number is added. Raises: ValueError."""
    head, *steps = text.rstrip("/").split("/")
    found = []
    for step in steps:
        digits = step.removesuffix("'")
        if not digits.isdecimal() or len(digits) > 10 or int(digits) >= HARDENED:
            raise ValueError(f"{text}: {step} is no step of a path")
        found.append(int(digits) + (HARDENED if step != digits else 0))
    if head != "m" or len(found) > STEPS_MAX:
        raise ValueError(f"{text}: expected a path as m/44'/60'/0'/0/")
    return tuple(found)


def child_of(node: bytes, index: int) -> bytes:
    """Key and chain code (32 bytes each) of a child. One index in 2^127 has none: ValueError."""
    key, code = node[:32], node[32:]
    shown = b"\0" + key if index >= HARDENED else compressed(key)
    digest = hmac.digest(code, shown + index.to_bytes(4, "big"), "sha512")
    offset = int.from_bytes(digest[:32], "big")
    child = (offset + int.from_bytes(key, "big")) % ORDER
    if offset >= ORDER or child == 0:
        raise ValueError(f"there is no key at index {index}")
    return child.to_bytes(32, "big") + digest[32:]


def compressed(key: bytes) -> bytes:
    """The public key in 33 bytes."""
    point = public_key_of(key)[-64:]
    return bytes((2 + (point[-1] & 1),)) + point[:32]
