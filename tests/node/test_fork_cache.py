"""The cache of a fork beneath running nodes: shared by several at once, killed, damaged, not to be
written. Each answer is the remote's, whatever became of the file."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
COUNTER = "0x60158060095f395ff336600c575f545f5260205ff35b5f355f54015f5500"
STRANGERS = [f"0x{number:040x}" for number in range(0x1111, 0x1111 + 40)]


@pytest.fixture(scope="module")
def remote() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        counter = send(node, ALICE, None, data=COUNTER)["contractAddress"]
        send(node, ALICE, counter, data="0x" + f"{7:064x}")
        for number, stranger in enumerate(STRANGERS):
            node.call("anvil_setBalance", stranger, hex(1000 + number))
            node.call("anvil_setStorageAt", counter, hex(number + 1), f"0x{number + 77:064x}")
        node.call("anvil_mine", 1)
        yield node


def send(node: Ghostd, sender: str, to: str | None, value: int = 0, data: str = "0x") -> Any:
    request = {"from": sender, "value": hex(value), "data": data}
    if to is not None:
        request["to"] = to
    return node.wait_for_receipt(node.call("eth_sendTransaction", request))


def fork_of(remote: Ghostd, cache: Path, *more: str) -> Ghostd:
    return Ghostd("--dev", "--fork-url", remote.url, "--cache-dir", str(cache), *more)


def asked(node: Ghostd) -> list[tuple[str, list[Any]]]:
    """Of every kind that is kept: accounts, slots, code, answers about blocks."""
    receipt = node.call("eth_getBlockReceipts", "0x1")[0]
    counter, head = receipt["contractAddress"], node.call("eth_blockNumber")
    return [
        *(("eth_getBalance", [stranger, head]) for stranger in STRANGERS),
        *(("eth_getStorageAt", [counter, hex(slot), head]) for slot in range(20)),
        ("eth_getCode", [counter, head]),
        ("eth_call", [{"to": counter}, head]),
        ("eth_getTransactionCount", [counter, head]),
        ("eth_getBlockByNumber", ["0x1", True]),
        ("eth_getTransactionReceipt", [receipt["transactionHash"]]),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": head}]),
        ("eth_getBalance", [STRANGERS[0], "0x1"]),
    ]


def require_the_remotes(fork: Ghostd, remote: Ghostd) -> None:
    questions = asked(remote)
    here, there = fork.batch(questions), remote.batch(questions)
    for question, ours, theirs in zip(questions, here, there, strict=True):
        assert ours == theirs, question


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*.sqlite*"))


def test_two_processes_fill_one_cache_at_once(remote: Ghostd, tmp_path: Path) -> None:
    """Both answer right while they write it; the one goes on when the other is killed, and a third
    finds all that they have learned."""
    with fork_of(remote, tmp_path) as first:
        second = fork_of(remote, tmp_path)
        with ThreadPoolExecutor(4) as threads:
            nodes = (first, second) * 4
            for done in [threads.submit(require_the_remotes, node, remote) for node in nodes]:
                done.result()
        second.kill()
        send(first, BOB, STRANGERS[0], value=7)
        assert int(first.call("eth_getBalance", STRANGERS[0], "latest"), 16) == 1007
        with fork_of(remote, tmp_path) as third:
            require_the_remotes(third, remote)
            assert int(third.call("eth_getBalance", STRANGERS[0], "latest"), 16) == 1000
        require_the_remotes(first, remote)
    assert len([path for path in files(tmp_path) if path.suffix == ".sqlite"]) == 1


def flipped(path: Path, seed: int) -> None:
    """A bit in each page or so."""
    chance = random.Random(seed)
    with path.open("r+b") as file:
        content = bytearray(file.read())
        for _ in range(max(1, len(content) // 3000)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.seek(0)
        file.write(content)


@pytest.mark.parametrize("damage", ["flips", "cut", "empty", "noise", "zeros within"])
def test_a_damaged_cache_is_never_served(remote: Ghostd, damage: str, tmp_path: Path) -> None:
    with fork_of(remote, tmp_path) as fork:
        require_the_remotes(fork, remote)
    (path,) = (path for path in files(tmp_path) if path.suffix == ".sqlite")
    size = path.stat().st_size
    if damage == "flips":
        flipped(path, 3)
    elif damage == "cut":
        os.truncate(path, size * 2 // 3)
    elif damage == "empty":
        os.truncate(path, 0)
    elif damage == "noise":
        path.write_bytes(random.Random(4).randbytes(size))
    else:
        content = path.read_bytes()
        middle = size // 2
        path.write_bytes(content[:middle] + bytes(8192) + content[middle + 8192 :])
    with fork_of(remote, tmp_path) as fork:
        require_the_remotes(fork, remote)
        send(fork, BOB, STRANGERS[1], value=1)
        assert int(fork.call("eth_getBalance", STRANGERS[1], "latest"), 16) == 1002


def test_damage_under_a_running_node_is_never_served(remote: Ghostd, tmp_path: Path) -> None:
    with fork_of(remote, tmp_path) as fork:
        require_the_remotes(fork, remote)
    with fork_of(remote, tmp_path) as fork:
        for seed, path in enumerate(files(tmp_path)):
            if not path.name.endswith("-shm") and path.stat().st_size:
                flipped(path, seed)
        require_the_remotes(fork, remote)
        require_the_remotes(fork, remote)


def test_the_cache_of_another_chain_is_never_served(remote: Ghostd, tmp_path: Path) -> None:
    """Two chains with the same id and height, the file of the one under the name of the other's."""
    with Ghostd("--dev") as other:
        other.call("anvil_mine", int(remote.call("eth_blockNumber"), 16))
        with fork_of(other, tmp_path / "other") as fork:
            questions = asked(remote)
            fork.batch(questions)
    with fork_of(remote, tmp_path / "right") as fork:
        require_the_remotes(fork, remote)
    (wrong,) = (path for path in files(tmp_path / "other") if path.suffix == ".sqlite")
    (right,) = (path for path in files(tmp_path / "right") if path.suffix == ".sqlite")
    right.write_bytes(wrong.read_bytes())
    with fork_of(remote, tmp_path / "right") as fork:
        require_the_remotes(fork, remote)


