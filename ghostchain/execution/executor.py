"""Blocks and messages against a state: the door to `native/executor` and `native/evm`.

Threads: an Executor belongs to one thread at a time; different executors run side by side, since
the interpreter lock is free while native code runs (callbacks take it).

Spec: Yellow Paper with the EIPs up to Osaka; order and reasons of refusal as the executable
specification has them.
Oracle: the official state and blockchain tests, and the executable specification, in
tests/oracle/test_executor.py and tests/property.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from time import perf_counter_ns
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.amendments import native_amendments
from ghostchain.execution.contracts import ContractRunner, plug
from ghostchain.execution.environment import BlockEnvironment as BlockEnvironment
from ghostchain.execution.environment import Message as Message
from ghostchain.execution.loader import Door
from ghostchain.execution.loader import StateView as StateView
from ghostchain.execution.native_values import (
    fill_environment,
    native_message,
    native_withdrawals,
)
from ghostchain.primitives.amendment import NO_AMENDMENTS, Amendments
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import (
    BlockReason,
    GhostError,
    InvalidBlock,
    InvalidTransaction,
    TransactionReason,
)
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32
from ghostchain.trie.merkle import ChangeSet

CACHE_BYTES_MAX = 256 << 20


class Exit(IntEnum):
    """How a frame ended; numbers as `enum ghost_exit`."""

    SUCCESS = 0
    REVERT = 1
    OUT_OF_GAS = 2
    UNDEFINED_OPCODE = 3
    INVALID_OPCODE = 4
    STACK_UNDERFLOW = 5
    STACK_OVERFLOW = 6
    BAD_JUMP = 7
    STATIC_VIOLATION = 8
    RETURN_DATA_BOUNDS = 9
    CODE_SIZE = 10
    CODE_PREFIX = 11
    CODE_STORE_OUT_OF_GAS = 12
    ADDRESS_COLLISION = 13
    PRECOMPILE_FAILED = 14
    CALL_DEPTH = 15
    INSUFFICIENT_BALANCE = 16
    NONCE_OVERFLOW = 17
    ABORT = 18
    WASM_INVALID = 19
    WASM_TRAP = 20


class CallFlag(IntFlag):
    """What `Executor.call` lets pass; bits as `enum ghost_call_flags`."""

    NO_BALANCE_CHECK = 1
    NO_NONCE_CHECK = 2
    NO_EOA_CHECK = 4
    NO_BASE_FEE = 8
    NO_GAS_CAP = 16
    KEEP = 32
    RECORD_ACCESS = 64
    LOG_TRANSFERS = 128
    SHOW_BASE_FEE = 256


class ExecutorFailed(GhostError):
    """The native core could not go on: memory is out, or state that must be there is missing."""


class ExecutionStopped(GhostError):
    """Somebody asked the run to stop, or its time was over."""


class TraceTooLarge(GhostError):
    """What was to be recorded is larger than the watch allows; the run was stopped."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a message did. reason not OK: nothing ran, and the rest is empty.

    exit_reason: why a module was refused (WASM_INVALID), else empty.
    gas_used: as a receipt would show. gas_intrinsic: what the transaction needs at least.
    gas_peak: before refunds. transfers: which of the logs are of LOG_TRANSFERS, in no receipt.
    ordinals: of each log, how many came before it, those that were undone counted.
    accessed_*: with RECORD_ACCESS, first use first.
    """

    reason: TransactionReason
    exit: Exit
    success: bool
    output: bytes
    gas_used: int
    gas_refunded: int
    gas_intrinsic: int
    contract_address: Address | None
    logs: tuple[Log, ...]
    accessed_accounts: tuple[Address, ...]
    accessed_slots: tuple[tuple[Address, Hash32], ...]
    exit_reason: str = ""
    gas_peak: int = 0
    transfers: frozenset[int] = frozenset()
    ordinals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TransactionOutcome:
    """What became of one candidate of a block. Units: gas, wei per gas."""

    reason: TransactionReason
    included: bool
    success: bool
    exit: Exit
    gas_used: int
    cumulative_gas_used: int
    blob_gas_used: int
    effective_gas_price: int
    contract_address: Address | None
    logs: range


# ---- results ----


def _bytes(pointer: Any, length: int) -> bytes:
    return bytes(ffi.buffer(pointer, length)) if length else b""


def _text(pointer: Any) -> str:
    return ffi.string(pointer).decode("utf-8", "replace") if pointer != ffi.NULL else ""


def _log(native: Any) -> Log:
    topics = bytes(ffi.buffer(native.topics))
    return Log(
        Address(_bytes(native.address, 20)),
        tuple(Hash32(topics[32 * i : 32 * i + 32]) for i in range(native.topic_count)),
        _bytes(native.data, native.data_length),
    )


def _logs(pointer: Any, first: int, count: int) -> tuple[Log, ...]:
    return tuple(_log(pointer[i]) for i in range(first, first + count))


def _integer(pointer: Any) -> int:
    return int.from_bytes(ffi.buffer(pointer, 32)[:], "big")


def _contract(native: Any) -> Address | None:
    return Address(_bytes(native.contract_address, 20)) if native.has_contract else None


def _outcome(native: Any) -> TransactionOutcome:
    return TransactionOutcome(
        reason=TransactionReason(native.reason),
        included=bool(native.included),
        success=bool(native.success),
        exit=Exit(native.exit),
        gas_used=native.gas_used,
        cumulative_gas_used=native.cumulative_gas_used,
        blob_gas_used=native.blob_gas_used,
        effective_gas_price=_integer(native.effective_gas_price),
        contract_address=_contract(native),
        logs=range(native.log_first, native.log_first + native.log_count),
    )


class _Outcomes(Sequence[TransactionOutcome]):
    """The outcomes of a block's candidates, each made when it is asked for."""

    __slots__ = ("_result",)

    def __init__(self, result: BlockResult) -> None:
        self._result = result

    def __len__(self) -> int:
        return int(self._result.native.outcome_count)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        count = len(self)
        if not -count <= index < count:
            raise IndexError(index)
        return _outcome(self._result.native.outcomes[index % count])


