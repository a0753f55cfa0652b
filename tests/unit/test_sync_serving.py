"""Answering others: in order, in turns, within limits for each peer."""

from __future__ import annotations

from ghostchain.sync.effects import Punish, Request
from ghostchain.sync.messages import (
    GetBlocks,
    Part,
    Refusal,
    Refused,
    decode_message,
)
from ghostchain.sync.serving import (
    BURST_BYTES,
    BYTES_PER_S,
    READS_MAX,
    SLICE_BYTES,
    WAITING_MAX,
    Read,
    ServeCore,
)

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))


def ask(number: int) -> GetBlocks:
    return GetBlocks(number, 1, 10, 1 << 20)


def slices(core: ServeCore, *, now_ns: int = 0, count: int = 10_000) -> list[tuple[bytes, Part]]:
    """What is sent while nothing is in the way."""
    sent = []
    while len(sent) < count:
        slice_ = core.next_slice(now_ns=now_ns)
        if slice_ is None:
            break
        message = decode_message(slice_.payload)
        assert isinstance(message, Part)
        sent.append((slice_.peer, message))
        core.on_sent(slice_.peer)
    return sent


def test_an_answer_goes_out_whole_and_in_slices() -> None:
    core = ServeCore()
    request = ask(7)
    assert core.on_request(ONE, request, now_ns=0) == (Read(ONE, request),)
    body = bytes(range(256)) * 1_000
    core.on_read(ONE, request, body, 1, 20)
    sent = slices(core)
    assert b"".join(part.data for _, part in sent) == body
    assert max(len(part.data) for _, part in sent) == SLICE_BYTES
    assert {(part.request, part.total) for _, part in sent} == {(7, len(body))}


def test_peers_take_turns() -> None:
    """A large answer to one does not delay that to another."""
    core = ServeCore()
    for peer in (ONE, TWO):
        request = ask(1)
        core.on_request(peer, request, now_ns=0)
        core.on_read(peer, request, bytes(5 * SLICE_BYTES), 1, 20)
    assert [peer for peer, _ in slices(core)] == [ONE, TWO] * 5


def test_requests_of_a_peer_are_answered_in_order() -> None:
    core = ServeCore()
    first, second = ask(1), ask(2)
    assert core.on_request(ONE, first, now_ns=0) == (Read(ONE, first),)
    assert core.on_request(ONE, second, now_ns=0) == ()
    core.on_read(ONE, first, b"x", 1, 20)
    slice_ = core.next_slice(now_ns=0)
    assert slice_ is not None
    assert core.on_sent(ONE) == (Read(ONE, second),)


def test_few_are_read_for_at_once() -> None:
    core = ServeCore()
    requests = {peer: ask(1) for peer in (ONE, TWO, THREE)}
    reads = [core.on_request(peer, request, now_ns=0) for peer, request in requests.items()]
    assert sum(map(len, reads)) == READS_MAX
    assert core.on_read(ONE, requests[ONE], b"x", 1, 2) == (Read(THREE, requests[THREE]),)


def test_what_is_absent_is_refused_with_what_there_is() -> None:
    core = ServeCore()
    request = ask(3)
    core.on_request(ONE, request, now_ns=0)
    (sent,) = core.on_read(ONE, request, None, 5, 9)
    assert isinstance(sent, Request)
    assert decode_message(sent.payload) == Refused(3, Refusal.ABSENT, 5, 9)
    assert core.on_request(ONE, ask(4), now_ns=0), "and the next one is read for"


def test_a_flood_of_requests_is_punished() -> None:
    core = ServeCore()
    effects = [core.on_request(ONE, ask(number), now_ns=0) for number in range(WAITING_MAX + 1)]
    (punish,) = effects[-1]
    assert isinstance(punish, Punish)
    assert punish.reason.name == "FLOODING"
    assert not any(isinstance(effect, Punish) for one in effects[:-1] for effect in one)


def test_a_peer_has_its_share_of_bytes() -> None:
    """Beyond its burst a peer is sent so much a second; others are not held up by that."""
    core = ServeCore()
    number, sent = 0, 0
    while sent < BURST_BYTES:
        request = ask(number)
        core.on_request(ONE, request, now_ns=0)
        core.on_read(ONE, request, bytes(1 << 20), 1, 20)
        got = sum(len(part.data) for _, part in slices(core))
        assert got > 0
        sent, number = sent + got, number + 1
    request = ask(number)
    core.on_request(ONE, request, now_ns=0)
    core.on_read(ONE, request, bytes(1 << 20), 1, 20)
    assert slices(core) == []
    other = ask(1)
    core.on_request(TWO, other, now_ns=0)
    core.on_read(TWO, other, b"small", 1, 20)
    assert [part.data for _, part in slices(core)] == [b"small"]
    due = core.deadline_ns(0)
    assert due is not None
    later = slices(core, now_ns=due + 10**9 * (1 << 20) // BYTES_PER_S)
    assert sum(len(part.data) for _, part in later) == 1 << 20


def test_a_full_connection_waits_until_it_is_drained() -> None:
    core = ServeCore()
    request = ask(1)
    core.on_request(ONE, request, now_ns=0)
    core.on_read(ONE, request, bytes(3 * SLICE_BYTES), 1, 20)
    first = core.next_slice(now_ns=0)
    core.on_blocked(ONE)
    assert core.next_slice(now_ns=0) is None
    assert core.deadline_ns(0) is None
    core.on_drained(ONE)
    assert core.next_slice(now_ns=0) == first


def test_a_peer_that_left_is_owed_nothing() -> None:
    """What is read for it comes to nothing, and another takes its place."""
    core = ServeCore()
    requests = {peer: ask(1) for peer in (ONE, TWO, THREE)}
    for peer, request in requests.items():
        core.on_request(peer, request, now_ns=0)
    core.on_closed(ONE)
    assert core.on_read(ONE, requests[ONE], b"x", 1, 2) == (Read(THREE, requests[THREE]),)
    assert slices(core) == []
