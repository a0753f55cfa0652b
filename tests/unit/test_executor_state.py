"""The corners of the state: storage without an account, destroyed contracts, bounded forks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.executor import BlockEnvironment, CallFlag, Executor, Exit, Message
from ghostchain.execution.forks import BLOB_SCHEDULES, BlobSchedule, Fork, parse_network
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address

KEY = bytes([0] * 31 + [9])
SENDER = address_of(KEY)
ONE = (1).to_bytes(32, "big")
ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    chain_id=1,
    number=3,
    timestamp=1_000,
    gas_limit=30_000_000,
    base_fee=7,
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
)


def run(executor: Executor, *transactions: Transaction):
    batch = TransactionBatch.decode(
        [encode_transaction(sign_transaction(tx, KEY)) for tx in transactions]
    )
    batch.recover(threads=1)
    return executor.run_block(ENVIRONMENT, batch, system_calls=False)


def unsigned(**fields: object) -> Transaction:
    base = Transaction(
        type=2,
        chain_id=1,
        nonce=0,
        max_fee_per_gas=100,
        max_priority_fee_per_gas=0,
        gas_limit=500_000,
        to=None,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def changes(result) -> dict[bytes, object]:
    native = result.native
    return {
        bytes(native.accounts[i].address): native.accounts[i] for i in range(native.account_count)
    }


def test_creation_refuses_an_address_with_storage() -> None:
    """EIP-7610: storage alone makes a collision, which takes all gas."""
    place = contract_address(SENDER, 0)
    view = MemoryView(
        {SENDER: Allocation(balance=10**18), place: Allocation(balance=1, storage={ONE: ONE})}
    )
    executor = Executor(view)
    result = run(executor, unsigned())
    (outcome,) = result.outcomes
    assert (outcome.exit, outcome.success) == (Exit.ADDRESS_COLLISION, False)
    assert outcome.gas_used == 500_000
    assert place not in changes(result)


def test_an_empty_account_loses_its_storage_when_touched() -> None:
    """EIP-161: a touched empty account goes, and all its storage with it; a later creation at the
    same address in the same block finds none, and discard brings everything back."""
    place = contract_address(SENDER, 1)
    view = MemoryView({SENDER: Allocation(balance=10**18), place: Allocation(storage={ONE: ONE})})
    executor = Executor(view)
    touch = unsigned(to=place)
    change = changes(run(executor, touch))[place]
    assert (change.existed, change.exists, change.storage_wiped) == (1, 0, 1)
    executor.discard()
    # init code: SSTORE(2, SLOAD(1) + 5), return nothing
    init = bytes.fromhex("6001546005016002550000")
    result = run(executor, touch, unsigned(nonce=1, data=init))
    assert [outcome.success for outcome in result.outcomes] == [True, True]
    change = changes(result)[place]
    assert (change.existed, change.exists, change.storage_wiped) == (1, 1, 1)
    native = result.native
    slots = {
        bytes(slot.key): bytes(slot.after)
        for slot in (native.slots[i] for i in range(native.slot_count))
    }
    assert slots == {(2).to_bytes(32, "big"): (5).to_bytes(32, "big")}
    executor.discard()
    change = changes(run(executor, touch))[place]
    assert (change.existed, change.exists, change.storage_wiped) == (1, 0, 1)


def test_a_contract_destroyed_in_its_own_creation_leaves_nothing() -> None:
    """EIP-6780: created and destroyed in one transaction; its balance reaches the heir."""
    heir = Address(b"\x0e" * 20)
    view = MemoryView({SENDER: Allocation(balance=10**18)})
    init = bytes.fromhex("600160015573") + heir + b"\xff"
    result = run(Executor(view), unsigned(data=init, value=7))
    found = changes(result)
    assert contract_address(SENDER, 0) not in found
    assert int.from_bytes(bytes(found[heir].after.balance), "big") == 7
    assert result.native.slot_count == 0


def test_a_destroyed_older_contract_only_loses_its_balance() -> None:
    """EIP-6780: code and storage of a contract from before stay."""
    contract, heir = Address(b"\x0c" * 20), Address(b"\x0e" * 20)
    code = b"\x73" + heir + b"\xff"
    view = MemoryView(
        {
            SENDER: Allocation(balance=10**18),
            contract: Allocation(nonce=1, balance=5, code=code, storage={ONE: ONE}),
        }
    )
    result = run(Executor(view), unsigned(to=contract))
    change = changes(result)[contract]
    assert (change.exists, change.code_changed, change.storage_wiped) == (1, 0, 0)
    assert not any(bytes(change.after.balance))


def test_block_hashes_are_asked_once_and_bounded() -> None:
    """BLOCKHASH reads the parent from the environment, ancestors from the view, zero beyond."""
    asked = []

    class Hashes(MemoryView):
        def block_hash(self, number: int) -> bytes | None:
            asked.append(number)
            return number.to_bytes(32, "big")

    # MSTORE(0, BLOCKHASH(calldata)), twice, return 32 bytes
    code = bytes.fromhex("5f35405f525f35405f5260205ff3")
    contract = Address(b"\x0c" * 20)
    view = Hashes({contract: Allocation(nonce=1, code=code)})
    executor = Executor(view)
    environment = replace(ENVIRONMENT, number=1_000, parent_hash=b"\xaa" * 32)

    def hash_of(number: int) -> bytes:
        message = Message(
            sender=SENDER, to=contract, gas_limit=100_000, data=number.to_bytes(32, "big")
        )
        return executor.call(environment, message, flags=CallFlag.NO_BASE_FEE).output

    assert hash_of(999) == b"\xaa" * 32
    assert hash_of(998) == (998).to_bytes(32, "big")
    assert hash_of(744) == (744).to_bytes(32, "big")
    assert hash_of(743) == hash_of(1_000) == bytes(32)
    assert asked == [998, 744]


def test_deep_calls_end_at_the_limit() -> None:
    """1,024 frames below the transaction's, then calls fail and give their gas back."""
    # CALL(gas, self); return what the callee returned, plus the call's success, plus one
    code = bytes.fromhex("60205f5f5f5f305af15f51016001015f5260205ff3")
    contract = Address(b"\x0c" * 20)
    executor = Executor(MemoryView({contract: Allocation(nonce=1, code=code)}))
    message = Message(sender=SENDER, to=contract, gas_limit=10**15)
    flags = CallFlag.NO_BASE_FEE | CallFlag.NO_GAS_CAP
    result = executor.call(ENVIRONMENT, message, flags=flags)
    assert result.success
    assert int.from_bytes(result.output, "big") == 2 * 1_024 + 1