class BlockResult:
    """A run block. What is read from it beyond the plain attributes stands in native memory and
    must be read before the executor commits, discards, or runs again.

    Units: gas_used, blob_gas_used in gas; bloom 256 bytes.
    """

    __slots__ = (
        "_executor",
        "_native",
        "_run",
        "blob_gas_used",
        "bloom",
        "gas_used",
        "receipts_root",
        "requests_hash",
        "transactions_root",
        "withdrawals_root",
    )

    def __init__(self, executor: Executor, native: Any) -> None:
        self._executor = executor
        self._native = native
        self._run = executor.run_count
        self.gas_used: int = native.gas_used
        self.blob_gas_used: int = native.blob_gas_used
        self.bloom = _bytes(native.bloom, 256)
        self.receipts_root = Hash32(_bytes(native.receipts_root, 32))
        self.transactions_root = Hash32(_bytes(native.transactions_root, 32))
        self.withdrawals_root = Hash32(_bytes(native.withdrawals_root, 32))
        self.requests_hash = Hash32(_bytes(native.requests_hash, 32))

    @property
    def native(self) -> Any:
        """The ghost_block_result. Raises: RuntimeError when it is no longer there."""
        if self._run != self._executor.run_count:
            raise RuntimeError("a block's result was read after the executor had moved on")
        return self._native

    @property
    def outcomes(self) -> Sequence[TransactionOutcome]:
        """One for each candidate, in order."""
        return _Outcomes(self)

    def gas_used_by(self, index: int) -> int:
        """Of one candidate, in gas."""
        native = self.native
        if not 0 <= index < native.outcome_count:
            raise IndexError(index)
        return int(native.outcomes[index].gas_used)

    @property
    def receipts(self) -> list[bytes]:
        """The canonical receipts of the included transactions, type bytes included."""
        native = self.native
        blob = _bytes(native.receipts, native.receipts_length)
        outcomes = native.outcomes
        places = [
            (outcomes[i].receipt_offset, outcomes[i].receipt_length)
            for i in range(native.outcome_count)
            if outcomes[i].included
        ]
        return [blob[offset : offset + length] for offset, length in places]

    @property
    def logs(self) -> tuple[Log, ...]:
        """All logs; an outcome's `logs` is its range in it."""
        native = self.native
        return _logs(native.logs, 0, native.log_count)

    @property
    def log_count(self) -> int:
        return int(self.native.log_count)

    @property
    def requests(self) -> tuple[bytes, ...]:
        """Type byte and data each (EIP-7685); those without data are left out."""
        native = self.native
        return tuple(
            _bytes(native.requests[i].data, native.requests[i].length)
            for i in range(native.request_count)
        )

    @property
    def changes(self) -> ChangeSet:
        """The net difference, for the tries and the disk."""
        native = self.native
        return ChangeSet(
            accounts=native.accounts,
            account_count=native.account_count,
            slots=native.slots,
            slot_count=native.slot_count,
            owner=self,
        )

    @property
    def codes(self) -> tuple[tuple[Hash32, bytes], ...]:
        """Code that the block deployed, by hash, each once."""
        native = self.native
        return tuple(
            (Hash32(_bytes(code.hash, 32)), _bytes(code.data, code.length))
            for code in (native.codes[i] for i in range(native.code_count))
        )


