"""The example contracts in every language against their Solidity originals: the same calls, good
and bad, must give the same results, revert data, events and storage."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostchain.crypto.keccak import keccak256
from tests.wasm import build
from tests.wasm.machines import CONTRACT, SENDERS, OnExecutor, OnHost, Step

LANGUAGES = sorted(build.BUILDERS)
# The first call of a small module in a block pays about so much for being loaded.
LOADING = 13_000
PATIENT = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


def word(value: int | bytes) -> bytes:
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    return number.to_bytes(32, "big")


def encoded(signature: str, *values: int | bytes) -> bytes:
    """Call data for arguments of one word each."""
    return selector(signature) + b"".join(word(value) for value in values)


# ---- what is called ----

NUMBERS = st.one_of(
    st.integers(0, 20),
    st.sampled_from([2**256 - 1, 2**256 - 2, 2**255, 2**64, 2**64 - 1, 2**128 - 1]),
    st.integers(0, 2**256 - 1),
)
HOLDERS = st.sampled_from([*SENDERS, bytes(20)])


def whole(signature: str, *arguments: st.SearchStrategy[int | bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*arguments).map(lambda values: encoded(signature, *values))


TAKES_A_WORD = {selector("setNumber(uint256)"), selector("add(uint256)")}
COUNTER_CALLS = st.one_of(
    whole("number()"),
    whole("increment()"),
    whole("setNumber(uint256)", NUMBERS),
    whole("add(uint256)", NUMBERS),
)
TOKEN_CALLS = st.one_of(
    *(whole(f"{name}()") for name in ("name", "symbol", "decimals", "totalSupply")),
    whole("balanceOf(address)", HOLDERS),
    whole("allowance(address,address)", HOLDERS, HOLDERS),
    *(
        whole(f"{name}(address,uint256)", HOLDERS, NUMBERS)
        for name in ("transfer", "transfer", "approve", "approve", "initialize")
    ),
    whole("transferFrom(address,address,uint256)", HOLDERS, HOLDERS, NUMBERS),
    whole("transferFrom(address,address,uint256)", HOLDERS, HOLDERS, NUMBERS),
)


def damaged(calls: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Too short, too long, no address where one must be, no such function, nothing at all."""
    return st.one_of(
        st.tuples(calls, st.integers(0, 67)).map(lambda pair: pair[0][: pair[1]]),
        st.tuples(calls, st.binary(max_size=40)).map(b"".join),
        calls.map(lambda data: data[:4] + b"\x01" + data[5:]),
        st.binary(max_size=80),
    )


def steps(calls: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[Step]]:
    datas = st.one_of(calls, calls, calls, calls, damaged(calls))
    values = st.sampled_from([0] * 9 + [1])
    return st.lists(st.builds(Step, st.integers(0, 3), datas, values), max_size=12)


@cache
def module(language: str, name: str) -> bytes:
    return build.BUILDERS[language](name)


def original(name: str) -> bytes:
    return bytes.fromhex(build.solidity()[name]["code"][2:])


@cache
def original_if_here(name: str) -> bytes | None:
    """None without solc: what is left is the node against the host in Python."""
    with suppress(pytest.skip.Exception):
        return original(name)
    return None


def compare(language: str, name: str, solidity: str, calls: list[Step]) -> None:
    """Solidity in the EVM, and the module on the node's host and on the one in Python."""
    code = original_if_here(solidity)
    wanted = OnExecutor({CONTRACT: code}) if code is not None else None
    node = OnExecutor({CONTRACT: module(language, name)})
    host = OnHost({CONTRACT: module(language, name)})
    for step in calls:
        seen = node.run(step)
        assert host.run(step) == seen, step
        if wanted is not None:
            assert wanted.run(step) == seen, step


# ---- the tests ----


@pytest.mark.parametrize("language", LANGUAGES)
def test_counter_is_the_solidity_counter(language: str) -> None:
    module(language, "counter")  # skips before Hypothesis begins

    @PATIENT
    @given(steps(COUNTER_CALLS))
    def check(calls: list[Step]) -> None:
        compare(language, "counter", "Counter", calls)

    check()
    original("Counter")  # says by a skip that it was not compared with


