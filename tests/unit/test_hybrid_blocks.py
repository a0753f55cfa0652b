"""What a hybrid block does at its end: the coin's supply and the call to staking. The contracts
are played by EVM code here, since the executor asks only whether there is code."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.contracts.addresses import GCC, SLASHING, STAKING, code_of
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.contracts import ContractHost
from ghostchain.execution.executor import BlockEnvironment, Executor, Exit, Message
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address, Hash32

KEYS = [bytes([0] * 31 + [number]) for number in range(1, 5)]
SENDERS = [address_of(key) for key in KEYS]
ETHER = 10**18
SUPPLY_SLOT = (2).to_bytes(32, "big")
SUPPLY = 10**27

ENVIRONMENT = BlockEnvironment(
    fork=Fork.CANCUN,
    hybrid=True,
    chain_id=1,
    number=10,
    timestamp=1_000,
    gas_limit=30_000_000,
    base_fee=7,
    coinbase=Address(b"\xc0" * 20),
    excess_blob_gas=40_000_000,
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Cancun"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Cancun"].max,
)

# Init code that destroys the new account, its endowment going to itself: burnt (EIP-6780).
BURN = bytes.fromhex("30ff")
# The same, and then it reverts: the frame that burns is one below, by a creation of BURN.
BURN_AND_REVERT = bytes.fromhex("6130ff5f526002601e34f0505f5ffd")
# Keeps caller and the first word of its call data, and counts at slot 2.
WITNESS = bytes.fromhex("335f555f3560015560025460010160025500")


def world(*, supply: int = SUPPLY, staking: bytes = b"") -> MemoryView:
    view = MemoryView({sender: Allocation(balance=100 * ETHER) for sender in SENDERS})
    view.put(
        GCC, Allocation(nonce=1, code=b"\0", storage={SUPPLY_SLOT: supply.to_bytes(32, "big")})
    )
    if staking:
        view.put(STAKING, Allocation(nonce=1, code=staking))
    return view


def total(view: MemoryView) -> int:
    return sum(int.from_bytes(record[8:40], "big") for record in view.accounts.values())


def supply_of(view: MemoryView) -> int:
    return int.from_bytes(view.storage[GCC].get(SUPPLY_SLOT, b""), "big")


def signed(index: int, nonce: int, **fields: object) -> bytes:
    base = Transaction(
        type=2,
        chain_id=1,
        nonce=nonce,
        max_fee_per_gas=100,
        max_priority_fee_per_gas=3,
        gas_limit=200_000,
        to=Address(b"\x77" * 20),
    )
    return encode_transaction(sign_transaction(replace(base, **fields), KEYS[index]))


def batch(*raws: bytes) -> TransactionBatch:
    decoded = TransactionBatch.decode(list(raws))
    decoded.recover(threads=1)
    return decoded


KINDS = {
    "transfer": {"value": 5},
    "burn": {"to": None, "value": 1_000, "data": BURN},
    "burn undone": {"to": None, "value": 1_000, "data": BURN_AND_REVERT},
    "blob": {
        "type": 3,
        "blob_versioned_hashes": (Hash32(b"\1" + bytes(31)),),
        "max_fee_per_blob_gas": 10**12,
    },
}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(sorted(KINDS))), max_size=6),
    st.lists(st.integers(0, 5), max_size=3),
)
def test_supply_follows_every_coin(steps: list[tuple[int, str]], gwei: list[int]) -> None:
    """After any block totalSupply has moved by as much as the sum of all balances."""
    view = world()
    before = total(view)
    nonces = [0] * len(KEYS)
    raws = []
    for index, kind in steps:
        raws.append(signed(index, nonces[index], **KINDS[kind]))
        nonces[index] += 1
    withdrawals = [
        Withdrawal(number, 0, Address(b"\x05" * 20), amount) for number, amount in enumerate(gwei)
    ]
    result = Executor(view).run_block(ENVIRONMENT, batch(*raws), withdrawals)
    view.apply(result)
    assert supply_of(view) - SUPPLY == total(view) - before


def test_burning_and_its_undoing() -> None:
    """The test above sees coins go, and coins stay."""
    view = world()
    raws = [
        signed(0, 0, to=None, value=1_000, data=BURN),
        signed(1, 0, to=None, value=500, data=BURN_AND_REVERT),
    ]
    result = Executor(view).run_block(ENVIRONMENT, batch(*raws))
    assert [outcome.success for outcome in result.outcomes] == [True, False]
    fees = sum(outcome.gas_used for outcome in result.outcomes) * ENVIRONMENT.base_fee
    view.apply(result)
    assert SUPPLY - supply_of(view) == 1_000 + fees


def test_a_block_that_moves_no_supply_writes_none() -> None:
    """No minting and no burning: the coin's account is untouched."""
    result = Executor(world()).run_block(ENVIRONMENT, TransactionBatch())
    assert result.changes.account_count == 0


