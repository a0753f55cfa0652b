"""The steps of an import overlap: while one block runs, the next are decoded and recovered, and
those before are written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from ghostchain.chain.writer import Prepared, Seal, SealedBlock
from ghostchain.primitives.block import Block

# Blocks decoded and recovered ahead of the one that runs.
PREPARED_AHEAD = 1


@dataclass(frozen=True, slots=True)
class Flight:
    """Blocks on their way to disk."""

    blocks: tuple[SealedBlock, ...]
    written: Future[None] | None


def prefetch(
    blocks: Iterable[tuple[Block | bytes, Seal | None]],
    submit: Callable[[Block | bytes], Future[Prepared]],
) -> Iterator[tuple[Future[Prepared], Seal | None]]:
    """The blocks being prepared, a few ahead of the one that is asked for."""
    ahead: deque[tuple[Future[Prepared], Seal | None]] = deque()
    try:
        for block, seal in blocks:
            ahead.append((submit(block), seal))
            if len(ahead) > PREPARED_AHEAD:
                yield ahead.popleft()
    except Exception:
        # The source ends badly, and what it gave before is whole.
        yield from ahead
        raise
    yield from ahead
