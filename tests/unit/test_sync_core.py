"""Catching up by blocks among peers of every sort: the node reaches the highest honest head, and
whoever misbehaves is named with what it did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import encode_header
from ghostchain.primitives.types import Hash32
from ghostchain.sync.core import HELD_BYTES_MAX, STUCK_NS, Gaps, Span, SyncCore
from ghostchain.sync.messages import (
    ANSWER_BYTES_MAX,
    BLOCK_ANSWER_BYTES_MAX,
    BLOCKS_MAX,
    GetBlocks,
    Part,
    Refusal,
    Refused,
    encode_blocks,
    encode_message,
)
from ghostchain.sync.requests import STALL_NS
from tests.sync_world import (
    GENESIS_HASH,
    HEADER,
    MILLISECOND_NS,
    SECOND_NS,
    Item,
    Peer,
    World,
    blocks_of,
    certificate_of,
    parts_of,
)

SEEDS = range(5)


def hash_of(item: Item) -> Hash32:
    _, start, end = rlp.span(item[0])
    _, _, header_end = rlp.span(item[0], start, end)
    return keccak256(item[0][start:header_end])


class Liar(Peer):
    """Claims a height that it does not have."""

    claims = 1_000_000


class SilentLiar(Liar):
    """Claims it, and answers nothing."""

    def answer(self, request: GetBlocks) -> list[bytes]:
        self.asked.append(request)
        return []


class Staller(Peer):
    """Begins each answer and never ends it; claims a little more than the others."""

    claims = 2_002

    def answer(self, request: GetBlocks) -> list[bytes]:
        return parts_of(request, encode_blocks(self.items(request)), part_bytes=1_000)[:1]


class Forger(Peer):
    """Sends certificates that nobody signed, from height 20 on."""

    def items(self, request: GetBlocks) -> list[Item]:
        items = super().items(request)
        return [
            (block, b"forged" if request.first + at >= 20 else certificate, attachment)
            for at, (block, certificate, attachment) in enumerate(items)
        ]


class Oversizer(Peer):
    """Announces an answer far beyond what was asked for."""

    def answer(self, request: GetBlocks) -> list[bytes]:
        return [encode_message(Part(request.request, BLOCK_ANSWER_BYTES_MAX + 1, 0, b"x"))]


class Stuffer(Peer):
    """Puts more into an answer of several blocks than it may."""

    def items(self, request: GetBlocks) -> list[Item]:
        first, second = super().items(request)[:2]
        return [first, (*second[:2], bytes(ANSWER_BYTES_MAX))]


class Spammer(Peer):
    """Sends what nobody asked for."""

    def answer(self, request: GetBlocks) -> list[bytes]:
        return [encode_message(Part(request.request + 1_000, 1, 0, b"x"))]


class Shuffler(Peer):
    """Sends the parts of an answer out of order."""

    def answer(self, request: GetBlocks) -> list[bytes]:
        parts = parts_of(request, encode_blocks(self.items(request)), part_bytes=500)
        return [parts[0], parts[2], parts[1]]


class Shifter(Peer):
    """Answers with other blocks than were asked for."""

    def answer(self, request: GetBlocks) -> list[bytes]:
        return parts_of(request, encode_blocks(self.chain[request.first : request.first + 3]))


class Mixer(Peer):
    """Answers with blocks that do not follow each other."""

    def items(self, request: GetBlocks) -> list[Item]:
        items = super().items(request)
        other = blocks_of(request.first + 1, salt=b"other")
        return [items[0], other[request.first], *items[2:]]


class Garbler(Peer):
    """Answers with bytes that are no blocks."""

    def answer(self, request: GetBlocks) -> list[bytes]:
        return parts_of(request, b"\xff" * 300)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_honest_peers_bring_a_node_level(seed: int) -> None:
    """All blocks are imported once and in order, and all peers take part."""
    chain = blocks_of(3_000)
    peers = [Peer(f"honest {number}", chain) for number in range(4)]
    world = World(peers, seed=seed)
    world.run()
    assert [block.height for block in world.imported] == list(range(1, 3_001))
    assert [(block.block, block.certificate, block.attachment) for block in world.imported] == chain
    assert world.done == [3_000]
    assert len(world.started) == 1
    assert not world.punished
    assert all(peer.asked for peer in peers)


def test_requests_stay_within_their_limits() -> None:
    """No request is for more blocks or bytes than a message may bring."""
    peer = Peer("honest", blocks_of(2_000, body_bytes=20))
    World([peer]).run()
    assert max(request.count for request in peer.asked) == BLOCKS_MAX
    assert {request.bytes_max for request in peer.asked} == {ANSWER_BYTES_MAX}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Liar, "STALLING"),
        (SilentLiar, "STALLING"),
        (Staller, "STALLING"),
        (Forger, "NOT_PROVEN"),
        (Oversizer, "TOO_LARGE"),
        (Stuffer, "TOO_LARGE"),
        (Spammer, "UNASKED"),
        (Shuffler, "OUT_OF_ORDER"),
        (Shifter, "WRONG_BLOCKS"),
        (Mixer, "NOT_LINKED"),
        (Garbler, "MALFORMED"),
    ],
)
def test_a_dishonest_peer_is_named_and_without_effect(
    kind: type[Peer], reason: str, seed: int
) -> None:
    """Among two honest peers a dishonest one costs seconds at most, and is punished for its sin."""
    count = 2_000
    chain = blocks_of(count, body_bytes=500)
    bad = kind("bad", chain)
    world = World([Peer("a", chain), bad, Peer("b", chain)], seed=seed)
    # Claims are repeated, as status messages are.
    for second in range(1, 60):
        for peer in list(world.peers.values()):
            world.at(second * SECOND_NS, lambda peer=peer: world.say_height(peer))
    world.run(seconds=10)
    assert world.head == count, "the honest chain is reached soon"
    assert world.done
    assert not world.core.is_active, "and consensus has the chain again"
    world.run(seconds=60)
    assert world.reasons == {bad.key: reason}
    assert [block.height for block in world.imported] == list(range(1, count + 1))


def test_a_liar_alone_never_stops_consensus() -> None:
    """Claiming to be ahead is not enough to take a node out of consensus."""
    world = World([SilentLiar("liar", blocks_of(5))], head=5, head_hash=hash_of(blocks_of(5)[-1]))
    world.run(seconds=60)
    assert not world.started
    assert world.reasons == {world.punished[0].peer: "STALLING"}


def test_peers_that_leave_are_replaced() -> None:
    """What a peer owed when it left is asked of the others."""
    chain = blocks_of(1_000)
    peers = [Peer(f"peer {number}", chain) for number in range(4)]
    world = World(peers, seed=3, import_ns=100_000)
    for number, peer in enumerate(peers[:3]):
        world.at((20 + 10 * number) * MILLISECOND_NS, lambda peer=peer: world.close(peer))
    world.run()
    assert world.done == [1_000]
    assert not world.punished


def test_without_peers_the_node_gives_the_chain_back_and_goes_on_later() -> None:
    """When nobody is left to ask, consensus may go on; a new peer starts another round."""
    chain = blocks_of(2_000)
    first, second = Peer("first", chain[:1_000]), Peer("second", chain)
    world = World([first], import_ns=100_000)
    world.run(until=lambda: world.head > 50)
    world.close(first)
    world.run(seconds=20)
    stopped = world.head
    assert world.done == [stopped]
    assert not world.core.is_active
    world.peers[second.key] = second
    world.say_height(second)
    world.run()
    assert world.done == [stopped, 2_000]


def test_one_block_behind_is_left_to_consensus() -> None:
    """Nothing is asked for unless a peer is two blocks ahead."""
    chain = blocks_of(11)
    world = World([Peer("ahead", chain)], head=10, head_hash=hash_of(chain[9]))
    world.run()
    assert world.requests == 0


def test_a_little_behind_consensus_is_waited_for() -> None:
    """Two blocks behind is no reason to ask while consensus moves the head."""
    chain = blocks_of(12)
    world = World([Peer("ahead", chain)], head=10, head_hash=hash_of(chain[9]))
    world.run(until=lambda: bool(world.core._requests.peers))
    assert world.requests == 0
    world.run(seconds=0.2)
    assert world.requests == 0
    world.run(seconds=5)
    assert world.head == 12
    assert world.done == [12]


def test_consensus_may_overtake_what_was_fetched() -> None:
    """Blocks that consensus decided meanwhile are not imported again."""
    chain = blocks_of(40)
    world = World([Peer("ahead", chain)], head=10, head_hash=hash_of(chain[9]))
    world.run(until=lambda: world.requests > 0)
    assert not world.started
    for height in range(11, 39):
        world.head = height
        world.act(world.core.on_imported(height, hash_of(chain[height - 1]), now_ns=world.now_ns))
    world.run(seconds=5)
    assert world.head == 40
    assert [block.height for block in world.imported] == [39, 40]


def test_validators_that_only_execution_tells_are_waited_for() -> None:
    """A block whose validators are not known yet is proven after those before it are executed."""
    chain = blocks_of(500)
    world = World([Peer("honest", chain)], unknown_above=lambda head: head // 10 * 10 + 11)
    world.run()
    assert world.done == [500]
    assert not world.punished
    assert not world.stuck


def test_a_body_that_was_changed_costs_its_sender() -> None:
    """A proven header with another body is fetched from others, and its sender punished."""
    chain = blocks_of(300)
    spoilt = [(block, proof, b"spoilt") for block, proof, _ in chain]
    bad = Peer("bad", spoilt)
    world = World(
        [bad, Peer("good", chain)],
        import_failure=lambda block: "another body" if block.attachment == b"spoilt" else "",
    )
    world.run()
    assert world.head == 300
    assert world.reasons == {bad.key: "WRONG_BODY"}
    assert not world.stuck


def test_a_proven_block_that_does_not_run_is_reported() -> None:
    """That is not the peers' fault: the node says so, blames nobody, and waits."""
    chain = blocks_of(300)
    world = World(
        [Peer(f"peer {number}", chain) for number in range(5)],
        import_failure=lambda block: "does not run" if block.height == 100 else "",
    )
    world.run(seconds=STUCK_NS / SECOND_NS - 1)
    assert [(stuck.height, stuck.reason) for stuck in world.stuck] == [(100, "does not run")]
    assert world.head == 99
    assert world.done == [99], "consensus has the chain meanwhile"
    assert not world.punished
    world.run(seconds=STUCK_NS / SECOND_NS)
    assert len(world.stuck) == 2, "and tries again"


