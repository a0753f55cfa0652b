"""Any bytes as what a peer says: every decoder either refuses with a reason of its own, or gives a
message that is the same again from its own bytes, within its limits.

The first byte chooses the decoder: a channel of messages, an envelope, a compact body, an address
record. A tenth of the inputs is said to a whole node, before and after its hello: nothing that it
hears makes it fail, or hold more than it may.

1,048,576 runs under atheris (51 minutes on a share of one core) were without a finding.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ghostchain.crypto.ed25519 import sign
from ghostchain.p2p import compact, gossip
from ghostchain.p2p.compact import compact_body
from ghostchain.p2p.messages import (
    CHANNEL_LIMITS,
    PEERS_MAX,
    BlockMissing,
    BlockTransactions,
    Channel,
    CompactBlock,
    GetBlock,
    GetBlockTransactions,
    GetPeers,
    GetTransactions,
    Hello,
    InvalidMessage,
    Peers,
    Ping,
    Pong,
    TransactionHashes,
    Transactions,
    Welcome,
    channel_of,
    decode_compact,
    decode_envelope,
    decode_message,
    encode_compact,
    encode_envelope,
    encode_message,
)
from ghostchain.p2p.records import Claim, decode_record, make_record
from ghostchain.primitives.types import Hash32
from tests.unit.p2p_network import CHAIN_ID, GENESIS, Network, Node, Stranger, block_of, seed_of

ENVELOPE, BODY, RECORD, NODE = 7, 8, 9, 10
ONE, TWO = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)
BLOCK = block_of((b"\x05one", b"\x05two", b"\x05three"))
CLAIM = Claim(b"\x03" * 32, 5, b"\x04" * 64)


def record(claim: Claim | None = None) -> bytes:
    return make_record(
        lambda data: sign(seed_of(2), data),
        chain_id=CHAIN_ID,
        key=b"\x05" * 32,
        host="203.0.113.7",
        port=30_303,
        sequence=1_800_000_000_000,
        claim=claim,
    ).raw


HELLO = Hello(1, 1, CHAIN_ID, GENESIS, "fuzz", b"", 7, "127.0.0.1")
MESSAGES = (
    HELLO,
    Hello(1, 1, CHAIN_ID, GENESIS, "fuzz", record(CLAIM), 7, "::1"),
    Welcome(1),
    Ping(2**64 - 1, 5),
    Pong(1, 2),
    GetPeers(PEERS_MAX),
    Peers((record(), record(CLAIM))),
    Peers(()),
    TransactionHashes((ONE, TWO)),
    GetTransactions(7, (ONE,)),
    Transactions(0, (b"\x02abc", b"\xf8", b"\x03\xc1\xc0")),
    Transactions(1, BLOCK.transactions),
    GetBlock(BLOCK.block_id),
    CompactBlock(BLOCK.block_id, compact_body(BLOCK)),
    GetBlockTransactions(BLOCK.block_id, BLOCK.listing, b"\x07"),
    BlockTransactions(BLOCK.block_id, BLOCK.transactions),
    BlockMissing(BLOCK.block_id),
)
FRAMES = [(int(channel_of(message)), encode_message(message)) for message in MESSAGES]
SEEDS = [
    *(bytes([channel]) + frame for channel, frame in FRAMES),
    bytes([ENVELOPE]) + encode_envelope(b"vote", None),
    bytes([ENVELOPE]) + encode_envelope(b"proposal", compact_body(BLOCK)),
    bytes([BODY]) + compact_body(BLOCK),
    bytes([RECORD]) + record(),
    bytes([RECORD]) + record(CLAIM),
    *(bytes([NODE, channel]) + frame for channel, frame in FRAMES),
]


def check(data: bytes) -> None:
    if not data:
        return
    choice, rest = data[0] % (NODE + 1), data[1:]
    if choice == NODE:
        check_node(rest)
        return
    try:
        if choice == ENVELOPE:
            parts = decode_envelope(rest)
            assert decode_envelope(encode_envelope(*parts)) == parts
        elif choice == BODY:
            body = decode_compact(rest)
            assert decode_compact(encode_compact(body)) == body
        elif choice == RECORD:
            found = decode_record(rest)
            assert found.raw == rest
            assert found.port > 0
        else:
            message = decode_message(choice, rest)
            assert channel_of(message) == choice
            again = encode_message(message)
            assert decode_message(choice, again) == message
            assert len(again) <= max(len(rest), 64)
    except InvalidMessage:
        return


def check_node(data: bytes) -> None:
    """What is said: the channel, then the frame; first to one that waits for a hello, then to one
    that is up and has something under way."""
    if not data:
        return
    channel, frame = data[0] % len(Channel), data[1:]
    for is_up in (False, True):
        network, node, stranger = connected(is_up=is_up)
        for _ in range(2):
            if stranger.key in node.driver.core.connections:
                node.driver.on_message(stranger.key, channel, frame)
        network.settle()
        core: Any = node.driver.core
        assert len(core.gossip.wants) <= gossip.WANTED_OF_PEER_MAX
        assert len(core.blocks.fetches) <= compact.FETCHES_MAX
        assert len(core.discovery.book.entries) <= 2 * PEERS_MAX
        for connection in core.connections.values():
            assert connection.early_bytes <= 2 * CHANNEL_LIMITS[Channel(channel)].frame_bytes_max
        network.run(0.2)


def connected(*, is_up: bool) -> tuple[Network, Node, Stranger]:
    """A node and a stranger; up: after hellos, when the node fetches a block and a transaction."""
    network = Network()
    node, stranger = network.add(1), Stranger(network, 2)
    network.connect(node, stranger)  # type: ignore[arg-type]
    if is_up:
        for message in (HELLO, Welcome(1), TransactionHashes((ONE,))):
            stranger.say(node, channel_of(message), encode_message(message))
        node.driver.fetch_block(
            BLOCK.block_id, stranger.key, lambda block, reason: None, compact_body(BLOCK)
        )
        network.run(0.1)
    return network, node, stranger


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
