"""One HTTP/1.1 connection: bytes to requests (llhttp, by httptools), answers to bytes.

What can be answered at once is, without a task; of the rest one at a time is under way on a
connection, in the order of the requests. A connection whose client does not read its answers is not
read either, and what a client may leave unfinished (a head, a body, the reading of an answer) has a
time after which the connection ends: see `check`, which the server calls now and then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from math import ceil
from typing import cast

import httptools
import orjson

from ghostchain.rpc.asking import Asker
from ghostchain.rpc.dispatch import TooFast
from ghostchain.rpc.errors import INVALID_REQUEST, LIMIT_EXCEEDED, RpcError
from ghostchain.rpc.protocol import Answer, encode_error, size_of
from ghostchain.rpc.reception import KnownHead, Reception
from ghostchain.rpc.websocket import Connection, accept

HEAD_BYTES_MAX = 32 * 1024
# Heads that are known again by their bytes: how many, and how large.
KNOWN_HEADS_MAX = 1024
KNOWN_HEAD_BYTES_MAX = 2048
# Of a body that was refused: how much is read, and for how long, to let the client see why.
LINGER_BYTES_MAX = 64 * 1024 * 1024
LINGER_S = 5.0

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
OK = LINES[200]
ENTITY = b"%bContent-Type: application/json\r\nContent-Length: %d\r\nDate: %b\r\n%b\r\n"
PREFLIGHT = (
    b"Access-Control-Allow-Methods: POST, GET, OPTIONS\r\n"
    b"Access-Control-Allow-Headers: *\r\nAccess-Control-Max-Age: 600\r\n"
)
# Copying a few bytes costs less than a second entry of the transport's queue.
COPIED_BYTES = 16_384
# Headers by which a request is told apart from those before it.
UNUSUAL = frozenset({b"expect", b"transfer-encoding", b"trailer"})
CLOSES = b"Connection: close\r\n"
STAYS = b"Connection: keep-alive\r\n"


class Phase(Enum):
    """What the connection waits for."""

    IDLE = "a request"
    HEAD = "the rest of its head"
    BODY = "the rest of its body"
    UPGRADED = "nothing: a WebSocket has it"
    CLOSING = "the client to leave; what it still sends is not looked at"


# Looking a member up in its class takes as long as looking at the whole head.
IDLE = Phase.IDLE


@dataclass(slots=True)
class Incoming:
    """A request as it comes. refusal: (HTTP status, reason) of one whose body is not looked at;
    connection: the header line that says what becomes of the connection, where one must."""

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    method: bytes = b""
    host: bytes = b""
    origin: bytes | None = None
    content_type: bytes = b""
    content_length: int = 0
    upgrade: bytes = b""
    authorization: bytes = b""
    body: bytes | bytearray = b""
    is_operator: bool = False
    refusal: tuple[int, str] | None = None
    connection: bytes = b""


class HttpConnection(asyncio.Protocol):
    """One client. A WebSocket takes the connection over when the client asks for that."""

    def __init__(self, reception: Reception) -> None:
        self.reception = reception
        self.options = reception.options
        self.loop = asyncio.get_running_loop()
        self.asker = Asker(
            rate=self.options.connection_calls_per_s, burst=self.options.connection_calls_burst
        )
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.parser = httptools.HttpRequestParser(self)
        self.address = ""
        self.incoming = Incoming()
        # Its head asked for a protocol that is not spoken here; the body is still to come.
        self.is_declined = False
        # What came last, if a request began with it.
        self.chunk = b""
        self.phase = Phase.IDLE
        # When the phase began.
        self.since = self.loop.time()
        self.head_bytes = self.url_bytes = self.lingered = 0
        # Whole requests that wait for the one under way, or for the client to read.
        self.ready: deque[Incoming] = deque()
        self.task: asyncio.Task[None] | None = None
        self.is_reading = True
        self.is_stuck = False
        self.stuck_since = 0.0
        self.unread_bytes = 0
        # Of the last answer.
        self.written_bytes = 0

    # ---- the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        reason = self.reception.admit(self)
        if reason is not None:
            self.end_with(503, reason, code=LIMIT_EXCEEDED)

    def connection_lost(self, failure: Exception | None) -> None:
        self.phase = Phase.CLOSING
        self.asker.leave()
        self.ready.clear()
        self.reception.forget(self)

    def eof_received(self) -> bool:
        """Who closes its side has left; what it asked for has nobody to read it."""
        return False

    def pause_writing(self) -> None:
        self.is_stuck = True
        self.stuck_since = self.loop.time()
        self.unread_bytes = self.transport.get_write_buffer_size()
        self.reception.on_stuck(self)

    def unread(self) -> int:
        # The transport keeps an answer whole until the last of it is sent.
        unsent = self.transport.get_write_buffer_size()
        return max(unsent, self.written_bytes) if unsent else 0

    def resume_writing(self) -> None:
        self.is_stuck = False
        self.since = self.loop.time()
        self.advance()

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.CLOSING:
            self.lingered += len(data)
            if self.lingered > LINGER_BYTES_MAX:
                self.transport.abort()
            return
        if self.phase is IDLE:
            if self.task is None and not self.is_stuck and not self.ready:
                end = data.find(b"\r\n\r\n") + 4
                known = self.reception.known_heads.get(data[:end])
                if known is not None and len(data) - end == known.content_length:
                    self.answer_known(known, data[end:])
                    return
            self.chunk = data
        elif self.chunk:
            self.chunk = b""
        if self.phase is not Phase.BODY:
            self.head_bytes += len(data)
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self.phase is Phase.UPGRADED:
                    self.open_websocket(data)
                    return
                if self.is_declined:
                    data = self.without_upgrade() + data
            except httptools.HttpParserError:
                self.end_with(400, "bad request")
                return
        if self.phase is Phase.HEAD and self.head_bytes > HEAD_BYTES_MAX:
            self.end_with(431, "request header fields too large")
        elif self.ready and self.is_reading:
            self.is_reading = False
            self.transport.pause_reading()

    # ---- the parser ----

    def on_message_begin(self) -> None:
        if self.phase is Phase.IDLE:
            self.phase = Phase.HEAD
            self.since = self.loop.time()
            self.incoming = Incoming()
            self.url_bytes = 0

    def on_url(self, part: bytes) -> None:
        self.url_bytes += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is Phase.HEAD:
            self.incoming.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.phase is not Phase.HEAD:
            return
        self.phase = Phase.BODY
        incoming = self.incoming
        incoming.method = self.parser.get_method()
        expects = False
        hosts = 0
        size = self.url_bytes
        for name, value in incoming.headers:
            size += len(name) + len(value)
            name = name.lower()
            if name == b"host":
                hosts += 1
                incoming.host = value
            elif name == b"content-type":
                incoming.content_type = value
            elif name == b"origin":
                incoming.origin = value
            elif name == b"content-length":
                incoming.content_length = int(value) if value.isdigit() else 0
            elif name == b"upgrade":
                incoming.upgrade = value.lower()
            elif name == b"authorization":
                incoming.authorization = value
            elif name == b"expect":
                expects = value.lower() == b"100-continue"
        incoming.refusal = self.refusal_of(incoming)
        if size > HEAD_BYTES_MAX:
            self.end_with(431, "request header fields too large")
        elif hosts > 1:
            self.end_with(400, "more than one host")
        elif incoming.content_length > self.options.limits.body_bytes_max:
            self.end_with(*(incoming.refusal or (413, "request entity too large")))
        elif expects:
            if incoming.refusal is None:
                self.transport.write(CONTINUE)
            else:
                self.end_with(*incoming.refusal)

    def refusal_of(self, incoming: Incoming) -> tuple[int, str] | None:
        """Why a request is not read at all: (HTTP status, reason)."""
        if incoming.method == b"OPTIONS":
            return None
        if incoming.method not in (b"POST", b"GET"):
            return 405, "method not allowed"
        if incoming.authorization and self.options.jwt_secret is not None:
            fault = self.reception.judge_token(incoming.authorization)
            if fault is not None:
                return 401, fault
            incoming.is_operator = True
        access = self.reception.access
        if not access.host_is_allowed(incoming.host):
            return 403, "invalid host specified"
        if incoming.method == b"POST":
            return access.refuses_type(incoming.content_type, incoming.origin)
        return None

    def on_body(self, data: bytes) -> None:
        if self.phase is not Phase.BODY:
            return
        incoming = self.incoming
        if not incoming.body:
            incoming.body = data
        else:
            if isinstance(incoming.body, bytes):
                incoming.body = bytearray(incoming.body)
            incoming.body += data
        if len(incoming.body) > self.options.limits.body_bytes_max:
            self.end_with(413, "request entity too large")

    def on_message_complete(self) -> None:
        if self.phase is not Phase.BODY:
            return
        incoming = self.incoming
        if not self.parser.should_keep_alive():
            incoming.connection = CLOSES
        elif self.parser.get_http_version() == "1.0":
            incoming.connection = STAYS
        if incoming.method == b"POST" and self.parser.should_upgrade():
            self.is_declined = True
            return
        is_idle = self.task is None and not self.ready
        if incoming.method == b"GET" and incoming.upgrade == b"websocket" and is_idle:
            if incoming.refusal is None and self.parser.should_upgrade():
                self.phase = Phase.UPGRADED
                return
            incoming.refusal = incoming.refusal or (400, "bad WebSocket handshake")
        self.phase = Phase.IDLE
        self.since = self.loop.time()
        self.head_bytes = 0
        if self.chunk:
            self.remember(incoming)
        if is_idle and not self.is_stuck:
            self.handle(incoming)
        else:
            self.ready.append(incoming)

    def without_upgrade(self) -> bytes:
        """The head again as if it asked for nothing (HTTP/2 from clients that try it on plain
        connections), for a new parser: this one takes the body for the other protocol's. RFC 9110,
        7.8: a server may ignore what is asked for."""
        self.is_declined = False
        self.parser = httptools.HttpRequestParser(self)
        self.phase = Phase.IDLE
        unwanted = (b"upgrade", b"connection", b"http2-settings", b"expect")
        kept = [item for item in self.incoming.headers if item[0].lower() not in unwanted]
        lines = [b"POST / HTTP/1.1\r\n", *(b"%b: %b\r\n" % item for item in kept), b"\r\n"]
        return b"".join(lines)

    def remember(self, incoming: Incoming) -> None:
        """Knows the head of a request again that came in one piece and says nothing unusual."""
        end = self.chunk.find(b"\r\n\r\n") + 4
        head, self.chunk = self.chunk[:end], self.chunk[end:]
        is_whole = 0 < incoming.content_length == len(self.chunk) == len(incoming.body)
        self.chunk = b""
        if not is_whole or incoming.method != b"POST" or end > KNOWN_HEAD_BYTES_MAX:
            return
        if incoming.refusal or incoming.connection or incoming.authorization or incoming.upgrade:
            return
        for name, value in incoming.headers:
            name = name.lower()
            if name in UNUSUAL or (name == b"connection" and value.lower() != b"keep-alive"):
                return
        heads = self.reception.known_heads
        if len(heads) >= KNOWN_HEADS_MAX:
            heads.clear()
        heads[head] = KnownHead(incoming.content_length, incoming.origin)

    # ---- answering ----

    def answer_known(self, known: KnownHead, body: bytes) -> None:
        """As `handle_post`, of a request whose head is known."""
        self.since = self.loop.time()
        self.asker.is_operator = False
        try:
            answer = self.reception.dispatcher.begin(body, self.asker)
        except TooFast as failure:
            self.refuse_fast(Incoming(method=b"POST", origin=known.origin), failure)
            return
        if isinstance(answer, bytes) and known.origin is None:
            head = ENTITY % (OK, len(answer), self.reception.date, b"")
            if len(answer) < COPIED_BYTES:
                self.transport.write(head + answer)
            else:
                self.transport.writelines((head, answer))
            return
        incoming = self.incoming = Incoming(method=b"POST", origin=known.origin)
        if isinstance(answer, bytes):
            self.respond(incoming, answer)
        else:
            self.task = self.loop.create_task(self.answer_later(incoming, answer))

    def refuse_fast(self, incoming: Incoming, failure: TooFast) -> None:
        wait = b"Retry-After: %d\r\n" % ceil(failure.wait_s)
        self.refuse(incoming, 429, str(failure), code=LIMIT_EXCEEDED, headers=wait)

    def advance(self) -> None:
        """Goes on with what came while something was under way."""
        while self.ready and self.task is None and not self.is_stuck:
            self.handle(self.ready.popleft())
        if not self.ready and not self.is_reading and not self.transport.is_closing():
            self.is_reading = True
            self.transport.resume_reading()

    def handle(self, incoming: Incoming) -> None:
        if incoming.refusal is not None:
            self.refuse(incoming, *incoming.refusal)
        elif incoming.method == b"POST":
            self.handle_post(incoming)
        elif incoming.method == b"GET":
            self.respond(incoming, orjson.dumps(self.reception.health()))
        else:
            headers = self.reception.access.cors_headers(incoming.origin)
            if headers:
                headers += PREFLIGHT
            head = b"%bDate: %b\r\n%b%b\r\n"
            self.write(
                incoming, head % (LINES[204], self.reception.date, headers, incoming.connection)
            )

    def handle_post(self, incoming: Incoming) -> None:
        self.asker.is_operator = incoming.is_operator
        try:
            answer = self.reception.dispatcher.begin(bytes(incoming.body), self.asker)
        except TooFast as failure:
            self.refuse_fast(incoming, failure)
            return
        if isinstance(answer, bytes):
            self.respond(incoming, answer)
        else:
            self.task = self.loop.create_task(self.answer_later(incoming, answer))

    async def answer_later(self, incoming: Incoming, answer: Awaitable[Answer]) -> None:
        body = await answer
        self.task = None
        if self.phase is not Phase.CLOSING:
            self.since = self.loop.time()
            self.respond(incoming, body)
            self.advance()

    def respond(
        self, incoming: Incoming, body: Answer, *, line: bytes = OK, headers: bytes = b""
    ) -> None:
        if incoming.origin is not None:
            headers += self.reception.access.cors_headers(incoming.origin)
        if incoming.connection:
            headers += incoming.connection
        head = ENTITY % (line, size_of(body), self.reception.date, headers)
        self.write(incoming, head, body)

    def write(self, incoming: Incoming, head: bytes, body: Answer = b"") -> None:
        self.written_bytes = len(head) + size_of(body)
        if self.is_stuck:
            self.unread_bytes += self.written_bytes
        if not isinstance(body, bytes):
            self.transport.writelines((head, *body))
        elif len(body) < COPIED_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))
        if incoming.connection is CLOSES and self.phase is not Phase.CLOSING:
            self.phase = Phase.CLOSING
            self.transport.close()

    def refuse(
        self,
        incoming: Incoming,
        status: int,
        message: str,
        *,
        code: int = INVALID_REQUEST,
        headers: bytes = b"",
    ) -> None:
        """A refusal of HTTP that is a JSON-RPC error too."""
        body = encode_error(None, RpcError(code, message))
        if status == 401:
            headers += b"WWW-Authenticate: Bearer\r\n"
        if status == 405:
            headers += b"Allow: POST, GET, OPTIONS\r\n"
        self.respond(incoming, body, line=LINES[status], headers=headers)

    def end_with(self, status: int, message: str, *, code: int = INVALID_REQUEST) -> None:
        """The last answer of a connection that cannot go on. The client is given a moment to read
        it: closing over bytes that were not read yet would reset the connection."""
        if self.phase is Phase.CLOSING:
            return
        self.phase = Phase.CLOSING
        self.since = self.loop.time()
        self.asker.leave()
        self.ready.clear()
        self.incoming.connection = CLOSES
        self.refuse(self.incoming, status, message, code=code)
        if not self.is_reading:
            self.is_reading = True
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def open_websocket(self, data: bytes) -> None:
        """Hands the connection over, whose client asked for that; data came after its head."""
        incoming, reception = self.incoming, self.reception
        self.phase = Phase.IDLE
        if incoming.origin is not None and not reception.access.origin_is_allowed(incoming.origin):
            self.end_with(403, "origin not allowed")
            return
        frames = accept(incoming.headers, self.options)
        if frames is None:
            self.end_with(400, "bad WebSocket handshake")
            return
        self.asker.is_operator = incoming.is_operator
        connection = Connection(reception, self.transport, frames, self.asker, self.address)
        reception.hand_over(self, connection)
        self.transport.set_protocol(connection)
        connection.data_received(data)

    # ---- the server's side ----

    def check(self, now: float) -> None:
        """Ends what has taken too long. Called now and then."""
        options = self.options
        waited = now - self.since
        if self.is_stuck:
            self.check_reading(now)
        elif self.phase is Phase.CLOSING:
            if waited > LINGER_S:
                self.transport.abort()
        elif self.task is not None or self.ready:
            return
        elif self.phase is Phase.IDLE:
            if waited > options.idle_timeout_s:
                self.phase = Phase.CLOSING
                self.transport.close()
        elif waited > (
            options.body_timeout_s if self.phase is Phase.BODY else options.head_timeout_s
        ):
            self.end_with(408, "the request took too long to arrive")

    def check_reading(self, now: float) -> None:
        """A client that takes less than send_bytes_min in send_timeout_s is let go."""
        if now - self.stuck_since < self.options.send_timeout_s:
            return
        left = self.transport.get_write_buffer_size()
        if self.unread_bytes - left < self.options.send_bytes_min:
            self.transport.abort()
        self.stuck_since, self.unread_bytes = now, left

    def finish(self) -> asyncio.Task[None] | None:
        """Closes, after the answer under way if there is one: it is returned, to be waited for."""
        self.ready.clear()
        if self.task is not None:
            self.incoming.connection = CLOSES
            return self.task
        if self.phase is not Phase.CLOSING:
            self.phase = Phase.CLOSING
            self.transport.close()
        return None