def test_blocks_of_another_chain_are_refused_by_their_link() -> None:
    """A block that does not follow the proven one is its sender's fault."""
    chain = blocks_of(100)
    head = hash_of(blocks_of(10, salt=b"mine")[-1])
    bad = Peer("bad", chain)
    world = World([bad], head=10, head_hash=head)
    world.run()
    assert world.head == 10
    assert world.reasons == {bad.key: "NOT_LINKED"}
    assert not world.started


def test_large_blocks_come_one_at_a_time() -> None:
    """A block larger than an answer of several comes alone, in parts."""
    chain = blocks_of(6, body_bytes=3 << 20)
    world = World([Peer("honest", chain)])
    world.run()
    assert world.done == [6]
    assert not world.punished


def test_held_bytes_are_bounded() -> None:
    """While the lowest blocks do not come, the rest is held only up to the limit."""
    chain = blocks_of(400, body_bytes=500_000)

    class Withholder(Peer):
        """Has everything but the first blocks."""

        def answer(self, request: GetBlocks) -> list[bytes]:
            if request.first <= 3:
                return []
            return super().answer(request)

    late = Peer("late", chain)
    world = World([Withholder("early", chain), Withholder("too", chain)], seed=2)
    world.at(4 * SECOND_NS, lambda: world.peers.update({late.key: late}))
    world.at(4 * SECOND_NS, lambda: world.say_height(late))
    world.run(seconds=200)
    assert world.head == 400
    assert 20 << 20 < world.held_bytes_max <= HELD_BYTES_MAX + 8 * BLOCK_ANSWER_BYTES_MAX


