"""How a block is had from its header and the hashes of its transactions.

A proposal travels without its transactions: whoever gets it has most of them in its pool. What is
missing is asked for by index, from who sent the proposal and then from others. Where even the body
is missing (only a certificate tells of the block), it is asked for by its id. One fetch a block id,
whoever wants it and however often; it ends when the block is whole and its header commits to all of
it, or when its time is over.

    fetch ── body known? ──no──> GetBlock to the next source ── CompactBlock ─┐
                │ yes                    ▲        BlockMissing, timeout       │
                ▼                        │                                    ▼
            in the pool? ──no──> GetBlockTransactions to the next source ── BlockTransactions
                │ yes                                                         │
                └───────────── header commits to it? <───────────────────────┘
                                  │ yes             │ no: whoever gave the body is blamed, again
                                  ▼
                              BlockReady

Who answers wrongly is not asked again. Who is slow, or does not have it, is asked again when all
others were. Answers that come late still help, when the same was asked in other words since: what
they bring finds its place by its hash.

The header commits to the transactions, not to their hashes: until the block is whole, nobody knows
that the hashes in a body are its own, and a proposer may tell each peer others. So a question for
transactions names the listing whose indices it means. Whoever has the block with another listing
answers with its body instead, which takes the other's place. Who told of a listing that was not the
block's is blamed when the block is whole; nobody is blamed for believing a liar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ghostchain.crypto.keccak import keccak256, keccak256_batch
from ghostchain.p2p.connections import Budget
from ghostchain.p2p.effects import (
    Blame,
    BlockFailed,
    BlockFailure,
    BlockReady,
    Effect,
    Effects,
    FindBlock,
    FindTransactions,
    Matches,
    Peer,
    Send,
    WholeBlock,
)
from ghostchain.p2p.messages import (
    ANSWER_BYTES_MAX,
    BLOCK_BYTES_MAX,
    BlockMissing,
    BlockTransactions,
    CompactBlock,
    CompactBody,
    GetBlock,
    GetBlockTransactions,
    InvalidMessage,
    Message,
    channel_of,
    decode_compact,
    encode_compact,
    encode_message,
)
from ghostchain.p2p.scoring import SECOND_NS, Offence
from ghostchain.primitives.types import Hash32

MILLISECOND_NS = 1_000_000
FETCHES_MAX = 8
ANSWER_NS_MAX = 500 * MILLISECOND_NS
"""How long one source has to answer, before another is asked too; for a body, and each time for a
share of the transactions."""

FULL_ANSWER_BYTES = ANSWER_BYTES_MAX // 2
"""Whoever gives at least so much news at once is asked for the rest too; who gives less leaves it
to others, so that nobody holds a block up drop by drop."""

PAUSE_NS = 250 * MILLISECOND_NS
"""Between two rounds through all sources; the n-th pause is n times that, up to PAUSE_NS_MAX."""

PAUSE_NS_MAX = 2 * SECOND_NS
FETCH_NS_MAX = 60 * SECOND_NS
SERVED_BYTES_PER_SECOND = 16 << 20
"""What one peer is given of blocks; twice that at once."""

KEPT_BLOCKS_MAX = 8
KEPT_BYTES_MAX = 32 << 20
FOUND_BLOCKS_MAX = 4
FINISHED_MAX = 64


@dataclass(slots=True)
class Asked:
    """What a peer was asked of a block. listings: of which transactions were meant; none: it was
    asked for the body alone. answers: how many of transactions may still come."""

    listings: set[Hash32] = field(default_factory=set)
    answers: int = 0


@dataclass(slots=True)
class Fetch:
    """One block on its way.

    body_from: who gave the body. listing: of its hashes. told: the listings of all bodies that
    came, by who gave them. raws: of each transaction of the body, None while missing.
    sources: to be asked first. tried: asked in this round. refused: not asked again. requests: what
    each peer was asked. asked: who is waited for until deadline_ns; None in a pause.
    """

    block_id: Hash32
    give_up_ns: int
    body: CompactBody | None = None
    body_from: Peer | None = None
    listing: Hash32 | None = None
    told: dict[Peer, Hash32] = field(default_factory=dict)
    raws: list[bytes | None] = field(default_factory=list)
    bytes_total: int = 0
    sources: list[Peer] = field(default_factory=list)
    tried: set[Peer] = field(default_factory=set)
    refused: set[Peer] = field(default_factory=set)
    requests: dict[Peer, Asked] = field(default_factory=dict)
    asked: Peer | None = None
    deadline_ns: int = 0
    rounds: int = 0

    def missing(self) -> tuple[int, ...]:
        return tuple([index for index, raw in enumerate(self.raws) if raw is None])


def whole_block(
    header: bytes, transactions: Sequence[bytes], withdrawals: bytes, attachment: bytes
) -> WholeBlock:
    """The record of a block's parts: RLP, canonical bytes, RLP, opaque."""
    hashes = tuple(keccak256_batch(transactions))
    return WholeBlock(
        keccak256(header),
        header,
        tuple(transactions),
        withdrawals,
        attachment,
        hashes,
        listing_of(hashes),
    )


