"""Recursive Length Prefix, strict and bounded (Yellow Paper, appendix B).

An item is bytes or a list of items. Integers are bytes here; `integer` and `integer_bytes` convert
with the canonical form (big-endian, no leading zero, zero is empty).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ghostchain.primitives.errors import EncodingReason, InvalidEncoding

Item: TypeAlias = "bytes | Sequence[Item]"
Decoded: TypeAlias = "bytes | list[Decoded]"

SIZE_MAX = 1 << 27
DEPTH_MAX = 64


def encode(item: Item) -> bytes:
    """The bytes of an item. Cost: linear. Raises: TypeError on what is neither bytes nor list."""
    if isinstance(item, bytes):
        return encode_bytes(item)
    if isinstance(item, list | tuple):
        return list_of([encode(part) for part in item])
    raise TypeError(f"RLP knows bytes, lists and tuples, not {type(item).__name__}")


def encode_bytes(data: bytes) -> bytes:
    """The bytes of a byte string."""
    if len(data) == 1 and data[0] < 0x80:
        return data
    return _head(0x80, len(data)) + data


def encode_integer(value: int) -> bytes:
    """The bytes of a non-negative integer."""
    return encode_bytes(integer_bytes(value))


def list_of(encoded: Sequence[bytes]) -> bytes:
    """The list whose parts are already encoded."""
    body = b"".join(encoded)
    return _head(0xC0, len(body)) + body


def integer_bytes(value: int) -> bytes:
    """Big-endian without leading zeros; zero is empty. Raises: OverflowError when negative."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def integer(item: Decoded, *, bytes_max: int = 32) -> int:
    """The integer that an item stands for.

    Raises: InvalidEncoding NOT_BYTES, LEADING_ZERO, FIELD_WIDTH (more than bytes_max).
    """
    if not isinstance(item, bytes):
        raise InvalidEncoding(EncodingReason.NOT_BYTES, "a list where an integer belongs")
    if item and item[0] == 0:
        raise InvalidEncoding(EncodingReason.LEADING_ZERO)
    if len(item) > bytes_max:
        message = f"an integer of {len(item)} bytes, at most {bytes_max} are allowed"
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH, message)
    return int.from_bytes(item, "big")


def fixed(item: Decoded, length: int) -> bytes:
    """The item, which is `length` bytes long. Raises: InvalidEncoding NOT_BYTES, FIELD_WIDTH."""
    if not isinstance(item, bytes):
        raise InvalidEncoding(EncodingReason.NOT_BYTES)
    if len(item) != length:
        message = f"{len(item)} bytes where {length} belong"
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH, message)
    return item


def as_list(item: Decoded, *, length: int | None = None) -> list[Decoded]:
    """The item, which is a list (of `length` items, where given).

    Raises: InvalidEncoding NOT_A_LIST, FIELD_COUNT.
    """
    if not isinstance(item, list):
        raise InvalidEncoding(EncodingReason.NOT_A_LIST)
    if length is not None and len(item) != length:
        message = f"{len(item)} fields where {length} belong"
        raise InvalidEncoding(EncodingReason.FIELD_COUNT, message)
    return item


def as_bytes(item: Decoded) -> bytes:
    """The item, which is a byte string. Raises: InvalidEncoding NOT_BYTES."""
    if not isinstance(item, bytes):
        raise InvalidEncoding(EncodingReason.NOT_BYTES)
    return item


def decode(
    data: bytes, *, size_max: int = SIZE_MAX, depth_max: int = DEPTH_MAX, strict: bool = True
) -> Decoded:
    """The one item that data encodes.

    With strict=False bytes may follow the item; every other rule stays. depth_max bounds how
    deeply lists nest ([] has depth 1).
    Raises: InvalidEncoding TOO_LONG, TRUNCATED, NOT_CANONICAL, TRAILING_BYTES, TOO_DEEP.
    """
    item, end = decode_prefix(data, 0, size_max=size_max, depth_max=depth_max)
    if strict and end != len(data):
        message = f"{len(data) - end} bytes after the item"
        raise InvalidEncoding(EncodingReason.TRAILING_BYTES, message)
    return item


def decode_prefix(
    data: bytes, offset: int = 0, *, size_max: int = SIZE_MAX, depth_max: int = DEPTH_MAX
) -> tuple[Decoded, int]:
    """The item that starts at offset, and where it ends. For streams of items.

    Raises: InvalidEncoding TOO_LONG, TRUNCATED, NOT_CANONICAL, TOO_DEEP.
    """
    is_list, start, end = span(data, offset)
    if end - offset > size_max:
        message = f"an item of {end - offset} bytes, at most {size_max} are allowed"
        raise InvalidEncoding(EncodingReason.TOO_LONG, message)
    if not is_list:
        return data[start:end], end
    return _decode_list(data, start, end, depth_max), end


def _decode_list(data: bytes, start: int, end: int, depth_max: int) -> list[Decoded]:
    if depth_max <= 0:
        raise InvalidEncoding(EncodingReason.TOO_DEEP)
    items: list[Decoded] = []
    while start < end:
        is_list, payload, stop = span(data, start, end)
        items.append(
            _decode_list(data, payload, stop, depth_max - 1) if is_list else data[payload:stop]
        )
        start = stop
    return items


def span(data: bytes, offset: int = 0, end: int | None = None) -> tuple[bool, int, int]:
    """Whether the item at offset is a list, where its payload starts, and where it ends.

    Nothing inside a list is looked at. end bounds the item (default: the end of data).
    Raises: InvalidEncoding TRUNCATED, NOT_CANONICAL.
    """
    if end is None:
        end = len(data)
    if offset >= end:
        raise InvalidEncoding(EncodingReason.TRUNCATED, "no bytes where an item belongs")
    first = data[offset]
    if first < 0x80:
        return False, offset, offset + 1
    is_list = first >= 0xC0
    short = first - (0xC0 if is_list else 0x80)
    payload = offset + 1
    length = short
    if short > 55:
        payload += short - 55
        if payload > end:
            raise InvalidEncoding(EncodingReason.TRUNCATED, "ends inside a length")
        length = int.from_bytes(data[offset + 1 : payload], "big")
        if data[offset + 1] == 0 or length <= 55:
            raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "a length in a longer form")
    if length > end - payload:
        message = f"an item of {length} bytes where {end - payload} are left"
        raise InvalidEncoding(EncodingReason.TRUNCATED, message)
    if not is_list and length == 1 and data[payload] < 0x80:
        raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "a single byte below 0x80 with a head")
    return is_list, payload, payload + length


def spans(data: bytes, start: int, end: int) -> list[tuple[bool, int, int, int]]:
    """The items inside data[start:end): (is a list, first byte, payload, end) of each.

    Raises: InvalidEncoding TRUNCATED, NOT_CANONICAL.
    """
    found = []
    while start < end:
        is_list, payload, stop = span(data, start, end)
        found.append((is_list, start, payload, stop))
        start = stop
    return found


def _head(base: int, length: int) -> bytes:
    if length <= 55:
        return bytes((base + length,))
    size = integer_bytes(length)
    return bytes((base + 55 + len(size),)) + size
