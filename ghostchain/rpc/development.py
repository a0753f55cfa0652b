"""What the methods of a development chain ask of the node: its blocks, its clock, its state and its
past, moved by hand.

The node's side is `ghostchain/node/development/`. Everything that changes the chain happens on the
thread that writes it, one after another with sealing, and is durable before it is answered where
the data directory is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.errors import RemoteError
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.errors import Refusal


class Impossible(Exception):
    """What was asked for cannot be, and why: a time before the last block's, a height that there
    never was. The caller's fault."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A chain elsewhere to begin from. block None: its latest."""

    url: str | None
    block: int | None


@dataclass(frozen=True, slots=True)
class ForkStanding:
    """Where this chain forked off. url: host and port alone, for the rest may be secret."""

    url: str
    chain_id: int
    block: int
    block_hash: Hash32


@dataclass(frozen=True, slots=True)
class Replayed:
    """A transaction for a block of a reorganisation: signed, or of an impersonated sender.

    place: blocks after the common ancestor, from 0.
    """

    raw: bytes
    sender: Address | None
    place: int


class Development(Protocol):
    """The hand on a development chain. Reads answer from memory, on any thread; coroutines are for
    the event loop. Raises Impossible where a docstring says so."""

    # sealing

    @property
    def is_automining(self) -> bool:
        """Whether a waiting transaction is reason enough for a block."""

    @property
    def interval_ms(self) -> tuple[int, int] | None:
        """A block is due after this long, whatever waits: at least and at most; None: never."""

    @property
    def order(self) -> str:
        """How what waits is ordered in a block: `fees` or `fifo`."""

    async def set_automine(self, on: bool) -> None:
        """With automine every acknowledged transaction that pays is in a block when it is
        answered. What waits already goes in now."""

    async def set_interval(
        self, interval_ms: tuple[int, int] | None, *, automine: bool | None = None
    ) -> None:
        """automine: switched at the same time; None leaves it."""

    async def mine(
        self, count: int, *, interval: int | None = None, timestamp: int | None = None
    ) -> None:
        """So many blocks more, the first with what waits. interval: seconds from each block to the
        next. timestamp: of the first one. Raises Impossible."""

    async def settle(self, hashes: Sequence[Hash32]) -> Mapping[Hash32, RemoteError]:
        """These transactions are in a block, where automine says so and they pay. Returns those for
        which a fork's remote did not give what they need, and why: they are gone."""

    # the clock

    def next_timestamp(self) -> int:
        """What the next block would carry if it were made now."""

    async def increase_time(self, seconds: int) -> int:
        """Returns by how many seconds the chain's clock is ahead of the wall's."""

    async def set_time(self, timestamp: int) -> None: ...

    async def set_next_timestamp(self, timestamp: int) -> None:
        """Of the next block alone; the clock goes on from there. Raises Impossible for a time
        before the head's."""

    async def set_timestamp_interval(self, seconds: int | None) -> bool:
        """Each block so long after the one before it, whatever the wall's clock says. Returns
        whether there was an interval before."""

    # the past

    async def snapshot(self) -> int:
        """The number by which this moment can be come back to."""

    async def revert(self, snapshot: int) -> bool:
        """Chain, pool and settings are as they were; the snapshot and all later ones are gone.
        False: there is no such snapshot."""

    def snapshots(self) -> Mapping[int, tuple[int, Hash32]]:
        """Height and hash of the head at each snapshot."""

    async def rollback(self, depth: int) -> None:
        """The last so many blocks never were; what they held is gone. Raises Impossible."""

    async def reorganise(self, depth: int, replayed: Sequence[Replayed]) -> None:
        """As many other blocks instead of the last ones. Raises Impossible."""

    async def reset(self, fork: Fork | None) -> None:
        """The chain begins anew: pool, settings and snapshots are gone. None: without a fork; a
        fork of nothing said: where it began. Raises Impossible."""

    # accounts that nobody has the key of

    def impersonates(self, address: Address) -> bool: ...

    async def impersonate(self, address: Address) -> None: ...

    async def stop_impersonating(self, address: Address) -> None: ...

    async def impersonate_all(self, on: bool) -> None: ...

    async def impersonate_signature(self, signature: bytes, address: Address) -> None:
        """ECRECOVER finds this address for the signature (65 bytes), whatever was signed, from
        here on. Raises Impossible where there are too many."""

    async def submit_unsigned(self, sender: Address, raw: bytes) -> Hash32 | Refusal: ...

    # state

    async def amend(self, amendments: Amendments) -> None:
        """The head's state is so, for every reader at once; the next block begins with it. Raises
        Impossible for what no account can have."""

    async def add_balance(self, address: Address, amount: int) -> None:
        """Saturates at 2^256 - 1."""

    async def dump(self, *, with_history: bool = False) -> bytes:
        """Anvil's dump as JSON: all accounts, blocks and transactions; with_history: the states of
        older blocks too. Cost: the whole state, and as many states as are asked for."""

    async def load(self, dumped: bytes) -> None:
        """The chain is the one of a dump (JSON, gzipped or not), with what was here beneath its
        accounts; of a dump without blocks, and on a fork, the accounts are in the head's state, and
        the chain is at least as high as the dump's. Raises Impossible, nothing changed, for bytes
        that are no dump."""

    # what blocks are made with

    async def set_coinbase(self, address: Address) -> None: ...

    async def set_next_base_fee(self, fee: int) -> None:
        """Of the next block; the ones after it move from there."""

    async def set_next_prev_randao(self, value: Hash32) -> None: ...

    async def set_gas_limit(self, gas: int) -> None: ...

    async def set_chain_id(self, chain_id: int) -> None:
        """Of blocks after the head; those up to it keep theirs. Raises Impossible for 0."""

    # the pool

    async def drop(self, hashes: Sequence[Hash32]) -> Sequence[Hash32]:
        """These no longer wait. Returns those that did."""

    async def drop_sender(self, sender: Address) -> None: ...

    async def drop_all(self) -> None: ...

    # the node

    async def set_logging(self, on: bool) -> None: ...

    async def set_fork_url(self, url: str) -> None:
        """Whom a fork asks from here on. Raises Impossible on a chain that is none, and where
        another chain is served."""

    @property
    def fork(self) -> ForkStanding | None: ...

    @property
    def instance(self) -> Hash32:
        """Another one after each start and each reset."""

    @property
    def head_time_ms(self) -> int:
        """When the head became the head, in milliseconds of the wall's clock."""
