"""A Merkle-Patricia trie in plain Python, written from the Yellow Paper (appendix D) alone.

It is built from the whole mapping each time, keeps nothing and shares no code with the native core
or with `ghostchain.trie`, so that a fault would have to be made twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from Crypto.Hash import keccak as pycryptodome_keccak

Nodes = dict[bytes, bytes]


def keccak(data: bytes) -> bytes:
    return pycryptodome_keccak.new(digest_bits=256, data=data).digest()


class Raw(bytes):
    """RLP that stands in a list as it is."""


def rlp_of(item: bytes | list[bytes]) -> bytes:
    """Appendix B."""
    if isinstance(item, Raw):
        return item
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 128:
            return item
        body, base = item, 128
    else:
        body, base = b"".join(rlp_of(part) for part in item), 192
    if len(body) < 56:
        return bytes([base + len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(size)]) + size + body


def hex_prefix(nibbles: bytes, is_leaf: bool) -> bytes:
    """Appendix C."""
    flag = 2 * is_leaf + len(nibbles) % 2
    padded = bytes([flag, *nibbles]) if len(nibbles) % 2 else bytes([flag, 0, *nibbles])
    return bytes(high * 16 + low for high, low in zip(padded[::2], padded[1::2], strict=True))


def _node(items: Mapping[bytes, bytes], path: bytes, nodes: Nodes) -> bytes:
    """The RLP of the node at path over items (whose keys are what is left of their nibbles).
    Nodes below it that have a hash are added to nodes."""
    if len(items) == 1:
        ((rest, value),) = items.items()
        return rlp_of([hex_prefix(rest, True), value])
    first, last = min(items), max(items)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    if shared:
        below = {key[shared:]: value for key, value in items.items()}
        child = _reference(below, path + first[:shared], nodes)
        return rlp_of([hex_prefix(first[:shared], False), child])
    parts: list[bytes] = []
    for nibble in range(16):
        below = {k[1:]: v for k, v in items.items() if k and k[0] == nibble}
        parts.append(_reference(below, path + bytes([nibble]), nodes) if below else b"")
    parts.append(items.get(b"", b""))
    return rlp_of(parts)


def _reference(items: Mapping[bytes, bytes], path: bytes, nodes: Nodes) -> bytes:
    encoded = _node(items, path, nodes)
    if len(encoded) < 32:
        return Raw(encoded)
    nodes[path] = encoded
    return keccak(encoded)


def trie_of(mapping: Mapping[bytes, bytes]) -> tuple[bytes, Nodes]:
    """The root, and the RLP of each node that has a hash (the root always) by its path."""
    items = {
        bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15)): value
        for key, value in mapping.items()
        if value
    }
    if not items:
        return keccak(b"\x80"), {}
    nodes: Nodes = {}
    encoded = _node(items, b"", nodes)
    nodes[b""] = encoded
    return keccak(encoded), nodes


def integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def state_of(
    accounts: Mapping[bytes, tuple[int, int, bytes, Mapping[bytes, int]]],
    hashes: Mapping[bytes, bytes],
) -> tuple[bytes, dict[tuple[bytes | None, bytes], bytes]]:
    """The state root, and every node that a store has, by owner and path."""
    store: dict[tuple[bytes | None, bytes], bytes] = {}
    leaves = {}
    for address, (nonce, balance, code_hash, storage) in accounts.items():
        slots = {hashes[key]: rlp_of(integer(value)) for key, value in storage.items() if value}
        storage_root, nodes = trie_of(slots)
        store.update({(hashes[address], path): node for path, node in nodes.items()})
        fields = [integer(nonce), integer(balance), storage_root, code_hash]
        leaves[hashes[address]] = rlp_of(fields)
    root, nodes = trie_of(leaves)
    store.update({(None, path): node for path, node in nodes.items()})
    return root, store
