"""A devnet under the test's own hands: started, killed, paused, asked, and compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostchain.node import devnet

GHOSTD = [sys.executable, "-m", "ghostchain.node.cli"]


class NotReached(Exception):
    """What was waited for did not come in time."""


@dataclass
class Member:
    """One node of the devnet. process: None while it does not run."""

    name: str
    argv: list[str]
    rpc: str
    p2p_port: int
    data_dir: Path
    log: Path
    is_validator: bool
    process: subprocess.Popen[bytes] | None = None
    is_paused: bool = False
    starts: int = 0

    @property
    def is_up(self) -> bool:
        return self.process is not None and not self.is_paused

    def start(self) -> None:
        assert self.process is None
        self.starts += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is flushed."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process, self.is_paused = None, False

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.is_paused:
            self.resume()
        self.process.terminate()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def call(self, method: str, *params: object, timeout: float = 5.0) -> Any:
        """The result of a JSON-RPC method. Raises: OSError, ValueError with the node's error."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        request = urllib.request.Request(
            self.rpc, body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            decoded = json.load(answer)
        if "error" in decoded:
            raise ValueError(f"{self.name}: {method}: {decoded['error']}")
        return decoded["result"]

    def height(self) -> int | None:
        """None when it does not answer."""
        try:
            return int(self.call("eth_blockNumber", timeout=2.0), 16)
        except (OSError, ValueError):
            return None

    def events(self) -> list[dict[str, Any]]:
        """Its log, line by line."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                found.append(event)
        return found


@dataclass
class Cluster:
    """The nodes of a devnet directory. Leaving the context kills what runs."""

    directory: Path
    members: list[Member] = field(default_factory=list)

    @classmethod
    def create(cls, directory: Path, plan: devnet.Plan) -> Cluster:
        """Makes the files of a devnet; nothing runs yet."""
        network = devnet.make(directory, plan)
        members = [
            Member(
                name=node.name,
                argv=[*GHOSTD, *node.command],
                rpc=node.rpc,
                p2p_port=int(node.p2p.rpartition(":")[2]),
                data_dir=Path(node.data_dir),
                log=Path(node.log),
                is_validator=node.is_validator,
            )
            for node in network.nodes
        ]
        return cls(directory, members)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            if member.process is not None:
                member.kill()

    @property
    def validators(self) -> list[Member]:
        return [member for member in self.members if member.is_validator]

    def up(self) -> list[Member]:
        return [member for member in self.members if member.is_up]

    def start(self) -> None:
        for member in self.members:
            if member.process is None:
                member.start()

    def await_height(self, height: int, members: Sequence[Member], seconds: float) -> float:
        """Until all of them have that block: the seconds it took. Raises: NotReached."""
        return until(
            lambda: all((member.height() or -1) >= height for member in members),
            seconds,
            lambda: f"height {height}: {[(m.name, m.height()) for m in members]}",
        )

    def check_agreement(self) -> int:
        """Every block that two nodes have is the same: the lowest head. Raises: AssertionError."""
        heads = {member.name: member.height() for member in self.members}
        assert all(head is not None for head in heads.values()), heads
        common = min(head for head in heads.values() if head is not None)
        for number in {0, common // 2, max(common - 1, 0), common}:
            blocks = [m.call("eth_getBlockByNumber", hex(number), False) for m in self.members]
            assert len({(block["hash"], block["stateRoot"]) for block in blocks}) == 1, number
        return common

    def check_all_blocks(self) -> int:
        """As check_agreement, for each block there is."""
        common = self.check_agreement()
        for number in range(common + 1):
            hashes = {
                m.call("eth_getBlockByNumber", hex(number), False)["hash"] for m in self.members
            }
            assert len(hashes) == 1, number
        return common

    def verify_databases(self) -> None:
        """`ghostd db verify` is content with each. All must be down."""
        for member in self.members:
            assert member.process is None
            argv = [
                *GHOSTD, "db", "verify", "--data-dir", str(member.data_dir),
                "--genesis", str(self.directory / "genesis.json"),
            ]  # fmt: skip
            finished = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=600
            )
            assert finished.returncode == 0, f"{member.name}: {finished.stdout}{finished.stderr}"


def until(
    holds: Callable[[], bool], seconds: float, what: Callable[[], str] | None = None
) -> float:
    """Asks until it holds: the seconds it took. Raises: NotReached."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise NotReached(f"not within {seconds} s: {what() if what else holds}")
        time.sleep(0.02)
    return time.monotonic() - started


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
