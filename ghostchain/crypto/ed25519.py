"""Ed25519 signatures (RFC 8032): the door to libsodium.

What counts as valid decides whether a block is valid, so it is one library's rule everywhere:
libsodium refuses a scalar S that is not reduced, and keys and points R of small order, and checks
the equation without cofactor. A weak key never verifies anything.

Units: keys and seeds are 32 bytes, signatures 64.
Oracle: the vectors of RFC 8032 and OpenSSL, in tests/unit/test_ed25519.py.
"""

from __future__ import annotations

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

__all__ = ["PUBLIC_KEY_BYTES", "SIGNATURE_BYTES", "public_key_of", "sign", "verify"]

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of the message is the key's. False also for wrong lengths.

    Cost: about 50 microseconds, and SHA-512 over the message.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


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
