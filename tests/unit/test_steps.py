"""Blocks in steps: what run_block does, one transaction after another, and several blocks on top of
each other; messages that log transfers, moved precompiles, fees of blobs."""

from __future__ import annotations

from dataclasses import replace

from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import CallFlag, Executor, Message
from ghostchain.execution.steps import Steps, move_precompiles
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import EMPTY_ROOT, Address, Hash32
from ghostchain.trie.merkle import ChangeSet, Forest
from tests.unit.test_executor import (
    BASE_FEE,
    COUNTER,
    ENVIRONMENT,
    ETHER,
    REVERTER,
    SENDERS,
    batch_of,
    state,
    unsigned,
)

IDENTITY = Address(bytes(19) + b"\x04")
ELSEWHERE = Address(b"\xab" * 20)
HEIR = Address(b"\x88" * 20)
# System contracts that do nothing, so that a block of Prague can end.
QUEUES = tuple(
    Address(bytes.fromhex(text))
    for text in (
        "00000961ef480eb55e80d19ad83579a64c007002",
        "0000bbddc7ce488642fb579f8b00f3a590007251",
    )
)
FREE = CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK | CallFlag.NO_GAS_CAP | CallFlag.NO_BASE_FEE


def world() -> MemoryView:
    view = state()
    for queue in QUEUES:
        view.put(queue, Allocation(nonce=1, code=b"\x00"))
    return view


def root_after(changes: ChangeSet) -> Hash32:
    """Of a trie that holds nothing but what changed, which tells change sets apart."""
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, 1 << 20)
    return forest.apply(changes)


def message(**fields: object) -> Message:
    base = Message(sender=SENDERS[0], to=HEIR, gas_limit=200_000)
    return replace(base, **fields)  # type: ignore[arg-type]


def balance(steps: Steps, who: Address) -> int:
    found = steps.account(who)
    return 0 if found is None else found.balance


def test_a_block_in_steps_is_the_block() -> None:
    batch = batch_of(
        (0, unsigned(to=COUNTER, data=(5).to_bytes(32, "big"))),
        (1, unsigned(to=REVERTER)),
        (2, unsigned(value=9)),
    )
    withdrawals = (Withdrawal(1, 2, HEIR, 3),)
    whole = Executor(world()).run_block(ENVIRONMENT, batch, withdrawals)
    steps = Steps(Executor(world()))
    steps.begin(ENVIRONMENT)
    results = [steps.transaction(batch, index) for index in range(len(batch))]
    end = steps.end(withdrawals)
    assert [item.gas_used for item in results] == [item.gas_used for item in whole.outcomes]
    assert [item.success for item in results] == [True, False, True]
    assert tuple(log for item in results for log in item.logs) == whole.logs
    assert (end.requests, end.requests_hash) == (whole.requests, whole.requests_hash)
    assert root_after(steps.changes()) == root_after(whole.changes)


def test_discard_leaves_the_state_as_it_was() -> None:
    steps = Steps(executor := Executor(world()))
    for _ in range(2):
        steps.begin(ENVIRONMENT, amendments={HEIR: AccountAmendment(balance=7, nonce=3)})
        steps.call(ENVIRONMENT, message(value=5), flags=FREE)
        assert balance(steps, HEIR) == 12
        steps.discard()
        assert steps.account(HEIR) is None
        assert balance(steps, SENDERS[0]) == ETHER
    assert executor.call(ENVIRONMENT, message(value=1), flags=FREE).success


def test_blocks_stand_on_each_other() -> None:
    """Nonce, balance and storage go on; what an amendment says holds from its block on."""
    steps = Steps(Executor(world()))
    steps.begin(ENVIRONMENT)
    call = message(to=COUNTER, data=bytes(32))
    assert int.from_bytes(steps.call(ENVIRONMENT, call, flags=FREE).output, "big") == 1
    steps.end()
    later = replace(ENVIRONMENT, number=11, timestamp=1_012)
    slots = {Hash32((1).to_bytes(32, "big")): Hash32((41).to_bytes(32, "big"))}
    steps.begin(later, amendments={COUNTER: AccountAmendment(slots=slots)})
    assert int.from_bytes(steps.call(later, call, flags=FREE).output, "big") == 42
    found = steps.account(SENDERS[0])
    assert found is not None
    assert found.nonce == 2
    steps.end((Withdrawal(0, 0, HEIR, 1),))
    assert balance(steps, HEIR) == 10**9
    cleared = {COUNTER: AccountAmendment(clear_storage=True)}
    steps.begin(later, amendments=cleared)
    assert int.from_bytes(steps.call(later, call, flags=FREE).output, "big") == 1


