"""Messages on a stream: whatever the pieces, the same messages; a bad length costs nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.net.frames import FrameDecoder, FrameReason, InvalidFrame, encode_frame

LIMIT = 5_000


def taken(decoder: FrameDecoder) -> list[bytes]:
    frames = []
    while (frame := decoder.next_frame()) is not None:
        frames.append(frame)
    return frames


@given(
    st.lists(st.integers(1, LIMIT), max_size=12),
    st.lists(st.integers(1, 3_000), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_pieces_give_the_same_messages(
    sizes: list[int], pieces: list[int], takes_at_once: bool
) -> None:
    messages = [bytes([index + 1]) * size for index, size in enumerate(sizes)]
    stream = b"".join(map(encode_frame, messages))
    decoder = FrameDecoder(LIMIT)
    got: list[bytes] = []
    at = turn = 0
    while at < len(stream):
        size = pieces[turn % len(pieces)]
        decoder.feed(stream[at : at + size])
        at += size
        turn += 1
        if takes_at_once:
            got += taken(decoder)
            whole = sum(len(message) + 4 for message in got)
            assert decoder.waiting_bytes == min(at, len(stream)) - whole
    got += taken(decoder)
    assert got == messages
    assert decoder.waiting_bytes == 0


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (0, FrameReason.EMPTY),
        (LIMIT + 1, FrameReason.TOO_LONG),
        (0xFFFFFFFF, FrameReason.TOO_LONG),
    ],
)
def test_a_bad_length_is_refused_when_it_is_known(length: int, reason: FrameReason) -> None:
    """After the fourth byte, not earlier and not later."""
    decoder = FrameDecoder(LIMIT)
    header = length.to_bytes(4, "big")
    decoder.feed(encode_frame(b"first") + header[:3])
    assert decoder.next_frame() == b"first"
    assert decoder.next_frame() is None
    decoder.feed(header[3:])
    with pytest.raises(InvalidFrame) as refusal:
        decoder.next_frame()
    assert (refusal.value.reason, refusal.value.length) == (reason, length)


def test_what_was_taken_is_given_up() -> None:
    """A stream of a thousand times the limit leaves nothing behind."""
    decoder = FrameDecoder(LIMIT)
    frame = encode_frame(bytes(LIMIT))
    for _ in range(1_000):
        decoder.feed(frame + frame[:100])
        assert len(decoder.next_frame() or b"") == LIMIT
        decoder.feed(frame[100:])
        assert len(decoder.next_frame() or b"") == LIMIT
        assert len(decoder._buffer) <= 3 * LIMIT
