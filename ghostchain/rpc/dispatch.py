"""From a body to its answer: looks methods up in their table, checks parameters, runs each where
its cost says, and keeps the order of a batch.

Items of a batch run one after another, as if sent alone in that order, with two liberties that no
client can see: neighbours that are raw transactions enter the pool together, and neighbours that
are slow share one hop to a worker thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ghostchain.execution.reads import Reading
from ghostchain.primitives.errors import (
    InvalidTransaction,
    RemoteError,
    RemoteNeeded,
    RemoteRefused,
    StateUnavailable,
    StorageError,
)
from ghostchain.rpc.asking import Asker
from ghostchain.rpc.backend import Refusal, UnknownAccount
from ghostchain.rpc.development import Impossible
from ghostchain.rpc.errors import (
    INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    RpcError,
    invalid_params,
    reason_message,
    refusal_error,
    server_error,
)
from ghostchain.rpc.method import Cost, Door, Method
from ghostchain.rpc.parameters import bind
from ghostchain.rpc.protocol import (
    PIECE_BYTES_MIN,
    Answer,
    Call,
    Fault,
    Id,
    Limits,
    batch_pieces,
    encode_batch,
    encode_error,
    encode_result,
    parse,
    response_too_large,
)
from ghostchain.rpc.routing import OURS, About, PastCall, remote_run, routes_of, senders_here
from ghostchain.rpc.services import Services
from ghostchain.rpc.subscriptions import Turn
from ghostchain.rpc.workers import Deadline, Workers, timed_out

logger = logging.getLogger(__name__)

REMOTE_ROUNDS_MAX = 64


# Looking a member up in its class takes longer than most of what is answered on the loop.
CHEAP, CONNECTION, PUBLIC = Cost.CHEAP, Cost.CONNECTION, Door.PUBLIC
# Items of a batch that are answered without letting others have the event loop in between.
AT_ONCE_MAX = 100
SLICE_S = 0.005
# What all connections' batches may take of one round of the loop before others wait for the next.
ROUND_S = 0.02
# So much of an answer is made at once, and so many longer ones of batches go on in turns.
SLICE_BYTES = 256 * 1024
LONG_ANSWERS_MAX = 2
# Of bodies that are read on the event loop.
BODY_BYTES_AT_ONCE = 64 * 1024
# What native code knows, and what is kept of the memory in which it answers.
NATIVE_METHODS = {
    "eth_blockNumber",
    "eth_chainId",
    "eth_getBalance",
    "eth_getTransactionCount",
    "eth_call",
}
READINGS_KEPT = 8
READING_BYTES_KEPT = 512 * 1024


# What a request has at once, or is awaited for it.
Begun = bytes | Coroutine[Any, Any, Answer]


class TooFast(Exception):
    """A connection asks for more than its share; it may go on after wait_s seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many requests on this connection, wait {wait_s:.3f} s")
        self.wait_s = wait_s


@dataclass(slots=True)
class Bound:
    """A call whose method is known and whose arguments are good."""

    call: Call
    method: Method
    arguments: list[Any]


class Round:
    """How much of this round of the event loop went to batches: many connections may have one each.
    A context manager around a part of one, which gives whether there is time for it."""

    __slots__ = ("began", "is_counting", "spent")

    def __init__(self) -> None:
        self.spent = self.began = 0.0
        self.is_counting = False

    def __enter__(self) -> bool:
        self.began = time.perf_counter()
        return self.spent < ROUND_S

    def __exit__(self, *exception: object) -> None:
        self.spent += time.perf_counter() - self.began
        if not self.is_counting:
            self.is_counting = True
            asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        self.spent = 0.0
        self.is_counting = False


