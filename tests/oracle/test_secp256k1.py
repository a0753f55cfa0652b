"""Recovery in batches against libsecp256k1 (coincurve) and py_ecc, on every SIMD level.

The vector code shares one ladder among eight signatures and gives up lanes whose points meet; a
hostile signer can choose such points, so most cases here are chosen rather than random. Where R
is k times the generator the key is (u1 + u2 k) times the generator, which libsecp256k1 computes
without any recovery code: that is the oracle of the chosen cases.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_ecc.secp256k1 import ecdsa_raw_recover

from ghostchain.crypto import secp256k1
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import GROUP_ORDER as N

P = 2**256 - 2**32 - 977
LAMBDA = 0x5363AD4CC05C30E0A5261C028812645A122E22EA20816678DF02967C1B23BD72

Item = tuple[bytes, int, int, int]


@pytest.fixture(params=[0, 1], ids=["portable", "ifma"])
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs the test on each level that the CPU has."""
    highest = secp256k1.set_level(99)
    if request.param > highest:
        pytest.skip("this CPU has no AVX-512 IFMA")
    yield secp256k1.set_level(request.param)
    secp256k1.set_level(99)


def point_of(scalar: int) -> tuple[int, int]:
    """scalar * G, scalar not zero modulo n."""
    key = coincurve.PrivateKey((scalar % N).to_bytes(32))
    return key.public_key.point()


def key_bytes(scalar: int) -> bytes | None:
    """The public key scalar * G as recovery writes it, None for infinity."""
    if scalar % N == 0:
        return None
    x, y = point_of(scalar)
    return x.to_bytes(32) + y.to_bytes(32)


def chosen(k: int, u1: int, u2: int) -> tuple[Item, bytes | None]:
    """An item whose recovery computes u1 * G + u2 * R with R = k * G, and the key it must give."""
    x, y = point_of(k)
    digest = (-u1 * x) % N
    return (digest.to_bytes(32), x, u2 * x % N, y & 1), key_bytes(u1 + u2 * k)


def library_key(item: Item) -> bytes | None:
    """What libsecp256k1 recovers, None where it refuses."""
    digest, r, s, y_parity = item
    if not (0 < r < N and 0 < s < N and y_parity in (0, 1)):
        return None
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([y_parity])
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        return None
    return key.format(compressed=False)[1:]


def random_items(count: int, seed: int) -> list[Item]:
    """Signatures of random keys, every fifth one spoiled so that half of those have no key."""
    chance = random.Random(seed)
    items = []
    for i in range(count):
        digest = chance.randbytes(32)
        r, s, y_parity = secp256k1.sign(digest, chance.randrange(1, N).to_bytes(32))
        items.append((digest, chance.randrange(1, N) if i % 5 == 4 else r, s, y_parity))
    return items


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 300, 1000])
@pytest.mark.parametrize("threads", [1, 2, 0, 500])
def test_random_batches(level: int, count: int, threads: int) -> None:
    """Any batch size and thread count gives what the library gives, in order."""
    items = random_items(count, seed=count)
    expected = [library_key(item) for item in items]
    assert secp256k1.recover_public_keys(items, threads=threads) == expected
    addresses = [key and keccak256(key)[12:] for key in expected]
    assert secp256k1.recover_batch(items, threads=threads) == addresses


def test_py_ecc_agrees(level: int) -> None:
    """A second oracle, written in Python from the formulas."""
    items = [item for item in random_items(12, seed=5) if library_key(item)]
    for item, key in zip(items, secp256k1.recover_public_keys(items), strict=True):
        digest, r, s, y_parity = item
        x, y = ecdsa_raw_recover(digest, (27 + y_parity, r, s))
        assert key == int(x).to_bytes(32) + int(y).to_bytes(32)


def test_scalars_out_of_range(level: int) -> None:
    """r and s lie in [1, n) and y_parity is a bit; anything else has no signer, and does not
    disturb its neighbours."""
    digest = hashlib.sha256(b"range").digest()
    r, s, y_parity = secp256k1.sign(digest, bytes(31) + b"\7")
    good = (digest, r, s, y_parity)
    bad: list[Item] = []
    for wrong in (0, N, N + 1, P - 1, P, P + 1, 2**256 - 1, 2**256, 2**300, -1):
        bad += [(digest, wrong, s, y_parity), (digest, r, wrong, y_parity)]
    bad += [(digest, r, s, wrong) for wrong in (-1, 2, 3, 27, 28, 255, 256)]
    mixed = [item for wrong in bad for item in (good, wrong)]
    signer = secp256k1.address_of(bytes(31) + b"\7")
    assert secp256k1.recover_batch(bad) == [None] * len(bad)
    assert secp256k1.recover_batch(mixed) == [signer, None] * len(bad)


