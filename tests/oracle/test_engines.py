"""Calls and creations across engines: EVM code, WASM modules and contracts in Python call each
other in every way there is, with every outcome, and one model says what must come of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pytest

from ghostchain.execution.executor import CallFlag, CallResult, Executor, Exit, Message
from ghostchain.execution.traces import CallFrame, FrameEngine, FrameKind, recording
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32
from tests.engines import (
    ADDRESSES,
    ENGINES,
    ENVIRONMENT,
    EVM,
    HALT,
    HALT_EXITS,
    NOT_DELEGABLE,
    QUIETLY,
    READ,
    REFUSAL,
    REVERT,
    SPIN,
    SUCCEED,
    THEN_HALT,
    THEN_REVERT,
    WASM,
    act,
    assemble,
    call,
    code_of,
    run_python,
    touch,
    word,
)
from tests.hybrid import MessageBatch
from tests.oracle import wasm_world

SENDER = Address(b"\x11" * 20)
BALANCE = 1_000
GAS = 8_000_000
FORWARDED = 2_000_000
PAID = 5
CALLS = (FrameKind.CALL, FrameKind.CALLCODE, FrameKind.DELEGATECALL, FrameKind.STATICCALL)
CREATIONS = (FrameKind.CREATE, FrameKind.CREATE2)
KINDS_OF = {
    FrameEngine.EVM: CALLS,
    FrameEngine.WASM: (FrameKind.CALL, FrameKind.DELEGATECALL, FrameKind.STATICCALL),
    FrameEngine.CONTRACT: (FrameKind.CALL, FrameKind.STATICCALL),
}
OUTCOMES = {"success": SUCCEED, "revert": REVERT, "halt": HALT, "out of gas": SPIN, "read": READ}


@dataclass(frozen=True)
class Ran:
    """What a message did: by eth_call, and in a block of its own."""

    result: CallResult
    frames: tuple[CallFrame, ...]
    slots: dict[tuple[bytes, int], int]
    balances: dict[bytes, int]
    logs: tuple[Log, ...]


def world() -> MemoryView:
    view = MemoryView({SENDER: Allocation(balance=10**30)})
    for (engine, role), address in ADDRESSES.items():
        view.put(address, Allocation(nonce=1, balance=BALANCE, code=code_of(engine, role)))
    return view


def run(to: Address, data: bytes, *, value: int = 0, gas: int = GAS) -> Ran:
    """Both ways must agree in gas and outcome."""
    view = world()
    executor = Executor(view, contracts=run_python)
    message = Message(
        sender=SENDER, to=to, gas_limit=gas, data=data, value=value, max_fee_per_gas=7
    )
    flags = CallFlag.NO_GAS_CAP
    with recording(executor) as recorder:
        result = executor.call(ENVIRONMENT, message, flags=flags)
        trace = recorder.trace()
    assert not trace.is_cut
    block = executor.run_block(ENVIRONMENT, MessageBatch([message]), system_calls=False)  # type: ignore[arg-type]
    outcome = block.outcomes[0]
    assert (outcome.exit, outcome.gas_used) == (result.exit, result.gas_used)
    assert block.logs == result.logs
    view.apply(block)
    slots = {
        (address, int.from_bytes(key, "big")): int.from_bytes(value, "big")
        for address, storage in view.storage.items()
        for key, value in storage.items()
    }
    balances = {
        address: int.from_bytes(record[8:40], "big") for address, record in view.accounts.items()
    }
    return Ran(result, trace.frames, slots, balances, result.logs)


# ---- calls ----


def call_cases() -> Iterator[object]:
    for caller, callee in product(ENGINES, ENGINES):
        for kind, (name, outcome) in product(KINDS_OF[caller], OUTCOMES.items()):
            for value in (0, PAID):
                if value and kind not in (FrameKind.CALL, FrameKind.CALLCODE):
                    continue
                label = f"{caller.name}-{kind.name}-{callee.name}-{name}-{value}".lower()
                yield pytest.param(caller, callee, kind, outcome, value, id=label)


def expected_exit(callee: FrameEngine, kind: FrameKind, outcome: int) -> Exit:
    if callee is FrameEngine.CONTRACT and kind in (FrameKind.CALLCODE, FrameKind.DELEGATECALL):
        return Exit.REVERT
    if kind is FrameKind.STATICCALL and outcome != READ:
        return Exit.STATIC_VIOLATION
    return {
        SUCCEED: Exit.SUCCESS,
        READ: Exit.SUCCESS,
        REVERT: Exit.REVERT,
        HALT: HALT_EXITS[callee],
        SPIN: Exit.OUT_OF_GAS,
    }[outcome]


@pytest.mark.parametrize(("caller", "callee", "kind", "outcome", "value"), list(call_cases()))
def test_calls_between_engines(
    caller: FrameEngine, callee: FrameEngine, kind: FrameKind, outcome: int, value: int
) -> None:
    """Context, output, state, logs, balances and gas of one call, against the model."""
    here, there = ADDRESSES[caller, "caller"], ADDRESSES[callee, "callee"]
    data = call(kind, there, act(outcome), value=value, gas=FORWARDED)
    ran = run(here, data, value=3)

    is_own = kind in (FrameKind.CALL, FrameKind.STATICCALL)
    owner = there if is_own else here
    seen_sender = SENDER if kind is FrameKind.DELEGATECALL else here
    seen_value = {FrameKind.DELEGATECALL: 3, FrameKind.STATICCALL: 0}.get(kind, value)
    exit = expected_exit(callee, kind, outcome)
    succeeded = exit is Exit.SUCCESS
    output = b""
    if succeeded:
        output = seen_sender.rjust(32, b"\0") + word(seen_value) + owner.rjust(32, b"\0")
    elif exit is Exit.REVERT:
        output = REFUSAL if is_own or callee is not FrameEngine.CONTRACT else NOT_DELEGABLE
    assert ran.result.success
    assert ran.result.output == word(succeeded) + output

    slots = {(here, 1): 1, (here, 2): 1 + succeeded}
    logs: tuple[Log, ...] = ()
    if succeeded and outcome != READ:
        slots[owner, 3] = 1 + seen_value
        logs = (Log(owner, (Hash32(word(0x77)),), bytes((outcome,))),)
    assert ran.slots == slots
    assert ran.logs == logs
    moved = value if kind is FrameKind.CALL and succeeded else 0
    assert ran.balances[here] == BALANCE + 3 - moved
    assert ran.balances[there] == BALANCE + moved

    top, frame = ran.frames
    assert (top.engine, frame.engine, frame.kind) == (caller, callee, kind)
    assert (top.depth, frame.depth) == (0, 1)
    assert (frame.exit, frame.output) == (exit, output)
    assert frame.gas == FORWARDED + (2_300 if value else 0)
    assert frame.is_static == (kind is FrameKind.STATICCALL)
    if exit > Exit.REVERT:
        assert frame.gas_used == frame.gas
    else:
        assert frame.gas_used < frame.gas


@pytest.mark.parametrize(
    ("caller", "kind"),
    [
        *((engine, FrameKind.CALL) for engine in ENGINES),
        (FrameEngine.EVM, FrameKind.CALLCODE),
    ],
)
def test_value_that_is_not_there(caller: FrameEngine, kind: FrameKind) -> None:
    """The call fails before a frame begins, and all its gas comes back."""
    here, there = ADDRESSES[caller, "caller"], ADDRESSES[FrameEngine.EVM, "callee"]
    ran = run(here, call(kind, there, act(SUCCEED), value=BALANCE + 1, gas=FORWARDED))
    assert ran.result.output == word(0)
    assert ran.slots == {(here, 1): 1, (here, 2): 1}
    assert ran.frames[1].exit is Exit.INSUFFICIENT_BALANCE
    assert ran.frames[1].gas_used == 0


@pytest.mark.parametrize(
    ("engine", "what"),
    [
        (engine, what)
        for engine, what in product(ENGINES, range(5))
        if (engine, what) != (FrameEngine.CONTRACT, 3)  # Python's contracts create nothing
    ],
)
def test_a_static_call_forbids_every_change(engine: FrameEngine, what: int) -> None:
    """Storage, log, value, creation and transient storage, each alone, in each engine."""
    here, there = ADDRESSES[FrameEngine.EVM, "caller"], ADDRESSES[engine, "callee"]
    allowed = run(here, call(FrameKind.CALL, there, touch(what), gas=FORWARDED))
    assert allowed.frames[1].exit is Exit.SUCCESS
    refused = run(here, call(FrameKind.STATICCALL, there, touch(what), gas=FORWARDED))
    assert refused.frames[1].exit is Exit.STATIC_VIOLATION
    assert refused.frames[1].gas_used == FORWARDED


@pytest.mark.parametrize(("second", "third"), list(product(ENGINES, ENGINES)))
def test_static_reaches_through_engines(second: FrameEngine, third: FrameEngine) -> None:
    """What a frame calls in a static call is static as well, whatever it calls it with."""
    middle, last = ADDRESSES[second, "caller"], ADDRESSES[third, "callee"]
    for data, exit in ((act(READ), Exit.SUCCESS), (touch(0), Exit.STATIC_VIOLATION)):
        inner = call(FrameKind.CALL, last, data, then=QUIETLY, gas=FORWARDED)
        here = ADDRESSES[FrameEngine.EVM, "callee"]
        ran = run(here, call(FrameKind.STATICCALL, middle, inner, then=QUIETLY))
        assert [frame.is_static for frame in ran.frames] == [False, True, True]
        assert [frame.exit for frame in ran.frames] == [Exit.SUCCESS, Exit.SUCCESS, exit]
        assert ran.slots == {}


# ---- chains ----


def nested(*steps: tuple[FrameEngine, str, int], last: bytes) -> tuple[Address, bytes]:
    """Each step calls the next: whom to call first, and with what. steps: engine, role, then."""
    data = last
    targets = [ADDRESSES[engine, role] for engine, role, _ in steps]
    for index in range(len(steps) - 2, -1, -1):
        data = call(FrameKind.CALL, targets[index + 1], data, then=steps[index][2])
    return targets[0], data


@pytest.mark.parametrize("then", [0, THEN_REVERT, THEN_HALT])
def test_a_failure_in_the_middle_undoes_what_is_below_it(then: int) -> None:
    """EVM -> WASM -> Python -> EVM: WASM fails after all below it succeeded. Nothing of it, of
    Python's or of the last frame's stays; what the first did does."""
    steps = (
        (FrameEngine.EVM, "caller", 0),
        (FrameEngine.WASM, "caller", then),
        (FrameEngine.CONTRACT, "caller", 0),
        (FrameEngine.EVM, "callee", 0),
    )
    to, data = nested(*steps, last=act(SUCCEED))
    ran = run(to, data)
    places = [ADDRESSES[engine, role] for engine, role, _ in steps]
    assert [frame.engine for frame in ran.frames] == [engine for engine, _, _ in steps]
    assert [frame.depth for frame in ran.frames] == [0, 1, 2, 3]
    kept = {(places[0], 1): 1, (places[0], 2): 1 + (not then)}
    if not then:
        kept |= {(places[1], 1): 1, (places[1], 2): 2, (places[2], 1): 1, (places[2], 2): 2}
        kept |= {(places[3], 3): 1}
    assert ran.slots == kept
    assert len(ran.logs) == (0 if then else 1)
    answer = places[2].rjust(32, b"\0") + word(0) + places[3].rjust(32, b"\0")
    back = word(1) + word(1) + answer
    if then == THEN_HALT:
        assert ran.result.output == word(0)
    else:
        assert ran.result.output == word(not then) + back
    assert [frame.exit for frame in ran.frames[2:]] == [Exit.SUCCESS, Exit.SUCCESS]


@pytest.mark.parametrize("order", list(product(ENGINES, repeat=3)))
def test_failures_below_are_survived(order: tuple[FrameEngine, ...]) -> None:
    """The last of four frames halts; every engine above goes on and keeps what it did."""
    steps = tuple((engine, "caller", 0) for engine in dict.fromkeys(order))
    to, data = nested(*steps, (FrameEngine.WASM, "callee", 0), last=act(HALT))
    ran = run(to, data)
    kept = {}
    for index, (engine, role, _) in enumerate(steps):
        kept[ADDRESSES[engine, role], 1] = 1
        kept[ADDRESSES[engine, role], 2] = 1 if index == len(steps) - 1 else 2
    assert ran.slots == kept
    assert ran.frames[-1].exit is Exit.WASM_TRAP


# ---- depth ----


@pytest.mark.parametrize(
    "pattern",
    [(FrameEngine.WASM,), (FrameEngine.EVM, FrameEngine.WASM)],
    ids=["wasm", "evm and wasm"],
)
def test_frames_nest_to_1024_and_no_deeper(pattern: tuple[FrameEngine, ...]) -> None:
    """Frames at depth 0 to 1,024 run, the next is refused with its gas; the native stack holds."""
    steps = [(pattern[index % len(pattern)], "caller", 0) for index in range(1026)]
    to, data = nested(*steps, last=act(READ))
    ran = run(to, data, gas=1 << 47)
    assert [frame.depth for frame in ran.frames] == list(range(1026))
    assert ran.frames[1025].exit is Exit.CALL_DEPTH
    assert ran.frames[1025].gas_used == 0
    assert all(frame.exit is Exit.SUCCESS for frame in ran.frames[:1025])


def test_python_frames_nest_to_64_and_no_deeper() -> None:
    """EVM and Python in turns: the 65th frame of Python is refused with its gas."""
    pattern = ((FrameEngine.EVM, "caller", 0), (FrameEngine.CONTRACT, "caller", 0))
    steps = [pattern[index % 2] for index in range(140)]
    to, data = nested(*steps, last=act(READ))
    ran = run(to, data, gas=1 << 47)
    python = [frame for frame in ran.frames if frame.engine is FrameEngine.CONTRACT]
    assert len(python) == 65
    assert python[-1].exit is Exit.CALL_DEPTH
    assert python[-1].gas_used == 0
    assert all(frame.exit is Exit.SUCCESS for frame in ran.frames[:-1])


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def diver(locals_count: int) -> bytes:
    """A module that calls a function of its own as often as its call data says, each frame keeping
    so many words alive, and from the deepest one calls itself."""
    names = [f"$kept{index}" for index in range(locals_count)]
    parameters = " ".join(f"(param {name} i64)" for name in names)
    arguments = " ".join(f"(i64.add (local.get {name}) (i64.const 3))" for name in names)
    result = "(local.get $below)"
    for name in names:
        result = f"(i64.xor {result} (local.get {name}))"
    down = f"""
        (func $down (param $left i32) {parameters} (result i64) (local $below i64)
            (if (i32.eqz (local.get $left)) (then
                (drop (call $call_contract (i32.const 64) (i32.const 0) (i32.const 4)
                    (i32.const 128) (i64.const -1) (i32.const 200)))
                (return (i64.const 1))))
            (local.set $below
                (call $down (i32.sub (local.get $left) (i32.const 1)) {arguments}))
            {result})"""
    body = f"""
        (call $read_args (i32.const 0)) (call $contract_address (i32.const 64))
        (drop (call $down (i32.load (i32.const 0)) {"(i64.const 1) " * locals_count}))
        (i32.const 0)"""
    return wasm_world.module(body, fields=down)


@pytest.mark.parametrize("locals_count", [0, 30])
def test_the_native_stack_holds_1024_frames_as_deep_as_each_may_be(locals_count: int) -> None:
    """Each frame of WASM nests its own calls to the limit of its slots and then calls the next;
    afterwards the memory of the stack is given back."""
    place = ADDRESSES[FrameEngine.WASM, "caller"]
    view = world()
    view.put(place, Allocation(nonce=1, code=diver(locals_count)))
    executor = Executor(view)
    message = Message(sender=SENDER, to=place, gas_limit=1 << 44, max_fee_per_gas=7)

    def dive(depth: int, gas: int) -> bool:
        data = depth.to_bytes(4, "little")
        return executor.call(ENVIRONMENT, replace(message, data=data, gas_limit=gas)).success

    before = resident_bytes()
    fits, too_deep = 1, 40_000
    while too_deep - fits > 1:
        middle = (fits + too_deep) // 2
        if dive(middle, 4_000_000):
            fits = middle
        else:
            too_deep = middle
    assert fits > 300
    with recording(executor) as recorder:
        assert dive(fits, 1 << 44)
        frames = recorder.trace().frames
    assert len(frames) == 1_026
    assert all(frame.exit is Exit.SUCCESS for frame in frames[:1_025])
    assert frames[1_025].exit is Exit.CALL_DEPTH
    if "GHOSTCHAIN_SANITIZED" not in os.environ:
        assert resident_bytes() - before < 64 << 20


# ---- creations ----


def returning(code: bytes) -> bytes:
    """Init code that returns these bytes."""
    head = assemble(f"{len(code)} 0x1111 0 codecopy {len(code)} 0 return")
    place = len(head).to_bytes(2, "big")
    return head.replace(b"\x11\x11", place) + code


FLOATING = bytes.fromhex("0061736d010000000105016000017d030201000a09010700430000803f0b")
INIT_CODES = {
    "evm": (returning(EVM), EVM, Exit.SUCCESS),
    "module": (WASM, WASM, Exit.SUCCESS),
    "module returned": (returning(WASM), WASM, Exit.SUCCESS),
    "nothing": (b"", b"", Exit.SUCCESS),
    "revert": (assemble("0xdead 0 mstore 32 0 revert"), REFUSAL, Exit.REVERT),
    "halt": (assemble("invalid"), b"", Exit.INVALID_OPCODE),
    "out of gas": (assemble("spin: @spin jump"), b"", Exit.OUT_OF_GAS),
    "python's prefix": (returning(b"\xef\x47\x7e"), b"", Exit.CODE_PREFIX),
    "python's code": (b"\xef\x47\x7e", b"", Exit.UNDEFINED_OPCODE),
    "refused module": (FLOATING, b"", Exit.WASM_INVALID),
    "refused module returned": (returning(FLOATING), b"", Exit.WASM_INVALID),
    "code too large": (returning(b"\1" * 0x6001), b"", Exit.CODE_SIZE),
}


@pytest.mark.parametrize("value", [0, PAID, BALANCE + 1])
@pytest.mark.parametrize("name", INIT_CODES)
@pytest.mark.parametrize("kind", CREATIONS, ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize("creator", ENGINES[:2], ids=lambda engine: engine.name.lower())
def test_creations_between_engines(
    creator: FrameEngine, kind: FrameKind, name: str, value: int
) -> None:
    """What is placed where, with which balance, and what a failure leaves: nothing."""
    init_code, code, exit = INIT_CODES[name]
    if value > BALANCE:
        exit = Exit.INSUFFICIENT_BALANCE
    here = ADDRESSES[creator, "caller"]
    ran = run(here, call(kind, bytes(20), init_code, value=value), gas=GAS * 100)
    assert ran.result.success
    top, frame = ran.frames
    succeeded = exit is Exit.SUCCESS
    assert (top.engine, frame.kind, frame.exit) == (creator, kind, exit)
    assert frame.input == init_code
    placed = frame.to if succeeded else bytes(20)
    revert_data = REFUSAL if exit is Exit.REVERT else b""
    assert ran.result.output == placed.rjust(32, b"\0") + revert_data
    assert ran.slots == {(here, 1): 1, (here, 2): 1 + succeeded}
    assert ran.balances[here] == BALANCE - (value if succeeded else 0)
    assert ran.balances.get(frame.to, 0) == (value if succeeded else 0)
    if succeeded:
        assert frame.output == code
        is_module = init_code.startswith(b"\0asm")
        assert frame.engine is (FrameEngine.WASM if is_module else FrameEngine.EVM)
    elif exit is Exit.INSUFFICIENT_BALANCE:
        assert frame.gas_used == 0
    elif exit is not Exit.REVERT:
        assert frame.gas_used == frame.gas


@pytest.mark.parametrize("creator", ENGINES[:2], ids=lambda engine: engine.name.lower())
@pytest.mark.parametrize("name", ["evm", "module", "module returned"])
def test_what_was_created_answers(creator: FrameEngine, name: str) -> None:
    """One contract creates another, whose code runs in a later call of the same block."""
    view = world()
    executor = Executor(view, contracts=run_python)
    flags = CallFlag.NO_GAS_CAP | CallFlag.KEEP | CallFlag.NO_NONCE_CHECK
    here = ADDRESSES[creator, "caller"]
    message = Message(sender=SENDER, to=here, gas_limit=GAS * 100, max_fee_per_gas=7)
    data = call(FrameKind.CREATE2, bytes(20), INIT_CODES[name][0])
    made = executor.call(ENVIRONMENT, replace(message, data=data), flags=flags)
    there = Address(made.output[12:32])
    asked = call(FrameKind.CALL, there, act(SUCCEED))
    answered = executor.call(ENVIRONMENT, replace(message, data=asked), flags=flags)
    assert answered.output == word(1) + here.rjust(32, b"\0") + word(0) + there.rjust(32, b"\0")
    again = executor.call(ENVIRONMENT, replace(message, data=data), flags=flags)
    assert again.output == word(0), "the address is taken"


# ---- access lists ----


@pytest.mark.parametrize(("caller", "callee"), list(product(ENGINES, ENGINES)))
def test_accesses_are_seen_in_every_engine(caller: FrameEngine, callee: FrameEngine) -> None:
    """eth_createAccessList: the same accounts and slots whichever engines run; and given as the
    message's access list they make it cheaper by exactly what EIP-2929 says."""
    here, there = ADDRESSES[caller, "caller"], ADDRESSES[callee, "callee"]
    executor = Executor(world(), contracts=run_python)
    message = Message(
        sender=SENDER,
        to=here,
        gas_limit=GAS,
        max_fee_per_gas=7,
        data=call(FrameKind.CALL, there, act(SUCCEED)),
    )
    result = executor.call(ENVIRONMENT, message, flags=CallFlag.RECORD_ACCESS)
    assert set(result.accessed_slots) == {
        (here, Hash32(word(1))),
        (here, Hash32(word(2))),
        (there, Hash32(word(3))),
    }
    assert {here, there} <= set(result.accessed_accounts)


