"""The same over JSON-RPC, beside anvil: a transfer sent, its receipt awaited, a block each.

    python -m benchmarks.length_rpc --blocks 20000

For each node, from heights that grow: blocks a second with one client that waits for each, the
node's processor time for a block, and its resident memory. Both nodes get the same bytes
(`eth_sendRawTransactionSync`), one node after the other. Absent anvil, ours stands alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.length import transfer
from benchmarks.peers import anvil, processor_seconds
from tests.node.clients import tool
from tests.node.process import Ghostd

WINDOW = 500


class Node:
    """One node at its URL, asked over one kept-alive connection."""

    def __init__(self, name: str, url: str, pid: int) -> None:
        self.name = name
        self.pid = pid
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(place.hostname), place.port)
        self.nonce = 0

    def send(self, raw: bytes) -> None:
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_sendRawTransactionSync",
            "params": ["0x" + raw.hex()],
        }
        self._connection.request(
            "POST", "/", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = json.loads(self._connection.getresponse().read())
        assert answer["result"]["status"] == "0x1", answer
        assert int(answer["result"]["blockNumber"], 16) == self.nonce + 1, answer
        self.nonce += 1

    def resident(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def raws(first: int, count: int) -> list[bytes]:
    return [transfer(first + index) for index in range(count)]


def run(node: Node, heights: list[int]) -> Iterator[str]:
    """A line for each height."""
    for height in heights:
        while node.nonce < height:
            for raw in raws(node.nonce, min(WINDOW, height - node.nonce)):
                node.send(raw)
        ahead = raws(node.nonce, WINDOW)
        start, start_cpu = time.perf_counter(), processor_seconds(node.pid)
        for raw in ahead:
            node.send(raw)
        spent, spent_cpu = time.perf_counter() - start, processor_seconds(node.pid) - start_cpu
        yield (
            f"{node.name:>8} {height:>9,} {WINDOW / spent:>10,.0f} "
            f"{spent_cpu / WINDOW * 1e6:>12,.0f} {node.resident() / 1e6:>10,.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Blocks a second by height, over JSON-RPC.")
    parser.add_argument("--blocks", type=int, default=20_000)
    options = parser.parse_args()
    heights = [*(height for height in (10, 1_000, 10_000) if height < options.blocks)]
    heights.append(options.blocks)
    print("    node    height   blocks/s    us of CPU  MB in RAM")
    with Ghostd("--dev") as ours:
        for line in run(Node("ghostd", ours.url, ours.process.pid), heights):
            print(line, flush=True)
    try:
        tool("anvil")
    except pytest.skip.Exception as absent:
        print(absent)
        return
    with anvil() as peer:
        for line in run(Node("anvil", peer.url, peer.pid), heights):
            print(line, flush=True)


if __name__ == "__main__":
    main()
