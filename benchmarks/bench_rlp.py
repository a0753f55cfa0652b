"""Transactions decoded and hashed in one batch, beside the Ethereum Foundation's Python codec.

The peer is `rlp` with pycryptodome's native keccak: split the bytes, read every integer, hash the
transaction and what its signature covers; it checks less than the kernel does. Runs small unless
GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

import pytest
import rlp
from Crypto.Hash import keccak

from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.primitives.transaction import AccessEntry, Transaction
from ghostchain.primitives.types import Address, Hash32

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 10_000 if FULL else 500
ROUNDS = 10 if FULL else 1
KEY = bytes(31) + b"\x01"


def transfer(nonce: int) -> bytes:
    tx = Transaction(
        type=2,
        chain_id=44678,
        nonce=nonce,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=10**8,
        gas_limit=21_000,
        to=Address(nonce.to_bytes(20, "big")),
        value=10**15 + nonce,
    )
    return encode_transaction(sign_transaction(tx, KEY))


def token_transfer(nonce: int) -> bytes:
    """68 bytes of call data and an access list."""
    key = Hash32(nonce.to_bytes(32, "big"))
    token = Address(b"\x43" * 20)
    tx = Transaction(
        type=2,
        chain_id=44678,
        nonce=nonce,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=10**8,
        gas_limit=60_000,
        to=token,
        data=bytes.fromhex("a9059cbb") + key + key,
        access_list=(AccessEntry(token, (key, key)),),
    )
    return encode_transaction(sign_transaction(tx, KEY))


def peer(raws: list[bytes]) -> list[bytes]:
    """The hashes, after reading what the batch reads."""
    hashes = []
    for raw in raws:
        fields = rlp.decode(raw[1:])
        numbers = [int.from_bytes(fields[at], "big") for at in (0, 1, 2, 3, 4, 6, 9, 10, 11)]
        assert numbers[0] == 44678
        keccak.new(digest_bits=256, data=b"\x02" + rlp.encode(fields[:9])).digest()
        hashes.append(keccak.new(digest_bits=256, data=raw).digest())
    return hashes


def seconds(run: Callable[[], object]) -> float:
    """The best of a few runs."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize("make", [transfer, token_transfer], ids=["transfer", "token_transfer"])
def test_decode_batch(benchmark, make: Callable[[int], bytes]) -> None:
    """Decodes COUNT transactions with both hashes, in one thread."""
    raws = [make(nonce) for nonce in range(COUNT)]
    batch = benchmark.pedantic(
        lambda: TransactionBatch.decode(raws), rounds=ROUNDS, warmup_rounds=1
    )
    own = seconds(lambda: TransactionBatch.decode(raws))
    assert batch.first_invalid() is None
    hashes = batch.hashes()
    assert hashes == peer(raws)
    benchmark.extra_info.update(
        peer="rlp and pycryptodome",
        transactions=COUNT,
        transactions_per_second=round(COUNT / own),
        ratio=round(seconds(lambda: peer(raws)) / own, 2),
        result=hashlib.sha256(b"".join(hashes)).hexdigest()[:16],
    )
