"""The lanes on the way to the pool: what takes long to verify holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, cast

import pytest

from ghostchain.primitives.types import Hash32
from ghostchain.rpc.backend import Backend
from ghostchain.rpc.errors import RpcError
from ghostchain.rpc.submission import Submitter


class SlowBackend:
    """Answers each transaction with its bytes; those of 0x47 when told to."""

    def __init__(self) -> None:
        self.development = None
        self.verified = asyncio.Event()
        self.admissions: list[list[bytes]] = []

    async def submit(self, raws: Sequence[bytes]) -> list[Hash32]:
        self.admissions.append(list(raws))
        if any(raw[:1] == b"\x47" for raw in raws):
            await self.verified.wait()
        return [Hash32(raw) for raw in raws]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 10))


def submitter(backend: SlowBackend, **limits: int) -> Submitter:
    return Submitter(cast(Backend, backend), **{"batch_max": 10, "queue_max": 10, **limits})


def test_ordinary_transactions_pass_those_that_verify_long() -> None:
    async def scenario() -> None:
        backend = SlowBackend()
        made = submitter(backend)
        ghost = asyncio.create_task(made.submit([b"\x47a", b"\x47b"]))
        await asyncio.sleep(0)
        assert await made.submit([b"\x02c"]) == [b"\x02c"]
        assert not ghost.done()
        backend.verified.set()
        assert await ghost == [b"\x47a", b"\x47b"]
        await made.stop()

    run(scenario())


def test_answers_of_a_mixed_batch_stand_in_its_order() -> None:
    """Each lane is asked once, in the order of arrival."""

    async def scenario() -> None:
        backend = SlowBackend()
        backend.verified.set()
        raws = [b"\x47a", b"\x02b", b"\xf8c", b"\x47d", b"", b"\x7be"]
        made = submitter(backend)
        assert await made.submit(raws) == raws
        assert sorted(backend.admissions) == [
            [b"\x02b", b"\xf8c", b"", b"\x7be"],
            [b"\x47a", b"\x47d"],
        ]
        await made.stop()

    run(scenario())


def test_a_full_lane_leaves_the_other_open() -> None:
    async def scenario() -> None:
        backend = SlowBackend()
        made = submitter(backend, queue_max=2)
        running = asyncio.create_task(made.submit([b"\x47a"]))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(made.submit([b"\x47b", b"\x47c"]))
        await asyncio.sleep(0.01)
        assert made.queued == 2
        with pytest.raises(RpcError, match="too many"):
            await made.submit([b"\x47d"])
        assert await made.submit([b"\x02e"]) == [b"\x02e"]
        backend.verified.set()
        assert (await running, await waiting) == ([b"\x47a"], [b"\x47b", b"\x47c"])
        await made.stop()

    run(scenario())
