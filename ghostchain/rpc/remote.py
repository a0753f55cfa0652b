"""What JSON-RPC needs of the chain that this one was forked from; `routing.py` says when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Check = Callable[[Any], bool]


class RemoteChain(Protocol):
    """The chain that this one was forked from, up to the block of the fork."""

    @property
    def number(self) -> int:
        """The block of the fork."""

    @property
    def timeout_s(self) -> float:
        """How long one lookup may take."""

    def impatient(self) -> AbstractContextManager[None]:
        """Within, on this thread, RemoteNeeded is raised for what is not here, whoever asks."""

    def ask(self, method: str, params: Sequence[Any], holds: Check | None = None) -> Any:
        """The result, for the encoder of answers. It is kept, unless it is null: only what never
        changes is asked for. holds: whether a result is one of ours; else null.

        Raises: RemoteError, RemoteNeeded.
        """

    def number_of(self, block_hash: bytes) -> int | None:
        """The number of a block up to the fork's. Raises: RemoteError, RemoteNeeded."""

    def forwarded(self, method: str, params: Sequence[Any]) -> Any:
        """As ask, as JSON values."""
