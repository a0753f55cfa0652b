"""What validators say to each other, as records and as bytes.

Every message is fixed-width fields, big-endian, after one byte that tells its kind; what is signed
is `encoding/votes.vote_bytes`, not these. A decoder takes exactly one message and refuses anything
else, before any signature is looked at.

    1 proposal     height 8 | round 4 | block id 32 | valid round + 1, 4 | validator 2
                   | signature 64
    2 prevote      the same
    3 precommit    the same; the valid round is none
    4 certificate  kind 1 | height 8 | round 4 | block id 32 | valid round + 1, 4 | validators 2
                   | bitmap ⌈validators / 8⌉, least significant bit first
                   | signature 64 for each bit
    5 round        height 8 | round 4 | count 2 | as many votes of that round, each as in 1 to 3
    6 status       height 8 | round 4 | step 1
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum

from ghostchain.consensus.validators import VALIDATORS_MAX
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind, vote_bytes
from ghostchain.primitives.types import Hash32

CERTIFICATE_TAG, ROUND_TAG, STATUS_TAG = 4, 5, 6
SIGNATURE_BYTES = 64
VOTE_BYTES = 1 + 8 + 4 + 32 + 4 + 2 + SIGNATURE_BYTES
CERTIFICATE_HEAD_BYTES = 1 + 1 + 8 + 4 + 32 + 4 + 2
STATUS_BYTES = 1 + 8 + 4 + 1
ROUND_VOTES_MAX = 3 * VALIDATORS_MAX
MESSAGE_BYTES_MAX = 1 + 8 + 4 + 2 + ROUND_VOTES_MAX * VOTE_BYTES
"""Of the largest message, a round certificate of everybody's votes."""


class Step(IntEnum):
    """Where in a round a validator is. NEW_HEIGHT waits for something to decide about."""

    NEW_HEIGHT = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3


class MessageReason(Enum):
    """Why a message is refused. Whoever sent it is to blame for each of these."""

    MALFORMED = "not the bytes of a message"
    UNKNOWN_KIND = "no such kind of message"
    UNKNOWN_VALIDATOR = "no validator of this height has that index"
    NOT_THE_PROPOSER = "proposed by somebody whose turn it is not"
    INVALID_SIGNATURE = "a signature that is not the validator's"
    INVALID_VALID_ROUND = "a valid round that is not before the round"
    CONTRADICTORY = "a certificate of votes that do not belong together"
    BELOW_QUORUM = "a certificate without the power that it needs"
    DUPLICATE_SIGNER = "a certificate with one validator twice"
    TOO_FAR_AHEAD = "of a height or round that nobody can have reached"


