"""Any bytes as an RLP item, a header, a block and a receipt: read and written back unchanged, or
refused with a reason; never another exception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import (
    decode_block,
    decode_header,
    decode_receipt,
    encode_block,
    encode_header,
    encode_receipt,
)
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import InvalidBlock, InvalidEncoding
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.types import (
    EMPTY_BLOOM,
    EMPTY_REQUESTS_HASH,
    ZERO_ADDRESS,
    ZERO_HASH,
)
from tests.samples import HEADER

LATER = replace(HEADER, extra_data=b"ghost", requests_hash=EMPTY_REQUESTS_HASH)
WITHDRAWAL = Withdrawal(index=1, validator_index=2, address=ZERO_ADDRESS, amount_gwei=3)
LOG = Log(ZERO_ADDRESS, (ZERO_HASH, ZERO_HASH), b"data")

SEEDS = [
    b"",
    rlp.encode([b"dog", [b"cat", [b""]], bytes(60), [[bytes(300)]]]),
    encode_header(LATER),
    encode_block(
        Block(LATER, (rlp.encode([b""] * 9), b"\x02" + rlp.encode([b"data"] * 9)), (WITHDRAWAL,))
    ),
    encode_receipt(Receipt(0, True, 21_000, EMPTY_BLOOM, ())),
    encode_receipt(Receipt(2, False, 2**40, EMPTY_BLOOM, (LOG, LOG))),
]


def check(data: bytes) -> None:
    holds(rlp.decode, rlp.encode, data)
    holds(decode_receipt, encode_receipt, data)
    holds(decode_header, encode_header, data)
    holds(decode_block, encode_block, data)


def holds(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], data: bytes) -> None:
    try:
        value = decode(data)
    except (InvalidEncoding, InvalidBlock):
        return
    assert encode(value) == data


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
