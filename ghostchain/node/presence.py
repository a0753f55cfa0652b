"""How this node stands among others, for JSON-RPC: alone, or as consensus and peers tell it.

Reads what the event loop owns. Methods that JSON-RPC calls from worker threads take one reference
each and only read what is replaced, never changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ghostchain.consensus.driver import Driver
from ghostchain.consensus.guard import GuardState
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.encoding.votes import VoteKind
from ghostchain.node.clock import SteadyClock
from ghostchain.node.networking import Networking
from ghostchain.node.watching import ConsensusWatcher
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import SyncProgress
from ghostchain.rpc.standing import (
    ConsensusStanding,
    NodeStanding,
    PeerStanding,
    ValidatorStanding,
    Voter,
)


class Presence(Protocol):
    """The half of `ghostchain.rpc.backend.Backend` that is about others; documented there."""

    def standing(self) -> NodeStanding: ...

    def peers(self) -> Sequence[PeerStanding]: ...

    def add_peer(self, key: bytes, host: str, port: int) -> bool: ...

    def remove_peer(self, key: bytes) -> bool: ...

    def consensus(self) -> ConsensusStanding | None: ...

    def voters(self, height: int | None) -> ConsensusStanding | None: ...

    def syncing(self) -> SyncProgress | None: ...


class Alone:
    """A chain that one node seals knows no others."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        """waiting: how many transactions wait."""
        self._waiting = waiting
        self._started = int(time.time())

    def standing(self) -> NodeStanding:
        return NodeStanding(b"", "", 0, 0, "solo", self._started, None, self._waiting())

    def peers(self) -> Sequence[PeerStanding]:
        return ()

    def add_peer(self, key: bytes, host: str, port: int) -> bool:
        return False

    def remove_peer(self, key: bytes) -> bool:
        return False

    def consensus(self) -> ConsensusStanding | None:
        return None

    def voters(self, height: int | None) -> ConsensusStanding | None:
        return None

    def syncing(self) -> SyncProgress | None:
        return None


class Among:
    """A node of a network. driver: of consensus. network None: it speaks to nobody."""

    def __init__(
        self,
        driver: Driver,
        watcher: ConsensusWatcher,
        network: Networking | None,
        clock: SteadyClock,
        *,
        key: bytes | None,
        waiting: Callable[[], int],
        validators: Callable[[int], ValidatorSet | None],
        syncing: Callable[[], SyncProgress | None],
    ) -> None:
        """key: the consensus key, None without one. validators: of a height, None when they are
        not known; worker threads ask."""
        self._driver = driver
        self._watcher = watcher
        self._network = network
        self._clock = clock
        self._key = key
        self._waiting = waiting
        self._validators = validators
        self._syncing = syncing
        self._started = int(time.time())

    def standing(self) -> NodeStanding:
        peers = self.peers()
        inbound = sum(peer.is_inbound for peer in peers)
        address = None if self._network is None else self._network.address
        return NodeStanding(
            node_key=b"" if self._network is None else self._network.key,
            p2p="" if address is None else f"{address[0]}:{address[1]}",
            peers_in=inbound,
            peers_out=len(peers) - inbound,
            seals="consensus",
            started=self._started,
            validator=self._validator(),
            waits=self._waiting(),
        )

    def _validator(self) -> ValidatorStanding | None:
        if self._key is None:
            return None
        core = self._driver.core
        operator = None
        if core.index is not None and core.validators is not None:
            operator = core.validators[core.index].operator
        return ValidatorStanding(self._key, operator, core.index, self.silent())

    def silent(self) -> str:
        """Why this node does not sign; empty when it does."""
        if self._key is None:
            return "it has no consensus key"
        guard = self._driver.guard
        if guard is not None and guard.state == GuardState.SHUT:
            return self._watcher.doppelganger_seen or str(guard.state.value)
        if self._driver.core.index is None:
            return "its key is not in the set of validators"
        if guard is not None and guard.state == GuardState.WATCHING:
            return str(guard.state.value)
        return ""

    def peers(self) -> Sequence[PeerStanding]:
        network = self._network
        if network is None:
            return ()
        now_ns = self._clock.now_ns()
        voters = self._driver.core.validators
        found = []
        for info in network.infos():
            index = None
            if info.validator is not None and voters is not None:
                index = voters.index_of(info.validator)
            traffic = network.traffic(info.peer)
            found.append(
                PeerStanding(
                    key=info.peer,
                    address=f"{info.host}:{info.port}",
                    is_inbound=info.inbound,
                    version=info.software,
                    head=info.head,
                    score=-round(info.points),
                    validator=None if index is None or voters is None else voters[index].operator,
                    connected_s=max(now_ns - info.connected_ns, 0) / 1e9,
                    bytes_in=sum(one.received_bytes for one in traffic),
                    bytes_out=sum(one.sent_bytes for one in traffic),
                )
            )
        return found

    def add_peer(self, key: bytes, host: str, port: int) -> bool:
        return self._network is not None and self._network.add_peer(key, host, port)

    def remove_peer(self, key: bytes) -> bool:
        return self._network is not None and self._network.remove_peer(key)

    def consensus(self) -> ConsensusStanding | None:
        core = self._driver.core
        validators = core.validators
        if validators is None:
            return None
        proposals, prevotes, precommits = (core.said(kind) for kind in VoteKind)
        proposer = validators.proposer(core.height, core.round)
        voters = tuple(
            Voter(
                index,
                validator.operator,
                validator.key,
                validator.power,
                prevotes.get(index),
                precommits.get(index),
            )
            for index, validator in enumerate(validators.validators)
        )
        return ConsensusStanding(
            height=core.height,
            round=core.round,
            step=core.step.name.lower(),
            since_s=max(self._clock.now_ns() - self._watcher.entered_ns, 0) / 1e9,
            proposer=proposer,
            proposal=proposals.get(proposer),
            total=validators.total,
            quorum=validators.quorum,
            voters=voters,
            failed=tuple(self._watcher.failed),
        )

    def voters(self, height: int | None) -> ConsensusStanding | None:
        core = self._driver.core
        if height is None or height == core.height:
            height, validators = core.height, core.validators
        else:
            validators = self._validators(height)
        if validators is None:
            return None
        return voters_of(height, validators)

    def syncing(self) -> SyncProgress | None:
        return self._syncing()


def voters_of(height: int, validators: ValidatorSet) -> ConsensusStanding:
    """Who votes at a height, nothing said of their votes."""
    voters: tuple[Voter, ...] = tuple(
        Voter(index, validator.operator, validator.key, validator.power)
        for index, validator in enumerate(validators.validators)
    )
    proposal: Hash32 | None = None
    return ConsensusStanding(
        height=height,
        round=0,
        step="",
        since_s=0.0,
        proposer=validators.proposer(height, 0),
        proposal=proposal,
        total=validators.total,
        quorum=validators.quorum,
        voters=voters,
    )
