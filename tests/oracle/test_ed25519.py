"""Batches of Ed25519 signatures against libsodium, one by one: the kernel agrees with `verify` on
every input, hostile ones above all.

GHOSTCHAIN_ED25519_CASES chooses how many mutated signatures are compared, GHOSTCHAIN_ED25519_SEED
with which seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_scalarmult_ed25519_base_noclamp

from ghostchain.crypto import ed25519, vrf
from tests.unit.test_ed25519 import (
    BASE,
    FIELD,
    IDENTITY,
    ORDER,
    SMALL,
    VECTORS,
    add,
    encode,
    lift,
    signed,
    times,
)

CASES = int(os.environ.get("GHOSTCHAIN_ED25519_CASES", "1500"))
SEED = int(os.environ.get("GHOSTCHAIN_ED25519_SEED", "8032"))

Item = tuple[bytes, bytes, bytes]


@pytest.fixture(params=[0, 1], ids=["portable", "ifma"], autouse=True)
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs every test on each level that the CPU has."""
    highest = ed25519.set_level(99)
    if request.param > highest:
        pytest.skip("this CPU has no AVX-512 IFMA")
    yield ed25519.set_level(request.param)
    ed25519.set_level(99)


def decoded_alike(encodings: list[bytes]) -> list[bytes | None]:
    """What they decode to: those that libsodium takes, no others; alone as among others."""
    decoded = ed25519.decode_points(encodings)
    for encoded, point in zip(encodings, decoded, strict=True):
        is_valid = len(encoded) == 32 and crypto_core_ed25519_is_valid_point(encoded)
        assert (point is not None) == is_valid, encoded.hex()
    for encoded, point in list(zip(encodings, decoded, strict=True))[:50]:
        assert ed25519.decode_points([encoded]) == [point]
    return decoded


def items_of(chance: random.Random, count: int) -> list[Item]:
    items = []
    for _ in range(count):
        seed, message = chance.randbytes(32), chance.randbytes(chance.randrange(200))
        items.append((ed25519.public_key_of(seed), message, ed25519.sign(seed, message)))
    return items


def agree(items: list[Item]) -> list[bool]:
    """What both say of each."""
    expected = [ed25519.verify(*item) for item in items]
    assert ed25519.verify_batch(items) == expected
    return expected


# ---- points ----


def test_points_of_every_order_are_told_apart() -> None:
    """In each of the eight classes of the group modulo its part of prime order."""
    chance = random.Random(1)
    points = []
    for scalar in [1, 2, ORDER - 1, *(chance.randrange(ORDER) for _ in range(40))]:
        point = times(scalar, BASE)
        points += [add(point, small) for small in SMALL]
    decoded = decoded_alike([encode(point) for point in points])
    for number, (x, y) in enumerate(points):
        expected = x.to_bytes(32, "little") + y.to_bytes(32, "little") if number % 8 == 0 else None
        assert decoded[number] == expected


def test_small_and_unreduced_points_are_none() -> None:
    encodings = [encode(small) for small in SMALL]
    encodings += [bytes(32), b"\xff" * 32, b"", bytes(31), bytes(33)]
    for y in range(19):
        encodings += [(FIELD + y | sign << 255).to_bytes(32, "little") for sign in (0, 1)]
    for x, y in SMALL:
        encodings += [(y | (1 - x & 1) << 255).to_bytes(32, "little")]
    assert decoded_alike(encodings) == [None] * len(encodings)


def test_small_y_and_large_y() -> None:
    """Carries at both ends of the field; and the coordinates are those of the point."""
    ys = [*range(2, 400), *(FIELD - y for y in range(2, 400))]
    encodings = [(y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1)]
    decoded = decoded_alike(encodings)
    assert sum(point is not None for point in decoded) > 100
    for encoded, point in zip(encodings, decoded, strict=True):
        if point is not None:
            y = int.from_bytes(encoded, "little") & (1 << 255) - 1
            x, _ = lift(y) or IDENTITY
            x = x if x & 1 == encoded[31] >> 7 else FIELD - x
            assert point == x.to_bytes(32, "little") + y.to_bytes(32, "little")


