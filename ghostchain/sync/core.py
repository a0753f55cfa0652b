"""Catching up by blocks: what to ask of whom, what follows what, what is proven.

Heights, from below: imported (`head`), given to import, proven, held (not proven, perhaps with
gaps below), asked for, missing. `Gaps` knows what is neither held nor asked for.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ghostchain.primitives.types import Hash32
from ghostchain.sync.effects import (
    Done,
    Effect,
    Effects,
    Import,
    Peer,
    Progress,
    Punish,
    Request,
    Started,
    Stuck,
    Verify,
)
from ghostchain.sync.messages import (
    ANSWER_BYTES_MAX,
    BLOCK_ANSWER_BYTES_MAX,
    BLOCKS_MAX,
    GetBlocks,
    InvalidSyncMessage,
    Part,
    Refusal,
    Refused,
    SyncBlock,
    SyncReason,
    decode_blocks,
    encode_message,
)
from ghostchain.sync.requests import BUSY_NS, SECOND_NS, Asked, PeerState, Requests

BEHIND_MIN = 2
"""A node this many blocks behind catches up by asking for blocks; the last one comes by
consensus."""
FAR_BEHIND = 16
PATIENCE_NS = 300_000_000
"""How long a node that is a little behind waits for consensus to bring it further."""
HELD_BYTES_MAX = 64 << 20
IMPORT_BYTES_MAX = 16 << 20
IMPORT_BLOCKS_MAX = 512
VERIFY_BLOCKS_MAX = 64
HORIZON_BLOCKS = 16_384
"""How far above what is proven is asked for."""
HEDGE_NS = SECOND_NS
"""After this time what everything waits for is asked of another peer as well."""
STUCK_NS = 30 * SECOND_NS
PROGRESS_NS = SECOND_NS
RATE_SAMPLES = 6


@dataclass(frozen=True, slots=True)
class Span:
    """Heights first to last, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Held:
    """A block and who sent it."""

    block: SyncBlock
    peer: Peer


class Gaps:
    """Heights to be asked for: everything from `fresh` on, and what was given back below it."""

    def __init__(self, fresh: int) -> None:
        self._fresh = fresh
        self._returned: list[int] = []

    def take(self, low: int, high: int, count: int) -> Span | None:
        """The lowest run of at most count heights within low..high, taken out."""
        start = bisect.bisect_left(self._returned, low)
        if start < len(self._returned) and self._returned[start] <= high:
            end = start + 1
            while (
                end < len(self._returned)
                and end - start < count
                and self._returned[end] == self._returned[end - 1] + 1
                and self._returned[end] <= high
            ):
                end += 1
            span = Span(self._returned[start], self._returned[end - 1])
            del self._returned[start:end]
            return span
        if not low <= self._fresh <= high:
            return None
        span = Span(self._fresh, min(high, self._fresh + count - 1))
        self._fresh = span.last + 1
        return span

    def put(self, heights: Iterable[int]) -> None:
        """These are to be asked for again. Heights that never were taken are left out."""
        known = set(self._returned)
        known.update(height for height in heights if height < self._fresh)
        self._returned = sorted(known)

    def drop_through(self, height: int) -> None:
        """Nothing up to height is needed any more."""
        self._fresh = max(self._fresh, height + 1)
        del self._returned[: bisect.bisect_right(self._returned, height)]

    def lowest(self) -> int:
        return self._returned[0] if self._returned else self._fresh


