"""The busiest reads of JSON-RPC from bytes to bytes: the door to `native/reads`.

A body is taken when all of it is known there; then it is answered natively, as far as that goes.
What is not taken, or not answered, goes the ordinary way, whose answers these are byte for byte.

Threads: a Reading belongs to one thread at a time. The interpreter lock is free while it runs.

Oracle: the ordinary way, over generated bodies and states, in tests/oracle/test_reads.py.
"""

from __future__ import annotations

from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.execution.executor import BlockEnvironment, Executor
from ghostchain.execution.native_values import fill_environment


class ReadsHead:
    """What is asked about: a head, and how far an answer may go.

    Units: gas of each call; slice_ns of one run.
    """

    __slots__ = ("_environment", "native")

    def __init__(
        self,
        environment: BlockEnvironment,
        chain_id: int,
        *,
        gas_max: int,
        slice_ns: int,
    ) -> None:
        self._environment = ffi.new("ghost_block_env *")
        fill_environment(self._environment, environment)
        self.native = ffi.new("ghost_reads_head *")
        self.native.env = self._environment
        self.native.chain_id = chain_id
        self.native.gas_max = gas_max
        self.native.slice_ns = slice_ns


class Reading:
    """One request after the other: taken, then run until it is whole."""

    __slots__ = ("_answer", "_answer_bytes_max", "_native", "count")

    def __init__(self, answer_bytes_max: int) -> None:
        """answer_bytes_max: of all answers to one request together."""
        self._native: Any = ffi.gc(lib.ghost_reads_new(), lib.ghost_reads_free)
        if self._native == ffi.NULL:
            raise MemoryError("the native core found no memory for a request")
        self._answer: Any = ffi.new("ghost_reads_answer *")
        self._answer_bytes_max = answer_bytes_max
        self.count = 0

    def take(self, body: bytes, items_max: int) -> int:
        """How many calls the body has, where all of them may be answered here; else 0.

        Cost: about a nanosecond a byte.
        """
        answer = self._answer
        answer.is_elsewhere = answer.answered = answer.length = 0
        self.count = int(lib.ghost_reads_parse(self._native, body, len(body), items_max))
        return self.count

    def run(self, executor: Executor, head: ReadsHead) -> bytes | None:
        """The answer to the whole body; None while that is not it yet: the time of this run was
        over, or the next call `is_elsewhere`.

        Raises: as `Executor.call`.
        """
        answer = self._answer
        status = lib.ghost_reads_run(
            self._native, executor.native, head.native, self._answer_bytes_max, answer
        )
        if status:
            executor.check(status)
        return self._whole()

    @property
    def is_elsewhere(self) -> bool:
        """Whether the next call has to be asked elsewhere, and `put` here."""
        return bool(self._answer.is_elsewhere)

    def stop(self) -> None:
        """The next call has to be asked elsewhere."""
        self._answer.is_elsewhere = 1

    @property
    def answered(self) -> int:
        """Calls answered so far, from the first on."""
        return int(self._answer.answered)

    @property
    def size(self) -> int:
        """Bytes of the answers so far."""
        return int(self._answer.length)

    def put(self, response: bytes) -> bytes | None:
        """The next call's answer, from elsewhere. Returns: as `run`."""
        answer = self._answer
        if lib.ghost_reads_put(self._native, response, len(response), answer) != lib.GHOST_OK:
            raise MemoryError("the native core found no memory for an answer")
        return self._whole()

    def _whole(self) -> bytes | None:
        answer = self._answer
        if answer.answered < self.count:
            return None
        return bytes(ffi.buffer(answer.text, answer.length))

    @property
    def memory(self) -> int:
        """Bytes held natively."""
        return int(lib.ghost_reads_memory(self._native))
