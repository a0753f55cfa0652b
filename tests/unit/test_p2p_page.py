"""docs/peers.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from ghostchain.p2p.book import DIAL_NS_MAX, DIAL_STEP_NS, WANTED_DIAL_NS_MAX, WANTED_DIAL_STEP_NS
from ghostchain.p2p.compact import ANSWER_NS_MAX
from ghostchain.p2p.connections import SLACK, PeerLimits
from ghostchain.p2p.gossip import ANNOUNCE_NS
from ghostchain.p2p.messages import CHANNEL_LIMITS, KIB, PEERS_MAX
from ghostchain.p2p.scoring import (
    BAN_NS_MAX,
    BAN_STEP_NS,
    ENDS_CONNECTION,
    HOST_STRIKES_MAX,
    POINT_FADES_NS,
    POINTS,
    POINTS_MAX,
    SECOND_NS,
    VALIDATOR_BAN_NS_MAX,
    Offence,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "peers.md").read_text()


def rows(head: str) -> list[list[str]]:
    """The cells of the table with that first column, without its head."""
    table = PAGE[PAGE.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_channels_are_those_of_the_table() -> None:
    assert rows("channel") == [
        [
            channel.name,
            str(limits.frame_bytes_max // KIB),
            str(limits.bytes_per_second // KIB),
            str(limits.messages_per_second),
            str(limits.burst_seconds),
            str(limits.queue_bytes_max // KIB),
        ]
        for channel, limits in CHANNEL_LIMITS.items()
    ]


def test_offences_are_those_of_the_table() -> None:
    expected = {
        offence.name: (
            str(POINTS[offence]),
            offence.value + ("; ends the connection" if offence in ENDS_CONNECTION else ""),
        )
        for offence in Offence
    }
    assert {name: (points, what) for name, points, what in rows("offence")} == expected
    points = [int(row[1]) for row in rows("offence")]
    assert points == sorted(points, reverse=True)


def test_limits_are_those_of_the_table() -> None:
    limits = PeerLimits()
    for name, _, value in rows("limit"):
        found = re.match(r"\d+", value)
        assert found is not None
        assert getattr(limits, name.strip("`")) == int(found[0])


def test_numbers_of_the_text() -> None:
    """Those that the sentences are made with."""
    assert (WANTED_DIAL_STEP_NS, WANTED_DIAL_NS_MAX) == (SECOND_NS, 4 * SECOND_NS)
    assert (DIAL_STEP_NS, DIAL_NS_MAX) == (5 * SECOND_NS, 300 * SECOND_NS)
    assert (POINT_FADES_NS, POINTS_MAX) == (SECOND_NS, 100)
    assert (BAN_STEP_NS, BAN_NS_MAX) == (600 * SECOND_NS, 86_400 * SECOND_NS)
    assert (VALIDATOR_BAN_NS_MAX, HOST_STRIKES_MAX) == (60 * SECOND_NS, 4)
    assert (PEERS_MAX, SLACK) == (32, 2)
    assert (ANNOUNCE_NS, ANSWER_NS_MAX) == (SECOND_NS // 20, SECOND_NS // 2)
