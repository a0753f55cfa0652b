"""Which chain a configuration means, and the accounts whose keys everybody knows."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from eth_utils.address import to_checksum_address

from ghostchain.chain.genesis import Genesis, GenesisAccount, load_genesis, state_root
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.crypto.hierarchical import HARDENED
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.encoding.blocks import decode_early_header
from ghostchain.execution.forks import Fork
from ghostchain.node.configuration import NodeConfiguration
from ghostchain.node.development.configuration import DevelopmentConfiguration
from ghostchain.node.forks import system_contracts
from ghostchain.primitives.errors import InvalidGenesis, StorageCorrupt
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address
from ghostchain.storage.directory import Identity, read_identity

# The bootstrap validator of the networks for trying out: its key is the hash of this sentence, so
# it is published and worthless by construction.
BOOTSTRAP_SENTENCE = b"GhostChain bootstrap validator: published and worthless"
ASKED_FOR_REQUESTS = (
    "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
    "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
)


@dataclass(frozen=True, slots=True)
class DevAccount:
    """An account of the development chain, whose key is public."""

    address: Address
    key: bytes

    @property
    def checksum_address(self) -> str:
        """With EIP-55 capitals."""
        return to_checksum_address(self.address)


def genesis_of(
    configuration: NodeConfiguration, data_dir: Path | None = None, *, time_s: int | None = None
) -> Genesis:
    """The genesis, with the command line's own chain id and, for the development chain, gas limit.
    A development chain begins now: clients that reckon from the head's time (`block.timestamp + 1
    hours` before the first block) would else reckon from 1970.

    data_dir: where the chain lies or is going to; a development chain that is there keeps the time
    at which it began. None: nowhere yet. time_s: at which a new one begins, instead of now.
    Raises: InvalidGenesis saying what is wrong where; ForeignDirectory, StorageCorrupt.
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
    if configuration.dev and configuration.genesis_path is None:
        genesis = _development_genesis_in(data_dir, genesis, configuration.development, time_s)
    return genesis


def _development_genesis_in(
    data_dir: Path | None, genesis: Genesis, wanted: DevelopmentConfiguration, time_s: int | None
) -> Genesis:
    """That of the chain in the directory, or of a new one."""
    kept = None if data_dir is None else read_identity(data_dir)
    if kept is not None and not kept.header:
        # Made before directories said so; such a chain began at the network's own time.
        return development_genesis(genesis, wanted)
    header = None if kept is None else kept_header(kept)
    if kept is not None and kept.is_loaded and header is not None:
        return replace(development_genesis(genesis, wanted), header=header)
    if wanted.timestamp is None:
        began = int(time.time()) if time_s is None else time_s
        wanted = replace(wanted, timestamp=began if header is None else header.timestamp)
    return development_genesis(genesis, wanted)


def kept_header(kept: Identity) -> Header:
    """The header that a directory says it began with. Raises: StorageCorrupt."""
    if keccak256(kept.header) != kept.genesis_hash:
        raise StorageCorrupt("the header in IDENTITY is not the one of its genesis hash")
    return decode_early_header(kept.header)


def development_genesis(genesis: Genesis, wanted: DevelopmentConfiguration) -> Genesis:
    """The development chain's genesis with the accounts, fees, time and rules asked for."""
    config, header = genesis.config, genesis.header
    if not wanted.is_usual:
        alloc = dict(genesis.alloc)
        for key in TEST_KEYS:
            alloc.pop(address_of(key), None)
        for key in wanted.private_keys():
            alloc[address_of(key)] = GenesisAccount(balance=wanted.balance_wei)
        genesis = replace(genesis, alloc=alloc)
        header = replace(header, state_root=state_root(alloc))
    if wanted.base_fee is not None:
        header = replace(header, base_fee_per_gas=wanted.base_fee)
    if wanted.timestamp is not None:
        header = replace(header, timestamp=wanted.timestamp)
    if wanted.hardfork is not None:
        last = Fork[wanted.hardfork.upper()]
        count = sum(fork <= last for _, fork in config.forks)
        config = replace(config, forks=config.forks[:count], blobs=config.blobs[:count])
        if last < Fork.PRAGUE:
            header = replace(header, requests_hash=None)
    if wanted.caps_transaction_gas:
        config = replace(config, transaction_gas_max=0)
    return replace(genesis, config=config, header=header)


def check_system_contracts(genesis: Genesis) -> None:
    """Refuses a chain whose first block cannot be made: the contracts that are asked for requests
    must have code (EIP-7002, EIP-7251). Where Prague comes later, they may be deployed until then.

    Raises: InvalidGenesis naming what to add.
    """
    fork = genesis.config.fork_at(genesis.header.timestamp)
    for name, contract in system_contracts(fork, genesis.config.deposit_contract).items():
        entry = genesis.alloc.get(contract)
        if name in ASKED_FOR_REQUESTS and not (entry and entry.code):
            raise InvalidGenesis(
                f"no code at 0x{contract.hex()} ({name}) in alloc: with Prague from the start no "
                f"block can be made; add the contract, as ghostchain/chain/genesis/dev.json has it"
            )


def bootstrap_validator() -> Address:
    """Who gets the tips unless the command line says otherwise."""
    return address_of(keccak256(BOOTSTRAP_SENTENCE))


def bootstrap_consensus_seed() -> bytes:
    """Of the Ed25519 key with which the bootstrap validator stands in the genesis of the networks
    for trying out. As worthless as its account's key."""
    return keccak256(BOOTSTRAP_SENTENCE)


def dev_accounts(wanted: DevelopmentConfiguration | None = None) -> tuple[DevAccount, ...]:
    """The accounts of the mnemonic; unless said otherwise, ten of the test mnemonic."""
    keys = TEST_KEYS if wanted is None or wanted.is_usual else wanted.private_keys()
    return tuple(DevAccount(address_of(key), key) for key in keys)


def accounts_file(wanted: DevelopmentConfiguration, chain_id: int, head: Header) -> bytes:
    """JSON of the accounts, their keys and what blocks begin with, by anvil's names."""
    accounts = dev_accounts(wanted)
    steps = [f"{one % HARDENED}{chr(39) if one >= HARDENED else ''}" for one in wanted.path]
    document = {
        "available_accounts": [account.checksum_address for account in accounts],
        "private_keys": [f"0x{account.key.hex()}" for account in accounts],
        "wallet": {"mnemonic": wanted.mnemonic, "derivation_path": "/".join(["m", *steps, ""])},
        "chain_id": chain_id,
        "base_fee": str(head.base_fee_per_gas),
        "gas_price": str(head.base_fee_per_gas),
        "gas_limit": str(head.gas_limit),
        "genesis_timestamp": str(head.timestamp),
    }
    return json.dumps(document, indent=2).encode()
