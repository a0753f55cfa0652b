"""What a node says of itself, for people: `ghostd status` and the table of `ghostd devnet status`.

Pure: documents of `ghost_status`, `ghost_consensus` and `ghost_peers` in, lines out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ghostchain.node.devnet import Devnet

BAR_WIDTH = 40
NIL = "0x" + "00" * 32
PEERS_SHOWN = 12
FAILED_SHOWN = 5


def number(value: str) -> int:
    """Of a quantity."""
    return int(value, 16)


def short(value: str, digits: int = 8) -> str:
    """The beginning of a hash or key."""
    return value[: 2 + digits] + "…" if len(value) > 2 + digits else value


def duration(seconds: float) -> str:
    """`4 s`, `3 min`, `2 h`, `5 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def node_lines(
    url: str,
    status: dict[str, Any],
    consensus: dict[str, Any] | None,
    peers: Sequence[dict[str, Any]],
    now: float | None = None,
) -> list[str]:
    """The whole view of one node."""
    now = time.time() if now is None else now
    head = status["head"]
    age = max(now - number(head["timestamp"]), 0.0)
    lines = [
        f"{status['version']} at {url}, chain id {number(status['chainId'])}, up for "
        f"{duration(max(now - number(status['started']), 0.0))}",
        f"head       {number(head['number']):,}  {short(head['hash'])}  {duration(age)} old",
        f"sync       {sync_words(status['syncing'])}",
        f"pool       {status['waiting']:,} transactions wait",
        f"validator  {validator_words(status)}",
    ]
    if status["nodeKey"] != "0x":
        count = status["peers"]
        lines.append(f"peers      {count['inbound']} in, {count['outbound']} out")
        lines.append(f"node       ghost://{status['nodeKey'][2:]}@{status['p2p']}")
    if consensus is not None:
        lines += ["", *consensus_lines(consensus)]
    if peers:
        lines += ["", *peer_lines(peers)]
    return lines


def sync_words(progress: dict[str, str] | None) -> str:
    if progress is None:
        return "follows the head"
    current, highest = number(progress["currentBlock"]), number(progress["highestBlock"])
    return f"catching up: {current:,} of {highest:,}, {max(highest - current, 0):,} to go"


def validator_words(status: dict[str, Any]) -> str:
    validator = status["validator"]
    if status["seals"] == "solo":
        return "seals alone"
    if validator is None:
        return "none (follows)"
    words = f"key {short(validator['key'])}"
    if validator["index"] is not None:
        words += f", number {validator['index']} of the set"
    return words + (f"; SILENT: {validator['silent']}" if validator["silent"] else ", signs")


def consensus_lines(consensus: dict[str, Any]) -> list[str]:
    """Round and step, the power that has voted, and who."""
    total, quorum = number(consensus["total"]), number(consensus["quorum"])
    voters = consensus["validators"]
    proposal = consensus["proposal"]
    lines = [
        f"height     {number(consensus['height']):,}, round {consensus['round']}, "
        f"{consensus['step'].replace('_', ' ')} for {duration(consensus['sinceSeconds'])}",
        f"proposer   number {consensus['proposer']}, "
        + (f"proposed {short(proposal)}" if proposal else "nothing proposed yet"),
    ]
    for kind in ("prevote", "precommit"):
        said = [voter for voter in voters if voter[kind] is not None]
        power = sum(number(voter["power"]) for voter in said)
        nil = sum(number(voter["power"]) for voter in said if voter[kind] == NIL)
        lines.append(
            f"{kind + 's':<10} {bar(power, nil, quorum, total)} {power / total:6.1%} of the power"
            + (f", {nil / total:.1%} for nil" if nil else "")
        )
    lines += ["", "  no  operator                                    power  prevote  precommit"]
    for voter in voters:
        lines.append(
            f"  {voter['index']:>2}  {voter['operator']} {number(voter['power']):>8,}  "
            f"{vote_mark(voter['prevote'], proposal):<7}  {vote_mark(voter['precommit'], proposal)}"
        )
    failed = consensus["failed"][:FAILED_SHOWN]
    if failed:
        lines += ["", "  rounds that failed lately"]
    for entry in failed:
        missing = ", ".join(map(str, entry["missing"]))
        lines.append(
            f"  height {number(entry['height']):,} round {entry['round']}: {entry['reason']} "
            f"(proposer {entry['proposer']}" + (f"; not heard: {missing})" if missing else ")")
        )
    return lines


def bar(power: int, nil: int, quorum: int, total: int) -> str:
    """`[####..|....]`: `#` voted for a block, `n` for nil, `|` where a quorum is reached."""
    filled, mark = power * BAR_WIDTH // total, min(quorum * BAR_WIDTH // total, BAR_WIDTH - 1)
    hollow = nil * BAR_WIDTH // total
    cells = ["#"] * (filled - hollow) + ["n"] * hollow + ["."] * (BAR_WIDTH - filled)
    cells.insert(mark, "|")
    return f"[{''.join(cells)}]"


def vote_mark(said: str | None, proposal: str | None) -> str:
    """What a validator said, in a word."""
    if said is None:
        return "-"
    if said == NIL:
        return "nil"
    return "yes" if said == proposal else short(said, 4)


def peer_lines(peers: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["  peer         address                way  head         score  received        sent"]
    for peer in peers[:PEERS_SHOWN]:
        way = "in " if peer["inbound"] else "out"
        lines.append(
            f"  {short(peer['key'])}  {peer['address']:<21}  {way}  "
            f"{number(peer['head']):<11,}  {peer['score']:>5}  {size(peer['bytesIn']):>8}  "
            f"{size(peer['bytesOut']):>10}"
        )
    if len(peers) > PEERS_SHOWN:
        lines.append(f"  and {len(peers) - PEERS_SHOWN} more")
    return lines


def size(count: float) -> str:
    """Of bytes."""
    for unit in ("B", "kB", "MB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:.1f} GB"


def devnet_table(
    network: Devnet, running: Sequence[bool], said: Sequence[dict[str, Any] | None]
) -> str:
    """A line for each node."""
    lines = ["node      kind       process  height    round  step        peers  json-rpc"]
    for node, alive, answer in zip(network.nodes, running, said, strict=True):
        kind = "validator" if node.is_validator else "follower"
        process = str(node.pid) if alive else "-"
        if answer is None:
            state = "does not answer" if alive else "not running"
            lines.append(f"{node.name:<9} {kind:<10} {process:<8} {state}")
            continue
        deciding = answer["consensus"] or {"round": 0, "step": "-"}
        peers = answer["peers"]["inbound"] + answer["peers"]["outbound"]
        lines.append(
            f"{node.name:<9} {kind:<10} {process:<8} {number(answer['head']['number']):<9,} "
            f"{deciding['round']:<6} {deciding['step']:<11} {peers:<6} {node.rpc}"
        )
    return "\n".join(lines) + "\n"
