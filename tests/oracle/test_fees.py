"""Fees in tokens and fee payers against the model in fee_model.py, to the last wei."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from ghostchain.contracts.addresses import FEE_MARKET, GCC, GHOST, MANA, SPIRIT, address_of
from ghostchain.encoding.blocks import decode_receipt
from ghostchain.execution.executor import CallFlag, Executor, Exit, Message
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import (
    AccessEntry,
    Call,
    SignatureScheme,
    TransactionType,
)
from ghostchain.primitives.types import Address
from tests import hybrid
from tests.hybrid import TOKENS
from tests.oracle.fee_model import (
    CLEARS,
    FAILS,
    RATE_UNIT,
    REVERTS,
    WORD,
    Refused,
    World,
    gas_of,
)

PEOPLE = [Address(bytes((letter,)) * 20) for letter in b"ABCD"]
CONTRACTS = {Address(code.rjust(20, b"\xcc")): code for code in (REVERTS, FAILS, CLEARS)}
CLEARER = next(address for address, code in CONTRACTS.items() if code == CLEARS)
UNKNOWN = address_of(5)
FIRST_SLOT = bytes(32)

AMOUNTS = st.one_of(
    st.sampled_from((10**26, 2**128, 2**192, 0, 1, 10**18)), st.integers(2**80, 2**100)
)
RATES = st.one_of(
    st.sampled_from((1, 10**17, RATE_UNIT, 3 * RATE_UNIT + 7, 10**9, 0, 2**192, WORD - 1)),
    st.integers(1, 10**20),
)
BASE_FEES = st.one_of(st.sampled_from((7, 10**9, 0, 1, 2**64)), st.integers(0, 10**12))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    tokens = {token: {who: draw(AMOUNTS) for who in PEOPLE} for token in TOKENS}
    return World(
        base_fee=draw(BASE_FEES),
        coinbase=draw(st.sampled_from((*PEOPLE, Address(b"\xc0" * 20)))),
        coins={who: draw(AMOUNTS) for who in PEOPLE},
        tokens=tokens,
        supplies={token: sum(held.values()) for token, held in tokens.items()},
        rates={token: draw(RATES) for token in TOKENS},
        codes=dict(CONTRACTS),
        full={CLEARER},
    )


DATA = st.one_of(st.binary(max_size=40), st.integers(0, 300).map(bytes))
VALUES = st.sampled_from((0, 0, 1, 5, 10**15, 10**26))
RECIPIENTS = st.one_of(
    st.sampled_from((*PEOPLE, *CONTRACTS)), st.binary(min_size=20, max_size=20).map(Address)
)
CALLS = st.lists(st.builds(Call, RECIPIENTS, VALUES, DATA), min_size=1, max_size=4).map(tuple)
EXTRA_GAS = st.one_of(st.integers(0, 12_000), st.sampled_from((100_000, 0, 1, -1)))
EXTRA_FEE = st.one_of(st.integers(0, 10**10), st.sampled_from((0, 1, -1, 10**20, WORD // 30_000)))
NONCE_STEPS = (*[0] * 12, 1, -1)


@st.composite
def messages(draw: st.DrawFn, world: World) -> Message:
    kind = draw(st.sampled_from((TransactionType.GHOST, TransactionType.FEE_CURRENCY)))
    sender = draw(st.sampled_from(PEOPLE))
    token = draw(st.sampled_from((SPIRIT, MANA, GHOST, SPIRIT, MANA, GHOST, None, GCC, UNKNOWN)))
    message = Message(
        type=kind,
        sender=sender,
        to=None,
        nonce=max(0, world.nonces.get(sender, 0) + draw(st.sampled_from(NONCE_STEPS))),
        gas_limit=0,
        fee_token=token,
    )
    calls = draw(CALLS)
    if kind == TransactionType.GHOST:
        message = replace(
            message,
            calls=calls,
            fee_payer=draw(st.one_of(st.none(), st.sampled_from(PEOPLE))),
            signature_scheme=draw(st.sampled_from(SignatureScheme)),
            payer_scheme=draw(st.sampled_from(SignatureScheme)),
        )
    else:
        call = calls[0]
        message = replace(message, to=call.to, value=call.value, data=call.data)
    gas = max(gas_of(message, has_token=token not in (None, GCC)))
    rate = RATE_UNIT if token in (None, GCC) else world.rates.get(token, RATE_UNIT)
    fee = -(-world.base_fee * rate // RATE_UNIT) + draw(EXTRA_FEE)
    fee = min(max(fee, 0), WORD - 1)
    return replace(
        message,
        gas_limit=gas + draw(EXTRA_GAS),
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=draw(st.one_of(st.integers(0, 3), st.integers(0, fee))),
    )


def view_of(world: World) -> MemoryView:
    view = MemoryView({who: Allocation(balance=held) for who, held in world.coins.items()})
    for address, code in world.codes.items():
        storage = {FIRST_SLOT: b"\1".rjust(32, b"\0")} if address in world.full else {}
        view.put(address, Allocation(nonce=1, code=code, storage=storage))
    hybrid.place_tokens(view, world.tokens, world.rates, sum(world.coins.values()))
    return view


def assert_same(view: MemoryView, world: World) -> None:
    for who, held in world.coins.items():
        assert hybrid.balance(view, who) == held
    for token, balances in world.tokens.items():
        for who, held in balances.items():
            assert hybrid.token_balance(view, token, who) == held
        assert hybrid.supply(view, token) == world.supplies[token] == sum(balances.values())
    assert (CLEARER in world.full) == bool(hybrid.slot(view, CLEARER, FIRST_SLOT))


@given(st.data())
def test_fees_are_those_of_the_model(data: st.DataObject) -> None:
    """Blocks of any messages: the same refused for the same reasons, the same gas and prices, every
    balance and supply the same to the last wei, and each token's supply the sum of its balances."""
    world = data.draw(worlds())
    view, coins_before = view_of(world), sum(world.coins.values())
    env = hybrid.environment(world.base_fee, world.coinbase)
    written, expected, burnt = [], [], 0
    for _ in range(data.draw(st.integers(1, 4))):
        message = data.draw(messages(world))
        written.append(message)
        try:
            paid = world.run(message)
        except Refused as refusal:
            event(refusal.reason.name)
            expected.append(refusal.reason)
            continue
        event("paid in " + ("GCC" if message.fee_token in (None, GCC) else "a token"))
        expected.append((paid.success, paid.gas_used, paid.price))
        if message.fee_token in (None, GCC):
            burnt += paid.gas_used * world.base_fee
    executor = Executor(view)
    result = executor.run_block(env, hybrid.MessageBatch(written), skip_invalid=True)
    found = [
        (item.success, item.gas_used, item.effective_gas_price) if item.included else item.reason
        for item in result.outcomes
    ]
    assert found == expected
    receipts = [decode_receipt(raw) for raw in result.receipts]
    included = [
        (message.type, item.success)
        for message, item in zip(written, result.outcomes, strict=True)
        if item.included
    ]
    assert [(receipt.type, receipt.success) for receipt in receipts] == included
    view.apply(result)
    assert_same(view, world)
    assert sum(world.coins.values()) == coins_before - burnt == hybrid.supply(view, GCC)


