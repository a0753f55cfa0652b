"""Blocks run step by step: the door to `native/executor/steps.c`.

What is simulated are blocks that nobody makes, one after another on a state: each begins, runs its
messages, ends. The middle of a block is a block that began and ran some of its transactions. All
steps lie over the executor's state and touch nothing else.

Oracle: `Executor.run_block`, in tests/unit/test_steps.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.amendments import native_amendments
from ghostchain.execution.executor import (
    BLOCK_REASONS,
    BlockEnvironment,
    CallFlag,
    CallResult,
    Executor,
    Message,
    call_result,
)
from ghostchain.execution.native_values import fill_environment, native_withdrawals
from ghostchain.primitives.account import Account
from ghostchain.primitives.amendment import NO_AMENDMENTS, Amendments
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import InvalidBlock
from ghostchain.primitives.types import ZERO_ADDRESS, Address, Hash32
from ghostchain.trie.merkle import ChangeSet


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """What the end of a block asks of consensus (EIP-7685): type byte and data each, and the hash
    over them, which is that of nothing before Prague."""

    requests: tuple[bytes, ...]
    requests_hash: Hash32


class Steps:
    """One run of steps on an executor, which is theirs until `discard`. Threads: one at a time.

    Raises, each method: whatever the view raised; ExecutorFailed, MemoryError.
    """

    __slots__ = ("_environment", "_executor", "_has_begun")

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._environment = ffi.new("ghost_block_env *")
        self._has_begun = False

    def begin(
        self,
        env: BlockEnvironment,
        *,
        amendments: Amendments = NO_AMENDMENTS,
        system_calls: bool = True,
    ) -> None:
        """A block on what all steps so far have left: amendments first, then the system calls
        (EIP-4788, EIP-2935). Raises also: RuntimeError while a run block is pending."""
        flags = 0 if system_calls else lib.GHOST_BLOCK_NO_SYSTEM
        if self._has_begun:
            flags |= lib.GHOST_BLOCK_CONTINUE
        fill_environment(self._environment, env)
        native = self._executor.native
        kept: list[Any] = []
        items = native_amendments(amendments, kept)
        self._executor.run_count += 1
        lib.ghost_executor_amend(native, items, len(amendments))
        status = lib.ghost_executor_begin_block(native, self._environment, flags)
        if status == lib.GHOST_REFUSED:
            raise RuntimeError("a block in steps while another is pending")
        self._executor.check(status)
        self._has_begun = True

    def call(self, env: BlockEnvironment, message: Message, *, flags: int = 0) -> CallResult:
        """The block's next transaction, as a message. result.reason not OK: it is none."""
        return self._executor.call(env, message, flags=flags | CallFlag.KEEP)

    def transaction(self, batch: TransactionBatch, index: int) -> CallResult:
        """The block's next transaction: that one of a recovered batch."""
        outcome = ffi.new("ghost_call_outcome *")
        flags = int(CallFlag.KEEP | CallFlag.NO_GAS_CAP)
        status = lib.ghost_executor_call(
            self._executor.native, self._environment, batch.pointer + index, flags, outcome
        )
        self._executor.check(status)
        return call_result(outcome)

    def end(self, withdrawals: Sequence[Withdrawal] = ()) -> BlockEnd:
        """Withdrawals, requests and what a hybrid chain does at the end of a block.

        Raises also: InvalidBlock when a system contract is missing or fails.
        """
        result = ffi.new("ghost_block_result *")
        status = lib.ghost_executor_end_block(
            self._executor.native,
            self._environment,
            native_withdrawals(withdrawals),
            len(withdrawals),
            result,
        )
        self._executor.check(status)
        if result.reason != lib.GHOST_BLOCK_OK:
            raise InvalidBlock(BLOCK_REASONS[result.reason])
        requests = tuple(
            ffi.buffer(item.data, item.length)[:]
            for item in (result.requests[i] for i in range(result.request_count))
        )
        return BlockEnd(requests, Hash32(ffi.buffer(result.requests_hash)[:]))

    def changes(self) -> ChangeSet:
        """What all steps together have changed, in native memory until the next step.

        Cost: linear in what is changed.
        """
        result = ffi.new("ghost_block_result *")
        self._executor.check(lib.ghost_executor_changes(self._executor.native, result))
        return ChangeSet(
            accounts=result.accounts,
            account_count=result.account_count,
            slots=result.slots,
            slot_count=result.slot_count,
            owner=self._executor,
        )

    def account(self, address: Address) -> Account | None:
        """The account as the next step would find it; its storage root is that of before all."""
        record = ffi.new("ghost_account_record *")
        found = lib.ghost_executor_account(self._executor.native, address, record)
        if found < 0:
            self._executor.check(-found)
        if not found:
            return None
        return Account(
            nonce=record.nonce,
            balance=int.from_bytes(ffi.buffer(record.balance)[:], "big"),
            storage_root=Hash32(ffi.buffer(record.storage_root)[:]),
            code_hash=Hash32(ffi.buffer(record.code_hash)[:]),
        )

    def move_precompiles(self, moves: Mapping[Address, Address | None]) -> None:
        """At each address runs that precompile from now on, or none; elsewhere as always."""
        move_precompiles(self._executor, moves)

    def discard(self) -> None:
        """Forgets all steps."""
        self.move_precompiles({})
        self._executor.discard()
        self._has_begun = False


def move_precompiles(executor: Executor, moves: Mapping[Address, Address | None]) -> None:
    """Where precompiles are for an executor, until the next such call; what is warm (EIP-2929)
    stays as it is."""
    native = ffi.new("ghost_precompile_move[]", len(moves))
    for item, (at, source) in zip(native, moves.items(), strict=True):
        item.at = at
        item.is_none = source is None
        item.source = source or ZERO_ADDRESS
    executor.check(lib.ghost_executor_move_precompiles(executor.native, native, len(moves)))
