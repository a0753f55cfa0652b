"""A node's resident memory through a million transfers sent to it over JSON-RPC.

    python -m benchmarks.memory [--transfers 1000000]

Ten senders, batches of 100, two connections, recipients that never repeat: the state grows with
every transfer. Printed: the node's resident set as the load goes on, the highest one, and the rate
from the first request to the last inclusion.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.primitives.types import Address
from tests.node.process import Ghostd
from tests.samples import transfer

BATCH = 100
CONNECTIONS = 2
WAITING_MAX = 30_000


def body_of(key_index: int, first_nonce: int) -> bytes:
    """One request: BATCH signed transfers of one sender."""
    calls = []
    for nonce in range(first_nonce, first_nonce + BATCH):
        to = Address(((key_index + 1) << 64 | nonce + 1).to_bytes(20, "big"))
        raw = transfer(nonce, key=TEST_KEYS[key_index], to=to)
        calls.append(
            {
                "jsonrpc": "2.0",
                "id": nonce,
                "method": "eth_sendRawTransaction",
                "params": ["0x" + raw.hex()],
            }
        )
    return json.dumps(calls).encode()


def resident_bytes(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("the process is gone")


class Sender:
    """A connection that posts bodies as they come."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)

    def post(self, body: bytes) -> None:
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        for answer in json.loads(self._connection.getresponse().read()):
            assert "result" in answer, answer


def included(node: Ghostd) -> int:
    """How many transfers are in blocks: the nonces of the senders at the head."""
    accounts = node.call("eth_accounts")
    answers = node.batch([("eth_getTransactionCount", [item, "latest"]) for item in accounts])
    return sum(int(answer["result"], 16) for answer in answers)


def load(node: Ghostd, transfers: int) -> Iterator[tuple[int, int]]:
    """Sends all and yields (included, resident bytes) now and then, until all are included."""
    per_sender = transfers // len(TEST_KEYS)
    places = [
        (index, nonce) for nonce in range(0, per_sender, BATCH) for index in range(len(TEST_KEYS))
    ]
    halves = [
        [place for place in places if place[0] % CONNECTIONS == number]
        for number in range(CONNECTIONS)
    ]
    sent = [0] * CONNECTIONS
    done = [0]

    def send(number: int) -> None:
        sender = Sender(node.url)
        with ProcessPoolExecutor(1) as signers:
            for body in signers.map(body_of, *zip(*halves[number], strict=True), chunksize=4):
                while sum(sent) - done[0] > WAITING_MAX:
                    time.sleep(0.01)
                sender.post(body)
                sent[number] += BATCH

    threads = [threading.Thread(target=send, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    wanted = len(places) * BATCH
    while done[0] < wanted:
        done[0] = included(node)
        yield done[0], resident_bytes(node.process.pid)
        time.sleep(0.2)
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--transfers", type=int, default=1_000_000)
    arguments = parser.parse_args()
    highest = last = shown = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Ghostd("--dev", data_dir=Path(folder) / "chain") as node,
    ):
        started = time.monotonic()
        for done, last in load(node, arguments.transfers):
            highest = max(highest, last)
            if done >= shown:
                shown = done + arguments.transfers // 10
                print(f"{done:>9} transfers  {last / 1e6:6.0f} MB resident", flush=True)
        seconds = time.monotonic() - started
    print(
        f"{arguments.transfers} transfers in {seconds:.1f} s "
        f"({arguments.transfers / seconds:,.0f} a second, signing included); "
        f"{last / 1e6:.0f} MB resident at the end, {highest / 1e6:.0f} MB at most"
    )


if __name__ == "__main__":
    main()
