"""How blocks become whole: from the pool, from who proposed them, from others; who is blamed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ghostchain.p2p.compact import (
    ANSWER_NS_MAX,
    FETCH_NS_MAX,
    FETCHES_MAX,
    FOUND_BLOCKS_MAX,
    KEPT_BLOCKS_MAX,
    SERVED_BYTES_PER_SECOND,
    bitmap_of,
    compact_body,
    indices_of,
)
from ghostchain.p2p.effects import Banned, Offended, WholeBlock
from ghostchain.p2p.messages import (
    ANSWER_BYTES_MAX,
    BlockMissing,
    BlockTransactions,
    Channel,
    CompactBlock,
    GetBlock,
    GetBlockTransactions,
    Message,
    Welcome,
    channel_of,
    decode_compact,
    decode_envelope,
    decode_message,
    encode_compact,
    encode_envelope,
    encode_message,
)
from ghostchain.p2p.scoring import Offence
from ghostchain.primitives.types import Hash32
from tests.unit.p2p_network import SECOND_NS, Network, Node, Stranger, block_of
from tests.unit.test_p2p_core import hello

TRANSACTIONS = tuple(number.to_bytes(2, "big") * 60 for number in range(1, 101))
BLOCK = block_of(TRANSACTIONS)


class Wanted:
    """Keeps what a fetch answers."""

    def __init__(self, node: Node, block_id: Hash32, peer: bytes, body: bytes | None) -> None:
        self.answers: list[tuple[WholeBlock | None, str]] = []
        node.driver.fetch_block(
            block_id, peer, lambda block, reason: self.answers.append((block, reason)), body
        )

    @property
    def block(self) -> WholeBlock | None:
        assert len(self.answers) <= 1, "answered twice"
        return self.answers[0][0] if self.answers else None


def circle(count: int = 3) -> tuple[Network, list[Node]]:
    """So many nodes, each connected to each."""
    network = Network()
    nodes = [network.add(number) for number in range(1, count + 1)]
    for index, node in enumerate(nodes):
        for other in nodes[index + 1 :]:
            network.connect(node, other)
    network.settle()
    return network, nodes


def know(node: Node, *indices: int) -> None:
    """The transactions of BLOCK of these indices wait in the node's pool."""
    for index in indices:
        node.pool[BLOCK.hashes[index]] = BLOCK.transactions[index]


def said(stranger: Stranger, kind: type) -> list[Any]:
    """What the stranger heard of one kind."""
    messages = [
        decode_message(channel, payload)
        for channel, payload in stranger.heard
        if channel in (Channel.BLOCKS, Channel.TRANSACTIONS)
    ]
    return [message for message in messages if isinstance(message, kind)]


def beside_stranger(*others: int) -> tuple[Network, Node, Stranger]:
    """A node, a stranger that is up with it, and honest nodes of these numbers."""
    network = Network()
    node, stranger = network.add(1), Stranger(network, 2)
    network.connect(node, stranger)  # type: ignore[arg-type]
    for message in (hello(), Welcome(1)):
        stranger.say(node, Channel.CONTROL, encode_message(message))
    for number in others:
        network.connect(node, network.add(number))
    network.settle()
    return network, node, stranger


def answer(node: Node, stranger: Stranger, message: Message) -> None:
    stranger.say(node, channel_of(message), encode_message(message))


def offences(node: Node) -> list[Offence]:
    return [effect.offence for effect in node.of(Offended)]


# ---- what works ----


def test_a_block_of_known_transactions_needs_no_message() -> None:
    network, (one, two, _) = circle()
    know(two, *range(100))
    frames = network.frames_by_channel[Channel.BLOCKS]
    wanted = Wanted(two, BLOCK.block_id, one.key, compact_body(BLOCK))
    assert wanted.block == BLOCK
    assert network.frames_by_channel[Channel.BLOCKS] == frames


def test_missing_transactions_are_asked_from_the_proposer() -> None:
    """One question, one answer, and only what is missing travels."""
    network, (one, two, three) = circle()
    one.driver.keep_block(BLOCK)
    know(two, *range(90))
    wanted = Wanted(two, BLOCK.block_id, one.key, compact_body(BLOCK))
    assert wanted.block is None
    network.settle()
    assert wanted.block == BLOCK
    assert network.frames_by_channel[Channel.BLOCKS] == 2
    assert network.bytes_by_channel[Channel.BLOCKS] < 10 * 130 + 200
    assert not any(node.of(Offended) for node in (one, two, three))