@pytest.mark.parametrize(("kind", "per_word"), [("create1", 2), ("create2", 2 + 6)])
def test_creations_cost_a_module_what_they_cost_the_evm(kind: str, per_word: int) -> None:
    """32,000, what init code costs by the word (EIP-3860), and all but a 64th for the new frame.
    Around them the module pays less than 200 gas for its own instructions and copies."""
    here = ADDRESSES[FrameEngine.WASM, "caller"]
    init_code = assemble("0 0 sstore stop").ljust(3_200, b"\0")
    salt = [wasm_world.DATA] if kind == "create2" else []
    out = wasm_world.DATA + 64
    creation = wasm_world.call(
        kind,
        wasm_world.DATA + 128,
        len(init_code),
        wasm_world.DATA,
        *salt,
        out,
        out + 32,
    )
    gas_left = [wasm_world.call("evm_gas_left", keep=wasm_world.DATA + 8 * i) for i in (4, 5)]
    steps = [gas_left[0], creation, gas_left[1]]
    data = wasm_world.script(steps, bytes(128) + init_code)
    view = world()
    view.put(here, Allocation(nonce=1, code=wasm_world.interpreter()))
    executor = Executor(view)
    message = Message(sender=SENDER, to=here, gas_limit=GAS, data=data, max_fee_per_gas=7)
    with recording(executor) as recorder:
        output = executor.call(ENVIRONMENT, message).output
        frame = recorder.trace().frames[1]
    before, after = (int.from_bytes(output[8 * i : 8 * i + 8], "little") for i in (4, 5))
    price = 32_000 + per_word * 100
    assert 0 <= before - after - frame.gas_used - price < 200
    given = before - price
    assert given - given // 64 - 200 < frame.gas <= given - given // 64


