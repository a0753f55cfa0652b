"""What a fork brings to an address, by the names that `eth_config` gives (EIP-7910)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from ghostchain.execution.forks import Fork
from ghostchain.primitives.types import Address

# (number, name, first fork)
PRECOMPILES = (
    (0x01, "ECREC", Fork.CANCUN),
    (0x02, "SHA256", Fork.CANCUN),
    (0x03, "RIPEMD160", Fork.CANCUN),
    (0x04, "ID", Fork.CANCUN),
    (0x05, "MODEXP", Fork.CANCUN),
    (0x06, "BN254_ADD", Fork.CANCUN),
    (0x07, "BN254_MUL", Fork.CANCUN),
    (0x08, "BN254_PAIRING", Fork.CANCUN),
    (0x09, "BLAKE2F", Fork.CANCUN),
    (0x0A, "KZG_POINT_EVALUATION", Fork.CANCUN),
    (0x0B, "BLS12_G1ADD", Fork.PRAGUE),
    (0x0C, "BLS12_G1MSM", Fork.PRAGUE),
    (0x0D, "BLS12_G2ADD", Fork.PRAGUE),
    (0x0E, "BLS12_G2MSM", Fork.PRAGUE),
    (0x0F, "BLS12_PAIRING_CHECK", Fork.PRAGUE),
    (0x10, "BLS12_MAP_FP_TO_G1", Fork.PRAGUE),
    (0x11, "BLS12_MAP_FP2_TO_G2", Fork.PRAGUE),
    (0x100, "P256VERIFY", Fork.OSAKA),
)

SYSTEM_CONTRACTS = (
    ("BEACON_ROOTS_ADDRESS", "000f3df6d732807ef1319fb7b8bb8522d0beac02", Fork.CANCUN),
    ("HISTORY_STORAGE_ADDRESS", "0000f90827f1c53a10cb7a02335b175320002935", Fork.PRAGUE),
    (
        "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
        "00000961ef480eb55e80d19ad83579a64c007002",
        Fork.PRAGUE,
    ),
    (
        "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
        "0000bbddc7ce488642fb579f8b00f3a590007251",
        Fork.PRAGUE,
    ),
)


def precompile_names(fork: Fork) -> dict[str, Address]:
    """The precompiled contracts of a fork."""
    return {
        name: Address(number.to_bytes(20, "big"))
        for number, name, first in PRECOMPILES
        if fork >= first
    }


def system_contracts(fork: Fork, deposit_contract: Address) -> dict[str, Address]:
    """The contracts that a block of this fork calls, and the one whose logs are deposits."""
    found = {
        name: Address(bytes.fromhex(digits))
        for name, digits, first in SYSTEM_CONTRACTS
        if fork >= first
    }
    if fork >= Fork.PRAGUE:
        found["DEPOSIT_CONTRACT_ADDRESS"] = deposit_contract
    return found


def fork_id(genesis_hash: bytes, genesis_time: int, times: Sequence[int], time: int) -> bytes:
    """Which rules a chain has had until a time, in 4 bytes.

    times: of all forks, ascending; those that held at genesis are not counted.
    Spec: EIP-2124 (FORK_HASH), EIP-6122.
    """
    checksum = zlib.crc32(genesis_hash)
    for passed in times:
        if genesis_time < passed <= time:
            checksum = zlib.crc32(passed.to_bytes(8, "big"), checksum)
    return checksum.to_bytes(4, "big")
