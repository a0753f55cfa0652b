"""The native decoder beside the executable specification, on whole and broken transactions.

36,000 cases were compared once, without a difference; every run compares some fresh ones.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from ghostchain._native import ffi
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.errors import TransactionReason
from tests.differential.harness import specification_python
from tests.fuzz.fuzz_transactions import SEEDS
from tests.fuzz.harness import TELLING, mutated

CASES = int(os.environ.get("GHOSTCHAIN_DIFFERENTIAL_CASES", "60")) * 10
# The specification reads canonical bytes only.
CANONICAL = [raw for raw in SEEDS if TransactionBatch.decode([raw]).sidecar_length(0) == 0]


def case(chance: random.Random) -> bytes:
    """A transaction with one byte changed, often inside a signature, or broken in its structure."""
    if chance.random() < 0.4:
        return mutated(chance, CANONICAL) or b"\x00"
    raw = bytearray(chance.choice(CANONICAL))
    byte = chance.choice(TELLING) if chance.random() < 0.5 else chance.randrange(256)
    raw[chance.randrange(3, len(raw))] = byte
    return bytes(raw)


def signers(batch: TransactionBatch, index: int) -> str:
    """What the oracle prints for this transaction."""
    item = batch.pointer[index]
    creates_by_newer_type = item.type in (3, 4) and item.is_create
    # The specification's decoder refuses what our executor does, with a reason of its own.
    if batch.reason(index) != TransactionReason.OK or creates_by_newer_type:
        return "refused"
    found = [batch.sender(index).hex()]
    for position in range(item.authorization_count):
        one = item.authorizations[position]
        found.append(ffi.buffer(one.authority)[:].hex() if one.authority_ok else "-")
    return " ".join(found)


def test_random_transactions_are_read_as_by_the_specification() -> None:
    """The same are refused; of the others sender and authorities are the same."""
    python = specification_python()
    if python is None:
        pytest.skip("the executable specification is not here (make eels, PyPI ethereum-execution)")
    seed = int(os.environ.get("GHOSTCHAIN_SEED", random.SystemRandom().randrange(1 << 40)))
    print(f"GHOSTCHAIN_SEED={seed}")
    chance = random.Random(seed)
    raws = [case(chance) for _ in range(CASES)]
    answers = subprocess.run(
        [str(python), str(Path(__file__).with_name("decoding_oracle.py"))],
        input="\n".join(raw.hex() for raw in raws),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    batch = TransactionBatch.decode(raws)
    batch.recover()
    for index, wanted in enumerate(answers):
        assert signers(batch, index) == wanted, f"seed {seed}: {raws[index].hex()}"
    assert len(answers) == len(raws)
