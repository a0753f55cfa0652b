"""Values with a history: what was it at the end of block (or in epoch) n?

A trace is an array of words, each `key << 192 | value`, keys rising. Writing twice under one key
overwrites, so a trace grows by one word a block (or epoch) at most, and reading an old value is a
binary search.
"""

from __future__ import annotations

from ghostchain.contracts.framework import Array, UInt256

VALUE_BITS = 192
_VALUE = (1 << VALUE_BITS) - 1


def write(trace: Array[UInt256], key: int, value: int) -> None:
    """The value from this key on. key is not below the last one; value is under 2**192."""
    assert 0 <= value <= _VALUE, "the value of a trace has 192 bits"
    word = key << VALUE_BITS | value
    count = len(trace)
    if count == 0:
        trace.append(word)
        return
    last = trace[count - 1]
    if last & _VALUE == value:
        return
    if last >> VALUE_BITS == key:
        trace[count - 1] = word
    else:
        trace.append(word)


def read(trace: Array[UInt256], key: int) -> int:
    """The value that held at this key; 0 before the first.

    Cost: one word when nothing was written after the key, else the logarithm of their number.
    """
    high = len(trace)
    if high == 0:
        return 0
    last = trace[high - 1]
    if last >> VALUE_BITS <= key:
        return last & _VALUE
    low, high = 0, high - 1
    while low < high:
        middle = (low + high) // 2
        if trace[middle] >> VALUE_BITS <= key:
            low = middle + 1
        else:
            high = middle
    return trace[low - 1] & _VALUE if low else 0


def last_key(trace: Array[UInt256]) -> int:
    """When the value last changed; 0 when nothing was ever written."""
    count = len(trace)
    return trace[count - 1] >> VALUE_BITS if count else 0
