"""Bytes at the port that are nearly HTTP: heads, lengths, chunks and WebSocket frames bent out of
shape around requests of `rpc_requests`, whole or cut, one or several on a connection."""

from __future__ import annotations

import asyncio
import random
import re

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
ALLOWED = frozenset({100, 101, 200, 204, 400, 401, 403, 405, 408, 411, 413, 415, 429, 431, 503})
QUIET_S = 0.03
READ_MAX = 8_000_000

HEADERS = [
    b"Host: localhost",
    b"Host: 127.0.0.1:8545",
    b"Host: evil.example",
    b"Content-Type: application/json",
    b"Content-Type: text/html; charset=\xff",
    b"Content-Length: 0",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Connection: close",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=999",
    b"Origin: http://evil.example",
    b"Origin: null",
    b"Authorization: Bearer a.b.c",
    b"Expect: 100-continue",
    b"X: " + b"a" * 3000,
    b": no name",
    b"no colon",
]
METHODS = [b"POST", b"POST", b"POST", b"GET", b"OPTIONS", b"PUT", b"CONNECT", b"PRI", b"\x16\x03"]
FRAMES = [b"\x81\x84\0\0\0\0true", b"\x89\x80\0\0\0\0", b"\x01\x80\0\0\0\0", b"\x88\x80\0\0\0\0"]


class Bender:
    """Byte streams out of one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def stream(self, bodies: list[bytes]) -> bytes:
        sent = b"".join(map(self.request, bodies))
        for _ in range(self.chance.choice((0, 0, 1, 3))):
            sent = self.bent(sent)
        return sent

    def request(self, body: bytes) -> bytes:
        chance = self.chance
        version = chance.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b""))
        lines = [b" ".join((chance.choice(METHODS), chance.choice((b"/", b"*", b"/x?y")), version))]
        lines += chance.sample(HEADERS, k=chance.choice((0, 1, 2, 6)))
        shape = chance.randrange(4)
        if shape == 0:
            lines.append(b"Transfer-Encoding: chunked")
            body = self.chunked(body)
        elif shape < 3:
            lines.append(b"Content-Length: %d" % (len(body) + chance.choice((0, 0, 0, 1, -1))))
        if shape == 3 and chance.random() < 0.5:
            lines += [HEADERS[0], HEADERS[11], HEADERS[12], HEADERS[14], HEADERS[15]]
            body = b"".join(chance.choices(FRAMES, k=5)) + chance.randbytes(20)
        else:
            lines += [HEADERS[0], HEADERS[3]]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def chunked(self, body: bytes) -> bytes:
        found, start = [], 0
        while start < len(body):
            size = self.chance.randint(1, max(1, len(body) // 2))
            part = body[start : start + size]
            found.append(b"%x\r\n%b\r\n" % (len(part), part))
            start += size
        return b"".join(found) + b"0\r\n\r\n"

    def bent(self, sent: bytes) -> bytes:
        place = self.chance.randrange(len(sent) + 1)
        match self.chance.randrange(5):
            case 0:
                return sent[:place]
            case 1:
                return sent[:place] + self.chance.randbytes(3) + sent[place:]
            case 2:
                return sent.replace(b"\r\n", b"\n", self.chance.randint(1, 4))
            case 3:
                return sent[:place] + sent[place + self.chance.randint(1, 30) :]
            case _:
                return sent + sent[place : place + 500]


async def answered(host: str, port: int, sent: bytes, seconds: float) -> tuple[list[int], bytes]:
    """The statuses that come back, and all bytes; whoever waits for more is left alone soon.

    Raises: TimeoutError where bytes still come after so long; OSError.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port)
        found = b""
        try:
            writer.write(sent)
            await writer.drain()
            while len(found) < READ_MAX:
                part = await asyncio.wait_for(
                    reader.read(65_536), QUIET_S if found else 4 * QUIET_S
                )
                if not part:
                    break
                found += part
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
    return [int(status) for status in STATUS.findall(found)], found