def test_stylus_counter_is_the_solidity_counter() -> None:
    """A contract of the Stylus SDK's, for calls that follow the ABI; what it makes of others is
    its own matter, but the node's host and the one in Python must agree on it."""
    code = build.stylus()
    wanted_code = original("Counter")

    @PATIENT
    @given(steps(COUNTER_CALLS), st.booleans())
    def check(calls: list[Step], follows: bool) -> None:
        wanted = OnExecutor({CONTRACT: wanted_code})
        node, host = OnExecutor({CONTRACT: code}), OnHost({CONTRACT: code})
        for step in calls:
            regular = len(step.data) == (36 if step.data[:4] in TAKES_A_WORD else 4)
            if follows and not regular:
                continue
            seen = node.run(step)
            assert host.run(step) == seen, step
            if follows:
                assert wanted.run(step) == seen, step

    check()


@pytest.mark.parametrize("language", LANGUAGES)
def test_token_is_openzeppelins(language: str) -> None:
    module(language, "erc20")

    @PATIENT
    @given(st.integers(0, 3), st.sampled_from([0, 1_000, 2**256 - 1]), steps(TOKEN_CALLS))
    def check(holder: int, supply: int, calls: list[Step]) -> None:
        first = Step(0, encoded("initialize(address,uint256)", SENDERS[holder], supply))
        compare(language, "erc20", "Token", [first, *calls])

    check()
    original("Token")


@pytest.mark.parametrize("language", LANGUAGES)
def test_keccak_is_keccak(language: str) -> None:
    """Every length around one and two blocks, and the loop."""
    host = OnHost({CONTRACT: module(language, "keccak")})
    for length in (0, 1, 31, 32, 33, 135, 136, 137, 271, 272, 273, 1_000):
        message = bytes(range(256)) * 4
        data = encoded("hash(bytes)", 32, length) + message[:length].ljust(
            -(-length // 32) * 32, b"\0"
        )
        assert host.run(Step(0, data)).output == keccak256(message[:length]), length
    value = bytes(32)
    for _ in range(5):
        value = keccak256(value)
    assert host.run(Step(0, encoded("loop(uint32)", 5))).output == value
    assert not host.run(Step(0, encoded("loop(uint32)", 2**32))).success
    assert not host.run(Step(0, encoded("hash(bytes)", 32, 33) + bytes(32))).success
    assert not host.run(Step(0, encoded("hash(bytes)", 2**32 - 1))).success


def test_keccak_in_solidity_is_keccak() -> None:
    """What speeds are compared with computes the same."""
    executor = OnExecutor({CONTRACT: original("Keccak")})
    seen = executor.run(Step(0, encoded("loop(uint32)", 2)))
    assert seen.output == keccak256(keccak256(bytes(32)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_computing_costs_a_fraction(language: str) -> None:
    """What docs/wasm-contracts.md promises: the loop for a fiftieth of the EVM's gas."""
    step = Step(0, encoded("loop(uint32)", 20))
    spent = []
    for code in (original("Keccak"), module(language, "keccak")):
        result = OnExecutor({CONTRACT: code}).call(step)
        assert result.success
        spent.append(result.gas_used - result.gas_intrinsic - LOADING)
    assert spent[0] > 50 * spent[1]


@PATIENT
@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 200), st.integers(1, 99))
def test_sorting(numbers: list[int], count: int, seed: int) -> None:
    """In C and in Solidity, alike and right."""
    data = encoded("sort(uint64[])", 32, len(numbers), *numbers)
    host = OnHost({CONTRACT: module("c", "sort")})
    executor = OnExecutor({CONTRACT: original("Sorter")})
    sorted_words = b"".join(word(number) for number in (32, len(numbers), *sorted(numbers)))
    assert host.run(Step(0, data)).output == sorted_words
    assert executor.run(Step(0, data)).output == sorted_words
    random = Step(0, encoded("sortRandom(uint32,uint32)", count, seed))
    assert host.run(random) == executor.run(random)