# ---- delegated accounts (EIP-7702) ----


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("caller", ENGINES)
def test_accounts_delegate_to_code_of_any_engine(caller: FrameEngine, engine: FrameEngine) -> None:
    """The code runs as the account, with its storage and balance; contracts of the protocol refuse,
    for their rights are those of their own address."""
    here, code = ADDRESSES[caller, "caller"], ADDRESSES[engine, "callee"]
    account = Address(b"\xad" * 20)
    view = world()
    view.put(account, Allocation(nonce=1, balance=7, code=b"\xef\x01\x00" + code))
    executor = Executor(view, contracts=run_python)
    message = Message(
        sender=SENDER,
        to=here,
        gas_limit=GAS,
        max_fee_per_gas=7,
        data=call(FrameKind.CALL, account, act(SUCCEED), value=PAID),
    )
    with recording(executor) as recorder:
        output = executor.call(ENVIRONMENT, message).output
        frame = recorder.trace().frames[1]
    assert (frame.to, frame.engine) == (account, engine)
    if engine is FrameEngine.CONTRACT:
        assert output == word(0) + NOT_DELEGABLE
        return
    assert output == word(1) + here.rjust(32, b"\0") + word(PAID) + account.rjust(32, b"\0")
    view.apply(executor.run_block(ENVIRONMENT, MessageBatch([message]), system_calls=False))  # type: ignore[arg-type]
    assert view.storage[account] == {word(3): word(1 + PAID)}
    assert code not in view.storage
