"""Ed25519 signatures (RFC 8032): the door to libsodium, and to `native/ed25519` for batches.

RFC 8032 leaves open which of several verifications a library does, and libraries, and versions of
one, differ over keys and points that have a part of small order. Here it decides whether a block is
valid, so the rule is one under which all of them agree. A signature (R, S) by a key A holds when

- S is below the order of the group, and A and R are the canonical encodings of points;
- A and R lie in the group of prime order, and neither is its identity;
- S·B = R + k·A, where k is the hash of R, A and the message.

Every key and signature made as RFC 8032 says fulfils it. Whether the equation is multiplied by the
cofactor makes no difference then, and a weak key never verifies anything.

Units: keys and seeds are 32 bytes, signatures 64.
Oracle: the vectors of RFC 8032, OpenSSL, and points made by hand, in tests/unit/test_ed25519.py;
libsodium for the kernel, in tests/oracle/test_ed25519.py.
"""

from __future__ import annotations

import os
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

from ghostchain._native import ffi, lib

__all__ = [
    "PUBLIC_KEY_BYTES",
    "SIGNATURE_BYTES",
    "decode_points",
    "level",
    "public_key_of",
    "set_level",
    "sign",
    "verify",
    "verify_batch",
]

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
    """Of each (public key, message, signature) whether it holds, as `verify` says.

    All together by one sum with random weights; when that does not hold, by halves, down to single
    signatures, which are decided exactly. That a wrong one counts as valid has a chance of 2^-127.

    Raises: ValueError when the messages have more than 2^32 - 1 bytes, MemoryError.
    Cost: about 19 microseconds each for a quorum of 67 with AVX-512 IFMA, 33 without, and 20 more
    for a key not lately seen; when all are wrong about as much as one by one. The interpreter
    lock is free.
    """
    taken: list[int] = []
    points: list[bytes] = []
    for index, (public_key, _, signature) in enumerate(items):
        point = _point_of_key(public_key)
        if point is not None and len(signature) == SIGNATURE_BYTES:
            taken.append(index)
            points.append(point)
    messages = [items[index][1] for index in taken]
    if sum(map(len, messages)) >= 1 << 32:
        raise ValueError("messages of 4 GiB or more")
    ok = ffi.new("uint8_t[]", len(taken))
    status = lib.ghost_ed25519_verify_batch(
        ok,
        b"".join([items[index][2] for index in taken]),
        b"".join([items[index][0] for index in taken]),
        b"".join(points),
        b"".join(messages),
        ffi.new("uint32_t[]", list(map(len, messages))),
        os.urandom(16 * len(taken)),
        len(taken),
    )
    if status:
        raise MemoryError("a batch of signatures")
    held = [False] * len(items)
    for place, index in enumerate(taken):
        held[index] = bool(ok[place])
    return held


def decode_points(encodings: Sequence[bytes]) -> list[bytes | None]:
    """x and y, 32 bytes each, little-endian, of each canonically encoded point of prime order; None
    for all other bytes. Cost: about 4 microseconds each for eight or more, alone 15."""
    fitting = [encoded for encoded in encodings if len(encoded) == PUBLIC_KEY_BYTES]
    ok = ffi.new("uint8_t[]", len(fitting))
    points = ffi.new("uint8_t[]", 64 * len(fitting))
    lib.ghost_ed25519_decode_batch(ok, points, b"".join(fitting), len(fitting))
    data = bytes(ffi.buffer(points))
    decoded = iter(
        data[64 * place : 64 * place + 64] if ok[place] else None for place in range(len(fitting))
    )
    return [next(decoded) if len(encoded) == PUBLIC_KEY_BYTES else None for encoded in encodings]


@lru_cache(maxsize=4_096)
def _point_of_key(public_key: bytes) -> bytes | None:
    """Remembered, because keys come again."""
    return decode_points([public_key])[0]


def level() -> int:
    """The SIMD level in use: 0 portable, 1 AVX-512 IFMA."""
    return int(lib.ghost_ed25519_level())


def set_level(level: int) -> int:
    """Caps the SIMD level, for tests and benchmarks. Returns the level now in use.

    Effects: process-wide; not for use while another thread verifies.
    """
    return int(lib.ghost_ed25519_set_level(level))


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
