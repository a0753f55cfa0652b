"""The native transaction decoder against the plain Python one, and both against eth-account."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostchain._native import ffi
from ghostchain.crypto.hashes import transaction_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import (
    authority_of,
    sender_of,
    sign_authorization,
    sign_transaction,
    signing_hash,
)
from ghostchain.encoding import rlp
from ghostchain.encoding.transactions import (
    SIGNATURE_ORDER,
    TransactionBatch,
    decode_transaction,
    encode_transaction,
)
from ghostchain.primitives.errors import InvalidTransaction, TransactionReason
from ghostchain.primitives.transaction import AccessEntry, Authorization, Transaction
from ghostchain.primitives.types import Address, Hash32
from tests.strategies import (
    authorizations,
    ghost_transactions,
    mutations,
    private_keys,
    transactions,
)

OK = TransactionReason.OK
every_transaction = st.one_of(transactions(), transactions(), ghost_transactions())
KEY = bytes(31) + b"\x2a"


def transfer(**changes: object) -> Transaction:
    """A signed transfer, changed afterwards as wished (so that faults stay)."""
    plain = Transaction(
        type=2,
        chain_id=44678,
        nonce=7,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=10**8,
        gas_limit=21000,
        to=Address(b"\x11" * 20),
        value=10**18,
    )
    return replace(sign_transaction(plain, KEY), **changes)


def oracle_reason(raw: bytes, **limits: int) -> TransactionReason:
    try:
        decode_transaction(raw, **limits)
    except InvalidTransaction as refusal:
        return refusal.reason
    return OK


def network_form(tx: Transaction, *parts: bytes) -> bytes:
    """Type 3 as it is submitted: the transaction and the encoded parts of its sidecar."""
    return b"\x03" + rlp.list_of([encode_transaction(tx)[1:], *parts])


# ---- the two decoders ----


@given(st.lists(every_transaction, max_size=8))
def test_valid_bytes_decode_alike(txs: list[Transaction]) -> None:
    """Both give back every field; hashes and canonical bytes are those of the oracle."""
    raws = [encode_transaction(tx) for tx in txs]
    batch = TransactionBatch.decode(raws)
    assert len(batch) == len(txs)
    assert batch.first_invalid() is None
    assert batch.raws() == raws
    assert batch.hashes() == [transaction_hash(tx) for tx in txs]
    for index, tx in enumerate(txs):
        assert batch.transaction(index) == tx == decode_transaction(raws[index])
        assert ffi.buffer(batch.pointer[index].signing_hash)[:] == signing_hash(tx)
        assert batch.raw(index) == raws[index]
        assert (batch.type(index), batch.nonce(index)) == (tx.type, tx.nonce)
        assert batch.gas_limit(index) == tx.gas_limit
        assert batch.max_fee_per_gas(index) == tx.max_fee_per_gas
        assert batch.max_priority_fee_per_gas(index) == tx.max_priority_fee_per_gas
        assert batch.size(index) == len(raws[index])
        assert batch.sidecar_length(index) == 0


@settings(max_examples=300)
@given(st.data())
def test_mutated_bytes_are_judged_alike(data) -> None:
    """Same accept or reject, same reason, and what is accepted is the same transaction."""
    raw = data.draw(mutations(encode_transaction(data.draw(every_transaction))))
    batch = TransactionBatch.decode([raw])
    wanted = oracle_reason(raw)
    assert batch.reason(0) == wanted
    if wanted == OK:
        assert batch.transaction(0) == decode_transaction(raw)
        canonical = encode_transaction(batch.transaction(0))
        assert batch.raw(0) == canonical
        assert batch.hash(0) == keccak256(canonical)
    else:
        assert batch.hash(0) == keccak256(raw)
        assert batch.raw(0) == b""
        with pytest.raises(InvalidTransaction) as refusal:
            batch.transaction(0)
        assert refusal.value.reason == wanted


@given(st.binary(max_size=80))
def test_any_bytes_are_judged_alike(raw: bytes) -> None:
    assert TransactionBatch.decode([raw]).reason(0) == oracle_reason(raw)


@given(st.data())
def test_mutated_network_forms_are_judged_alike(data) -> None:
    """The wrapper of a blob transaction, version 0 and 1, whole and broken."""
    tx = data.draw(transactions(types=(3,)))
    parts = [rlp.encode([data.draw(st.binary(max_size=60))]) for _ in range(3)]
    version = data.draw(st.sampled_from([[], [b"\x01"]]))
    raw = network_form(tx, *version, *parts)
    whole = TransactionBatch.decode([raw])
    assert whole.reason(0) == oracle_reason(raw) == OK
    assert whole.transaction(0) == tx
    assert whole.raw(0) == encode_transaction(tx)
    assert whole.hash(0) == transaction_hash(tx)
    assert whole.sidecar_length(0) == len(raw) - len(encode_transaction(tx))
    broken = data.draw(mutations(raw))
    assert TransactionBatch.decode([broken]).reason(0) == oracle_reason(broken)


@given(st.lists(st.tuples(every_transaction, st.booleans()), max_size=12))
def test_faults_stay_with_their_transaction(chosen: list[tuple[Transaction, bool]]) -> None:
    """A refused transaction changes nothing about its neighbours."""
    raws = [encode_transaction(tx) + (b"\x00" if broken else b"") for tx, broken in chosen]
    batch = TransactionBatch.decode(raws)
    for index, (tx, broken) in enumerate(chosen):
        if broken:
            assert batch.reason(index) == TransactionReason.TRAILING_BYTES
        else:
            assert batch.transaction(index) == tx
    first = next((index for index, (_, broken) in enumerate(chosen) if broken), None)
    assert batch.first_invalid() == first


# ---- senders ----


@given(st.lists(st.tuples(transactions(), private_keys), max_size=6))
def test_senders_are_those_of_eth_account(pairs: list[tuple[Transaction, bytes]]) -> None:
    """Signed by us, read by another library, found again by the batch."""
    txs = [sign_transaction(tx, key) for tx, key in pairs]
    wanted = [address_of(key) for _, key in pairs]
    batch = TransactionBatch.decode([encode_transaction(tx) for tx in txs])
    batch.recover()
    assert batch.senders() == wanted == [sender_of(tx) for tx in txs]
    for tx, (_, key) in zip(txs, pairs, strict=True):
        assert Account.from_key(key).address.lower() == "0x" + address_of(key).hex()
        # The library refuses fields that it cannot type, a creation by type 3 or 4 among them.
        if tx.type in (0, 1, 2):
            recovered = Account.recover_transaction(encode_transaction(tx))
            assert recovered.lower() == "0x" + address_of(key).hex()


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_bytes_are_those_of_eth_account(kind: int) -> None:
    """The other library's signed bytes, from its own encoder."""
    fields = {
        "chainId": 5,
        "nonce": 9,
        "gas": 100_000,
        "to": "0x" + "11" * 20,
        "value": 3,
        "data": "0x010203",
    }
    if kind:
        fields["accessList"] = [
            {"address": "0x" + "22" * 20, "storageKeys": ["0x" + "33" * 32, "0x" + "44" * 32]}
        ]
        fields["type"] = kind
    fields |= {"maxFeePerGas": 8, "maxPriorityFeePerGas": 7} if kind == 2 else {"gasPrice": 8}
    theirs = Account.sign_transaction(fields, KEY)
    ours = sign_transaction(
        Transaction(
            type=kind,
            chain_id=5,
            nonce=9,
            max_fee_per_gas=8,
            max_priority_fee_per_gas=7 if kind == 2 else 8,
            gas_limit=100_000,
            to=Address(b"\x11" * 20),
            value=3,
            data=b"\x01\x02\x03",
            access_list=(
                AccessEntry(Address(b"\x22" * 20), (Hash32(b"\x33" * 32), Hash32(b"\x44" * 32))),
            )
            if kind
            else (),
        ),
        KEY,
    )
    assert encode_transaction(ours) == bytes(theirs.raw_transaction)
    assert transaction_hash(ours) == bytes(theirs.hash)


