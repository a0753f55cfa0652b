"""SIGKILL in the middle of imports whose blocks are written in groups: what was told of is there,
the chain is whole, and the next import goes on from it to the same end."""

from __future__ import annotations

import pickle
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

from ghostchain.chain.chain import Chain
from ghostchain.chain.verify import verify_state
from tests.unit.test_chain_drafts import (
    SEALED,
    attachment_of,
    certificate_of,
    extend,
    stream_of,
)

BLOCKS = 150
KILLS = 6
LINE_SECONDS = 60

IMPORT = """
import pickle, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from ghostchain.chain.chain import Chain
from tests.unit.test_chain_drafts import SEALED
items = pickle.loads(Path({stream!r}).read_bytes())
chain = Chain.open(Path({data!r}), SEALED)
for sealed in chain.import_certified(items[chain.head.number:]):
    print(sealed.block.header.number, flush=True)
chain.close()
print("end", flush=True)
"""


def told_until_killed(script: str, lines_max: int) -> tuple[int, bool]:
    """The last block that the process told of before it was killed, after so many lines; whether it
    came to its end before."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    last, is_done = 0, False
    try:
        for _ in range(lines_max):
            ready, _, _ = select.select([process.stdout], [], [], LINE_SECONDS)
            assert ready, "an import that says nothing"
            line = process.stdout.readline().strip()
            assert line, "an import that failed"
            if line == b"end":
                is_done = True
                break
            last = int(line)
    finally:
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        process.stdout.close()
    told = [int(line) for line in rest if line != b"end"]
    return max([last, *told]), is_done


def test_killed_imports_go_on_from_where_they_are(tmp_path: Path) -> None:
    source = Chain.open(tmp_path / "source", SEALED)
    for _ in range(BLOCKS):
        extend(source)
    items = stream_of(source)
    (tmp_path / "stream").write_bytes(pickle.dumps(items))
    data = tmp_path / "data"
    script = IMPORT.format(
        root=str(Path(__file__).parents[2]), stream=str(tmp_path / "stream"), data=str(data)
    )
    chance = random.Random(7)
    reached = 0
    for _ in range(KILLS):
        told, is_done = told_until_killed(script, chance.randrange(1, 40))
        chain = Chain.open(data, SEALED)
        head = chain.head.number
        assert head >= max(told, reached)
        reached = head
        assert chain.head_hash == source.hash_of(head)
        assert chain.certificate(head) == (certificate_of(head) if head else b"")
        assert chain.attachment(head) == (attachment_of(head) if head else None)
        assert verify_state(chain.storage.database).agrees
        chain.close()
        if is_done:
            break
    chain = Chain.open(data, SEALED)
    assert len(list(chain.import_certified(items[reached:]))) == BLOCKS - reached
    assert chain.head_hash == source.head_hash
    assert verify_state(chain.storage.database).agrees
    chain.close()
    source.close()
