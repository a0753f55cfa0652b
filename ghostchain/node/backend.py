"""A node as JSON-RPC sees it: the chain, the pool and the development keys behind one Protocol."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import cast

from ghostchain.chain.chain import Chain
from ghostchain.chain.config import ChainConfig
from ghostchain.chain.records import BodyRecord, ReceiptsRecord
from ghostchain.chain.transfer import export_file
from ghostchain.consensus.messages import Certificate, decode_message
from ghostchain.contracts import registry
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import sign
from ghostchain.encoding.logs import choice_of
from ghostchain.execution.environment import gas_cap_of
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallFlag,
    CallResult,
    Executor,
    Message,
    StateView,
)
from ghostchain.execution.forks import Fork
from ghostchain.execution.reads import Reading, ReadsHead
from ghostchain.execution.steps import move_precompiles
from ghostchain.execution.traces import (
    FRAMES,
    StructLog,
    StructLogWatch,
    Trace,
    Watch,
    recording,
)
from ghostchain.fork.history import RemoteHistory
from ghostchain.node import tracing
from ghostchain.node.development.controller import Controller
from ghostchain.node.forking import Forking
from ghostchain.node.forks import fork_id, precompile_names, system_contracts
from ghostchain.node.genesis import DevAccount
from ghostchain.node.phantoms import ChainMiddle, ChainPhantoms, changed_addresses
from ghostchain.node.presence import Presence
from ghostchain.node.producing import Producer
from ghostchain.node.warming import ready, warmed, when_here
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.primitives.header import Header
from ghostchain.primitives.transaction import TransactionType
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import (
    NOTHING_MOVED,
    AccountOverride,
    BlockFees,
    Event,
    ForkSettings,
    LocatedLog,
    LogsBound,
    Made,
    NewHead,
    NewPending,
    PoolContent,
    PooledTransaction,
    QuickBounds,
    Refusal,
    Rewound,
    ShownLogs,
    Simulation,
    SyncProgress,
    TracedOne,
    UnknownAccount,
)
from ghostchain.rpc.calls import PEEK_GAS
from ghostchain.rpc.development import Development
from ghostchain.rpc.render import shown_one_by_one
from ghostchain.rpc.standing import (
    CommitCertificate,
    ConsensusStanding,
    NodeStanding,
    PeerStanding,
)
from ghostchain.state.proofs import AccountProof
from ghostchain.state.ranges import StateRanges
from ghostchain.state.remote import forked_beneath
from ghostchain.state.store import PROOF_BLOCKS
from ghostchain.state.views import OverlaidView, Override
from ghostchain.storage.files import storage_failure
from ghostchain.txpool.driver import PoolDriver, Submission
from ghostchain.txpool.effects import Accepted, Effect, Promoted
from ghostchain.txpool.validation import Rules

# Executors over the head that calls borrow: one for each worker that may hold one at a time.
IDLE_EXECUTORS_MAX = 4
ACCOUNTS_KEPT_MAX = 65_536
EXECUTOR_CACHE_BYTES = 8 * 1024 * 1024
# How long the event loop is held by one batch of reads; the last of them may take PEEK_GAS more.
READS_SLICE_NS = 4_000_000


def pool_rules(chain: Chain, environment: BlockEnvironment) -> Rules:
    """What the block after the head allows, whose environment this is."""
    return rules_of(chain, environment.timestamp, environment.gas_limit)


def rules_of(chain: Chain, timestamp: int, gas_limit: int) -> Rules:
    """What the block after the head allows, of that time and with that gas limit."""
    config = chain.config
    fork, is_hybrid = config.fork_at(timestamp), config.hybrid_at(timestamp)
    types = {0, 1, 2, 3} | ({4} if fork >= Fork.PRAGUE else set())
    if is_hybrid:
        types |= {TransactionType.GHOST, TransactionType.FEE_CURRENCY}
    return Rules(
        chain_id=chain.chain_id,
        block_gas_limit=gas_limit,
        types=frozenset(types),
        gas_cap=gas_cap_of(fork, config.transaction_gas_max),
        floor=fork >= Fork.PRAGUE,
        blobs_max=config.blobs_per_transaction_max(timestamp),
        cell_proofs=fork >= Fork.OSAKA,
        wasm=is_hybrid,
        initcode_size_max=config.leniency.init_code_bytes_max,
    )


class NodeBackend:
    """Implements `ghostchain.rpc.backend.Backend`; methods as documented there."""

    def __init__(
        self,
        chain: Chain,
        client_version: str,
        admission: ThreadPoolExecutor,
        *,
        accounts: Sequence[DevAccount] = (),
        forking: Forking | None = None,
    ) -> None:
        """accounts: those that it signs for."""
        self._chain = chain
        self._client_version = client_version
        self._admission = admission
        self._keys = {account.address: account.key for account in accounts}
        self._pool: PoolDriver | None = None
        self._presence: Presence | None = None
        self._development: Controller | None = None
        self._forking = forking
        self._coinbase = Address(bytes(20))
        self._on_pending: Callable[[], None] = lambda: None
        self._on_failure: Callable[[BaseException], None] = lambda failure: None
        self._listeners: list[Callable[[Event], None]] = []
        self._executors = HeadExecutors(chain)
        self._replays = tracing.Replays(chain)
        # Accounts of the state after this header. Replaced when the state moves, so that what was
        # read before never counts afterwards.
        self._accounts: tuple[Header | None, dict[Address, Account]] = None, {}
        # What `peek` shows: of this header, under this configuration; so for `run_reads`.
        self._head_environment: tuple[Header, ChainConfig, BlockEnvironment] | None = None
        self._reads_head: tuple[Header, ChainConfig, ReadsHead] | None = None
        chain.subscribe(
            self._on_head,
            on_rewind=self._on_rewind,
            on_amend=self._forget_state,
        )

    def attach(
        self,
        pool: PoolDriver,
        producer: Producer,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Joins what is made after the backend: the pool, whoever brings the next blocks, and who
        is told (on the event loop) of what the node cannot live with."""
        self._development = producer.development
        self._pool = pool
        self._presence = producer.presence
        self._coinbase = producer.coinbase
        self._on_pending = producer.on_pending
        self._on_failure = on_failure

    @property
    def _driver(self) -> PoolDriver:
        assert self._pool is not None, "attach comes before serving"
        return self._pool

    @property
    def _present(self) -> Presence:
        assert self._presence is not None, "attach comes before serving"
        return self._presence

    @property
    def chain_id(self) -> int:
        return self._chain.chain_id

    @property
    def client_version(self) -> str:
        return self._client_version

    @property
    def development(self) -> Development | None:
        return self._development

    @property
    def remote(self) -> RemoteHistory | None:
        return None if self._forking is None else self._forking.history

    # ---- the chain ----

    def head(self) -> Header:
        return self._chain.head

    def earliest(self) -> int:
        # What is below the beginning of a fork is its origin's to answer.
        begin = self._chain.begin
        return 0 if begin == 0 or self.remote is not None else begin + 1

    def oldest_state(self) -> int:
        return self._chain.oldest_state

    def oldest_proof(self) -> int:
        return max(self._chain.oldest_state, self._chain.head.number - PROOF_BLOCKS)

    def number_of(self, block_hash: bytes) -> int | None:
        return self._chain.number_of(block_hash)

    def hash_of(self, number: int) -> Hash32 | None:
        return self._chain.hash_of(number)

    def header(self, number: int) -> Header | None:
        return self._chain.header(number)

    def body(self, number: int) -> BodyRecord | None:
        return self._chain.body(number)

    def receipts(self, number: int) -> ReceiptsRecord | None:
        return self._chain.receipts_record(number)

    def transaction_location(self, transaction_hash: bytes) -> tuple[int, int] | None:
        return self._chain.transaction_location(transaction_hash)

    def logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
    ) -> Iterable[LocatedLog]:
        """On a fork, those of the other chain first."""
        remote = self.remote
        if remote is not None and first <= remote.number:
            yield from remote.logs(first, min(last, remote.number), addresses, topics)
            first = remote.number + 1
        if first <= last:
            yield from self._chain.logs(first, last, addresses, topics)

    def shown_logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
        bound: LogsBound,
    ) -> Iterable[ShownLogs]:
        remote = self.remote
        if remote is not None and first <= remote.number:
            end = min(last, remote.number)
            for found in shown_one_by_one(remote.logs(first, end, addresses, topics)):
                bound = bound.less(found.count, len(found.text) + 1)
                yield found
            first = remote.number + 1
        if first <= last:
            choice = choice_of(addresses, topics)
            yield from self._chain.shown_logs(range(first, last + 1), choice, bound)

    def kept_logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
        bound: LogsBound,
    ) -> bytes | None:
        if self.remote is not None:
            return None
        span = range(first, last + 1)
        return self._chain.kept_logs(span, choice_of(addresses, topics), bound)

    # ---- state and execution ----

    def head_account(self, address: Address) -> Account:
        header = self._chain.head
        kept = self._accounts
        if kept[0] is not header or len(kept[1]) >= ACCOUNTS_KEPT_MAX:
            kept = self._accounts = header, {}
        account = kept[1].get(address)
        if account is None:
            encoded = self._chain.state_at(header.number).account(address, keccak256(address))
            account = kept[1][address] = EMPTY if encoded is None else Account.decode(encoded)
        return account

    def state_at(self, number: int) -> StateView:
        return self._chain.state_at(number)

    def fork_at(self, timestamp: int) -> Fork:
        return self._chain.config.fork_at(timestamp)

    def environment(self, number: int) -> BlockEnvironment:
        if number > self._chain.head.number:
            return self.next_environment()
        header = self._chain.header(number)
        if header is None:
            raise StateUnavailable(f"block {number} is not known")
        return self._chain.environment_for(header)

    def next_environment(self) -> BlockEnvironment:
        """What the block after the head would show now."""
        if self._development is not None:
            return self._development.next_environment()
        return self._chain.next_environment(timestamp=int(time.time()))

    def next_rules(self) -> Rules:
        """What the block after the head would allow now."""
        head, hand = self._chain.head, self._development
        if hand is None:
            earliest = head.timestamp + self._chain.config.timestamp_step_min
            return rules_of(self._chain, max(int(time.time()), earliest), head.gas_limit)
        gas_limit = hand.settings.gas_limit
        return rules_of(
            self._chain, hand.next_timestamp(), head.gas_limit if gas_limit is None else gas_limit
        )

    @contextmanager
    def simulation(
        self,
        number: int,
        overrides: Mapping[Address, AccountOverride],
        precompiles: Mapping[Address, Address | None] = NOTHING_MOVED,
    ) -> Iterator[Simulation]:
        if not overrides and number >= self._chain.head.number:
            with self._executors.borrow() as executor:
                yield executor
            return
        view = self.state_at(min(number, self._chain.head.number))
        if overrides:
            # Hash32 and Address are bytes to whoever only reads, which mappings cannot express.
            view = OverlaidView(view, cast(Mapping[bytes, Override], overrides))
        fresh = Executor(view, contracts=registry.RUN, cache_bytes_max=EXECUTOR_CACHE_BYTES)
        move_precompiles(fresh, precompiles)
        yield LentExecutor(fresh)

    def peek(self, sender: Address, to: Address, data: bytes, *, gas_limit: int) -> bytes | None:
        if self.remote is not None:
            return None
        header = self._chain.head
        shown = self._head_environment
        if shown is None or shown[0] is not header or shown[1] is not self._chain.config:
            environment = self._chain.environment_for(header)
            shown = self._head_environment = header, self._chain.config, environment
        return self._executors.peek(shown[2], sender, to, data, gas_limit)

    def run_reads(self, reading: Reading) -> bytes | None:
        header, config = self._chain.head, self._chain.config
        shown = self._reads_head
        try:
            if shown is None or shown[0] is not header or shown[1] is not config:
                head = ReadsHead(
                    self._chain.environment_for(header),
                    self._chain.chain_id,
                    gas_max=PEEK_GAS,
                    slice_ns=READS_SLICE_NS,
                )
                shown = self._reads_head = header, config, head
            executor, generation = self._executors.take()
            answer = reading.run(executor, shown[2])
        except Exception:
            reading.stop()
            return None
        self._executors.give_back(executor, generation)
        return answer

    def middle(self, number: int, index: int | None) -> ChainMiddle:
        return ChainMiddle(self._chain, number, index)

    def ranges(self, number: int) -> StateRanges:
        return self._chain.ranges_at(number)

    def changed_addresses(self, number: int) -> set[Address]:
        return changed_addresses(self._chain, number)

    def known_addresses(self) -> Sequence[Address]:
        return (*self._chain.genesis.alloc, *self._keys)

    def phantoms(self, number: int) -> ChainPhantoms:
        return ChainPhantoms(self._chain, number)

    def trace_block(self, number: int, watch: Watch = FRAMES) -> Trace:
        return self._replays.trace(number, watch)

    def trace_one(self, number: int, watch: Watch) -> TracedOne:
        return self._replays.trace_one(number, watch)

    def trace_at_once(self, number: int, watch: Watch, *, gas_max: int) -> TracedOne | None:
        if self.remote is not None:
            return None
        return self._replays.trace_at_once(number, watch, gas_max)

    def struct_log(
        self, number: int, index: int, steps: StructLogWatch, deadline_ns: int
    ) -> StructLog:
        return self._replays.struct_log(number, index, steps, deadline_ns)

    def struct_log_at_once(
        self, number: int, index: int, steps: StructLogWatch, bounds: QuickBounds
    ) -> StructLog | None:
        if self.remote is not None:
            return None
        return self._replays.struct_log_at_once(number, index, steps, bounds)

    def trace_made(self, block: Block, watch: Watch) -> Made:
        return tracing.trace_made(self._chain, block, watch)

    def within(
        self, number: int, count: int | None, amendments: Amendments
    ) -> AbstractContextManager[Simulation]:
        if count is not None:
            return tracing.middle_of_block(self._chain, number, count, amendments)
        return tracing.end_of_block(self.state_at(number), self.environment(number), amendments)

    def prove(self, address: Address, keys: Sequence[Hash32], number: int) -> AccountProof:
        return self._chain.prove(address, keys, number)

    def fees(self, number: int) -> BlockFees:
        if number > self._chain.head.number:
            fees = self._chain.fees_in(self.next_environment())
        else:
            header = self._chain.header(number)
            if header is None:
                raise StateUnavailable(f"block {number} is not known")
            fees = self._chain.fees_of(header)
        return BlockFees(fees.base_fee, fees.blob_base_fee, fees.blob_gas_max)

    def fork_schedule(self) -> Sequence[ForkSettings]:
        config = self._chain.config
        genesis_time = self._chain.genesis.header.timestamp
        times = sorted({max(time, genesis_time) for time, _ in (*config.forks, *config.blobs)})
        return [
            ForkSettings(
                fork=config.fork_at(time),
                # EIP-7910: what holds from genesis on began at zero.
                activation_time=0 if time == genesis_time else time,
                fork_id=fork_id(self._chain.genesis.hash, genesis_time, times, time),
                blob_schedule=config.blob_schedule_at(time),
                precompiles=precompile_names(config.fork_at(time)),
                system_contracts=system_contracts(config.fork_at(time), config.deposit_contract),
            )
            for time in times
        ]

    # ---- the pool ----

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Hash32 | Refusal]:
        loop, hand = asyncio.get_running_loop(), self._development

        def bring() -> Sequence[Submission]:
            return self._driver.submit(raws)

        def brought() -> Awaitable[Sequence[Submission]]:
            return when_here(
                None if self._forking is None else self._forking.state,
                lambda job: loop.run_in_executor(self._admission, job),
                bring,
            )

        try:
            answers = await (brought() if hand is None else hand.admit(bring, brought))
        except OSError as error:
            failure = storage_failure(error, self._driver.path)
            self._on_failure(failure)
            raise failure from error
        return [answer_of(submission) for submission in answers]

    def pool_transaction(self, transaction_hash: bytes) -> PooledTransaction | None:
        return self._driver.pool.by_hash.get(Hash32(transaction_hash))

    def pool_nonce(self, address: Address) -> int | None:
        # Without the pool's lock, which is held while the journal is written: one look-up and one
        # attribute, each whole, and the event loop asks.
        return self._driver.pool.next_nonce(address)

    def replacing_tip(self, address: Address, nonce: int) -> int | None:
        return self._driver.pool.replacing_tip(address, nonce)

    def pool_counts(self) -> tuple[int, int]:
        with self._driver.lock:
            pending = self._driver.pool.pending_count()
            return pending, len(self._driver.pool) - pending

    def pool_content(self) -> PoolContent:
        with self._driver.lock:
            pending, queued = self._driver.pool.content()
        return PoolContent(pending, queued)

    # ---- the node ----

    def accounts(self) -> Sequence[Address]:
        return tuple(self._keys)

    def sign(self, address: Address, digest: bytes) -> tuple[int, int, int]:
        key = self._keys.get(address)
        if key is None:
            raise UnknownAccount("0x" + address.hex())
        return sign(digest, key)

    def coinbase(self) -> Address:
        return self._coinbase if self._development is None else self._development.coinbase

    def peer_count(self) -> int:
        return len(self._present.peers())

    def syncing(self) -> SyncProgress | None:
        return self._present.syncing()

    def standing(self) -> NodeStanding:
        return self._present.standing()

    def peers(self) -> Sequence[PeerStanding]:
        return self._present.peers()

    def add_peer(self, key: bytes, host: str, port: int) -> bool:
        return self._present.add_peer(key, host, port)

    async def export_chain(self, path: Path, first: int, last: int | None) -> int:
        return await asyncio.to_thread(export_file, self._chain, path, first, last)

    def remove_peer(self, key: bytes) -> bool:
        return self._present.remove_peer(key)

    def consensus(self) -> ConsensusStanding | None:
        return self._present.consensus()

    def voters(self, height: int | None) -> ConsensusStanding | None:
        return self._present.voters(height)

    def certificate(self, number: int) -> CommitCertificate | None:
        raw = self._chain.certificate(number)
        if not raw:
            return None
        found = decode_message(raw)
        assert isinstance(found, Certificate), "what the chain keeps was verified"
        return CommitCertificate(
            found.height,
            found.round,
            found.block_id,
            found.size,
            found.signers,
            found.signatures,
            raw,
        )

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # ---- what happens ----

    def _forget_state(self) -> None:
        """The state of the head is another."""
        self._executors.forget()
        self._accounts = None, {}

    def _on_head(self, header: Header) -> None:
        self._forget_state()
        self._replays.forget()
        self._tell(NewHead(header.number))

    def _on_rewind(self, header: Header) -> None:
        self._forget_state()
        self._replays.forget()
        self._tell(Rewound(header.number))

    def on_pool_effects(self, effects: Sequence[Effect]) -> None:
        """New pending transactions are told to listeners and wake whoever seals."""
        ready = [
            effect.transaction
            for effect in effects
            if isinstance(effect, Promoted) or (isinstance(effect, Accepted) and effect.pending)
        ]
        if ready:
            self._tell(NewPending(ready))
            self._on_pending()

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            listener(event)