# ---- single properties ----


def rich_world(**fields: object) -> World:
    tokens = {token: dict.fromkeys(PEOPLE, 10**24) for token in TOKENS}
    world = World(
        base_fee=1_000,
        coinbase=Address(b"\xc0" * 20),
        coins=dict.fromkeys(PEOPLE, 10**20),
        tokens=tokens,
        supplies=dict.fromkeys(TOKENS, 4 * 10**24),
        rates=dict.fromkeys(TOKENS, 2 * RATE_UNIT),
        codes=dict(CONTRACTS),
        full={CLEARER},
    )
    return replace(world, **fields)  # type: ignore[arg-type]


def message_to(to: Address | None, **fields: object) -> Message:
    message = Message(
        type=TransactionType.FEE_CURRENCY,
        sender=PEOPLE[0],
        to=to,
        gas_limit=200_000,
        max_fee_per_gas=10_000,
        max_priority_fee_per_gas=50,
        fee_token=SPIRIT,
    )
    return replace(message, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [TransactionType.GHOST, TransactionType.FEE_CURRENCY])
def test_only_a_hybrid_chain_has_them(kind: TransactionType) -> None:
    """Elsewhere both types are refused as not there yet, whatever is in them."""
    world = rich_world()
    env = replace(hybrid.environment(world.base_fee, world.coinbase), hybrid=False)
    message = message_to(PEOPLE[1], type=kind, calls=(Call(PEOPLE[1]),))
    result = Executor(view_of(world)).call(env, message)
    assert result.reason is TransactionReason.TYPE_NOT_YET


