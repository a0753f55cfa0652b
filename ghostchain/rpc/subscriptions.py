"""eth_subscribe: what happens in the node, sent to those who asked.

Heads are handled one after another: first `newHeads`, then the `logs` of that block. Each object
is made into JSON once, however many subscribers it has.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum

import orjson

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.unsigned import decode_admitted
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import Event, LocatedLog, NewHead, NewPending, Rewound
from ghostchain.rpc.errors import LIMIT_EXCEEDED, RpcError
from ghostchain.rpc.parameters import LogFilter
from ghostchain.rpc.render import (
    header_json,
    located_log_json,
    pending_transaction_json,
    sync_json,
)
from ghostchain.rpc.services import Services

logger = logging.getLogger(__name__)

# How often it is looked whether the node is behind.
SYNC_TICK_S = 1.0


class Topic(Enum):
    """What eth_subscribe offers."""

    NEW_HEADS = "newHeads"
    LOGS = "logs"
    NEW_PENDING_TRANSACTIONS = "newPendingTransactions"
    SYNCING = "syncing"
    TRANSACTION_RECEIPTS = "transactionReceipts"


BLOCK_TOPICS = (Topic.NEW_HEADS, Topic.LOGS, Topic.TRANSACTION_RECEIPTS)
"""Those that are told of each block."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One eth_subscribe. send queues bytes for the client; full: transactions, not hashes;
    hashes: of the transactions whose receipts are wanted, empty for all."""

    id: str
    topic: Topic
    send: Callable[[bytes], None]
    logs: LogFilter | None = None
    full: bool = False
    hashes: frozenset[Hash32] = frozenset()

    def notify(self, result: bytes) -> None:
        """result is JSON already."""
        self.send(
            b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"%b",'
            b'"result":%b}}' % (self.id.encode(), result)
        )


class Broker:
    """Active subscriptions of all connections. Event loop only."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.active: dict[Topic, dict[str, Subscription]] = {topic: {} for topic in Topic}
        # Blocks up to `announced` were told of, blocks up to `latest` are there.
        self.announced = self.latest = services.backend.head().number
        self.woken = asyncio.Event()
        self.was_syncing = False
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.services.events.add(self.on_event, self.cares)
        self.tasks = [
            asyncio.create_task(self.follow_heads()),
            asyncio.create_task(self.follow_sync()),
        ]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []

    def add(self, subscription: Subscription) -> None:
        if not self.follows_blocks():
            # Nobody was told of the blocks up to here, nor is anybody to be.
            self.announced = self.latest = self.services.backend.head().number
        self.active[subscription.topic][subscription.id] = subscription
        if subscription.topic is Topic.SYNCING:
            subscription.notify(self.sync_standing())

    def remove(self, subscription: Subscription) -> None:
        self.active[subscription.topic].pop(subscription.id, None)

    def of(self, topic: Topic) -> Collection[Subscription]:
        return tuple(self.active[topic].values())

    def follows_blocks(self) -> bool:
        """Whether anybody wants to hear of blocks."""
        return any(self.active[topic] for topic in BLOCK_TOPICS)

    def cares(self, event: Event) -> bool:
        """Any thread."""
        if isinstance(event, NewPending):
            return bool(self.active[Topic.NEW_PENDING_TRANSACTIONS])
        return self.follows_blocks()

    def on_event(self, event: Event) -> None:
        if isinstance(event, NewHead):
            self.latest = event.number
            self.woken.set()
        elif isinstance(event, Rewound):
            self.latest = event.number
            self.announced = min(self.announced, event.number)
        elif self.active[Topic.NEW_PENDING_TRANSACTIONS]:
            self.announce_pending(event)

    def announce_pending(self, event: NewPending) -> None:
        subscribers = self.of(Topic.NEW_PENDING_TRANSACTIONS)
        some_full = any(item.full for item in subscribers)
        for waiting in event.transactions:
            short = orjson.dumps(format_data(waiting.hash))
            whole = b""
            if some_full:
                tx = decode_admitted(waiting.raw)
                whole = orjson.dumps(pending_transaction_json(waiting, tx))
            for subscription in subscribers:
                subscription.notify(whole if subscription.full else short)

    async def follow_heads(self) -> None:
        """Every block in order; those that come meanwhile wait as a number."""
        while True:
            await self.woken.wait()
            self.woken.clear()
            while self.announced < self.latest:
                self.announced += 1
                try:
                    await self.announce(self.announced)
                except Exception:
                    logger.exception("block %d was not announced to all", self.announced)

    async def follow_sync(self) -> None:
        """Tells of the moments at which the node falls behind, and has caught up again."""
        while True:
            await asyncio.sleep(SYNC_TICK_S)
            if not self.active[Topic.SYNCING]:
                self.was_syncing = self.services.backend.syncing() is not None
                continue
            before, standing = self.was_syncing, self.sync_standing()
            if self.was_syncing != before:
                for subscription in self.of(Topic.SYNCING):
                    subscription.notify(standing)

    def sync_standing(self) -> bytes:
        """`false`, or how far it is, as geth's subscription says it. Effects: was_syncing."""
        progress = self.services.backend.syncing()
        self.was_syncing = progress is not None
        if progress is None:
            return b"false"
        return orjson.dumps({"syncing": True, "status": sync_json(progress)})

    async def announce(self, number: int) -> None:
        if self.active[Topic.NEW_HEADS]:
            self.announce_head(number)
        if self.active[Topic.LOGS]:
            await self.announce_logs(number)
        if self.active[Topic.TRANSACTION_RECEIPTS]:
            await self.announce_receipts(number)

    def announce_head(self, number: int) -> None:
        header, block_hash = (
            self.services.backend.header(number),
            self.services.backend.hash_of(number),
        )
        if header is None or block_hash is None:
            return
        result = orjson.dumps(header_json(header, block_hash))
        for subscription in self.of(Topic.NEW_HEADS):
            subscription.notify(result)

    async def announce_logs(self, number: int) -> None:
        header = self.services.backend.header(number)
        if header is None or not any(header.bloom):
            return

        def render() -> list[tuple[LocatedLog, bytes]]:
            found = self.services.backend.logs(number, number, (), ())
            return [(item, orjson.dumps(located_log_json(item))) for item in found]

        rendered = await asyncio.to_thread(render)
        for subscription in self.of(Topic.LOGS):
            for located, result in rendered:
                if subscription.logs is None or matches(located.log, subscription.logs):
                    subscription.notify(result)

    async def announce_receipts(self, number: int) -> None:
        """One notification a block, with the receipts asked for; none where there are none."""

        def render() -> list[tuple[Hash32, bytes]]:
            record = self.services.blocks.record(number)
            return [
                (record.transaction_hash(index), orjson.dumps(record.receipt_json(index)))
                for index in range(len(record) if record is not None else 0)
                if record is not None
            ]

        rendered = await asyncio.to_thread(render)
        for subscription in self.of(Topic.TRANSACTION_RECEIPTS):
            wanted = subscription.hashes
            found = [receipt for item, receipt in rendered if not wanted or item in wanted]
            if found:
                subscription.notify(b"[%b]" % b",".join(found))


