"""The interpreter, an instruction at a time against Python's integers and bytes, and whole random
programs against revm (pyrevm)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallFlag,
    CallResult,
    Executor,
    Exit,
    Message,
)
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import Address

MODULUS = 1 << 256
SENDER = Address(b"\x11" * 20)
CONTRACT = Address(b"\xcc" * 20)
OTHER = Address(b"\xdd" * 20)
INTRINSIC_GAS = 21_000
FLAGS = CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK | CallFlag.NO_GAS_CAP
FLAGS |= CallFlag.NO_BASE_FEE | CallFlag.NO_BALANCE_CHECK

STOP, ADD, EXP, SUB, MSTORE, MLOAD, JUMP, JUMPI, JUMPDEST = (
    0,
    1,
    10,
    3,
    0x52,
    0x51,
    0x56,
    0x57,
    0x5B,
)
PUSH0, PUSH1, GAS, RETURN, REVERT, INVALID, CALLDATALOAD, POP = (
    0x5F,
    0x60,
    0x5A,
    0xF3,
    0xFD,
    0xFE,
    0x35,
    0x50,
)
RETURN_TOP = bytes([PUSH0, MSTORE, PUSH1, 32, PUSH0, RETURN])


def push(value: int, size: int | None = None) -> bytes:
    """The shortest PUSH of value, or the one of size bytes."""
    size = (value.bit_length() + 7) // 8 if size is None else size
    return bytes([PUSH0 + size]) + value.to_bytes(size, "big")


def environment(fork: Fork) -> BlockEnvironment:
    return BlockEnvironment(
        fork=fork,
        chain_id=1,
        number=1,
        timestamp=1,
        gas_limit=(1 << 64) - 1,
        base_fee=0,
        blob_base_fee_update_fraction=5_007_716,
        blobs_per_block_max=9,
    )


def run(
    code: bytes,
    data: bytes = b"",
    *,
    gas: int = 10_000_000,
    fork: Fork = Fork.OSAKA,
    value: int = 0,
    others: dict[bytes, bytes] | None = None,
    storage: dict[bytes, bytes] | None = None,
) -> CallResult:
    """A message to an account with that code."""
    accounts = {
        SENDER: Allocation(nonce=0, balance=10**20, code=b"", storage={}),
        CONTRACT: Allocation(nonce=1, balance=0, code=code, storage=storage or {}),
    }
    for address, other_code in (others or {}).items():
        accounts[Address(address)] = Allocation(nonce=1, balance=0, code=other_code, storage={})
    executor = Executor(MemoryView(accounts), cache_bytes_max=1 << 20)
    message = Message(sender=SENDER, to=CONTRACT, gas_limit=gas, data=data, value=value)
    return executor.call(environment(fork), message, flags=FLAGS)


def top_word(code: bytes, data: bytes = b"", **options: object) -> int:
    """What code leaves on top of the stack."""
    result = run(code + RETURN_TOP, data, **options)  # type: ignore[arg-type]
    assert result.exit is Exit.SUCCESS
    return int.from_bytes(result.output, "big")


def code_gas(result: CallResult) -> int:
    """Gas of the code alone, for a message without data."""
    return result.gas_used + result.gas_refunded - INTRINSIC_GAS


# ---- arithmetic ----


def signed(value: int) -> int:
    return value - MODULUS if value >> 255 else value


def divide_signed(a: int, b: int) -> int:
    quotient = abs(signed(a)) // abs(signed(b)) if b else 0
    return -quotient if (signed(a) < 0) != (signed(b) < 0) else quotient


def remainder_signed(a: int, b: int) -> int:
    remainder = abs(signed(a)) % abs(signed(b)) if b else 0
    return -remainder if signed(a) < 0 else remainder


def sign_extend(index: int, value: int) -> int:
    if index > 30:
        return value
    bits = 8 * index + 8
    low = value % (1 << bits)
    return low - (1 << bits) if low >> (bits - 1) else low


def byte_of(index: int, value: int) -> int:
    return value.to_bytes(32, "big")[index] if index < 32 else 0


# The top word first.
OPERATIONS: dict[int, tuple[int, Callable[..., int]]] = {
    0x01: (2, lambda a, b: a + b),
    0x02: (2, lambda a, b: a * b),
    0x03: (2, lambda a, b: a - b),
    0x04: (2, lambda a, b: a // b if b else 0),
    0x05: (2, divide_signed),
    0x06: (2, lambda a, b: a % b if b else 0),
    0x07: (2, remainder_signed),
    0x08: (3, lambda a, b, n: (a + b) % n if n else 0),
    0x09: (3, lambda a, b, n: (a * b) % n if n else 0),
    0x0A: (2, lambda a, b: pow(a, b, MODULUS)),
    0x0B: (2, sign_extend),
    0x10: (2, lambda a, b: a < b),
    0x11: (2, lambda a, b: a > b),
    0x12: (2, lambda a, b: signed(a) < signed(b)),
    0x13: (2, lambda a, b: signed(a) > signed(b)),
    0x14: (2, lambda a, b: a == b),
    0x15: (1, lambda a: a == 0),
    0x16: (2, lambda a, b: a & b),
    0x17: (2, lambda a, b: a | b),
    0x18: (2, lambda a, b: a ^ b),
    0x19: (1, lambda a: ~a),
    0x1A: (2, byte_of),
    0x1B: (2, lambda a, b: b << a if a < 256 else 0),
    0x1C: (2, lambda a, b: b >> a if a < 256 else 0),
    0x1D: (2, lambda a, b: signed(b) >> min(a, 255)),
    0x1E: (1, lambda a: 256 - a.bit_length()),
}

# Operands of every length, and those beside the places where carries and signs change.
WORDS = st.one_of(
    st.integers(0, 300),
    st.integers(0, MODULUS - 1),
    st.integers(0, 256).flatmap(lambda bits: st.integers(0, (1 << bits) - 1)),
    st.sampled_from([1 << bits for bits in range(0, 256, 8)]),
    st.sampled_from([(1 << bits) - 1 for bits in range(1, 257)]),
    st.sampled_from([MODULUS - (1 << bits) for bits in range(256)]),
)


@pytest.mark.parametrize("opcode", sorted(OPERATIONS), ids=hex)
@given(operands=st.lists(WORDS, min_size=3, max_size=3), case=st.integers(0, 5))
def test_arithmetic(opcode: int, operands: list[int], case: int) -> None:
    """An operation is Python's, whether its operands are constants or come from outside."""
    count, expected = OPERATIONS[opcode]
    operands = operands[:count]
    if case == 0:
        operands[-1] = operands[0]
    data = b"".join(word.to_bytes(32, "big") for word in operands)
    wanted = int(expected(*operands)) % MODULUS
    constants = b"".join(push(word) for word in reversed(operands))
    loads = [push(32 * place) + bytes([CALLDATALOAD]) for place in range(count)]
    assert top_word(constants + bytes([opcode])) == wanted
    assert top_word(b"".join(reversed(loads)) + bytes([opcode]), data) == wanted
    # one operand known, the others not
    for place in range(count):
        mixed = [*loads[:place], push(operands[place]), *loads[place + 1 :]]
        assert top_word(b"".join(reversed(mixed)) + bytes([opcode]), data) == wanted


