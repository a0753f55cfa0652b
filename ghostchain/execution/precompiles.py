"""The precompiled contracts: the door to `native/precompiles`, and the curve libraries behind it.

The native core does the hashes, modexp, BN254 and P-256 itself. For BLS12-381 (EIP-2537) and the
KZG point evaluation (EIP-4844) it checks gas, lengths and the versioned hash, then calls back
here, where py-arkworks-bls12381 and ckzg do the arithmetic. The callback never lets an exception
into C: invalid input is -1 and fails the precompile; anything else is -2, stops the block with
GHOST_LOADER_FAILED, is logged, and waits in `take_failure` for the door that ran the block.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ckzg
from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from ghostchain._native import ffi, lib
from ghostchain.crypto.kzg import trusted_setup

__all__ = [
    "PrecompileResult",
    "exists",
    "install",
    "level",
    "run",
    "set_level",
    "take_failure",
]

INVALID_INPUT = -1
LIBRARY_BROKE = -2

# EIP-2537: a field element is 48 bytes big-endian behind 16 zeros.
PADDING = bytes(16)
FIELD = 64
G1 = 2 * FIELD
G2 = 4 * FIELD
SCALAR = 32
TRUE = bytes(31) + b"\x01"
FALSE = bytes(32)

# EIP-4844: FIELD_ELEMENTS_PER_BLOB and BLS_MODULUS, what a point evaluation that holds returns.
EVALUATION_HOLDS = (4096).to_bytes(32, "big") + bytes.fromhex(
    "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
)

_LOGGER = logging.getLogger(__name__)
_failures = threading.local()
_install_lock = threading.Lock()
_is_installed = False


class _InvalidInputError(ValueError):
    """The input breaks its encoding, its group or its proof; the precompile fails."""


@dataclass(frozen=True, slots=True)
class PrecompileResult:
    """What one precompile did. A failed call has taken all its gas and returns nothing."""

    success: bool
    gas_left: int
    output: bytes


def install() -> None:
    """Gives the native core its curve backend. Once a process; further calls change nothing.

    Effects: process-wide. Without it the BLS12-381 and KZG precompiles stop the block.
    """
    global _is_installed
    with _install_lock:
        if _is_installed:
            return
        ffi.def_extern(name="ghost_python_curve", error=LIBRARY_BROKE)(_answer)
        lib.ghost_precompiles_set_backend(lib.ghost_python_curve)
        _is_installed = True


def take_failure() -> BaseException | None:
    """The exception that made the last run on this thread end with GHOST_LOADER_FAILED, once."""
    failure: BaseException | None = getattr(_failures, "kept", None)
    _failures.kept = None
    return failure


def exists(fork: int, address: bytes) -> bool:
    """Whether a precompile lives at the 20-byte address at this fork (0 Cancun, 1 Prague, 2 Osaka).

    Spec: EIP-2537 adds 0x0b-0x11 at Prague, EIP-7951 adds 0x100 at Osaka.
    """
    return bool(lib.ghost_precompile_exists(fork, _address(address)))


def run(fork: int, address: bytes, data: bytes, gas: int) -> PrecompileResult:
    """Runs the precompile at address over data with that much gas.

    Raises: LookupError when there is none at this fork; MemoryError; what the library behind it
    raised; RuntimeError when a curve precompile is asked before `install`.
    Cost: what the gas pays for. For tests, tools and calls from Python; blocks run in C.
    """
    result = ffi.new("ghost_precompile_result *")
    status = lib.ghost_precompile_run(
        result, fork, _address(address), ffi.from_buffer(data), len(data), gas
    )
    if status == lib.GHOST_MISSING:
        raise LookupError(f"no precompile at 0x{address.hex()} at fork {fork}")
    if status == lib.GHOST_OUT_OF_MEMORY:
        raise MemoryError(f"precompile 0x{address.hex()} over {len(data)} bytes")
    if status == lib.GHOST_LOADER_FAILED:
        raise take_failure() or RuntimeError("no curve backend (call install), or a bad answer")
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


def _answer(number: int, data: Any, length: int, output: Any, output_length_max: int) -> int:
    """Called from C, on the thread that runs the block."""
    try:
        answer = _BACKENDS[number](bytes(ffi.buffer(data, length)))
        if len(answer) > output_length_max:
            raise RuntimeError(f"{len(answer)} bytes of output from precompile {number}")
        ffi.memmove(output, answer, len(answer))
        return len(answer)
    except _InvalidInputError:
        return INVALID_INPUT
    except BaseException as failure:  # the boundary to C: nothing may pass, all is kept
        _failures.kept = failure
        _LOGGER.exception("the curve library behind precompile 0x%02x broke", number)
        return LIBRARY_BROKE


def _elements(data: bytes) -> bytes:
    """The field elements of data without their padding; the library checks that they are < p."""
    stripped = []
    for start in range(0, len(data), FIELD):
        if data[start : start + 16] != PADDING:
            raise _InvalidInputError("a field element is longer than 48 bytes")
        stripped.append(data[start + 16 : start + FIELD])
    return b"".join(stripped)


def _padded(elements: bytes) -> bytes:
    return b"".join(PADDING + elements[start : start + 48] for start in range(0, len(elements), 48))


def _g1(data: bytes) -> G1Point:
    """A point on the curve, of any order; 128 zeros are infinity."""
    elements = _elements(data)
    try:
        return G1Point.from_xy_bytes_unchecked_be(elements)
    except ValueError as error:
        raise _InvalidInputError(str(error)) from error


def _g2(data: bytes) -> G2Point:
    elements = _elements(data)
    try:
        return G2Point.from_xy_bytes_unchecked_be(elements)
    except ValueError as error:
        raise _InvalidInputError(str(error)) from error


def _g1_in_subgroup(data: bytes) -> G1Point:
    point = _g1(data)
    if not point.is_in_subgroup():
        raise _InvalidInputError("a G1 point is outside the subgroup")
    return point


def _g2_in_subgroup(data: bytes) -> G2Point:
    point = _g2(data)
    if not point.is_in_subgroup():
        raise _InvalidInputError("a G2 point is outside the subgroup")
    return point


def _g1_add(data: bytes) -> bytes:
    return _padded((_g1(data[:G1]) + _g1(data[G1:])).to_xy_bytes_be())


def _g2_add(data: bytes) -> bytes:
    return _padded((_g2(data[:G2]) + _g2(data[G2:])).to_xy_bytes_be())


def _g1_multi_scalar(data: bytes) -> bytes:
    starts = range(0, len(data), G1 + SCALAR)
    points = [_g1_in_subgroup(data[start : start + G1]) for start in starts]
    scalars = [
        Scalar.from_be_bytes_mod_order(data[start + G1 : start + G1 + SCALAR]) for start in starts
    ]
    return _padded(G1Point.multiexp_unchecked(points, scalars).to_xy_bytes_be())


def _g2_multi_scalar(data: bytes) -> bytes:
    starts = range(0, len(data), G2 + SCALAR)
    points = [_g2_in_subgroup(data[start : start + G2]) for start in starts]
    scalars = [
        Scalar.from_be_bytes_mod_order(data[start + G2 : start + G2 + SCALAR]) for start in starts
    ]
    return _padded(G2Point.multiexp_unchecked(points, scalars).to_xy_bytes_be())


def _pairing(data: bytes) -> bytes:
    starts = range(0, len(data), G1 + G2)
    left = [_g1_in_subgroup(data[start : start + G1]) for start in starts]
    right = [_g2_in_subgroup(data[start + G1 : start + G1 + G2]) for start in starts]
    return TRUE if GT.pairing_check(left, right) else FALSE


def _map_to_g1(data: bytes) -> bytes:
    elements = _elements(data)
    try:
        return _padded(G1Point.map_from_fp_be(elements).to_xy_bytes_be())
    except ValueError as error:
        raise _InvalidInputError(str(error)) from error


def _map_to_g2(data: bytes) -> bytes:
    elements = _elements(data)
    try:
        return _padded(G2Point.map_from_fp2_be(elements).to_xy_bytes_be())
    except ValueError as error:
        raise _InvalidInputError(str(error)) from error


def _point_evaluation(data: bytes) -> bytes:
    """data: versioned hash (32, checked in C), z (32), y (32), commitment (48), proof (48)."""
    setup = trusted_setup()
    try:
        holds = ckzg.verify_kzg_proof(data[96:144], data[32:64], data[64:96], data[144:192], setup)
    except RuntimeError as error:
        # This verification allocates nothing, so bad arguments are the one way it fails.
        raise _InvalidInputError(str(error)) from error
    if not holds:
        raise _InvalidInputError("the proof does not hold")
    return EVALUATION_HOLDS


# By the precompile's number.
_BACKENDS: dict[int, Callable[[bytes], bytes]] = {
    0x0A: _point_evaluation,
    0x0B: _g1_add,
    0x0C: _g1_multi_scalar,
    0x0D: _g2_add,
    0x0E: _g2_multi_scalar,
    0x0F: _pairing,
    0x10: _map_to_g1,
    0x11: _map_to_g2,
}
