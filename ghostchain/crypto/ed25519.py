"""Ed25519 signatures (RFC 8032): the door to libsodium.

RFC 8032 leaves open which of several verifications a library does, and libraries, and versions of
one, differ over keys and points that have a part of small order. Here it decides whether a block is
valid, so the rule is one under which all of them agree. A signature (R, S) by a key A holds when

- S is below the order of the group, and A and R are the canonical encodings of points;
- A and R lie in the group of prime order, and neither is its identity;
- S·B = R + k·A, where k is the hash of R, A and the message.

Every key and signature made as RFC 8032 says fulfils it. Whether the equation is multiplied by the
cofactor makes no difference then, and a weak key never verifies anything.

Units: keys and seeds are 32 bytes, signatures 64.
Oracle: the vectors of RFC 8032, OpenSSL, and points made by hand, in tests/unit/test_ed25519.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

__all__ = ["PUBLIC_KEY_BYTES", "SIGNATURE_BYTES", "public_key_of", "sign", "verify", "verify_batch"]

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_is_key = lru_cache(maxsize=4_096)(crypto_core_ed25519_is_valid_point)
"""Whether 32 bytes are a key as the rule has it. Remembered, because keys come again."""


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of the message is the key's. False also for wrong lengths.

    Cost: about 100 microseconds, 40 more for a key not lately seen, and SHA-512 over the message.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    if not _is_key(public_key) or not crypto_core_ed25519_is_valid_point(signature[:32]):
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def verify_batch(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Of each (public key, message, signature) whether it holds, as `verify` says."""
    return [verify(*item) for item in items]


def public_key_of(seed: bytes) -> bytes:
    """The public key of a 32-byte seed. Raises: ValueError for another length."""
    public_key, _ = crypto_sign_seed_keypair(seed)
    return public_key


def sign(seed: bytes, message: bytes) -> bytes:
    """The signature of the message by the key with that 32-byte seed.

    Raises: ValueError for another length.
    """
    _, secret_key = crypto_sign_seed_keypair(seed)
    return crypto_sign(message, secret_key)[:crypto_sign_BYTES]
