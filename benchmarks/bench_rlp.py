"""Transactions decoded and hashed in one batch, beside the Ethereum Foundation's Python codec; and
the signatures of GhostTx verified, beside OpenSSL alone.

The codec's peer is `rlp` with pycryptodome's native keccak: split the bytes, read every integer,
hash the transaction and what its signature covers; it checks less than the kernel does. The peer of
verification does nothing else: no address, no decision, keys parsed before. Runs small unless
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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from ghostchain.crypto.signing import (
    Ed25519Signer,
    MlDsa65Signer,
    Secp256k1Signer,
    Signer,
    sign_ghost,
    sign_transaction,
    signing_hash,
)
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.primitives.transaction import AccessEntry, Call, Transaction
from ghostchain.primitives.types import Address, Hash32

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 10_000 if FULL else 500
ROUNDS = 10 if FULL else 1
KEY = bytes(31) + b"\x01"
SPIRIT = Address(bytes(17) + b"\x47\x43\x02")


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


def fee_currency(nonce: int) -> bytes:
    """A transfer whose fee is paid in a token."""
    tx = Transaction(
        type=0x7B,
        chain_id=44678,
        nonce=nonce,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=10**8,
        gas_limit=36_000,
        to=Address(nonce.to_bytes(20, "big")),
        value=10**15 + nonce,
        fee_token=SPIRIT,
    )
    return encode_transaction(sign_transaction(tx, KEY))


def ghost(nonce: int, signer: Signer) -> Transaction:
    """Two calls, paid in a token."""
    tx = Transaction(
        type=0x47,
        chain_id=44678,
        nonce=nonce,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=10**8,
        gas_limit=200_000,
        to=None,
        calls=(Call(SPIRIT, 0, bytes(68)), Call(Address(nonce.to_bytes(20, "big")), 1)),
        fee_token=SPIRIT,
    )
    return sign_ghost(tx, signer)


def peer(raws: list[bytes]) -> list[bytes]:
    """The hashes, after reading what the batch reads."""
    hashes = []
    for raw in raws:
        fields = rlp.decode(raw[1:])
        numbers = [int.from_bytes(fields[at], "big") for at in (0, 1, 2, 3, 4, 6, -3, -2, -1)]
        assert numbers[0] == 44678
        keccak.new(digest_bits=256, data=raw[:1] + rlp.encode(fields[:-3])).digest()
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


@pytest.mark.parametrize(
    "make",
    [transfer, token_transfer, fee_currency],
    ids=["transfer", "token_transfer", "fee_currency"],
)
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


def parsed_key(tx: Transaction) -> Ed25519PublicKey | MLDSA65PublicKey:
    assert tx.sender_signature is not None
    kind = (Ed25519PublicKey, MLDSA65PublicKey)[tx.sender_signature.scheme - 1]
    return kind.from_public_bytes(tx.sender_signature.key)


@pytest.mark.parametrize("kind", [Secp256k1Signer, Ed25519Signer, MlDsa65Signer])
def test_recover_ghost(benchmark, kind: type[Signer]) -> None:
    """Finds the senders of COUNT // 10 GhostTx of one scheme, in one thread."""
    signer = kind(KEY)
    txs = [ghost(nonce, signer) for nonce in range(COUNT // 10)]
    raws = [encode_transaction(tx) for tx in txs]

    def recovered() -> TransactionBatch:
        batch = TransactionBatch.decode(raws)
        batch.recover(threads=1)
        return batch

    batch = benchmark.pedantic(recovered, rounds=ROUNDS, warmup_rounds=1)
    assert batch.senders() == [signer.address] * len(raws)
    own = seconds(recovered)
    benchmark.extra_info.update(
        transactions=len(raws), transactions_per_second=round(len(raws) / own)
    )
    if kind is Secp256k1Signer:
        return
    digests = [signing_hash(tx) for tx in txs]
    key = parsed_key(txs[0])
    signatures = [tx.sender_signature.signature for tx in txs if tx.sender_signature]

    def verified() -> None:
        for signature, digest in zip(signatures, digests, strict=True):
            key.verify(signature, digest)

    benchmark.extra_info.update(
        peer="OpenSSL, verification alone", ratio=round(seconds(verified) / own, 2)
    )
