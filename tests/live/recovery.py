"""How soon a devnet is itself again: after a partition, after a killed validator, and what it costs
while nothing happens.

    python -m tests.live.recovery --directory /tmp/recovery --partition-seconds 60

Runs itself inside a network namespace of its own. Prints a JSON object; seconds everywhere, the
share of a core for the idle nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ghostchain.node import devnet
from tests.live import namespace
from tests.live.cluster import Cluster, Member, until
from tests.live.load import Load

SECONDS_MAX = 60.0
LOAD_PER_SECOND = 20.0


def head(members: Sequence[Member]) -> int:
    """The highest block that any of them has."""
    return max(member.height() or 0 for member in members)


def next_block(cluster: Cluster) -> float:
    """Until every node has a block that was decided after this call began."""
    return cluster.await_height(head(cluster.members) + 2, cluster.members, SECONDS_MAX)


def partition(cluster: Cluster, away: Sequence[Member], seconds: float) -> float:
    """Some are cut off for so long: until all have a new block, from the moment it is mended."""
    scissors = namespace.Scissors()
    others = [member for member in cluster.members if member not in away]
    scissors.cut([m.p2p_port for m in away], [m.p2p_port for m in others])
    time.sleep(seconds)
    scissors.heal()
    return next_block(cluster)


def restart(cluster: Cluster, member: Member) -> tuple[float, float]:
    """SIGKILL, and started again at once: until it has a block decided since then, and until its
    own vote is in a certificate again."""
    member.kill()
    began = time.monotonic()
    member.start()
    others = [other for other in cluster.members if other is not member]
    at_least = head(others) + 1
    cluster.await_height(at_least, [member], SECONDS_MAX)
    caught_up = time.monotonic() - began
    until(lambda: has_voted(member, at_least), SECONDS_MAX)
    return caught_up, time.monotonic() - began


def has_voted(member: Member, since: int) -> bool:
    """Whether a certificate of the latest blocks has the validator's vote."""
    try:
        index = member.call("ghost_status")["validator"]["index"]
        number = member.height() or 0
        if index is None or number < since:
            return False
        return index in member.call("ghost_certificate", hex(number))["signers"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def idle_share(cluster: Cluster, seconds: float) -> list[float]:
    """What each node's process takes of one core while nobody sends anything."""

    def used(member: Member) -> float:
        assert member.process is not None
        fields = Path(f"/proc/{member.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = [used(member) for member in cluster.members]
    time.sleep(seconds)
    return [
        round((used(member) - spent) / seconds, 4)
        for member, spent in zip(cluster.members, before, strict=True)
    ]


def run(
    directory: Path, partition_seconds: float, kills: int, idle_seconds: float
) -> dict[str, object]:
    """Inside the namespace. Raises: NotReached, AssertionError."""
    with Cluster.create(directory, devnet.Plan(heartbeat_ms=6_000)) as cluster:
        cluster.start()
        cluster.await_height(2, cluster.members, SECONDS_MAX)
        time.sleep(5)
        measured: dict[str, object] = {"idle": idle_share(cluster, idle_seconds)}
        load = Load(cluster.up, int(cluster.members[0].call("eth_chainId"), 16), LOAD_PER_SECOND, 1)
        load.start()
        try:
            one, two = cluster.members[:1], cluster.members[:2]
            measured["one of four cut off"] = partition(cluster, one, partition_seconds)
            measured["two of four cut off"] = partition(cluster, two, partition_seconds)
            times = [
                restart(cluster, cluster.members[number % len(cluster.members)])
                for number in range(kills)
            ]
            measured["killed, until level"] = [round(level, 2) for level, _ in times]
            measured["killed, until voting"] = [round(voting, 2) for _, voting in times]
        finally:
            load.stop()
        next_block(cluster)
        measured["height"] = cluster.check_agreement()
        for member in cluster.members:
            assert member.stop() == 0
        cluster.verify_databases()
        return measured


def main() -> int:
    parser = argparse.ArgumentParser(description="How soon a devnet is itself again.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--partition-seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    code = namespace.enter("tests.live.recovery", timeout=1_800)
    if code is not None:
        return code
    measured = run(
        arguments.directory, arguments.partition_seconds, arguments.kills, arguments.idle_seconds
    )
    print(json.dumps(measured, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
