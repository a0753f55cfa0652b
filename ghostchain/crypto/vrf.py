"""Verifiable randomness: ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381), over libsodium's group; and the
door to `native/ed25519` for many proofs at once.

A key and an input determine one output, which nobody but the holder of the key can tell, and
everybody can check. The proof is not unique, only the output is; never hash the proof itself.

    proof    Gamma 32 | c 16 | s 32
    output   SHA-512 of 8·Gamma

Stricter than the RFC where it leaves room: keys and Gamma lie in the group of prime order, as in
`ed25519.py`. What `prove` makes always does. The input is public: finding its point takes a time
that depends on it.

The key may be one that also signs, but never a message of exactly 32 bytes: for their nonces both
hash the same half of the seed, here followed by the 32 bytes of a point, there by the message, and
a nonce that both used gives the key away. Those of `encoding/votes.py` have 73, 44 and 64.

Units: keys and seeds 32 bytes, proofs 80, outputs 64.
Spec: RFC 9381, sections 5.1 to 5.4, suite 0x03. Oracle: its appendix B.3; libsodium for the
kernel, in tests/oracle/test_ed25519.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha512

from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_is_valid_point,
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_core_ed25519_sub,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)

from ghostchain._native import ffi, lib
from ghostchain.crypto.ed25519 import PUBLIC_KEY_BYTES, decode_points, public_key_of

PROOF_BYTES = 80
OUTPUT_BYTES = 64

SUITE = b"\x03"
FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493


IDENTITY = (1).to_bytes(32, "little")


class _NoPoint(Exception):
    """These bytes are no point, or the result of an operation has no use."""


def prove(seed: bytes, alpha: bytes) -> bytes:
    """The proof for the input alpha by the key with that 32-byte seed.

    Raises: ValueError for a seed of another length.
    Cost: about 300 microseconds.
    """
    public_key = public_key_of(seed)
    hashed = sha512(seed).digest()
    secret = _clamped(hashed[:32])
    point = _point_of(public_key, alpha)
    gamma = crypto_scalarmult_ed25519_noclamp(secret, point)
    nonce = crypto_core_ed25519_scalar_reduce(sha512(hashed[32:] + point).digest())
    challenge = _challenge(
        public_key,
        point,
        gamma,
        crypto_scalarmult_ed25519_base_noclamp(nonce),
        crypto_scalarmult_ed25519_noclamp(nonce, point),
    )
    product = crypto_core_ed25519_scalar_mul(challenge + bytes(16), secret)
    return gamma + challenge + crypto_core_ed25519_scalar_add(nonce, product)


def verify(public_key: bytes, alpha: bytes, proof: bytes) -> bytes | None:
    """The 64 bytes of output that the proof shows, None when it shows nothing.

    Cost: about 400 microseconds.
    """
    if len(public_key) != 32 or len(proof) != PROOF_BYTES:
        return None
    gamma, challenge, scalar = proof[:32], proof[32:48], proof[48:]
    if int.from_bytes(scalar, "little") >= ORDER:
        return None
    if not crypto_core_ed25519_is_valid_point(public_key):
        return None
    if not crypto_core_ed25519_is_valid_point(gamma):
        return None
    point = _point_of(public_key, alpha)
    try:
        first = crypto_core_ed25519_sub(
            crypto_scalarmult_ed25519_base_noclamp(scalar),
            crypto_scalarmult_ed25519_noclamp(challenge + bytes(16), public_key),
        )
        second = crypto_core_ed25519_sub(
            crypto_scalarmult_ed25519_noclamp(scalar, point),
            crypto_scalarmult_ed25519_noclamp(challenge + bytes(16), gamma),
        )
    except RuntimeError:  # c or s is 0: only a cheat asks for that
        return None
    if _challenge(public_key, point, gamma, first, second) != challenge:
        return None
    return _output(gamma)


def verify_batch(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes | None]:
    """As `verify`, of each (key, input, proof).

    Cost: about 150 microseconds each, during which the interpreter's lock is free.
    """
    taken = [
        (index, *item)
        for index, item in enumerate(items)
        if len(item[0]) == PUBLIC_KEY_BYTES and len(item[2]) == PROOF_BYTES
    ]
    points = decode_points([part for _, key, _, proof in taken for part in (key, proof[:32])])
    pairs = zip(taken, points[::2], points[1::2], strict=True)
    held = [(item, key + gamma) for item, key, gamma in pairs if key and gamma]
    alphas = [alpha for (_, _, alpha, _), _ in held]
    if sum(map(len, alphas)) >= 1 << 32:
        raise ValueError("inputs of 4 GiB or more")
    ok = ffi.new("uint8_t[]", len(held))
    outputs = ffi.new("uint8_t[]", OUTPUT_BYTES * len(held))
    lib.ghost_vrf_verify_batch(
        ok,
        outputs,
        b"".join([key for (_, key, _, _), _ in held]),
        b"".join([pair for _, pair in held]),
        b"".join(alphas),
        ffi.new("uint32_t[]", list(map(len, alphas))),
        b"".join([proof for (_, _, _, proof), _ in held]),
        len(held),
    )
    shown: list[bytes | None] = [None] * len(items)
    for place, ((index, _, _, _), _) in enumerate(held):
        if ok[place]:
            start = OUTPUT_BYTES * place
            shown[index] = bytes(ffi.buffer(outputs)[start : start + OUTPUT_BYTES])
    return shown


def output(proof: bytes) -> bytes:
    """The 64 bytes of output of a proof that `prove` made. Nothing is checked."""
    return _output(proof[:32])


def _clamped(half: bytes) -> bytes:
    """The secret scalar of half a hash, RFC 8032, section 5.1.5; reduced by the order, which all
    points here have."""
    number = int.from_bytes(half, "little") & ((1 << 254) - 8) | 1 << 254
    return (number % ORDER).to_bytes(32, "little")


def _point_of(salt: bytes, alpha: bytes) -> bytes:
    """The point of an input, by try and increment: RFC 9381, section 5.4.1.1."""
    for counter in range(256):
        candidate = sha512(
            SUITE + b"\x01" + salt + alpha + counter.to_bytes(1, "big") + b"\x00"
        ).digest()[:32]
        try:
            return _times_cofactor(candidate)
        except _NoPoint:
            continue
    raise AssertionError("no point among 256 hashes")  # pragma: no cover


def _times_cofactor(point: bytes) -> bytes:
    """8 times the point. Raises: _NoPoint for what encodes none, and where 8 times is none."""
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)
    if y >= FIELD or (y in (1, FIELD - 1) and point[31] >> 7):
        raise _NoPoint  # RFC 8032, section 5.1.3: neither is the encoding of a point
    try:
        for _ in range(3):
            point = crypto_core_ed25519_add(point, point)
    except RuntimeError as error:
        raise _NoPoint from error
    if point == IDENTITY:
        raise _NoPoint
    return point


def _challenge(*points: bytes) -> bytes:
    """RFC 9381, section 5.4.3."""
    return sha512(SUITE + b"\x02" + b"".join(points) + b"\x00").digest()[:16]


def _output(gamma: bytes) -> bytes:
    """RFC 9381, section 5.2."""
    return sha512(SUITE + b"\x03" + _times_cofactor(gamma) + b"\x00").digest()
