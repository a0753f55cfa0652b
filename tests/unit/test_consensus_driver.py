"""The driver: logged before applied, durable before said, replayed to the same state, dead after a
failed write, and never re-entered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostchain.consensus.core import Consensus
from ghostchain.consensus.driver import BODIES_MAX, Driver
from ghostchain.consensus.effects import Built, Effect, Input, Resume, StartHeight
from ghostchain.consensus.messages import Message, Status, Step, Vote
from ghostchain.consensus.records import BlockRecord, decode_record, encode_record
from ghostchain.encoding.votes import VoteKind
from ghostchain.primitives.types import Hash32
from tests.unit.consensus_cluster import (
    CHAIN_ID,
    MILLISECOND,
    PARAMETERS,
    SECOND,
    Cluster,
    MemoryLog,
    Node,
    key_of,
    signed,
    verify,
)
from tests.unit.consensus_subject import NIL, PRECOMMIT, PREVOTE, PROPOSAL, A, B, peer_of


class Alone:
    """One node of a cluster of four whose others are the test."""

    def __init__(self, index: int = 1) -> None:
        self.cluster = Cluster([1, 1, 1, 1])
        self.node = self.cluster.nodes[index]
        self.cluster.start([index])

    def vote(
        self, kind: VoteKind, validator: int, block_id: Hash32, round: int = 0, height: int = 1
    ) -> Vote:
        return signed(Vote(kind, height, round, block_id, -1, validator), key_of(validator))

    def hear(self, *votes: Vote, body: bytes | None = None) -> None:
        for vote in votes:
            self.node.driver.on_message(vote, peer_of(vote.validator), body)
        self.node.watch_time()

    def lock_on_a(self) -> None:
        self.hear(self.vote(PROPOSAL, 2, A))
        self.hear(*(self.vote(PREVOTE, index, A) for index in (0, 2)))

    def restart(self) -> None:
        self.node.crash()
        self.node.start()

    @property
    def core(self) -> Consensus:
        return self.node.driver.core


def tell(core: Consensus, records: list[bytes]) -> None:
    for record in records:
        now_ns, entry = decode_record(record)
        if not isinstance(entry, BlockRecord):
            core.apply(entry, now_ns=now_ns)


# ---- the log before everything ----


def test_an_input_is_logged_before_it_is_applied_and_durable_before_it_is_said() -> None:
    alone = Alone()
    order: list[str] = []
    node = alone.node
    log, core = node.log, alone.core

    def noting(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object, **named: object) -> object:
            order.append(name)
            return call(*arguments, **named)

        return noted

    log.append = noting("append", log.append)  # type: ignore[method-assign,assignment]
    log.flush = noting("flush", log.flush)  # type: ignore[method-assign,assignment]
    core.apply = noting("apply", core.apply)  # type: ignore[method-assign,assignment]
    node.signer.sign = noting("sign", node.signer.sign)  # type: ignore[method-assign,assignment]
    node.broadcast = noting("say", node.broadcast)  # type: ignore[method-assign,assignment]
    alone.hear(alone.vote(PROPOSAL, 2, A))
    heard, judged, answer = ["append", "apply"], ["append", "append", "apply"], ["append", "apply"]
    assert order == [*heard, *judged, "flush", "sign", *answer, "flush", "say"]


def test_an_idle_node_does_not_wake_the_disk_to_say_where_it_is() -> None:
    alone = Alone()
    alone.node.chain.has_work = False
    alone.node.driver.on_synced(StartHeight(2, alone.cluster.validators))
    alone.node.watch_time()
    flushes, said = alone.node.log.flushes, len(alone.node.said)
    alone.cluster.world.run_for(5_500 * MILLISECOND)
    assert len(alone.node.said) - said == 5
    assert alone.node.log.flushes == flushes


def test_what_changes_nothing_is_not_logged() -> None:
    alone = Alone()
    alone.lock_on_a()
    records = len(alone.node.log.durable) + len(alone.node.log.volatile)
    alone.lock_on_a()
    alone.node.driver.on_message(Status(1, 0, Step.PREVOTE), peer_of(0))
    alone.hear(alone.vote(PREVOTE, 0, A, height=2), alone.vote(PREVOTE, 0, A, height=9))
    alone.node.driver.on_work()
    assert len(alone.node.log.durable) + len(alone.node.log.volatile) == records


def test_the_log_holds_one_height() -> None:
    cluster = Cluster([1, 1, 1, 1])
    cluster.start()
    cluster.run_to(5, range(4))
    for node in cluster.nodes:
        records = [decode_record(record)[1] for record in node.log.durable + node.log.volatile]
        assert isinstance(records[0], StartHeight)
        assert records[0].height == node.driver.core.height
        assert sum(isinstance(record, StartHeight) for record in records) == 1


# ---- a restart ----


def test_a_lock_survives_a_restart() -> None:
    """And what it had signed is neither forgotten nor signed otherwise."""
    alone = Alone()
    alone.lock_on_a()
    assert alone.core.locked == (A, 0)
    before = alone.core.digest()
    alone.restart()
    assert alone.core.digest() == before
    assert A in alone.node.chain.restored
    signed_before = dict(alone.node.signer.signed)
    alone.hear(*(alone.vote(PRECOMMIT, index, NIL) for index in (0, 3)))
    alone.cluster.world.run_for(600 * MILLISECOND)
    assert alone.core.round == 1
    alone.hear(alone.vote(PROPOSAL, 0, B, 1))
    assert alone.node.signer.signed[(1, 1, PREVOTE)].block_id == NIL
    assert signed_before.items() <= alone.node.signer.signed.items()


def test_a_vote_that_was_signed_but_not_logged_is_signed_again_the_same() -> None:
    """The crash comes between the signer's answer and the log."""
    alone = Alone()
    alone.hear(alone.vote(PROPOSAL, 2, A))
    log = alone.node.log
    assert decode_record(log.durable[-1])[1].vote.kind == PREVOTE  # type: ignore[union-attr]
    log.durable.pop()
    said = len(alone.node.said)
    alone.restart()
    assert alone.vote(PREVOTE, 1, A) in alone.node.said[said:]


