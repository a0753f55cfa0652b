"""Endpoints on loopback for tests, and a handler that remembers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ghostchain.net.endpoint import Address, Endpoint, EndpointSettings, network_name
from ghostchain.net.identity import Identity

ALPN = network_name(31337, bytes(range(32)))
WAIT_SECONDS = 20.0


def identity(number: int) -> Identity:
    """Always the same for a number."""
    return Identity(bytes([number]) * 32)


@dataclass
class Recorder:
    """What a handler was told, and whoever waits for it."""

    connected: list[tuple[bytes, Address, bool]] = field(default_factory=list)
    messages: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    closed: list[tuple[bytes, str]] = field(default_factory=list)
    drained: list[tuple[bytes, int]] = field(default_factory=list)
    events: list[tuple[str, bytes]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    respond: Callable[[bytes, int, bytes], None] | None = None

    def on_connected(self, peer: bytes, address: Address, inbound: bool) -> None:
        self.connected.append((peer, address, inbound))
        self.events.append(("connected", peer))
        self.changed.set()

    def on_message(self, peer: bytes, channel: int, payload: bytes) -> None:
        assert self.events, "a message before its peer"
        self.messages.append((peer, channel, payload))
        if self.respond is not None:
            self.respond(peer, channel, payload)
        self.changed.set()

    def on_closed(self, peer: bytes, reason: str) -> None:
        self.closed.append((peer, reason))
        self.events.append(("closed", peer))
        self.changed.set()

    def on_drained(self, peer: bytes, channel: int) -> None:
        self.drained.append((peer, channel))
        self.changed.set()

    async def until(self, condition: Callable[[Recorder], object]) -> None:
        """Waits until the condition holds; fails after WAIT_SECONDS."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()


class Node:
    """An endpoint with its recorder."""

    def __init__(self, endpoint: Endpoint, handler: Recorder) -> None:
        self.endpoint = endpoint
        self.handler = handler

    @property
    def key(self) -> bytes:
        return self.endpoint.key

    async def dial(self, other: Node) -> None:
        """Both know of the connection when it returns."""
        host, port = other.endpoint.local_address
        await self.endpoint.dial(host, port, other.key)
        await self.handler.until(lambda seen: other.key in self.endpoint.peers)
        await other.handler.until(lambda seen: self.key in other.endpoint.peers)


@contextlib.asynccontextmanager
async def nodes(*numbers: int, **changes: Any) -> AsyncIterator[list[Node]]:
    """A node of each number, with settings changed from the usual."""
    made: list[Node] = []
    try:
        for number in numbers:
            settings = replace(EndpointSettings(identity(number), ALPN), **changes)
            handler = Recorder()
            made.append(Node(await Endpoint.open(settings, handler), handler))
        yield made
    finally:
        for node in made:
            node.endpoint.shut()


def run(work: Callable[[], Awaitable[None]]) -> None:
    """On a loop of its own; whatever the loop was told of as an error fails the test."""
    failures: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: failures.append(told))
        await work()

    asyncio.run(watched())
    assert not failures, failures