def call_result(native: Any) -> CallResult:
    accounts = _bytes(native.accessed_accounts, 20 * native.accessed_account_count)
    slots = [native.accessed_slots[i] for i in range(native.accessed_slot_count)]
    return CallResult(
        reason=TransactionReason(native.reason),
        exit=Exit(native.exit),
        success=bool(native.success),
        output=_bytes(native.output, native.output_length),
        gas_used=native.gas_used,
        gas_refunded=native.gas_refunded,
        gas_intrinsic=native.gas_intrinsic,
        contract_address=_contract(native),
        logs=_logs(native.logs, 0, native.log_count),
        accessed_accounts=tuple(Address(accounts[i : i + 20]) for i in range(0, len(accounts), 20)),
        accessed_slots=tuple(
            (Address(_bytes(slot.address, 20)), Hash32(_bytes(slot.key, 32))) for slot in slots
        ),
        exit_reason=_text(native.exit_reason),
        gas_peak=native.gas_peak,
        ordinals=tuple(native.logs[i].ordinal for i in range(native.log_count)),
        transfers=frozenset(i for i in range(native.log_count) if native.logs[i].is_transfer),
    )


# ---- the executor ----

BLOCK_REASONS = {
    lib.GHOST_BLOCK_SYSTEM_CALL_FAILED: BlockReason.SYSTEM_CONTRACT_CALL_FAILED,
    lib.GHOST_BLOCK_SYSTEM_CONTRACT_EMPTY: BlockReason.SYSTEM_CONTRACT_EMPTY,
    lib.GHOST_BLOCK_DEPOSIT_LAYOUT: BlockReason.INVALID_DEPOSIT_EVENT_LAYOUT,
}


def _invalid_block(native: Any) -> InvalidBlock:
    if native.reason != lib.GHOST_BLOCK_INVALID_TRANSACTION:
        return InvalidBlock(BLOCK_REASONS[native.reason])
    index = native.failed_index
    reason = TransactionReason(native.outcomes[index].reason)
    return InvalidBlock(
        BlockReason.INVALID_TRANSACTION,
        f"transaction {index} is invalid: {reason.name}",
        transaction=InvalidTransaction(reason),
        transaction_index=index,
    )


PEEK_FLAGS = int(
    CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK | CallFlag.NO_GAS_CAP | CallFlag.NO_BASE_FEE
)


