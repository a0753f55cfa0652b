"""The executor over a state in memory: exact changes, exact discards, calls, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_authorization, sign_transaction
from ghostchain.encoding.blocks import decode_receipt, encode_withdrawal
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallFlag,
    Executor,
    Exit,
    Message,
)
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import BlockReason, InvalidBlock, TransactionReason
from ghostchain.primitives.transaction import AccessEntry, Transaction
from ghostchain.primitives.types import Address, Hash32
from ghostchain.trie.merkle import ordered_root

KEYS = [bytes([0] * 31 + [number]) for number in range(1, 6)]
SENDERS = [address_of(key) for key in KEYS]
COINBASE = Address(b"\xc0" * 20)
ETHER = 10**18
BASE_FEE = 7

ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    chain_id=1,
    number=10,
    timestamp=1_000,
    gas_limit=30_000_000,
    base_fee=BASE_FEE,
    coinbase=COINBASE,
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
)

# Stores the first word of the call data at slot 0, adds one to slot 1, logs slot 1, returns it.
COUNTER = Address(b"\xcc" * 20)
COUNTER_CODE = bytes.fromhex("5f355f5560015460010180600155805f5260205fa160205ff3")
# Reverts with one word, 1.
REVERTER = Address(b"\xdd" * 20)
REVERTER_CODE = bytes.fromhex("60015f5560015f5260205ffd")


def state(**extra: Allocation) -> MemoryView:
    view = MemoryView({sender: Allocation(balance=ETHER) for sender in SENDERS})
    view.put(COUNTER, Allocation(nonce=1, code=COUNTER_CODE))
    view.put(REVERTER, Allocation(nonce=1, code=REVERTER_CODE))
    return view


def unsigned(**fields: object) -> Transaction:
    base = Transaction(
        type=2,
        chain_id=1,
        nonce=0,
        max_fee_per_gas=100,
        max_priority_fee_per_gas=3,
        gas_limit=100_000,
        to=Address(b"\x77" * 20),
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def batch_of(*transactions: tuple[int, Transaction]) -> TransactionBatch:
    """Signed by the sender of that index each."""
    batch = TransactionBatch.decode(
        [encode_transaction(sign_transaction(tx, KEYS[index])) for index, tx in transactions]
    )
    batch.recover(threads=1)
    return batch


def run(view: MemoryView, batch: TransactionBatch, **options: bool):
    executor = Executor(view)
    return executor, executor.run_block(ENVIRONMENT, batch, system_calls=False, **options)


def balance(view: MemoryView, address: bytes) -> int:
    record = view.accounts.get(address)
    return int.from_bytes(record[8:40], "big") if record else 0


def changed_addresses(result) -> set[bytes]:
    native = result.native
    return {bytes(native.accounts[i].address) for i in range(native.account_count)}


def test_transfer_moves_value_and_pays_fees() -> None:
    """Sender pays value and gas at base fee plus tip; the tip reaches the coinbase."""
    view = state()
    _, result = run(view, batch_of((0, unsigned(value=1_000, gas_limit=21_000))))
    view.apply(result)
    assert result.gas_used == 21_000
    assert balance(view, b"\x77" * 20) == 1_000
    assert balance(view, COINBASE) == 21_000 * 3
    assert balance(view, SENDERS[0]) == ETHER - 1_000 - 21_000 * (BASE_FEE + 3)


def test_receipts_blooms_and_roots_agree() -> None:
    """The native receipts decode, their bloom is that of the logs, and the root is over them."""
    view = state()
    batch = batch_of(
        (0, unsigned(to=COUNTER, data=b"\1" * 32)),
        (1, unsigned(to=REVERTER)),
        (2, unsigned(to=COUNTER, type=1, max_priority_fee_per_gas=100)),
    )
    _, result = run(view, batch)
    receipts = [decode_receipt(raw) for raw in result.receipts]
    assert [receipt.success for receipt in receipts] == [True, False, True]
    assert [receipt.type for receipt in receipts] == [2, 2, 1]
    assert [len(receipt.logs) for receipt in receipts] == [1, 0, 1]
    assert receipts[-1].cumulative_gas_used == result.gas_used
    assert result.receipts_root == ordered_root(result.receipts)
    assert result.transactions_root == ordered_root(batch.raws())
    assert result.logs == receipts[0].logs + receipts[2].logs
    merged = 0
    for receipt in receipts:
        merged |= int.from_bytes(receipt.bloom, "big")
    assert result.bloom == merged.to_bytes(256, "big")
    for part in (COUNTER, *receipts[2].logs[0].topics):
        digest = keccak256(part)
        bits = [int.from_bytes(digest[i : i + 2], "big") & 2047 for i in (0, 2, 4)]
        assert all(merged >> bit & 1 for bit in bits)


def test_changes_are_net() -> None:
    """What ends as it began is not a change, although it was written on the way."""
    view = state()
    view.put(COINBASE, Allocation(balance=1))
    there_and_back = (
        (0, unsigned(to=SENDERS[1], value=5, gas_limit=21_000)),
        (1, unsigned(to=COUNTER, data=b"\2" * 32)),
        (2, unsigned(to=COUNTER, data=bytes(32))),
    )
    _, result = run(view, batch_of(*there_and_back))
    assert changed_addresses(result) == {*SENDERS[:3], COUNTER, COINBASE}
    native = result.native
    keys = [int.from_bytes(bytes(native.slots[i].key), "big") for i in range(native.slot_count)]
    assert keys == [1], "slot 0 is back at zero"
    hashes = [bytes(native.accounts[i].hashed) for i in range(native.account_count)]
    assert hashes == sorted(hashes)


def test_codes_of_a_creation() -> None:
    """A creation deploys what its init code returns, once, under its hash."""
    view = state()
    runtime = COUNTER_CODE
    init = (
        bytes((0x60, len(runtime), 0x60, 10, 0x5F, 0x39, 0x60, len(runtime), 0x5F, 0xF3)) + runtime
    )
    creation = unsigned(to=None, data=init, gas_limit=200_000)
    _, result = run(view, batch_of((0, creation), (1, creation)))
    addresses = [outcome.contract_address for outcome in result.outcomes]
    assert None not in addresses
    assert len(set(addresses)) == 2
    assert result.codes == ((keccak256(runtime), runtime),)
    view.apply(result)
    assert view.accounts[addresses[0]][:8] == (1).to_bytes(8, "big")


def test_discard_forgets_and_commit_keeps() -> None:
    """The same block runs alike after a discard; after a commit its nonces are used."""
    view = state()
    batch = batch_of((0, unsigned(to=COUNTER)), (1, unsigned(value=7)))
    executor, first = run(view, batch)
    seen = first.receipts, changed_addresses(first)
    executor.discard()
    second = executor.run_block(ENVIRONMENT, batch, system_calls=False)
    assert (second.receipts, changed_addresses(second)) == seen
    view.apply(second)
    executor.commit()
    with pytest.raises(InvalidBlock) as refusal:
        executor.run_block(ENVIRONMENT, batch, system_calls=False)
    assert refusal.value.transaction.reason is TransactionReason.NONCE_TOO_LOW
    third = executor.run_block(
        ENVIRONMENT, batch_of((0, unsigned(to=COUNTER, nonce=1))), system_calls=False
    )
    view.apply(third)
    assert view.storage[COUNTER][(1).to_bytes(32, "big")] == (2).to_bytes(32, "big")


def test_result_says_when_it_is_gone() -> None:
    """A lazy read after discard is an error, not somebody else's memory."""
    executor, result = run(state(), batch_of((0, unsigned())))
    executor.discard()
    with pytest.raises(RuntimeError, match="moved on"):
        _ = result.receipts


STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=12)


@given(STEPS, st.integers(0, 40))
def test_a_bounded_cache_changes_nothing(
    steps: list[tuple[int, int, bool]], kilobytes: int
) -> None:
    """Whatever is evicted between blocks, and whatever was run and discarded before, results are
    those of a fresh executor."""
    small_view, fresh_view = state(), state()
    small = Executor(small_view, cache_bytes_max=kilobytes << 10)
    nonces = [0] * 5
    targets = (COUNTER, REVERTER, Address(b"\x99" * 20))
    for index, target, discards in steps:
        if discards:
            other_word = unsigned(nonce=nonces[index], to=COUNTER, data=b"\4" * 32, value=0)
            small.run_block(ENVIRONMENT, batch_of((index, other_word)), system_calls=False)
            small.discard()
        tx = unsigned(nonce=nonces[index], to=targets[target], data=b"\3" * 32, value=0)
        nonces[index] += 1
        batch = batch_of((index, tx))
        one = small.run_block(ENVIRONMENT, batch, system_calls=False)
        other = Executor(fresh_view).run_block(ENVIRONMENT, batch, system_calls=False)
        assert one.receipts == other.receipts
        small_view.apply(one)
        fresh_view.apply(other)
        small.commit()
        assert small_view.state_root() == fresh_view.state_root()


