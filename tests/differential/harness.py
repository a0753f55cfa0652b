"""GhostChain's executor beside the executable specification, on random blocks.

    python -m tests.differential.harness --cases 2000 --seed 1

Each case is one block made from a seed (`generate.py`); compared are the state root, the receipts
root, the gas used, the logs bloom, the requests hash, and which transactions were refused. The
specification (PyPI: ethereum-execution) runs in an environment of its own, because it pins an older
`cryptography`: `GHOSTCHAIN_EELS_PYTHON`, or `.venv-eels/bin/python` in the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ghostchain.chain.genesis import GenesisAccount, account_of
from ghostchain.chain.networks import network
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, Executor
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.account import Account
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.types import EMPTY_ROOT, Address, Hash32
from ghostchain.trie.merkle import ChangeSet, Forest
from tests.differential.generate import BASE_FEE, COINBASE, GAS_LIMIT, Case, case_of

ROOT = Path(__file__).resolve().parents[2]
PARENT_HASH = keccak256(b"parent")
BEACON_ROOT = keccak256(b"beacon")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both sides must agree on. refused: indices of transactions left out."""

    state_root: str
    receipts_root: str
    gas_used: int
    bloom: str
    requests_hash: str
    refused: tuple[int, ...]


def specification_python() -> Path | None:
    """The interpreter that has the executable specification, or None."""
    given = os.environ.get("GHOSTCHAIN_EELS_PYTHON")
    path = Path(given) if given else ROOT / ".venv-eels" / "bin" / "python"
    return path if path.exists() else None


