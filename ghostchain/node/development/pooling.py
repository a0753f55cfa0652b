"""What waits in the pool, kept with a snapshot and put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ghostchain.chain.chain import Chain
from ghostchain.node.accounts import sender_states
from ghostchain.primitives.types import Address
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import PoolReason


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction that waits. sender: of one that nobody signed, else None."""

    raw: bytes
    sender: Address | None = None

    def as_json(self) -> dict[str, Any]:
        sender = None if self.sender is None else self.sender.hex()
        return {"raw": self.raw.hex(), "sender": sender}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Waiting:
        sender = members["sender"]
        return cls(
            bytes.fromhex(members["raw"]),
            None if sender is None else Address(bytes.fromhex(sender)),
        )


def empty(pool: PoolDriver) -> None:
    """Nothing waits."""
    with pool.lock:
        pool.drop(list(pool.pool.by_hash), PoolReason.DROPPED)


def refresh(chain: Chain, pool: PoolDriver) -> None:
    """The pool knows where the head's state has the senders, after that was moved by hand."""
    with pool.lock:
        senders = set(pool.pool.senders)
        if senders:
            pool.on_head((), sender_states(chain.state_at(chain.head.number), senders))
