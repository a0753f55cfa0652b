"""Hellos, what is let through before and after them, and how connections end."""

from __future__ import annotations

from typing import Any

import pytest

from ghostchain.p2p.effects import Banned, Heard, Offended, PeerDown, PeerUp
from ghostchain.p2p.messages import (
    CHANNEL_LIMITS,
    Channel,
    Hello,
    Message,
    Ping,
    Pong,
    Welcome,
    channel_of,
    decode_message,
    encode_message,
)
from ghostchain.p2p.scoring import BAN_STEP_NS, Offence
from ghostchain.primitives.types import Hash32
from tests.unit.p2p_network import CHAIN_ID, GENESIS, SECOND_NS, Network, Node, Stranger


def hello(**changes: Any) -> Hello:
    fields: dict[str, Any] = {
        "version_min": 1,
        "version_max": 1,
        "chain_id": CHAIN_ID,
        "genesis": GENESIS,
        "software": "by hand",
        "record": b"",
        "head": 0,
        "seen_host": "127.0.0.1",
    }
    return Hello(**{**fields, **changes})


def pair(seed: int = 0, *, shuffles: bool = False) -> tuple[Network, Node, Node]:
    network = Network(seed, shuffles=shuffles)
    one, other = network.add(1), network.add(2)
    network.connect(one, other)
    network.settle()
    return network, one, other


def with_stranger(*messages: Message) -> tuple[Network, Node, Stranger]:
    """A node, and a stranger connected to it that has said these."""
    network = Network()
    node, stranger = network.add(1), Stranger(network, 2)
    network.connect(node, stranger)  # type: ignore[arg-type]
    for message in messages:
        stranger.say(node, channel_of(message), encode_message(message))
    return network, node, stranger


def greeted() -> tuple[Network, Node, Stranger]:
    return with_stranger(hello(), Welcome(1))


def offences(node: Node) -> list[Offence]:
    return [effect.offence for effect in node.of(Offended)]


def test_hellos_bring_both_sides_up() -> None:
    _, one, other = pair()
    assert [effect.info.peer for effect in one.of(PeerUp)] == [other.key]
    assert [effect.info.peer for effect in other.of(PeerUp)] == [one.key]
    (info,) = one.driver.peers()
    assert (info.software, info.version, info.inbound) == ("test 2", 1, False)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_overtakes_the_hello(seed: int) -> None:
    """Whatever order the channels come in, what is sent once a peer is up arrives after the other
    side has it up too, and nobody is blamed."""
    network = Network(seed, shuffles=True)
    one, other = network.add(1), network.add(2)
    for node in (one, other):

        def speak(effect: object, node: Node = node) -> None:
            node.effects.append(effect)  # type: ignore[arg-type]
            if isinstance(effect, PeerUp):
                node.driver.broadcast(Channel.VOTES, b"vote")
                node.driver.broadcast(Channel.SYNC, b"sync")

        node.listener = speak
    network.connect(one, other)
    network.settle()
    for node in (one, other):
        assert {payload for _, _, payload in node.heard} == {b"vote", b"sync"}
        assert not offences(node)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chain_id": CHAIN_ID + 1}, "another chain id: 8"),
        ({"genesis": Hash32(bytes(32))}, "another genesis"),
        ({"version_min": 2, "version_max": 3}, "no common version of the protocol: 2 to 3"),
        ({"version_min": 0, "version_max": 0}, "no common version of the protocol: 0 to 0"),
    ],
)
def test_others_are_told_why_they_do_not_belong_here(changes: dict[str, Any], words: str) -> None:
    """Another network is not an offence: the peer may come to the right one tomorrow."""
    _, node, stranger = with_stranger(hello(**changes))
    assert not node.driver.peers()
    assert words in stranger.closed[0]
    assert not node.of(Banned)


def test_later_versions_speak_ours_with_us() -> None:
    _, node, _ = with_stranger(hello(version_max=9), Welcome(1))
    assert node.driver.peers()[0].version == 1


@pytest.mark.parametrize("channel", [channel for channel in Channel if channel != Channel.CONTROL])
def test_nothing_is_taken_before_the_hello(channel: Channel) -> None:
    _, node, stranger = with_stranger()
    stranger.say(node, channel, b"\x91\x01")
    assert offences(node) == [Offence.OUT_OF_ORDER]
    assert stranger.closed == ["misbehaved: before its hello"]
    assert not node.heard


def test_who_keeps_coming_in_the_wrong_order_is_banned() -> None:
    """Once may be a fault of the connection, and costs the connection alone."""
    network, node, stranger = with_stranger()
    for _ in range(3):
        assert not node.of(Banned)
        stranger.say(node, Channel.VOTES, b"vote")
        network.connect(node, stranger)  # type: ignore[arg-type]
    assert node.of(Banned)


@pytest.mark.parametrize("message", [Welcome(1), Ping(1, 1), Pong(1, 1)])
def test_no_other_control_message_comes_before_the_hello(message: Message) -> None:
    _, node, _ = with_stranger(message)
    assert offences(node) == [Offence.OUT_OF_ORDER]


def test_hello_and_welcome_come_once() -> None:
    for again in (hello(), Welcome(1)):
        _, node, _ = with_stranger(hello(), Welcome(1), again)
        assert offences(node) == [Offence.OUT_OF_ORDER]
        assert [effect.peer for effect in node.of(PeerDown)]