def test_edge_scalars(level: int) -> None:
    """The least and greatest r and s that are allowed, with digests around 0 and n."""
    scalars = [1, 2, 3, 4, 5, 6, 7, N // 2, N // 2 + 1, N - 3, N - 2, N - 1]
    digests = [0, 1, N - 1, N, N + 1, 2**256 - 1]
    items = [
        (digest.to_bytes(32), r, s, y_parity)
        for digest in digests
        for r in scalars
        for s in scalars
        for y_parity in (0, 1)
    ]
    assert secp256k1.recover_public_keys(items) == [library_key(item) for item in items]


def test_x_off_the_curve(level: int) -> None:
    """About half of all r are no x of the curve: those have no signer."""
    digest = hashlib.sha256(b"curve").digest()
    items = [(digest, r, 12345, r & 1) for r in range(1, 400)]
    keys = secp256k1.recover_public_keys(items)
    for item, key in zip(items, keys, strict=True):
        on_curve = pow(item[1] ** 3 + 7, (P - 1) // 2, P) == 1
        assert (key is not None) == on_curve
    assert keys == [library_key(item) for item in items]


def test_infinity(level: int) -> None:
    """A digest chosen so that u1 * G = -u2 * R leaves no key."""
    chance = random.Random(11)
    items = []
    for k in (1, 2, 3, 31, 32, LAMBDA, N - 1, *(chance.randrange(1, N) for _ in range(30))):
        for u2 in (1, 2, N - 1, LAMBDA, chance.randrange(1, N)):
            item, key = chosen(k, -u2 * k % N, u2)
            assert key is None
            items.append(item)
    assert secp256k1.recover_public_keys(items) == [None] * len(items)
    digest, r, s, y_parity = items[0]
    neighbour = (digest, r, s, y_parity ^ 1)
    assert secp256k1.recover_public_keys([items[0], neighbour]) == [None, library_key(neighbour)]


def test_points_that_meet(level: int) -> None:
    """R a small or structured multiple of G makes equal and opposite points meet in tables, digit
    sums and the ladder, where incomplete formulas fail."""
    structured = [1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 511, 1023, 1024, 2**130, 2**129, 2**125]
    structured += [LAMBDA, LAMBDA + 1, N - LAMBDA, LAMBDA * LAMBDA % N, pow(2, -1, N)]
    structured += [N - value for value in structured]
    scalars = [0, 1, 2, 3, 31, 32, 1023, 2**130, 2**255, LAMBDA, N - 1, N - 2, N - LAMBDA]
    cases = [chosen(k, u1, u2) for k in structured for u1 in scalars for u2 in scalars if u2]
    keys = secp256k1.recover_public_keys([item for item, _ in cases])
    assert keys == [key for _, key in cases]


def test_points_that_meet_by_chance(level: int) -> None:
    """u1 = j u2 k for small j: the generator's part and R's part are multiples of each other."""
    chance = random.Random(12)
    cases = []
    for _ in range(150):
        k, u2 = chance.randrange(1, N), chance.randrange(1, 2 ** chance.choice([4, 10, 128, 255]))
        factor = chance.choice([1, 2, 3, 32, LAMBDA]) * chance.choice([1, -1])
        cases.append(chosen(k, factor * u2 * k % N, u2))
        cases.append(chosen(chance.randrange(1, 64), chance.randrange(64), u2))
    keys = secp256k1.recover_public_keys([item for item, _ in cases])
    assert keys == [key for _, key in cases]


def test_hostile_lanes_leave_neighbours_alone(level: int) -> None:
    """One lane whose points meet, in each of the eight places, among honest signatures."""
    honest = [item for item in random_items(12, seed=3) if library_key(item)][:8]
    hostile = [chosen(1, 0, 1), chosen(1, N - 1, 1), chosen(LAMBDA, 1, 1), chosen(2, 1, N - 1)]
    for item, key in hostile:
        for place in range(8):
            items = [*honest[:place], item, *honest[place + 1 :]]
            expected = [library_key(other) for other in items]
            expected[place] = key
            assert secp256k1.recover_public_keys(items) == expected


@given(
    st.integers(1, N - 1), st.binary(min_size=32, max_size=32), st.integers(0, 20), st.integers(0)
)
def test_signer_is_recovered(secret: int, digest: bytes, padding: int, place: int) -> None:
    """What a key signs, recovery gives back to its address, wherever it stands in a batch."""
    private_key = secret.to_bytes(32)
    r, s, y_parity = secp256k1.sign(digest, private_key)
    assert 0 < s <= N // 2
    signer = secp256k1.address_of(private_key)
    items: list[Item] = [(digest, 0, 0, 0)] * padding
    place %= padding + 1
    items.insert(place, (digest, r, s, y_parity))
    assert secp256k1.recover_batch(items)[place] == signer
    # The other root and the other point: the signature EIP-2 forbids names the same signer.
    assert secp256k1.recover(digest, r, N - s, y_parity ^ 1) == signer
    assert secp256k1.recover(digest, r, s, y_parity) == signer


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=32, max_size=32),
            st.one_of(st.integers(0, 40), st.integers(N - 40, N + 40), st.integers(1, N - 1)),
            st.one_of(st.integers(0, 40), st.integers(N - 40, N + 40), st.integers(1, N - 1)),
            st.integers(0, 1),
        ),
        max_size=20,
    )
)
def test_levels_agree(items: list[Item]) -> None:
    """Every level gives the library's answer for any numbers at all."""
    expected = [library_key(item) for item in items]
    try:
        for level in range(secp256k1.set_level(99) + 1):
            secp256k1.set_level(level)
            assert secp256k1.recover_public_keys(items) == expected
    finally:
        secp256k1.set_level(99)


