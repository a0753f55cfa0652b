"""GhostTx (0x47) from its bytes to its signers: the native recovery with what Python verifies after
it, against the plain codec; and every way in which a signature can be somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostchain._native import ffi
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.schemes import key_address
from ghostchain.crypto.signing import (
    Ed25519Signer,
    MlDsa65Signer,
    Secp256k1Signer,
    Signer,
    check_payer,
    payer_signing_hash,
    sender_of,
    sign_ghost,
    sign_ghost_as_payer,
    sign_transaction,
)
from ghostchain.encoding.transactions import (
    SIGNATURE_ORDER,
    TransactionBatch,
    decode_transaction,
    encode_transaction,
)
from ghostchain.primitives.errors import InvalidTransaction, TransactionReason
from ghostchain.primitives.transaction import Call, SchemeSignature, Transaction
from ghostchain.primitives.types import Address
from tests.strategies import answer

OK = TransactionReason.OK
SPIRIT = Address(bytes.fromhex("0000000000000000000000000000000000474302"))
FRIEND = Address(b"\x11" * 20)
SEED = bytes(31) + b"\x2a"
OTHER = bytes(31) + b"\x2b"
SIGNERS: tuple[Callable[[bytes], Signer], ...] = (Secp256k1Signer, Ed25519Signer, MlDsa65Signer)

every_signer = pytest.mark.parametrize("signer", SIGNERS, ids=lambda kind: kind.__name__)
every_payer = pytest.mark.parametrize("payer", SIGNERS, ids=lambda kind: f"by{kind.__name__}")


def draft(**changes: object) -> Transaction:
    plain = Transaction(
        type=0x47,
        chain_id=44678,
        nonce=7,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=10**8,
        gas_limit=200_000,
        to=None,
        calls=(Call(FRIEND, 10**18), Call(FRIEND, 1, b"\x01\x02")),
        fee_token=SPIRIT,
    )
    return replace(plain, **changes)


def recovered(*txs: Transaction) -> TransactionBatch:
    batch = TransactionBatch.decode([encode_transaction(tx) for tx in txs])
    batch.recover()
    return batch


def reasons(*txs: Transaction) -> list[TransactionReason]:
    """The batch's reasons, which are those of the plain functions."""
    batch = recovered(*txs)
    found = [batch.reason(index) for index in range(len(txs))]
    assert found == [plain_reason(tx) for tx in txs]
    return found


def plain_reason(tx: Transaction) -> TransactionReason:
    try:
        check_payer(tx, sender_of(decode_transaction(encode_transaction(tx))))
    except InvalidTransaction as refusal:
        return refusal.reason
    return OK


# ---- whose it is ----


@every_signer
@every_payer
def test_sender_and_payer_are_found(signer, payer) -> None:
    """Each scheme signs as sender and as fee payer; the native digests are the oracle's."""
    alice, bob = signer(SEED), payer(OTHER)
    tx = sign_ghost(draft(), alice, bob)
    batch = recovered(tx, sign_ghost(draft(), alice))
    assert [batch.reason(0), batch.reason(1)] == [OK, OK] == reasons(tx, sign_ghost(draft(), alice))
    assert batch.senders() == [alice.address] * 2
    assert tx.fee_payer == bob.address
    digest = ffi.buffer(batch.pointer[0].payer_signing_hash)[:]
    assert digest == payer_signing_hash(tx, alice.address)
    assert batch.transaction(0) == tx
    assert batch.hash(0) == keccak256(encode_transaction(tx))


@every_signer
def test_addresses_of_keys(signer) -> None:
    """Keys of other schemes: keccak256(0x47, scheme, key); of secp256k1 Ethereum's."""
    alice = signer(SEED)
    signature = alice.sign(bytes(32))
    if signature.key:
        joined = bytes([0x47, signature.scheme]) + signature.key
        assert alice.address == keccak256(joined)[12:]
        assert alice.address == key_address(signature.scheme, signature.key)
    assert signer.generate().address != signer.generate().address
    assert signer.from_seed(SEED).address == alice.address
    fresh = signer.generate()
    assert signer.from_seed(fresh.reveal_seed()).address == fresh.address


