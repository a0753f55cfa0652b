"""The precompiled contracts against independent libraries, at every fork and SIMD level.

Oracles: hashlib, Python's pow, py_ecc, cryptography, coincurve, ckzg; vectors from the EIPs.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import example, given
from hypothesis import strategies as st
from py_ecc import optimized_bn128 as bn254

from ghostchain.crypto.keccak import keccak256
from ghostchain.execution import precompiles
from ghostchain.execution.precompiles import PrecompileResult

CANCUN, PRAGUE, OSAKA = 0, 1, 2
PLENTY = 1 << 50


@pytest.fixture(params=[0, 1], ids=["portable", "simd"])
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs a test on every path this CPU has."""
    before = precompiles.level()
    if precompiles.set_level(request.param) != request.param:
        precompiles.set_level(before)
        pytest.skip("this CPU has neither SHA-NI nor ADX")
    yield request.param
    precompiles.set_level(before)


def address(number: int) -> bytes:
    return number.to_bytes(20, "big")


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def run(number: int, data: bytes, *, fork: int = OSAKA, gas: int = PLENTY) -> PrecompileResult:
    return precompiles.run(fork, address(number), data, gas)


def output(number: int, data: bytes, *, fork: int = OSAKA) -> bytes:
    """What a call that must succeed returns."""
    result = run(number, data, fork=fork)
    assert result.success
    return result.output


def cost(number: int, data: bytes, *, fork: int = OSAKA) -> int:
    """The gas a call takes: it succeeds with exactly that much, and fails with one less."""
    taken = PLENTY - run(number, data, fork=fork).gas_left
    assert run(number, data, fork=fork, gas=taken).success
    assert run(number, data, fork=fork, gas=taken).gas_left == 0
    assert_fails(number, data, fork=fork, gas=taken - 1)
    return taken


def assert_fails(number: int, data: bytes, *, fork: int = OSAKA, gas: int = PLENTY) -> None:
    """A call that fails takes all its gas and returns nothing."""
    assert run(number, data, fork=fork, gas=gas) == PrecompileResult(False, 0, b"")


# ---- which there are ----


@pytest.mark.parametrize(("fork", "last"), [(CANCUN, 0x0A), (PRAGUE, 0x11), (OSAKA, 0x11)])
def test_exists_at_its_fork_and_after(fork: int, last: int) -> None:
    there = {number for number in range(0x400) if precompiles.exists(fork, address(number))}
    assert there == set(range(1, last + 1)) | ({0x100} if fork == OSAKA else set())


@pytest.mark.parametrize("byte", range(18))
def test_exists_looks_at_every_byte_of_the_address(byte: int) -> None:
    other = bytearray(address(2))
    other[byte] = 1
    assert not precompiles.exists(OSAKA, bytes(other))
    with pytest.raises(LookupError, match="no precompile"):
        precompiles.run(OSAKA, bytes(other), b"", PLENTY)


# ---- 0x01 ecrecover ----


def recovery_input(seed: int) -> tuple[bytes, bytes]:
    """(input, expected output) of a recovery that succeeds."""
    chance = random.Random(seed)
    key = PrivateKey(chance.randbytes(32))
    digest = chance.randbytes(32)
    signature = key.sign_recoverable(digest, hasher=None)
    public = key.public_key.format(compressed=False)[1:]
    sender = keccak256(public)[12:]
    return digest + word(27 + signature[64]) + signature[:64], bytes(12) + sender


@pytest.mark.parametrize("seed", range(8))
def test_ecrecover_finds_the_signer(seed: int) -> None:
    data, expected = recovery_input(seed)
    assert output(0x01, data) == expected
    assert output(0x01, data + b"ignored") == expected
    assert cost(0x01, data) == 3000


@pytest.mark.parametrize("v", [0, 1, 26, 29, 27 << 8, 27 + (1 << 64), 28 + (1 << 255)], ids=hex)
def test_ecrecover_returns_nothing_for_any_other_v(v: int) -> None:
    """v is a whole word: a high byte makes it wrong. The call succeeds all the same."""
    data, _ = recovery_input(1)
    assert run(0x01, data[:32] + word(v) + data[64:], gas=3001) == PrecompileResult(True, 1, b"")


SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.parametrize("scalar", [0, SECP256K1_ORDER, SECP256K1_ORDER + 1, 2**256 - 1], ids=hex)
def test_ecrecover_returns_nothing_for_scalars_out_of_range(scalar: int) -> None:
    data, _ = recovery_input(2)
    assert output(0x01, data[:64] + word(scalar) + data[96:]) == b""
    assert output(0x01, data[:96] + word(scalar)) == b""


def test_ecrecover_pads_short_input() -> None:
    assert output(0x01, b"") == b""
    data, expected = recovery_input(3)
    if data[-1] == 0:
        assert output(0x01, data[:-1]) == expected
    assert output(0x01, data[:-1]) != expected or data[-1] == 0


# ---- 0x02, 0x03, 0x04 hashes and identity ----


@given(data=st.binary(max_size=700))
def test_hashes_and_identity(data: bytes) -> None:
    words = (len(data) + 31) // 32
    assert output(0x02, data) == hashlib.sha256(data).digest()
    assert output(0x03, data) == bytes(12) + ripemd160(data)
    assert output(0x04, data) == data
    assert cost(0x02, data) == 60 + 12 * words
    assert cost(0x03, data) == 600 + 120 * words
    assert cost(0x04, data) == 15 + 3 * words


def ripemd160(data: bytes) -> bytes:
    """OpenSSL's, or pycryptodome's where OpenSSL keeps it from us. The sanitizer does not bear
    how pycryptodome loads its libraries, so that one is imported only when needed."""
    if "ripemd160" in hashlib.algorithms_available:
        return hashlib.new("ripemd160", data).digest()
    from Crypto.Hash import RIPEMD160

    return RIPEMD160.new(data).digest()


@pytest.mark.usefixtures("level")
def test_hashes_at_every_length_around_their_blocks() -> None:
    data = random.Random(7).randbytes(4096)
    for length in [*range(260), 1000, 4095, 4096]:
        assert output(0x02, data[:length]) == hashlib.sha256(data[:length]).digest()
        assert output(0x03, data[:length])[12:] == ripemd160(data[:length])


# ---- 0x05 modexp ----


def modexp_input(
    base: bytes, exponent: bytes, modulus: bytes, *, lengths: tuple[int, int, int] | None = None
) -> bytes:
    lengths = lengths or (len(base), len(exponent), len(modulus))
    return b"".join(map(word, lengths)) + base + exponent + modulus


