"""What is recorded besides frames: logs, touches, accesses, hashes and steps."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from ghostchain.crypto.hashes import contract_address
from ghostchain.execution.executor import (
    ExecutionStopped,
    Executor,
    Exit,
    Message,
    TraceTooLarge,
)
from ghostchain.execution.traces import (
    Access,
    FaultKind,
    StepWatch,
    StructLogWatch,
    Trace,
    Watch,
    recording,
)
from ghostchain.execution.views import Allocation
from ghostchain.primitives.types import Address, Hash32
from tests.unit.test_hybrid_blocks import ENVIRONMENT, SENDERS, batch, signed, world

OUTER = Address(b"\x01" + bytes(19))
INNER = Address(b"\x02" + bytes(19))
OTHER = Address(b"\x03" + bytes(19))
CALL_INNER = bytes.fromhex("5f5f5f5f5f73") + INNER + bytes.fromhex("5af150")
MESSAGE = Message(sender=SENDERS[0], to=OUTER, gas_limit=1_000_000, max_fee_per_gas=7)
EVERYTHING = Watch(
    logs=True, touches=True, codes=True, accesses=True, hashes=True, steps=StepWatch()
)
LOOP = bytes.fromhex("5b5f56")


def word(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


def run(outer: bytes, inner: bytes = b"", watch: Watch = EVERYTHING, **fields: object) -> Trace:
    view = world()
    view.put(OUTER, Allocation(nonce=1, balance=100, code=outer, storage={word(1): word(9)}))
    view.put(INNER, Allocation(nonce=1, code=inner))
    executor = Executor(view)
    with recording(executor, watch) as recorder:
        result = executor.call(ENVIRONMENT, replace(MESSAGE, **fields))
        trace = recorder.trace()
    assert not trace.is_cut
    plain = executor.call(ENVIRONMENT, replace(MESSAGE, **fields))
    assert plain == result
    return trace


def test_logs_know_their_place() -> None:
    """LOG1, a call that logs and reverts, LOG0: positions count children, undone ones stay."""
    reverting = bytes.fromhex("5f5fa05f5ffd")
    trace = run(bytes.fromhex("60075f5fa1") + CALL_INNER + bytes.fromhex("60205fa0"), reverting)
    assert [(log.frame, log.position, log.index) for log in trace.logs] == [
        (0, 0, 0),
        (1, 0, 1),
        (0, 1, 1),
    ]
    assert [log.log.address for log in trace.logs] == [OUTER, INNER, OUTER]
    assert trace.logs[0].log.topics == (word(7),)
    assert trace.logs[2].log.data == bytes(32)


def test_touches_before_and_after() -> None:
    """SLOAD 1, SSTORE 1 := 5, SSTORE 2 := 6, BALANCE of another, CREATE of an empty contract."""
    code = bytes.fromhex("6001545060056001556006600255") + b"\x73" + OTHER
    trace = run(code + bytes.fromhex("31505f5f5ff050"))
    slots = [(slot.address, slot.key, slot.before, slot.after) for slot in trace.slots]
    assert slots == [
        (OUTER, word(1), word(9), word(5)),
        (OUTER, word(2), word(0), word(6)),
    ]
    accounts = {account.address: account for account in trace.accounts}
    created = contract_address(OUTER, 1)
    assert list(accounts) == [SENDERS[0], OUTER, ENVIRONMENT.coinbase, OTHER, created]
    outer, new = accounts[OUTER], accounts[created]
    assert (outer.before.nonce, outer.after.nonce, outer.before.code) == (1, 2, trace_code(code))
    assert (outer.frame, accounts[OTHER].frame) == (None, 0)
    assert (new.is_created, new.before.nonce, new.after.nonce) == (True, 0, 1)
    sender = accounts[SENDERS[0]]
    assert sender.after.nonce == sender.before.nonce + 1
    assert sender.after.balance < sender.before.balance


def trace_code(code: bytes) -> bytes:
    return code + bytes.fromhex("31505f5f5ff050")


def test_touches_of_undone_frames_and_destroyed_contracts_stay() -> None:
    """A slot written in a call that reverts: touched, not changed. Init code that destroys."""
    trace = run(CALL_INNER, bytes.fromhex("60015f555f5ffd"))
    assert [(slot.address, slot.before, slot.after) for slot in trace.slots] == [
        (INNER, word(0), word(0))
    ]
    # Init code 30ff (ADDRESS SELFDESTRUCT).
    trace = run(bytes.fromhex("6130ff5f5260026 01e5ff050".replace(" ", "")))
    assert [account.is_destroyed for account in trace.accounts][-1]


def test_accesses_in_order() -> None:
    """Reads, writes and transient ones, each with its frame and the value before."""
    trace = run(
        bytes.fromhex("600154506001545060026001556003600155") + CALL_INNER,
        bytes.fromhex("60045f5d5f5c505f3b50"),
    )
    assert [(item.access, item.frame, item.value[-1]) for item in trace.accesses] == [
        (Access.READ, 0, 9),
        (Access.READ, 0, 9),
        (Access.WRITE, 0, 9),
        (Access.WRITE, 0, 2),
        (Access.TRANSIENT_WRITE, 1, 0),
        (Access.TRANSIENT_READ, 1, 0),
        (Access.CODE, 1, 0),
    ]


def test_hashes() -> None:
    trace = run(bytes.fromhex("602a5f5260205f20505f5f2050"))
    assert trace.hashes == (word(42), b"")


def test_steps_cost_what_they_take() -> None:
    """The gas of each step is that of the one before it in its frame, less what that cost."""
    inner = bytes.fromhex("60045f5560045f555f545f5f5f5f5f305af150 60205fa0".replace(" ", ""))
    trace = run(bytes.fromhex("60015f5360aa600a0a5f5260405f205f5f60ff5f3c") + CALL_INNER, inner)
    check_costs(trace)
    assert {step.depth for step in trace.steps} >= {0, 1, 2}
    first = trace.steps[0]
    assert (first.pc, first.opcode, first.stack, first.stack_size) == (0, 0x60, (), 0)
    assert trace.steps[1].stack == (1,)


def check_costs(trace: Trace) -> None:
    left: dict[int, int] = {}
    depth = 0
    for step in trace.steps:
        if step.depth >= depth and step.frame in left and step.depth == depth:
            assert step.gas == left[step.frame], step
        depth = step.depth
        left[step.frame] = step.gas - step.cost


def test_steps_say_why_they_fail() -> None:
    """Stack, gas, and an undefined instruction, which begins."""
    last = run(bytes.fromhex("01")).steps[-1]
    assert (last.exit, last.fault.have, last.fault.want) == (Exit.STACK_UNDERFLOW, 0, 2)
    last = run(bytes.fromhex("5f54"), gas_limit=22_000).steps[-1]
    assert (last.exit, last.cost) == (Exit.OUT_OF_GAS, 2100)
    trace = run(bytes.fromhex("0c"))
    assert (trace.steps[-1].exit, trace.frames[0].fault.opcode) == (Exit.SUCCESS, 0x0C)


@pytest.mark.parametrize("watch", [Watch(), EVERYTHING])
@pytest.mark.parametrize(
    ("code", "gas_limit", "kind"),
    [
        ("60015f55", 23_305, FaultKind.SENTRY),
        ("5f5f5f5f5f73" + INNER.hex() + "5ff1", 21_500, FaultKind.TWICE),
        ("5f1951", 60_000, FaultKind.OVERFLOW),
        ("67ffffffffffffff0051", 60_000, FaultKind.MEMORY),
        ("6200ffff5f5ff0", 900_000, FaultKind.INIT_CODE),
    ],
)
def test_faults_are_the_same_with_steps_and_without(
    code: str, gas_limit: int, kind: FaultKind, watch: Watch
) -> None:
    """The fast interpreter and the one that looks before each instruction say the same."""
    trace = run(bytes.fromhex(code), watch=watch, gas_limit=gas_limit)
    assert trace.frames[0].fault.kind is kind
    if watch is EVERYTHING:
        assert trace.steps[-1].fault.kind is kind
        assert trace.steps[-1].exit is not Exit.SUCCESS


def test_one_transaction_of_a_block() -> None:
    """Those before it run unwatched, those after it not at all."""
    transactions = batch(*(signed(index, 0, value=index + 1) for index in range(3)))
    executor = Executor(world())
    with recording(executor, replace(EVERYTHING, transaction=1)) as recorder:
        result = executor.run_block(ENVIRONMENT, transactions, first=2)
        assert len(result.outcomes) == 2
        trace = recorder.trace()
    executor.discard()
    assert [(frame.transaction, frame.value) for frame in trace.frames] == [(1, 2)]
    assert {account.transaction for account in trace.accounts} == {1}
    # The world is as before: the same block runs again.
    executor.run_block(ENVIRONMENT, transactions)


def test_a_deadline_ends_a_run() -> None:
    """Long before the gas would."""
    view = world()
    view.put(OUTER, Allocation(nonce=1, code=LOOP))
    executor = Executor(view)
    message = replace(MESSAGE, gas_limit=400_000_000)
    environment = replace(ENVIRONMENT, gas_limit=500_000_000)
    watch = Watch(steps=StepWatch(stack_words=0), deadline_ns=time.monotonic_ns() + 20_000_000)
    with recording(executor, watch), pytest.raises(ExecutionStopped):
        executor.call(environment, message)
    executor.call(environment, replace(message, gas_limit=100_000))


def test_a_stop_ends_runs_until_it_is_lifted() -> None:
    executor = Executor(world())
    executor.stop()
    with pytest.raises(ExecutionStopped):
        executor.call(ENVIRONMENT, MESSAGE)
    executor.stop(on=False)
    assert executor.call(ENVIRONMENT, MESSAGE).success


def test_struct_logs_end_at_their_bound() -> None:
    """A loop: the run stops there, and the executor is as before."""
    view = world()
    view.put(OUTER, Allocation(nonce=1, code=LOOP))
    executor = Executor(view)
    watch = Watch(steps=StructLogWatch(bytes_max=100_000))
    with recording(executor, watch) as recorder:
        with pytest.raises(TraceTooLarge):
            executor.call(ENVIRONMENT, MESSAGE)
        assert 0 < len(recorder.trace().struct_logs[0]) <= 100_000
    assert executor.call(ENVIRONMENT, MESSAGE).exit is Exit.OUT_OF_GAS