def test_gas_price_shows_in_coins() -> None:
    """GASPRICE is the price in GCC, rounded down and never below BASEFEE; the receipt's price is in
    the token."""
    shower = Address(b"\x5a" * 20)
    for rate in (1, 10**17, RATE_UNIT, 3 * RATE_UNIT + 7, 7 * 10**25):
        world = rich_world(rates=dict.fromkeys(TOKENS, rate))
        view = view_of(world)
        view.put(shower, Allocation(nonce=1, code=bytes.fromhex("3a5f524860205260405ff3")))
        env = hybrid.environment(world.base_fee, world.coinbase)
        base = -(-world.base_fee * rate // RATE_UNIT)
        message = message_to(
            shower, max_fee_per_gas=base + 999, max_priority_fee_per_gas=123, gas_limit=60_000
        )
        result = Executor(view).call(env, message)
        assert result.success
        shown, base_fee = (int.from_bytes(result.output[i : i + 32], "big") for i in (0, 32))
        assert shown == (base + 123) * RATE_UNIT // rate >= base_fee == world.base_fee


def test_a_price_beyond_words_shows_as_the_largest() -> None:
    shower = Address(b"\x5a" * 20)
    code = bytes.fromhex("3a5f5260205ff3")
    env = hybrid.environment(1, Address(b"\xc0" * 20))
    for rate, price in ((1, 2**200), (3, 2**197), (2**80, 2**255 + 12345), (WORD - 1, WORD - 1)):
        world = rich_world(rates=dict.fromkeys(TOKENS, rate), base_fee=1)
        view = view_of(world)
        view.put(shower, Allocation(nonce=1, code=code))
        message = message_to(shower, max_fee_per_gas=price, max_priority_fee_per_gas=price)
        result = Executor(view).call(env, message, flags=CallFlag.NO_BALANCE_CHECK)
        assert result.success
        expected = min(price * RATE_UNIT // rate, WORD - 1)
        assert int.from_bytes(result.output, "big") == expected


def test_tokens_without_a_fee_market_are_unknown() -> None:
    """Both the token and the market must be there as contracts."""
    world = rich_world()
    env = hybrid.environment(world.base_fee, world.coinbase)
    for missing in (SPIRIT, FEE_MARKET):
        view = view_of(world)
        view.put(missing, Allocation(nonce=1))
        result = Executor(view).call(env, message_to(PEOPLE[1]))
        assert result.reason is TransactionReason.FEE_TOKEN_UNKNOWN


def test_a_fee_warms_nothing() -> None:
    """The slots that a fee touches are as cold afterwards as if the fee were in GCC: reading the
    supply or the payer's balance in the token costs the same."""
    view = view_of(rich_world())
    # the "token" itself reads its supply slot and the sender's balance slot
    reader = b"\x60\x02\x54\x50\x5f\x35\x54\x50"
    key = hybrid.mapping_key(PEOPLE[0], 0)
    view.put(SPIRIT, Allocation(nonce=1, code=reader, storage=view.storage[SPIRIT]))
    env = hybrid.environment(1_000, Address(b"\xc0" * 20))
    gas = {}
    for token in (SPIRIT, GCC):
        result = Executor(view).call(env, message_to(SPIRIT, fee_token=token, data=key))
        assert result.success
        gas[token] = result.gas_used
    assert gas[SPIRIT] - gas[GCC] == 15_000
    assert gas[GCC] > 21_000 + 2 * 2_100


def test_what_is_owed_cannot_be_spent() -> None:
    """The fee is taken first: code that sees the balance sees it without the whole fee."""
    view = view_of(rich_world())
    reader = bytes.fromhex("5f35545f5260205ff3")  # returns the slot named by the call data
    view.put(SPIRIT, Allocation(nonce=1, code=reader, storage=view.storage[SPIRIT]))
    env = hybrid.environment(1_000, Address(b"\xc0" * 20))
    key = hybrid.mapping_key(PEOPLE[0], 0)
    result = Executor(view).call(env, message_to(SPIRIT, data=key))
    assert int.from_bytes(result.output, "big") == 10**24 - 200_000 * 2_050


def ghost(*calls: Call, **fields: object) -> Message:
    return message_to(None, type=TransactionType.GHOST, calls=calls, **fields)


def test_calls_are_atomic() -> None:
    """The first that fails undoes all before it; its revert data is the output, its logs go."""
    view = view_of(rich_world())
    logger, refuser = Address(b"\x10" * 20), Address(b"\x11" * 20)
    view.put(logger, Allocation(nonce=1, code=bytes.fromhex("60015f555f5fa0602a5f5260205ff3")))
    view.put(refuser, Allocation(nonce=1, code=bytes.fromhex("60075f5260205ffd")))
    env = hybrid.environment(1_000, Address(b"\xc0" * 20))
    executor = Executor(view)
    done = executor.call(env, ghost(Call(PEOPLE[1], 5), Call(logger), Call(logger)))
    assert done.success
    assert len(done.logs) == 2
    assert int.from_bytes(done.output, "big") == 42
    undone = ghost(Call(PEOPLE[1], 5), Call(logger), Call(refuser), Call(logger))
    result = executor.run_block(env, hybrid.MessageBatch([undone]), system_calls=False)
    (outcome,) = result.outcomes
    assert (outcome.success, outcome.exit) == (False, Exit.REVERT)
    assert result.log_count == 0
    view.apply(result)
    assert hybrid.balance(view, PEOPLE[1]) == 10**20
    assert hybrid.slot(view, logger, FIRST_SLOT) == 0
    executor.commit()
    told = executor.call(env, replace(undone, nonce=1))
    assert (told.exit, int.from_bytes(told.output, "big")) == (Exit.REVERT, 7)


def test_a_single_creation() -> None:
    """A creation is a call of its own, and its address that of the nonce."""
    init = bytes.fromhex("600a600c5f39600a5ff3600160015260015ff3")
    env = hybrid.environment(1_000, Address(b"\xc0" * 20))
    executor = Executor(view_of(rich_world()))
    result = executor.call(env, ghost(Call(None, 0, init)))
    assert result.success
    assert result.contract_address is not None
    both = executor.call(env, ghost(Call(None, 0, init), Call(PEOPLE[1])))
    assert both.reason is TransactionReason.CALL_CREATES


def test_forms_that_decoding_would_refuse() -> None:
    env = hybrid.environment(1_000, Address(b"\xc0" * 20))
    executor = Executor(view_of(rich_world()))
    call = Call(PEOPLE[1])
    assert executor.call(env, ghost()).reason is TransactionReason.CALL_COUNT
    many = executor.call(env, ghost(*[call] * 257, gas_limit=10**6))
    assert many.reason is TransactionReason.CALL_COUNT
    assert executor.call(env, ghost(*[call] * 256, gas_limit=10**6)).success
    scheme = executor.call(env, ghost(call, signature_scheme=3))
    assert scheme.reason is TransactionReason.SIGNATURE_SCHEME


def test_a_payer_with_code_cannot_sign() -> None:
    """EIP-3607 holds for fee payers too; a delegation is no hindrance."""
    view = view_of(rich_world())
    env = hybrid.environment(1_000, Address(b"\xc0" * 20))
    payer = PEOPLE[1]
    message = ghost(Call(PEOPLE[2]), fee_payer=payer)
    view.put(payer, Allocation(balance=10**20, code=b"\x00"))
    assert Executor(view).call(env, message).reason is TransactionReason.SENDER_NOT_EOA
    view.put(payer, Allocation(balance=10**20, code=b"\xef\x01\x00" + PEOPLE[3]))
    assert Executor(view).call(env, message).success


def test_recipients_and_listed_slots_are_warm() -> None:
    """Each recipient is paid for by the price of its call, so what calls it again finds it warm;
    the access list warms as in any type."""
    view = view_of(rich_world())
    asker = Address(b"\x12" * 20)
    view.put(asker, Allocation(nonce=1, code=b"\x5f\x35\x31\x50"))  # BALANCE of the argument
    env = hybrid.environment(1_000, Address(b"\xc0" * 20))
    executor = Executor(view)
    target = Address(b"\x13" * 20)
    word = target.rjust(32, b"\0")
    cold = executor.call(env, ghost(Call(asker, 0, word)))
    warm = executor.call(env, ghost(Call(asker, 0, word), Call(target)))
    assert warm.gas_used == cold.gas_used - 2_500 + 2_600
    listed = executor.call(env, ghost(Call(asker, 0, word), access_list=(AccessEntry(target, ()),)))
    assert listed.gas_used == cold.gas_used - 2_500 + 2_400