def test_skip_invalid_leaves_out_and_tells_why() -> None:
    """Building: each candidate gets its reason, the rest form the block."""
    batch = batch_of(
        (0, unsigned(nonce=1)),
        (0, unsigned()),
        (1, unsigned(max_fee_per_gas=6, max_priority_fee_per_gas=0)),
        (2, unsigned(value=2 * ETHER)),
        (3, unsigned(gas_limit=20_000)),
    )
    _, result = run(state(), batch, skip_invalid=True)
    assert [outcome.reason.name for outcome in result.outcomes] == [
        "NONCE_TOO_HIGH",
        "OK",
        "INSUFFICIENT_MAX_FEE_PER_GAS",
        "INSUFFICIENT_ACCOUNT_FUNDS",
        "INTRINSIC_GAS_TOO_LOW",
    ]
    assert len(result.receipts) == 1
    assert result.transactions_root == ordered_root([batch.raw(1)])


def test_block_without_system_contracts() -> None:
    """Prague demands the request contracts; without their code the block is invalid."""
    executor = Executor(state())
    with pytest.raises(InvalidBlock) as refusal:
        executor.run_block(ENVIRONMENT, TransactionBatch())
    assert refusal.value.reason is BlockReason.SYSTEM_CONTRACT_EMPTY


def test_withdrawals_pay() -> None:
    """EIP-4895: gwei become wei; the root is over their encodings."""
    view = state()
    executor = Executor(view)
    withdrawals = [Withdrawal(1, 2, Address(b"\x05" * 20), 3), Withdrawal(4, 5, SENDERS[0], 6)]
    environment = replace(ENVIRONMENT, fork=Fork.CANCUN)
    result = executor.run_block(environment, TransactionBatch(), withdrawals)
    view.apply(result)
    assert balance(view, b"\x05" * 20) == 3 * 10**9
    assert result.withdrawals_root == ordered_root([encode_withdrawal(w) for w in withdrawals])


def test_what_a_view_raises_comes_through() -> None:
    """A failing disk is the caller's to see, and the executor works again afterwards."""

    class Failing(MemoryView):
        fails = True

        def account(self, address: bytes, hashed: bytes) -> bytes | None:
            if self.fails:
                raise OSError("the disk is gone")
            return super().account(address, hashed)

    view = Failing({sender: Allocation(balance=ETHER) for sender in SENDERS})
    executor = Executor(view)
    batch = batch_of((0, unsigned(value=1)))
    with pytest.raises(OSError, match="the disk is gone"):
        executor.run_block(ENVIRONMENT, batch, system_calls=False)
    view.fails = False
    assert executor.run_block(ENVIRONMENT, batch, system_calls=False).gas_used == 21_000


def test_call_leaves_nothing_behind() -> None:
    """eth_call: output and logs, no change; KEEP carries changes to the next call only."""
    executor = Executor(state())
    message = Message(sender=SENDERS[0], to=COUNTER, gas_limit=100_000)
    flags = CallFlag.NO_BASE_FEE | CallFlag.NO_NONCE_CHECK
    one = (1).to_bytes(32, "big")
    assert executor.call(ENVIRONMENT, message, flags=flags).output == one
    assert executor.call(ENVIRONMENT, message, flags=flags).output == one
    kept = executor.call(ENVIRONMENT, message, flags=flags | CallFlag.KEEP)
    assert kept.output == one
    assert len(kept.logs) == 1
    two = executor.call(ENVIRONMENT, message, flags=flags)
    assert two.output == (2).to_bytes(32, "big")
    executor.discard()
    assert executor.call(ENVIRONMENT, message, flags=flags).output == one