def test_a_busy_peer_is_asked_again_without_blame() -> None:
    """A peer that has answered enough for now is given a moment."""
    chain = blocks_of(50)

    class Busy(Peer):
        def answer(self, request: GetBlocks) -> list[bytes]:
            self.asked.append(request)
            if len(self.asked) < 5:
                return [encode_message(Refused(request.request, Refusal.BUSY, 1, 50))]
            return super().answer(request)

    world = World([Busy("busy", chain)])
    world.run()
    assert world.head == 50
    assert not world.punished


def test_a_peer_without_old_blocks_is_asked_for_later_ones() -> None:
    """A peer that began from a snapshot serves what it has, and is not blamed."""
    chain = blocks_of(600)

    class Young(Peer):
        def answer(self, request: GetBlocks) -> list[bytes]:
            if request.first < 300:
                return [encode_message(Refused(request.request, Refusal.ABSENT, 300, 600))]
            return super().answer(request)

    young = Young("young", chain)
    world = World([young, Peer("old", chain)], seed=4)
    world.run()
    assert world.done == [600]
    assert not world.punished
    assert young.asked


def test_a_slow_peer_is_helped_out() -> None:
    """What everything waits for is asked of another peer after a second."""
    chain = blocks_of(200)
    slow = Peer("slow", chain)
    slow.delay_ns = 1_900 * MILLISECOND_NS
    world = World([slow, Peer("fast", chain)], seed=6)
    world.run(until=lambda: world.head == 200)
    assert world.now_ns < SECOND_NS + STALL_NS
    assert not world.punished


