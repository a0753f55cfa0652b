"""Evidence against validators, from when consensus finds it until it stands in a block.

What proves guilt: two different votes of one kind, height and round; or a precommit for a block and
a prevote for another in a later round, whose valid round is before the precommit's. Both signed by
one key. Kept on disk, so that a restart forgets none; bounded, and one piece for a validator is
enough, since it is punished once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ghostchain.chain.validators import ValidatorReader
from ghostchain.consensus.certificates import Verify
from ghostchain.consensus.messages import InvalidMessage, Vote, decode_message, encode_message
from ghostchain.consensus.votes import choice_of, is_amnesia
from ghostchain.encoding.attachments import (
    EVIDENCE_MAX,
    Evidence,
    decode_evidence,
    encode_evidence,
)
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.primitives.types import Address
from ghostchain.storage.wal import WriteAheadLog

PIECES_MAX = 64
"""Validators of whom evidence is kept."""


@dataclass(frozen=True, slots=True)
class Guilt:
    """Whom evidence convicts now, and of what height."""

    height: int
    operator: Address


def evidence_of(key: bytes, first: Vote, second: Vote) -> Evidence:
    """The votes as what is kept and put into a block."""
    return Evidence(key, encode_message(first), encode_message(second))


def infraction_height(evidence: Evidence, chain_id: int, verify: Verify) -> int | None:
    """The height at which the holder of the key did what no honest validator does; None when this
    proves nothing. Cost: two signatures, where the rest is right."""
    try:
        first, second = decode_message(evidence.first), decode_message(evidence.second)
    except InvalidMessage:
        return None
    if not isinstance(first, Vote) or not isinstance(second, Vote):
        return None
    if first.height != second.height:
        return None
    is_twice = (first.kind, first.round) == (second.kind, second.round) and choice_of(
        first
    ) != choice_of(second)
    if not is_twice and not is_amnesia(first, second):
        return None
    votes = (first, second)
    items = [(evidence.key, vote.sign_bytes(chain_id), vote.signature) for vote in votes]
    return first.height if all(verify(items)) else None


def guilt_of(
    evidence: Evidence, chain_id: int, validators: ValidatorReader, verify: Verify
) -> Guilt | None:
    """What the next block may order because of it; None when the key is no validator's, it was
    punished already, or the evidence is too old, of the future, or proves nothing."""
    liability = validators.liability(evidence.key)
    if liability is None or liability.is_tombstoned:
        return None
    height = infraction_height(evidence, chain_id, verify)
    if height is None or not liability.low <= height <= liability.high:
        return None
    return Guilt(height, liability.operator)


class EvidencePool:
    """What waits to stand in a block. Any thread."""

    def __init__(
        self, log: WriteAheadLog, chain_id: int, validators: ValidatorReader, verify: Verify
    ) -> None:
        self._log = log
        self._chain_id = chain_id
        self._validators = validators
        self._verify = verify
        self._lock = threading.Lock()
        self._pieces: dict[bytes, Evidence] = {}
        for record in log.records():
            try:
                evidence = decode_evidence(record)
            except InvalidEncoding:
                continue
            self._pieces[evidence.key] = evidence

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, evidence: Evidence) -> bool:
        """It waits, durably; False when it convicts nobody now, or somebody waits already, or there
        is no room. Raises: StorageFailed."""
        if evidence.key in self._pieces or len(self._pieces) >= PIECES_MAX:
            return False
        if self._guilt(evidence) is None:
            return False
        with self._lock:
            self._pieces[evidence.key] = evidence
            self._log.append(encode_evidence(evidence))
            self._log.flush()
        return True

    def choose(self) -> list[tuple[Evidence, Guilt]]:
        """What the next block may carry, the earliest found first."""
        chosen = []
        for evidence in list(self._pieces.values()):
            guilt = self._guilt(evidence)
            if guilt is not None:
                chosen.append((evidence, guilt))
            if len(chosen) == EVIDENCE_MAX:
                break
        return chosen

    def prune(self) -> None:
        """What convicts nobody any more is forgotten; nearly always there is nothing to look at.
        Raises: StorageFailed."""
        with self._lock:
            guilty = {
                key: evidence
                for key, evidence in self._pieces.items()
                if self._guilt(evidence) is not None
            }
            if len(guilty) == len(self._pieces):
                return
            self._pieces = guilty
            # Not emptied first: a crash in between must not let the guilty go.
            self._log.rewrite([encode_evidence(evidence) for evidence in guilty.values()])

    def _guilt(self, evidence: Evidence) -> Guilt | None:
        return guilt_of(evidence, self._chain_id, self._validators, self._verify)

    def close(self) -> None:
        self._log.close()
