"""The precompiles over BLS12-381: the curve itself (EIP-2537) and KZG proofs (EIP-4844).

Oracles: py_ecc for every point, map and pairing; arkworks (Rust) for many at random; ckzg's own
prover, and a proof that needs no prover, for the point evaluation.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import ckzg
import py_arkworks_bls12381 as ark
import pytest
from py_ecc import optimized_bls12_381 as bls
from py_ecc.bls.hash_to_curve import (
    clear_cofactor_G1,
    clear_cofactor_G2,
    map_to_curve_G1,
    map_to_curve_G2,
)
from py_ecc.bls.point_compression import compress_G1

from ghostchain.crypto.kzg import trusted_setup
from ghostchain.execution import precompiles
from ghostchain.execution.precompiles import PrecompileResult

CANCUN, PRAGUE, OSAKA = 0, 1, 2
PLENTY = 1 << 50
P = bls.field_modulus
R = bls.curve_order

KZG, G1_ADD, G1_MSM, G2_ADD, G2_MSM, PAIRING, MAP_TO_G1, MAP_TO_G2 = range(0x0A, 0x12)


@pytest.fixture(params=[0, 1], ids=["portable", "simd"])
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs a test on every path this CPU has."""
    before = precompiles.level()
    if precompiles.set_level(request.param) != request.param:
        precompiles.set_level(before)
        pytest.skip("this CPU has no ADX")
    yield request.param
    precompiles.set_level(before)


def run(number: int, data: bytes, *, fork: int = PRAGUE, gas: int = PLENTY) -> PrecompileResult:
    return precompiles.run(fork, number.to_bytes(20, "big"), data, gas)


def output(number: int, data: bytes) -> bytes:
    result = run(number, data)
    assert result.success
    return result.output


def assert_fails(number: int, data: bytes, *, gas: int = PLENTY) -> None:
    assert run(number, data, gas=gas) == PrecompileResult(False, 0, b"")


def cost(number: int, data: bytes) -> int:
    taken = PLENTY - run(number, data).gas_left
    assert run(number, data, gas=taken).success
    assert_fails(number, data, gas=taken - 1)
    return taken


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def field(value: int) -> bytes:
    return value.to_bytes(64, "big")


def g1_bytes(point: Any) -> bytes:
    if bls.is_inf(point):
        return bytes(128)
    return b"".join(field(int(c)) for c in bls.normalize(point))


def g2_bytes(point: Any) -> bytes:
    if bls.is_inf(point):
        return bytes(256)
    x, y = bls.normalize(point)
    return b"".join(field(int(c)) for c in (*x.coeffs, *y.coeffs))


def g1(multiple: int) -> bytes:
    return g1_bytes(bls.multiply(bls.G1, multiple % R))


def g2(multiple: int) -> bytes:
    return g2_bytes(bls.multiply(bls.G2, multiple % R))