def answer_of(submission: Submission) -> Hash32 | Refusal:
    refusal = submission.refusal
    if refusal is None:
        return submission.hash
    return Refusal(refusal.reason, refusal.message)


class LentExecutor:
    """An executor that notices whether a call left changes behind."""

    __slots__ = ("clean", "executor")

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.clean = True

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        executor = self.executor
        forked = forked_beneath(executor.view)
        if flags & CallFlag.KEEP:
            self.clean = False
            if forked is not None:
                # It cannot be run twice, so another finds out what it needs.
                warmed(executor.view, environment, message, flags=flags & ~CallFlag.KEEP)
        elif forked is not None:
            return ready(
                forked,
                lambda: executor.call(environment, message, flags=flags),
                executor.reset,
                message,
            )
        return executor.call(environment, message, flags=flags)

    def trace(
        self,
        environment: BlockEnvironment,
        message: Message,
        *,
        flags: int,
        watch: Watch = FRAMES,
    ) -> tuple[CallResult, Trace]:
        warmed(self.executor.view, environment, message, flags=flags & ~CallFlag.KEEP)
        if flags & CallFlag.KEEP:
            self.clean = False
        with recording(self.executor, watch) as recorder:
            return self.executor.call(environment, message, flags=flags), recorder.trace()


class HeadExecutors:
    """Executors over the head's state, their caches warm, lent to one thread at a time."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._lock = threading.Lock()
        self._idle: list[Executor] = []
        self._generation = 0

    def forget(self) -> None:
        """The head moved: what is idle forgets what it has read (making another would cost a
        hundred times as much), what is lent will not come back."""
        with self._lock:
            self._generation += 1
            if self._idle:
                view = self._chain.state_at(self._chain.head.number)
                for executor in self._idle:
                    executor.reset(view)

    def take(self) -> tuple[Executor, int]:
        """An executor, and which head it is of."""
        with self._lock:
            generation = self._generation
            executor = self._idle.pop() if self._idle else None
        if executor is None:
            view = self._chain.state_at(self._chain.head.number)
            executor = Executor(view, contracts=registry.RUN, cache_bytes_max=EXECUTOR_CACHE_BYTES)
        return executor, generation

    def give_back(self, executor: Executor, generation: int) -> None:
        with self._lock:
            if generation == self._generation and len(self._idle) < IDLE_EXECUTORS_MAX:
                self._idle.append(executor)

    @contextmanager
    def borrow(self) -> Iterator[LentExecutor]:
        executor, generation = self.take()
        lent = LentExecutor(executor)
        yield lent
        if lent.clean:
            self.give_back(executor, generation)

    def peek(
        self, env: BlockEnvironment, sender: Address, to: Address, data: bytes, gas_limit: int
    ) -> bytes | None:
        """As `Executor.peek`."""
        executor, generation = self.take()
        output = executor.peek(env, sender, to, data, gas_limit=gas_limit)
        self.give_back(executor, generation)
        return output