def test_three_peers_pass_a_proposal_on() -> None:
    """The proposer says it with its body; both others have the block, one from the other."""
    network, (one, two, three) = circle()
    one.driver.keep_block(BLOCK)
    one.driver.broadcast(Channel.PROPOSALS, encode_envelope(b"proposal", compact_body(BLOCK)))
    network.settle()
    for node in (two, three):
        ((peer, channel, payload),) = node.heard
        spoken, body = decode_envelope(payload)
        assert (peer, channel, spoken) == (one.key, Channel.PROPOSALS, b"proposal")
        wanted = Wanted(node, BLOCK.block_id, peer, body)
        network.settle()
        assert wanted.block == BLOCK
    network.disconnect(one.key, two.key, "gone")
    network.settle()
    four = network.add(4)
    network.connect(four, three)
    network.settle()
    wanted = Wanted(four, BLOCK.block_id, three.key, None)
    network.settle()
    assert wanted.block == BLOCK


def test_a_block_is_had_by_its_id_alone() -> None:
    """Only a certificate told of it: the body is asked for first."""
    network, (one, two, _) = circle()
    one.blocks[BLOCK.block_id] = BLOCK
    wanted = Wanted(two, BLOCK.block_id, one.key, None)
    network.settle()
    assert wanted.block == BLOCK


def test_all_who_wait_are_answered_once() -> None:
    network, (one, two, three) = circle()
    one.driver.keep_block(BLOCK)
    first = Wanted(two, BLOCK.block_id, three.key, None)
    second = Wanted(two, BLOCK.block_id, one.key, compact_body(BLOCK))
    network.settle()
    third = Wanted(two, BLOCK.block_id, one.key, None)
    assert first.block == second.block == third.block == BLOCK


def test_an_empty_block_is_whole_at_once() -> None:
    _, (one, two, _) = circle()
    empty = block_of(())
    assert Wanted(two, empty.block_id, one.key, compact_body(empty)).block == empty