def test_random_points_agree_with_libsodium() -> None:
    """Half of all bytes are a point, an eighth of those of prime order."""
    chance = random.Random(SEED)
    valid = 0
    for _ in range(max(1000, CASES) // 100):
        encodings = [chance.randbytes(32) for _ in range(75)]
        for _ in range(25):
            scalar = chance.randrange(1, ORDER).to_bytes(32, "little")
            encodings.append(crypto_scalarmult_ed25519_base_noclamp(scalar))
        chance.shuffle(encodings)
        valid += sum(point is not None for point in decoded_alike(encodings))
    assert valid > 250


# ---- signatures ----


def test_rfc_8032_vectors() -> None:
    items = [
        (bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))
        for _, key, message, signature in VECTORS
    ]
    assert agree(items) == [True] * len(items)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 67, 127, 128, 129, 300])
def test_batches_of_every_size(count: int) -> None:
    items = items_of(random.Random(count), count)
    assert ed25519.verify_batch(items) == [True] * count


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9, 67])
def test_one_bad_signature_is_found_wherever_it_stands(count: int) -> None:
    items = items_of(random.Random(count), count)
    for place, (key, message, signature) in enumerate(items):
        spoiled = [*items[:place], (key, message + b"\0", signature), *items[place + 1 :]]
        assert ed25519.verify_batch(spoiled) == [index != place for index in range(count)]


@pytest.mark.parametrize("seed", range(8))
def test_any_mixture_of_good_and_bad(seed: int) -> None:
    chance = random.Random(seed)
    items = items_of(chance, 140)
    share = chance.random()
    mixed = [
        (key, message, signature[:32] + chance.randbytes(31) + b"\0")
        if chance.random() < share
        else (key, message, signature)
        for key, message, signature in items
    ]
    assert len(set(agree(mixed))) == 2


def test_every_length_of_message() -> None:
    """SHA-512 pads differently around each border of its blocks."""
    seed = bytes(range(32))
    key = ed25519.public_key_of(seed)
    items = [(key, bytes(n), ed25519.sign(seed, bytes(n))) for n in [*range(400), 10_000, 100_003]]
    assert ed25519.verify_batch(items) == [True] * len(items)
    assert not any(ed25519.verify_batch([(key, data + b"\0", sig) for key, data, sig in items]))