class Dispatcher:
    """Answers bodies. One for all transports of a node."""

    def __init__(
        self,
        services: Services,
        methods: Mapping[str, Method],
        workers: Workers,
        limits: Limits,
        operator_methods: Mapping[str, Method] = MappingProxyType({}),
    ) -> None:
        """operator_methods: what the operator is answered in place of others of the same name."""
        self.services = services
        self.methods = methods
        self.operator_methods = operator_methods
        self.workers = workers
        self.limits = limits
        self.routes = routes_of(methods)
        # What native code answers from bytes to bytes, and room for that, used again.
        self.takes_reads = methods.keys() >= NATIVE_METHODS
        self.readings: list[Reading] = []
        self.round = Round()
        self.long_answers = asyncio.Semaphore(LONG_ANSWERS_MAX)
        # Of the answers to batches that are not whole yet.
        self.unfinished_bytes = 0

    async def answer(self, body: bytes, turn: Turn | None = None) -> bytes:
        """The response body; b"" when nothing in the request wants an answer. Never raises."""
        begun = self.begin(body, Asker(), turn)
        answer = begun if isinstance(begun, bytes) else await begun
        return answer if isinstance(answer, bytes) else b"".join(answer)

    def begin(self, body: bytes, asker: Asker, turn: Turn | None = None) -> Begun:
        """The response body, or what to await for it where something in the request has to wait.
        Awaiting never raises. Raises: TooFast."""
        reading = self.take(body, asker)
        if reading is not None:
            if reading.count == 1:
                answer = self.services.backend.run_reads(reading)
            else:
                with self.round as has_time:
                    answer = self.services.backend.run_reads(reading) if has_time else None
            if answer is None:
                return self.finish_reads(reading, body, asker)
            self.give_back(reading, len(body) + len(answer))
            return answer
        if len(body) > BODY_BYTES_AT_ONCE:
            return self.answer_large(body, asker, turn)
        parsed = parse(body, self.limits)
        wait_s = asker.wait_s(len(parsed.items))
        if wait_s:
            raise TooFast(wait_s)
        items = [self.bind(item, asker.is_operator) for item in parsed.items]
        return self.begin_items(items, asker, turn, is_batch=parsed.is_batch)

    def begin_items(
        self,
        items: list[Bound | Fault],
        asker: Asker,
        turn: Turn | None,
        *,
        is_batch: bool,
    ) -> Begun:
        """As `begin`, of a request that is read."""
        if not is_batch:
            response = self.answer_quickly(items[0], turn)
            if response is None:
                return self.answer_alone(items[0], asker, turn)
            return b"" if is_notification(items[0]) else response
        with self.round as has_time:
            responses = self.first_slice(items, turn) if has_time else []
        if len(responses) == len(items):
            return encode_batch(self.bounded(items, responses))
        return self.answer_in_turn(items, responses, asker, turn)

    def first_slice(self, items: list[Bound | Fault], turn: Turn | None) -> list[bytes]:
        """The answers to the first items, as far as they are to be had at once."""
        responses: list[bytes] = []
        size = 0
        end = time.perf_counter() + SLICE_S
        for item in items[:AT_ONCE_MAX]:
            response = self.answer_quickly(item, turn)
            if response is None:
                break
            responses.append(response)
            size += len(response)
            if size > SLICE_BYTES or time.perf_counter() > end:
                break
        return responses

    async def answer_large(self, body: bytes, asker: Asker, turn: Turn | None) -> Answer:
        """Of a request that takes long to read and to check: both in a worker thread. Who asks too
        fast is told so by the answer."""

        def job(deadline: Deadline) -> tuple[list[Bound | Fault], bool]:
            parsed = parse(body, self.limits)
            items = [self.bind(item, asker.is_operator, routes=False) for item in parsed.items]
            return items, parsed.is_batch

        try:
            items, is_batch = await self.workers.run(job, asker)
        except RpcError as error:
            return encode_error(None, error)
        wait_s = asker.wait_s(len(items))
        if wait_s:
            return encode_error(None, RpcError(LIMIT_EXCEEDED, str(TooFast(wait_s))))
        if self.services.backend.remote is not None:
            items = [self.bound_to(item) for item in items]
        answer = self.begin_items(items, asker, turn, is_batch=is_batch)
        return answer if isinstance(answer, bytes) else await answer

    def bound_to(self, item: Bound | Fault) -> Bound | Fault:
        """On a fork: `routed`, or why not."""
        if isinstance(item, Fault):
            return item
        try:
            return self.routed(item)
        except RpcError as error:
            return fault_of(item.call, error)

    def take(self, body: bytes, asker: Asker) -> Reading | None:
        """The body as one of reads alone, in the form that native code knows. Raises: TooFast."""
        fits = self.takes_reads and len(body) <= self.limits.body_bytes_max
        if not fits or asker.is_operator or self.services.backend.remote is not None:
            return None
        readings = self.readings
        reading = readings.pop() if readings else Reading(self.limits.response_bytes_max)
        count = reading.take(body, self.limits.batch_items_max)
        if count:
            wait_s = asker.wait_s(count)
            if not wait_s:
                return reading
        self.give_back(reading, len(body))
        if count:
            raise TooFast(wait_s)
        return None

    def give_back(self, reading: Reading, size: int) -> None:
        """size: bytes that went through it, which it keeps room for."""
        if size <= READING_BYTES_KEPT and len(self.readings) < READINGS_KEPT:
            self.readings.append(reading)

    async def finish_reads(self, reading: Reading, body: bytes, asker: Asker) -> bytes:
        """The rest in a worker thread: what takes longer, fails, or needs more gas than is for
        nothing."""

        def job(deadline: Deadline) -> bytes:
            items = [self.bind(item) for item in parse(body, self.limits).items]
            answer = None
            while answer is None:
                if reading.is_elsewhere or deadline.has_passed():
                    item = items[reading.answered]
                    answer = reading.put(self.answer_read(item, deadline, reading.size))
                else:
                    answer = self.services.backend.run_reads(reading)
            return answer

        try:
            return await self.workers.run(job, asker)
        except RpcError as error:
            items = parse(body, self.limits).items
            failed = [encode_error(item.id, error) for item in items]
            return encode_batch(failed) if body.lstrip().startswith(b"[") else failed[0]

    def answer_read(self, item: Bound | Fault, deadline: Deadline, size: int) -> bytes:
        """What the ordinary way answers one of the reads, size: bytes of the answers before it."""
        if size > self.limits.response_bytes_max:
            response = response_too_large(identity_of(item))
        elif deadline.has_passed():
            response = encode_error(identity_of(item), timed_out())
        elif isinstance(item, Bound) and item.method.cost is Cost.SLOW:
            response = answer_of(item, self.services, deadline, *item.arguments)
        else:
            response = self.answer_at_once(item, None)
        if size + len(response) > self.limits.response_bytes_max:
            response = response_too_large(identity_of(item))
        return response

    async def answer_alone(self, item: Bound | Fault, asker: Asker, turn: Turn | None) -> bytes:
        responses = await self.run_group([item], asker, turn, self.limits.answer_bytes_max)
        return b"" if is_notification(item) else responses[0]

    async def answer_in_turn(
        self,
        items: list[Bound | Fault],
        responses: list[bytes],
        asker: Asker,
        turn: Turn | None,
    ) -> Answer:
        """Goes on after the responses that are there."""
        size = sum(map(len, responses))
        self.unfinished_bytes += size
        try:
            for group in grouped(items[len(responses) :]):
                room = self.limits.response_bytes_max - size
                if room < 0:
                    responses += [response_too_large(identity_of(item)) for item in group]
                    continue
                if self.unfinished_bytes > self.limits.unfinished_bytes_max:
                    responses += [encode_error(identity_of(item), too_busy()) for item in group]
                    continue
                found = await self.run_group(group, asker, turn, room)
                grown = sum(map(len, found))
                size += grown
                self.unfinished_bytes += grown
                responses += found
        finally:
            self.unfinished_bytes -= size
        answers = self.bounded(items, responses)
        return batch_pieces(answers) if size >= PIECE_BYTES_MIN else encode_batch(answers)

    def bounded(self, items: list[Bound | Fault], responses: list[bytes]) -> list[bytes]:
        """The answers to the items that want one; errors after the limit of all together."""
        answers = []
        size = 0
        for item, response in zip(items, responses, strict=True):
            if is_notification(item):
                continue
            size += len(response)
            if size > self.limits.response_bytes_max:
                response = response_too_large(identity_of(item))
            answers.append(response)
        return answers

    def answer_quickly(self, item: Bound | Fault, turn: Turn | None) -> bytes | None:
        """The answer, if it is to be had on the event loop and at once."""
        if isinstance(item, Fault):
            return self.answer_at_once(item, turn)
        if self.services.backend.remote is not None:
            return None  # what is read may have to come from there first
        cost = item.method.cost
        if cost is CHEAP:
            return answer_of(item, self.services, *item.arguments)
        if cost is CONNECTION:
            return run_on_connection(item, turn)
        if item.method.quick is None:
            return None
        try:
            result = item.method.quick(self.services, *item.arguments)
        except Exception:
            return None
        return None if result is None else encode_result(item.call.id, result)

    def answer_at_once(self, item: Bound | Fault, turn: Turn | None) -> bytes:
        """The answer of what runs on the event loop. Raises: RemoteNeeded."""
        if isinstance(item, Fault):
            return encode_error(item.id, item.error)
        if item.method.cost is Cost.CONNECTION:
            return run_on_connection(item, turn)
        return answer_of(item, self.services, *item.arguments)

    def bind(
        self, item: Call | Fault, is_operator: bool = False, *, routes: bool = True
    ) -> Bound | Fault:
        """The call, its parameters checked, or what is wrong with it. routes: asks too, on a fork,
        whether it is about the other chain, which the event loop alone may."""
        if isinstance(item, Fault):
            return item
        method = self.methods.get(item.method)
        if is_operator:
            method = self.operator_methods.get(item.method, method)
        if method is None or not self.serves(method.door, is_operator):
            return fault_of(item, unavailable(item.method, method))
        if not item.is_positional:
            return fault_of(item, invalid_params("non-array args"))
        try:
            bound = Bound(item, method, bind(method.parameters, item.params))
            is_here = self.services.backend.remote is None or not routes
            return bound if is_here else self.routed(bound)
        except RpcError as error:
            return fault_of(item, error)

    def routed(self, bound: Bound) -> Bound:
        """On a fork: the call as it is, or, where it is about the other chain, one that asks there.
        That answers at once, or when it is here; should it turn out to be about this chain after
        all, it is answered as ever. Raises: RpcError."""
        name, arguments = bound.method.name, bound.arguments
        route = self.routes.get(name)
        if route is None:
            return bound
        params = bound.call.params
        if route.about is About.PAST:
            return self.searched(bound)

        def ask(services: Services, *deadline: Deadline) -> Any:
            answer = remote_run(route, services, name, arguments, params)
            if answer is not None:
                return answer()
            if bound.method.cost is Cost.SLOW and not deadline:
                deadline = (self.workers.deadline(),)
            return bound.method.run(services, *deadline, *arguments)

        try:
            if remote_run(route, self.services, name, arguments, params) is None:
                return bound
        except (RemoteNeeded, RemoteError):
            pass  # which the call itself meets
        cost = Cost.SLOW if route.about is About.FEES else Cost.CHEAP
        return Bound(bound.call, Method(name, ask, (), cost, bound.method.door), [])

    def searched(self, bound: Bound) -> Bound:
        """On a fork: the call of a method that looks through both chains' past."""
        method, arguments = bound.method, bound.arguments
        search = method.search
        assert search is not None, "which its route says"

        def look(services: Services, deadline: Deadline) -> Any:
            remote = services.backend.remote
            found = OURS
            if remote is not None:
                params = bound.call.params
                found = search(PastCall(services, remote, deadline, method.name, arguments, params))
            return method.run(services, deadline, *arguments) if found is OURS else found

        return Bound(bound.call, Method(method.name, look, (), Cost.SLOW, method.door), [])

    def serves(self, door: Door, is_operator: bool) -> bool:
        """Whether methods behind this door are answered here."""
        if door is PUBLIC:
            return True
        if door is Door.ADMIN:
            return is_operator
        return self.services.backend.development is not None

    async def run_group(
        self, group: Sequence[Bound | Fault], asker: Asker, turn: Turn | None, room: int
    ) -> list[bytes]:
        """The answers of neighbours of one kind. room: bytes that they may have together; those
        after it are errors and, where they are slow, do not run."""
        bound = [item for item in group if isinstance(item, Bound)]
        match cost_of(group[0]):
            case Cost.SUBMISSION:
                return await self.submit(bound)
            case Cost.SLOW:
                return await self.run_slow(bound, asker, room)
            case Cost.AWAITED:
                return [await self.run_awaited(item) for item in bound]
            case _:
                if self.services.backend.remote is not None:
                    return await self.run_at_once(group, turn, room)  # most of it is waiting
                await asker.take_turn()
                try:
                    async with self.long_answers:
                        return await self.run_at_once(group, turn, room)
                finally:
                    asker.turns.release()

    async def run_at_once(
        self, group: Sequence[Bound | Fault], turn: Turn | None, room: int
    ) -> list[bytes]:
        """On the event loop, which others get between slices of SLICE_S."""
        responses: list[bytes] = []
        later: dict[int, Coroutine[Any, Any, bytes]] = {}
        end = time.perf_counter() + SLICE_S
        for place, item in enumerate(group):
            if time.perf_counter() > end:
                await asyncio.sleep(0)
                end = time.perf_counter() + SLICE_S
            if room < 0:
                responses.append(response_too_large(identity_of(item)))
                continue
            try:
                responses.append(self.answer_at_once(item, turn))
                room -= len(responses[-1])
            except RemoteNeeded as need:
                responses.append(b"")
                later[place] = self.answer_when_here(item, need, turn)
        if later:
            found = await asyncio.gather(*later.values())
            for place, response in zip(later, found, strict=True):
                responses[place] = response
        return responses

    async def submit(self, group: list[Bound]) -> list[bytes]:
        raws = [item.arguments[0] for item in group]
        try:
            if self.services.backend.remote is not None:
                await senders_here(self.services, raws)
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

    async def answer_when_here(
        self, item: Bound | Fault, need: RemoteNeeded, turn: Turn | None
    ) -> bytes:
        """On a fork what answers at once may need what only the remote node has. It is run again
        when that has come, and holds up nobody meanwhile."""
        for _ in range(REMOTE_ROUNDS_MAX):
            answer = asyncio.wrap_future(need.answer)
            await asyncio.wait([answer])
            failure = answer.exception()
            if isinstance(failure, Exception) and isinstance(item, Bound):
                return encode_error(item.call.id, error_of(failure, item))
            try:
                return self.answer_at_once(item, turn)
            except RemoteNeeded as next_need:
                need = next_need
        return encode_error(identity_of(item), server_error("too much is needed of the remote"))

    async def run_slow(self, group: list[Bound], asker: Asker, room: int) -> list[bytes]:
        if len(group) > 1 and self.services.backend.remote is not None:
            # What each needs of the remote is asked for at the same time.
            answers = (self.run_slow([item], asker, room) for item in group)
            return [answer for (answer,) in await asyncio.gather(*answers)]

        def job(deadline: Deadline) -> list[bytes]:
            answers, left = [], room
            for item in group:
                deadline.room.left = left
                if deadline.has_passed():
                    answer = encode_error(item.call.id, timed_out())
                elif left < 0:
                    answer = response_too_large(item.call.id)
                else:
                    answer = answer_of(item, self.services, deadline, *item.arguments)
                    left -= len(answer)
                    if left < 0:
                        answer = response_too_large(item.call.id)
                answers.append(answer)
            return answers

        try:
            return await self.workers.run(job, asker)
        except (RpcError, RemoteError) as error:
            return [encode_error(item.call.id, error_of(error, item)) for item in group]

    async def run_awaited(self, item: Bound) -> bytes:
        try:
            result = await item.method.run(self.services, *item.arguments)
        except Exception as error:
            return encode_error(item.call.id, error_of(error, item))
        return encode_result(item.call.id, result)


