"""Which chain a configuration means, and the accounts whose keys everybody knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eth_utils.address import to_checksum_address

from ghostchain.chain.genesis import Genesis, load_genesis
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.node.configuration import NodeConfiguration
from ghostchain.primitives.types import Address

# The bootstrap validator of the networks for trying out: its key is the hash of this sentence, so
# it is published and worthless by construction.
BOOTSTRAP_SENTENCE = b"GhostChain bootstrap validator: published and worthless"


@dataclass(frozen=True, slots=True)
class DevAccount:
    """An account of the development chain, whose key is public."""

    address: Address
    key: bytes

    @property
    def checksum_address(self) -> str:
        """With EIP-55 capitals."""
        return to_checksum_address(self.address)


def genesis_of(configuration: NodeConfiguration) -> Genesis:
    """The genesis, with the command line's own chain id and, for the development chain, gas limit.

    Raises: InvalidGenesis saying what is wrong where.
    """
    if configuration.genesis_path is not None:
        genesis = load_genesis(configuration.genesis_path)
    else:
        genesis = network(configuration.network)
    if configuration.chain_id is not None:
        genesis = replace(genesis, config=replace(genesis.config, chain_id=configuration.chain_id))
    if configuration.gas_limit is not None and configuration.dev:
        genesis = replace(
            genesis, header=replace(genesis.header, gas_limit=configuration.gas_limit)
        )
    return genesis


def bootstrap_validator() -> Address:
    """Who gets the tips unless the command line says otherwise."""
    return address_of(keccak256(BOOTSTRAP_SENTENCE))


def bootstrap_consensus_seed() -> bytes:
    """Of the Ed25519 key with which the bootstrap validator stands in the genesis of the networks
    for trying out. As worthless as its account's key."""
    return keccak256(BOOTSTRAP_SENTENCE)


def dev_accounts() -> tuple[DevAccount, ...]:
    """The ten accounts of the test mnemonic."""
    return tuple(DevAccount(address_of(key), key) for key in TEST_KEYS)
