"""The consensus key in another process, behind its Unix socket.

A thread of its own keeps the connection: it says hello, sends what is asked, and connects again
whenever the socket is lost, sending again what has no answer yet. Meanwhile the validator is silent
and nothing else; a vote that waits for longer than its place in the queue lasts is given up.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ghostchain.consensus.messages import Vote
from ghostchain.crypto import ed25519
from ghostchain.node.signing.local import request_of
from ghostchain.node.signing.process import peer_uid
from ghostchain.node.signing.protocol import (
    LENGTH_BYTES,
    Answer,
    Ask,
    Claim,
    Hello,
    Introduce,
    InvalidFrame,
    Prove,
    Sign,
    decode_answer,
    encode_ask,
    frame_length,
)
from ghostchain.primitives.errors import GhostError
from ghostchain.primitives.types import Address

ANSWER_TIMEOUT_SECONDS = 5.0
RECONNECT_SECONDS_MIN = 0.1
RECONNECT_SECONDS_MAX = 2.0
PENDING_MAX = 64


class SignerUnavailable(GhostError):
    """The signer process does not answer, or is not the one it should be."""


@dataclass(slots=True)
class _Pending:
    ask: Ask
    answer: Future[Answer] = field(default_factory=Future)


class RemoteSigner:
    """Implements `consensus.ports.Signer`. `sign` returns at once, from any thread."""

    def __init__(
        self,
        path: Path,
        *,
        chain_id: int,
        deliver: Callable[[Callable[[], None]], object],
        on_state: Callable[[str], None] = lambda reason: None,
        public_key: bytes | None = None,
    ) -> None:
        """Begins to connect; `wait` for it.

        deliver: has an answer's call made on the caller's thread (an event loop's
            call_soon_threadsafe).
        on_state: told, on the signer's thread, "" when connected, and why when not; once each.
        public_key: that the signer must have; None: that of the first connection, ever after.
        """
        self._path = path
        self._chain_id = chain_id
        self._deliver = deliver
        self._on_state = on_state
        self._expected = public_key
        self._known: Future[bytes] = Future()
        self._state: str | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="signer", daemon=True)
        self._thread.start()

    def wait(self, timeout_seconds: float) -> bytes:
        """Once the signer has been reached. Returns its public key.

        Raises: SignerUnavailable when it was not reached in that time.
        """
        try:
            return self._known.result(timeout_seconds)
        except FutureTimeout as error:
            reason = self._state or "no answer"
            raise SignerUnavailable(f"the signer at {self._path}: {reason}") from error

    @property
    def public_key(self) -> bytes:
        """Raises: SignerUnavailable before it was reached for the first time."""
        return self.wait(0)

    def sign(self, vote: Vote, done: Callable[[bytes, str], None]) -> None:
        """done(signature, "") or done(b"", reason), through deliver."""
        pending = _Pending(Sign(request_of(vote)))

        def finish(answer: Future[Answer]) -> None:
            got = answer.result()
            if not got.reason and not self._holds(vote, got.result):
                got = Answer(b"", "the signer's signature does not hold")
            self._deliver(lambda: done(got.result, got.reason))

        pending.answer.add_done_callback(finish)
        self._call(pending)

    def prove(self, alpha: bytes) -> bytes:
        """The VRF proof, 80 bytes, for the input alpha. Waits for it, from any thread.

        Raises: SignerUnavailable.
        """
        return self._asked(Prove(alpha))

    def claim(self, operator: Address) -> bytes:
        """The signature by which the operator may register this key. Waits for it.

        Raises: SignerUnavailable.
        """
        return self._asked(Claim(operator))

    def introduce(self, node_key: bytes, time: int) -> bytes:
        """The signature by which peers know the node as this key's; time in Unix milliseconds.
        Waits for it.

        Raises: SignerUnavailable.
        """
        return self._asked(Introduce(node_key, time))

    def close(self) -> None:
        """Hangs up; what has no answer is given up."""
        if self._thread.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def _holds(self, vote: Vote, signature: bytes) -> bool:
        return ed25519.verify(self.public_key, vote.sign_bytes(self._chain_id), signature)

    def _asked(self, ask: Ask) -> bytes:
        pending = _Pending(ask)
        self._call(pending)
        try:
            answer = pending.answer.result(ANSWER_TIMEOUT_SECONDS)
        except FutureTimeout as error:
            reason = self._state or "no answer"
            raise SignerUnavailable(f"the signer at {self._path}: {reason}") from error
        if answer.reason:
            raise SignerUnavailable(f"the signer at {self._path}: {answer.reason}")
        return answer.result

    def _call(self, pending: _Pending) -> None:
        try:
            self._loop.call_soon_threadsafe(self._enqueue, pending)
        except RuntimeError:  # the loop is closed
            pending.answer.set_result(Answer(b"", "closed"))

    # ---- on the signer's thread ----

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._keep_connected())
        finally:
            for pending in self._pending.values():
                pending.answer.set_result(Answer(b"", "closed"))
            self._pending.clear()
            self._loop.close()

    def _enqueue(self, pending: _Pending) -> None:
        while len(self._pending) >= PENDING_MAX:
            oldest = self._pending.pop(next(iter(self._pending)))
            oldest.answer.set_result(Answer(b"", "the signer was not reached in time"))
        number = next(self._numbers)
        self._pending[number] = pending
        if self._writer is not None:
            self._writer.write(encode_ask(number, pending.ask))

    async def _keep_connected(self) -> None:
        stopped = asyncio.create_task(self._stopped.wait())
        delay = RECONNECT_SECONDS_MIN
        try:
            while not self._stopped.is_set():
                talking = asyncio.create_task(self._talk())
                await asyncio.wait((talking, stopped), return_when=asyncio.FIRST_COMPLETED)
                was_connected = self._writer is not None
                await self._hang_up(talking)
                delay = RECONNECT_SECONDS_MIN if was_connected else delay
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(stopped), delay)
                delay = min(delay + RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX)
        finally:
            stopped.cancel()

    async def _hang_up(self, talking: asyncio.Task[None]) -> None:
        talking.cancel()
        try:
            await talking
        except asyncio.CancelledError:
            reason = "closed"
        except TimeoutError:
            reason = f"no answer within {ANSWER_TIMEOUT_SECONDS} seconds"
        except (OSError, asyncio.IncompleteReadError) as error:
            reason = f"not connected: {error}"
        except (InvalidFrame, SignerUnavailable) as error:
            reason = str(error)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._tell(reason)

    def _tell(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._on_state(state)

    async def _talk(self) -> None:
        """Returns never; raises what ended the conversation."""
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(self._path, limit=4_096)
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if uid != os.geteuid():
                raise SignerUnavailable(f"the signer belongs to another user, {uid}")
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                await self._greet(reader, writer)
        except BaseException:
            writer.close()
            raise
        self._writer = writer
        self._tell("")
        for number, pending in self._pending.items():
            writer.write(encode_ask(number, pending.ask))
        while True:
            await self._listen(reader)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_ask(0, Hello(self._chain_id)))
        _, answer = await _read_answer(reader, await reader.readexactly(LENGTH_BYTES))
        if answer.reason:
            raise SignerUnavailable(answer.reason)
        if self._expected is None:
            self._expected = answer.result
        if answer.result != self._expected:
            raise SignerUnavailable(f"it has another key, {answer.result.hex()}")
        if not self._known.done():
            self._known.set_result(answer.result)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """One answer. While there is something to answer, it comes in time."""
        head = b""
        while not head:
            oldest = next(iter(self._pending), None)
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                    head = await reader.readexactly(1)
            except TimeoutError:
                if oldest is not None and oldest == next(iter(self._pending), None):
                    raise
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            head += await reader.readexactly(LENGTH_BYTES - 1)
            number, answer = await _read_answer(reader, head)
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.answer.set_result(answer)


async def _read_answer(reader: asyncio.StreamReader, head: bytes) -> tuple[int, Answer]:
    return decode_answer(await reader.readexactly(frame_length(head)))
