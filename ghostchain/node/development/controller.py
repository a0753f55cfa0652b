"""The controller of a development chain: implements `ghostchain.rpc.development.Development`.

Changes run on the thread that writes the chain, one after another with sealing; what readers and
the next block look at are two immutable records, replaced whole. What only the disk has to know is
in `diary.py`, what turns the past in `past.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from ghostchain.chain.amendments import Amendments
from ghostchain.chain.chain import Chain, SealedBlock
from ghostchain.chain.loading import put_together
from ghostchain.execution.executor import BlockEnvironment
from ghostchain.node.development import dump, pooling
from ghostchain.node.development.clock import after_block, next_timestamp, set_to, spends
from ghostchain.node.development.diary import Diary
from ghostchain.node.development.dump import Moment
from ghostchain.node.development.loading import Loaded, accounts_in, laid_over, parse
from ghostchain.node.development.past import Past
from ghostchain.node.development.settings import FIFO, ChainSettings, NodeSettings
from ghostchain.node.forking import Forking, NoSuchFork, Prepared
from ghostchain.node.sealer import BlockMaker, Sealer, Terms, randomness
from ghostchain.node.sealing import SealingPolicy
from ghostchain.node.warming import Warming, when_here
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.errors import RemoteError, RemoteNeeded
from ghostchain.primitives.header import Header
from ghostchain.primitives.leniency import SIGNATURES_MAX
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import Refusal
from ghostchain.rpc.calls import account_at
from ghostchain.rpc.development import Fork, ForkStanding, Impossible, Replayed
from ghostchain.state.remote import Missed, forked_beneath
from ghostchain.txpool.driver import PoolDriver, Submission
from ghostchain.txpool.effects import PoolReason

Value = TypeVar("Value")

MILLISECOND_NS = 1_000_000
# So many blocks are made in one go on the writer's thread, which others wait for meanwhile.
BLOCKS_AT_ONCE = 128
MINE_BLOCKS_MAX = 1_000_000
# On a fork, before a block by hand: how often what waits is looked through for what it needs of the
# remote, and how long a remote that gives nothing is waited for.
BRING_ROUNDS_MAX = 16
BRING_PATIENCE_S = 2.0
IMPERSONATED_MAX = 10_000
# A dump that is further ahead than this leaves the chain's height as it is.
LOAD_BLOCKS_MAX = 10_000
# A dump is put together so often anew when blocks are made meanwhile.
LOAD_ROUNDS = 3
OFFSET_S_MAX = 1 << 62


@dataclass(frozen=True, slots=True)
class Parts:
    """What a controller works with. coinbase and node: where nothing else was set by hand, or
    node_is_given. is_own_time: the chain's clock begins with its first block's time, not the
    wall's."""

    chain: Chain
    pool: PoolDriver
    writer: ThreadPoolExecutor
    coinbase: Address
    gas_limit: int | None
    node: NodeSettings
    diary_path: Path | None
    node_is_given: bool = False
    transactions_max: int | None = None
    is_own_time: bool = False
    forking: Forking | None = None


