"""Whether a block costs the same at any height: a development chain grows by one transfer a block.

    python -m benchmarks.length --blocks 100000 --rewind 10000

Prints, from heights that grow by ten, the blocks a second and the processor time a block of the
next few hundred, resident memory and what the directory takes; then takes blocks back. Each
transfer goes to an account that was not there, so the state grows as well.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import network
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.types import Address, Hash32
from tests.samples import transfer

SIGNED_AHEAD = 500
# A figure is of so many blocks.
WINDOW = 500


@dataclass(frozen=True, slots=True)
class Figure:
    """Of the blocks from `height` on. Units: blocks a second, microseconds of processor time for
    each, bytes."""

    height: int
    rate: float
    processor_us: float
    resident: int
    disk: int

    def __str__(self) -> str:
        return (
            f"{self.height:>9,} {self.rate:>10,.0f} {self.processor_us:>12,.0f} "
            f"{self.resident / 1e6:>10,.0f} {self.disk / 1e6:>10,.0f}"
        )


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def account_of(nonce: int) -> Address:
    """One that nobody has used."""
    return Address(keccak256(nonce.to_bytes(8, "big"))[:20])


def grow(chain: Chain, count: int) -> tuple[float, float]:
    """So many blocks more. Returns seconds and processor seconds, signing left out."""
    spent = spent_cpu = 0.0
    while count:
        first = chain.head.number
        nonces = range(first, first + min(count, SIGNED_AHEAD))
        raws = [transfer(nonce, to=account_of(nonce)) for nonce in nonces]
        start, start_cpu = time.perf_counter(), time.process_time()
        for raw in raws:
            batch = TransactionBatch.decode([raw])
            batch.recover()
            sealed = chain.build_block(
                batch,
                timestamp=chain.head.timestamp + 1,
                coinbase=Address(bytes(20)),
                prev_randao=Hash32(bytes(32)),
            )
            assert len(sealed.block.transactions) == 1
        spent += time.perf_counter() - start
        spent_cpu += time.process_time() - start_cpu
        count -= len(raws)
    return spent, spent_cpu


def measure(chain: Chain, height: int, path: Path) -> Figure:
    """The figure from that height on, to which the chain grows first."""
    grow(chain, height - chain.head.number)
    spent, spent_cpu = grow(chain, WINDOW)
    return Figure(
        height,
        WINDOW / spent,
        spent_cpu / WINDOW * 1e6,
        resident_bytes(),
        disk_bytes(path),
    )


def heights(blocks: int) -> list[int]:
    return [*(height for height in (10, 1_000, 10_000) if height + WINDOW < blocks), blocks]


def main() -> None:
    parser = argparse.ArgumentParser(description="Blocks a second, and memory, by height.")
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--rewind", type=int, default=10_000, help="blocks taken back at the end")
    parser.add_argument("--durable", action="store_true", help="each block waits for the disk")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ghostchain-length-") as folder:
        path = Path(folder) / "data"
        chain = Chain.open(path, network("dev"), is_durable=options.durable)
        print(
            f"{'height':>9} {'blocks/s':>10} {'us of CPU':>12} {'MB in RAM':>10} {'MB on disk':>10}"
        )
        for height in heights(options.blocks):
            print(measure(chain, height, path), flush=True)
        start = time.perf_counter()
        chain.rewind(max(chain.head.number - options.rewind, 0))
        print(
            f"{options.rewind:,} blocks back in {time.perf_counter() - start:.2f} s, "
            f"{resident_bytes() / 1e6:,.0f} MB in RAM"
        )
        grow(chain, 1)
        start = time.process_time()
        chain.rewind(chain.head.number - 1)
        print(f"one block back in {(time.process_time() - start) * 1e3:.2f} ms of processor time")
        print({name: f"{size / 1e6:.1f} MB" for name, size in chain.memory().items()})
        chain.close()


if __name__ == "__main__":
    main()
