"""Parameters of the methods of a development chain: as many shapes as anvil, Hardhat and their
clients send. Numbers come as JSON numbers, decimal or 0x-hexadecimal text, leading zeros too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ghostchain.chain.fees import BASE_FEE_END
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.development import Fork
from ghostchain.rpc.parameters import (
    address,
    call_request,
    data,
    fields,
    items,
    kind,
    optional,
    storage_key,
    text,
)

HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,64}", re.ASCII)
DECIMAL = re.compile(r"[0-9]{1,78}", re.ASCII)
WORD_MAX = (1 << 256) - 1
URL_CHARACTERS_MAX = 2_048
MOMENT_S_MAX = 10**12
REORG_PAIRS_MAX = 10_000
# Milliseconds of an interval: a day and more would be no block time any more, but no harm either.
INTERVAL_MS_MAX = 1 << 40


def number(value: Any) -> int:
    """Below 2^256."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"expected a number, not {kind(value)}")
    found = value if isinstance(value, int) else parsed(value)
    if not 0 <= found <= WORD_MAX:
        raise ValueError("expected a number from 0 to 2^256 - 1")
    return found


def parsed(value: str) -> int:
    if HEXADECIMAL.fullmatch(value):
        return int(value, 16)
    if DECIMAL.fullmatch(value):
        return int(value)
    raise ValueError("expected a number, decimal or 0x-hexadecimal")


def number_64(value: Any) -> int:
    found = number(value)
    if found >= 1 << 64:
        raise ValueError("expected a number below 2^64")
    return found


def moment(value: Any) -> int:
    """A time in seconds; as anvil takes it, in milliseconds where it is beyond 10^12."""
    found = number_64(value)
    return found // 1_000 if found > MOMENT_S_MAX else found


def code(value: Any) -> bytes:
    """Code; none may be said with or without 0x."""
    return b"" if value == "" else data(value)


def seconds(value: Any) -> int:
    """Of a clock's move, backwards too where it is a JSON number."""
    if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 0:
        return value
    return number_64(value)


def word(value: Any) -> Hash32:
    """32 bytes; a number stands right-aligned in them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Hash32(number(value).to_bytes(32, "big"))
    return storage_key(value)


def gas(value: Any) -> int:
    """A block's gas limit."""
    found = number(value)
    if not 0 < found < 1 << 63:
        raise ValueError("expected a gas limit between 1 and 2^63 - 1")
    return found


def base_fee(value: Any) -> int:
    """A block's fee, in wei per gas: what the blocks after it can still rise from."""
    found = number(value)
    if found >= BASE_FEE_END:
        raise ValueError("expected a base fee below 2^128")
    return found


def interval_seconds(value: Any) -> tuple[int, int] | None:
    """Anvil's seconds, or Hardhat's [least, most] in milliseconds; None for 0: no interval."""
    if isinstance(value, list):
        bounds = [number_64(one) for one in items(value, 2, "bounds of an interval")]
        if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= INTERVAL_MS_MAX:
            raise ValueError("expected [least, most] in milliseconds")
        return bounds[0], bounds[1]
    return same(1000 * number_64(value))


def same(interval_ms: int) -> tuple[int, int] | None:
    if interval_ms > INTERVAL_MS_MAX:
        raise ValueError("the interval is too long")
    return (interval_ms, interval_ms) if interval_ms else None


@dataclass(frozen=True, slots=True)
class Mining:
    """How many blocks, and when the first of them is; None: by the clock."""

    blocks: int = 1
    timestamp: int | None = None


def mine_options(value: Any) -> Mining:
    """A timestamp, or an object of timestamp and blocks."""
    if isinstance(value, dict):
        blocks = optional(value, "blocks", number_64)
        return Mining(1 if blocks is None else blocks, optional(value, "timestamp", number_64))
    timestamp = number_64(value)
    return Mining(1, timestamp)


def fork_options(value: Any) -> Fork | None:
    """What anvil_reset takes: {forking: {jsonRpcUrl, blockNumber}}; the fork that there is, where
    neither is said."""
    members = fields(fields(value).get("forking") or {})
    url = optional(members, "jsonRpcUrl", url_text)
    block = optional(members, "blockNumber", number_64)
    return Fork(url, block)


def url_text(value: Any) -> str:
    found = text(value)
    if len(found) > URL_CHARACTERS_MAX:
        raise ValueError("the URL is too long")
    if not found.startswith(("http://", "https://", "ws://", "wss://")):
        raise ValueError("expected an http, https, ws or wss URL")
    return found


def signature(value: Any) -> bytes:
    found = data(value)
    if len(found) != 65:
        raise ValueError(f"a signature has 65 bytes, not {len(found)}")
    return found


def believed_signature(value: Any) -> bytes | tuple[bytes, Address]:
    """A signature; or with the address in one list."""
    if not isinstance(value, list):
        return signature(value)
    if len(items(value, 2, "members of a pair")) != 2:
        raise ValueError("expected a signature and an address")
    return signature(value[0]), address(value[1])


@dataclass(frozen=True, slots=True)
class Reorganisation:
    """How many of the last blocks go, and what stands in their place: (raw transaction or request,
    blocks after the common ancestor)."""

    depth: int
    pairs: tuple[tuple[Any, int], ...] = ()


def reorganisation(value: Any) -> Reorganisation:
    """The depth, or anvil's options as one object."""
    if not isinstance(value, dict):
        return Reorganisation(number_64(value))
    depth = value.get("depth")
    if depth is None:
        raise ValueError("missing field depth")
    pairs = value.get("tx_block_pairs", value.get("txBlockPairs")) or []
    return Reorganisation(number_64(depth), reorg_pairs(pairs))


def reorg_pairs(value: Any) -> tuple[tuple[Any, int], ...]:
    found = []
    for pair in items(value, REORG_PAIRS_MAX, "transactions"):
        if len(items(pair, 2, "members of a pair")) != 2:
            raise ValueError("expected pairs of a transaction and a block")
        content, place = pair
        made = data(content) if isinstance(content, str) else call_request(content)
        found.append((made, number_64(place)))
    return tuple(found)
