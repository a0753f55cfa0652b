"""What was recorded while blocks and messages ran, of every engine alike: the door to
`native/executor/trace.c`.

A `Watch` says what to record. While nothing is recorded, nothing is paid; while frames, logs or
touches are, code runs as fast as ever between them; steps take the interpreter that looks before
every instruction.

Spec: what is an account's touch, a log's position and a step's cost follows geth's eth/tracers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import Executor, Exit
from ghostchain.primitives.amendment import NO_AMENDMENTS, Amendments
from ghostchain.primitives.errors import GhostError
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32

ALL_TRANSACTIONS: int = lib.GHOST_TRACE_NO_TRANSACTION
NO_FRAME: int = lib.GHOST_TRACE_NO_FRAME
STACK_WORDS_MAX = 1024


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


class FaultKind(IntEnum):
    """What more is known of a halt; numbers as `enum ghost_fault_kind`."""

    NONE = 0
    SENTRY = 1
    OVERFLOW = 2
    MEMORY = 3
    INIT_CODE = 4
    STATIC = 5
    TWICE = 6
    CODE = 7


class Access(IntEnum):
    """How code reached into the state; numbers as `enum ghost_access`."""

    BALANCE = 0
    CODE = 1
    READ = 2
    WRITE = 3
    TRANSIENT_READ = 4
    TRANSIENT_WRITE = 5


@dataclass(frozen=True, slots=True)
class StepWatch:
    """What is kept of each instruction of the EVM besides its place, gas and cost.

    stack_words: how many of the stack's upper words.
    """

    stack_words: int = STACK_WORDS_MAX
    memory: bool = False
    return_data: bool = False


@dataclass(frozen=True, slots=True)
class StructLogWatch:
    """Steps written as geth's struct logger writes them (eth/tracers/logger), natively.

    limit: a transaction's steps end when they have become longer than so many bytes, 0 for never.
    bytes_max: of all of them; beyond it the run is stopped (`TraceTooLarge`).
    """

    stack: bool = True
    storage: bool = True
    memory: bool = False
    return_data: bool = False
    limit: int = 0
    bytes_max: int = lib.GHOST_TRACE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Watch:
    """What to record besides frames.

    touches: each account and slot that a transaction reaches, before and after it; codes: with the
    accounts' code. accesses: each access of code to the state, in order. hashes: what KECCAK256
    hashed, or had not the gas to. exact: a frame that fails does so at the very instruction, not at
    an earlier one for the gas of a later one; it takes longer, and comes with all of these but
    logs. steps: of the EVM, as records or as JSON. transaction: the candidate of a block that is
    recorded, the others run as if nobody looked; None for all and for system calls. deadline_ns: a
    moment of the monotonic clock at which the run is stopped (`ExecutionStopped`), 0 for none.
    """

    logs: bool = False
    touches: bool = False
    codes: bool = False
    accesses: bool = False
    hashes: bool = False
    exact: bool = False
    steps: StepWatch | StructLogWatch | None = None
    transaction: int | None = None
    deadline_ns: int = 0


FRAMES = Watch()


@dataclass(frozen=True, slots=True)
class Fault:
    """More about an exceptional halt. opcode: of an undefined instruction. have, want: words on
    the stack, and how many the instruction needs or allows; or want: the size of init code."""

    kind: FaultKind
    opcode: int
    have: int
    want: int


NO_FAULT = Fault(FaultKind.NONE, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class CallFrame:
    """A call, a creation or a self-destruction.

    depth: 0 for the frame of a transaction or system call; a frame's children are those that
    follow it with a greater depth, up to the next that has not. transaction: its place among the
    candidates, None for system calls. sender: whose account makes the call. to: whose code runs,
    what was to be created, or the beneficiary. Units: value in wei; gas as given, stipend included.
    input, output: None when left out because the whole trace had grown too large. output of a
    creation: the code it placed. fault: more about `exit`.
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
    fault: Fault = NO_FAULT


@dataclass(frozen=True, slots=True)
class TracedLog:
    """A log, whether it was undone later or not. frame: index into the trace's frames. position:
    how many children its frame had before it. index: its place in the block at that time."""

    frame: int
    position: int
    index: int
    transaction: int | None
    log: Log


@dataclass(frozen=True, slots=True)
class AccountState:
    """code: None when it was not watched, or left out for size."""

    nonce: int
    balance: int
    code_hash: Hash32
    code: bytes | None


