"""Asks a remote node, for any number of threads at once.

All of it happens on one thread with an event loop of its own: connections that stay open, requests
that wait a moment to travel together, equal ones that are asked once, retries, pace. Whoever asks
gets a future; threads that may wait, wait for it.

    ask ─▶ same question under way? ─▶ its answer
           └▶ waiting ─▶ a batch ─▶ pace ─▶ POST ─▶ answers, one for each id
                 ▲                              │ no answer, 429, 5xx, nonsense, "rate limit"
                 └──────── backoff ◀────────────┘ until retries or the deadline end

Invariants: every future is done at its deadline at the latest; an answer is believed only when its
id was asked in that very request; no more than REQUESTS_MAX questions wait (beyond them, refusal at
once); no error names more of the URL than its host.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import uvloop

from ghostchain.fork.answers import Malformed, Refusal, outcomes_of
from ghostchain.fork.endpoints import CONNECTIONS_MAX, Answer, NoAnswer, endpoint_of, host_of
from ghostchain.fork.pacing import Pace, units_of
from ghostchain.primitives.errors import RemoteFailed, RemoteRefused

BATCH_MAX = 100
REQUESTS_MAX = 50_000
# While others are under way, a question waits so long for company; else it leaves at once.
WINDOW_S = 0.002
# After a lookup that nothing answered in all its time, others fail at once for so long.
SILENCE_S = 1.0
HTTP_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
# What servers say to a batch that they do not take.
HTTP_TOO_MUCH = frozenset({400, 405, 413, 414, 422, 500, 501})


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Where and how to ask.

    url: http, https, ws or wss, where user and password in it are sent as Basic authorization; or a
    local socket's path. timeout_s: for one
    question, all retries included. retries: how often one is asked again. backoff_s: before the
    first retry; it doubles. units_per_second: compute units, None to pace only after a complaint.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 30.0
    retries: int = 5
    backoff_s: float = 0.5
    units_per_second: int | None = None
    is_paced: bool = True

    @property
    def host(self) -> str:
        """Host and port, or a socket's name, for messages."""
        return host_of(self.url)

    def moved_to(self, url: str) -> RemoteSettings:
        """The same for another endpoint. Headers may hold a key, which is for the host that it was
        given for."""
        moved = replace(self, url=url)
        return moved if moved.host == self.host else replace(moved, headers=())


def shared_future() -> Future[Any]:
    """A future that many wait for, so none of them can cancel it."""
    made: Future[Any] = Future()
    made.set_running_or_notify_cancel()
    return made


@dataclass(eq=False, slots=True)
class Question:
    """One request that is under way, for whoever asks the same meanwhile."""

    method: str
    params: Sequence[Any]
    key: bytes
    deadline: float
    answer: Future[Any] = field(default_factory=shared_future)
    tries: int = 0
    failure: str = "no answer yet"


@dataclass(slots=True)
class Counters:
    """What was asked since the start. questions: as callers count; joined: of these, answered by
    another's; sent: requests on the wire (items of batches); posts: HTTP requests; retries."""

    questions: int = 0
    joined: int = 0
    sent: int = 0
    posts: int = 0
    retries: int = 0
    methods: dict[str, int] = field(default_factory=dict)