def test_a_folder_that_cannot_be_used_is_a_clear_refusal(remote: Ghostd, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    command = [sys.executable, "-m", "ghostchain.node.cli", "run", "--dev", "--rpc-port", "0"]
    command += ["--metrics-port", "0", "--p2p-port", "0", "--fork-url", remote.url]
    finished = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "file" / "cache")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode not in (0, -9)
    assert "cache-dir" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_full_disk_costs_the_cache_alone(remote: Ghostd, tmp_path: Path) -> None:
    """A database that may have no more pages is to SQLite on a disk that is full."""
    script = """
import runpy, sys
from ghostchain.fork import cache
write = cache.ForkCache._write
def full(self, writer):
    writer.execute("PRAGMA max_page_count=1")
    write(self, writer)
cache.ForkCache._write = full
sys.argv = ["ghostd", *sys.argv[1:]]
runpy.run_module("ghostchain.node.cli", run_name="__main__")
"""
    command = [sys.executable, "-c", script, "run", "--dev", "--rpc-port", "0", "--log-json"]
    command += ["--metrics-port", "0", "--p2p-port", "0", "--fork-url", remote.url]
    with subprocess.Popen(
        [*command, "--cache-dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said: list[dict[str, Any]] = []
            while not said or said[-1].get("message") != "json-rpc ready":
                line = process.stderr.readline()
                assert line, said
                said.append(json.loads(line))
            fork = Ghostd.__new__(Ghostd)
            fork.url = said[-1]["url"]
            require_the_remotes(fork, remote)
            require_the_remotes(fork, remote)
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=60)
    assert "database or disk is full" in rest
    with fork_of(remote, tmp_path) as fork:
        require_the_remotes(fork, remote)