class Controller:
    """Implements `Development`; methods as documented there. `settings` and `node` may be read by
    any thread."""

    def __init__(self, parts: Parts) -> None:
        """Raises: StorageError. Finishes a return to the past that a kill cut short."""
        self._chain = parts.chain
        self._pool = parts.pool
        self._writer = parts.writer
        self._coinbase = parts.coinbase
        self._gas_limit = parts.gas_limit
        self._transactions_max = parts.transactions_max
        self._random = Random()
        self._diary = Diary(parts.diary_path)
        self.node = self._node_of(parts)
        self._past = Past(parts.chain, parts.pool, self._diary, is_own_time=parts.is_own_time)
        self.settings = self._past.recover(now_s=now_s())
        self._forking = parts.forking
        self.instance = Hash32(secrets.token_bytes(32))
        self.head_time_ms = time.time_ns() // MILLISECOND_NS
        self.warming = Warming(
            parts.chain,
            self.next_environment,
            lambda held, failure: self.sealer.on_warmed(held, failure),
        )
        self._maker = BlockMaker(
            parts.chain,
            parts.pool,
            self._terms,
            self._on_sealed,
            lambda: self.node.logging,
            self.warming,
        )
        self.sealer = Sealer(
            self._maker, parts.pool, self._policy(), parts.writer, renewed=self._renewed_policy
        )

    def _node_of(self, parts: Parts) -> NodeSettings:
        remembered, given = self._diary.remembered.node, parts.node
        if remembered is None or not parts.node_is_given:
            return remembered or given
        return replace(
            remembered,
            automine=given.automine,
            interval_ms=given.interval_ms,
            order=given.order,
            impersonates_all=given.impersonates_all,
        )

    def close(self) -> None:
        """After the writer's thread has ended."""
        self._diary.close()

    # ---- on the writer's thread ----

    async def _on_writer(self, job: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._writer, job)

    def _set(self, settings: ChainSettings) -> None:
        if settings != self.settings:
            self._diary.chain(settings, self._chain.head.number)
            self.settings = settings

    async def _change(self, change: Callable[[ChainSettings], ChainSettings]) -> None:
        await self._on_writer(lambda: self._set(change(self.settings)))

    async def _change_node(self, change: Callable[[NodeSettings], NodeSettings]) -> None:
        def job() -> None:
            changed = change(self.node)
            if changed != self.node:
                self._diary.node(changed)
                self.node = changed

        await self._on_writer(job)

    def _terms(self) -> Terms:
        """Of the block after the head."""
        return self._terms_after(self._chain.head, self.settings)

    def _terms_after(self, parent: Header, settings: ChainSettings) -> Terms:
        gas_limit = self._gas_limit if settings.gas_limit is None else settings.gas_limit
        step_min = self._chain.config.timestamp_step_min
        timestamp = next_timestamp(settings, parent.timestamp, now_s=now_s(), step_min=step_min)
        earliest = parent.timestamp + step_min
        randao = settings.next_prev_randao
        return Terms(
            timestamp=timestamp,
            coinbase=self.coinbase,
            prev_randao=randomness(parent) if randao is None else randao,
            gas_limit=gas_limit,
            base_fee=settings.next_base_fee,
            is_free=timestamp < earliest or settings.gas_limit is not None,
            by_arrival=self.node.order == FIFO,
            count_max=self._transactions_max,
        )

    def _on_sealed(self, sealed: SealedBlock) -> None:
        header = sealed.block.header
        self.head_time_ms = time.time_ns() // MILLISECOND_NS
        settings = after_block(self.settings, header, now_s=now_s())
        if settings is not self.settings:
            self._set(settings)

    # ---- what the next block looks like ----

    @property
    def coinbase(self) -> Address:
        """Who gets the tips."""
        return self._coinbase if self.settings.coinbase is None else self.settings.coinbase

    def next_timestamp(self) -> int:
        step_min = self._chain.config.timestamp_step_min
        head = self._chain.head
        return next_timestamp(self.settings, head.timestamp, now_s=now_s(), step_min=step_min)

    def next_environment(self) -> BlockEnvironment:
        """What the block after the head would show if it were made now."""
        terms, environment = self._terms(), self._chain.next_environment()
        gas_limit, base_fee = self.settings.gas_limit, terms.base_fee
        return replace(
            environment,
            timestamp=terms.timestamp,
            coinbase=terms.coinbase,
            prev_randao=terms.prev_randao,
            gas_limit=environment.gas_limit if gas_limit is None else gas_limit,
            base_fee=environment.base_fee if base_fee is None else base_fee,
        )

    # ---- sealing ----

    def _policy(self) -> SealingPolicy:
        interval = self.node.interval_ms
        if interval is None:
            return SealingPolicy(eager=self.node.automine, interval_ns=None)
        pause_ms = self._random.randint(*interval)
        return SealingPolicy(eager=self.node.automine, interval_ns=pause_ms * MILLISECOND_NS)

    def _renewed_policy(self) -> SealingPolicy | None:
        """Another pause after each block, where only its bounds are set."""
        interval = self.node.interval_ms
        return None if interval is None or interval[0] == interval[1] else self._policy()

    @property
    def is_automining(self) -> bool:
        return self.node.automine

    @property
    def interval_ms(self) -> tuple[int, int] | None:
        return self.node.interval_ms

    @property
    def order(self) -> str:
        return self.node.order

    async def set_automine(self, on: bool) -> None:
        await self._change_node(
            lambda node: replace(node, automine=on, interval_ms=None if on else node.interval_ms)
        )
        self.sealer.set_policy(self._policy())
        if on:
            await self.settle([])

    async def set_interval(
        self, interval_ms: tuple[int, int] | None, *, automine: bool | None = None
    ) -> None:
        await self._change_node(
            lambda node: replace(
                node,
                interval_ms=interval_ms,
                automine=node.automine if automine is None else automine,
            )
        )
        self.sealer.set_policy(self._policy())

    async def mine(
        self, count: int, *, interval: int | None = None, timestamp: int | None = None
    ) -> None:
        if count > MINE_BLOCKS_MAX:
            raise Impossible(f"at most {MINE_BLOCKS_MAX} blocks at once")
        if timestamp is not None:
            await self.set_next_timestamp(timestamp)
        if self.fork is not None and not self.sealer.policy.eager:
            await self._bring_waiting()

        def before_each() -> None:
            # As anvil: the clock jumps before each block.
            if interval:
                self._set(self._later(interval))

        if self.fork is not None:
            await self._make_blocks(count, before_each)
            return
        left = count
        while left > 0:
            await self._make_blocks(1, before_each)
            left -= 1
            while left > 0 and (made := await self._on_writer(partial(self._run, left, interval))):
                left -= made

    def _run(self, count_max: int, interval: int | None) -> int:
        """Empty blocks in one go, as many as count_max or others can wait for: not while anything
        waits for a block, or is set for the next one alone. Returns how many."""
        settings, now = self.settings, now_s()
        if self._pool.pool.pending_count() or spends(settings):
            return 0
        count = min(count_max, BLOCKS_AT_ONCE)

        def terms(parent: Header) -> Terms:
            nonlocal settings
            if interval:
                settings = self._later_than(settings, parent, interval, now)
            return self._terms_after(parent, settings)

        try:
            self._maker.make_empty(count, terms)
        finally:
            self._set(settings)
        return count

    async def _make_blocks(self, count: int, before_each: Callable[[], object]) -> None:
        """So many blocks, empty ones too. What a fork's block needs of the remote is waited for
        here, and holds up nobody. Raises: RemoteError."""
        left = count
        is_begun = False

        def job() -> RemoteNeeded | None:
            nonlocal left, is_begun
            for _ in range(min(left, BLOCKS_AT_ONCE)):
                if not is_begun:
                    before_each()
                    is_begun = True
                try:
                    self._maker.make(empty_too=True)
                except RemoteNeeded as need:
                    return need
                left -= 1
                is_begun = False
            return None

        while left > 0:
            need = await self._on_writer(job)
            if need is not None:
                await asyncio.wrap_future(need.answer)

    async def _bring_waiting(self) -> None:
        """What waits in the pool can run in the next block, as far as the remote gives what it
        needs; a remote that gives nothing is not waited for."""
        for _ in range(BRING_ROUNDS_MAX):
            await self._on_writer(self._maker.hold_cold)
            if self.warming.is_idle or not await self.warming.settled(BRING_PATIENCE_S):
                return

    async def settle(self, hashes: Sequence[Hash32]) -> Mapping[Hash32, RemoteError]:
        return await self.sealer.settle(hashes)

    # ---- the clock ----

    def _later(self, seconds: int) -> ChainSettings:
        """The clock so much later; one that blocks have overtaken moves on from the head."""
        return self._later_than(self.settings, self._chain.head, seconds, now_s())

    def _later_than(
        self, settings: ChainSettings, head: Header, seconds: int, now: int
    ) -> ChainSettings:
        overtaken = head.timestamp - now
        if settings.next_oldest is not None:
            overtaken = settings.offset_s
        offset_s = max(settings.offset_s, overtaken) + seconds
        if not -OFFSET_S_MAX <= offset_s <= OFFSET_S_MAX:
            raise Impossible("the chain's clock cannot be moved that far")
        return replace(settings, offset_s=offset_s)

    async def increase_time(self, seconds: int) -> int:
        await self._on_writer(lambda: self._set(self._later(seconds)))
        return self.settings.offset_s

    async def set_time(self, timestamp: int) -> None:
        def job() -> None:
            head = self._chain.head
            self._set(set_to(self.settings, timestamp, head.timestamp, now_s=now_s()))

        await self._on_writer(job)

    async def set_next_timestamp(self, timestamp: int) -> None:
        def job() -> None:
            oldest = self.settings.next_oldest
            oldest = self._chain.head.timestamp if oldest is None else oldest
            if timestamp < oldest:
                raise Impossible(
                    f"Timestamp error: {timestamp} is lower than previous block's timestamp"
                )
            self._set(replace(self.settings, next_timestamp=timestamp))

        await self._on_writer(job)

    async def set_timestamp_interval(self, seconds: int | None) -> bool:
        before = self.settings.timestamp_interval_s
        await self._change(lambda chain: replace(chain, timestamp_interval_s=seconds))
        return before is not None

    # ---- the past ----

    async def snapshot(self) -> int:
        return await self._on_writer(lambda: self._past.take(self.settings, now_s=now_s()))

    async def revert(self, snapshot: int) -> bool:
        return await self._turn(lambda: self._past.revert(snapshot, now_s=now_s()))

    def snapshots(self) -> Mapping[int, tuple[int, Hash32]]:
        return self._past.snapshots()

    async def rollback(self, depth: int) -> None:
        settings = self.settings
        await self._turn(lambda: self._past.rollback(depth, settings, now_s=now_s()))

    async def reorganise(self, depth: int, replayed: Sequence[Replayed]) -> None:
        settings = self.settings

        def job() -> ChainSettings:
            return self._past.reorganise(depth, replayed, settings, self._terms, now_s=now_s())

        await self._turn(job)

    async def reset(self, fork: Fork | None) -> None:
        is_bare = fork is None or (fork == Fork(None, None) and self.fork is None)
        if is_bare and (self.fork is not None or self.is_loaded):
            await self._leave()
        elif fork is None or fork == Fork(None, None):
            await self._turn(self._reset)
        else:
            await self._enter(fork)
        self.instance = Hash32(secrets.token_bytes(32))

    def _reset(self) -> ChainSettings:
        settings = self._past.reset(now_s=now_s())
        if self.fork is not None:
            settings = self._at_head()
            self._diary.chain(settings, self._chain.head.number)
        return settings

    def _at_head(self) -> ChainSettings:
        """Nothing set but the clock, which goes on from the head's time, as anvil's does on a fork:
        prices and deadlines that its contracts know stay young."""
        return ChainSettings(offset_s=self._chain.head.timestamp - now_s())

    async def _enter(self, wanted: Fork) -> None:
        """Another fork; what is asked of the remote for it holds up nobody. Raises: Impossible."""
        forking = self._forking
        if forking is None:
            raise Impossible("this node cannot fork another chain")
        try:
            prepared = await asyncio.to_thread(forking.prepared, wanted)
        except (RemoteError, NoSuchFork) as failure:
            raise Impossible(str(failure)) from failure
        await self._turn(lambda: self._begin_anew(forking, prepared))

    async def _leave(self) -> None:
        """The chain without a fork, and without what was loaded."""
        forking = self._forking
        assert forking is not None, "there is a fork, or a dump was loaded"
        prepared = await asyncio.to_thread(forking.unforked)
        await self._turn(lambda: self._begin_anew(forking, prepared))

    def _begin_anew(self, forking: Forking, prepared: Prepared) -> ChainSettings:
        def forget() -> None:
            pooling.empty(self._pool)
            self._past.forget()

        forking.enter(self._chain, prepared, forget)
        settings = ChainSettings() if prepared.fork is None else self._at_head()
        self._diary.chain(settings, self._chain.head.number)
        return settings

    async def _turn(self, job: Callable[[], ChainSettings | None]) -> bool:
        """Runs what turns the past; the settings that it returns hold from then on."""

        def turn() -> bool:
            settings = job()
            if settings is None:
                return False
            self.settings = settings
            self.head_time_ms = time.time_ns() // MILLISECOND_NS
            return True

        turned = await self._on_writer(turn)
        if turned:
            self.sealer.set_policy(self._policy())
        return turned

    # ---- accounts that nobody has the key of ----

    def impersonates(self, address: Address) -> bool:
        return self.node.impersonates_all or address in self.node.impersonated

    async def impersonate(self, address: Address) -> None:
        if len(self.node.impersonated) >= IMPERSONATED_MAX:
            raise Impossible(
                f"{IMPERSONATED_MAX} accounts are impersonated; anvil_autoImpersonateAccount does "
                "it for all"
            )
        await self._change_node(
            lambda node: replace(node, impersonated=node.impersonated | {address})
        )

    async def stop_impersonating(self, address: Address) -> None:
        await self._change_node(
            lambda node: replace(node, impersonated=node.impersonated - {address})
        )

    async def impersonate_all(self, on: bool) -> None:
        await self._change_node(lambda node: replace(node, impersonates_all=on))

    async def impersonate_signature(self, signature: bytes, address: Address) -> None:
        def job() -> None:
            leniency = self._chain.config.leniency
            known = {**dict(leniency.signatures), signature: address}
            if len(known) > SIGNATURES_MAX:
                raise Impossible(f"at most {SIGNATURES_MAX} signatures are impersonated")
            self._chain.relax(replace(leniency, signatures=tuple(known.items())))

        await self._on_writer(job)

    async def admit(
        self, bring: Callable[[], Value], otherwise: Callable[[], Awaitable[Value]]
    ) -> Value:
        """What `bring` returns, which brings transactions to the pool. Where nothing but these is
        waited for, they are in a block by then; else it is as `otherwise` brings them."""
        if self.fork is None and self.sealer.seals_at_once:
            return await self.sealer.admit(bring)
        return await otherwise()

    async def submit_unsigned(self, sender: Address, raw: bytes) -> Hash32 | Refusal:
        loop = asyncio.get_running_loop()

        def bring() -> Submission:
            return self._pool.submit_unsigned(sender, raw)

        answer = await self.admit(
            bring,
            lambda: when_here(
                None if self._forking is None else self._forking.state,
                lambda job: loop.run_in_executor(None, job),
                bring,
            ),
        )
        if answer.refusal is None:
            return answer.hash
        return Refusal(answer.refusal.reason, answer.refusal.message)

    # ---- state ----

    async def amend(self, amendments: Amendments) -> None:
        await self._bring(amendments)
        await self._on_writer(lambda: self._amend(amendments))

    async def _bring(self, amendments: Amendments) -> None:
        """What a fork's remote has where this will be written is here, since the next block has to
        know what it changes. Raises: RemoteError."""
        forked = forked_beneath(self._chain.state_at(self._chain.head.number))
        if forked is not None:
            missed: Missed = {("accounts", address): None for address in amendments}
            for address, amendment in amendments.items():
                missed |= {("slots", address + key): None for key in amendment.slots or ()}
            await asyncio.wrap_future(forked.remote.fetched(missed))

    def _amend(self, amendments: Amendments) -> None:
        try:
            self._chain.amend(amendments)
        except ValueError as refused:
            raise Impossible(str(refused)) from refused

    async def add_balance(self, address: Address, amount: int) -> None:
        await self._bring({address: AccountAmendment()})

        def job() -> None:
            view = self._chain.state_at(self._chain.head.number)
            balance = min(account_at(view, address).balance + amount, (1 << 256) - 1)
            self._amend({address: AccountAmendment(balance=balance)})

        await self._on_writer(job)

    def _moment(self) -> Moment:
        return dump.moment_of(self._chain, self.next_environment())

    async def dump(self, *, with_history: bool = False) -> bytes:
        moment = await self._on_writer(self._moment)
        return await asyncio.to_thread(
            lambda: dump.dump(self._chain, moment, with_history=with_history)
        )

    @property
    def is_loaded(self) -> bool:
        """Whether this chain came with a dump."""
        return self._forking is not None and self._forking.is_loaded

    async def load(self, dumped: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            loaded = await loop.run_in_executor(None, parse, dumped)
        except ValueError as refused:
            raise undecodable(refused) from refused
        if loaded.run and self.fork is None and self._forking is not None:
            await self._become(self._forking, loaded)
            return
        missing = 0 if loaded.number is None else loaded.number - self._chain.head.number
        if not 0 < missing <= LOAD_BLOCKS_MAX:
            await self.amend(loaded.amendments)
            return
        # Empty blocks up to where the dump stands, its accounts in the last of them.
        kept = self.settings
        await self._make_blocks(missing - 1, lambda: self._set_as(loaded))

        await self._bring(loaded.amendments)

        def last() -> None:
            self._amend(loaded.amendments)
            oldest = self._chain.head.timestamp
            if not self._set_as(loaded) and (loaded.timestamp or 0) >= oldest:
                self._set(replace(self.settings, next_timestamp=loaded.timestamp))

        await self._make_blocks(1, last)
        await self._change(
            lambda chain: replace(
                chain,
                coinbase=kept.coinbase,
                offset_s=max(kept.offset_s, chain.offset_s),
            )
        )

    async def _become(self, forking: Forking, loaded: Loaded) -> None:
        """This chain is the one that the dump tells of, with what was here beneath its accounts.
        It is put together beside the present one, which goes on meanwhile. Raises: Impossible."""
        for _ in range(LOAD_ROUNDS):
            moment = await self._on_writer(self._moment)
            prepare = partial(prepared_of, forking, loaded, self._chain, moment)
            try:
                prepared = await asyncio.to_thread(prepare)
            except ValueError as refused:
                raise undecodable(refused) from refused
            if await self._turn(partial(self._become_prepared, forking, prepared, moment, loaded)):
                self.instance = Hash32(secrets.token_bytes(32))
                return
        raise Impossible("blocks are made faster than the dump can be loaded; stop mining first")

    def _become_prepared(
        self, forking: Forking, prepared: Prepared, moment: Moment, loaded: Loaded
    ) -> ChainSettings | None:
        """None where the chain has moved on since it was prepared."""
        chain = self._chain
        if chain.head != moment.head or chain.pending_amendments != moment.pending:
            return None
        waiting = pooling.waiting_in(self._pool)

        def forget() -> None:
            pooling.empty(self._pool)
            self._past.forget()

        forking.enter(chain, prepared, forget)
        settings = replace(
            self.settings,
            next_oldest=None,
            coinbase=loaded.next_block.coinbase or self.settings.coinbase,
            gas_limit=loaded.next_block.gas_limit or self.settings.gas_limit,
        )
        self._diary.chain(settings, chain.head.number)
        pooling.put_back(self._pool, waiting)
        return settings

    def _set_as(self, loaded: Loaded) -> bool:
        """The next block is to be as the dump's of its number. False: it holds none."""
        old = loaded.blocks.get(self._chain.head.number + 1)
        if old is None:
            return False
        self._set(
            replace(
                self.settings,
                next_timestamp=old.timestamp,
                next_oldest=old.timestamp,
                next_base_fee=old.base_fee,
                next_prev_randao=old.prev_randao,
                coinbase=old.coinbase,
            )
        )
        return True

    # ---- what blocks are made with ----

    async def set_coinbase(self, address: Address) -> None:
        await self._bring({address: AccountAmendment()})
        await self._change(lambda chain: replace(chain, coinbase=address))

    async def set_next_base_fee(self, fee: int) -> None:
        await self._change(lambda chain: replace(chain, next_base_fee=fee))

    async def set_next_prev_randao(self, value: Hash32) -> None:
        await self._change(lambda chain: replace(chain, next_prev_randao=value))

    async def set_gas_limit(self, gas: int) -> None:
        if not 0 < gas < 1 << 63:
            raise Impossible(f"a block's gas limit is between 1 and {(1 << 63) - 1}")
        await self._change(lambda chain: replace(chain, gas_limit=gas))

    async def set_chain_id(self, chain_id: int) -> None:
        def job() -> None:
            try:
                self._chain.set_chain_id(chain_id)
            except ValueError as refused:
                raise Impossible(str(refused)) from refused
            self._set(replace(self.settings, chain_id=chain_id))

        await self._on_writer(job)

    # ---- the pool ----

    async def drop(self, hashes: Sequence[Hash32]) -> Sequence[Hash32]:
        def job() -> list[Hash32]:
            with self._pool.lock:
                found = [one for one in hashes if one in self._pool.pool.by_hash]
                self._pool.drop(found, PoolReason.DROPPED, durably=True)
            return found

        return await self._on_writer(job)

    async def drop_sender(self, sender: Address) -> None:
        def job() -> None:
            with self._pool.lock:
                queue = self._pool.pool.senders.get(sender)
                hashes = [] if queue is None else [one.hash for one in queue.by_nonce.values()]
                self._pool.drop(hashes, PoolReason.DROPPED, durably=True)

        await self._on_writer(job)

    async def drop_all(self) -> None:
        await self._on_writer(lambda: pooling.empty(self._pool))

    # ---- the node ----

    async def set_logging(self, on: bool) -> None:
        await self._change_node(lambda node: replace(node, logging=on))

    async def set_fork_url(self, url: str) -> None:
        forking = self._forking
        if forking is None:
            raise Impossible("this chain is no fork: start the node with --fork-url")
        try:
            await asyncio.get_running_loop().run_in_executor(None, forking.ask_elsewhere, url)
        except NoSuchFork as failure:
            raise Impossible(str(failure)) from failure

    @property
    def fork(self) -> ForkStanding | None:
        return None if self._forking is None else self._forking.standing


def undecodable(refused: ValueError) -> Impossible:
    return Impossible(f"Failed to decode state dump: {refused}")


def prepared_of(forking: Forking, loaded: Loaded, chain: Chain, moment: Moment) -> Prepared:
    """The chain of a dump, beside the present one. Raises: ValueError for older states that are
    none; StorageError."""
    # What the protocol itself needs stood before everything.
    beneath = {address: one for address, one in chain.genesis.alloc.items() if one.code}
    wanted = loaded.chain(chain.chain_id, chain.config.chain_id)
    last = laid_over(accounts_in(dump.accounts_of(moment)), loaded.accounts)
    states = itertools.chain(loaded.older_states(wanted.oldest, beneath), [last])
    return forking.loaded(
        wanted.blocks[0].header,
        lambda path, genesis: put_together(path, genesis, wanted, states),
    )


def now_s() -> int:
    """The wall's clock."""
    return int(time.time())