def test_ethereum_blocks_know_no_supply() -> None:
    """Without the flag the coin's account is an account like any other, and staking not called."""
    view = world(staking=WITNESS)
    env = replace(ENVIRONMENT, hybrid=False)
    view.apply(Executor(view).run_block(env, batch(signed(0, 0, value=5))))
    assert supply_of(view) == SUPPLY
    assert not view.storage.get(STAKING)


def test_a_supply_that_is_too_small_stops_at_zero() -> None:
    """A genesis that promised less than it gave out cannot wrap the counter."""
    view = world(supply=10)
    view.apply(Executor(view).run_block(ENVIRONMENT, batch(signed(0, 0, value=5))))
    assert supply_of(view) == 0


def test_staking_hears_of_every_block() -> None:
    """onBlock(0) from the system address, after the transactions."""
    view = world(staking=WITNESS)
    executor = Executor(view)
    for number in range(2):
        env = replace(ENVIRONMENT, number=10 + number)
        view.apply(executor.run_block(env, TransactionBatch()))
        executor.commit()
    words = {int.from_bytes(key, "big"): value for key, value in view.storage[STAKING].items()}
    assert words[0][12:] == b"\xff" * 19 + b"\xfe"
    assert words[1] == keccak256(b"onBlock(uint256)")[:4] + bytes(28)
    assert words[2] == (2).to_bytes(32, "big")


# Keeps its call data, whole, from slot 0x1000 times the number of its calls on.
RECORDER = bytes.fromhex(
    "5f54600101"
    "805f55"
    "61100002"
    "368155"  # calls += 1; base = 0x1000 * calls; keep the size
    "5f5b36811015602a57"  # for place = 0; place < size
    "8035"
    "8160051c830160010155"  # keep the word
    "602001601056"
    "5b00"  # place += 32
)


def calls_of(view: MemoryView, address: Address) -> list[bytes]:
    """The call data of each call that a RECORDER has had."""
    words = {int.from_bytes(key, "big"): value for key, value in view.storage[address].items()}
    calls = []
    for number in range(1, int.from_bytes(words.get(0, b""), "big") + 1):
        base = 0x1000 * number
        size = int.from_bytes(words.get(base, b""), "big")
        data = b"".join(words.get(base + 1 + i, bytes(32)) for i in range((size + 31) // 32))
        calls.append(data[:size])
    return calls


STRANGERS = [Address(bytes([number]) * 20) for number in range(1, 4)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([STAKING, *STRANGERS]),
            st.sampled_from([0, 0, 1, 2**64 - 1]),
            st.sampled_from([0, 0, 5, 2**64 - 1]),
        ),
        max_size=8,
    )
)
def test_withdrawals_are_orders(orders: list[tuple[Address, int, int]]) -> None:
    """Staking hears what it was paid, slashing who was missing and who signed twice."""
    view = world(staking=RECORDER)
    view.put(SLASHING, Allocation(nonce=1, code=RECORDER))
    withdrawals = [
        Withdrawal(index, validator, address, gwei)
        for index, (address, validator, gwei) in enumerate(orders)
    ]
    view.apply(Executor(view).run_block(ENVIRONMENT, TransactionBatch(), withdrawals))
    reward = sum(gwei for address, _, gwei in orders if address == STAKING) * 10**9
    (told,) = calls_of(view, STAKING)
    assert told == keccak256(b"onBlock(uint256)")[:4] + reward.to_bytes(32, "big")
    missed = [address for address, validator, gwei in orders if not gwei and not validator]
    signed_twice = [one[:2] for one in orders if not one[2] and one[1]]
    expected = []
    if missed:
        words = [(32).to_bytes(32, "big"), len(missed).to_bytes(32, "big")]
        words += [address.rjust(32, b"\0") for address in missed]
        expected.append(keccak256(b"onMissed(address[])")[:4] + b"".join(words))
    for address, height in signed_twice:
        data = address.rjust(32, b"\0") + height.to_bytes(32, "big")
        expected.append(keccak256(b"onDoubleSign(address,uint64)")[:4] + data)
    assert (calls_of(view, SLASHING) if expected else []) == expected


def test_ethereum_withdrawals_order_nothing() -> None:
    view = world(staking=RECORDER)
    view.put(SLASHING, Allocation(nonce=1, code=RECORDER))
    withdrawals = [Withdrawal(0, 0, STRANGERS[0], 0), Withdrawal(1, 9, STRANGERS[1], 0)]
    env = replace(ENVIRONMENT, hybrid=False)
    view.apply(Executor(view).run_block(env, TransactionBatch(), withdrawals))
    assert not view.storage.get(SLASHING)
    assert not view.storage.get(STAKING)


