"""Why a frame failed, in geth's words (core/vm/errors.go, as its interpreter wraps them)."""

from __future__ import annotations

from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import CallFrame, Fault, FaultKind, FrameEngine
from ghostchain.rpc.calls import HALTS

REVERTED = "execution reverted"
INIT_CODE_BYTES_MAX = 49_152
CODE_BYTES_MAX = 24_576
INVALID_LENGTH = "invalid input length"

FAULTS = {
    FaultKind.SENTRY: "out of gas: not enough gas for reentrancy sentry",
    FaultKind.OVERFLOW: "gas uint64 overflow",
    FaultKind.MEMORY: "out of gas: gas uint64 overflow",
    FaultKind.STATIC: "out of gas: write protection",
    FaultKind.TWICE: "out of gas: out of gas",
}
# Bytes of one item of input of the BLS12-381 precompiles (EIP-2537); several where it says so.
BLS_ITEMS = {0x0B: 256, 0x0C: 160, 0x0D: 512, 0x0E: 288, 0x0F: 384, 0x10: 64, 0x11: 128}
BLS_OF_MANY = frozenset({0x0C, 0x0E, 0x0F})


def failure_of(frame: CallFrame) -> str | None:
    """None for a frame that succeeded."""
    if frame.exit is Exit.SUCCESS:
        return None
    if frame.exit is Exit.REVERT:
        return REVERTED
    if frame.exit is Exit.PRECOMPILE_FAILED:
        return precompile_failure(frame)
    return halt_text(frame.exit, frame.fault)


def halt_text(exit: Exit, fault: Fault) -> str:
    """A halt that is no precompile's."""
    if fault.kind in FAULTS:
        return FAULTS[fault.kind]
    if fault.kind is FaultKind.INIT_CODE:
        size, limit = fault.want, INIT_CODE_BYTES_MAX
        return f"out of gas: max initcode size exceeded: code size {size} limit {limit}"
    if fault.kind is FaultKind.CODE:
        return f"max code size exceeded: code size {fault.want} limit {CODE_BYTES_MAX}"
    match exit:
        case Exit.UNDEFINED_OPCODE:
            return f"invalid opcode: opcode {fault.opcode:#x} not defined"
        case Exit.STACK_UNDERFLOW:
            return f"stack underflow ({fault.have} <=> {fault.want})"
        case Exit.STACK_OVERFLOW:
            return f"stack limit reached {fault.have} ({fault.want})"
        case _:
            return HALTS.get(exit, "execution failed")


def precompile_failure(frame: CallFrame) -> str:
    """What geth's precompiles say of an input that they refuse."""
    number, data = int.from_bytes(frame.to, "big"), frame.input or b""
    match number:
        case 0x05:
            return "one or more of base/exponent/modulus length exceeded 1024 bytes"
        case 0x06 | 0x07:
            return "malformed point"
        case 0x08:
            return "bad elliptic curve pairing size" if len(data) % 192 else "malformed point"
        case 0x09:
            return INVALID_LENGTH if len(data) != 213 else "invalid final flag"
        case 0x0A if len(data) != 192:
            return INVALID_LENGTH
        case 0x0A:
            return "error verifying kzg proof"
        case _ if number in BLS_ITEMS:
            item = BLS_ITEMS[number]
            is_right = len(data) == item or (
                number in BLS_OF_MANY and data and len(data) % item == 0
            )
            return "invalid point: not on curve" if is_right else INVALID_LENGTH
        case _:
            return "precompiled contract failed"


def is_precompile(frame: CallFrame) -> bool:
    return frame.engine is FrameEngine.PRECOMPILE
