"""A new node catches up by blocks from another process on the same machine.

What runs is what a node runs: requests, parts, certificates of four validators with their real
signatures, the proof of each block's randomness, the import of the chain with everything written
durably; the serving process reads its blocks from its own data directory. Between them is a Unix
socket instead of QUIC, so the figure is of sync and of the chain, not of the network. There is no
peer to compare with; `result` is the last
state root. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import struct
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.bench_import import Load, Plan, address_of, genesis_of, sign_all
from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.seals import mixed, random_input, seal_root
from ghostchain.consensus.certificates import certificate_of
from ghostchain.consensus.messages import Vote, encode_message
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.crypto import vrf
from ghostchain.crypto.ed25519 import public_key_of, sign, verify_batch
from ghostchain.encoding.attachments import Attachment, decode_attachment, encode_attachment
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.encoding.votes import NO_ROUND, VoteKind
from ghostchain.node.syncing import LoopTasks, SyncPort
from ghostchain.primitives.types import Address, Hash32
from ghostchain.sync.driver import SyncDriver
from ghostchain.sync.effects import Peer, Progress
from ghostchain.sync.messages import SyncBlock

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
BLOCKS = int(os.environ.get("GHOSTCHAIN_BENCH_BLOCKS", "3000" if FULL else "30"))
TRANSACTIONS = 100 if FULL else 5
SENDERS = 500
RECIPIENTS = 5_000
VALIDATORS = 4
COINBASE = Address(b"\xcb" * 20)
FRAME = struct.Struct(">I")

SEEDS = [bytes([number + 1]) * 32 for number in range(VALIDATORS)]
SET = ValidatorSet(
    Validator(Address(seed[:20]), public_key_of(seed), 100 + number)
    for number, seed in enumerate(SEEDS)
)


def plans_of(chance: random.Random, keys: list[bytes]) -> list[list[Plan]]:
    """The transfers of each block: senders take turns, recipients are drawn."""
    recipients = [chance.randbytes(20) for _ in range(RECIPIENTS)]
    nonces = dict.fromkeys(keys, 0)
    blocks = []
    for number in range(BLOCKS):
        plans = []
        for i in range(TRANSACTIONS):
            key = keys[(number * TRANSACTIONS + i) % len(keys)]
            plans.append(Plan(key, nonces[key], chance.choice(recipients)))
            nonces[key] += 1
        blocks.append(plans)
    return blocks


def certify(chain_id: int, height: int, block_hash: Hash32) -> bytes:
    """A commit certificate of three of the four."""
    votes = []
    for index in range(VALIDATORS - 1):
        vote = Vote(VoteKind.PRECOMMIT, height, 0, block_hash, NO_ROUND, index)
        signature = sign(SEEDS[index], vote.sign_bytes(chain_id))
        votes.append(Vote(VoteKind.PRECOMMIT, height, 0, block_hash, NO_ROUND, index, signature))
    return encode_message(certificate_of(votes, VALIDATORS))


def alpha_of(chain: Chain, height: int, randao: Hash32) -> bytes:
    """What the proposer of a block, here the first validator, proves its randomness of."""
    return random_input(chain.config.chain_id, height, randao)


def write_chain(path: Path, genesis: Genesis, blocks: list[list[bytes]]) -> None:
    """A chain whose blocks hold these transactions, each with its certificate and randomness."""
    chain = Chain.open(path, genesis)
    certificate = b""
    for number, raws in enumerate(blocks, 1):
        batch = TransactionBatch.decode(raws)
        batch.recover()
        randao = chain.head.prev_randao
        proof = vrf.prove(SEEDS[0], alpha_of(chain, number, randao))
        draft = chain.draft(
            batch,
            timestamp=chain.head.timestamp + 12,
            coinbase=COINBASE,
            prev_randao=mixed(randao, vrf.output(proof)),
            parent_beacon_block_root=seal_root(certificate, SET.hash),
        )
        assert len(draft.block.transactions) == len(raws)
        attachment = encode_attachment(Attachment(certificate, (), proof))
        certificate = certify(chain.config.chain_id, number, draft.hash)
        chain.commit(draft, certificate=certificate, attachment=attachment)
    chain.close()


def judge(chain: Chain, blocks: Sequence[tuple[SyncBlock, Hash32]]) -> list[bool | None]:
    """Whether attachments belong to the blocks, as `node.syncing.Attachments` judges them."""
    attachments = [decode_attachment(block.attachment) for block, _ in blocks]
    key = SET[0].key
    shown = vrf.verify_batch(
        [
            (key, alpha_of(chain, block.height, randao), attachment.proof)
            for (block, randao), attachment in zip(blocks, attachments, strict=True)
        ]
    )
    verdicts: list[bool | None] = []
    for (block, randao), attachment, output in zip(blocks, attachments, shown, strict=True):
        header = block.header
        root = seal_root(attachment.certificate, SET.hash)
        is_named = header.parent_beacon_block_root == root
        is_shown = output is not None and header.prev_randao == mixed(randao, output)
        verdicts.append(is_named and is_shown)
    return verdicts


class Node:
    """A driver of sync with one peer at the other end of a socket."""

    def __init__(self, chain: Chain, writer: asyncio.StreamWriter) -> None:
        self.chain = chain
        self.finished = asyncio.Event()
        self.progress: list[Progress] = []
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self.tasks = LoopTasks(self._fail)
        port = SyncPort(
            chain, lambda height: SET, verify_batch, lambda blocks: judge(chain, blocks)
        )
        self.driver = SyncDriver(self, self, self.tasks, port, self, self)
        self._timer: asyncio.TimerHandle | None = None

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def send(self, peer: Peer, payload: bytes) -> bool:
        if self._writer.transport.get_write_buffer_size() > 8 << 20:
            return False
        self._writer.write(FRAME.pack(len(payload)) + payload)
        return True

    def punish(self, peer: Peer, reason: str) -> None:
        raise AssertionError(f"an honest peer is punished: {reason}")

    def pause(self, ready: Callable[[], None]) -> None:
        ready()

    def resume(self, height: int) -> None:
        self.finished.set()

    def started(self, height: int, target: int) -> None: ...

    def progressed(self, progress: Progress) -> None:
        self.progress.append(progress)

    def done(self, height: int) -> None: ...

    def stuck(self, height: int, reason: str) -> None:
        raise AssertionError(f"block {height}: {reason}")

    def _fail(self, failure: BaseException) -> None:
        self._loop.call_exception_handler({"message": "a task failed", "exception": failure})
        self.finished.set()

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Gives the driver what comes, and the time."""
        try:
            while True:
                head = await reader.readexactly(FRAME.size)
                payload = await reader.readexactly(FRAME.unpack(head)[0])
                self.driver.on_message(bytes(32), payload)
                self.driver.on_drained(bytes(32))
                self.wait()
        except asyncio.IncompleteReadError:
            return

    def wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.driver.deadline_ns()
        if deadline is not None:
            wait = max(0, deadline - self.now_ns()) / 1e9
            self._timer = self._loop.call_later(wait, self._on_time)

    def _on_time(self) -> None:
        self.driver.on_time()
        self.driver.on_drained(bytes(32))
        self.wait()


