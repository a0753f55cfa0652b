"""Any bytes as a trie and as a proof: the native root is the reference's, a proof of every key is
taken and says what the trie holds, and a broken proof is refused or says the same."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.trie.merkle import ordered_root, root_of, verify_proof
from tests.oracle.reference_trie import rlp_of, trie_of

MAPPING = 0
PROOF = 1


def entries(data: bytes) -> list[tuple[bytes, bytes]]:
    """Keys and values: a byte with both lengths (key 0 to 7, value 0 to 62 bytes), then both."""
    found = []
    at = 0
    while at < len(data) and len(found) < 64:
        key_length, value_length = data[at] & 7, (data[at] >> 3) * 2
        key = data[at + 1 : at + 1 + key_length]
        at += 1 + key_length + value_length
        found.append((key, data[at - value_length : at]))
    return found


def example(count: int) -> bytes:
    chance = Random(count)
    parts = []
    for _ in range(count):
        key, value = chance.randbytes(chance.randint(1, 3)), chance.randbytes(62)
        parts.append(bytes([31 << 3 | len(key)]) + key + value)
    return bytes([MAPPING]) + b"".join(parts)


def proof_seed() -> bytes:
    """A root node and what it leads to, as an RLP list, behind a key."""
    mapping = {bytes([n, n]): bytes([n]) * 40 for n in range(0, 255, 9)}
    _, nodes = trie_of(mapping)
    key = bytes([9, 9])
    path = bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))
    on_path = [nodes[path[:length]] for length in range(5) if path[:length] in nodes]
    return bytes([PROOF]) + key + rlp.encode(on_path)


SEEDS = [b"", example(1), example(5), example(40), proof_seed()]


def check(data: bytes) -> None:
    if data[:1] == bytes([PROOF]):
        check_proof(data[1:3], data[3:])
    else:
        check_mapping(entries(data[1:]))


def check_mapping(pairs: list[tuple[bytes, bytes]]) -> None:
    mapping = dict(pairs)
    root, nodes = trie_of(mapping)
    assert root_of(mapping) == root
    values = [value for _, value in pairs]
    numbered = {rlp_of(rlp.integer_bytes(index)): value for index, value in enumerate(values)}
    assert ordered_root(values) == trie_of(numbered)[0]
    for key in [*mapping, b"absent"][:8]:
        path = bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))
        on_path = [nodes[path[:n]] for n in range(len(path) + 1) if path[:n] in nodes]
        assert mapping.get(key, b"") in answers(root, key, on_path)


def answers(root: bytes, key: bytes, on_path: list[bytes]) -> list[bytes]:
    """What the leading nodes prove, of which one length does; no value is no bytes."""
    found = []
    for length in range(len(on_path) + 1):
        try:
            found.append(verify_proof(root, key, on_path[:length]) or b"")
        except InvalidEncoding:
            continue
    return found


def check_proof(key: bytes, encoded: bytes) -> None:
    """Nodes that nobody vouches for, under the hash of the first."""
    try:
        nodes = rlp.decode(encoded, depth_max=2)
    except InvalidEncoding:
        return
    if not isinstance(nodes, list) or not nodes:
        return
    parts = [node for node in nodes if isinstance(node, bytes)]
    if not parts:
        return
    try:
        value = verify_proof(keccak256(parts[0]), key, parts)
    except InvalidEncoding:
        return
    assert value is None or value


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