def minimal(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def assert_modexp(base: int, exponent: int, modulus: int) -> None:
    data = modexp_input(*map(minimal, (base, exponent, modulus)))
    length = len(minimal(modulus))
    expected = pow(base, exponent, modulus).to_bytes(length, "big") if modulus else bytes(length)
    assert output(0x05, data, fork=PRAGUE) == expected, (base, exponent, modulus)


integers = st.one_of(
    st.integers(0, 2**70),
    st.integers(0, 2**600),
    st.integers(0, 600).map(lambda bits: (1 << bits) - 1),
    st.integers(0, 600).map(lambda bits: 1 << bits),
)


@given(base=integers, exponent=integers, modulus=integers, zeros=st.integers(0, 200))
@example(base=0, exponent=0, modulus=1, zeros=0)
@example(base=0, exponent=0, modulus=2, zeros=0)
@example(base=3, exponent=0, modulus=0, zeros=0)
@example(base=2**512 - 1, exponent=2**512 - 1, modulus=2**256 - 1, zeros=0)
def test_modexp_is_pow(base: int, exponent: int, modulus: int, zeros: int) -> None:
    """Odd moduli, even ones, powers of two; operands shorter and longer than the modulus."""
    assert_modexp(base, exponent, modulus)
    assert_modexp(base, exponent, modulus << zeros)


@pytest.mark.usefixtures("level")
def test_modexp_at_every_length_of_modulus() -> None:
    """Each limb count has its own code up to 6, and its own remainder of the unrolled rows."""
    chance = random.Random(11)
    for limbs in [*range(1, 20), 32, 33]:
        for _ in range(6):
            modulus = chance.getrandbits(64 * limbs) | (1 << (64 * limbs - 1))
            modulus ^= chance.getrandbits(64 * limbs) & -(chance.getrandbits(1) << 40)
            base = chance.getrandbits(64 * (limbs + chance.randrange(-1, 3)) or 8)
            assert_modexp(base, chance.getrandbits(chance.choice([8, 70, 130])), modulus)


def test_modexp_division_corrects_its_estimates() -> None:
    """Quotient digits that are estimated too large are rare by chance; these are made for it."""
    top = 1 << 63
    for high in (top, top + 1, 2**64 - 1):
        for low in (0, 1, 2**64 - 1):
            modulus = (high << 128) | (low << 64) | 1
            for base in (modulus << 64, (modulus << 128) - 1, (high << 192) - 1, 2**384 - 1):
                assert_modexp(base, 1, modulus)
                assert_modexp(base, 3, modulus)


def test_modexp_reads_zeros_behind_the_input() -> None:
    """Operands that the input ends within, or before."""
    whole = modexp_input(b"\x05", b"\x03", b"\x01\x01")
    assert output(0x05, whole, fork=CANCUN) == word(125)[-2:]
    assert output(0x05, whole[:-1], fork=CANCUN) == word(125)[-2:]  # modulus 0x0100
    assert output(0x05, whole[:-2], fork=CANCUN) == bytes(2)
    assert output(0x05, b"", fork=CANCUN) == b""
    assert output(0x05, modexp_input(b"", b"", b"", lengths=(0, 0, 4)), fork=CANCUN) == bytes(4)
    # The base's tail is missing: 0x02 followed by three zero bytes; modulus and exponent empty.
    data = modexp_input(b"\x02", b"", b"", lengths=(4, 0, 1))
    assert output(0x05, data, fork=CANCUN) == b"\x00"


def eip2565_cost(base: int, exponent: int, modulus: int, head: int) -> int:
    """EIP-2565, from its text."""
    words = (max(base, modulus) + 7) // 8
    bits = max(head.bit_length() - 1, 0)
    iterations = bits if exponent <= 32 else 8 * (exponent - 32) + bits
    return max(200, words * words * max(iterations, 1) // 3)


def eip7883_cost(base: int, exponent: int, modulus: int, head: int) -> int:
    """EIP-7883, from its text."""
    longest = max(base, modulus)
    complexity = 16 if longest <= 32 else 2 * ((longest + 7) // 8) ** 2
    bits = max(head.bit_length() - 1, 0)
    iterations = bits if exponent <= 32 else 16 * (exponent - 32) + bits
    return max(500, complexity * max(iterations, 1))


@given(
    base=st.integers(0, 100),
    exponent=st.binary(max_size=80),
    modulus=st.integers(0, 100),
)
@example(base=32, exponent=b"\xff" * 32, modulus=32)
@example(base=33, exponent=b"\xff" * 33, modulus=0)
@example(base=0, exponent=b"\xff" * 33, modulus=0)
@example(base=0, exponent=bytes(40), modulus=1)
def test_modexp_costs(base: int, exponent: bytes, modulus: int) -> None:
    data = modexp_input(b"\x01" * base, exponent, b"\x01" * modulus)
    head = int.from_bytes(exponent[:32], "big")
    lengths = (base, len(exponent), modulus)
    assert cost(0x05, data, fork=CANCUN) == eip2565_cost(*lengths, head)
    assert cost(0x05, data, fork=PRAGUE) == eip2565_cost(*lengths, head)
    assert cost(0x05, data, fork=OSAKA) == eip7883_cost(*lengths, head)


HUGE = [1025, 2**32, 2**61 + 1, 2**64 - 1, 2**64, 2**128, 2**255, 2**256 - 1]


@pytest.mark.parametrize("length", HUGE, ids=hex)
@pytest.mark.parametrize("which", range(3), ids=["base", "exponent", "modulus"])
def test_modexp_refuses_lengths_nobody_paid_for(which: int, length: int) -> None:
    """Before Osaka the gas runs out; from Osaka on EIP-7823 refuses whatever the gas. Nothing is
    allocated for such a length, or this test would end the process."""
    lengths = [1, 1, 1]
    lengths[which] = length
    data = modexp_input(b"\x03", b"\x03", b"\x05", lengths=(lengths[0], lengths[1], lengths[2]))
    assert_fails(0x05, data, fork=OSAKA, gas=2**64 - 1)
    if length > 1025:
        assert_fails(0x05, data, fork=PRAGUE, gas=30_000_000)


@pytest.mark.parametrize("which", range(3), ids=["base", "exponent", "modulus"])
def test_modexp_has_a_bound_whatever_the_gas(which: int) -> None:
    """Gas without limit (a call over JSON-RPC, say) must not buy all memory or all time."""
    lengths = [1, 1, 1]
    lengths[which] = 1 << 33
    data = modexp_input(b"\x03", b"\x03", b"\x05", lengths=(lengths[0], lengths[1], lengths[2]))
    with pytest.raises(MemoryError):
        run(0x05, data, fork=PRAGUE, gas=2**64 - 1)


@pytest.mark.parametrize("length", HUGE, ids=hex)
def test_modexp_of_nothing_ignores_the_exponent_before_osaka(length: int) -> None:
    """EIP-2565: no base and no modulus make the complexity zero, whatever the exponent."""
    data = modexp_input(b"", b"", b"", lengths=(0, length, 0))
    assert run(0x05, data, fork=PRAGUE, gas=200) == PrecompileResult(True, 0, b"")
    assert_fails(0x05, data, fork=OSAKA)


def test_modexp_takes_the_longest_operands_of_osaka() -> None:
    chance = random.Random(13)
    base, modulus = chance.randbytes(1024), b"\xff" + chance.randbytes(1022) + b"\x01"
    exponent = bytes(1022) + b"\x01\x01"
    expected = pow(*(int.from_bytes(x, "big") for x in (base, exponent, modulus)))
    data = modexp_input(base, exponent, modulus)
    assert output(0x05, data) == expected.to_bytes(1024, "big")


# ---- 0x06, 0x07, 0x08 BN254 ----

P = bn254.field_modulus
R = bn254.curve_order


def g1(multiple: int) -> bytes:
    return g1_bytes(bn254.multiply(bn254.G1, multiple % R))


def g1_bytes(point: tuple[object, ...]) -> bytes:
    if bn254.is_inf(point):
        return bytes(64)
    return b"".join(word(int(c)) for c in bn254.normalize(point))


def g2_bytes(point: tuple[object, ...]) -> bytes:
    """EIP-197: the imaginary part first."""
    if bn254.is_inf(point):
        return bytes(128)
    x, y = bn254.normalize(point)
    return b"".join(word(int(c)) for c in (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0]))


def g2(multiple: int) -> bytes:
    return g2_bytes(bn254.multiply(bn254.G2, multiple % R))


@pytest.mark.usefixtures("level")
def test_bn254_addition() -> None:
    chance = random.Random(17)
    for _ in range(12):
        a, b = chance.getrandbits(254), chance.getrandbits(254)
        assert output(0x06, g1(a) + g1(b)) == g1(a + b)
        assert output(0x06, g1(a) + g1(a)) == g1(2 * a)
        assert output(0x06, g1(a) + g1(-a)) == bytes(64)
        assert output(0x06, g1(a) + bytes(64)) == g1(a)
        assert output(0x06, g1(a)) == g1(a)
        assert output(0x06, bytes(64) + g1(a) + b"ignored") == g1(a)
    assert output(0x06, b"") == bytes(64)
    assert cost(0x06, g1(1) + g1(2)) == 150


@pytest.mark.usefixtures("level")
def test_bn254_multiplication() -> None:
    chance = random.Random(19)
    scalars = [0, 1, 2, 3, R - 1, R, R + 1, 2 * R, 5 * R, 2**256 - 1]
    for scalar in [*scalars, *(chance.getrandbits(256) for _ in range(12))]:
        a = chance.getrandbits(254)
        assert output(0x07, g1(a) + word(scalar)) == g1(a * scalar), hex(scalar)
        assert output(0x07, bytes(64) + word(scalar)) == bytes(64)
    assert output(0x07, b"") == bytes(64)
    assert output(0x07, g1(5)) == bytes(64)
    assert cost(0x07, g1(1) + word(2)) == 6000


# y^2 = x^3 + 3 at (1, 2); no point has x = 0 or y = 1 beside x = 0.
BAD_G1 = {
    "off the curve": word(1) + word(1),
    "x is p": word(P) + word(2),
    "x is p + 1, which is 1": word(P + 1) + word(2),
    "y is p + 2, which is 2": word(1) + word(P + 2),
    "both are p, which is infinity": word(P) + word(P),
    "all ones": b"\xff" * 64,
    "x is zero": word(0) + word(1),
}


@pytest.mark.parametrize("bad", BAD_G1.values(), ids=BAD_G1.keys())
def test_bn254_refuses_points_outside_g1(bad: bytes) -> None:
    assert_fails(0x06, bad + g1(1))
    assert_fails(0x06, g1(1) + bad)
    assert_fails(0x07, bad + word(1))
    assert_fails(0x07, bad + word(0))
    assert_fails(0x08, bad + g2(1))
    assert_fails(0x08, bad + bytes(128))


def twist_point_outside_g2() -> bytes:
    """A point of the twist whose order is not r: almost any."""
    x = 1
    while True:
        candidate = bn254.FQ2((x, 0))
        square = candidate * candidate * candidate + bn254.b2
        root = square_root(square)
        if root is not None:
            point = (candidate, root, bn254.FQ2.one())
            assert bn254.is_on_curve(point, bn254.b2)
            assert not bn254.is_inf(bn254.multiply(point, R))
            return g2_bytes(point)
        x += 1


def square_root(a: bn254.FQ2) -> bn254.FQ2 | None:
    """In Fp2 with p = 3 mod 4 (Adj and Rodriguez-Henriquez, algorithm 9)."""
    one, minus_one = bn254.FQ2.one(), bn254.FQ2((P - 1, 0))
    a1 = a ** ((P - 3) // 4)
    alpha, x0 = a1 * a1 * a, a1 * a
    root = bn254.FQ2((0, 1)) * x0 if alpha == minus_one else (alpha + one) ** ((P - 1) // 2) * x0
    return root if root * root == a else None


def bad_g2() -> dict[str, bytes]:
    good = g2(1)
    return {
        "off the twist": good[:127] + bytes([good[127] ^ 1]),
        "outside the subgroup": twist_point_outside_g2(),
        "real and imaginary exchanged": good[32:64] + good[:32] + good[96:] + good[64:96],
        "x imaginary is p": word(P) + good[32:],
        "x real is p": good[:32] + word(P) + good[64:],
        "y imaginary is p": good[:64] + word(P) + good[96:],
        "y real is p": good[:96] + word(P),
    }


BAD_G2 = bad_g2()


@pytest.mark.parametrize("bad", BAD_G2.values(), ids=BAD_G2.keys())
@pytest.mark.usefixtures("level")
def test_bn254_refuses_points_outside_g2(bad: bytes) -> None:
    """Also beside infinity, and behind pairs that are right."""
    assert_fails(0x08, g1(1) + bad)
    assert_fails(0x08, bytes(64) + bad)
    assert_fails(0x08, (g1(1) + g2(1)) * 2 + g1(1) + bad)


@pytest.mark.usefixtures("level")
def test_bn254_pairing_is_bilinear() -> None:
    """e(aP, bQ) e(-abP, Q) is one, and no more so when a scalar is off by one."""
    chance = random.Random(23)
    for count in (1, 2, 4):
        pairs, total = b"", 0
        for _ in range(count):
            a, b = chance.getrandbits(254), chance.getrandbits(254)
            pairs += g1(a) + g2(b)
            total += a * b
        assert output(0x08, pairs + g1(-total) + g2(1)) == word(1)
        assert output(0x08, pairs + g1(1 - total) + g2(1)) == word(0)
        assert output(0x08, pairs) == word(0)


@pytest.mark.usefixtures("level")
def test_bn254_pairing_agrees_with_py_ecc() -> None:
    """On products that are one for no reason of ours: py_ecc says which."""
    chance = random.Random(29)
    pairs = [(chance.randrange(1, 6), chance.randrange(-6, 0)) for _ in range(2)]
    product = bn254.FQ12.one()
    data = b""
    for a, b in pairs:
        left, right = bn254.multiply(bn254.G1, a), bn254.multiply(bn254.G2, b % R)
        product *= bn254.pairing(right, left)
        data += g1_bytes(left) + g2_bytes(right)
    assert output(0x08, data) == word(product == bn254.FQ12.one())
    rest = -sum(a * b for a, b in pairs)
    product *= bn254.pairing(bn254.G2, bn254.multiply(bn254.G1, rest % R))
    assert product == bn254.FQ12.one()
    assert output(0x08, data + g1(rest) + g2(1)) == word(1)


def test_bn254_pairing_with_infinity() -> None:
    assert output(0x08, b"") == word(1)
    assert output(0x08, bytes(192)) == word(1)
    assert output(0x08, bytes(64) + g2(5)) == word(1)
    assert output(0x08, g1(5) + bytes(128)) == word(1)
    assert output(0x08, bytes(192) + g1(5) + g2(1)) == word(0)


def test_bn254_pairing_costs_and_length() -> None:
    pair = g1(1) + g2(1)
    for count in (0, 1, 3):
        assert cost(0x08, pair * count) == 45000 + 34000 * count
    for length in (1, 191, 193):
        assert_fails(0x08, (pair * 2)[:length])


# ---- 0x09 BLAKE2b F ----

# EIP-152, test vectors 4 to 7: h, m and t of BLAKE2b("abc"), with rounds and final apart.
BLAKE_H = (
    "48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
    "d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b"
)
BLAKE_REST = BLAKE_H + "616263" + "00" * 125 + "03" + "00" * 15
BLAKE_VECTORS = [
    ("00000000", "01",
     "08c9bcf367e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
     "d282e6ad7f520e511f6c3e2b8c68059b9442be0454267ce079217e1319cde05b"),
    ("0000000c", "01",
     "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
     "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"),
    ("0000000c", "00",
     "75ab69d3190a562c51aef8d88f1c2775876944407270c42c9844252c26d28752"
     "98743e7f6d5ea2f2d3e8d226039cd31b4e426ac4f2d3d666a610c2116fde4735"),
    ("00000001", "01",
     "b63a380cb2897d521994a85234ee2c181b5f844d2c624c002677e9703449d2fb"
     "a551b3a8333bcdf5f2f7e08993d53923de3d64fcc68c034e717b9293fed7a421"),
]  # fmt: skip


@pytest.mark.parametrize(("rounds", "final", "expected"), BLAKE_VECTORS)
def test_blake2f_vectors(rounds: str, final: str, expected: str) -> None:
    data = bytes.fromhex(rounds + BLAKE_REST + final)
    assert output(0x09, data).hex() == expected
    result = run(0x09, data, gas=100)
    assert result.gas_left == 100 - int(rounds, 16)


def blake2b_parameters() -> bytes:
    """The state that unkeyed BLAKE2b-512 starts from (RFC 7693, 2.8)."""
    return bytes.fromhex(BLAKE_H)


@given(message=st.binary(max_size=128))
def test_blake2f_is_the_compression_of_blake2b(message: bytes) -> None:
    """Twelve rounds over one final block hash a short message."""
    data = word(12)[-4:] + blake2b_parameters() + message.ljust(128, b"\0")
    data += len(message).to_bytes(16, "little") + b"\1"
    assert output(0x09, data) == hashlib.blake2b(message).digest()


@pytest.mark.parametrize("length", [0, 1, 212, 214, 426])
def test_blake2f_refuses_every_other_length(length: int) -> None:
    assert_fails(0x09, bytes(length))


@pytest.mark.parametrize("final", [2, 3, 255])
def test_blake2f_refuses_a_flag_that_is_not_a_bit(final: int) -> None:
    assert_fails(0x09, bytes.fromhex("0000000c" + BLAKE_REST) + bytes([final]))


def test_blake2f_refuses_rounds_nobody_paid_for() -> None:
    """EIP-152's last vector: 2^32 - 1 rounds, which must not be run to find out."""
    assert_fails(0x09, bytes.fromhex("ffffffff" + BLAKE_REST + "01"), gas=30_000_000)


# ---- 0x100 P-256 ----

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1


def p256_input(seed: int) -> bytes:
    chance = random.Random(seed)
    key = ec.derive_private_key(chance.randrange(1, P256_ORDER), ec.SECP256R1())
    digest = chance.randbytes(32)
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    r, s = utils.decode_dss_signature(signature)
    public = key.public_key().public_numbers()
    return digest + word(r) + word(s) + word(public.x) + word(public.y)


@pytest.mark.usefixtures("level")
def test_p256_accepts_what_openssl_signs() -> None:
    for seed in range(40):
        data = p256_input(seed)
        assert output(0x100, data) == word(1)
        s = int.from_bytes(data[64:96], "big")
        assert output(0x100, data[:64] + word(P256_ORDER - s) + data[96:]) == word(1)
        flipped = bytearray(data)
        flipped[seed * 4 % 160] ^= 1 << seed % 8
        assert output(0x100, bytes(flipped)) == b""
    assert cost(0x100, p256_input(0)) == 6900
    assert cost(0x100, b"") == 6900


@pytest.mark.usefixtures("level")
def test_p256_handles_every_meeting_of_its_points() -> None:
    """Signatures whose u1 G and u2 Q are equal, opposite, or absent: r = x(kG), and s, e chosen."""
    generator = ec.derive_private_key(1, ec.SECP256R1()).public_key().public_numbers()
    for private in (1, 2, 3, P256_ORDER - 1, P256_ORDER - 2):
        key = ec.derive_private_key(private, ec.SECP256R1()).public_key().public_numbers()
        for nonce in (1, 2, 5):
            point = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers()
            r = point.x % P256_ORDER
            for digest in (0, r * private % P256_ORDER, -r * private % P256_ORDER, 1):
                s = pow(nonce, -1, P256_ORDER) * (digest + r * private) % P256_ORDER
                data = word(digest) + word(r) + word(s) + word(key.x) + word(key.y)
                assert output(0x100, data) == (b"" if s == 0 else word(1))
    # u1 G = -u2 Q: the sum is infinity, and no r fits it.
    r = generator.x % P256_ORDER
    data = word(-r % P256_ORDER) + word(r) + word(7) + word(generator.x) + word(generator.y)
    assert output(0x100, data) == b""


def test_p256_takes_a_digest_above_the_order() -> None:
    data = p256_input(3)
    digest = int.from_bytes(data[:32], "big") % P256_ORDER
    if digest + P256_ORDER < 2**256:
        assert output(0x100, word(digest + P256_ORDER) + data[32:]) == word(1)
    small = word(5)
    key = ec.derive_private_key(77, ec.SECP256R1())
    signature = key.sign(small, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    r, s = utils.decode_dss_signature(signature)
    public = key.public_key().public_numbers()
    rest = word(r) + word(s) + word(public.x) + word(public.y)
    assert output(0x100, small + rest) == word(1)
    assert output(0x100, word(5 + P256_ORDER) + rest) == word(1)


def p256_with(position: int, value: int) -> bytes:
    data = p256_input(5)
    return data[: 32 * position] + word(value) + data[32 * position + 32 :]


BAD_P256 = {
    "r is 0": p256_with(1, 0),
    "r is n": p256_with(1, P256_ORDER),
    "r is 2^256 - 1": p256_with(1, 2**256 - 1),
    "s is 0": p256_with(2, 0),
    "s is n": p256_with(2, P256_ORDER),
    "x is p": p256_with(3, P256_PRIME),
    "y is p": p256_with(4, P256_PRIME),
    "x is 0": p256_with(3, 0),
    "key is infinity": p256_input(5)[:96] + bytes(64),
    "a byte short": p256_input(5)[:-1],
    "a byte long": p256_input(5) + b"\0",
    "empty": b"",
}


@pytest.mark.parametrize("data", BAD_P256.values(), ids=BAD_P256.keys())
def test_p256_returns_nothing_for_bad_input(data: bytes) -> None:
    """EIP-7951: the call succeeds and takes its gas, whatever is wrong."""
    assert run(0x100, data, gas=7000) == PrecompileResult(True, 100, b"")


def test_p256_refuses_less_gas() -> None:
    assert_fails(0x100, p256_input(5), gas=6899)
