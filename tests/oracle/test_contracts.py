"""Native contracts in the native executor: the token kernel against the classes that define it, and
what the engine does around any contract."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostchain._native import lib
from ghostchain.contracts import registry
from ghostchain.contracts.addresses import GCC, SPIRIT, TOKENS, address_of, code_of
from ghostchain.contracts.framework import (
    Error,
    Event,
    Mapping,
    NativeContract,
    Slot,
    UInt256,
    external,
    gas,
    runner,
    view,
)
from ghostchain.contracts.framework.testing import World
from ghostchain.contracts.genesis import system_alloc
from ghostchain.contracts.tokens import INFINITE, Gcc, Token
from ghostchain.execution.contracts import ContractRunner, plug
from ghostchain.execution.executor import (
    CallFlag,
    CallResult,
    Executor,
    ExecutorFailed,
    Exit,
    Message,
)
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import ZERO_ADDRESS, Address
from tests.hybrid import MessageBatch, balance, environment, supply

ALICE, BOB, CAROL = (World({}).person(name) for name in ("alice", "bob", "carol"))
ENVIRONMENT = environment(0, Address(b"\xc0" * 20))
KEEP = CallFlag.KEEP | CallFlag.RECORD_ACCESS | CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK


def forwarder(opcode: int) -> bytes:
    """Calls the address in the first word of its call data with the rest, by CALL, CALLCODE,
    DELEGATECALL or STATICCALL, and returns or reverts with what comes."""
    has_value = opcode in (0xF1, 0xF2)
    prepare = bytes.fromhex("6020360360205f37")  # CALLDATACOPY(0, 32, size - 32)
    arguments = bytes.fromhex("5f5f602036035f") + (b"\x34" if has_value else b"")
    call = arguments + bytes.fromhex("5f355a") + bytes([opcode])
    ends = bytes.fromhex("3d5f5f3e")  # RETURNDATACOPY(0, 0, size)
    jump = len(prepare + call + ends) + 6
    return prepare + call + ends + bytes([0x60, jump]) + bytes.fromhex("573d5ffd5b3d5ff3")


FORWARDERS = {
    name: Address(bytes(19) + bytes([0xA0 + opcode & 0xFF]))
    for name, opcode in (("call", 0xF1), ("callcode", 0xF2), ("delegate", 0xF4), ("static", 0xFA))
}
OPCODES = {"call": 0xF1, "callcode": 0xF2, "delegate": 0xF4, "static": 0xFA}
PEOPLE = (ALICE, BOB, CAROL, *FORWARDERS.values())


def state() -> MemoryView:
    alloc: dict[bytes, Allocation] = {ALICE: Allocation(balance=10**18)}
    alloc[BOB] = Allocation(balance=1_000)
    for name, address in FORWARDERS.items():
        alloc[address] = Allocation(nonce=1, balance=1_000, code=forwarder(OPCODES[name]))
    alloc.update(system_alloc(10**18 + 5_000, {token: {ALICE: 1_000} for token in TOKENS[1:]}))
    return MemoryView(alloc)


def executor(
    contracts: ContractRunner = registry.RUN, *, with_kernel: bool = True, view: Any = None
) -> Executor:
    made = Executor(state() if view is None else view, contracts=contracts)
    plug(made._native, made._handle, with_kernel=with_kernel)
    return made


def call(
    on: Executor, to: Address, data: bytes, *, sender: Address = ALICE, **fields: Any
) -> CallResult:
    fields = {"gas_limit": 1_000_000, **fields}
    return on.call(ENVIRONMENT, Message(sender=sender, to=to, data=data, **fields), flags=KEEP)


def calling(function: str, *arguments: Any) -> bytes:
    return Gcc.method(function).encode_call(arguments)


def test_the_tables_of_prices_agree() -> None:
    assert lib.GHOST_TOKEN_TRANSFER_GAS == gas.TOKEN_TRANSFER
    assert lib.GHOST_TOKEN_TRANSFER_FROM_GAS == gas.TOKEN_TRANSFER_FROM
    assert lib.GHOST_TOKEN_APPROVE_GAS == gas.TOKEN_APPROVE
    assert lib.GHOST_TOKEN_BALANCE_OF_GAS == gas.TOKEN_BALANCE_OF
    assert lib.GHOST_TOKEN_ALLOWANCE_GAS == gas.TOKEN_ALLOWANCE
    assert lib.GHOST_TOKEN_CONSTANT_GAS == gas.TOKEN_CONSTANT


# ---- the kernel against its definition ----

PERSON = st.sampled_from([*PEOPLE, ZERO_ADDRESS, GCC, Address(b"\xff" * 20)])
AMOUNTS = (0, 1, 999, 1_000, 1_001, INFINITE - 1, INFINITE)
AMOUNT = st.one_of(st.integers(0, 1_200), st.sampled_from(AMOUNTS))


@st.composite
def token_calls(draw: st.DrawFn) -> bytes:
    """Call data of the functions that the kernel knows: mostly well formed."""
    kinds = {
        "transfer": (PERSON, AMOUNT),
        "transferFrom": (PERSON, PERSON, AMOUNT),
        "approve": (PERSON, AMOUNT),
        "balanceOf": (PERSON,),
        "allowance": (PERSON, PERSON),
        "totalSupply": (),
        "decimals": (),
    }
    name = draw(st.sampled_from(sorted(kinds)))
    data = calling(name, *(draw(kind) for kind in kinds[name]))
    flaw = draw(st.integers(0, 19))
    if flaw == 0:
        return data[: draw(st.integers(0, len(data)))]
    if flaw == 1:
        return data + draw(st.binary(max_size=40))
    if flaw == 2 and len(data) > 4:
        place = draw(st.integers(4, len(data) - 1))
        return data[:place] + draw(st.binary(min_size=1, max_size=1)) + data[place + 1 :]
    return data


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    token = draw(st.sampled_from(TOKENS))
    data = draw(token_calls())
    through = draw(st.sampled_from([None, None, None, *FORWARDERS]))
    limit = draw(st.sampled_from([1_000_000] * 5 + [*range(24_000, 64_000, 1_777)]))
    value = draw(st.sampled_from([0] * 9 + [1]))
    sender = draw(st.sampled_from([ALICE, ALICE, BOB, CAROL, ZERO_ADDRESS]))
    if through is not None:
        to, data = FORWARDERS[through], token.rjust(32, b"\0") + data
    else:
        to = token
    return {"to": to, "data": data, "gas_limit": limit, "value": value, "sender": sender}


@settings(max_examples=150, deadline=None)
@given(st.lists(steps(), min_size=1, max_size=25))
def test_the_kernel_does_what_the_classes_say(sequence: list[dict[str, Any]]) -> None:
    """The same exit, output, gas, refund, logs and accesses, in the same order."""
    kernel, definition = executor(), executor(with_kernel=False)
    for step in sequence:
        assert call(kernel, **step) == call(definition, **step)


@pytest.mark.parametrize("token", TOKENS, ids=["gcc", "spirit", "mana", "ghost"])
def test_every_pair_and_amount_comes_out_the_same(token: Address) -> None:
    """All functions between all of a few people, in an order that mixes what came before."""
    kernel, definition = executor(), executor(with_kernel=False)
    people = (ALICE, BOB, ZERO_ADDRESS)
    every = [
        (sender, calling(name, *[*names, amount][-count:]))
        for sender, *names, amount in itertools.product(people, people, people, AMOUNTS)
        for name, count in (("approve", 2), ("transferFrom", 3), ("transfer", 2))
    ]
    random.Random(token).shuffle(every)
    for sender, data in every:
        assert call(kernel, token, data, sender=sender) == call(
            definition, token, data, sender=sender
        )


@pytest.mark.parametrize("token", [GCC, SPIRIT], ids=["gcc", "spirit"])
def test_every_byte_of_an_argument_counts(token: Address) -> None:
    """A word that is no address is refused, wherever its wrong byte is."""
    kernel, definition = executor(), executor(with_kernel=False)
    for data in (calling("transferFrom", ALICE, BOB, 0), calling("allowance", ALICE, BOB)):
        for place in range(len(data)):
            spoilt = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            for wrong in (spoilt, data[:place]):
                assert call(kernel, token, wrong) == call(definition, token, wrong), place


@pytest.mark.parametrize("token", TOKENS, ids=["gcc", "spirit", "mana", "ghost"])
def test_each_amount_of_gas_ends_the_same(token: Address) -> None:
    """A transfer with every amount of gas up to what it needs."""
    kernel, definition = executor(), executor(with_kernel=False)
    data = calling("transfer", CAROL, 5)
    for limit in (*range(22_000, 60_000, 97), 70_000):
        results = []
        for on in (kernel, definition):
            results.append(call(on, token, data, gas_limit=limit))
            on.discard()
        assert results[0] == results[1], limit
    assert results[0].success


# ---- around any contract ----

PROBE = address_of(0x7F)


class Probe(NativeContract):
    """Does what the tests need."""

    ID = 0x7F

    total = Slot[UInt256](0)
    counts = Mapping[Address, UInt256](1)
    Probed = Event("Probed(uint256 indexed total, bytes data)")
    Refused = Error("Refused(uint256 total)")

    @external
    def add(self, amount: UInt256) -> UInt256:
        self.total += amount
        self.counts[self.msg.sender] += amount
        self.emit(self.Probed, self.total, self.msg.data)
        return self.total

    @external
    def refuse(self) -> None:
        self.total += 1
        raise self.Refused(self.total)

    @external
    def fail(self) -> None:
        self.total += 1
        raise KeyError("a bug")

    @external
    def out_of_memory(self) -> None:
        raise MemoryError("as if")

    @external
    def interrupted(self) -> None:
        raise KeyboardInterrupt

    @external
    def dive(self) -> UInt256:
        self.total += 1
        self.try_call(self.address, self.msg.data)
        return self.total

    @external
    def dive_from_below(self, depth: UInt256) -> None:
        if depth:
            self.dive_from_below(depth - 1)
        else:
            self.total += 1
            self.try_call(self.address, self.msg.data)

    @external(payable=True)
    def relay(self, to: Address, data: bytes) -> bytes:
        return self.call(to, data, value=self.msg.value)

    @external
    def peek(self, to: Address, data: bytes) -> bytes:
        return self.static_call(to, data)

    @external
    def take_native(self, source: Address) -> None:
        self._host.move_balance(source, self.address, 1)

    @external
    def loop(self) -> None:
        while True:
            self.charge(gas.STEP)

    @external(locked=True)
    def locked(self, to: Address) -> None:
        self.call(to, self.msg.data)

    @view
    def world(self) -> tuple[UInt256, UInt256, UInt256, Address, Address, Address, bytes, bytes]:
        block = self.block
        return (
            block.number,
            block.timestamp,
            block.chain_id,
            block.coinbase,
            self.msg.sender,
            self.msg.origin,
            self.code_of(SPIRIT),
            self.block_hash(5),
        )

    @view(name="total")
    def read_total(self) -> UInt256:
        return self.total


def probe() -> Executor:
    view = state()
    view.put(PROBE, Allocation(nonce=1, code=code_of(0x7F)))
    view.put(address_of(0x20), Allocation(nonce=1, code=code_of(0x20)))
    view.block_hashes[5] = b"\x05" * 32
    return executor(runner({**registry.NATIVE_CONTRACTS, 0x7F: Probe}), view=view)


def asking(function: str, *arguments: Any) -> bytes:
    return Probe.method(function).encode_call(arguments)


def answer(result: CallResult, function: str) -> Any:
    assert result.success, (result.exit, result.output)
    return Probe.method(function).decode_result(result.output)


def test_a_contract_counts_logs_and_answers() -> None:
    on = probe()
    result = call(on, PROBE, asking("add", 7))
    assert answer(result, "add") == 7
    topics, data = Probe.Probed.encode([7, asking("add", 7)])
    assert result.logs == (Log(PROBE, tuple(topics), data),)  # type: ignore[arg-type]
    assert answer(call(on, PROBE, asking("add", 1), sender=BOB), "add") == 8


def test_gas_is_that_of_the_world_in_memory() -> None:
    """The host in memory and the native one charge the same."""
    world = World({PROBE: Probe})
    for sender, amount in ((ALICE, 5), (ALICE, 0), (BOB, 9)):
        result = call(probe(), PROBE, asking("add", amount), sender=sender)
        world.storage.clear()
        world.send(sender, PROBE, Probe.add, amount)
        intrinsic = 21_000 + sum(16 if byte else 4 for byte in asking("add", amount))
        assert result.gas_used + result.gas_refunded == world.gas_used + intrinsic


def test_a_contract_sees_the_world() -> None:
    on = probe()
    data = PROBE.rjust(32, b"\0") + asking("world")
    result = call(on, FORWARDERS["static"], data)
    assert answer(result, "world") == (
        ENVIRONMENT.number,
        ENVIRONMENT.timestamp,
        ENVIRONMENT.chain_id,
        ENVIRONMENT.coinbase,
        FORWARDERS["static"],
        ALICE,
        code_of(2),
        b"\x05" * 32,
    )


def test_a_revert_undoes_and_tells_why() -> None:
    on = probe()
    result = call(on, PROBE, asking("refuse"))
    assert (result.exit, result.output) == (Exit.REVERT, Probe.Refused(1).data)
    assert result.gas_used < 60_000
    assert answer(call(on, PROBE, asking("total")), "total") == 0


def test_a_bug_takes_the_gas_of_its_frame(caplog: pytest.LogCaptureFixture) -> None:
    on = probe()
    result = call(on, PROBE, asking("fail"))
    assert (result.exit, result.output) == (Exit.PRECOMPILE_FAILED, b"")
    assert result.gas_used == 1_000_000
    assert "a bug" in caplog.text
    assert answer(call(on, PROBE, asking("total")), "total") == 0


@pytest.mark.parametrize(
    ("function", "failure"),
    [("out_of_memory", MemoryError), ("interrupted", KeyboardInterrupt)],
)
def test_what_only_this_node_suffers_stops_it(function: str, failure: type[BaseException]) -> None:
    on = probe()
    with pytest.raises(failure):
        call(on, PROBE, asking(function))
    on.discard()
    assert answer(call(on, PROBE, asking("add", 1)), "add") == 1


def test_a_view_that_fails_is_told_through_a_contract() -> None:
    class Failing(MemoryView):
        def slot(self, *_: bytes) -> bytes | None:
            raise OSError("the disk is gone")

    on = probe()
    on.reset(Failing({PROBE: Allocation(nonce=1, code=code_of(0x7F))}))
    with pytest.raises(OSError, match="the disk is gone"):
        call(on, PROBE, asking("add", 1))


@pytest.mark.parametrize("kind", ["delegate", "callcode"])
def test_a_contract_runs_only_as_itself(kind: str) -> None:
    on = probe()
    for target, data in ((PROBE, asking("add", 1)), (SPIRIT, calling("decimals"))):
        result = call(on, FORWARDERS[kind], target.rjust(32, b"\0") + data)
        assert (result.exit, result.output) == (Exit.REVERT, Error("NotDelegable()")().data)


def test_a_delegated_account_does_not_become_a_contract() -> None:
    view = state()
    view.put(CAROL, Allocation(nonce=1, balance=5, code=b"\xef\x01\x00" + SPIRIT))
    result = call(executor(view=view), CAROL, calling("decimals"))
    assert (result.exit, result.output) == (Exit.REVERT, Error("NotDelegable()")().data)


def test_an_id_that_nobody_has_says_so() -> None:
    result = call(probe(), address_of(0x20), b"")
    (reason,) = Error("Error(string reason)").decode(result.output) or ("",)
    assert (result.exit, reason) == (Exit.REVERT, "no native contract has the id 0x20")


def test_the_code_of_a_contract_elsewhere_is_no_contract() -> None:
    view = state()
    view.put(CAROL, Allocation(nonce=1, code=code_of(2)))
    result = call(executor(view=view), CAROL, calling("decimals"))
    assert (result.exit, result.output) == (Exit.REVERT, Error("NotDelegable()")().data)


def test_frames_nest_to_their_bound_and_gas_comes_back() -> None:
    on = probe()
    result = call(on, PROBE, asking("dive"), gas_limit=10_000_000)
    assert answer(result, "dive") == lib.GHOST_CONTRACT_FRAMES_MAX
    assert result.gas_used < 1_000_000


def test_the_deepest_stack_is_within_what_python_allows() -> None:
    """Else the depth of whoever calls would decide. 25 frames of their own in each call."""
    on = probe()
    result = call(on, PROBE, asking("dive_from_below", 25), gas_limit=10_000_000)
    assert result.success
    assert answer(call(on, PROBE, asking("total")), "total") == lib.GHOST_CONTRACT_FRAMES_MAX


def test_calls_go_through_engines_and_back() -> None:
    """Native, EVM, native: and a revert in the middle undoes exactly what it should."""
    on = probe()
    inner = FORWARDERS["call"], PROBE.rjust(32, b"\0") + asking("add", 3)
    outer = call(on, PROBE, asking("relay", *inner))
    assert int.from_bytes(answer(outer, "relay"), "big") == 3
    failing = FORWARDERS["call"], PROBE.rjust(32, b"\0") + asking("refuse")
    result = call(on, PROBE, asking("relay", *failing))
    assert (result.exit, result.output) == (Exit.REVERT, Probe.Refused(4).data)
    assert answer(call(on, PROBE, asking("total")), "total") == 3


def test_value_moves_with_calls() -> None:
    on = probe()
    result = call(on, PROBE, asking("relay", CAROL, b""), value=9)
    assert result.success
    balance = call(on, GCC, calling("balanceOf", CAROL))
    assert int.from_bytes(balance.output, "big") == 9


def test_a_static_call_holds_for_all_it_calls() -> None:
    on = probe()
    data = asking("peek", FORWARDERS["call"], PROBE.rjust(32, b"\0") + asking("add", 1))
    assert call(on, PROBE, data).exit == Exit.REVERT
    data = asking("peek", SPIRIT, calling("transfer", BOB, 1))
    assert call(on, PROBE, data, sender=ALICE).exit == Exit.REVERT
    assert int.from_bytes(call(on, SPIRIT, calling("balanceOf", BOB)).output, "big") == 0


def test_native_balance_is_moved_by_its_contract_alone() -> None:
    assert call(probe(), PROBE, asking("take_native", ALICE)).exit == Exit.PRECOMPILE_FAILED


def test_burning_the_coin_lowers_its_supply_when_the_block_ends() -> None:
    view = state()
    on = executor(view=view)
    burn = Message(sender=ALICE, to=GCC, data=calling("burn", 400), gas_limit=100_000)
    batch: Any = MessageBatch([burn])
    result = on.run_block(replace(ENVIRONMENT, fork=Fork.CANCUN), batch)
    assert [outcome.success for outcome in result.outcomes] == [True]
    view.apply(result)
    on.commit()
    assert supply(view, GCC) == 10**18 + 5_000 - 400
    assert balance(view, ALICE) == 10**18 - 400


def test_an_endless_loop_ends_with_its_gas() -> None:
    result = call(probe(), PROBE, asking("loop"), gas_limit=200_000)
    assert (result.exit, result.gas_used) == (Exit.OUT_OF_GAS, 200_000)


def test_the_lock_holds_across_engines() -> None:
    result = call(probe(), PROBE, asking("locked", PROBE))
    assert (result.exit, result.output) == (Exit.REVERT, NativeContract.ReentrantCall().data)


def test_an_executor_without_contracts_stops_at_one() -> None:
    bare = Executor(state())
    with pytest.raises(ExecutorFailed):
        call(bare, SPIRIT, calling("decimals"))


def test_without_the_hybrid_rules_the_code_is_only_bytes() -> None:
    message = Message(sender=ALICE, to=SPIRIT, data=calling("decimals"), gas_limit=100_000)
    result = executor().call(replace(ENVIRONMENT, hybrid=False), message, flags=KEEP)
    assert result.exit == Exit.UNDEFINED_OPCODE


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TOKENS), st.sampled_from(sorted(Token.METHODS)), st.binary(max_size=260))
def test_no_call_data_breaks_a_token(token: Address, selector: bytes, rest: bytes) -> None:
    """Whatever comes: an answer or a revert, never a bug."""
    result = call(executor(), token, selector + rest)
    assert result.exit in (Exit.SUCCESS, Exit.REVERT)


def test_executors_run_contracts_side_by_side() -> None:
    """Each in its thread, none sees another's words."""

    def count(thread: int) -> int:
        on = probe()
        for _ in range(60):
            assert call(on, PROBE, asking("add", thread)).success
        return int(answer(call(on, PROBE, asking("total")), "total"))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(1, 9))) == [60 * thread for thread in range(1, 9)]
