"""Who is told of a chain's new heads, and on a development chain of what was changed by hand."""

from __future__ import annotations

from collections.abc import Callable

from ghostchain.primitives.header import Header


class Listeners:
    """Called in the order in which they came, each event by one thread at a time."""

    def __init__(self) -> None:
        self._heads: list[Callable[[Header], None]] = []
        self._rewinds: list[Callable[[Header], None]] = []
        self._amends: list[Callable[[], None]] = []
        self._strides: list[int] = []

    def add(
        self,
        on_head: Callable[[Header], None],
        on_rewind: Callable[[Header], None] | None,
        on_amend: Callable[[], None] | None,
        every: int | None,
    ) -> Callable[[], None]:
        """Returns what ends it. every: as of `is_awaited`."""
        self._heads.append(on_head)
        if on_rewind is not None:
            self._rewinds.append(on_rewind)
        if on_amend is not None:
            self._amends.append(on_amend)
        if every is not None:
            self._strides.append(every)

        def remove() -> None:
            self._heads.remove(on_head)
            if on_rewind is not None:
                self._rewinds.remove(on_rewind)
            if on_amend is not None:
                self._amends.remove(on_amend)
            if every is not None:
                self._strides.remove(every)

        return remove

    def is_awaited(self, number: int) -> bool:
        """Whether a listener wants to see the chain at that very block, a multiple of what it
        gave."""
        return any(number % stride == 0 for stride in self._strides)

    def on_head(self, header: Header) -> None:
        """This block was committed."""
        for listener in tuple(self._heads):
            listener(header)

    def on_rewind(self, header: Header) -> None:
        """The blocks after this one were taken back."""
        for listener in tuple(self._rewinds):
            listener(header)

    def on_amend(self) -> None:
        """The head's state was changed."""
        for listener in tuple(self._amends):
            listener()
