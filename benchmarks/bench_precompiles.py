"""Each precompile beside the best PyPI package that does the same sum, one call at a time.

Ours is the whole call from Python: decoding, checks, gas, output. Peers get their operands decoded
and checked already. `ratio` is the peer's time through ours; `megagas_per_second` what a block
full of such calls would run at. Runs small unless GHOSTCHAIN_BENCH is "full".
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
    "p256-verify": p256_verify,
}


def seconds_each(run: Callable[[], object]) -> float:
    """The best mean over a few rounds, each long enough for the clock."""
    run()
    start = time.perf_counter()
    run()
    once = max(time.perf_counter() - start, 1e-7)
    repeats = max(1, int(SECONDS / once))
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        best = min(best, (time.perf_counter() - start) / repeats)
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
