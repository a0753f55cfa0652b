"""What only the operator may ask: through the unix socket, or with a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.errors import StorageError
from ghostchain.rpc.errors import invalid_params, server_error
from ghostchain.rpc.method import Cost, Door, Method
from ghostchain.rpc.methods.network import modules
from ghostchain.rpc.parameters import Parameter, quantity_64, text
from ghostchain.rpc.services import Services

SUFFIXES = (".rlp", ".gz")
PeerUrl = tuple[bytes, str, int]


def node_info(services: Services) -> Any:
    """As geth's; `enode` is this network's own kind of URL."""
    backend = services.backend
    standing = backend.standing()
    host, _, port = standing.p2p.rpartition(":")
    key = standing.node_key.hex()
    url = f"ghost://{key}@{standing.p2p}" if standing.p2p else ""
    head = backend.head()
    return {
        "id": key,
        "name": backend.client_version,
        "enode": url,
        "ip": host,
        "ports": {"listener": int(port or 0)},
        "listenAddr": standing.p2p,
        "protocols": {
            "ghost": {
                "network": backend.chain_id,
                "genesis": shown(backend.hash_of(0)),
                "head": shown(backend.hash_of(head.number)),
                "number": hex(head.number),
                "seals": standing.seals,
            }
        },
    }


def shown(found: bytes | None) -> str | None:
    return None if found is None else format_data(found)


def peers(services: Services) -> Any:
    return [
        {
            "id": peer.key.hex(),
            "name": peer.version,
            "enode": f"ghost://{peer.key.hex()}@{peer.address}",
            "caps": ["ghost"],
            "network": {
                "remoteAddress": peer.address,
                "inbound": peer.is_inbound,
                "trusted": False,
                "static": False,
            },
            "protocols": {
                "ghost": {
                    "head": hex(peer.head),
                    "score": peer.score,
                    "connectedSeconds": round(peer.connected_s),
                    "bytesIn": peer.bytes_in,
                    "bytesOut": peer.bytes_out,
                }
            },
        }
        for peer in services.backend.peers()
    ]


def peer_url(value: Any) -> PeerUrl:
    """`ghost://<node key, 64 hex digits>@<host>:<port>`."""
    parts = urlsplit(text(value))
    key, port = bytes.fromhex(parts.username or ""), parts.port
    if parts.scheme != "ghost" or len(key) != 32 or not parts.hostname or not port:
        raise ValueError("expected ghost://<node key, 64 hex digits>@<host>:<port>")
    return key, parts.hostname, port


def add_peer(services: Services, url: PeerUrl) -> bool:
    """The peer is dialled, now and until it answers."""
    if not services.backend.add_peer(*url):
        raise server_error("this node speaks to no peers")
    return True


def remove_peer(services: Services, url: PeerUrl) -> bool:
    """Whether the peer was connected; it no longer is."""
    return services.backend.remove_peer(url[0])


def datadir(services: Services) -> str:
    return services.options.data_dir


async def export_chain(services: Services, file: str, first: int, last: int | None) -> bool:
    """Blocks into a new file of the data directory, gzipped where its name ends so."""
    root = Path(services.options.data_dir).resolve()
    path = (root / file).resolve()
    if not services.options.data_dir or path.parent != root or path.suffix not in SUFFIXES:
        raise invalid_params(
            f"expected the name of a file in the data directory, ending in {' or '.join(SUFFIXES)}"
        )
    head = services.backend.head().number
    if first > (head if last is None else min(last, head)):
        raise server_error(f"there is no block from {first} to {head if last is None else last}")
    if path.exists():
        raise server_error("location would overwrite an existing file")
    if services.exporting.locked():
        raise server_error("another export is under way")
    async with services.exporting:
        try:
            await services.backend.export_chain(path, first, last)
        except StorageError as error:
            raise server_error(str(error)) from error
    return True


def block_place(value: Any) -> int:
    """As geth takes it, a plain number; or a quantity."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return quantity_64(value)


def all_modules(services: Services) -> dict[str, str]:
    return {"admin": "1.0", **modules(services)}


PEER = Parameter("peer", peer_url)

METHODS = (
    Method("admin_nodeInfo", node_info, door=Door.ADMIN),
    Method("admin_peers", peers, door=Door.ADMIN),
    Method("admin_addPeer", add_peer, (PEER,), door=Door.ADMIN),
    Method("admin_removePeer", remove_peer, (PEER,), door=Door.ADMIN),
    Method("admin_datadir", datadir, door=Door.ADMIN),
    Method(
        "admin_exportChain",
        export_chain,
        (
            Parameter("file", text),
            Parameter("first", block_place, required=False, default=0),
            Parameter("last", block_place, required=False),
        ),
        Cost.AWAITED,
        Door.ADMIN,
    ),
)
# What the operator is answered in place of what everybody is.
OPERATOR_METHODS = {"rpc_modules": Method("rpc_modules", all_modules)}
