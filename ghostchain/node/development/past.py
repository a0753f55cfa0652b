"""Coming back: snapshots, reverts, rollbacks, other pasts. On the thread that writes the chain.

A return is one story told twice: written in the diary, done on the chain, written as done. Whatever
a kill leaves half done is done again at the next start, since each step may be done twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ghostchain.chain.amendments import Amendments, decode_amendments, encode_amendments
from ghostchain.chain.chain import Chain
from ghostchain.chain.environments import SOLO_EXTRA_DATA
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.node.development import pooling
from ghostchain.node.development.clock import after_block
from ghostchain.node.development.diary import Diary, Snapshot
from ghostchain.node.development.settings import ChainSettings
from ghostchain.node.sealer import Terms
from ghostchain.primitives.amendment import NO_AMENDMENTS
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import ZERO_HASH, Hash32
from ghostchain.rpc.development import Impossible, Replayed
from ghostchain.txpool.driver import PoolDriver

# Snapshots that are kept; beyond this the oldest go.
SNAPSHOTS_MAX = 100_000
# Of pending amendments that a snapshot keeps: what is larger belongs in a block first.
AMENDMENT_BYTES_MAX = 8 << 20
# Of transactions that a snapshot keeps, and that all of them do; beyond this the oldest go.
WAITING_BYTES_MAX = 16 << 20
ALL_WAITING_BYTES_MAX = 256 << 20
# A snapshot that is none of the user's: the moment that a rollback or a reset goes back to.
UNNUMBERED = -1


class Past:
    """The moments that can be come back to."""

    def __init__(
        self, chain: Chain, pool: PoolDriver, diary: Diary, *, is_own_time: bool = False
    ) -> None:
        """is_own_time: the clock begins with the first block's time, not with the wall's."""
        self._is_own_time = is_own_time
        self._chain = chain
        self._pool = pool
        self._diary = diary

    def recover(self, *, now_s: int) -> ChainSettings:
        """The settings after a start: a return that was cut short is finished, what the last
        block spent is spent, and snapshots of blocks that are not here are gone."""
        remembered = self._diary.remembered
        if remembered.returning is not None:
            return self._return_to(remembered.returning, now_s=now_s)
        self._diary.forget(
            [
                identity
                for identity, one in remembered.snapshots.items()
                if self._chain.hash_of(one.height) != one.block_hash
            ]
        )
        if remembered.height is None:
            ahead = self._chain.head.timestamp - now_s if self._is_own_time else 0
            return replace(remembered.chain, offset_s=ahead)
        if self._chain.head.number > remembered.height:
            return after_block(remembered.chain, self._chain.head, now_s=now_s)
        return remembered.chain

    # ---- snapshots ----

    def take(self, settings: ChainSettings, *, now_s: int) -> int:
        """The number of a snapshot of this moment. Raises: Impossible."""
        amendments = encode_amendments(self._chain.pending_amendments)
        if len(amendments) > AMENDMENT_BYTES_MAX:
            raise Impossible("so much was changed by hand that a block must be mined first")
        waiting = self._waiting()
        identity = self._diary.remembered.next_identity
        self._diary.add(
            Snapshot(
                identity=identity,
                height=self._chain.head.number,
                block_hash=self._chain.head_hash,
                clock_s=now_s + settings.offset_s,
                settings=settings,
                amendments=amendments,
                waiting=waiting,
            )
        )
        self._forget_oldest(is_heavy=bool(waiting))
        return identity

    def _waiting(self) -> tuple[pooling.Waiting, ...]:
        """What the pool holds. Raises: Impossible where that is too much to be kept beside it."""
        waiting = pooling.waiting_in(self._pool)
        if sum(len(one.raw) for one in waiting) > WAITING_BYTES_MAX:
            raise Impossible("so much waits in the pool that a block must be mined first")
        return waiting

    def _forget_oldest(self, *, is_heavy: bool) -> None:
        """What is kept stays within its bounds."""
        snapshots = self._diary.remembered.snapshots
        oldest = list(itertools.islice(snapshots, max(len(snapshots) - SNAPSHOTS_MAX, 0)))
        if is_heavy:
            weights = {
                identity: sum(len(waiting.raw) for waiting in one.waiting)
                for identity, one in snapshots.items()
            }
            excess = sum(weights.values()) - ALL_WAITING_BYTES_MAX
            for identity, weight in weights.items():
                if excess <= 0:
                    break
                oldest.append(identity)
                excess -= weight
        self._diary.forget(oldest)

    def snapshots(self) -> Mapping[int, tuple[int, Hash32]]:
        found = dict(self._diary.remembered.snapshots)
        return {one.identity: (one.height, one.block_hash) for one in found.values()}

    def revert(self, identity: int, *, now_s: int) -> ChainSettings | None:
        """The settings of that moment, to which all else has come back; None: there is none."""
        snapshots = self._diary.remembered.snapshots
        moment = snapshots.get(identity)
        if moment is None:
            return None
        self._refuse_unreachable(moment.height)
        return self._return_to(moment, now_s=now_s)

    # ---- other ways back ----

    def rollback(self, depth: int, settings: ChainSettings, *, now_s: int) -> ChainSettings:
        """The last blocks never were; what waits goes on waiting. Raises: Impossible."""
        height = self._height_below(depth, "Rollback")
        self._refuse_unreachable(height)
        moment = self._moment_at(height, settings, self._waiting(), self._amended_at(height))
        return self._return_to(moment, now_s=now_s)

    def reset(self, *, now_s: int) -> ChainSettings:
        """Nothing ever happened. Raises: Impossible."""
        beginning = self._chain.begin
        self._refuse_unreachable(beginning)
        moment = self._moment_at(beginning, ChainSettings(), ())
        self._diary.forget(list(self._diary.remembered.snapshots))
        clock_s = moment.clock_s if self._is_own_time else now_s
        return self._return_to(replace(moment, clock_s=clock_s), now_s=now_s)

    def forget(self) -> None:
        """There are no snapshots any more."""
        self._diary.forget(list(self._diary.remembered.snapshots))

    def reorganise(
        self,
        depth: int,
        replayed: Sequence[Replayed],
        settings: ChainSettings,
        terms: Callable[[], Terms],
        *,
        now_s: int,
    ) -> ChainSettings:
        """As many other blocks instead of the last ones, with these transactions and no others.

        Raises: Impossible, for transactions that cannot stand there too; the blocks are made then,
            without them.
        """
        height = self._height_below(depth, "Reorg")
        batch_of(replayed)
        self._refuse_unreachable(height)
        moment = self._moment_at(height, settings, self._waiting(), self._amended_at(height))
        settings = self._return_to(moment, now_s=now_s)
        refused: list[str] = []
        for place in range(depth):
            refused += self._build([one for one in replayed if one.place == place], terms())
        if refused:
            raise Impossible("left out of the new blocks: " + "; ".join(refused))
        return settings

    def _build(self, replayed: Sequence[Replayed], terms: Terms) -> list[str]:
        """A block of these. Returns what was left out, and why."""
        batch = batch_of(replayed)
        sealed = self._chain.build_block(
            batch,
            timestamp=terms.timestamp,
            coinbase=terms.coinbase,
            prev_randao=terms.prev_randao,
            extra_data=SOLO_EXTRA_DATA,
            withdrawals=(),
            parent_beacon_block_root=ZERO_HASH,
            gas_limit=terms.gas_limit,
            is_free=terms.is_free,
        )
        return [
            f"0x{batch.hash(index).hex()} ({outcome.reason.name.lower().replace('_', ' ')})"
            for index, outcome in enumerate(sealed.outcomes)
            if not outcome.included
        ]

    def _height_below(self, depth: int, what: str) -> int:
        head = self._chain.head.number
        if depth > head:
            raise Impossible(
                f"{what} depth must not exceed current chain height: current height {head}, "
                f"depth {depth}"
            )
        return head - depth

    def _refuse_unreachable(self, height: int) -> None:
        oldest = self._chain.oldest_rewind
        if height < oldest:
            raise Impossible(
                f"block {height} cannot be come back to: what came before block {oldest} is pruned"
            )

    def _amended_at(self, height: int) -> Amendments:
        """What was changed by hand while that block was the head; it stays so, as in anvil."""
        if height == self._chain.head.number:
            return self._chain.pending_amendments
        return self._chain.amendments_of(height + 1) or NO_AMENDMENTS

    def _moment_at(
        self,
        height: int,
        settings: ChainSettings,
        waiting: tuple[pooling.Waiting, ...],
        amendments: Amendments = NO_AMENDMENTS,
    ) -> Snapshot:
        """The moment when that block was the head, with the settings of now, its clock alone set
        back to it."""
        header, block_hash = self._chain.header(height), self._chain.hash_of(height)
        assert header is not None
        assert block_hash is not None
        return Snapshot(
            identity=UNNUMBERED,
            height=height,
            block_hash=block_hash,
            clock_s=header.timestamp,
            settings=replace(settings, next_timestamp=None, next_oldest=None),
            amendments=encode_amendments(amendments),
            waiting=waiting,
        )

    # ---- the way back ----

    def _return_to(self, moment: Snapshot, *, now_s: int) -> ChainSettings:
        """Chain, pool and clock are as they were at that moment; its settings are returned."""
        self._diary.returning(moment, list(self._beyond(moment)))
        pooling.empty(self._pool)
        if self._chain.head.number >= moment.height and not self._stands_at(moment):
            self._chain.rewind(moment.height, amendments=decode_amendments(moment.amendments))
        pooling.put_back(self._pool, moment.waiting)
        settings = replace(moment.settings, offset_s=moment.clock_s - now_s)
        if self._chain.config.chain_ids:
            # Also where it is the same: what was set for later blocks must not come back with them.
            self._chain.set_chain_id(settings.chain_id or self._chain.config.chain_id)
        self._diary.returned(settings, moment.height)
        return settings

    def _beyond(self, moment: Snapshot) -> Iterator[int]:
        """The snapshots that go with a return to this moment: of blocks that go, or later than the
        one that is come back to. They are the last ones, since no later snapshot is of a lower
        block. Cost: theirs."""
        is_numbered = moment.identity != UNNUMBERED
        for identity, one in reversed(self._diary.remembered.snapshots.items()):
            if one.height <= moment.height and not (is_numbered and identity >= moment.identity):
                return
            yield identity

    def _stands_at(self, moment: Snapshot) -> bool:
        """Whether the chain is there already, and no more is pending."""
        return (
            self._chain.head_hash == moment.block_hash
            and encode_amendments(self._chain.pending_amendments) == moment.amendments
        )


def batch_of(replayed: Sequence[Replayed]) -> TransactionBatch:
    """Decoded, with who signed or is impersonated. Raises: Impossible."""
    batch = TransactionBatch.decode([one.raw for one in replayed], allows_unsigned=True)
    batch.recover()
    for index, one in enumerate(replayed):
        if batch.reason(index) != TransactionReason.OK or (
            batch.is_unsigned(index) != (one.sender is not None)
        ):
            raise Impossible("Failed to decode signed transaction")
    return batch
