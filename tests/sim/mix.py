"""What a seed draws: which network, which faults, how often. Swarm style: most have few of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.sim.network import Weather
from tests.sim.scheduler import MS, SECOND

SIZES = ((4, 0.901), (7, 0.07), (10, 0.025), (31, 0.004))
"""Validators of a network, and the share of seeds that have so many."""

DUELS = 0.05
"""Share of the seeds that are all about locks."""

SINS = (
    "equivocator",
    "withholder",
    "nuller",
    "forger",
    "flooder",
    "outdated",
    "liar",
    "amnesiac",
    "spoiler",
)
"""Names of the classes of sins.py, but for Twins."""


@dataclass(slots=True)
class Mix:
    """One network and its faults. Times in nanoseconds of the world; chances are of 1."""

    seed: int
    size: int = 4
    powers: dict[int, int] = field(default_factory=dict)
    spares: int = 0
    """Nodes that follow and may become validators."""
    sinners: dict[int, str] = field(default_factory=dict)
    twins: tuple[int, ...] = ()
    """Validators of which two machines run, with one key and unmodified code."""
    plan: dict[int, tuple[int, int]] = field(default_factory=dict)
    """What the block of a height changes in the validator set."""
    weather: Weather = field(default_factory=lambda: Weather(MS, 10 * MS, 0.0, 0.0, 0.0, 0.0))
    storm_ns: int = 4 * SECOND
    """Faults stop then."""
    heights: int = 3
    """To decide by each honest node after faults have stopped."""
    crash_every_ns: int = 0
    """Mean time between crashes anywhere; 0: none. So for the next two."""
    pause_every_ns: int = 0
    partition_every_ns: int = 0
    one_way: float = 0.0
    censor: float = 0.0
    """Chance that all votes of one kind, height and round are kept from one machine; so locks and
    polkas come to be known by some only."""
    skew_ns: int = 0
    drift: float = 0.0
    jump_ns: int = 0
    """How far a clock may stand elsewhere after a restart."""
    sync_ns: int = 100_000
    slow_sync: float = 0.0
    disk_errors: float = 0.0
    flips: float = 0.0
    """Chance that a crash spoils one slot of a high-water mark."""
    spoilt: int | None = None
    """A validator of so little power that the others decide without it, whose log may lose at a
    crash what was synced."""
    unbuildable: float = 0.0
    unsound: float = 0.0
    """Chance of a block of a sinner to be invalid."""
    trade_every_ns: int = 0
    """Mean time between handfuls of transfers that users give to some machine; 0: none."""
    busy: float = 1.0
    """Chance that something waits to go into the next block."""
    interval_ns: int = 400 * MS
    hurry: float = 1.0
    """What timeouts are multiplied by: short ones make many rounds of a height."""
    is_encoded: bool = False
    """Messages cross the wire as bytes."""
    is_edwards: bool = False
    log_bytes: int = 32 << 20
    """Of the log of one height, before it is written anew."""
    is_guarded: bool = False
    """Machines watch for their own key before they sign."""
    is_syncing: bool = False
    """Machines that are behind catch up by blocks, too."""
    latecomer: int | None = None
    """A place whose machine starts when faults stop."""
    is_instant: bool = False
    """The application answers before the call returns."""
    is_cold: bool = False
    """Nodes come one after the other at the start, not all at once."""
    is_banning: bool = False
    """Whoever is punished is heard no more by whom it wronged."""


def draw(seed: int, kind: str = "mixed") -> Mix:
    """The mix of a seed. kind: mixed, twins, duel, runt, spoilt, or trade."""
    random = Random(f"{kind} {seed}")
    mix = Mix(seed)
    mix.size = random.choice((4, 4, 4, 7)) if kind == "twins" else _pick(random, SIZES)
    _draw_powers(random, mix)
    _draw_faulty(random, mix, kind)
    _draw_plan(random, mix)
    _draw_weather(random, mix)
    _draw_breakage(random, mix)
    if random.random() < 0.1 or kind == "spoilt":
        _draw_spoilt(random, mix)
    mix.is_encoded = random.random() < 0.1
    mix.is_edwards = mix.size == 4 and random.random() < 0.01
    if random.random() < 0.3:
        mix.log_bytes = random.randint(500, 8_000)
    mix.is_guarded = random.random() < 0.4
    mix.is_syncing = random.random() < 0.35
    if random.random() < (0.3 if mix.is_syncing else 0.05):
        mix.latecomer = random.randrange(mix.size + mix.spares)
    mix.is_instant = random.random() < 0.2
    mix.hurry = random.choice((1.0, 1.0, 0.2))
    mix.is_cold = random.random() < 0.1
    mix.is_banning = random.random() < 0.5
    mix.busy = random.choice((1.0, 1.0, 0.9, 0.5))
    mix.interval_ns = random.choice((50, 300, 600, 1000)) * MS
    mix.storm_ns = int(mix.interval_ns * random.uniform(3, 7)) + int(
        random.uniform(0.5, 3) * SECOND
    )
    if mix.size > 10:
        mix.storm_ns = min(mix.storm_ns, 3 * SECOND)
        mix.interval_ns = 1000 * MS
    mix.unbuildable = random.choice((0.0, 0.0, 0.0, 0.1))
    if kind == "duel" or (kind == "mixed" and random.random() < DUELS):
        _draw_duel(random, mix)
    if mix.size <= 10:
        mix.trade_every_ns = random.choice((0, 0, 500 * MS, 2 * SECOND))
    if kind == "trade" and mix.size <= 10:
        mix.trade_every_ns = 300 * MS
        liars = ("spoiler", "forger", "withholder")
        mix.sinners = {number: random.choice(liars) for number in mix.sinners}
    if kind == "spoilt":
        mix.crash_every_ns = mix.crash_every_ns or SECOND
    if kind == "runt":
        _draw_duel(random, mix)
        _draw_runt(random, mix)
    return mix


def _draw_duel(random: Random, mix: Mix) -> None:
    """Four equals, one of whom votes for everything, and votes that reach a part of them: heights
    of many rounds, with polkas for one block and another, and locks against each other."""
    mix.size, mix.spares, mix.plan, mix.twins, mix.spoilt = 4, 0, {}, (), None
    mix.powers = dict.fromkeys(range(4), 1)
    mix.sinners = {random.randrange(4): "equivocator"}
    mix.hurry, mix.interval_ns = 0.2, 50 * MS
    mix.censor = random.choice((0.3, 0.5))
    mix.weather.delay_mean_ns = 10 * MS
    mix.weather.late = mix.weather.loss = mix.weather.body_loss = 0.0
    mix.partition_every_ns = mix.pause_every_ns = 0
    mix.crash_every_ns = random.choice((0, 0, 2 * SECOND))
    mix.storm_ns = 10 * SECOND


def _draw_runt(random: Random, mix: Mix) -> None:
    """A duel where one has so little power that its turn hardly comes, and another is a forger that
    is soon heard no more: so a quorum takes the three others, and what the little one is locked on
    must be proposed by them."""
    runt, forger = random.sample(range(4), 2)
    mix.powers = {number: 1 if number == runt else 100 for number in range(4)}
    mix.sinners = {forger: "forger"}
    mix.is_banning = True
    mix.weather.delay_mean_ns = 40 * MS
    mix.censor = 0.2
    mix.storm_ns = 3 * SECOND


def _pick(random: Random, shares: tuple[tuple[int, float], ...]) -> int:
    value = random.random()
    for choice, share in shares:
        value -= share
        if value < 0:
            return choice
    return shares[0][0]


def _draw_powers(random: Random, mix: Mix) -> None:
    shape = random.random()
    for number in range(mix.size):
        if shape < 0.4:
            mix.powers[number] = 1
        elif shape < 0.8:
            mix.powers[number] = random.randint(1, 10)
        else:
            mix.powers[number] = random.choice((1, 1, 1, 100, 10**7))
    mix.spares = random.choice((0, 0, 1)) if mix.size < 31 else 0


def _draw_faulty(random: Random, mix: Mix, kind: str) -> None:
    """Sinners and twins of less than a third of the power together."""
    wanted = 1 if kind == "twins" else random.choice((0, 0, 1, 1, 1, 2, 3))
    total = sum(mix.powers.values())
    power = 0
    order = list(range(mix.size))
    random.shuffle(order)
    twins = []
    for number in order:
        if not wanted:
            break
        if 3 * (power + mix.powers[number]) >= total:
            continue
        power += mix.powers[number]
        wanted -= 1
        if kind == "twins" or random.random() < 0.1:
            twins.append(number)
        else:
            mix.sinners[number] = random.choice(SINS)
    mix.twins = tuple(twins)
    mix.unsound = random.choice((0.0, 0.5)) if mix.sinners else 0.0


def _draw_spoilt(random: Random, mix: Mix) -> None:
    power = sum(mix.powers[number] for number in (*mix.sinners, *mix.twins))
    number = random.randrange(mix.size)
    is_small = 3 * (power + mix.powers[number]) < sum(mix.powers.values())
    if number not in mix.sinners and number not in mix.twins and is_small and not mix.plan:
        mix.spoilt = number


def _draw_plan(random: Random, mix: Mix) -> None:
    """Changes of the set that leave the faulty less than a third of the power at every height."""
    if random.random() < 0.5:
        return
    powers = dict(mix.powers)
    faulty = {*mix.sinners, *mix.twins}
    for height in range(1, 13):
        if random.random() < 0.6:
            continue
        number = random.randrange(mix.size + mix.spares)
        power = random.choice((0, 1, random.randint(1, 10)))
        changed = {**powers, number: power}
        changed = {one: value for one, value in changed.items() if value}
        evil = sum(value for one, value in changed.items() if one in faulty)
        if len(changed) >= 3 and 3 * evil < sum(changed.values()) and changed != powers:
            mix.plan[height] = (number, power)
            powers = changed


def _draw_weather(random: Random, mix: Mix) -> None:
    weather = mix.weather
    weather.delay_min_ns = random.choice((100_000, MS, 20 * MS))
    weather.delay_mean_ns = random.choice((MS, 10 * MS, 40 * MS, 150 * MS))
    weather.loss = random.choice((0.0, 0.0, 0.02, 0.1, 0.3))
    weather.duplication = random.choice((0.0, 0.0, 0.05, 0.3))
    weather.body_loss = random.choice((0.0, 0.0, 0.1, 0.6))
    weather.late = random.choice((0.0, 0.0, 0.02, 0.1))


def _draw_breakage(random: Random, mix: Mix) -> None:
    def now_and_then(chance: float, low_ns: int, high_ns: int) -> int:
        return random.randint(low_ns, high_ns) if random.random() < chance else 0

    mix.crash_every_ns = now_and_then(0.5, 300 * MS, 3 * SECOND)
    mix.pause_every_ns = now_and_then(0.2, 500 * MS, 3 * SECOND)
    mix.partition_every_ns = now_and_then(0.4, 500 * MS, 3 * SECOND)
    mix.one_way = random.choice((0.0, 0.3, 1.0))
    mix.censor = random.choice((0.0, 0.0, 0.2, 0.4, 0.6))
    mix.skew_ns = random.choice((0, 0, SECOND, 1000 * SECOND))
    mix.drift = random.choice((0.0, 0.0, 0.01, 0.1))
    mix.jump_ns = random.choice((0, 0, 0, 10 * SECOND, 100_000 * SECOND))
    mix.sync_ns = random.choice((0, 100_000, 5 * MS))
    mix.slow_sync = random.choice((0.0, 0.0, 0.02))
    mix.disk_errors = random.choice((0.0, 0.0, 0.0, 0.001))
    mix.flips = random.choice((0.0, 0.0, 0.3))