def test_a_decision_that_was_not_committed_is_committed_after_the_restart() -> None:
    alone = Alone()
    alone.lock_on_a()
    commit = alone.node.chain.commit
    alone.node.chain.commit = lambda *arguments: None  # type: ignore[method-assign,assignment]
    alone.hear(*(alone.vote(PRECOMMIT, index, A) for index in (0, 2)))
    assert alone.node.height == 0
    alone.node.chain.commit = commit  # type: ignore[method-assign]
    alone.node.log.flush()
    alone.restart()
    assert alone.node.height == 1
    assert alone.core.height == 2


def test_a_block_being_built_or_judged_is_asked_for_again() -> None:
    for index in (1, 2):
        alone = Alone(index)
        alone.node.chain.latency_ns = 10 * MILLISECOND
        alone.restart()
        if index == 1:
            alone.hear(alone.vote(PROPOSAL, 2, A))
            alone.node.log.flush()
        alone.restart()
        alone.cluster.world.run_for(20 * MILLISECOND)
        assert (1, 0, PREVOTE) in alone.node.signer.signed, index


def test_time_goes_on_where_the_log_ended() -> None:
    """A clock that starts from zero again, as monotonic clocks do: no timeout is lost or early."""
    alone = Alone()
    alone.cluster.world.run_for(500 * MILLISECOND)
    alone.hear(alone.vote(PREVOTE, 0, NIL))
    alone.node.log.flush()
    alone.node.crash()
    alone.cluster.world.now_ns_ = 7
    alone.node.start()
    deadline_ns = alone.node.driver.deadline_ns()
    assert deadline_ns is not None
    assert 0 < deadline_ns - 7 <= 500 * MILLISECOND


def test_a_log_of_a_height_that_is_final_is_begun_anew() -> None:
    alone = Alone()
    alone.lock_on_a()
    alone.node.log.flush()
    durable = list(alone.node.log.durable)
    alone.hear(*(alone.vote(PRECOMMIT, index, A) for index in (0, 2)))
    assert alone.node.height == 1
    alone.node.log.durable = durable
    alone.restart()
    assert (alone.core.height, alone.core.locked) == (2, None)


SEEDS = st.integers(0, 2**32)


def stormy(seed: int, validators: int = 4) -> Cluster:
    """A cluster that loses, delays and reorders, and builds invalid blocks at times."""
    cluster = Cluster([1 + seed % 3] * validators, seed=seed)
    chance = cluster.world.chance
    cluster.jitter_ns = chance.choice([0, 30, 300]) * MILLISECOND
    cluster.log_bytes_max = chance.choice([500, 5_000, cluster.log_bytes_max])
    loss = chance.choice([0, 0.05, 0.3])
    cluster.hears = lambda source, target, message: chance.random() >= loss
    for node in cluster.nodes:
        node.chain.latency_ns = chance.choice([0, 0, 40 * MILLISECOND])
        node.chain.judge = lambda block_id, round: round is None or block_id[0] % 8 > 0
    return cluster


