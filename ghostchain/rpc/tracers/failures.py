"""Why a frame failed, in geth's words (core/vm/errors.go, as its interpreter wraps them)."""

from __future__ import annotations

from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import CallFrame, Fault, FaultKind, FrameEngine
from ghostchain.rpc.calls import HALTS
from ghostchain.rpc.tracers.refusals import refusal

REVERTED = "execution reverted"
INIT_CODE_BYTES_MAX = 49_152
CODE_BYTES_MAX = 24_576

FAULTS = {
    FaultKind.SENTRY: "out of gas: not enough gas for reentrancy sentry",
    FaultKind.OVERFLOW: "gas uint64 overflow",
    FaultKind.MEMORY: "out of gas: gas uint64 overflow",
    FaultKind.STATIC: "out of gas: write protection",
    FaultKind.TWICE: "out of gas: out of gas",
}
# Instructions that other forks have: geth calls them by their names where they are not defined.
ELSEWHERE = {
    0x1E: "CLZ",
    0x4B: "SLOTNUM",
    0xD0: "DATALOAD",
    0xD1: "DATALOADN",
    0xD2: "DATASIZE",
    0xD3: "DATACOPY",
    0xE0: "RJUMP",
    0xE1: "RJUMPI",
    0xE2: "RJUMPV",
    0xE3: "CALLF",
    0xE4: "RETF",
    0xE5: "JUMPF",
    0xE6: "DUPN",
    0xE7: "SWAPN",
    0xE8: "EXCHANGE",
    0xEC: "EOFCREATE",
    0xEE: "RETURNCONTRACT",
    0xF7: "RETURNDATALOAD",
    0xF8: "EXTCALL",
    0xF9: "EXTDELEGATECALL",
    0xFB: "EXTSTATICCALL",
}


def failure_of(frame: CallFrame) -> str | None:
    """None for a frame that succeeded."""
    if frame.exit is Exit.SUCCESS:
        return None
    if frame.exit is Exit.REVERT:
        return REVERTED
    if frame.exit is Exit.PRECOMPILE_FAILED:
        return refusal(frame.to, frame.input or b"")
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
            name = ELSEWHERE.get(fault.opcode, f"opcode {fault.opcode:#x} not defined")
            return f"invalid opcode: {name}"
        case Exit.STACK_UNDERFLOW:
            return f"stack underflow ({fault.have} <=> {fault.want})"
        case Exit.STACK_OVERFLOW:
            return f"stack limit reached {fault.have} ({fault.want})"
        case _:
            return HALTS.get(exit, "execution failed")


def is_precompile(frame: CallFrame) -> bool:
    return frame.engine is FrameEngine.PRECOMPILE
