"""What a message between peers costs this node, without the transport: a frame in, and what is made
of it.

`transactions` is the whole way of a hundred pushed transactions: rate, shape, hashes, what is
known, to the pool and back. `spread` is a hundred accepted ones told to ten peers. What gossip
costs a network beside flooding is counted in tests/property/test_p2p_network.py. Runs small unless
GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from ghostchain.p2p.messages import (
    Channel,
    Hello,
    Message,
    TransactionHashes,
    Transactions,
    Welcome,
    channel_of,
    decode_message,
    encode_message,
)
from ghostchain.primitives.types import Hash32
from tests.unit.p2p_network import CHAIN_ID, GENESIS, Network, Node, Stranger

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 20_000 if FULL else 200
ROUNDS = 7 if FULL else 1
CHANCE = Random(44678)
RAWS = tuple(b"\x02" + CHANCE.randbytes(109) for _ in range(100))
HASHES = tuple(Hash32(CHANCE.randbytes(32)) for _ in range(100))
HELLO = Hello(1, 1, CHAIN_ID, GENESIS, "bench", b"", 7, "127.0.0.1")
VOTE = bytes(115)


def seconds(work: Callable[[], object], count: int) -> float:
    """Of processor time, the best of the rounds, for one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(count):
            work()
        best = min(best, time.process_time() - start)
    return best / count


def fresh_lots() -> Iterator[list[bytes]]:
    """A hundred transactions that nobody has seen, again and again."""
    while True:
        yield [b"\x02" + CHANCE.randbytes(109) for _ in RAWS]


def beside_peers(count: int) -> tuple[Network, Node, list[Stranger]]:
    """A node with so many peers that are up."""
    network = Network()
    node = network.add(1)
    strangers = [Stranger(network, number) for number in range(2, 2 + count)]
    for stranger in strangers:
        network.connect(node, stranger)  # type: ignore[arg-type]
        for message in (HELLO, Welcome(1)):
            stranger.say(node, channel_of(message), encode_message(message))
    return network, node, strangers


@pytest.mark.parametrize(
    "message",
    [HELLO, TransactionHashes(HASHES), Transactions(0, RAWS)],
    ids=["hello", "hashes", "transactions"],
)
def test_decode(benchmark: Any, message: Message) -> None:
    frame, channel = encode_message(message), channel_of(message)
    benchmark.pedantic(lambda: decode_message(channel, frame), rounds=ROUNDS, iterations=COUNT)
    ours = seconds(lambda: decode_message(channel, frame), COUNT)
    benchmark.extra_info.update(
        microseconds=round(ours * 1e6, 2),
        bytes=len(frame),
        result=sha256(repr(decode_message(channel, frame)).encode()).hexdigest()[:16],
    )


def test_votes_pass(benchmark: Any) -> None:
    """From the transport to the handler of a channel that is not ours."""
    network, node, (stranger,) = beside_peers(1)
    heard: list[int] = []
    node.driver._handlers[Channel.VOTES] = lambda peer, payload: heard.append(1)

    def one() -> None:
        network.now_ns += 1_000_000
        node.driver.on_message(stranger.key, Channel.VOTES, VOTE)

    benchmark.pedantic(one, rounds=ROUNDS, iterations=COUNT)
    benchmark.extra_info.update(microseconds=round(seconds(one, COUNT) * 1e6, 2))
    assert len(heard) >= 2 * COUNT * ROUNDS


def test_transactions(benchmark: Any) -> None:
    network, node, (stranger,) = beside_peers(1)
    node.driver._ports.submit.__self__.accept = lambda raws: None  # type: ignore[attr-defined]
    lots = fresh_lots()

    def one() -> None:
        frame = encode_message(Transactions(0, tuple(next(lots))))
        network.now_ns += 10_000_000
        node.driver.on_message(stranger.key, Channel.TRANSACTIONS, frame)

    count = COUNT // 20
    benchmark.pedantic(one, rounds=ROUNDS, iterations=count)
    making = seconds(lambda: encode_message(Transactions(0, tuple(next(lots)))), count)
    ours = seconds(one, count) - making
    benchmark.extra_info.update(microseconds=round(ours * 1e6, 1), transactions=100)
    assert len(node.submitted) >= 200 * count * ROUNDS


def test_spread(benchmark: Any) -> None:
    network, node, _ = beside_peers(10)
    count = max(COUNT // 100, 2)
    lots = fresh_lots()

    def one() -> None:
        node.driver.submit_transactions(next(lots))
        network.now_ns += 60_000_000
        node.driver.on_time()

    benchmark.pedantic(one, rounds=ROUNDS, iterations=count)
    ours = seconds(one, count) - seconds(lambda: next(lots), count)
    benchmark.extra_info.update(microseconds=round(ours * 1e6, 1), transactions=100, peers=10)
