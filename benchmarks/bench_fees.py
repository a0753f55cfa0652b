"""Blocks of transfers that pay their fee in a token, and of ghost transactions, imported from a
chain file: decode, recover or verify, execute, root, durable commit.

Beside each stands the import of the same transfers as type 2, fees in GCC, in the same run; `ratio`
is the one against the other. A transfer whose fee is in a token touches three slots of it beside
the accounts (the payer's balance, the proposer's, the supply). ML-DSA-65 is verified by
`cryptography`, one signature at a time, and a transaction carries 5.3 kB of key and signature.
Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis, GenesisAccount, state_root
from ghostchain.chain.networks import network
from ghostchain.chain.transfer import export_file, import_file
from ghostchain.contracts.addresses import FEE_MARKET, SPIRIT, TOKENS
from ghostchain.contracts.economy import Economy, economy_alloc
from ghostchain.crypto.signing import (
    MlDsa65Signer,
    Secp256k1Signer,
    Signer,
    sign_ghost,
    sign_transaction,
)
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.primitives.transaction import Call, Transaction, TransactionType
from ghostchain.primitives.types import Address, Hash32

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 20_000 if FULL else 60
COUNT_ML_DSA = 2_000 if FULL else 10
SENDERS = 2_000 if FULL else 10
BLOCKS = 2
UNIT = 10**18
COINBASE = Address(b"\xcb" * 20)
CHAIN_ID = 31337


def genesis_of(holders: list[Address]) -> Genesis:
    """A hybrid development chain without staking, where these hold coins and SPIRIT."""
    dev = network("dev")
    alloc = {address: account for address, account in dev.alloc.items() if account.code}
    alloc |= {address: GenesisAccount(balance=UNIT) for address in holders}
    economy = Economy(
        balances={SPIRIT: dict.fromkeys(holders, 1_000 * UNIT)}, rates={SPIRIT: 2 * UNIT}
    )
    placed = economy_alloc(len(holders) * UNIT, economy)
    for address in (*TOKENS, FEE_MARKET):
        account = placed[address]
        alloc[address] = GenesisAccount(
            nonce=account.nonce, code=account.code, storage=account.storage
        )
    header = replace(dev.header, gas_limit=10**10, state_root=state_root(alloc))
    return replace(dev, config=replace(dev.config, hybrid_time=0), header=header, alloc=alloc)


def transfer(index: int, nonce: int) -> Transaction:
    return Transaction(
        type=TransactionType.DYNAMIC_FEE,
        chain_id=CHAIN_ID,
        nonce=nonce,
        max_fee_per_gas=10**12,
        max_priority_fee_per_gas=1,
        gas_limit=150_000,
        to=Address((0xABCDEF0000 + index * 7919).to_bytes(20, "big")),
        value=1,
    )


def plain(index: int, nonce: int, signer: Signer, key: bytes) -> Transaction:
    return sign_transaction(transfer(index, nonce), key)


def in_token(index: int, nonce: int, signer: Signer, key: bytes) -> Transaction:
    kind = TransactionType.FEE_CURRENCY
    tx = replace(transfer(index, nonce), type=kind, fee_token=SPIRIT)
    return sign_transaction(tx, key)


def ghost(index: int, nonce: int, signer: Signer, key: bytes) -> Transaction:
    tx = transfer(index, nonce)
    call = Call(tx.to, tx.value)
    tx = replace(tx, type=TransactionType.GHOST, to=None, value=0, calls=(call,), fee_token=SPIRIT)
    return sign_ghost(tx, signer)


Make = Callable[[int, int, Signer, bytes], Transaction]


def rate(folder: Path, make: Make, scheme: Callable[[bytes], Signer], count: int) -> float:
    """Transactions a second of an import, the better of two."""
    keys = [(number + 1).to_bytes(32, "big") for number in range(min(SENDERS, count))]
    signers = [scheme(key) for key in keys]
    genesis = genesis_of([signer.address for signer in signers])
    each = count // BLOCKS
    chain = Chain.open(folder / "source", genesis)
    for block in range(BLOCKS):
        raws = []
        for index in range(block * each, (block + 1) * each):
            at, nonce = index % len(keys), index // len(keys)
            raws.append(encode_transaction(make(index, nonce, signers[at], keys[at])))
        batch = TransactionBatch.decode(raws)
        batch.recover()
        sealed = chain.build_block(
            batch,
            timestamp=chain.head.timestamp + 12,
            coinbase=COINBASE,
            prev_randao=Hash32(bytes(32)),
        )
        assert len(sealed.block.transactions) == each
    export_file(chain, folder / "chain.rlp", 1)
    chain.close()
    best = float("inf")
    for attempt in range(2):
        chain = Chain.open(folder / f"copy{attempt}", genesis)
        start = time.perf_counter()
        assert import_file(chain, folder / "chain.rlp") == BLOCKS
        best = min(best, time.perf_counter() - start)
        chain.close()
    return each * BLOCKS / best


@pytest.mark.parametrize(
    ("make", "scheme", "count"),
    [
        (in_token, Secp256k1Signer, COUNT),
        (ghost, Secp256k1Signer, COUNT),
        (ghost, MlDsa65Signer, COUNT_ML_DSA),
    ],
    ids=["fee-currency", "ghost", "ghost-ml-dsa-65"],
)
def test_import(
    benchmark: Any, tmp_path: Path, make: Make, scheme: Callable[[bytes], Signer], count: int
) -> None:
    found: list[float] = []
    folder = tmp_path / "measured"
    folder.mkdir()
    benchmark.pedantic(lambda: found.append(rate(folder, make, scheme, count)), rounds=1)
    other = tmp_path / "plain"
    other.mkdir()
    peer = rate(other, plain, Secp256k1Signer, count)
    benchmark.extra_info.update(
        transactions=count,
        per_second=round(found[0]),
        peer="the same transfers as type 2",
        peer_per_second=round(peer),
        ratio=round(found[0] / peer, 2),
    )
