"""The node among its peers: the QUIC endpoint, the peers' driver, and what each channel carries.

    datagrams ── net.Endpoint ── frames ──▶ p2p.PeerDriver ── VOTES, PROPOSALS ──▶ consensus
                                                  │            SYNC ─────────────▶ sync
                                                  └─ transactions ─▶ PeerTransactions ─▶ pool

Everything here runs on the event loop; the pool's admission and the chain's writer have threads of
their own. What a peer says wrong costs it points (`p2p/scoring.py`), whoever found it out. An
exception of ours ends the node, not just a connection: whoever cannot write must not go on voting.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ghostchain.consensus.messages import (
    InvalidMessage,
    Message,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.encoding.attachments import Evidence, decode_evidence
from ghostchain.encoding.votes import VoteKind
from ghostchain.net.channels import LIMITS, ChannelLimits
from ghostchain.net.channels import Channel as Stream
from ghostchain.net.endpoint import Address, DialFailed, Endpoint, EndpointSettings, network_name
from ghostchain.net.identity import Identity as NodeIdentity
from ghostchain.net.limits import GateLimits
from ghostchain.net.link import Traffic
from ghostchain.node.clock import Alarm, SteadyClock
from ghostchain.node.configuration import P2pConfiguration
from ghostchain.node.logs import event
from ghostchain.node.metrics import Metrics, Sample
from ghostchain.p2p import messages as wire
from ghostchain.p2p.connections import PeerLimits
from ghostchain.p2p.core import Identity
from ghostchain.p2p.driver import Handler, PeerDriver, Ports, Submitter
from ghostchain.p2p.effects import (
    Banned,
    Effect,
    FindBlock,
    FindTransactions,
    FindWaiting,
    Heard,
    Matches,
    Offended,
    Peer,
    PeerDown,
    PeerInfo,
    PeerUp,
)
from ghostchain.p2p.messages import Channel
from ghostchain.p2p.scoring import Offence
from ghostchain.primitives.errors import InvalidEncoding

logger = logging.getLogger(__name__)

OUTBOUND_MAX = 10
WILDCARDS = ("0.0.0.0", "::", "")


@dataclass(frozen=True, slots=True)
class NodeDoors:
    """What the network uses of the node; see p2p/effects.py and p2p/driver.py for the first five.

    on_consensus: a message of consensus, its sender, and the body of a proposal. on_sync: a frame
    of its channel. on_peer: a peer is up; on_peer_gone: it is no longer; on_peer_head: it says that
    its chain is so high. on_drained: what waits for a peer on a channel has become less.
    on_evidence: evidence against a validator; whether it was news. on_failure: told, once, of an
    exception of ours.
    """

    find_transactions: FindTransactions
    find_waiting: FindWaiting
    find_block: FindBlock
    matches: Matches
    submit: Submitter
    on_consensus: Callable[[Message, Peer, bytes | None], None]
    on_sync: Handler
    on_peer: Callable[[Peer], None]
    on_peer_gone: Callable[[Peer], None]
    on_peer_head: Callable[[Peer, int], None]
    on_drained: Callable[[Peer, int], None]
    on_evidence: Callable[[Evidence], bool]
    on_failure: Callable[[BaseException], None]


class Networking:
    """The node's peers. Implements `p2p.driver.Transport` and `net.endpoint.Handler`."""

    def __init__(
        self,
        configuration: P2pConfiguration,
        node_identity: NodeIdentity,
        identity: Identity,
        clock: SteadyClock,
        doors: NodeDoors,
        metrics: Metrics,
        book_path: Path,
    ) -> None:
        """book_path: where the peer book is kept."""
        self.peers: PeerDriver | None = None
        self._configuration = configuration
        self._node_identity = node_identity
        self._identity = identity
        self._clock = clock
        self._doors = doors
        self._metrics = metrics
        self._book_path = book_path
        self._is_stopped = False
        self._endpoint: Endpoint | None = None
        self._dials: set[asyncio.Task[None]] = set()
        self._is_settle_due = False
        self._alarm = Alarm(clock, self._on_time)
        self._votes = {kind: metrics.votes.labels(kind.name.lower()) for kind in VoteKind}
        metrics.watch(self._samples)

    # ---- start and stop ----

    async def start(self) -> PeerDriver:
        """Listens, and dials. Raises: OSError when the port is taken."""
        configuration = self._configuration
        settings = EndpointSettings(
            identity=self._node_identity,
            alpn=network_name(self._identity.chain_id, self._identity.genesis),
            host=configuration.host,
            port=configuration.port,
            limits=stream_limits(),
            # More than the peers' driver wants, so that it can say why it refuses.
            gate=GateLimits(
                connections_max=max(128, 2 * configuration.max_peers),
                inbound_max=max(96, configuration.max_peers * 3 // 2),
            ),
        )
        # Nothing can arrive before this task gives the loop back: the driver is there in time.
        self._endpoint = await Endpoint.open(settings, self)
        outbound = min(OUTBOUND_MAX, max(configuration.max_peers // 2, 1))
        peers = self.peers = PeerDriver(
            self._identity,
            self._ports(),
            chance=random.SystemRandom(),
            host=None if configuration.host in WILDCARDS else configuration.host,
            port=self._endpoint.local_address[1],
            limits=PeerLimits(
                inbound_max=configuration.max_peers - outbound, outbound_target=outbound
            ),
        )
        self._load_book(peers)
        for node in configuration.bootnodes:
            if node.key != self._identity.key:
                peers.add_bootnode(node.key, node.host, node.port)
        self.settle()
        return peers

    def _ports(self) -> Ports:
        doors = self._doors
        return Ports(
            transport=self,
            now_ns=self._clock.now_ns,
            sign=self._node_identity.private_key.sign,
            find_transactions=doors.find_transactions,
            find_waiting=doors.find_waiting,
            find_block=doors.find_block,
            matches=doors.matches,
            submit=doors.submit,
            handlers={
                Channel.VOTES: lambda peer, frame: self._hear(peer, frame, None),
                Channel.PROPOSALS: self._on_proposal,
                Channel.EVIDENCE: self._on_evidence,
                Channel.SYNC: doors.on_sync,
            },
            listener=self._on_effect,
            keep_book=self._keep_book,
        )

    def stop(self) -> None:
        """Peers are told; nothing is sent or heard any more."""
        self._is_stopped = True
        self._alarm.stop()
        for task in self._dials:
            task.cancel()
        if self.peers is not None:
            self._keep_book(self.peers.book())
        if self._endpoint is not None:
            self._endpoint.shut()
            self._endpoint = None

    def _load_book(self, peers: PeerDriver) -> None:
        try:
            peers.load_book(self._book_path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as failure:
            event(logger, logging.WARNING, "peer book not readable", reason=str(failure))

    def _keep_book(self, data: bytes) -> None:
        """Peers that were known are worth keeping, and not worth stopping for."""
        partial = self._book_path.with_suffix(".partial")
        try:
            partial.write_bytes(data)
            partial.replace(self._book_path)
        except OSError as failure:
            event(logger, logging.WARNING, "peer book not written", reason=str(failure))

    @property
    def address(self) -> Address | None:
        """Where it listens, once it does."""
        return None if self._endpoint is None else self._endpoint.local_address

    @property
    def key(self) -> bytes:
        """Who this node is to its peers."""
        return self._identity.key

    def infos(self) -> tuple[PeerInfo, ...]:
        """Peers that are up."""
        return () if self.peers is None else self.peers.peers()

    def add_peer(self, key: bytes, host: str, port: int) -> bool:
        """Dials the peer until it answers. False: the network is not up."""
        if self.peers is None:
            return False
        self.peers.add_bootnode(key, host, port)
        self.settle()
        return True

    def remove_peer(self, key: bytes) -> bool:
        """Ends the connection, and dials no more because of `add_peer`. Whether there was one."""
        if self.peers is None:
            return False
        self.peers.forget_bootnode(key)
        if key not in {info.peer for info in self.infos()}:
            return False
        self.close(key, "the operator removed it")
        return True

    def traffic(self, peer: Peer) -> tuple[Traffic, ...]:
        """By channel, since the peer connected."""
        return () if self._endpoint is None else self._endpoint.traffic(peer)

    def settle(self) -> None:
        """The alarm is where the peers' driver wants it, before the loop waits again."""
        if not self._is_settle_due:
            self._is_settle_due = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._is_settle_due = False
        if self.peers is not None and not self._is_stopped:
            self._alarm.set(self.peers.deadline_ns())

    def _on_time(self) -> None:
        if self.peers is not None:
            self._guarded(self.peers.on_time)

    def _guarded(self, action: Callable[..., None], *arguments: Any) -> None:
        """The action; an exception of ours stops the node."""
        if self._is_stopped:
            return
        try:
            action(*arguments)
        except Exception as failure:
            self._is_stopped = True
            logger.exception("the network failed")
            self._doors.on_failure(failure)
            return
        self.settle()

    # ---- p2p.driver.Transport ----

    def dial(self, peer: Peer, host: str, port: int) -> None:
        task = asyncio.get_running_loop().create_task(self._dial(peer, host, port))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, peer: Peer, host: str, port: int) -> None:
        if self._endpoint is None:
            return
        try:
            await self._endpoint.dial(host, port, peer)
        except DialFailed as failure:
            reason = str(failure)
            where = f"{host}:{port}"
            event(logger, logging.DEBUG, "dial failed", peer=peer[:6], address=where, reason=reason)
            if self.peers is not None:
                self._guarded(self.peers.on_dial_failed, peer, reason)

    def send(self, peer: Peer, channel: int, payload: bytes) -> bool:
        return self._endpoint is not None and self._endpoint.send(peer, channel, payload)

    def close(self, peer: Peer, reason: str) -> None:
        if self._endpoint is not None:
            self._endpoint.close(peer, reason)

    # ---- net.endpoint.Handler ----

    def on_connected(self, peer: bytes, address: Address, inbound: bool) -> None:
        if self.peers is not None:
            self._guarded(self.peers.on_connected, peer, address[0], address[1], inbound)

    def on_message(self, peer: bytes, channel: int, payload: bytes) -> None:
        if self.peers is not None:
            self._guarded(self.peers.on_message, peer, channel, payload)

    def on_closed(self, peer: bytes, reason: str) -> None:
        if self.peers is not None:
            self._guarded(self.peers.on_closed, peer, reason)

    def on_drained(self, peer: bytes, channel: int) -> None:
        self._guarded(self._doors.on_drained, peer, channel)

    # ---- what arrives ----

    def _on_proposal(self, peer: Peer, frame: bytes) -> None:
        try:
            spoken, body = wire.decode_envelope(frame)
        except wire.InvalidMessage as refusal:
            self.punish(peer, str(refusal), Offence.MALFORMED)
            return
        self._hear(peer, spoken, body)

    def _on_evidence(self, peer: Peer, frame: bytes) -> None:
        """Whoever proposes next may not have seen both votes; what is news goes on to others."""
        try:
            evidence = decode_evidence(frame)
        except InvalidEncoding as refusal:
            self.punish(peer, str(refusal), Offence.MALFORMED)
            return
        if self._doors.on_evidence(evidence):
            self.broadcast(Channel.EVIDENCE, frame)

    def _hear(self, peer: Peer, spoken: bytes, body: bytes | None) -> None:
        try:
            message = decode_message(spoken)
        except InvalidMessage as refusal:
            self.punish(peer, str(refusal), Offence.MALFORMED)
            return
        if isinstance(message, Vote):
            self._votes[message.kind].inc()
        self._doors.on_consensus(message, peer, body)

    def _on_effect(self, effect: Effect) -> None:
        if isinstance(effect, PeerUp):
            info = effect.info
            event(
                logger,
                logging.INFO,
                "peer connected",
                peer=info.peer[:6],
                address=f"{info.host}:{info.port}",
                inbound=info.inbound,
                head=info.head,
                version=info.software,
            )
            self._doors.on_peer(info.peer)
            self._doors.on_peer_head(info.peer, info.head)
        elif isinstance(effect, PeerDown):
            event(logger, logging.INFO, "peer gone", peer=effect.peer[:6], reason=effect.reason)
            self._doors.on_peer_gone(effect.peer)
        elif isinstance(effect, Heard):
            self._doors.on_peer_head(effect.peer, effect.head)
        elif isinstance(effect, Offended):
            self._metrics.punished.labels(effect.offence.name.lower()).inc()
            event(
                logger,
                logging.INFO,
                "peer offended",
                peer=effect.peer[:6],
                offence=effect.offence.value,
                detail=effect.detail,
            )
        elif isinstance(effect, Banned):
            event(
                logger, logging.WARNING, "peer banned", peer=effect.peer[:6], reason=effect.reason
            )

    # ---- what is said ----

    def broadcast(self, channel: Channel, frame: bytes) -> None:
        """To every peer that is up."""
        if self.peers is not None:
            self.peers.broadcast(channel, frame)

    def send_frame(self, peer: Peer, channel: Channel, frame: bytes) -> bool:
        """To one peer. False: it is not up, or has too much waiting."""
        return self.peers is not None and self.peers.send(peer, channel, frame)

    def punish(self, peer: Peer, reason: str, offence: Offence = Offence.CONSENSUS) -> None:
        if self.peers is not None:
            self.peers.punish(peer, reason, offence)
            self.settle()

    # ---- metrics ----

    def _samples(self) -> Iterable[Sample]:
        connections = () if self.peers is None else self.peers.core.up.values()
        inbound = sum(connection.inbound for connection in connections)
        for direction, count in (("in", inbound), ("out", len(connections) - inbound)):
            yield Sample("ghost_peers", "Peers.", count, (("direction", direction),))
        if self._endpoint is None:
            return
        for channel, traffic in zip(Stream, self._endpoint.traffic(), strict=True):
            name = channel.name.lower()
            for direction, count in (("in", traffic.received_bytes), ("out", traffic.sent_bytes)):
                labels = (("channel", name), ("direction", direction))
                yield Sample(
                    "ghost_network_bytes", "Bytes of messages.", count, labels, counts=True
                )
            yield Sample(
                "ghost_network_refused_messages",
                "Messages for which a peer's queue had no room.",
                traffic.refused_messages,
                (("channel", name),),
                counts=True,
            )
        for what, count in sorted(self._endpoint.counts.items()):
            yield Sample(
                "ghost_endpoint_events", "What happened.", count, (("what", what),), counts=True
            )


def stream_limits() -> tuple[ChannelLimits, ...]:
    """The peers' limits of each channel, as the transport takes them: it slows down to them what
    comes faster."""
    return tuple(
        replace(
            LIMITS[channel],
            frame_bytes_max=limits.frame_bytes_max,
            queue_bytes_max=limits.queue_bytes_max,
            receive_bytes=limits.bytes_per_second,
            receive_messages=limits.messages_per_second,
        )
        for channel, limits in sorted(wire.CHANNEL_LIMITS.items())
    )


class ConsensusNetwork:
    """Implements `consensus.ports.Network` over the peers."""

    def __init__(self, network: Networking) -> None:
        self._network = network

    def broadcast(self, message: Message, body: bytes | None = None) -> None:
        self._network.broadcast(*frame_of(message, body))

    def send(self, peer: Peer, message: Message, body: bytes | None = None) -> None:
        self._network.send_frame(peer, *frame_of(message, body))

    def punish(self, peer: Peer, reason: str) -> None:
        self._network.punish(peer, reason)


def frame_of(message: Message, body: bytes | None) -> tuple[Channel, bytes]:
    """Proposals with a block travel as envelopes, apart from votes, which overtake them."""
    spoken = encode_message(message)
    if body is None:
        return Channel.VOTES, spoken
    return Channel.PROPOSALS, wire.encode_envelope(spoken, body)
