"""The contract ABI against eth-abi: what it encodes we decode, and the other way round; and hostile
bytes end as a refusal, within the gas they pay."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostchain.contracts.framework.abi import AbiType, Array, Tuple, parse_signature, parse_type
from ghostchain.contracts.framework.errors import MalformedCall, Panic

eth_abi = pytest.importorskip("eth_abi")

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uint256": st.integers(0, 2**256 - 1),
    "uint8": st.integers(0, 255),
    "uint64": st.integers(0, 2**64 - 1),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes": st.binary(max_size=70),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    "address": st.binary(min_size=20, max_size=20),
}


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> tuple[AbiType, str, Any]:
    """A type, its name for eth-abi, and a value of it."""
    kind = draw(st.sampled_from(["plain", "plain", "array", "tuple"])) if depth else "plain"
    if kind == "plain":
        name = draw(st.sampled_from(sorted(VALUES)))
        return parse_type(name), name, draw(VALUES[name])
    if kind == "tuple":
        parts = draw(st.lists(typed(depth=depth - 1), min_size=1, max_size=3))
        kinds, names, values = zip(*parts, strict=True)
        return Tuple(kinds), f"({','.join(names)})", tuple(values)
    item, name, value = draw(typed(depth=depth - 1))
    return Array(item), f"{name}[]", [value] * draw(st.integers(0, 3))


def plain(value: Any) -> Any:
    """Lists for tuples."""
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def free(words: int) -> None:
    pass


@settings(max_examples=300, deadline=None)
@given(st.lists(typed(), min_size=1, max_size=4))
def test_both_encode_the_same_and_decode_each_other(parts: list[tuple[AbiType, str, Any]]) -> None:
    kinds, names, values = zip(*parts, strict=True)
    whole = Tuple(kinds)
    encoded = eth_abi.encode(names, values)
    assert whole.encode(list(values)) == encoded
    assert plain(whole.decode(encoded, 0, free)) == plain(values)
    assert plain(whole.decode(encoded + b"more", 0, free)) == plain(values)
    assert whole.name == f"({','.join(names)})"


@settings(max_examples=500, deadline=None)
@given(typed(), st.data())
def test_spoilt_bytes_are_refused_or_mean_what_they_say(
    part: tuple[AbiType, str, Any], data: st.DataObject
) -> None:
    """What is accepted after a byte was changed or bytes were cut is a value of the type: encoded
    again, it decodes to itself."""
    kind, name, value = part
    encoded = bytearray(eth_abi.encode([name], [value]))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    spoilt = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    try:
        values = Tuple([kind]).decode(spoilt, 0, free)
    except MalformedCall:
        return
    again = Tuple([kind]).encode(values)
    assert Tuple([kind]).decode(again, 0, free) == values


@settings(max_examples=300, deadline=None)
@given(typed(depth=2), st.binary(max_size=400))
def test_any_bytes_end_as_values_or_a_refusal(part: tuple[AbiType, str, Any], data: bytes) -> None:
    with contextlib.suppress(MalformedCall):
        Tuple([part[0]]).decode(data, 0, free)


def test_what_is_decoded_is_charged_first() -> None:
    """Nested pointers to one list: as many charges as there will be words."""
    count = 50
    inner = b"".join(n.to_bytes(32, "big") for n in (count, *range(count)))
    heads = (32 * count).to_bytes(32, "big") * count
    data = (32).to_bytes(32, "big") + count.to_bytes(32, "big") + heads + inner
    charged: list[int] = []
    kind = Tuple([parse_type("uint256[][]")])
    (lists,) = kind.decode(data, 0, charged.append)
    assert lists == [list(range(count))] * count
    assert sum(charged) >= count * count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uint8", 256),
        ("uint256", -1),
        ("uint256", 2**256),
        ("int64", 2**63),
        ("int256", -(2**255) - 1),
    ],
)
def test_numbers_that_do_not_fit_are_a_panic(name: str, value: int) -> None:
    with pytest.raises(Panic):
        parse_type(name).encode(value)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("uint8", 256),
        ("address", 2**160),
        ("bool", 2),
        ("bytes4", 1),
        ("int64", 2**63),
        ("int64", 2**256 - 2**63 - 1),
    ],
)
def test_words_that_do_not_fit_are_refused(name: str, word: int) -> None:
    with pytest.raises(MalformedCall):
        parse_type(name).decode(word.to_bytes(32, "big"), 0, free)


@pytest.mark.parametrize(
    "text", ["uint7", "uint264", "uint0", "bytes33", "float", "int", "uint256[3]", ""]
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a type"):
        parse_type(text)


def test_a_signature_is_read() -> None:
    read = parse_signature("Paid(address indexed who, uint256[] amounts, bytes)")
    assert read.canonical == "Paid(address,uint256[],bytes)"
    assert read.names == ("who", "amounts", "value2")
    assert read.indexed == (True, False, False)
    for wrong in ("Paid", "Paid(address who what)", "Paid(thing x)"):
        with pytest.raises(ValueError, match="not a"):
            parse_signature(wrong)
