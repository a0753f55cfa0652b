"""`ghostd evm bench`: contracts in the format of revmc's `data` folder, timed on the native core.

What is timed is one native call a run: the whole transaction (validation, intrinsic gas,
execution, refunds) on a state that is warm in the executor's cache and unchanged from run to run.
Python stands outside of the clock.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from ghostchain.execution.executor import (
    BlockEnvironment,
    CallFlag,
    CallResult,
    Executor,
    Message,
)
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.node.conformance import test_files
from ghostchain.node.statetest import MALFORMED
from ghostchain.primitives.types import Address, Hash32

RUNS_MIN = 5
FLAGS = CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK | CallFlag.NO_GAS_CAP | CallFlag.NO_BASE_FEE


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One contract: the state before, and messages of which the last is timed."""

    name: str
    environment: BlockEnvironment
    allocation: Mapping[bytes, Allocation]
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """The best run, in nanoseconds, of a message that used gas_used."""

    name: str
    gas_used: int
    time_ns: int
    result: CallResult

    @property
    def mgas_per_s(self) -> float:
        return self.gas_used * 1_000 / self.time_ns


def number(text: Any) -> int:
    """A quantity of the format: hexadecimal with 0x, decimal without, or a JSON number."""
    return int(text, 0) if isinstance(text, str) else int(text)


def data(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def word(text: str) -> bytes:
    return number(text or "0x0").to_bytes(32, "big")


def parse(content: bytes) -> Iterator[Benchmark]:
    """The benchmarks of one file. Raises one of MALFORMED when it is in another format."""
    for name, fields in orjson.loads(content).items():
        transactions = fields["transaction"]
        if isinstance(transactions, dict):
            transactions = [transactions]
        if not transactions:
            raise ValueError(f"{name} has no transaction")
        yield Benchmark(
            name=name,
            environment=environment_of(fields["env"]),
            allocation={
                data(address): allocation_of(account) for address, account in fields["pre"].items()
            },
            messages=tuple(message_of(transaction) for transaction in transactions),
        )


def environment_of(env: Mapping[str, Any]) -> BlockEnvironment:
    schedule = BLOB_SCHEDULES["Osaka"]
    randao = number(env.get("currentRandom", "0x0")).to_bytes(32, "big")
    return BlockEnvironment(
        fork=Fork.OSAKA,
        chain_id=1,
        number=number(env["currentNumber"]),
        timestamp=number(env["currentTimestamp"]),
        gas_limit=number(env["currentGasLimit"]),
        base_fee=number(env.get("currentBaseFee", "0x0")),
        coinbase=Address(data(env["currentCoinbase"])),
        prev_randao=Hash32(randao),
        excess_blob_gas=number(env.get("currentExcessBlobGas", "0x0")),
        blob_base_fee_update_fraction=schedule.base_fee_update_fraction,
        blobs_per_block_max=schedule.max,
    )


def allocation_of(account: Mapping[str, Any]) -> Allocation:
    storage = {word(key): word(value) for key, value in account.get("storage", {}).items()}
    return Allocation(
        nonce=number(account.get("nonce", "0x0")),
        balance=number(account.get("balance", "0x0")),
        code=data(account.get("code", "0x")),
        storage={key: value for key, value in storage.items() if any(value)},
    )


def message_of(transaction: Mapping[str, Any]) -> Message:
    to = transaction.get("to")
    price = number(transaction.get("gasPrice", "0x0"))
    return Message(
        sender=Address(data(transaction["sender"])),
        to=Address(data(to)) if to else None,
        gas_limit=number(transaction["gasLimit"]),
        type=0,
        value=number(transaction.get("value", "0x0")),
        data=data(transaction.get("data", "0x")),
        max_fee_per_gas=price,
        max_priority_fee_per_gas=price,
    )


def run(benchmark: Benchmark, seconds: float) -> Timing:
    """The last message's best time, after all but it ran once and their changes were kept."""
    executor = Executor(MemoryView(benchmark.allocation))
    for message in benchmark.messages[:-1]:
        executor.call(benchmark.environment, message, flags=FLAGS | CallFlag.KEEP)
    timed = executor.prepare(benchmark.environment, benchmark.messages[-1], flags=FLAGS)
    result = timed.run()
    best_ns = 1 << 62
    runs = 0
    deadline_ns = time.perf_counter_ns() + int(seconds * 1e9)
    while runs < RUNS_MIN or time.perf_counter_ns() < deadline_ns:
        best_ns = min(best_ns, timed.time_ns())
        runs += 1
    return Timing(benchmark.name, result.gas_used, best_ns, result)


def run_benchmarks(paths: Sequence[Path], *, seconds: float) -> int:
    """Prints a JSON line for each contract. Returns the exit code: 1 when one could not run."""
    failed = found = 0
    for name, content in test_files(paths):
        try:
            benchmarks = list(parse(content))
        except MALFORMED as failure:
            click.echo(f"{name}: not a benchmark file ({failure!r})", err=True)
            failed += 1
            continue
        for benchmark in benchmarks:
            found += 1
            timing = run(benchmark, seconds)
            if not timing.result.success:
                exit_name = timing.result.exit.name.lower()
                click.echo(f"{benchmark.name}: ended with {exit_name}", err=True)
            line = {
                "name": timing.name,
                "gas_used": timing.gas_used,
                "time_ns": timing.time_ns,
                "mgas_per_s": round(timing.mgas_per_s, 3),
            }
            sys.stdout.write(orjson.dumps(line).decode() + "\n")
            sys.stdout.flush()
    return 1 if failed or not found else 0
