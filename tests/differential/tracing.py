"""Random transactions for every tracer: what is asked, our answers, and geth's.

geth's come from its own tracers (`geth/main.go`, built in a checkout of go-ethereum) when
`GHOSTCHAIN_GETH_TRACERS` names that program. What it once said of some seeds is recorded as digests
in `tracing.json`, so that every run has an oracle.

    python -m tests.differential.tracing --cases 20000    # beside geth
    python -m tests.differential.tracing --record 120     # writes tracing.json anew
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, Executor
from ghostchain.execution.forks import Fork
from ghostchain.execution.traces import recording
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.errors import InvalidBlock
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.tracers.options import trace_options
from ghostchain.rpc.tracers.runs import Around, Parts
from ghostchain.rpc.tracers.table import Chosen
from tests.differential.generate import BASE_FEE, COINBASE, CONTRACTS, GAS_LIMIT, SENDERS, case_of

Json = dict[str, Any]

RECORD = Path(__file__).with_name("tracing.json")
NUMBER = 16
# A name, none for the struct logger, and what it is told.
TRACERS: tuple[tuple[str, Json], ...] = (
    ("callTracer", {}),
    ("callTracer", {"withLog": True}),
    ("callTracer", {"onlyTopCall": True, "withLog": True}),
    ("flatCallTracer", {}),
    ("flatCallTracer", {"includePrecompiles": True, "convertParityErrors": True}),
    ("prestateTracer", {}),
    ("prestateTracer", {"includeEmpty": True}),
    ("prestateTracer", {"disableCode": True, "disableStorage": True}),
    ("prestateTracer", {"diffMode": True}),
    ("prestateTracer", {"diffMode": True, "disableCode": True}),
    ("prestateTracer", {"diffMode": True, "disableStorage": True}),
    ("4byteTracer", {}),
    ("noopTracer", {}),
    ("keccak256PreimageTracer", {}),
    ("erc7562Tracer", {"withLog": True}),
    ("erc7562Tracer", {"stackTopItemsSize": 1, "ignoredOpcodes": ["0x1", "0x60"]}),
    (
        "muxTracer",
        {
            "callTracer": {"onlyTopCall": True},
            "prestateTracer": {"diffMode": True},
            "muxTracer": {"flatCallTracer": {}, "4byteTracer": None},
        },
    ),
    ("callTracerLegacy", {}),
    ("", {}),
    ("", {"enableMemory": True, "enableReturnData": True}),
    ("", {"disableStack": True, "disableStorage": True, "limit": 2000}),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One transaction over a state. is_settled: as in `Around`."""

    seed: int
    fork: Fork
    alloc: dict[str, Json]
    transaction: bytes
    coinbase: Address
    base_fee: int
    timestamp: int
    prev_randao: int
    is_settled: bool

    def json(self) -> Json:
        """As geth is asked."""
        return {
            "alloc": self.alloc,
            "chainId": 1,
            "fork": self.fork.name.lower(),
            "settled": self.is_settled,
            "input": "0x" + self.transaction.hex(),
            "context": {
                "number": hex(NUMBER),
                "difficulty": hex(self.prev_randao),
                "timestamp": hex(self.timestamp),
                "gasLimit": hex(GAS_LIMIT),
                "miner": "0x" + self.coinbase.hex(),
                "baseFeePerGas": hex(self.base_fee),
            },
            "tracers": [{"name": name, "config": config} for name, config in TRACERS],
        }


def question_of(seed: int) -> Question:
    case, chance = case_of(seed, {}), random.Random(seed)
    is_known = chance.random() < 0.3  # whoever it is, it may be called too
    return Question(
        seed=seed,
        fork=Fork[case.fork.upper()],
        alloc=case.alloc,
        transaction=case.transactions[0],
        coinbase=chance.choice((*CONTRACTS, *SENDERS)) if is_known else COINBASE,
        base_fee=chance.choice((0, BASE_FEE)),
        timestamp=case.timestamp,
        prev_randao=case.prev_randao,
        is_settled=chance.random() < 0.5,
    )


# ---- our answers ----


def allocation(account: Json) -> Allocation:
    return Allocation(
        nonce=int(account.get("nonce", "0x0"), 16),
        balance=int(account.get("balance", "0x0"), 16),
        code=bytes.fromhex(account.get("code", "0x")[2:]),
        storage={
            Hash32(bytes.fromhex(key[2:])): Hash32(bytes.fromhex(value[2:]))
            for key, value in account.get("storage", {}).items()
        },
    )


def tracer_of(name: str, config: Json) -> Chosen:
    options = {"tracer": name, "tracerConfig": config} if name else config
    return trace_options(options).chosen