def serve(path: Path, genesis: Genesis, socket: str) -> None:
    """The other process: serves its chain to one peer, then ends."""

    async def run() -> None:
        gone = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            node = Node(chain, writer)
            await node.listen(reader)
            node.tasks.close()
            writer.close()
            gone.set()

        server = await asyncio.start_unix_server(answer, socket, limit=4 << 20)
        await gone.wait()
        server.close()

    chain = Chain.open(path, genesis)
    asyncio.run(run())
    chain.close()


async def catch_up(path: Path, genesis: Genesis, socket: str) -> tuple[float, float, bytes]:
    """Seconds from the first word of a peer's height to the head, processor seconds meanwhile, and
    the state root there."""
    for _ in range(600):
        if Path(socket).exists():
            break
        await asyncio.sleep(0.1)
    reader, writer = await asyncio.open_unix_connection(socket, limit=4 << 20)
    chain = Chain.open(path, genesis)
    node = Node(chain, writer)
    listening = asyncio.create_task(node.listen(reader))
    start, spent = time.perf_counter(), time.process_time()
    node.driver.on_peer_height(bytes(32), BLOCKS)
    node.wait()
    await node.finished.wait()
    seconds, spent = time.perf_counter() - start, time.process_time() - spent
    assert chain.head.number == BLOCKS
    writer.close()
    await listening
    node.tasks.close()
    root = bytes(chain.head.state_root)
    chain.close()
    return seconds, spent, root


def test_catching_up_by_blocks(benchmark: Any, tmp_path: Path) -> None:
    """Blocks a second from a peer's word of its height to the durable head."""
    chance = random.Random(1)
    keys = [chance.randbytes(32) for _ in range(SENDERS)]
    planned = plans_of(chance, keys)
    load = Load("transfers", False)
    with ProcessPoolExecutor() as workers:
        signed = list(workers.map(sign_all, [(plans, load) for plans in planned]))
    genesis = genesis_of([address_of(key) for key in keys])
    write_chain(tmp_path / "source", genesis, signed)
    del signed
    socket = str(tmp_path / "socket")
    peer = multiprocessing.get_context("spawn").Process(
        target=serve, args=(tmp_path / "source", genesis, socket), daemon=True
    )
    peer.start()

    def run() -> tuple[float, float, bytes]:
        return asyncio.run(catch_up(tmp_path / "new", genesis, socket))

    seconds, spent, root = benchmark.pedantic(run, rounds=1)
    peer.join(60)
    assert peer.exitcode == 0
    benchmark.extra_info.update(
        blocks=BLOCKS,
        blocks_per_second=round(BLOCKS / seconds),
        transactions_per_second=round(BLOCKS * TRANSACTIONS / seconds),
        processor_milliseconds_each=round(spent * 1000 / BLOCKS, 2),
        validators=VALIDATORS,
        result=root.hex()[:16],
    )
