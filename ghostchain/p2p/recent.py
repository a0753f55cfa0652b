"""A set that forgets: what was seen lately, in bounded room."""

from __future__ import annotations

from collections.abc import Iterable

from ghostchain.primitives.types import Hash32


class RecentHashes:
    """At least the last count_max / 2 hashes that were added, at most count_max.

    Two generations: when the younger is full it becomes the elder, and the elder is forgotten. So
    adding and asking are operations of sets, whatever is forgotten.
    """

    def __init__(self, count_max: int) -> None:
        self._half = count_max // 2
        self._younger: set[Hash32] = set()
        self._elder: set[Hash32] = set()

    def __len__(self) -> int:
        return len(self._younger) + len(self._elder)

    def __contains__(self, item: Hash32) -> bool:
        return item in self._younger or item in self._elder

    def add(self, items: Iterable[Hash32]) -> None:
        for item in items:
            if len(self._younger) >= self._half:
                self._elder, self._younger = self._younger, set()
            self._younger.add(item)

    def discard(self, items: Iterable[Hash32]) -> None:
        self._younger.difference_update(items)
        self._elder.difference_update(items)

    def missing(self, items: Iterable[Hash32]) -> list[Hash32]:
        """Those of the items that it does not have, in their order."""
        younger, elder = self._younger, self._elder
        return [item for item in items if item not in younger and item not in elder]