def our_answers(question: Question) -> list[Any] | None:
    """One for each of TRACERS; None for a transaction that is not valid."""
    view = MemoryView(
        {
            Address(bytes.fromhex(address[2:])): allocation(account)
            for address, account in question.alloc.items()
        }
    )
    batch = TransactionBatch.decode([question.transaction])
    batch.recover()
    environment = BlockEnvironment(
        fork=question.fork,
        chain_id=1,
        number=NUMBER,
        timestamp=question.timestamp,
        gas_limit=GAS_LIMIT,
        base_fee=question.base_fee,
        coinbase=question.coinbase,
        prev_randao=Hash32(question.prev_randao.to_bytes(32, "big")),
        blob_base_fee_update_fraction=3_338_477,
        blobs_per_block_max=6,
    )
    executor = Executor(view)
    answers = []
    for name, config in TRACERS:
        tracer = tracer_of(name, config)
        try:
            with recording(executor, tracer.watch()) as recorder:
                (outcome,) = executor.run_block(environment, batch, system_calls=False).outcomes
                trace, gas_used = recorder.trace(), outcome.gas_used
        except InvalidBlock:
            return None
        finally:
            executor.discard()
        limit = batch.transaction(0).gas_limit
        around = Around(
            batch.sender(0),
            limit,
            gas_used,
            question.fork,
            question.coinbase,
            is_settled=question.is_settled,
        )
        shown = tracer.show(Parts(trace).run(0, around))
        answers.append(as_compared(name, json.loads(orjson.dumps(shown))))
    return answers


def as_compared(name: str, answer: Any) -> Any:
    """Addresses of the tracers in JavaScript are written in no fixed way; a call that failed
    without output may have none or an empty one."""
    if name != "callTracerLegacy":
        return answer
    shown = {
        key: value.lower() if isinstance(value, str) and value[:2] == "0x" else value
        for key, value in answer.items()
        if (key, value) not in (("output", "0x"), ("input", "0x"))
    }
    if "calls" in shown:
        shown["calls"] = [as_compared(name, call) for call in shown["calls"]]
    return shown


def digest(answer: Any) -> str:
    return hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).hexdigest()[:12]


# ---- geth's ----


class Geth:
    """geth's tracers, in a process of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def answers(self, question: Question) -> list[Any] | None:
        """As our_answers."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(question.json()) + "\n")
        stdin.flush()
        given = json.loads(stdout.readline())
        if "error" in given[0]:
            return None
        return [
            as_compared(name, answer["result"]) if "result" in answer else answer
            for (name, _), answer in zip(TRACERS, given, strict=True)
        ]


def geth_program() -> Path | None:
    given = os.environ.get("GHOSTCHAIN_GETH_TRACERS")
    return Path(given) if given else None


@contextmanager
def geth(program: Path) -> Iterator[Geth]:
    process = subprocess.Popen(
        [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Geth(process)
    finally:
        process.kill()
        process.communicate()


def differences(question: Question, ours: list[Any] | None, theirs: list[Any] | None) -> list[str]:
    if ours is None or theirs is None:
        return [] if ours is theirs else [f"{question.seed}: one of them refuses it"]
    return [
        f"{question.seed} {question.fork.name} {name} {config}"
        for (name, config), one, other in zip(TRACERS, ours, theirs, strict=True)
        if one != other and not has_panicked(other)
    ]


def has_panicked(answer: Any) -> bool:
    """Whether geth's tracer did not get through, as erc7562Tracer where words lack on the stack."""
    return isinstance(answer, dict) and str(answer.get("error")).startswith("panic: ")


def compare(seeds: range, program: Path) -> list[str]:
    """What differs between us and geth, by seed and tracer."""
    with geth(program) as other:
        return [
            difference
            for question in map(question_of, seeds)
            for difference in differences(question, our_answers(question), other.answers(question))
        ]


def record(count: int, program: Path) -> None:
    """Digests of geth's answers: by seed, one for each of TRACERS; none where it refuses."""
    with geth(program) as other:
        found = {}
        for seed in range(count):
            answers = other.answers(question_of(seed))
            found[str(seed)] = "" if answers is None else " ".join(map(digest, answers))
    RECORD.write_text(json.dumps(found, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=int, default=0)
    arguments = parser.parse_args()
    program = geth_program()
    if program is None:
        print("GHOSTCHAIN_GETH_TRACERS names no program", file=sys.stderr)
        return 2
    if arguments.record:
        record(arguments.record, program)
        return 0
    found = compare(range(arguments.seed, arguments.seed + arguments.cases), program)
    print("\n".join(found), f"{len(found)} differences in {arguments.cases} transactions", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