def test_transfers_are_logged_beside_the_logs_of_code() -> None:
    """One for each coin that moves: the transaction's, a call's, a self-destruction's; none of what
    is undone, and none without the flag."""
    # Calls HEIR with 3 wei, then destroys itself in favour of the sender.
    code = bytes.fromhex("5f5f5f5f6003") + b"\x73" + HEIR + bytes.fromhex("5af1") + b"\x33\xff"
    view = world()
    view.put(ELSEWHERE, Allocation(nonce=1, balance=10, code=code))
    executor = Executor(view)
    call = message(to=ELSEWHERE, value=4)
    flags = FREE | CallFlag.LOG_TRANSFERS
    result = executor.call(ENVIRONMENT, call, flags=flags)
    coin = Address(b"\xee" * 20)
    assert {log.address for log in result.logs} == {coin}
    assert result.transfers == {0, 1, 2}
    assert [int.from_bytes(log.data, "big") for log in result.logs] == [4, 3, 11]
    assert result.logs[0].topics == (
        keccak256(b"Transfer(address,address,uint256)"),
        Hash32(SENDERS[0].rjust(32, b"\0")),
        Hash32(ELSEWHERE.rjust(32, b"\0")),
    )
    assert result.logs[2].topics[2][12:] == SENDERS[0]
    reverting = executor.call(ENVIRONMENT, message(to=REVERTER, value=1), flags=flags)
    assert (reverting.success, reverting.logs) == (False, ())
    assert executor.call(ENVIRONMENT, call, flags=FREE).logs == ()
    created = executor.call(ENVIRONMENT, message(to=None, value=2), flags=flags)
    assert [int.from_bytes(log.data, "big") for log in created.logs] == [2]


def test_precompiles_move() -> None:
    executor = Executor(world())
    moved = {ELSEWHERE: IDENTITY, IDENTITY: None}
    move_precompiles(executor, moved)
    for to, output in ((ELSEWHERE, b"\x07"), (IDENTITY, b"")):
        result = executor.call(ENVIRONMENT, message(to=to, data=b"\x07"), flags=FREE)
        assert result.output == output
    move_precompiles(executor, {})
    result = executor.call(ENVIRONMENT, message(to=IDENTITY, data=b"\x07"), flags=FREE)
    assert result.output == b"\x07"


def test_gas_before_refunds_and_fees_as_told() -> None:
    """A cleared slot refunds; BLOBBASEFEE and BASEFEE read what the environment was told."""
    executor = Executor(world())
    clearing = bytes.fromhex("60015f555f5f5500")
    amended = Steps(executor)
    amended.begin(ENVIRONMENT, amendments={ELSEWHERE: AccountAmendment(code=clearing)})
    result = amended.call(ENVIRONMENT, message(to=ELSEWHERE), flags=FREE)
    assert result.gas_refunded > 0
    assert result.gas_peak == result.gas_used + result.gas_refunded
    fees = bytes.fromhex("4a5f5248602052") + bytes.fromhex("60405ff3")
    env = replace(ENVIRONMENT, blob_base_fee=77)
    amended.begin(env, amendments={ELSEWHERE: AccountAmendment(code=fees)})
    for flags, base_fee in ((FREE, 0), (FREE | CallFlag.SHOW_BASE_FEE, BASE_FEE)):
        output = amended.call(env, message(to=ELSEWHERE), flags=flags).output
        assert int.from_bytes(output[:32], "big") == 77
        assert int.from_bytes(output[32:], "big") == base_fee


def test_what_cannot_begin_is_no_transaction() -> None:
    steps = Steps(Executor(world()))
    steps.begin(ENVIRONMENT)
    refused = steps.call(ENVIRONMENT, message(value=2 * ETHER), flags=FREE)
    assert refused.reason is TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS
    assert balance(steps, SENDERS[0]) == ETHER
    found = steps.account(SENDERS[0])
    assert found is not None
    assert found.nonce == 0
