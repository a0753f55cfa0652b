"""What a validator signed last, remembered before the signature leaves.

One file holds the same slot twice, each in a block of its own:

    slot    magic 8 | layout 4 | sequence 8 | chain id 8 | public key 32
            | three times: height 8 | round 4 | block id 32 | valid round + 1, 4 | signature 64
            | twice: height of a lock 8 | its round 4 | its block id 32 | SHA-256 of all before 32

Integers are big-endian. The three are the last proposal, prevote and precommit; height 0 says that
there was none. The locks are the last precommit for a block, and the last of that height for
another block than that.

A signature leaves after both slots were written and synced, one after the other. So a write that
was torn leaves at most one slot broken, and the other holds at least what had left by then; the
same is true when the disk spoils one slot later. The good slot mends the broken one. Where both
are broken nobody knows what was signed: then nothing is signed at all.

A request is refused when it comes before what was signed, in height, round and kind; when it says
something else than what was signed there; and when it is a prevote that would prove amnesia: for
another block than a precommit before, justified by no round since that. The same request gets the
same signature again. So whatever is asked for, no two signatures prove a fault.

Spec: arXiv 1807.04938 (one message of a kind in a round), Accountable Tendermint (amnesia).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path

from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind, vote_bytes
from ghostchain.primitives.errors import GhostError, StorageCorrupt, StorageFailed
from ghostchain.storage.disk import Disk, File
from ghostchain.storage.files import storage_failure

MAGIC = b"GHOSTHWM"
LAYOUT = 1
HEAD = struct.Struct(">8sIQQ32s")
SIGNED = struct.Struct(">QI32sI64s")
LOCK = struct.Struct(">QI32s")
CHECK_BYTES = 32
SLOT_BYTES = HEAD.size + 3 * SIGNED.size + 2 * LOCK.size + CHECK_BYTES
SLOT_OFFSETS = (0, 4096)
"""In blocks of their own: no disk tears two of them with one write."""
FILE_BYTES = SLOT_OFFSETS[1] + SLOT_BYTES


class RefusalReason(Enum):
    """Why a signer does not sign."""

    REGRESSION = "something later has been signed"
    CONTRADICTION = "something else has been signed there"
    AMNESIA = "it would go against a lock, justified by no round since"
    MALFORMED = "not a vote that anybody may make"


class SigningRefused(GhostError):
    """The signer does not sign this, and never will."""

    def __init__(self, reason: RefusalReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be signed, as `encoding/votes.py` has it."""

    kind: VoteKind
    height: int
    round: int
    block_id: bytes
    valid_round: int = NO_ROUND

    def sign_bytes(self, chain_id: int) -> bytes:
        return vote_bytes(
            chain_id, self.kind, self.height, self.round, self.block_id, self.valid_round
        )

    @property
    def place(self) -> tuple[int, int, int]:
        """In the order in which a validator signs."""
        return self.height, self.round, self.kind

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} of height {self.height}, round {self.round}"


@dataclass(frozen=True, slots=True)
class Signed:
    """A request and its signature."""

    request: Request
    signature: bytes


