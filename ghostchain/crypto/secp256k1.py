"""ECDSA over secp256k1 as Ethereum uses it: the door to `native/secp256k1`, and signing.

Recovery (public data) runs in batches in the native kernel. Signing and everything else that
touches a private key goes through libsecp256k1, which is constant-time; the kernel is not.

Units: digests and private keys are 32 bytes, public keys 64 (x then y, big-endian), r and s are
integers, y_parity is 0 or 1: Ethereum has no signature whose point has an x above n.
Spec: SEC 1, section 4.1.6 (recovery); RFC 6979 (nonces); EIP-2 (low s when signing); Yellow
Paper, appendix F (addresses).
Oracle: coincurve and py_ecc, in tests/oracle/test_secp256k1.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import coincurve

from ghostchain._native import ffi, lib
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.types import Address

__all__ = [
    "GROUP_ORDER",
    "address_of",
    "level",
    "public_key_of",
    "recover",
    "recover_batch",
    "recover_public_keys",
    "set_level",
    "sign",
]

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

# A digest, then r, s and y_parity.
Recoverable = tuple[bytes, int, int, int]

# What stands behind y_parity in a ghost_recovery: ok, address and public key, for the kernel.
_OUTPUT = bytes(1 + 20 + 64)
# An s of zero makes the kernel refuse: it stands for numbers that do not fit the record.
_REFUSED = bytes(32 + 32 + 32 + 1) + _OUTPUT


def recover_batch(items: Sequence[Recoverable], *, threads: int = 0) -> list[Address | None]:
    """The signer's address for each (digest, r, s, y_parity), None where there is no signer.

    There is none when r or s is outside [1, n), y_parity is not 0 or 1, no point of the curve has
    x = r, or the key would be infinity. High s is accepted: EIP-2 is the caller's rule.

    Units: threads is the most threads to use, 0 for one per core.
    Raises: ValueError when a digest is not 32 bytes long.
    Cost: with AVX-512 IFMA eight signatures share one computation; the interpreter lock is free.
    """
    records = _recovered(items, threads)
    return [Address(bytes(ffi.buffer(record.address))) if record.ok else None for record in records]


def recover_public_keys(items: Sequence[Recoverable], *, threads: int = 0) -> list[bytes | None]:
    """As recover_batch, but the 64-byte public keys."""
    records = _recovered(items, threads)
    return [bytes(ffi.buffer(record.public_key)) if record.ok else None for record in records]


def recover(digest: bytes, r: int, s: int, y_parity: int) -> Address | None:
    """The signer's address, or None where recover_batch says None.

    Raises: ValueError when the digest is not 32 bytes long.
    Cost: about 40 microseconds; two or more together are cheaper by recover_batch.
    """
    return recover_batch([(digest, r, s, y_parity)], threads=1)[0]


def sign(digest: bytes, private_key: bytes) -> tuple[int, int, int]:
    """(r, s, y_parity) with s at most n / 2, the same for the same arguments.

    Raises: ValueError when the digest is not 32 bytes long or the key is not one.
    """
    if len(digest) != 32:
        raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
    signature = _private_key(private_key).sign_recoverable(digest, hasher=None)
    # The recovery id is 2 or 3 only when a point's x is at or above n: a chance of 2^-127.
    y_parity = signature[64]
    assert y_parity < 2
    return int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), y_parity


def public_key_of(private_key: bytes) -> bytes:
    """The 64-byte public key.

    Raises: ValueError when the key is not one.
    """
    return _private_key(private_key).public_key.format(compressed=False)[1:]


def address_of(private_key: bytes) -> Address:
    """The address that the key signs for: the last 20 bytes of its public key's Keccak-256.

    Raises: ValueError when the key is not one.
    """
    return Address(keccak256(public_key_of(private_key))[12:])


def level() -> int:
    """The SIMD level in use: 0 portable, 1 AVX-512 IFMA."""
    return int(lib.ghost_secp256k1_level())


def set_level(level: int) -> int:
    """Caps the SIMD level (for tests and benchmarks) and returns the level now in use.

    Effects: process-wide; not for use while another thread recovers.
    """
    return int(lib.ghost_secp256k1_set_level(level))


def _private_key(private_key: bytes) -> coincurve.PrivateKey:
    """The library's key. Its bytes never appear in an error's text."""
    if len(private_key) != 32:
        raise ValueError(f"a private key has 32 bytes, not {len(private_key)}")
    if not 0 < int.from_bytes(private_key) < GROUP_ORDER:
        raise ValueError("a private key lies between 1 and the group order minus 1")
    return coincurve.PrivateKey(private_key)


def _record(item: Recoverable) -> bytes:
    digest, r, s, y_parity = item
    if len(digest) != 32:
        raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
    if not (0 <= r < GROUP_ORDER and 0 <= s < GROUP_ORDER and 0 <= y_parity <= 1):
        return _REFUSED
    return b"".join((digest, r.to_bytes(32), s.to_bytes(32), y_parity.to_bytes(1), _OUTPUT))


def _recovered(items: Sequence[Recoverable], threads: int) -> ffi.CData:
    if threads < 0:
        raise ValueError(f"threads is a count, not {threads}")
    records = ffi.new("ghost_recovery[]", len(items))
    ffi.buffer(records)[:] = b"".join(map(_record, items))
    lib.ghost_secp256k1_recover_batch(records, len(items), threads)
    return records
