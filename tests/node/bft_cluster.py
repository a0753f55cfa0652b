"""Validators in one thread: real chains on disk, real consensus, logs and signers; the network, the
clock and the order of everything are a queue. For tests of what they decide together.

The state machine, the driver and the application are those of the node; blocks really run. Time is
virtual: it passes when nothing is left to do. Seeds, not sleeps: a message takes a time drawn from
the cluster's own chance.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis, load_genesis
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.chain.validators import staking_at
from ghostchain.consensus.core import Consensus
from ghostchain.consensus.driver import Driver
from ghostchain.consensus.effects import Peer, RoundFailed
from ghostchain.consensus.messages import (
    Message,
    Step,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.consensus.timers import Parameters
from ghostchain.contracts.addresses import SPIRIT
from ghostchain.contracts.staking import Staking
from ghostchain.crypto.ed25519 import public_key_of, verify_batch
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.node.accounts import fee_state, sender_states
from ghostchain.node.application import BlockApplication, Doors
from ghostchain.node.backend import pool_rules
from ghostchain.node.candidates import canonical_of
from ghostchain.node.following import PoolFollower
from ghostchain.node.signing.local import LocalSigner
from ghostchain.p2p.compact import whole_block
from ghostchain.p2p.effects import WholeBlock
from ghostchain.p2p.messages import decode_compact
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address, Hash32
from ghostchain.storage.disk import RealDisk, RealFile
from ghostchain.storage.wal import WriteAheadLog
from ghostchain.txpool.core import Pool
from ghostchain.txpool.driver import PoolDriver
from ghostchain.txpool.journal import Journal

WAD = 10**18
MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
OPERATORS = [address_of(key) for key in TEST_KEYS]
EPOCH_BLOCKS = 5
PARAMETERS = Parameters()


def seed_of(index: int) -> bytes:
    """The secret of a validator's consensus key."""
    return keccak256(b"validator" + bytes([index]))


def genesis_of(folder: Path, validators: int, **parameters: dict[str, Any]) -> Genesis:
    """A chain of that many validators, the test accounts, with 100 SPIRIT each; short epochs."""
    dev = network("dev")
    fields: dict[str, Any] = {
        "config": {
            "chainId": 31337,
            "shanghaiTime": 0,
            "cancunTime": 0,
            "pragueTime": 0,
            "osakaTime": 0,
            "ghost": {"hybridTime": 0, "timestampStepMin": 0, "consensus": {}},
        },
        "timestamp": "0x65920080",
        "gasLimit": hex(60_000_000),
        "alloc": {one.hex(): {"balance": hex(10_000 * WAD)} for one in OPERATORS},
        "ghost": {
            "tokens": {"SPIRIT": {"0x" + one.hex(): str(1_000 * WAD) for one in OPERATORS}},
            "validators": [
                {
                    "operator": "0x" + OPERATORS[index].hex(),
                    "consensusKey": "0x" + public_key_of(seed_of(index)).hex(),
                    "selfBond": str(100 * WAD),
                }
                for index in range(validators)
            ],
            "parameters": {
                "staking": {"minSelfBond": WAD, "minPower": 1, **parameters.get("staking", {})},
                "slashing": parameters.get("slashing", {}),
            },
            "epochBlocks": EPOCH_BLOCKS,
        },
    }
    for address, account in dev.alloc.items():
        if account.code and not account.code.startswith(b"\xef\x47"):
            fields["alloc"][address.hex()] = {"nonce": "0x1", "code": "0x" + account.code.hex()}
    path = folder / "genesis.json"
    path.write_text(json.dumps(fields))
    return load_genesis(path)


class QuickFile(RealFile):
    """A file that nobody waits for: no power is cut here, and `storage` has tests of its own."""

    def sync(self) -> None:
        """The operating system has it."""


class QuickDisk(RealDisk):
    def open(self, name: str) -> RealFile:
        return QuickFile(self.directory / name)

    def sync_names(self) -> None:
        """As above."""


class Here(Executor):
    """Does it at once, on this thread."""

    def submit(self, work: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(*arguments, **options))
        return future