def unavailable(name: str, method: Method | None) -> RpcError:
    """Why a method is not answered: it is unknown (method None), or stands behind another door."""
    message = f"the method {name[:100]} does not exist/is not available"
    if method is not None and method.door is Door.ADMIN:
        message += " (only to the operator: through ghostd.ipc, or with a token)"
    if method is not None and method.door is Door.DEVELOPMENT:
        message += " (only on a development chain: ghostd --dev)"
    return RpcError(METHOD_NOT_FOUND, message)


def too_busy() -> RpcError:
    return RpcError(LIMIT_EXCEEDED, "too many large answers are being made, try again later")


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


def identity_of(item: Bound | Fault) -> Id:
    return item.id if isinstance(item, Fault) else item.call.id


def is_notification(item: Bound | Fault) -> bool:
    return item.is_notification if isinstance(item, Fault) else item.call.is_notification


def fault_of(call: Call, error: RpcError) -> Fault:
    return Fault(call.id, error, is_notification=call.is_notification)


def answer_of(item: Bound, *arguments: Any) -> bytes:
    """The response of a handler that runs where we are. Raises: RemoteNeeded."""
    try:
        result = item.method.run(*arguments)
    except RemoteNeeded:
        raise
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
        case Impossible():
            return invalid_params(str(error))
        case StateUnavailable():
            return server_error(f"historical state is not available: {error}")
        case RemoteRefused():
            # Of what was passed on: the other node's own words, which clients know.
            return RpcError(error.code, error.reason, error.data)
        case RemoteError():
            # The fork's remote is not this node's fault, and its host is in the message.
            return server_error(str(error))
        case RemoteNeeded():
            return server_error("the remote node is being asked, try again")
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
