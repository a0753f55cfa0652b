"""What tools still ask of a development node although Ethereum has nothing to say about it any
more (a hash rate, a protocol version), and look-ups of code by its hash, as anvil answers."""

from __future__ import annotations

from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.errors import StorageCorrupt, UnknownCode
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.method import Cost, Door, Method
from ghostchain.rpc.parameters import BlockId, Parameter, block_id, data, hash32
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

# geth's and reth's prefix of code in their databases.
CODE_KEY = b"c"


def network_id(services: Services) -> str:
    return str(services.backend.chain_id)


def hash_rate(services: Services) -> str:
    return "0x0"


def protocol_version(services: Services) -> int:
    return 1


def code_by_hash(
    services: Services, deadline: Deadline, code_hash: Hash32, block: BlockId | None
) -> str:
    """No bytes where no account has such code. block: is not looked at, since a hash says all."""
    view = services.backend.state_at(services.backend.head().number)
    try:
        return format_data(view.code(code_hash))
    except (StorageCorrupt, UnknownCode):
        # What would be damage if an account named it.
        return "0x"


def database_entry(services: Services, deadline: Deadline, key: bytes) -> str:
    """Code alone can be asked for, under geth's and reth's key: `c` and the hash."""
    if len(key) != 1 + 32 or not key.startswith(CODE_KEY):
        raise server_error("only code can be looked up: 0x63 and its hash")
    return code_by_hash(services, deadline, Hash32(key[1:]), None)


def development(name: str, run: Any, *parameters: Parameter, cost: Cost = Cost.CHEAP) -> Method:
    return Method(name, run, parameters, cost, Door.DEVELOPMENT)


METHODS = (
    development("eth_networkId", network_id),
    development("eth_hashrate", hash_rate),
    development("eth_protocolVersion", protocol_version),
    development(
        "debug_codeByHash",
        code_by_hash,
        Parameter("code hash", hash32),
        Parameter("block", block_id, required=False),
        cost=Cost.SLOW,
    ),
    development("debug_dbGet", database_entry, Parameter("key", data), cost=Cost.SLOW),
)
