"""The node's host functions against those in Python, over random sequences of calls to them: from
one contract, and across contracts that call, delegate and look at each other, to the last byte of
result, log, storage and balance.

The contract makes the host calls that its call data lists (`tests.oracle.wasm_world.interpreter`),
so that a program is data, and shrinks."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostchain.execution.executor import Exit
from ghostchain.execution.views import Allocation
from tests.oracle.wasm_world import DATA, HOSTS, call, interpreter, module, script
from tests.wasm.machines import CONTRACT, OTHER, OnExecutor, OnHost, Step
from tests.wasm.test_examples import word

# Where in a contract's memory things lie: words to read, words to write, an address of each kind,
# results, and the call data of a nested call.
WORDS = [DATA + 32 * index for index in range(8)]
PLACES = [DATA + 0x100 + 32 * index for index in range(4)]
ADDRESSES = [DATA + 0x180 + 20 * index for index in range(4)]
KEPT = DATA + 0x1E0
LENGTH = DATA + 0x1E8
NESTED = DATA + 0x200
OUTSIDE = 0xFFFFFFF0
NOBODY = b"\x77" * 20
BALANCE = 1_000
# What tells of gas, and what exists only on one side.
LEFT_OUT = {"evm_gas_left", "evm_ink_left", "pay_for_memory_grow", "read_args", "exit_early"}
CALLS = {"call_contract", "delegate_call_contract", "static_call_contract"}
CREATIONS = {"create1", "create2"}
NUMBERS = st.one_of(
    st.integers(0, 3), st.sampled_from([2**255, 2**256 - 1, 2**64]), st.integers(0, 2**256 - 1)
)
MADE = module("(i32.const 0)")


@dataclass(frozen=True, slots=True)
class Program:
    """Calls to make, with the words that lie in memory, and how the contract ends."""

    calls: tuple[bytes, ...]
    words: tuple[int, ...]
    nested: bytes
    status: int

    @property
    def data(self) -> bytes:
        lying = b"".join(word(number) for number in self.words).ljust(0x180, b"\0")
        addresses = CONTRACT + OTHER + NOBODY + bytes(20)
        lying = (lying + addresses).ljust(NESTED - DATA, b"\0")
        return script(self.calls, lying + self.nested, status=self.status)


def word_place(draw: st.DrawFn) -> int:
    return draw(st.sampled_from([*WORDS] * 8 + [OUTSIDE]))


@st.composite
def host_call(draw: st.DrawFn, nested_length: int, creates: bool) -> bytes:
    """One call whose places mostly lie where they should."""
    names = set(HOSTS) - LEFT_OUT - (CALLS if creates else CREATIONS)
    name = draw(st.sampled_from(sorted(names)))
    address = draw(st.sampled_from(ADDRESSES))
    first, second, third = (word_place(draw) for _ in range(3))
    out = draw(st.sampled_from(PLACES))
    small = draw(st.integers(0, 40))
    inputs = (NESTED, nested_length)
    given_arguments: dict[str, tuple[int, ...]] = {
        "call_contract": (address, *inputs, first, 2**64 - 1, LENGTH),
        "delegate_call_contract": (address, *inputs, 2**64 - 1, LENGTH),
        "static_call_contract": (address, *inputs, 2**64 - 1, LENGTH),
        "create1": (NESTED, nested_length, first, out, LENGTH),
        "create2": (NESTED, nested_length, first, second, out, LENGTH),
        "write_result": (first, small),
        "storage_flush_cache": (small % 3,),
        "read_return_data": (
            out,
            small,
            draw(st.sampled_from([0, 5, 32, 2**32 - 1]) if small else st.just(4)),
        ),
        "emit_log": (first, draw(st.integers(0, 160)), draw(st.integers(0, 5))),
        "account_balance": (address, out),
        "account_code": (address, small, draw(st.integers(0, 32)), out),
        "account_codehash": (address, out),
        "account_code_size": (address,),
        "native_keccak256": (first, small, out),
    }
    arguments = given_arguments.get(name, (first, second, third)[: len(HOSTS[name][0])])
    return call(name, *arguments, keep=KEPT)


@st.composite
def programs(draw: st.DrawFn, depth: int = 2) -> Program:
    """A program, and the one that it sends along when it calls."""
    creates = not depth or draw(st.integers(0, 4)) == 0
    nested = draw(st.sampled_from([b"", MADE])) if creates else draw(programs(depth - 1)).data
    calls = draw(st.lists(host_call(len(nested), creates), max_size=10))
    words = draw(st.lists(NUMBERS, min_size=8, max_size=8))
    return Program(tuple(calls), tuple(words), nested, draw(st.sampled_from([0, 0, 0, 1, 7])))


def balances(of: OnExecutor | OnHost) -> list[int]:
    if isinstance(of, OnHost):
        return [of.world.account(address).balance for address in (CONTRACT, OTHER)]
    records = [of.view.accounts[address] for address in (CONTRACT, OTHER)]
    return [int.from_bytes(record[8:40], "big") for record in records]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(st.lists(programs(), min_size=1, max_size=3), st.integers(0, 5))
def test_hosts_agree(sent: list[Program], value: int) -> None:
    codes = {CONTRACT: interpreter(), OTHER: interpreter()}
    node, host = OnExecutor(codes), OnHost(codes)
    for address in codes:
        account = Allocation(nonce=1, balance=BALANCE, code=codes[address])
        node.view.put(address, account)
        host.world.account(address).balance = BALANCE
    for program in sent:
        step = Step(0, program.data, value)
        seen, wanted = node.run(step), host.run(step)
        if node.call(step).exit == Exit.OUT_OF_GAS:
            return  # only the node meters, and what comes after depends on it
        assert seen == wanted
        assert node.storage(OTHER) == host.storage(OTHER)
        assert balances(node) == balances(host)