@every_signer
def test_keys_stay_out_of_texts(signer) -> None:
    """Neither the repr nor a refusal shows a seed."""
    seed = bytes(range(1, 33))
    assert seed.hex() not in repr(signer(seed))
    assert repr(seed) not in repr(signer(seed))
    with pytest.raises(ValueError) as refusal:
        signer(seed[:31])
    assert seed[:31].hex() not in str(refusal.value)
    assert repr(seed[:31]) not in str(refusal.value)
    with pytest.raises(ValueError, match="32 bytes"):
        signer(seed).sign(bytes(31))


# ---- whose it is not ----


@every_signer
def test_anothers_signature_is_refused(signer) -> None:
    """A changed field moves a recovered sender and refuses a stated one."""
    tx = sign_ghost(draft(), signer(SEED))
    for change in ({"nonce": 8}, {"chain_id": 1}, {"fee_token": None}, {"gas_limit": 200_001}):
        changed = replace(tx, **change)
        batch = recovered(changed)
        if signer is Secp256k1Signer:
            assert batch.reason(0) == plain_reason(changed)
            assert batch.sender(0) != signer(SEED).address
        else:
            assert reasons(changed) == [TransactionReason.SIGNATURE_INVALID]


@every_signer
@every_payer
def test_payer_pays_for_what_it_signed_alone(signer, payer) -> None:
    """Neither for another nonce, nor for another sender, nor under another's name; and what it
    signed as a sender pays for nothing."""
    alice, bob = signer(SEED), payer(OTHER)
    paid = sign_ghost(draft(fee_payer=bob.address), alice, bob)
    refused = [TransactionReason.PAYER_SIGNATURE]
    again = sign_ghost(draft(fee_payer=bob.address, nonce=8), alice)
    assert reasons(replace(again, payer_signature=paid.payer_signature)) == refused
    mallory = sign_ghost(draft(fee_payer=bob.address), signer(bytes(31) + b"\x2c"))
    assert reasons(replace(mallory, payer_signature=paid.payer_signature)) == refused
    victim = sign_ghost(draft(fee_payer=FRIEND), alice)
    forged = bob.sign(payer_signing_hash(victim, alice.address))
    assert reasons(replace(victim, payer_signature=forged)) == refused
    as_sender = sign_ghost(draft(fee_payer=bob.address), bob).sender_signature
    unpaid = replace(paid, payer_signature=as_sender)
    assert reasons(unpaid) == refused
    assert reasons(replace(paid, payer_signature=alice.sign(bytes(32)))) == refused


@every_signer
@every_payer
def test_the_senders_fault_is_told_first(signer, payer) -> None:
    """Both signatures are somebody else's."""
    alice, bob = signer(SEED), payer(OTHER)
    tx = sign_ghost(draft(), alice, bob)
    broken = replace(tx, sender_signature=broken_of(tx.sender_signature))
    both = replace(broken, payer_signature=bob.sign(bytes(32)))
    assert reasons(both) == [TransactionReason.SIGNATURE_INVALID]


def broken_of(signature: SchemeSignature | None) -> SchemeSignature:
    """A signature that decodes and is nobody's: r = 5 is no x of the curve."""
    assert signature is not None
    if not signature.key:
        return replace(signature, signature=(5).to_bytes(32) + (5).to_bytes(32) + b"\x00")
    return replace(signature, signature=bytes(len(signature.signature)))


def test_faults_stay_with_their_transaction() -> None:
    """Ordinary transactions, and GhostTx of every scheme, good and bad, in one batch."""
    ordinary = sign_transaction(
        draft(type=2, calls=(), to=FRIEND, fee_token=None), Secp256k1Signer(SEED)._private_key
    )
    txs = [ordinary]
    wanted = [OK]
    for signer in SIGNERS:
        alice, bob = signer(SEED), Ed25519Signer(OTHER)
        good = sign_ghost(draft(), alice, bob)
        bad = replace(good, sender_signature=broken_of(good.sender_signature))
        txs += [good, bad, ordinary, sign_ghost(draft(), alice)]
        wanted += [OK, TransactionReason.SIGNATURE_INVALID, OK, OK]
    batch = recovered(*txs)
    assert [batch.reason(index) for index in range(len(txs))] == wanted
    assert batch.first_invalid() == 2


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_many_are_verified_by_several_threads(threads: int) -> None:
    """Every seventh is somebody else's, wherever it falls among the threads' shares."""
    good = sign_ghost(draft(), Ed25519Signer(SEED), Ed25519Signer(OTHER))
    bad = replace(good, payer_signature=Ed25519Signer(OTHER).sign(bytes(32)))
    raws = [encode_transaction(bad if n % 7 == 3 else good) for n in range(100)]
    batch = TransactionBatch.decode(raws)
    batch.recover(threads=threads)
    wanted = [TransactionReason.PAYER_SIGNATURE if n % 7 == 3 else OK for n in range(100)]
    assert [batch.reason(index) for index in range(100)] == wanted