class Cluster:
    """Nodes and what connects them. Message to a node that is down, or across a cut, are lost."""

    def __init__(
        self, folder: Path, genesis: Genesis, validators: int, *, seed: int = 1, followers: int = 0
    ) -> None:
        self.folder = folder
        self.genesis = genesis
        self.chance = random.Random(seed)
        self.now_ns = 0
        self.start_s = genesis.header.timestamp + 100
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.nodes = [Node(self, index) for index in range(validators + followers)]
        for node in self.nodes:
            node.open()

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def at(self, wait_ns: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_ns + wait_ns, next(self._order), act))

    def deliver(self, sender: Node, target: Node, message: Message, body: bytes | None) -> None:
        """In a while; order is kept only by chance."""
        data = encode_message(message)

        def arrive() -> None:
            if target.is_up and sender.index not in target.deaf_to:
                target.driver.on_message(decode_message(data), sender.name, body)

        self.at(self.chance.randrange(1, 10) * MILLISECOND, arrive)

    def run(self, done: Callable[[], bool], *, seconds: float = 120) -> None:
        """Until done, or that long in virtual time; then it fails."""
        limit = self.now_ns + int(seconds * SECOND)
        while not done():
            due = [
                (deadline, node)
                for node in self.nodes
                if node.is_up and (deadline := node.driver.deadline_ns()) is not None
            ]
            next_due = min((deadline for deadline, _ in due), default=limit)
            if self._events and self._events[0][0] <= next_due:
                at_ns, _, act = heapq.heappop(self._events)
                self.now_ns = max(self.now_ns, at_ns)
                act()
            else:
                self.now_ns = max(self.now_ns, next_due)
                for deadline, node in due:
                    if deadline <= self.now_ns and node.is_up:
                        node.driver.on_time()
            assert self.now_ns < limit, self.describe()

    def describe(self) -> str:
        return "; ".join(
            f"{node.index}: head {node.chain.head.number} round {node.driver.core.round} "
            f"{node.driver.core.step.name} {node.failures[-3:]}"
            for node in self.nodes
            if node.is_up
        )

    def run_to(self, height: int, *, nodes: Sequence[Node] | None = None) -> None:
        """All these nodes, or all that are up, have that block."""
        chosen = [node for node in (nodes or self.nodes) if node.is_up]
        self.run(lambda: all(node.chain.head.number >= height for node in chosen))

    def submit(self, *raws: bytes, to: Sequence[int] | None = None) -> None:
        """To the pools of these nodes, or of all."""
        for index in range(len(self.nodes)) if to is None else to:
            node = self.nodes[index]
            if not node.is_up:
                continue
            refusals = [one.refusal for one in node.pool.submit(raws)]
            assert refusals == [None] * len(raws), refusals
            node.application.on_pending()
            node.driver.on_work()