class SyncCore:
    """Catching up by blocks, as a value. Inputs are its methods, each gives effects back."""

    def __init__(self, head: int, head_hash: Hash32, *, now_ns: int) -> None:
        self._requests: Requests[Span] = Requests()
        self._head, self._head_hash = head, head_hash
        self._proven, self._proven_hash = head, head_hash
        self._gaps = Gaps(head + 1)
        self._held: dict[int, Held] = {}
        self._held_bytes = 0
        self._ready: deque[Held] = deque()
        self._importing: dict[int, Held] = {}
        self._importing_bytes = 0
        self._batch: tuple[Held, ...] = ()
        self._batch_number = 0
        # The head at which the validators of the next block to be proven were not known.
        self._unknown_at: int | None = None
        self._block_bytes = 16 << 10
        self._is_active = False
        self._behind_since_ns: int | None = None
        self._paused_until_ns = 0
        self._transactions = 0
        self._bytes = 0
        self._samples: deque[tuple[int, int, int, int]] = deque(maxlen=RATE_SAMPLES)
        self._progress_ns = now_ns

    @property
    def head(self) -> int:
        return self._head

    @property
    def is_active(self) -> bool:
        """Whether only `Import` moves the chain now."""
        return self._is_active

    @property
    def held_bytes(self) -> int:
        """Bytes of blocks that wait, proven or not, to be imported."""
        return self._held_bytes

    # ---- inputs ----

    def on_peer_height(self, peer: Peer, height: int, *, now_ns: int) -> Effects:
        """The peer says that its head is at height."""
        self._requests.claim(peer, height)
        return self._next(now_ns)

    def on_closed(self, peer: Peer, *, now_ns: int) -> Effects:
        """The peer is gone."""
        self._give_back(self._requests.forget(peer))
        return self._next(now_ns)

    def on_message(self, peer: Peer, message: Part | Refused, *, now_ns: int) -> Effects:
        """A peer answers."""
        try:
            if isinstance(message, Refused):
                self._on_refused(peer, message, now_ns)
                return (*self._report_idlers((peer,)), *self._next(now_ns))
            asked = self._requests.on_part(peer, message, now_ns)
            if asked is not None:
                self._on_answer(asked)
        except InvalidSyncMessage as failure:
            return (*self._blame(peer, failure.reason, str(failure)), *self._next(now_ns))
        return self._next(now_ns)

    def on_verified(self, batch: int, verdicts: Sequence[bool | None], *, now_ns: int) -> Effects:
        """The answer to `Verify`."""
        if batch != self._batch_number or not self._batch:
            return ()
        waiting, self._batch = self._batch, ()
        effects: list[Effect] = []
        for held, verdict in zip(waiting, verdicts, strict=True):
            height = held.block.height
            if verdict is None:
                if height == self._head + 1:
                    effects += self._fail(height, "its validators are not known", now_ns)
                self._unknown_at = self._head
                break
            if not verdict:
                detail = f"block {height}"
                effects += self._blame(held.peer, SyncReason.NOT_PROVEN, detail)
                break
            del self._held[height]
            self._ready.append(held)
            self._proven, self._proven_hash = height, held.block.hash
            self._gaps.drop_through(height)
        return (*effects, *self._next(now_ns))

    def on_imported(
        self, height: int, block_hash: Hash32, *, transactions: int = 0, now_ns: int
    ) -> Effects:
        """The chain's head is at height now, by `Import` or by consensus."""
        if height <= self._head:
            return ()
        self._head, self._head_hash = height, block_hash
        self._transactions += transactions
        self._unknown_at = None
        if not self._is_active and self._behind_since_ns is not None:
            self._behind_since_ns = now_ns
        is_own = height in self._importing
        for done in [number for number in self._importing if number <= height]:
            size = self._importing.pop(done).block.size
            self._importing_bytes -= size
            self._held_bytes -= size
            self._bytes += size
        if not is_own:
            self._skip_through(height, block_hash)
        return self._next(now_ns)

    def on_import_failed(
        self, height: int, reason: str, *, is_changed: bool, now_ns: int
    ) -> Effects:
        """The block of that height did not hold, though proven: all below it is imported, nothing
        of what was given is any more. is_changed: its body is not the one of its header."""
        culprit = self._importing.get(height)
        effects: list[Effect] = []
        if culprit is not None and is_changed:
            detail = f"block {height}: {reason}"
            effects += self._blame(culprit.peer, SyncReason.WRONG_BODY, detail)
        self._start_over()
        if not is_changed:
            effects += self._fail(height, reason, now_ns)
        return (*effects, *self._next(now_ns))

    def on_tick(self, *, now_ns: int) -> Effects:
        """A moment that `deadline_ns` named has come."""
        effects: list[Effect] = []
        overdue = self._requests.overdue(now_ns)
        self._give_back(overdue)
        effects += self._report_idlers({asked.peer for asked in overdue})
        effects += self._next(now_ns)
        if self._is_active and now_ns >= self._progress_ns:
            self._progress_ns = now_ns + PROGRESS_NS
            effects.append(self._progress(now_ns))
        return tuple(effects)

    def deadline_ns(self, now_ns: int) -> int | None:
        """When `on_tick` is to be called next."""
        times = [
            asked.asked_ns + HEDGE_NS
            for asked in self._requests.asked.values()
            if not asked.is_hedged and asked.what.first <= self._proven + 1 <= asked.what.last
        ]
        if self._behind_since_ns is not None:
            times.append(self._behind_since_ns + PATIENCE_NS)
        times.append(self._paused_until_ns)
        # What has passed already was acted on, if it could be.
        times = [time for time in times if time > now_ns]
        overdue = self._requests.deadline_ns(now_ns)
        if overdue is not None:
            times.append(overdue)
        if self._is_active:
            times.append(self._progress_ns)
        return min(times, default=None)

    # ---- answers ----

    def _on_answer(self, asked: Asked[Span]) -> None:
        """Holds the blocks of a complete answer, and gives back what it lacks.

        Raises: InvalidSyncMessage.
        """
        span = asked.what
        data = bytes(asked.data)
        try:
            blocks = decode_blocks(data, span.first, span.last - span.first + 1)
            if len(blocks) > 1 and len(data) > ANSWER_BYTES_MAX:
                raise InvalidSyncMessage(SyncReason.TOO_LARGE, f"{len(data)} bytes")
        except InvalidSyncMessage:
            self._give_back([asked])
            raise
        self._block_bytes = (3 * self._block_bytes + len(data) // len(blocks)) // 4
        for block in blocks:
            if block.height > self._proven and block.height not in self._held:
                self._held[block.height] = Held(block, asked.peer)
                self._held_bytes += block.size
        self._give_back([asked])
        self._bound_held()

    def _on_refused(self, peer: Peer, message: Refused, now_ns: int) -> None:
        asked = self._requests.on_refused(peer, message.request)
        if asked is None:
            return
        self._give_back([asked])
        state = self._requests.peers[peer]
        if message.refusal == Refusal.BUSY:
            state.blocked_until_ns = now_ns + BUSY_NS
            state.window = 1
            return
        state.low = max(state.low, message.lowest)
        if message.highest < asked.what.first:
            # It claimed more than it has.
            state.height = message.highest
            self._requests.strike(state, now_ns)

    def _bound_held(self) -> None:
        """Lets go of the highest blocks beyond the limit; the next to be proven stays."""
        while self._held_bytes > HELD_BYTES_MAX:
            highest = max(self._held, default=0)
            if highest <= self._proven + max(1, len(self._batch)):
                return
            self._let_go(highest)
            self._gaps.put((highest,))

    def _let_go(self, height: int) -> None:
        self._held_bytes -= self._held.pop(height).block.size

    def _give_back(self, requests: Iterable[Asked[Span]]) -> None:
        """What of these is neither held nor asked of others is missing again."""
        for asked in requests:
            first = max(asked.what.first, self._proven + 1)
            heights = set(range(first, asked.what.last + 1)) - self._held.keys()
            for other in self._requests.asked.values():
                heights -= set(range(other.what.first, other.what.last + 1))
            if heights:
                self._gaps.put(heights)

    def _blame(self, peer: Peer, reason: SyncReason, detail: str) -> list[Effect]:
        """Forgets the peer and what it sent that is not proven."""
        sent = [height for height, held in self._held.items() if held.peer == peer]
        for height in sent:
            self._let_go(height)
        self._batch = ()
        self._gaps.put(sent)
        self._give_back(self._requests.forget(peer))
        return [Punish(peer, reason, detail)]

    def _report_idlers(self, peers: Iterable[Peer]) -> list[Effect]:
        effects: list[Effect] = []
        for peer in sorted(peers):
            state = self._requests.peers.get(peer)
            if state is not None and state.is_worn_out:
                effects += self._blame(peer, SyncReason.STALLING, f"up to block {state.height}")
        return effects

    # ---- the way up ----

    def _skip_through(self, height: int, block_hash: Hash32) -> None:
        """Consensus brought the chain to height."""
        if height < self._proven:
            kept = [held for held in self._ready if held.block.height > height]
            if kept and kept[0].block.parent_hash != block_hash:
                self._start_over()
                return
            for held in self._ready:
                if held.block.height <= height:
                    self._held_bytes -= held.block.size
            self._ready = deque(kept)
            return
        self._start_over()

    def _start_over(self) -> None:
        """Goes on from the head; what is held and not proven stays."""
        for held in (*self._ready, *self._importing.values()):
            self._held_bytes -= held.block.size
        given = [held.block.height for held in (*self._ready, *self._importing.values())]
        self._ready.clear()
        self._importing.clear()
        self._importing_bytes = 0
        self._batch = ()
        self._proven, self._proven_hash = self._head, self._head_hash
        for height in [height for height in self._held if height <= self._head]:
            self._let_go(height)
        self._gaps.put(height for height in given if height > self._head)
        self._gaps.drop_through(self._head)

    def _fail(self, height: int, reason: str, now_ns: int) -> list[Effect]:
        """Gives up for a while."""
        self._paused_until_ns = now_ns + STUCK_NS
        return [Stuck(height, reason)]

    def _next(self, now_ns: int) -> Effects:
        """What follows from where things are."""
        effects: list[Effect] = []
        effects += self._verify()
        effects += self._import(now_ns)
        effects += self._finish(now_ns)
        effects += self._ask(now_ns)
        return tuple(effects)

    def _verify(self) -> list[Effect]:
        """A run of held blocks that follows what is proven is to be proven, one batch at a time."""
        if self._batch or self._unknown_at == self._head:
            return []
        run: list[Held] = []
        parent = self._proven_hash
        effects: list[Effect] = []
        while len(run) < VERIFY_BLOCKS_MAX:
            held = self._held.get(self._proven + 1 + len(run))
            if held is None:
                break
            if held.block.parent_hash != parent:
                if not run:
                    # Its parent is proven, so it is this one that is wrong.
                    detail = f"block {held.block.height} does not follow the certified one"
                    return [*self._blame(held.peer, SyncReason.NOT_LINKED, detail), *self._verify()]
                break
            run.append(held)
            parent = held.block.hash
        if run:
            self._batch = tuple(run)
            self._batch_number += 1
            effects.append(Verify(self._batch_number, tuple(held.block for held in run)))
        return effects

    def _import(self, now_ns: int) -> list[Effect]:
        """Proven blocks are given to be imported, within a bound."""
        if not self._ready or now_ns < self._paused_until_ns:
            return []
        effects: list[Effect] = []
        if not self._is_active:
            if self._proven < self._head + BEHIND_MIN and self._unknown_at != self._head:
                return []
            self._is_active = True
            self._progress_ns = now_ns + PROGRESS_NS
            self._samples.clear()
            effects.append(Started(self._head, max(self._proven, self._requests.target(now_ns))))
            self._sample(now_ns)
        given: list[SyncBlock] = []
        while self._ready and len(self._importing) < IMPORT_BLOCKS_MAX:
            size = self._ready[0].block.size
            if self._importing and self._importing_bytes + size > IMPORT_BYTES_MAX:
                break
            held = self._ready.popleft()
            self._importing[held.block.height] = held
            self._importing_bytes += size
            given.append(held.block)
        if given:
            effects.append(Import(tuple(given)))
        return effects

    def _finish(self, now_ns: int) -> list[Effect]:
        """Consensus goes on when nothing is under way that could bring the chain further."""
        if not self._is_active or self._importing or self._ready or self._batch:
            return []
        is_behind = self._requests.target(now_ns) >= self._head + BEHIND_MIN
        is_promised = any(
            asked.what.first <= self._head + 1 for asked in self._requests.asked.values()
        )
        if (is_behind or is_promised) and now_ns >= self._paused_until_ns:
            return []
        self._is_active = False
        self._behind_since_ns = None
        return [Done(self._head)]

    # ---- asking ----

    def _is_wanted(self, now_ns: int) -> bool:
        """Whether blocks are to be asked for."""
        if now_ns < self._paused_until_ns:
            return False
        behind = self._requests.target(now_ns) - self._head
        if behind < BEHIND_MIN:
            self._behind_since_ns = None
            if not self._is_active and not self._batch:
                for height in list(self._held):
                    self._let_go(height)
                    self._gaps.put((height,))
            return False
        if self._behind_since_ns is None:
            self._behind_since_ns = now_ns
        return (
            self._is_active or behind >= FAR_BEHIND or now_ns >= self._behind_since_ns + PATIENCE_NS
        )

    def _ask(self, now_ns: int) -> list[Effect]:
        if not self._is_wanted(now_ns):
            return []
        effects: list[Effect] = []
        asked = True
        while asked:
            asked = False
            for peer, state in self._requests.idle(now_ns):
                span = self._span_for(peer, state, now_ns)
                if span is not None:
                    effects.append(self._request(peer, span, now_ns))
                    asked = True
        return effects

    def _span_for(self, peer: Peer, state: PeerState, now_ns: int) -> Span | None:
        """What to ask of this peer next, taken out of what is missing."""
        count = max(1, min(BLOCKS_MAX, ANSWER_BYTES_MAX // max(1, self._block_bytes)))
        expected = self._held_bytes + ANSWER_BYTES_MAX * len(self._requests.asked)
        has_room = expected + ANSWER_BYTES_MAX <= HELD_BYTES_MAX
        low = max(state.low, self._proven + 1)
        high = min(state.height, self._proven + HORIZON_BLOCKS)
        if has_room or self._gaps.lowest() <= self._proven + 1:
            span = self._gaps.take(low, high if has_room else min(high, low + count - 1), count)
            if span is not None:
                return span
        return self._hedge(peer, low, high, now_ns)

    def _hedge(self, peer: Peer, low: int, high: int, now_ns: int) -> Span | None:
        """What everything waits for, when somebody else has let it wait."""
        wanted = self._proven + 1
        if not low <= wanted <= high:
            return None
        for asked in self._requests.asked.values():
            if asked.what.first <= wanted <= asked.what.last:
                if asked.peer == peer or asked.is_hedged:
                    return None
                if now_ns < asked.asked_ns + HEDGE_NS:
                    return None
                asked.is_hedged = True
                return Span(wanted, min(asked.what.last, high))
        return None

    def _request(self, peer: Peer, span: Span, now_ns: int) -> Request:
        number = self._requests.ask(peer, span, BLOCK_ANSWER_BYTES_MAX, now_ns)
        count = span.last - span.first + 1
        return Request(peer, encode_message(GetBlocks(number, span.first, count, ANSWER_BYTES_MAX)))

    # ---- progress ----

    def _sample(self, now_ns: int) -> None:
        self._samples.append((now_ns, self._head, self._transactions, self._bytes))

    def _progress(self, now_ns: int) -> Progress:
        self._sample(now_ns)
        start, head, transactions, size = self._samples[0]
        seconds = max(1, now_ns - start) / SECOND_NS
        blocks_per_s = (self._head - head) / seconds
        target = max(self._requests.target(now_ns), self._head)
        return Progress(
            height=self._head,
            target=target,
            blocks_per_s=blocks_per_s,
            transactions_per_s=(self._transactions - transactions) / seconds,
            bytes_per_s=(self._bytes - size) / seconds,
            eta_s=(target - self._head) / blocks_per_s if blocks_per_s > 0 else None,
            peers=len(self._requests.peers),
        )
