"""What a remote node's answers must look like. Nothing here trusts them: a value of another form
than the method promises is refused, never taken for zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ghostchain.encoding.hexadecimal import parse_data
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.primitives.types import Hash32

CODE_BYTES_MAX = 4 << 20
"""Far more than any chain's limit on code; what is longer is no code."""

# Codes by which providers say "not so fast" (EIP-1474's -32005 among them).
RATE_CODES = frozenset({429, -32005, -32016, -32029, -32090, -32097})
RATE_WORDS = re.compile(
    r"rate.?limit|too many requests|throughput|compute units|capacity|request limit|"
    r"limit.{0,20}(exceeded|reached)|exceeded.{0,40}(limit|quota)|quota",
    re.IGNORECASE,
)
# The remote node, or the one of many behind its name that was asked, may know better soon.
PASSING_WORDS = re.compile(
    r"header not found|unknown block|block not found|timeout|timed out|temporar|overload|"
    r"try again|unavailable|bad gateway|internal error",
    re.IGNORECASE,
)
# Limits of one request, which asking again does not change.
SIZE_WORDS = re.compile(r"more than|block range|range.{0,20}(large|exceed)|result", re.IGNORECASE)


class Malformed(Exception):
    """An answer that is none; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A JSON-RPC error."""

    code: int
    message: str
    data: object = None

    @property
    def is_complaint(self) -> bool:
        """Whether it says that the remote node is asked too much."""
        if SIZE_WORDS.search(self.message):
            return False
        return self.code in RATE_CODES or RATE_WORDS.search(self.message) is not None

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered later."""
        return self.is_complaint or PASSING_WORDS.search(self.message) is not None


def outcomes_of(body: bytes, ids: range) -> dict[int, Any]:
    """What the requests with these ids were answered: a result, or a Refusal; those that are
    missing in a batch's answer are missing here.

    Raises: Malformed, when the body is not an answer to just these.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error}") from error
    if isinstance(parsed, dict):
        if len(ids) > 1 and "error" in parsed:
            raise Malformed(f"one error for a batch: {_refusal(parsed['error']).message}")
        items = [parsed]
    elif isinstance(parsed, list):
        items = parsed
    else:
        raise Malformed("neither an object nor an array")
    outcomes: dict[int, Any] = {}
    for item in items:
        if not isinstance(item, dict):
            raise Malformed("an answer that is no object")
        number = item.get("id")
        if type(number) is not int or number not in ids:
            raise Malformed(f"an answer to id {str(number)[:40]}, which was not asked")
        if number in outcomes:
            raise Malformed(f"two answers to id {number}")
        if item.get("error") is not None:
            outcomes[number] = _refusal(item["error"])
        elif "result" in item:
            outcomes[number] = item["result"]
        else:
            raise Malformed("neither result nor error")
    return outcomes


def _refusal(error: object) -> Refusal:
    if isinstance(error, str):
        return Refusal(-32000, error[:1000])
    if not isinstance(error, Mapping):
        raise Malformed("an error that is no object")
    code, message = error.get("code"), error.get("message")
    return Refusal(
        code if type(code) is int else -32000,
        message[:1000] if isinstance(message, str) else "no reason given",
        error.get("data"),
    )


def quantity(value: object, what: str, *, bits: int = 256) -> int:
    """A number as nodes write it; leading zeros are let pass. Raises: Malformed."""
    if isinstance(value, str) and 2 < len(value) <= 2 + 64 and value[:2] == "0x":
        try:
            number = int(value[2:], 16) if "_" not in value else -1
        except ValueError:
            number = -1
        if 0 <= number < 1 << bits:
            return number
    raise Malformed(f"{what} is {shown(value)}, which is no number of {bits} bits")


def word(value: object, what: str) -> bytes:
    """A slot's value, 32 bytes; shorter ones are filled up. Raises: Malformed."""
    if isinstance(value, str) and value.startswith("0x") and len(value) <= 66:
        try:
            return bytes.fromhex(value[2:].rjust(64, "0"))
        except ValueError:
            pass
    raise Malformed(f"{what} is {shown(value)}, which is no word of 32 bytes")


def data(value: object, what: str, *, length: int | None = None) -> bytes:
    """Raises: Malformed."""
    try:
        return parse_data(value, length=length, size_max=CODE_BYTES_MAX)
    except InvalidEncoding as error:
        raise Malformed(f"{what} is {shown(value)}: {error}") from error


def hash32(value: object, what: str) -> Hash32:
    """Raises: Malformed."""
    return Hash32(data(value, what, length=32))


def shown(value: object) -> str:
    """A value from outside, short enough for a message."""
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