def test_known_senders_are_not_verified_again() -> None:
    """A block of pool transactions: their senders are given, no signature is looked at."""
    good = sign_ghost(draft(), MlDsa65Signer(SEED), Ed25519Signer(OTHER))
    bad = replace(good, sender_signature=broken_of(good.sender_signature))
    batch = TransactionBatch.decode([encode_transaction(tx) for tx in (good, bad)])
    batch.recover(senders=[FRIEND, SPIRIT])
    assert batch.senders() == [FRIEND, SPIRIT]
    assert batch.first_invalid() is None


def test_copies_share_nothing_with_their_source() -> None:
    """Calls, keys and signatures move into the new batch, and outlive the old one."""
    txs = [sign_ghost(draft(nonce=n), Ed25519Signer(SEED), MlDsa65Signer(OTHER)) for n in range(3)]
    source = recovered(*txs)
    copy = source.select([2, 0])
    senders = copy.senders()
    del source
    TransactionBatch.decode([b"\xff" * 9000] * 20)
    assert [copy.transaction(0), copy.transaction(1)] == [txs[2], txs[0]]
    assert senders == [Ed25519Signer(SEED).address] * 2


# ---- the form of the bytes ----


def faulty(**changes: object) -> Transaction:
    return replace(sign_ghost(draft(), Secp256k1Signer(SEED), Secp256k1Signer(OTHER)), **changes)


def signed_with(r: int, s: int, y_parity: int) -> SchemeSignature:
    joined = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([y_parity])
    return SchemeSignature(0, b"", joined)


