"""The RLPTests and TransactionTests of ethereum/tests.

A transaction vector names a result for each fork since Frontier. The newest one counts, which is
Cancun's for 149 of 210 vectors; the older ones are left out, because they state rules that no
longer held at Cancun (high s, the gas of Frontier and Istanbul, types that were not yet known). The
vectors that stop at Shanghai or London are about structure, which no later fork changed; only in
`RLP_04_maxFeePerGas32BytesValue` the type is known by now, so that its bytes are refused for their
number of fields instead.

A vector is judged as a node judges it: decoded and recovered natively in a batch, then put before
the executor as the only candidate of a Cancun block of chain 1 whose sender can pay anything.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ghostchain.encoding import rlp
from ghostchain.encoding.transactions import TransactionBatch, decode_transaction
from ghostchain.execution.executor import BlockEnvironment, CallFlag, Executor, Message
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.errors import InvalidEncoding, InvalidTransaction, TransactionReason
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address

ARCHIVE = "ethereum_tests.tar.xz"
FORKS = ("Prague", "Cancun", "Shanghai", "Paris", "London")
SUPERSEDED = {"RLP_04_maxFeePerGas32BytesValue": TransactionReason.FIELD_COUNT}
# Vectors with two faults, of which we meet the one that the suite does not name.
SECOND_FAULT = {
    "V_overflow32bit": TransactionReason.HIGH_S,
    "V_overflow32bitSigned": TransactionReason.HIGH_S,
    "V_overflow64bitPlus27": TransactionReason.HIGH_S,
    "V_overflow64bitPlus28": TransactionReason.HIGH_S,
    "WrongVRSTestVOverflow": TransactionReason.HIGH_S,
    "TransactionWithGasLimitOverflowZeros64": TransactionReason.LEADING_ZERO,
}
CANCUN_OF_MAINNET = BlockEnvironment(
    fork=Fork.CANCUN,
    chain_id=1,
    number=1,
    timestamp=1,
    gas_limit=2**64 - 1,
    base_fee=0,
    blob_base_fee_update_fraction=3338477,
    blobs_per_block_max=6,
)


@cache
def vectors(archive: Path, folder: str) -> list[tuple[str, Any]]:
    """(name, vector) of all the JSON files below the folder."""

    def read() -> Iterator[tuple[str, Any]]:
        with tarfile.open(archive) as tar:
            for member in tar:
                if f"/{folder}/" in f"/{member.name}" and member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield from json.load(file).items()

    return list(read())


def rlp_value(value: Any) -> Any:
    """A vector's notation: text for bytes, numbers, #decimals, lists."""
    if isinstance(value, list):
        return [rlp_value(part) for part in value]
    if isinstance(value, int):
        return rlp.integer_bytes(value)
    return rlp.integer_bytes(int(value[1:])) if value[:1] == "#" else value.encode("latin-1")


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def test_rlp_vectors(fixture_archive: Callable[[str], Path]) -> None:
    """Valid ones encode to their bytes and decode to their value, invalid ones are refused."""
    found = vectors(fixture_archive(ARCHIVE), "RLPTests")
    assert len(found) == 55
    for name, vector in found:
        encoded = unhex(vector["out"])
        if vector["in"] == "INVALID":
            with pytest.raises(InvalidEncoding) as refusal:
                rlp.decode(encoded)
            assert refusal.value.reason is not None, name
        elif vector["in"] == "VALID":
            assert rlp.encode(rlp.decode(encoded)) == encoded, name
        else:
            value = rlp_value(vector["in"])
            assert rlp.decode(encoded) == value, name
            assert rlp.encode(value) == encoded, name


def test_rlp_vectors_inside_transactions(fixture_archive: Callable[[str], Path]) -> None:
    """The native reader meets every vector as a transaction and as a field of one, and judges it
    as the Python codec does."""
    found = vectors(fixture_archive(ARCHIVE), "RLPTests")
    for name, vector in found:
        encoded = unhex(vector["out"])
        for position in range(9):
            fields = [b"\x80"] * 9
            fields[position] = encoded
            for raw in (rlp.list_of(fields), b"\x02" + rlp.list_of(fields), encoded):
                reason = TransactionBatch.decode([raw]).reason(0)
                with pytest.raises(InvalidTransaction) as refusal:
                    decode_transaction(raw)
                assert reason == refusal.value.reason, name


def judged(raw: bytes) -> tuple[TransactionReason, TransactionBatch]:
    """What a node says to the transaction, and the batch that it stands in."""
    batch = TransactionBatch.decode([raw])
    batch.recover()
    if batch.reason(0) != TransactionReason.OK:
        return batch.reason(0), batch
    tx = batch.transaction(0)
    rich = Allocation(nonce=tx.nonce, balance=2**256 - 1)
    executor = Executor(MemoryView({batch.sender(0): rich}))
    result = executor.run_block(CANCUN_OF_MAINNET, batch, (), skip_invalid=True, system_calls=False)
    reason = result.outcomes[0].reason
    executor.discard()
    if reason == TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS:
        # The suite asks no balance, and values it allows go with fees beyond any balance.
        reason = TransactionReason.OK
    return reason, batch


def intrinsic_gas(tx: Transaction) -> int:
    """By the executor's account of a message with the transaction's shape."""
    executor = Executor(MemoryView())
    message = Message(
        sender=Address(b"\x01" * 20),
        to=tx.to,
        gas_limit=tx.gas_limit,
        data=tx.data,
        access_list=tx.access_list,
    )
    flags = CallFlag.NO_BALANCE_CHECK | CallFlag.NO_NONCE_CHECK | CallFlag.NO_GAS_CAP
    return executor.call(CANCUN_OF_MAINNET, message, flags=flags).gas_intrinsic


def test_transaction_vectors(fixture_archive: Callable[[str], Path]) -> None:
    """Valid ones have the hash, sender and intrinsic gas that the suite says; the others are
    refused for the reason that it names."""
    found = vectors(fixture_archive(ARCHIVE), "TransactionTests")
    assert len(found) == 210
    valid = 0
    for name, vector in found:
        result = next(vector["result"][fork] for fork in FORKS if fork in vector["result"])
        reason, batch = judged(unhex(vector["txbytes"]))
        wanted = result.get("exception")
        if wanted is None:
            assert reason == TransactionReason.OK, name
            assert batch.hash(0) == unhex(result["hash"]), name
            assert batch.sender(0) == unhex(result["sender"]), name
            gas = intrinsic_gas(batch.transaction(0))
            assert gas == int(result["intrinsicGas"], 16), name
            valid += 1
        elif name in SUPERSEDED or name in SECOND_FAULT:
            assert reason == (SUPERSEDED | SECOND_FAULT)[name], name
        else:
            assert wanted in reason.test_suite_names, f"{name}: {wanted}, not {reason.name}"
    assert valid == 50