def test_count_leading_zeros_begins_with_osaka() -> None:
    """EIP-7939."""
    code = push(1) + bytes([0x1E, STOP])
    for fork in (Fork.CANCUN, Fork.PRAGUE):
        assert run(code, fork=fork).exit is Exit.UNDEFINED_OPCODE
    assert run(code).exit is Exit.SUCCESS


# ---- stack ----


@pytest.mark.parametrize("depth", range(1, 17))
def test_dup_and_swap(depth: int) -> None:
    """DUPn copies the n-th word, SWAPn exchanges the top with the one n below."""
    words = b"".join(push(value) for value in range(100, 117))
    assert top_word(words + bytes([0x7F + depth])) == 117 - depth
    assert top_word(words + bytes([0x8F + depth])) == 116 - depth
    assert top_word(words + bytes([0x8F + depth, *[POP] * depth])) == 116


@pytest.mark.parametrize("size", range(33))
def test_push(size: int) -> None:
    """PUSHn takes n bytes, zeroes where the code ends first."""
    value = int.from_bytes(bytes(range(1, size + 1)), "big")
    assert top_word(push(value, size)) == value
    assert run(push(value, size)[:-1] if size else b"").exit is Exit.SUCCESS


def test_stack_limits() -> None:
    """1,024 words fit; one more and one less than there are do not."""
    assert run(bytes([PUSH0]) * 1024).exit is Exit.SUCCESS
    assert run(bytes([PUSH0]) * 1025).exit is Exit.STACK_OVERFLOW
    assert run(bytes([PUSH0]) * 1024 + bytes([0x80])).exit is Exit.STACK_OVERFLOW
    assert run(bytes([PUSH0]) * 1024 + bytes([0x9F])).exit is Exit.SUCCESS
    assert run(bytes([PUSH0, ADD])).exit is Exit.STACK_UNDERFLOW
    assert run(bytes([PUSH0, POP, POP])).exit is Exit.STACK_UNDERFLOW
    assert run(bytes([*[PUSH0] * 16, 0x9F])).exit is Exit.STACK_UNDERFLOW
    loop = bytes([JUMPDEST, PUSH0, PUSH0, JUMP])
    assert run(loop).exit is Exit.STACK_OVERFLOW


