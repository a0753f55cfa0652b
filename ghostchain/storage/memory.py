"""How the process gives memory back."""

from __future__ import annotations

import ctypes

# From this size on an allocation is mapped on its own, and unmapped when it is freed.
MAPPED_BYTES_MIN = 1 << 20
M_MMAP_THRESHOLD = -3
# Heaps that threads share. By default each thread gets one of its own, and what one thread writes
# and another frees (a block, a memtable) leaves a hole in every one of them.
HEAPS_MAX = 2
M_ARENA_MAX = -8

_LIBRARY = ctypes.CDLL(None)


def return_large_allocations() -> None:
    """Large allocations go back to the system as soon as they are freed.

    A block's buffers are megabytes that live for a moment. glibc by itself learns from them to
    keep such sizes in its heaps, which then never shrink: a fifth of a busy node's memory.
    Effects: process-wide; none with another C library.
    """
    mallopt = getattr(_LIBRARY, "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN)
        mallopt(M_ARENA_MAX, HEAPS_MAX)


def return_free_memory() -> None:
    """Pages of the heaps in which nothing is left go back to the system.

    Cost: milliseconds. Effects: none with another C library than glibc.
    """
    malloc_trim = getattr(_LIBRARY, "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
