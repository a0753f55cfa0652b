"""What all connections of a node share, whoever comes by them: who is here, how many there may be,
and what they all together may leave unread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Protocol

from ghostchain.rpc.access import Access
from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.operator import token_fault
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.subscriptions import Broker
from ghostchain.storage.memory import return_free_memory

logger = logging.getLogger(__name__)

# Of unread answers, from which on their memory is given back when they are gone.
HELD_BYTES_MIN = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KnownHead:
    """What a head says that was parsed before, of a POST that may be answered on a connection that
    stays. The same bytes always say the same: a client that repeats itself is not parsed anew."""

    content_length: int
    origin: bytes | None


class Client(Protocol):
    """A connection, of either kind."""

    transport: asyncio.Transport
    address: str
    is_stuck: bool

    def unread(self) -> int:
        """Bytes that are held here until the client has read what waits for it."""

    def check(self, now: float) -> None:
        """Ends what holds up. Called now and then."""

    def finish(self) -> asyncio.Task[None] | None:
        """Closes, after the answer under way if there is one: it is returned, to be waited for."""


class Reception:
    """Event loop only. plain: connections of HTTP; websockets: those that went over to that."""

    def __init__(self, dispatcher: Dispatcher, broker: Broker, options: RpcOptions) -> None:
        self.dispatcher = dispatcher
        self.broker = broker
        self.options = options
        self.access = Access(options.allowed_hosts, options.allowed_origins)
        self.known_heads: dict[bytes, KnownHead] = {}
        self.plain: set[Client] = set()
        self.websockets: set[Client] = set()
        self.addresses: Counter[str] = Counter()
        self.date = b""
        # Of the clients that stopped reading since all were looked at last.
        self.newly_unread_bytes = 0
        self.most_unread_bytes = 0

    def admit(self, client: Client) -> str | None:
        """Takes a new connection, or says why it is too many."""
        reason = None
        if len(self.plain) + len(self.websockets) >= self.options.connections_max:
            reason = "too many connections"
        elif self.addresses[client.address] >= self.options.connections_per_address_max:
            reason = "too many connections from this address"
        self.plain.add(client)
        self.addresses[client.address] += 1
        return reason

    def hand_over(self, plain: Client, websocket: Client) -> None:
        """One is the other from here on."""
        self.plain.discard(plain)
        self.websockets.add(websocket)

    def forget(self, client: Client) -> None:
        self.plain.discard(client)
        self.websockets.discard(client)
        self.addresses[client.address] -= 1
        if self.addresses[client.address] <= 0:
            del self.addresses[client.address]

    def everyone(self) -> tuple[Client, ...]:
        return (*self.plain, *self.websockets)

    def check(self, now: float) -> None:
        """Looks after connections that hold up."""
        self.date = formatdate(time.time(), usegmt=True).encode()
        for client in self.everyone():
            client.check(now)
        self.bound_unread()
        self.give_back_memory()

    def on_stuck(self, client: Client) -> None:
        """The client does not read as fast as it is written to."""
        self.newly_unread_bytes += client.unread()
        if self.newly_unread_bytes > self.options.unread_bytes_max // 4:
            self.bound_unread()

    def bound_unread(self) -> None:
        """What all clients together have not read stays within bounds: those go that keep most."""
        self.newly_unread_bytes = 0
        sizes = {client: client.unread() for client in self.everyone() if client.is_stuck}
        total = sum(sizes.values())
        self.most_unread_bytes = max(self.most_unread_bytes, total)
        for client in sorted(sizes, key=lambda client: sizes[client], reverse=True):
            if total <= self.options.unread_bytes_max:
                return
            logger.info("closed a client that keeps %d unread bytes", sizes[client])
            client.transport.abort()
            total -= sizes[client]

    def give_back_memory(self) -> None:
        """Where answers were that have been read since, the heaps have holes."""
        left = sum(client.unread() for client in self.everyone() if client.is_stuck)
        if self.most_unread_bytes > HELD_BYTES_MIN and left < self.most_unread_bytes // 2:
            self.most_unread_bytes = left
            asyncio.get_running_loop().run_in_executor(None, return_free_memory)

    def judge_token(self, header: bytes) -> str | None:
        """Why an Authorization header opens no door, or None. Without a secret there is no door,
        and what proxies put there is none of our business."""
        kind, _, token = header.partition(b" ")
        secret = self.options.jwt_secret
        if secret is None or kind.lower() != b"bearer":
            return "no bearer token"
        return token_fault(token.strip(), secret, now=time.time())

    def health(self) -> dict[str, Any]:
        """What a plain GET is answered."""
        backend = self.dispatcher.services.backend
        return {"status": "ok", "block": backend.head().number, "chainId": backend.chain_id}