def test_errors_that_cancel_out_are_found() -> None:
    """One S too large and another too small by the same: their plain sum would hold."""
    items = items_of(random.Random(5), 6)
    for difference in (1, 2, 2**128, ORDER // 2):
        shifted = list(items)
        for place, sign in ((1, 1), (4, -1)):
            key, message, signature = items[place]
            scalar = int.from_bytes(signature[32:], "little") + sign * difference
            shifted[place] = (
                key,
                message,
                signature[:32] + (scalar % ORDER).to_bytes(32, "little"),
            )
        assert agree(shifted) == [True, False, True, True, False, True]


def test_a_weight_is_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whatever it stands beside would hold."""
    items = items_of(random.Random(6), 3)
    items[1] = (items[1][0], b"other", items[1][2])
    for byte in (b"\0", b"\xff"):
        monkeypatch.setattr(os, "urandom", lambda count, byte=byte: byte * count)
        assert ed25519.verify_batch(items) == [True, False, True]


def hostile_items() -> list[Item]:
    """Keys and R with a part of small order, where equations with a cofactor, or where the parts
    cancel, hold; S beyond the order; encodings above the field; points of small order."""
    items = []
    for key_part in SMALL:
        for nonce_part in SMALL:
            for nonce in range(1, 4):
                key, signature = signed(12345, nonce, key_part, nonce_part)
                items.append((key, b"message", signature))
    good_key, good = signed(12345, 1, IDENTITY, IDENTITY)
    scalar = int.from_bytes(good[32:], "little")
    for factor in range(1, 16):
        if scalar + factor * ORDER < 1 << 256:
            raised = (scalar + factor * ORDER).to_bytes(32, "little")
            items.append((good_key, b"message", good[:32] + raised))
    edge = [ORDER - 1, ORDER, ORDER + 1, 2**252, 2**253 - 1, 2**255 - 1, 2**256 - 1, 0, 1]
    items += [(good_key, b"message", good[:32] + s.to_bytes(32, "little")) for s in edge]
    for y in [*range(20), *(FIELD + y for y in range(-3, 19))]:
        for sign in (0, 1):
            odd = (y | sign << 255).to_bytes(32, "little")
            items.append((odd, b"message", good))
            items.append((good_key, b"message", odd + good[32:]))
    for small in SMALL:
        for s in (0, 1):
            signature = encode(small) + s.to_bytes(32, "little")
            items += [(encode(small), b"message", signature), (good_key, b"message", signature)]
    lengths = [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)]
    items += [(bytes(key), b"", bytes(signature)) for key, signature in lengths]
    return items


def test_hostile_signatures_spoil_nothing_else() -> None:
    """Alone and among honest ones, what libsodium refuses is refused, and nothing beside it."""
    hostile = hostile_items()
    assert sum(agree(hostile)) == 3  # those of signed() without any part of small order
    honest = items_of(random.Random(7), len(hostile))
    mixed = [item for pair in zip(hostile, honest, strict=True) for item in pair]
    assert agree(mixed)[1::2] == [True] * len(honest)
    for item in hostile:
        assert ed25519.verify_batch([item]) == [ed25519.verify(*item)]


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=9), st.binary(max_size=70))))
def test_any_bytes_agree(items: list[Item]) -> None:
    agree(items)


def mutated(chance: random.Random, item: Item, other: Item) -> Item:
    """The item with a bit flipped, a part taken from another, or a number moved."""
    key, message, signature = map(bytearray, item)
    action = chance.randrange(8)
    if action == 0:
        signature[chance.randrange(64)] ^= 1 << chance.randrange(8)
    elif action == 1:
        key[chance.randrange(32)] ^= 1 << chance.randrange(8)
    elif action == 2:
        message.append(chance.randrange(256))
    elif action == 3:
        signature[:32] = other[2][:32]
    elif action == 4:
        signature[32:] = other[2][32:]
    elif action == 5:
        scalar = int.from_bytes(signature[32:], "little") + chance.choice([1, -1, ORDER, 8, 2**252])
        signature[32:] = (scalar % 2**256).to_bytes(32, "little")
    elif action == 6:
        key = bytearray(other[0])
    return bytes(key), bytes(message), bytes(signature)


def test_mutations_agree_with_libsodium() -> None:
    """Batches of honest signatures of which some are changed a little."""
    chance = random.Random(SEED)
    pool = items_of(chance, 300)
    left = CASES
    while left > 0:
        size = chance.choice([1, 2, 3, 7, 20, 67, 130])
        rate = chance.choice([0.01, 0.1, 0.5, 1.0])
        batch = [
            mutated(chance, item, chance.choice(pool)) if chance.random() < rate else item
            for item in chance.choices(pool, k=size)
        ]
        agree(batch)
        left -= size


# ---- proofs of the VRF ----


def test_proofs_hold_and_fail_as_one_by_one() -> None:
    """Honest ones, mutated ones, those of other keys and inputs, and any bytes."""
    chance = random.Random(SEED)
    items: list[Item] = []
    for _ in range(CASES // 10):
        seed, alpha = chance.randbytes(32), chance.randbytes(chance.randrange(80))
        key, proof = ed25519.public_key_of(seed), vrf.prove(seed, alpha)
        bit = chance.randrange(640)
        flipped = bytearray(proof)
        flipped[bit // 8] ^= 1 << bit % 8
        items += [
            (key, alpha, proof),
            (key, alpha, bytes(flipped)),
            (ed25519.public_key_of(chance.randbytes(32)), alpha, proof),
            (key, alpha + b"\0", proof),
            (key, alpha, chance.randbytes(80)),
        ]
    expected = [vrf.verify(*item) for item in items]
    assert vrf.verify_batch(items) == expected
    assert sum(shown is not None for shown in expected) >= CASES // 10