def listing_of(hashes: Iterable[Hash32]) -> Hash32:
    """Which transactions a body lists, in which order."""
    return keccak256(b"".join(hashes))


def compact_body(block: WholeBlock) -> bytes:
    """What goes with the proposal of a block. Cost: linear in the transactions, 32 bytes each."""
    return encode_compact(
        CompactBody(block.header, block.withdrawals, block.attachment, block.hashes)
    )


class Blocks:
    """Blocks being fetched, and blocks given to others.

    find_transactions, find_block, matches: see effects.py. peers: those up, in the order in which
    to ask them.
    """

    def __init__(
        self,
        *,
        find_transactions: FindTransactions,
        find_block: FindBlock,
        matches: Matches,
        peers: Callable[[], Sequence[Peer]],
    ) -> None:
        self._find_transactions = find_transactions
        self._find_block = find_block
        self._matches = matches
        self._peers = peers
        self.fetches: dict[Hash32, Fetch] = {}
        self._kept: dict[Hash32, WholeBlock] = {}
        self._found: dict[Hash32, WholeBlock] = {}
        self._finished: dict[Hash32, set[Peer]] = {}
        self._served: dict[Peer, Budget] = {}

    # ---- inputs ----

    def keep(self, block: WholeBlock) -> None:
        """The block can be given to others while it is being decided: at most KEPT_BLOCKS_MAX of
        KEPT_BYTES_MAX, the oldest forgotten first."""
        self._kept.pop(block.block_id, None)
        self._kept[block.block_id] = block
        total = sum(_size(one) for one in self._kept.values())
        while len(self._kept) > 1 and (len(self._kept) > KEPT_BLOCKS_MAX or total > KEPT_BYTES_MAX):
            total -= _size(self._kept.pop(next(iter(self._kept))))

    def fetch(
        self, block_id: Hash32, peer: Peer | None, body: bytes | None, *, now_ns: int
    ) -> Effects:
        """BlockReady or BlockFailed comes once, now or later. peer: who told of it. body: what came
        with its proposal, from that peer. Beyond FETCHES_MAX the one that was asked for least
        lately fails: what is wanted now goes before what was."""
        kept = self._kept.get(block_id)
        if kept is not None:
            return (BlockReady(kept),)
        effects: list[Effect] = []
        fetch = self.fetches.pop(block_id, None)
        is_new = fetch is None
        if fetch is None:
            if len(self.fetches) >= FETCHES_MAX:
                oldest = next(iter(self.fetches.values()))
                self._finish(oldest)
                effects.append(BlockFailed(oldest.block_id, BlockFailure.TOO_MANY))
            fetch = Fetch(block_id, now_ns + FETCH_NS_MAX)
        self.fetches[block_id] = fetch
        if peer and peer not in fetch.sources:
            fetch.sources.append(peer)
        if body is not None and fetch.body is None:
            effects.extend(self._take_body(fetch, peer, body))
            is_new = is_new or fetch.body is not None
        if is_new or fetch.asked is None:
            effects.extend(self._advance(fetch, now_ns))
        return tuple(effects)

    def cancel(self, block_id: Hash32) -> Effects:
        """The block is no longer wanted."""
        fetch = self.fetches.get(block_id)
        if fetch is None:
            return ()
        self._finish(fetch)
        return (BlockFailed(block_id, BlockFailure.CANCELLED),)

    def on_message(self, peer: Peer, message: Message, *, now_ns: int) -> Effects:
        """A message of the BLOCKS channel."""
        if isinstance(message, GetBlock):
            return self._serve_body(peer, message.block_id, now_ns)
        if isinstance(message, GetBlockTransactions):
            return self._serve_transactions(peer, message, now_ns)
        assert isinstance(message, CompactBlock | BlockTransactions | BlockMissing), message
        fetch = self.fetches.get(message.block_id)
        if fetch is None:
            if peer in self._finished.get(message.block_id, ()):
                return ()
            return (Blame(peer, Offence.UNSOLICITED, type(message).__name__),)
        if peer not in fetch.requests:
            return (Blame(peer, Offence.UNSOLICITED, type(message).__name__),)
        in_pause, body = fetch.asked is None, fetch.body
        effects: list[Effect] = []
        if isinstance(message, CompactBlock):
            effects.extend(self._on_body(fetch, peer, message.body))
        elif isinstance(message, BlockTransactions):
            effects.extend(self._on_transactions(fetch, peer, message.raws))
        elif fetch.asked == peer:
            fetch.asked = None
        has_news = fetch.body is not None and (fetch.body is not body or None not in fetch.raws)
        if fetch.asked is None and (not in_pause or has_news):
            effects.extend(self._advance(fetch, now_ns))
        return tuple(effects)

    def on_closed(self, peer: Peer, *, now_ns: int) -> Effects:
        """Others are asked for what the peer was asked for."""
        self._served.pop(peer, None)
        effects: list[Effect] = []
        for fetch in list(self.fetches.values()):
            if peer in fetch.sources:
                fetch.sources.remove(peer)
            fetch.requests.pop(peer, None)
            if fetch.asked == peer:
                fetch.asked = None
                effects.extend(self._advance(fetch, now_ns))
        return tuple(effects)

    def on_tick(self, *, now_ns: int) -> Effects:
        """Slow sources are left for others; fetches whose time is over fail."""
        effects: list[Effect] = []
        for fetch in list(self.fetches.values()):
            if now_ns >= fetch.give_up_ns:
                self._finish(fetch)
                effects.append(BlockFailed(fetch.block_id, BlockFailure.NOT_FOUND))
            elif now_ns >= fetch.deadline_ns:
                if fetch.asked is not None:
                    effects.append(Blame(fetch.asked, Offence.SLOW, "a block"))
                    fetch.asked = None
                effects.extend(self._advance(fetch, now_ns))
        return tuple(effects)

    def deadline_ns(self) -> int | None:
        """When on_tick has something to do."""
        return min(
            (min(fetch.deadline_ns, fetch.give_up_ns) for fetch in self.fetches.values()),
            default=None,
        )

    # ---- one fetch ----

    def _advance(self, fetch: Fetch, now_ns: int) -> Iterable[Effect]:
        """Asks the next source for what is missing, or ends the fetch."""
        if fetch.body is not None:
            self._fill_from_pool(fetch)
            if None not in fetch.raws:
                ending = self._complete(fetch)
                if fetch.block_id not in self.fetches:
                    return ending
                return [*ending, *self._ask_next(fetch, now_ns)]
        return self._ask_next(fetch, now_ns)

    def _ask_next(self, fetch: Fetch, now_ns: int) -> Iterable[Effect]:
        candidates = self._candidates(fetch)
        if not candidates:
            fetch.rounds += 1
            fetch.tried.clear()
            fetch.deadline_ns = now_ns + min(fetch.rounds * PAUSE_NS, PAUSE_NS_MAX)
            return ()
        return self._ask(fetch, candidates[0], now_ns)

    def _candidates(self, fetch: Fetch) -> list[Peer]:
        up = self._peers()
        first = [peer for peer in fetch.sources if peer in up]
        rest = [peer for peer in up if peer not in fetch.sources]
        skipped = fetch.tried | fetch.refused
        return [peer for peer in (*first, *rest) if peer not in skipped]

    def _ask(self, fetch: Fetch, peer: Peer, now_ns: int) -> Iterable[Effect]:
        fetch.tried.add(peer)
        fetch.asked = peer
        fetch.deadline_ns = now_ns + ANSWER_NS_MAX
        request = fetch.requests.setdefault(peer, Asked())
        if fetch.body is None:
            return (_said(peer, GetBlock(fetch.block_id)),)
        assert fetch.listing is not None
        request.listings.add(fetch.listing)
        request.answers += 1
        bitmap = bitmap_of(fetch.missing())
        return (_said(peer, GetBlockTransactions(fetch.block_id, fetch.listing, bitmap)),)

    def _take_body(self, fetch: Fetch, peer: Peer | None, data: bytes) -> list[Effect]:
        """The body counts when it decodes and its header is the one of the block id, in place of
        one with another listing. What was had of that counts on."""
        try:
            body = decode_compact(data)
        except InvalidMessage as failure:
            return self._refuse(fetch, peer, Offence.MALFORMED, str(failure))
        if keccak256(body.header) != fetch.block_id:
            return self._refuse(fetch, peer, Offence.INVALID_BLOCK, "another header")
        listing = listing_of(body.hashes)
        if peer and fetch.told.setdefault(peer, listing) != listing:
            return self._refuse(fetch, peer, Offence.WRONG_ANSWER, "another body than before")
        if listing == fetch.listing:
            return []
        at_hand: dict[Hash32, bytes | None] = {}
        if fetch.body is None:
            fetch.tried.clear()
        else:
            at_hand.update(zip(fetch.body.hashes, fetch.raws, strict=True))
            fetch.tried -= {peer}
        fetch.body, fetch.body_from, fetch.listing = body, peer, listing
        fetch.raws = [at_hand.get(one) for one in body.hashes]
        fetch.bytes_total = sum(len(raw) for raw in fetch.raws if raw is not None)
        fetch.asked = None
        return []

    def _fill_from_pool(self, fetch: Fetch) -> None:
        assert fetch.body is not None
        missing = fetch.missing()
        found = self._find_transactions([fetch.body.hashes[index] for index in missing])
        for index, raw in zip(missing, found, strict=True):
            if raw is not None:
                fetch.raws[index] = raw
                fetch.bytes_total += len(raw)

    def _complete(self, fetch: Fetch) -> list[Effect]:
        """All transactions are here: either the header commits to them, or the body was a lie."""
        assert fetch.body is not None
        body = fetch.body
        block = WholeBlock(
            fetch.block_id,
            body.header,
            tuple([raw for raw in fetch.raws if raw is not None]),
            body.withdrawals,
            body.attachment,
            body.hashes,
            listing_of(body.hashes),
        )
        if fetch.bytes_total <= BLOCK_BYTES_MAX and self._matches(block):
            self._finish(fetch)
            self.keep(block)
            liars = [
                peer
                for peer, told in fetch.told.items()
                if told != block.listing and peer not in fetch.refused
            ]
            detail = "other transactions than the block has"
            return [BlockReady(block), *(_invalid_block(peer, detail) for peer in liars)]
        return self._drop_body(fetch, "its header commits to something else")

    def _drop_body(self, fetch: Fetch, detail: str) -> list[Effect]:
        teller = fetch.body_from
        fetch.body, fetch.body_from, fetch.raws, fetch.bytes_total = None, None, [], 0
        fetch.listing = None
        fetch.asked = None
        return self._refuse(fetch, teller, Offence.INVALID_BLOCK, detail)

    def _refuse(
        self, fetch: Fetch, peer: Peer | None, offence: Offence, detail: str
    ) -> list[Effect]:
        """The peer is blamed, and not asked for this block again."""
        if not peer:
            return []
        fetch.refused.add(peer)
        if fetch.asked == peer:
            fetch.asked = None
        return [Blame(peer, offence, detail)]

    def _finish(self, fetch: Fetch) -> None:
        del self.fetches[fetch.block_id]
        self._finished[fetch.block_id] = set(fetch.requests)
        if len(self._finished) > FINISHED_MAX:
            del self._finished[next(iter(self._finished))]

    # ---- answers ----

    def _on_body(self, fetch: Fetch, peer: Peer, data: bytes) -> list[Effect]:
        """What was asked for, or what the peer has in place of what it was asked for."""
        if fetch.asked == peer:
            fetch.asked = None
        if peer in fetch.refused:
            return []
        effects = self._take_body(fetch, peer, data)
        if fetch.body_from == peer:
            fetch.sources = [peer, *(one for one in fetch.sources if one != peer)]
        return effects

    def _on_transactions(self, fetch: Fetch, peer: Peer, raws: tuple[bytes, ...]) -> list[Effect]:
        request = fetch.requests[peer]
        if not request.answers:
            return []
        request.answers -= 1
        if fetch.body is None:
            return []
        hashes = keccak256_batch(raws)
        places = {one: index for index, one in enumerate(fetch.body.hashes)}
        is_strange = not raws or len(raws) > len(places) or any(one not in places for one in hashes)
        if is_strange and request.listings == {fetch.listing}:
            return self._refuse(fetch, peer, Offence.WRONG_ANSWER, f"{len(raws)} transactions")
        bytes_before = fetch.bytes_total
        for one, raw in zip(hashes, raws, strict=True):
            index = places.get(one)
            if index is not None and fetch.raws[index] is None:
                fetch.raws[index] = raw
                fetch.bytes_total += len(raw)
        if fetch.bytes_total > BLOCK_BYTES_MAX:
            return self._drop_body(fetch, f"more than {BLOCK_BYTES_MAX} bytes")
        if fetch.asked == peer:
            fetch.asked = None
            if fetch.bytes_total - bytes_before >= FULL_ANSWER_BYTES:
                fetch.tried.discard(peer)
        elif None not in fetch.raws:
            fetch.asked = None
        return []

    # ---- giving to others ----

    def _find(self, block_id: Hash32) -> WholeBlock | None:
        block = self._kept.get(block_id) or self._found.get(block_id)
        if block is not None:
            return block
        block = self._find_block(block_id)
        if block is not None:
            self._found[block_id] = block
            if len(self._found) > FOUND_BLOCKS_MAX:
                del self._found[next(iter(self._found))]
        return block

    def _serve_body(self, peer: Peer, block_id: Hash32, now_ns: int) -> Effects:
        block = self._find(block_id)
        if block is None or not self._may_have(peer, 32 * len(block.hashes), now_ns):
            return (_said(peer, BlockMissing(block_id)),)
        return (_said(peer, CompactBlock(block_id, compact_body(block))),)

    def _may_have(self, peer: Peer, size: int, now_ns: int) -> bool:
        """Whether the peer may be given so many bytes; more than its share it has from others."""
        served = self._served.get(peer)
        if served is None:
            served = self._served[peer] = Budget(SERVED_BYTES_PER_SECOND, now_ns)
        return served.take(size, now_ns)

    def _serve_transactions(
        self, peer: Peer, message: GetBlockTransactions, now_ns: int
    ) -> Effects:
        block = self._find(message.block_id)
        if block is None:
            return (_said(peer, BlockMissing(message.block_id)),)
        if message.listing != block.listing:
            return self._serve_body(peer, message.block_id, now_ns)
        indices = indices_of(message.bitmap)
        if indices[-1] >= len(block.transactions):
            detail = f"transaction {indices[-1]} of {len(block.transactions)}"
            return (Blame(peer, Offence.WRONG_ANSWER, detail),)
        raws: list[bytes] = []
        total = 0
        for index in indices:
            raw = block.transactions[index]
            total += len(raw)
            if raws and total > ANSWER_BYTES_MAX:
                break
            raws.append(raw)
        if not self._may_have(peer, total, now_ns):
            return (_said(peer, BlockMissing(message.block_id)),)
        return (_said(peer, BlockTransactions(message.block_id, tuple(raws))),)


def _invalid_block(peer: Peer, detail: str) -> Blame:
    return Blame(peer, Offence.INVALID_BLOCK, detail)


def bitmap_of(indices: Sequence[int]) -> bytes:
    """Rising indices, at least one, as a bitmap, least significant bit first."""
    bitmap = bytearray(indices[-1] // 8 + 1)
    for index in indices:
        bitmap[index >> 3] |= 1 << (index & 7)
    return bytes(bitmap)


def indices_of(bitmap: bytes) -> list[int]:
    """The inverse of `bitmap_of`."""
    bits = bin(int.from_bytes(bitmap, "little"))[:1:-1]
    return [index for index, bit in enumerate(bits) if bit == "1"]


def _said(peer: Peer, message: Message) -> Send:
    return Send(peer, channel_of(message), encode_message(message))


def _size(block: WholeBlock) -> int:
    return sum(map(len, block.transactions)) + len(block.attachment) + len(block.header)