def test_signature_without_a_key_is_refused_by_recovery() -> None:
    """r = 5 is no x of the curve: in range, so only recovery can tell."""
    batch = TransactionBatch.decode([encode_transaction(transfer(r=5, s=5))])
    assert batch.reason(0) == OK
    with pytest.raises(ValueError, match="recover"):
        batch.sender(0)
    with pytest.raises(ValueError, match="recover"):
        batch.senders()
    batch.recover()
    assert batch.reason(0) == TransactionReason.SIGNATURE_INVALID
    with pytest.raises(InvalidTransaction) as refusal:
        sender_of(transfer(r=5, s=5))
    assert refusal.value.reason == TransactionReason.SIGNATURE_INVALID


def authorities(batch: TransactionBatch, index: int) -> list[Address | None]:
    item = batch.pointer[index]
    return [
        Address(ffi.buffer(one.authority)[:]) if one.authority_ok else None
        for one in (item.authorizations[i] for i in range(item.authorization_count))
    ]


@given(st.lists(st.tuples(authorizations, st.one_of(st.none(), private_keys)), max_size=6))
def test_authorities_are_recovered_or_skipped(
    wishes: list[tuple[Authorization, bytes | None]],
) -> None:
    """A bad authorization is marked and nothing more: the transaction stays valid (EIP-7702)."""
    signed = tuple(
        sign_authorization(key, chain_id=wish.chain_id, address=wish.address, nonce=wish.nonce)
        if key
        else wish
        for wish, key in wishes
    )
    tx = sign_transaction(replace(transfer(), type=4, authorizations=signed), KEY)
    batch = TransactionBatch.decode([encode_transaction(tx)])
    batch.recover()
    assert batch.reason(0) == OK
    assert batch.sender(0) == address_of(KEY)
    assert authorities(batch, 0) == [authority_of(wish) for wish in signed]
    for authority, (_, key) in zip(authorities(batch, 0), wishes, strict=True):
        if key:
            assert authority == address_of(key)


