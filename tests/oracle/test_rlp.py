"""The Python codec of RLP against the `rlp` library of the Ethereum Foundation, and its own rules.

The native reader is held to this codec in test_transactions.py.
"""

from __future__ import annotations

import pytest
import rlp as reference
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.encoding import rlp
from ghostchain.primitives.errors import EncodingReason, InvalidEncoding
from tests.strategies import answer, mutations, rlp_items


def as_lists(item):
    """The library gives immutable sequences of its own kind back."""
    return item if isinstance(item, bytes) else [as_lists(part) for part in item]


@given(rlp_items)
def test_encoding_is_the_librarys(item) -> None:
    """Every item has the same bytes, and they decode to it again."""
    encoded = rlp.encode(item)
    assert encoded == reference.encode(item)
    assert rlp.decode(encoded) == item


@given(st.data())
def test_broken_bytes_are_refused_as_by_the_library(data) -> None:
    """What one refuses the other refuses; what both take is the same item, in its only encoding."""
    encoded = data.draw(mutations(rlp.encode(data.draw(rlp_items))))
    try:
        wanted = as_lists(reference.decode(encoded, strict=True))
    except reference.DecodingError:
        with pytest.raises(InvalidEncoding) as refusal:
            rlp.decode(encoded)
        assert isinstance(refusal.value.reason, EncodingReason)
    else:
        assert rlp.decode(encoded) == wanted
        assert rlp.encode(wanted) == encoded


@given(st.binary(max_size=40))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    """Whatever comes in is an item in its only encoding, or is refused with a reason."""
    item = answer(rlp.decode, data)
    if not isinstance(item, EncodingReason):
        assert rlp.encode(item) == data


REFUSALS = [
    ("", EncodingReason.TRUNCATED),
    ("81", EncodingReason.TRUNCATED),
    ("83646f", EncodingReason.TRUNCATED),
    ("c20100ff", EncodingReason.TRAILING_BYTES),
    ("0102", EncodingReason.TRAILING_BYTES),
    ("8101", EncodingReason.NOT_CANONICAL),
    ("8100", EncodingReason.NOT_CANONICAL),
    ("b80101", EncodingReason.NOT_CANONICAL),
    ("b8", EncodingReason.TRUNCATED),
    ("b90040" + "00" * 64, EncodingReason.NOT_CANONICAL),
    ("f800", EncodingReason.NOT_CANONICAL),
    ("bfffffffffffffffff", EncodingReason.TRUNCATED),
    ("ffffffffffffffffff", EncodingReason.TRUNCATED),
    ("c2c181", EncodingReason.TRUNCATED),
    ("c1c1", EncodingReason.TRUNCATED),
]


@pytest.mark.parametrize(("text", "reason"), REFUSALS)
def test_refusals_say_why(text: str, reason: EncodingReason) -> None:
    with pytest.raises(InvalidEncoding) as refusal:
        rlp.decode(bytes.fromhex(text))
    assert refusal.value.reason is reason


def test_depth_is_bounded() -> None:
    """Nesting costs the sender one byte and us a frame, so it has a limit, and at the limit."""

    def nested(depth: int) -> bytes:
        data = b""
        for _ in range(depth):
            data = rlp.list_of([data])
        return data

    assert rlp.decode(nested(5), depth_max=5) == [[[[[]]]]]
    with pytest.raises(InvalidEncoding) as refusal:
        rlp.decode(nested(6), depth_max=5)
    assert refusal.value.reason is EncodingReason.TOO_DEEP
    with pytest.raises(InvalidEncoding) as refusal:
        rlp.decode(nested(100_000))
    assert refusal.value.reason is EncodingReason.TOO_DEEP


def test_size_is_bounded() -> None:
    assert rlp.decode(rlp.encode(bytes(97)), size_max=99) == bytes(97)
    with pytest.raises(InvalidEncoding) as refusal:
        rlp.decode(rlp.encode(bytes(98)), size_max=99)
    assert refusal.value.reason is EncodingReason.TOO_LONG


def test_prefix_reads_a_stream() -> None:
    """Items one after the other, each found where the last one ended."""
    items = [b"dog", [b"cat", [b""]], b"", bytes(300)]
    stream = b"".join(rlp.encode(item) for item in items)
    found, offset = [], 0
    while offset < len(stream):
        item, offset = rlp.decode_prefix(stream, offset)
        found.append(item)
    assert found == items
    assert rlp.decode(b"\x01\x02", strict=False) == b"\x01"


def test_integers_are_canonical() -> None:
    for number in (0, 1, 127, 128, 255, 256, 2**256 - 1):
        assert rlp.integer(rlp.integer_bytes(number)) == number
    for item, reason in (
        (b"\x00", EncodingReason.LEADING_ZERO),
        (b"\x00\x01", EncodingReason.LEADING_ZERO),
        (bytes([1]) + bytes(32), EncodingReason.FIELD_WIDTH),
        ([], EncodingReason.NOT_BYTES),
    ):
        with pytest.raises(InvalidEncoding) as refusal:
            rlp.integer(item)
        assert refusal.value.reason is reason
    with pytest.raises(OverflowError):
        rlp.integer_bytes(-1)


def test_only_bytes_and_lists_are_encoded() -> None:
    for wrong in (5, "dog", None, {1}, bytearray(b"dog")):
        with pytest.raises(TypeError):
            rlp.encode(wrong)
