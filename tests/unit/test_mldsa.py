"""ML-DSA-65 beside another implementation of FIPS 204, and what is no signature."""

from __future__ import annotations

import random

import pytest
from dilithium_py.ml_dsa import ML_DSA_65

from ghostchain.crypto import mldsa

SEED = bytes(range(32))
MESSAGE = b"\x47" * 32


def test_keys_are_those_of_the_other_library() -> None:
    for chance in (random.Random(44678), random.Random(1)):
        seed = chance.randbytes(32)
        assert mldsa.public_key_of(seed) == ML_DSA_65.key_derive(seed)[0]


def test_each_verifies_the_others_signatures() -> None:
    public_key, secret_key = ML_DSA_65.key_derive(SEED)
    theirs = ML_DSA_65.sign(secret_key, MESSAGE)
    ours = mldsa.sign(SEED, MESSAGE)
    assert mldsa.verify(public_key, MESSAGE, theirs)
    assert mldsa.verify(public_key, MESSAGE, ours)
    assert ML_DSA_65.verify(public_key, MESSAGE, ours)
    # With a context it is a signature for another purpose.
    assert not mldsa.verify(public_key, MESSAGE, ML_DSA_65.sign(secret_key, MESSAGE, ctx=b"x"))


def test_broken_signatures_are_judged_as_by_the_other_library() -> None:
    """Bits of every part: the challenge, the vector, and the hints, of which an encoding that is
    not the shortest would be a second signature."""
    chance = random.Random(44678)
    public_key = mldsa.public_key_of(SEED)
    signature = mldsa.sign(SEED, MESSAGE)
    places = [*range(0, 48, 16), *range(48, 3_248, 800), *range(3_248, 3_309, 6)]
    for place in places:
        broken = bytearray(signature)
        broken[place] ^= 1 << chance.randrange(8)
        assert not mldsa.verify(public_key, MESSAGE, bytes(broken))
        assert not ML_DSA_65.verify(public_key, MESSAGE, bytes(broken))


def test_hints_have_one_encoding() -> None:
    """The same hints in another order, and bytes where there are none, are refused."""
    public_key = mldsa.public_key_of(SEED)
    signature = bytearray(mldsa.sign(SEED, MESSAGE))
    hints, counts = 3_248, signature[3_303:]
    first = next((count for count in counts if count), 0)
    total = counts[-1]
    if first >= 2:
        swapped = bytearray(signature)
        swapped[hints], swapped[hints + 1] = swapped[hints + 1], swapped[hints]
        assert not mldsa.verify(public_key, MESSAGE, bytes(swapped))
    if total < 55:
        padded = bytearray(signature)
        padded[hints + total] = 1
        assert not mldsa.verify(public_key, MESSAGE, bytes(padded))
    assert first >= 2 or total < 55


@pytest.mark.parametrize("seed_length", [0, 31, 33, 64])
def test_wrong_lengths_are_refused(seed_length: int) -> None:
    public_key, signature = mldsa.public_key_of(SEED), mldsa.sign(SEED, MESSAGE)
    assert not mldsa.verify(public_key[:-1], MESSAGE, signature)
    assert not mldsa.verify(public_key, MESSAGE, signature + b"\x00")
    assert not mldsa.verify(b"", MESSAGE, b"")
    with pytest.raises(ValueError, match="a seed has 32 bytes"):
        mldsa.sign(bytes(seed_length), MESSAGE)


def test_bytes_that_are_no_key_verify_nothing() -> None:
    """Every 1,952 bytes decode to a key; none of these signed anything, and nothing is raised."""
    chance = random.Random(44678)
    signature = mldsa.sign(SEED, MESSAGE)
    for key in (bytes(1_952), b"\xff" * 1_952, chance.randbytes(1_952)):
        assert not mldsa.verify(key, MESSAGE, signature)
        assert not mldsa.verify(key, MESSAGE, bytes(3_309))