@pytest.mark.parametrize("ending", ["5f5ffd", "fe", "5b600456"], ids=["revert", "halt", "loop"])
def test_a_failing_slashing_contract_stops_nothing(ending: str) -> None:
    view = world(staking=RECORDER)
    code = bytes.fromhex("60015f55") + bytes.fromhex(ending)
    view.put(SLASHING, Allocation(nonce=1, code=code))
    orders = [Withdrawal(0, 0, STRANGERS[0], 0), Withdrawal(1, 9, STRANGERS[1], 0)]
    view.apply(Executor(view).run_block(ENVIRONMENT, batch(signed(0, 0, value=5)), orders))
    assert not view.storage.get(SLASHING)
    assert len(calls_of(view, STAKING)) == 1
    assert int.from_bytes(view.accounts[b"\x77" * 20][8:40], "big") == 5


@pytest.mark.parametrize("ending", ["5f5ffd", "fe", "5b600456"], ids=["revert", "halt", "loop"])
def test_a_failing_staking_contract_stops_nothing(ending: str) -> None:
    """What it did is undone, the transactions of the block stay."""
    view = world(staking=bytes.fromhex("60015f55") + bytes.fromhex(ending))
    view.apply(Executor(view).run_block(ENVIRONMENT, batch(signed(0, 0, value=5))))
    assert not view.storage.get(STAKING)
    assert int.from_bytes(view.accounts[b"\x77" * 20][8:40], "big") == 5


@pytest.mark.parametrize("code", [b"\0asm\1\0\0\0", b"\xef\x47\x01"])
def test_ethereum_blocks_know_one_engine(code: bytes) -> None:
    """Without the flag the EVM takes any code, whatever it begins with."""
    target = Address(b"\x0e" * 20)
    view = world()
    view.put(target, Allocation(nonce=1, code=code))
    message = Message(sender=SENDERS[0], to=target, gas_limit=100_000, max_fee_per_gas=7)
    result = Executor(view).call(replace(ENVIRONMENT, hybrid=False), message)
    assert result.exit is (Exit.SUCCESS if code[0] == 0 else Exit.UNDEFINED_OPCODE)


# ---- the thread with the large stack ----

VISIT = Message(sender=SENDERS[0], to=SLASHING, gas_limit=100_000, max_fee_per_gas=7)


class Watched(MemoryView):
    """A contract in Python stands here. Notes on which thread its slots are asked for, and may
    refuse to answer."""

    def __init__(self) -> None:
        super().__init__({sender: Allocation(balance=ETHER) for sender in SENDERS})
        self.put(SLASHING, Allocation(nonce=1, code=code_of(SLASHING[-1])))
        self.fails = False
        self.thread = 0

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        self.thread = threading.get_ident()
        if self.fails:
            raise OSError("the disk is gone")
        return super().slot(address, hashed_address, key, hashed_key)


def visited(view: MemoryView) -> Executor:
    """Whose contract in Python reads a slot."""

    def answer(contract_id: int, host: ContractHost) -> tuple[int, bytes]:
        return int(Exit.SUCCESS), host.load(0).to_bytes(32, "big")

    return Executor(view, contracts=answer)


def test_what_a_view_raises_crosses_threads() -> None:
    """Contracts in Python run on a thread of their own; an exception still reaches the caller."""
    view = Watched()
    executor = visited(view)
    visit = batch(signed(0, 0, to=SLASHING, gas_limit=100_000))
    view.fails = True
    with pytest.raises(OSError, match="the disk is gone"):
        executor.run_block(ENVIRONMENT, visit)
    assert view.thread not in (0, threading.get_ident())
    with pytest.raises(OSError, match="the disk is gone"):
        executor.call(ENVIRONMENT, VISIT)
    view.fails = False
    assert executor.call(ENVIRONMENT, VISIT).success
    assert executor.run_block(ENVIRONMENT, visit).outcomes[0].success


def test_a_block_goes_to_the_thread_with_the_first_that_needs_it() -> None:
    """What comes before runs on the caller's, what comes after follows."""
    view = Watched()
    reader = Address(b"\x78" * 20)
    view.put(reader, Allocation(nonce=1, code=bytes.fromhex("5f5400")))  # reads a slot
    threads = []
    for order in ([reader], [SLASHING], [SLASHING, reader]):
        raws = [signed(0, nonce, to=to, gas_limit=100_000) for nonce, to in enumerate(order)]
        executor = visited(view)
        assert all(one.success for one in executor.run_block(ENVIRONMENT, batch(*raws)).outcomes)
        threads.append(view.thread == threading.get_ident())
    assert threads == [True, False, False]


def test_a_fork_leaves_the_thread_behind() -> None:
    """A child that inherits an executor gets a thread of its own, and can free what it has."""
    executor = visited(Watched())
    assert executor.call(ENVIRONMENT, VISIT).success
    child = os.fork()
    if child == 0:
        succeeded = executor.call(ENVIRONMENT, VISIT).success
        del executor
        os._exit(0 if succeeded else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert executor.call(ENVIRONMENT, VISIT).success


def test_executors_run_side_by_side() -> None:
    """A thread with a stack for each that runs: more executors than are kept waiting."""

    def work(_: int) -> int:
        executor = visited(Watched())
        return sum(executor.call(ENVIRONMENT, VISIT).gas_used for _ in range(20))

    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(work, range(60))) == {20 * (21_000 + 2_100)}
