"""What handlers share: the backend and the few things JSON-RPC keeps by itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ghostchain.rpc.backend import Backend
from ghostchain.rpc.blocks import BlockReader
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.events import EventHub, InclusionWaiter
from ghostchain.rpc.filters import FilterBook
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.parameters import BlockHash, BlockId
from ghostchain.rpc.submission import Submitter
from ghostchain.rpc.turns import Turns
from ghostchain.rpc.workers import Workers


@dataclass(frozen=True, slots=True)
class Services:
    """One for each server. signing: a sender's turn while the node picks a nonce and signs.
    exporting: held while blocks are written to a file."""

    backend: Backend
    options: RpcOptions
    blocks: BlockReader
    filters: FilterBook
    submission: Submitter
    inclusion: InclusionWaiter
    events: EventHub
    workers: Workers
    signing: Turns
    exporting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def number_of(self, block: BlockId) -> int | None:
        """The number a block parameter means; None for a block that is not there.

        Every committed block is safe and final, so three tags mean the head; pending does too,
        where a state is asked for.
        """
        backend = self.backend
        if isinstance(block, BlockHash):
            return backend.number_of(block.hash)
        if isinstance(block, int):
            return block if block <= backend.head().number else None
        return 0 if block == "earliest" else backend.head().number

    def number_needed(self, block: BlockId) -> int:
        """As number_of, but a missing block is the error `header not found`."""
        number = self.number_of(block)
        if number is None:
            raise server_error("header not found")
        return number


def make_services(backend: Backend, options: RpcOptions, workers: Workers) -> Services:
    filters = FilterBook(
        filters_max=options.filters_max,
        idle_s=options.filter_idle_s,
        pending_hashes_max=options.pending_hashes_max,
    )
    inclusion = InclusionWaiter(backend, waiting_max=options.submission_queue_max)
    events = EventHub(backend)
    events.add(filters.on_event, filters.cares)
    events.add(inclusion.on_event, inclusion.cares)
    return Services(
        backend=backend,
        options=options,
        blocks=BlockReader(
            backend, blocks_max=options.block_cache_max, bytes_max=options.block_cache_bytes_max
        ),
        filters=filters,
        submission=Submitter(
            backend, batch_max=options.submission_batch_max, queue_max=options.submission_queue_max
        ),
        inclusion=inclusion,
        events=events,
        workers=workers,
        signing=Turns(),
    )
