"""A node of a chain that validators decide about: consensus, peers and chain, joined.

    peers ──▶ Networking ──▶ consensus.Driver ──▶ core
                                  │ ports: WriteAheadLog, signer, BlockApplication, network, watcher
                                  ▼
                 blocks are built, judged and committed on the writer's thread

Everything of consensus happens on the event loop, one thing at a time; answers of other threads
come back to it through `deliver`. After each of them the alarm is set to when the driver wants to
be called. A failure (a log that cannot be written, a broken invariant) stops the node: a validator
that goes on after one may contradict itself.

Who validates: whoever holds a key that is in the set of a height. A node of a network for trying
out that is given neither bootnodes nor a key is its bootstrap validator, whose key is published.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import click

from ghostchain import __version__
from ghostchain.chain.config import ConsensusParameters
from ghostchain.chain.snapshot import SnapshotFolder, SnapshotKeeper
from ghostchain.consensus.core import Consensus
from ghostchain.consensus.driver import Driver
from ghostchain.consensus.effects import Peer, StartHeight
from ghostchain.consensus.guard import Guard
from ghostchain.consensus.messages import Message, Vote
from ghostchain.consensus.timers import MILLISECOND_NS, Parameters
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.crypto.ed25519 import verify_batch
from ghostchain.crypto.keccak import keccak256_batch
from ghostchain.encoding.attachments import encode_evidence
from ghostchain.encoding.manifests import Manifest
from ghostchain.net.identity import Identity as NodeIdentity
from ghostchain.node.admission import PeerAdmission
from ghostchain.node.application import BlockApplication, Doors
from ghostchain.node.candidates import canonical_of
from ghostchain.node.catching_up import CatchingUp
from ghostchain.node.clock import Alarm, SteadyClock
from ghostchain.node.configuration import NodeConfiguration, ValidatorConfiguration
from ghostchain.node.evidence import evidence_of
from ghostchain.node.genesis import bootstrap_consensus_seed, bootstrap_validator
from ghostchain.node.judging import BlockRules
from ghostchain.node.logs import event
from ghostchain.node.metrics import Metrics
from ghostchain.node.monitoring import Check
from ghostchain.node.networking import WILDCARDS, ConsensusNetwork, Networking, NodeDoors
from ghostchain.node.observing import ObservedApplication
from ghostchain.node.presence import Among, Presence
from ghostchain.node.producing import Parts, head_check
from ghostchain.node.sealing import HEARTBEAT
from ghostchain.node.signing.keyfiles import load_key_file, read_password
from ghostchain.node.signing.local import LocalSigner
from ghostchain.node.signing.process import socket_path
from ghostchain.node.signing.remote import RemoteSigner
from ghostchain.node.watching import ConsensusWatcher
from ghostchain.p2p.core import Identity
from ghostchain.p2p.driver import PeerDriver
from ghostchain.p2p.messages import Channel
from ghostchain.primitives.errors import StorageError
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import SyncProgress
from ghostchain.storage.disk import RealDisk
from ghostchain.storage.wal import WriteAheadLog
from ghostchain.txpool.core import BLOB_TYPE
from ghostchain.txpool.effects import Accepted, Effect

logger = logging.getLogger(__name__)

CONSENSUS_DIRECTORY = "consensus"
LOG_NAME = "wal"
EVIDENCE_NAME = "evidence"
NODE_KEY_NAME = "node.key"
BOOK_NAME = "peers"
SIGNER_WAIT_S = 10.0


class KeyHolder(Protocol):
    """A signer in this process or behind a socket."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, vote: Vote, done: Callable[[bytes, str], None]) -> None: ...

    def prove(self, alpha: bytes) -> bytes: ...

    def introduce(self, node_key: bytes, time: int) -> bytes: ...

    def close(self) -> None: ...


class TimedLog:
    """A log that measures how long it takes to become durable. Implements `ports.Log`."""

    def __init__(self, log: WriteAheadLog, metrics: Metrics) -> None:
        self._log = log
        self._flushes = metrics.log_flush
        self.records = log.records
        self.append = log.append
        self.restart = log.restart
        self.rewrite = log.rewrite

    def flush(self) -> None:
        with self._flushes.time():
            self._log.flush()


