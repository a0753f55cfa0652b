"""Signed addresses, the peer book, whom to dial, whom to let in."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ghostchain.crypto.ed25519 import public_key_of, sign
from ghostchain.encoding.votes import node_claim_bytes
from ghostchain.p2p.book import (
    ENTRIES_MAX,
    FAILURES_MAX,
    GROUP_ENTRIES_MAX,
    UNTRIED_OF_SOURCE_MAX,
    Book,
)
from ghostchain.p2p.connections import PeerLimits
from ghostchain.p2p.discovery import ANSWER_EVERY_NS
from ghostchain.p2p.effects import Banned, Offended, PeerDown
from ghostchain.p2p.messages import (
    PEERS_MAX,
    Channel,
    GetPeers,
    InvalidMessage,
    Message,
    Peers,
    Welcome,
    channel_of,
    decode_message,
    encode_message,
)
from ghostchain.p2p.records import (
    AddressRecord,
    Claim,
    Scope,
    decode_record,
    group_of,
    make_record,
    scope_of,
    verify_record,
)
from ghostchain.p2p.scoring import HOST_STRIKES_MAX, VALIDATOR_BAN_NS_MAX, Ban, Bans, Offence
from tests.unit.p2p_network import CHAIN_ID, SECOND_NS, START_NS, Network, Node, Stranger, seed_of
from tests.unit.test_p2p_core import hello, offences

NOW = START_NS // 1_000_000
VALIDATOR = seed_of(77)


def claim_of(number: int, validator: bytes = VALIDATOR, *, time: int = NOW) -> Claim:
    """That the node of this number speaks for the validator."""
    claimed = node_claim_bytes(CHAIN_ID, public_key_of(seed_of(number)), time)
    return Claim(public_key_of(validator), time, sign(validator, claimed))


def record_of(number: int, host: str = "127.0.0.1", port: int = 0, **changes: Any) -> AddressRecord:
    seed = seed_of(number)
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "key": public_key_of(seed),
        "host": host,
        "port": port or 40_000 + number % 20_000,
        "sequence": NOW,
        "claim": None,
    }
    return make_record(lambda data: sign(seed, data), **{**fields, **changes})


def visit(
    network: Network, node: Node, number: int, *, host: str = "127.0.0.1", record: bytes = b""
) -> Stranger:
    """A stranger from there dials in and says its hello, and welcome when it is greeted."""
    stranger = Stranger(network, number, host=host)
    network.connect(stranger, node)  # type: ignore[arg-type]
    for message in (hello(record=record), Welcome(1)):
        stranger.say(node, Channel.CONTROL, encode_message(message))
    network.settle()
    return stranger


def tell(node: Node, stranger: Stranger, message: Message) -> None:
    stranger.say(node, channel_of(message), encode_message(message))


def heard(stranger: Stranger, kind: type) -> list[Any]:
    messages = [decode_message(*frame) for frame in stranger.heard]
    return [message for message in messages if isinstance(message, kind)]


def alone(**options: Any) -> tuple[Network, Node]:
    network = Network()
    return network, network.add(1, **options)


# ---- records ----


@pytest.mark.parametrize("host", ["127.0.0.1", "203.0.113.9", "2001:db8::1", "10.1.2.3"])
@pytest.mark.parametrize("claim", [None, claim_of(2)])
def test_records_come_back_and_hold(host: str, claim: Claim | None) -> None:
    record = record_of(2, host, claim=claim)
    assert decode_record(record.raw) == record
    assert verify_record(CHAIN_ID, record)
    assert not verify_record(CHAIN_ID + 1, record)


def test_any_changed_byte_breaks_a_record() -> None:
    raw = record_of(2, claim=claim_of(2)).raw
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        try:
            record = decode_record(bytes(changed))
        except InvalidMessage:
            continue
        assert not verify_record(CHAIN_ID, record), place
    for length in range(len(raw)):
        with pytest.raises(InvalidMessage):
            decode_record(raw[:length])


def test_claims_are_for_one_node() -> None:
    """A node cannot adorn itself with another's claim."""
    record = record_of(3, claim=claim_of(2))
    assert not verify_record(CHAIN_ID, record)


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "::", "ff02::1"])
def test_hosts_that_nobody_has_are_refused(host: str) -> None:
    with pytest.raises(InvalidMessage):
        decode_record(record_of(2, host).raw)


