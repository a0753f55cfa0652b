"""What was set by hand on a development chain, as immutable records and as JSON.

`ChainSettings` belong to a moment of the chain: a snapshot keeps them, a revert brings them back.
`NodeSettings` belong to whoever drives the node and outlive a revert, as with anvil and Hardhat:
test suites impersonate once and revert often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ghostchain.primitives.types import Address, Hash32

FEES, FIFO = "fees", "fifo"


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """offset_s: by how much the chain's clock is ahead of the wall's. timestamp_interval_s: from
    each block to the next, whatever the clock says. next_*: for one block; next_oldest: how old it
    may be, after the clock was set back. None: not set."""

    offset_s: int = 0
    timestamp_interval_s: int | None = None
    next_timestamp: int | None = None
    next_oldest: int | None = None
    next_base_fee: int | None = None
    next_prev_randao: Hash32 | None = None
    gas_limit: int | None = None
    coinbase: Address | None = None
    chain_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: shown(getattr(self, name)) for name in names_of(ChainSettings)}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> ChainSettings:
        """Raises: ValueError, KeyError, TypeError for what `as_json` never wrote."""
        randao, coinbase = members["next_prev_randao"], members["coinbase"]
        return cls(
            offset_s=int(members["offset_s"]),
            timestamp_interval_s=optional_int(members["timestamp_interval_s"]),
            next_timestamp=optional_int(members["next_timestamp"]),
            next_oldest=optional_int(members["next_oldest"]),
            next_base_fee=optional_int(members["next_base_fee"]),
            next_prev_randao=None if randao is None else Hash32(bytes.fromhex(randao)),
            gas_limit=optional_int(members["gas_limit"]),
            coinbase=None if coinbase is None else Address(bytes.fromhex(coinbase)),
            chain_id=optional_int(members.get("chain_id")),
        )


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """interval_ms: a block is due after this long, at least and at most."""

    automine: bool = True
    interval_ms: tuple[int, int] | None = None
    order: str = FEES
    impersonated: frozenset[Address] = frozenset()
    impersonates_all: bool = False
    logging: bool = True

    def as_json(self) -> dict[str, Any]:
        return {
            "automine": self.automine,
            "interval_ms": self.interval_ms,
            "order": self.order,
            "impersonated": sorted(address.hex() for address in self.impersonated),
            "impersonates_all": self.impersonates_all,
            "logging": self.logging,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> NodeSettings:
        """Raises: ValueError, KeyError, TypeError for what `as_json` never wrote."""
        interval = members["interval_ms"]
        return cls(
            automine=bool(members["automine"]),
            interval_ms=None if interval is None else (int(interval[0]), int(interval[1])),
            order=str(members["order"]),
            impersonated=frozenset(Address(bytes.fromhex(one)) for one in members["impersonated"]),
            impersonates_all=bool(members["impersonates_all"]),
            logging=bool(members["logging"]),
        )


def names_of(record: type[ChainSettings]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(record))


def shown(value: int | bytes | None) -> int | str | None:
    """Integers beyond 64 bits as text, since JSON's writers stop there."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, int) else value


def optional_int(value: Any) -> int | None:
    return None if value is None else int(value)
