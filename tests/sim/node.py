"""One machine: the real driver, core, log and signer over virtual doors.

Every step that reaches the machine's edge (a write, a sync, a signature, a message) is a place
where it may die: `fuse` counts them down. What a step takes, as a slow sync does, delays all that
follows.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from ghostchain.consensus.core import BLOCKS_MAX, Consensus
from ghostchain.consensus.driver import BODIES_MAX, Driver
from ghostchain.consensus.effects import RoundFailed, StartHeight
from ghostchain.consensus.guard import Guard
from ghostchain.consensus.laggards import EARLY_VOTES_MAX
from ghostchain.consensus.messages import (
    Certificate,
    InvalidMessage,
    Message,
    Status,
    Step,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.consensus.records import BlockRecord, decode_record
from ghostchain.consensus.timers import Parameters
from ghostchain.consensus.votes import AHEAD_MAX, BEHIND_MAX, POLKAS_MAX
from ghostchain.encoding.votes import VoteKind
from ghostchain.node.signing.local import LocalSigner
from ghostchain.p2p.compact import FETCHES_MAX
from ghostchain.p2p.messages import Channel
from ghostchain.primitives.errors import StorageFailed
from ghostchain.primitives.types import Hash32
from ghostchain.storage.highwater import SLOT_BYTES, SLOT_OFFSETS, HighWater, decode_slot
from ghostchain.storage.wal import WriteAheadLog, decode_records
from tests.sim.application import LedgerApplication
from tests.sim.catching import Catcher
from tests.sim.checkers import (
    BOUNDED,
    DURABLE_FIRST,
    LOCK_KEPT,
    NO_CRASH,
    NO_DOPPELGANGER,
    NOT_REFUSED,
    REPLAYED,
    SIGNED_ONCE,
    VALIDITY,
    Violation,
)
from tests.sim.disk import VirtualDisk, disk_error
from tests.sim.keys import Key
from tests.sim.ledger import Chain, decode_block
from tests.sim.mix import Mix
from tests.sim.scheduler import MS, SECOND
from tests.sim.sins import Sin
from tests.sim.traffic import Traffic

if TYPE_CHECKING:
    from tests.sim.world import World

CHAIN_ID = 446_782
EPOCH_NS = 1_700_000_000 * SECOND
PPM = 1_000_000
LOG_SLACK_BYTES = 60_000
"""For each validator: what a round may add to a log, and what a log written anew still holds."""
LOG_NAME, MARK_NAME = "wal", "highwater"


class Crash(BaseException):
    """The machine stops here, in the middle of whatever it does."""


class HashSigner(LocalSigner):
    """The signer with another signature scheme below; its memory is the real one."""

    def __init__(self, key: Key, disk: VirtualDisk) -> None:
        self._key = key
        self._public_key = key.public
        self._high_water = HighWater(disk, MARK_NAME, chain_id=CHAIN_ID, public_key=key.public)

    def _sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


def _memory(core: Consensus) -> tuple[object, ...]:
    """What a core must still know after a restart."""
    return (
        (core.height, core.round, core.step),
        (core.locked, core.valid),
        core.decided,
        core.own,
        core.deadline_ns(),
    )


class Machine:
    """A place in the network, with a disk and a chain that outlive crashes. Implements the doors
    `Clock`, `Network`, `Signer` and `Watcher` of consensus for the driver that runs on it."""

    def __init__(self, world: World, place: int, number: int, key: Key, sin_name: str) -> None:
        """number: of the key. sin_name: how it lies; empty: it does not."""
        self.world = world
        self.mix: Mix = world.mix
        self.place = place
        self.number = number
        self.is_spoilt = False
        """Its disk has lost what it had promised to keep."""
        self.key = key
        self.peer = b"machine".ljust(30, b"\0") + place.to_bytes(2, "big")
        self.name = f"m{place}" + (f" ({sin_name})" if sin_name else "")
        self.is_honest = not sin_name
        self.random = Random(world.random.getrandbits(64))
        self.disk = VirtualDisk(self.touch)
        self.chain = Chain(world.sets)
        self.journal: dict[Hash32, bytes] = {}
        """Of the pool: what it has acknowledged and still holds."""
        self.peers: list[int] = []
        self.banned: set[int] = set()
        self.sin = Sin.named(sin_name, self) if sin_name not in ("", "twin") else None
        skew_ns = self.random.randint(-self.mix.skew_ns, self.mix.skew_ns)
        self._offset_ns = EPOCH_NS + skew_ns
        self._ppm = PPM + int(PPM * self.mix.drift * self.random.uniform(-1, 1))
        self.life = 0
        """How often it has started."""
        self.is_up = False
        self.fuse = 0
        """Steps to the edge until it dies; 0: it does not."""
        self.busy_until_ns = 0
        self._effort_ns = 0
        self._alarms: list[int] = []
        """When it will be woken; falling."""
        self.place_in_height: tuple[int, int, Step] = (0, 0, Step.NEW_HEIGHT)
        self.signed_last: dict[VoteKind, Vote] = {}
        self.lock: Vote | None = None
        """The last precommit for a block that was signed."""
        self.rounds_failed = 0
        self.refused: list[str] = []

    # ---- life and death ----

    def start(self) -> None:
        """The process starts with what the disk has."""
        if self.is_up:
            return
        self.is_up = True
        self.life += 1
        self.banned.clear()
        self._alarms.clear()
        self.busy_until_ns = self.world.scheduler.now_ns
        if self.life > 1 and self.world.is_stormy and self.chance(0.2):
            self.fuse = self.random.randint(1, 20)  # it does not even come up again
        self.world.say(self, "starts at height %d", self.chain.height + 1)
        self.step(self._boot)

    def _boot(self) -> None:
        self.application = LedgerApplication(self)
        self.traffic = Traffic(self)
        self.log = WriteAheadLog(self.disk, LOG_NAME)
        self._log_file = self.disk.files[LOG_NAME]
        self.signer = self._open_signer()
        self.core = Consensus(CHAIN_ID, self.key.public, self.parameters, self.world.verify)
        guard = Guard() if self.mix.is_guarded else None
        self.driver = Driver(
            self.core,
            self,
            self.log,
            self,
            self.application,
            self,
            self,
            guard=guard,
            log_bytes_max=self.mix.log_bytes,
        )
        self.catcher = Catcher(self, CHAIN_ID) if self.mix.is_syncing else None
        self.driver.start(self.application.next_height())
        if self.is_honest and not self.is_spoilt:
            self._check_memory()
        self.world.greet(self)

    def _check_memory(self) -> None:
        """A restart forgets neither the lock nor what was signed."""
        marks = self.signer.high_water.marks.signed
        for kind, vote in self.signed_last.items():
            mark = marks[kind - 1]
            if mark is None or mark.request.place < (vote.height, vote.round, kind):
                raise Violation(SIGNED_ONCE, f"{self.name} has forgotten that it signed {vote}")
        lock = self.lock
        if lock is None or lock.height != self.core.height:
            return
        if self.core.locked is None or self.core.locked[1] < lock.round:
            raise Violation(LOCK_KEPT, f"{self.name} has forgotten {lock}: {self.core.locked}")

    def check_bounds(self) -> None:
        """What is kept for others is bounded by how many they are, whatever they say."""
        if not self.is_up or self.driver.is_dead:
            return
        size, peers = len(self.world.sets.of(self.core.height)), len(self.peers)
        keeper = self.core._keeper
        bounds = {
            "rounds": (len(keeper.rounds), BEHIND_MAX + POLKAS_MAX + AHEAD_MAX * size + 3),
            "votes": (
                max(
                    (
                        len(ballot.first) + len(ballot.second) + len(ballot.waiting)
                        for votes in keeper.rounds.values()
                        for ballot in votes.ballots.values()
                    ),
                    default=0,
                ),
                3 * size,
            ),
            "fetched blocks": (len(self.traffic.blocks.fetches), FETCHES_MAX),
            "early messages": (len(self.core._waiting_room), peers * (EARLY_VOTES_MAX + 2)),
            "peers": (len(self.core._laggards), peers),
            "blocks": (len(self.core._at_hand), BLOCKS_MAX + 1),
            "bodies": (sum(map(len, self.driver._bodies.values())), BODIES_MAX * peers),
            "bytes of the log": (self.log.size, self.mix.log_bytes + LOG_SLACK_BYTES * size),
        }
        for name, (count, limit) in bounds.items():
            if count > limit:
                raise Violation(BOUNDED, f"{self.name} keeps {count} {name}, {limit} at most")

    def check_replay(self) -> None:
        """The log, read again, makes a core that knows what this one knows."""
        if self.is_spoilt or not self.is_honest or self.driver.is_dead:
            return
        self.log.flush()
        records, _, _ = decode_records(self._log_file.read())
        twin = Consensus(CHAIN_ID, self.key.public, self.parameters, self.world.verify)
        for record in records:
            now_ns, entry = decode_record(record)
            if not isinstance(entry, BlockRecord):
                twin.apply(entry, now_ns=now_ns)
        if _memory(twin) != _memory(self.core):
            raise Violation(REPLAYED, f"{self.name}: {_memory(twin)}, not {_memory(self.core)}")

    def _open_signer(self) -> LocalSigner:
        if self.mix.is_edwards:
            return LocalSigner(self.key.secret, chain_id=CHAIN_ID, disk=self.disk, name=MARK_NAME)
        return HashSigner(self.key, self.disk)

    @property
    def parameters(self) -> Parameters:
        hurry = self.mix.hurry
        return Parameters(
            block_interval_min_ns=self.mix.interval_ns,
            timeout_propose_ns=int(1_000 * MS * hurry),
            timeout_vote_ns=int(500 * MS * hurry),
            timeout_step_ns=int(250 * MS * hurry),
            rebroadcast_ns=int(1_000 * MS * max(hurry, 0.5)),
        )

    def die(self, why: str, down_ns: int) -> None:
        """The process is gone, and what its disk had not synced, perhaps; it starts again later."""
        if not self.is_up:
            return
        self.is_up = False
        self.fuse = 0
        world = self.world
        damaged = 0
        is_mark_whole = self._is_mark_whole()
        if self.chance(0.7):  # else the process was killed and the machine went on
            damaged = self.disk.lose(self.random)
        flipped = is_mark_whole and self.chance(self.mix.flips) and self._flip(MARK_NAME, 4096)
        if self.number == self.mix.spoilt and self.chance(0.3):
            log = self.disk.files.get(LOG_NAME)
            self.is_spoilt |= self._flip(LOG_NAME, max(len(log.data) - 300, 0) if log else 0)
        committing = getattr(self, "application", None) and self.application.committing
        if committing and self.chance(0.5):
            self.chain.extend(*committing)
            self.committed_silently()
        self._offset_ns += self.random.randint(-self.mix.jump_ns, self.mix.jump_ns)
        world.crashes += 1
        world.say(self, "dies: %s; %d writes damaged, flipped: %s", why, damaged, flipped)
        for place in self.peers:
            other = world.machines[place]
            world.scheduler.after(50 * MS, other.step, other.lose_peer, self.peer, self.life)
        world.scheduler.after(down_ns, self.start)

    def _is_mark_whole(self) -> bool:
        """Whether both slots of the mark are on the disk: it survives the loss of one."""
        file = self.disk.files.get(MARK_NAME)
        return (
            file is not None
            and file.is_durable
            and all(
                decode_slot(bytes(file.data[offset : offset + SLOT_BYTES])) is not None
                for offset in SLOT_OFFSETS
            )
        )

    def _flip(self, name: str, start: int) -> bool:
        """The disk spoils a bit of a file, from a place on."""
        file = self.disk.files.get(name)
        return file is not None and file.flip(self.random, start, 1 << 30)

    def step(self, action: Callable[..., None], *arguments: object) -> None:
        """The machine does something, now or as soon as it can; perhaps it dies of it."""
        if not self.is_up:
            return
        scheduler = self.world.scheduler
        if scheduler.now_ns < self.busy_until_ns:
            scheduler.at(self.busy_until_ns, self._step_of, self.life, action, *arguments)
            return
        try:
            action(*arguments)
            self._arm()
        except Crash:
            self.die("a crash in the middle of a step", self._down_ns())
        except StorageFailed as failure:
            if not self.world.is_disk_faulty:
                raise
            self.die(str(failure), self._down_ns())
        except Violation:
            raise
        except Exception as error:
            if self.is_honest:
                raise Violation(NO_CRASH, f"{self.name}: {error!r}") from error
            self.die(repr(error), self._down_ns())
        self.busy_until_ns = scheduler.now_ns + self._effort_ns
        self._effort_ns = 0

    def _step_of(self, life: int, action: Callable[..., None], *arguments: object) -> None:
        if life == self.life:
            self.step(action, *arguments)

    def later(self, delay_ns: int, action: Callable[..., None], *arguments: object) -> None:
        """The machine does something after a while, if it still lives then."""
        scheduler = self.world.scheduler
        scheduler.after(self._effort_ns + delay_ns, self._step_of, self.life, action, *arguments)

    def _down_ns(self) -> int:
        return self.random.randint(10 * MS, 2 * SECOND)

    def hurry(self) -> None:
        """Whatever held it up is over."""
        if self.is_up:
            self.busy_until_ns = min(self.busy_until_ns, self.world.scheduler.now_ns)
            self._alarms.clear()
            self._arm()

    def touch(self, what: str) -> None:
        """A step to the edge: perhaps the last one."""
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise Crash
        if what == "sync" and self.is_up:
            mix = self.mix
            self._effort_ns += mix.sync_ns
            if self.world.is_stormy:
                if mix.slow_sync and self.chance(mix.slow_sync):
                    self._effort_ns += self.random.randint(100 * MS, 2 * SECOND)
                if mix.disk_errors and self.chance(mix.disk_errors):
                    self.world.is_disk_faulty = True
                    raise disk_error()

    def chance(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    # ---- time ----

    def now_ns(self) -> int:
        now_ns = self.world.scheduler.now_ns + self._effort_ns
        return self._offset_ns + now_ns * self._ppm // PPM

    def _arm(self) -> None:
        """The driver is woken when it asked to be."""
        deadline_ns = self._deadline_ns()
        if deadline_ns is None:
            return
        scheduler = self.world.scheduler
        at_ns = -((self._offset_ns - deadline_ns) * PPM // self._ppm)
        at_ns = max(at_ns, scheduler.now_ns + 1)
        if not self._alarms or at_ns < self._alarms[-1]:
            self._alarms.append(at_ns)
            scheduler.at(at_ns, self._step_of, self.life, self._wake, at_ns)

    def _deadline_ns(self) -> int | None:
        """When one of the drivers is to be woken."""
        earliest = self.traffic.deadline_ns()
        if self.catcher is not None:
            its = self.catcher.deadline_ns()
            earliest = its if earliest is None or its is None else min(earliest, its)
            if self.catcher.is_paused:
                return earliest
        mine = self.driver.deadline_ns()
        return mine if earliest is None else earliest if mine is None else min(mine, earliest)

    def _wake(self, at_ns: int) -> None:
        if at_ns in self._alarms:
            self._alarms.remove(at_ns)
        now_ns = self.now_ns()
        due_ns = self.traffic.deadline_ns()
        if due_ns is not None and due_ns <= now_ns:
            self.traffic.on_time()
        if self.catcher is not None:
            its = self.catcher.deadline_ns()
            if its is not None and its <= now_ns:
                self.catcher.touch().on_time()
            if self.catcher.is_paused:
                return
        deadline_ns = self.driver.deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            self.driver.on_time()

    def when_deciding(self, action: Callable[..., None], *arguments: object) -> None:
        """Now, or when nobody else moves the chain any more."""
        if self.catcher is None:
            action(*arguments)
        else:
            self.catcher.when_deciding(action, *arguments)

    # ---- what comes in ----

    def hear(self, source: int, message: Message | bytes, body: bytes | None) -> None:
        """A message arrives."""
        if self.is_up and source not in self.banned:
            self.step(self._hear, source, message, body)

    def _hear(self, source: int, message: Message | bytes, body: bytes | None) -> None:
        if isinstance(message, bytes):
            try:
                message = decode_message(message)
            except InvalidMessage as refusal:
                self.punish(self.world.machines[source].peer, str(refusal))
                return
        peer = self.world.machines[source].peer
        if self.sin is not None:
            self.sin.hears(message, source)
        if self.catcher is not None:
            if isinstance(message, Status):
                self.catcher.touch().on_peer_height(peer, message.height - 1)
            if self.catcher.is_paused:
                return
        self.driver.on_message(message, peer, body)

    def stream(self, place: int, channel: Channel, payload: bytes) -> None:
        """Puts a message that is not of consensus on the wire, to whoever it is connected with."""
        target = self.world.machines[place]
        life = self.traffic.lives.get(target.peer)
        if life is None:
            return
        leaves_ns = self.world.scheduler.now_ns + self._effort_ns
        self.world.network.stream(
            self.place,
            place,
            leaves_ns,
            target.hear_stream,
            self.place,
            (self.life, life),
            channel,
            payload,
        )

    def hear_stream(
        self, source: int, lives: tuple[int, int], channel: Channel, payload: bytes
    ) -> None:
        """Such a message arrives, if the connection that it was sent on is still there."""
        is_connected = lives == (self.world.machines[source].life, self.life)
        if self.is_up and is_connected and source not in self.banned:
            self.step(self._hear_stream, source, lives[0], channel, payload)

    def _hear_stream(self, source: int, life: int, channel: Channel, payload: bytes) -> None:
        peer = self.world.machines[source].peer
        self._connect(peer, life)
        if channel != Channel.SYNC:
            self.traffic.on_frame(peer, channel, payload)
        elif self.catcher is not None:
            self.catcher.touch().on_message(peer, payload)

    def connect(self, other: Machine, lives: tuple[int, int]) -> None:
        """A connection of streams to that life of the other is there, if both still live."""
        if lives == (self.life, other.life):
            self.step(self._connect, other.peer, other.life)

    def _connect(self, peer: bytes, life: int) -> None:
        known = self.traffic.lives.get(peer)
        if known == life:
            return
        if known is not None:
            self.lose_peer(peer, known)
        self.traffic.on_up(peer, life)

    def lose_peer(self, peer: bytes, life: int) -> None:
        """The connection with that life of a peer's machine has ended."""
        if self.traffic.lives.get(peer) != life:
            return
        self.traffic.on_closed(peer)
        if self.catcher is not None:
            self.catcher.touch().on_closed(peer)

    def meet(self, other: int) -> None:
        """A connection to the peer is there."""
        self.step(self._meet, other)

    def _meet(self, other: int) -> None:
        self.driver.on_peer(self.world.machines[other].peer)

    def submit(self, raws: list[bytes]) -> None:
        """A user gives it transfers."""
        self.step(self._submit, raws)

    def _submit(self, raws: list[bytes]) -> None:
        self.traffic.submit(raws)

    def has_work(self) -> None:
        """Something waits that could go into a block."""
        self.later(0, self._work, self.chain.height + 1)

    def extend(self, body: bytes, certificate: Certificate) -> None:
        """The block of the body is the head."""
        self.chain.extend(body, certificate)
        block = decode_block(body)
        assert block is not None
        self.traffic.on_head(block)
        if self.is_honest:
            self.traffic.check()

    def committed(self, start: StartHeight) -> None:
        """The chain has a new head."""
        self.committed_silently()
        if self.catcher is not None:
            self.later(0, self.catcher.on_committed)
        if not start.has_work and self.chance(0.7):
            self.later(self.random.randint(MS, SECOND), self._work, start.height)

    def committed_silently(self) -> None:
        self.world.committed(self)

    def _work(self, height: int) -> None:
        if self.chain.height + 1 == height:
            self.when_deciding(self.driver.on_work)

    # ---- ports.Network ----

    def broadcast(self, message: Message, body: bytes | None = None) -> None:
        for place in self.peers:
            self.say(place, message, body)

    def send(self, peer: bytes, message: Message, body: bytes | None = None) -> None:
        place = self.world.place_of(peer)
        if place is not None and place != self.place:
            self.say(place, message, body)

    def punish(self, peer: bytes, reason: str) -> None:
        place = self.world.place_of(peer)
        assert place is not None, "somebody is punished who is not there"
        if not self.is_honest:
            return
        other = self.world.machines[place]
        self.world.say(self, "punishes %s: %s", other.name, reason)
        self.world.judge.punished(f"{self.name} punishes {other.name}", other.is_honest, reason)
        if self.mix.is_banning:
            self.banned.add(place)

    def say(self, place: int, message: Message, body: bytes | None) -> None:
        """To one peer, with a lie if this machine lies."""
        self.touch("send")
        if self.sin is not None:
            for lie in self.sin.says(place, message, body):
                self.post(place, *lie)
            return
        is_durable = self._log_file.is_durable and self.log.size == len(self._log_file.data)
        if isinstance(message, Vote) and not is_durable:
            raise Violation(DURABLE_FIRST, f"{self.name} says {message} before the log is")
        self.post(place, message, body)

    def post(self, place: int, message: Message | bytes, body: bytes | None = None) -> None:
        """Puts it on the wire as it is."""
        world = self.world
        if world.is_stormy and self.mix.censor and world.censors(place, message):
            return
        if body is not None and world.network.loses_body():
            body = None
        if world.counts_bytes:
            world.count_bytes(message, body)
        if (self.mix.is_encoded or self.sin is not None) and not isinstance(message, bytes):
            message = encode_message(message)  # so that a lie is at least a message
        self._carry(place, world.machines[place].hear, self.place, message, body)

    def _carry(self, place: int, deliver: Callable[..., None], *arguments: object) -> None:
        leaves_ns = self.world.scheduler.now_ns + self._effort_ns
        self.world.network.carry(self.place, place, leaves_ns, deliver, *arguments)

    # ---- ports.Signer ----

    @property
    def public_key(self) -> bytes:
        return self.key.public

    def sign(self, vote: Vote, done: Callable[[bytes, str], None]) -> None:
        self.touch("sign")

        def signed(signature: bytes, reason: str) -> None:
            if self.is_honest:
                if signature:
                    self._remember(vote)
                    self.world.judge.signed(vote, self.key.public)
                else:
                    self.world.refusals += 1
                    self.world.say(self, "does not sign %s: %s", vote, reason)
                    # A vote of a round long left, whose answer a crash took: nobody misses it.
                    is_late = vote.round < self.core.round and "something later" in reason
                    if not self.is_spoilt and not is_late:
                        raise Violation(NOT_REFUSED, f"{self.name} asked for {vote}: {reason}")
            done(signature, reason)

        self.signer.sign(vote, signed)

    def _remember(self, vote: Vote) -> None:
        self.signed_last[vote.kind] = vote
        if vote.kind == VoteKind.PRECOMMIT and not vote.is_nil:
            self.lock = vote

    # ---- ports.Watcher ----

    def entered(self, height: int, round: int, step: Step, now_ns: int) -> None:
        self.place_in_height = (height, round, step)
        self.world.say(self, "enters %d/%d %s", height, round, step.name)

    def round_failed(self, failure: RoundFailed, now_ns: int) -> None:
        self.rounds_failed += 1
        self.world.say(self, "round failed: %s", failure)

    def doppelganger(self, vote: Vote) -> None:
        self.world.say(self, "somebody else signs with its key: %s", vote)
        if self.is_honest and not self.is_spoilt:
            raise Violation(NO_DOPPELGANGER, f"{self.name}: {vote}")

    def diverged(self, height: int, block_id: Hash32, reason: str) -> None:
        if self.is_honest:
            raise Violation(VALIDITY, f"{self.name}: {height} was committed, and is {reason}")

    def decided(self, height: int, round: int, block_id: Hash32, now_ns: int) -> None:
        self.world.say(self, "decides %d in round %d: %s", height, round, block_id.hex()[:8])
