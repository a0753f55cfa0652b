"""One machine's transfers and blocks in parts: the real cores of `txpool` and `p2p`, over the same
wires and clock.

The pool keeps what waits and says of what to build; gossip tells others of it; blocks whose
proposals came as a header and hashes are completed out of the pool and by asking. Who is connected
is known at once: hellos, discovery and limits of rate have tests of their own. Points for offences
are the real ones, so that an honest machine which collects enough to be banned is a violation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ghostchain.p2p.compact import Blocks, compact_body, listing_of
from ghostchain.p2p.effects import (
    Blame,
    BlockFailed,
    BlockFailure,
    BlockReady,
    Send,
    Submit,
    Verdict,
    WholeBlock,
)
from ghostchain.p2p.effects import Effect as PeerEffect
from ghostchain.p2p.gossip import Gossip
from ghostchain.p2p.messages import (
    Channel,
    GetBlock,
    GetBlockTransactions,
    InvalidMessage,
    decode_message,
)
from ghostchain.p2p.scoring import Offence, Standings
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.core import Pool, PoolLimits, SenderState
from ghostchain.txpool.effects import Accepted, Evicted, PoolReason, Promoted, Refused
from tests.sim.checkers import POOLED, Violation
from tests.sim.ledger import BLOCK_TRANSFERS_MAX, NO_WITHDRAWALS, Block, decode_block
from tests.sim.transfers import Transfer, open_transfer

if TYPE_CHECKING:
    from tests.sim.node import Machine

LIMITS = PoolLimits(count_max=20, sender_count_max=6, nonce_gap_max=4, low_water_percent=80)
"""Small ones, so that they are met."""

Got = Callable[[WholeBlock | None, BlockFailure | None], None]


def whole_of(block: Block) -> WholeBlock:
    """A block as peers are given it."""
    hashes = tuple(_opened(raw).hash for raw in block.transfers)
    parts = block.header, block.transfers, NO_WITHDRAWALS, b""
    return WholeBlock(block.block_id, *parts, hashes, listing_of(hashes))


def _opened(raw: bytes) -> Transfer:
    transfer = open_transfer(raw)
    assert transfer is not None
    return transfer


class Traffic:
    """See the module. One for each life of a machine; its journal outlives it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._chain = machine.chain
        self.pool = Pool(LIMITS)
        self.gossip = Gossip(
            find_transactions=self._find_transactions,
            find_waiting=lambda count: [one.hash for one in self.pool.earliest(count)],
            chance=machine.random,
        )
        self.blocks = Blocks(
            find_transactions=self._find_transactions,
            find_block=self._find_block,
            matches=self._matches,
            peers=lambda: tuple(self.lives),
        )
        self._standings = Standings()
        self.lives: dict[bytes, int] = {}
        """Of each peer that is connected: which life of its machine."""
        self._waiters: dict[Hash32, list[Got]] = {}
        self._order = 0
        self._deadline_ns: int | None = None
        self._is_touched = True
        journal, machine.journal = machine.journal, {}
        self._admit(list(journal.values()))

    # ---- time ----

    def deadline_ns(self) -> int | None:
        if self._is_touched:
            self._is_touched = False
            deadlines = (self.gossip.deadline_ns(), self.blocks.deadline_ns())
            self._deadline_ns = min((one for one in deadlines if one is not None), default=None)
        return self._deadline_ns

    def on_time(self) -> None:
        now_ns = self._touch()
        self._act(self.gossip.on_tick(now_ns=now_ns))
        self._act(self.blocks.on_tick(now_ns=now_ns))

    def _touch(self) -> int:
        self._is_touched = True
        return self._machine.now_ns()

    # ---- peers ----

    def on_up(self, peer: bytes, life: int) -> None:
        """A connection is there, to that life of the peer's machine."""
        assert peer not in self.lives, "connections end before they begin anew"
        self.lives[peer] = life
        self.gossip.on_up(peer, now_ns=self._touch())

    def on_closed(self, peer: bytes) -> None:
        """Its connection has ended."""
        now_ns = self._touch()
        del self.lives[peer]
        self.gossip.on_closed(peer, now_ns=now_ns)
        self._act(self.blocks.on_closed(peer, now_ns=now_ns))

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """A peer that is up says something about transfers or blocks."""
        now_ns = self._touch()
        try:
            message = decode_message(channel, payload)
        except InvalidMessage as refusal:
            self._act((Blame(peer, Offence.MALFORMED, str(refusal)),))
            return
        if channel == Channel.TRANSACTIONS:
            self._act(self.gossip.on_message(peer, message, now_ns=now_ns))
            return
        sin = self._machine.sin
        is_request = isinstance(message, (GetBlock, GetBlockTransactions))
        if sin is None or sin.gives_bodies or not is_request:
            self._act(self.blocks.on_message(peer, message, now_ns=now_ns))

    # ---- blocks ----

    def fetch(self, block_id: Hash32, peer: bytes | None, body: bytes | None, got: Got) -> None:
        """got the block, now or later. peer: who told of it; body: what came with its proposal."""
        self._waiters.setdefault(block_id, []).append(got)
        self._act(self.blocks.fetch(block_id, peer, body, now_ns=self._touch()))

    def cancel(self, block_id: Hash32) -> None:
        self._touch()
        self._act(self.blocks.cancel(block_id))

    def keep(self, block: Block) -> bytes:
        """Others can have the block from here. Returns: what goes with its proposal."""
        whole = whole_of(block)
        self.blocks.keep(whole)
        return compact_body(whole)

    def _find_block(self, block_id: Hash32) -> WholeBlock | None:
        body = self._machine.application.body_of(block_id)
        block = None if body is None else decode_block(body)
        return None if block is None else whole_of(block)

    def _matches(self, whole: WholeBlock) -> bool:
        """Whether the header stands for all of it. Of a height that is over, as in the node: yes,
        so that nobody is blamed for being late."""
        block = self._machine.application.joined(whole)
        return block is not None and whole.attachment == b""

    # ---- transfers ----

    def submit(self, raws: Sequence[bytes]) -> list[Verdict]:
        """Somebody gives the machine transfers; what is accepted spreads."""
        now_ns = self._touch()
        verdicts = self._admit(raws)
        accepted = [
            raw for raw, verdict in zip(raws, verdicts, strict=True) if verdict is Verdict.ACCEPTED
        ]
        if accepted:
            self.gossip.on_accepted(accepted, now_ns=now_ns)
        return verdicts

    def _admit(self, raws: Sequence[bytes]) -> list[Verdict]:
        opened = [open_transfer(raw) for raw in raws]
        now_ns = self._machine.now_ns()
        waiting = []
        for transfer in opened:
            if transfer is not None:
                self._order += 1
                waiting.append(transfer.waiting(now_ns, self._order))
        accounts = {one.sender: self._chain.accounts[one.sender] for one in waiting}
        effects = self.pool.on_transactions(waiting, accounts)
        refused: set[Hash32] = set()
        is_ready = False
        for effect in effects:
            if isinstance(effect, Refused):
                refused.add(effect.hash)
            elif isinstance(effect, Evicted):
                self._machine.journal.pop(effect.transaction.hash, None)
                if effect.reason is PoolReason.POOL_FULL:
                    refused.add(effect.transaction.hash)
            elif isinstance(effect, Accepted):
                self._machine.journal[effect.transaction.hash] = effect.transaction.raw
                is_ready = is_ready or effect.pending
            else:
                is_ready = True
        if is_ready:
            self._machine.has_work()
        return [
            Verdict.INVALID
            if transfer is None
            else Verdict.REFUSED
            if transfer.hash in refused
            else Verdict.ACCEPTED
            for transfer in opened
        ]

    def best(self) -> list[bytes]:
        """What a block on top of the head is made of."""
        chosen: list[bytes] = []
        for transaction in self.pool.best(0):
            if len(chosen) == BLOCK_TRANSFERS_MAX:
                break
            chosen.append(transaction.raw)
        return chosen

    def has_pending(self) -> bool:
        return any(True for _ in self.pool.best(0))

    def on_head(self, block: Block) -> None:
        """The block is the head."""
        now_ns = self._touch()
        opened = [_opened(raw) for raw in block.transfers]
        hashes = [one.hash for one in opened]
        self.gossip.on_included(hashes)
        accounts = {
            address: self._chain.accounts[address]
            for one in opened
            for address in (one.sender, one.recipient)
        }
        for effect in self.pool.on_head(hashes, accounts, now_ns=now_ns):
            if isinstance(effect, Evicted):
                self._machine.journal.pop(effect.transaction.hash, None)
            assert not isinstance(effect, (Accepted, Refused))
            assert not isinstance(effect, Promoted) or effect.transaction.hash in self.pool.by_hash
        for one in hashes:
            self._machine.journal.pop(one, None)

    def _find_transactions(self, hashes: Sequence[Hash32]) -> list[bytes | None]:
        found = [self.pool.by_hash.get(one) for one in hashes]
        return [None if one is None else one.raw for one in found]

    # ---- acting ----

    def _act(self, effects: Iterable[PeerEffect]) -> None:
        machine = self._machine
        for effect in effects:
            if isinstance(effect, Send):
                self._send(effect)
            elif isinstance(effect, Submit):
                verdicts = self.submit(effect.raws)
                self._act(self.gossip.on_verdicts(effect, verdicts))
            elif isinstance(effect, BlockReady):
                for got in self._waiters.pop(effect.block.block_id, ()):
                    got(effect.block, None)
            elif isinstance(effect, BlockFailed):
                for got in self._waiters.pop(effect.block_id, ()):
                    got(None, effect.reason)
            else:
                assert isinstance(effect, Blame), effect
                now_ns = machine.now_ns()
                if self._standings.charge(effect.peer, effect.offence, now_ns=now_ns):
                    machine.punish(effect.peer, f"{effect.offence.value}: {effect.detail}")

    def _send(self, send: Send) -> None:
        machine = self._machine
        place = machine.world.place_of(send.peer)
        assert place is not None
        payload = send.payload
        if machine.sin is not None:
            payload = machine.sin.serves(payload)
        if payload:
            machine.stream(place, send.channel, payload)

    # ---- what must hold ----

    def check(self) -> None:
        """The pool stands on the head, and its sums and limits hold."""
        pool, accounts = self.pool, self._chain.accounts
        total = 0
        for address, queue in pool.senders.items():
            total += len(queue.by_nonce)
            refusal = _refusal(address, queue.state, accounts[address], sorted(queue.by_nonce))
            end = queue.state.nonce
            while end in queue.by_nonce:
                end += 1
            cost = sum(one.cost for one in queue.by_nonce.values())
            if not refusal and (end, cost) != (queue.pending_end, queue.cost_total):
                refusal = f"{(queue.pending_end, queue.cost_total)}, not {(end, cost)}"
            if refusal:
                raise Violation(POOLED, f"{self._machine.name}: {address.hex()} {refusal}")
        size = sum(len(one.raw) for one in pool.by_hash.values())
        if (total, size) != (len(pool), pool.bytes_total) or total > LIMITS.count_max:
            raise Violation(POOLED, f"{self._machine.name}: {total} of {len(pool)}, {size} bytes")


def _refusal(address: Address, state: SenderState, head: SenderState, nonces: list[int]) -> str:
    if state.nonce != head.nonce:
        return f"stands at nonce {state.nonce}, the head at {head.nonce}"
    if not nonces or nonces[0] < head.nonce:
        return f"waits with nonces {nonces} at {head.nonce}"
    return "" if len(nonces) <= LIMITS.sender_count_max else f"waits {len(nonces)} times"
