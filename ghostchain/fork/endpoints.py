"""Ways to a remote node: HTTP, WebSocket, a local socket. Each carries one message there and its
answer back, bounded in bytes and time; `client.py` makes the messages and reads the answers.

A WebSocket or local socket carries one message at a time, so no answer can be taken for another's;
there are as many as messages under way. One whose answer came too late is closed with it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import aiohttp
import orjson

CONNECTIONS_MAX = 8
ANSWER_BYTES_MAX = 64 << 20
PART_BYTES = 1 << 16
HTTP = ("http", "https")
WEBSOCKET = ("ws", "wss")


class NoAnswer(Exception):
    """The connection failed, or time ran out; the message says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; status as HTTP's, 200 elsewhere. body: only with status 200."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class Endpoint(Protocol):
    """A way to one remote node. On one event loop."""

    async def post(self, body: bytes, seconds: float) -> Answer:
        """The answer to a message. Raises: NoAnswer."""

    async def close(self) -> None: ...


def endpoint_of(url: str, headers: tuple[tuple[str, str], ...]) -> Endpoint:
    """url: as of `check_url`."""
    parts = urlsplit(url)
    if parts.scheme in HTTP:
        return HttpEndpoint(parts, headers)
    if parts.scheme in WEBSOCKET:
        return WebSocketEndpoint(parts, headers)
    return SocketEndpoint(socket_path(url))


def check_url(url: str) -> str:
    """The URL, or the path of a local socket. Raises: ValueError in words that do not repeat what
    may be secret in it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as failure:
        raise ValueError("--fork-url: this is no URL") from failure
    is_socket = parts.scheme == "ipc" or (not parts.scheme and url.startswith(("/", "./", "../")))
    if is_socket and socket_path(url).name:
        return url
    if parts.scheme not in (*HTTP, *WEBSOCKET) or not host:
        raise ValueError(
            "--fork-url: expected http://..., https://..., ws://..., wss://..., or a local "
            "socket's path"
        )
    return url


def socket_path(url: str) -> Path:
    return Path(url.removeprefix("ipc://"))


def host_of(url: str) -> str:
    """Host and port, or the socket's name, for messages."""
    parts = urlsplit(url)
    if parts.scheme not in (*HTTP, *WEBSOCKET):
        return socket_path(url).name
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def plain_url(parts: SplitResult) -> str:
    """Without user and password, which go in a header."""
    host = parts.hostname or ""
    netloc = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        netloc += f":{parts.port}"
    return parts._replace(netloc=netloc, path=parts.path or "/", fragment="").geturl()


