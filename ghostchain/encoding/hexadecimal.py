"""DATA of JSON-RPC: bytes as 0x-prefixed text, two digits a byte, strict as geth's hexutil."""

from __future__ import annotations

import re

from ghostchain.primitives.errors import EncodingReason, InvalidEncoding

_DIGITS = re.compile(r"[0-9a-fA-F]*")


def digits_of(text: object) -> str:
    """The digits after the prefix (0x or 0X). Raises: InvalidEncoding NOT_TEXT, EMPTY_TEXT,
    NO_PREFIX, NOT_HEX."""
    if not isinstance(text, str):
        raise InvalidEncoding(EncodingReason.NOT_TEXT, "non-string where a hex string belongs")
    if not text:
        raise InvalidEncoding(EncodingReason.EMPTY_TEXT)
    if text[:2] not in ("0x", "0X"):
        raise InvalidEncoding(EncodingReason.NO_PREFIX)
    digits = text[2:]
    if not _DIGITS.fullmatch(digits):
        raise InvalidEncoding(EncodingReason.NOT_HEX)
    return digits


def parse_data(text: object, *, length: int | None = None, size_max: int | None = None) -> bytes:
    """The bytes of a DATA string; "0x" is no bytes. Both cases of digits are fine.

    length: the exact number of bytes. size_max: the largest number of bytes.
    Raises: InvalidEncoding NOT_TEXT, EMPTY_TEXT, NO_PREFIX, NOT_HEX, ODD_LENGTH, WRONG_LENGTH,
    TOO_LONG.
    """
    if size_max is not None and isinstance(text, str) and len(text) > 2 + 2 * size_max:
        message = f"hex string of {len(text) - 2} digits, at most {2 * size_max} are allowed"
        raise InvalidEncoding(EncodingReason.TOO_LONG, message)
    digits = digits_of(text)
    if len(digits) % 2:
        raise InvalidEncoding(EncodingReason.ODD_LENGTH)
    if length is not None and len(digits) != 2 * length:
        message = f"hex string has length {len(digits)}, want {2 * length}"
        raise InvalidEncoding(EncodingReason.WRONG_LENGTH, message)
    return bytes.fromhex(digits)


def format_data(data: bytes) -> str:
    """0x and two lower-case digits a byte."""
    return "0x" + data.hex()
