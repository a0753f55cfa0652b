"""Transactions that nobody signed: of a development chain's own pool and blocks, and of nobody
else's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.chain.amendments import AccountAmendment
from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.blocks import encode_block
from ghostchain.encoding.transactions import (
    TransactionBatch,
    decode_transaction,
    encode_transaction,
)
from ghostchain.encoding.unsigned import encode_unsigned
from ghostchain.node.accounts import sender_states
from ghostchain.node.backend import pool_rules
from ghostchain.node.candidates import best_candidates
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import (
    BlockReason,
    InvalidBlock,
    InvalidTransaction,
    TransactionReason,
)
from ghostchain.primitives.transaction import (
    AccessEntry,
    Authorization,
    Call,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.journal import Journal
from tests.unit.test_chain_crash import Cutter

DEV = network("dev")
CONTRACT = Address(b"\x5a" * 20)
addresses = st.binary(min_size=20, max_size=20).map(Address)
KINDS = [
    TransactionType.LEGACY,
    TransactionType.ACCESS_LIST,
    TransactionType.DYNAMIC_FEE,
    TransactionType.BLOB,
    TransactionType.SET_CODE,
    TransactionType.FEE_CURRENCY,
    TransactionType.GHOST,
]


def transaction(kind: int = 2, nonce: int = 0, chain_id: int | None = 31337) -> Transaction:
    """A transaction of this type with what it must have."""
    tx = Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        max_fee_per_gas=10**10,
        max_priority_fee_per_gas=10**10 if kind < 2 else 1,
        gas_limit=100_000,
        to=Address(b"\x11" * 20),
        value=1,
        access_list=(AccessEntry(CONTRACT, (Hash32(bytes(32)),)),) if kind else (),
    )
    if kind == TransactionType.BLOB:
        return replace(tx, blob_versioned_hashes=(Hash32(b"\1" * 32),), max_fee_per_blob_gas=1)
    if kind == TransactionType.SET_CODE:
        authorization = Authorization(chain_id=1, address=CONTRACT, nonce=0, y_parity=0, r=5, s=6)
        return replace(tx, authorizations=(authorization,))
    if kind == TransactionType.GHOST:
        return replace(tx, to=None, value=0, calls=(Call(to=CONTRACT, value=1, data=b"\1"),))
    return tx


@given(st.sampled_from(KINDS), addresses)
def test_both_decoders_take_it_only_when_asked(kind: int, sender: Address) -> None:
    """The native decoder and the plain one agree: the marker's sender, or a signature refused."""
    raw = encode_unsigned(transaction(kind), sender)
    batch = TransactionBatch.decode([raw], allows_unsigned=True)
    batch.recover()
    assert batch.reason(0) == TransactionReason.OK
    assert batch.is_unsigned(0)
    assert batch.sender(0) == sender
    assert batch.hash(0) == keccak256(raw)
    assert batch.transaction(0) == decode_transaction(raw, allows_unsigned=True)
    strict = TransactionBatch.decode([raw])
    assert strict.reason(0) == TransactionReason.SIGNATURE_RANGE
    with pytest.raises(InvalidTransaction) as caught:
        decode_transaction(raw)
    assert caught.value.reason == TransactionReason.SIGNATURE_RANGE


@given(st.integers(0, 2**256 - 1), st.sampled_from([0, 1, 2**255]), st.integers(0, 1))
def test_what_is_no_marker_is_a_signature(r: int, s: int, y_parity: int) -> None:
    """Only an address with zeros beside it passes for the marker."""
    raw = encode_transaction(replace(transaction(), r=r, s=s, y_parity=y_parity))
    is_marker = s == 0 and y_parity == 0 and r < 2**160
    batch = TransactionBatch.decode([raw], allows_unsigned=True)
    strict = TransactionBatch.decode([raw])
    assert batch.is_unsigned(0) == is_marker
    if not is_marker:
        assert batch.reason(0) == strict.reason(0)


def test_senders_that_are_given_do_not_overrule_the_marker() -> None:
    """A record that names another sender gives nobody another's account."""
    raw = encode_unsigned(transaction(), CONTRACT)
    batch = TransactionBatch.decode([raw], allows_unsigned=True)
    batch.recover(senders=[bytes(20)])
    assert batch.sender(0) == CONTRACT


def build(chain: Chain, batch: TransactionBatch) -> int:
    sealed = chain.build_block(
        batch,
        timestamp=chain.head.timestamp + 1,
        coinbase=Address(bytes(20)),
        prev_randao=Hash32(bytes(32)),
    )
    return len(sealed.block.transactions)


