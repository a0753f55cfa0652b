"""A genesis file with the four tokens and the fee market, for tests that start a node on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ghostchain.chain.networks import network
from ghostchain.contracts.addresses import GHOST, MANA, SPIRIT
from ghostchain.primitives.types import Address

UNIT = 10**18
NAMES = {SPIRIT: "SPIRIT", MANA: "MANA", GHOST: "GHOST"}
RATES = {SPIRIT: 2 * UNIT, MANA: 3 * UNIT // 7, GHOST: UNIT // 1000}
"""Wei of the token for 10^18 wei of GCC."""


def write_genesis(
    path: Path, coins: Mapping[Address, int], tokens: Mapping[Address, Mapping[Address, int]]
) -> Path:
    """A hybrid development chain on which these hold coins and tokens, in wei, and nobody
    validates. Returns path."""
    fields: dict[str, Any] = {
        "config": {
            "chainId": 31337,
            "homesteadBlock": 0,
            "londonBlock": 0,
            "shanghaiTime": 0,
            "cancunTime": 0,
            "pragueTime": 0,
            "osakaTime": 0,
            "ghost": {"hybridTime": 0},
        },
        "gasLimit": hex(30_000_000),
        "alloc": {holder.hex(): {"balance": hex(balance)} for holder, balance in coins.items()},
        "ghost": {
            "tokens": {
                NAMES[token]: {holder.hex(): str(amount) for holder, amount in holders.items()}
                for token, holders in tokens.items()
            },
            "feeRates": {NAMES[token]: str(rate) for token, rate in RATES.items()},
        },
    }
    # What Ethereum's own blocks need: the contracts of EIP-2935, 4788, 7002 and 7251.
    for address, account in network("dev").alloc.items():
        if account.code and not account.code.startswith(b"\xef\x47"):
            fields["alloc"][address.hex()] = {"nonce": "0x1", "code": "0x" + account.code.hex()}
    path.write_text(json.dumps(fields))
    return path
