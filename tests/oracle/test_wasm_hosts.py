"""Every host function of WASM contracts against what it means, written again in Python."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.execution.executor import Exit
from ghostchain.execution.views import Allocation
from tests.oracle.wasm_world import (
    CONTRACT,
    DATA,
    ENVIRONMENT,
    HOSTS,
    OTHER,
    SENDER,
    World,
    call,
    evm_call,
    interpreter,
    module,
    number,
    script,
    word,
)

MODULUS = 2**256


def world() -> World:
    return World({CONTRACT: interpreter(), OTHER: interpreter()})


def run(calls: list[bytes], data: bytes = b"", **options: int) -> bytes:
    """What lies at DATA after the calls."""
    result = world().send(CONTRACT, script(calls, data), **options)
    assert result.exit == Exit.SUCCESS, result.exit
    return result.output


# ---- arguments, result, end ----


def test_args_and_result_are_bytes_as_given() -> None:
    """read_args, write_result and the parameter of the entry point."""
    code = module(
        "(call $read_args (i32.const 64)) (call $write_result (i32.const 64) (local.get $length))"
        " (i32.const 0)"
    )
    for length in (0, 1, 31, 32, 33, 5000):
        data = random.Random(length).randbytes(length)
        assert World({CONTRACT: code}).send(CONTRACT, data).output == data


@pytest.mark.parametrize("status", [0, 1, 2, 0xFFFFFFFF])
@pytest.mark.parametrize("early", [False, True])
def test_status_zero_succeeds_and_any_other_reverts(status: int, early: bool) -> None:
    calls = [call("write_result", DATA, 4)]
    if early:
        calls += [call("exit_early", status), call("math_div", 0xFFFFFFFF, 0)]
    done = world().send(CONTRACT, script(calls, b"\1\2\3\4", length=4, status=status))
    assert done.exit == (Exit.REVERT if status else Exit.SUCCESS)
    assert done.output == b"\1\2\3\4"
    assert done.gas_used < 400_000, "what is left is given back"


def test_result_is_as_it_was_when_written() -> None:
    code = module(
        "(i32.store8 (i32.const 0) (i32.const 7)) (call $write_result (i32.const 0) (i32.const 1))"
        "(i32.store8 (i32.const 0) (i32.const 8)) (i32.const 0)"
    )
    assert World({CONTRACT: code}).send(CONTRACT).output == b"\7"


# ---- what is around ----


def test_block_transaction_and_message() -> None:
    names = [
        ("block_basefee", word(ENVIRONMENT.base_fee)),
        ("block_coinbase", ENVIRONMENT.coinbase.ljust(32, b"\0")),
        ("contract_address", CONTRACT.ljust(32, b"\0")),
        ("msg_sender", SENDER.ljust(32, b"\0")),
        ("msg_value", word(5)),
        ("tx_gas_price", word(9)),
        ("tx_origin", SENDER.ljust(32, b"\0")),
    ]
    calls = [call(name, DATA + 32 * index) for index, (name, _) in enumerate(names)]
    output = run(calls, value=5, price=9)
    for index, (name, expected) in enumerate(names):
        assert output[32 * index : 32 * index + 32] == expected, name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("block_gas_limit", ENVIRONMENT.gas_limit),
        ("block_number", ENVIRONMENT.number),
        ("block_timestamp", ENVIRONMENT.timestamp),
        ("chainid", ENVIRONMENT.chain_id),
        ("msg_reentrant", 0),
        ("return_data_size", 0),
        ("tx_ink_price", 10_000),
    ],
)
def test_numbers(name: str, expected: int) -> None:
    assert number(run([call(name, keep=DATA)])) == expected


def test_gas_left_is_ink_left_rounded_down() -> None:
    output = run([call("evm_ink_left", keep=DATA), call("evm_gas_left", keep=DATA + 8)])
    ink, gas = number(output), number(output[8:])
    assert 0 <= ink // 10_000 - gas < 50, "what the second call cost lies between"


def test_delegated_code_sees_the_caller_s_message() -> None:
    """contract_address, msg_sender and msg_value under DELEGATECALL are those of the caller."""
    calls = [
        call("contract_address", DATA),
        call("msg_sender", DATA + 32),
        call("msg_value", DATA + 64),
    ]
    caller = evm_call("delegatecall", OTHER, data=script(calls, length=96))
    output = World({CONTRACT: caller, OTHER: interpreter()}).send(CONTRACT, value=3).output
    assert output == word(1) + CONTRACT.ljust(32, b"\0") + SENDER.ljust(32, b"\0") + word(3)


# ---- arithmetic and hashing ----

WORDS = (0, 1, 2, 3, 7, 2**64 - 1, 2**64, 2**128 + 5, 2**255, MODULUS - 2, MODULUS - 1)
OF_TWO: dict[str, Callable[[int, int], int]] = {
    "math_div": lambda a, b: a // b if b else 0,
    "math_mod": lambda a, b: a % b if b else 0,
    "math_pow": lambda a, b: pow(a, b, MODULUS),
}
OF_THREE: dict[str, Callable[[int, int, int], int]] = {
    "math_add_mod": lambda a, b, n: (a + b) % n if n else 0,
    "math_mul_mod": lambda a, b, n: a * b % n if n else 0,
}


def samples(count: int, arity: int) -> list[tuple[int, ...]]:
    chance = random.Random(arity)
    return [
        tuple(
            chance.choice(WORDS) if chance.random() < 0.5 else chance.getrandbits(256)
            for _ in range(arity)
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", [*OF_TWO, *OF_THREE])
def test_arithmetic_takes_the_first_word_s_place(name: str) -> None:
    work = OF_TWO.get(name) or OF_THREE[name]
    arity = len(HOSTS[name][0])
    calls = [call(name, *[DATA + 32 * index for index in range(arity)])]
    there = world()
    for numbers in samples(150, arity):
        output = there.send(CONTRACT, script(calls, b"".join(map(word, numbers)))).output
        assert output[:32] == word(work(*numbers)), (name, numbers)
        assert output[32 : 32 * arity] == b"".join(map(word, numbers[1:]))


@pytest.mark.parametrize("length", [0, 1, 135, 136, 137, 3000])
def test_keccak(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert run([call("native_keccak256", DATA, length, DATA)], data)[:32] == keccak256(data)


# ---- storage ----

KEY, VALUE, OUT = DATA, DATA + 32, DATA + 64
LOAD = call("storage_load_bytes32", KEY, OUT)
CACHE = call("storage_cache_bytes32", KEY, VALUE)
FLUSH = call("storage_flush_cache", 0)
CLEAR = call("storage_flush_cache", 1)


def load(there: World, key: int = 1) -> int:
    output = there.send(CONTRACT, script([LOAD], word(key))).output
    return int.from_bytes(output[64:96], "big")


def test_what_is_cached_is_read_back_and_persists_only_when_flushed() -> None:
    there = world()
    data = word(1) + word(77)
    assert there.send(CONTRACT, script([CACHE, LOAD], data)).output[64:96] == word(77)
    assert load(there) == 0
    assert there.send(CONTRACT, script([CACHE, FLUSH, LOAD], data)).output[64:96] == word(77)
    assert load(there) == 77
    assert load(there, 2) == 0


def spent(there: World, calls: list[bytes], data: bytes, idle: int = 0) -> int:
    """Gas between two readings around the calls, less what they cost beside the state."""
    first, last = DATA + 0x800, DATA + 0x808
    timed = [call("evm_gas_left", keep=first), *calls, call("evm_gas_left", keep=last)]
    output = there.send(CONTRACT, script(timed, data, length=0x810)).output
    return number(output[0x800:]) - number(output[0x808:]) - idle


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0, 5, 22_100), (5, 6, 5_000), (5, 0, 5_000), (5, 5, 2_200), (0, 0, 2_200)],
)
def test_flushed_slots_cost_what_the_evm_takes(before: int, after: int, expected: int) -> None:
    """EIP-2929 and EIP-2200: the first access of the slot is the write."""
    data = word(1) + word(before)
    there = world()
    if before:
        there.view.put(CONTRACT, Allocation(1, 1, interpreter(), {word(1): word(before)}))
    idle = spent(there, [CACHE], data)
    data = word(1) + word(after)
    assert spent(there, [CACHE, FLUSH], data, idle) in range(expected, expected + 12)


def test_a_known_value_is_not_written_again() -> None:
    there = world()
    data = word(1) + word(0)
    idle = spent(there, [LOAD], data)
    assert spent(world(), [LOAD, CACHE, FLUSH], data, idle) < 30


def test_a_slot_is_charged_as_cold_once_and_then_as_cached() -> None:
    none, one, two, three = (spent(world(), [LOAD] * count, word(1)) for count in range(4))
    assert 2_100 < one - none < 2_150
    assert abs((two - one) - (three - two)) <= 1
    assert two - one < 20


def test_many_slots_are_kept_apart() -> None:
    """More than are searched one by one, with keys that differ in one bit."""
    keys = [1 << bit for bit in range(0, 256, 5)]
    calls, data = [], b""
    for index, key in enumerate(keys):
        at = DATA + 64 * index
        calls.append(call("storage_cache_bytes32", at, at + 32))
        data += word(key) + word(key ^ 0xABC)
    there = world()
    assert there.send(CONTRACT, script([*calls, CLEAR], data)).exit == Exit.SUCCESS
    loads = [
        call("storage_load_bytes32", DATA + 64 * index, DATA + 64 * index + 32)
        for index in range(len(keys))
    ]
    output = there.send(CONTRACT, script([*loads, *loads], data, length=len(data))).output
    assert output == data


def test_clearing_forgets_what_was_not_written() -> None:
    """After a flush with clear, a load asks the state again."""
    calls = [LOAD, CLEAR, call("storage_load_bytes32", KEY, VALUE)]
    there = world()
    once = spent(there, [LOAD], word(9))
    again = spent(world(), calls, word(9), once)
    assert 100 < again < 180, "a warm load, and no longer a cached one"


def test_transient_storage_lives_for_the_transaction() -> None:
    store = call("transient_store_bytes32", KEY, VALUE)
    there = world()
    calls = [store, call("transient_load_bytes32", KEY, OUT)]
    assert there.send(CONTRACT, script(calls, word(3) + word(5))).output[64:96] == word(5)
    assert there.send(CONTRACT, script(calls[1:], word(3))).output[64:96] == word(0)


@pytest.mark.parametrize(
    "calls",
    [
        [CACHE, FLUSH],
        [call("transient_store_bytes32", KEY, VALUE)],
        [call("emit_log", DATA, 32, 1)],
        [call("create1", DATA, 0, VALUE, OUT, OUT)],
        [call("call_contract", KEY, 0, 0, VALUE, 2**63, OUT)],
    ],
    ids=["flush", "transient", "log", "create", "value"],
)
def test_a_static_call_may_change_nothing(calls: list[bytes]) -> None:
    data = script(calls, word(1) + word(1))
    plain = World({CONTRACT: evm_call("call", OTHER, data=data), OTHER: interpreter()})
    static = World({CONTRACT: evm_call("staticcall", OTHER, data=data), OTHER: interpreter()})
    assert plain.send(CONTRACT).output[:32] == word(1)
    result = static.send(CONTRACT)
    assert result.output == word(0)
    assert result.gas_used > 9_000_000, "all gas of the frame"


# ---- calls ----

TO, AMOUNT, LENGTH, REST = DATA, DATA + 32, DATA + 64, DATA + 96
ALL_GAS = 2**63


@pytest.mark.parametrize("kind", ["call", "delegate_call", "static_call"])
def test_calls_give_input_and_take_what_comes_back(kind: str) -> None:
    echo = bytes.fromhex("365f5f37365ff3")  # CALLDATACOPY, RETURN
    fails = bytes.fromhex("365f5f37365ffd")
    halts = b"\xfe"
    payload = random.Random(1).randbytes(70)
    middle = [AMOUNT] if kind == "call" else []
    for code, status, returned in ((echo, 0, payload), (fails, 1, payload), (halts, 2, b"")):
        calls = [
            call(f"{kind}_contract", TO, REST, 70, *middle, 50_000, LENGTH, keep=REST + 256),
            call("return_data_size", keep=REST + 264),
            call("read_return_data", REST + 128, 0, 1000, keep=REST + 272),
            call("read_return_data", REST + 280, 60, 5, keep=REST + 288),
        ]
        data = OTHER.ljust(32, b"\0") + word(0) * 2 + payload
        there = World({CONTRACT: interpreter(), OTHER: code})
        output = there.send(CONTRACT, script(calls, data)).output
        assert number(output[96 + 256 :]) == status
        assert int.from_bytes(output[64:68], "little") == len(returned)
        assert number(output[96 + 264 :]) == len(returned)
        assert output[224 : 224 + len(returned)] == returned
        assert number(output[96 + 272 :]) == len(returned)
        assert output[96 + 280 :][: len(returned[60:65])] == returned[60:65]
        assert number(output[96 + 288 :]) == len(returned[60:65])


def test_value_moves_with_a_call_and_comes_back_with_a_revert() -> None:
    data = OTHER.ljust(32, b"\0") + word(10**17)
    calls = [
        call("call_contract", TO, 0, 0, AMOUNT, ALL_GAS, LENGTH, keep=REST),
        call("account_balance", TO, REST + 32),
    ]
    for code, expected in ((b"", 10**18 + 10**17), (bytes.fromhex("5f5ffd"), 10**18)):
        there = World({CONTRACT: interpreter(), OTHER: code})
        output = there.send(CONTRACT, script(calls, data)).output
        assert output[128:160] == word(expected)
    there = World({CONTRACT: interpreter(), OTHER: b""})
    output = there.send(CONTRACT, script(calls, data[:32] + word(10**19))).output
    assert number(output[96:]) == 2, "more than there is"


def test_a_callee_gets_the_gas_asked_for_and_at_most_63_64ths() -> None:
    gas_left = bytes.fromhex("5a5f5260205ff3")  # GAS, MSTORE(0), RETURN(0, 32)
    there = World({CONTRACT: interpreter(), OTHER: gas_left})
    for asked in (20_000, ALL_GAS):
        calls = [
            call("static_call_contract", TO, 0, 0, asked, LENGTH),
            call("read_return_data", REST, 0, 32),
            call("evm_gas_left", keep=DATA),
        ]
        output = there.send(CONTRACT, script(calls, OTHER)).output
        seen, left = int.from_bytes(output[96:128], "big"), number(output)
        if asked == 20_000:
            assert seen == 20_000 - 2
        else:
            assert seen > 62 * left / 64
            assert left > (seen + left) / 64


def test_reentrance_is_seen_through_any_engine() -> None:
    """A contract that is entered again knows; one that only borrows code or is entered first does
    not."""
    inner = script([call("msg_reentrant", keep=DATA)], length=8)
    outer = [
        call("call_contract", TO, REST, len(inner), AMOUNT, ALL_GAS, LENGTH),
        call("read_return_data", DATA, 0, 64),
    ]
    through_evm = World({CONTRACT: interpreter(2), OTHER: evm_call("call", CONTRACT, data=inner)})
    data = word(0) * 3 + inner
    output = through_evm.send(CONTRACT, script(outer, OTHER + data[20:])).output
    assert number(output[32:]) == 1
    output = through_evm.send(CONTRACT, script(outer, CONTRACT + data[20:])).output
    assert number(output) == 1
    borrowed = World({CONTRACT: interpreter(2), OTHER: interpreter()})
    outer[0] = call("delegate_call_contract", TO, REST, len(inner), ALL_GAS, LENGTH)
    output = borrowed.send(CONTRACT, script(outer, OTHER + data[20:])).output
    assert number(output) == 0


# ---- creations ----


def test_creations_land_where_ethereum_says() -> None:
    init_code = bytes.fromhex("6001600c60003960016000f300")  # deploys one zero byte
    salt = word(0x5A17)
    address_1 = keccak256(rlp.encode([CONTRACT, b"\1"]))[12:]
    address_2 = keccak256(b"\xff" + CONTRACT + salt + keccak256(init_code))[12:]
    data = word(0) + salt + word(7) + init_code
    at = DATA + 96
    there = world()
    first = [call("create1", at, len(init_code), DATA, DATA + 128, DATA + 160)]
    assert there.send(CONTRACT, script(first, data)).output[128:148] == address_1
    second = [
        call("create2", at, len(init_code), DATA, DATA + 32, DATA + 128, DATA + 160),
        call("account_code_size", DATA + 128, keep=DATA + 192),
    ]
    output = there.send(CONTRACT, script(second, data)).output
    assert output[128:148] == address_2
    assert number(output[192:]) == 1


def test_a_failed_creation_gives_zero_and_the_revert_data() -> None:
    init_code = bytes.fromhex("63deadbeef5f526004601cfd")
    calls = [
        call("create1", DATA + 64, len(init_code), DATA, DATA + 128, DATA + 160),
        call("read_return_data", DATA + 192, 0, 32),
    ]
    output = run(calls, word(0) * 2 + init_code)
    assert output[128:148] == bytes(20)
    assert output[160:164] == (4).to_bytes(4, "little")
    assert output[192:196] == bytes.fromhex("deadbeef")


# ---- logs and accounts ----


@pytest.mark.parametrize("topics", range(5))
def test_logs_begin_with_their_topics(topics: int) -> None:
    data = random.Random(topics).randbytes(32 * topics + 50)
    result = world().send(CONTRACT, script([call("emit_log", DATA, len(data), topics)], data))
    (log,) = result.logs
    assert log.address == CONTRACT
    assert list(log.topics) == [data[32 * i : 32 * i + 32] for i in range(topics)]
    assert log.data == data[32 * topics :]


@pytest.mark.parametrize(("length", "topics"), [(160, 5), (63, 2), (32, 0xFFFFFFFF), (0, 1 << 27)])
def test_logs_with_impossible_topics_trap(length: int, topics: int) -> None:
    result = world().send(CONTRACT, script([call("emit_log", DATA, length, topics)]))
    assert result.exit == Exit.WASM_TRAP


def test_accounts() -> None:
    code = random.Random(5).randbytes(100)
    there = World({CONTRACT: interpreter(), OTHER: b"\0" + code}, balance=12345)
    calls = [
        call("account_balance", DATA, DATA + 32),
        call("account_codehash", DATA, DATA + 64),
        call("account_code_size", DATA, keep=DATA + 96),
        call("account_code", DATA, 90, 500, DATA + 128, keep=DATA + 104),
        call("account_code", DATA, 500, 5, DATA + 160, keep=DATA + 112),
        call("account_codehash", DATA + 192, DATA + 224),
    ]
    data = OTHER.ljust(192, b"\0") + b"\x99" * 20
    output = there.send(CONTRACT, script(calls, data)).output
    assert output[32:64] == word(12345)
    assert output[64:96] == keccak256(b"\0" + code)
    assert number(output[96:]) == 101
    assert number(output[104:]) == 11
    assert output[128:139] == (b"\0" + code)[90:]
    assert number(output[112:]) == 0
    assert output[224:256] == bytes(32), "an account that is not there has no code hash"