def test_what_comes_between_hello_and_welcome_waits_within_bounds() -> None:
    _, node, stranger = with_stranger(hello())
    for number in range(100):
        stranger.say(node, Channel.VOTES, number.to_bytes(1, "big"))
    assert not node.heard
    stranger.say(node, Channel.CONTROL, encode_message(Welcome(1)))
    assert [payload[0] for _, _, payload in node.heard] == list(range(64))
    assert not offences(node)


def test_who_says_nothing_is_left() -> None:
    network, node, stranger = with_stranger()
    network.run(6)
    assert stranger.closed == ["no hello, or no sign of life, in time"]
    assert offences(node) == [Offence.SILENT]
    assert not node.driver.core.connections


def test_signs_of_life_carry_heads_and_measure_latency() -> None:
    network, one, other = pair()
    other.driver.set_head(5)
    network.run(40)
    assert one.of(Heard)[-1].head == 5
    assert one.driver.peers()[0].latency_ns == 0
    assert not one.of(Offended)


def test_who_does_not_answer_a_ping_is_left() -> None:
    network, node, stranger = greeted()
    network.run(50)
    assert [decode_message(*frame) for frame in stranger.heard[3:]] == [Ping(1, 0)]
    assert stranger.closed == ["no hello, or no sign of life, in time"]
    assert not node.of(Banned)


def test_pongs_answer_pings() -> None:
    """One that answers nothing is an offence, with few points: pings and pongs may cross."""
    _, node, stranger = greeted()
    stranger.say(node, Channel.CONTROL, encode_message(Pong(1, 0)))
    assert offences(node) == [Offence.UNSOLICITED]
    assert node.driver.peers()


def test_flooding_is_stopped_before_it_is_read() -> None:
    """Frames over the peer's share do not reach the handler, and cost points until it is gone."""
    _, node, stranger = greeted()
    limits = CHANNEL_LIMITS[Channel.VOTES]
    allowed = limits.messages_per_second * limits.burst_seconds * 2
    for _ in range(allowed + 200):
        node.driver.on_message(stranger.key, Channel.VOTES, b"vote")
    assert len(node.heard) == allowed
    assert set(offences(node)) == {Offence.FLOOD}
    assert node.of(Banned)


def test_a_share_is_of_bytes_too_and_grows_again() -> None:
    network, node, stranger = greeted()
    limits = CHANNEL_LIMITS[Channel.EVIDENCE]
    frame = bytes(limits.frame_bytes_max)
    count = limits.bytes_per_second * limits.burst_seconds * 2 // len(frame)
    for _ in range(count + 1):
        node.driver.on_message(stranger.key, Channel.EVIDENCE, frame)
    assert len(node.heard) == count
    network.now_ns += SECOND_NS // 2
    node.driver.on_message(stranger.key, Channel.EVIDENCE, frame)
    assert len(node.heard) == count + 1


def test_there_are_so_many_channels() -> None:
    _, node, stranger = greeted()
    node.driver.on_message(stranger.key, 7, b"frame")
    assert offences(node) == [Offence.MALFORMED]


def test_points_fade() -> None:
    """Who misbehaves a little now and then is never banned; who does it at once is."""
    network, node, stranger = greeted()
    for _ in range(10):
        node.driver.punish(stranger.key, "late", Offence.UNSOLICITED)
        network.now_ns += 25 * SECOND_NS
    assert not node.of(Banned)
    for _ in range(5):
        node.driver.punish(stranger.key, "late", Offence.UNSOLICITED)
    assert node.of(Banned)


def test_a_ban_has_a_reason_and_an_end() -> None:
    network, node, stranger = greeted()
    stranger.say(node, Channel.CONTROL, b"\xc1")
    (ban,) = node.of(Banned)
    assert "malformed" in ban.reason
    assert ban.until_ns == network.now_ns + BAN_STEP_NS
    network.connect(node, stranger)  # type: ignore[arg-type]
    network.settle()
    assert stranger.closed[-1].startswith("banned: a malformed message")
    network.now_ns = ban.until_ns
    network.connect(node, stranger)  # type: ignore[arg-type]
    network.settle()
    assert node.key in {receiver for _, receiver in network.wires}


def test_points_outlive_the_connection() -> None:
    network, node, stranger = greeted()
    node.driver.punish(stranger.key, "a forged vote")
    network.disconnect(stranger.key, node.key, "gone")
    network.settle()
    network.connect(node, stranger)  # type: ignore[arg-type]
    node.driver.punish(stranger.key, "a forged vote")
    assert node.of(Banned)


def test_a_node_does_not_talk_to_itself() -> None:
    network = Network()
    node = network.add(1)
    node.driver.on_connected(node.key, "127.0.0.1", 1, True)
    assert not node.driver.core.connections


def test_broadcasts_reach_those_that_are_up() -> None:
    network, one, other = pair()
    third = network.add(3)
    network.connect(one, third)
    network.lost = lambda sender, receiver, channel, payload: sender == third.key
    assert one.driver.broadcast(Channel.VOTES, b"vote") == 1
    assert not one.driver.send(third.key, Channel.VOTES, b"vote")
    network.settle()
    assert other.heard == [(one.key, Channel.VOTES, b"vote")]
    assert not third.heard
