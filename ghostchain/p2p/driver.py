"""The peers' door to the world: connections and frames in, frames and answers out.

Synchronous and without a loop of its own. Whoever has the sockets calls `on_connected`,
`on_message`, `on_closed`, `on_dial_failed`, and `on_time` when `deadline_ns` has come; everything
happens on that one thread, and returns at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ghostchain.p2p.connections import PeerLimits
from ghostchain.p2p.core import OWN_CHANNELS, Identity, PeerCore
from ghostchain.p2p.effects import (
    BlockFailed,
    BlockReady,
    BookChanged,
    Chance,
    Close,
    Deliver,
    Dial,
    Effect,
    Effects,
    FindBlock,
    FindTransactions,
    FindWaiting,
    Matches,
    Peer,
    PeerInfo,
    Send,
    Submit,
    Verdict,
    WholeBlock,
)
from ghostchain.p2p.messages import Channel
from ghostchain.p2p.records import Claim, Signer
from ghostchain.p2p.scoring import Offence
from ghostchain.primitives.types import Hash32

Handler = Callable[[Peer, bytes], None]
"""Takes the frames of one channel, from peers that are up."""

Done = Callable[[WholeBlock | None, str], None]
"""Called once: with the block, or with None and the reason."""


class Transport(Protocol):
    """Authenticated connections, one for each peer."""

    def dial(self, peer: Peer, host: str, port: int) -> None:
        """Answers with on_connected or on_dial_failed."""

    def send(self, peer: Peer, channel: int, payload: bytes) -> bool:
        """False: it did not fit into the peer's queue, or there is no such peer."""

    def close(self, peer: Peer, reason: str) -> None:
        """on_closed may follow or not."""


Submitter = Callable[[tuple[bytes, ...], Callable[[Sequence[Verdict]], None]], None]
"""Hands transactions to the pool, whose verdict on each, in their order, is the answer: once, now
or later, on the driver's thread."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the driver uses of the node.

    sign: with the node key. find_transactions, find_waiting, find_block, matches: see effects.py.
    submit: see Submitter. handlers: of the channels that are not ours (votes, proposals, evidence,
    sync). listener: is told of PeerUp, PeerDown, Heard, Offended, Banned, for status, metrics and
    logs, and to greet. keep_book: replaces what is kept on disk, atomically. now_ns: Unix time that
    only goes forward.
    """

    transport: Transport
    now_ns: Callable[[], int]
    sign: Signer
    find_transactions: FindTransactions
    find_waiting: FindWaiting
    find_block: FindBlock
    matches: Matches
    submit: Submitter
    handlers: Mapping[Channel, Handler]
    listener: Callable[[Effect], None] = lambda effect: None
    keep_book: Callable[[bytes], None] = lambda data: None


