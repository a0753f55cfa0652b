"""Each precompile beside the best PyPI package that does the same sum, one call at a time.

Ours is the whole call from Python: decoding, checks (also of subgroups), gas, output. Peers get
their operands decoded and checked already. Times are of the processor, not of the wall, so that
neighbours on a busy machine do not count. `ratio` is the peer's time through ours,
`megagas_per_second` what a block full of such calls would run at. Runs small unless
GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ckzg
import coincurve
import py_arkworks_bls12381 as ark
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from ghostchain.crypto.kzg import trusted_setup
from ghostchain.execution import precompiles

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
SECONDS = 0.5 if FULL else 0.02
ROUNDS = 5 if FULL else 1
OSAKA = 2
PLENTY = 1 << 50
CHANCE = random.Random(20240313)

BN254_PRIME = 21888242871839275222246405745257275088696311157297823662689037894645226208583


@dataclass(frozen=True, slots=True)
class Case:
    """One precompile call and the same work done by a peer."""

    number: int
    data: bytes
    peer: str
    run_peer: Callable[[], object]


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def package(name: str) -> Any:
    """A peer that only the benchmarks need."""
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(f"the peer {name} is not installed (pip install '.[bench]')")


def ecrecover() -> Case:
    digest = CHANCE.randbytes(32)
    signature = coincurve.PrivateKey(CHANCE.randbytes(32)).sign_recoverable(digest, hasher=None)
    data = digest + word(27 + signature[64]) + signature[:64]
    recover = coincurve.PublicKey.from_signature_and_message
    return Case(1, data, "coincurve", lambda: recover(signature, digest, hasher=None))


def sha256(length: int) -> Case:
    data = CHANCE.randbytes(length)
    return Case(2, data, "hashlib", lambda: hashlib.sha256(data).digest())


def ripemd160(length: int) -> Case:
    data = CHANCE.randbytes(length)
    if "ripemd160" not in hashlib.algorithms_available:
        pytest.skip("this OpenSSL keeps RIPEMD-160 to itself")
    return Case(3, data, "hashlib", lambda: hashlib.new("ripemd160", data).digest())


def modexp(bits: int, *, zeros: int = 0, exponent_bits: int | None = None) -> Case:
    """Base and exponent of that many bits, modulus odd or ending in so many zero bits."""
    gmpy2 = package("gmpy2")
    base, exponent, modulus = (CHANCE.getrandbits(bits) | 1 << (bits - 1) | 1 for _ in range(3))
    modulus = (modulus >> zeros | 1) << zeros
    if exponent_bits is not None:
        exponent = 1 << (exponent_bits - 1) | 1
    operands = [x.to_bytes((x.bit_length() + 7) // 8, "big") for x in (base, exponent, modulus)]
    data = b"".join(word(len(x)) for x in operands) + b"".join(operands)
    numbers = [gmpy2.mpz(x) for x in (base, exponent, modulus)]
    return Case(5, data, "gmpy2", lambda: gmpy2.powmod(*numbers))


def bn254_point(point: Any) -> bytes:
    return word(int(point.x)) + word(int(point.y))


def bn254_twist_point(point: Any) -> bytes:
    """EIP-197: the imaginary part first."""
    (x0, x1), (y0, y1) = point.x, point.y
    return word(int(x1)) + word(int(x0)) + word(int(y1)) + word(int(y0))


def bn254_add() -> Case:
    curve = package("zksnake.ecc").ec_bn254
    a, b = curve.g1() * CHANCE.getrandbits(250), curve.g1() * CHANCE.getrandbits(250)
    return Case(6, bn254_point(a) + bn254_point(b), "zksnake (arkworks)", lambda: a + b)


def bn254_multiply() -> Case:
    curve = package("zksnake.ecc").ec_bn254
    point, scalar = curve.g1() * CHANCE.getrandbits(250), CHANCE.getrandbits(253)
    data = bn254_point(point) + word(scalar)
    return Case(7, data, "zksnake (arkworks)", lambda: point * scalar)


def bn254_pairing(count: int) -> Case:
    curve = package("zksnake.ecc").ec_bn254
    left = [curve.g1() * CHANCE.getrandbits(250) for _ in range(count)]
    right = [curve.g2() * CHANCE.getrandbits(250) for _ in range(count)]
    data = b"".join(bn254_point(p) + bn254_twist_point(q) for p, q in zip(left, right, strict=True))
    return Case(8, data, "zksnake (arkworks)", lambda: curve.multi_pairing(left, right))


def blake2f(rounds: int) -> Case:
    """The peer hashes as many blocks as make that many rounds."""
    data = rounds.to_bytes(4, "big") + CHANCE.randbytes(208) + b"\1"
    message = CHANCE.randbytes(128 * (rounds // 12))
    return Case(9, data, "hashlib", lambda: hashlib.blake2b(message).digest())


def point_evaluation() -> Case:
    blob = b"".join(bytes(1) + CHANCE.randbytes(31) for _ in range(4096))
    setup = trusted_setup()
    commitment = ckzg.blob_to_kzg_commitment(blob, setup)
    z = bytes(1) + CHANCE.randbytes(31)
    proof, y = ckzg.compute_kzg_proof(blob, z, setup)
    versioned_hash = b"\x01" + hashlib.sha256(commitment).digest()[1:]
    data = versioned_hash + z + y + commitment + proof
    verify = ckzg.verify_kzg_proof
    return Case(10, data, "ckzg", lambda: verify(commitment, z, y, proof, setup))


def padded(elements: bytes) -> bytes:
    """48-byte field elements as EIP-2537 wants them."""
    return b"".join(bytes(16) + elements[i : i + 48] for i in range(0, len(elements), 48))


def bls_add(number: int, generator: Any) -> Case:
    a, b = (generator * ark.Scalar(CHANCE.getrandbits(128)) for _ in range(2))
    data = padded(a.to_xy_bytes_be() + b.to_xy_bytes_be())
    return Case(number, data, "arkworks", lambda: (a + b).to_xy_bytes_be())


def bls_multiples(number: int, generator: Any, count: int) -> Case:
    """The peer does not check the subgroup."""
    points = [generator * ark.Scalar(CHANCE.getrandbits(128)) for _ in range(count)]
    raw = [CHANCE.randbytes(32) for _ in points]
    scalars = [ark.Scalar.from_be_bytes_mod_order(x) for x in raw]
    pairs = zip(points, raw, strict=True)
    data = b"".join(padded(p.to_xy_bytes_be()) + scalar for p, scalar in pairs)
    sum_of = type(generator).multiexp_unchecked
    return Case(number, data, "arkworks", lambda: sum_of(points, scalars).to_xy_bytes_be())


def bls_pairing(count: int) -> Case:
    """The peer does not check the subgroups."""
    left = [ark.G1Point() * ark.Scalar(CHANCE.getrandbits(128)) for _ in range(count)]
    right = [ark.G2Point() * ark.Scalar(CHANCE.getrandbits(128)) for _ in range(count)]
    pairs = zip(left, right, strict=True)
    data = b"".join(padded(p.to_xy_bytes_be() + q.to_xy_bytes_be()) for p, q in pairs)
    return Case(15, data, "arkworks", lambda: ark.GT.pairing_check(left, right))


def bls_map(number: int) -> Case:
    """To G1 from one field element, to G2 from two."""
    elements = b"".join(bytes(1) + CHANCE.randbytes(47) for _ in range(number - 15))
    run = ark.G1Point.map_from_fp_be if number == 16 else ark.G2Point.map_from_fp2_be
    return Case(number, padded(elements), "arkworks", lambda: run(elements).to_xy_bytes_be())


def p256_verify() -> Case:
    key = ec.generate_private_key(ec.SECP256R1())
    digest = CHANCE.randbytes(32)
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    signature = key.sign(digest, algorithm)
    r, s = utils.decode_dss_signature(signature)
    public = key.public_key()
    numbers = public.public_numbers()
    data = digest + word(r) + word(s) + word(numbers.x) + word(numbers.y)
    return Case(256, data, "cryptography", lambda: public.verify(signature, digest, algorithm))


CASES: dict[str, Callable[[], Case]] = {
    "ecrecover": ecrecover,
    "sha256-64": lambda: sha256(64),
    "sha256-65536": lambda: sha256(65536),
    "ripemd160-65536": lambda: ripemd160(65536),
    "modexp-64": lambda: modexp(64),
    "modexp-256": lambda: modexp(256),
    "modexp-256-even": lambda: modexp(256, zeros=64),
    "modexp-1024": lambda: modexp(1024),
    "modexp-2048": lambda: modexp(2048),
    "modexp-2048-rsa": lambda: modexp(2048, exponent_bits=17),
    "modexp-2048-even": lambda: modexp(2048, zeros=1024),
    "modexp-4096": lambda: modexp(4096),
    "modexp-8192": lambda: modexp(8192),
    "bn254-add": bn254_add,
    "bn254-multiply": bn254_multiply,
    "bn254-pairing-1": lambda: bn254_pairing(1),
    "bn254-pairing-4": lambda: bn254_pairing(4),
    "blake2f-120000": lambda: blake2f(120_000),
    "point-evaluation": point_evaluation,
    "bls-g1-add": lambda: bls_add(11, ark.G1Point()),
    "bls-g1-multiples-1": lambda: bls_multiples(12, ark.G1Point(), 1),
    "bls-g1-multiples-128": lambda: bls_multiples(12, ark.G1Point(), 128),
    "bls-g2-add": lambda: bls_add(13, ark.G2Point()),
    "bls-g2-multiples-1": lambda: bls_multiples(14, ark.G2Point(), 1),
    "bls-g2-multiples-128": lambda: bls_multiples(14, ark.G2Point(), 128),
    "bls-pairing-1": lambda: bls_pairing(1),
    "bls-pairing-8": lambda: bls_pairing(8),
    "bls-map-to-g1": lambda: bls_map(16),
    "bls-map-to-g2": lambda: bls_map(17),
    "p256-verify": p256_verify,
}


def seconds_each(run: Callable[[], object]) -> float:
    """The best mean over a few rounds, each long enough for the clock."""
    run()
    start = time.process_time()
    run()
    once = max(time.process_time() - start, 1e-7)
    repeats = max(1, int(SECONDS / once))
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(repeats):
            run()
        best = min(best, (time.process_time() - start) / repeats)
    return best


@pytest.mark.parametrize("name", CASES)
def test_precompile(benchmark: Any, name: str) -> None:
    case = CASES[name]()
    address = case.number.to_bytes(20, "big")

    def run() -> precompiles.PrecompileResult:
        return precompiles.run(OSAKA, address, case.data, PLENTY)

    result = benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    assert result.success
    own = seconds_each(run)
    peer = seconds_each(case.run_peer)
    level = precompiles.level()
    try:
        precompiles.set_level(0)
        assert run() == result
        portable = seconds_each(run)
    finally:
        precompiles.set_level(level)
    benchmark.extra_info.update(
        peer=case.peer,
        microseconds=round(own * 1e6, 2),
        portable_microseconds=round(portable * 1e6, 2),
        peer_microseconds=round(peer * 1e6, 2),
        megagas_per_second=round((PLENTY - result.gas_left) / own / 1e6, 1),
        ratio=round(peer / own, 3),
        result=hashlib.sha256(result.output).hexdigest()[:16],
    )