@dataclass(frozen=True, slots=True)
class Marks:
    """Everything that is remembered: the last of each kind, and the locks, the newest first."""

    signed: tuple[Signed | None, Signed | None, Signed | None] = (None, None, None)
    locks: tuple[Request | None, Request | None] = (None, None)

    def after(self, signed: Signed) -> Marks:
        """With this one signed, too."""
        request = signed.request
        last = [*self.signed]
        last[request.kind - 1] = signed
        return Marks((last[0], last[1], last[2]), self._locks_after(request))

    def _locks_after(self, request: Request) -> tuple[Request | None, Request | None]:
        newest, other = self.locks
        if request.kind != VoteKind.PRECOMMIT or request.block_id == NIL_BLOCK:
            return self.locks
        if newest is None or newest.height != request.height:
            return request, None
        return request, other if newest.block_id == request.block_id else newest

    def recall(self, request: Request) -> bytes | None:
        """The signature that the same request got, None for one that may be signed.

        Raises: SigningRefused.
        """
        check_request(request)
        last = self.signed[request.kind - 1]
        if last is not None and last.request == request:
            return last.signature
        latest = max(
            (entry.request for entry in self.signed if entry is not None),
            key=lambda entry: entry.place,
            default=None,
        )
        if last is not None and last.request.place == request.place:
            raise SigningRefused(RefusalReason.CONTRADICTION, f"another {request}")
        if latest is not None and request.place < latest.place:
            raise SigningRefused(RefusalReason.REGRESSION, f"{request}, after a {latest}")
        self._refuse_amnesia(request)
        return None

    def _refuse_amnesia(self, request: Request) -> None:
        if request.kind != VoteKind.PREVOTE or request.block_id == NIL_BLOCK:
            return
        for lock in self.locks:
            if (
                lock is not None
                and lock.height == request.height
                and lock.block_id != request.block_id
                and lock.round > request.valid_round
            ):
                raise SigningRefused(
                    RefusalReason.AMNESIA,
                    f"{request}, valid round {request.valid_round}, after a {lock}",
                )


def check_request(request: Request) -> None:
    """The numbers fit, and the message is one that a validator may send.

    Raises: SigningRefused (MALFORMED).
    """
    kind, round, valid_round = request.kind, request.round, request.valid_round
    is_nil = request.block_id == NIL_BLOCK
    if not (
        1 <= request.height < 1 << 64
        and 0 <= round < (1 << 32) - 1
        and len(request.block_id) == 32
        and NO_ROUND <= valid_round < max(round, 0)
        and not (is_nil and (kind == VoteKind.PROPOSAL or valid_round != NO_ROUND))
        and not (kind == VoteKind.PRECOMMIT and valid_round != NO_ROUND)
    ):
        raise SigningRefused(RefusalReason.MALFORMED, repr(request))


def encode_slot(chain_id: int, public_key: bytes, sequence: int, marks: Marks) -> bytes:
    """SLOT_BYTES bytes."""
    parts = [HEAD.pack(MAGIC, LAYOUT, sequence, chain_id, public_key)]
    for signed in marks.signed:
        if signed is None:
            parts.append(bytes(SIGNED.size))
            continue
        it = signed.request
        parts.append(
            SIGNED.pack(it.height, it.round, it.block_id, it.valid_round + 1, signed.signature)
        )
    for lock in marks.locks:
        packed = lock and LOCK.pack(lock.height, lock.round, lock.block_id)
        parts.append(packed or bytes(LOCK.size))
    data = b"".join(parts)
    return data + sha256(data).digest()


def decode_slot(data: bytes) -> tuple[int, bytes, int, Marks] | None:
    """(chain id, public key, sequence, marks) of a whole slot, None for anything else."""
    if len(data) != SLOT_BYTES or sha256(data[:-CHECK_BYTES]).digest() != data[-CHECK_BYTES:]:
        return None
    magic, layout, sequence, chain_id, public_key = HEAD.unpack_from(data)
    if magic != MAGIC or layout != LAYOUT:
        return None
    entries: list[Signed | None] = []
    for index, kind in enumerate(VoteKind):
        height, round, block_id, valid, signature = SIGNED.unpack_from(
            data, HEAD.size + index * SIGNED.size
        )
        request = Request(kind, height, round, block_id, valid - 1)
        entries.append(Signed(request, signature) if height else None)
    locks: list[Request | None] = []
    for index in range(2):
        offset = HEAD.size + 3 * SIGNED.size + index * LOCK.size
        height, round, block_id = LOCK.unpack_from(data, offset)
        lock = Request(VoteKind.PRECOMMIT, height, round, block_id)
        locks.append(lock if height else None)
    marks = Marks((entries[0], entries[1], entries[2]), (locks[0], locks[1]))
    return chain_id, public_key, sequence, marks


def _ignore_step(name: str) -> None:
    """What happens between two steps is only of interest to tests."""


