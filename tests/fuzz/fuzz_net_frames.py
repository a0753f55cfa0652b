"""Streams of messages from hostile peers: in whatever pieces they come, the same messages and the
same refusal come out as from a reader that has all of it at once."""

from __future__ import annotations

from ghostchain.net.frames import FrameDecoder, FrameReason, InvalidFrame, encode_frame
from tests.fuzz.harness import fuzz

LIMIT = 300

SEEDS = [
    b"\x07" + encode_frame(b"vote") * 3,
    b"\x01" + encode_frame(bytes(LIMIT)) + encode_frame(b"x"),
    b"\xff" + encode_frame(b"x") + bytes(4),
    b"\x03" + encode_frame(b"x") + (LIMIT + 1).to_bytes(4, "big"),
    b"\x80" + encode_frame(bytes(100)) + b"\xff\xff\xff\xff",
]


def expected(stream: bytes) -> tuple[list[bytes], FrameReason | None]:
    frames = []
    while len(stream) >= 4:
        length = int.from_bytes(stream[:4], "big")
        if length == 0:
            return frames, FrameReason.EMPTY
        if length > LIMIT:
            return frames, FrameReason.TOO_LONG
        if len(stream) < 4 + length:
            break
        frames.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return frames, None


def check(data: bytes) -> None:
    """The first byte says how large the pieces are."""
    if not data:
        return
    piece, stream = 1 + data[0], data[1:]
    decoder = FrameDecoder(LIMIT)
    frames: list[bytes] = []
    refusal = None
    try:
        for start in range(0, len(stream), piece):
            decoder.feed(stream[start : start + piece])
            while (frame := decoder.next_frame()) is not None:
                frames.append(frame)
            assert decoder.waiting_bytes < LIMIT + 4
    except InvalidFrame as invalid:
        refusal = invalid.reason
    assert (frames, refusal) == expected(stream)


if __name__ == "__main__":
    fuzz(check, SEEDS)