def matches(log: Log, wanted: LogFilter) -> bool:
    """Whether a log is one that the filter asks for (blocks aside)."""
    if wanted.addresses and log.address not in wanted.addresses:
        return False
    if len(wanted.topics) > len(log.topics):
        return False
    return all(
        not choices or topic in choices
        for choices, topic in zip(wanted.topics, log.topics, strict=False)
    )


class Subscriber:
    """One connection's subscriptions, which live and die with it. send: queues bytes for its
    client."""

    def __init__(self, broker: Broker, send: Callable[[bytes], None], count_max: int) -> None:
        self.broker = broker
        self.send = send
        self.count_max = count_max
        self.subscriptions: dict[str, Subscription] = {}
        self.is_gone = False

    def leave(self) -> None:
        """Also for what is asked already and answered later: it subscribes nobody any more."""
        self.is_gone = True
        for subscription in self.subscriptions.values():
            self.broker.remove(subscription)
        self.subscriptions.clear()


class Turn:
    """One request of a connection. Subscriptions it makes begin after its answer is queued, so
    that no client hears of a subscription it does not know yet."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.started: list[Subscription] = []

    def subscribe(
        self,
        topic: Topic,
        logs: LogFilter | None = None,
        *,
        full: bool = False,
        hashes: frozenset[Hash32] = frozenset(),
    ) -> str:
        """The id of a new subscription. Raises RpcError LIMIT_EXCEEDED."""
        subscriber = self.subscriber
        if len(subscriber.subscriptions) >= subscriber.count_max:
            raise RpcError(LIMIT_EXCEEDED, "too many subscriptions")
        identity = hex(secrets.randbits(127) | 1 << 127)
        subscription = Subscription(identity, topic, subscriber.send, logs, full, hashes)
        subscriber.subscriptions[identity] = subscription
        self.started.append(subscription)
        return identity

    def unsubscribe(self, identity: str) -> bool:
        subscription = self.subscriber.subscriptions.pop(identity, None)
        if subscription is None:
            return False
        self.subscriber.broker.remove(subscription)
        if subscription in self.started:
            self.started.remove(subscription)
        return True

    def activate(self) -> None:
        if self.subscriber.is_gone:
            return
        for subscription in self.started:
            if subscription.id in self.subscriber.subscriptions:
                self.subscriber.broker.add(subscription)