class Node:
    """One node. deaf_to: whose messages are lost. failures: rounds, and what it could not do."""

    def __init__(self, cluster: Cluster, index: int) -> None:
        self.cluster = cluster
        self.index = index
        self.name: Peer = bytes([index + 1]) * 32
        self.folder = cluster.folder / f"node{index}"
        self.folder.mkdir()
        self.is_up = False
        self.deaf_to: set[int] = set()
        self.failures: list[object] = []
        self.punished: list[tuple[Peer, str]] = []
        self.fetched = 0

    # ---- life ----

    def open(self) -> None:
        cluster = self.cluster
        self.chain = Chain.open(self.folder / "chain", cluster.genesis, is_durable=False)
        follower = PoolFollower(self.chain, self._fail)
        self.pool = PoolDriver(
            Pool(),
            Journal(self.folder / "pool.journal", durable=False),
            rules=lambda: pool_rules(self.chain, self.chain.next_environment()),
            accounts=lambda who: sender_states(self.chain.state_at(self.chain.head.number), who),
            fees=lambda purses: fee_state(self.chain.state_at(self.chain.head.number), purses),
        )
        self.pool.restore()
        follower.attach(self.pool)
        disk = QuickDisk(self.folder / "consensus")
        seed, chain_id = seed_of(self.index), self.chain.config.chain_id
        self.signer = LocalSigner(seed, chain_id=chain_id, disk=disk)
        self.log = WriteAheadLog(disk)
        self.evidence_log = WriteAheadLog(disk, "evidence")
        doors = Doors(
            writer=Here(),
            deliver=lambda act: cluster.at(0, self._alive(act)),
            on_failure=self._fail,
            prove=self.signer.prove,
            verify=verify_batch,
            now_s=lambda: cluster.start_s + cluster.now_ns / SECOND,
        )
        self.application = BlockApplication(self.chain, self.pool, self.evidence_log, doors)
        self.application.attach(self)
        core = Consensus(chain_id, self.signer.public_key, PARAMETERS, verify_batch)
        self.driver = Driver(core, self, self.log, self.signer, self.application, self, self)
        self.is_up = True
        self.driver.start(self.application.start())
        for other in cluster.nodes if hasattr(cluster, "nodes") else ():
            if other is not self and other.is_up:
                self.driver.on_peer(other.name)
                other.driver.on_peer(self.name)

    def close(self) -> None:
        """What a kill leaves on disk, but for the chain, whose kills have tests of their own."""
        if not self.is_up:
            return
        self.is_up = False
        self.signer.close()
        self.log.close()
        self.evidence_log.close()
        self.pool.close()
        self.chain.close()

    def _alive(self, act: Callable[[], None]) -> Callable[[], None]:
        driver_was = self.chain

        def run() -> None:
            if self.is_up and self.chain is driver_was:
                act()

        return run

    def _fail(self, failure: BaseException) -> None:
        raise failure

    # ---- ports: clock, network, watcher ----

    def now_ns(self) -> int:
        return self.cluster.now_ns

    def broadcast(self, message: Message, body: bytes | None = None) -> None:
        for other in self.cluster.nodes:
            if other is not self:
                self.cluster.deliver(self, other, message, body)

    def send(self, peer: Peer, message: Message, body: bytes | None = None) -> None:
        self.cluster.deliver(self, self._named(peer), message, body)

    def punish(self, peer: Peer, reason: str) -> None:
        self.punished.append((peer, reason))

    def entered(self, height: int, round: int, step: Step, now_ns: int) -> None:
        """Nobody watches."""

    def round_failed(self, failure: RoundFailed, now_ns: int) -> None:
        self.failures.append(failure)

    def decided(self, height: int, round: int, block_id: Hash32, now_ns: int) -> None:
        """The chain tells."""

    def doppelganger(self, vote: Vote) -> None:
        raise AssertionError(vote)

    def diverged(self, height: int, block_id: Hash32, reason: str) -> None:
        raise AssertionError((height, reason))

    def _named(self, peer: Peer) -> Node:
        return self.cluster.nodes[peer[0] - 1]

    # ---- peers that have blocks ----

    def fetch_block(
        self,
        block_id: Hash32,
        peer: Peer | None,
        done: Callable[[WholeBlock | None, str], None],
        body: bytes | None = None,
    ) -> None:
        """Out of the own pool, and from whoever told of it or any other."""
        sources = [self._named(peer)] if peer else self.cluster.nodes
        others = [one for one in sources if one is not self and one.is_up]

        def arrive() -> None:
            whole = None if body is None else self._completed(body)
            matches = self.application.rules.matches
            if whole is None or whole.block_id != block_id or not matches(whole):
                self.fetched += 1
                found = (one.application.find_block(block_id) for one in others)
                whole = next((one for one in found if one is not None), None)
            if whole is not None and matches(whole):
                done(whole, "")
            else:
                done(None, "no peer gave it in time")

        self.cluster.at(5 * MILLISECOND, self._alive(arrive))

    def _completed(self, body: bytes) -> WholeBlock | None:
        parts = decode_compact(body)
        raws = [
            None if found is None else canonical_of(found)
            for found in (self.pool.pool.by_hash.get(one) for one in parts.hashes)
        ]
        if None in raws:
            return None
        chosen = [raw for raw in raws if raw is not None]
        return whole_block(parts.header, chosen, parts.withdrawals, parts.attachment)

    def cancel_fetch(self, block_id: Hash32) -> None:
        """Answers to old questions are ignored anyway."""

    def keep_block(self, block: WholeBlock) -> None:
        """`find_block` has it."""

    # ---- looking ----

    @property
    def staking(self) -> Staking:
        number = self.chain.head.number
        return staking_at(self.chain.state_at(number), number)

    def roots(self) -> list[bytes]:
        return [
            header.state_root
            for number in range(self.chain.head.number + 1)
            if (header := self.chain.header(number)) is not None
        ]


def transfer(sender: int, nonce: int, **changes: Any) -> bytes:
    """A signed transaction of a test account, a transfer of 1 wei unless told otherwise."""
    fields: dict[str, Any] = {
        "type": 2,
        "chain_id": 31337,
        "nonce": nonce,
        "max_fee_per_gas": 10**11,
        "max_priority_fee_per_gas": 1,
        "gas_limit": 21_000,
        "to": Address(b"\x22" * 20),
        "value": 1,
        **changes,
    }
    return encode_transaction(sign_transaction(Transaction(**fields), TEST_KEYS[sender]))


__all__ = ["SPIRIT", "Cluster", "Node", "genesis_of", "seed_of", "transfer"]
