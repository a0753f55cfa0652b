"""Which engine runs a code: its first bytes say (native/executor/call.c decides by the same)."""

from __future__ import annotations

from typing import Literal

from ghostchain.primitives.types import WASM_MAGIC

EngineName = Literal["none", "evm", "wasm", "native", "delegation"]

NATIVE_PREFIX = bytes.fromhex("ef47")
DELEGATION_PREFIX = bytes.fromhex("ef0100")  # EIP-7702


def engine_of(code: bytes) -> EngineName:
    """On a chain where the hybrid rules hold. delegation: the code of another account runs."""
    if not code:
        return "none"
    if code.startswith(WASM_MAGIC):
        return "wasm"
    if code.startswith(NATIVE_PREFIX) and len(code) == 3:
        return "native"
    if code.startswith(DELEGATION_PREFIX) and len(code) == 23:
        return "delegation"
    return "evm"
