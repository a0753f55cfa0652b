"""Why a precompile refused its input, in geth's words (core/vm/contracts.go and the libraries that
it calls: gnark-crypto, go-eth-kzg).

A precompile that fails says no more than that it did. Here its input is read once more, in geth's
order, up to the first thing that is wrong with it. Cost: what was paid for, in gas, bounds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

from ghostchain.execution import precompiles
from ghostchain.execution.forks import Fork

UNKNOWN = "precompiled contract failed"
INVALID_LENGTH = "invalid input length"
ENCODING = "invalid fp.Element encoding"
GAS = 1 << 40

BN_PRIME = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
BN_NOT_ON_CURVE = "point is not on curve"
# 3 / (9 + i), what the curve over the extension field adds.
BN_TWIST = (
    0x2B149D40CEB8AAAE81BE18991BE06AC3B5B4C5E559DBEFA33267E6DC24A138E5,
    0x009713B03AF0FED4CD2CAFADEED8FDF4A74FA084E52D1852E4A2BD0685C315D2,
)

BLS_PRIME = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f624"
    "1eabfffeb153ffffb9feffffffffaaab",
    16,
)
BLS_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
BLS_NOT_ON_CURVE = "invalid point: not on curve"
BLS_TOP_BYTES = "invalid field element top bytes"

Pair = tuple[int, int]
# Everything that is wrong with an input, in geth's order.
Check = Callable[[bytes], Iterator[str]]


def refusal(address: bytes, data: bytes) -> str:
    """What geth says of an input that the precompile at an address has refused."""
    why = REASONS.get(int.from_bytes(address, "big"))
    return UNKNOWN if why is None else next(why(data), UNKNOWN)


def runs(number: int, data: bytes) -> bool:
    """Whether a precompile takes an input."""
    return precompiles.run(Fork.PRAGUE, number.to_bytes(20, "big"), data, GAS).success


# ---- the curve of EIP-196 and EIP-197 ----


def word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32], "big")


def square(value: Pair, prime: int) -> Pair:
    a, b = value
    return (a + b) * (a - b) % prime, 2 * a * b % prime


def times(one: Pair, other: Pair, prime: int) -> Pair:
    (a, b), (c, d) = one, other
    return (a * c - b * d) % prime, (a * d + b * c) % prime


def is_on_twist(x: Pair, y: Pair, constant: Pair, prime: int) -> bool:
    """y² = x³ + constant, over the extension field."""
    cube = times(square(x, prime), x, prime)
    return square(y, prime) == ((cube[0] + constant[0]) % prime, (cube[1] + constant[1]) % prime)


def bn_point(data: bytes) -> Iterator[str]:
    x, y = word(data, 0), word(data, 32)
    if x >= BN_PRIME or y >= BN_PRIME:
        yield ENCODING
    elif (x or y) and (y * y - x * x * x - 3) % BN_PRIME:
        yield BN_NOT_ON_CURVE


def bn_twist_point(data: bytes) -> Iterator[str]:
    if not any(data):
        return
    numbers = [word(data, at) for at in (32, 0, 96, 64)]
    x, y = (numbers[0], numbers[1]), (numbers[2], numbers[3])
    if max(numbers) >= BN_PRIME:
        yield ENCODING
    elif not is_on_twist(x, y, BN_TWIST, BN_PRIME):
        yield BN_NOT_ON_CURVE
    elif not runs(0x08, bytes(64) + data):
        yield "point is not in correct subgroup"


def bn_add(data: bytes) -> Iterator[str]:
    whole = data[:128].ljust(128, b"\0")
    yield from bn_point(whole[:64])
    yield from bn_point(whole[64:])


def bn_multiply(data: bytes) -> Iterator[str]:
    yield from bn_point(data[:64].ljust(64, b"\0"))


def bn_pairing(data: bytes) -> Iterator[str]:
    if len(data) % 192:
        yield "bad elliptic curve pairing size"
        return
    for at in range(0, len(data), 192):
        yield from bn_point(data[at : at + 64])
        yield from bn_twist_point(data[at + 64 : at + 192])


# ---- the curve of EIP-2537 ----


def bls_elements(data: bytes) -> Iterator[str]:
    """Field elements of 64 bytes each."""
    for at in range(0, len(data), 64):
        if any(data[at : at + 16]):
            yield BLS_TOP_BYTES
        elif int.from_bytes(data[at + 16 : at + 64], "big") >= BLS_PRIME:
            yield ENCODING


def bls_numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 64], "big") for at in range(0, len(data), 64)]


def bls_point(data: bytes) -> Iterator[str]:
    yield from bls_elements(data)
    x, y = bls_numbers(data)
    if (x or y) and (y * y - x * x * x - 4) % BLS_PRIME:
        yield BLS_NOT_ON_CURVE


def bls_twist_point(data: bytes) -> Iterator[str]:
    yield from bls_elements(data)
    x0, x1, y0, y1 = bls_numbers(data)
    if any(data) and not is_on_twist((x0, x1), (y0, y1), (4, 4), BLS_PRIME):
        yield BLS_NOT_ON_CURVE


def bls_subgroup(data: bytes) -> Iterator[str]:
    """Of a point on the curve, which a multiplication takes when it is in the subgroup."""
    if not runs(0x0C, data + bytes(32)):
        yield "g1 point is not on correct subgroup"


def bls_twist_subgroup(data: bytes) -> Iterator[str]:
    if not runs(0x0E, data + bytes(32)):
        yield "g2 point is not on correct subgroup"


def bls(length: int, *checks: tuple[slice, Check], repeats: bool = False) -> Check:
    """Of an input that is one item of so many bytes, or any number of them but none: what geth asks
    of the parts of each, in its order."""

    def why(data: bytes) -> Iterator[str]:
        count, rest = divmod(len(data), length)
        if rest or not count or (count > 1 and not repeats):
            yield INVALID_LENGTH
            return
        for at in range(0, len(data), length):
            item = data[at : at + length]
            for part, check in checks:
                yield from check(item[part])

    return why


# ---- the others ----


def modexp(data: bytes) -> Iterator[str]:
    yield "one or more of base/exponent/modulus length exceeded 1024 bytes"


def blake2(data: bytes) -> Iterator[str]:
    yield INVALID_LENGTH if len(data) != 213 else "invalid final flag"


COMPRESSED, INFINITE = 0x80, 0x40


def compressed_point(data: bytes) -> Iterator[str]:
    """A point of 48 bytes, of which the upper three bits of the first say what they are."""
    mark = data[0] & 0xE0
    x = int.from_bytes(bytes([data[0] & 0x1F]) + data[1:], "big")
    if mark in (0xE0, 0x60, 0x20):
        yield "invalid point encoding"
    elif not mark & COMPRESSED:
        yield "short buffer"
    elif mark & INFINITE:
        if x:
            yield "invalid infinity point encoding"
    elif x >= BLS_PRIME:
        yield ENCODING
    else:
        squared = (x * x * x + 4) % BLS_PRIME
        y = pow(squared, (BLS_PRIME + 1) // 4, BLS_PRIME)
        if y * y % BLS_PRIME != squared:
            yield "invalid compressed coordinate: square root doesn't exist"
        elif not runs(0x0C, x.to_bytes(64, "big") + y.to_bytes(64, "big") + bytes(32)):
            yield "invalid point: subgroup check failed"


def kzg(data: bytes) -> Iterator[str]:
    if len(data) != 192:
        yield INVALID_LENGTH
        return
    commitment, proof = data[96:144], data[144:192]
    if data[:32] != b"\x01" + hashlib.sha256(commitment).digest()[1:]:
        yield "mismatched versioned hash"
        return
    for why in kzg_proof(word(data, 32), word(data, 64), commitment, proof):
        yield f"error verifying kzg proof: {why}"


def kzg_proof(point: int, claim: int, commitment: bytes, proof: bytes) -> Iterator[str]:
    if max(point, claim) >= BLS_ORDER:
        yield "scalar is not canonical when interpreted as a big integer in big-endian"
    yield from compressed_point(commitment)
    yield from compressed_point(proof)
    yield "can't verify opening proof"


WHOLE = slice(None)
POINT, SECOND_POINT = slice(0, 128), slice(128, 256)
TWISTED, SECOND_TWISTED, TWISTED_OF_PAIR = slice(0, 256), slice(256, 512), slice(128, 384)

REASONS: Mapping[int, Check] = {
    0x05: modexp,
    0x06: bn_add,
    0x07: bn_multiply,
    0x08: bn_pairing,
    0x09: blake2,
    0x0A: kzg,
    0x0B: bls(256, (POINT, bls_point), (SECOND_POINT, bls_point)),
    0x0C: bls(160, (POINT, bls_point), (POINT, bls_subgroup), repeats=True),
    0x0D: bls(512, (TWISTED, bls_twist_point), (SECOND_TWISTED, bls_twist_point)),
    0x0E: bls(288, (TWISTED, bls_twist_point), (TWISTED, bls_twist_subgroup), repeats=True),
    0x0F: bls(
        384,
        (POINT, bls_point),
        (TWISTED_OF_PAIR, bls_twist_point),
        (POINT, bls_subgroup),
        (TWISTED_OF_PAIR, bls_twist_subgroup),
        repeats=True,
    ),
    0x10: bls(64, (WHOLE, bls_elements)),
    0x11: bls(128, (WHOLE, bls_elements)),
}
