"""The shell of sync: it feeds the cores, and does what they want through the doors in ports.py. It
knows no event loop: whoever owns the thread calls it, and reads `deadline_ns` after each call to
know when to call `on_time`.

    driver = SyncDriver(clock, network, tasks, chain, handover, watcher)
    driver.on_peer_height(peer, height)   a peer says that its head is there
    driver.on_message(peer, payload)      from the channel of sync
    driver.on_drained(peer)               what is queued for the peer has become less
    driver.on_closed(peer)
    driver.on_head(height, block_hash)    consensus moved the chain
    driver.on_time()                      at or after deadline_ns()
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence

from ghostchain.encoding.manifests import encode_manifest
from ghostchain.primitives.types import Hash32
from ghostchain.sync.core import SyncCore
from ghostchain.sync.effects import (
    Done,
    Effect,
    Import,
    Peer,
    Progress,
    Punish,
    Request,
    Started,
    Stuck,
    Verify,
)
from ghostchain.sync.messages import (
    GetBlocks,
    GetHeaders,
    GetManifest,
    InvalidSyncMessage,
    Item,
    Part,
    Refused,
    SyncBlock,
    decode_message,
    encode_blocks,
    encode_headers,
    encoded_size,
)
from ghostchain.sync.messages import Request as Asking
from ghostchain.sync.ports import (
    Clock,
    Handover,
    ImportFailed,
    Network,
    Snapshots,
    SyncChain,
    Tasks,
    Watcher,
)
from ghostchain.sync.serving import Read, ServeCore, ServeEffect

SLICES_PER_TURN = 8
"""Parts of answers that are sent before others have their turn on the thread."""

LINGER_S = 0.02
"""How long an import waits for more blocks before it ends: what is last is committed then."""


class Feed:
    """Blocks on their way from the driver's thread to that of the import."""

    def __init__(self, linger_s: float) -> None:
        self._blocks: deque[SyncBlock] = deque()
        self._changed = threading.Condition()
        self._linger_s = linger_s
        self._generation = 0

    def put(self, blocks: Sequence[SyncBlock]) -> None:
        with self._changed:
            self._blocks.extend(blocks)
            self._changed.notify()

    def clear(self) -> None:
        with self._changed:
            self._blocks.clear()

    def __len__(self) -> int:
        return len(self._blocks)

    def take(self) -> Iterator[SyncBlock]:
        """The blocks, until none has come for a while."""
        while True:
            with self._changed:
                if not self._blocks and self._linger_s > 0:
                    self._changed.wait(self._linger_s)
                if not self._blocks:
                    return
                block = self._blocks.popleft()
            yield block