class RemoteClient:
    """See the module. Start it, ask, close it."""

    def __init__(self, settings: RemoteSettings) -> None:
        self.settings = settings
        self.counters = Counters()
        self._endpoint = endpoint_of(settings.url, settings.headers)
        self._pace = Pace(settings.units_per_second, settings.is_paced)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fork", daemon=True)
        self._lock = threading.Lock()
        self._asked: dict[bytes, Question] = {}
        self._new: deque[Question] = deque()
        self._is_woken = False
        self._in_flight = 0
        self._batch_max = BATCH_MAX
        self._silent_until = 0.0
        self._silence = ""
        self._heard_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: asyncio.Semaphore | None = None
        self._closed = False

    # ---- for any thread ----

    @property
    def host(self) -> str:
        return self.settings.host

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Nothing is asked any more; what waits fails."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        for question in tuple(self._asked.values()):
            self._fail(question, "this node stops")

    def move(self, url: str) -> None:
        """From now on the same is asked there. url: as of `check_url`."""
        settings = self.settings.moved_to(url)

        def swap() -> None:
            before = self._endpoint
            self._endpoint = endpoint_of(settings.url, settings.headers)
            self.settings = settings
            self._silent_until = 0.0
            self._spawn(before.close())

        self._loop.call_soon_threadsafe(swap)

    def ask(self, method: str, params: Sequence[Any]) -> Future[Any]:
        """The result, when it is there; or RemoteFailed, RemoteRefused."""
        key = orjson.dumps([method, params])
        now = time.monotonic()
        with self._lock:
            self.counters.questions += 1
            question = self._asked.get(key)
            if question is not None:
                self.counters.joined += 1
                return question.answer
            question = Question(method, params, key, now + self.settings.timeout_s)
            refusal = self._refusal(now)
            if refusal:
                question.answer.set_exception(RemoteFailed(self._words(method, refusal)))
                return question.answer
            self._asked[key] = question
            self._new.append(question)
            wake, self._is_woken = not self._is_woken, True
        if wake:
            self._loop.call_soon_threadsafe(self._wake)
        return question.answer

    def call(self, method: str, params: Sequence[Any]) -> Any:
        """As ask, and waits. Raises: RemoteFailed, RemoteRefused."""
        return self.wait(self.ask(method, params), method)

    def wait(self, answer: Future[Any], method: str) -> Any:
        """What the future brings. Raises: RemoteFailed, RemoteRefused."""
        try:
            return answer.result(self.settings.timeout_s + 5.0)
        except FutureTimeout:
            raise RemoteFailed(self._words(method, "no answer")) from None

    def _refusal(self, now: float) -> str:
        """Why a question is not even asked; empty when it is."""
        if self._closed:
            return "this node stops"
        if now < self._silent_until:
            return self._silence
        if len(self._asked) >= REQUESTS_MAX:
            return f"{REQUESTS_MAX} requests wait already"
        return ""

    def _words(self, method: str, why: str) -> str:
        return f"fork: {self.host} did not answer {method}: {why}"

    # ---- on the client's own thread ----

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        try:
            self._loop.run_forever()
        finally:
            for task in self._tasks:
                task.cancel()
            self._loop.run_until_complete(self._finish())
            self._loop.close()

    async def _finish(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._endpoint.close()

    def _wake(self) -> None:
        """Questions have come: they leave at once, or after a moment when others are under way."""
        if self._in_flight:
            self._loop.call_later(WINDOW_S, self._flush)
        else:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        with self._lock:
            self._is_woken = False
            questions = list(self._new)
            self._new.clear()
        for start in range(0, len(questions), self._batch_max):
            self._spawn(self._carry(questions[start : start + self._batch_max]))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, questions: list[Question]) -> None:
        """All of these are answered when this returns, one way or another."""
        self._in_flight += 1
        assert self._slots is not None, "made where the loop runs"
        try:
            while questions:
                questions = self._in_time(questions)
                if len(questions) > self._batch_max:
                    halves = len(questions) // 2
                    self._spawn(self._carry(questions[:halves]))
                    questions = questions[halves:]
                    continue
                if questions:
                    await self._wait_for_pace(questions)
                    async with self._slots:
                        questions = await self._post(self._in_time(questions))
                if questions:
                    await self._back_off(questions)
        finally:
            self._in_flight -= 1
            for question in questions:
                self._fail(question, "this node stops")

    def _in_time(self, questions: list[Question]) -> list[Question]:
        """Those whose time has not come; the others fail."""
        now = time.monotonic()
        late = [question for question in questions if now >= question.deadline]
        for question in late:
            seconds = self.settings.timeout_s
            self._give_up(question, f"{question.failure} ({seconds:g} s were allowed)")
        return [question for question in questions if now < question.deadline]

    async def _wait_for_pace(self, questions: list[Question]) -> None:
        units = sum(units_of(question.method) for question in questions)
        wait = self._pace.wait_ns(units, now_ns=time.monotonic_ns()) / 1e9
        if wait > 0:
            last = max(question.deadline for question in questions)
            if wait > 0.05:
                for question in questions:
                    question.failure = f"it is asked too much already; {question.failure}"
            await asyncio.sleep(min(wait, max(last - time.monotonic(), 0)))

    async def _back_off(self, questions: list[Question]) -> None:
        tries = max(question.tries for question in questions)
        if tries == 0:
            return  # only the batch was too large
        self.counters.retries += len(questions)
        wait = self.settings.backoff_s * 2 ** (tries - 1)
        last = max(question.deadline for question in questions)
        wait *= random.uniform(0.75, 1.25)
        await asyncio.sleep(min(wait, max(last - time.monotonic(), 0)))

    async def _post(self, questions: list[Question]) -> list[Question]:
        """Asks them in one request. Returns those to be asked again."""
        if not questions:
            return []
        body = body_of(questions)
        self.counters.posts += 1
        self.counters.sent += len(questions)
        for question in questions:
            count = self.counters.methods
            count[question.method] = count.get(question.method, 0) + 1
        last = max(question.deadline for question in questions)
        # A try may take a third of the time, so that a lost one can be made again.
        seconds = min(self.settings.timeout_s / 3, last - time.monotonic())
        try:
            answer = await self._endpoint.post(body, max(seconds, 0.001))
            if answer.status != 200:
                return self._on_status(questions, answer)
            outcomes = outcomes_of(answer.body, range(len(questions)))
        except Malformed as failure:
            self._heard()
            if len(questions) > 1:
                self._batch_max = max(1, len(questions) // 4)
            return self._again(questions, f"its answer is no answer: {failure}")
        except NoAnswer as failure:
            return self._again(questions, str(failure))
        self._heard()
        return self._settle(questions, outcomes)

    def _on_status(self, questions: list[Question], answer: Answer) -> list[Question]:
        self._heard()
        if answer.status == 429:
            self._complain(questions, answer.retry_after_s)
        elif answer.status in HTTP_TOO_MUCH and len(questions) > 1:
            self._batch_max = max(1, len(questions) // 4)
            if answer.status not in HTTP_RETRIED:
                return questions
        why = f"HTTP status {answer.status}"
        if 300 <= answer.status < 400:
            why += ", which sends elsewhere: give that URL"
        elif answer.status in (401, 403):
            why += ": it wants a key, in the URL or in --fork-header"
        if answer.status in HTTP_RETRIED:
            return self._again(questions, why)
        for question in questions:
            self._fail(question, why)
        return []

    def _settle(self, questions: list[Question], outcomes: dict[int, Any]) -> list[Question]:
        again: list[Question] = []
        complaint = False
        for number, question in enumerate(questions):
            if number not in outcomes:
                again += self._again([question], "its answer left the request out")
                continue
            outcome = outcomes[number]
            if not isinstance(outcome, Refusal):
                self._answer(question, outcome)
            elif outcome.may_pass and question.tries < self.settings.retries:
                complaint |= outcome.is_complaint
                again += self._again([question], outcome.message)
            elif outcome.is_complaint:
                self._fail(question, outcome.message)
            else:
                self._refuse(question, outcome)
        if complaint:
            self._complain(again, None)
        return again

    def _complain(self, questions: list[Question], retry_after_s: float | None) -> None:
        tries = max((question.tries for question in questions), default=0)
        pause = retry_after_s
        if pause is None:
            pause = self.settings.backoff_s * 2 ** max(tries - 1, 0)
        self._pace.on_complaint(int(pause * 1e9), now_ns=time.monotonic_ns())

    def _again(self, questions: list[Question], why: str) -> list[Question]:
        """Those that may be tried once more; the others fail."""
        left = []
        for question in questions:
            question.tries += 1
            question.failure = why
            if question.tries <= self.settings.retries:
                left.append(question)
            else:
                self._give_up(question, f"{why} (asked {question.tries} times)")
        return left

    # ---- ends of questions ----

    def _heard(self) -> None:
        self._heard_at = time.monotonic()

    def _give_up(self, question: Question, why: str) -> None:
        """It was tried in vain. A node that said nothing at all meanwhile is left alone a while."""
        now = time.monotonic()
        if self._heard_at < question.deadline - self.settings.timeout_s:
            self._silent_until = now + SILENCE_S
            self._silence = why
        self._fail(question, why)

    def _fail(self, question: Question, why: str) -> None:
        self._end(question)
        if not question.answer.done():
            question.answer.set_exception(RemoteFailed(self._words(question.method, why)))

    def _refuse(self, question: Question, refusal: Refusal) -> None:
        self._end(question)
        words = f"fork: {self.host} refused {question.method}: {refusal.message}"
        if not question.answer.done():
            question.answer.set_exception(
                RemoteRefused(words, refusal.code, refusal.message, refusal.data)
            )

    def _answer(self, question: Question, result: Any) -> None:
        self._end(question)
        if not question.answer.done():
            question.answer.set_result(result)

    def _end(self, question: Question) -> None:
        with self._lock:
            self._asked.pop(question.key, None)


def body_of(questions: Sequence[Question]) -> bytes:
    """A request, or a batch of them; ids count from zero."""
    items = [
        {"jsonrpc": "2.0", "id": number, "method": one.method, "params": one.params}
        for number, one in enumerate(questions)
    ]
    return orjson.dumps(items[0] if len(items) == 1 else items)