def parameters_of(given: ConsensusParameters) -> Parameters:
    """The genesis's waiting times as the core takes them."""
    return Parameters(
        heartbeat_ns=given.heartbeat_ms * MILLISECOND_NS,
        block_interval_min_ns=given.block_interval_min_ms * MILLISECOND_NS,
        timeout_propose_ns=given.timeout_propose_ms * MILLISECOND_NS,
        timeout_vote_ns=given.timeout_vote_ms * MILLISECOND_NS,
        timeout_step_ns=given.timeout_step_ms * MILLISECOND_NS,
        timeout_propose_max_ns=given.timeout_propose_max_ms * MILLISECOND_NS,
        timeout_vote_max_ns=given.timeout_vote_max_ms * MILLISECOND_NS,
        rebroadcast_ns=given.rebroadcast_ms * MILLISECOND_NS,
    )


def is_bootstrap(configuration: NodeConfiguration) -> bool:
    """Whether this node is the published validator of a network for trying out."""
    return (
        configuration.network in ("testnet", "devnet")
        and configuration.genesis_path is None
        and not configuration.p2p.bootnodes
        and not configuration.validator.is_given
    )


def open_signer(
    configuration: NodeConfiguration,
    chain_id: int,
    directory: Path,
    deliver: Callable[[Callable[[], None]], object],
) -> KeyHolder | None:
    """The holder of this node's consensus key; None for a node that only follows.

    Raises: GhostError with words for whoever chose the key.
    """
    given: ValidatorConfiguration = configuration.validator
    if given.signer is not None:
        remote = RemoteSigner(
            socket_path(given.signer),
            chain_id=chain_id,
            deliver=deliver,
            on_state=lambda reason: event(
                logger,
                logging.WARNING if reason else logging.INFO,
                "signer lost" if reason else "signer connected",
                reason=reason,
            ),
        )
        try:
            remote.wait(SIGNER_WAIT_S)
        except BaseException:
            remote.close()
            raise
        return remote
    if given.key_file is not None:
        seed = load_key_file(given.key_file, password_for(given))
    elif is_bootstrap(configuration):
        seed = bootstrap_consensus_seed()
    else:
        return None
    signer = LocalSigner.open(seed, chain_id=chain_id, directory=directory)
    if signer.high_water.mended:
        event(logger, logging.WARNING, "high-water mark", mended=signer.high_water.mended)
    return signer


def password_for(given: ValidatorConfiguration) -> str:
    """From its file, or asked for at the terminal."""
    if given.password_file is not None:
        return read_password(given.password_file)
    typed: str = click.prompt(f"Password of {given.key_file}", hide_input=True, err=True)
    return typed


