"""Who watches consensus: metrics and logs, and what `ghost_consensus` shows of failed rounds.

Implements `consensus.ports.Watcher`; event loop only. A round that fails is logged with its reason,
its proposer, and who was not heard, so that an operator sees whose node to look at.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from ghostchain.consensus.effects import RoundFailed
from ghostchain.consensus.messages import Step, Vote
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.node.logs import event
from ghostchain.node.metrics import Metrics
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.standing import FailedRound

logger = logging.getLogger(__name__)

FAILED_KEPT = 20
NAMED_MAX = 8
"""Validators named in one line of the log."""


class ConsensusWatcher:
    """validators: of the height being decided; what is named by index is looked up there."""

    def __init__(self, metrics: Metrics, validators: Callable[[], ValidatorSet | None]) -> None:
        self.failed: deque[FailedRound] = deque(maxlen=FAILED_KEPT)
        self.entered_ns = 0
        self.doppelganger_seen = ""
        self._metrics = metrics
        self._validators = validators
        self._step = Step.NEW_HEIGHT
        self._round_began_ns = 0
        self._decided_ns: int | None = None

    def entered(self, height: int, round: int, step: Step, now_ns: int) -> None:
        if self.entered_ns and self._step != Step.NEW_HEIGHT:
            name = self._step.name.lower()
            self._metrics.step.labels(name).observe((now_ns - self.entered_ns) / 1e9)
        if step == Step.PROPOSE and round == 0:
            self._round_began_ns = now_ns
        self._step, self.entered_ns = step, now_ns
        self._metrics.deciding.set(height)
        self._metrics.round.set(round)
        event(logger, logging.DEBUG, "step", height=height, round=round, step=step.name.lower())

    def round_failed(self, failure: RoundFailed, now_ns: int) -> None:
        self.failed.appendleft(
            FailedRound(
                failure.height,
                failure.round,
                failure.reason.value,
                failure.proposer,
                failure.missing,
            )
        )
        self._metrics.failed_rounds.labels(failure.reason.name.lower()).inc()
        event(
            logger,
            logging.WARNING,
            "round failed",
            height=failure.height,
            round=failure.round,
            reason=failure.reason.value,
            proposer=self._operator(failure.proposer),
            missing=" ".join(map(self._operator, failure.missing[:NAMED_MAX])),
            missing_count=len(failure.missing),
        )

    def decided(self, height: int, round: int, block_id: Hash32, now_ns: int) -> None:
        if self._round_began_ns:
            self._metrics.decision.observe((now_ns - self._round_began_ns) / 1e9)
        if self._decided_ns is not None:
            self._metrics.interval.observe((now_ns - self._decided_ns) / 1e9)
        self._decided_ns, self._round_began_ns = now_ns, 0
        event(logger, logging.DEBUG, "decided", height=height, round=round, hash=block_id[:6])

    def doppelganger(self, vote: Vote) -> None:
        """Loud: whoever runs two nodes with one key loses stake."""
        self.doppelganger_seen = (
            f"another node signed with this key at height {vote.height}, round {vote.round}"
        )
        event(
            logger,
            logging.CRITICAL,
            "somebody else signs with this node's key: it signs no more until it is restarted; "
            "stop the other node first",
            height=vote.height,
            round=vote.round,
            kind=vote.kind.name.lower(),
            block=vote.block_id[:6],
        )

    def diverged(self, height: int, block_id: Hash32, reason: str) -> None:
        """Loud: this node disagrees with a quorum about what is valid, and cannot go on."""
        event(
            logger,
            logging.CRITICAL,
            "a quorum committed a block that is invalid here: this node is stuck",
            height=height,
            block=block_id[:6],
            reason=reason,
        )

    def _operator(self, index: int) -> str:
        validators = self._validators()
        if validators is None or not 0 <= index < len(validators):
            return str(index)
        return f"0x{validators[index].operator.hex()}"
