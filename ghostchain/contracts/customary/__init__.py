"""Contracts that tools expect on every chain, at the addresses where they look for them.

- Multicall3 (`Multicall3.sol`, our own source for the public interface): viem, ethers and wagmi
  batch their reads through it. `multicall3.json` holds its ABI and the code of the account, made
  by `compile.cjs` with the compiler and settings named there; tests compile it again where npm is.
- The deterministic deployment proxy: call data is a salt and init code, what it answers is the
  address of CREATE2. Foundry compares the hash of its code before it uses it, hence these very 69
  bytes, given by the interface: CREATE2(value, data[32:], salt = data[:32]), a revert when that
  gives no address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from ghostchain.primitives.types import Address

MULTICALL3 = Address(bytes.fromhex("ca11bde05977b3631167028862be2a173976ca11"))
DEPLOYMENT_PROXY = Address(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))

DEPLOYMENT_PROXY_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"  # PUSH32 -32
    "360160008160208237"  # copies data[32:] to memory, its length stays on the stack
    "8035828234f58015156039578182fd5b"  # CREATE2; without an address: revert with nothing
    "8082525050506014600cf3"  # returns its 20 bytes
)


@cache
def _multicall3() -> dict[str, Any]:
    compiled: dict[str, Any] = json.loads(files(__name__).joinpath("multicall3.json").read_text())
    return compiled


def multicall3_code() -> bytes:
    """The code of the account."""
    return bytes.fromhex(_multicall3()["code"][2:])


def multicall3_abi() -> list[dict[str, Any]]:
    """Its JSON ABI."""
    entries: list[dict[str, Any]] = _multicall3()["abi"]
    return entries


def customary_codes() -> Mapping[Address, bytes]:
    """Code by address, for a genesis."""
    return {MULTICALL3: multicall3_code(), DEPLOYMENT_PROXY: DEPLOYMENT_PROXY_CODE}
