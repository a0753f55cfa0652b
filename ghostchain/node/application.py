"""What consensus decides about: blocks of the chain. Implements `consensus.ports.Application`.

    build     the best of the pool, run on the head, not committed        writer's thread
    validate  completed through peers, held to the rules, run             loop, writer's thread
    commit    the decided block is the head, its certificate beside it    writer's thread

All that touches the executor happens on the one thread that writes the chain, in the order in which
it was asked for; answers come back through `deliver`. A block that was run is kept as a draft until
its height is decided: committing the last one that was run costs no second run.

What a block brings along (`encoding/attachments.py`) is made here when building and looked into
when validating: the certificate of the parent, evidence, the proposer's randomness. Evidence waits
in `evidence.py` until a block carries it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ghostchain.chain import seals
from ghostchain.chain.chain import Chain, Draft
from ghostchain.chain.columns import CandidateOutcomes
from ghostchain.consensus.certificates import Verify
from ghostchain.consensus.effects import Peer, StartHeight
from ghostchain.consensus.messages import (
    Certificate,
    InvalidMessage,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.consensus.ports import Offer
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.crypto import vrf
from ghostchain.encoding.attachments import Attachment, Evidence, encode_attachment
from ghostchain.encoding.blocks import decode_block, join_block
from ghostchain.node.candidates import (
    Candidates,
    best_candidates,
    drop_refused,
    has_candidates,
)
from ghostchain.node.evidence import EvidencePool, evidence_of
from ghostchain.node.judging import BlockRules, open_block, whole_of
from ghostchain.p2p.compact import compact_body
from ghostchain.p2p.effects import BlockFailure, WholeBlock
from ghostchain.primitives.errors import (
    BlockReason,
    GhostError,
    InvalidBlock,
    InvalidEncoding,
)
from ghostchain.primitives.types import Address, Hash32
from ghostchain.storage.wal import WriteAheadLog
from ghostchain.txpool.driver import PoolDriver

BLOCKS_BYTES_MAX = 64 << 20
"""Of the blocks of one height that are kept; the oldest go first, and are fetched again if it is
one of them that is decided."""

DRAFTS_MAX = 4
RECORD_HEAD = struct.Struct(">I")

Value = TypeVar("Value")
Built = Callable[[Offer | None, str], None]
Judged = Callable[[bytes | None, str], None]


class BlockSource(Protocol):
    """Peers that have blocks, and are given them: `p2p.driver.PeerDriver`."""

    def fetch_block(
        self,
        block_id: Hash32,
        peer: Peer | None,
        done: Callable[[WholeBlock | None, str], None],
        body: bytes | None = None,
    ) -> None: ...

    def cancel_fetch(self, block_id: Hash32) -> None: ...

    def keep_block(self, block: WholeBlock) -> None: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """What the application reaches the world through.

    writer: the one thread that writes the chain. deliver: runs a call on the thread of consensus,
    soon; any thread. on_failure: told there of what the node cannot go on after. prove: the VRF
    proof for an input by this node's key, from any thread; None for a node that never proposes.
    verify: signatures. now_s: Unix time.
    """

    writer: Executor
    deliver: Callable[[Callable[[], None]], object]
    on_failure: Callable[[BaseException], object]
    prove: Callable[[bytes], bytes] | None
    verify: Verify
    now_s: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Tried:
    """Out of what an own block was made, and what became of each."""

    candidates: Candidates
    outcomes: CandidateOutcomes


def encode_record(whole: WholeBlock) -> bytes:
    """What the log of consensus keeps of a block: length of the attachment 4 | attachment | RLP."""
    block = join_block(whole.header, whole.transactions, whole.withdrawals)
    return RECORD_HEAD.pack(len(whole.attachment)) + whole.attachment + block


def decode_record(record: bytes) -> WholeBlock:
    """Raises: InvalidBlock, struct.error for what is no record."""
    (length,) = RECORD_HEAD.unpack_from(record)
    end = RECORD_HEAD.size + length
    return whole_of(decode_block(record[end:]), record[RECORD_HEAD.size : end])


class BlockApplication:
    """See the module. Its methods are for the thread of consensus; `find_block`, `validators` and
    `has_work` for any."""

    def __init__(
        self,
        chain: Chain,
        pool: PoolDriver,
        evidence: WriteAheadLog,
        doors: Doors,
        *,
        gas_limit: int | None = None,
    ) -> None:
        """evidence: the log in which it waits. gas_limit: where own blocks move the limit to."""
        self.rules = BlockRules(chain, doors.verify)
        self.evidence = EvidencePool(
            evidence, chain.config.chain_id, self.rules.reader, doors.verify
        )
        self._chain = chain
        self._pool = pool
        self._doors = doors
        self._gas_limit = gas_limit
        self._source: BlockSource | None = None
        self._is_fruitless = False
        # Of the height after the head. Thread of consensus.
        self._blocks: dict[Hash32, WholeBlock] = {}
        self._fetching: set[Hash32] = set()
        self._extended: Certificate | None = None
        # The same, of the writer's thread.
        self._drafts: dict[Hash32, Draft] = {}
        self._tried: dict[Hash32, Tried] = {}
        self._proof: tuple[bytes, bytes] = b"", b""

    def attach(self, source: BlockSource) -> None:
        """From whom blocks are had that are not here."""
        self._source = source

    # ---- questions ----

    def start(self) -> StartHeight:
        """What comes after the head. Raises: GhostError when nobody may decide it."""
        height = self._chain.head.number + 1
        validators = self.validators(height)
        if validators is None:
            raise GhostError(
                f"the staking contract names no validators for block {height}: name some in the "
                "genesis (ghost.validators)"
            )
        return StartHeight(height, validators, self.has_work())

    def synced(self) -> StartHeight:
        """The chain got on by other means: what comes next. What was kept of the height is gone."""
        self._forget()
        return self.start()

    def validators(self, height: int) -> ValidatorSet | None:
        """Who votes at that height; None when it is not known yet, or not any more."""
        return self.rules.validators(height)

    def has_work(self) -> bool:
        """Whether anything waits that pays and could go into the next block."""
        return not self._is_fruitless and has_candidates(self._chain, self._pool)

    def on_pending(self) -> None:
        """Something new waits."""
        self._is_fruitless = False

    def find_block(self, block_id: Hash32) -> WholeBlock | None:
        """A block that is being decided, or is of the chain with what came beside it."""
        found = self._blocks.get(block_id)
        if found is not None:
            return found
        number = self._chain.number_of(block_id)
        if not number:
            return None
        block, attachment = self._chain.block(number), self._chain.attachment(number)
        return None if block is None or attachment is None else whole_of(block, attachment)

    def certificate(self, height: int) -> Certificate | None:
        data = self._chain.certificate(height)
        if not data:
            return None
        try:
            found = decode_message(data)
        except InvalidMessage:
            return None
        return found if isinstance(found, Certificate) else None

    # ---- building ----

    def build(self, height: int, round: int, done: Built) -> None:
        """Cost: one run of the block, a VRF proof, and a verified certificate."""
        extended = self._extended
        self._write(lambda: self._built(height, round, extended, done))

    def _built(self, height: int, round: int, extended: Certificate | None, done: Built) -> None:
        """On the writer's thread."""
        try:
            whole, draft, tried = self._draft(height, round, extended)
            offer = Offer(whole.block_id, compact_body(whole), encode_record(whole))
        except GhostError as failure:
            reason = str(failure)
            self._doors.deliver(lambda: done(None, reason))
            return
        self._keep_draft(draft)
        _put(self._tried, draft.hash, Tried(tried, draft.sealed.outcomes))
        if tried.transactions and not whole.transactions:
            self._is_fruitless = True

        def answer() -> None:
            self._keep(whole)
            done(offer, "")

        self._doors.deliver(answer)

    def _draft(
        self, height: int, round: int, extended: Certificate | None
    ) -> tuple[WholeBlock, Draft, Candidates]:
        """Raises: GhostError, with why no block can be made."""
        chain, rules = self._chain, self.rules
        head = chain.head
        if head.number + 1 != height:
            raise InvalidBlock(BlockReason.NOT_THE_NEXT_HEIGHT, f"the head is {head.number}")
        parent_certificate = self._parent_certificate(extended)
        certificate = rules.certificate(parent_certificate)
        proposer = rules.proposer(height, round)
        output, proof = self._randomness(proposer.key)
        timestamp = max(int(self._doors.now_s()), head.timestamp)
        chosen = self.evidence.choose()
        guilty = [guilt for _, guilt in chosen]
        tried = best_candidates(chain, self._pool)
        draft = chain.draft(
            tried.batch(),
            timestamp=timestamp,
            coinbase=rules.reader.coinbase(proposer.operator),
            prev_randao=seals.mixed(head.prev_randao, output),
            extra_data=seals.extra_data_of(round),
            withdrawals=rules.orders(timestamp, certificate, guilty),
            parent_beacon_block_root=rules.seal_root(parent_certificate),
            gas_limit=self._gas_limit,
        )
        pieces = tuple(evidence for evidence, _ in chosen)
        attachment = encode_attachment(Attachment(parent_certificate, pieces, proof))
        return whole_of(draft.block, attachment), draft, tried

    def _parent_certificate(self, extended: Certificate | None) -> bytes:
        """The bytes of the head's certificate, with all the signatures that are known."""
        head = self._chain.head
        if extended is not None and extended.block_id == self._chain.head_hash:
            return encode_message(extended)
        return self._chain.certificate(head.number) or b""

    def _randomness(self, key: bytes) -> tuple[bytes, bytes]:
        """The VRF output and its proof, for the block after the head. Raises: GhostError."""
        if self._doors.prove is None:
            raise InvalidBlock(BlockReason.INVALID_RANDOMNESS, "this node has no key")
        wanted = self.rules.random_input()
        if self._proof[0] != wanted:
            self._proof = wanted, self._doors.prove(wanted)
        proof = self._proof[1]
        output = vrf.verify(key, wanted, proof)
        if output is None:
            raise InvalidBlock(BlockReason.INVALID_RANDOMNESS, "the signer's key is another")
        return output, proof

    # ---- validating ----

    def validate(
        self,
        height: int,
        round: int | None,
        block_id: Hash32,
        body: bytes | None,
        peer: Peer,
        done: Judged,
    ) -> None:
        """Cost: one run of the block, unless it was run before."""

        def judge(whole: WholeBlock) -> None:
            self._write(lambda: self._judge(whole, round, done))

        self._have(height, block_id, body, peer, judge)

    def _have(
        self,
        height: int,
        block_id: Hash32,
        body: bytes | None,
        peer: Peer,
        then: Callable[[WholeBlock], None],
    ) -> None:
        """then(the whole block), as long as its height is the next."""
        found = self._blocks.get(block_id)
        if found is not None:
            then(found)
            return
        if self._source is None:
            return

        def got(whole: WholeBlock | None, reason: str) -> None:
            self._fetching.discard(block_id)
            if height != self._chain.head.number + 1:
                return
            if whole is not None:
                self._keep(whole)
                then(whole)
            elif reason == BlockFailure.NOT_FOUND.value:
                self._have(height, block_id, None, b"", then)

        self._fetching.add(block_id)
        self._source.fetch_block(block_id, peer or None, got, body)

    def _judge(self, whole: WholeBlock, round: int | None, done: Judged) -> None:
        """On the writer's thread."""
        try:
            opened = open_block(whole)
            self.rules.check(opened, round=round, now_s=self._doors.now_s())
            if whole.block_id not in self._drafts:
                self._keep_draft(self._chain.check(opened.block, senders=self._senders))
            record = encode_record(whole)
        except (InvalidBlock, InvalidEncoding) as refusal:
            reason = f"{refusal.reason.value} ({refusal})"
            # A height that was decided meanwhile has nobody waiting for an answer.
            if refusal.reason is not BlockReason.NOT_THE_NEXT_HEIGHT:
                self._doors.deliver(lambda: done(None, reason))
            return
        self._doors.deliver(lambda: done(record, ""))

    def _senders(self, hashes: Sequence[Hash32]) -> list[Address | None]:
        """Whom the pool knows as senders: it has verified their signatures."""
        known = self._pool.pool.by_hash
        found = [known.get(transaction_hash) for transaction_hash in hashes]
        return [None if one is None else one.sender for one in found]

    def restore(self, height: int, block_id: Hash32, record: bytes) -> None:
        if height == self._chain.head.number + 1:
            self._keep(decode_record(record))

    # ---- committing ----

    def commit(
        self,
        height: int,
        block_id: Hash32,
        certificate: Certificate,
        done: Callable[[StartHeight], None],
    ) -> None:
        """Cost: one synchronous batch; a run of the block unless it was the last that was run."""

        def write(whole: WholeBlock | None) -> None:
            self._write(lambda: self._commit(height, whole, certificate, done))

        if self._chain.head.number >= height:
            write(None)
        else:
            self._have(height, block_id, None, b"", write)

    def _commit(
        self,
        height: int,
        whole: WholeBlock | None,
        certificate: Certificate,
        done: Callable[[StartHeight], None],
    ) -> None:
        """On the writer's thread. whole None: the block is committed already."""
        if whole is not None and self._chain.head.number < height:
            try:
                self._make_final(whole, certificate)
            except InvalidBlock:
                # Sync may have brought the chain there while this waited for the chain.
                if self._chain.head.number < height:
                    raise
        self._drafts.clear()
        self._tried.clear()
        start = self.start()

        def answer() -> None:
            self._forget()
            done(start)

        self._doors.deliver(answer)

    def _make_final(self, whole: WholeBlock, certificate: Certificate) -> None:
        """Raises: InvalidBlock when it is not the next block."""
        draft = self._drafts.get(whole.block_id)
        if draft is None:
            draft = self._chain.check(open_block(whole).block)
        sealed = self._chain.commit(
            draft, certificate=encode_message(certificate), attachment=whole.attachment
        )
        tried = self._tried.get(whole.block_id)
        if tried is not None:
            candidates = tried.candidates.transactions
            drop_refused(self._chain, self._pool, candidates, tried.outcomes)
        if sealed.block.transactions:
            self._is_fruitless = False

    def _forget(self) -> None:
        """The height is decided."""
        self._extended = None
        self._blocks.clear()
        if self._source is not None:
            for block_id in list(self._fetching):
                self._source.cancel_fetch(block_id)
        if len(self.evidence):
            self.evidence.prune()

    def extend(self, certificate: Certificate) -> None:
        self._extended = certificate

    # ---- evidence ----

    def report(self, key: bytes, first: Vote, second: Vote) -> None:
        self.evidence.add(evidence_of(key, first, second))

    def on_evidence(self, evidence: Evidence) -> bool:
        """Somebody else's evidence waits here too; False when it is no news, or convicts nobody."""
        return self.evidence.add(evidence)

    # ---- the writer's thread, and what is kept ----

    def _write(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as failure:
                failed = failure
                self._doors.deliver(lambda: self._fail(failed))

        self._doors.writer.submit(run)

    def _fail(self, failure: BaseException) -> None:
        self._doors.on_failure(failure)

    def _keep_draft(self, draft: Draft) -> None:
        _put(self._drafts, draft.hash, draft)

    def _keep(self, whole: WholeBlock) -> None:
        self._blocks[whole.block_id] = whole
        while sum(map(_size, self._blocks.values())) > BLOCKS_BYTES_MAX and len(self._blocks) > 1:
            del self._blocks[next(iter(self._blocks))]
        if self._source is not None:
            self._source.keep_block(whole)


def _put(kept: dict[Hash32, Value], block_id: Hash32, value: Value) -> None:
    """The latest DRAFTS_MAX are kept."""
    kept.pop(block_id, None)
    while len(kept) >= DRAFTS_MAX:
        del kept[next(iter(kept))]
    kept[block_id] = value


def _size(whole: WholeBlock) -> int:
    return len(whole.header) + len(whole.attachment) + sum(map(len, whole.transactions))