def test_batches_run_side_by_side(level: int) -> None:
    """Several threads may recover at once, the first use of the tables included."""
    items = random_items(60, seed=9)
    expected = [library_key(item) for item in items]
    with ThreadPoolExecutor(max_workers=4) as pool:
        runs = list(pool.map(lambda _: secp256k1.recover_public_keys(items, threads=2), range(8)))
    assert runs == [expected] * 8


def test_levels_are_clamped() -> None:
    """A cap beyond the CPU's level, or below the portable one, is brought into range."""
    highest = secp256k1.set_level(99)
    assert highest in (0, 1)
    assert secp256k1.level() == highest
    assert secp256k1.set_level(-5) == 0 == secp256k1.level()
    assert secp256k1.set_level(99) == highest


def test_known_account() -> None:
    """The first account of the well-known test mnemonic, and private key 1."""
    key = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    assert secp256k1.address_of(key).hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    one = (1).to_bytes(32)
    assert secp256k1.address_of(one).hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    assert secp256k1.public_key_of(one) == key_bytes(1)


@pytest.mark.parametrize(
    ("private_key", "complaint"),
    [
        (b"", "32 bytes, not 0"),
        (bytes(31), "32 bytes, not 31"),
        (bytes(33), "32 bytes, not 33"),
        (bytes(32), "between 1 and"),
        (N.to_bytes(32), "between 1 and"),
        (b"\xff" * 32, "between 1 and"),
    ],
)
def test_private_keys_out_of_range(private_key: bytes, complaint: str) -> None:
    """What is no private key is refused in words that do not contain it."""
    for use in (
        secp256k1.address_of,
        secp256k1.public_key_of,
        lambda key: secp256k1.sign(bytes(32), key),
    ):
        with pytest.raises(ValueError, match=complaint):
            use(private_key)


def test_digests_of_wrong_length() -> None:
    """A digest has 32 bytes; a caller who passes anything else has a bug."""
    for digest in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="a digest has 32 bytes"):
            secp256k1.sign(digest, bytes(31) + b"\1")
        with pytest.raises(ValueError, match="a digest has 32 bytes"):
            secp256k1.recover(digest, 1, 1, 0)
    with pytest.raises(ValueError, match="threads is a count"):
        secp256k1.recover_batch([], threads=-1)
