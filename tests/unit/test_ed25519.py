"""Ed25519 beside RFC 8032 and OpenSSL, and the bytes that validators sign."""

from __future__ import annotations

from hashlib import sha512

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto import ed25519
from ghostchain.encoding.votes import VoteKind, key_claim_bytes, vote_bytes
from ghostchain.primitives.types import Address

ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1: seed, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd"
        "25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c3"
        "87b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("seed", "key", "message", "signature"), VECTORS)
def test_rfc_8032_vectors(seed: str, key: str, message: str, signature: str) -> None:
    seed_bytes, data = bytes.fromhex(seed), bytes.fromhex(message)
    assert ed25519.public_key_of(seed_bytes).hex() == key
    assert ed25519.sign(seed_bytes, data).hex() == signature
    assert ed25519.verify(bytes.fromhex(key), data, bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511))
def test_agrees_with_openssl_and_refuses_a_flipped_bit(seed: bytes, data: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = ed25519.sign(seed, data)
    assert ed25519.public_key_of(seed) == public_key
    assert signature == key.sign(data)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not ed25519.verify(public_key, data, bytes(flipped))
    assert not ed25519.verify(public_key, data + b"\0", signature)


def test_malleable_and_weak_signatures_are_refused() -> None:
    """S + L verifies in a lax implementation, and the identity as key signs everything in one."""
    seed = bytes(range(32))
    public_key, signature = ed25519.public_key_of(seed), ed25519.sign(seed, b"message")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not ed25519.verify(
        public_key, b"message", signature[:32] + scalar.to_bytes(32, "little")
    )
    identity = (1).to_bytes(32, "little")
    assert not ed25519.verify(identity, b"message", identity + bytes(32))


# ---- keys and points with a part of small order, with the arithmetic of RFC 8032, section 5.1 ----

FIELD = 2**255 - 19
D = -121665 * pow(121666, -1, FIELD) % FIELD
IDENTITY = (0, 1)
Point = tuple[int, int]


def add(p: Point, q: Point) -> Point:
    product = D * p[0] * q[0] * p[1] * q[1]
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + product, -1, FIELD)
    y = (p[1] * q[1] + p[0] * q[0]) * pow(1 - product, -1, FIELD)
    return x % FIELD, y % FIELD


def times(scalar: int, point: Point) -> Point:
    result = IDENTITY
    while scalar:
        result = add(result, point) if scalar & 1 else result
        point, scalar = add(point, point), scalar >> 1
    return result


def lift(y: int) -> Point | None:
    """A point with this y, where there is one."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, FIELD) % FIELD
    x = pow(square, (FIELD + 3) // 8, FIELD)
    if x * x % FIELD != square:
        x = x * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
    return (x, y) if x * x % FIELD == square else None


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def small_points() -> list[Point]:
    """The eight points whose order divides the cofactor."""
    candidates = (lift(y) for y in range(2, 60))
    generator = next(
        small
        for point in candidates
        if point and times(4, small := times(ORDER, point)) != IDENTITY
    )
    return [times(factor, generator) for factor in range(8)]


BASE = next((x, y) for x, y in [lift(4 * pow(5, -1, FIELD) % FIELD) or IDENTITY])
BASE = BASE if BASE[0] % 2 == 0 else (FIELD - BASE[0], BASE[1])
SMALL = small_points()


def signed(secret: int, nonce: int, key_part: Point, nonce_part: Point) -> tuple[bytes, bytes]:
    """A key and a signature that hold when the equation is multiplied by the cofactor; without
    that, they hold when both parts are the identity or happen to cancel out."""
    key = encode(add(times(secret, BASE), key_part))
    point = encode(add(times(nonce, BASE), nonce_part))
    challenge = int.from_bytes(sha512(point + key + b"message").digest(), "little")
    scalar = (nonce + challenge * secret) % ORDER
    return key, point + scalar.to_bytes(32, "little")


def test_the_base_point_is_ours() -> None:
    """The arithmetic here is right: what it signs without parts of small order holds."""
    assert times(ORDER, BASE) == IDENTITY
    assert len(set(SMALL)) == 8
    key, signature = signed(12345, 67890, IDENTITY, IDENTITY)
    assert ed25519.verify(key, b"message", signature)


@pytest.mark.parametrize("key_part", range(8))
@pytest.mark.parametrize("nonce_part", range(8))
def test_parts_of_small_order_are_refused(key_part: int, nonce_part: int) -> None:
    """Libraries differ over these, so nobody may ever count them as valid; not even where the parts
    cancel out and every equation holds."""
    for nonce in range(1, 5):
        key, signature = signed(12345, nonce, SMALL[key_part], SMALL[nonce_part])
        assert ed25519.verify(key, b"message", signature) == (key_part == nonce_part == 0)


@pytest.mark.parametrize("small", range(8))
def test_points_of_small_order_are_refused(small: int) -> None:
    """As keys they would sign many messages, as R they come from no honest signer."""
    key = encode(SMALL[small])
    good, _ = signed(12345, 1, IDENTITY, IDENTITY)
    for scalar in (0, 1):
        signature = key + scalar.to_bytes(32, "little")
        assert not ed25519.verify(key, b"message", signature)
        assert not ed25519.verify(good, b"message", signature)


@pytest.mark.parametrize("y", range(19))
def test_encodings_above_the_field_are_refused(y: int) -> None:
    """p + y stands for the same point as y."""
    for sign in (0, 1):
        unreduced = (FIELD + y | sign << 255).to_bytes(32, "little")
        good, signature = signed(12345, 1, IDENTITY, IDENTITY)
        assert not ed25519.verify(unreduced, b"message", signature)
        assert not ed25519.verify(good, b"message", unreduced + signature[32:])


@pytest.mark.parametrize(("key_length", "length"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_wrong_lengths_are_no_signature(key_length: int, length: int) -> None:
    assert not ed25519.verify(bytes(key_length), b"", bytes(length))


def test_vote_bytes_are_what_the_page_says() -> None:
    block_id = bytes(range(32))
    head = "0000000000000102 03 0000000000000304 00000005" + block_id.hex()
    data = vote_bytes(0x0102, VoteKind.PRECOMMIT, 0x0304, 5, block_id)
    assert data == b"GhostChain vote\0" + bytes.fromhex(head + "00000000")
    data = vote_bytes(0x0102, VoteKind.PRECOMMIT, 0x0304, 5, block_id, 2)
    assert data == b"GhostChain vote\0" + bytes.fromhex(head + "00000003")
    claim = key_claim_bytes(7, Address(b"\x11" * 20))
    assert claim == b"GhostChain key\0\0" + (7).to_bytes(8, "big") + b"\x11" * 20


@pytest.mark.parametrize(
    ("chain_id", "height", "round", "block_id"),
    [
        (2**64, 1, 1, bytes(32)),
        (1, 2**64, 1, bytes(32)),
        (1, 1, 2**32, bytes(32)),
        (1, 1, 1, bytes(31)),
        (1, -1, 1, bytes(32)),
    ],
)
def test_votes_that_do_not_fit_are_refused(
    chain_id: int, height: int, round: int, block_id: bytes
) -> None:
    with pytest.raises((OverflowError, ValueError)):
        vote_bytes(chain_id, VoteKind.PREVOTE, height, round, block_id)
