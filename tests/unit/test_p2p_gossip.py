"""How transactions spread, and what a peer cannot make of it."""

from __future__ import annotations

from random import Random

import pytest

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.p2p import gossip
from ghostchain.p2p.effects import Banned, Offended
from ghostchain.p2p.gossip import framed, pushes_of, transaction_hashes
from ghostchain.p2p.messages import (
    CHANNEL_LIMITS,
    Channel,
    GetTransactions,
    Message,
    TransactionHashes,
    Transactions,
    Welcome,
    channel_of,
    encode_message,
)
from ghostchain.p2p.recent import RecentHashes
from ghostchain.p2p.scoring import Offence
from ghostchain.primitives.types import Hash32
from tests.unit.p2p_network import SECOND_NS, Network, Node, Stranger
from tests.unit.test_p2p_compact import beside_stranger, offences, said
from tests.unit.test_p2p_core import hello

RAW = b"\x02" * 110


def raws_of(count: int, *, size: int = 110, seed: int = 1) -> list[bytes]:
    """Transactions that the test pool accepts."""
    chance = Random(seed)
    return [b"\x05" + chance.randbytes(size - 1) for _ in range(count)]


def announce(node: Node, stranger: Stranger, *raws: bytes) -> None:
    tell(node, stranger, TransactionHashes(tuple(map(keccak256, raws))))


def tell(node: Node, stranger: Stranger, message: Message) -> None:
    stranger.say(node, channel_of(message), encode_message(message))


def another(network: Network, node: Node, number: int) -> Stranger:
    stranger = Stranger(network, number)
    network.connect(node, stranger)  # type: ignore[arg-type]
    for message in (hello(), Welcome(1)):
        tell(node, stranger, message)
    return stranger


# ---- what works ----


def test_accepted_transactions_go_out_once_to_everybody() -> None:
    """To the square root as they are, to the others as hashes; and not again."""
    network = Network()
    node = network.add(1)
    strangers = [another(network, node, number) for number in range(2, 11)]
    raws = raws_of(40)
    node.accept(raws)
    node.accept(raws)
    network.run(1)
    pushed = [sum(len(one.raws) for one in said(each, Transactions)) for each in strangers]
    hashed = [sum(len(one.hashes) for one in said(each, TransactionHashes)) for each in strangers]
    assert sum(pushed) == 3 * 40
    assert [one + other for one, other in zip(pushed, hashed, strict=True)] == [40] * 9
    assert min(pushed) > 0
    assert all(len(said(each, Transactions)) == 1 for each in strangers)
    node.accept(raws)
    network.run(1)
    assert all(len(said(each, Transactions)) == 1 for each in strangers)
    assert sum(len(one.hashes) for each in strangers for one in said(each, TransactionHashes)) == (
        6 * 40
    )


def test_a_peer_that_comes_later_is_told_what_waits() -> None:
    """What was accepted while there was nobody to tell, or waits again after a restart; as hashes,
    so that it asks for what it lacks."""
    network = Network()
    node, other = network.add(1), network.add(2)
    raws = raws_of(40)
    node.accept(raws[:20])
    node.pool.update(zip(map(keccak256, raws[20:]), raws[20:], strict=True))
    network.run(1)
    network.connect(node, other)
    network.run(1)
    assert sorted(other.submitted) == sorted(raws)
    assert not node.submitted
    stranger = another(network, node, 3)
    network.run(1)
    assert not said(stranger, Transactions)
    (told,) = said(stranger, TransactionHashes)
    assert set(told.hashes) == set(map(keccak256, raws))


def test_what_a_later_peer_is_told_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "GREETING_HASHES_MAX", 30)
    network = Network()
    node = network.add(1)
    node.accept(raws_of(40))
    stranger = another(network, node, 2)
    network.run(1)
    assert [len(one.hashes) for one in said(stranger, TransactionHashes)] == [30]


def test_nobody_is_told_what_it_told() -> None:
    network, node, stranger = beside_stranger()
    raws = raws_of(3)
    tell(node, stranger, Transactions(0, tuple(raws)))
    network.run(1)
    assert node.submitted == raws
    assert not said(stranger, Transactions)
    assert not said(stranger, TransactionHashes)


