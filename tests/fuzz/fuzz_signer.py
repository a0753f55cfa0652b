"""Any bytes as a frame between node and signer, as a write-ahead log and as a high-water slot: read
and written back unchanged, or refused with a reason; never another exception."""

from __future__ import annotations

from ghostchain.encoding.votes import VoteKind
from ghostchain.node.signing.protocol import (
    LENGTH_BYTES,
    Answer,
    Claim,
    Hello,
    Introduce,
    InvalidFrame,
    Prove,
    Sign,
    decode_answer,
    decode_ask,
    encode_answer,
    encode_ask,
)
from ghostchain.storage.highwater import (
    Marks,
    Request,
    Signed,
    SigningRefused,
    decode_slot,
    encode_slot,
)
from ghostchain.storage.wal import FIRST_CHECK, decode_records, encode_record

REQUEST = Request(VoteKind.PREVOTE, 5, 2, b"\x11" * 32, 1)
INTRODUCE = Introduce(b"\x45" * 32, 1_800_000_000_000)
SLOT = encode_slot(7, b"\x22" * 32, 3, Marks().after(Signed(REQUEST, b"\x33" * 64)))
RECORD, CHECK = encode_record(b"first", FIRST_CHECK)

SEEDS = [
    b"",
    *(
        encode_ask(1, ask)[LENGTH_BYTES:]
        for ask in (Hello(7), Sign(REQUEST), Prove(b"alpha"), Claim(b"\x44" * 20), INTRODUCE)
    ),
    encode_answer(1, Answer(b"\x55" * 64))[LENGTH_BYTES:],
    encode_answer(1, Answer(b"", "refused"))[LENGTH_BYTES:],
    RECORD + encode_record(b"second", CHECK)[0],
    SLOT,
]


def check(data: bytes) -> None:
    check_frames(data)
    payloads, end, last = decode_records(data)
    written, previous = b"", FIRST_CHECK
    for payload in payloads:
        record, previous = encode_record(payload, previous)
        written += record
    assert (written, previous) == (data[:end], last)
    slot = decode_slot(data)
    if slot is not None:
        assert encode_slot(*slot) == data


def check_frames(data: bytes) -> None:
    try:
        number, ask = decode_ask(data)
        assert encode_ask(number, ask)[LENGTH_BYTES:] == data
        if isinstance(ask, Sign):
            check_marks(ask.request)
    except InvalidFrame:
        pass
    try:
        number, answer = decode_answer(data)
        assert encode_answer(number, answer)[LENGTH_BYTES:] == data
    except InvalidFrame:
        pass


def check_marks(request: Request) -> None:
    """Whatever vote is asked for, it is refused or can be remembered and read again."""
    try:
        known = Marks().recall(request)
    except SigningRefused:
        return
    assert known is None
    marks = Marks().after(Signed(request, bytes(64)))
    slot = decode_slot(encode_slot(7, bytes(32), 1, marks))
    assert slot is not None
    assert slot[3] == marks
    assert marks.recall(request) == bytes(64)


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