# ---- control ----


def test_jumps_reach_only_destinations() -> None:
    """A JUMPDEST byte inside a PUSH is none; neither is anything past the end."""
    inside = push(3) + bytes([JUMP, 0x61, JUMPDEST, JUMPDEST, STOP])
    assert run(inside).exit is Exit.BAD_JUMP
    assert run(push(1 << 64) + bytes([JUMP])).exit is Exit.BAD_JUMP
    assert run(push(3) + bytes([JUMP, JUMPDEST])).exit is Exit.SUCCESS
    assert run(push(4) + bytes([JUMP, JUMPDEST])).exit is Exit.BAD_JUMP
    assert run(push(200) + bytes([JUMP, JUMPDEST])).exit is Exit.BAD_JUMP
    dynamic = bytes([PUSH0, CALLDATALOAD, JUMP, JUMPDEST, STOP, INVALID])
    assert run(dynamic, (3).to_bytes(32, "big")).exit is Exit.SUCCESS
    for target in (0, 1, 4, 5, 6, 100, 1 << 32, (1 << 64) - 1, (1 << 64) + 3, 1 << 255):
        assert run(dynamic, target.to_bytes(32, "big")).exit is Exit.BAD_JUMP


@given(condition=WORDS, is_constant=st.booleans())
def test_conditional_jump(condition: int, is_constant: bool) -> None:
    """JUMPI goes where any bit of the condition is set, and only then looks at the target."""
    load = push(condition) if is_constant else bytes([PUSH0, CALLDATALOAD])
    data = condition.to_bytes(32, "big")
    for target, taken in ((len(load) + 4, Exit.SUCCESS), (0, Exit.BAD_JUMP)):
        code = load + push(target, 1) + bytes([JUMPI, INVALID, JUMPDEST, STOP])
        assert run(code, data).exit is (taken if condition else Exit.INVALID_OPCODE)


def test_loop_over_every_form_of_jump() -> None:
    """A countdown through a subroutine: static, dynamic, conditional, backwards and onwards."""
    code = bytearray(push(1000))
    top = len(code)
    code += bytes([JUMPDEST]) + push(top + 8, 1) + bytes([0x90]) + push(top + 18, 1) + bytes([JUMP])
    assert len(code) == top + 7
    code += bytes([INVALID, JUMPDEST, 0x80]) + push(top, 1) + bytes([JUMPI, 0x80])
    code += bytes([STOP, INVALID, INVALID, INVALID])
    assert len(code) == top + 18
    code += bytes([JUMPDEST]) + push(1) + bytes([0x90, SUB, 0x90, JUMP])
    result = run(bytes(code))
    assert result.exit is Exit.SUCCESS
    # JUMPDEST PUSH SWAP PUSH JUMP, JUMPDEST PUSH SWAP SUB SWAP JUMP, JUMPDEST DUP PUSH JUMPI
    per_turn = (1 + 3 + 3 + 3 + 8) + (1 + 3 + 3 + 3 + 3 + 8) + (1 + 3 + 3 + 10)
    assert code_gas(result) == 3 + 1000 * per_turn + 3


def test_undefined_instructions_take_all_gas() -> None:
    for opcode in (0x0C, 0x1F, 0x21, 0x4B, 0xA5, 0xB0, 0xEF, 0xF6, 0xFB):
        result = run(bytes([opcode]), gas=100_000)
        assert (result.exit, result.gas_used) == (Exit.UNDEFINED_OPCODE, 100_000)
    assert run(bytes([INVALID]), gas=100_000).gas_used == 100_000


# ---- gas ----


