"""The records of the write-ahead log: each input with its time, and the blocks that answers are
about. Integers are big-endian; the log frames and checks the bytes.

    record     now, nanoseconds 8 | tag 1 | payload
    1 start    height 8 | has work 1 | decided, nanoseconds + 1, 8 | set | last
    2 message  peer length 1 | peer | message
    3 built    height 8 | round 4 | found 1 | block id 32
    4 judged   height 8 | round + 1, 4 | valid 1 | block id 32
    5 signed   a vote: signature length 1, 0 or 64 | bytes of the vote with 64
    6 work     -
    7 tick     -
    8 block    height 8 | block id 32 | what the application needs to have it again
    9 resume   height 8 | round 4 | step 1 | locked | valid | own, count 2 | (signed, as 5) each
               | votes, count 2 | vote each | blocks, count 2 | id 32 each
               | judged, count 2 | (round + 1, 4 | valid 1 | id 32) each

    set        count 2 | (operator 20 | key 32 | power 16) each
    last       0, or 1 | its set, count 0: the same | certificate
    locked, valid    round + 1, 4 | block id 32; 0: none
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ghostchain.consensus.effects import (
    Built,
    Input,
    Received,
    Resume,
    Signed,
    StartHeight,
    Tick,
    Validated,
    Work,
)
from ghostchain.consensus.messages import (
    SIGNATURE_BYTES,
    VOTE_BYTES,
    Certificate,
    InvalidMessage,
    Step,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.encoding.votes import NIL_BLOCK
from ghostchain.primitives.types import Address, Hash32

START, MESSAGE, BUILT, JUDGED, SIGNED, WORK, TICK, BLOCK, RESUME = range(1, 10)
VALIDATOR_BYTES = 20 + 32 + 16
ANSWER_BYTES = 8 + 4 + 1 + 32
HELD_PLACE, HELD_BYTES = 8 + 4 + 1, 4 + 32
JUDGED_BYTES = 4 + 1 + 32


class InvalidRecord(Exception):
    """Bytes that this codec did not write: a log of another version, or damage that its checksums
    did not see."""


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """What the application needs to have a block again."""

    height: int
    block_id: Hash32
    record: bytes


def encode_record(now_ns: int, entry: Input | BlockRecord) -> bytes:
    """The bytes of an input, or of a block, at that time."""
    tag, encode = ENCODERS[type(entry)]
    return b"".join((now_ns.to_bytes(8, "big"), bytes((tag,)), encode(entry)))


def decode_record(data: bytes) -> tuple[int, Input | BlockRecord]:
    """The time and the input, or the block. Raises: InvalidRecord."""
    if len(data) < 9 or data[8] not in DECODERS:
        raise InvalidRecord(f"{len(data)} bytes, tag {data[8:9].hex()}")
    try:
        return int.from_bytes(data[:8], "big"), DECODERS[data[8]](data[9:])
    except (InvalidMessage, ValueError, IndexError) as error:
        raise InvalidRecord(f"tag {data[8]}: {error}") from error


def _encode_set(validators: ValidatorSet | None) -> bytes:
    if validators is None:
        return bytes(2)
    return len(validators).to_bytes(2, "big") + b"".join(
        validator.operator + validator.key + validator.power.to_bytes(16, "big")
        for validator in validators.validators
    )


def _encode_start(start: StartHeight) -> bytes:
    decided = 0 if start.decided_ns is None else start.decided_ns + 1
    parts = [
        start.height.to_bytes(8, "big"),
        bytes((start.has_work,)),
        decided.to_bytes(8, "big"),
        _encode_set(start.validators),
        bytes((start.last is not None,)),
    ]
    if start.last is not None:
        is_same = start.last_validators == start.validators
        parts.append(_encode_set(None if is_same else start.last_validators))
        parts.append(encode_message(start.last))
    return b"".join(parts)


def _encode_received(received: Received) -> bytes:
    peer = received.peer
    return bytes((len(peer),)) + peer + encode_message(received.message)


def _encode_built(built: Built) -> bytes:
    return b"".join(
        (
            built.height.to_bytes(8, "big"),
            built.round.to_bytes(4, "big"),
            bytes((built.block_id is not None,)),
            NIL_BLOCK if built.block_id is None else built.block_id,
        )
    )


def _encode_judged(validated: Validated) -> bytes:
    round = 0 if validated.round is None else validated.round + 1
    return b"".join(
        (
            validated.height.to_bytes(8, "big"),
            round.to_bytes(4, "big"),
            bytes((validated.is_valid,)),
            validated.block_id,
        )
    )


def _encode_signed(signed: Signed) -> bytes:
    vote = signed.vote
    whole = replace(vote, signature=vote.signature or bytes(SIGNATURE_BYTES))
    return bytes((len(vote.signature),)) + encode_message(whole)


def _encode_block(block: BlockRecord) -> bytes:
    return block.height.to_bytes(8, "big") + block.block_id + block.record


def _encode_held(held: tuple[Hash32, int] | None) -> bytes:
    block_id, round = (Hash32(NIL_BLOCK), -1) if held is None else held
    return (round + 1).to_bytes(4, "big") + block_id


def _encode_resume(resume: Resume) -> bytes:
    def count(items: Sequence[object]) -> bytes:
        return len(items).to_bytes(2, "big")

    return b"".join(
        (
            resume.height.to_bytes(8, "big"),
            resume.round.to_bytes(4, "big"),
            bytes((resume.step,)),
            _encode_held(resume.locked),
            _encode_held(resume.valid),
            count(resume.own),
            *(_encode_signed(Signed(vote)) for vote in resume.own),
            count(resume.votes),
            *map(encode_message, resume.votes),
            count(resume.at_hand),
            *resume.at_hand,
            count(resume.judged),
            *(
                (0 if round is None else round + 1).to_bytes(4, "big") + bytes((valid,)) + block_id
                for block_id, round, valid in resume.judged
            ),
        )
    )


ENCODERS: dict[type, tuple[int, Callable[..., bytes]]] = {
    StartHeight: (START, _encode_start),
    Received: (MESSAGE, _encode_received),
    Built: (BUILT, _encode_built),
    Validated: (JUDGED, _encode_judged),
    Signed: (SIGNED, _encode_signed),
    Work: (WORK, lambda _: b""),
    Tick: (TICK, lambda _: b""),
    BlockRecord: (BLOCK, _encode_block),
    Resume: (RESUME, _encode_resume),
}


def _integer(data: bytes, start: int, size: int) -> int:
    if len(data) < start + size:
        raise ValueError("too short")
    return int.from_bytes(data[start : start + size], "big")


def _require_length(data: bytes, length: int) -> None:
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes, not {length}")


def _decode_empty(data: bytes, entry: Input) -> Input:
    _require_length(data, 0)
    return entry


def _decode_set(data: bytes, place: int) -> tuple[ValidatorSet | None, int]:
    count = _integer(data, place, 2)
    place += 2
    end = place + count * VALIDATOR_BYTES
    if len(data) < end:
        raise ValueError("too short")
    validators = [
        Validator(Address(data[at : at + 20]), data[at + 20 : at + 52], _integer(data, at + 52, 16))
        for at in range(place, end, VALIDATOR_BYTES)
    ]
    return (ValidatorSet(validators) if validators else None), end


def _decode_start(data: bytes) -> StartHeight:
    decided = _integer(data, 9, 8)
    validators, place = _decode_set(data, 17)
    if validators is None:
        raise ValueError("no validators")
    last: Certificate | None = None
    last_validators: ValidatorSet | None = None
    if data[place]:
        last_validators, place = _decode_set(data, place + 1)
        last_validators = last_validators or validators
        message = decode_message(data[place:])
        if not isinstance(message, Certificate):
            raise ValueError("not a certificate")
        last = message
    return StartHeight(
        _integer(data, 0, 8),
        validators,
        bool(data[8]),
        decided - 1 if decided else None,
        last,
        last_validators,
    )


def _decode_received(data: bytes) -> Received:
    end = 1 + data[0]
    return Received(decode_message(data[end:]), data[1:end])


def _decode_built(data: bytes) -> Built:
    _require_length(data, ANSWER_BYTES)
    block_id = Hash32(data[13:]) if data[12] else None
    return Built(_integer(data, 0, 8), _integer(data, 8, 4), block_id)


def _decode_judged(data: bytes) -> Validated:
    _require_length(data, ANSWER_BYTES)
    round = _integer(data, 8, 4)
    return Validated(
        _integer(data, 0, 8),
        Hash32(data[13:]),
        bool(data[12]),
        round=round - 1 if round else None,
    )


def _decode_signed(data: bytes) -> Signed:
    vote = decode_message(data[1:])
    if not isinstance(vote, Vote):
        raise ValueError("not a vote")
    return Signed(vote if data[0] else replace(vote, signature=b""))


def _decode_block(data: bytes) -> BlockRecord:
    if len(data) < 40:
        raise ValueError("too short")
    return BlockRecord(_integer(data, 0, 8), Hash32(data[8:40]), data[40:])


def _decode_held(data: bytes) -> tuple[Hash32, int] | None:
    round = _integer(data, 0, 4) - 1
    return None if round < 0 else (Hash32(data[4:]), round)


def _decode_verdict(data: bytes) -> tuple[Hash32, int | None, bool]:
    round = _integer(data, 0, 4)
    return Hash32(data[5:]), round - 1 if round else None, bool(data[4])


def _decode_resume(data: bytes) -> Resume:
    place = HELD_PLACE + 2 * HELD_BYTES
    parts: list[list[bytes]] = []
    for size in (1 + VOTE_BYTES, VOTE_BYTES, 32, JUDGED_BYTES):
        start = place + 2
        place = start + _integer(data, place, 2) * size
        if place > len(data):
            raise ValueError("too short")
        parts.append([data[at : at + size] for at in range(start, place, size)])
    _require_length(data, place)
    own, votes, at_hand, judged = parts
    return Resume(
        _integer(data, 0, 8),
        _integer(data, 8, 4),
        Step(data[12]),
        _decode_held(data[HELD_PLACE : HELD_PLACE + HELD_BYTES]),
        _decode_held(data[HELD_PLACE + HELD_BYTES : HELD_PLACE + 2 * HELD_BYTES]),
        tuple(_decode_signed(each).vote for each in own),
        tuple(_decode_signed(b"\x40" + each).vote for each in votes),
        tuple(map(Hash32, at_hand)),
        tuple(map(_decode_verdict, judged)),
    )


DECODERS: dict[int, Callable[[bytes], Input | BlockRecord]] = {
    START: _decode_start,
    MESSAGE: _decode_received,
    BUILT: _decode_built,
    JUDGED: _decode_judged,
    SIGNED: _decode_signed,
    WORK: lambda data: _decode_empty(data, Work()),
    TICK: lambda data: _decode_empty(data, Tick()),
    BLOCK: _decode_block,
    RESUME: _decode_resume,
}