def test_authority_must_sign_with_low_s() -> None:
    """The other half of the same signature recovers to the same key and is skipped all the same."""
    wish = sign_authorization(KEY, chain_id=0, address=Address(bytes(20)), nonce=0)
    mirrored = replace(wish, s=SIGNATURE_ORDER - wish.s, y_parity=1 - wish.y_parity)
    odd = replace(wish, y_parity=27 + wish.y_parity)
    tx = sign_transaction(replace(transfer(), type=4, authorizations=(wish, mirrored, odd)), KEY)
    batch = TransactionBatch.decode([encode_transaction(tx)])
    batch.recover()
    assert authorities(batch, 0) == [address_of(KEY), None, None]


# ---- reasons, one by one ----

HALF = SIGNATURE_ORDER // 2


def legacy_with_v(v: int) -> bytes:
    """A legacy transaction with this very v."""
    raw = encode_transaction(replace(transfer(), type=0, chain_id=None))
    fields = rlp.decode(raw)
    assert isinstance(fields, list)
    fields[6] = rlp.integer_bytes(v)
    return rlp.encode(fields)


def typed_with(position: int, item: object, kind: int = 2) -> bytes:
    """A typed transaction with this very item in place of one field."""
    wish = sign_authorization(KEY, chain_id=0, address=Address(bytes(20)), nonce=0)
    tx = replace(
        transfer(),
        type=kind,
        authorizations=(wish,) if kind == 4 else (),
        blob_versioned_hashes=(Hash32(b"\x01" * 32),) if kind == 3 else (),
    )
    fields = rlp.decode(encode_transaction(tx)[1:])
    assert isinstance(fields, list)
    fields[position] = item
    return bytes([kind]) + rlp.encode(fields)


WISH = [b"", bytes(20), b"", b"", b"\x01", b"\x01"]


