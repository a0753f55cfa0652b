"""The steps of an import overlap: while one block runs, the next are decoded and their senders
recovered, and those before are written. Each step takes several blocks at once, since handing over
between threads, calling the native core and waiting for the disk cost the same for one block as
for many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ghostchain.chain.preparing import Prepared, PreparedRun, Preparer
from ghostchain.chain.writer import Pending, Seal, SealedBlock
from ghostchain.primitives.block import Block
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32

Given = tuple[Block | bytes, Seal | None]
"""A block and what is kept beside it."""

# Blocks that are prepared together; a larger one goes alone.
PREPARED_BLOCKS_MAX = 16
PREPARED_BYTES_MAX = 256 << 10


@dataclass(frozen=True, slots=True)
class Steps:
    """What becomes of a prepared block: `run` on its parent, `stage`; `seal` what is staged when it
    `is_due` at that height, write it, `commit` it. Raises: as of `Chain`."""

    run: Callable[[Prepared, Header, Hash32], Pending]
    stage: Callable[[Pending, Seal | None], None]
    is_due: Callable[[int], bool]
    seal: Callable[[], Callable[[], None]]
    commit: Callable[[Sequence[SealedBlock], Callable[[], None]], None]
    has_failed: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Flight:
    """Blocks on their way to disk."""

    blocks: tuple[SealedBlock, ...]
    written: Future[None] | None


_NOTHING = _Flight((), None)


def overlapped(
    blocks: Iterable[Given], preparer: Preparer, steps: Steps, head: Header, head_hash: Hash32
) -> Iterator[SealedBlock]:
    """Each block once it is committed. What was staged when this ends, in whatever way, is
    committed too. Raises: as the source of blocks, and InvalidBlock at the first bad one."""
    with (
        ThreadPoolExecutor(1, thread_name_prefix="prepare") as preparing,
        ThreadPoolExecutor(1, thread_name_prefix="write") as writing,
    ):
        flight = _NOTHING
        staged: list[SealedBlock] = []
        parent, parent_hash = head, head_hash
        prepare = preparer.prepare_run
        ahead = _prefetch(blocks, lambda group: preparing.submit(prepare, group))
        try:
            for prepared, seal in ahead:
                pending = steps.run(prepared, parent, parent_hash)
                steps.stage(pending, seal)
                staged.append(pending.sealed)
                parent, parent_hash = pending.sealed.block.header, pending.sealed.hash
                if steps.is_due(parent.number):
                    landed, flight = flight, _NOTHING
                    _land(steps, landed)
                    flight = _Flight(tuple(staged), writing.submit(steps.seal()))
                    staged = []
                    yield from landed.blocks
        finally:
            _land(steps, flight)
            if staged and not steps.has_failed():
                steps.commit(staged, steps.seal())
        yield from flight.blocks
        yield from staged


def _land(steps: Steps, flight: _Flight) -> None:
    """Waits until the blocks are written, and commits them."""
    if flight.written is not None:
        steps.commit(flight.blocks, flight.written.result)


def _prefetch(
    blocks: Iterable[Given],
    submit: Callable[[list[Block | bytes]], Future[PreparedRun]],
) -> Iterator[tuple[Prepared, Seal | None]]:
    """The blocks, prepared in groups, one group ahead of the one that is asked for."""
    waiting: tuple[Future[PreparedRun], list[Given]] | None = None
    groups = _grouped(blocks)
    while True:
        failure: Exception | None = None
        try:
            group = next(groups, None)
        except Exception as error:
            # The source ends badly, and what it gave before is whole.
            failure, group = error, None
        following = None
        if group is not None:
            following = submit([block for block, _ in group]), group
        if waiting is not None:
            yield from _unpacked(*waiting)
        if failure is not None:
            raise failure
        if following is None:
            return
        waiting = following


def _unpacked(
    future: Future[PreparedRun], group: list[Given]
) -> Iterator[tuple[Prepared, Seal | None]]:
    run = future.result()
    for prepared, (_, seal) in zip(run.blocks, group, strict=False):
        yield prepared, seal
    if run.failure is not None:
        raise run.failure


def _grouped(blocks: Iterable[Given]) -> Iterator[list[Given]]:
    """The blocks in runs that are prepared together. Of a source that fails, what it gave before
    comes first."""
    group: list[Given] = []
    size = 0
    try:
        for given in blocks:
            group.append(given)
            size += _size(given[0])
            if len(group) >= PREPARED_BLOCKS_MAX or size >= PREPARED_BYTES_MAX:
                yield group
                group, size = [], 0
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group


def _size(block: Block | bytes) -> int:
    """Bytes, about."""
    return len(block) if isinstance(block, bytes) else sum(map(len, block.transactions))
