"""How this node stands among others, for JSON-RPC: alone, or as whoever runs consensus tells it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ghostchain.rpc.backend import SyncProgress
from ghostchain.rpc.standing import ConsensusStanding, NodeStanding, PeerStanding


class Presence(Protocol):
    """The half of `ghostchain.rpc.backend.Backend` that is about others; documented there."""

    def standing(self) -> NodeStanding: ...

    def peers(self) -> Sequence[PeerStanding]: ...

    def consensus(self) -> ConsensusStanding | None: ...

    def voters(self, height: int | None) -> ConsensusStanding | None: ...

    def syncing(self) -> SyncProgress | None: ...

    def is_listening(self) -> bool: ...


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

    def consensus(self) -> ConsensusStanding | None:
        return None

    def voters(self, height: int | None) -> ConsensusStanding | None:
        return None

    def syncing(self) -> SyncProgress | None:
        return None

    def is_listening(self) -> bool:
        return False