class HighWater:
    """The file, open. For one thread.

    `on_step` is told the name of each step that reaches the disk, after it.
    """

    def __init__(
        self,
        disk: Disk,
        name: str,
        *,
        chain_id: int,
        public_key: bytes,
        on_step: Callable[[str], None] = _ignore_step,
    ) -> None:
        """Opens the file, makes it where there is none, mends a slot where one is broken.

        Raises: StorageCorrupt when nobody can know what was signed, or when the file is of another
        key or chain; StorageFailed; DirectoryLocked.
        """
        self._name = name
        self._chain_id = chain_id
        self._public_key = public_key
        self._on_step = on_step
        self._failed = False
        self._sequence = 0
        self._marks = Marks()
        self.mended = ""
        """What was broken on opening and has been mended, for people; mostly empty."""
        try:
            self._file: File = disk.open(name)
            data = self._file.read()
            # A killed process may have left a slot that is read and is not durable yet; the next
            # write takes the other one for the only one at risk.
            self._file.sync()
            disk.sync_names()
        except OSError as error:
            raise storage_failure(error, Path(name)) from error
        try:
            self._load(data)
        except BaseException:
            self._file.close()
            raise

    @property
    def marks(self) -> Marks:
        return self._marks

    def sign(self, request: Request, sign: Callable[[bytes], bytes]) -> bytes:
        """The signature of the request, remembered durably. sign makes one of these bytes.

        Raises: SigningRefused; StorageFull or StorageFailed, after which nothing is signed.
        Cost: two writes and two fdatasync.
        """
        if self._failed:
            raise StorageFailed(f"a write to {self._name} has failed before; restart to recover")
        known = self._marks.recall(request)
        if known is not None:
            return known
        signature = sign(request.sign_bytes(self._chain_id))
        marks = self._marks.after(Signed(request, signature))
        self._store(marks)
        self._marks = marks
        return signature

    def close(self) -> None:
        self._failed = True
        self._file.close()

    def _load(self, data: bytes) -> None:
        slots = [decode_slot(data[offset : offset + SLOT_BYTES]) for offset in SLOT_OFFSETS]
        whole = [slot for slot in slots if slot is not None]
        if not whole and self._is_unfinished(data):
            self._store(self._marks)
            return
        if not whole:
            raise StorageCorrupt(
                f"{self._name} is damaged: what this key has signed is not known, so it signs"
                " nothing. Wait until the chain is several heights beyond the last vote of this"
                " key and no copy of it runs anywhere, then move the file away and start again"
            )
        for chain_id, public_key, _, _ in whole:
            if (chain_id, public_key) != (self._chain_id, self._public_key):
                raise StorageCorrupt(
                    f"{self._name} belongs to key {public_key.hex()} on chain {chain_id}"
                )
        _, _, self._sequence, self._marks = max(whole, key=lambda slot: slot[2])
        if len(whole) < 2 or whole[0][2] != whole[1][2]:
            if len(whole) < 2:
                self.mended = f"one of the two slots of {self._name} was damaged or torn"
            self._mend(slots.index(max(whole, key=lambda slot: slot[2])))

    def _is_unfinished(self, data: bytes) -> bool:
        """Whether the file was cut while it was made, before anything was signed: it is short until
        the second slot is written, and the first, not yet durable, has its first content or none.
        """
        first = encode_slot(self._chain_id, self._public_key, 1, Marks())
        return len(data) <= SLOT_BYTES and all(
            byte in (0, expected) for byte, expected in zip(data, first, strict=False)
        )

    def _mend(self, good: int) -> None:
        """Both slots hold what the good one does, which is not touched before the other is whole: a
        second crash, while this one is mended, must not break both."""
        self._write(self._marks, (1 - good, good))

    def _store(self, marks: Marks) -> None:
        self._write(marks, (0, 1))

    def _write(self, marks: Marks, order: tuple[int, int]) -> None:
        self._sequence += 1
        slot = encode_slot(self._chain_id, self._public_key, self._sequence, marks)
        try:
            for index in order:
                self._file.write(slot, SLOT_OFFSETS[index])
                self._on_step(f"write {index}")
                self._file.sync()
                self._on_step(f"sync {index}")
        except OSError as error:
            self._failed = True
            raise storage_failure(error, Path(self._name)) from error
