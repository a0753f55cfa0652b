"""Messages and records as bytes: one encoding each, and a named refusal for everything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.consensus.certificates import certificate_of
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
    CERTIFICATE_HEAD_BYTES,
    MESSAGE_BYTES_MAX,
    ROUND_VOTES_MAX,
    VOTE_BYTES,
    Certificate,
    InvalidMessage,
    Message,
    MessageReason,
    RoundCertificate,
    Status,
    Step,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.consensus.records import BlockRecord, InvalidRecord, decode_record, encode_record
from ghostchain.consensus.validators import VALIDATORS_MAX, Validator, ValidatorSet
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Address, Hash32
from tests.unit.consensus_subject import PREVOTE, PROPOSAL, A, Subject

heights = st.integers(0, 2**64 - 1)
rounds = st.integers(0, 2**32 - 1)
hashes = st.binary(min_size=32, max_size=32).map(Hash32)
signatures = st.binary(min_size=64, max_size=64)


@st.composite
def votes(draw: st.DrawFn, height: int | None = None, round: int | None = None) -> Vote:
    kind = draw(st.sampled_from(VoteKind))
    round = draw(rounds) if round is None else round
    block_id = Hash32(b"\x01" + draw(hashes)[1:])
    if kind != VoteKind.PROPOSAL and draw(st.booleans()):
        block_id = Hash32(NIL_BLOCK)
    valid_round = NO_ROUND
    if kind != VoteKind.PRECOMMIT and block_id != NIL_BLOCK and round:
        valid_round = draw(st.integers(-1, min(round - 1, 2**32 - 2)))
    return Vote(
        kind,
        draw(heights) if height is None else height,
        round,
        block_id,
        valid_round,
        draw(st.integers(0, 2**16 - 1)),
        draw(signatures),
    )


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    size = draw(st.integers(1, VALIDATORS_MAX))
    signers = sorted(draw(st.sets(st.integers(0, size - 1), max_size=8)))
    kind = draw(st.sampled_from([VoteKind.PREVOTE, VoteKind.PRECOMMIT]))
    round = draw(rounds)
    valid_round = draw(st.integers(-1, round - 1)) if kind == PREVOTE and round else NO_ROUND
    return Certificate(
        kind,
        draw(heights),
        round,
        Hash32(b"\x01" + draw(hashes)[1:]),
        valid_round,
        size,
        tuple(signers),
        tuple(draw(signatures) for _ in signers),
    )


@st.composite
def round_certificates(draw: st.DrawFn) -> RoundCertificate:
    height, round = draw(heights), draw(rounds)
    each = votes(height, round)
    unique = st.lists(each, max_size=5, unique_by=lambda vote: (vote.kind, vote.validator))
    return RoundCertificate(height, round, tuple(draw(unique)))


statuses = st.builds(Status, heights, rounds, st.sampled_from(Step))
messages = st.one_of(votes(), certificates(), round_certificates(), statuses)


@given(messages)
def test_what_is_encoded_decodes_to_the_same(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@given(st.one_of(st.binary(max_size=300), messages.map(encode_message)), st.data())
def test_what_decodes_has_one_encoding(data: bytes, draw: st.DataObject) -> None:
    """Any bytes, and messages with a byte changed: refused, or the very bytes again."""
    if data:
        place = draw.draw(st.integers(0, len(data) - 1))
        data = data[:place] + draw.draw(st.binary(max_size=2)) + data[place + 1 :]
    try:
        message = decode_message(data)
    except InvalidMessage:
        return
    assert encode_message(message) == data


def refusal(data: bytes) -> MessageReason:
    with pytest.raises(InvalidMessage) as refused:
        decode_message(data)
    return refused.value.reason


SUBJECT = Subject()
VOTE = SUBJECT.vote(PREVOTE, 0, A, 5, 2)
CERTIFICATE = SUBJECT.certificate(PREVOTE, A, (0, 2, 3), 5)


def test_lengths_are_exact() -> None:
    status = encode_message(Status(1, 2, Step.PROPOSE))
    for data in (encode_message(VOTE), encode_message(CERTIFICATE), status):
        assert refusal(data[:-1]) == MessageReason.MALFORMED
        assert refusal(data + b"\0") == MessageReason.MALFORMED
    assert refusal(b"") == MessageReason.MALFORMED
    assert refusal(bytes(MESSAGE_BYTES_MAX + 1)) == MessageReason.MALFORMED


@pytest.mark.parametrize("tag", [0, 7, 8, 0x47, 0xFF])
def test_unknown_kinds(tag: int) -> None:
    assert refusal(bytes((tag,)) + encode_message(VOTE)[1:]) == MessageReason.UNKNOWN_KIND


@pytest.mark.parametrize(
    ("vote", "reason"),
    [
        (replace(VOTE, valid_round=5), MessageReason.INVALID_VALID_ROUND),
        (replace(VOTE, kind=VoteKind.PRECOMMIT), MessageReason.INVALID_VALID_ROUND),
        (replace(VOTE, block_id=Hash32(NIL_BLOCK)), MessageReason.INVALID_VALID_ROUND),
        (
            replace(VOTE, kind=PROPOSAL, block_id=Hash32(NIL_BLOCK), valid_round=-1),
            MessageReason.MALFORMED,
        ),
    ],
)
def test_votes_that_no_validator_says(vote: Vote, reason: MessageReason) -> None:
    assert refusal(encode_message(vote)) == reason


def test_certificates_that_nobody_makes() -> None:
    """Bitmap and signatures agree in length (ASA-2025-003), and no signer is beyond the set."""
    data = bytearray(encode_message(CERTIFICATE))
    bitmap = CERTIFICATE_HEAD_BYTES
    for change, reason in (
        ((bitmap, 0b11101), MessageReason.MALFORMED),
        ((bitmap, 0b0101), MessageReason.MALFORMED),
        ((bitmap, 0b1111), MessageReason.MALFORMED),
        ((1, VoteKind.PROPOSAL), MessageReason.CONTRADICTORY),
        ((1, 9), MessageReason.CONTRADICTORY),
        ((51, 0), MessageReason.MALFORMED),
        ((51, 201), MessageReason.MALFORMED),
    ):
        broken = bytearray(data)
        broken[change[0]] = change[1]
        assert refusal(bytes(broken)) == reason, change


def test_round_certificates_that_nobody_makes() -> None:
    other = SUBJECT.vote(PREVOTE, 2, A, 4)
    twice = RoundCertificate(1, 5, (VOTE, replace(VOTE, signature=bytes(64))))
    assert refusal(encode_message(twice)) == MessageReason.DUPLICATE_SIGNER
    mixed = RoundCertificate(1, 5, (VOTE, other))
    assert refusal(encode_message(mixed)) == MessageReason.CONTRADICTORY
    data = bytearray(encode_message(RoundCertificate(1, 5, (VOTE,))))
    data[14] = 2
    assert refusal(bytes(data)) == MessageReason.MALFORMED
    data[14], data[15] = 1, 4
    assert refusal(bytes(data)) == MessageReason.UNKNOWN_KIND


def test_the_largest_messages_fit() -> None:
    everybody = [Vote(PREVOTE, 1, 5, A, 2, index, bytes(64)) for index in range(VALIDATORS_MAX)]
    assert decode_message(encode_message(certificate_of(everybody, VALIDATORS_MAX)))
    full = tuple(
        Vote(kind, 1, 5, A, -1, index, bytes(64))
        for kind in VoteKind
        for index in range(VALIDATORS_MAX)
    )
    data = encode_message(RoundCertificate(1, 5, full))
    assert len(full) == ROUND_VOTES_MAX
    assert len(data) == MESSAGE_BYTES_MAX == 15 + ROUND_VOTES_MAX * VOTE_BYTES
    assert decode_message(data) == RoundCertificate(1, 5, full)


# ---- records of the log ----


@st.composite
def validator_sets(draw: st.DrawFn) -> ValidatorSet:
    keys = draw(st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=5))
    return ValidatorSet(
        Validator(Address(key[:20]), key, draw(st.integers(1, 2**120))) for key in sorted(keys)
    )


@st.composite
def starts(draw: st.DrawFn) -> StartHeight:
    validators = draw(validator_sets())
    last = draw(st.none() | certificates())
    before = None
    if last is not None:
        before = draw(st.just(validators) | validator_sets())
    decided_ns = draw(st.none() | st.integers(0, 2**63))
    return StartHeight(draw(heights), validators, draw(st.booleans()), decided_ns, last, before)


held = st.none() | st.tuples(hashes, st.integers(0, 2**32 - 2))
resumes = st.builds(
    Resume,
    heights,
    rounds,
    st.sampled_from(Step),
    held,
    held,
    st.lists(votes() | votes().map(lambda vote: replace(vote, signature=b"")), max_size=3).map(
        tuple
    ),
    st.lists(votes(), max_size=3).map(tuple),
    st.lists(hashes, max_size=3).map(tuple),
    st.lists(
        st.tuples(hashes, st.none() | st.integers(0, 2**32 - 2), st.booleans()), max_size=3
    ).map(tuple),
)
entries = st.one_of(
    resumes,
    starts(),
    st.builds(Received, messages, st.binary(max_size=40)),
    st.builds(Built, heights, rounds, st.none() | hashes),
    st.builds(
        Validated, heights, hashes, st.booleans(), round=st.none() | st.integers(0, 2**32 - 2)
    ),
    st.builds(Signed, votes() | votes().map(lambda vote: replace(vote, signature=b""))),
    st.just(Work()),
    st.just(Tick()),
    st.builds(BlockRecord, heights, hashes, st.binary(max_size=50)),
)


@given(st.integers(0, 2**63), entries)
def test_a_record_decodes_to_what_was_logged(now_ns: int, entry: Input | BlockRecord) -> None:
    assert decode_record(encode_record(now_ns, entry)) == (now_ns, entry)


@given(st.binary(max_size=120))
def test_a_record_of_other_bytes_is_refused(data: bytes) -> None:
    try:
        now_ns, entry = decode_record(data)
    except InvalidRecord:
        return
    assert decode_record(encode_record(now_ns, entry)) == (now_ns, entry)


@given(entries, st.integers(0, 200))
def test_a_record_cut_short_is_refused(entry: Input | BlockRecord, length: int) -> None:
    data = encode_record(5, entry)
    if isinstance(entry, BlockRecord):
        data = data[: len(data) - len(entry.record)]
    with pytest.raises(InvalidRecord):
        decode_record(data[: min(length, len(data) - 1)])
