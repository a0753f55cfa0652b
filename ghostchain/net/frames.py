"""Messages on a stream: length 4 bytes, big-endian, then that many bytes. Sans-IO.

A length is judged as soon as its four bytes are there, before any byte of the message is kept:
what a peer claims costs nothing.
"""

from __future__ import annotations

import struct
from enum import Enum

from ghostchain.primitives.errors import GhostError

HEADER_BYTES = 4
_LENGTH = struct.Struct(">I")
encode_length = _LENGTH.pack


class FrameReason(Enum):
    """Why a stream cannot be read on."""

    EMPTY = "a message of no bytes"
    TOO_LONG = "a message longer than its channel allows"


class InvalidFrame(GhostError):
    """The stream carries what no honest peer sends. Carries the reason and the length claimed."""

    def __init__(self, reason: FrameReason, length: int) -> None:
        super().__init__(f"{reason.value} ({length} bytes)")
        self.reason = reason
        self.length = length


def encode_frame(payload: bytes) -> bytes:
    """The message as it goes onto the stream."""
    return encode_length(len(payload)) + payload


class FrameDecoder:
    """Takes a stream apart, in whatever pieces it comes.

    Holds at most one message that is not whole, and what came after it in the piece that was fed:
    the caller bounds that by flow control.
    """

    __slots__ = ("_buffer", "_frame_bytes_max", "_length", "_offset")

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()
        self._offset = 0
        self._length = -1

    @property
    def waiting_bytes(self) -> int:
        """What was fed and has not come out as a message."""
        return len(self._buffer) - self._offset

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream."""
        if self._offset == len(self._buffer):
            self._buffer[:] = data
            self._offset = 0
        else:
            if self._offset > 1 << 16:
                del self._buffer[: self._offset]
                self._offset = 0
            self._buffer += data

    def next_length(self) -> int | None:
        """Of the message that comes next, whole or not; None while its length is not there.

        Raises: InvalidFrame.
        """
        if self._length < 0:
            if len(self._buffer) - self._offset < HEADER_BYTES:
                return None
            (length,) = _LENGTH.unpack_from(self._buffer, self._offset)
            if length == 0:
                raise InvalidFrame(FrameReason.EMPTY, length)
            if length > self._frame_bytes_max:
                raise InvalidFrame(FrameReason.TOO_LONG, length)
            self._length = length
        return self._length

    def next_frame(self) -> bytes | None:
        """The next message, None while it is not whole. Raises: InvalidFrame."""
        length = self.next_length()
        if length is None:
            return None
        start = self._offset + HEADER_BYTES
        if len(self._buffer) - start < length:
            return None
        payload = bytes(memoryview(self._buffer)[start : start + length])
        self._length = -1
        self._offset = start + length
        if self._offset == len(self._buffer):
            self._buffer.clear()
            self._offset = 0
        return payload