def test_an_address_has_one_form() -> None:
    """An IPv4 address written as one of IPv6 would count as another network."""
    raw = record_of(2, "1.2.3.4").raw
    mapped = raw[:42] + b"\x10" + bytes(10) + b"\xff\xff" + raw[43:]
    with pytest.raises(InvalidMessage):
        decode_record(mapped)
    assert record_of(2, "::ffff:1.2.3.4").host == "1.2.3.4"


def test_scopes_and_groups() -> None:
    assert scope_of("127.3.4.5") == scope_of("::1") == Scope.LOOPBACK
    assert scope_of("10.0.0.1") == scope_of("fe80::1%eth0") == Scope.PRIVATE
    assert scope_of("8.8.8.8") == scope_of("node.example") == Scope.PUBLIC
    assert group_of("8.8.8.8") == group_of("8.8.8.200") != group_of("8.8.9.8")
    assert group_of("2a00:1:2:3::1") == group_of("2a00:1:2:4::1") != group_of("2a00:1:3::1")


# ---- the book ----


def test_the_book_takes_news_only() -> None:
    book = Book(public_key_of(seed_of(1)))
    record = record_of(2)
    assert book.wants(record, b"source", now_ns=START_NS)
    book.add(record, b"source", now_ns=START_NS)
    assert not book.wants(record, b"source", now_ns=START_NS)
    assert not book.wants(record_of(2, sequence=NOW - 1), b"source", now_ns=START_NS)
    assert book.wants(record_of(2, port=9, sequence=NOW + 1), b"source", now_ns=START_NS)
    assert not book.wants(record_of(2, sequence=NOW + 700_000), b"source", now_ns=START_NS)
    assert not book.wants(record_of(3, sequence=NOW - 15 * 86_400_000), b"", now_ns=START_NS)
    assert not book.wants(record_of(1), b"source", now_ns=START_NS)


def test_nobody_fills_the_book() -> None:
    """Neither one peer, nor one network, nor all together; who was up stays."""
    book = Book(b"own")
    proven = record_of(5, "8.1.1.1")
    book.add(proven, proven.key, now_ns=START_NS)
    book.on_up(proven.key, now_ns=START_NS)

    def offer(number: int, host: str, source: bytes) -> bool:
        record = record_of(number, host)
        if not book.wants(record, source, now_ns=START_NS):
            return False
        book.add(record, source, now_ns=START_NS)
        return True

    taken = sum(offer(100 + number, f"10.0.0.{number}", b"liar") for number in range(100))
    assert taken == UNTRIED_OF_SOURCE_MAX
    taken = sum(offer(300 + number, f"8.8.8.{number}", bytes([number])) for number in range(1, 100))
    assert taken == GROUP_ENTRIES_MAX
    for number in range(ENTRIES_MAX + 10):
        host = f"9.{number >> 8}.{number & 255}.1"
        assert offer(1_000 + number, host, number.to_bytes(2, "big"))
    assert len(book.entries) == ENTRIES_MAX
    assert proven.key in book.entries


def test_dials_that_fail_are_tried_ever_later_up_to_a_limit() -> None:
    book, chance = Book(b"own"), Random(1)
    record = record_of(2)
    book.add(record, b"source", now_ns=START_NS)
    entry = book.entries[record.key]
    pauses = []
    for _ in range(FAILURES_MAX - 1):
        book.on_failed(record.key, is_wanted=False, chance=chance, now_ns=START_NS)
        pauses.append((entry.dial_ns - START_NS) / SECOND_NS)
    assert all(0.75 * 5 * n <= pause <= 1.25 * 5 * n for n, pause in enumerate(pauses, 1))
    assert len(set(pauses)) == len(pauses)
    book.on_failed(record.key, is_wanted=False, chance=chance, now_ns=START_NS)
    assert record.key not in book.entries
    book.add_boot(record.key, "node.example", 1)
    for _ in range(100):
        book.on_failed(record.key, is_wanted=False, chance=chance, now_ns=START_NS)
    assert book.entries[record.key].dial_ns <= START_NS + 5 * SECOND_NS