@dataclass(frozen=True, slots=True)
class TouchedAccount:
    """An account that a transaction reached, once for each transaction.

    is_created: a creation named it, successful or not. is_destroyed: SELFDESTRUCT ran in it after
    that. was_there: it was in the state, be it empty, as no account is since EIP-161. frame: index
    of the frame that reached it first, None for the transaction itself.
    """

    address: Address
    transaction: int | None
    frame: int | None
    is_created: bool
    is_destroyed: bool
    was_there: bool
    before: AccountState
    after: AccountState


@dataclass(frozen=True, slots=True)
class TouchedSlot:
    """A slot that was read or written, once for each transaction."""

    address: Address
    key: Hash32
    transaction: int | None
    frame: int | None
    before: Hash32
    after: Hash32


@dataclass(frozen=True, slots=True)
class TracedAccess:
    """One access of code to the state. key, value: of a slot; value before the access, zero for
    transient storage."""

    access: Access
    frame: int
    address: Address
    key: Hash32
    value: Hash32


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction of the EVM as it stood before it ran.

    exit: SUCCESS, or why it failed before it did anything (gas, stack). depth: 0 in the
    transaction's frame. cost: all it takes, a callee's gas included. refund: the counter with what
    it adds. code_size: of the account that a call or EXTCODE* names, when accesses are watched
    too. stack: the upper words that are kept, the top word last. memory, return_data: None
    when not watched, or left out for size.
    """

    frame: int
    pc: int
    opcode: int
    exit: Exit
    fault: Fault
    depth: int
    gas: int
    cost: int
    refund: int
    code_size: int
    stack_size: int
    stack: tuple[int, ...]
    memory: bytes | None
    return_data: bytes | None


@dataclass(frozen=True, slots=True)
class Trace:
    """What one run did; frames in the order in which they began, the rest in order.

    is_cut: there was more than the bounds allow (262,144 frames, 1,048,576 of anything else,
    128 MiB of data). struct_logs: by transaction, objects of JSON with commas between them.
    failure: why the run ended before its end, where what it did until then is shown.
    """

    frames: tuple[CallFrame, ...]
    is_cut: bool
    logs: tuple[TracedLog, ...] = ()
    accounts: tuple[TouchedAccount, ...] = ()
    slots: tuple[TouchedSlot, ...] = ()
    accesses: tuple[TracedAccess, ...] = ()
    hashes: tuple[bytes, ...] = ()
    steps: Sequence[Step] = ()
    struct_logs: Mapping[int | None, memoryview] = field(default_factory=dict)
    failure: GhostError | None = None


# ---- native records into ours ----


def _data(pointer: Any, length: int) -> bytes | None:
    if length == 0:
        return b""
    return None if pointer == ffi.NULL else bytes(ffi.buffer(pointer, length))


def _word(field: Any) -> int:
    return int.from_bytes(ffi.buffer(field, 32)[:], "big")


def _hash(field: Any) -> Hash32:
    return Hash32(bytes(ffi.buffer(field, 32)))


def _address(field: Any) -> Address:
    return Address(bytes(ffi.buffer(field, 20)))


def _transaction(index: int) -> int | None:
    return None if index == ALL_TRANSACTIONS else index


def _frame_index(index: int) -> int | None:
    return None if index == NO_FRAME else index


# By their numbers, which begin at 0 and leave none out.
_KINDS, _ENGINES, _EXITS = tuple(FrameKind), tuple(FrameEngine), tuple(Exit)


def _frame(native: Any) -> CallFrame:
    addresses = bytes(ffi.buffer(ffi.addressof(native, "from"), 40))
    fault = NO_FAULT
    if native.exit > Exit.REVERT:
        fault = Fault(
            FaultKind(native.fault), native.fault_opcode, native.fault_have, native.fault_want
        )
    return CallFrame(
        kind=_KINDS[native.kind],
        engine=_ENGINES[native.engine],
        exit=_EXITS[native.exit],
        is_static=bool(native.is_static),
        depth=native.depth,
        transaction=_transaction(native.transaction),
        sender=Address(addresses[:20]),
        to=Address(addresses[20:]),
        value=_word(native.value),
        gas=native.gas,
        gas_used=native.gas_used,
        input=_data(native.input, native.input_length),
        output=_data(native.output, native.output_length),
        fault=fault,
    )


def _log(native: Any) -> TracedLog:
    log = native.log
    topics = bytes(ffi.buffer(log.topics))
    return TracedLog(
        native.frame,
        native.position,
        native.index,
        _transaction(native.transaction),
        Log(
            _address(log.address),
            tuple(Hash32(topics[32 * i : 32 * i + 32]) for i in range(log.topic_count)),
            _data(log.data, log.data_length) or b"",
        ),
    )


def _account_state(native: Any, has_code: bool) -> AccountState:
    return AccountState(
        native.nonce,
        _word(native.balance),
        _hash(native.code_hash),
        _data(native.code, native.code_length) if has_code else None,
    )


def _account(native: Any, has_code: bool) -> TouchedAccount:
    return TouchedAccount(
        _address(native.address),
        _transaction(native.transaction),
        _frame_index(native.frame),
        bool(native.is_created),
        bool(native.is_destroyed),
        bool(native.was_there),
        _account_state(native.before, has_code),
        _account_state(native.after, has_code),
    )


def _slot(native: Any) -> TouchedSlot:
    return TouchedSlot(
        _address(native.address),
        _hash(native.key),
        _transaction(native.transaction),
        _frame_index(native.frame),
        _hash(native.before),
        _hash(native.after),
    )


def _access(native: Any) -> TracedAccess:
    return TracedAccess(
        Access(native.access),
        native.frame,
        _address(native.address),
        _hash(native.key),
        _hash(native.value),
    )


def _step(native: Any) -> Step:
    words = bytes(ffi.buffer(native.stack, 32 * native.stack_words)) if native.stack_words else b""
    fault = NO_FAULT
    if native.exit:
        fault = Fault(FaultKind(native.fault), native.opcode, native.fault_have, native.fault_want)
    return Step(
        frame=native.frame,
        pc=native.pc,
        opcode=native.opcode,
        exit=Exit(native.exit),
        fault=fault,
        depth=native.depth,
        gas=native.gas,
        cost=native.cost,
        refund=native.refund,
        code_size=native.code_size,
        stack_size=native.stack_size,
        stack=tuple(int.from_bytes(words[at : at + 32], "big") for at in range(0, len(words), 32)),
        memory=_data(native.memory, native.memory_length),
        return_data=_data(native.return_data, native.return_length),
    )


class Steps(Sequence[Step]):
    """The steps of a run, each made when it is asked for; the records stay native."""

    __slots__ = ("_count", "_native", "_owner")

    def __init__(self, owner: Any, native: Any, count: int) -> None:
        self._owner = owner
        self._native = native
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return _step(self._native[index % self._count])


class StructLogs(Mapping[int | None, memoryview]):
    """The JSON of each transaction's steps, which stays native."""

    __slots__ = ("_json", "_owner", "_places")

    def __init__(self, owner: Any, native: Any) -> None:
        self._owner = owner
        self._json = native.json
        marks = [native.marks[i] for i in range(native.mark_count)]
        ends = [mark.offset for mark in marks[1:]] + [native.json_length] * bool(marks)
        self._places = {
            _transaction(mark.transaction): (mark.offset, end)
            for mark, end in zip(marks, ends, strict=True)
            if end > mark.offset
        }

    def __getitem__(self, transaction: int | None) -> memoryview:
        start, end = self._places[transaction]
        owner = self._owner
        # The view keeps its pointer, whose end keeps what it points into.
        place = ffi.gc(self._json + start, lambda pointer: owner)
        return memoryview(ffi.buffer(place, end - start))

    def __iter__(self) -> Iterator[int | None]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class StructLog:
    """What geth's struct logger shows of one transaction, as JSON that stays native.

    parts: one after the other it; each a buffer that must not outlive this object. byte_count: of
    the data that went through its frames.
    """

    __slots__ = ("_owner", "byte_count", "is_cut", "parts")

    def __init__(self, native: Any) -> None:
        """native: a ghost_struct_log, whose recording this takes."""
        self._owner = ffi.gc(native.recording, lib.ghost_recording_free)
        self.byte_count: int = native.byte_count
        self.is_cut = bool(native.is_cut)
        buffer = ffi.buffer
        steps = buffer(native.steps, native.steps_length) if native.steps_length else b""
        self.parts = (buffer(native.head, native.head_length), steps, b"]}")


