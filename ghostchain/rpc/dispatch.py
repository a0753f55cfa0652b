"""From a body to its answer: looks methods up in their table, checks parameters, runs each where
its cost says, and keeps the order of a batch.

Items of a batch run one after another, as if sent alone in that order, with two liberties that no
client can see: neighbours that are raw transactions enter the pool together, and neighbours that
are slow share one hop to a worker thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ghostchain.primitives.errors import InvalidTransaction, StateUnavailable, StorageError
from ghostchain.rpc.backend import Refusal, UnknownAccount
from ghostchain.rpc.errors import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    RpcError,
    reason_message,
    refusal_error,
    server_error,
)
from ghostchain.rpc.parameters import Parameter, bind
from ghostchain.rpc.protocol import (
    Call,
    Fault,
    Limits,
    encode_batch,
    encode_error,
    encode_result,
    parse,
    response_too_large,
)
from ghostchain.rpc.workers import Deadline, Workers

if TYPE_CHECKING:
    from ghostchain.rpc.services import Services
    from ghostchain.rpc.websocket import Turn

logger = logging.getLogger(__name__)


class Cost(Enum):
    """Where a method runs, and what its handler is called with before its parameters."""

    CHEAP = "on the event loop: handler(services, ...)"
    SLOW = "in a worker thread: handler(services, deadline, ...)"
    AWAITED = "a coroutine: handler(services, ...)"
    SUBMISSION = "no handler: the one parameter is a raw transaction for the pool"
    CONNECTION = "on the event loop: handler(turn, ...), WebSocket only"


class Door(Enum):
    """Who may call a method."""

    PUBLIC = "whoever reaches the node"
    DEVELOPMENT = "the same, on a development chain only"
    ADMIN = "the operator, through a door of its own"


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the table."""

    name: str
    run: Callable[..., Any]
    parameters: tuple[Parameter, ...] = ()
    cost: Cost = Cost.CHEAP
    door: Door = Door.PUBLIC


@dataclass(frozen=True, slots=True)
class Bound:
    """A call whose method is known and whose arguments are good."""

    call: Call
    method: Method
    arguments: list[Any]


class Dispatcher:
    """Answers bodies. One for all transports of a node."""

    def __init__(
        self, services: Services, methods: Mapping[str, Method], workers: Workers, limits: Limits
    ) -> None:
        self.services = services
        self.methods = methods
        self.workers = workers
        self.limits = limits

    async def answer(self, body: bytes, turn: Turn | None = None) -> bytes:
        """The response body; b"" when nothing in the request wants an answer. Never raises."""
        parsed = parse(body, self.limits)
        answers: list[bytes] = []
        size = 0
        for group in grouped([self.bind(item) for item in parsed.items]):
            if size > self.limits.response_bytes_max:
                responses = [response_too_large(call_of(item).id) for item in group]
            else:
                responses = await self.run_group(group, turn)
            for item, response in zip(group, responses, strict=True):
                if call_of(item).is_notification:
                    continue
                size += len(response)
                if parsed.is_batch and size > self.limits.response_bytes_max:
                    response = response_too_large(call_of(item).id)
                answers.append(response)
        if parsed.is_batch:
            return encode_batch(answers)
        return answers[0] if answers else b""

    def bind(self, item: Call | Fault) -> Bound | Fault:
        if isinstance(item, Fault):
            return item
        method = self.methods.get(item.method)
        if method is None or not self.serves(method.door):
            return fault_of(item, unavailable(item.method, method))
        try:
            return Bound(item, method, bind(method.parameters, item.params))
        except RpcError as error:
            return fault_of(item, error)

    def serves(self, door: Door) -> bool:
        """Whether methods behind this door are answered here."""
        if door is Door.DEVELOPMENT:
            return self.services.backend.development is not None
        return door is Door.PUBLIC

    async def run_group(self, group: Sequence[Bound | Fault], turn: Turn | None) -> list[bytes]:
        """The answers of neighbours of one kind."""
        first = group[0]
        if isinstance(first, Fault):
            return [encode_error(item.id, item.error) for item in group if isinstance(item, Fault)]
        bound = [item for item in group if isinstance(item, Bound)]
        match first.method.cost:
            case Cost.SUBMISSION:
                return await self.submit(bound)
            case Cost.SLOW:
                return await self.run_slow(bound)
            case Cost.CHEAP:
                return [answer_of(item, self.services, *item.arguments) for item in bound]
            case Cost.AWAITED:
                return [await self.run_awaited(item) for item in bound]
            case Cost.CONNECTION:
                return [run_on_connection(item, turn) for item in bound]

    async def submit(self, group: list[Bound]) -> list[bytes]:
        raws = [item.arguments[0] for item in group]
        try:
            answers = await self.services.submission.submit(raws)
        except Exception as error:
            failure = error_of(error, group[0])
            return [encode_error(item.call.id, failure) for item in group]
        return [
            encode_error(item.call.id, refusal_error(answer))
            if isinstance(answer, Refusal)
            else encode_result(item.call.id, "0x" + answer.hex())
            for item, answer in zip(group, answers, strict=True)
        ]

    async def run_slow(self, group: list[Bound]) -> list[bytes]:
        def job(deadline: Deadline) -> list[bytes]:
            return [answer_of(item, self.services, deadline, *item.arguments) for item in group]

        try:
            return await self.workers.run(job)
        except RpcError as error:
            return [encode_error(item.call.id, error) for item in group]

    async def run_awaited(self, item: Bound) -> bytes:
        try:
            result = await item.method.run(self.services, *item.arguments)
        except Exception as error:
            return encode_error(item.call.id, error_of(error, item))
        return encode_result(item.call.id, result)