def wish_with(position: int, item: object) -> bytes:
    return typed_with(9, [[*WISH[:position], item, *WISH[position + 1 :]]], kind=4)


R = TransactionReason
CASES = {
    "nothing": (b"", R.RLP_MALFORMED),
    "type byte alone": (b"\x02", R.RLP_MALFORMED),
    "type 0 as a byte": (b"\x00" + encode_transaction(transfer())[1:], R.TYPE_UNKNOWN),
    "type 5": (b"\x05" + encode_transaction(transfer())[1:], R.TYPE_UNKNOWN),
    "type 0x7f": (b"\x7f\xc0", R.TYPE_UNKNOWN),
    "wrapped in a string": (rlp.encode(encode_transaction(transfer())), R.RLP_MALFORMED),
    "payload is a string": (b"\x02" + rlp.encode(b"dog"), R.RLP_MALFORMED),
    "trailing byte": (encode_transaction(transfer()) + b"\x00", R.TRAILING_BYTES),
    "cut": (encode_transaction(transfer())[:-1], R.RLP_MALFORMED),
    "empty list": (b"\xc0", R.FIELD_COUNT),
    "fields of another type": (b"\x01" + encode_transaction(transfer())[1:], R.FIELD_COUNT),
    "v 26": (legacy_with_v(26), R.Y_PARITY),
    "v 27": (legacy_with_v(27), OK),
    "v 28": (legacy_with_v(28), OK),
    "v 29": (legacy_with_v(29), R.Y_PARITY),
    "v 0": (legacy_with_v(0), R.Y_PARITY),
    "v 34": (legacy_with_v(34), R.Y_PARITY),
    "v 35": (legacy_with_v(35), OK),
    "v of the largest chain id": (legacy_with_v(2 * (2**64 - 1) + 36), OK),
    "v of a larger chain id": (legacy_with_v(2 * (2**64 - 1) + 37), R.FIELD_WIDTH),
    "v of 32 bytes": (legacy_with_v(2**256 - 1), R.FIELD_WIDTH),
    "v of 33 bytes": (legacy_with_v(2**256), R.FIELD_WIDTH),
    "y_parity 2": (typed_with(9, b"\x02"), R.Y_PARITY),
    "y_parity of two bytes": (typed_with(9, b"\x01\x00"), R.Y_PARITY),
    "y_parity 0 as a byte": (typed_with(9, b"\x00"), R.LEADING_ZERO),
    "r zero": (encode_transaction(transfer(r=0)), R.SIGNATURE_RANGE),
    "s zero": (encode_transaction(transfer(s=0)), R.SIGNATURE_RANGE),
    "r at n": (encode_transaction(transfer(r=SIGNATURE_ORDER)), R.SIGNATURE_RANGE),
    "r below n": (encode_transaction(transfer(r=SIGNATURE_ORDER - 1)), OK),
    "s at n": (encode_transaction(transfer(s=SIGNATURE_ORDER)), R.SIGNATURE_RANGE),
    "s below n": (encode_transaction(transfer(s=SIGNATURE_ORDER - 1)), R.HIGH_S),
    "s above half": (encode_transaction(transfer(s=HALF + 1)), R.HIGH_S),
    "s at half": (encode_transaction(transfer(s=HALF)), OK),
    "r of 33 bytes": (typed_with(10, b"\x01" * 33), R.FIELD_WIDTH),
    "r with a leading zero": (typed_with(10, b"\x00\x01"), R.LEADING_ZERO),
    "chain id of 9 bytes": (typed_with(0, b"\x01" * 9), R.FIELD_WIDTH),
    "nonce of 9 bytes": (typed_with(1, b"\x01" * 9), R.FIELD_WIDTH),
    "nonce at 2^64 - 1": (typed_with(1, b"\xff" * 8), OK),
    "nonce with a leading zero": (typed_with(1, b"\x00"), R.LEADING_ZERO),
    "nonce as a list": (typed_with(1, []), R.RLP_MALFORMED),
    "fee of 33 bytes": (typed_with(3, b"\x01" * 33), R.FIELD_WIDTH),
    "gas of 9 bytes": (typed_with(4, b"\x01" * 9), R.FIELD_WIDTH),
    "recipient of 19 bytes": (typed_with(5, bytes(19)), R.FIELD_WIDTH),
    "recipient of 21 bytes": (typed_with(5, bytes(21)), R.FIELD_WIDTH),
    "recipient as a list": (typed_with(5, []), R.RLP_MALFORMED),
    "creation by type 3": (typed_with(5, b"", kind=3), OK),
    "creation by type 4": (typed_with(5, b"", kind=4), OK),
    "value of 33 bytes": (typed_with(6, b"\x01" * 33), R.FIELD_WIDTH),
    "data as a list": (typed_with(7, []), R.RLP_MALFORMED),
    "access list as bytes": (typed_with(8, b""), R.RLP_MALFORMED),
    "access entry as bytes": (typed_with(8, [b""]), R.RLP_MALFORMED),
    "access entry of one": (typed_with(8, [[bytes(20)]]), R.FIELD_COUNT),
    "access entry of three": (typed_with(8, [[bytes(20), [], b""]]), R.FIELD_COUNT),
    "access address of 19": (typed_with(8, [[bytes(19), []]]), R.FIELD_WIDTH),
    "access keys as bytes": (typed_with(8, [[bytes(20), b""]]), R.RLP_MALFORMED),
    "access key of 31": (typed_with(8, [[bytes(20), [bytes(31)]]]), R.FIELD_WIDTH),
    "access key as a list": (typed_with(8, [[bytes(20), [[]]]]), R.RLP_MALFORMED),
    "blob hash of 31": (typed_with(10, [bytes(31)], kind=3), R.FIELD_WIDTH),
    "blob hashes as bytes": (typed_with(10, b"", kind=3), R.RLP_MALFORMED),
    "no blob hashes": (typed_with(10, [], kind=3), OK),
    "no authorizations": (typed_with(9, [], kind=4), OK),
    "authorization as bytes": (typed_with(9, [b""], kind=4), R.RLP_MALFORMED),
    "authorization of five": (typed_with(9, [WISH[:5]], kind=4), R.FIELD_COUNT),
    "authorization chain id wide": (wish_with(0, b"\xff" * 32), OK),
    "authorization chain id too wide": (wish_with(0, b"\x01" * 33), R.FIELD_WIDTH),
    "authorization address of 19": (wish_with(1, bytes(19)), R.FIELD_WIDTH),
    "authorization nonce at most": (wish_with(2, b"\xff" * 8), OK),
    "authorization nonce too wide": (wish_with(2, b"\x01" * 9), R.FIELD_WIDTH),
    "authorization y_parity 255": (wish_with(3, b"\xff"), OK),
    "authorization y_parity 256": (wish_with(3, b"\x01\x00"), R.FIELD_WIDTH),
    "authorization y_parity 0 as a byte": (wish_with(3, b"\x00"), R.LEADING_ZERO),
    "authorization r wide": (wish_with(4, b"\xff" * 32), OK),
    "authorization r too wide": (wish_with(4, b"\x01" * 33), R.FIELD_WIDTH),
    "authorization s leading zero": (wish_with(5, b"\x00\x01"), R.LEADING_ZERO),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons(name: str) -> None:
    raw, wanted = CASES[name]
    assert oracle_reason(raw) == wanted
    assert TransactionBatch.decode([raw]).reason(0) == wanted


def blob_form(*parts: bytes) -> bytes:
    return network_form(replace(transfer(), type=3), *parts)


LISTS = [rlp.encode([bytes(131072)]), rlp.encode([bytes(48)]), rlp.encode([bytes(48)])]
FORMS = {
    "version 0": (blob_form(*LISTS), OK),
    "version 1": (blob_form(b"\x01", *LISTS), OK),
    "version 2": (blob_form(b"\x02", *LISTS), R.FIELD_WIDTH),
    "version 0 spelt out": (blob_form(b"\x80", *LISTS), R.FIELD_WIDTH),
    "version as a list": (blob_form(b"\xc0", *LISTS), R.RLP_MALFORMED),
    "two lists": (blob_form(*LISTS[:2]), R.FIELD_COUNT),
    "five lists": (blob_form(*LISTS, *LISTS), R.FIELD_COUNT),
    "blobs as bytes": (blob_form(b"\x80", *LISTS[1:]), R.RLP_MALFORMED),
    "proofs as bytes": (blob_form(b"\x01", *LISTS[:2], b"\x80"), R.RLP_MALFORMED),
    "trailing byte": (blob_form(*LISTS) + b"\x00", R.TRAILING_BYTES),
    "cut": (blob_form(*LISTS)[:-1], R.RLP_MALFORMED),
}


@pytest.mark.parametrize("name", FORMS)
def test_network_form_reasons(name: str) -> None:
    raw, wanted = FORMS[name]
    assert oracle_reason(raw) == wanted
    assert TransactionBatch.decode([raw]).reason(0) == wanted


def test_size_is_bounded_in_canonical_bytes() -> None:
    """At the limit it passes, one byte above it is refused; a sidecar does not count."""
    raw = encode_transaction(transfer(data=bytes(1000)))
    plain = encode_transaction(replace(transfer(), type=3))
    for data, length in ((raw, len(raw)), (blob_form(*LISTS), len(plain))):
        assert TransactionBatch.decode([data], size_max=length).reason(0) == OK
        assert TransactionBatch.decode([data], size_max=length - 1).reason(0) == R.SIZE
        assert oracle_reason(data, size_max=length) == OK
        assert oracle_reason(data, size_max=length - 1) == R.SIZE


def test_list_of_many_wrong_parts_takes_no_more_memory_than_its_bytes() -> None:
    """A megabyte of empty access entries is refused, not given a record for each byte."""
    raw = typed_with(8, [[]] * 1_000_000)
    assert TransactionBatch.decode([raw]).reason(0) == R.FIELD_COUNT
    raw = typed_with(9, [[]] * 1_000_000, kind=4)
    assert TransactionBatch.decode([raw]).reason(0) == R.FIELD_COUNT
    raw = typed_with(10, [b""] * 1_000_000, kind=3)
    assert TransactionBatch.decode([raw]).reason(0) == R.FIELD_WIDTH


# ---- the batch ----


def signed(nonce: int) -> Transaction:
    """One of a thousand different transactions, of all types and many lengths."""
    kind = nonce % 5
    key = Hash32(nonce.to_bytes(32, "big"))
    tx = Transaction(
        type=kind,
        chain_id=1,
        nonce=nonce,
        max_fee_per_gas=5,
        max_priority_fee_per_gas=5,
        gas_limit=nonce,
        to=None if nonce % 7 == 0 else Address(nonce.to_bytes(20, "big")),
        data=bytes([nonce % 256]) * (nonce * 37 % 1500),
        access_list=(AccessEntry(Address(key[12:]), (key,) * (nonce % 4)),) if kind else (),
        blob_versioned_hashes=(key,) * (nonce % 3) if kind == 3 else (),
        authorizations=(
            sign_authorization(KEY, chain_id=1, address=Address(key[12:]), nonce=nonce),
        )
        if kind == 4
        else (),
    )
    return sign_transaction(tx, (nonce + 1).to_bytes(32, "big"))


def test_growth_keeps_what_is_there() -> None:
    """Many appends move the items but not what they point to; recovery starts where it ended."""
    txs = [signed(nonce) for nonce in range(1000)]
    batch = TransactionBatch()
    start = 0
    for size in (1, 2, 5, 92, 0, 300, 600):
        batch.append([encode_transaction(tx) for tx in txs[start : start + size]])
        batch.recover(threads=1 + size % 3)
        start += size
    assert len(batch) == start == 1000
    for index, tx in enumerate(txs):
        assert batch.transaction(index) == tx
        assert batch.hash(index) == transaction_hash(tx)
    assert batch.senders() == [address_of((n + 1).to_bytes(32, "big")) for n in range(1000)]


def test_copies_stand_alone() -> None:
    """select and gather keep order, senders and authorities after their sources are gone."""
    seed = 20251121
    chance = random.Random(seed)
    txs = [signed(nonce) for nonce in range(200)]
    first = TransactionBatch.decode([encode_transaction(tx) for tx in txs[:100]])
    second = TransactionBatch.decode([encode_transaction(tx) for tx in txs[100:]])
    first.recover()
    chosen = [chance.randrange(100) for _ in range(70)]
    copy = first.select(chosen)
    assert [copy.transaction(i) for i in range(len(copy))] == [txs[n] for n in chosen], seed
    assert copy.senders() == [first.sender(n) for n in chosen], seed
    assert [authorities(copy, i) for i in range(70)] == [authorities(first, n) for n in chosen]
    mixed = TransactionBatch.gather([(second, 3), (first, 4), (copy, 5)])
    with pytest.raises(ValueError, match="recover"):
        mixed.sender(0)
    del first, second, copy
    mixed.recover()
    wanted = [txs[103], txs[4], txs[chosen[5]]]
    assert [mixed.transaction(i) for i in range(3)] == wanted
    assert mixed.hashes() == [transaction_hash(tx) for tx in wanted]
    assert mixed.senders() == [sender_of(tx) for tx in wanted]


def test_parts_are_the_whole_in_runs() -> None:
    """They tell what the whole tells, outlive it, and neither grow nor are recovered apart."""
    raws = [encode_transaction(signed(nonce)) for nonce in range(5)]
    batch = TransactionBatch.decode(raws)
    with pytest.raises(ValueError, match="senders are known after"):
        batch.parts([5])[0].senders()
    batch.recover()
    parts = batch.parts([2, 0, 3])
    senders, hashes = batch.senders(), batch.hashes()
    del batch
    assert [raw for part in parts for raw in part.raws()] == raws
    assert [sender for part in parts for sender in part.senders()] == senders
    assert [digest for part in parts for digest in part.hashes()] == hashes
    assert [len(part) for part in parts] == [2, 0, 3]
    with pytest.raises(IndexError):
        parts[0].hash(2)
    for change in (lambda: parts[0].append(raws), lambda: parts[0].recover()):
        with pytest.raises(AssertionError):
            change()
    with pytest.raises(ValueError, match="parts of 6 items"):
        parts[2].parts([6])


def test_known_senders_are_taken_over() -> None:
    """An earlier recovery spares the next one; authorities are found all the same."""
    txs = [signed(nonce) for nonce in range(50)]
    raws = [encode_transaction(tx) for tx in txs]
    first = TransactionBatch.decode(raws)
    first.recover()
    again = TransactionBatch.decode(raws)
    again.recover(senders=first.senders())
    assert again.senders() == first.senders()
    assert [authorities(again, i) for i in range(50)] == [authorities(first, i) for i in range(50)]
    for wrong in ([b"\x01" * 20], [b"\x01" * 19] * 50):
        with pytest.raises(ValueError, match="one sender of 20 bytes"):
            TransactionBatch.decode(raws).recover(senders=wrong)


def test_indices_are_checked() -> None:
    batch = TransactionBatch.decode([encode_transaction(transfer())])
    for wrong in (-1, 1):
        with pytest.raises(IndexError):
            batch.reason(wrong)
        with pytest.raises(IndexError):
            batch.select([wrong])
    empty = TransactionBatch()
    empty.recover()
    assert (len(empty), empty.hashes(), empty.senders(), empty.raws()) == (0, [], [], [])
    assert empty.first_invalid() is None


def test_reasons_are_numbered_as_in_the_native_core() -> None:
    """The enum of the header and that of Python name the same numbers alike."""
    native = ffi.typeof("enum ghost_tx_reason").relements
    named = {name.removeprefix("GHOST_TX_"): number for name, number in native.items()}
    assert named == {reason.name: reason.value for reason in TransactionReason}