def test_progress_is_told_every_second() -> None:
    """Height, target, rates and what is left of the time."""
    chain = blocks_of(3_000)
    world = World([Peer("honest", chain)])
    world.run()
    assert len(world.progress) == 3
    middle = world.progress[1]
    assert middle.target == 3_000
    assert 900 < middle.blocks_per_s <= 1_000
    assert middle.eta_s is not None
    assert abs(middle.eta_s - (3_000 - middle.height) / middle.blocks_per_s) < 0.01


def test_the_same_inputs_give_the_same_effects() -> None:
    """The core is a value: two of them fed alike act alike."""
    logs = []
    for _ in range(2):
        log: list[object] = []
        core = SyncCore(0, GENESIS_HASH, now_ns=0)
        for number in range(3):
            log.append(core.on_peer_height(bytes([number]) * 32, 100 + number, now_ns=number))
        log.append(core.on_tick(now_ns=5 * SECOND_NS))
        logs.append(log)
    assert logs[0] == logs[1]


def test_gaps_give_out_each_height_once() -> None:
    """What was given back comes first; what is behind is dropped."""
    gaps = Gaps(1)
    assert gaps.take(1, 100, 10) == Span(1, 10)
    assert gaps.take(1, 100, 10) == Span(11, 20)
    gaps.put([3, 4, 5, 9, 500])
    assert gaps.take(1, 100, 10) == Span(3, 5)
    assert gaps.take(1, 100, 10) == Span(9, 9)
    assert gaps.take(1, 22, 10) == Span(21, 22)
    assert gaps.take(1, 22, 10) is None
    gaps.put([7, 8])
    gaps.drop_through(30)
    assert gaps.lowest() == 31


def test_certificates_of_the_tests_prove_only_their_block() -> None:
    """The world's own stand-in for signatures tells blocks apart."""
    other = keccak256(encode_header(replace(HEADER, number=2)))
    assert certificate_of(other) != certificate_of(GENESIS_HASH)
