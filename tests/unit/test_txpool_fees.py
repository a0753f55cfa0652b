"""The pool and fees that are not of the sender's own GCC: tokens, fee payers, rates; what both new
types cost and how long they may be. From bytes, through the driver."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.contracts import addresses
from ghostchain.crypto.signing import (
    Ed25519Signer,
    MlDsa65Signer,
    Secp256k1Signer,
    Signer,
    sign_ghost,
    sign_transaction,
)
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import Call, Transaction
from ghostchain.primitives.types import WASM_MAGIC, Address, Hash32
from ghostchain.txpool.core import Pool, PoolLimits, SenderState
from ghostchain.txpool.driver import PoolDriver, Submission
from ghostchain.txpool.effects import RATE_UNIT, Effect, Evicted, PoolReason, Purse
from ghostchain.txpool.journal import Journal
from ghostchain.txpool.purses import FeeState
from ghostchain.txpool.validation import GCC, WASM_BYTES_MAX, WASM_SIZE_MAX, Rules

SPIRIT, MANA, GHOST = addresses.SPIRIT, addresses.MANA, addresses.GHOST
FRIEND = Address(b"\x11" * 20)
KEY = bytes(31) + b"\x01"
ALICE = Secp256k1Signer(KEY)
ED = Ed25519Signer(KEY)
ML = MlDsa65Signer(KEY)
PAYER = Ed25519Signer(bytes(31) + b"\x02")
GWEI = 10**9
RULES = Rules(
    chain_id=7,
    block_gas_limit=60_000_000,
    types=frozenset({0, 1, 2, 3, 4, 0x47, 0x7B}),
    gas_cap=1 << 24,
    floor=True,
    blobs_max=6,
    cell_proofs=True,
    wasm=True,
)


class World:
    """The head's state as the pool is told of it, and a driver over a folder."""

    def __init__(
        self, folder: Path, rules: Rules = RULES, limits: PoolLimits | None = None
    ) -> None:
        self.folder = folder
        self.rules = rules
        self.limits = limits
        self.gcc: dict[Address, int] = {}
        self.nonces: dict[Address, int] = {}
        self.rates = {SPIRIT: 2 * RATE_UNIT, MANA: RATE_UNIT // 4, GHOST: 0}
        self.held: dict[Purse, int] = {}
        self.asked: list[Purse] = []
        self.told: list[Effect] = []
        self.driver = self.restarted()

    def restarted(self) -> PoolDriver:
        made = PoolDriver(
            Pool(self.limits),
            Journal(self.folder / "pool.journal", durable=False),
            rules=lambda: self.rules,
            accounts=self.accounts,
            fees=self.fees,
            listener=self.told.extend,
            now_ns=lambda: 0,
        )
        made.restore()
        return made

    def accounts(self, wanted: Collection[Address]) -> dict[Address, SenderState]:
        return {
            one: SenderState(self.nonces.get(one, 0), self.gcc.get(one, 10**24)) for one in wanted
        }

    def fees(self, purses: Collection[Purse]) -> FeeState:
        self.asked += purses
        return FeeState(
            dict(self.rates),
            {
                purse: self.gcc.get(purse.holder, 10**24)
                if purse.token is None
                else self.held.get(purse, 10**24)
                for purse in purses
            },
        )

    def submit(self, *txs: Transaction) -> list[Submission]:
        return self.driver.submit([encode_transaction(tx) for tx in txs])

    def refusal(self, tx: Transaction) -> tuple[object, str] | None:
        (answer,) = self.submit(tx)
        return answer.refusal and (answer.refusal.reason, answer.refusal.message)

    def head(self, *included: Hash32, tried: Collection[Address] = ()) -> None:
        self.driver.on_head(included, self.accounts(tried))

    def evicted(self) -> list[tuple[int, object]]:
        return [(e.transaction.nonce, e.reason) for e in self.told if isinstance(e, Evicted)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def currency(nonce: int = 0, token: Address | None = SPIRIT, **changes: object) -> Transaction:
    """A 0x7b transfer by ALICE."""
    plain = Transaction(
        type=0x7B,
        chain_id=7,
        nonce=nonce,
        max_fee_per_gas=10 * GWEI,
        max_priority_fee_per_gas=GWEI,
        gas_limit=36_000,
        to=FRIEND,
        fee_token=token,
    )
    return sign_transaction(replace(plain, **changes), KEY)


def ghost(
    nonce: int = 0, signer: Signer = ED, payer: Signer | None = None, **changes: object
) -> Transaction:
    """A 0x47 with one call."""
    plain = Transaction(
        type=0x47,
        chain_id=7,
        nonce=nonce,
        max_fee_per_gas=10 * GWEI,
        max_priority_fee_per_gas=GWEI,
        gas_limit=250_000,
        to=None,
        calls=(Call(FRIEND),),
    )
    return sign_ghost(replace(plain, **changes), signer, payer)


def test_the_face_of_gcc_is_the_contracts() -> None:
    assert GCC == addresses.GCC


# ---- what is taken ----


def test_both_types_wait_and_survive_a_restart(world: World) -> None:
    """Nothing but the journal is needed, and their signatures are looked at again."""
    txs = [currency(0), ghost(0, ED, PAYER, fee_token=MANA), ghost(0, ML), currency(1, None)]
    answers = world.submit(*txs)
    assert [answer.refusal for answer in answers] == [None] * 4
    again = world.restarted()
    assert set(again.pool.by_hash) == {answer.hash for answer in answers}
    assert again.pool.purses.filled.keys() == {
        Purse(SPIRIT, ALICE.address),
        Purse(MANA, PAYER.address),
    }


def test_a_chain_that_is_not_hybrid_takes_neither(tmp_path: Path) -> None:
    world = World(tmp_path, replace(RULES, types=frozenset({0, 1, 2, 3, 4}), wasm=False))
    for tx in (currency(), ghost()):
        assert world.refusal(tx) == (
            TransactionReason.TYPE_NOT_YET,
            "transaction type not supported",
        )


def test_ordinary_transactions_ask_nothing_of_fees(world: World) -> None:
    """Neither do those that pay in GCC, named or not, out of the sender's own."""
    world.submit(currency(0, None), currency(1, GCC), ghost(0), ghost(0, ML, ML))
    world.head()
    assert world.asked == []
    world.submit(currency(2, SPIRIT))
    assert world.asked == [Purse(SPIRIT, ALICE.address)]


@pytest.mark.parametrize(
    ("tx", "gas"),
    [
        (currency(0, None), 21_000),
        (currency(0, GCC), 21_000),
        (currency(0, SPIRIT), 36_000),
        (currency(0, SPIRIT, data=b"\x00\x01"), 36_020),
        (ghost(0, ALICE), 21_000),
        (ghost(0, ED), 25_000),
        (ghost(0, ML), 111_000),
        (ghost(0, ALICE, ALICE), 24_000),
        (ghost(0, ALICE, ED), 25_000),
        (ghost(0, ED, ML), 115_000),
        (ghost(0, ML, ED, fee_token=MANA), 130_000),
        (ghost(0, ALICE, calls=(Call(FRIEND),) * 3), 26_200),
        (ghost(0, ALICE, calls=(Call(FRIEND, 0, b"\x01"), Call(FRIEND, 0, b"\x00"))), 23_620),
        (ghost(0, ALICE, calls=(Call(None, 0, b"\x00" * 33),)), 53_136),
    ],
)
def test_intrinsic_gas(world: World, tx: Transaction, gas: int) -> None:
    """Of each type, scheme, call and token; one unit less is refused."""
    signers = {signer.address: signer for signer in (ALICE, ED, ML)}

    def limited(limit: int) -> Transaction:
        if tx.type == 0x7B:
            return sign_transaction(replace(tx, gas_limit=limit), KEY)
        assert tx.sender_signature is not None
        sender = (ALICE, ED, ML)[tx.sender_signature.scheme]
        payer = signers[tx.fee_payer] if tx.fee_payer is not None else None
        return sign_ghost(replace(tx, gas_limit=limit), sender, payer)

    assert world.refusal(limited(gas - 1)) == (
        TransactionReason.INTRINSIC_GAS_TOO_LOW,
        f"intrinsic gas too low: gas {gas - 1}, minimum needed {gas}",
    )
    assert world.refusal(limited(gas)) is None


def test_the_floor_counts_the_data_of_all_calls(world: World) -> None:
    data = b"\x01" * 600
    tx = ghost(0, ALICE, calls=(Call(FRIEND, 0, data), Call(FRIEND, 0, data)), gas_limit=68_999)
    assert world.refusal(tx) == (
        TransactionReason.INTRINSIC_GAS_BELOW_FLOOR,
        "insufficient gas for floor data gas cost: gas 68999, minimum needed 69000",
    )


def test_modules_may_be_longer_and_need_more_gas(world: World, tmp_path: Path) -> None:
    """A creation with the magic is bounded by the module's limit and the block's gas alone; where
    there is no WASM, and for anything else, Ethereum's limits hold."""
    module = WASM_MAGIC + bytes(WASM_BYTES_MAX - 8)
    big = {"to": None, "gas_limit": 50_000_000, "max_fee_per_gas": 1, "max_priority_fee_per_gas": 1}
    assert world.refusal(currency(0, None, data=module, **big)) is None
    fits = ghost(0, ML, ML, calls=(Call(None, 0, module),), gas_limit=50_000_000)
    assert len(encode_transaction(fits)) < WASM_SIZE_MAX
    assert world.refusal(fits) is None
    reason, words = world.refusal(currency(1, None, data=module + b"\0", **big)) or (None, "")
    assert reason is TransactionReason.INITCODE_SIZE_EXCEEDED
    assert words == "max initcode size exceeded: code size 262145, limit 262144"
    padded = currency(1, None, data=module + bytes(16_384), **big)
    assert (world.refusal(padded) or ("",))[0] is PoolReason.OVERSIZED
    called = currency(1, None, data=module, **{**big, "to": FRIEND})
    assert (world.refusal(called) or ("",))[0] is PoolReason.OVERSIZED
    other = currency(1, None, data=b"\0asm\x02" + bytes(60_000), **big)
    assert (world.refusal(other) or ("",))[0] is TransactionReason.INITCODE_SIZE_EXCEEDED
    small = {**big, "data": bytes(100)}
    assert (world.refusal(currency(1, None, **small)) or ("",))[0] is (
        TransactionReason.GAS_LIMIT_ABOVE_CAP
    )
    (tmp_path / "ethereum").mkdir()
    ethereum = World(tmp_path / "ethereum", replace(RULES, wasm=False))
    plain = currency(0, None, data=WASM_MAGIC + bytes(60_000), **big)
    assert (ethereum.refusal(plain) or ("",))[0] is TransactionReason.INITCODE_SIZE_EXCEEDED


# ---- what is refused ----


def test_unknown_and_closed_tokens_are_refused(world: World) -> None:
    assert world.refusal(currency(0, FRIEND)) == (
        TransactionReason.FEE_TOKEN_UNKNOWN,
        f"fee token 0x{FRIEND.hex()} pays no fees",
    )
    assert world.refusal(currency(0, GHOST)) == (
        TransactionReason.FEE_TOKEN_CLOSED,
        f"fee token 0x{GHOST.hex()} is not accepted now",
    )
    assert len(world.driver.pool) == 0


def test_too_little_of_the_token_is_refused(world: World) -> None:
    """The largest fee must be there, in the token, for all that wait together; the value in GCC."""
    purse, fee = Purse(SPIRIT, ALICE.address), 36_000 * 10 * GWEI
    world.held[purse] = 2 * fee - 1
    assert world.refusal(currency(0)) is None
    assert world.refusal(currency(1)) == (
        TransactionReason.INSUFFICIENT_FEE_TOKEN,
        "insufficient funds for gas * price + value: "
        f"fee token 0x{SPIRIT.hex()}: balance {2 * fee - 1}, queued cost {fee}, tx cost {fee}, "
        "overshot 1",
    )
    world.held[purse] += 1
    assert world.refusal(currency(1)) is None
    world.gcc[ALICE.address] = 5
    reason, words = world.refusal(currency(2, MANA, value=6)) or (None, "")
    assert reason is TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS
    assert words == ("insufficient funds for gas * price + value: balance 5, tx cost 6, overshot 1")
    assert world.refusal(currency(2, MANA, value=5)) is None


@pytest.mark.parametrize("token", [None, SPIRIT])
def test_payer_without_funds_is_refused(world: World, token: Address | None) -> None:
    """A payer answers for all that it signed, whoever sends it; the sender for the value alone."""
    fee = 250_000 * 10 * GWEI
    world.gcc[ED.address] = 0
    if token is None:
        world.gcc[PAYER.address] = fee
    else:
        world.held[Purse(token, PAYER.address)] = fee
    assert world.refusal(ghost(0, ED, PAYER, fee_token=token)) is None
    reason, words = world.refusal(ghost(0, ML, PAYER, fee_token=token)) or (None, "")
    assert reason is TransactionReason.PAYER_FUNDS
    named = f" 0x{token.hex()}" if token is not None else ""
    assert words == (
        "insufficient funds for gas * price + value: "
        f"fee payer 0x{PAYER.address.hex()}{named}: balance {fee}, queued cost {fee}, "
        f"tx cost {fee}, overshot {fee}"
    )


def test_what_a_payer_sends_itself_comes_first(world: World) -> None:
    """Its own transactions take their GCC before those that it pays for."""
    fee = 250_000 * 10 * GWEI
    world.gcc[PAYER.address] = 2 * fee - 1
    assert world.refusal(ghost(0, PAYER)) is None
    assert (world.refusal(ghost(0, ED, PAYER)) or ("",))[0] is TransactionReason.PAYER_FUNDS
    world.gcc[PAYER.address] += 1
    assert world.refusal(ghost(0, ED, PAYER)) is None


def test_forged_signatures_are_refused(world: World) -> None:
    """In the words of decoding, before anything is asked of the state."""
    good = ghost(0, ED, PAYER)
    assert good.sender_signature is not None
    zeros = replace(good.sender_signature, signature=bytes(64))
    forged = replace(good, sender_signature=zeros)
    assert (world.refusal(forged) or ("",))[0] is TransactionReason.SIGNATURE_INVALID
    assert world.refusal(replace(good, payer_signature=good.sender_signature)) == (
        TransactionReason.PAYER_SIGNATURE,
        "invalid fee payer: it did not sign for this transaction",
    )
    assert (world.refusal(ghost(chain_id=8)) or ("",))[0] is TransactionReason.CHAIN_ID
    assert world.asked == []


# ---- order ----


def test_best_goes_by_what_the_proposer_gets_in_gcc(world: World) -> None:
    """SPIRIT is worth half a GCC, MANA four: a tip counts at its rate, and so does the base fee."""
    spirit = ghost(0, ED, fee_token=SPIRIT, max_priority_fee_per_gas=6)
    mana = ghost(0, ML, fee_token=MANA, max_priority_fee_per_gas=1)
    gcc = ghost(0, PAYER, max_priority_fee_per_gas=2)
    for tx in (spirit, gcc, mana):
        assert world.refusal(tx) is None
    best = [transaction.fee_token for transaction in world.driver.pool.best(0)]
    assert best == [MANA, SPIRIT, None]
    low = [one.fee_token for one in world.driver.pool.best(6 * GWEI)]
    assert low == [MANA, None], "10 gwei of SPIRIT do not pay a base fee of 6 gwei"


@pytest.mark.parametrize(
    ("base_fee", "rate", "price", "tip", "wanted"),
    [
        (7, RATE_UNIT, 10, 5, 3),
        (7, 3 * RATE_UNIT, 30, 5, 1),
        (7, 3 * RATE_UNIT, 21, 5, 0),
        (7, 3 * RATE_UNIT, 20, 5, -1),
        (1, RATE_UNIT // 3, 1, 1, 0),
        (0, RATE_UNIT // 3, 1, 1, 3),
        (0, 1, 1, 1, RATE_UNIT),
        (1, 1, 0, 0, -RATE_UNIT),
        (1, 0, 10**30, 10**30, -1),
    ],
)
def test_effective_tip(
    world: World, base_fee: int, rate: int, price: int, tip: int, wanted: int
) -> None:
    """The base fee in the token is rounded up, the tip in GCC down."""
    world.submit(currency(0))
    (one,) = world.driver.pool.by_hash.values()
    made = replace(one, max_fee_per_gas=price, max_priority_fee_per_gas=tip)
    assert made.effective_tip(base_fee, rate) == wanted


def test_replacement_compares_across_tokens(world: World) -> None:
    """Ten percent more in GCC, whatever it is paid in."""
    assert world.refusal(currency(0, None)) is None
    same = {"max_fee_per_gas": 20 * GWEI, "max_priority_fee_per_gas": 2 * GWEI}
    assert (world.refusal(currency(0, SPIRIT, **same)) or ("",))[0] is (
        PoolReason.REPLACEMENT_UNDERPRICED
    )
    more = {"max_fee_per_gas": 22 * GWEI, "max_priority_fee_per_gas": 22 * GWEI // 10}
    assert world.refusal(currency(0, SPIRIT, **more)) is None
    assert world.evicted() == [(0, PoolReason.REPLACED)]
    assert [one.fee_token for one in world.driver.pool.by_hash.values()] == [SPIRIT]
    back = {"max_fee_per_gas": 13 * GWEI, "max_priority_fee_per_gas": 13 * GWEI // 10}
    assert world.refusal(currency(0, None, **back)) is None
    assert not world.driver.pool.purses


def test_a_replacement_frees_what_it_replaces(world: World) -> None:
    fee = 36_000 * 10 * GWEI
    world.held[Purse(SPIRIT, ALICE.address)] = 2 * fee
    assert world.refusal(currency(0)) is None
    double = {"max_fee_per_gas": 20 * GWEI, "max_priority_fee_per_gas": 2 * GWEI}
    assert world.refusal(currency(0, **double)) is None


def test_a_full_pool_throws_out_the_worst_in_gcc(tmp_path: Path) -> None:
    world = World(tmp_path, limits=PoolLimits(count_max=2, low_water_percent=100))
    world.submit(
        ghost(0, ED, fee_token=SPIRIT, max_priority_fee_per_gas=3),
        ghost(0, ML, fee_token=MANA, max_priority_fee_per_gas=1),
        ghost(0, PAYER, max_priority_fee_per_gas=2),
    )
    assert {one.fee_token for one in world.driver.pool.by_hash.values()} == {MANA, None}
    assert world.driver.pool.purses.filled.keys() == {Purse(MANA, ML.address)}


def test_one_purse_pays_for_so_many(tmp_path: Path) -> None:
    """Others can empty it, and with it all that waits for it; replacing takes no more room."""
    world = World(tmp_path, limits=PoolLimits(purse_count_max=2))
    for signer in (ED, ML):
        assert world.refusal(ghost(0, signer, PAYER)) is None
    assert world.refusal(ghost(0, ALICE, PAYER)) == (
        PoolReason.PURSE_LIMIT,
        "too many transactions of one fee payer, or of one holder of a fee token: limit 2",
    )
    more = {"max_fee_per_gas": 20 * GWEI, "max_priority_fee_per_gas": 2 * GWEI}
    assert world.refusal(ghost(0, ED, PAYER, **more)) is None
    assert world.refusal(ghost(0, ALICE)) is None
    refusal = world.refusal(ghost(0, ALICE, PAYER, **more))
    assert refusal is not None
    assert refusal[0] is PoolReason.PURSE_LIMIT


# ---- a new head ----


def test_a_closed_token_clears_what_pays_in_it(world: World) -> None:
    """And what follows waits behind the gap; a rate that only moves keeps everything."""
    world.submit(currency(0, MANA), currency(1), currency(2, None), ghost(0, ED, fee_token=MANA))
    world.rates[SPIRIT] = 100 * RATE_UNIT
    world.head()
    assert len(world.driver.pool) == 4
    world.rates[SPIRIT] = 0
    world.head()
    assert world.evicted() == [(1, TransactionReason.FEE_TOKEN_CLOSED)]
    assert world.driver.pool.next_nonce(ALICE.address) == 1
    assert world.driver.pool.pending_count() == 2
    assert world.refusal(currency(1)) is not None
    world.rates[SPIRIT] = 1
    assert world.refusal(currency(1)) is None
    assert world.driver.pool.next_nonce(ALICE.address) == 3


def test_a_purse_that_a_block_emptied_keeps_its_oldest_claims(world: World) -> None:
    """The block paid from it, so it is looked at again."""
    fee = 250_000 * 10 * GWEI
    purse = Purse(SPIRIT, PAYER.address)
    world.held[purse] = 3 * fee
    txs = [ghost(0, signer, PAYER, fee_token=SPIRIT) for signer in (ED, ML, ALICE)]
    answers = world.submit(*txs)
    world.held[purse] = fee
    world.nonces[ED.address] = 1
    world.head(answers[0].hash, tried=[ED.address])
    assert world.evicted() == [(0, TransactionReason.PAYER_FUNDS)]
    assert set(world.driver.pool.by_hash) == {answers[1].hash}
    assert world.driver.pool.purses.filled[purse].cost_total == fee


def test_a_payer_that_spends_its_own_gcc_pays_for_fewer(world: World) -> None:
    """What it sends itself is counted when its purse is looked at again."""
    fee = 250_000 * 10 * GWEI
    world.gcc[PAYER.address] = 2 * fee
    world.submit(ghost(0, ED, PAYER), ghost(0, PAYER), ghost(1, PAYER))
    assert len(world.driver.pool) == 3, "its own come first, and may squeeze the other out"
    assert world.refusal(ghost(0, ML, PAYER)) is not None
    assert world.evicted() == [(0, TransactionReason.PAYER_FUNDS)]
    assert set(world.driver.pool.senders) == {PAYER.address}


def test_submitting_again_learns_of_an_emptied_purse(world: World) -> None:
    fee = 36_000 * 10 * GWEI
    purse = Purse(SPIRIT, ALICE.address)
    world.submit(currency(0), currency(1), currency(2))
    world.held[purse] = 2 * fee
    assert world.refusal(currency(3)) is not None
    assert world.evicted() == [(2, TransactionReason.INSUFFICIENT_FEE_TOKEN)]
    assert world.driver.pool.next_nonce(ALICE.address) == 2


def test_a_journal_that_refuses_leaves_purses_as_they_were(world: World) -> None:
    world.submit(currency(0))
    before = {purse: one.cost_total for purse, one in world.driver.pool.purses.filled.items()}

    def refuse(raws: list[bytes]) -> None:
        raise OSError(28, "No space left on device")

    world.driver._journal.append = refuse  # type: ignore[method-assign]
    double = {"max_fee_per_gas": 20 * GWEI, "max_priority_fee_per_gas": 2 * GWEI}
    with pytest.raises(OSError, match="No space left"):
        world.submit(currency(0, MANA, **double), ghost(0, ED, PAYER))
    after = {purse: one.cost_total for purse, one in world.driver.pool.purses.filled.items()}
    assert after == before
