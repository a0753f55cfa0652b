"""Keccak-256 on every SIMD path, beside pycryptodome."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from Crypto.Hash import keccak as pycryptodome_keccak
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto import keccak
from ghostchain.crypto.keccak import keccak256, keccak256_batch

RATE = 136

# Digests that the Ethereum documents name.
KNOWN = {
    b"": "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
    b"abc": "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
    b"\x80": "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    b"\xc0": "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    b"Transfer(address,address,uint256)": (
        "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    ),
}


def oracle(data: bytes) -> bytes:
    return pycryptodome_keccak.new(digest_bits=256, data=data).digest()


@pytest.fixture(params=(0, 1, 2), ids=("portable", "avx2", "avx512"), autouse=True)
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    before = keccak.level()
    if keccak.set_level(request.param) != request.param:
        keccak.set_level(before)
        pytest.skip("this CPU has no such level")
    yield request.param
    keccak.set_level(before)


def test_known_digests() -> None:
    """One at a time and together."""
    assert [keccak256(message).hex() for message in KNOWN] == list(KNOWN.values())
    assert [digest.hex() for digest in keccak256_batch(list(KNOWN))] == list(KNOWN.values())


def test_every_length_about_four_blocks() -> None:
    """Each place of the padding within a block, across block borders."""
    data = random.Random(1).randbytes(4 * RATE + 2)
    messages = [data[:length] for length in range(len(data) + 1)]
    expected = [oracle(message) for message in messages]
    assert [keccak256(message) for message in messages] == expected
    assert keccak256_batch(messages) == expected


@pytest.mark.parametrize("count", range(20))
def test_batches_of_every_small_size(count: int) -> None:
    """Lanes idle at the end, or from the start."""
    messages = [bytes([i]) * 40 for i in range(count)]
    assert keccak256_batch(messages) == [oracle(message) for message in messages]


@given(
    lengths=st.lists(
        st.one_of(
            st.integers(0, 3 * RATE),
            st.sampled_from((RATE - 1, RATE, RATE + 1, 6 * RATE, 40 * RATE)),
        ),
        max_size=40,
    ),
    seed=st.integers(0, 2**32),
)
def test_unequal_lengths_in_one_batch(lengths: list[int], seed: int) -> None:
    """Lanes are refilled as messages end, long ones first; digests keep the order of messages."""
    chance = random.Random(seed)
    messages = [chance.randbytes(length) for length in lengths]
    before = keccak.level()
    for tried in (0, 1, 2):
        keccak.set_level(tried)
        assert keccak256_batch(messages) == [oracle(message) for message in messages]
    keccak.set_level(before)


@pytest.mark.parametrize("position", [0, 7, 8, 63])
def test_one_long_message_among_short_ones(position: int) -> None:
    """It ends alone, after the other lanes have run dry."""
    chance = random.Random(position)
    messages = [chance.randbytes(20) for _ in range(64)]
    messages[position] = chance.randbytes(24_000)
    assert keccak256_batch(messages) == [oracle(message) for message in messages]


def test_any_alignment_and_any_buffer() -> None:
    """Messages may start at any byte of any buffer."""
    data = bytearray(random.Random(2).randbytes(400))
    for start in range(17):
        view = memoryview(data)[start : start + 300]
        assert keccak256(view) == oracle(bytes(view))
    assert keccak256(data) == oracle(bytes(data))


def test_level_is_capped_by_the_cpu() -> None:
    """A level that the CPU lacks is not entered."""
    assert keccak.set_level(-5) == 0
    assert keccak.set_level(99) == keccak.level() <= 2
