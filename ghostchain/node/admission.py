"""Transactions that peers bring, on their way to the pool.

One batch at a time on the pool's admission threads, so that whoever sends by JSON-RPC always finds
one free. While a batch is judged, what comes meanwhile gathers for the next; how much may gather is
bounded by whoever hands it over (`p2p/gossip.py`), which drops what is beyond.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ghostchain.node.metrics import Metrics
from ghostchain.p2p.effects import Verdict
from ghostchain.primitives.errors import TransactionReason
from ghostchain.storage.files import storage_failure
from ghostchain.txpool.driver import PoolDriver, Submission

BATCH_MAX = 2_048

Done = Callable[[Sequence[Verdict]], None]

UNFORGIVABLE = frozenset(
    {
        TransactionReason.RLP_MALFORMED,
        TransactionReason.TRAILING_BYTES,
        TransactionReason.FIELD_COUNT,
        TransactionReason.FIELD_WIDTH,
        TransactionReason.LEADING_ZERO,
        TransactionReason.SIGNATURE_RANGE,
        TransactionReason.HIGH_S,
        TransactionReason.Y_PARITY,
        TransactionReason.SIGNATURE_INVALID,
        TransactionReason.CHAIN_ID,
        TransactionReason.SIGNATURE_SCHEME,
        TransactionReason.SIGNATURE_LENGTH,
        TransactionReason.PAYER_FORM,
        TransactionReason.PAYER_SIGNATURE,
    }
)
"""What no node with these rules passes on, whatever its head."""


class PeerAdmission:
    """Hands transactions of peers to the pool. Event loop only."""

    def __init__(
        self,
        pool: PoolDriver,
        threads: ThreadPoolExecutor,
        metrics: Metrics,
        *,
        call: Callable[[Callable[[], None]], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """call: makes the answer's call where its exceptions are seen to. on_failure: told of a
        journal that cannot be written."""
        self._pool = pool
        self._threads = threads
        self._metrics = metrics
        self._call = call
        self._on_failure = on_failure
        self._waiting: deque[tuple[tuple[bytes, ...], Done]] = deque()
        self._is_busy = False

    def submit(self, raws: tuple[bytes, ...], done: Done) -> None:
        """done gets the pool's verdict on each, in order, once."""
        self._waiting.append((raws, done))
        self._begin()

    def _begin(self) -> None:
        if self._is_busy or not self._waiting:
            return
        self._is_busy = True
        lots: list[tuple[tuple[bytes, ...], Done]] = []
        count = 0
        while self._waiting and (not lots or count + len(self._waiting[0][0]) <= BATCH_MAX):
            lots.append(self._waiting.popleft())
            count += len(lots[-1][0])
        raws = [raw for lot, _ in lots for raw in lot]
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, self._pool.submit, raws)
        future.add_done_callback(lambda ended: self._on_judged(lots, ended))

    def _on_judged(
        self,
        lots: Sequence[tuple[tuple[bytes, ...], Done]],
        ended: asyncio.Future[list[Submission]],
    ) -> None:
        self._is_busy = False
        if ended.cancelled():
            return
        failure = ended.exception()
        if failure is not None:
            if isinstance(failure, OSError):
                failure = storage_failure(failure, self._pool.path)
            self._on_failure(failure)
            return
        verdicts = [verdict_of(submission) for submission in ended.result()]
        refused = sum(verdict is not Verdict.ACCEPTED for verdict in verdicts)
        if refused:
            self._metrics.refused_transactions.inc(refused)
        place = 0
        for raws, done in lots:
            own = verdicts[place : place + len(raws)]
            place += len(raws)
            self._call(lambda done=done, own=own: done(own))  # type: ignore[misc]
        self._begin()


def verdict_of(submission: Submission) -> Verdict:
    """What the pool's answer says of whoever brought the transaction."""
    refusal = submission.refusal
    if refusal is None:
        return Verdict.ACCEPTED
    return Verdict.INVALID if refusal.reason in UNFORGIVABLE else Verdict.REFUSED