def driver_of(chain: Chain, path: Path, *, allows_unsigned: bool = True) -> PoolDriver:
    driver = PoolDriver(
        Pool(),
        Journal(path),
        rules=lambda: pool_rules(chain, chain.next_environment()),
        accounts=lambda names: sender_states(chain.state_at(chain.head.number), names),
        is_development=allows_unsigned,
    )
    driver.restore()
    return driver


def test_from_the_pool_into_a_block_and_back(tmp_path: Path) -> None:
    """A contract sends: waits through a restart, is included though it has code (EIP-3607), keeps
    its sender on disk, and can be run once more."""
    chain = Chain.open(tmp_path / "data", DEV)
    chain.amend({CONTRACT: AccountAmendment(balance=10**18, code=b"\x00", nonce=3)})
    driver = driver_of(chain, tmp_path / "journal")
    raw = encode_unsigned(transaction(nonce=3), CONTRACT)
    submission = driver.submit_unsigned(CONTRACT, raw)
    assert submission.refusal is None
    assert submission.pending
    assert submission.hash == keccak256(raw)
    driver.close()
    driver = driver_of(chain, tmp_path / "journal")
    assert len(driver.pool) == 1
    assert build(chain, best_candidates(chain, driver).batch()) == 1
    chain.close()
    chain = Chain.open(tmp_path / "data", DEV)
    body = chain.body(1)
    assert body is not None
    assert body.sender(0) == CONTRACT
    assert chain.replay(1).batch.senders() == [CONTRACT]
    record = chain.state_at(1).account(CONTRACT, keccak256(CONTRACT))
    assert record is not None
    assert Account.decode(record).nonce == 4
    block = chain.block(1)
    assert block is not None
    chain.rewind(0)
    with pytest.raises(InvalidBlock) as caught:
        chain.import_block(encode_block(block))
    assert caught.value.reason == BlockReason.INVALID_TRANSACTION
    chain.close()
    driver.close()


def test_refused_from_outside(tmp_path: Path) -> None:
    """Neither as signed bytes, nor by a pool of signed ones, nor for another sender."""
    chain = Chain.open(tmp_path / "data", DEV)
    chain.amend({CONTRACT: AccountAmendment(balance=10**18)})
    driver = driver_of(chain, tmp_path / "journal")
    raw = encode_unsigned(transaction(), CONTRACT)
    refusal = driver.submit([raw])[0].refusal
    assert refusal is not None
    assert refusal.reason == TransactionReason.SIGNATURE_RANGE
    with pytest.raises(ValueError, match="is sent for"):
        driver.submit_unsigned(Address(bytes(20)), raw)
    signed = encode_transaction(sign_transaction(transaction(), TEST_KEYS[0]))
    with pytest.raises(ValueError, match="signed transaction"):
        driver.submit_unsigned(CONTRACT, signed)
    broken = driver.submit_unsigned(CONTRACT, b"\x02\xc0").refusal
    assert broken is not None
    assert broken.reason == TransactionReason.FIELD_COUNT
    assert driver.submit_unsigned(CONTRACT, raw).refusal is None
    driver.close()
    driver = driver_of(chain, tmp_path / "journal", allows_unsigned=False)
    assert len(driver.pool) == 0
    with pytest.raises(ValueError, match="only what is signed"):
        driver.submit_unsigned(CONTRACT, raw)
    driver.close()
    chain.close()


def test_each_sender_and_nonce_has_its_hash() -> None:
    """What differs in nothing but who sends it is not the same transaction."""
    hashes = {
        keccak256(encode_unsigned(transaction(nonce=nonce), Address(bytes([one]) * 20)))
        for nonce in range(3)
        for one in range(5)
    }
    assert len(hashes) == 15


def test_killed_before_the_batch(tmp_path: Path) -> None:
    """A block with an unsigned transaction whose batch was not written comes back."""
    cutter = Cutter(tmp_path / "data", tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, DEV, on_step=cutter.on_step)
    chain.amend({CONTRACT: AccountAmendment(balance=10**18)})
    start = len(cutter.cuts)
    batch = TransactionBatch.decode(
        [encode_unsigned(transaction(), CONTRACT)], allows_unsigned=True
    )
    batch.recover()
    assert build(chain, batch) == 1
    head_hash = chain.head_hash
    chain.close()
    heads = []
    for _, copy, _ in cutter.cuts[start:]:
        chain = Chain.open(copy, DEV)
        heads.append(chain.head.number)
        assert chain.head.number == 0 or chain.head_hash == head_hash
        chain.close()
    assert heads[0] == 0
    assert set(heads[2:]) == {1}
