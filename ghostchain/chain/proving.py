"""What the tries of recent blocks say, of a chain whose blocks may be taken back meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ghostchain.chain.published import Published
from ghostchain.primitives.errors import StateUnavailable, StorageCorrupt
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state.proofs import AccountProof, ProofService
from ghostchain.state.remote import ChangeLedger
from ghostchain.trie.merkle import ChangeSet


class Prover:
    """Safe from any thread."""

    def __init__(self, proofs: ProofService, published: Callable[[], Published]) -> None:
        """published: gives what readers see now."""
        self._proofs = proofs
        self._published = published

    def prove(self, address: Address, slots: Sequence[Hash32], number: int) -> AccountProof:
        """As `Chain.prove`."""
        published = self._published()
        if published.remote is not None:
            raise StateUnavailable(
                "a fork keeps no trie, so nothing after the block of the fork can be proven"
            )
        view, root = published.settled_state(number), state_root_of(published, number)
        with self._while_it_is_there(published, number):
            return self._proofs.prove(view, number, root, address, slots)

    def root_after(self, number: int, changes: ChangeSet) -> Hash32:
        """As `Chain.root_after`."""
        published = self._published()
        root = state_root_of(published, number)
        if published.remote is not None:
            return ChangeLedger(root).apply(changes)
        with self._while_it_is_there(published, number):
            return self._proofs.root_after(number, root, changes)

    @contextmanager
    def _while_it_is_there(self, published: Published, number: int) -> Iterator[None]:
        """What was found corrupt is no more than gone, where blocks were taken back meanwhile."""
        try:
            yield
        except StorageCorrupt as error:
            if self._published().kept is published.kept:
                raise
            raise StateUnavailable(f"block {number} was taken back meanwhile") from error


def state_root_of(published: Published, number: int) -> Hash32:
    """Raises: StateUnavailable."""
    entry = published.entry(number)
    if entry is None:
        raise StateUnavailable(f"block {number} is not known")
    return published.root_of(entry[1])
