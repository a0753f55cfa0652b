"""Blocks whose fees are paid in tokens: what is kept of their rates, and what is asked of the state
about tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ghostchain.chain.chain import Chain
from ghostchain.chain.fee_tokens import RATE_UNIT, balance_in, in_coin, in_token, is_coin, rate_in
from ghostchain.chain.genesis import Genesis, GenesisAccount, state_root
from ghostchain.chain.networks import network
from ghostchain.contracts.addresses import FEE_MARKET, GCC, GHOST, MANA, SPIRIT, TOKENS
from ghostchain.contracts.economy import Economy, economy_alloc
from ghostchain.crypto.signing import Secp256k1Signer, sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import Transaction, TransactionType
from ghostchain.primitives.types import Address, Hash32
from tests import hybrid

KEYS = [bytes([number]) * 32 for number in range(1, 6)]
HOLDERS = [Secp256k1Signer(key).address for key in KEYS]
RATES = {SPIRIT: 2 * RATE_UNIT, MANA: 3 * RATE_UNIT // 7}
UNIT = 10**18


def genesis() -> Genesis:
    dev = network("dev")
    alloc = {address: account for address, account in dev.alloc.items() if account.code}
    alloc |= {address: GenesisAccount(balance=UNIT) for address in HOLDERS}
    held = dict.fromkeys(HOLDERS, 100 * UNIT)
    economy = Economy(balances={SPIRIT: held, MANA: held}, rates=RATES)
    placed = economy_alloc(len(HOLDERS) * UNIT, economy)
    for address in (*TOKENS, FEE_MARKET):
        item = placed[address]
        alloc[address] = GenesisAccount(nonce=1, code=item.code, storage=item.storage)
    header = replace(dev.header, state_root=state_root(alloc))
    return replace(dev, config=replace(dev.config, hybrid_time=0), header=header, alloc=alloc)


def signed(index: int, token: Address | None, *, nonce: int = 0) -> bytes:
    kind = TransactionType.DYNAMIC_FEE if token is None else TransactionType.FEE_CURRENCY
    tx = Transaction(
        type=kind,
        chain_id=31337,
        nonce=nonce,
        max_fee_per_gas=10**11,
        max_priority_fee_per_gas=7,
        gas_limit=60_000,
        to=HOLDERS[0],
        fee_token=token,
    )
    return encode_transaction(sign_transaction(tx, KEYS[index]))


def test_rates_stand_at_the_places_in_the_block(tmp_path: Path) -> None:
    """Candidates that were left out do not count; the record reads the same from disk."""
    batch = TransactionBatch.decode(
        [
            signed(0, None),
            signed(1, SPIRIT),
            signed(1, MANA, nonce=9),
            signed(2, GHOST),
            signed(3, MANA),
            signed(4, GCC),
        ]
    )
    batch.recover()
    chain = Chain.open(tmp_path, genesis())
    sealed = chain.build_block(
        batch,
        timestamp=chain.head.timestamp + 12,
        coinbase=Address(b"\xc0" * 20),
        prev_randao=Hash32(bytes(32)),
    )
    assert [item.reason for item in sealed.outcomes if not item.included] == [
        TransactionReason.NONCE_TOO_HIGH,
        TransactionReason.FEE_TOKEN_CLOSED,
    ]
    rates = {1: RATES[SPIRIT], 2: RATES[MANA]}
    number = sealed.block.header.number
    record = chain.receipts_record(number)
    assert record is not None
    assert record.fee_rates == rates
    base_fee = sealed.block.header.base_fee_per_gas
    view = chain.state_at(number)
    gas = 36_000
    paid = {token: in_token(base_fee, RATES[token]) + 7 for token in RATES}
    assert balance_in(view, SPIRIT, HOLDERS[1]) == 100 * UNIT - gas * paid[SPIRIT]
    assert balance_in(view, MANA, HOLDERS[3]) == 100 * UNIT - gas * paid[MANA]
    chain.close()
    chain = Chain.open(tmp_path, genesis())
    record = chain.receipts_record(number)
    assert record is not None
    assert record.fee_rates == rates
    chain.close()


def test_rates_of_a_state() -> None:
    view = MemoryView()
    assert [rate_in(view, token) for token in (None, GCC, SPIRIT)] == [RATE_UNIT, RATE_UNIT, None]
    hybrid.place_tokens(view, {SPIRIT: {HOLDERS[0]: 5}}, {SPIRIT: 3})
    assert [rate_in(view, token) for token in (SPIRIT, MANA)] == [3, 0]
    assert rate_in(view, FEE_MARKET) is None
    assert rate_in(view, HOLDERS[0]) is None
    assert (balance_in(view, SPIRIT, HOLDERS[0]), balance_in(view, MANA, HOLDERS[0])) == (5, 0)
    view.put(FEE_MARKET, Allocation(nonce=1))
    assert rate_in(view, SPIRIT) is None
    assert is_coin(None)
    assert is_coin(GCC)
    assert not is_coin(SPIRIT)


@given(st.integers(0, 2**100), st.integers(1, 2**100))
def test_there_and_back_loses_nothing(amount: int, rate: int) -> None:
    """A base fee in the token is never worth less than in GCC, and at most a wei of the token
    more than it must be."""
    there = in_token(amount, rate)
    assert in_coin(there, rate) >= amount
    assert (
        there == 0 or in_coin(there - 1, rate) < amount or (there - 1) * RATE_UNIT < amount * rate
    )