class InvalidMessage(Exception):
    """A message that no honest peer sends. The peer that sent it answers for it."""

    def __init__(self, reason: MessageReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Vote:
    """A proposal, a prevote or a precommit: what one validator signed in one round.

    block_id NIL_BLOCK: for no block (never in a proposal). valid_round: NO_ROUND, or the earlier
    round of the prevotes for the block; NO_ROUND in precommits. validator: index in the set of the
    height. signature: 64 bytes; empty while unsigned.
    """

    kind: VoteKind
    height: int
    round: int
    block_id: Hash32
    valid_round: int
    validator: int
    signature: bytes = b""

    def sign_bytes(self, chain_id: int) -> bytes:
        return vote_bytes(
            chain_id, self.kind, self.height, self.round, self.block_id, self.valid_round
        )

    @property
    def is_nil(self) -> bool:
        return self.block_id == NIL_BLOCK


@dataclass(frozen=True, slots=True)
class Certificate:
    """That a quorum voted the same: a polka (kind PREVOTE) or a commit (kind PRECOMMIT).

    signers: rising indices; signatures: one for each, in that order. size: validators of the set.
    """

    kind: VoteKind
    height: int
    round: int
    block_id: Hash32
    valid_round: int
    size: int
    signers: tuple[int, ...]
    signatures: tuple[bytes, ...]

    def votes(self) -> tuple[Vote, ...]:
        """The votes it is made of."""
        return tuple(
            Vote(self.kind, self.height, self.round, self.block_id, self.valid_round, *signed)
            for signed in zip(self.signers, self.signatures, strict=True)
        )

    @property
    def hash(self) -> Hash32:
        """keccak256 of its bytes: what the next header commits to."""
        return keccak256(encode_message(self))


@dataclass(frozen=True, slots=True)
class RoundCertificate:
    """Votes of one round, of any kind and block, that let others enter it (R9): their signers have
    F1 of the power, or their precommits a quorum, which ends the round (R7)."""

    height: int
    round: int
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """Where the sender is. Unsigned; it only makes others send what it lacks."""

    height: int
    round: int
    step: Step


Message = Vote | Certificate | RoundCertificate | Status


def encode_message(message: Message) -> bytes:
    """The bytes of a message. Raises: OverflowError for fields that do not fit."""
    if isinstance(message, Vote):
        return _encode_vote(message)
    if isinstance(message, Certificate):
        bitmap = sum(1 << signer for signer in message.signers)
        return b"".join(
            (
                bytes((CERTIFICATE_TAG, message.kind)),
                message.height.to_bytes(8, "big"),
                message.round.to_bytes(4, "big"),
                message.block_id,
                (message.valid_round + 1).to_bytes(4, "big"),
                message.size.to_bytes(2, "big"),
                bitmap.to_bytes((message.size + 7) // 8, "little"),
                *message.signatures,
            )
        )
    if isinstance(message, RoundCertificate):
        return b"".join(
            (
                bytes((ROUND_TAG,)),
                message.height.to_bytes(8, "big"),
                message.round.to_bytes(4, "big"),
                len(message.votes).to_bytes(2, "big"),
                *map(_encode_vote, message.votes),
            )
        )
    return b"".join(
        (
            bytes((STATUS_TAG,)),
            message.height.to_bytes(8, "big"),
            message.round.to_bytes(4, "big"),
            message.step.to_bytes(1, "big"),
        )
    )


def decode_message(data: bytes) -> Message:
    """One message out of all of data; no signature is checked, nor whether signers are a quorum.

    Raises: InvalidMessage (MALFORMED, UNKNOWN_KIND, INVALID_VALID_ROUND, CONTRADICTORY,
    DUPLICATE_SIGNER).
    Cost: linear in data, which may have MESSAGE_BYTES_MAX bytes at most.
    """
    if not data or len(data) > MESSAGE_BYTES_MAX:
        raise InvalidMessage(MessageReason.MALFORMED, f"{len(data)} bytes")
    decode = DECODERS.get(data[0])
    if decode is None:
        raise InvalidMessage(MessageReason.UNKNOWN_KIND, str(data[0]))
    return decode(data)


def _encode_vote(vote: Vote) -> bytes:
    return b"".join(
        (
            vote.kind.to_bytes(1, "big"),
            vote.height.to_bytes(8, "big"),
            vote.round.to_bytes(4, "big"),
            vote.block_id,
            (vote.valid_round + 1).to_bytes(4, "big"),
            vote.validator.to_bytes(2, "big"),
            vote.signature,
        )
    )


def _require_length(data: bytes, length: int) -> None:
    if len(data) != length:
        raise InvalidMessage(MessageReason.MALFORMED, f"{len(data)} bytes, not {length}")


def _integer(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "big")


def _decode_vote(data: bytes) -> Vote:
    _require_length(data, VOTE_BYTES)
    vote = Vote(
        kind=VoteKind(data[0]),
        height=_integer(data, 1, 8),
        round=_integer(data, 9, 4),
        block_id=Hash32(data[13:45]),
        valid_round=_integer(data, 45, 4) - 1,
        validator=_integer(data, 49, 2),
        signature=data[51:],
    )
    _check_valid_round(vote.kind, vote.round, vote.block_id, vote.valid_round)
    if vote.kind == VoteKind.PROPOSAL and vote.is_nil:
        raise InvalidMessage(MessageReason.MALFORMED, "a proposal of no block")
    return vote


def _check_valid_round(kind: VoteKind, round: int, block_id: bytes, valid_round: int) -> None:
    """A valid round is before the round, and only said of a block, by who proposes or prevotes."""
    if valid_round == NO_ROUND:
        return
    if valid_round >= round or kind == VoteKind.PRECOMMIT or block_id == NIL_BLOCK:
        raise InvalidMessage(MessageReason.INVALID_VALID_ROUND, f"{valid_round} in round {round}")


def _decode_certificate(data: bytes) -> Certificate:
    if len(data) < CERTIFICATE_HEAD_BYTES:
        raise InvalidMessage(MessageReason.MALFORMED, f"{len(data)} bytes")
    if data[1] not in (VoteKind.PREVOTE, VoteKind.PRECOMMIT):
        raise InvalidMessage(MessageReason.CONTRADICTORY, f"a certificate of kind {data[1]}")
    kind, height, round = VoteKind(data[1]), _integer(data, 2, 8), _integer(data, 10, 4)
    block_id, valid_round = Hash32(data[14:46]), _integer(data, 46, 4) - 1
    _check_valid_round(kind, round, block_id, valid_round)
    size = _integer(data, 50, 2)
    if not 1 <= size <= VALIDATORS_MAX:
        raise InvalidMessage(MessageReason.MALFORMED, f"a set of {size}")
    start = CERTIFICATE_HEAD_BYTES + (size + 7) // 8
    bitmap = int.from_bytes(data[CERTIFICATE_HEAD_BYTES:start], "little")
    if bitmap >> size:
        raise InvalidMessage(MessageReason.MALFORMED, "a signer beyond the set")
    signers = tuple(index for index in range(size) if bitmap >> index & 1)
    _require_length(data, start + SIGNATURE_BYTES * len(signers))
    signatures = tuple(
        data[place : place + SIGNATURE_BYTES] for place in range(start, len(data), SIGNATURE_BYTES)
    )
    return Certificate(kind, height, round, block_id, valid_round, size, signers, signatures)


def _decode_round(data: bytes) -> RoundCertificate:
    if len(data) < 15:
        raise InvalidMessage(MessageReason.MALFORMED, f"{len(data)} bytes")
    height, round, count = _integer(data, 1, 8), _integer(data, 9, 4), _integer(data, 13, 2)
    _require_length(data, 15 + VOTE_BYTES * count)
    votes = []
    seen = set()
    for place in range(15, len(data), VOTE_BYTES):
        if data[place] not in VOTE_TAGS:
            raise InvalidMessage(MessageReason.UNKNOWN_KIND, str(data[place]))
        vote = _decode_vote(data[place : place + VOTE_BYTES])
        if (vote.height, vote.round) != (height, round):
            raise InvalidMessage(MessageReason.CONTRADICTORY, "a vote of another round")
        if (vote.kind, vote.validator) in seen:
            raise InvalidMessage(MessageReason.DUPLICATE_SIGNER, str(vote.validator))
        seen.add((vote.kind, vote.validator))
        votes.append(vote)
    return RoundCertificate(height, round, tuple(votes))


def _decode_status(data: bytes) -> Status:
    _require_length(data, STATUS_BYTES)
    if data[13] > Step.PRECOMMIT:
        raise InvalidMessage(MessageReason.MALFORMED, f"step {data[13]}")
    return Status(_integer(data, 1, 8), _integer(data, 9, 4), Step(data[13]))


VOTE_TAGS = frozenset(VoteKind)
DECODERS: dict[int, Callable[[bytes], Message]] = {
    **dict.fromkeys(VOTE_TAGS, _decode_vote),
    CERTIFICATE_TAG: _decode_certificate,
    ROUND_TAG: _decode_round,
    STATUS_TAG: _decode_status,
}
