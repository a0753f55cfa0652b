"""How transactions spread.

What the pool accepted, from whomever, goes once to every peer that is not known to have it: as it
is to as many as the square root of their number, chosen at random, to the others as a hash. It
waits PUSH_NS for company, so that a busy node says few large messages rather than many small; the
hash waits ANNOUNCE_NS, in which most of the others have it, and have said so. A peer that comes
later is told the hashes of what waits by then: what was accepted before there was anybody to tell,
or was known before a restart, spreads like that.

A hash that is not known waits ASK_NS, since the transaction itself may be on its way, and is then
asked for from who announced it first; after a timeout, or when that peer does not have it any
more, from the next. What comes is handed to the pool unless it was seen before.

    accepted ──PUSH_NS──> Transactions(0) to √n ──ANNOUNCE_NS──> TransactionHashes to the rest
    TransactionHashes ──ASK_NS──> GetTransactions ──> Transactions(n) ──> pool
                                        ^ timeout, or not among them: the next that announced

A blob transaction is announced, never pushed; it travels with its sidecar (EIP-4844), which the
pool does not keep, so the last ones are kept here.

What one peer can make this node hold is bounded: hashes known of it, announced by it, asked of it,
bytes of it that wait for the pool, bytes that it is served.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isqrt

from ghostchain.crypto.keccak import keccak256, keccak256_batch
from ghostchain.encoding.codec import unwrap
from ghostchain.p2p.connections import Budget
from ghostchain.p2p.effects import (
    Blame,
    Chance,
    Effect,
    Effects,
    FindTransactions,
    FindWaiting,
    Peer,
    Send,
    Submit,
    Verdict,
)
from ghostchain.p2p.messages import (
    ANSWER_BYTES_MAX,
    HASHES_MAX,
    TRANSACTIONS_MAX,
    GetTransactions,
    Message,
    TransactionHashes,
    Transactions,
    channel_of,
    encode_message,
)
from ghostchain.p2p.recent import RecentHashes
from ghostchain.p2p.scoring import SECOND_NS, Offence
from ghostchain.primitives.errors import InvalidEncoding, InvalidTransaction
from ghostchain.primitives.types import Hash32

MILLISECOND_NS = 1_000_000
PUSH_NS = 10 * MILLISECOND_NS
ANNOUNCE_NS = 50 * MILLISECOND_NS
ASK_NS = 20 * MILLISECOND_NS
REQUEST_NS_MAX = 2 * SECOND_NS
FULL_NS = 500 * MILLISECOND_NS
"""Until a hash is looked at again whose tellers are all asked for as much as they may be."""

PUSH_BYTES_MAX = 16 * 1024
"""What is larger is announced, never pushed."""

PUSH_FRAME_BYTES = 256 * 1024
KNOWN_OF_PEER_MAX = 8_192
SEEN_MAX = 65_536
WANTED_OF_PEER_MAX = 2_048
"""Hashes that a peer announced first and that are not here yet; it may say more, in vain."""

ASKED_OF_PEER_MAX = 512
"""Hashes asked of one peer and not answered."""

GREETING_HASHES_MAX = HASHES_MAX
"""Of what waits, told to a peer that comes."""

REQUEST_HASHES_MAX = 256
TELLERS_MAX = 4
"""Who announced a hash, remembered to be asked."""

BACKLOG_OF_PEER_BYTES_MAX = 4 << 20
BACKLOG_BYTES_MAX = 32 << 20
"""Transactions handed to the pool that it has not judged yet; what comes beyond is dropped."""

SERVED_BYTES_PER_SECOND = 8 << 20
SIDECAR_BYTES_MAX = 16 << 20
LATE_REQUESTS_MAX = 16
BLOB_TYPE = 3


@dataclass(slots=True)
class Talk:
    """What was said with one peer.

    known: hashes it has. pushes, hashes: to be said next. asked: requests under way.
    late: requests that timed out. wanted: hashes charged to it. backlog: bytes that wait for the
    pool. served: bytes that it may be given.
    """

    known: RecentHashes = field(default_factory=lambda: RecentHashes(KNOWN_OF_PEER_MAX))
    pushes: dict[Hash32, bytes] = field(default_factory=dict)
    hashes: dict[Hash32, None] = field(default_factory=dict)
    asked: dict[int, frozenset[Hash32]] = field(default_factory=dict)
    asked_count: int = 0
    late: dict[int, None] = field(default_factory=dict)
    wanted: int = 0
    backlog: int = 0
    served: Budget = field(default_factory=lambda: Budget(SERVED_BYTES_PER_SECOND, 0))

    def has(self, transaction_hash: Hash32) -> bool:
        """Whether the peer has it, or is about to be told."""
        return (
            transaction_hash in self.known
            or transaction_hash in self.pushes
            or transaction_hash in self.hashes
        )


@dataclass(slots=True)
class Want:
    """A transaction that was announced and is not here. charged: whose share it uses. tellers: who
    can be asked still. is_asked: a request for it is under way."""

    charged: Peer
    tellers: list[Peer]
    is_asked: bool = False


class Gossip:
    """Transactions to and from the peers. For find_transactions and find_waiting see effects.py."""

    def __init__(
        self, *, find_transactions: FindTransactions, find_waiting: FindWaiting, chance: Chance
    ) -> None:
        self._find_transactions = find_transactions
        self._find_waiting = find_waiting
        self._chance = chance
        self.talks: dict[Peer, Talk] = {}
        self.wants: dict[Hash32, Want] = {}
        self.seen = RecentHashes(SEEN_MAX)
        self._due: list[tuple[int, int, Hash32]] = []
        self._order = 0
        self._timeouts: list[tuple[int, int, Peer]] = []
        self._requests = 0
        self._push_ns: int | None = None
        self._announce_ns: int | None = None
        self._backlog = 0
        self._sidecars: dict[Hash32, bytes] = {}
        self._sidecar_bytes = 0

    # ---- peers ----

    def on_up(self, peer: Peer, *, now_ns: int) -> None:
        """It is told what waits here, soon. Cost: linear in what waits."""
        talk = self.talks[peer] = Talk()
        talk.hashes.update(dict.fromkeys(self._find_waiting(GREETING_HASHES_MAX)))
        blobs = list(self._sidecars)
        at_hand = self._find_transactions(blobs)
        talk.hashes.update(
            (one, None) for one, raw in zip(blobs, at_hand, strict=True) if raw is not None
        )
        if talk.hashes:
            self._announce_ns = self._announce_ns or now_ns + ANNOUNCE_NS

    def on_closed(self, peer: Peer, *, now_ns: int) -> None:
        """What was asked of it is asked of others."""
        talk = self.talks.pop(peer, None)
        if talk is None:
            return
        self._backlog -= talk.backlog
        for request in list(talk.asked):
            self._release(talk, request, now_ns)
        for wanted, want in list(self.wants.items()):
            if peer in want.tellers:
                want.tellers.remove(peer)
            if not want.tellers and not want.is_asked:
                self._unwant(wanted)
            elif want.charged == peer:
                want.charged = want.tellers[0] if want.tellers else b""
                if want.charged:
                    self.talks[want.charged].wanted += 1

    # ---- outwards ----

    def on_accepted(self, raws: Sequence[bytes], *, now_ns: int) -> None:
        """These wait in the pool now. Of a blob transaction: with its sidecar, if it is to spread
        and did not come from a peer."""
        hashes = transaction_hashes(raws)
        self.seen.add(hashes)
        for transaction_hash, raw in zip(hashes, raws, strict=True):
            if transaction_hash in self.wants:
                self._unwant(transaction_hash)
            if raw[:1] == bytes((BLOB_TYPE,)):
                if is_wrapped(raw):
                    self._keep_sidecar(transaction_hash, raw)
                if transaction_hash not in self._sidecars:
                    continue
            self._spread(transaction_hash, raw)
        if self.talks:
            self._push_ns = self._push_ns or now_ns + PUSH_NS
            self._announce_ns = self._announce_ns or now_ns + ANNOUNCE_NS

    def _spread(self, transaction_hash: Hash32, raw: bytes) -> None:
        without = [talk for talk in self.talks.values() if not talk.has(transaction_hash)]
        is_small = len(raw) <= PUSH_BYTES_MAX and raw[0] != BLOB_TYPE
        is_relayed = len(without) < len(self.talks)
        count = pushes_of(len(without), is_relayed=is_relayed) if is_small else 0
        chosen = self._chance.sample(range(len(without)), count)
        for index, talk in enumerate(without):
            if index in chosen:
                talk.pushes[transaction_hash] = raw
            elif len(talk.hashes) < KNOWN_OF_PEER_MAX:
                talk.hashes[transaction_hash] = None

    def _push(self) -> Iterable[Effect]:
        """What was gathered is said to those that still do not have it."""
        for peer, talk in self.talks.items():
            fresh = talk.known.missing(talk.pushes)
            raws = [talk.pushes[transaction_hash] for transaction_hash in fresh]
            talk.pushes = {}
            talk.known.add(fresh)
            for run in framed(raws, PUSH_FRAME_BYTES):
                yield _said(peer, Transactions(0, tuple(run)))

    def _announce(self) -> Iterable[Effect]:
        """The same with what is said as a hash."""
        for peer, talk in self.talks.items():
            fresh = talk.known.missing(talk.hashes)
            talk.hashes = {}
            talk.known.add(fresh)
            for start in range(0, len(fresh), HASHES_MAX):
                yield _said(peer, TransactionHashes(tuple(fresh[start : start + HASHES_MAX])))

    def _keep_sidecar(self, transaction_hash: Hash32, raw: bytes) -> None:
        if transaction_hash in self._sidecars:
            return
        self._sidecars[transaction_hash] = raw
        self._sidecar_bytes += len(raw)
        while self._sidecar_bytes > SIDECAR_BYTES_MAX:
            self._sidecar_bytes -= len(self._sidecars.pop(next(iter(self._sidecars))))

    # ---- inwards ----

    def on_message(self, peer: Peer, message: Message, *, now_ns: int) -> Effects:
        """A message of the TRANSACTIONS channel, of a peer that is up."""
        talk = self.talks[peer]
        if isinstance(message, TransactionHashes):
            self._on_announced(peer, talk, message.hashes, now_ns)
            return ()
        if isinstance(message, GetTransactions):
            return self._serve(peer, talk, message, now_ns)
        assert isinstance(message, Transactions), message
        try:
            hashes = transaction_hashes(message.raws)
        except (InvalidEncoding, InvalidTransaction) as failure:
            return (Blame(peer, Offence.INVALID_TRANSACTION, str(failure)),)
        if len(set(hashes)) != len(hashes):
            return (Blame(peer, Offence.MALFORMED, "a transaction twice"),)
        talk.known.add(hashes)
        if message.request:
            blame = self._on_answer(peer, talk, message.request, hashes, now_ns)
            if blame is not None:
                return (blame,)
        return self._take(peer, talk, message.raws, hashes)

    def _on_announced(self, peer: Peer, talk: Talk, hashes: Sequence[Hash32], now_ns: int) -> None:
        talk.known.add(hashes)
        unseen = self.seen.missing(hashes)
        at_hand = self._find_transactions(unseen)
        for transaction_hash, raw in zip(unseen, at_hand, strict=True):
            if raw is not None:
                continue
            want = self.wants.get(transaction_hash)
            if want is None and talk.wanted < WANTED_OF_PEER_MAX:
                self.wants[transaction_hash] = Want(peer, [peer])
                talk.wanted += 1
                self._ask_at(now_ns + ASK_NS, transaction_hash)
            elif want is not None and len(want.tellers) < TELLERS_MAX and peer not in want.tellers:
                want.tellers.append(peer)

    def _on_answer(
        self, peer: Peer, talk: Talk, request: int, hashes: Sequence[Hash32], now_ns: int
    ) -> Blame | None:
        asked = talk.asked.get(request)
        if asked is None:
            if talk.late.pop(request, 0) is None:
                return None
            return Blame(peer, Offence.UNSOLICITED, "transactions")
        if not asked.issuperset(hashes):
            return Blame(peer, Offence.WRONG_ANSWER, "transactions that were not asked for")
        for transaction_hash in hashes:
            self._unwant(transaction_hash)
        self._release(talk, request, now_ns)
        return None

    def _take(
        self, peer: Peer, talk: Talk, raws: Sequence[bytes], hashes: Sequence[Hash32]
    ) -> Effects:
        """What was not seen before is for the pool."""
        fresh = {*self.seen.missing(hashes)}
        if not fresh:
            return ()
        at_hand = self._find_transactions(hashes)
        chosen = [
            (raw, transaction_hash)
            for raw, transaction_hash, found in zip(raws, hashes, at_hand, strict=True)
            if transaction_hash in fresh and found is None
        ]
        size = sum([len(raw) for raw, _ in chosen])
        if (
            not chosen
            or talk.backlog + size > BACKLOG_OF_PEER_BYTES_MAX
            or self._backlog + size > BACKLOG_BYTES_MAX
        ):
            return ()
        talk.backlog += size
        self._backlog += size
        self.seen.add(fresh)
        for raw, transaction_hash in chosen:
            if transaction_hash in self.wants:
                self._unwant(transaction_hash)
            if raw[0] == BLOB_TYPE and is_wrapped(raw):
                self._keep_sidecar(transaction_hash, raw)
        return (Submit(peer, tuple([raw for raw, _ in chosen]), tuple([one for _, one in chosen])),)

    def on_verdicts(self, submit: Submit, verdicts: Sequence[Verdict]) -> Effects:
        """The pool has judged what a peer brought."""
        talk = self.talks.get(submit.peer)
        if talk is not None:
            size = min(talk.backlog, sum(map(len, submit.raws)))
            talk.backlog -= size
            self._backlog -= size
        effects: list[Effect] = []
        for transaction_hash, verdict in zip(submit.hashes, verdicts, strict=True):
            if verdict is not Verdict.ACCEPTED and transaction_hash in self._sidecars:
                self._sidecar_bytes -= len(self._sidecars.pop(transaction_hash))
            if verdict is Verdict.INVALID:
                blame = Blame(submit.peer, Offence.INVALID_TRANSACTION, transaction_hash.hex())
                effects.append(blame)
        return tuple(effects)

    def on_included(self, hashes: Iterable[Hash32]) -> None:
        """These are in a block: they are not asked for any more."""
        hashes = list(hashes)
        self.seen.add(hashes)
        for transaction_hash in self.wants.keys() & set(hashes):
            self._unwant(transaction_hash)
        for transaction_hash in self._sidecars.keys() & set(hashes):
            self._sidecar_bytes -= len(self._sidecars.pop(transaction_hash))

    # ---- asking ----

    def _ask_at(self, due_ns: int, transaction_hash: Hash32) -> None:
        """Those of one time are asked for in the order in which they were announced: often that of
        their nonces."""
        self._order += 1
        heapq.heappush(self._due, (due_ns, self._order, transaction_hash))

    def _unwant(self, transaction_hash: Hash32) -> None:
        want = self.wants.pop(transaction_hash, None)
        if want is not None and want.charged in self.talks:
            self.talks[want.charged].wanted -= 1

    def _release(self, talk: Talk, request: int, now_ns: int) -> None:
        """The request is over; what it did not bring is asked of the next."""
        asked = talk.asked.pop(request)
        talk.asked_count -= len(asked)
        for transaction_hash in asked:
            want = self.wants.get(transaction_hash)
            if want is None or not want.is_asked:
                continue
            want.is_asked = False
            if want.tellers:
                self._ask_at(now_ns, transaction_hash)
            else:
                self._unwant(transaction_hash)

    def _ask_due(self, now_ns: int) -> Iterable[Effect]:
        """Hashes whose time has come are asked for, many in a request."""
        groups: dict[Peer, list[Hash32]] = {}
        room = {peer: ASKED_OF_PEER_MAX - talk.asked_count for peer, talk in self.talks.items()}
        while self._due and self._due[0][0] <= now_ns:
            _, _, transaction_hash = heapq.heappop(self._due)
            want = self.wants.get(transaction_hash)
            if want is None or want.is_asked:
                continue
            teller = next((peer for peer in want.tellers if room.get(peer, 0) > 0), None)
            if teller is None:
                if want.tellers:
                    self._ask_at(now_ns + FULL_NS, transaction_hash)
                else:
                    self._unwant(transaction_hash)
                continue
            want.tellers.remove(teller)
            want.is_asked = True
            room[teller] -= 1
            groups.setdefault(teller, []).append(transaction_hash)
        for peer, hashes in groups.items():
            for start in range(0, len(hashes), REQUEST_HASHES_MAX):
                yield self._request(peer, hashes[start : start + REQUEST_HASHES_MAX], now_ns)

    def _request(self, peer: Peer, hashes: list[Hash32], now_ns: int) -> Effect:
        self._requests += 1
        talk = self.talks[peer]
        talk.asked[self._requests] = frozenset(hashes)
        talk.asked_count += len(hashes)
        heapq.heappush(self._timeouts, (now_ns + REQUEST_NS_MAX, self._requests, peer))
        return _said(peer, GetTransactions(self._requests, tuple(hashes)))

    def _time_out(self, now_ns: int) -> Iterable[Effect]:
        while self._timeouts and self._timeouts[0][0] <= now_ns:
            _, request, peer = heapq.heappop(self._timeouts)
            talk = self.talks.get(peer)
            if talk is None or request not in talk.asked:
                continue
            self._release(talk, request, now_ns)
            talk.late[request] = None
            if len(talk.late) > LATE_REQUESTS_MAX:
                del talk.late[next(iter(talk.late))]
            yield Blame(peer, Offence.SLOW, "transactions")

    # ---- giving ----

    def _serve(self, peer: Peer, talk: Talk, message: GetTransactions, now_ns: int) -> Effects:
        """An answer always comes, however empty: the peer asks others for the rest at once."""
        allowed = talk.served.left(now_ns)
        found = self._find_transactions(message.hashes)
        given: list[bytes] = []
        told: list[Hash32] = []
        total = 0
        for transaction_hash, canonical in zip(message.hashes, found, strict=True):
            raw = self._sidecars.get(transaction_hash, canonical)
            if raw is None or len(given) >= TRANSACTIONS_MAX:
                continue
            if raw[0] == BLOB_TYPE and transaction_hash not in self._sidecars:
                continue
            total += len(raw)
            if total > allowed or (given and total > ANSWER_BYTES_MAX):
                total -= len(raw)
                break
            given.append(raw)
            told.append(transaction_hash)
        talk.served.take(total, now_ns)
        talk.known.add(told)
        return (_said(peer, Transactions(message.request, tuple(given))),)

    # ---- time ----

    def deadline_ns(self) -> int | None:
        deadlines = [one for one in (self._push_ns, self._announce_ns) if one is not None]
        deadlines.extend(heap[0][0] for heap in (self._due, self._timeouts) if heap)
        return min(deadlines, default=None)

    def on_tick(self, *, now_ns: int) -> Effects:
        """What was gathered is said, what is due asked for, what was not answered asked again."""
        effects: list[Effect] = []
        if self._push_ns is not None and now_ns >= self._push_ns:
            self._push_ns = None
            effects.extend(self._push())
        if self._announce_ns is not None and now_ns >= self._announce_ns:
            self._announce_ns = None
            effects.extend(self._announce())
        effects.extend(self._time_out(now_ns))
        effects.extend(self._ask_due(now_ns))
        return tuple(effects)


def pushes_of(count: int, *, is_relayed: bool) -> int:
    """How many of so many peers get a transaction as it is: the square root, rounded up, where it
    begins, and half of that where it was passed on, since others pass it on at the same time."""
    if not count:
        return 0
    root = isqrt(count - 1) + 1
    return (root + 1) // 2 if is_relayed else root


def framed(raws: Sequence[bytes], bytes_max: int) -> Iterable[list[bytes]]:
    """The raws cut into runs of at most so many bytes, or of one."""
    run: list[bytes] = []
    total = 0
    for raw in raws:
        if run and (total + len(raw) > bytes_max or len(run) >= TRANSACTIONS_MAX):
            yield run
            run, total = [], 0
        run.append(raw)
        total += len(raw)
    if run:
        yield run


def is_wrapped(raw: bytes) -> bool:
    """Whether it is a blob transaction with its sidecar."""
    return raw[0] == BLOB_TYPE and unwrap(raw).sidecar_length > 0


def transaction_hashes(raws: Sequence[bytes]) -> list[Hash32]:
    """The hash of each, which leaves a sidecar out. Raises: InvalidEncoding, InvalidTransaction for
    a blob transaction that cannot be one."""
    hashes = keccak256_batch(raws)
    for index, raw in enumerate(raws):
        if raw[0] == BLOB_TYPE:
            hashes[index] = keccak256(unwrap(raw).canonical)
    return hashes


def _said(peer: Peer, message: Message) -> Send:
    return Send(peer, channel_of(message), encode_message(message))
