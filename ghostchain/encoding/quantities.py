"""QUANTITY of JSON-RPC: integers as the shortest 0x-prefixed text, strict as geth's hexutil."""

from __future__ import annotations

from ghostchain.encoding.hexadecimal import digits_of
from ghostchain.primitives.errors import EncodingReason, InvalidEncoding


def parse_quantity(text: object, *, bits: int = 256) -> int:
    """The integer of a QUANTITY string: no leading zeros, "0x0" is zero, "0x" is refused.

    bits: the integer is below 2**bits.
    Raises: InvalidEncoding NOT_TEXT, EMPTY_TEXT, NO_PREFIX, EMPTY_NUMBER, LEADING_ZERO_DIGIT,
    NUMBER_TOO_LARGE, NOT_HEX.
    """
    if isinstance(text, str) and len(text) > 2 + bits:
        raise _too_large(bits)
    digits = digits_of(text)
    if not digits:
        raise InvalidEncoding(EncodingReason.EMPTY_NUMBER)
    if digits[0] == "0" and len(digits) > 1:
        raise InvalidEncoding(EncodingReason.LEADING_ZERO_DIGIT)
    value = int(digits, 16)
    if value >> bits:
        raise _too_large(bits)
    return value


def format_quantity(value: int) -> str:
    """The shortest 0x-prefixed text. Raises: ValueError when negative."""
    if value < 0:
        raise ValueError(f"a QUANTITY is never negative: {value}")
    return hex(value)


def _too_large(bits: int) -> InvalidEncoding:
    return InvalidEncoding(EncodingReason.NUMBER_TOO_LARGE, f"hex number > {bits} bits")