def g1_outside_subgroup() -> Any:
    """A point of the curve with a small x: its order is not r."""
    for x in range(1, 100):
        square = (x**3 + 4) % P
        root = pow(square, (P + 1) // 4, P)
        if root * root % P == square:
            point = (bls.FQ(x), bls.FQ(root), bls.FQ(1))
            if not bls.is_inf(bls.multiply(point, R)):
                return point
    raise AssertionError("no such point")


def g2_outside_subgroup() -> Any:
    """The map to the curve before its cofactor is cleared."""
    point = map_to_curve_G2(bls.FQ2((5, 7)))
    assert not bls.is_inf(bls.multiply(point, R))
    return point


# ---- additions ----


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize(
    ("number", "encode", "generator"),
    [(G1_ADD, g1_bytes, bls.G1), (G2_ADD, g2_bytes, bls.G2)],
    ids=["g1", "g2"],
)
def test_addition(number: int, encode: Callable[[Any], bytes], generator: Any) -> None:
    chance = random.Random(31)
    infinity = bytes(len(encode(generator)))
    for _ in range(4):
        a = bls.multiply(generator, chance.randrange(R))
        b = bls.multiply(generator, chance.randrange(R))
        assert output(number, encode(a) + encode(b)) == encode(bls.add(a, b))
        assert output(number, encode(a) + encode(a)) == encode(bls.double(a))
        assert output(number, encode(a) + encode(bls.neg(a))) == infinity
        assert output(number, encode(a) + infinity) == encode(a)
    assert output(number, infinity * 2) == infinity
    assert cost(number, infinity * 2) == {G1_ADD: 375, G2_ADD: 600}[number]


@pytest.mark.usefixtures("level")
def test_addition_does_not_ask_for_the_subgroup() -> None:
    """EIP-2537: only the curve is checked."""
    a, b = g1_outside_subgroup(), g2_outside_subgroup()
    assert output(G1_ADD, g1_bytes(a) + g1(3)) == g1_bytes(bls.add(a, bls.multiply(bls.G1, 3)))
    assert output(G2_ADD, g2_bytes(b) + g2(3)) == g2_bytes(bls.add(b, bls.multiply(bls.G2, 3)))


# ---- multi-scalar multiplication ----


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_multi_scalar_multiplication(count: int) -> None:
    """Scalars are any 32 bytes, also above r; infinity may be among the points."""
    chance = random.Random(37 + count)
    multiples = [chance.choice([0, 1, chance.randrange(R)]) for _ in range(count)]
    scalars = [chance.choice([0, 1, R, 2**256 - 1, chance.getrandbits(256)]) for _ in multiples]
    total = sum(a * b for a, b in zip(multiples, scalars, strict=True))
    left = b"".join(g1(a) + word(b) for a, b in zip(multiples, scalars, strict=True))
    assert output(G1_MSM, left) == g1(total)
    right = b"".join(g2(a) + word(b) for a, b in zip(multiples, scalars, strict=True))
    assert output(G2_MSM, right) == g2(total)


def test_multi_scalar_multiplication_costs() -> None:
    """EIP-2537's discounts at both ends of their tables and beyond."""
    left, right = g1(0) + word(0), g2(0) + word(0)
    for count, discount in ((1, 1000), (2, 949), (3, 848), (127, 520), (128, 519), (200, 519)):
        assert cost(G1_MSM, left * count) == count * 12000 * discount // 1000
    for count, discount in ((1, 1000), (2, 1000), (3, 923), (127, 524), (128, 524), (200, 524)):
        assert cost(G2_MSM, right * count) == count * 22500 * discount // 1000


@pytest.mark.usefixtures("level")
def test_multi_scalar_multiplication_asks_for_the_subgroup() -> None:
    assert_fails(G1_MSM, g1(1) + word(1) + g1_bytes(g1_outside_subgroup()) + word(1))
    assert_fails(G1_MSM, g1_bytes(g1_outside_subgroup()) + word(0))
    assert_fails(G2_MSM, g2(1) + word(1) + g2_bytes(g2_outside_subgroup()) + word(1))
    assert_fails(G2_MSM, g2_bytes(g2_outside_subgroup()) + word(0))


# ---- pairing ----


@pytest.mark.usefixtures("level")
def test_pairing_is_bilinear() -> None:
    chance = random.Random(41)
    a, b, c = (chance.randrange(R) for _ in range(3))
    pairs = g1(a) + g2(b) + g1(c) + g2(1)
    assert output(PAIRING, pairs + g1(-a * b - c) + g2(1)) == word(1)
    assert output(PAIRING, pairs + g1(1 - a * b - c) + g2(1)) == word(0)
    assert output(PAIRING, pairs) == word(0)


def test_pairing_with_infinity_and_costs() -> None:
    nothing = g1(0) + g2(5)
    for count in (1, 2, 7):
        assert output(PAIRING, nothing * count) == word(1)
        assert cost(PAIRING, nothing * count) == 37700 + 32600 * count
    assert output(PAIRING, g1(5) + g2(0)) == word(1)
    assert output(PAIRING, nothing + g1(5) + g2(1)) == word(0)


@pytest.mark.usefixtures("level")
def test_pairing_asks_for_the_subgroup() -> None:
    """Also beside infinity, where the pairing itself would be one."""
    for other in (g2(1), g2(0)):
        assert_fails(PAIRING, g1_bytes(g1_outside_subgroup()) + other)
    for other in (g1(1), g1(0)):
        assert_fails(PAIRING, other + g2_bytes(g2_outside_subgroup()))


# ---- arkworks, which is fast enough for many ----


def padded(elements: bytes) -> bytes:
    """Arkworks' 48-byte elements as EIP-2537 wants them."""
    return b"".join(bytes(16) + elements[i : i + 48] for i in range(0, len(elements), 48))


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
@pytest.mark.usefixtures("level")
def test_many_points_agree_with_arkworks(count: int) -> None:
    """Groups of 16 in sums of multiples; points that repeat, cancel, and are infinity."""
    chance = random.Random(47 + count)
    left = [ark.G1Point() * ark.Scalar(chance.choice([0, 1, 2, 5])) for _ in range(count)]
    left = [p * ark.Scalar(chance.getrandbits(128)) for p in left]
    right = [ark.G2Point() * ark.Scalar(chance.getrandbits(100)) for _ in range(count)]
    right[count // 2] = ark.G2Point.identity()
    if count > 2:
        left[1], right[1] = -left[0], -right[0]
    raw = [chance.choice([0, 1, R - 1, R, 2**256 - 1, chance.getrandbits(256)]) for _ in left]
    scalars = [ark.Scalar.from_be_bytes_mod_order(word(x)) for x in raw]
    g1_data, g2_data = ([padded(p.to_xy_bytes_be()) for p in points] for points in (left, right))
    expected = padded(ark.G1Point.multiexp_unchecked(left, scalars).to_xy_bytes_be())
    assert output(G1_MSM, interleave(g1_data, raw)) == expected
    expected = padded(ark.G2Point.multiexp_unchecked(right, scalars).to_xy_bytes_be())
    assert output(G2_MSM, interleave(g2_data, raw)) == expected
    pairs = b"".join(a + b for a, b in zip(g1_data, g2_data, strict=True))
    assert output(PAIRING, pairs) == word(ark.GT.pairing_check(left, right))
    assert output(PAIRING, pairs + closing_pairs(left, right)) == word(1)


def interleave(points: list[bytes], scalars: list[int]) -> bytes:
    return b"".join(p + word(x) for p, x in zip(points, scalars, strict=True))


def closing_pairs(left: list[Any], right: list[Any]) -> bytes:
    """The pairs that bring a product back to one, each with its first point negated."""
    return b"".join(
        padded((-p).to_xy_bytes_be()) + padded(q.to_xy_bytes_be())
        for p, q in zip(left, right, strict=True)
    )


@pytest.mark.usefixtures("level")
def test_many_maps_agree_with_arkworks() -> None:
    """Among a hundred elements both candidates of the map are taken, with both signs."""
    chance = random.Random(53)
    for _ in range(50):
        u, v = chance.randrange(P), chance.choice([0, chance.randrange(P)])
        expected = ark.G1Point.map_from_fp_be(u.to_bytes(48, "big"))
        assert output(MAP_TO_G1, field(u)) == padded(expected.to_xy_bytes_be())
        element = u.to_bytes(48, "big") + v.to_bytes(48, "big")
        expected = ark.G2Point.map_from_fp2_be(element)
        assert output(MAP_TO_G2, field(u) + field(v)) == padded(expected.to_xy_bytes_be())


# ---- maps ----


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("value", [0, 1, P - 1, 12345], ids=["zero", "one", "p-1", "other"])
def test_maps(value: int) -> None:
    """RFC 9380's simplified SWU map with its isogeny, and the cofactor cleared."""
    expected = clear_cofactor_G1(map_to_curve_G1(bls.FQ(value)))
    assert output(MAP_TO_G1, field(value)) == g1_bytes(expected)
    for other in (0, 7):
        element = bls.FQ2((value, other))
        expected = clear_cofactor_G2(map_to_curve_G2(element))
        assert output(MAP_TO_G2, field(value) + field(other)) == g2_bytes(expected)
    assert cost(MAP_TO_G1, field(value)) == 5500
    assert cost(MAP_TO_G2, field(value) * 2) == 23800


# ---- refusals that all share ----

SHAPES = {
    G1_ADD: g1(1) + g1(2),
    G1_MSM: g1(1) + word(5),
    G2_ADD: g2(1) + g2(2),
    G2_MSM: g2(1) + word(5),
    PAIRING: g1(1) + g2(1),
    MAP_TO_G1: field(1),
    MAP_TO_G2: field(1) + field(2),
}


@pytest.mark.parametrize("number", SHAPES)
def test_refuses_every_wrong_length(number: int) -> None:
    good = SHAPES[number]
    assert run(number, good).success
    for data in (b"", good[:-1], good + b"\0", good[:64] if number != MAP_TO_G1 else good * 2):
        assert_fails(number, data)
    if number in (G1_ADD, G2_ADD, MAP_TO_G1, MAP_TO_G2):
        assert_fails(number, good * 2)


@pytest.mark.parametrize("number", SHAPES)
def test_refuses_every_field_element_out_of_range(number: int) -> None:
    """Each coordinate in turn: p itself, p + its value, all ones, a bit in the padding."""
    good = SHAPES[number]
    elements = len(good) // 64 - (1 if number in (G1_MSM, G2_MSM) and len(good) % 64 == 0 else 0)
    for start in range(0, 64 * elements, 64):
        value = int.from_bytes(good[start : start + 64], "big")
        for bad in (P, P + value, (1 << 384) - 1, value + (1 << 384), value + (1 << 511)):
            assert_fails(number, good[:start] + field(bad) + good[start + 64 :])


@pytest.mark.parametrize("number", [G1_ADD, G1_MSM, G2_ADD, G2_MSM, PAIRING])
def test_refuses_points_off_the_curve(number: int) -> None:
    good = SHAPES[number]
    for position in (63, 127):
        bad = bytearray(good)
        bad[position] ^= 1
        assert_fails(number, bytes(bad))
    assert_fails(number, field(0) + field(1) + good[128:])


def test_is_not_there_before_prague() -> None:
    for number in SHAPES:
        with pytest.raises(LookupError):
            run(number, SHAPES[number], fork=CANCUN)


# ---- 0x0a point evaluation ----

MODULUS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
INFINITY = b"\xc0" + bytes(47)


def evaluation(commitment: bytes, z: int, y: int, proof: bytes) -> bytes:
    versioned_hash = b"\x01" + hashlib.sha256(commitment).digest()[1:]
    return versioned_hash + word(z) + word(y) + commitment + proof


def compressed(multiple: int) -> bytes:
    return int(compress_G1(bls.multiply(bls.G1, multiple))).to_bytes(48, "big")


@pytest.mark.usefixtures("level")
def test_point_evaluation_of_a_constant() -> None:
    """A constant c is committed to as c G1; its proof is infinity, wherever it is evaluated."""
    for z in (0, 1, MODULUS - 1):
        data = evaluation(compressed(77), z, 77, INFINITY)
        expected = (4096).to_bytes(32, "big") + word(MODULUS)
        assert run(KZG, data, gas=50001) == PrecompileResult(True, 1, expected)
        assert_fails(KZG, evaluation(compressed(77), z, 78, INFINITY))
    assert_fails(KZG, evaluation(compressed(77), 0, 77, INFINITY), gas=49999)


@pytest.mark.usefixtures("level")
@pytest.mark.skipif(
    "GHOSTCHAIN_SANITIZED" in os.environ,
    reason="the package that ckzg's setup comes with loads libraries as the sanitizer forbids",
)
def test_point_evaluation_of_what_ckzg_proves() -> None:
    chance = random.Random(43)
    blob = b"".join(word(chance.randrange(MODULUS)) for _ in range(4096))
    commitment = ckzg.blob_to_kzg_commitment(blob, trusted_setup())
    z = chance.randrange(MODULUS)
    proof, y = ckzg.compute_kzg_proof(blob, word(z), trusted_setup())
    value = int.from_bytes(y, "big")
    assert run(KZG, evaluation(commitment, z, value, proof)).success
    assert_fails(KZG, evaluation(commitment, (z + 1) % MODULUS, value, proof))
    assert_fails(KZG, evaluation(commitment, z, (value + 1) % MODULUS, proof))
    assert_fails(KZG, evaluation(commitment, z, value, commitment))


@pytest.mark.usefixtures("level")
def test_point_evaluation_refuses_malformed_input() -> None:
    good = evaluation(compressed(77), 5, 77, INFINITY)
    assert run(KZG, good).success
    off_curve = b"\x80" + bytes(46) + b"\x02"
    outside = int(compress_G1(g1_outside_subgroup())).to_bytes(48, "big")
    for bad in (
        b"",
        good[:-1],
        good + b"\0",
        b"\x02" + good[1:],
        good[:31] + bytes([good[31] ^ 1]) + good[32:],
        evaluation(compressed(77), MODULUS, 77, INFINITY),
        evaluation(compressed(77), 5, 77 + MODULUS, INFINITY),
        evaluation(off_curve, 5, 77, INFINITY),
        evaluation(outside, 5, 77, INFINITY),
        evaluation(compressed(77), 5, 77, outside),
        evaluation(compressed(77), 5, 77, bytes(48)),
        evaluation(compressed(77), 5, 77, b"\xff" * 48),
    ):
        assert_fails(KZG, bad)
