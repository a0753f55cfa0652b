"""Empty blocks of a development chain, many at once: each runs on the one before it, and some of
them at a time wait for the disk together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ghostchain.chain.amendments import NO_AMENDMENTS
from ghostchain.chain.published import Published
from ghostchain.chain.writer import Pending, Proposal, SealedBlock, check_by_hand
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32

Propose = Callable[[Header], Proposal]
"""What the block after that one is to be like."""


@dataclass(frozen=True, slots=True)
class Growth:
    """`build` a block on its parent, `stage` it, `commit` what is staged when it `is_due` at that
    height. Raises: as of `Chain`."""

    build: Callable[[TransactionBatch, Proposal, Header, Hash32], Pending]
    stage: Callable[[Pending], None]
    is_due: Callable[[int], bool]
    commit: Callable[[Sequence[SealedBlock]], None]


def grow(
    count: int,
    propose: Propose,
    steps: Growth,
    head: Published,
) -> Sequence[SealedBlock]:
    """So many blocks after the head are committed, the first with what is pending. Where one cannot
    be made, those before it are. Raises: as `Chain.build_empty`."""
    batch = TransactionBatch.decode(())
    batch.recover()
    made: list[SealedBlock] = []
    staged: list[SealedBlock] = []
    parent, parent_hash, amendments = head.header, head.hash, head.amendments_of_child()
    for _ in range(count):
        try:
            proposal = propose(parent)
            if amendments:
                proposal, amendments = replace(proposal, amendments=amendments), NO_AMENDMENTS
            if proposal.is_by_hand:
                check_by_hand(proposal)
            pending = steps.build(batch, proposal, parent, parent_hash)
            steps.stage(pending)
        except Exception:
            if staged:
                steps.commit(staged)
            raise
        staged.append(pending.sealed)
        parent, parent_hash = pending.sealed.block.header, pending.sealed.hash
        if len(made) + len(staged) == count or steps.is_due(parent.number):
            steps.commit(staged)
            made += staged
            staged = []
    return made