class PeerDriver:
    """Does what the core wants.

    host, port: where peers reach this node; host None: what they see it as; port None: nowhere.
    chance: `random.Random` of a seed that peers cannot know.
    """

    def __init__(
        self,
        identity: Identity,
        ports: Ports,
        *,
        chance: Chance,
        host: str | None = None,
        port: int | None = None,
        limits: PeerLimits | None = None,
    ) -> None:
        self.core = PeerCore(
            identity,
            sign=ports.sign,
            host=host,
            port=port,
            chance=chance,
            find_transactions=ports.find_transactions,
            find_waiting=ports.find_waiting,
            find_block=ports.find_block,
            matches=ports.matches,
            limits=limits,
        )
        assert not OWN_CHANNELS & ports.handlers.keys(), "a handler for a channel of ours"
        self._ports = ports
        self._transport = ports.transport
        self._now_ns = ports.now_ns
        self._handlers: dict[int, Handler] = dict(ports.handlers.items())
        self._waiters: dict[Hash32, list[Done]] = {}

    # ---- from the sockets ----

    def on_connected(self, peer: Peer, host: str, port: int, inbound: bool) -> None:
        """A peer is connected and authenticated."""
        now_ns = self._now_ns()
        self._act(self.core.on_connected(peer, host, port, inbound=inbound, now_ns=now_ns))

    def on_message(self, peer: Peer, channel: int, payload: bytes) -> None:
        """A frame came. Cost: two microseconds before the handler of a channel not ours."""
        handler = self._handlers.get(channel)
        now_ns = self._now_ns()
        if handler is not None:
            connection = self.core.up.get(peer)
            if connection is not None and connection.takes(channel, len(payload), now_ns):
                handler(peer, payload)
                return
        self._act(self.core.on_message(peer, channel, payload, now_ns=now_ns))

    def on_closed(self, peer: Peer, reason: str) -> None:
        """The connection has ended."""
        self._act(self.core.on_closed(peer, reason, now_ns=self._now_ns()))

    def on_dial_failed(self, peer: Peer, reason: str) -> None:
        """Transport.dial did not succeed."""
        self._act(self.core.on_dial_failed(peer, now_ns=self._now_ns()))

    def on_time(self) -> None:
        """`deadline_ns` has come; calling it at other times does no harm."""
        self._act(self.core.on_tick(now_ns=self._now_ns()))

    def deadline_ns(self) -> int:
        """When on_time is to be called; ask again after every call."""
        return self.core.deadline_ns()

    # ---- from the node ----

    def broadcast(self, channel: Channel, payload: bytes) -> int:
        """The frame goes to every peer that is up. Returns to how many it could be sent."""
        send = self._transport.send
        return sum([send(peer, channel, payload) for peer in self.core.up])

    def send(self, peer: Peer, channel: Channel, payload: bytes) -> bool:
        """The frame goes to a peer. False: it is not up, or has too much waiting."""
        return peer in self.core.up and self._transport.send(peer, channel, payload)

    def punish(self, peer: Peer, reason: str, offence: Offence = Offence.CONSENSUS) -> None:
        """Another package found the peer guilty."""
        if peer:
            self._act(self.core.charge(peer, offence, reason, now_ns=self._now_ns()))

    def set_head(self, height: int) -> None:
        """What this node says of its chain."""
        self.core.head = height

    def set_validators(self, keys: Iterable[bytes]) -> None:
        """The consensus keys whose votes count now."""
        self.core.discovery.set_validators(keys, now_ns=self._now_ns())

    def set_claim(self, key: bytes, time: int, signature: bytes) -> None:
        """This node speaks for a consensus key: the key's signature, made at that time (Unix
        milliseconds), of `encoding/votes.node_claim_bytes`."""
        claim = Claim(key, time, signature)
        self._act(self.core.discovery.set_claim(claim, now_ns=self._now_ns()))

    def add_bootnode(self, peer: Peer, host: str, port: int) -> None:
        """A node of the configuration, dialled until it answers."""
        self.core.discovery.book.add_boot(peer, host, port)

    def forget_bootnode(self, peer: Peer) -> None:
        """It is no longer dialled whatever happens."""
        self.core.discovery.book.forget_boot(peer)

    def load_book(self, data: bytes) -> None:
        """What keep_book kept is known again. Raises: ValueError when it is damaged; nothing is
        known then, and the node can go on without."""
        self.core.load_book(data, now_ns=self._now_ns())

    def book(self) -> bytes:
        """What is worth keeping at the end."""
        return self.core.book()

    def submit_transactions(self, raws: Sequence[bytes]) -> None:
        """These wait in the pool now, whoever brought them: they spread. A blob transaction that
        did not come from a peer needs its sidecar here."""
        self.core.gossip.on_accepted(raws, now_ns=self._now_ns())

    def on_included(self, hashes: Iterable[Hash32]) -> None:
        """These are in a block: nobody is asked for them any more."""
        self.core.gossip.on_included(hashes)

    def fetch_block(
        self, block_id: Hash32, peer: Peer | None, done: Done, body: bytes | None = None
    ) -> None:
        """done gets the block, whole and as its header commits to it, now or later.

        peer: who told of it, asked first. body: what came with its proposal, from that peer.
        """
        self._waiters.setdefault(block_id, []).append(done)
        now_ns = self._now_ns()
        fetched = self.core.blocks.fetch(block_id, peer, body, now_ns=now_ns)
        self._act(self.core.settle(fetched, now_ns))

    def cancel_fetch(self, block_id: Hash32) -> None:
        """Whoever waits for the block is told that it does not come."""
        self._act(self.core.blocks.cancel(block_id))

    def keep_block(self, block: WholeBlock) -> None:
        """Others can have the block from here, while it is being decided."""
        self.core.blocks.keep(block)

    def peers(self) -> tuple[PeerInfo, ...]:
        """Those that are up."""
        return self.core.infos(now_ns=self._now_ns())

    # ---- acting ----

    def _act(self, effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._transport.send(effect.peer, effect.channel, effect.payload)
            elif isinstance(effect, Deliver):
                handler = self._handlers.get(effect.channel)
                if handler is not None:
                    handler(effect.peer, effect.payload)
            elif isinstance(effect, Close):
                self._transport.close(effect.peer, effect.reason)
            elif isinstance(effect, BlockReady):
                for done in self._waiters.pop(effect.block.block_id, ()):
                    done(effect.block, "")
            elif isinstance(effect, BlockFailed):
                for done in self._waiters.pop(effect.block_id, ()):
                    done(None, effect.reason.value)
            elif isinstance(effect, Submit):
                self._submit(effect)
            elif isinstance(effect, Dial):
                self._transport.dial(effect.peer, effect.host, effect.port)
            elif isinstance(effect, BookChanged):
                self._ports.keep_book(self.core.book())
            else:
                self._ports.listener(effect)

    def _submit(self, submit: Submit) -> None:
        def done(verdicts: Sequence[Verdict]) -> None:
            assert len(verdicts) == len(submit.raws), "a verdict on each"
            judged = self.core.gossip.on_verdicts(submit, verdicts)
            self._act(self.core.settle(judged, self._now_ns()))

        self._ports.submit(submit.raws, done)
