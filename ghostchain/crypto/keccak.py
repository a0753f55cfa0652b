"""Keccak-256 as Ethereum uses it: the door to `native/keccak`.

Units: messages and digests are bytes, digests 32 of them.
Spec: the Keccak submission with rate 136 and padding 0x01 (Yellow Paper, section 3), not SHA3-256.
Oracle: pycryptodome and vectors of the Keccak submission, in tests/oracle/test_keccak.py.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import cast

from ghostchain._native import ffi, lib
from ghostchain.primitives.types import Hash32

__all__ = ["keccak256", "keccak256_batch", "level", "set_level"]

_DIGEST = ffi.typeof("uint8_t[32]")
_DIGESTS = ffi.typeof("uint8_t[]")
_SIZES = ffi.typeof("size_t[]")

# Cuts a run of digests several times as fast as slicing does. One format for all counts, since
# the struct module keeps every format that it was ever given.
_CUT_COUNT = 128
_CUT = struct.Struct("32s" * _CUT_COUNT)


def keccak256(data: bytes | bytearray | memoryview) -> Hash32:
    """The digest of data.

    Cost: one permutation for each 136 bytes, about 0.3 microseconds, and as much for the call.
    """
    digest = ffi.new(_DIGEST)
    message = data if isinstance(data, bytes) else ffi.from_buffer(data)
    lib.ghost_keccak256(digest, message, len(data))
    return cast(Hash32, ffi.buffer(digest)[:])


def keccak256_batch(messages: Sequence[bytes]) -> list[Hash32]:
    """The digests of messages, in their order.

    Cost: with AVX-512 eight messages share a permutation, with AVX2 four; lengths may differ.
    """
    count = len(messages)
    ends = array("Q", accumulate(map(len, messages), initial=0))
    joined = b"".join(messages)
    digests = ffi.new(_DIGESTS, 32 * count)
    lib.ghost_keccak256_batch(digests, joined, ffi.from_buffer(_SIZES, ends), count)
    return cast("list[Hash32]", list(_cut(ffi.buffer(digests)[:])))


def _cut(digests: bytes) -> Iterable[bytes]:
    whole = len(digests) - len(digests) % _CUT.size
    rest = [digests[start : start + 32] for start in range(whole, len(digests), 32)]
    return chain(chain.from_iterable(_CUT.iter_unpack(digests[:whole])), rest)


def level() -> int:
    """The SIMD level in use: 0 portable, 1 AVX2, 2 AVX-512."""
    return int(lib.ghost_keccak_level())


def set_level(level: int) -> int:
    """Caps the SIMD level (for tests and benchmarks) and returns the level now in use.

    Effects: process-wide; not for use while another thread hashes.
    """
    return int(lib.ghost_keccak_set_level(level))
