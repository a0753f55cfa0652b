"""WebSocket connections: requests in, answers and notifications out, through one bounded queue.
Frames are made and read by the sans-I/O core of `websockets`.

Nothing more is answered while the client has answers to read. One that reads its notifications too
slowly is told so and closed; it never makes the node keep more than connection_queue_bytes_max for
it, and the answers that were under way when it stopped.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Awaitable

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from ghostchain.rpc.asking import Asker
from ghostchain.rpc.dispatch import TooFast
from ghostchain.rpc.errors import LIMIT_EXCEEDED, RpcError
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.protocol import Answer, encode_error, size_of
from ghostchain.rpc.reception import Reception
from ghostchain.rpc.subscriptions import Subscriber, Turn

logger = logging.getLogger(__name__)
# What a client sends is its own affair: its faults are answered, not logged.
FRAMES_LOGGER = logging.getLogger("ghostchain.rpc.websocket.frames")
FRAMES_LOGGER.setLevel(logging.CRITICAL)

CLOSE_TIMEOUT_S = 2.0
WRITE_BYTES = 64 * 1024
# The first byte of a frame: the last of its message, text, no extension.
WHOLE_TEXT = 0x81
# Looking a member up in its class takes as long as looking at the whole frame.
OPEN = State.OPEN
# Fragments of one message, which may be empty.
PARTS_MAX = 16_384
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
INVALID_DATA = 1007


def accept(headers: list[tuple[bytes, bytes]], options: RpcOptions) -> ServerProtocol | None:
    """The frames of a connection whose client asks for an upgrade with these headers; its answer
    is what data_to_send gives first. None: the handshake is not one."""
    # Bodies somewhat above the limit still get a JSON-RPC error; far above it the message is
    # refused by the protocol's own code 1009.
    frames = ServerProtocol(max_size=4 * options.limits.body_bytes_max, logger=FRAMES_LOGGER)
    lines = [b"GET / HTTP/1.1\r\n", *(b"%b: %b\r\n" % item for item in headers), b"\r\n"]
    frames.receive_data(b"".join(lines))
    requests = frames.events_received()
    if not requests or not isinstance(requests[0], Request):
        return None
    response = frames.accept(requests[0])
    if response.status_code != 101:
        return None
    frames.send_response(response)
    return frames


def text_head(length: int) -> bytes:
    """The head of a frame with a whole text of so many bytes (RFC 6455, 5.2)."""
    if length < 126:
        return bytes((WHOLE_TEXT, length))
    if length < 1 << 16:
        return struct.pack(">BBH", WHOLE_TEXT, 126, length)
    return struct.pack(">BBQ", WHOLE_TEXT, 127, length)


class Connection(asyncio.Protocol):
    """One client. Its subscriptions live and die with it."""

    def __init__(
        self,
        reception: Reception,
        transport: asyncio.Transport,
        frames: ServerProtocol,
        asker: Asker,
        address: str,
    ) -> None:
        self.reception = reception
        self.transport = transport
        self.frames = frames
        self.asker = asker
        self.address = address
        self.options = reception.options
        self.loop = asyncio.get_running_loop()
        count_max = self.options.subscriptions_per_connection_max
        self.subscriber = Subscriber(reception.broker, self.notify, count_max)
        # What is to be written, and whether it is a notification.
        self.queue: deque[tuple[Answer, int, bool]] = deque()
        self.queue_bytes = 0
        self.notified_bytes = self.written_bytes = 0
        self.calls: set[asyncio.Task[None]] = set()
        # Messages that came while connection_calls_max were under way.
        self.waiting: deque[bytes] = deque()
        self.parts: list[bytes] = []
        self.parts_are_text = False
        self.is_stuck = False
        self.stuck_since = 0.0
        self.unread_bytes = 0
        self.is_reading = True
        self.is_gone = False
        self.closing_since: float | None = None
        self.heard = self.loop.time()
        self.pinged: float | None = None
        # The answer to the handshake.
        self.flush()

    # ---- sending ----

    def notify(self, message: bytes) -> None:
        """Queues a notification; a client for whom too much of that is queued is closed instead.
        One alone may be larger than the bound."""
        most = self.options.connection_queue_bytes_max
        self.notified_bytes += len(message)
        if self.notified_bytes > max(most, len(message)):
            self.queue.clear()
            self.queue_bytes = self.notified_bytes = 0
            logger.info("closed a WebSocket client that reads too slowly")
            self.close(POLICY_VIOLATION, "client reads too slowly")
        else:
            self.send(message, is_notification=True)

    def send(self, message: Answer, *, is_notification: bool = False) -> None:
        """Queues a message. Of answers there are few: they are not made while some wait here."""
        if self.closing_since is not None or self.is_gone:
            return
        if not self.queue and not self.is_stuck:
            # What is told in one round of the loop leaves in one write.
            self.loop.call_soon(self.drain)
        size = size_of(message)
        self.queue.append((message, size, is_notification))
        self.queue_bytes += size

    def answer(self, message: bytes) -> None:
        """As `send`; what nothing is queued before, and is not large, leaves at once."""
        if self.queue or self.is_stuck or self.is_gone or len(message) >= WRITE_BYTES:
            self.send(message)
        elif self.closing_since is None and self.frames.state is OPEN:
            self.transport.write(text_head(len(message)) + message)

    def drain(self) -> None:
        """Writes what is queued, as long as the client takes it."""
        while self.queue and not self.is_stuck and self.closing_since is None:
            if self.frames.state is not OPEN:
                return
            size = 0
            parts: list[bytes] = []
            while self.queue and size < WRITE_BYTES:
                message, length, is_notification = self.queue.popleft()
                size += length
                if is_notification:
                    self.notified_bytes -= length
                parts.append(text_head(length))
                parts += (message,) if isinstance(message, bytes) else message
            self.queue_bytes -= size
            self.written_bytes = size
            if size < WRITE_BYTES:
                self.transport.write(b"".join(parts))
            else:
                self.transport.writelines(parts)
        if self.waiting:
            self.advance()

    def flush(self) -> None:
        """Writes what the protocol has to say."""
        chunks = self.frames.data_to_send()
        # An empty chunk, always the last one, stands for the end of what is sent.
        if data := b"".join(chunks):
            self.transport.write(data)
        if chunks and not chunks[-1] and not self.transport.is_closing():
            self.transport.write_eof()
        if self.frames.close_expected() and self.closing_since is None:
            self.closing_since = self.loop.time()

    def pause_writing(self) -> None:
        self.is_stuck = True
        self.asker.reads.clear()
        self.stuck_since = self.loop.time()
        self.unread_bytes = self.transport.get_write_buffer_size()
        self.reception.on_stuck(self)

    def unread(self) -> int:
        # The transport keeps what is written at once until the last of it is sent.
        unsent = self.transport.get_write_buffer_size()
        return (max(unsent, self.written_bytes) if unsent else 0) + self.queue_bytes

    def resume_writing(self) -> None:
        self.is_stuck = False
        self.drain()
        if not self.is_stuck:
            self.asker.reads.set()

    # ---- receiving ----

    def data_received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        self.pinged = None
        message = self.whole_message(data)
        if message is not None:
            if self.waiting or self.calls or self.is_stuck:
                self.waiting.append(message)
                self.advance()
            else:
                self.handle(message)
            return
        self.frames.receive_data(data)
        for event in self.frames.events_received():
            if isinstance(event, Frame):
                self.on_frame(event)
        self.flush()
        self.advance()

    def whole_message(self, data: bytes) -> bytes | None:
        """What most clients send most of the time: one text in one frame that came alone, behind
        all that was read before. None: whatever else it is, the protocol finds out."""
        if len(data) < 6 or data[0] != WHOLE_TEXT or not 0x80 <= data[1] < 0xFF or self.parts:
            return None
        if self.frames.reader.buffer or self.frames.state is not OPEN:
            return None
        if len(data) > self.options.limits.body_bytes_max:
            return None
        length, at = data[1] - 0x80, 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        if len(data) != at + 4 + length:
            return None
        message: bytes = apply_mask(data[at + 4 :], data[at : at + 4])
        return message if message.isascii() else None

    def eof_received(self) -> bool:
        self.frames.receive_eof()
        self.flush()
        return False

    def connection_lost(self, failure: Exception | None) -> None:
        """What was asked is still carried out, but reads that nobody waits for stop."""
        self.is_gone = True
        self.asker.leave()
        self.queue.clear()
        self.waiting.clear()
        self.subscriber.leave()
        self.reception.forget(self)

    def on_frame(self, frame: Frame) -> None:
        """Gathers the parts of a message. Control frames are answered by the protocol."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self.parts = [bytes(frame.data)]
            self.parts_are_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is Opcode.CONT:
            self.parts.append(bytes(frame.data))
            if len(self.parts) > PARTS_MAX:
                self.parts = []
                self.close(POLICY_VIOLATION, "too many fragments of a message")
                return
        else:
            return
        if not frame.fin:
            return
        message = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts = []
        if self.parts_are_text and not message.isascii():
            try:
                message.decode()
            except UnicodeDecodeError:
                self.frames.fail(INVALID_DATA, "text is not UTF-8")
                return
        self.waiting.append(message)

    def advance(self) -> None:
        """Answers what waits, while the client reads its answers; reads no further otherwise, pings
        neither."""
        while self.waiting and not self.must_wait():
            self.handle(self.waiting.popleft())
        if self.transport.is_closing():
            return
        should_read = not self.waiting and not self.is_stuck
        if self.is_reading and not should_read:
            self.is_reading = False
            self.pinged = None
            self.transport.pause_reading()
        elif should_read and not self.is_reading:
            self.is_reading = True
            self.heard = self.loop.time()
            self.transport.resume_reading()

    def must_wait(self) -> bool:
        """Whether the client runs ahead of us, or does not read what it has."""
        if self.is_stuck or self.queue_bytes > WRITE_BYTES:
            return True
        return len(self.calls) >= self.options.connection_calls_max

    def handle(self, body: bytes) -> None:
        turn = Turn(self.subscriber)
        try:
            answer = self.reception.dispatcher.begin(body, self.asker, turn)
        except TooFast as failure:
            answer = encode_error(None, RpcError(LIMIT_EXCEEDED, str(failure)))
        if isinstance(answer, bytes):
            if answer:
                self.answer(answer)
            turn.activate()
            return
        call = self.loop.create_task(self.answer_later(answer, turn))
        self.calls.add(call)
        call.add_done_callback(self.on_answered)

    async def answer_later(self, answer: Awaitable[Answer], turn: Turn) -> None:
        response = await answer
        if response:
            self.send(response)
        turn.activate()

    def on_answered(self, call: asyncio.Task[None]) -> None:
        self.calls.discard(call)
        if not self.is_gone:
            self.advance()

    # ---- the server's side ----

    def check(self, now: float) -> None:
        """Pings a silent client; lets one go that does not answer, does not read or does not finish
        closing."""
        if self.closing_since is not None:
            if now - self.closing_since > CLOSE_TIMEOUT_S:
                self.transport.abort()
        elif self.is_stuck:
            self.check_reading(now)
        elif self.pinged is not None:
            if now - self.pinged > self.options.heartbeat_s / 2:
                self.transport.abort()
        elif now - self.heard > self.options.heartbeat_s and self.is_reading:
            self.pinged = now
            self.frames.send_ping(b"")
            self.flush()

    def check_reading(self, now: float) -> None:
        """A client that takes less than send_bytes_min in send_timeout_s is let go."""
        if now - self.stuck_since < self.options.send_timeout_s:
            return
        left = self.transport.get_write_buffer_size()
        if self.unread_bytes - left < self.options.send_bytes_min:
            logger.info("closed a WebSocket client that does not read")
            self.transport.abort()
        self.stuck_since, self.unread_bytes = now, left

    def finish(self) -> None:
        """Says that the server goes away."""
        self.close(GOING_AWAY, "server is stopping")

    def close(self, code: int, reason: str) -> None:
        """Says why, and waits a moment for the client's consent (RFC 6455, 7.1.2)."""
        if self.closing_since is not None:
            return
        self.closing_since = self.loop.time()
        # Nobody is told what comes of it any more.
        self.asker.leave()
        self.waiting.clear()
        if self.frames.state is OPEN:
            try:
                self.frames.send_close(code, reason)
            except InvalidState:
                self.transport.abort()
            self.flush()
