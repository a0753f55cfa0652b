"""Where the protocol's contracts live: 17 zero bytes, 0x47, 0x43, and the contract's id.

The code of each is `ef 47 id`, which nobody can deploy (EIP-3541), so it cannot be forged.
"""

from __future__ import annotations

from ghostchain.primitives.types import Address

GCC_ID = 0x01
SPIRIT_ID = 0x02
MANA_ID = 0x03
GHOST_ID = 0x04
STAKING_ID = 0x10
SLASHING_ID = 0x11
GOVERNANCE_ID = 0x12
FEE_MARKET_ID = 0x13
NAMES_ID = 0x20
IDENTITY_ID = 0x21
L2_BRIDGE_ID = 0x30


def address_of(contract_id: int) -> Address:
    """Where the contract with an id (0-255) lives."""
    return Address(bytes(17) + bytes((0x47, 0x43, contract_id)))


def code_of(contract_id: int) -> bytes:
    """The code of the account of the contract with an id."""
    return bytes((0xEF, 0x47, contract_id))


GCC = address_of(GCC_ID)
SPIRIT = address_of(SPIRIT_ID)
MANA = address_of(MANA_ID)
GHOST = address_of(GHOST_ID)
STAKING = address_of(STAKING_ID)
SLASHING = address_of(SLASHING_ID)
GOVERNANCE = address_of(GOVERNANCE_ID)
FEE_MARKET = address_of(FEE_MARKET_ID)
NAMES = address_of(NAMES_ID)
IDENTITY = address_of(IDENTITY_ID)
L2_BRIDGE = address_of(L2_BRIDGE_ID)

TOKENS = (GCC, SPIRIT, MANA, GHOST)

SYSTEM = Address(bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe"))
"""Who calls at the end of a block (as in EIP-4788)."""
