"""Call frames as they were recorded while blocks and messages ran, of every engine alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.execution.executor import Executor, Exit
from ghostchain.primitives.types import Address


class FrameKind(IntEnum):
    """How a frame came to be; numbers as `enum ghost_call_kind`."""

    CALL = 0
    CALLCODE = 1
    DELEGATECALL = 2
    STATICCALL = 3
    CREATE = 4
    CREATE2 = 5
    SELFDESTRUCT = 6


class FrameEngine(IntEnum):
    """What ran a frame; numbers as `enum ghost_trace_engine`."""

    NOTHING = 0
    EVM = 1
    WASM = 2
    CONTRACT = 3
    PRECOMPILE = 4


@dataclass(frozen=True, slots=True)
class CallFrame:
    """A call, a creation or a self-destruction.

    depth: 0 for the frame of a transaction or system call; a frame's children are those that
    follow it with a greater depth, up to the next that has not. transaction: its place among the
    candidates, None for system calls. sender: whose account makes the call. to: whose code runs,
    what was to be created, or the beneficiary. Units: value in wei; gas as given, stipend included.
    input, output: None when left out because the whole trace had grown too large. output of a
    creation: the code it placed.
    """

    kind: FrameKind
    engine: FrameEngine
    exit: Exit
    is_static: bool
    depth: int
    transaction: int | None
    sender: Address
    to: Address
    value: int
    gas: int
    gas_used: int
    input: bytes | None
    output: bytes | None


@dataclass(frozen=True, slots=True)
class Trace:
    """The frames of one run, in the order in which they began.

    is_cut: there was more than the bounds allow (262,144 frames, 128 MiB of data).
    """

    frames: tuple[CallFrame, ...]
    is_cut: bool


def _data(pointer: Any, length: int) -> bytes | None:
    if length == 0:
        return b""
    return None if pointer == ffi.NULL else bytes(ffi.buffer(pointer, length))


def _frame(native: Any) -> CallFrame:
    addresses = bytes(ffi.buffer(ffi.addressof(native, "from"), 40))
    return CallFrame(
        kind=FrameKind(native.kind),
        engine=FrameEngine(native.engine),
        exit=Exit(native.exit),
        is_static=bool(native.is_static),
        depth=native.depth,
        transaction=(
            None if native.transaction == lib.GHOST_TRACE_NO_TRANSACTION else native.transaction
        ),
        sender=Address(addresses[:20]),
        to=Address(addresses[20:]),
        value=int.from_bytes(ffi.buffer(native.value, 32)[:], "big"),
        gas=native.gas,
        gas_used=native.gas_used,
        input=_data(native.input, native.input_length),
        output=_data(native.output, native.output_length),
    )


class Recorder:
    """Gives the frames of an executor's last run, while recording is on."""

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def trace(self) -> Trace:
        """The last run's. Cost: one object for each frame."""
        native = ffi.new("ghost_trace *")
        lib.ghost_executor_frames(self._executor.native, native)
        frames = tuple(_frame(native.frames[i]) for i in range(native.frame_count))
        return Trace(frames, bool(native.is_cut))


@contextmanager
def recording(executor: Executor) -> Iterator[Recorder]:
    """Records the frames of each call and block that runs inside the `with`.

    Raises: MemoryError.
    """
    if lib.ghost_executor_trace(executor.native, 1) != lib.GHOST_OK:
        raise MemoryError("the native core found no memory for a trace")
    try:
        yield Recorder(executor)
    finally:
        lib.ghost_executor_trace(executor.native, 0)
