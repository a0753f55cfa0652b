"""Blocks that nobody makes, as JSON-RPC asks a node for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, CallResult, Message
from ghostchain.execution.steps import BlockEnd
from ghostchain.primitives.account import Account
from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32


@dataclass(frozen=True, slots=True)
class ChildFees:
    """What a parent asks of its child. Units: wei per gas, blob gas."""

    base_fee: int
    excess_blob_gas: int


class Phantoms(Protocol):
    """Blocks on the state of one block, each on the one before. One thread.

    Raises, each method: StateUnavailable, StorageError.
    """

    def fees(self, parent: Header, timestamp: int) -> ChildFees:
        """Of the child of such a block at that time."""

    def environment(self, header: Header) -> BlockEnvironment:
        """What a block with that header shows; of the header only what is known before it runs
        is read."""

    def begin(
        self,
        environment: BlockEnvironment,
        amendments: Amendments,
        precompiles: Mapping[Address, Address | None],
    ) -> None:
        """The next block: accounts are changed first, precompiles stand elsewhere (None: gone) in
        this block."""

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        """Its next transaction. flags: of `CallFlag`; what it changes stays."""

    def transaction(self, batch: TransactionBatch, index: int) -> CallResult:
        """Its next transaction: one of a recovered batch."""

    def end(self, withdrawals: Sequence[Withdrawal]) -> BlockEnd:
        """What comes after its transactions. Raises also InvalidBlock."""

    def account(self, address: Address) -> Account | None:
        """As the next transaction finds it; without the storage root."""

    def state_root(self) -> Hash32:
        """Of the state now. Raises StateUnavailable where the base is too old for its trie."""

    def learn_hash(self, number: int, block_hash: Hash32) -> None:
        """The hash by which later blocks know a phantom."""


@dataclass(frozen=True, slots=True)
class ChangedSlots:
    """Slots of an account in the middle of a block, by hashed key; zero where one has gone.
    is_wiped: there are no others."""

    is_wiped: bool
    values: Mapping[bytes, bytes]


class Middle(Protocol):
    """A state in the middle of a block of the chain, or at its end, on which messages run. One
    thread. Raises as `Phantoms`."""

    @property
    def environment(self) -> BlockEnvironment:
        """What the block shows."""

    @property
    def count(self) -> int:
        """How many transactions the block has; at its end, zero are left."""

    def advance(self) -> None:
        """Runs the next transaction of the block; there must be one."""

    def amend(self, amendments: Amendments, precompiles: Mapping[Address, Address | None]) -> None:
        """Accounts are changed, precompiles stand elsewhere."""

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        """As `Phantoms.call`."""

    def account(self, address: Address) -> Account | None:
        """As `Phantoms.account`."""

    def slots(self, address: Address) -> ChangedSlots:
        """What differs from the state before the block."""

    def state_root(self) -> Hash32:
        """As `Phantoms.state_root`."""
