"""Admission from bytes: decoding, rules, journal, and the words of each refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ckzg
import pytest

from ghostchain.crypto.kzg import trusted_setup
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding import rlp
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.core import Pool, PoolLimits, SenderState
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import Accepted, PoolReason
from ghostchain.txpool.journal import Journal
from ghostchain.txpool.validation import Rules

KEY = bytes(31) + b"\x01"
SENDER = address_of(KEY)
RULES = Rules(
    chain_id=7,
    block_gas_limit=30_000_000,
    types=frozenset({0, 1, 2, 3, 4}),
    gas_cap=1 << 24,
    floor=True,
    blobs_max=6,
    cell_proofs=True,
)
BASE = Transaction(
    type=2,
    chain_id=7,
    nonce=0,
    max_fee_per_gas=10**9,
    max_priority_fee_per_gas=1,
    gas_limit=21_000,
    to=Address(b"\x11" * 20),
    value=0,
    data=b"",
    access_list=(),
    max_fee_per_blob_gas=0,
    blob_versioned_hashes=(),
    authorizations=(),
    y_parity=0,
    r=0,
    s=0,
)


def signed(**changes: object) -> bytes:
    return encode_transaction(sign_transaction(replace(BASE, **changes), KEY))


def driver(
    folder: Path,
    *,
    limits: PoolLimits | None = None,
    told: list | None = None,
    is_development: bool = False,
) -> PoolDriver:
    """A driver over an account with plenty, restored from whatever the folder holds."""
    made = PoolDriver(
        Pool(limits),
        Journal(folder / "pool.journal", durable=False),
        rules=lambda: RULES,
        accounts=lambda addresses: {address: SenderState(0, 10**24) for address in addresses},
        listener=(lambda effects: told.extend(effects)) if told is not None else lambda _: None,
        now_ns=lambda: 0,
        is_development=is_development,
    )
    made.restore()
    return made


def test_accepted_transactions_survive_a_restart(tmp_path: Path) -> None:
    """Nothing but the journal is needed to know them again."""
    first = driver(tmp_path)
    answers = first.submit([signed(nonce=nonce) for nonce in range(5)])
    assert [answer.refusal for answer in answers] == [None] * 5
    second = driver(tmp_path)
    assert set(second.pool.by_hash) == {answer.hash for answer in answers}
    assert second.pool.next_nonce(SENDER) == 5


def test_answers_stand_in_the_order_of_the_batch(tmp_path: Path) -> None:
    made = driver(tmp_path)
    good = signed(nonce=0)
    answers = made.submit([b"\xff", good, good, signed(nonce=1, chain_id=8), signed(nonce=1)])
    reasons = [answer.refusal and answer.refusal.reason for answer in answers]
    assert reasons[1] is None
    assert reasons[2] is PoolReason.ALREADY_KNOWN
    assert reasons[3] is TransactionReason.CHAIN_ID
    assert reasons[4] is None
    assert reasons[0] is not None


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"gas_limit": 20_999}, TransactionReason.INTRINSIC_GAS_TOO_LOW, "intrinsic gas too low"),
        (
            {"data": b"\x01" * 1_000, "gas_limit": 40_000},
            TransactionReason.INTRINSIC_GAS_BELOW_FLOOR,
            "floor data gas cost",
        ),
        ({"gas_limit": 30_000_001}, TransactionReason.GAS_ALLOWANCE_EXCEEDED, "exceeds block gas"),
        ({"gas_limit": (1 << 24) + 1}, TransactionReason.GAS_LIMIT_ABOVE_CAP, "gas limit too high"),
        (
            {"max_priority_fee_per_gas": 10**9 + 1},
            TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE,
            "max priority fee per gas higher than max fee per gas",
        ),
        (
            {"to": None, "data": bytes(49_153), "gas_limit": 10**6},
            TransactionReason.INITCODE_SIZE_EXCEEDED,
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
        ({"data": bytes(131_072), "gas_limit": 10**7}, PoolReason.OVERSIZED, "oversized data"),
        (
            {"value": 10**30},
            TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS,
            "insufficient funds for gas * price + value",
        ),
        ({"type": 4}, TransactionReason.SET_CODE_EMPTY, "empty auth list"),
    ],
)
def test_refusals_say_why(tmp_path: Path, changes: dict, reason: object, words: str) -> None:
    """Each rule refuses with its reason and with wording that Ethereum tools parse."""
    (answer,) = driver(tmp_path).submit([signed(**changes)])
    assert answer.refusal is not None
    assert answer.refusal.reason is reason
    assert words in answer.refusal.message


def test_listener_hears_of_what_was_accepted(tmp_path: Path) -> None:
    told: list = []
    driver(tmp_path, told=told).submit([signed(), signed(gas_limit=1)])
    assert [type(effect) for effect in told] == [Accepted]


def test_crowded_out_at_once_is_a_refusal(tmp_path: Path) -> None:
    """A full pool of better payers does not acknowledge what it throws away."""
    made = driver(tmp_path, limits=PoolLimits(count_max=2, low_water_percent=100))
    answers = made.submit([signed(nonce=nonce) for nonce in range(3)])
    assert answers[2].refusal is not None
    assert answers[2].refusal.message == "txpool is full"


def test_unwritable_journal_acknowledges_nothing(tmp_path: Path) -> None:
    """When the disk refuses, the caller hears it and the pool is as before."""
    made = driver(tmp_path)

    def refuse(raws: list[bytes]) -> None:
        raise OSError(28, "No space left on device")

    made._journal.append = refuse  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        made.submit([signed()])
    assert len(made.pool) == 0


def test_unwritable_journal_takes_nothing_acknowledged(tmp_path: Path) -> None:
    """What a batch replaced waits again when the batch could not be written."""
    made = driver(tmp_path, limits=PoolLimits(count_max=2, low_water_percent=100))
    known = made.submit([signed(nonce=0), signed(nonce=1)])

    def refuse(raws: list[bytes]) -> None:
        raise OSError(28, "No space left on device")

    made._journal.append = refuse  # type: ignore[method-assign]
    dearer = signed(nonce=0, max_fee_per_gas=2 * 10**9, max_priority_fee_per_gas=3)
    with pytest.raises(OSError, match="No space left"):
        made.submit([dearer, signed(nonce=2)])
    assert set(made.pool.by_hash) == {answer.hash for answer in known}
    assert made.pool.next_nonce(SENDER) == 2


def test_stale_journal_entries_are_left_behind(tmp_path: Path) -> None:
    """Restoring keeps what can still run, forgets what was included or cannot be paid, and the
    journal then holds no more than that."""
    first = driver(tmp_path)
    first.submit([signed(nonce=nonce) for nonce in range(4)])
    cost = 21_000 * 10**9
    second = PoolDriver(
        Pool(),
        Journal(tmp_path / "pool.journal", durable=False),
        rules=lambda: RULES,
        accounts=lambda addresses: {address: SenderState(2, cost) for address in addresses},
        now_ns=lambda: 0,
    )
    assert second.restore() == 1
    assert [item.nonce for item in second.pool.by_hash.values()] == [2]
    assert Journal(tmp_path / "pool.journal", durable=False).load() == [signed(nonce=2)]


# ---- blobs ----


def blob_parts() -> tuple[bytes, bytes, list[bytes], Hash32]:
    """(blob, commitment, cell proofs, versioned hash) of a blob of small numbers."""
    import hashlib

    blob = b"".join(number.to_bytes(32, "big") for number in range(4_096))
    commitment = ckzg.blob_to_kzg_commitment(blob, trusted_setup())
    _, proofs = ckzg.compute_cells_and_kzg_proofs(blob, trusted_setup())
    versioned = b"\x01" + hashlib.sha256(commitment).digest()[1:]
    return blob, commitment, proofs, Hash32(versioned)


def network_form(raw: bytes, blob: bytes, commitment: bytes, proofs: list[bytes]) -> bytes:
    inner = rlp.decode(raw[1:], size_max=1 << 20, depth_max=5)
    return b"\x03" + rlp.encode([inner, b"\x01", [blob], [commitment], proofs])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (None, ""),
        ("blob", "blob proof verification failed"),
        ("proof", "blob proof verification failed"),
        ("missing proof", "invalid number of 127 proofs, expected 128"),
        ("hash", "computed hash mismatches"),
        ("bare", "missing sidecar"),
    ],
)
def test_blobs_are_what_their_hashes_say(tmp_path: Path, damage: str | None, words: str) -> None:
    """A sidecar is verified before the transaction waits, and refused with what is wrong."""
    blob, commitment, proofs, versioned = blob_parts()
    if damage == "hash":
        versioned = Hash32(b"\x01" + bytes(31))
    raw = signed(type=3, blob_versioned_hashes=(versioned,), max_fee_per_blob_gas=10)
    if damage == "blob":
        blob = blob[:-1] + b"\x07"
    elif damage == "proof":
        proofs = [proofs[1], *proofs[1:]]
    elif damage == "missing proof":
        proofs = proofs[:-1]
    submitted = raw if damage == "bare" else network_form(raw, blob, commitment, proofs)
    (answer,) = driver(tmp_path).submit([submitted])
    if damage is None:
        assert answer.refusal is None
    else:
        assert answer.refusal is not None
        assert words in answer.refusal.message


@pytest.mark.parametrize(
    ("is_development", "damage", "words"),
    [
        (False, None, "blob wrapper must have 5 items at this fork"),
        (True, None, ""),
        (True, "proof", "blob proof verification failed"),
        (True, "many", "invalid number of 2 proofs, expected 1"),
    ],
)
def test_blobs_with_the_proofs_of_before_osaka(
    tmp_path: Path, is_development: bool, damage: str | None, words: str
) -> None:
    """A node of a development chain takes them, as anvil does: its clients may write no others.
    Any other node would have to prove the cells before it passes them on."""
    blob, commitment, cells, versioned = blob_parts()
    proofs = [ckzg.compute_blob_kzg_proof(blob, commitment, trusted_setup())]
    if damage is not None:
        proofs = cells[:1] if damage == "proof" else proofs * 2
    raw = signed(type=3, blob_versioned_hashes=(versioned,), max_fee_per_blob_gas=10)
    inner = rlp.decode(raw[1:], size_max=1 << 20, depth_max=5)
    submitted = b"\x03" + rlp.encode([inner, [blob], [commitment], proofs])
    (answer,) = driver(tmp_path, is_development=is_development).submit([submitted])
    assert (answer.refusal is None) == (not words)
    if answer.refusal is not None:
        assert words in answer.refusal.message
