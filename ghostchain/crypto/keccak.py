"""Keccak-256 as Ethereum uses it: the door to `native/keccak`.

Units: messages and digests are bytes, digests 32 of them.
Spec: the Keccak submission with rate 136 and padding 0x01 (Yellow Paper, section 3), not SHA3-256.
Oracle: pycryptodome and the vectors of the Keccak team, in tests/oracle/test_keccak.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from ghostchain._native import ffi, lib
from ghostchain.primitives.types import Hash32

__all__ = ["keccak256", "keccak256_batch", "level", "set_level"]


def keccak256(data: bytes) -> Hash32:
    """The digest of data.

    Cost: one permutation for each 136 bytes, about 0.4 microseconds, and the call.
    """
    digest = ffi.new("uint8_t[32]")
    lib.ghost_keccak256(digest, ffi.from_buffer(data), len(data))
    return Hash32(bytes(ffi.buffer(digest)))


def keccak256_batch(messages: Sequence[bytes]) -> list[Hash32]:
    """The digests of messages, in their order.

    Cost: with AVX-512 eight messages share a permutation, with AVX2 four; lengths may differ.
    """
    count = len(messages)
    ends = ffi.new("size_t[]", [0, *accumulate(map(len, messages))])
    digests = ffi.new("uint8_t[]", 32 * count)
    lib.ghost_keccak256_batch(digests, ffi.from_buffer(b"".join(messages)), ends, count)
    joined = bytes(ffi.buffer(digests))
    return [Hash32(joined[start : start + 32]) for start in range(0, 32 * count, 32)]


def level() -> int:
    """The SIMD level in use: 0 portable, 1 AVX2, 2 AVX-512."""
    return int(lib.ghost_keccak_level())


def set_level(level: int) -> int:
    """Caps the SIMD level (for tests and benchmarks) and returns the level now in use.

    Effects: process-wide; not for use while another thread hashes.
    """
    return int(lib.ghost_keccak_set_level(level))
