"""What waits in the pool, kept with a snapshot and put back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.types import Address
from ghostchain.txpool.blobs import SIDECAR_BYTES_MAX
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


def waiting_in(pool: PoolDriver) -> tuple[Waiting, ...]:
    """All that waits, in the order in which it came. Cost: its bytes are decoded."""
    with pool.lock:
        found = sorted(pool.pool.by_hash.values(), key=lambda one: one.order)
    if not found:
        return ()
    raws = [one.raw for one in found]
    batch = TransactionBatch.decode(raws, size_max=SIDECAR_BYTES_MAX, allows_unsigned=True)
    return tuple(
        Waiting(one.raw, one.sender if batch.is_unsigned(index) else None)
        for index, one in enumerate(found)
    )


def empty(pool: PoolDriver) -> None:
    """Nothing waits, after a restart neither."""
    with pool.lock:
        pool.drop(list(pool.pool.by_hash), PoolReason.DROPPED, durably=True)


def put_back(pool: PoolDriver, waiting: Sequence[Waiting]) -> None:
    """These wait again, each in its place; what the head's state does not allow is left out."""
    for is_signed, run in itertools.groupby(waiting, key=lambda one: one.sender is None):
        if is_signed:
            pool.submit([one.raw for one in run])
            continue
        for one in run:
            assert one.sender is not None
            pool.submit_unsigned(one.sender, one.raw)
