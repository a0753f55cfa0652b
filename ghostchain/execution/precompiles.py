"""The precompiled contracts, one call at a time: the door to `native/precompiles`.

Blocks reach them inside the native core and never pass here; this door is for tests, tools and
calls from Python.

Spec: Yellow Paper, appendix E; EIP-152, 196, 197, 198, 2565, 2537, 4844, 7823, 7883, 7951.
Oracle: hashlib, pow, py_ecc, arkworks, ckzg, OpenSSL, in tests/oracle/test_precompiles*.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ghostchain._native import ffi, lib

__all__ = ["PrecompileResult", "exists", "level", "run", "set_level"]


@dataclass(frozen=True, slots=True)
class PrecompileResult:
    """What one precompile did. A failed call has taken all its gas and returns nothing."""

    success: bool
    gas_left: int
    output: bytes


def exists(fork: int, address: bytes) -> bool:
    """Whether a precompile lives at the 20-byte address at this fork (0 Cancun, 1 Prague, 2 Osaka).

    Spec: EIP-2537 adds 0x0b-0x11 at Prague, EIP-7951 adds 0x100 at Osaka.
    """
    return bool(lib.ghost_precompile_exists(fork, _address(address)))


def run(fork: int, address: bytes, data: bytes, gas: int) -> PrecompileResult:
    """Runs the precompile at address over data with that much gas.

    Raises: LookupError when there is none at this fork; MemoryError.
    Cost: what the gas pays for; the interpreter lock is free meanwhile.
    """
    result = ffi.new("ghost_precompile_result *")
    status = lib.ghost_precompile_run(
        result, fork, _address(address), ffi.from_buffer(data), len(data), gas
    )
    if status == lib.GHOST_MISSING:
        raise LookupError(f"no precompile at 0x{address.hex()} at fork {fork}")
    if status == lib.GHOST_OUT_OF_MEMORY:
        raise MemoryError(f"precompile 0x{address.hex()} over {len(data)} bytes")
    output = b""
    if result.output_length:
        output = bytes(ffi.buffer(result.output, result.output_length))
        lib.free(result.output)
    return PrecompileResult(bool(result.success), int(result.gas_left), output)


def level() -> int:
    """The SIMD level in use: 0 portable, 1 what the CPU has of SHA-NI and ADX."""
    return int(lib.ghost_precompiles_level())


def set_level(level: int) -> int:
    """Caps the SIMD level (for tests and benchmarks) and returns the level now in use.

    Effects: process-wide.
    """
    return int(lib.ghost_precompiles_set_level(level))


def _address(address: bytes) -> Any:
    if len(address) != 20:
        raise ValueError(f"an address has 20 bytes, not {len(address)}")
    return ffi.from_buffer(address)
