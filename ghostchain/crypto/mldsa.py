"""ML-DSA-65 signatures (FIPS 204, pure, with the empty context): the door to OpenSSL's, through
`cryptography`.

FIPS 204 says exactly which signatures hold, encodings of hints included, so libraries agree.
Signing is hedged: two signatures over one message differ, and both hold.

Units: keys are 1,952 bytes, signatures 3,309, seeds 32.
Oracle: dilithium-py, a plain implementation, in tests/unit/test_mldsa.py.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

__all__ = ["PUBLIC_KEY_BYTES", "SEED_BYTES", "SIGNATURE_BYTES", "public_key_of", "sign", "verify"]

PUBLIC_KEY_BYTES = 1_952
SIGNATURE_BYTES = 3_309
SEED_BYTES = 32


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of the message is the key's. False also for wrong lengths.

    Cost: about 200 microseconds.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        MLDSA65PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def public_key_of(seed: bytes) -> bytes:
    """The key that the seed's signatures are by. Raises: ValueError when it is not 32 bytes."""
    return _private_key(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    """A signature of the message by the seed's key. Raises: ValueError, as public_key_of."""
    return _private_key(seed).sign(message)


def _private_key(seed: bytes) -> MLDSA65PrivateKey:
    """The library's key. The seed never appears in an error's text."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    return MLDSA65PrivateKey.from_seed_bytes(seed)
