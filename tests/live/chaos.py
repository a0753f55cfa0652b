"""Random kills, pauses and partitions of a devnet under load; one chain must come out.

    python -m tests.live.chaos --faults 200 --seed 1 --directory /tmp/chaos

Runs itself inside a network namespace of its own, since partitions are made with its firewall.
After each fault is over the whole devnet has to go on within RECOVERY_SECONDS_MAX. At the end every
block is compared on all nodes, no validator may have been punished for signing twice, and
`ghostd db verify` checks what each left on disk. The seed names the faults; what the machine's
scheduler makes of them differs from run to run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ghostchain.contracts.addresses import SLASHING
from ghostchain.crypto.keccak import keccak256
from ghostchain.node import devnet
from tests.live import namespace
from tests.live.cluster import Cluster, Member, until
from tests.live.load import Load

RECOVERY_SECONDS_MAX = 30.0
START_SECONDS_MAX = 60.0
LOAD_PER_SECOND = 40.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault. seconds: how long it lasted; recovery: from its end until every node had a block
    that was decided afterwards; stalled: whether it left less than a quorum."""

    kind: str
    members: tuple[str, ...]
    seconds: float
    recovery: float
    stalled: bool


class Chaos:
    """Does one fault after the other. At most a third of the validators is away at once in three of
    four faults; in the fourth the chain has to stop, and to go on by itself afterwards."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)
        self._scissors = namespace.Scissors()
        self.outcomes: list[Outcome] = []

    def fault(self) -> Outcome:
        kind = self._random.choice(("kill", "pause", "partition", "partition", "kill", "loss"))
        is_large = self._random.random() < 0.25
        count = self._random.randint(2, 3) if is_large else 1
        members = self._random.sample(self._cluster.members, min(count, len(self._cluster.members)))
        seconds = self._random.uniform(0.2, 5.0)
        {
            "kill": self._kill,
            "pause": self._pause,
            "partition": self._partition,
            "loss": self._loss,
        }[kind](members, seconds)
        outcome = Outcome(
            kind,
            tuple(member.name for member in members),
            round(seconds, 2),
            round(self._recovery(), 2),
            sum(member.is_validator for member in members) * 3 >= len(self._cluster.validators),
        )
        self.outcomes.append(outcome)
        return outcome

    def _kill(self, members: Sequence[Member], seconds: float) -> None:
        for member in members:
            member.kill()
            time.sleep(self._random.uniform(0, 0.2))
        time.sleep(seconds)
        for member in members:
            member.start()

    def _pause(self, members: Sequence[Member], seconds: float) -> None:
        for member in members:
            member.pause()
        time.sleep(seconds)
        for member in members:
            member.resume()

    def _partition(self, members: Sequence[Member], seconds: float) -> None:
        others = [member for member in self._cluster.members if member not in members]
        self._scissors.cut([m.p2p_port for m in members], [m.p2p_port for m in others])
        time.sleep(seconds)
        self._scissors.heal()

    def _loss(self, members: Sequence[Member], seconds: float) -> None:
        """Of everybody's datagrams, whoever was drawn."""
        self._scissors.lose(self._random.uniform(0.02, 0.3))
        time.sleep(seconds)
        self._scissors.heal()

    def _recovery(self) -> float:
        """Until everybody has the second block after the highest that anybody has now: the first
        may have been decided already."""
        heads = [member.height() for member in self._cluster.members]
        target = max(head or 0 for head in heads) + 2
        started = time.monotonic()
        self._cluster.await_height(target, self._cluster.members, RECOVERY_SECONDS_MAX)
        return time.monotonic() - started


def run(directory: Path, faults: int, seed: int, plan: devnet.Plan) -> dict[str, object]:
    """Inside the namespace. Raises: AssertionError, NotReached saying which node lagged."""
    started = time.monotonic()
    with Cluster.create(directory, plan) as cluster:
        cluster.start()
        cluster.await_height(2, cluster.members, START_SECONDS_MAX)
        chain_id = int(cluster.members[0].call("eth_chainId"), 16)
        load = Load(cluster.up, chain_id, LOAD_PER_SECOND, seed)
        load.start()
        chaos = Chaos(cluster, seed)
        try:
            for number in range(faults):
                outcome = chaos.fault()
                print(f"{number + 1:4} {json.dumps(asdict(outcome))}", file=sys.stderr, flush=True)
        finally:
            load.stop()
        until(lambda: len({m.height() for m in cluster.members}) == 1, RECOVERY_SECONDS_MAX)
        height = cluster.check_all_blocks()
        punished = punished_validators(cluster.members[0])
        assert not punished, f"signed twice: {punished}"
        codes = {member.name: member.stop() for member in cluster.members}
        assert not any(codes.values()), codes
        cluster.verify_databases()
    recoveries = sorted(outcome.recovery for outcome in chaos.outcomes)
    return {
        "seed": seed,
        "faults": len(recoveries),
        "kinds": {kind: sum(o.kind == kind for o in chaos.outcomes) for kind in KINDS},
        "stalls": sum(outcome.stalled for outcome in chaos.outcomes),
        "height": height,
        "transactions": load.sent,
        "recovery p50": recoveries[len(recoveries) // 2],
        "recovery max": recoveries[-1],
        "seconds": round(time.monotonic() - started, 1),
    }


KINDS = ("kill", "pause", "partition", "loss")


def punished_validators(member: Member) -> list[str]:
    """Operators of validators that are no longer what they began as: tombstoned for two votes."""
    signature = b"DoubleSigned(address,address,uint64,uint32,uint8,uint256)"
    logs = member.call(
        "eth_getLogs",
        {
            "fromBlock": "0x0",
            "toBlock": "latest",
            "address": "0x" + SLASHING.hex(),
            "topics": ["0x" + keccak256(signature).hex()],
        },
        timeout=30.0,
    )
    return ["0x" + log["topics"][1][-40:] for log in logs]


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults against a devnet under load.")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--rpc-nodes", type=int, default=1)
    arguments = parser.parse_args()
    limit = 120.0 + arguments.faults * (5.0 + RECOVERY_SECONDS_MAX)
    code = namespace.enter("tests.live.chaos", timeout=limit)
    if code is not None:
        return code
    plan = devnet.Plan(validators=arguments.validators, rpc_nodes=arguments.rpc_nodes)
    print(json.dumps(run(arguments.directory, arguments.faults, arguments.seed, plan)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
