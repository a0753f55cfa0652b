"""What benchmarks of JSON-RPC share: a running anvil, processor time of a process, and the load
generator `requests.c`, compiled when it is first needed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.node.anvil import Anvil

SOURCE = Path(__file__).with_name("requests.c")
HEAD = (
    "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    "Content-Length: %d\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A running node of the other kind."""

    url: str
    pid: int


@contextmanager
def anvil(*arguments: str) -> Iterator[Peer]:
    """Skips nothing: the caller asks `tool` first."""
    with Anvil(*arguments) as running:
        yield Peer(running.url, running.process.pid)


def processor_seconds(pid: int) -> float:
    """What all threads of a process have used so far, of users' and of the kernel's time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def precise_seconds(pid: int) -> float:
    """The same to the nanosecond, of the threads that it has now."""
    used_ns = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            used_ns += int(path.read_text().split()[0])
    return used_ns / 1e9


class Meter:
    """Processor time of a process from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._coarse, self._precise = processor_seconds(pid), precise_seconds(pid)

    def used(self) -> float:
        """In seconds. Of threads that have ended meanwhile only the coarse figure knows."""
        coarse = processor_seconds(self._pid) - self._coarse
        precise = precise_seconds(self._pid) - self._precise
        return precise if abs(precise - coarse) < 0.03 else coarse


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of the generator counted. processor_s: of the server."""

    answered: int
    refused: int
    bytes: int
    seconds: float
    p50_us: int
    p99_us: int
    max_us: int
    processor_s: float


def prepared(bodies: Sequence[bytes]) -> bytes:
    """Whole HTTP requests as the generator reads them."""
    found = []
    for body in bodies:
        request = (HEAD % len(body)).encode() + body
        found.append(struct.pack("<I", len(request)) + request)
    return b"".join(found)


@functools.cache
def generator() -> str:
    """The path of the compiled generator."""
    folder = tempfile.mkdtemp(prefix="ghostchain-bench-")
    path = f"{folder}/requests"
    command = [os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-o", path, str(SOURCE)]
    subprocess.run(command, check=True)
    return path


def framed(bodies: Sequence[bytes]) -> bytes:
    """The same as frames of a WebSocket client, whose mask is all zeros."""
    found = []
    for body in bodies:
        length = len(body)
        if length < 126:
            head = struct.pack("!BB", 0x81, 0x80 | length)
        else:
            head = struct.pack("!BBH", 0x81, 0x80 | 126, min(length, 0xFFFF))
        if length > 0xFFFF:
            head = struct.pack("!BBQ", 0x81, 0x80 | 127, length)
        frame = head + bytes(4) + body
        found.append(struct.pack("<I", len(frame)) + frame)
    return b"".join(found)


def load(
    port: int,
    pid: int,
    requests: bytes,
    *,
    connections: int,
    seconds: float | None,
    websocket: bool = False,
    in_order: bool = False,
) -> Load:
    """Runs the generator against a server of this machine; without seconds each request is sent
    once, with in_order number i of them by connection i modulo `connections`, behind those before
    it. Raises: AssertionError."""
    once = "each" if in_order else "once"
    arguments = [once if seconds is None else str(seconds), *["websocket"] * websocket]
    meter = Meter(pid)
    finished = subprocess.run(
        [generator(), str(port), str(connections), *arguments],
        input=requests,
        capture_output=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    return Load(**json.loads(finished.stdout), processor_s=meter.used())
