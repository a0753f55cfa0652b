"""The shell of consensus: it logs an input, applies it to the core, makes the log durable, and does
what the core wants, through the doors in ports.py. It knows no event loop: whoever owns the thread
calls it, and reads `deadline_ns` after each call to know when to call `on_time`.

    driver = Driver(core, clock, log, signer, application, network, watcher)
    driver.start(start)                      what the head says; replays the log of that height
    driver.on_message(message, peer, body)   a decoded message; body: what came with a proposal
    driver.on_peer(peer)                     a new peer: it is told where this node is
    driver.on_work()                         something waits to go into a block
    driver.on_time()                         at or after deadline_ns()
    driver.on_synced(start)                  the chain got further otherwise
    driver.deadline_ns()                     by the clock given; None: nothing to wait for

All of them, and every `done` given to a port, on one thread. They may be called from inside one
another: what comes in meanwhile is queued, not recursed. An exception of a port (a failed write) is
raised to the caller, and the driver does nothing any more: `is_dead`.

A restart: inputs of the log are applied again in silence, blocks in it are given back to the
application, and what had no answer yet is asked again. Time goes on where the log ended, so that a
timeout neither passes unseen nor comes at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ghostchain.consensus.core import Consensus
from ghostchain.consensus.effects import (
    Broadcast,
    Build,
    Built,
    Decide,
    Diverged,
    Doppelganger,
    Effect,
    Entered,
    Extend,
    Input,
    Peer,
    Punish,
    Received,
    Report,
    RoundFailed,
    Send,
    SendDecided,
    Sign,
    Signed,
    StartHeight,
    Tick,
    Validate,
    Validated,
    Work,
)
from ghostchain.consensus.guard import Guard
from ghostchain.consensus.messages import Message, Status, Step, Vote
from ghostchain.consensus.ports import (
    Application,
    Clock,
    Log,
    Network,
    Offer,
    Signer,
    Watcher,
)
from ghostchain.consensus.records import BlockRecord, decode_record, encode_record
from ghostchain.encoding.votes import VoteKind
from ghostchain.primitives.types import Hash32

BODIES_MAX = 4
"""Bodies of proposals that are kept for one peer until the core asks for the block."""

BODY_PEERS_MAX = 256
"""Peers whose bodies are kept."""

LOG_BYTES_MAX = 32 << 20
"""Of the log of one height, before it is written anew with what matters at the start of a round."""

RECORDS_MAX = 4
"""Blocks of one height that are kept, beside what it is locked on, to be written anew."""


class Driver:
    """See the module. signer None: this node never signs. guard None: it signs from the start, as
    when it was told so; else see guard.py."""

    def __init__(
        self,
        core: Consensus,
        clock: Clock,
        log: Log,
        signer: Signer | None,
        application: Application,
        network: Network,
        watcher: Watcher,
        *,
        guard: Guard | None = None,
        log_bytes_max: int = LOG_BYTES_MAX,
    ) -> None:
        self.core = core
        self.guard = guard
        self._log_bytes_max = log_bytes_max
        self._log_bytes = 0
        self._start_record = b""
        self._blocks: dict[Hash32, bytes] = {}
        self.is_dead = False
        self._clock = clock
        self._log = log
        self._signer = signer
        self._application = application
        self._network = network
        self._watcher = watcher
        self._offset_ns = 0
        self._is_durable = True
        self._is_busy = False
        self._queue: deque[Callable[[], None]] = deque()
        self._bodies: dict[Peer, dict[Hash32, bytes]] = {}
        self._own_bodies: dict[Hash32, bytes] = {}
        self._held: list[Sign] = []
        self._decided_ns: int | None = None
        self._decided_before = 0
        self._actions: dict[type, Callable[..., None]] = {
            Build: self._build,
            Validate: self._validate,
            Sign: self._sign,
            Broadcast: self._broadcast,
            Send: self._send,
            SendDecided: self._send_decided,
            Decide: self._decide,
            Extend: self._extend,
            Doppelganger: self._doppelganger,
            Diverged: self._diverged,
            Report: self._report,
            Punish: self._punish,
            Entered: self._entered,
            RoundFailed: self._round_failed,
        }

    # ---- the verbs ----

    def start(self, start: StartHeight) -> None:
        """Begin with the height after the head: where the log ended, when it is of that height."""
        self._run(lambda: self._start(start))

    def on_message(self, message: Message, peer: Peer, body: bytes | None = None) -> None:
        """A peer said it. Cost: a record of the log if it is news, and the core's."""
        if body is not None and isinstance(message, Vote):
            self._keep_body(peer, message.block_id, body)
        self._run(lambda: self._receive(Received(message, peer)))

    def on_peer(self, peer: Peer) -> None:
        """Tell a new peer where this node is, so that either helps the other."""
        self._run(lambda: self._network.send(peer, self.core.status()))

    def on_work(self) -> None:
        """Something waits to go into a block. Cheap when that is known already."""
        if self.core.awaits_work:
            self._run(lambda: self._apply(Work()) if self.core.awaits_work else None)

    def on_time(self) -> None:
        """Whatever is due is done."""
        self._run(self._tick)

    def on_synced(self, start: StartHeight) -> None:
        """The chain went further by other means; nothing is done if this node knows."""
        self._run(lambda: self._next(start))

    def deadline_ns(self) -> int | None:
        """When `on_time` has something to do, by the clock given."""
        core_ns = self.core.deadline_ns()
        deadlines = [] if core_ns is None else [core_ns - self._offset_ns]
        guard_ns = self.guard.deadline_ns() if self.guard is not None else None
        if guard_ns is not None:
            deadlines.append(guard_ns)
        return min(deadlines, default=None)

    # ---- one at a time ----

    def _run(self, action: Callable[[], None]) -> None:
        """Do it after what is being done, unless the driver is dead."""
        if self.is_dead:
            return
        self._queue.append(action)
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._queue:
                self._queue.popleft()()
        except BaseException:
            self.is_dead = True
            self._queue.clear()
            raise
        finally:
            self._is_busy = False

    def _now_ns(self) -> int:
        return self._clock.now_ns() + self._offset_ns

    def _apply(self, input: Input, *, is_logged: bool = True) -> None:
        now_ns = self._now_ns()
        if is_logged:
            self._append(now_ns, input)
        effects = self.core.apply(input, now_ns=now_ns)
        for effect in effects:
            self._act(effect)
        if self._log_bytes > self._log_bytes_max:
            self._shorten_log(effects)

    def _append(self, now_ns: int, entry: Input | BlockRecord) -> None:
        record = encode_record(now_ns, entry)
        self._log.append(record)
        self._log_bytes += len(record)
        self._is_durable = False
        if isinstance(entry, StartHeight):
            self._start_record = record
        elif isinstance(entry, BlockRecord):
            self._keep_block(entry.block_id, record)

    def _keep_block(self, block_id: Hash32, record: bytes) -> None:
        """The last blocks, and what the core holds on to."""
        self._blocks[block_id] = record
        held = {one[0] for one in (self.core.locked, self.core.valid) if one is not None}
        others = [each for each in self._blocks if each not in held]
        for each in others[: max(0, len(others) - RECORDS_MAX)]:
            del self._blocks[each]

    def _shorten_log(self, effects: tuple[Effect, ...]) -> None:
        """A round of a long height begins: the log is written anew, with what matters of it."""
        if not any(isinstance(each, Entered) and each.step == Step.PROPOSE for each in effects):
            return
        resume = self.core.resume()
        if resume is None:
            return
        at_hand = tuple(each for each in resume.at_hand if each in self._blocks)
        gone = {each for each in resume.at_hand if each not in self._blocks}
        judged = tuple(each for each in resume.judged if each[0] not in gone)
        resume = replace(resume, at_hand=at_hand, judged=judged)
        now_ns = self._now_ns()
        blocks = [self._blocks[block_id] for block_id in at_hand]
        records = [self._start_record, *blocks, encode_record(now_ns, resume)]
        self._log.rewrite(records)
        self._log_bytes = sum(map(len, records))
        self._is_durable = True
        for effect in self.core.apply(resume, now_ns=now_ns):
            self._act(effect)

    def _act(self, effect: Effect) -> None:
        if not self._is_durable and _binds(effect):
            self._log.flush()
            self._is_durable = True
        self._actions[type(effect)](effect)

    # ---- what comes in ----

    def _receive(self, received: Received) -> None:
        if self.guard is not None:
            self.guard.on_heard(self._clock.now_ns())
        self._apply(received, is_logged=self.core.must_log(received.message))

    def _tick(self) -> None:
        deadline_ns = self.core.deadline_ns()
        if deadline_ns is not None and deadline_ns <= self._now_ns():
            self._apply(Tick())
        if self.guard is not None:
            self.guard.on_time(self._clock.now_ns())
            self._release()

    def _next(self, start: StartHeight, decide: Decide | None = None) -> None:
        """The next height: a new log, and in it what was said of the height too early."""
        if start.height <= self.core.height:
            return
        if decide is not None and start.height == decide.height + 1:
            start = replace(
                start,
                decided_ns=self._decided_ns,
                last=decide.certificate,
                last_validators=self.core.validators,
            )
        kept = self.core.take_kept()
        self._forget_height()
        if self.guard is not None and start.height - 1 > self._decided_before:
            self.guard.on_decided()
        self._begin(start)
        for received in kept:
            self._receive(received)

    def _begin(self, start: StartHeight) -> None:
        self._log.restart()
        self._log_bytes = 0
        self._apply(start)
        if self.guard is not None and self.core.is_alone():
            self.guard.on_alone()
            self._release()

    def _forget_height(self) -> None:
        self._held.clear()
        self._own_bodies.clear()
        self._blocks.clear()
        self._decided_ns = None
        for bodies in self._bodies.values():
            while len(bodies) > 1:
                del bodies[next(iter(bodies))]

    def _keep_body(self, peer: Peer, block_id: Hash32, body: bytes) -> None:
        """The last bodies of each peer; of peers, those that proposed last."""
        bodies = self._bodies.pop(peer, {})
        bodies.pop(block_id, None)
        bodies[block_id] = body
        self._bodies[peer] = bodies
        if len(bodies) > BODIES_MAX:
            del bodies[next(iter(bodies))]
        if len(self._bodies) > BODY_PEERS_MAX:
            del self._bodies[next(iter(self._bodies))]

    # ---- a restart ----

    def _start(self, start: StartHeight) -> None:
        records = list(self._log.records())
        entries = [decode_record(record) for record in records]
        first = entries[0][1] if entries else None
        if not isinstance(first, StartHeight) or first.height != start.height:
            self._begin(start)
            return
        assert first.validators == start.validators, "the log tells of other validators"
        self._offset_ns = entries[-1][0] - self._clock.now_ns()
        self._start_record = records[0]
        self._log_bytes = sum(map(len, records))
        wanted = self._replay(entries)
        if self.core.decided is not None:
            self._decided_before = start.height
        for effect in wanted:
            self._act(effect)
        self._is_durable = True
        if start.has_work and self.core.awaits_work:
            self._apply(Work())
        if self.guard is not None and self.core.is_alone():
            self.guard.on_alone()
            self._release()

    def _replay(self, entries: list[tuple[int, Input | BlockRecord]]) -> list[Effect]:
        """The core is as it was. Returns: what it wanted then and got no answer to."""
        open_effects: dict[object, Effect] = {}
        for now_ns, entry in entries:
            if isinstance(entry, BlockRecord):
                self._application.restore(entry.height, entry.block_id, entry.record)
                self._keep_block(entry.block_id, encode_record(now_ns, entry))
                continue
            open_effects.pop(_answered(entry), None)
            for effect in self.core.apply(entry, now_ns=now_ns):
                key = _question(effect)
                if key is not None:
                    open_effects[key] = effect
        return [
            effect
            for effect in open_effects.values()
            if not isinstance(effect, Build) or effect.round == self.core.round
        ]

    # ---- what the core wants ----

    def _build(self, build: Build) -> None:
        def done(offer: Offer | None, reason: str) -> None:
            self._run(lambda: self._on_built(build, offer, reason))

        self._application.build(build.height, build.round, done)

    def _on_built(self, build: Build, offer: Offer | None, reason: str) -> None:
        if build.height != self.core.height:
            return
        block_id = None
        if offer is not None:
            block_id = offer.block_id
            self._own_bodies[block_id] = offer.body
            self._append(self._now_ns(), BlockRecord(build.height, block_id, offer.record))
        self._apply(Built(build.height, build.round, block_id, reason))

    def _validate(self, validate: Validate) -> None:
        def done(record: bytes | None, reason: str) -> None:
            self._run(lambda: self._on_validated(validate, record, reason))

        block_id = validate.block_id
        body = self._bodies.get(validate.peer, {}).pop(block_id, None)
        self._application.validate(
            validate.height, validate.round, block_id, body, validate.peer, done
        )

    def _on_validated(self, validate: Validate, record: bytes | None, reason: str) -> None:
        if validate.height != self.core.height:
            return
        block_id = validate.block_id
        if record is not None:
            self._append(self._now_ns(), BlockRecord(validate.height, block_id, record))
        is_valid = record is not None
        self._apply(Validated(validate.height, block_id, is_valid, reason, validate.round))

    def _sign(self, sign: Sign) -> None:
        if self._signer is None:
            self._on_signed(sign.vote, b"", "this node has no signer")
        elif self.guard is not None and not self.guard.is_open:
            if sign not in self._held:
                self._held.append(sign)
        else:
            self._ask_signer(sign.vote)

    def _ask_signer(self, vote: Vote) -> None:
        assert self._signer is not None

        def done(signature: bytes, reason: str) -> None:
            self._run(lambda: self._on_signed(vote, signature, reason))

        self._signer.sign(vote, done)

    def _on_signed(self, vote: Vote, signature: bytes, reason: str) -> None:
        if vote.height == self.core.height:
            self._apply(Signed(replace(vote, signature=signature), reason))

    def _release(self) -> None:
        """What was held back is signed, now that the guard is open."""
        if self.guard is not None and self.guard.is_open:
            held, self._held = self._held, []
            for sign in held:
                self._act(sign)

    def _broadcast(self, broadcast: Broadcast) -> None:
        message = broadcast.message
        body = None
        if isinstance(message, Vote) and message.kind == VoteKind.PROPOSAL:
            body = self._own_bodies.get(message.block_id)
        self._network.broadcast(message, body)

    def _send(self, send: Send) -> None:
        self._network.send(send.peer, send.message)

    def _send_decided(self, effect: SendDecided) -> None:
        certificate = self._application.certificate(effect.height)
        if certificate is not None:
            self._network.send(effect.peer, certificate)

    def _decide(self, decide: Decide) -> None:
        def done(start: StartHeight) -> None:
            self._run(lambda: self._next(start, decide))

        self._decided_ns = self._now_ns()
        self._watcher.decided(decide.height, decide.round, decide.block_id, self._clock.now_ns())
        self._application.commit(decide.height, decide.block_id, decide.certificate, done)

    def _extend(self, extend: Extend) -> None:
        self._application.extend(extend.certificate)

    def _doppelganger(self, effect: Doppelganger) -> None:
        if self.guard is not None:
            self.guard.on_doppelganger()
            self._held.clear()
            self._watcher.doppelganger(effect.vote)

    def _diverged(self, diverged: Diverged) -> None:
        self._watcher.diverged(diverged.height, diverged.block_id, diverged.reason)

    def _report(self, report: Report) -> None:
        self._application.report(report.key, report.first, report.second)

    def _punish(self, punish: Punish) -> None:
        self._network.punish(punish.peer, punish.detail or punish.reason.value)

    def _entered(self, entered: Entered) -> None:
        self._watcher.entered(entered.height, entered.round, entered.step, self._clock.now_ns())

    def _round_failed(self, failure: RoundFailed) -> None:
        self._watcher.round_failed(failure, self._clock.now_ns())


def _binds(effect: Effect) -> bool:
    """Whether all that is logged must be durable before it: a signature, a decision, and whatever
    leaves this node, but for where it is, which an idle one says each second."""
    if isinstance(effect, (Broadcast, Send)):
        return not isinstance(effect.message, Status)
    return isinstance(effect, (Sign, Decide))


def _question(effect: Effect) -> object:
    """What identifies an effect that a restart must do again until it is answered; None: no such
    effect. Evidence is given again, for the application may have lost it."""
    if isinstance(effect, Build):
        return Build, effect.round
    if isinstance(effect, Validate):
        return Validate, effect.block_id, effect.round
    if isinstance(effect, Sign):
        return Sign, effect.vote.kind, effect.vote.round
    if isinstance(effect, (Decide, Report, Doppelganger)):
        return effect
    return None


def _answered(entry: Input) -> object:
    """The question that an input answers."""
    if isinstance(entry, Built):
        return Build, entry.round
    if isinstance(entry, Validated):
        return Validate, entry.block_id, entry.round
    if isinstance(entry, Signed):
        return Sign, entry.vote.kind, entry.vote.round
    return None