def test_what_does_not_fit_into_an_answer_is_asked_for_again() -> None:
    large = block_of(tuple(bytes([number]) * (ANSWER_BYTES_MAX // 2 - 1) for number in range(7)))
    network, (one, two, _) = circle()
    one.driver.keep_block(large)
    wanted = Wanted(two, large.block_id, one.key, compact_body(large))
    network.settle()
    assert wanted.block == large
    assert network.frames_by_channel[Channel.BLOCKS] == 8


def test_others_are_asked_when_the_first_has_gone() -> None:
    network, (one, two, three) = circle()
    three.driver.keep_block(BLOCK)
    wanted = Wanted(two, BLOCK.block_id, one.key, compact_body(BLOCK))
    network.disconnect(one.key, two.key, "gone")
    network.settle()
    assert wanted.block == BLOCK


def test_others_are_asked_when_the_first_is_slow() -> None:
    """And slowness costs few points; the answer still helps when it comes."""
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    other.blocks[BLOCK.block_id] = BLOCK
    wanted = Wanted(node, BLOCK.block_id, stranger.key, compact_body(BLOCK))
    network.run(ANSWER_NS_MAX / SECOND_NS / 2)
    assert wanted.block is None
    network.run(ANSWER_NS_MAX / SECOND_NS)
    assert wanted.block == BLOCK
    assert offences(node) == [Offence.SLOW]
    answer(node, stranger, BlockTransactions(BLOCK.block_id, BLOCK.transactions))
    assert offences(node) == [Offence.SLOW]


def test_a_late_answer_completes_the_block() -> None:
    network, node, stranger = beside_stranger(3)
    wanted = Wanted(node, BLOCK.block_id, stranger.key, compact_body(BLOCK))
    network.run(2)
    assert wanted.block is None
    answer(node, stranger, BlockTransactions(BLOCK.block_id, BLOCK.transactions))
    assert wanted.block == BLOCK


def test_transactions_that_come_by_gossip_meanwhile_count() -> None:
    network, (one, two, _) = circle()
    wanted = Wanted(two, BLOCK.block_id, one.key, compact_body(BLOCK))
    network.settle()
    assert wanted.block is None
    know(two, *range(100))
    network.run(3)
    assert wanted.block == BLOCK


def test_nobody_has_it_until_somebody_does() -> None:
    """Sources are asked in rounds, with pauses that grow: no storm of questions."""
    network, (one, two, three) = circle()
    wanted = Wanted(two, BLOCK.block_id, one.key, None)
    network.run(20)
    assert wanted.block is None
    assert network.frames_by_channel[Channel.BLOCKS] < 80
    three.blocks[BLOCK.block_id] = BLOCK
    network.run(3)
    assert wanted.block == BLOCK
    assert not two.of(Offended)


def test_a_fetch_ends() -> None:
    network, (one, two, _) = circle()
    wanted = Wanted(two, BLOCK.block_id, one.key, None)
    network.run(FETCH_NS_MAX / SECOND_NS + 1)
    assert wanted.answers == [(None, "no peer gave it in time")]
    assert not two.driver.core.blocks.fetches


def test_a_fetch_can_be_cancelled() -> None:
    network, (one, two, _) = circle()
    wanted = Wanted(two, BLOCK.block_id, one.key, None)
    two.driver.cancel_fetch(BLOCK.block_id)
    assert wanted.answers == [(None, "no longer wanted")]
    network.settle()
    assert not two.of(Offended)


def test_fetches_are_bounded() -> None:
    """Whoever makes up blocks does not keep the one out that is wanted last, or again."""
    _, (one, two, _) = circle()
    ids = [Hash32(bytes([number]) * 32) for number in range(FETCHES_MAX + 1)]
    wanted = [Wanted(two, block_id, one.key, None) for block_id in ids[:-1]]
    wanted.append(Wanted(two, ids[0], one.key, None))
    wanted.append(Wanted(two, ids[-1], one.key, None))
    too_many = [(None, "too many blocks are being fetched")]
    assert [one.answers for one in wanted] == [[], too_many, *[[]] * FETCHES_MAX]
    assert len(two.driver.core.blocks.fetches) == FETCHES_MAX


def test_kept_blocks_are_bounded() -> None:
    _, (one, two, _) = circle()
    blocks = [block_of((bytes([number]),)) for number in range(1, KEPT_BLOCKS_MAX + 2)]
    for block in blocks:
        one.driver.keep_block(block)
    serving = one.driver.core.blocks
    assert list(serving._kept) == [block.block_id for block in blocks[1:]]
    for block in blocks:
        one.blocks[block.block_id] = block
        serving._find(block.block_id)
        serving._find_block(block.block_id)
    assert len(serving._found) <= FOUND_BLOCKS_MAX
    assert two.driver.core.blocks._kept == {}


def test_bitmaps_name_indices() -> None:
    for indices in ([0], [7], [8], [0, 1, 63, 64, 65_535], list(range(1_000))):
        assert indices_of(bitmap_of(indices)) == indices


# ---- what is hostile ----


@pytest.mark.parametrize(
    ("body", "offence"),
    [
        (b"\xc1", Offence.MALFORMED),
        (compact_body(BLOCK) + b"\x00", Offence.MALFORMED),
        (compact_body(block_of(TRANSACTIONS, number=2)), Offence.INVALID_BLOCK),
    ],
)
def test_a_body_that_is_none_is_blamed_on_its_sender(body: bytes, offence: Offence) -> None:
    """And the block is had from others."""
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    other.blocks[BLOCK.block_id] = BLOCK
    wanted = Wanted(node, BLOCK.block_id, stranger.key, body)
    network.settle()
    assert offences(node) == [offence]
    assert node.of(Banned)
    assert wanted.block == BLOCK


@pytest.mark.parametrize("what", ["hashes", "withdrawals", "attachment", "order"])
def test_a_body_that_its_header_does_not_commit_to_is_blamed(what: str) -> None:
    """The header is the right one, so only the whole tells; nothing else becomes the block."""
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    other.blocks[BLOCK.block_id] = BLOCK
    know(node, *range(100))
    body = decode_compact(compact_body(BLOCK))
    changed = {
        "hashes": {"hashes": body.hashes[:-1]},
        "withdrawals": {"withdrawals": b"\xc1\xc0"},
        "attachment": {"attachment": b"another"},
        "order": {"hashes": body.hashes[::-1]},
    }[what]
    wanted = Wanted(node, BLOCK.block_id, stranger.key, encode_compact(replace(body, **changed)))
    network.settle()
    assert offences(node) == [Offence.INVALID_BLOCK]
    assert wanted.block == BLOCK


def lies_of(*hashes: Hash32) -> bytes:
    """A body with BLOCK's header, and these for the hashes of its transactions."""
    return encode_compact(replace(decode_compact(compact_body(BLOCK)), hashes=hashes))


MADE_UP = Hash32(b"\x99" * 32)


@pytest.mark.parametrize(
    "hashes",
    [
        (MADE_UP,),
        (*BLOCK.hashes, MADE_UP),
        (*BLOCK.hashes[:50], MADE_UP, *BLOCK.hashes[50:]),
        (MADE_UP, *BLOCK.hashes[::-1]),
    ],
)
def test_who_believed_a_liar_is_not_blamed(hashes: tuple[Hash32, ...]) -> None:
    """A proposer tells one of three honest nodes of hashes that are not the block's. What that one
    asks the others for makes no sense to them, nor their answers to it: they tell it of the block
    as they have it, and only the liar is blamed, by the one that it lied to."""
    network, node, stranger = beside_stranger(3, 4)
    others = [one for one in network.nodes.values() if one.port in (30_003, 30_004)]
    for other in others:
        other.driver.keep_block(BLOCK)
    wanted = Wanted(node, BLOCK.block_id, stranger.key, lies_of(*hashes))
    network.run(2)
    assert wanted.block == BLOCK
    assert [(one.peer, one.offence) for one in node.of(Offended)] == [
        (stranger.key, Offence.SLOW),
        (stranger.key, Offence.INVALID_BLOCK),
    ]
    for other in others:
        assert not other.of(Offended)


def test_what_was_had_of_a_lie_counts_on() -> None:
    """What a body listed rightly is not asked for again when another takes its place."""
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    other.driver.keep_block(BLOCK)
    wanted = Wanted(node, BLOCK.block_id, stranger.key, lies_of(*BLOCK.hashes[:90], MADE_UP))
    network.settle()
    answer(node, stranger, BlockTransactions(BLOCK.block_id, TRANSACTIONS[:90]))
    network.settle()
    assert wanted.block == BLOCK
    assert network.bytes_by_channel[Channel.BLOCKS] < 20_000 + 32 * 100 + 20 * 130


def test_a_peer_that_tells_two_stories_of_a_block_is_blamed() -> None:
    network, node, stranger = beside_stranger()
    wanted = Wanted(node, BLOCK.block_id, stranger.key, lies_of(MADE_UP))
    network.settle()
    answer(node, stranger, CompactBlock(BLOCK.block_id, compact_body(BLOCK)))
    assert offences(node) == [Offence.WRONG_ANSWER]
    assert wanted.block is None


def test_liars_that_contradict_each_other_do_not_keep_a_node_busy() -> None:
    """Two strangers, each with a story of its own, again and again: whoever is honest is asked all
    the same, after a few questions."""
    network, node, first = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    second = Stranger(network, 5)
    network.connect(node, second)  # type: ignore[arg-type]
    for message in (hello(), Welcome(1)):
        answer(node, second, message)
    stories = {first: lies_of(MADE_UP), second: lies_of(Hash32(b"\x98" * 32))}
    heard = {first: 0, second: 0}

    def lie() -> int:
        """Whoever was asked answers: not with what was asked for, but with its own story."""
        told = 0
        for stranger, story in stories.items():
            asked = len(said(stranger, GetBlockTransactions)) + len(said(stranger, GetBlock))
            for _ in range(asked - heard[stranger]):
                answer(node, stranger, CompactBlock(BLOCK.block_id, story))
                told += 1
            heard[stranger] = asked
        return told

    wanted = Wanted(node, BLOCK.block_id, first.key, stories[first])
    network.settle()
    rounds = 0
    while lie():
        network.settle()
        rounds += 1
        assert rounds < 20
    assert wanted.block is None
    other.driver.keep_block(BLOCK)
    for _ in range(20):
        network.run(0.25)
        lie()
    assert wanted.block == BLOCK
    assert {one.peer for one in node.of(Offended)} == {first.key, second.key}
    assert not other.of(Offended)


@pytest.mark.parametrize(
    "raws",
    [
        (b"another",),
        (*TRANSACTIONS, b"one more"),
        (*TRANSACTIONS[1:], b"another"),
        (),
    ],
)
def test_wrong_transactions_are_blamed_and_had_from_others(raws: tuple[bytes, ...]) -> None:
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    other.blocks[BLOCK.block_id] = BLOCK
    wanted = Wanted(node, BLOCK.block_id, stranger.key, compact_body(BLOCK))
    network.settle()
    assert len(said(stranger, GetBlockTransactions)) == 1
    answer(node, stranger, BlockTransactions(BLOCK.block_id, raws))
    network.settle()
    assert offences(node) == [Offence.WRONG_ANSWER]
    assert wanted.block == BLOCK


def test_an_answer_to_an_older_question_is_not_blamed() -> None:
    """Asked for three and, since one came by gossip, for two: both answers come late, in order."""
    network, node, stranger = beside_stranger()
    know(node, *range(97))
    wanted = Wanted(node, BLOCK.block_id, stranger.key, compact_body(BLOCK))
    network.settle()
    know(node, 98)
    network.run(1)
    asked = [indices_of(one.bitmap) for one in said(stranger, GetBlockTransactions)]
    assert asked == [[97, 98, 99], [97, 99]]
    answer(node, stranger, BlockTransactions(BLOCK.block_id, TRANSACTIONS[97:]))
    assert wanted.block == BLOCK
    answer(node, stranger, BlockTransactions(BLOCK.block_id, TRANSACTIONS[97::2]))
    assert set(offences(node)) == {Offence.SLOW}


def test_an_answer_of_another_listing_is_not_blamed() -> None:
    """Asked with a liar's listing, then with the true one: what comes late for the first finds no
    place, and harms nobody."""
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    fetch = node.driver.core.blocks.fetches
    wanted = Wanted(node, BLOCK.block_id, other.key, lies_of(*BLOCK.hashes[:50], MADE_UP))
    network.run(1)
    assert said(stranger, GetBlockTransactions)
    answer(node, stranger, CompactBlock(BLOCK.block_id, compact_body(BLOCK)))
    network.run(0.1)
    assert fetch[BLOCK.block_id].listing == BLOCK.listing
    answer(node, stranger, BlockTransactions(BLOCK.block_id, (b"of the lie", *TRANSACTIONS[:50])))
    answer(node, stranger, BlockTransactions(BLOCK.block_id, TRANSACTIONS[50:]))
    assert wanted.block == BLOCK
    assert {(one.peer, one.offence) for one in node.of(Offended)} <= {
        (stranger.key, Offence.SLOW),
        (other.key, Offence.INVALID_BLOCK),
    }


def test_whoever_gives_the_same_again_and_again_is_left_for_others() -> None:
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    half = ANSWER_BYTES_MAX // 2
    large = block_of(tuple(bytes([number]) * half for number in range(1, 8)))
    other.driver.keep_block(large)
    wanted = Wanted(node, large.block_id, stranger.key, compact_body(large))
    for _ in range(10):
        network.settle()
        if wanted.block is None:
            answer(node, stranger, BlockTransactions(large.block_id, large.transactions[:1]))
    assert wanted.block == large
    assert len(said(stranger, GetBlockTransactions)) <= 2
    assert not offences(node)


def test_giving_drop_by_drop_does_not_hold_a_block_up() -> None:
    """Who gives less than it could is left for others, without blame."""
    network, node, stranger = beside_stranger(3)
    other = next(one for one in network.nodes.values() if one.port == 30_003)
    other.blocks[BLOCK.block_id] = BLOCK
    wanted = Wanted(node, BLOCK.block_id, stranger.key, compact_body(BLOCK))
    network.settle()
    answer(node, stranger, BlockTransactions(BLOCK.block_id, TRANSACTIONS[:1]))
    network.settle()
    assert wanted.block == BLOCK
    assert not offences(node)


@pytest.mark.parametrize(
    "message",
    [
        CompactBlock(BLOCK.block_id, compact_body(BLOCK)),
        BlockTransactions(BLOCK.block_id, TRANSACTIONS),
        BlockMissing(BLOCK.block_id),
    ],
)
def test_answers_to_nothing_are_blamed(message: Message) -> None:
    _, node, stranger = beside_stranger()
    answer(node, stranger, message)
    assert offences(node) == [Offence.UNSOLICITED]
    Wanted(node, BLOCK.block_id, b"", None)
    stranger.network.settle()
    answer(node, stranger, message)
    assert offences(node) == [Offence.UNSOLICITED]


def test_replays_of_an_answer_change_nothing() -> None:
    network, node, stranger = beside_stranger()
    wanted = Wanted(node, BLOCK.block_id, stranger.key, compact_body(BLOCK))
    network.settle()
    for _ in range(5):
        answer(node, stranger, BlockTransactions(BLOCK.block_id, TRANSACTIONS))
    assert wanted.block == BLOCK
    assert not offences(node)


def test_more_bytes_than_a_block_may_have_are_not_collected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ghostchain.p2p.compact.BLOCK_BYTES_MAX", 5_000)
    network, node, stranger = beside_stranger()
    wanted = Wanted(node, BLOCK.block_id, stranger.key, compact_body(BLOCK))
    network.settle()
    answer(node, stranger, BlockTransactions(BLOCK.block_id, TRANSACTIONS))
    assert offences(node) == [Offence.INVALID_BLOCK]
    assert wanted.block is None
    (fetch,) = node.driver.core.blocks.fetches.values()
    assert fetch.raws == []


# ---- giving ----


def test_questions_are_answered() -> None:
    _, node, stranger = beside_stranger()
    node.blocks[BLOCK.block_id] = BLOCK
    other_id = Hash32(bytes(32))
    for message in (
        GetBlock(BLOCK.block_id),
        GetBlock(other_id),
        GetBlockTransactions(BLOCK.block_id, BLOCK.listing, bitmap_of([0, 99])),
        GetBlockTransactions(other_id, BLOCK.listing, b"\x01"),
    ):
        answer(node, stranger, message)
    assert said(stranger, CompactBlock) == [CompactBlock(BLOCK.block_id, compact_body(BLOCK))]
    assert said(stranger, BlockTransactions) == [
        BlockTransactions(BLOCK.block_id, (TRANSACTIONS[0], TRANSACTIONS[99]))
    ]
    assert said(stranger, BlockMissing) == [BlockMissing(other_id)] * 2


def test_indices_beyond_the_block_are_blamed() -> None:
    _, node, stranger = beside_stranger()
    node.driver.keep_block(BLOCK)
    question = GetBlockTransactions(BLOCK.block_id, BLOCK.listing, bitmap_of([100]))
    answer(node, stranger, question)
    assert offences(node) == [Offence.WRONG_ANSWER]


def test_what_a_peer_is_given_of_blocks_is_bounded() -> None:
    """It is told to ask others, and can come again; others have shares of their own."""
    network, node, stranger = beside_stranger()
    large = block_of((bytes([5]) * ANSWER_BYTES_MAX,))
    node.driver.keep_block(large)
    question = GetBlockTransactions(large.block_id, large.listing, b"\x01")
    for _ in range(40):
        answer(node, stranger, question)
    given = len(said(stranger, BlockTransactions))
    assert given == 2 * SERVED_BYTES_PER_SECOND // ANSWER_BYTES_MAX
    assert len(said(stranger, BlockMissing)) == 40 - given
    network.now_ns += SECOND_NS
    answer(node, stranger, question)
    assert len(said(stranger, BlockTransactions)) == given + 1


def test_an_answer_has_a_bounded_size() -> None:
    _, node, stranger = beside_stranger()
    large = block_of(tuple(bytes([number]) * (ANSWER_BYTES_MAX // 3) for number in range(9)))
    node.driver.keep_block(large)
    question = GetBlockTransactions(large.block_id, large.listing, bitmap_of(range(9)))
    answer(node, stranger, question)
    (message,) = said(stranger, BlockTransactions)
    assert sum(map(len, message.raws)) <= ANSWER_BYTES_MAX
    assert message.raws == large.transactions[: len(message.raws)]
