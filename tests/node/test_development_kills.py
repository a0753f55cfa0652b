"""A development node killed in the middle of whatever moves its chain by hand.

Each round opens the directory that the last kill left, looks whether all that was acknowledged is
there, goes on moving the chain, and is killed at a random moment. What was under way at the kill
may have happened or not, as a whole; nothing else may be different.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.node.process import Ghostd, invoke

ROUNDS = int(os.environ.get("DEVELOPMENT_KILLS", "6"))
SEED = int(os.environ.get("DEVELOPMENT_SEED", "0"))
STEPS_MAX = 5_000
WHO = "0x" + "ab" * 20
STATE = "0x" + "cd" * 20


def moves(node: Ghostd, chance: Random) -> tuple[str, list[Any]]:
    """The next method and its parameters."""
    height = int(node.call("eth_blockNumber"), 16)
    sender = node.call("eth_accounts")[0]
    snapshots = sorted(node.call("anvil_metadata")["snapshots"], key=lambda one: int(one, 16))
    request = {"from": sender, "to": WHO, "value": "0x1"}
    depth = chance.randrange(min(height, 3) + 1)
    choices: list[tuple[int, str, list[Any]]] = [
        (6, "eth_sendTransaction", [request]),
        (3, "anvil_mine", [hex(chance.randrange(1, 40))]),
        (3, "anvil_setBalance", [WHO, hex(chance.randrange(1 << 60))]),
        (2, "anvil_setStorageAt", [STATE, "0x0", f"0x{chance.randrange(1 << 60):064x}"]),
        (2, "anvil_setCode", [STATE, "0x60" + f"{chance.randrange(256):02x}"]),
        (4, "evm_snapshot", []),
        (2, "evm_increaseTime", [chance.randrange(100)]),
        (1, "evm_setAutomine", [chance.random() < 0.7]),
        (1, "anvil_dropAllTransactions", []),
        (2, "anvil_rollback", [depth]),
        (2, "anvil_reorg", [depth, [[request, 0]] if depth else []]),
        (1, "anvil_impersonateSignature", [f"0x{chance.randrange(9):0130x}", WHO]),
    ]
    if snapshots:
        choices.append((5, "evm_revert", [chance.choice(snapshots[-4:])]))
    (chosen,) = chance.choices(choices, [weight for weight, _, _ in choices])
    return chosen[1], chosen[2]


def shown(node: Ghostd) -> dict[str, Any]:
    """What a restart must not change."""
    head = node.call("eth_getBlockByNumber", "latest", False)
    return {
        "head": head["hash"],
        "balance": node.call("eth_getBalance", WHO, "latest"),
        "slot": node.call("eth_getStorageAt", STATE, "0x0", "latest"),
        "code": node.call("eth_getCode", STATE, "latest"),
        "snapshots": node.call("anvil_metadata")["snapshots"],
        "automine": node.call("anvil_getAutomine"),
        "pool": node.call("txpool_status"),
    }


def settled(node: Ghostd) -> dict[str, Any]:
    """What is shown once nothing moves by itself any more: where automine was switched on, what
    waited goes in soon."""
    found = shown(node)
    while found != (again := shown(node)):
        found = again
    return found


def one_round(node: Ghostd, chance: Random) -> tuple[dict[str, Any], str | None]:
    """(what was shown before the last move, that move): killed in it, or between two."""
    before = settled(node)
    killer = threading.Timer(chance.uniform(0.3, 2.5), node.process.kill)
    killer.start()
    move = None
    try:
        for _ in range(STEPS_MAX):
            move = None
            method, parameters = moves(node, chance)
            move = method
            node.call(method, *parameters)
            # The move is acknowledged, whatever the kill leaves of looking at it.
            before, move = settled(node), None
    except (OSError, ConnectionError, ValueError):
        return before, move
    finally:
        killer.join()
        node.process.wait()
    pytest.fail("the node was not killed")


def test_a_kill_at_any_moment_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    chance = Random(SEED)
    before: dict[str, Any] | None = None
    move: str | None = None
    for number in range(ROUNDS):
        with Ghostd("--dev", data_dir=tmp_path) as node:
            after = settled(node)
            if before is not None and move is None:
                assert after == before, (SEED, number)
            if before is not None and move == "anvil_setBalance":
                assert {**after, "balance": ""} == {**before, "balance": ""}, (SEED, number)
            if before is not None and move == "evm_snapshot":
                assert {**after, "snapshots": {}} == {**before, "snapshots": {}}, (SEED, number)
            before, move = one_round(node, chance)
    with Ghostd("--dev", data_dir=tmp_path) as node:
        height = int(node.call("eth_blockNumber"), 16)
        node.call("evm_mine")
        assert int(node.call("eth_blockNumber"), 16) == height + 1
    checked = invoke("db", "verify", "--network", "dev", "--data-dir", str(tmp_path))
    assert checked.returncode == 0, checked.stdout + checked.stderr
