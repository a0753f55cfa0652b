"""A node with a chain of every type of transaction, and what a client in another language must know
of it to be tried on it: the facts, a file of JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.node.clients import compiled_token
from tests.node.process import Ghostd
from tests.node.whole_chain import KEYS, make

SECONDS_MAX = 300
SECRET = "5e" * 32


@contextmanager
def whole_node(folder: Path) -> Iterator[Path]:
    """A development node that serves the whole chain, and the file with the facts: where its doors
    are, who holds keys, what is in which block, the tests' token to deploy."""
    world = make(folder)
    secret = folder / "secret"
    secret.write_text(SECRET)
    flags = ("--dev", "--genesis", str(world.genesis), "--rpc-jwt-secret", str(secret))
    with Ghostd(*flags, data_dir=world.directory) as node:
        facts = {
            "http": node.url,
            "ws": node.url.replace("http", "ws"),
            "ipc": str(world.directory / "ghostd.ipc"),
            "secret": SECRET,
            "keys": ["0x" + key.hex() for key in KEYS],
            "contract": "0x" + world.contract.hex(),
            "hashes": world.hashes,
            "blocks": world.blocks,
            "token": compiled_token(),
        }
        path = folder / "facts.json"
        path.write_text(json.dumps(facts))
        yield path
        assert node.process.poll() is None, "the node still stands"
        assert not node.faults, list(node.faults)[:2]


def require_passes(command: Sequence[str | Path], checks: int) -> None:
    """The command prints an outcome for each of its checks, and every one of them holds."""
    finished = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    outcomes = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    failed = [f"{item['name']}: {item['reason']}" for item in outcomes if not item["pass"]]
    assert not failed, "\n".join(failed)
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert len(outcomes) == checks, finished.stderr[-4000:]
