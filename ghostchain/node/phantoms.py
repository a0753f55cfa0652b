"""Blocks that nobody makes, on the state of a block of the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ghostchain.chain.amendments import merge_amendments
from ghostchain.chain.chain import Chain
from ghostchain.chain.validation import child_fees
from ghostchain.contracts import registry
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallResult,
    Executor,
    Message,
    StateView,
)
from ghostchain.execution.steps import BlockEnd, Steps
from ghostchain.primitives.account import Account
from ghostchain.primitives.amendment import NO_AMENDMENTS, Amendments
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.phantoms import ChildFees

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


class ChainPhantoms:
    """Implements `ghostchain.rpc.phantoms.Phantoms`; methods as documented there."""

    def __init__(self, chain: Chain, number: int) -> None:
        """Raises: StateUnavailable."""
        self._chain = chain
        self._number = number
        base, self._pending = chain.start_of_child(number)
        self._view = PhantomView(base)
        executor = Executor(
            self._view, contracts=registry.RUN, cache_bytes_max=EXECUTOR_CACHE_BYTES
        )
        self._steps = Steps(executor)

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
        return self._steps.call(environment, message, flags=flags)

    def end(self, withdrawals: Sequence[Withdrawal]) -> BlockEnd:
        return self._steps.end(withdrawals)

    def account(self, address: Address) -> Account | None:
        return self._steps.account(address)

    def state_root(self) -> Hash32:
        return self._chain.root_after(self._number, self._steps.changes())

    def learn_hash(self, number: int, block_hash: Hash32) -> None:
        self._view.hashes[number] = block_hash