def unavailable(name: str, method: Method | None) -> RpcError:
    """Why a method is not answered: it is unknown (method None), or stands behind another door."""
    message = f"the method {name[:100]} does not exist/is not available"
    if method is not None and method.door is Door.DEVELOPMENT:
        message += " (only on a development chain: ghostd --dev)"
    return RpcError(METHOD_NOT_FOUND, message)


def grouped(items: list[Bound | Fault]) -> Iterator[list[Bound | Fault]]:
    """Neighbours of one cost, in order."""
    group: list[Bound | Fault] = []
    for item in items:
        if group and cost_of(group[0]) is not cost_of(item):
            yield group
            group = []
        group.append(item)
    yield group


def cost_of(item: Bound | Fault) -> Cost | None:
    return None if isinstance(item, Fault) else item.method.cost


@dataclass(frozen=True, slots=True)
class Answered:
    """What the answer needs of a request."""

    id: Any
    is_notification: bool


def call_of(item: Bound | Fault) -> Answered:
    if isinstance(item, Fault):
        return Answered(item.id, item.is_notification)
    return Answered(item.call.id, item.call.is_notification)


def fault_of(call: Call, error: RpcError) -> Fault:
    return Fault(call.id, error, is_notification=call.is_notification)


def answer_of(item: Bound, *arguments: Any) -> bytes:
    """The response of a handler that runs where we are."""
    try:
        result = item.method.run(*arguments)
    except Exception as error:
        return encode_error(item.call.id, error_of(error, item))
    return encode_result(item.call.id, result)


def run_on_connection(item: Bound, turn: Turn | None) -> bytes:
    if turn is None:
        error = RpcError(METHOD_NOT_FOUND, "notifications not supported")
        return encode_error(item.call.id, error)
    return answer_of(item, turn, *item.arguments)


def error_of(error: Exception, item: Bound) -> RpcError:
    """What the client is told; faults of ours are logged with their traceback, and only there."""
    match error:
        case RpcError():
            return error
        case StateUnavailable():
            return server_error(f"historical state is not available: {error}")
        case UnknownAccount():
            return server_error("unknown account")
        case InvalidTransaction():
            values = {name: value for name, value in error.values.items() if value is not None}
            return server_error(reason_message(error.reason, values))
        case StorageError():
            # Named, so where it happened in here tells the operator nothing more.
            logger.error("%s failed: %s", item.method.name, error)
            return RpcError(INTERNAL_ERROR, "the node's storage failed")
        case _:
            logger.error("%s failed", item.method.name, exc_info=error)
            return RpcError(INTERNAL_ERROR, "internal error")
