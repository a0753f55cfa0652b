"""What JSON-RPC needs of a node, as one Protocol. The node implements it over chain, pool and
signer; tests over memory.

Threads: unless a method says otherwise it may be called from the event loop and from worker
threads at the same time, answers from memory or with one or two disk reads, and never waits for
the writer of the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from ghostchain.chain.logs import LocatedLog, LogsBound, ShownLogs
from ghostchain.chain.records import BodyRecord, ReceiptsRecord
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, CallResult, Message, StateView
from ghostchain.execution.forks import BlobSchedule, Fork
from ghostchain.execution.reads import Reading
from ghostchain.execution.traces import FRAMES, StructLog, StructLogWatch, Trace, Watch
from ghostchain.primitives.account import Account
from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.development import Development
from ghostchain.rpc.errors import Refusal
from ghostchain.rpc.phantoms import Middle, Phantoms
from ghostchain.rpc.remote import RemoteChain
from ghostchain.rpc.standing import (
    CommitCertificate,
    ConsensusStanding,
    NodeStanding,
    PeerStanding,
)
from ghostchain.state.proofs import AccountProof
from ghostchain.state.ranges import StateRanges

__all__ = [
    "AccountOverride",
    "Backend",
    "BlockFees",
    "Event",
    "ForkSettings",
    "LocatedLog",
    "LogsBound",
    "Made",
    "NewHead",
    "NewPending",
    "PoolContent",
    "PooledTransaction",
    "Refusal",
    "Rewound",
    "ShownLogs",
    "Simulation",
    "StateUnavailable",
    "SyncProgress",
    "UnknownAccount",
]


class PooledTransaction(Protocol):
    """A transaction that waits, as the pool holds it. raw is canonical (no blob sidecar)."""

    @property
    def hash(self) -> Hash32: ...
    @property
    def sender(self) -> Address: ...
    @property
    def nonce(self) -> int: ...
    @property
    def raw(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PoolContent:
    """pending can be included now, queued waits for a lower nonce. By sender, nonces ascending."""

    pending: Mapping[Address, Sequence[PooledTransaction]]
    queued: Mapping[Address, Sequence[PooledTransaction]]


@dataclass(frozen=True, slots=True)
class BlockFees:
    """Fees that hold inside one block, in wei per (blob) gas, and the blob gas it may carry."""

    base_fee: int
    blob_base_fee: int
    blob_gas_max: int


@dataclass(frozen=True, slots=True)
class AccountOverride:
    """What an account looks like instead, for one call. None leaves a field as it is.

    state replaces the whole storage, state_diff single slots; not both. move_precompile_to: where
    the precompile of this address runs instead; without it, one that is overridden is none.
    """

    nonce: int | None = None
    balance: int | None = None
    code: bytes | None = None
    state: Mapping[Hash32, Hash32] | None = None
    state_diff: Mapping[Hash32, Hash32] | None = None
    move_precompile_to: Address | None = None


@dataclass(frozen=True, slots=True)
class SyncProgress:
    starting_block: int
    current_block: int
    highest_block: int


@dataclass(frozen=True, slots=True)
class ForkSettings:
    """One fork of the chain's schedule, for eth_config (EIP-7910)."""

    fork: Fork
    activation_time: int
    fork_id: bytes  # EIP-6122, 4 bytes
    blob_schedule: BlobSchedule
    precompiles: Mapping[str, Address]
    system_contracts: Mapping[str, Address]


@dataclass(frozen=True, slots=True)
class NewHead:
    """A block is committed: final, durable, and every read of the backend sees it."""

    number: int


@dataclass(frozen=True, slots=True)
class NewPending:
    """Transactions entered the pool and can be included now."""

    transactions: Sequence[PooledTransaction]


@dataclass(frozen=True, slots=True)
class Rewound:
    """Block `number` of a development chain is the head again; those after it never were."""

    number: int


Event = NewHead | NewPending | Rewound


NOTHING_MOVED: Mapping[Address, Address | None] = MappingProxyType({})


class UnknownAccount(Exception):
    """The node holds no key for that address."""


@dataclass(frozen=True, slots=True)
class Made:
    """A run of a block that is not of this chain: its trace, its recovered transactions and the gas
    each used."""

    trace: Trace
    batch: TransactionBatch
    gas_used: Sequence[int]


@dataclass(frozen=True, slots=True)
class TracedOne:
    """A run of one transaction of the chain: its trace, the gas it used, and its block as far as
    it was run: hash, what it showed inside, transactions with their senders."""

    trace: Trace
    gas_used: int
    block_hash: Hash32
    environment: BlockEnvironment
    batch: TransactionBatch


@dataclass(frozen=True, slots=True)
class QuickBounds:
    """What may be shown on the event loop: so much gas up to its end, bytes of steps, and time, as
    a moment of the monotonic clock."""

    gas_max: int
    bytes_max: int
    deadline_ns: int


