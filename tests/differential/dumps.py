"""State dumps of development nodes: hexadecimal of a JSON document, compressed."""

from __future__ import annotations

import gzip
import json
from typing import Any

from ghostchain.chain.genesis import GenesisAccount, state_root
from ghostchain.primitives.types import Address
from tests.differential.anvil import HOLD_HASHES

Accounts = dict[str, dict[str, Any]]


def accounts_of(answer: dict[str, Any]) -> Accounts:
    """What a dump's accounts hold, by lower-case address; those that hold nothing are left out, and
    slots that are zero, and the contracts that hold hashes of blocks, which anvil adds."""
    document = json.loads(gzip.decompress(bytes.fromhex(answer["result"][2:])))
    found = {
        address.lower(): {
            "nonce": number(entry["nonce"]),
            "balance": number(entry["balance"]),
            "code": entry["code"],
            "storage": {
                f"0x{number(key):064x}": number(value)
                for key, value in sorted(entry["storage"].items())
                if number(value)
            },
        }
        for address, entry in document["accounts"].items()
        if address.lower() not in HOLD_HASHES
    }
    empty = {"nonce": 0, "balance": 0, "code": "0x", "storage": {}}
    return {address: entry for address, entry in sorted(found.items()) if entry != empty}


def number(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def root_of(accounts: Accounts) -> str:
    """The state root of these accounts."""
    root = state_root(
        {
            Address(bytes.fromhex(address[2:])): GenesisAccount(
                balance=entry["balance"],
                nonce=entry["nonce"],
                code=bytes.fromhex(entry["code"][2:]),
                storage={
                    bytes.fromhex(key[2:]): value.to_bytes(32, "big")
                    for key, value in entry["storage"].items()
                },
            )
            for address, entry in accounts.items()
        }
    )
    return "0x" + root.hex()
