"""The networks that have a name. Each is a geth genesis file in `genesis/`, shipped as data.

| name | chain id | for |
|---|---|---|
| mainnet | 44678 | value; nothing is allotted, all GCC come from block rewards |
| testnet | 446781 | trying out; the accounts of the test mnemonic are funded |
| devnet | 446782 | several nodes on one machine; the same accounts |
| dev | 31337 | one node, instant blocks, 1 Ggas |

All carry the system contracts of EIP-4788, EIP-2935, EIP-7002 and EIP-7251 and the deposit
contract of EIP-6110 at their Ethereum addresses, with Osaka's rules from block zero.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from ghostchain.chain.genesis import Genesis, load_genesis, parse_genesis
from ghostchain.primitives.errors import InvalidGenesis

NETWORKS = {"mainnet": 44678, "testnet": 446781, "devnet": 446782, "dev": 31337}

# Published with every Ethereum tool and therefore worthless: the first ten accounts of
# m/44'/60'/0'/0 under this phrase hold 10,000 coins on the networks for trying out.
TEST_MNEMONIC = "test test test test test test test test test test test junk"
TEST_KEYS = tuple(
    bytes.fromhex(key)
    for key in (
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
        "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
        "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
        "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
        "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
        "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
        "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
    )
)


def network(name: str) -> Genesis:
    """The genesis of a named network, or of the genesis file at that path.

    Raises: InvalidGenesis, naming the networks when there is no such file.
    """
    if name in NETWORKS:
        text = files("ghostchain.chain").joinpath("genesis", f"{name}.json").read_text()
        return parse_genesis(json.loads(text), name=name)
    path = Path(name)
    if not path.exists():
        known = ", ".join(NETWORKS)
        raise InvalidGenesis(f"there is no network or genesis file {name!r}; networks: {known}")
    return load_genesis(path)
