"""Any bytes as what a validator says, as a record of its log, or as a row of messages to a core:
what decodes encodes to the same bytes, what does not is refused with a reason, and no message, in
whatever order, breaks the core or makes it sign what a validator must not.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ghostchain.consensus.certificates import certificate_of
from ghostchain.consensus.effects import (
    Built,
    Received,
    Resume,
    Signed,
    StartHeight,
    Tick,
    Validated,
)
from ghostchain.consensus.messages import (
    MESSAGE_BYTES_MAX,
    InvalidMessage,
    Message,
    RoundCertificate,
    Status,
    Step,
    decode_message,
    encode_message,
)
from ghostchain.consensus.records import BlockRecord, InvalidRecord, decode_record, encode_record
from tests.unit.consensus_cluster import validator_set
from tests.unit.consensus_subject import NIL, PRECOMMIT, PREVOTE, PROPOSAL, A, B, Subject, peer_of

# The first byte of an input says what the rest is.
MESSAGE, RECORD, ROW = 0, 1, 2

SUBJECT = Subject()
VOTES = [
    SUBJECT.vote(PROPOSAL, 2, A),
    SUBJECT.vote(PROPOSAL, 0, A, 1, 0),
    *(SUBJECT.vote(PREVOTE, index, block) for index in (0, 2, 3) for block in (A, B)),
    *(SUBJECT.vote(PRECOMMIT, index, block) for index in (0, 2, 3) for block in (A, NIL)),
    SUBJECT.vote(PREVOTE, 3, B, 1, 0),
    SUBJECT.vote(PREVOTE, 0, NIL, 9),
    SUBJECT.vote(PREVOTE, 0, A, height=2),
]
MESSAGES: list[Message] = [
    *VOTES,
    SUBJECT.certificate(PREVOTE, A, (0, 2, 3)),
    SUBJECT.certificate(PRECOMMIT, B, (0, 1, 3)),
    RoundCertificate(1, 0, (VOTES[2], VOTES[4])),
    RoundCertificate(1, 4, tuple(SUBJECT.vote(PRECOMMIT, each, NIL, 4) for each in (0, 2))),
    Status(1, 0, Step.PREVOTE),
    Status(9, 3, Step.PRECOMMIT),
]
LARGE = certificate_of([SUBJECT.vote(PRECOMMIT, 0, A)], 200)
START = StartHeight(7, validator_set((5, 1)), True, 12, LARGE, validator_set((1, 2, 3)))
RECORDS = [
    encode_record(1, entry)
    for entry in (
        START,
        Received(VOTES[0], peer_of(2)),
        Built(1, 0, A),
        Built(1, 0, None, "none"),
        Validated(1, A, True, round=0),
        Signed(VOTES[3]),
        Tick(),
        Resume(
            1, 3, Step.PROPOSE, (A, 0), (B, 1), (VOTES[3],), (VOTES[0],), (A,), ((B, 0, False),)
        ),
        BlockRecord(1, A, b"the block"),
    )
]


def row_of(messages: list[Message]) -> bytes:
    """Each with its length, 2 bytes."""
    encoded = [encode_message(message) for message in messages]
    return b"".join(len(each).to_bytes(2, "big") + each for each in encoded)


SEEDS = [
    *(bytes((MESSAGE,)) + encode_message(message) for message in (*MESSAGES, LARGE)),
    *(bytes((RECORD,)) + record for record in RECORDS),
    bytes((ROW,)) + row_of(MESSAGES),
    bytes((ROW,)) + row_of(MESSAGES[::-1]),
    bytes((ROW,)) + row_of([*MESSAGES[:5], *MESSAGES[-4:]]),
]


def check_message(data: bytes) -> None:
    try:
        message = decode_message(data)
    except InvalidMessage:
        return
    assert len(data) <= MESSAGE_BYTES_MAX
    assert encode_message(message) == data


def check_record(data: bytes) -> None:
    try:
        now_ns, entry = decode_record(data)
    except InvalidRecord:
        return
    assert decode_record(encode_record(now_ns, entry)) == (now_ns, entry)


def check_row(data: bytes) -> None:
    """The row is said by three peers; blocks are valid, time passes at every byte 0 of a length."""
    subject = Subject()
    place = 0
    while place + 2 <= len(data):
        length = int.from_bytes(data[place : place + 2], "big")
        try:
            message = decode_message(data[place + 2 : place + 2 + length])
        except InvalidMessage:
            subject.later(length)
        else:
            subject.hear(message, peer_of(length % 3))
            for block in (A, B):
                subject.judge(block)
        place += 2 + length
    places = [vote[:2] for vote in subject.own]
    assert len(places) == len(set(places))
    assert subject.decision is None or subject.decision.block_id in (A, B)


def check(data: bytes) -> None:
    checks = {MESSAGE: check_message, RECORD: check_record, ROW: check_row}
    if data[:1] and data[0] in checks:
        checks[data[0]](data[1:])


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
