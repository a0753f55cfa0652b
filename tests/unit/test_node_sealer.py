"""The sealer over a chain and a pool: what it takes, what it leaves, when it goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.node import candidates as candidates_module
from ghostchain.node.accounts import sender_states
from ghostchain.node.backend import pool_rules
from ghostchain.node.following import PoolFollower
from ghostchain.node.sealer import BlockMaker, Sealer, usual_terms
from ghostchain.node.sealing import INSTANT
from ghostchain.primitives.types import Address
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.journal import Journal
from tests.samples import transfer

GWEI = 10**9


def raw(nonce: int, *, sender: int = 0, gas_limit: int = 21_000, fee: int = 10 * GWEI) -> bytes:
    fees = {"max_fee_per_gas": fee, "max_priority_fee_per_gas": min(fee, 1)}
    return transfer(nonce, key=TEST_KEYS[sender], gas_limit=gas_limit, **fees)


def maker_of(chain: Chain, driver: PoolDriver) -> BlockMaker:
    return BlockMaker(chain, driver, lambda: usual_terms(chain, Address(bytes(20)), None))


def fail(failure: Exception) -> None:
    raise AssertionError("the journal can be written") from failure


def sealed_until(folder: Path, raws: list[bytes], done: Callable[[Chain], bool]) -> list[int]:
    """Transactions of each block that the sealer makes of what one submission gave it, until
    `done` (30 s at most)."""
    counts: list[int] = []

    async def play(chain: Chain, driver: PoolDriver, writer: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        moved = asyncio.Event()

        def on_head(header: object) -> None:
            body = chain.block(chain.head.number)
            counts.append(len(body.transactions) if body else 0)
            loop.call_soon_threadsafe(moved.set)

        chain.subscribe(on_head)
        sealer = Sealer(maker_of(chain, driver), driver, INSTANT, writer)
        task = asyncio.create_task(sealer.run())
        async with asyncio.timeout(30):
            while not done(chain):
                moved.clear()
                await moved.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    chain = Chain.open(folder / "data", network("dev"))
    follower = PoolFollower(chain, fail)
    driver = PoolDriver(
        Pool(),
        Journal(folder / "pool.journal", durable=False),
        rules=lambda: pool_rules(chain, chain.next_environment()),
        accounts=lambda addresses: sender_states(chain.state_at(chain.head.number), addresses),
    )
    follower.attach(driver)
    try:
        driver.restore()
        answers = driver.submit(raws)
        assert [answer.refusal for answer in answers] == [None] * len(raws)
        with ThreadPoolExecutor(1) as writer:
            asyncio.run(play(chain, driver, writer))
        assert not list(driver.pool.best(chain.next_fees().base_fee))
    finally:
        driver.close()
        chain.close()
    return counts


def test_more_than_one_block_of_count_is_sealed_without_another_wake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """25 wait, a block tries 10: three blocks follow one another."""
    monkeypatch.setattr(candidates_module, "CANDIDATE_COUNT_MAX", 10)
    raws = [raw(nonce) for nonce in range(25)]
    counts = sealed_until(tmp_path, raws, lambda chain: chain.head.number >= 3)
    assert counts == [10, 10, 5]


def test_more_than_one_block_of_promised_gas_is_sealed_without_another_wake(
    tmp_path: Path,
) -> None:
    """Limits far above what is used (as wallets set them) do not leave the last ones waiting."""
    chain_limit = network("dev").header.gas_limit
    raws = [raw(nonce, gas_limit=min(1 << 24, chain_limit)) for nonce in range(150)]
    total = 0

    def done(chain: Chain) -> bool:
        nonlocal total
        total = sum(
            len(block.transactions)
            for number in range(1, chain.head.number + 1)
            if (block := chain.block(number)) is not None
        )
        return total >= 150

    counts = sealed_until(tmp_path, raws, done)
    assert sum(counts) == 150
    assert len(counts) >= 2


def test_what_pays_too_little_makes_no_empty_block(tmp_path: Path) -> None:
    """Else anybody could make the chain longer for nothing."""
    cheap = [raw(0, sender=1, fee=1)]
    counts = sealed_until(tmp_path, [*cheap, raw(0)], lambda chain: chain.head.number >= 1)
    assert counts == [1]
    chain = Chain.open(tmp_path / "data", network("dev"))
    pool = Pool()
    driver = PoolDriver(
        pool,
        Journal(tmp_path / "pool.journal", durable=False),
        rules=lambda: pool_rules(chain, chain.next_environment()),
        accounts=lambda addresses: sender_states(chain.state_at(chain.head.number), addresses),
    )
    try:
        assert driver.restore() == 1
        maker = maker_of(chain, driver)
        assert maker.make(empty_too=False) is None
        assert chain.head.number == 1
        assert maker.make(empty_too=True) is False
        assert chain.head.number == 2
    finally:
        driver.close()
        chain.close()


def test_whoever_waits_for_a_block_gets_one_or_is_let_go(tmp_path: Path) -> None:
    """Three that wait together share a block; what does not pay, and what comes when sealing has
    ended, is kept waiting by nothing."""
    counts: list[int] = []

    async def play(chain: Chain, driver: PoolDriver, writer: ThreadPoolExecutor) -> None:
        sealer = Sealer(maker_of(chain, driver), driver, INSTANT, writer)
        task = asyncio.create_task(sealer.run())
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
            hashes = [one.hash for one in driver.submit([raw(nonce) for nonce in range(3)])]
            await asyncio.gather(*(sealer.settle([one]) for one in hashes))
            counts.append(chain.head.number)
            cheap = driver.submit([raw(0, sender=1, fee=1)])[0].hash
            await sealer.settle([cheap])
            counts.append(chain.head.number)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await sealer.settle([cheap])

    chain = Chain.open(tmp_path / "data", network("dev"))
    follower = PoolFollower(chain, fail)
    driver = PoolDriver(
        Pool(),
        Journal(tmp_path / "pool.journal", durable=False),
        rules=lambda: pool_rules(chain, chain.next_environment()),
        accounts=lambda addresses: sender_states(chain.state_at(chain.head.number), addresses),
    )
    follower.attach(driver)
    try:
        driver.restore()
        with ThreadPoolExecutor(1) as writer:
            asyncio.run(play(chain, driver, writer))
    finally:
        driver.close()
        chain.close()
    assert counts == [1, 1]
