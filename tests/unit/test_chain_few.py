"""Blocks that hold or change little are kept row by row, others as columns: both ways write the
same bytes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain import columns
from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.encoding import blocks
from ghostchain.encoding.blocks import decode_header, encode_header
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state import changes, store
from tests.samples import HEADER, transfer

# Stores and logs when it is made, and logs what it is called with.
LOGGING = bytes.fromhex("6001600055600260015560005f5fa06007600d60003960076000f35f5f5fa060015500")
# Stores, then is gone with what it holds, in the transaction that makes it.
GONE = bytes.fromhex("600160005533ff")
GAS = 200_000


def written(folder: Path, seed: int) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """The head, the database and the block files of a chain with blocks of all sizes."""
    draw = random.Random(seed)
    chain = Chain.open(folder, network("dev"))
    nonces = dict.fromkeys(TEST_KEYS[:4], 0)

    def sent(to: Address | None, data: bytes = b"") -> bytes:
        key = draw.choice(list(nonces))
        nonces[key] += 1
        gas = GAS if data or to is None else 21_000
        return transfer(nonces[key] - 1, key=key, to=to, data=data, gas_limit=gas)

    def somebody() -> Address:
        return Address(draw.randbytes(20))

    try:
        for _ in range(12):
            count = draw.choice((0, 1, 1, 3, 40))
            raws = [sent(somebody()) for _ in range(count)]
            raws += [sent(None, draw.choice((LOGGING, GONE))) for _ in range(draw.randrange(3))]
            if draw.randrange(4) == 0:
                slots = {Hash32(draw.randbytes(32)): Hash32(draw.randbytes(32))}
                chain.amend({somebody(): AccountAmendment(balance=7, slots=slots)})
            batch = TransactionBatch.decode(raws)
            batch.recover()
            chain.build_block(
                batch,
                timestamp=chain.head.timestamp + 1,
                coinbase=somebody(),
                prev_randao=Hash32(draw.randbytes(32)),
            )
        with chain.storage.database.items(b"\0", b"\xff") as items:
            kept = dict(items)
        files = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.seg")))
        return chain.head_hash, kept, files
    finally:
        chain.close()


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_write_the_same(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers, records, state, history, undo records and indices, byte by byte."""
    usual = written(tmp_path / "usual", seed)
    monkeypatch.setattr(store, "is_small", lambda found: False)
    for module in (columns, changes, store):
        monkeypatch.setattr(module, "FEW_ROWS", -1)
    assert written(tmp_path / "columns", seed) == usual


def test_a_usual_header_is_encoded_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(11)
    for _ in range(100):
        header = replace(
            HEADER,
            parent_hash=Hash32(draw.randbytes(32)),
            number=draw.getrandbits(draw.choice((1, 8, 60))),
            gas_used=draw.getrandbits(draw.choice((1, 30))),
            extra_data=draw.randbytes(draw.choice((0, 1, 32))),
            base_fee_per_gas=draw.getrandbits(90),
            requests_hash=draw.choice((None, Hash32(draw.randbytes(32)))),
        )
        encoded = encode_header(header)
        assert decode_header(encoded) == header
        with monkeypatch.context() as patched:
            patched.setattr(blocks, "_usual_bytes", lambda header: None)
            assert encode_header(header) == encoded


def test_a_header_of_another_form_is_encoded_as_it_is() -> None:
    """One with a field of another length is not what `_usual_bytes` takes."""
    assert blocks._usual_bytes(replace(HEADER, bloom=b"")) is None
    assert blocks._usual_bytes(replace(HEADER, nonce=b"")) is None