class Simulation(Protocol):
    """An executor over one state. Calls with the KEEP flag leave their changes to the next."""

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        """The outcome; result.reason is not OK when the message could not begin."""

    def trace(
        self,
        environment: BlockEnvironment,
        message: Message,
        *,
        flags: int,
        watch: Watch = FRAMES,
    ) -> tuple[CallResult, Trace]:
        """As call, with what is watched. Raises ExecutionStopped at the watch's deadline."""


class Backend(Protocol):
    """A node as JSON-RPC sees it."""

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id, the network id too."""

    @property
    def client_version(self) -> str:
        """`ghostd/v0.1.0/linux-x86_64/python3.11`."""

    @property
    def development(self) -> Development | None:
        """The hand on a development chain; None on every other chain."""

    @property
    def remote(self) -> RemoteChain | None:
        """The chain that this one was forked from; None where it was not."""

    # the chain

    def head(self) -> Header:
        """The latest committed block."""

    def earliest(self) -> int:
        """The first block whose body and receipts are kept."""

    def oldest_state(self) -> int:
        """The first block whose state can be read: 0 for an archive."""

    def oldest_proof(self) -> int:
        """The first block whose state can be proven."""

    def number_of(self, block_hash: bytes) -> int | None:
        """The number of a block of this chain."""

    def hash_of(self, number: int) -> Hash32 | None:
        """The hash of a block of this chain; None beyond the head."""

    def header(self, number: int) -> Header | None: ...

    def body(self, number: int) -> BodyRecord | None:
        """Transactions and senders of a block after genesis, sliced out on demand."""

    def receipts(self, number: int) -> ReceiptsRecord | None:
        """The receipts of a block after genesis, decoded on demand."""

    def transaction_location(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """(block number, index in the block) of an included transaction."""

    def logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
    ) -> Iterable[LocatedLog]:
        """The matching logs of blocks first..last (both included), lazily and in order.

        An empty collection matches anything; a log with fewer topics than asked does not match.
        Worker threads only.
        """

    def shown_logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
        bound: LogsBound,
    ) -> Iterable[ShownLogs]:
        """The same as JSON, some after the other, up to the block with which the bound is
        exceeded, if it is."""

    def kept_logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
        bound: LogsBound,
    ) -> bytes | None:
        """The same, all of it as a JSON array, where it is at hand and takes no more than about a
        millisecond, else None. Event loop."""

    # state and execution

    def head_account(self, address: Address) -> Account:
        """An account in the state of the head, EMPTY where there is none: what is asked again and
        again is kept as long as that state. Event loop. Raises: RemoteNeeded."""

    def state_at(self, number: int) -> StateView:
        """The state after block `number`. Raises StateUnavailable."""

    def fork_at(self, timestamp: int) -> Fork:
        """The rules that hold at that time, in seconds."""

    def environment(self, number: int) -> BlockEnvironment:
        """The environment of block `number`; for head + 1 the one the next block would get now."""

    def simulation(
        self,
        number: int,
        overrides: Mapping[Address, AccountOverride],
        precompiles: Mapping[Address, Address | None] = NOTHING_MOVED,
    ) -> AbstractContextManager[Simulation]:
        """An executor over the state after block `number`, changed by overrides, for one thread.
        precompiles: which one runs at an address instead, None for none.

        Raises StateUnavailable. Worker threads only. Cost: without overrides on the head, a warm
        executor is lent where one is free.
        """

    def peek(self, sender: Address, to: Address, data: bytes, *, gas_limit: int) -> bytes | None:
        """The output of a free message without value on the state of the head, if it succeeds
        within gas_limit and would have given the same with any more gas. None: that cannot be said
        at once, run it as a simulation. Event loop; never waits for another machine."""

    def run_reads(self, reading: Reading) -> bytes | None:
        """As `Reading.run`, for a few milliseconds, on the state of the head; raises nothing, since
        whatever stops it is met again elsewhere. Not on a fork. Any thread."""

    def trace_block(self, number: int, watch: Watch = FRAMES) -> Trace:
        """Runs block `number`, which is not genesis, once more: what is watched of all its
        transactions and system calls; of one alone where `watch.transaction` names it, and then
        those after it do not run.

        Raises StateUnavailable when the state before it is not kept; ExecutionStopped at the
        watch's deadline. Worker threads only.
        """

    def middle(self, number: int, index: int | None) -> Middle:
        """Block `number`, which is not genesis, run again up to before its transaction at index;
        None: the state after the block. Raises StateUnavailable. Worker threads only."""

    def ranges(self, number: int) -> StateRanges:
        """The state after block `number` in the order of its hashes. Raises StateUnavailable."""

    def changed_addresses(self, number: int) -> set[Address]:
        """Whose accounts block `number`, which is not genesis, changes. Raises StateUnavailable.
        Worker threads only. Cost: the block runs once more."""

    def known_addresses(self) -> Sequence[Address]:
        """Those that the genesis names, and the node's own."""

    def trace_one(self, number: int, watch: Watch) -> TracedOne:
        """As trace_block, of the one transaction that the watch names. Raises TraceTooLarge too."""

    def trace_at_once(self, number: int, watch: Watch, *, gas_max: int) -> TracedOne | None:
        """The same of the one transaction that the watch names, where that takes next to nothing:
        the block has run lately, or is small, and up to the transaction's end used gas_max at most.
        None: it did not, or there is much to show, or the watch's deadline or bytes ended it. Event
        loop; never waits for another machine. Raises StateUnavailable."""

    def struct_log(
        self, number: int, index: int, steps: StructLogWatch, deadline_ns: int
    ) -> StructLog:
        """What the struct logger shows of one transaction of a block: what trace_one of it would,
        written natively. Raises: as that."""

    def struct_log_at_once(
        self, number: int, index: int, steps: StructLogWatch, bounds: QuickBounds
    ) -> StructLog | None:
        """The same where trace_at_once would give one."""

    def trace_made(self, block: Block, watch: Watch) -> Made:
        """The same of a block that somebody else made on a block of this chain.

        Raises StateUnavailable, ExecutionStopped, TraceTooLarge; InvalidBlock where it cannot run.
        Worker threads only.
        """

    def within(
        self, number: int, count: int | None, amendments: Amendments
    ) -> AbstractContextManager[Simulation]:
        """An executor on the state after the first `count` transactions of block `number`, or None
        for after the block, with accounts changed by hand; calls with the KEEP flag leave their
        changes to the next. Raises StateUnavailable. Worker threads only."""

    def phantoms(self, number: int) -> Phantoms:
        """Blocks that nobody makes, after block `number`. Raises StateUnavailable. Worker threads
        only."""

    def prove(self, address: Address, keys: Sequence[Hash32], number: int) -> AccountProof:
        """Proofs against the state root of block `number`. Raises StateUnavailable.

        Worker threads only.
        """

    def fees(self, number: int) -> BlockFees:
        """The fees of block `number`; for head + 1 those of the next block."""

    def fork_schedule(self) -> Sequence[ForkSettings]:
        """Forks with a time, ascending."""

    # the pool

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Hash32 | Refusal]:
        """One answer for each raw transaction, in order; those with a hash are journaled.

        Called on the event loop, one call at a time; decoding, recovery and the journal happen
        off the loop.
        """

    def pool_transaction(self, transaction_hash: bytes) -> PooledTransaction | None: ...

    def pool_nonce(self, address: Address) -> int | None:
        """The nonce after the sender's last pending transaction; None when none waits. Must not
        wait for an admission: the event loop asks."""

    def replacing_tip(self, address: Address, nonce: int) -> int | None:
        """The least tip, in wei of its fee token, with which another transaction takes the place of
        the sender's that waits with this nonce; None where none does. Waits as little."""

    def pool_counts(self) -> tuple[int, int]:
        """(pending, queued). Worker threads only: it may wait for an admission."""

    def pool_content(self) -> PoolContent:
        """A copy of what waits. Worker threads only."""

    # the node

    def accounts(self) -> Sequence[Address]:
        """The addresses this node signs for: those of the test mnemonic with --dev, else none."""

    def sign(self, address: Address, digest: bytes) -> tuple[int, int, int]:
        """(r, s, y_parity) over a 32-byte digest, low s. Raises UnknownAccount."""

    def coinbase(self) -> Address: ...

    def peer_count(self) -> int: ...

    def standing(self) -> NodeStanding:
        """This node among others."""

    def peers(self) -> Sequence[PeerStanding]: ...

    def add_peer(self, key: bytes, host: str, port: int) -> bool:
        """Dials a peer until it answers. False: this node speaks to nobody. Event loop."""

    async def export_chain(self, path: Path, first: int, last: int | None) -> int:
        """Writes blocks first to last (None: the head) into a file, which appears when it is
        whole. Returns how many. Raises StorageError in words for the operator."""

    def remove_peer(self, key: bytes) -> bool:
        """Closes the connection to a peer. False: there is none. Event loop."""

    def consensus(self) -> ConsensusStanding | None:
        """The height being decided; None on a chain that one node seals alone. Event loop only."""

    def voters(self, height: int | None) -> ConsensusStanding | None:
        """Who votes at a height (None: the one being decided), nothing said of their votes; None
        when it is not known. Worker threads only."""

    def certificate(self, number: int) -> CommitCertificate | None:
        """What made block `number` final, where it is known."""

    def syncing(self) -> SyncProgress | None:
        """None when the node follows the head."""

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Calls listener for every event from now on, in order, from any thread; it must return
        at once. Returns what ends the subscription."""
