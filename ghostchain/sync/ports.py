"""The doors through which the drivers of sync act. The node implements them with connections,
threads and the chain; the tests with a virtual network.

All calls are made on one thread, the driver's, unless said otherwise. A failure to write is fatal:
it is raised, and the driver does nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from ghostchain.encoding.manifests import Manifest
from ghostchain.primitives.types import Hash32
from ghostchain.sync.effects import Peer, Progress, SnapshotProgress
from ghostchain.sync.messages import Item, SyncBlock

T = TypeVar("T")


class Clock(Protocol):
    """Time that only goes forward, in nanoseconds."""

    def now_ns(self) -> int: ...


class Network(Protocol):
    """The peers."""

    def send(self, peer: Peer, payload: bytes) -> bool:
        """False: it does not fit into what waits for the peer, or there is no such peer."""

    def punish(self, peer: Peer, reason: str) -> None: ...


class Tasks(Protocol):
    """Threads."""

    def run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Does work elsewhere, then calls done with what it returned, on the driver's thread. An
        exception of work is fatal to the node."""

    def call(self, act: Callable[[], None]) -> None:
        """Calls act on the driver's thread, soon. From any thread."""


class ImportFailed(Exception):
    """A block that does not hold. All before it are committed. is_changed: its body is not the one
    that its header names, so that whoever sent it is to blame, and another has the right one."""

    def __init__(self, reason: str, *, is_changed: bool = True) -> None:
        super().__init__(reason)
        self.is_changed = is_changed


class SyncChain(Protocol):
    """The chain, as far as catching up goes. `head` is for the driver's thread; the rest is called
    on others, several at a time, but one import at a time."""

    @property
    def head(self) -> tuple[int, Hash32]:
        """Height and hash of the latest committed block."""

    def verify(self, blocks: Sequence[SyncBlock]) -> list[bool | None]:
        """Of each: whether its certificate is of a quorum of its height's validators for this very
        block, and its attachment the one that belongs to it. None: that cannot be told before
        earlier blocks are executed. Transactions need not be looked at."""

    def import_blocks(self, blocks: Iterator[SyncBlock]) -> Iterator[tuple[int, Hash32, int]]:
        """Executes and commits; yields height, hash and count of transactions of each.

        Raises: ImportFailed at the first that does not hold; StorageFailed.
        """

    def range(self) -> tuple[int, int]:
        """The lowest and the highest block that can be served; the highest is below the lowest when
        there is none."""

    def read(self, height: int) -> Item | None:
        """A block with certificate and attachment; None when one of them is not kept."""

    def header(self, height: int) -> bytes | None:
        """The RLP of a header; None when it is not kept."""


class Snapshots(Protocol):
    """The snapshots that can be served. On any thread."""

    def manifest(self, height_max: int) -> Manifest | None:
        """That of the newest one not above height_max."""

    def chunk(self, name: bytes, number: int) -> bytes | None:
        """A packed chunk of the one with that hash of its manifest."""


class InstallFailed(Exception):
    """The chunks are not the state that the header names."""


class Download(Protocol):
    """Where a snapshot lies while it comes, and what becomes of it. It survives a kill."""

    def saved(self) -> tuple[Manifest | None, list[int]]:
        """What an earlier attempt has left: manifest, and the numbers of its chunks."""

    def choose(self, manifest: Manifest) -> None:
        """Keeps the manifest, forgets the chunks of another."""

    def store(self, number: int, packed: bytes) -> None: ...

    def install(self, manifest: Manifest, headers: Sequence[bytes]) -> None:
        """The chain begins after the last of these headers, with the state of the chunks. On a
        thread of its own.

        Raises: InstallFailed, nothing is installed then; StorageError.
        """


class SnapshotWatcher(Protocol):
    """Who waits for a snapshot."""

    def progressed(self, progress: SnapshotProgress) -> None: ...

    def installed(self, height: int) -> None:
        """The chain can be opened."""

    def refused(self, reason: str) -> None:
        """It will not come, whoever is asked."""


class Handover(Protocol):
    """Whoever else moves the chain: consensus."""

    def pause(self, ready: Callable[[], None]) -> None:
        """Stop; ready is called (perhaps at once) when nothing is being decided any more."""

    def resume(self, height: int) -> None:
        """Go on above height, which is the head."""


class Watcher(Protocol):
    """Whoever shows and counts."""

    def started(self, height: int, target: int) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def done(self, height: int) -> None: ...

    def stuck(self, height: int, reason: str) -> None: ...