def struct_log(
    executor: Executor,
    environment: Any,
    batch: TransactionBatch,
    steps: StructLogWatch,
    *,
    transaction: int,
    bytes_max: int,
    deadline_ns: int,
    amendments: Amendments = NO_AMENDMENTS,
) -> StructLog:
    """Of the transaction at this place of a block; those before it run unwatched, and nothing that
    they changed is left. environment: a ghost_block_env. bytes_max: of the steps, in place of what
    their watch says. deadline_ns: as of Watch.

    Raises: as `Executor.run_block`; ExecutionStopped, TraceTooLarge.
    """
    native = ffi.new("ghost_trace_watch *")
    native.transaction = transaction
    native.deadline_ns = deadline_ns
    _watch_json(native, steps)
    native.json_bytes_max = bytes_max
    return StructLog(executor.struct_log(environment, batch, native, amendments=amendments))


# ---- recording ----


class Recorder:
    """Gives what an executor's last run did, while recording is on."""

    __slots__ = ("_executor", "_watch")

    def __init__(self, executor: Executor, watch: Watch) -> None:
        self._executor = executor
        self._watch = watch

    def weight(self) -> tuple[int, int]:
        """How many frames, logs and so on were recorded, and the bytes behind them; steps and
        struct logs do not count."""
        native = ffi.new("ghost_trace *")
        lib.ghost_executor_recorded(self._executor.native, native)
        items = native.frame_count + native.log_count + native.account_count + native.slot_count
        return items + native.access_count + native.hash_count, native.byte_count

    def trace(self) -> Trace:
        """The last run's. With steps it can be asked for once a run.

        Cost: one object for each frame, log, account and slot; steps stay native until looked at.
        Raises: MemoryError.
        """
        native = ffi.new("ghost_trace *")
        lib.ghost_executor_recorded(self._executor.native, native)
        has_code = self._watch.codes
        return Trace(
            frames=tuple(_frame(native.frames[i]) for i in range(native.frame_count)),
            is_cut=bool(native.is_cut),
            logs=tuple(_log(native.logs[i]) for i in range(native.log_count)),
            accounts=tuple(
                _account(native.accounts[i], has_code) for i in range(native.account_count)
            ),
            slots=tuple(_slot(native.slots[i]) for i in range(native.slot_count)),
            accesses=tuple(_access(native.accesses[i]) for i in range(native.access_count)),
            hashes=tuple(
                _data(native.hashes[i].data, native.hashes[i].length) or b""
                for i in range(native.hash_count)
            ),
            **(self._steps(native) if native.step_count or native.mark_count else {}),
        )

    def _steps(self, native: Any) -> dict[str, Any]:
        taken = lib.ghost_executor_take_recording(self._executor.native)
        if taken == ffi.NULL:
            raise MemoryError("the native core found no memory for a trace")
        owner = ffi.gc(taken, lib.ghost_recording_free)
        return {
            "steps": Steps(owner, native.steps, native.step_count),
            "struct_logs": StructLogs(owner, native),
        }


