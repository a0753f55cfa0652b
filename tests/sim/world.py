"""One run: machines, their network, what breaks, and whether all goes well in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ghostchain.consensus.messages import (
    Certificate,
    Message,
    RoundCertificate,
    Vote,
    encode_message,
)
from tests.sim.checkers import AGREEMENT, LIVENESS, Judge, Violation
from tests.sim.keys import edwards_key, hash_key, verify_edwards, verify_hashes
from tests.sim.ledger import Sets
from tests.sim.market import Market
from tests.sim.mix import Mix, draw
from tests.sim.network import Network
from tests.sim.node import CHAIN_ID, Machine
from tests.sim.scheduler import MS, SECOND, Scheduler

CALM_MAX_NS = 180 * SECOND
"""Within which everybody decides enough once faults have stopped."""

EVENTS_MAX = 600_000
"""Of a run for each ten validators: more of them are a storm that feeds itself."""


@dataclass(slots=True)
class Outcome:
    """How a run ended. rule: the one that was violated, empty if none was."""

    seed: int
    rule: str = ""
    detail: str = ""
    height: int = 0
    virtual_ns: int = 0
    calm_ns: int = 0
    """From the end of faults to everybody's last wanted height."""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        return not self.rule


class World:
    """The machines of a mix and everything between them."""

    def __init__(self, mix: Mix, trace: Callable[[str], None] | None = None) -> None:
        self.mix = mix
        self.random = Random(f"world {mix.seed}")
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, self.random, mix.weather)
        make = edwards_key if mix.is_edwards else hash_key
        self.verify: Any = verify_edwards if mix.is_edwards else verify_hashes
        keys = [make(number) for number in range(mix.size + mix.spares)]
        publics = tuple(key.public for key in keys)
        self.sets = Sets(publics, mix.powers, mix.plan)
        faulty = frozenset(publics[number] for number in (*mix.sinners, *mix.twins))
        self.judge = Judge(CHAIN_ID, self.sets, faulty, self.verify)
        self.is_stormy = True
        self.is_disk_faulty = False
        self.crashes = self.pauses = self.partitions = self.refusals = self.synced = 0
        self.counts_bytes = False
        self.bytes_sent: Counter[str] = Counter()
        self._trace = trace
        self._goal = 0
        self._calm_from_ns = 0
        self._behind: set[int] = set()
        self._censored: dict[tuple[int, int, int, int], bool] = {}
        self.machines: list[Machine] = []
        numbers = [*range(mix.size + mix.spares), *mix.twins]
        for place, number in enumerate(numbers):
            sin = "twin" if number in mix.twins else mix.sinners.get(number, "")
            self.machines.append(Machine(self, place, number, keys[number], sin))
        for machine in self.machines:
            machine.peers = [place for place in range(len(numbers)) if place != machine.place]
        self.market = Market(self)
        self._places = {machine.peer: machine.place for machine in self.machines}

    def place_of(self, peer: bytes) -> int | None:
        return self._places.get(peer)

    # ---- the run ----

    def run(self) -> Outcome:
        """From the first start to the end of what the seed holds."""
        mix, scheduler = self.mix, self.scheduler
        outcome = Outcome(mix.seed)
        for machine in self.machines:
            late_ns = self.random.randint(0, 3 * SECOND if mix.is_cold else 50 * MS)
            if machine.place != mix.latecomer:
                scheduler.at(late_ns, machine.start)
            if machine.sin is not None:
                scheduler.after(machine.sin.idle_ns, self._idle, machine)
        for every_ns, fault in (
            (mix.crash_every_ns, self._crash),
            (mix.pause_every_ns, self._pause),
            (mix.partition_every_ns, self._partition),
        ):
            if every_ns:
                self._again(every_ns, fault)
        self.market.open()
        scheduler.at(mix.storm_ns, self._calm)
        events_max = EVENTS_MAX * max(mix.size // 10, 1) ** 2
        try:
            is_done = scheduler.run(mix.storm_ns + CALM_MAX_NS, self._is_done, events_max)
            if not is_done:
                self._blame()
            self._check_bounds()
        except Violation as violation:
            outcome.rule, outcome.detail = violation.rule, str(violation)
            self.say(None, "VIOLATION of %s", violation)
        outcome.height = self.judge.chain.height
        outcome.virtual_ns = scheduler.now_ns
        outcome.calm_ns = scheduler.now_ns - self._calm_from_ns
        outcome.counts.update(self._counts())
        return outcome

    def _check_bounds(self) -> None:
        for machine in self.machines:
            if machine.is_honest:
                machine.check_bounds()

    def _is_done(self) -> bool:
        return not self._behind and not self.is_stormy and not self.market.probes

    def _blame(self) -> None:
        if self.market.probes and not self._behind:
            raise Violation(LIVENESS, f"{self.market.story()} is in no block")
        behind = [
            f"{machine.name} at {machine.place_in_height}"
            for machine in self.machines
            if machine.place in self._behind
        ]
        raise Violation(
            LIVENESS,
            f"{', '.join(behind)}; goal {self._goal}, after {self.scheduler.events} events"
            f" and {(self.scheduler.now_ns - self._calm_from_ns) / SECOND:.1f} s of calm",
        )

    def _counts(self) -> dict[str, int]:
        return {
            "runs": 1,
            "events": self.scheduler.events,
            "messages": self.network.carried,
            "messages lost": self.network.lost,
            "messages doubled": self.network.doubled,
            "crashes": self.crashes,
            "pauses": self.pauses,
            "partitions": self.partitions,
            "signatures of honest nodes": self.judge.votes,
            "refusals to sign": self.refusals,
            "punishments": self.judge.punishments,
            "evidence": self.judge.evidence,
            "blocks": self.judge.chain.height,
            "blocks caught up": self.synced,
            "transfers": self.judge.chain.transfers,
            "failed rounds": sum(machine.rounds_failed for machine in self.machines),
        }

    def committed(self, machine: Machine) -> None:
        """A machine has a new head."""
        if not machine.is_honest:
            return
        height = machine.chain.height
        self.market.look()
        if machine.chain.states[height] != self.judge.chain.states[height]:
            raise Violation(AGREEMENT, f"height {height}: another state at {machine.name}")
        if height >= self._goal:
            self._behind.discard(machine.place)

    def greet(self, machine: Machine) -> None:
        """Everybody that can be reached meets a machine that started."""
        for place in machine.peers:
            other = self.machines[place]
            if other.is_up and not self._is_blocked(machine.place, place):
                self.scheduler.after(self.random.randint(MS, 50 * MS), machine.meet, place)
                self.scheduler.after(self.random.randint(MS, 50 * MS), other.meet, machine.place)
            if other.is_up:
                delay_ns = self.random.randint(MS, 50 * MS)
                lives = machine.life, other.life
                self.scheduler.after(delay_ns, machine.connect, other, lives)
                self.scheduler.after(delay_ns, other.connect, machine, lives[::-1])

    def _is_blocked(self, one: int, other: int) -> bool:
        blocked = self.network.blocked
        return (one, other) in blocked or (other, one) in blocked

    def censors(self, place: int, message: Message | bytes) -> bool:
        """Whether a machine does not get to hear such messages at all while the storm lasts."""
        if isinstance(message, Vote):
            what = (place, message.height, message.round, message.kind)
        elif isinstance(message, (Certificate, RoundCertificate)):
            what = (place, message.height, message.round, 0)
        else:
            return False
        is_censored = self._censored.get(what)
        if is_censored is None:
            is_censored = self._censored[what] = self.random.random() < self.mix.censor
        return is_censored

    # ---- faults ----

    def _again(self, every_ns: int, fault: Callable[[], None]) -> None:
        delay_ns = int(self.random.expovariate(1 / every_ns))
        if self.scheduler.now_ns + delay_ns < self.mix.storm_ns:
            self.scheduler.after(delay_ns, self._strike, every_ns, fault)

    def _strike(self, every_ns: int, fault: Callable[[], None]) -> None:
        fault()
        self._again(every_ns, fault)

    def _crash(self) -> None:
        machine = self.random.choice(self.machines)
        if self.random.random() < 0.3:
            machine.die("it is switched off", self.random.randint(10 * MS, 2 * SECOND))
        else:
            machine.fuse = self.random.randint(1, 40)

    def _pause(self) -> None:
        machine = self.random.choice(self.machines)
        if machine.is_up:
            self.pauses += 1
            until_ns = self.scheduler.now_ns + self.random.randint(50 * MS, 2 * SECOND)
            machine.busy_until_ns = max(machine.busy_until_ns, until_ns)
            self.say(machine, "pauses")

    def _partition(self) -> None:
        """Some cannot reach others for a while; in one direction, or both."""
        self.partitions += 1
        places = list(range(len(self.machines)))
        self.random.shuffle(places)
        cut = self.random.randint(1, len(places) - 1)
        here, there = places[:cut], places[cut:]
        links = {(one, other) for one in here for other in there}
        if self.random.random() >= self.mix.one_way:
            links |= {(other, one) for one, other in links}
        if self.random.random() < 0.2:
            slow_ns = self.random.randint(100 * MS, SECOND)
            self.network.slow = dict.fromkeys(links, slow_ns)
            self.say(None, "slow links from %s", here)
            return
        self.network.blocked = links
        self.say(None, "partition: %s from %s", here, there)
        self.scheduler.after(self.random.randint(100 * MS, 3 * SECOND), self._heal)

    def _heal(self) -> None:
        self.network.blocked = set()
        self.network.slow = {}
        self.say(None, "the network heals")

    def _idle(self, machine: Machine) -> None:
        assert machine.sin is not None
        if machine.is_up:
            machine.step(machine.sin.idles)
        self.scheduler.after(machine.sin.idle_ns, self._idle, machine)

    def _calm(self) -> None:
        """Faults stop: from here on everything honest works, and delays are bounded."""
        self.is_stormy = False
        self._check_bounds()
        self._calm_from_ns = self.scheduler.now_ns
        weather = self.network.weather
        weather.loss = weather.duplication = weather.body_loss = weather.late = 0.0
        weather.delay_mean_ns = min(weather.delay_mean_ns, 40 * MS)
        self._heal()
        self._goal = self.judge.chain.height + self.mix.heights
        for machine in self.machines:
            machine.fuse = 0
            if machine.is_up:
                machine.step(machine.check_replay)
            machine.hurry()
            machine.start()
            if machine.is_honest and machine.number != self.mix.spoilt:
                self._behind.add(machine.place)
        self.market.probe()
        self.say(None, "faults stop; everybody is to reach height %d", self._goal)

    # ---- what is told ----

    def say(self, machine: Machine | None, text: str, *arguments: object) -> None:
        if self._trace is not None:
            name = machine.name if machine else "world"
            time = self.scheduler.now_ns / SECOND
            self._trace(f"{time:10.6f} {name:16} {text % arguments}")

    def count_bytes(self, message: Message | bytes, body: bytes | None) -> None:
        data = message if isinstance(message, bytes) else encode_message(message)
        name = "bytes" if isinstance(message, bytes) else type(message).__name__
        self.bytes_sent[name] += len(data)
        self.bytes_sent["bodies"] += len(body or b"")


def run_seed(seed: int, kind: str = "mixed", trace: Callable[[str], None] | None = None) -> Outcome:
    """What becomes of a seed."""
    return World(draw(seed, kind), trace).run()
