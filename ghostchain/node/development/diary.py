"""Settings and snapshots of a development chain on disk: one log, one JSON record a change.

Each record is durable before its change is answered. A revert is written down before the chain is
touched, and again when it is done, so that a kill between the two ends with the revert finished.
What one block spends (`ChainSettings.next_*`) is spent when the head is beyond the height that its
record names, whether or not the kill left time to write that down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ghostchain.node.development.pooling import Waiting
from ghostchain.node.development.settings import ChainSettings, NodeSettings
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.types import Hash32
from ghostchain.storage.disk import RealDisk
from ghostchain.storage.wal import WriteAheadLog

NAME = "development"
# The log is written anew when it has grown to this and to twice what it held then.
REWRITE_BYTES_MIN = 4 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment that can be come back to.

    clock_s: what the chain's clock showed. amendments: encoded, of the head's state, waiting for
    its next block. waiting: what the pool held.
    """

    identity: int
    height: int
    block_hash: Hash32
    clock_s: int
    settings: ChainSettings
    amendments: bytes
    waiting: tuple[Waiting, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "identity": self.identity,
            "height": self.height,
            "block_hash": self.block_hash.hex(),
            "clock_s": self.clock_s,
            "settings": self.settings.as_json(),
            "amendments": self.amendments.hex(),
            "waiting": [one.as_json() for one in self.waiting],
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Snapshot:
        return cls(
            identity=int(members["identity"]),
            height=int(members["height"]),
            block_hash=Hash32(bytes.fromhex(members["block_hash"])),
            clock_s=int(members["clock_s"]),
            settings=ChainSettings.from_json(members["settings"]),
            amendments=bytes.fromhex(members["amendments"]),
            waiting=tuple(Waiting.from_json(one) for one in members["waiting"]),
        )


@dataclass(slots=True)
class Remembered:
    """What a diary says. height: of the head when `chain` was written, None when it never was.
    returning: a return to the past that was begun and not finished."""

    chain: ChainSettings = field(default_factory=ChainSettings)
    height: int | None = None
    node: NodeSettings | None = None
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    next_identity: int = 0
    returning: Snapshot | None = None


class Diary:
    """The log, for the thread that writes the chain. path None: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        """Raises: StorageError."""
        self._log = None if path is None else WriteAheadLog(RealDisk(path), NAME)
        self.remembered = Remembered()
        if self._log is not None:
            self.remembered = read(self._log.records())
        self._rewritten_bytes = 0 if self._log is None else self._log.size

    def chain(self, settings: ChainSettings, height: int) -> None:
        """These settings hold for the block after that height."""
        self.remembered.chain, self.remembered.height = settings, height
        self._write({"chain": settings.as_json(), "height": height})

    def node(self, settings: NodeSettings) -> None:
        self.remembered.node = settings
        self._write({"node": settings.as_json()})

    def add(self, snapshot: Snapshot) -> None:
        self.remembered.snapshots[snapshot.identity] = snapshot
        self.remembered.next_identity = snapshot.identity + 1
        self._write({"snapshot": snapshot.as_json()})

    def forget(self, identities: Iterable[int]) -> None:
        """These snapshots are gone."""
        gone = [one for one in identities if self.remembered.snapshots.pop(one, None) is not None]
        if gone:
            self._write({"gone": gone})

    def returning(self, moment: Snapshot, gone: Sequence[int]) -> None:
        """From here on a restart goes back to this moment first, and these snapshots are no
        more."""
        self.remembered.returning = moment
        for identity in gone:
            self.remembered.snapshots.pop(identity, None)
        forgotten = [{"gone": list(gone)}] if gone else []
        self._write(*forgotten, {"returning": moment.as_json()})

    def returned(self, settings: ChainSettings, height: int) -> None:
        """The chain stands where it was to go back to."""
        self.remembered.returning = None
        self.remembered.chain, self.remembered.height = settings, height
        self._write({"returned": settings.as_json(), "height": height})

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def _write(self, *records: dict[str, Any]) -> None:
        if self._log is None:
            return
        for record in records:
            self._log.append(orjson.dumps(record))
        if self._log.size > max(REWRITE_BYTES_MIN, 2 * self._rewritten_bytes):
            self._log.rewrite([orjson.dumps(one) for one in written(self.remembered)])
            self._rewritten_bytes = self._log.size
        else:
            self._log.flush()


def read(records: Iterable[bytes]) -> Remembered:
    """What the records say, the last word counting. Raises: StorageCorrupt."""
    remembered = Remembered()
    for record in records:
        try:
            take(remembered, orjson.loads(record))
        except (ValueError, KeyError, TypeError) as error:
            raise StorageCorrupt(f"{NAME}: a record that was never written: {error}") from error
    return remembered


def take(remembered: Remembered, record: Mapping[str, Any]) -> None:
    """One record more."""
    match record:
        case {"chain": settings, "height": height}:
            remembered.chain = ChainSettings.from_json(settings)
            remembered.height = int(height)
        case {"node": settings}:
            remembered.node = NodeSettings.from_json(settings)
        case {"snapshot": members}:
            snapshot = Snapshot.from_json(members)
            remembered.snapshots[snapshot.identity] = snapshot
            remembered.next_identity = snapshot.identity + 1
        case {"gone": identities}:
            for identity in identities:
                remembered.snapshots.pop(int(identity), None)
        case {"next": identity}:
            remembered.next_identity = int(identity)
        case {"returning": members}:
            remembered.returning = Snapshot.from_json(members)
        case {"returned": settings, "height": height}:
            remembered.returning = None
            remembered.chain = ChainSettings.from_json(settings)
            remembered.height = int(height)
        case _:
            raise ValueError("unknown kind")


def written(remembered: Remembered) -> Iterable[dict[str, Any]]:
    """The shortest records that say the same."""
    if remembered.height is not None:
        yield {"chain": remembered.chain.as_json(), "height": remembered.height}
    if remembered.node is not None:
        yield {"node": remembered.node.as_json()}
    for snapshot in remembered.snapshots.values():
        yield {"snapshot": snapshot.as_json()}
    yield {"next": remembered.next_identity}
    if remembered.returning is not None:
        yield {"returning": remembered.returning.as_json()}
