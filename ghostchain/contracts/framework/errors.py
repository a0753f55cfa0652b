"""How a contract's call ends early."""

from __future__ import annotations

_ERROR_STRING = bytes.fromhex("08c379a0")  # Error(string)
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)

PANIC_OVERFLOW = 0x11
PANIC_DIVISION = 0x12
PANIC_EMPTY_POP = 0x31
PANIC_BOUNDS = 0x32


class Revert(Exception):
    """The call is undone, and its caller gets the data. Gas that is left goes back."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data)
        self.data = data

    @classmethod
    def because(cls, reason: str) -> Revert:
        """With Solidity's `Error(string)`, which wallets show."""
        text = reason.encode()
        padded = text.ljust(-(-len(text) // 32) * 32, b"\0")
        return cls(_ERROR_STRING + (32).to_bytes(32) + len(text).to_bytes(32) + padded)


class Panic(Revert):
    """As Solidity's `Panic(uint256)`: arithmetic or an index outside its range."""

    def __init__(self, code: int) -> None:
        super().__init__(_PANIC + code.to_bytes(32))
        self.code = code


class MalformedCall(Revert):
    """Arguments that are not the encoding of what the function takes: no data, as in Solidity."""


def require(condition: bool, reason: str) -> None:
    """Raises: Revert with `Error(string)` unless the condition holds."""
    if not condition:
        raise Revert.because(reason)