def test_gas_is_exact_wherever_it_is_seen() -> None:
    """GAS shows what is left after itself, however the code around it is cut into blocks."""
    gas = 100_000
    for before in range(5):
        code = bytes([PUSH0, POP]) * before + bytes([GAS])
        for after in range(3):
            rest = bytes([PUSH0, POP]) * after
            seen = top_word(code + rest, gas=gas)
            assert seen == gas - INTRINSIC_GAS - 4 * before - 2
    twice = bytes([GAS, GAS, 0x90, SUB])
    assert top_word(twice) == 2


@pytest.mark.parametrize(
    "code",
    [
        bytes([PUSH0, PUSH0, ADD, POP]) * 7,
        push(70) + bytes([PUSH0, MSTORE]) + push(5000) + bytes([MLOAD]),
        push(3) + bytes([JUMP, JUMPDEST, PUSH0, PUSH0, 0x55]),
        push(1000) + push(77) + bytes([EXP, 0x80, POP]),
        push(100) + push(3) + bytes([0x20]),
        push(64) + bytes([PUSH0]) + push(31) + bytes([0x37]),
        push(40) + bytes([PUSH0]) + push(11) + bytes([0x5E]),
        push(9) + push(8) + push(70) + push(3) + bytes([0xA2]),
        push(1) + push(1) + bytes([0x55]) + bytes([PUSH0]) + push(1) + bytes([0x55]),
        push(1) + push(1) + bytes([0x5D]) + push(1) + bytes([0x5C]),
        bytes([0x30, 0x31]) + push(0x99) + bytes([0x3B]) + push(0x99) + bytes([0x3F]),
    ],
    ids=lambda code: code.hex()[:24],
)
def test_success_needs_exactly_the_gas_that_is_used(code: bytes) -> None:
    """With what it used a program succeeds, with anything less it fails and keeps nothing."""
    enough = run(code)
    assert enough.exit is Exit.SUCCESS
    used = enough.gas_used + enough.gas_refunded
    # a store wants 2,300 more than it takes (EIP-2200)
    margin = 2301 if 0x55 in code else 0
    assert run(code, gas=used + margin).exit is Exit.SUCCESS
    for gas in {used - 1, used - 2, (used + INTRINSIC_GAS) // 2, INTRINSIC_GAS + 1}:
        if gas >= INTRINSIC_GAS and gas < used:
            result = run(code, gas=gas)
            assert (result.exit, result.gas_used) == (Exit.OUT_OF_GAS, gas)


@given(value=st.integers(0, MODULUS - 1))
def test_exponent_costs_by_its_bytes(value: int) -> None:
    result = run(push(value, 32) + push(3) + bytes([EXP]))
    assert code_gas(result) == 3 + 3 + 10 + 50 * ((value.bit_length() + 7) // 8)


# ---- memory ----


def memory_gas(size: int) -> int:
    words = (size + 31) // 32
    return 3 * words + words * words // 512


@given(offset=st.integers(0, 100_000), value=WORDS, shift=st.integers(0, 40))
def test_memory(offset: int, value: int, shift: int) -> None:
    """What MSTORE wrote MLOAD finds, also from beside; the price is that of the furthest byte."""
    stored = push(value) + push(offset) + bytes([MSTORE])
    loaded = top_word(stored + push(offset + shift) + bytes([MLOAD]))
    wanted = (value.to_bytes(32, "big") + bytes(40))[shift : shift + 32]
    assert loaded == int.from_bytes(wanted, "big")
    result = run(stored)
    pushes = sum(2 if word == 0 else 3 for word in (value, offset))
    assert code_gas(result) == pushes + 3 + memory_gas(offset + 32)
    assert top_word(stored + bytes([0x59])) == (offset + 32 + 31) // 32 * 32


@given(
    content=st.binary(min_size=1, max_size=100),
    target=st.integers(0, 200),
    source=st.integers(0, 200),
    size=st.integers(0, 100),
)
def test_copies(content: bytes, target: int, source: int, size: int) -> None:
    """CALLDATACOPY and CODECOPY pad with zeroes; MCOPY may overlap itself."""
    memory = bytearray(512)
    memory[: len(content)] = content
    code = push(len(content)) + bytes([PUSH0, PUSH0, 0x37])
    code += push(size) + push(source) + push(target) + bytes([0x5E])
    memory[target : target + size] = memory[source : source + size]
    code += push(size) + push(source) + push(256) + bytes([0x37])
    padded = (content + bytes(400))[source : source + size]
    memory[256 : 256 + size] = padded
    code += push(512) + bytes([PUSH0, RETURN])
    result = run(code, content)
    assert result.output == bytes(memory)
    own = push(size) + push(source) + bytes([PUSH0, 0x39]) + push(size) + bytes([PUSH0, RETURN])
    assert run(own).output == (own + bytes(400))[source : source + size]


@given(data=st.binary(max_size=80), offset=st.one_of(st.integers(0, 100), WORDS))
def test_call_data_load(data: bytes, offset: int) -> None:
    padded = data[offset : offset + 32] if offset < len(data) else b""
    wanted = int.from_bytes(padded.ljust(32, b"\0"), "big")
    assert top_word(push(offset) + bytes([CALLDATALOAD]), data) == wanted


@given(data=st.binary(max_size=300))
def test_keccak(data: bytes) -> None:
    copied = push(len(data)) + bytes([PUSH0, PUSH0, 0x37])
    hashed = top_word(copied + push(len(data)) + bytes([PUSH0, 0x20]), data)
    assert hashed == int.from_bytes(keccak256(data), "big")


# Where an instruction takes its memory offset and its size (None: a word or a byte), top first.
REACHES = {
    0x51: (0, None),
    0x52: (0, None),
    0x53: (0, None),
    0x20: (0, 1),
    0x37: (0, 2),
    0x39: (0, 2),
    0x3E: (0, 2),
    0x3C: (1, 3),
    0x5E: (1, 2),
    0xA0: (0, 1),
    0xF0: (1, 2),
    RETURN: (0, 1),
    REVERT: (0, 1),
}


@pytest.mark.parametrize("opcode", sorted(REACHES), ids=hex)
@pytest.mark.parametrize("far", [1 << 32, (1 << 64) - 1, 1 << 64, MODULUS - 1])
def test_memory_out_of_reach(opcode: int, far: int) -> None:
    """No offset or size is too large to be refused for its gas."""
    offset, size = REACHES[opcode]
    for at, length in ((far, 1), (1, far), (far, far)):
        operands = [1] * 4
        operands[offset] = at
        if size is None and at == 1:
            continue
        if size is not None:
            operands[size] = length
        code = b"".join(push(word) for word in reversed(operands)) + bytes([opcode])
        result = run(code, gas=1_000_000)
        assert result.exit is Exit.OUT_OF_GAS, operands


def test_return_data_is_not_padded() -> None:
    """EIP-211: RETURNDATACOPY past the end is an error, even of nothing."""
    call = bytes([PUSH0] * 5) + push(int.from_bytes(OTHER, "big"), 20) + bytes([GAS, 0xF1])
    others = {OTHER: push(64) + bytes([PUSH0, RETURN])}
    copy = {
        (64, 0): Exit.SUCCESS,
        (0, 64): Exit.SUCCESS,
        (32, 33): Exit.RETURN_DATA_BOUNDS,
        (0, 65): Exit.RETURN_DATA_BOUNDS,
        (0, MODULUS - 1): Exit.RETURN_DATA_BOUNDS,
    }
    for (size, start), wanted in copy.items():
        code = call + push(size) + push(start) + bytes([PUSH0, 0x3E])
        assert run(code, others=others).exit is wanted
    assert top_word(call + bytes([0x3D]), others=others) == 64


# ---- calls ----


def test_frames_reach_the_depth_limit() -> None:
    """1,024 calls within each other, each with a stack and memory of its own."""
    myself = push(int.from_bytes(CONTRACT, "big"), 20)
    # memory[0] = call data + 1; call itself with it; return what the call returned, or memory[0]
    code = bytes([PUSH0, CALLDATALOAD]) + push(1) + bytes([ADD, PUSH0, MSTORE])
    code += (
        push(32) + bytes([PUSH0]) + push(32) + bytes([PUSH0, PUSH0]) + myself + bytes([GAS, 0xF1])
    )
    code += bytes([POP]) + push(32) + bytes([PUSH0, RETURN])
    result = run(code, gas=1 << 50)
    assert int.from_bytes(result.output, "big") == 1025


def test_static_frames_change_nothing() -> None:
    """Each instruction that writes ends a static frame (EIP-214, EIP-1153)."""
    writers = [
        bytes([PUSH0, PUSH0, 0x55]),
        bytes([PUSH0, PUSH0, 0x5D]),
        bytes([PUSH0, PUSH0, 0xA0]),
        bytes([PUSH0, PUSH0, PUSH0, 0xF0]),
        bytes([PUSH0, PUSH0, PUSH0, PUSH0, 0xF5]),
        bytes([PUSH0, 0xFF]),
        bytes([PUSH0] * 4) + push(1) + bytes([PUSH0, GAS, 0xF1]),
    ]
    call = (
        bytes([PUSH0] * 4) + push(int.from_bytes(OTHER, "big"), 20) + push(90_000) + bytes([0xFA])
    )
    for writer in writers:
        assert top_word(call, others={OTHER: writer}) == 0, writer.hex()
        assert run(writer, value=1).exit is Exit.SUCCESS
    assert top_word(call, others={OTHER: bytes([PUSH0, 0x54, PUSH0, 0x5C])}) == 1


# ---- whole programs ----

PLAIN = [*range(0x01, 0x0C), *range(0x10, 0x1E), *range(0x30, 0x3B), 0x3D, *range(0x41, 0x4B)]
PLAIN += [0x50, 0x58, 0x59, 0x5A, 0x5F, *range(0x80, 0x90), *range(0x90, 0xA0)]
TOUCHING = [
    0x20,
    0x37,
    0x39,
    0x3B,
    0x3C,
    0x3E,
    0x3F,
    0x51,
    0x52,
    0x53,
    0x54,
    0x55,
    0x5C,
    0x5D,
    0x5E,
]
TOUCHING += [*range(0xA0, 0xA5), 0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA]
ENDING = [STOP, RETURN, REVERT, INVALID, 0xFF, JUMP, 0x0C]


def random_program(chance: random.Random) -> bytes:
    """Code that mostly keeps its stack, jumps to places that exist, and touches everything."""
    code = bytearray()
    for _ in range(12):
        code += push(
            chance.choice([0, 1, 2, 32, 64, chance.getrandbits(256), chance.getrandbits(16)])
        )
    places = [0]
    for _ in range(chance.randrange(5, 120)):
        dice = chance.random()
        if dice < 0.40:
            code.append(chance.choice(PLAIN))
        elif dice < 0.62:
            small = chance.choice(
                [0, 1, 5, 31, 32, 33, 100, 0xDD, chance.getrandbits(chance.randrange(257))]
            )
            code += push(small)
        elif dice < 0.80:
            operands = [push(chance.choice([0, 1, 2, 32, 40, 96])) for _ in range(4)]
            code += b"".join(operands)
            if chance.random() < 0.4:
                code += push(int.from_bytes(chance.choice([OTHER, CONTRACT, bytes(20)]), "big"))
                code += push(chance.choice([0, 100, 5000, 60_000]))
            code.append(chance.choice(TOUCHING))
        elif dice < 0.88:
            places.append(len(code))
            code.append(JUMPDEST)
        elif dice < 0.97:
            code += push(chance.choice(places), 2) + bytes(
                [chance.choice([JUMP, JUMPI, JUMPI, JUMPI])]
            )
        else:
            code.append(chance.choice(ENDING))
    return bytes(code)


def run_revm(code: bytes, other: bytes, data: bytes, gas: int) -> tuple[bool, int, bytes, int]:
    pyrevm = pytest.importorskip("pyrevm")
    evm = pyrevm.EVM(spec_id="CANCUN")
    evm.set_block_env(pyrevm.BlockEnv(number=1, timestamp=1, gas_limit=(1 << 64) - 1, basefee=0))
    evm.insert_account_info("0x" + SENDER.hex(), pyrevm.AccountInfo(balance=10**20))
    for address, content in ((CONTRACT, code), (OTHER, other)):
        info = pyrevm.AccountInfo(nonce=1, code=content or None)
        evm.insert_account_info("0x" + address.hex(), info)
    output = b""
    try:
        output = bytes(
            evm.message_call("0x" + SENDER.hex(), "0x" + CONTRACT.hex(), data, value=0, gas=gas)
        )
    except RuntimeError as failure:
        if "Revert" not in str(failure) and "Halt" not in str(failure):
            raise
    result = evm.result
    return result.is_success, result.gas_used, output, len(result.logs)


@given(seed=st.integers(0, 1 << 64), gas=st.sampled_from([30_000, 60_000, 150_000, 400_000]))
def test_random_programs_run_as_in_revm(seed: int, gas: int) -> None:
    """Outcome, gas, output and logs, in gas that often runs out somewhere on the way."""
    chance = random.Random(seed)
    code, other = random_program(chance), random_program(chance)
    data = chance.randbytes(chance.choice([0, 4, 36, 100]))
    success, gas_used, output, log_count = run_revm(code, other, data, gas)
    result = run(code, data, gas=gas, fork=Fork.CANCUN, others={OTHER: other})
    assert (result.success, result.gas_used) == (success, gas_used), result.exit
    if success:
        assert (result.output, len(result.logs)) == (output, log_count)


COMPUTING = [*range(0x01, 0x08), *range(0x10, 0x1E), 0x01, 0x03, 0x16, 0x10, 0x11, 0x14, 0x15, 0x19]


class DenseProgram:
    """Code without a failure in it that ends by returning its whole stack: runs of instructions as
    compilers write them (constants, DUP, SWAP, comparisons before jumps), the size of the stack
    always known."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.code = bytearray()
        self.size = 0

    def constant(self) -> None:
        bits = self.chance.choice([0, 1, 5, 6, 8, 64, 65, 160, 256])
        self.code += push(self.chance.getrandbits(bits) if bits else 0)
        self.size += 1

    def from_outside(self) -> None:
        self.code += push(self.chance.randrange(0, 64)) + bytes([CALLDATALOAD])
        self.size += 1

    def step(self) -> None:
        """One instruction, or one with its operands."""
        dice = self.chance.random()
        if self.size < 4 or (dice < 0.2 and self.size < 60):
            self.chance.choice([self.constant, self.constant, self.from_outside])()
        elif dice < 0.55:
            opcode = self.chance.choice(COMPUTING)
            self.code.append(opcode)
            self.size -= 1 if opcode not in (0x15, 0x19) else 0
        elif dice < 0.7 and self.size < 60:
            depth = self.chance.randrange(1, min(self.size, 16) + 1)
            self.code.append(0x7F + depth)
            self.size += 1
        elif dice < 0.85:
            depth = self.chance.randrange(1, min(self.size - 1, 16) + 1)
            self.code.append(0x8F + depth)
        elif dice < 0.9:
            self.code.append(POP)
            self.size -= 1
        else:
            self.memory()

    def memory(self) -> None:
        place = push(self.chance.randrange(0, 200))
        if self.chance.random() < 0.5:
            self.code += place + bytes([MLOAD])
            self.size += 1
        else:
            swap = self.chance.choice([b"", b"\x90\x90", b"\x90"])
            # behind a SWAP1 the stored word becomes the place, so it is made small first
            small = push(0xFF) + bytes([0x16]) if swap == b"\x90" else b""
            self.code += small + place + swap + bytes([MSTORE])
            self.size -= 1

    def branch(self) -> None:
        """A jump over a few instructions that leave the stack's size as it is."""
        for _ in range(self.chance.randrange(3)):
            if self.size > 3:
                self.code.append(self.chance.choice([0x10, 0x11, 0x12, 0x13, 0x14]))
                self.size -= 1
        self.code += bytes([0x15]) * self.chance.randrange(4)
        skipped = self.chance.choice(
            [b"", bytes([PUSH0, POP]), bytes([0x19]), push(7) + bytes([ADD]), bytes([0x80, ADD])]
        )
        target = len(self.code) + 4 + len(skipped)
        self.code += push(target, 2) + bytes([JUMPI]) + skipped + bytes([JUMPDEST])
        self.size -= 1

    def finish(self) -> bytes:
        for place in range(self.size):
            self.code += push(256 + 32 * place) + bytes([MSTORE])
        self.code += push(256 + 32 * self.size) + bytes([PUSH0, RETURN])
        return bytes(self.code)


@given(seed=st.integers(0, 1 << 64))
def test_dense_programs_leave_the_stack_of_revm(seed: int) -> None:
    """Every word of the stack and of memory, and the gas, after code that compilers might write."""
    chance = random.Random(seed)
    program = DenseProgram(chance)
    for _ in range(chance.randrange(5, 150)):
        if program.size > 4 and chance.random() < 0.12:
            program.branch()
        else:
            program.step()
    code, data = program.finish(), chance.randbytes(80)
    success, gas_used, output, _ = run_revm(code, b"", data, 1_000_000)
    result = run(code, data, gas=1_000_000, fork=Fork.CANCUN)
    assert success
    assert (result.exit, result.gas_used) == (Exit.SUCCESS, gas_used)
    assert result.output == output
