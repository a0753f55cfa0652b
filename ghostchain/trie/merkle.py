"""Merkle-Patricia tries: the door to `native/merkle`.

Spec: Yellow Paper, appendix D (tries), appendix C (hex-prefix encoding), appendix B (RLP).
Oracle: a small trie in plain Python and the TrieTests of ethereum/tests, in
tests/oracle/test_merkle.py; random histories in tests/property/test_trie.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.primitives.types import Hash32

__all__ = ["ordered_root", "root_of"]


def _views(items: Sequence[bytes]) -> tuple[Any, list[Any]]:
    """A C array of views of items, and the buffers that must outlive it."""
    buffers = [ffi.from_buffer(item) for item in items]
    views = ffi.new("ghost_view[]", len(items))
    for i, buffer in enumerate(buffers):
        views[i].data = buffer
        views[i].length = len(buffer)
    return views, buffers


def _check_memory(status: int) -> None:
    if status == lib.GHOST_OUT_OF_MEMORY:
        raise MemoryError("the native core found no memory for a trie")
    assert status == lib.GHOST_OK, status


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """The root of the trie that maps RLP(index) to items[index].

    Block headers commit so to transactions, receipts and withdrawals. Empty items are absent.
    """
    views, buffers = _views(items)
    root = ffi.new("uint8_t[32]")
    _check_memory(lib.ghost_merkle_ordered_root(root, views, len(buffers)))
    return Hash32(bytes(ffi.buffer(root)))


def root_of(mapping: Mapping[bytes, bytes]) -> Hash32:
    """The root of the trie that holds mapping; keys of any lengths, empty values are absent."""
    keys, key_buffers = _views(list(mapping.keys()))
    values, value_buffers = _views(list(mapping.values()))
    root = ffi.new("uint8_t[32]")
    _check_memory(lib.ghost_merkle_root(root, keys, values, len(key_buffers)))
    del value_buffers
    return Hash32(bytes(ffi.buffer(root)))