def test_a_book_comes_back_from_disk() -> None:
    book = Book(b"own")
    for number in range(2, 12):
        record = record_of(number, claim=claim_of(number) if number == 5 else None)
        book.add(record, b"source", now_ns=START_NS)
    book.on_up(record_of(3).key, now_ns=START_NS)
    data = book.to_bytes({b"k" * 32: Ban(START_NS + 5, "why", 3)})
    again = Book(b"own")
    bans = again.load(data, now_ns=START_NS)
    assert bans == {b"k" * 32: Ban(START_NS + 5, "why", 3)}
    assert again.entries.keys() == book.entries.keys()
    assert again.entries[record_of(3).key].up_ns == START_NS
    assert again.node_of(public_key_of(VALIDATOR)) == record_of(5).key
    assert again.to_bytes(bans) == data


def test_a_damaged_book_is_told_and_not_used() -> None:
    book = Book(b"own")
    book.add(record_of(2), b"source", now_ns=START_NS)
    data = book.to_bytes({})
    for place in (0, 9, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        again = Book(b"own")
        with pytest.raises(ValueError, match="damaged"):
            again.load(bytes(changed), now_ns=START_NS)
        assert not again.entries
    for short in (b"", data[:8], data[:-1]):
        with pytest.raises(ValueError, match="damaged"):
            Book(b"own").load(short, now_ns=START_NS)


# ---- exchange ----


def test_addresses_of_hellos_are_passed_on() -> None:
    network, node = alone()
    record = record_of(2)
    visit(network, node, 2, record=record.raw)
    other = visit(network, node, 3)
    tell(node, other, GetPeers(PEERS_MAX))
    assert heard(other, Peers) == [Peers((record.raw,))]


def test_only_nodes_that_were_up_are_passed_on() -> None:
    """Keys are free to make: what somebody says of others is tried before it is repeated."""
    network, node = alone(limits=PeerLimits(outbound_target=3))
    teller = visit(network, node, 2, record=record_of(2).raw)
    assert heard(teller, GetPeers)
    tell(node, teller, Peers(tuple(record_of(number).raw for number in range(10, 20))))
    assert len(node.driver.core.discovery.book.entries) == 11
    other = visit(network, node, 3)
    tell(node, other, GetPeers(PEERS_MAX))
    assert heard(other, Peers) == [Peers((record_of(2).raw,))]


def test_an_answer_has_so_many_records_and_validators_first() -> None:
    network, node = alone()
    node.driver.set_validators([public_key_of(VALIDATOR)])
    for number in range(2, 42):
        claim = claim_of(number) if number == 20 else None
        stranger = visit(network, node, number, record=record_of(number, claim=claim).raw)
        network.disconnect(stranger.key, node.key, "gone")
        network.settle()
    asker = visit(network, node, 50)
    tell(node, asker, GetPeers(5))
    (answer,) = heard(asker, Peers)
    assert len(answer.records) == 5
    assert answer.records[0] == record_of(20, claim=claim_of(20)).raw


def test_near_addresses_stay_near() -> None:
    """Loopback and private addresses are told only to peers as near, and believed only of them."""
    network, node = alone(limits=PeerLimits(outbound_target=9))
    records = {
        2: record_of(2, "127.0.0.1"),
        3: record_of(3, "192.168.1.5"),
        4: record_of(4, "8.8.4.4"),
    }
    for number, record in records.items():
        visit(network, node, number, host=record.host, record=record.raw)
    for host, count in (("127.0.0.1", 3), ("192.168.1.9", 2), ("9.9.9.9", 1)):
        asker = visit(network, node, 10 + count, host=host)
        tell(node, asker, GetPeers(PEERS_MAX))
        (answer,) = heard(asker, Peers)
        assert len(answer.records) == count
    liar = visit(network, node, 30, host="7.7.7.7", record=record_of(30, "127.0.0.1").raw)
    tell(node, liar, Peers(tuple(record_of(number, "10.0.0.1").raw for number in (31, 32))))
    book = node.driver.core.discovery.book
    assert not book.entries.keys() & {record_of(number).key for number in (30, 31, 32)}
    assert not node.of(Offended)


@pytest.mark.parametrize(
    "record",
    [record_of(3).raw, record_of(2).raw[:-1] + b"\0", record_of(2, claim=claim_of(9)).raw],
)
def test_forged_records_of_oneself_are_punished(record: bytes) -> None:
    network, node = alone()
    stranger = visit(network, node, 2, record=record)
    assert offences(node) == [Offence.FORGED_RECORD]
    assert stranger.closed
    assert not node.driver.core.discovery.book.entries


def test_who_passes_a_forged_record_on_is_punished() -> None:
    network, node = alone()
    stranger = visit(network, node, 2)
    forged = record_of(9).raw
    tell(node, stranger, Peers((record_of(8).raw, forged[:-1] + bytes([forged[-1] ^ 1]))))
    assert offences(node) == [Offence.FORGED_RECORD]
    assert record_of(9).key not in node.driver.core.discovery.book.entries


def test_peers_that_nobody_asked_for_are_not_taken() -> None:
    network, node = alone()
    stranger = visit(network, node, 2)
    for _ in range(2):
        tell(node, stranger, Peers((record_of(8).raw, record_of(9).raw)))
    assert offences(node) == [Offence.UNSOLICITED]
    assert len(node.driver.core.discovery.book.entries) == 2


def test_broken_records_are_malformed() -> None:
    network, node = alone()
    stranger = visit(network, node, 2)
    tell(node, stranger, Peers((b"record",)))
    assert offences(node) == [Offence.MALFORMED]


def test_asking_too_often_is_not_answered_and_bans_only_who_goes_on() -> None:
    """Honest peers that ask twice, as after a restart, are not banned for it."""
    network, node = alone()
    stranger = visit(network, node, 2)
    for _ in range(5):
        tell(node, stranger, GetPeers(1))
    assert len(heard(stranger, Peers)) == 1
    assert set(offences(node)) == {Offence.FLOOD}
    assert not node.of(Banned)
    network.now_ns += ANSWER_EVERY_NS
    tell(node, stranger, GetPeers(1))
    assert len(heard(stranger, Peers)) == 2


def test_own_news_are_taken_and_not_endless() -> None:
    network, node = alone()
    stranger = visit(network, node, 2, record=record_of(2).raw)
    book = node.driver.core.discovery.book
    for number in range(1, 12):
        tell(node, stranger, Peers((record_of(2, port=number, sequence=NOW + number).raw,)))
    assert book.entries[stranger.key].port == 8
    assert set(offences(node)) == {Offence.FLOOD}


# ---- this node's own address ----


@pytest.mark.parametrize(
    ("seen", "own"),
    [
        ((("8.8.8.8", "9.1.1.1"),), None),
        ((("8.8.8.8", "9.1.1.1"), ("8.8.9.8", "9.1.1.1")), "9.1.1.1"),
        ((("8.8.8.8", "9.1.1.1"), ("8.8.9.8", "9.1.1.2")), None),
        ((("192.168.1.2", "192.168.1.3"),), "192.168.1.3"),
        ((("8.8.8.8", "192.168.1.3"), ("8.8.9.8", "192.168.1.3")), None),
        ((("8.8.8.8", "name.example"), ("8.8.9.8", "name.example")), None),
        ((("8.8.8.8", ""), ("8.8.9.8", "")), None),
    ],
)
def test_hosts_are_believed_with_care(seen: tuple[tuple[str, str], ...], own: str | None) -> None:
    """One public peer could make the node announce somebody else's address."""
    network, node = alone(host=None)
    for number, (host, seen_host) in enumerate(seen, 2):
        stranger = Stranger(network, number, host=host)
        network.connect(stranger, node)  # type: ignore[arg-type]
        tell(node, stranger, hello(seen_host=seen_host))
    record = node.driver.core.discovery.own
    assert (record.host if record is not None else None) == own


def test_a_node_without_a_port_has_no_record() -> None:
    network, node = alone(port=None)
    stranger = visit(network, node, 2)
    assert decode_message(*stranger.heard[0]).record == b""  # type: ignore[union-attr]


def test_peers_are_told_when_a_node_becomes_a_validator() -> None:
    network = Network()
    one, other = network.add(1), network.add(2)
    network.connect(one, other)
    network.settle()
    key = public_key_of(VALIDATOR)
    other.driver.set_validators([key])
    claim = claim_of(1)
    one.driver.set_claim(claim.key, claim.time, claim.signature)
    network.settle()
    assert other.driver.peers()[0].validator == key
    assert other.driver.core.discovery.book.node_of(key) == one.key


# ---- dialling ----


def test_bootnodes_are_dialled_until_they_answer() -> None:
    network, node = alone(limits=PeerLimits(outbound_target=3))
    late = public_key_of(seed_of(9))
    node.driver.add_bootnode(late, "127.0.0.1", 30_009)
    network.run(60)
    assert not node.driver.peers()
    network.add(9)
    network.run(6)
    assert [info.peer for info in node.driver.peers()] == [late]


def test_who_is_banned_is_not_dialled_meanwhile() -> None:
    network, node = alone(limits=PeerLimits(outbound_target=3))
    liar = network.add(3)
    node.driver.add_bootnode(liar.key, liar.host, liar.port)
    network.run(3)
    node.driver.punish(liar.key, "a lie", Offence.MALFORMED)
    dials = []
    node.dial = lambda peer, host, port: dials.append(peer)  # type: ignore[method-assign]
    network.run(590)
    assert not dials
    network.run(20)
    assert dials[0] == liar.key


def test_who_is_of_another_chain_is_not_dialled_for_long() -> None:
    network, node = alone(limits=PeerLimits(outbound_target=3))
    stranger = Stranger(network, 2)
    node.driver.add_bootnode(stranger.key, stranger.host, stranger.port)
    network.run(1)
    tell(node, stranger, hello(chain_id=CHAIN_ID + 1))
    entry = node.driver.core.discovery.book.entries[stranger.key]
    assert entry.dial_ns >= network.now_ns + 3_500 * SECOND_NS


def test_as_many_are_dialled_as_wanted_and_again_when_they_go() -> None:
    network, node = alone(limits=PeerLimits(outbound_target=3))
    others = [network.add(number) for number in range(2, 12)]
    for other in others:
        node.driver.add_bootnode(other.key, other.host, other.port)
    network.run(5)
    assert len(node.driver.peers()) == 3
    gone = node.driver.peers()[0].peer
    del network.nodes[gone]
    network.disconnect(gone, node.key, "gone")
    network.run(5)
    assert len(node.driver.peers()) == 3


def test_dials_that_nobody_answers_fail_by_themselves() -> None:
    network, node = alone(limits=PeerLimits(outbound_target=3))
    node.driver.add_bootnode(b"k" * 32, "127.0.0.1", 1)
    node.dial = lambda *arguments: None  # type: ignore[method-assign]
    network.run(1)
    discovery = node.driver.core.discovery
    assert discovery.dialing
    failures = discovery.book.entries[b"k" * 32].failures
    network.run(16)
    assert discovery.book.entries[b"k" * 32].failures > failures


def test_not_more_outbound_peers_of_one_network_than_allowed() -> None:
    network, node = alone(limits=PeerLimits(outbound_target=10, near_max=2))
    for number in range(2, 12):
        other = network.add(number, host=f"8.8.8.{number}")
        node.driver.add_bootnode(other.key, other.host, other.port)
    network.run(5)
    assert len(node.driver.peers()) == 2


def test_validators_dial_each_other_beyond_the_number() -> None:
    """Whoever is in the set is connected to all of it, however few it dials otherwise."""
    network = Network()
    limits = PeerLimits(inbound_max=8, outbound_target=1)
    nodes = [network.add(number, limits=limits) for number in range(1, 9)]
    seeds = [seed_of(100 + number) for number in range(1, 6)]
    keys = [public_key_of(seed) for seed in seeds]
    for number, node in enumerate(nodes, 1):
        node.driver.add_bootnode(nodes[-1].key, nodes[-1].host, nodes[-1].port)
        node.driver.set_validators(keys)
        if number <= 5:
            claim = claim_of(number, seeds[number - 1])
            node.driver.set_claim(claim.key, claim.time, claim.signature)
    network.run(90)
    for node in nodes[:5]:
        up = set(node.driver.core.up)
        assert up >= {other.key for other in nodes[:5]} - {node.key}
    assert not any(node.of(Offended) for node in nodes)


def test_a_validator_that_was_cut_off_is_back_in_seconds() -> None:
    """However long it was away: pauses between dials of validators stay short."""
    network = Network()
    limits = PeerLimits(outbound_target=0)
    nodes = [network.add(number, limits=limits) for number in (1, 2)]
    keys = []
    for number, node in enumerate(nodes, 1):
        claim = claim_of(number, seed_of(200 + number))
        keys.append(claim.key)
        node.driver.set_claim(claim.key, claim.time, claim.signature)
    for node in nodes:
        node.driver.set_validators(keys)
    network.connect(*nodes)
    network.settle()
    away = network.nodes.pop(nodes[1].key)
    network.disconnect(nodes[0].key, nodes[1].key, "partition")
    network.run(120)
    network.nodes[away.key] = away
    network.run(6)
    assert away.key in nodes[0].driver.core.up


# ---- who is let in ----


def test_inbound_peers_are_limited_and_the_others_told_of_peers() -> None:
    network, node = alone(limits=PeerLimits(inbound_max=3, outbound_target=0, spare=2))
    strangers = [
        visit(network, node, number, record=record_of(number).raw) for number in range(2, 8)
    ]
    assert len(node.driver.peers()) == 3
    for guest in strangers[3:]:
        (answer,) = heard(guest, Peers)
        assert len(answer.records) == 3
    assert len(node.driver.core.connections) <= 5
    network.run(6)
    assert len(node.driver.core.connections) == 3
    assert all("too many peers" in guest.closed[0] for guest in strangers[3:])
    assert not node.of(Offended)


def test_a_node_that_is_turned_away_learns_of_others() -> None:
    network = Network()
    full = network.add(1, limits=PeerLimits(inbound_max=1, outbound_target=0))
    inside = network.add(2)
    network.connect(inside, full)
    network.settle()
    late = network.add(3, limits=PeerLimits(outbound_target=2))
    late.driver.add_bootnode(full.key, full.host, full.port)
    network.run(10)
    assert inside.key in late.driver.core.up
    assert not late.of(Offended)
    assert not full.of(Offended)


def test_a_validator_takes_the_place_of_another() -> None:
    network, node = alone(limits=PeerLimits(inbound_max=3, outbound_target=0))
    node.driver.set_validators([public_key_of(VALIDATOR)])
    strangers = []
    for number in range(2, 5):
        strangers.append(visit(network, node, number))
        network.now_ns += 1
    validator = visit(network, node, 9, record=record_of(9, claim=claim_of(9)).raw)
    up = node.driver.core.up
    assert validator.key in up
    assert len(up) == 3
    assert node.of(PeerDown)[0].reason == "made room for a validator"
    assert strangers[-1].key not in up


def test_all_validators_find_room() -> None:
    """More of them than there are places; then nobody else does."""
    network, node = alone(limits=PeerLimits(inbound_max=3, outbound_target=0, spare=2))
    seeds = [seed_of(300 + number) for number in range(10)]
    node.driver.set_validators([public_key_of(seed) for seed in seeds])
    visit(network, node, 50)
    for number, seed in enumerate(seeds, 2):
        visit(network, node, number, record=record_of(number, claim=claim_of(number, seed)).raw)
        visit(network, node, 60 + number)
    infos = node.driver.peers()
    assert [info.validator for info in infos] == [public_key_of(seed) for seed in seeds]


def test_guests_do_not_keep_a_validator_out() -> None:
    """The room for saying hello is not held by who says nothing more."""
    network, node = alone(limits=PeerLimits(inbound_max=2, outbound_target=0, spare=2))
    node.driver.set_validators([public_key_of(VALIDATOR)])
    for number in range(2, 8):
        visit(network, node, number)
        network.now_ns += 1
    validator = visit(network, node, 9, record=record_of(9, claim=claim_of(9)).raw)
    assert validator.key in node.driver.core.up


def test_an_older_claim_does_not_count() -> None:
    """A validator that moved to another node is found there."""
    network, node = alone()
    key = public_key_of(VALIDATOR)
    node.driver.set_validators([key])
    new = record_of(3, claim=claim_of(3, time=NOW + 1))
    old = record_of(2, claim=claim_of(2))
    visit(network, node, 3, record=new.raw)
    stranger = visit(network, node, 2, record=old.raw)
    discovery = node.driver.core.discovery
    assert discovery.book.node_of(key) == new.key
    assert not discovery.is_validator(node.driver.core.up[stranger.key])


def test_not_more_inbound_peers_of_one_network_than_allowed() -> None:
    network, node = alone(limits=PeerLimits(near_max=3, near_private_max=5, outbound_target=0))
    for number in range(2, 12):
        visit(network, node, number, host=f"8.8.8.{number}")
        visit(network, node, 20 + number, host=f"10.0.0.{number}")
        visit(network, node, 40 + number)
    hosts = [info.host for info in node.driver.peers()]
    assert sum(host.startswith("8.8.8.") for host in hosts) == 3
    assert sum(host.startswith("10.") for host in hosts) == 5
    assert hosts.count("127.0.0.1") == 10
    node.driver.set_validators([public_key_of(VALIDATOR)])
    record = record_of(70, "8.8.8.70", claim=claim_of(70))
    teller = node.driver.core.up[node.driver.peers()[0].peer]
    node.driver.core.discovery.book.add(record, teller.peer, now_ns=network.now_ns)
    visit(network, node, 70, host="8.8.8.70", record=record.raw)
    assert record.key in node.driver.core.up


def test_an_address_whose_keys_keep_being_banned_is_banned() -> None:
    """But never one of this machine or network, behind which others may be."""
    for host, is_banned in (("8.8.8.8", True), ("10.0.0.8", False), ("127.0.0.1", False)):
        network, node = alone()
        for number in range(2, 2 + HOST_STRIKES_MAX):
            stranger = visit(network, node, number, host=host)
            stranger.say(node, Channel.CONTROL, b"\xc1")
        assert len(node.of(Banned)) == HOST_STRIKES_MAX
        last = visit(network, node, 30, host=host)
        assert (last.key not in node.driver.core.up) == is_banned


def test_validators_are_banned_shortly() -> None:
    """So that a fault in one of them does not stop the network for longer."""
    network, node = alone()
    node.driver.set_validators([public_key_of(VALIDATOR)])
    for _ in range(3):
        validator = visit(network, node, 9, record=record_of(9, claim=claim_of(9)).raw)
        validator.say(node, Channel.CONTROL, b"\xc1")
        assert node.of(Banned)[-1].until_ns == network.now_ns + VALIDATOR_BAN_NS_MAX
        network.now_ns += VALIDATOR_BAN_NS_MAX
    assert len(node.of(Banned)) == 3


def test_bans_grow_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    bans = Bans()
    lengths = [bans.ban(b"k", None, "why", now_ns=0).until_ns for _ in range(200)]
    assert lengths == sorted(lengths)
    assert lengths[0] == 600 * SECOND_NS
    assert lengths[-1] == 24 * 3_600 * SECOND_NS
    monkeypatch.setattr("ghostchain.p2p.scoring.STANDINGS_MAX", 10)
    for number in range(100):
        bans.ban(bytes([number]), f"8.8.8.{number}", "why", now_ns=number)
    assert len(bans.keys) <= 10
    assert len(bans._strikes) <= 10
    bans.lift(b"k")


def test_bans_and_book_survive_a_restart() -> None:
    network, node = alone(limits=PeerLimits(outbound_target=2))
    friend = network.add(2)
    node.driver.add_bootnode(friend.key, friend.host, friend.port)
    network.run(2)
    stranger = visit(network, node, 5)
    stranger.say(node, Channel.CONTROL, b"\xc1")
    network.run(70)
    assert node.books
    again = Network()
    again.nodes = {friend.key: friend}
    friend.network = again
    again.now_ns = network.now_ns
    restarted = again.add(1, limits=PeerLimits(outbound_target=2))
    restarted.driver.load_book(node.driver.book())
    visit(again, restarted, 5)
    assert stranger.key not in restarted.driver.core.connections
    again.run(5)
    assert friend.key in restarted.driver.core.up
