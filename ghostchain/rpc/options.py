"""What an operator may set about JSON-RPC. Defaults are those of a public-minded single node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ghostchain.rpc.protocol import Limits


@dataclass(frozen=True, slots=True)
class RpcOptions:
    """host and port of the HTTP and WebSocket endpoint; port 0 lets the system pick one.

    websocket_port: a second port for WebSocket clients that expect one (8546), or None.
    allowed_hosts: names a Host header may carry besides IP addresses; "*" is any (geth's vhosts).
    allowed_origins: web origins that browsers may call from; "*" is any.
    head_timeout_s, body_timeout_s: how long a request may take to arrive; idle_timeout_s: how long
    a connection may stay without one. send_timeout_s: in this time a client that has not read its
    answers must take send_bytes_min of them. unread_bytes_max: what all clients together may leave
    unread.
    connections_max: of HTTP and WebSocket together.
    connection_calls_per_s, connection_calls_burst: how fast one connection may ask, each item of a
    batch counted; 0 calls a second is without limit.
    local_socket: where the operator's unix socket is made. jwt_secret: of the operator's tokens.
    gas_cap: the most gas eth_call and eth_estimateGas run with; 0 is the block's limit.
    """

    host: str = "127.0.0.1"
    port: int = 8545
    websocket_port: int | None = None
    allowed_hosts: tuple[str, ...] = ("localhost",)
    allowed_origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    head_timeout_s: float = 20.0
    body_timeout_s: float = 30.0
    idle_timeout_s: float = 120.0
    send_timeout_s: float = 20.0
    send_bytes_min: int = 64 * 1024
    unread_bytes_max: int = 512 * 1024 * 1024

    data_dir: str = ""
    local_socket: Path | None = None
    jwt_secret: bytes | None = None

    gas_cap: int = 50_000_000
    logs_max: int = 100_000
    log_blocks_max: int = 1_000_000
    fee_history_blocks_max: int = 1024

    worker_threads: int = 4
    worker_queue_max: int = 1024
    call_timeout_s: float = 10.0
    inclusion_timeout_ms: int = 20_000
    inclusion_timeout_ms_max: int = 60_000

    submission_batch_max: int = 4096
    submission_queue_max: int = 65_536

    filters_max: int = 4096
    filter_idle_s: float = 300.0
    pending_hashes_max: int = 65_536

    connections_max: int = 4096
    connections_per_address_max: int = 2048
    connection_calls_per_s: float = 500_000.0
    connection_calls_burst: float = 1_000_000.0
    connection_calls_max: int = 64
    connection_queue_bytes_max: int = 32 * 1024 * 1024
    subscriptions_per_connection_max: int = 256
    heartbeat_s: float = 30.0

    block_cache_max: int = 4096
    block_cache_bytes_max: int = 48 * 1024 * 1024
