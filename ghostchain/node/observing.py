"""The application of consensus, measured: how long blocks take, what they hold, who was missing.

Wraps one `consensus.ports.Application` and is one. Times are from the question to its answer, as
consensus sees them: they include waiting for the thread that writes the chain.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ghostchain.chain.chain import Chain
from ghostchain.consensus.effects import Peer, StartHeight
from ghostchain.consensus.messages import Certificate, Vote
from ghostchain.consensus.ports import Application, Offer
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.node.logs import event
from ghostchain.node.metrics import Metrics
from ghostchain.primitives.types import Hash32

logger = logging.getLogger(__name__)

RUNS_KEPT = 16


class ObservedApplication:
    """See the module. on_evidence: told of what was reported, after the application."""

    def __init__(
        self,
        application: Application,
        chain: Chain,
        metrics: Metrics,
        validators: Callable[[], ValidatorSet | None],
        on_start: Callable[[StartHeight], None],
        on_evidence: Callable[[bytes, Vote, Vote], None],
    ) -> None:
        """validators: of the height being decided. on_start: told of each next height."""
        self._application = application
        self._chain = chain
        self._metrics = metrics
        self._validators = validators
        self._on_start = on_start
        self._on_evidence = on_evidence
        self._run_s: dict[Hash32, float] = {}
        self.restore = application.restore
        self.extend = application.extend
        self.certificate = application.certificate

    def build(self, height: int, round: int, done: Callable[[Offer | None, str], None]) -> None:
        started = time.perf_counter()

        def built(offer: Offer | None, reason: str) -> None:
            seconds = self._observe("build", started)
            if offer is not None:
                self._keep(offer.block_id, seconds)
            else:
                event(
                    logger,
                    logging.WARNING,
                    "no block to propose",
                    height=height,
                    round=round,
                    reason=reason,
                )
            done(offer, reason)

        self._application.build(height, round, built)

    def validate(
        self,
        height: int,
        round: int | None,
        block_id: Hash32,
        body: bytes | None,
        peer: Peer,
        done: Callable[[bytes | None, str], None],
    ) -> None:
        started = time.perf_counter()

        def validated(record: bytes | None, reason: str) -> None:
            seconds = self._observe("validate", started)
            if record is not None:
                self._keep(block_id, seconds)
            else:
                event(
                    logger,
                    logging.WARNING,
                    "proposed block invalid",
                    height=height,
                    round=round,
                    block=block_id[:6],
                    reason=reason,
                )
            done(record, reason)

        self._application.validate(height, round, block_id, body, peer, validated)

    def commit(
        self,
        height: int,
        block_id: Hash32,
        certificate: Certificate,
        done: Callable[[StartHeight], None],
    ) -> None:
        started = time.perf_counter()
        validators = self._validators()

        def committed(start: StartHeight) -> None:
            seconds = self._observe("commit", started)
            self._on_committed(height, block_id, certificate, validators, seconds)
            self._on_start(start)
            done(start)

        self._application.commit(height, block_id, certificate, committed)

    def _on_committed(
        self,
        height: int,
        block_id: Hash32,
        certificate: Certificate,
        validators: ValidatorSet | None,
        seconds: float,
    ) -> None:
        if validators is not None and certificate.size == len(validators):
            for index in set(range(certificate.size)).difference(certificate.signers):
                self._metrics.count_missed(validators[index].operator)
        header = self._chain.header(height)
        ran_s = self._run_s.get(block_id)
        self._run_s.clear()
        if header is None:
            return
        if ran_s is not None:
            self._metrics.observe_execution(header.gas_used, ran_s)
        event(
            logger,
            logging.INFO if header.gas_used else logging.DEBUG,
            "final block",
            number=height,
            hash=block_id[:6],
            round=certificate.round,
            gas=header.gas_used,
            signers=len(certificate.signers),
            ms=seconds * 1e3,
        )

    def report(self, key: bytes, first: Vote, second: Vote) -> None:
        event(
            logger,
            logging.WARNING,
            "a validator signed what no honest one signs",
            key=key[:6],
            height=first.height,
            round=first.round,
        )
        self._application.report(key, first, second)
        self._on_evidence(key, first, second)

    def _observe(self, work: str, started: float) -> float:
        seconds = time.perf_counter() - started
        self._metrics.block_work.labels(work).observe(seconds)
        return seconds

    def _keep(self, block_id: Hash32, seconds: float) -> None:
        if len(self._run_s) >= RUNS_KEPT:
            del self._run_s[next(iter(self._run_s))]
        self._run_s[block_id] = seconds