def test_unknown_hashes_are_asked_for_together() -> None:
    network, node, stranger = beside_stranger()
    raws = raws_of(3)
    announce(node, stranger, *raws)
    network.run(0.1)
    (request,) = said(stranger, GetTransactions)
    assert request.hashes == tuple(map(keccak256, raws))
    tell(node, stranger, Transactions(request.request, tuple(raws)))
    assert node.submitted == raws
    assert not node.driver.core.gossip.wants
    assert not offences(node)


def test_what_comes_meanwhile_is_not_asked_for() -> None:
    network, node, stranger = beside_stranger()
    other = another(network, node, 5)
    announce(node, stranger, *raws_of(3))
    tell(node, other, Transactions(0, tuple(raws_of(3))))
    network.run(1)
    assert not said(stranger, GetTransactions)


def test_known_hashes_are_not_asked_for() -> None:
    """Neither what waits in the pool, nor what was refused, nor what is in a block."""
    network, node, stranger = beside_stranger()
    waiting, refused, included = raws_of(1)[0], b"\x02 refused", b"\x05 included"
    node.pool[keccak256(waiting)] = waiting
    tell(node, stranger, Transactions(0, (refused,)))
    node.driver.on_included([keccak256(included)])
    announce(node, stranger, waiting, refused, included)
    network.run(1)
    assert not said(stranger, GetTransactions)


def test_others_that_announced_are_asked_after_a_timeout() -> None:
    network, node, stranger = beside_stranger()
    other = another(network, node, 5)
    announce(node, stranger, RAW)
    announce(node, other, RAW)
    network.run(1)
    assert len(said(stranger, GetTransactions)) == 1
    assert not said(other, GetTransactions)
    network.run(2)
    assert len(said(other, GetTransactions)) == 1
    assert offences(node) == [Offence.SLOW]
    (late,) = said(stranger, GetTransactions)
    tell(node, stranger, Transactions(late.request, (RAW,)))
    assert node.submitted == [RAW]
    assert offences(node) == [Offence.SLOW]


def test_others_are_asked_when_the_first_has_it_no_more_or_is_gone() -> None:
    network, node, stranger = beside_stranger()
    other, third = another(network, node, 5), another(network, node, 6)
    for each in (stranger, other, third):
        announce(node, each, RAW)
    network.run(0.1)
    (request,) = said(stranger, GetTransactions)
    tell(node, stranger, Transactions(request.request, ()))
    network.run(0.1)
    assert len(said(other, GetTransactions)) == 1
    network.disconnect(other.key, node.key, "gone")
    network.run(0.1)
    assert len(said(third, GetTransactions)) == 1
    assert not offences(node)


def test_a_lost_transaction_is_forgotten_and_can_come_again() -> None:
    network, node, stranger = beside_stranger()
    announce(node, stranger, RAW)
    network.run(5)
    assert not node.driver.core.gossip.wants
    announce(node, stranger, RAW)
    network.run(1)
    assert len(said(stranger, GetTransactions)) == 2


def test_asked_transactions_are_given_as_far_as_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "ANSWER_BYTES_MAX", 1_000)
    _, node, stranger = beside_stranger()
    raws = raws_of(20)
    node.pool.update((keccak256(raw), raw) for raw in raws)
    unknown = Hash32(b"\x09" * 32)
    tell(node, stranger, GetTransactions(4, (unknown, *map(keccak256, raws))))
    tell(node, stranger, GetTransactions(5, (unknown,)))
    assert said(stranger, Transactions) == [Transactions(4, tuple(raws[:9])), Transactions(5, ())]


def test_large_ones_are_announced_only() -> None:
    network, node, stranger = beside_stranger()
    node.accept(raws_of(1, size=20_000))
    network.run(1)
    assert not said(stranger, Transactions)
    assert len(said(stranger, TransactionHashes)) == 1


