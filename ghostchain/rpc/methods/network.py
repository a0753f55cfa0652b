"""The node and its network: eth_chainId and relatives, net_*, web3_*, rpc_*."""

from __future__ import annotations

from typing import Any

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.rpc.backend import ForkSettings
from ghostchain.rpc.method import Method
from ghostchain.rpc.parameters import Parameter, data
from ghostchain.rpc.render import sync_json
from ghostchain.rpc.services import Services

NAMESPACES = (
    "debug",
    "erigon",
    "eth",
    "ghost",
    "net",
    "ots",
    "personal",
    "rpc",
    "trace",
    "txpool",
    "web3",
)
DEVELOPMENT_NAMESPACES = ("anvil", "evm", "hardhat", "miner", "tenderly", "testing")


def chain_id(services: Services) -> str:
    return hex(services.backend.chain_id)


def block_number(services: Services) -> str:
    return hex(services.backend.head().number)


def syncing(services: Services) -> Any:
    progress = services.backend.syncing()
    return False if progress is None else sync_json(progress)


def capabilities(services: Services) -> Any:
    """What of the past this node can answer (execution-apis eth_capabilities)."""
    head = services.backend.head()
    oldest = {
        **dict.fromkeys(("tx", "logs", "receipts", "blocks"), services.backend.earliest()),
        "state": services.backend.oldest_state(),
        "stateproofs": services.backend.oldest_proof(),
    }
    return {
        "head": {
            "number": hex(head.number),
            "hash": format_data(services.backend.hash_of(head.number) or b""),
        },
        **{what: {"disabled": False, "oldestBlock": hex(block)} for what, block in oldest.items()},
    }


def config(services: Services) -> Any:
    """EIP-7910: the fork in force, the next one and the last one known."""
    schedule = services.backend.fork_schedule()
    now = services.backend.head().timestamp
    # The first is in force from the start, also where a development chain went before its genesis.
    later = [item for item in schedule[1:] if item.activation_time > now]
    current = schedule[: len(schedule) - len(later)]
    chain = services.backend.chain_id
    return {
        "current": fork_json(current[-1], chain) if current else None,
        "next": fork_json(later[0], chain) if later else None,
        "last": fork_json(later[-1], chain) if later else None,
    }


def fork_json(item: ForkSettings, chain: int) -> Any:
    blobs = item.blob_schedule
    return {
        "activationTime": item.activation_time,
        "blobSchedule": {
            "target": blobs.target,
            "max": blobs.max,
            "baseFeeUpdateFraction": blobs.base_fee_update_fraction,
        },
        "chainId": hex(chain),
        "forkId": format_data(item.fork_id),
        "precompiles": {name: format_data(value) for name, value in item.precompiles.items()},
        "systemContracts": {
            name: format_data(value) for name, value in item.system_contracts.items()
        },
    }


def version(services: Services) -> str:
    return str(services.backend.chain_id)


def listening(services: Services) -> bool:
    """Always, as geth and anvil say it: clients ask this to learn whether the node is there."""
    return True


def mining(services: Services) -> bool:
    """Of a development chain: whether it seals by itself, as Ganache says it. Elsewhere nobody
    mines."""
    development = services.backend.development
    return development is not None and development.is_automining


def peer_count(services: Services) -> str:
    return hex(services.backend.peer_count())


def client_version(services: Services) -> str:
    """A development node begins with whose methods it has: Hardhat's network helpers refuse any
    node that begins with neither anvil nor hardhat."""
    version = services.backend.client_version
    return f"anvil-compatible/{version}" if services.backend.development is not None else version


def sha3(services: Services, value: bytes) -> str:
    return format_data(keccak256(value))


def modules(services: Services) -> dict[str, str]:
    """What the door that was knocked at offers."""
    more = () if services.backend.development is None else DEVELOPMENT_NAMESPACES
    return dict.fromkeys((*NAMESPACES, *more), "1.0")


METHODS = (
    Method("eth_chainId", chain_id),
    Method("eth_blockNumber", block_number),
    Method("eth_syncing", syncing),
    Method("eth_mining", mining),
    Method("eth_capabilities", capabilities),
    Method("eth_config", config),
    Method("net_version", version),
    Method("net_listening", listening),
    Method("net_peerCount", peer_count),
    Method("web3_clientVersion", client_version),
    Method("web3_sha3", sha3, (Parameter("data", data),)),
    Method("rpc_modules", modules),
)