class Validating:
    """Consensus of this node, from keys to peers. Implements `producing.Producer`."""

    def __init__(self, parts: Parts) -> None:
        configuration, chain = parts.configuration, parts.chain
        given = chain.config.consensus
        assert given is not None, "a chain without consensus is sealed by one node"
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._clock = SteadyClock()
        self._alarm = Alarm(self._clock, lambda: self._vote(lambda: self.driver.on_time()))
        self._has_failed = False
        self._is_paused = False
        self._is_work_due = False
        self._sync: CatchingUp | None = None
        self._told: ValidatorSet | None = None
        self._snapshots = SnapshotFolder(parts.data_dir)
        chain_id = chain.config.chain_id
        directory = parts.data_dir / CONSENSUS_DIRECTORY
        directory.mkdir(mode=0o700, exist_ok=True)
        self._signer = open_signer(configuration, chain_id, directory, self.deliver)
        key = None if self._signer is None else self._signer.public_key
        core = Consensus(chain_id, key, parameters_of(given), verify_batch)
        self._watcher = ConsensusWatcher(parts.metrics, lambda: core.validators)
        self._logs = [open_log(directory, name) for name in (LOG_NAME, EVIDENCE_NAME)]
        self._application = self._make_application()
        self._keeper = keeper_of(
            self._application.rules, self._snapshots, configuration.p2p.snapshot_interval
        )
        self._admission = PeerAdmission(
            parts.pool, parts.admission, parts.metrics, call=self.call, on_failure=self._fail
        )
        self._network = self._make_network()
        self.driver = Driver(
            core,
            self._clock,
            TimedLog(self._logs[0], parts.metrics),
            self._signer,
            ObservedApplication(
                self._application,
                chain,
                parts.metrics,
                lambda: core.validators,
                self._on_start,
                self._on_reported,
            ),
            ConsensusNetwork(self._network),
            self._watcher,
            guard=self._guard(configuration, given),
        )
        self._presence = Among(
            self.driver,
            self._watcher,
            self._network if configuration.p2p.enabled else None,
            self._clock,
            key=key,
            waiting=lambda: len(parts.pool.pool),
            validators=self._application.validators,
            syncing=self._syncing,
        )
        chain.subscribe(self._on_head)

    @property
    def presence(self) -> Presence:
        return self._presence

    @property
    def coinbase(self) -> Address:
        return self._parts.configuration.coinbase or bootstrap_validator()

    @property
    def development(self) -> None:
        """Where validators agree, nobody moves the chain by hand."""
        return None

    def _make_application(self) -> BlockApplication:
        parts = self._parts
        doors = Doors(
            writer=parts.writer,
            deliver=self.deliver,
            on_failure=self._fail,
            prove=None if self._signer is None else self._signer.prove,
            verify=verify_batch,
            now_s=time.time,
        )
        return BlockApplication(
            parts.chain,
            parts.pool,
            self._logs[1],
            doors,
            gas_limit=parts.configuration.gas_limit,
        )

    def _make_network(self) -> Networking:
        parts, application = self._parts, self._application
        path = parts.configuration.p2p.key_file or parts.data_dir / NODE_KEY_NAME
        node_identity = NodeIdentity.load_or_create(path)
        chain = parts.chain
        identity = Identity(
            node_identity.key, chain.config.chain_id, chain.genesis.hash, f"ghostd/v{__version__}"
        )
        pool = parts.pool
        by_hash = pool.pool.by_hash

        def find_transactions(hashes: Sequence[Hash32]) -> Sequence[bytes | None]:
            found = (by_hash.get(one) for one in hashes)
            return [None if one is None else canonical_of(one) for one in found]

        def find_waiting(count_max: int) -> Sequence[Hash32]:
            with pool.lock:
                found = pool.pool.earliest(count_max)
            return [one.hash for one in found if one.type != BLOB_TYPE]

        doors = NodeDoors(
            find_transactions=find_transactions,
            find_waiting=find_waiting,
            find_block=application.find_block,
            matches=application.rules.matches,
            submit=self._admission.submit,
            on_consensus=self._on_consensus,
            on_sync=lambda peer, frame: self._with_sync(lambda sync: sync.on_frame(peer, frame)),
            on_peer=lambda peer: self._vote(lambda: self.driver.on_peer(peer)),
            on_peer_gone=lambda peer: self._with_sync(lambda sync: sync.on_peer_gone(peer)),
            on_peer_head=self._on_peer_head,
            on_drained=lambda peer, channel: self._with_sync(
                lambda sync: sync.on_drained(peer, channel)
            ),
            on_evidence=application.on_evidence,
            on_failure=self._fail,
        )
        return Networking(
            parts.configuration.p2p,
            node_identity,
            identity,
            self._clock,
            doors,
            parts.metrics,
            parts.data_dir / BOOK_NAME,
        )

    def _guard(self, configuration: NodeConfiguration, given: ConsensusParameters) -> Guard | None:
        """Watch for this node's own key first, unless told not to."""
        if self._signer is None or configuration.validator.starts_at_once:
            return None
        return Guard(quiet_ns=2 * given.rebroadcast_ms * MILLISECOND_NS)

    # ---- start and stop ----

    def _warn_of_idle_flags(self) -> None:
        """What only a node that seals alone heeds."""
        configuration = self._parts.configuration
        idle = {
            "--coinbase": configuration.coinbase is not None,
            "--block-time": configuration.sealing != HEARTBEAT,
        }
        for flag in (name for name, is_given in idle.items() if is_given):
            event(
                logger,
                logging.WARNING,
                "a flag has no effect where validators decide",
                flag=flag,
            )

    async def start(self) -> None:
        """Peers are listened to, and the log is replayed. Raises: OSError, GhostError."""
        self._warn_of_idle_flags()
        start = self._application.start()
        configuration = self._parts.configuration.p2p
        if configuration.enabled:
            try:
                peers = await self._network.start()
            except OSError as failure:
                raise OSError(
                    f"peers cannot be listened to on {configuration.host}, UDP port "
                    f"{configuration.port}: {failure.strerror or failure}; choose another with "
                    "--p2p-port (0 picks a free one)"
                ) from failure
            self._application.attach(peers)
            self._introduce(peers)
            self._sync = CatchingUp(
                self._application.rules,
                self._parts.writer,
                self._clock,
                self._network,
                self,
                self._parts.metrics,
                snapshots=self._snapshots,
                on_failure=self._fail,
            )
        self._on_start(start)
        self._parts.metrics.height.set(start.height - 1)
        self.call(lambda: self.driver.start(start))

    def _introduce(self, peers: PeerDriver) -> None:
        """Other validators know this node as its key's: they dial it, and let it in before others.

        Raises: GhostError when the signer is gone.
        """
        if self._signer is not None:
            time_ms = self._clock.now_ns() // MILLISECOND_NS
            signature = self._signer.introduce(self._network.key, time_ms)
            peers.set_claim(self._signer.public_key, time_ms, signature)

    async def stop(self) -> None:
        self._has_failed = True
        self._alarm.stop()
        self._network.stop()
        if self._sync is not None:
            await self._loop.run_in_executor(None, self._sync.close)
        if self._keeper is not None:
            await self._loop.run_in_executor(None, self._keeper.close)
        # What the writer has begun still answers; nobody listens.
        await self._loop.run_in_executor(None, self._parts.writer.shutdown)
        for log in self._logs:
            log.close()
        if self._signer is not None:
            self._signer.close()

    # ---- what comes in ----

    def call(self, action: Callable[[], None]) -> None:
        """Something for the driver. Event loop; a failure of ours stops the node."""
        if self._has_failed:
            return
        try:
            action()
        except Exception as failure:
            logger.exception("consensus failed")
            self._fail(failure)
            return
        self._alarm.set(self.driver.deadline_ns())
        self._network.settle()

    def _vote(self, action: Callable[[], None]) -> None:
        """As `call`, unless sync has the chain."""
        if not self._is_paused:
            self.call(action)

    def pause(self) -> None:
        """Sync has the chain from here on."""
        self._is_paused = True

    def resume(self) -> None:
        """Sync has brought the chain further."""
        self._is_paused = False
        start = self._application.synced()
        self._on_start(start)
        self.call(lambda: self.driver.on_synced(start))

    def _with_sync(self, action: Callable[[CatchingUp], None]) -> None:
        if self._sync is not None and not self._has_failed:
            action(self._sync)

    def _on_consensus(self, message: Message, peer: Peer, body: bytes | None) -> None:
        # Whoever speaks of a height has, or claims to have, all below it.
        if message.height > self.driver.core.height + 1:
            self._on_peer_head(peer, message.height - 1)
        self._vote(lambda: self.driver.on_message(message, peer, body))

    def _on_peer_head(self, peer: Peer, height: int) -> None:
        self._with_sync(lambda sync: sync.on_peer_head(peer, height))

    def deliver(self, action: Callable[[], None]) -> None:
        """As `call`, from any thread."""
        # The loop is closed when the node has stopped; nobody waits for the answer then.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.call, action)

    def _fail(self, failure: BaseException) -> None:
        self._has_failed = True
        self._parts.on_failure(failure)

    def on_pending(self) -> None:
        """Transactions wait. However many come, one call waits for the loop."""
        if not self._is_work_due:
            self._is_work_due = True
            self.deliver(self._on_work)

    def _on_work(self) -> None:
        self._is_work_due = False
        self._application.on_pending()
        # What pays too little makes no block: else anybody could make the chain longer for nothing.
        awaits_work = not self._is_paused and self.driver.core.awaits_work
        if awaits_work and self._application.has_work():
            self.driver.on_work()

    def on_pool_effects(self, effects: Sequence[Effect]) -> None:
        """Peers hear of what the pool took."""
        raws = [effect.transaction.raw for effect in effects if isinstance(effect, Accepted)]
        if raws and self._parts.configuration.p2p.enabled:
            self.deliver(lambda: self._spread(raws))

    def _spread(self, raws: Sequence[bytes]) -> None:
        if self._network.peers is not None:
            self._network.peers.submit_transactions(raws)

    def _on_head(self, header: Header) -> None:
        """On the thread that committed the block."""
        number = header.number
        body = self._parts.chain.body(number)
        raws = [] if body is None else [body.raw(index) for index in range(len(body))]
        self._parts.metrics.observe_block(len(raws), header.gas_used)
        hashes = keccak256_batch(raws) if raws else []
        block_hash = self._parts.chain.hash_of(number)
        assert block_hash is not None, "a head has a hash"
        self.deliver(lambda: self._after_head(number, block_hash, hashes))

    def _after_head(self, number: int, block_hash: Hash32, hashes: Sequence[Hash32]) -> None:
        peers = self._network.peers
        if peers is not None:
            peers.set_head(number)
            peers.on_included(hashes)
        self._with_sync(lambda sync: sync.on_head(number, block_hash))

    def _on_start(self, start: StartHeight) -> None:
        """Whose connections matter most, and whether this node votes, from that height on."""
        validators = start.validators
        if validators == self._told:
            return
        self._told = validators
        key = None if self._signer is None else self._signer.public_key
        is_in = key is not None and validators.index_of(key) is not None
        self._parts.metrics.is_validating.set(is_in)
        event(
            logger,
            logging.INFO,
            "validators",
            height=start.height,
            count=len(validators),
            power=validators.total,
            votes=is_in,
        )
        if self._network.peers is not None:
            self._network.peers.set_validators(one.key for one in validators.validators)
            self._network.settle()

    def _on_reported(self, key: bytes, first: Vote, second: Vote) -> None:
        frame = encode_evidence(evidence_of(key, first, second))
        self._network.broadcast(Channel.EVIDENCE, frame)

    # ---- what is shown ----

    def _syncing(self) -> SyncProgress | None:
        return None if self._sync is None else self._sync.progress()

    def ready(self) -> list[Check]:
        peers = len(self._network.infos())
        core = self.driver.core
        needed = 0 if core.is_alone() else 1
        return [
            Check("peers", peers >= needed, peers),
            Check("synced", self._syncing() is None, core.height - 1),
            head_check(self._parts.chain),
        ]

    def banner(self) -> list[str]:
        """Who validates, and where peers find this node."""
        lines = []
        if self._signer is None:
            lines.append("  votes    no: this node follows (--validator-key or --signer)")
        else:
            bootstrap = is_bootstrap(self._parts.configuration)
            how = "the bootstrap key, published and worthless" if bootstrap else "key"
            index = self.driver.core.index
            place = "not in the set now" if index is None else f"number {index} of the set"
            lines.append(f"  votes    with {how} {self._signer.public_key.hex()[:16]}…, {place}")
        address = self._network.address
        if address is None:
            lines.append("  peers    none (--no-p2p)")
        else:
            host = "HOST" if address[0] in WILDCARDS else address[0]
            lines.append(f"  peers    ghost://{self._network.key.hex()}@{host}:{address[1]}")
        return lines


def keeper_of(
    rules: BlockRules, folder: SnapshotFolder, interval_blocks: int | None
) -> SnapshotKeeper | None:
    """Who writes snapshots for new nodes every so many blocks: None stands for once an epoch, 0 for
    never."""
    if interval_blocks is None:
        interval_blocks = rules.reader.epoch_blocks
    if interval_blocks == 0:
        return None

    def written(manifest: Manifest, seconds: float) -> None:
        event(
            logger,
            logging.INFO,
            "snapshot written",
            height=manifest.height,
            accounts=manifest.accounts,
            chunks=len(manifest.chunks),
            seconds=round(seconds, 1),
        )

    def failed(failure: StorageError) -> None:
        event(logger, logging.WARNING, "snapshot not written", reason=str(failure))

    return SnapshotKeeper(
        rules.chain, folder, interval_blocks, on_written=written, on_failure=failed
    )


def open_log(directory: Path, name: str) -> WriteAheadLog:
    """A log of consensus; what a crash tore off its end is reported."""
    log = WriteAheadLog(RealDisk(directory), name)
    if log.bytes_lost:
        event(logger, logging.WARNING, "log cut", name=name, bytes_lost=log.bytes_lost)
    return log
