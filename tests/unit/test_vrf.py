"""The VRF beside appendix B.3 of RFC 9381, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto import vrf
from ghostchain.crypto.ed25519 import public_key_of
from tests.unit.test_ed25519 import ORDER, SMALL, encode

# RFC 9381, appendix B.3, examples 16 to 18: seed, public key, alpha, pi, beta.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97"
        "27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff66b71dda49d2de59d03450451af02679"
        "8e8f81cd2e333de5cdf4f3e140fdd8ae",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465"
        "301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb5e33821bc613efb94db5e5b54c70a848"
        "a0bef4553a41befc57663b56373a5031",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0"
        "e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c452118fec1219202a0edcf038bb6373241"
        "578be7217ba85a2687f7a0310b2df19f",
    ),
]
SEED = bytes(range(32))
KEY = public_key_of(SEED)
PROOF = vrf.prove(SEED, b"alpha")


def verify(key: bytes, alpha: bytes, proof: bytes) -> bytes | None:
    """What libsodium's group and the native core both say, alone and beside a good proof."""
    shown = vrf.verify(key, alpha, proof)
    good = KEY, b"alpha", PROOF
    batch = vrf.verify_batch([good, (key, alpha, proof), good])
    assert batch[1] == shown
    assert batch[0] == batch[2] == vrf.output(PROOF)
    return shown


@pytest.mark.parametrize(("seed", "key", "alpha", "proof", "output"), VECTORS)
def test_rfc_9381_vectors(seed: str, key: str, alpha: str, proof: str, output: str) -> None:
    made = vrf.prove(bytes.fromhex(seed), bytes.fromhex(alpha))
    assert public_key_of(bytes.fromhex(seed)).hex() == key
    assert made.hex() == proof
    assert vrf.output(made).hex() == output
    shown = verify(bytes.fromhex(key), bytes.fromhex(alpha), made)
    assert shown == bytes.fromhex(output)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_what_is_proved_is_shown(seed: bytes, alpha: bytes) -> None:
    proof = vrf.prove(seed, alpha)
    key = public_key_of(seed)
    assert verify(key, alpha, proof) == vrf.output(proof)
    assert verify(key, alpha + b"\0", proof) is None
    assert verify(public_key_of(bytes(32 * [1])), alpha, proof) is None


@pytest.mark.parametrize("bit", range(640))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    changed = bytearray(PROOF)
    changed[bit // 8] ^= 1 << bit % 8
    assert verify(KEY, b"alpha", bytes(changed)) is None


def test_hostile_proofs_are_refused() -> None:
    """Of wrong length, with scalars that are zero or too large, with points of small order or none,
    by keys that are none."""
    assert verify(KEY, b"alpha", PROOF) is not None
    scalar = int.from_bytes(PROOF[48:], "little")
    refused = [
        b"",
        PROOF[:-1],
        PROOF + b"\0",
        PROOF[:48] + (scalar + ORDER).to_bytes(32, "little"),
        PROOF[:48] + bytes(32),
        PROOF[:32] + bytes(16) + PROOF[48:],
        *(encode(point) + PROOF[32:] for point in SMALL),
        bytes(80),
        b"\xff" * 80,
    ]
    for proof in refused:
        assert verify(KEY, b"alpha", proof) is None
    for key in (b"", KEY[:-1], b"\xff" * 32, *map(encode, SMALL)):
        assert verify(key, b"alpha", PROOF) is None


def test_seeds_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError):
        vrf.prove(bytes(31), b"")
