"""SIGKILL at random moments under load: what was acknowledged is there after the restart."""

from __future__ import annotations

import os
import random
import threading
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostchain.crypto.secp256k1 import address_of
from ghostchain.primitives.types import Address
from tests.node.process import Ghostd, run_ghostd
from tests.samples import transfer

KILLS = int(os.environ.get("GHOSTCHAIN_KILLS", "20"))
# The first account of the test mnemonic, funded by the development genesis; known to everybody.
DEV_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
DEV_ADDRESS = address_of(DEV_KEY)
BATCH = 20


def transfers(first_nonce: int) -> Iterator[bytes]:
    """Signed transfers of one sender, from a nonce on."""
    nonce = first_nonce
    while True:
        yield transfer(nonce, key=DEV_KEY, to=Address(nonce.to_bytes(20, "big")))
        nonce += 1


class Load:
    """Sends batches and watches the head until the node dies; remembers what it was told."""

    def __init__(self, node: Ghostd) -> None:
        self.node = node
        self.transactions: list[str] = []
        self.blocks: dict[int, str] = {}
        self.refusals: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._send()
        except (OSError, urllib.error.URLError, ValueError):
            return

    def _send(self) -> None:
        nonce = int(
            self.node.call("eth_getTransactionCount", "0x" + DEV_ADDRESS.hex(), "pending"), 16
        )
        source = transfers(nonce)
        while True:
            calls = [("eth_sendRawTransaction", ["0x" + next(source).hex()]) for _ in range(BATCH)]
            for answer in self.node.batch(calls):
                if "result" in answer:
                    self.transactions.append(answer["result"])
                else:
                    self.refusals.append(answer["error"]["message"])
            block = self.node.call("eth_getBlockByNumber", "latest", False)
            self.blocks[int(block["number"], 16)] = block["hash"]

    def wait_until_under_way(self) -> None:
        """A batch is acknowledged, however slow the machine is."""
        deadline = time.monotonic() + 60
        while len(self.transactions) < BATCH:
            assert time.monotonic() < deadline, self.refusals[:3]
            time.sleep(0.005)

    def finish(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def assert_nothing_lost(node: Ghostd, blocks: dict[int, str], transactions: list[str]) -> None:
    """Every block and transaction that was acknowledged is known to the node."""
    for number, block_hash in blocks.items():
        block = node.call("eth_getBlockByNumber", hex(number), False)
        assert block is not None, f"block {number} is lost"
        assert block["hash"] == block_hash, f"block {number} is another one"
    for start in range(0, len(transactions), 500):
        part = transactions[start : start + 500]
        for answer in node.batch([("eth_getTransactionByHash", [item]) for item in part]):
            assert answer["result"] is not None, f"transaction {part[answer['id']]} is lost"


@pytest.mark.timeout(900)
def test_kill_under_load_loses_nothing(tmp_path: Path) -> None:
    """KILLS times: load, SIGKILL, `db verify`, restart, look for all that was acknowledged."""
    seed = int(os.environ.get("GHOSTCHAIN_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"GHOSTCHAIN_SEED={seed}")
    chance = random.Random(seed)
    data_dir = tmp_path / "data"
    acknowledged_blocks: dict[int, str] = {}
    recent: list[str] = []
    total = 0
    for kill in range(KILLS):
        node = Ghostd("--dev", data_dir=data_dir)
        try:
            assert_nothing_lost(node, acknowledged_blocks, recent)
            load = Load(node)
            load.wait_until_under_way()
            time.sleep(chance.uniform(0.05, 1.0))
        finally:
            node.kill()
        load.finish()
        assert not load.refusals, f"kill {kill}: {load.refusals[:3]}"
        acknowledged_blocks |= load.blocks
        recent = load.transactions
        total += len(recent)
        verified = run_ghostd("db", "verify", "--network", "dev", "--data-dir", str(data_dir))
        assert verified.returncode == 0, f"kill {kill}: {verified.stdout}{verified.stderr}"
    with Ghostd("--dev", data_dir=data_dir) as node:
        assert_nothing_lost(node, acknowledged_blocks, recent)
    assert total >= KILLS * BATCH, "the load did too little to mean anything"