def _native_watch(watch: Watch) -> Any:
    native = ffi.new("ghost_trace_watch *")
    native.logs = watch.logs
    native.exact = watch.exact
    native.touches = (2 if watch.codes else 1) if watch.touches else 0
    native.accesses = watch.accesses
    native.hashes = watch.hashes
    native.transaction = ALL_TRANSACTIONS if watch.transaction is None else watch.transaction
    native.deadline_ns = watch.deadline_ns
    if isinstance(watch.steps, StructLogWatch):
        _watch_json(native, watch.steps)
    elif watch.steps is not None:
        native.steps = lib.GHOST_TRACE_STEPS_RECORDS
        native.step_stack_words = watch.steps.stack_words
        native.step_memory = watch.steps.memory
        native.step_return_data = watch.steps.return_data
    return native


def _watch_json(native: Any, steps: StructLogWatch) -> None:
    native.steps = lib.GHOST_TRACE_STEPS_JSON
    native.json_no_stack = not steps.stack
    native.json_no_storage = not steps.storage
    native.step_memory = steps.memory
    native.step_return_data = steps.return_data
    native.json_limit = steps.limit
    native.json_bytes_max = steps.bytes_max


@contextmanager
def recording(executor: Executor, watch: Watch = FRAMES) -> Iterator[Recorder]:
    """Records what is watched of each call and block that runs inside the `with`.

    Raises: MemoryError.
    """
    if lib.ghost_executor_trace(executor.native, _native_watch(watch)) != lib.GHOST_OK:
        raise MemoryError("the native core found no memory for a trace")
    try:
        yield Recorder(executor, watch)
    finally:
        lib.ghost_executor_trace(executor.native, ffi.NULL)
