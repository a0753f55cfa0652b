"""Proofs of what a trie holds under a key, checked in plain Python (EIP-1186 shows them).

A proof is the list of nodes that have a hash, from the root down. Checking needs nothing of the
node that gave it, and is strict: each node has the hash that its parent holds, is canonical, and is
needed. Whoever proves cannot show the same fact in two ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.primitives.errors import EncodingReason, InvalidEncoding
from ghostchain.primitives.types import EMPTY_ROOT

NODE_BYTES_MAX = 1 << 16


def verify_proof(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """The value under key in the trie with this root, or None where nodes prove its absence.

    Shapes: key is as the trie has it (hashed, for state); the value is as the leaf holds it: the
    RLP of an account, the RLP of a slot's integer.
    Raises: InvalidEncoding when nodes do not prove anything about key.
    Cost: a hash and a decoding for each node.
    Spec: Yellow Paper, appendix D.
    """
    path = bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))
    rest = list(nodes)
    if root == EMPTY_ROOT:
        _end(rest)
        return None
    reference: rlp.Decoded = bytes(root)
    while True:
        node = _node_of(reference, rest)
        if len(node) == 17:
            reference = rlp.as_bytes(node[16]) if not path else node[path[0]]
            if not path or not reference:
                _end(rest)
                return rlp.as_bytes(reference) or None
            path = path[1:]
            continue
        tail, is_leaf = _unpack(rlp.as_bytes(node[0]))
        if is_leaf:
            _end(rest)
            return rlp.as_bytes(node[1]) if tail == path else None
        if path[: len(tail)] != tail:
            _end(rest)
            return None
        path = path[len(tail) :]
        reference = node[1]


def split_nodes(joined: bytes) -> list[bytes]:
    """The RLP items that stand one after the other in joined."""
    ends = [0, *(end for _, _, _, end in rlp.spans(joined, 0, len(joined)))]
    return [joined[start:end] for start, end in pairwise(ends)]


def _refused(message: str) -> InvalidEncoding:
    return InvalidEncoding(EncodingReason.NOT_CANONICAL, f"proof: {message}")


def _end(rest: list[bytes]) -> None:
    if rest:
        raise _refused(f"{len(rest)} nodes that lead nowhere")


def _node_of(reference: rlp.Decoded, rest: list[bytes]) -> list[rlp.Decoded]:
    """The node that a reference stands for: the next of rest, or what is embedded."""
    if isinstance(reference, list):
        if len(rlp.encode(reference)) >= 32:
            raise _refused("an embedded node of 32 bytes or more")
        node = reference
    else:
        if len(reference) != 32:
            raise _refused("a reference that is no hash")
        if not rest:
            raise _refused("ends before the key does")
        encoded = rest.pop(0)
        if len(encoded) > NODE_BYTES_MAX or keccak256(encoded) != reference:
            raise _refused("a node without the hash that its parent holds")
        node = rlp.as_list(rlp.decode(encoded, size_max=NODE_BYTES_MAX))
    if len(node) not in (2, 17):
        raise _refused(f"a node of {len(node)} items")
    return node


def _unpack(packed: bytes) -> tuple[bytes, bool]:
    """Nibbles and leaf flag of a hex-prefix string (Yellow Paper, appendix C)."""
    flag = packed[0] >> 4 if packed else 255
    if flag > 3 or (flag % 2 == 0 and packed[0] & 15):
        raise _refused("a path that is not in hex-prefix form")
    nibbles = bytes(nibble for byte in packed for nibble in (byte >> 4, byte & 15))
    tail = nibbles[1:] if flag % 2 else nibbles[2:]
    if flag < 2 and not tail:
        raise _refused("an extension over nothing")
    return tail, flag >= 2