def test_blob_transactions_travel_with_their_sidecars() -> None:
    """The pool keeps the bare ones, which no other pool takes."""
    bare = b"\x03" + rlp.encode([b"\x01", b"\x02"])
    wrapped = b"\x03" + rlp.encode([[b"\x01", b"\x02"], [b"b" * 100], [b"c"], [b"p"]])
    assert transaction_hashes([bare, wrapped, RAW]) == [*[keccak256(bare)] * 2, keccak256(RAW)]
    network, node, stranger = beside_stranger()
    node.driver.submit_transactions([bare])
    network.run(1)
    assert not said(stranger, TransactionHashes)
    node.driver.submit_transactions([wrapped])
    network.run(1)
    assert said(stranger, TransactionHashes) == [TransactionHashes((keccak256(bare),))]
    assert not said(stranger, Transactions)
    node.pool[keccak256(bare)] = bare
    tell(node, stranger, GetTransactions(1, (keccak256(bare),)))
    assert said(stranger, Transactions) == [Transactions(1, (wrapped,))]
    node.driver.on_included([keccak256(bare)])
    assert not node.driver.core.gossip._sidecars
    assert node.driver.core.gossip._sidecar_bytes == 0


def test_counts_of_pushes() -> None:
    assert [pushes_of(count, is_relayed=False) for count in (0, 1, 2, 3, 4, 5, 9, 10, 100)] == [
        0, 1, 2, 2, 2, 3, 3, 4, 10
    ]  # fmt: skip
    assert [pushes_of(count, is_relayed=True) for count in (0, 1, 2, 9, 10, 100)] == [
        0, 1, 1, 2, 2, 5
    ]  # fmt: skip


def test_frames_are_cut_by_bytes() -> None:
    raws = raws_of(10, size=100)
    assert [len(run) for run in framed(raws, 350)] == [3, 3, 3, 1]
    assert [len(run) for run in framed(raws_of(3, size=1_000), 350)] == [1, 1, 1]


# ---- what is hostile ----


def test_transactions_are_handed_to_the_pool_once() -> None:
    """However often and by whomever they are repeated."""
    network, node, stranger = beside_stranger()
    other = another(network, node, 5)
    for each in (stranger, other, stranger):
        tell(node, each, Transactions(0, (RAW, b"\x02 refused")))
    assert node.submitted == [RAW, b"\x02 refused"]
    assert not offences(node)


def test_who_brings_what_can_never_be_valid_is_blamed() -> None:
    _, node, stranger = beside_stranger()
    tell(node, stranger, Transactions(0, (b"\x01 invalid", b"\x02 refused", RAW)))
    assert offences(node) == [Offence.INVALID_TRANSACTION]
    tell(node, stranger, Transactions(0, tuple(b"\x01" + raw for raw in raws_of(3))))
    assert node.of(Banned)


def test_answers_must_answer() -> None:
    network, node, stranger = beside_stranger()
    tell(node, stranger, Transactions(9, (RAW,)))
    assert offences(node) == [Offence.UNSOLICITED]
    assert not node.submitted
    announce(node, stranger, RAW)
    network.run(0.1)
    (request,) = said(stranger, GetTransactions)
    tell(node, stranger, Transactions(request.request, (b"\x05 another",)))
    assert offences(node)[1:] == [Offence.WRONG_ANSWER]
    assert node.of(Banned)
    assert not node.submitted


def test_an_answer_counts_once() -> None:
    network, node, stranger = beside_stranger()
    announce(node, stranger, RAW)
    network.run(0.1)
    (request,) = said(stranger, GetTransactions)
    for _ in range(2):
        tell(node, stranger, Transactions(request.request, (RAW,)))
    assert node.submitted == [RAW]
    assert offences(node) == [Offence.UNSOLICITED]


def test_a_transaction_twice_in_a_message_is_malformed() -> None:
    _, node, stranger = beside_stranger()
    tell(node, stranger, Transactions(0, (RAW, RAW)))
    assert offences(node) == [Offence.MALFORMED]


@pytest.mark.parametrize("raw", [b"\x03", b"\x03\xff", b"\x03\xc0", b"\x03\xc1", b"\x03\xc1\xc0"])
def test_broken_blob_transactions_harm_nobody(raw: bytes) -> None:
    _, node, stranger = beside_stranger()
    tell(node, stranger, Transactions(0, (raw,)))
    assert set(offences(node)) <= {Offence.INVALID_TRANSACTION}


