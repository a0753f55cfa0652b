"""The pool follows the chain: after each new head it knows what that block took in.

Whoever made the block, this node or a peer, and before anybody is told of it: a client that hears
of its transaction's inclusion finds it gone from the pool, so that the same bytes are refused for
their nonce, not as known already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set

from ghostchain.chain.chain import Chain
from ghostchain.crypto.keccak import keccak256_batch
from ghostchain.node.accounts import sender_states
from ghostchain.primitives.errors import StorageFailed
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.storage.files import storage_failure
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver


class PoolFollower:
    """Tells the pool of new heads, on the thread that writes the chain.

    To be made before whoever tells clients of new heads: listeners of the chain are called in the
    order in which they subscribed. on_failure: told, on that thread, when the pool's journal cannot
    be written.
    """

    def __init__(self, chain: Chain, on_failure: Callable[[StorageFailed], object]) -> None:
        self._chain = chain
        self._on_failure = on_failure
        self._pool: PoolDriver | None = None
        chain.subscribe(self._on_head, on_rewind=self._on_rewind, on_amend=self._on_amend)

    def attach(self, pool: PoolDriver) -> None:
        """The pool that follows from here on."""
        self._pool = pool

    def _on_head(self, header: Header) -> None:
        if self._pool is None:
            return
        try:
            follow(self._pool, self._chain, header.number)
        except OSError as error:
            self._on_failure(storage_failure(error, self._pool.path))

    def _on_rewind(self, header: Header) -> None:
        """Blocks were taken back: every sender stands where this head has it."""
        if self._pool is not None:
            self._refresh(self._pool, None)

    def _on_amend(self) -> None:
        """Accounts of the head were changed by hand: their transactions count and pay anew."""
        if self._pool is not None:
            self._refresh(self._pool, self._chain.pending_amendments.keys())

    def _refresh(self, pool: PoolDriver, senders: Set[Address] | None) -> None:
        """These senders, or all, stand where the head's state has them."""
        try:
            with pool.lock:
                waiting = set(pool.pool.senders)
                if senders is not None:
                    waiting &= senders
                view = self._chain.state_at(self._chain.head.number)
                pool.on_head((), sender_states(view, waiting))
        except OSError as error:
            self._on_failure(storage_failure(error, pool.path))


def follow(pool: PoolDriver, chain: Chain, number: int) -> None:
    """What the block took in no longer waits, and its senders stand where it left them.

    Only senders of whom something waits still are read: a block of others costs its hashes alone,
    and with an empty pool nothing. Cost: 0.2 microseconds a transaction, a few for each such
    sender. Raises: OSError when the journal cannot be shortened.
    """
    with pool.lock:
        included: Sequence[Hash32] = ()
        senders: list[Address] = []
        if len(pool.pool):
            included, senders = included_of(chain, number)
        left = still_waiting(pool.pool, included, senders)
        pool.on_head(included, sender_states(chain.state_at(number), left) if left else {})


def included_of(chain: Chain, number: int) -> tuple[Sequence[Hash32], list[Address]]:
    """The transactions of a block, by hash, and their senders."""
    fresh = chain.fresh(number)
    if fresh is not None:
        return fresh.names(), fresh.from_whom()
    record = chain.body(number)
    return ((), []) if record is None else (keccak256_batch(record.raws()), record.senders())


def still_waiting(
    pool: Pool, included: Sequence[Hash32], senders: Sequence[Address]
) -> set[Address]:
    """Those of the senders of whom something waits that is not included."""
    waiting = pool.senders.keys() & set(senders)
    gone = Counter(one.sender for name in included if (one := pool.by_hash.get(name)) is not None)
    return {one for one in waiting if len(pool.senders[one].by_nonce) > gone[one]}