class SyncDriver:
    """See the module. linger_s: of an import, 0 where no other thread can bring more."""

    def __init__(
        self,
        clock: Clock,
        network: Network,
        tasks: Tasks,
        chain: SyncChain,
        handover: Handover,
        watcher: Watcher,
        *,
        snapshots: Snapshots | None = None,
        linger_s: float = LINGER_S,
    ) -> None:
        self._clock = clock
        self._network = network
        self._tasks = tasks
        self._chain = chain
        self._handover = handover
        self._watcher = watcher
        self._snapshots = snapshots
        height, block_hash = chain.head
        self.core = SyncCore(height, block_hash, now_ns=clock.now_ns())
        self.serving = ServeCore()
        self._feed = Feed(linger_s)
        self._is_paused = False
        self._is_importing = False
        self._is_pumping = False
        self._reports: deque[tuple[int, Hash32, int]] = deque()
        self._is_report_due = False
        self._done: Done | None = None
        self.progress: Progress | None = None

    @property
    def is_active(self) -> bool:
        """Whether sync moves the chain now, and not consensus."""
        return self.core.is_active

    # ---- inputs ----

    def on_peer_height(self, peer: Peer, height: int) -> None:
        self._act(self.core.on_peer_height(peer, height, now_ns=self._clock.now_ns()))

    def on_closed(self, peer: Peer) -> None:
        self.serving.on_closed(peer)
        self._act(self.core.on_closed(peer, now_ns=self._clock.now_ns()))

    def on_head(self, height: int, block_hash: Hash32) -> None:
        """Consensus committed a block. What sync imports itself may be told too."""
        if not self._is_paused:
            self._act(self.core.on_imported(height, block_hash, now_ns=self._clock.now_ns()))

    def on_message(self, peer: Peer, payload: bytes) -> None:
        now_ns = self._clock.now_ns()
        try:
            message = decode_message(payload)
        except InvalidSyncMessage as failure:
            self.on_closed(peer)
            self._network.punish(peer, str(failure))
            return
        if isinstance(message, Part | Refused):
            self._act(self.core.on_message(peer, message, now_ns=now_ns))
        else:
            self._serve(self.serving.on_request(peer, message, now_ns=now_ns))

    def on_drained(self, peer: Peer) -> None:
        self.serving.on_drained(peer)
        self._pump()

    def on_time(self) -> None:
        self._act(self.core.on_tick(now_ns=self._clock.now_ns()))
        self._pump()

    def deadline_ns(self) -> int | None:
        """When to call on_time, by the clock given."""
        now_ns = self._clock.now_ns()
        times = (self.core.deadline_ns(now_ns), self.serving.deadline_ns(now_ns))
        return min((time for time in times if time is not None), default=None)

    # ---- catching up ----

    def _act(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Request):
                # What does not fit is not answered either, and asked of others then.
                self._network.send(effect.peer, effect.payload)
            elif isinstance(effect, Verify):
                self._verify(effect)
            elif isinstance(effect, Import):
                self._feed.put(effect.blocks)
                self._start_import()
            elif isinstance(effect, Punish):
                self._punish(effect)
            elif isinstance(effect, Started):
                self._start(effect)
            elif isinstance(effect, Progress):
                self.progress = effect
                self._watcher.progressed(effect)
            elif isinstance(effect, Stuck):
                self._watcher.stuck(effect.height, effect.reason)
            else:
                self._done = effect
                self._resume()

    def _verify(self, effect: Verify) -> None:
        self._tasks.run(
            lambda: self._chain.verify(effect.blocks),
            lambda verdicts: self._act(
                self.core.on_verified(effect.batch, verdicts, now_ns=self._clock.now_ns())
            ),
        )

    def _punish(self, effect: Punish) -> None:
        reason = f"{effect.reason.value}: {effect.detail}" if effect.detail else effect.reason.value
        self._network.punish(effect.peer, reason)

    def _start(self, effect: Started) -> None:
        self._watcher.started(effect.height, effect.target)
        if self._done is not None:
            # The last import has not ended yet, so nobody was told to go on.
            self._done = None
        else:
            self._handover.pause(self._on_paused)

    def _on_paused(self) -> None:
        self._is_paused = True
        self._start_import()

    def _resume(self) -> None:
        """Hands over once the import has let go of the chain."""
        if self._done is None or self._is_importing:
            return
        height, self._done = self._done.height, None
        self._is_paused = False
        self.progress = None
        self._watcher.done(height)
        self._handover.resume(height)

    def _start_import(self) -> None:
        if self._is_paused and not self._is_importing and len(self._feed):
            self._is_importing = True
            self._tasks.run(self._import, self._on_import_ended)

    def _import(self) -> ImportFailed | None:
        """Imports what is there and what comes meanwhile. On a thread of its own. Returns why it
        ended early, if it did."""
        head, _ = self._chain.head
        blocks = (block for block in self._feed.take() if block.height > head)
        try:
            for height, block_hash, transactions in self._chain.import_blocks(blocks):
                self._report(height, block_hash, transactions)
        except ImportFailed as failure:
            return failure
        return None

    def _report(self, height: int, block_hash: Hash32, transactions: int) -> None:
        """On the thread of the import. The core hears of several blocks at once when they come
        faster than the driver's thread has its turn."""
        self._reports.append((height, block_hash, transactions))
        if not self._is_report_due:
            self._is_report_due = True
            self._tasks.call(self._hear_reports)

    def _hear_reports(self) -> None:
        # Before they are taken out: what comes from here on asks for another turn.
        self._is_report_due = False
        transactions, last = 0, None
        while self._reports:
            height, block_hash, count = self._reports.popleft()
            transactions += count
            last = height, block_hash
        if last is not None:
            self._act(
                self.core.on_imported(*last, transactions=transactions, now_ns=self._clock.now_ns())
            )

    def _on_import_ended(self, failure: ImportFailed | None) -> None:
        self._is_importing = False
        self._hear_reports()
        now_ns = self._clock.now_ns()
        height, block_hash = self._chain.head
        effects = list(self.core.on_imported(height, block_hash, now_ns=now_ns))
        if failure is not None:
            self._feed.clear()
            effects += self.core.on_import_failed(
                height + 1, str(failure), is_changed=failure.is_changed, now_ns=now_ns
            )
        self._act(effects)
        self._start_import()
        self._resume()

    # ---- serving ----

    def _serve(self, effects: Sequence[ServeEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Read):
                self._read(effect)
            elif isinstance(effect, Punish):
                self._punish(effect)
            else:
                self._network.send(effect.peer, effect.payload)
        self._pump()

    def _read(self, effect: Read) -> None:
        request = effect.request
        self._tasks.run(
            lambda: (answer_to(request, self._chain, self._snapshots), *self._chain.range()),
            lambda found: self._serve(self.serving.on_read(effect.peer, request, *found)),
        )

    def _pump(self) -> None:
        """Sends what may be sent, a few slices, and goes on after others had their turn."""
        if self._is_pumping:
            return
        for _ in range(SLICES_PER_TURN):
            effect = self.serving.next_slice(now_ns=self._clock.now_ns())
            if effect is None:
                return
            if self._network.send(effect.peer, effect.payload):
                self._read_more(self.serving.on_sent(effect.peer))
            else:
                self.serving.on_blocked(effect.peer)
        self._is_pumping = True
        self._tasks.call(self._pump_on)

    def _pump_on(self) -> None:
        self._is_pumping = False
        self._pump()

    def _read_more(self, effects: Sequence[ServeEffect]) -> None:
        for effect in effects:
            assert isinstance(effect, Read), "what is sent only lets others be read"
            self._read(effect)


def answer_to(request: Asking, chain: SyncChain, snapshots: Snapshots | None) -> bytes | None:
    """The body of the answer to a request; None when what it asks for is not there."""
    if isinstance(request, GetBlocks):
        return _blocks_for(request, chain)
    if isinstance(request, GetHeaders):
        headers: list[bytes] = []
        for height in range(request.first, request.first + request.count):
            header = chain.header(height)
            if header is None:
                return None
            headers.append(header)
        return encode_headers(headers)
    if snapshots is None:
        return None
    if isinstance(request, GetManifest):
        manifest = snapshots.manifest(request.height)
        return None if manifest is None else encode_manifest(manifest)
    return snapshots.chunk(request.manifest, request.number)


def _blocks_for(request: GetBlocks, chain: SyncChain) -> bytes | None:
    items: list[Item] = []
    size = 0
    for height in range(request.first, request.first + request.count):
        item = chain.read(height)
        if item is None:
            break
        size += encoded_size(*item)
        if items and size > request.bytes_max:
            break
        items.append(item)
    return encode_blocks(items) if items else None
