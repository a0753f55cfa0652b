"""The framework for native contracts: dispatch, guards, storage layout, errors, nested calls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ghostchain.contracts.framework import (
    Address,
    Array,
    Bytes4,
    Bytes32,
    Error,
    Event,
    Int256,
    Mapping,
    NativeContract,
    Queue,
    Record,
    Revert,
    Slot,
    UInt8,
    UInt64,
    UInt128,
    UInt256,
    external,
    receive,
    require,
    view,
)
from ghostchain.contracts.framework.testing import Halted, Reverted, World
from ghostchain.crypto.keccak import keccak256

HERE = Address(b"\x01" * 20)
THERE = Address(b"\x02" * 20)
PLAIN = Address(b"\x03" * 20)


class Entry(Record):
    total: UInt256
    owner: Address
    until: UInt64
    is_open: bool
    small: UInt8
    tag: Bytes4
    inner: Mapping[Address, UInt256]


class Point(Record):
    x: UInt128
    y: UInt128
    z: UInt256


@dataclass(frozen=True)
class Pair:
    left: UInt256
    right: str


class Sample(NativeContract):
    ID = 0x7F

    total = Slot[UInt256](0)
    text = Slot[str](1)
    owner = Slot[Address](2)
    counts = Mapping[Address, UInt256](3)
    nested = Mapping[Address, Mapping[Bytes32, UInt256]](4)
    entries = Mapping[Address, Entry](5)
    points = Array[Point](6)
    words = Array[UInt256](7)
    waiting = Mapping[Address, Queue[Point]](8)
    names = Mapping[str, Address](9)

    Counted = Event("Counted(address indexed who, uint256 count, string why)")
    TooMuch = Error("TooMuch(uint256 given, uint256 most)")

    @external
    def count(self, by: UInt256) -> UInt256:
        if by > 100:
            raise self.TooMuch(by, 100)
        self.total += by
        self.counts[self.msg.sender] += by
        self.emit(self.Counted, self.msg.sender, self.total, "because")
        return self.total

    @external(name="count")
    def count_one(self) -> None:
        self.count(1)

    @external
    def lower(self, by: UInt256) -> None:
        self.total -= by

    @external
    def divide(self, by: UInt256) -> UInt256:
        return self.total // by

    @external(payable=True)
    def donate(self) -> UInt256:
        return self.msg.value

    @receive
    def accept(self) -> None:
        self.total += self.msg.value

    @view
    def pair(self, given: Pair, more: list[UInt256]) -> tuple[Pair, Int256]:
        return Pair(given.left + len(more), given.right.upper()), -sum(more)

    @view(name="total")
    def read_total(self) -> UInt256:
        return self.total

    @external
    def fill(self) -> None:
        entry = self.entries[self.msg.sender]
        entry.total = 5
        entry.owner = THERE
        entry.until = 2**64 - 1
        entry.is_open = True
        entry.small = 7
        entry.tag = b"abcd"
        entry.inner[HERE] = 9
        self.nested[HERE][b"\x11" * 32] = 3
        self.names["a name longer than one word of storage"] = HERE
        self.text = "x" * 40
        self.owner = THERE

    @external
    def shorten(self, text: str) -> str:
        self.text = text
        return self.text

    @external
    def crowd(self) -> UInt256:
        point = self.points.add()
        point.x, point.y, point.z = 1, 2, 3
        self.words.append(4)
        self.words.append(5)
        self.words.pop()
        queue = self.waiting[self.msg.sender]
        for z in range(3):
            queue.add().z = z
        queue.drop()
        return queue[0].z * 100 + len(queue) * 10 + sum(self.words)

    @external
    def past_the_end(self) -> UInt256:
        return self.words[len(self.words)]

    @external
    def broken(self) -> None:
        raise KeyError("a bug")

    @external
    def forward(self, to: Address, by: UInt256) -> UInt256:
        self.total += 1
        return self.at(Sample, to).count(by)

    @external
    def catch(self, to: Address, by: UInt256) -> bool:
        success, _ = self.try_call(to, Sample.method("count(uint256)").encode_call([by]))
        return success

    @external
    def peek(self, to: Address) -> UInt256:
        return self.at(Sample, to).read_total()

    @external(locked=True)
    def reenter(self, depth: UInt256) -> None:
        if depth:
            self.at(Sample, self.address).reenter(depth - 1)

    @external
    def dive(self) -> None:
        self.total += 1
        self.try_call(self.address, self.msg.data)

    @external
    def demand(self) -> None:
        require(False, "no reason is good enough")


@pytest.fixture
def world() -> World:
    return World({HERE: Sample, THERE: Sample})


ALICE = World({}).person("alice")


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def place(key: bytes, slot: int) -> int:
    return int.from_bytes(keccak256(key.rjust(32, b"\0") + word(slot)), "big")


def test_a_call_changes_storage_writes_a_log_and_returns(world: World) -> None:
    assert world.send(ALICE, HERE, Sample.count, 5) == 5
    assert world.storage[(HERE, 0)] == 5
    assert world.storage[(HERE, place(ALICE, 3))] == 5
    (log,) = world.logs
    assert (log.name, log.values) == ("Counted", {"who": ALICE, "count": 5, "why": "because"})
    assert log.topics == (keccak256(b"Counted(address,uint256,string)"), ALICE.rjust(32, b"\0"))


def test_a_name_may_have_several_functions(world: World) -> None:
    world.send(ALICE, HERE, Sample.count_one)
    assert world.read(HERE, Sample.read_total) == 1
    with pytest.raises(LookupError, match="2 functions count"):
        Sample.method("count")


def test_a_custom_error_undoes_the_call(world: World) -> None:
    with pytest.raises(Reverted) as refusal:
        world.send(ALICE, HERE, Sample.count, 101)
    assert (refusal.value.name, refusal.value.values) == ("TooMuch", (101, 100))
    with pytest.raises(Reverted) as refusal:
        world.send(ALICE, HERE, Sample.demand)
    assert (refusal.value.name, refusal.value.values) == ("Error", ("no reason is good enough",))


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        (Sample.lower, (1,), 0x11),
        (Sample.divide, (0,), 0x12),
        (Sample.past_the_end, (), 0x32),
    ],
)
def test_arithmetic_and_indices_outside_their_range_panic(
    world: World, function: object, arguments: tuple[int, ...], code: int
) -> None:
    with pytest.raises(Reverted) as refusal:
        world.send(ALICE, HERE, function, *arguments)
    assert (refusal.value.name, refusal.value.values) == ("Panic", (code,))


@pytest.mark.parametrize(
    "data",
    [
        b"\x12",
        b"\x12\x34\x56\x78",
        Sample.method("count(uint256)").selector + bytes(31),
        Sample.method("forward").selector + b"\1" + bytes(63),
        Sample.method("pair").selector + word(2**64) + word(64),
        Sample.method("pair").selector + word(64) + word(32),
        Sample.method("shorten").selector + word(32) + word(2) + b"\xff\xfe" + bytes(30),
    ],
)
def test_what_is_not_a_call_reverts_without_data(world: World, data: bytes) -> None:
    with pytest.raises(Reverted) as refusal:
        world.transact(ALICE, HERE, data)
    assert refusal.value.data == b""


def test_many_pointers_to_one_array_are_paid_for() -> None:
    """Else a megabyte of call data decodes to gigabytes."""

    class Lists(NativeContract):
        @external
        def take(self, lists: list[list[UInt256]]) -> None: ...

    count = 2_000
    inner = word(count) + word(1) * count
    data = word(32) + word(count) + word(32 * count) * count + inner
    selector = Lists.method("take").selector
    with pytest.raises(Halted) as halt:
        World({HERE: Lists}).transact(ALICE, HERE, selector + data)
    assert halt.value.exit == 2


def test_value_goes_only_where_it_is_taken(world: World) -> None:
    rich = world.person("rich", balance=10)
    with pytest.raises(Reverted):
        world.send(rich, HERE, Sample.count, 1, value=1)
    assert world.send(rich, HERE, Sample.donate, value=4) == 4
    world.transact(rich, HERE, b"", value=1)
    assert world.storage[(HERE, 0)] == 1
    assert world.balances[rich] == 5
    assert world.balances[HERE] == 5


def test_a_static_call_changes_nothing(world: World) -> None:
    method = Sample.method("count(uint256)")
    with pytest.raises(Halted) as halt:
        world.transact(ALICE, HERE, method.encode_call([1]), is_static=True)
    assert halt.value.exit == 8


def test_structs_lists_and_several_results(world: World) -> None:
    assert world.read(HERE, Sample.pair, Pair(1, "left"), [2, 3]) == (Pair(3, "LEFT"), -5)


def test_storage_lies_as_solidity_lays_it_out(world: World) -> None:
    world.send(ALICE, HERE, Sample.fill)
    storage = {key: value for (_, key), value in world.storage.items() if value}
    first = place(ALICE, 5)
    packed = int.from_bytes(THERE, "big") | (2**64 - 1) << 160 | 1 << 224 | 7 << 232
    name = b"a name longer than one word of storage"
    long_text = int.from_bytes(keccak256(word(1)), "big")
    assert storage == {
        first: 5,
        first + 1: packed,
        first + 2: int.from_bytes(b"abcd", "big"),
        place(HERE, first + 3): 9,
        int.from_bytes(keccak256(b"\x11" * 32 + word(place(HERE, 4))), "big"): 3,
        int.from_bytes(keccak256(name + word(9)), "big"): int.from_bytes(HERE, "big"),
        1: 81,
        long_text: int.from_bytes(b"x" * 32, "big"),
        long_text + 1: int.from_bytes(b"x" * 8 + bytes(24), "big"),
        2: int.from_bytes(THERE, "big"),
    }
    assert world.send(ALICE, HERE, Sample.shorten, "short") == "short"
    assert not world.storage[(HERE, long_text)]
    assert not world.storage[(HERE, long_text + 1)]
    assert world.storage[(HERE, 1)] == int.from_bytes(b"short" + bytes(26) + b"\x0a", "big")


def test_arrays_and_queues(world: World) -> None:
    assert world.send(ALICE, HERE, Sample.crowd) == 1 * 100 + 2 * 10 + 4
    first = int.from_bytes(keccak256(word(6)), "big")
    assert world.storage[(HERE, 6)] == 1
    assert world.storage[(HERE, first)] == 1 | 2 << 128
    assert world.storage[(HERE, first + 1)] == 3
    assert world.storage[(HERE, place(ALICE, 8))] == 3 << 128 | 1


def test_a_bug_takes_the_gas_and_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Halted) as halt:
        world.send(ALICE, HERE, Sample.broken)
    assert halt.value.exit == 14
    assert world.gas_used == 30_000_000
    assert "a bug" in caplog.text


def test_contracts_call_each_other_and_a_revert_undoes_both(world: World) -> None:
    assert world.send(ALICE, HERE, Sample.forward, THERE, 7) == 7
    assert world.storage[(HERE, 0)] == 1
    with pytest.raises(Reverted) as refusal:
        world.send(ALICE, HERE, Sample.forward, THERE, 101)
    assert refusal.value.name == "TooMuch"
    assert world.storage[(HERE, 0)] == 1
    assert world.send(ALICE, HERE, Sample.catch, THERE, 101) is False
    assert world.send(ALICE, HERE, Sample.peek, THERE) == 7


def test_a_call_to_nothing_reverts(world: World) -> None:
    with pytest.raises(Reverted):
        world.send(ALICE, HERE, Sample.forward, PLAIN, 1)


def test_what_answers_out_of_type_reverts(world: World) -> None:
    world.contracts[PLAIN] = lambda message: b"short"
    with pytest.raises(Reverted) as refusal:
        world.send(ALICE, HERE, Sample.forward, PLAIN, 1)
    assert refusal.value.data == b""


def test_a_locked_function_is_not_entered_twice(world: World) -> None:
    world.send(ALICE, HERE, Sample.reenter, 0)
    with pytest.raises(Reverted) as refusal:
        world.send(ALICE, HERE, Sample.reenter, 1)
    assert refusal.value.name == "ReentrancyGuardReentrantCall"
    world.send(ALICE, HERE, Sample.reenter, 0)


def test_frames_nest_to_their_bound(world: World) -> None:
    world.send(ALICE, HERE, Sample.dive)
    assert world.storage[(HERE, 0)] == 64


def test_gas_is_that_of_the_table_and_the_evm(world: World) -> None:
    world.send(ALICE, HERE, Sample.count, 1)
    entry = 1_500 + 2 * 3 + 18 + 18
    slots = 2_100 + 20_000 + 2 * 42 + 2_100 + 20_000 + 2 * 100
    log = 375 * 3 + 8 * 128 + 18 * 6
    assert world.gas_used == entry + slots + log


def test_time_passes_when_the_test_says_so(world: World) -> None:
    world.block = replace(world.block, timestamp=5)
    assert world.block.timestamp == 5


def test_the_interface_is_generated() -> None:
    abi = {(entry["type"], entry.get("name")): entry for entry in Sample.abi()}
    assert abi[("function", "pair")] == {
        "type": "function",
        "name": "pair",
        "inputs": [
            {
                "name": "given",
                "type": "tuple",
                "components": [
                    {"name": "left", "type": "uint256"},
                    {"name": "right", "type": "string"},
                ],
            },
            {"name": "more", "type": "uint256[]"},
        ],
        "outputs": [
            {
                "name": "",
                "type": "tuple",
                "components": [
                    {"name": "left", "type": "uint256"},
                    {"name": "right", "type": "string"},
                ],
            },
            {"name": "", "type": "int256"},
        ],
        "stateMutability": "view",
    }
    assert abi[("event", "Counted")]["inputs"][0] == {
        "name": "who",
        "type": "address",
        "indexed": True,
    }
    assert ("receive", None) in abi


def test_a_declaration_that_makes_no_sense_is_refused() -> None:
    for declaration in (Slot(0), Slot[float](0)):
        with pytest.raises((TypeError, RuntimeError)):  # Python 3.11 wraps the first
            type("Wrong", (NativeContract,), {"total": declaration})
    with pytest.raises(ValueError, match="not a signature"):
        Event("Counted uint256")
    assert isinstance(Sample.TooMuch(1, 2), Revert)
