"""Blocks through the executor alone: state in its cache, senders known, no account trie, no disk.

Plain transfers, and calls of a small token-like contract (two slots and one log each). The peer is
pyrevm, where it is installed: a loop of message calls, which leaves out signatures, receipts and
roots that the executor makes. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.executor import BlockEnvironment, Executor
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 20_000 if FULL else 400
SENDERS = 2_000 if FULL else 40
ROUNDS = 10 if FULL else 1

TOKEN = Address(b"\xcc" * 20)
# slot[caller] -= calldata[32], slot[calldata[0]] += calldata[32], LOG3, returns 1
TOKEN_CODE = bytes.fromhex(
    "602035803354033355602035805f3554015f35555f525f3533630badc0de60205fa360015f5260205ff3"
)

ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    chain_id=1,
    number=1,
    timestamp=1_000,
    gas_limit=10**10,
    base_fee=7,
    coinbase=Address(b"\xc0" * 20),
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
)


def keys() -> list[bytes]:
    return [(number + 1).to_bytes(32, "big") for number in range(SENDERS)]


def senders() -> list[Address]:
    return [address_of(key) for key in keys()]


def target(index: int) -> bytes:
    return (0xABCDEF0000 + index * 7919 % SENDERS).to_bytes(20, "big")


def transfer(index: int) -> Transaction:
    return Transaction(
        type=2,
        chain_id=1,
        nonce=index // SENDERS,
        max_fee_per_gas=100,
        max_priority_fee_per_gas=3,
        gas_limit=21_000,
        to=Address(target(index)),
        value=1,
    )


def token_call(index: int) -> Transaction:
    data = target(index).rjust(32, b"\0") + (1).to_bytes(32, "big")
    return replace(transfer(index), to=TOKEN, value=0, data=data, gas_limit=100_000)


def prepared(make, code: bytes = TOKEN_CODE) -> tuple[Executor, TransactionBatch]:
    view = MemoryView({address: Allocation(balance=10**20) for address in senders()})
    view.put(TOKEN, Allocation(nonce=1, code=code))
    signing = keys()
    batch = TransactionBatch.decode(
        [
            encode_transaction(sign_transaction(make(index), signing[index % SENDERS]))
            for index in range(COUNT)
        ]
    )
    batch.recover()
    return Executor(view), batch


def run(executor: Executor, batch: TransactionBatch) -> bytes:
    result = executor.run_block(ENVIRONMENT, batch, system_calls=False)
    assert all(result.outcomes[i].success for i in (0, COUNT // 2, COUNT - 1))
    root = result.receipts_root
    executor.discard()
    return root


def peer_rate(make) -> float:
    """Transactions a second of pyrevm, 0 where it is not installed."""
    pyrevm = pytest.importorskip("pyrevm")
    evm = pyrevm.EVM()
    names = ["0x" + address.hex() for address in senders()]
    for name in names:
        evm.insert_account_info(name, pyrevm.AccountInfo(balance=10**20))
    token = "0x" + TOKEN.hex()
    evm.insert_account_info(token, pyrevm.AccountInfo(nonce=1, code=TOKEN_CODE))
    calls = []
    for index in range(COUNT):
        tx = make(index)
        calls.append((names[index % SENDERS], "0x" + tx.to.hex(), tx.data, tx.value))
    start = time.perf_counter()
    for caller, to, data, value in calls:
        evm.message_call(caller=caller, to=to, calldata=data, value=value, gas=100_000)
    return COUNT / (time.perf_counter() - start)


@pytest.mark.parametrize("make", [transfer, token_call], ids=["transfers", "token"])
def test_run_block(benchmark, make) -> None:
    """One block, run and discarded again and again: the same root each time."""
    executor, batch = prepared(make)
    root = run(executor, batch)
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        assert run(executor, batch) == root
        best = min(best, time.perf_counter() - start)
    benchmark.pedantic(run, args=(executor, batch), rounds=ROUNDS)
    peer = peer_rate(make)
    benchmark.extra_info.update(
        transactions=COUNT,
        per_second=round(COUNT / best),
        peer="pyrevm message calls",
        peer_per_second=round(peer),
        ratio=round(COUNT / best / peer, 2),
        result_hash=root.hex(),
    )