@contextmanager
def specification(python: Path) -> Iterator[Any]:
    """A function from a case to the specification's outcome, over one long-lived process."""
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("oracle.py")), scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(case: Case) -> Outcome:
            process.stdin.write(json.dumps(question(case)) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"the specification's process ended at seed {case.seed}"
            return specified_outcome(json.loads(line), case)

        try:
            yield ask
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(30)


def question(case: Case) -> dict[str, Any]:
    """The case as `t8n` takes it."""
    transactions = rlp.encode(
        [
            raw if raw[0] < 0x80 else rlp.decode(raw, size_max=1 << 20, depth_max=8)
            for raw in case.transactions
        ]
    )
    return {
        "fork": case.fork,
        "alloc": case.alloc,
        "txs": "0x" + transactions.hex(),
        "env": {
            "currentCoinbase": "0x" + COINBASE.hex(),
            "currentGasLimit": hex(GAS_LIMIT),
            "currentNumber": "0x1",
            "currentTimestamp": hex(case.timestamp),
            "currentBaseFee": hex(BASE_FEE),
            "currentRandom": hex(case.prev_randao),
            "currentDifficulty": "0x0",
            "currentExcessBlobGas": "0x0",
            "parentBeaconBlockRoot": "0x" + BEACON_ROOT.hex(),
            "blockHashes": {"0": "0x" + PARENT_HASH.hex()},
            "withdrawals": [
                {
                    "index": hex(index),
                    "validatorIndex": hex(validator),
                    "address": "0x" + address.hex(),
                    "amount": hex(amount),
                }
                for index, validator, address, amount in case.withdrawals
            ],
        },
    }


def specified_outcome(answer: dict[str, Any], case: Case) -> Outcome:
    if "error" in answer:
        raise AssertionError(f"seed {case.seed}: the specification failed: {answer['error']}")
    result = answer["result"]
    return Outcome(
        state_root=result["stateRoot"],
        receipts_root=result["receiptsRoot"],
        gas_used=int(result["gasUsed"], 16),
        bloom=result["logsBloom"],
        requests_hash=result.get("requestsHash", ""),
        refused=tuple(sorted(int(entry["index"]) for entry in result["rejected"])),
    )


def our_outcome(case: Case) -> Outcome:
    """The same block through GhostChain's executor and trie."""
    allocation = {
        bytes.fromhex(address[2:]): allocation_of(fields) for address, fields in case.alloc.items()
    }
    fork = Fork[case.fork.upper()]
    schedule = BLOB_SCHEDULES[case.fork]
    forest = forest_of(allocation)
    view = MemoryView(allocation)
    view.block_hashes[0] = PARENT_HASH
    for address, fields in allocation.items():
        view.accounts[address] = record_of(fields).encode()
    environment = BlockEnvironment(
        fork=fork,
        chain_id=1,
        number=1,
        timestamp=case.timestamp,
        gas_limit=GAS_LIMIT,
        base_fee=BASE_FEE,
        coinbase=COINBASE,
        prev_randao=Hash32(case.prev_randao.to_bytes(32, "big")),
        blob_base_fee_update_fraction=schedule.base_fee_update_fraction,
        blobs_per_block_max=schedule.max,
        parent_hash=PARENT_HASH,
        parent_beacon_block_root=BEACON_ROOT,
        deposit_contract=Address(bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa")),
    )
    batch = TransactionBatch.decode(list(case.transactions))
    batch.recover()
    withdrawals = [Withdrawal(*entry) for entry in case.withdrawals]
    executor = Executor(view)
    result = executor.run_block(environment, batch, withdrawals, skip_invalid=True)
    root = forest.apply(result.changes)
    return Outcome(
        state_root="0x" + root.hex(),
        receipts_root="0x" + result.receipts_root.hex(),
        gas_used=result.gas_used,
        bloom="0x" + result.bloom.hex(),
        requests_hash="0x" + result.requests_hash.hex() if fork >= Fork.PRAGUE else "",
        refused=tuple(
            index for index, outcome in enumerate(result.outcomes) if not outcome.included
        ),
    )


def allocation_of(fields: dict[str, Any]) -> Allocation:
    return Allocation(
        nonce=int(fields.get("nonce", "0x0"), 16),
        balance=int(fields.get("balance", "0x0"), 16),
        code=bytes.fromhex(fields.get("code", "0x")[2:]),
        storage={
            bytes.fromhex(key[2:]): bytes.fromhex(value[2:])
            for key, value in fields.get("storage", {}).items()
        },
    )


def record_of(allocation: Allocation) -> Account:
    entry = GenesisAccount(
        allocation.balance, allocation.nonce, allocation.code, allocation.storage
    )
    return account_of(entry)


def forest_of(allocation: dict[bytes, Allocation]) -> Forest:
    """A forest that holds the state before, with nothing behind it but its own memory."""
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, cache_bytes_max=64 << 20)
    changes = ChangeSet.from_accounts(
        {
            address: (
                fields.nonce,
                fields.balance,
                keccak256(fields.code),
                {key: int.from_bytes(value, "big") for key, value in fields.storage.items()},
            )
            for address, fields in allocation.items()
        }
    )
    forest.apply(changes)
    forest.commit()
    return forest


def system_contracts() -> dict[str, dict[str, Any]]:
    """The system contracts of our test network, in alloc form, funded accounts left out."""
    return {
        "0x" + address.hex(): {
            "balance": hex(entry.balance),
            "nonce": hex(entry.nonce),
            "code": "0x" + entry.code.hex(),
            "storage": {
                "0x" + key.hex(): "0x" + value.hex() for key, value in (entry.storage or {}).items()
            },
        }
        for address, entry in network("testnet").alloc.items()
        if entry.code
    }


def difference(ours: Outcome, theirs: Outcome) -> str:
    """The fields that differ, in words; empty when none does."""
    return ", ".join(
        f"{name}: ours {getattr(ours, name)} specification {getattr(theirs, name)}"
        for name in Outcome.__slots__
        if getattr(ours, name) != getattr(theirs, name)
    )


def specified(case: Case, ask: Callable[[Case], Outcome]) -> Outcome:
    """The specification's outcome of a block that leaves out what it refuses.

    Its tool numbers receipts by the place in the input, refused ones included, so a block with
    refusals is asked again without them; who was refused is taken from the first answer.
    """
    outcome = ask(case)
    if not outcome.refused:
        return outcome
    kept = tuple(raw for index, raw in enumerate(case.transactions) if index not in outcome.refused)
    return replace(ask(replace(case, transactions=kept)), refused=outcome.refused)


def run_cases(first_seed: int, count: int, python: Path) -> list[str]:
    """Runs the seeds and returns a line for each that differs."""
    contracts = system_contracts()
    failures = []
    with specification(python) as ask:
        for seed in range(first_seed, first_seed + count):
            case = case_of(seed, contracts)
            found = difference(our_outcome(case), specified(case, ask))
            if found:
                failures.append(f"seed {seed} [{case.fork}]: {found}")
                print(f"FAILED {failures[-1]}", flush=True)
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    python = specification_python()
    if python is None:
        print("the executable specification is not here: `make eels`", file=sys.stderr)
        return 2
    print(f"seeds {arguments.seed} to {arguments.seed + arguments.cases - 1}", flush=True)
    failures = run_cases(arguments.seed, arguments.cases, python)
    print(f"{arguments.cases - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
