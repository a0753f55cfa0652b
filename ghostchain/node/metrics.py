"""What a node measures, for Prometheus: one registry a node, filled by whoever knows.

Two kinds of numbers. What happens is counted where it happens (`Metrics.observe_*`, `count_*`; each
a few microseconds, on the event loop or the writer thread). What merely is (peers, pool, bytes on
disk) is read when somebody asks: `watch` takes a function that gives samples, called once a scrape.

Names begin with `ghost_`, units are in the names. Labels come from sets that are bounded: steps,
channels, reasons, and the operators of validators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ghostchain import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STEP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WORK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
FLUSH_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5)
OPERATORS_MAX = 1_000
"""Validators with a series of their own; those beyond share the label `others`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A number that is read when it is asked for. labels: the same names in all samples of a name.

    counts: it only grows (a counter); otherwise a gauge.
    """

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    counts: bool = False


class _Readings(Collector):
    """The samples of all watched functions, as families of Prometheus."""

    def __init__(self) -> None:
        self.sources: list[Callable[[], Iterable[Sample]]] = []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for source in self.sources:
            for sample in source():
                family = families.get(sample.name)
                if family is None:
                    kind = CounterMetricFamily if sample.counts else GaugeMetricFamily
                    names = [name for name, _ in sample.labels]
                    family = kind(sample.name, sample.help, labels=names)
                    families[sample.name] = family
                family.add_metric([value for _, value in sample.labels], sample.value)
        yield from families.values()


class Metrics:
    """The measures of one node. Threads: any; prometheus-client locks each number."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._readings = _Readings()
        self.registry.register(self._readings)
        ProcessCollector(namespace="ghost", registry=self.registry)
        self._define_consensus()
        self._define_work()

    def _define_consensus(self) -> None:
        registry = self.registry
        Gauge("ghost_build", "The version that runs.", ("version",), registry=registry).labels(
            __version__
        ).set(1)
        self.height = Gauge("ghost_height", "The latest final block.", registry=registry)
        self.deciding = Gauge("ghost_deciding_height", "Being decided now.", registry=registry)
        self.round = Gauge("ghost_round", "The round of that height.", registry=registry)
        self.is_validating = Gauge(
            "ghost_validating", "1 when this node votes at that height.", registry=registry
        )
        self.step = Histogram(
            "ghost_step_seconds",
            "How long a step of consensus lasted.",
            ("step",),
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self.decision = Histogram(
            "ghost_decision_seconds",
            "From a height's first round to its decision.",
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self.interval = Histogram(
            "ghost_block_interval_seconds",
            "From one decision to the next.",
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self.failed_rounds = Counter(
            "ghost_failed_rounds",
            "Rounds that ended without a decision.",
            ("reason",),
            registry=registry,
        )
        self.votes = Counter(
            "ghost_votes_received", "Votes from peers, by kind.", ("kind",), registry=registry
        )
        self.missed = Counter(
            "ghost_missed_blocks",
            "Blocks whose certificate lacks the validator.",
            ("operator",),
            registry=registry,
        )
        self.punished = Counter(
            "ghost_punished", "Peers that said what no honest one says.", ("reason",),
            registry=registry,
        )  # fmt: skip
        self.log_flush = Histogram(
            "ghost_wal_flush_seconds",
            "How long the consensus log took to become durable.",
            buckets=FLUSH_BUCKETS,
            registry=registry,
        )
        self._operators: set[str] = set()

    def _define_work(self) -> None:
        registry = self.registry
        self.block_work = Histogram(
            "ghost_block_seconds",
            "How long a block took to build, validate or commit.",
            ("work",),
            buckets=WORK_BUCKETS,
            registry=registry,
        )
        self.transactions = Counter(
            "ghost_transactions", "Transactions in final blocks.", registry=registry
        )
        self.gas = Counter("ghost_gas", "Gas used in final blocks.", registry=registry)
        self.execution_speed = Gauge(
            "ghost_execution_mgas_per_second",
            "Of the latest block with transactions that ran here.",
            registry=registry,
        )
        self.loop_lag = Histogram(
            "ghost_loop_lag_seconds",
            "How late the event loop was to a moment it was asked for.",
            buckets=WORK_BUCKETS,
            registry=registry,
        )
        self.refused_transactions = Counter(
            "ghost_refused_transactions",
            "Transactions from peers that the pool refused.",
            registry=registry,
        )

    def watch(self, source: Callable[[], Iterable[Sample]]) -> None:
        """source is asked at every scrape, on the event loop: it must not wait for anything."""
        self._readings.sources.append(source)

    def count_missed(self, operator: bytes) -> None:
        """A validator's precommit is not in a commit certificate."""
        name = "0x" + operator.hex()
        if name not in self._operators:
            if len(self._operators) >= OPERATORS_MAX:
                name = "others"
            self._operators.add(name)
        self.missed.labels(name).inc()

    def observe_block(self, transactions: int, gas: int) -> None:
        """A block is final."""
        self.transactions.inc(transactions)
        self.gas.inc(gas)

    def observe_execution(self, gas: int, seconds: float) -> None:
        """A block with transactions was run."""
        if gas and seconds > 0:
            self.execution_speed.set(gas / seconds / 1e6)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format. Cost: about a millisecond."""
        return generate_latest(self.registry)