FORMS = {
    "no calls": (faulty(calls=()), TransactionReason.CALL_COUNT),
    "257 calls": (faulty(calls=(Call(FRIEND),) * 257), TransactionReason.CALL_COUNT),
    "256 calls": (faulty(calls=(Call(FRIEND),) * 256), OK),
    "creation alone": (faulty(calls=(Call(None, 1, b"\x00"),)), OK),
    "creation first": (faulty(calls=(Call(None), Call(FRIEND))), TransactionReason.CALL_CREATES),
    "creation last": (faulty(calls=(Call(FRIEND), Call(None))), TransactionReason.CALL_CREATES),
    "values above 256 bits": (
        faulty(calls=(Call(FRIEND, 1 << 255), Call(FRIEND, 1 << 255))),
        TransactionReason.FIELD_WIDTH,
    ),
    "values of 256 bits": (
        faulty(calls=(Call(FRIEND, 1 << 255), Call(FRIEND, (1 << 255) - 1))),
        OK,
    ),
    "fee token of 19 bytes": (faulty(fee_token=bytes(19)), TransactionReason.FIELD_WIDTH),
    "fee payer of 21 bytes": (faulty(fee_payer=bytes(21)), TransactionReason.FIELD_WIDTH),
    "payer without signature": (faulty(payer_signature=None), TransactionReason.PAYER_FORM),
    "signature without payer": (faulty(fee_payer=None), TransactionReason.PAYER_FORM),
    "scheme 3": (
        faulty(sender_signature=SchemeSignature(3, b"", bytes(65))),
        TransactionReason.SIGNATURE_SCHEME,
    ),
    "scheme 256": (
        faulty(sender_signature=SchemeSignature(256, b"", bytes(65))),
        TransactionReason.FIELD_WIDTH,
    ),
    "key with secp256k1": (
        faulty(sender_signature=SchemeSignature(0, bytes(64), bytes(65))),
        TransactionReason.SIGNATURE_LENGTH,
    ),
    "signature of 64 bytes": (
        faulty(payer_signature=SchemeSignature(0, b"", bytes(64))),
        TransactionReason.SIGNATURE_LENGTH,
    ),
    "Ed25519 in ML-DSA's lengths": (
        faulty(payer_signature=SchemeSignature(1, bytes(1952), bytes(3309))),
        TransactionReason.SIGNATURE_LENGTH,
    ),
    "ML-DSA-65 a byte short": (
        faulty(sender_signature=SchemeSignature(2, bytes(1952), bytes(3308))),
        TransactionReason.SIGNATURE_LENGTH,
    ),
    "parity 2": (faulty(sender_signature=signed_with(1, 1, 2)), TransactionReason.Y_PARITY),
    "payer's parity 255": (
        faulty(payer_signature=signed_with(1, 1, 255)),
        TransactionReason.Y_PARITY,
    ),
    "r zero": (faulty(sender_signature=signed_with(0, 1, 0)), TransactionReason.SIGNATURE_RANGE),
    "payer's s is n": (
        faulty(payer_signature=signed_with(1, SIGNATURE_ORDER, 0)),
        TransactionReason.SIGNATURE_RANGE,
    ),
    "high s": (
        faulty(sender_signature=signed_with(1, SIGNATURE_ORDER // 2 + 1, 0)),
        TransactionReason.HIGH_S,
    ),
    "payer's high s": (
        faulty(payer_signature=signed_with(1, SIGNATURE_ORDER - 1, 0)),
        TransactionReason.HIGH_S,
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_faults_of_form_are_named(name: str) -> None:
    """Both decoders give the reason."""
    tx, wanted = FORMS[name]
    raw = encode_transaction(tx)
    assert TransactionBatch.decode([raw]).reason(0) == wanted
    if wanted == OK:
        assert decode_transaction(raw) == tx
    else:
        with pytest.raises(InvalidTransaction) as refusal:
            decode_transaction(raw)
        assert refusal.value.reason == wanted


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(SIGNERS), st.sampled_from((None, *SIGNERS)))
def test_any_changed_byte_is_judged_alike(data, signer, payer) -> None:
    """One byte of a signed GhostTx: the same refusal, or another transaction, whose signers both
    ways find alike; never the same sender for other bytes unless it signed them."""
    alice = signer(SEED)
    tx = sign_ghost(draft(), alice, None if payer is None else payer(OTHER))
    raw = bytearray(encode_transaction(tx))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    batch = TransactionBatch.decode([bytes(raw)])
    changed = answer(decode_transaction, bytes(raw))
    if isinstance(changed, TransactionReason):
        assert batch.reason(0) == changed
        return
    assert batch.transaction(0) == changed
    batch.recover()
    assert batch.reason(0) == plain_reason(changed)
    if batch.reason(0) == OK:
        assert batch.sender(0) == sender_of(changed)
        assert batch.sender(0) != alice.address or payer is not None


# ---- helpers for people ----


def test_helpers_refuse_what_they_do_not_sign() -> None:
    alice, bob = Secp256k1Signer(SEED), Ed25519Signer(OTHER)
    with pytest.raises(ValueError, match="sign_ghost"):
        sign_transaction(draft(), SEED)
    with pytest.raises(ValueError, match="sign_transaction"):
        sign_ghost(draft(type=0x7B), alice)
    with pytest.raises(ValueError, match="another fee payer"):
        sign_ghost(draft(fee_payer=FRIEND), alice, bob)
    with pytest.raises(ValueError, match="another fee payer"):
        sign_ghost_as_payer(draft(), alice.address, bob)
    with pytest.raises(ValueError, match="no canonical bytes"):
        encode_transaction(draft())


def test_payer_may_sign_elsewhere() -> None:
    """The sender names it and signs first; the fee payer adds its own."""
    alice, bob = MlDsa65Signer(SEED), Ed25519Signer(OTHER)
    half = sign_ghost(draft(fee_payer=bob.address), alice)
    with pytest.raises(InvalidTransaction) as refusal:
        decode_transaction(encode_transaction(half))
    assert refusal.value.reason == TransactionReason.PAYER_FORM
    assert reasons(sign_ghost_as_payer(half, alice.address, bob)) == [OK]