def headers_of(parts: SplitResult, given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    headers = {"user-agent": "ghostd"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers | dict(given)


def is_near(parts: SplitResult) -> bool:
    """Proxies of the environment are for what is far away."""
    return parts.hostname in ("localhost", "127.0.0.1", "::1")


def too_long() -> NoAnswer:
    return NoAnswer(f"its answer is longer than {ANSWER_BYTES_MAX} bytes")


def broken(failure: BaseException) -> NoAnswer:
    # The text of these may hold the URL.
    return NoAnswer(f"the connection broke ({type(failure).__name__})")


class HttpEndpoint:
    """HTTP: connections that are kept, headers, limits. Redirections are not followed: what is in
    the headers is for the host that was named."""

    def __init__(self, parts: SplitResult, headers: tuple[tuple[str, str], ...]) -> None:
        self._url = plain_url(parts)
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "gzip, deflate",
        } | headers_of(parts, headers)
        self._trusts_environment = not is_near(parts)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, seconds: float) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=55),
                trust_env=self._trusts_environment,
                auto_decompress=False,
            )
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.post(
                    self._url, data=body, headers=self._headers, allow_redirects=False
                ) as response,
            ):
                if response.status != 200:
                    return Answer(response.status, b"", retry_after(response.headers))
                return Answer(200, await whole(response))
        except TimeoutError:
            raise NoAnswer(f"nothing within {seconds:.3g} s") from None
        except aiohttp.ClientConnectorError as failure:
            raise NoAnswer(f"no connection: {failure.strerror or 'refused'}") from None
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as failure:
            raise broken(failure) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def whole(response: aiohttp.ClientResponse) -> bytes:
    """The body, unpacked, never more of it than the limit. Raises: NoAnswer, zlib.error."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "deflate"):
        raise NoAnswer("its answer is packed in a way that was not offered")
    # 32: the header tells whether it is gzip's or zlib's.
    unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS) if encoding in ("gzip", "deflate") else None
    parts, size = [], 0
    async for packed in response.content.iter_chunked(PART_BYTES):
        part = packed
        if unpacker is not None:
            part = unpacker.decompress(packed, ANSWER_BYTES_MAX + 1 - size)
            if unpacker.unconsumed_tail:
                raise too_long()
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise too_long()
        parts.append(part)
    if unpacker is not None and not unpacker.eof:
        raise NoAnswer("its packed answer ends too early")
    return b"".join(parts)


def retry_after(headers: Any) -> float | None:
    """Seconds that the header of that name gives; None where it is absent or a date."""
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 6 else None


class WebSocketEndpoint:
    """WebSocket connections, each for one message at a time."""

    def __init__(self, parts: SplitResult, headers: tuple[tuple[str, str], ...]) -> None:
        self._url = plain_url(parts)
        self._headers = headers_of(parts, headers)
        self._trusts_environment = not is_near(parts)
        self._session: aiohttp.ClientSession | None = None
        self._idle: list[aiohttp.ClientWebSocketResponse] = []

    async def post(self, body: bytes, seconds: float) -> Answer:
        connection: aiohttp.ClientWebSocketResponse | None = None
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connection()
                await connection.send_str(body.decode())
                message = await connection.receive()
        except TimeoutError:
            await self._drop(connection)
            raise NoAnswer(f"nothing within {seconds:.3g} s") from None
        except aiohttp.WSServerHandshakeError as failure:
            return Answer(failure.status, b"", retry_after(failure.headers or {}))
        except aiohttp.ClientConnectorError as failure:
            raise NoAnswer(f"no connection: {failure.strerror or 'refused'}") from None
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            await self._drop(connection)
            raise broken(failure) from None
        except BaseException:
            await self._drop(connection)
            raise
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            is_long = connection.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            await self._drop(connection)
            raise too_long() if is_long else NoAnswer("it closed the connection")
        self._idle.append(connection)
        data = message.data
        return Answer(200, data.encode() if isinstance(data, str) else data)

    async def _connection(self) -> aiohttp.ClientWebSocketResponse:
        while self._idle:
            found = self._idle.pop()
            if not found.closed:
                return found
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=self._trusts_environment)
        return await self._session.ws_connect(
            self._url, headers=self._headers, max_msg_size=ANSWER_BYTES_MAX
        )

    async def _drop(self, connection: aiohttp.ClientWebSocketResponse | None) -> None:
        """At once, whatever the other side does: a farewell would be waited for."""
        if connection is not None and connection._response.connection is not None:
            connection._response.connection.close()

    async def close(self) -> None:
        for connection in self._idle:
            await self._drop(connection)
        if self._session is not None:
            await self._session.close()


class SocketEndpoint:
    """A local socket, as geth's IPC: JSON, one value after another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes, seconds: float) -> Answer:
        connection = None
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connection()
                reader, writer = connection
                writer.write(body + b"\n")
                await writer.drain()
                answer = await value_of(reader)
        except TimeoutError:
            drop(connection)
            raise NoAnswer(f"nothing within {seconds:.3g} s") from None
        except (FileNotFoundError, ConnectionRefusedError, PermissionError) as failure:
            raise NoAnswer(f"no connection: {failure.strerror}") from None
        except OSError as failure:
            drop(connection)
            raise broken(failure) from None
        except BaseException:
            drop(connection)
            raise
        self._idle.append(connection)
        return Answer(200, answer)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            found = self._idle.pop()
            if not found[0].at_eof():
                return found
            drop(found)
        return await asyncio.open_unix_connection(str(self._path))

    async def close(self) -> None:
        for connection in self._idle:
            drop(connection)


async def value_of(reader: asyncio.StreamReader) -> bytes:
    """One JSON value. Raises: NoAnswer."""
    parts: list[bytes] = []
    size = 0
    while True:
        part = await reader.read(PART_BYTES)
        if not part:
            raise NoAnswer("it closed the connection")
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise too_long()
        parts.append(part)
        if part.rstrip()[-1:] in (b"}", b"]"):
            whole = b"".join(parts)
            with contextlib.suppress(orjson.JSONDecodeError):
                orjson.loads(whole)
                return whole


def drop(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if connection is not None:
        connection[1].close()