class Diary:
    """Of one core: its digest after as many logged inputs of the height. Others must not change
    it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.digests: dict[int, Hash32] = {}
        core = node.driver.core
        apply = core.apply

        def noted(input: Input, *, now_ns: int) -> tuple[object, ...]:
            if isinstance(input, (StartHeight, Resume)):
                self.digests = {}
            effects = apply(input, now_ns=now_ns)
            digest = core.digest()
            assert self.digests.setdefault(self.logged, digest) == digest, input
            return effects

        core.apply = noted  # type: ignore[method-assign,assignment]

    @property
    def records(self) -> list[bytes]:
        return self.node.log.durable + self.node.log.volatile

    @property
    def logged(self) -> int:
        return sum(not isinstance(decode_record(each)[1], BlockRecord) for each in self.records)

    def check(self) -> int:
        """A core that is told the log is, after each input, as this one was. Returns: compared."""
        core = Consensus(CHAIN_ID, self.node.signer.key, PARAMETERS, verify)
        told = compared = 0
        for record in self.records:
            now_ns, entry = decode_record(record)
            if isinstance(entry, BlockRecord):
                continue
            core.apply(entry, now_ns=now_ns)
            told += 1
            if told in self.digests:
                assert core.digest() == self.digests[told], entry
                compared += 1
        return compared


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_every_prefix_of_a_log_gives_the_state_that_was(seed: int) -> None:
    """At whatever moment the log ends, a restart stands where the node stood."""
    cluster = stormy(seed)
    cluster.start()
    diaries = [Diary(node) for node in cluster.nodes]
    cluster.world.run_for(cluster.world.chance.randrange(1, 12_000) * MILLISECOND)
    assert sum(diary.check() for diary in diaries) > 0


def stuck(rounds: int, log_bytes_max: int) -> Alone:
    """Locked on A in round 0, and then as many rounds with a new proposal and no decision."""
    alone = Alone()
    alone.cluster.log_bytes_max = log_bytes_max
    alone.restart()
    alone.lock_on_a()
    alone.hear(*(alone.vote(PRECOMMIT, index, NIL) for index in (0, 3)))
    for round in range(1, rounds):
        proposer = alone.cluster.validators.proposer(1, round)
        name = Hash32(round.to_bytes(32, "big"))
        alone.hear(*(alone.vote(PREVOTE, index, NIL, round) for index in (0, 2)))
        if proposer != 1:
            alone.hear(alone.vote(PROPOSAL, proposer, name, round))
        alone.hear(*(alone.vote(PRECOMMIT, index, NIL, round) for index in (0, 2, 3)))
        alone.cluster.world.run_for(5 * SECOND)
    return alone


def test_the_log_of_a_stuck_height_stays_short_and_keeps_the_lock() -> None:
    alone = stuck(300, 20_000)
    assert alone.core.round >= 299
    log = alone.node.log
    assert sum(map(len, log.durable + log.volatile)) < 40_000
    core = alone.core
    assert core.locked == core.valid == (A, 0)
    alone.node.log.flush()
    before = core.digest()
    alone.node.chain.restored.clear()
    alone.restart()
    assert alone.core is not core
    assert alone.core.digest() == before
    assert A in alone.node.chain.restored
    polka = alone.core._keeper.certificate(VoteKind.PREVOTE, 0)
    assert polka is not None
    assert polka.block_id == A


def test_a_height_that_was_stuck_is_decided_with_a_short_log() -> None:
    alone = stuck(100, 1_000)
    round = alone.core.round
    alone.hear(*(alone.vote(PRECOMMIT, index, A, round) for index in (0, 2, 3)))
    assert alone.node.height == 1


# ---- crashes in the middle ----


class CrashingLog(MemoryLog):
    """Fails at the flush, or restart, that it is told to, before or after it is durable."""

    def __init__(self) -> None:
        super().__init__()
        self.crash_in = -1
        self.is_after = False

    def _strike(self, act: Callable[[], None]) -> None:
        self.crash_in -= 1
        if self.crash_in != 0:
            act()
            return
        if self.is_after:
            act()
        raise OSError("the machine stops here")

    def flush(self) -> None:
        self._strike(super().flush)

    def restart(self) -> None:
        self._strike(super().restart)

    def rewrite(self, records: Sequence[bytes]) -> None:
        self._strike(lambda: MemoryLog.rewrite(self, records))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_nodes_that_crash_in_the_middle_of_anything_agree_and_never_contradict(seed: int) -> None:
    """Each crash loses what was not durable; the signer never sees two requests that differ."""
    cluster = stormy(seed)
    world, chance = cluster.world, cluster.world.chance
    logs: dict[int, CrashingLog] = {}

    def run(node: Node) -> None:
        logs[node.index].crash_in = chance.randrange(1, 60) if world.now_ns() < 20 * SECOND else -1
        logs[node.index].is_after = chance.random() < 0.5
        try:
            node.start()
        except OSError:
            stop(node)

    def stop(node: Node) -> None:
        node.crash()
        node.life += 1
        world.after(chance.randrange(1, 2_000) * MILLISECOND, lambda: run(node))

    for node in cluster.nodes:
        logs[node.index] = node.log = CrashingLog()
        world.at(0, lambda node=node: run(node))  # type: ignore[misc]
    while min(node.height for node in cluster.nodes) < 6:
        try:
            world.run(
                lambda: min(node.height for node in cluster.nodes) >= 6, limit_ns=600 * SECOND
            )
        except OSError:
            for node in cluster.nodes:
                if node.is_up and node.driver.is_dead:
                    stop(node)
    cluster.check_agreement()
    for node in cluster.nodes:
        assert all(vote.validator == node.index for vote in node.signer.signed.values())
        assert "signed otherwise" not in node.refusals
        assert not node.chain.evidence
        assert not node.punished


def test_after_a_failed_write_nothing_is_said() -> None:
    alone = Alone()
    log = alone.node.log

    def fail() -> None:
        raise OSError("no space left on device")

    log.flush = fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no space"):
        alone.hear(alone.vote(PROPOSAL, 2, A))
    assert alone.node.driver.is_dead
    said, signed_votes = len(alone.node.said), len(alone.node.signer.signed)
    del log.flush
    alone.hear(*(alone.vote(PREVOTE, index, A) for index in (0, 2, 3)))
    alone.node.driver.on_time()
    assert (len(alone.node.said), len(alone.node.signer.signed)) == (said, signed_votes)


# ---- answers at any time ----


def test_answers_that_come_at_once_are_queued_and_not_recursed() -> None:
    """A lone validator whose doors all answer inside the call: what an input made it want is done
    before the answer to the first of it is applied."""
    cluster = Cluster([1])
    node = cluster.nodes[0]
    acting = [0]
    depths: set[int] = set()
    act = Driver._act

    def counted(driver: Driver, effect: Effect) -> None:
        acting[0] += 1
        depths.add(acting[0])
        act(driver, effect)
        acting[0] -= 1

    Driver._act = counted  # type: ignore[method-assign]
    try:
        node.start()
        cluster.run_to(20, [0])
    finally:
        Driver._act = act  # type: ignore[method-assign]
    assert depths == {1}


def test_answers_of_a_height_that_is_over_are_dropped() -> None:
    alone = Alone()
    late: list[Callable[..., None]] = []
    validate = alone.node.chain.validate
    alone.node.chain.validate = lambda *each: late.append(each[-1])  # type: ignore[method-assign,assignment]
    alone.hear(alone.vote(PROPOSAL, 2, A))
    alone.node.chain.validate = validate  # type: ignore[method-assign]
    start = StartHeight(5, alone.cluster.validators)
    alone.node.driver.on_synced(start)
    before = alone.core.digest()
    late[0](bytes(A), "")
    assert alone.core.digest() == before
    assert alone.core.height == 5


def test_sync_never_takes_the_height_back() -> None:
    """Malachite fc2e63dd, e676e841: neither a late sync nor a late commit."""
    alone = Alone()
    alone.node.driver.on_synced(StartHeight(5, alone.cluster.validators))
    alone.node.driver.on_synced(StartHeight(4, alone.cluster.validators))
    alone.node.driver.on_synced(StartHeight(5, alone.cluster.validators, True))
    assert alone.core.height == 5
    first = decode_record((alone.node.log.durable + alone.node.log.volatile)[0])[1]
    assert isinstance(first, StartHeight)
    assert first.height == 5


def test_a_commit_that_sync_overtook_changes_nothing() -> None:
    alone = Alone()
    done: list[Callable[[StartHeight], None]] = []
    alone.node.chain.commit = lambda *each: done.append(each[-1])  # type: ignore[method-assign,assignment]
    alone.lock_on_a()
    alone.hear(*(alone.vote(PRECOMMIT, index, A) for index in (0, 2)))
    alone.node.driver.on_synced(StartHeight(3, alone.cluster.validators))
    done[0](StartHeight(2, alone.cluster.validators))
    assert alone.core.height == 3


# ---- bodies ----


def test_the_body_of_a_proposal_reaches_the_application_from_whoever_said_it() -> None:
    alone = Alone()
    bodies: list[bytes | None] = []
    alone.node.chain.validate = lambda *each: bodies.append(each[3])  # type: ignore[method-assign,assignment]
    proposal = alone.vote(PROPOSAL, 2, A)
    alone.node.driver.on_message(alone.vote(PROPOSAL, 3, A), peer_of(3), b"not the proposer's")
    alone.hear(proposal, body=b"the block")
    assert bodies == [b"the block"]


def test_bodies_are_bounded_by_peer() -> None:
    alone = Alone()
    for round in range(100):
        vote = alone.vote(PROPOSAL, 0, Hash32(round.to_bytes(32, "big")), round, 2)
        alone.node.driver.on_message(vote, peer_of(0), bytes(10))
    assert [len(each) for each in alone.node.driver._bodies.values()] == [BODIES_MAX]


def test_an_own_proposal_goes_with_its_block() -> None:
    cluster = Cluster([1, 1, 1, 1])
    seen: list[tuple[Message, bytes | None]] = []
    node = cluster.nodes[2]
    node.broadcast = lambda message, body=None: seen.append((message, body))  # type: ignore[method-assign,assignment,misc]
    cluster.start([2])
    (message, body), *_ = [each for each in seen if isinstance(each[0], Vote)]
    assert isinstance(message, Vote)
    assert message.kind == PROPOSAL
    assert body == message.block_id


# ---- who cannot sign ----


def test_a_signer_that_refuses_leaves_its_node_silent_and_following() -> None:
    cluster = Cluster([1, 1, 1, 1])
    cluster.nodes[2].signer.refuses = True
    cluster.start()
    cluster.run_to(8, range(4))
    assert not [each for each in cluster.nodes[2].said if isinstance(each, Vote)]


@pytest.mark.parametrize(("powers", "away"), [((1,), (0,)), ((1, 1, 1, 1), (1, 3))])
def test_a_signer_that_comes_back_is_asked_again(
    powers: tuple[int, ...], away: tuple[int, ...]
) -> None:
    """Without these votes there is no quorum, so no timeout would ever end the round."""
    cluster = Cluster(powers)
    for index in away:
        cluster.nodes[index].signer.refuses = True
    cluster.start()
    cluster.world.run_for(20 * SECOND)
    assert cluster.nodes[0].height == 0
    for index in away:
        cluster.nodes[index].signer.refuses = False
    cluster.run_to(2, range(len(powers)), limit_ns=10 * SECOND)


def test_a_node_without_a_signer_follows() -> None:
    cluster = Cluster([1, 1, 1], followers=1)
    follower = cluster.nodes[3]
    cluster.start([0, 1, 2])
    core = Consensus(CHAIN_ID, None, PARAMETERS, verify)
    follower.driver = Driver(
        core, cluster.world, follower.log, None, follower.chain, follower, follower.notebook
    )
    follower.is_up = True
    follower.driver.start(follower.chain.start())
    follower.watch_time()
    cluster.run_to(8, range(4))


def test_a_validator_that_cannot_build_lets_the_next_propose() -> None:
    cluster = Cluster([1, 1, 1, 1])
    cluster.nodes[2].chain.builds = False
    cluster.start()
    cluster.run_to(8, range(4))
    assert cluster.nodes[0].notebook.failures


def test_records_of_blocks_come_before_the_answers_about_them() -> None:
    """So that a block that the core counts on is never missing after a restart."""
    alone = Alone(2)
    entries = [decode_record(each)[1] for each in alone.node.log.durable]
    kinds = [type(entry) for entry in entries]
    assert kinds.index(BlockRecord) < kinds.index(Built)
    tell(Consensus(CHAIN_ID, key_of(2), PARAMETERS, verify), alone.node.log.durable)
    assert all(encode_record(*decode_record(record)) == record for record in alone.node.log.durable)