class Watched(MemoryView):
    """Says what code it was asked for."""

    def __init__(self, allocation: dict[bytes, Allocation], asked: list[bytes]) -> None:
        super().__init__(allocation)
        self.asked = asked

    def code(self, code_hash: bytes) -> bytes:
        self.asked.append(code_hash)
        return super().code(code_hash)


def test_reset_takes_another_view() -> None:
    """Nothing of the old view is remembered."""
    executor = Executor(MemoryView({SENDER: Allocation(balance=10**18)}))
    assert run(executor, unsigned(to=SENDER)).gas_used == 21_000
    executor.reset(MemoryView({SENDER: Allocation(balance=10**18, nonce=4)}))
    assert run(executor, unsigned(to=SENDER, nonce=4)).gas_used == 21_000


@pytest.mark.parametrize(("padding", "times"), [(0, 1), (9_000, 2)])
def test_reset_keeps_code_but_not_much_of_it(padding: int, times: int) -> None:
    """Code is asked for once, of whatever state; again where it takes more than a quarter of the
    cache. Values are asked for anew either way."""
    contract = Address(b"\x0c" * 20)
    code = bytes.fromhex("5f545f5260205ff3") + bytes(padding)
    asked: list[bytes] = []

    def view_of(value: int) -> MemoryView:
        storage = {bytes(32): value.to_bytes(32, "big")}
        return Watched({contract: Allocation(nonce=1, code=code, storage=storage)}, asked)

    executor = Executor(view_of(1), cache_bytes_max=32_768)
    message = Message(sender=SENDER, to=contract, gas_limit=1_000_000)
    for value in (1, 2):
        if value == 2:
            executor.reset(view_of(2))
        result = executor.call(ENVIRONMENT, message, flags=CallFlag.NO_BASE_FEE)
        assert int.from_bytes(result.output, "big") == value
    assert len(asked) == times


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("Prague", [(0, "Prague", Fork.PRAGUE)]),
        ("BPO1", [(0, "BPO1", Fork.OSAKA)]),
        (
            "CancunToPragueAtTime15k",
            [(0, "Cancun", Fork.CANCUN), (15_000, "Prague", Fork.PRAGUE)],
        ),
        ("OsakaToBPO1AtTime32", [(0, "Osaka", Fork.OSAKA), (32, "BPO1", Fork.OSAKA)]),
        ("Shanghai", None),
        ("ShanghaiToCancunAtTime15k", None),
    ],
)
def test_network_names(name: str, steps: list[tuple[int, str, Fork]] | None) -> None:
    """Test-suite names become steps; what is older than Cancun is not known."""
    parsed = parse_network(name)
    found = None if parsed is None else [(step.time, step.name, step.fork) for step in parsed]
    assert found == steps


def test_given_blob_figures_come_before_the_known() -> None:
    given = BlobSchedule(1, 2, 3)
    steps = parse_network("BPO5", {"BPO5": given})
    assert steps is not None
    assert steps[0].blobs == given


def test_an_extraordinary_block_gives_its_memory_back() -> None:
    """Two megabytes of log data and their receipt are gone after commit."""
    contract = Address(b"\x0c" * 20)
    view = MemoryView(
        {
            SENDER: Allocation(balance=10**18),
            contract: Allocation(nonce=1, code=bytes.fromhex("622000005fa0")),
        }
    )
    executor = Executor(view, cache_bytes_max=1 << 20)
    batch = TransactionBatch.decode(
        [encode_transaction(sign_transaction(unsigned(to=contract, gas_limit=30_000_000), KEY))]
    )
    batch.recover(threads=1)
    environment = replace(ENVIRONMENT, fork=Fork.PRAGUE)
    result = executor.run_block(environment, batch, system_calls=False)
    assert len(result.logs[0].data) == 2 << 20
    pending = executor.memory
    view.apply(result)
    executor.commit()
    assert pending - executor.memory >= 4 << 20
