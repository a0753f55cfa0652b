"""Names for the byte strings that everything else is made of."""

from __future__ import annotations

from typing import NewType

Address = NewType("Address", bytes)
"""20 bytes."""

Hash32 = NewType("Hash32", bytes)
"""32 bytes, most often a Keccak-256 digest."""

ZERO_ADDRESS = Address(bytes(20))
ZERO_HASH = Hash32(bytes(32))

EMPTY_CODE_HASH = Hash32(
    bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
)
"""keccak256 of no bytes: the code hash of an account without code."""

EMPTY_ROOT = Hash32(
    bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
)
"""keccak256(rlp(b"")): the root of a Merkle-Patricia trie without leaves."""

EMPTY_OMMERS_HASH = Hash32(
    bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")
)
"""keccak256(rlp([])): the only ommers hash since EIP-3675."""

EMPTY_REQUESTS_HASH = Hash32(
    bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
)
"""sha256 of no bytes: the requests hash of a block without requests (EIP-7685)."""

WASM_MAGIC = b"\0asm\x01\0\0\0"
"""How a WASM module begins: on a hybrid chain such code runs in that engine."""

EMPTY_BLOOM = bytes(256)
# Stands for the root of a storage that is in no block: any root but the empty one.
UNSETTLED_ROOT = b"\xff" * 32
"""The bloom of no logs."""