def test_announcing_what_does_not_exist_takes_bounded_room() -> None:
    """Each peer has its share of what is wanted; another's announcements still count."""
    network, node, stranger = beside_stranger()
    chance = Random(5)
    for _ in range(4):
        hashes = tuple(Hash32(chance.randbytes(32)) for _ in range(1_000))
        tell(node, stranger, TransactionHashes(hashes))
    core = node.driver.core.gossip
    assert len(core.wants) == gossip.WANTED_OF_PEER_MAX
    other = another(network, node, 5)
    announce(node, other, RAW)
    assert keccak256(RAW) in core.wants
    network.run(0.1)
    asked = sum(len(one.hashes) for one in said(stranger, GetTransactions))
    assert asked == gossip.ASKED_OF_PEER_MAX
    assert len(said(other, GetTransactions)) == 1
    network.run(30)
    assert not core.wants
    assert all(talk.wanted == 0 for talk in core.talks.values())
    assert all(talk.asked_count == 0 for talk in core.talks.values())


def test_shares_follow_whoever_is_left() -> None:
    """The share of a peer that is gone is not used up, and not given back twice."""
    network, node, stranger = beside_stranger()
    other = another(network, node, 5)
    for each in (stranger, other):
        announce(node, each, *raws_of(5))
    core = node.driver.core.gossip
    assert core.talks[stranger.key].wanted == 5
    network.disconnect(stranger.key, node.key, "gone")
    network.settle()
    assert core.talks[other.key].wanted == 5
    network.run(20)
    assert core.talks[other.key].wanted == 0


def test_what_waits_for_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow pool does not fill memory, and the next peer is not shut out by the first."""
    monkeypatch.setattr(gossip, "BACKLOG_OF_PEER_BYTES_MAX", 1_000)
    network, node, stranger = beside_stranger()
    other = another(network, node, 5)
    waiting = []
    node.driver._ports = type(node.driver._ports)(
        **{
            name: getattr(node.driver._ports, name)
            for name in node.driver._ports.__slots__
            if name != "submit"
        },
        submit=lambda raws, done: waiting.append((raws, done)),
    )
    for raw in raws_of(20):
        tell(node, stranger, Transactions(0, (raw,)))
    assert len(waiting) == 9
    tell(node, other, Transactions(0, tuple(raws_of(2, seed=2))))
    assert len(waiting) == 10
    for raws, done in waiting:
        node.pool.update((keccak256(raw), raw) for raw in raws)
        done([gossip.Verdict.ACCEPTED] * len(raws))
    tell(node, stranger, Transactions(0, tuple(raws_of(20)[9:12])))
    assert len(waiting) == 11


def test_what_a_peer_is_served_is_bounded() -> None:
    """Small questions do not buy endless large answers."""
    network, node, stranger = beside_stranger()
    raws = raws_of(40, size=900_000)
    node.pool.update((keccak256(raw), raw) for raw in raws)
    for number, raw in enumerate(raws, 1):
        tell(node, stranger, GetTransactions(number, (keccak256(raw),)))
    answers = said(stranger, Transactions)
    assert len(answers) == 40
    assert (
        sum(len(raw) for one in answers for raw in one.raws) <= 2 * gossip.SERVED_BYTES_PER_SECOND
    )
    network.now_ns += SECOND_NS
    tell(node, stranger, GetTransactions(99, (keccak256(raws[0]),)))
    assert said(stranger, Transactions)[-1].raws


def test_a_flood_of_messages_is_cut_off() -> None:
    _, node, stranger = beside_stranger()
    limits = CHANNEL_LIMITS[Channel.TRANSACTIONS]
    frame = encode_message(GetTransactions(1, (Hash32(bytes(32)),)))
    for _ in range(limits.messages_per_second * limits.burst_seconds * 2 + 100):
        node.driver.on_message(stranger.key, Channel.TRANSACTIONS, frame)
    assert {effect.offence for effect in node.of(Offended)} == {Offence.FLOOD}
    assert node.of(Banned)


def test_recent_hashes_are_bounded() -> None:
    recent = RecentHashes(10)
    hashes = [Hash32(bytes([number]) * 32) for number in range(100)]
    for one in hashes:
        recent.add([one])
        assert len(recent) <= 10
        assert one in recent
    assert all(one in recent for one in hashes[-5:])
    assert recent.missing(hashes[-2:]) == []
    recent.discard(hashes[-1:])
    assert recent.missing(hashes[-2:]) == hashes[-1:]
