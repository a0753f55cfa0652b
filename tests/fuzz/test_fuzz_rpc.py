"""The short, deterministic version of fuzz_rpc.py."""

from __future__ import annotations

import asyncio
import random

from tests.fuzz.fuzz_rpc import SEEDS, answer_body, make_dispatcher, mutated

SEED = 20_26
ROUNDS = 3_000


def test_mutated_requests_are_answered() -> None:
    """Every mutation of the seeds gets a JSON-RPC answer or, as a notification, none."""
    chance = random.Random(SEED)

    async def main() -> None:
        dispatcher = make_dispatcher()
        try:
            for seed in SEEDS:
                await answer_body(dispatcher, seed)
            for _ in range(ROUNDS):
                body = mutated(chance)
                try:
                    await answer_body(dispatcher, body)
                except BaseException:
                    print(f"seed {SEED}, body {body!r}")
                    raise
        finally:
            dispatcher.workers.stop()

    asyncio.run(main())
