"""The pool after a new head: who made the block, and who is told when, makes no difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.encoding.blocks import encode_block
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.node.accounts import sender_states
from ghostchain.node.backend import pool_rules
from ghostchain.node.following import PoolFollower
from ghostchain.primitives.errors import StorageFailed, TransactionReason
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.effects import PoolReason
from ghostchain.txpool.journal import Journal
from tests.unit.test_node_sealer import raw

ALICE = address_of(TEST_KEYS[0])


class Node:
    """A chain whose pool follows it. told: what the pool said of `watched` when a listener of the
    chain heard of a head. failures: of writing."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chain.open(folder / "data", network("dev"))
        self.failures: list[StorageFailed] = []
        self.told: list[object] = []
        self.watched: bytes | None = None
        follower = PoolFollower(self.chain, self.failures.append)
        self.chain.subscribe(self._client_hears)
        self.pool = PoolDriver(
            Pool(),
            Journal(folder / "pool.journal", durable=False),
            rules=lambda: pool_rules(self.chain, self.chain.next_environment()),
            accounts=lambda addresses: sender_states(
                self.chain.state_at(self.chain.head.number), addresses
            ),
        )
        self.pool.restore()
        follower.attach(self.pool)

    def _client_hears(self, header: object) -> None:
        if self.watched is not None:
            refusal = self.pool.submit([self.watched])[0].refusal
            self.told.append(refusal and refusal.reason)

    def build(self, *raws: bytes) -> bytes:
        batch = TransactionBatch.decode(raws)
        batch.recover()
        sealed = self.chain.build_block(
            batch,
            timestamp=self.chain.head.timestamp + 1,
            coinbase=Address(bytes(20)),
            prev_randao=Hash32(bytes(32)),
        )
        assert len(sealed.block.transactions) == len(raws)
        return encode_block(sealed.block)

    def close(self) -> None:
        self.pool.close()
        self.chain.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "node")
    yield made
    made.close()


def test_pool_knows_before_clients_hear(node: Node) -> None:
    """Whoever answers inclusion by sending the same again is told of the nonce."""
    node.watched = raw(0)
    assert node.pool.submit([raw(0)])[0].refusal is None
    refusal = node.pool.submit([raw(0)])[0].refusal
    assert refusal is not None
    assert refusal.reason is PoolReason.ALREADY_KNOWN
    node.build(raw(0))
    assert node.told == [TransactionReason.NONCE_TOO_LOW]


@pytest.mark.parametrize("pipelined", [False, True])
def test_blocks_of_peers_are_followed(node: Node, tmp_path: Path, pipelined: bool) -> None:
    """What a peer's block took in is gone, what it made impossible too; the rest waits on."""
    other = Node(tmp_path / "other")
    blocks = [other.build(raw(0), raw(1)), other.build(raw(0, sender=1))]
    other.close()
    # Nonce 1 of the first sender goes in with other bytes.
    waiting = [raw(0), raw(1, fee=3 * 10**9), raw(2), raw(0, sender=1), raw(0, sender=2)]
    assert [answer.refusal for answer in node.pool.submit(waiting)] == [None] * 5
    if pipelined:
        assert len(list(node.chain.import_blocks(blocks))) == 2
    else:
        for block in blocks:
            node.chain.import_block(block)
    assert {one.raw for one in node.pool.pool.by_hash.values()} == {raw(2), raw(0, sender=2)}
    assert node.pool.pool.pending_count() == 2
    assert node.pool.pool.next_nonce(ALICE) == 3


def test_a_journal_that_fails_is_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block stands; the node hears that it cannot write."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(node.pool, "on_head", fail)
    node.build(raw(0))
    assert node.chain.head.number == 1
    assert "no space left" in str(node.failures[0])
