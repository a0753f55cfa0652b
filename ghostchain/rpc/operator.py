"""The operator's door: a unix socket in the data directory, which file permissions guard, and
tokens that the holder of a secret makes, for HTTP and WebSocket.

Through the socket come JSON documents one after another, as geth's IPC has them (web3.py's
IPCProvider, `nc -U`); each is answered by a line, and so are subscriptions told. A token is a JSON
Web Token of HS256 whose `iat` is within 60 seconds of now, as the Engine API demands.

Spec: RFC 7515, RFC 7519; execution-apis, src/engine/authentication.md.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import orjson

from ghostchain.rpc.asking import Asker
from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.errors import PARSE_ERROR, RpcError
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.protocol import Answer, encode_error
from ghostchain.rpc.subscriptions import Broker, Subscriber, Turn

logger = logging.getLogger(__name__)

SECRET_BYTES = 32
TOKEN_BYTES_MAX = 4096
CLOCK_SKEW_S = 60
SOCKET_PATH_BYTES_MAX = 107
# How often an unfinished document is looked at again, at most: each time it has grown by this.
GROWTH_BYTES = 64 * 1024


def load_secret(path: Path) -> bytes:
    """The 32 bytes in a file of 64 hex digits; a new one is written where there is no file.

    Raises: OSError, in words for the operator.
    """
    try:
        text = path.read_text().strip().removeprefix("0x")
    except FileNotFoundError:
        made = secrets.token_bytes(SECRET_BYTES)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(made.hex() + "\n")
        return made
    except UnicodeDecodeError:
        text = ""
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise OSError(f"{path} does not hold a secret: 64 hex digits are expected")
    return secret


def token_fault(token: bytes, secret: bytes, *, now: float) -> str | None:
    """Why a token opens no door, or None."""
    if len(token) > TOKEN_BYTES_MAX:
        return "the token is too long"
    signed, _, signature = token.rpartition(b".")
    head, _, payload = signed.partition(b".")
    try:
        header, claims = orjson.loads(decoded(head)), orjson.loads(decoded(payload))
        given = decoded(signature)
    except (ValueError, binascii.Error):
        return "the token is malformed"
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return "the token is malformed"
    if header.get("alg") != "HS256":
        return "the token is not signed by HS256"
    if not hmac.compare_digest(hmac.digest(secret, signed, sha256), given):
        return "the token's signature is wrong"
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or abs(now - issued) > CLOCK_SKEW_S:
        return "the token's iat is not within 60 seconds of now"
    if expires is not None and (not isinstance(expires, int | float) or now > expires):
        return "the token has expired"
    return None


def decoded(part: bytes) -> bytes:
    """Base64url without padding. Raises: binascii.Error, ValueError."""
    return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)


def make_token(secret: bytes, *, now: float | None = None) -> str:
    """A token for this moment."""
    claims = {"iat": int(time.time() if now is None else now)}
    parts = [
        base64.urlsafe_b64encode(orjson.dumps(item)).rstrip(b"=")
        for item in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    signed = b".".join(parts)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signed, sha256)).rstrip(b"=")
    return (signed + b"." + signature).decode()


class LocalConnection(asyncio.Protocol):
    """One client of the unix socket: documents in, lines out, one under way at a time. Its
    subscriptions live and die with it. One that does not read what it is told is closed."""

    def __init__(
        self, dispatcher: Dispatcher, broker: Broker, options: RpcOptions, peers: set[Any]
    ) -> None:
        self.dispatcher = dispatcher
        self.options = options
        self.body_bytes_max = options.limits.body_bytes_max
        self.peers = peers
        self.asker = Asker(is_operator=True)
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        count_max = options.subscriptions_per_connection_max
        self.subscriber = Subscriber(broker, self.send, count_max)
        self.buffer = bytearray()
        self.looked_at = 0
        self.task: asyncio.Task[None] | None = None
        self.is_stuck = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.peers.add(self)

    def connection_lost(self, failure: Exception | None) -> None:
        self.asker.leave()
        self.peers.discard(self)
        self.subscriber.leave()

    def pause_writing(self) -> None:
        self.is_stuck = True

    def resume_writing(self) -> None:
        self.is_stuck = False
        self.advance()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.advance()

    def advance(self) -> None:
        """Answers whole documents, while the client reads. What is no JSON and never will be ends
        the connection."""
        while self.task is None and not self.is_stuck:
            body = self.next_document()
            if body is None:
                break
            turn = Turn(self.subscriber)
            answer = self.dispatcher.begin(body, self.asker, turn)
            if isinstance(answer, bytes):
                self.send(answer)
                turn.activate()
            else:
                call = self.answer_later(answer, turn)
                self.task = asyncio.get_running_loop().create_task(call)
        must_wait = self.task is not None or self.is_stuck
        if must_wait and len(self.buffer) > self.body_bytes_max:
            self.transport.pause_reading()
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def next_document(self) -> bytes | None:
        """A line, or all there is once that is a document."""
        line, newline, rest = self.buffer.partition(b"\n")
        if newline and (not line.strip() or is_document(line)):
            self.buffer = rest
            self.looked_at = 0
            return bytes(line) if line.strip() else self.next_document()
        size = len(self.buffer)
        ends = self.buffer.rstrip().endswith((b"}", b"]"))
        if ends and (size < GROWTH_BYTES or size > self.looked_at + GROWTH_BYTES or newline):
            self.looked_at = size
            if is_document(self.buffer):
                body, self.buffer = bytes(self.buffer), bytearray()
                self.looked_at = 0
                return body
        if size > self.body_bytes_max:
            self.send(encode_error(None, RpcError(PARSE_ERROR, "parse error: no document")))
            self.transport.close()
            self.buffer = bytearray()
        return None

    async def answer_later(self, answer: Awaitable[Answer], turn: Turn) -> None:
        body = await answer
        self.task = None
        self.send(body if isinstance(body, bytes) else b"".join(body))
        turn.activate()
        self.advance()

    def send(self, message: bytes) -> None:
        """Writes a line. One alone may be larger than what may lie unread: answers have a bound of
        their own."""
        if not message or self.transport.is_closing():
            return
        unread = self.transport.get_write_buffer_size()
        if unread and unread + len(message) > self.options.connection_queue_bytes_max:
            logger.info("closed a client of the operator's socket that reads too slowly")
            self.transport.abort()
            return
        self.transport.write(message + b"\n")


def is_document(data: bytes | bytearray) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


class LocalDoor:
    """The unix socket of one node, gone when it stops."""

    def __init__(
        self, path: Path, dispatcher: Dispatcher, broker: Broker, options: RpcOptions
    ) -> None:
        self.path = path
        self.dispatcher = dispatcher
        self.broker = broker
        self.options = options
        self.listener: asyncio.Server | None = None
        self.clients: set[Any] = set()

    async def start(self) -> None:
        """Without a socket where none can be: the log says so, and the node goes on."""
        if len(os.fsencode(self.path)) > SOCKET_PATH_BYTES_MAX:
            logger.warning("no operator's socket: %s is too long a path for one", self.path)
            return
        try:
            # The directory is this node's alone: a socket that is there is of a run that ended.
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                bound.bind(str(self.path))
            finally:
                os.umask(before)
            self.listener = await asyncio.get_running_loop().create_unix_server(
                lambda: LocalConnection(self.dispatcher, self.broker, self.options, self.clients),
                sock=bound,
            )
        except OSError as failure:
            logger.warning("no operator's socket at %s: %s", self.path, failure.strerror)

    def stop(self) -> None:
        if self.listener is None:
            return
        self.listener.close()
        self.listener = None
        for client in tuple(self.clients):
            client.transport.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
