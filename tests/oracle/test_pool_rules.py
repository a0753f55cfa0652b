"""The pool's rules without state beside the executor's: what the pool turns away early is what the
executor would refuse, for every type, scheme and number of calls, to the unit of gas."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.executor import Executor
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import Call, Transaction
from ghostchain.primitives.types import WASM_MAGIC, Address
from ghostchain.txpool.driver import shape_of
from ghostchain.txpool.validation import (
    Rules,
    floor_gas,
    intrinsic_gas,
    stateless_refusal,
)
from tests import hybrid
from tests.strategies import ghost_transactions, transactions

SENDER = Address(b"\xaa" * 20)
RULES = Rules(
    chain_id=1,
    block_gas_limit=30_000_000,
    types=frozenset({0, 1, 2, 3, 4, 0x47, 0x7B}),
    gas_cap=1 << 24,
    floor=True,
    blobs_max=6,
    cell_proofs=True,
    wasm=True,
)
# What the pool can know without state.
STATELESS = {
    TransactionReason.TYPE_NOT_YET,
    TransactionReason.CHAIN_ID,
    TransactionReason.INTRINSIC_GAS_TOO_LOW,
    TransactionReason.INTRINSIC_GAS_BELOW_FLOOR,
    TransactionReason.GAS_LIMIT_ABOVE_CAP,
    TransactionReason.GAS_ALLOWANCE_EXCEEDED,
    TransactionReason.INITCODE_SIZE_EXCEEDED,
    TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE,
    TransactionReason.BLOB_CREATE,
    TransactionReason.BLOB_ZERO,
    TransactionReason.BLOB_COUNT_EXCEEDED,
    TransactionReason.SET_CODE_CREATE,
    TransactionReason.SET_CODE_EMPTY,
}
TOKENS = st.sampled_from((None, hybrid.GCC, *hybrid.TOKENS))
INIT_CODES = st.builds(
    lambda magic, size: magic + bytes(size),
    st.sampled_from((WASM_MAGIC, b"\0asm\2\0\0\0", b"")),
    st.sampled_from((0, 49_144, 49_145, 49_152, 49_153, 60_000)),
)


def batch_of(tx: Transaction) -> TransactionBatch:
    batch = TransactionBatch.decode([encode_transaction(tx)])
    batch.recover(senders=[SENDER])
    return batch


def with_init_code(tx: Transaction, code: bytes) -> Transaction:
    if tx.type == 0x47:
        return replace(tx, calls=(Call(None, 0, code),))
    return replace(tx, to=None, data=code)


@st.composite
def offers(draw: st.DrawFn) -> Transaction:
    """Transactions of every type, now and then with a fault besides what they say of gas."""
    tx = draw(st.one_of(transactions(), ghost_transactions()))
    if tx.type in (0x47, 0x7B):
        tx = replace(tx, fee_token=draw(TOKENS))
    fee = draw(st.integers(0, 10**12))
    tx = replace(
        tx,
        chain_id=draw(st.sampled_from((1, 1, 1, 1, 2))),
        nonce=0,
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=fee if tx.type < 2 else draw(st.integers(0, fee + 1)),
    )
    if draw(st.integers(0, 7)) == 0:
        tx = with_init_code(tx, draw(INIT_CODES))
    return tx


def view() -> MemoryView:
    made = MemoryView({SENDER: Allocation(balance=10**30)})
    rates = dict.fromkeys(hybrid.TOKENS, 10**18)
    hybrid.place_tokens(made, {token: {SENDER: 10**30} for token in hybrid.TOKENS}, rates)
    return made


@settings(max_examples=150, deadline=None)
@given(offers())
def test_the_pool_refuses_what_the_executor_refuses(tx: Transaction) -> None:
    """With gas at every edge of what is needed and of what is allowed."""
    batch = batch_of(tx)
    shape = shape_of(batch.pointer[0])
    intrinsic, floor = intrinsic_gas(shape), floor_gas(shape)
    edges = {intrinsic - 1, intrinsic, floor - 1, floor, max(intrinsic, floor)}
    for gas_limit in sorted(edges | {1 << 24, (1 << 24) + 1, 30_000_000, 30_000_001}):
        compare(replace(tx, gas_limit=gas_limit))


def compare(tx: Transaction) -> None:
    batch = batch_of(tx)
    refusal = stateless_refusal(shape_of(batch.pointer[0]), RULES)
    env = hybrid.environment(0, Address(b"\xc0" * 20))
    (outcome,) = (
        Executor(view()).run_block(env, batch, skip_invalid=True, system_calls=False).outcomes
    )
    event(f"pool {refusal and refusal[0].name}, executor {outcome.reason.name}")
    assert (refusal is not None) == (outcome.reason in STATELESS)
    if refusal is not None and outcome.reason in (
        TransactionReason.INTRINSIC_GAS_TOO_LOW,
        TransactionReason.INTRINSIC_GAS_BELOW_FLOOR,
    ):
        # The executor asks for gas before the form of a type, and the pool after it.
        others = STATELESS - {TransactionReason.CHAIN_ID, TransactionReason.TYPE_NOT_YET}
        assert refusal[0] is outcome.reason or refusal[0] in others