class Executor:
    """Runs blocks and messages on the state behind a view, and keeps what it has read.

    run_block leaves its changes pending: commit makes them the state that later runs see (the view
    must then tell the same), discard forgets them.
    """

    __slots__ = (
        "_door",
        "_environment",
        "_handle",
        "_loader",
        "_native",
        "_peek",
        "_shown",
        "run_count",
    )

    def __init__(
        self,
        view: StateView,
        *,
        contracts: ContractRunner | None = None,
        cache_bytes_max: int = CACHE_BYTES_MAX,
    ) -> None:
        """contracts: runs the native contracts of a hybrid chain.
        cache_bytes_max: about how much is kept between blocks."""
        self._door = Door(view, contracts)
        self._handle = ffi.new_handle(self._door)
        self._loader = ffi.new("ghost_state_loader *")
        self._loader.context = self._handle
        self._loader.account = lib.ghost_python_account
        self._loader.accounts = lib.ghost_python_accounts
        self._loader.slot = lib.ghost_python_slot
        self._loader.code = lib.ghost_python_code
        self._loader.block_hash = lib.ghost_python_block_hash
        self._native = ffi.gc(
            lib.ghost_executor_new(self._loader, cache_bytes_max), lib.ghost_executor_free
        )
        if self._native == ffi.NULL:
            raise MemoryError("the native core found no memory for an executor")
        if lib.ghost_wasm_plug(self._native) != lib.GHOST_OK:
            raise MemoryError("the native core found no memory for WASM contracts")
        if contracts is not None:
            plug(self._native, self._handle)
        self._environment = ffi.new("ghost_block_env *")
        # Of peek: what it hands over, made once, and the environment that it holds.
        self._peek: tuple[Any, Any, Any] | None = None
        self._shown: BlockEnvironment | None = None
        self.run_count = 0

    @property
    def view(self) -> StateView:
        return self._door.view

    @property
    def native(self) -> Any:
        """The ghost_executor, for doors to its other sides."""
        return self._native

    @property
    def memory(self) -> int:
        """Bytes held natively."""
        return int(lib.ghost_executor_memory(self._native))

    def run_block(
        self,
        env: BlockEnvironment,
        batch: TransactionBatch,
        withdrawals: Sequence[Withdrawal] = (),
        *,
        skip_invalid: bool = False,
        system_calls: bool = True,
        amendments: Amendments = NO_AMENDMENTS,
        first: int | None = None,
    ) -> BlockResult:
        """Runs the system calls, the batch in order, withdrawals and requests; pending afterwards.

        amendments: accounts changed by hand before all else, as part of the block's changes.

        The batch must be recovered and must outlive the result. skip_invalid (building): leaves
        out what is invalid or does not fit; its outcome tells the reason. Without system_calls the
        transactions stand alone, as in state tests. first: of the batch so many alone, and no
        end of the block: outcomes and logs, to be discarded.

        Raises: InvalidBlock, with what is wrong; then all is as before. Whatever the view raised.
        """
        flags = (
            (lib.GHOST_BLOCK_SKIP_INVALID if skip_invalid else 0)
            | (0 if system_calls else lib.GHOST_BLOCK_NO_SYSTEM)
            | (0 if first is None else lib.GHOST_BLOCK_PARTIAL)
        )
        fill_environment(self._environment, env)
        native = ffi.new("ghost_block_result *")
        self.run_count += 1
        kept: list[Any] = []
        items = native_amendments(amendments, kept) if amendments else ffi.NULL
        lib.ghost_executor_amend(self._native, items, len(amendments))
        status = lib.ghost_executor_run_block(
            self._native,
            self._environment,
            batch.pointer,
            len(batch) if first is None else min(first, len(batch)),
            native_withdrawals(withdrawals),
            len(withdrawals),
            flags,
            native,
        )
        self.check(status)
        if native.reason != lib.GHOST_BLOCK_OK:
            raise _invalid_block(native)
        return BlockResult(self, native)

    def struct_log(
        self,
        env: Any,
        batch: TransactionBatch,
        watch: Any,
        *,
        amendments: Amendments = NO_AMENDMENTS,
    ) -> Any:
        """A ghost_struct_log, whose recording is the caller's, of the transaction of a block that
        the watch (a ghost_trace_watch) names: run behind those before it as by `run_block` with
        `first`, and forgotten. env: a ghost_block_env. Raises: as `run_block`."""
        found = ffi.new("ghost_struct_log *")
        result = ffi.new("ghost_block_result *")
        count = min(watch.transaction + 1, len(batch))
        self.run_count += 1
        kept: list[Any] = []
        if amendments:
            items = native_amendments(amendments, kept)
            lib.ghost_executor_amend(self._native, items, len(amendments))
        status = lib.ghost_executor_struct_log(
            self._native, env, batch.pointer, count, watch, result, found
        )
        self.check(status)
        if result.reason != lib.GHOST_BLOCK_OK:
            raise _invalid_block(result)
        return found

    def commit(self) -> None:
        """Makes the pending changes the state. Storage roots are taken from the ChangeSet, where
        `Forest.apply` wrote them."""
        self.run_count += 1
        lib.ghost_executor_commit(self._native)

    def discard(self) -> None:
        """Forgets the pending changes, of a block or of calls with KEEP."""
        self.run_count += 1
        lib.ghost_executor_discard(self._native)

    def stop(self, *, on: bool = True) -> None:
        """From any thread: ends the run soon, and each later one, with ExecutionStopped, until it
        is called with False."""
        lib.ghost_executor_stop(self._native, on)

    def reset(self, view: StateView | None = None) -> None:
        """Forgets all that was read: the state behind the view has moved, or is another's. Code
        stays, unless it takes more than a quarter of the cache."""
        self.run_count += 1
        lib.ghost_executor_reset(self._native)
        if view is not None:
            self._door.view = view

    def know(self, undo: bytes) -> bool:
        """The view need not be asked for what this undo record (`state/undo.py`) holds, until the
        next reset or commit. It must be that of the block after the view's state. False: it does
        not add up, and nothing is known. Cost: a copy.

        Raises: MemoryError.
        """
        status = lib.ghost_executor_know(self._native, undo, len(undo))
        if status == lib.GHOST_OUT_OF_MEMORY:
            raise MemoryError("the native core found no memory for an undo record")
        return bool(status == lib.GHOST_OK)

    def call(self, env: BlockEnvironment, message: Message, *, flags: int = 0) -> CallResult:
        """Runs a message as a transaction outside of any block. flags: `CallFlag`.

        Its changes are forgotten, or with KEEP are there for the next call until discard.
        Raises: whatever the view raised; RuntimeError while a block is pending.
        """
        return self.prepare(env, message, flags=flags).run()

    def peek(
        self, env: BlockEnvironment, sender: Address, to: Address, data: bytes, *, gas_limit: int
    ) -> bytes | None:
        """The output of a free message without value, if it succeeds within gas_limit and would
        have given the same with any more gas. None: that cannot be said, run it whole.

        Cost: a few microseconds beside what runs, which gas_limit bounds.
        Raises: as `call`.
        """
        if self._peek is None:
            tx = ffi.new("ghost_tx *")
            tx.type = 2
            self._peek = ffi.new("ghost_block_env *"), tx, ffi.new("ghost_call_outcome *")
        native, tx, outcome = self._peek
        if env is not self._shown:
            fill_environment(native, env)
            self._shown = env
        payload = ffi.from_buffer(data)
        tx.sender, tx.to = sender, to
        tx.gas_limit = gas_limit
        tx.data, tx.data_length = payload, len(data)
        status = lib.ghost_executor_call(self._native, native, tx, PEEK_FLAGS, outcome)
        if status == lib.GHOST_REFUSED:
            raise RuntimeError("a call while a block is pending")
        self.check(status)
        if not outcome.success or outcome.gas_mattered:
            return None
        return _bytes(outcome.output, outcome.output_length)

    def prepare(self, env: BlockEnvironment, message: Message, *, flags: int = 0) -> PreparedCall:
        """A call to be made more than once, as of the state at each time."""
        return PreparedCall(self, env, message, flags)

    def check(self, status: int) -> None:
        """Raises what stopped the native core."""
        failure, self._door.failure = self._door.failure, None
        self._door.code_buffer = None
        if failure is not None:
            raise failure
        if status == lib.GHOST_OUT_OF_MEMORY:
            raise MemoryError("the native core found no memory")
        if status == lib.GHOST_STOPPED:
            raise ExecutionStopped("execution stopped")
        if status == lib.GHOST_LIMIT:
            raise TraceTooLarge("the trace is too large")
        if status == lib.GHOST_MISSING:
            raise ExecutorFailed("code is missing, or needs an engine that is not there")
        if status != lib.GHOST_OK:
            raise ExecutorFailed(f"the native core stopped with status {status}")


class PreparedCall:
    """A message in its native form, for runs that measure the native core alone."""

    __slots__ = ("_environment", "_executor", "_flags", "_kept", "_outcome", "_transaction")

    def __init__(
        self, executor: Executor, env: BlockEnvironment, message: Message, flags: int
    ) -> None:
        self._executor = executor
        self._environment = ffi.new("ghost_block_env *")
        fill_environment(self._environment, env)
        self._kept: list[Any] = []
        self._transaction = native_message(message, self._kept)
        self._outcome = ffi.new("ghost_call_outcome *")
        self._flags = int(flags)

    def run(self) -> CallResult:
        """Raises: as `Executor.call`."""
        self._run()
        return call_result(self._outcome)

    def time_ns(self) -> int:
        """The nanoseconds of one run, without looking at its result.

        Raises: as `Executor.call`.
        """
        start_ns = perf_counter_ns()
        self._run()
        return perf_counter_ns() - start_ns

    def _run(self) -> None:
        executor = self._executor
        status = lib.ghost_executor_call(
            executor._native, self._environment, self._transaction, self._flags, self._outcome
        )
        if status == lib.GHOST_REFUSED:
            raise RuntimeError("a call while a block is pending")
        executor.check(status)