def test_call_reports_reverts_and_refusals() -> None:
    """A revert carries its data; a message that cannot begin carries its reason and need."""
    executor = Executor(state())
    flags = CallFlag.NO_BASE_FEE | CallFlag.NO_NONCE_CHECK
    reverted = executor.call(
        ENVIRONMENT, Message(sender=SENDERS[0], to=REVERTER, gas_limit=100_000), flags=flags
    )
    assert (reverted.exit, reverted.success) == (Exit.REVERT, False)
    assert reverted.output == (1).to_bytes(32, "big")
    refused = executor.call(
        ENVIRONMENT, Message(sender=SENDERS[0], to=REVERTER, gas_limit=20_000), flags=flags
    )
    assert refused.reason is TransactionReason.INTRINSIC_GAS_TOO_LOW
    assert refused.gas_intrinsic == 21_000


def test_a_large_output_is_kept_for_its_reader_only() -> None:
    """What a precompile returned is there until the next call, and then no more."""
    executor = Executor(state())
    data = bytes(range(256)) * 8_192
    identity = Message(
        sender=SENDERS[0], to=Address(bytes(19) + b"\4"), gas_limit=90_000_000, data=data
    )
    flags = CallFlag.NO_BASE_FEE | CallFlag.NO_GAS_CAP
    before = executor.memory
    assert executor.call(ENVIRONMENT, identity, flags=flags).output == data
    assert executor.memory >= before + len(data)
    executor.call(ENVIRONMENT, replace(identity, data=b""), flags=flags)
    assert executor.memory < before + len(data)


def test_call_records_what_it_touches() -> None:
    """The access list of a call, first use first."""
    executor = Executor(state())
    message = Message(sender=SENDERS[0], to=COUNTER, gas_limit=100_000)
    flags = CallFlag.NO_BASE_FEE | CallFlag.RECORD_ACCESS
    result = executor.call(ENVIRONMENT, message, flags=flags)
    assert set(result.accessed_accounts) == {SENDERS[0], COUNTER, COINBASE}
    words = [Hash32(number.to_bytes(32, "big")) for number in (0, 1)]
    assert result.accessed_slots == ((COUNTER, words[0]), (COUNTER, words[1]))
    listed = replace(message, access_list=(AccessEntry(COUNTER, tuple(words)),))
    assert executor.call(ENVIRONMENT, listed, flags=flags).accessed_slots == result.accessed_slots


def test_delegation_runs_the_code_of_another() -> None:
    """EIP-7702: after an authorization the sender's own storage is the counter's."""
    view = state()
    authorization = sign_authorization(KEYS[1], chain_id=1, address=COUNTER, nonce=0)
    tx = unsigned(type=4, to=SENDERS[1], authorizations=(authorization,), gas_limit=200_000)
    _, result = run(view, batch_of((0, tx)))
    view.apply(result)
    assert result.outcomes[0].success
    assert view.codes[view.accounts[SENDERS[1]][72:]] == b"\xef\x01\x00" + COUNTER
    assert view.storage[SENDERS[1]][(1).to_bytes(32, "big")] == (1).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("fork", "fields", "reason"),
    [
        (Fork.OSAKA, {"gas_limit": (1 << 24) + 1}, TransactionReason.GAS_LIMIT_ABOVE_CAP),
        (Fork.PRAGUE, {"gas_limit": 30_000_001}, TransactionReason.GAS_ALLOWANCE_EXCEEDED),
        (
            Fork.PRAGUE,
            {"data": b"\1" * 1_000, "gas_limit": 40_000},
            TransactionReason.INTRINSIC_GAS_BELOW_FLOOR,
        ),
        (
            Fork.CANCUN,
            {"to": None, "data": bytes(49_153), "gas_limit": 1_000_000},
            TransactionReason.INITCODE_SIZE_EXCEEDED,
        ),
        (
            Fork.CANCUN,
            {"max_fee_per_gas": 2**256 - 1},
            TransactionReason.GASLIMIT_PRICE_PRODUCT_OVERFLOW,
        ),
        (Fork.CANCUN, {"chain_id": 2}, TransactionReason.CHAIN_ID),
    ],
)
def test_refusals(fork: Fork, fields: dict[str, object], reason: TransactionReason) -> None:
    """One fault each, refused for that fault."""
    executor = Executor(state())
    with pytest.raises(InvalidBlock) as refusal:
        executor.run_block(
            replace(ENVIRONMENT, fork=fork),
            batch_of((0, unsigned(**fields))),
            system_calls=False,
        )
    assert refusal.value.transaction.reason is reason
    assert refusal.value.transaction_index == 0
