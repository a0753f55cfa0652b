"""Blocks that nobody makes, on the state of a block of the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ghostchain._native import ffi
from ghostchain.chain.amendments import merge_amendments
from ghostchain.chain.chain import Chain
from ghostchain.chain.replaying import Replay
from ghostchain.chain.validation import child_fees
from ghostchain.contracts import registry
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallResult,
    Executor,
    Message,
    StateView,
)
from ghostchain.execution.steps import BlockEnd, Steps
from ghostchain.node.warming import warmed
from ghostchain.primitives.account import Account
from ghostchain.primitives.amendment import NO_AMENDMENTS, Amendments
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.phantoms import ChangedSlots, ChildFees

EXECUTOR_CACHE_BYTES = 8 * 1024 * 1024


class PhantomView:
    """A state whose blocks go on with phantoms: their hashes come before the chain's."""

    __slots__ = ("_base", "account", "code", "hashes", "slot")

    def __init__(self, base: StateView) -> None:
        self._base = base
        self.account, self.slot, self.code = base.account, base.slot, base.code
        self.hashes: dict[int, Hash32] = {}

    def block_hash(self, number: int) -> bytes | None:
        return self.hashes.get(number) or self._base.block_hash(number)


def executor_over(view: StateView) -> Executor:
    return Executor(view, contracts=registry.RUN, cache_bytes_max=EXECUTOR_CACHE_BYTES)


class ChainPhantoms:
    """Implements `ghostchain.rpc.phantoms.Phantoms`; methods as documented there."""

    def __init__(self, chain: Chain, number: int) -> None:
        """Raises: StateUnavailable."""
        self._chain = chain
        self._number = number
        base, self._pending = chain.start_of_child(number)
        self._view = PhantomView(base)
        self._steps = Steps(executor_over(self._view))

    def fees(self, parent: Header, timestamp: int) -> ChildFees:
        found = child_fees(self._chain.config, parent, timestamp)
        return ChildFees(found.base_fee, found.excess_blob_gas)

    def environment(self, header: Header) -> BlockEnvironment:
        return self._chain.environment_for(header)

    def begin(
        self,
        environment: BlockEnvironment,
        amendments: Amendments,
        precompiles: Mapping[Address, Address | None],
    ) -> None:
        self._steps.move_precompiles(precompiles)
        pending, self._pending = self._pending, NO_AMENDMENTS
        self._steps.begin(environment, amendments=merge_amendments(pending, amendments))

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        warmed(self._view, environment, message, flags=flags)
        return self._steps.call(environment, message, flags=flags)

    def transaction(self, batch: TransactionBatch, index: int) -> CallResult:
        return self._steps.transaction(batch, index)

    def end(self, withdrawals: Sequence[Withdrawal]) -> BlockEnd:
        return self._steps.end(withdrawals)

    def account(self, address: Address) -> Account | None:
        return self._steps.account(address)

    def state_root(self) -> Hash32:
        return self._chain.root_after(self._number, self._steps.changes())

    def learn_hash(self, number: int, block_hash: Hash32) -> None:
        self._view.hashes[number] = block_hash


class ChainMiddle:
    """Implements `ghostchain.rpc.phantoms.Middle`; methods as documented there."""

    def __init__(self, chain: Chain, number: int, index: int | None) -> None:
        """Raises: StateUnavailable."""
        self._chain = chain
        self._next = 0
        self._replay: Replay | None = None
        self._base = number
        if index is None:
            header = chain.header(number)
            if header is None:
                raise StateUnavailable(f"block {number} is not known")
            self.environment = chain.environment_for(header)
            self._steps = Steps(executor_over(chain.state_at(number)))
            self._steps.begin(self.environment, system_calls=False)
            return
        self._replay = replay = chain.replay(number)
        self.environment = replay.environment
        self._base = number - 1
        self._steps = Steps(executor_over(replay.view))
        self._steps.begin(replay.environment, amendments=replay.amendments)
        for _ in range(min(index, self.count)):
            self.advance()

    @property
    def count(self) -> int:
        return 0 if self._replay is None else len(self._replay.batch)

    def advance(self) -> None:
        assert self._replay is not None, "a block at its end has no next transaction"
        self._steps.transaction(self._replay.batch, self._next)
        self._next += 1

    def amend(self, amendments: Amendments, precompiles: Mapping[Address, Address | None]) -> None:
        self._steps.move_precompiles(precompiles)
        self._steps.begin(self.environment, amendments=amendments, system_calls=False)

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        return self._steps.call(environment, message, flags=flags)

    def account(self, address: Address) -> Account | None:
        return self._steps.account(address)

    def slots(self, address: Address) -> ChangedSlots:
        changes = self._steps.changes()
        for place in range(changes.account_count):
            change = changes.accounts[place]
            if ffi.buffer(change.address)[:] != address:
                continue
            first, count = change.slot_first, change.slot_count
            slots = (changes.slots[i] for i in range(first, first + count))
            values = {ffi.buffer(s.hashed)[:]: ffi.buffer(s.after)[:] for s in slots}
            return ChangedSlots(bool(change.storage_wiped or not change.exists), values)
        return ChangedSlots(False, {})

    def state_root(self) -> Hash32:
        return self._chain.root_after(self._base, self._steps.changes())


def changed_addresses(chain: Chain, number: int) -> set[Address]:
    """Whose accounts block `number` changes: it runs once more. Raises: StateUnavailable."""
    replay = chain.replay(number)
    result = executor_over(replay.view).run_block(
        replay.environment, replay.batch, replay.withdrawals, amendments=replay.amendments
    )
    changes = result.changes
    return {
        Address(ffi.buffer(changes.accounts[place].address)[:])
        for place in range(changes.account_count)
    }
