"""A genesis file with the four tokens and all else of the economy, for tests that start a node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ghostchain.chain.networks import network
from ghostchain.contracts.addresses import GHOST, MANA, SPIRIT
from ghostchain.contracts.economy import Economy, economy_alloc
from ghostchain.primitives.types import Address

UNIT = 10**18
RATES = {SPIRIT: 2 * UNIT, MANA: 3 * UNIT // 7, GHOST: UNIT // 1000}
"""Wei of the token for 10^18 wei of GCC."""


def write_genesis(
    path: Path, coins: Mapping[Address, int], tokens: Mapping[Address, Mapping[Address, int]]
) -> Path:
    """A hybrid development chain on which these hold coins and tokens, in wei, and nobody
    validates. Returns path."""
    alloc = {
        address: {"balance": hex(account.balance), "nonce": hex(account.nonce)}
        | {"code": "0x" + account.code.hex()}
        for address, account in network("dev").alloc.items()
        if account.code
    }
    for address, balance in coins.items():
        alloc[address] = {"balance": hex(balance)}
    economy = Economy(balances=tokens, rates=RATES)
    for address, account in economy_alloc(sum(coins.values()), economy).items():
        alloc[address] = {
            "balance": "0x0",
            "nonce": hex(account.nonce),
            "code": "0x" + account.code.hex(),
            "storage": {
                "0x" + key.hex(): "0x" + value.hex() for key, value in account.storage.items()
            },
        }
    fields = {
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
        "alloc": {address.hex(): account for address, account in alloc.items()},
    }
    path.write_text(json.dumps(fields))
    return path
